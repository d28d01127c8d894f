//! What a person may say at any moment: again, slower, louder, a person please, never again, he has died, he is
//! back in hospital, wrong number, not now.
//!
//! Spotted before the reply is read as an answer. What is said only in passing ("我找医生看过了") must not
//! end a call, so wordings are long rather than many.

use super::node::Jump;
use super::reply::{bare, contains_words, plain};
use crate::lang::Lang;
use crate::pinyin;
use crate::question::Respondent;

/// A command heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Repeat,
    Slower,
    Louder,
    Jump(Jump),
}

impl Command {
    /// For the transcript.
    pub fn name(self) -> String {
        match self {
            Command::Repeat => "repeat".to_owned(),
            Command::Slower => "slower".to_owned(),
            Command::Louder => "louder".to_owned(),
            Command::Jump(jump) => jump.to_string(),
        }
    }
}

/// Who is believed to speak: an identified patient who says 去世 speaks of somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    Unknown,
    Identified(Respondent),
}

/// The command in a reply. `open`: the question invites a story, where only plain commands count.
pub fn spot(text: &str, speaker: Speaker, open: bool, lang: Lang) -> Option<Command> {
    let heard = match lang {
        Lang::Zh => Heard::zh(text),
        Lang::En => Heard::en(text),
    };
    jump(&heard, speaker, open)
        .map(Command::Jump)
        .or_else(|| again(&heard))
}

/// The reply in the forms that wordings are looked up in.
struct Heard {
    lang: Lang,
    said: String,
    /// Toneless syllables with a space before and after each.
    sound: String,
}

impl Heard {
    fn zh(text: &str) -> Heard {
        let said = bare(text);
        let sound = format!(" {} ", pinyin::spell(&said));
        Heard {
            lang: Lang::Zh,
            said,
            sound,
        }
    }

    fn en(text: &str) -> Heard {
        Heard {
            lang: Lang::En,
            said: plain(text),
            sound: String::new(),
        }
    }

    /// Any wording of the language, by characters, or by sound where it has three syllables and more.
    fn says(&self, zh: &[&str], en: &[&str]) -> bool {
        match self.lang {
            Lang::En => en.iter().any(|w| contains_words(&self.said, w)),
            Lang::Zh => zh.iter().any(|w| {
                let long = w.chars().filter(|c| pinyin::is_han(*c)).count() >= 3;
                self.said.contains(w)
                    || (long && self.sound.contains(&format!(" {} ", pinyin::spell(w))))
            }),
        }
    }

    /// The whole reply is one of these.
    fn is(&self, zh: &[&str], en: &[&str]) -> bool {
        match self.lang {
            Lang::En => en.contains(&self.said.as_str()),
            Lang::Zh => zh.contains(&self.said.as_str()),
        }
    }
}

fn again(heard: &Heard) -> Option<Command> {
    let slower = heard.says(
        &[
            "慢一点",
            "慢点说",
            "说慢点",
            "慢一些",
            "太快了",
            "讲慢点",
            "慢慢说",
        ],
        &[
            "slower",
            "slow down",
            "slowly please",
            "too fast",
            "more slowly",
        ],
    );
    if slower {
        return Some(Command::Slower);
    }
    let louder = heard.says(
        &[
            "大声点",
            "大点声",
            "大声一点",
            "大点儿声",
            "大声些",
            "声音大一点",
            "声音大点",
            "声音太小",
            "声音有点小",
            "说响一点",
        ],
        &["louder", "speak up", "turn it up", "too quiet", "too soft"],
    );
    if louder {
        return Some(Command::Louder);
    }
    let repeat = heard.says(
        &[
            "再说一遍",
            "再说一次",
            "再讲一遍",
            "再问一遍",
            "重复一遍",
            "重复一下",
            "没听清",
            "没听见",
            "听不清",
            "听不见",
            "没听到",
            "没听明白",
            "你说什么",
            "您说什么",
            "说的什么",
            "你说啥",
        ],
        &[
            "repeat",
            "say that again",
            "say it again",
            "pardon",
            "what did you say",
            "didn't catch",
            "did not catch",
            "didn't hear",
            "can't hear you",
            "come again",
            "what was that",
            "once more please",
        ],
    ) || heard.is(
        &[
            "什么",
            "啥",
            "什么啊",
            "啊什么",
            "嗯什么",
            "谁啊",
            "你谁啊",
            "你是谁",
            "哪里",
            "你哪里",
            "哪位",
            "你是哪里",
            "您哪位",
            "你是哪位",
            "什么事",
            "干什么的",
        ],
        &[
            "what",
            "sorry",
            "excuse me",
            "who is this",
            "who's this",
            "who are you",
            "what is this",
            "who's calling",
            "who is calling",
        ],
    );
    repeat.then_some(Command::Repeat)
}

