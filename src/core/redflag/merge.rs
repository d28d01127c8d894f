//! Runs the steps over one reply and merges their mentions: one finding a concept and subject, with its evidence.
//!
//! Present outweighs uncertain, uncertain historical, historical absent; another person's is a finding of its own.

use std::sync::Arc;

use smallvec::smallvec;
use smol_str::SmolStr;

use super::assert::{Aim, Scene, Verdict, Weight, names_newborn};
use super::cue::Cue;
use super::english::aim_of;
use super::find::{Context, CueHit, Sighting, Slots, cue_hits, sightings, sound_hits, text_hits};
use super::frame::{Put, answers};
use super::index::Index;
use super::lexicon::Tables;
use super::measure::{Asked, READINGS, Value, is_bound, meanings, values};
use super::normal::{self, Unit};
use super::{Assessment, Concept, ENGINE, Lexicon, Reply};
use crate::finding::{
    About, Confirmation, Evidence, Finding, MatchLevel, Polarity, RuleFired, Suppressed, Urgency,
    When,
};
use crate::pinyin;
use crate::question::Question;
use crate::reading::Reading;

/// Below this mean log-probability two syllables in three are wrong: an emergent hit is asked about again.
const DOUBTFUL_LOGPROB: f32 = -1.0;

struct Mention {
    concept: usize,
    detail: Option<usize>,
    term: SmolStr,
    span: (usize, usize),
    level: MatchLevel,
    verdict: Verdict,
    /// A bare answer speaks for the patient, who was asked.
    subject: About,
}

/// A long reply is read in stretches of so many units at most, parted where a sentence or a clause ends, so that the
/// work grows with its length and not with the square of it. Whole replies are far shorter.
const STRETCH: usize = 240;

/// One stretch of the reply and what was found in it.
struct Part<'a> {
    /// Its first unit in the reply.
    from: usize,
    units: &'a [Unit],
    cues: Vec<CueHit>,
    slots: Slots<'a>,
    seen: Vec<Sighting>,
    masked: Vec<(Sighting, String)>,
}

impl<'a> Part<'a> {
    fn of(
        tables: &'a Tables,
        all: &'a [Unit],
        place: (usize, usize),
        context: &Context<'_>,
    ) -> Part<'a> {
        let units = &all[place.0..place.1];
        let mut hits = text_hits(tables, units);
        let cues = cue_hits(tables, units, &hits);
        hits.extend(sound_hits(tables, units, &hits, context));
        let slots = Slots::new(tables, hits);
        let mut masked = Vec::new();
        let seen = sightings(tables, units, &slots, &cues, context, &mut masked);
        Part {
            from: place.0,
            units,
            cues,
            slots,
            seen,
            masked,
        }
    }

    fn scene(&'a self, question: &Question, heard: &Heard) -> Scene<'a> {
        Scene {
            units: self.units,
            cues: &self.cues,
            slots: &self.slots,
            sightings: &self.seen,
            respondent: question.respondent,
            index: Index::new(self.units, &self.cues, &self.slots, &self.seen),
            aim: heard.aim,
        }
    }

    fn is_noise(&self) -> bool {
        self.cues.iter().any(|c| c.cues.has(Cue::Noise))
    }

    /// A place in the stretch as a place in the reply.
    fn whole(&self, span: (usize, usize)) -> (usize, usize) {
        (span.0 + self.from, span.1 + self.from)
    }
}

/// Where the stretches of a reply begin and end.
fn stretches(units: &[Unit]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while units.len() - from > STRETCH {
        let room = from + STRETCH / 2..from + STRETCH;
        let best = room.max_by_key(|at| (units[*at].after, *at));
        let to = best.map_or(from + STRETCH, |at| at + 1);
        found.push((from, to));
        from = to;
    }
    found.push((from, units.len()));
    found
}

