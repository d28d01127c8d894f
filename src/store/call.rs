//! What a call leaves: turns and findings while it runs, and its end in one transaction.

use aftercall_core::attempt::{CallNote, CallRecord, Disposition, Turn};
use aftercall_core::audit::Judged;
use aftercall_core::finding::{Finding, PlacedFinding, Suppressed};
use aftercall_core::id::{AttemptId, ConceptId, EpisodeId, NodeId, PatientId};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::time::Timestamp;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

use super::attempt::AttemptRow;
use super::audit_item::put_audit;
use super::decision::{decide, decision_of};
use super::message::{NewMessage, write};
use super::outbox::post;
use super::row::{Columns, json, word};
use super::sealed::{KEY, KEY_OF_ATTEMPT, Seal};
use super::step::StepChange;
use super::suppression::suppress;
use super::work_order::{Raise, Raised, raise_or_join};
use super::{Store, StoreError, ms, patient};
use crate::vault::Class;

/// Everything that the end of a call changes, decided in core beforehand.
#[derive(Clone, Debug, PartialEq)]
pub struct Finish {
    pub attempt: AttemptId,
    pub at: Timestamp,
    pub record: CallRecord,
    /// How the step goes on; `None` for a call without a step.
    pub step: Option<StepChange>,
    /// The work order that the call raises or joins.
    pub raise: Option<Raise>,
    /// What is written to who was not reached.
    pub message: Option<NewMessage>,
    /// The number to suppress: the callee opted out.
    pub suppress: Option<PhoneNumber>,
    pub reported_death: bool,
    pub reported_readmission: bool,
    /// When the callee asked to be called again, where a time was understood.
    pub asked_for: Option<Timestamp>,
    /// What the audit sample makes of the call.
    pub audit: Option<Judged>,
}

/// What the end of a call became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub raised: Option<Raised>,
    /// The attempt had been closed as interrupted by another engine: findings and order are saved all the same,
    /// its disposition and its step stay as they were closed.
    pub late: bool,
}

/// One call as the API shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallDetail {
    pub row: AttemptRow,
    pub turns: Vec<Turn>,
    pub findings: Vec<PlacedFinding>,
    pub suppressed: Vec<Suppressed>,
    pub notes: Vec<CallNote>,
}

