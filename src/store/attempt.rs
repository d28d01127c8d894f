//! Attempts: permission for one INVITE, and where it stands while it lives.

use std::collections::BTreeMap;

use aftercall_core::attempt::{Attempt, AttemptState, Disposition, Ending, LineRecord, Progress};
use aftercall_core::id::{AttemptId, EpisodeId, PatientId, StepId};
use aftercall_core::lang::Lang;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::PastAttempt;
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::conditions::Conditions;
use super::decision::{Answer, Decision, decide};
use super::page::{Page, PageRequest};
use super::row::{Columns, word};
use super::sealed::{KEY, KEY_OF_ATTEMPT, Seal, read_each};
use super::site::{Indexed, Site};
use super::suppression::suppressed;
use super::{Store, StoreError, ms};
use crate::vault::Class;

/// What is known of an attempt before its INVITE.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAttempt {
    pub id: AttemptId,
    /// They rang us.
    pub inbound: bool,
    /// `None` for a call without a patient record, as are patient, episode and possibly phone.
    pub step: Option<StepId>,
    pub episode: Option<EpisodeId>,
    pub patient: Option<PatientId>,
    pub phone: Option<PhoneNumber>,
    /// Counted from 1 within the step.
    pub number: u32,
    pub engine: String,
    pub leased_until: Timestamp,
    pub trunk: String,
    /// The caller id that the callee sees.
    pub caller: String,
    pub caller_most: CallerMost,
    pub script: String,
    pub script_hash: String,
    pub day: u16,
    pub lang: Lang,
    pub started_at: Timestamp,
}

/// How often the caller id may have been shown before: looked at once more, with every engine's calls, as the row is
/// written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerMost {
    /// In the hour before, on any trunk.
    pub an_hour: Option<u32>,
    /// On this trunk, since then.
    pub since: Option<(Timestamp, u32)>,
}

/// Whether the INVITE may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// The attempt and the step's state are on disk: dial.
    Dial,
    /// The engine no longer holds the step, it is not planned any more, or the patient may not be called any more.
    LeaseLost,
    /// An attempt of the step or to the number is live.
    LineTaken,
    /// The number was put on the do-not-call list.
    DoNotCall,
    /// Another engine showed the caller id as often as it may be.
    CallerUsed,
}

/// An attempt with what the plan, the API and a restart need beside the core's record.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    pub attempt: Attempt,
    /// They rang us.
    pub inbound: bool,
    pub episode: Option<EpisodeId>,
    pub patient: Option<PatientId>,
    pub engine: String,
    pub leased_until: Timestamp,
    pub day: u16,
    pub lang: Lang,
    /// `sip::DialogSnapshot` as text: lets the next start send BYE or CANCEL.
    pub dialog: Option<String>,
    /// How the line was, once it has ended.
    pub line: Option<LineRecord>,
}

/// Where a live attempt stands by now.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptProgress {
    /// Dialling, ringing or talking; never backwards.
    pub state: AttemptState,
    pub answered_at: Option<Timestamp>,
    pub dialog: Option<String>,
    pub progress: Progress,
}

pub(super) const ATTEMPT: &str = "select id, step_id, episode_id, patient_id, phone, number, state, engine, leased_until_ms, trunk, \
     script, script_hash, day, lang, dialog, started_at_ms, answered_at_ms, ended_at_ms, identified, screened, \
     closing_spoken, disposition, sip_status, q850_cause, early_media, answered_by, met, rang, talk_ms, \
     line, direction, k.owner as key_owner, k.master as key_master, k.wrapped as key_wrapped from attempt \
     left join data_key k on k.owner = coalesce(sealed_by, patient_id, id) and k.class = 'record'";

