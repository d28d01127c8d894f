//! Who is on the line: the patient, a listed relative, somebody else, nobody at home.
//!
//! 嗯 and 喂 never identify anyone, and no claim is believed before the second factor agrees.

use super::reply::{bare, contains_words, plain};
use crate::lang::Lang;
use crate::patient::{Contact, Relation, Topic};
use crate::pinyin;

/// What a person says of who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    Patient,
    /// A listed contact, by name, who may speak about the patient's health.
    Contact(usize),
    /// Somebody else, named or not.
    Other,
    /// The patient is not there.
    Absent,
    /// The patient is being called to the telephone.
    Wait,
}

/// Name and relation of somebody who is not the patient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    Listed(usize),
    /// Not on the list, or not allowed to speak about health.
    Unlisted,
    /// A relation without a name that could be looked up.
    Unnamed,
}

/// The record's names.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    pub patient: &'a str,
    pub contacts: &'a [Contact],
}

/// Reads the answer to "is that you?".
pub fn claim(text: &str, names: Names<'_>, lang: Lang) -> Option<Claim> {
    match lang {
        Lang::Zh => claim_zh(text, names),
        Lang::En => claim_en(text, names),
    }
}

/// Reads the answer to "what is your name, and who are you to the patient?".
pub fn person(text: &str, names: Names<'_>, lang: Lang) -> Option<Person> {
    let relation = relation(text, lang);
    if let Some(index) = contact(text, names, relation, lang) {
        return Some(allowed(index, names));
    }
    let words = match lang {
        Lang::Zh => bare(text).chars().filter(|c| pinyin::is_han(*c)).count(),
        Lang::En => plain(text).split(' ').filter(|w| !w.is_empty()).count() * 2,
    };
    match relation {
        Some(_) => Some(Person::Unnamed),
        None if words >= 2 => Some(Person::Unlisted),
        None => None,
    }
}

fn allowed(index: usize, names: Names<'_>) -> Person {
    if names.contacts[index].topics.contains(&Topic::Health) {
        Person::Listed(index)
    } else {
        Person::Unlisted
    }
}

fn contact_claim(index: usize, names: Names<'_>) -> Claim {
    match allowed(index, names) {
        Person::Listed(index) => Claim::Contact(index),
        Person::Unlisted | Person::Unnamed => Claim::Other,
    }
}

/// The listed contact whose name is said, unless another relation is claimed with it.
fn contact(text: &str, names: Names<'_>, said: Option<Relation>, lang: Lang) -> Option<usize> {
    let patient = names.patient;
    names.contacts.iter().position(|contact| {
        let name = contact.name.expose();
        let named = match lang {
            Lang::Zh => says_name_zh(text, name),
            Lang::En => says_name_en(text, name, patient),
        };
        named && said.is_none_or(|r| r == contact.relation || contact.relation == Relation::Other)
    })
}

// ---- Mandarin

const RELATIONS_ZH: &[(&str, Relation)] = &[
    ("儿媳", Relation::Other),
    ("女婿", Relation::Other),
    ("儿子", Relation::Child),
    ("女儿", Relation::Child),
    ("闺女", Relation::Child),
    ("姑娘", Relation::Child),
    ("爱人", Relation::Spouse),
    ("老伴", Relation::Spouse),
    ("妻子", Relation::Spouse),
    ("老婆", Relation::Spouse),
    ("媳妇", Relation::Spouse),
    ("丈夫", Relation::Spouse),
    ("老公", Relation::Spouse),
    ("太太", Relation::Spouse),
    ("妈妈", Relation::Parent),
    ("母亲", Relation::Parent),
    ("爸爸", Relation::Parent),
    ("父亲", Relation::Parent),
    ("哥哥", Relation::Sibling),
    ("弟弟", Relation::Sibling),
    ("姐姐", Relation::Sibling),
    ("妹妹", Relation::Sibling),
    ("护工", Relation::Other),
    ("保姆", Relation::Other),
    ("邻居", Relation::Other),
    ("朋友", Relation::Other),
    ("同事", Relation::Other),
    ("孙子", Relation::Other),
    ("孙女", Relation::Other),
    ("家属", Relation::Other),
    ("家里人", Relation::Other),
    ("家人", Relation::Other),
];

