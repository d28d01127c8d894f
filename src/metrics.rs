//! Metrics for Prometheus: counts and times, no PHI. Labels are closed sets, never ids, names or numbers.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aftercall_core::call::CallEvent;
use aftercall_core::feed::Ack;
use aftercall_core::figures::{Figures, Rates};
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::speech::ears::Ears;
use crate::store::figures::Days;
use crate::store::{Store, StoreError};
use crate::trunk::driver::Told;
use crate::trunk::pulse::Pulse;

/// A month of calls is not counted at every look.
const KPIS_EVERY: Duration = Duration::from_secs(60);

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
    /// Of the last 30 days: how many, and of how many.
    kpi_part: Family<NameLabel, Gauge>,
    kpi_of: Family<NameLabel, Gauge>,
    kpi_seconds: Family<QuantileLabels, Gauge<f64, AtomicU64>>,
    kpis_counted_at: Mutex<Option<Instant>>,
    outbox_oldest_seconds: Gauge<f64, AtomicU64>,
    ladder_late_seconds: Gauge<f64, AtomicU64>,
    ears_wait_seconds: Gauge<f64, AtomicU64>,
    ears_queued: Gauge,
    ears_too_late: Gauge,
    trunk_targets: Gauge,
    trunk_targets_ill: Gauge,
    /// What runs here: an API alone has neither.
    engine: Option<(Arc<Pulse>, Arc<Ears>)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpLabels {
    /// The route's pattern, never the path with its ids.
    pub route: String,
    pub method: &'static str,
    pub status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NameLabel {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    name: &'static str,
    quantile: &'static str,
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
        Self::with(None)
    }

    /// Those of an engine: of its media thread and its ears too.
    pub fn of_engine(pulse: Arc<Pulse>, ears: Arc<Ears>) -> Self {
        Self::with(Some((pulse, ears)))
    }

    fn with(engine: Option<(Arc<Pulse>, Arc<Ears>)>) -> Self {
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
            kpi_part: Family::default(),
            kpi_of: Family::default(),
            kpi_seconds: Family::default(),
            kpis_counted_at: Mutex::default(),
            outbox_oldest_seconds: Gauge::default(),
            ladder_late_seconds: Gauge::default(),
            ears_wait_seconds: Gauge::default(),
            ears_queued: Gauge::default(),
            ears_too_late: Gauge::default(),
            trunk_targets: Gauge::default(),
            trunk_targets_ill: Gauge::default(),
            engine,
        };
        metrics.register();
        metrics.register_kpis();
        metrics.register_engine();
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

    fn register_kpis(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "kpi_part",
            "Key figures of the last 30 days: how many",
            self.kpi_part.clone(),
        );
        registry.register("kpi_of", "and of how many", self.kpi_of.clone());
        registry.register(
            "kpi_seconds",
            "From an order's raise to its acknowledgement and its end, in the last 30 days",
            self.kpi_seconds.clone(),
        );
    }

    fn register_engine(&mut self) {
        let registry = &mut self.registry;
        for (name, help, gauge) in [
            (
                "outbox_oldest_seconds",
                "How long the oldest event has waited for delivery",
                &self.outbox_oldest_seconds,
            ),
            (
                "ladder_late_seconds",
                "How late the oldest climb is that is due and not made",
                &self.ladder_late_seconds,
            ),
            (
                "ears_wait_seconds",
                "Mean wait of the last utterances for a recogniser",
                &self.ears_wait_seconds,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        for (name, help, gauge) in [
            (
                "ears_queued",
                "Utterances that wait for a recogniser",
                &self.ears_queued,
            ),
            (
                "ears_too_late",
                "Utterances whose words came too late, since the start",
                &self.ears_too_late,
            ),
            (
                "trunk_targets",
                "Addresses that calls go to",
                &self.trunk_targets,
            ),
            (
                "trunk_targets_ill",
                "Those that are silent, refuse, or rest after a call that failed",
                &self.trunk_targets_ill,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
        if let Some((pulse, _)) = &self.engine {
            registry.register(
                "wake_late_seconds",
                "How long after its time the media thread woke a call",
                pulse.wake_late_seconds.clone(),
            );
            registry.register(
                "order_durable_seconds",
                "End of the utterance to the finding and its order on disk",
                pulse.order_durable_seconds.clone(),
            );
        }
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
    pub async fn page(
        &self,
        store: &Store,
        zone: TimeZone,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        self.count(store).await?;
        self.count_kpis(store, zone, now).await?;
        let age = store.outbox_age(now).await?;
        self.outbox_oldest_seconds.set(age.as_secs_f64());
        let late = store.ladder_late(now).await?;
        self.ladder_late_seconds.set(late.as_secs_f64());
        if let Some((pulse, ears)) = &self.engine {
            self.look(pulse, ears);
        }
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry)
            .expect("writing to a String does not fail");
        Ok(page)
    }

    /// The key figures as the pages have them, counted once a minute at most.
    async fn count_kpis(
        &self,
        store: &Store,
        zone: TimeZone,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let last = self.kpis_counted_at.lock();
        let last = *last.unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < KPIS_EVERY) {
            return Ok(());
        }
        let today = zone.to_datetime(now).date();
        let days = Days {
            first: today.saturating_sub(29.days()),
            last: today,
            zone,
        };
        let facts = store.facts(&days, &Wards::ALL).await?;
        self.show_kpis(&Figures::of(&facts, &Rates::default(), None));
        let mut last = self
            .kpis_counted_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(Instant::now());
        Ok(())
    }

    fn show_kpis(&self, figures: &Figures) {
        let tiers = figures.alert_by_tier.iter();
        let tiers = tiers.map(|(tier, share)| (format!("alert_{tier}"), *share));
        let shares = [
            ("coverage", figures.coverage),
            ("reach", figures.reach),
            ("reach_touch", figures.reach_touch),
            ("right_party", figures.right_party),
            ("completion", figures.completion),
            ("screen_completion", figures.screen_completion),
            ("alert", figures.alert_rate),
            ("ppv", figures.ppv),
            ("late", figures.late),
        ];
        let shares = shares.map(|(name, share)| (name.to_owned(), share));
        for (name, share) in shares.into_iter().chain(tiers) {
            let label = NameLabel { name };
            self.kpi_part.get_or_create(&label).set(number(share.part));
            self.kpi_of.get_or_create(&label).set(number(share.of));
        }
        self.kpi_seconds.clear();
        for (name, times) in [
            ("acknowledge", figures.acknowledge),
            ("close", figures.close),
        ] {
            for (quantile, seconds) in [
                ("0.5", times.p50_s),
                ("0.9", times.p90_s),
                ("0.99", times.p99_s),
            ] {
                if let Some(seconds) = seconds {
                    let labels = QuantileLabels { name, quantile };
                    self.kpi_seconds.get_or_create(&labels).set(seconds);
                }
            }
        }
    }

    fn look(&self, pulse: &Pulse, ears: &Ears) {
        let (stand, load) = (pulse.stand(), ears.load());
        let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.trunk_targets.set(size(stand.targets));
        self.trunk_targets_ill.set(size(stand.ill));
        self.ears_queued.set(size(load.queued));
        self.ears_too_late.set(number(load.too_late));
        self.ears_wait_seconds.set(ears.wait().as_secs_f64());
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
