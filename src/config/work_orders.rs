//! `[work_orders]`: whom orders are told to, after how long, and again.

use std::time::Duration;

use aftercall_core::plan::Holidays;
use aftercall_core::work_order::{self, Deadlines, LadderError, Rung, Wait};
use jiff::civil::{Time, time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkOrders {
    /// Start and end of the hours of a working day.
    pub hours: Vec<Time>,
    /// By when a person speaks with whom the robot told so after an emergency.
    pub promise_emergent_minutes: u32,
    /// The same without an emergency, counted in hours.
    pub promise_minutes: u32,
    /// Where an order can be taken, with `{id}`, for messages.
    pub link: String,
    pub emergent: Ladder,
    pub urgent: Ladder,
    pub same_day: Ladder,
    pub routine: Ladder,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ladder {
    /// An acknowledged order that is not closed comes back after so long.
    pub come_back_minutes: u32,
    /// The last repeats for ever.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub tell: Rung,
    /// Channels by name; empty: every one the person has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// Without it: until 17:00 of the next working day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// Outside hours, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_hours_minutes: Option<u32>,
}

fn once() -> u32 {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_once(times: &u32) -> bool {
    *times == 1
}

/// When a step without minutes ends on the next working day.
const END_OF_DAY: Time = time(17, 0, 0, 0);

impl Default for WorkOrders {
    fn default() -> Self {
        let usual = Deadlines::usual(TimeZone::UTC);
        let minutes = |time: Duration| u32::try_from(time.as_secs() / 60).unwrap_or(u32::MAX);
        let step = |step: &work_order::Step| {
            let (in_hours, out_of_hours) = match step.wait {
                Wait::After {
                    in_hours,
                    out_of_hours,
                } => (Some(minutes(in_hours)), Some(minutes(out_of_hours))),
                Wait::NextWorkingDay(_) => (None, None),
            };
            Step {
                tell: step.tell,
                by: step.by.clone(),
                times: step.times,
                minutes: in_hours,
                out_of_hours_minutes: out_of_hours.filter(|_| in_hours != out_of_hours),
            }
        };
        let ladder = |ladder: &work_order::Ladder| Ladder {
            come_back_minutes: minutes(ladder.come_back()),
            steps: ladder.steps().iter().map(step).collect(),
        };
        Self {
            hours: vec![usual.hours.0, usual.hours.1],
            promise_emergent_minutes: minutes(usual.promise_emergent),
            promise_minutes: minutes(usual.promise),
            link: String::new(),
            emergent: ladder(&usual.emergent),
            urgent: ladder(&usual.urgent),
            same_day: ladder(&usual.same_day),
            routine: ladder(&usual.routine),
        }
    }
}

impl WorkOrders {
    /// As orders are raised by.
    ///
    /// # Errors
    /// The key that is at fault, and why.
    pub(super) fn deadlines(
        &self,
        zone: TimeZone,
        holidays: Option<Holidays>,
    ) -> Result<Deadlines, (&'static str, String)> {
        let [from, to] = *self.hours.as_slice() else {
            return Err((
                "work_orders.hours",
                "needs a start and an end, such as [\"08:00\", \"18:00\"]".to_owned(),
            ));
        };
        if from >= to {
            return Err(("work_orders.hours", "end before they begin".to_owned()));
        }
        let ladder = |key, ladder: &Ladder| {
            ladder
                .made()
                .map_err(|error: LadderError| (key, error.to_string()))
        };
        Ok(Deadlines {
            emergent: ladder("work_orders.emergent", &self.emergent)?,
            urgent: ladder("work_orders.urgent", &self.urgent)?,
            same_day: ladder("work_orders.same_day", &self.same_day)?,
            routine: ladder("work_orders.routine", &self.routine)?,
            promise_emergent: minutes(self.promise_emergent_minutes),
            promise: minutes(self.promise_minutes),
            hours: (from, to),
            holidays,
            zone,
        })
    }
}

impl Ladder {
    fn made(&self) -> Result<work_order::Ladder, LadderError> {
        let step = |step: &Step| work_order::Step {
            tell: step.tell,
            by: step.by.clone(),
            times: step.times,
            wait: match step.minutes {
                Some(in_hours) => Wait::After {
                    in_hours: minutes(in_hours),
                    out_of_hours: minutes(step.out_of_hours_minutes.unwrap_or(in_hours)),
                },
                None => Wait::NextWorkingDay(END_OF_DAY),
            },
        };
        let steps = self.steps.iter().map(step).collect();
        work_order::Ladder::new(steps, minutes(self.come_back_minutes))
    }
}

fn minutes(minutes: u32) -> Duration {
    Duration::from_secs(u64::from(minutes) * 60)
}
