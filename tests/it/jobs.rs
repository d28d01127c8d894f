//! The loops of the engine on a real store: the demo's lists through to work orders, and a crash.

use std::collections::BTreeMap;
use std::sync::Arc;

use aftercall::config::Config;
use aftercall::import::{read_discharges, read_do_not_call, save_discharges, save_do_not_call};
use aftercall::jobs::dial::{self, Lines, SignedScript, ToDial};
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules, escalate, notify, recover};
use aftercall::store::Store;
use aftercall::store::draft::{Publication, Published};
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::{AnsweredBy, CallNote, CallRecord, Disposition, Ending, Progress};
use aftercall_core::finding::{Confirmation, PlacedFinding, Urgency};
use aftercall_core::id::{AttemptId, NodeId};
use aftercall_core::import::Defaults;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Life, Patient};
use aftercall_core::phi::Phi;
use aftercall_core::plan::Pathways;
use aftercall_core::plan::{CallerId, Capacity, Pace, Step, StepState, TrunkHours, Window};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, WorkOrder};
use jiff::SignedDuration;
use jiff::civil::{Weekday, time};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;

use crate::record::{finding, master_key};

#[derive(Deserialize)]
pub(crate) struct Expected {
    pub(crate) patient: BTreeMap<String, Outcome>,
}

/// A row of `fixtures/expected.toml`, as far as the plan and the work orders go.
#[derive(Deserialize)]
pub(crate) struct Outcome {
    pub(crate) day: u16,
    pub(crate) rung: bool,
    pub(crate) refused: Option<String>,
    pub(crate) disposition: Option<String>,
    #[serde(default)]
    pub(crate) findings: Vec<String>,
    #[serde(default)]
    pub(crate) causes: Vec<String>,
    #[serde(default = "none")]
    pub(crate) work_order: String,
}

pub(crate) fn none() -> String {
    "none".to_owned()
}

/// The demo's lists in an empty store, at a Monday 10:00 in Shanghai.
pub(crate) struct Ward {
    pub(crate) store: Store,
    pub(crate) rules: Rules,
    pub(crate) lines: Lines,
    /// False: the ears are behind.
    pub(crate) room: watch::Sender<bool>,
    pub(crate) out: Sender<ToDial>,
    pub(crate) calls: Receiver<ToDial>,
    pub(crate) _folder: tempfile::TempDir,
}

