//! How data end: retention and holds, erasure, backup and restore, export; by the bytes that lie on disk.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use aftercall::backup::{self, Target};
use aftercall::config::{Config, Retention};
use aftercall::jobs::retention::{Gone, Keeper, erase};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::recording::{ChunkState, Recordings};
use aftercall::store::attempt::NewAttempt;
use aftercall::store::erase::Erasure;
use aftercall::store::page::PageRequest;
use aftercall::store::patient::Enrolment;
use aftercall::store::{Backend, Store, StoreError};
use aftercall::vault::{Class, Source};
use aftercall_core::attempt::Disposition;
use aftercall_core::finding::Urgency;
use aftercall_core::id::PatientId;
use aftercall_core::patient::{Consent, ConsentBasis};
use aftercall_core::time::Timestamp;
use serde_json::Value;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::record::{at, calling, clinic, finding, finish, master_key};
use crate::vault::{contains, files, hears, record, spoken};

const DAY: i64 = 86_400;

/// A call that was recorded and has ended; with an alert it leaves an order.
async fn called(
    store: &Store,
    recordings: &Recordings,
    number: &str,
    alerts: bool,
) -> (NewAttempt, Enrolment) {
    let (new, enrolment) = calling(store, number).await;
    record(store, recordings, &new.id).await;
    let heard = alerts.then(|| finding("chest_pain", Urgency::Emergent));
    let end = finish(&new, Disposition::Completed, heard.into_iter().collect());
    store.finish_attempt(&end).await.expect("ended");
    (new, enrolment)
}

fn erasure(patient: &PatientId, at: Timestamp) -> Erasure {
    Erasure {
        patient: patient.clone(),
        at,
        by: "test".to_owned(),
        reason: "asked for".to_owned(),
    }
}

/// What of a call lies in the database.
async fn rows_of(url: &str, table: &str, new: &NewAttempt) -> Vec<String> {
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let sql =
        format!("select prompt as value from {table} where attempt_id = $1 order by position");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&new.id.0)
        .fetch_all(&mut raw)
        .await
        .expect("its rows");
    rows.iter().map(|row| row.get("value")).collect()
}

