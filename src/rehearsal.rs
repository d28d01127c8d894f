//! A call rehearsed without a telephone: lines go in as a patient would say them, and what the script said, understood and
//! found comes out. Time is virtual: it passes as the prompts would take.

use std::sync::Arc;

use aftercall_core::attempt::{AnsweredBy, CallRecord, Disposition, Ending, Progress};
use aftercall_core::call::{Findings, Spot, call_notes};
use aftercall_core::finding::PlacedFinding;
use aftercall_core::id::{NodeId, WorkOrderId};
use aftercall_core::lang::Lang;
use aftercall_core::question::Respondent;
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::script::{
    Act, Conversation, Facts, Input, Note, Script, Segment, Verdict, paths,
};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Deadlines, Subject, WorkOrder, causes_of, raise};
use jiff::tz::TimeZone;

/// Who a line of the rehearsal is by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Robot,
    Patient,
    /// What was understood, and what the script noted.
    Script,
}

/// One line, with virtual seconds since the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub at_s: f64,
    pub by: By,
    pub node: NodeId,
    pub text: String,
}

/// What a rehearsed call came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub disposition: Disposition,
    pub progress: Progress,
    pub seconds: f64,
    /// Each question that was answered, and what was understood.
    pub path: Vec<(NodeId, String)>,
    pub findings: Vec<PlacedFinding>,
    pub order: Option<WorkOrder>,
}

/// A conversation with what a call would keep of it.
#[derive(Debug)]
pub struct Rehearsal {
    conversation: Conversation,
    lexicon: Arc<Lexicon>,
    lang: Lang,
    at_s: f64,
    node: NodeId,
    turn: u32,
    path: Vec<(NodeId, String)>,
    notes: Vec<Note>,
    findings: Findings,
    lines: Vec<Line>,
    over: bool,
}

impl Rehearsal {
    /// Somebody answers: the robot speaks until it waits for a reply.
    pub fn begin(script: Arc<Script>, facts: Facts, lexicon: Arc<Lexicon>) -> Self {
        let mut rehearsal = Self {
            lang: facts.lang,
            conversation: Conversation::new(script, facts),
            lexicon,
            at_s: 0.0,
            node: NodeId(String::new()),
            turn: 0,
            path: Vec::new(),
            notes: Vec::new(),
            findings: Findings::default(),
            lines: Vec::new(),
            over: false,
        };
        let acts = rehearsal.conversation.start();
        rehearsal.play(acts);
        rehearsal
    }

    /// The script has hung up.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// What was said since the last time that it was asked for.
    pub fn take_lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// One line of the patient: words; nothing is silence, `=0412` presses keys, `?` is noise without words.
    pub fn hear(&mut self, line: &str) {
        self.say(By::Patient, line);
        self.at_s += if line.is_empty() { 5.0 } else { 2.0 };
        let acts = match line.strip_prefix('=') {
            Some(keys) => self.press(keys),
            None if line.is_empty() => self.conversation.handle(Input::Silence),
            None if line == "?" => self.conversation.handle(Input::Unclear),
            None => {
                let verdict = self.judge(line);
                self.speak(line, verdict)
            }
        };
        self.play(acts);
    }

    /// Hangs up, and says what a nurse would get. `high_risk`: a human follows up what such a patient refuses.
    pub fn end(mut self, high_risk: bool, now: Timestamp) -> Outcome {
        self.findings.end();
        let order = self.order(high_risk, now);
        Outcome {
            disposition: self.conversation.disposition(),
            progress: self.conversation.progress(),
            seconds: self.at_s,
            findings: self.findings.list().to_vec(),
            path: self.path,
            order,
        }
    }

    fn say(&mut self, by: By, text: &str) {
        self.lines.push(Line {
            at_s: self.at_s,
            by,
            node: self.node.clone(),
            text: text.to_owned(),
        });
    }

    fn play(&mut self, acts: Vec<Act>) {
        for act in acts {
            match act {
                Act::Say(segments) => {
                    let text: Vec<&str> = segments.iter().map(Segment::text).collect();
                    let text = text.join(" ");
                    self.say(By::Robot, &text);
                    self.at_s += paths::seconds(&text, self.lang);
                    self.conversation.handle(Input::PromptDone);
                }
                Act::Note(note) => self.note(note),
                Act::Listen(_) => {}
                Act::HangUp => {
                    self.over = true;
                    return;
                }
            }
        }
    }

    fn note(&mut self, note: Note) {
        match &note {
            Note::TurnOpened { node, .. } => {
                self.node = node.clone();
                self.turn += 1;
            }
            Note::TurnClosed { meaning } => {
                let words = format!("({}: {meaning})", self.node);
                self.say(By::Script, &words);
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
            | Note::Finished => {
                let words = format!("({note:?})");
                self.say(By::Script, &words);
            }
        }
        self.notes.push(note);
    }

    fn press(&mut self, keys: &str) -> Vec<Act> {
        let Some(words) = self.conversation.keyed_words(keys) else {
            return self.conversation.handle(Input::Keys(keys));
        };
        let verdict = self.judge(&words);
        if verdict == Verdict::default() {
            self.conversation.handle(Input::Keys(keys))
        } else {
            self.speak(&words, verdict)
        }
    }

    fn speak(&mut self, text: &str, verdict: Verdict) -> Vec<Act> {
        self.conversation.handle(Input::Said {
            text,
            logprob: 0.0,
            verdict,
        })
    }

    fn judge(&mut self, text: &str) -> Verdict {
        let question = self
            .conversation
            .question()
            .filter(|_| self.conversation.is_identified());
        let Some(question) = question else {
            return Verdict::default();
        };
        let reply = Reply {
            text,
            logprob: None,
        };
        let assessment = assess(&self.lexicon, &question, &reply);
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

    fn order(&self, high_risk: bool, now: Timestamp) -> Option<WorkOrder> {
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
            high_risk,
        };
        let deadlines = Deadlines::usual(TimeZone::UTC);
        let causes = causes_of(&record, &subject);
        let id = WorkOrderId("rehearsal".to_owned());
        raise(id, &subject, causes, &deadlines, now)
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
