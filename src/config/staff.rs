//! `[staff]`: how long a sign-in lasts, when it is locked, and where a reason is asked for.

use std::time::Duration;

use aftercall_core::staff::{Lockout, Role};
use serde::{Deserialize, Serialize};

use crate::store::staff::SessionLimits;

/// How staff sign in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Staff {
    pub idle_minutes: u32,
    pub session_hours: u32,
    /// Failures in a row.
    pub lock_after: u32,
    pub lock_minutes: u32,
    /// 三员分立: nobody holds two of system, security and audit.
    pub separate_duties: bool,
    /// Names of the audit log for which the caller says why.
    pub reasons_for: Vec<String>,
    /// Roles that do nothing before their second factor is set up.
    pub second_factor_for: Vec<Role>,
}

/// Looks at records: what changes one says why in its body.
const MAY_NEED_A_REASON: [&str; 9] = [
    "patient.list",
    "patient.read",
    "plan.read",
    "plan.why",
    "trend.read",
    "observation.list",
    "call.read",
    "recording.listen",
    "work_order.read",
];

impl Default for Staff {
    fn default() -> Self {
        Self {
            idle_minutes: 30,
            session_hours: 12,
            lock_after: 5,
            lock_minutes: 15,
            separate_duties: false,
            reasons_for: Vec::new(),
            second_factor_for: Vec::new(),
        }
    }
}

impl Staff {
    pub fn limits(&self) -> SessionLimits {
        SessionLimits {
            idle: Duration::from_secs(u64::from(self.idle_minutes) * 60),
            longest: Duration::from_secs(u64::from(self.session_hours) * 3600),
        }
    }

    pub fn lockout(&self) -> Lockout {
        Lockout {
            after: self.lock_after,
            lasts: Duration::from_secs(u64::from(self.lock_minutes) * 60),
        }
    }

    /// What breaks a rule: its key, and why.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        for (value, key, most) in [
            (self.idle_minutes, "staff.idle_minutes", 24 * 60),
            (self.session_hours, "staff.session_hours", 24),
            (self.lock_after, "staff.lock_after", 20),
            (self.lock_minutes, "staff.lock_minutes", 24 * 60),
        ] {
            if !(1..=most).contains(&value) {
                return Err((key, format!("must be 1 to {most}")));
            }
        }
        let known = |name: &&String| !MAY_NEED_A_REASON.contains(&name.as_str());
        if let Some(other) = self.reasons_for.iter().find(known) {
            let names = MAY_NEED_A_REASON.join(", ");
            return Err((
                "staff.reasons_for",
                format!("names `{other}`; what may need a reason is {names}"),
            ));
        }
        Ok(())
    }
}
