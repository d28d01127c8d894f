//! The facts that figures are counted from (`aftercall_core::figures`): for the pages, the sheet and the metrics alike.

use std::collections::{BTreeMap, BTreeSet};

use aftercall_core::attempt::{AnsweredBy, TurnReply};
use aftercall_core::figures::{CallFact, DueFact, Facts, Of, OrderFact, Party};
use aftercall_core::finding::Urgency;
use aftercall_core::id::{AttemptId, ConceptId, NodeId, PatientId, WorkOrderId};
use aftercall_core::plan::learn::AgeBand;
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::Cause;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::call::place;
use super::row::{Columns, word};
use super::scope::seen;
use super::sealed::{KEY, KEY_OF_ATTEMPT, Seal, read_each};
use super::work_order::{KEY_OF_ORDER, cause_of};
use super::{Store, StoreError, ms};
use crate::vault::Class;

/// Days by the hospital's calendar, both included.
#[derive(Clone, Debug, PartialEq)]
pub struct Days {
    pub first: Date,
    pub last: Date,
    pub zone: TimeZone,
}

impl Days {
    /// The period's bounds, the second of which is outside.
    fn bounds(&self) -> (i64, i64) {
        let begins = |day: Date| {
            let midnight = day.to_zoned(self.zone.clone());
            midnight.map_or(i64::MAX, |at| ms(at.timestamp()))
        };
        (
            begins(self.first),
            begins(self.last.saturating_add(1.day())),
        )
    }

    fn day(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date()
    }

    fn of(&self, row: &Columns<'_>, day: Date) -> Result<Of, StoreError> {
        let birth: Option<Date> = row.mid_year_or_null("birth_year")?;
        Ok(Of {
            day,
            ward: row.text_or_null("ward")?.unwrap_or_default(),
            script: row.text_or_null("script")?.unwrap_or_default(),
            band: birth.map(|birth| AgeBand::of(birth, day)),
            dialect: row.text_or_null("dialect")?.unwrap_or_default(),
            party: row.word_or_null("answered_by")?.and_then(Party::of),
        })
    }
}

/// Calls that the robot dialled, which began in the period and have ended.
const CALLS: &str = "from attempt a left join episode e on e.id = a.episode_id \
     left join patient p on p.id = a.patient_id \
     where a.state = 'ended' and a.direction = 'outbound' and a.started_at_ms >= $1 and a.started_at_ms < $2";
/// Orders that were raised in the period.
const ORDERS: &str = "from work_order w left join attempt a on a.id = w.attempt_id \
     left join patient p on p.id = w.patient_id where w.raised_at_ms >= $1 and w.raised_at_ms < $2";

/// What calls made of a node of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeFacts {
    pub node: NodeId,
    /// Calls that came to it.
    pub reached: u64,
    /// Calls that broke off there: it was their last turn, and they were not brought to an end.
    pub hung_up: u64,
    /// Turns.
    pub asked: u64,
    pub not_understood: u64,
    pub silent: u64,
    /// From its prompt to the next one, on average over the turns that had one.
    pub seconds: Option<f64>,
}

