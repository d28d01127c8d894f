//! `[retention]`: what goes when.

use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// By class of data. 0: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// After the call.
    pub audio_days: u32,
    /// Recordings of calls in which anything was found stay as long as the record.
    pub hold_alerts: bool,
    /// After the last stay, call or order of a patient, who is then erased.
    pub record_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            audio_days: 0,
            hold_alerts: true,
            record_days: 0,
        }
    }
}

impl Retention {
    pub fn audio_before(&self, now: Timestamp) -> Option<Timestamp> {
        before(self.audio_days, now)
    }

    pub fn record_before(&self, now: Timestamp) -> Option<Timestamp> {
        before(self.record_days, now)
    }

    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (days, key) in [
            (self.audio_days, "retention.audio_days"),
            (self.record_days, "retention.record_days"),
        ] {
            if days > 36_525 {
                return Err((key, "must be 0 (for ever) to 36525".to_owned()));
            }
        }
        if self.record_days > 0 && self.record_days < 180 {
            let least =
                "must be 0 (for ever) or at least 180: figures and trends of a stay need its calls";
            return Err(("retention.record_days", least.to_owned()));
        }
        Ok(())
    }
}

fn before(days: u32, now: Timestamp) -> Option<Timestamp> {
    let age = SignedDuration::from_hours(i64::from(days) * 24);
    (days > 0).then(|| now.saturating_sub(age).unwrap_or(Timestamp::MIN))
}
