//! Whole calls with people who are well, answering in their own words: hardly any may raise an order.
//!
//! Every reply is drawn from `fixtures/redflag/well.tsv`, which holds no red flag. The conversation, the judgement
//! of each reply and what a human gets are the shipped ones; the line and the ear are left out.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use aftercall_core::call::{Findings, Spot};
use aftercall_core::finding::Confirmation;
use aftercall_core::id::NodeId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::redflag::{Lexicon, Reply, assess};
use aftercall_core::script::{Act, Conversation, Facts, Input, Note, Script};
use jiff::civil::date;

use crate::script::files::{root, shipped, table, text_files};
use crate::support::rounds;

/// Calls of each script, language and day in `make test`: 44 times 3 scripts, 2 languages and 4 days.
const CALLS: u64 = 44;
/// Of a thousand calls without a true finding, so many may raise an order.
const ALLOWED_PER_MILLE: usize = 50;
/// Replies taken from the words for any "no" instead of those for the question, in a hundred.
const PLAIN_PERCENT: u64 = 30;

type Words = BTreeMap<(Lang, String), Vec<String>>;

fn lexicon() -> &'static Lexicon {
    static LEXICON: OnceLock<Lexicon> = OnceLock::new();
    LEXICON.get_or_init(|| {
        let files = text_files(&root().join("dialogs/redflags"), "tsv");
        Lexicon::compile(&files).expect("the shipped lexicon compiles")
    })
}

fn words() -> Words {
    let rows = table("redflag/well.tsv").into_iter().map(|row| {
        let lang = Lang::parse(&row[0]).expect("zh or en");
        let replies = row[2].split('|').map(|reply| reply.trim().to_owned());
        ((lang, row[1].clone()), replies.collect())
    });
    rows.collect()
}

/// A patient: an even stream of draws from a seed (SplitMix64).
struct Patient<'a> {
    words: &'a Words,
    lang: Lang,
    state: u64,
}

impl Patient<'_> {
    fn draw(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    fn one_of(&mut self, node: &str) -> Option<String> {
        let replies = self.words.get(&(self.lang, node.to_owned()))?;
        let count = u64::try_from(replies.len()).expect("a table is short");
        let at = usize::try_from(self.draw(count)).expect("it is below the length");
        Some(replies[at].clone())
    }

    /// What the patient says to this question.
    fn answer(&mut self, node: &str) -> String {
        const SYMPTOMS: [&str; 15] = [
            "screen_chest",
            "screen_breath",
            "screen_faint",
            "screen_bleed",
            "screen_weak",
            "weight_gain",
            "orthopnea",
            "legs",
            "puncture",
            "wound",
            "vomiting",
            "calf",
            "falls",
            "confusion",
            "mood",
        ];
        let known = match (node, self.lang) {
            ("identity", Lang::Zh) => Some("是我".to_owned()),
            ("identity", Lang::En) => Some("This is me".to_owned()),
            ("birth", Lang::Zh) => Some("四月十二号".to_owned()),
            ("birth", Lang::En) => Some("April twelfth".to_owned()),
            _ => None,
        };
        if let Some(known) = known {
            return known;
        }
        let plain = SYMPTOMS.contains(&node) && self.draw(100) < PLAIN_PERCENT;
        let row = match node {
            _ if node.ends_with("/read_back") => "yes",
            _ if node.starts_with("confirm_") => "deny",
            _ if plain => "no",
            _ => node,
        };
        // Any other question comes only after a mistake, which is counted already.
        let said = self.one_of(row).or_else(|| self.one_of("deny"));
        said.expect("well.tsv has words for a denial in both languages")
    }
}

fn facts(lang: Lang, day: u16) -> Facts {
    Facts {
        lang,
        day,
        hospital: "仁和医院".to_owned(),
        patient: Phi::new("王建国".to_owned()),
        birth: Some(Phi::new(date(1950, 4, 12))),
        contacts: vec![],
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: None,
        crisis_line: None,
        callback_number: "01055501234".to_owned(),
        next_call: Some(date(2026, 12, 1)),
        today: date(2026, 11, 23),
        earlier: None,
    }
}

/// Another patient for every call.
fn patient_seed(script: &Script, day: u16, seed: u64) -> u64 {
    let name = format!("{} {} {day}", script.id, script.lang);
    let mixed = name.bytes().fold(seed, |sum, byte| {
        sum.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)
    });
    mixed << 8
}

