//! The telephony shell: trunk files, SIP sockets, media threads. It decides nothing: `aftercall_core::sip` does.

pub mod config;
pub mod driver;
pub mod place;
pub mod socket;