impl Ward {
    pub(crate) async fn open(lines: u32) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}/jobs.db", folder.path().display());
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database opens");
        Self::on(store, folder, lines).await
    }

    /// The same on a new database; `folder` may hold it.
    pub(crate) async fn on(store: Store, folder: tempfile::TempDir, lines: u32) -> Self {
        let clock = PlanClock::set_to("2026-11-23T02:00:00Z".parse().expect("an instant"));
        let config = Config::default();
        let rules =
            Rules::of(&config, clock, crate::record::clinic()).expect("the defaults are lawful");
        let scripts = ["cardiac", "surgery", "general"]
            .into_iter()
            .flat_map(|pathway| {
                Lang::ALL.map(|lang| SignedScript {
                    pathway: pathway.to_owned(),
                    lang,
                    hash: "hash".to_owned(),
                })
            });
        let (room, has_room) = watch::channel(true);
        let lines = Lines {
            trunk: "loopback".to_owned(),
            lines,
            pace: Pace::new(None),
            callers: vec![CallerId {
                user: "4001".to_owned(),
                daily_cap: None,
            }],
            zone: config.zone(),
            scripts: scripts.collect(),
            published: Published::default(),
            has_room,
            capacity: Capacity::new(lines),
            pulse: Arc::default(),
            reach: None,
        };
        let (out, calls) = channel(64);
        let ward = Self {
            store,
            rules,
            lines,
            room,
            out,
            calls,
            _folder: folder,
        };
        ward.import(&config).await;
        ward
    }

    async fn import(&self, config: &Config) {
        let now = self.now();
        let defaults = Defaults {
            hospital: config.hospital.id.clone(),
            zone: config.hospital.zone.clone(),
            country: config.hospital.country.clone(),
            base: Some(now),
        };
        let list = read_discharges(
            include_bytes!("../../fixtures/patients.csv"),
            &defaults,
            None,
        );
        let blocked = read_do_not_call(include_bytes!("../../fixtures/do_not_call.csv"), "CN");
        save_do_not_call(&self.store, &blocked, "test", now)
            .await
            .expect("saved");
        let pathways = Pathways {
            list: Vec::new(),
            usual: config.cadence(),
        };
        let report = save_discharges(&self.store, &list, &pathways, "test", now)
            .await
            .expect("saved");
        assert_eq!((report.new_patients, report.refused), (report.accepted, 0));
        let again = save_discharges(&self.store, &list, &pathways, "test", now)
            .await
            .expect("saved");
        assert_eq!(
            (again.new_patients, again.new_episodes),
            (0, 0),
            "a second import is harmless"
        );
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.rules.clock.now()
    }

    /// Steps that wait for this reason.
    pub(crate) async fn waiting(&self, reason: &str) -> Vec<Step> {
        let page = PageRequest {
            limit: 200,
            after: None,
        };
        let steps = self.store.steps(None, &page).await.expect("a list").items;
        let mut waiting = steps;
        waiting.retain(|step| step.reason.starts_with(reason));
        waiting
    }

    pub(crate) async fn dial(&self) -> u32 {
        dial::once(&self.store, &self.rules, &mut self.lines.clone(), &self.out)
            .await
            .expect("a round")
    }

    pub(crate) fn recorder(&self) -> Recorder {
        Recorder::new(self.store.clone(), self.rules.clone())
    }

    pub(crate) async fn patients(&self) -> Vec<Patient> {
        let page = PageRequest {
            limit: 200,
            after: None,
        };
        self.store.patients(&page).await.expect("a list").items
    }

    pub(crate) async fn step(&self, patient: &Patient, day: u16) -> Step {
        let steps = self
            .store
            .steps(Some(&patient.id), &PageRequest::default())
            .await;
        let steps = steps.expect("a list").items;
        steps
            .into_iter()
            .find(|step| step.day == day)
            .expect("the day is planned")
    }

    pub(crate) async fn patient(&self, number: &str) -> Patient {
        let all = self.patients().await;
        let found = all.into_iter().find(|one| one.number.expose() == number);
        found.expect("the list has the number")
    }

    pub(crate) async fn order(&self, patient: &Patient) -> Option<WorkOrder> {
        let filter = WorkOrderFilter {
            state: None,
            patient: Some(patient.id.clone()),
            ..WorkOrderFilter::default()
        };
        let orders = self
            .store
            .work_orders(&filter, &PageRequest::default())
            .await;
        let mut orders = orders.expect("a list").items;
        assert!(orders.len() <= 1, "one open order an episode");
        orders.pop()
    }
}

