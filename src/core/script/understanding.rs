//! Reads a reply as the answer to one node's question.

use jiff::civil::Date;

use super::date::{self, MonthDay};
use super::identity::{self, Claim, Names, Person};
use super::node::{Kind, Node, NumberSpec};
use super::number::{self, Quantity, Unit};
use super::reply::{self, YesNo};
use crate::lang::Lang;

/// Who the person on the line claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Patient,
    /// Index into the contacts of the record.
    Contact(usize),
}

/// A reply understood: `key` names the way out of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub key: String,
    /// For the transcript.
    pub meaning: String,
    pub quantity: Option<Quantity>,
    pub who: Option<Who>,
}

impl Answer {
    fn plain(key: &str) -> Answer {
        Answer {
            key: key.to_owned(),
            meaning: key.to_owned(),
            quantity: None,
            who: None,
        }
    }

    /// The plain "no" of a question whose symptom was denied.
    pub fn no() -> Answer {
        Answer::plain("no")
    }

    /// Nothing clear was said, and a human has it: the conversation goes on with `next`.
    pub fn handed_on() -> Answer {
        Answer::plain("handed_on")
    }

    pub fn number(quantity: Quantity) -> Answer {
        Answer {
            key: "number".to_owned(),
            meaning: quantity.value.to_string(),
            quantity: Some(quantity),
            who: None,
        }
    }

    fn who(key: &str, who: Who) -> Answer {
        Answer {
            who: Some(who),
            ..Answer::plain(key)
        }
    }
}

/// The answer in the words, or `None` when they answer something else.
pub fn read(
    text: &str,
    node: &Node,
    question: &str,
    names: Names<'_>,
    birth: Option<Date>,
    lang: Lang,
) -> Option<Answer> {
    match &node.kind {
        Kind::Say | Kind::End => None,
        Kind::YesNo { inverse, number } => {
            let number = number.and_then(|spec| read_number(text, &spec, lang));
            number.or_else(|| {
                let answer = reply::yes_no(text, question, *inverse, lang)?;
                Some(of_yes_no(answer))
            })
        }
        Kind::Choice(choices) => {
            reply::choice(text, choices, lang).map(|choice| Answer::plain(&choice.id))
        }
        Kind::Number(spec) => read_number(text, spec, lang).or_else(|| {
            let none = spec.unit != Unit::Score && reply::not_measured(text, lang);
            none.then(|| Answer::plain("none"))
        }),
        Kind::Open | Kind::Wait | Kind::Stay { .. } => {
            let spoken = !reply::bare(text).is_empty();
            spoken.then(|| Answer::plain("any"))
        }
        Kind::Identity => identity::claim(text, names, lang).map(of_claim),
        Kind::Who => identity::person(text, names, lang).map(of_person),
        Kind::BirthDate => match date::read(text, lang) {
            Some(said) => agrees(said, birth),
            // Misheard, perhaps: the record says which date to listen for.
            None => said_to_sound_like(text, birth?, lang),
        },
    }
}

/// The answer to a yes or no from whether what it asks for is there: an inverse question's "no" is the bad one.
pub fn judged(there: bool, node: &Node) -> Option<Answer> {
    match &node.kind {
        Kind::YesNo { inverse, .. } => Some(of_yes_no(if there == *inverse {
            YesNo::No
        } else {
            YesNo::Yes
        })),
        _ => None,
    }
}

fn said_to_sound_like(text: &str, birth: Date, lang: Lang) -> Option<Answer> {
    let known = MonthDay {
        month: birth.month(),
        day: birth.day(),
    };
    let alike = lang == Lang::Zh && date::sounds_like(text, known);
    alike.then(|| Answer::plain("match"))
}

/// The answer in the keys.
pub fn read_keys(keys: &str, node: &Node, birth: Option<Date>, lang: Lang) -> Option<Answer> {
    match &node.kind {
        Kind::YesNo { number, .. } => {
            let answer = yes_no_keys(keys).map(of_yes_no);
            answer.or_else(|| {
                let quantity = number::read_keys(keys, number.as_ref()?, lang)?;
                Some(Answer::number(quantity))
            })
        }
        Kind::Choice(choices) => {
            let key = single(keys)?;
            let choice = choices.iter().find(|c| c.key == key)?;
            Some(Answer::plain(&choice.id))
        }
        Kind::Number(spec) => number::read_keys(keys, spec, lang).map(Answer::number),
        Kind::BirthDate => agrees(date::read_keys(keys)?, birth),
        Kind::Identity => match single(keys)? {
            '1' => Some(of_claim(Claim::Patient)),
            '2' => Some(of_claim(Claim::Other)),
            _ => None,
        },
        Kind::Say | Kind::End | Kind::Open | Kind::Who | Kind::Wait | Kind::Stay { .. } => None,
    }
}

