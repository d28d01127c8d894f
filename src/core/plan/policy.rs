//! What the law, the hospital and its departments allow: hours, rest and caps. Layers, of which none can loosen another:
//! a call is made where every one of them allows it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::{Time, Weekday, time};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::allowance::{HourlyCap, TrunkHours};
use super::holiday::Holidays;
use super::hours::{Hours, OnHolidays, Window};
use crate::patient::ConsentBasis;
use crate::phone::PhoneNumber;
use crate::rota::{Calendar, Rota};

/// Whose rule it is, from the widest to the narrowest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    Law(Profile),
    Hospital,
    Department(String),
    Trunk(String),
    /// An hour that a person closed for an age band, because few are reached in it ([`super::learn`]).
    Learnt,
    /// The hours that the patient wished for.
    Patient,
}

/// Whose law holds for the hospital. A number of another country is under that one's too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Mainland China.
    #[default]
    Cn,
    /// United States, federal law.
    Us,
    /// The strictest of both, for anywhere else.
    Neutral,
}

/// So many rings of one number within some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub calls: u32,
    pub within: Within,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// A day by the callee's calendar.
    Day,
    /// Any so many hours on end.
    Hours(u32),
}

/// The most that a hospital may set for a caller id's hour where the law says nothing.
const CALLER_PER_HOUR: u32 = 600;
/// Seven days.
const WEEK: Within = Within::Hours(168);

/// The hard layer, which no configuration loosens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Law {
    /// Local hours in the callee's zone, half open.
    pub earliest: Time,
    pub latest: Time,
    pub caps: &'static [Cap],
    /// Rest between two rings of one number.
    pub min_gap: Duration,
    /// Calls that show one caller id within any hour; `None`: the law says nothing of it.
    pub caller_per_hour: Option<u32>,
}

/// 08:00–21:00 and 5 in 24 h (carriers' practice: Tencent Cloud), 3 a day (local practice), never 3 in 5 min (carriers);
/// a caller id with over 60 an hour is held to call too often (Hubei 2016).
const CN: Law = Law {
    earliest: time(8, 0, 0, 0),
    latest: time(21, 0, 0, 0),
    caps: &[
        Cap {
            calls: 3,
            within: Within::Day,
        },
        Cap {
            calls: 5,
            within: Within::Hours(24),
        },
    ],
    min_gap: Duration::from_secs(300),
    caller_per_hour: Some(60),
};

/// 08:00–21:00 at the called party's place (47 CFR 64.1200(c)(1)), one a day and three a week (64.1200(a)(9)(iv)).
const US: Law = Law {
    earliest: time(8, 0, 0, 0),
    latest: time(21, 0, 0, 0),
    caps: &[
        Cap {
            calls: 1,
            within: Within::Day,
        },
        Cap {
            calls: 3,
            within: WEEK,
        },
    ],
    min_gap: Duration::from_secs(300),
    caller_per_hour: None,
};

const NEUTRAL: Law = Law {
    earliest: time(9, 0, 0, 0),
    latest: time(20, 0, 0, 0),
    caps: US.caps,
    min_gap: Duration::from_secs(600),
    caller_per_hour: CN.caller_per_hour,
};

impl Profile {
    pub const ALL: [Profile; 3] = [Profile::Cn, Profile::Us, Profile::Neutral];

    pub fn law(self) -> Law {
        match self {
            Profile::Cn => CN,
            Profile::Us => US,
            Profile::Neutral => NEUTRAL,
        }
    }

    /// Whose law a number is under by its country code; `None` where it has none.
    fn of(number: &PhoneNumber) -> Option<Profile> {
        let international = number.expose().strip_prefix('+')?;
        Some(if international.starts_with("86") {
            Profile::Cn
        } else if international.starts_with('1') {
            // +1 is shared with Canada and others, whose rules are no looser known: the week's cap holds there too.
            Profile::Us
        } else {
            Profile::Neutral
        })
    }
}

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
    /// Calls that show one caller id within any hour: 1–60, or what the law allows; default 60.
    pub caller_per_hour: u32,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            per_day: 3,
            per_24h: 4,
            min_gap: Duration::from_secs(600),
            max_attempts: 4,
            caller_per_hour: 60,
        }
    }
}

/// What a department allows less than the hospital.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DepartmentTerms {
    /// `None`: the hospital's.
    pub windows: Option<Vec<Window>>,
    pub per_day: Option<u32>,
}

/// Who is rung for a patient of 14 to 17; under 14 it is the guardian (PIPL art. 31).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Minors {
    #[default]
    Guardian,
    Patient,
    /// No robot: a human calls.
    Nobody,
}

