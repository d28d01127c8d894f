//! What an event of the hospital's records does to a patient's planned steps: `plan::life_event` decides, here it is kept.

use aftercall_core::id::PatientId;
use aftercall_core::plan::{LifeEvent, StepState, life_event};
use aftercall_core::time::Timestamp;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::decision::{Answer, Decision, decide};
use super::row::word;
use super::step::{STEP, read_step};
use super::{Store, StoreError, ms};

impl Store {
    /// Changes a patient's planned steps as the event demands; returns how many. Calls that are live go on to their end.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn life_event(
        &self,
        patient: &PatientId,
        event: &LifeEvent,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let changed = happen(&mut tx, patient, event, now).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// The same, in the transaction of what happened.
pub(super) async fn happen(
    connection: &mut AnyConnection,
    patient: &PatientId,
    event: &LifeEvent,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = format!("{STEP} where patient_id = $1 order by episode_id, day");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(&patient.0)
        .fetch_all(&mut *connection)
        .await?;
    let steps = rows.iter().map(read_step).collect::<Result<Vec<_>, _>>()?;
    let mut changed = 0;
    for change in life_event(event, &steps, now) {
        let before = match change.state {
            StepState::Planned => StepState::Blocked,
            StepState::Calling
            | StepState::Done
            | StepState::Unreached
            | StepState::Blocked
            | StepState::Lapsed => StepState::Planned,
        };
        // A step that went into a call meanwhile is left to it.
        let done = sqlx::query(
            "update step set state = $2, next_at_ms = $3, reason = $4, leased_by = null, leased_until_ms = null \
             where id = $1 and state = $5",
        )
        .bind(&change.step.0)
        .bind(word(&change.state))
        .bind(ms(change.next_at))
        .bind(change.reason.to_string())
        .bind(word(&before))
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 {
            continue;
        }
        changed += 1;
        let decision = Decision {
            at: now,
            answer: if change.state.is_closed() {
                Answer::Finish
            } else {
                Answer::Wait
            },
            until: (!change.state.is_closed()).then_some(change.next_at),
            reason: Some(change.reason),
            attempt: None,
        };
        decide(connection, &change.step.0, &decision).await?;
    }
    Ok(changed)
}
