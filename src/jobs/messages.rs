//! Messages to patients: announces calls, and puts together what leaves for the program that sends them. What is written, and
//! when, is `core::plan::message`'s.
//!
//! A message goes to nobody whom the plan would not ring: it is looked at when it is written, and once more as it leaves.

use std::time::Duration;

use aftercall_core::patient::{EpisodeState, Life, Patient};
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::message::{Announce, MessageKind, Sender, Unreachable, announce, words};
use aftercall_core::plan::{NextStep, Step};
use aftercall_core::time::{self, Timestamp};
use aftercall_core::work_order::{Cause, Deadlines, LETTER, Subject};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde_json::json;
use tokio::sync::watch;
use tracing::{error, info};

use super::settle::Loaded;
use super::{Rules, RulesNow, next_round};
use crate::config::Config;
use crate::store::message::{Delivery, MessageState, NewMessage, PatientMessage};
use crate::store::outbox::OutboxEvent;
use crate::store::work_order::Raise;
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_secs(20);
const AT_ONCE: u32 = 200;
/// A call of which it is not known when it may come is looked at again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_mins(30);

/// How a hospital writes to its patients.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    /// `None`: it does not.
    pub channel: Option<String>,
    /// Hours before a call.
    pub leads: Vec<u32>,
    /// Calls in vain; 0: never.
    pub missed_after: u32,
    pub unreachable: Unreachable,
    /// What callees see of the trunk.
    pub callers: Vec<String>,
    pub callback: String,
}

impl Messages {
    pub fn of(config: &Config) -> Self {
        let messages = &config.messages;
        Self {
            channel: Some(messages.channel.clone()).filter(|name| !name.is_empty()),
            leads: messages.prewarm_hours.clone(),
            missed_after: messages.missed_after,
            unreachable: messages.unreachable,
            callers: Vec::new(),
            callback: config.hospital.callback_number.clone(),
        }
    }
}

/// Announces calls, until shutdown.
pub async fn run(store: Store, rules: RulesNow, mut shutdown: watch::Receiver<bool>) {
    while next_round(ROUND, &mut shutdown).await {
        if let Err(error) = store.answered(once(&store, &rules.get())).await {
            error!(%error, "calls are not announced: the database did not answer");
        }
    }
}

/// One round; returns how many calls were announced.
///
/// # Errors
/// When the database refuses.
pub async fn once(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let messages = &rules.messages;
    let (Some(_), Some(longest)) = (&messages.channel, messages.leads.iter().max()) else {
        return Ok(0);
    };
    let mut announced = 0;
    loop {
        let now = rules.clock.now();
        let before = now + SignedDuration::from_hours((*longest).into());
        let steps = store.steps_to_announce(now, before, AT_ONCE).await?;
        let is_last = steps.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
        for step in steps {
            let id = step.id.clone();
            match look(store, rules, step, now).await {
                Ok(written) => announced += u32::from(written),
                Err(error @ StoreError::Database(_)) => return Err(error),
                // One broken row must not stop the others.
                Err(error) => {
                    error!(step.id = %id, %error, "it is not seen whether a call is announced");
                    store.announce(&id, None, now + LOOK_AGAIN, now).await?;
                }
            }
        }
        if is_last {
            return Ok(announced);
        }
    }
}

/// Whether this step's call is announced now.
async fn look(
    store: &Store,
    rules: &Rules,
    step: Step,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let id = step.id.clone();
    let loaded = Loaded::of(store, step, now).await?;
    let never = Timestamp::MAX;
    let call_at = match loaded.decide(&rules.policy, now) {
        NextStep::Wait { until, .. } if !loaded.was_tried() => until,
        NextStep::Wait { .. } | NextStep::DialNow(_) | NextStep::Finished(..) => {
            return store.announce(&id, None, never, now).await;
        }
    };
    let NextStep::DialNow(order) = loaded.decide(&rules.policy, call_at) else {
        return store.announce(&id, None, now + LOOK_AGAIN, now).await;
    };
    let zone = time::zone(&loaded.patient.zone).unwrap_or(TimeZone::UTC);
    let may_write = rules.policy.may_write_at(Some(&order.number), &zone, now);
    let sent = store.announced(&id, now).await?;
    let lead_hours = match announce(&rules.messages.leads, sent, call_at, may_write, now) {
        Announce::Never => return store.announce(&id, None, never, now).await,
        Announce::LookAt(at) => return store.announce(&id, None, at, now).await,
        Announce::Now { lead_hours } => lead_hours,
    };
    let day = zone.to_datetime(call_at).date();
    let message = NewMessage {
        id: format!("{id}.prewarm.{day}.{lead_hours}h"),
        patient: loaded.patient.id.clone(),
        episode: loaded.episode.id.clone(),
        step: id.clone(),
        kind: MessageKind::Prewarm,
        template: MessageKind::Prewarm.to_string(),
        phone: Some(order.number),
        announces: Some((lead_hours, call_at)),
        send_at: now,
    };
    let written = store.announce(&id, Some(&message), now, now).await?;
    info!(step.id = %id, lead_hours, "a call is announced");
    Ok(written)
}

