//! Delivers the outbox, at least once: hands each event out to the channels and people whom it concerns, and sends each of
//! their rows until it is taken or given up. The row's id is the idempotency key.
//!
//! Whom a work order's event concerns is the rota's to say: its owner, and the rung that the ladder has come to. Without
//! a rota only subscribed channels hear of it.

use std::sync::Arc;
use std::time::Duration;

use aftercall_core::id::WorkOrderId;
use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::plan::message::MessageKind;
use aftercall_core::rota::{Person, Rota};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::{Act, Step, WorkOrder, WorkOrderState};
use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::messages::{self, Leaves};
use super::{Rules, RulesNow, next_round};
use crate::channels::{Channel, Message, Notice, SendError, Sent, spoken, text};
use crate::store::outbox::{Failed, OutboxEvent, Target};
use crate::store::{Store, StoreError};

const ROUND: Duration = Duration::from_millis(500);
/// Deliveries under way at once: a dead gateway holds up itself alone.
const UNDER_WAY: usize = 64;
/// A delivery is another engine's after so long; no send lasts longer.
const LEASE: SignedDuration = SignedDuration::from_secs(180);
/// Where the channel is not known any more.
const MOST_TRIES: u32 = 12;
const FIRST_PAUSE_MS: u64 = 5_000;
const LONGEST_PAUSE_MS: u64 = 3_600_000;

/// Runs until shutdown, and lets what is under way come to its end.
pub async fn run(store: Store, rules_now: RulesNow, mut shutdown: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    while next_round(ROUND, &mut shutdown).await {
        let rules = rules_now.get();
        while under_way.try_join_next().is_some() {}
        let room = UNDER_WAY.saturating_sub(under_way.len());
        let claimed = match room {
            0 => continue,
            room => claim(&store, &rules, room).await,
        };
        match claimed {
            Ok((_, rows)) => start(&store, &rules, rows, &mut under_way),
            Err(error) => error!(%error, "delivery paused: the database did not answer"),
        }
    }
    rules_now.get().channels.hang_up();
    while under_way.join_next().await.is_some() {}
}

/// One round; returns how many events were handed out and rows delivered. What is handed out is sent in the next.
///
/// # Errors
/// When the database refuses; what was delivered and not marked is delivered again.
pub async fn once(store: &Store, rules: &Rules) -> Result<u32, StoreError> {
    let (mut done, rows) = claim(store, rules, UNDER_WAY).await?;
    let mut under_way = JoinSet::new();
    start(store, rules, rows, &mut under_way);
    while let Some(ended) = under_way.join_next().await {
        done += u32::from(ended.unwrap_or(false));
    }
    Ok(done)
}

fn start(store: &Store, rules: &Rules, rows: Vec<OutboxEvent>, under_way: &mut JoinSet<bool>) {
    for row in rows {
        let (store, rules) = (store.clone(), rules.clone());
        under_way.spawn(async move {
            let delivered = deliver(&store, &rules, &row).await;
            delivered.unwrap_or_else(|error| {
                error!(event.id = %row.id, %error, "a delivery is not written down, and is tried again");
                false
            })
        });
    }
}

/// Leases what is due: events are handed out here, how many is the first; their rows come back to be sent.
async fn claim(
    store: &Store,
    rules: &Rules,
    room: usize,
) -> Result<(u32, Vec<OutboxEvent>), StoreError> {
    let now = rules.clock.now();
    let lease_until = now.saturating_add(LEASE).unwrap_or(Timestamp::MAX);
    let limit = u32::try_from(room).unwrap_or(u32::MAX);
    let claim = store.claim_outbox(now, limit, lease_until, &rules.engine);
    let mut rows = store.answered(claim).await?;
    let events: Vec<OutboxEvent> = rows.extract_if(.., |row| row.channel.is_none()).collect();
    let mut handed_out = 0;
    for event in events {
        match store.answered(hand_out(store, rules, &event, now)).await {
            Ok(()) => handed_out += 1,
            // It waits for its lease, and holds up no other.
            Err(error) => error!(event.id = %event.id, %error, "an event is not handed out yet"),
        }
    }
    Ok((handed_out, rows))
}