pub fn assess(lexicon: &Lexicon, question: &Question, reply: &Reply<'_>) -> Assessment {
    let tables = &lexicon.tables;
    let units = normal::units(reply.text);
    let asked: Vec<usize> = question
        .asks
        .iter()
        .filter_map(|id| tables.concept(&id.0))
        .collect();
    let heard_question = Heard::of(tables, &question.text, &asked);
    let context = Context {
        asked: &asked,
        topics: heard_question.topics.clone(),
        asked_classes: asked_classes(tables, &asked),
    };
    let parts: Vec<Part<'_>> = stretches(&units)
        .into_iter()
        .map(|place| Part::of(tables, &units, place, &context))
        .collect();
    if parts.iter().any(Part::is_noise) {
        return Assessment::default();
    }
    let scenes: Vec<Scene<'_>> = parts
        .iter()
        .map(|part| part.scene(question, &heard_question))
        .collect();
    let writer = Writer {
        lexicon,
        raw: reply.text.into(),
        normalised: normal::written(&units).into(),
        units: &units,
    };

    let mut mentions = Vec::new();
    let mut readings = Vec::new();
    for (part, scene) in parts.iter().zip(&scenes) {
        let values = values(scene.units, scene.slots, &heard_question.measures);
        let found = [wordings(lexicon, scene), measured(lexicon, scene, &values)];
        mentions.extend(found.into_iter().flatten().map(|mention| Mention {
            subject: subject(scene, &mention),
            span: part.whole(mention.span),
            ..mention
        }));
        let own = own_values(scene, &values);
        readings.extend(own.into_iter().map(|value| Reading {
            measure: value.measure,
            value: value.value,
            span: writer.raw_span(part.whole((value.start, value.end))),
        }));
    }
    let named: Vec<usize> = mentions
        .iter()
        .filter(|m| speaks_for(m) && m.subject == About::Patient)
        .map(|m| m.concept)
        .collect();
    let named: Vec<usize> = asked
        .iter()
        .copied()
        .filter(|c| settled(tables, &named, *c))
        .collect();
    let denied = |concept: &usize| {
        let mut of = mentions.iter().filter(|m| m.concept == *concept);
        of.all(|m| m.verdict.polarity == Some(Polarity::Absent))
    };
    let denied = asked.iter().any(|c| named.contains(c) && denied(c));
    let any_asked = |is: fn(&Concept) -> bool| asked.iter().any(|c| is(&lexicon.concepts[*c]));
    let put = Put {
        emergent: any_asked(|concept| concept.urgency == Urgency::Emergent),
        event: any_asked(|concept| concept.event),
        onset: any_asked(|concept| concept.onset),
        kind: question.kind,
        asked: &asked,
        units: &heard_question.units,
        named: &heard_question.named,
        denied,
    };
    // The question is answered once, where the answer comes first.
    let answered = parts.iter().zip(&scenes).find_map(|(part, scene)| {
        let answers = answers(scene, &put, &named);
        (!answers.is_empty()).then_some((part, answers))
    });
    for (part, answered) in answered
        .into_iter()
        .flat_map(|(part, answers)| answers.into_iter().map(move |one| (part, one)))
    {
        let span = part.whole(answered.span);
        // "My son has seizures, yes": the yes behind it is still of the son.
        let others = |m: &Mention| {
            m.concept == answered.concept
                && m.verdict.polarity == Some(Polarity::OtherPerson)
                && m.span.1 <= span.0
        };
        if answered.polarity != Polarity::Absent && mentions.iter().any(others) {
            continue;
        }
        let fired = RuleFired {
            rule: answered.rule.to_owned(),
            span: writer.raw_span(span),
            before: Polarity::Uncertain,
            after: answered.polarity,
        };
        mentions.push(Mention {
            concept: answered.concept,
            detail: None,
            term: SmolStr::default(),
            span,
            level: MatchLevel::Frame,
            subject: About::Patient,
            verdict: Verdict {
                polarity: Some(answered.polarity),
                rules: vec![fired],
            },
        });
    }
    let masked = parts.iter().flat_map(|part| {
        part.masked.iter().map(|(seen, text)| {
            let mut seen = seen.clone();
            (seen.start, seen.end) = part.whole((seen.start, seen.end));
            (seen, text.clone())
        })
    });
    let (newborn, own): (Vec<Mention>, Vec<Mention>) = mentions
        .into_iter()
        .partition(|mention| mention.subject == About::Newborn);
    let mut judged = writer.merged(own, masked.collect(), reply.logprob);
    let child = writer.merged(newborn, Vec::new(), reply.logprob);
    judged
        .findings
        .extend(child.findings.into_iter().map(of_newborn));
    judged.suppressed.extend(child.suppressed);
    judged.alert |= child.alert;
    for scene in &scenes {
        scene.set_times(&mut judged.findings);
    }
    judged.readings = readings;
    judged
}

