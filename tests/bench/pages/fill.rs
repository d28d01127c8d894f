//! A year of a large hospital: each day some go home, and who is due is rung. Calls are begun and ended by the store, in the
//! transactions and under the keys of an engine; only how they went is dealt out here, the same at each run.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Instant;

use aftercall::config::Config;
use aftercall::import::{read_discharges, save_discharges};
use aftercall::store::attempt::{Begun, CallerMost, NewAttempt};
use aftercall::store::audit::AuditLine;
use aftercall::store::call::Finish;
use aftercall::store::step::StepChange;
use aftercall::store::work_order::{HowRaised, Raise};
use aftercall::store::{Store, StoreError, new_id};
use aftercall_core::attempt::{
    AnsweredBy, CallRecord, Disposition, Ending, Progress, Turn, TurnReply,
};
use aftercall_core::audit::draw;
use aftercall_core::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, PlacedFinding, Polarity, Urgency, When,
};
use aftercall_core::heard::Transcript;
use aftercall_core::id::{AttemptId, ConceptId, NodeId, StepId, WorkOrderId};
use aftercall_core::import::Defaults;
use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{Cadence, Pathways, Step, StepState};
use aftercall_core::question::{QuestionKind, Respondent};
use aftercall_core::review::Review;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Act, Cause, Deadlines, Outcome, Subject};
use futures_util::future::join_all;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

/// How much is in the database.
pub struct Hospital {
    pub patients: usize,
    pub calls: usize,
    pub open_orders: usize,
}

/// Over so many days they went home.
const DAYS: usize = 365;
const WARDS: usize = 24;
/// Calls that are written at once.
const AT_ONCE: usize = 8;
const AUDIT_LINES: usize = 20_000;
/// One of so many ended calls is reviewed, and every fourth of these twice.
const REVIEWED: usize = 400;
const SCRIPTS: [&str; 3] = ["cardiac", "surgery", "general"];
const CONCEPTS: [(&str, Urgency); 6] = [
    ("chest_pain", Urgency::Emergent),
    ("fever", Urgency::Urgent),
    ("dyspnea", Urgency::Urgent),
    ("wound_infection", Urgency::SameDay),
    ("calf_swelling_dvt", Urgency::Urgent),
    ("dizziness", Urgency::SameDay),
];
/// Asked in each call that talks, as nodes of the scripts.
const NODES: [&str; 9] = [
    "screen_chest",
    "screen_breath",
    "screen_faint",
    "weight_gain",
    "legs",
    "pressure",
    "medicines",
    "satisfaction",
    "recommend",
];
const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗";
const GIVEN: &str = "建国秀英志强丽华桂兰海燕明芳玉梅文军红霞";

/// What one database's year is made with.
struct Year<'a> {
    store: &'a Store,
    config: Config,
    deadlines: Deadlines,
    /// Orders that nobody has closed yet, the oldest first.
    open: VecDeque<WorkOrderId>,
    /// Calls so far, by step.
    tries: BTreeMap<StepId, u32>,
    made: usize,
}

/// Fills a new database; one that is full already stays as it is.
pub async fn fill(name: &str, store: &Store, size: &Hospital) {
    let known = store.attempts_by_disposition().await.expect("counted");
    let known: u64 = known.iter().map(|(_, calls)| calls).sum();
    if known > 0 {
        println!("{name}: {known} calls were kept");
        return;
    }
    let began = Instant::now();
    let mut year = Year {
        store,
        config: Config::default(),
        deadlines: Deadlines::usual(TimeZone::UTC),
        open: VecDeque::new(),
        tries: BTreeMap::new(),
        made: 0,
    };
    let today = Timestamp::now();
    for day in 0..DAYS {
        let at = today - SignedDuration::from_hours(24 * i64::try_from(DAYS - day).expect("few"));
        year.send_home(day, at, size.patients).await;
        year.ring(day, at, size).await;
        if day % 30 == 29 {
            let seconds = began.elapsed().as_secs();
            println!(
                "{name}: day {} of {DAYS}, {} calls, {seconds} s",
                day + 1,
                year.made
            );
        }
    }
    look(store, today).await;
    let seconds = began.elapsed().as_secs();
    let (calls, open) = (year.made, year.open.len());
    println!(
        "{name}: {} patients, {calls} calls, {open} open orders in {seconds} s",
        size.patients
    );
}

