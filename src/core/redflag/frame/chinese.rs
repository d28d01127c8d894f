//! Answers that only Mandarin gives: adverb, verb and measure put together as the speaker likes (已经没有了, 还是有那么两回),
//! what a complaint is likened to (跟针扎似的), and the complaints that its grammar makes of any verb (拽得慌, 一跳一跳的).

use super::{Answer, Put, Said};
use crate::question::QuestionKind;
use crate::redflag::assert::Scene;
use crate::redflag::cue::Cue;
use crate::redflag::normal::Cut;

/// The longest clause that is read as a bare answer, in characters.
const LONGEST: usize = 16;

/// Words before the verb of a bare answer that change nothing.
const LEADS: [&str; 58] = [
    "现在",
    "目前",
    "如今",
    "眼下",
    "这两天",
    "这几天",
    "这阵子",
    "最近",
    "今天",
    "昨天",
    "回来",
    "回来以后",
    "回家以后",
    "出院以后",
    "出院后",
    "到家",
    "已经",
    "早就",
    "早",
    "就",
    "也",
    "都",
    "全",
    "还",
    "还是",
    "倒",
    "倒是",
    "倒也",
    "是",
    "其实",
    "基本",
    "基本上",
    "差不多",
    "反正",
    "一般",
    "平时",
    "多少",
    "稍微",
    "偶尔",
    "有时",
    "有时候",
    "经常",
    "老",
    "老是",
    "总",
    "总是",
    "时不时",
    "可能",
    "好像",
    "一直",
    "再",
    "再也",
    "从来",
    "根本",
    "压根",
    "完全",
    "一点",
    "确实",
];
/// Verbs of there being, coming and coming back.
const VERBS: [&str; 24] = [
    "出",
    "起",
    "长",
    "流",
    "有过",
    "有",
    "会",
    "犯过",
    "犯",
    "来过",
    "来",
    "出现过",
    "出现",
    "发作过",
    "发作",
    "发生",
    "见",
    "看见",
    "看到",
    "见着",
    "发现",
    "觉得",
    "感觉到",
    "碰到",
];
const DENIALS: [&str; 9] = [
    "没有", "没得", "没", "冇", "莫得", "不", "未", "不再", "没再",
];
/// Words behind the verb that change nothing.
const TAILS: [&str; 56] = [
    "了",
    "过",
    "啦",
    "呢",
    "啊",
    "呀",
    "的",
    "吧",
    "嘛",
    "哦",
    "哈",
    "咯",
    "嘞",
    "噻",
    "着",
    "一点",
    "一点点",
    "一些",
    "点",
    "些",
    "那么",
    "这么",
    "这个",
    "那个",
    "这种",
    "那种",
    "情况",
    "感觉",
    "毛病",
    "事",
    "这事",
    "现象",
    "什么",
    "啥",
    "任何",
    "一下",
    "下",
    "一阵",
    "一会",
    "以后",
    "之后",
    "倒",
    "一身",
    "一片",
    "一大片",
    "一脸",
    "好几个",
    "几个",
    "一丝丝",
    "一丝",
    "丝丝",
    "一丁点",
    "丁点",
    "一丢丢",
    "几滴",
    "一滴",
];
const COUNTS: [&str; 14] = [
    "一", "两", "三", "四", "五", "六", "七", "八", "九", "十", "几", "好几", "二", "半",
];
const MEASURES: [&str; 10] = ["次", "回", "下", "阵", "天", "会", "趟", "遭", "声", "口"];

