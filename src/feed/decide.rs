//! What a message makes of what is known: the same decisions as a row of a list, and those of a visit's event.

use aftercall_core::feed::{
    Ack, Event, Fault, Kin, Person, Refusal, Said, Told, VisitChange, code, visit_change,
};
use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::import::{Column, Stated, other_person};
use aftercall_core::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient,
};
use aftercall_core::phi::Phi;
use aftercall_core::plan::{LifeEvent, ReasonCode, StepState, discharged};
use aftercall_core::time::Timestamp;

use super::{Feed, is_of_visit};
use crate::import::{Row, change};
use crate::store::enrol::{Enrol, Known, Standing, StayChange};
use crate::store::feed::{FeedKnown, Merge, MessageState, Settled};
use crate::store::new_id;

/// A message that is none of ours, or that cannot be understood.
pub(super) fn refused(refusal: &Refusal) -> Settled {
    match refusal {
        Refusal::Rejected(fault) => Settled {
            state: MessageState::Rejected,
            ack: Ack::Reject,
            ..dead(fault.clone())
        },
        Refusal::Failed(fault) => dead(fault.clone()),
    }
}

/// A message that waits for a person.
pub(super) fn dead(fault: Fault) -> Settled {
    Settled {
        fault: Some(fault),
        ..settled(MessageState::Dead, Ack::Error)
    }
}

fn settled(state: MessageState, ack: Ack) -> Settled {
    Settled {
        state,
        ack,
        fault: None,
        change: None,
        mark: None,
        person_told_at: None,
        died: false,
        merge: None,
    }
}

/// What a message that was understood comes to.
pub(super) fn decide(told: &Told, known: &FeedKnown, feed: &Feed, now: Timestamp) -> Settled {
    match told.event {
        Event::Merged => merged(told, known),
        _ => of_person(told, known, feed, now),
    }
}

fn of_person(told: &Told, known: &FeedKnown, feed: &Feed, now: Timestamp) -> Settled {
    let before = known.patient.as_ref();
    let is_stale = known.person_told_at.is_some_and(|newest| newest > told.at);
    if let Some(before) = before
        && let Some(fault) = another(&told.person, &before.patient)
    {
        return dead(fault);
    }
    let mut faults = told.faults.clone();
    let stays: Vec<Episode> = before.map_or_else(Vec::new, |before| {
        before.stays.iter().map(|(stay, _)| stay.clone()).collect()
    });
    let visit = told
        .visit
        .as_ref()
        .filter(|visit| visit.counts && is_of_visit(told.event));
    if told.event == Event::Discharged && told.visit.is_none() {
        faults.push(Fault::new(
            "PV1",
            19,
            code::MISSING,
            "is empty: which stay ended is not said",
        ));
    }
    let (visit_is, mark) = visit.map_or((VisitChange::Nothing, None), |visit| {
        visit_change(told.event, visit, told.at, &known.marks, &stays)
    });
    if let VisitChange::Unclear(fault) = &visit_is {
        faults.push(fault.clone());
    }
    let sound = faults.is_empty();
    // What stops calls is applied whatever else is wrong; the rest only where all of it was understood.
    let mut person = match (before, is_stale, sound) {
        (None, _, _) | (Some(_), false, true) => told.person.clone(),
        (Some(_), true, _) | (Some(_), _, false) => only_life(&told.person),
    };
    if before.is_none() && known.died {
        person.life = Some(Life::Dead);
    }
    let (change, mark) = match &visit_is {
        VisitChange::Discharge { .. } if !sound => (None, None),
        VisitChange::AtHome(_) if !sound => (None, None),
        VisitChange::Discharge { again, readmitted } => {
            match enrolled(told, &person, before, feed, (*again, *readmitted), now) {
                Ok(change) => (Some(change), mark),
                Err(fault) => {
                    faults.push(fault);
                    (None, None)
                }
            }
        }
        VisitChange::Cancel(stay) => {
            let event = LifeEvent::DischargeCancelled { stay: stay.clone() };
            let stay = state(stay, EpisodeState::Cancelled, Some(event));
            (with_stay(&person, before, feed, Some(stay)), mark)
        }
        VisitChange::Readmit(stay) => {
            let stay = state(stay, EpisodeState::Readmitted, Some(LifeEvent::Admitted));
            (with_stay(&person, before, feed, Some(stay)), mark)
        }
        VisitChange::AtHome(stay) => {
            let event = Some(LifeEvent::AdmissionCancelled);
            let stay = state(stay, EpisodeState::Discharged, event);
            (with_stay(&person, before, feed, Some(stay)), mark)
        }
        VisitChange::Nothing | VisitChange::Stale | VisitChange::Unclear(_) => {
            (with_stay(&person, before, feed, None), mark)
        }
    };
    // A discharge that could not be enrolled: what stops calls still holds.
    let change = change.or_else(|| with_stay(&only_life(&told.person), before, feed, None));
    let is_dead = told.person.life == Some(Life::Dead);
    let is_known = change.is_some() && faults.is_empty();
    let applied = Settled {
        person_told_at: (!is_stale && (is_known || is_dead)).then_some(told.at),
        died: is_dead,
        change,
        mark,
        ..settled(MessageState::Applied, Ack::Accept)
    };
    if let Some(fault) = faults.into_iter().next() {
        return Settled {
            change: applied.change,
            mark: applied.mark,
            died: applied.died,
            person_told_at: applied.person_told_at,
            ..dead(fault)
        };
    }
    let does_nothing = applied.change.as_ref().is_none_or(is_empty);
    let state = match (does_nothing, is_stale || visit_is == VisitChange::Stale) {
        (false, _) => MessageState::Applied,
        (true, true) => MessageState::Stale,
        (true, false) => MessageState::Unchanged,
    };
    Settled { state, ..applied }
}