/// What a hospital sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub law: Profile,
    pub windows: Vec<Window>,
    pub noon_rest: Option<(Time, Time)>,
    pub on_holidays: OnHolidays,
    /// `None`: no day is a holiday.
    pub holidays: Option<Holidays>,
    pub caps: Caps,
    /// Kinds of consent that are enough.
    pub consent: Vec<ConsentBasis>,
    /// By the department's name as records have it.
    pub departments: BTreeMap<String, DepartmentTerms>,
    pub minors: Minors,
    /// How old the word on life, stay and number may be; `None`: no feed keeps it fresh.
    pub record_max_age: Option<SignedDuration>,
    /// When somebody acknowledges work orders, by the hospital's zone.
    pub duty: Vec<Window>,
    pub zone: TimeZone,
}

impl Default for Terms {
    /// Every day 09:00–12:00 and 14:00–20:00 local with the default caps, and duty from 08:00 to 22:00.
    fn default() -> Self {
        Self {
            law: Profile::Cn,
            windows: CallingPolicy::default_windows(),
            noon_rest: Some(CallingPolicy::NOON_REST),
            on_holidays: OnHolidays::AsSunday,
            holidays: None,
            caps: Caps::default(),
            consent: vec![ConsentBasis::Written, ConsentBasis::Verbal],
            departments: BTreeMap::new(),
            minors: Minors::Guardian,
            record_max_age: None,
            duty: CallingPolicy::default_duty(),
            zone: crate::time::zone("Asia/Shanghai").unwrap_or(TimeZone::UTC),
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
    #[error("{0:?} is no consent; write \"written\" or \"verbal\"")]
    NoConsent(ConsentBasis),
    #[error("nobody is ever on duty, so nobody could be called")]
    NoDuty,
    #[error("department `{name}`: {fault}")]
    Department {
        name: String,
        fault: Box<PolicyError>,
    },
}

/// The policy calls are made under. It was checked against the law when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct CallingPolicy {
    law: Profile,
    /// The hours of every law, in the order of [`Profile::ALL`].
    lawful: [Hours; 3],
    hospital: Hours,
    /// As rules: a day's and 24 hours'.
    hospital_caps: [Cap; 2],
    departments: BTreeMap<String, Department>,
    trunk: Option<(String, TrunkHours)>,
    holidays: Option<Holidays>,
    caps: Caps,
    consent: Vec<ConsentBasis>,
    minors: Minors,
    record_max_age: Option<SignedDuration>,
    duty: Hours,
    zone: TimeZone,
}

/// Hours of a week that an admin set, which hold in place of the configuration's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetHours {
    /// `None`: the whole hospital.
    pub department: Option<String>,
    /// Monday first: the open stretches of each day, half open.
    pub week: [Vec<(Time, Time)>; 7],
}

impl SetHours {
    fn windows(&self) -> Vec<Window> {
        let days = Weekday::Monday.cycle_forward().zip(&self.week);
        let windows = days.flat_map(|(day, open)| {
            open.iter().map(move |(from, to)| Window {
                days: vec![day],
                from: *from,
                to: *to,
            })
        });
        windows.collect()
    }
}

/// When a layer by itself is open.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenHours {
    pub layer: Layer,
    /// Monday first: the open stretches of each day, half open.
    pub week: [Vec<(Time, Time)>; 7],
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Department {
    hours: Option<Hours>,
    caps: Vec<Cap>,
}

/// One layer as a decision asks it.
pub(super) struct Rule<'a> {
    pub layer: Layer,
    pub hours: Option<&'a Hours>,
    /// Where the hours are local.
    pub zone: &'a TimeZone,
    pub holidays: Option<&'a Holidays>,
    pub caps: &'a [Cap],
    pub rest: Duration,
}

impl Default for CallingPolicy {
    fn default() -> Self {
        let terms = Terms::default();
        Self::unchecked(&terms)
    }
}

impl CallingPolicy {
    /// 午休: no call in these local hours unless the hospital says otherwise.
    pub const NOON_REST: (Time, Time) = (time(12, 0, 0, 0), time(14, 0, 0, 0));
    /// After the longest call somebody must still be there for so long.
    pub const DUTY_AFTER: SignedDuration = SignedDuration::from_mins(60);
    /// No call lasts longer, its ringing included, but for an emergency that is stayed with.
    pub const LONGEST_CALL: SignedDuration = SignedDuration::from_mins(10);

    pub fn default_windows() -> Vec<Window> {
        vec![
            Window::daily(time(9, 0, 0, 0), time(12, 0, 0, 0)),
            Window::daily(time(14, 0, 0, 0), time(20, 0, 0, 0)),
        ]
    }

