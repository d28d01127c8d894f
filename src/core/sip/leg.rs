//! Our side of one outgoing call: INVITE to the last retransmission that must be answered.

use std::collections::VecDeque;

use super::dialog::DialogSnapshot;
use super::event::{LegConfig, LegOutput, LegStats, Timer};
use crate::time::Instant;

/// One outgoing call's signalling (RFC 3261 §13, §15, §17.1).
pub struct Leg {
    config: LegConfig,
    call_id: String,
    outputs: VecDeque<LegOutput>,
    stats: LegStats,
}

impl Leg {
    /// The INVITE is queued at once.
    pub fn new(config: LegConfig, seed: [u8; 32], now: Instant) -> Leg {
        let _ = (seed, now);
        Leg {
            config,
            call_id: String::new(),
            outputs: VecDeque::new(),
            stats: LegStats::default(),
        }
    }

    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes a datagram that the endpoint routed here. Never fails; nonsense is counted.
    pub fn handle_datagram(&mut self, datagram: &[u8], now: Instant) {
        let _ = (datagram, now);
        self.stats.malformed += 1;
    }

    /// Ends the call: CANCEL, BYE or nothing, as the state demands.
    pub fn hang_up(&mut self, now: Instant) {
        let _ = now;
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    pub fn poll_output(&mut self) -> Option<LegOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`Leg::handle_timeout`] next, and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        None
    }

    /// Ended, and no late retransmission needs an answer any more.
    pub fn is_finished(&self) -> bool {
        self.config.codecs.is_empty()
    }

    pub fn stats(&self) -> LegStats {
        self.stats
    }

    /// What a later start needs to end this call after a crash; `None` once it has ended.
    pub fn dialog_snapshot(&self) -> Option<DialogSnapshot> {
        None
    }
}
