//! The small sounds of a listener: they say "go on", and are no wish to speak.

use super::reply::{bare, plain};
use crate::lang::Lang;

const ZH: [&str; 28] = [
    "嗯",
    "嗯嗯",
    "嗯嗯嗯",
    "恩",
    "恩恩",
    "哦",
    "哦哦",
    "噢",
    "喔",
    "啊",
    "哎",
    "唉",
    "呃",
    "额",
    "好",
    "好的",
    "好好",
    "好好好",
    "好吧",
    "行",
    "行行",
    "是",
    "是是",
    "是的",
    "对",
    "对对",
    "对对对",
    "嗯好",
];
const EN: [&str; 24] = [
    "mm",
    "mmm",
    "mhm",
    "mm hmm",
    "mm hm",
    "hm",
    "hmm",
    "uh",
    "uh huh",
    "aha",
    "ah",
    "oh",
    "ok",
    "okay",
    "yeah",
    "yep",
    "yes",
    "right",
    "sure",
    "i see",
    "all right",
    "alright",
    "good",
    "fine",
];

/// Whether somebody who speaks into a prompt only follows it.
pub fn is_backchannel(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => ZH.contains(&bare(text).as_str()),
        Lang::En => EN.contains(&plain(text).replace('-', " ").as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_told_from_a_speaker() {
        for (text, lang, follows) in [
            ("嗯。", Lang::Zh, true),
            ("好的，", Lang::Zh, true),
            ("Mm-hmm.", Lang::En, true),
            ("OK", Lang::En, true),
            ("没有", Lang::Zh, false),
            ("喂？", Lang::Zh, false),
            ("你说什么", Lang::Zh, false),
            ("No", Lang::En, false),
            ("Wait", Lang::En, false),
        ] {
            assert_eq!(is_backchannel(text, lang), follows, "{text}");
        }
    }
}
