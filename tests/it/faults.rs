//! Faults on a finding's way to a person: the engine dies at any step, the disk takes nothing, the database goes away, a
//! webhook refuses or says nothing, the clock jumps. No finding on disk is without its order, no order is lost or doubled,
//! every rung is climbed within a second of its time. The clock is virtual; databases, disk and HTTP are real.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aftercall::channels::Channels;
use aftercall::config::Config;
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, dial, escalate, notify, recover};
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall::store::{Store, StoreError};
use aftercall_core::attempt::{
    AnsweredBy, AttemptState, CallRecord, Disposition, Ending, Progress,
};
use aftercall_core::finding::{Confirmation, PlacedFinding, Polarity, Urgency};
use aftercall_core::id::AttemptId;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Act, Cause, Outcome, What, WorkOrder, WorkOrderState};
use jiff::SignedDuration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use tokio::task::JoinHandle;

use crate::channels::{Answer, Peer};
use crate::jobs::Ward;
use crate::postgres::Postgres;
use crate::record::finding;

/// Faults to live through on each database; `make soak` has many times as many.
const FAULTS: u64 = 120;
/// No step needs more polls.
const POLLS: u64 = 120;
/// A fault of disk or line lasts so many polls.
const LASTS: u64 = 12;
const RUNG: SignedDuration = SignedDuration::from_mins(5);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    None,
    /// `kill -9` before this poll.
    Crash,
    /// Every write to a file fails (SQLite).
    Disk,
    /// Every connection is cut (PostgreSQL).
    Away,
}

/// A future to which a fault happens at a poll: `None` when its process died.
struct Faulty<'a, T> {
    inner: Pin<Box<dyn Future<Output = T> + 'a>>,
    fault: Fault,
    at: u64,
    polls: u64,
    url: &'a str,
    cut: Option<JoinHandle<()>>,
}

impl<T> Future for Faulty<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let polls = self.polls;
        self.polls += 1;
        match self.fault {
            Fault::Crash if polls >= self.at => return Poll::Ready(None),
            Fault::Disk if polls == self.at => writes_fail(true),
            Fault::Disk if polls == self.at + LASTS => writes_fail(false),
            Fault::Away if polls == self.at => {
                self.cut = Some(tokio::spawn(cut_all(self.url.to_owned())));
            }
            Fault::None | Fault::Crash | Fault::Disk | Fault::Away => {}
        }
        self.inner.as_mut().poll(context).map(Some)
    }
}

/// No file takes a byte any more (EFBIG); the process ignores the signal that comes with it.
fn writes_fail(now: bool) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    let current = if now { Some(0) } else { maximum };
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).expect("ours to lower and raise");
}

async fn cut_all(url: String) {
    let mut connection = AnyConnection::connect(&url)
        .await
        .expect("the server lives");
    let cut = "select count(pg_terminate_backend(pid)) as cut from pg_stat_activity \
               where pid <> pg_backend_pid() and datname = current_database()";
    connection.fetch_one(cut).await.expect("the owner may");
    connection.close().await.expect("closed");
}

/// A call that goes on.
struct Live {
    attempt: AttemptId,
    /// What it has yet to tell, the next last.
    left: Vec<Told>,
}

struct World {
    ward: Ward,
    url: String,
    random: ChaCha8Rng,
    now: Timestamp,
    recorder: Option<Recorder>,
    live: Vec<Live>,
    /// What the engine was told is on disk.
    stored: Vec<(AttemptId, PlacedFinding)>,
    jumps: Vec<Timestamp>,
    peer: Peer,
    faults: BTreeMap<Fault, u64>,
    refused: u64,
    /// Climbs whose time was looked at.
    rungs: Cell<u64>,
}

