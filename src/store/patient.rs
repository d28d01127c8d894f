//! Patients, contacts, consents and episodes.

use aftercall_core::id::{EpisodeId, PatientId};
use aftercall_core::lang::Lang;
use aftercall_core::patient::{
    Consent, ConsentBasis, Contact, Episode, EpisodeState, Hearing, Life, Patient,
};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{LifeEvent, Step, Window, discharged};
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::find::Begins;
use super::key::Keys;
use super::life::happen;
use super::page::{Page, PageRequest};
use super::row::{Columns, json, word};
use super::scope::seen;
use super::sealed::{Seal, read_each};
use super::site::{Indexed, Site};
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

/// What an import or a discharge message makes of one stay.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    pub patient: Patient,
    pub episode: Episode,
    pub steps: Vec<Step>,
}

/// What an enrolment became: the ids that were kept when the patient or the stay was already known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    pub patient: PatientId,
    pub episode: EpisodeId,
    pub new_patient: bool,
    pub new_episode: bool,
}

/// What a nurse or the hospital's system may change of a patient without a new discharge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PatientChange {
    pub lang: Option<Lang>,
    /// `Some(None)` forgets the dialect.
    pub dialect: Option<Option<String>>,
    pub hearing: Option<Hearing>,
    pub knows_diagnosis: Option<bool>,
    pub contacts: Option<Vec<Contact>>,
}

pub(super) const PATIENT: &str = "select p.id, p.hospital, p.number, p.name, p.birth_date, p.phone, p.lang, p.dialect, p.hearing, \
     p.zone, p.knows_diagnosis, p.life, c.basis, c.text_version, c.given_on, c.recording, \
     (select count(*) from erasure x where x.patient_id = p.id) as erased, k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped \
     from patient p left join consent c on c.patient_id = p.id and c.superseded_at_ms is null \
     left join data_key k on k.owner = p.id and k.class = 'identity'";

pub(super) const EPISODE: &str = "select id, patient_id, encounter, pathway, department, ward, discharged_at_ms, state, high_risk, \
     k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped from episode \
     left join data_key k on k.owner = coalesce(sealed_by, patient_id) and k.class = 'identity'";

