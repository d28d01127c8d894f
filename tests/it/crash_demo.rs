//! `kill -9` of the real demo with a call in every state, and the start after it: database, wire and recordings.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use aftercall::recording::{ChunkState, Recordings};
use aftercall::speech::audio::decode_file;
use aftercall::store::Store;
use aftercall::store::attempt::AttemptRow;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall::vault::Source;
use aftercall_core::attempt::{AttemptState, Disposition};
use aftercall_core::id::AttemptId;
use aftercall_core::plan::StepState;
use aftercall_core::work_order::Cause;
use jiff::SignedDuration;
use serde_json::Value;

use crate::patience;

/// The cast, in the order the plan rings: identified, answered, ringing, dialling; and one who waits for a line.
const IDENTIFIED: &str = "RH10001";
const ANSWERED: &str = "RH10002";
const RINGING: &str = "RH10003";
const DIALLING: &str = "RH10007";
const WAITING: &str = "RH10005";
const ON_THE_LINE: [&str; 4] = [IDENTIFIED, ANSWERED, RINGING, DIALLING];
const LINES: usize = 4;

/// A frame is written every 20 ms; the rest is what a busy machine may add. A lost chunk would be 5 s.
const SLACK_MS: u64 = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder of its own for the demo, and its processes, which do not outlive the test.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    demo: Option<Child>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_demo();
        self.kill_phones();
    }
}

impl Stage {
    fn set() -> Stage {
        let case = |number: &str| {
            format!("[patient.{number}]\nday = 3\nrung = true\ndisposition = \"completed\"\n")
        };
        let cast = ON_THE_LINE.iter().chain([&WAITING]);
        let cases: String = cast.map(|number| case(number)).collect();
        let phones = phones()
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text));
        Self::with(&patients(), &cases, phones)
    }

    /// A demo of these patients, outcomes and telephones.
    pub(crate) fn with(
        patients: &str,
        cases: &str,
        phones: impl IntoIterator<Item = (String, String)>,
    ) -> Stage {
        let stage = Stage {
            folder: tempfile::tempdir().expect("a temporary folder"),
            demo: None,
        };
        let fixtures = stage.path("fixtures");
        std::fs::create_dir_all(fixtures.join("phones")).expect("the folder is writable");
        std::os::unix::fs::symlink(root().join("fixtures/audio"), fixtures.join("audio"))
            .expect("a link");
        write(&fixtures.join("patients.csv"), patients);
        write(&fixtures.join("do_not_call.csv"), "phone,reason\n");
        write(
            &fixtures.join("expected.toml"),
            &format!("version = 1\n{cases}"),
        );
        for (name, text) in phones {
            write(&fixtures.join("phones").join(format!("{name}.toml")), &text);
        }
        let trunk = read(&root().join("sip_config/loopback.toml"))
            .replace("127.0.0.1:5080", &format!("127.0.0.1:{}", free_port()))
            .replace("lines = 8", "lines = 8\nring_timeout_s = 120");
        write(&stage.path("trunk.toml"), &trunk);
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self, resume: bool) {
        let lines = LINES.to_string();
        self.start_with(&["--lines", &lines], resume, None);
    }

    /// Starts the demo: what it shows goes to `demo.out`, its log to `demo.log`.
    pub(crate) fn start_with(&mut self, more: &[&str], resume: bool, log: Option<&str>) {
        let file = |name: &str| {
            let mut options = std::fs::File::options();
            let file = options.create(true).append(true).open(self.path(name));
            file.expect("the folder is writable")
        };
        let demo = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(["demo", "--bind", "127.0.0.1:0"])
            .args(more)
            .arg("--fixtures")
            .arg(self.path("fixtures"))
            .arg("--trunk")
            .arg(self.path("trunk.toml"))
            .arg("--data")
            .arg(self.path("data"))
            .args(resume.then_some("--resume"))
            .current_dir(root())
            .envs(log.map(|log| ("RUST_LOG", log)))
            .stdin(Stdio::null())
            .stdout(file("demo.out"))
            .stderr(file("demo.log"))
            .spawn()
            .expect("the program was built");
        self.demo = Some(demo);
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill_demo(&mut self) {
        if let Some(mut demo) = self.demo.take() {
            demo.kill().ok();
            demo.wait().ok();
        }
    }

    fn kill_phones(&self) {
        if let Ok(pid) = std::fs::read_to_string(self.path("data/phones.pid")) {
            Command::new("sh")
                .args(["-c", "kill -9 \"$0\"", pid.trim()])
                .status()
                .ok();
        }
    }

    pub(crate) async fn store(&self) -> Store {
        let url = format!("sqlite://{}", self.path("data/aftercall.db").display());
        Store::open(&url, &Source::File(self.path("data.key")))
            .await
            .expect("a killed process leaves a database that opens")
    }

    /// What the telephones saw, in order: `(event, phone)`.
    fn wire(&self) -> Vec<(String, String)> {
        let text = read(&self.path("data/phones.jsonl"));
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        lines
            .map(|line| (word(&line, "event"), word(&line, "phone")))
            .collect()
    }

    fn count(&self, event: &str, phone: &str) -> usize {
        let is_it = |(what, who): &&(String, String)| what == event && who == phone;
        self.wire().iter().filter(is_it).count()
    }

    /// Fails with what the demo printed.
    pub(crate) fn give_up(&self, waited_for: &str) -> ! {
        panic!(
            "waited in vain for {waited_for}; the demo said:\n{}\n{}",
            read(&self.path("demo.out")),
            read(&self.path("demo.log"))
        )
    }
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the folder is writable");
}

