//! A SIP dialog (RFC 3261 §12).

use serde::{Deserialize, Serialize};

/// The methods that a leg understands.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";

/// Enough of a call to end it after a crash: kept with the attempt's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DialogSnapshot {}

impl DialogSnapshot {
    /// The datagram that ends the call.
    pub fn farewell(&self) -> Vec<u8> {
        Vec::new()
    }
}
