//! The end of data: legal holds, what retention finds due, and the erasure of a patient.

use aftercall_core::id::{AttemptId, PatientId};
use aftercall_core::plan::Reason;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::key::{KeyCopy, destroy};
use super::row::Columns;
use super::sealed::Seal;
use super::{Store, StoreError, ms, new_id};
use crate::vault::Class;

/// The caps of a number look back so far: until then its calls are not forgotten.
const CAPS: SignedDuration = SignedDuration::from_hours(48);

/// What an erasure leaves to be removed: recordings lie outside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    pub keys: u64,
    pub attempts: Vec<AttemptId>,
}

/// That a patient was erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    pub patient: PatientId,
    pub at: Timestamp,
    pub by: String,
    pub reason: String,
}

impl Store {
    /// Keeps everything of a patient until the hold is lifted; false where one is in force.
    ///
    /// # Errors
    /// When there is no such patient.
    pub async fn hold_patient(
        &self,
        id: &PatientId,
        reason: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let patient = self.patient(id).await?;
        let hold = new_id();
        let mut tx = self.begin().await?;
        let seal = Seal::of(&mut tx, &self.keys, &id.0, Class::Identity).await?;
        let done = sqlx::query(
            "insert into legal_hold (id, patient_id, reason, placed_by, placed_at_ms) values ($1, $2, $3, $4, $5) \
             on conflict do nothing",
        )
        .bind(&hold)
        .bind(&patient.id.0)
        .bind(seal.text(&format!("legal_hold/{hold}"), reason)?)
        .bind(by)
        .bind(ms(now))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Lifts a hold; false where none is in force.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn release_patient(
        &self,
        id: &PatientId,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "update legal_hold set lifted_by = $2, lifted_at_ms = $3 where patient_id = $1 and lifted_at_ms is null",
        )
        .bind(&id.0)
        .bind(by)
        .bind(ms(now))
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Ended calls whose recordings are to go: those that ended before `before`, and those of patients who withdrew. Not
    /// under a legal hold; with `hold_alerts` not those in which anything was found or an order raised.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audio_due(
        &self,
        before: Option<Timestamp>,
        hold_alerts: bool,
        limit: u32,
    ) -> Result<Vec<AttemptId>, StoreError> {
        let rows = sqlx::query(
            "select a.id from attempt a where a.state = 'ended' and a.audio_removed_at_ms is null \
             and (a.ended_at_ms < $1 or exists (select 1 from consent c where c.patient_id = a.patient_id \
             and c.superseded_at_ms is null and c.basis = 'withdrawn')) \
             and not exists (select 1 from legal_hold h where h.patient_id = a.patient_id and h.lifted_at_ms is null) \
             and ($2 = 0 or not (exists (select 1 from finding f where f.attempt_id = a.id and f.polarity <> 'absent') \
             or exists (select 1 from audit_call u where u.attempt_id = a.id and u.alerted = 1) \
             or exists (select 1 from work_order w where w.attempt_id = a.id))) \
             order by a.ended_at_ms, a.id limit $3",
        )
        .bind(before.map_or(i64::MIN, ms))
        .bind(i64::from(hold_alerts))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let id = |row: &AnyRow| Ok(AttemptId(Columns(row).text("id")?));
        rows.iter().map(id).collect()
    }