fn free_port() -> u16 {
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("it is bound").port()
}

/// Rows of the demo's own list, all discharged on one day, in the order of the cast.
fn patients() -> String {
    let list = read(&root().join("fixtures/patients.csv"));
    let mut lines = list.lines();
    let header = lines.next().expect("the list has a header");
    let columns: Vec<&str> = header.split(',').collect();
    let discharged = columns
        .iter()
        .position(|name| *name == "discharged")
        .expect("a column");
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let mut text = format!("{header}\n");
    for number in ON_THE_LINE.iter().chain([&WAITING]) {
        let mut row = rows
            .iter()
            .find(|row| row[0] == *number)
            .expect("on the list")
            .clone();
        row[discharged] = "-3d";
        text.push_str(&format!("{}\n", row.join(",")));
    }
    text
}

/// Their telephones, by the patient's number: the first says who she is and then nothing more.
fn phones() -> Vec<(&'static str, String)> {
    let li = read(&root().join("fixtures/phones/rh10001_li.toml"));
    let mut li: toml::Table = toml::from_str(&li).expect("a telephone");
    li.remove("otherwise");
    let replies = li["reply"].as_array_mut().expect("she has replies");
    replies.retain(|reply| reply["hears"].to_string().contains("/identity_"));
    let says_nothing = "ring_ms = 12000\ndoes = \"answer\"\n";
    vec![
        (IDENTIFIED, toml::to_string(&li).expect("a telephone")),
        (
            ANSWERED,
            format!("number = \"+8613800001002\"\n{says_nothing}"),
        ),
        (
            RINGING,
            "number = \"+8613800001003\"\ndoes = \"no_answer\"\n".to_owned(),
        ),
        (
            DIALLING,
            "number = \"+8613800001007\"\nring_ms = 110000\ndoes = \"decline\"\n".to_owned(),
        ),
        (
            WAITING,
            "number = \"+8613800001005\"\nring_ms = 500\ndoes = \"busy\"\n".to_owned(),
        ),
    ]
}

/// An attempt with the hospital's number of its patient.
struct Rung {
    who: String,
    row: AttemptRow,
}