impl Store {
    /// What the calls of a period made of each node of a script, of the wards that a caller sees.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn node_figures(
        &self,
        script: &str,
        days: &Days,
        wards: &Wards,
    ) -> Result<Vec<NodeFacts>, StoreError> {
        let (scope, names) = seen(wards, "a.patient_id", 4);
        let sql = format!(
            "with said as (select t.attempt_id, t.node, t.prompt_from_ms, t.unheard, a.disposition, \
             lead(t.prompt_from_ms) over (partition by t.attempt_id order by t.position) as next_ms \
             from turn t join attempt a on a.id = t.attempt_id where a.state = 'ended' \
             and a.started_at_ms >= $1 and a.started_at_ms < $2 and a.script = $3{scope}) \
             select node, count(distinct attempt_id) as reached, count(*) as asked, \
             sum(case when next_ms is null and disposition in ('partial', 'cut_in_emergency', 'unidentified') \
             then 1 else 0 end) as hung_up, \
             sum(case when unheard = 'unclear' then 1 else 0 end) as not_understood, \
             sum(case when unheard = 'silence' then 1 else 0 end) as silent, \
             cast(avg(next_ms - prompt_from_ms) as double precision) as lasted_ms from said group by node order by node"
        );
        let (from, until) = days.bounds();
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(from)
            .bind(until)
            .bind(script);
        for name in names {
            query = query.bind(name.clone());
        }
        let rows = query.fetch_all(&self.pool).await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(NodeFacts {
                node: NodeId(row.text("node")?),
                reached: row.count("reached")?,
                hung_up: row.count("hung_up")?,
                asked: row.count("asked")?,
                not_understood: row.count("not_understood")?,
                silent: row.count("silent")?,
                seconds: row.double_or_null("lasted_ms")?.map(|ms| ms / 1000.0),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Everything that the figures of a period are counted from, of the wards that a caller sees.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn facts(&self, days: &Days, wards: &Wards) -> Result<Facts, StoreError> {
        Ok(Facts {
            calls: self.call_facts(days, wards).await?,
            due: self.due_facts(days, wards).await?,
            orders: self.order_facts(days, wards).await?,
        })
    }

    async fn call_facts(&self, days: &Days, wards: &Wards) -> Result<Vec<CallFact>, StoreError> {
        let mut alerts: BTreeMap<String, Urgency> = BTreeMap::new();
        let found = "select f.attempt_id, f.urgency from finding f join attempt a on a.id = f.attempt_id \
             where a.state = 'ended' and a.direction = 'outbound' and a.started_at_ms >= $1 and a.started_at_ms < $2 \
             and f.polarity in ('present', 'uncertain') and f.confirmation <> 'denied' and f.urgency <> 'routine'";
        for row in &self.of_days(found.to_owned(), days, &[]).await? {
            let row = Columns(row);
            let urgency: Urgency = row.word("urgency")?;
            let most = alerts.entry(row.text("attempt_id")?).or_insert(urgency);
            *most = urgency.min(*most);
        }
        let scores = self.scores(days).await?;
        let (scope, names) = seen(wards, "a.patient_id", 3);
        let sql = format!(
            "select a.id, a.step_id, a.started_at_ms, a.disposition, a.answered_by, a.identified, a.screened, \
             a.talk_ms, a.script, e.ward, p.birth_year, p.dialect {CALLS}{scope} order by a.started_at_ms, a.id"
        );
        let rows = self.of_days(sql, days, names).await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            let id = row.text("id")?;
            let started_at = row.time("started_at_ms")?;
            let score = |node: &str| scores.get(&(id.clone(), node.to_owned())).copied();
            Ok(CallFact {
                of: days.of(&row, days.day(started_at))?,
                started_at,
                touch: row.text_or_null("step_id")?.unwrap_or_else(|| id.clone()),
                disposition: row.word("disposition")?,
                answered_by: row
                    .word_or_null("answered_by")?
                    .unwrap_or(AnsweredBy::Nobody),
                identified: row.flag("identified")?,
                screened: row.flag("screened")?,
                talk_ms: row.count("talk_ms")?,
                alert: alerts.get(&id).copied(),
                satisfaction: score("satisfaction"),
                recommend: score("recommend"),
                attempt: AttemptId(id),
            })
        };
        rows.iter().map(read).collect()
    }

    /// What was answered to the questions with a scale from 0 to 10, by call and node; the last answer stands.
    async fn scores(&self, days: &Days) -> Result<BTreeMap<(String, String), f64>, StoreError> {
        let sql = format!(
            "select t.attempt_id, t.position, t.node, t.reply, {KEY} \
             from turn t join attempt a on a.id = t.attempt_id {KEY_OF_ATTEMPT} \
             where a.started_at_ms >= $1 and a.started_at_ms < $2 and t.node in ('satisfaction', 'recommend') \
             and t.reply is not null order by t.attempt_id, t.position"
        );
        let rows = self.of_days(sql, days, &[]).await?;
        let read = |row: &AnyRow, seal: &Seal| {
            let row = Columns(row);
            let attempt = AttemptId(row.text("attempt_id")?);
            let place = place("reply", &attempt, row.int("position")?);
            let reply: TurnReply = seal.open_json(&row, "reply", &place)?;
            Ok(((attempt.0, row.text("node")?), reply.meaning.parse().ok()))
        };
        let scores = self.opened(&rows, read).await?.into_iter();
        Ok(scores
            .filter_map(|(of, score)| Some((of, score?)))
            .collect())
    }

    async fn due_facts(&self, days: &Days, wards: &Wards) -> Result<Vec<DueFact>, StoreError> {
        // `s` is the scope's own name for a stay.
        let (scope, names) = seen(wards, "t.patient_id", 3);
        let sql = format!(
            "select t.patient_id, t.due_on, t.script, e.ward, p.birth_year, p.dialect, cast(null as text) as answered_by, \
             (select count(*) from attempt a where a.step_id = t.id and a.direction = 'outbound') as attempts \
             from step t join episode e on e.id = t.episode_id join patient p on p.id = t.patient_id \
             where t.due_on >= $1 and t.due_on <= $2{scope} order by t.id"
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(word(&days.first))
            .bind(word(&days.last));
        for name in names {
            query = query.bind(name.clone());
        }
        let rows = query.fetch_all(&self.pool).await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(DueFact {
                of: days.of(&row, row.word("due_on")?)?,
                patient: PatientId(row.text("patient_id")?),
                attempted: row.int("attempts")? > 0,
            })
        };
        rows.iter().map(read).collect()
    }

    async fn order_facts(&self, days: &Days, wards: &Wards) -> Result<Vec<OrderFact>, StoreError> {
        let mut concepts: BTreeMap<String, BTreeSet<ConceptId>> = BTreeMap::new();
        let causes = format!(
            "select c.work_order_id, c.position, c.cause, {KEY} {} order by c.work_order_id, c.position",
            ORDERS
                .replacen(
                    "from work_order w",
                    "from work_order_cause c join work_order w on w.id = c.work_order_id",
                    1
                )
                .replacen(" where ", &format!(" {KEY_OF_ORDER} where "), 1)
        );
        let rows = self.of_days(causes, days, &[]).await?;
        let read = |row: &AnyRow, seal: &Seal| {
            let row = Columns(row);
            let order = WorkOrderId(row.text("work_order_id")?);
            let place = cause_of(&order, row.int("position")?);
            Ok((order, seal.open_json(&row, "cause", &place)?))
        };
        for (order, cause) in self.opened(&rows, read).await? {
            if let Cause::Finding { finding, .. } = cause {
                let of = concepts.entry(order.0).or_default();
                of.insert(finding.finding.concept);
            }
        }
        let (scope, names) = seen(wards, "w.patient_id", 3);
        let sql = format!(
            "select w.id, w.raised_at_ms, w.acknowledged_at_ms, w.closed_at_ms, w.outcome, w.ward, a.script, \
             a.answered_by, p.birth_year, p.dialect, (select count(*) from work_order_event v where v.work_order_id = w.id \
             and v.what = 'escalated' and (w.acknowledged_at_ms is null or v.at_ms <= w.acknowledged_at_ms)) as climbs \
             {ORDERS}{scope} order by w.raised_at_ms, w.id"
        );
        let rows = self.of_days(sql, days, names).await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            let raised_at = row.time("raised_at_ms")?;
            Ok(OrderFact {
                of: days.of(&row, days.day(raised_at))?,
                raised_at,
                concepts: concepts.get(&row.text("id")?).cloned().unwrap_or_default(),
                acknowledged_at: row.time_or_null("acknowledged_at_ms")?,
                closed_at: row.time_or_null("closed_at_ms")?,
                outcome: row.word_or_null("outcome")?,
                late: row.int("climbs")? > 0,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Rows that have the columns of their keys.
    async fn opened<T>(
        &self,
        rows: &[AnyRow],
        read: impl Fn(&AnyRow, &Seal) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        read_each(&mut connection, &self.keys, rows, Class::Record, read).await
    }

    async fn of_days(
        &self,
        sql: String,
        days: &Days,
        names: &[String],
    ) -> Result<Vec<AnyRow>, StoreError> {
        let (from, until) = days.bounds();
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(from).bind(until);
        for name in names {
            query = query.bind(name.clone());
        }
        Ok(query.fetch_all(&self.pool).await?)
    }
}
