//! The edges: store on both databases, HTTP, real UDP, real peers, real whisper.

mod audit;
mod bad_input;
mod bridge;
mod crash;
mod crash_demo;
mod dtls;
mod jobs;
mod kamailio;
mod names;
mod peers;
mod phones;
mod postgres;
mod process;
mod record;
mod redflags;
mod shutdown;
mod sipp;
mod speech;
mod store;
mod testbed;
mod tls;
mod trace;
mod trend;
mod trunk;
mod voice;
mod web;
