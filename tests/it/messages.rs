//! Messages to patients: when a call is announced, the only words that any message has, what becomes of each, and readings from
//! home that did not come. A real webhook takes them, on both databases.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aftercall::channels::{Channels, signature};
use aftercall::config::Config;
use aftercall::jobs::messages::Messages;
use aftercall::jobs::record::Told;
use aftercall::jobs::{PlanClock, errands, messages, notify};
use aftercall::pathways;
use aftercall::store::message::{MessageState, NewMessage, PatientMessage};
use aftercall::store::new_id;
use aftercall::store::observation::{Observation, ObservationKind};
use aftercall::store::page::PageRequest;
use aftercall_core::attempt::Disposition;
use aftercall_core::id::PatientId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Life;
use aftercall_core::plan::learn::reach;
use aftercall_core::plan::message::{MessageKind, Unreachable};
use aftercall_core::plan::{Case, ExpectedReading, Pathways, ReadingKind, StepState};
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, LETTER, MISSED_READINGS, WorkOrder};
use jiff::SignedDuration;
use jiff::civil::date;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::channels::{Answer, Peer, webhook};
use crate::crash_plan::record;
use crate::jobs::{Ward, tell};
use crate::postgres::Postgres;
use crate::record::{at, enrol, enrolment};
use crate::resume::wards;
use crate::web::{Server, body, problem, send};

/// The ward writes to its patients by this webhook.
fn write_by(ward: &mut Ward, address: SocketAddr, unreachable: Unreachable) {
    let channels = format!("channels = [{}]\n", webhook(address, ""));
    let config = Config::parse("a.toml", &channels).expect("a good file");
    let secret = |_: &str| Some("secret".to_owned());
    ward.rules.channels = Arc::new(Channels::with(&config, secret).expect("every secret"));
    ward.rules.messages = Arc::new(Messages {
        channel: Some("bus".to_owned()),
        leads: vec![24, 4],
        missed_after: 2,
        unreachable,
        callers: vec!["4001".to_owned()],
        callback: "010-0000-0000".to_owned(),
    });
}

fn set(ward: &mut Ward, now: &str) {
    ward.rules.clock = PlanClock::set_to(now.parse().expect("an instant"));
}

async fn deliver(ward: &Ward) {
    for _ in 0..2 {
        let done = notify::once(&ward.store, &ward.rules).await;
        done.expect("a round");
    }
}

async fn announce(ward: &Ward) -> u32 {
    let announced = messages::once(&ward.store, &ward.rules).await;
    announced.expect("a round")
}

async fn of(ward: &Ward, patient: &PatientId) -> Vec<PatientMessage> {
    let page = ward.store.messages(patient, &PageRequest::default()).await;
    page.expect("listed").items
}

/// Rings whom the plan allows, and nobody answers.
async fn ring_in_vain(ward: &mut Ward) -> u32 {
    let mut recorder = ward.recorder();
    let dialled = ward.dial().await;
    for _ in 0..dialled {
        let call = ward.calls.recv().await.expect("a call for each dial");
        let ended = Told::Ended(Box::new(record(Disposition::NoAnswer)));
        tell(&mut recorder, &call.attempt, ended).await;
    }
    dialled
}

fn has_task(order: &WorkOrder, name: &str) -> bool {
    let is_it = |cause: &Cause| matches!(cause, Cause::Task { task } if task == name);
    order.causes.iter().any(is_it)
}

/// A patient of each pathway that ships and in each language, of a department that tells the diagnosis.
async fn enrol_on_every_pathway(ward: &Ward) -> BTreeSet<String> {
    let dialogs = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs");
    let all: Pathways = pathways::load(&dialogs, Config::default().cadence()).expect("sound");
    let mut secrets = BTreeSet::new();
    let langs = all
        .list
        .iter()
        .flat_map(|pathway| Lang::ALL.map(|lang| (pathway, lang)));
    for (number, (pathway, lang)) in langs.enumerate() {
        let mut told = enrolment(&format!("77{number:04}"));
        told.patient.lang = lang;
        told.episode.pathway.clone_from(&pathway.id);
        told.episode.department = "肿瘤科".to_owned();
        told.episode.ward = "精神科五病区".to_owned();
        told.episode.discharged_at = ward.now();
        let plan = all.plan(&told.patient, &told.episode, &Case::default());
        let plan = plan.expect("it names its pathway");
        told.episode.pathway.clone_from(&plan.script);
        told.steps = plan.steps;
        let store = &ward.store;
        let saved = store.save_patient_with_episode_and_steps(&told, "test", ward.now());
        let saved = saved.await.expect("saved");
        let patient = (&saved.patient, "Asia/Shanghai");
        let planned = (plan.errands.as_slice(), plan.readings.as_slice());
        let planned = store.plan_errands(patient, &saved.episode, planned).await;
        planned.expect("planned");
        secrets.extend(pathway.when.diagnoses.iter().cloned());
        secrets.insert(pathway.id.clone());
    }
    secrets
}

