//! Compiles the files of `dialogs/redflags` into tries; errors name file and line.
//!
//! A wording is plain text (`心绞痛`), or slots with gaps: `{chest}~{pain}` is a member of class `chest` and, at
//! most [`GAP_HAN`] characters or [`GAP_WORDS`] words later, one of `pain`; `~3` bounds the gap itself, and parts
//! with nothing between them follow each other directly. `|` parts alternatives.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::cue::{Cue, Cues};
use super::mapping::mapped_of;
use super::measure::{Limit, limit_of};
use super::normal::{self, Unit};
use super::pack::{self, Packs};
use super::stem;
use super::trie::{Symbols, Trie};
use super::{Concept, Detail, Lexicon, LexiconError};
use crate::finding::Urgency;
use crate::id::ConceptId;
use crate::pinyin;

/// The usual bound of a gap between Chinese slots, in characters.
pub const GAP_HAN: usize = 8;
/// The usual bound of a gap between English slots, in words.
pub const GAP_WORDS: usize = 5;

const ABOUT: &str = "about.tsv";
const CONCEPTS: &str = "concepts.tsv";
const DETAILS: &str = "details.tsv";
const CLASSES: [&str; 2] = ["classes.zh.tsv", "classes.en.tsv"];
const WORDINGS: [&str; 2] = ["wordings.zh.tsv", "wordings.en.tsv"];
const CUES: [&str; 2] = ["cues.zh.tsv", "cues.en.tsv"];
const MASKERS: &str = "maskers.tsv";
const COLLISIONS: &str = "collisions.tsv";
const THRESHOLDS: &str = "thresholds.tsv";
const PACKS: &str = "packs.tsv";
const MAPPING: &str = "mapping.tsv";

/// Every file that a lexicon is made of.
pub const FILES: [&str; 16] = [
    ABOUT,
    CONCEPTS,
    DETAILS,
    CLASSES[0],
    CLASSES[1],
    WORDINGS[0],
    WORDINGS[1],
    CUES[0],
    CUES[1],
    MASKERS,
    COLLISIONS,
    THRESHOLDS,
    PACKS,
    MAPPING,
    // Read by `trend`; they stand here for the hash.
    "trends.tsv",
    "trend_words.tsv",
];

/// One text of the lexicon with everything it stands for.
#[derive(Debug, Default)]
pub struct Term {
    pub text: String,
    /// Symbols of its units.
    words: Vec<u32>,
    /// How its Chinese characters sound.
    pub sounds: Vec<Sounds>,
    pub classes: Vec<usize>,
    /// One of its classes is of parts of the body.
    pub body: bool,
    /// One of its classes has a name: a word that is only the slot of one wording (头痛 of 头痛~压不住) owns nothing.
    pub owns: bool,
    pub entries: Vec<usize>,
    pub cues: Cues,
    /// Concepts that it masks; empty when it is no masker, one empty string for all of them.
    pub masks: Vec<String>,
    pub collision: bool,
}

/// A named set of interchangeable wordings.
#[derive(Debug)]
pub struct Class {
    pub name: String,
    /// A part of the body or a thing that a symptom belongs to: the nearest one owns it.
    pub body: bool,
    /// A thing that need not be named again where the question asks about it, and that owns no complaint (药).
    pub topic: bool,
    /// Entries whose last slot it is.
    pub ends: Vec<usize>,
}

/// One alternative of a wording.
#[derive(Debug)]
pub struct Entry {
    pub concept: usize,
    /// Place among the details of the lexicon.
    pub detail: Option<usize>,
    pub wording: SmolStr,
    /// Classes and the widest gap before each; empty for plain text.
    pub slots: Vec<(usize, usize)>,
    /// It says what looks like the concept and is not.
    pub masks: bool,
}

