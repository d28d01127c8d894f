//! From what a call left behind to what a human must do, and how soon.

use std::collections::BTreeSet;

use crate::attempt::{CallNote, CallRecord, Disposition};
use crate::finding::{About, PlacedFinding, Urgency};
use crate::id::{AttemptId, ConceptId, EpisodeId, PackId, PatientId, WorkOrderId};
use crate::plan::{Reason, ReasonCode, StepState};
use crate::redflag::pack::{Packs, Sign};
use crate::time::Timestamp;
use crate::trend::{Direction, History, Line, Rules, Trend, trends};

use super::{Cause, Deadlines, WorkOrder, WorkOrderState};

/// Less talk with a person on call than this leaves the order to call back.
const TALKED_MS: u64 = 15_000;

/// Whom an order is for. A call without a patient record has neither patient nor episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub patient: Option<PatientId>,
    pub episode: Option<EpisodeId>,
    pub attempt: Option<AttemptId>,
    pub high_risk: bool,
}

/// Why a human is needed after this call; empty when none is.
pub fn causes_of(record: &CallRecord, subject: &Subject) -> Vec<Cause> {
    let alerts = record
        .findings
        .iter()
        .filter(|placed| placed.finding.alerts());
    let found = alerts.map(|placed| Cause::Finding {
        finding: Box::new(placed.clone()),
        attempt: subject.attempt.clone(),
    });
    let mut causes: Vec<Cause> = found.collect();
    let noted = record
        .notes
        .iter()
        .filter_map(|note| cause_of_note(note, subject.high_risk));
    let ended = cause_of_ending(record.ending.disposition, subject.high_risk);
    for cause in noted.chain(ended) {
        add(&mut causes, cause);
    }
    // Whoever asked for a person has talked to one.
    if has_talked(record) {
        causes.retain(|cause| *cause != Cause::AskedForPerson);
    }
    if broke_off(record) {
        add(&mut causes, Cause::Incomplete);
    }
    causes
}

/// Whether the robot connected the patient with a person, and they talked.
pub fn has_talked(record: &CallRecord) -> bool {
    let talked_ms = |note: &CallNote| {
        if let CallNote::Connected { talk_ms, .. } = note {
            Some(*talk_ms)
        } else if let CallNote::TakenOver { from_ms, to_ms, .. } = note {
            Some(to_ms.saturating_sub(*from_ms))
        } else {
            None
        }
    };
    let mut talks = record.notes.iter().filter_map(talked_ms);
    talks.any(|talk_ms| talk_ms >= TALKED_MS)
}

/// What is worse than on an earlier call, where that is news since the call before this one. The present call is the
/// last of the history.
pub fn causes_of_trends(rules: &Rules, history: &History, subject: &Subject) -> Vec<Cause> {
    let known_until = history.known_until();
    let is_told = |trend: &Trend| {
        trend.direction == Direction::Worse && trend.urgency.is_some() && trend.is_news(known_until)
    };
    let worse = trends(rules, history).into_iter().filter(is_told);
    let causes = worse.map(|trend| Cause::Trend {
        trend: Box::new(trend),
        attempt: subject.attempt.clone(),
    });
    causes.collect()
}

