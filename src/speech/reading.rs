//! How a Mandarin text is read: words with their syllables, and the pauses between them.
//!
//! Figures are written out (`numerals`); then, in this order, an inline reading `[单|shan4]`, the site's own lexicon,
//! surnames where somebody is named or addressed, our words, and last each character's usual reading, in the words
//! that `jieba` finds. Every piece keeps which of these decided, for `aftercall say --explain`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use jieba_rs::Jieba;
use pinyin::ToPinyin;
use serde::Deserialize;

use crate::speech::numerals::written_out;

/// Surnames whose reading is not the character's usual one.
const SURNAMES: [(char, &str); 18] = [
    ('单', "shan4"),
    ('解', "xie4"),
    ('仇', "qiu2"),
    ('曾', "zeng1"),
    ('任', "ren2"),
    ('查', "zha1"),
    ('华', "hua4"),
    ('朴', "piao2"),
    ('区', "ou1"),
    ('尉', "wei4"),
    ('盖', "ge3"),
    ('纪', "ji3"),
    ('缪', "miao4"),
    ('翟', "zhai2"),
    ('覃', "qin2"),
    ('冼', "xian3"),
    ('乐', "yue4"),
    ('宁', "ning4"),
];

/// Surnames of two characters with a reading of their own.
const LONG_SURNAMES: [(&str, &str); 3] = [
    ("尉迟", "yu4 chi2"),
    ("万俟", "mo4 qi2"),
    ("长孙", "zhang3 sun1"),
];

