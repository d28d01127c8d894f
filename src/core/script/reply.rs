//! What a reply means to the question that was asked: yes or no, one of a few choices, not measured.
//!
//! Mandarin is read by characters and by toneless syllables, because a recogniser writes homophones
//! (没有 → 美有); English by words. Only the path of the conversation hangs on it: what a reply means for the
//! patient's safety is judged by `redflag` on the same words. In doubt the answer is `None`, and the question
//! is asked again.

use super::node::Choice;
use crate::lang::Lang;
use crate::pinyin;

/// The answer to a yes/no question, as said: an inverse question's "no" is the bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YesNo {
    Yes,
    No,
}

/// Reads a yes or a no. `inverse`: the question asks for the healthy state.
pub fn yes_no(text: &str, question: &str, inverse: bool, lang: Lang) -> Option<YesNo> {
    match lang {
        Lang::Zh => yes_no_zh(text, question, inverse),
        Lang::En => yes_no_en(text, question, inverse),
    }
}

/// Reads the answer to "is that right?" about something just said; contains no asked words.
pub fn confirms(text: &str, lang: Lang) -> Option<YesNo> {
    match lang {
        Lang::Zh => {
            let wrong = ["不对", "不是", "错了", "没有", "不"];
            let first = clauses(text)
                .into_iter()
                .map(|c| stripped(&c))
                .find(|c| !c.is_empty());
            let first = first.unwrap_or_else(|| bare(text));
            if wrong.iter().any(|w| first.starts_with(w)) || sounds_begin(&first, "没有") {
                return Some(YesNo::No);
            }
            let right = [
                "对", "是", "有", "没错", "正确", "好", "可以", "嗯对", "嗯是",
            ];
            let unsure = UNSURE.iter().any(|u| text.contains(u));
            if text.contains("没错") && !unsure {
                return Some(YesNo::Yes);
            }
            let yes = right.iter().any(|r| first.starts_with(r))
                || sounds_like_one_of(&first, &["是", "对", "是的", "对的"]);
            (yes && !unsure).then_some(YesNo::Yes)
        }
        Lang::En => yes_no_en(text, "", false),
    }
}

/// Reads one of the choices: the longest wording that is not negated wins.
pub fn choice<'a>(text: &str, choices: &'a [Choice], lang: Lang) -> Option<&'a Choice> {
    let mut best: Option<(usize, &Choice)> = None;
    for choice in choices {
        for word in choice.words(lang) {
            let hit = match lang {
                Lang::Zh => says_zh(text, word),
                Lang::En => says_en(text, word),
            };
            let length = word.chars().count();
            if hit && best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, choice));
            }
        }
    }
    best.map(|(_, choice)| choice)
}

/// Whether nobody took the measurement.
pub fn not_measured(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => {
            let text = bare(text);
            let said = [
                "没量",
                "没有量",
                "没测",
                "没有测",
                "没称",
                "没有称",
                "不知道",
                "不清楚",
                "没注意",
            ];
            said.iter().any(|s| text.contains(s)) || same_sound(&text, "没量") || text == "没有"
        }
        Lang::En => {
            let said = [
                "not measured",
                "didn't measure",
                "did not measure",
                "haven't measured",
                "not taken",
                "didn't take",
                "did not take",
                "haven't taken",
                "didn't check",
                "haven't checked",
                "don't know",
                "not sure",
                "no idea",
                "didn't weigh",
                "haven't weighed",
            ];
            let text = plain(text);
            said.iter().any(|s| text.contains(s))
        }
    }
}

/// Whether the words cannot be all that is to come: they end in a hesitation or a word that leads on.
pub fn goes_on(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => {
            let text = bare(text);
            let leads_on = [
                "那个",
                "这个",
                "就是",
                "就是说",
                "然后",
                "因为",
                "但是",
                "不过",
                "可是",
                "还有",
                "嗯",
                "呃",
                "如果",
                "要是",
                "的话",
                "比如",
                "所以",
            ];
            // Alone they are a yes.
            leads_on.iter().any(|end| text.ends_with(end))
                && !["嗯", "就是"].contains(&text.as_str())
        }
        Lang::En => {
            let text = plain(text);
            let leads_on = [
                "um", "uh", "er", "and", "but", "because", "so", "or", "if", "when", "the", "a",
                "my", "like", "well",
            ];
            let last = text.split_whitespace().next_back();
            last.is_some_and(|last| leads_on.contains(&last)) && text.contains(' ')
        }
    }
}

