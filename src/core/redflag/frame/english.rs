//! Answers that only English gives: by what something is like, by when it comes, by a date, by a place, and the yes or no
//! that stands whatever follows it.

use super::{Answer, Put, Said};
use crate::question::QuestionKind;
use crate::redflag::assert::Scene;
use crate::redflag::cue::Cue;
use crate::redflag::find::Sighting;
use crate::redflag::normal::Cut;

/// What takes a yes back, ends it or leaves it unanswered.
const DENIES: [Cue; 8] = [
    Cue::No,
    Cue::Neg,
    Cue::NegTight,
    Cue::NegAfter,
    Cue::Fine,
    Cue::Ceased,
    Cue::Better,
    Cue::Unknown,
];

/// Whether a yes stands here: nothing denies it, nor is one of the further kinds, and the clause does not ask back.
fn stands(scene: &Scene<'_>, from: usize, to: usize, nor: &[Cue]) -> bool {
    has_none(scene, from, to, &DENIES) && has_none(scene, from, to, nor)
}

/// Whether none of the kinds is said here, and the clause does not ask back.
fn has_none(scene: &Scene<'_>, from: usize, to: usize, kinds: &[Cue]) -> bool {
    scene.cues_between(from, to, kinds).next().is_none() && scene.units[to - 1].after != Cut::Ask
}

/// "Yeah the nurse had to strap it", "no all quiet down there": an English yes or no stands, whatever follows it in its
/// clause, unless that names a symptom, turns the answer round or asks back.
pub(super) fn opens(
    scene: &Scene<'_>,
    answer: Answer,
    (from, at): (usize, usize),
    to: usize,
) -> bool {
    const YES: [&str; 9] = [
        "yes", "yeah", "yep", "yup", "yea", "aye", "mm-hmm", "uh-huh", "mhm",
    ];
    const NO: [&str; 4] = ["no", "nope", "nah", "naw"];
    const TURNS_NO: [Cue; 6] = [
        Cue::Has,
        Cue::Agree,
        Cue::Hedge,
        Cue::Pseudo,
        Cue::Unknown,
        Cue::Both,
    ];
    const HOW_OFTEN: [&str; 18] = [
        "spot",
        "drop",
        "few",
        "smear",
        "trace",
        "streak",
        "speck",
        "tinge",
        "sometimes",
        "occasionally",
        "once",
        "twice",
        "often",
        "bit",
        "little",
        "touch",
        "tad",
        "slightly",
    ];
    let yes_stands = || stands(scene, at, to, &[Cue::Neither]);
    let (words, is_left): (&[&str], bool) = match answer {
        Answer::Agree => (&YES, yes_stands()),
        Answer::Has => (&HOW_OFTEN, yes_stands()),
        Answer::No => (&NO, has_none(scene, at, to, &TURNS_NO)),
        Answer::Disagree
        | Answer::Fine
        | Answer::Persists
        | Answer::Both
        | Answer::Neither
        | Answer::RestNo
        | Answer::Unknown => return false,
    };
    let said = scene.units[from..at].iter();
    let named = |s: &Sighting| s.start < to && from < s.end;
    said.map(|u| u.text.as_str()).any(|u| words.contains(&u))
        && is_left
        && !scene.sightings.iter().any(named)
}

/// Whether the clause that ends here ends in "so yes" or "so no".
pub(super) fn concludes(scene: &Scene<'_>, to: usize) -> bool {
    let said = |at: usize| scene.units[at].text.as_str();
    said(to - 2) == "so" && matches!(said(to - 1), "no" | "nope" | "yes" | "yeah" | "yep")
}

/// "My calves are fine": the place is named for being well.
pub(super) fn well(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    let kinds = [Cue::NegAfter, Cue::Fine, Cue::Ceased, Cue::Better];
    scene.cues_between(from, to, &kinds).next().is_some()
}

/// "Are you taking your tablets?" "When I remember.": not always, which the healthy state would be.
pub(super) fn at_times(scene: &Scene<'_>, at: usize) -> bool {
    const TIMES: [&str; 10] = [
        "half",
        "rarely",
        "seldom",
        "sometimes",
        "mostly",
        "usually",
        "occasionally",
        "most",
        "some",
        "when",
    ];
    TIMES.contains(&scene.units[at].text.as_str())
}