fn jump(heard: &Heard, speaker: Speaker, open: bool) -> Option<Jump> {
    let unknown = speaker == Speaker::Unknown;
    if opts_out(heard) {
        return Some(Jump::OptOut);
    }
    if asks_for_person(heard) {
        return Some(Jump::Person);
    }
    if speaker != Speaker::Identified(Respondent::Patient) {
        if dead(heard) {
            return Some(Jump::Death);
        }
        if unknown && maybe_dead(heard) {
            return Some(Jump::MaybeDeath);
        }
    }
    if readmitted(heard) {
        return Some(Jump::Readmitted);
    }
    if unknown
        && heard.says(
            &["在医院呢", "在医院里", "在住院", "人在医院", "现在在医院"],
            &["in the hospital", "in hospital", "at the hospital"],
        )
    {
        return Some(Jump::MaybeReadmitted);
    }
    if unknown && wrong_party(heard) {
        return Some(Jump::WrongParty);
    }
    if open && !unknown {
        return None;
    }
    not_now(heard)
}

fn opts_out(heard: &Heard) -> bool {
    heard.says(
        &[
            "不要再打",
            "别再打",
            "别打了",
            "不要打了",
            "别给我打",
            "不要给我打",
            "以后别打",
            "以后不要打",
            "别老打",
            "不想再接",
            "不要再给我",
            "别再给我",
            "不接这种电话",
            "不要随访",
            "不用再打",
            "别骚扰",
            "不要骚扰",
            "骚扰电话",
            "别再骚扰",
            "别烦我",
            "不要烦我",
            "别再烦我",
            "别再来电话",
            "不要来电话",
            "别来电话",
            "不要给我来电话",
            "再打我就",
            "不想接到",
            "不想接你们",
            "不想再接到",
            "不想被打扰",
            "不要打扰我",
            "别打扰我",
            "取消随访",
            "不参加随访",
            "不需要随访",
            "不做随访",
            "别联系我",
            "不要联系我",
            "不要再联系",
            "别再联系",
            "别再打来",
            "不要打来",
            "别打来",
            "删掉我的号码",
            "把我的号码删",
            "把我号码删",
            "拉黑",
        ],
        &[
            "don't call me",
            "do not call me",
            "stop calling",
            "don't call again",
            "do not call again",
            "never call",
            "take me off",
            "remove me",
            "don't ever call",
            "no more calls",
            "stop ringing me",
            "don't ring me",
            "do not ring me",
            "don't ring again",
            "don't phone me",
            "do not phone me",
            "stop phoning",
            "don't contact me",
            "do not contact me",
            "stop contacting me",
            "stop bothering me",
            "stop harassing me",
            "leave me alone",
            "quit calling",
            "off your list",
            "off the list",
            "off this list",
            "unsubscribe",
            "opt out",
            "don't want these calls",
            "don't want any more calls",
            "don't want to be called",
        ],
    )
}

fn asks_for_person(heard: &Heard) -> bool {
    heard.says(
        &[
            "转人工",
            "人工服务",
            "找人工",
            "要人工",
            "接人工",
            "真人",
            "不跟机器",
            "不和机器",
            "不想跟机器",
            "不想和机器",
            "不要机器",
            "不愿意跟机器",
            "跟人说",
            "找个人说",
            "让护士接",
            "叫护士接",
            "让医生接",
            "叫医生接",
            "我要找护士",
            "我要找医生",
            "我想找护士",
            "我想找医生",
            "换个人",
            "让护士给我打",
            "让医生给我打",
            "跟护士说",
            "跟医生说话",
            "找个活人",
            "跟活人",
            "和活人",
            "人工客服",
            "叫个人来",
            "叫人来接",
            "让人来接",
            "换人来",
            "人来接电话",
            "护士来接",
            "医生来接",
            "大夫来接",
            "让大夫接",
            "叫大夫接",
            "我要找大夫",
            "我想找大夫",
            "跟大夫说话",
            "找大夫说",
            "让大夫给我打",
            "跟护士讲",
            "跟医生讲",
            "跟大夫讲",
            "不跟电脑",
            "不想跟电脑",
            "不和电脑",
            "不跟录音",
            "不想跟录音",
            "跟机器说话",
            "跟机器讲话",
            "和机器说话",
            "和机器讲话",
            "跟机器人说",
            "跟机器人讲",
            "和机器人说",
            "不跟机器人",
            "不会跟机器",
        ],
        &[
            "a real person",
            "speak to a person",
            "talk to a person",
            "speak to someone",
            "talk to someone",
            "speak to a nurse",
            "talk to a nurse",
            "speak with a nurse",
            "talk with a nurse",
            "speak to a doctor",
            "talk to a doctor",
            "operator",
            "a human",
            "human being",
            "want a person",
            "not a robot",
            "not a machine",
            "talk to a machine",
            "talk to a robot",
            "talking to a machine",
            "talking to a robot",
            "have a nurse call",
            "a real human",
            "an actual person",
            "a live person",
            "actual human",
            "speak with a person",
            "speak with someone",
            "speak with a doctor",
            "talk with a person",
            "talk with someone",
            "talk with a doctor",
            "speak to somebody",
            "talk to somebody",
            "speak to the nurse",
            "talk to the nurse",
            "speak to the doctor",
            "talk to the doctor",
            "speak to my doctor",
            "talk to my doctor",
            "speak to a human",
            "talk to a human",
            "put me through",
            "customer service",
            "a representative",
            "talk to a computer",
            "talking to a computer",
            "talk to a recording",
            "talking to a recording",
            "get me a nurse",
            "get me a person",
            "get a nurse",
            "have the nurse call",
            "have someone call",
            "have somebody call",
            "get someone to call",
            "get somebody to call",
        ],
    ) || heard.is(&["人工"], &["person", "nurse", "human"])
}

