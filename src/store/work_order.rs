//! Work orders: one that is not closed an episode; findings join it, urgency only rises, races have one winner.

use aftercall_core::finding::{About, Urgency};
use aftercall_core::id::{AttemptId, ConceptId, EpisodeId, PatientId, WorkOrderId};
use aftercall_core::time::Timestamp;
use aftercall_core::trend::Line;
use aftercall_core::work_order::{
    self, Cause, Deadlines, Escalation, Joined, Outcome, Subject, WorkOrder, WorkOrderState,
};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::outbox::post;
use super::page::{Page, PageRequest};
use super::row::{Columns, json, word};
use super::{Store, StoreError, ms, new_id};

/// What a call, or a plan at its end, hands to a human; `core::work_order` decides what becomes of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Raise {
    pub subject: Subject,
    pub causes: Vec<Cause>,
    pub deadlines: Deadlines,
}

/// What the raise became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    pub id: WorkOrderId,
    pub how: HowRaised,
    /// The order's urgency by now.
    pub urgency: Urgency,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowRaised {
    New,
    /// The subject had an order that is not closed.
    Joined(Joined),
}

/// Which orders a list shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkOrderFilter {
    /// `None`: all that are not closed.
    pub state: Option<WorkOrderState>,
    pub patient: Option<PatientId>,
}

const ORDER: &str = "select id, patient_id, episode_id, attempt_id, urgency, urgency_rank, state, raised_at_ms, due_at_ms, \
     level, acknowledged_by, acknowledged_at_ms, closed_by, closed_at_ms, outcome, note from work_order";

