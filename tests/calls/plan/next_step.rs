//! `fixtures/plan/next_step.toml`.

use aftercall_core::attempt::Disposition;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient, Relation, Topic,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::learn::HourOfWeek;
use aftercall_core::plan::{
    Cadence, CallingPolicy, DepartmentTerms, Holidays, Minors, NextStep, NumberFacts, OnHolidays,
    PastAttempt, PlanInput, Profile, SetHours, Standing, Step, StepState, Terms, TrunkHours,
    Window, Wishes, enroll, next_step,
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
        let mut house = House::new(&zone);
        for change in &self.with {
            let who = (&mut patient, &mut episode, &mut step);
            if !house.apply(change) {
                apply(change, who);
            }
        }
        let attempts: Vec<PastAttempt> = self.past.iter().map(|text| past(&zone, text)).collect();
        let others = self.others.iter().map(|text| past(&zone, text));
        let on_number: Vec<PastAttempt> = attempts.iter().cloned().chain(others).collect();
        let facts = |number: &PhoneNumber| NumberFacts {
            number: number.clone(),
            attempts: on_number.clone(),
            suppressed,
        };
        let contacts = patient
            .contacts
            .iter()
            .filter_map(|contact| contact.phone.as_ref());
        let mut numbers: Vec<NumberFacts> = patient.phone.iter().map(facts).collect();
        numbers.extend(contacts.map(|number| NumberFacts {
            number: number.clone(),
            attempts: Vec::new(),
            suppressed: false,
        }));
        let policy = CallingPolicy::new(&house.terms).expect("the case is lawful");
        let policy = policy.on_trunk("carrier", house.trunk);
        let policy = policy.with_hours(&house.set);
        let input = PlanInput {
            step: &step,
            patient: &patient,
            episode: &episode,
            attempts: &attempts,
            numbers: &numbers,
            wishes: house.wishes.as_ref(),
            closed: &house.closed,
            standing: house.standing,
            rota: None,
            policy: &policy,
        };
        let found = next_step(&input, local(&zone, &self.now));
        self.compare(&zone, &found)
    }

    fn compare(&self, zone: &TimeZone, found: &NextStep) -> Result<(), String> {
        let (shown, words) = match found {
            NextStep::DialNow(order) if self.expect.contains(' ') => {
                (format!("dial {}", order.number.expose()), "-".to_owned())
            }
            NextStep::DialNow(_) => ("dial".to_owned(), "-".to_owned()),
            NextStep::Wait { until, why } => {
                let until = zone
                    .to_datetime(*until)
                    .strftime("%Y-%m-%d %H:%M")
                    .to_string();
                (format!("wait {until} {}", why.code()), why.words(Lang::En))
            }
            NextStep::Finished(state, why) => (
                format!("finished {state} {}", why.code()),
                why.words(Lang::En),
            ),
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
        number: Some(PhoneNumber::parse("1000").expect("a user part")),
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

/// What a case says of the hospital.
struct House {
    zone: TimeZone,
    terms: Terms,
    trunk: Option<TrunkHours>,
    set: Vec<SetHours>,
    wishes: Option<Wishes>,
    closed: Vec<HourOfWeek>,
    standing: Standing,
}

impl House {
    fn new(zone: &TimeZone) -> Self {
        Self {
            zone: zone.clone(),
            terms: Terms {
                zone: zone.clone(),
                ..Terms::default()
            },
            trunk: None,
            set: Vec::new(),
            wishes: None,
            closed: Vec::new(),
            standing: Standing::default(),
        }
    }

    /// False where the change is not the hospital's.
    fn apply(&mut self, change: &str) -> bool {
        let terms = &mut self.terms;
        match change.split_once(' ').unwrap_or((change, "")) {
            ("minors", who) => terms.minors = word::<Minors>(who),
            ("max_age", hours) => {
                let hours = hours.parse().expect("hours");
                terms.record_max_age = Some(SignedDuration::from_hours(hours));
            }
            ("seen", at) => self.standing.record_seen_at = Some(local(&self.zone, at)),
            ("ward_unanswered", _) => self.standing.ward_unanswered = true,
            ("paused", _) => self.standing.paused = true,
            ("duty", hours) => terms.duty = windows(hours),
            ("windows", hours) => {
                terms.windows = windows(hours);
                terms.noon_rest = None;
            }
            ("weekdays", _) => {
                for window in &mut terms.windows {
                    window.days.truncate(5);
                }
            }
            ("holidays", how) => {
                terms.on_holidays = word::<OnHolidays>(how);
                terms.holidays = Some(Holidays::parse(Holidays::CN).expect("the shipped file"));
            }
            ("law", profile) => {
                terms.law = word::<Profile>(profile);
                terms.caps.per_day = 1;
                terms.caps.per_24h = 3;
            }
            ("department", hours) => {
                let department = DepartmentTerms {
                    windows: Some(windows(hours)),
                    per_day: None,
                };
                // The record of `episode` names none.
                terms.departments.insert(String::new(), department);
            }
            ("wishes", hours) => self.wishes = Some(Wishes::new(&windows(hours)).expect("sound")),
            ("closed", hour) => self.closed.push(hour.parse().expect("an hour of the week")),
            ("written_only", _) => terms.consent = vec![ConsentBasis::Written],
            ("set", hours) => self.set.push(set_hours(None, hours)),
            // The record of `episode` names none.
            ("set_department", hours) => {
                self.set.push(set_hours(Some(String::new()), hours));
            }
            ("trunk", hours) => self.trunk = TrunkHours::new(&windows(hours)),
            _ => return false,
        }
        true
    }
}

fn windows(hours: &str) -> Vec<Window> {
    let (from, to) = hours.split_once(' ').expect("FROM TO");
    let time = |text: &str| text.parse().expect("a time");
    vec![Window::daily(time(from), time(to))]
}

fn set_hours(department: Option<String>, hours: &str) -> SetHours {
    let open: Vec<_> = windows(hours)
        .iter()
        .map(|window| (window.from, window.to))
        .collect();
    SetHours {
        department,
        week: std::array::from_fn(|_| open.clone()),
    }
}

fn contact(text: &str) -> Contact {
    let mut words = text.split(' ');
    let mut next = || words.next().expect("RELATION NUMBER TOPIC");
    Contact {
        name: Phi::new("Test Contact".into()),
        relation: word::<Relation>(next()),
        phone: Some(PhoneNumber::parse(next()).expect("a number")),
        topics: vec![word::<Topic>(next())],
    }
}

fn apply(change: &str, (patient, episode, step): (&mut Patient, &mut Episode, &mut Step)) {
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
        ("phone", number) => {
            patient.phone = Some(PhoneNumber::of_record(number).expect("a number"))
        }
        ("contact", text) => patient.contacts.push(contact(text)),
        ("born", date) => patient.birth_date = Phi::new(date.parse().expect("a date")),
        (other, _) => panic!("the fixture says `{other}`, which the test does not know"),
    }
}
