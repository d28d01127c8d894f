//! Work orders: one that is not closed an episode; findings join it, urgency only rises, races have one winner. Every
//! change leaves its row in the transaction that makes it.

use std::collections::BTreeMap;

use aftercall_core::finding::{About, Urgency};
use aftercall_core::id::{AttemptId, ConceptId, EpisodeId, PatientId, WorkOrderId};
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use aftercall_core::trend::Line;
use aftercall_core::work_order::{
    self, Act, Cause, Deadlines, Escalation, Event, Joined, Refusal, Subject, WorkOrder,
    WorkOrderState,
};
use jiff::SignedDuration;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::conditions::Conditions;
use super::key::Keys;
use super::many;
use super::outbox::post_with;
use super::page::{Page, PageRequest};
use super::row::{Columns, json, word};
use super::sealed::{KEY, Seal};
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

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
    pub ward: Option<String>,
    pub urgency: Option<Urgency>,
    pub owner: Option<String>,
    /// What the caller may see.
    pub wards: Wards,
}

impl WorkOrderFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::from(5);
        if self.state != Some(WorkOrderState::Closed) {
            // As the index of these alone has it.
            conditions.plain("state <> 'closed'");
        }
        conditions.add("state = ?", self.state.as_ref().map(word));
        let patient = self.patient.as_ref();
        conditions.add("patient_id = ?", patient.map(|patient| patient.0.clone()));
        conditions.add("ward = ?", self.ward.clone());
        conditions.add("urgency = ?", self.urgency.as_ref().map(word));
        conditions.add("owner = ?", self.owner.clone());
        conditions.seen(&self.wards, "work_order.patient_id");
        conditions
    }
}

/// Orders that are closed between a look and the next, one after the other: more than one has nobody seen.
const TRIES: u32 = 3;

const ORDER: &str = "select id, patient_id, episode_id, attempt_id, urgency, urgency_rank, state, raised_at_ms, due_at_ms, \
     level, exhausted, ward, owner, promised_by_ms, spoken_by, spoken_at_ms, acknowledged_by, acknowledged_at_ms, \
     closed_by, closed_at_ms, outcome, note from work_order";

