//! The figures of a hearing run: shares with their intervals, error rates, and what each habit of the ear is worth.

use std::collections::BTreeMap;

use aftercall_core::lang::Lang;
use aftercall_core::pinyin;
use aftercall_core::script::spoken::whole_zh;
use serde::Serialize;
use strsim::generic_levenshtein;

use super::hearing::{Item, Row};
use super::score::Share;

/// What a reply came to beside what it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Understood,
    /// The call asks again, or asks to confirm.
    Unsure,
    /// Another answer stands.
    Wrong,
}

fn came(means: &str, is: &str) -> Came {
    let unsure = [
        "", "unclear", "doubtful", "nothing", "any", "repeat", "slower",
    ];
    // A plain yes to an emergency question is acted on at once.
    let is = if is == "emergent" { "yes" } else { is };
    let same_number = || {
        let (wanted, found) = (means.parse::<f64>().ok()?, is.parse::<f64>().ok()?);
        Some((wanted - found).abs() < 0.01)
    };
    if is == means || same_number() == Some(true) {
        Came::Understood
    } else if unsure.contains(&is) {
        Came::Unsure
    } else {
        Came::Wrong
    }
}

/// Shares of one kind of short reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Short {
    pub understood: usize,
    pub wrong: usize,
    pub nothing: usize,
    /// Of the written words, how many are understood: what hearing cannot better.
    pub understood_text: usize,
    pub of: usize,
}

impl Short {
    fn add(&mut self, item: &Item, row: &Row) {
        let came_out = came(&item.means, &row.from_sound);
        self.of += 1;
        self.understood += usize::from(came_out == Came::Understood);
        self.wrong += usize::from(came_out == Came::Wrong);
        self.nothing += usize::from(row.heard.is_none());
        let text = came(&item.means, &row.from_text);
        self.understood_text += usize::from(text == Came::Understood);
    }
}

/// Red flags of whole replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Flags {
    pub flagged: usize,
    pub found: usize,
    /// Of those found, asked about first.
    pub asked: usize,
    pub found_text: usize,
    pub quiet: usize,
    /// Quiet replies that are quiet as text and alert as sound: outright, and asked about first.
    pub invented: usize,
    pub invented_asked: usize,
}

impl Flags {
    fn add(&mut self, item: &Item, row: &Row) {
        let (asked, heard) = (row.from_sound == "asked", row.from_sound == "alert");
        if item.means == "yes" {
            self.flagged += 1;
            self.found += usize::from(asked || heard);
            self.asked += usize::from(asked);
            self.found_text += usize::from(row.from_text != "quiet");
        } else {
            self.quiet += 1;
            let is_new = row.from_text == "quiet";
            self.invented += usize::from(is_new && heard);
            self.invented_asked += usize::from(is_new && asked);
        }
    }
}

/// Edits over the length of what was said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Errors {
    pub edits: usize,
    pub of: usize,
}

impl Errors {
    fn add<T: PartialEq>(&mut self, said: &[T], heard: &[T]) {
        self.edits += generic_levenshtein(&Slice(said), &Slice(heard));
        self.of += said.len();
    }

    /// Syllables without their tones, or words.
    pub(super) fn of_reply(&mut self, lang: Lang, said: &str, heard: &str) {
        match lang {
            Lang::Zh => {
                let (said, heard) = (plain_zh(said), plain_zh(heard));
                self.add(&pinyin::toneless(&said), &pinyin::toneless(&heard));
            }
            Lang::En => {
                let (said, heard) = (plain_en(said), plain_en(heard));
                self.add(
                    &said.split_whitespace().collect::<Vec<_>>(),
                    &heard.split_whitespace().collect::<Vec<_>>(),
                );
            }
        }
    }

    pub fn percent(self) -> f64 {
        100.0 * self.edits as f64 / self.of.max(1) as f64
    }
}

struct Slice<'a, T>(&'a [T]);

impl<'a, T> IntoIterator for &Slice<'a, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Everything of one ear over one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    pub yes_no: BTreeMap<String, Short>,
    pub figures: BTreeMap<String, Short>,
    /// Short symptoms in answer to an emergency question: wrong is what became a denial.
    pub symptoms: BTreeMap<String, Short>,
    pub flags: Flags,
    /// Mandarin: characters, and syllables without their tones.
    pub characters: Errors,
    pub syllables: Errors,
    pub words: Errors,
    pub cpu_ms: f64,
    pub of: usize,
}

impl Figures {
    fn add(&mut self, item: &Item, row: &Row) {
        self.cpu_ms += row.cpu_ms;
        self.of += 1;
        match item.group.as_str() {
            "row" => self.add_row(item, row),
            group => {
                let of = match group {
                    "yes_no" => &mut self.yes_no,
                    "symptom" => &mut self.symptoms,
                    _ => &mut self.figures,
                };
                for name in [item.lang.to_string(), "all".to_owned()] {
                    of.entry(name).or_default().add(item, row);
                }
            }
        }
    }

