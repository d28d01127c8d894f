//! SIP as a calling user agent (RFC 3261), sans-IO: datagrams in, datagrams and events out.
//!
//! [`leg::Leg`] is our side of one call; [`endpoint::Endpoint`] knows whose a datagram is and answers what is
//! nobody's; [`registration::Registration`] and [`probe::Probe`] keep a trunk's account and health. What travels in
//! a stream is cut into messages by [`framing`]; where a domain's calls go is decided by [`locate`]. [`trace`] keeps what
//! went over a call's line, as [`blank`] leaves it.

pub mod authorize;
pub mod blank;
mod crypto;
pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod event;
pub mod framing;
pub mod front_door;
pub mod leg;
pub mod locate;
pub mod message;
pub mod outside;
pub mod probe;
pub mod registration;
pub mod sdp;
pub mod trace;
pub mod transaction;