impl World {
    async fn new(store: Store, url: String, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut ward = Ward::on(store, folder, 2).await;
        let (peer, address) = Peer::start().await;
        let text = format!(
            "channels = [{{ name = \"bus\", kind = \"webhook\", url = \"http://{address}/\", secret_env = \"KEY\", \
             events = [\"work_order.*\"], timeout_s = 1 }}]\n"
        );
        let config = Config::parse("a.toml", &text).expect("a good file");
        let channels = Channels::with(&config, |_| Some("secret".to_owned()));
        ward.rules.channels = Arc::new(channels.expect("every secret"));
        let now = ward.now();
        Self {
            ward,
            url,
            random: ChaCha8Rng::seed_from_u64(seed),
            now,
            recorder: None,
            live: Vec::new(),
            stored: Vec::new(),
            jumps: Vec::new(),
            peer,
            faults: BTreeMap::new(),
            refused: 0,
            rungs: Cell::new(0),
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    fn count(&self) -> u64 {
        self.faults.values().sum::<u64>() + self.refused
    }

    /// What happens to the next step, and at which poll: nothing to half of them.
    fn draw(&mut self) -> (Fault, u64) {
        let broken = if self.url.starts_with("sqlite") {
            Fault::Disk
        } else {
            Fault::Away
        };
        let fault = match self.pick(4) {
            0 | 1 => Fault::None,
            2 => Fault::Crash,
            _ => broken,
        };
        (fault, self.pick(POLLS))
    }

    fn set_clock(&mut self, now: Timestamp) {
        self.now = now;
        self.ward.rules.clock = PlanClock::set_to(now);
    }

    async fn go_on(&mut self) {
        if self.recorder.is_none() {
            self.restart().await;
            return;
        }
        match self.pick(12) {
            0 | 1 => self.dial().await,
            2..=6 => self.tell().await,
            7 => self.nurse().await,
            8 => self.jump(),
            _ => {
                let seconds = i64::try_from(self.pick(400)).expect("minutes");
                self.pass(SignedDuration::from_secs(seconds)).await;
            }
        }
        self.deliver().await;
    }

    async fn restart(&mut self) {
        self.live.clear();
        let drawn = self.draw();
        let (store, rules) = (self.ward.store.clone(), self.ward.rules.clone());
        let start = recover::at_start(&store, &rules);
        let started = suffer(start, drawn, &self.url, &mut self.faults).await;
        match started {
            Some(Ok(_)) => {
                let recorder = Recorder::new(store.clone(), rules.clone());
                self.recorder = Some(recorder.asking_again_after(Duration::from_millis(1)));
            }
            Some(Err(error)) => assert!(error.may_pass(), "{error}"),
            None => {}
        }
    }

    fn crash(&mut self) {
        self.recorder = None;
        self.live.clear();
    }

    async fn dial(&mut self) {
        let until = self.now + self.ward.rules.lease;
        let renewed = self.ward.store.renew_leases("main", until).await;
        renewed.or_else(passing).expect("renewed");
        let mut lines = self.ward.lines.clone();
        let ward = &self.ward;
        let dialled = dial::once(&ward.store, &ward.rules, &mut lines, &ward.out);
        dialled.await.or_else(passing).expect("a round");
        while let Ok(call) = self.ward.calls.try_recv() {
            let left = self.course();
            self.live.push(Live {
                attempt: call.attempt,
                left,
            });
        }
    }

    /// What a call tells, the first last: some red flags, of which one may be asked about once more.
    fn course(&mut self) -> Vec<Told> {
        let mut told = vec![
            Told::Ringing,
            Told::Answered,
            Told::Progressed(Progress {
                identified: true,
                ..Progress::default()
            }),
        ];
        let concepts = [
            ("chest_pain", Urgency::Emergent),
            ("dyspnea", Urgency::Emergent),
            ("fever", Urgency::Urgent),
            ("fall", Urgency::SameDay),
        ];
        let mut findings = Vec::new();
        for (concept, urgency) in concepts {
            if self.pick(3) > 0 {
                continue;
            }
            let position = u32::try_from(findings.len()).expect("four at most");
            let mut placed = finding(concept, urgency);
            placed.from_ms += u64::from(position) * 10_000;
            placed.to_ms += u64::from(position) * 10_000;
            if self.pick(3) == 0 {
                told.push(found(position, &placed));
                let (confirmation, polarity) = match self.pick(2) {
                    0 => (Confirmation::Confirmed, Polarity::Present),
                    _ => (Confirmation::Unclear, Polarity::Uncertain),
                };
                placed.finding.confirmation = confirmation;
                placed.finding.polarity = polarity;
            } else {
                placed.finding.confirmation = Confirmation::NotNeeded;
            }
            told.push(found(position, &placed));
            findings.push(placed);
        }
        told.push(Told::Ended(Box::new(record(findings))));
        told.reverse();
        told
    }

    async fn tell(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let which = usize::try_from(self.pick(self.live.len() as u64)).expect("a few");
        let attempt = self.live[which].attempt.clone();
        let Some(what) = self.live[which].left.pop() else {
            self.live.remove(which);
            return;
        };
        let report = Report {
            attempt: attempt.clone(),
            what,
        };
        let drawn = self.draw();
        let Some(mut recorder) = self.recorder.take() else {
            return;
        };
        let step = recorder.record(&report);
        let told = suffer(step, drawn, &self.url, &mut self.faults).await;
        let Some(saved) = told else {
            self.crash();
            return;
        };
        self.recorder = Some(recorder);
        match &report.what {
            Told::Found { placed, .. } => {
                assert!(saved, "a finding was refused for good");
                self.stored.push((attempt, (**placed).clone()));
            }
            // A commit whose answer was lost is told again, and found done.
            Told::Ended(_) if !saved => {
                let row = self.ward.store.attempt(&attempt).await.expect("its row");
                assert_eq!(row.attempt.state, AttemptState::Ended);
            }
            _ => assert!(saved, "{:?}", report.what),
        }
    }

    /// Time goes on, and the ladder's loop looks within a second of what is due.
    async fn pass(&mut self, time: SignedDuration) {
        let until = self.now + time;
        loop {
            let orders = self.open_orders().await;
            let due = orders.iter().map(|order| order.due_at).min();
            let Some(due) = due.filter(|due| *due <= until) else {
                break;
            };
            let late = i64::try_from(self.pick(800)).expect("milliseconds");
            let look = due.max(self.now) + SignedDuration::from_millis(late);
            self.set_clock(look);
            self.climb().await;
        }
        if until > self.now {
            self.set_clock(until);
        }
    }

    /// One round of the ladder, again until nothing is due: the second in which it dies is the one in which it is back.
    async fn climb(&mut self) {
        loop {
            let drawn = self.draw();
            // Real time is not the world's.
            self.set_clock(self.now);
            let (store, rules) = (self.ward.store.clone(), self.ward.rules.clone());
            let step = escalate::once(&store, &rules);
            let climbed = suffer(step, drawn, &self.url, &mut self.faults).await;
            match climbed {
                Some(Ok(0)) => return,
                Some(Ok(_)) => {}
                Some(Err(error)) => assert!(error.may_pass(), "{error}"),
                None => {
                    self.crash();
                    while self.recorder.is_none() {
                        self.restart().await;
                    }
                }
            }
        }
    }

    async fn deliver(&mut self) {
        match self.pick(12) {
            0..=2 => {
                self.refused += 1;
                self.peer.answer([Answer::Status(500)]);
            }
            // A second of real time each.
            3 if self.pick(20) == 0 => {
                self.refused += 1;
                self.peer.answer([Answer::Never]);
            }
            _ => {}
        }
        let drawn = self.draw();
        let (store, rules) = (self.ward.store.clone(), self.ward.rules.clone());
        let step = notify::once(&store, &rules);
        let done = suffer(step, drawn, &self.url, &mut self.faults).await;
        match done {
            Some(Ok(_)) => {}
            Some(Err(error)) => assert!(error.may_pass(), "{error}"),
            None => self.crash(),
        }
    }

    /// Somebody takes an order, speaks with the patient and closes it, as far as she gets.
    async fn nurse(&mut self) {
        let orders = self.open_orders().await;
        if orders.is_empty() {
            return;
        }
        let which = usize::try_from(self.pick(orders.len() as u64)).expect("a few");
        let acts = [
            Act::Acknowledge,
            Act::Speak,
            Act::Close {
                outcome: Outcome::True,
            },
        ];
        let steps = usize::try_from(1 + self.pick(3)).expect("three at most");
        for act in acts.iter().take(steps) {
            let (store, deadlines) = (&self.ward.store, &self.ward.rules.deadlines);
            let acted = store
                .act_on_work_order(&orders[which].id, act, "li.na", "", deadlines, self.now)
                .await;
            match acted {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => assert!(error.may_pass(), "{error}"),
            }
        }
    }

    /// The clock is set: an hour ahead, or some minutes back.
    fn jump(&mut self) {
        let jump = match self.pick(6) {
            0 => SignedDuration::from_hours(1),
            1 => -SignedDuration::from_mins(7),
            _ => return,
        };
        self.jumps.push(self.now);
        self.set_clock(self.now + jump);
        self.jumps.push(self.now);
        self.refused += 1;
    }

    async fn open_orders(&mut self) -> Vec<WorkOrder> {
        loop {
            match self.orders(None).await {
                Ok(orders) => return orders,
                Err(error) => assert!(error.may_pass(), "{error}"),
            }
        }
    }

    async fn orders(&self, state: Option<WorkOrderState>) -> Result<Vec<WorkOrder>, StoreError> {
        let filter = WorkOrderFilter {
            state,
            ..WorkOrderFilter::default()
        };
        let all = PageRequest {
            limit: 200,
            after: None,
        };
        Ok(self.ward.store.work_orders(&filter, &all).await?.items)
    }

    /// The faults are over: everything that was told comes to rest, and is held against what the test has seen.
    async fn check(&mut self, seed: u64) {
        self.recorder = None;
        while self.recorder.is_none() {
            self.restart().await;
        }
        self.peer.forget();
        let store = self.ward.store.clone();
        // Longer than the longest pause between two tries.
        for _ in 0..40 {
            self.set_clock(self.now + SignedDuration::from_mins(61));
            while notify::once(&store, &self.ward.rules)
                .await
                .or_else(passing)
                .expect("delivered")
                > 0
            {}
        }
        let open = self.orders(None).await.expect("listed");
        let closed = self
            .orders(Some(WorkOrderState::Closed))
            .await
            .expect("listed");
        let orders: Vec<WorkOrder> = open.into_iter().chain(closed).collect();
        self.no_finding_without_its_order(seed, &orders).await;
        no_order_twice(seed, &orders);
        for order in &orders {
            self.every_rung_on_time(seed, order).await;
        }
        self.every_change_told(seed).await;
    }

    async fn no_finding_without_its_order(&self, seed: u64, orders: &[WorkOrder]) {
        let store = &self.ward.store;
        let mut attempts = BTreeSet::new();
        for (attempt, placed) in &self.stored {
            let kept = store.findings(attempt).await.expect("listed");
            let same = |kept: &PlacedFinding| {
                kept.finding.concept == placed.finding.concept && kept.from_ms == placed.from_ms
            };
            assert!(kept.iter().any(same), "seed {seed}: {placed:?} is lost");
            attempts.insert(attempt.clone());
        }
        for attempt in attempts {
            let row = store.attempt(&attempt).await.expect("its row");
            assert_eq!(row.attempt.state, AttemptState::Ended, "seed {seed}");
            for placed in store.findings(&attempt).await.expect("listed") {
                let is_its = |cause: &Cause| match cause {
                    Cause::Finding {
                        finding,
                        attempt: Some(of),
                    } => *of == attempt && finding.finding.concept == placed.finding.concept,
                    _ => false,
                };
                let raised = orders
                    .iter()
                    .flat_map(|order| &order.causes)
                    .filter(|cause| is_its(cause));
                assert_eq!(raised.count(), 1, "seed {seed}: one cause of {placed:?}");
            }
        }
    }

    /// Emergent orders that nobody touched climb every five minutes, the first time five minutes after they were raised.
    async fn every_rung_on_time(&self, seed: u64, order: &WorkOrder) {
        let events = self
            .ward
            .store
            .work_order_events(&order.id)
            .await
            .expect("listed");
        let rose = events.iter().any(|event| event.what == What::UrgencyRaised);
        if order.urgency != Urgency::Emergent || rose {
            return;
        }
        let raised = order.raised_at;
        for pair in events.windows(2) {
            let [before, after] = pair else { continue };
            let climbs = matches!(before.what, What::Raised | What::Escalated)
                && after.what == What::Escalated;
            // Under a clock that was set since, its times say nothing.
            let (from, to) = (raised.min(after.at), raised.max(after.at));
            let was_set = self.jumps.iter().any(|at| (from..=to).contains(at));
            if !climbs || was_set {
                continue;
            }
            self.rungs.set(self.rungs.get() + 1);
            assert_eq!(
                after.level,
                before.level + 1,
                "seed {seed}: no rung is left out"
            );
            let wait = after.at.duration_since(before.at);
            let off = (wait - RUNG).abs();
            assert!(off <= SECOND, "seed {seed}: {wait:?} between two rungs");
        }
    }

    /// Each change of an order is one event (of a join that made it more urgent one), each event one delivery, each delivery taken under its own key.
    async fn every_change_told(&self, seed: u64) {
        let mut connection = AnyConnection::connect(&self.url).await.expect("it opens");
        let count = async |connection: &mut AnyConnection, sql: &'static str| -> i64 {
            let row = connection.fetch_one(sql).await.expect("a count");
            row.get("rows")
        };
        let changes = count(
            &mut connection,
            "select count(*) as rows from work_order_event e where what <> 'assigned' and not (what = 'joined' and \
             exists (select 1 from work_order_event n where n.work_order_id = e.work_order_id and \
             n.position = e.position + 1 and n.what = 'urgency_raised' and n.at_ms = e.at_ms))",
        );
        let changes = changes.await;
        let events = count(
            &mut connection,
            "select count(*) as rows from outbox where channel is null and event like 'work_order.%'",
        );
        assert_eq!(events.await, changes, "seed {seed}: a row a change");
        let waiting = count(
            &mut connection,
            "select count(*) as rows from outbox where delivered_at_ms is null and died_at_ms is null \
             and event like 'work_order.%'",
        );
        assert_eq!(waiting.await, 0, "seed {seed}: nothing waits");
        let sent = "select id from outbox where channel = 'bus' and died_at_ms is null";
        let rows = connection.fetch_all(sent).await.expect("listed");
        let keys = self.peer.keys();
        for row in &rows {
            let id: String = row.get("id");
            assert!(keys.contains(&id), "seed {seed}: {id} was delivered");
        }
        let given_up = count(
            &mut connection,
            "select count(*) as rows from outbox where channel = 'bus' and died_at_ms is not null",
        );
        assert_eq!(
            i64::try_from(rows.len()).expect("some") + given_up.await,
            changes,
            "seed {seed}: one delivery a change"
        );
        connection.close().await.expect("closed");
    }
}

fn no_order_twice(seed: u64, orders: &[WorkOrder]) {
    let mut open = BTreeSet::new();
    for order in orders {
        if order.state != WorkOrderState::Closed
            && let Some(episode) = &order.episode
        {
            assert!(
                open.insert(episode.clone()),
                "seed {seed}: two orders of {episode}"
            );
        }
    }
}

/// Takes a step to which a fault may happen. One that the step did not live to see is none; what is still broken when the step
/// has ended is mended.
async fn suffer<T>(
    inner: impl Future<Output = T>,
    (fault, at): (Fault, u64),
    url: &str,
    faults: &mut BTreeMap<Fault, u64>,
) -> Option<T> {
    let mut step = Faulty {
        inner: Box::pin(inner),
        fault,
        at,
        polls: 0,
        url,
        cut: None,
    };
    let done = (&mut step).await;
    if fault != Fault::None && step.polls > at {
        *faults.entry(fault).or_default() += 1;
    }
    if let Some(cut) = step.cut.take() {
        cut.await.expect("the server lives");
    }
    if fault == Fault::Disk {
        writes_fail(false);
    }
    done
}

fn passing<T: Default>(error: StoreError) -> Result<T, StoreError> {
    if error.may_pass() {
        Ok(T::default())
    } else {
        Err(error)
    }
}

fn found(position: u32, placed: &PlacedFinding) -> Told {
    Told::Found {
        position,
        placed: Box::new(placed.clone()),
    }
}

fn record(findings: Vec<PlacedFinding>) -> CallRecord {
    CallRecord {
        ending: Ending {
            disposition: Disposition::Completed,
            sip_status: None,
            q850_cause: None,
            early_media: None,
            answered_by: AnsweredBy::Human,
            met: None,
            rang: true,
            talk_ms: 60_000,
        },
        progress: Progress {
            identified: true,
            screened: true,
            ..Progress::default()
        },
        turns: Vec::new(),
        findings,
        suppressed: Vec::new(),
        notes: Vec::new(),
        line: None,
    }
}

async fn live_through(url: String, seed: u64) -> BTreeMap<Fault, u64> {
    let store = Store::open(&url).await.expect("a new database");
    let mut world = World::new(store, url, seed).await;
    while world.count() < FAULTS {
        world.go_on().await;
    }
    world.check(seed).await;
    world.ward.store.close().await;
    let (outside, rungs) = (world.refused, world.rungs.get());
    assert!(rungs > 0, "seed {seed}: {rungs} rungs");
    let mut faults = world.faults;
    faults.insert(Fault::None, outside);
    assert!(
        !world.stored.is_empty(),
        "seed {seed}: {} findings",
        world.stored.len()
    );
    faults
}

fn worlds() -> u64 {
    let worlds = std::env::var("AFTERCALL_SOAK").ok();
    worlds.map_or(1, |worlds| {
        worlds.parse().expect("AFTERCALL_SOAK is a number")
    })
}

fn tell(database: &str, all: &[BTreeMap<Fault, u64>]) {
    let of = |fault: Fault| -> u64 { all.iter().filter_map(|one| one.get(&fault)).sum() };
    println!(
        "{database}: {} crashes, {} of the disk, {} of the line, {} of webhooks and clock",
        of(Fault::Crash),
        of(Fault::Disk),
        of(Fault::Away),
        of(Fault::None)
    );
}

/// In a process of its own, which a shell makes ignore SIGXFSZ: a limit of file sizes is the whole process's.
#[test]
fn no_order_is_lost_doubled_or_late_on_a_disk_that_fails() {
    const INSIDE: &str = "AFTERCALL_FAULTS_INSIDE";
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().expect("a test has its program");
        let name = "faults::no_order_is_lost_doubled_or_late_on_a_disk_that_fails";
        let done = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(this)
            .args(["--exact", name, "--nocapture"])
            .env(INSIDE, "1")
            .status();
        assert!(done.expect("a shell").success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut all = Vec::new();
        for seed in 0..worlds() {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let url = format!("sqlite://{}/a.db", folder.path().display());
            all.push(live_through(url, seed).await);
        }
        tell("SQLite", &all);
    });
}

#[tokio::test]
async fn no_order_is_lost_doubled_or_late_on_a_database_that_goes_away() {
    let server = Postgres::start();
    let mut all = Vec::new();
    for seed in 0..worlds() {
        let url = server.database(&format!("world{seed}")).await;
        all.push(live_through(url, 1_000 + seed).await);
    }
    tell("PostgreSQL", &all);
}