impl Store {
    /// Saves a turn; a turn that is known (its reply came, or the call's end repeats it) is replaced.
    ///
    /// # Errors
    /// When there is no such attempt.
    pub async fn append_turn(&self, attempt: &AttemptId, turn: &Turn) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &attempt.0).await?;
        put_turn(&mut tx, &seal, attempt, turn).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Saves a finding as soon as it is heard and raises or joins the work order with it, in one transaction.
    ///
    /// `position` counts the call's findings from 0, as `CallRecord::findings` will.
    ///
    /// # Errors
    /// When there is no such attempt.
    pub async fn record_finding(
        &self,
        attempt: &AttemptId,
        position: u32,
        finding: &PlacedFinding,
        raise: Option<&Raise>,
        now: Timestamp,
    ) -> Result<Option<Raised>, StoreError> {
        let mut tx = self.begin().await?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &attempt.0).await?;
        put_finding(&mut tx, &seal, attempt, position, finding).await?;
        let raised = match raise {
            Some(raise) => raise_or_join(&mut tx, &self.keys, raise, now).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(raised)
    }

    /// Ends an attempt: record, findings, work order, outbox, suppression and the step's next state, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the attempt has ended otherwise than by an interruption.
    pub async fn finish_attempt(&self, finish: &Finish) -> Result<Finished, StoreError> {
        let mut tx = self.begin().await?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &finish.attempt.0).await?;
        let ended = end(&mut tx, &seal, finish).await?;
        let (patient, episode, disposition) = owner(&mut tx, &finish.attempt).await?;
        if !ended && disposition != Some(Disposition::Interrupted) {
            let state = disposition
                .map(|disposition| disposition.to_string())
                .unwrap_or_default();
            return Err(StoreError::Conflict {
                what: "attempt",
                id: finish.attempt.0.clone(),
                state,
            });
        }
        for turn in &finish.record.turns {
            put_turn(&mut tx, &seal, &finish.attempt, turn).await?;
        }
        for (position, finding) in (0_u32..).zip(&finish.record.findings) {
            put_finding(&mut tx, &seal, &finish.attempt, position, finding).await?;
        }
        for (position, suppressed) in (0_i64..).zip(&finish.record.suppressed) {
            put_suppressed(&mut tx, &seal, &finish.attempt, position, suppressed).await?;
        }
        let raised = match &finish.raise {
            Some(raise) => raise_or_join(&mut tx, &self.keys, raise, finish.at).await?,
            None => None,
        };
        if let Some(judged) = &finish.audit {
            put_audit(&mut tx, finish, judged, raised.as_ref()).await?;
        }
        if let Some(phone) = &finish.suppress {
            suppress(&mut tx, &self.keys, phone, "opted_out", "call", finish.at).await?;
        }
        if let (true, Some(patient)) = (finish.reported_death, &patient) {
            patient::report_death(&mut tx, patient, finish.at).await?;
        }
        if let (true, Some(episode)) = (finish.reported_readmission, &episode) {
            patient::report_readmission(&mut tx, episode, finish.at).await?;
        }
        if ended {
            if let Some(change) = &finish.step {
                close_step(&mut tx, &finish.attempt, change, finish.at).await?;
            }
            if let Some(message) = &finish.message {
                write(&mut tx, &self.keys, message, finish.at).await?;
            }
            post(&mut tx, "call.finished", &finish.attempt.0, finish.at).await?;
        }
        tx.commit().await?;
        Ok(Finished {
            raised,
            late: !ended,
        })
    }

    /// One call with its turns, findings and suppressed findings.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such attempt.
    pub async fn call(&self, id: &AttemptId) -> Result<CallDetail, StoreError> {
        let row = self.attempt(id).await?;
        Ok(CallDetail {
            row,
            turns: self.turns(id).await?,
            findings: self.findings(id).await?,
            suppressed: self.suppressed(id).await?,
            notes: self.notes(id).await?,
        })
    }

    /// The turns of a call, in order.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn turns(&self, id: &AttemptId) -> Result<Vec<Turn>, StoreError> {
        let (rows, seal) = self
            .told(
                id,
                "t.position, t.node, t.prompt, t.kind, t.asks, t.respondent, t.prompt_from_ms, t.prompt_to_ms, t.reply",
                "turn",
            )
            .await?;
        rows.iter().map(|row| read_turn(row, id, &seal)).collect()
    }

    /// The findings of a call, in the order heard.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn findings(&self, id: &AttemptId) -> Result<Vec<PlacedFinding>, StoreError> {
        let (rows, seal) = self
            .told(
                id,
                "t.position, t.turn, t.node, t.concept, t.detail, t.polarity, t.urgency, t.confirmation, t.from_ms, \
                 t.to_ms, t.evidence, t.happens, t.subject, t.denied",
                "finding",
            )
            .await?;
        rows.iter()
            .map(|row| read_finding(row, id, &seal))
            .collect()
    }

    /// Rows of a call in a table, by position, with what opens them.
    async fn told(
        &self,
        id: &AttemptId,
        columns: &str,
        table: &str,
    ) -> Result<(Vec<AnyRow>, Seal), StoreError> {
        let sql = format!(
            "select {columns}, {KEY} from {table} t join attempt a on a.id = t.attempt_id {KEY_OF_ATTEMPT} \
             where t.attempt_id = $1 order by t.position"
        );
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_all(&mut *connection)
            .await?;
        let seal = Seal::of_rows(&mut connection, &self.keys, &rows, Class::Record).await?;
        Ok((rows, seal))
    }

    /// Keeps what must outlive a crash of the call; the end of the call writes all its notes anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such attempt.
    pub async fn note(&self, id: &AttemptId, note: &CallNote) -> Result<(), StoreError> {
        let mut notes = self.notes(id).await?;
        if notes.contains(note) {
            return Ok(());
        }
        notes.push(note.clone());
        let mut tx = self.begin().await?;
        let seal = Seal::of_attempt(&mut tx, &self.keys, &id.0).await?;
        sqlx::query("update attempt set notes = $2 where id = $1 and state <> 'ended'")
            .bind(&id.0)
            .bind(seal.json(&notes_of(id), &notes)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// What the conversation noted for a human; while the call runs, what was kept of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such attempt.
    pub async fn notes(&self, id: &AttemptId) -> Result<Vec<CallNote>, StoreError> {
        let sql = format!("select a.notes, {KEY} from attempt a {KEY_OF_ATTEMPT} where a.id = $1");
        let mut connection = self.pool.acquire().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(&id.0)
            .fetch_all(&mut *connection)
            .await?;
        let Some(row) = rows.first() else {
            return Err(StoreError::NotFound {
                what: "attempt",
                id: id.0.clone(),
            });
        };
        let seal = Seal::of_rows(&mut connection, &self.keys, &rows, Class::Record).await?;
        seal.open_json(&Columns(row), "notes", &notes_of(id))
    }

    /// What was matched and then suppressed, for the audit sample.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn suppressed(&self, id: &AttemptId) -> Result<Vec<Suppressed>, StoreError> {
        let columns = "t.position, t.concept, t.why, t.evidence";
        let (rows, seal) = self.told(id, columns, "suppressed").await?;
        rows.iter()
            .map(|row| {
                let row = Columns(row);
                Ok(Suppressed {
                    concept: ConceptId(row.text("concept")?),
                    why: row.text("why")?,
                    evidence: seal.open_json(
                        &row,
                        "evidence",
                        &place("suppressed", id, row.int("position")?),
                    )?,
                })
            })
            .collect()
    }
}

