//! `[figures]`: what time and lines cost, and when a shift has too many orders.

use aftercall_core::figures::{Load, Rates};
use jiff::civil::{Time, time};
use serde::{Deserialize, Serialize};

/// What figures of cost and load are counted by. Money in the hospital's own currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Figures {
    /// When nurses' shifts begin, by the hospital's clock.
    pub shifts: Vec<Time>,
    /// A page warns above so many orders by nurse and shift.
    pub orders_per_shift: f64,
    /// Of the line, a minute of talk.
    pub line_minute: Option<f64>,
    /// Of machines and power, a call.
    pub call: Option<f64>,
    pub nurse_hour: Option<f64>,
    /// A nurse's minutes for one order.
    pub order_minutes: Option<f64>,
    /// A nurse's minutes for the call that the robot makes.
    pub nurse_call_minutes: Option<f64>,
}

impl Default for Figures {
    fn default() -> Self {
        let hours = [(8, 0), (16, 0), (0, 0)];
        Self {
            shifts: hours.map(|(hour, minute)| time(hour, minute, 0, 0)).into(),
            orders_per_shift: 20.0,
            line_minute: None,
            call: None,
            nurse_hour: None,
            order_minutes: None,
            nurse_call_minutes: None,
        }
    }
}

impl Figures {
    pub fn rates(&self) -> Rates {
        Rates {
            line_minute: self.line_minute,
            call: self.call,
            nurse_hour: self.nurse_hour,
            order_minutes: self.order_minutes,
            nurse_call_minutes: self.nurse_call_minutes,
        }
    }

    pub fn load(&self, nurse_shifts: u64) -> Load {
        Load {
            nurse_shifts,
            warn_above: self.orders_per_shift,
        }
    }

    /// What breaks a rule: its key, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let sums = [
            (Some(self.orders_per_shift), "figures.orders_per_shift"),
            (self.line_minute, "figures.line_minute"),
            (self.call, "figures.call"),
            (self.nurse_hour, "figures.nurse_hour"),
            (self.order_minutes, "figures.order_minutes"),
            (self.nurse_call_minutes, "figures.nurse_call_minutes"),
        ];
        for (sum, key) in sums {
            if sum.is_some_and(|sum| !(0.0..=1e6).contains(&sum)) {
                return Err((key, "must be 0 to 1000000".to_owned()));
            }
        }
        if self.shifts.is_empty() {
            return Err(("figures.shifts", "names no shift".to_owned()));
        }
        Ok(())
    }
}
