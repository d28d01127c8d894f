//! A reply made even: NFKC, simplified characters, lower case, no loops, cut into units, with every offset kept.
//!
//! A unit is one Chinese character or one word or number in Latin script, so that one matcher serves both
//! languages and replies that mix them. Spaces between Chinese characters mean nothing (recognisers put them in);
//! punctuation is kept as the cut behind a unit.

use smol_str::SmolStr;
use unicode_normalization::UnicodeNormalization;

use crate::pinyin::is_han;

/// What stands behind a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    None,
    /// The list comma 、 between members of one list.
    List,
    Weak,
    Strong,
    /// A question mark.
    Ask,
}

/// One character or word, with its place in the raw text (characters, half open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub text: SmolStr,
    pub raw: (usize, usize),
    pub after: Cut,
}

impl Unit {
    pub fn is_han(&self) -> bool {
        self.text.chars().next().is_some_and(is_han)
    }
}

/// Words that only fill a pause; English ones are dropped, Chinese ones are left to the cue lists.
const FILLERS: [&str; 13] = [
    "um", "uh", "uhm", "umm", "er", "erm", "ah", "ohh", "hm", "hmm", "mm", "eh", "ooh",
];

/// Hyphenated grunts that mean yes or no; every other hyphen parts two words.
const GRUNTS: [&str; 5] = ["uh-uh", "nuh-uh", "mm-hmm", "uh-huh", "mm-mm"];

/// Longest n-gram looked at when loops of the recogniser are collapsed, in units.
const LONGEST_LOOP: usize = 12;

/// Cuts a text into units.
pub fn units(raw: &str) -> Vec<Unit> {
    let mut units = collapse_loops(cut(&even(raw)));
    part_answers(&mut units);
    units
}

/// "no i can't rouse her": an English yes or no at the head of a sentence, with a subject behind it, is an answer of its
/// own and denies nothing, whether the recogniser wrote the comma or not.
fn part_answers(units: &mut [Unit]) {
    const ANSWERS: [&str; 8] = ["no", "nope", "nah", "yes", "yeah", "yep", "yup", "aye"];
    const SUBJECTS: [&str; 14] = [
        "i", "he", "she", "it", "they", "we", "there", "my", "his", "her", "the", "these", "those",
        "but",
    ];
    let mut head = true;
    for at in 0..units.len().saturating_sub(1) {
        let word = units[at].text.as_str();
        let apart = units[at].after != Cut::None;
        if head
            && !apart
            && ANSWERS.contains(&word)
            && SUBJECTS.contains(&units[at + 1].text.as_str())
        {
            units[at].after = Cut::Weak;
        }
        head = apart || head && matches!(word, "well" | "oh" | "so" | "and" | "but");
    }
}

/// The units written out again: the normalised text of the evidence.
pub fn written(units: &[Unit]) -> String {
    let mut text = String::new();
    for (at, unit) in units.iter().enumerate() {
        if at > 0 && !(unit.is_han() && units[at - 1].is_han()) && units[at - 1].after == Cut::None
        {
            text.push(' ');
        }
        text.push_str(&unit.text);
        text.push_str(match unit.after {
            Cut::None => "",
            Cut::List => "、",
            Cut::Weak => ", ",
            Cut::Strong => ". ",
            Cut::Ask => "? ",
        });
    }
    text
}

/// Evened characters, each with the raw character it came from.
fn even(raw: &str) -> Vec<(char, usize)> {
    let mut folded = Vec::with_capacity(raw.len());
    for (at, c) in raw.chars().enumerate() {
        // Plain ideographs and ASCII are their own NFKC form.
        if matches!(c, '\0'..='\u{7f}' | '\u{3400}'..='\u{9fff}') {
            folded.push((c.to_ascii_lowercase(), at));
            continue;
        }
        let lower = std::iter::once(c).nfkc().flat_map(char::to_lowercase);
        folded.extend(lower.map(|lower| (lower, at)));
    }
    let text: String = folded.iter().map(|(c, _)| *c).collect();
    let simple: Vec<char> = fast2s::convert(&text).chars().collect();
    if simple.len() != folded.len() {
        return folded;
    }
    simple
        .into_iter()
        .zip(folded)
        .map(|(c, (_, at))| (variant(c), at))
        .collect()
}

fn variant(c: char) -> char {
    match c {
        '\u{2019}' | '\u{2018}' | '`' | '\u{00b4}' => '\'',
        '痠' => '酸',
        '醣' => '糖',
        '噁' => '恶',
        // The denials of Shanghai and of the south: 透勿过气, 冇得.
        '勿' | '弗' => '不',
        '冇' => '没',
        other => other,
    }
}

