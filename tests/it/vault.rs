//! Data at rest, by the bytes that lie on disk: what a key opens, what its destruction ends, and a master key's rotation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aftercall::recording::{ChunkState, FRAME_SAMPLES, RecordingReader, Recordings};
use aftercall::store::page::PageRequest;
use aftercall::store::{Store, StoreError};
use aftercall::vault::{Class, DataKey, Source, VaultError};
use aftercall_core::attempt::Disposition;
use aftercall_core::finding::Urgency;
use aftercall_core::id::AttemptId;
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};

use crate::record::{at, calling, finding, finish, master_key, turn};

/// What the robot and the patient say in these recordings: 20 ms each.
const SAID: [[u8; FRAME_SAMPLES]; 2] = [[0x21; FRAME_SAMPLES], [0x42; FRAME_SAMPLES]];

pub async fn record(store: &Store, recordings: &Recordings, attempt: &AttemptId) {
    let key = store.recording_key(attempt).await.expect("a key");
    let mut writer = recordings.writer(attempt, &key).expect("a new recording");
    for _ in 0..260 {
        writer.append(&SAID[0], &SAID[1]).expect("writable");
    }
    writer.finish().expect("writable");
}

/// The sound, without the WAV header.
fn heard(mut reader: RecordingReader) -> std::io::Result<Vec<u8>> {
    let mut all = vec![0; usize::try_from(reader.wav_bytes()).expect("small")];
    reader.read_at(0, &mut all)?;
    let sound = usize::try_from(reader.duration_ms() / 20).expect("small") * 2 * FRAME_SAMPLES;
    Ok(all.split_off(all.len() - sound))
}

pub async fn hears(store: &Store, recordings: &Recordings, attempt: &AttemptId) -> Vec<u8> {
    let key = store.recording_key(attempt).await.expect("a key");
    heard(recordings.reader(attempt, &key).expect("it is there")).expect("it opens")
}

pub fn spoken() -> Vec<u8> {
    [SAID[0][0], SAID[1][0]].repeat(260 * FRAME_SAMPLES)
}

/// What is sealed in the columns: words, quotes, names.
async fn said_in_rows(url: &str) -> Vec<(&'static str, String)> {
    let columns = [
        ("turn", "prompt"),
        ("turn", "reply"),
        ("finding", "evidence"),
        ("suppressed", "evidence"),
        ("work_order_cause", "cause"),
        ("work_order_event", "note"),
        ("attempt", "notes"),
        ("patient", "name"),
        ("contact", "name"),
    ];
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let mut found = Vec::new();
    for (table, column) in columns {
        let sql = format!("select {column} as value from {table} where {column} is not null");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut raw).await;
        let rows = rows.expect("the tables are these");
        assert!(!rows.is_empty(), "{table}.{column} has rows");
        found.extend(rows.iter().map(|row| (column, row.get("value"))));
    }
    found
}

// On both databases: see `store`.
pub async fn what_was_said_lies_under_the_patients_key(store: Store, url: String) {
    let (new, enrolment) = calling(&store, "1").await;
    let heard = finding("chest_pain", Urgency::Emergent);
    let finish = finish(&new, Disposition::Completed, vec![heard]);
    store.finish_attempt(&finish).await.expect("finished");
    let call = store.call(&new.id).await.expect("read back");
    assert_eq!(call.turns, finish.record.turns);
    assert_eq!(call.findings, finish.record.findings);
    assert_eq!(call.suppressed, finish.record.suppressed);
    let patient = store
        .patient(&enrolment.patient.id)
        .await
        .expect("read back");
    assert_eq!(patient.contacts, enrolment.patient.contacts);
    assert_eq!(patient.name, enrolment.patient.name);

    for (column, value) in said_in_rows(&url).await {
        assert!(value.starts_with("\u{1}1:"), "{column} lies open: {value}");
    }
    // A value that was moved to another place opens no more: nobody quietly swaps what two patients said.
    let mut behind = AnyConnection::connect(&url).await.expect("the database");
    let swap = "update turn set prompt = reply";
    sqlx::query(swap).execute(&mut behind).await.expect("done");
    let read = store.turns(&new.id).await;
    assert!(
        matches!(read, Err(StoreError::Corrupt { column: "prompt" })),
        "{read:?}"
    );
}

/// Every file below a folder, with its bytes.
pub fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).expect("readable")));
        }
    }
    found
}

pub fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

async fn wrapped(url: &str, owner: &str) -> Option<String> {
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let row = sqlx::query("select wrapped from data_key where owner = $1 and class = 'audio'")
        .bind(owner)
        .fetch_one(&mut raw)
        .await
        .expect("its key's row");
    row.try_get("wrapped").expect("text or null")
}

