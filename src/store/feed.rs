//! Messages of the hospital's bus: kept before they are answered, applied in one transaction with what they change.

use aftercall_core::feed::{Ack, Fault, Mark, VisitState};
use aftercall_core::id::PatientId;
use aftercall_core::patient::{EpisodeState, Life};
use aftercall_core::plan::{LifeEvent, Reason};
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::enrol::{Enrol, Known, KnownPatients, Standing, apply, known};
use super::key::Keys;
use super::life::happen;
use super::page::{Page, PageRequest};
use super::patient::{of_patient, patient, stays_of};
use super::row::{Columns, word};
use super::sealed::{Seal, read_each};
use super::site::{Indexed, Site};
use super::{Store, StoreError, ms};
use crate::vault::Class;

/// A message as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedMessage {
    pub id: String,
    /// MSH-3, MSH-4 and MSH-10.
    pub application: String,
    pub facility: String,
    pub control_id: String,
    /// Of everything but the header, which a sender may stamp anew.
    pub digest: String,
    /// `A03`.
    pub event: String,
    pub received_at: Timestamp,
    /// Base64 of its bytes: health data.
    pub content: String,
    pub state: MessageState,
    pub fault: Option<Fault>,
    pub ack: Option<Ack>,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// On disk, and not yet decided.
    Received,
    Applied,
    /// It concerns nothing that is planned here.
    Unchanged,
    /// Something newer was told before.
    Stale,
    /// It could not be applied: a person looks at it.
    Dead,
    /// It is none of ours.
    Rejected,
}

/// How a message relates to those that came before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk now, or was left undecided by a crash.
    New(FeedMessage),
    /// The same was decided before.
    Known(FeedMessage),
    /// Another message had its control id.
    Reused,
}

/// What is known of whom a message is about.
#[derive(Clone, Debug, Default)]
pub struct FeedKnown {
    pub patient: Option<Known>,
    /// The record that is given up.
    pub prior: Option<Known>,
    pub marks: Vec<Mark>,
    /// The newest message about the person that was applied.
    pub person_told_at: Option<Timestamp>,
    /// A death was told, perhaps before the patient was known.
    pub died: bool,
}

/// What a message comes to.
#[derive(Clone, Debug)]
pub struct Settled {
    pub state: MessageState,
    pub ack: Ack,
    /// Of it the sender hears.
    pub fault: Option<Fault>,
    pub change: Option<Enrol>,
    pub mark: Option<Mark>,
    pub person_told_at: Option<Timestamp>,
    /// It tells of a death.
    pub died: bool,
    pub merge: Option<Merge>,
}

impl Settled {
    /// Whom it made known.
    fn patient(&self) -> Option<PatientId> {
        self.change.as_ref().map(|change| change.patient.id.clone())
    }
}

/// Two records that become one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// The second goes on, with all of the first.
    Into(PatientId, PatientId),
    /// Only the record that is given up is known: it goes on under the other number.
    Renumber(PatientId),
    /// Neither, or they are one already: the number alone is remembered.
    Nothing(Option<PatientId>),
}

/// The numbers by which a message names whom it is about.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    pub hospital: &'a str,
    pub number: &'a str,
    pub prior: Option<&'a str>,
}

const MESSAGE: &str = "select id, application, facility, control_id, digest, event, received_at_ms, content, state, segment, field, \
     code, fault, ack, k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped from feed_message \
     left join data_key k on k.owner = coalesce(sealed_by, 'site') and k.class = 'identity'";

