//! `aftercall rehearse`: an author plays the patient at the keyboard, in virtual time.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::attempt::{AnsweredBy, CallRecord, Ending};
use aftercall_core::call::{Findings, Spot, call_notes};
use aftercall_core::id::{NodeId, WorkOrderId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Hearing, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::question::Respondent;
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::script::{Act, Conversation, Facts, Input, Note, Segment, Verdict, paths};
use aftercall_core::work_order::{Deadlines, Subject, WorkOrder, causes_of, raise};
use anyhow::Context;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::{dialogs, redflags};

/// Play the patient at the keyboard and see the path, the findings and the work order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall rehearse dialogs/cardiac --day 3
  printf '是我\\n九月十四号\\n昨天晚上胸口闷\\n' | aftercall rehearse dialogs/cardiac --day 3 --lang zh

A line is what the patient says. An empty line is silence, `=0412` presses keys, `?` is noise without words; the end
of the input hangs up. No telephone, no sound, no clock: time passes as the prompts would take.")]
pub struct Args {
    /// The script's folder.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Days after discharge.
    #[arg(long, default_value_t = 3)]
    day: u16,
    #[arg(long, default_value = "zh", value_parser = parse_lang)]
    lang: Lang,
    /// Name of the patient played.
    #[arg(long)]
    name: Option<String>,
    /// Date of birth of the patient played (YYYY-MM-DD).
    #[arg(long, default_value = "1951-09-14")]
    birth: Date,
    /// A listed relative: NAME:spouse|child|parent|sibling|guardian|other.
    #[arg(long, value_name = "NAME:RELATION", value_parser = parse_contact)]
    contact: Vec<Contact>,
    /// A human follows up what a high-risk patient refuses.
    #[arg(long)]
    high_risk: bool,
    /// The record says that the patient knows the diagnosis.
    #[arg(long)]
    knows_diagnosis: bool,
    /// Print one JSON object at the end instead of the conversation.
    #[arg(long)]
    json: bool,
}

fn parse_lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text).ok_or_else(|| "write zh or en".to_owned())
}

fn parse_contact(text: &str) -> Result<Contact, String> {
    let (name, relation) = text
        .split_once(':')
        .ok_or("write NAME:RELATION, as 李梅:spouse")?;
    let relation = match relation {
        "spouse" => Relation::Spouse,
        "child" => Relation::Child,
        "parent" => Relation::Parent,
        "sibling" => Relation::Sibling,
        "guardian" => Relation::Guardian,
        "other" => Relation::Other,
        _ => return Err(format!("`{relation}` is no relation")),
    };
    Ok(Contact {
        name: Phi::new(name.to_owned()),
        relation,
        phone: None,
        topics: vec![Topic::Health, Topic::Medicines, Topic::Appointments],
    })
}

/// Rehearses one call.
///
/// # Errors
/// A folder, script or lexicon that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shelf = dialogs::Shelf::find(&args.dir)?;
    let id = shelf.folders.first().context("no script in this folder")?;
    let script = dialogs::one(&args.dir, id, args.lang)?;
    let lexicon = redflags::load(None)?;
    let mut stage = Stage {
        conversation: Conversation::new(script, facts(args)),
        lexicon,
        lang: args.lang,
        show: !args.json,
        at_s: 0.0,
        node: NodeId(String::new()),
        turn: 0,
        path: Vec::new(),
        notes: Vec::new(),
        findings: Findings::default(),
    };
    let mut over = {
        let acts = stage.conversation.start();
        stage.play(acts)
    };
    let typing = stdin().is_terminal() && !args.json;
    if typing {
        eprintln!(
            "(you are the patient; an empty line is silence, =12 presses keys, Ctrl-D hangs up)"
        );
    }
    for line in stdin().lock().lines() {
        if over {
            break;
        }
        let line = line.context("the keyboard")?;
        over = stage.hear(line.trim());
    }
    stage.report(args);
    Ok(ExitCode::SUCCESS)
}

