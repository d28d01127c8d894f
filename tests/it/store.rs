//! The store on both databases: every check runs on SQLite and on a PostgreSQL that the test starts itself.

use std::future::Future;
use std::pin::Pin;

use aftercall::store::attempt::{AttemptProgress, Begun};
use aftercall::store::import::Import;
use aftercall::store::observation::{Observation, ObservationKind};
use aftercall::store::outbox::{Failed, Target};
use aftercall::store::page::{Cursor, PageRequest};
use aftercall::store::patient::PatientChange;
use aftercall::store::script::ScriptVersion;
use aftercall::store::step::StepChange;
use aftercall::store::work_order::{HowRaised, WorkOrderFilter};
use aftercall::store::{Backend, Store, StoreError, new_id};
use aftercall_core::attempt::{AttemptState, Disposition, Progress};
use aftercall_core::finding::{About, Confirmation, Denial, Urgency, When};
use aftercall_core::id::{AttemptId, NodeId, PatientId, WorkOrderId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Consent, ConsentBasis, EpisodeState, Hearing, Life};
use aftercall_core::plan::{Reason, StepState};
use aftercall_core::sip::trace::Kept;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::work_order::{Act, Cause, Joined, Outcome, WorkOrderState, due_step};

use crate::audit;
use crate::drafts;
use crate::end_of_data;
use crate::feed;
use crate::figures;
use crate::identity;
use crate::import;
use crate::people;
use crate::postgres::Postgres;
use crate::record::{
    ENGINE, at, calling, deadlines, enrol, enrolment, finding, finish, found, master_key,
    new_attempt, phone, raise, turn,
};
use crate::reviews;
use crate::sso;
use crate::vault;

/// A check on a fresh database; the address lets it open a second store, as another engine would.
type Check = fn(Store, String) -> Pin<Box<dyn Future<Output = ()> + Send>>;