#[tokio::test]
async fn over_every_pathway_and_language_a_message_says_the_neutral_name_alone() {
    let (peer, address) = Peer::start().await;
    let mut ward = Ward::open(100).await;
    write_by(&mut ward, address, Unreachable::Form);
    let mut secrets = enrol_on_every_pathway(&ward).await;
    for patient in ward.patients().await {
        secrets.extend([
            patient.name.expose().clone(),
            patient.number.expose().clone(),
        ]);
        let contacts = patient
            .contacts
            .iter()
            .map(|contact| contact.name.expose().clone());
        secrets.extend(contacts);
        let stays = ward.store.episodes_of(&patient.id).await.expect("listed");
        secrets.extend(
            stays
                .into_iter()
                .flat_map(|stay| [stay.department, stay.ward, stay.pathway]),
        );
    }
    secrets.remove("");
    let mut seen: BTreeMap<(String, String), usize> = BTreeMap::new();
    let start = ward.now();
    for round in 0..44 {
        ward.rules.clock = PlanClock::set_to(start + SignedDuration::from_hours(3 * round));
        errands::once(&ward.store, &ward.rules)
            .await
            .expect("a round");
        announce(&ward).await;
        ring_in_vain(&mut ward).await;
        deliver(&ward).await;
        for got in peer.got() {
            let sent: i64 = got.headers["aftercall-timestamp"].parse().expect("seconds");
            let sent = Timestamp::from_second(sent).expect("an instant");
            assert_eq!(
                got.headers["aftercall-signature"],
                signature("secret", sent, &got.body)
            );
            let body: Value = serde_json::from_str(&got.body).expect("JSON");
            let (text, lang) = (body["text"].as_str(), body["lang"].as_str());
            let (text, lang) = (text.expect("words"), lang.expect("a language"));
            let name = if lang == "zh" {
                "【示范医院】"
            } else {
                "Demonstration Hospital "
            };
            assert!(text.starts_with(name), "{text}");
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{secret} in: {text}");
            }
            let local = sent.to_zoned(jiff::tz::TimeZone::get("Asia/Shanghai").expect("known"));
            let is_abroad = !body["to"].as_str().is_some_and(|to| to.starts_with("+86"));
            assert!(
                is_abroad || (8..21).contains(&local.hour()),
                "it wakes: {local}"
            );
            let event = body["event"].as_str().expect("an event").to_owned();
            *seen.entry((event, lang.to_owned())).or_default() += 1;
        }
    }
    for kind in MessageKind::ALL {
        for lang in ["zh", "en"] {
            let key = (kind.event().to_owned(), lang.to_owned());
            assert!(seen.contains_key(&key), "no {key:?} in {seen:?}");
        }
    }
}