    /// 08:00–22:00: what is found in the last calling hour is acknowledged.
    pub fn default_duty() -> Vec<Window> {
        vec![Window::daily(time(8, 0, 0, 0), time(22, 0, 0, 0))]
    }

    /// Checks a hospital's terms against the law.
    ///
    /// # Errors
    /// A window that is empty or reaches outside the law, a cap looser than the law, no open hour, no duty.
    pub fn new(terms: &Terms) -> Result<Self, PolicyError> {
        let law = terms.law.law();
        check_windows(&terms.windows, law)?;
        let caps = terms.caps;
        let (per_day, per_24h) = (most(law, Within::Day), most(law, Within::Hours(24)));
        range("per_day", caps.per_day.into(), 1, per_day)?;
        range("per_24h", caps.per_24h.into(), 1, per_24h)?;
        range("max_attempts", caps.max_attempts.into(), 1, 10)?;
        let least = law.min_gap.as_secs() / 60;
        let gap = caps.min_gap.as_secs() / 60;
        range("min_gap_minutes", gap, least, 24 * 60)?;
        let callers = law.caller_per_hour.unwrap_or(CALLER_PER_HOUR);
        range(
            "caller_per_hour",
            caps.caller_per_hour.into(),
            1,
            callers.into(),
        )?;
        let no_consent = |basis: &&ConsentBasis| match basis {
            ConsentBasis::None | ConsentBasis::Withdrawn => true,
            ConsentBasis::Written | ConsentBasis::Verbal => false,
        };
        if let Some(basis) = terms.consent.iter().find(no_consent) {
            return Err(PolicyError::NoConsent(*basis));
        }
        for (name, department) in &terms.departments {
            let in_department = |fault| PolicyError::Department {
                name: name.clone(),
                fault: Box::new(fault),
            };
            if let Some(windows) = &department.windows {
                check_windows(windows, law).map_err(in_department)?;
            }
            if let Some(cap) = department.per_day {
                range("per_day", cap.into(), 1, caps.per_day.into()).map_err(in_department)?;
            }
        }
        let policy = Self::unchecked(terms);
        if policy.hospital.is_empty() {
            return Err(PolicyError::NeverOpen);
        }
        if policy.duty.is_empty() {
            return Err(PolicyError::NoDuty);
        }
        Ok(policy)
    }

    fn unchecked(terms: &Terms) -> Self {
        let law = terms.law.law();
        let within = (law.earliest, law.latest);
        let hours =
            |windows: &[Window]| Hours::new(windows, within, terms.noon_rest, terms.on_holidays);
        let department = |department: &DepartmentTerms| Department {
            hours: department.windows.as_deref().map(hours),
            caps: department.per_day.map(a_day).into_iter().collect(),
        };
        let departments = terms.departments.iter();
        Self {
            law: terms.law,
            lawful: Profile::ALL.map(|profile| {
                let law = profile.law();
                Hours::daily(law.earliest, law.latest)
            }),
            hospital: hours(&terms.windows),
            hospital_caps: [
                a_day(terms.caps.per_day),
                Cap {
                    calls: terms.caps.per_24h,
                    within: Within::Hours(24),
                },
            ],
            departments: departments
                .map(|(name, terms)| (name.clone(), department(terms)))
                .collect(),
            trunk: None,
            holidays: terms.holidays.clone(),
            caps: terms.caps,
            consent: terms.consent.clone(),
            minors: terms.minors,
            record_max_age: terms.record_max_age,
            duty: Hours::new(
                &terms.duty,
                (Time::midnight(), Time::MAX),
                None,
                OnHolidays::Ordinary,
            ),
            zone: terms.zone.clone(),
        }
    }

    /// The same policy on a trunk that has hours of its own.
    pub fn on_trunk(self, name: &str, hours: Option<TrunkHours>) -> Self {
        Self {
            trunk: hours.map(|hours| (name.to_owned(), hours)),
            ..self
        }
    }

    /// Whether an admin may set these hours. A department may be left without any: then nobody of it is called.
    ///
    /// # Errors
    /// A stretch that is empty or reaches outside the law, a hospital with no open hour.
    pub fn check_hours(&self, set: &SetHours) -> Result<(), PolicyError> {
        let windows = set.windows();
        check_windows(&windows, self.law.law())?;
        match (&set.department, windows.is_empty()) {
            (None, true) => Err(PolicyError::NeverOpen),
            _ => Ok(()),
        }
    }

