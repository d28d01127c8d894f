//! Work orders: `fixtures/work_order/*.toml`. Their life is in `order_life.rs`.

use aftercall_core::attempt::{AnsweredBy, CallNote, CallRecord, Disposition, Ending, Progress};
use aftercall_core::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, PlacedFinding, Polarity, Urgency, When,
};
use aftercall_core::id::{AttemptId, ConceptId, EpisodeId, NodeId, PatientId, WorkOrderId};
use aftercall_core::phi::Phi;
use aftercall_core::time::{self, Timestamp};
use aftercall_core::work_order::{
    Cause, Deadlines, Joined, Subject, WorkOrder, WorkOrderState, causes_of, join, raise,
};
use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raises {
    version: u32,
    case: Vec<RaiseCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RaiseCase {
    name: String,
    call: String,
    #[serde(default)]
    findings: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    causes: Vec<String>,
    urgency: Option<String>,
    due: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Joins {
    version: u32,
    case: Vec<JoinCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JoinCase {
    name: String,
    order: Vec<String>,
    #[serde(default)]
    acknowledged: bool,
    then: Vec<String>,
    after: i64,
    how: String,
    urgency: String,
    due: i64,
}

#[test]
fn what_a_call_left_becomes_what_a_human_gets() {
    let file: Raises = toml::from_str(include_str!("../../fixtures/work_order/raise.toml"))
        .expect("the fixture parses");
    assert_eq!(file.version, 1);
    for case in &file.case {
        let high_risk = case.call.contains("high_risk");
        let subject = subject(high_risk);
        let causes = causes_of(&case.record(), &subject);
        let kinds: Vec<String> = causes.iter().map(kind).collect();
        assert_eq!(kinds, case.causes, "{}", case.name);
        let order = raise(
            WorkOrderId("w".into()),
            &subject,
            causes,
            &deadlines(),
            friday(),
        );
        let urgency = order.as_ref().map(|order| order.urgency.to_string());
        assert_eq!(urgency, case.urgency, "{}", case.name);
        let due = order.map(|order| {
            deadlines()
                .zone
                .to_datetime(order.due_at)
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        });
        assert_eq!(due, case.due, "{}", case.name);
    }
}

#[test]
fn later_causes_join_and_urgency_only_rises() {
    let file: Joins = toml::from_str(include_str!("../../fixtures/work_order/join.toml"))
        .expect("the fixture parses");
    assert_eq!(file.version, 1);
    for case in &file.case {
        let mut order = order(&case.order);
        if case.acknowledged {
            order.state = WorkOrderState::Acknowledged;
            order.acknowledged_by = Some("nurse".into());
        }
        let now = friday() + SignedDuration::from_mins(case.after);
        let then = case.then.iter().map(|text| cause(text)).collect();
        let how = join(&mut order, then, false, &deadlines(), now);
        let how = match how {
            Joined::Nothing => "nothing",
            Joined::Added => "added",
            Joined::Reopened => "reopened",
        };
        assert_eq!(how, case.how, "{}", case.name);
        assert_eq!(order.urgency.to_string(), case.urgency, "{}", case.name);
        let due = order.due_at.duration_since(friday()).as_mins();
        assert_eq!(due, case.due, "{}", case.name);
        assert_eq!(
            how == "reopened",
            case.acknowledged && order.state == WorkOrderState::Open
        );
    }
}

pub fn friday() -> Timestamp {
    "2026-03-06T02:00:00Z".parse().expect("an instant")
}

pub fn deadlines() -> Deadlines {
    Deadlines::usual(time::zone("Asia/Shanghai").expect("a known zone"))
}

fn subject(high_risk: bool) -> Subject {
    Subject {
        patient: Some(PatientId("p".into())),
        episode: Some(EpisodeId("e".into())),
        attempt: Some(AttemptId("a".into())),
        high_risk,
    }
}

pub fn order(causes: &[String]) -> WorkOrder {
    let causes = causes.iter().map(|text| cause(text)).collect();
    raise(
        WorkOrderId("w".into()),
        &subject(false),
        causes,
        &deadlines(),
        friday(),
    )
    .expect("there is a cause")
}

fn cause(text: &str) -> Cause {
    match text.split_once(' ') {
        None => word_object(text),
        Some((concept, urgency)) => Cause::Finding {
            finding: Box::new(finding(&format!("{concept} present {urgency}"), 0)),
            attempt: Some(AttemptId("a".into())),
        },
    }
}

fn kind(cause: &Cause) -> String {
    let value = serde_json::to_value(cause).expect("causes serialise");
    value["kind"].as_str().expect("a kind").to_owned()
}

fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).expect("a known word")
}

fn word_object<T: DeserializeOwned>(kind: &str) -> T {
    serde_json::from_value(serde_json::json!({ "kind": kind })).expect("a known kind")
}

impl RaiseCase {
    fn record(&self) -> CallRecord {
        let mut words = self.call.split_whitespace();
        let disposition: Disposition = word(words.next().expect("a disposition"));
        let rest: Vec<&str> = words.collect();
        CallRecord {
            ending: Ending {
                disposition,
                sip_status: None,
                q850_cause: None,
                early_media: None,
                answered_by: AnsweredBy::Unsure,
                met: None,
                rang: true,
                talk_ms: 0,
            },
            progress: Progress {
                identified: rest.contains(&"identified"),
                screened: rest.contains(&"screened"),
                closing_spoken: false,
            },
            turns: Vec::new(),
            findings: (0..)
                .zip(&self.findings)
                .map(|(turn, text)| finding(text, turn))
                .collect(),
            suppressed: Vec::new(),
            line: None,
            notes: self.notes.iter().map(|text| note(text)).collect(),
        }
    }
}

fn note(text: &str) -> CallNote {
    match text.split_once(' ') {
        Some(("not_assessed", node)) => CallNote::NotAssessed {
            node: NodeId(node.into()),
        },
        Some(("call_back_at", words)) => CallNote::CallBackAt {
            words: Phi::new(words.into()),
        },
        Some(_) | None => word_object(text),
    }
}

/// `fever present same_day [denied]`
fn finding(text: &str, turn: u32) -> PlacedFinding {
    let words: Vec<&str> = text.split_whitespace().collect();
    let finding = Finding {
        concept: ConceptId(words[0].into()),
        detail: None,
        polarity: word::<Polarity>(words[1]),
        urgency: word::<Urgency>(words[2]),
        confirmation: words
            .get(3)
            .map(|text| word::<Confirmation>(text))
            .unwrap_or_default(),
        when: When::default(),
        subject: About::default(),
        evidence: Evidence {
            raw: "said".into(),
            normalised: "said".into(),
            span: (0, 4),
            term: "said".into(),
            level: MatchLevel::Text,
            pinyin: None,
            rules: Vec::new(),
            lexicon: "0".into(),
            engine: "0".into(),
        },
    };
    PlacedFinding {
        finding,
        turn,
        node: NodeId("n".into()),
        from_ms: 0,
        to_ms: 1,
        denied: None,
    }
}
