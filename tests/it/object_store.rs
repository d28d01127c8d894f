//! Recordings in an object store: a real S3 server (moto), and between it and us one who loses, breaks and refuses.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use aftercall::backup::{self, Target};
use aftercall::config::Config;
use aftercall::jobs::hand_over::HandOver;
use aftercall::jobs::retention::{Keeper, erase};
use aftercall::jobs::{PlanClock, Rules};
use aftercall::recording::{ChunkState, FRAME_SAMPLES, RecordingError, Recordings, Remote};
use aftercall::store::Store;
use aftercall::store::erase::Erasure;
use aftercall::store::patient::Enrolment;
use aftercall_core::attempt::Disposition;
use aftercall_core::id::AttemptId;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::record::{at, calling, clinic, finish, master_key};

const BUCKET: &str = "voices";
const DAY: i64 = 86_400;

/// An S3 server; it ends with the test.
struct Moto {
    child: Child,
    url: String,
}

impl Moto {
    fn start() -> Self {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/moto");
        let mut child = Command::new("python3")
            .args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"])
            .env("PYTHONPATH", home)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 is installed (apt install python3)");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let mut lines = said.lines().map(|line| line.expect("text"));
        let url = lines
            .find_map(|line| {
                line.split_once("Running on ")
                    .map(|(_, url)| url.to_owned())
            })
            .expect("moto is installed (make test does it)");
        // Nobody reads on, and it must not wait for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            url: url.trim().to_owned(),
        }
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        ended.expect("it was running");
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mood {
    #[default]
    Honest,
    /// Answers 503 to writes of a recording's second chunk and on.
    Refuses,
    /// Says that it stored, and did not.
    Loses,
    /// Gives back another byte.
    Breaks,
    /// Answers nothing but 503.
    Away,
}

#[derive(Default)]
struct Seen {
    mood: Mood,
    written: BTreeMap<String, Vec<u8>>,
    reads: Vec<String>,
}

/// Between us and the server.
struct Between {
    address: SocketAddr,
    behind: String,
    client: reqwest::Client,
    seen: Mutex<Seen>,
}

impl Between {
    async fn start(behind: &str) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let between = Arc::new(Self {
            address: listener.local_addr().expect("bound"),
            behind: behind.to_owned(),
            client: reqwest::Client::new(),
            seen: Mutex::default(),
        });
        let router = axum::Router::new()
            .fallback(pass)
            .with_state(Arc::clone(&between));
        tokio::spawn(async move { axum::serve(listener, router).await });
        between
    }

    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().expect("no panic"))
    }

    fn is(&self, mood: Mood) {
        self.seen(|seen| seen.mood = mood);
    }

    /// How many chunks the server has.
    async fn kept(&self) -> usize {
        let url = format!("{}/{BUCKET}?list-type=2", self.behind);
        let list = self.client.get(url).send().await.expect("an answer");
        let list = list.text().await.expect("text");
        list.matches(".chunk</Key>").count()
    }

    fn remote(&self) -> Remote {
        let endpoint = format!("http://{}", self.address);
        let variables = [
            ("AWS_ACCESS_KEY_ID", "id"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ENDPOINT", endpoint.as_str()),
            // Other programs' variables mean nothing here.
            ("BUCKET", "another"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let url = format!("s3://{BUCKET}/aftercall");
        Remote::with(&url, variables.into_iter()).expect("an address")
    }
}

async fn pass(State(between): State<Arc<Between>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = to_bytes(body, usize::MAX).await.expect("whole");
    let is_write = parts.method == Method::PUT;
    let mood = between.seen(|seen| {
        if parts.method == Method::GET && path.ends_with(".chunk") {
            seen.reads.push(path.clone());
        }
        seen.mood
    });
    let refused = StatusCode::SERVICE_UNAVAILABLE.into_response();
    match mood {
        Mood::Away => return refused,
        Mood::Refuses if is_write && !path.ends_with("000000.chunk") => return refused,
        Mood::Loses if is_write => return [("etag", "\"1\"")].into_response(),
        _ => {}
    }
    if is_write {
        between.seen(|seen| seen.written.insert(path.clone(), body.to_vec()));
    }
    let url = format!("{}{}", between.behind, parts.uri);
    let sent = between
        .client
        .request(parts.method, url)
        .headers(parts.headers);
    let answer = sent.body(body).send().await.expect("moto answers");
    let mut back = Response::builder().status(answer.status());
    *back.headers_mut().expect("good so far") = answer.headers().clone();
    let mut bytes = answer.bytes().await.expect("whole").to_vec();
    if mood == Mood::Breaks
        && path.ends_with(".chunk")
        && let Some(last) = bytes.last_mut()
    {
        *last ^= 1;
    }
    back.body(Body::from(bytes)).expect("a response")
}

/// A hospital whose recordings go to the server.
struct Ward {
    _moto: Moto,
    between: Arc<Between>,
    folder: tempfile::TempDir,
    store: Store,
    recordings: Recordings,
}

const FRAMES: u64 = 600;

impl Ward {
    async fn open() -> Self {
        let moto = Moto::start();
        let between = Between::start(&moto.url).await;
        let bucket = format!("{}/{BUCKET}", moto.url);
        let made = between.client.put(bucket).send().await.expect("an answer");
        assert_eq!(made.status(), StatusCode::OK);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}/a.db", folder.path().display());
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database");
        let here = Recordings::new(folder.path().join("recordings"));
        let recordings = here.kept_by(Some(between.remote()));
        Self {
            _moto: moto,
            between,
            folder,
            store,
            recordings,
        }
    }

    /// A call of three chunks that is over.
    async fn called(&self, number: &str) -> (AttemptId, Enrolment) {
        let (new, enrolment) = calling(&self.store, number).await;
        let key = self.store.recording_key(&new.id).await.expect("a key");
        let mut writer = self
            .recordings
            .writer(&new.id, &key)
            .expect("a new recording");
        for tag in 0..FRAMES {
            let tag = u8::try_from(tag % 200).expect("small");
            writer
                .append(&[tag; FRAME_SAMPLES], &[tag + 1; FRAME_SAMPLES])
                .expect("written");
        }
        writer.finish().expect("written");
        let end = finish(&new, Disposition::Completed, Vec::new());
        self.store.finish_attempt(&end).await.expect("ended");
        (new.id, enrolment)
    }

    fn rules(&self, now: i64) -> Rules {
        let clock = PlanClock::set_to(at(now));
        Rules::of(&Config::default(), clock, clinic()).expect("the defaults are lawful")
    }

    async fn hand_over(&self) -> anyhow::Result<u32> {
        let job = HandOver {
            store: self.store.clone(),
            rules: self.rules(DAY),
            recordings: self.recordings.clone(),
        };
        job.once().await
    }

    fn keeper(&self, days: i64) -> Keeper {
        Keeper {
            store: self.store.clone(),
            rules: self.rules(days * DAY),
            recordings: self.recordings.clone(),
            retention: aftercall::config::Retention {
                audio_days: 30,
                ..aftercall::config::Retention::default()
            },
            journal: self.folder.path().join("erased"),
        }
    }

    fn here(&self) -> usize {
        self.recordings.here().expect("readable").len()
    }

    /// What is heard of it, off the async threads as the API does.
    async fn part(&self, id: &AttemptId, from: u64, length: usize) -> Result<Vec<u8>, String> {
        let key = self.store.recording_key(id).await.expect("a key");
        let (recordings, id) = (self.recordings.clone(), id.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = recordings
                .reader(&id, &key)
                .map_err(|error| error.to_string())?;
            let mut part = vec![0; length];
            let read = reader
                .read_at(from, &mut part)
                .map_err(|error| error.to_string())?;
            part.truncate(read);
            Ok(part)
        });
        read.await.expect("no panic")
    }

    async fn whole(&self, id: &AttemptId) -> Result<Vec<u8>, String> {
        self.part(id, 0, 1 << 20).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_goes_away_encrypted_and_plays_as_before() {
    let ward = Ward::open().await;
    let (id, _) = ward.called("1").await;
    let before = ward.whole(&id).await.expect("here");
    assert_eq!(
        ward.between.seen(|seen| seen.reads.len()),
        0,
        "here is here"
    );
    assert_eq!(ward.hand_over().await.expect("a round"), 1);
    assert_eq!((ward.here(), ward.between.kept().await), (0, 3));
    ward.between.seen(|seen| {
        for (path, bytes) in &seen.written {
            assert!(
                path.starts_with(&format!("/{BUCKET}/aftercall/{id}/")),
                "{path}"
            );
            assert_eq!(bytes[..6], *b"ACRC\x02\x00");
            let said = [52_u8, 53].repeat(8);
            assert!(
                !bytes.windows(said.len()).any(|part| part == said),
                "sound lies open"
            );
        }
        seen.reads.clear();
    });
    assert!(ward.recordings.exists(&id));
    assert_eq!(ward.whole(&id).await.expect("there"), before);
    // Who listens to a second of it fetches its chunk alone.
    ward.between.seen(|seen| seen.reads.clear());
    let from = before.len() - 20_000;
    let part = ward.part(&id, from as u64, 8_000).await.expect("there");
    assert_eq!(part, before[from..from + 8_000]);
    let reads = ward.between.seen(|seen| seen.reads.clone());
    assert_eq!(reads.len(), 1, "{reads:?}");
    assert!(reads[0].ends_with("/000002.chunk"), "{reads:?}");
    let key = ward.store.recording_key(&id).await.expect("a key");
    let reader = ward.recordings.reader(&id, &key).expect("there");
    let states = reader.verify().expect("readable");
    assert!(states.len() == 3 && states.iter().all(|(_, state)| *state == ChunkState::Sealed));
    assert_eq!(
        ward.hand_over().await.expect("a round"),
        0,
        "nothing is left to do"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_did_not_prove_stays_here() {
    let ward = Ward::open().await;
    let (id, _) = ward.called("1").await;
    let before = ward.whole(&id).await.expect("here");
    for mood in [Mood::Away, Mood::Loses, Mood::Breaks, Mood::Refuses] {
        ward.between.is(mood);
        let failed = ward.hand_over().await.expect_err("not proven");
        if mood == Mood::Breaks {
            let changed = failed.downcast_ref::<RecordingError>();
            assert!(
                matches!(changed, Some(RecordingError::Changed { index: 0, .. })),
                "{failed:#}"
            );
        }
        assert_eq!(ward.here(), 1, "{mood:?}");
        assert_eq!(ward.whole(&id).await.expect("here"), before, "{mood:?}");
    }
    // A folder that a crash left half removed is finished, and what went before is still there.
    ward.between.is(Mood::Honest);
    let copy = ward.folder.path().join("copy");
    let folder = ward.folder.path().join("recordings").join(&id.0);
    fs::create_dir(&copy).expect("made");
    fs::copy(folder.join("000002.chunk"), copy.join("000002.chunk")).expect("copied");
    assert_eq!(ward.hand_over().await.expect("a round"), 1);
    fs::rename(&copy, &folder).expect("moved");
    assert_eq!(ward.hand_over().await.expect("a round"), 1);
    assert_eq!((ward.here(), ward.between.kept().await), (0, 3));
    assert_eq!(ward.whole(&id).await.expect("there"), before);
    // Who wants to listen while the store is away is told so; nothing is taken for silence.
    ward.between.is(Mood::Away);
    assert!(ward.recordings.exists(&id), "there may be one");
    let refused = ward.whole(&id).await.expect_err("nobody answers");
    assert!(refused.contains("object store"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_goes_on_stays_here() {
    let ward = Ward::open().await;
    let (new, _) = calling(&ward.store, "1").await;
    let key = ward.store.recording_key(&new.id).await.expect("a key");
    let mut writer = ward
        .recordings
        .writer(&new.id, &key)
        .expect("a new recording");
    writer
        .append(&[1; FRAME_SAMPLES], &[2; FRAME_SAMPLES])
        .expect("written");
    assert_eq!(ward.hand_over().await.expect("a round"), 0);
    // Nor does what is nobody's call.
    let other = AttemptId("somebody-elses".to_owned());
    ward.recordings
        .writer(&other, &key)
        .expect("a new recording");
    assert_eq!(ward.hand_over().await.expect("a round"), 0);
    assert_eq!((ward.here(), ward.between.kept().await), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_and_erasure_reach_the_store() {
    let ward = Ward::open().await;
    let (old, _) = ward.called("1").await;
    let (hers, enrolment) = ward.called("2").await;
    assert_eq!(ward.hand_over().await.expect("a round"), 2);
    assert_eq!(ward.between.kept().await, 6);
    // An erasure while the store is away: the key is destroyed at once, the noise goes with the next round.
    let erasure = Erasure {
        patient: enrolment.patient.id.clone(),
        at: at(5 * DAY),
        by: "test".to_owned(),
        reason: "asked for".to_owned(),
    };
    ward.between.is(Mood::Away);
    let journal = ward.folder.path().join("erased");
    let erased = erase(&ward.store, &ward.recordings, &journal, &erasure).await;
    erased.expect("erased");
    assert!(ward.store.recording_key(&hers).await.is_err(), "destroyed");
    assert!(
        ward.keeper(6).once().await.is_err(),
        "still away: it is due again"
    );
    ward.between.is(Mood::Honest);
    assert_eq!(ward.keeper(6).once().await.expect("a round").recordings, 0);
    assert_eq!(ward.between.kept().await, 3, "hers are gone");
    // Age.
    assert_eq!(ward.keeper(60).once().await.expect("a round").recordings, 1);
    assert_eq!(ward.between.kept().await, 0);
    assert!(!ward.recordings.exists(&old));
    // A hand-over that an erasure overtook leaves nothing behind.
    let (late, enrolment) = ward.called("3").await;
    let erasure = Erasure {
        patient: enrolment.patient.id.clone(),
        ..erasure
    };
    let elsewhere = Recordings::new(ward.folder.path().join("nothing"));
    let erased = erase(&ward.store, &elsewhere, &journal, &erasure).await;
    erased.expect("erased");
    ward.hand_over().await.expect("a round");
    assert_eq!((ward.here(), ward.between.kept().await), (0, 0));
    assert!(!ward.recordings.exists(&late));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_holds_what_lies_in_the_store_and_a_restore_brings_it_back_there() {
    let ward = Ward::open().await;
    let path = |name: &str| ward.folder.path().join(name);
    let (away, _) = ward.called("1").await;
    let (hers, enrolment) = ward.called("2").await;
    assert_eq!(ward.hand_over().await.expect("a round"), 2);
    let (here, _) = ward.called("3").await;
    let before = ward.whole(&away).await.expect("there");
    let url = format!("sqlite://{}", path("a.db").display());
    let back_up = async |name: &str| {
        let (to, keys) = (path(name), path(&format!("{name}.keys")));
        backup::make(&ward.store, &url, &ward.recordings, (&to, &keys), at(DAY)).await
    };
    ward.between.is(Mood::Away);
    let refused = back_up("none").await.expect_err("the half is no backup");
    assert!(refused.to_string().contains("object store"), "{refused:#}");
    assert!(!path("none").join("backup.json").exists());
    ward.between.is(Mood::Honest);
    assert_eq!(back_up("monday").await.expect("whole").files, 9);
    let sealed = fs::read(path("monday/recordings").join(&away.0).join("000002.chunk"));
    let sealed = sealed.expect("copied");
    assert_eq!(sealed[..6], *b"ACRC\x02\x00");

    // The bucket is lost but for one who was erased since, and the server too.
    for attempt in [&away, &here] {
        ward.recordings.remove(attempt).expect("lost");
    }
    assert_eq!(ward.between.kept().await, 3);
    let erasure = Erasure {
        patient: enrolment.patient.id.clone(),
        at: at(2 * DAY),
        by: "test".to_owned(),
        reason: "asked for".to_owned(),
    };
    backup::journal(&path("erased"), &erasure).expect("written");
    let restored = Recordings::new(path("back")).kept_by(Some(ward.between.remote()));
    let url = format!("sqlite://{}", path("back.db").display());
    let target = Target {
        url: &url,
        master_key: &master_key(),
        recordings: &restored,
        journal: &path("erased"),
    };
    let done = backup::restore(&path("monday"), &path("monday.keys"), target, at(3 * DAY)).await;
    let done = done.expect("restored");
    assert_eq!((done.files, done.erased), (9, 1));
    assert_eq!(ward.between.kept().await, 0, "hers are gone there too");
    let back = Ward {
        store: Store::open(&url, &master_key()).await.expect("it opens"),
        recordings: restored,
        ..ward
    };
    assert_eq!(back.whole(&away).await.expect("here"), before);
    assert!(!back.recordings.exists(&hers));
    // The engine hands them over.
    assert_eq!(back.hand_over().await.expect("a round"), 2);
    assert_eq!((back.here(), back.between.kept().await), (0, 6));
    assert_eq!(back.whole(&away).await.expect("there"), before);
    assert_eq!(back.whole(&here).await.expect("there"), before);
}