    /// The policy with the hours that admins set in place of its own, cut to the law. Noon rest is as they set it.
    pub fn with_hours(&self, set: &[SetHours]) -> Cow<'_, Self> {
        if set.is_empty() {
            return Cow::Borrowed(self);
        }
        let law = self.law.law();
        let mut policy = self.clone();
        for set in set {
            let within = (law.earliest, law.latest);
            let hours = Hours::new(&set.windows(), within, None, self.hospital.on_holidays());
            match &set.department {
                None => policy.hospital = hours,
                Some(name) => {
                    policy.departments.entry(name.clone()).or_default().hours = Some(hours);
                }
            }
        }
        Cow::Owned(policy)
    }

    /// The open stretches of each weekday, Monday first, of every layer by itself: the hospital's law, the hospital, its
    /// departments, the trunk. Public holidays, closed hours and wishes come on top.
    pub fn open_hours(&self) -> Vec<OpenHours> {
        let lawful = Profile::ALL.into_iter().zip(&self.lawful);
        let lawful = lawful.filter(|(profile, _)| *profile == self.law);
        let mut layers: Vec<(Layer, &Hours)> = lawful
            .map(|(profile, hours)| (Layer::Law(profile), hours))
            .collect();
        layers.push((Layer::Hospital, &self.hospital));
        for (name, department) in &self.departments {
            if let Some(hours) = &department.hours {
                layers.push((Layer::Department(name.clone()), hours));
            }
        }
        if let Some((name, hours)) = &self.trunk {
            layers.push((Layer::Trunk(name.clone()), hours.hours()));
        }
        let open = |(layer, hours): (Layer, &Hours)| OpenHours {
            layer,
            week: hours.week().clone(),
        };
        layers.into_iter().map(open).collect()
    }

    pub fn caps(&self) -> Caps {
        self.caps
    }

    /// How often a caller id may be shown in an hour, the widest layer first.
    pub fn caller_caps(&self) -> Vec<HourlyCap> {
        let law = self.law.law().caller_per_hour.map(|calls| HourlyCap {
            layer: Layer::Law(self.law),
            calls,
        });
        let hospital = HourlyCap {
            layer: Layer::Hospital,
            calls: self.caps.caller_per_hour,
        };
        law.into_iter().chain([hospital]).collect()
    }

    pub fn minors(&self) -> Minors {
        self.minors
    }

    pub fn record_max_age(&self) -> Option<SignedDuration> {
        self.record_max_age
    }

    pub fn holidays(&self) -> Option<&Holidays> {
        self.holidays.as_ref()
    }

    /// Whether a robot may call or write on this ground.
    pub fn accepts_consent(&self, basis: ConsentBasis) -> bool {
        self.refuses_consent(basis).is_none()
    }

    /// The first instant from `at` on at which a message wakes nobody: in the hours that the law leaves to calls, of the
    /// hospital's country and of the number's.
    pub fn may_write_at(
        &self,
        number: Option<&PhoneNumber>,
        zone: &TimeZone,
        at: jiff::Timestamp,
    ) -> Option<jiff::Timestamp> {
        let foreign = number.and_then(Profile::of);
        let laws = Profile::ALL.into_iter().zip(&self.lawful);
        let hours = laws.filter(|(profile, _)| *profile == self.law || Some(*profile) == foreign);
        let hours: Vec<&Hours> = hours.map(|(_, hours)| hours).collect();
        let mut open = at;
        for _ in 0..4 {
            let next = hours.iter().map(|hours| hours.next_open(zone, None, open));
            let latest = next.collect::<Option<Vec<_>>>()?.into_iter().max()?;
            if latest == open {
                return Some(open);
            }
            open = latest;
        }
        None
    }

    /// Whether somebody is there for who rings us about a ward: in the hospital's hours of calling, its rest and holidays
    /// kept, and with somebody on duty, as for calls that we make.
    pub fn is_desk_open(&self, rota: Option<&Rota>, ward: &str, at: jiff::Timestamp) -> bool {
        let is_open = self
            .hospital
            .is_open(&self.zone, self.holidays.as_ref(), at);
        is_open && self.is_staffed(rota, ward, at)
    }

    /// The layer that does not accept a consent, if one does not.
    pub(super) fn refuses_consent(&self, basis: ConsentBasis) -> Option<Layer> {
        (!self.consent.contains(&basis)).then_some(Layer::Hospital)
    }

    /// Every layer that a call to the number has to pass, the widest first.
    pub(super) fn rules<'a>(
        &'a self,
        department: &str,
        number: &PhoneNumber,
        zone: &'a TimeZone,
        learnt: Option<&'a Hours>,
        wishes: Option<&'a Wishes>,
    ) -> Vec<Rule<'a>> {
        let foreign = Profile::of(number).filter(|profile| *profile != self.law);
        let laws = Profile::ALL.into_iter().zip(&self.lawful);
        let laws = laws.filter(|(profile, _)| *profile == self.law || Some(*profile) == foreign);
        let mut rules: Vec<Rule<'a>> = laws
            .map(|(profile, hours)| Rule {
                layer: Layer::Law(profile),
                hours: Some(hours),
                zone,
                holidays: None,
                caps: profile.law().caps,
                rest: profile.law().min_gap,
            })
            .collect();
        let holidays = self.holidays.as_ref();
        let rule = |layer, hours, caps, rest| Rule {
            layer,
            hours,
            zone,
            holidays,
            caps,
            rest,
        };
        let hospital = Some(&self.hospital);
        rules.push(rule(
            Layer::Hospital,
            hospital,
            &self.hospital_caps,
            self.caps.min_gap,
        ));
        if let Some((name, department)) = self.departments.get_key_value(department) {
            let layer = Layer::Department(name.clone());
            let hours = department.hours.as_ref();
            rules.push(rule(layer, hours, &department.caps, Duration::ZERO));
        }
        if let Some((name, hours)) = &self.trunk {
            rules.push(Rule {
                layer: Layer::Trunk(name.clone()),
                hours: Some(hours.hours()),
                zone: &self.zone,
                holidays: None,
                caps: &[],
                rest: Duration::ZERO,
            });
        }
        if learnt.is_some() {
            rules.push(rule(Layer::Learnt, learnt, &[], Duration::ZERO));
        }
        if let Some(wishes) = wishes {
            rules.push(rule(Layer::Patient, Some(&wishes.0), &[], Duration::ZERO));
        }
        rules
    }

    /// Whether somebody is on duty for a ward from `at` until an hour after the call: by the rota where it knows the
    /// ward, else by the hours of duty.
    pub(super) fn is_staffed(&self, rota: Option<&Rota>, ward: &str, at: jiff::Timestamp) -> bool {
        let until = at + Self::LONGEST_CALL + Self::DUTY_AFTER;
        match rota.filter(|rota| rota.knows(ward)) {
            Some(rota) => rota.is_staffed(ward, at, until, self.calendar()),
            None => self.duty.covers(&self.zone, None, at, until),
        }
    }

    /// The first instant from `at` on at which [`Self::is_staffed`].
    pub(super) fn next_staffed(
        &self,
        rota: Option<&Rota>,
        ward: &str,
        at: jiff::Timestamp,
    ) -> Option<jiff::Timestamp> {
        if let Some(rota) = rota.filter(|rota| rota.knows(ward)) {
            let lasting = Self::LONGEST_CALL + Self::DUTY_AFTER;
            return rota.next_staffed(ward, at, lasting, self.calendar());
        }
        let mut openings = self.duty.openings(&self.zone, None, at);
        openings.find(|opening| *opening >= at && self.is_staffed(None, ward, *opening))
    }

    /// Where and on which days the rota is read.
    pub fn calendar(&self) -> Calendar<'_> {
        Calendar {
            zone: &self.zone,
            holidays: self.holidays.as_ref(),
        }
    }

    /// The hospital's zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