/// The end of an English part of the body that begins at this unit and is in no wording.
pub(super) fn body_at(scene: &Scene<'_>, at: usize) -> Option<usize> {
    let hits = scene.slots.hits().iter();
    let seen = |at: usize| scene.sightings.iter().any(|s| s.start <= at && at < s.end);
    hits.filter(|h| {
        h.start == at && scene.slots.is_body(h) && !scene.units[at].is_han() && !seen(at)
    })
    .map(|h| h.end)
    .max()
}

/// Whether nothing but assent and small words stands before: the place alone is then the answer.
pub(super) fn is_first(scene: &Scene<'_>, from: usize) -> bool {
    let light = [Cue::Particle, Cue::Agree, Cue::Through];
    let mut at = 0;
    while at < from {
        match scene.cue_starting(at) {
            Some(cue) if cue.cues.any(&light) => at = cue.end,
            Some(_) | None => return false,
        }
    }
    true
}

/// "Any trouble with your eyes?" "It's like looking through net curtains.": what is likened to something is there. What
/// is as it should be (like new, like always) is not, nor what somebody likes.
pub(super) fn likens(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const WELL: [&str; 21] = [
        "new",
        "normal",
        "usual",
        "always",
        "before",
        "ever",
        "clockwork",
        "that",
        "this",
        "it",
        "i",
        "you",
        "me",
        "him",
        "her",
        "them",
        "my",
        "they",
        "everybody",
        "everyone",
        "any",
    ];
    const IS: [&str; 24] = [
        "it", "they", "that", "he", "she", "is", "are", "was", "were", "be", "been", "feel",
        "feels", "felt", "look", "looks", "looked", "sounds", "more", "almost", "just", "gone",
        "went", "come",
    ];
    let said = |at: usize| scene.units.get(at).map_or("", |u| u.text.as_str());
    let likened = (from + 1..to.saturating_sub(1)).any(|at| {
        said(at) == "like" && !WELL.contains(&said(at + 1)) && IS.contains(&said(at - 1))
    });
    likened && stands(scene, from, to, &[])
}

/// "Are you short of breath?" "Only when I climb the stairs.": who says when it comes says that it comes; who says when
/// it came does not.
pub(super) fn tells_when(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const ONLY: [&str; 8] = [
        "only",
        "just",
        "mostly",
        "mainly",
        "usually",
        "especially",
        "more",
        "but",
    ];
    const WHEN: [&str; 5] = ["when", "whenever", "after", "during", "while"];
    const WHERE: [&str; 7] = ["at", "in", "on", "if", "with", "first", "where"];
    const WAS: [&str; 5] = ["was", "were", "had", "did", "used"];
    let said = |at: usize| scene.units.get(at).map_or("", |u| u.text.as_str());
    let begins = (from..to)
        .find(|at| !ONLY.contains(&said(*at)))
        .unwrap_or(to);
    let when = WHEN.contains(&said(begins)) || begins > from && WHERE.contains(&said(begins));
    let was = (from..to).any(|at| WAS.contains(&said(at)));
    let lately = scene
        .cues_between(from, to, &[Cue::Recent])
        .next()
        .is_some();
    when && (!was || lately)
        && is_first(scene, from)
        && stands(scene, from, to, &[Cue::Past, Cue::Event])
}

