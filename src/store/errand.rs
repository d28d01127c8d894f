//! Errands of a plan: a person's tasks, and messages without a call.

use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::plan::{Errand, ExpectedReading, StepState, What};
use aftercall_core::time::{self, Timestamp};
use jiff::civil::Date;
use sqlx::AnyConnection;

use super::expected::upsert_readings;
use super::message::{NewMessage, write};
use super::row::{Columns, word};
use super::work_order::{Raise, raise_or_join};
use super::{Store, StoreError, ms};

/// An errand that is due, with whom it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct DueErrand {
    pub errand: Errand,
    pub episode: EpisodeId,
    pub patient: PatientId,
}

/// How an errand ends.
#[derive(Clone, Debug)]
pub enum ErrandEnd {
    /// A person has the order.
    Raised(Box<Raise>),
    /// The message goes out by the outbox.
    Written(Box<NewMessage>),
    /// Not done: `blocked` or `lapsed`.
    Closed(StepState, String),
}

impl Store {
    /// Errands that are due, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn due_errands(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueErrand>, StoreError> {
        let rows = sqlx::query(
            "select id, episode_id, patient_id, day, kind, what, due_on, lapses_on from errand \
             where state = 'planned' and next_at_ms <= $1 order by next_at_ms, id limit $2",
        )
        .bind(ms(now))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let read = |row| {
            let row = Columns(row);
            let name = row.text("what")?;
            let what = match row.text("kind")?.as_str() {
                "task" => What::Task(name),
                "education" => What::Education(name),
                _ => return Err(StoreError::Corrupt { column: "kind" }),
            };
            Ok(DueErrand {
                errand: Errand {
                    id: StepId(row.text("id")?),
                    day: row.count("day")?,
                    what,
                    due_on: row.word::<Date>("due_on")?,
                    lapses_on: row.word::<Date>("lapses_on")?,
                },
                episode: EpisodeId(row.text("episode_id")?),
                patient: PatientId(row.text("patient_id")?),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Plans the errands of a stay and awaits its readings; known ones keep their state.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn plan_errands(
        &self,
        patient: (&PatientId, &str),
        episode: &EpisodeId,
        (errands, readings): (&[Errand], &[ExpectedReading]),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        upsert_errands(&mut tx, patient, episode, errands).await?;
        upsert_readings(&mut tx, patient, episode, readings).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends an errand with what it asks for, in one transaction; false when another engine was faster.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_errand(
        &self,
        due: &DueErrand,
        end: &ErrandEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (state, reason) = match end {
            ErrandEnd::Raised(_) | ErrandEnd::Written(_) => (StepState::Done, ""),
            ErrandEnd::Closed(state, reason) => (*state, reason.as_str()),
        };
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update errand set state = $2, reason = $3 where id = $1 and state = 'planned'",
        )
        .bind(&due.errand.id.0)
        .bind(word(&state))
        .bind(reason)
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        match end {
            ErrandEnd::Raised(raise) => {
                raise_or_join(&mut tx, &self.keys, raise, now).await?;
            }
            ErrandEnd::Written(message) => {
                write(&mut tx, &self.keys, message, now).await?;
            }
            ErrandEnd::Closed(..) => {}
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Plans the errands of a stay. A known one keeps its state, and moves only while it is planned.
pub(super) async fn upsert_errands(
    connection: &mut AnyConnection,
    (patient, zone): (&PatientId, &str),
    episode: &EpisodeId,
    errands: &[Errand],
) -> Result<(), StoreError> {
    for errand in errands {
        let (kind, what) = match &errand.what {
            What::Task(task) => ("task", task),
            What::Education(message) => ("education", message),
            What::Call => continue,
        };
        let zone = time::zone(zone).unwrap_or(jiff::tz::TimeZone::UTC);
        // A message at midnight would wake; nine is within every lawful window.
        let due = errand.due_on.at(9, 0, 0, 0).to_zoned(zone);
        let next_at = due.map_or(Timestamp::MAX, |due| due.timestamp());
        sqlx::query(
            "insert into errand (id, episode_id, patient_id, day, kind, what, due_on, lapses_on, state, next_at_ms, reason) \
             values ($1, $2, $3, $4, $5, $6, $7, $8, 'planned', $9, '') \
             on conflict (episode_id, day) do update set kind = excluded.kind, what = excluded.what, \
             due_on = excluded.due_on, lapses_on = excluded.lapses_on, next_at_ms = excluded.next_at_ms \
             where errand.state = 'planned' and (errand.due_on <> excluded.due_on or errand.what <> excluded.what)",
        )
        .bind(&errand.id.0)
        .bind(&episode.0)
        .bind(&patient.0)
        .bind(i64::from(errand.day))
        .bind(kind)
        .bind(what)
        .bind(word(&errand.due_on))
        .bind(word(&errand.lapses_on))
        .bind(ms(next_at))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
