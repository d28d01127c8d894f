//! Somebody rings the engine: SIPp over real UDP, and what is decided of numbers on a real store.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aftercall::cli::why::text;
use aftercall::config::Config;
use aftercall::jobs::dial::SignedScript;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::ring_back::{Desk, Taken, take};
use aftercall::jobs::why::of_patient;
use aftercall::jobs::{PlanClock, Rules};
use aftercall::run::Engine;
use aftercall::store::Store;
use aftercall::store::attempt::AttemptRow;
use aftercall::store::draft::Publication;
use aftercall::store::new_id;
use aftercall::store::page::PageRequest;
use aftercall_core::attempt::{AttemptState, Disposition};
use aftercall_core::id::{AttemptId, PatientId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Life, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::plan::StepState;
use aftercall_core::script::RingBack;
use aftercall_core::time::Timestamp;
use jiff::tz::TimeZone;
use tokio::time::timeout;

use crate::drafts::signed_draft;
use crate::process::Process;
use crate::record::{ENGINE, calling, clinic, enrol, enrolment, finish, master_key, phone};
use crate::sipp::{free_port, ran_to_its_end};

/// A Monday, 10:00 in Shanghai; the call of day 3 is due since the day before, and not dialled before the evening.
const MORNING: &str = "2026-09-21T02:00:00Z";

fn morning() -> Timestamp {
    MORNING.parse().expect("an instant")
}

/// A new store, and the rules of that morning.
async fn ward(folder: &Path) -> (Store, Rules) {
    let url = format!("sqlite://{}/rings.db", folder.display());
    let store = Store::open(&url, &master_key())
        .await
        .expect("a new database opens");
    let clock = PlanClock::set_to(morning());
    let rules = Rules::of(&Config::default(), clock, clinic()).expect("the defaults are lawful");
    let engine = ENGINE.to_owned();
    (store, Rules { engine, ..rules })
}

fn desk() -> Desk {
    let script = |lang| SignedScript {
        pathway: "cardiac".to_owned(),
        lang,
        hash: "hash".to_owned(),
    };
    Desk {
        trunk: "loopback".to_owned(),
        scripts: Lang::ALL.map(script).to_vec(),
    }
}

/// The number rings; what is decided, and under which name.
async fn rings(
    store: &Store,
    rules: &Rules,
    desk: &Desk,
    number: &str,
) -> (AttemptId, Option<Taken>) {
    let attempt = AttemptId(new_id());
    let taken = take(store, rules, desk, &attempt, &[phone(number)]).await;
    (attempt, taken.expect("the database answers"))
}

fn kind(taken: &Option<Taken>) -> Option<RingBack> {
    taken.as_ref().map(|taken| taken.kind)
}

#[tokio::test]
async fn a_step_that_a_ring_back_completes_is_done_and_no_ring_is_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, rules) = ward(folder.path()).await;
    let (_, enrolled) = enrol(&store, "1").await;
    let desk = desk();
    let number = "+8613800000001";
    let mut recorder = Recorder::new(store.clone(), rules.clone());
    // Hung up before they said who they are: the plan is as it was.
    for (disposition, state) in [
        (Disposition::Unidentified, StepState::Planned),
        (Disposition::Completed, StepState::Done),
    ] {
        let (attempt, taken) = rings(&store, &rules, &desk, number).await;
        assert_eq!(kind(&taken), Some(RingBack::Resume));
        let row = store
            .attempt(&attempt)
            .await
            .expect("on disk before the answer");
        assert!(row.inbound && row.attempt.state == AttemptState::Dialling);
        assert_eq!(row.attempt.step, Some(enrolled.steps[0].id.clone()));
        // Meanwhile nobody dials the step or the number.
        let again = rings(&store, &rules, &desk, number).await;
        assert!(again.1.is_none(), "one call at a time");
        let new = crate::record::new_attempt(&enrolled.steps[0], None);
        let mut record = finish(&new, disposition, vec![]).record;
        record.ending.rang = false;
        for what in [Told::Ringing, Told::Answered, Told::Ended(Box::new(record))] {
            let attempt = attempt.clone();
            assert!(recorder.record(&Report { attempt, what }).await);
        }
        let step = store.step(&enrolled.steps[0].id).await.expect("there");
        assert_eq!(step.state, state, "{}", step.reason);
        let (called, since) = (
            phone(number),
            morning() - jiff::SignedDuration::from_hours(1),
        );
        let past = store.past_attempts_of_number(&called, since);
        let past = past.await.expect("asked");
        assert!(
            past.iter().all(|past| !past.rang),
            "no ring of the patient: {past:?}"
        );
    }
    // Day 7 is still to come: there is nothing to ask, and a person is found.
    let (_, taken) = rings(&store, &rules, &desk, number).await;
    assert_eq!(kind(&taken), Some(RingBack::Person));
}