/// The letter that a person writes to who is not reached otherwise.
pub fn letter(deadlines: &Deadlines, subject: Subject) -> Raise {
    Raise {
        subject,
        causes: vec![Cause::Task {
            task: LETTER.to_owned(),
        }],
        deadlines: deadlines.clone(),
    }
}

/// A message as it leaves, or why it does not.
#[derive(Debug)]
pub(super) enum Leaves {
    With {
        to: Phi<String>,
        payload: String,
    },
    /// It wakes somebody now.
    At(Timestamp),
    Withheld(String),
}

/// Puts a message together for the program that sends it: number and words are nowhere before.
pub(super) async fn leaves(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
    now: Timestamp,
) -> Result<Leaves, StoreError> {
    let message = store.message(&row.subject).await?;
    let patient = store.patient(&message.patient).await?;
    if let Some(why) = refusal(store, rules, &message, &patient, now).await? {
        return Ok(Leaves::Withheld(why.to_owned()));
    }
    let zone = time::zone(&patient.zone).unwrap_or_else(|| rules.policy.zone().clone());
    let number = number_of(&message, &patient);
    match rules.policy.may_write_at(number, &zone, now) {
        Some(at) if at > now => return Ok(Leaves::At(at)),
        Some(_) => {}
        None => return Ok(Leaves::Withheld("no_hour".to_owned())),
    }
    let sender = Sender {
        hospital: rules.channels.hospital(patient.lang),
        callers: &rules.messages.callers,
        callback: &rules.messages.callback,
    };
    let call_at = message.call_at.map(|at| zone.to_datetime(at));
    let to = number.map(|number| number.expose().to_owned());
    let about: serde_json::Value = serde_json::from_str(&row.payload).unwrap_or_default();
    let payload = json!({
        "id": row.id, "event": row.event, "message": message.id, "about": about, "to": to,
        "text": words(message.kind, &sender, call_at, patient.lang), "lang": patient.lang,
        "callers": rules.messages.callers,
    });
    Ok(Leaves::With {
        to: Phi::new(to.unwrap_or_default()),
        payload: payload.to_string(),
    })
}

/// A form that its program does not take is a letter.
pub(super) async fn given_up(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    if MessageKind::of_event(&row.event).is_none() {
        return Ok(());
    }
    let message = store.message(&row.subject).await?;
    let subject = subject_of(store, &message).await?;
    let failed = Delivery {
        state: MessageState::Failed,
        channel: None,
        reason: "not handed over".to_owned(),
    };
    let letter = letter(&rules.deadlines, subject);
    store
        .report_delivery(&message.id, &failed, &rules.engine, &letter, now)
        .await?;
    Ok(())
}

/// Whom an order about a message is for.
///
/// # Errors
/// When the database refuses.
pub async fn subject_of(store: &Store, message: &PatientMessage) -> Result<Subject, StoreError> {
    let episode = store.episode(&message.episode).await?;
    Ok(Subject {
        patient: Some(message.patient.clone()),
        episode: Some(episode.id),
        attempt: None,
        high_risk: episode.high_risk,
    })
}

/// An extension is written to no more than it is rung.
fn number_of<'a>(message: &'a PatientMessage, patient: &'a Patient) -> Option<&'a PhoneNumber> {
    let number = message.phone.as_ref().or(patient.phone.as_ref());
    number.filter(|number| number.is_direct())
}

/// Whom no robot rings is not written to by one.
async fn refusal(
    store: &Store,
    rules: &Rules,
    message: &PatientMessage,
    patient: &Patient,
    now: Timestamp,
) -> Result<Option<&'static str>, StoreError> {
    let episode = store.episode(&message.episode).await?;
    let is_home = episode.state == EpisodeState::Discharged;
    let number = number_of(message, patient);
    let is_suppressed = match number {
        Some(number) => store.suppressed_number(number).await?.is_some(),
        None => false,
    };
    let is_stale = message.kind == MessageKind::Prewarm
        && (message.call_at.is_none_or(|at| at <= now) || !store.is_planned(&message.step).await?);
    Ok(if patient.life != Life::Alive {
        Some("not_alive")
    } else if !is_home {
        Some("not_at_home")
    } else if !rules.policy.accepts_consent(patient.consent.basis) {
        Some("no_consent")
    } else if is_suppressed {
        Some("do_not_call")
    } else if is_stale {
        Some("too_late")
    } else {
        None
    })
}