#[tokio::test]
async fn the_demos_patients_are_rung_once_or_refused_and_get_their_orders() {
    let expected: Expected =
        toml::from_str(include_str!("../../fixtures/expected.toml")).expect("the fixture parses");
    let mut ward = Ward::open(4).await;
    let mut recorder = ward.recorder();
    let mut rung: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        let dialled = ward.dial().await;
        assert!(dialled <= 4, "no more calls than lines");
        assert_eq!(ward.dial().await, 0, "the lines are taken");
        for _ in 0..dialled {
            let call = ward.calls.recv().await.expect("a call for each dial");
            let number = call.patient.number.expose().clone();
            let outcome = &expected.patient[&number];
            assert_eq!(outcome.day, call.step.day, "{number}");
            *rung.entry(number).or_default() += 1;
            let record = outcome.record();
            tell(&mut recorder, &call.attempt, Told::Ringing).await;
            if record.progress.identified {
                tell(&mut recorder, &call.attempt, Told::Answered).await;
            }
            for (position, placed) in (0..).zip(&record.findings) {
                let placed = Box::new(placed.clone());
                let found = Told::Found { position, placed };
                tell(&mut recorder, &call.attempt, found).await;
            }
            tell(&mut recorder, &call.attempt, Told::Ended(Box::new(record))).await;
        }
        if dialled == 0 {
            break;
        }
    }
    for patient in ward.patients().await {
        let number = patient.number.expose();
        let outcome = &expected.patient[number];
        let step = ward.step(&patient, outcome.day).await;
        assert_eq!(
            rung.get(number).copied().unwrap_or(0),
            u32::from(outcome.rung),
            "{number}"
        );
        if let Some(refused) = &outcome.refused {
            assert!(
                step.reason.starts_with(&format!("{refused}: ")),
                "{number}: {}",
                step.reason
            );
        }
        let order = ward.order(&patient).await;
        let urgency = order
            .as_ref()
            .map_or(none(), |order| order.urgency.to_string());
        assert_eq!(urgency, outcome.work_order, "{number}");
        let causes: Vec<String> = order
            .iter()
            .flat_map(|order| &order.causes)
            .map(kind)
            .collect();
        assert_eq!(causes, outcome.causes, "{number}");
    }
    said_on_the_telephone_is_kept(&ward, &expected).await;
}

/// Death, refusal: the next steps are blocked by what the call reported.
async fn said_on_the_telephone_is_kept(ward: &Ward, expected: &Expected) {
    for patient in ward.patients().await {
        let outcome = &expected.patient[patient.number.expose()];
        let step = ward.step(&patient, outcome.day).await;
        match outcome.disposition.as_deref() {
            Some("reported_death") => {
                assert_eq!(patient.life, Life::ReportedDead);
                assert_eq!(step.state, StepState::Blocked);
            }
            Some("opted_out") => {
                let phone = patient.phone.as_ref().expect("it was rung");
                let listed = ward
                    .store
                    .suppressed_number(phone)
                    .await
                    .expect("an answer");
                assert!(listed.is_some());
                assert_eq!(step.state, StepState::Blocked);
            }
            Some("completed") => assert_eq!(step.state, StepState::Done),
            Some("not_now") => {
                let four = "2026-11-23T08:00:00Z".parse().expect("an instant");
                assert_eq!(step.next_at, four, "{}", step.reason);
            }
            Some("busy") => {
                assert_eq!(step.state, StepState::Planned);
                assert!(
                    step.reason.starts_with("too_soon: the line was busy"),
                    "{}",
                    step.reason
                );
            }
            Some(_) | None => {}
        }
    }
}

