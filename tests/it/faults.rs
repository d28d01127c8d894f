//! An engine in virtual time on a real database, hit at random steps from a seed: stopped dead between any two polls, its disk
//! full (SQLite), its database away (PostgreSQL: every connection cut, none to be had) or silent (they stand and carry nothing,
//! until they do or are cut), its clock put forward or back, its webhook answering 500 or not at all. No finding without its order, no order lost or doubled, each told of, and every rung of
//! the ladder on time.
//!
//! On time is within a second of its hour, or of the engine's return: rungs that came due meanwhile are all climbed at once
//! then. Late is late, and nobody is left out.
//!
//! The seed decides what is done and what hits it; the clock stands while a round goes on. Between which two statements the
//! engine stops is the machine's to say, as after a kill: a broken round may have climbed any part of what was due, and what it
//! climbed stands. So the verdict of a seed is the same on every machine.

use std::collections::BTreeMap;
use std::iter::successors;
use std::num::NonZero;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::available_parallelism;
use std::time::Duration;

use aftercall::channels::Channels;
use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules, escalate, notify, recover};
use aftercall::store::Store;
use aftercall::store::attempt::NewAttempt;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::{Disposition, Progress};
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
use crate::postgres::Postgres;
use crate::record::{ENGINE, at, calling, clinic, finding, finish, master_key};
use crate::relay::Relay;

/// Faults of a usual run; `make soak` has many times as many.
const FAULTS: u64 = 50;
/// Faults that one world lives through: its orders climb every five minutes for ever.
const OF_A_WORLD: u64 = 25;
/// Seed and count of the process that is hit.
const RUN: &str = "AFTERCALL_TEST_FAULTS";
/// How long a silent database is waited for here.
const PATIENCE: Duration = Duration::from_millis(300);
/// A write beyond the limit of a file's size.
const SIGXFSZ: i32 = 25;
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// From here on the last rung is told again and again.
const LAST: usize = 3;

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
enum Round {
    Whole,
    /// It may have climbed a part of what was due, or all.
    Broken,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    None,
    /// After so many polls.
    Stop(u64),
    /// For so many polls.
    Disk(u64),
    Away(Away),
}

/// No database, after so many polls and for so many.
#[derive(Clone, Copy, Debug)]
struct Away {
    before: u64,
    during: u64,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Cut,
    /// Nothing comes through; then what was held does.
    Silent,
    /// Nothing comes through; then every line breaks, and what was held arrives as its answers do not.
    SilentAndCut,
}

impl How {
    fn begin(self, relay: &Relay) {
        match self {
            How::Cut => relay.cut(),
            How::Silent | How::SilentAndCut => relay.hush(),
        }
    }

    fn end(self, relay: &Relay) {
        if self == How::SilentAndCut {
            relay.cut();
        }
        relay.speak();
        relay.join();
    }
}

/// Where a world's rows are.
enum Database {
    /// The file's folder.
    Sqlite(#[expect(dead_code, reason = "the folder lives as long")] tempfile::TempDir),
    Postgres(Relay),
}

impl Database {
    /// What it is that stands between a world and its rows for a while.
    fn relay(&self) -> Option<&Relay> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(relay) => Some(relay),
        }
    }
}

/// Does some work under a fault. `None`: its process died in it.
async fn under<T>(fault: Fault, database: &Database, work: impl Future<Output = T>) -> Option<T> {
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
        Fault::Away(away) => {
            let relay = database.relay().expect("only PostgreSQL goes away");
            let inner = Box::pin(work);
            let done = CutOff {
                inner,
                away,
                is_over: false,
                relay,
            }
            .await;
            // A commit whose answer was lost counts before anybody looks; so does one that was given up.
            relay.speak();
            relay.cut();
            relay.settled().await;
            relay.join();
            Some(done)
        }
    }
}

/// A future whose database is away for so many polls.
struct CutOff<'a, T> {
    inner: Pin<Box<dyn Future<Output = T> + 'a>>,
    away: Away,
    is_over: bool,
    relay: &'a Relay,
}

