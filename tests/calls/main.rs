//! Whole calls in virtual time, and the tables of fixtures that the core is held to.

mod answered;
mod bridged;
mod clips;
mod ear;
mod feed;
mod fuzz;
mod held;
mod hostile;
mod lexicon;
mod metamorphic;
mod order_life;
mod packs;
mod plan;
mod redflag;
mod rings_back;
mod rota;
mod script;
mod second_look;
mod sip;
mod support;
mod taken_over;
mod trend;
mod well;
mod whole;
mod work_order;
