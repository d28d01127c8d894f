//! Whom a step rings: the patient, for a child the guardian, and after vain tries the next contact who may speak.

use jiff::civil::Date;

use super::{Minors, NumberFacts, PastAttempt, Reason};
use crate::attempt::Disposition;
use crate::patient::{Contact, Patient, Relation, Topic};
use crate::phone::PhoneNumber;

/// Whose telephone it is. Who speaks is asked in the call all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Patient,
    /// A place among the patient's contacts.
    Contact(usize),
}

/// Below this age the guardian is rung and the child is the subject (PIPL art. 31).
const CHILD: i16 = 14;
/// Below this one the hospital says who is rung.
const ADULT: i16 = 18;
/// Vain tries of one number before the next contact's.
const VAIN: usize = 2;

/// One number that may be rung, in the order of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate<'a> {
    pub whom: Whom,
    pub number: &'a PhoneNumber,
}

/// Every number that may be rung for the patient today.
///
/// # Errors
/// A child without a guardian, a minor whom no robot calls, a record without a number or with none that can be dialled.
pub(super) fn candidates<'a>(
    patient: &'a Patient,
    minors: Minors,
    today: Date,
) -> Result<Vec<Candidate<'a>>, Reason> {
    let age = age_on(*patient.birth_date.expose(), today);
    let by_guardian = match (age, minors) {
        (..CHILD, _) | (CHILD..ADULT, Minors::Guardian) => true,
        (CHILD..ADULT, Minors::Nobody) => return Err(Reason::Minor { age }),
        (CHILD..ADULT, Minors::Patient) | (ADULT.., _) => false,
    };
    let may_speak = |contact: &Contact| {
        contact.topics.contains(&Topic::Health)
            && (!by_guardian || matches!(contact.relation, Relation::Guardian | Relation::Parent))
    };
    let own = patient.phone.iter().filter(|_| !by_guardian);
    let own = own.map(|number| (Whom::Patient, number));
    let contacts = patient.contacts.iter().enumerate();
    let others = contacts
        .filter(|(_, contact)| may_speak(contact))
        .filter_map(|(place, contact)| Some((Whom::Contact(place), contact.phone.as_ref()?)));
    let mut found: Vec<Candidate<'a>> = Vec::new();
    let mut has_extension = false;
    for (whom, number) in own.chain(others) {
        if !number.is_direct() {
            has_extension = true;
        } else if found.iter().all(|known| known.number != number) {
            found.push(Candidate { whom, number });
        }
    }
    if found.is_empty() {
        return Err(if has_extension {
            Reason::Extension
        } else if by_guardian {
            Reason::NoGuardian { age }
        } else {
            Reason::NoPhone
        });
    }
    Ok(found)
}

/// Whole years; who was born on 29 February is a year older on 1 March.
pub(super) fn age_on(birth: Date, today: Date) -> i16 {
    let before = (today.month(), today.day()) < (birth.month(), birth.day());
    (today.year() - birth.year() - i16::from(before)).max(0)
}

/// The candidate whom the next attempt rings.
///
/// # Errors
/// Nobody is left: why the last one is out.
pub(super) fn next<'a>(
    candidates: &[Candidate<'a>],
    numbers: &[NumberFacts],
    attempts: &[PastAttempt],
) -> Result<Candidate<'a>, Reason> {
    let mut out = Reason::NoPhone;
    let mut open: Vec<(usize, Candidate<'a>)> = Vec::new();
    let alone = candidates.len() == 1;
    for candidate in candidates {
        let to = |past: &&PastAttempt| past.number.as_ref().is_none_or(|n| n == candidate.number);
        let count = |of: &dyn Fn(Disposition) -> bool| {
            let past = attempts.iter().filter(to);
            past.filter(|past| past.disposition.is_some_and(of)).count()
        };
        let is_suppressed =
            |known: &NumberFacts| known.suppressed && known.number == *candidate.number;
        if numbers.iter().any(is_suppressed) {
            out = Reason::DoNotCall;
        } else if count(&|ended| ended == Disposition::InvalidNumber) > 0 {
            out = Reason::InvalidNumber;
        } else if count(&|ended| ended == Disposition::WrongParty) > usize::from(alone) {
            out = Reason::WrongParty;
        } else {
            open.push((count(&is_vain) / VAIN, *candidate));
        }
    }
    // Who asked to be rung again, or was cut off, is rung again, and nobody else in their place.
    let last = attempts.last();
    let stays = last.is_some_and(|last| last.disposition.is_some_and(|ended| !moves_on(ended)));
    let same = last
        .filter(|_| stays)
        .and_then(|last| last.number.as_ref())
        .and_then(|number| open.iter().find(|(_, open)| open.number == number));
    let least = open.iter().min_by_key(|(tries, _)| *tries);
    same.or(least).map(|(_, candidate)| *candidate).ok_or(out)
}

/// Outcomes after which another number may be the better one.
pub fn is_vain(ended: Disposition) -> bool {
    matches!(
        ended,
        Disposition::NoAnswer
            | Disposition::Machine
            | Disposition::Unreachable
            | Disposition::Declined
            | Disposition::Unidentified
    )
}

fn moves_on(ended: Disposition) -> bool {
    is_vain(ended) || matches!(ended, Disposition::InvalidNumber | Disposition::WrongParty)
}