async fn attempts(store: &Store) -> Vec<Rung> {
    let all = PageRequest {
        limit: 200,
        after: None,
    };
    let patients = store.patients(&all).await.expect("listed").items;
    let mut rung = Vec::new();
    for row in store.attempts(None, &all).await.expect("listed").items {
        let patient = patients
            .iter()
            .find(|patient| Some(&patient.id) == row.patient.as_ref());
        let who = patient
            .expect("every call of the demo has one")
            .number
            .expose()
            .clone();
        rung.push(Rung { who, row });
    }
    rung.reverse();
    rung
}

fn of<'a>(rung: &'a [Rung], who: &str) -> &'a AttemptRow {
    &rung
        .iter()
        .find(|rung| rung.who == who)
        .expect("was rung")
        .row
}

/// Whether the four calls are where the kill is to find them.
fn is_every_state_there(rung: &[Rung]) -> bool {
    let is = |who: &str, state: AttemptState| {
        rung.iter()
            .any(|rung| rung.who == who && rung.row.attempt.state == state)
    };
    let there = is(IDENTIFIED, AttemptState::Talking)
        && is(ANSWERED, AttemptState::Talking)
        && is(RINGING, AttemptState::Ringing)
        && is(DIALLING, AttemptState::Dialling);
    there && of(rung, IDENTIFIED).attempt.progress.identified
}

/// Waits until the attempts are as wanted.
async fn until(stage: &Stage, what: &str, wanted: impl Fn(&[Rung]) -> bool) -> Vec<Rung> {
    let found = patience::until(Duration::from_secs(150), async || {
        if !stage.path("data/aftercall.db").exists() {
            return None;
        }
        let store = stage.store().await;
        let rung = attempts(&store).await;
        store.close().await;
        wanted(&rung).then_some(rung)
    });
    let found = found.await;
    found.unwrap_or_else(|| stage.give_up(what))
}

#[tokio::test]
async fn a_kill_with_a_call_in_every_state_leaves_nobody_lost_and_nobody_rung_twice() {
    let mut stage = Stage::set();
    stage.start(false);
    let before = until(&stage, "a call in every state", is_every_state_there).await;
    let killed_at = SystemTime::now();
    let killed = Instant::now();
    stage.kill_demo();

    assert_eq!(before.len(), LINES, "one waits for a line");
    for who in [IDENTIFIED, ANSWERED] {
        check_recording(&stage, &of(&before, who).attempt.id, killed_at).await;
    }
    assert!(
        !of(&before, IDENTIFIED).attempt.progress.screened,
        "the screen was not over"
    );

    stage.start(true);
    let waiting_ended = |rung: &[Rung]| {
        rung.iter()
            .any(|rung| rung.who == WAITING && rung.row.attempt.state == AttemptState::Ended)
    };
    let after = until(&stage, "the next call", waiting_ended).await;
    check_record(&stage, &after).await;
    check_wire(&stage);
    let first = of(&before, IDENTIFIED).attempt.started_at;
    let next = of(&after, WAITING).attempt.started_at;
    let plan = next.duration_since(first);
    let most =
        SignedDuration::try_from(killed.elapsed() + Duration::from_secs(150)).expect("minutes");
    assert!(
        plan > SignedDuration::ZERO && plan < most,
        "the plan's clock goes on: {plan:?}"
    );

    // A second kill, of everything; and the plan's clock moved to after the rest that the policy gives.
    stage.kill_demo();
    stage.kill_phones();
    put_clock_forward(
        &stage.path("data/plan_clock.toml"),
        SignedDuration::from_mins(20),
    );
    stage.start(true);
    let numbers = |rung: &[Rung], who: &str| -> Vec<u32> {
        let mine = rung.iter().filter(|rung| rung.who == who);
        mine.map(|rung| rung.row.attempt.number).collect()
    };
    let again = |rung: &[Rung]| ON_THE_LINE.iter().all(|who| numbers(rung, who) == [1, 2]);
    let again = until(&stage, "the second round of calls", again).await;
    let live = again
        .iter()
        .filter(|rung| rung.row.attempt.state != AttemptState::Ended);
    assert!(live.count() <= LINES, "one call at a time on each line");
}