/// What the packs that hold for a patient make of a call's findings: each rule that raises, and the routine findings
/// that it rests on. `worse` are the call's other causes, for what is worse than at the last call.
pub fn causes_of_packs(
    packs: &Packs,
    holds: &[PackId],
    findings: &[PlacedFinding],
    worse: &[Cause],
    attempt: Option<&AttemptId>,
) -> Vec<Cause> {
    // The signs of a mother and of her child are not one picture.
    let mut causes = Vec::new();
    for about in [About::Patient, About::Newborn] {
        let of = findings
            .iter()
            .filter(|placed| placed.finding.subject == about);
        let signs = of.clone().filter_map(|placed| {
            let finding = &placed.finding;
            let line = Line::Concept {
                concept: finding.concept.clone(),
                about,
            };
            Sign::of(finding, worse.iter().any(|cause| names_worse(cause, &line)))
        });
        let signs: Vec<Sign<'_>> = signs.collect();
        for raised in packs.raise(holds, &signs) {
            let quiet = of.clone().filter(|placed| {
                let finding = &placed.finding;
                finding.is_there()
                    && !finding.alerts()
                    && raised.concepts.contains(&finding.concept)
            });
            for placed in quiet {
                let cause = Cause::Finding {
                    finding: Box::new(placed.clone()),
                    attempt: attempt.cloned(),
                };
                add(&mut causes, cause);
            }
            let cause = Cause::Pack {
                pack: raised.rule.pack.clone(),
                rule: raised.rule.id.clone(),
                why: raised.rule.why.clone(),
                urgency: raised.rule.urgency,
                concepts: raised.concepts,
                attempt: attempt.cloned(),
            };
            add(&mut causes, cause);
        }
    }
    causes
}

fn names_worse(cause: &Cause, line: &Line) -> bool {
    match cause {
        Cause::Trend { trend, .. } => trend.line == *line,
        Cause::Finding { .. }
        | Cause::Pack { .. }
        | Cause::Incomplete
        | Cause::NotAssessed { .. }
        | Cause::IdentityFailed
        | Cause::Unreachable
        | Cause::AskedForPerson
        | Cause::CallBackAt { .. }
        | Cause::OptedOut
        | Cause::ReportedDeath
        | Cause::ReportedReadmission
        | Cause::InvalidNumber
        | Cause::NotCalled { .. }
        | Cause::Task { .. } => false,
    }
}

/// Identified, and the emergency screen neither answered nor given up for a reason that a human hears of.
fn broke_off(record: &CallRecord) -> bool {
    let emergent = |placed: &PlacedFinding| {
        placed.finding.alerts() && placed.finding.urgency == Urgency::Emergent
    };
    // An emergency stops the screen by itself, and a human has it.
    if !record.progress.identified
        || record.progress.screened
        || record.findings.iter().any(emergent)
    {
        return false;
    }
    match record.ending.disposition {
        Disposition::OptedOut
        | Disposition::AskedForPerson
        | Disposition::ReportedDeath
        | Disposition::ReportedReadmission
        | Disposition::WrongParty
        // Alive, and rung again at the hour asked for.
        | Disposition::NotNow => false,
        Disposition::Completed
        | Disposition::Partial
        // What the nurse asked is not on record: she closes the order with it.
        | Disposition::TakenOver
        | Disposition::CutInEmergency
        | Disposition::Unidentified
        | Disposition::Machine
        | Disposition::NoAnswer
        | Disposition::Busy
        | Disposition::Declined
        | Disposition::InvalidNumber
        | Disposition::Unreachable
        | Disposition::TrunkFailure
        | Disposition::Interrupted => true,
    }
}

fn cause_of_note(note: &CallNote, high_risk: bool) -> Option<Cause> {
    match note {
        CallNote::NotAssessed { node } => Some(Cause::NotAssessed {
            node: node.0.clone(),
        }),
        CallNote::IdentityFailed => Some(Cause::IdentityFailed),
        CallNote::AskedForPerson => Some(Cause::AskedForPerson),
        CallNote::Connected { .. } | CallNote::TakenOver { .. } | CallNote::WentOn => None,
        CallNote::CallBackAt { words } => Some(Cause::CallBackAt {
            words: words.expose().clone(),
        }),
        CallNote::OptedOut => high_risk.then_some(Cause::OptedOut),
        CallNote::ReportedDeath => Some(Cause::ReportedDeath),
        CallNote::ReportedReadmission => Some(Cause::ReportedReadmission),
        // The plan tries once more, and raises an order when a second person says so.
        CallNote::WrongParty => None,
        // The finding that it was given for is the cause.
        CallNote::EmergencyAdviceGiven { .. } => None,
    }
}