impl Year<'_> {
    /// Imports who goes home on a day.
    async fn send_home(&self, day: usize, at: Timestamp, patients: usize) {
        let mut text = String::from(
            "hospital_number,name,birth_date,phone,language,dialect,pathway,department,ward,discharged,encounter,consent,contacts\n",
        );
        for number in (patients * day / DAYS)..(patients * (day + 1) / DAYS) {
            let pick = |from: &str, at: usize| {
                let letters: Vec<char> = from.chars().collect();
                letters[at % letters.len()]
            };
            let name: String = [
                pick(SURNAMES, number),
                pick(GIVEN, number / 20),
                pick(GIVEN, number / 7),
            ]
            .into_iter()
            .collect();
            let (month, day, born) = (1 + number % 12, 1 + number % 28, 1930 + number % 60);
            let (script, ward) = (SCRIPTS[number % 3], number % WARDS);
            let dialect = ["", "sichuan", "cantonese"][number % 3];
            writeln!(
                text,
                "P{number},{name},{born}-{month:02}-{day:02},+86138{number:08},zh,{dialect},{script},D{},W{ward},-2d,E{number},\
                 written,李四:child:+86139{number:08}:health",
                number % 6
            )
            .expect("a string takes it");
        }
        let defaults = Defaults {
            hospital: "main".to_owned(),
            zone: "Asia/Shanghai".to_owned(),
            country: "CN".to_owned(),
            base: Some(at),
        };
        let list = read_discharges(text.as_bytes(), &defaults, None);
        assert!(list.problems.is_empty(), "{:?}", list.problems.first());
        let pathways = Pathways {
            list: Vec::new(),
            usual: Cadence::default(),
        };
        let saved = save_discharges(self.store, &list, &pathways, "bench", at).await;
        assert_eq!(saved.expect("saved").refused, 0);
    }

    /// Rings who is due on a day, some at once.
    async fn ring(&mut self, day: usize, at: Timestamp, size: &Hospital) {
        let evening = at + SignedDuration::from_hours(12);
        let mut today = 0;
        while self.made < size.calls {
            let due = self.store.claim_due_steps(
                evening,
                256,
                evening + SignedDuration::from_hours(1),
                "bench",
            );
            let due = due.await.expect("claimed");
            if due.is_empty() {
                break;
            }
            let left = size.calls - self.made;
            for some in due[..due.len().min(left)].chunks(AT_ONCE) {
                let calls: Vec<Call> = some
                    .iter()
                    .map(|step| self.call(step, day, &mut today, at))
                    .collect();
                let ended = join_all(calls.iter().map(|call| self.write(call))).await;
                self.open.extend(ended.into_iter().flatten());
            }
            while self.open.len() > size.open_orders {
                let oldest = self.open.pop_front().expect("there is one");
                self.close(&oldest, evening).await;
            }
        }
    }

    /// The next call of a step: when it is made, and how it goes.
    fn call(&mut self, step: &Step, day: usize, today: &mut i64, at: Timestamp) -> Call {
        let tries = self.tries.entry(step.id.clone()).or_default();
        *tries += 1;
        self.made += 1;
        *today += 1;
        Call {
            id: AttemptId(new_id()),
            nth: self.made,
            number: *tries,
            step: step.clone(),
            at: at + SignedDuration::from_secs(*today * 30 + i64::try_from(day % 7).expect("few")),
        }
    }

    /// Writes a call from its beginning to its end; returns the order that is new.
    async fn write(&self, call: &Call) -> Option<WorkOrderId> {
        let (new, finish) = (call.begun(), call.ended(&self.config, &self.deadlines));
        let begun = self.store.begin_attempt(&new).await.expect("begun");
        assert_eq!(begun, Begun::Dial);
        let ended = self.store.finish_attempt(&finish).await.expect("ended");
        if call.nth.is_multiple_of(REVIEWED) {
            self.review(&new.id, "wang.min", finish.at).await;
        }
        if call.nth.is_multiple_of(4 * REVIEWED) {
            self.review(&new.id, "zhou.lan", finish.at).await;
        }
        let raised = ended
            .raised
            .filter(|raised| matches!(raised.how, HowRaised::New))?;
        Some(raised.id)
    }

    async fn review(&self, call: &AttemptId, by: &str, at: Timestamp) {
        let review = Review {
            form: "call".to_owned(),
            ..Review::default()
        };
        let saved = self.store.save_review(call, by, &review, at).await;
        saved.expect("saved");
    }

    async fn close(&self, order: &WorkOrderId, at: Timestamp) {
        let outcome = Outcome::True;
        for act in [Act::Acknowledge, Act::Speak, Act::Close { outcome }] {
            let done = self
                .store
                .act_on_work_order(order, &act, "li.na", "", &self.deadlines, at);
            done.await.expect("allowed");
        }
    }
}

