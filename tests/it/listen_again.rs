//! A call that is over, listened to again by the real ear.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aftercall::config::{Config, SecondEar};
use aftercall::jobs::listen_again::Listener;
use aftercall::jobs::{PlanClock, Rules};
use aftercall::recording::{FRAME_SAMPLES, Recordings, SILENCE};
use aftercall::speech::audio::decode_file;
use aftercall::speech::ears::{Ears, EarsConfig};
use aftercall::store::Store;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::Disposition;
use aftercall_core::codec::G711;
use aftercall_core::finding::{Confirmation, Polarity};
use aftercall_core::id::AttemptId;
use aftercall_core::work_order::Cause;
use tokio::sync::watch;

use crate::record::{ENGINE, at, calling, clinic, finish, master_key};
use crate::speech::model;

/// The clip on the patient's side from `from_ms` on, silence elsewhere.
async fn record(
    store: &Store,
    recordings: &Recordings,
    attempt: &AttemptId,
    clip: &str,
    from_ms: usize,
) {
    let clips = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/audio");
    let mut samples = vec![0_i16; from_ms * 8];
    samples.extend(decode_file(&clips.join(clip)).expect("a clip of ours"));
    samples.resize(samples.len().next_multiple_of(FRAME_SAMPLES), 0);
    let key = store.recording_key(attempt).await.expect("a key");
    let writer = recordings.writer(attempt, &key);
    let mut writer = writer.expect("a new recording");
    for frame in G711::A.encode_all(&samples).as_chunks::<FRAME_SAMPLES>().0 {
        writer
            .append(&[SILENCE; FRAME_SAMPLES], frame)
            .expect("a temporary folder is writable");
    }
    writer.finish().expect("a temporary folder is writable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_call_did_not_hear_goes_to_a_nurse_once_and_unconfirmed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("sqlite://{}/again.db", folder.path().display());
    let store = Store::open(&url, &master_key())
        .await
        .expect("a new database opens");
    let recordings = Recordings::new(folder.path().join("recordings"));

    // The first call's ear heard nothing of a tight chest; who is well says so on the second; the third has no recording.
    let (missed, _) = calling(&store, "1").await;
    let (well, _) = calling(&store, "2").await;
    let (unrecorded, _) = calling(&store, "3").await;
    for call in [&missed, &well, &unrecorded] {
        let mut end = finish(call, Disposition::Completed, Vec::new());
        for turn in &mut end.record.turns {
            turn.reply = None;
        }
        end.record.turns.truncate(1);
        end.record.turns[0].index = 0;
        store.finish_attempt(&end).await.expect("ended");
    }
    record(
        &store,
        &recordings,
        &missed.id,
        "mr_xi_chest_tight.flac",
        11_500,
    )
    .await;
    record(&store, &recordings, &well.id, "mr_xi_chest.flac", 11_500).await;

    let mut rules = Rules::of(&Config::default(), PlanClock::set_to(at(300)), clinic())
        .expect("the defaults are lawful");
    rules.engine = ENGINE.to_owned();
    let ears = EarsConfig {
        model: model(),
        workers: 1,
        queue: 4,
        deadline: Duration::from_secs(4),
        remote: None,
    };
    let ears = Arc::new(Ears::start(ears).expect("the model that the manifest names"));
    let ear = SecondEar {
        model: model(),
        beam: 2,
    };
    let kept = (store.clone(), rules, recordings);
    let mut listener = Listener::new(&ear, kept, ears).expect("the same model");
    let (_running, mut stopping) = watch::channel(false);
    let mut calls = 0;
    while listener.once(&mut stopping).await.expect("listened") {
        calls += 1;
    }
    assert_eq!(calls, 3);

    let orders = store
        .work_orders(&WorkOrderFilter::default(), &PageRequest::default())
        .await
        .expect("read")
        .items;
    let of = |attempt: &AttemptId| {
        let mut orders = orders.iter();
        orders.find(|order| order.attempt.as_ref() == Some(attempt))
    };
    let order = of(&missed.id).expect("a nurse has it");
    let heard = order.causes.iter().find_map(|cause| match cause {
        Cause::Finding { finding, attempt } => Some((finding, attempt)),
        _ => None,
    });
    let (placed, attempt) = heard.expect("a finding");
    assert_eq!(placed.finding.concept.0, "chest_pain");
    assert_eq!(placed.finding.confirmation, Confirmation::Unclear);
    assert_eq!(placed.finding.polarity, Polarity::Uncertain);
    assert_eq!(attempt.as_ref(), Some(&missed.id));
    assert!(of(&well.id).is_none());
    assert!(of(&unrecorded.id).is_none());
    assert_eq!(store.findings(&missed.id).await.expect("read").len(), 1);
}
