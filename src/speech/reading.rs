//! Mandarin text as pinyin with tone digits, for a voice that reads nothing else.
//!
//! Meant for what is not recorded: names, dates, read-backs. Polyphonic surnames are read as surnames (单 Shan,
//! 解 Xie, 仇 Qiu), numbers as Chinese reads them, anything of five digits and more digit by digit.

use pinyin::ToPinyin;

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
const WORDS: [(&str, &str); 22] = [
    ("先生", "xian1 sheng5"),
    ("女士", "nv3 shi4"),
    ("阿姨", "a1 yi2"),
    ("叔叔", "shu1 shu5"),
    ("您", "nin2"),
    ("出血", "chu1 xue4"),
    ("咳血", "ka3 xue4"),
    ("咯血", "ka3 xue4"),
    ("血", "xue4"),
    ("大便", "da4 bian4"),
    ("干", "gan1"),
    ("愈合得", "yu4 he2 de5"),
    ("觉得", "jue2 de5"),
    ("得了", "de2 le5"),
    ("睡觉", "shui4 jiao4"),
    ("头发", "tou2 fa5"),
    ("还是", "hai2 shi4"),
    ("还有", "hai2 you3"),
    ("重新", "chong2 xin1"),
    ("复查", "fu4 cha2"),
    ("出院", "chu1 yuan4"),
    ("医生", "yi1 sheng1"),
];

/// What follows a surname when somebody is addressed.
const TITLES: [&str; 10] = [
    "先生", "女士", "小姐", "阿姨", "叔叔", "大爷", "大妈", "奶奶", "爷爷", "老师",
];

/// Reads Mandarin as pinyin: `单先生` is `shan4 xian1 sheng5`. Latin letters and pauses stay.
pub fn pinyin(text: &str) -> String {
    let mut reading = Reading::default();
    let mut rest = text;
    if let Some((surname, syllables)) = surname(text) {
        reading.syllables(syllables);
        rest = &text[surname.len()..];
    }
    while let Some(next) = rest.chars().next() {
        rest = if next.is_ascii_digit() {
            let digits = &rest[..rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len())];
            let after = &rest[digits.len()..];
            let spelled_out = digits.len() >= 5
                || reading.decimal
                || (digits.len() > 1 && digits.starts_with('0'))
                || (digits.len() == 4 && after.starts_with('年'));
            reading.han(&if spelled_out {
                spell(digits)
            } else {
                number(digits.parse().unwrap_or(0))
            });
            reading.decimal =
                after.starts_with('.') && after[1..].starts_with(|c: char| c.is_ascii_digit());
            if reading.decimal {
                reading.han("点");
                &after[1..]
            } else {
                after
            }
        } else if let Some((word, syllables)) =
            WORDS.iter().find(|(word, _)| rest.starts_with(word))
        {
            reading.syllables(syllables);
            &rest[word.len()..]
        } else {
            reading.one(next);
            &rest[next.len_utf8()..]
        };
    }
    reading.text.trim().to_owned()
}

/// The surname that opens a name, when its reading is special: a bare name of two to four characters, or a
/// surname before a title.
fn surname(text: &str) -> Option<(&str, &'static str)> {
    let is_name = (2..=4).contains(&text.chars().count());
    let opens = |surname: &str| {
        is_name
            || TITLES
                .iter()
                .any(|title| text[surname.len()..].starts_with(title))
    };
    for (long, reading) in LONG_SURNAMES {
        if text.starts_with(long) && opens(long) {
            return Some((&text[..long.len()], reading));
        }
    }
    let first = text.chars().next()?;
    let (_, reading) = SURNAMES
        .into_iter()
        .find(|(surname, _)| *surname == first)?;
    let surname = &text[..first.len_utf8()];
    opens(surname).then_some((surname, reading))
}

/// Digit by digit, as telephone numbers and years are read (1 in a number of five and more is 幺).
fn spell(digits: &str) -> String {
    let one = if digits.len() >= 5 { '幺' } else { '一' };
    digits
        .chars()
        .filter_map(|digit| {
            if digit == '1' {
                Some(one)
            } else {
                numeral(digit.to_digit(10)?)
            }
        })
        .collect()
}

fn numeral(digit: u32) -> Option<char> {
    "零一二三四五六七八九".chars().nth(digit as usize)
}

/// A number below 10 000 as it is read: 130 is 一百三十, 12 is 十二.
fn number(value: u32) -> String {
    if value == 0 {
        return "零".to_owned();
    }
    let (mut words, mut gap) = (String::new(), false);
    for (unit, name) in [(1000, "千"), (100, "百"), (10, "十"), (1, "")] {
        let digit = value / unit % 10;
        if digit == 0 {
            gap = !words.is_empty();
            continue;
        }
        if gap {
            words.push('零');
        }
        gap = false;
        if !(unit == 10 && digit == 1 && words.is_empty()) {
            words.extend(numeral(digit));
        }
        words.push_str(name);
    }
    words
}

#[derive(Default)]
struct Reading {
    text: String,
    /// A decimal point was just read: what follows is read digit by digit.
    decimal: bool,
}

impl Reading {
    fn syllables(&mut self, syllables: &str) {
        if !self.text.is_empty() && !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        self.text.push_str(syllables);
        self.text.push(' ');
    }

    fn han(&mut self, text: &str) {
        text.chars().for_each(|c| self.one(c));
    }

    fn one(&mut self, c: char) {
        if c == '幺' {
            return self.syllables("yao1");
        }
        if let Some(reading) = c.to_pinyin() {
            let syllable = reading.with_tone_num_end().replace('ü', "v");
            let toned = syllable.ends_with(|end: char| end.is_ascii_digit());
            // No digit is the neutral tone.
            return self.syllables(&if toned {
                syllable
            } else {
                format!("{syllable}5")
            });
        }
        match c {
            '，' | '、' | '；' | '：' => self.pause(','),
            '。' | '！' | '？' => self.pause('.'),
            ',' | '.' | '!' | '?' => self.pause(c),
            '%' | '％' => (),
            _ if c.is_alphanumeric() => self.text.push(c),
            _ => self.text.push(' '),
        }
    }

    fn pause(&mut self, mark: char) {
        self.text.truncate(self.text.trim_end().len());
        self.text.push(mark);
        self.text.push(' ');
    }
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
}