/// Whom a wording concerns: some name the newborn themselves, and what overlaps them is theirs; others by their subject.
fn subject(scene: &Scene<'_>, mention: &Mention) -> About {
    let (from, to) = mention.span;
    let named = scene
        .sightings
        .iter()
        .any(|seen| seen.start < to && from < seen.end && names_newborn(seen));
    if named {
        About::Newborn
    } else {
        scene.whose(mention.span)
    }
}

/// A newborn's finding: what is a matter of the day for the mother is more for the child.
fn of_newborn(mut finding: Finding) -> Finding {
    finding.subject = About::Newborn;
    if finding.urgency == Urgency::SameDay {
        finding.urgency = Urgency::Urgent;
    }
    finding
}

/// Whether the mention says something of the patient, so that a bare answer need not speak for its concept.
fn speaks_for(mention: &Mention) -> bool {
    mention
        .verdict
        .polarity
        .is_some_and(|p| p != Polarity::OtherPerson)
}

/// Whether a concept is among the named ones, itself or by the severe form that contains it.
fn settled(tables: &Tables, named: &[usize], concept: usize) -> bool {
    named
        .iter()
        .any(|n| *n == concept || tables.covers(*n, concept))
}

struct Heard {
    units: Vec<Unit>,
    topics: Vec<usize>,
    named: Vec<Sighting>,
    measures: Asked,
    aim: Aim,
}

impl Heard {
    fn of(tables: &Tables, text: &str, asked: &[usize]) -> Heard {
        let units = normal::units(text);
        let exact = text_hits(tables, &units);
        let cues = cue_hits(tables, &units, &exact);
        let slots = Slots::new(tables, exact);
        let context = Context {
            asked,
            topics: Vec::new(),
            asked_classes: Vec::new(),
        };
        let mut named = sightings(tables, &units, &slots, &cues, &context, &mut Vec::new());
        named.retain(|s| asked.contains(&s.concept));
        let topics = slots
            .classes()
            .into_iter()
            .filter(|c| tables.classes[*c].body || tables.classes[*c].topic)
            .collect();
        let is = |id: &str| tables.concept(id).is_some_and(|c| asked.contains(&c));
        let says = |class: &str| slots.within(class, 0, units.len());
        let measures = Asked {
            temperature: is("fever")
                || says("m_temp") && !says("m_bp") && !says("m_glucose") && !says("m_spo2"),
            pressure: is("bp_severe_high") || is("bp_low") || says("m_bp"),
            glucose: is("hypoglycemia") || is("hyperglycemia") || says("m_glucose"),
            spo2: is("low_spo2") || says("m_spo2"),
            pulse: is("palpitations") || says("m_pulse"),
            pain: is("severe_pain") || says("m_pain"),
            weight: is("edema_weight_gain") || says("m_weight"),
            gain: is("edema_weight_gain") && says("m_gain"),
        };
        let others = [Cue::Other, Cue::Kin];
        let of_others = cues.iter().any(|c| c.cues.any(&others))
            && asked.is_empty()
            && !units.iter().any(|u| u.is_han() || u.text == "you");
        let aim = match aim_of(&units) {
            Some(aim) => aim,
            None if of_others => Aim::Others,
            None if READINGS.iter().any(|class| says(class)) && !says("med_en") => Aim::Reading,
            None => Aim::Now,
        };
        Heard {
            aim,
            units,
            topics,
            named,
            measures,
        }
    }
}

