//! Trends: `fixtures/trend/lines.toml`, and what a line says to a human.

use std::sync::OnceLock;

use aftercall_core::attempt::{Turn, TurnReply};
use aftercall_core::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, PlacedFinding, Urgency, When,
};
use aftercall_core::id::{AttemptId, ConceptId, NodeId};
use aftercall_core::phi::Phi;
use aftercall_core::question::Respondent;
use aftercall_core::reading::{Measure, Reading};
use aftercall_core::time::Timestamp;
use aftercall_core::trend::{FILES, Graded, History, OVERALL, Outside, PastCall, Rules, trends};
use aftercall_core::work_order::{Cause, Subject, causes_of_packs, causes_of_trends, urgency_of};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    version: u32,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    calls: Vec<String>,
    #[serde(default)]
    outside: Vec<String>,
    expect: Vec<String>,
}

#[test]
fn every_line_goes_where_its_rule_says() {
    let file: Cases = toml::from_str(include_str!("../../fixtures/trend/lines.toml"))
        .expect("the fixture parses");
    assert_eq!(file.version, 1);
    let rules = rules();
    for case in &file.case {
        let lines = trends(&rules, &history(case));
        for expected in &case.expect {
            let (name, told) = expected.split_once(' ').expect("LINE and what it says");
            let line = lines.iter().find(|line| line.line.to_string() == name);
            let says = line.map_or("none".to_owned(), |line| {
                let urgency = line
                    .urgency
                    .map_or("-".to_owned(), |urgency| urgency.to_string());
                format!("{} {} {urgency}", line.direction, line.rule)
            });
            assert_eq!(says, told, "{}: {name}", case.name);
        }
    }
}

#[test]
fn a_line_reads_as_a_sentence_and_worse_lines_come_first() {
    let case = Case {
        name: String::new(),
        calls: vec![
            "3: overall better; fever absent; temperature_c 36.6".to_owned(),
            "7: overall better; fever present; temperature_c 38.5".to_owned(),
        ],
        outside: Vec::new(),
        expect: Vec::new(),
    };
    let lines = trends(&rules(), &history(&case));
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "temperature_c: 36.6 (day 3), 38.5 (day 7): worse by temperature.rise",
            "fever: absent (day 3), present (day 7): worse by concept.appeared",
            "overall: better (day 3), better (day 7): better by overall.better",
        ]
    );
}

/// A reading that came between two calls is told at the end of the next one, and once.
#[test]
fn what_was_known_at_the_call_before_is_no_cause() {
    let rules = rules();
    let mut case = Case {
        name: String::new(),
        calls: vec!["7: fever absent".to_owned()],
        outside: vec!["weight_kg 64 5 7".to_owned(), "weight_kg 67 6 7".to_owned()],
        expect: Vec::new(),
    };
    let subject = Subject {
        patient: None,
        episode: None,
        attempt: Some(AttemptId("a".to_owned())),
        high_risk: false,
    };
    let causes = causes_of_trends(&rules, &history(&case), &subject);
    let [Cause::Trend { trend, attempt }] = &causes[..] else {
        panic!("the weight is one cause: {causes:?}");
    };
    assert_eq!(trend.line.to_string(), "weight_kg");
    assert_eq!(trend.urgency, Some(Urgency::SameDay));
    assert_eq!(attempt, &subject.attempt);
    case.calls.push("14: fever absent".to_owned());
    assert_eq!(causes_of_trends(&rules, &history(&case), &subject), []);
    assert!(
        trends(&rules, &history(&case))
            .iter()
            .any(|line| line.rule == "weight.day"),
        "it is still shown"
    );
}