/// Words in which a character is read otherwise than alone.
const WORDS: [(&str, &str); 140] = [
    ("长期", "chang2 qi1"),
    ("长大", "zhang3 da4"),
    ("长好", "zhang3 hao3"),
    ("校长", "xiao4 zhang3"),
    ("院长", "yuan4 zhang3"),
    ("护士长", "hu4 shi4 zhang3"),
    ("长出", "zhang3 chu1"),
    ("重新", "chong2 xin1"),
    ("重复", "chong2 fu4"),
    ("重要", "zhong4 yao4"),
    ("体重", "ti3 zhong4"),
    ("加重", "jia1 zhong4"),
    ("严重", "yan2 zhong4"),
    ("银行", "yin2 hang2"),
    ("行走", "xing2 zou3"),
    ("头晕", "tou2 yun1"),
    ("眩晕", "xuan4 yun4"),
    ("晕倒", "yun1 dao3"),
    ("调整", "tiao2 zheng3"),
    ("调药", "tiao2 yao4"),
    ("空腹", "kong1 fu4"),
    ("有空", "you3 kong4"),
    ("大夫", "dai4 fu5"),
    ("朝阳", "chao2 yang2"),
    ("吐血", "tu4 xue4"),
    ("呕吐", "ou3 tu4"),
    ("出血", "chu1 xue4"),
    ("咳血", "ke2 xue4"),
    ("咯血", "ka3 xue4"),
    ("便血", "bian4 xue4"),
    ("血压", "xue4 ya1"),
    ("大便", "da4 bian4"),
    ("便秘", "bian4 mi4"),
    ("方便", "fang1 bian4"),
    ("便宜", "pian2 yi5"),
    ("头发", "tou2 fa5"),
    ("发烧", "fa1 shao1"),
    ("量体温", "liang2 ti3 wen1"),
    ("量血压", "liang2 xue4 ya1"),
    ("量一量", "liang2 yi5 liang2"),
    ("剂量", "ji4 liang4"),
    ("结痂", "jie2 jia1"),
    ("创口", "chuang1 kou3"),
    ("创伤", "chuang1 shang1"),
    ("降压", "jiang4 ya1"),
    ("觉得", "jue2 de5"),
    ("睡觉", "shui4 jiao4"),
    ("睡着", "shui4 zhao2"),
    ("着急", "zhao2 ji2"),
    ("着凉", "zhao2 liang2"),
    ("愈合得", "yu4 he2 de5"),
    ("恢复得", "hui1 fu4 de5"),
    ("睡得", "shui4 de5"),
    ("吃得", "chi1 de5"),
    ("得了", "de2 le5"),
    ("缝合", "feng2 he2"),
    ("缝针", "feng2 zhen1"),
    ("差不多", "cha4 bu5 duo1"),
    ("差一些", "cha4 yi4 xie1"),
    ("变差", "bian4 cha4"),
    ("出差", "chu1 chai1"),
    ("爱好", "ai4 hao4"),
    ("教授", "jiao4 shou4"),
    ("处方", "chu3 fang1"),
    ("处理", "chu3 li3"),
    ("首都", "shou3 du1"),
    ("勉强", "mian3 qiang3"),
    ("冠心病", "guan1 xin1 bing4"),
    ("冠状", "guan1 zhuang4"),
    ("咳嗽", "ke2 sou5"),
    ("泌尿", "mi4 niao4"),
    ("膀胱", "pang2 guang1"),
    ("肩膀", "jian1 bang3"),
    ("模糊", "mo2 hu5"),
    ("称体重", "cheng1 ti3 zhong4"),
    ("反应", "fan3 ying4"),
    ("应该", "ying1 gai1"),
    ("症状", "zheng4 zhuang4"),
    ("转院", "zhuan3 yuan4"),
    ("转移", "zhuan3 yi2"),
    ("传染", "chuan2 ran3"),
    ("请假", "qing3 jia4"),
    ("中风", "zhong4 feng1"),
    ("中暑", "zhong4 shu3"),
    ("当天", "dang4 tian1"),
    ("几乎", "ji1 hu1"),
    ("间断", "jian4 duan4"),
    ("间歇", "jian4 xie1"),
    ("后背", "hou4 bei4"),
    ("胸闷", "xiong1 men4"),
    ("憋闷", "bie1 men5"),
    ("发闷", "fa1 men4"),
    ("接种", "jie1 zhong4"),
    ("只有", "zhi3 you3"),
    ("摔倒", "shuai1 dao3"),
    ("跌倒", "die1 dao3"),
    ("倒水", "dao4 shui3"),
    ("包扎", "bao1 za1"),
    ("扎针", "zha1 zhen1"),
    ("心率", "xin1 lv4"),
    ("频率", "pin2 lv4"),
    ("卡住", "qia3 zhu4"),
    ("嗓子干", "sang3 zi5 gan1"),
    ("不干", "bu4 gan1"),
    ("干不干", "gan1 bu4 gan1"),
    ("大便干", "da4 bian4 gan1"),
    ("嘴干", "zui3 gan1"),
    ("干燥", "gan1 zao4"),
    ("口干", "kou3 gan1"),
    ("干咳", "gan1 ke2"),
    ("干部", "gan4 bu4"),
    ("能干", "neng2 gan4"),
    ("先生", "xian1 sheng5"),
    ("女士", "nv3 shi4"),
    ("阿姨", "a1 yi2"),
    ("叔叔", "shu1 shu5"),
    ("医生", "yi1 sheng1"),
    ("护士", "hu4 shi5"),
    ("复查", "fu4 cha2"),
    ("检查", "jian3 cha2"),
    ("出院", "chu1 yuan4"),
    ("还是", "hai2 shi4"),
    ("还有", "hai2 you3"),
    ("舒服", "shu1 fu5"),
    ("药片", "yao4 pian4"),
    ("看看", "kan4 kan5"),
    ("爸爸", "ba4 ba5"),
    ("妈妈", "ma1 ma5"),
    ("奶奶", "nai3 nai5"),
    ("爷爷", "ye2 ye5"),
    ("时候", "shi2 hou5"),
    ("什么", "shen2 me5"),
    ("怎么", "zen3 me5"),
    ("我们", "wo3 men5"),
    ("您好", "nin2 hao3"),
    ("肋骨", "lei4 gu3"),
    ("血糖", "xue4 tang2"),
    ("尿血", "niao4 xue4"),
    ("儿子", "er2 zi5"),
    ("女儿", "nv3 er2"),
];