impl Store {
    /// Begins an attempt: step to `calling` and the attempt's row in one transaction, before the INVITE.
    ///
    /// # Errors
    /// When the database refuses; whether the line may be rung is the answer, not an error.
    pub async fn begin_attempt(&self, new: &NewAttempt) -> Result<Begun, StoreError> {
        self.site().await?;
        let mut tx = self.begin().await?;
        // Who is on the list may ring us.
        if let Some(phone) = new.phone.as_ref().filter(|_| !new.inbound)
            && suppressed(&mut tx, &self.keys, phone).await?.is_some()
        {
            return Ok(Begun::DoNotCall);
        }
        if !new.inbound && is_used_up(&mut tx, new).await? {
            return Ok(Begun::CallerUsed);
        }
        if let Some(step) = &new.step {
            // What may have come over the patient since the decision is looked at once more.
            let leased = sqlx::query(
                "update step set state = 'calling', leased_until_ms = $3, reason = '' \
                 where id = $1 and leased_by = $2 and state = 'planned' and exists (select 1 from patient p \
                 join episode e on e.patient_id = p.id join consent c on c.patient_id = p.id \
                 where p.id = step.patient_id and e.id = step.episode_id and p.life = 'alive' \
                 and e.state = 'discharged' and c.superseded_at_ms is null and c.basis in ('written', 'verbal'))",
            )
            .bind(&step.0)
            .bind(&new.engine)
            .bind(ms(new.leased_until))
            .execute(&mut *tx)
            .await?;
            if leased.rows_affected() == 0 {
                return Ok(Begun::LeaseLost);
            }
        }
        let (phone_index, phone) = self.kept_phone(&mut tx, new).await?;
        let inserted = sqlx::query(
            "insert into attempt (id, step_id, episode_id, patient_id, phone, number, state, engine, leased_until_ms, \
             trunk, script, script_hash, day, lang, started_at_ms, caller, direction, phone_index) \
             values ($1, $2, $3, $4, $5, $6, 'dialling', $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
             on conflict do nothing",
        )
        .bind(&new.id.0)
        .bind(new.step.as_ref().map(|id| id.0.clone()))
        .bind(new.episode.as_ref().map(|id| id.0.clone()))
        .bind(new.patient.as_ref().map(|id| id.0.clone()))
        .bind(phone)
        .bind(i64::from(new.number))
        .bind(&new.engine)
        .bind(ms(new.leased_until))
        .bind(&new.trunk)
        .bind(&new.script)
        .bind(&new.script_hash)
        .bind(i64::from(new.day))
        .bind(word(&new.lang))
        .bind(ms(new.started_at))
        .bind((!new.inbound).then_some(&new.caller))
        .bind(if new.inbound { "inbound" } else { "outbound" })
        .bind(phone_index)
        .execute(&mut *tx)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(Begun::LineTaken);
        }
        if let Some(step) = &new.step {
            let dialled = Decision {
                at: new.started_at,
                answer: Answer::Dial,
                reason: None,
                until: None,
                attempt: Some(new.id.clone()),
            };
            decide(&mut tx, &step.0, &dialled).await?;
        }
        tx.commit().await?;
        Ok(Begun::Dial)
    }

    /// The number of an attempt as it is kept: its hash, and itself under the key of whose call it is.
    async fn kept_phone(
        &self,
        connection: &mut AnyConnection,
        new: &NewAttempt,
    ) -> Result<(Option<String>, Option<String>), StoreError> {
        let Some(phone) = new.phone.as_ref().map(PhoneNumber::expose) else {
            return Ok((None, None));
        };
        let owner = new.patient.as_ref().map_or(&new.id.0, |patient| &patient.0);
        let seal = Seal::of(connection, &self.keys, owner, Class::Record).await?;
        let site = Site::of(connection, &self.keys).await?;
        let sealed = seal.text(&of_attempt("phone", &new.id), phone)?;
        Ok((Some(site.index(Indexed::Phone, phone)), Some(sealed)))
    }

    /// How often each caller id of a trunk was shown between two instants, by any engine: begun is shown.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn callers_shown(
        &self,
        trunk: &str,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<BTreeMap<String, u32>, StoreError> {
        let rows = sqlx::query(
            "select caller, count(*) as shown from attempt \
             where trunk = $1 and started_at_ms >= $2 and started_at_ms < $3 and caller is not null group by caller",
        )
        .bind(trunk)
        .bind(ms(from))
        .bind(ms(to))
        .fetch_all(&self.pool)
        .await?;
        let shown = |row: &AnyRow| {
            let count: i64 = row.try_get("shown")?;
            Ok((
                row.try_get("caller")?,
                u32::try_from(count).unwrap_or(u32::MAX),
            ))
        };
        rows.iter().map(shown).collect()
    }

    /// When each caller id was shown since then, on any trunk and by any engine, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn callers_shown_since(
        &self,
        since: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Timestamp>>, StoreError> {
        let rows = sqlx::query(
            "select caller, started_at_ms from attempt where started_at_ms > $1 and caller is not null \
             order by started_at_ms, id",
        )
        .bind(ms(since))
        .fetch_all(&self.pool)
        .await?;
        let mut shown: BTreeMap<String, Vec<Timestamp>> = BTreeMap::new();
        for row in &rows {
            let row = Columns(row);
            let times = shown.entry(row.text("caller")?).or_default();
            times.push(row.time("started_at_ms")?);
        }
        Ok(shown)
    }

    /// How many calls an engine has live.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn live_calls_of(&self, engine: &str) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "select count(*) as live from attempt where engine = $1 and state <> 'ended'",
        )
        .bind(engine)
        .fetch_one(&self.pool)
        .await?;
        Columns(&row).count("live")
    }

    /// When the last calls of a trunk that have ended were begun, and how they ended, newest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn endings_of_trunk(
        &self,
        trunk: &str,
        limit: u32,
    ) -> Result<Vec<(Timestamp, Disposition)>, StoreError> {
        let rows = sqlx::query(
            "select started_at_ms, disposition from attempt where trunk = $1 and state = 'ended' and direction = 'outbound' \
             order by started_at_ms desc limit $2",
        )
        .bind(trunk)
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        let ending = |row: &AnyRow| {
            let row = Columns(row);
            Ok((row.time("started_at_ms")?, row.word("disposition")?))
        };
        rows.iter().map(ending).collect()
    }

    /// Saves where a live attempt stands. Flags are only ever set, and a state never goes back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the attempt is over, or further than `progress` says.
    pub async fn attempt_progress(
        &self,
        id: &AttemptId,
        progress: &AttemptProgress,
    ) -> Result<(), StoreError> {
        let (first, second, third) = match progress.state {
            AttemptState::Dialling => ("dialling", "dialling", "dialling"),
            AttemptState::Ringing => ("dialling", "ringing", "ringing"),
            AttemptState::Talking | AttemptState::Ended => ("dialling", "ringing", "talking"),
        };
        let live = if progress.state == AttemptState::Ended {
            AttemptState::Talking
        } else {
            progress.state
        };
        let mut tx = self.begin().await?;
        let dialog = match &progress.dialog {
            Some(dialog) => {
                let seal = Seal::of_attempt(&mut tx, &self.keys, &id.0).await?;
                Some(seal.text(&of_attempt("dialog", id), dialog)?)
            }
            None => None,
        };
        let done = sqlx::query(
            "update attempt set state = $2, answered_at_ms = coalesce(answered_at_ms, $3), dialog = coalesce($4, dialog), \
             identified = case when $5 = 1 then 1 else identified end, \
             screened = case when $6 = 1 then 1 else screened end, \
             closing_spoken = case when $7 = 1 then 1 else closing_spoken end, \
             rang = case when $2 = 'dialling' or direction = 'inbound' then rang else 1 end \
             where id = $1 and state in ($8, $9, $10)",
        )
        .bind(&id.0)
        .bind(word(&live))
        .bind(progress.answered_at.map(ms))
        .bind(dialog)
        .bind(i64::from(progress.progress.identified))
        .bind(i64::from(progress.progress.screened))
        .bind(i64::from(progress.progress.closing_spoken))
        .bind(first)
        .bind(second)
        .bind(third)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        if done.rows_affected() == 0 {
            let state = word(&self.attempt(id).await?.attempt.state);
            return Err(StoreError::Conflict {
                what: "attempt",
                id: id.0.clone(),
                state,
            });
        }
        Ok(())
    }

    /// One attempt.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is none.
    pub async fn attempt(&self, id: &AttemptId) -> Result<AttemptRow, StoreError> {
        let sql = format!("{ATTEMPT} where id = $1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_all(&self.pool)
            .await?;
        let found = self.read_attempts(&rows).await?;
        found
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::NotFound {
                what: "attempt",
                id: id.0.clone(),
            })
    }

    /// Attempts of one patient, or all, newest first.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn attempts(
        &self,
        patient: Option<&PatientId>,
        page: &PageRequest,
    ) -> Result<Page<AttemptRow>, StoreError> {
        self.attempts_seen(patient, &Wards::ALL, page).await
    }

    /// The same, of these wards.
    ///
    /// # Errors
    /// When the cursor is not this list's.
    pub async fn attempts_seen(
        &self,
        patient: Option<&PatientId>,
        wards: &Wards,
        page: &PageRequest,
    ) -> Result<Page<AttemptRow>, StoreError> {
        let ([before_ms], before_id) = page.keys::<1>()?.unwrap_or(([i64::MAX], "~"));
        let mut conditions = Conditions::from(4);
        conditions.add("patient_id = ?", patient.map(|patient| patient.0.clone()));
        conditions.seen(wards, "attempt.patient_id");
        let sql = format!(
            "{ATTEMPT} where (started_at_ms < $1 or (started_at_ms = $1 and id < $2)){} \
             order by started_at_ms desc, id desc limit $3",
            conditions.sql()
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(before_ms)
            .bind(before_id)
            .bind(page.fetch());
        let rows = conditions.bind(query).fetch_all(&self.pool).await?;
        let attempts = self.read_attempts(&rows).await?;
        Ok(page.cut(attempts, |row| {
            (vec![ms(row.attempt.started_at)], row.attempt.id.0.clone())
        }))
    }

    /// Live attempts of every engine, oldest first.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn live_attempts(&self) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = format!("{ATTEMPT} where state <> 'ended' order by started_at_ms, id");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_all(&self.pool)
            .await?;
        self.read_attempts(&rows).await
    }

    /// Live attempts that nobody drives: of a dead engine whose lease ran out, and every one of `restarted`,
    /// the engine that asks at its start (its earlier run is dead, whatever its leases say).
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn orphaned_attempts(
        &self,
        restarted: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let sql = format!(
            "{ATTEMPT} where state <> 'ended' and (leased_until_ms < $1 or engine = $2) order by started_at_ms, id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ms(now))
            .bind(restarted.unwrap_or_default())
            .fetch_all(&self.pool)
            .await?;
        self.read_attempts(&rows).await
    }

    /// The earlier attempts of a step, oldest first, as `plan::next_step` needs them.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn past_attempts_of_step(
        &self,
        step: &StepId,
    ) -> Result<Vec<PastAttempt>, StoreError> {
        let sql = format!(
            "select a.id, a.phone, a.started_at_ms, a.ended_at_ms, a.rang, a.disposition, a.early_media, a.asked_for_ms, \
             a.direction, {KEY} from attempt a {KEY_OF_ATTEMPT} where a.step_id = $1 order by a.started_at_ms, a.id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&step.0)
            .fetch_all(&self.pool)
            .await?;
        let mut connection = self.pool.acquire().await?;
        let mut attempts = Vec::new();
        for row in &rows {
            let seal = Seal::of_row(&mut connection, &self.keys, row, Class::Record).await?;
            let number = number_of(row, &seal)?;
            let past = read_past(row, number)?;
            let is_inbound = Columns(row).text("direction")? == "inbound";
            if !is_inbound || past.disposition.is_none_or(Disposition::concerns_the_step) {
                attempts.push(past);
            }
        }
        Ok(attempts)
    }

    /// The attempts to a number since `since`, whoever shares it: caps belong to the number.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn past_attempts_of_number(
        &self,
        phone: &PhoneNumber,
        since: Timestamp,
    ) -> Result<Vec<PastAttempt>, StoreError> {
        let rows = sqlx::query(
            "select started_at_ms, ended_at_ms, rang, disposition, early_media, asked_for_ms from attempt \
             where phone_index = $1 and started_at_ms >= $2 order by started_at_ms, id",
        )
        .bind(self.site().await?.index(Indexed::Phone, phone.expose()))
        .bind(ms(since))
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| read_past(row, Some(phone.clone())))
            .collect()
    }

    /// Whether a call to the number is live, by any step of anybody.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn live_on_number(&self, phone: &PhoneNumber) -> Result<bool, StoreError> {
        let index = self.site().await?.index(Indexed::Phone, phone.expose());
        let row = sqlx::query("select id from attempt where phone_index = $1 and state <> 'ended'")
            .bind(index)
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// How many ended attempts have each disposition, for metrics and the summary.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn attempts_by_disposition(&self) -> Result<Vec<(Disposition, u64)>, StoreError> {
        let rows = sqlx::query(
            "select disposition, count(*) as attempts from attempt where state = 'ended' \
             group by disposition order by disposition",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    Columns(row).word("disposition")?,
                    Columns(row).count("attempts")?,
                ))
            })
            .collect()
    }
}

