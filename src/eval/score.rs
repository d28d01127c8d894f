//! Scores of red-flag judgements against labels, with 95 % intervals.
//!
//! Counts as the project's scorer counts: alerts over items; concepts over pairs of item and concept, routine ones
//! left out. `strict` takes only "present" for a hit, `lenient` forgives "uncertain" on either side, `family` merges
//! the concepts of one family. An emergent concept counts as found when it is itself called present or uncertain.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::finding::{Polarity, Urgency};
use aftercall_core::id::ConceptId;
use aftercall_core::question::Question;
use aftercall_core::redflag::Concept;
use aftercall_core::statistics;
use serde::{Deserialize, Serialize};

/// Said with every figure until clinicians have labelled a sample.
pub const NOT_A_CLINICIANS: &str = "The labels are not a clinician's.";

/// A concept and what is, or was, said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Expected {
    pub concept: ConceptId,
    pub polarity: Polarity,
}

/// A labelled reply.
#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    pub category: String,
    /// `authored`, or where the words come from.
    pub source: String,
    pub question: Question,
    pub reply: String,
    pub expected: Vec<Expected>,
    pub alert: bool,
    pub note: String,
    /// The clinician who labelled it blind (`aftercall redflags label`).
    pub labelled_by: Option<String>,
}

/// What was judged of it.
#[derive(Clone, Debug, Default)]
pub struct Prediction {
    pub findings: Vec<Expected>,
    pub alert: bool,
}

/// Some of so many, with the 95 % Wilson interval of the share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    pub hits: usize,
    pub of: usize,
    /// Between 0 and 1; `None` of none.
    pub share: Option<f64>,
    pub low: f64,
    pub high: f64,
}

impl Share {
    pub fn new(hits: usize, of: usize) -> Share {
        let (low, high) = wilson(hits, of);
        let share = (of > 0).then(|| ratio(hits, of));
        Share {
            hits,
            of,
            share,
            low,
            high,
        }
    }
}

/// Alerts over items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alerts {
    #[serde(rename = "tp")]
    pub raised: usize,
    #[serde(rename = "fp")]
    pub raised_for_nothing: usize,
    #[serde(rename = "tn")]
    pub quiet: usize,
    #[serde(rename = "fn")]
    pub missed: usize,
}

impl Alerts {
    fn add(&mut self, labelled: bool, judged: bool) {
        *match (labelled, judged) {
            (true, true) => &mut self.raised,
            (true, false) => &mut self.missed,
            (false, true) => &mut self.raised_for_nothing,
            (false, false) => &mut self.quiet,
        } += 1;
    }

    pub fn sensitivity(&self) -> Share {
        Share::new(self.raised, self.raised + self.missed)
    }

    pub fn specificity(&self) -> Share {
        Share::new(self.quiet, self.quiet + self.raised_for_nothing)
    }

    /// Positive predictive value.
    pub fn ppv(&self) -> Share {
        Share::new(self.raised, self.raised + self.raised_for_nothing)
    }
}

/// Concepts called present, over pairs of item and concept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pairs {
    pub tp: usize,
    pub fp: usize,
    #[serde(rename = "fn")]
    pub missed: usize,
}

impl Pairs {
    pub fn precision(&self) -> f64 {
        ratio(self.tp, self.tp + self.fp)
    }

    pub fn recall(&self) -> f64 {
        ratio(self.tp, self.tp + self.missed)
    }

    pub fn f1(&self) -> f64 {
        ratio(2 * self.tp, 2 * self.tp + self.fp + self.missed)
    }

    /// Counts one yes or no against its label.
    pub fn count(&mut self, labelled: bool, judged: bool) {
        match (labelled, judged) {
            (true, true) => self.tp += 1,
            (true, false) => self.missed += 1,
            (false, true) => self.fp += 1,
            (false, false) => {}
        }
    }

    fn add(&mut self, labelled: &BTreeSet<&str>, judged: &BTreeSet<&str>) {
        self.tp += labelled.intersection(judged).count();
        self.fp += judged.difference(labelled).count();
        self.missed += labelled.difference(judged).count();
    }
}

/// One concept over all items.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConceptScore {
    pub concept: ConceptId,
    pub urgency: Urgency,
    /// Labelled present or uncertain, and judged so.
    pub sensitivity: Share,
    /// Judged present or uncertain, and labelled so.
    pub ppv: Share,
    /// Rows that name it as absent, past or another person's, and how many of them were judged so or not found.
    pub specificity: Share,
    pub present: Pairs,
}