const CHECKS: &[(&str, Check)] = &[
    ("enrolment_is_idempotent", |store, _| {
        Box::pin(enrolment_is_idempotent(store))
    }),
    ("an_import_never_revives", |store, _| {
        Box::pin(an_import_never_revives(store))
    }),
    ("a_patient_changes_in_place", |store, _| {
        Box::pin(a_patient_changes_in_place(store))
    }),
    ("lists_page_by_key", |store, _| {
        Box::pin(lists_page_by_key(store))
    }),
    ("two_engines_never_claim_one_step", |store, url| {
        Box::pin(two_engines_never_claim_one_step(store, url))
    }),
    ("a_lease_that_ran_out_is_claimed_again", |store, _| {
        Box::pin(a_lease_that_ran_out_is_claimed_again(store))
    }),
    ("one_ring_a_step_and_a_number", |store, _| {
        Box::pin(one_ring_a_step_and_a_number(store))
    }),
    ("a_suppressed_number_is_not_rung", |store, _| {
        Box::pin(a_suppressed_number_is_not_rung(store))
    }),
    ("an_attempt_only_goes_on", |store, _| {
        Box::pin(an_attempt_only_goes_on(store))
    }),
    ("a_finished_call_is_read_back_whole", |store, _| {
        Box::pin(a_finished_call_is_read_back_whole(store))
    }),
    (
        "a_trace_is_replaced_and_dropped_when_it_is_old",
        |store, _| Box::pin(a_trace_is_replaced_and_dropped_when_it_is_old(store)),
    ),
    ("a_finish_that_fails_leaves_nothing", |store, _| {
        Box::pin(a_finish_that_fails_leaves_nothing(store))
    }),
    ("orphans_are_found_and_late_findings_kept", |store, _| {
        Box::pin(orphans_are_found_and_late_findings_kept(store))
    }),
    ("findings_join_one_order_and_urgency_rises", |store, _| {
        Box::pin(findings_join_one_order_and_urgency_rises(store))
    }),
    ("a_finding_changes_in_its_place", |store, _| {
        Box::pin(a_finding_changes_in_its_place(store))
    }),
    ("parallel_raises_make_one_order", |store, url| {
        Box::pin(parallel_raises_make_one_order(store, url))
    }),
    ("one_of_two_nurses_gets_the_order", |store, url| {
        Box::pin(one_of_two_nurses_gets_the_order(store, url))
    }),
    ("an_overdue_order_climbs_once", |store, _| {
        Box::pin(an_overdue_order_climbs_once(store))
    }),
    ("the_outbox_delivers_what_was_committed", |store, _| {
        Box::pin(the_outbox_delivers_what_was_committed(store))
    }),
    ("what_the_callee_said_is_kept_for_a_human", |store, _| {
        Box::pin(what_the_callee_said_is_kept_for_a_human(store))
    }),
    ("observations_are_saved_once", |store, _| {
        Box::pin(observations_are_saved_once(store))
    }),
    ("a_published_script_never_changes", |store, _| {
        Box::pin(a_published_script_never_changes(store))
    }),
    ("a_token_is_known_by_its_hash_only", |store, _| {
        Box::pin(a_token_is_known_by_its_hash_only(store))
    }),
    ("a_list_is_imported_once", |store, _| {
        Box::pin(import::a_list_is_imported_once(store))
    }),
    (
        "a_pathway_is_chosen_and_its_task_becomes_an_order",
        |store, _| {
            Box::pin(import::a_pathway_is_chosen_and_its_task_becomes_an_order(
                store,
            ))
        },
    ),
    ("messages_change_plans_as_a_list_does", |store, _| {
        Box::pin(feed::messages_change_plans_as_a_list_does(store))
    }),
    ("what_cannot_be_applied_waits_for_a_person", |store, _| {
        Box::pin(feed::what_cannot_be_applied_waits_for_a_person(store))
    }),
    (
        "hostile_peers_are_closed_and_the_others_go_on",
        |store, _| Box::pin(feed::hostile_peers_are_closed_and_the_others_go_on(store)),
    ),
    ("audit_and_imports_are_lists", |store, _| {
        Box::pin(audit_and_imports_are_lists(store))
    }),
    (
        "a_call_is_drawn_in_the_transaction_that_ends_it",
        |store, _| {
            Box::pin(audit::a_call_is_drawn_in_the_transaction_that_ends_it(
                store,
            ))
        },
    ),
    ("an_order_is_told_handed_on_and_opened_again", |store, _| {
        Box::pin(an_order_is_told_handed_on_and_opened_again(store))
    }),
    ("an_item_gets_one_verdict", |store, _| {
        Box::pin(audit::an_item_gets_one_verdict(store))
    }),
    (
        "a_list_of_calls_is_narrowed_by_what_is_asked",
        |store, _| Box::pin(reviews::a_list_of_calls_is_narrowed_by_what_is_asked(store)),
    ),
    ("a_review_stays_as_it_was_compared", |store, _| {
        Box::pin(reviews::a_review_stays_as_it_was_compared(store))
    }),
    ("a_tally_counts_both_strata", |store, _| {
        Box::pin(audit::a_tally_counts_both_strata(store))
    }),
    ("a_late_alert_is_no_quiet_call", |store, _| {
        Box::pin(audit::a_late_alert_is_no_quiet_call(store))
    }),
    ("a_session_ends_by_idleness_and_by_age", |store, _| {
        Box::pin(people::a_session_ends_by_idleness_and_by_age(store))
    }),
    (
        "a_journey_is_made_once_in_its_time_and_a_subject_has_one_account",
        |store, _| {
            Box::pin(sso::a_journey_is_made_once_in_its_time_and_a_subject_has_one_account(store))
        },
    ),
    ("what_aes_sealed_opens_under_sm4_and_back", |store, url| {
        Box::pin(vault::what_aes_sealed_opens_under_sm4_and_back(store, url))
    }),
    ("tampering_with_the_audit_log_is_found", |store, url| {
        Box::pin(people::tampering_with_the_audit_log_is_found(store, url))
    }),
    ("the_audit_logs_head_is_sent_outside", |store, _| {
        Box::pin(people::the_audit_logs_head_is_sent_outside(store))
    }),
    ("engines_append_to_one_chain", |store, url| {
        Box::pin(people::engines_append_to_one_chain(store, url))
    }),
    (
        "what_was_written_before_the_chain_is_taken_in",
        |store, url| {
            Box::pin(people::what_was_written_before_the_chain_is_taken_in(
                store, url,
            ))
        },
    ),
    ("figures_are_counted_as_by_hand", |store, _| {
        Box::pin(figures::figures_are_counted_as_by_hand(store))
    }),
    ("a_draft_is_signed_by_somebody_else", |store, _| {
        Box::pin(drafts::a_draft_is_signed_by_somebody_else(store))
    }),
    ("a_destroyed_key_opens_nothing", |store, url| {
        Box::pin(vault::a_destroyed_key_opens_nothing(store, url))
    }),
    ("a_rotation_wraps_every_key_anew", |store, url| {
        Box::pin(vault::a_rotation_wraps_every_key_anew(store, url))
    }),
    ("what_was_said_lies_under_the_patients_key", |store, url| {
        Box::pin(vault::what_was_said_lies_under_the_patients_key(store, url))
    }),
    (
        "nothing_that_tells_who_somebody_is_lies_open",
        |store, url| {
            Box::pin(identity::nothing_that_tells_who_somebody_is_lies_open(
                store, url,
            ))
        },
    ),
    (
        "what_an_earlier_version_left_open_is_sealed_at_the_next_start",
        |store, url| {
            Box::pin(
                identity::what_an_earlier_version_left_open_is_sealed_at_the_next_start(store, url),
            )
        },
    ),
    (
        "a_name_is_found_and_those_that_begin_otherwise_are_not_opened",
        |store, url| {
            Box::pin(
                identity::a_name_is_found_and_those_that_begin_otherwise_are_not_opened(store, url),
            )
        },
    ),
    (
        "a_rotation_keeps_what_numbers_are_looked_up_by",
        |store, url| {
            Box::pin(identity::a_rotation_keeps_what_numbers_are_looked_up_by(
                store, url,
            ))
        },
    ),
    ("an_erasure_leaves_nothing_that_opens", |store, url| {
        Box::pin(end_of_data::an_erasure_leaves_nothing_that_opens(
            store, url,
        ))
    }),
    ("a_restore_replays_erasures", |store, url| {
        Box::pin(end_of_data::a_restore_replays_erasures(store, url))
    }),
    ("what_is_kept_no_longer_goes_by_class", |store, url| {
        Box::pin(end_of_data::what_is_kept_no_longer_goes_by_class(
            store, url,
        ))
    }),
    ("a_database_has_one_master_key", |store, url| {
        Box::pin(vault::a_database_has_one_master_key(store, url))
    }),
    ("migrations_run_once", |store, url| {
        Box::pin(migrations_run_once(store, url))
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_passes_on_sqlite() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, check) in CHECKS {
        let url = format!("sqlite://{}/{name}.db", folder.path().display());
        run(name, *check, url, Backend::Sqlite).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_check_passes_on_postgres() {
    let server = Postgres::start();
    for (name, check) in CHECKS {
        let url = server.database(name).await;
        run(name, *check, url, Backend::Postgres).await;
    }
}

#[tokio::test]
async fn an_address_of_no_database_is_refused() {
    assert!(matches!(
        Store::open("mysql://localhost", &master_key()).await,
        Err(StoreError::Scheme)
    ));
    assert!(matches!(
        Store::open("sqlite:///dev/null/x.db", &master_key()).await,
        Err(StoreError::File { .. })
    ));
    let nobody = Store::open("postgres://nobody@127.0.0.1:1/none", &master_key())
        .await
        .expect_err("no server listens there");
    let why = std::error::Error::source(&nobody)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(why.contains("refused"), "it says why at once: {why}");
    let memory = Store::open("sqlite::memory:", &master_key())
        .await
        .expect("memory needs no file");
    let ahead = memory.clock_ahead_ms(at(0)).await.expect("it answers");
    assert_eq!(ahead, 0, "no call has begun");
}

async fn run(name: &str, check: Check, url: String, backend: Backend) {
    let store = Store::open(&url, &master_key())
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    assert_eq!(store.backend(), backend);
    let done = tokio::spawn(check(store.clone(), url)).await;
    store.close().await;
    assert!(done.is_ok(), "{name} fails on {backend:?}");
}

async fn enrolment_is_idempotent(store: Store) {
    let (first, sent) = enrol(&store, "1").await;
    assert!(first.new_patient && first.new_episode);
    assert_eq!(
        store.patient(&first.patient).await.expect("saved"),
        sent.patient
    );
    assert_eq!(
        store.episode(&first.episode).await.expect("saved"),
        sent.episode
    );
    assert_eq!(
        store.steps_of_episode(&first.episode).await.expect("saved"),
        sent.steps
    );
    let (second, _) = enrol(&store, "1").await;
    assert!(!second.new_patient && !second.new_episode);
    assert_eq!(
        (&second.patient, &second.episode),
        (&first.patient, &first.episode)
    );
    assert_eq!(
        store.steps_of_episode(&first.episode).await.expect("saved"),
        sent.steps
    );
    let mut moved = enrolment("1");
    moved
        .steps
        .iter_mut()
        .for_each(|step| step.due_on = step.due_on.tomorrow().expect("not the last day"));
    store
        .save_patient_with_episode_and_steps(&moved, "test", at(1))
        .await
        .expect("saved");
    let steps = store.steps_of_episode(&first.episode).await.expect("saved");
    assert_eq!(
        steps[0].due_on, moved.steps[0].due_on,
        "a corrected discharge moves steps not yet begun"
    );
    assert_eq!(steps[0].id, sent.steps[0].id);
    assert_eq!(
        store
            .episodes_of(&first.patient)
            .await
            .expect("listed")
            .len(),
        1
    );
    assert_eq!(
        store.steps_by_state().await.expect("counted"),
        [(StepState::Planned, 4)]
    );
}

async fn an_import_never_revives(store: Store) {
    let (enrolled, sent) = enrol(&store, "1").await;
    let withdrawn = Consent {
        basis: ConsentBasis::Withdrawn,
        ..Consent::default()
    };
    store
        .set_consent(&enrolled.patient, &withdrawn, "nurse", at(1))
        .await
        .expect("saved");
    store
        .set_life(&enrolled.patient, Life::ReportedDead, at(1))
        .await
        .expect("saved");
    store
        .set_episode_state(&enrolled.episode, EpisodeState::Readmitted, at(1))
        .await
        .expect("saved");
    enrol(&store, "1").await;
    let patient = store.patient(&enrolled.patient).await.expect("saved");
    assert_eq!(
        (patient.consent.basis, patient.life),
        (ConsentBasis::Withdrawn, Life::ReportedDead)
    );
    assert_eq!(
        store.episode(&enrolled.episode).await.expect("saved").state,
        EpisodeState::Readmitted
    );
    let mut dead = enrolment("1");
    dead.patient.life = Life::Dead;
    store
        .save_patient_with_episode_and_steps(&dead, "test", at(2))
        .await
        .expect("saved");
    enrol(&store, "1").await;
    assert_eq!(
        store.patient(&enrolled.patient).await.expect("saved").life,
        Life::Dead
    );
    store
        .set_life(&enrolled.patient, Life::Alive, at(3))
        .await
        .expect("a person may correct it");
    store
        .set_consent(&enrolled.patient, &sent.patient.consent, "nurse", at(3))
        .await
        .expect("saved");
    assert_eq!(
        store.patient(&enrolled.patient).await.expect("saved"),
        sent.patient
    );
    let nobody = PatientId("nobody".to_owned());
    assert!(matches!(
        store.set_life(&nobody, Life::Dead, at(3)).await,
        Err(StoreError::NotFound { .. })
    ));
    assert!(matches!(
        store.patient(&nobody).await,
        Err(StoreError::NotFound { .. })
    ));
}

async fn a_patient_changes_in_place(store: Store) {
    let (enrolled, sent) = enrol(&store, "1").await;
    let change = PatientChange {
        lang: Some(Lang::En),
        dialect: Some(None),
        hearing: Some(Hearing::Normal),
        knows_diagnosis: Some(false),
        contacts: Some(Vec::new()),
    };
    let changed = store
        .change_patient(&enrolled.patient, &change, at(5))
        .await
        .expect("changed");
    assert_eq!(
        (changed.lang, changed.dialect.clone(), changed.hearing),
        (Lang::En, None, Hearing::Normal)
    );
    assert!(!changed.knows_diagnosis && changed.contacts.is_empty());
    assert_eq!(changed.name, sent.patient.name);
    let kept = store
        .change_patient(&enrolled.patient, &PatientChange::default(), at(6))
        .await
        .expect("kept");
    assert_eq!(kept, changed);
}

async fn lists_page_by_key(store: Store) {
    for number in ["1", "2", "3", "4", "5"] {
        enrol(&store, number).await;
    }
    let mut page = PageRequest {
        limit: 2,
        after: None,
    };
    let mut seen = Vec::new();
    loop {
        let patients = store.patients(&page).await.expect("listed");
        seen.extend(
            patients
                .items
                .iter()
                .map(|patient| patient.number.expose().clone()),
        );
        let Some(next) = patients.next else { break };
        page.after = Some(Cursor::parse(&next.to_text()).expect("own cursor"));
    }
    assert_eq!(seen, ["1", "2", "3", "4", "5"]);
    let patient = store
        .patients(&PageRequest::default())
        .await
        .expect("listed")
        .items
        .remove(0);
    let steps = store
        .steps(
            Some(&patient.id),
            &PageRequest {
                limit: 3,
                after: None,
            },
        )
        .await
        .expect("listed");
    assert_eq!((steps.items.len(), steps.next.is_some()), (3, true));
    assert_eq!(
        store
            .steps(
                None,
                &PageRequest {
                    limit: 200,
                    after: None
                }
            )
            .await
            .expect("listed")
            .items
            .len(),
        20
    );
    for number in ["+861", "+8612", "+86123", "+861234"] {
        store
            .suppress_number(&phone(&format!("{number}00")), "test", "test", at(7))
            .await
            .expect("saved");
    }
    let mut page = PageRequest {
        limit: 3,
        after: None,
    };
    let first = store.suppressed_numbers(&page).await.expect("listed");
    page.after = first.next;
    let second = store.suppressed_numbers(&page).await.expect("listed");
    assert_eq!(
        (first.items.len(), second.items.len(), second.next.is_some()),
        (3, 1, false)
    );
    assert!(!first.items.contains(&second.items[0]));
    let foreign = store
        .attempts(
            None,
            &PageRequest {
                limit: 1,
                after: page.after,
            },
        )
        .await;
    assert!(matches!(foreign, Err(StoreError::Cursor)));
}

async fn two_engines_never_claim_one_step(store: Store, url: String) {
    for number in 0..12 {
        enrol(&store, &number.to_string()).await;
    }
    let other = Store::open(&url, &master_key())
        .await
        .expect("a second engine");
    let (first, second) = tokio::join!(
        store.claim_due_steps(at(0), 12, at(60), "engine-a"),
        other.claim_due_steps(at(0), 12, at(60), "engine-b")
    );
    let mut claimed: Vec<_> = first
        .expect("claimed")
        .into_iter()
        .chain(second.expect("claimed"))
        .collect();
    claimed.sort_by(|left, right| left.id.cmp(&right.id));
    let before = claimed.len();
    claimed.dedup_by(|left, right| left.id == right.id);
    assert_eq!((before, claimed.len()), (12, 12), "each step has one owner");
    other.close().await;
}

async fn a_lease_that_ran_out_is_claimed_again(store: Store) {
    enrol(&store, "1").await;
    assert_eq!(
        store
            .claim_due_steps(at(-1), 9, at(60), ENGINE)
            .await
            .expect("asked")
            .len(),
        0,
        "not due yet"
    );
    let step = store
        .claim_due_steps(at(0), 9, at(60), ENGINE)
        .await
        .expect("claimed")
        .remove(0);
    assert_eq!(
        store
            .claim_due_steps(at(59), 9, at(90), "engine-b")
            .await
            .expect("asked")
            .len(),
        0
    );
    assert_eq!(
        store.renew_leases(ENGINE, at(100)).await.expect("renewed"),
        1
    );
    assert_eq!(
        store
            .claim_due_steps(at(60), 9, at(90), "engine-b")
            .await
            .expect("asked")
            .len(),
        0
    );
    assert_eq!(
        store
            .claim_due_steps(at(100), 9, at(160), "engine-b")
            .await
            .expect("claimed")
            .len(),
        1
    );
    let late = StepChange {
        state: StepState::Planned,
        next_at: at(500),
        why: Some(Reason::Rest { minutes: 10 }),
    };
    let refused = store
        .put_off_step(&step.id, ENGINE, &late, (None, None), at(101))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Conflict { .. })),
        "the lease is another engine's"
    );
    assert_eq!(store.release_steps("engine-b").await.expect("released"), 1);
    let step = store
        .claim_due_steps(at(101), 9, at(160), ENGINE)
        .await
        .expect("claimed")
        .remove(0);
    let blocked = StepChange {
        state: StepState::Unreached,
        next_at: at(101),
        why: Some(Reason::AttemptsUsed {
            rang: 3,
            allowed: 3,
        }),
    };
    let new = new_attempt(&step, None);
    let unreachable = raise(&new, vec![Cause::Unreachable]);
    let unreachable = aftercall::store::work_order::Raise {
        subject: aftercall_core::work_order::Subject {
            attempt: None,
            ..unreachable.subject
        },
        ..unreachable
    };
    let raised = store
        .put_off_step(
            &step.id,
            ENGINE,
            &blocked,
            (Some(&unreachable), None),
            at(102),
        )
        .await
        .expect("put off");
    assert_eq!(raised.expect("a cause").how, HowRaised::New);
    let kept = store.step(&step.id).await.expect("there");
    assert_eq!(
        (kept.state, kept.reason.as_str()),
        (
            StepState::Unreached,
            "attempts_used: 3 of 3 attempts were used; a human takes over"
        )
    );
}