/// Before, between and after the states above, wherever the moment falls; more moments by `make soak`.
#[tokio::test]
async fn a_kill_at_any_moment_is_taken_up() {
    let rounds = std::env::var("AFTERCALL_SOAK").ok();
    let rounds: u64 = rounds.map_or(1, |rounds| {
        rounds.parse().expect("AFTERCALL_SOAK is a number")
    });
    for round in 1..=rounds {
        // Moments spread evenly over the 35 s in which the calls begin and talk (multiples of the golden ratio).
        let moment = Duration::from_millis(round.wrapping_mul(21_631) % 35_000);
        let mut stage = Stage::set();
        stage.start(false);
        until(&stage, "the first call", |rung| !rung.is_empty()).await;
        let began = Instant::now();
        until(&stage, "the moment", |_| began.elapsed() >= moment).await;
        stage.kill_demo();
        let store = stage.store().await;
        let mut broken = attempts(&store).await;
        store.close().await;
        broken.retain(|rung| rung.row.attempt.state != AttemptState::Ended);
        assert!(!broken.is_empty(), "at {moment:?} nobody was on the line");

        stage.start(true);
        let closed = |rung: &[Rung]| {
            let find = |id: &AttemptId| rung.iter().find(|rung| rung.row.attempt.id == *id);
            broken.iter().all(|one| {
                find(&one.row.attempt.id)
                    .is_some_and(|now| now.row.attempt.state == AttemptState::Ended)
            })
        };
        let after = until(&stage, "the broken calls' end", closed).await;
        let store = stage.store().await;
        for one in &broken {
            let same = |rung: &&Rung| rung.row.attempt.id == one.row.attempt.id;
            let row = &after.iter().find(same).expect("it is kept").row;
            let ending = row.attempt.ending.as_ref().expect("it is over");
            assert_eq!(
                ending.disposition,
                Disposition::Interrupted,
                "{} at {moment:?}",
                one.who
            );
            let progress = row.attempt.progress;
            let wanted = progress.identified && !progress.screened;
            assert_eq!(
                incomplete(&store, row).await,
                usize::from(wanted),
                "{} at {moment:?}",
                one.who
            );
            assert!(
                stage.count("invited", &one.who) <= 1,
                "{} was rung again at once",
                one.who
            );
        }
        store.close().await;
    }
}

/// Orders' causes of the patient that say her screen was not over.
async fn incomplete(store: &Store, row: &AttemptRow) -> usize {
    let filter = WorkOrderFilter {
        state: None,
        patient: row.patient.clone(),
        ..WorkOrderFilter::default()
    };
    let orders = store
        .work_orders(&filter, &PageRequest::default())
        .await
        .expect("listed")
        .items;
    let causes = orders.iter().flat_map(|order| &order.causes);
    causes.filter(|cause| **cause == Cause::Incomplete).count()
}

/// Interrupted, planned again as the policy says, and an order for the one who was identified.
async fn check_record(stage: &Stage, after: &[Rung]) {
    let store = stage.store().await;
    let next = of(after, WAITING).attempt.started_at;
    for who in ON_THE_LINE {
        let row = of(after, who);
        let ending = row.attempt.ending.as_ref().expect("it is over");
        assert_eq!(
            (ending.disposition, ending.rang),
            (Disposition::Interrupted, true),
            "{who}"
        );
        let ended = row.attempt.ended_at.expect("it is over");
        assert!(
            ended <= next,
            "{who} was closed before anybody else was rung"
        );
        let step = store
            .step(row.attempt.step.as_ref().expect("of a step"))
            .await
            .expect("there");
        let rest = step.next_at.duration_since(ended);
        let policy = SignedDuration::from_mins(10)..=SignedDuration::from_mins(15);
        assert!(
            step.state == StepState::Planned && policy.contains(&rest),
            "{who}: {} in {rest:?}",
            step.state
        );
        assert!(
            step.reason.contains("interrupted"),
            "{who}: {}",
            step.reason
        );
        assert_eq!(
            incomplete(&store, row).await,
            usize::from(who == IDENTIFIED),
            "{who}"
        );
    }
    store.close().await;
}

