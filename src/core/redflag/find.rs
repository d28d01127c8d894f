//! Finds wordings in a reply: over characters and words, over syllables, and over slots with bounded gaps.
//!
//! Syllables with equal tones match anywhere; without tones when a character agrees too, or when the question asks
//! for it; sounds that dialects merge only at three syllables or under the question; single syllables only right
//! behind an exact slot. A known word (a collision, a cue, another wording) is never read as something else.

use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use super::around;
use super::cue::{Cue, Cues};
use super::index::ByStart;
use super::lexicon::{Entry, Sounds, Tables, Term};
use super::normal::{Cut, Unit};
use crate::finding::MatchLevel;

/// One term of the lexicon in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    pub start: usize,
    pub end: usize,
    pub term: usize,
    pub level: MatchLevel,
}

/// The slots of a wording, from its first to its last.
pub type Spans = SmallVec<[(usize, usize); 4]>;

/// A cue in the reply, after longest-leftmost resolution.
#[derive(Clone, Copy, Debug)]
pub struct CueHit {
    pub start: usize,
    pub end: usize,
    pub cues: Cues,
}

/// A wording of a concept in the reply.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub concept: usize,
    pub detail: Option<usize>,
    pub term: SmolStr,
    pub start: usize,
    pub end: usize,
    /// The last slot, which a negation turns round: 疼 in 胸口一点都不疼.
    pub anchor: (usize, usize),
    pub spans: Spans,
    pub level: MatchLevel,
    /// The part of the body came from the question.
    pub topic: bool,
    pub gapped: bool,
}

/// What the question contributes.
pub struct Context<'a> {
    pub asked: &'a [usize],
    /// Classes named in the question's text.
    pub topics: Vec<usize>,
    /// Classes that wordings of the asked concepts use.
    pub asked_classes: Vec<usize>,
}

/// Hits by class.
pub struct Slots<'a> {
    tables: &'a Tables,
    hits: Vec<Hit>,
    /// Classes and their hits, in the order of the classes, and within one of their ends and lengths.
    by_class: Vec<(usize, Hit)>,
    /// For each class, where its hits begin in `by_class`, and behind the last.
    places: Vec<(usize, usize)>,
    bodies: ByStart,
}