impl Store {
    /// Saves a patient, one stay and its steps in one transaction.
    ///
    /// Idempotent on (hospital, number), encounter and day: a second import updates what the hospital knows
    /// better and keeps what only we know. It never revives: a death, a withdrawn consent and a readmission stay
    /// until a person changes them, and steps that were begun keep their dates.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn save_patient_with_episode_and_steps(
        &self,
        enrolment: &Enrolment,
        by: &str,
        now: Timestamp,
    ) -> Result<Enrolled, StoreError> {
        let mut tx = self.begin().await?;
        let told = with_number_in_use(&mut tx, &self.keys, &enrolment.patient).await?;
        let new_patient = upsert_patient(&mut tx, &self.keys, &told, now).await?;
        let patient = patient_id(&mut tx, &self.keys, &told).await?;
        replace_contacts(&mut tx, &self.keys, &patient, &enrolment.patient.contacts).await?;
        enrol_consent(
            &mut tx,
            &self.keys,
            &patient,
            &enrolment.patient.consent,
            by,
            now,
        )
        .await?;
        let new_episode =
            upsert_episode(&mut tx, &self.keys, &patient, &enrolment.episode, now).await?;
        confirm(&mut tx, &patient, now).await?;
        let episode =
            episode_id(&mut tx, &self.keys, &patient, &enrolment.episode.encounter).await?;
        for step in &enrolment.steps {
            upsert_step(&mut tx, &patient, &episode, step).await?;
        }
        tx.commit().await?;
        Ok(Enrolled {
            patient,
            episode,
            new_patient,
            new_episode,
        })
    }

    /// Everybody of whose record one of these telephones is, her own or a contact's, with that telephone.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn patients_of_numbers(
        &self,
        numbers: &[PhoneNumber],
    ) -> Result<Vec<(Patient, PhoneNumber)>, StoreError> {
        let site = self.site().await?;
        let mut found: Vec<(Patient, PhoneNumber)> = Vec::new();
        for number in numbers {
            let of_record = "select id from patient where phone_index = $1 \
                 union select patient_id as id from contact where phone_index = $1 order by 1";
            let rows = sqlx::query(of_record)
                .bind(site.index(Indexed::Phone, number.expose()))
                .fetch_all(&self.pool)
                .await?;
            for row in &rows {
                let patient = PatientId(Columns(row).text("id")?);
                if found.iter().all(|(known, _)| known.id != patient) {
                    found.push((self.patient(&patient).await?, number.clone()));
                }
            }
        }
        Ok(found)
    }

    /// One patient with contacts and the consent in force.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn patient(&self, id: &PatientId) -> Result<Patient, StoreError> {
        let mut connection = self.pool.acquire().await?;
        patient(&mut connection, &self.keys, id).await
    }

    /// The patient whom a hospital knows by its number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn patient_by_number(
        &self,
        hospital: &str,
        number: &str,
    ) -> Result<Option<PatientId>, StoreError> {
        let number = self.site().await?.index(Indexed::Number, number);
        let row = sqlx::query("select id from patient where hospital = $1 and number_index = $2")
            .bind(hospital)
            .bind(number)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Columns(&row).text("id").map(PatientId))
            .transpose()
    }

    /// The hours a patient wished for, if any.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such patient.
    pub async fn wishes(&self, id: &PatientId) -> Result<Option<Vec<Window>>, StoreError> {
        let row = sqlx::query("select wishes from patient where id = $1")
            .bind(&id.0)
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Columns(&row).json_or_null("wishes"),
            None => Err(StoreError::NotFound {
                what: "patient",
                id: id.0.clone(),
            }),
        }
    }

    /// Keeps the hours a patient wished for; `None`: any that the others allow. The steps are decided anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such patient.
    pub async fn set_wishes(
        &self,
        id: &PatientId,
        wishes: Option<&[Window]>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("update patient set wishes = $2, updated_at_ms = $3 where id = $1")
            .bind(&id.0)
            .bind(wishes.map(|windows| json(&windows)))
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::NotFound {
                what: "patient",
                id: id.0.clone(),
            });
        }
        let again = "update step set next_at_ms = $2 where patient_id = $1 and state = 'planned' \
             and reason like 'outside_window: %'";
        sqlx::query(again)
            .bind(&id.0)
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// All patients in the order in which they were first saved.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn patients(&self, page: &PageRequest) -> Result<Page<Patient>, StoreError> {
        self.patients_seen(&Wards::ALL, page).await
    }

    /// The same, of these wards.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn patients_seen(
        &self,
        wards: &Wards,
        page: &PageRequest,
    ) -> Result<Page<Patient>, StoreError> {
        let after = page
            .keys::<0>()?
            .map(|(_, id)| id.to_owned())
            .unwrap_or_default();
        let mut connection = self.pool.acquire().await?;
        let (seen, names) = seen(wards, "p.id", 3);
        let sql = format!(
            "{PATIENT} where p.id > $1 and not exists (select 1 from erasure x where x.patient_id = p.id){seen} order by p.id limit $2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(page.fetch());
        let rows = names
            .iter()
            .fold(query, |query, name| query.bind(name))
            .fetch_all(&mut *connection)
            .await?;
        let mut patients = Vec::with_capacity(rows.len());
        for row in &rows {
            patients.push(whole(&mut connection, &self.keys, row).await?);
        }
        Ok(page.cut(patients, |patient| (vec![], patient.id.0.clone())))
    }

    /// Every ward that a stay names, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn wards_of_stays(&self) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("select distinct ward from episode where ward <> '' order by ward")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Columns(row).text("ward")).collect()
    }

    /// Changes language, dialect, hearing, what the patient knows, or the contacts.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such patient.
    pub async fn change_patient(
        &self,
        id: &PatientId,
        change: &PatientChange,
        now: Timestamp,
    ) -> Result<Patient, StoreError> {
        let mut tx = self.begin().await?;
        let before = patient(&mut tx, &self.keys, id).await?;
        sqlx::query(
            "update patient set lang = $2, dialect = $3, hearing = $4, knows_diagnosis = $5, updated_at_ms = $6 \
             where id = $1",
        )
        .bind(&id.0)
        .bind(word(&change.lang.unwrap_or(before.lang)))
        .bind(change.dialect.clone().unwrap_or(before.dialect))
        .bind(word(&change.hearing.unwrap_or(before.hearing)))
        .bind(i64::from(change.knows_diagnosis.unwrap_or(before.knows_diagnosis)))
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        if let Some(contacts) = &change.contacts {
            replace_contacts(&mut tx, &self.keys, id, contacts).await?;
        }
        let after = patient(&mut tx, &self.keys, id).await?;
        tx.commit().await?;
        Ok(after)
    }

    /// Sets whether the patient lives, by a person's word; unlike an import it may revive.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such patient.
    pub async fn set_life(
        &self,
        id: &PatientId,
        life: Life,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        set_life(&mut tx, id, life, now).await?;
        let event = match life {
            Life::Dead => Some(LifeEvent::Died),
            Life::Alive => Some(LifeEvent::DeathDenied),
            Life::ReportedDead => None,
        };
        if let Some(event) = event {
            happen(&mut tx, id, &event, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Puts a consent in force; the one before it stays as history.
    ///
    /// # Errors
    /// When there is no such patient.
    pub async fn set_consent(
        &self,
        id: &PatientId,
        consent: &Consent,
        by: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        put_consent(&mut tx, id, consent, by, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// One stay.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn episode(&self, id: &EpisodeId) -> Result<Episode, StoreError> {
        let sql = format!("{EPISODE} where id = $1");
        let mut connection = self.pool.acquire().await?;
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_optional(&mut *connection)
            .await?;
        let Some(row) = row else {
            return Err(StoreError::NotFound {
                what: "episode",
                id: id.0.clone(),
            });
        };
        let read = read_episodes(&mut connection, &self.keys, &[row]).await?;
        read.into_iter().next().ok_or_else(|| StoreError::NotFound {
            what: "episode",
            id: id.0.clone(),
        })
    }

    /// The stays of a patient, newest discharge first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn episodes_of(&self, patient: &PatientId) -> Result<Vec<Episode>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        stays_of(&mut connection, &self.keys, patient).await
    }

    /// Sets the state of a stay, by a person's word.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such stay.
    pub async fn set_episode_state(
        &self,
        id: &EpisodeId,
        state: EpisodeState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = self.episode(id).await?;
        let mut tx = self.begin().await?;
        set_episode_state(&mut tx, id, state, now).await?;
        let stay = id.clone();
        let event = match (before.state, state) {
            (_, EpisodeState::Readmitted) => Some(LifeEvent::Admitted),
            (_, EpisodeState::Cancelled) => Some(LifeEvent::DischargeCancelled { stay }),
            (EpisodeState::Cancelled, EpisodeState::Discharged) => discharged(
                &stay,
                &stays_of(&mut tx, &self.keys, &before.patient).await?,
            ),
            (
                EpisodeState::Readmitted | EpisodeState::ReportedReadmitted,
                EpisodeState::Discharged,
            ) => Some(LifeEvent::AdmissionCancelled),
            (EpisodeState::Discharged, EpisodeState::Discharged)
            | (_, EpisodeState::ReportedReadmitted) => None,
        };
        if let Some(event) = event {
            happen(&mut tx, &before.patient, &event, now).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

pub(super) async fn stays_of(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &PatientId,
) -> Result<Vec<Episode>, StoreError> {
    let sql = format!("{EPISODE} where patient_id = $1 order by discharged_at_ms desc, id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&patient.0)
        .fetch_all(&mut *connection)
        .await?;
    read_episodes(connection, keys, &rows).await
}

pub(super) async fn set_life(
    connection: &mut AnyConnection,
    id: &PatientId,
    life: Life,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query("update patient set life = $2, updated_at_ms = $3 where id = $1")
        .bind(&id.0)
        .bind(word(&life))
        .bind(ms(now))
        .execute(connection)
        .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NotFound {
            what: "patient",
            id: id.0.clone(),
        });
    }
    Ok(())
}

/// What somebody said on the telephone never overrides what the hospital recorded.
pub(super) async fn report_death(
    connection: &mut AnyConnection,
    id: &PatientId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("update patient set life = 'reported_dead', updated_at_ms = $2 where id = $1 and life = 'alive'")
        .bind(&id.0)
        .bind(ms(now))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn report_readmission(
    connection: &mut AnyConnection,
    id: &EpisodeId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "update episode set state = 'reported_readmitted', updated_at_ms = $2 where id = $1 and state = 'discharged'",
    )
    .bind(&id.0)
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn set_episode_state(
    connection: &mut AnyConnection,
    id: &EpisodeId,
    state: EpisodeState,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query("update episode set state = $2, updated_at_ms = $3 where id = $1")
        .bind(&id.0)
        .bind(word(&state))
        .bind(ms(now))
        .execute(connection)
        .await?;
    if done.rows_affected() == 0 {
        return Err(StoreError::NotFound {
            what: "episode",
            id: id.0.clone(),
        });
    }
    Ok(())
}

pub(super) async fn patient(
    connection: &mut AnyConnection,
    keys: &Keys,
    id: &PatientId,
) -> Result<Patient, StoreError> {
    let sql = format!("{PATIENT} where p.id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            what: "patient",
            id: id.0.clone(),
        });
    };
    whole(connection, keys, &row).await
}

/// The patient of a row, with the contacts.
async fn whole(
    connection: &mut AnyConnection,
    keys: &Keys,
    row: &AnyRow,
) -> Result<Patient, StoreError> {
    let id = PatientId(Columns(row).text("id")?);
    if Columns(row).flag("erased")? {
        return Err(StoreError::Destroyed { id: id.0 });
    }
    let seal = Seal::of_row(connection, keys, row, Class::Identity).await?;
    let contacts = contacts(connection, &seal, &id).await?;
    read_patient(row, &seal, contacts)
}

async fn contacts(
    connection: &mut AnyConnection,
    seal: &Seal,
    patient: &PatientId,
) -> Result<Vec<Contact>, StoreError> {
    let rows = sqlx::query(
        "select position, name, relation, phone, topics from contact where patient_id = $1 order by position",
    )
    .bind(&patient.0)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| read_contact(row, patient, seal))
        .collect()
}

/// Where a sealed column of a contact stands: it opens nowhere else.
pub(super) fn place(column: &str, patient: &PatientId, position: i64) -> String {
    format!("{column}/{patient}/{position}")
}

pub(super) fn read_contact(
    row: &AnyRow,
    patient: &PatientId,
    seal: &Seal,
) -> Result<Contact, StoreError> {
    let row = Columns(row);
    let position = row.int("position")?;
    Ok(Contact {
        name: Phi::new(seal.open(&row, "name", &place("name", patient, position))?),
        relation: row.word("relation")?,
        phone: seal.open_phone_or_null(&row, "phone", &place("phone", patient, position))?,
        topics: row.json("topics")?,
    })
}

pub(super) fn read_patient(
    row: &AnyRow,
    seal: &Seal,
    contacts: Vec<Contact>,
) -> Result<Patient, StoreError> {
    let row = Columns(row);
    let id = PatientId(row.text("id")?);
    let name = seal.open(&row, "name", &name_of(&id))?;
    let number = seal.open(&row, "number", &of_patient("number", &id))?;
    let birth_date = seal.open(&row, "birth_date", &of_patient("birth_date", &id))?;
    let birth_date = birth_date.parse().map_err(|_| StoreError::Corrupt {
        column: "birth_date",
    })?;
    let phone = seal.open_phone_or_null(&row, "phone", &of_patient("phone", &id))?;
    let consent = match row.word_or_null::<ConsentBasis>("basis")? {
        None => Consent::default(),
        Some(basis) => Consent {
            basis,
            text_version: row.text_or_null("text_version")?,
            given_on: row.word_or_null("given_on")?,
            recording: row.flag("recording")?,
        },
    };
    Ok(Patient {
        id,
        hospital: row.text("hospital")?,
        number: Phi::new(number),
        name: Phi::new(name),
        birth_date: Phi::new(birth_date),
        phone,
        lang: row.word("lang")?,
        dialect: row.text_or_null("dialect")?,
        hearing: row.word("hearing")?,
        zone: row.text("zone")?,
        knows_diagnosis: row.flag("knows_diagnosis")?,
        life: row.word("life")?,
        consent,
        contacts,
    })
}

pub(super) async fn read_episodes(
    connection: &mut AnyConnection,
    keys: &Keys,
    rows: &[AnyRow],
) -> Result<Vec<Episode>, StoreError> {
    read_each(connection, keys, rows, Class::Identity, read_episode).await
}

/// Of an erased patient's stay no number is left.
fn read_episode(row: &AnyRow, seal: &Seal) -> Result<Episode, StoreError> {
    let row = Columns(row);
    let id = EpisodeId(row.text("id")?);
    let encounter = seal.open_or_null(&row, "encounter", &encounter_of(&id))?;
    Ok(Episode {
        id,
        patient: PatientId(row.text("patient_id")?),
        encounter: encounter.unwrap_or_default(),
        pathway: row.text("pathway")?,
        department: row.text("department")?,
        ward: row.text("ward")?,
        discharged_at: row.time("discharged_at_ms")?,
        state: row.word("state")?,
        high_risk: row.flag("high_risk")?,
    })
}

/// The patient with the number of the record that goes on, where hers was given up.
async fn with_number_in_use(
    connection: &mut AnyConnection,
    keys: &Keys,
    told: &Patient,
) -> Result<Patient, StoreError> {
    let site = Site::of(connection, keys).await?;
    let row = sqlx::query(
        "select patient_id from merged_number where hospital = $1 and number_index = $2",
    )
    .bind(&told.hospital)
    .bind(site.index(Indexed::Number, told.number.expose()))
    .fetch_optional(&mut *connection)
    .await?;
    let mut told = told.clone();
    if let Some(row) = row {
        let goes_on = PatientId(Columns(&row).text("patient_id")?);
        told.number = patient(connection, keys, &goes_on).await?.number;
    }
    Ok(told)
}

pub(super) fn name_of(patient: &PatientId) -> String {
    of_patient("name", patient)
}

/// Where a sealed column of a patient stands: it opens nowhere else.
pub(super) fn of_patient(column: &str, patient: &PatientId) -> String {
    format!("{column}/{patient}")
}

pub(super) fn encounter_of(episode: &EpisodeId) -> String {
    format!("encounter/{episode}")
}

/// What tells who a patient is, as it is kept.
pub(super) struct Identity {
    pub(super) number_index: String,
    pub(super) number: String,
    pub(super) name: String,
    pub(super) begins: Begins,
    pub(super) birth_year: String,
    pub(super) birth_date: String,
    pub(super) phone_index: Option<String>,
    pub(super) phone: Option<String>,
}

impl Identity {
    /// Of a patient who is known by this id.
    pub(super) fn of(
        patient: &Patient,
        id: &PatientId,
        site: &Site,
        seal: &Seal,
    ) -> Result<Self, StoreError> {
        let sealed = |column: &str, plain: &str| seal.text(&of_patient(column, id), plain);
        let born = patient.birth_date.expose();
        let phone = patient.phone.as_ref().map(PhoneNumber::expose);
        Ok(Self {
            number_index: site.index(Indexed::Number, patient.number.expose()),
            number: sealed("number", patient.number.expose())?,
            name: sealed("name", patient.name.expose())?,
            begins: Begins::of(patient.name.expose(), site),
            birth_year: format!("{:04}", born.year()),
            birth_date: sealed("birth_date", &born.to_string())?,
            phone_index: phone.map(|phone| site.index(Indexed::Phone, phone)),
            phone: seal.text_or_null(&of_patient("phone", id), phone)?,
        })
    }
}

async fn patient_id(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &Patient,
) -> Result<PatientId, StoreError> {
    known_id(connection, keys, patient)
        .await?
        .ok_or_else(|| StoreError::NotFound {
            what: "patient",
            id: patient.id.0.clone(),
        })
}

/// The id of who has this number, which need not be the one that is told.
async fn known_id(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &Patient,
) -> Result<Option<PatientId>, StoreError> {
    let site = Site::of(connection, keys).await?;
    let row = sqlx::query("select id from patient where hospital = $1 and number_index = $2")
        .bind(&patient.hospital)
        .bind(site.index(Indexed::Number, patient.number.expose()))
        .fetch_optional(connection)
        .await?;
    row.map(|row| Columns(&row).text("id").map(PatientId))
        .transpose()
}

async fn episode_id(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &PatientId,
    encounter: &str,
) -> Result<EpisodeId, StoreError> {
    let site = Site::of(connection, keys).await?;
    let row = sqlx::query("select id from episode where patient_id = $1 and encounter_index = $2")
        .bind(&patient.0)
        .bind(site.encounter(encounter))
        .fetch_one(connection)
        .await?;
    Ok(EpisodeId(Columns(&row).text("id")?))
}

pub(super) async fn upsert_patient(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &Patient,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = known_id(connection, keys, patient).await?;
    if known.is_none() && insert_patient(connection, keys, patient, now).await? {
        return Ok(true);
    }
    // Where another was faster, it has an id by now.
    let id = match known {
        Some(id) => id,
        None => patient_id(connection, keys, patient).await?,
    };
    let seal = Seal::of(connection, keys, &id.0, Class::Identity).await?;
    let site = Site::of(connection, keys).await?;
    let identity = Identity::of(patient, &id, &site, &seal)?;
    sqlx::query(
        "update patient set name = $2, birth_date = $3, phone = $4, lang = $5, dialect = $6, hearing = $7, \
         zone = $8, knows_diagnosis = $9, \
         life = case when $10 = 'alive' then life when life = 'dead' then life else $10 end, updated_at_ms = $11, \
         birth_year = $12, phone_index = $13, name_index = $14, family_index = $15 where id = $1",
    )
    .bind(&id.0)
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
    .bind(identity.birth_year)
    .bind(identity.phone_index)
    .bind(identity.begins.name)
    .bind(identity.begins.family)
    .execute(connection)
    .await?;
    Ok(false)
}

/// False when the number is known.
async fn insert_patient(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &Patient,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seal = Seal::of(connection, keys, &patient.id.0, Class::Identity).await?;
    let site = Site::of(connection, keys).await?;
    let identity = Identity::of(patient, &patient.id, &site, &seal)?;
    let inserted = sqlx::query(
        "insert into patient (id, hospital, number, name, birth_date, phone, lang, dialect, hearing, zone, \
         knows_diagnosis, life, created_at_ms, updated_at_ms, number_index, birth_year, phone_index, name_index, \
         family_index) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13, $14, $15, $16, $17, $18) \
         on conflict (hospital, number_index) do nothing",
    )
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
    .bind(identity.number_index)
    .bind(identity.birth_year)
    .bind(identity.phone_index)
    .bind(identity.begins.name)
    .bind(identity.begins.family)
    .execute(&mut *connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

pub(super) async fn replace_contacts(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &PatientId,
    contacts: &[Contact],
) -> Result<(), StoreError> {
    sqlx::query("delete from contact where patient_id = $1")
        .bind(&patient.0)
        .execute(&mut *connection)
        .await?;
    if contacts.is_empty() {
        return Ok(());
    }
    let seal = Seal::of(connection, keys, &patient.0, Class::Identity).await?;
    let site = Site::of(connection, keys).await?;
    for (position, contact) in (0_i64..).zip(contacts) {
        let kept = KeptContact::of((contact, position), patient, &site, &seal)?;
        sqlx::query(
            "insert into contact (patient_id, position, name, relation, phone, topics, phone_index) \
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&patient.0)
        .bind(position)
        .bind(kept.name)
        .bind(word(&contact.relation))
        .bind(kept.phone)
        .bind(json(&contact.topics))
        .bind(kept.phone_index)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What tells who a contact is, as it is kept.
pub(super) struct KeptContact {
    pub(super) name: String,
    pub(super) phone: Option<String>,
    pub(super) phone_index: Option<String>,
}

impl KeptContact {
    pub(super) fn of(
        (contact, position): (&Contact, i64),
        patient: &PatientId,
        site: &Site,
        seal: &Seal,
    ) -> Result<Self, StoreError> {
        let place = |column: &str| place(column, patient, position);
        let phone = contact.phone.as_ref().map(PhoneNumber::expose);
        Ok(Self {
            name: seal.text(&place("name"), contact.name.expose())?,
            phone: seal.text_or_null(&place("phone"), phone)?,
            phone_index: phone.map(|phone| site.index(Indexed::Phone, phone)),
        })
    }
}

/// An import does not bring back a consent that was withdrawn, and adds no history where nothing changed.
pub(super) async fn enrol_consent(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient_id: &PatientId,
    consent: &Consent,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = patient(connection, keys, patient_id).await?.consent;
    if before.basis == ConsentBasis::Withdrawn || before == *consent {
        return Ok(());
    }
    put_consent(connection, patient_id, consent, by, now).await
}

async fn put_consent(
    connection: &mut AnyConnection,
    patient: &PatientId,
    consent: &Consent,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("update consent set superseded_at_ms = $2 where patient_id = $1 and superseded_at_ms is null")
        .bind(&patient.0)
        .bind(ms(now))
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "insert into consent (id, patient_id, basis, text_version, given_on, recording, recorded_at_ms, recorded_by) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(new_id())
    .bind(&patient.0)
    .bind(word(&consent.basis))
    .bind(consent.text_version.clone())
    .bind(consent.given_on.as_ref().map(word))
    .bind(i64::from(consent.recording))
    .bind(ms(now))
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}

/// Life, stay and number are as the hospital says now.
async fn confirm(
    connection: &mut AnyConnection,
    patient: &PatientId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("update patient set seen_at_ms = $2 where id = $1")
        .bind(&patient.0)
        .bind(ms(now))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn upsert_episode(
    connection: &mut AnyConnection,
    keys: &Keys,
    patient: &PatientId,
    episode: &Episode,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seal = Seal::of(connection, keys, &patient.0, Class::Identity).await?;
    let index = Site::of(connection, keys)
        .await?
        .encounter(&episode.encounter);
    let inserted = sqlx::query(
        "insert into episode (id, patient_id, encounter, pathway, department, ward, discharged_at_ms, state, \
         high_risk, created_at_ms, updated_at_ms, encounter_index) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11) \
         on conflict (patient_id, encounter_index) do nothing",
    )
    .bind(&episode.id.0)
    .bind(&patient.0)
    .bind(seal.text(&encounter_of(&episode.id), &episode.encounter)?)
    .bind(&episode.pathway)
    .bind(&episode.department)
    .bind(&episode.ward)
    .bind(ms(episode.discharged_at))
    .bind(word(&episode.state))
    .bind(i64::from(episode.high_risk))
    .bind(ms(now))
    .bind(&index)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(true);
    }
    sqlx::query(
        "update episode set pathway = $3, department = $4, ward = $5, discharged_at_ms = $6, \
         state = case when $7 = 'discharged' then state else $7 end, high_risk = $8, updated_at_ms = $9 \
         where patient_id = $1 and encounter_index = $2",
    )
    .bind(&patient.0)
    .bind(&index)
    .bind(&episode.pathway)
    .bind(&episode.department)
    .bind(&episode.ward)
    .bind(ms(episode.discharged_at))
    .bind(word(&episode.state))
    .bind(i64::from(episode.high_risk))
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(false)
}

/// A step that is known keeps its state; it moves only with a corrected discharge or pathway, and before its first call.
pub(super) const MOVE_STEP: &str = "on conflict (episode_id, day) do update set script = excluded.script, due_on = excluded.due_on, \
     lapses_on = excluded.lapses_on, next_at_ms = excluded.next_at_ms, reason = excluded.reason, prewarm_at_ms = 0 \
     where step.state = 'planned' and (step.due_on <> excluded.due_on or step.script <> excluded.script)";

async fn upsert_step(
    connection: &mut AnyConnection,
    patient: &PatientId,
    episode: &EpisodeId,
    step: &Step,
) -> Result<(), StoreError> {
    let sql = format!(
        "insert into step (id, episode_id, patient_id, day, script, due_on, lapses_on, state, next_at_ms, reason) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) {MOVE_STEP}"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&step.id.0)
        .bind(&episode.0)
        .bind(&patient.0)
        .bind(i64::from(step.day))
        .bind(&step.script)
        .bind(word(&step.due_on))
        .bind(word(&step.lapses_on))
        .bind(word(&step.state))
        .bind(ms(step.next_at))
        .bind(&step.reason)
        .execute(connection)
        .await?;
    Ok(())
}