#[tokio::test]
async fn a_crash_closes_every_attempt_and_rings_nobody_before_policy_says() {
    let mut ward = Ward::open(4).await;
    assert_eq!(ward.dial().await, 4);
    let mut recorder = ward.recorder();
    let mut calls = Vec::new();
    for _ in 0..4 {
        calls.push(ward.calls.recv().await.expect("a call for each dial"));
    }
    // One dialling, one talking to somebody unknown, one identified, one identified and screened.
    let identified = Progress {
        identified: true,
        ..Progress::default()
    };
    let screened = Progress {
        screened: true,
        ..identified
    };
    for call in &calls[1..] {
        tell(&mut recorder, &call.attempt, Told::Ringing).await;
        tell(&mut recorder, &call.attempt, Told::Answered).await;
        tell(
            &mut recorder,
            &call.attempt,
            Told::Dialog("a dialog".to_owned()),
        )
        .await;
    }
    tell(
        &mut recorder,
        &calls[2].attempt,
        Told::Progressed(identified),
    )
    .await;
    tell(&mut recorder, &calls[3].attempt, Told::Progressed(screened)).await;
    // kill -9: the recorder is gone, and with it everything in memory.
    drop(recorder);

    let closed = recover::at_start(&ward.store, &ward.rules)
        .await
        .expect("recovered");
    assert_eq!(closed.len(), 4);
    assert_eq!(
        closed
            .iter()
            .filter(|broken| broken.dialog.is_some())
            .count(),
        3
    );
    for (index, call) in calls.iter().enumerate() {
        let row = ward
            .store
            .attempt(&call.attempt)
            .await
            .expect("the attempt");
        let ending = row.attempt.ending.expect("it was closed");
        assert_eq!(ending.disposition, Disposition::Interrupted);
        assert!(ending.rang, "in doubt it rang");
        let causes = ward.order(&call.patient).await.map(|order| order.causes);
        let incomplete = (index == 2).then(|| vec![Cause::Incomplete]);
        assert_eq!(causes, incomplete, "call {index}");
        let step = ward.step(&call.patient, call.step.day).await;
        assert_eq!(step.state, StepState::Planned);
        assert!(step.reason.starts_with("too_soon: "), "{}", step.reason);
        assert!(step.next_at > ward.now() + SignedDuration::from_mins(9));
    }
    assert_eq!(
        recover::at_start(&ward.store, &ward.rules)
            .await
            .expect("again"),
        []
    );
    let before: Vec<AttemptId> = calls.iter().map(|call| call.attempt.clone()).collect();
    ward.dial().await;
    while let Ok(call) = ward.calls.try_recv() {
        let same = calls
            .iter()
            .any(|earlier| earlier.patient.id == call.patient.id);
        assert!(
            !same && !before.contains(&call.attempt),
            "nobody is rung again so soon"
        );
    }
}

/// A crash between a doubtful finding and the answer to its confirming question loses nothing.
#[tokio::test]
async fn a_crash_raises_the_findings_whose_confirming_question_was_out() {
    for (settled, order) in [
        (None, Some(Confirmation::Unclear)),
        (Some(Confirmation::Confirmed), Some(Confirmation::Confirmed)),
        (Some(Confirmation::Denied), None),
    ] {
        let mut ward = Ward::open(1).await;
        assert_eq!(ward.dial().await, 1);
        let call = ward.calls.recv().await.expect("a call");
        let mut recorder = ward.recorder();
        tell(&mut recorder, &call.attempt, Told::Ringing).await;
        tell(&mut recorder, &call.attempt, Told::Answered).await;
        let identified = Progress {
            identified: true,
            screened: true,
            ..Progress::default()
        };
        let progressed = Told::Progressed(identified);
        tell(&mut recorder, &call.attempt, progressed).await;
        let mut placed = finding("chest_pain", Urgency::Emergent);
        tell_found(&mut recorder, &call.attempt, &placed).await;
        assert_eq!(ward.order(&call.patient).await, None, "still asked about");
        if let Some(settled) = settled {
            placed.finding.confirmation = settled;
            tell_found(&mut recorder, &call.attempt, &placed).await;
        }
        // kill -9: the recorder is gone, and with it everything in memory.
        drop(recorder);

        recover::at_start(&ward.store, &ward.rules)
            .await
            .expect("recovered");
        let kept = ward.store.call(&call.attempt).await.expect("the call");
        assert_eq!(kept.findings.len(), 1, "one finding, whatever became of it");
        let causes = ward.order(&call.patient).await.map(|order| order.causes);
        let raised = causes.as_deref().map(|causes| match causes {
            [Cause::Finding { finding, .. }] => finding.finding.confirmation,
            other => panic!("one cause, not {other:?}"),
        });
        assert_eq!(raised, order, "{settled:?}");
        let audited = usize::from(settled == Some(Confirmation::Denied));
        assert_eq!(kept.suppressed.len(), audited, "{settled:?}");
    }
}

