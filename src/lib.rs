//! aftercall: touches the world and never decides; `aftercall-core` decides.

pub mod backup;
pub mod channels;
pub mod cli;
pub mod config;
pub mod dialogs;
pub mod eval;
pub mod export;
mod facts;
pub mod feed;
pub mod health;
pub mod import;
pub mod jobs;
pub mod library;
pub mod metrics;
pub mod monitor;
pub mod password;
pub mod pathways;
pub mod phones;
mod reception;
pub mod recording;
pub mod redflags;
pub mod rehearsal;
pub mod report;
pub mod review_forms;
pub mod run;
pub mod scripts;
pub mod spans;
pub mod speech;
pub mod sso;
pub mod store;
pub mod trunk;
pub mod vault;
pub mod web;

/// An import makes and drops short texts by the million: of its time two fifths went into glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
