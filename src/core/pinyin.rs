//! Mandarin as it sounds: syllables of a text with their offsets, and how far two stretches lie apart.
//!
//! A recogniser writes homophones (没有发烧 → 没有发售), so announcements, replies and red flags are compared
//! by syllable. Readings come from the `pinyin` crate; where its first reading is not the one of everyday
//! hospital speech, [`PREFERRED`] decides (血 is xue, 大 is da). What follows from a match is left to the caller.

use pinyin::{ToPinyin, ToPinyinMulti};

/// The everyday reading of characters whose dictionary order misleads: character, toneless syllable, tone.
const PREFERRED: &[(char, &str, u8)] = &[
    ('血', "xue", 4),
    ('大', "da", 4),
    ('得', "de", 5),
    ('了', "le", 5),
    ('着', "zhe", 5),
    ('地', "de", 5),
    ('的', "de", 5),
    ('不', "bu", 4),
    ('没', "mei", 2),
    ('有', "you", 3),
    ('还', "hai", 2),
    ('都', "dou", 1),
    ('觉', "jue", 2),
    ('发', "fa", 1),
    ('少', "shao", 3),
    ('倒', "dao", 3),
    ('晕', "yun", 1),
    ('肿', "zhong", 3),
    ('重', "zhong", 4),
    ('难', "nan", 2),
    ('长', "zhang", 3),
    ('咳', "ke", 2),
    ('咯', "ka", 3),
    ('吐', "tu", 4),
    ('呕', "ou", 3),
    ('尿', "niao", 4),
    ('便', "bian", 4),
    ('喘', "chuan", 3),
    ('嘴', "zui", 3),
    ('恶', "e", 3),
    ('呛', "qiang", 4),
    ('差', "cha", 4),
    ('给', "gei", 3),
    ('号', "hao", 4),
    ('打', "da", 3),
    ('拨', "bo", 1),
    ('话', "hua", 4),
    ('空', "kong", 1),
    ('机', "ji", 1),
    ('行', "xing", 2),
    ('会', "hui", 4),
    ('什', "shen", 2),
    ('么', "me", 5),
    ('谁', "shei", 2),
    ('那', "na", 4),
    ('哪', "na", 3),
    ('子', "zi", 5),
    ('头', "tou", 2),
    ('说', "shuo", 1),
    ('解', "jie", 3),
    ('数', "shu", 4),
    ('度', "du", 4),
    ('压', "ya", 1),
    ('好', "hao", 3),
    ('药', "yao", 4),
    ('疹', "zhen", 3),
];

/// One reading of a character: the toneless syllable, and the tone 1–4 or 5 for the neutral tone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reading {
    pub plain: &'static str,
    pub tone: u8,
}

/// One syllable of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syllable {
    /// The character it stands for.
    pub written: char,
    /// Where the character stands in the text, in characters from 0.
    pub at: usize,
    /// The everyday reading.
    pub reading: Reading,
}

/// The everyday reading of one character; `None` where it is not a Chinese character.
pub fn reading(written: char) -> Option<Reading> {
    if !is_han(written) {
        return None;
    }
    if let Some(&(_, plain, tone)) = PREFERRED.iter().find(|(c, _, _)| *c == written) {
        return Some(Reading { plain, tone });
    }
    written.to_pinyin().map(of)
}

/// Every character that is written Han, whether or not its reading is known.
pub fn every_han() -> impl Iterator<Item = char> {
    ('\u{3400}'..='\u{2ffff}').filter(|written| is_han(*written))
}

/// Every reading of one character, the everyday one first.
pub fn readings(written: char) -> Vec<Reading> {
    let Some(first) = reading(written) else {
        return Vec::new();
    };
    let mut all = vec![first];
    if let Some(others) = written.to_pinyin_multi() {
        for other in others.into_iter().map(of) {
            if !all.contains(&other) {
                all.push(other);
            }
        }
    }
    all
}

/// The syllables of a text in order; characters that are not Chinese are left out.
pub fn syllables(text: &str) -> Vec<Syllable> {
    let spoken = text.chars().enumerate().filter_map(|(at, written)| {
        reading(written).map(|reading| Syllable {
            written,
            at,
            reading,
        })
    });
    spoken.collect()
}

/// The toneless syllables of a text, as for [`distance`] and [`nearest`].
pub fn toneless(text: &str) -> Vec<&'static str> {
    text.chars().filter_map(reading).map(|r| r.plain).collect()
}

/// The toneless syllables of a text joined by spaces: `xiong kou teng`.
pub fn spell(text: &str) -> String {
    toneless(text).join(" ")
}

/// Whether the character is written Han.
pub fn is_han(written: char) -> bool {
    matches!(u32::from(written), 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0x20000..=0x2ffff)
}

/// The class of syllables that dialects and recognisers confuse: zh/z, ch/c, sh/s, ng/n, l/n and hu/f.
///
/// Two syllables sound alike to a tired ear when their classes are equal.
pub fn blur(plain: &str) -> String {
    let onset = match plain.as_bytes() {
        [b'z' | b'c' | b's', b'h', ..] => format!("{}{}", &plain[..1], &plain[2..]),
        [b'l', ..] => format!("n{}", &plain[1..]),
        [b'h', b'u', _, ..] => format!("f{}", &plain[2..]),
        _ => plain.to_owned(),
    };
    match onset.strip_suffix("ng") {
        Some(stem) => format!("{stem}n"),
        None => onset,
    }
}

