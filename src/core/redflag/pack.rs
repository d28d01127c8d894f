//! Packs: what a condition makes more urgent, and which signs together are more than their sum (`packs.tsv`).
//!
//! The pack [`GENERAL`] holds in every call; a script names the packs that hold beside it. A rule only raises.
//! What is done with the urgency is the work order's matter.

use std::collections::BTreeSet;

use super::lexicon::urgency_of;
use crate::finding::{Finding, Urgency};
use crate::id::{ConceptId, PackId};

/// The pack that holds in every call.
pub const GENERAL: &str = "general";

/// The rules of `packs.tsv`, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packs {
    rules: Vec<Rule>,
}

/// One row of `packs.tsv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub pack: PackId,
    pub id: String,
    /// All of them must be there, each as a concept of its own.
    needs: Vec<Need>,
    pub urgency: Urgency,
    /// Why, in words for the clinician who signs it.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Need {
    what: What,
    /// Only where the concept is worse than at the last call.
    worse: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Concept(ConceptId),
    Detail(ConceptId, String),
    /// Any concept that is this urgent by itself.
    Any(Urgency),
}

/// A concept that is there in the patient: present or uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign<'a> {
    pub concept: &'a ConceptId,
    pub detail: Option<&'a str>,
    /// By itself, without any pack.
    pub urgency: Urgency,
    /// Worse than at the patient's last call.
    pub worse: bool,
}

impl<'a> Sign<'a> {
    /// The sign in a finding; `None` where it is not there, or was denied when asked again.
    pub fn of(finding: &'a Finding, worse: bool) -> Option<Sign<'a>> {
        finding.is_there().then_some(Sign {
            concept: &finding.concept,
            detail: finding.detail.as_deref(),
            urgency: finding.urgency,
            worse,
        })
    }
}

/// A rule that raised something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised<'a> {
    pub rule: &'a Rule,
    /// The concepts it rests on, in the order of the rule.
    pub concepts: Vec<ConceptId>,
}

impl Packs {
    /// Whether `packs.tsv` has such a pack.
    pub fn knows(&self, pack: &PackId) -> bool {
        self.rules.iter().any(|rule| rule.pack == *pack)
    }

    /// Every pack, sorted.
    pub fn names(&self) -> BTreeSet<&PackId> {
        self.rules.iter().map(|rule| &rule.pack).collect()
    }

    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of these packs and of the general one that make the signs more urgent than each of those they
    /// rest on is by itself, in the order of `packs.tsv`. Give it all signs, routine ones too: a pack may raise them.
    pub fn raise(&self, packs: &[PackId], signs: &[Sign<'_>]) -> Vec<Raised<'_>> {
        let holds = |rule: &&Rule| rule.pack.0 == GENERAL || packs.contains(&rule.pack);
        self.rules
            .iter()
            .filter(holds)
            .filter_map(|rule| {
                let met = rule.meet(signs)?;
                let highest = met.iter().map(|sign| sign.urgency).min()?;
                (rule.urgency < highest).then(|| Raised {
                    rule,
                    concepts: met.iter().map(|sign| sign.concept.clone()).collect(),
                })
            })
            .collect()
    }

    /// How soon these signs need a human: by themselves or by a pack; routine where there are none.
    pub fn urgency(&self, packs: &[PackId], signs: &[Sign<'_>]) -> Urgency {
        let alone = signs.iter().map(|sign| sign.urgency);
        let raised = self.raise(packs, signs);
        let by_pack = raised.iter().map(|raised| raised.rule.urgency);
        alone.chain(by_pack).min().unwrap_or(Urgency::Routine)
    }

    pub(super) fn add(&mut self, rule: Rule) -> Result<(), String> {
        if self.rules.iter().any(|known| known.id == rule.id) {
            return Err(format!("rule `{}` stands here twice", rule.id));
        }
        self.rules.push(rule);
        Ok(())
    }
}

impl Rule {
    /// Signs of different concepts that meet the needs one by one.
    fn meet<'a>(&self, signs: &[Sign<'a>]) -> Option<Vec<Sign<'a>>> {
        fn rest<'a>(needs: &[Need], signs: &[Sign<'a>], met: &mut Vec<Sign<'a>>) -> bool {
            let Some((need, others)) = needs.split_first() else {
                return true;
            };
            for sign in signs {
                let fresh = met.iter().all(|m| m.concept != sign.concept);
                if fresh && need.is_met_by(sign) {
                    met.push(*sign);
                    if rest(others, signs, met) {
                        return true;
                    }
                    met.pop();
                }
            }
            false
        }
        let mut met = Vec::new();
        rest(&self.needs, signs, &mut met).then_some(met)
    }

    /// What must be there, as it stands in the file.
    pub fn when(&self) -> String {
        let needs = self.needs.iter().map(|need| {
            let what = match &need.what {
                What::Concept(concept) => concept.to_string(),
                What::Detail(concept, detail) => format!("{concept}.{detail}"),
                What::Any(urgency) => format!("@{urgency}"),
            };
            if need.worse {
                format!("{what} worse")
            } else {
                what
            }
        });
        needs.collect::<Vec<_>>().join(" + ")
    }
}

impl Need {
    fn is_met_by(&self, sign: &Sign<'_>) -> bool {
        let fits = match &self.what {
            What::Concept(concept) => sign.concept == concept,
            What::Detail(concept, detail) => {
                sign.concept == concept && sign.detail == Some(detail.as_str())
            }
            What::Any(urgency) => sign.urgency == *urgency,
        };
        fits && (sign.worse || !self.worse)
    }
}

/// Reads a row of `packs.tsv`: pack, rule, when, urgency, why. `when` is one need or several parted by `+`:
/// `fever`, `dyspnea.on_exertion`, `@same_day` (any concept of that urgency), each with `worse` behind it where it
/// must be worse than at the last call. `known` tells whether there is such a concept and detail.
///
/// # Errors
/// What is wrong with the row.
pub(super) fn rule_of(
    cells: &[&str],
    known: impl Fn(&str, Option<&str>) -> Result<(), String>,
) -> Result<Rule, String> {
    let [pack, id, when, urgency, why] = cells[..5] else {
        return Err("a rule has pack, rule, when, urgency and why".to_owned());
    };
    if pack.is_empty() || id.is_empty() || why.is_empty() {
        return Err("a rule needs a pack, an id and a reason".to_owned());
    }
    let need = |text: &str| {
        let (what, worse) = match text.trim().strip_suffix(" worse") {
            Some(what) => (what.trim(), true),
            None => (text.trim(), false),
        };
        let what = match (what.strip_prefix('@'), what.split_once('.')) {
            (Some(urgency), _) => What::Any(urgency_of(urgency)?),
            (None, Some((concept, detail))) => {
                known(concept, Some(detail))?;
                What::Detail(ConceptId(concept.to_owned()), detail.to_owned())
            }
            (None, None) => {
                known(what, None)?;
                What::Concept(ConceptId(what.to_owned()))
            }
        };
        Ok(Need { what, worse })
    };
    Ok(Rule {
        pack: PackId(pack.to_owned()),
        id: id.to_owned(),
        needs: when.split('+').map(need).collect::<Result<_, String>>()?,
        urgency: urgency_of(urgency)?,
        why: why.to_owned(),
    })
}
