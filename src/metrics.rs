//! Metrics for Prometheus: counts and times, no PHI. Labels are closed sets, never ids, names or numbers.

use aftercall_core::call::CallEvent;
use aftercall_core::feed::Ack;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::store::{Store, StoreError};
use crate::trunk::driver::Told;

/// All metrics of one process. Cheap parts, shared by `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub http_requests: Family<HttpLabels, Counter>,
    /// Calls with a live attempt in this process.
    pub calls_live: Gauge,
    /// INVITEs sent.
    pub calls_dialled: Counter,
    /// From the last voiced sample received to the first voiced sample sent, on the RTP clock.
    pub turn_latency_seconds: Histogram,
    /// Wall time of one transcription.
    pub transcribe_seconds: Histogram,
    attempts: Family<NameLabel, Gauge>,
    steps: Family<NameLabel, Gauge>,
    work_orders: Family<OrderLabels, Gauge>,
    audit_items: Family<AuditLabels, Gauge>,
    outbox_waiting: Gauge,
    outbox_dead: Gauge,
    work_orders_unanswered: Gauge,
    feed_messages: Family<FeedLabels, Counter>,
    feed_kept: Family<NameLabel, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// The route's pattern, never the path with its ids.
    pub route: String,
    pub method: String,
    pub status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OrderLabels {
    urgency: String,
    state: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AuditLabels {
    kind: String,
    verdict: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeedLabels {
    event: &'static str,
    ack: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let seconds = || Histogram::new([0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0]);
        let mut metrics = Self {
            registry: Registry::with_prefix("aftercall"),
            http_requests: Family::default(),
            calls_live: Gauge::default(),
            calls_dialled: Counter::default(),
            turn_latency_seconds: seconds(),
            transcribe_seconds: seconds(),
            attempts: Family::default(),
            steps: Family::default(),
            work_orders: Family::default(),
            audit_items: Family::default(),
            outbox_waiting: Gauge::default(),
            outbox_dead: Gauge::default(),
            work_orders_unanswered: Gauge::default(),
            feed_messages: Family::default(),
            feed_kept: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "http_requests",
            "HTTP requests by route",
            self.http_requests.clone(),
        );
        registry.register(
            "calls_live",
            "Calls being made by this process",
            self.calls_live.clone(),
        );
        registry.register("calls_dialled", "INVITEs sent", self.calls_dialled.clone());
        registry.register(
            "turn_latency_seconds",
            "Last voiced sample heard to first voiced sample spoken",
            self.turn_latency_seconds.clone(),
        );
        registry.register(
            "transcribe_seconds",
            "Wall time of one transcription",
            self.transcribe_seconds.clone(),
        );
        registry.register(
            "attempts",
            "Ended attempts by disposition",
            self.attempts.clone(),
        );
        registry.register("steps", "Steps of all plans by state", self.steps.clone());
        registry.register(
            "work_orders",
            "Work orders that are not closed",
            self.work_orders.clone(),
        );
        registry.register(
            "audit_items",
            "Calls and suppressed findings drawn for QA, by verdict",
            self.audit_items.clone(),
        );
        registry.register(
            "outbox_waiting",
            "Events not yet delivered",
            self.outbox_waiting.clone(),
        );
        registry.register(
            "outbox_dead",
            "Deliveries given up",
            self.outbox_dead.clone(),
        );
        registry.register(
            "work_orders_unanswered",
            "Work orders that everybody on their ladder was told of, and nobody has answered",
            self.work_orders_unanswered.clone(),
        );
        registry.register(
            "feed_messages",
            "Messages of the hospital's bus by event and answer",
            self.feed_messages.clone(),
        );
        registry.register(
            "feed_kept",
            "Messages of the hospital's bus by state; dead ones wait for a person",
            self.feed_kept.clone(),
        );
    }

    /// Counts what a call tells.
    pub fn observe(&self, told: &Told) {
        match told {
            Told::Event(CallEvent::TurnClosed(turn)) => {
                let latency = turn.reply.as_ref().and_then(|reply| reply.latency_ms);
                if let Some(ms) = latency {
                    self.turn_latency_seconds.observe(f64::from(ms) / 1000.0);
                }
            }
            Told::Event(CallEvent::HeardWords(heard)) => {
                let ms = heard.expose().took_ms;
                self.transcribe_seconds.observe(f64::from(ms) / 1000.0);
            }
            Told::Event(CallEvent::Ended(_)) | Told::NotStarted(_) => {
                self.calls_live.dec();
            }
            Told::Event(_) | Told::Trace(_) | Told::Rings(_) => {}
        }
    }

    /// Counts a message of the hospital's bus; `event` is one of a closed set.
    pub fn feed(&self, event: &'static str, ack: Ack) {
        let labels = FeedLabels {
            event,
            ack: ack.to_string(),
        };
        self.feed_messages.get_or_create(&labels).inc();
    }

    /// The page that Prometheus reads, with the counts of the database as they are now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn page(&self, store: &Store) -> Result<String, StoreError> {
        self.count(store).await?;
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)
            .expect("writing to a String does not fail");
        Ok(page)
    }

    async fn count(&self, store: &Store) -> Result<(), StoreError> {
        for (disposition, attempts) in store.attempts_by_disposition().await? {
            self.attempts
                .get_or_create(&NameLabel {
                    name: disposition.to_string(),
                })
                .set(number(attempts));
        }
        self.steps.clear();
        for (state, steps) in store.steps_by_state().await? {
            self.steps
                .get_or_create(&NameLabel {
                    name: state.to_string(),
                })
                .set(number(steps));
        }
        self.work_orders.clear();
        for (urgency, state, orders) in store.work_orders_by_urgency().await? {
            let labels = OrderLabels {
                urgency: urgency.to_string(),
                state: state.to_string(),
            };
            self.work_orders.get_or_create(&labels).set(number(orders));
        }
        self.audit_items.clear();
        for (kind, verdict, items) in store.audit_items_by_verdict().await? {
            let verdict = verdict.map_or_else(|| "open".to_owned(), |verdict| verdict.to_string());
            self.audit_items
                .get_or_create(&AuditLabels { kind, verdict })
                .set(number(items));
        }
        self.feed_kept.clear();
        for (name, messages) in store.feed_messages_by_state().await? {
            self.feed_kept
                .get_or_create(&NameLabel { name })
                .set(number(messages));
        }
        self.outbox_waiting
            .set(number(store.outbox_waiting().await?));
        self.outbox_dead.set(number(store.outbox_dead().await?));
        self.work_orders_unanswered
            .set(number(store.exhausted_work_orders().await?));
        Ok(())
    }
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
