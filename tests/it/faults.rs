//! An engine in virtual time on a real database, hit at random steps from a seed: stopped dead between any two polls, its disk
//! full, its clock put forward or back, its webhook answering 500 or not at all. No finding without its order, no order lost
//! or doubled, each told of, and every rung of the ladder on time.
//!
//! On time is within a second of its hour, or of the engine's return: rungs that came due meanwhile are all climbed at once
//! then. Late is late, and nobody is left out.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};

use aftercall::channels::Channels;
use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules, escalate, notify, recover};
use aftercall::store::Store;
use aftercall::store::attempt::NewAttempt;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::Disposition;
use aftercall_core::finding::{Confirmation, PlacedFinding, Urgency};
use aftercall_core::id::{AttemptId, WorkOrderId};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Cause, What, WorkOrder};
use jiff::SignedDuration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::channels::{Answer, Peer, webhook};
use crate::crash_plan::Stopped;
use crate::record::{ENGINE, at, calling, clinic, finding, finish, master_key};

/// Faults of a usual run; `make soak` has many times as many.
const FAULTS: u64 = 50;
/// Faults that one world lives through: its orders climb every five minutes for ever.
const OF_A_WORLD: u64 = 25;
/// Seed and count of the process that is hit.
const RUN: &str = "AFTERCALL_TEST_FAULTS";
/// A write beyond the limit of a file's size.
const SIGXFSZ: i32 = 25;
/// Every rung of an emergent order, in hours and out of them.
const RUNG: SignedDuration = SignedDuration::from_mins(5);
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// From here on the last rung is told again and again.
const LAST: u32 = 3;

/// While it lives no file of this process takes a byte.
struct DiskFull(Rlimit);

impl DiskFull {
    fn begins() -> Self {
        let before = getrlimit(Resource::Fsize);
        let none = Rlimit {
            current: Some(0),
            ..before
        };
        setrlimit(Resource::Fsize, none).expect("a limit may be lowered");
        Self(before)
    }
}

impl Drop for DiskFull {
    fn drop(&mut self) {
        setrlimit(Resource::Fsize, self.0).expect("as it was");
    }
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// After so many polls.
    Stop(u64),
    /// For so many polls.
    Disk(u64),
}

/// Does some work under a fault. `None`: its process died in it.
async fn under<T>(fault: Fault, work: impl Future<Output = T>) -> Option<T> {
    match fault {
        Fault::None => Some(work.await),
        Fault::Stop(polls) => {
            let inner = Box::pin(work);
            Stopped { inner, polls }.await
        }
        Fault::Disk(polls) => {
            let (inner, full) = (Box::pin(work), Some(DiskFull::begins()));
            Some(Starved { inner, polls, full }.await)
        }
    }
}

/// A future whose process has no disk for so many polls.
struct Starved<'a, T> {
    inner: Pin<Box<dyn Future<Output = T> + 'a>>,
    polls: u64,
    full: Option<DiskFull>,
}

impl<T> Future for Starved<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.polls.checked_sub(1) {
            Some(left) => self.polls = left,
            None => self.full = None,
        }
        self.inner.as_mut().poll(context)
    }
}

/// How an order's ladder must stand, by the test's own reckoning.
#[derive(Clone, Copy)]
struct Ladder {
    level: u32,
    due: Timestamp,
}

impl Ladder {
    /// After every climb that is due by then. The last rung begins afresh.
    fn climbed(mut self, now: Timestamp) -> Self {
        while self.due <= now {
            self.level += 1;
            self.due += RUNG;
            if self.level >= LAST && self.due <= now {
                self.due = now + RUNG;
            }
        }
        self
    }
}

struct Live {
    new: NewAttempt,
    told: Vec<PlacedFinding>,
}

