//! What `dial`, `record` and `recover` share: load what a decision looks at, and say it as a step's change.

use std::sync::Arc;

use aftercall_core::attempt::{CallNote, CallRecord, Disposition};
use aftercall_core::audit;
use aftercall_core::finding::PlacedFinding;
use aftercall_core::id::{AttemptId, WorkOrderId};
use aftercall_core::patient::{ConsentBasis, Episode, EpisodeState, Life, Patient};
use aftercall_core::plan::learn::{AgeBand, HourOfWeek, Reach, better_hour};
use aftercall_core::plan::message::{MessageKind, Unreachable};
use aftercall_core::plan::{
    self, CallingPolicy, NextStep, NumberFacts, PastAttempt, PlanInput, Reason, SetHours, Standing,
    Step, StepState, Wishes,
};
use aftercall_core::rota::Rota;
use aftercall_core::script::{Earlier, EarlierCall};
use aftercall_core::time::{self, Timestamp};
use aftercall_core::trend::PastCall;
use aftercall_core::work_order::{
    Act, Cause, LETTER, Subject, cause_of_step, causes_of, causes_of_packs, causes_of_trends,
    has_talked,
};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tracing::warn;

use super::Rules;
use crate::store::attempt::AttemptRow;
use crate::store::call::{Finish, Finished};
use crate::store::message::NewMessage;
use crate::store::step::StepChange;
use crate::store::work_order::Raise;
use crate::store::{Store, StoreError};

/// How far back attempts on a number count: a law's cap looks a week back.
const NUMBER_HISTORY: SignedDuration = SignedDuration::from_hours(24 * 8);

/// Who has just rung us in vain is not rung in the same minute.
const AFTER_RING_BACK_MINUTES: u32 = 30;

/// Everything a decision about a step looks at.
pub(crate) struct Loaded {
    pub step: Step,
    pub patient: Patient,
    pub episode: Episode,
    attempts: Vec<PastAttempt>,
    numbers: Vec<NumberFacts>,
    wishes: Option<Wishes>,
    closed: Vec<HourOfWeek>,
    set_hours: Vec<SetHours>,
    standing: Standing,
    rota: Option<Arc<Rota>>,
}

impl Loaded {
    pub(crate) async fn of(store: &Store, step: Step, now: Timestamp) -> Result<Self, StoreError> {
        let patient = store.patient(&step.patient).await?;
        let episode = store.episode(&step.episode).await?;
        let attempts = store.past_attempts_of_step(&step.id).await?;
        let since = now.saturating_sub(NUMBER_HISTORY).unwrap_or(Timestamp::MIN);
        let contacts = patient.contacts.iter();
        let contacts = contacts.filter_map(|contact| contact.phone.as_ref());
        let mut numbers: Vec<NumberFacts> = Vec::new();
        for number in patient.phone.iter().chain(contacts) {
            if numbers.iter().all(|known| known.number != *number) {
                numbers.push(NumberFacts {
                    number: number.clone(),
                    attempts: store.past_attempts_of_number(number, since).await?,
                    suppressed: store.suppressed_number(number).await?.is_some(),
                });
            }
        }
        let wishes = store.wishes(&patient.id).await?;
        // Hours that no longer read as any are nobody's wish.
        let wishes = wishes.and_then(|windows| Wishes::new(&windows).ok());
        let closed = store.closed_hours().await?;
        let standing = store.standing(&episode.id).await?;
        Ok(Self {
            step,
            patient,
            episode,
            attempts,
            numbers,
            wishes,
            closed: closed.into_iter().map(|closed| closed.hour).collect(),
            set_hours: store.set_hours().await?,
            standing,
            rota: store.rota().await?,
        })
    }

    pub(crate) fn decide(&self, policy: &CallingPolicy, now: Timestamp) -> NextStep {
        let input = PlanInput {
            step: &self.step,
            patient: &self.patient,
            episode: &self.episode,
            attempts: &self.attempts,
            numbers: &self.numbers,
            wishes: self.wishes.as_ref(),
            closed: &self.closed,
            standing: self.standing,
            rota: self.rota.as_deref(),
            policy: &policy.with_hours(&self.set_hours),
        };
        plan::next_step(&input, now)
    }

