//! Answers told apart by their sound: each is forced on the decoder after what was heard, and the likeliest wins.
//!
//! Works on the encoder's output of the last [`Recogniser::recognise`]. A decoder step costs about 9 ms with base.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::Arc;

use aftercall_core::heard::{Choices, Chosen};
use aftercall_core::lang::Lang;
use aftercall_core::pinyin;
use aftercall_core::script::spoken::{MONTHS, whole_zh};
use jiff::civil::Date;
use whisper_rs::{WhisperContext, get_lang_id};

use crate::speech::whisper::{RecogniseError, Recogniser, Wanted};

/// A choice must be at least as likely as this a token, and so much likelier than the next (nats).
const LIKELY: f32 = -1.5;
const CLEARER: f32 = 1.0;
/// All wordings of a short reply together are at least as likely as this (nats, the end included), and so much likelier
/// than those of another meaning. Of 204 spoken short replies, through a telephone line, one then came out the wrong way
/// round; with 1.5 instead of 2.5 two of the first 106 did.
const POSSIBLE: f32 = -9.0;
const CLEARER_REPLY: f32 = 2.5;
/// Among many meanings, as the points of a score, the likeliest must be clearer still: of the 126 spoken scores that this was
/// set by, those that came out as another were 3.2 to 3.9 ahead.
const MANY: usize = 3;
const CLEARER_OF_MANY: f32 = 4.0;
/// What was not even looked at is behind by this at most, in figures.
const FAR_AHEAD: f32 = 20.0;
/// Marks with which whisper ends a reply.
const ENDS: [&str; 6] = ["。", "！", "？", ".", "!", "?"];
/// More was written down than a short reply can be: characters, and English words.
const SHORT_ZH: usize = 7;
const SHORT_EN: usize = 4;
/// The birthday on record is believed though another day sounds likelier by so much (nats): on 60 spoken birthdays,
/// clear and noisy, that let in at most one other day of the year.
const LENIENT: f32 = 1.5;
/// A date less likely than this was not said at all.
const SAID: f32 = -5.0;
/// Wordings less likely than the best by this many nats are not looked at further.
const HOPELESS: f32 = 5.0;
/// Room for the tokens of one text: whisper-rs is unsound when it is too small.
const TOKENS: usize = 512;

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Numerals {
    Arabic,
    Chinese,
}

/// Wordings as a tree of tokens; each ends with the number of what it means.
#[derive(Debug, Default)]
pub(super) struct Wordings {
    nodes: Vec<Node>,
    /// What may follow a wording; empty where anything may.
    ends: Vec<c_int>,
}

#[derive(Debug, Default)]
struct Node {
    next: BTreeMap<c_int, usize>,
    means: Option<usize>,
}

impl Wordings {
    fn new(wordings: impl Iterator<Item = (String, usize)>, context: &WhisperContext) -> Wordings {
        let mut nodes = vec![Node::default()];
        for (text, means) in wordings {
            // A wording that whisper cannot write is none that it could hear.
            let Ok(tokens) = context.tokenize(&text, TOKENS) else {
                continue;
            };
            let mut node = 0;
            for token in tokens {
                let fresh = nodes.len();
                node = *nodes[node].next.entry(token).or_insert(fresh);
                if node == fresh {
                    nodes.push(Node::default());
                }
            }
            nodes[node].means = Some(means);
        }
        Wordings {
            nodes,
            ends: Vec::new(),
        }
    }

    /// Whole replies: nothing follows them but a mark.
    fn whole(
        wordings: impl Iterator<Item = (String, usize)>,
        context: &WhisperContext,
    ) -> Wordings {
        let marks = ENDS.iter().filter_map(|mark| {
            let tokens = context.tokenize(mark, TOKENS).ok()?;
            (tokens.len() == 1).then(|| tokens[0])
        });
        let ends = marks.chain([context.token_eot()]).collect();
        Wordings {
            ends,
            ..Wordings::new(wordings, context)
        }
    }
}