    fn add_row(&mut self, item: &Item, row: &Row) {
        self.flags.add(item, row);
        let heard = row.heard.as_deref().unwrap_or_default();
        match item.lang {
            Lang::Zh => {
                let (said, heard) = (plain_zh(&item.text), plain_zh(heard));
                self.characters.add(
                    &said.chars().collect::<Vec<_>>(),
                    &heard.chars().collect::<Vec<_>>(),
                );
                self.syllables.of_reply(item.lang, &said, &heard);
            }
            Lang::En => self.words.of_reply(item.lang, &item.text, heard),
        }
    }
}

/// Characters only, numbers as they are spoken.
fn plain_zh(text: &str) -> String {
    let mut plain = String::new();
    let mut digits = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if let Ok(number) = std::mem::take(&mut digits).parse::<u32>() {
            plain.push_str(&whole_zh(number));
        }
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        }
    }
    plain
}

fn plain_en(text: &str) -> String {
    let kept = |c: char| match c {
        '\'' | '’' => None,
        c if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => Some(' '),
    };
    text.chars().filter_map(kept).collect()
}

/// Groups rows by ear (`model variant`) and condition.
pub fn figures(items: &BTreeMap<&str, &Item>, rows: &[Row]) -> BTreeMap<(String, String), Figures> {
    let mut groups: BTreeMap<(String, String), Figures> = BTreeMap::new();
    for row in rows {
        if let Some(item) = items.get(row.id.as_str()) {
            let key = (row.variant.clone(), row.condition.clone());
            groups.entry(key).or_default().add(item, row);
        }
    }
    groups
}

/// One ear over one line, in lines to be read.
pub fn lines(figures: &Figures) -> String {
    let mut lines = Vec::new();
    for (what, groups) in [
        ("yes/no", &figures.yes_no),
        ("figures", &figures.figures),
        ("symptoms", &figures.symptoms),
    ] {
        for (lang, short) in groups {
            lines.push(format!(
                "  {:<16} understood {}  wrong {}  nothing heard {}  as text {}",
                format!("{what} {lang}"),
                share(short.understood, short.of),
                share(short.wrong, short.of),
                short.nothing,
                percent(short.understood_text, short.of),
            ));
        }
    }
    let flags = &figures.flags;
    if flags.flagged + flags.quiet > 0 {
        lines.push(format!(
            "  {:<16} found {} ({} by asking)  as text {}",
            "red flags",
            share(flags.found, flags.flagged),
            flags.asked,
            percent(flags.found_text, flags.flagged),
        ));
        lines.push(format!(
            "  {:<16} invented {}  asked about in vain {}",
            "",
            share(flags.invented, flags.quiet),
            share(flags.invented_asked, flags.quiet),
        ));
        lines.push(format!(
            "  {:<16} zh characters {:.1} %, syllables {:.1} % of {}; en words {:.1} % of {}",
            "errors",
            figures.characters.percent(),
            figures.syllables.percent(),
            figures.characters.of,
            figures.words.percent(),
            figures.words.of,
        ));
    }
    lines.push(format!(
        "  {:<16} {:.0} ms of processor time a reply, {} replies",
        "cost",
        figures.cpu_ms / figures.of.max(1) as f64,
        figures.of
    ));
    lines.join("\n")
}

pub(super) fn share(hits: usize, of: usize) -> String {
    let share = Share::new(hits, of);
    match share.share {
        Some(value) => format!(
            "{:.1} % [{:.1}-{:.1}] {hits}/{of}",
            100.0 * value,
            100.0 * share.low,
            100.0 * share.high
        ),
        None => "-".to_owned(),
    }
}

fn percent(hits: usize, of: usize) -> String {
    match Share::new(hits, of).share {
        Some(value) => format!("{:.1} %", 100.0 * value),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_call_would_ask_again_is_not_understood_and_not_wrong() {
        for (means, is, wanted) in [
            ("yes", "yes", Came::Understood),
            ("yes", "emergent", Came::Understood),
            ("yes", "no", Came::Wrong),
            ("no", "emergent", Came::Wrong),
            ("no", "doubtful", Came::Unsure),
            ("no", "nothing", Came::Unsure),
            ("8", "8", Came::Understood),
            ("38.5", "38.50", Came::Understood),
            ("8", "7", Came::Wrong),
            ("better", "worse", Came::Wrong),
        ] {
            assert_eq!(came(means, is), wanted, "{means} heard as {is}");
        }
    }

    #[test]
    fn numbers_are_compared_as_they_are_spoken() {
        assert_eq!(plain_zh("38度，有点儿烧。"), "三十八度有点儿烧");
        assert_eq!(plain_en("Don't, no!"), "dont  no ");
    }
}