fn facts(args: &Args) -> Facts {
    let (hospital, name) = match args.lang {
        Lang::Zh => ("仁和医院", "王建国"),
        Lang::En => ("Renhe Hospital", "Robert Chen"),
    };
    let today = jiff::Zoned::now().date();
    Facts {
        lang: args.lang,
        day: args.day,
        hospital: hospital.to_owned(),
        patient: Phi::new(args.name.clone().unwrap_or_else(|| name.to_owned())),
        birth: Some(Phi::new(args.birth)),
        contacts: args.contact.clone(),
        knows_diagnosis: args.knows_diagnosis,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: None,
        crisis_line: None,
        callback_number: "010 5550 1234".to_owned(),
        next_call: None,
        today,
        earlier: None,
    }
}

/// The conversation with what a call would keep of it.
struct Stage {
    conversation: Conversation,
    lexicon: Lexicon,
    lang: Lang,
    show: bool,
    /// Virtual seconds since the answer.
    at_s: f64,
    node: NodeId,
    turn: u32,
    path: Vec<(NodeId, String)>,
    notes: Vec<Note>,
    findings: Findings,
}

impl Stage {
    fn say(&self, who: &str, text: &str) {
        if self.show {
            println!("{:>5.0} s  {who}  {text}", self.at_s);
        }
    }

    /// Does what the script wants; true when it hung up.
    fn play(&mut self, acts: Vec<Act>) -> bool {
        for act in acts {
            match act {
                Act::Say(segments) => {
                    let text: Vec<&str> = segments.iter().map(Segment::text).collect();
                    let text = text.join(" ");
                    self.say("robot  ", &text);
                    self.at_s += paths::seconds(&text, self.lang);
                    self.conversation.handle(Input::PromptDone);
                }
                Act::Note(note) => self.note(note),
                Act::Listen(_) => {}
                Act::HangUp => return true,
            }
        }
        false
    }

    fn note(&mut self, note: Note) {
        match &note {
            Note::TurnOpened { node, .. } => {
                self.node = node.clone();
                self.turn += 1;
            }
            Note::TurnClosed { meaning } => {
                self.say("       ", &format!("({}: {meaning})", self.node));
                self.path.push((self.node.clone(), meaning.clone()));
            }
            Note::Confirmation { concept, outcome } => {
                self.findings.confirmed(concept, *outcome);
            }
            Note::Identified { .. }
            | Note::Interrupted { .. }
            | Note::IdentityFailed
            | Note::WentOn
            | Note::Screened
            | Note::NotAssessed { .. }
            | Note::EmergencyAdviceGiven { .. }
            | Note::AskedForPerson
            | Note::CallBackAt { .. }
            | Note::OptedOut
            | Note::ReportedDeath
            | Note::ReportedReadmission
            | Note::WrongParty
            | Note::Finished => self.say("       ", &format!("({note:?})")),
        }
        self.notes.push(note);
    }

    /// One line from the keyboard; true when the script hung up.
    fn hear(&mut self, line: &str) -> bool {
        self.say("patient", if line.is_empty() { "(silence)" } else { line });
        self.at_s += if line.is_empty() { 5.0 } else { 2.0 };
        let acts = match line.strip_prefix('=') {
            Some(keys) => match self.conversation.keyed_words(keys) {
                Some(words) => {
                    let verdict = self.judge(&words);
                    if verdict == Verdict::default() {
                        self.conversation.handle(Input::Keys(keys))
                    } else {
                        self.conversation.handle(Input::Said {
                            text: &words,
                            logprob: 0.0,
                            verdict,
                        })
                    }
                }
                None => self.conversation.handle(Input::Keys(keys)),
            },
            None if line.is_empty() => self.conversation.handle(Input::Silence),
            None if line == "?" => self.conversation.handle(Input::Unclear),
            None => {
                let verdict = self.judge(line);
                self.conversation.handle(Input::Said {
                    text: line,
                    logprob: 0.0,
                    verdict,
                })
            }
        };
        self.play(acts)
    }