async fn one_ring_a_step_and_a_number(store: Store) {
    let (first, sent) = calling(&store, "1").await;
    assert!(
        store
            .live_on_number(first.phone.as_ref().expect("has one"))
            .await
            .expect("asked")
    );
    let step = store
        .step(first.step.as_ref().expect("has one"))
        .await
        .expect("there");
    assert_eq!(step.state, StepState::Calling);
    assert_eq!(
        store
            .begin_attempt(&new_attempt(&step, None))
            .await
            .expect("asked"),
        Begun::LeaseLost
    );
    let (other, _) = enrol(&store, "2").await;
    let claimed = store
        .claim_due_steps(at(0), 9, at(60), ENGINE)
        .await
        .expect("claimed");
    assert_eq!(claimed[0].patient, other.patient);
    let shared = new_attempt(&claimed[0], sent.patient.phone.clone());
    assert_eq!(
        store.begin_attempt(&shared).await.expect("asked"),
        Begun::LineTaken,
        "they share a telephone"
    );
    assert_eq!(
        store.step(&claimed[0].id).await.expect("there").state,
        StepState::Planned,
        "rolled back"
    );
    let past = store
        .past_attempts_of_number(first.phone.as_ref().expect("has one"), at(-10))
        .await
        .expect("listed");
    assert_eq!(
        (past.len(), past[0].rang, past[0].disposition),
        (1, true, None),
        "unknown counts as rung"
    );
    store
        .finish_attempt(&finish(&first, Disposition::NoAnswer, vec![]))
        .await
        .expect("finished");
    assert_eq!(
        store.begin_attempt(&shared).await.expect("asked"),
        Begun::Dial
    );
    assert_eq!(store.live_attempts().await.expect("listed").len(), 1);
    let past = store
        .past_attempts_of_step(first.step.as_ref().expect("has one"))
        .await
        .expect("listed");
    assert_eq!(past[0].disposition, Some(Disposition::NoAnswer));
    assert_eq!(past[0].ended_at, Some(at(120)));
}