impl Recogniser {
    /// Which of the choices the sound itself fits best, after the words before it. `None` where none stands out,
    /// or the words held no such answer.
    ///
    /// # Errors
    /// When whisper refuses.
    pub(super) fn choose(
        &mut self,
        (heard, is_sure): (&str, bool),
        choices: &Choices,
        lang: Lang,
    ) -> Result<Option<Chosen>, RecogniseError> {
        match choices {
            Choices::None => Ok(None),
            Choices::Scale(wordings) => self.on_a_scale(heard, wordings, lang),
            Choices::Replies(groups) => self.short_reply(heard, is_sure, groups, lang),
            Choices::Birthday(date) => self.birthday(heard, *date.expose(), lang),
        }
    }

    /// How well the sound that was recognised last fits each of these whole replies: mean log-probability a token, the
    /// end included. Empty for a language the model does not know.
    ///
    /// # Errors
    /// When whisper refuses.
    pub fn fits(&mut self, replies: &[&str], lang: Lang) -> Result<Vec<f32>, RecogniseError> {
        let Some(at) = self.begin(lang)? else {
            return Ok(Vec::new());
        };
        let scores = replies
            .iter()
            .map(|words| self.forced("", &spaced(words, lang), at, f32::NEG_INFINITY));
        scores.collect()
    }

    fn on_a_scale(
        &mut self,
        heard: &str,
        wordings: &[String],
        lang: Lang,
    ) -> Result<Option<Chosen>, RecogniseError> {
        let Some(at) = self.begin(lang)? else {
            return Ok(None);
        };
        let mut scored = Vec::new();
        for words in wordings {
            let before = without_end(heard, words, lang);
            let logprob = self.forced(&before, words, at, f32::NEG_INFINITY)?;
            scored.push(Chosen {
                words: words.clone(),
                logprob,
                ahead: 0.0,
            });
        }
        Ok(standing_out(scored, LIKELY, CLEARER))
    }

    /// The short reply that the whole sound fits, where what was written down is unsure, or holds none of them.
    fn short_reply(
        &mut self,
        heard: &str,
        is_sure: bool,
        groups: &[Vec<String>],
        lang: Lang,
    ) -> Result<Option<Chosen>, RecogniseError> {
        let lower = heard.to_lowercase();
        let written = |words: &String| lower.contains(&words.to_lowercase());
        let is_long = match lang {
            Lang::Zh => heard.chars().filter(|c| c.is_alphanumeric()).count() > SHORT_ZH,
            Lang::En => heard.split_whitespace().count() > SHORT_EN,
        };
        if is_long || is_sure && groups.iter().flatten().any(written) {
            return Ok(None);
        }
        let Some(at) = self.begin(lang)? else {
            return Ok(None);
        };
        let wordings: Vec<&String> = groups.iter().flatten().collect();
        let spoken = wordings.iter().map(|words| spaced(words, lang));
        let tree = Wordings::whole(spoken.zip(0..), &self.model.context);
        let mut scores = BTreeMap::new();
        let start = (self.model.context.token_not(), at);
        self.search(&tree, 0, start, 0.0, &mut scores)?;
        let mut first = 0;
        let mut meanings = Vec::new();
        for group in groups {
            let of_group = first..first + group.len();
            first = of_group.end;
            let all = scores.range(of_group.clone()).map(|(_, score)| score.exp());
            let likeliest = scores.range(of_group).max_by(|a, b| a.1.total_cmp(b.1));
            meanings.push(Chosen {
                words: likeliest.map_or_else(String::new, |(&nth, _)| wordings[nth].clone()),
                logprob: all.sum::<f32>().ln(),
                ahead: 0.0,
            });
        }
        let clearer = match groups.len() {
            MANY.. => CLEARER_OF_MANY,
            _ => CLEARER_REPLY,
        };
        Ok(standing_out(meanings, POSSIBLE, clearer))
    }

