//! What a bare answer means to the question that was put: 有, 没有, 对, 不发, "neither", 第一个没有第二个有, 别的没有.
//!
//! A clause is bare when it holds answers and light words only. It speaks for the asked concepts that the reply does
//! not name itself.

mod chinese;
mod english;

use self::english::{
    at_times, body_at, concludes, dates, ends_in_no, is_first, is_old, likens, opens, places,
    supposes, tells_trouble, tells_when, well,
};
use super::assert::Scene;
use super::cue::{Cue, Cues};
use super::find::Sighting;
use super::normal::{Cut, Unit};
use crate::finding::Polarity;
use crate::question::QuestionKind;

/// The question, as far as bare answers need it.
pub struct Put<'a> {
    /// Some asked concept is emergent: any time since discharge counts.
    pub emergent: bool,
    /// Some asked concept is an event (a fall): any time since discharge counts.
    pub event: bool,
    /// Some asked concept counts only where it is new.
    pub onset: bool,
    pub kind: QuestionKind,
    pub asked: &'a [usize],
    pub units: &'a [Unit],
    /// Wordings of the asked concepts in the question's text.
    pub named: &'a [Sighting],
    /// The reply names an asked concept, and only to deny it.
    pub denied: bool,
}

impl Put<'_> {
    /// Whether the question names a complaint in so many words, and no health that may be lacking (小便多不多).
    fn names_complaint(&self) -> bool {
        let mut named = self.named.iter();
        named.any(|s| {
            let first = self.units[s.anchor.0].text.as_str();
            !matches!(first, "不" | "没")
        })
    }
}

/// One asked concept answered through the question.
#[derive(Clone, Debug)]
pub struct Answered {
    pub concept: usize,
    pub polarity: Polarity,
    pub rule: &'static str,
    /// Units of the reply that answer.
    pub span: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// There is (有, 疼).
    Has,
    /// As you say (对, right).
    Agree,
    /// Yes, which may agree with a negated question or contradict it.
    No,
    Disagree,
    Fine,
    /// No better (没好, still there): the symptom goes on, whichever way it was asked.
    Persists,
    Both,
    Neither,
    RestNo,
    Unknown,
}

#[derive(Clone, Copy, Debug)]
struct Said {
    answer: Answer,
    doubtful: bool,
    bare: bool,
    /// Places in `asked` that an ordinal picks out, first and behind the last.
    picks: Option<(usize, usize)>,
    only: bool,
    span: (usize, usize),
}