impl<T> Future for CutOff<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Away {
            before,
            during,
            how,
        } = self.away;
        match (before.checked_sub(1), during.checked_sub(1)) {
            (Some(left), _) => self.away.before = left,
            (None, Some(left)) => {
                self.away.during = left;
                how.begin(self.relay);
            }
            // Once: what came about since stands.
            (None, None) if !self.is_over => {
                self.is_over = true;
                how.end(self.relay);
            }
            (None, None) => {}
        }
        self.inner.as_mut().poll(context)
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
#[derive(Clone)]
struct Ladder {
    /// Of every rung, in hours and out of them.
    wait: SignedDuration,
    due: Timestamp,
    /// When the patient was told that a nurse would have called.
    promised: Option<Timestamp>,
    causes: usize,
    /// When each rung was climbed, from the first on.
    climbs: Vec<Timestamp>,
}

impl Ladder {
    fn begin(order: &WorkOrder) -> Self {
        let wait = match order.urgency {
            Urgency::Emergent => SignedDuration::from_mins(5),
            Urgency::SameDay => SignedDuration::from_hours(4),
            Urgency::Urgent | Urgency::Routine => panic!("nothing here is {}", order.urgency),
        };
        Self {
            wait,
            due: order.raised_at + wait,
            promised: (order.urgency == Urgency::Emergent)
                .then(|| order.raised_at + SignedDuration::from_mins(15)),
            causes: order.causes.len(),
            climbs: Vec::new(),
        }
    }

    /// News is not told later than it would be by itself, nor than what was promised.
    fn heard(&mut self, order: &WorkOrder, now: Timestamp) {
        if order.causes.len() > self.causes {
            self.causes = order.causes.len();
            let promised = self.promised.filter(|by| *by > now);
            self.due = self
                .due
                .min(now + self.wait)
                .min(promised.unwrap_or(self.due));
        }
    }

    fn level(&self) -> usize {
        self.climbs.len()
    }

    /// After the next climb, where one is due. The last rung begins afresh.
    fn climbed(&self, now: Timestamp) -> Option<Self> {
        if self.due > now {
            return None;
        }
        let mut after = self.clone();
        after.climbs.push(now);
        after.due += self.wait;
        if after.level() >= LAST && after.due <= now {
            after.due = now + self.wait;
        }
        Some(after)
    }

    fn is_of(&self, order: &WorkOrder) -> bool {
        (self.due, self.level() as u64) == (order.due_at, u64::from(order.level))
    }
}

struct Live {
    new: NewAttempt,
    told: Vec<PlacedFinding>,
}

struct World {
    url: String,
    store: Store,
    rules: Rules,
    peer: Peer,
    seed: u64,
    steps: u64,
    random: ChaCha8Rng,
    now: Timestamp,
    /// When the loops of the engine began to turn: a round a second from then.
    since: Timestamp,
    /// From when on nothing has kept the engine from a round.
    well_since: Timestamp,
    live: Vec<Live>,
    patients: u64,
    /// Findings of which the recorder said that they are on disk.
    stored: Vec<(AttemptId, u32)>,
    ladders: BTreeMap<WorkOrderId, Ladder>,
    faults: BTreeMap<&'static str, u64>,
    delivered: Vec<(String, Value)>,
    database: Database,
}

impl World {
    async fn new(seed: u64, postgres: &Postgres) -> Self {
        // Each of them to half of the seeds, whichever share of them a process has.
        let (database, url) = if seed.count_ones().is_multiple_of(2) {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite://{}/faults.db", folder.path().display());
            (Database::Sqlite(folder), url)
        } else {
            let (relay, url) = Relay::to(&postgres.database(&format!("seed{seed}")).await);
            (Database::Postgres(relay), url)
        };
        let store = Store::open(&url, &master_key())
            .await
            .expect("a new database");
        let (peer, address) = Peer::start().await;
        let bus = webhook(address, "\"work_order.*\"");
        let config = Config::parse("a.toml", &format!("channels = [{bus}]\n"));
        let config = config.expect("a good file");
        let now = at(10);
        let plain = Config::default();
        let mut rules = Rules::of(&plain, PlanClock::standing_at(now), clinic()).expect("lawful");
        let secret = |variable: &str| Some(format!("secret of {variable}"));
        rules.channels = Arc::new(Channels::with(&config, secret).expect("every secret"));
        rules.engine = ENGINE.to_owned();
        Self {
            url,
            store,
            rules,
            peer,
            seed,
            steps: 0,
            random: ChaCha8Rng::seed_from_u64(seed),
            now,
            since: now,
            well_since: now,
            live: Vec::new(),
            patients: 0,
            stored: Vec::new(),
            ladders: BTreeMap::new(),
            faults: BTreeMap::new(),
            delivered: Vec::new(),
            database,
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
            1 if self.database.relay().is_some() => {
                let how =
                    [How::Cut, How::Cut, How::Silent, How::SilentAndCut][self.pick(4) as usize];
                self.count(match how {
                    How::Cut => "database away",
                    How::Silent | How::SilentAndCut => "database silent",
                });
                Fault::Away(Away {
                    before: self.pick(60),
                    during: 1 + self.pick(4),
                    how,
                })
            }
            1 => {
                self.count("disk full");
                Fault::Disk(1 + self.pick(12))
            }
            _ => Fault::None,
        }
    }

