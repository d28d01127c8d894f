//! Hot words: the shapes of answer that a question invites, for the recogniser to write a little more readily.
//!
//! Never the name of a complaint: what sounds like one must have been said, not expected. `tests/calls` proves
//! that no hot word is a red flag by itself. Mandarin words stand in both scripts where they differ, for the
//! recogniser writes either.

use super::node::Kind;
use super::number::Unit;
use crate::id::ConceptId;
use crate::lang::Lang;
use crate::question::{Question, QuestionKind};

/// The words for a node's question; `question` and `asks` tell what kind of yes or no it wants.
pub fn words(kind: &Kind, question: &str, asks: &[ConceptId], lang: Lang) -> Vec<String> {
    let words: &[&str] = match kind {
        Kind::Choice(choices) => {
            let wordings = choices
                .iter()
                .filter_map(|choice| choice.words(lang).first());
            return wordings.cloned().collect();
        }
        Kind::YesNo { inverse, .. } => yes_no(*inverse, question, asks, lang),
        Kind::Identity => match lang {
            Lang::Zh => &["是我", "我就是", "我是", "不是"],
            Lang::En => &["Yes", "No", "This is me", "this is me"],
        },
        Kind::BirthDate => match lang {
            Lang::Zh => &["月", "号", "號", "日"],
            Lang::En => &[],
        },
        Kind::Number(spec) => figures(spec.unit, lang),
        Kind::Say | Kind::End | Kind::Open | Kind::Who | Kind::Wait | Kind::Stay { .. } => &[],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The words for a question that stands outside a script, as labelled replies do.
pub fn for_question(question: &Question) -> Vec<String> {
    let inverse = match question.kind {
        QuestionKind::YesNo | QuestionKind::YesNoNegated => false,
        QuestionKind::YesNoInverse => true,
        QuestionKind::Wh | QuestionKind::Open => return Vec::new(),
    };
    let kind = Kind::YesNo {
        inverse,
        number: None,
    };
    words(&kind, &question.text, &question.asks, question.lang)
}

fn yes_no(
    inverse: bool,
    question: &str,
    asks: &[ConceptId],
    lang: Lang,
) -> &'static [&'static str] {
    let about_medicines = asks.iter().any(|concept| concept.0 == "medication_stopped");
    match lang {
        Lang::Zh if !inverse => &["有", "没有", "沒有"],
        Lang::Zh if about_medicines => &[
            "是的",
            "不是",
            "天天都吃",
            "每天都按时吃",
            "每天都按時吃",
            "按时吃",
            "按時吃",
            "没有吃",
            "沒有吃",
        ],
        Lang::Zh if question.contains("知不知道") => &["知道", "不知道"],
        Lang::Zh => &["是的", "不是", "对", "對", "不对", "不對"],
        Lang::En if about_medicines => &["Yes", "No", "every day", "not every day"],
        Lang::En => &["Yes", "No"],
    }
}

/// Units, and what is said when nobody measured.
fn figures(unit: Unit, lang: Lang) -> &'static [&'static str] {
    match (unit, lang) {
        (Unit::Celsius, Lang::Zh) => &["度", "点", "點", "没量", "沒量", "没有量", "沒有量"],
        (Unit::Celsius, Lang::En) => &["point", "degrees", "Not measured", "not measured"],
        (Unit::Score, Lang::Zh) => &["分", "零分", "八分", "九分", "十分"],
        (Unit::WeightKg, Lang::Zh) => &["公斤", "斤"],
        (Unit::WeightKg, Lang::En) => &["pounds", "kilos"],
        (Unit::Mmhg, Lang::Zh) => &["高压", "高壓", "一百", "没量", "沒量", "没有量", "沒有量"],
        (Unit::Mmhg, Lang::En) => &["hundred", "Not measured"],
        (Unit::Score, Lang::En) => &[],
    }
}
