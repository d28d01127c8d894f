//! Three engines on one database, each stopped dead at random instants of its dialling, recording and recovering: nobody
//! is rung beyond policy, and no step is lost. The clock of the plan is virtual, the database is real.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use aftercall::jobs::dial::{self, ToDial};
use aftercall::jobs::record::{Recorder, Report, Told};
use aftercall::jobs::{PlanClock, Rules, recover};
use aftercall::store::page::PageRequest;
use aftercall_core::attempt::{
    AnsweredBy, AttemptState, CallRecord, Disposition, Ending, Progress,
};
use aftercall_core::id::AttemptId;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::StepState;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::jobs::Ward;

/// Stops to live through; `make soak` has many times as many.
const STOPS: u64 = 150;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// No round of the loops needs more polls.
const POLLS: u64 = 250;

/// A future that its process dies in after so many polls: `None`.
pub(crate) struct Stopped<'a, T> {
    pub(crate) inner: Pin<Box<dyn Future<Output = T> + 'a>>,
    pub(crate) polls: u64,
}

impl<T> Future for Stopped<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        self.inner.as_mut().poll(context).map(Some)
    }
}

struct Engine {
    rules: Rules,
    recorder: Option<Recorder>,
    /// What it is ringing or talking to.
    live: Vec<ToDial>,
}

/// An INVITE that may have left.
struct Rung {
    attempt: AttemptId,
    at: Timestamp,
    step: String,
    recall: bool,
}

struct World {
    ward: Ward,
    random: ChaCha8Rng,
    now: Timestamp,
    engines: Vec<Engine>,
    rung: BTreeMap<PhoneNumber, Vec<Rung>>,
    stops: u64,
}

impl World {
    async fn new(seed: u64) -> Self {
        let ward = Ward::open(2).await;
        let now = ward.now();
        let engine = |name: &str| Engine {
            rules: Rules {
                engine: name.to_owned(),
                lease: SignedDuration::from_mins(10),
                ..ward.rules.clone()
            },
            recorder: None,
            live: Vec::new(),
        };
        Self {
            engines: NAMES.map(engine).into(),
            random: ChaCha8Rng::seed_from_u64(seed),
            now,
            rung: BTreeMap::new(),
            stops: 0,
            ward,
        }
    }

    fn pick(&mut self, below: u64) -> u64 {
        self.random.next_u64() % below
    }

    /// How many polls the next thing lives for: half of them live through it.
    fn polls(&mut self) -> u64 {
        if self.pick(2) == 0 {
            u64::MAX
        } else {
            self.pick(POLLS)
        }
    }

    async fn go_on(&mut self) {
        let minutes = if self.pick(40) == 0 { 300 } else { 4 };
        let seconds = i64::try_from(self.pick(minutes * 60)).expect("minutes");
        self.now += SignedDuration::from_secs(20 + seconds);
        for engine in &mut self.engines {
            engine.rules.clock = PlanClock::set_to(self.now);
        }
        let which = usize::try_from(self.pick(3)).expect("one of three");
        if self.engines[which].recorder.is_none() {
            self.start(which).await;
            return;
        }
        let until = self.now + self.engines[which].rules.lease;
        let store = self.ward.store.clone();
        let renewed = store.renew_leases(NAMES[which], until).await;
        renewed.expect("renewed");
        match self.pick(4) {
            0 => self.take_over(which).await,
            1 | 2 => self.dial(which).await,
            _ => self.end_one(which).await,
        }
    }

    async fn start(&mut self, which: usize) {
        let polls = self.polls();
        let engine = &mut self.engines[which];
        engine.live.clear();
        let started = Stopped {
            inner: Box::pin(recover::at_start(&self.ward.store, &engine.rules)),
            polls,
        };
        match started.await {
            Some(closed) => {
                closed.expect("closed what was live");
                let recorder = Recorder::new(self.ward.store.clone(), engine.rules.clone());
                engine.recorder = Some(recorder);
            }
            None => self.stops += 1,
        }
    }

    async fn take_over(&mut self, which: usize) {
        let polls = self.polls();
        let taken = Stopped {
            inner: Box::pin(recover::take_over(
                &self.ward.store,
                &self.engines[which].rules,
            )),
            polls,
        };
        match taken.await {
            Some(closed) => {
                closed.expect("closed what nobody drives");
            }
            None => self.stop(which),
        }
    }

    async fn dial(&mut self, which: usize) {
        let polls = self.polls();
        let mut lines = self.ward.lines.clone();
        let dialled = Stopped {
            inner: Box::pin(dial::once(
                &self.ward.store,
                &self.engines[which].rules,
                &mut lines,
                &self.ward.out,
            )),
            polls,
        };
        let outcome = dialled.await;
        // What was handed out may have rung, whatever came after.
        while let Ok(call) = self.ward.calls.try_recv() {
            self.check(&call).await;
            self.engines[which].live.push(call);
        }
        match outcome {
            Some(dialled) => {
                dialled.expect("a round");
            }
            None => self.stop(which),
        }
    }

