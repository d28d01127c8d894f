//! What the law and the hospital allow: hours, rest and caps. A lower layer may only tighten the one above.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Time, Weekday, time};
use jiff::tz::TimeZone;

use super::calendar::{Week, Window};

/// The hard layer, which no configuration loosens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// Local hours in the callee's zone, half open.
    pub earliest: Time,
    pub latest: Time,
    /// Rings of one number a local day, and in any 24 h.
    pub per_day: u32,
    pub per_24h: u32,
}

/// 08:00–21:00 (47 CFR 64.1200(c)(1); carriers' practice in China), 3 a day and 5 in 24 h (carriers).
pub const LAW: Law = Law {
    earliest: time(8, 0, 0, 0),
    latest: time(21, 0, 0, 0),
    per_day: 3,
    per_24h: 5,
};

/// How often a number may ring, and how often a step may try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Rings of one number in one local day: 1–3, default 3.
    pub per_day: u32,
    /// Rings of one number in any 24 hours: 1–5, default 4.
    pub per_24h: u32,
    /// Rest between two rings of one number: at least 5 min, default 10 min.
    pub min_gap: Duration,
    /// Rings of one step before a human takes over: 1–10, default 4 (AHRQ RED tool 5).
    pub max_attempts: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            per_day: 3,
            per_24h: 4,
            min_gap: Duration::from_secs(600),
            max_attempts: 4,
        }
    }
}

/// Why a calling policy was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("a window ends at {to}, before or when it begins at {from}")]
    Backwards { from: Time, to: Time },
    #[error("a window {from}–{to} reaches outside the hours the law allows, {earliest}–{latest}")]
    OutsideLaw {
        from: Time,
        to: Time,
        earliest: Time,
        latest: Time,
    },
    #[error("a window has no weekday")]
    NoDay,
    #[error("no hour of the week is open")]
    NeverOpen,
    #[error("{what} is {found}; {least} to {most} is allowed")]
    Range {
        what: &'static str,
        found: u64,
        least: u64,
        most: u64,
    },
}

/// The policy calls are made under. It was checked against [`LAW`] when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallingPolicy {
    week: Week,
    caps: Caps,
}

impl Default for CallingPolicy {
    /// Every day 09:00–12:00 and 14:00–20:00 local, with the default caps.
    fn default() -> Self {
        let caps = Caps::default();
        let law = (LAW.earliest, LAW.latest);
        Self {
            week: Week::new(&Self::default_windows(), law, Some(Self::NOON_REST)),
            caps,
        }
    }
}

impl CallingPolicy {
    /// 午休: no call in these local hours unless the hospital says otherwise.
    pub const NOON_REST: (Time, Time) = (time(12, 0, 0, 0), time(14, 0, 0, 0));

    pub fn default_windows() -> Vec<Window> {
        let days: Vec<Weekday> = Weekday::Monday.cycle_forward().take(7).collect();
        vec![
            Window {
                days: days.clone(),
                from: time(9, 0, 0, 0),
                to: time(12, 0, 0, 0),
            },
            Window {
                days,
                from: time(14, 0, 0, 0),
                to: time(20, 0, 0, 0),
            },
        ]
    }

    /// Checks a hospital's hours and caps against the law.
    ///
    /// # Errors
    /// A window that is empty or reaches outside [`LAW`], a cap looser than the law, or no open hour.
    pub fn new(
        windows: &[Window],
        noon_rest: Option<(Time, Time)>,
        caps: Caps,
    ) -> Result<Self, PolicyError> {
        for Window { days, from, to } in windows {
            if days.is_empty() {
                return Err(PolicyError::NoDay);
            }
            if from >= to {
                return Err(PolicyError::Backwards {
                    from: *from,
                    to: *to,
                });
            }
            if *from < LAW.earliest || *to > LAW.latest {
                let (earliest, latest) = (LAW.earliest, LAW.latest);
                return Err(PolicyError::OutsideLaw {
                    from: *from,
                    to: *to,
                    earliest,
                    latest,
                });
            }
        }
        range("per_day", caps.per_day.into(), 1, LAW.per_day.into())?;
        range("per_24h", caps.per_24h.into(), 1, LAW.per_24h.into())?;
        range("max_attempts", caps.max_attempts.into(), 1, 10)?;
        range("min_gap_minutes", caps.min_gap.as_secs() / 60, 5, 24 * 60)?;
        let week = Week::new(windows, (LAW.earliest, LAW.latest), noon_rest);
        if week.is_empty() {
            return Err(PolicyError::NeverOpen);
        }
        Ok(Self { week, caps })
    }

    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// Whether a telephone in `zone` may ring at this instant.
    pub fn is_open(&self, zone: &TimeZone, at: Timestamp) -> bool {
        self.week.is_open(zone, at)
    }

    /// The first instant from `from` on at which it may; `None` when none comes within two weeks.
    pub fn next_open(&self, zone: &TimeZone, from: Timestamp) -> Option<Timestamp> {
        self.week.next_open(zone, from)
    }

    pub(super) fn openings<'a>(
        &'a self,
        zone: &'a TimeZone,
        from: Timestamp,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        self.week.openings(zone, from)
    }
}

fn range(what: &'static str, found: u64, least: u64, most: u64) -> Result<(), PolicyError> {
    if (least..=most).contains(&found) {
        Ok(())
    } else {
        Err(PolicyError::Range {
            what,
            found,
            least,
            most,
        })
    }
}
