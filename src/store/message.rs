//! Messages to patients: what is due, what became of it, and which calls are yet to be announced.

use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::message::MessageKind;
use aftercall_core::plan::{Step, StepState};
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::key::Keys;
use super::outbox::post_at;
use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::sealed::Seal;
use super::step::{STEP, read_step};
use super::work_order::{Raise, raise_or_join};
use super::{Store, StoreError, ms};
use crate::vault::Class;

/// A message that is due. Its id is made from what it is about, so that it is due once.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    pub id: String,
    pub patient: PatientId,
    pub episode: EpisodeId,
    /// The step or errand that it is about.
    pub step: StepId,
    pub kind: MessageKind,
    /// What the sender's templates call it.
    pub template: String,
    /// `None`: the patient's own.
    pub phone: Option<PhoneNumber>,
    /// Of a prewarm: how many hours before the call, and when that is.
    pub announces: Option<(u32, Timestamp)>,
    /// When it may go out.
    pub send_at: Timestamp,
}

/// A message, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct PatientMessage {
    pub id: String,
    pub patient: PatientId,
    pub episode: EpisodeId,
    pub step: StepId,
    pub kind: MessageKind,
    pub template: String,
    pub phone: Option<PhoneNumber>,
    pub call_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub state: MessageState,
    pub reason: String,
    /// `sms`, `wechat`, `app`, as the sender says.
    pub channel: Option<String>,
    pub reported_by: Option<String>,
    pub reported_at: Option<Timestamp>,
}

/// Where a message is, from less to more certain; it only goes on.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    Waiting,
    /// The hospital's program has it.
    HandedOver,
    /// On its way to the telephone.
    Sent,
    Failed,
    /// On the telephone: what was said before of a failure was another try.
    Delivered,
    /// Not sent: somebody died, objects, is called already.
    Withheld,
}

/// What the sender says became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub state: MessageState,
    pub channel: Option<String>,
    pub reason: String,
}

const MESSAGE: &str = "select id, patient_id, episode_id, step_id, kind, template, phone, call_at_ms, created_at_ms, state, reason, \
     channel, reported_by, reported_at_ms, k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped \
     from patient_message left join data_key k on k.owner = patient_id and k.class = 'identity'";

impl Store {
    /// Steps whose call comes before `before` and of which it is to be seen whether a message announces it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn steps_to_announce(
        &self,
        now: Timestamp,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Step>, StoreError> {
        let sql = format!(
            "{STEP} where state = 'planned' and urgent in (0, 1, 2) and next_at_ms <= $2 and prewarm_at_ms <= $1 \
             order by next_at_ms, id limit $3"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(ms(now))
            .bind(ms(before))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_step).collect()
    }

    /// The shortest lead by which a step's coming call was announced.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn announced(
        &self,
        step: &StepId,
        now: Timestamp,
    ) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query(
            "select min(lead_hours) as lead from patient_message where step_id = $1 and kind = 'prewarm' and call_at_ms >= $2",
        )
        .bind(&step.0)
        .bind(ms(now))
        .fetch_one(&self.pool)
        .await?;
        Columns(&row).count_or_null("lead")
    }

    /// Writes a message that announces a call, and when the step is looked at next, in one transaction.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn announce(
        &self,
        step: &StepId,
        message: Option<&NewMessage>,
        look_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let is_new = match message {
            Some(message) => write(&mut tx, &self.keys, message, now).await?,
            None => false,
        };
        sqlx::query("update step set prewarm_at_ms = $2 where id = $1")
            .bind(&step.0)
            .bind(ms(look_at))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(is_new)
    }

    /// One message.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn message(&self, id: &str) -> Result<PatientMessage, StoreError> {
        let mut connection = self.pool.acquire().await?;
        message(&mut connection, &self.keys, id).await
    }

    /// The messages about a patient, newest first.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn messages(
        &self,
        patient: &PatientId,
        page: &PageRequest,
    ) -> Result<Page<PatientMessage>, StoreError> {
        let ([before_ms], before_id) = page.keys::<1>()?.unwrap_or(([i64::MAX], "~"));
        let sql = format!(
            "{MESSAGE} where patient_id = $1 and (created_at_ms < $2 or (created_at_ms = $2 and id < $3)) \
             order by created_at_ms desc, id desc limit $4"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(&patient.0)
            .bind(before_ms)
            .bind(before_id)
            .bind(page.fetch())
            .fetch_all(&mut *connection)
            .await?;
        let seal = Seal::of_rows(&mut connection, &self.keys, &rows, Class::Identity).await?;
        let messages = rows
            .iter()
            .map(|row| read_message(row, &seal))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(messages, |message| {
            (vec![ms(message.created_at)], message.id.clone())
        }))
    }

    /// The hospital's program has the message, or it was withheld and why.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn message_left(&self, id: &str, withheld: Option<&str>) -> Result<(), StoreError> {
        let state = match withheld {
            Some(_) => MessageState::Withheld,
            None => MessageState::HandedOver,
        };
        sqlx::query(
            "update patient_message set state = $2, reason = $3 where id = $1 and state = 'waiting'",
        )
        .bind(id)
        .bind(word(&state))
        .bind(withheld.unwrap_or_default())
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Keeps what became of a message. It only goes on: what is known already, or says less than what is known, changes
    /// nothing and is no fault, for reports come twice and out of order. `letter` is raised where a form has failed.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] for a message that was withheld.
    pub async fn report_delivery(
        &self,
        id: &str,
        delivery: &Delivery,
        by: &str,
        letter: &Raise,
        now: Timestamp,
    ) -> Result<PatientMessage, StoreError> {
        let mut tx = self.begin().await?;
        let before = message(&mut tx, &self.keys, id).await?;
        if before.state == MessageState::Withheld {
            return Err(StoreError::Conflict {
                what: "message",
                id: id.to_owned(),
                state: "withheld".to_owned(),
            });
        }
        if delivery.state > before.state {
            let patient = &before.patient.0;
            let seal = Seal::of(&mut tx, &self.keys, patient, Class::Identity).await?;
            sqlx::query(
                "update patient_message set state = $2, reason = $3, channel = $4, reported_by = $5, reported_at_ms = $6 \
                 where id = $1",
            )
            .bind(id)
            .bind(word(&delivery.state))
            .bind(seal.text(&of_message("reason", id), &delivery.reason)?)
            .bind(delivery.channel.clone())
            .bind(by)
            .bind(ms(now))
            .execute(&mut *tx)
            .await?;
            if (before.kind, delivery.state) == (MessageKind::Form, MessageState::Failed) {
                raise_or_join(&mut tx, &self.keys, letter, now).await?;
            }
        }
        let after = message(&mut tx, &self.keys, id).await?;
        tx.commit().await?;
        Ok(after)
    }

    /// Whether the step's call is still to come.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such step.
    pub async fn is_planned(&self, step: &StepId) -> Result<bool, StoreError> {
        Ok(self.step(step).await?.state == StepState::Planned)
    }
}