/// Everything the engine looks things up in.
#[derive(Debug, Default)]
pub struct Tables {
    pub terms: Vec<Term>,
    pub classes: Vec<Class>,
    pub entries: Vec<Entry>,
    /// For each concept, the classes that its wordings use.
    pub slot_classes: Vec<Vec<usize>>,
    /// For each concept, the milder ones that its wordings contain (severe_headache: headache).
    milder: Vec<Vec<usize>>,
    /// For each concept, those that said in the same sentence are part of it (seizure: confusion).
    absorbed: Vec<Vec<usize>>,
    /// For each detail, whether it is less urgent than its concept.
    pub lowers: Vec<bool>,
    pub limits: Vec<Limit>,
    pub words: Symbols,
    pub text: Trie,
    /// English terms by the stems of their words, so that a wording holds in every person and tense.
    pub stemmed: Trie,
    stems: Symbols,
    /// Words that are forms of one word or may stand for each other inside a wording (went: go, his: my).
    forms: BTreeMap<String, String>,
    /// Stems that may stand inside a wording or be left out: articles, `is`, `really`.
    idle: BTreeSet<String>,
    /// Terms by their blurred syllables, which closer sounds share.
    pub blurred: Trie,
    /// Only ever looked up.
    sounds: FxHashMap<char, Sounds>,
    term_of: BTreeMap<String, usize>,
    class_of: FxHashMap<String, usize>,
    concept_of: BTreeMap<String, usize>,
    /// Details and their parents, by place.
    detail_of: BTreeMap<String, (usize, usize)>,
}

/// One syllable, numbered with its tone, without it, and with the sounds merged that dialects merge.
#[derive(Clone, Copy, Debug)]
pub struct Sounds {
    pub toned: u32,
    pub plain: u32,
    pub blurred: u32,
}

struct Row<'a> {
    file: &'a str,
    line: usize,
    cells: Vec<&'a str>,
}

impl Row<'_> {
    fn error(&self, problem: impl Into<String>) -> LexiconError {
        LexiconError::Line {
            file: self.file.to_owned(),
            line: self.line,
            problem: problem.into(),
        }
    }
}

