//! The audit sample: what was drawn from each call as it ended, QA's verdicts, and the counts of a period.

use aftercall_core::audit::{Decided, Judged, Subject, Tally, Verdict, was_true};
use aftercall_core::id::{AttemptId, ConceptId};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::Outcome;
use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::call::Finish;
use super::conditions::Conditions;
use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::sealed::{KEY_OF_ATTEMPT, Seal, read_each};
use super::work_order::Raised;
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

/// Where a call as a whole stands in `audit_item.position`.
const WHOLE_CALL: i64 = -1;

/// One draw, and QA's verdict once there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditItem {
    pub id: String,
    pub attempt: AttemptId,
    pub subject: Subject,
    /// The suppressed finding's concept.
    pub concept: Option<ConceptId>,
    /// The share it was drawn by.
    pub share: f64,
    pub drawn_at: Timestamp,
    pub state: AuditState,
    pub verdict: Option<Verdict>,
    /// What should have alerted.
    pub missed: Option<ConceptId>,
    /// QA's own words: may name the patient.
    pub note: Option<String>,
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditState {
    Open,
    Decided,
}

/// What QA says of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub verdict: Verdict,
    /// What should have alerted, with [`Verdict::Missed`]; `None`: the suppressed finding's own concept.
    pub missed: Option<ConceptId>,
    pub note: String,
}

/// A stretch of time by the calls' ends; open at an end that is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Period {
    pub since: Option<Timestamp>,
    /// Not included.
    pub until: Option<Timestamp>,
}

impl Period {
    fn bounds(&self) -> (i64, i64) {
        (
            self.since.map_or(i64::MIN, ms),
            self.until.map_or(i64::MAX, ms),
        )
    }
}

const ITEM: &str = "select i.id, i.attempt_id, i.kind, i.position, i.concept, i.share, i.drawn_at_ms, i.state, i.verdict, \
     i.missed_concept, i.note, i.decided_by, i.decided_at_ms, k.owner as key_owner, k.master as key_master, \
     k.wrapped as key_wrapped from audit_item i join attempt a on a.id = i.attempt_id";

impl Store {
    /// Drawn items, the oldest first; of one state, or all.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn audit_items(
        &self,
        state: Option<AuditState>,
        page: &PageRequest,
    ) -> Result<Page<AuditItem>, StoreError> {
        let ([drawn], id) = page.keys::<1>()?.unwrap_or(([i64::MIN], ""));
        let mut conditions = Conditions::from(4);
        conditions.add("i.state = ?", state.as_ref().map(word));
        let sql = format!(
            "{ITEM} {KEY_OF_ATTEMPT} where (i.drawn_at_ms > $1 or (i.drawn_at_ms = $1 and i.id > $2)){} \
             order by i.drawn_at_ms, i.id limit $3",
            conditions.sql()
        );
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(drawn)
            .bind(id)
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&mut *connection).await?;
        let items = read_each(&mut connection, &self.keys, &rows, Class::Record, read_item).await?;
        Ok(page.cut(items, |item| (vec![ms(item.drawn_at)], item.id.clone())))
    }

    /// Writes QA's verdict; of two who try, one gets [`StoreError::Conflict`].
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when it has a verdict, [`StoreError::NotFound`] when there is no such item.
    pub async fn decide_audit_item(
        &self,
        id: &str,
        decision: &Decision,
        by: &str,
        now: Timestamp,
    ) -> Result<AuditItem, StoreError> {
        let mut tx = self.begin().await?;
        let no_such = || StoreError::NotFound {
            what: "audit item",
            id: id.to_owned(),
        };
        let row = sqlx::query("select attempt_id from audit_item where id = $1")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let attempt = Columns(&row.ok_or_else(no_such)?).text("attempt_id")?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &attempt).await?;
        let done = sqlx::query(
            "update audit_item set state = 'decided', verdict = $2, \
             missed_concept = case when $2 = 'missed' then coalesce($3, concept) end, note = $4, decided_by = $5, \
             decided_at_ms = $6 where id = $1 and state = 'open'",
        )
        .bind(id)
        .bind(word(&decision.verdict))
        .bind(decision.missed.as_ref().map(|concept| concept.0.clone()))
        .bind(seal.text(&note_of(id), &decision.note)?)
        .bind(by)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        let sql = format!("{ITEM} {KEY_OF_ATTEMPT} where i.id = $1");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let item = read_item(&row.ok_or_else(no_such)?, &seal)?;
        if done.rows_affected() == 0 {
            return Err(StoreError::Conflict {
                what: "audit item",
                id: id.to_owned(),
                state: word(&item.state),
            });
        }
        tx.commit().await?;
        Ok(item)
    }

    /// The counts that a period's figures are made of.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_tally(&self, period: &Period) -> Result<Tally, StoreError> {
        let (since, until) = period.bounds();
        let mut tally = Tally::default();
        let calls = sqlx::query(
            "select c.alerted as alerted, w.outcome as outcome, count(*) as calls from audit_call c \
             left join work_order w on w.id = c.work_order_id where c.at_ms >= $1 and c.at_ms < $2 \
             group by c.alerted, w.outcome order by c.alerted, w.outcome",
        )
        .bind(since)
        .bind(until)
        .fetch_all(&self.pool)
        .await?;
        for row in &calls {
            let row = Columns(row);
            let count: u32 = row.count("calls")?;
            if !row.flag("alerted")? {
                tally.quiet_calls += count;
                continue;
            }
            tally.alerted_calls += count;
            match row.word_or_null::<Outcome>("outcome")?.and_then(was_true) {
                Some(true) => tally.alerted_true += count,
                Some(false) => tally.alerted_false += count,
                None => {}
            }
        }
        // A call that told more after it was drawn as quiet is no longer of that stratum.
        let items = sqlx::query(
            "select i.kind as kind, i.share as share, i.verdict as verdict, count(*) as items from audit_item i \
             join audit_call c on c.attempt_id = i.attempt_id where i.state = 'decided' and c.at_ms >= $1 \
             and c.at_ms < $2 and (i.kind = 'suppressed' or c.alerted = 0) \
             group by i.kind, i.share, i.verdict order by i.kind, i.share, i.verdict",
        )
        .bind(since)
        .bind(until)
        .fetch_all(&self.pool)
        .await?;
        for row in &items {
            let row = Columns(row);
            let decided = Decided {
                share: row.double("share")?,
                verdict: row.word("verdict")?,
                items: row.count("items")?,
            };
            match row.text("kind")?.as_str() {
                "call" => tally.calls.push(decided),
                _ => tally.suppressed.push(decided),
            }
        }
        Ok(tally)
    }

    /// How many items have each verdict (`None`: still open), by kind, for metrics.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audit_items_by_verdict(
        &self,
    ) -> Result<Vec<(String, Option<Verdict>, u64)>, StoreError> {
        let rows = sqlx::query(
            "select kind, verdict, count(*) as items from audit_item group by kind, verdict order by kind, verdict",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let row = Columns(row);
                Ok((
                    row.text("kind")?,
                    row.word_or_null("verdict")?,
                    row.count("items")?,
                ))
            })
            .collect()
    }
}