fn is_empty(change: &Enrol) -> bool {
    change.patient_is == Standing::Same
        && change.episode_is == Standing::Same
        && !change.contacts_changed
        && change.steps.is_empty()
        && change.dropped.is_empty()
        && change.stays.is_empty()
        && change.events.is_empty()
}

fn state(stay: &EpisodeId, state: EpisodeState, event: Option<LifeEvent>) -> StayChange {
    StayChange {
        stay: stay.clone(),
        state,
        event,
    }
}

/// The number is somebody else's by now.
fn another(person: &Person, known: &Patient) -> Option<Fault> {
    let mut told = known.clone();
    if let Some(name) = &person.name {
        told.name = name.clone();
    }
    if let Some(birth_date) = &person.birth_date {
        told.birth_date = birth_date.clone();
    }
    other_person(known, &told).then(|| {
        let fault =
            "belongs to another patient: the record has another name and another birth date";
        Fault::new("PID", 3, code::KEY, fault)
    })
}

/// Of a stale or broken message only a death is believed: it may come late, and no message takes it back.
fn only_life(person: &Person) -> Person {
    Person {
        number: person.number.clone(),
        name: None,
        birth_date: None,
        phone: Said::Nothing,
        lang: None,
        life: person.life,
        kin: Vec::new(),
        kin_deleted: false,
    }
}

/// The stay of a discharge, new or corrected, as a row of a list would bring it.
fn enrolled(
    told: &Told,
    person: &Person,
    before: Option<&Known>,
    feed: &Feed,
    (again, readmitted): (bool, bool),
    now: Timestamp,
) -> Result<Enrol, Fault> {
    let missing = |segment, field| Fault::new(segment, field, code::MISSING, "is empty");
    let visit = told.visit.as_ref().ok_or_else(|| missing("PV1", 19))?;
    let discharged_at = visit.discharged_at.unwrap_or(told.at);
    if discharged_at > now + jiff::SignedDuration::from_hours(24) {
        return Err(Fault::new("PV1", 45, code::DATA_TYPE, "is in the future"));
    }
    let (patient, stated) = patient(person, before, feed)?;
    let episode = Episode {
        id: EpisodeId(new_id()),
        patient: patient.id.clone(),
        encounter: visit.encounter.clone(),
        pathway: String::new(),
        department: visit.department.clone().unwrap_or_default(),
        ward: visit.ward.clone().unwrap_or_default(),
        discharged_at,
        state: if readmitted {
            EpisodeState::Readmitted
        } else {
            EpisodeState::Discharged
        },
        high_risk: false,
    };
    let columns = [
        visit.department.as_ref().map(|_| Column::Department),
        visit.ward.as_ref().map(|_| Column::Ward),
    ];
    let row = Row {
        line: 0,
        patient,
        episode,
        case: told.case.clone(),
    };
    let stated = Stated::of(stated.into_iter().chain(columns.into_iter().flatten()));
    let reopened = before
        .filter(|_| again)
        .map(|before| reopened(before, &visit.encounter));
    let known = reopened.as_ref().or(before);
    let change = change(&row, known, stated, &feed.pathways);
    let mut change = change.ok_or_else(|| {
        let fault = "leads to no pathway: none fits diagnosis and department";
        Fault::new("DG1", 3, code::KEY, fault)
    })?;
    if again {
        let stays = known.iter().flat_map(|known| &known.stays);
        let mut stays: Vec<Episode> = stays.map(|(stay, _)| stay.clone()).collect();
        for stay in stays.iter_mut().filter(|stay| stay.id == change.episode.id) {
            stay.discharged_at = change.episode.discharged_at;
        }
        let stay = change.episode.id.clone();
        let event = discharged(&stay, &stays);
        change
            .stays
            .push(state(&stay, EpisodeState::Discharged, event));
    }
    Ok(change)
}