/// Why an item is listed among the errors, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Miss,
    False,
    /// The alert is right, the concepts are not.
    Concept,
}

impl Fault {
    pub fn name(self) -> &'static str {
        match self {
            Fault::Miss => "MISS",
            Fault::False => "FALSE",
            Fault::Concept => "concept",
        }
    }
}

/// One item judged otherwise than labelled.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub fault: Fault,
    pub id: String,
    pub category: String,
    pub question: String,
    pub reply: String,
    pub missed: Vec<String>,
    pub extra: Vec<String>,
    pub note: String,
}

/// Everything that is printed of one set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    pub items: usize,
    pub alerts: Alerts,
    pub sensitivity: Share,
    pub specificity: Share,
    pub ppv: Share,
    /// Items with an emergent concept that raised any alert.
    pub emergent_alerted: Share,
    /// Emergent concepts labelled present or uncertain that were themselves judged so.
    pub emergent: Share,
    pub strict: Pairs,
    pub lenient: Pairs,
    pub family: Pairs,
    pub f1_strict: f64,
    pub f1_lenient: f64,
    /// By language, source and category: `lang:zh`, `src:authored`, `cat:negation`.
    pub groups: BTreeMap<String, Alerts>,
    pub concepts: Vec<ConceptScore>,
    /// The gravest first.
    pub errors: Vec<Difference>,
    /// Whose labels they are: goes wherever the figures go.
    pub labels: String,
}

impl Score {
    /// Scores judged items. A concept that is none of `concepts` counts for nothing.
    pub fn of(concepts: &[Concept], judged: &[(Item, Prediction)]) -> Score {
        let red: BTreeMap<&str, &Concept> = concepts
            .iter()
            .filter(|concept| concept.urgency != Urgency::Routine)
            .map(|concept| (concept.id.0.as_str(), concept))
            .collect();
        let mut tally = Tally::default();
        for (item, prediction) in judged {
            tally.add(&red, item, prediction);
        }
        tally
            .errors
            .sort_by(|a, b| (a.fault, &a.id).cmp(&(b.fault, &b.id)));
        Score {
            items: judged.len(),
            alerts: tally.all,
            sensitivity: tally.all.sensitivity(),
            specificity: tally.all.specificity(),
            ppv: tally.all.ppv(),
            emergent_alerted: Share::new(tally.emergent_alerted.0, tally.emergent_alerted.1),
            emergent: Share::new(tally.emergent.0, tally.emergent.1),
            strict: tally.strict,
            lenient: tally.lenient,
            family: tally.family,
            f1_strict: tally.strict.f1(),
            f1_lenient: tally.lenient.f1(),
            groups: tally.groups,
            concepts: concepts
                .iter()
                .map(|concept| concept_score(concept, judged))
                .collect(),
            errors: tally.errors,
            labels: whose(judged.iter().map(|(item, _)| item)),
        }
    }
}

/// Whose labels a set has. They are a clinician's only where every one of them was given blind, by name.
pub fn whose<'a>(items: impl Iterator<Item = &'a Item>) -> String {
    let raters: Option<BTreeSet<&str>> = items.map(|item| item.labelled_by.as_deref()).collect();
    match raters {
        Some(raters) if !raters.is_empty() => {
            let names: Vec<&str> = raters.into_iter().collect();
            format!("The labels were given blind by {}.", names.join(", "))
        }
        Some(_) | None => NOT_A_CLINICIANS.to_owned(),
    }
}

#[derive(Default)]
struct Tally {
    all: Alerts,
    groups: BTreeMap<String, Alerts>,
    emergent_alerted: (usize, usize),
    emergent: (usize, usize),
    strict: Pairs,
    lenient: Pairs,
    family: Pairs,
    errors: Vec<Difference>,
}