    fn judge(&mut self, text: &str) -> Verdict {
        let question = self
            .conversation
            .question()
            .filter(|_| self.conversation.is_identified());
        let Some(question) = question else {
            return Verdict::default();
        };
        let assessment = assess(
            &self.lexicon,
            &question,
            &Reply {
                text,
                logprob: None,
            },
        );
        self.findings.suppress(assessment.suppressed);
        let at_ms = (self.at_s * 1000.0) as u64;
        let spot = Spot {
            turn: self.turn.saturating_sub(1),
            node: self.node.clone(),
            from_ms: at_ms,
            to_ms: at_ms,
        };
        let confirming = self.conversation.confirming();
        self.findings
            .place(&question.asks, assessment.findings, &spot, confirming)
    }

    fn report(mut self, args: &Args) {
        self.findings.end();
        let order = self.order(args);
        let progress = self.conversation.progress();
        let disposition = self.conversation.disposition();
        if args.json {
            let path = self
                .path
                .iter()
                .map(|(node, meaning)| json!({ "node": node, "meaning": meaning }));
            let view = json!({
                "disposition": disposition,
                "progress": progress,
                "seconds": self.at_s.round(),
                "path": path.collect::<Vec<_>>(),
                "findings": self.findings.list(),
                "work_order": order,
            });
            println!("{view}");
            return;
        }
        println!("\ndisposition  {disposition} after {:.0} s", self.at_s);
        println!(
            "progress     identified {}, screened {}, closing spoken {}",
            progress.identified, progress.screened, progress.closing_spoken
        );
        let path: Vec<String> = self.path.iter().map(|(n, m)| format!("{n}={m}")).collect();
        println!("path         {}", path.join(" "));
        for placed in self.findings.list() {
            let found = &placed.finding;
            println!(
                "finding      {} {} ({}, at {})",
                found.concept, found.polarity, found.urgency, placed.node
            );
        }
        match order {
            Some(order) => {
                let causes = order
                    .causes
                    .iter()
                    .filter_map(|c| serde_json::to_value(c).ok());
                let kinds = causes.filter_map(|c| c["kind"].as_str().map(str::to_owned));
                println!(
                    "work order   {}: {}",
                    order.urgency,
                    kinds.collect::<Vec<_>>().join(", ")
                );
            }
            None => println!("work order   none"),
        }
    }

    fn order(&self, args: &Args) -> Option<WorkOrder> {
        let record = CallRecord {
            ending: Ending {
                disposition: self.conversation.disposition(),
                sip_status: None,
                q850_cause: None,
                early_media: None,
                answered_by: self.answered_by(),
                met: None,
                rang: true,
                talk_ms: (self.at_s * 1000.0) as u64,
            },
            progress: self.conversation.progress(),
            turns: Vec::new(),
            findings: self.findings.list().to_vec(),
            suppressed: Vec::new(),
            line: None,
            notes: call_notes(&self.notes),
        };
        let subject = Subject {
            patient: None,
            episode: None,
            attempt: None,
            high_risk: args.high_risk,
        };
        let deadlines = Deadlines::usual(TimeZone::system());
        let causes = causes_of(&record, &subject);
        let id = WorkOrderId("rehearsal".to_owned());
        raise(id, &subject, causes, &deadlines, jiff::Timestamp::now())
    }

    fn answered_by(&self) -> AnsweredBy {
        match (
            self.conversation.is_identified(),
            self.conversation.respondent(),
        ) {
            (false, _) => AnsweredBy::Human,
            (true, Respondent::Patient) => AnsweredBy::Patient,
            (true, Respondent::Caregiver) => AnsweredBy::Proxy,
        }
    }
}