async fn hand_out(
    store: &Store,
    rules: &Rules,
    event: &OutboxEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let subscribed = rules.channels.subscribed(&event.event);
    let mut targets: Vec<Target> = subscribed
        .map(|channel| Target {
            channel: channel.name().to_owned(),
            recipient: None,
        })
        .collect();
    let writes = rules.messages.channel.as_ref();
    if let Some(channel) = writes.filter(|_| MessageKind::of_event(&event.event).is_some())
        && targets.iter().all(|target| target.channel != *channel)
    {
        let (channel, recipient) = (channel.clone(), None);
        targets.push(Target { channel, recipient });
    }
    if let Some(call) = Call::of(event) {
        let order = store
            .work_order(&WorkOrderId(event.subject.clone()))
            .await?;
        let rota = store.rota().await?;
        let told = whom(rules, rota.as_deref(), &order, call, now);
        if told.targets.is_empty() && rota.is_some() && order.state != WorkOrderState::Closed {
            error!(order.id = %order.id, level = call.level, "the rota has nobody to tell of a work order");
        }
        if let Some(owner) = &told.owner {
            store.assign_work_order(&order.id, owner, now).await?;
        }
        let rings = |target: &Target| {
            let channel = rules.channels.named(&target.channel);
            channel.is_some_and(Channel::rings)
        };
        let told = told.targets.into_iter();
        targets.extend(told.filter(|target| !call.is_more || !rings(target)));
    }
    info!(event.id = %event.id, event = %event.event, subject = %event.subject, to = targets.len(), "event");
    store.hand_out(event, &targets, now).await
}