fn cut(even: &[(char, usize)]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut at = 0;
    while let Some(&(c, raw)) = even.get(at) {
        if is_suffix(even, at) {
            at += 1;
        } else if is_han(c) || matches!(c, '%' | '°') {
            units.push(Unit {
                text: SmolStr::new_inline(c.encode_utf8(&mut [0; 4])),
                raw: (raw, raw + 1),
                after: Cut::None,
            });
            at += 1;
        } else if c.is_ascii_digit() {
            at = push_number(even, at, &mut units);
        } else if c.is_alphabetic() {
            at = push_word(even, at, &mut units);
        } else {
            if let (Some(last), Some(cut)) = (units.last_mut(), cut_of(c)) {
                last.after = last.after.max(cut);
            }
            at += 1;
        }
    }
    units
}

/// The 儿 that the north hangs on nouns (口儿, 劲儿, 这儿), which says nothing: not the child of 女儿 and 儿子, and not 今儿,
/// which is a word without it.
fn is_suffix(even: &[(char, usize)], at: usize) -> bool {
    let next = even.get(at + 1).map_or(' ', |(c, _)| *c);
    let last = at.checked_sub(1).map_or(' ', |last| even[last].0);
    let stands_alone = !is_han(last) || "女婴幼生胎小孤孙妻宝今昨明前后健患".contains(last);
    even[at].0 == '儿' && !stands_alone && !"子媳科童女孙歌时".contains(next)
}

fn cut_of(c: char) -> Option<Cut> {
    match c {
        '、' => Some(Cut::List),
        ',' | ':' | '~' | '\u{2026}' | '\u{2014}' | '\u{2013}' | '|' | '(' | ')' => Some(Cut::Weak),
        '.' | '。' | '!' | ';' | '\n' | '\r' => Some(Cut::Strong),
        '?' => Some(Cut::Ask),
        _ => None,
    }
}

/// A number keeps its decimal point; a slash (180/110) parts two numbers.
fn push_number(even: &[(char, usize)], from: usize, units: &mut Vec<Unit>) -> usize {
    let digit = |i: usize| even.get(i).is_some_and(|(c, _)| c.is_ascii_digit());
    let mut to = from;
    let mut points = 0;
    while digit(to)
        || (even.get(to).is_some_and(|(c, _)| *c == '.') && points == 0 && digit(to + 1))
    {
        points += usize::from(!digit(to));
        to += 1;
    }
    units.push(unit_of(&even[from..to]));
    if even.get(to).is_some_and(|(c, _)| *c == '/') && digit(to + 1) {
        units.push(Unit {
            text: SmolStr::new_static("/"),
            raw: (even[to].1, even[to].1 + 1),
            after: Cut::None,
        });
        return to + 1;
    }
    to
}

fn push_word(even: &[(char, usize)], from: usize, units: &mut Vec<Unit>) -> usize {
    let letter = |i: usize| {
        even.get(i)
            .is_some_and(|(c, _)| c.is_alphabetic() && !is_han(*c))
    };
    let inner = |i: usize| even.get(i).is_some_and(|(c, _)| *c == '\'' || *c == '-');
    let mut to = from;
    while letter(to) || (inner(to) && letter(to + 1)) {
        to += 1;
    }
    let whole = unit_of(&even[from..to]);
    if GRUNTS.contains(&whole.text.as_str()) {
        units.push(whole);
        return to;
    }
    for part in even[from..to].split(|(c, _)| *c == '-') {
        if part.is_empty() {
            continue;
        }
        let mut word = unit_of(part);
        word.text = plain_word(&word.text);
        let joins = word.text == "n't" && units.last().is_some_and(|u| !u.is_han());
        if joins {
            let last = units.last_mut().expect("a last unit was just seen");
            last.text = plain_word(&format!("{}n't", last.text));
            last.raw.1 = word.raw.1;
        } else if !word.text.is_empty() && !FILLERS.contains(&word.text.as_str()) {
            units.push(word);
        }
    }
    to
}