/// The telephones heard BYE or CANCEL for every call, and then the next one rang.
fn check_wire(stage: &Stage) {
    let wire = stage.wire();
    let place = |event: &str, phone: &str| {
        let found = wire
            .iter()
            .position(|(what, who)| what == event && who == phone);
        found.unwrap_or_else(|| panic!("{phone} never saw {event}: {wire:?}"))
    };
    let next = place("invited", WAITING);
    for (who, end) in ON_THE_LINE
        .into_iter()
        .zip(["hung_up", "hung_up", "cancelled", "cancelled"])
    {
        assert!(
            place(end, who) < next,
            "{who} was let go before the next call"
        );
        assert_eq!(stage.count("invited", who), 1, "{who} was not rung again");
    }
}

/// Whole up to the kill: the last frame is as old as a frame may be, none is missing, and it plays.
async fn check_recording(stage: &Stage, attempt: &AttemptId, killed_at: SystemTime) {
    let store = stage.store().await;
    let key = store.recording_key(attempt).await.expect("a key");
    store.close().await;
    let recordings = Recordings::new(stage.path("data/recordings"));
    let mut reader = recordings
        .reader(attempt, &key)
        .expect("both agreed to be recorded");
    let states = reader.verify().expect("readable");
    let (last, sealed) = states.split_last().expect("it has chunks");
    assert!(
        sealed.iter().all(|(_, state)| *state == ChunkState::Sealed),
        "{states:?}"
    );
    assert_ne!(last.1, ChunkState::Damaged, "{states:?}");

    let folder = stage.path("data/recordings").join(&attempt.0);
    let file = |index: u32| {
        folder
            .join(format!("{index:06}.chunk"))
            .metadata()
            .expect("there")
    };
    let written = file(last.0).modified().expect("the system keeps it");
    let behind = killed_at.duration_since(written).unwrap_or_default();
    assert!(
        behind.as_millis() <= u128::from(SLACK_MS),
        "the last frame was {behind:?} old"
    );
    if let Ok(began) = file(0).created() {
        let wall = written.duration_since(began).expect("in order").as_millis() as u64;
        let off = wall.abs_diff(reader.duration_ms());
        assert!(
            off <= SLACK_MS,
            "{} ms recorded in {wall} ms",
            reader.duration_ms()
        );
    }

    let wav = stage.path(&format!("{}.wav", attempt.0));
    reader.write_wav(&wav).expect("a new file");
    let samples = decode_file(&wav).expect("a WAV that others can read");
    assert_eq!(
        samples.len() as u64,
        reader.duration_ms() * 8,
        "8 samples a millisecond"
    );
    assert!(
        samples.iter().any(|sample| sample.abs() > 1_000),
        "somebody speaks"
    );
    println!(
        "recording of {} ms, the last frame {behind:?} before the kill",
        reader.duration_ms()
    );
}

fn put_clock_forward(path: &Path, by: SignedDuration) {
    let mut clock: toml::Table = toml::from_str(&read(path)).expect("the demo wrote it");
    let ahead: SignedDuration = clock["ahead"]
        .as_str()
        .expect("a duration")
        .parse()
        .expect("a duration");
    clock.insert("ahead".to_owned(), (ahead + by).to_string().into());
    write(path, &toml::to_string(&clock).expect("a table"));
}