/// The words that keys stand for, for the red-flag judgement.
pub fn keyed_words(keys: &str, node: &Node, lang: Lang) -> Option<String> {
    match &node.kind {
        Kind::YesNo { number, .. } => yes_no_words(keys, lang).or_else(|| {
            let quantity = number::read_keys(keys, number.as_ref()?, lang)?;
            Some(quantity.spoken)
        }),
        Kind::Choice(choices) => {
            let key = single(keys)?;
            let choice = choices.iter().find(|c| c.key == key)?;
            choice.words(lang).first().cloned()
        }
        Kind::Number(spec) => number::read_keys(keys, spec, lang).map(|q| q.spoken),
        Kind::Say
        | Kind::End
        | Kind::Open
        | Kind::Identity
        | Kind::Who
        | Kind::BirthDate
        | Kind::Wait
        | Kind::Stay { .. } => None,
    }
}

/// Key 1 is yes, key 2 is no.
pub fn yes_no_keys(keys: &str) -> Option<YesNo> {
    match single(keys)? {
        '1' => Some(YesNo::Yes),
        '2' => Some(YesNo::No),
        _ => None,
    }
}

/// Keys 1 and 2 in words.
pub fn yes_no_words(keys: &str, lang: Lang) -> Option<String> {
    let words = match (yes_no_keys(keys)?, lang) {
        (YesNo::Yes, Lang::Zh) => "有",
        (YesNo::No, Lang::Zh) => "没有",
        (YesNo::Yes, Lang::En) => "yes",
        (YesNo::No, Lang::En) => "no",
    };
    Some(words.to_owned())
}

/// Whether nothing can be expected to follow these words.
pub fn is_complete(text: &str, node: &Node, lang: Lang) -> bool {
    let bare = reply::bare(text);
    match (&node.kind, lang) {
        (Kind::Say | Kind::End | Kind::Open | Kind::Who | Kind::Wait | Kind::Stay { .. }, _) => {
            false
        }
        (Kind::YesNo { number: None, .. } | Kind::Choice(_) | Kind::Identity, _) => true,
        // An unfinished number looks like a smaller one: only a closing unit ends it.
        (Kind::YesNo { .. } | Kind::Number(_) | Kind::BirthDate, Lang::Zh) => {
            bare.ends_with(['号', '日', '斤', '分']) || bare == "没有" || bare.ends_with("没量")
        }
        (Kind::YesNo { .. } | Kind::Number(_) | Kind::BirthDate, Lang::En) => bare == "no",
    }
}

fn single(keys: &str) -> Option<char> {
    let mut keys = keys.trim_end_matches('#').chars();
    let key = keys.next()?;
    keys.next().is_none().then_some(key)
}

fn of_yes_no(answer: YesNo) -> Answer {
    match answer {
        YesNo::Yes => Answer::plain("yes"),
        YesNo::No => Answer::plain("no"),
    }
}

fn read_number(text: &str, spec: &NumberSpec, lang: Lang) -> Option<Answer> {
    if let Some(quantity) = number::read(text, spec, lang) {
        return Some(Answer::number(quantity));
    }
    let zero = spec.unit == Unit::Score && spec.min <= 0.0 && reply::says_no_pain(text, lang);
    zero.then(|| {
        let spoken = super::spoken::quantity(0.0, "", lang);
        Answer::number(Quantity { value: 0.0, spoken })
    })
}

fn of_claim(claim: Claim) -> Answer {
    match claim {
        Claim::Patient => Answer::who("self", Who::Patient),
        Claim::Contact(index) => Answer::who("listed", Who::Contact(index)),
        Claim::Other => Answer::plain("other"),
        Claim::Absent => Answer::plain("absent"),
        Claim::Wait => Answer::plain("wait"),
    }
}

fn of_person(person: Person) -> Answer {
    match person {
        Person::Listed(index) => Answer::who("listed", Who::Contact(index)),
        Person::Unlisted => Answer::plain("unlisted"),
        Person::Unnamed => Answer::plain("unnamed"),
    }
}

/// A date that differs is no answer: it counts as a failure of identity. Without a record any date agrees.
fn agrees(said: MonthDay, birth: Option<Date>) -> Option<Answer> {
    let same = birth.is_none_or(|birth| said.month == birth.month() && said.day == birth.day());
    same.then(|| Answer::plain("match"))
}