impl Lexicon {
    /// Compiles the files of `dialogs/redflags`, given as pairs of name and text.
    ///
    /// # Errors
    /// Every broken line of every file at once, with file and line.
    pub fn compile(files: &[(String, String)]) -> Result<Lexicon, Vec<LexiconError>> {
        let mut errors = Vec::new();
        let mut tables = Tables::default();
        let mut concepts = Vec::new();
        let mut about = Vec::new();
        read(files, ABOUT, 2, &mut errors, |row| {
            about.push(about_of(row)?);
            Ok(())
        });
        read(files, CONCEPTS, 7, &mut errors, |row| {
            concept(row, &mut concepts)
        });
        for (at, concept) in concepts.iter().enumerate() {
            tables.concept_of.insert(concept.id.0.clone(), at);
        }
        read(files, CONCEPTS, 7, &mut errors, |row| {
            let milder = alternatives(row.cells[5]).filter_map(|id| tables.concept(id));
            let milder = milder.collect();
            tables.milder.push(milder);
            let mut absorbed = Vec::new();
            for id in alternatives(row.cells.get(8).copied().unwrap_or_default()) {
                let known = tables.concept(id);
                absorbed.push(known.ok_or_else(|| row.error(format!("unknown concept `{id}`")))?);
            }
            tables.absorbed.push(absorbed);
            Ok(())
        });
        let mut details = Vec::new();
        read(files, DETAILS, 8, &mut errors, |row| {
            details.push(tables.read_detail(row, &concepts)?);
            Ok(())
        });
        for file in CLASSES {
            read(files, file, 3, &mut errors, |row| tables.read_class(row));
        }
        for (file, gap) in WORDINGS.into_iter().zip([GAP_HAN, GAP_WORDS]) {
            read(files, file, 3, &mut errors, |row| {
                tables.read_wordings(row, gap)
            });
        }
        for file in CUES {
            read(files, file, 2, &mut errors, |row| tables.read_cues(row));
        }
        read(files, MASKERS, 2, &mut errors, |row| {
            tables.read_masker(row)
        });
        read(files, COLLISIONS, 1, &mut errors, |row| {
            tables.read_collisions(row)
        });
        read(files, THRESHOLDS, 5, &mut errors, |row| {
            let limit = limit_of(&row.cells, |concept, detail| tables.named(concept, detail))
                .map_err(|problem| row.error(problem))?;
            tables.limits.push(limit);
            Ok(())
        });
        let mut packs = Packs::default();
        let known = |concept: &str, detail: Option<&str>| tables.named(concept, detail).map(|_| ());
        read(files, PACKS, 5, &mut errors, |row| {
            let rule = pack::rule_of(&row.cells, known).map_err(|problem| row.error(problem))?;
            packs.add(rule).map_err(|problem| row.error(problem))
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        tables.index();
        let mut lexicon = Lexicon {
            about,
            concepts,
            details,
            packs,
            mapping: Vec::new(),
            hash: hash(files),
            tables,
        };
        let mut mapping = Vec::new();
        read(files, MAPPING, 6, &mut errors, |row| {
            mapping.push(mapped_of(&row.cells, &lexicon).map_err(|problem| row.error(problem))?);
            Ok(())
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        lexicon.mapping = mapping;
        Ok(lexicon)
    }
}

impl Tables {
    pub fn concept(&self, id: &str) -> Option<usize> {
        self.concept_of.get(id).copied()
    }

    pub fn class_named(&self, name: &str) -> Option<usize> {
        self.class_of.get(name).copied()
    }

    /// Whether the wordings of `severe` contain those of `mild`, so that only the longer one counts.
    pub fn covers(&self, severe: usize, mild: usize) -> bool {
        let contained = self.milder.get(severe);
        contained.is_some_and(|milder| milder.contains(&mild))
    }

    /// Whether what is said of `part` in the same sentence belongs to `whole`.
    pub fn absorbs(&self, whole: usize, part: usize) -> bool {
        let absorbed = self.absorbed.get(whole);
        absorbed.is_some_and(|absorbed| absorbed.contains(&part))
    }

    /// How a unit sounds; nothing for what is no Chinese character.
    pub fn sounds(&self, unit: &Unit) -> Option<Sounds> {
        let written = unit.text.chars().next()?;
        self.sounds.get(&written).copied()
    }

    /// A concept and its detail, by their ids.
    pub fn named(
        &self,
        concept: &str,
        detail: Option<&str>,
    ) -> Result<(usize, Option<usize>), String> {
        let parent = self
            .concept(concept)
            .ok_or_else(|| format!("unknown concept `{concept}`"))?;
        let Some(detail) = detail else {
            return Ok((parent, None));
        };
        match self.detail_of.get(detail) {
            Some((at, of)) if *of == parent => Ok((parent, Some(*at))),
            Some(_) => Err(format!("`{detail}` is no detail of `{concept}`")),
            None => Err(format!("unknown detail `{detail}`")),
        }
    }

    fn read_detail(&mut self, row: &Row<'_>, concepts: &[Concept]) -> Result<Detail, LexiconError> {
        let [id, parent, zh, en, urgency, confirm, definition, why] = row.cells[..8] else {
            return Err(row.error(
                "a detail has id, parent, zh, en, urgency, confirm, definition and why_lower",
            ));
        };
        if !matches!(confirm, "" | "parent") {
            return Err(row.error(format!(
                "unknown confirm `{confirm}`; there is only `parent`"
            )));
        }
        let urgency = urgency_of(urgency).map_err(|problem| row.error(problem))?;
        let of = self
            .concept(parent)
            .ok_or_else(|| row.error(format!("unknown concept `{parent}`")))?;
        let usual = concepts[of].urgency;
        if urgency == Urgency::Routine && usual != Urgency::Routine {
            return Err(row.error(format!("`{parent}` alerts, so its details must as well")));
        }
        if urgency > usual && why.is_empty() {
            let problem = format!("less urgent than `{parent}`, and no reason in why_lower");
            return Err(row.error(problem));
        }
        let at = self.detail_of.len();
        self.lowers.push(urgency > usual);
        if self.detail_of.insert(id.to_owned(), (at, of)).is_some() {
            return Err(row.error(format!("detail `{id}` stands here twice")));
        }
        Ok(Detail {
            id: id.to_owned(),
            parent: concepts[of].id.clone(),
            zh: zh.to_owned(),
            en: en.to_owned(),
            urgency,
            confirmed_by_parent: confirm == "parent",
            definition: definition.to_owned(),
            why_lower: (!why.is_empty()).then(|| why.to_owned()),
            sign: row.cells.get(8).is_some_and(|flag| *flag == "sign"),
        })
    }

    /// The stem of an English word: of its listed form, or by the regular endings.
    fn stem(&self, word: &str) -> String {
        let listed = self.forms.get(word).cloned();
        listed.unwrap_or_else(|| stem::regular(word))
    }

    /// The number of a word's stem in the trie over stems, and whether the stem is idle.
    pub fn stem_symbol(&self, word: &str) -> (Option<u32>, bool) {
        let stem = self.stem(word);
        (self.stems.find(&stem), self.idle.contains(&stem))
    }

    fn term(&mut self, text: &str) -> Result<&mut Term, String> {
        let units = normal::units(text);
        if units.is_empty() {
            return Err(format!("`{text}` has no word in it"));
        }
        let key = units
            .iter()
            .map(|u| u.text.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let at = match self.term_of.get(&key) {
            Some(at) => *at,
            None => {
                let at = self.terms.len();
                self.terms.push(Term {
                    text: normal::written(&units),
                    words: units.iter().map(|u| self.words.intern(&u.text)).collect(),
                    ..Term::default()
                });
                self.term_of.insert(key, at);
                at
            }
        };
        Ok(&mut self.terms[at])
    }

    fn read_class(&mut self, row: &Row<'_>) -> Result<(), LexiconError> {
        let [name, flags, members] = row.cells[..3] else {
            return Err(row.error("a class has name, flags and members"));
        };
        if flags == "forms" {
            let stem = stem::regular(name);
            self.forms
                .extend(alternatives(members).map(|form| (form.to_owned(), stem.clone())));
            return Ok(());
        }
        if flags == "idle" {
            let stems = alternatives(members).map(|word| self.stem(word));
            let stems: Vec<String> = stems.collect();
            self.idle.extend(stems);
            return Ok(());
        }
        if !matches!(flags, "" | "body" | "topic") {
            return Err(row.error(format!(
                "unknown flag `{flags}`; it is `body`, `topic`, `forms` or `idle`"
            )));
        }
        let class = self.class(name, flags == "body");
        self.classes[class].topic |= flags == "topic";
        for member in alternatives(members) {
            let term = self.term(member).map_err(|problem| row.error(problem))?;
            if !term.classes.contains(&class) {
                term.classes.push(class);
            }
        }
        Ok(())
    }

    fn class(&mut self, name: &str, body: bool) -> usize {
        if let Some(at) = self.class_of.get(name) {
            self.classes[*at].body |= body;
            return *at;
        }
        self.classes.push(Class {
            name: name.to_owned(),
            body,
            topic: false,
            ends: Vec::new(),
        });
        self.class_of
            .insert(name.to_owned(), self.classes.len() - 1);
        self.classes.len() - 1
    }

    fn read_wordings(&mut self, row: &Row<'_>, gap: usize) -> Result<(), LexiconError> {
        let (id, detail, wordings) = (row.cells[0], row.cells[1], row.cells[2]);
        let (concept, detail) = self
            .named(id, (!detail.is_empty()).then_some(detail))
            .map_err(|problem| row.error(problem))?;
        for wording in alternatives(wordings) {
            let slots = self
                .slots(wording, gap)
                .map_err(|problem| row.error(problem))?;
            let at = self.entries.len();
            if slots.is_empty() {
                self.term(wording)
                    .map_err(|problem| row.error(problem))?
                    .entries
                    .push(at);
            }
            self.entries.push(Entry {
                concept,
                detail,
                wording: wording.into(),
                slots,
                masks: false,
            });
        }
        Ok(())
    }

    /// The slots of a wording; none for plain text.
    fn slots(&mut self, wording: &str, usual: usize) -> Result<Vec<(usize, usize)>, String> {
        if !wording.contains(['{', '~']) {
            return Ok(Vec::new());
        }
        let mut slots = Vec::new();
        let mut gap = 0;
        let mut rest = wording.trim();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix('~') {
                let digits = behind.len()
                    - behind
                        .trim_start_matches(|c: char| c.is_ascii_digit())
                        .len();
                gap = behind[..digits].parse().unwrap_or(usual);
                rest = behind[digits..].trim_start();
            } else if let Some(behind) = rest.strip_prefix('{') {
                let (name, behind) = behind.split_once('}').ok_or("a `{` is not closed")?;
                let class = self
                    .class_of
                    .get(name)
                    .ok_or_else(|| format!("unknown class `{name}`"))?;
                slots.push((*class, std::mem::take(&mut gap)));
                rest = behind.trim_start();
            } else {
                let to = rest.find(['{', '~']).unwrap_or(rest.len());
                let text = rest[..to].trim();
                let class = self.class(&format!("={text}"), false);
                let term = self.term(text)?;
                if !term.classes.contains(&class) {
                    term.classes.push(class);
                }
                slots.push((class, std::mem::take(&mut gap)));
                rest = &rest[to..];
            }
        }
        Ok(slots)
    }

    fn read_cues(&mut self, row: &Row<'_>) -> Result<(), LexiconError> {
        let cue = Cue::named(row.cells[0])
            .ok_or_else(|| row.error(format!("unknown cue `{}`", row.cells[0])))?;
        for wording in alternatives(row.cells[1]) {
            for said in std::iter::once(wording.to_owned()).chain(contracted(wording)) {
                self.term(&said)
                    .map_err(|problem| row.error(problem))?
                    .cues
                    .add(cue);
            }
        }
        Ok(())
    }

    fn read_masker(&mut self, row: &Row<'_>) -> Result<(), LexiconError> {
        let mut masked = Vec::new();
        for id in alternatives(row.cells[0]) {
            match (id, self.concept(id)) {
                ("*", _) => masked.push(String::new()),
                (_, Some(_)) => masked.push(id.to_owned()),
                (_, None) => return Err(row.error(format!("unknown concept `{id}`"))),
            }
        }
        for wording in alternatives(row.cells[1]) {
            if wording.contains(['{', '~']) {
                self.gapped_masker(wording, &masked)
                    .map_err(|problem| row.error(problem))?;
                continue;
            }
            let term = self.term(wording).map_err(|problem| row.error(problem))?;
            term.masks.extend(masked.iter().cloned());
        }
        Ok(())
    }

    /// A masker with slots and gaps, as wordings have them: one for each of its concepts.
    fn gapped_masker(&mut self, wording: &str, masked: &[String]) -> Result<(), String> {
        let slots = self.slots(wording, GAP_HAN)?;
        for id in masked {
            let concept = self
                .concept(id)
                .ok_or("a masker with gaps names its concepts")?;
            self.entries.push(Entry {
                concept,
                detail: None,
                wording: wording.into(),
                slots: slots.clone(),
                masks: true,
            });
        }
        Ok(())
    }

    fn read_collisions(&mut self, row: &Row<'_>) -> Result<(), LexiconError> {
        for word in alternatives(row.cells[0]) {
            self.term(word)
                .map_err(|problem| row.error(problem))?
                .collision = true;
        }
        Ok(())
    }

    /// Fills the trie over syllables and the index of gapped wordings.
    fn index(&mut self) {
        self.slot_classes = vec![Vec::new(); self.milder.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            let classes = entry.slots.iter().map(|(class, _)| *class);
            if !entry.masks {
                self.slot_classes[entry.concept].extend(classes);
            }
            if let Some((class, _)) = entry.slots.last() {
                self.classes[*class].ends.push(at);
            }
        }
        for classes in &mut self.slot_classes {
            classes.sort_unstable();
            classes.dedup();
        }
        self.sounds = sounds();
        let (mut texts, mut stemmed, mut blurred) = (Vec::new(), Vec::new(), Vec::new());
        for (term, at) in self.terms.iter_mut().zip(0..) {
            texts.push((term.words.clone(), at));
            if let Some(stems) = stem_sequence(term, &self.forms, &self.idle) {
                let stems = stems.iter().map(|s| self.stems.intern(s));
                stemmed.push((stems.collect(), at));
            }
            let mut classes = term.classes.iter().map(|class| &self.classes[*class]);
            term.body = classes.clone().any(|class| class.body);
            term.owns = classes.any(|class| !class.name.starts_with('='));
            let spoken = term.text.chars().filter_map(|c| self.sounds.get(&c));
            term.sounds = spoken.copied().collect();
            let sounded = !term.classes.is_empty() || !term.entries.is_empty();
            if sounded && term.sounds.len() == term.words.len() {
                blurred.push((term.sounds.iter().map(|s| s.blurred).collect(), at));
            }
        }
        self.text = Trie::of(texts);
        self.stemmed = Trie::of(stemmed);
        self.blurred = Trie::of(blurred);
    }
}

/// How every Chinese character sounds, numbered once, so that no reply has to spell.
fn sounds() -> FxHashMap<char, Sounds> {
    let (mut toned, mut plain, mut blurred) = <(Symbols, Symbols, Symbols)>::default();
    let mut known: BTreeMap<(&str, u8), Sounds> = BTreeMap::new();
    let mut all = FxHashMap::default();
    for written in pinyin::every_han() {
        let Some(reading) = pinyin::reading(written) else {
            continue;
        };
        let sounds = known
            .entry((reading.plain, reading.tone))
            .or_insert_with(|| Sounds {
                toned: toned.intern(&format!("{}{}", reading.plain, reading.tone)),
                plain: plain.intern(reading.plain),
                blurred: blurred.intern(&pinyin::blur(reading.plain)),
            });
        all.insert(written, *sounds);
    }
    all
}

/// The wording as it may stand after contraction: "there's no", like every `'s`, loses its verb ([`normal`]).
fn contracted(wording: &str) -> Vec<String> {
    const WHOLE: [&str; 12] = [
        "i am",
        "i have",
        "we are",
        "there is",
        "it is",
        "that is",
        "he is",
        "she is",
        "what is",
        "it has",
        "there has",
        "they are",
    ];
    let mut all = vec![format!(" {wording} ")];
    for whole in WHOLE {
        let subject = whole.split(' ').next().unwrap_or_default();
        let spoken = |said: &String| said.replace(&format!(" {whole} "), &format!(" {subject} "));
        let more: Vec<String> = all
            .iter()
            .map(spoken)
            .filter(|s| !all.contains(s))
            .collect();
        all.extend(more);
    }
    let rest = all.iter().map(|said| said.trim()).filter(|said| {
        // "I have" alone is an answer, and "I" is none.
        *said != wording && said.contains(' ')
    });
    rest.map(str::to_owned).collect()
}

/// The stems of a term that may be said in other persons and tenses: a wording of several words, or a member of a
/// class. Cues and maskers are taken as they are written, and so is a wording of one word (fits is no fit). Idle
/// words count only where the rest would be a single word.
fn stem_sequence(
    term: &Term,
    forms: &BTreeMap<String, String>,
    idle: &BTreeSet<String>,
) -> Option<Vec<String>> {
    const PRONOUNS: [&str; 18] = [
        "i", "my", "him", "myself", "it", "me", "you", "of", "in", "on", "where", "who", "for",
        "to", "at", "with", "or", "and",
    ];
    let wording = !term.entries.is_empty();
    let varies = !term.classes.is_empty() || wording && term.words.len() > 1;
    if !varies || !term.text.is_ascii() || !term.cues.is_empty() || !term.masks.is_empty() {
        return None;
    }
    let words = term.text.split(' ');
    let all: Vec<String> = words
        .map(|w| forms.get(w).cloned().unwrap_or_else(|| stem::regular(w)))
        .collect();
    let telling: Vec<String> = all.iter().filter(|s| !idle.contains(*s)).cloned().collect();
    let content = telling.iter().filter(|s| !PRONOUNS.contains(&s.as_str()));
    match (content.count(), term.words.len()) {
        (2.., _) => Some(telling),
        (1, 1) => Some(all),
        _ => None,
    }
}

/// Calls `take` on every row of one file; `#` begins a comment line, and the first row names the columns.
fn read<'a>(
    files: &'a [(String, String)],
    file: &'a str,
    columns: usize,
    errors: &mut Vec<LexiconError>,
    mut take: impl FnMut(&Row<'a>) -> Result<(), LexiconError>,
) {
    let Some((_, text)) = files.iter().find(|(name, _)| name == file) else {
        errors.push(LexiconError::Missing {
            file: file.to_owned(),
        });
        return;
    };
    let rows = text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (at, line) in rows.skip(1) {
        let row = Row {
            file,
            line: at + 1,
            cells: line.split('\t').map(str::trim).collect(),
        };
        let taken = if row.cells.len() < columns {
            Err(row.error(format!(
                "expected {columns} columns parted by tabs, found {}",
                row.cells.len()
            )))
        } else {
            take(&row)
        };
        errors.extend(taken.err());
    }
}

fn concept(row: &Row<'_>, concepts: &mut Vec<Concept>) -> Result<(), LexiconError> {
    let urgency = urgency_of(row.cells[3]).map_err(|problem| row.error(problem))?;
    if !matches!(row.cells[6], "" | "event" | "onset") {
        return Err(row.error(format!(
            "unknown event `{}`; it is `event`, `onset` or empty",
            row.cells[6]
        )));
    }
    if concepts.iter().any(|c| c.id.0 == row.cells[0]) {
        return Err(row.error(format!("concept `{}` stands here twice", row.cells[0])));
    }
    concepts.push(Concept {
        id: ConceptId(row.cells[0].to_owned()),
        zh: row.cells[1].to_owned(),
        en: row.cells[2].to_owned(),
        urgency,
        family: row.cells[4].to_owned(),
        event: row.cells[6] == "event",
        onset: row.cells[6] == "onset",
    });
    Ok(())
}

/// What the lexicon is: one of the five keys and its value.
fn about_of(row: &Row<'_>) -> Result<(String, String), LexiconError> {
    let (key, value) = (row.cells[0], row.cells[1]);
    if !matches!(key, "id" | "revision" | "title" | "author" | "source") {
        return Err(row.error(format!(
            "unknown key `{key}`; there are id, revision, title, author and source"
        )));
    }
    if key == "revision" && value.parse::<u32>().is_err() {
        return Err(row.error(format!("revision `{value}` is no number")));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// One of the four steps.
pub fn urgency_of(name: &str) -> Result<Urgency, String> {
    match name {
        "emergent" => Ok(Urgency::Emergent),
        "urgent" => Ok(Urgency::Urgent),
        "same_day" => Ok(Urgency::SameDay),
        "routine" => Ok(Urgency::Routine),
        other => Err(format!("unknown urgency `{other}`")),
    }
}

fn alternatives(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('|')
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

fn hash(files: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = files
        .iter()
        .filter(|(name, _)| FILES.contains(&name.as_str()))
        .collect();
    sorted.sort();
    let mut hasher = Sha256::new();
    for (name, text) in sorted {
        let text = text.replace("\r\n", "\n");
        hasher.update(format!("{name}\0{}\0", text.len()));
        hasher.update(text);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
