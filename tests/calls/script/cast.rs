//! The demo's telephones without the telephone: what their owners say goes to the script as text, and every
//! call must come to the disposition that `fixtures/expected.toml` wrote down beforehand.
//!
//! The red-flag verdict is the one a human would give to the two emergencies of the cast.

use std::collections::BTreeMap;
use std::fs;

use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Hearing, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::script::{Act, Conversation, Facts, Input, Note, Segment, Verdict};
use serde::Deserialize;

use super::files::{root, script, table};

#[derive(Deserialize)]
struct Phone {
    number: String,
    does: String,
    #[serde(default)]
    reply: Vec<Reply>,
    otherwise: Option<Otherwise>,
}

#[derive(Deserialize)]
struct Reply {
    hears: Vec<String>,
    says: Option<String>,
    keys: Option<String>,
    times: Option<u32>,
    #[serde(default)]
    hang_up: bool,
}

#[derive(Deserialize)]
struct Otherwise {
    says: String,
}

#[derive(Deserialize)]
struct Expected {
    patient: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
struct Row {
    day: u16,
    disposition: Option<String>,
}

/// What one call came to, with its transcript for the reader of a failure.
struct Outcome {
    disposition: String,
    transcript: String,
    misses: Vec<String>,
}

fn facts(row: &[String], lang: Lang, day: u16) -> Facts {
    let contacts = row.get(19).map(String::as_str).unwrap_or_default();
    let contacts = contacts.split(';').filter(|c| !c.is_empty()).map(|c| {
        let parts: Vec<&str> = c.split(':').collect();
        Contact {
            name: Phi::new(parts[0].to_owned()),
            relation: match parts[1] {
                "spouse" => Relation::Spouse,
                "child" => Relation::Child,
                _ => Relation::Other,
            },
            phone: None,
            topics: vec![Topic::Health, Topic::Medicines],
        }
    });
    Facts {
        lang,
        day,
        hospital: match lang {
            Lang::Zh => "仁和医院".to_owned(),
            Lang::En => "Renhe Hospital".to_owned(),
        },
        patient: Phi::new(row[1].clone()),
        birth: Some(Phi::new(row[2].parse().expect("a date"))),
        contacts: contacts.collect(),
        knows_diagnosis: row[17] == "yes",
        hearing: if row[6] == "hard" {
            Hearing::Hard
        } else {
            Hearing::Normal
        },
        dialect: (!row[5].is_empty()).then(|| row[5].clone()),
        emergency_number: None,
        crisis_line: None,
        callback_number: "01055501234".to_owned(),
        next_call: None,
        today: jiff::civil::date(2026, 11, 23),
        earlier: None,
    }
}

fn heard(segments: &[Segment], lang: Lang) -> Vec<String> {
    let prompts = segments.iter().filter_map(|s| match s {
        Segment::Recorded { prompt, .. } => {
            let (folder, name) = prompt.0.split_once('/').expect("folder/name");
            Some(format!("{folder}/{lang}/{name}"))
        }
        Segment::Spoken(_) => None,
    });
    prompts.collect()
}

fn play(
    phone: &Phone,
    lines: &BTreeMap<String, String>,
    mut talk: Conversation,
    lang: Lang,
) -> Outcome {
    let mut used: BTreeMap<usize, u32> = BTreeMap::new();
    let mut transcript = String::new();
    let mut misses = Vec::new();
    let mut acts = talk.start();
    for _ in 0..60 {
        let mut said = Vec::new();
        for act in &acts {
            match act {
                Act::Say(segments) => {
                    said = heard(segments, lang);
                    let text: Vec<&str> = segments.iter().map(Segment::text).collect();
                    transcript.push_str(&format!("  R: {}\n", text.join(" ")));
                }
                Act::Note(note @ (Note::NotAssessed { .. } | Note::IdentityFailed)) => {
                    misses.push(format!("{note:?}"));
                }
                Act::Note(Note::TurnClosed { meaning }) => {
                    transcript.push_str(&format!("     [{meaning}]\n"));
                    if meaning == "unclear" || meaning == "silence" {
                        misses.push(format!(
                            "{meaning} after {}",
                            transcript.lines().rev().nth(1).unwrap_or_default()
                        ));
                    }
                }
                _ => {}
            }
        }
        if acts.contains(&Act::HangUp) || acts.is_empty() {
            talk.handle(Input::PromptDone);
            break;
        }
        talk.handle(Input::PromptDone);
        let reply = said.iter().rev().find_map(|prompt| {
            let at = phone.reply.iter().enumerate().position(|(i, r)| {
                let left = r
                    .times
                    .is_none_or(|t| used.get(&i).copied().unwrap_or(0) < t);
                left && r.hears.contains(prompt)
            })?;
            Some(at)
        });
        if let Some(at) = reply {
            *used.entry(at).or_default() += 1;
        }
        let reply = reply.map(|at| &phone.reply[at]);
        if reply.is_some_and(|r| r.hang_up) {
            break;
        }
        if let Some(keys) = reply.and_then(|r| r.keys.as_ref()) {
            transcript.push_str(&format!("  P: keys {keys}\n"));
            acts = talk.handle(Input::Keys(keys.trim_end_matches('#')));
            continue;
        }
        let clip = reply.and_then(|r| r.says.clone());
        let clip = clip.or_else(|| phone.otherwise.as_ref().map(|o| o.says.clone()));
        let Some(text) = clip.as_ref().and_then(|c| lines.get(c)) else {
            acts = talk.handle(Input::Silence);
            continue;
        };
        transcript.push_str(&format!("  P: {text}\n"));
        let tight = clip.is_some_and(|c| c.ends_with("chest_tight"));
        let verdict = Verdict {
            emergent: tight.then(|| ConceptId("chest_pain".to_owned())),
            ..Verdict::default()
        };
        acts = talk.handle(Input::Said {
            text,
            logprob: -0.2,
            verdict,
        });
    }
    Outcome {
        disposition: talk.disposition().to_string(),
        transcript,
        misses,
    }
}

#[test]
fn every_telephone_of_the_demo_gets_through_its_script() {
    let lines: BTreeMap<String, String> = table("audio/lines.tsv")
        .into_iter()
        .map(|row| (row[0].clone(), row[5].clone()))
        .collect();
    let expected =
        fs::read_to_string(root().join("fixtures/expected.toml")).expect("the expectations");
    let expected: Expected = toml::from_str(&expected).expect("expectations parse");
    let patients = fs::read_to_string(root().join("fixtures/patients.csv")).expect("the patients");
    let mut wrong = String::new();
    for line in patients.lines().skip(1) {
        let row: Vec<String> = line.split(',').map(str::to_owned).collect();
        let want = &expected.patient[&row[0]];
        let lang = Lang::parse(&row[4]).expect("zh or en");
        let phone = phone(&row[3]);
        let Some(disposition) = want.disposition.as_ref().filter(|_| phone.does == "answer") else {
            continue;
        };
        let talk = Conversation::new(script(&row[8], lang), facts(&row, lang, want.day));
        let outcome = play(&phone, &lines, talk, lang);
        let clean = outcome.misses.is_empty() || row[0] == "RH10003";
        if &outcome.disposition != disposition || !clean {
            wrong.push_str(&format!(
                "{}: {} instead of {disposition}; {:?}\n{}\n",
                row[0], outcome.disposition, outcome.misses, outcome.transcript
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn phone(number: &str) -> Phone {
    let folder = fs::read_dir(root().join("fixtures/phones")).expect("the telephones");
    for entry in folder {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_some_and(|e| e == "toml") {
            let text = fs::read_to_string(&path).expect("a readable telephone");
            let phone: Phone = toml::from_str(&text).expect("a telephone parses");
            if phone.number == number {
                return phone;
            }
        }
    }
    panic!("no telephone has the number")
}