impl<'a> Slots<'a> {
    pub fn new(tables: &'a Tables, hits: Vec<Hit>) -> Slots<'a> {
        let mut by_class = Vec::new();
        for hit in &hits {
            let classes = &tables.terms[hit.term].classes;
            by_class.extend(classes.iter().map(|class| (*class, *hit)));
        }
        by_class.sort_by_key(|(class, hit)| (*class, hit.end, hit.end - hit.start));
        let mut places = vec![(0, 0); tables.classes.len()];
        let mut from = 0;
        for of_class in by_class.chunk_by(|(a, _), (b, _)| a == b) {
            places[of_class[0].0] = (from, from + of_class.len());
            from += of_class.len();
        }
        let bodies = hits.iter().filter(|hit| is_body(tables, hit));
        Slots {
            bodies: ByStart::new(bodies.copied().collect()),
            tables,
            hits,
            by_class,
            places,
        }
    }

    fn of(&self, class: usize) -> impl Iterator<Item = &Hit> {
        self.ending(class, 0, usize::MAX)
    }

    /// Whether every slot of the wording has a hit; its first may instead be named by the question.
    fn may_hold(&self, entry: &Entry) -> bool {
        let missing = |class: usize| self.places[class].0 == self.places[class].1;
        let asked = |class: usize| {
            let class = &self.tables.classes[class];
            class.body || class.topic
        };
        let mut slots = entry.slots.iter().map(|(class, _)| *class);
        let first = slots.next();
        first.is_none_or(|first| !missing(first) || asked(first)) && !slots.any(missing)
    }

    /// Hits of the class that end at `from` or later, and at `to` at the latest.
    fn ending(
        &self,
        class: usize,
        from: usize,
        to: usize,
    ) -> impl DoubleEndedIterator<Item = &Hit> {
        let (first, behind) = self.places[class];
        let of_class = &self.by_class[first..behind];
        let first = of_class.partition_point(|(_, hit)| hit.end < from);
        let behind = first + of_class[first..].partition_point(|(_, hit)| hit.end <= to);
        of_class[first..behind].iter().map(|(_, hit)| hit)
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Hit> {
        let class = self.tables.class_named(name);
        class.into_iter().flat_map(|class| self.of(class))
    }

    /// Whether the wordings of `severe` contain those of `mild`.
    pub fn covers(&self, severe: usize, mild: usize) -> bool {
        self.tables.covers(severe, mild)
    }

    /// Classes that have a hit.
    pub fn classes(&self) -> Vec<usize> {
        let mut classes: Vec<usize> = self.by_class.iter().map(|(class, _)| *class).collect();
        classes.dedup();
        classes
    }

    /// Whether a member of the class begins at this unit.
    pub fn at(&self, class: &str, at: usize) -> bool {
        self.named(class)
            .any(|hit| hit.start == at && hit.level == MatchLevel::Text)
    }

    /// Whether a member of the class is written at this unit: 不 only sounds like the 步 of 三步.
    pub fn written_at(&self, class: &str, at: usize) -> bool {
        let mut named = self.named(class);
        named.any(|hit| hit.start == at && hit.level == MatchLevel::Text)
    }

    /// Whether a member of the class lies between the two units.
    pub fn within(&self, class: &str, from: usize, to: usize) -> bool {
        self.named(class)
            .any(|hit| from <= hit.start && hit.end <= to)
    }

    /// The end of the nearest member of the class before `at`, at most `reach` units off and in its sentence.
    pub fn nearest_before(
        &self,
        units: &[Unit],
        class: &str,
        at: usize,
        reach: usize,
    ) -> Option<usize> {
        let near = |hit: &&Hit| {
            (hit.level == MatchLevel::Text || hit.end - hit.start > 1)
                && hit.end <= at
                && at - hit.end <= reach
                && !crosses(units, hit.end, at, Cut::Strong)
        };
        self.named(class).filter(near).map(|hit| hit.end).max()
    }

    /// Whether a part of the body is named between the two units.
    pub fn body_within(&self, from: usize, to: usize) -> bool {
        self.bodies.within(from, to).next().is_some()
    }

    /// The same, of a class other than this one.
    fn other_body_within(&self, class: usize, from: usize, to: usize) -> bool {
        let same = |hit: &Hit| self.tables.terms[hit.term].classes.contains(&class);
        self.bodies.within(from, to).any(|hit| !same(hit))
    }

    /// Hits of parts of the body.
    pub fn bodies(&self) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(|hit| self.is_body(hit))
    }

    pub fn is_body(&self, hit: &Hit) -> bool {
        is_body(self.tables, hit)
    }

    pub fn hits(&self) -> &[Hit] {
        &self.hits
    }
}

fn is_body(tables: &Tables, hit: &Hit) -> bool {
    hit.level == MatchLevel::Text && tables.terms[hit.term].body
}

/// The cues between two units. Cues stand in order and do not overlap.
pub fn cues_between(cues: &[CueHit], from: usize, to: usize) -> &[CueHit] {
    let first = cues.partition_point(|c| c.start < from);
    let behind = cues.partition_point(|c| c.end <= to);
    cues.get(first..behind).unwrap_or_default()
}

/// Whether a cut of at least this weight lies between two units.
pub fn crosses(units: &[Unit], from: usize, to: usize, weight: Cut) -> bool {
    (from.saturating_sub(1)..to.saturating_sub(1))
        .any(|at| at + 1 >= from && units[at].after >= weight)
}

/// Every exact hit.
pub fn text_hits(tables: &Tables, units: &[Unit]) -> Vec<Hit> {
    let symbols: Vec<Option<u32>> = units.iter().map(|u| tables.words.find(&u.text)).collect();
    let joined = |at: usize| units[at].after == Cut::None;
    let mut hits = Vec::with_capacity(units.len());
    for start in 0..units.len() {
        tables.text.walk(&symbols, start, joined, |end, term| {
            hits.push(Hit {
                start,
                end,
                term: term as usize,
                level: MatchLevel::Text,
            });
        });
    }
    hits.extend(stem_hits(tables, units, &hits));
    drop_parts(tables, &mut hits);
    drop_cut_denials(tables, units, &mut hits);
    hits
}

/// Drops what begins with a denial, runs into a wording and ends inside it: 没发|烧, 没有流|血, 没有尿|血. The wording
/// is what was said, and the denial is its own word.
fn drop_cut_denials(tables: &Tables, units: &[Unit], hits: &mut Vec<Hit>) {
    let denies = |hit: &Hit| matches!(units[hit.start].text.as_str(), "没" | "不" | "无" | "未");
    let known = |hit: &Hit| {
        let term = &tables.terms[hit.term];
        !term.entries.is_empty() || hit.end - hit.start > 1 && !term.classes.is_empty()
    };
    let plain = |hit: &&Hit| known(hit) && !denies(hit);
    let wordings = ByStart::new(hits.iter().filter(plain).copied().collect());
    let runs_on = |hit: &Hit| {
        let mut inside = wordings.starting(hit.start + 1, hit.end).iter();
        inside.any(|w| hit.end < w.end)
    };
    let cut = |hit: &Hit| hit.end - hit.start > 1 && denies(hit) && runs_on(hit);
    hits.retain(|hit| !cut(hit));
}

/// Hits of English terms said in another person or tense than they are written in.
fn stem_hits(tables: &Tables, units: &[Unit], exact: &[Hit]) -> Vec<Hit> {
    let stems = units.iter().map(|u| match u.is_han() {
        true => (None, false),
        false => tables.stem_symbol(&u.text),
    });
    let (symbols, idle): (Vec<Option<u32>>, Vec<bool>) = stems.unzip();
    let joined = |at: usize| units[at].after == Cut::None;
    let mut hits = Vec::new();
    // Hits stand in the order of their starts.
    let is_exact = |hit: &Hit| {
        let from = exact.partition_point(|other| other.start < hit.start);
        let mut same = exact[from..].iter().take_while(|e| e.start == hit.start);
        same.any(|other| other == hit)
    };
    for start in (0..units.len()).filter(|start| symbols[*start].is_some()) {
        let mut found = |end, term| {
            let hit = Hit {
                start,
                end,
                term: term as usize,
                level: MatchLevel::Text,
            };
            if !is_exact(&hit) && !is_verb_of_noun(tables, units, &hit) {
                hits.push(hit);
            }
        };
        let idle = |at: usize| idle[at];
        tables
            .stemmed
            .walk_over(&symbols, start, &joined, &idle, &mut found);
    }
    hits
}

/// A part of the body or a thing has a plural and no tense: "draining" is no drain, "facing" no face.
fn is_verb_of_noun(tables: &Tables, units: &[Unit], hit: &Hit) -> bool {
    let term = &tables.terms[hit.term];
    let noun = term.entries.is_empty() && term.classes.iter().all(|c| tables.classes[*c].body);
    let tensed = |u: &Unit| {
        let said = u.text.as_str();
        (said.ends_with("ing") || said.ends_with("ed")) && !term.text.split(' ').any(|w| w == said)
    };
    noun && units[hit.start..hit.end].iter().any(tensed)
}

/// Drops single characters that are part of a known word: parts of the body in words of another class (头 in 舌头, 胃 in
/// 胃口), any in a collision.
fn drop_parts(tables: &Tables, hits: &mut Vec<Hit>) {
    let longer = hits.iter().filter(|h| {
        let term = &tables.terms[h.term];
        h.end - h.start > 1 && (term.collision || term.owns)
    });
    let longer = ByStart::new(longer.copied().collect());
    let inside = |hit: &Hit| {
        let term = &tables.terms[hit.term];
        longer.covering(hit.start, hit.end).any(|l| {
            let other = &tables.terms[l.term];
            other.collision
                || term.body
                    && !other.classes.iter().any(|c| term.classes.contains(c))
                    && term.entries.is_empty()
        })
    };
    let part = |hit: &Hit| {
        hit.end - hit.start == 1 && tables.terms[hit.term].cues.is_empty() && inside(hit)
    };
    // 肚子 in 腿肚子: a part of the body in the name of another.
    let body = |hit: &Hit| tables.terms[hit.term].body;
    let misnamed = |hit: &Hit| {
        let term = &tables.terms[hit.term];
        let another = |l: &Hit| {
            let mut classes = tables.terms[l.term].classes.iter();
            l.start < hit.start && l.end == hit.end && !classes.any(|c| term.classes.contains(c))
        };
        let around = || longer.covering(hit.start, hit.end);
        term.entries.is_empty() && body(hit) && around().any(|l| body(l) && another(l))
    };
    hits.retain(|hit| !part(hit) && !misnamed(hit));
}

/// Hits that only sound like a wording.
pub fn sound_hits(
    tables: &Tables,
    units: &[Unit],
    exact: &[Hit],
    context: &Context<'_>,
) -> Vec<Hit> {
    let words = known_words(tables, units, exact);
    let spoken: Vec<Option<Sounds>> = units.iter().map(|u| tables.sounds(u)).collect();
    let blurred: Vec<Option<u32>> = spoken.iter().map(|s| s.map(|s| s.blurred)).collect();
    let joined = |at: usize| units[at].after == Cut::None;
    let mut hits: Vec<Hit> = Vec::new();
    for start in 0..units.len() {
        tables.blurred.walk(&blurred, start, joined, |end, term| {
            let level = |of: &Term| agreement(&spoken[start..end], &of.sounds);
            let term = term as usize;
            let span = (start, end);
            if let Some(level) = sounds_meant(tables, &words, term, span, level, context) {
                hits.push(Hit {
                    start,
                    end,
                    term,
                    level,
                });
            }
        });
    }
    hits.sort_unstable_by_key(|h| (h.start, h.end, h.term));
    hits
}

/// How near what was spoken comes to a term whose blurred syllables it has.
fn agreement(spoken: &[Option<Sounds>], term: &[Sounds]) -> MatchLevel {
    let agree = |layer: fn(&Sounds) -> u32| {
        let mut pairs = spoken.iter().flatten().zip(term);
        pairs.all(|(said, meant)| layer(said) == layer(meant))
    };
    match term.len() {
        2.. if agree(|s| s.toned) => MatchLevel::PinyinTone,
        _ if agree(|s| s.plain) => MatchLevel::Pinyin,
        _ => MatchLevel::Fuzzy,
    }
}

/// What is written at one unit.
#[derive(Clone, Copy, Default)]
struct Word {
    /// Its first character.
    written: char,
    /// The length of the longest known text that covers it.
    known: usize,
    /// The unit alone is a cue.
    cue: bool,
}

fn known_words(tables: &Tables, units: &[Unit], exact: &[Hit]) -> Vec<Word> {
    let word = |unit: &Unit| Word {
        written: unit.text.chars().next().unwrap_or_default(),
        ..Word::default()
    };
    let mut words: Vec<Word> = units.iter().map(word).collect();
    for hit in exact {
        let length = hit.end - hit.start;
        let term = &tables.terms[hit.term];
        let cue = length == 1 && !term.cues.is_empty();
        words[hit.start].cue |= cue;
        if length > 1 || !term.classes.is_empty() || !term.entries.is_empty() {
            for covered in &mut words[hit.start..hit.end] {
                covered.known = covered.known.max(length);
            }
        }
    }
    words
}

/// How near a term comes to what is written between two units, where that is near enough to have been meant.
fn sounds_meant(
    tables: &Tables,
    words: &[Word],
    term: usize,
    span: (usize, usize),
    level: impl Fn(&Term) -> MatchLevel,
    context: &Context<'_>,
) -> Option<MatchLevel> {
    let term = &tables.terms[term];
    let length = span.1 - span.0;
    let (mut same, mut telling, mut grammar) = (0, 0, false);
    for (word, meant) in words[span.0..span.1].iter().zip(term.text.chars()) {
        if word.written == meant {
            same += 1;
            // A function word that agrees (了, 有) proves nothing.
            telling += usize::from(!word.cue);
        } else if word.known > usize::from(length > 1) {
            return None;
        } else {
            grammar |= word.cue;
        }
    }
    if same == length {
        return None;
    }
    let asked = || {
        let concept = |entry: &usize| tables.entries[*entry].concept;
        let mut entries = term.entries.iter();
        let mut classes = term.classes.iter();
        entries.any(|e| context.asked.contains(&concept(e)))
            || classes.any(|c| context.asked_classes.contains(c))
    };
    let level = level(term);
    let meant = match level {
        MatchLevel::PinyinTone => telling > 0 || same == 0 || asked(),
        MatchLevel::Pinyin if length == 1 => !term.classes.is_empty(),
        MatchLevel::Pinyin => telling > 0 || asked(),
        // A merged sound is weak proof: the small words of grammar (老, 是, 又) are taken as written.
        MatchLevel::Fuzzy if length == 1 => false,
        MatchLevel::Fuzzy => telling > 0 && (length > 2 || asked()) && !grammar,
        MatchLevel::Text | MatchLevel::Frame => false,
    };
    meant.then_some(level)
}

/// Cues, longest from the left; a wording of two units or more swallows the cues inside it.
pub fn cue_hits(tables: &Tables, units: &[Unit], exact: &[Hit]) -> Vec<CueHit> {
    let mut longest: Vec<Option<Hit>> = vec![None; units.len()];
    for hit in exact {
        let term = &tables.terms[hit.term];
        // 没打 of 药没打 is a word of its class and holds a denial all the same: 没打过寒战.
        let denies = matches!(units[hit.start].text.as_str(), "没" | "不");
        let whole = hit.end - hit.start > 2 || !denies;
        let wording = hit.end - hit.start > 1
            && (!term.entries.is_empty() || !term.classes.is_empty() && whole);
        if term.cues.is_empty() && term.masks.is_empty() && !wording {
            continue;
        }
        let best = longest[hit.start].get_or_insert(*hit);
        if hit.end > best.end {
            *best = *hit;
        }
    }
    let mut found = Vec::new();
    let mut free = 0;
    for hit in longest.into_iter().flatten() {
        if hit.start < free {
            continue;
        }
        free = hit.end;
        let cues = tables.terms[hit.term].cues;
        if !cues.is_empty() {
            found.push(CueHit {
                start: hit.start,
                end: hit.end,
                cues,
            });
        }
    }
    around::settle(&mut found, units);
    found
}

/// Every wording seen, overlaps resolved; `masked` gets those that a masker covers, with its text.
pub fn sightings(
    tables: &Tables,
    units: &[Unit],
    slots: &Slots<'_>,
    cues: &[CueHit],
    context: &Context<'_>,
    masked: &mut Vec<(Sighting, String)>,
) -> Vec<Sighting> {
    let mut seen = Vec::new();
    let alone = |hit: &&Hit| hit.level == MatchLevel::Text || hit.end - hit.start > 1;
    // A wording of one English word is taken as it is written (wind is not winded); only its class varies.
    let another = |hit: &&Hit| {
        let unit = &units[hit.start];
        let one = hit.end - hit.start == 1 && hit.level == MatchLevel::Text;
        one && !unit.is_han() && tables.terms[hit.term].text != unit.text
    };
    for hit in slots.hits().iter().filter(alone).filter(|h| !another(h)) {
        for entry in &tables.terms[hit.term].entries {
            let span = (hit.start, hit.end);
            seen.push(sighting(
                &tables.entries[*entry],
                smallvec![span],
                hit.level,
                false,
            ));
        }
    }
    let mut covers = Vec::new();
    for (class, last) in &slots.by_class {
        for entry in &tables.classes[*class].ends {
            let entry = &tables.entries[*entry];
            if !slots.may_hold(entry) {
                continue;
            }
            let found = gapped(tables, units, slots, cues, entry, *last, context);
            match entry.masks {
                true => covers.extend(found),
                false => seen.extend(found),
            }
        }
    }
    seen.retain(|s| match cover(&covers, s) {
        Some(text) => {
            masked.push((s.clone(), text));
            false
        }
        None => true,
    });
    let maskers: Vec<Hit> = slots
        .hits()
        .iter()
        .copied()
        .filter(|h| masks(tables, h) && !cuts_body(slots, h))
        .collect();
    seen.retain(|s| match masker(tables, units, &maskers, s) {
        Some(text) => {
            masked.push((s.clone(), text));
            false
        }
        None => true,
    });
    resolve(tables, units, seen)
}

fn sighting(entry: &Entry, spans: Spans, level: MatchLevel, topic: bool) -> Sighting {
    let start = spans.iter().map(|s| s.0).min().unwrap_or(0);
    let anchor = spans.last().copied().unwrap_or((0, 0));
    Sighting {
        concept: entry.concept,
        detail: entry.detail,
        term: entry.wording.clone(),
        start,
        end: anchor.1,
        anchor,
        spans,
        level,
        topic,
        gapped: !entry.slots.is_empty(),
    }
}

/// A gapped wording whose last slot is `last`: the other slots are looked for leftwards, the nearest first.
fn gapped(
    tables: &Tables,
    units: &[Unit],
    slots: &Slots<'_>,
    cues: &[CueHit],
    entry: &Entry,
    last: Hit,
    context: &Context<'_>,
) -> Option<Sighting> {
    // From the last slot to the first.
    let mut found = Spans::new();
    let mut level = last.level;
    let single = |hit: &Hit| hit.level != MatchLevel::Text && hit.end - hit.start == 1;
    let spans = |found: Spans| {
        let leftwards = found.into_iter().rev();
        leftwards.chain([(last.start, last.end)]).collect()
    };
    let mut behind = last;
    for at in (1..entry.slots.len()).rev() {
        let (class, gap) = (entry.slots[at - 1].0, entry.slots[at].1);
        let body = tables.classes[class].body;
        let fits = |hit: &&Hit| {
            distance(cues, hit.end, behind.start, body)
                <= if single(&behind) || single(hit) {
                    0
                } else {
                    gap
                }
                && !(single(hit) && (single(&behind) || behind.level != MatchLevel::Text))
                && !(single(&behind) && hit.level != MatchLevel::Text)
                && !blocked(
                    units,
                    slots,
                    cues,
                    (hit.end, behind.start),
                    body,
                    slots.is_body(&behind),
                )
        };
        let reach = behind.start.saturating_sub(gap.max(2 * LONG_GAP));
        match slots.ending(class, reach, behind.start).rev().find(fits) {
            Some(hit) => {
                found.push((hit.start, hit.end));
                level = level.max(hit.level);
                behind = *hit;
            }
            None if at == 1
                && !entry.masks
                && !single(&behind)
                && is_topic(tables, units, slots, class, behind, context, entry)
                && !denies(cues, behind) =>
            {
                return Some(sighting(entry, spans(found), level, true));
            }
            None => return None,
        }
    }
    if entry.slots.len() == 1 && single(&last) {
        return None;
    }
    let mut seen = sighting(entry, spans(found), level, false);
    // 走路没事，喘 is not 走路就喘: what makes it less urgent must be said in one breath.
    if seen.detail.is_some_and(|at| tables.lowers[at])
        && crosses(units, seen.start + 1, seen.end, Cut::Weak)
    {
        seen.detail = None;
    }
    Some(seen)
}

/// Whether the words only deny: 没有 is no scant urine.
fn denies(cues: &[CueHit], hit: Hit) -> bool {
    let kinds = [Cue::No, Cue::Neg, Cue::NegAfter];
    let behind = cues.partition_point(|c| c.start <= hit.start);
    let last = cues[..behind].last();
    last.is_some_and(|c| hit.end <= c.end && c.cues.any(&kinds))
}

/// Whether the question names the part of the body that the reply leaves out.
fn is_topic(
    tables: &Tables,
    units: &[Unit],
    slots: &Slots<'_>,
    class: usize,
    at: Hit,
    context: &Context<'_>,
    entry: &Entry,
) -> bool {
    // Asked about, itself or in its milder form of the same place.
    let owned = || context.asked_classes.contains(&class);
    let asked = || {
        let mut asked = context.asked.iter();
        asked.any(|c| *c == entry.concept || tables.covers(entry.concept, *c) && owned())
    };
    let asked_now = context.asked.contains(&entry.concept);
    let thing = tables.classes[class].topic && (asked_now || units[at.start].is_han());
    let open = tables.classes[class].body || context.asked.is_empty();
    let put = (tables.classes[class].body || thing)
        && at.level == MatchLevel::Text
        && (open && context.topics.contains(&class) || asked());
    if !put {
        return false;
    }
    // What follows "but" may be of another place: "they're dark but that's the tablets".
    let parts = |i: usize| {
        let next = units.get(i + 1).map_or("", |u| u.text.as_str());
        units[i].after >= Cut::Weak || matches!(next, "but" | "because" | "although" | "though")
    };
    let from = (0..at.start).rev().find(|i| parts(*i)).map_or(0, |i| i + 1);
    let to = (at.end.saturating_sub(1)..units.len())
        .find(|i| parts(*i))
        .map_or(units.len(), |i| i + 1);
    !slots.other_body_within(class, from, at.start) && !slots.other_body_within(class, at.end, to)
}

/// Whether a gap may not be bridged: the end of a sentence, two cuts, or another part of the body.
fn blocked(
    units: &[Unit],
    slots: &Slots<'_>,
    cues: &[CueHit],
    (from, to): (usize, usize),
    body: bool,
    behind_body: bool,
) -> bool {
    let between = from.saturating_sub(1)..to.saturating_sub(1);
    let weak = between
        .clone()
        .filter(|at| units[*at].after == Cut::Weak)
        .count();
    if weak > 1 || between.clone().any(|at| units[at].after > Cut::Weak) {
        return true;
    }
    // 前胸不疼，后背疼: what was denied of the first part is not told of the second.
    let denied = |c: &CueHit| c.cues.any(&[Cue::Neg, Cue::NegTight]) && units[c.start].is_han();
    if weak > 0 && cues_between(cues, from, to).iter().any(denied) {
        return true;
    }
    let another = cues_between(cues, from + 1, to).iter().any(|c| {
        let subject = c.cues.any(&[Cue::Own, Cue::Other, Cue::Kin]);
        subject && units[c.start - 1].after == Cut::Weak
    });
    if another {
        return true;
    }
    // "hot and cold, and the leg …": in English the place stands before a cut, never behind it.
    if weak > 0 && behind_body && !units[to].is_han() {
        return true;
    }
    let joins = cues_between(cues, from, to)
        .iter()
        .any(|c| c.cues.has(Cue::Join))
        || between.into_iter().any(|at| units[at].after == Cut::List);
    body && !joins && slots.body_within(from, to)
}

/// A gap behind a part of the body that is longer may be half adverbs, and up to twice as long.
const LONG_GAP: usize = 6;

/// How far two slots of a wording lie apart. Behind a part of the body adverbs do not count: 心口这儿老是有点隐隐地疼.
fn distance(cues: &[CueHit], from: usize, to: usize, body: bool) -> usize {
    let gap = to - from;
    if !body || gap <= LONG_GAP || gap > 2 * LONG_GAP {
        return gap;
    }
    let light = [Cue::Through, Cue::Ongoing, Cue::Hedge];
    let between = cues_between(cues, from, to).iter();
    let passed = between.filter(|c| c.cues.any(&light) && !c.cues.any(&[Cue::Neg, Cue::Other]));
    gap - passed.map(|c| c.end - c.start).sum::<usize>()
}

/// Whether it begins inside a part of the body and ends outside: 头发白 in 脚趾头发白 is no hair.
fn cuts_body(slots: &Slots<'_>, hit: &Hit) -> bool {
    let mut before = slots.bodies.reaching(hit.start).iter();
    before.any(|b| hit.start < b.end && b.end < hit.end)
}

fn masks(tables: &Tables, hit: &Hit) -> bool {
    hit.level == MatchLevel::Text && !tables.terms[hit.term].masks.is_empty()
}

/// The gapped masker of this concept that reaches over one of the slots.
fn cover(covers: &[Sighting], seen: &Sighting) -> Option<String> {
    let over = |c: &&Sighting| {
        let mut spans = seen.spans.iter();
        c.concept == seen.concept && spans.any(|(start, end)| c.start < *end && *start < c.end)
    };
    covers.iter().find(over).map(|c| c.term.to_string())
}

/// The text of a masker that covers one of the slots.
fn masker(tables: &Tables, units: &[Unit], maskers: &[Hit], seen: &Sighting) -> Option<String> {
    let covers = |hit: &&Hit| {
        let term = &tables.terms[hit.term];
        // "was sick as a parrot": what begins inside an English wording and runs on takes its last word for itself.
        let runs_on = |end: usize| hit.start < end && end < hit.end && !units[end - 1].is_han();
        // 怕摔|着, 天闷|得慌: what begins inside a Chinese masker has its head there.
        let begins = |start: usize| {
            let whole = seen.spans.len() == 1;
            whole && hit.start < start && start < hit.end && units[start].is_han()
        };
        seen.spans.iter().any(|(start, end)| {
            hit.start <= *start && *end <= hit.end || runs_on(*end) || begins(*start)
        }) && term
            .masks
            .iter()
            .any(|id| id.is_empty() || tables.concept(id) == Some(seen.concept))
    };
    maskers
        .iter()
        .find(covers)
        .map(|hit| tables.terms[hit.term].text.clone())
}

/// Drops what a longer wording of the same concept, or a longer plain wording of any, covers.
fn resolve(tables: &Tables, units: &[Unit], mut seen: Vec<Sighting>) -> Vec<Sighting> {
    seen.sort_by_key(|s| {
        let (start, end) = (s.start, std::cmp::Reverse(s.end));
        // A detail says more than its concept alone, a longer last slot more than a shorter one.
        let plain = s.detail.is_none();
        (start, end, s.level, s.concept, plain, s.gapped, s.anchor.0)
    });
    seen.dedup_by(|b, a| (a.start, a.end, a.concept) == (b.start, b.end, b.concept));
    let widest = seen.iter().map(|s| s.end - s.start).max().unwrap_or(0);
    let covered = |i: usize| {
        let s = &seen[i];
        // Sorted by their starts: what covers it begins no later, and not far before.
        let from = seen.partition_point(|t| t.start + widest < s.end);
        let to = seen.partition_point(|t| t.start <= s.start);
        (from..to).any(|j| {
            let t = &seen[j];
            let longer = t.end - t.start > s.end - s.start;
            let over = t.start <= s.start && s.end <= t.end;
            // One that reaches over a cut does not swallow a whole one of the same thing before or behind it:
            // 上楼喘，平时不喘 is breathlessness, and none at rest.
            let reaches = || {
                t.concept == s.concept
                    && (s.gapped || s.start == t.start)
                    && crosses(units, t.start + 1, t.end, Cut::Weak)
                    && !crosses(units, s.start + 1, s.end, Cut::Weak)
            };
            let contains = tables.covers(t.concept, s.concept);
            j != i
                && over
                && (longer || contains && s.gapped && (t.start, t.end) == (s.start, s.end))
                && !reaches()
                && (t.concept == s.concept
                    || contains
                    // 血 of 没吐血 is no answer about the stool; 有点疼 is one about the chest.
                    || s.topic && !t.topic && !tables.covers(s.concept, t.concept)
                    || (!s.gapped && !t.gapped && (t.level <= s.level || t.end - t.start > 2)))
        })
    };
    let kept: Vec<bool> = (0..seen.len()).map(|i| !covered(i)).collect();
    let mut kept = kept.into_iter();
    seen.retain(|_| kept.next().is_some_and(|kept| kept));
    seen
}