fn claim_zh(text: &str, names: Names<'_>) -> Option<Claim> {
    let said = bare(text);
    let has = |list: &[&str]| list.iter().any(|w| said.contains(w));
    if has(&[
        "等一下",
        "稍等",
        "等等",
        "等一会",
        "等会",
        "去叫",
        "叫他",
        "叫她",
        "叫一下",
        "让他接",
        "让她接",
        "给他接",
        "给她接",
        "叫来",
    ]) {
        return Some(Claim::Wait);
    }
    let relation = relation(text, Lang::Zh);
    let named = contact(text, names, relation, Lang::Zh).map(|index| contact_claim(index, names));
    if let Some(claim @ Claim::Contact(_)) = named {
        return Some(claim);
    }
    if has(&[
        "不在",
        "出去",
        "出门",
        "没在",
        "睡着",
        "睡觉",
        "在休息",
        "上班",
        "不方便接",
        "不方便听",
    ]) {
        return Some(Claim::Absent);
    }
    if named.is_some() {
        return named;
    }
    if relation.is_some() || has(&["不是", "不对", "我不叫"]) || said == "不" {
        return Some(Claim::Other);
    }
    let sound = format!(" {} ", pinyin::spell(&said));
    let mine = [
        " shi wo ",
        " wo jiu shi ",
        " ben ren ",
        " wo shi ben ",
        " shi wo ben ",
    ];
    let named = says_name_zh(text, names.patient);
    let core =
        said.trim_start_matches(['嗯', '啊', '哦', '喂', '唉', '哎', '你', '您', '好', '恩']);
    let plain_yes = [
        "是",
        "是的",
        "对",
        "对的",
        "对对",
        "对对对",
        "没错",
        "我是",
        "是啊",
        "是呀",
        "对啊",
        "就是",
        "我是的",
        "是我",
        "我在",
        "是是是",
    ];
    // 我是，你讲: the rest only asks to go on.
    let go_on = ["你", "您", "请", "啊", "呀", "的", "什么事", "有事", "怎么"];
    let bids = core
        .strip_prefix("我是")
        .is_some_and(|rest| go_on.iter().any(|begin| rest.starts_with(begin)));
    // 对，是我本人 misheard behind its first word (对所有人): the birthday still has to agree.
    let agrees = core.starts_with('对') && !core.contains(['不', '没', '错', '吗']);
    if named
        || bids
        || agrees
        || mine.iter().any(|m| sound.contains(m))
        || plain_yes.contains(&core)
    {
        return Some(Claim::Patient);
    }
    if sounds_like_self(&said) {
        return Some(Claim::Patient);
    }
    let introduces = ["我叫", "我姓"].iter().any(|w| said.contains(w));
    introduces.then_some(Claim::Other)
}

/// A whole reply that sounds like a usual "it is me" but for a syllable: 是文你说吧. The birthday still has to agree.
fn sounds_like_self(said: &str) -> bool {
    const USUAL: [&str; 8] = [
        "是我你说吧",
        "是我我就是",
        "我就是你说",
        "我就是请说",
        "对是我本人",
        "我是他本人",
        "是我你讲吧",
        "是我有什么事",
    ];
    let heard = pinyin::toneless(said);
    USUAL.iter().any(|usual| {
        let usual = pinyin::toneless(usual);
        heard.len().abs_diff(usual.len()) <= 1 && pinyin::strain(&heard, &usual) <= 0.8
    })
}

/// The name by its syllables; of three characters the given name alone will do.
fn says_name_zh(text: &str, name: &str) -> bool {
    let said = pinyin::toneless(text);
    let full = pinyin::toneless(name);
    let stands = |part: &[&str]| part.len() >= 2 && said.windows(part.len()).any(|w| w == part);
    stands(&full)
        || (full.len() == 3 && stands(&full[1..]))
        || (full.len() >= 3 && near(&said, &full))
}

/// One syllable may be heard as one that dialects confuse with it.
fn near(said: &[&str], name: &[&str]) -> bool {
    said.windows(name.len()).any(|window| {
        let pairs = window.iter().zip(name);
        pairs
            .clone()
            .all(|(a, b)| pinyin::blur(a) == pinyin::blur(b))
    })
}

// ---- English

