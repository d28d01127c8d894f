//! What the plan keeps of its decisions, and what stops dialling: on a real store.

use std::collections::BTreeSet;

use aftercall::cli::why::text;
use aftercall::jobs::PlanClock;
use aftercall::jobs::record::Told;
use aftercall::jobs::why::of_patient;
use aftercall::store::attempt::{Begun, CallerMost, NewAttempt};
use aftercall::store::decision::{Answer, Pause};
use aftercall::store::new_id;
use aftercall::store::reach::ClosedHour;
use aftercall_core::attempt::{AnsweredBy, CallRecord, Disposition};
use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Life;
use aftercall_core::plan::learn::{proposals, reach};
use jiff::civil::Weekday;
use jiff::{SignedDuration, Span};

use crate::jobs::{Expected, Outcome, Ward, none, tell};
use crate::record::ENGINE;

/// What a call leaves that the trunk never put through.
fn trunk_failure() -> CallRecord {
    let outcome = Outcome {
        day: 3,
        rung: true,
        refused: None,
        disposition: Some("trunk_failure".to_owned()),
        findings: Vec::new(),
        causes: Vec::new(),
        work_order: none(),
    };
    outcome.record()
}

#[tokio::test]
async fn why_tells_every_refusal_in_words_and_when_the_next_try_comes() {
    let expected: Expected =
        toml::from_str(include_str!("../../fixtures/expected.toml")).expect("the fixture parses");
    let mut ward = Ward::open(100).await;
    let dialled = ward.dial().await;
    assert!(dialled > 10);
    let policy = &ward.rules.policy;
    for patient in ward.patients().await {
        let outcome = &expected.patient[patient.number.expose()];
        let why = of_patient(&ward.store, policy, &patient.id, ward.now()).await;
        let why = why.expect("she is known");
        let step = why.stays[0]
            .steps
            .iter()
            .find(|followed| followed.step.day == outcome.day)
            .expect("the day is planned");
        let decided = step.decisions.last().expect("it was decided");
        let last = &decided.decision;
        let code = last.reason.as_ref().map(|why| why.code().to_string());
        assert_eq!(code, outcome.refused, "{}", patient.number.expose());
        assert_eq!(last.answer == Answer::Dial, outcome.rung);
        assert_eq!(decided.ended, None, "who was rung still talks");
        let (en, zh) = (
            text(&why, Lang::En, ward.now()),
            text(&why, Lang::Zh, ward.now()),
        );
        for secret in [patient.name.expose(), patient.number.expose()] {
            assert!(!en.contains(secret.as_str()) && !zh.contains(secret.as_str()));
        }
    }
    let london = ward.patient("RH10033").await;
    let why = of_patient(&ward.store, policy, &london.id, ward.now()).await;
    let why = why.expect("she is known");
    let en = text(&why, Lang::En, ward.now());
    assert!(
        en.contains("2026-11-23 02:00  not rung: Monday 23 November 2026, 02:00 at the patient's place is outside the calling hours of the law (China); looked at again 2026-11-23 09:00"),
        "{en}"
    );
    assert!(
        en.starts_with("Consent: written; which text was agreed to is not on record.\n"),
        "{en}"
    );
    let zh = text(&why, Lang::Zh, ward.now());
    assert!(
        zh.starts_with("同意：书面；未记录同意的是哪一版文本。\n"),
        "{zh}"
    );
    assert!(zh.contains("下一次在2026-11-23 09:00"), "{zh}");
    // The same decision once more adds no row.
    let before = why.stays[0].steps.iter().map(|step| step.decisions.len());
    let before: usize = before.sum();
    ward.rules.clock = PlanClock::set_to(ward.now() + SignedDuration::from_secs(1));
    ward.dial().await;
    let why = of_patient(&ward.store, &ward.rules.policy, &london.id, ward.now()).await;
    let after = why.expect("known").stays[0]
        .steps
        .iter()
        .map(|step| step.decisions.len())
        .sum::<usize>();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_pause_holds_a_ward_or_everybody_until_somebody_resumes() {
    let ward = Ward::open(100).await;
    let pause = |scope: &str| Pause {
        scope: scope.to_owned(),
        why: "test".to_owned(),
        by: "li".to_owned(),
        at: ward.now(),
    };
    assert!(ward.store.pause(&pause("")).await.expect("kept"));
    assert!(!ward.store.pause(&pause("")).await.expect("kept"), "twice");
    assert_eq!(ward.dial().await, 0);
    let paused = ward.waiting("paused: ").await;
    assert!(paused.len() > 10);
    assert!(ward.store.resume("", ward.now()).await.expect("resumed"));
    let episode = ward.store.episode(&paused[0].episode).await.expect("known");
    let scope = format!("ward/{}", episode.ward);
    assert!(ward.store.pause(&pause(&scope)).await.expect("kept"));
    assert!(ward.dial().await > 0, "the other wards go on");
    let held = ward.waiting("paused: ").await;
    assert!(!held.is_empty() && held.len() < paused.len());
    for step in held {
        let stay = ward.store.episode(&step.episode).await.expect("known");
        assert_eq!(stay.ward, episode.ward);
    }
}

#[tokio::test]
async fn who_died_between_decision_and_invite_is_not_rung() {
    let ward = Ward::open(100).await;
    let claimed = ward
        .store
        .claim_due_steps(
            ward.now(),
            100,
            ward.now() + SignedDuration::from_mins(1),
            ENGINE,
        )
        .await
        .expect("claimed");
    let step = &claimed[0];
    let dead = ward
        .store
        .set_life(&step.patient, Life::Dead, ward.now())
        .await;
    dead.expect("recorded");
    let patient = ward.store.patient(&step.patient).await.expect("known");
    let new = NewAttempt {
        inbound: false,
        id: AttemptId(new_id()),
        step: Some(step.id.clone()),
        episode: Some(step.episode.clone()),
        patient: Some(step.patient.clone()),
        phone: patient.phone,
        number: 1,
        engine: ENGINE.to_owned(),
        leased_until: ward.now() + SignedDuration::from_mins(1),
        trunk: "loopback".to_owned(),
        caller: "4001".to_owned(),
        caller_most: CallerMost::default(),
        script: step.script.clone(),
        script_hash: "hash".to_owned(),
        day: step.day,
        lang: Lang::Zh,
        started_at: ward.now(),
    };
    let begun = ward.store.begin_attempt(&new).await.expect("asked");
    assert_eq!(begun, Begun::LeaseLost);
}

#[tokio::test]
async fn a_trunk_that_fails_call_after_call_is_tried_with_one() {
    let mut ward = Ward::open(8).await;
    let dialled = ward.dial().await;
    assert_eq!(dialled, 8);
    let mut recorder = ward.recorder();
    for _ in 0..dialled {
        let call = ward.calls.recv().await.expect("a call for each dial");
        let mut record = trunk_failure();
        record.ending.rang = false;
        tell(&mut recorder, &call.attempt, Told::Ended(Box::new(record))).await;
    }
    assert_eq!(ward.dial().await, 0, "it rests");
    ward.rules.clock = PlanClock::set_to(ward.now() + SignedDuration::from_mins(9));
    assert_eq!(ward.dial().await, 1, "one call to try it");
}

/// Ten weeks of calls in which nobody of her age answers on Saturdays at noon, and most do at other hours.
#[tokio::test]
async fn an_hour_that_reaches_few_is_proposed_accepted_and_closed() {
    let ward = Ward::open(1).await;
    let patient = ward.patient("RH10001").await;
    let zone = aftercall_core::time::zone(&patient.zone).expect("a known zone");
    let mut calls = 0;
    for week in 0..10 {
        for (hour, reached) in [(9, true), (10, true), (11, false), (14, true), (15, true)] {
            for minute in [0, 10, 20, 30, 40] {
                let day = jiff::civil::date(2026, 9, 5).saturating_add(Span::new().weeks(week));
                let at = day.at(hour, minute, 0, 0).to_zoned(zone.clone());
                let id = AttemptId(format!("past{calls:04}"));
                calls += 1;
                let new = NewAttempt {
                    id: id.clone(),
                    step: None,
                    episode: None,
                    patient: Some(patient.id.clone()),
                    phone: None,
                    number: 1,
                    engine: ENGINE.to_owned(),
                    leased_until: ward.now(),
                    trunk: "loopback".to_owned(),
                    caller: "4001".to_owned(),
                    caller_most: CallerMost::default(),
                    script: "general".to_owned(),
                    script_hash: "hash".to_owned(),
                    day: 3,
                    lang: Lang::Zh,
                    started_at: at.expect("a time").timestamp(),
                    inbound: false,
                };
                assert_eq!(
                    ward.store.begin_attempt(&new).await.expect("begun"),
                    Begun::Dial
                );
                let mut record = trunk_failure();
                record.ending.disposition = Disposition::NoAnswer;
                record.ending.answered_by = AnsweredBy::Nobody;
                if reached {
                    record.ending.disposition = Disposition::Completed;
                    record.ending.answered_by = AnsweredBy::Patient;
                }
                tell(&mut ward.recorder(), &id, Told::Ended(Box::new(record))).await;
            }
        }
    }
    let since = "2026-08-25T00:00:00Z".parse().expect("an instant");
    let found = reach(&ward.store.tried_since(since).await.expect("counted"));
    assert_eq!((found.all.tries, found.all.reached), (250, 200));
    let proposed = proposals(&found, &BTreeSet::new());
    let hour = proposed.first().expect("an hour is proposed").close;
    assert_eq!(
        (proposed.len(), hour.weekday, hour.hour),
        (1, Weekday::Saturday, 11)
    );
    let closed = ClosedHour {
        hour,
        figures: "{}".to_owned(),
        by: "li".to_owned(),
        at: since,
    };
    assert!(ward.store.close_hour(&closed).await.expect("closed"));
    assert!(
        !ward.store.close_hour(&closed).await.expect("asked"),
        "twice"
    );
    assert_eq!(ward.store.closed_hours().await.expect("listed"), [closed]);
    assert!(proposals(&found, &BTreeSet::from([hour])).is_empty());
    assert!(
        ward.store
            .open_hour(hour, ward.now())
            .await
            .expect("opened")
    );
    assert!(ward.store.closed_hours().await.expect("listed").is_empty());
}
