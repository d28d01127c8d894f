//! What the call concludes: findings and whether they are on disk, the disposition.

use super::{Call, CallEvent, Spot};
use crate::attempt::{CallNote, Disposition, Ending, Met};
use crate::ear::amd::{Answerer, Sign};
use crate::ear::announcement::Announcement;
use crate::finding::{Confirmation, Urgency};
use crate::id::{ConceptId, NodeId};
use crate::phi::Phi;
use crate::redflag::Assessment;
use crate::script::{Note, Verdict};
use crate::sip::event::{EndCause, LegEnding};

impl Call {
    /// Places findings in the open turn.
    pub(super) fn place(
        &mut self,
        asks: &[ConceptId],
        found: Assessment,
        from_ms: u64,
        to_ms: u64,
    ) -> Verdict {
        let (turn, node) = match &self.open_turn {
            Some(turn) => (turn.index, turn.node.clone()),
            None => (
                u32::try_from(self.turns.len()).unwrap_or(u32::MAX),
                NodeId(String::new()),
            ),
        };
        let spot = Spot {
            turn,
            node,
            from_ms,
            to_ms,
        };
        self.findings.suppress(found.suppressed);
        self.readings.extend(found.readings);
        let confirming = self.conversation.confirming();
        let verdict = self.findings.place(asks, found.findings, &spot, confirming);
        self.tell_findings();
        verdict
    }

    pub(super) fn confirmed(&mut self, concept: &ConceptId, outcome: Confirmation) {
        self.findings.confirmed(concept, outcome);
        self.tell_findings();
    }

    /// Tells what is new or has changed. What a human must have at once is waited for before the robot goes on.
    pub(super) fn tell_findings(&mut self) {
        while let Some((position, placed)) = self.findings.poll_changed() {
            let finding = &placed.finding;
            if finding.alerts() && finding.urgency == Urgency::Emergent {
                self.unstored.insert(position);
                let patience = u64::try_from(self.kit.limits.store.as_millis()).unwrap_or(u64::MAX);
                self.stored_by_ms = self.at_ms().saturating_add(patience);
            }
            self.event(CallEvent::Found {
                position,
                placed: Box::new(placed),
            });
        }
    }

    /// Whether a finding that a human must have at once is not known to be on disk. It is waited for a little: the
    /// patient comes first, and the recorder tries again by itself.
    pub(super) fn awaits_store(&self) -> bool {
        !self.unstored.is_empty() && self.at_ms() < self.stored_by_ms
    }

    pub(super) fn ending(&self, leg: &LegEnding) -> Ending {
        let talk_ms = if self.answered_at.is_some() {
            self.at_ms()
        } else {
            0
        };
        let disposition = self.disposition(leg);
        // A line that is busy knocks, and a far end that says nothing of ringing may have rung all the same.
        let refused = matches!(
            disposition,
            Disposition::TrunkFailure | Disposition::InvalidNumber
        );
        Ending {
            disposition,
            sip_status: leg.status,
            q850_cause: leg.q850_cause,
            early_media: self.early_media(),
            met: self.met(),
            answered_by: self.answered_by(),
            rang: (self.rang || leg.rang || !refused) && !self.is_inbound,
            talk_ms,
        }
    }

    fn disposition(&self, leg: &LegEnding) -> Disposition {
        if self.amd.verdict().answerer == Answerer::Machine {
            return self.announcement.map_or(Disposition::Machine, announced);
        }
        if self.answered_at.is_some() {
            return self.in_hands(self.conversation.disposition());
        }
        // What the network announced explains more than the code that follows it (telephony.md §4).
        if let Some(class) = self
            .announcement
            .filter(|class| *class != Announcement::Unknown)
        {
            return announced(class);
        }
        if self.opening.is_busy() && self.rang {
            return Disposition::Busy;
        }
        unanswered(leg, self.rang || leg.rang)
    }

    /// What was heard before the answer; for a machine, also what it said of itself.
    fn early_media(&self) -> Option<String> {
        let class = self.announcement.map(|class| class.to_string());
        class.or_else(|| self.opening.early_tone().map(str::to_owned))
    }

    fn met(&self) -> Option<Met> {
        self.answered_at?;
        let verdict = self.amd.verdict();
        let who = match verdict.sign {
            Sign::Said(class) => class.to_string(),
            Sign::Beep => Announcement::Voicemail.to_string(),
            Sign::FaxTone => Announcement::Fax.to_string(),
            Sign::Greeting | Sign::PickedUp | Sign::Doubt | Sign::Answer | Sign::NothingHeard => {
                verdict.answerer.to_string()
            }
        };
        Some(Met {
            who,
            evidence: verdict.sign.to_string(),
            at_ms: verdict.at_ms,
            told: self.machine.told(),
        })
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
        | Announcement::Fax
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
            Note::WentOn => CallNote::WentOn,
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
            | Note::Interrupted { .. }
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