#[tokio::test]
async fn a_call_is_announced_once_a_lead_and_nobody_is_written_to_whom_the_plan_would_not_ring() {
    let postgres = Postgres::start();
    for mut ward in wards(&postgres, "announced", 100).await {
        let (peer, address) = Peer::start().await;
        write_by(&mut ward, address, Unreachable::Letter);
        // Monday 10:00. Of a step that is due on Wednesday the call may come from 09:00 on.
        let mut told = enrolment("1");
        told.episode.high_risk = false;
        told.steps.truncate(1);
        told.steps[0].due_on = date(2026, 11, 25);
        told.steps[0].lapses_on = date(2026, 11, 28);
        told.steps[0].next_at = "2026-11-24T16:00:00Z".parse().expect("an instant");
        let saved = ward
            .store
            .save_patient_with_episode_and_steps(&told, "test", ward.now());
        let patient = saved.await.expect("saved").patient;
        announce(&ward).await;
        assert!(of(&ward, &patient).await.is_empty(), "two days before");
        set(&mut ward, "2026-11-24T00:59:00Z");
        announce(&ward).await;
        assert!(of(&ward, &patient).await.is_empty(), "a minute too early");
        set(&mut ward, "2026-11-24T01:00:10Z");
        let twice = (announce(&ward).await, announce(&ward).await);
        assert!(twice.0 >= 1 && twice.1 == 0, "{twice:?}");
        deliver(&ward).await;
        let first = of(&ward, &patient).await;
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].state, MessageState::HandedOver);
        assert_eq!(
            first[0].call_at,
            Some("2026-11-25T01:00:00Z".parse().expect("an instant"))
        );
        let got = peer.got();
        let body = |got: &crate::channels::Got| -> Value {
            serde_json::from_str(&got.body).expect("JSON")
        };
        let mine = got
            .iter()
            .map(body)
            .find(|body| body["message"] == first[0].id.as_str());
        let mine = mine.expect("handed over");
        assert_eq!(
            (&mine["to"], &mine["callers"], &mine["about"]["lead_hours"]),
            (&json!("+8613800000001"), &json!(["4001"]), &json!(24))
        );
        assert_eq!(
            mine["text"],
            "【示范医院】将于11月25日09:00以后致电您，来电号码4001，请留意接听。如需联系我们，请拨打010-0000-0000。"
        );
        // Four hours before it is five in the morning: the message waits for eight. Then she has died.
        set(&mut ward, "2026-11-24T21:00:00Z");
        announce(&ward).await;
        assert_eq!(of(&ward, &patient).await.len(), 1, "it would wake her");
        set(&mut ward, "2026-11-25T00:00:05Z");
        announce(&ward).await;
        ward.store
            .set_life(&patient, Life::Dead, ward.now())
            .await
            .expect("saved");
        deliver(&ward).await;
        let both = of(&ward, &patient).await;
        let state = |lead: &str| {
            let message = both.iter().find(|message| message.id.ends_with(lead));
            message.map(|message| (message.state, message.reason.as_str()))
        };
        assert_eq!(state(".4h"), Some((MessageState::Withheld, "not_alive")));
        let texts: Vec<String> = peer.got().into_iter().map(|got| got.body).collect();
        assert!(
            texts.iter().all(|text| !text.contains(&patient.0)),
            "nothing left for her"
        );
        ward.store.close().await;
    }
}

#[tokio::test]
async fn reach_is_told_with_and_without_a_message_before() {
    let postgres = Postgres::start();
    for mut ward in wards(&postgres, "reach_announced", 100).await {
        let (_peer, address) = Peer::start().await;
        write_by(&mut ward, address, Unreachable::Letter);
        let patients = ward.patients().await;
        let planned = ward
            .store
            .steps(
                None,
                &PageRequest {
                    limit: 200,
                    after: None,
                },
            )
            .await;
        let planned = planned.expect("listed").items;
        // Every second patient's message is on their telephone before the call.
        let mut told = 0;
        for patient in patients.iter().step_by(2) {
            for step in planned.iter().filter(|step| step.patient == patient.id) {
                let message = NewMessage {
                    id: format!("{}.test", step.id),
                    patient: patient.id.clone(),
                    episode: step.episode.clone(),
                    step: step.id.clone(),
                    kind: MessageKind::Prewarm,
                    template: "prewarm".to_owned(),
                    phone: None,
                    announces: Some((4, ward.now())),
                    send_at: ward.now(),
                };
                let now = ward.now() - SignedDuration::from_hours(4);
                let store = &ward.store;
                store
                    .announce(&step.id, Some(&message), now, now)
                    .await
                    .expect("written");
                let delivery = aftercall::store::message::Delivery {
                    state: MessageState::Delivered,
                    channel: Some("sms".to_owned()),
                    reason: String::new(),
                };
                let written = store.message(&message.id).await.expect("there");
                let subject = messages::subject_of(store, &written).await.expect("there");
                let letter = messages::letter(&ward.rules.deadlines, subject);
                let kept = store.report_delivery(&message.id, &delivery, "sms", &letter, now);
                assert_eq!(kept.await.expect("kept").state, MessageState::Delivered);
                told += 1;
            }
        }
        assert!(told > 20);
        let dialled = ring_in_vain(&mut ward).await;
        let since = ward.now() - SignedDuration::from_hours(1);
        let found = reach(&ward.store.tried_since(since).await.expect("counted"));
        let (with, without) = (found.announced, found.unannounced);
        assert_eq!(with.tries + without.tries, dialled, "first calls all");
        assert!(
            with.tries >= 5 && without.tries >= 5,
            "{with:?} {without:?}"
        );
        // A second call of the same steps counts for neither.
        ward.rules.clock = PlanClock::set_to(ward.now() + SignedDuration::from_hours(5));
        assert!(ring_in_vain(&mut ward).await > 0);
        let again = reach(&ward.store.tried_since(since).await.expect("counted"));
        assert_eq!((again.announced, again.unannounced), (with, without));
        assert!(again.all.tries > dialled);
        ward.store.close().await;
    }
}