impl Tally {
    fn add(&mut self, red: &BTreeMap<&str, &Concept>, item: &Item, judged: &Prediction) {
        self.all.add(item.alert, judged.alert);
        let source = match item.source.as_str() {
            "authored" => "authored",
            _ => "external",
        };
        let groups = [
            format!("lang:{}", item.question.lang),
            format!("src:{source}"),
            format!("cat:{}", item.category),
        ];
        for group in groups {
            let alerts = self.groups.entry(group).or_default();
            alerts.add(item.alert, judged.alert);
        }
        let of = |labels: &'_ [Expected], wanted: &[Polarity]| -> BTreeSet<String> {
            let kept = labels.iter().filter(|label| {
                wanted.contains(&label.polarity) && red.contains_key(label.concept.0.as_str())
            });
            kept.map(|label| label.concept.0.clone()).collect()
        };
        let (present, uncertain) = (&[Polarity::Present][..], &[Polarity::Uncertain][..]);
        let gold = (of(&item.expected, present), of(&item.expected, uncertain));
        let said = (
            of(&judged.findings, present),
            of(&judged.findings, uncertain),
        );
        let (gold_present, said_present) = (borrowed(&gold.0), borrowed(&said.0));
        self.strict.add(&gold_present, &said_present);
        let either = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> BTreeSet<String> {
            a.union(b).cloned().collect()
        };
        let (gold_raised, said_raised) = (either(&gold.0, &gold.1), either(&said.0, &said.1));
        self.lenient.tp += gold.0.intersection(&said_raised).count();
        self.lenient.fp += said.0.difference(&gold_raised).count();
        self.lenient.missed += gold.0.difference(&said_raised).count();
        let families = |ids: &BTreeSet<&'_ str>| -> BTreeSet<String> {
            ids.iter().map(|id| red[id].family.clone()).collect()
        };
        let (gold_families, said_families) = (families(&gold_present), families(&said_present));
        self.family
            .add(&borrowed(&gold_families), &borrowed(&said_families));
        let emergent: Vec<&String> = gold_raised
            .iter()
            .filter(|id| red[id.as_str()].urgency == Urgency::Emergent)
            .collect();
        if !emergent.is_empty() {
            self.emergent_alerted.1 += 1;
            self.emergent_alerted.0 += usize::from(judged.alert);
        }
        self.emergent.1 += emergent.len();
        self.emergent.0 += emergent
            .iter()
            .filter(|id| said_raised.contains(**id))
            .count();
        let fault = match (item.alert, judged.alert) {
            (true, false) => Fault::Miss,
            (false, true) => Fault::False,
            _ if gold.0 != said.0 => Fault::Concept,
            _ => return,
        };
        self.errors.push(Difference {
            fault,
            id: item.id.clone(),
            category: item.category.clone(),
            question: item.question.text.clone(),
            reply: item.reply.clone(),
            missed: gold.0.difference(&said.0).cloned().collect(),
            extra: said.0.difference(&gold.0).cloned().collect(),
            note: item.note.clone(),
        });
    }
}

fn borrowed(ids: &BTreeSet<String>) -> BTreeSet<&str> {
    ids.iter().map(String::as_str).collect()
}

fn concept_score(concept: &Concept, judged: &[(Item, Prediction)]) -> ConceptScore {
    let says = |labels: &[Expected], wanted: &[Polarity]| {
        labels
            .iter()
            .any(|label| label.concept == concept.id && wanted.contains(&label.polarity))
    };
    let raised = [Polarity::Present, Polarity::Uncertain];
    let denied = [
        Polarity::Absent,
        Polarity::Historical,
        Polarity::OtherPerson,
    ];
    let (mut labelled, mut found, mut called, mut denials, mut kept) = (0, 0, 0, 0, 0);
    let mut present = Pairs::default();
    for (item, prediction) in judged {
        let gold = says(&item.expected, &raised);
        let said = says(&prediction.findings, &raised);
        labelled += usize::from(gold);
        called += usize::from(said);
        found += usize::from(gold && said);
        let denial = !gold && says(&item.expected, &denied);
        denials += usize::from(denial);
        kept += usize::from(denial && !said);
        let exact = [Polarity::Present];
        present.count(
            says(&item.expected, &exact),
            says(&prediction.findings, &exact),
        );
    }
    ConceptScore {
        concept: concept.id.clone(),
        urgency: concept.urgency,
        sensitivity: Share::new(found, labelled),
        ppv: Share::new(found, called),
        specificity: Share::new(kept, denials),
        present,
    }
}

/// The 95 % Wilson score interval of a share, as two numbers between 0 and 1; of none, the whole width.
#[expect(
    clippy::cast_precision_loss,
    reason = "sets have far fewer than 2^52 rows"
)]
pub fn wilson(successes: usize, n: usize) -> (f64, f64) {
    statistics::wilson(successes as f64, n as f64)
}

/// Zero of none, as the scorer has it.
#[expect(
    clippy::cast_precision_loss,
    reason = "sets have far fewer than 2^52 rows"
)]
fn ratio(hits: usize, of: usize) -> f64 {
    if of == 0 {
        0.0
    } else {
        hits as f64 / of as f64
    }
}

#[cfg(test)]
mod tests {
    use aftercall_core::lang::Lang;
    use aftercall_core::question::{QuestionKind, Respondent};