fn a_day(calls: u32) -> Cap {
    Cap {
        calls,
        within: Within::Day,
    }
}

/// The most that a law allows in some time; where it says nothing, what it allows in any other.
fn most(law: Law, within: Within) -> u64 {
    let of = |cap: &&Cap| cap.within == within;
    let named = law.caps.iter().find(of).map(|cap| cap.calls);
    let any = law.caps.iter().map(|cap| cap.calls).max();
    named.or(any).unwrap_or(1).into()
}

fn check_windows(windows: &[Window], law: Law) -> Result<(), PolicyError> {
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
        if *from < law.earliest || *to > law.latest {
            let (earliest, latest) = (law.earliest, law.latest);
            return Err(PolicyError::OutsideLaw {
                from: *from,
                to: *to,
                earliest,
                latest,
            });
        }
    }
    Ok(())
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

/// Hours that a patient wished for, cut to nothing: layers above do that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wishes(Hours);

impl Wishes {
    /// # Errors
    /// A window that is empty or has no weekday, or no window at all.
    pub fn new(windows: &[Window]) -> Result<Self, PolicyError> {
        let day = (Time::midnight(), Time::MAX);
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
        }
        let hours = Hours::new(windows, day, None, OnHolidays::Ordinary);
        if hours.is_empty() {
            return Err(PolicyError::NeverOpen);
        }
        Ok(Self(hours))
    }
}
