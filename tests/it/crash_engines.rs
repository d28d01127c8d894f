//! `kill -9` of one of three real engines on one PostgreSQL with calls live: nobody is rung beyond policy, no step is lost, the
//! other engines take over within the lease's time, and whoever complained of chest pain has one order, whether it was heard
//! before the engine died or its call was broken off. The far end is the telephone network over real UDP, in real time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aftercall::jobs::{PlanClock, Rules, recover};
use aftercall::store::attempt::AttemptRow;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall::store::{Store, StoreError};
use aftercall::vault::Source;
use aftercall_core::attempt::{AttemptState, Disposition};
use aftercall_core::id::{AttemptId, PatientId};
use aftercall_core::plan::StepState;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Act, Cause, WorkOrder, WorkOrderState};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::patience;
use crate::phones::Network;
use crate::postgres::Postgres;
use crate::record::{clinic, deadlines, enrolment, phone};

/// Kills of a usual run; `make soak` has many times as many.
const KILLS: u64 = 4;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// The shortest that a hospital may set.
const LEASE: Duration = Duration::from_secs(10);
/// Leases are looked at every half of their time. The rest is what a busy machine may add.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10 + 5 + 30);
/// Nobody is rung again before, by the engines' policy (and China's law).
const REST_MS: f64 = 300_000.0;
const PAGE: PageRequest = PageRequest {
    limit: 200,
    after: None,
};
const PER_DAY: usize = 3;
const MOST_RINGS: usize = 4;

/// Where it is ten in the morning now, so that calls are lawful whenever the test runs.
pub fn zone_of_morning() -> String {
    let hour = i64::from(Timestamp::now().to_zoned(TimeZone::UTC).hour());
    // POSIX: `Etc/GMT+4` lies four hours behind.
    match hour - 10 {
        0 => "Etc/GMT".to_owned(),
        behind @ 1.. if behind <= 12 => format!("Etc/GMT+{behind}"),
        behind @ 1.. => format!("Etc/GMT-{}", 24 - behind),
        ahead => format!("Etc/GMT-{}", -ahead),
    }
}

/// Three engines, each a process with a configuration of its own.
struct Engines {
    folder: tempfile::TempDir,
    running: BTreeMap<&'static str, Child>,
}

impl Drop for Engines {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

impl Engines {
    fn new(database: &str, key: &Path, far: &str, zone: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (at, name) in NAMES.iter().enumerate() {
            let own = folder.path().join(name);
            std::fs::create_dir(&own).expect("own folder");
            let ports = 21_000 + 200 * at;
            // Each caller id rings sixty an hour at most: enough of them for every call of the run.
            let users: Vec<String> = (0..60)
                .map(|id| format!("{{ user = \"40{id:02}\" }}"))
                .collect();
            let trunk = include_str!("../../sip_config/loopback.toml")
                .replace("127.0.0.1:5080", far)
                .replace(
                    "user = \"aftercall\"",
                    &format!("users = [{}]", users.join(", ")),
                )
                .replace(
                    "ports = [20000, 20199]",
                    &format!("ports = [{ports}, {}]", ports + 199),
                );
            std::fs::write(own.join("trunk.toml"), trunk).expect("own folder");
            let every_day =
                "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]";
            let config = format!(
                "data_dir = \"{own}\"\n[database]\nurl = \"{database}\"\n[vault]\nkey_file = \"{key}\"\n[web]\nbind = \"127.0.0.1:0\"\n\
                 [hospital]\nid = \"first\"\nzone = \"{zone}\"\n\
                 [calling]\nholidays = \"none\"\nnoon_rest = []\nmin_gap_minutes = 5\n\
                 windows = [{{ {every_day}, from = \"08:00\", to = \"21:00\" }}]\n\
                 duty = [{{ {every_day}, from = \"00:00\", to = \"23:59\" }}]\n\
                 [trunk]\nfile = \"{own}/trunk.toml\"\nlines = 4\n\
                 [ears]\nworkers = 1\nmodel = \"{root}/models/ggml-base-q8_0.bin\"\n\
                 [scripts]\ndir = \"{root}/dialogs\"\n[engine]\nname = \"{name}\"\nlease_seconds = {lease}\n",
                own = own.display(),
                key = key.display(),
                root = root.display(),
                lease = LEASE.as_secs(),
            );
            std::fs::write(own.join("aftercall.toml"), config).expect("own folder");
        }
        Self {
            folder,
            running: BTreeMap::new(),
        }
    }