    /// The birthday on record where something else was written down, but the sound fits it about as well as any
    /// other day of the year.
    fn birthday(
        &mut self,
        heard: &str,
        birth: Date,
        lang: Lang,
    ) -> Result<Option<Chosen>, RecogniseError> {
        let usual = written(birth.month(), birth.day(), lang, Numerals::Arabic);
        if usual.iter().any(|words| heard.contains(words.trim())) {
            return Ok(None);
        }
        let scores = self.days_of_the_year(heard, lang)?;
        let wanted = day_number(birth.month(), birth.day());
        let Some(&own) = scores.get(&wanted) else {
            return Ok(None);
        };
        let others = scores.iter().filter(|(day, _)| **day != wanted);
        let best = others
            .map(|(_, score)| *score)
            .fold(f32::NEG_INFINITY, f32::max);
        if own < SAID || own < best - LENIENT {
            return Ok(None);
        }
        Ok(usual.first().map(|words| Chosen {
            words: words.trim().to_owned(),
            logprob: own,
            ahead: own - best,
        }))
    }

    /// Log-probability of each day in the place of the date that was heard; hopeless ones are left out.
    fn days_of_the_year(
        &mut self,
        heard: &str,
        lang: Lang,
    ) -> Result<BTreeMap<usize, f32>, RecogniseError> {
        let mut scores = BTreeMap::new();
        let Some((before, numerals)) = before_date(heard, lang) else {
            return Ok(scores);
        };
        let days = self.days(lang, numerals);
        let Some(at) = self.begin(lang)? else {
            return Ok(scores);
        };
        let before = self.tokens(before)?;
        let mut last = self.model.context.token_not();
        let mut position = at;
        for token in before {
            self.step(last, position)?;
            (last, position) = (token, position + 1);
        }
        self.search(&days, 0, (last, position), 0.0, &mut scores)?;
        Ok(scores)
    }

    /// Scores every wording below `node` that is not hopeless; `(last, position)` is the token to decode next.
    fn search(
        &mut self,
        wordings: &Wordings,
        node: usize,
        (last, position): (c_int, usize),
        score: f32,
        scores: &mut BTreeMap<usize, f32>,
    ) -> Result<(), RecogniseError> {
        let here = &wordings.nodes[node];
        let mut note = |means, score: f32| {
            let known = scores.entry(means).or_insert(score);
            *known = known.max(score);
        };
        let is_whole = !wordings.ends.is_empty();
        if let (Some(means), false) = (here.means, is_whole) {
            note(means, score);
        }
        if here.next.is_empty() && !is_whole {
            return Ok(());
        }
        self.step(last, position)?;
        let logits = self.logits()?;
        if let (Some(means), true) = (here.means, is_whole) {
            let ends = wordings.ends.iter();
            let ends: f32 = ends.map(|end| log_softmax(logits, *end).exp()).sum();
            note(means, score + ends.ln());
        }
        let mut next: Vec<(f32, c_int, usize)> = here
            .next
            .iter()
            .map(|(token, node)| (score + log_softmax(logits, *token), *token, *node))
            .collect();
        next.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (score, token, node) in next {
            let best = scores.values().copied().fold(f32::NEG_INFINITY, f32::max);
            if score < best - HOPELESS {
                return Ok(());
            }
            self.search(wordings, node, (token, position + 1), score, scores)?;
        }
        Ok(())
    }

    /// Decodes the start of a transcript; the position after it, or `None` for a language the model does not know.
    fn begin(&mut self, lang: Lang) -> Result<Option<usize>, RecogniseError> {
        let context = &self.model.context;
        let language = match lang {
            Lang::Zh => "zh",
            Lang::En => "en",
        };
        let Some(language) = get_lang_id(language).map(|id| context.token_lang(id)) else {
            return Ok(None);
        };
        let start = [context.token_sot(), language, context.token_transcribe()];
        self.state
            .decode(&start, 0, 1)
            .map_err(|source| RecogniseError::Whisper { source })?;
        Ok(Some(start.len()))
    }

    /// One token a call: the logits of a longer batch are those of its first row.
    fn step(&mut self, token: c_int, position: usize) -> Result<(), RecogniseError> {
        self.state
            .decode(&[token], position, 1)
            .map_err(|source| RecogniseError::Whisper { source })
    }

    fn logits(&self) -> Result<&[f32], RecogniseError> {
        self.state
            .get_logits()
            .map_err(|source| RecogniseError::Whisper { source })
    }

    fn tokens(&self, text: &str) -> Result<Vec<c_int>, RecogniseError> {
        self.model
            .context
            .tokenize(text, TOKENS)
            .map_err(|source| RecogniseError::Whisper { source })
    }