async fn a_suppressed_number_is_not_rung(store: Store) {
    let (_, sent) = enrol(&store, "1").await;
    let number = sent.patient.phone.clone().expect("has one");
    let step = store
        .claim_due_steps(at(0), 9, at(60), ENGINE)
        .await
        .expect("claimed")
        .remove(0);
    assert!(
        store
            .suppress_number(&number, "complaint", "nurse", at(0))
            .await
            .expect("saved")
    );
    assert!(
        !store
            .suppress_number(&number, "again", "nurse", at(0))
            .await
            .expect("known")
    );
    let new = new_attempt(&step, Some(number.clone()));
    assert_eq!(
        store.begin_attempt(&new).await.expect("asked"),
        Begun::DoNotCall
    );
    assert_eq!(
        store
            .suppressed_number(&number)
            .await
            .expect("asked")
            .expect("listed")
            .why,
        "complaint"
    );
    assert!(store.unsuppress_number(&number).await.expect("removed"));
    assert_eq!(store.begin_attempt(&new).await.expect("asked"), Begun::Dial);
}

async fn an_attempt_only_goes_on(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let progress = |state, identified| AttemptProgress {
        state,
        answered_at: (state == AttemptState::Talking).then(|| at(9)),
        dialog: Some(format!("{state:?}")),
        progress: Progress {
            identified,
            screened: false,
            closing_spoken: false,
        },
    };
    store
        .attempt_progress(&new.id, &progress(AttemptState::Ringing, false))
        .await
        .expect("rings");
    store
        .attempt_progress(&new.id, &progress(AttemptState::Talking, true))
        .await
        .expect("talks");
    let back = store
        .attempt_progress(&new.id, &progress(AttemptState::Ringing, false))
        .await;
    assert!(matches!(back, Err(StoreError::Conflict { .. })));
    store
        .attempt_progress(&new.id, &progress(AttemptState::Talking, false))
        .await
        .expect("talks on");
    let row = store.attempt(&new.id).await.expect("there");
    assert!(
        row.attempt.progress.identified,
        "a flag is never taken back"
    );
    assert_eq!(
        (row.attempt.state, row.attempt.answered_at),
        (AttemptState::Talking, Some(at(9)))
    );
    assert_eq!(row.dialog.as_deref(), Some("Talking"));
    store
        .finish_attempt(&finish(&new, Disposition::Completed, vec![]))
        .await
        .expect("finished");
    let after = store
        .attempt_progress(&new.id, &progress(AttemptState::Talking, true))
        .await;
    assert!(matches!(after, Err(StoreError::Conflict { .. })));
    assert_eq!(
        store.attempt(&new.id).await.expect("there").dialog,
        None,
        "nothing to hang up any more"
    );
}