/// Who has looked at what: as many lines of the audit log as a year of some wards leaves.
async fn look(store: &Store, now: Timestamp) {
    for line in 0..AUDIT_LINES {
        let line = AuditLine {
            who: ["li.na", "wang.min", "zhao.gang"][line % 3],
            what: ["patient.read", "recording.listen", "work_order.list"][line % 3],
            subject: &format!("subject-{}", line % 5_000),
            detail: "",
            reason: None,
        };
        let written: Result<(), StoreError> = store.append_audit(&line, now).await;
        written.expect("written");
    }
}

/// One call of the year.
struct Call {
    id: AttemptId,
    /// Counted from 1 over the year: it deals out how the call goes.
    nth: usize,
    number: u32,
    step: Step,
    at: Timestamp,
}

impl Call {
    fn disposition(&self) -> Disposition {
        match self.nth % 20 {
            0..4 => Disposition::NoAnswer,
            4 => Disposition::Machine,
            5 => Disposition::Partial,
            6 => Disposition::WrongParty,
            _ => Disposition::Completed,
        }
    }

    fn begun(&self) -> NewAttempt {
        let phone = PhoneNumber::parse(&format!("+86138{:08}", self.nth));
        NewAttempt {
            inbound: false,
            id: self.id.clone(),
            step: Some(self.step.id.clone()),
            episode: Some(self.step.episode.clone()),
            patient: Some(self.step.patient.clone()),
            phone: phone.ok(),
            number: self.number,
            engine: "bench".to_owned(),
            leased_until: self.at + SignedDuration::from_secs(60),
            trunk: "loopback".to_owned(),
            caller: "4001".to_owned(),
            caller_most: CallerMost::default(),
            script: self.step.script.clone(),
            script_hash: "hash".to_owned(),
            day: self.step.day,
            lang: Lang::Zh,
            started_at: self.at,
        }
    }
    fn ended(&self, config: &Config, deadlines: &Deadlines) -> Finish {
        let disposition = self.disposition();
        let completed = disposition == Disposition::Completed;
        let talked = completed || disposition == Disposition::Partial;
        let findings = self.findings(talked);
        let cause = |placed: &PlacedFinding| Cause::Finding {
            finding: Box::new(placed.clone()),
            attempt: Some(self.id.clone()),
        };
        let causes = findings.iter().map(cause).collect();
        let record = CallRecord {
            ending: self.ending(disposition),
            progress: Progress {
                identified: talked,
                screened: completed,
                closing_spoken: completed,
            },
            turns: self.turns(match disposition {
                Disposition::Completed => NODES.len(),
                Disposition::Partial => 4,
                Disposition::WrongParty => 1,
                _ => 0,
            }),
            findings,
            suppressed: Vec::new(),
            line: None,
            notes: Vec::new(),
        };
        let again = !talked && self.number < 3;
        Finish {
            attempt: self.id.clone(),
            at: self.at + SignedDuration::from_secs(120),
            audit: draw(&config.sampling(), &self.id, &record),
            record,
            step: Some(StepChange {
                state: match (again, talked) {
                    (true, _) => StepState::Planned,
                    (false, true) => StepState::Done,
                    (false, false) => StepState::Unreached,
                },
                next_at: self.at + SignedDuration::from_hours(if again { 20 } else { 0 }),
                why: None,
            }),
            raise: Some(Raise {
                subject: Subject {
                    patient: Some(self.step.patient.clone()),
                    episode: Some(self.step.episode.clone()),
                    attempt: Some(self.id.clone()),
                    high_risk: false,
                },
                causes,
                deadlines: deadlines.clone(),
            }),
            message: None,
            suppress: None,
            reported_death: false,
            reported_readmission: false,
            asked_for: None,
        }
    }

