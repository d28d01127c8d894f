//! Human or machine, and which announcement: by what was said and which tone came, never by timing alone.
//!
//! Announcements are recognised by their phrases as toneless pinyin, which catches 30 of 30 machines and none of
//! 56 human greetings where Asterisk's timing rule hangs up on 21 % of humans (speech.md §3.2). A machine is
//! never told anything but the neutral name, so a wrong verdict costs a second call and not a secret.

use super::tone::ToneVerdict;
use crate::lang::Lang;
use crate::pinyin;

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
    /// Certainly an announcement; which one was not understood.
    #[display("unknown")]
    Unknown,
}

/// Phrases of each class, the more telling classes first. From general knowledge and vendors' class lists, not
/// from recordings (speech.md §3.3): real ones should join them.
const PHRASES_ZH: &[(Announcement, &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "请留言",
            "请在提示音后",
            "提示音后留言",
            "嘀声后",
            "嘀的一声后",
            "语音信箱",
            "留言请按",
            "语音留言",
            "录制留言",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "智能助理",
            "智能秘书",
            "语音助手",
            "通话助理",
            "电话助理",
            "来电助手",
            "机主现在不方便",
            "帮您转达",
            "需要转达",
            "为您转告",
            "机主的秘书",
            "机主的助理",
        ],
    ),
    (
        Announcement::InvalidNumber,
        &[
            "是空号",
            "号码不存在",
            "请查证后再拨",
            "请核对后再拨",
            "号码已过期",
            "号码有误",
            "不是有效号码",
        ],
    ),
    (
        Announcement::Suspended,
        &["已停机", "已欠费", "暂停服务", "已暂停服务", "号码已停用"],
    ),
    (
        Announcement::PoweredOff,
        &["已关机", "电话已关机", "手机已关机"],
    ),
    (
        Announcement::Unreachable,
        &[
            "暂时无法接通",
            "无法接通",
            "不在服务区",
            "信号不好",
            "暂时不能接通",
            "无法连接",
        ],
    ),
    (
        Announcement::CallReminder,
        &[
            "短信通知",
            "短信的方式通知",
            "来电提醒",
            "漏话提醒",
            "短信提醒",
            "以短信方式",
        ],
    ),
    (
        Announcement::Busy,
        &["正在通话中", "用户正忙", "电话正在通话", "正在通话"],
    ),
    (
        Announcement::NoAnswer,
        &["无人接听", "暂时无人接听", "暂时没有人接听"],
    ),
    (
        Announcement::CallerBlocked,
        &["主叫受限", "骚扰电话", "未实名", "主叫号码受限"],
    ),
    (
        Announcement::Barred,
        &[
            "呼入限制",
            "限制呼入",
            "已设置呼入",
            "拒绝接听",
            "呼叫受限",
            "不接受来电",
        ],
    ),
    (
        Announcement::Forwarding,
        &["呼叫转移", "正在为您转接", "呼叫正在转移", "正在转接"],
    ),
];

/// How every announcement of the Chinese network begins; no person answers a telephone so.
const OPENINGS_ZH: &[&str] = &[
    "您拨打的电话",
    "您拨打的号码",
    "您拨打的用户",
    "您拨叫的",
    "您所拨打的",
    "您呼叫的用户",
    "您呼叫的号码",
    "机主",
];

