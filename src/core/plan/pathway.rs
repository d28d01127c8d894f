//! Pathways: which plan a stay gets, by diagnosis, department and risk; written as TOML and reviewed by a clinician.
//!
//! ```toml
//! version = 1
//! script = "cardiac"
//! reviewed = { by = "Dr Lin", on = "2026-11-01" }
//! [when]                          # what is left out holds for everybody
//! diagnoses = ["I50", "I21"]      # prefixes of ICD-10 codes
//! departments = ["心内科"]
//! risk = ["high"]
//! [[step]]
//! day = 3
//! grace_days = 2
//! [[step]]                        # a person's task, or a message
//! day = 90
//! grace_days = 14
//! task = "quarterly_review"
//! [[repeat]]                      # every so many days, both ends included
//! from = 10
//! every = 7
//! until = 87
//! grace_days = 3
//! [[reading]]                     # what the patient sends from home: one every so many days
//! kind = "weight"                 # weight, blood_pressure, glucose
//! from = 1
//! every = 1
//! until = 30
//! ```
//!
//! Where several fit, the one that asks for more holds: the longer diagnosis, then the department, then the risk.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::Step;
use super::calendar::{Cadence, CadenceDay, day_zero, days_after, enroll};
use crate::id::StepId;
use crate::patient::{Episode, Patient};

/// How likely a new stay in hospital is, by the hospital's own score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    Low,
    Middle,
    High,
}

/// What chooses a pathway beside the department, which the stay holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// ICD-10 codes, the main diagnosis first.
    pub diagnoses: Vec<String>,
    pub risk: Option<Risk>,
}

/// One pathway, as its file says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pathway {
    /// The file's name without `.toml`.
    pub id: String,
    pub script: String,
    pub when: When,
    /// In the order of their days.
    pub steps: Vec<PathwayStep>,
    pub readings: Vec<PathwayReading>,
}

/// A reading that the patient is to send from home, one in each `every` days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathwayReading {
    pub kind: ReadingKind,
    /// The first and the last day after discharge.
    pub from: u16,
    pub until: u16,
    pub every: u16,
}

/// What is measured at home.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadingKind {
    Weight,
    BloodPressure,
    Glucose,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathwayStep {
    pub day: u16,
    pub grace_days: u16,
    pub what: What,
}

/// Who does a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Call,
    /// A person: a work order with this name.
    Task(String),
    /// A message with this name, and no call.
    Education(String),
}

/// Whom a pathway is for; an empty list is for all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    pub diagnoses: Vec<String>,
    pub departments: Vec<String>,
    pub risk: Vec<Risk>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: toml::Spanned<u32>,
    script: toml::Spanned<String>,
    reviewed: Reviewed,
    #[serde(default)]
    when: When,
    #[serde(default)]
    step: Vec<toml::Spanned<StepEntry>>,
    #[serde(default)]
    repeat: Vec<toml::Spanned<RepeatEntry>>,
    #[serde(default)]
    reading: Vec<toml::Spanned<PathwayReading>>,
}

