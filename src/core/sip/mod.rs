//! SIP as a calling user agent (RFC 3261), sans-IO: datagrams in, datagrams and events out.
//!
//! [`leg::Leg`] is our side of one call; [`endpoint::Endpoint`] knows whose a datagram is and answers what is
//! nobody's. UDP only: a transport that keeps the message whole needs no other core, only longer timers off.

pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod event;
pub mod front_door;
pub mod leg;
pub mod message;
pub mod sdp;
pub mod transaction;
