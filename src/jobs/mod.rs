//! The loops of the engine: load, decide in core, save. The only place that reads the clock of plans.
//!
//! `dial` hands out calls, `record` commits what they tell, `recover` closes what a crash left, `escalate`
//! lets forgotten orders climb, `notify` delivers the outbox, `errands` hands out what a plan leaves to people, `messages`
//! announces calls, `ring_back` says how a call to us is answered, `listen_again` hears a call once more when it is over,
//! `retention` lets go what is kept no longer. Each is one function that ends at shutdown.

pub mod audit_head;
pub mod dial;
pub mod errands;
pub mod escalate;
pub mod hand_over;
pub mod listen_again;
pub mod messages;
pub mod notify;
pub mod record;
pub mod recover;
pub mod retention;
pub mod ring_back;
mod settle;
pub mod why;
pub mod windows;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::audit::Sampling;
use aftercall_core::id::PackId;
use aftercall_core::plan::CallingPolicy;
use aftercall_core::redflag::Lexicon;
use aftercall_core::time::Timestamp;
use aftercall_core::trend;
use aftercall_core::work_order::Deadlines;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::channels::Channels;
use crate::config::{CallingError, Config};
use messages::Messages;

/// What every job decides by.
#[derive(Clone, Debug)]
pub struct Rules {
    pub clock: PlanClock,
    pub policy: CallingPolicy,
    pub deadlines: Deadlines,
    pub channels: Arc<Channels>,
    /// How patients are written to.
    pub messages: Arc<Messages>,
    pub sampling: Sampling,
    pub clinic: Arc<Clinic>,
    /// The name that leases carry.
    pub engine: String,
    pub lease: SignedDuration,
}

/// The rules as they stand now: a new configuration swaps them while the loops run, and each round asks anew.
#[derive(Clone, Debug)]
pub struct RulesNow(watch::Receiver<Arc<Rules>>);

impl RulesNow {
    /// These rules, and the sender that swaps them.
    pub fn swapped_by(rules: Rules) -> (watch::Sender<Arc<Rules>>, Self) {
        let (sender, receiver) = watch::channel(Arc::new(rules));
        (sender, Self(receiver))
    }

    pub fn get(&self) -> Arc<Rules> {
        Arc::clone(&self.0.borrow())
    }
}

/// The signed clinical content that orders are raised by.
#[derive(Debug)]
pub struct Clinic {
    pub lexicon: Arc<Lexicon>,
    /// What is worse than on the call before.
    pub trends: Arc<trend::Rules>,
    /// The packs that hold for the patients of each script.
    pub packs: BTreeMap<String, Vec<PackId>>,
}

impl Rules {
    /// The rules of a configuration, by the system's clock.
    ///
    /// # Errors
    /// A policy that the law does not allow; `Config::parse` has refused it before.
    pub fn of(
        config: &Config,
        clock: PlanClock,
        clinic: Arc<Clinic>,
    ) -> Result<Self, CallingError> {
        Ok(Self {
            clock,
            policy: config.policy()?,
            deadlines: config.deadlines()?,
            channels: Arc::new(Channels::load(config)?),
            messages: Arc::new(Messages::of(config)),
            sampling: config.sampling(),
            clinic,
            engine: config.engine.name.clone(),
            lease: SignedDuration::from_secs(config.engine.lease_seconds.into()),
        })
    }

    fn lease_until(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.lease).unwrap_or(Timestamp::MAX)
    }
}

/// The clock of plans: the system's, or the demo's, which was set to a working hour and runs on from there.
///
/// The demo keeps it in its folder: a plan that goes on after a crash must not see the time go back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanClock {
    ahead: SignedDuration,
    #[serde(skip)]
    stands: Option<Timestamp>,
}

impl PlanClock {
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `at` now. For the demo alone: it moves the plan, never the law.
    pub fn set_to(at: Timestamp) -> Self {
        Self {
            ahead: at.duration_since(Timestamp::now()),
            stands: None,
        }
    }

    /// A clock that shows `at` until another takes its place: for tests in virtual time.
    pub fn standing_at(at: Timestamp) -> Self {
        Self {
            stands: Some(at),
            ..Self::default()
        }
    }

    pub fn now(&self) -> Timestamp {
        let runs = || Timestamp::now().saturating_add(self.ahead);
        self.stands
            .unwrap_or_else(|| runs().unwrap_or(Timestamp::MAX))
    }
}

/// Waits for the next round; false when the engine shuts down.
pub(crate) async fn next_round(every: Duration, shutdown: &mut watch::Receiver<bool>) -> bool {
    if *shutdown.borrow() {
        return false;
    }
    tokio::select! {
        () = tokio::time::sleep(every) => true,
        changed = shutdown.changed() => changed.is_ok() && !*shutdown.borrow(),
    }
}