fn cause_of_ending(disposition: Disposition, high_risk: bool) -> Option<Cause> {
    match disposition {
        Disposition::AskedForPerson => Some(Cause::AskedForPerson),
        Disposition::OptedOut => high_risk.then_some(Cause::OptedOut),
        Disposition::ReportedDeath => Some(Cause::ReportedDeath),
        Disposition::ReportedReadmission => Some(Cause::ReportedReadmission),
        Disposition::InvalidNumber => Some(Cause::InvalidNumber),
        Disposition::Completed
        | Disposition::Partial
        | Disposition::CutInEmergency
        | Disposition::Unidentified
        | Disposition::WrongParty
        | Disposition::NotNow
        | Disposition::Machine
        | Disposition::NoAnswer
        | Disposition::Busy
        | Disposition::Declined
        | Disposition::Unreachable
        | Disposition::TrunkFailure
        | Disposition::TakenOver
        | Disposition::Interrupted => None,
    }
}

/// Why a human is needed when the plan closes a step. `in_time`: it was planned before its days were over; a stay that
/// comes from an old list leaves no work behind.
pub fn cause_of_step(state: StepState, reason: &Reason, in_time: bool) -> Option<Cause> {
    let code = reason.code();
    match (state, code) {
        (StepState::Unreached, _) => Some(Cause::Unreachable),
        (StepState::Lapsed, _) => in_time.then(|| Cause::NotCalled {
            reason: match reason {
                Reason::Lapsed {
                    because: Some(why), ..
                } => why.code(),
                _ => code,
            },
        }),
        (
            StepState::Blocked,
            ReasonCode::Deaf
            | ReasonCode::NoPhone
            | ReasonCode::Extension
            | ReasonCode::UnknownZone
            | ReasonCode::NoGuardian
            | ReasonCode::Minor,
        ) => Some(Cause::NotCalled { reason: code }),
        (StepState::Blocked, ReasonCode::InvalidNumber | ReasonCode::WrongParty) => {
            Some(Cause::InvalidNumber)
        }
        (StepState::Planned | StepState::Calling | StepState::Done | StepState::Blocked, _) => None,
    }
}

/// How soon these causes need a human: the most urgent of them, and urgent for two or more different same-day
/// concepts, be they of several calls: the rule `two-same-day` of the general pack, which sees one call.
pub fn urgency_of(causes: &[Cause], high_risk: bool) -> Urgency {
    let highest = causes
        .iter()
        .map(|cause| urgency_of_cause(cause, high_risk))
        .min()
        .unwrap_or(Urgency::Routine);
    let same_day: BTreeSet<Option<&ConceptId>> =
        causes.iter().filter_map(same_day_concept).collect();
    if same_day.len() >= 2 {
        highest.min(Urgency::Urgent)
    } else {
        highest
    }
}

/// The concept for which the cause is a matter of the day; none for the patient's own "worse", which is one more.
fn same_day_concept(cause: &Cause) -> Option<Option<&ConceptId>> {
    match cause {
        Cause::Finding { finding, .. } if finding.finding.urgency == Urgency::SameDay => {
            Some(Some(&finding.finding.concept))
        }
        Cause::Trend { trend, .. } if trend.urgency == Some(Urgency::SameDay) => {
            Some(trend.concept.as_ref())
        }
        Cause::Finding { .. }
        | Cause::Trend { .. }
        | Cause::Pack { .. }
        | Cause::Incomplete
        | Cause::NotAssessed { .. }
        | Cause::IdentityFailed
        | Cause::Unreachable
        | Cause::AskedForPerson
        | Cause::CallBackAt { .. }
        | Cause::OptedOut
        | Cause::ReportedDeath
        | Cause::ReportedReadmission
        | Cause::InvalidNumber
        | Cause::NotCalled { .. }
        | Cause::Task { .. } => None,
    }
}