    async fn end_one(&mut self, which: usize) {
        let Some(call) = self.engines[which].live.pop() else {
            return;
        };
        let dispositions = Disposition::ALL;
        let disposition = dispositions[usize::try_from(self.pick(18)).expect("one of them")];
        let polls = self.polls();
        let engine = &mut self.engines[which];
        let Some(recorder) = &mut engine.recorder else {
            return;
        };
        let report = Report {
            attempt: call.attempt,
            what: Told::Ended(Box::new(record(disposition))),
        };
        let told = Stopped {
            inner: Box::pin(recorder.record(&report)),
            polls,
        };
        if told.await.is_none() {
            self.stop(which);
        }
    }

    fn stop(&mut self, which: usize) {
        self.stops += 1;
        self.engines[which].recorder = None;
        self.engines[which].live.clear();
    }

    /// What the trunk refused, and the plan was told so, rang nowhere.
    async fn forget_what_never_rang(&mut self) {
        for rungs in self.rung.values_mut() {
            let mut kept = Vec::new();
            for rung in rungs.drain(..) {
                let row = self.ward.store.attempt(&rung.attempt).await;
                let ending = row.expect("its attempt is on disk").attempt.ending;
                if ending.is_none_or(|ending| ending.rang) {
                    kept.push(rung);
                }
            }
            *rungs = kept;
        }
    }

    /// Holds one INVITE against what rang before, by what the test has seen alone.
    async fn check(&mut self, call: &ToDial) {
        let row = self.ward.store.attempt(&call.attempt).await;
        let row = row.expect("its attempt is on disk before it leaves");
        assert_ne!(row.attempt.state, AttemptState::Ended);
        let zone = aftercall_core::time::zone(&call.patient.zone).expect("a known zone");
        let today = zone.to_datetime(self.now).date();
        let number = call.order.number.clone();
        let step = call.step.id.0.clone();
        let past = self.ward.store.past_attempts_of_step(&call.step.id).await;
        let past = past.expect("listed");
        let before = past.iter().rev().nth(1).and_then(|past| past.disposition);
        let recall = before == Some(Disposition::CutInEmergency);
        let by_wish = before == Some(Disposition::NotNow);
        self.forget_what_never_rang().await;
        let of_step = |rung: &&Rung| rung.step == step && !rung.recall;
        let steps = self.rung.values().flatten().filter(of_step).count();
        assert!(recall || steps < 4, "{step} is rung for the {steps}th time");
        let rung = self.rung.entry(number).or_default();
        let of_today = rung
            .iter()
            .filter(|rung| zone.to_datetime(rung.at).date() == today)
            .count();
        assert!(
            of_today < 3 + usize::from(recall || by_wish),
            "{of_today} rings today"
        );
        if let Some(last) = rung.last() {
            let gap = self.now.duration_since(last.at).as_secs();
            let least = if recall { 120 } else { 300 };
            assert!(gap >= least, "{step}: {gap} s after another INVITE");
        }
        rung.push(Rung {
            attempt: call.attempt.clone(),
            at: self.now,
            step,
            recall,
        });
    }
}

pub(crate) fn record(disposition: Disposition) -> CallRecord {
    let silent = disposition == Disposition::TrunkFailure;
    CallRecord {
        ending: Ending {
            disposition,
            sip_status: None,
            q850_cause: None,
            early_media: None,
            answered_by: AnsweredBy::Unsure,
            met: None,
            rang: !silent,
            talk_ms: 0,
        },
        progress: Progress::default(),
        turns: Vec::new(),
        findings: Vec::new(),
        suppressed: Vec::new(),
        notes: Vec::new(),
        line: None,
    }
}

#[tokio::test]
async fn three_engines_stopped_at_any_instant_ring_nobody_beyond_policy_and_lose_no_step() {
    let times = std::env::var("AFTERCALL_SOAK").ok();
    let times: u64 = times.map_or(1, |times| {
        times.parse().expect("AFTERCALL_SOAK is a number")
    });
    let (mut stops, mut invites) = (0, 0);
    for seed in 0..times {
        let mut world = World::new(seed).await;
        while world.stops < STOPS {
            world.go_on().await;
        }
        stops += world.stops;
        invites += world.rung.values().map(Vec::len).sum::<usize>();
        // Everybody comes back, one after the other.
        world.now += SignedDuration::from_hours(1);
        for engine in &mut world.engines {
            engine.rules.clock = PlanClock::set_to(world.now);
            let closed = recover::at_start(&world.ward.store, &engine.rules).await;
            closed.expect("closed what was live");
        }
        let live = world.ward.store.live_attempts().await.expect("listed");
        assert!(live.is_empty(), "seed {seed}: {} live", live.len());
        let mut page = PageRequest::default();
        loop {
            let steps = world.ward.store.steps(None, &page).await.expect("listed");
            for step in &steps.items {
                assert_ne!(
                    step.state,
                    StepState::Calling,
                    "seed {seed}: {} is lost",
                    step.id
                );
            }
            let Some(next) = steps.next else { break };
            page.after = Some(next);
        }
    }
    assert!(invites > 30, "{invites} INVITEs");
    println!("{stops} stops, {invites} INVITEs");
}
