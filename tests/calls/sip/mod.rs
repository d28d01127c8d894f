//! Signalling alone, in virtual time: one leg against a peer that each test plays by hand.

mod answered;
mod challenged;
mod lossy;
mod peer;
mod tables;
mod unanswered;