/// Joins the key of an order's record to a query on `work_order w`.
pub(super) const KEY_OF_ORDER: &str = "left join data_key k \
     on k.owner = coalesce(w.sealed_by, w.patient_id, w.attempt_id, w.id) and k.class = 'record'";

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
        let raised = raise_or_join(&mut tx, &self.keys, raise, now).await?;
        tx.commit().await?;
        Ok(raised)
    }

    /// One order with its causes.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn work_order(&self, id: &WorkOrderId) -> Result<WorkOrder, StoreError> {
        let mut connection = self.pool.acquire().await?;
        work_order(&mut connection, &self.keys, id).await
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
        let conditions = filter.conditions();
        let sql = format!(
            "{ORDER} where (urgency_rank > $1 or (urgency_rank = $1 and (raised_at_ms > $2 or \
             (raised_at_ms = $2 and id > $3)))){} order by urgency_rank, raised_at_ms, id limit $4",
            conditions.sql()
        );
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(rank)
            .bind(raised)
            .bind(id)
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&mut *connection).await?;
        let orders = wholes(&mut connection, &self.keys, &rows).await?;
        Ok(page.cut(orders, |order| {
            (
                vec![rank_of(order.urgency), ms(order.raised_at)],
                order.id.0.clone(),
            )
        }))
    }

    /// Does what a person asks; of two nurses who take one order, one gets [`StoreError::Conflict`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when its state does not allow it, [`StoreError::NotFound`] when there is none.
    pub async fn act_on_work_order(
        &self,
        id: &WorkOrderId,
        act: &Act,
        by: &str,
        note: &str,
        deadlines: &Deadlines,
        now: Timestamp,
    ) -> Result<WorkOrder, StoreError> {
        let mut tx = self.begin().await?;
        let mut order = locked(&mut tx, &self.keys, id).await?;
        let conflict = |state: &str| StoreError::Conflict {
            what: "work order",
            id: id.0.clone(),
            state: state.to_owned(),
        };
        let event = order
            .act(act, by, note, deadlines, now)
            .map_err(|refusal| conflict(state_of(refusal)))?;
        if *act == Act::Reopen && has_successor(&mut tx, id).await? {
            return Err(conflict("superseded"));
        }
        let seal = seal_of(&mut tx, &self.keys, &order).await?;
        update(&mut tx, &seal, &order).await?;
        put_event(&mut tx, &seal, id, &event).await?;
        post_change(&mut tx, &order, &event).await?;
        tx.commit().await?;
        Ok(order)
    }

    /// Writes down whose an order is by the rota; a person's word stands.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn assign_work_order(
        &self,
        id: &WorkOrderId,
        to: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let mut order = locked(&mut tx, &self.keys, id).await?;
        let Some(event) = order.assign(to, now) else {
            return Ok(());
        };
        let seal = seal_of(&mut tx, &self.keys, &order).await?;
        update(&mut tx, &seal, &order).await?;
        put_event(&mut tx, &seal, id, &event).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Every change of an order, the first first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn work_order_events(&self, id: &WorkOrderId) -> Result<Vec<Event>, StoreError> {
        let sql = format!(
            "select t.at_ms, t.who, t.what, t.from_state, t.to_state, t.owner, t.level, t.note, {KEY} \
             from work_order_event t join work_order w on w.id = t.work_order_id {KEY_OF_ORDER} where t.work_order_id = $1 order by t.position"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_all(&mut *connection)
            .await?;
        let seal = Seal::of_rows(&mut connection, &self.keys, &rows, Class::Record).await?;
        let event = |row| {
            let row = Columns(row);
            Ok(Event {
                at: row.time("at_ms")?,
                who: row.text("who")?,
                what: row.word("what")?,
                from: row.word_or_null("from_state")?,
                to: row.word("to_state")?,
                owner: row.text_or_null("owner")?,
                level: row.count("level")?,
                note: seal.open(&row, "note", &note_of(id))?,
            })
        };
        rows.iter().map(event).collect()
    }

    /// Orders that climb, come back or break a promise by now, the most urgent first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn overdue_work_orders(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkOrder>, StoreError> {
        let sql = format!(
            "{ORDER} where state <> 'closed' and due_at_ms <= $1 order by urgency_rank, due_at_ms, id limit $2"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ms(now))
            .bind(i64::from(limit))
            .fetch_all(&mut *connection)
            .await?;
        let mut orders = Vec::with_capacity(rows.len());
        for row in &rows {
            orders.push(whole(&mut connection, &self.keys, row).await?);
        }
        Ok(orders)
    }

    /// Does a climb and posts the notice; false when another engine did, or a nurse was faster.
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
        let mut current = locked(&mut tx, &self.keys, &order.id).await?;
        let is_same = |current: &WorkOrder| {
            (current.state, current.level, current.due_at)
                == (order.state, order.level, order.due_at)
        };
        if !is_same(&current) {
            return Ok(false);
        }
        let event = current.climb(climb, now);
        let seal = seal_of(&mut tx, &self.keys, &current).await?;
        update(&mut tx, &seal, &current).await?;
        put_event(&mut tx, &seal, &current.id, &event).await?;
        post_change(&mut tx, &current, &event).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// How many orders were told to every step of their ladder, and nobody has answered.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn exhausted_work_orders(&self) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "select count(*) as orders from work_order where state <> 'closed' and exhausted = 1",
        )
        .fetch_one(&self.pool)
        .await?;
        Columns(&row).count("orders")
    }

    /// How late the ladder is: the oldest climb, promise or return that is due and not made. Zero where there is none.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn ladder_late(&self, now: Timestamp) -> Result<SignedDuration, StoreError> {
        let row = sqlx::query(
            "select min(due_at_ms) as due_at_ms from work_order where state <> 'closed' and due_at_ms <= $1",
        )
        .bind(ms(now))
        .fetch_one(&self.pool)
        .await?;
        let due = Columns(&row).time_or_null("due_at_ms")?;
        Ok(due.map_or(SignedDuration::ZERO, |due| now.duration_since(due)))
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
    keys: &Keys,
    raise: &Raise,
    now: Timestamp,
) -> Result<Option<Raised>, StoreError> {
    let subject = &raise.subject;
    let id = WorkOrderId(new_id());
    let owner = match (&subject.episode, &subject.attempt) {
        (Some(episode), _) => episode.0.clone(),
        (None, Some(attempt)) => attempt.0.clone(),
        (None, None) => id.0.clone(),
    };
    let raise = &Raise {
        causes: not_closed_before(connection, keys, raise, &owner).await?,
        ..raise.clone()
    };
    let Some(order) = work_order::raise(id, subject, raise.causes.clone(), &raise.deadlines, now)
    else {
        return Ok(None);
    };
    // PostgreSQL alone: the order may be closed between the insert and the join; then there is room for a new one.
    for _ in 0..TRIES {
        if insert(connection, &order, &owner).await? {
            let seal = seal_of(connection, keys, &order).await?;
            put_causes(connection, &seal, &order, now).await?;
            let event = order.raised();
            put_event(connection, &seal, &order.id, &event).await?;
            post_change(connection, &order, &event).await?;
            return Ok(Some(Raised {
                id: order.id,
                how: HowRaised::New,
                urgency: order.urgency,
            }));
        }
        if let Some(joined) = join(connection, keys, &owner, raise, now).await? {
            return Ok(Some(joined));
        }
    }
    Err(StoreError::Conflict {
        what: "work order of",
        id: owner,
        state: "closed".to_owned(),
    })
}