impl Store {
    pub(super) async fn read_attempts(
        &self,
        rows: &[AnyRow],
    ) -> Result<Vec<AttemptRow>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        read_each(
            &mut connection,
            &self.keys,
            rows,
            Class::Record,
            read_attempt,
        )
        .await
    }
}

/// Locks the caller id's row, so that engines count one after the other.
async fn is_used_up(tx: &mut AnyConnection, new: &NewAttempt) -> Result<bool, StoreError> {
    let most = new.caller_most;
    if most == CallerMost::default() {
        return Ok(false);
    }
    sqlx::query(
        "insert into caller_id (caller, shown_at_ms) values ($1, $2) \
         on conflict (caller) do update set shown_at_ms = excluded.shown_at_ms",
    )
    .bind(&new.caller)
    .bind(ms(new.started_at))
    .execute(&mut *tx)
    .await?;
    let hour = new.started_at - SignedDuration::from_hours(1);
    let since = most.since.map_or(new.started_at, |(since, _)| since);
    let row = sqlx::query(
        "select (select count(*) from attempt where caller = $1 and started_at_ms > $2) as an_hour, \
         (select count(*) from attempt where caller = $1 and started_at_ms >= $3 and trunk = $4) as since",
    )
    .bind(&new.caller)
    .bind(ms(hour))
    .bind(ms(since))
    .bind(&new.trunk)
    .fetch_one(&mut *tx)
    .await?;
    let row = Columns(&row);
    let (an_hour, since): (u32, u32) = (row.count("an_hour")?, row.count("since")?);
    let is_full = |shown: u32, most: Option<u32>| most.is_some_and(|most| shown >= most);
    Ok(is_full(an_hour, most.an_hour) || is_full(since, most.since.map(|(_, most)| most)))
}