/// A pack raises what is routine by itself, and the order shows what it rests on.
#[test]
fn a_pack_makes_signs_together_more_urgent_and_says_why() {
    let lexicon = crate::redflag::lexicon();
    let told = call("3: bp_severe_high present; headache present; cough present");
    let causes = causes_of_packs(lexicon.packs(), &[], &told.findings, &[], None);
    let says: Vec<String> = causes
        .iter()
        .map(|cause| match cause {
            Cause::Finding { finding, .. } => finding.finding.concept.to_string(),
            Cause::Pack { rule, urgency, .. } => format!("{rule} {urgency}"),
            other => panic!("no pack makes {other:?}"),
        })
        .collect();
    assert_eq!(
        says,
        ["pressure-high urgent", "headache", "high-headache emergent"]
    );
    assert_eq!(urgency_of(&causes, false), Urgency::Emergent);
    let mut apart = told.findings.clone();
    apart[0].finding.subject = About::Newborn;
    let causes = causes_of_packs(lexicon.packs(), &[], &apart, &[], None);
    let combined = causes.iter().any(|cause| {
        matches!(
            cause,
            Cause::Pack {
                urgency: Urgency::Emergent,
                ..
            }
        )
    });
    assert!(
        !combined,
        "a newborn's sign and its mother's are not one picture"
    );
}

#[test]
fn a_month_of_readings_is_kept_and_no_more() {
    let outside = (0..40).map(|day| format!("weight_kg 64 {day} 7"));
    let case = Case {
        name: String::new(),
        calls: vec!["30: fever absent".to_owned()],
        outside: outside.collect(),
        expect: Vec::new(),
    };
    let lines = trends(&rules(), &history(&case));
    assert_eq!(lines[0].points.len(), 31);
    assert_eq!(lines[0].points.last().map(|point| point.day), Some(39));
}

#[test]
fn broken_rules_name_file_and_line() {
    let head =
        "rule\tline\tworse\twithin_days\tfrom\tbetter\torder_from\tconcept\turgency\tsource\n";
    let words = ("trend_words.tsv".to_owned(), "kind\twordings\n".to_owned());
    for (row, problem) in [
        (
            "w\tweight\t1\t1\t\t\t\tfever\tsame_day\tx",
            "unknown measure `weight`",
        ),
        (
            "w\tweight_kg\t1\t1\t\t\t\tbelly\tsame_day\tx",
            "unknown concept `belly`",
        ),
        (
            "w\tweight_kg\tone\t1\t\t\t\tfever\tsame_day\tx",
            "`one` is not a number",
        ),
        (
            "w\tweight_kg\t0\t1\t\t\t\tfever\tsame_day\tx",
            "a rule says which change is worse",
        ),
        (
            "w\tweight_kg\t1\t0\t\t\t\tfever\tsame_day\tx",
            "a window has one day at least",
        ),
        (
            "w\tweight_kg\t1\t1\t\t\t\tfever\troutine\tx",
            "a trend cannot raise `routine`",
        ),
        (
            "w\tweight_kg\t1",
            "expected 10 columns parted by tabs, found 3",
        ),
    ] {
        let numbers = (
            "trends.tsv".to_owned(),
            format!("# a comment\n{head}{row}\n"),
        );
        let refused = Rules::compile(&[numbers, words.clone()], graded());
        let errors = refused.expect_err("the row is broken");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, [format!("trends.tsv:3: {problem}")]);
    }
    let refused = Rules::compile(&[words], graded()).expect_err("a file is missing");
    assert_eq!(
        refused[0].to_string(),
        "trends.tsv: the file is missing from the lexicon"
    );
}

fn rules() -> Rules {
    let read = |name: &&str| {
        let path = format!(
            "{}/../../dialogs/redflags/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).expect("the file is in the repository");
        ((*name).to_owned(), text)
    };
    let files: Vec<(String, String)> = FILES.iter().map(read).collect();
    Rules::compile(&files, graded()).expect("the rules compile")
}

fn graded() -> Vec<Graded> {
    static CONCEPTS: OnceLock<Vec<Graded>> = OnceLock::new();
    let read = || {
        let lexicon = crate::redflag::lexicon();
        let concepts = lexicon.concepts().iter().map(|concept| Graded {
            id: concept.id.clone(),
            family: concept.family.clone(),
            urgency: concept.urgency,
        });
        concepts.collect()
    };
    CONCEPTS.get_or_init(read).clone()
}

fn history(case: &Case) -> History {
    History {
        calls: case.calls.iter().map(|text| call(text)).collect(),
        outside: case.outside.iter().map(|text| outside(text)).collect(),
    }
}

fn at(day: u16, hour: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + i64::from(day) * 86_400 + hour * 3600).expect("in range")
}