/// A crash while somebody on call is being asked for leaves the order to call back.
#[tokio::test]
async fn a_crash_on_the_way_to_a_person_leaves_the_order() {
    let mut ward = Ward::open(1).await;
    assert_eq!(ward.dial().await, 1);
    let call = ward.calls.recv().await.expect("a call");
    let mut recorder = ward.recorder();
    for what in [Told::Ringing, Told::Answered, Told::AskedForPerson] {
        tell(&mut recorder, &call.attempt, what).await;
    }
    // kill -9: the recorder is gone, and with it everything in memory.
    drop(recorder);
    recover::at_start(&ward.store, &ward.rules)
        .await
        .expect("recovered");
    let causes = ward.order(&call.patient).await.map(|order| order.causes);
    assert_eq!(causes, Some(vec![Cause::AskedForPerson]));
}

async fn tell_found(recorder: &mut Recorder, attempt: &AttemptId, placed: &PlacedFinding) {
    let placed = Box::new(placed.clone());
    tell(
        recorder,
        attempt,
        Told::Found {
            position: 0,
            placed,
        },
    )
    .await;
}

/// The line drops in an emergency: the step is due again in two minutes, once.
#[tokio::test]
async fn a_line_that_drops_in_an_emergency_is_called_back_once() {
    let mut ward = Ward::open(1).await;
    assert_eq!(ward.dial().await, 1);
    let call = ward.calls.recv().await.expect("a call");
    let outcome = Outcome {
        day: call.step.day,
        rung: true,
        refused: None,
        disposition: Some("cut_in_emergency".to_owned()),
        findings: vec!["chest_pain present".to_owned()],
        causes: Vec::new(),
        work_order: "emergent".to_owned(),
    };
    let ended = Told::Ended(Box::new(outcome.record()));
    tell(&mut ward.recorder(), &call.attempt, ended.clone()).await;
    let step = ward.step(&call.patient, call.step.day).await;
    let rest = step.next_at.duration_since(ward.now()).as_secs();
    assert_eq!(step.state, StepState::Planned);
    assert!((115..=120).contains(&rest), "{rest} s");
    ward.rules.clock = PlanClock::set_to(step.next_at);
    assert_eq!(ward.dial().await, 1);
    let again = ward.calls.recv().await.expect("a call");
    assert_eq!(again.patient.id, call.patient.id, "before everybody else");
    tell(&mut ward.recorder(), &again.attempt, ended).await;
    let step = ward.step(&call.patient, call.step.day).await;
    assert_eq!(step.state, StepState::Unreached, "{}", step.reason);
    let order = ward.order(&call.patient).await.expect("an order");
    assert_eq!(order.urgency, Urgency::Emergent);
}

#[tokio::test]
async fn a_call_that_never_left_is_the_trunks_fault_and_uses_no_attempt() {
    let mut ward = Ward::open(1).await;
    assert_eq!(ward.dial().await, 1);
    let call = ward.calls.recv().await.expect("a call");
    tell(&mut ward.recorder(), &call.attempt, Told::NotStarted).await;
    let step = ward.step(&call.patient, call.step.day).await;
    assert!(
        step.reason.starts_with("too_soon: the trunk failed"),
        "{}",
        step.reason
    );
    assert_eq!(ward.order(&call.patient).await, None);
}

#[tokio::test]
async fn while_the_ears_are_behind_nobody_else_is_rung() {
    let ward = Ward::open(4).await;
    ward.room.send_replace(false);
    assert_eq!(ward.dial().await, 0, "those that talk are answered late");
    ward.room.send_replace(true);
    assert!(ward.dial().await > 0, "the ears have caught up");
}

#[tokio::test]
async fn without_a_signed_script_nobody_is_rung() {
    let mut ward = Ward::open(4).await;
    ward.lines.scripts.clear();
    assert_eq!(ward.dial().await, 0);
    assert!(!ward.waiting("no_script: ").await.is_empty());
}

