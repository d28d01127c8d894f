//! What the call concludes: findings placed in their turns, confirmations, the disposition.

use super::{Call, CallEvent};
use crate::attempt::{CallNote, Disposition, Ending};
use crate::ear::amd::{Announcement, Answerer};
use crate::finding::{Confirmation, Finding, PlacedFinding, Polarity, Suppressed, Urgency};
use crate::id::{ConceptId, NodeId};
use crate::phi::Phi;
use crate::script::{Note, Verdict};
use crate::sip::event::{EndCause, LegEnding};

impl Call {
    /// Places findings in the open turn; doubtful emergent ones wait for their confirming question.
    pub(super) fn place(&mut self, findings: Vec<Finding>, from_ms: u64, to_ms: u64) -> Verdict {
        let (turn, node) = match &self.open_turn {
            Some(turn) => (turn.index, turn.node.clone()),
            None => (
                u32::try_from(self.turns.len()).unwrap_or(u32::MAX),
                NodeId(String::new()),
            ),
        };
        let mut verdict = Verdict::default();
        for finding in findings {
            let placed = PlacedFinding {
                finding,
                turn,
                node: node.clone(),
                from_ms,
                to_ms,
            };
            if placed.finding.confirmation == Confirmation::Due {
                verdict
                    .confirm
                    .get_or_insert_with(|| placed.finding.concept.clone());
                self.due.push(placed);
                continue;
            }
            let certain = placed.finding.polarity == Polarity::Present
                && placed.finding.urgency == Urgency::Emergent;
            if certain {
                verdict
                    .emergent
                    .get_or_insert_with(|| placed.finding.concept.clone());
            }
            self.found(placed);
        }
        verdict
    }

    fn found(&mut self, placed: PlacedFinding) {
        self.event(CallEvent::Found(Box::new(placed.clone())));
        self.findings.push(placed);
    }

    /// Confirmed is a finding; clearly denied is kept for the audit sample; unclear raises unconfirmed.
    pub(super) fn confirmed(&mut self, concept: &ConceptId, outcome: Confirmation) {
        let (of_concept, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|placed| placed.finding.concept == *concept);
        self.due = rest;
        for mut placed in of_concept {
            placed.finding.confirmation = outcome;
            match outcome {
                Confirmation::Confirmed => {
                    placed.finding.polarity = Polarity::Present;
                    self.found(placed);
                }
                Confirmation::Denied => self.suppressed.push(Suppressed {
                    concept: placed.finding.concept,
                    why: "denied when asked to confirm".to_owned(),
                    evidence: placed.finding.evidence,
                }),
                Confirmation::Unclear | Confirmation::Due | Confirmation::NotNeeded => {
                    self.unconfirmed(placed)
                }
            }
        }
    }

    fn unconfirmed(&mut self, mut placed: PlacedFinding) {
        placed.finding.confirmation = Confirmation::Unclear;
        if placed.finding.polarity == Polarity::Present {
            placed.finding.polarity = Polarity::Uncertain;
        }
        self.found(placed);
    }

    /// The line ended before the confirming question was answered: a human gets it, unconfirmed.
    pub(super) fn settle_unconfirmed(&mut self) {
        for placed in std::mem::take(&mut self.due) {
            self.unconfirmed(placed);
        }
    }

    pub(super) fn ending(&self, leg: &LegEnding) -> Ending {
        let talk_ms = if self.answered_at.is_some() {
            self.at_ms()
        } else {
            0
        };
        Ending {
            disposition: self.disposition(leg),
            sip_status: leg.status,
            q850_cause: leg.q850_cause,
            early_media: self.announcement.map(|class| class.to_string()),
            answered_by: self.answered_by(),
            rang: self.rang || leg.rang,
            talk_ms,
        }
    }

    fn disposition(&self, leg: &LegEnding) -> Disposition {
        if self.amd.verdict() == Answerer::Machine {
            return self.announcement.map_or(Disposition::Machine, announced);
        }
        if self.answered_at.is_some() {
            return self.conversation.disposition();
        }
        // What the network announced explains more than the code that follows it (telephony.md §4).
        if let Some(class) = self
            .announcement
            .filter(|class| *class != Announcement::Unknown)
        {
            return announced(class);
        }
        unanswered(leg, self.rang || leg.rang)
    }
}

/// What an announcement means for the plan.
fn announced(class: Announcement) -> Disposition {
    match class {
        Announcement::InvalidNumber | Announcement::Suspended => Disposition::InvalidNumber,
        Announcement::PoweredOff | Announcement::Unreachable => Disposition::Unreachable,
        Announcement::Busy => Disposition::Busy,
        Announcement::NoAnswer => Disposition::NoAnswer,
        Announcement::Barred | Announcement::CallerBlocked => Disposition::Declined,
        Announcement::Forwarding
        | Announcement::Voicemail
        | Announcement::Assistant
        | Announcement::CallReminder
        | Announcement::Unknown => Disposition::Machine,
    }
}

/// SIP status and Q.850 cause of a call that nobody answered.
fn unanswered(leg: &LegEnding, rang: bool) -> Disposition {
    match (leg.why, leg.status, leg.q850_cause) {
        (EndCause::RingTimeout, _, _) => Disposition::NoAnswer,
        (_, Some(486 | 600), _) | (_, _, Some(17)) => Disposition::Busy,
        (_, Some(404 | 410 | 484 | 604), _) | (_, _, Some(1 | 22 | 28)) => {
            Disposition::InvalidNumber
        }
        (_, Some(403 | 603 | 607 | 608), _) | (_, _, Some(21)) => Disposition::Declined,
        (_, Some(480 | 408 | 487), _) | (_, _, Some(18..=20)) => Disposition::NoAnswer,
        _ if rang => Disposition::NoAnswer,
        _ => Disposition::TrunkFailure,
    }
}

/// What the conversation noted for the plan and for a human.
pub fn call_notes(notes: &[Note]) -> Vec<CallNote> {
    let mut kept = Vec::new();
    for note in notes {
        let note = match note {
            Note::IdentityFailed => CallNote::IdentityFailed,
            Note::NotAssessed { node } => CallNote::NotAssessed { node: node.clone() },
            Note::AskedForPerson => CallNote::AskedForPerson,
            Note::CallBackAt { words } => CallNote::CallBackAt {
                words: Phi::new(words.clone()),
            },
            Note::OptedOut => CallNote::OptedOut,
            Note::ReportedDeath => CallNote::ReportedDeath,
            Note::ReportedReadmission => CallNote::ReportedReadmission,
            Note::WrongParty => CallNote::WrongParty,
            Note::EmergencyAdviceGiven { concept } => CallNote::EmergencyAdviceGiven {
                concept: concept.clone(),
            },
            Note::TurnOpened { .. }
            | Note::TurnClosed { .. }
            | Note::Identified { .. }
            | Note::Screened
            | Note::Confirmation { .. }
            | Note::Finished => continue,
        };
        if !kept.contains(&note) {
            kept.push(note);
        }
    }
    kept
}