impl Store {
    /// Raises an order, or joins the one of the episode that is not closed; `None` without a cause.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn raise_or_join_work_order(
        &self,
        raise: &Raise,
        now: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let mut tx = self.begin().await?;
        let raised = raise_or_join(&mut tx, raise, now).await?;
        tx.commit().await?;
        Ok(raised)
    }

    /// One order with its causes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn work_order(&self, id: &WorkOrderId) -> Result<WorkOrder, StoreError> {
        let mut connection = self.pool.acquire().await?;
        work_order(&mut connection, id).await
    }

    /// Orders by urgency, then age.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn work_orders(
        &self,
        filter: &WorkOrderFilter,
        page: &PageRequest,
    ) -> Result<Page<WorkOrder>, StoreError> {
        let ([rank, raised], id) = page.keys::<2>()?.unwrap_or(([-1, 0], ""));
        let sql = format!(
            "{ORDER} where (urgency_rank > $1 or (urgency_rank = $1 and (raised_at_ms > $2 or \
             (raised_at_ms = $2 and id > $3)))) and (state = $4 or ($4 = '' and state <> 'closed')) \
             and ($5 = '' or patient_id = $5) order by urgency_rank, raised_at_ms, id limit $6"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(rank)
            .bind(raised)
            .bind(id)
            .bind(filter.state.as_ref().map(word).unwrap_or_default())
            .bind(
                filter
                    .patient
                    .as_ref()
                    .map(|patient| patient.0.clone())
                    .unwrap_or_default(),
            )
            .bind(page.fetch())
            .fetch_all(&mut *connection)
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in &rows {
            let causes = causes(&mut connection, &Columns(row).text("id")?).await?;
            orders.push(read_order(row, causes)?);
        }
        Ok(page.cut(orders, |order| {
            (
                vec![rank_of(order.urgency), ms(order.raised_at)],
                order.id.0.clone(),
            )
        }))
    }

    /// Takes an open order; of two nurses who try, one gets [`StoreError::Conflict`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is not open, [`StoreError::NotFound`] when there is none.
    pub async fn acknowledge_work_order(
        &self,
        id: &WorkOrderId,
        by: &str,
        now: Timestamp,
    ) -> Result<WorkOrder, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update work_order set state = 'acknowledged', acknowledged_by = $2, acknowledged_at_ms = $3, \
             revision = revision + 1 where id = $1 and state = 'open'",
        )
        .bind(&id.0)
        .bind(by)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        let order = work_order(&mut tx, id).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict {
                what: "work order",
                id: id.0.clone(),
                state: word(&order.state),
            });
        }
        post(&mut tx, "work_order.acknowledged", &id.0, now).await?;
        tx.commit().await?;
        Ok(order)
    }

    /// Closes an acknowledged order with what was found.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it is open or closed, [`StoreError::NotFound`] when there is none.
    pub async fn close_work_order(
        &self,
        id: &WorkOrderId,
        by: &str,
        outcome: Outcome,
        note: &str,
        now: Timestamp,
    ) -> Result<WorkOrder, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update work_order set state = 'closed', closed_by = $2, closed_at_ms = $3, outcome = $4, note = $5, \
             revision = revision + 1 where id = $1 and state = 'acknowledged'",
        )
        .bind(&id.0)
        .bind(by)
        .bind(ms(now))
        .bind(word(&outcome))
        .bind(note)
        .execute(&mut *tx)
        .await?;
        let order = work_order(&mut tx, id).await?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict {
                what: "work order",
                id: id.0.clone(),
                state: word(&order.state),
            });
        }
        post(&mut tx, "work_order.closed", &id.0, now).await?;
        tx.commit().await?;
        Ok(order)
    }

    /// Open orders whose deadline has passed, the most urgent first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn overdue_work_orders(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkOrder>, StoreError> {
        let sql = format!(
            "{ORDER} where state = 'open' and due_at_ms <= $1 order by urgency_rank, due_at_ms, id limit $2"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ms(now))
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in &rows {
            let causes = causes(&mut connection, &Columns(row).text("id")?).await?;
            orders.push(read_order(row, causes)?);
        }
        Ok(orders)
    }

    /// Climbs one rung: sets the next deadline and posts the notice; false when another engine did, or a nurse has it.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn escalate_work_order(
        &self,
        order: &WorkOrder,
        climb: &Escalation,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "update work_order set due_at_ms = $4, level = $5, revision = revision + 1 \
             where id = $1 and due_at_ms = $2 and level = $3 and state = 'open'",
        )
        .bind(&order.id.0)
        .bind(ms(order.due_at))
        .bind(i64::from(order.level))
        .bind(ms(climb.due_at))
        .bind(i64::from(climb.level))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        post(&mut tx, "work_order.escalated", &order.id.0, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// How many orders that are not closed have each urgency and state, for metrics and the summary.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn work_orders_by_urgency(
        &self,
    ) -> Result<Vec<(Urgency, WorkOrderState, u64)>, StoreError> {
        let rows = sqlx::query(
            "select urgency, state, count(*) as orders from work_order where state <> 'closed' \
             group by urgency, state order by urgency, state",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns(row);
                Ok((
                    row.word("urgency")?,
                    row.word("state")?,
                    row.count("orders")?,
                ))
            })
            .collect()
    }
}

/// Inserts, or joins what is there; `None` without a cause.
pub(super) async fn raise_or_join(
    connection: &mut AnyConnection,
    raise: &Raise,
    now: Timestamp,
) -> Result<Option<Raised>, StoreError> {
    let subject = &raise.subject;
    let id = WorkOrderId(new_id());
    let Some(order) = work_order::raise(id, subject, raise.causes.clone(), &raise.deadlines, now)
    else {
        return Ok(None);
    };
    let owner = match (&subject.episode, &subject.attempt) {
        (Some(episode), _) => episode.0.clone(),
        (None, Some(attempt)) => attempt.0.clone(),
        (None, None) => order.id.0.clone(),
    };
    if insert(connection, &order, &owner).await? {
        put_causes(connection, &order, now).await?;
        post(connection, "work_order.raised", &order.id.0, now).await?;
        return Ok(Some(Raised {
            id: order.id,
            how: HowRaised::New,
            urgency: order.urgency,
        }));
    }
    join(connection, &owner, raise, now).await.map(Some)
}