/// Characters whose first reading in dictionaries is not the one of plain speech; the second column holds wherever
/// they stand, the first only where they are a word of their own.
const CHARACTERS: [(char, &str, Place); 22] = [
    ('血', "xue4", Place::Anywhere),
    ('干', "gan1", Place::Alone),
    ('得', "de5", Place::Alone),
    ('地', "de5", Place::Alone),
    ('的', "de5", Place::Anywhere),
    ('了', "le5", Place::Alone),
    ('着', "zhe5", Place::Anywhere),
    ('吗', "ma5", Place::Anywhere),
    ('吧', "ba5", Place::Anywhere),
    ('呢', "ne5", Place::Anywhere),
    ('们', "men5", Place::Anywhere),
    ('还', "hai2", Place::Anywhere),
    ('都', "dou1", Place::Alone),
    ('吐', "tu4", Place::Anywhere),
    ('量', "liang4", Place::Anywhere),
    ('疼', "teng2", Place::Anywhere),
    ('晕', "yun1", Place::Anywhere),
    ('闷', "men4", Place::Anywhere),
    ('称', "cheng1", Place::Anywhere),
    ('尿', "niao4", Place::Anywhere),
    ('幺', "yao1", Place::Anywhere),
    ('没', "mei2", Place::Anywhere),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Alone,
    Anywhere,
}

/// What follows a surname when somebody is addressed.
const TITLES: [&str; 12] = [
    "先生", "女士", "小姐", "阿姨", "叔叔", "大爷", "大妈", "奶奶", "爷爷", "老师", "医生", "大夫",
];

/// What stands before a name that is asked for.
const BEFORE_NAMES: [&str; 6] = ["请问是", "找一下", "请问", "您是", "我是", "您好"];

/// A stretch of a text as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Word {
        text: String,
        /// Pinyin with tone digits, 5 for none.
        syllables: Vec<String>,
        by: By,
    },
    /// Letters and words of another language.
    Latin(String),
    /// `,` or one of `.?!`.
    Pause(char),
}

/// What decided a reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `[单|shan4]` in the text.
    Inline,
    SiteLexicon,
    Surname,
    Lexicon,
    /// Each character's usual reading.
    Characters,
}

/// Why a site's lexicon was refused.
#[derive(Debug, thiserror::Error)]
pub enum LexiconError {
    #[error("{file}: cannot be read")]
    Unreadable {
        file: String,
        source: std::io::Error,
    },
    #[error("{file}: {words}")]
    Format { file: String, words: String },
    #[error(
        "{file}: `{word}` has {characters} characters and {syllables} syllables; write one for each, as `单 = \"shan4\"`"
    )]
    Syllables {
        file: String,
        word: String,
        characters: usize,
        syllables: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LexiconFile {
    version: u32,
    words: BTreeMap<String, String>,
}

/// Reads texts, with what a site knows better.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    /// The longest first.
    site: Vec<(String, String)>,
}

