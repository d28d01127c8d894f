//! Steps of a plan: what is due, who holds it by a lease, and when to ask again.

use aftercall_core::id::{EpisodeId, PatientId, StepId};
use aftercall_core::plan::{Reason, Step, StepState};
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::conditions::Conditions;
use super::decision::{decide, decision_of};
use super::message::{NewMessage, write};
use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::work_order::{Raise, Raised, raise_or_join};
use super::{Store, StoreError, ms};

/// How a step stands after a call, or after `next_step` put it off.
#[derive(Clone, Debug, PartialEq)]
pub struct StepChange {
    pub state: StepState,
    pub next_at: Timestamp,
    /// `None`: nothing stands against a call.
    pub why: Option<Reason>,
}

impl StepChange {
    /// Before which other steps it is dialled, if it is not for the patient's risk.
    pub(super) fn rank(&self) -> i64 {
        match &self.why {
            Some(Reason::Recall) => 2,
            Some(Reason::AskedFor) => 1,
            _ => 0,
        }
    }

    /// The reason as the step's row shows it.
    pub(super) fn reason(&self) -> String {
        let why = self.why.as_ref();
        why.map(ToString::to_string).unwrap_or_default()
    }
}

pub(super) const STEP: &str = "select id, episode_id, patient_id, day, script, due_on, lapses_on, state, next_at_ms, reason from step";

