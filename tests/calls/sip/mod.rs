//! Signalling alone, in virtual time: one leg against a peer that each test plays by hand.

mod answered;
mod blanked;
mod challenged;
mod lossy;
mod outside;
pub mod peer;
mod reliable;
pub mod rung;
mod secured;
mod session;
pub mod tables;
mod targets;
mod transfer;
mod unanswered;
mod wild;
