//! Hands out calls: claims due steps by lease, no more than there are free lines, and dials what the plan allows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::id::{AttemptId, StepId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Episode, Patient};
use aftercall_core::plan::learn::{Reach, reach};
use aftercall_core::plan::{
    Breaker, CallerId, Capacity, DialOrder, NextStep, Pace, Reason, Shown, Step, caller_with_room,
    day_around,
};
use aftercall_core::script::Earlier;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Subject, cause_of_step};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::settle::{Loaded, change, earlier, raise};
use super::{Rules, RulesNow, next_round};
use crate::library::InForce;
use crate::store::attempt::{Begun, CallerMost, NewAttempt};
use crate::store::draft::Published;
use crate::store::{Store, StoreError, new_id};
use crate::trunk::pulse::Pulse;

/// One call to be made. Its attempt is on disk already: the driver must report its end, whatever happens.
#[derive(Clone, Debug)]
pub struct ToDial {
    pub attempt: AttemptId,
    pub order: DialOrder,
    /// What the callee sees.
    pub caller: String,
    pub step: Step,
    pub patient: Patient,
    pub episode: Episode,
    /// What need not be asked again.
    pub earlier: Option<Earlier>,
    /// Of the script that the attempt names.
    pub script_hash: String,
}

/// A script that may dial: its signature verified when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedScript {
    pub pathway: String,
    pub lang: Lang,
    pub hash: String,
}

/// What the dial loop dials with.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Name of the trunk.
    pub trunk: String,
    /// Calls at once.
    pub lines: u32,
    /// Calls a second.
    pub pace: Pace,
    /// At least one, in the order in which they are used up.
    pub callers: Vec<CallerId>,
    /// The hospital's: hours and daily caps are in it.
    pub zone: TimeZone,
    pub scripts: Vec<SignedScript>,
    /// Of which publications `scripts` was made.
    pub published: Published,
    /// False while those that talk are answered late: nobody else is called then.
    pub has_room: watch::Receiver<bool>,
    /// What the ears have shown that they can follow.
    pub capacity: Capacity,
    /// Of the media thread: telephones of people on call take lines too.
    pub pulse: Arc<Pulse>,
    /// Which hours reach people, as it was counted last; `None`: not yet.
    pub reach: Option<Reach>,
}

impl Lines {
    fn take(&mut self, in_force: &InForce) {
        if self.published != in_force.published {
            self.scripts = in_force.library.signed_scripts();
            self.published = in_force.published.clone();
        }
    }
}

/// How often due steps are looked for.
const ROUND: Duration = Duration::from_millis(500);
/// A step whose number is in another call, or whose script is missing, is looked at again after so long.
const LINE_TAKEN: SignedDuration = SignedDuration::from_mins(1);
const NO_SCRIPT: SignedDuration = SignedDuration::from_mins(15);
/// So many of the trunk's last calls say whether it works.
const ENDINGS: u32 = 16;
const NOT_DECIDED: SignedDuration = SignedDuration::from_mins(15);
/// Another engine was faster at the caller id.
const CALLER_USED: SignedDuration = SignedDuration::from_secs(5);
/// How often reach is counted anew, and from how many days of calls.
const COUNTED_EVERY: SignedDuration = SignedDuration::from_hours(1);
const COUNTED_FROM: SignedDuration = SignedDuration::from_hours(24 * 90);

/// Runs until shutdown or until nobody takes calls any more.
///
/// Call [`super::recover::at_start`] first: it closes what an earlier run left live.
pub async fn run(
    store: Store,
    rules_now: RulesNow,
    mut lines: Lines,
    in_force: watch::Receiver<Arc<InForce>>,
    calls: mpsc::Sender<ToDial>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut last = Last {
        renewed: Timestamp::MIN,
        counted: Timestamp::MIN,
    };
    loop {
        let rules = rules_now.get();
        lines.take(&in_force.borrow());
        if let Err(error) = round(&store, &rules, &mut lines, &calls, &mut last).await {
            error!(%error, "dialling paused: the database did not answer");
            free_leases(&store, &rules).await;
        }
        let wait = Duration::try_from(lines.pace.wait(rules.clock.now())).unwrap_or(ROUND);
        let wait = if wait.is_zero() {
            ROUND
        } else {
            wait.min(ROUND)
        };
        if calls.is_closed() || !next_round(wait, &mut shutdown).await {
            free_leases(&store, &rules).await;
            return;
        }
    }
}