/// One call; every reason for an order, with the words that gave it.
fn reasons(script: &Arc<Script>, patient: &mut Patient<'_>, day: u16) -> Vec<String> {
    let mut talk = Conversation::new(Arc::clone(script), facts(patient.lang, day));
    let mut acts = talk.start();
    let mut reasons = Vec::new();
    let mut found = Findings::default();
    let mut last = String::new();
    for _ in 0..80 {
        let mut asked = None;
        for act in std::mem::take(&mut acts) {
            match act {
                Act::Note(note) => reasons.extend(reason(&note, &last)),
                Act::Listen(listen) => asked = Some(listen.node.0),
                Act::Say(_) | Act::HangUp => {}
            }
        }
        talk.handle(Input::PromptDone);
        let Some(node) = asked else { break };
        let text = patient.answer(&node);
        last = format!("{node}: {text}");
        let question = talk.question().filter(|_| talk.is_identified());
        let asks = question.as_ref().map_or(Vec::new(), |q| q.asks.clone());
        let findings = question.map_or(Vec::new(), |question| {
            let reply = Reply {
                text: &text,
                logprob: Some(-0.2),
            };
            assess(lexicon(), &question, &reply).findings
        });
        // One that waits for its question is counted when the answer leaves it open.
        reasons.extend(
            findings
                .iter()
                .filter(|f| f.alerts() && f.confirmation != Confirmation::Due)
                .map(|f| format!("{} {} <- {last}", f.concept, f.polarity)),
        );
        let spot = Spot {
            turn: 0,
            node: NodeId(node),
            from_ms: 0,
            to_ms: 0,
        };
        let verdict = found.place(&asks, findings, &spot, talk.confirming());
        acts = talk.handle(Input::Said {
            text: &text,
            logprob: -0.2,
            verdict,
        });
    }
    if !talk.is_over() {
        reasons.push(format!("the call did not end <- {last}"));
    }
    reasons
}

/// What a note gives a human to do.
fn reason(note: &Note, last: &str) -> Option<String> {
    let what = match note {
        Note::NotAssessed { node } => format!("not assessed {node}"),
        Note::Confirmation {
            concept,
            outcome: Confirmation::Confirmed | Confirmation::Unclear,
        } => format!("{concept} unconfirmed"),
        Note::IdentityFailed => "identity failed".to_owned(),
        Note::AskedForPerson => "asked for a person".to_owned(),
        Note::CallBackAt { .. } => "call back".to_owned(),
        Note::OptedOut => "opted out".to_owned(),
        Note::ReportedDeath => "reported death".to_owned(),
        Note::ReportedReadmission => "reported readmission".to_owned(),
        Note::WrongParty => "wrong party".to_owned(),
        Note::EmergencyAdviceGiven { concept } => format!("advice for {concept}"),
        Note::Confirmation { .. }
        | Note::TurnOpened { .. }
        | Note::TurnClosed { .. }
        | Note::Identified { .. }
        | Note::WentOn
        | Note::Screened
        | Note::Interrupted { .. }
        | Note::Finished => return None,
    };
    Some(format!("{what} <- {last}"))
}

#[test]
fn hardly_any_call_with_a_well_patient_raises_an_order() {
    let words = words();
    let distinct: usize = words.values().map(Vec::len).sum();
    assert!(distinct >= 500, "only {distinct} replies");
    let (mut calls, mut raised) = (0_usize, 0_usize);
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    for script in shipped() {
        let script = Arc::new(script);
        for day in script.days.clone() {
            for seed in 0..rounds(CALLS) {
                let mut patient = Patient {
                    words: &words,
                    lang: script.lang,
                    state: patient_seed(&script, day, seed),
                };
                let reasons = reasons(&script, &mut patient, day);
                calls += 1;
                raised += usize::from(!reasons.is_empty());
                for reason in reasons {
                    *causes.entry(reason).or_default() += 1;
                }
            }
        }
    }
    let mut causes: Vec<(usize, String)> = causes.into_iter().map(|(why, n)| (n, why)).collect();
    causes.sort_by(|a, b| b.cmp(a));
    let lines: Vec<String> = causes
        .iter()
        .map(|(n, why)| format!("{n:5} {why}"))
        .collect();
    println!(
        "{raised} of {calls} calls with well patients raised an order; {distinct} replies\n{}",
        lines.join("\n")
    );
    assert!(calls >= 1_000, "only {calls} calls");
    assert!(
        raised * 1_000 <= calls * ALLOWED_PER_MILLE,
        "{raised} of {calls} calls:\n{}",
        lines.join("\n")
    );
}