pub async fn a_destroyed_key_opens_nothing(store: Store, url: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recordings = Recordings::new(folder.path());
    let (hers, enrolment) = calling(&store, "1").await;
    let (his, _) = calling(&store, "2").await;
    for attempt in [&hers.id, &his.id] {
        record(&store, &recordings, attempt).await;
        assert_eq!(hears(&store, &recordings, attempt).await, spoken());
    }
    let on_disk = files(folder.path());
    assert_eq!(on_disk.len(), 4, "two chunks each");
    let said = [SAID[0][0], SAID[1][0]].repeat(8);
    assert!(on_disk.iter().all(|(_, bytes)| !contains(bytes, &said)));

    let patient = enrolment.patient.id.0;
    let before = wrapped(&url, &patient).await.expect("a wrapped key");
    let destroyed = store.destroy_keys(&patient, &[Class::Audio], at(9)).await;
    assert_eq!(destroyed.expect("destroyed"), 1);
    assert_eq!(wrapped(&url, &patient).await, None);
    if let Some(file) = url.strip_prefix("sqlite://") {
        for end in ["", "-wal"] {
            let bytes = fs::read(format!("{file}{end}")).expect("SQLite's files");
            assert!(!contains(&bytes, before.as_bytes()), "{file}{end} holds it");
        }
    }
    // The bytes are as they were; no key that is left opens them, and none is made anew.
    assert_eq!(files(folder.path()), on_disk);
    for _ in 0..2 {
        let gone = store.recording_key(&hers.id).await;
        assert!(
            matches!(gone, Err(StoreError::Destroyed { .. })),
            "{gone:?}"
        );
    }
    let left = [
        store.recording_key(&his.id).await.expect("his is there"),
        store
            .data_key(&patient, Class::Record)
            .await
            .expect("her record's"),
        DataKey::random().expect("randomness"),
    ];
    for key in &left {
        let reader = recordings
            .reader(&hers.id, key)
            .expect("the bytes are there");
        let states = reader.verify().expect("readable");
        assert!(
            states
                .iter()
                .all(|(_, state)| *state == ChunkState::Damaged)
        );
        assert!(heard(reader).is_err());
    }
    assert_eq!(hears(&store, &recordings, &his.id).await, spoken());
}

// On both databases: see `store`. From one day on SM4 seals and SM3 hashes; what was there stays readable, and back again.
pub async fn what_aes_sealed_opens_under_sm4_and_back(store: Store, url: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recordings = Recordings::new(folder.path());
    let (before, _) = calling(&store, "1").await;
    record(&store, &recordings, &before.id).await;
    store
        .append_turn(&before.id, &turn(0))
        .await
        .expect("saved");
    store.audit("w", "x", "", "", at(1)).await.expect("written");
    store.close().await;

    let sm4 = Source::Sm4(Box::new(master_key()));
    let store = Store::open(&url, &sm4).await.expect("the same master key");
    let (after, _) = calling(&store, "2").await;
    record(&store, &recordings, &after.id).await;
    store.append_turn(&after.id, &turn(0)).await.expect("saved");
    store
        .append_turn(&before.id, &turn(1))
        .await
        .expect("saved");
    store.audit("w", "x", "", "", at(2)).await.expect("written");
    let file = |id: &AttemptId| {
        let path = folder.path().join(&id.0).join("000000.chunk");
        fs::read(path).expect("recorded")
    };
    assert_eq!((file(&before.id)[4], file(&after.id)[4]), (2, 3));
    store.close().await;

    for source in [sm4, master_key()] {
        let store = Store::open(&url, &source).await.expect("opened");
        assert_eq!(store.turns(&before.id).await.expect("read").len(), 2);
        assert_eq!(store.turns(&after.id).await.expect("read")[0], turn(0));
        for id in [&before.id, &after.id] {
            assert_eq!(hears(&store, &recordings, id).await, spoken());
        }
        let head = store.audit_head().await.expect("read");
        assert_eq!(
            store.verify_audit(None, |_| {}).await.expect("read"),
            Ok(head)
        );
        let page = PageRequest::default();
        let log = store.audit_log(None, &page).await.expect("read").items;
        let by: Vec<bool> = log
            .iter()
            .map(|entry| entry.hash.starts_with("sm3-"))
            .collect();
        assert!(by.contains(&false) && by.contains(&true), "{by:?}");
        store.close().await;
    }
}