    fn start(&mut self, name: &'static str) {
        let own = self.folder.path().join(name);
        let said = std::fs::File::options()
            .create(true)
            .append(true)
            .open(own.join("log"))
            .expect("own folder");
        let errors = said.try_clone().expect("a second handle");
        let child = Command::new(env!("CARGO_BIN_EXE_aftercall"))
            .args(["serve", "--config"])
            .arg(own.join("aftercall.toml"))
            .stdin(Stdio::null())
            .stdout(said)
            .stderr(errors)
            .spawn()
            .expect("the program was built");
        self.running.insert(name, child);
    }

    /// SIGKILL: no handler runs, nothing is flushed.
    fn kill(&mut self, name: &str) {
        let mut child = self.running.remove(name).expect("it runs");
        let ended = child.try_wait().expect("a child of ours");
        assert!(
            ended.is_none(),
            "{name} ended by itself: {}",
            self.said(name)
        );
        child.kill().expect("SIGKILL");
        child.wait().expect("it died");
    }

    fn are_alive(&mut self) {
        for (name, child) in &mut self.running {
            let ended = child.try_wait().expect("a child of ours");
            assert!(ended.is_none(), "{name} ended by itself");
        }
    }

    fn said(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join(name).join("log"));
        let text = text.unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(20).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Waits until the database or the telephones say so.
async fn until<T>(what: &str, limit: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = patience::until(limit, look).await;
    found.unwrap_or_else(|| panic!("waited in vain for {what}"))
}

async fn live_of(store: &Store, engine: &str) -> Vec<AttemptRow> {
    let mut live = store.live_attempts().await.expect("listed");
    live.retain(|row| row.engine == engine);
    live
}

async fn all_ended(store: &Store, attempts: &[AttemptId]) -> bool {
    for id in attempts {
        let row = store.attempt(id).await.expect("it is kept");
        if row.attempt.state != AttemptState::Ended {
            return false;
        }
    }
    true
}

/// The telephone of this number: rings on, is busy, declines, or is answered by somebody whose chest hurts.
fn telephone(number: usize) -> String {
    let does = match number % 5 {
        0 => "ring_ms = 500\ndoes = \"no_answer\"",
        1 => "ring_ms = 300\ndoes = \"busy\"",
        2 => "ring_ms = 9000\ndoes = \"decline\"",
        _ => CHEST_HURTS,
    };
    format!("number = \"{}\"\n{does}\n", digits(number))
}

/// By keys: a busy machine's ears would be late. The birth date is the record's.
const CHEST_HURTS: &str = r#"
ring_ms = 1000
does = "answer"

[[reply]]
hears = ["common/zh/identity_tail", "common/zh/identity_confirm", "common/zh/hello_again"]
keys = "1"

[[reply]]
hears = ["common/zh/identity_birth", "common/zh/identity_birth_keys", "common/zh/identity_birth_again"]
keys = "0307"

[[reply]]
hears = ["common/zh/screen_chest"]
keys = "1"

[[reply]]
hears = ["common/zh/emergency_advice"]
keys = "1"

[[reply]]
hears = ["common/zh/emergency_company", "common/zh/emergency_person"]
keys = "2"
"#;

fn digits(number: usize) -> String {
    format!("+8613800{number:06}")
}

async fn enrol(store: &Store, patients: usize, zone: &str) {
    let now = Timestamp::now();
    let today = now
        .to_zoned(TimeZone::get(zone).expect("a known zone"))
        .date();
    for number in 0..patients {
        let mut told = enrolment(&number.to_string());
        told.patient.phone = Some(phone(&digits(number)));
        told.patient.zone = zone.to_owned();
        told.patient.contacts.clear();
        told.steps.truncate(1);
        told.steps[0].due_on = today;
        told.steps[0].lapses_on = today.saturating_add(jiff::Span::new().days(5));
        told.steps[0].next_at = now;
        let saved = store.save_patient_with_episode_and_steps(&told, "test", now);
        saved.await.expect("saved");
    }
}

/// What the run was like.
#[derive(Default)]
struct Tally {
    live: usize,
    taken_over: Vec<Duration>,
}

#[tokio::test]
async fn three_engines_killed_with_calls_live_ring_nobody_beyond_policy_and_lose_no_step() {
    crate::speech::model();
    let times = std::env::var("AFTERCALL_SOAK").ok();
    let times: u64 = times.map_or(1, |times| {
        times.parse().expect("AFTERCALL_SOAK is a number")
    });
    let kills = KILLS * times;
    let patients = usize::try_from(60 + kills * 12).expect("some thousands");
    let postgres = Postgres::start();
    let url = postgres.database("killed").await;
    let keys = tempfile::tempdir().expect("a temporary folder");
    let key = keys.path().join("master.key");
    let store = Store::open(&url, &Source::File(key.clone()))
        .await
        .expect("a new database opens");
    let zone = zone_of_morning();
    enrol(&store, patients, &zone).await;
    let phones = tempfile::tempdir().expect("a temporary folder");
    for number in 0..patients {
        let file = phones.path().join(format!("p{number:06}.toml"));
        std::fs::write(file, telephone(number)).expect("own folder");
    }
    let network = Network::with(phones.path(), false);
    let mut engines = Engines::new(&url, &key, &network.at, &zone);
    for name in NAMES {
        engines.start(name);
    }
    let mut random = ChaCha8Rng::seed_from_u64(times);
    let mut tally = Tally::default();
    let mut killed_in: BTreeSet<AttemptId> = BTreeSet::new();
    for kill in 0..kills {
        // Every second time with somebody on the line who is about to complain, or just has.
        let wanted = |row: &&AttemptRow| {
            !killed_in.contains(&row.attempt.id)
                && (kill % 2 == 0 || row.attempt.progress.identified)
        };
        let nth = usize::try_from(random.next_u64() % 12).expect("few");
        let which = until("a call on a line", Duration::from_secs(240), async || {
            engines.are_alive();
            let live = store.live_attempts().await.expect("listed");
            let hit: Vec<&AttemptRow> = live.iter().filter(wanted).collect();
            let hit = hit.get(nth % hit.len().max(1))?;
            NAMES.into_iter().find(|name| *name == hit.engine)
        })
        .await;
        // Any moment of the calls: dialling, ringing, talking, and between two statements.
        let moment = network.log().len() + usize::try_from(random.next_u64() % 8).expect("few");
        until("the telephones", Duration::from_secs(60), async || {
            (network.log().len() >= moment).then_some(())
        })
        .await;
        engines.kill(which);
        let killed = Instant::now();
        let live = live_of(&store, which).await;
        let ids: Vec<AttemptId> = live.iter().map(|row| row.attempt.id.clone()).collect();
        tally.live += ids.len();
        killed_in.extend(ids.iter().cloned());
        take_orders(&store).await;
        if kill % 4 == 3 {
            // It stays dead: the others have its calls when its leases are over.
            until("the others to take over", TAKEN_OVER_WITHIN, async || {
                all_ended(&store, &ids).await.then_some(())
            })
            .await;
            tally.taken_over.push(killed.elapsed());
        }
        engines.start(which);
        if kill % 10 == 9 {
            println!("{} kills, {} INVITEs", kill + 1, invites(&network).len());
        }
    }
    drop(engines);
    check(&store, &network, patients).await;
    let complaints = check_orders(&store, &network).await;
    tally.taken_over.sort_unstable();
    let (median, longest) = (
        tally.taken_over.get(tally.taken_over.len() / 2),
        tally.taken_over.last(),
    );
    println!(
        "{kills} kills, {} calls live as they came, {} INVITEs; taken over after {median:?}, at most {longest:?}; {complaints}",
        tally.live,
        invites(&network).len(),
    );
    assert!(
        tally.live >= usize::try_from(kills / 2).expect("few"),
        "calls were live"
    );
}

/// Every INVITE that a telephone saw: whose, when, and its Call-ID.
fn invites(network: &Network) -> Vec<(String, f64, String)> {
    let log = network.log();
    let invited = log.iter().filter(|line| line["event"] == "invited");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let read = invited.map(|line| {
        let at = line["at_ms"].as_f64().expect("a time");
        (text(&line["phone"]), at, text(&line["call_id"]))
    });
    read.collect()
}

/// A nurse takes every order: a ward that nobody answers for is not dialled for.
async fn take_orders(store: &Store) {
    for order in orders(store).await {
        if order.state == WorkOrderState::Open {
            let (act, terms, now) = (Act::Acknowledge, deadlines(), Timestamp::now());
            let taken = store.act_on_work_order(&order.id, &act, "anna", "", &terms, now);
            match taken.await {
                // A promise that was broken meanwhile brought it back.
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

async fn orders(store: &Store) -> Vec<WorkOrder> {
    let (filter, mut all) = (WorkOrderFilter::default(), Vec::new());
    let mut page = PAGE;
    loop {
        let found = store.work_orders(&filter, &page).await.expect("listed");
        all.extend(found.items);
        let Some(next) = found.next else { return all };
        page.after = Some(next);
    }
}

async fn calls(store: &Store) -> Vec<AttemptRow> {
    let (mut page, mut all) = (PAGE, Vec::new());
    loop {
        let found = store.attempts(None, &page).await.expect("listed");
        all.extend(found.items);
        let Some(next) = found.next else { return all };
        page.after = Some(next);
    }
}

/// How often each telephone pressed "yes" to the question for chest pain, a call each.
fn complained(network: &Network) -> BTreeMap<String, usize> {
    let mut asked: BTreeMap<u64, bool> = BTreeMap::new();
    let mut complained: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for line in network.log() {
        let Some(call) = line["call"].as_u64() else {
            continue;
        };
        match line["event"].as_str() {
            Some("prompt") => {
                asked.insert(call, line["prompt"] == "common/zh/screen_chest");
            }
            Some("presses") if asked.get(&call) == Some(&true) => {
                let phone = line["phone"].as_str().expect("of a telephone").to_owned();
                complained.entry(phone).or_default().insert(call);
            }
            _ => {}
        }
    }
    let count = |(phone, calls): (String, BTreeSet<u64>)| (phone, calls.len());
    complained.into_iter().map(count).collect()
}

/// Every finding is a cause of one order, once; every person whose call broke in the emergency screen has an order; and so has
/// everybody who complained, by what the telephones saw. Returns what there was.
async fn check_orders(store: &Store, network: &Network) -> String {
    let mut of_patient: BTreeMap<PatientId, WorkOrder> = BTreeMap::new();
    let mut causes: BTreeMap<(AttemptId, u32), u32> = BTreeMap::new();
    for order in orders(store).await {
        for cause in &order.causes {
            if let Cause::Finding { finding, attempt } = cause {
                let attempt = attempt.clone().expect("of a call");
                *causes.entry((attempt, finding.turn)).or_default() += 1;
            }
        }
        let patient = order.patient.clone().expect("of a patient");
        let other = of_patient.insert(patient, order);
        assert!(other.is_none(), "two orders of one stay: {other:?}");
    }
    // By telephone: the calls that must have reached a person.
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    let (mut findings, mut heard, mut broken) = (0, 0, 0);
    for row in calls(store).await {
        let (call, id) = (&row.attempt, &row.attempt.id);
        let found = store.findings(id).await.expect("read");
        let patient = row.patient.as_ref().expect("of a patient");
        let order = of_patient.get(patient);
        for placed in &found {
            assert_eq!(causes.get(&(id.clone(), placed.turn)), Some(&1), "{id}");
        }
        let ending = call.ending.as_ref().expect("everybody is gone");
        let is_broken = ending.disposition == Disposition::Interrupted && call.progress.identified;
        if is_broken && !call.progress.screened {
            assert!(order.is_some(), "{id} was broken off, and nobody goes on");
        }
        findings += found.len();
        heard += usize::from(is_broken && !found.is_empty());
        broken += usize::from(is_broken);
        if is_broken || !found.is_empty() {
            let callee = call.callee.as_ref().expect("each rang a number").expose();
            *reached.entry(callee.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(causes.len(), findings, "no cause is made up");
    let complained = complained(network);
    for (phone, times) in &complained {
        let number = number_of(phone);
        let reached = reached.get(&digits(number)).copied().unwrap_or(0);
        assert!(
            reached >= *times,
            "{phone} complained {times} times, {reached} were kept"
        );
    }
    assert!(broken > 0, "a kill hit somebody who was identified");
    format!(
        "{} calls complained, {findings} findings, {} orders; {broken} identified calls were killed, {heard} of them with a finding on disk",
        complained.values().sum::<usize>(),
        of_patient.len(),
    )
}

fn number_of(phone: &str) -> usize {
    let number = phone.trim_start_matches('p').parse();
    number.expect("its file's number")
}

/// What the telephones saw, held against what the database has, when everybody is gone.
async fn check(store: &Store, network: &Network, patients: usize) {
    let clock = PlanClock::set_to(Timestamp::now() + SignedDuration::from_mins(1));
    let config = aftercall::config::Config::default();
    let rules = Rules::of(&config, clock, clinic()).expect("lawful");
    for name in NAMES {
        let engine = name.to_owned();
        let rules = Rules {
            engine,
            ..rules.clone()
        };
        let closed = recover::at_start(store, &rules).await;
        closed.expect("what was live is closed");
    }
    assert!(store.live_attempts().await.expect("listed").is_empty());
    let mut attempts: BTreeMap<String, usize> = BTreeMap::new();
    for row in calls(store).await {
        let callee = row.attempt.callee.expect("each rang a number");
        *attempts.entry(callee.expose().to_owned()).or_default() += 1;
    }
    let mut rung: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (phone, at, _) in invites(network) {
        rung.entry(phone).or_default().push(at);
    }
    assert!(rung.len() > 20, "{} telephones rang", rung.len());
    for (phone, mut times) in rung {
        times.sort_by(f64::total_cmp);
        let number = number_of(&phone);
        let begun = attempts.get(&digits(number)).copied().unwrap_or(0);
        assert!(
            times.len() <= begun,
            "{phone}: {} INVITEs of {begun} attempts",
            times.len()
        );
        assert!(
            times.len() <= PER_DAY.min(MOST_RINGS),
            "{phone}: rung {} times",
            times.len()
        );
        for pair in times.windows(2) {
            let gap = pair[1] - pair[0];
            assert!(gap >= REST_MS, "{phone}: rung again after {gap} ms");
        }
    }
    let mut steps = 0;
    let mut page = PAGE;
    loop {
        let found = store.steps(None, &page).await.expect("listed");
        for step in &found.items {
            steps += 1;
            assert_ne!(step.state, StepState::Calling, "{} is lost", step.id);
        }
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(steps, patients, "a step each");
}
