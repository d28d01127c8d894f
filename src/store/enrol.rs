//! Many patients at once: what is known of a chunk of a list in four queries, and what changes of it in as many.
//!
//! One by one a row costs a dozen statements; an import of a hospital's year would take minutes.

use std::collections::BTreeMap;

use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::patient::{Consent, Episode, EpisodeState, Patient};
use aftercall_core::plan::{Errand, ExpectedReading, LifeEvent, Reason, Step};
use aftercall_core::time::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errand::upsert_errands;
use super::expected::upsert_readings;
use super::key::{self, Keys};
use super::life::happen;
use super::patient::{
    EPISODE, Identity, KeptContact, PATIENT, UPSERT_STEP, encounter_of, enrol_consent,
    read_contact, read_episodes, read_patient, replace_contacts, set_episode_state, upsert_episode,
    upsert_patient,
};
use super::row::{Columns, json, word};
use super::sealed::Seal;
use super::site::{Indexed, Site};
use super::step::{STEP, read_step};
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

/// Values a statement. SQLite takes 32,766 of them, PostgreSQL 65,535; each statement is prepared once a connection.
const VALUES: usize = 2000;

/// A patient as stored, with the stays and their plans.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    pub patient: Patient,
    pub stays: Vec<(Episode, Vec<Step>)>,
}

/// Patients by the hospital's number.
pub type KnownPatients = BTreeMap<String, Known>;

/// How a row of a list stands to what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    New,
    Changed,
    Same,
}

/// One patient and stay to be brought up to date.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrol {
    pub patient: Patient,
    pub patient_is: Standing,
    pub contacts_changed: bool,
    pub consent_changed: bool,
    pub episode: Episode,
    pub episode_is: Standing,
    /// Steps that are new or moved.
    pub steps: Vec<Step>,
    /// Steps of an earlier pathway that are planned no more.
    pub dropped: Vec<StepId>,
    /// The whole plan's: known ones are left alone.
    pub errands: Vec<Errand>,
    /// What the patient is to send from home, as a whole too.
    pub readings: Vec<ExpectedReading>,
    /// What happened since the record was last heard of.
    pub events: Vec<LifeEvent>,
    /// What the hospital's bus says of stays that are known: before the steps are saved.
    pub stays: Vec<StayChange>,
}

/// A stay's new state, and the event that it is; a message may take back what an import may not.
#[derive(Clone, Debug, PartialEq)]
pub struct StayChange {
    pub stay: EpisodeId,
    pub state: EpisodeState,
    pub event: Option<LifeEvent>,
}

