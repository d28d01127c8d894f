//! `fixtures/plan/next_step.toml`.

use aftercall_core::attempt::Disposition;
use aftercall_core::patient::{ConsentBasis, Episode, EpisodeState, Hearing, Life, Patient};
use aftercall_core::plan::{
    Cadence, CallingPolicy, NextStep, PastAttempt, PlanInput, Step, StepState, enroll, next_step,
};
use aftercall_core::time::{self, Timestamp};
use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{episode, patient};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "shanghai")]
    zone: String,
    #[serde(default = "second_of_march")]
    discharged: String,
    now: String,
    #[serde(default)]
    past: Vec<String>,
    #[serde(default)]
    others: Vec<String>,
    #[serde(default)]
    with: Vec<String>,
    expect: String,
}

fn shanghai() -> String {
    "Asia/Shanghai".into()
}

fn second_of_march() -> String {
    "2026-03-02 11:00".into()
}

#[test]
fn every_decision_of_the_table_is_made_and_explained() {
    let file: File = toml::from_str(include_str!("../../../fixtures/plan/next_step.toml"))
        .expect("the fixture parses");
    assert_eq!(file.version, 1);
    let failures: Vec<String> = file
        .case
        .iter()
        .filter_map(|case| case.check().err())
        .collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

impl Case {
    fn check(&self) -> Result<(), String> {
        let zone = time::zone(&self.zone).expect("the case names a known zone");
        let mut patient = patient(&self.zone);
        let mut episode = episode(local(&zone, &self.discharged));
        let mut step = enroll(&patient, &episode, &Cadence::default()).remove(0);
        let suppressed = self.with.iter().any(|word| word == "suppressed");
        for change in &self.with {
            apply(change, &mut patient, &mut episode, &mut step);
        }
        let attempts: Vec<PastAttempt> = self.past.iter().map(|text| past(&zone, text)).collect();
        let others = self.others.iter().map(|text| past(&zone, text));
        let number_attempts: Vec<PastAttempt> = attempts.iter().cloned().chain(others).collect();
        let policy = CallingPolicy::default();
        let input = PlanInput {
            step: &step,
            patient: &patient,
            episode: &episode,
            attempts: &attempts,
            number_attempts: &number_attempts,
            suppressed,
            live_on_number: false,
            policy: &policy,
        };
        let found = next_step(&input, local(&zone, &self.now));
        self.compare(&zone, &found)
    }

    fn compare(&self, zone: &TimeZone, found: &NextStep) -> Result<(), String> {
        let (shown, words) = match found {
            NextStep::DialNow(_) => ("dial".to_owned(), "-"),
            NextStep::Wait { until, why } => {
                let until = zone
                    .to_datetime(*until)
                    .strftime("%Y-%m-%d %H:%M")
                    .to_string();
                (format!("wait {until} {}", why.code), why.words.as_str())
            }
            NextStep::Finished(state, why) => {
                (format!("finished {state} {}", why.code), why.words.as_str())
            }
        };
        let fits = match self.expect.split_once("..") {
            None => shown == self.expect,
            Some((least, rest)) => {
                let (most, code) = rest.rsplit_once(' ').expect("a range ends with a code");
                let most = format!("wait {most} {code}");
                let least = format!("{least} {code}");
                // The texts sort as their times do.
                shown.ends_with(code) && (least..=most).contains(&shown)
            }
        };
        if !fits || words.is_empty() {
            return Err(format!(
                "{}: expected {}, found {shown} ({words})",
                self.name, self.expect
            ));
        }
        Ok(())
    }
}

fn local(zone: &TimeZone, text: &str) -> Timestamp {
    let local: DateTime = text
        .replacen(' ', "T", 1)
        .parse()
        .expect("a local date and time");
    zone.to_timestamp(local).expect("within range")
}

/// `2026-03-05 10:00 busy [silent] [asked 2026-03-05 15:30]`
fn past(zone: &TimeZone, text: &str) -> PastAttempt {
    let started_at = local(zone, &text[..16]);
    let mut words = text[16..].split_whitespace();
    let disposition = words.next().expect("a disposition");
    let live = disposition == "live";
    let rest: Vec<&str> = words.collect();
    let asked = rest.iter().position(|word| *word == "asked");
    PastAttempt {
        started_at,
        ended_at: (!live).then(|| started_at + SignedDuration::from_mins(1)),
        rang: !rest.contains(&"silent"),
        disposition: (!live).then(|| word::<Disposition>(disposition)),
        early_media: None,
        asked_for: asked.map(|at| local(zone, &rest[at + 1..].join(" "))),
    }
}

fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).expect("a known word")
}

fn apply(change: &str, patient: &mut Patient, episode: &mut Episode, step: &mut Step) {
    match change.split_once(' ').unwrap_or((change, "")) {
        ("suppressed", _) => {}
        ("consent", basis) => patient.consent.basis = word::<ConsentBasis>(basis),
        ("zone", zone) => patient.zone = zone.to_owned(),
        ("state", state) => step.state = word::<StepState>(state),
        ("dead" | "reported_dead", _) => patient.life = word::<Life>(change),
        ("readmitted" | "reported_readmitted" | "cancelled", _) => {
            episode.state = word::<EpisodeState>(change);
        }
        ("deaf", _) => patient.hearing = Hearing::Deaf,
        ("no_phone", _) => patient.phone = None,
        (other, _) => panic!("the fixture says `{other}`, which the test does not know"),
    }
}