    /// Writes down that a call's recording is no more.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn audio_removed(&self, id: &AttemptId, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("update attempt set audio_removed_at_ms = $2 where id = $1")
            .bind(&id.0)
            .bind(ms(now))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Patients whose last stay and last call lie before `before`, and who have nothing planned, open or held.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn records_due(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<PatientId>, StoreError> {
        let rows = sqlx::query(
            "select p.id from patient p where p.created_at_ms < $1 \
             and not exists (select 1 from erasure x where x.patient_id = p.id) \
             and not exists (select 1 from legal_hold h where h.patient_id = p.id and h.lifted_at_ms is null) \
             and not exists (select 1 from episode e where e.patient_id = p.id and e.discharged_at_ms >= $1) \
             and not exists (select 1 from step s where s.patient_id = p.id and s.state in ('planned', 'calling')) \
             and not exists (select 1 from attempt a where a.patient_id = p.id and a.started_at_ms >= $1) \
             and not exists (select 1 from work_order w where w.patient_id = p.id \
             and (w.state <> 'closed' or w.closed_at_ms >= $1)) \
             and not exists (select 1 from merged_number m where m.hospital = p.hospital and m.number_index = p.number_index) \
             order by p.id limit $2",
        )
        .bind(ms(before))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let id = |row: &AnyRow| Ok(PatientId(Columns(row).text("id")?));
        rows.iter().map(id).collect()
    }

    /// Erases a patient: her keys are destroyed, and what they sealed is taken out. What counts calls and orders stays,
    /// without a name, a number or a word. The do-not-call list keeps the hash of her number: nobody
    /// is to ring it by the erasure.
    ///
    /// # Errors
    /// [`StoreError::Kept`] under a legal hold, with an order that is not closed, or when she was called within 48 hours,
    /// since caps must still count that.
    pub async fn erase_patient(
        &self,
        erasure: &Erasure,
        mut journal: impl FnMut(&Erasure) -> Result<(), StoreError> + Send,
    ) -> Result<Erased, StoreError> {
        let mut tx = self.begin().await?;
        let id = &erasure.patient;
        if let Some(why) = stands_against(&mut tx, id, erasure.at).await? {
            let id = id.0.clone();
            return Err(StoreError::Kept { id, why });
        }
        let erased = erase(&mut tx, erasure).await?;
        // Outside before inside: a restore learns of it whatever happens to this database.
        journal(erasure)?;
        tx.commit().await?;
        self.scrub().await?;
        Ok(erased)
    }

    /// Erases again after a restore, whatever the restored state; patients that it does not know are none of its.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erase_again(&self, erasure: &Erasure) -> Result<Option<Erased>, StoreError> {
        let mut tx = self.begin().await?;
        let known = sqlx::query("select id from patient where id = $1")
            .bind(&erasure.patient.0)
            .fetch_optional(&mut *tx)
            .await?;
        if known.is_none() {
            return Ok(None);
        }
        let erased = erase(&mut tx, erasure).await?;
        tx.commit().await?;
        Ok(Some(erased))
    }