/// A score of nothing: "不疼" answers a pain question with zero.
pub fn says_no_pain(text: &str, lang: Lang) -> bool {
    match lang {
        Lang::Zh => {
            let text = bare(text);
            ["不疼", "不痛", "没疼", "没有疼", "不怎么疼了"]
                .iter()
                .any(|s| text.starts_with(s))
        }
        Lang::En => {
            let text = plain(text);
            [
                "no pain",
                "none",
                "it doesn't hurt",
                "doesn't hurt",
                "not at all",
            ]
            .iter()
            .any(|s| text.starts_with(s))
        }
    }
}

// ---- Mandarin

/// Words before an answer that say nothing.
const FILLERS: &[&str] = &[
    "嗯",
    "恩",
    "呃",
    "额",
    "啊",
    "哦",
    "噢",
    "喔",
    "唉",
    "哎",
    "诶",
    "喂",
    "那个",
    "这个",
    "我觉得",
    "应该",
    "好像",
    "目前",
    "现在",
    "出院以后",
    "出院后",
    "回来以后",
    "这几天",
    "这两天",
    "最近",
    "倒是",
    "倒",
    "那倒",
    "那",
    "我",
    "他",
    "她",
    "也",
    "都",
    "就",
    "就是说",
    "可能",
    "一直",
    "基本上",
    "基本",
    "暂时",
    "谢谢",
    "您好",
    "你好",
    "护士",
];
/// Particles after an answer that say nothing.
const PARTICLES: &[char] = &[
    '啊', '呀', '呢', '吧', '哦', '喔', '啦', '嘛', '哈', '哇', '的', '了',
];
const UNSURE: &[&str] = &[
    "不知道",
    "不清楚",
    "说不上",
    "说不好",
    "不记得",
    "记不清",
    "忘了",
    "没注意",
    "没听懂",
    "听不懂",
    "不明白",
    "不好说",
];
const DOUBLE: &[&str] = &[
    "不能说没有",
    "不是没有",
    "不是不",
    "没少",
    "没有一天不",
    "没一天不",
    "不是说没有",
    "也不是没有",
    "不能不",
    "哪能没有",
];
/// Politeness that begins like a negation.
const POLITE: &[&str] = &[
    "没事",
    "没关系",
    "没问题",
    "没说的",
    "不客气",
    "不好意思",
    "不要紧",
    "没什么大事",
    "没啥事",
    "没什么事",
];
/// "Nothing else" is no answer: what was meant comes after it.
const ONLY: &[&str] = &["没别", "没有别", "别的没", "没什么别", "其他没", "其它没"];
/// Unwell, not "no".
const UNWELL: &[&str] = &[
    "不舒服",
    "不太舒服",
    "不好",
    "不太好",
    "不行",
    "不太行",
    "不得劲",
    "不对劲",
    "不怎么好",
    "不怎么样",
    "不大好",
];
const YES: &[&str] = &[
    "有",
    "有过",
    "有点",
    "有一点",
    "有一点点",
    "一点点",
    "有一些",
    "有些",
    "有时",
    "有时候",
    "有时候会",
    "偶尔",
    "偶尔会",
    "是",
    "是的",
    "对",
    "对的",
    "没错",
    "会",
    "可以",
    "能",
    "行",
    "好",
    "稍微",
    "稍微有点",
    "确实",
    "确实有",
    "有有",
    "是是",
    "对对",
    "对对对",
    "是这样",
    "知道",
    "嗯是",
    "有的",
    "当然",
    "肯定",
];
const HEALTHY: &[&str] = &[
    "正常",
    "挺好",
    "很好",
    "还好",
    "还行",
    "还可以",
    "好着",
    "没问题",
    "没事",
    "挺正常",
    "蛮好",
    "不错",
    "跟以前一样",
    "一样",
    "跟平常一样",
    "跟平时一样",
    "差不多",
    "在吃",
    "吃着",
    "按时",
    "按时吃",
    "天天吃",
    "每天吃",
    "每天都吃",
    "都吃",
    "吃了",
    "一直吃",
    "没停",
    "没有停",
    "没落",
    "没落下",
    "一顿没落",
    "一次没落",
    "没漏",
    "没断",
    "没有断",
    "没有不",
];
const NOS: &[&str] = &[
    "没有",
    "没",
    "不",
    "无",
    "从来没",
    "从没",
    "否",
    "未",
    "一点也不",
    "一点都不",
    "一点也没",
    "一点都没",
    "一点儿也没",
    "并没",
    "并不",
];
/// Characters of a question that name nothing asked for.
const EMPTY: &str = "有没是不出院以后这几天一个两星期现在觉得突然或者就的了最高多少度您说请问里哪跟平常都发起来过要才能边感到最近次去上下大地方打子吗呢们";
/// Signs that are themselves phrased as a negation.
const NEGATIVE_SIGNS: &[&str] = &[
    "没力气",
    "没劲",
    "没有力气",
    "喘不上",
    "止不住",
    "说不清",
    "说话不清",
    "说话说不清",
    "高兴不起来",
    "认不清",
    "吃不下",
    "喝不下",
    "躺不平",
];
const OVER: &[&str] = &[
    "消了",
    "退了",
    "过去了",
    "好了",
    "不了",
    "已经不",
    "已经没",
    "早好",
];