const PHRASES_EN: &[(Announcement, &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "leave a message",
            "leave your message",
            "after the tone",
            "after the beep",
            "at the tone",
            "voice mail",
            "voicemail",
            "mailbox",
            "record your message",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "state your name",
            "reason for calling",
            "call assistant",
            "screening service",
            "this person is available",
            "who is calling and why",
        ],
    ),
    (
        Announcement::InvalidNumber,
        &[
            "does not exist",
            "doesn't exist",
            "not in service",
            "no longer in service",
            "disconnected",
            "check the number",
            "not a valid number",
            "not been recognised",
            "not been recognized",
        ],
    ),
    (
        Announcement::Suspended,
        &[
            "out of service",
            "service is suspended",
            "suspended",
            "defaulted",
        ],
    ),
    (
        Announcement::PoweredOff,
        &["powered off", "power off", "switched off", "turned off"],
    ),
    (
        Announcement::Unreachable,
        &[
            "cannot be connected",
            "can't be connected",
            "cannot be reached",
            "not reachable",
            "out of the service area",
            "not available at the moment",
            "is unavailable",
        ],
    ),
    (
        Announcement::CallReminder,
        &["short message", "text message to inform"],
    ),
    (
        Announcement::Busy,
        &["is busy", "line is busy", "on the phone"],
    ),
    (
        Announcement::NoAnswer,
        &[
            "no answer",
            "not answered",
            "is not answering",
            "nobody is answering",
        ],
    ),
    (
        Announcement::Barred,
        &[
            "incoming calls",
            "not accepting calls",
            "call restrictions",
            "barred",
        ],
    ),
    (
        Announcement::Forwarding,
        &["being forwarded", "call forwarding", "being transferred"],
    ),
];

const OPENINGS_EN: &[&str] = &[
    "the number you",
    "the subscriber you",
    "the person you are calling",
    "the customer you",
    "your call has been",
    "you have reached the",
    "the user you",
];

/// The class of an announcement, or `None` where it may have been a person.
pub fn classify_announcement(text: &str, lang: Lang) -> Option<Announcement> {
    // The second half of a Chinese announcement is English, whatever the call's language.
    match lang {
        Lang::Zh => classify_zh(text).or_else(|| classify_en(text)),
        Lang::En => classify_en(text).or_else(|| classify_zh(text)),
    }
}

fn classify_zh(text: &str) -> Option<Announcement> {
    let spoken = pinyin::toneless(text);
    let opens = OPENINGS_ZH
        .iter()
        .any(|phrase| is_said(&spoken, phrase, true));
    let class = PHRASES_ZH.iter().find(|(_, phrases)| {
        // Without the opening a phrase must be said as it is: persons say 没有 and 不好 too.
        phrases.iter().any(|phrase| is_said(&spoken, phrase, opens))
    });
    match class {
        Some((class, _)) => Some(*class),
        None if opens => Some(sounds_most_like(&spoken)),
        None => None,
    }
}

/// Per syllable, the most that a phrase may be bent, and how much less than those of every other class.
const BENT: f32 = 0.36;
const CLEARER: f32 = 0.05;

/// The class whose phrase sounds nearest, behind an opening that only the network says: 与关系 for 已关机.
fn sounds_most_like(spoken: &[&str]) -> Announcement {
    let mut nearest: Vec<(f32, Announcement)> = PHRASES_ZH
        .iter()
        .map(|(class, phrases)| {
            let strains = phrases.iter().map(|phrase| {
                let wanted = pinyin::toneless(phrase);
                pinyin::strain(spoken, &wanted) / wanted.len().max(1) as f32
            });
            (strains.fold(f32::MAX, f32::min), *class)
        })
        .collect();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    match nearest[..] {
        [(first, class), (second, _), ..] if first <= BENT && first + CLEARER <= second => class,
        _ => Announcement::Unknown,
    }
}

/// Whether the syllables of a phrase occur; one may be misheard in a long phrase, if `lenient`.
fn is_said(spoken: &[&str], phrase: &str, lenient: bool) -> bool {
    let wanted = pinyin::toneless(phrase);
    let most = usize::from(lenient && wanted.len() >= 4);
    pinyin::nearest(spoken, &wanted, most).is_some()
}

fn classify_en(text: &str) -> Option<Announcement> {
    let spoken = plain_en(text);
    let says = |phrase: &&str| spoken.contains(&format!(" {phrase} "));
    let opens = OPENINGS_EN
        .iter()
        .any(|phrase| spoken.contains(&format!(" {phrase}")));
    let class = PHRASES_EN
        .iter()
        .find(|(_, phrases)| phrases.iter().any(says));
    match class {
        Some((class, _)) if opens || is_machine_by_itself(*class) => Some(*class),
        Some(_) | None if opens => Some(Announcement::Unknown),
        Some(_) | None => None,
    }
}

