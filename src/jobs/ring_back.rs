//! Somebody rings: who it may be, by the number alone, and what they are told. The attempt's row is on disk before the
//! call is answered, as that of every call.

use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::{Episode, Life, Patient};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{
    NextStep, Step, StepState, expects_calls, may_ring_back, step_to_resume,
};
use aftercall_core::script::{Earlier, RingBack};
use aftercall_core::time::{self, Timestamp};
use jiff::tz::TimeZone;
use tracing::info;

use super::Rules;
use super::dial::SignedScript;
use super::settle::{Loaded, earlier};
use crate::store::attempt::{Begun, CallerMost, NewAttempt};
use crate::store::{Store, StoreError};

/// What calls are answered with.
#[derive(Clone, Debug)]
pub struct Desk {
    /// Name of the trunk.
    pub trunk: String,
    pub scripts: Vec<SignedScript>,
}

/// How a call is answered. Its attempt is on disk: the driver must report its end.
#[derive(Clone, Debug)]
pub struct Taken {
    pub kind: RingBack,
    pub script: SignedScript,
    pub known: Option<Known>,
}

/// Whose number rang: the patient's, or a contact's who may speak for her. Who it is, only the call finds out.
#[derive(Clone, Debug)]
pub struct Known {
    pub number: PhoneNumber,
    pub patient: Patient,
    pub episode: Episode,
    /// The step that the call is for; with none, the last one of the plan.
    pub step: Step,
    pub resumes: bool,
    /// What need not be asked again.
    pub earlier: Option<Earlier>,
}

/// Decides how a call is answered and writes its row; `None`: it cannot be taken now.
///
/// # Errors
/// When the database refuses.
pub async fn take(
    store: &Store,
    rules: &Rules,
    desk: &Desk,
    attempt: &AttemptId,
    numbers: &[PhoneNumber],
) -> Result<Option<Taken>, StoreError> {
    let now = rules.clock.now();
    let known = known(store, rules, numbers, now).await?;
    let rota = store.rota().await?;
    let policy = rules.policy.with_hours(&store.set_hours().await?);
    let is_open = |ward: &str| policy.is_desk_open(rota.as_deref(), ward, now);
    let kind = match &known {
        None => RingBack::Stranger,
        Some(known) if !is_open(&known.episode.ward) => RingBack::Closed,
        Some(known) if known.resumes => RingBack::Resume,
        Some(_) => RingBack::Person,
    };
    let Some(script) = script(desk, known.as_ref()) else {
        return Ok(None);
    };
    let mut taken = Taken {
        kind,
        script,
        known,
    };
    // Nobody is asked anything after hours, so nothing is resumed.
    let step = taken.known.as_ref().filter(|_| kind == RingBack::Resume);
    let step = step.map(|known| known.step.id.clone());
    if let Some(step) = &step {
        let until = rules.lease_until(now);
        if !store.take_step(step, &rules.engine, until, now).await? {
            taken.kind = RingBack::Person;
        }
    }
    if let Some(known) = taken
        .known
        .as_mut()
        .filter(|_| taken.kind == RingBack::Resume)
    {
        let whom = (&known.step, &known.patient);
        known.earlier = earlier(store, whom, &taken.script.hash, now).await?;
    }
    let begun = begin(store, rules, desk, attempt, &taken, now).await?;
    info!(attempt.id = %attempt, kind = ?taken.kind, ?begun, "a call came");
    if begun == Begun::Dial {
        return Ok(Some(taken));
    }
    if let Some(step) = &step {
        store.free_step(step, &rules.engine).await?;
    }
    Ok(None)
}

/// The one patient of this number whom the plan still has to do with.
async fn known(
    store: &Store,
    rules: &Rules,
    numbers: &[PhoneNumber],
    now: Timestamp,
) -> Result<Option<Known>, StoreError> {
    let mut found = Vec::new();
    for (patient, number) in store.patients_of_numbers(numbers).await? {
        let steps = store.steps_of_patient(&patient.id).await?;
        let may_speak = may_ring_back(&patient, &number, rules.policy.minors(), now);
        if may_speak && expects_calls(&steps, now) {
            found.push((patient, number, steps));
        }
    }
    let Ok([(patient, number, steps)]) = <[_; 1]>::try_from(found) else {
        return Ok(None);
    };
    // Whoever rings from the telephone of somebody who has died is not asked for them.
    if patient.life != Life::Alive {
        return Ok(None);
    }
    let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
    let today = zone.to_datetime(now).date();
    let resumed = step_to_resume(&steps, today, now);
    let Some(step) = resumed.or(steps.last()).cloned() else {
        return Ok(None);
    };
    let mut loaded = Loaded::of(store, step, now).await?;
    let closed = std::mem::replace(&mut loaded.step.state, StepState::Planned);
    let may_be_asked = !matches!(
        loaded.decide(&rules.policy, now),
        NextStep::Finished(StepState::Blocked | StepState::Done, _)
    );
    let resumes = resumed.is_some() && may_be_asked;
    loaded.step.state = closed;
    Ok(Some(Known {
        number,
        patient: loaded.patient,
        episode: loaded.episode,
        step: loaded.step,
        resumes,
        earlier: None,
    }))
}

/// The step's script; for a stranger any that speaks Mandarin, else any at all: only its name is said.
fn script(desk: &Desk, known: Option<&Known>) -> Option<SignedScript> {
    let mut all = desk.scripts.iter();
    let is_wanted = |script: &&SignedScript| match known {
        Some(Known { patient, step, .. }) => {
            script.pathway == step.script && script.lang == patient.lang
        }
        None => script.lang == Lang::Zh,
    };
    let any = desk.scripts.first().filter(|_| known.is_none());
    all.find(is_wanted).or(any).cloned()
}

async fn begin(
    store: &Store,
    rules: &Rules,
    desk: &Desk,
    attempt: &AttemptId,
    taken: &Taken,
    now: Timestamp,
) -> Result<Begun, StoreError> {
    let known = taken.known.as_ref();
    let step = known.filter(|_| taken.kind == RingBack::Resume);
    let new = NewAttempt {
        id: attempt.clone(),
        inbound: true,
        step: step.map(|known| known.step.id.clone()),
        episode: known.map(|known| known.episode.id.clone()),
        patient: known.map(|known| known.patient.id.clone()),
        phone: known.map(|known| known.number.clone()),
        number: 1,
        engine: rules.engine.clone(),
        leased_until: rules.lease_until(now),
        trunk: desk.trunk.clone(),
        caller: String::new(),
        caller_most: CallerMost::default(),
        script: taken.script.pathway.clone(),
        script_hash: taken.script.hash.clone(),
        day: known.map_or(0, |known| known.step.day),
        lang: taken.script.lang,
        started_at: now,
    };
    store.begin_attempt(&new).await
}