/// Reads the bare answers of a reply.
pub fn answers(scene: &Scene<'_>, put: &Put<'_>, named: &[usize]) -> Vec<Answered> {
    let open: Vec<usize> = put
        .asked
        .iter()
        .copied()
        .filter(|c| !named.contains(c))
        .collect();
    if put.asked.is_empty() {
        return Vec::new();
    }
    if let Some(span) = chinese::takes_back(scene, put) {
        return all(put.asked, Polarity::Present, "frame_left_over", span);
    }
    // A clause that names an asked concept of somebody else (是我自己晕过) answers nothing for the patient.
    let others = |from: usize, to: usize| {
        scene.sightings.iter().any(|s| {
            let asked = put.asked.contains(&s.concept) && !named.contains(&s.concept);
            // 疼是有点疼 is no yes to "does it hurt badly?".
            let milder = scene.units[from].is_han()
                && put.asked.iter().any(|c| scene.slots.covers(*c, s.concept));
            (asked && !s.topic || milder) && from <= s.start && s.end <= to
        })
    };
    let said = clauses(scene)
        .into_iter()
        .filter(|(from, to)| !others(*from, *to))
        .filter_map(|(from, to)| clause(scene, put, from, to))
        .collect::<Vec<_>>();
    let picked: Vec<&Said> = said.iter().filter(|s| s.picks.is_some()).collect();
    if !picked.is_empty() {
        return picked
            .into_iter()
            .flat_map(|s| pick(put, s, named))
            .collect();
    }
    let rest = said.iter().find(|s| s.answer == Answer::RestNo);
    let mut whole = said
        .iter()
        .filter(|s| !matches!(s.answer, Answer::RestNo | Answer::Unknown));
    let first = whole.next();
    let denies = first
        .is_some_and(|s| matches!(s.answer, Answer::No | Answer::Neither | Answer::Fine) && s.bare);
    if let Some(span) = since(scene, put).filter(|_| !denies) {
        return all(&open, Polarity::Present, "frame_since", span);
    }
    let Some(first) = first else {
        return rest.map_or(Vec::new(), |s| {
            all(&open, Polarity::Absent, "frame_rest", s.span)
        });
    };
    // A grunt of assent before the answer is no answer: 嗯，没有.
    let first = match first.answer {
        Answer::Agree => whole
            .clone()
            .find(|s| s.bare && s.answer != Answer::Fine)
            .unwrap_or(first),
        Answer::Has
        | Answer::No
        | Answer::Disagree
        | Answer::Fine
        | Answer::Persists
        | Answer::Both
        | Answer::Neither
        | Answer::RestNo
        | Answer::Unknown => first,
    };
    // 小便怎么样？跟以前一样: no complaint was put that could be there.
    let neutral = matches!(put.kind, QuestionKind::Open | QuestionKind::Wh)
        && scene.units[first.span.0].is_han()
        && !put.names_complaint()
        && said.iter().any(|s| is_as_before(scene, s.span));
    if neutral && first.answer == Answer::Has {
        return Vec::new();
    }
    let first = said
        .last()
        .filter(|s| ends_in_no(scene, s))
        .unwrap_or(first);
    let Some((mut polarity, mut rule)) = meaning(put.kind, first, put.asked.len()) else {
        return Vec::new();
    };
    // 嗯，说不好: a grunt, and then a doubt.
    let doubted = first.answer == Answer::Agree
        && scene.units[first.span.0].text == "嗯"
        && only_doubts(scene, first.span.1);
    if doubted && polarity == Polarity::Present {
        (polarity, rule) = (Polarity::Uncertain, "frame_conflict");
    }
    // 没有，好的: what agrees behind an answer only keeps the talk going.
    let turned =
        !neutral && whole.any(|s| s.bare && s.answer != Answer::Agree && opposed(put, first, s));
    if turned && polarity == Polarity::Absent {
        (polarity, rule) = (Polarity::Uncertain, "frame_conflict");
    }
    // 有过，那是前年的事: the answer is of then.
    let then = scene
        .cues
        .iter()
        .find(|c| first.span.0 <= c.start && c.end <= first.span.1 && c.cues.has(Cue::Past))
        .copied()
        .or_else(|| scene.dated_behind(first.span.1));
    let past = if scene.units[first.span.0].is_han() {
        then.is_some()
    } else {
        is_past(scene, first.span) || is_old(scene, put, first.span)
    };
    if past && polarity != Polarity::Absent {
        (polarity, rule) = (Polarity::Historical, "frame_past");
    }
    all(&open, polarity, rule, first.span)
}

/// 跟以前一样, 老样子: no different, whatever it was.
fn is_as_before(scene: &Scene<'_>, (from, to): (usize, usize)) -> bool {
    let said: String = scene.units[from..to]
        .iter()
        .map(|u| u.text.as_str())
        .collect();
    ["一样", "样子", "那样", "没变", "没啥变"]
        .iter()
        .any(|same| said.contains(same))
}

/// Whether the clause behind holds nothing but a doubt: 说不好, 我也不清楚.
fn only_doubts(scene: &Scene<'_>, from: usize) -> bool {
    let end = scene.clause_end(from + 1);
    let doubts = [Cue::Hedge, Cue::Unknown];
    let kinds = [
        Cue::Hedge,
        Cue::Unknown,
        Cue::Particle,
        Cue::Own,
        Cue::Through,
    ];
    let mut cues = scene.cues_between(from, end, &doubts);
    let bare = (from..end).all(|at| {
        let mut cues = scene.cues.iter();
        cues.any(|c| c.start <= at && at < c.end && c.cues.any(&kinds))
    });
    cues.next().is_some() && bare
}

/// A yes that its own clause or the one behind puts before the discharge: "Once, when I was a boy". English only.
fn is_past(scene: &Scene<'_>, (from, to): (usize, usize)) -> bool {
    let end = scene.clause_end(to + 1);
    // "Many years ago, when my first wife died, I did."
    let did = scene.units[from..to]
        .iter()
        .any(|u| matches!(u.text.as_str(), "did" | "had" | "was" | "were"));
    let from = match from.checked_sub(1) {
        Some(_) if did => scene.sentence_start(from),
        Some(at) => scene.clause_start(at),
        None => 0,
    };
    let said = |to: usize, kinds: &[Cue]| {
        let mut cues = scene.cues.iter();
        cues.any(|c| from <= c.start && c.end <= to && c.cues.any(kinds))
    };
    let begins = scene.units[from..to].iter().any(|u| {
        matches!(
            u.text.as_str(),
            "since" | "start" | "started" | "starting" | "began"
        )
    });
    !scene.units[from].is_han()
        && said(end, &[Cue::Past])
        && !said(to, &[Cue::Recent, Cue::Ongoing])
        && !begins
}