/// Where a sealed column of an attempt stands: it opens nowhere else.
pub(super) fn of_attempt(column: &str, attempt: &AttemptId) -> String {
    format!("{column}/{attempt}")
}

fn number_of(row: &AnyRow, seal: &Seal) -> Result<Option<PhoneNumber>, StoreError> {
    let row = Columns(row);
    let id = AttemptId(row.text("id")?);
    seal.open_phone_or_null(&row, "phone", &of_attempt("phone", &id))
}

fn read_past(row: &AnyRow, number: Option<PhoneNumber>) -> Result<PastAttempt, StoreError> {
    let row = Columns(row);
    let disposition: Option<Disposition> = row.word_or_null("disposition")?;
    Ok(PastAttempt {
        number,
        started_at: row.time("started_at_ms")?,
        ended_at: row.time_or_null("ended_at_ms")?,
        // A live attempt may have rung already: unknown counts as rung.
        rang: row.flag("rang")? || disposition.is_none(),
        disposition,
        early_media: row.text_or_null("early_media")?,
        asked_for: row.time_or_null("asked_for_ms")?,
    })
}

fn read_attempt(row: &AnyRow, seal: &Seal) -> Result<AttemptRow, StoreError> {
    let callee = number_of(row, seal)?;
    let row = Columns(row);
    let id = AttemptId(row.text("id")?);
    let dialog = seal.open_or_null(&row, "dialog", &of_attempt("dialog", &id))?;
    let ending = match row.word_or_null::<Disposition>("disposition")? {
        None => None,
        Some(disposition) => Some(Ending {
            disposition,
            sip_status: row.count_or_null("sip_status")?,
            q850_cause: row.count_or_null("q850_cause")?,
            early_media: row.text_or_null("early_media")?,
            answered_by: row.word_or_null("answered_by")?.unwrap_or_default(),
            met: row.json_or_null("met")?,
            rang: row.flag("rang")?,
            talk_ms: row.count("talk_ms")?,
        }),
    };
    let attempt = Attempt {
        id,
        step: row.text_or_null("step_id")?.map(StepId),
        number: row.count("number")?,
        callee,
        state: row.word("state")?,
        trunk: row.text("trunk")?,
        script: row.text("script")?,
        script_hash: row.text("script_hash")?,
        started_at: row.time("started_at_ms")?,
        answered_at: row.time_or_null("answered_at_ms")?,
        ended_at: row.time_or_null("ended_at_ms")?,
        ending,
        progress: Progress {
            identified: row.flag("identified")?,
            screened: row.flag("screened")?,
            closing_spoken: row.flag("closing_spoken")?,
        },
    };
    Ok(AttemptRow {
        attempt,
        inbound: row.text("direction")? == "inbound",
        episode: row.text_or_null("episode_id")?.map(EpisodeId),
        patient: row.text_or_null("patient_id")?.map(PatientId),
        engine: row.text("engine")?,
        leased_until: row.time("leased_until_ms")?,
        day: row.count("day")?,
        lang: row.word("lang")?,
        dialog,
        line: row.json_or_null("line")?,
    })
}
