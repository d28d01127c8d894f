//! Chinese announcements, as toneless pinyin: 欢迎 and 花营 are the same to a recogniser on a bad line.

use super::{Announcement, is_machine_by_itself};
use crate::pinyin;

/// Phrases of each class, the more telling classes first. From general knowledge and vendors' class lists, not
/// from recordings (speech.md §3.3): real ones should join them.
const PHRASES: &[(Announcement, &[&str])] = &[
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
            "留下您的",
            "留下你的姓名",
            "留下姓名",
            "给我们留言",
            "请在听到",
            "答录机",
            "录下您的",
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
            "语音代接",
            "代接服务",
            "小爱同学",
            "机主的人工",
            "来电筛选",
            "来电过滤",
            "已开启智能",
            "已开启来电",
            "已开启代接",
            "他的语音",
            "她的语音",
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
const OPENINGS: &[&str] = &[
    "您拨打的电",
    "您拨打的用",
    "拨打的电话",
    "拨打的号码",
    "拨打的用户",
    "您拨叫的",
    "您所拨打的",
    "所拨打的电话",
    "所拨打的用户",
    "您呼叫的用",
    "呼叫的用户",
    "呼叫的号码",
    "您所呼叫的",
    "所呼叫的用户",
    "您的来电",
    "您的呼叫",
];

/// A person may say either half of these; both together, and nothing of a person's, is a machine.
const HALVES: (&[&str], &[&str]) = (
    &[
        "不能接听",
        "无法接听",
        "没能接",
        "没办法接听",
        "不方便接听",
        "不便接听",
        "接听您的",
        "接听你的",
    ],
    &["留言", "口信", "回电", "尽快回", "尽快给", "联系方式"],
);

/// Said by a person: of the robot, or by who takes a message for another.
const PERSONS: &[&str] = &[
    "你是智能",
    "你是语音",
    "你是机器",
    "是不是智能",
    "是不是语音",
    "是不是机器",
    "还是语音",
    "留言吗",
    "给他留言",
    "给她留言",
    "带个话",
];

pub(super) fn classify(text: &str) -> Option<Announcement> {
    let spoken = pinyin::toneless(text);
    let says = |phrase: &&str, fit| is_said(&spoken, phrase, fit);
    let opens = OPENINGS.iter().any(|phrase| says(phrase, Fit::Opening));
    let is_person = PERSONS.iter().any(|phrase| says(phrase, Fit::Exact));
    // Persons say 信号不好 too, and 喂 is theirs alone or nearly so: theirs is not bent until it fits.
    let fit = match spoken.first() {
        _ if opens => Fit::Network,
        Some(&"wei") => Fit::Exact,
        Some(_) | None => Fit::Machine,
    };
    let class = PHRASES.iter().find(|(class, phrases)| {
        let may = opens || (is_machine_by_itself(*class) && !is_person);
        may && phrases.iter().any(|phrase| says(phrase, fit))
    });
    let halves = [HALVES.0, HALVES.1].map(|half| half.iter().any(|phrase| says(phrase, fit)));
    match class {
        Some((class, _)) => Some(*class),
        None if opens => Some(sounds_most_like(&spoken)),
        None if is_person => None,
        None if asks_for_message(&spoken) || halves == [true; 2] => Some(Announcement::Voicemail),
        None => None,
    }
}

/// Whether a phrase of this class is said; before the answer only the network speaks.
pub(super) fn classify_early(text: &str) -> Option<Announcement> {
    let spoken = pinyin::toneless(text);
    let said = |&&(_, phrases): &&(Announcement, &[&str])| {
        phrases
            .iter()
            .any(|phrase| is_said(&spoken, phrase, Fit::Network))
    };
    PHRASES.iter().find(said).map(|(class, _)| *class)
}

/// Syllables of a phrase that is long, and of one that nearly is.
const LONG: usize = 5;
const MIDDLING: usize = 4;
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
    let mut nearest: Vec<(f32, Announcement)> = PHRASES
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

/// How nearly a phrase must be what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Every syllable is there.
    Exact,
    /// As a machine's may be misheard where a person may speak.
    Machine,
    /// No syllable is missing: 您打的电话 is a person's, 您拨打的电话 is not.
    Opening,
    /// Only the network speaks so.
    Network,
}

/// Whether the syllables of a phrase occur, as nearly as is asked for ([`pinyin::strain`]).
pub(super) fn is_said(spoken: &[&str], phrase: &str, fit: Fit) -> bool {
    let wanted = pinyin::toneless(phrase);
    let bends = |most: f32| {
        let known = wanted.iter().filter(|syllable| spoken.contains(syllable));
        known.count() * 2 >= wanted.len() && pinyin::strain(spoken, &wanted) <= most
    };
    match (fit, wanted.len()) {
        (Fit::Opening, LONG..) => bends(0.95),
        (Fit::Machine, LONG..) => bends(0.2 * wanted.len() as f32),
        // Classes of the network lie near each other.
        (Fit::Network, MIDDLING..) => pinyin::nearest(spoken, &wanted, 1).is_some(),
        // 您 is how a machine says what a person says with 你.
        (Fit::Machine, MIDDLING) if !phrase.contains('您') => bends(0.4),
        (Fit::Exact | Fit::Machine | Fit::Opening | Fit::Network, _) => {
            spoken.windows(wanted.len()).any(|heard| heard == wanted)
        }
    }
}
