//! Why steps were or were not dialled: append-only rows, one for every decision that differs from the one before.

use aftercall_core::id::{AttemptId, EpisodeId, StepId};
use aftercall_core::plan::{Reason, Standing};
use aftercall_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::row::{Columns, json, word};
use super::step::StepChange;
use super::{Store, StoreError, ms};

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Dial,
    /// Asked again at `until`.
    Wait,
    /// Never again.
    Finish,
}

/// One decision about a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub at: Timestamp,
    pub answer: Answer,
    /// `None` where it was dialled.
    pub reason: Option<Reason>,
    pub until: Option<Timestamp>,
    pub attempt: Option<AttemptId>,
}

/// What an admin has stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Empty: everything; `ward/NAME`: one ward.
    pub scope: String,
    pub why: String,
    pub by: String,
    pub at: Timestamp,
}

impl Store {
    /// The decisions about a step, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn decisions(&self, step: &StepId) -> Result<Vec<Decision>, StoreError> {
        let rows = sqlx::query(
            "select at_ms, answer, reason, until_ms, attempt_id from decision where step_id = $1 order by position",
        )
        .bind(&step.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read_decision).collect()
    }

    /// How things stand for a stay at the moment.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn standing(&self, episode: &EpisodeId) -> Result<Standing, StoreError> {
        let row = sqlx::query(
            "select p.seen_at_ms, e.created_at_ms, \
             case when exists (select 1 from feed_visit v where v.hospital = p.hospital and v.number_index = p.number_index) \
             and not exists (select 1 from feed_message m where m.state = 'dead' and m.number_index = p.number_index) \
             then (select max(received_at_ms) from feed_message where state <> 'rejected') end as heard_at_ms, \
             (select count(*) from pause where scope = '' or scope = 'ward/' || e.ward) as paused, \
             (select count(*) from work_order w join episode o on o.id = w.episode_id \
              where w.state = 'open' and w.urgency = 'emergent' and w.exhausted = 1 and o.ward = e.ward) as unanswered \
             from episode e join patient p on p.id = e.patient_id where e.id = $1",
        )
        .bind(&episode.0)
        .fetch_one(&self.pool)
        .await?;
        let row = Columns(&row);
        Ok(Standing {
            enrolled_at: row.time_or_null("created_at_ms")?,
            // A bus that speaks and says nothing of her confirms what it said before; a message that waits denies it.
            record_seen_at: row
                .time_or_null("seen_at_ms")?
                .max(row.time_or_null("heard_at_ms")?),
            ward_unanswered: row.int("unanswered")? > 0,
            paused: row.int("paused")? > 0,
        })
    }

    /// Stops dialling for everybody or for a ward; true where it was not stopped before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pause(&self, pause: &Pause) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "insert into pause (scope, why, paused_by, paused_at_ms) values ($1, $2, $3, $4) on conflict do nothing",
        )
        .bind(&pause.scope)
        .bind(&pause.why)
        .bind(&pause.by)
        .bind(ms(pause.at))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Goes on; true where it was stopped. Steps that were put off for it are looked at again now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn resume(&self, scope: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query("delete from pause where scope = $1")
            .bind(scope)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "update step set next_at_ms = $1 where state = 'planned' and reason like 'paused: %' and next_at_ms > $1",
        )
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Everything that is stopped.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let rows =
            sqlx::query("select scope, why, paused_by, paused_at_ms from pause order by scope")
                .fetch_all(&self.pool)
                .await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(Pause {
                scope: row.text("scope")?,
                why: row.text("why")?,
                by: row.text("paused_by")?,
                at: row.time("paused_at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

fn read_decision(row: &AnyRow) -> Result<Decision, StoreError> {
    let row = Columns(row);
    Ok(Decision {
        at: row.time("at_ms")?,
        answer: row.word("answer")?,
        reason: row.json_or_null("reason")?,
        until: row.time_or_null("until_ms")?,
        attempt: row.text_or_null("attempt_id")?.map(AttemptId),
    })
}

/// What a change of a step was decided by; `None` where it says nothing: it may be dialled at once.
pub(super) fn decision_of(change: &StepChange, now: Timestamp) -> Option<Decision> {
    let reason = change.why.clone()?;
    let (answer, until) = if change.state.is_closed() {
        (Answer::Finish, None)
    } else {
        (Answer::Wait, Some(change.next_at))
    };
    Some(Decision {
        at: now,
        answer,
        reason: Some(reason),
        until,
        attempt: None,
    })
}

/// Adds a decision where it differs from the last.
pub(super) async fn decide(
    connection: &mut AnyConnection,
    step: &str,
    decision: &Decision,
) -> Result<(), StoreError> {
    let last = sqlx::query(
        "select position, at_ms, answer, reason, until_ms, attempt_id from decision where step_id = $1 \
         order by position desc limit 1",
    )
    .bind(step)
    .fetch_optional(&mut *connection)
    .await?;
    let mut position = 0;
    if let Some(row) = last {
        let known = read_decision(&row)?;
        let is_news = (known.answer, &known.reason, known.until, &known.attempt)
            != (
                decision.answer,
                &decision.reason,
                decision.until,
                &decision.attempt,
            );
        if !is_news {
            return Ok(());
        }
        position = Columns(&row).int("position")? + 1;
    }
    sqlx::query(
        "insert into decision (step_id, position, at_ms, answer, reason, until_ms, attempt_id) \
         values ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(step)
    .bind(position)
    .bind(ms(decision.at))
    .bind(word(&decision.answer))
    .bind(decision.reason.as_ref().map(json))
    .bind(decision.until.map(ms))
    .bind(decision.attempt.as_ref().map(|id| id.0.clone()))
    .execute(connection)
    .await?;
    Ok(())
}