struct World {
    store: Store,
    rules: Rules,
    peer: Peer,
    random: ChaCha8Rng,
    now: Timestamp,
    /// When the loops of the engine began to turn: a round a second from then.
    since: Timestamp,
    live: Vec<Live>,
    patients: u64,
    /// Findings of which the recorder said that they are on disk.
    stored: Vec<(AttemptId, u32)>,
    ladders: BTreeMap<WorkOrderId, Ladder>,
    faults: BTreeMap<&'static str, u64>,
    climbs: u64,
    delivered: Vec<(String, Value)>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}/faults.db", folder.path().display());
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database");
        let (peer, address) = Peer::start().await;
        let bus = webhook(address, "\"work_order.*\"");
        let config = Config::parse("a.toml", &format!("channels = [{bus}]\n"));
        let config = config.expect("a good file");
        let now = at(10);
        let plain = Config::default();
        let mut rules = Rules::of(&plain, PlanClock::set_to(now), clinic()).expect("lawful");
        let secret = |variable: &str| Some(format!("secret of {variable}"));
        rules.channels = Arc::new(Channels::with(&config, secret).expect("every secret"));
        rules.engine = ENGINE.to_owned();
        Self {
            store,
            rules,
            peer,
            random: ChaCha8Rng::seed_from_u64(seed),
            now,
            since: now,
            live: Vec::new(),
            patients: 0,
            stored: Vec::new(),
            ladders: BTreeMap::new(),
            faults: BTreeMap::new(),
            climbs: 0,
            delivered: Vec::new(),
            _folder: folder,
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn seconds(&mut self, below: u64) -> SignedDuration {
        SignedDuration::from_millis(i64::try_from(self.pick(below * 1_000)).expect("hours"))
    }

    fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    fn hits(&self) -> u64 {
        self.faults.values().sum()
    }

    /// One time in three something goes wrong.
    fn fault(&mut self) -> Fault {
        match self.pick(6) {
            0 => Fault::Stop(self.pick(120)),
            1 => {
                self.count("disk full");
                Fault::Disk(1 + self.pick(12))
            }
            _ => Fault::None,
        }
    }

    fn set_clock(&mut self) {
        self.rules.clock = PlanClock::set_to(self.now);
    }

    async fn go_on(&mut self) {
        let pause = self.seconds(120);
        self.pass(pause).await;
        match self.pick(16) {
            0..4 => self.ring().await,
            4..9 => self.hear().await,
            9..11 => self.hang_up().await,
            11..14 => self.deliver().await,
            14 => self.jump().await,
            _ => self.escalate().await,
        }
    }

    /// Time goes by, and the engine's rounds with it: the first at or after each rung's hour is played.
    async fn pass(&mut self, time: SignedDuration) {
        let until = self.now + time;
        while let Some(due) = self.ladders.values().map(|ladder| ladder.due).min()
            && due <= until
        {
            let behind = due.duration_since(self.since).as_millis().max(0);
            let rounds = i64::try_from(behind).expect("hours").div_euclid(1_000) + 1;
            self.now = self
                .now
                .max(self.since + SECOND * i32::try_from(rounds).expect("hours"));
            self.escalate().await;
        }
        self.now = self.now.max(until);
    }

    /// A round of the ladder, again and again until the engine has lived through one.
    async fn escalate(&mut self) {
        loop {
            self.set_clock();
            let fault = self.fault();
            let round = under(fault, escalate::once(&self.store, &self.rules)).await;
            match round {
                Some(Ok(climbed)) => {
                    self.climbs += u64::from(climbed);
                    return self.every_rung_was_climbed().await;
                }
                // The disk took nothing: the next round is a second later.
                Some(Err(error)) => {
                    assert!(error.may_pass(), "{error}");
                    self.now += SECOND;
                }
                None => self.stop().await,
            }
        }
    }

    /// Each rung whose hour has come was climbed, by what the test has reckoned alone. The round itself takes real time: what
    /// came due in it may be climbed.
    async fn every_rung_was_climbed(&mut self) {
        let (from, until) = (self.now, self.rules.clock.now());
        let slack = SECOND + until.duration_since(from);
        for (id, ladder) in &mut self.ladders {
            let (least, most) = (ladder.climbed(from), ladder.climbed(until));
            let order = self.store.work_order(id).await.expect("it is kept");
            let may_be = least.level..=most.level;
            assert!(
                may_be.contains(&order.level),
                "{id} at {from}: level {}, not {may_be:?}",
                order.level
            );
            let due = if order.level == least.level {
                least.due
            } else {
                most.due
            };
            let off = order.due_at.duration_since(due).abs();
            assert!(off <= slack, "{id} climbs {off:#} off");
            *ladder = Ladder {
                level: order.level,
                due: order.due_at,
            };
        }
    }

    /// The engine is dead for a while, and starts: it may be hit again as it does.
    async fn stop(&mut self) {
        self.live.clear();
        loop {
            self.count("stopped");
            let longest = if self.pick(8) == 0 { 7_200 } else { 60 };
            let away = self.seconds(longest);
            self.now += away;
            self.set_clock();
            let fault = match self.fault() {
                // A start that the disk refuses is begun again.
                Fault::Disk(_) => Fault::None,
                fault => fault,
            };
            let start = recover::at_start(&self.store, &self.rules);
            if let Some(closed) = under(fault, start).await {
                closed.expect("what was live is closed");
                break;
            }
        }
        self.since = self.now;
        self.now += SECOND;
        self.meet_orders().await;
    }

    async fn jump(&mut self) {
        self.count("clock");
        let (ahead, back) = (self.seconds(4 * 3_600), self.seconds(60));
        if self.pick(2) == 0 {
            self.now += ahead;
        } else {
            self.now -= back;
        }
        self.since = self.now;
        self.escalate().await;
    }

    async fn ring(&mut self) {
        self.patients += 1;
        let (new, _) = calling(&self.store, &self.patients.to_string()).await;
        let told = Vec::new();
        self.live.push(Live { new, told });
    }

    /// Tells the recorder; `false` where the engine died of it.
    async fn tell(&mut self, attempt: &AttemptId, what: Told) -> bool {
        self.set_clock();
        let fault = self.fault();
        // With the rules of the moment, as its loop has.
        let mut recorder = Recorder::new(self.store.clone(), self.rules.clone());
        let report = Report {
            attempt: attempt.clone(),
            what,
        };
        let told = under(fault, recorder.record(&report)).await;
        match told {
            Some(kept) => {
                assert!(kept, "a report is never given up for a fault that passes");
                self.meet_orders().await;
                true
            }
            None => {
                self.stop().await;
                false
            }
        }
    }

    async fn hear(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let which = usize::try_from(self.pick(self.live.len() as u64)).expect("few");
        let live = &mut self.live[which];
        let position = u32::try_from(live.told.len()).expect("few");
        let mut placed = finding("chest_pain", Urgency::Emergent);
        placed.finding.confirmation = Confirmation::NotNeeded;
        placed.turn = position;
        live.told.push(placed.clone());
        let attempt = live.new.id.clone();
        let placed = Box::new(placed);
        if self.tell(&attempt, Told::Found { position, placed }).await {
            self.stored.push((attempt, position));
        }
    }

    async fn hang_up(&mut self) {
        let Some(live) = self.live.pop() else { return };
        let record = finish(&live.new, Disposition::Completed, live.told).record;
        self.tell(&live.new.id, Told::Ended(Box::new(record))).await;
    }

    async fn deliver(&mut self) {
        match self.pick(12) {
            0 => {
                self.count("webhook silent");
                self.peer.answer([Answer::Never]);
            }
            1..4 => {
                self.count("webhook 500");
                self.peer.answer([Answer::Status(500)]);
            }
            _ => {}
        }
        self.set_clock();
        let fault = self.fault();
        match under(fault, notify::once(&self.store, &self.rules)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => assert!(error.may_pass(), "{error}"),
            None => self.stop().await,
        }
        self.take_delivered();
    }

    fn take_delivered(&mut self) {
        for got in self.peer.got() {
            let body: Value = serde_json::from_str(&got.body).expect("JSON");
            let key = got.headers["idempotency-key"].clone();
            self.delivered.push((key, body));
        }
    }

    async fn orders(&self) -> Vec<WorkOrder> {
        let all = PageRequest {
            limit: 200,
            after: None,
        };
        let filter = WorkOrderFilter::default();
        let orders = self.store.work_orders(&filter, &all).await.expect("listed");
        assert!(orders.next.is_none(), "few orders a world");
        orders.items
    }

    /// New orders begin their ladder when they were raised.
    async fn meet_orders(&mut self) {
        for order in self.orders().await {
            let is_emergent = order.urgency == Urgency::Emergent;
            if is_emergent && !self.ladders.contains_key(&order.id) {
                let due = order.raised_at + RUNG;
                self.ladders.insert(order.id, Ladder { level: 0, due });
            }
        }
    }

    /// Everything is well again: what was told is there, once, and everybody was told.
    async fn check(&mut self) {
        self.stop().await;
        for _ in 0..40 {
            self.now += SignedDuration::from_hours(1);
            self.set_clock();
            for _ in 0..2 {
                let sent = notify::once(&self.store, &self.rules).await;
                sent.expect("a round");
            }
            self.take_delivered();
            if self
                .store
                .outbox_letters(false, 9)
                .await
                .expect("listed")
                .is_empty()
            {
                break;
            }
        }
        let orders = self.orders().await;
        let mut open: Vec<_> = orders.iter().map(|order| &order.episode).collect();
        open.sort();
        let before = open.len();
        open.dedup();
        assert_eq!(open.len(), before, "two orders of one stay");
        let mut of_findings: BTreeMap<(AttemptId, u32), u32> = BTreeMap::new();
        for cause in orders.iter().flat_map(|order| &order.causes) {
            if let Cause::Finding { finding, attempt } = cause {
                let attempt = attempt.clone().expect("of a call");
                *of_findings.entry((attempt, finding.turn)).or_default() += 1;
            }
        }
        let all = PageRequest {
            limit: 200,
            after: None,
        };
        let calls = self.store.attempts(None, &all).await.expect("listed");
        for row in calls.items {
            for placed in self.store.findings(&row.attempt.id).await.expect("read") {
                let key = (row.attempt.id.clone(), placed.turn);
                assert_eq!(
                    of_findings.get(&key),
                    Some(&1),
                    "{key:?} is of one order, once"
                );
            }
        }
        for key in &self.stored {
            assert!(
                of_findings.contains_key(key),
                "{key:?} was on disk, and has no order"
            );
        }
        for order in &orders {
            let life = self
                .store
                .work_order_events(&order.id)
                .await
                .expect("listed");
            let levels = life.iter().filter(|row| row.what == What::Escalated);
            let levels: Vec<u32> = levels.map(|row| row.level).collect();
            let every: Vec<u32> = (1..=order.level).collect();
            assert_eq!(levels, every, "every rung, in order, once");
            let raised = |(_, body): &&(String, Value)| {
                body["subject"] == order.id.0.as_str() && body["event"] == "work_order.raised"
            };
            let mut keys: Vec<&String> = self
                .delivered
                .iter()
                .filter(raised)
                .map(|(key, _)| key)
                .collect();
            keys.sort();
            keys.dedup();
            assert_eq!(keys.len(), 1, "told under one key, however often");
        }
    }
}

