//! The virtual line: a [`crate::call::Call`], a scripted telephone and two links, in virtual time.
//!
//! Shipped, because `rehearse` and the tests share it. No sleep anywhere: [`World::step`] drains what is
//! ready, delivers what is due and jumps to the next deadline.

mod callee;
mod fixture;
mod link;
mod person;
mod voice;
mod world;

pub use callee::{Callee, Pick};
pub use fixture::{Expect, Fixture, FixtureError, LineEvent};
pub use link::{Link, LinkConfig};
pub use person::{Leaves, Takeover};
pub use voice::spoken;
pub use world::{Outcome, Wanted, World};
