//! Which announcement: by its phrases, as toneless pinyin or as words of which a letter may be misheard.
//!
//! Some phrases are said by machines alone; of those that a person may say too ("not available", 没法接电话) it takes
//! two. Phrases are from general knowledge and vendors' class lists, not from recordings (speech.md §3.3).

pub mod beside;
mod en;
mod zh;

use crate::lang::Lang;

/// What a recorded voice says about the called number (speech.md §3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, derive_more::Display)]
pub enum Announcement {
    #[display("busy")]
    Busy,
    #[display("powered_off")]
    PoweredOff,
    #[display("unreachable")]
    Unreachable,
    /// 空号: nobody has this number.
    #[display("invalid_number")]
    InvalidNumber,
    /// 停机: the subscriber has not paid, or asked for it.
    #[display("suspended")]
    Suspended,
    #[display("no_answer")]
    NoAnswer,
    /// Incoming calls are restricted or refused.
    #[display("barred")]
    Barred,
    #[display("forwarding")]
    Forwarding,
    #[display("voicemail")]
    Voicemail,
    /// A robot that answers for the subscriber.
    #[display("assistant")]
    Assistant,
    /// The network tells the subscriber later that we called.
    #[display("call_reminder")]
    CallReminder,
    /// The network holds us for a nuisance.
    #[display("caller_blocked")]
    CallerBlocked,
    #[display("fax")]
    Fax,
    /// Certainly an announcement; which one was not understood.
    #[display("unknown")]
    Unknown,
}

/// The class of an announcement, or `None` where it may have been a person.
pub fn classify_announcement(text: &str, lang: Lang) -> Option<Announcement> {
    // The second half of a Chinese announcement is English, whatever the call's language.
    match lang {
        Lang::Zh => zh::classify(text).or_else(|| en::classify(text)),
        Lang::En => en::classify(text).or_else(|| zh::classify(text)),
    }
}

/// The class of what is said before the answer, where nobody but the network speaks and any of its phrases counts.
pub fn classify_early(text: &str, lang: Lang) -> Option<Announcement> {
    let found = classify_announcement(text, lang);
    let certain = found.filter(|class| *class != Announcement::Unknown);
    certain
        .or_else(|| zh::classify_early(text))
        .or_else(|| en::classify_early(text))
        .or(found)
}

/// Classes whose phrases no person says on picking up.
fn is_machine_by_itself(class: Announcement) -> bool {
    matches!(
        class,
        Announcement::Voicemail | Announcement::Assistant | Announcement::Forwarding
    )
}

#[cfg(test)]
mod tests {
    use super::beside::{Beside, classify_beside};
    use super::*;

    #[test]
    fn announcements_are_recognised_as_the_recogniser_writes_them() {
        let table = [
            (
                "您好，您拨打的电话已关机，请稍后再拨",
                Announcement::PoweredOff,
            ),
            ("您播打的电话以关机", Announcement::PoweredOff),
            (
                "您好您不打的电话与关系,请稍后再播。",
                Announcement::PoweredOff,
            ),
            (
                "对不起 您不打的号码是空号 请查正后再拨",
                Announcement::InvalidNumber,
            ),
            (
                "你拨打的号码不存在请核对后再播",
                Announcement::InvalidNumber,
            ),
            ("您拨打的用户正忙请稍后再拨", Announcement::Busy),
            ("您拨打的电话正在通话中", Announcement::Busy),
            ("您所拨打的电话暂时无法接通", Announcement::Unreachable),
            ("您拨打的电话已停机", Announcement::Suspended),
            ("您拨打的电话暂时无人接听", Announcement::NoAnswer),
            (
                "您好我现在不方便接电话请在提示音后留言",
                Announcement::Voicemail,
            ),
            (
                "您好，我是机主的智能助理，请问有什么事需要转达吗",
                Announcement::Assistant,
            ),
            ("您拨打的电话哗啦哗啦", Announcement::Unknown),
            (
                "Sorry, the number you dialed is power off.",
                Announcement::PoweredOff,
            ),
            (
                "Please leave a message after the tone.",
                Announcement::Voicemail,
            ),
            (
                "The number you have dialed is not in service.",
                Announcement::InvalidNumber,
            ),
            ("The subscriber you dialed is busy now", Announcement::Busy),
        ];
        for (text, class) in table {
            assert_eq!(classify_announcement(text, Lang::Zh), Some(class), "{text}");
        }
    }

    #[test]
    fn who_takes_the_call_from_a_machine_is_told_from_it() {
        for (text, lang, is) in [
            ("喂", Lang::Zh, Beside::Greeting),
            ("喂，等一下啊", Lang::Zh, Beside::Greeting),
            ("你好，哪位", Lang::Zh, Beside::Greeting),
            ("好的，请稍等", Lang::Zh, Beside::Holding),
            ("谢谢，再见", Lang::Zh, Beside::Holding),
            ("我是王建国，您找我有什么事情吗", Lang::Zh, Beside::Other),
            ("Hello?", Lang::En, Beside::Greeting),
            ("Thanks. Stay on the line.", Lang::En, Beside::Holding),
            (
                "We are closed until Monday at nine",
                Lang::En,
                Beside::Other,
            ),
        ] {
            assert_eq!(classify_beside(text, lang), is, "{text}");
        }
    }

    #[test]
    fn people_are_not_announcements() {
        for text in [
            "喂，你好，请问你是哪里？",
            "喂喂听得到吗",
            "我在开会，等下打给你",
            "我是他老婆，他不在",
            "没有，没有发烧",
            "信号有点不清楚，你再说一遍",
            "他现在不方便",
            "Hello? Who is this?",
            "I'm busy right now, call me later",
            "I turned off the heating, I'm fine",
            "yes this is speaking",
            "I can't talk right now, please send me a text",
            "What is the purpose of your call?",
            "leave your name and number and I'll tell her",
        ] {
            assert_eq!(classify_announcement(text, Lang::Zh), None, "{text}");
            assert_eq!(classify_announcement(text, Lang::En), None, "{text}");
        }
    }
}