pub async fn a_rotation_wraps_every_key_anew(store: Store, url: String) {
    store.close().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = Source::File(folder.path().join("master.key"));
    let engine = Store::open(&url, &file).await.expect("an engine");
    let desk = Store::open(&url, &file).await.expect("another process");
    let recordings = Recordings::new(folder.path().join("recordings"));
    let (new, _) = calling(&engine, "1").await;
    record(&engine, &recordings, &new.id).await;
    for number in 0..600 {
        let made = engine.data_key(&format!("p{number}"), Class::Record).await;
        made.expect("a key");
    }
    let known = engine.data_key("p7", Class::Record).await.expect("a key");
    let copy = folder.path().join("copy.key");
    fs::copy(folder.path().join("master.key"), &copy).expect("readable");

    let mut steps = Vec::new();
    let rotated = desk.rotate_keys(|keys| steps.push(keys)).await;
    let rotated = rotated.expect("rotated");
    assert_eq!((rotated.keys, rotated.forgot), (604, true));
    assert_eq!(steps, [500, 604, 604], "progress");
    let count = desk.key_count().await.expect("counted");
    assert_eq!((count.wrapped, count.by_others), (604, 0));
    assert_eq!(count.master, rotated.to);

    // The engine has not been told: it reads what is there, and makes keys that outlive the old one.
    assert_eq!(hears(&engine, &recordings, &new.id).await, spoken());
    let same = engine.data_key("p7", Class::Record).await;
    assert_eq!(same.expect("a key"), known);
    let made = engine.data_key("later", Class::Record).await;
    let made = made.expect("made after the rotation");
    let started = Store::open(&url, &file).await.expect("a new process");
    let read = started.data_key("later", Class::Record).await;
    assert_eq!(read.expect("it opens"), made);

    let thief = Store::open(&url, &Source::File(copy)).await.expect("opens");
    let refused = thief.data_key("p7", Class::Record).await;
    assert!(
        matches!(refused, Err(StoreError::Vault(VaultError::Other { .. }))),
        "{refused:?}"
    );
    for other in [engine, desk, started, thief] {
        other.close().await;
    }
}

pub async fn a_database_has_one_master_key(store: Store, url: String) {
    store.unlock().await.expect("the first");
    let again = Store::open(&url, &master_key()).await.expect("opens");
    again.unlock().await.expect("the same");
    let other = Source::Given(DataKey::random().expect("randomness"));
    let other = Store::open(&url, &other).await.expect("opens");
    let refused = other.unlock().await.expect_err("another");
    assert!(refused.to_string().contains("are wrapped by"), "{refused}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lost.key");
    let lost = Source::File(path.clone());
    let lost = Store::open(&url, &lost).await.expect("opens");
    let refused = lost.unlock().await.expect_err("it is not there");
    assert!(refused.to_string().contains("bring it back"), "{refused}");
    assert!(!path.exists(), "no key is made in its place");
}

#[tokio::test]
async fn the_command_line_shows_rotates_and_destroys() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let config = folder.path().join("aftercall.toml");
    fs::write(
        &config,
        format!("data_dir = {:?}\n", data.display().to_string()),
    )
    .expect("written");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
        let command = command.args(arguments).arg("--config").arg(&config);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8(output.stdout).expect("text");
        let complaint = String::from_utf8(output.stderr).expect("text");
        (output.status.success(), said, complaint)
    };
    let json = |arguments: &[&str]| -> Value {
        let (done, said, complaint) = run(&[arguments, &["--json"]].concat());
        assert!(done, "{arguments:?}: {complaint}");
        serde_json::from_str(&said).expect("JSON")
    };
    fs::create_dir(&data).expect("own folder");
    assert_eq!(run(&["keys", "show"]).1, "nothing is sealed yet\n");

    let url = format!("sqlite://{}/aftercall.db", data.display());
    let source = Source::File(folder.path().join("data.key"));
    let store = Store::open(&url, &source).await.expect("opens");
    let (new, enrolment) = calling(&store, "1").await;
    store.recording_key(&new.id).await.expect("a key");
    store.close().await;

    let before = json(&["keys", "show"]);
    let rotated = json(&["keys", "rotate"]);
    assert_eq!(rotated["from"], before["master"]);
    assert_eq!(rotated["keys"], before["wrapped"]);
    assert_eq!(rotated["old_forgotten"], true);
    assert_eq!(json(&["keys", "show"])["master"], rotated["to"]);
    let patient = enrolment.patient.id.0;
    assert_eq!(json(&["keys", "destroy-audio", &patient])["destroyed"], 1);
    assert_eq!(json(&["keys", "destroy-audio", &patient])["destroyed"], 0);
    let (done, _, complaint) = run(&["keys", "destroy-audio", "nobody"]);
    assert!(
        !done && complaint.contains("not in the database"),
        "{complaint}"
    );
    let (_, log, _) = run(&["audit", "log"]);
    for what in ["keys.rotate", "keys.destroy"] {
        assert!(log.contains(what), "{log}");
    }
}