fn yes_no_zh(text: &str, question: &str, inverse: bool) -> Option<YesNo> {
    let whole = bare(text);
    if DOUBLE.iter().any(|d| whole.contains(d)) {
        return Some(YesNo::Yes);
    }
    let clauses: Vec<String> = clauses(text).iter().map(|c| stripped(c)).collect();
    for clause in clauses.iter().filter(|c| !c.is_empty()) {
        if let Some(answer) = clause_zh(clause, question, inverse) {
            return Some(answer);
        }
        // What stands after "nothing else, only …" must not be read as the answer.
        if ONLY.iter().any(|o| clause.starts_with(o)) {
            return None;
        }
    }
    None
}

fn clause_zh(clause: &str, question: &str, inverse: bool) -> Option<YesNo> {
    let starts = |list: &[&str]| list.iter().any(|w| clause.starts_with(w));
    let asks_knowledge = question.contains("知不知道");
    if asks_knowledge && (clause.contains("不知道") || clause.contains("不清楚")) {
        return Some(YesNo::No);
    }
    if asks_knowledge && sounds_begin(clause, "不知道") {
        return Some(YesNo::No);
    }
    if asks_knowledge && sounds_begin(clause, "知道") {
        return Some(YesNo::Yes);
    }
    let sign = NEGATIVE_SIGNS.iter().find(|s| clause.contains(**s));
    if let Some(sign) = sign {
        let asked = sign.chars().filter(|c| question.contains(*c)).count() >= 2;
        let before = clause.split(sign).next().unwrap_or_default();
        let denied = ["没有", "没", "不是", "不会"]
            .iter()
            .any(|n| before.ends_with(n));
        // The sign is the bad answer: "yes" to a symptom, "no" to the healthy state.
        let bad = !denied;
        return asked.then_some(if bad == inverse {
            YesNo::No
        } else {
            YesNo::Yes
        });
    }
    if UNSURE.iter().any(|u| clause.contains(u)) {
        return None;
    }
    if inverse
        && HEALTHY
            .iter()
            .any(|h| clause == *h || (h.chars().count() >= 2 && clause.starts_with(h)))
    {
        return Some(YesNo::Yes);
    }
    if starts(UNWELL) {
        return inverse.then_some(YesNo::No);
    }
    if starts(POLITE) || starts(ONLY) {
        return None;
    }
    if asks_knowledge
        && (clause.contains(['号', '日', '周', '礼', '星', '月', '天']) || names_weekday(clause))
    {
        return Some(YesNo::Yes);
    }
    if YES.contains(&clause) || sounds_like_one_of(clause, YES) {
        return Some(YesNo::Yes);
    }
    if starts(NOS) || sounds_begin(clause, "没有") || sounds_like_one_of(clause, &["没有", "没"])
    {
        return Some(YesNo::No);
    }
    if question.contains("有人") {
        let alone = ["没人", "没别人", "就我", "一个人", "我自己"]
            .iter()
            .any(|w| clause.contains(w));
        if alone || sounds_begin(clause, "有") {
            return Some(if alone { YesNo::No } else { YesNo::Yes });
        }
    }
    if is_well_zh(clause, question) {
        return Some(if inverse { YesNo::Yes } else { YesNo::No });
    }
    if is_lacking(clause) || clause.contains("有没有") {
        return None;
    }
    denies_asked(clause, question)
        .or_else(|| echo_zh(clause, question))
        .or_else(|| leads_with_yes(clause, question))
        .or_else(|| ends_with_no(clause))
}