impl Reader {
    /// A reader with a site's lexicon: TOML, `version = 1`, `[words]`, `"朝阳门" = "chao2 yang2 men2"`.
    ///
    /// # Errors
    /// When the file cannot be read, or a word has not a syllable for each character.
    pub fn with_lexicon(path: &Path) -> Result<Reader, LexiconError> {
        let file = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LexiconError::Unreadable {
            file: file(),
            source,
        })?;
        let format = |words: String| LexiconError::Format {
            file: file(),
            words,
        };
        let lexicon: LexiconFile =
            toml::from_str(&text).map_err(|error| format(error.to_string()))?;
        if lexicon.version != 1 {
            return Err(format(format!("version {} is not known", lexicon.version)));
        }
        for (word, reading) in &lexicon.words {
            let (characters, syllables) = (word.chars().count(), reading.split(' ').count());
            if characters != syllables {
                return Err(LexiconError::Syllables {
                    file: file(),
                    word: word.clone(),
                    characters,
                    syllables,
                });
            }
        }
        let mut site: Vec<(String, String)> = lexicon.words.into_iter().collect();
        site.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Ok(Reader { site })
    }

    /// Reads a text.
    pub fn read(&self, text: &str) -> Vec<Piece> {
        let written = written_out(text);
        let (mut pieces, mut plain, mut rest) = (Vec::new(), String::new(), written.as_str());
        while let Some(next) = rest.chars().next() {
            if let Some((found, length)) = self.known(&written, rest) {
                characters(&mut plain, &mut pieces);
                pieces.push(found);
                rest = &rest[length..];
            } else {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
        characters(&mut plain, &mut pieces);
        pieces
    }

    /// A word with a reading of its own at the beginning of `rest`, and the bytes it takes.
    fn known(&self, whole: &str, rest: &str) -> Option<(Piece, usize)> {
        if let Some((word, reading, length)) = inline(rest) {
            return Some((word_of(word, reading, By::Inline), length));
        }
        let site = self.site.iter().find(|(word, _)| rest.starts_with(word));
        if let Some((word, reading)) = site {
            return Some((word_of(word, reading, By::SiteLexicon), word.len()));
        }
        if let Some((surname, reading)) = surname(whole, rest) {
            return Some((word_of(surname, reading, By::Surname), surname.len()));
        }
        let ours = WORDS.iter().filter(|(word, _)| rest.starts_with(word));
        let (word, reading) = ours.max_by_key(|(word, _)| word.len())?;
        Some((word_of(word, reading, By::Lexicon), word.len()))
    }
}

fn word_of(text: &str, reading: &str, by: By) -> Piece {
    Piece::Word {
        text: text.to_owned(),
        syllables: reading.split_whitespace().map(str::to_owned).collect(),
        by,
    }
}

/// `[单|shan4]`.
fn inline(rest: &str) -> Option<(&str, &str, usize)> {
    let inside = rest.strip_prefix('[')?;
    let end = inside.find(']')?;
    let (word, reading) = inside[..end].split_once('|')?;
    Some((word, reading, end + 2))
}

/// A surname with a reading of its own, where somebody is named: the whole text is a name, a name is asked for, or
/// a title follows within two characters.
fn surname<'a>(whole: &str, rest: &'a str) -> Option<(&'a str, &'static str)> {
    let before = &whole[..whole.len() - rest.len()];
    let name = rest.trim_end_matches(['。', '，', '？', '吗']);
    let bare = (2..=4).contains(&name.chars().count()) && name.chars().all(is_han);
    let begins = before.is_empty() || BEFORE_NAMES.iter().any(|ask| before.ends_with(ask));
    let opens = |surname: &str| {
        let mut after = rest[surname.len()..].chars();
        let titled = |given: &str| TITLES.iter().any(|title| given.starts_with(title));
        let given = [after.as_str(), skip(&mut after), skip(&mut after)];
        let free = !before.ends_with(is_han) || begins;
        (bare && begins) || titled(given[0]) || (free && given[1..].iter().any(|g| titled(g)))
    };
    for (long, reading) in LONG_SURNAMES {
        if rest.starts_with(long) && opens(long) {
            return Some((&rest[..long.len()], reading));
        }
    }
    let first = rest.chars().next()?;
    let (_, reading) = SURNAMES
        .into_iter()
        .find(|(surname, _)| *surname == first)?;
    let surname = &rest[..first.len_utf8()];
    opens(surname).then_some((surname, reading))
}

fn skip<'a>(chars: &mut std::str::Chars<'a>) -> &'a str {
    chars.next();
    chars.as_str()
}

fn is_han(c: char) -> bool {
    c.to_pinyin().is_some()
}

/// Words without a reading of their own, by `jieba`, each character read as usual; letters; pauses.
fn characters(plain: &mut String, pieces: &mut Vec<Piece>) {
    static JIEBA: OnceLock<Jieba> = OnceLock::new();
    if plain.is_empty() {
        return;
    }
    for token in JIEBA.get_or_init(Jieba::new).cut(plain, true) {
        let word = token.word;
        let alone = word.chars().count() == 1;
        let syllables: Vec<String> = word.chars().filter_map(|c| syllable(c, alone)).collect();
        if !syllables.is_empty() {
            let text = word.to_owned();
            pieces.push(Piece::Word {
                text,
                syllables,
                by: By::Characters,
            });
            continue;
        }
        match word.chars().next() {
            Some('，' | '、' | '；' | '：' | ',' | ';' | ':') => pause(pieces, ','),
            Some('。' | '.' | '…') => pause(pieces, '.'),
            Some('？' | '?') => pause(pieces, '?'),
            Some('！' | '!') => pause(pieces, '!'),
            Some(c) if c.is_alphanumeric() => pieces.push(Piece::Latin(word.to_owned())),
            Some(_) | None => {}
        }
    }
    plain.clear();
}

fn pause(pieces: &mut Vec<Piece>, mark: char) {
    // Two marks in a row are one pause, the longer one.
    match pieces.last_mut() {
        Some(Piece::Pause(before)) if *before == ',' => *before = mark,
        Some(Piece::Pause(_)) | None => {}
        Some(Piece::Word { .. } | Piece::Latin(_)) => pieces.push(Piece::Pause(mark)),
    }
}