async fn a_finished_call_is_read_back_whole(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let open = aftercall_core::attempt::Turn {
        reply: None,
        ..turn(0)
    };
    store.append_turn(&new.id, &open).await.expect("saved");
    let sent = finish(
        &new,
        Disposition::Completed,
        vec![finding("chest_pain", Urgency::Emergent)],
    );
    let finished = store.finish_attempt(&sent).await.expect("finished");
    assert!(!finished.late);
    let call = store.call(&new.id).await.expect("there");
    assert_eq!(call.turns, sent.record.turns);
    assert_eq!(call.findings, sent.record.findings);
    assert_eq!(call.suppressed, sent.record.suppressed);
    assert_eq!(call.row.attempt.ending, Some(sent.record.ending.clone()));
    assert_eq!(call.row.attempt.progress, sent.record.progress);
    assert_eq!(call.row.attempt.callee, new.phone);
    let step = store
        .step(new.step.as_ref().expect("has one"))
        .await
        .expect("there");
    assert_eq!((step.state, step.next_at), (StepState::Done, at(900)));
    let order = store
        .work_order(&finished.raised.expect("an alert").id)
        .await
        .expect("there");
    assert_eq!(
        (order.urgency, order.causes.len(), order.attempt.as_ref()),
        (Urgency::Emergent, 1, Some(&new.id))
    );
    let again = store.finish_attempt(&sent).await;
    assert!(matches!(again, Err(StoreError::Conflict { .. })));
    let listed = store
        .attempts(new.patient.as_ref(), &PageRequest::default())
        .await
        .expect("listed");
    assert_eq!(listed.items, [call.row]);
    assert_eq!(
        store.attempts_by_disposition().await.expect("counted"),
        [(Disposition::Completed, 1)]
    );
}

async fn a_trace_is_replaced_and_dropped_when_it_is_old(store: Store) {
    let (first, _) = calling(&store, "1").await;
    let (second, _) = calling(&store, "2").await;
    assert_eq!(store.trace(&first.id).await.expect("asked"), None);
    let kept = |left_out| Kept {
        passed: Vec::new(),
        left_out,
    };
    for (left_out, now) in [(1, at(1)), (2, at(2))] {
        let saved = store.save_trace(&first.id, &kept(left_out), now).await;
        saved.expect("an attempt that is there");
    }
    let found = store.trace(&first.id).await.expect("asked");
    assert_eq!(found, Some(kept(2)));
    let month_later = at(3 + 30 * 24 * 3_600);
    let saved = store.save_trace(&second.id, &kept(3), month_later).await;
    saved.expect("an attempt that is there");
    assert_eq!(store.trace(&first.id).await.expect("asked"), None);
    assert_eq!(store.trace(&second.id).await.expect("asked"), Some(kept(3)));
    let nobody = AttemptId("nobody".to_owned());
    let missing = store.trace(&nobody).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })));
}

async fn a_finish_that_fails_leaves_nothing(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let mut sent = finish(
        &new,
        Disposition::Partial,
        vec![finding("chest_pain", Urgency::Emergent)],
    );
    if let Some(raise) = &mut sent.raise {
        raise.subject.patient = Some(PatientId("nobody".to_owned()));
    }
    assert!(matches!(
        store.finish_attempt(&sent).await,
        Err(StoreError::Refused { .. })
    ));
    let call = store.call(&new.id).await.expect("there");
    assert_eq!(
        call.row.attempt.state,
        AttemptState::Dialling,
        "all or nothing"
    );
    assert!(call.turns.is_empty() && call.findings.is_empty());
    assert_eq!(store.outbox_waiting().await.expect("counted"), 0);
}

async fn orphans_are_found_and_late_findings_kept(store: Store) {
    let (new, _) = calling(&store, "1").await;
    assert!(
        store
            .orphaned_attempts(None, at(60))
            .await
            .expect("asked")
            .is_empty(),
        "its lease runs"
    );
    assert_eq!(
        store
            .orphaned_attempts(Some(ENGINE), at(2))
            .await
            .expect("asked")
            .len(),
        1,
        "a restart knows"
    );
    assert_eq!(
        store.orphaned_attempts(None, at(61)).await.expect("asked")[0]
            .attempt
            .id,
        new.id
    );
    let mut interrupted = finish(&new, Disposition::Interrupted, vec![]);
    interrupted.raise = Some(raise(&new, vec![Cause::Incomplete]));
    store
        .finish_attempt(&interrupted)
        .await
        .expect("closed by the next start");
    let late = finish(
        &new,
        Disposition::Completed,
        vec![finding("chest_pain", Urgency::Emergent)],
    );
    let finished = store
        .finish_attempt(&late)
        .await
        .expect("a finding is never dropped");
    assert!(finished.late);
    let order = store
        .work_order(&finished.raised.expect("an alert").id)
        .await
        .expect("there");
    assert_eq!((order.urgency, order.causes.len()), (Urgency::Emergent, 2));
    let call = store.call(&new.id).await.expect("there");
    assert_eq!(
        call.row.attempt.ending.expect("ended").disposition,
        Disposition::Interrupted
    );
    assert_eq!(call.findings.len(), 1);
    assert_eq!(
        store
            .step(new.step.as_ref().expect("one"))
            .await
            .expect("there")
            .state,
        StepState::Planned
    );
}

async fn findings_join_one_order_and_urgency_rises(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let swelling = finding("leg_swelling", Urgency::SameDay);
    let cause = |placed| raise(&new, vec![found(&new, placed)]);
    let first = store
        .record_finding(
            &new.id,
            0,
            &swelling,
            Some(&cause(swelling.clone())),
            at(10),
        )
        .await;
    let first = first.expect("saved").expect("raised");
    assert_eq!(
        (first.how, first.urgency),
        (HowRaised::New, Urgency::SameDay)
    );
    let order = store
        .act_on_work_order(
            &first.id,
            &Act::Acknowledge,
            "nurse",
            "",
            &deadlines(),
            at(20),
        )
        .await
        .expect("open");
    assert_eq!(order.acknowledged_by.as_deref(), Some("nurse"));
    let chest = finding("chest_pain", Urgency::Emergent);
    let second = store
        .record_finding(&new.id, 1, &chest, Some(&cause(chest.clone())), at(30))
        .await;
    let second = second.expect("saved").expect("raised");
    assert_eq!(
        (second.how, second.urgency),
        (HowRaised::Joined(Joined::Reopened), Urgency::Emergent)
    );
    let mut confirmed = chest.clone();
    confirmed.finding.confirmation = Confirmation::Confirmed;
    let sent = finish(
        &new,
        Disposition::Completed,
        vec![swelling.clone(), confirmed.clone()],
    );
    let third = store
        .finish_attempt(&sent)
        .await
        .expect("finished")
        .raised
        .expect("joined");
    assert_eq!(third.how, HowRaised::Joined(Joined::Nothing), "told before");
    let order = store.work_order(&first.id).await.expect("there");
    assert_eq!(
        order.causes,
        [found(&new, swelling), found(&new, confirmed)],
        "with what is known by now"
    );
    assert_eq!(
        (order.state, order.urgency),
        (WorkOrderState::Open, Urgency::Emergent)
    );
    let lone = raise(&new, vec![Cause::Incomplete]);
    let joined = store
        .raise_or_join_work_order(&lone, at(200))
        .await
        .expect("joined")
        .expect("a cause");
    assert_eq!(
        (joined.id, joined.urgency),
        (first.id.clone(), Urgency::Emergent),
        "urgency only rises"
    );
    assert_eq!(
        store
            .raise_or_join_work_order(&raise(&new, vec![]), at(201))
            .await
            .expect("asked"),
        None
    );
}

