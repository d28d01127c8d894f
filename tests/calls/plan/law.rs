//! Random patients, hours, outcomes and clocks, held against a slow checker that shares no code with the plan.
//!
//! The checker knows the raw windows and caps, and asks jiff alone what the local time is.

use std::time::Duration;

use aftercall_core::attempt::Disposition;
use aftercall_core::plan::{
    Cadence, CallingPolicy, Caps, NextStep, PastAttempt, PlanInput, Step, StepState, Window,
    enroll, next_step,
};
use aftercall_core::time::{self, Timestamp};
use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{episode, patient};
use crate::support::rounds;

const ZONES: [&str; 20] = [
    "Asia/Shanghai",
    "Asia/Urumqi",
    "Asia/Singapore",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Europe/London",
    "Europe/Berlin",
    "Africa/Casablanca",
    "Africa/Cairo",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Phoenix",
    "America/Santiago",
    "America/Scoresbysund",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Apia",
];

const OUTCOMES: [Disposition; 18] = [
    Disposition::Completed,
    Disposition::Partial,
    Disposition::Unidentified,
    Disposition::WrongParty,
    Disposition::NotNow,
    Disposition::AskedForPerson,
    Disposition::OptedOut,
    Disposition::ReportedDeath,
    Disposition::ReportedReadmission,
    Disposition::Machine,
    Disposition::NoAnswer,
    Disposition::Busy,
    Disposition::Declined,
    Disposition::InvalidNumber,
    Disposition::Unreachable,
    Disposition::TrunkFailure,
    Disposition::Interrupted,
    Disposition::CutInEmergency,
];

/// Patients tried; every one lives through all her steps.
const PATIENTS: u64 = 3000;

#[test]
fn no_dial_is_ever_outside_what_a_plain_checker_allows() {
    let mut dials = 0;
    for seed in 0..rounds(PATIENTS) {
        dials += World::new(seed).live();
    }
    assert!(dials > PATIENTS, "the worlds did dial: {dials}");
}

/// The policy as the checker reads it.
struct Plain {
    windows: Vec<Window>,
    rest: Option<(Time, Time)>,
    caps: Caps,
}

struct World {
    seed: u64,
    random: ChaCha8Rng,
    zone_name: &'static str,
    zone: TimeZone,
    plain: Plain,
    policy: CallingPolicy,
    number: Vec<PastAttempt>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let zone_name = ZONES[pick(&mut random, ZONES.len() as u64) as usize];
        let plain = loop {
            let plain = Plain::random(&mut random);
            if CallingPolicy::new(&plain.windows, plain.rest, plain.caps).is_ok() {
                break plain;
            }
        };
        let policy = CallingPolicy::new(&plain.windows, plain.rest, plain.caps).expect("as above");
        let zone = time::zone(zone_name).expect("a known zone");
        Self {
            seed,
            random,
            zone_name,
            zone,
            plain,
            policy,
            number: Vec::new(),
        }
    }

    /// One patient's steps, one after the other; returns how often she was rung.
    fn live(mut self) -> u64 {
        let patient = patient(self.zone_name);
        // 2024-01-01 and six years on, to the second.
        let discharged = 1_704_067_200 + pick(&mut self.random, 6 * 365 * 86_400) as i64;
        let discharged = Timestamp::from_second(discharged).expect("within range");
        let episode = episode(discharged);
        let steps = enroll(&patient, &episode, &Cadence::default());
        steps
            .into_iter()
            .map(|step| self.follow(&patient, &episode, step))
            .sum()
    }

    fn follow(
        &mut self,
        patient: &aftercall_core::patient::Patient,
        episode: &aftercall_core::patient::Episode,
        step: Step,
    ) -> u64 {
        let mut now = episode
            .discharged_at
            .max(step.next_at - SignedDuration::from_hours(30));
        let mut attempts: Vec<PastAttempt> = Vec::new();
        let mut dials = 0;
        for _ in 0..500 {
            let input = PlanInput {
                step: &step,
                patient,
                episode,
                attempts: &attempts,
                number_attempts: &self.number,
                suppressed: false,
                live_on_number: false,
                policy: &self.policy,
            };
            match next_step(&input, now) {
                NextStep::DialNow(order) => {
                    self.plain
                        .check(self.seed, &self.zone, &step, &attempts, &self.number, now);
                    assert_eq!(order.attempt as usize, attempts.len() + 1);
                    let past = self.call(now);
                    now = past.ended_at.expect("it ended");
                    attempts.push(past.clone());
                    self.number.push(past);
                    dials += 1;
                }
                NextStep::Wait { until, why } => {
                    assert!(
                        until > now,
                        "seed {}: waits into the past: {why}",
                        self.seed
                    );
                    assert!(!why.words.is_empty());
                    assert!(
                        matches!(next_step(&input, until), NextStep::DialNow(_)),
                        "seed {}: {} in {}: `until` {until} does not dial: {why}",
                        self.seed,
                        now,
                        self.zone_name
                    );
                    now = self.wake(now, until);
                }
                NextStep::Finished(state, why) => {
                    assert!(state.is_closed() && !why.words.is_empty());
                    let attempted = attempts.iter().any(|past| past.rang);
                    assert!(
                        state != StepState::Unreached || attempted,
                        "seed {}: {why}",
                        self.seed
                    );
                    return dials;
                }
            }
        }
        panic!("seed {}: a step never ended", self.seed);
    }

    /// The engine mostly wakes when told; sometimes early, and sometimes late after an outage.
    fn wake(&mut self, now: Timestamp, until: Timestamp) -> Timestamp {
        let wait = until.duration_since(now).as_secs().unsigned_abs();
        match pick(&mut self.random, 10) {
            0 => now + SignedDuration::from_secs(pick(&mut self.random, wait.max(1)) as i64 + 1),
            1 => until + SignedDuration::from_secs(pick(&mut self.random, 40_000) as i64),
            _ => until,
        }
    }

    fn call(&mut self, now: Timestamp) -> PastAttempt {
        // Mostly outcomes after which it is rung again, or nothing would be tried.
        let disposition = match pick(&mut self.random, 4) {
            0 => OUTCOMES[pick(&mut self.random, OUTCOMES.len() as u64) as usize],
            1 => Disposition::Busy,
            2 => Disposition::TrunkFailure,
            _ => Disposition::NoAnswer,
        };
        let lasts = SignedDuration::from_secs(pick(&mut self.random, 400) as i64);
        let asks = pick(&mut self.random, 2) == 0;
        let rang = disposition != Disposition::TrunkFailure || pick(&mut self.random, 3) == 0;
        let asked = SignedDuration::from_secs(pick(&mut self.random, 100_000) as i64);
        PastAttempt {
            started_at: now,
            ended_at: Some(now + lasts),
            rang,
            disposition: Some(disposition),
            early_media: None,
            asked_for: (disposition == Disposition::NotNow && asks).then(|| now + asked),
        }
    }
}

