//! Many patients at once: what is known of a chunk of a list in four queries, and what changes of it in as many.
//!
//! One by one a row costs a dozen statements; an import of a hospital's year would take minutes.

use std::collections::BTreeMap;

use aftercall_core::id::StepId;
use aftercall_core::patient::{Consent, Contact, Episode, Patient};
use aftercall_core::plan::{Errand, LifeEvent, Reason, Step};
use aftercall_core::time::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::errand::upsert_errands;
use super::life::happen;
use super::patient::{
    EPISODE, PATIENT, UPSERT_STEP, enrol_consent, read_contact, read_episode, read_patient,
    replace_contacts, upsert_episode, upsert_patient,
};
use super::row::{Columns, json, word};
use super::step::{STEP, read_step};
use super::{Store, StoreError, ms, new_id};

/// Values a statement: SQLite looks each placeholder up among all of its statement.
const VALUES: usize = 400;

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
    /// What happened since the record was last heard of.
    pub events: Vec<LifeEvent>,
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
        known(&mut connection, hospital, numbers).await
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
        let mut tx = self.begin().await?;
        let changes = decide(known(&mut tx, hospital, numbers).await?);
        let is_new = |change: &&Enrol| change.patient_is == Standing::New;
        let new: Vec<&Patient> = changes
            .iter()
            .filter(is_new)
            .map(|change| &change.patient)
            .collect();
        insert_patients(&mut tx, &new, now).await?;
        insert_contacts(&mut tx, &new).await?;
        insert_consents(&mut tx, &new, by, now).await?;
        for change in changes.iter().filter(|change| !is_new(change)) {
            let patient = &change.patient;
            if change.patient_is == Standing::Changed {
                upsert_patient(&mut tx, patient, now).await?;
            }
            if change.contacts_changed {
                replace_contacts(&mut tx, &patient.id, &patient.contacts).await?;
            }
            if change.consent_changed {
                enrol_consent(&mut tx, &patient.id, &patient.consent, by, now).await?;
            }
            if change.episode_is == Standing::Changed {
                upsert_episode(&mut tx, &patient.id, &change.episode, now).await?;
            }
        }
        let new = changes
            .iter()
            .filter(|change| change.episode_is == Standing::New);
        insert_episodes(
            &mut tx,
            &new.map(|change| &change.episode).collect::<Vec<_>>(),
            now,
        )
        .await?;
        let steps: Vec<&Step> = changes.iter().flat_map(|change| &change.steps).collect();
        upsert_steps(&mut tx, &steps).await?;
        for change in &changes {
            drop_steps(&mut tx, &change.dropped).await?;
            let patient = (&change.patient.id, change.patient.zone.as_str());
            upsert_errands(&mut tx, patient, &change.episode.id, &change.errands).await?;
            for event in &change.events {
                happen(&mut tx, &change.patient.id, event, now).await?;
            }
        }
        confirm(&mut tx, hospital, numbers, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Life, stay and number of the patients are as the hospital says now.
async fn confirm(
    connection: &mut AnyConnection,
    hospital: &str,
    numbers: &[&str],
    now: Timestamp,
) -> Result<(), StoreError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "update patient set seen_at_ms = $1 where hospital = $2 and number in ({})",
        places(2, numbers.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(ms(now)).bind(hospital);
    let query = numbers
        .iter()
        .fold(query, |query, number| query.bind(*number));
    query.execute(connection).await?;
    Ok(())
}

async fn known(
    connection: &mut AnyConnection,
    hospital: &str,
    numbers: &[&str],
) -> Result<KnownPatients, StoreError> {
    if numbers.is_empty() {
        return Ok(KnownPatients::new());
    }
    let sql = format!(
        "{PATIENT} where p.hospital = $1 and p.number in ({})",
        places(1, numbers.len())
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(hospital);
    let rows = numbers
        .iter()
        .fold(query, |query, number| query.bind(*number))
        .fetch_all(&mut *connection)
        .await?;
    let mut patients = BTreeMap::new();
    for row in &rows {
        let patient = read_patient(row, Vec::new())?;
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
        "select patient_id, name, relation, phone, topics from contact where patient_id in ({held}) order by patient_id, position"
    );
    for row in in_list(connection, sql, &ids).await? {
        if let Some(known) = patients.get_mut(&Columns(&row).text("patient_id")?) {
            known.patient.contacts.push(read_contact(&row)?);
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
    for row in in_list(
        connection,
        format!("{EPISODE} where patient_id in ({held}) order by id"),
        &ids,
    )
    .await?
    {
        let episode = read_episode(&row)?;
        let plan = steps.remove(&episode.id.0).unwrap_or_default();
        if let Some(known) = patients.get_mut(&episode.patient.0) {
            known.stays.push((episode, plan));
        }
    }
    let by_number = patients
        .into_values()
        .map(|known| (known.patient.number.expose().clone(), known));
    Ok(by_number.collect())
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

async fn insert_patients(
    connection: &mut AnyConnection,
    patients: &[&Patient],
    now: Timestamp,
) -> Result<(), StoreError> {
    for patients in patients.chunks(VALUES / 14) {
        let sql = format!(
            "insert into patient (id, hospital, number, name, birth_date, phone, lang, dialect, hearing, zone, \
         knows_diagnosis, life, created_at_ms, updated_at_ms) values {}",
            tuples(patients.len(), 14)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for patient in patients {
            query = query
                .bind(&patient.id.0)
                .bind(&patient.hospital)
                .bind(patient.number.expose())
                .bind(patient.name.expose())
                .bind(word(patient.birth_date.expose()))
                .bind(
                    patient
                        .phone
                        .as_ref()
                        .map(|phone| phone.expose().to_owned()),
                )
                .bind(word(&patient.lang))
                .bind(patient.dialect.clone())
                .bind(word(&patient.hearing))
                .bind(&patient.zone)
                .bind(i64::from(patient.knows_diagnosis))
                .bind(word(&patient.life))
                .bind(ms(now))
                .bind(ms(now));
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_contacts(
    connection: &mut AnyConnection,
    patients: &[&Patient],
) -> Result<(), StoreError> {
    let mut contacts: Vec<(&Patient, i64, &Contact)> = Vec::new();
    for patient in patients {
        contacts.extend(
            (0_i64..)
                .zip(&patient.contacts)
                .map(|(position, contact)| (*patient, position, contact)),
        );
    }
    for contacts in contacts.chunks(VALUES / 6) {
        let sql = format!(
            "insert into contact (patient_id, position, name, relation, phone, topics) values {}",
            tuples(contacts.len(), 6)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (patient, position, contact) in contacts {
            query = query
                .bind(&patient.id.0)
                .bind(*position)
                .bind(contact.name.expose())
                .bind(word(&contact.relation))
                .bind(
                    contact
                        .phone
                        .as_ref()
                        .map(|phone| phone.expose().to_owned()),
                )
                .bind(json(&contact.topics));
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
    episodes: &[&Episode],
    now: Timestamp,
) -> Result<(), StoreError> {
    for episodes in episodes.chunks(VALUES / 11) {
        let sql = format!(
            "insert into episode (id, patient_id, encounter, pathway, department, ward, discharged_at_ms, state, \
         high_risk, created_at_ms, updated_at_ms) values {}",
            tuples(episodes.len(), 11)
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for episode in episodes {
            query = query
                .bind(&episode.id.0)
                .bind(&episode.patient.0)
                .bind(&episode.encounter)
                .bind(&episode.pathway)
                .bind(&episode.department)
                .bind(&episode.ward)
                .bind(ms(episode.discharged_at))
                .bind(word(&episode.state))
                .bind(i64::from(episode.high_risk))
                .bind(ms(now))
                .bind(ms(now));
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