/// "How long have you had the fever?" takes the fever for granted; a time is an answer that does so too.
fn since(scene: &Scene<'_>, put: &Put<'_>) -> Option<(usize, usize)> {
    const ASKS: [&[&str]; 6] = [
        &["how", "long"],
        &["when", "did"],
        &["多", "久"],
        &["几", "天"],
        &["什", "么", "时", "候"],
        &["多", "长", "时", "间"],
    ];
    let asked = ASKS.iter().any(|words| {
        (0..put.units.len()).any(|at| {
            let run = put.units.get(at..at + words.len()).unwrap_or_default();
            let these = at > 0 && ["这", "前", "那"].contains(&put.units[at - 1].text.as_str());
            !these && run.len() == words.len() && run.iter().zip(*words).all(|(u, w)| u.text == *w)
        })
    });
    let open = matches!(put.kind, QuestionKind::Wh | QuestionKind::Open);
    let kinds = [Cue::Recent, Cue::Older, Cue::Ongoing];
    let time = scene
        .cues
        .iter()
        .find(|c| c.cues.any(&kinds))
        .map(|c| (c.start, c.end));
    time.filter(|_| asked && open)
}

fn opposed(put: &Put<'_>, first: &Said, second: &Said) -> bool {
    let side = |s: &Said| meaning(put.kind, s, 1).map(|(polarity, _)| polarity == Polarity::Absent);
    side(first) != side(second) && side(second).is_some()
}

fn all(
    concepts: &[usize],
    polarity: Polarity,
    rule: &'static str,
    span: (usize, usize),
) -> Vec<Answered> {
    concepts
        .iter()
        .map(|concept| Answered {
            concept: *concept,
            polarity,
            rule,
            span,
        })
        .collect()
}

/// What the answer says of an asked concept, by the form of the question (labelling policy 3 and 4).
fn meaning(kind: QuestionKind, said: &Said, asked: usize) -> Option<(Polarity, &'static str)> {
    let yes = match (said.doubtful, asked) {
        (true, _) | (false, 2..) => Polarity::Uncertain,
        (false, _) => Polarity::Present,
    };
    let no = (Polarity::Absent, "frame_no");
    match (said.answer, kind) {
        (Answer::Unknown | Answer::RestNo, _) => None,
        (Answer::Persists, _) => Some((yes, "frame_persists")),
        (Answer::Both, QuestionKind::YesNoInverse) => Some(no),
        (Answer::Both, _) => Some((
            if said.doubtful {
                Polarity::Uncertain
            } else {
                Polarity::Present
            },
            "frame_both",
        )),
        (Answer::Neither, QuestionKind::YesNoInverse) => Some((yes, "frame_inverse")),
        (Answer::Fine, _) | (Answer::Neither, _) => Some(no),
        (Answer::Has | Answer::Agree, QuestionKind::YesNo) => Some((yes, "frame_yes")),
        (Answer::Has | Answer::Disagree, QuestionKind::YesNoNegated) => {
            Some((yes, "frame_contradicts"))
        }
        (Answer::Agree | Answer::No, QuestionKind::YesNoNegated) => {
            Some((Polarity::Absent, "frame_agrees"))
        }
        (Answer::Has | Answer::Agree, QuestionKind::YesNoInverse) if said.doubtful => {
            Some((Polarity::Uncertain, "frame_inverse"))
        }
        (Answer::Has | Answer::Agree, QuestionKind::YesNoInverse) => {
            Some((Polarity::Absent, "frame_inverse"))
        }
        (Answer::No | Answer::Disagree, QuestionKind::YesNoInverse) => Some((yes, "frame_inverse")),
        (Answer::No | Answer::Disagree, _) => Some(no),
        (Answer::Has, QuestionKind::Wh | QuestionKind::Open) => {
            Some((Polarity::Uncertain, "frame_open"))
        }
        (Answer::Agree, QuestionKind::Wh | QuestionKind::Open) => None,
    }
}