impl Store {
    /// What is known of the patients with these numbers.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn known_patients(
        &self,
        hospital: &str,
        numbers: &[&str],
    ) -> Result<KnownPatients, StoreError> {
        let mut connection = self.pool.acquire().await?;
        known(&mut connection, &self.keys, hospital, numbers).await
    }

    /// Saves what `decide` makes of what is known, all of it or nothing.
    ///
    /// # Errors
    /// When the database refuses, or another import brought one of the patients in meanwhile.
    pub async fn enrol(
        &self,
        (hospital, numbers): (&str, &[&str]),
        by: &str,
        now: Timestamp,
        decide: impl FnOnce(KnownPatients) -> Vec<Enrol> + Send,
    ) -> Result<(), StoreError> {
        self.site().await?;
        let mut tx = self.begin().await?;
        let changes = decide(known(&mut tx, &self.keys, hospital, numbers).await?);
        apply(&mut tx, &self.keys, &changes, by, now).await?;
        let heard: Vec<&PatientId> = changes
            .iter()
            .filter(|change| change.patient_is != Standing::New)
            .map(|change| &change.patient.id)
            .collect();
        confirm(&mut tx, &heard, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Saves changes in the transaction of what told them. Patients who are new are confirmed by it.
pub(super) async fn apply(
    connection: &mut AnyConnection,
    keys: &Keys,
    changes: &[Enrol],
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_new = |change: &&Enrol| change.patient_is == Standing::New;
    let new: Vec<&Patient> = changes
        .iter()
        .filter(is_new)
        .map(|change| &change.patient)
        .collect();
    let site = Site::of(connection, keys).await?;
    let seals = seals_of(connection, keys, &new).await?;
    insert_patients(connection, &new, (&site, &seals), now).await?;
    insert_contacts(connection, &new, (&site, &seals)).await?;
    insert_consents(connection, &new, by, now).await?;
    let by_patient: BTreeMap<&PatientId, Seal> =
        new.iter().map(|patient| &patient.id).zip(seals).collect();
    for change in changes.iter().filter(|change| !is_new(change)) {
        let patient = &change.patient;
        if change.patient_is == Standing::Changed {
            upsert_patient(connection, keys, patient, now).await?;
        }
        if change.contacts_changed {
            replace_contacts(connection, keys, &patient.id, &patient.contacts).await?;
        }
        if change.consent_changed {
            enrol_consent(connection, keys, &patient.id, &patient.consent, by, now).await?;
        }
        if change.episode_is == Standing::Changed {
            upsert_episode(connection, keys, &patient.id, &change.episode, now).await?;
        }
        for stay in &change.stays {
            set_episode_state(connection, &stay.stay, stay.state, now).await?;
            if let Some(event) = &stay.event {
                happen(connection, &patient.id, event, now).await?;
            }
        }
    }
    let new = changes
        .iter()
        .filter(|change| change.episode_is == Standing::New);
    let new: Vec<&Episode> = new.map(|change| &change.episode).collect();
    let sealed = seals_of_stays(connection, keys, &new, by_patient).await?;
    insert_episodes(connection, &sealed, &site, now).await?;
    let steps: Vec<&Step> = changes.iter().flat_map(|change| &change.steps).collect();
    upsert_steps(connection, &steps).await?;
    for change in changes {
        drop_steps(connection, &change.dropped).await?;
        let patient = (&change.patient.id, change.patient.zone.as_str());
        upsert_errands(connection, patient, &change.episode.id, &change.errands).await?;
        upsert_readings(connection, patient, &change.episode.id, &change.readings).await?;
        for event in &change.events {
            happen(connection, &change.patient.id, event, now).await?;
        }
    }
    Ok(())
}

/// Life, stay and number of the patients are as the hospital says now.
async fn confirm(
    connection: &mut AnyConnection,
    patients: &[&PatientId],
    now: Timestamp,
) -> Result<(), StoreError> {
    for patients in patients.chunks(VALUES) {
        let sql = format!(
            "update patient set seen_at_ms = $1 where id in ({})",
            places(1, patients.len())
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ms(now));
        let query = patients
            .iter()
            .fold(query, |query, patient| query.bind(&patient.0));
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

pub(super) async fn known(
    connection: &mut AnyConnection,
    keys: &Keys,
    hospital: &str,
    numbers: &[&str],
) -> Result<KnownPatients, StoreError> {
    if numbers.is_empty() {
        return Ok(KnownPatients::new());
    }
    let site = Site::of(connection, keys).await?;
    let indices: Vec<String> = numbers
        .iter()
        .map(|number| site.index(Indexed::Number, number))
        .collect();
    let merged = merged(connection, hospital, &indices).await?;
    let ids = merged.iter().map(|(_, id)| id.as_str());
    let ids: Vec<&str> = ids.collect();
    let sql = format!(
        "{PATIENT} where p.hospital = $1 and (p.number_index in ({}) or p.id in ({}))",
        places(1, numbers.len()),
        if ids.is_empty() {
            "''".to_owned()
        } else {
            places(1 + numbers.len(), ids.len())
        }
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(hospital);
    let rows = indices
        .iter()
        .map(String::as_str)
        .chain(ids)
        .fold(query, |query, value| query.bind(value))
        .fetch_all(&mut *connection)
        .await?;
    let (mut patients, mut seals) = (BTreeMap::new(), BTreeMap::new());
    for row in &rows {
        let seal = Seal::of_row(connection, keys, row, Class::Identity).await?;
        let patient = read_patient(row, &seal, Vec::new())?;
        seals.insert(patient.id.0.clone(), seal);
        patients.insert(
            patient.id.0.clone(),
            Known {
                patient,
                stays: Vec::new(),
            },
        );
    }
    if patients.is_empty() {
        return Ok(KnownPatients::new());
    }
    let ids: Vec<String> = patients.keys().cloned().collect();
    let held = places(0, ids.len());
    let sql = format!(
        "select patient_id, position, name, relation, phone, topics from contact where patient_id in ({held}) order by patient_id, position"
    );
    for row in in_list(connection, sql, &ids).await? {
        let id = Columns(&row).text("patient_id")?;
        if let (Some(known), Some(seal)) = (patients.get_mut(&id), seals.get(&id)) {
            let contact = read_contact(&row, &known.patient.id, seal)?;
            known.patient.contacts.push(contact);
        }
    }
    let mut steps: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for row in in_list(
        connection,
        format!("{STEP} where patient_id in ({held}) order by episode_id, day"),
        &ids,
    )
    .await?
    {
        let step = read_step(&row)?;
        steps.entry(step.episode.0.clone()).or_default().push(step);
    }
    let stays = format!("{EPISODE} where patient_id in ({held}) order by id");
    let stays = in_list(connection, stays, &ids).await?;
    for episode in read_episodes(connection, keys, &stays).await? {
        let plan = steps.remove(&episode.id.0).unwrap_or_default();
        if let Some(known) = patients.get_mut(&episode.patient.0) {
            known.stays.push((episode, plan));
        }
    }
    // A number that was given up means the record that goes on.
    let told: BTreeMap<&String, &&str> = indices.iter().zip(numbers).collect();
    let given_up = merged.into_iter().filter_map(|(index, id)| {
        let number = told.get(&index)?;
        Some(((**number).to_owned(), patients.get(&id)?.clone()))
    });
    let given_up: Vec<(String, Known)> = given_up.collect();
    let by_number = patients
        .into_values()
        .map(|known| (known.patient.number.expose().clone(), known));
    Ok(by_number.chain(given_up).collect())
}

/// Hashes of these numbers that were given up, each with the patient whose record goes on.
async fn merged(
    connection: &mut AnyConnection,
    hospital: &str,
    numbers: &[String],
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = format!(
        "select number_index, patient_id from merged_number where hospital = $1 and number_index in ({})",
        places(1, numbers.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(hospital);
    let rows = numbers
        .iter()
        .fold(query, |query, number| query.bind(number))
        .fetch_all(connection)
        .await?;
    let read = |row| {
        let row = Columns(row);
        Ok((row.text("number_index")?, row.text("patient_id")?))
    };
    rows.iter().map(read).collect()
}

async fn in_list(
    connection: &mut AnyConnection,
    sql: String,
    ids: &[String],
) -> Result<Vec<sqlx::any::AnyRow>, StoreError> {
    let query = ids
        .iter()
        .fold(sqlx::query(AssertSqlSafe(sql)), |query, id| {
            query.bind(id.clone())
        });
    Ok(query.fetch_all(connection).await?)
}

/// What seals names and numbers of patients who are new, made in as few statements as they are inserted.
async fn seals_of(
    connection: &mut AnyConnection,
    keys: &Keys,
    patients: &[&Patient],
) -> Result<Vec<Seal>, StoreError> {
    let mut seals = Vec::with_capacity(patients.len());
    for patients in patients.chunks(VALUES / 4) {
        let owners: Vec<&str> = patients
            .iter()
            .map(|patient| patient.id.0.as_str())
            .collect();
        let sql = format!(
            "insert into data_key (owner, class, master, wrapped) values {}",
            tuples(owners.len(), 4)
        );
        let made = key::wrapped(connection, keys, &owners, Class::Identity).await?;
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (owner, (key, wrapped)) in owners.iter().zip(made) {
            query = query
                .bind(*owner)
                .bind(Class::Identity.word())
                .bind(wrapped.by)
                .bind(wrapped.text);
            seals.push(Seal::by(key));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(seals)
}

/// The stays with what seals their numbers; a patient who is new has her seal already.
async fn seals_of_stays<'a>(
    connection: &mut AnyConnection,
    keys: &Keys,
    stays: &[&'a Episode],
    mut known: BTreeMap<&'a PatientId, Seal>,
) -> Result<Vec<(&'a Episode, Seal)>, StoreError> {
    let mut sealed = Vec::with_capacity(stays.len());
    for stay in stays {
        let seal = match known.get(&stay.patient) {
            Some(seal) => seal.clone(),
            None => Seal::of(connection, keys, &stay.patient.0, Class::Identity).await?,
        };
        known.insert(&stay.patient, seal.clone());
        sealed.push((*stay, seal));
    }
    Ok(sealed)
}

async fn insert_patients(
    connection: &mut AnyConnection,
    patients: &[&Patient],
    (site, seals): (&Site, &[Seal]),
    now: Timestamp,
) -> Result<(), StoreError> {
    let sealed: Vec<(&Patient, &Seal)> = patients.iter().copied().zip(seals).collect();
    for patients in sealed.chunks(VALUES / 18) {
        let sql = format!(
            "insert into patient (id, hospital, number, name, birth_date, phone, lang, dialect, hearing, zone, \
         knows_diagnosis, life, created_at_ms, updated_at_ms, seen_at_ms, number_index, birth_year, phone_index) values {}",
            tuples(patients.len(), 18)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (patient, seal) in patients {
            let identity = Identity::of(patient, &patient.id, site, seal)?;
            query = query
                .bind(&patient.id.0)
                .bind(&patient.hospital)
                .bind(identity.number)
                .bind(identity.name)
                .bind(identity.birth_date)
                .bind(identity.phone)
                .bind(word(&patient.lang))
                .bind(patient.dialect.clone())
                .bind(word(&patient.hearing))
                .bind(&patient.zone)
                .bind(i64::from(patient.knows_diagnosis))
                .bind(word(&patient.life))
                .bind(ms(now))
                .bind(ms(now))
                .bind(ms(now))
                .bind(identity.number_index)
                .bind(identity.birth_year)
                .bind(identity.phone_index);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_contacts(
    connection: &mut AnyConnection,
    patients: &[&Patient],
    (site, seals): (&Site, &[Seal]),
) -> Result<(), StoreError> {
    let mut contacts = Vec::new();
    for (patient, seal) in patients.iter().zip(seals) {
        for (position, contact) in (0_i64..).zip(&patient.contacts) {
            let kept = KeptContact::of((contact, position), &patient.id, site, seal)?;
            contacts.push((*patient, position, contact, kept));
        }
    }
    for contacts in contacts.chunks(VALUES / 7) {
        let sql = format!(
            "insert into contact (patient_id, position, name, relation, phone, topics, phone_index) values {}",
            tuples(contacts.len(), 7)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (patient, position, contact, kept) in contacts {
            query = query
                .bind(&patient.id.0)
                .bind(*position)
                .bind(&kept.name)
                .bind(word(&contact.relation))
                .bind(&kept.phone)
                .bind(json(&contact.topics))
                .bind(&kept.phone_index);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_consents(
    connection: &mut AnyConnection,
    patients: &[&Patient],
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let said: Vec<&&Patient> = patients
        .iter()
        .filter(|patient| patient.consent != Consent::default())
        .collect();
    for said in said.chunks(VALUES / 8) {
        let sql = format!(
            "insert into consent (id, patient_id, basis, text_version, given_on, recording, recorded_at_ms, recorded_by) values {}",
            tuples(said.len(), 8)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for patient in said {
            let consent = &patient.consent;
            query = query
                .bind(new_id())
                .bind(&patient.id.0)
                .bind(word(&consent.basis))
                .bind(consent.text_version.clone())
                .bind(consent.given_on.as_ref().map(word))
                .bind(i64::from(consent.recording))
                .bind(ms(now))
                .bind(by);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_episodes(
    connection: &mut AnyConnection,
    episodes: &[(&Episode, Seal)],
    site: &Site,
    now: Timestamp,
) -> Result<(), StoreError> {
    for episodes in episodes.chunks(VALUES / 12) {
        let sql = format!(
            "insert into episode (id, patient_id, encounter, pathway, department, ward, discharged_at_ms, state, \
         high_risk, created_at_ms, updated_at_ms, encounter_index) values {}",
            tuples(episodes.len(), 12)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (episode, seal) in episodes {
            query = query
                .bind(&episode.id.0)
                .bind(&episode.patient.0)
                .bind(seal.text(&encounter_of(&episode.id), &episode.encounter)?)
                .bind(&episode.pathway)
                .bind(&episode.department)
                .bind(&episode.ward)
                .bind(ms(episode.discharged_at))
                .bind(word(&episode.state))
                .bind(i64::from(episode.high_risk))
                .bind(ms(now))
                .bind(ms(now))
                .bind(site.encounter(&episode.encounter));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn upsert_steps(connection: &mut AnyConnection, steps: &[&Step]) -> Result<(), StoreError> {
    for steps in steps.chunks(VALUES / 10) {
        let sql = format!(
            "{} values {} {}",
            UPSERT_STEP.0,
            tuples(steps.len(), 10),
            UPSERT_STEP.1
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for step in steps {
            query = query
                .bind(&step.id.0)
                .bind(&step.episode.0)
                .bind(&step.patient.0)
                .bind(i64::from(step.day))
                .bind(&step.script)
                .bind(word(&step.due_on))
                .bind(word(&step.lapses_on))
                .bind(word(&step.state))
                .bind(ms(step.next_at))
                .bind(&step.reason);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn drop_steps(connection: &mut AnyConnection, steps: &[StepId]) -> Result<(), StoreError> {
    let reason = Reason::Superseded;
    for step in steps {
        sqlx::query(
            "update step set state = 'blocked', reason = $2 where id = $1 and state = 'planned'",
        )
        .bind(&step.0)
        .bind(reason.to_string())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// `$2, $3`, after so many that stand before.
fn places(before: usize, count: usize) -> String {
    let places: Vec<String> = (before + 1..=before + count)
        .map(|place| format!("${place}"))
        .collect();
    places.join(", ")
}

/// `($1, $2), ($3, $4)`.
fn tuples(rows: usize, columns: usize) -> String {
    let rows: Vec<String> = (0..rows)
        .map(|row| format!("({})", places(row * columns, columns)))
        .collect();
    rows.join(", ")
}