    /// Mean log-probability of `words` and the end, after `before`; minus infinity as soon as it must be below `least`.
    fn forced(
        &mut self,
        before: &str,
        words: &str,
        at: usize,
        least: f32,
    ) -> Result<f32, RecogniseError> {
        let before = self.tokens(before)?;
        let words = self.tokens(words)?;
        let end = self.model.context.token_eot();
        let mut last = self.model.context.token_not();
        let tokens = (words.len() + 1) as f32;
        let mut sum = 0.0;
        let forced = before.iter().chain(&words).copied().chain([end]);
        for (n, token) in forced.enumerate() {
            self.step(last, at + n)?;
            if n >= before.len() {
                sum += log_softmax(self.logits()?, token);
            }
            if sum < least * tokens {
                return Ok(f32::NEG_INFINITY);
            }
            last = token;
        }
        Ok(sum / tokens)
    }

    fn days(&mut self, lang: Lang, numerals: Numerals) -> Arc<Wordings> {
        let model = &self.model;
        let days = self.days.entry((lang, numerals)).or_insert_with(|| {
            let all = (1..=12).flat_map(|month| (1..=31).map(move |day| (month, day)));
            let wordings = all.flat_map(|(month, day)| {
                let number = day_number(month, day);
                written(month, day, lang, numerals)
                    .into_iter()
                    .map(move |text| (text, number))
            });
            Arc::new(Wordings::new(wordings, &model.context))
        });
        Arc::clone(days)
    }
}

fn day_number(month: i8, day: i8) -> usize {
    usize::try_from(i16::from(month) * 31 + i16::from(day)).unwrap_or(0)
}

/// How whisper writes a day of the year: the first is the usual way.
fn written(month: i8, day: i8, lang: Lang, numerals: Numerals) -> Vec<String> {
    match lang {
        Lang::Zh => {
            let number = |n: i8| match numerals {
                Numerals::Arabic => n.to_string(),
                Numerals::Chinese => whole_zh(u32::from(n.unsigned_abs())),
            };
            ["号", "號", "日"]
                .map(|end| format!("{}月{}{end}", number(month), number(day)))
                .to_vec()
        }
        Lang::En => {
            let month = usize::try_from(month - 1).ok().and_then(|m| MONTHS.get(m));
            let month = month.copied().unwrap_or_default();
            let end = match (day % 10, day / 10) {
                (_, 1) => "th",
                (1, _) => "st",
                (2, _) => "nd",
                (3, _) => "rd",
                _ => "th",
            };
            vec![
                format!(" {month} {day}{end}"),
                format!(" {month} the {day}{end}"),
                format!(" the {day}{end} of {month}"),
                format!(" {day}{end} of {month}"),
            ]
        }
    }
}

/// A birthday is asked for, and a date was heard.
pub(super) fn holds_date(heard: &str, wanted: &Wanted<'_>) -> bool {
    matches!(wanted.choices, Choices::Birthday(_)) && before_date(heard, wanted.lang).is_some()
}

/// What was heard before a date, and how its numbers are written; `None` where no date was begun.
fn before_date(heard: &str, lang: Lang) -> Option<(&str, Numerals)> {
    match lang {
        Lang::Zh => {
            let numeral = |c: char| c.is_ascii_digit() || "一二三四五六七八九十".contains(c);
            let written = |begins: &str| match begins.chars().next()? {
                c if c.is_ascii_digit() => Some(Numerals::Arabic),
                _ => Some(Numerals::Chinese),
            };
            if let Some(month) = heard.find('月') {
                let before = heard[..month].trim_end_matches(numeral);
                return Some((before, written(&heard[before.len()..month])?));
            }
            // 增育28号: the month was not made out, the day was; the whole reply is the date.
            if let Some(day) = heard.find(['号', '號', '日']) {
                let number = heard[..day].trim_end_matches(numeral).len();
                return Some(("", written(&heard[number..day])?));
            }
            // 你是音乐站好: neither was, but both are in the sound.
            let mut sounds = heard.chars();
            let has_month = sounds.any(|c| c == '乐' || sounds_like(c, &["yue"]));
            let has_day = sounds.any(|c| sounds_like(c, &["hao", "ri"]));
            (has_month && has_day).then_some(("", Numerals::Arabic))
        }
        Lang::En => {
            let lower = heard.to_ascii_lowercase();
            let begins = |month: &&str| lower.find(&month.to_ascii_lowercase());
            let month = MONTHS.iter().find_map(begins)?;
            // "the 20th of May": the day stands before.
            let mut before = heard[..month].trim_end();
            while let Some((rest, word)) = before.rsplit_once(' ').or(Some(("", before))) {
                let of_date = matches!(word, "of" | "the" | "The")
                    || word.starts_with(|c: char| c.is_ascii_digit());
                if !of_date || before.is_empty() {
                    break;
                }
                before = rest;
            }
            Some((before, Numerals::Arabic))
        }
    }
}