/// Who read the pathway as it stands. A file that nobody reviewed is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reviewed {
    by: toml::Spanned<String>,
    #[serde(rename = "on")]
    _on: Date,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepEntry {
    day: u16,
    grace_days: u16,
    task: Option<String>,
    education: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RepeatEntry {
    from: u16,
    every: u16,
    until: u16,
    grace_days: u16,
    task: Option<String>,
    education: Option<String>,
}

/// What is wrong with a pathway's file, and on which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{file}:{line}: {fault}")]
pub struct PathwayError {
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    pub fault: String,
}

/// The last day on which a step may be planned: two years after discharge.
const LAST_DAY: u16 = 730;

impl Pathway {
    /// Reads and proves one file. `id` is its name without `.toml`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    pub fn parse(file: &str, id: &str, text: &str) -> Result<Self, Vec<PathwayError>> {
        let line = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
        let error = |at: usize, fault: String| PathwayError {
            file: file.to_owned(),
            line: line(at),
            fault,
        };
        let read: File = toml::from_str(text).map_err(|broken| {
            vec![error(
                broken.span().map_or(0, |span| span.start),
                broken.message().to_owned(),
            )]
        })?;
        let mut errors = Vec::new();
        if *read.version.get_ref() != 1 {
            errors.push(error(
                read.version.span().start,
                "write version = 1".to_owned(),
            ));
        }
        for (text, what) in [(&read.script, "script"), (&read.reviewed.by, "reviewed.by")] {
            if text.get_ref().trim().is_empty() {
                errors.push(error(text.span().start, format!("{what} is empty")));
            }
        }
        let mut steps: BTreeMap<u16, PathwayStep> = BTreeMap::new();
        let mut add = |at: usize, step: Result<PathwayStep, String>| match step {
            Err(fault) => errors.push(error(at, fault)),
            Ok(step) if !(1..=LAST_DAY).contains(&step.day) => {
                errors.push(error(
                    at,
                    format!("day {} is outside 1 to {LAST_DAY}", step.day),
                ));
            }
            Ok(step) => {
                let day = step.day;
                if steps.insert(day, step).is_some() {
                    errors.push(error(at, format!("day {day} has two steps")));
                }
            }
        };
        for entry in &read.step {
            let StepEntry {
                day,
                grace_days,
                task,
                education,
            } = entry.get_ref();
            add(entry.span().start, step(*day, *grace_days, task, education));
        }
        for entry in &read.repeat {
            let RepeatEntry {
                from,
                every,
                until,
                grace_days,
                task,
                education,
            } = entry.get_ref();
            if *every == 0 || until < from {
                add(
                    entry.span().start,
                    Err("needs every > 0 and until >= from".to_owned()),
                );
                continue;
            }
            for day in (*from..=*until).step_by(usize::from(*every)) {
                add(entry.span().start, step(day, *grace_days, task, education));
            }
        }
        let mut readings: Vec<PathwayReading> = Vec::new();
        for entry in &read.reading {
            let reading = *entry.get_ref();
            let fault = if reading.every == 0 || reading.until < reading.from {
                "needs every > 0 and until >= from".to_owned()
            } else if reading.until > LAST_DAY {
                format!("day {} is after {LAST_DAY}", reading.until)
            } else if readings.iter().any(|known| known.kind == reading.kind) {
                "is the second reading of its kind".to_owned()
            } else {
                readings.push(reading);
                continue;
            };
            errors.push(error(entry.span().start, fault));
        }
        let steps: Vec<PathwayStep> = steps.into_values().collect();
        if steps.is_empty() && errors.is_empty() {
            errors.push(error(0, "the pathway has no step".to_owned()));
        }
        let calls = steps.iter().filter(|step| step.what == What::Call);
        for (one, next) in calls.clone().zip(calls.skip(1)) {
            if one.day.saturating_add(one.grace_days) >= next.day {
                errors.push(error(
                    0,
                    format!(
                        "the grace of day {} reaches the call of day {}",
                        one.day, next.day
                    ),
                ));
            }
        }
        if errors.is_empty() {
            let script = read.script.into_inner();
            Ok(Self {
                id: id.to_owned(),
                script,
                when: read.when,
                steps,
                readings,
            })
        } else {
            Err(errors)
        }
    }

    /// How closely the pathway fits; `None` where it does not.
    fn fits(&self, episode: &Episode, case: &Case) -> Option<(usize, bool, bool)> {
        let When {
            diagnoses,
            departments,
            risk,
        } = &self.when;
        let codes = case.diagnoses.iter().map(|code| plain(code));
        let codes: Vec<String> = codes.collect();
        let longest = diagnoses
            .iter()
            .map(|prefix| plain(prefix))
            .filter(|prefix| codes.iter().any(|code| code.starts_with(prefix.as_str())));
        let diagnosis = match (
            diagnoses.is_empty(),
            longest.map(|prefix| prefix.len()).max(),
        ) {
            (true, _) => 0,
            (false, Some(length)) => length,
            (false, None) => return None,
        };
        let department = departments.contains(&episode.department);
        let tier = case.risk.is_some_and(|tier| risk.contains(&tier));
        let open = (departments.is_empty() || department) && (risk.is_empty() || tier);
        open.then_some((diagnosis, department, tier))
    }
}

fn step(
    day: u16,
    grace_days: u16,
    task: &Option<String>,
    education: &Option<String>,
) -> Result<PathwayStep, String> {
    let what = match (task, education) {
        (None, None) => What::Call,
        (Some(task), None) => What::Task(task.clone()),
        (None, Some(message)) => What::Education(message.clone()),
        (Some(_), Some(_)) => return Err("a step is a task or education, not both".to_owned()),
    };
    Ok(PathwayStep {
        day,
        grace_days,
        what,
    })
}

