//! The findings of one call: placed in their turns, settled by their confirming questions, denied later on.
//!
//! A finding keeps its position from the moment it is heard, doubtful or not, so that the record can keep it at once
//! and what becomes of it takes its place there. `call` and `aftercall rehearse` share it.

use std::collections::VecDeque;

use crate::finding::{
    Confirmation, Denial, Finding, PlacedFinding, Polarity, RuleFired, Suppressed, Urgency, When,
};
use crate::id::{ConceptId, NodeId};
use crate::script::Verdict;

/// Where a reply stands.
#[derive(Clone, Debug)]
pub struct Spot {
    pub turn: u32,
    pub node: NodeId,
    pub from_ms: u64,
    pub to_ms: u64,
}

/// What was found so far.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    list: Vec<PlacedFinding>,
    suppressed: Vec<Suppressed>,
    /// Positions that are new or changed, to be told.
    changed: VecDeque<usize>,
}

impl Findings {
    /// Places what a reply said to a question that asks for these concepts. In the reply to a confirming question the
    /// concept in question is not found anew: that reply settles the finding it was asked for.
    pub fn place(
        &mut self,
        asks: &[ConceptId],
        findings: Vec<Finding>,
        spot: &Spot,
        confirming: Option<&ConceptId>,
    ) -> Verdict {
        let mut verdict = Verdict {
            there: said_of(asks, &findings),
            ..Verdict::default()
        };
        for finding in findings {
            let there = matches!(finding.polarity, Polarity::Present | Polarity::Uncertain);
            let settles =
                there && confirming == Some(&finding.concept) && self.is_settled_by(&finding);
            let doubtful = finding.confirmation == Confirmation::Due;
            let certain = finding.polarity == Polarity::Present
                && finding.urgency == Urgency::Emergent
                && !doubtful;
            if settles && self.is_over(&finding.concept) {
                continue;
            }
            if certain {
                verdict
                    .emergent
                    .get_or_insert_with(|| finding.concept.clone());
            }
            if settles {
                continue;
            }
            if doubtful && verdict.confirm.is_none() {
                verdict.confirm = Some(finding.concept.clone());
                verdict.over = finding.urgency != Urgency::Emergent;
            }
            if finding.polarity == Polarity::Absent {
                self.deny(&finding, spot);
            }
            self.changed.push_back(self.list.len());
            self.list.push(PlacedFinding {
                finding,
                turn: spot.turn,
                node: spot.node.clone(),
                from_ms: spot.from_ms,
                to_ms: spot.to_ms,
                denied: None,
            });
        }
        verdict
    }

    /// Settles the doubtful findings of a concept. Denied ones stay as such, for the record, and go to the audit
    /// sample; unclear ones go to a human, unconfirmed.
    pub fn confirmed(&mut self, concept: &ConceptId, outcome: Confirmation) {
        for at in self.due() {
            if self.list[at].finding.concept == *concept {
                self.settle(at, outcome);
            }
        }
    }

    /// The line ended before a confirming question was answered.
    pub fn end(&mut self) {
        for at in self.due() {
            self.settle(at, Confirmation::Unclear);
        }
    }

    pub fn suppress(&mut self, suppressed: Vec<Suppressed>) {
        self.suppressed.extend(suppressed);
    }

    /// The next finding that is new or has changed, with its position.
    pub fn poll_changed(&mut self) -> Option<(u32, PlacedFinding)> {
        let at = self.changed.pop_front()?;
        Some((u32::try_from(at).unwrap_or(u32::MAX), self.list[at].clone()))
    }

    /// All of them, by position, and what was suppressed.
    pub fn into_parts(self) -> (Vec<PlacedFinding>, Vec<Suppressed>) {
        (self.list, self.suppressed)
    }

    pub fn list(&self) -> &[PlacedFinding] {
        &self.list
    }

    /// Whether a finding that is asked about is settled by this reply to its question: not where it was over, and the
    /// reply says that it is not.
    fn is_settled_by(&self, reply: &Finding) -> bool {
        let asked_about = |at: usize| {
            let due = &self.list[at].finding;
            due.concept == reply.concept && !(due.when == When::Over && reply.when == When::Now)
        };
        self.due().into_iter().any(asked_about)
    }

    fn is_over(&self, concept: &ConceptId) -> bool {
        self.due().into_iter().any(|at| {
            let due = &self.list[at].finding;
            due.concept == *concept && due.when == When::Over
        })
    }

    fn due(&self) -> Vec<usize> {
        let due = |at: &usize| self.list[*at].finding.confirmation == Confirmation::Due;
        (0..self.list.len()).filter(due).collect()
    }

    fn settle(&mut self, at: usize, outcome: Confirmation) {
        let finding = &mut self.list[at].finding;
        let before = finding.polarity;
        let (polarity, rule) = match outcome {
            Confirmation::Confirmed => (Polarity::Present, "confirmed_when_asked"),
            Confirmation::Denied => (Polarity::Absent, "denied_when_asked"),
            Confirmation::Unclear | Confirmation::Due | Confirmation::NotNeeded => {
                (Polarity::Uncertain, "unclear_when_asked")
            }
        };
        if outcome == Confirmation::Denied {
            self.suppressed.push(Suppressed {
                concept: finding.concept.clone(),
                why: "denied when asked to confirm".to_owned(),
                evidence: finding.evidence.clone(),
            });
        }
        finding.confirmation = match outcome {
            Confirmation::Due | Confirmation::NotNeeded => Confirmation::Unclear,
            settled => settled,
        };
        finding.polarity = polarity;
        finding.evidence.rules.push(RuleFired {
            rule: rule.to_owned(),
            span: finding.evidence.span,
            before,
            after: polarity,
        });
        self.changed.push_back(at);
    }

    /// What was certain stays certain; the order shows that it was denied afterwards.
    fn deny(&mut self, absent: &Finding, spot: &Spot) {
        for (at, placed) in self.list.iter_mut().enumerate() {
            let finding = &placed.finding;
            let same = finding.concept == absent.concept && finding.subject == absent.subject;
            let raised = finding.alerts()
                && finding.urgency == Urgency::Emergent
                && finding.confirmation != Confirmation::Due;
            if same && raised && placed.turn < spot.turn && placed.denied.is_none() {
                placed.denied = Some(Denial {
                    turn: spot.turn,
                    node: spot.node.clone(),
                    from_ms: spot.from_ms,
                    to_ms: spot.to_ms,
                    raw: absent.evidence.raw.to_string(),
                });
                self.changed.push_back(at);
            }
        }
    }
}

/// Whether a reply says plainly that something asked for is there, or that none of it is.
fn said_of(asks: &[ConceptId], findings: &[Finding]) -> Option<bool> {
    let says = |concept: &ConceptId, polarity: Polarity| {
        let of = |finding: &Finding| finding.concept == *concept && finding.polarity == polarity;
        findings.iter().any(of)
    };
    if asks.iter().any(|concept| says(concept, Polarity::Present)) {
        return Some(true);
    }
    let denied = !asks.is_empty() && asks.iter().all(|concept| says(concept, Polarity::Absent));
    denied.then_some(false)
}