/// Doubtful, then confirmed, then denied: one row and one cause, with what is known by now.
async fn a_finding_changes_in_its_place(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let doubtful = finding("chest_pain", Urgency::Emergent);
    let kept = store
        .record_finding(&new.id, 0, &doubtful, None, at(10))
        .await
        .expect("saved");
    assert_eq!(kept, None, "no order yet");
    assert_eq!(
        store.findings(&new.id).await.expect("read"),
        std::slice::from_ref(&doubtful)
    );
    let mut confirmed = doubtful;
    confirmed.finding.confirmation = Confirmation::Confirmed;
    confirmed.finding.when = When::Within24h;
    confirmed.finding.subject = About::Newborn;
    let mut denied = confirmed.clone();
    denied.denied = Some(Denial {
        turn: 2,
        node: NodeId("emergency".to_owned()),
        from_ms: 20_000,
        to_ms: 21_000,
        raw: "没有，不疼".to_owned(),
    });
    for (seconds, placed) in [(20, &confirmed), (30, &denied)] {
        let cause = raise(&new, vec![found(&new, placed.clone())]);
        let raised = store
            .record_finding(&new.id, 0, placed, Some(&cause), at(seconds))
            .await
            .expect("saved")
            .expect("raised");
        assert_eq!(raised.urgency, Urgency::Emergent);
        let order = store.work_order(&raised.id).await.expect("there");
        assert_eq!(order.causes, [found(&new, placed.clone())]);
        assert_eq!(order.state, WorkOrderState::Open);
        let rows = store.findings(&new.id).await.expect("read");
        assert_eq!(rows, std::slice::from_ref(placed));
    }
}

async fn parallel_raises_make_one_order(store: Store, url: String) {
    let (new, _) = calling(&store, "1").await;
    let other = Store::open(&url, &master_key())
        .await
        .expect("a second engine");
    let raises: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
        .map(|node| {
            raise(
                &new,
                vec![Cause::NotAssessed {
                    node: node.to_owned(),
                }],
            )
        })
        .into_iter()
        .zip([&store, &other].into_iter().cycle())
        .map(|(raise, store)| {
            let store = store.clone();
            tokio::spawn(async move { store.raise_or_join_work_order(&raise, at(5)).await })
        })
        .collect();
    for raised in raises {
        raised.await.expect("no panic").expect("raised or joined");
    }
    let orders = store
        .work_orders(&WorkOrderFilter::default(), &PageRequest::default())
        .await
        .expect("listed");
    assert_eq!(
        (orders.items.len(), orders.items[0].causes.len()),
        (1, 8),
        "no cause is lost"
    );
    other.close().await;
}

async fn one_of_two_nurses_gets_the_order(store: Store, url: String) {
    let (new, _) = calling(&store, "1").await;
    let raised = store
        .raise_or_join_work_order(&raise(&new, vec![Cause::AskedForPerson]), at(5))
        .await;
    let id = raised.expect("raised").expect("a cause").id;
    let early = store
        .act_on_work_order(
            &id,
            &Act::Close {
                outcome: Outcome::True,
            },
            "nurse",
            "",
            &deadlines(),
            at(6),
        )
        .await;
    assert!(matches!(early, Err(StoreError::Conflict { state, .. }) if state == "open"));
    let other = Store::open(&url, &master_key())
        .await
        .expect("another desk");
    let terms = deadlines();
    let (first, second) = tokio::join!(
        store.act_on_work_order(&id, &Act::Acknowledge, "anna", "", &terms, at(7)),
        other.act_on_work_order(&id, &Act::Acknowledge, "bert", "", &terms, at(7))
    );
    let lost = match (first, second) {
        (Ok(_), Err(lost)) | (Err(lost), Ok(_)) => lost,
        other => panic!("one nurse must win: {other:?}"),
    };
    assert!(matches!(lost, StoreError::Conflict { state, .. } if state == "acknowledged"));
    let closing = Act::Close {
        outcome: Outcome::SentToEmergency,
    };
    let unspoken = store
        .act_on_work_order(&id, &closing, "anna", "", &deadlines(), at(7))
        .await;
    assert!(matches!(unspoken, Err(StoreError::Conflict { state, .. }) if state == "not spoken"));
    store
        .act_on_work_order(&id, &Act::Speak, "anna", "", &deadlines(), at(8))
        .await
        .expect("as promised");
    let closed = store
        .act_on_work_order(
            &id,
            &Act::Close {
                outcome: Outcome::SentToEmergency,
            },
            "anna",
            "by taxi",
            &deadlines(),
            at(8),
        )
        .await
        .expect("closed");
    assert_eq!(
        (closed.state, closed.outcome),
        (WorkOrderState::Closed, Some(Outcome::SentToEmergency))
    );
    let twice = store
        .act_on_work_order(
            &id,
            &Act::Close {
                outcome: Outcome::False,
            },
            "bert",
            "",
            &deadlines(),
            at(9),
        )
        .await;
    assert!(matches!(twice, Err(StoreError::Conflict { state, .. }) if state == "closed"));
    let nobody = WorkOrderId("nobody".to_owned());
    assert!(matches!(
        store
            .act_on_work_order(&nobody, &Act::Acknowledge, "x", "", &deadlines(), at(9))
            .await,
        Err(StoreError::NotFound { .. })
    ));
    let open = store
        .work_orders(&WorkOrderFilter::default(), &PageRequest::default())
        .await
        .expect("listed");
    assert!(
        open.items.is_empty(),
        "the usual list shows what is not closed"
    );
    let filter = WorkOrderFilter {
        state: Some(WorkOrderState::Closed),
        patient: new.patient.clone(),
        ..WorkOrderFilter::default()
    };
    assert_eq!(
        store
            .work_orders(&filter, &PageRequest::default())
            .await
            .expect("listed")
            .items,
        [closed]
    );
    let again = store
        .raise_or_join_work_order(&raise(&new, vec![Cause::Incomplete]), at(10))
        .await;
    assert_eq!(
        again.expect("raised").expect("a cause").how,
        HowRaised::New,
        "a closed order stays closed"
    );
    other.close().await;
}