impl Store {
    /// Puts a message on disk, where it is not there yet.
    ///
    /// # Errors
    /// When the database refuses: then the sender must get no answer.
    pub async fn keep_message(&self, message: &FeedMessage) -> Result<Kept, StoreError> {
        let mut tx = self.begin().await?;
        let site = Site::of(&mut tx, &self.keys).await?;
        let digest = site.index(Indexed::Message, &message.digest);
        let sql = format!(
            "{MESSAGE} where application = $1 and facility = $2 and control_id = $3 order by id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&message.application)
            .bind(&message.facility)
            .bind(&message.control_id)
            .fetch_all(&mut *tx)
            .await?;
        let earlier = read_messages(&mut tx, &self.keys, &rows).await?;
        if let Some(same) = earlier.iter().find(|known| known.digest == digest) {
            return Ok(match same.state {
                MessageState::Received => Kept::New(same.clone()),
                _ => Kept::Known(same.clone()),
            });
        }
        sqlx::query(
            "insert into feed_message (id, application, facility, control_id, digest, event, received_at_ms, content, state) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'received') \
             on conflict (application, facility, control_id, digest) do nothing",
        )
        .bind(&message.id)
        .bind(&message.application)
        .bind(&message.facility)
        .bind(&message.control_id)
        .bind(digest)
        .bind(&message.event)
        .bind(ms(message.received_at))
        .bind(site.seal().text(&content_of(&message.id), &message.content)?)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(if earlier.is_empty() {
            Kept::New(message.clone())
        } else {
            Kept::Reused
        })
    }

    /// Applies what `decide` makes of a message, with its end, all of it or nothing.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_message(
        &self,
        id: &str,
        numbers: Option<Numbers<'_>>,
        by: &str,
        now: Timestamp,
        decide: impl FnOnce(FeedKnown) -> Settled + Send,
    ) -> Result<Settled, StoreError> {
        self.site().await?;
        let mut tx = self.begin().await?;
        let told_of = match numbers {
            Some(numbers) => feed_known(&mut tx, &self.keys, numbers).await?,
            None => FeedKnown::default(),
        };
        // What is kept stands under the number that is in use, whichever the message knows.
        let in_use = told_of
            .patient
            .as_ref()
            .map(|known| known.patient.number.expose().clone());
        let numbers = numbers.map(|numbers| Numbers {
            number: in_use.as_deref().unwrap_or(numbers.number),
            ..numbers
        });
        let concerns = told_of.patient.as_ref().or(told_of.prior.as_ref());
        let concerns = concerns.map(|known| known.patient.id.clone());
        let settled = decide(told_of);
        if let Some(change) = &settled.change {
            apply(&mut tx, &self.keys, std::slice::from_ref(change), by, now).await?;
            confirm(&mut tx, change, settled.person_told_at, now).await?;
        }
        if let Some(numbers) = numbers {
            if let Some(mark) = &settled.mark {
                put_mark(&mut tx, &self.keys, numbers, mark).await?;
            }
            if let Some(at) = settled.person_told_at {
                put_person(&mut tx, &self.keys, numbers, at, settled.died).await?;
            }
            if let Some(merge) = &settled.merge {
                put_merge(&mut tx, &self.keys, numbers, merge, now).await?;
            }
        }
        let fault = settled.fault.as_ref();
        let site = Site::of(&mut tx, &self.keys).await?;
        if let Some(patient) = concerns.or_else(|| settled.patient()) {
            give_to(&mut tx, &self.keys, id, &patient).await?;
        }
        sqlx::query(
            "update feed_message set state = $2, number_index = $3, segment = $4, field = $5, code = $6, fault = $7, ack = $8, \
             settled_at_ms = $9, settled_by = $10 where id = $1",
        )
        .bind(id)
        .bind(word(&settled.state))
        .bind(numbers.map(|numbers| site.index(Indexed::Number, numbers.number)))
        .bind(fault.map(|fault| fault.segment.as_str()))
        .bind(fault.map(|fault| i64::from(fault.field)))
        .bind(fault.map(|fault| i64::from(fault.code)))
        .bind(fault.map(|fault| fault.fault.as_str()))
        .bind(settled.ack.to_string())
        .bind(ms(now))
        .bind(by)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(settled)
    }

