//! Reviews held to form and call, kappa against a hand-worked table, and rows that the labelled sets take.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::agreement::{About, agreement};
use super::form::{Form, read as read_forms};
use super::row::{Source, head, rows};
use super::{Is, Mark, Review, ReviewFault, Reviewed};
use crate::attempt::Turn;
use crate::finding::{PlacedFinding, Suppressed, Urgency};
use crate::id::{AttemptId, ConceptId};
use crate::lang::Lang;
use crate::redflag::{Concept, rows::read as read_rows};

const FORMS: &str = r#"
version = 1
[[form]]
id = "call"
revision = 2
zh = "通话"
en = "Call"
[[form.criterion]]
id = "identity"
zh = "身份"
en = "Identity"
options = [{ id = "yes", zh = "是", en = "yes", points = 2 }, { id = "no", zh = "否", en = "no", points = 0 }]
"#;

fn form() -> Form {
    read_forms("review.toml", FORMS)
        .expect("a sound file")
        .remove(0)
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("a record of this version")
}

fn evidence(raw: &str) -> Value {
    json!({
        "raw": raw, "normalised": raw, "span": [0, 1], "term": "", "level": "text", "pinyin": null, "rules": [],
        "lexicon": "", "engine": ""
    })
}

/// A turn, a finding in it, and one that was suppressed there.
struct Heard {
    turns: Vec<Turn>,
    findings: Vec<PlacedFinding>,
    suppressed: Vec<Suppressed>,
}

impl Heard {
    fn new(prompt: &str, reply: &str) -> Self {
        let heard = json!({ "text": reply, "logprob": -0.1, "no_speech": 0.0, "took_ms": 9 });
        let turn = json!({
            "index": 3, "node": "chest", "prompt": prompt, "kind": "yes_no", "asks": ["chest_pain"],
            "respondent": "patient", "prompt_from_ms": 0, "prompt_to_ms": 900,
            "reply": { "heard": heard, "keys": "", "meaning": "yes", "from_ms": 1000, "to_ms": 2000, "latency_ms": 400 }
        });
        let finding = json!({
            "concept": "chest_pain", "detail": null, "polarity": "present", "urgency": "emergent",
            "confirmation": "not_needed", "evidence": evidence(reply)
        });
        Self {
            turns: vec![read(turn)],
            findings: vec![read(
                json!({ "finding": finding, "turn": 3, "node": "chest", "from_ms": 1000, "to_ms": 2000 }),
            )],
            suppressed: vec![read(
                json!({ "concept": "dyspnea", "why": "masked", "evidence": evidence(reply) }),
            )],
        }
    }

    fn call(&self) -> Reviewed<'_> {
        Reviewed {
            turns: &self.turns,
            findings: &self.findings,
            suppressed: &self.suppressed,
        }
    }
}

fn review(identity: &str, marks: Vec<Mark>) -> Review {
    Review {
        form: "call".to_owned(),
        revision: 2,
        scores: [("identity".to_owned(), identity.to_owned())].into(),
        marks,
        ..Review::default()
    }
}

fn finding(is: Is) -> Mark {
    Mark::Finding { position: 0, is }
}

fn missed(from: usize, to: usize) -> Mark {
    Mark::Missed {
        turn: 3,
        span: (from, to),
        concept: ConceptId("fever".to_owned()),
    }
}

