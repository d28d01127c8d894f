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
use super::patient::{patient, stays_of};
use super::row::{Columns, word};
use super::{Store, StoreError, ms};

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
     code, fault, ack from feed_message";

impl Store {
    /// Puts a message on disk, where it is not there yet.
    ///
    /// # Errors
    /// When the database refuses: then the sender must get no answer.
    pub async fn keep_message(&self, message: &FeedMessage) -> Result<Kept, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "{MESSAGE} where application = $1 and facility = $2 and control_id = $3 order by id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&message.application)
            .bind(&message.facility)
            .bind(&message.control_id)
            .fetch_all(&mut *tx)
            .await?;
        let earlier = rows
            .iter()
            .map(read_message)
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(same) = earlier.iter().find(|known| known.digest == message.digest) {
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
        .bind(&message.digest)
        .bind(&message.event)
        .bind(ms(message.received_at))
        .bind(&message.content)
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
        let settled = decide(told_of);
        if let Some(change) = &settled.change {
            apply(&mut tx, &self.keys, std::slice::from_ref(change), by, now).await?;
            confirm(&mut tx, change, settled.person_told_at, now).await?;
        }
        if let Some(numbers) = numbers {
            if let Some(mark) = &settled.mark {
                put_mark(&mut tx, numbers, mark).await?;
            }
            if let Some(at) = settled.person_told_at {
                put_person(&mut tx, numbers, at, settled.died).await?;
            }
            if let Some(merge) = &settled.merge {
                put_merge(&mut tx, &self.keys, numbers, merge, now).await?;
            }
        }
        let fault = settled.fault.as_ref();
        sqlx::query(
            "update feed_message set state = $2, number = $3, segment = $4, field = $5, code = $6, fault = $7, ack = $8, \
             settled_at_ms = $9, settled_by = $10 where id = $1",
        )
        .bind(id)
        .bind(word(&settled.state))
        .bind(numbers.map(|numbers| numbers.number))
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
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref()
            .map(read_message)
            .transpose()?
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
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(state)
            .bind(page.fetch())
            .fetch_all(&self.pool)
            .await?;
        let messages = rows
            .iter()
            .map(read_message)
            .collect::<Result<Vec<_>, _>>()?;
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

fn read_message(row: &AnyRow) -> Result<FeedMessage, StoreError> {
    let row = Columns(row);
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
        id: row.text("id")?,
        application: row.text("application")?,
        facility: row.text("facility")?,
        control_id: row.text("control_id")?,
        digest: row.text("digest")?,
        event: row.text("event")?,
        received_at: row.time("received_at_ms")?,
        content: row.text("content")?,
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
    let rows = sqlx::query(
        "select encounter, told_at_ms, state, admitted_at_ms from feed_visit \
         where hospital = $1 and number in ($2, $3) order by encounter, told_at_ms",
    )
    .bind(numbers.hospital)
    .bind(number)
    .bind(numbers.number)
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
        let encounter = row.text("encounter")?;
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
    numbers: Numbers<'_>,
    mark: &Mark,
) -> Result<(), StoreError> {
    let state = word(&mark.state);
    let admitted = mark.admitted_at.map(ms);
    put_visit(
        connection,
        numbers,
        (&mark.encounter, mark.told_at),
        (&state, admitted),
    )
    .await
}

async fn put_person(
    connection: &mut AnyConnection,
    numbers: Numbers<'_>,
    at: Timestamp,
    died: bool,
) -> Result<(), StoreError> {
    let state = if died { "dead" } else { "person" };
    put_visit(connection, numbers, ("", at), (state, None)).await
}

async fn put_visit(
    connection: &mut AnyConnection,
    numbers: Numbers<'_>,
    (encounter, told_at): (&str, Timestamp),
    (state, admitted): (&str, Option<i64>),
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into feed_visit (hospital, number, encounter, told_at_ms, state, admitted_at_ms) \
         values ($1, $2, $3, $4, $5, $6) on conflict (hospital, number, encounter) do update set \
         told_at_ms = excluded.told_at_ms, admitted_at_ms = excluded.admitted_at_ms, \
         state = case when feed_visit.state = 'dead' then 'dead' else excluded.state end",
    )
    .bind(numbers.hospital)
    .bind(numbers.number)
    .bind(encounter)
    .bind(ms(told_at))
    .bind(state)
    .bind(admitted)
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
    let goes_on = match merge {
        Merge::Into(prior, goes_on) => {
            move_record(connection, keys, prior, goes_on, now).await?;
            Some(goes_on)
        }
        Merge::Renumber(patient) => {
            sqlx::query("update patient set number = $2, updated_at_ms = $3 where id = $1")
                .bind(&patient.0)
                .bind(numbers.number)
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
    sqlx::query(
        "insert into merged_number (hospital, number, patient_id, merged_at_ms) values ($1, $2, $3, $4) \
         on conflict (hospital, number) do update set patient_id = excluded.patient_id",
    )
    .bind(numbers.hospital)
    .bind(prior)
    .bind(&goes_on.0)
    .bind(ms(now))
    .execute(&mut *connection)
    .await?;
    // What was told of the visits is told of the record that goes on; where both were told of one, the newer stands.
    let moved = "insert into feed_visit (hospital, number, encounter, told_at_ms, state, admitted_at_ms) \
         select hospital, $3, encounter, told_at_ms, state, admitted_at_ms from feed_visit \
         where hospital = $1 and number = $2 and encounter <> '' on conflict (hospital, number, encounter) do update \
         set told_at_ms = excluded.told_at_ms, state = excluded.state, admitted_at_ms = excluded.admitted_at_ms \
         where feed_visit.told_at_ms < excluded.told_at_ms";
    sqlx::query(moved)
        .bind(numbers.hospital)
        .bind(prior)
        .bind(numbers.number)
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
         and episode_id in (select a.id from episode a join episode b on b.encounter = a.encounter \
         where a.patient_id = $1 and b.patient_id = $2)";
    sqlx::query(twice)
        .bind(&from.0)
        .bind(&to.0)
        .bind(Reason::Superseded.to_string())
        .execute(&mut *connection)
        .await?;
    let stays = "update episode set patient_id = $2 where patient_id = $1 and encounter not in \
         (select encounter from episode where patient_id = $2)";
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
    let stays = stays_of(connection, to).await?;
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