/// False when the subject has an order that is not closed: the unique index decides, on both databases.
async fn insert(
    connection: &mut AnyConnection,
    order: &WorkOrder,
    owner: &str,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into work_order (id, subject, patient_id, episode_id, attempt_id, urgency, urgency_rank, state, \
         raised_at_ms, due_at_ms) values ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9) on conflict do nothing",
    )
    .bind(&order.id.0)
    .bind(owner)
    .bind(order.patient.as_ref().map(|id| id.0.clone()))
    .bind(order.episode.as_ref().map(|id| id.0.clone()))
    .bind(order.attempt.as_ref().map(|id| id.0.clone()))
    .bind(word(&order.urgency))
    .bind(rank_of(order.urgency))
    .bind(ms(order.raised_at))
    .bind(ms(order.due_at))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The first update takes the row's lock, so two joiners follow one another and none loses a cause.
async fn join(
    connection: &mut AnyConnection,
    owner: &str,
    raise: &Raise,
    now: Timestamp,
) -> Result<Raised, StoreError> {
    sqlx::query(
        "update work_order set revision = revision + 1 where subject = $1 and state <> 'closed'",
    )
    .bind(owner)
    .execute(&mut *connection)
    .await?;
    let sql = format!("{ORDER} where subject = $1 and state <> 'closed'");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(owner)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        // Closed between the insert and the update (PostgreSQL only): the caller's retry raises a new one.
        return Err(StoreError::Conflict {
            what: "work order of",
            id: owner.to_owned(),
            state: "closed".to_owned(),
        });
    };
    let id: String = Columns(&row).text("id")?;
    let mut order = read_order(&row, causes(connection, &id).await?)?;
    let before = order.urgency;
    freshen(&mut order, raise);
    let joined = work_order::join(
        &mut order,
        raise.causes.clone(),
        raise.subject.high_risk,
        &raise.deadlines,
        now,
    );
    order.urgency = order.urgency.min(work_order::urgency_of(
        &order.causes,
        raise.subject.high_risk,
    ));
    if order.urgency < before {
        order.due_at = order.due_at.min(raise.deadlines.due_at(order.urgency, now));
    }
    update(connection, &order).await?;
    put_causes(connection, &order, now).await?;
    if joined != Joined::Nothing || order.urgency < before {
        post(connection, "work_order.joined", &order.id.0, now).await?;
    }
    Ok(Raised {
        id: order.id,
        how: HowRaised::Joined(joined),
        urgency: order.urgency,
    })
}

/// A cause told again with another content (a finding confirmed meanwhile) takes the place of the first.
fn freshen(order: &mut WorkOrder, raise: &Raise) {
    let attempt = raise.subject.attempt.as_ref();
    for fresh in &raise.causes {
        let key = cause_key(fresh, attempt);
        let known = order
            .causes
            .iter_mut()
            .find(|known| key.is_some() && cause_key(known, None) == key);
        if let Some(known) = known {
            known.clone_from(fresh);
        }
    }
}

async fn update(connection: &mut AnyConnection, order: &WorkOrder) -> Result<(), StoreError> {
    sqlx::query(
        "update work_order set urgency = $2, urgency_rank = $3, due_at_ms = $4, level = $5, state = $6, \
         acknowledged_by = $7, acknowledged_at_ms = $8 where id = $1 and state <> 'closed'",
    )
    .bind(&order.id.0)
    .bind(word(&order.urgency))
    .bind(rank_of(order.urgency))
    .bind(ms(order.due_at))
    .bind(i64::from(order.level))
    .bind(word(&order.state))
    .bind(order.acknowledged_by.clone())
    .bind(order.acknowledged_at.map(ms))
    .execute(connection)
    .await?;
    Ok(())
}