/// Says that the thing asked about is well: 腿没事, 都愈合了, 跟平常一样, 体重没变.
fn is_well_zh(clause: &str, question: &str) -> bool {
    const WELL: [&str; 16] = [
        "正常",
        "挺好",
        "很好",
        "蛮好",
        "好好",
        "好着",
        "好得很",
        "没事",
        "一样",
        "愈合",
        "长好",
        "结痂",
        "干干",
        "没变",
        "正常颜色",
        "都好",
    ];
    const WEIGHT: [&str; 6] = ["一样重", "那么重", "瘦", "轻了", "稳定", "没动"];
    const AGAINST: [char; 5] = ['不', '疼', '痛', '肿', '晕'];
    let says = |list: &[&str]| list.iter().any(|word| clause.contains(word));
    // 没事 alone is politeness.
    let alone = clause == "没事";
    let said = says(&WELL) || question.contains("体重") && says(&WEIGHT);
    said && !alone && !clause.contains(AGAINST)
}

/// The asked word right behind a negation, or closed by one: 回来没烧, 一次都没摔, 烧倒没有.
fn denies_asked(clause: &str, question: &str) -> Option<YesNo> {
    let said: Vec<char> = clause.chars().collect();
    let asked = |at: usize| {
        let word = said.get(at);
        word.is_some_and(|c| question.contains(*c) && !EMPTY.contains(*c))
    };
    let negated = (0..said.len()).any(|at| {
        matches!(said[at], '没' | '不') && {
            let next = at + 1 + usize::from(said.get(at + 1) == Some(&'有'));
            asked(next) || asked(next + 1)
        }
    });
    // 没少疼 is a yes, and what is not gone is there.
    const STILL: [&str; 6] = ["没少", "没好", "没消", "没退", "不了", "不住"];
    let still = STILL.iter().any(|word| clause.contains(word));
    let closed = (0..said.len()).any(asked) && clause.ends_with("没有");
    (!still && (negated || closed)).then_some(YesNo::No)
}

/// Things whose lack is a complaint or an answer of its own: 力气没有 is no plain "no".
const LACKED: [&str; 16] = [
    "力气", "劲", "劲儿", "感觉", "知觉", "尿", "胃口", "食欲", "药", "精神", "时间", "人", "气",
    "声音", "反应", "还",
];

/// Words that were not understood and then a plain 没有, without a mark between: 气挺顺的没有.
fn ends_with_no(clause: &str) -> Option<YesNo> {
    let before = clause.strip_suffix("没有")?;
    let own = before.chars().count() >= 2 && !before.contains(['没', '不']);
    own.then_some(YesNo::No)
}

fn is_lacking(clause: &str) -> bool {
    let before = clause.strip_suffix("没有").unwrap_or_default();
    LACKED.iter().any(|lacked| before.ends_with(lacked))
}

/// 下里拜三 for 下礼拜三: a day of the week by its sound.
fn names_weekday(clause: &str) -> bool {
    let sound = format!(" {} ", pinyin::toneless(clause).join(" "));
    [" li bai ", " xing qi "]
        .iter()
        .any(|day| sound.contains(day))
}

/// The word that says yes to this form of question (有没有, 是不是), and then words that were not understood: a
/// yes, unless they deny something.
fn leads_with_yes(clause: &str, question: &str) -> Option<YesNo> {
    const OTHER: [&str; 14] = [
        "有没有",
        "有什么",
        "有空",
        "有问题",
        "有事",
        "有点",
        "有一",
        "有些",
        "有时",
        "有人",
        "是不是",
        "是谁",
        "是什么",
        "是哪",
    ];
    // 四天天都吃: 是 loses its h on many tongues.
    let begins = |word: &str| {
        let (heard, wanted) = (pinyin::toneless(clause), pinyin::toneless(word));
        let alike = |(a, b): (&&str, &&str)| pinyin::blur(a) == pinyin::blur(b);
        heard.len() >= wanted.len() && heard.iter().zip(&wanted).all(alike)
    };
    let asks = |form: &str, word: &str| question.contains(form) && begins(word);
    let plain = ["是的", "对的", "对对"]
        .iter()
        .any(|yes| clause.starts_with(yes));
    let leads = plain || asks("有没有", "有") || asks("是不是", "是");
    let denies = clause.contains(['没', '不', '无', '停']);
    let other = OTHER.iter().any(|word| clause.starts_with(word));
    (leads && !denies && !other).then_some(YesNo::Yes)
}