/// What an event asks of people.
#[derive(Clone, Copy)]
struct Call {
    kind: CallFor,
    level: u32,
    /// More of what people have been told of already: no telephone rings again for it.
    is_more: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum CallFor {
    /// Whose it is, and who stands on the rung.
    Everybody,
    /// Whose it is; who stands on the rung, where that is nobody of the rota.
    Owner,
}

impl Call {
    /// `None`: nobody has to do anything.
    fn of(event: &OutboxEvent) -> Option<Self> {
        let kind = match event.event.strip_prefix("work_order.")? {
            "raised" | "joined" | "urgency_raised" | "reopened" | "came_back" | "escalated"
            | "promise_broken" => CallFor::Everybody,
            "handed_over" => CallFor::Owner,
            _ => return None,
        };
        let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap_or_default();
        let level = payload.get("level").and_then(serde_json::Value::as_u64);
        let level = u32::try_from(level.unwrap_or_default()).unwrap_or(u32::MAX);
        let is_more = event.event == "work_order.joined"
            && payload.get("from").is_some_and(|from| from == "open");
        Some(Self {
            kind,
            level,
            is_more,
        })
    }
}

#[derive(Default)]
struct Told {
    targets: Vec<Target>,
    /// Whose the order is, where it was nobody's.
    owner: Option<String>,
}

fn whom(rules: &Rules, rota: Option<&Rota>, order: &WorkOrder, call: Call, now: Timestamp) -> Told {
    let (Some(rota), false) = (rota, order.state == WorkOrderState::Closed) else {
        return Told::default();
    };
    let step = rules.deadlines.ladder(order.urgency).step(call.level);
    let owner = order.owner.as_deref().and_then(|name| rota.person(name));
    let calendar = rules.policy.calendar();
    let (_, on_rung) = rota
        .tell(&order.ward, step.tell, now, calendar)
        .unwrap_or((step.tell, Vec::new()));
    let mut people: Vec<&Person> = owner.into_iter().collect();
    if owner.is_none() || call.kind == CallFor::Everybody {
        let others = on_rung
            .iter()
            .filter(|person| Some(person.name.as_str()) != order.owner.as_deref());
        people.extend(others);
    }
    let unowned = order.owner.is_none();
    Told {
        targets: people
            .iter()
            .flat_map(|person| addresses(person, step))
            .collect(),
        owner: on_rung
            .first()
            .filter(|_| unowned)
            .map(|person| person.name.clone()),
    }
}

/// Where a step tells a person; every address they have, where it names none of theirs.
fn addresses(person: &Person, step: &Step) -> Vec<Target> {
    let target = |channel: &String| Target {
        channel: channel.clone(),
        recipient: Some(person.name.clone()),
    };
    let all = person.at.iter().map(|address| &address.by);
    let named: Vec<Target> = all
        .clone()
        .filter(|by| step.by.contains(by))
        .map(target)
        .collect();
    if named.is_empty() {
        all.map(target).collect()
    } else {
        named
    }
}

/// Sends one row, and writes down what became of it; false where it was not taken.
async fn deliver(store: &Store, rules: &Rules, row: &OutboxEvent) -> Result<bool, StoreError> {
    let sent = send(store, rules, row).await?;
    store.answered(mark(store, rules, row, sent)).await
}

/// Writes down what became of a delivery: whether it was taken.
async fn mark(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
    sent: Result<Sent, SendError>,
) -> Result<bool, StoreError> {
    let now = rules.clock.now();
    let error = match sent {
        Ok(sent) => {
            if let (Sent::Taken, Some(by)) = (sent, &row.recipient) {
                take(store, rules, row, by, now).await?;
            }
            store.outbox_delivered(&row.id, now).await?;
            return Ok(true);
        }
        Err(error) => error,
    };
    let channel = row
        .channel
        .as_deref()
        .and_then(|name| rules.channels.named(name));
    // Of this one too.
    let tries = row.tries.saturating_add(1);
    let failed = if tries >= channel.map_or(MOST_TRIES, Channel::most_tries) {
        error!(event.id = %row.id, event = %row.event, %error, "a delivery is given up: `aftercall outbox list`");
        Failed::Died
    } else {
        warn!(event.id = %row.id, event = %row.event, tries, %error, "not delivered yet");
        let least = SignedDuration::from_secs(channel.map_or(0, Channel::rest_s).into());
        let pause = pause(&row.id, tries).max(least);
        let again = now.saturating_add(pause).unwrap_or(Timestamp::MAX);
        Failed::AgainAt(match error {
            SendError::Quiet(open) => again.max(open),
            _ => again,
        })
    };
    if failed == Failed::Died {
        messages::given_up(store, rules, row, now).await?;
    }
    store
        .outbox_failed(&row.id, &error.to_string(), failed, now)
        .await?;
    Ok(false)
}

/// Who was rung pressed the key. Somebody else may have been faster: then it is theirs.
async fn take(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = WorkOrderId(row.subject.clone());
    let (act, note) = (Act::Acknowledge, "by telephone");
    match store
        .act_on_work_order(&id, &act, by, note, &rules.deadlines, now)
        .await
    {
        Ok(_) => info!(order.id = %id, "taken by telephone"),
        Err(StoreError::Conflict { state, .. }) => {
            info!(order.id = %id, state, "taken by telephone, too late")
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

async fn send(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
) -> Result<Result<Sent, SendError>, StoreError> {
    let name = row.channel.clone().unwrap_or_default();
    let Some(channel) = rules.channels.named(&name) else {
        return Ok(Err(SendError::NoChannel));
    };
    let (mut to, mut lang) = (Phi::new(String::new()), rules.channels.lang());
    if let Some(recipient) = &row.recipient {
        let rota = store.answered(store.rota()).await?;
        let person = rota.as_ref().and_then(|rota| rota.person(recipient));
        let address = person.and_then(|person| {
            lang = person.lang;
            person.at.iter().find(|address| address.by == name)
        });
        match address {
            Some(address) => to = address.to.clone(),
            None => return Ok(Err(SendError::NoAddress)),
        }
    }
    if row.recipient.is_none()
        && rules.messages.channel.as_deref() == Some(name.as_str())
        && MessageKind::of_event(&row.event).is_some()
    {
        return write(store, rules, row, channel).await;
    }
    let (mut subject, mut words, mut said) = (String::new(), String::new(), String::new());
    if row.event.starts_with("work_order.") {
        let id = WorkOrderId(row.subject.clone());
        let order = store.answered(store.work_order(&id)).await?;
        if row.recipient.is_some() && is_settled(&order, &row.event) {
            return Ok(Ok(Sent::Delivered));
        }
        let notice = Notice {
            order: &order,
            event: &row.event,
            hospital: rules.channels.hospital(lang),
            zone: rules.policy.zone(),
            link: &rules.channels.link,
            safe: channel.is_safe(),
        };
        (subject, words) = text(&notice, lang);
        said = spoken(&notice, lang);
    }
    let message = Message {
        id: row.id.clone(),
        payload: payload(row, &to, &words, lang),
        text: words,
        subject,
        spoken: said,
        lang,
        to,
        at: rules.clock.now(),
    };
    Ok(send_by(rules, &name, message).await)
}

async fn send_by(rules: &Rules, channel: &str, message: Message) -> Result<Sent, SendError> {
    let (channels, channel) = (Arc::clone(&rules.channels), channel.to_owned());
    let sending = tokio::task::spawn_blocking(move || channels.send(&channel, &message));
    sending.await.unwrap_or(Err(SendError::Unreachable))
}

/// Hands a patient's message to the program that sends it.
async fn write(
    store: &Store,
    rules: &Rules,
    row: &OutboxEvent,
    channel: &Channel,
) -> Result<Result<Sent, SendError>, StoreError> {
    let now = rules.clock.now();
    if !channel.is_private() {
        return Ok(Err(SendError::Address("patients' messages need https")));
    }
    let (to, payload) = match messages::leaves(store, rules, row, now).await? {
        Leaves::With { to, payload } => (to, payload),
        Leaves::At(at) => return Ok(Err(SendError::Quiet(at))),
        Leaves::Withheld(why) => {
            store.message_left(&row.subject, Some(&why)).await?;
            return Ok(Ok(Sent::Delivered));
        }
    };
    let message = Message {
        id: row.id.clone(),
        payload,
        text: String::new(),
        subject: String::new(),
        spoken: String::new(),
        lang: rules.channels.lang(),
        to,
        at: now,
    };
    let sent = send_by(rules, channel.name(), message).await;
    if sent.is_ok() {
        store.message_left(&row.subject, None).await?;
    }
    Ok(sent)
}

/// Nobody has to be told any more: it is closed, or somebody has taken it meanwhile.
fn is_settled(order: &WorkOrder, event: &str) -> bool {
    match order.state {
        WorkOrderState::Open => false,
        WorkOrderState::Acknowledged => event != "work_order.promise_broken",
        WorkOrderState::Closed => true,
    }
}

/// What a webhook is sent: the event as it was written; for a person, also whom to tell, and what.
fn payload(row: &OutboxEvent, to: &Phi<String>, words: &str, lang: Lang) -> String {
    let Some(recipient) = &row.recipient else {
        return row.payload.clone();
    };
    let payload: serde_json::Value = serde_json::from_str(&row.payload).unwrap_or_default();
    let notice = serde_json::json!({
        "id": row.id, "event": row.event, "subject": row.subject, "about": payload,
        "person": recipient, "to": to.expose(), "text": words, "lang": lang,
    });
    notice.to_string()
}

/// Twice as long after each failure, a quarter more or less by row and try, so that what failed together does not come
/// back together.
fn pause(id: &str, tries: u32) -> SignedDuration {
    let doubled = FIRST_PAUSE_MS.saturating_mul(1 << tries.saturating_sub(1).min(20));
    let pause = doubled.min(LONGEST_PAUSE_MS);
    let drawn = Sha256::digest(format!("{id} {tries}"));
    let share = drawn.first().copied().map_or(0, u64::from);
    let millis = pause * 3 / 4 + pause / 2 * share / 255;
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{MOST_TRIES, pause};

    #[test]
    fn pauses_double_and_are_drawn_by_row_and_try() {
        for tries in 1..MOST_TRIES {
            let usual = (5_000 << (tries - 1)).min(3_600_000);
            for id in ["a", "b", "c", "d"] {
                let found = pause(id, tries).as_millis();
                assert!(
                    (usual * 3 / 4..=usual * 5 / 4).contains(&found),
                    "{tries}: {found}"
                );
                assert_eq!(
                    found,
                    pause(id, tries).as_millis(),
                    "the same seed, the same pause"
                );
            }
            assert_ne!(pause("a", tries), pause("b", tries));
        }
    }
}