/// Steps that were claimed and not decided: without this they would stay leased while the engine lives.
async fn free_leases(store: &Store, rules: &Rules) {
    if let Err(error) = store.answered(store.release_steps(&rules.engine)).await {
        warn!(%error, "leases not freed; they run out by themselves");
    }
}

/// When what is done now and then was done last.
struct Last {
    renewed: Timestamp,
    counted: Timestamp,
}

async fn round(
    store: &Store,
    rules: &Rules,
    lines: &mut Lines,
    calls: &mpsc::Sender<ToDial>,
    last: &mut Last,
) -> Result<(), StoreError> {
    let now = rules.clock.now();
    if now.duration_since(last.renewed) > rules.lease / 3 {
        let renewed = store.renew_leases(&rules.engine, rules.lease_until(now));
        store.answered(renewed).await?;
        last.renewed = now;
    }
    if now.duration_since(last.counted) > COUNTED_EVERY {
        let tried = store.tried_since(now - COUNTED_FROM);
        lines.reach = Some(reach(&store.answered(tried).await?));
        last.counted = now;
    }
    once(store, rules, lines, calls).await.map(|_| ())
}

/// One round: decides every due step until the lines are full, none is due or the trunk takes no further call in this
/// second; returns how many were dialled. Nobody is called while the ears are behind.
///
/// # Errors
/// When the database refuses; steps already claimed come back when their lease ends.
pub async fn once(
    store: &Store,
    rules: &Rules,
    lines: &mut Lines,
    calls: &mpsc::Sender<ToDial>,
) -> Result<u32, StoreError> {
    let live = store.answered(store.live_calls_of(&rules.engine)).await?;
    let now = rules.clock.now();
    if !*lines.has_room.borrow() {
        lines.capacity.behind(live, now);
        return Ok(0);
    }
    let room = lines.capacity.room(live, now);
    let taken = live.saturating_add(lines.pulse.second_lines());
    let mut free = lines.lines.saturating_sub(taken).min(room);
    let endings = store.endings_of_trunk(&lines.trunk, ENDINGS);
    let breaker = Breaker::of(&store.answered(endings).await?);
    if let Some(room) = breaker.room(live, rules.clock.now()) {
        free = free.min(room);
        if free > 0 {
            let failed = breaker.failed();
            warn!(
                trunk = lines.trunk,
                failed, "the trunk fails: one call to try it"
            );
        }
    }
    let mut dialled = 0;
    // Steps of this round that wait for a caller id.
    let mut waiting = 0;
    while free > 0 {
        let now = rules.clock.now();
        if !lines.pace.wait(now).is_zero() {
            break;
        }
        // What was published or taken back is read first: `InForce` follows within seconds.
        if store.answered(store.published()).await? != lines.published {
            info!("nobody is dialled until what was published is read");
            break;
        }
        let wanted = if lines.pace.is_limited() { 1 } else { free };
        let due = store.claim_due_steps(now, wanted, rules.lease_until(now), &rules.engine);
        let claimed = store.answered(due).await?;
        if claimed.is_empty() {
            break;
        }
        for step in claimed {
            let id = step.id.clone();
            match try_step(store, rules, lines, calls, step, &mut waiting).await {
                Ok(true) => {
                    free -= 1;
                    dialled += 1;
                    lines.pace.began(rules.clock.now());
                }
                Ok(false) => {}
                Err(error) if error.may_pass() => return Err(error),
                // One broken row must not stop the others.
                Err(error) => {
                    error!(step.id = %id, %error, "step not decided");
                    put_aside(store, rules, &id).await?;
                }
            }
        }
    }
    Ok(dialled)
}