fn syllable(c: char, alone: bool) -> Option<String> {
    let ours = CHARACTERS
        .iter()
        .find(|(character, _, place)| *character == c && (alone || *place == Place::Anywhere));
    if let Some((_, reading, _)) = ours {
        return Some((*reading).to_owned());
    }
    let usual = c.to_pinyin()?.with_tone_num_end().replace('ü', "v");
    let toned = usual.ends_with(|end: char| end.is_ascii_digit());
    // No digit is the neutral tone.
    Some(if toned { usual } else { format!("{usual}5") })
}

/// Pinyin with tone digits, for a voice that reads nothing else: `单先生` is `shan4 xian1 sheng5`.
pub fn pinyin(text: &str) -> String {
    let mut said = String::new();
    for piece in Reader::default().read(text) {
        match piece {
            Piece::Word { syllables, .. } => {
                said.push_str(if said.is_empty() { "" } else { " " });
                said.push_str(&syllables.join(" "));
            }
            Piece::Latin(word) => {
                said.push_str(if said.is_empty() { "" } else { " " });
                said.push_str(&word);
            }
            Piece::Pause(mark) => said.push(if mark == ',' { ',' } else { '.' }),
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_dates_and_numbers_are_read_as_people_read_them() {
        for (text, wanted) in [
            ("单先生", "shan4 xian1 sheng5"),
            ("解秀英", "xie4 xiu4 ying1"),
            ("尉迟恭", "yu4 chi2 gong1"),
            ("曾女士，您好", "zeng1 nv3 shi4, nin2 hao3"),
            ("简单说一下吧", "jian3 dan1 shuo1 yi1 xia4 ba5"),
            ("12月3日", "shi2 er4 yue4 san1 ri4"),
            ("2026年", "er4 ling2 er4 liu4 nian2"),
            ("130", "yi1 bai3 san1 shi2"),
            ("105", "yi1 bai3 ling2 wu3"),
            ("0571", "ling2 wu3 qi1 yi1"),
            ("38.5度", "san1 shi2 ba1 dian3 wu3 du4"),
            (
                "13800138000",
                "yao1 san1 ba1 ling2 ling2 yao1 san1 ba1 ling2 ling2 ling2",
            ),
        ] {
            assert_eq!(pinyin(text), wanted, "{text}");
        }
    }

    /// Each with the syllables that a stock reading gets wrong.
    #[test]
    fn hard_phrases_are_read_right() {
        let mut wrong = Vec::new();
        let table = include_str!("../../fixtures/speech/hard_phrases.tsv");
        let rows: Vec<(&str, &str)> = table
            .lines()
            .filter_map(|row| row.split_once('\t'))
            .collect();
        assert!(rows.len() >= 42, "{} rows", rows.len());
        for (text, wanted) in rows {
            let got = pinyin(text);
            if !format!(" {got} ")
                .replace([',', '.'], "")
                .contains(&format!(" {wanted} "))
            {
                wrong.push(format!("{text}: {wanted} is missing in {got}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_site_and_the_text_itself_know_better() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let lexicon = "version = 1\n[words]\n\"六安\" = \"lu4 an1\"\n\"单\" = \"dan1\"\n";
        std::fs::write(file.path(), lexicon).expect("the file is ours");
        let reader = Reader::with_lexicon(file.path()).expect("a good lexicon");
        let read = |text: &str| -> Vec<(String, By)> {
            let pieces = reader.read(text).into_iter();
            let word = |piece| match piece {
                Piece::Word { syllables, by, .. } => Some((syllables.join(" "), by)),
                Piece::Latin(_) | Piece::Pause(_) => None,
            };
            pieces.filter_map(word).collect()
        };
        assert_eq!(read("六安")[0], ("lu4 an1".to_owned(), By::SiteLexicon));
        assert_eq!(read("单先生")[0], ("dan1".to_owned(), By::SiteLexicon));
        assert_eq!(read("[单|chan2]于")[0], ("chan2".to_owned(), By::Inline));
        let short = "version = 1\n[words]\n\"六安\" = \"lu4\"\n";
        std::fs::write(file.path(), short).expect("the file is ours");
        let refused = Reader::with_lexicon(file.path()).expect_err("a syllable is missing");
        assert!(refused.to_string().contains("六安"), "{refused}");
    }
}
