//! What changes, as it changes: server-sent events with ids only. A page asks again for what it shows of them.
//!
//! One task looks at the rows once a second for all listeners together, and only while somebody listens.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aftercall_core::time::Timestamp;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::Event;
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tracing::warn;
use utoipa::ToSchema;

use super::AppState;
use super::problem::Problem;
use crate::store::change::Changed;
use crate::store::{Store, StoreError};

/// How often the rows are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A line is never silent for longer: proxies cut what is, and the page keeps its clock by it.
const BEAT: Duration = Duration::from_secs(15);
/// Then the stream ends and the browser comes again, so that a right taken away ends it too.
const LIFE: Duration = Duration::from_secs(300);
/// An event may be committed so much later than its id was made.
const LATE_MS: i64 = 10_000;
/// Who missed more is told to ask for everything anew.
const MISSED: u32 = 500;

/// One line of the stream, named by its `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ChangeView {
    /// `work_order.raised`, `call.finished`, `call.talking` (again at every reply), …; `reset`: more was missed than is kept; `clock`.
    #[schema(example = "work_order.raised")]
    pub event: String,
    /// The id of what it is about.
    pub subject: String,
    /// The engine's time, with `clock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub now: Option<Timestamp>,
    #[serde(skip)]
    id: Option<String>,
}

/// Tells every listener what changed.
#[derive(Clone, Debug)]
pub struct Changes {
    told: broadcast::Sender<ChangeView>,
    looks: Arc<AtomicBool>,
    ended: watch::Sender<bool>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            told: broadcast::channel(256).0,
            looks: Arc::default(),
            ended: watch::channel(false).0,
        }
    }
}

impl Changes {
    /// Ends every stream, so that the server can stop.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    fn listen(&self, store: &Store) -> broadcast::Receiver<ChangeView> {
        let listener = self.told.subscribe();
        if !self.looks.swap(true, Ordering::SeqCst) {
            tokio::spawn(look(store.clone(), self.clone()));
        }
        listener
    }
}

/// Streams what changes: `id` is that of the event, which a browser sends back as `Last-Event-ID`.
#[utoipa::path(get, path = "/events", tag = "system",
    params(("Last-Event-ID" = Option<String>, Header, description = "what is newer is told first")),
    responses(
    (status = OK, body = ChangeView, content_type = "text/event-stream"),
    (status = "4XX", body = Problem, content_type = "application/problem+json")
))]
pub async fn stream(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let changes = state.changes.listen(&state.store);
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty());
    let mut first = vec![clock(&state)];
    if let Some(last) = last {
        let missed = state.store.changes_after(last, MISSED).await?;
        if u32::try_from(missed.len()).unwrap_or(MISSED) < MISSED {
            first.extend(missed.into_iter().map(ChangeView::from));
        } else {
            first.push(ChangeView::bare("reset", ""));
        }
    }
    first.reverse();
    let listener = Listener {
        first,
        changes,
        ended: state.changes.ended.subscribe(),
        next_beat: Instant::now() + BEAT,
        until: Instant::now() + LIFE,
        state,
    };
    Ok(Sse::new(stream::unfold(listener, |mut listener| async {
        let change = listener.next().await?;
        Some((Ok(change.event()), listener))
    })))
}

struct Listener {
    state: AppState,
    /// What was missed, the oldest last.
    first: Vec<ChangeView>,
    changes: broadcast::Receiver<ChangeView>,
    ended: watch::Receiver<bool>,
    next_beat: Instant,
    until: Instant,
}

impl Listener {
    async fn next(&mut self) -> Option<ChangeView> {
        if let Some(change) = self.first.pop() {
            return Some(change);
        }
        tokio::select! {
            change = self.changes.recv() => match change {
                Ok(change) => Some(change),
                Err(broadcast::error::RecvError::Lagged(_)) => Some(ChangeView::bare("reset", "")),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            () = sleep_until(self.next_beat) => {
                self.next_beat = Instant::now() + BEAT;
                Some(clock(&self.state))
            }
            () = sleep_until(self.until) => None,
            _ = self.ended.wait_for(|ended| *ended) => None,
        }
    }
}

fn clock(state: &AppState) -> ChangeView {
    ChangeView {
        now: Some(state.now()),
        ..ChangeView::bare("clock", "")
    }
}

impl ChangeView {
    fn bare(event: &str, subject: &str) -> Self {
        Self {
            event: event.to_owned(),
            subject: subject.to_owned(),
            now: None,
            id: None,
        }
    }

    fn event(&self) -> Event {
        let event = Event::default().data(serde_json::to_string(self).unwrap_or_default());
        match &self.id {
            Some(id) => event.id(id),
            None => event,
        }
    }
}

impl From<Changed> for ChangeView {
    fn from(changed: Changed) -> Self {
        Self {
            id: Some(changed.id),
            ..Self::bare(&changed.event, &changed.subject)
        }
    }
}

/// What was told already.
#[derive(Default)]
struct Told {
    events: BTreeSet<String>,
    /// State, and how many replies.
    calls: BTreeMap<String, (String, u32)>,
    /// Where looking began: what is older is nobody's news.
    since: String,
}

async fn look(store: Store, changes: Changes) {
    let mut told = Told {
        since: prefix(Timestamp::now().as_millisecond()),
        ..Told::default()
    };
    let mut every = interval(LOOK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*changes.ended.borrow() {
        every.tick().await;
        if changes.told.receiver_count() == 0 {
            continue;
        }
        match told.news(&store).await {
            Ok(news) => {
                for change in news {
                    // Who has just left misses nothing.
                    changes.told.send(change).ok();
                }
            }
            Err(error) => warn!(%error, "changes cannot be read; looking again"),
        }
    }
}

impl Told {
    async fn news(&mut self, store: &Store) -> Result<Vec<ChangeView>, StoreError> {
        let window = prefix(Timestamp::now().as_millisecond() - LATE_MS);
        let from = window.max(self.since.clone());
        let mut news = Vec::new();
        for changed in store.changes_after(&from, MISSED).await? {
            if self.events.insert(changed.id.clone()) {
                news.push(ChangeView::from(changed));
            }
        }
        self.events = self.events.split_off(&from);
        let calls = store.live_calls().await?;
        for (id, now) in &calls {
            if self.calls.get(id) != Some(now) {
                news.push(ChangeView::bare(&format!("call.{}", now.0), id));
            }
        }
        self.calls = calls;
        Ok(news)
    }
}

/// What every id of that millisecond or later is greater than (UUIDv7, RFC 9562 §5.7: its first 48 bits).
fn prefix(at_ms: i64) -> String {
    let hex = format!("{:012x}", at_ms.max(0));
    let (high, low) = hex.split_at(8);
    format!("{high}-{low}")
}