/// Edits (one put in, left out or changed) that turn one stretch of syllables, or of letters, into the other.
pub fn distance<T: PartialEq>(left: &[T], right: &[T]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// How unlike two syllables sound, both blurred: 0 for the same, 1 for nothing in common.
fn unlikeness(left: &str, right: &str) -> f32 {
    if left == right {
        return 0.0;
    }
    let [left, right] = [left, right].map(|syllable| syllable.chars().collect::<Vec<_>>());
    let longest = left.len().max(right.len()).max(1);
    distance(&left, &right) as f32 / longest as f32
}

/// How much a pattern must be bent to lie somewhere in what was heard: the sum of unlikeness over its
/// syllables (zh/z, l/n … count as the same), 1 for one put in or left out.
pub fn strain(heard: &[&str], pattern: &[&str]) -> f32 {
    let [heard, pattern] = [heard, pattern].map(|stretch| {
        let blurred = stretch.iter().map(|syllable| blur(syllable));
        blurred.collect::<Vec<_>>()
    });
    let mut row: Vec<f32> = (0..=pattern.len()).map(|j| j as f32).collect();
    let mut best = row[pattern.len()];
    for spoken in &heard {
        let mut diagonal = row[0];
        row[0] = 0.0;
        for (j, wanted) in pattern.iter().enumerate() {
            let changed = diagonal + unlikeness(spoken, wanted);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1.0).min(row[j] + 1.0);
        }
        best = best.min(row[pattern.len()]);
    }
    best
}

/// Where a pattern lies in a longer stretch with the fewest edits: `(start, end, edits)`, half open in
/// syllables; the leftmost of equals. `None` for an empty pattern or more than `most` edits.
pub fn nearest(spoken: &[&str], pattern: &[&str], most: usize) -> Option<(usize, usize, usize)> {
    if pattern.is_empty() {
        return None;
    }
    // row[j] = (edits, start) of the best way to read pattern[..j] so that it ends here.
    let mut row: Vec<(usize, usize)> = (0..=pattern.len()).map(|j| (j, 0)).collect();
    let mut best: Option<(usize, usize, usize)> = None;
    for (i, heard) in spoken.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = (0, i + 1);
        for (j, wanted) in pattern.iter().enumerate() {
            let changed = (diagonal.0 + usize::from(heard != wanted), diagonal.1);
            let extra = (row[j + 1].0 + 1, row[j + 1].1);
            let missing = (row[j].0 + 1, row[j].1);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(extra).min(missing);
        }
        let (edits, start) = row[pattern.len()];
        if edits <= most && best.is_none_or(|(_, _, least)| edits < least) {
            best = Some((start, i + 1, edits));
        }
    }
    best
}

fn of(sound: pinyin::Pinyin) -> Reading {
    let numbered = sound.with_tone_num_end();
    let tone = match numbered.as_bytes().last() {
        Some(digit @ b'1'..=b'4') => digit - b'0',
        Some(_) | None => 5,
    };
    Reading {
        plain: sound.plain(),
        tone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_spelt_without_tones_and_keeps_its_offsets() {
        assert_eq!(spell("我胸口疼, ok"), "wo xiong kou teng");
        let all = syllables("a胸 痛");
        assert_eq!(all.iter().map(|s| s.at).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(
            all[1].reading,
            Reading {
                plain: "tong",
                tone: 4
            }
        );
    }

    #[test]
    fn blood_is_read_as_patients_read_it() {
        assert_eq!(spell("痰里有血"), "tan li you xue");
        assert!(readings('血').iter().any(|r| r.plain == "xie"));
    }

    #[test]
    fn sounds_that_dialects_merge_share_a_class() {
        for (a, b) in [
            ("zhong", "zong"),
            ("chuan", "cuan"),
            ("shang", "san"),
            ("leng", "nen"),
            ("hua", "fa"),
        ] {
            assert_eq!(blur(a), blur(b), "{a} {b}");
        }
        assert_ne!(blur("hu"), blur("hei"));
    }

    #[test]
    fn distance_counts_syllables() {
        assert_eq!(
            distance(&toneless("您拨打的电话"), &toneless("您播打电话")),
            1
        );
        assert_eq!(distance(&[], &toneless("您好")), 2);
    }

    #[test]
    fn the_nearest_stretch_is_found_inside_a_longer_text() {
        let spoken = toneless("对不起您播打的电化已关机");
        assert_eq!(
            nearest(&spoken, &toneless("拨打的电话"), 1),
            Some((4, 9, 0))
        );
        assert_eq!(
            nearest(&spoken, &toneless("您拨叫的电话"), 1),
            Some((3, 9, 1))
        );
        assert_eq!(nearest(&spoken, &toneless("胸口疼"), 1), None);
        assert_eq!(nearest(&spoken, &[], 1), None);
    }
}
