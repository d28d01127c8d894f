//! A call that broke off and the next one of the same day, through the loops and the store, on both databases.

use aftercall::jobs::PlanClock;
use aftercall::jobs::dial::ToDial;
use aftercall::jobs::record::{Recorder, Told};
use aftercall::jobs::recover;
use aftercall::store::Store;
use aftercall_core::attempt::{CallNote, CallRecord, Disposition, Progress, Turn};
use aftercall_core::finding::{Confirmation, PlacedFinding, Urgency};
use aftercall_core::id::NodeId;
use aftercall_core::question::Respondent;
use aftercall_core::script::{Earlier, EarlierCall};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::Cause;
use jiff::SignedDuration;

use crate::jobs::{Outcome, Ward, none, tell};
use crate::postgres::Postgres;
use crate::record::{finding, master_key, turn};

const IDENTIFIED: Progress = Progress {
    identified: true,
    screened: true,
    closing_spoken: false,
};

/// The demo's ward on SQLite and on PostgreSQL.
pub(crate) async fn wards(postgres: &Postgres, name: &str, lines: u32) -> [Ward; 2] {
    let url = postgres.database(name).await;
    let store = Store::open(&url, &master_key())
        .await
        .expect("a new database opens");
    let folder = tempfile::tempdir().expect("a temporary folder");
    [
        Ward::open(lines).await,
        Ward::on(store, folder, lines).await,
    ]
}

fn answered(index: u32, node: &str, meaning: &str) -> Turn {
    let mut turn = turn(index);
    turn.node = NodeId(node.to_owned());
    turn.reply.as_mut().expect("it was answered").meaning = meaning.to_owned();
    turn
}

fn turns() -> Vec<Turn> {
    vec![
        answered(0, "birth", "match"),
        answered(1, "trend", "better"),
        answered(2, "pressure", "190"),
    ]
}

/// What was told while the call lived.
async fn talk(recorder: &mut Recorder, call: &ToDial) {
    let mut told = vec![Told::Ringing, Told::Answered, Told::Progressed(IDENTIFIED)];
    told.extend(turns().into_iter().map(|turn| Told::Turn(Box::new(turn))));
    for what in told {
        tell(recorder, &call.attempt, what).await;
    }
}

fn record(disposition: &str) -> CallRecord {
    let outcome = Outcome {
        day: 3,
        rung: true,
        refused: None,
        disposition: Some(disposition.to_owned()),
        findings: Vec::new(),
        causes: Vec::new(),
        work_order: none(),
    };
    CallRecord {
        progress: IDENTIFIED,
        ..outcome.record()
    }
}

/// The next try of the step of `call`, at the hour the plan says or at `at`.
async fn next_try(ward: &mut Ward, call: &ToDial, at: Option<Timestamp>) -> ToDial {
    let step = ward.store.step(&call.step.id).await.expect("there");
    ward.rules.clock = PlanClock::set_to(at.unwrap_or(step.next_at) + SignedDuration::from_secs(1));
    loop {
        assert_eq!(ward.dial().await, 1, "{}", step.reason);
        let next = ward.calls.recv().await.expect("a call");
        if next.step.id == step.id {
            return next;
        }
        // Whoever comes before is not there.
        let nobody = Told::Ended(Box::new(record("no_answer")));
        tell(&mut ward.recorder(), &next.attempt, nobody).await;
    }
}

/// What the turns above leave.
fn left(ended: Disposition, turns: Vec<Turn>, now: Timestamp) -> Option<Earlier> {
    let call = EarlierCall {
        started_at: now,
        script_hash: "hash".to_owned(),
        ended,
        progress: IDENTIFIED,
        notes: Vec::new(),
        turns,
        findings: Vec::new(),
    };
    let zone = aftercall_core::time::zone("Asia/Shanghai").expect("a known zone");
    Earlier::of(&[call], "hash", &zone, now)
}