    use super::*;

    fn concept(id: &str, urgency: Urgency, family: &str) -> Concept {
        Concept {
            id: ConceptId(id.to_owned()),
            zh: String::new(),
            en: String::new(),
            urgency,
            family: family.to_owned(),
            event: false,
            onset: false,
        }
    }

    /// Labels as `headache present, fever absent`.
    fn labels(text: &str) -> Vec<Expected> {
        let labels = text.split(", ").filter_map(|label| label.split_once(' '));
        let polarity = |word: &str| match word {
            "present" => Polarity::Present,
            "uncertain" => Polarity::Uncertain,
            "absent" => Polarity::Absent,
            other => panic!("{other} is not used here"),
        };
        labels
            .map(|(id, word)| Expected {
                concept: ConceptId(id.to_owned()),
                polarity: polarity(word),
            })
            .collect()
    }

    fn judged(id: &str, gold: (&str, bool), said: (&str, bool)) -> (Item, Prediction) {
        let item = Item {
            id: id.to_owned(),
            category: "any".to_owned(),
            source: "authored".to_owned(),
            question: Question {
                lang: Lang::En,
                text: String::new(),
                kind: QuestionKind::Open,
                asks: Vec::new(),
                respondent: Respondent::Patient,
            },
            reply: String::new(),
            expected: labels(gold.0),
            alert: gold.1,
            note: String::new(),
            labelled_by: None,
        };
        let prediction = Prediction {
            findings: labels(said.0),
            alert: said.1,
        };
        (item, prediction)
    }

    /// The counts were made by hand and by the project's scorer on the same six items.
    #[test]
    fn a_small_set_is_counted_as_by_hand() {
        let concepts = [
            concept("severe_headache", Urgency::Emergent, "headache"),
            concept("chest_pain", Urgency::Emergent, "chest_pain"),
            concept("fever", Urgency::SameDay, "fever"),
            concept("headache", Urgency::SameDay, "headache"),
            concept("cough", Urgency::Routine, "cough"),
        ];
        let items = [
            judged(
                "1",
                ("fever present", true),
                ("fever present, cough present", true),
            ),
            judged("2", ("fever present", true), ("fever uncertain", true)),
            judged(
                "3",
                ("chest_pain uncertain", true),
                ("chest_pain absent", false),
            ),
            judged(
                "4",
                ("severe_headache present", true),
                ("headache present", true),
            ),
            judged("5", ("fever absent", false), ("fever present", true)),
            judged(
                "6",
                ("fever absent, cough present", false),
                ("fever absent", false),
            ),
        ];
        let score = Score::of(&concepts, &items);
        let alerts = Alerts {
            raised: 3,
            raised_for_nothing: 1,
            quiet: 1,
            missed: 1,
        };
        assert_eq!(score.alerts, alerts);
        let pairs = |tp, fp, missed| Pairs { tp, fp, missed };
        assert_eq!(score.strict, pairs(1, 2, 2));
        assert_eq!(score.lenient, pairs(2, 2, 1));
        assert_eq!(score.family, pairs(2, 1, 1));
        assert_eq!((score.emergent.hits, score.emergent.of), (0, 2));
        let alerted = score.emergent_alerted;
        assert_eq!((alerted.hits, alerted.of), (1, 2));
        let fever = &score.concepts[2];
        assert_eq!((fever.sensitivity.hits, fever.sensitivity.of), (2, 2));
        assert_eq!((fever.specificity.hits, fever.specificity.of), (1, 2));
        let faults: Vec<_> = score
            .errors
            .iter()
            .map(|e| (e.fault, e.id.as_str()))
            .collect();
        let expected = [
            (Fault::Miss, "3"),
            (Fault::False, "5"),
            (Fault::Concept, "2"),
            (Fault::Concept, "4"),
        ];
        assert_eq!(faults, expected);
    }

    #[test]
    fn labels_are_a_clinicians_only_where_every_one_has_a_name() {
        let by = |name: Option<&str>| {
            let (mut item, _) = judged("1", ("fever present", true), ("fever present", true));
            item.labelled_by = name.map(str::to_owned);
            item
        };
        let said = |items: &[Item]| whose(items.iter());
        assert_eq!(said(&[]), NOT_A_CLINICIANS);
        assert_eq!(said(&[by(None), by(Some("li"))]), NOT_A_CLINICIANS);
        let both = [by(Some("wang")), by(Some("li")), by(Some("li"))];
        assert_eq!(said(&both), "The labels were given blind by li, wang.");
    }
}