/// Classes whose phrases no person says on picking up.
fn is_machine_by_itself(class: Announcement) -> bool {
    matches!(
        class,
        Announcement::Voicemail | Announcement::Assistant | Announcement::Forwarding
    )
}

/// Lower case, words only, one space between and around.
fn plain_en(text: &str) -> String {
    let words = text
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty());
    words.fold(String::from(" "), |line, word| {
        line + &word.to_lowercase() + " "
    })
}

/// Who answered, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, derive_more::Display)]
pub enum Answerer {
    /// Go on as with a human (speech.md §3.4).
    #[default]
    #[display("unsure")]
    Unsure,
    #[display("human")]
    Human,
    #[display("machine")]
    Machine,
}

/// Why an answerer is held for a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MachineSign {
    /// An announcement's phrase.
    Said(Announcement),
    Beep,
    /// A voice that talks on over our prompt and does not react.
    TalksOn,
}

/// Milliseconds of one unbroken speech over our prompt that no person keeps up (speech.md §3.4).
const TALKS_ON_MS: u64 = 4_600;
/// After so long with a person a beep is their microwave oven, not a voicemail.
const WATCH_MS: u64 = 30_000;

/// Collects the signs from the answer on.
#[derive(Clone, Debug, Default)]
pub struct Amd {
    answered_at_ms: u64,
    is_human: bool,
    sign: Option<MachineSign>,
}

impl Amd {
    /// Begins when the call is answered.
    pub fn new(answered_at_ms: u64) -> Amd {
        Amd {
            answered_at_ms,
            ..Amd::default()
        }
    }

    /// Words were heard. The announcement, if they are one.
    pub fn words(&mut self, text: &str, lang: Lang) -> Option<Announcement> {
        let announcement = classify_announcement(text, lang)?;
        if !self.is_human {
            self.sign.get_or_insert(MachineSign::Said(announcement));
        }
        Some(announcement)
    }

    /// A tone was heard.
    pub fn tone(&mut self, verdict: ToneVerdict, at_ms: u64) {
        let is_early = at_ms.saturating_sub(self.answered_at_ms) <= WATCH_MS;
        if verdict == ToneVerdict::Beep && is_early && !self.is_human {
            self.sign.get_or_insert(MachineSign::Beep);
        }
    }

    /// Speech went on from `from_ms` to `to_ms` while the robot spoke.
    pub fn spoke_over(&mut self, from_ms: u64, to_ms: u64) {
        if to_ms.saturating_sub(from_ms) > TALKS_ON_MS && !self.is_human {
            self.sign.get_or_insert(MachineSign::TalksOn);
        }
    }

    /// An answer fitted our question, or a key was pressed when asked for: nothing else proves a human.
    pub fn answered_a_question(&mut self) {
        self.is_human = true;
        self.sign = None;
    }

    /// The verdict by now.
    pub fn verdict(&self) -> Answerer {
        match (self.is_human, self.sign) {
            (true, _) => Answerer::Human,
            (false, Some(_)) => Answerer::Machine,
            (false, None) => Answerer::Unsure,
        }
    }

    /// What gave the machine away.
    pub fn sign(&self) -> Option<MachineSign> {
        self.sign
    }
}

#[cfg(test)]
mod tests {
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
        ] {
            assert_eq!(classify_announcement(text, Lang::Zh), None, "{text}");
            assert_eq!(classify_announcement(text, Lang::En), None, "{text}");
        }
    }

    #[test]
    fn only_an_answer_proves_a_human() {
        let mut amd = Amd::new(2_000);
        assert_eq!(amd.verdict(), Answerer::Unsure);
        amd.spoke_over(2_500, 6_000);
        assert_eq!(amd.verdict(), Answerer::Unsure);
        amd.tone(ToneVerdict::Beep, 9_000);
        assert_eq!(amd.sign(), Some(MachineSign::Beep));
        assert_eq!(amd.verdict(), Answerer::Machine);
        amd.answered_a_question();
        amd.words("您拨打的电话已关机", Lang::Zh);
        assert_eq!(amd.verdict(), Answerer::Human);
    }
}