/// As it is when the cancelled stay holds again: its steps may move to their new days.
fn reopened(before: &Known, encounter: &str) -> Known {
    let mut known = before.clone();
    let stay = known
        .stays
        .iter_mut()
        .find(|(stay, _)| stay.encounter == encounter);
    if let Some((stay, plan)) = stay {
        stay.state = EpisodeState::Discharged;
        let cancelled = format!("{}:", ReasonCode::DischargeCancelled);
        for step in plan
            .iter_mut()
            .filter(|step| step.state == StepState::Blocked && step.reason.starts_with(&cancelled))
        {
            step.state = StepState::Planned;
        }
    }
    known
}

/// The person alone, beside a stay that is known; `None` where nothing is planned for her.
fn with_stay(
    person: &Person,
    before: Option<&Known>,
    feed: &Feed,
    stay: Option<StayChange>,
) -> Option<Enrol> {
    let before = before?;
    let (episode, _) = before.stays.first()?;
    let (patient, stated) = patient(person, Some(before), feed).ok()?;
    let row = Row {
        line: 0,
        patient,
        episode: episode.clone(),
        case: None,
    };
    let mut change = change(
        &row,
        Some(before),
        Stated::of(stated.into_iter()),
        &feed.pathways,
    )?;
    // Nothing is said of that stay: it, and its plan, are left alone.
    change.episode = episode.clone();
    change.episode_is = Standing::Same;
    change.steps.clear();
    change.dropped.clear();
    change.stays.extend(stay);
    Some(change)
}

/// The patient as the message tells, and which columns it has; what it leaves out is as known.
fn patient(
    person: &Person,
    before: Option<&Known>,
    feed: &Feed,
) -> Result<(Patient, Vec<Column>), Fault> {
    let missing = |field| Fault::new("PID", field, code::MISSING, "is empty");
    let known = before.map(|before| &before.patient);
    let name = person
        .name
        .clone()
        .or_else(|| known.map(|known| known.name.clone()));
    let birth_date = person.birth_date.clone();
    let birth_date = birth_date.or_else(|| known.map(|known| known.birth_date.clone()));
    let mut stated = Vec::new();
    let phone = match &person.phone {
        Said::Nothing => None,
        Said::Deleted => {
            stated.push(Column::Phone);
            None
        }
        Said::Is(number) => {
            stated.push(Column::Phone);
            Some(number.clone())
        }
    };
    if person.lang.is_some() {
        stated.push(Column::Language);
    }
    if !person.kin.is_empty() || person.kin_deleted {
        stated.push(Column::Contacts);
    }
    let patient = Patient {
        id: known.map_or_else(|| PatientId(new_id()), |known| known.id.clone()),
        hospital: feed.hospital.clone(),
        number: person.number.clone(),
        name: name.ok_or_else(|| missing(5))?,
        birth_date: birth_date.ok_or_else(|| missing(7))?,
        phone,
        lang: person.lang.unwrap_or(feed.defaults.lang),
        dialect: None,
        hearing: Hearing::Normal,
        zone: feed.defaults.zone.clone(),
        knows_diagnosis: false,
        life: person.life.unwrap_or(Life::Alive),
        consent: Consent {
            basis: feed.defaults.consent,
            ..Consent::default()
        },
        contacts: contacts(person, known.map_or(&[], |known| &known.contacts), feed),
    };
    Ok((patient, stated))
}