#[tokio::test]
async fn nobody_is_dialled_until_what_was_taken_back_is_read() {
    let mut ward = Ward::open(4).await;
    let back = Publication {
        draft: None,
        why: "complaints".to_owned(),
        by: "admin".to_owned(),
        at: ward.rules.clock.now(),
    };
    let written = ward.store.publish_draft("cardiac", &back).await;
    written.expect("written");
    assert_eq!(ward.dial().await, 0);
    ward.lines.published = ward.store.published().await.expect("read");
    assert!(ward.dial().await > 0, "no step was put off meanwhile");
}

#[tokio::test]
async fn a_caller_id_rings_no_more_than_its_cap_allows_and_a_restart_forgets_nothing() {
    let mut ward = Ward::open(10).await;
    let caller = |user: &str, cap| CallerId {
        user: user.to_owned(),
        daily_cap: Some(cap),
    };
    ward.lines.callers = vec![caller("4001", 2), caller("4002", 1)];
    assert_eq!(ward.dial().await, 3);
    let mut shown = Vec::new();
    while let Ok(call) = ward.calls.try_recv() {
        shown.push(call.caller);
    }
    assert_eq!(shown, ["4001", "4001", "4002"]);
    let waiting = ward.waiting("caller_ids_used: ").await;
    assert!(!waiting.is_empty());
    let midnight: Timestamp = "2026-11-23T16:00:00Z".parse().expect("an instant");
    assert!(waiting.iter().all(|step| step.next_at == midnight));
    // The same day, after a restart, with one more caller id: the others stay used up.
    let url = format!("sqlite://{}/jobs.db", ward._folder.path().display());
    ward.store = Store::open(&url, &master_key())
        .await
        .expect("the database opens again");
    ward.lines.callers.push(caller("4003", 1));
    let midnight = midnight - SignedDuration::from_hours(16);
    let day = (midnight, midnight + SignedDuration::from_hours(24));
    let shown = ward
        .store
        .callers_shown("loopback", day)
        .await
        .expect("counts");
    assert_eq!(
        shown.into_iter().collect::<Vec<_>>(),
        [("4001".to_owned(), 2), ("4002".to_owned(), 1)]
    );
    let before = (midnight - SignedDuration::from_hours(24), midnight);
    for (trunk, day) in [("loopback", before), ("another", day)] {
        assert!(
            ward.store
                .callers_shown(trunk, day)
                .await
                .expect("counts")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_trunk_that_is_closed_rings_nobody_and_says_until_when() {
    let mut ward = Ward::open(4).await;
    // It is Monday, 10:00 at the hospital.
    let window = Window {
        days: vec![Weekday::Monday],
        from: time(14, 0, 0, 0),
        to: time(18, 0, 0, 0),
    };
    let hours = TrunkHours::new(&[window]);
    ward.rules.policy = ward.rules.policy.clone().on_trunk("loopback", hours);
    assert_eq!(ward.dial().await, 0);
    let waiting = ward.waiting("trunk_closed: ").await;
    let opens: Timestamp = "2026-11-23T06:00:00Z".parse().expect("an instant");
    assert!(!waiting.is_empty() && waiting.iter().all(|step| step.next_at == opens));
}

#[tokio::test]
async fn calls_are_begun_no_faster_than_the_trunk_takes_them() {
    let mut ward = Ward::open(4).await;
    ward.lines.pace = Pace::new(Some(0.1));
    let mut lines = ward.lines.clone();
    let mut begun = Vec::new();
    for _ in 0..2 {
        let dialled = dial::once(&ward.store, &ward.rules, &mut lines, &ward.out).await;
        begun.push(dialled.expect("a round"));
    }
    assert_eq!(begun, [1, 0]);
}

#[tokio::test]
async fn a_forgotten_order_climbs_and_the_outbox_is_delivered() {
    let mut ward = Ward::open(1).await;
    assert_eq!(ward.dial().await, 1);
    let call = ward.calls.recv().await.expect("a call");
    let mut placed = finding("chest_pain", Urgency::Emergent);
    placed.finding.confirmation = Confirmation::NotNeeded;
    tell(
        &mut ward.recorder(),
        &call.attempt,
        Told::Found {
            position: 0,
            placed: Box::new(placed),
        },
    )
    .await;
    assert_eq!(
        escalate::once(&ward.store, &ward.rules)
            .await
            .expect("a round"),
        0
    );
    let later = ward.now() + SignedDuration::from_mins(6);
    ward.rules.clock = PlanClock::set_to(later);
    assert_eq!(
        escalate::once(&ward.store, &ward.rules)
            .await
            .expect("a round"),
        1
    );
    assert_eq!(
        escalate::once(&ward.store, &ward.rules)
            .await
            .expect("a round"),
        0
    );
    let order = ward.order(&call.patient).await.expect("an order");
    assert_eq!((order.level, order.urgency), (1, Urgency::Emergent));
    assert!(
        notify::once(&ward.store, &ward.rules)
            .await
            .expect("a round")
            >= 2
    );
    assert_eq!(
        notify::once(&ward.store, &ward.rules)
            .await
            .expect("a round"),
        0
    );
}

pub(crate) async fn tell(recorder: &mut Recorder, attempt: &AttemptId, what: Told) {
    let report = Report {
        attempt: attempt.clone(),
        what,
    };
    assert!(recorder.record(&report).await, "saved");
}

impl Outcome {
    /// The record a call with this outcome leaves.
    pub(crate) fn record(&self) -> CallRecord {
        let disposition: Disposition = word(self.disposition.as_deref().expect("it was rung"));
        let completed = disposition == Disposition::Completed;
        let identified = completed || disposition == Disposition::Partial;
        // What a pack makes urgent is of the same day by itself.
        let by_pack = self.causes.iter().any(|cause| cause == "pack");
        let urgency = match self.work_order.as_str() {
            "emergent" => Urgency::Emergent,
            "urgent" if !by_pack => Urgency::Urgent,
            _ => Urgency::SameDay,
        };
        let placed = |text: &String| -> PlacedFinding {
            let (concept, polarity) = text.split_once(' ').expect("`concept polarity`");
            let mut placed = finding(concept, urgency);
            placed.finding.polarity = word(polarity);
            placed.finding.confirmation = Confirmation::NotNeeded;
            placed
        };
        let doubted =
            (completed && self.causes.iter().any(|cause| cause == "not_assessed")).then(|| {
                CallNote::NotAssessed {
                    node: NodeId("emergency_screen".to_owned()),
                }
            });
        let silent = matches!(
            disposition,
            Disposition::InvalidNumber | Disposition::Unreachable
        );
        CallRecord {
            ending: Ending {
                disposition,
                sip_status: None,
                q850_cause: None,
                early_media: None,
                answered_by: AnsweredBy::Unsure,
                met: None,
                rang: !silent,
                talk_ms: 1000,
            },
            progress: Progress {
                identified,
                screened: completed,
                closing_spoken: completed,
            },
            turns: Vec::new(),
            findings: self.findings.iter().map(placed).collect(),
            suppressed: Vec::new(),
            line: None,
            notes: note(disposition).into_iter().chain(doubted).collect(),
        }
    }
}

fn note(disposition: Disposition) -> Option<CallNote> {
    match disposition {
        Disposition::NotNow => Some(CallNote::CallBackAt {
            words: Phi::new("下午四点再打".to_owned()),
        }),
        Disposition::OptedOut => Some(CallNote::OptedOut),
        Disposition::ReportedDeath => Some(CallNote::ReportedDeath),
        Disposition::ReportedReadmission => Some(CallNote::ReportedReadmission),
        Disposition::AskedForPerson => Some(CallNote::AskedForPerson),
        _ => None,
    }
}

fn kind(cause: &Cause) -> String {
    let value = serde_json::to_value(cause).expect("causes serialise");
    value["kind"].as_str().expect("a kind").to_owned()
}

fn word<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).expect("a known word")
}