fn pick(put: &Put<'_>, said: &Said, named: &[usize]) -> Vec<Answered> {
    let (from, to) = said.picks.unwrap_or((0, 0));
    let to = to.min(put.asked.len());
    let one = Said {
        picks: None,
        ..*said
    };
    let Some((polarity, _)) = meaning(put.kind, &one, 1) else {
        return Vec::new();
    };
    let chosen = |at: usize| (from..to).contains(&at);
    let answered = put
        .asked
        .iter()
        .enumerate()
        .filter(|(_, c)| !named.contains(c))
        .filter_map(|(at, concept)| {
            let polarity = match (chosen(at), said.only) {
                (true, _) => polarity,
                (false, true) => Polarity::Absent,
                (false, false) => return None,
            };
            Some(Answered {
                concept: *concept,
                polarity,
                rule: "frame_ordinal",
                span: said.span,
            })
        });
    answered.collect()
}

/// Clauses of the reply, half open.
fn clauses(scene: &Scene<'_>) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut from = 0;
    while from < scene.units.len() {
        let to = scene.clause_end(from + 1).max(from + 1);
        found.push((from, to));
        from = to;
    }
    found
}

const LIGHT: [Cue; 15] = [
    Cue::Past,
    Cue::Older,
    Cue::Event,
    Cue::When,
    Cue::Particle,
    Cue::Through,
    Cue::Recent,
    Cue::Ongoing,
    Cue::Contrast,
    Cue::Only,
    Cue::Hedge,
    Cue::Join,
    Cue::Then,
    Cue::Own,
    Cue::NegAfter,
];

const ANSWERS: [(Cue, Answer); 9] = [
    (Cue::RestNo, Answer::RestNo),
    (Cue::Unknown, Answer::Unknown),
    (Cue::Neither, Answer::Neither),
    (Cue::Both, Answer::Both),
    (Cue::Disagree, Answer::Disagree),
    (Cue::No, Answer::No),
    (Cue::Fine, Answer::Fine),
    (Cue::Has, Answer::Has),
    (Cue::Agree, Answer::Agree),
];