/// Known contacts with what is told of them, then those who are new. Who is not named stays; who is next of kin no more is
/// dropped; what a contact may be told is never widened.
fn contacts(person: &Person, known: &[Contact], feed: &Feed) -> Vec<Contact> {
    let mut contacts = if person.kin_deleted {
        Vec::new()
    } else {
        known.to_vec()
    };
    let is_same = |contact: &Contact, told: &Kin| {
        let same_phone = contact.phone.is_some() && contact.phone == told.phone;
        contact.name == told.name || same_phone
    };
    for ended in person.kin.iter().filter(|told| told.has_ended) {
        contacts.retain(|contact| !is_same(contact, ended));
    }
    for told in person.kin.iter().filter(|told| !told.has_ended) {
        match contacts.iter_mut().find(|contact| is_same(contact, told)) {
            Some(contact) => {
                contact.name = Phi::new(told.name.expose().clone());
                contact.phone = told.phone.clone().or_else(|| contact.phone.clone());
            }
            None => contacts.push(Contact {
                name: told.name.clone(),
                relation: told.relation,
                phone: told.phone.clone(),
                topics: feed.defaults.topics.clone(),
            }),
        }
    }
    contacts
}

/// Two records become one: what stops calls of either holds for both.
fn merged(told: &Told, known: &FeedKnown) -> Settled {
    let same = |a: &Known, b: &Known| a.patient.id == b.patient.id;
    let merge = match (&known.prior, &known.patient) {
        (Some(prior), Some(goes_on)) if same(prior, goes_on) => {
            Merge::Nothing(Some(goes_on.patient.id.clone()))
        }
        (Some(prior), Some(goes_on)) => {
            if other_person(&prior.patient, &goes_on.patient) {
                let fault = "names a record with another name and another birth date";
                return dead(Fault::new("MRG", 1, code::KEY, fault));
            }
            Merge::Into(prior.patient.id.clone(), goes_on.patient.id.clone())
        }
        (Some(prior), None) => {
            if let Some(fault) = another(&told.person, &prior.patient) {
                return dead(fault);
            }
            Merge::Renumber(prior.patient.id.clone())
        }
        (None, Some(goes_on)) => Merge::Nothing(Some(goes_on.patient.id.clone())),
        (None, None) => Merge::Nothing(None),
    };
    let change = match (&merge, &known.prior, &known.patient) {
        (Merge::Into(..), Some(prior), Some(goes_on)) => strictest(prior, goes_on),
        _ => None,
    };
    let state = match &merge {
        Merge::Nothing(None) => MessageState::Unchanged,
        _ => MessageState::Applied,
    };
    Settled {
        change,
        merge: Some(merge),
        ..settled(state, Ack::Accept)
    }
}

/// A death or a withdrawn consent of the record that is given up.
fn strictest(prior: &Known, goes_on: &Known) -> Option<Enrol> {
    let (prior, before) = (&prior.patient, &goes_on.patient);
    let mut patient = before.clone();
    if prior.life != Life::Alive && before.life == Life::Alive {
        patient.life = prior.life;
    }
    if prior.consent.basis == ConsentBasis::Withdrawn {
        patient.consent = prior.consent.clone();
    }
    let (episode, _) = goes_on.stays.first()?;
    Some(Enrol {
        patient_is: if patient == *before {
            Standing::Same
        } else {
            Standing::Changed
        },
        contacts_changed: false,
        consent_changed: patient.consent != before.consent,
        episode: episode.clone(),
        episode_is: Standing::Same,
        steps: Vec::new(),
        dropped: Vec::new(),
        errands: Vec::new(),
        readings: Vec::new(),
        events: (patient.life == Life::Dead)
            .then_some(LifeEvent::Died)
            .into_iter()
            .collect(),
        stays: Vec::new(),
        patient,
    })
}
