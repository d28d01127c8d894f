//! The audit sample: which calls and suppressed findings QA looks at again, and what its verdicts say of the field.
//!
//! A nurse sees every alerted call, so its order's outcome says whether the alert was true. What raised no alert is
//! seen by nobody; a seeded random share of it goes to QA. From both come the positive predictive value (alerted
//! calls that were true) and the sensitivity (true calls that were alerted). The unit is the call: alerted means that
//! some finding alerted; a call belongs here when it spoke with the identified person, or found something anyway.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::attempt::CallRecord;
use crate::id::AttemptId;
use crate::statistics::{ratio_interval, wilson};
use crate::work_order::Outcome;

/// How much is drawn, and by which key. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Of the calls that raised no alert.
    pub share_calls: f64,
    /// Of the findings that were matched and then suppressed, in whatever call.
    pub share_suppressed: f64,
    pub seed: u64,
}

/// What QA is asked to look at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A whole call that raised no alert.
    Call,
    /// One suppressed finding, by its place in `CallRecord::suppressed`.
    Suppressed(u32),
}

/// One draw, with the share it was drawn by: its weight is the inverse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    pub subject: Subject,
    pub share: f64,
}

/// What the sample makes of one ended call.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Some finding alerted: a nurse sees it, and her outcome is the verdict.
    pub alerted: bool,
    pub drawn: Vec<Drawn>,
}

/// What QA says of an item.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing was lost, and what was written down is so.
    #[display("right")]
    Right,
    /// Something was judged wrongly, but nothing that should have alerted was lost.
    #[display("wrong")]
    Wrong,
    /// Something that should have alerted did not.
    #[display("missed")]
    Missed,
}

/// Draws from one ended call; `None` where the call is outside the population (nobody was identified).
///
/// The same seed, call and record give the same draw, on every engine and after every restart.
pub fn draw(sampling: &Sampling, attempt: &AttemptId, record: &CallRecord) -> Option<Judged> {
    let found = !record.findings.is_empty() || !record.suppressed.is_empty();
    if !record.progress.identified && !found {
        return None;
    }
    let alerted = record.findings.iter().any(|placed| placed.finding.alerts());
    let call = (!alerted).then_some((Subject::Call, sampling.share_calls));
    let suppressed = (0_u32..)
        .zip(&record.suppressed)
        .map(|(position, _)| (Subject::Suppressed(position), sampling.share_suppressed));
    let drawn = call
        .into_iter()
        .chain(suppressed)
        .filter(|(subject, share)| is_drawn(sampling.seed, attempt, *subject, *share))
        .map(|(subject, share)| Drawn { subject, share })
        .collect();
    Some(Judged { alerted, drawn })
}

/// Whether a hash of seed and subject, read as a number from 0 to 1, lies below the share.
fn is_drawn(seed: u64, attempt: &AttemptId, subject: Subject, share: f64) -> bool {
    let subject = match subject {
        Subject::Call => "call".to_owned(),
        Subject::Suppressed(position) => format!("suppressed {position}"),
    };
    let mut hasher = Sha256::new();
    hasher.update(format!("aftercall audit\0{seed}\0{attempt}\0{subject}"));
    let hash = hasher.finalize();
    let head = <[u8; 4]>::try_from(&hash[..4]).expect("SHA-256 has 32 bytes");
    f64::from(u32::from_be_bytes(head)) / (f64::from(u32::MAX) + 1.0) < share
}

/// Whether an alert was true, as the nurse who closed its order found; `None` where she could not tell.
///
/// Known before, or sent to hospital: the sign was there. Not reached, or in hospital again for whatever reason: unknown.
pub fn was_true(outcome: Outcome) -> Option<bool> {
    match outcome {
        Outcome::True | Outcome::AlreadyKnown | Outcome::SentToEmergency => Some(true),
        Outcome::False => Some(false),
        Outcome::Unreachable | Outcome::Readmitted => None,
    }
}

/// Verdicts that share a weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decided {
    /// The share by which they were drawn.
    pub share: f64,
    pub verdict: Verdict,
    pub items: u32,
}