/// Saves what was drawn from a call, in the transaction that ends it.
///
/// A late record (the call had been closed as interrupted) may know of an alert: then nobody needs to listen to the
/// whole call for one that was missed.
pub(super) async fn put_audit(
    connection: &mut AnyConnection,
    finish: &Finish,
    judged: &Judged,
    raised: Option<&Raised>,
) -> Result<(), StoreError> {
    let attempt = &finish.attempt;
    sqlx::query(
        "insert into audit_call (attempt_id, at_ms, alerted, work_order_id) values ($1, $2, $3, $4) \
         on conflict (attempt_id) do update set alerted = excluded.alerted, \
         work_order_id = coalesce(excluded.work_order_id, audit_call.work_order_id)",
    )
    .bind(&attempt.0)
    .bind(ms(finish.at))
    .bind(i64::from(judged.alerted))
    .bind(raised.map(|raised| raised.id.0.clone()))
    .execute(&mut *connection)
    .await?;
    if judged.alerted {
        sqlx::query(
            "delete from audit_item where attempt_id = $1 and kind = 'call' and state = 'open'",
        )
        .bind(&attempt.0)
        .execute(&mut *connection)
        .await?;
    }
    for drawn in &judged.drawn {
        let (kind, position, concept) = match drawn.subject {
            Subject::Call => ("call", WHOLE_CALL, None),
            Subject::Suppressed(position) => {
                let at = usize::try_from(position).unwrap_or(usize::MAX);
                let concept = finish
                    .record
                    .suppressed
                    .get(at)
                    .map(|kept| kept.concept.0.clone());
                ("suppressed", i64::from(position), concept)
            }
        };
        sqlx::query(
            "insert into audit_item (id, attempt_id, kind, position, concept, share, drawn_at_ms, state) \
             values ($1, $2, $3, $4, $5, $6, $7, 'open') on conflict (attempt_id, position) do nothing",
        )
        .bind(new_id())
        .bind(&attempt.0)
        .bind(kind)
        .bind(position)
        .bind(concept)
        .bind(drawn.share)
        .bind(ms(finish.at))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Where the sealed note of an item stands.
fn note_of(id: &str) -> String {
    format!("audit_item/note/{id}")
}

fn read_item(row: &AnyRow, seal: &Seal) -> Result<AuditItem, StoreError> {
    let row = Columns(row);
    let id = row.text("id")?;
    let note = seal.open_or_null(&row, "note", &note_of(&id))?;
    let subject = match row.int("position")? {
        WHOLE_CALL => Subject::Call,
        _ => Subject::Suppressed(row.count("position")?),
    };
    Ok(AuditItem {
        id,
        attempt: AttemptId(row.text("attempt_id")?),
        subject,
        concept: row.text_or_null("concept")?.map(ConceptId),
        share: row.double("share")?,
        drawn_at: row.time("drawn_at_ms")?,
        state: row.word("state")?,
        verdict: row.word_or_null("verdict")?,
        missed: row.text_or_null("missed_concept")?.map(ConceptId),
        note,
        decided_by: row.text_or_null("decided_by")?,
        decided_at: row.time_or_null("decided_at_ms")?,
    })
}