#[tokio::test]
async fn who_is_not_reached_gets_a_letter_or_a_form_that_becomes_one_where_it_fails() {
    for unreachable in [Unreachable::Letter, Unreachable::Form] {
        let (peer, address) = Peer::start().await;
        // The program takes nothing at all.
        peer.answer([const { Answer::Status(503) }; 2_000]);
        let mut ward = Ward::open(100).await;
        write_by(&mut ward, address, unreachable);
        let mut told = enrolment("1");
        told.steps.truncate(1);
        told.steps[0].due_on = date(2026, 11, 23);
        told.steps[0].lapses_on = date(2026, 11, 26);
        told.steps[0].next_at = ward.now();
        let saved = ward
            .store
            .save_patient_with_episode_and_steps(&told, "test", ward.now());
        let patient = saved.await.expect("saved").patient;
        let patient = ward.store.patient(&patient).await.expect("there");
        let mut rounds = 0;
        while ward.step(&patient, 3).await.state == StepState::Planned {
            rounds += 1;
            assert!(rounds < 40, "it ends some day");
            ring_in_vain(&mut ward).await;
            deliver(&ward).await;
            let now = ward.now() + SignedDuration::from_hours(3);
            ward.rules.clock = PlanClock::set_to(now);
        }
        assert_eq!(ward.step(&patient, 3).await.state, StepState::Unreached);
        let order = ward.order(&patient).await.expect("nobody was reached");
        assert!(order.causes.contains(&Cause::Unreachable));
        let is_letter = unreachable == Unreachable::Letter;
        assert_eq!(has_task(&order, LETTER), is_letter);
        let mut written = of(&ward, &patient.id).await;
        let missed = written
            .iter()
            .filter(|message| message.kind == MessageKind::MissedCall);
        assert_eq!(missed.count(), 1, "once a step");
        written.retain(|message| message.kind == MessageKind::Form);
        assert_eq!(written.len(), usize::from(!is_letter));
        // What cannot be handed over is a person's letter.
        for _ in 0..40 {
            deliver(&ward).await;
            let now = ward.now() + SignedDuration::from_hours(5);
            ward.rules.clock = PlanClock::set_to(now);
        }
        let order = ward.order(&patient).await.expect("it stands");
        assert!(has_task(&order, LETTER));
        if let Some(form) = written.first() {
            let form = ward.store.message(&form.id).await.expect("there");
            assert_eq!(form.state, MessageState::Failed);
        }
    }
}

async fn message_of(server: &Server, number: &str, kind: MessageKind) -> (PatientId, String) {
    let (saved, _) = enrol(&server.store, number).await;
    let steps = server
        .store
        .steps_of_patient(&saved.patient)
        .await
        .expect("listed");
    let message = NewMessage {
        id: format!("{}.{kind}", steps[0].id),
        patient: saved.patient.clone(),
        episode: saved.episode,
        step: steps[0].id.clone(),
        kind,
        template: kind.to_string(),
        phone: None,
        announces: None,
        send_at: at(0),
    };
    let written = server
        .store
        .announce(&steps[0].id, Some(&message), at(0), at(0));
    assert!(written.await.expect("written"));
    (saved.patient, message.id)
}