/// `I50.9` and `i509` are one code.
fn plain(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect()
}

/// A task or a message of a plan. Its id is stable, as a step's is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errand {
    pub id: StepId,
    pub day: u16,
    pub what: What,
    pub due_on: Date,
    /// First day on which it is no longer useful.
    pub lapses_on: Date,
}

/// Readings that are awaited from a patient at home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedReading {
    pub kind: ReadingKind,
    /// One in each so many local days from `begins_on` on.
    pub every_days: u16,
    pub begins_on: Date,
    /// The last day.
    pub until_on: Date,
}

impl ExpectedReading {
    /// Whether so many periods in a row without a reading make a nurse's task: every second one.
    pub fn asks_for_nurse(missed: u32) -> bool {
        missed > 0 && missed.is_multiple_of(2)
    }

    /// The day with which the period is over that begins on `day`; `None` where it would reach past the last day.
    pub fn period_from(&self, day: Date) -> Option<Date> {
        let ends_on = days_after(day, self.every_days);
        (ends_on <= days_after(self.until_on, 1)).then_some(ends_on)
    }
}

/// The plan of a stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The pathway that was chosen; `None` where the stay names its script and the usual cadence holds.
    pub pathway: Option<String>,
    /// What the calls follow.
    pub script: String,
    pub steps: Vec<Step>,
    pub errands: Vec<Errand>,
    pub readings: Vec<ExpectedReading>,
}

/// Every pathway of a hospital, and the cadence of stays that name a script themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pathways {
    pub list: Vec<Pathway>,
    pub usual: Cadence,
}

impl Pathways {
    /// The plan of a stay: of the pathway it names, of its script by the usual cadence, or of the pathway that fits
    /// best. Enrolling twice gives the same ids. `None` where nothing is named and none fits.
    pub fn plan(&self, patient: &Patient, episode: &Episode, case: &Case) -> Option<Plan> {
        let named = self
            .list
            .iter()
            .find(|pathway| pathway.id == episode.pathway);
        if named.is_none() && !episode.pathway.is_empty() {
            return Some(Plan {
                pathway: None,
                script: episode.pathway.clone(),
                steps: enroll(patient, episode, &self.usual),
                errands: Vec::new(),
                readings: Vec::new(),
            });
        }
        let best = self
            .list
            .iter()
            .filter_map(|pathway| Some((pathway.fits(episode, case)?, pathway)));
        // Of two that fit alike the first by name, for the answer must not depend on the folder's order.
        let best = best.max_by(|(a, one), (b, other)| a.cmp(b).then_with(|| other.id.cmp(&one.id)));
        let pathway = named.or(best.map(|(_, pathway)| pathway))?;
        Some(pathway.plan(patient, episode))
    }
}

impl Pathway {
    fn plan(&self, patient: &Patient, episode: &Episode) -> Plan {
        let calls = self.steps.iter().filter(|step| step.what == What::Call);
        let cadence = calls.map(|step| CadenceDay {
            day: step.day,
            grace_days: step.grace_days,
        });
        let of_script = Episode {
            pathway: self.script.clone(),
            ..episode.clone()
        };
        let zero = day_zero(patient, episode);
        let errands = self
            .steps
            .iter()
            .filter(|step| step.what != What::Call)
            .map(|step| {
                let due_on = days_after(zero, step.day);
                Errand {
                    id: StepId(format!("{}.d{}", episode.id, step.day)),
                    day: step.day,
                    what: step.what.clone(),
                    due_on,
                    lapses_on: days_after(due_on, step.grace_days.saturating_add(1)),
                }
            });
        Plan {
            pathway: Some(self.id.clone()),
            script: self.script.clone(),
            steps: enroll(patient, &of_script, &Cadence(cadence.collect())),
            errands: errands.collect(),
            readings: self
                .readings
                .iter()
                .map(|reading| ExpectedReading {
                    kind: reading.kind,
                    every_days: reading.every,
                    begins_on: days_after(zero, reading.from),
                    until_on: days_after(zero, reading.until),
                })
                .collect(),
        }
    }
}