    /// The store as what is hit has it: it waits for a silent database for a moment only.
    fn store_under(&self, fault: Fault) -> Store {
        let store = self.store.clone();
        match fault {
            Fault::Away(Away {
                how: How::Silent | How::SilentAndCut,
                ..
            }) => store.patient_for(PATIENCE),
            _ => store,
        }
    }

    fn set_clock(&mut self) {
        self.rules.clock = PlanClock::standing_at(self.now);
    }

    async fn go_on(&mut self) {
        // What an earlier step drew does not shift this one's.
        self.steps += 1;
        self.random = ChaCha8Rng::seed_from_u64(self.seed);
        self.random.set_stream(self.steps);
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
            let store = self.store_under(fault);
            let round = escalate::once(&store, &self.rules);
            let round = under(fault, &self.database, round).await;
            match round {
                Some(Ok(climbed)) => {
                    let stood = self.climbs();
                    self.look_at_ladders(Round::Whole).await;
                    assert_eq!(self.climbs() - stood, u64::from(climbed), "what it says");
                    return;
                }
                // Nothing was taken, or not all: the next round is a second later.
                Some(Err(error)) => {
                    assert!(error.may_pass(), "{error}");
                    self.look_at_ladders(Round::Broken).await;
                    self.well_since = self.now;
                    self.now += SECOND;
                }
                None => self.stop().await,
            }
        }
    }

    fn climbs(&self) -> u64 {
        let climbs = self.ladders.values().map(|ladder| ladder.level() as u64);
        climbs.sum()
    }

    /// Each rung whose hour has come was climbed at this instant, and on time, by what the test has reckoned alone.
    async fn look_at_ladders(&mut self, round: Round) {
        let now = self.now;
        for (id, ladder) in &mut self.ladders {
            let order = self.store.work_order(id).await.expect("it is kept");
            let latest = ladder.due.max(self.well_since) + SECOND;
            let path = successors(Some(ladder.clone()), |ladder| ladder.climbed(now));
            let path: Vec<Ladder> = path.collect();
            let allowed = match round {
                Round::Whole => &path[path.len() - 1..],
                Round::Broken => &path[..],
            };
            let found = allowed.iter().find(|ladder| ladder.is_of(&order));
            let Some(found) = found else {
                panic!(
                    "{id} at {now}: level {}, due at {}; level {} was due at {}",
                    order.level,
                    order.due_at,
                    ladder.level() + 1,
                    ladder.due
                );
            };
            let climbed = found.level() > ladder.level();
            assert!(
                !climbed || now <= latest,
                "{id}: climbed at {now}, not by {latest}"
            );
            *ladder = found.clone();
        }
    }

    /// The engine is dead for a while, and starts: it may be hit again as it does.
    async fn stop(&mut self) {
        self.live.clear();
        self.die().await;
        self.meet_orders().await;
        self.look_at_ladders(Round::Broken).await;
        loop {
            self.count("stopped");
            let longest = if self.pick(8) == 0 { 7_200 } else { 60 };
            let away = self.seconds(longest);
            self.now += away;
            self.set_clock();
            let fault = self.fault();
            let store = self.store_under(fault);
            let start = recover::at_start(&store, &self.rules);
            match under(fault, &self.database, start).await {
                Some(Ok(_)) => break,
                // It ends by itself, and is begun again.
                Some(Err(error)) => assert!(error.may_pass(), "{error}"),
                None => {}
            }
            self.die().await;
        }
        (self.since, self.well_since) = (self.now, self.now);
        self.now += SECOND;
        self.meet_orders().await;
    }

    /// What its connections had begun ends or is undone, as at the death of a process.
    async fn die(&mut self) {
        self.store.close().await;
        if let Some(relay) = self.database.relay() {
            relay.cut();
            relay.settled().await;
            relay.join();
        }
        let opened = Store::open(&self.url, &master_key()).await;
        self.store = opened.expect("it opens again");
    }

    async fn jump(&mut self) {
        self.count("clock");
        let (ahead, back) = (self.seconds(4 * 3_600), self.seconds(60));
        if self.pick(2) == 0 {
            self.now += ahead;
        } else {
            self.now -= back;
        }
        (self.since, self.well_since) = (self.now, self.now);
        self.escalate().await;
    }

    /// Rings a new patient, who says who they are.
    async fn ring(&mut self) {
        self.patients += 1;
        let (new, _) = calling(&self.store, &self.patients.to_string()).await;
        let (id, told) = (new.id.clone(), Vec::new());
        self.live.push(Live { new, told });
        let identified = Progress {
            identified: true,
            ..Progress::default()
        };
        self.tell(&id, Told::Progressed(identified)).await;
    }

    /// Tells the recorder; `false` where the engine died of it.
    async fn tell(&mut self, attempt: &AttemptId, what: Told) -> bool {
        self.set_clock();
        let fault = self.fault();
        // With the rules of the moment, as its loop has.
        let mut recorder = Recorder::new(self.store_under(fault), self.rules.clone());
        let report = Report {
            attempt: attempt.clone(),
            what,
        };
        let told = under(fault, &self.database, recorder.record(&report)).await;
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
        let store = self.store_under(fault);
        let round = notify::once(&store, &self.rules);
        match under(fault, &self.database, round).await {
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

    /// New orders begin their ladder when they were raised; what joins one joins it now.
    async fn meet_orders(&mut self) {
        for order in self.orders().await {
            let ladder = self.ladders.entry(order.id.clone());
            let ladder = ladder.or_insert_with(|| Ladder::begin(&order));
            ladder.heard(&order, self.now);
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
            let ended = row.attempt.ending.map(|ending| ending.disposition);
            if row.attempt.progress.identified && ended == Some(Disposition::Interrupted) {
                let id = &row.attempt.id;
                assert!(
                    orders
                        .iter()
                        .any(|order| order.attempt.as_ref() == Some(id)),
                    "{id} was broken off, and nobody goes on"
                );
            }
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
            let rungs = life.iter().filter(|row| row.what == What::Escalated);
            let climbed: Vec<(u32, Timestamp)> = rungs.map(|row| (row.level, row.at)).collect();
            let climbs = &self.ladders[&order.id].climbs;
            let every: Vec<(u32, Timestamp)> = (1..).zip(climbs.iter().copied()).collect();
            assert_eq!(climbed, every, "every rung, in order, once, at its time");
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
    let numbers: Vec<u64> = run
        .split(' ')
        .map(|n| n.parse().expect("a number"))
        .collect();
    let [first, apart, count] = numbers[..] else {
        panic!("{RUN} is seed, how far seeds are apart, and count");
    };
    // The signal's own answer is to end the process.
    let _held = signal(SignalKind::from_raw(SIGXFSZ)).expect("a handler");
    let postgres = Postgres::start();
    let (mut hits, mut climbs, mut findings, mut orders) = (0, 0, 0, 0);
    let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in (first..).step_by(usize::try_from(apart).expect("few")) {
        if hits >= count {
            break;
        }
        println!("seed {seed}");
        let mut world = World::new(seed, &postgres).await;
        while world.hits() < OF_A_WORLD {
            world.go_on().await;
        }
        world.check().await;
        for (kind, times) in &world.faults {
            *kinds.entry(*kind).or_default() += times;
        }
        hits += world.hits();
        climbs += world.climbs();
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
    let seed = std::env::var("AFTERCALL_SEED").map_or(0, |seed| seed.parse().expect("a number"));
    let processes = if times == 1 {
        1
    } else {
        available_parallelism().map_or(1, NonZero::get) as u64
    };
    let hit = |nth| {
        Command::new(std::env::current_exe().expect("this test has a file"))
            .args(["--exact", "faults::the_engine_that_is_hit", "--nocapture"])
            .env(
                RUN,
                format!("{} {processes} {}", seed + nth, FAULTS * times / processes),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("this test can be started again")
    };
    let hit: Vec<Child> = (0..processes).map(hit).collect();
    for child in hit {
        let done = child.wait_with_output().expect("a child of ours");
        let said = String::from_utf8_lossy(&done.stdout);
        let complaint = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}\n{complaint}");
        let figure = said.lines().find(|line| line.contains(" faults {"));
        println!("{}", figure.expect("what it lived through"));
    }
}