#[tokio::test]
async fn a_number_that_is_not_one_patients_is_a_strangers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, rules) = ward(folder.path()).await;
    let desk = desk();
    enrol(&store, "1").await;
    let two = "+8613800000002";
    let (known, _) = enrol(&store, "2").await;
    assert_eq!(
        kind(&rings(&store, &rules, &desk, "+8613999999999").await.1),
        Some(RingBack::Stranger)
    );
    let mut shared = enrolment("3");
    shared.patient.phone = Some(phone("+8613800000001"));
    let saved = store
        .save_patient_with_episode_and_steps(&shared, "test", morning())
        .await;
    saved.expect("saved");
    let (attempt, taken) = rings(&store, &rules, &desk, "+8613800000001").await;
    assert_eq!(
        kind(&taken),
        Some(RingBack::Stranger),
        "two patients share it"
    );
    let row = store.attempt(&attempt).await.expect("a row of its own");
    assert_eq!(
        (row.patient, row.attempt.callee),
        (None, None),
        "nothing of who it may be"
    );
    let dead: &PatientId = &known.patient;
    store
        .set_life(dead, Life::Dead, morning())
        .await
        .expect("saved");
    assert_eq!(
        kind(&rings(&store, &rules, &desk, two).await.1),
        Some(RingBack::Stranger)
    );
}

#[tokio::test]
async fn out_of_hours_nothing_is_resumed_and_a_live_call_is_busy() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, rules) = ward(folder.path()).await;
    let (_, enrolled) = enrol(&store, "1").await;
    let under = |now: &str, calling: &str| {
        let text = format!("[calling]\n{calling}\n");
        let config = Config::parse("a.toml", &text).expect("a lawful configuration");
        let now = now.parse().expect("an instant");
        let rules = Rules::of(&config, PlanClock::set_to(now), clinic()).expect("lawful");
        let engine = ENGINE.to_owned();
        Rules { engine, ..rules }
    };
    let duty =
        |to: &str| format!("duty = [{{ days = [\"mon\"], from = \"08:00\", to = \"{to}\" }}]");
    // As for calls that we make: hours, noon rest, holidays, and somebody on duty to an hour after the call.
    for (now, calling, why) in [
        ("2026-09-21T00:30:00Z", String::new(), "before nine"),
        ("2026-09-21T04:30:00Z", String::new(), "the noon rest"),
        (MORNING, duty("11:00"), "nobody an hour later"),
        (
            "2026-09-25T02:00:00Z",
            "on_holidays = \"closed\"".to_owned(),
            "a holiday",
        ),
    ] {
        let rules = under(now, &calling);
        let (attempt, taken) = rings(&store, &rules, &desk(), "+8613800000001").await;
        assert_eq!(kind(&taken), Some(RingBack::Closed), "{why}");
        let row: AttemptRow = store.attempt(&attempt).await.expect("a row");
        let patient = Some(enrolled.patient.id.clone());
        assert_eq!((row.patient, row.attempt.step), (patient, None));
        let new = crate::record::new_attempt(&enrolled.steps[0], None);
        let record = Box::new(finish(&new, Disposition::Unidentified, vec![]).record);
        let mut recorder = Recorder::new(store.clone(), rules.clone());
        let what = Told::Ended(record);
        assert!(recorder.record(&Report { attempt, what }).await);
    }
    // We are calling them in this moment: they are not answered, and the call goes on.
    let (live, _) = calling(&store, "2").await;
    let (_, taken) = rings(&store, &rules, &desk(), "+8613800000002").await;
    assert!(taken.is_none());
    let row = store.attempt(&live.id).await.expect("a row");
    assert_eq!(row.attempt.state, AttemptState::Dialling);
}