/// What is known of a period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Calls in which some finding alerted, and those of them whose order was closed as true or as false.
    pub alerted_calls: u32,
    pub alerted_true: u32,
    pub alerted_false: u32,
    /// Calls in which nothing alerted, drawn or not, and QA's verdicts on those drawn.
    pub quiet_calls: u32,
    pub calls: Vec<Decided>,
    /// QA's verdicts on suppressed findings.
    pub suppressed: Vec<Decided>,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// What the verdicts of a period say; `None` where there is no verdict to say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// True calls that alerted, of all true calls.
    pub sensitivity: Option<Estimate>,
    /// True calls, of the alerted ones that a nurse could verify.
    pub ppv: Option<Estimate>,
    /// Calls with something missed, of those that raised no alert.
    pub missed: Option<Estimate>,
    /// Suppressed findings that should have alerted, of all suppressed ones.
    pub suppressed_missed: Option<Estimate>,
}

/// Estimates the period's figures.
///
/// Alerted and quiet calls are two strata, each verified in part and, within it, at random: the true calls of each are
/// its size times its verified share (Begg and Greenes, Biometrics 39 (1983) 207). Verdicts drawn by different shares
/// weigh by the inverse of theirs (Horvitz and Thompson, JASA 47 (1952) 663). Each share has a Wilson interval, on
/// Kish's effective number of verdicts where weights differ (Survey Sampling, 1965); sensitivity is 1 / (1 + r), r
/// being the ratio of missed to alerted true calls, with the interval of [`ratio_interval`].
pub fn figures(tally: &Tally) -> Figures {
    let verified = tally.alerted_true + tally.alerted_false;
    let ppv = (verified > 0).then(|| share(f64::from(tally.alerted_true), f64::from(verified)));
    let missed = share_missed(&tally.calls);
    // Where nothing alerted, nothing can have been true there; where nothing was quiet, nothing was missed.
    let none = Estimate {
        value: 0.0,
        low: 0.0,
        high: 0.0,
    };
    let found = if tally.alerted_calls == 0 {
        Some(none)
    } else {
        ppv
    };
    let lost = if tally.quiet_calls == 0 {
        Some(none)
    } else {
        missed
    };
    let sensitivity = match (found, lost) {
        (Some(found), Some(lost)) => sensitivity(
            found.times(f64::from(tally.alerted_calls)),
            lost.times(f64::from(tally.quiet_calls)),
        ),
        (None, _) | (_, None) => None,
    };
    Figures {
        sensitivity,
        ppv,
        missed,
        suppressed_missed: share_missed(&tally.suppressed),
    }
}

/// From true calls that alerted and true calls that did not.
fn sensitivity(found: Estimate, lost: Estimate) -> Option<Estimate> {
    if found.value + lost.value <= 0.0 {
        return None;
    }
    let (low, high) = ratio_interval(
        (lost.value, lost.low, lost.high),
        (found.value, found.low, found.high),
    );
    Some(Estimate {
        value: found.value / (found.value + lost.value),
        low: 1.0 / (1.0 + high),
        high: 1.0 / (1.0 + low),
    })
}

/// The weighted share of verdicts that say missed.
fn share_missed(decided: &[Decided]) -> Option<Estimate> {
    let (mut all, mut squares, mut missed) = (0.0, 0.0, 0.0);
    for group in decided
        .iter()
        .filter(|group| group.items > 0 && group.share > 0.0)
    {
        let (weight, items) = (1.0 / group.share, f64::from(group.items));
        all += weight * items;
        squares += weight * weight * items;
        missed += match group.verdict {
            Verdict::Missed => weight * items,
            Verdict::Right | Verdict::Wrong => 0.0,
        };
    }
    let effective = all * all / squares;
    (all > 0.0).then(|| share(missed / all * effective, effective))
}

fn share(successes: f64, trials: f64) -> Estimate {
    let (low, high) = wilson(successes, trials);
    Estimate {
        value: successes / trials,
        low,
        high,
    }
}

impl Estimate {
    fn times(self, count: f64) -> Estimate {
        Estimate {
            value: self.value * count,
            low: self.low * count,
            high: self.high * count,
        }
    }
}

#[cfg(test)]
mod tests;