/// Without what a person has seen as it is and closed: a call's end tells again what was told while it went on.
async fn not_closed_before(
    connection: &mut AnyConnection,
    keys: &Keys,
    raise: &Raise,
    owner: &str,
) -> Result<Vec<Cause>, StoreError> {
    let sql = format!("{ORDER} where subject = $1 and state = 'closed'");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(owner)
        .fetch_all(&mut *connection)
        .await?;
    let mut seen = Vec::new();
    for row in &rows {
        match whole(connection, keys, row).await {
            Ok(order) => seen.extend(order.causes),
            // What nobody can read any more, nobody has seen.
            Err(StoreError::Destroyed { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let attempt = raise.subject.attempt.as_ref();
    let mut fresh = raise.causes.clone();
    fresh.retain(|cause| {
        let key = cause_key(cause, attempt);
        let is_it = |known: &Cause| {
            cause_key(known, None) == key
                && of_attempt(known, attempt) == of_attempt(cause, attempt)
        };
        key.is_none() || !seen.iter().any(is_it)
    });
    Ok(fresh)
}

/// A cause with its call named, where it has one: the raise of a call may leave it out.
fn of_attempt(cause: &Cause, attempt: Option<&AttemptId>) -> Cause {
    let mut cause = cause.clone();
    match &mut cause {
        Cause::Finding { attempt: of, .. }
        | Cause::Trend { attempt: of, .. }
        | Cause::Pack { attempt: of, .. } => *of = of.take().or(attempt.cloned()),
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
        | Cause::Task { .. } => {}
    }
    cause
}

/// False when the subject has an order that is not closed: the unique index decides, on both databases.
async fn insert(
    connection: &mut AnyConnection,
    order: &WorkOrder,
    owner: &str,
) -> Result<bool, StoreError> {
    let inserted = sqlx::query(
        "insert into work_order (id, subject, patient_id, episode_id, attempt_id, urgency, urgency_rank, state, \
         raised_at_ms, due_at_ms, promised_by_ms, ward) values ($1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, \
         coalesce((select ward from episode where id = $4), '')) on conflict do nothing",
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
    .bind(order.promised_by.map(ms))
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The first update takes the row's lock, so two joiners follow one another and none loses a cause. `None`: it is closed.
async fn join(
    connection: &mut AnyConnection,
    keys: &Keys,
    owner: &str,
    raise: &Raise,
    now: Timestamp,
) -> Result<Option<Raised>, StoreError> {
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
    let Some(row) = row else { return Ok(None) };
    let mut order = whole(connection, keys, &row).await?;
    let before = order.clone();
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
    if order.urgency < before.urgency && order.state == WorkOrderState::Open {
        order.due_at = order.due_at.min(raise.deadlines.due_at(order.urgency, now));
    }
    let seal = seal_of(connection, keys, &order).await?;
    update(connection, &seal, &order).await?;
    put_causes(connection, &seal, &order, now).await?;
    let events = order.joined(&before, joined, now);
    for event in &events {
        put_event(connection, &seal, &order.id, event).await?;
    }
    // One notice, whatever the rows; that it is more urgent says more.
    if let Some(event) = events.last() {
        post_change(connection, &order, event).await?;
    }
    Ok(Some(Raised {
        id: order.id,
        how: HowRaised::Joined(joined),
        urgency: order.urgency,
    }))
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

async fn update(
    connection: &mut AnyConnection,
    seal: &Seal,
    order: &WorkOrder,
) -> Result<(), StoreError> {
    let note = order.note.as_ref();
    let note = note.map(|note| seal.text(&note_of(&order.id), note));
    sqlx::query(
        "update work_order set urgency = $2, urgency_rank = $3, due_at_ms = $4, level = $5, state = $6, \
         acknowledged_by = $7, acknowledged_at_ms = $8, exhausted = $9, owner = $10, promised_by_ms = $11, \
         spoken_by = $12, spoken_at_ms = $13, closed_by = $14, closed_at_ms = $15, outcome = $16, note = $17 \
         where id = $1",
    )
    .bind(&order.id.0)
    .bind(word(&order.urgency))
    .bind(rank_of(order.urgency))
    .bind(ms(order.due_at))
    .bind(i64::from(order.level))
    .bind(word(&order.state))
    .bind(order.acknowledged_by.clone())
    .bind(order.acknowledged_at.map(ms))
    .bind(i64::from(order.exhausted))
    .bind(order.owner.clone())
    .bind(order.promised_by.map(ms))
    .bind(order.spoken_by.clone())
    .bind(order.spoken_at.map(ms))
    .bind(order.closed_by.clone())
    .bind(order.closed_at.map(ms))
    .bind(order.outcome.as_ref().map(word))
    .bind(note.transpose()?)
    .execute(connection)
    .await?;
    Ok(())
}

/// The order, with its row's lock: whoever changes it next waits for this transaction.
async fn locked(
    connection: &mut AnyConnection,
    keys: &Keys,
    id: &WorkOrderId,
) -> Result<WorkOrder, StoreError> {
    sqlx::query("update work_order set revision = revision + 1 where id = $1")
        .bind(&id.0)
        .execute(&mut *connection)
        .await?;
    work_order(connection, keys, id).await
}

/// Whether its subject has another order that is not closed.
async fn has_successor(
    connection: &mut AnyConnection,
    id: &WorkOrderId,
) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "select count(*) as orders from work_order w join work_order o on o.subject = w.subject \
         where o.id = $1 and w.id <> $1 and w.state <> 'closed'",
    )
    .bind(&id.0)
    .fetch_one(connection)
    .await?;
    Ok(Columns(&row).int("orders")? > 0)
}

/// The word of a conflict.
fn state_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Closed => "closed",
        Refusal::NotClosed => "not closed",
        Refusal::AlreadyAcknowledged => "acknowledged",
        Refusal::NotAcknowledged => "open",
        Refusal::NotSpoken => "not spoken",
    }
}

/// Rows are counted under the order's lock.
async fn put_event(
    connection: &mut AnyConnection,
    seal: &Seal,
    id: &WorkOrderId,
    event: &Event,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into work_order_event (work_order_id, position, at_ms, who, what, from_state, to_state, owner, level, note) \
         select $1, count(*), $2, $3, $4, $5, $6, $7, $8, $9 from work_order_event where work_order_id = $1",
    )
    .bind(&id.0)
    .bind(ms(event.at))
    .bind(&event.who)
    .bind(word(&event.what))
    .bind(event.from.as_ref().map(word))
    .bind(word(&event.to))
    .bind(event.owner.clone())
    .bind(i64::from(event.level))
    .bind(seal.text(&note_of(id), &event.note)?)
    .execute(connection)
    .await?;
    Ok(())
}

/// Tells the world: `work_order.raised`, `work_order.escalated`, …
async fn post_change(
    connection: &mut AnyConnection,
    order: &WorkOrder,
    event: &Event,
) -> Result<(), StoreError> {
    let about = [
        ("urgency", word(&order.urgency).into()),
        ("state", word(&order.state).into()),
        ("level", event.level.into()),
        ("from", event.from.as_ref().map(word).into()),
    ];
    let about = about.map(|(key, value): (&str, serde_json::Value)| (key.to_owned(), value));
    let name = format!("work_order.{}", event.what);
    post_with(
        connection,
        &name,
        &order.id.0,
        about.into_iter().collect(),
        event.at,
    )
    .await
}

/// Causes keep the order in which they came, and the time at which each was first told.
async fn put_causes(
    connection: &mut AnyConnection,
    seal: &Seal,
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
        .bind(seal.json(&cause_of(&order.id, position), cause)?)
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
    keys: &Keys,
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
    whole(connection, keys, &row).await
}

/// The order of a row, with its causes.
async fn whole(
    connection: &mut AnyConnection,
    keys: &Keys,
    row: &AnyRow,
) -> Result<WorkOrder, StoreError> {
    let orders = wholes(connection, keys, std::slice::from_ref(row)).await?;
    orders
        .into_iter()
        .next()
        .ok_or(StoreError::Corrupt { column: "id" })
}

/// The orders of some rows, with their causes.
async fn wholes(
    connection: &mut AnyConnection,
    keys: &Keys,
    rows: &[AnyRow],
) -> Result<Vec<WorkOrder>, StoreError> {
    let ids = rows.iter().map(|row| Columns(row).text("id"));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let sql = format!(
        "select t.work_order_id, t.position, t.cause, {KEY} from work_order_cause t \
         join work_order w on w.id = t.work_order_id {KEY_OF_ORDER} where t.work_order_id {} \
         order by t.work_order_id, t.position",
        many::listed(connection, 1)
    );
    let causes = many::query(sql)
        .bind(json(&ids))
        .fetch_all(&mut *connection)
        .await?;
    let mut of: BTreeMap<String, Vec<AnyRow>> = BTreeMap::new();
    for row in causes {
        let order = Columns(&row).text("work_order_id")?;
        of.entry(order).or_default().push(row);
    }
    let mut orders = Vec::with_capacity(rows.len());
    for (row, id) in rows.iter().zip(ids) {
        let causes = of.remove(&id).unwrap_or_default();
        let seal = Seal::of_rows(connection, keys, &causes, Class::Record).await?;
        let id = WorkOrderId(id);
        let cause = |row| {
            let row = Columns(row);
            seal.open_json(&row, "cause", &cause_of(&id, row.int("position")?))
        };
        let causes = causes.iter().map(cause).collect::<Result<Vec<_>, _>>()?;
        let note = seal.open_or_null(&Columns(row), "note", &note_of(&id))?;
        orders.push(read_order(row, causes, note)?);
    }
    Ok(orders)
}

/// What seals an order: the key of whom it is about.
async fn seal_of(
    connection: &mut AnyConnection,
    keys: &Keys,
    order: &WorkOrder,
) -> Result<Seal, StoreError> {
    let row = sqlx::query(
        "select coalesce(sealed_by, patient_id, attempt_id, id) as owner from work_order where id = $1",
    )
    .bind(&order.id.0)
    .fetch_one(&mut *connection)
    .await?;
    let owner = Columns(&row).text("owner")?;
    Seal::of(connection, keys, &owner, Class::Record).await
}

pub(super) fn cause_of(order: &WorkOrderId, position: i64) -> String {
    format!("cause/{order}/{position}")
}

fn note_of(order: &WorkOrderId) -> String {
    format!("note/{order}")
}

fn read_order(
    row: &AnyRow,
    causes: Vec<Cause>,
    note: Option<String>,
) -> Result<WorkOrder, StoreError> {
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
        exhausted: row.flag("exhausted")?,
        ward: row.text("ward")?,
        owner: row.text_or_null("owner")?,
        promised_by: row.time_or_null("promised_by_ms")?,
        spoken_by: row.text_or_null("spoken_by")?,
        spoken_at: row.time_or_null("spoken_at_ms")?,
        acknowledged_by: row.text_or_null("acknowledged_by")?,
        acknowledged_at: row.time_or_null("acknowledged_at_ms")?,
        closed_by: row.text_or_null("closed_by")?,
        closed_at: row.time_or_null("closed_at_ms")?,
        outcome: row.word_or_null("outcome")?,
        note,
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
