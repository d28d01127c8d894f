//! The API: JSON over HTTP, every route on one screen in [`router`], failures as problem details.
//!
//! Core types are not wire types: each resource's file has its views. Nothing here decides; a request becomes
//! one call of the store, and every look at a patient's record is written to the audit log first.

mod audit;
mod audit_log;
mod auth;
mod calls;
mod do_not_call;
mod drafts;
mod events;
mod extract;
mod feed;
mod figures;
mod imports;
mod limits;
pub(crate) mod listen_in;
mod live;
mod messages;
mod observations;
mod pages;
mod patients;
mod pauses;
mod plans;
mod problem;
mod recordings;
mod reviews;
mod rights;
mod rota;
mod router;
mod scripts;
mod second_factor;
mod serve;
mod session;
mod site;
mod sso;
mod staff;
mod system;
mod trends;
mod trunks;
mod why;
mod windows;
mod work_orders;

use std::sync::Arc;

use aftercall_core::import::Defaults;
use aftercall_core::plan::{CallingPolicy, Pathways};
use aftercall_core::redflag::Lexicon;
use aftercall_core::review::form::Form;
use aftercall_core::time::Timestamp;
use aftercall_core::trend;
use aftercall_core::work_order::Deadlines;
use axum::http::StatusCode;

pub use audit::{AuditItemView, EstimateView, FiguresView, VerdictsView, decision};
pub use auth::Caller;
pub use events::Changes;
pub use extract::List;
pub use limits::Limits;
pub use live::Watched;
pub use problem::Problem;
pub use router::{openapi, router, swappable};
pub use serve::Listening;
pub use session::Access;
pub use site::Site;
pub use why::WhyView;

use crate::config::Config;
use crate::feed::Feed;
use crate::health::Health;
use crate::jobs::{PlanClock, Rules};
use crate::metrics::Metrics;
use crate::monitor::Monitor;
use crate::recording::Recordings;
use crate::sso::Sso;
use crate::store::Store;
use crate::store::audit::AuditLine;

/// What every handler may use.
#[derive(Clone, Debug)]
pub struct AppState {
    pub store: Store,
    pub recordings: Recordings,
    pub metrics: Arc<Metrics>,
    /// What an import or a discharge does not say: hospital and zone.
    pub defaults: Arc<Defaults>,
    pub pathways: Arc<Pathways>,
    /// On which QA scores calls.
    pub forms: Arc<Vec<Form>>,
    /// The hospital's bus: one for its listener and for who applies a message again.
    pub feed: Arc<Feed>,
    /// The system's, but in the demo.
    pub clock: PlanClock,
    pub trends: Arc<trend::Rules>,
    /// What calls are made under.
    pub policy: Arc<CallingPolicy>,
    /// By when orders are answered.
    pub deadlines: Arc<Deadlines>,
    /// How people sign in.
    pub access: Arc<Access>,
    /// The hospital's provider of single sign-on.
    pub sso: Option<Arc<Sso>>,
    pub site: Arc<Site>,
    /// What open pages are told of.
    pub changes: Changes,
    pub limits: Arc<Limits>,
    pub watched: Watched,
    /// What the hospital has set: windows, trunk, costs.
    pub config: Arc<Config>,
    /// What replies are judged by, for rehearsals.
    pub lexicon: Arc<Lexicon>,
    pub health: Arc<Health>,
    /// Of the engine whose calls can be listened in to; `None` where it is off.
    pub monitor: Option<Monitor>,
}

impl AppState {
    /// The state of an engine with this configuration.
    pub fn new(
        store: Store,
        recordings: Recordings,
        metrics: Arc<Metrics>,
        config: &Config,
        (pathways, forms): (Pathways, Vec<Form>),
        rules: &Rules,
        health: Arc<Health>,
    ) -> Self {
        let pathways = Arc::new(pathways);
        let feed = Feed::new(
            store.clone(),
            Arc::clone(&pathways),
            rules.clock,
            Arc::clone(&metrics),
            config,
        );
        Self {
            feed: Arc::new(feed),
            store,
            recordings,
            metrics,
            defaults: Arc::new(Defaults {
                hospital: config.hospital.id.clone(),
                zone: config.hospital.zone.clone(),
                country: config.hospital.country.clone(),
                base: None,
            }),
            forms: Arc::new(forms),
            pathways,
            clock: rules.clock,
            trends: Arc::clone(&rules.clinic.trends),
            policy: Arc::new(rules.policy.clone()),
            deadlines: Arc::new(rules.deadlines.clone()),
            access: Arc::new(Access::new(&config.staff)),
            sso: None,
            site: Arc::new(Site::of(config)),
            changes: Changes::default(),
            limits: Arc::new(Limits::new(config.web.trusted_proxies.clone())),
            watched: Watched::default(),
            config: Arc::new(config.clone()),
            lexicon: Arc::clone(&rules.clinic.lexicon),
            health,
            monitor: None,
        }
    }

    /// The same, and calls can be listened in to.
    pub fn with_monitor(self, monitor: Option<Monitor>) -> Self {
        Self { monitor, ..self }
    }

    /// The same, and people may sign in by this provider.
    pub fn with_sso(self, sso: Option<Sso>) -> Self {
        Self {
            sso: sso.map(Arc::new),
            ..self
        }
    }

    /// The same under a new configuration.
    pub fn under(&self, config: &Config, rules: &Rules) -> Self {
        Self {
            policy: Arc::new(rules.policy.clone()),
            deadlines: Arc::new(rules.deadlines.clone()),
            access: Arc::new(Access::new(&config.staff)),
            config: Arc::new(config.clone()),
            trends: Arc::clone(&rules.clinic.trends),
            lexicon: Arc::clone(&rules.clinic.lexicon),
            ..self.clone()
        }
    }

    /// The wall clock, read at the edge and nowhere below.
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes who did what before the answer leaves: what cannot be written down is not shown.
    async fn audit(
        &self,
        caller: &Caller,
        what: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), Problem> {
        let reason = caller.reason.as_deref();
        if reason.is_none() && self.access.reasons_for.iter().any(|needs| needs == what) {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "reason_needed",
                "say why in the header x-access-reason",
            ));
        }
        let line = AuditLine {
            who: &caller.name,
            what,
            subject,
            detail,
            reason,
        };
        Ok(self.store.append_audit(&line, self.now()).await?)
    }
}
