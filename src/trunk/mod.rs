//! The telephony shell: trunk files, SIP sockets, media threads. It decides nothing: `aftercall_core::sip` does.

mod alarms;
pub mod capture;
pub mod carrier;
pub mod config;
pub mod descriptors;
pub mod driver;
pub mod dtls;
mod file;
pub mod flow;
pub mod line;
pub mod load;
mod names;
pub mod place;
pub mod playback;
pub mod pulse;
pub mod socket;
pub mod standing;
pub mod tape;
pub mod trial;
