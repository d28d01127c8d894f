//! aftercall: touches the world and never decides; `aftercall-core` decides.

pub mod channels;
pub mod cli;
pub mod config;
pub mod dialogs;
pub mod eval;
mod facts;
pub mod feed;
pub mod health;
pub mod import;
pub mod jobs;
pub mod library;
pub mod metrics;
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
pub mod speech;
pub mod store;
pub mod trunk;
pub mod web;