/// A step whose rows cannot be read is looked at again later; it must not be claimed again at once, for ever.
async fn put_aside(store: &Store, rules: &Rules, id: &StepId) -> Result<(), StoreError> {
    let now = rules.clock.now();
    let next = NextStep::Wait {
        until: now + NOT_DECIDED,
        why: Reason::NotDecided,
    };
    match store
        .put_off_step(id, &rules.engine, &change(&next, now), (None, None), now)
        .await
    {
        Ok(_) | Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Decides one leased step; true when it was dialled.
async fn try_step(
    store: &Store,
    rules: &Rules,
    lines: &Lines,
    calls: &mpsc::Sender<ToDial>,
    step: Step,
    waiting: &mut usize,
) -> Result<bool, StoreError> {
    let now = rules.clock.now();
    let loaded = store.answered(Loaded::of(store, step, now)).await?;
    let next = loaded.decide(&rules.policy, now);
    let NextStep::DialNow(order) = next else {
        put_off(store, rules, &loaded, &next, now).await?;
        return Ok(false);
    };
    if let Some(until) = loaded.after_outage(rules, now) {
        let why = Reason::AfterOutage;
        put_off(store, rules, &loaded, &NextStep::Wait { until, why }, now).await?;
        return Ok(false);
    }
    let better = lines.reach.as_ref();
    if let Some(next) = better.and_then(|reach| loaded.better_hour(rules, reach, now)) {
        put_off(store, rules, &loaded, &next, now).await?;
        return Ok(false);
    }
    let script = lines
        .scripts
        .iter()
        .find(|script| script.pathway == loaded.step.script && script.lang == loaded.patient.lang);
    let Some(script) = script else {
        warn!(step.id = %loaded.step.id, script = %loaded.step.script, "no signed script");
        let why = Reason::NoScript {
            script: loaded.step.script.clone(),
            lang: loaded.patient.lang,
        };
        wait(store, rules, &loaded, NO_SCRIPT, why, now).await?;
        return Ok(false);
    };
    let callers = allowed(store, rules, lines, *waiting, now);
    let (caller, most) = match store.answered(callers).await? {
        Ok(caller) => caller,
        Err((until, why)) => {
            *waiting += 1;
            put_off(store, rules, &loaded, &NextStep::Wait { until, why }, now).await?;
            return Ok(false);
        }
    };
    let whom = (&loaded.step, &loaded.patient);
    let earlier = earlier(store, whom, &script.hash, now);
    let earlier = store.answered(earlier).await?;
    let attempt = NewAttempt {
        caller_most: most,
        ..new_attempt(rules, lines, &loaded, &order, script, &caller, now)
    };
    match store.answered(store.begin_attempt(&attempt)).await? {
        Begun::Dial => {}
        Begun::LeaseLost => return Ok(false),
        Begun::LineTaken => {
            let why = Reason::LiveOnNumber;
            wait(store, rules, &loaded, LINE_TAKEN, why, now).await?;
            return Ok(false);
        }
        Begun::CallerUsed => {
            let why = Reason::CallerIdsUsed;
            wait(store, rules, &loaded, CALLER_USED, why, now).await?;
            return Ok(false);
        }
        Begun::DoNotCall => {
            // Suppressed between decision and dialling: decide again, now knowing it.
            let again = Loaded::of(store, loaded.step, now).await?;
            let next = again.decide(&rules.policy, now);
            put_off(store, rules, &again, &next, now).await?;
            return Ok(false);
        }
    }
    info!(attempt.id = %attempt.id, step.id = %loaded.step.id, number = attempt.number, "dialling");
    let Loaded {
        step,
        patient,
        episode,
        ..
    } = loaded;
    let to_dial = ToDial {
        attempt: attempt.id,
        order,
        caller,
        step,
        patient,
        episode,
        earlier,
        script_hash: script.hash.clone(),
    };
    if calls.send(to_dial).await.is_err() {
        warn!("nobody takes calls any more; the attempt is closed at the next start");
    }
    Ok(true)
}

/// The caller id to show and how often it may have been shown; or why and until when there is none, for the step behind
/// `waiting` others.
async fn allowed(
    store: &Store,
    rules: &Rules,
    lines: &Lines,
    waiting: usize,
    now: Timestamp,
) -> Result<Result<(String, CallerMost), (Timestamp, Reason)>, StoreError> {
    let (today, tomorrow) = day_around(now, &lines.zone);
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for (caller, calls) in store.callers_shown(&lines.trunk, (today, tomorrow)).await? {
        shown.entry(caller).or_default().today = calls;
    }
    let hour = now - SignedDuration::from_hours(1);
    for (caller, times) in store.callers_shown_since(hour).await? {
        shown.entry(caller).or_default().last_hour = times;
    }
    let hourly = rules.policy.caller_caps();
    let found = caller_with_room(&lines.callers, &shown, &hourly, waiting, tomorrow);
    if let (Err((_, why)), 0) = (&found, waiting) {
        warn!(trunk = lines.trunk, why = %why.code(), "no caller id may be shown");
    }
    Ok(found.map(|caller| {
        let most = CallerMost {
            an_hour: hourly.iter().map(|cap| cap.calls).min(),
            since: caller.daily_cap.map(|cap| (today, cap)),
        };
        (caller.user.clone(), most)
    }))
}

fn new_attempt(
    rules: &Rules,
    lines: &Lines,
    loaded: &Loaded,
    order: &DialOrder,
    script: &SignedScript,
    caller: &str,
    now: Timestamp,
) -> NewAttempt {
    NewAttempt {
        inbound: false,
        id: AttemptId(new_id()),
        step: Some(loaded.step.id.clone()),
        episode: Some(loaded.episode.id.clone()),
        patient: Some(loaded.patient.id.clone()),
        phone: Some(order.number.clone()),
        number: order.attempt,
        engine: rules.engine.clone(),
        leased_until: rules.lease_until(now),
        trunk: lines.trunk.clone(),
        caller: caller.to_owned(),
        caller_most: CallerMost::default(),
        script: script.pathway.clone(),
        script_hash: script.hash.clone(),
        day: loaded.step.day,
        lang: script.lang,
        started_at: now,
    }
}

async fn wait(
    store: &Store,
    rules: &Rules,
    loaded: &Loaded,
    after: SignedDuration,
    why: Reason,
    now: Timestamp,
) -> Result<(), StoreError> {
    put_off(
        store,
        rules,
        loaded,
        &NextStep::Wait {
            until: now + after,
            why,
        },
        now,
    )
    .await
}

async fn put_off(
    store: &Store,
    rules: &Rules,
    loaded: &Loaded,
    next: &NextStep,
    now: Timestamp,
) -> Result<(), StoreError> {
    let cause = match next {
        NextStep::Finished(state, reason) => cause_of_step(*state, reason, loaded.is_in_time()),
        NextStep::DialNow(_) | NextStep::Wait { .. } => None,
    };
    let subject = Subject {
        patient: Some(loaded.patient.id.clone()),
        episode: Some(loaded.episode.id.clone()),
        attempt: None,
        high_risk: loaded.episode.high_risk,
    };
    let (letter, message) = loaded.in_writing(rules, next, now);
    let raise = raise(rules, subject, cause.into_iter().chain(letter).collect());
    let change = change(next, now);
    let reason = change.why.as_ref().map(Reason::code);
    info!(step.id = %loaded.step.id, state = %change.state, ?reason, "not dialled");
    match store
        .put_off_step(
            &loaded.step.id,
            &rules.engine,
            &change,
            (raise.as_ref(), message.as_ref()),
            now,
        )
        .await
    {
        Ok(_) => Ok(()),
        // Another engine took it over: its decision stands.
        Err(StoreError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
