//! What the words around a cue make of it: a measure word that looks like "only", a time that something is compared
//! with, an event and a word of time that are a date together, a year.

use super::cue::{Cue, Cues};
use super::english::none_since;
use super::find::{CueHit, crosses};
use super::normal::{Cut, Unit};

/// Settles what each cue is, in place.
pub fn settle(cues: &mut Vec<CueHit>, units: &[Unit]) {
    count(cues, units);
    compare(cues, units);
    date(cues, units);
    years(cues, units);
    none_since(cues, units);
}

/// 揣了只兔子, 一只手: a measure word is no "only".
fn count(cues: &mut [CueHit], units: &[Unit]) {
    for cue in cues {
        let only = cue.end == cue.start + 1 && units[cue.start].text == "只";
        let counted = cue.start > 0
            && units[cue.start - 1].after == Cut::None
            && matches!(
                units[cue.start - 1].text.as_str(),
                "了" | "一" | "两" | "几" | "这" | "那" | "哪" | "半" | "每" | "养"
            );
        if only && counted {
            cue.cues = Cues::of(&[Cue::Through]);
        }
    }
}

/// 比住院那会强, 没以前那么喘: a time that something is compared with is not when it was, and the 没 before it denies
/// a degree, not the thing.
fn compare(cues: &mut [CueHit], units: &[Unit]) {
    const REACH: usize = 6;
    let times = Cues::of(&[Cue::Past, Cue::Older, Cue::Event, Cue::When]);
    let said = |at: usize| units.get(at).map_or("", |u| u.text.as_str());
    let as_much = |from: usize| {
        (from..(from + REACH).min(units.len()))
            .any(|at| matches!(said(at), "那" | "这") && said(at + 1) == "么")
    };
    for at in 0..cues.len() {
        let time = cues[at];
        let Some(before) = time.start.checked_sub(1) else {
            continue;
        };
        if !time.cues.meets(times) || units[before].after != Cut::None {
            continue;
        }
        let denies = at > 0 && cues[at - 1].end == time.start && {
            let last = &cues[at - 1].cues;
            last.any(&[Cue::Neg, Cue::NegTight, Cue::No]) && as_much(time.end)
        };
        if denies {
            cues[at - 1].cues = Cues::of(&[Cue::Pseudo]);
        }
        if denies || matches!(said(before), "比" | "跟" | "和" | "像" | "同" | "如") {
            cues[at].cues = Cues::of(&[Cue::Through]);
            // The rest of the time: 比|住院|的时候.
            if let Some(rest) = cues.get_mut(at + 1)
                && rest.cues.has(Cue::When)
                && rest.start == time.end
            {
                rest.cues = Cues::of(&[Cue::Through]);
            }
        }
    }
}

/// A year is a time before discharge: "in 2009", "nineteen eighty two", "two thousand and nine". Only years that were
/// over when this was written: a later one may be the year of the call.
fn years(cues: &mut Vec<CueHit>, units: &[Unit]) {
    const TENS: [&str; 9] = [
        "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    let said = |at: usize| units.get(at).map_or("", |u| u.text.as_str());
    let age = |word: &str| {
        TENS.contains(&word)
            || word.len() > 4 && word.ends_with("teen")
            || word.len() <= 2 && word.parse().is_ok_and(|age: u8| age < 100)
    };
    for at in 0..units.len() {
        // "when I was nineteen".
        let person = matches!(said(at + 1), "i" | "he" | "she");
        if said(at) == "when" && person && said(at + 2) == "was" && age(said(at + 3)) {
            cues.retain(|c| c.end <= at || at + 4 <= c.start);
            cues.push(CueHit {
                start: at,
                end: at + 4,
                cues: Cues::of(&[Cue::Past]),
            });
            continue;
        }
        let end = match (said(at), said(at + 1)) {
            ("nineteen", tens) if TENS.contains(&tens) => at + 2,
            ("two", "thousand") => at + 2,
            (year, _)
                if year.len() == 4
                    && year.parse().is_ok_and(|y: u16| (1900..=2024).contains(&y)) =>
            {
                at + 1
            }
            _ => continue,
        };
        let free = |c: &CueHit| c.end <= at || end <= c.start;
        if matches!(
            said(at.wrapping_sub(1)),
            "in" | "since" | "of" | "from" | "about" | "around"
        ) && cues.iter().all(free)
        {
            let mut when = Cues::default();
            when.add(Cue::Past);
            cues.push(CueHit {
                start: at,
                end,
                cues: when,
            });
        }
    }
    cues.sort_by_key(|c| c.start);
}

/// Makes 手术 … 之前, 刚打上石膏那天 a time before discharge: what was done in hospital and, soon after, a word of time.
fn date(cues: &mut [CueHit], units: &[Unit]) {
    const REACH: usize = 4;
    for at in 0..cues.len() {
        let event = cues[at];
        // 刚中风那会儿: just then, not just now.
        let just = units[event.start].text == "刚" && event.end == event.start + 1;
        if !event.cues.has(Cue::Event) && !just {
            continue;
        }
        let joined = |when: &CueHit| !crosses(units, event.end, when.start + 1, Cut::Weak);
        let when = cues[at + 1..]
            .iter_mut()
            .find(|c| c.cues.has(Cue::When) && c.start <= event.end + REACH && joined(c));
        let Some(when) = when else {
            continue;
        };
        let known = when.cues.has(Cue::Past);
        when.cues = Cues::default();
        if event.cues.has(Cue::Event) || known {
            when.cues.add(Cue::Past);
        } else {
            when.cues.add(Cue::Older);
        }
        if just {
            cues[at].cues = Cues::default();
            cues[at].cues.add(Cue::Through);
        }
    }
}