/// Where a sealed column stands: it opens nowhere else.
pub(super) fn place(column: &str, attempt: &AttemptId, position: i64) -> String {
    format!("{column}/{attempt}/{position}")
}

fn notes_of(attempt: &AttemptId) -> String {
    format!("notes/{attempt}")
}

/// The guarded end; false when the attempt had ended before.
async fn end(
    connection: &mut AnyConnection,
    seal: &Seal,
    finish: &Finish,
) -> Result<bool, StoreError> {
    let ending = &finish.record.ending;
    let done = sqlx::query(
        "update attempt set state = 'ended', ended_at_ms = $2, disposition = $3, sip_status = $4, q850_cause = $5, \
         early_media = $6, answered_by = $7, rang = case when $8 = 1 and direction = 'outbound' then 1 else rang end, talk_ms = $9, \
         identified = case when $10 = 1 then 1 else identified end, \
         screened = case when $11 = 1 then 1 else screened end, \
         closing_spoken = case when $12 = 1 then 1 else closing_spoken end, asked_for_ms = $13, notes = $14, line = $15, \
         met = $16, dialog = null \
         where id = $1 and state <> 'ended'",
    )
    .bind(&finish.attempt.0)
    .bind(ms(finish.at))
    .bind(word(&ending.disposition))
    .bind(ending.sip_status.map(i64::from))
    .bind(ending.q850_cause.map(i64::from))
    .bind(ending.early_media.clone())
    .bind(word(&ending.answered_by))
    .bind(i64::from(ending.rang))
    .bind(i64::try_from(ending.talk_ms).unwrap_or(i64::MAX))
    .bind(i64::from(finish.record.progress.identified))
    .bind(i64::from(finish.record.progress.screened))
    .bind(i64::from(finish.record.progress.closing_spoken))
    .bind(finish.asked_for.map(ms))
    .bind(seal.json(&notes_of(&finish.attempt), &finish.record.notes)?)
    .bind(finish.record.line.as_ref().map(json))
    .bind(ending.met.as_ref().map(json))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Whose attempt it is, and how it has ended.
async fn owner(
    connection: &mut AnyConnection,
    id: &AttemptId,
) -> Result<(Option<PatientId>, Option<EpisodeId>, Option<Disposition>), StoreError> {
    let row = sqlx::query("select patient_id, episode_id, disposition from attempt where id = $1")
        .bind(&id.0)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else {
        return Err(StoreError::NotFound {
            what: "attempt",
            id: id.0.clone(),
        });
    };
    let row = Columns(&row);
    Ok((
        row.text_or_null("patient_id")?.map(PatientId),
        row.text_or_null("episode_id")?.map(EpisodeId),
        row.word_or_null("disposition")?,
    ))
}

async fn close_step(
    connection: &mut AnyConnection,
    attempt: &AttemptId,
    change: &StepChange,
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "update step set state = $2, next_at_ms = $3, reason = $4, leased_by = null, leased_until_ms = null, \
         urgent = case when $5 > 0 then $5 else (select high_risk from episode where id = step.episode_id) end \
         where id = (select step_id from attempt where id = $1) and state = 'calling'",
    )
    .bind(&attempt.0)
    .bind(word(&change.state))
    .bind(ms(change.next_at))
    .bind(change.reason())
    .bind(change.rank())
    .execute(&mut *connection)
    .await?;
    let Some(decision) = decision_of(change, now).filter(|_| done.rows_affected() == 1) else {
        return Ok(());
    };
    let row = sqlx::query("select step_id from attempt where id = $1")
        .bind(&attempt.0)
        .fetch_one(&mut *connection)
        .await?;
    decide(connection, &Columns(&row).text("step_id")?, &decision).await
}

