//! Who works here: roles, what each may do, the wards they see, and when sign-in is locked.
//!
//! Deny by default: a right that no role of a person names is refused. Passwords and codes are checked at the edge.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What a person is here for; a person may have several.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    derive_more::Display,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Takes work orders.
    #[display("nurse")]
    Nurse,
    /// Takes work orders, and signs what the robot says.
    #[display("clinician")]
    Clinician,
    /// Writes scripts.
    #[display("author")]
    Author,
    /// Listens to calls and judges them.
    #[display("qa")]
    Qa,
    /// Plans, calling windows, imports, trunks.
    #[display("system_admin")]
    SystemAdmin,
    /// Accounts, roles, tokens.
    #[display("security_admin")]
    SecurityAdmin,
    /// Reads who did what.
    #[display("auditor")]
    Auditor,
    /// A program.
    #[display("service")]
    Service,
}

/// What somebody wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Right {
    /// One's own session and password.
    Own,
    /// Patients, stays, plans, readings, trends, calls by their heads.
    ReadPatients,
    /// Consent, hours, readings, and that somebody died or was readmitted.
    TellOfPatients,
    /// Enrolment and changes of a record; imports.
    EnrolPatients,
    /// Pauses, calling windows, numbers not to be called.
    ChangePlans,
    ReadOrders,
    /// Acknowledge, hand over, close.
    WorkOrders,
    /// Words and sound of calls.
    Listen,
    /// Verdicts on findings and calls.
    Review,
    /// Counts without names.
    ReadFigures,
    /// Scripts: their trees, texts, drafts and rehearsals.
    ReadScripts,
    /// Drafts of scripts.
    EditScripts,
    /// Handing a draft in, giving it back, laying it aside.
    ReviseScripts,
    /// A clinician's signature under a draft.
    SignScripts,
    /// Which version calls take.
    PublishScripts,
    /// Accounts and tokens.
    ManageStaff,
    /// The audit log and its chain.
    ReadAudit,
    /// What became of messages to patients: for the program that sends them.
    ReportDelivery,
    /// Trunks, ears, channels: the engine's own state.
    ReadSystem,
}

impl Role {
    /// Every role, in the order in which lists show them.
    pub const ALL: [Role; 8] = [
        Role::Nurse,
        Role::Clinician,
        Role::Author,
        Role::Qa,
        Role::SystemAdmin,
        Role::SecurityAdmin,
        Role::Auditor,
        Role::Service,
    ];

    fn rights(self) -> &'static [Right] {
        match self {
            Role::Nurse => &[
                Right::ReadPatients,
                Right::TellOfPatients,
                Right::ReadOrders,
                Right::WorkOrders,
                Right::Listen,
            ],
            Role::Clinician => &[
                Right::ReadPatients,
                Right::TellOfPatients,
                Right::ReadOrders,
                Right::WorkOrders,
                Right::Listen,
                Right::Review,
                Right::ReadFigures,
                Right::ReadScripts,
                Right::ReviseScripts,
                Right::SignScripts,
            ],
            Role::Author => &[
                Right::ReadFigures,
                Right::ReadScripts,
                Right::EditScripts,
                Right::ReviseScripts,
            ],
            Role::Qa => &[
                Right::ReadPatients,
                Right::ReadOrders,
                Right::Listen,
                Right::Review,
                Right::ReadFigures,
                Right::ReadScripts,
            ],
            Role::SystemAdmin => &[
                Right::ReadPatients,
                Right::EnrolPatients,
                Right::TellOfPatients,
                Right::ChangePlans,
                Right::ReadFigures,
                Right::ReadSystem,
                Right::ReadScripts,
                Right::PublishScripts,
            ],
            Role::SecurityAdmin => &[Right::ManageStaff],
            Role::Auditor => &[Right::ReadAudit],
            Role::Service => &[
                Right::ReadPatients,
                Right::EnrolPatients,
                Right::TellOfPatients,
                Right::ChangePlans,
                Right::ReadOrders,
                Right::WorkOrders,
                Right::Listen,
                Right::Review,
                Right::ReadFigures,
                Right::ReportDelivery,
                Right::ReadSystem,
                Right::ReadScripts,
            ],
        }
    }

    /// Whether this role alone may.
    pub fn may(self, right: Right) -> bool {
        right == Right::Own || self.rights().contains(&right)
    }
}

/// Two duties that one person may not hold where they are kept apart (三员分立: system, security, audit).
pub fn duties_in_conflict(roles: &[Role]) -> Option<(Role, Role)> {
    let apart = [Role::SystemAdmin, Role::SecurityAdmin, Role::Auditor];
    let mut held = apart.into_iter().filter(|role| roles.contains(role));
    Some((held.next()?, held.next()?))
}

/// The wards somebody sees; by default all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wards(Option<Vec<String>>);

impl Wards {
    pub const ALL: Wards = Wards(None);

    /// These alone; of none, nothing is seen.
    pub fn only(wards: Vec<String>) -> Self {
        Self(Some(wards))
    }

    /// `None`: every ward.
    pub fn names(&self) -> Option<&[String]> {
        self.0.as_deref()
    }

    /// Whether a record of these wards may be seen: one of them is enough, for a patient is one patient in each.
    pub fn see<'a>(&self, mut wards: impl Iterator<Item = &'a str>) -> bool {
        match &self.0 {
            None => true,
            Some(mine) => wards.any(|ward| mine.iter().any(|own| own == ward)),
        }
    }
}

/// When sign-in is refused for a while: guessing must cost time, and a typing error must not cost a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockout {
    /// Failures in a row.
    pub after: u32,
    pub lasts: Duration,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            after: 5,
            lasts: Duration::from_secs(15 * 60),
        }
    }
}

impl Lockout {
    /// Until when an account is locked after so many failures in a row, the newest now.
    pub fn until(&self, failures: u32, now: Timestamp) -> Option<Timestamp> {
        if self.after == 0 || failures == 0 || !failures.is_multiple_of(self.after) {
            return None;
        }
        let lasts = SignedDuration::try_from(self.lasts).unwrap_or(SignedDuration::MAX);
        Some(now.saturating_add(lasts).unwrap_or(Timestamp::MAX))
    }
}

/// Shortest password, in characters (NIST SP 800-63B-4 §3.1.1.2: 15 where it is the only factor, 8 beside another).
pub const SHORTEST_PASSWORD: usize = 12;
/// Longest, in bytes: hashing is not a way to keep the server busy.
pub const LONGEST_PASSWORD: usize = 256;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    #[error("a password has at least {SHORTEST_PASSWORD} characters")]
    Short,
    #[error("a password has at most {LONGEST_PASSWORD} bytes")]
    Long,
    #[error("a password does not hold the name of its account")]
    Name,
    #[error("a password has at least four different characters")]
    Monotonous,
}

/// Whether this may be the password of this account.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(name: &str, password: &str) -> Result<(), WeakPassword> {
    if password.chars().count() < SHORTEST_PASSWORD {
        return Err(WeakPassword::Short);
    }
    if password.len() > LONGEST_PASSWORD {
        return Err(WeakPassword::Long);
    }
    if password.to_lowercase().contains(&name.to_lowercase()) {
        return Err(WeakPassword::Name);
    }
    let mut different: Vec<char> = password.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < 4 {
        return Err(WeakPassword::Monotonous);
    }
    Ok(())
}