/// Writes a message that is due with its event; false when it was due before.
pub(super) async fn write(
    connection: &mut AnyConnection,
    keys: &Keys,
    message: &NewMessage,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seal = Seal::of(connection, keys, &message.patient.0, Class::Identity).await?;
    let phone = message.phone.as_ref().map(PhoneNumber::expose);
    let done = sqlx::query(
        "insert into patient_message (id, patient_id, episode_id, step_id, kind, template, phone, lead_hours, call_at_ms, \
         created_at_ms, state, reason) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'waiting', '') on conflict do nothing",
    )
    .bind(&message.id)
    .bind(&message.patient.0)
    .bind(&message.episode.0)
    .bind(&message.step.0)
    .bind(word(&message.kind))
    .bind(&message.template)
    .bind(seal.text_or_null(&of_message("phone", &message.id), phone)?)
    .bind(message.announces.map(|(lead, _)| i64::from(lead)))
    .bind(message.announces.map(|(_, at)| ms(at)))
    .bind(ms(now))
    .execute(&mut *connection)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let about = [
        ("patient", &message.patient.0),
        ("episode", &message.episode.0),
        ("step", &message.step.0),
        ("template", &message.template),
    ];
    let about = about.map(|(key, value)| (key.to_owned(), value.clone().into()));
    let mut payload: serde_json::Map<_, _> = about.into_iter().collect();
    if let Some((lead_hours, call_at)) = message.announces {
        payload.insert("lead_hours".to_owned(), lead_hours.into());
        payload.insert("call_at".to_owned(), call_at.to_string().into());
    }
    let event = message.kind.event();
    let times = (now, message.send_at);
    post_at(connection, event, &message.id, payload, times).await?;
    Ok(true)
}

/// Where a sealed column of a message stands.
fn of_message(column: &str, id: &str) -> String {
    format!("message/{column}/{id}")
}

async fn message(
    connection: &mut AnyConnection,
    keys: &Keys,
    id: &str,
) -> Result<PatientMessage, StoreError> {
    let sql = format!("{MESSAGE} where id = $1");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            what: "message",
            id: id.to_owned(),
        });
    };
    let seal = Seal::of_row(connection, keys, &row, Class::Identity).await?;
    read_message(&row, &seal)
}

fn read_message(row: &AnyRow, seal: &Seal) -> Result<PatientMessage, StoreError> {
    let row = Columns(row);
    let id = row.text("id")?;
    let place = |column| of_message(column, &id);
    Ok(PatientMessage {
        phone: seal.open_phone_or_null(&row, "phone", &place("phone"))?,
        reason: seal.open(&row, "reason", &place("reason"))?,
        patient: PatientId(row.text("patient_id")?),
        episode: EpisodeId(row.text("episode_id")?),
        step: StepId(row.text("step_id")?),
        kind: row.word("kind")?,
        template: row.text("template")?,
        call_at: row.time_or_null("call_at_ms")?,
        created_at: row.time("created_at_ms")?,
        state: row.word("state")?,
        channel: row.text_or_null("channel")?,
        reported_by: row.text_or_null("reported_by")?,
        reported_at: row.time_or_null("reported_at_ms")?,
        id,
    })
}
