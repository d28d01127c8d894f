//! The red-flag judgement as the program gives it: gates on our own rows, and the same bytes from every process.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use aftercall::eval::set::OWN;
use aftercall::redflags;
use aftercall_core::finding::{Polarity, Urgency};
use aftercall_core::lang::Lang;
use aftercall_core::redflag::rows::{self, Row};

fn own() -> Vec<Row> {
    let lexicon = redflags::load(None).expect("the built-in lexicon compiles");
    let read = |(name, lang): (&&str, Lang)| {
        let text = fs::read_to_string(name).expect("our rows are in the project");
        rows::read(name, lang, &text, lexicon.concepts()).expect("every row can be read")
    };
    OWN.iter()
        .zip([Lang::Zh, Lang::En])
        .flat_map(read)
        .collect()
}

/// What each set must reach: sensitivity, emergent concepts, specificity, F1. The goal is .97, .99, .93 and .90;
/// these hold what is reached, and only ever rise.
/// FIXME: the goal for emergent concepts. The rows were written to be hard, and mending for them one by one would only
/// fit them; what the engine made of each batch unseen stands at the head of its file.
const GATES: [(&str, [f64; 4]); 2] = [
    ("fixtures/redflag/rows.zh.tsv", [0.98, 0.98, 0.935, 0.90]),
    ("fixtures/redflag/rows.en.tsv", [0.97, 0.945, 0.97, 0.92]),
];

#[test]
fn our_own_rows_are_judged_no_worse_than_before() {
    for (set, gates) in GATES {
        let names = ["sensitivity", "emergent", "specificity", "f1"];
        let gates = names
            .iter()
            .zip(gates)
            .map(|(name, least)| format!("--min-{name}={least}"));
        let output = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(["redflags", "eval", set, "--errors=400"])
            .args(gates)
            .output()
            .expect("the program starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("not a clinician's"), "{printed}");
        assert!(
            output.status.success(),
            "{}\n{printed}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn our_own_rows_cover_every_concept_category_and_language() {
    let rows = own();
    assert!(rows.len() >= 2_000, "only {} rows", rows.len());
    let lexicon = redflags::load(None).expect("the built-in lexicon compiles");
    let mut thin = Vec::new();
    for concept in lexicon.concepts() {
        let polarities: Vec<Polarity> = rows
            .iter()
            .flat_map(|row| &row.expected)
            .filter(|(id, _)| *id == concept.id)
            .map(|(_, polarity)| *polarity)
            .collect();
        let there = |p: &&Polarity| matches!(p, Polarity::Present | Polarity::Uncertain);
        let present = polarities.iter().filter(there).count();
        let denied = polarities.len() - present;
        // A routine concept is only recorded: nothing hangs on its denials.
        let least = usize::from(concept.urgency != Urgency::Routine);
        if polarities.len() < 15 || present < 5 || denied < least {
            thin.push(format!("{}: {present} there, {denied} denied", concept.id));
        }
    }
    assert!(thin.is_empty(), "{}", thin.join("\n"));
    let mut categories: BTreeMap<&str, Vec<Lang>> = BTreeMap::new();
    for row in &rows {
        categories
            .entry(&row.category)
            .or_default()
            .push(row.question.lang);
    }
    for (category, langs) in categories {
        for lang in Lang::ALL {
            // Only a recogniser of Mandarin mistakes one character for another that sounds alike.
            assert!(langs.contains(&lang), "{category} has no rows in {lang}");
        }
    }
}

#[test]
fn every_process_prints_the_same_bytes() {
    let items: Vec<String> = own()
        .iter()
        .step_by(40)
        .map(|row| {
            let item = serde_json::json!({
                "id": row.id,
                "lang": row.question.lang,
                "question": row.question.text,
                "reply": row.reply,
                "context": {
                    "type": row.question.kind,
                    "asks": row.question.asks,
                    "respondent": row.question.respondent,
                },
            });
            item.to_string()
        })
        .collect();
    let items = items.join("\n");
    let assessed = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .arg("assess")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("it was piped");
        stdin.write_all(items.as_bytes()).expect("it reads");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success());
        output.stdout
    };
    let first = assessed();
    assert!(!first.is_empty());
    // 1,000 in a soak of 50, the project's goal.
    let times = option_env!("AFTERCALL_SOAK").unwrap_or("1");
    let times: u64 = times.parse().expect("AFTERCALL_SOAK is a number");
    for _ in 0..20 * times {
        assert!(assessed() == first, "two processes disagree");
    }
}
