//! `[messages]`: what patients are written, and by which channel.

use aftercall_core::plan::message::Unreachable;
use serde::{Deserialize, Serialize};

use super::{Channel, Kind};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Messages {
    /// The webhook of the program that sends text messages, WeChat or the app's; empty: patients are not written to.
    pub channel: String,
    /// Hours before a call: 1 to 72, at most 3 of them.
    pub prewarm_hours: Vec<u32>,
    /// Calls in vain of one step after which it is written who rang; 0: never.
    pub missed_after: u32,
    /// How who was not reached is written to.
    pub unreachable: Unreachable,
}

impl Default for Messages {
    fn default() -> Self {
        Self {
            channel: String::new(),
            prewarm_hours: vec![24, 1],
            missed_after: 2,
            unreachable: Unreachable::Letter,
        }
    }
}

impl Messages {
    pub(super) fn check(&self, channels: &[Channel]) -> Result<(), (&'static str, String)> {
        let named = channels.iter().find(|channel| channel.name == self.channel);
        let is_webhook = named.is_some_and(|channel| channel.kind == Kind::Webhook);
        if !self.channel.is_empty() && !is_webhook {
            let fault = "names no webhook of `channels`";
            return Err(("messages.channel", fault.to_owned()));
        }
        let leads = &self.prewarm_hours;
        let is_sound = leads.len() <= 3 && leads.iter().all(|lead| (1..=72).contains(lead));
        if !is_sound {
            let fault = "are at most 3, each 1 to 72";
            return Err(("messages.prewarm_hours", fault.to_owned()));
        }
        if self.channel.is_empty() && self.unreachable == Unreachable::Form {
            let fault = "\"form\" needs messages.channel";
            return Err(("messages.unreachable", fault.to_owned()));
        }
        Ok(())
    }
}