/// Causes keep the order in which they came, and the time at which each was first told.
async fn put_causes(
    connection: &mut AnyConnection,
    order: &WorkOrder,
    now: Timestamp,
) -> Result<(), StoreError> {
    for (position, cause) in (0_i64..).zip(&order.causes) {
        sqlx::query(
            "insert into work_order_cause (work_order_id, position, cause, added_at_ms) values ($1, $2, $3, $4) \
             on conflict (work_order_id, position) do update set cause = excluded.cause",
        )
        .bind(&order.id.0)
        .bind(position)
        .bind(json(cause))
        .bind(ms(now))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What makes two causes the same: one concept of one turn of one call, one line at the end of one call; otherwise
/// the cause itself.
#[derive(PartialEq)]
enum CauseKey<'a> {
    Finding(&'a AttemptId, u32, &'a ConceptId, Option<&'a str>, About),
    Trend(&'a AttemptId, &'a Line),
    Pack(&'a AttemptId, &'a str),
}

fn cause_key<'a>(cause: &'a Cause, attempt: Option<&'a AttemptId>) -> Option<CauseKey<'a>> {
    match cause {
        Cause::Finding {
            finding,
            attempt: from,
        } => Some(CauseKey::Finding(
            from.as_ref().or(attempt)?,
            finding.turn,
            &finding.finding.concept,
            finding.finding.detail.as_deref(),
            finding.finding.subject,
        )),
        Cause::Trend {
            trend,
            attempt: from,
        } => Some(CauseKey::Trend(from.as_ref().or(attempt)?, &trend.line)),
        Cause::Pack {
            rule,
            attempt: from,
            ..
        } => Some(CauseKey::Pack(from.as_ref().or(attempt)?, rule)),
        Cause::Incomplete
        | Cause::NotAssessed { .. }
        | Cause::IdentityFailed
        | Cause::Unreachable
        | Cause::AskedForPerson
        | Cause::CallBackAt { .. }
        | Cause::OptedOut
        | Cause::ReportedDeath
        | Cause::ReportedReadmission
        | Cause::InvalidNumber
        | Cause::NotCalled { .. }
        | Cause::Task { .. } => None,
    }
}

async fn work_order(
    connection: &mut AnyConnection,
    id: &WorkOrderId,
) -> Result<WorkOrder, StoreError> {
    let sql = format!("{ORDER} where id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            what: "work order",
            id: id.0.clone(),
        });
    };
    let causes = causes(connection, &id.0).await?;
    read_order(&row, causes)
}

async fn causes(connection: &mut AnyConnection, id: &str) -> Result<Vec<Cause>, StoreError> {
    let rows = sqlx::query(
        "select cause from work_order_cause where work_order_id = $1 order by position",
    )
    .bind(id)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Columns(row).json("cause")).collect()
}

fn read_order(row: &AnyRow, causes: Vec<Cause>) -> Result<WorkOrder, StoreError> {
    let row = Columns(row);
    Ok(WorkOrder {
        id: WorkOrderId(row.text("id")?),
        patient: row.text_or_null("patient_id")?.map(PatientId),
        episode: row.text_or_null("episode_id")?.map(EpisodeId),
        attempt: row.text_or_null("attempt_id")?.map(AttemptId),
        urgency: row.word("urgency")?,
        causes,
        state: row.word("state")?,
        raised_at: row.time("raised_at_ms")?,
        due_at: row.time("due_at_ms")?,
        level: row.count("level")?,
        acknowledged_by: row.text_or_null("acknowledged_by")?,
        acknowledged_at: row.time_or_null("acknowledged_at_ms")?,
        closed_by: row.text_or_null("closed_by")?,
        closed_at: row.time_or_null("closed_at_ms")?,
        outcome: row.word_or_null("outcome")?,
        note: row.text_or_null("note")?,
    })
}

/// 0 is the most urgent: the list's first sort key.
fn rank_of(urgency: Urgency) -> i64 {
    match urgency {
        Urgency::Emergent => 0,
        Urgency::Urgent => 1,
        Urgency::SameDay => 2,
        Urgency::Routine => 3,
    }
}
