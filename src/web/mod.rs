//! The API: JSON over HTTP, every route on one screen in [`router`], failures as problem details.
//!
//! Core types are not wire types: each resource's file has its views. Nothing here decides; a request becomes
//! one call of the store, and every look at a patient's record is written to the audit log first.

mod auth;
mod calls;
mod do_not_call;
mod extract;
mod imports;
mod observations;
mod patients;
mod plans;
mod problem;
mod recordings;
mod router;
mod system;
mod work_orders;

use std::sync::Arc;

use aftercall_core::import::Defaults;
use aftercall_core::plan::Cadence;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;

pub use auth::Caller;
pub use extract::List;
pub use problem::Problem;
pub use router::{openapi, router};

use crate::metrics::Metrics;
use crate::recording::Recordings;
use crate::store::Store;

/// What every handler may use.
#[derive(Clone, Debug)]
pub struct AppState {
    pub store: Store,
    pub recordings: Recordings,
    pub metrics: Arc<Metrics>,
    /// What an import or a discharge does not say: hospital and zone.
    pub defaults: Arc<Defaults>,
    pub cadence: Arc<Cadence>,
    /// How far the clock of plans runs ahead of the system's: zero everywhere but in the demo.
    pub ahead: SignedDuration,
}

impl AppState {
    /// The wall clock, read at the edge and nowhere below.
    fn now(&self) -> Timestamp {
        Timestamp::now()
            .saturating_add(self.ahead)
            .unwrap_or(Timestamp::MAX)
    }

    /// Writes who did what before the answer leaves: what cannot be written down is not shown.
    async fn audit(
        &self,
        caller: &Caller,
        what: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), Problem> {
        Ok(self
            .store
            .audit(&caller.0, what, subject, detail, self.now())
            .await?)
    }
}