fn urgency_of_cause(cause: &Cause, high_risk: bool) -> Urgency {
    match cause {
        Cause::Finding { finding, .. } => finding.finding.urgency,
        Cause::Trend { trend, .. } => trend.urgency.unwrap_or(Urgency::Routine),
        Cause::Pack { urgency, .. } => *urgency,
        Cause::Incomplete
        | Cause::NotAssessed { .. }
        | Cause::AskedForPerson
        | Cause::OptedOut
        | Cause::ReportedDeath
        | Cause::ReportedReadmission => Urgency::SameDay,
        Cause::Unreachable | Cause::InvalidNumber | Cause::NotCalled { .. } if high_risk => {
            Urgency::SameDay
        }
        Cause::Unreachable
        | Cause::InvalidNumber
        | Cause::NotCalled { .. }
        | Cause::IdentityFailed
        | Cause::CallBackAt { .. }
        | Cause::Task { .. } => Urgency::Routine,
    }
}

/// Opens an order; `None` without a cause.
pub fn raise(
    id: WorkOrderId,
    subject: &Subject,
    causes: Vec<Cause>,
    deadlines: &Deadlines,
    now: Timestamp,
) -> Option<WorkOrder> {
    if causes.is_empty() {
        return None;
    }
    let urgency = urgency_of(&causes, subject.high_risk);
    let promised_by = deadlines.promised_by(&causes, now);
    let due_at = deadlines.due_at(urgency, now);
    Some(WorkOrder {
        id,
        patient: subject.patient.clone(),
        episode: subject.episode.clone(),
        ward: String::new(),
        attempt: subject.attempt.clone(),
        urgency,
        causes,
        state: WorkOrderState::Open,
        raised_at: now,
        due_at: promised_by.map_or(due_at, |by| by.min(due_at)),
        level: 0,
        exhausted: false,
        owner: None,
        promised_by,
        spoken_by: None,
        spoken_at: None,
        acknowledged_by: None,
        acknowledged_at: None,
        closed_by: None,
        closed_at: None,
        outcome: None,
        note: None,
    })
}

/// What joining changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// Every cause was known.
    Nothing,
    /// New causes; whoever owns the order is told.
    Added,
    /// New causes on an acknowledged order: it is open again, because nobody has seen them.
    Reopened,
}

/// Adds causes to an order that is not closed. Urgency only rises and the deadline only comes nearer,
/// unless the order had been acknowledged, which stopped its deadline: it starts afresh. What is promised anew has to
/// be kept anew.
pub fn join(
    order: &mut WorkOrder,
    causes: Vec<Cause>,
    high_risk: bool,
    deadlines: &Deadlines,
    now: Timestamp,
) -> Joined {
    let before = order.causes.len();
    for cause in causes {
        add(&mut order.causes, cause);
    }
    let Some(news) = order.causes.get(before..).filter(|news| !news.is_empty()) else {
        return Joined::Nothing;
    };
    if let Some(by) = deadlines.promised_by(news, now) {
        let earlier = order.promise().map_or(by, |earlier| earlier.min(by));
        order.promised_by = Some(earlier);
        (order.spoken_by, order.spoken_at) = (None, None);
    }
    order.urgency = order.urgency.min(urgency_of(&order.causes, high_risk));
    match order.state {
        WorkOrderState::Open => {
            let due_at = deadlines.due_at(order.urgency, now);
            let word = order.promise().filter(|by| *by > now).unwrap_or(due_at);
            order.due_at = order.due_at.min(due_at).min(word);
            Joined::Added
        }
        WorkOrderState::Acknowledged | WorkOrderState::Closed => {
            let owner = order.owner.take();
            order.open(deadlines, now);
            order.owner = owner;
            Joined::Reopened
        }
    }
}

fn add(causes: &mut Vec<Cause>, cause: Cause) {
    if !causes.contains(&cause) {
        causes.push(cause);
    }
}