    fn ending(&self, disposition: Disposition) -> Ending {
        let answered_by = match disposition {
            Disposition::NoAnswer => AnsweredBy::Nobody,
            Disposition::Machine => AnsweredBy::Machine,
            Disposition::WrongParty => AnsweredBy::Human,
            _ if self.nth.is_multiple_of(7) => AnsweredBy::Proxy,
            _ => AnsweredBy::Patient,
        };
        let is_answered = answered_by != AnsweredBy::Nobody;
        Ending {
            disposition,
            sip_status: Some(if is_answered { 200 } else { 480 }),
            q850_cause: Some(if is_answered { 16 } else { 19 }),
            early_media: None,
            answered_by,
            met: None,
            rang: true,
            talk_ms: if is_answered { 90_000 } else { 0 },
        }
    }

    fn turns(&self, count: usize) -> Vec<Turn> {
        let turn = |index: usize| {
            let begins = 10_000 * u64::try_from(index).expect("few");
            let meaning = match NODES[index] {
                "satisfaction" | "recommend" => (self.nth % 11).to_string(),
                _ if (self.nth + index).is_multiple_of(29) => "unclear".to_owned(),
                _ => "no".to_owned(),
            };
            Turn {
                index: u32::try_from(index).expect("few"),
                node: NodeId(NODES[index].to_owned()),
                prompt: Phi::new("这两天有没有觉得胸口疼或者发闷？".to_owned()),
                kind: Some(QuestionKind::YesNo),
                asks: vec![ConceptId("chest_pain".to_owned())],
                respondent: Respondent::Patient,
                prompt_from_ms: begins,
                prompt_to_ms: begins + 4_000,
                reply: Some(TurnReply {
                    heard: Phi::new(Transcript {
                        text: "没有，都挺好的，就是晚上睡得不太踏实".to_owned(),
                        logprob: -0.25,
                        no_speech: 0.0,
                        choice: None,
                        alternates: Vec::new(),
                        took_ms: 700,
                    }),
                    keys: Phi::new(String::new()),
                    meaning,
                    from_ms: begins + 5_000,
                    to_ms: begins + 7_000,
                    latency_ms: Some(900),
                    readings: Vec::new(),
                }),
            }
        };
        (0..count).map(turn).collect()
    }

    /// Every twelfth call that talks finds something.
    fn findings(&self, talked: bool) -> Vec<PlacedFinding> {
        if !talked || !self.nth.is_multiple_of(12) {
            return Vec::new();
        }
        let (concept, urgency) = CONCEPTS[self.nth / 12 % CONCEPTS.len()];
        let finding = Finding {
            concept: ConceptId(concept.to_owned()),
            detail: None,
            polarity: Polarity::Present,
            urgency,
            confirmation: Confirmation::Confirmed,
            when: When::default(),
            subject: About::default(),
            evidence: Evidence {
                raw: "胸口有点闷".into(),
                normalised: "胸口有点闷".into(),
                span: (0, 5),
                term: "胸口闷".to_owned(),
                level: MatchLevel::Text,
                pinyin: None,
                rules: Vec::new(),
                lexicon: "lexicon".to_owned(),
                engine: "redflag-1".to_owned(),
            },
        };
        vec![PlacedFinding {
            finding,
            turn: 0,
            node: NodeId(NODES[0].to_owned()),
            from_ms: 5_000,
            to_ms: 7_000,
            denied: None,
        }]
    }
}