    /// When the step is tried that an outage held up; `None`: now. A patient at high risk is never held up longer.
    pub(super) fn after_outage(&self, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
        if self.episode.high_risk || !self.attempts.is_empty() {
            return None;
        }
        let known = self.standing.enrolled_at.unwrap_or(Timestamp::MIN);
        let until = plan::after_outage(&self.step.id, self.step.next_at.max(known), now)?;
        // Not where it would lose the patient the hour.
        matches!(self.decide(&rules.policy, until), NextStep::DialNow(_)).then_some(until)
    }

    /// A later hour of the day at which people of this age answer more often; `None`: now. Nobody waits who is at high
    /// risk, talked with us today or named an hour, and nobody where the plan allows no call then.
    pub(super) fn better_hour(
        &self,
        rules: &Rules,
        reach: &Reach,
        now: Timestamp,
    ) -> Option<NextStep> {
        let last = self.attempts.last().and_then(|last| last.disposition);
        if self.episode.high_risk || !last.is_none_or(plan::is_vain) {
            return None;
        }
        let zone = time::zone(&self.patient.zone)?;
        let today = zone.to_datetime(now).date();
        let band = AgeBand::of(*self.patient.birth_date.expose(), today);
        let better = better_hour(reach, band, &zone, now)?;
        let until = plan::within_the_hour(&self.step.id, better.begins);
        let may_be_rung = matches!(self.decide(&rules.policy, until), NextStep::DialNow(_));
        let percent = |share: f64| (share * 100.0).round() as u8;
        may_be_rung.then(|| NextStep::Wait {
            until,
            why: Reason::BetterHour {
                local: zone.to_datetime(better.begins),
                now: percent(better.now),
                then: percent(better.then),
            },
        })
    }