#[tokio::test]
async fn a_report_of_delivery_is_kept_once_by_a_service_alone_and_only_goes_on() {
    let server = Server::start().await;
    let (patient, form) = message_of(&server, "1", MessageKind::Form).await;
    let path = format!("/messages/{form}/delivery");
    let report = |state: &str| {
        let body = json!({ "state": state, "channel": "sms", "reason": "30 days" });
        server.request(Method::POST, &path).json(&body)
    };
    // Out of order and twice: the furthest stands.
    for (state, known) in [
        ("sent", "sent"),
        ("sent", "sent"),
        ("failed", "failed"),
        ("sent", "failed"),
        ("delivered", "delivered"),
        ("failed", "delivered"),
    ] {
        let answer = send(report(state)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let view = body(answer).await;
        assert_eq!(
            (&view["state"], &view["id"]),
            (&json!(known), &json!(form)),
            "{state}"
        );
    }
    // A form that failed is a letter, and one only.
    let orders = server.get("/work-orders").await;
    let causes = orders["items"][0]["causes"]
        .as_array()
        .expect("causes")
        .clone();
    let letters = causes
        .iter()
        .filter(|cause| cause["words"] == LETTER)
        .count();
    assert_eq!(
        (letters, &orders["items"][0]["urgency"]),
        (1, &json!("routine"))
    );
    let listed = server
        .get(&format!("/patients/{}/messages", patient.0))
        .await;
    assert_eq!(listed["items"][0]["state"], "delivered");
    problem(
        server
            .request(Method::POST, "/messages/none/delivery")
            .json(&json!({ "state": "sent" })),
        404,
        "not_found",
    )
    .await;
    problem(
        server
            .request(Method::POST, &path)
            .json(&json!({ "state": "read" })),
        400,
        "invalid_body",
    )
    .await;
    let bare = server.bare(Method::POST, &format!("/api/v1{path}"));
    problem(bare.json(&json!({ "state": "sent" })), 401, "unauthorised").await;
    // No person may, and no program of another ward.
    for (name, roles, wards, status, code) in [
        (
            "admin",
            vec![Role::SystemAdmin, Role::Nurse],
            Wards::ALL,
            403,
            "not_allowed",
        ),
        (
            "other",
            vec![Role::Service],
            Wards::only(vec!["6B".to_owned()]),
            404,
            "not_found",
        ),
    ] {
        let made = server.store.create_token(name, &roles, &wards, at(0)).await;
        let (_, secret) = made.expect("made");
        let request = server.bare(Method::POST, &format!("/api/v1{path}"));
        let request = request
            .bearer_auth(secret)
            .json(&json!({ "state": "sent" }));
        problem(request, status, code).await;
    }
    let (_, withheld) = message_of(&server, "2", MessageKind::Prewarm).await;
    server
        .store
        .message_left(&withheld, Some("not_alive"))
        .await
        .expect("kept");
    let request = server.request(Method::POST, &format!("/messages/{withheld}/delivery"));
    let answer = send(request.json(&json!({ "state": "delivered" }))).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
}

#[tokio::test]
async fn two_missed_uploads_make_a_nurses_task_and_one_that_comes_begins_anew() {
    let postgres = Postgres::start();
    for mut ward in wards(&postgres, "readings", 4).await {
        let patient = ward.patient("RH10001").await;
        let stay = ward
            .store
            .episodes_of(&patient.id)
            .await
            .expect("listed")
            .remove(0);
        let expected = ExpectedReading {
            kind: ReadingKind::Weight,
            every_days: 1,
            begins_on: date(2026, 11, 24),
            until_on: date(2026, 11, 30),
        };
        let of = (&patient.id, patient.zone.as_str());
        for _ in 0..2 {
            let planned =
                ward.store
                    .plan_errands(of, &stay.id, (&[], std::slice::from_ref(&expected)));
            planned.await.expect("planned");
        }
        // In the morning of each day: whether a weight came on the day before, and whether that makes the task.
        for (day, sent, is_task) in [
            (25, None, false),
            (26, Some("2026-11-25T12:00:00Z"), false),
            (27, None, false),
            (28, None, true),
        ] {
            if let Some(taken) = sent {
                let weight = Observation {
                    id: new_id(),
                    patient: patient.id.clone(),
                    kind: ObservationKind::Weight,
                    value: 61.0,
                    second_value: None,
                    unit: "kg".to_owned(),
                    taken_at: taken.parse().expect("an instant"),
                    source: "mini_program".to_owned(),
                };
                assert!(
                    ward.store
                        .save_observation(&weight, ward.now())
                        .await
                        .expect("saved")
                );
            }
            set(&mut ward, &format!("2026-11-{day}T00:00:00Z"));
            errands::once(&ward.store, &ward.rules)
                .await
                .expect("a round");
            let order = ward.order(&patient).await;
            let task = order
                .as_ref()
                .is_some_and(|order| has_task(order, MISSED_READINGS));
            assert_eq!(task, is_task, "on the {day}th");
        }
        // The last day is over, and nothing is awaited any more.
        set(&mut ward, "2026-12-20T00:00:00Z");
        while errands::once(&ward.store, &ward.rules)
            .await
            .expect("a round")
            > 0
        {}
        let left = ward.store.due_readings(Timestamp::MAX, 10).await;
        assert!(left.expect("listed").is_empty());
        ward.store.close().await;
    }
}