    /// One message.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn feed_message(&self, id: &str) -> Result<FeedMessage, StoreError> {
        let sql = format!("{MESSAGE} where id = $1");
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
        let found = read_messages(&mut connection, &self.keys, &rows).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::NotFound {
                what: "message",
                id: id.to_owned(),
            })
    }

    /// Messages, oldest first; `None`: of every state.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn feed_messages(
        &self,
        state: Option<MessageState>,
        page: &PageRequest,
    ) -> Result<Page<FeedMessage>, StoreError> {
        let after = page
            .keys::<0>()?
            .map(|(_, id)| id.to_owned())
            .unwrap_or_default();
        let state = state.map_or_else(String::new, |state| word(&state));
        let sql =
            format!("{MESSAGE} where id > $1 and ($2 = '' or state = $2) order by id limit $3");
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(state)
            .bind(page.fetch())
            .fetch_all(&mut *connection)
            .await?;
        let messages = read_messages(&mut connection, &self.keys, &rows).await?;
        Ok(page.cut(messages, |message| (vec![], message.id.clone())))
    }

    /// How many messages are in each state, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn feed_messages_by_state(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "select state, count(*) as messages from feed_message group by state order by state",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row| {
            let row = Columns(row);
            Ok((row.text("state")?, row.count("messages")?))
        };
        rows.iter().map(read).collect()
    }
}

/// Where the sealed content of a message stands.
fn content_of(id: &str) -> String {
    format!("content/{id}")
}