/// One spelling for contractions: `'s 'm 're 've 'll 'd` go, `cannot` and `dont` become `can't` and `don't`.
fn plain_word(word: &str) -> SmolStr {
    for tail in ["'s", "'m", "'re", "'ve", "'ll", "'d"] {
        if let Some(stem) = word.strip_suffix(tail) {
            return stem.into();
        }
    }
    match word {
        "cannot" => "can't".into(),
        "im" | "ive" => "i".into(),
        "its" | "thats" | "theres" | "whats" | "hes" | "shes" | "wheres" | "heres" => {
            word[..word.len() - 1].into()
        }
        "theyre" | "theyve" => "they".into(),
        "weve" => "we".into(),
        "youre" | "youve" => "you".into(),
        "dont" | "cant" | "didnt" | "doesnt" | "isnt" | "wasnt" | "havent" | "hasnt" | "hadnt"
        | "wont" | "couldnt" | "wouldnt" | "arent" | "aint" | "werent" | "shouldnt" => {
            format!("{}'t", &word[..word.len() - 1]).into()
        }
        other => other.into(),
    }
}

fn unit_of(chars: &[(char, usize)]) -> Unit {
    let first = chars.first().map_or(0, |(_, raw)| *raw);
    let last = chars.last().map_or(0, |(_, raw)| *raw + 1);
    Unit {
        text: chars.iter().map(|(c, _)| *c).collect(),
        raw: (first, last),
        after: Cut::None,
    }
}

/// Keeps one copy of a stretch said three times or more in a row: recognisers loop. Numbers are left alone.
fn collapse_loops(mut units: Vec<Unit>) -> Vec<Unit> {
    let mut kept = vec![true; units.len()];
    // Most stretches differ in their first character.
    let firsts: Vec<Option<char>> = units.iter().map(|u| u.text.chars().next()).collect();
    let mut at = 0;
    while at < units.len() {
        let behind = firsts[at + 1..].iter().take(LONGEST_LOOP);
        let alike = behind.zip(1..).filter(|(first, _)| **first == firsts[at]);
        let repeat = alike.into_iter().find_map(|(_, n)| {
            let copies = copies_of(&units, at, n);
            (copies >= 3).then_some((n, copies))
        });
        let Some((n, copies)) = repeat else {
            at += 1;
            continue;
        };
        let end = at + n * copies;
        kept[at..end - n].fill(false);
        at = end;
    }
    let mut kept = kept.into_iter();
    units.retain(|_| kept.next().is_some_and(|kept| kept));
    units
}

fn copies_of(units: &[Unit], at: usize, n: usize) -> usize {
    let Some(first) = units.get(at..at + n) else {
        return 0;
    };
    if first.iter().any(|u| is_numeral(&u.text)) {
        return 1;
    }
    let same = |copy: &[Unit]| copy.iter().zip(first).all(|(a, b)| a.text == b.text);
    units[at..]
        .chunks_exact(n)
        .take_while(|copy| same(copy))
        .count()
}

fn is_numeral(text: &str) -> bool {
    text.starts_with(|c: char| {
        c.is_ascii_digit()
            || matches!(
                c,
                '零' | '一'
                    | '二'
                    | '三'
                    | '四'
                    | '五'
                    | '六'
                    | '七'
                    | '八'
                    | '九'
                    | '十'
                    | '百'
                    | '千'
                    | '点'
            )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(raw: &str) -> Vec<SmolStr> {
        units(raw).into_iter().map(|u| u.text).collect()
    }

    #[test]
    fn spaces_width_and_script_do_not_matter() {
        assert_eq!(texts("胸 口 會 痛"), ["胸", "口", "会", "痛"]);
        assert_eq!(texts("３８．５℃"), ["38.5", "°", "c"]);
        assert_eq!(texts("一点儿没劲儿"), ["一", "点", "没", "劲"]);
        assert_eq!(texts("今儿我儿子"), ["今", "儿", "我", "儿", "子"]);
        assert_eq!(texts("I've DON’T ca n't"), ["i", "don't", "can't"]);
    }

    #[test]
    fn offsets_point_into_the_raw_text() {
        let all = units("um, 沒有 fever");
        assert_eq!(
            all.iter().map(|u| u.raw).collect::<Vec<_>>(),
            [(4, 5), (5, 6), (7, 12)]
        );
    }

    #[test]
    fn loops_are_said_once() {
        assert_eq!(
            texts("i passed out passed out passed out"),
            ["i", "passed", "out"]
        );
        assert_eq!(texts("没有没有"), ["没", "有", "没", "有"]);
    }

    #[test]
    fn punctuation_becomes_the_cut_behind_a_unit() {
        let cuts: Vec<Cut> = units("咳、喘，疼。吗？").iter().map(|u| u.after).collect();
        assert_eq!(cuts, [Cut::List, Cut::Weak, Cut::Strong, Cut::Ask]);
    }
}