/// "Any chest pain?" "Maybe.", "I think so.": a yes in doubt. Who is not sure or cannot say has answered nothing.
pub(super) fn supposes(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> bool {
    const SUPPOSES: [&str; 15] = [
        "maybe", "perhaps", "possibly", "possible", "probably", "might", "could", "may", "guess",
        "suppose", "think", "likely", "reckon", "daresay", "imagine",
    ];
    const CANNOT_SAY: [&str; 6] = ["sure", "say", "tell", "know", "certain", "swear"];
    let asked = matches!(put.kind, QuestionKind::YesNo | QuestionKind::YesNoNegated);
    let any = |words: &[&str]| {
        let mut said = scene.units[from..to].iter();
        said.any(|u| words.contains(&u.text.as_str()))
    };
    asked && any(&SUPPOSES) && !any(&CANNOT_SAY)
}

/// "Any palpitations?" "Last night, for an hour.": a date by itself says that it was then. One with a subject of its own
/// ("this morning I was fine") tells something else.
pub(super) fn dates(scene: &Scene<'_>, from: usize, to: usize) -> bool {
    const BEFORE: [&str; 8] = ["on", "in", "about", "around", "just", "only", "back", "for"];
    const SUBJECTS: [&str; 11] = [
        "i", "my", "we", "he", "she", "it", "they", "you", "the", "that", "there",
    ];
    let said = |at: usize| scene.units[at].text.as_str();
    let begins = (from..to)
        .find(|at| !BEFORE.contains(&said(*at)))
        .unwrap_or(from);
    let Some(date) = scene.cue_starting(begins) else {
        return false;
    };
    !scene.units[from].is_han()
        && date.cues.any(&[Cue::Recent, Cue::Day])
        && is_first(scene, from)
        && !(date.end..to).any(|at| SUBJECTS.contains(&said(at)))
        && stands(scene, from, to, &[Cue::Past, Cue::Event, Cue::Ongoing])
}

/// A word that begins a place or a time: "a spot or two on the gauze", "yes when I walk".
pub(super) fn places(scene: &Scene<'_>, at: usize) -> bool {
    const PLACES: [&str; 14] = [
        "with", "on", "in", "at", "when", "after", "behind", "round", "around", "from", "since",
        "under", "by", "near",
    ];
    PLACES.contains(&scene.units[at].text.as_str())
}

/// "Any weakness on one side?" "My right hand won't do as it's told.": who is asked after a complaint and tells of a
/// trouble that no wording names, nor anything else, may well mean it. In doubt it is uncertain, not unsaid.
pub(super) fn tells_trouble(scene: &Scene<'_>, put: &Put<'_>, from: usize, to: usize) -> bool {
    const TROUBLE: [&str; 38] = [
        "keep",
        "keeps",
        "kept",
        "struggle",
        "struggling",
        "struggled",
        "worse",
        "bad",
        "badly",
        "terrible",
        "awful",
        "dreadful",
        "horrible",
        "funny",
        "queer",
        "odd",
        "strange",
        "weird",
        "wrong",
        "bother",
        "bothers",
        "bothering",
        "trouble",
        "troubling",
        "gyp",
        "grief",
        "can't",
        "couldn't",
        "won't",
        "wouldn't",
        "hardly",
        "barely",
        "started",
        "starts",
        "must",
        "suddenly",
        "frightened",
        "rough",
    ];
    const ELSEWHERE: [&str; 31] = [
        "hear", "you", "phone", "line", "signal", "telly", "tv", "door", "doorbell", "dog", "cat",
        "weather", "rain", "bus", "car", "shop", "shops", "talk", "say", "tell", "remember",
        "complain", "wait", "hold", "moment", "news", "traffic", "sleep", "thank", "grumble",
        "better",
    ];
    const OTHERS: [Cue; 5] = [Cue::Kin, Cue::Other, Cue::Pseudo, Cue::Hypo, Cue::Past];
    let said = |at: usize| scene.units[at].text.as_str();
    let any = |words: &[&str]| (from..to).any(|at| words.contains(&said(at)));
    let must = (from..to.saturating_sub(1))
        .any(|at| matches!(said(at), "have" | "had" | "need") && said(at + 1) == "to");
    let named = |s: &Sighting| s.start < to && from < s.end;
    !scene.units[from].is_han()
        && put.asked.len() == 1
        && is_first(scene, from)
        && (any(&TROUBLE) || must)
        && !any(&ELSEWHERE)
        && !scene.sightings.iter().any(named)
        && stands(scene, from, to, &OTHERS)
}

/// "I had a bit of heartburn after the curry, but no.": the answer stands at the end.
pub(super) fn ends_in_no(scene: &Scene<'_>, said: &Said) -> bool {
    let (from, to) = said.span;
    let last = scene.units.get(to - 1).map_or("", |u| u.text.as_str());
    to - from == 2
        && to == scene.units.len()
        && scene.units[from].text == "but"
        && matches!(last, "no" | "nope")
}

/// "I had one but it's gone", "I was a bit at first, but that's settled", where neither an emergency nor an event is
/// asked; "always been a bit forgetful", where only the new counts.
pub(super) fn is_old(scene: &Scene<'_>, put: &Put<'_>, (from, to): (usize, usize)) -> bool {
    let end = scene.clause_end(to + 1);
    let said = |from, to, kind| scene.cues_between(from, to, &[kind]).next().is_some();
    let was = scene.units[from..to]
        .iter()
        .any(|u| matches!(u.text.as_str(), "had" | "was" | "were" | "did"));
    let before = said(from, to, Cue::Older) || was && !said(from, to, Cue::Recent);
    let settled = !put.emergent
        && !put.event
        && before
        && said(to, end, Cue::Ceased)
        && !said(to, scene.units.len(), Cue::Ongoing);
    let fresh = scene.units[from..end]
        .iter()
        .any(|u| u.text == "worse" || u.text == "more");
    settled || put.onset && said(from, end, Cue::Lasting) && !fresh
}
