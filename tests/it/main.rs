//! The edges: store on both databases, HTTP, real UDP, real peers, real whisper.

mod postgres;
mod record;
mod speech;
mod store;