#[tokio::test]
async fn the_next_call_of_the_day_goes_on_where_the_line_or_the_engine_broke_off() {
    let postgres = Postgres::start();
    for crashes in [false, true] {
        for mut ward in wards(&postgres, if crashes { "crashed" } else { "cut" }, 1).await {
            assert_eq!(ward.dial().await, 1);
            let call = ward.calls.recv().await.expect("a call");
            assert_eq!(
                call.earlier, None,
                "the first call has nothing to go on with"
            );
            let mut recorder = ward.recorder();
            talk(&mut recorder, &call).await;
            if crashes {
                // kill -9: the recorder is gone, and with it everything in memory.
                drop(recorder);
                let closed = recover::at_start(&ward.store, &ward.rules).await;
                assert_eq!(closed.expect("recovered").len(), 1);
            } else {
                let ended = CallRecord {
                    turns: turns(),
                    ..record("partial")
                };
                tell(&mut recorder, &call.attempt, Told::Ended(Box::new(ended))).await;
            }
            let again = next_try(&mut ward, &call, None).await;
            let earlier = again.earlier.clone().expect("something was answered");
            assert_eq!(
                (earlier.respondent, earlier.screened),
                (Respondent::Patient, true)
            );
            let told = left(Disposition::Partial, turns(), ward.now());
            assert_eq!(Some(earlier), told, "crashes: {crashes}");
        }
    }
}

#[tokio::test]
async fn another_day_or_another_version_of_the_script_begins_anew() {
    let postgres = Postgres::start();
    for mut ward in wards(&postgres, "anew", 1).await {
        assert_eq!(ward.dial().await, 1);
        let call = ward.calls.recv().await.expect("a call");
        let mut recorder = ward.recorder();
        talk(&mut recorder, &call).await;
        let ended = Told::Ended(Box::new(CallRecord {
            turns: turns(),
            ..record("partial")
        }));
        tell(&mut recorder, &call.attempt, ended).await;
        let same = ward.lines.scripts.clone();
        for script in &mut ward.lines.scripts {
            script.hash = "another".to_owned();
        }
        let changed = next_try(&mut ward, &call, None).await;
        assert_eq!(changed.earlier, None, "other words were signed meanwhile");
        ward.lines.scripts = same;
        let nobody = Told::Ended(Box::new(record("not_now")));
        tell(&mut ward.recorder(), &changed.attempt, nobody).await;
        let tomorrow = ward.now() + SignedDuration::from_hours(24);
        let next_day = next_try(&mut ward, &call, Some(tomorrow)).await;
        assert_eq!(next_day.earlier, None, "a night lies between");
    }
}

/// Pressure of the first half and dizziness of the second are one emergency (`high-dizzy` of the general pack).
#[tokio::test]
async fn what_both_halves_told_is_judged_together_while_the_second_still_talks() {
    let postgres = Postgres::start();
    let sign = |concept: &str| -> PlacedFinding {
        let mut placed = finding(concept, Urgency::SameDay);
        placed.finding.confirmation = Confirmation::NotNeeded;
        placed
    };
    for mut ward in wards(&postgres, "halves", 1).await {
        assert_eq!(ward.dial().await, 1);
        let first = ward.calls.recv().await.expect("a call");
        let mut recorder = ward.recorder();
        talk(&mut recorder, &first).await;
        let ended = CallRecord {
            turns: turns(),
            findings: vec![sign("bp_severe_high")],
            ..record("partial")
        };
        tell(&mut recorder, &first.attempt, Told::Ended(Box::new(ended))).await;
        let second = next_try(&mut ward, &first, None).await;
        let mut recorder = ward.recorder();
        for what in [
            Told::Ringing,
            Told::Answered,
            Told::WentOn,
            Told::Found {
                position: 0,
                placed: Box::new(sign("dizziness")),
            },
        ] {
            tell(&mut recorder, &second.attempt, what).await;
        }
        let order = ward.order(&first.patient).await.expect("an order");
        let is_both =
            |cause: &Cause| matches!(cause, Cause::Pack { rule, .. } if rule == "high-dizzy");
        assert!(order.causes.iter().any(is_both), "{:?}", order.causes);
        assert_eq!(order.urgency, Urgency::Emergent);
        // The engine dies, and the end of the call knows of the first half all the same.
        drop(recorder);
        recover::at_start(&ward.store, &ward.rules)
            .await
            .expect("recovered");
        let kept = ward.store.call(&second.attempt).await.expect("the call");
        assert_eq!(kept.notes, [CallNote::WentOn]);
        let calls = ward.store.past_attempts_of_step(&first.step.id).await;
        assert_eq!(calls.expect("listed").len(), 2, "both belong to the step");
    }
}