/// By its everyday reading: 说 can be read yue, but hardly ever is.
fn sounds_like(written: char, syllables: &[&str]) -> bool {
    pinyin::reading(written).is_some_and(|reading| syllables.contains(&reading.plain))
}

/// The likeliest, where it is likely enough and so much likelier than the next.
fn standing_out(mut scored: Vec<Chosen>, enough: f32, clearer: f32) -> Option<Chosen> {
    scored.sort_by(|a, b| b.logprob.total_cmp(&a.logprob));
    let [first, second, ..] = &mut scored[..] else {
        return None;
    };
    first.ahead = (first.logprob - second.logprob).min(FAR_AHEAD);
    let stands_out = first.logprob >= enough && first.ahead >= clearer;
    stands_out.then(|| scored.swap_remove(0))
}

/// How whisper writes words at the start of a reply: English after a space.
fn spaced(words: &str, lang: Lang) -> String {
    match lang {
        Lang::Zh => words.to_owned(),
        Lang::En => format!(" {words}"),
    }
}

/// What was heard before its last words, which a choice of the same length replaces.
fn without_end(heard: &str, words: &str, lang: Lang) -> String {
    let heard = heard.trim_end_matches(|c: char| !c.is_alphanumeric());
    match lang {
        Lang::Zh => {
            let kept = heard.chars().count().saturating_sub(words.chars().count());
            heard.chars().take(kept).collect()
        }
        Lang::En => {
            let all: Vec<&str> = heard.split_whitespace().collect();
            let kept = all.len().saturating_sub(words.split_whitespace().count());
            all[..kept].join(" ")
        }
    }
}

fn log_softmax(logits: &[f32], token: c_int) -> f32 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    let logit = usize::try_from(token)
        .ok()
        .and_then(|token| logits.get(token));
    logit.map_or(f32::NEG_INFINITY, |logit| logit - highest - sum.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_before_a_date_are_kept() {
        let cases = [
            ("6月10号", Some(("", Numerals::Arabic))),
            ("是十一月三号", Some(("是", Numerals::Chinese))),
            ("增育28号", Some(("", Numerals::Arabic))),
            ("你是音乐站好", Some(("", Numerals::Arabic))),
            ("这个我说不好", None),
            ("好月光", None),
        ];
        for (heard, want) in cases {
            assert_eq!(before_date(heard, Lang::Zh), want, "{heard}");
        }
        let cases = [
            ("May the 20th year.", Some("")),
            ("It's the 3rd of December", Some("It's")),
            ("It is June 10th", Some("It is")),
            ("I'm not sure.", None),
        ];
        for (heard, want) in cases {
            let before = before_date(heard, Lang::En).map(|(before, _)| before);
            assert_eq!(before, want, "{heard}");
        }
    }

    #[test]
    fn days_are_written_as_people_write_them() {
        assert_eq!(written(11, 3, Lang::Zh, Numerals::Chinese)[0], "十一月三号");
        assert_eq!(written(6, 20, Lang::Zh, Numerals::Chinese)[0], "六月二十号");
        assert_eq!(written(6, 18, Lang::Zh, Numerals::Arabic)[0], "6月18号");
        let english = |month, day| written(month, day, Lang::En, Numerals::Arabic)[0].clone();
        assert_eq!(english(8, 12), " August 12th");
        assert_eq!(english(3, 21), " March 21st");
    }
}