/// The process that is hit. In an ordinary run it has no seed and nothing to do: a full disk is the whole process's.
#[tokio::test]
async fn the_engine_that_is_hit() {
    let Ok(run) = std::env::var(RUN) else { return };
    let (seed, count) = run.split_once(' ').expect("seed and count");
    let (first, count): (u64, u64) = (
        seed.parse().expect("a number"),
        count.parse().expect("a number"),
    );
    // The signal's own answer is to end the process.
    let _held = signal(SignalKind::from_raw(SIGXFSZ)).expect("a handler");
    let (mut hits, mut climbs, mut findings, mut orders) = (0, 0, 0, 0);
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in first.. {
        if hits >= count {
            break;
        }
        let mut world = World::new(seed).await;
        while world.hits() < OF_A_WORLD {
            world.go_on().await;
        }
        world.check().await;
        for (kind, times) in &world.faults {
            *kinds.entry(*kind).or_default() += times;
        }
        hits += world.hits();
        climbs += world.climbs;
        findings += world.stored.len();
        orders += world.ladders.len();
        world.store.close().await;
    }
    println!(
        "{hits} faults {kinds:?}: {findings} findings, {orders} orders, {climbs} rungs climbed"
    );
    assert!(findings > 0 && climbs > 0);
}

#[test]
fn no_finding_is_without_its_order_whatever_goes_wrong() {
    let times = std::env::var("AFTERCALL_SOAK").ok();
    let times: u64 = times.map_or(1, |times| {
        times.parse().expect("AFTERCALL_SOAK is a number")
    });
    let seed = std::env::var("AFTERCALL_SEED").unwrap_or_else(|_| "0".to_owned());
    let done = Command::new(std::env::current_exe().expect("this test has a file"))
        .args(["--exact", "faults::the_engine_that_is_hit", "--nocapture"])
        .env(RUN, format!("{seed} {}", FAULTS * times))
        .output()
        .expect("this test can be started again");
    let said = String::from_utf8_lossy(&done.stdout);
    let complaint = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}\n{complaint}");
    let figure = said.lines().find(|line| line.contains(" faults {"));
    println!("{}", figure.expect("what it lived through"));
}
