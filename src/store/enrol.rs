//! Many patients at once: what is known of a chunk of a list in a few queries, and what changes of it in as many statements.
//!
//! One by one a row costs a dozen statements; an import of a hospital's year would take minutes.

use std::collections::BTreeMap;

use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::patient::{Consent, Episode, EpisodeState, Patient};
use aftercall_core::plan::{Errand, ExpectedReading, LifeEvent, Reason, Step};
use aftercall_core::time::Timestamp;
use serde::Serialize;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::errand::upsert_errands;
use super::expected::upsert_readings;
use super::key::{self, Keys};
use super::life::happen;
use super::many::{self, Cell, Rows, listed, meanwhile};
use super::patient::{
    EPISODE, Identity, KeptContact, MOVE_STEP, PATIENT, encounter_of, enrol_consent, read_contact,
    read_episodes, read_patient, replace_contacts, set_episode_state, upsert_episode,
    upsert_patient,
};
use super::row::{Columns, json, word};
use super::sealed::Seal;
use super::site::{Indexed, Site};
use super::step::{STEP, read_step};
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

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
    let (seals, rows) = seals_of(connection, keys, &new).await?;
    let of_patients = || patient_rows(&new, (&site, &seals), now);
    let rows = meanwhile(rows.insert(connection, ""), of_patients).await?;
    let of_contacts = || contact_rows(&new, (&site, &seals));
    let rows = meanwhile(rows.insert(connection, ""), of_contacts).await?;
    let of_consents = || Ok(consent_rows(&new, by, now));
    let rows = meanwhile(rows.insert(connection, ""), of_consents).await?;
    rows.insert(connection, "").await?;
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
    let rows = episode_rows(&sealed, &site, now)?;
    let of_steps = || Ok(step_rows(changes.iter().flat_map(|change| &change.steps)));
    let rows = meanwhile(rows.insert(connection, ""), of_steps).await?;
    rows.insert(connection, MOVE_STEP).await?;
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
    let sql = format!(
        "update patient set seen_at_ms = $1 where id {}",
        listed(connection, 2)
    );
    many::query(sql)
        .bind(ms(now))
        .bind(json(&patients))
        .execute(connection)
        .await?;
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
    let of_hospital = |column| format!("{PATIENT} where p.hospital = $1 and p.{column} ");
    let mut rows = in_hospital(connection, of_hospital("number_index"), hospital, &indices).await?;
    if !merged.is_empty() {
        let ids: Vec<&String> = merged.iter().map(|(_, id)| id).collect();
        rows.extend(in_hospital(connection, of_hospital("id"), hospital, &ids).await?);
    }
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
    let held = listed(connection, 1);
    let sql = format!(
        "select patient_id, position, name, relation, phone, topics from contact where patient_id {held} order by patient_id, position"
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
        format!("{STEP} where patient_id {held} order by episode_id, day"),
        &ids,
    )
    .await?
    {
        let step = read_step(&row)?;
        steps.entry(step.episode.0.clone()).or_default().push(step);
    }
    let stays = format!("{EPISODE} where patient_id {held} order by id");
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
    let sql =
        "select number_index, patient_id from merged_number where hospital = $1 and number_index ";
    let rows = in_hospital(connection, sql.to_owned(), hospital, numbers).await?;
    let read = |row| {
        let row = Columns(row);
        Ok((row.text("number_index")?, row.text("patient_id")?))
    };
    rows.iter().map(read).collect()
}

/// Rows of a hospital (`$1`), whose last column is one of a list.
async fn in_hospital<T: Serialize>(
    connection: &mut AnyConnection,
    sql: String,
    hospital: &str,
    list: &[T],
) -> Result<Vec<AnyRow>, StoreError> {
    let sql = sql + &listed(connection, 2);
    let query = many::query(sql).bind(hospital).bind(json(&list));
    Ok(query.fetch_all(connection).await?)
}

async fn in_list(
    connection: &mut AnyConnection,
    sql: String,
    ids: &[String],
) -> Result<Vec<AnyRow>, StoreError> {
    let query = many::query(sql).bind(json(&ids));
    Ok(query.fetch_all(connection).await?)
}

