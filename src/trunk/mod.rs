//! The telephony shell: trunk files, SIP sockets, media threads. It decides nothing: `aftercall_core::sip` does.

pub mod config;
pub mod driver;
mod file;
pub mod place;
pub mod socket;
