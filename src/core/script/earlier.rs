//! What the calls of one step have answered before they broke off. The next call of the same day goes on from there, once
//! the same person is identified anew; on another day, with another script, or after an emergency it begins anew.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::node::{Kind, Node, NumberSpec};
use crate::attempt::{CallNote, Disposition, Progress, Turn};
use crate::finding::{PlacedFinding, Urgency};
use crate::id::NodeId;
use crate::question::Respondent;
use crate::time::Timestamp;

/// An identified call of a step that is over, as the record keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierCall {
    pub started_at: Timestamp,
    pub script_hash: String,
    pub ended: Disposition,
    pub progress: Progress,
    pub notes: Vec<CallNote>,
    pub turns: Vec<Turn>,
    pub findings: Vec<PlacedFinding>,
}

impl EarlierCall {
    /// Who was in danger is asked everything again.
    fn met_emergency(&self) -> bool {
        let advised = |note: &CallNote| matches!(note, CallNote::EmergencyAdviceGiven { .. });
        let emergent = |placed: &PlacedFinding| {
            placed.finding.alerts() && placed.finding.urgency == Urgency::Emergent
        };
        self.ended == Disposition::CutInEmergency
            || self.notes.iter().any(advised)
            || self.findings.iter().any(emergent)
    }
}

/// Answers that need not be asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// Who gave them.
    pub respondent: Respondent,
    /// The emergency screen was over; else all of it is asked again.
    pub screened: bool,
    answers: BTreeMap<NodeId, Given>,
}

/// The last thing a question was answered with, as its turn says it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Given {
    meaning: String,
    /// It was read back, and right.
    confirmed: bool,
}

/// What the turn of a number that is read back is called, after its question.
const READ_BACK: &str = "/read_back";

