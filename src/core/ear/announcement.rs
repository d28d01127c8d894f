//! Which announcement: by its phrases, as toneless pinyin or as words of which a letter may be misheard.
//!
//! Some phrases are said by machines alone; of those that a person may say too ("not available", 没法接电话) it takes
//! two. Phrases are from general knowledge and vendors' class lists, not from recordings (speech.md §3.3).

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
    #[display("fax")]
    Fax,
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
            "请您留言",
            "请给我留言",
            "有事请留",
            "在提示音",
            "提示音后",
            "提示音响起",
            "嘀声后",
            "滴声后",
            "嘟声后",
            "嘀声之后",
            "嘟声之后",
            "滴一声",
            "滴的一声",
            "嘟一声",
            "嘟的一声",
            "语音信箱",
            "留言信箱",
            "留言系统",
            "留言服务",
            "留言请按",
            "语音留言",
            "录制留言",
            "开始留言",
            "录音现在开始",
            "留下口信",
            "留下您的口信",
            "给机主留言",
            "留言结束",
            "井号键结束",
            "留言完毕",
            "留言完成",
            "信号音后",
            "信号音响",
            "信号音之后",
            "哔声后",
            "哔声之后",
            "哔的一声",
            "听到嘀声",
            "听到滴声",
            "听到嘟声",
            "听到提示音",
            "语音邮箱",
            "转至语音",
            "转入语音",
            "转到语音",
            "转接至语音",
            "转接到语音",
            "进行留言",
            "可以留言",
            "录下您的",
            "留下您的",
            "留下你的姓名",
            "留下姓名",
            "给我们留言",
            "请在听到",
            "答录机",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "智能助理",
            "智能秘书",
            "智能助手",
            "智能代接",
            "智能语音助",
            "人工智能代接",
            "人工智能助理",
            "机主现在",
            "机主正在",
            "机主无法",
            "机主不能",
            "机主暂时",
            "机主让我",
            "主人正在忙",
            "语音助手",
            "通话助理",
            "电话助理",
            "来电助手",
            "来电助理",
            "机主现在不方便",
            "帮您转达",
            "需要转达",
            "为您转告",
            "帮您转告",
            "机主的秘书",
            "机主的助理",
            "正在代接",
            "代为接听",
            "替主人接",
            "替机主接",
            "帮主人接",
            "帮机主接",
            "说明来意",
            "来电的原因",
            "来电原因",
            "来电目的",
            "姓名和来电",
            "通话将被转成",
            "转成文字",
            "人工智能接听",
            "智能接听",
            "智能应答",
            "语音秘书",
            "电话秘书",
            "来电秘书",
            "通话秘书",
            "语音助理",
            "虚拟助理",
            "数字助理",
            "私人助理",
            "机主的语音",
            "机主的智能",
            "机主不方便",
            "机主不在",
            "机主没",
            "机主已",
            "联系机主",
            "转告机主",
            "通知机主",
            "转达给机主",
            "替他接电话",
            "帮他接电话",
            "替她接电话",
            "替您转达",
            "为您转达",
            "为您记录",
            "帮您记录",
            "记录下来并",
            "通话将被录音并",
            "实时转写",
            "说出您的姓名",
            "说一下您的姓名",
            "说出姓名",
        ],
    ),
    (
        Announcement::InvalidNumber,
        &[
            "是空号",
            "号码不存在",
            "请查证后再拨",
            "请核对后再拨",
            "查对以后再拨",
            "号码已过期",
            "号码有误",
            "不是有效号码",
        ],
    ),
    (
        Announcement::Suspended,
        &[
            "已停机",
            "欠费停机",
            "已欠费",
            "暂停服务",
            "已暂停服务",
            "号码已停用",
        ],
    ),
    (
        Announcement::PoweredOff,
        &["已关机", "电话已关机", "手机已关机", "已经关机", "没有开机"],
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
            "来电信息",
            "短信的形式",
            "用短信",
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
        &[
            "无人接听",
            "暂时无人接听",
            "暂时没有人接听",
            "无人应答",
            "没有应答",
        ],
    ),
    (
        Announcement::CallerBlocked,
        &["主叫受限", "骚扰电话", "未实名", "主叫号码受限"],
    ),
    (
        Announcement::Barred,
        &[
            "呼入限制",
            "呼叫限制",
            "已设置拦截",
            "来电拦截",
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
    "您所呼叫的",
    "您的来电",
    "您的呼叫",
];

/// Said about the robot by a person.
const ASKED_ZH: &[&str] = &[
    "你是智能",
    "你是语音",
    "你是机器",
    "是不是智能",
    "是不是语音",
    "是不是机器",
];

const PHRASES_EN: &[(Announcement, &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "leave me a message",
            "leave us a message",
            "leave your message",
            "leave a voice message",
            "leave one after",
            "after the tone",
            "after the beep",
            "at the tone",
            "at the beep",
            "wait for the tone",
            "wait for the beep",
            "voice mail",
            "voicemail",
            "mailbox",
            "sound of the tone",
            "sound of the beep",
            "after the signal",
            "hear the tone",
            "hear the beep",
            "at the signal",
            "brief message",
            "detailed message",
            "leave a short message",
            "answerphone",
            "answer phone",
            "press the pound",
            "press pound",
            "pound key",
            "hash key",
            "star key",
            "finished recording",
            "begin recording",
            "start recording",
            "start speaking after",
            "begin speaking after",
            "messaging service",
            "record your message",
            "record a message",
            "recording your message",
            "take a message for",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "state your name",
            "record your name",
            "reason you're calling",
            "tell me why you are calling",
            "call assistant",
            "virtual assistant",
            "digital assistant",
            "automated assistant",
            "call screening",
            "screening service",
            "this person is available",
            "who is calling and why",
            "while we try to reach",
            "who's calling and why",
            "google assistant",
            "voice assistant",
            "personal assistant service",
            "ai assistant",
            "call screener",
            "screening your call",
            "screening this call",
            "screened before",
            "will be transcribed",
            "being transcribed",
            "is transcribed",
            "and transcribed",
            "see if this person",
            "see if they are available",
            "see if they're available",
            "check if they are available",
            "check if they're available",
            "find out if they",
            "on behalf of the person",
            "answering on behalf",
            "answering for the person",
            "give your name and",
            "state the reason",
        ],
    ),
    (
        Announcement::InvalidNumber,
        &[
            "does not exist",
            "doesn't exist",
            "vacant number",
            "not a working number",
            "is not valid",
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
            "been suspended",
            "suspended",
            "defaulted",
        ],
    ),
    (
        Announcement::PoweredOff,
        &[
            "powered off",
            "power off",
            "switched off",
            "turned off",
            "has no signal",
        ],
    ),
    (
        Announcement::Unreachable,
        &[
            "cannot be connected",
            "can't be connected",
            "cannot be reached",
            "not reachable",
            "can't be reached",
            "can not be connected",
            "out of the service area",
            "coverage area",
            "did not go through",
            "not be completed",
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
        &[
            "is busy",
            "line is busy",
            "on the phone",
            "on another call",
            "is engaged",
        ],
    ),
    (
        Announcement::NoAnswer,
        &[
            "no answer",
            "no reply",
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
            "does not accept calls",
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
    "number you have dialed",
    "number you dialed",
    "the subscriber you",
    "subscriber you dialed",
    "subscriber you have dialed",
    "the person you are calling",
    "the person you are trying to reach",
    "the person you have called",
    "the party you",
    "the customer you",
    "customer you are calling",
    "your call has been",
    "you have been forwarded",
    "the user you",
    "the phone you have",
    "the mobile phone you",
];

/// A person may say either half of these; both together, and nothing of a person's, is a machine.
const HALVES_EN: &[(Announcement, &[&str], &[&str])] = &[
    (
        Announcement::Voicemail,
        &[
            "leave a message",
            "please leave",
            "leave your name",
            "leave your details",
            "leave your number",
            "missed your call",
            "leave me your",
            "drop me a message",
        ],
        &[
            "you've reached",
            "you have reached",
            "this is the voice",
            "not available",
            "can't come to the phone",
            "can't take your call",
            "cannot take your call",
            "unable to take your call",
            "can't answer",
            "missed your call",
            "not at my desk",
            "away from my",
            "not at home",
            "not in at the moment",
            "return your call",
            "get back to you",
            "call you back",
            "call you as soon",
            "come to the phone",
            "out of the office",
            "please leave",
            "unable to answer",
            "unable to come",
            "cannot answer",
            "can't get to the phone",
            "cannot come to the phone",
            "couldn't take your call",
            "away from the phone",
            "nobody is available",
            "no one is available",
            "nobody can take",
            "no one can take",
            "not able to take",
            "not able to answer",
            "sorry i missed",
            "sorry we missed",
            "get back to you",
            "we'll call you back",
            "i'll call you back",
            "ring you back",
            "return your message",
            "currently closed",
            "are closed",
            "office hours",
            "opening hours",
        ],
    ),
    (
        Announcement::Assistant,
        &[
            "say your name",
            "your name and",
            "reason for calling",
            "why you're calling",
            "why you are calling",
            "purpose of your call",
            "reason for your call",
            "purpose of this call",
        ],
        &[
            "if this person",
            "whether this person",
            "this person can",
            "the person you're calling",
            "the person you are calling",
            "copy of this conversation",
            "can read what you say",
            "after the tone",
            "try to connect you",
            "for the owner",
        ],
    ),
];

/// Said by a person who takes a message, or asks what the robot is.
const PERSONS_EN: &[&str] = &[
    "would you like",
    "do you want",
    "can i take",
    "can i help",
    "may i help",
    "shall i",
    "want me to",
    "are you a",
    "is this a",
    "are you an",
    "is this an",
    "how can i",
    "how may i",
    "can you leave",
    "who's this",
];

/// The class of an announcement, or `None` where it may have been a person.
pub fn classify_announcement(text: &str, lang: Lang) -> Option<Announcement> {
    // The second half of a Chinese announcement is English, whatever the call's language.
    match lang {
        Lang::Zh => classify_zh(text).or_else(|| classify_en(text)),
        Lang::En => classify_en(text).or_else(|| classify_zh(text)),
    }
}

/// The class of what is said before the answer, where nobody but the network speaks and any of its phrases counts.
pub fn classify_early(text: &str, lang: Lang) -> Option<Announcement> {
    let spoken = pinyin::toneless(text);
    let said = |&&(_, phrases): &&(Announcement, &[&str])| {
        phrases.iter().any(|phrase| is_said(&spoken, phrase, true))
    };
    let words = Words::new(text);
    let said_en =
        |&&(_, phrases): &&(Announcement, &[&str])| phrases.iter().any(|phrase| words.say(phrase));
    let certain = classify_announcement(text, lang).filter(|class| *class != Announcement::Unknown);
    certain
        .or_else(|| PHRASES_ZH.iter().find(said).map(|(class, _)| *class))
        .or_else(|| PHRASES_EN.iter().find(said_en).map(|(class, _)| *class))
        .or_else(|| classify_announcement(text, lang))
}

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
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| is_said(&spoken, phrase, false));
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

fn classify_zh(text: &str) -> Option<Announcement> {
    let spoken = pinyin::toneless(text);
    let says = |phrase: &&str| is_said(&spoken, phrase, true);
    let opens = OPENINGS_ZH.iter().any(says);
    let is_asked = ASKED_ZH.iter().any(says);
    let class = PHRASES_ZH.iter().find(|(class, phrases)| {
        // Without the opening only what no person says counts, and as it is: persons say 信号不好 too.
        let may = opens || (is_machine_by_itself(*class) && !is_asked);
        may && phrases.iter().any(|phrase| {
            let is_long = phrase.chars().count() >= LONG_ZH;
            is_said(&spoken, phrase, opens || is_long)
        })
    });
    match class {
        Some((class, _)) => Some(*class),
        None if opens => Some(sounds_most_like(&spoken)),
        None if asks_for_message(&spoken) => Some(Announcement::Voicemail),
        None => None,
    }
}

/// From so many syllables on one may be misheard.
const LONG_ZH: usize = 5;
/// Syllables between 请 and 留言.
const BETWEEN: usize = 7;

/// 请, and soon after it 留言 or 口信.
fn asks_for_message(spoken: &[&str]) -> bool {
    let ends = spoken
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| matches!(pair, ["liu", "yan"] | ["kou", "xin"]));
    ends.into_iter().any(|(at, _)| {
        let before = &spoken[at.saturating_sub(BETWEEN)..at];
        before.contains(&"qing")
    })
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
    let words = Words::new(text);
    let is_person = PERSONS_EN.iter().any(|phrase| words.say(phrase));
    let opens = OPENINGS_EN.iter().any(|phrase| words.say(phrase));
    let class = PHRASES_EN
        .iter()
        .find(|(_, phrases)| phrases.iter().any(|phrase| words.say(phrase)));
    match class {
        Some((class, _)) if opens || (is_machine_by_itself(*class) && !is_person) => {
            return Some(*class);
        }
        Some(_) | None => {}
    }
    let halves = HALVES_EN.iter().find(|(_, one, other)| {
        one.iter().any(|first| {
            words.say(first)
                && other
                    .iter()
                    .any(|second| second != first && words.say(second))
        })
    });
    match halves {
        Some((class, ..)) if !is_person => Some(*class),
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

/// Letters of a phrase from which on some may be misheard, and how many of them: one in so many.
const LONG_EN: usize = 11;
const LETTERS_A_FAULT: usize = 7;

/// English words, lower case.
struct Words(Vec<String>);

impl Words {
    fn new(text: &str) -> Words {
        let words = text
            .split(|c: char| !(c.is_alphanumeric() || c == '\''))
            .filter(|word| !word.is_empty());
        Words(words.map(str::to_lowercase).collect())
    }

    /// Whether the words of a phrase follow each other; of a long phrase a few letters may be others.
    fn say(&self, phrase: &str) -> bool {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        let joined = wanted.concat();
        let faults = match joined.len() {
            len if len >= LONG_EN => len / LETTERS_A_FAULT,
            _ => 0,
        };
        self.0.windows(wanted.len()).any(|window| {
            let alike = window.iter().zip(&wanted).filter(|(a, b)| a == b).count();
            alike == wanted.len()
                || (faults > 0
                    && alike * 2 >= wanted.len()
                    && strsim::levenshtein(&window.concat(), &joined) <= faults)
        })
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
