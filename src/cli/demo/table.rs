//! The live table: redrawn in a terminal, a line a change in a log.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use aftercall_core::call::CallEvent;
use aftercall_core::id::AttemptId;
use comfy_table::{ContentArrangement, Table, presets};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::run::Seen;

/// Characters of the last words that a row shows.
const WORDS: usize = 28;

struct Row {
    who: String,
    day: u16,
    began: Instant,
    state: String,
    words: String,
    /// By position: a finding may change.
    findings: BTreeMap<u32, String>,
    ended: bool,
}

/// The calls so far. It shows words and findings, so it is for the demo's invented patients alone.
pub struct LiveTable {
    rows: BTreeMap<AttemptId, Row>,
    redraw: bool,
    quiet: bool,
    drawn: usize,
    began: Instant,
}

impl LiveTable {
    /// `redraw`: in a terminal the table is drawn over; otherwise each change is a line. `quiet`: nothing at all.
    pub fn new(redraw: bool, quiet: bool) -> LiveTable {
        LiveTable {
            rows: BTreeMap::new(),
            redraw,
            quiet,
            drawn: 0,
            began: Instant::now(),
        }
    }

    /// Shows what it is told until nobody tells more.
    pub async fn run(mut self, mut seen: UnboundedReceiver<Seen>) {
        while let Some(seen) = seen.recv().await {
            let Some(changed) = self.take(seen) else {
                continue;
            };
            if self.quiet {
                continue;
            }
            let shown = if self.redraw {
                self.draw()
            } else {
                self.line(&changed)
            };
            if shown.is_err() {
                // Nobody reads the output any more; the demo goes on.
                self.quiet = true;
            }
        }
    }

    fn take(&mut self, seen: Seen) -> Option<AttemptId> {
        match seen {
            Seen::Dialled(call) => {
                let row = Row {
                    who: call.patient.number.expose().clone(),
                    day: call.step.day,
                    began: Instant::now(),
                    state: "dialling".to_owned(),
                    words: String::new(),
                    findings: BTreeMap::new(),
                    ended: false,
                };
                self.rows.insert(call.attempt.clone(), row);
                Some(call.attempt)
            }
            Seen::NotStarted(attempt, why) => {
                let row = self.rows.get_mut(&attempt)?;
                row.state = format!("not started: {why}");
                row.ended = true;
                Some(attempt)
            }
            Seen::Event(attempt, event) => {
                let row = self.rows.get_mut(&attempt)?;
                row.take(&event).then_some(attempt)
            }
        }
    }

    fn line(&self, attempt: &AttemptId) -> std::io::Result<()> {
        let Some(row) = self.rows.get(attempt) else {
            return Ok(());
        };
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "{:6.1}s  {:9} day {:<2}  {:24}  {:32}  {}",
            self.began.elapsed().as_secs_f64(),
            row.who,
            row.day,
            row.state,
            row.words,
            row.findings()
        )?;
        out.flush()
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let mut table = Table::new();
        table
            .load_style(presets::UTF8_HORIZONTAL_ONLY)
            .set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["patient", "day", "s", "state", "last words", "findings"]);
        let mut ended = 0;
        for row in self.rows.values() {
            if row.ended {
                ended += 1;
                continue;
            }
            table.add_row([
                row.who.clone(),
                row.day.to_string(),
                row.began.elapsed().as_secs().to_string(),
                row.state.clone(),
                row.words.clone(),
                row.findings(),
            ]);
        }
        let text = format!("{table}\n{} calls, {ended} ended", self.rows.len());
        let mut out = std::io::stdout().lock();
        if self.drawn > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        writeln!(out, "{text}")?;
        self.drawn = text.lines().count();
        out.flush()
    }
}

impl Row {
    fn findings(&self) -> String {
        let texts: Vec<&str> = self.findings.values().map(String::as_str).collect();
        texts.join(", ")
    }

    /// Takes an event; whether the row looks different now.
    fn take(&mut self, event: &CallEvent) -> bool {
        match event {
            CallEvent::Ringing { status } => self.state = format!("ringing ({status})"),
            CallEvent::EarlyMedia => self.state = "early media".to_owned(),
            CallEvent::Announced(class) => self.state = format!("announced: {class}"),
            CallEvent::Answered => self.state = "answered".to_owned(),
            CallEvent::Asked { node, .. } => self.state = format!("asks {node}"),
            CallEvent::HeardWords(heard) => {
                self.words = heard.expose().text.chars().take(WORDS).collect()
            }
            CallEvent::TakenOver { by } => self.state = format!("{by} has the patient"),
            CallEvent::HandedBack => self.state = "handed back".to_owned(),
            CallEvent::Found { position, placed } => {
                let finding = &placed.finding;
                let text = format!("{} {}", finding.concept, finding.polarity);
                self.findings.insert(*position, text);
            }
            CallEvent::Ended(record) => {
                self.state = record.ending.disposition.to_string();
                self.ended = true;
            }
            CallEvent::Dialog(_)
            | CallEvent::Met(_)
            | CallEvent::Beep { .. }
            | CallEvent::TurnClosed(_)
            | CallEvent::Noted(_)
            | CallEvent::AskedForPatience
            | CallEvent::Progressed(_) => return false,
        }
        true
    }
}