impl Earlier {
    /// What the calls of one step, oldest first, leave for a call that begins `now` with the script of this hash; `None`:
    /// it begins anew.
    pub fn of(
        calls: &[EarlierCall],
        script_hash: &str,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Option<Earlier> {
        let day = |at: Timestamp| zone.to_datetime(at).date();
        let of_today = calls.iter().filter(|call| {
            call.progress.identified
                && call.script_hash == script_hash
                && day(call.started_at) == day(now)
        });
        let mut found: Option<Earlier> = None;
        for call in of_today {
            if call.met_emergency() {
                return None;
            }
            // Until somebody was identified, turns say that it is the patient.
            let Some(respondent) = call.turns.last().map(|turn| turn.respondent) else {
                continue;
            };
            let known = found.take().filter(|known| known.respondent == respondent);
            let mut known = known.unwrap_or(Earlier {
                respondent,
                screened: false,
                answers: BTreeMap::new(),
            });
            known.screened |= call.progress.screened;
            let own = call
                .turns
                .iter()
                .filter(|turn| turn.respondent == respondent);
            own.for_each(|turn| known.read(turn));
            found = Some(known);
        }
        found.filter(|known| known.screened || !known.answers.is_empty())
    }

    fn read(&mut self, turn: &Turn) {
        let Some(reply) = &turn.reply else { return };
        match turn.node.0.strip_suffix(READ_BACK) {
            Some(question) => {
                if let Some(given) = self.answers.get_mut(&NodeId(question.to_owned())) {
                    given.confirmed = reply.meaning == "yes";
                }
            }
            None => {
                let given = Given {
                    meaning: reply.meaning.clone(),
                    confirmed: false,
                };
                self.answers.insert(turn.node.clone(), given);
            }
        }
    }

    /// The way out of a question that need not be asked again. Identity, and what a command led to, always is.
    pub(super) fn way_out(&self, node: &Node) -> Option<String> {
        if node.effect.is_some() {
            return None;
        }
        if node.emergency {
            // Whatever its answers were, the script goes on behind a screen that is over.
            return self.screened.then(String::new);
        }
        let given = self.answers.get(&node.id)?;
        let number = |spec: &NumberSpec| {
            let is_right = given.confirmed || !spec.read_back;
            (is_right && given.meaning.parse::<f64>().is_ok()).then_some("number")
        };
        let key = match &node.kind {
            Kind::YesNo { number: spec, .. } => match given.meaning.as_str() {
                "yes" | "no" => Some(given.meaning.as_str()),
                _ => spec.as_ref().and_then(number),
            },
            Kind::Choice(choices) => {
                let mut ids = choices.iter().map(|choice| choice.id.as_str());
                ids.find(|id| *id == given.meaning)
            }
            Kind::Number(spec) if given.meaning != "none" => number(spec),
            Kind::Number(_) => Some("none"),
            Kind::Open => (given.meaning == "any").then_some("any"),
            Kind::Say
            | Kind::End
            | Kind::Identity
            | Kind::Who
            | Kind::BirthDate
            | Kind::Wait
            | Kind::Stay { .. } => None,
        };
        key.map(str::to_owned)
    }

    /// A question that is asked again after all.
    pub(super) fn forget(&mut self, node: &NodeId) {
        self.answers.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::TurnReply;
    use crate::heard::Transcript;
    use crate::id::ConceptId;
    use crate::phi::Phi;

    const TODAY: &str = "2026-11-23T02:00:00Z";

    fn turn(node: &str, meaning: &str) -> Turn {
        Turn {
            index: 0,
            node: NodeId(node.to_owned()),
            prompt: Phi::new(String::new()),
            kind: None,
            asks: Vec::new(),
            respondent: Respondent::Patient,
            prompt_from_ms: 0,
            prompt_to_ms: 0,
            reply: Some(TurnReply {
                heard: Phi::new(Transcript {
                    text: String::new(),
                    logprob: 0.0,
                    no_speech: 0.0,
                    choice: None,
                    alternates: Vec::new(),
                    took_ms: 0,
                }),
                keys: Phi::new(String::new()),
                meaning: meaning.to_owned(),
                from_ms: 0,
                to_ms: 0,
                latency_ms: None,
                readings: Vec::new(),
            }),
        }
    }

    fn call(started_at: &str, nodes: &[(&str, &str)]) -> EarlierCall {
        EarlierCall {
            started_at: started_at.parse().expect("an instant"),
            script_hash: "hash".to_owned(),
            ended: Disposition::Partial,
            progress: Progress {
                identified: true,
                screened: true,
                closing_spoken: false,
            },
            notes: Vec::new(),
            turns: nodes.iter().map(|(node, said)| turn(node, said)).collect(),
            findings: Vec::new(),
        }
    }

    fn of(calls: &[EarlierCall], now: &str) -> Option<Vec<String>> {
        let zone = crate::time::zone("Asia/Shanghai").expect("a zone");
        let now = now.parse().expect("an instant");
        let earlier = Earlier::of(calls, "hash", &zone, now)?;
        let given = earlier.answers.iter();
        Some(
            given
                .map(|(node, given)| format!("{node} {}", given.meaning))
                .collect(),
        )
    }

    fn answers(of: &[&str]) -> Option<Vec<String>> {
        Some(of.iter().map(|&one| one.to_owned()).collect())
    }

    #[test]
    fn only_the_same_day_the_same_script_and_an_identified_call_are_gone_on_with() {
        let first = call(TODAY, &[("trend", "better"), ("legs", "unclear")]);
        assert_eq!(
            of(std::slice::from_ref(&first), "2026-11-23T15:59:59Z"),
            answers(&["legs unclear", "trend better"])
        );
        // Midnight in Shanghai.
        assert_eq!(
            of(std::slice::from_ref(&first), "2026-11-23T16:00:00Z"),
            None
        );
        let other_script = EarlierCall {
            script_hash: "another".to_owned(),
            ..first.clone()
        };
        assert_eq!(of(&[other_script], TODAY), None);
        let unidentified = EarlierCall {
            progress: Progress::default(),
            ..first
        };
        assert_eq!(of(&[unidentified], TODAY), None);
        assert_eq!(of(&[], TODAY), None);
    }

    #[test]
    fn whoever_was_in_danger_is_asked_everything() {
        let advice = CallNote::EmergencyAdviceGiven {
            concept: ConceptId("chest_pain".to_owned()),
        };
        let first = call(TODAY, &[("trend", "better")]);
        let cut = EarlierCall {
            ended: Disposition::CutInEmergency,
            ..first.clone()
        };
        let advised = EarlierCall {
            notes: vec![advice],
            ..first.clone()
        };
        assert_eq!(of(&[first.clone(), cut], TODAY), None);
        assert_eq!(of(&[advised, first], TODAY), None);
    }

    #[test]
    fn what_several_calls_answered_is_one_but_not_what_another_person_said() {
        let first = call(TODAY, &[("trend", "better"), ("legs", "silence")]);
        let second = call(TODAY, &[("legs", "no")]);
        let both = [first.clone(), second.clone()];
        assert_eq!(of(&both, TODAY), answers(&["legs no", "trend better"]));
        let mut by_wife = second;
        by_wife.turns[0].respondent = Respondent::Caregiver;
        assert_eq!(of(&[first, by_wife], TODAY), answers(&["legs no"]));
    }
}