async fn an_overdue_order_climbs_once(store: Store) {
    for (number, urgency) in [
        ("1", Urgency::SameDay),
        ("2", Urgency::Emergent),
        ("3", Urgency::Urgent),
    ] {
        let (new, _) = calling(&store, number).await;
        let placed = finding("chest_pain", urgency);
        store
            .record_finding(
                &new.id,
                0,
                &placed,
                Some(&raise(&new, vec![found(&new, placed.clone())])),
                at(5),
            )
            .await
            .expect("raised");
    }
    let page = PageRequest {
        limit: 2,
        after: None,
    };
    let first = store
        .work_orders(&WorkOrderFilter::default(), &page)
        .await
        .expect("listed");
    let rest = PageRequest {
        limit: 2,
        after: first.next,
    };
    let second = store
        .work_orders(&WorkOrderFilter::default(), &rest)
        .await
        .expect("listed");
    let urgencies: Vec<_> = first
        .items
        .iter()
        .chain(&second.items)
        .map(|order| order.urgency)
        .collect();
    assert_eq!(
        urgencies,
        [Urgency::Emergent, Urgency::Urgent, Urgency::SameDay]
    );
    let now = at(5 + 300);
    let overdue = store.overdue_work_orders(now, 10).await.expect("listed");
    assert_eq!((overdue.len(), overdue[0].urgency), (1, Urgency::Emergent));
    let climb = due_step(&overdue[0], &deadlines(), now).expect("it is overdue");
    assert!(
        store
            .escalate_work_order(&overdue[0], &climb, now)
            .await
            .expect("climbs")
    );
    assert!(
        !store
            .escalate_work_order(&overdue[0], &climb, now)
            .await
            .expect("another engine was first")
    );
    assert_eq!(
        store.work_order(&overdue[0].id).await.expect("there").level,
        1
    );
    let counted = store.work_orders_by_urgency().await.expect("counted");
    assert_eq!(counted[0], (Urgency::Emergent, WorkOrderState::Open, 1));
}

async fn an_order_is_told_handed_on_and_opened_again(store: Store) {
    let rota = "version = 1\n[[person]]\nname = \"anna\"\nat = [{ by = \"sms\", to = \"1\" }]\n";
    assert_eq!(store.rota_text().await.expect("asked"), None);
    for text in ["version = 1\n", rota] {
        store
            .import_rota(text, "admin", at(1))
            .await
            .expect("imported");
    }
    let known = store.rota().await.expect("asked").expect("there");
    assert!(known.person("anna").is_some(), "the newest holds");
    let (new, _) = calling(&store, "1").await;
    let raised = store
        .raise_or_join_work_order(&raise(&new, vec![Cause::Incomplete]), at(5))
        .await;
    let id = raised.expect("raised").expect("a cause").id;
    for _ in 0..2 {
        store
            .assign_work_order(&id, "anna", at(6))
            .await
            .expect("hers");
    }
    let (terms, outcome) = (deadlines(), Outcome::False);
    let handed = Act::HandOver { to: "bert".into() };
    for act in [
        handed,
        Act::Acknowledge,
        Act::Close { outcome },
        Act::Reopen,
    ] {
        let acted = store.act_on_work_order(&id, &act, "bert", "", &terms, at(7));
        acted.await.expect("in its turn");
    }
    let life = store.work_order_events(&id).await.expect("listed");
    assert_eq!(life.len(), 6, "assigned once: {life:?}");
    let filter = WorkOrderFilter {
        ward: Some("5A".to_owned()),
        urgency: Some(Urgency::SameDay),
        ..WorkOrderFilter::default()
    };
    let list = store.work_orders(&filter, &PageRequest::default()).await;
    assert_eq!(list.expect("listed").items.len(), 1);
    assert_eq!(store.exhausted_work_orders().await.expect("counted"), 0);
    let claimed = store.claim_outbox(at(8), 1, at(60), ENGINE).await;
    let event = claimed.expect("claimed").remove(0);
    let targets = ["bus", "sms"].map(|channel| Target {
        channel: channel.to_owned(),
        recipient: None,
    });
    for _ in 0..2 {
        store
            .hand_out(&event, &targets, at(8))
            .await
            .expect("handed out");
    }
    let letters = store.outbox_letters(false, 99).await.expect("listed");
    let rows: Vec<_> = letters
        .into_iter()
        .filter(|letter| letter.event.channel.is_some())
        .map(|letter| letter.event.id)
        .collect();
    assert_eq!(rows, [format!("{}.0", event.id), format!("{}.1", event.id)]);
    let died = store.outbox_failed(&rows[0], "answered 500", Failed::Died, at(9));
    died.await.expect("given up");
    let dead = store.outbox_letters(true, 9).await.expect("listed");
    assert_eq!(dead[0].died_at, Some(at(9)));
    assert_eq!(store.replay_outbox(None, at(10)).await.expect("asked"), 1);
    assert_eq!(store.outbox_dead().await.expect("counted"), 0);
}

async fn the_outbox_delivers_what_was_committed(store: Store) {
    let (new, _) = calling(&store, "1").await;
    let sent = finish(
        &new,
        Disposition::Completed,
        vec![finding("chest_pain", Urgency::Emergent)],
    );
    store.finish_attempt(&sent).await.expect("finished");
    let claimed = store
        .claim_outbox(at(130), 10, at(160), ENGINE)
        .await
        .expect("claimed");
    let events: Vec<_> = claimed.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["work_order.raised", "call.finished"]);
    assert!(claimed[1].payload.contains(&new.id.0));
    assert!(
        store
            .claim_outbox(at(130), 10, at(160), "engine-b")
            .await
            .expect("asked")
            .is_empty(),
        "leased"
    );
    store
        .outbox_delivered(&claimed[0].id, at(132))
        .await
        .expect("marked");
    store
        .outbox_failed(
            &claimed[1].id,
            "timed out",
            Failed::AgainAt(at(140)),
            at(139),
        )
        .await
        .expect("put off");
    assert!(
        store
            .claim_outbox(at(139), 10, at(160), ENGINE)
            .await
            .expect("asked")
            .is_empty()
    );
    let again = store
        .claim_outbox(at(140), 10, at(160), ENGINE)
        .await
        .expect("claimed");
    assert_eq!(
        (again.len(), again[0].tries, &again[0].id),
        (1, 1, &claimed[1].id),
        "the same idempotency key"
    );
    assert_eq!(store.outbox_waiting().await.expect("counted"), 1);
}