fn clause(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> Option<Said> {
    let ordinals = [
        (Cue::FirstTwo, (0, 2)),
        (Cue::First, (0, 1)),
        (Cue::Second, (1, 2)),
        (
            Cue::Last,
            (put.asked.len().saturating_sub(1), put.asked.len()),
        ),
        (
            Cue::LastTwo,
            (put.asked.len().saturating_sub(2), put.asked.len()),
        ),
    ];
    let mut said = Said {
        answer: Answer::Has,
        doubtful: false,
        bare: true,
        picks: None,
        only: false,
        span: (from, to),
    };
    // "My insurance dropped me, so no": what comes before only leads up to the answer.
    if to - from > 2 && concludes(scene, to) {
        return clause(scene, put, to - 1, to);
    }
    // "I can't pretend there's none".
    if put.kind != QuestionKind::YesNoInverse && scene.denies_denying(from, to).is_some() {
        return Some(said);
    }
    // 也不是没想过, 说没有是假的: two denials are a yes, whatever stands around them.
    let named = scene
        .sightings
        .iter()
        .any(|s| from <= s.start && s.end <= to);
    if !named
        && scene
            .cues_between(from, to, &[Cue::Double])
            .next()
            .is_some()
    {
        said.answer = Answer::Persists;
        return Some(said);
    }
    if chinese::of_another(scene, from) {
        return None;
    }
    if !named && chinese::as_well(scene, from, to) {
        said.answer = Answer::Fine;
        return Some(said);
    }
    let mut answer: Option<Answer> = None;
    let mut place = false;
    let mut at = from;
    while at < to {
        let Some(cue) = scene.cue_starting(at) else {
            // "Any swelling? Both ankles.": the place alone says yes.
            if let Some(end) = body_at(scene, at)
                .filter(|_| put.kind == QuestionKind::YesNo && is_first(scene, from))
            {
                place = true;
                at = end;
                continue;
            }
            if answer.is_some_and(|a| leads(scene, at) || a == Answer::Has && places(scene, at)) {
                said.bare = false;
                break;
            }
            if answer == Some(Answer::Has) && says_yes_first(scene, put, from, to)
                || answer.is_some_and(|a| opens(scene, a, (from, at), to))
            {
                said.bare = false;
                break;
            }
            let tells =
                likens(scene, from, to) || tells_when(scene, from, to) || dates(scene, from, to);
            let troubled = !tells && tells_trouble(scene, put, from, to);
            said.doubtful |= troubled && answer.is_none();
            if put.kind == QuestionKind::YesNo && answer.is_none() && (tells || troubled) {
                answer = Some(Answer::Has);
                said.bare = false;
                break;
            }
            return answer_by_echo(scene, put, from, to)
                .or_else(|| chinese::answer(scene, put, from, to));
        };
        // "Yes and it won't stop": the yes stands, whatever follows.
        if matches!(answer, Some(Answer::Agree)) && scene.units[at].text == "and" {
            said.bare = false;
            break;
        }
        // "The first one, yes, not the other": the rest is denied, the answer stands.
        if said.picks.is_some() && answer.is_some() && cue.cues.has(Cue::RestNo) {
            said.only = true;
            at = cue.end;
            continue;
        }
        let persists = cue.cues.has(Cue::Pseudo) && cue.cues.has(Cue::Has);
        // 有没有变化？没变化: what was asked is no symptom that could go on.
        // 神志清楚吗？不清楚: not so, and no "I don't know".
        let both = |word: [&str; 2]| {
            let said = &scene.units[cue.start..cue.end];
            let has = |units: &[Unit]| {
                units
                    .windows(2)
                    .any(|w| w[0].text == word[0] && w[1].text == word[1])
            };
            has(said) && has(put.units)
        };
        let here = if persists && both(["变", "化"]) {
            Some(Answer::No)
        } else if persists || both(["清", "楚"]) && scene.units[cue.start].text == "不" {
            Some(Answer::Persists)
        } else {
            spoken_answer(cue.cues)
        };
        let picks = ordinals
            .iter()
            .find(|(kind, _)| put.asked.len() > 1 && cue.cues.has(*kind))
            .map(|(_, range)| *range);
        if here.is_none() && picks.is_none() && !cue.cues.any(&LIGHT) {
            return answer_by_echo(scene, put, from, to)
                .or_else(|| chinese::answer(scene, put, from, to));
        }
        if answer.is_some() && cue.cues.has(Cue::Own) && here.is_none() {
            said.bare = false;
            break;
        }
        said.doubtful |= cue.cues.has(Cue::Hedge)
            || put.kind == QuestionKind::YesNoInverse && at_times(scene, at);
        said.only |= cue.cues.has(Cue::Only);
        said.picks = said.picks.or(picks);
        // "I was all right": the verb by itself is no answer.
        let verb = answer == Some(Answer::Has) && !scene.units[from].is_han();
        answer = match here {
            Some(Answer::Fine) if verb => here,
            _ => stronger(answer, here),
        };
        at = cue.end;
    }
    said.answer = match (answer, said.picks) {
        (Some(answer), _) => answer,
        // "The second": picked out by itself, it is the one.
        (None, Some(_)) if !scene.units[from].is_han() => {
            said.only = true;
            Answer::Has
        }
        (None, None) if place && !well(scene, from, to) => Answer::Has,
        (None, None) if said.doubtful && supposes(scene, put, from, to) => Answer::Has,
        (None, None)
            if put.kind == QuestionKind::YesNo
                && (likens(scene, from, to)
                    || tells_when(scene, from, to)
                    || dates(scene, from, to)) =>
        {
            Answer::Has
        }
        (None, _) => {
            return answer_by_echo(scene, put, from, to)
                .or_else(|| chinese::answer(scene, put, from, to));
        }
    };
    Some(said)
}

fn spoken_answer(cues: Cues) -> Option<Answer> {
    ANSWERS
        .iter()
        .find(|(kind, _)| cues.has(*kind))
        .map(|(_, answer)| *answer)
}

/// Of two answers in one clause the one that says more: 嗯没有 is no, 对有一点 is yes.
fn stronger(old: Option<Answer>, new: Option<Answer>) -> Option<Answer> {
    match (old, new) {
        (Some(Answer::Agree | Answer::Fine), Some(new)) => Some(new),
        (None, new) => new,
        (old, Some(Answer::Neither | Answer::RestNo | Answer::Unknown)) if old != new => new,
        (old, _) => old,
    }
}

/// Whether an answer may stand before this unit without a cut: "no my leg is fine", "yeah it hurts".
fn leads(scene: &Scene<'_>, at: usize) -> bool {
    matches!(
        scene.units[at].text.as_str(),
        "it" | "it's" | "that" | "there" | "the" | "not" | "nothing"
    )
}

/// 有没有摔过？有，前天在…: a yes to the form of the question, and then words that nobody understood. Only where
/// they hold nothing else: no symptom, no denial, no question back.
fn says_yes_first(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> bool {
    const LEAST: usize = 4;
    let alone = scene
        .cues
        .iter()
        .any(|c| c.start == from && c.end == from + 1);
    let yes = alone && scene.units[from].text == "有" && put.kind == QuestionKind::YesNo;
    let seen = scene
        .sightings
        .iter()
        .any(|s| from <= s.start && s.start < to);
    let denied = scene.units[from..to].iter().any(|u| {
        matches!(
            u.text.as_str(),
            "不" | "没" | "无" | "么" | "谁" | "事" | "空" | "吗"
        )
    });
    yes && !seen && !denied && to - from > LEAST && scene.units[to - 1].after != Cut::Ask
}

/// 发不发烧？发。 伤口没再出血吧？出了。 小便能解出来吗？解不出来。
fn answer_by_echo(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> Option<Said> {
    let mut denied = false;
    let mut fine = false;
    let mut core = Vec::new();
    let mut at = from;
    while at < to {
        let unit = &scene.units[at];
        if scene
            .sightings
            .iter()
            .any(|s| s.start <= at && at < s.end && !s.topic)
        {
            return None;
        }
        let double = |c: &super::find::CueHit| c.start == at && c.cues.has(Cue::Double);
        if matches!(unit.text.as_str(), "不" | "没" | "未") && !scene.cues.iter().any(double) {
            denied = true;
            at += 1;
            continue;
        }
        match scene.cue_starting(at) {
            Some(cue) if cue.cues.has(Cue::Double) => {
                at = cue.end;
            }
            Some(cue) if cue.cues.any(&[Cue::Neg, Cue::NegTight, Cue::No]) => {
                denied = true;
                at = cue.end;
            }
            // 伤口挺好: the asked words again, and that they are well.
            Some(cue) if cue.cues.has(Cue::Fine) => {
                fine = true;
                at = cue.end;
            }
            Some(cue) if cue.cues.any(&LIGHT) || cue.cues.has(Cue::Has) => at = cue.end,
            Some(_) | None => {
                core.push(unit.text.as_str());
                at += 1;
            }
        }
    }
    let core: Vec<&str> = core
        .into_iter()
        .filter(|u| !matches!(*u, "得" | "了" | "着" | "过"))
        .collect();
    let asked_for = |u: &str| put.units.iter().any(|q| q.text == u);
    // What the wording ends in, not what leads to it: 睡得着 answers nothing to 夜里睡觉有没有憋醒.
    let symptom = |u: &str| {
        put.named.iter().any(|s| {
            put.units[s.anchor.0..s.anchor.1]
                .iter()
                .any(|q| q.text == u)
        })
    };
    let han = core.iter().all(|u| u.chars().all(crate::pinyin::is_han));
    let meant = core.iter().any(|u| symptom(u))
        || (put.named.is_empty() && put.kind == QuestionKind::YesNoInverse);
    let echoes =
        !core.is_empty() && core.len() <= 6 && han && core.iter().all(|u| asked_for(u)) && meant;
    let well = !core.is_empty() && asked_as_health(put, &core.concat());
    let ends_asking = scene.units[to - 1].after == Cut::Ask;
    (echoes && !ends_asking).then_some(Said {
        answer: match (denied, fine) {
            (true, _) if !well => Answer::No,
            (true, _) => Answer::Persists,
            (false, true) => Answer::Fine,
            (false, false) if well => Answer::Fine,
            (false, false) => Answer::Has,
        },
        doubtful: (from..to).any(|at| {
            scene
                .cues
                .iter()
                .any(|c| c.start == at && c.cues.has(Cue::Hedge))
        }),
        bare: true,
        picks: None,
        only: false,
        span: (from, to),
    })
}

/// Whether the question asks for the word as the healthy state: 通 in 管子通不通, whose symptom is 不通.
fn asked_as_health(put: &Put<'_>, word: &str) -> bool {
    put.named.iter().any(|s| {
        let said: String = put.units[s.anchor.0..s.anchor.1]
            .iter()
            .map(|u| u.text.as_str())
            .collect();
        let denied = said.starts_with(['不', '没']) && said.contains(word);
        denied || s.term.contains(word) && s.term.contains(['不', '没'])
    })
}
