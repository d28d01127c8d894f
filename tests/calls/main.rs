//! Whole calls in virtual time, and the tables of fixtures that the core is held to.

mod clips;
mod ear;
mod plan;
mod sip;
mod work_order;