/// The answer that says the asked words again: 肿了, 有点闷, 胸口不疼.
fn echo_zh(clause: &str, question: &str) -> Option<YesNo> {
    let mut rest = clause;
    let mut led = false;
    for lead in [
        "有时候",
        "有一点点",
        "有一点",
        "有点",
        "有些",
        "有过",
        "有",
        "稍微",
        "偶尔",
        "会",
        "是",
        "对",
    ] {
        if let Some(after) = rest.strip_prefix(lead) {
            rest = after;
            led = true;
            break;
        }
    }
    let shared = rest
        .chars()
        .filter(|c| question.contains(*c) && !EMPTY.contains(*c))
        .count();
    let length = rest.chars().count();
    let close = shared >= 2 || (shared == 1 && length <= if led { 2 } else { 3 });
    if !close {
        return None;
    }
    let denied = rest.contains(['没', '不', '无']) || OVER.iter().any(|o| rest.contains(o));
    Some(if denied { YesNo::No } else { YesNo::Yes })
}

/// The parts between marks, contrast words and spaces.
pub fn clauses(text: &str) -> Vec<String> {
    let mut text = text.to_owned();
    for word in ["但是", "不过", "只是", "可是"] {
        text = text.replace(word, "，");
    }
    text.split(|c: char| !c.is_alphanumeric() && c != '.')
        .filter(|c| !c.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The text without marks and spaces.
pub fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// The clause without the words before it that say nothing.
fn unfilled(clause: &str) -> &str {
    let mut rest = clause;
    while let Some(after) = FILLERS.iter().find_map(|f| rest.strip_prefix(f)) {
        rest = after;
    }
    rest
}

fn stripped(clause: &str) -> String {
    let rest = unfilled(clause);
    let end = rest.trim_end_matches(PARTICLES);
    // 有了 and 好的 keep their head; a clause of particles alone says nothing.
    end.to_owned()
}

fn same_sound(a: &str, b: &str) -> bool {
    let (a, b) = (pinyin::toneless(a), pinyin::toneless(b));
    !a.is_empty() && a == b
}

fn sounds_like_one_of(clause: &str, words: &[&str]) -> bool {
    clause.chars().all(pinyin::is_han) && words.iter().any(|w| same_sound(clause, w))
}

fn sounds_begin(clause: &str, word: &str) -> bool {
    pinyin::toneless(clause).starts_with(&pinyin::toneless(word))
}

/// Whether a wording stands in the text by characters or sound, not negated.
fn says_zh(text: &str, word: &str) -> bool {
    let single = word.chars().count() == 1;
    clauses(text).iter().any(|clause| {
        if single {
            return stripped(clause) == word;
        }
        // With its particles: 好多了 is a wording as it stands.
        let clause = unfilled(clause).to_owned();
        let at = clause.find(word).map(|byte| clause[..byte].chars().count());
        let at = at.or_else(|| find_sound(&clause, word));
        let Some(at) = at else { return false };
        let before: String = clause.chars().take(at).collect();
        !["没有", "没", "不", "不是", "并没有"]
            .iter()
            .any(|n| before.ends_with(n))
    })
}

fn find_sound(clause: &str, word: &str) -> Option<usize> {
    let syllables = pinyin::syllables(clause);
    let wanted = pinyin::toneless(word);
    let windows = syllables.windows(wanted.len().max(1));
    let hit = windows
        .into_iter()
        .find(|w| w.iter().map(|s| s.reading.plain).eq(wanted.iter().copied()))?;
    (!wanted.is_empty()).then(|| hit[0].at)
}

// ---- English

const FILLERS_EN: &[&str] = &[
    "um", "uh", "er", "well", "oh", "so", "hmm", "like", "actually", "i think", "i guess", "hello",
    "hi", "and", "please",
];
const YES_EN: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "yea",
    "aye",
    "correct",
    "right",
    "that's right",
    "sure",
    "of course",
    "absolutely",
    "definitely",
    "i do",
    "i am",
    "i did",
    "he does",
    "she does",
    "he is",
    "she is",
    "it is",
    "it does",
    "it has",
    "they are",
    "they have",
    "they do",
    "i can",
    "i think so",
    "a little",
    "a bit",
    "a little bit",
    "just a little",
    "sometimes",
    "occasionally",
    "slightly",
    "some",
    "once",
    "twice",
    "uh huh",
    "mm hmm",
    "indeed",
    "every day",
];
const LEAD_EN: &[&str] = &[
    "there has been",
    "there is",
    "there was",
    "there has",
    "i have had",
    "i have",
    "i've had",
    "i've got",
    "i had",
    "he has",
    "she has",
    "he had",
    "she had",
    "some",
    "a little bit of",
    "a little",
    "a bit of",
    "a bit",
    "kind of",
    "sort of",
    "mild",
    "slight",
    "it has",
    "it is",
    "they are",
    "they're",
    "it's",
];
const NO_EN: &[&str] = &[
    "no",
    "nope",
    "nah",
    "none",
    "never",
    "nothing",
    "not",
    "negative",
    "i haven't",
    "i have not",
    "i don't",
    "i do not",
    "i didn't",
    "i did not",
    "i'm not",
    "i am not",
    "there hasn't",
    "there has not",
    "there isn't",
    "there is no",
    "there wasn't",
    "it hasn't",
    "it isn't",
    "it's not",
    "it is not",
    "it doesn't",
    "they aren't",
    "they're not",
    "they are not",
    "they haven't",
    "he hasn't",
    "she hasn't",
    "he didn't",
    "she didn't",
    "he doesn't",
    "she doesn't",
    "hasn't",
    "haven't",
    "i've had no",
    "i have no",
    "i've no",
    "i never",
    "he isn't",
    "she isn't",
    "no one",
    "nobody",
];
const UNSURE_EN: &[&str] = &[
    "don't know",
    "do not know",
    "not sure",
    "no idea",
    "can't tell",
    "can't say",
    "don't remember",
    "hard to say",
    "yes and no",
];
const DOUBLE_EN: &[&str] = &[
    "can't say i haven't",
    "can't say there hasn't",
    "not without",
    "wouldn't say no",
];
const POLITE_EN: &[&str] = &[
    "no problem",
    "no worries",
    "not bad",
    "not too bad",
    "not well",
    "not so good",
    "not good",
    "not great",
    "not feeling well",
];
const HEALTHY_EN: &[&str] = &[
    "normal",
    "fine",
    "okay",
    "ok",
    "good",
    "all good",
    "as usual",
    "same as usual",
    "the same",
    "same as always",
    "no problem",
    "no problems",
    "no trouble",
    "they're fine",
    "it's fine",
    "both normal",
    "i take them",
    "i'm taking them",
    "i've been taking",
    "taking them",
    "not missed",
    "haven't missed",
    "never missed",
    "i haven't missed",
    "no change",
];
/// That the medicines are taken, where nothing denies it.
const TAKEN_EN: &[&str] = &[
    "every day",
    "every morning",
    "every night",
    "twice a day",
    "all of them",
    "taking all",
    "take them all",
    "on schedule",
    "as written",
    "as prescribed",
];
const EMPTY_EN: &[&str] = &[
    "since", "leaving", "hospital", "there", "been", "these", "days", "have", "has", "with",
    "from", "over", "past", "week", "weeks", "being", "both", "were", "where", "went", "what",
    "much", "high", "that", "will", "kind", "anyone", "side", "sudden",
];

fn yes_no_en(text: &str, question: &str, inverse: bool) -> Option<YesNo> {
    let text = plain(text);
    // A reply never begins with "know": it is a misheard "no". "Now …" may be either: only "now it is clean" is clear.
    let text = match text.strip_prefix("know ") {
        Some(rest) => format!("no {rest}"),
        None => text,
    };
    if let Some(rest) = text.strip_prefix("now ") {
        return (!inverse && is_well_en(rest)).then_some(YesNo::No);
    }
    let says = |list: &[&str]| list.iter().any(|w| contains_words(&text, w));
    if says(DOUBLE_EN) {
        return Some(YesNo::Yes);
    }
    let asks_knowledge = question.to_lowercase().contains("do you know");
    if says(UNSURE_EN) {
        let ignorant = asks_knowledge && !contains_words(&text, "yes and no");
        return ignorant.then_some(YesNo::No);
    }
    let mut rest = text.as_str();
    while let Some(after) = FILLERS_EN.iter().find_map(|f| strip_words(rest, f)) {
        rest = after;
    }
    if inverse
        && HEALTHY_EN.iter().any(|h| contains_words(rest, h))
        && strip_words(rest, "not normal").is_none()
    {
        return Some(YesNo::Yes);
    }
    if inverse && TAKEN_EN.iter().any(|h| contains_words(rest, h)) && !denies_en(rest) {
        return Some(YesNo::Yes);
    }
    if POLITE_EN.iter().any(|p| strip_words(rest, p).is_some()) {
        return inverse.then_some(YesNo::No);
    }
    if NO_EN.iter().any(|n| strip_words(rest, n).is_some()) {
        return Some(YesNo::No);
    }
    let exact = YES_EN.contains(&rest);
    let leading = [
        "yes",
        "yeah",
        "yep",
        "yup",
        "yea",
        "correct",
        "of course",
        "sure",
    ];
    if exact || leading.iter().any(|y| strip_words(rest, y).is_some()) {
        return Some(YesNo::Yes);
    }
    if asks_knowledge && super::date::read(rest, Lang::En).is_some() {
        return Some(YesNo::Yes);
    }
    if !inverse && is_well_en(rest) {
        return Some(YesNo::No);
    }
    echo_en(rest, question)
}

/// Says that the thing asked about is well, and nothing against it: "the wound is clean".
fn is_well_en(text: &str) -> bool {
    const WELL: [&str; 30] = [
        "is clean",
        "is fine",
        "is good",
        "is healed",
        "is healing",
        "is normal",
        "are fine",
        "are normal",
        "are good",
        "has healed",
        "healed",
        "healing well",
        "healing nicely",
        "looks clean",
        "looks good",
        "looks great",
        "looks fine",
        "look fine",
        "feels fine",
        "feels good",
        "been normal",
        "been fine",
        "been dry",
        "work fine",
        "sleep fine",
        "normal color",
        "normal colour",
        "same as",
        "the same",
        "steady",
    ];
    // "I've lost a pound" answers whether the weight went up.
    const LESS: [&str; 4] = ["lost a", "lost some", "gone down", "went down"];
    let says = |list: &[&str]| list.iter().any(|words| contains_words(text, words));
    (says(&WELL) || says(&LESS) && !text.contains("blood")) && !denies_en(text)
}

/// Holds a word that turns a good report round.
fn denies_en(text: &str) -> bool {
    const AGAINST: [&str; 7] = ["not", "but", "except", "without", "never", "no", "nothing"];
    let words = text.split(' ');
    words
        .into_iter()
        .any(|word| AGAINST.contains(&word) || word.ends_with("n't"))
}

fn echo_en(rest: &str, question: &str) -> Option<YesNo> {
    let lead = LEAD_EN.iter().find_map(|l| strip_words(rest, l));
    let said = lead.unwrap_or(rest);
    let question = plain(question);
    let asked: Vec<&str> = question
        .split(' ')
        .filter(|w| w.len() >= 4 && !EMPTY_EN.contains(w))
        .collect();
    let stem = |w: &str| w.chars().take(5).collect::<String>();
    let shared = said.split(' ').filter(|w| w.len() >= 4);
    let shared = shared
        .filter(|w| asked.iter().any(|a| stem(a) == stem(w)))
        .count();
    if shared == 0 {
        return None;
    }
    let negated = rest
        .split(' ')
        .any(|w| matches!(w, "no" | "not" | "never" | "without" | "none") || w.ends_with("n't"));
    Some(if negated { YesNo::No } else { YesNo::Yes })
}

/// Lower case, words separated by single spaces, apostrophes kept.
pub fn plain(text: &str) -> String {
    let text = text.to_lowercase().replace('’', "'");
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '.');
    let words = words
        .map(|w| w.trim_matches(|c| c == '.' || c == '\''))
        .filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// Whether whole words stand in a plain text.
pub fn contains_words(text: &str, words: &str) -> bool {
    format!(" {text} ").contains(&format!(" {words} "))
}

fn strip_words<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(words)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(' ')
}

fn says_en(text: &str, word: &str) -> bool {
    let text = plain(text);
    let Some(at) = format!(" {text} ").find(&format!(" {word} ")) else {
        return false;
    };
    let before = &text[..at.min(text.len())];
    let last = before.split_whitespace().next_back().unwrap_or_default();
    !(matches!(last, "not" | "no" | "never") || last.ends_with("n't"))
}