#[tokio::test]
async fn a_contact_who_may_speak_for_the_patient_is_known_and_another_is_a_stranger() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (store, rules) = ward(folder.path()).await;
    let (daughter, neighbour) = ("+8613700000001", "+8613700000002");
    let contact = |number, topics: Vec<Topic>| Contact {
        name: Phi::new("王芳".to_owned()),
        relation: Relation::Child,
        phone: Some(phone(number)),
        topics,
    };
    let mut told = enrolment("1");
    told.patient.contacts = vec![
        contact(daughter, vec![Topic::Health]),
        contact(neighbour, vec![Topic::Appointments]),
    ];
    let saved = store.save_patient_with_episode_and_steps(&told, "test", morning());
    let saved = saved.await.expect("saved");
    let (attempt, taken) = rings(&store, &rules, &desk(), neighbour).await;
    assert_eq!(kind(&taken), Some(RingBack::Stranger));
    let row = store.attempt(&attempt).await.expect("a row");
    assert_eq!((row.patient, row.attempt.callee), (None, None));
    let (attempt, taken) = rings(&store, &rules, &desk(), daughter).await;
    assert_eq!(kind(&taken), Some(RingBack::Resume));
    let row = store.attempt(&attempt).await.expect("a row");
    assert_eq!(row.patient, Some(saved.patient.clone()));
    assert_eq!(
        row.attempt.callee,
        Some(phone(daughter)),
        "not the patient's own"
    );
    let step = row.attempt.step.expect("the step is resumed");
    let why = of_patient(&store, &rules.policy, &saved.patient, morning()).await;
    let why = why.expect("known");
    assert!(
        why.stays[0]
            .steps
            .iter()
            .any(|followed| followed.step.id == step)
    );
    for (lang, words) in [
        (Lang::En, "they rang us: the call is live"),
        (Lang::Zh, "对方来电：正在通话"),
    ] {
        let told = text(&why, lang, morning());
        assert!(told.contains(words), "{told}");
    }
}

/// The engine over a trunk whose far end is SIPp on this machine.
async fn engine(folder: &Path, port: u16, far: u16) -> Engine {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let trunk = include_str!("../../sip_config/loopback.toml")
        .replace("127.0.0.1:5080", &format!("127.0.0.1:{far}"))
        .replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
    let file = folder.join("loopback.toml");
    std::fs::write(&file, trunk).expect("it is writable");
    let mut config = Config {
        data_dir: folder.to_owned(),
        ..Config::default()
    };
    config.web.bind = "127.0.0.1:0".to_owned();
    config.trunk.file = file;
    config.trunk.talk_on_s = 0;
    config.ears.model = root.join(&config.ears.model);
    config.scripts.dir = root.join(&config.scripts.dir);
    let clock = PlanClock::set_to(morning());
    Engine::start(&config, clock, None)
        .await
        .expect("the engine starts")
}

/// SIPp rings from this number and runs to the end of its scenario.
async fn sipp_rings(scenario: &str, number: &str, port: u16, far: u16) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/sip/{scenario}.xml"));
    let (to, far, media) = (
        format!("127.0.0.1:{port}"),
        far.to_string(),
        free_port().to_string(),
    );
    let mut command = Command::new("sipp");
    command.arg(to).arg("-sf").arg(file);
    command.args([
        "-i",
        "127.0.0.1",
        "-m",
        "1",
        "-nostdin",
        "-p",
        &far,
        "-mp",
        &media,
    ]);
    command.args(["-s", "4001", "-key", "number", number]);
    let sipp = Process::start(&mut command, "apt-get install sip-tester (make test does)");
    let ran = tokio::task::spawn_blocking(move || ran_to_its_end(sipp));
    ran.await.expect("every message came in its place");
}