/// The answer of a clause in which no listed answer was found.
pub(super) fn answer(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> Option<Said> {
    if !scene.units[from].is_han() || scene.units[to - 1].after == Cut::Ask {
        return None;
    }
    let named = scene.sightings.iter().any(|s| s.start < to && from < s.end);
    if named {
        return None;
    }
    let said = |answer, doubtful| Said {
        answer,
        doubtful,
        bare: true,
        picks: None,
        only: false,
        span: (from, to),
    };
    let doubtful = says(scene, from, to, &[Cue::Hedge]);
    // 一天七八回 is an amount, and a yes only where a complaint was asked about.
    let amount = |answer: &Answer| *answer == Answer::No || put.names_complaint();
    if let Some(answer) = composed(scene, from, to).filter(amount) {
        return Some(said(answer, doubtful));
    }
    if well_said(scene, put, from, to) {
        return Some(said(Answer::Fine, false));
    }
    let tells = places(scene, from, to) || dates(scene, from, to);
    if put.kind == QuestionKind::YesNo && tells {
        return Some(said(Answer::Has, doubtful));
    }
    let alone = put.asked.len() == 1 && put.kind == QuestionKind::YesNo;
    if alone && (left_over(scene, from, to) || complains(scene, from, to)) {
        return Some(said(Answer::Has, doubtful));
    }
    None
}

/// The length of the longest of these words that is said at `at`, before `to`.
fn eaten(scene: &Scene<'_>, at: usize, to: usize, words: &[&str]) -> Option<usize> {
    let first = scene.units.get(at)?.text.chars().next()?;
    let said = |word: &&str| {
        let length = word.chars().count();
        let units = scene.units.get(at..at + length)?;
        let mut pairs = units.iter().zip(word.chars());
        let same = at + length <= to && pairs.all(|(unit, c)| unit.text.chars().eq([c]));
        same.then_some(length)
    };
    let begins = words.iter().filter(|word| word.starts_with(first));
    begins.filter_map(said).max()
}

/// 已经没有了, 早没了, 还是有点, 多少有那么几回: adverbs, denials, one verb, an amount, and nothing else.
fn composed(scene: &Scene<'_>, from: usize, to: usize) -> Option<Answer> {
    if to - from > LONGEST {
        return None;
    }
    let (mut at, mut denied, mut there, mut verb) = (from, false, false, false);
    while at < to {
        if let Some(length) = eaten(scene, at, to, &DENIALS) {
            // A second denial is for the rules of double negation.
            if denied {
                return None;
            }
            denied = true;
            at += length;
        } else if let Some(length) = eaten(scene, at, to, &VERBS).filter(|_| !verb) {
            (verb, there) = (true, true);
            at += length;
        } else if let Some(length) = eaten(scene, at, to, &COUNTS)
            && let Some(measure) = counted(scene, at + length, to)
        {
            there = true;
            at += length + measure;
        } else if let Some(length) = eaten(scene, at, to, &TAILS) {
            at += length;
        } else if let Some(length) = eaten(scene, at, to, &LEADS) {
            at += length;
        } else {
            return None;
        }
    }
    match (denied, there) {
        (true, _) => Some(Answer::No),
        (false, true) => Some(Answer::Has),
        (false, false) => None,
    }
}

/// 说话也挺利索的, 都敞亮着呢: what was asked about, and that it is as it should be, in any adverbs.
fn well_said(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> bool {
    const VERY: [&str; 18] = [
        "挺",
        "很",
        "蛮",
        "非常",
        "特别",
        "比较",
        "还算",
        "可",
        "倍",
        "真",
        "相当",
        "老",
        "越来越",
        "一直",
        "都挺",
        "都很",
        "怪",
        "好",
    ];
    const WELL: [&str; 52] = [
        "顺畅", "通畅", "顺溜", "顺当", "顺", "好", "正常", "清楚", "利索", "利落", "匀", "匀乎",
        "匀称", "稳", "稳当", "稳定", "平稳", "舒服", "舒坦", "舒畅", "得劲", "自在", "痛快",
        "敞亮", "清爽", "清亮", "亮堂", "明白", "清醒", "灵光", "灵活", "有劲", "有力", "硬朗",
        "结实", "干净", "干爽", "平整", "红润", "热乎", "暖和", "香", "踏实", "松快", "轻快",
        "轻松", "精神", "不错", "可以", "够用", "足", "平和",
    ];
    const BEHIND: [&str; 6] = ["着呢", "得很", "多了", "极了", "着", "得"];
    if to - from > LONGEST {
        return false;
    }
    let (mut at, mut well) = (from, false);
    while at < to {
        let asked = put.units.iter().any(|u| u.text == scene.units[at].text);
        if let Some(length) = eaten(scene, at, to, &WELL) {
            well = true;
            at += length;
        } else if let Some(length) = [&VERY[..], &BEHIND, &LEADS, &TAILS]
            .iter()
            .filter_map(|words| eaten(scene, at, to, words))
            .max()
        {
            at += length;
        } else if asked && !matches!(scene.units[at].text.as_str(), "不" | "没" | "无") {
            at += 1;
        } else {
            return false;
        }
    }
    well
}

/// 前天, 就刷牙的时候: who says when says that it was.
fn dates(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const WHEN: [&str; 5] = ["的时候", "那会", "的时候吧", "时候", "之后"];
    const TIMES: [Cue; 5] = [Cue::Recent, Cue::Day, Cue::Older, Cue::Past, Cue::Event];
    if to - from > LONGEST || says(scene, from, to, &TAKES_BACK) || !super::is_first(scene, from) {
        return false;
    }
    let occasion = (from + 1..to)
        .any(|at| eaten(scene, at, to, &WHEN).is_some_and(|length| at + length == to));
    let light = [
        Cue::Particle,
        Cue::Only,
        Cue::Contrast,
        Cue::Through,
        Cue::When,
        Cue::Hedge,
    ];
    let held = |at: usize, kinds: &[Cue]| {
        let mut cues = scene.cues.iter();
        cues.any(|c| c.start <= at && at < c.end && c.cues.any(kinds))
    };
    let bare = (from..to).all(|at| held(at, &TIMES) || held(at, &light));
    let time = (from..to).any(|at| held(at, &TIMES) && !held(at, &[Cue::Now, Cue::Ongoing]));
    occasion || bare && time
}

/// 左边的, 脖子上有一片: the place alone says yes.
fn places(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const SIDES: [&str; 14] = [
        "左边", "右边", "两边", "左侧", "右侧", "左面", "右面", "左", "右", "这边", "那边", "一边",
        "两只", "两条",
    ];
    const AMOUNTS: [&str; 10] = [
        "一片",
        "一大片",
        "一块",
        "一点",
        "一点点",
        "几个",
        "好几个",
        "一圈",
        "一条",
        "了",
    ];
    const THERE: [&str; 20] = [
        "上",
        "里",
        "下",
        "那",
        "这",
        "那儿",
        "那块",
        "这块",
        "边",
        "有",
        "的",
        "那个",
        "这个",
        "只",
        "条",
        "也",
        "有点",
        "有一点",
        "有些",
        "稍微",
    ];
    if to - from > LONGEST || denies(scene, from, to) || !super::is_first(scene, from) {
        return false;
    }
    let body = |at: usize| {
        let mut bodies = scene
            .slots
            .bodies()
            .filter(|hit| hit.start == at && hit.end <= to);
        bodies.next().map(|hit| hit.end - at)
    };
    let (mut at, mut place, mut end) = (from, false, false);
    while at < to {
        if let Some(length) = eaten(scene, at, to, &SIDES).or_else(|| body(at)) {
            (place, end) = (true, true);
            at += length;
        } else if let Some(length) = [&THERE[..], &AMOUNTS]
            .iter()
            .filter_map(|words| eaten(scene, at, to, words))
            .max()
        {
            end = true;
            at += length;
        } else {
            return false;
        }
    }
    place && end
}

/// 腿转筋倒是有: said of something else than what was asked about.
pub(super) fn of_another(scene: &Scene<'_>, from: usize) -> bool {
    let light = [
        Cue::Particle,
        Cue::Through,
        Cue::Join,
        Cue::Own,
        Cue::Contrast,
        Cue::Recent,
        Cue::No,
    ];
    let unheard = |last: usize| {
        let cue = scene.cues.iter().find(|c| c.start <= last && last < c.end);
        cue.is_none_or(|c| !c.cues.any(&light)) && scene.units[last].after == Cut::None
    };
    scene.units[from].text == "倒" && from.checked_sub(1).is_some_and(unheard)
}

/// The length of a measure word, with another count before it: 两三回.
fn counted(scene: &Scene<'_>, at: usize, to: usize) -> Option<usize> {
    let second = eaten(scene, at, to, &COUNTS).unwrap_or(0);
    eaten(scene, at + second, to, &MEASURES).map(|length| second + length)
}

/// 劲大的时候还有点, 阴天下雨也会来那么两下: whatever the occasion, it is still there.
fn left_over(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const STILL: [&str; 10] = [
        "还是",
        "还",
        "也",
        "偶尔",
        "有时候",
        "有时",
        "多少",
        "稍微",
        "时不时",
        "老",
    ];
    let rest = |at: usize| {
        let length = eaten(scene, at, to, &STILL)?;
        let verb = at + length;
        let verb = verb + eaten(scene, verb, to, &["会"]).unwrap_or(0);
        let verb = eaten(scene, verb, to, &["有", "来", "犯"]).map(|length| verb + length)?;
        (composed(scene, at, to) == Some(Answer::Has)).then_some(verb)
    };
    let begins = to.saturating_sub(LONGEST).max(from);
    !denies(scene, from, to) && (begins..to).any(|at| rest(at).is_some())
}

/// 不咋疼了，劲大的时候还有点: the one complaint that was asked about and denied is there all the same.
pub(super) fn takes_back(scene: &Scene<'_>, put: &Put<'_>) -> Option<(usize, usize)> {
    if !put.denied || put.asked.len() > 1 || put.kind != QuestionKind::YesNo {
        return None;
    }
    let mut clauses = super::clauses(scene).into_iter().skip(1);
    clauses.find(|(from, to)| {
        let named = scene
            .sightings
            .iter()
            .any(|s| s.start < *to && *from < s.end);
        scene.units[*from].is_han()
            && scene.units[to - 1].after != Cut::Ask
            && !named
            && left_over(scene, *from, *to)
    })
}

/// What takes a yes back, leaves it unanswered or gives it to somebody else.
const TAKES_BACK: [Cue; 12] = [
    Cue::No,
    Cue::Neg,
    Cue::NegTight,
    Cue::NegAfter,
    Cue::Fine,
    Cue::Ceased,
    Cue::Unknown,
    Cue::Hypo,
    Cue::Other,
    Cue::Kin,
    Cue::AskBefore,
    Cue::AskAfter,
];

fn says(scene: &Scene<'_>, from: usize, to: usize, kinds: &[Cue]) -> bool {
    scene.cues_between(from, to, kinds).next().is_some()
}

/// Whether the clause holds a denial, a report of health, or does not speak of the patient's complaint of now.
fn denies(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    let then = [Cue::Past, Cue::Neither, Cue::RestNo, Cue::Pseudo];
    says(scene, from, to, &TAKES_BACK) || says(scene, from, to, &then)
}

/// A complaint by its form alone, whatever its words: 跟针扎似的, 拽得慌, 一跳一跳的, 揪得难受. Of another part of the body
/// than the one asked about it is no answer.
fn complains(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const SUFFERED: [&str; 9] = [
        "得慌",
        "得厉害",
        "得难受",
        "得要命",
        "得受不了",
        "得不行",
        "得够呛",
        "得凶",
        "得邪乎",
    ];
    if denies(scene, from, to) || scene.slots.body_within(from, to) {
        return false;
    }
    let suffered = (from + 1..to).any(|at| eaten(scene, at, to, &SUFFERED).is_some());
    let again = (from..to.saturating_sub(3)).any(|at| {
        let said = |at: usize| scene.units[at].text.as_str();
        said(at) == "一" && said(at + 2) == "一" && said(at + 1) == said(at + 3)
    });
    suffered || again || likens(scene, from, to)
}

/// 跟没病的时候一样, 跟好人似的: as in health.
pub(super) fn as_well(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const LIKE: [&str; 4] = ["跟", "和", "像", "同"];
    const HEALTH: [&str; 16] = [
        "没病",
        "没得病",
        "没生病",
        "好人",
        "正常人",
        "常人",
        "没事人",
        "没事",
        "健康人",
        "年轻",
        "小伙",
        "别人",
        "人家",
        "大家",
        "正常",
        "没住院",
    ];
    const ALIKE: [&str; 6] = ["一样", "似的", "差不多", "一个样", "没两样", "没区别"];
    const WORSE: [&str; 4] = ["不如", "不一样", "没法", "比不"];
    let said =
        |words: &[&str], from: usize| (from..to).find(|at| eaten(scene, *at, to, words).is_some());
    let health =
        said(&LIKE, from).and_then(|like| said(&HEALTH, like + 1).filter(|at| *at <= like + 2));
    scene.units[from].is_han()
        && health.and_then(|at| said(&ALIKE, at + 1)).is_some()
        && said(&WORSE, from).is_none()
}

/// 像压了座山, 跟刀子拉似的: what is likened to something is there. What is as before, as usual or as in others is not.
fn likens(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const LIKE: [&str; 6] = ["好像", "就像", "像", "跟", "好比", "如同"];
    const ENDS: [&str; 5] = ["似的", "一样", "一般", "样的", "那样"];
    const WELL: [&str; 30] = [
        "以前", "原来", "平时", "平常", "往常", "从前", "好人", "正常", "没病", "没事", "年轻",
        "别人", "人家", "大家", "常人", "住院", "出院", "之前", "过去", "你", "他", "她", "我",
        "医生", "大夫", "护士", "上次", "上回", "昨天", "那",
    ];
    let Some((at, length)) =
        (from..to).find_map(|at| eaten(scene, at, to, &LIKE).map(|length| (at, length)))
    else {
        return false;
    };
    let first = at + length;
    let well = (first..to).any(|at| eaten(scene, at, to, &WELL).is_some());
    // 跟 alone only joins: 跟老伴下棋.
    let likeness =
        scene.units[at].text != "跟" || (first..to).any(|at| eaten(scene, at, to, &ENDS).is_some());
    !well && likeness && to - first > 2
}