    /// Every erasure, the first first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        let rows = sqlx::query(
            "select patient_id, at_ms, erased_by, reason from erasure order by at_ms, patient_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(Erasure {
                patient: PatientId(row.text("patient_id")?),
                at: row.time("at_ms")?,
                by: row.text("erased_by")?,
                reason: row.text("reason")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Every key as it is kept, for a copy apart from the data.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn key_copies(&self) -> Result<Vec<KeyCopy>, StoreError> {
        let rows = sqlx::query(
            "select owner, class, master, wrapped, destroyed_at_ms from data_key order by owner, class",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            let row = Columns(row);
            Ok(KeyCopy {
                owner: row.text("owner")?,
                class: row.text("class")?,
                master: row.text_or_null("master")?,
                wrapped: row.text_or_null("wrapped")?,
                destroyed_at_ms: row.int_or_null("destroyed_at_ms")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Brings keys back after a restore. A key that is there stays.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn restore_keys(&self, copies: &[KeyCopy], master: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("update vault set master = $1 where id = 1")
            .bind(master)
            .execute(&mut *tx)
            .await?;
        for copy in copies {
            sqlx::query(
                "insert into data_key (owner, class, master, wrapped, destroyed_at_ms) values ($1, $2, $3, $4, $5) \
                 on conflict do nothing",
            )
            .bind(&copy.owner)
            .bind(&copy.class)
            .bind(copy.master.clone())
            .bind(copy.wrapped.clone())
            .bind(copy.destroyed_at_ms)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Why a patient cannot be erased now.
async fn stands_against(
    connection: &mut AnyConnection,
    id: &PatientId,
    now: Timestamp,
) -> Result<Option<&'static str>, StoreError> {
    let row = sqlx::query(
        "select (select count(*) from legal_hold where patient_id = p.id and lifted_at_ms is null) as holds, \
         (select count(*) from work_order where patient_id = p.id and state <> 'closed') as orders, \
         (select count(*) from attempt where patient_id = p.id and (state <> 'ended' or started_at_ms > $2)) as calls, \
         (select count(*) from erasure where patient_id = p.id) as erased from patient p where p.id = $1",
    )
    .bind(&id.0)
    .bind(ms(now.saturating_sub(CAPS).unwrap_or(Timestamp::MIN)))
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            what: "patient",
            id: id.0.clone(),
        });
    };
    let row = Columns(&row);
    let reasons = [
        ("erased", "she is erased already"),
        ("holds", "there is a legal hold"),
        ("orders", "there is a work order that is not closed"),
        (
            "calls",
            "she was called within 48 hours, which the caps must count",
        ),
    ];
    for (column, words) in reasons {
        if row.int(column)? > 0 {
            return Ok(Some(words));
        }
    }
    Ok(None)
}

async fn erase(connection: &mut AnyConnection, erasure: &Erasure) -> Result<Erased, StoreError> {
    let mut erased = Erased {
        keys: 0,
        attempts: Vec::new(),
    };
    for id in records_of(connection, &erasure.patient).await? {
        let rows = sqlx::query("select id from attempt where patient_id = $1 order by id")
            .bind(&id.0)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            erased.attempts.push(AttemptId(Columns(row).text("id")?));
        }
        erased.keys += destroy(connection, &id.0, &Class::ALL, erasure.at).await?;
        empty(connection, &id, erasure.at).await?;
        sqlx::query(
            "insert into erasure (patient_id, at_ms, erased_by, reason) values ($1, $2, $3, $4) on conflict do nothing",
        )
        .bind(&id.0)
        .bind(ms(erasure.at))
        .bind(&erasure.by)
        .bind(&erasure.reason)
        .execute(&mut *connection)
        .await?;
    }
    Ok(erased)
}

/// The patient, and the records that were given up in favour of hers: some of what she said lies under their keys.
async fn records_of(
    connection: &mut AnyConnection,
    id: &PatientId,
) -> Result<Vec<PatientId>, StoreError> {
    let rows = sqlx::query(
        "select p.id from patient p join merged_number m on m.hospital = p.hospital and m.number_index = p.number_index \
         where m.patient_id = $1 and p.id <> $1 \
         union select a.sealed_by from attempt a where a.patient_id = $1 and a.sealed_by is not null \
         union select w.sealed_by from work_order w where w.patient_id = $1 and w.sealed_by is not null \
         union select e.sealed_by from episode e where e.patient_id = $1 and e.sealed_by is not null",
    )
    .bind(&id.0)
    .fetch_all(connection)
    .await?;
    let mut ids = vec![id.clone()];
    for row in &rows {
        let other = PatientId(Columns(row).text("id")?);
        if !ids.contains(&other) {
            ids.push(other);
        }
    }
    Ok(ids)
}

/// Takes out what is sealed, and what tells of her without a seal. Plans end.
async fn empty(
    connection: &mut AnyConnection,
    id: &PatientId,
    now: Timestamp,
) -> Result<(), StoreError> {
    const CALLS: &str = "attempt_id in (select id from attempt where patient_id = $1)";
    const ORDERS: &str = "work_order_id in (select id from work_order where patient_id = $1)";
    const NUMBERS: &str = "number_index in (select number_index from patient where id = $1 \
         union select number_index from merged_number where patient_id = $1)";
    const PHONES: &str = "phone_index in (select phone_index from patient where id = $1 \
         union select phone_index from contact where patient_id = $1)";
    let statements = [
        format!("delete from turn where {CALLS}"),
        format!("delete from finding where {CALLS}"),
        format!("delete from suppressed where {CALLS}"),
        format!("delete from attempt_trace where {CALLS}"),
        format!("update audit_item set note = null where {CALLS}"),
        format!("delete from review where {CALLS}"),
        "update patient_message set phone = null, reason = '', state = case when state = 'waiting' then 'withheld' else state end \
         where patient_id = $1"
            .to_owned(),
        "update expected_reading set state = 'over' where patient_id = $1".to_owned(),
        format!("delete from work_order_cause where {ORDERS}"),
        format!("update work_order_event set note = '' where {ORDERS}"),
        "update work_order set note = null where patient_id = $1".to_owned(),
        "update attempt set phone = null, phone_index = null, notes = '[]', dialog = null where patient_id = $1".to_owned(),
        // Nobody is to ring it by the erasure: what stands in the way is a hash.
        format!("update do_not_call set phone = null, why = '' where {PHONES}"),
        "delete from observation where patient_id = $1".to_owned(),
        "delete from contact where patient_id = $1".to_owned(),
        format!("update feed_message set content = '', number_index = null where {NUMBERS}"),
        format!("delete from feed_visit where {NUMBERS}"),
        "delete from merged_number where patient_id = $1".to_owned(),
        "update errand set state = 'blocked' where patient_id = $1 and state = 'planned'".to_owned(),
        "update episode set encounter = null, encounter_index = 'erased/' || id where patient_id = $1".to_owned(),
        "update patient set name = '', number = null, number_index = 'erased/' || id, birth_date = null, phone = null, phone_index = null, \
         name_index = '', family_index = null, \
         dialect = null, wishes = null, seen_at_ms = null where id = $1"
            .to_owned(),
    ];
    for sql in statements {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query(
        "update step set state = 'blocked', reason = $2, next_at_ms = $3, leased_by = null, leased_until_ms = null \
         where patient_id = $1 and state = 'planned'",
    )
    .bind(&id.0)
    .bind(Reason::ConsentWithdrawn.to_string())
    .bind(ms(now))
    .execute(connection)
    .await?;
    Ok(())
}