impl Store {
    /// Leases up to `limit` due steps to `engine` until `lease_until`; a step that another engine got is left out.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim_due_steps(
        &self,
        now: Timestamp,
        limit: u32,
        lease_until: Timestamp,
        engine: &str,
    ) -> Result<Vec<Step>, StoreError> {
        let mut tx = self.begin().await?;
        let mut claimed: Vec<Step> = Vec::new();
        // Each kind in the order in which they came due.
        for which in [2, 1, 0] {
            let left = i64::from(limit) - i64::try_from(claimed.len()).unwrap_or(i64::MAX);
            if left <= 0 {
                break;
            }
            let sql = format!(
                "{STEP} where state = 'planned' and urgent = {which} and next_at_ms <= $1 \
                 and (leased_until_ms is null or leased_until_ms <= $1) order by next_at_ms, id limit $2"
            );
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(ms(now))
                .bind(left)
                .fetch_all(&mut *tx)
                .await?;
            for row in &rows {
                let step = read_step(row)?;
                if claim(&mut tx, &step.id, now, lease_until, engine).await? {
                    claimed.push(step);
                }
            }
        }
        tx.commit().await?;
        Ok(claimed)
    }

    /// Moves the leases of this engine's planned and calling steps and of its live attempts to `until`.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn renew_leases(&self, engine: &str, until: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let steps = sqlx::query(
            "update step set leased_until_ms = $2 where leased_by = $1 and state in ('planned', 'calling')",
        )
        .bind(engine)
        .bind(ms(until))
        .execute(&mut *tx)
        .await?;
        let attempts = sqlx::query(
            "update attempt set leased_until_ms = $2 where engine = $1 and state <> 'ended'",
        )
        .bind(engine)
        .bind(ms(until))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(steps.rows_affected() + attempts.rows_affected())
    }

    /// Gives a leased step back with the answer of `next_step` (put off, blocked, lapsed, done), and raises the work
    /// order and writes the message that the answer demands, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when `engine` no longer holds it.
    pub async fn put_off_step(
        &self,
        id: &StepId,
        engine: &str,
        change: &StepChange,
        (raise, message): (Option<&Raise>, Option<&NewMessage>),
        now: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update step set state = $3, next_at_ms = $4, reason = $5, leased_by = null, leased_until_ms = null, \
             urgent = case when $6 > 0 then $6 else (select high_risk from episode where id = step.episode_id) end \
             where id = $1 and leased_by = $2 and state = 'planned'",
        )
        .bind(&id.0)
        .bind(engine)
        .bind(word(&change.state))
        .bind(ms(change.next_at))
        .bind(change.reason())
        .bind(change.rank())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict {
                what: "step",
                id: id.0.clone(),
                state: "not leased".to_owned(),
            });
        }
        if let Some(decision) = decision_of(change, now) {
            decide(&mut tx, &id.0, &decision).await?;
        }
        let raised = match raise {
            Some(raise) => raise_or_join(&mut tx, &self.keys, raise, now).await?,
            None => None,
        };
        if let Some(message) = message {
            write(&mut tx, &self.keys, message, now).await?;
        }
        tx.commit().await?;
        Ok(raised)
    }

    /// Forgets the leases of planned steps that `engine` held; at its start, when an earlier run of it died.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release_steps(&self, engine: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "update step set leased_by = null, leased_until_ms = null where leased_by = $1 and state = 'planned'",
        )
        .bind(engine)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected())
    }

    /// One step.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn step(&self, id: &StepId) -> Result<Step, StoreError> {
        let sql = format!("{STEP} where id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else {
            return Err(StoreError::NotFound {
                what: "step",
                id: id.0.clone(),
            });
        };
        read_step(&row)
    }

    /// The plan of one stay, in the order of its days.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn steps_of_episode(&self, episode: &EpisodeId) -> Result<Vec<Step>, StoreError> {
        let sql = format!("{STEP} where episode_id = $1 order by day");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&episode.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_step).collect()
    }

    /// Steps of one patient, or of all, by id.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn steps(
        &self,
        patient: Option<&PatientId>,
        page: &PageRequest,
    ) -> Result<Page<Step>, StoreError> {
        self.steps_seen(patient, &Wards::ALL, page).await
    }

    /// The same, of these wards.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn steps_seen(
        &self,
        patient: Option<&PatientId>,
        wards: &Wards,
        page: &PageRequest,
    ) -> Result<Page<Step>, StoreError> {
        let after = page
            .keys::<0>()?
            .map(|(_, id)| id.to_owned())
            .unwrap_or_default();
        let mut conditions = Conditions::from(3);
        conditions.add("patient_id = ?", patient.map(|patient| patient.0.clone()));
        conditions.seen(wards, "step.patient_id");
        let sql = format!(
            "{STEP} where id > $1{} order by id limit $2",
            conditions.sql()
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&self.pool).await?;
        let steps = rows.iter().map(read_step).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(steps, |step| (vec![], step.id.0.clone())))
    }

    /// The whole plan of one patient, in the order of its days.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn steps_of_patient(&self, patient: &PatientId) -> Result<Vec<Step>, StoreError> {
        let sql = format!("{STEP} where patient_id = $1 order by due_on, id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&patient.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_step).collect()
    }

    /// Leases a step, due or missed, for a patient who rings us; false where an engine has it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn take_step(
        &self,
        id: &StepId,
        engine: &str,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update step set state = 'planned', leased_by = $2, leased_until_ms = $3 \
             where id = $1 and (state in ('unreached', 'lapsed') \
             or (state = 'planned' and (leased_until_ms is null or leased_until_ms <= $4)))",
        )
        .bind(&id.0)
        .bind(engine)
        .bind(ms(until))
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Gives a leased step back as it is.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn free_step(&self, id: &StepId, engine: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update step set leased_by = null, leased_until_ms = null \
             where id = $1 and leased_by = $2 and state = 'planned'",
        )
        .bind(&id.0)
        .bind(engine)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// How many steps are in each state, for metrics and the summary.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn steps_by_state(&self) -> Result<Vec<(StepState, u64)>, StoreError> {
        let rows =
            sqlx::query("select state, count(*) as steps from step group by state order by state")
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|row| Ok((Columns(row).word("state")?, Columns(row).count("steps")?)))
            .collect()
    }
}

/// The guarded update: whoever changes the row first has the lease.
async fn claim(
    connection: &mut AnyConnection,
    id: &StepId,
    now: Timestamp,
    until: Timestamp,
    engine: &str,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "update step set leased_by = $2, leased_until_ms = $3 \
         where id = $1 and state = 'planned' and next_at_ms <= $4 and (leased_until_ms is null or leased_until_ms <= $4)",
    )
    .bind(&id.0)
    .bind(engine)
    .bind(ms(until))
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(super) fn read_step(row: &AnyRow) -> Result<Step, StoreError> {
    let row = Columns(row);
    Ok(Step {
        id: StepId(row.text("id")?),
        episode: EpisodeId(row.text("episode_id")?),
        patient: PatientId(row.text("patient_id")?),
        day: row.count("day")?,
        script: row.text("script")?,
        due_on: row.word("due_on")?,
        lapses_on: row.word("lapses_on")?,
        state: row.word("state")?,
        next_at: row.time("next_at_ms")?,
        reason: row.text("reason")?,
    })
}