// On both databases: see `store`.
pub async fn an_erasure_leaves_nothing_that_opens(store: Store, url: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let journal = folder.path().join("erased");
    let recordings = Recordings::new(folder.path().join("recordings"));
    let (hers, enrolment) = called(&store, &recordings, "1", false).await;
    let (alerted, with_order) = called(&store, &recordings, "2", true).await;
    let patient = enrolment.patient.id.clone();
    let sealed = rows_of(&url, "turn", &hers).await;
    let bytes = files(&folder.path().join("recordings").join(&hers.id.0));
    let later = at(3 * DAY);

    // A call that caps still count, a hold, an order that nobody closed: not now.
    let refused =
        async |id: &PatientId, at| match erase(&store, &recordings, &journal, &erasure(id, at))
            .await
        {
            Err(error) => error.to_string(),
            Ok(()) => panic!("erased"),
        };
    assert!(refused(&patient, at(DAY)).await.contains("48 hours"));
    let held = store.hold_patient(&patient, "a court", "test", later).await;
    assert!(held.expect("held"));
    assert!(refused(&patient, later).await.contains("legal hold"));
    let released = store.release_patient(&patient, "test", later).await;
    assert!(released.expect("released"));
    let orders = refused(&with_order.patient.id, later).await;
    assert!(orders.contains("not closed"), "{orders}");
    assert!(!journal.exists(), "what was refused is not journalled");

    erase(&store, &recordings, &journal, &erasure(&patient, later))
        .await
        .expect("erased");
    assert!(!recordings.exists(&hers.id));
    let known = store.patient(&patient).await;
    assert!(
        matches!(known, Err(StoreError::Destroyed { .. })),
        "{known:?}"
    );
    let listed = store
        .patients(&PageRequest::default())
        .await
        .expect("a list");
    assert_eq!(listed.items.len(), 1, "the other one");
    assert_eq!(store.turns(&hers.id).await.expect("none"), []);
    for class in Class::ALL {
        let key = store.data_key(&patient.0, class).await;
        assert!(matches!(key, Err(StoreError::Destroyed { .. })), "{key:?}");
    }
    let again = refused(&patient, later).await;
    assert!(again.contains("erased already"), "{again}");

    // Her bytes come back from a copy: nothing opens them.
    let mut raw = AnyConnection::connect(&url).await.expect("the database");
    sqlx::query(
        "insert into turn (attempt_id, position, node, prompt, asks, respondent, prompt_from_ms, prompt_to_ms) \
         values ($1, 0, 'n', $2, '[]', 'patient', 0, 1)",
    )
    .bind(&hers.id.0)
    .bind(&sealed[0])
    .execute(&mut raw)
    .await
    .expect("the table is this");
    let read = store.turns(&hers.id).await;
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    for (path, bytes) in &bytes {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    let left = store.recording_key(&alerted.id).await.expect("the other's");
    let reader = recordings.reader(&hers.id, &left).expect("her bytes");
    let states = reader.verify().expect("readable");
    assert!(
        states
            .iter()
            .all(|(_, state)| *state == ChunkState::Damaged)
    );
    // The other one is as before.
    assert_eq!(hears(&store, &recordings, &alerted.id).await, spoken());
    assert!(!store.turns(&alerted.id).await.expect("hers").is_empty());
}

// On both databases: see `store`.
pub async fn a_restore_replays_erasures(store: Store, url: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let recordings = Recordings::new(path("recordings"));
    let (hers, enrolment) = called(&store, &recordings, "1", false).await;
    let (other, _) = called(&store, &recordings, "2", true).await;
    let told = store.turns(&other.id).await.expect("his");
    let back_up = async |name: &str| {
        let (to, keys) = (path(name), path(&format!("{name}.keys")));
        backup::make(&store, &url, &recordings, (&to, &keys), at(DAY)).await
    };
    let made = back_up("monday").await.expect("a backup");
    assert_eq!(made.files, 4);
    back_up("monday").await.expect_err("it is there already");
    no_key_lies_in(&path("monday"), &store).await;

    let patient = &enrolment.patient.id;
    erase(
        &store,
        &recordings,
        &path("erased"),
        &erasure(patient, at(3 * DAY)),
    )
    .await
    .expect("erased");
    back_up("thursday").await.expect("another");
    assert_eq!(
        files(&path("monday/recordings")).len(),
        4,
        "her bytes are in the copy"
    );

    // Monday's data with Thursday's keys; and with Monday's, where only the journal knows.
    for (name, keys, journal) in [
        ("first", "thursday.keys", "no journal"),
        ("second", "monday.keys", "erased"),
    ] {
        let url = elsewhere(&url, store.backend(), folder.path(), name).await;
        let to = Recordings::new(path(&format!("{name}.recordings")));
        let (keys, journal) = (path(keys), path(journal));
        let target = Target {
            url: &url,
            master_key: &master_key(),
            recordings: &to,
            journal: &journal,
        };
        let done = backup::restore(&path("monday"), &keys, target, at(4 * DAY)).await;
        let done = done.expect("restored");
        assert_eq!((done.made_at, done.files, done.erased), (at(DAY), 4, 1));
        let twice = backup::restore(&path("monday"), &keys, target, at(4 * DAY)).await;
        assert!(twice.is_err(), "a restore writes over nothing");

        let back = Store::open(&url, &master_key()).await.expect("opens");
        let recordings = to;
        assert_eq!(back.turns(&other.id).await.expect("his"), told);
        assert_eq!(hears(&back, &recordings, &other.id).await, spoken());
        assert!(!recordings.exists(&hers.id), "{name}");
        assert_eq!(back.turns(&hers.id).await.expect("none"), []);
        for class in Class::ALL {
            let key = back.data_key(&patient.0, class).await;
            assert!(matches!(key, Err(StoreError::Destroyed { .. })), "{key:?}");
        }
        let pauses = back.pauses().await.expect("read");
        assert!(pauses[0].why.starts_with("restored from a backup"));
        assert!(back.verify_audit(None, |_| {}).await.expect("read").is_ok());
        back.close().await;
    }
}

/// The database of a backup holds no key, wrapped or not.
async fn no_key_lies_in(backup: &Path, store: &Store) {
    let file = backup.join("database");
    let bytes = match store.backend() {
        Backend::Sqlite => fs::read(file).expect("readable"),
        Backend::Postgres => {
            let read = Command::new("pg_restore").arg("-f-").arg(file).output();
            read.expect("PostgreSQL's client is there").stdout
        }
    };
    let names = b"create table data_key".as_slice();
    let lower = bytes.to_ascii_lowercase();
    let is_read = contains(&lower, names) || contains(&lower, b"create table public.data_key");
    assert!(is_read, "it is the database");
    for copy in store.key_copies().await.expect("read") {
        let wrapped = copy.wrapped.expect("none is destroyed yet");
        assert!(!contains(&bytes, wrapped.as_bytes()), "{}", copy.class);
    }
}

/// The address of a new, empty database.
async fn elsewhere(url: &str, backend: Backend, folder: &Path, name: &str) -> String {
    if backend == Backend::Sqlite {
        return format!("sqlite://{}/{name}.db", folder.display());
    }
    let mut raw = AnyConnection::connect(url).await.expect("the database");
    let made = format!("create database restored_{name}");
    raw.execute(AssertSqlSafe(made)).await.expect("a new name");
    let start = url.find("localhost/").expect("the tests' server") + "localhost/".len();
    let end = url.find('?').expect("its socket");
    format!("{}restored_{name}{}", &url[..start], &url[end..])
}

fn keeper(store: &Store, recordings: &Recordings, journal: PathBuf, days: i64) -> Keeper {
    let clock = PlanClock::set_to(at(days * DAY));
    Keeper {
        store: store.clone(),
        rules: Rules::of(&Config::default(), clock, clinic()).expect("the defaults are lawful"),
        recordings: recordings.clone(),
        retention: Retention::default(),
        journal,
    }
}

// On both databases: see `store`.
pub async fn what_is_kept_no_longer_goes_by_class(store: Store, _url: String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recordings = Recordings::new(folder.path().join("recordings"));
    let (quiet, _) = called(&store, &recordings, "1", false).await;
    let (alerted, _) = called(&store, &recordings, "2", true).await;
    let (held, holding) = called(&store, &recordings, "3", false).await;
    let (withdrawn, leaving) = called(&store, &recordings, "4", false).await;
    let hold = store.hold_patient(&holding.patient.id, "a court", "test", at(9));
    assert!(hold.await.expect("held"));
    let mut keeper = keeper(&store, &recordings, folder.path().join("erased"), 10);
    let there = || {
        let all = [&quiet, &alerted, &held, &withdrawn];
        all.map(|new| recordings.exists(&new.id))
    };
    let once = async |keeper: &Keeper| keeper.once().await.expect("a round");

    // By default all is kept; who withdraws is heard no more, and what was said stays.
    assert_eq!(once(&keeper).await, Gone::default());
    let consent = Consent {
        basis: ConsentBasis::Withdrawn,
        ..Consent::default()
    };
    let id = &leaving.patient.id;
    let set = store.set_consent(id, &consent, "test", at(9)).await;
    set.expect("withdrawn");
    assert_eq!(once(&keeper).await.recordings, 1);
    assert_eq!(there(), [true, true, true, false]);
    assert!(!store.turns(&withdrawn.id).await.expect("kept").is_empty());

    // The young stay, then age tells; an alert is held by policy, a court's hold by itself.
    keeper.retention.audio_days = 30;
    assert_eq!(once(&keeper).await, Gone::default());
    keeper.rules.clock = PlanClock::set_to(at(40 * DAY));
    assert_eq!(once(&keeper).await.recordings, 1);
    assert_eq!(there(), [false, true, true, false]);
    keeper.retention.hold_alerts = false;
    assert_eq!(once(&keeper).await.recordings, 1);
    assert_eq!(there(), [false, false, true, false]);
    for new in [&quiet, &alerted] {
        assert!(!store.turns(&new.id).await.expect("kept").is_empty());
    }
    let request = PageRequest::default();
    let log = store.audit_log(Some(&quiet.id.0), &request).await;
    assert_eq!(log.expect("read").items[0].what, "retention.audio");

    // Whole records: not the held one, and not where an order is open; plans that are still to come keep theirs.
    keeper.retention.record_days = 365;
    keeper.rules.clock = PlanClock::set_to(at(4000 * DAY));
    assert_eq!(once(&keeper).await.patients, 0, "calls are planned");
    for enrolment in [&holding, &leaving] {
        let died = aftercall_core::patient::Life::Dead;
        let set = store.set_life(&enrolment.patient.id, died, at(10)).await;
        set.expect("no more calls");
    }
    assert_eq!(once(&keeper).await.patients, 1);
    let gone = store.patient(&leaving.patient.id).await;
    assert!(
        matches!(gone, Err(StoreError::Destroyed { .. })),
        "{gone:?}"
    );
    assert!(store.patient(&holding.patient.id).await.is_ok());
    assert!(recordings.exists(&held.id));
    let journal = fs::read_to_string(folder.path().join("erased")).expect("written");
    assert!(journal.contains(&leaving.patient.id.0) && journal.lines().count() == 1);
}

#[tokio::test]
async fn a_patient_gets_what_is_held_about_her() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let config = path("aftercall.toml");
    let data = format!("data_dir = {:?}\n", path("data").display().to_string());
    fs::write(&config, data).expect("written");
    fs::create_dir(path("data")).expect("own folder");
    let url = format!("sqlite://{}", path("data/aftercall.db").display());
    let store = Store::open(&url, &Source::File(path("data.key"))).await;
    let store = store.expect("opens");
    let recordings = Recordings::new(path("data/recordings"));
    let (new, enrolment) = called(&store, &recordings, "100001", true).await;
    let (_, stranger) = called(&store, &recordings, "100002", false).await;
    let turns = store.turns(&new.id).await.expect("hers");
    store.close().await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aftercall"));
        let command = command.args(arguments).arg("--config").arg(&config);
        let output = command.output().expect("the program starts");
        let said = String::from_utf8(output.stdout).expect("text");
        let complaint = String::from_utf8(output.stderr).expect("text");
        (output.status.success(), said + &complaint)
    };
    let zip = path("hers.zip").display().to_string();
    let id = enrolment.patient.id.0.as_str();
    let export = [
        "patients",
        "export",
        id,
        "--to",
        &zip,
        "--reason",
        "she asked",
    ];
    let (done, said) = run(&export);
    assert!(done, "{said}");
    let (again, said) = run(&export);
    assert!(!again, "it writes over nothing: {said}");

    let mode = fs::metadata(&zip).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut archive = zip::ZipArchive::new(fs::File::open(&zip).expect("there")).expect("a ZIP");
    let mut whole = |name: &str| {
        let mut bytes = Vec::new();
        let mut file = archive.by_name(name).expect(name);
        file.read_to_end(&mut bytes).expect("readable");
        bytes
    };
    let record: Value = serde_json::from_slice(&whole("record.json")).expect("JSON");
    assert_eq!(record["patient"]["name"], *enrolment.patient.name.expose());
    assert_eq!(record["plan"].as_array().expect("a list").len(), 4);
    let orders: Value = serde_json::from_slice(&whole("orders.json")).expect("JSON");
    assert_eq!(orders.as_array().expect("a list").len(), 1);
    let call: Value =
        serde_json::from_slice(&whole(&format!("calls/{}.json", new.id))).expect("JSON");
    assert_eq!(call["turns"], serde_json::to_value(&turns).expect("JSON"));
    let wav = whole(&format!("calls/{}.wav", new.id));
    assert!(wav.ends_with(&spoken()), "her recording");
    let names: Vec<String> = (0..archive.len())
        .map(|at| {
            archive
                .by_index(at)
                .expect("a file")
                .name()
                .expect("text")
                .into_owned()
        })
        .collect();
    assert_eq!(names.len(), 5, "{names:?}");
    let strangers = stranger.patient.id.0;
    assert!(names.iter().all(|name| !name.contains(&strangers)));

    let (_, log) = run(&["audit", "log"]);
    assert!(
        log.contains("patient.export") && log.contains("“she asked”"),
        "{log}"
    );
    let (done, said) = run(&["patients", "erase", id, "--reason", "she asked"]);
    assert!(!done && said.contains("not closed"), "{said}");
    let (done, said) = run(&["patients", "erase", "nobody", "--reason", "x"]);
    assert!(!done && said.contains("no such patient"), "{said}");
    let (done, said) = run(&["patients", "hold", id, "--reason", "a court"]);
    assert!(done && said == "held\n", "{said}");
    let erased = run(&["patients", "erase", &strangers, "--reason", "he asked"]);
    assert!(erased.0, "{}", erased.1);
    let (_, said) = run(&[
        "patients", "export", &strangers, "--to", "x.zip", "--reason", "x",
    ]);
    assert!(said.contains("no such patient"), "{said}");

    let to = path("backup").display().to_string();
    let keys = path("backup.keys").display().to_string();
    let (done, said) = run(&["backup", "--to", &to, "--keys-to", &keys]);
    assert!(done, "{said}");
    let inside = format!("{to}/keys");
    let (done, said) = run(&["backup", "--to", &to, "--keys-to", &inside]);
    assert!(!done && said.contains("apart from data"), "{said}");
    fs::rename(path("data"), path("lost")).expect("own folder");
    let (done, said) = run(&["restore", "--from", &to, "--keys", &keys]);
    assert!(done && said.contains("1 patients erased again"), "{said}");
    let (_, said) = run(&["dialling", "status"]);
    assert!(said.contains("restored from a backup"), "{said}");
}