fn asked_classes(tables: &Tables, asked: &[usize]) -> Vec<usize> {
    let of = |concept: &usize| &tables.slot_classes[*concept];
    let mut classes: Vec<usize> = asked.iter().flat_map(of).copied().collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// A detail may make it weigh more, never less: what denies an emergent concept must deny all of it.
fn weight(lexicon: &Lexicon, concept: usize, detail: Option<usize>) -> Weight<'_> {
    let urgency = urgency_of(lexicon, concept, detail);
    let concept = &lexicon.concepts[concept];
    Weight {
        concept: &concept.id.0,
        urgency: concept.urgency.min(urgency),
        event: concept.event,
        onset: concept.onset,
    }
}

fn urgency_of(lexicon: &Lexicon, concept: usize, detail: Option<usize>) -> Urgency {
    match detail {
        Some(detail) => lexicon.details[detail].urgency,
        None => lexicon.concepts[concept].urgency,
    }
}

/// Only the sound agrees: words that are there outweigh it.
fn heard_only(level: MatchLevel) -> bool {
    matches!(
        level,
        MatchLevel::PinyinTone | MatchLevel::Pinyin | MatchLevel::Fuzzy
    )
}

fn is_there(mention: &Mention) -> bool {
    matches!(
        mention.verdict.polarity,
        Some(Polarity::Present | Polarity::Uncertain)
    )
}

fn wordings(lexicon: &Lexicon, scene: &Scene<'_>) -> Vec<Mention> {
    let judged = scene.sightings.iter().map(|seen| Mention {
        concept: seen.concept,
        detail: seen.detail,
        term: seen.term.clone(),
        span: (seen.start, seen.end),
        level: seen.level,
        subject: About::Patient,
        verdict: scene.judge(
            seen,
            weight(lexicon, seen.concept, seen.detail),
            Polarity::Present,
        ),
    });
    let judged: Vec<Mention> = judged.collect();
    // What is there is said once, by the graver of the concepts that contain each other: 头疼得要炸 is no pain beside.
    let contained = |mild: &Mention| {
        let overlaps =
            |m: &&Mention| m.span != mild.span && m.span.0 < mild.span.1 && mild.span.0 < m.span.1;
        let covers = |m: &Mention| lexicon.tables.covers(m.concept, mild.concept);
        let grave = lexicon.concepts[mild.concept].urgency == Urgency::Emergent;
        let absorbs = |m: &Mention| {
            lexicon.tables.absorbs(m.concept, mild.concept)
                && m.span != mild.span
                && scene.sentence_start(m.span.0) == scene.sentence_start(mild.span.0)
        };
        let is_part = || {
            let mut others = judged.iter().filter(overlaps);
            others.any(|m| is_there(m) && covers(m))
        };
        is_there(mild) && (!grave && is_part() || judged.iter().any(|m| is_there(m) && absorbs(m)))
    };
    let contained: Vec<bool> = judged.iter().map(contained).collect();
    let kept = judged.into_iter().zip(contained);
    kept.filter(|(_, contained)| !contained)
        .map(|(m, _)| m)
        .collect()
}

fn measured(lexicon: &Lexicon, scene: &Scene<'_>, values: &[Value]) -> Vec<Mention> {
    let limits = &lexicon.tables.limits;
    let found = values.iter().flat_map(|value| meanings(limits, value));
    let judged = found.map(|meaning| {
        let span = (meaning.start, meaning.end);
        let seen = number_sighting(meaning.concept, meaning.detail, SmolStr::default(), span);
        let verdict = scene.judge(
            &seen,
            weight(lexicon, meaning.concept, meaning.detail),
            meaning.polarity,
        );
        Mention {
            concept: meaning.concept,
            detail: meaning.detail,
            term: meaning.said.into(),
            span,
            level: MatchLevel::Frame,
            subject: About::Patient,
            verdict,
        }
    });
    judged.collect()
}

