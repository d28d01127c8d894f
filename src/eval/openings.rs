//! The figures of `aftercall answered`: the confusion table, shares with their intervals, times, and beeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::answered::{Opening, Row};
use super::score::Share;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// By label, then by what it was taken for.
    pub confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Shares by their names, in the order of their printing.
    pub shares: Vec<(&'static str, usize, usize)>,
    /// Milliseconds, sorted.
    pub times: BTreeMap<&'static str, Vec<u64>>,
    /// Error of the beep's end in milliseconds, and beeps not found of how many.
    pub beeps: (Vec<u64>, usize, usize),
}

const HUMANS: &str = "people kept as people";
const MACHINES: &str = "machines found (voicemail, screening, fax)";
const VOICEMAILS: &str = "  voicemails";
const SCREENS: &str = "  call screening";
const FAXES: &str = "  fax";
const ANNOUNCED: &str = "announcements found before the answer";
const CLASSES: &str = "  of the right class";
const TONES: &str = "tones and music told apart before the answer";
const SILENCES: &str = "silence taken for silence";

/// The classifier's name for a label.
fn wanted(label: &str) -> &str {
    match label {
        "vacant" => "invalid_number",
        "off" => "powered_off",
        "engaged" => "busy",
        "reminder" => "call_reminder",
        "screening" => "assistant",
        "busy" => "busy_tone",
        "congestion" => "congestion_tone",
        "ringback" => "ringback_tone",
        same => same,
    }
}

/// Not a person, and not nothing.
fn is_machine(met: &str) -> bool {
    !matches!(met, "human" | "unsure" | "silence" | "nothing")
}

/// Whether the call took it for what it is, as far as that matters to what it does next.
pub fn is_right(opening: &Opening, row: &Row) -> bool {
    match opening.label.as_str() {
        "human" => matches!(row.met.as_str(), "human" | "unsure"),
        "voicemail" | "screening" | "fax" => is_machine(&row.met),
        label => row.met == wanted(label),
    }
}

/// Counts a run.
pub fn figures(rows: &[(&Opening, Row)]) -> Figures {
    let mut figures = Figures::default();
    let names = [
        HUMANS, MACHINES, VOICEMAILS, SCREENS, FAXES, ANNOUNCED, CLASSES, TONES, SILENCES,
    ];
    let mut shares: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (opening, row) in rows {
        let came = figures.confusion.entry(opening.label.clone()).or_default();
        *came.entry(row.met.clone()).or_default() += 1;
        let mut count = |name: &'static str, hit: bool| {
            let (hits, of) = shares.entry(name).or_default();
            *hits += usize::from(hit);
            *of += 1;
        };
        let right = is_right(opening, row);
        match opening.label.as_str() {
            "human" => count(HUMANS, right),
            label @ ("voicemail" | "screening" | "fax") => {
                count(MACHINES, right);
                count(
                    match label {
                        "voicemail" => VOICEMAILS,
                        "screening" => SCREENS,
                        _ => FAXES,
                    },
                    right,
                );
            }
            "silence" => count(SILENCES, right),
            "ringback" | "busy" | "congestion" | "music" => count(TONES, right),
            _ => {
                count(ANNOUNCED, is_machine(&row.met));
                count(CLASSES, right);
            }
        }
        time(&mut figures.times, opening, row, right);
        if let Some((_, ends)) = opening.beep_ms {
            figures.beeps.2 += 1;
            match row.beep_end_ms {
                Some(found) => figures.beeps.0.push(found.abs_diff(ends)),
                None => figures.beeps.1 += 1,
            }
        }
    }
    figures.shares = names
        .into_iter()
        .filter_map(|name| shares.get(name).map(|&(hits, of)| (name, hits, of)))
        .collect();
    for times in figures.times.values_mut() {
        times.sort_unstable();
    }
    figures.beeps.0.sort_unstable();
    figures
}

fn time(
    times: &mut BTreeMap<&'static str, Vec<u64>>,
    opening: &Opening,
    row: &Row,
    is_right: bool,
) {
    let first = opening.first_ms.unwrap_or(0);
    if let Some(met) = row.met_ms.filter(|_| is_right) {
        let name = match opening.label.as_str() {
            "human" => "verdict, people",
            "voicemail" | "screening" | "fax" => "verdict, machines",
            "silence" => return,
            _ => "verdict, before the answer",
        };
        let ms = met.saturating_sub(first);
        times.entry(name).or_default().push(ms);
        if opening.is_answered() {
            times.entry("verdict, all answered").or_default().push(ms);
        }
    }
}

/// The figures as they are printed.
pub fn lines(figures: &Figures) -> String {
    let mut out = String::new();
    let columns: BTreeSet<&String> = figures.confusion.values().flat_map(|c| c.keys()).collect();
    for (label, came) in &figures.confusion {
        let _ = write!(out, "{label:<12}");
        for column in &columns {
            if let Some(count) = came.get(*column) {
                let _ = write!(out, "  {column} {count}");
            }
        }
        out.push('\n');
    }
    for (name, hits, of) in &figures.shares {
        let share = Share::new(*hits, *of);
        let _ = writeln!(
            out,
            "{name:<46} {hits:>4} of {of:>4}  {:>5.1} % ({:.1}-{:.1})",
            100.0 * share.share.unwrap_or(0.0),
            100.0 * share.low,
            100.0 * share.high
        );
    }
    for (name, times) in &figures.times {
        let _ = writeln!(
            out,
            "{name:<28} p50 {} ms, p95 {} ms, n {}",
            quantile(times, 0.5),
            quantile(times, 0.95),
            times.len()
        );
    }
    let (errors, missed, of) = &figures.beeps;
    let _ = writeln!(
        out,
        "end of the beep              error p50 {} ms, p95 {} ms; not found {missed} of {of}",
        quantile(errors, 0.5),
        quantile(errors, 0.95)
    );
    out
}

/// Of sorted values; 0 of none.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let nth = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
    sorted.get(nth).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(label: &str, met: &str, met_ms: u64) -> (Opening, Row) {
        let opening = Opening {
            id: "a".to_owned(),
            half: "frozen".to_owned(),
            lang: None,
            label: label.to_owned(),
            kind: String::new(),
            first_ms: Some(400),
            beep_ms: None,
            text: String::new(),
        };
        let row = Row {
            id: "a".to_owned(),
            line: "alaw".to_owned(),
            met: met.to_owned(),
            by: String::new(),
            met_ms: Some(met_ms),
            spoke_ms: None,
            beep_end_ms: None,
            words: Vec::new(),
        };
        (opening, row)
    }

    #[test]
    fn a_machine_of_another_class_is_a_machine_and_an_announcement_is_not() {
        let cases = [
            case("human", "human", 1_400),
            case("human", "voicemail", 1_400),
            case("voicemail", "assistant", 2_400),
            case("vacant", "suspended", 2_400),
        ];
        let rows: Vec<_> = cases
            .iter()
            .map(|(opening, row)| (opening, row.clone()))
            .collect();
        let figures = figures(&rows);
        assert_eq!(
            figures.shares,
            [
                (HUMANS, 1, 2),
                (MACHINES, 1, 1),
                (VOICEMAILS, 1, 1),
                (ANNOUNCED, 1, 1),
                (CLASSES, 0, 1)
            ]
        );
        assert_eq!(figures.times["verdict, people"], [1_000]);
    }
}