    /// Whether the step was called before.
    pub(super) fn was_tried(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// What goes in writing after this answer of the plan: to who was not reached a letter, which is a person's task, or a
    /// form; and once, to who was called in vain, who rang.
    pub(super) fn in_writing(
        &self,
        rules: &Rules,
        next: &NextStep,
        now: Timestamp,
    ) -> (Option<Cause>, Option<NewMessage>) {
        let messages = &rules.messages;
        let vain = self.attempts.iter().filter(|past| was_in_vain(past));
        let many = u32::try_from(vain.count()).unwrap_or(u32::MAX);
        let is_last_vain = self.attempts.last().is_some_and(was_in_vain);
        let message = |kind| Some(self.message(rules, kind, now));
        match (next, messages.unreachable) {
            (NextStep::Finished(StepState::Unreached, _), Unreachable::Nothing) => (None, None),
            (NextStep::Finished(StepState::Unreached, _), Unreachable::Form)
                if messages.channel.is_some() =>
            {
                (None, message(MessageKind::Form))
            }
            (NextStep::Finished(StepState::Unreached, _), _) => {
                let task = LETTER.to_owned();
                (Some(Cause::Task { task }), None)
            }
            (NextStep::Wait { .. }, _) if is_last_vain && many == messages.missed_after => (
                None,
                messages
                    .channel
                    .as_ref()
                    .and_then(|_| message(MessageKind::MissedCall)),
            ),
            (NextStep::Wait { .. } | NextStep::DialNow(_) | NextStep::Finished(..), _) => {
                (None, None)
            }
        }
    }

    /// To the patient where her own telephone rang, else to who was rung last.
    fn message(&self, rules: &Rules, kind: MessageKind, now: Timestamp) -> NewMessage {
        let rung = || self.attempts.iter().filter_map(|past| past.number.clone());
        let own = rung().find(|number| Some(number) == self.patient.phone.as_ref());
        let phone = own.or(rung().next_back());
        let zone = time::zone(&self.patient.zone).unwrap_or(TimeZone::UTC);
        let send_at = rules.policy.may_write_at(phone.as_ref(), &zone, now);
        NewMessage {
            id: format!("{}.{kind}", self.step.id),
            patient: self.patient.id.clone(),
            episode: self.episode.id.clone(),
            step: self.step.id.clone(),
            kind,
            template: kind.to_string(),
            phone,
            announces: None,
            send_at: send_at.unwrap_or(now),
        }
    }

    /// Whether the stay was known before the step's days were over.
    pub(super) fn is_in_time(&self) -> bool {
        let known = self.standing.enrolled_at;
        known.is_none_or(|at| at.to_zoned(TimeZone::UTC).date() < self.step.lapses_on)
    }

    /// Sees the attempt that ends now as ended, and what it reported as known, before the rows say so.
    fn end(
        &mut self,
        row: &AttemptRow,
        record: &CallRecord,
        asked_for: Option<Timestamp>,
        now: Timestamp,
    ) {
        let ended = PastAttempt {
            number: row.attempt.callee.clone(),
            started_at: row.attempt.started_at,
            ended_at: Some(now),
            rang: record.ending.rang,
            disposition: Some(record.ending.disposition),
            early_media: record.ending.early_media.clone(),
            asked_for,
        };
        let started = row.attempt.started_at.as_millisecond();
        let is_it = |past: &PastAttempt| {
            past.disposition.is_none()
                && past.number == ended.number
                && past.started_at.as_millisecond() == started
        };
        if row.inbound && !record.ending.disposition.concerns_the_step() {
            self.attempts.retain(|past| !is_it(past));
        }
        let on_numbers = self.numbers.iter_mut().map(|known| &mut known.attempts);
        for list in std::iter::once(&mut self.attempts).chain(on_numbers) {
            if let Some(live) = list.iter_mut().find(|past| is_it(past)) {
                *live = ended.clone();
            }
        }
        if reports(record, &CallNote::ReportedDeath, Disposition::ReportedDeath)
            && self.patient.life == Life::Alive
        {
            self.patient.life = Life::ReportedDead;
        }
        if reports(
            record,
            &CallNote::ReportedReadmission,
            Disposition::ReportedReadmission,
        ) && self.episode.state == EpisodeState::Discharged
        {
            self.episode.state = EpisodeState::ReportedReadmitted;
        }
    }
}

/// It rang, and nobody spoke.
fn was_in_vain(past: &PastAttempt) -> bool {
    let disposition = past.disposition;
    past.rang
        && matches!(
            disposition,
            Some(
                Disposition::NoAnswer
                    | Disposition::Busy
                    | Disposition::Machine
                    | Disposition::Declined
                    | Disposition::Unreachable
            )
        )
}

/// What the calls of the step have answered today, for one that begins with the script of this hash.
pub(super) async fn earlier(
    store: &Store,
    (step, patient): (&Step, &Patient),
    script_hash: &str,
    now: Timestamp,
) -> Result<Option<Earlier>, StoreError> {
    let Some(zone) = time::zone(&patient.zone) else {
        return Ok(None);
    };
    let calls = store.earlier_calls(&step.id).await?;
    let calls: Vec<EarlierCall> = calls.into_iter().map(|(_, call)| call).collect();
    Ok(Earlier::of(&calls, script_hash, &zone, now))
}

/// Ends an attempt by its record: what it means for step, work order, suppression and record, in one transaction.
pub(super) async fn finish(
    store: &Store,
    rules: &Rules,
    id: &AttemptId,
    record: CallRecord,
    now: Timestamp,
) -> Result<Finished, StoreError> {
    let row = store.attempt(id).await?;
    let subject = subject(store, &row).await?;
    let halves = if record.notes.contains(&CallNote::WentOn) {
        halves(store, &row).await?
    } else {
        Vec::new()
    };
    let mut causes = causes_of(&record, &subject);
    causes.extend(what_is_worse(store, rules, &row, &record, &halves, &subject).await?);
    causes.extend(what_the_whole_raises(
        rules,
        &row,
        &record.findings,
        &halves,
        &causes,
    ));
    let mut step = None;
    let mut asked_for = None;
    let mut message = None;
    if let Some(step_id) = &row.attempt.step {
        let mut loaded = Loaded::of(store, store.step(step_id).await?, now).await?;
        asked_for = hour_asked_for_in(&record, &loaded.patient, now);
        loaded.end(&row, &record, asked_for, now);
        let mut next = loaded.decide(&rules.policy, now);
        if row.inbound && matches!(next, NextStep::DialNow(_)) {
            let rest = SignedDuration::from_mins(AFTER_RING_BACK_MINUTES.into());
            next = NextStep::Wait {
                until: now.saturating_add(rest).unwrap_or(Timestamp::MAX),
                why: Reason::Again {
                    after: record.ending.disposition,
                    minutes: AFTER_RING_BACK_MINUTES,
                },
            };
        }
        if let NextStep::Finished(state, reason) = &next
            && let Some(cause) = cause_of_step(*state, reason, loaded.is_in_time())
            && !causes.contains(&cause)
        {
            causes.push(cause);
        }
        let (letter, written) = loaded.in_writing(rules, &next, now);
        causes.extend(letter);
        message = written;
        step = Some(change(&next, now));
    }
    let opted_out = reports(&record, &CallNote::OptedOut, Disposition::OptedOut);
    let identified = record.progress.identified;
    let talked = has_talked(&record);
    let finish = Finish {
        attempt: id.clone(),
        at: now,
        step,
        raise: raise(rules, subject, causes),
        message,
        suppress: row.attempt.callee.clone().filter(|_| opted_out),
        reported_death: reports(
            &record,
            &CallNote::ReportedDeath,
            Disposition::ReportedDeath,
        ),
        reported_readmission: reports(
            &record,
            &CallNote::ReportedReadmission,
            Disposition::ReportedReadmission,
        ),
        asked_for,
        audit: audit::draw(&rules.sampling, id, &record),
        record,
    };
    let finished = store.finish_attempt(&finish).await?;
    if talked && let Some(raised) = &finished.raised {
        note_talk(store, rules, &raised.id, now).await;
    }
    if opted_out && identified {
        withdraw_consent(store, &row, now).await?;
    }
    Ok(finished)
}

/// A call that broke off, and its name.
pub(super) type Half = (AttemptId, EarlierCall);

/// The calls of the day that one went on from: with it they are one call to whoever judges what was told.
pub(super) async fn halves(store: &Store, row: &AttemptRow) -> Result<Vec<Half>, StoreError> {
    let Some(step) = &row.attempt.step else {
        return Ok(Vec::new());
    };
    let patient = store.patient(&store.step(step).await?.patient).await?;
    let zone = time::zone(&patient.zone).unwrap_or(TimeZone::UTC);
    let day = |at: Timestamp| zone.to_datetime(at).date();
    let today = day(row.attempt.started_at);
    let mut calls = store.earlier_calls(step).await?;
    calls.retain(|(id, call)| *id != row.attempt.id && day(call.started_at) == today);
    Ok(calls)
}

/// The robot's promise was kept on the call itself. Where that cannot be written down, a person is asked for once more.
async fn note_talk(store: &Store, rules: &Rules, order: &WorkOrderId, now: Timestamp) {
    let (act, note) = (Act::Speak, "connected by the robot");
    let spoken = store.act_on_work_order(order, &act, "on_call", note, &rules.deadlines, now);
    if let Err(error) = spoken.await {
        warn!(order.id = %order, %error, "a talk is not in the order's record");
    }
}

/// What is worse than on the calls before, by the answers of this one. Who was not identified answered nothing.
async fn what_is_worse(
    store: &Store,
    rules: &Rules,
    row: &AttemptRow,
    record: &CallRecord,
    halves: &[Half],
    subject: &Subject,
) -> Result<Vec<Cause>, StoreError> {
    let (Some(episode), true) = (&row.episode, record.progress.identified) else {
        return Ok(Vec::new());
    };
    let episode = store.episode(episode).await?;
    let trends = &rules.clinic.trends;
    let mut history = store.history(&episode, Some(&row.attempt.id)).await?;
    // What the first half told is known by its own order.
    let told = match halves {
        [] => Vec::new(),
        [..] => causes_of_trends(trends, &history, subject),
    };
    let is_half = |call: &PastCall| {
        let mut halves = halves.iter();
        halves.any(|(_, half)| half.started_at == call.at)
    };
    history.calls.retain(|call| !is_half(call));
    let mut present = PastCall {
        day: row.day,
        at: row.attempt.started_at,
        turns: Vec::new(),
        findings: Vec::new(),
    };
    for (_, half) in halves {
        present.turns.extend(half.turns.iter().cloned());
        present.findings.extend(half.findings.iter().cloned());
    }
    present.turns.extend(record.turns.iter().cloned());
    present.findings.extend(record.findings.iter().cloned());
    history.calls.push(present);
    let mut worse = causes_of_trends(trends, &history, subject);
    worse.retain(|cause| !told.iter().any(|known| is_same_trend(known, cause)));
    Ok(worse)
}

fn is_same_trend(known: &Cause, cause: &Cause) -> bool {
    let (Cause::Trend { trend: known, .. }, Cause::Trend { trend, .. }) = (known, cause) else {
        return false;
    };
    (&known.line, &known.rule, known.urgency) == (&trend.line, &trend.rule, trend.urgency)
}

/// What the packs make of everything that the call and its first half told together.
pub(super) fn what_the_whole_raises(
    rules: &Rules,
    row: &AttemptRow,
    own: &[PlacedFinding],
    halves: &[Half],
    worse: &[Cause],
) -> Vec<Cause> {
    let mut findings = own.to_vec();
    for (_, half) in halves {
        findings.extend(half.findings.iter().cloned());
    }
    let mut causes = what_packs_raise(rules, row, &findings, worse);
    for cause in &mut causes {
        // A finding is played from the recording of the call that it was told on.
        if let Cause::Finding { finding, attempt } = cause
            && !own.contains(finding)
            && let Some((half, _)) = halves
                .iter()
                .find(|(_, half)| half.findings.contains(finding))
        {
            *attempt = Some(half.clone());
        }
    }
    causes
}

/// What the packs of the call's script make of its findings.
fn what_packs_raise(
    rules: &Rules,
    row: &AttemptRow,
    findings: &[PlacedFinding],
    worse: &[Cause],
) -> Vec<Cause> {
    let clinic = &rules.clinic;
    let holds = clinic.packs.get(&row.attempt.script);
    causes_of_packs(
        clinic.lexicon.packs(),
        holds.map_or(&[], Vec::as_slice),
        findings,
        worse,
        Some(&row.attempt.id),
    )
}

/// The number is suppressed already; the patient's own word also ends the consent, whatever number comes later.
async fn withdraw_consent(
    store: &Store,
    row: &AttemptRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(patient) = &row.patient else {
        return Ok(());
    };
    let mut consent = store.patient(patient).await?.consent;
    consent.basis = ConsentBasis::Withdrawn;
    store.set_consent(patient, &consent, "call", now).await
}

/// The hour said, where one was understood.
fn hour_asked_for_in(record: &CallRecord, patient: &Patient, now: Timestamp) -> Option<Timestamp> {
    let zone = time::zone(&patient.zone)?;
    record.notes.iter().find_map(|note| match note {
        CallNote::CallBackAt { words } => {
            plan::hour_asked_for(words.expose(), patient.lang, &zone, now)
        }
        CallNote::NotAssessed { .. }
        | CallNote::WentOn
        | CallNote::IdentityFailed
        | CallNote::AskedForPerson
        | CallNote::Connected { .. }
        | CallNote::TakenOver { .. }
        | CallNote::OptedOut
        | CallNote::ReportedDeath
        | CallNote::ReportedReadmission
        | CallNote::WrongParty
        | CallNote::EmergencyAdviceGiven { .. } => None,
    })
}

fn reports(record: &CallRecord, note: &CallNote, disposition: Disposition) -> bool {
    record.notes.contains(note) || record.ending.disposition == disposition
}

/// Whom a work order of this attempt is for.
pub(super) async fn subject(store: &Store, row: &AttemptRow) -> Result<Subject, StoreError> {
    let high_risk = match &row.episode {
        Some(episode) => store.episode(episode).await?.high_risk,
        None => false,
    };
    Ok(Subject {
        patient: row.patient.clone(),
        episode: row.episode.clone(),
        attempt: Some(row.attempt.id.clone()),
        high_risk,
    })
}

pub(super) fn raise(rules: &Rules, subject: Subject, causes: Vec<Cause>) -> Option<Raise> {
    (!causes.is_empty()).then(|| Raise {
        subject,
        causes,
        deadlines: rules.deadlines.clone(),
    })
}

/// A decision as the row says it.
pub(super) fn change(next: &NextStep, now: Timestamp) -> StepChange {
    let (state, next_at, why) = match next {
        NextStep::DialNow(_) => (StepState::Planned, now, None),
        NextStep::Wait { until, why } => (StepState::Planned, *until, Some(why.clone())),
        NextStep::Finished(state, why) => (*state, now, Some(why.clone())),
    };
    StepChange {
        state,
        next_at,
        why,
    }
}