fn number_sighting(
    concept: usize,
    detail: Option<usize>,
    term: SmolStr,
    span: (usize, usize),
) -> Sighting {
    Sighting {
        concept,
        detail,
        term,
        start: span.0,
        end: span.1,
        anchor: span,
        spans: smallvec![span],
        level: MatchLevel::Frame,
        topic: false,
        gapped: false,
    }
}

/// The values that the patient has now: not over, feared, asked about, another person's or the newborn's. 不烧 behind 三十七度二
/// denies the fever and not the number; 没到三十八度 denies the number.
fn own_values(scene: &Scene<'_>, values: &[Value]) -> Vec<Value> {
    if values.is_empty() {
        return Vec::new();
    }
    let denials = [
        Cue::Neg,
        Cue::NegTight,
        Cue::NegAfter,
        Cue::Ceased,
        Cue::Better,
    ];
    let denies = |cue: &&CueHit| cue.cues.any(&denials);
    let others: Vec<CueHit> = scene
        .cues
        .iter()
        .filter(|cue| !denies(cue))
        .copied()
        .collect();
    let undenied = Scene {
        units: scene.units,
        cues: &others,
        slots: scene.slots,
        sightings: scene.sightings,
        respondent: scene.respondent,
        index: Index::new(scene.units, &others, scene.slots, scene.sightings),
        aim: scene.aim,
    };
    let as_measured = Weight {
        concept: "",
        urgency: Urgency::SameDay,
        event: false,
        onset: false,
    };
    let own = values.iter().filter(|value| {
        let seen = number_sighting(
            usize::MAX,
            None,
            SmolStr::default(),
            (value.start, value.end),
        );
        let polarity = undenied
            .judge(&seen, as_measured, Polarity::Present)
            .polarity;
        let not_reached = scene
            .cues
            .iter()
            .filter(denies)
            .any(|cue| cue.end <= value.start && is_bound(&scene.units[cue.end..value.start]));
        let own = scene.whose((value.start, value.end)) == About::Patient;
        own && !not_reached && matches!(polarity, Some(Polarity::Present | Polarity::Uncertain))
    });
    own.copied().collect()
}

struct Writer<'a> {
    lexicon: &'a Lexicon,
    raw: Arc<str>,
    normalised: Arc<str>,
    units: &'a [Unit],
}