fn dead(heard: &Heard) -> bool {
    let plainly = heard.says(
        &[
            "去世",
            "过世了",
            "病逝",
            "人没了",
            "已经死了",
            "他死了",
            "她死了",
            "人死了",
            "不在人世",
            "离世",
            "病故",
            "逝世",
            "故去",
            "没抢救过来",
            "没救过来",
            "没能救过来",
            "抢救无效",
            "刚办完丧事",
            "办丧事",
            "办后事",
            "出殡",
            "火化了",
            "老人没了",
            "老人走了",
            "人已经没了",
            "人不在了",
            "不在这个世上",
        ],
        &[
            "passed away",
            "has died",
            "he died",
            "she died",
            "is dead",
            "he's dead",
            "she's dead",
            "deceased",
            "died last",
            "died yesterday",
            "no longer alive",
            "died on",
            "died this",
            "died two",
            "died a",
            "passed on last",
            "passed last",
            "his funeral",
            "her funeral",
            "the funeral",
            "not alive anymore",
            "no longer living",
        ],
    );
    // 没去世, "hasn't died", and questions about it are not reports.
    plainly
        && !heard.says(
            &["没去世", "没有去世", "没死"],
            &["not dead", "hasn't died", "not died"],
        )
}

/// 走了 and 不在了 may mean that he went out.
fn maybe_dead(heard: &Heard) -> bool {
    let zh = heard.lang == Lang::Zh
        && ["走了", "不在了"]
            .iter()
            .any(|w| heard.said.ends_with(w) || heard.said.contains(&format!("已经{w}")));
    zh || heard.says(
        &[],
        &[
            "is gone",
            "he's gone",
            "she's gone",
            "no longer with us",
            "he passed",
            "she passed",
            "we lost him",
            "we lost her",
        ],
    )
}

fn readmitted(heard: &Heard) -> bool {
    heard.says(
        &[
            "又住院",
            "又住进",
            "再住院",
            "再次住院",
            "重新住院",
            "又入院",
            "住院呢",
            "正在住院",
            "住着院",
            "还在住院",
            "又回医院住",
            "送进医院了",
            "送急诊了",
            "又进医院",
            "在重症",
            "住进医院了",
            "正住院",
            "在ICU",
            "在icu",
            "进ICU",
            "进icu",
            "进了ICU",
            "进了icu",
            "在监护室",
            "重症监护室",
            "在抢救",
            "正抢救",
            "抢救呢",
            "又抢救",
            "住回医院",
            "又住上院",
            "又去住院",
            "又送医院",
            "又送去医院",
            "送去抢救",
            "送进抢救",
            "还没出院呢",
            "还没有出院呢",
            "还没出院",
            "还没有出院",
            "今天住院了",
            "昨天住院了",
            "又住了院",
        ],
        &[
            "back in the hospital",
            "back in hospital",
            "readmitted",
            "in the hospital again",
            "in hospital again",
            "been admitted",
            "was admitted again",
            "in intensive care",
            "back at the hospital",
            "in the icu",
            "in icu",
            "back on the ward",
            "back into hospital",
            "back into the hospital",
            "back in a hospital",
            "rehospitalized",
            "rehospitalised",
            "re admitted",
            "still in hospital",
            "still in the hospital",
            "hasn't been discharged",
            "not been discharged yet",
            "haven't been discharged",
            "taken back to hospital",
            "taken back to the hospital",
            "in a hospital bed",
        ],
    )
}

