//! What a row changes of what is known: the merged record, the names of the fields that differ, and the rows that
//! cannot be believed.
//!
//! An import never revives: a death, a withdrawn consent and a readmission stay until a person changes them. What a
//! list has no column for stays as it is known.

use std::collections::BTreeMap;

use super::{Column, Stated};
use crate::patient::{Consent, ConsentBasis, Episode, EpisodeState, Life, Patient};

/// The patient as known after `told`, of which only the `stated` columns count.
pub fn merged_patient(known: &Patient, told: &Patient, stated: Stated) -> Patient {
    let mut merged = known.clone();
    merged.name = told.name.clone();
    merged.birth_date = told.birth_date.clone();
    if stated.has(Column::Phone) {
        merged.phone.clone_from(&told.phone);
    }
    if stated.has(Column::Language) {
        merged.lang = told.lang;
    }
    if stated.has(Column::Dialect) {
        merged.dialect.clone_from(&told.dialect);
    }
    if stated.has(Column::Hearing) {
        merged.hearing = told.hearing;
    }
    if stated.has(Column::Zone) {
        merged.zone.clone_from(&told.zone);
    }
    if stated.has(Column::KnowsDiagnosis) {
        merged.knows_diagnosis = told.knows_diagnosis;
    }
    if stated.has(Column::Contacts) {
        merged.contacts.clone_from(&told.contacts);
    }
    merged.life = match (known.life, told.life) {
        (Life::Dead, _) => Life::Dead,
        (known, Life::Alive) => known,
        (_, told) => told,
    };
    merged.consent = merged_consent(&known.consent, &told.consent, stated);
    merged
}

fn merged_consent(known: &Consent, told: &Consent, stated: Stated) -> Consent {
    if known.basis == ConsentBasis::Withdrawn {
        return known.clone();
    }
    let mut merged = if stated.has(Column::Consent) {
        told.clone()
    } else {
        known.clone()
    };
    // A list that does not name the text does not make it unknown.
    if merged.basis == known.basis {
        merged.text_version = merged.text_version.or_else(|| known.text_version.clone());
        merged.given_on = merged.given_on.or(known.given_on);
    }
    merged.recording = if stated.has(Column::RecordingConsent) {
        told.recording
    } else {
        known.recording
    };
    merged
}

/// The stay as known after `told`.
pub fn merged_episode(known: &Episode, told: &Episode, stated: Stated) -> Episode {
    let mut merged = known.clone();
    if !told.pathway.is_empty() {
        merged.pathway.clone_from(&told.pathway);
    }
    merged.discharged_at = told.discharged_at;
    if stated.has(Column::Department) {
        merged.department.clone_from(&told.department);
    }
    if stated.has(Column::Ward) {
        merged.ward.clone_from(&told.ward);
    }
    if stated.has(Column::HighRisk) {
        merged.high_risk = told.high_risk;
    }
    if told.state != EpisodeState::Discharged {
        merged.state = told.state;
    }
    merged
}

/// The columns in which two records of one patient, or two of one stay, differ; ids and the patient's own number do not count.
pub fn different(
    patients: (&Patient, &Patient),
    stays: Option<(&Episode, &Episode)>,
) -> Vec<Column> {
    let (a, b) = patients;
    let mut found = vec![
        (Column::Name, a.name != b.name),
        (Column::BirthDate, a.birth_date != b.birth_date),
        (Column::Phone, a.phone != b.phone),
        (Column::Language, a.lang != b.lang),
        (Column::Dialect, a.dialect != b.dialect),
        (Column::Hearing, a.hearing != b.hearing),
        (Column::Zone, a.zone != b.zone),
        (Column::Life, a.life != b.life),
        (
            Column::Consent,
            (a.consent.basis, &a.consent.text_version, a.consent.given_on)
                != (b.consent.basis, &b.consent.text_version, b.consent.given_on),
        ),
        (
            Column::RecordingConsent,
            a.consent.recording != b.consent.recording,
        ),
        (
            Column::KnowsDiagnosis,
            a.knows_diagnosis != b.knows_diagnosis,
        ),
        (Column::Contacts, a.contacts != b.contacts),
    ];
    if let Some((a, b)) = stays {
        found.extend([
            (Column::Pathway, a.pathway != b.pathway),
            (Column::Department, a.department != b.department),
            (Column::Ward, a.ward != b.ward),
            (Column::Discharged, a.discharged_at != b.discharged_at),
            (Column::Admission, a.state != b.state),
            (Column::HighRisk, a.high_risk != b.high_risk),
        ]);
    }
    found.sort_unstable();
    found
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(column, _)| column)
        .collect()
}

/// Whether the number belongs to somebody else by now: neither the name nor the birthday is the known one.
pub fn other_person(known: &Patient, told: &Patient) -> bool {
    known.name != told.name && known.birth_date != told.birth_date
}

/// A row that says of a patient what an earlier one denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Places in the slice that was given.
    pub row: usize,
    pub earlier: usize,
    pub columns: Vec<Column>,
}

/// Every pair of rows of one hospital number that contradict each other, each against the first of that number.
pub fn contradictions<'a>(
    rows: impl Iterator<Item = (&'a Patient, &'a Episode)>,
) -> Vec<Contradiction> {
    let mut patients: BTreeMap<&str, (usize, &Patient)> = BTreeMap::new();
    let mut stays: BTreeMap<(&str, &str), (usize, &Episode)> = BTreeMap::new();
    let mut found = Vec::new();
    for (row, (patient, episode)) in rows.enumerate() {
        let number = patient.number.expose().as_str();
        let (earlier, first) = *patients.entry(number).or_insert((row, patient));
        let stay = stays
            .entry((number, &episode.encounter))
            .or_insert((row, episode));
        let mut columns = different((first, patient), None);
        let mut earlier = (!columns.is_empty()).then_some(earlier);
        let other = different((patient, patient), Some((stay.1, episode)));
        if !other.is_empty() {
            columns.extend(other);
            earlier = earlier.or(Some(stay.0));
        }
        if let Some(earlier) = earlier {
            found.push(Contradiction {
                row,
                earlier,
                columns,
            });
        }
    }
    found
}
