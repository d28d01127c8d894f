//! The clinical table's groups of wordings on the concepts of this lexicon (`mapping.tsv`), for the clinician.
//!
//! Nothing is judged by it. It is held to the lexicon, so that the page a clinician signs is true.

use super::Lexicon;
use super::lexicon::urgency_of;
use super::pack::Sign;
use crate::finding::Urgency;
use crate::id::ConceptId;

/// One row: a group may be split over several concepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub group: String,
    /// P0 to P3, STOP or HUMAN, as in the clinical table.
    pub tier: String,
    pub to: Destination,
    /// What is lost on the way; empty where nothing is.
    pub loss: String,
}

/// Where a group goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    Concept {
        concept: ConceptId,
        detail: Option<String>,
        /// What it comes to by itself and in the general pack.
        urgency: Urgency,
    },
    /// A command of the script: the reply is an instruction, not a complaint.
    Command(String),
}

/// Reads a row: group, tier, concept, detail, urgency, loss.
///
/// # Errors
/// What is wrong with the row; also that the lexicon gives another urgency than the row says, and a group that is
/// less urgent here than its tier without a word of loss.
pub(super) fn mapped_of(cells: &[&str], lexicon: &Lexicon) -> Result<Mapped, String> {
    let [group, tier, target, detail, urgency, loss] = cells[..6] else {
        return Err("a mapping has group, tier, concept, detail, urgency and loss".to_owned());
    };
    let least = match tier {
        "P0" => Urgency::Emergent,
        "P1" => Urgency::Urgent,
        "P2" => Urgency::SameDay,
        "P3" | "STOP" | "HUMAN" => Urgency::Routine,
        other => return Err(format!("unknown tier `{other}`")),
    };
    let to = match target.strip_prefix('@') {
        Some(command) => Destination::Command(command.to_owned()),
        None => {
            let detail = Some(detail).filter(|detail| !detail.is_empty());
            let urgency = urgency_of(urgency)?;
            let given = given(lexicon, target, detail)?;
            if given != urgency {
                return Err(format!("it says {urgency}, the lexicon gives {given}"));
            }
            if given > least && loss.is_empty() {
                return Err(format!(
                    "less urgent than {tier}, and no word of it in loss"
                ));
            }
            Destination::Concept {
                concept: ConceptId(target.to_owned()),
                detail: detail.map(str::to_owned),
                urgency,
            }
        }
    };
    Ok(Mapped {
        group: group.to_owned(),
        tier: tier.to_owned(),
        to,
        loss: loss.to_owned(),
    })
}

fn given(lexicon: &Lexicon, concept: &str, detail: Option<&str>) -> Result<Urgency, String> {
    let (of_concept, of_detail) = lexicon.tables.named(concept, detail)?;
    let alone = match of_detail {
        Some(at) => lexicon.details[at].urgency,
        None => lexicon.concepts[of_concept].urgency,
    };
    let sign = Sign {
        concept: &lexicon.concepts[of_concept].id,
        detail,
        urgency: alone,
        worse: false,
    };
    Ok(lexicon.packs.urgency(&[], &[sign]))
}