/// The only call there was since the last look, once it has ended.
async fn ended(engine: &Engine, known: usize) -> AttemptRow {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let page = PageRequest {
            limit: 100,
            after: None,
        };
        let rows = engine
            .store
            .attempts(None, &page)
            .await
            .expect("listed")
            .items;
        if rows.len() == known + 1 && rows[0].attempt.state == AttemptState::Ended {
            return rows.into_iter().next().expect("one at least");
        }
        assert!(std::time::Instant::now() < deadline, "{rows:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sipp_rings_the_engine_and_is_answered_by_number() {
    crate::speech::model();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (port, far) = (free_port(), free_port());
    let engine = engine(folder.path(), port, far).await;
    let (_, enrolled) = enrol(&engine.store, "1").await;
    // A patient hangs up in the greeting.
    sipp_rings("sipp_rings", "+8613800000001", port, far).await;
    let row = ended(&engine, 0).await;
    assert!(row.inbound);
    assert_eq!(row.patient, Some(enrolled.patient.id));
    let ending = row.attempt.ending.expect("it has ended");
    assert_eq!(
        (ending.disposition, ending.rang),
        (Disposition::Unidentified, false)
    );
    let step = store_step(&engine, &row.attempt.step).await;
    assert_eq!(step, Some(StepState::Planned), "as if it had not been");
    let trace = engine
        .store
        .trace(&row.attempt.id)
        .await
        .expect("asked")
        .expect("kept");
    let ladder = trace.ladder();
    let order = [
        "<- INVITE 1",
        "-- 100 ",
        "-- 200 OK (INVITE 1)",
        "<- ACK 1",
        "<- BYE 2",
        "-- 200 OK (BYE 2)",
    ];
    let places = order.map(|step| {
        ladder
            .find(step)
            .unwrap_or_else(|| panic!("{step}:\n{ladder}"))
    });
    assert!(places.is_sorted(), "{ladder}");
    assert!(ladder.contains("== RTP PCMA"), "the greeting: {ladder}");
    assert!(!ladder.contains("0000001") && !ladder.contains("Anybody"));
    // A stranger is told and rung off.
    sipp_rings("sipp_rings_waits", "+8613999999999", port, far).await;
    let row = ended(&engine, 1).await;
    assert_eq!((row.patient, row.attempt.step), (None, None));
    let said = engine.store.turns(&row.attempt.id).await.expect("turns");
    assert_eq!(said.len(), 1, "one sentence: {said:?}");
    a_published_script_holds_at_once(&engine, port, far).await;
    engine.stop().await;
}

/// Put in force and taken back while the engine runs: who rings next is answered by it.
async fn a_published_script_holds_at_once(engine: &Engine, port: u16, far: u16) {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    let (draft, drafted, before) = signed_draft(&engine.store, today).await;
    let mut follows = engine.in_force.clone();
    for (calls, draft, hash) in [(2, Some(draft), drafted), (3, None, before)] {
        let publication = Publication {
            draft,
            why: "reviewed".to_owned(),
            by: "admin".to_owned(),
            at: morning(),
        };
        let done = engine.store.publish_draft("cardiac", &publication).await;
        done.expect("signed");
        let published = engine.store.published().await.expect("read");
        let read = follows.wait_for(|now| now.published == published);
        drop(timeout(Duration::from_secs(60), read).await.expect("soon"));
        sipp_rings("sipp_rings", "+8613800000001", port, far).await;
        assert_eq!(ended(engine, calls).await.attempt.script_hash, hash);
    }
}

async fn store_step(
    engine: &Engine,
    step: &Option<aftercall_core::id::StepId>,
) -> Option<StepState> {
    let step = engine.store.step(step.as_ref()?).await;
    step.ok().map(|step| step.state)
}