/// Seals a message under the key of whom it is about: until now it lay under the hospital's.
async fn give_to(
    connection: &mut AnyConnection,
    keys: &Keys,
    id: &str,
    patient: &PatientId,
) -> Result<(), StoreError> {
    let sql = format!("{MESSAGE} where id = $1");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
    let Some(message) = read_messages(connection, keys, &rows).await?.pop() else {
        return Ok(());
    };
    let seal = Seal::of(connection, keys, &patient.0, Class::Identity).await?;
    sqlx::query("update feed_message set content = $2, sealed_by = $3 where id = $1")
        .bind(id)
        .bind(seal.text(&content_of(id), &message.content)?)
        .bind(&patient.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn read_messages(
    connection: &mut AnyConnection,
    keys: &Keys,
    rows: &[AnyRow],
) -> Result<Vec<FeedMessage>, StoreError> {
    read_each(connection, keys, rows, Class::Identity, read_message).await
}

fn read_message(row: &AnyRow, seal: &Seal) -> Result<FeedMessage, StoreError> {
    let row = Columns(row);
    let id = row.text("id")?;
    let content = seal.open(&row, "content", &content_of(&id))?;
    let fault = match (row.text_or_null("segment")?, row.text_or_null("fault")?) {
        (Some(segment), Some(fault)) => Some(Fault {
            segment,
            field: row.count("field")?,
            code: row.count("code")?,
            fault,
        }),
        _ => None,
    };
    Ok(FeedMessage {
        id,
        application: row.text("application")?,
        facility: row.text("facility")?,
        control_id: row.text("control_id")?,
        digest: row.text("digest")?,
        event: row.text("event")?,
        received_at: row.time("received_at_ms")?,
        content,
        state: row.word("state")?,
        fault,
        ack: row.word_or_null("ack")?,
    })
}

async fn feed_known(
    connection: &mut AnyConnection,
    keys: &Keys,
    numbers: Numbers<'_>,
) -> Result<FeedKnown, StoreError> {
    let wanted: Vec<&str> = [numbers.number].into_iter().chain(numbers.prior).collect();
    let mut patients: KnownPatients = known(connection, keys, numbers.hospital, &wanted).await?;
    let patient = patients.get(numbers.number).cloned();
    let prior = numbers.prior.and_then(|prior| patients.remove(prior));
    // Marks stand under the number that is in use.
    let number = patient.as_ref().map_or(numbers.number, |known| {
        known.patient.number.expose().as_str()
    });
    let site = Site::of(connection, keys).await?;
    let rows = sqlx::query(
        "select encounter_index, encounter, told_at_ms, state, admitted_at_ms from feed_visit \
         where hospital = $1 and number_index in ($2, $3) order by encounter_index, told_at_ms",
    )
    .bind(numbers.hospital)
    .bind(site.index(Indexed::Number, number))
    .bind(site.index(Indexed::Number, numbers.number))
    .fetch_all(connection)
    .await?;
    let mut told_of = FeedKnown {
        patient,
        prior,
        ..FeedKnown::default()
    };
    for row in &rows {
        let row = Columns(row);
        let told_at = row.time("told_at_ms")?;
        let index = row.text("encounter_index")?;
        let encounter = site
            .seal()
            .open_or_null(&row, "encounter", &visit_of(&index))?
            .unwrap_or_default();
        if encounter.is_empty() {
            told_of.person_told_at = told_of.person_told_at.max(Some(told_at));
            told_of.died |= row.text("state")? == "dead";
            continue;
        }
        let state: VisitState = row.word("state")?;
        told_of.marks.retain(|mark| mark.encounter != encounter);
        told_of.marks.push(Mark {
            encounter,
            told_at,
            state,
            admitted_at: row.time_or_null("admitted_at_ms")?,
        });
    }
    Ok(told_of)
}

/// The record is as the bus said at `told_at`; a stale message confirms nothing.
async fn confirm(
    connection: &mut AnyConnection,
    change: &Enrol,
    told_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(told_at) = told_at else {
        return Ok(());
    };
    sqlx::query(
        "update patient set seen_at_ms = $2 where id = $1 and ($3 = 1 or seen_at_ms is null or seen_at_ms < $2)",
    )
    .bind(&change.patient.id.0)
    .bind(ms(told_at.min(now)))
    .bind(i64::from(change.patient_is == Standing::New))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_mark(
    connection: &mut AnyConnection,
    keys: &Keys,
    numbers: Numbers<'_>,
    mark: &Mark,
) -> Result<(), StoreError> {
    let state = word(&mark.state);
    let admitted = mark.admitted_at.map(ms);
    put_visit(
        connection,
        keys,
        numbers,
        (&mark.encounter, mark.told_at),
        (&state, admitted),
    )
    .await
}

async fn put_person(
    connection: &mut AnyConnection,
    keys: &Keys,
    numbers: Numbers<'_>,
    at: Timestamp,
    died: bool,
) -> Result<(), StoreError> {
    let state = if died { "dead" } else { "person" };
    put_visit(connection, keys, numbers, ("", at), (state, None)).await
}

/// Where the sealed number of a visit stands, which lies under the hospital's key: it may come before the patient.
fn visit_of(index: &str) -> String {
    format!("visit/{index}")
}

async fn put_visit(
    connection: &mut AnyConnection,
    keys: &Keys,
    numbers: Numbers<'_>,
    (encounter, told_at): (&str, Timestamp),
    (state, admitted): (&str, Option<i64>),
) -> Result<(), StoreError> {
    let site = Site::of(connection, keys).await?;
    let index = site.encounter(encounter);
    let sealed = site.seal().text(&visit_of(&index), encounter)?;
    sqlx::query(
        "insert into feed_visit (hospital, number_index, encounter_index, told_at_ms, state, admitted_at_ms, encounter) \
         values ($1, $2, $3, $4, $5, $6, $7) on conflict (hospital, number_index, encounter_index) do update set \
         told_at_ms = excluded.told_at_ms, admitted_at_ms = excluded.admitted_at_ms, \
         state = case when feed_visit.state = 'dead' then 'dead' else excluded.state end",
    )
    .bind(numbers.hospital)
    .bind(site.index(Indexed::Number, numbers.number))
    .bind(index)
    .bind(ms(told_at))
    .bind(state)
    .bind(admitted)
    .bind(sealed)
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything of the one record becomes the other's; the number that is given up means it from now on.
async fn put_merge(
    connection: &mut AnyConnection,
    keys: &Keys,
    numbers: Numbers<'_>,
    merge: &Merge,
    now: Timestamp,
) -> Result<(), StoreError> {
    let site = Site::of(connection, keys).await?;
    let number = site.index(Indexed::Number, numbers.number);
    let goes_on = match merge {
        Merge::Into(prior, goes_on) => {
            move_record(connection, keys, prior, goes_on, now).await?;
            Some(goes_on)
        }
        Merge::Renumber(patient) => {
            let seal = Seal::of(connection, keys, &patient.0, Class::Identity).await?;
            sqlx::query(
                "update patient set number_index = $2, number = $3, updated_at_ms = $4 where id = $1",
            )
            .bind(&patient.0)
            .bind(&number)
            .bind(seal.text(&of_patient("number", patient), numbers.number)?)
            .bind(ms(now))
            .execute(&mut *connection)
            .await?;
            Some(patient)
        }
        Merge::Nothing(known) => known.as_ref(),
    };
    let (Some(goes_on), Some(prior)) = (goes_on, numbers.prior) else {
        return Ok(());
    };
    let prior = site.index(Indexed::Number, prior);
    sqlx::query(
        "insert into merged_number (hospital, number_index, patient_id, merged_at_ms) values ($1, $2, $3, $4) \
         on conflict (hospital, number_index) do update set patient_id = excluded.patient_id",
    )
    .bind(numbers.hospital)
    .bind(&prior)
    .bind(&goes_on.0)
    .bind(ms(now))
    .execute(&mut *connection)
    .await?;
    // What was told of the visits is told of the record that goes on; where both were told of one, the newer stands.
    let moved = "insert into feed_visit (hospital, number_index, encounter_index, told_at_ms, state, admitted_at_ms, encounter) \
         select hospital, $3, encounter_index, told_at_ms, state, admitted_at_ms, encounter from feed_visit \
         where hospital = $1 and number_index = $2 and encounter_index <> '' \
         on conflict (hospital, number_index, encounter_index) do update \
         set told_at_ms = excluded.told_at_ms, state = excluded.state, admitted_at_ms = excluded.admitted_at_ms \
         where feed_visit.told_at_ms < excluded.told_at_ms";
    sqlx::query(moved)
        .bind(numbers.hospital)
        .bind(&prior)
        .bind(&number)
        .execute(connection)
        .await?;
    Ok(())
}

/// Moves stays, plans, calls, orders and readings. A stay that both have stays behind, and its plan is ended.
async fn move_record(
    connection: &mut AnyConnection,
    keys: &Keys,
    from: &PatientId,
    to: &PatientId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let twice = "update step set state = 'blocked', reason = $3 where patient_id = $1 and state = 'planned' \
         and episode_id in (select a.id from episode a join episode b on b.encounter_index = a.encounter_index \
         where a.patient_id = $1 and b.patient_id = $2)";
    sqlx::query(twice)
        .bind(&from.0)
        .bind(&to.0)
        .bind(Reason::Superseded.to_string())
        .execute(&mut *connection)
        .await?;
    let stays = "update episode set patient_id = $2, sealed_by = coalesce(sealed_by, patient_id) \
         where patient_id = $1 and encounter_index not in (select encounter_index from episode where patient_id = $2)";
    let of_stay = |table: &str| {
        format!(
            "update {table} set patient_id = $2 where patient_id = $1 and \
             (episode_id is null or episode_id in (select id from episode where patient_id = $2))"
        )
    };
    let readings = "update observation set patient_id = $2 where patient_id = $1 and not exists \
         (select 1 from observation o where o.patient_id = $2 and o.kind = observation.kind \
         and o.taken_at_ms = observation.taken_at_ms and o.source = observation.source)";
    // What they told stays under the key that it was sealed by.
    let sealed = ["attempt", "work_order"].map(|table| {
        format!("update {table} set sealed_by = patient_id where patient_id = $1 and $1 <> $2 and sealed_by is null")
    });
    let mut statements = Vec::from(sealed);
    statements.extend([stays.to_owned(), readings.to_owned()]);
    statements.extend(["step", "errand", "attempt", "work_order"].map(of_stay));
    statements.push("update merged_number set patient_id = $2 where patient_id = $1".to_owned());
    for sql in statements {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&from.0)
            .bind(&to.0)
            .execute(&mut *connection)
            .await?;
    }
    happen(connection, to, &LifeEvent::Merged, now).await?;
    let stays = stays_of(connection, keys, to).await?;
    let last = stays
        .iter()
        .find(|stay| stay.state != EpisodeState::Cancelled);
    if let Some(last) = last.filter(|last| last.state == EpisodeState::Discharged) {
        let stay = last.id.clone();
        happen(connection, to, &LifeEvent::Discharged { stay }, now).await?;
    }
    if patient(connection, keys, to).await?.life == Life::Dead {
        happen(connection, to, &LifeEvent::Died, now).await?;
    }
    Ok(())
}