impl Writer<'_> {
    fn raw_span(&self, span: (usize, usize)) -> (usize, usize) {
        let start = self.units.get(span.0).map_or(0, |u| u.raw.0);
        let end = self
            .units
            .get(span.1.saturating_sub(1))
            .map_or(start, |u| u.raw.1);
        (start, end.max(start))
    }

    fn evidence(&self, mention: &Mention) -> Evidence {
        let (from, to) = mention.span;
        let said: String = self
            .units
            .get(from..to)
            .unwrap_or_default()
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let spelt = pinyin::spell(&said);
        Evidence {
            raw: Arc::clone(&self.raw),
            normalised: Arc::clone(&self.normalised),
            span: self.raw_span(mention.span),
            term: mention.term.to_string(),
            level: mention.level,
            pinyin: (!spelt.is_empty()).then_some(spelt),
            rules: mention.verdict.rules.clone(),
            lexicon: self.lexicon.hash().to_owned(),
            engine: ENGINE.to_owned(),
        }
    }

    fn merged(
        &self,
        mentions: Vec<Mention>,
        masked: Vec<(Sighting, String)>,
        logprob: Option<f32>,
    ) -> Assessment {
        // Cold sweat beside pain in the chest is part of it, and no dizziness.
        let graver = |sign: &Mention| {
            mentions.iter().any(|m| {
                let urgency = urgency_of(self.lexicon, m.concept, m.detail);
                let inside = sign.span.0 <= m.span.0 && m.span.1 <= sign.span.1;
                is_there(m) && urgency == Urgency::Emergent && !inside
            })
        };
        let sign = |m: &Mention| m.detail.is_some_and(|at| self.lexicon.details[at].sign);
        let part: Vec<bool> = mentions.iter().map(|m| sign(m) && graver(m)).collect();
        let own = mentions.into_iter().zip(part).filter(|(_, part)| !part);
        let mentions: Vec<Mention> = own.map(|(m, _)| m).collect();
        let mut findings = Vec::new();
        for at in 0..self.lexicon.concepts.len() {
            let of: Vec<&Mention> = mentions.iter().filter(|m| m.concept == at).collect();
            let own = of.iter().filter(|m| speaks_for(m)).min_by_key(|m| {
                let urgency = urgency_of(self.lexicon, at, m.detail);
                (
                    m.verdict.polarity,
                    heard_only(m.level),
                    urgency,
                    m.level,
                    m.span,
                )
            });
            // 上楼喘 is less urgent than 喘 alone, but not where both are said.
            let urgency = of
                .iter()
                .filter(|m| is_there(m) && !heard_only(m.level))
                .map(|m| urgency_of(self.lexicon, at, m.detail))
                .min();
            let others = of
                .iter()
                .find(|m| m.verdict.polarity == Some(Polarity::OtherPerson));
            findings.extend(
                own.into_iter()
                    .chain(others)
                    .map(|m| self.finding(m, urgency, logprob)),
            );
        }
        let mut suppressed: Vec<Suppressed> = mentions
            .iter()
            .filter(|m| m.verdict.polarity.is_none())
            .map(|m| Suppressed {
                concept: self.lexicon.concepts[m.concept].id.clone(),
                why: m
                    .verdict
                    .rules
                    .last()
                    .map_or(String::new(), |r| r.rule.clone()),
                evidence: self.evidence(m),
            })
            .collect();
        suppressed.extend(
            masked
                .into_iter()
                .map(|(seen, text)| self.masked(&seen, &text)),
        );
        let alert = findings.iter().any(Finding::alerts);
        Assessment {
            findings,
            suppressed,
            alert,
            readings: Vec::new(),
        }
    }

    /// Whether the concept's confirming question is about what was heard: "is your oxygen low?" is not about blue lips.
    fn can_be_asked(&self, mention: &Mention) -> bool {
        mention
            .detail
            .is_none_or(|at| self.lexicon.details[at].confirmed_by_parent)
    }

    /// `highest`: the most urgent that plain words of the patient's say of this concept.
    fn finding(
        &self,
        mention: &Mention,
        highest: Option<Urgency>,
        logprob: Option<f32>,
    ) -> Finding {
        let concept = &self.lexicon.concepts[mention.concept];
        let own = urgency_of(self.lexicon, mention.concept, mention.detail);
        let urgency = highest
            .filter(|_| is_there(mention))
            .map_or(own, |h| h.min(own));
        let polarity = mention.verdict.polarity.unwrap_or(Polarity::Absent);
        let faint = logprob.is_some_and(|p| p < DOUBTFUL_LOGPROB);
        let due = is_there(mention)
            && urgency == Urgency::Emergent
            && (heard_only(mention.level) || faint);
        Finding {
            concept: concept.id.clone(),
            detail: mention.detail.map(|at| self.lexicon.details[at].id.clone()),
            polarity,
            urgency,
            confirmation: match due {
                true if self.can_be_asked(mention) => Confirmation::Due,
                true => Confirmation::Unclear,
                false => Confirmation::NotNeeded,
            },
            when: When::Unclear,
            subject: About::Patient,
            evidence: self.evidence(mention),
        }
    }

    fn masked(&self, seen: &Sighting, text: &str) -> Suppressed {
        let mention = Mention {
            concept: seen.concept,
            detail: seen.detail,
            term: seen.term.clone(),
            span: (seen.start, seen.end),
            level: seen.level,
            subject: About::Patient,
            verdict: Verdict {
                polarity: None,
                rules: Vec::new(),
            },
        };
        Suppressed {
            concept: self.lexicon.concepts[seen.concept].id.clone(),
            why: format!("masked by {text}"),
            evidence: self.evidence(&mention),
        }
    }
}