#[test]
fn a_review_speaks_of_its_form_and_of_what_is_in_the_call() {
    let heard = Heard::new("胸口疼吗？", "胸口有点闷");
    let check = |review: &Review| review.check(&form(), heard.call());
    let sound = review("yes", vec![finding(Is::Right), missed(0, 5)]);
    assert_eq!(check(&sound), Ok(()));
    let mut unscored = review("yes", vec![]);
    unscored.scores.clear();
    let mut other = review("yes", vec![]);
    other.scores.insert("tone".to_owned(), "yes".to_owned());
    let nowhere = Mark::Finding {
        position: 1,
        is: Is::Wrong,
    };
    for (review, fault, field) in [
        (
            unscored,
            ReviewFault::NoScore("identity".into()),
            "scores.identity",
        ),
        (
            other,
            ReviewFault::NoCriterion("tone".into()),
            "scores.tone",
        ),
        (
            review("perhaps", vec![]),
            ReviewFault::NoOption {
                criterion: "identity".into(),
                option: "perhaps".into(),
            },
            "scores.identity",
        ),
        (
            review("yes", vec![nowhere]),
            ReviewFault::NoFinding { at: 0 },
            "marks[0]",
        ),
        (
            review("yes", vec![missed(4, 6)]),
            ReviewFault::NoWord { at: 0, turn: 3 },
            "marks[0]",
        ),
        (
            review("yes", vec![missed(2, 2)]),
            ReviewFault::NoWord { at: 0, turn: 3 },
            "marks[0]",
        ),
        (
            review("yes", vec![finding(Is::Right), finding(Is::Wrong)]),
            ReviewFault::Twice { at: 1 },
            "marks[1]",
        ),
    ] {
        let found = check(&review).expect_err("it is wrong");
        assert_eq!((found.field().as_str(), &found), (field, &fault));
    }
}

#[test]
fn a_form_that_cannot_be_answered_is_refused_with_its_place() {
    let broken = |from: &str, to: &str| {
        read_forms("review.toml", &FORMS.replace(from, to))
            .expect_err("broken")
            .to_string()
    };
    for (from, to, said) in [
        (
            "version = 1",
            "version = 2",
            "review.toml: version: write version = 1",
        ),
        (
            "zh = \"身份\"",
            "zh = \"\"",
            "form `call`, criterion `identity`: a label is missing",
        ),
        (
            "id = \"no\"",
            "id = \"yes\"",
            "criterion `identity`: has an option twice",
        ),
        (
            "id = \"call\"",
            "id = \"the call\"",
            "form `the call`: an id has small letters",
        ),
        (
            ", { id = \"no\", zh = \"否\", en = \"no\", points = 0 }",
            "",
            "fewer than two options",
        ),
        (
            "revision = 2",
            "revision = 2\ncolour = 1",
            "unknown field `colour`",
        ),
    ] {
        let fault = broken(from, to);
        assert!(fault.contains(said), "{fault}");
    }
}

// Of 20 calls both say yes of 8, no of 6; only the first says yes of 2, only the second of 4: they agree on 0.70, by
// chance on 0.5·0.6 + 0.5·0.4 = 0.50, so that kappa is 0.40.
#[test]
fn agreement_is_cohens_kappa_over_the_calls_of_both() {
    let pairs: Vec<(Review, Review)> = [
        ("yes", "yes", 8),
        ("yes", "no", 2),
        ("no", "yes", 4),
        ("no", "no", 6),
    ]
    .into_iter()
    .flat_map(|(one, other, calls)| {
        let pair = (review(one, vec![]), review(other, vec![missed(0, 1)]));
        std::iter::repeat_n(pair, calls)
    })
    .chain([(
        review("yes", vec![]),
        Review {
            revision: 1,
            ..review("no", vec![])
        },
    )])
    .collect();
    let lines = agreement(&form(), &pairs);
    let about: Vec<_> = lines.iter().map(|line| line.about.clone()).collect();
    assert_eq!(
        about,
        [
            About::Criterion("identity".into()),
            About::Findings,
            About::Missed
        ]
    );
    assert_eq!((lines[0].items, lines[0].share), (20, Some(0.7)));
    let kappa = lines[0].kappa.expect("two classes").kappa;
    assert!((kappa - 0.4).abs() < 1e-12, "{kappa}");
    assert_eq!(
        (lines[1].items, lines[1].share, lines[1].kappa),
        (0, None, None)
    );
    assert_eq!((lines[2].items, lines[2].share), (20, Some(0.0)));
}