async fn put_turn(
    connection: &mut AnyConnection,
    seal: &Seal,
    attempt: &AttemptId,
    turn: &Turn,
) -> Result<(), StoreError> {
    let place = |column| place(column, attempt, turn.index.into());
    let reply = turn.reply.as_ref();
    let unheard = reply.map(|reply| reply.meaning.as_str());
    let unheard = unheard.filter(|meaning| ["silence", "unclear"].contains(meaning));
    let reply = reply.map(|reply| seal.json(&place("reply"), reply));
    sqlx::query(
        "insert into turn (attempt_id, position, node, prompt, kind, asks, respondent, prompt_from_ms, prompt_to_ms, \
         reply, unheard) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         on conflict (attempt_id, position) do update set node = excluded.node, prompt = excluded.prompt, \
         kind = excluded.kind, asks = excluded.asks, respondent = excluded.respondent, \
         prompt_from_ms = excluded.prompt_from_ms, prompt_to_ms = excluded.prompt_to_ms, reply = excluded.reply, \
         unheard = excluded.unheard",
    )
    .bind(&attempt.0)
    .bind(i64::from(turn.index))
    .bind(&turn.node.0)
    .bind(seal.text(&place("prompt"), turn.prompt.expose())?)
    .bind(turn.kind.as_ref().map(word))
    .bind(json(&turn.asks))
    .bind(word(&turn.respondent))
    .bind(at_ms(turn.prompt_from_ms))
    .bind(at_ms(turn.prompt_to_ms))
    .bind(reply.transpose()?)
    .bind(unheard)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put_finding(
    connection: &mut AnyConnection,
    seal: &Seal,
    attempt: &AttemptId,
    position: u32,
    placed: &PlacedFinding,
) -> Result<(), StoreError> {
    let finding = &placed.finding;
    let place = |column| place(column, attempt, position.into());
    let denied = placed.denied.as_ref();
    let denied = denied.map(|denied| seal.json(&place("denied"), denied));
    sqlx::query(
        "insert into finding (attempt_id, position, turn, node, concept, detail, polarity, urgency, confirmation, \
         from_ms, to_ms, evidence, happens, subject, denied) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         on conflict (attempt_id, position) do update set polarity = excluded.polarity, urgency = excluded.urgency, \
         confirmation = excluded.confirmation, from_ms = excluded.from_ms, to_ms = excluded.to_ms, \
         evidence = excluded.evidence, turn = excluded.turn, node = excluded.node, concept = excluded.concept, \
         detail = excluded.detail, happens = excluded.happens, subject = excluded.subject, denied = excluded.denied",
    )
    .bind(&attempt.0)
    .bind(i64::from(position))
    .bind(i64::from(placed.turn))
    .bind(&placed.node.0)
    .bind(&finding.concept.0)
    .bind(finding.detail.clone())
    .bind(word(&finding.polarity))
    .bind(word(&finding.urgency))
    .bind(word(&finding.confirmation))
    .bind(at_ms(placed.from_ms))
    .bind(at_ms(placed.to_ms))
    .bind(seal.json(&place("evidence"), &finding.evidence)?)
    .bind(word(&finding.when))
    .bind(word(&finding.subject))
    .bind(denied.transpose()?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_suppressed(
    connection: &mut AnyConnection,
    seal: &Seal,
    attempt: &AttemptId,
    position: i64,
    suppressed: &Suppressed,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into suppressed (attempt_id, position, concept, why, evidence) values ($1, $2, $3, $4, $5) \
         on conflict (attempt_id, position) do nothing",
    )
    .bind(&attempt.0)
    .bind(position)
    .bind(&suppressed.concept.0)
    .bind(&suppressed.why)
    .bind(seal.json(&place("suppressed", attempt, position), &suppressed.evidence)?)
    .execute(connection)
    .await?;
    Ok(())
}

fn at_ms(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn read_turn(row: &AnyRow, attempt: &AttemptId, seal: &Seal) -> Result<Turn, StoreError> {
    let row = Columns(row);
    let index = row.int("position")?;
    let place = |column| place(column, attempt, index);
    Ok(Turn {
        index: row.count("position")?,
        node: NodeId(row.text("node")?),
        prompt: Phi::new(seal.open(&row, "prompt", &place("prompt"))?),
        kind: row.word_or_null("kind")?,
        asks: row.json("asks")?,
        respondent: row.word("respondent")?,
        prompt_from_ms: row.count("prompt_from_ms")?,
        prompt_to_ms: row.count("prompt_to_ms")?,
        reply: seal.open_json_or_null(&row, "reply", &place("reply"))?,
    })
}

fn read_finding(
    row: &AnyRow,
    attempt: &AttemptId,
    seal: &Seal,
) -> Result<PlacedFinding, StoreError> {
    let row = Columns(row);
    let position = row.int("position")?;
    let place = |column| place(column, attempt, position);
    Ok(PlacedFinding {
        finding: Finding {
            concept: ConceptId(row.text("concept")?),
            detail: row.text_or_null("detail")?,
            polarity: row.word("polarity")?,
            urgency: row.word("urgency")?,
            confirmation: row.word("confirmation")?,
            when: row.word("happens")?,
            subject: row.word("subject")?,
            evidence: seal.open_json(&row, "evidence", &place("evidence"))?,
        },
        turn: row.count("turn")?,
        node: NodeId(row.text("node")?),
        from_ms: row.count("from_ms")?,
        to_ms: row.count("to_ms")?,
        denied: seal.open_json_or_null(&row, "denied", &place("denied"))?,
    })
}