fn wrong_party(heard: &Heard) -> bool {
    heard.says(
        &[
            "打错了",
            "打错电话",
            "没这个人",
            "没有这个人",
            "不认识",
            "找错人",
            "没有叫这个",
            "号码错了",
            "查无此人",
            "没这么个人",
            "没有这么个人",
            "没有这人",
            "没这人",
            "没听说过这个",
            "你打错",
            "您打错",
            "搞错人了",
            "弄错人了",
            "认错人了",
            "不是他的号",
            "不是她的号",
            "不是这个号",
            "换号了",
            "这个号现在是我",
        ],
        &[
            "wrong number",
            "no one by that name",
            "nobody by that name",
            "don't know him",
            "don't know her",
            "don't know anyone",
            "no such person",
            "wrong person",
            "got the wrong",
            "never heard of him",
            "never heard of her",
            "never heard of them",
            "never heard of that",
            "doesn't live here",
            "does not live here",
            "not his number",
            "not her number",
            "not his phone",
            "not her phone",
            "you have the wrong",
            "nobody called that",
            "no one called that",
            "nobody here by",
            "no one here by",
        ],
    )
}

fn not_now(heard: &Heard) -> Option<Jump> {
    let busy = heard.says(
        &[
            "现在不方便",
            "不太方便",
            "不方便说",
            "没空",
            "没时间",
            "在忙",
            "正忙",
            "在开车",
            "开着车",
            "在开会",
            "晚点打",
            "晚点再打",
            "晚一点打",
            "待会打",
            "待会儿打",
            "待会再打",
            "待会儿再打",
            "等会再打",
            "等会儿再打",
            "过会再打",
            "过一会再打",
            "过一会儿再打",
            "明天再打",
            "下午再打",
            "晚上再打",
            "回头再打",
            "改天再打",
            "上午再打",
            "中午再打",
            "不方便接",
            "不方便讲",
            "这会儿不方便",
            "没工夫",
            "没功夫",
            "腾不出",
            "抽不开身",
            "走不开",
            "赶时间",
            "有急事",
            "我有点事",
            "手头有事",
            "正有事",
            "正在上班",
            "我在上班呢",
            "我上班呢",
            "正上班",
            "在吃饭呢",
            "正吃饭",
            "正在吃饭",
            "在睡觉呢",
            "正睡觉",
            "正在睡觉",
            "在外面办事",
            "在路上呢",
            "过会儿打",
            "过一会儿打",
            "一会儿再打",
            "一会再打",
            "等一会儿打",
            "等下再打",
            "等下打",
            "换个时间",
            "另外找时间",
            "改个时间",
            "改时间打",
            "后天再打",
            "下回再打",
            "下次再打",
        ],
        &[
            "not a good time",
            "bad time",
            "i'm busy",
            "i am busy",
            "call back",
            "call me back",
            "call later",
            "call me later",
            "call again later",
            "i'm driving",
            "can't talk",
            "cannot talk",
            "in a meeting",
            "call tomorrow",
            "call me tomorrow",
            "another time",
            "ring back",
            "ring me back",
            "ring later",
            "ring me later",
            "ring tomorrow",
            "phone back",
            "phone me back",
            "phone later",
            "try me later",
            "try again later",
            "try later",
            "some other time",
            "call after",
            "ring after",
            "call me after",
            "in the middle of something",
            "in the middle of dinner",
            "in the middle of lunch",
            "have company",
            "got company",
            "in a hurry",
            "have to go now",
            "got to go now",
            "gotta go now",
            "must go now",
            "on my way out",
            "just going out",
            "not convenient",
            "isn't convenient",
            "at a bad moment",
            "bad moment",
        ],
    ) || heard.is(
        &["不方便", "忙着", "我忙"],
        // "In the hospital I was, but not now" speaks of something else.
        &[
            "busy",
            "later",
            "not now",
            "not right now",
            "no not now",
            "sorry not now",
        ],
    );
    let time = heard.says(
        &[
            "点钟",
            "上午",
            "下午",
            "晚上",
            "明天",
            "后天",
            "中午",
            "点以后",
            "周一",
            "周二",
            "周三",
            "周四",
            "周五",
            "星期",
        ],
        &[
            "tomorrow",
            "tonight",
            "this evening",
            "this afternoon",
            "in the morning",
            "in the evening",
            "o'clock",
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "after five",
            "after six",
        ],
    );
    busy.then_some(if time { Jump::CallBack } else { Jump::NotNow })
}
