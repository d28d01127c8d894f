//! The plan: which calls an episode is due, and whether one may be made now.
//!
//! Windows, consent, caps, do-not-call and retry rules live here and nowhere else, and refuse where they
//! are in doubt. Every answer but "dial" carries a [`Reason`], so that an admin can read why.

mod allowance;
mod asked;
mod calendar;
mod callee;
mod decide;
mod explain;
mod holiday;
mod hours;
pub mod learn;
mod life;
pub mod message;
mod pathway;
mod policy;
mod reason;
mod retry;
mod ring_back;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

pub use allowance::{
    Breaker, CallerId, Capacity, HourlyCap, Pace, Shown, TrunkHours, after_outage,
    caller_with_room, day_around, within_the_hour,
};
pub use asked::hour_asked_for;
pub use calendar::{Cadence, CadenceDay, enroll};
pub use callee::{Whom, is_vain};
pub use decide::{NumberFacts, PlanInput, Standing, next_step};
pub use explain::{outcome_in_words, state_in_words};
pub use holiday::{DayKind, HolidayError, Holidays};
pub use hours::{OnHolidays, Window};
pub use life::{LifeEvent, PlanChange, discharged, life_event};
pub use pathway::{
    Case, Errand, ExpectedReading, Pathway, PathwayError, PathwayStep, Pathways, Plan, ReadingKind,
    Risk, What, When,
};
pub use policy::{
    CallingPolicy, Cap, Caps, DepartmentTerms, Law, Layer, Minors, OpenHours, PolicyError, Profile,
    SetHours, Terms, Wishes, Within,
};
pub use reason::{Reason, ReasonCode};
pub use retry::Band;
pub use ring_back::{expects_calls, may_ring_back, step_to_resume};

use crate::attempt::Disposition;
use crate::id::{EpisodeId, PatientId, StepId};
use crate::phone::PhoneNumber;
use crate::time::Timestamp;

/// One planned follow-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: StepId,
    pub episode: EpisodeId,
    pub patient: PatientId,
    /// Days after discharge: 3, 7, 14 or 30.
    pub day: u16,
    pub script: String,
    /// Local date in the patient's zone on which the step becomes due.
    pub due_on: Date,
    /// First day on which it is no longer useful.
    pub lapses_on: Date,
    pub state: StepState,
    /// When `next_step` is to be asked again.
    pub next_at: Timestamp,
    /// Why it was refused or put off: a [`Reason`] as text (`code: words`); empty when it was not.
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, derive_more::Display)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    #[display("planned")]
    Planned,
    /// Leased to an engine; an attempt is live.
    #[display("calling")]
    Calling,
    #[display("done")]
    Done,
    /// Attempts are used up: a human has it.
    #[display("unreached")]
    Unreached,
    /// Must not be rung: see `reason`.
    #[display("blocked")]
    Blocked,
    #[display("lapsed")]
    Lapsed,
}

impl StepState {
    /// Whether nothing more is dialled for the step.
    pub fn is_closed(self) -> bool {
        match self {
            StepState::Planned | StepState::Calling => false,
            StepState::Done | StepState::Unreached | StepState::Blocked | StepState::Lapsed => true,
        }
    }
}

/// The answer to "what now?".
#[derive(Clone, Debug, PartialEq)]
pub enum NextStep {
    DialNow(DialOrder),
    /// Ask again at `until`.
    Wait {
        until: Timestamp,
        why: Reason,
    },
    Finished(StepState, Reason),
}

/// Permission for one INVITE to one number.
#[derive(Clone, Debug, PartialEq)]
pub struct DialOrder {
    pub step: StepId,
    pub number: PhoneNumber,
    pub whom: Whom,
    /// Counted from 1.
    pub attempt: u32,
}

/// What the plan needs to know of an earlier attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct PastAttempt {
    /// The number it rang; `None`: not known, so that it counts against every number.
    pub number: Option<PhoneNumber>,
    pub started_at: Timestamp,
    /// `None` while it is live.
    pub ended_at: Option<Timestamp>,
    /// Whether the telephone may have rung; unknown counts as rung.
    pub rang: bool,
    /// `None` while it is live.
    pub disposition: Option<Disposition>,
    /// Class of an announcement in early media: `powered_off`, `invalid_number`, …
    pub early_media: Option<String>,
    /// The time the patient asked to be called at, where one was understood.
    pub asked_for: Option<Timestamp>,
}