/// What seals names and numbers of patients who are new, and the rows that keep it.
async fn seals_of(
    connection: &mut AnyConnection,
    keys: &Keys,
    patients: &[&Patient],
) -> Result<(Vec<Seal>, Rows<4>), StoreError> {
    let owners: Vec<&str> = patients
        .iter()
        .map(|patient| patient.id.0.as_str())
        .collect();
    let made = key::wrapped(connection, keys, &owners, Class::Identity).await?;
    let mut seals = Vec::with_capacity(owners.len());
    let mut rows = Vec::with_capacity(owners.len());
    for (owner, (key, wrapped)) in owners.into_iter().zip(made) {
        rows.push([
            owner.into(),
            Class::Identity.word().into(),
            wrapped.by.into(),
            wrapped.text.into(),
        ]);
        seals.push(Seal::by(key));
    }
    let columns = ["owner", "class", "master", "wrapped"];
    Ok((seals, Rows::of("data_key", columns, &rows)))
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

fn patient_rows(
    patients: &[&Patient],
    (site, seals): (&Site, &[Seal]),
    now: Timestamp,
) -> Result<Rows<20>, StoreError> {
    let mut rows = Vec::with_capacity(patients.len());
    for (patient, seal) in patients.iter().zip(seals) {
        let identity = Identity::of(patient, &patient.id, site, seal)?;
        rows.push([
            Cell::from(&patient.id.0),
            (&patient.hospital).into(),
            identity.number.into(),
            identity.name.into(),
            identity.birth_date.into(),
            identity.phone.into(),
            word(&patient.lang).into(),
            patient.dialect.as_ref().into(),
            word(&patient.hearing).into(),
            (&patient.zone).into(),
            i64::from(patient.knows_diagnosis).into(),
            word(&patient.life).into(),
            ms(now).into(),
            ms(now).into(),
            ms(now).into(),
            identity.number_index.into(),
            identity.birth_year.into(),
            identity.phone_index.into(),
            identity.begins.name.into(),
            identity.begins.family.into(),
        ]);
    }
    let columns = [
        "id",
        "hospital",
        "number",
        "name",
        "birth_date",
        "phone",
        "lang",
        "dialect",
        "hearing",
        "zone",
        "knows_diagnosis:int",
        "life",
        "created_at_ms:int",
        "updated_at_ms:int",
        "seen_at_ms:int",
        "number_index",
        "birth_year",
        "phone_index",
        "name_index",
        "family_index",
    ];
    Ok(Rows::of("patient", columns, &rows))
}

fn contact_rows(
    patients: &[&Patient],
    (site, seals): (&Site, &[Seal]),
) -> Result<Rows<7>, StoreError> {
    let mut rows = Vec::new();
    for (patient, seal) in patients.iter().zip(seals) {
        for (position, contact) in (0_i64..).zip(&patient.contacts) {
            let kept = KeptContact::of((contact, position), &patient.id, site, seal)?;
            rows.push([
                Cell::from(&patient.id.0),
                position.into(),
                kept.name.into(),
                word(&contact.relation).into(),
                kept.phone.into(),
                json(&contact.topics).into(),
                kept.phone_index.into(),
            ]);
        }
    }
    let columns = [
        "patient_id",
        "position:int",
        "name",
        "relation",
        "phone",
        "topics",
        "phone_index",
    ];
    Ok(Rows::of("contact", columns, &rows))
}

fn consent_rows(patients: &[&Patient], by: &str, now: Timestamp) -> Rows<8> {
    let said = patients
        .iter()
        .filter(|patient| patient.consent != Consent::default());
    let mut rows = Vec::new();
    for patient in said {
        let consent = &patient.consent;
        rows.push([
            Cell::from(new_id()),
            (&patient.id.0).into(),
            word(&consent.basis).into(),
            consent.text_version.as_ref().into(),
            consent.given_on.as_ref().map(word).into(),
            i64::from(consent.recording).into(),
            ms(now).into(),
            by.into(),
        ]);
    }
    let columns = [
        "id",
        "patient_id",
        "basis",
        "text_version",
        "given_on",
        "recording:int",
        "recorded_at_ms:int",
        "recorded_by",
    ];
    Rows::of("consent", columns, &rows)
}

fn episode_rows(
    episodes: &[(&Episode, Seal)],
    site: &Site,
    now: Timestamp,
) -> Result<Rows<12>, StoreError> {
    let mut rows = Vec::with_capacity(episodes.len());
    for (episode, seal) in episodes {
        rows.push([
            Cell::from(&episode.id.0),
            (&episode.patient.0).into(),
            seal.text(&encounter_of(&episode.id), &episode.encounter)?
                .into(),
            (&episode.pathway).into(),
            (&episode.department).into(),
            (&episode.ward).into(),
            ms(episode.discharged_at).into(),
            word(&episode.state).into(),
            i64::from(episode.high_risk).into(),
            ms(now).into(),
            ms(now).into(),
            site.encounter(&episode.encounter).into(),
        ]);
    }
    let columns = [
        "id",
        "patient_id",
        "encounter",
        "pathway",
        "department",
        "ward",
        "discharged_at_ms:int",
        "state",
        "high_risk:int",
        "created_at_ms:int",
        "updated_at_ms:int",
        "encounter_index",
    ];
    Ok(Rows::of("episode", columns, &rows))
}

fn step_rows<'a>(steps: impl Iterator<Item = &'a Step>) -> Rows<10> {
    let mut rows = Vec::new();
    for step in steps {
        rows.push([
            Cell::from(&step.id.0),
            (&step.episode.0).into(),
            (&step.patient.0).into(),
            i64::from(step.day).into(),
            (&step.script).into(),
            word(&step.due_on).into(),
            word(&step.lapses_on).into(),
            word(&step.state).into(),
            ms(step.next_at).into(),
            (&step.reason).into(),
        ]);
    }
    let columns = [
        "id",
        "episode_id",
        "patient_id",
        "day:int",
        "script",
        "due_on",
        "lapses_on",
        "state",
        "next_at_ms:int",
        "reason",
    ];
    Rows::of("step", columns, &rows)
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