async fn what_the_callee_said_is_kept_for_a_human(store: Store) {
    let (new, sent) = calling(&store, "1").await;
    let mut said = finish(&new, Disposition::ReportedDeath, vec![]);
    said.reported_death = true;
    said.reported_readmission = true;
    said.suppress = sent.patient.phone.clone();
    said.asked_for = Some(at(5000));
    said.raise = Some(raise(&new, vec![Cause::ReportedDeath]));
    said.record.notes = vec![aftercall_core::attempt::CallNote::ReportedDeath];
    store.finish_attempt(&said).await.expect("finished");
    let patient = new.patient.clone().expect("has one");
    assert_eq!(
        store.patient(&patient).await.expect("there").life,
        Life::ReportedDead
    );
    let episode = store
        .episode(new.episode.as_ref().expect("has one"))
        .await
        .expect("there");
    assert_eq!(episode.state, EpisodeState::ReportedReadmitted);
    let number = sent.patient.phone.expect("has one");
    assert_eq!(
        store
            .suppressed_number(&number)
            .await
            .expect("asked")
            .expect("listed")
            .why,
        "opted_out"
    );
    assert_eq!(
        store.notes(&new.id).await.expect("there"),
        said.record.notes
    );
    let past = store
        .past_attempts_of_step(new.step.as_ref().expect("one"))
        .await
        .expect("listed");
    assert_eq!(past[0].asked_for, Some(at(5000)));
}

async fn observations_are_saved_once(store: Store) {
    let (enrolled, _) = enrol(&store, "1").await;
    let reading = |seconds, kind, value, second_value| Observation {
        id: new_id(),
        patient: enrolled.patient.clone(),
        kind,
        value,
        second_value,
        unit: "mm[Hg]".to_owned(),
        taken_at: at(seconds),
        source: "mini_program".to_owned(),
    };
    let pressure = reading(1, ObservationKind::BloodPressure, 131.0, Some(84.5));
    assert!(
        store
            .save_observation(&pressure, at(9))
            .await
            .expect("saved")
    );
    assert!(
        !store
            .save_observation(
                &Observation {
                    id: new_id(),
                    ..pressure.clone()
                },
                at(9)
            )
            .await
            .expect("known")
    );
    let weight = reading(2, ObservationKind::Weight, 70.25, None);
    assert!(store.save_observation(&weight, at(9)).await.expect("saved"));
    let glucose = reading(2, ObservationKind::Glucose, 6.1, None);
    assert!(
        store
            .save_observation(&glucose, at(9))
            .await
            .expect("saved")
    );
    let page = PageRequest {
        limit: 2,
        after: None,
    };
    let first = store
        .observations(&enrolled.patient, &page)
        .await
        .expect("listed");
    assert_eq!(first.items, [glucose, weight], "newest first");
    let rest = PageRequest {
        limit: 2,
        after: first.next,
    };
    assert_eq!(
        store
            .observations(&enrolled.patient, &rest)
            .await
            .expect("listed")
            .items,
        std::slice::from_ref(&pressure)
    );
    let stranger = Observation {
        patient: PatientId("nobody".to_owned()),
        id: new_id(),
        ..pressure
    };
    assert!(matches!(
        store.save_observation(&stranger, at(9)).await,
        Err(StoreError::Refused { .. })
    ));
}

async fn a_published_script_never_changes(store: Store) {
    let version = ScriptVersion {
        id: "cardiac".to_owned(),
        version: "1.0.0".to_owned(),
        langs: "en,zh".to_owned(),
        hash: "h1".to_owned(),
        content: "version = 1".to_owned(),
        signature: Some("sig".to_owned()),
        published_by: "author".to_owned(),
        published_at: at(1),
    };
    assert!(store.publish_script(&version).await.expect("published"));
    assert!(!store.publish_script(&version).await.expect("known"));
    let edited = ScriptVersion {
        hash: "h2".to_owned(),
        content: "version = 2".to_owned(),
        ..version.clone()
    };
    assert!(matches!(
        store.publish_script(&edited).await,
        Err(StoreError::Conflict { .. })
    ));
    let next = ScriptVersion {
        version: "1.1.0".to_owned(),
        published_at: at(2),
        signature: None,
        ..edited
    };
    assert!(store.publish_script(&next).await.expect("published"));
    assert_eq!(
        store.latest_script("cardiac").await.expect("asked"),
        Some(next)
    );
    assert_eq!(
        store.script_by_hash("h1").await.expect("asked"),
        Some(version)
    );
    assert!(matches!(
        store.script_version("cardiac", "9").await,
        Err(StoreError::NotFound { .. })
    ));
    assert_eq!(store.latest_script("none").await.expect("asked"), None);
}

async fn a_token_is_known_by_its_hash_only(store: Store) {
    let (token, secret) = store
        .create_token("ward", &[Role::Service], &Wards::ALL, at(1))
        .await
        .expect("made");
    assert!(secret.len() >= 43, "256 bits");
    assert_eq!(
        store.verify_token(&secret).await.expect("asked"),
        Some(token)
    );
    assert_eq!(
        store.verify_token("aftercall_wrong").await.expect("asked"),
        None
    );
    assert!(matches!(
        store
            .create_token("ward", &[Role::Service], &Wards::ALL, at(2))
            .await,
        Err(StoreError::Conflict { .. })
    ));
    assert!(store.revoke_token("ward", at(3)).await.expect("revoked"));
    assert!(!store.revoke_token("ward", at(3)).await.expect("gone"));
    assert_eq!(store.verify_token(&secret).await.expect("asked"), None);
    store
        .create_token("ward", &[Role::Service], &Wards::ALL, at(4))
        .await
        .expect("the name is free again");
    let tokens = store.tokens().await.expect("listed");
    assert_eq!((tokens.len(), tokens[0].revoked_at), (2, Some(at(3))));
}

async fn audit_and_imports_are_lists(store: Store) {
    for (seconds, subject) in [(1, "a"), (2, "b"), (3, "a")] {
        store
            .audit(
                "ward",
                "recording.listen",
                subject,
                "bytes 0-9",
                at(seconds),
            )
            .await
            .expect("written");
    }
    let page = PageRequest {
        limit: 1,
        after: None,
    };
    let first = store.audit_log(Some("a"), &page).await.expect("listed");
    assert_eq!(
        (first.items[0].at, first.items[0].who.as_str()),
        (at(1), "ward")
    );
    let rest = PageRequest {
        limit: 9,
        after: first.next,
    };
    assert_eq!(
        store
            .audit_log(Some("a"), &rest)
            .await
            .expect("listed")
            .items[0]
            .at,
        at(3)
    );
    assert_eq!(
        store
            .audit_log(None, &PageRequest::default())
            .await
            .expect("listed")
            .items
            .len(),
        3
    );
    let import = Import {
        id: new_id(),
        at: at(1),
        who: "ward".to_owned(),
        accepted: 3,
        refused: 1,
        report: "[]".to_owned(),
    };
    store.save_import(&import).await.expect("saved");
    assert_eq!(
        store
            .imports(&PageRequest::default())
            .await
            .expect("listed")
            .items,
        [import]
    );
}

async fn migrations_run_once(store: Store, url: String) {
    enrol(&store, "1").await;
    let again = Store::open(&url, &master_key())
        .await
        .expect("nothing left to migrate");
    assert_eq!(
        again
            .patients(&PageRequest::default())
            .await
            .expect("listed")
            .items
            .len(),
        1
    );
    again.close().await;
}