const RELATIONS_EN: &[(&str, Relation)] = &[
    ("daughter in law", Relation::Other),
    ("son in law", Relation::Other),
    ("grandson", Relation::Other),
    ("granddaughter", Relation::Other),
    ("son", Relation::Child),
    ("daughter", Relation::Child),
    ("wife", Relation::Spouse),
    ("husband", Relation::Spouse),
    ("spouse", Relation::Spouse),
    ("mother", Relation::Parent),
    ("mom", Relation::Parent),
    ("mum", Relation::Parent),
    ("father", Relation::Parent),
    ("dad", Relation::Parent),
    ("brother", Relation::Sibling),
    ("sister", Relation::Sibling),
    ("guardian", Relation::Guardian),
    ("neighbour", Relation::Other),
    ("neighbor", Relation::Other),
    ("friend", Relation::Other),
    ("carer", Relation::Other),
    ("caregiver", Relation::Other),
    ("nurse", Relation::Other),
    ("roommate", Relation::Other),
];

fn claim_en(text: &str, names: Names<'_>) -> Option<Claim> {
    let said = plain(text);
    let has = |list: &[&str]| list.iter().any(|w| contains_words(&said, w));
    if has(&[
        "hold on",
        "hang on",
        "one moment",
        "just a moment",
        "one second",
        "just a second",
        "a minute",
        "get him",
        "get her",
        "wait",
    ]) {
        return Some(Claim::Wait);
    }
    let relation = relation(text, Lang::En);
    let named_other =
        contact(text, names, relation, Lang::En).map(|index| contact_claim(index, names));
    if let Some(claim @ Claim::Contact(_)) = named_other {
        return Some(claim);
    }
    let away = [
        "not here",
        "not home",
        "not at home",
        "isn't here",
        "isn't home",
        "isn't in",
        "not in",
        "is out",
        "he's out",
        "she's out",
        "asleep",
        "sleeping",
        "went out",
        "gone out",
        "stepped out",
    ];
    if has(&away) {
        return Some(Claim::Absent);
    }
    if named_other.is_some() {
        return named_other;
    }
    let negated = has(&["no", "not", "isn't", "nope"]) && !has(&["this is me", "it's me"]);
    if relation.is_some() || negated {
        return Some(Claim::Other);
    }
    let mine = [
        "this is me",
        "it is me",
        "it's me",
        "that's me",
        "that is me",
        "speaking",
        "this is he",
        "this is she",
        "this is him",
        "this is her",
        "i am",
        "yes",
        "yeah",
        "yep",
        "you are",
        "correct",
        "that's right",
    ];
    let named = names.patient.split_whitespace().next_back();
    let named = named.is_some_and(|n| contains_words(&said, &plain(n)));
    if has(&mine) || named {
        return Some(Claim::Patient);
    }
    let introduces = ["my name is", "this is", "i'm"]
        .iter()
        .any(|w| contains_words(&said, w));
    introduces.then_some(Claim::Other)
}

/// A part of the contact's name that the patient's does not share.
fn says_name_en(text: &str, name: &str, patient: &str) -> bool {
    let said = plain(text);
    let patient = plain(patient);
    let name = plain(name);
    let own = name
        .split(' ')
        .filter(|p| p.len() >= 3 && !contains_words(&patient, p));
    let mut own = own.peekable();
    own.peek().is_some() && own.any(|part| said.split(' ').any(|w| alike(w, part)))
}

/// Equal, or of five letters and more with one wrong.
fn alike(heard: &str, name: &str) -> bool {
    if heard == name {
        return true;
    }
    let (a, b): (Vec<char>, Vec<char>) = (heard.chars().collect(), name.chars().collect());
    a.len() == b.len() && a.len() >= 5 && a.iter().zip(&b).filter(|(x, y)| x != y).count() == 1
}

fn relation(text: &str, lang: Lang) -> Option<Relation> {
    match lang {
        Lang::Zh => {
            let said = bare(text);
            RELATIONS_ZH
                .iter()
                .find(|(word, _)| said.contains(word))
                .map(|(_, r)| *r)
        }
        Lang::En => {
            let said = plain(text);
            RELATIONS_EN
                .iter()
                .find(|(word, _)| contains_words(&said, word))
                .map(|(_, r)| *r)
        }
    }
}