fn call(text: &str) -> PastCall {
    let (day, items) = text.split_once(": ").expect("DAY: items");
    let day: u16 = day.parse().expect("a day");
    let mut told = PastCall {
        day,
        at: at(day, 2),
        turns: Vec::new(),
        findings: Vec::new(),
    };
    for item in items.split("; ") {
        let words: Vec<&str> = item.split(' ').collect();
        let node = words.iter().find_map(|word| word.strip_prefix('@'));
        match Measure::named(words[0]) {
            Some(measure) => {
                told.turns
                    .push(turn(node.unwrap_or("asked"), words[1], Some(measure)))
            }
            None if words[0] == OVERALL_LINE => told.turns.push(turn(OVERALL, words[1], None)),
            None => told.findings.push(finding(item, node)),
        }
    }
    told
}

/// The name of the line that the overall question makes.
const OVERALL_LINE: &str = "overall";

fn turn(node: &str, meaning: &str, measure: Option<Measure>) -> Turn {
    let reading = measure.map(|measure| Reading {
        measure,
        value: meaning.parse().expect("a number"),
        span: (0, 0),
    });
    Turn {
        index: 0,
        node: NodeId(node.to_owned()),
        prompt: Phi::default(),
        kind: None,
        asks: Vec::new(),
        respondent: Respondent::Patient,
        prompt_from_ms: 0,
        prompt_to_ms: 0,
        reply: Some(TurnReply {
            heard: Phi::default(),
            keys: Phi::default(),
            meaning: meaning.to_owned(),
            from_ms: 0,
            to_ms: 0,
            latency_ms: None,
            readings: reading.into_iter().collect(),
        }),
    }
}

/// `CONCEPT POLARITY [CONFIRMATION] [START] [@NODE] [| words]`; START is where in the words it stands.
fn finding(item: &str, node: Option<&str>) -> PlacedFinding {
    let (told, words) = item.split_once(" | ").unwrap_or((item, ""));
    let parts: Vec<&str> = told
        .split(' ')
        .filter(|part| !part.starts_with('@'))
        .collect();
    let start = parts.iter().find_map(|part| part.parse().ok()).unwrap_or(0);
    let confirmation = parts[2..]
        .iter()
        .find(|part| part.parse::<usize>().is_err());
    let concept = graded()
        .into_iter()
        .find(|concept| concept.id.0 == parts[0]);
    PlacedFinding {
        finding: Finding {
            concept: ConceptId(parts[0].to_owned()),
            detail: None,
            subject: About::Patient,
            when: When::Unclear,
            polarity: word(parts[1]),
            urgency: concept.expect("a concept of the lexicon").urgency,
            confirmation: confirmation.map_or(Confirmation::NotNeeded, |text| word(text)),
            evidence: Evidence {
                raw: words.into(),
                normalised: words.into(),
                span: (start, start),
                term: String::new(),
                level: MatchLevel::Text,
                pinyin: None,
                rules: Vec::new(),
                lexicon: String::new(),
                engine: String::new(),
            },
        },
        turn: 0,
        node: NodeId(node.unwrap_or("asked").to_owned()),
        from_ms: 0,
        to_ms: 0,
        denied: None,
    }
}

fn outside(text: &str) -> Outside {
    let parts: Vec<&str> = text.split(' ').collect();
    let day = parts[2].parse().expect("a day");
    Outside {
        measure: Measure::named(parts[0]).expect("a measure"),
        value: parts[1].parse().expect("a number"),
        day,
        at: at(day, parts[3].parse().expect("an hour")),
    }
}

fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).expect("a word of the core")
}
