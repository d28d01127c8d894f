//! What is said beside a machine: by it, or by whoever takes the call from it.

use super::en::Words;
use super::zh::{Fit, is_said};
use crate::lang::Lang;
use crate::pinyin;

/// What is said beside a machine, by it or by whoever takes the call from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// As people answer a telephone, and not much more.
    Greeting,
    /// Asked to wait, thanked, or dismissed: call screening does so.
    Holding,
    Other,
}

/// What words that are no announcement's are beside a machine.
pub fn classify_beside(text: &str, lang: Lang) -> Beside {
    let spoken = pinyin::toneless(text);
    let says = |phrases: &[&str]| {
        phrases
            .iter()
            .any(|phrase| is_said(&spoken, phrase, Fit::Exact))
    };
    let words = Words::new(text);
    let says_en = |phrases: &[&str]| phrases.iter().any(|phrase| words.say(phrase));
    let is_short = match lang {
        Lang::Zh => spoken.len() <= 8,
        Lang::En => words.0.len() <= 6,
    };
    if is_short && spoken.first().is_some_and(|first| *first == "wei") {
        Beside::Greeting
    } else if says(HOLDING_ZH) || says_en(HOLDING_EN) {
        Beside::Holding
    } else if is_short && (says(ANSWERS_ZH) || says_en(ANSWERS_EN)) {
        Beside::Greeting
    } else {
        Beside::Other
    }
}

const HOLDING_ZH: &[&str] = &[
    "稍等",
    "稍候",
    "等一下",
    "等一等",
    "不要挂",
    "别挂",
    "正在联系",
    "正在接通",
    "正在连接",
    "为您接通",
    "帮您接通",
    "谢谢",
    "感谢",
    "再见",
];
const HOLDING_EN: &[&str] = &[
    "hold",
    "holding",
    "on the line",
    "moment",
    "minute",
    "second",
    "wait",
    "connecting",
    "connect you",
    "thank you",
    "thanks",
    "goodbye",
    "bye",
];
const ANSWERS_ZH: &[&str] = &[
    "你好", "您好", "哪位", "哪里", "是谁", "谁啊", "请讲", "请说",
];
const ANSWERS_EN: &[&str] = &[
    "hello",
    "hi",
    "hey",
    "yes",
    "yeah",
    "speaking",
    "who is this",
    "who's this",
    "who's calling",
    "who is it",
];