#[test]
fn only_findings_that_both_marked_are_compared() {
    let both = |one: Is, other: Is| {
        (
            review("yes", vec![finding(one)]),
            review("yes", vec![finding(other)]),
        )
    };
    let pairs = [
        both(Is::Right, Is::Right),
        both(Is::Wrong, Is::Wrong),
        both(Is::Right, Is::Wrong),
        (
            review("yes", vec![finding(Is::Right)]),
            review("yes", vec![]),
        ),
    ];
    let lines = agreement(&form(), &pairs);
    assert_eq!(lines[1].items, 3);
    assert!((lines[1].share.expect("items") - 2.0 / 3.0).abs() < 1e-12);
}

fn concepts() -> Vec<Concept> {
    ["chest_pain", "dyspnea", "fever", "cough"]
        .into_iter()
        .map(|id| Concept {
            id: ConceptId(id.to_owned()),
            zh: String::new(),
            en: String::new(),
            urgency: if id == "cough" {
                Urgency::Routine
            } else {
                Urgency::Urgent
            },
            family: id.to_owned(),
            event: false,
            onset: false,
        })
        .collect()
}

fn exported(lang: Lang, heard: &Heard, review: &Review) -> Vec<String> {
    let concepts = concepts();
    let source = Source {
        attempt: &AttemptId("018f-a".to_owned()),
        lang,
        names: &["李秀英".to_owned(), "Mei Wong".to_owned()],
        urgency: &|id| {
            concepts
                .iter()
                .find(|one| one.id == *id)
                .map(|one| one.urgency)
        },
    };
    rows(review, heard.call(), &source)
}

#[test]
fn a_corrected_finding_is_a_row_that_the_labelled_sets_take() {
    let heard = Heard::new("胸口疼吗？", "不疼，就是有点烧");
    let wrong = Mark::Suppressed {
        position: 0,
        is: Is::Wrong,
    };
    for (marks, expected, alert) in [
        (vec![finding(Is::Wrong)], vec![], false),
        (vec![finding(Is::Wrong), missed(0, 2)], vec!["fever"], true),
        (vec![wrong.clone()], vec!["chest_pain", "dyspnea"], true),
        (vec![finding(Is::Wrong), wrong], vec!["dyspnea"], true),
    ] {
        let rows = exported(Lang::Zh, &heard, &review("yes", marks));
        let text = format!("{}\n{}\n", head(), rows.join("\n"));
        let read = read_rows("field.tsv", Lang::Zh, &text, &concepts()).expect("a sound row");
        let found: Vec<_> = read[0]
            .expected
            .iter()
            .map(|(id, _)| id.0.as_str())
            .collect();
        assert_eq!((found, read[0].alert), (expected, alert), "{text}");
        assert_eq!((read.len(), read[0].category.as_str()), (1, "field"));
    }
    let nothing = review("yes", vec![finding(Is::Right)]);
    assert_eq!(
        exported(Lang::Zh, &heard, &nothing),
        [""; 0],
        "nothing was corrected"
    );
}

#[test]
fn a_row_does_not_say_who_it_was() {
    let table = [
        (
            Lang::Zh,
            "我是李秀英，电话13800001001",
            "我是某某，电话XXXXXXXXXXX",
        ),
        (
            Lang::Zh,
            "一三八零零零零一零零一，血压一百四",
            "XXXXXXXXXXX，血压一百四",
        ),
        (Lang::Zh, "1954年生的，血压140", "XXXX年生的，血压140"),
        (
            Lang::En,
            "this is Mei  Wong, mei's\tfine",
            "this is NAME, NAME's fine",
        ),
        (
            Lang::En,
            "meiosis and wonga at 120 over 80",
            "meiosis and wonga at 120 over 80",
        ),
    ];
    for (lang, said, left) in table {
        let rows = exported(
            lang,
            &Heard::new("？", said),
            &review("yes", vec![finding(Is::Wrong)]),
        );
        let cells: Vec<&str> = rows[0].split('\t').collect();
        assert_eq!(cells[6], left);
        assert!(!rows[0].contains("018f"), "{rows:?}");
    }
}