impl Plain {
    fn random(random: &mut ChaCha8Rng) -> Self {
        let days: Vec<Weekday> = Weekday::Monday.cycle_forward().take(7).collect();
        let mut windows = Vec::new();
        for _ in 0..=pick(random, 3) {
            let from = 8 * 60 + pick(random, 11 * 60);
            let to = from + 15 + pick(random, 6 * 60);
            let mut some: Vec<Weekday> = days.clone();
            some.retain(|_| pick(random, 4) > 0);
            windows.push(Window {
                days: some,
                from: clock(from),
                to: clock(to.min(21 * 60)),
            });
        }
        let rest =
            (pick(random, 3) > 0).then(|| (clock(12 * 60), clock(13 * 60 + pick(random, 90))));
        let caps = Caps {
            per_day: 1 + pick(random, 3) as u32,
            per_24h: 1 + pick(random, 5) as u32,
            min_gap: Duration::from_secs(60 * (5 + pick(random, 120))),
            max_attempts: 1 + pick(random, 10) as u32,
        };
        Self {
            windows,
            rest,
            caps,
        }
    }

    fn check(
        &self,
        seed: u64,
        zone: &TimeZone,
        step: &Step,
        attempts: &[PastAttempt],
        number: &[PastAttempt],
        now: Timestamp,
    ) {
        let local = now.to_zoned(zone.clone());
        let (day, clock) = (local.date(), local.time());
        let at = format!("seed {seed}: dialled at {local}");
        assert!((8..21).contains(&clock.hour()), "{at}: outside the law");
        let open = self.windows.iter().any(|window| {
            window.days.contains(&day.weekday()) && window.from <= clock && clock < window.to
        });
        assert!(open, "{at}: in no window");
        assert!(
            self.rest
                .is_none_or(|(from, to)| clock < from || clock >= to),
            "{at}: noon rest"
        );
        assert!(
            day >= step.due_on && day < step.lapses_on,
            "{at}: not its days"
        );
        let rung: Vec<&PastAttempt> = number.iter().filter(|past| past.rang).collect();
        let day_of = |past: &PastAttempt| past.started_at.to_zoned(zone.clone()).date();
        let today = rung.iter().filter(|past| day_of(past) == day).count();
        assert!(
            today < self.caps.per_day as usize && today < 3,
            "{at}: {today} rings today"
        );
        let recent = rung
            .iter()
            .filter(|past| now.as_second() - past.started_at.as_second() < 86_400)
            .count();
        assert!(
            recent < self.caps.per_24h as usize && recent < 5,
            "{at}: {recent} rings in 24 h"
        );
        for past in &rung {
            let gap = now.as_second() - past.ended_at.expect("it ended").as_second();
            // The emergency's one re-call comes soon.
            let least = match past.disposition {
                Some(Disposition::CutInEmergency) => 120,
                _ => self.caps.min_gap.as_secs() as i64,
            };
            assert!(gap + 1 >= least, "{at}: {gap} s after another");
        }
        let used = attempts.iter().filter(|past| past.rang).count();
        assert!(
            used < self.caps.max_attempts as usize,
            "{at}: {used} attempts used"
        );
        let over = attempts
            .iter()
            .filter_map(|past| past.disposition)
            .any(Disposition::is_final);
        assert!(!over, "{at}: the step was settled");
    }
}

fn clock(minutes: u64) -> Time {
    Time::constant((minutes / 60) as i8, (minutes % 60) as i8, 0, 0)
}

fn pick(random: &mut ChaCha8Rng, below: u64) -> u64 {
    random.next_u64() % below
}
