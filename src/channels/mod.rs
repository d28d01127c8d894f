//! Where events and notices go: webhooks, group robots, a text-message gateway, mail, a telephone call. One blocking send a call; what may be
//! sent, when and again is `jobs::notify`'s.
//!
//! A message names no patient, finding or department unless the channel is marked safe: a telephone lies about, and a
//! department's name can tell a diagnosis.

mod email;
mod message;
mod phone;
mod robot;
mod signature;
mod sms;
mod webhook;

use std::time::Duration;

use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use aftercall_core::time::Timestamp;
use ureq::Agent;

pub use message::{Notice, spoken, text};
pub use phone::Telephone;
pub use signature::signature;

use crate::config::{self, Config, Kind};

/// Every channel of the configuration, with its secrets, and what stands in every message.
#[derive(Debug)]
pub struct Channels {
    list: Vec<Channel>,
    name_zh: String,
    name_en: String,
    lang: Lang,
    /// Only a running engine has one.
    telephone: Option<Telephone>,
    /// Where an order can be taken, with `{id}`; empty where nobody set it.
    pub link: String,
}

/// One channel, ready to send.
#[derive(Debug)]
pub struct Channel {
    config: config::Channel,
    url: Secret,
    secret: Secret,
    agent: Agent,
}

/// What never stands in a log.
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// One thing to send.
#[derive(Clone, Debug)]
pub struct Message {
    /// The same at every try: who receives it twice knows.
    pub id: String,
    /// What a webhook is sent.
    pub payload: String,
    /// What a person reads.
    pub text: String,
    /// The line above it, in mail.
    pub subject: String,
    /// What a person hears, and in which language.
    pub spoken: String,
    pub lang: Lang,
    /// The person's address on the channel; empty: to whoever reads it.
    pub to: Phi<String>,
    pub at: Timestamp,
}

/// What came of a message that got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Delivered,
    /// Whoever got it said "mine".
    Taken,
}

/// Why a message did not get through. None names an address, a key or what was said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    #[error("no answer in time")]
    TimedOut,
    #[error("cannot be reached")]
    Unreachable,
    #[error("answered {0}")]
    Status(u16),
    #[error("refused it with code {0}")]
    Code(i64),
    #[error("did not say that it took it")]
    NotAccepted,
    #[error("nobody pressed the key")]
    NotTaken,
    #[error("the text cannot be spoken")]
    NoVoice,
    #[error("the address is none: {0}")]
    Address(&'static str),
    #[error("at this hour it wakes somebody")]
    Quiet(Timestamp),
    #[error("the channel is not in the configuration")]
    NoChannel,
    #[error("the rota has no such person or no address of theirs on the channel")]
    NoAddress,
}

/// A variable that the configuration names and nobody set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {channel}: the variable {variable} is not set")]
pub struct NoSecret {
    pub channel: String,
    pub variable: String,
}

impl Channels {
    /// Takes the secrets from the environment.
    ///
    /// # Errors
    /// A variable that is not set.
    pub fn load(config: &Config) -> Result<Self, NoSecret> {
        Self::with(config, |variable| std::env::var(variable).ok())
    }

    /// The same, with secrets from elsewhere.
    ///
    /// # Errors
    /// A secret that is not there.
    pub fn with(
        config: &Config,
        secret: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, NoSecret> {
        let named = |channel: &config::Channel, variable: &Option<String>| match variable {
            None => Ok(None),
            Some(variable) => secret(variable).map(Some).ok_or_else(|| NoSecret {
                channel: channel.name.clone(),
                variable: variable.clone(),
            }),
        };
        let made = config.channels.iter().map(|channel| {
            let url = named(channel, &channel.url_env)?;
            Ok(Channel {
                url: Secret(url.unwrap_or_else(|| channel.url.clone())),
                secret: Secret(named(channel, &channel.secret_env)?.unwrap_or_default()),
                agent: Agent::config_builder()
                    .timeout_global(Some(Duration::from_secs(channel.timeout_s)))
                    .http_status_as_error(false)
                    .max_redirects(0)
                    .build()
                    .into(),
                config: channel.clone(),
            })
        });
        Ok(Self {
            list: made.collect::<Result<_, _>>()?,
            name_zh: config.hospital.name_zh.clone(),
            name_en: config.hospital.name_en.clone(),
            lang: match config.hospital.country.as_str() {
                "CN" => Lang::Zh,
                _ => Lang::En,
            },
            telephone: None,
            link: config.work_orders.link.clone(),
        })
    }

    /// The same, with a telephone for channels of kind `phone`.
    pub fn with_telephone(self, telephone: Telephone) -> Self {
        Self {
            telephone: Some(telephone),
            ..self
        }
    }

    /// Ends telephone calls that go on.
    pub fn hang_up(&self) {
        if let Some(telephone) = &self.telephone {
            telephone.hang_up();
        }
    }

    /// Sends one message. Blocks: for `timeout_s` at most, a telephone call for two minutes.
    ///
    /// # Errors
    /// When it did not get through, or nobody knows whether it did: it is sent again under the same id.
    pub fn send(&self, channel: &str, message: &Message) -> Result<Sent, SendError> {
        let channel = self.named(channel).ok_or(SendError::NoChannel)?;
        match channel.config.kind {
            Kind::Webhook => webhook::send(channel, message)?,
            Kind::Wecom => robot::wecom(channel, message)?,
            Kind::Dingtalk => robot::dingtalk(channel, message)?,
            Kind::Feishu => robot::feishu(channel, message)?,
            Kind::Sms => sms::send(channel, message)?,
            Kind::Email => email::send(channel, message)?,
            Kind::Phone => {
                let telephone = self.telephone.as_ref().ok_or(SendError::NoChannel)?;
                return telephone.call(message);
            }
        }
        Ok(Sent::Delivered)
    }

    /// What a group reads, whose members have no language in the rota.
    pub fn lang(&self) -> Lang {
        self.lang
    }

    /// The hospital's name, which tells nothing.
    pub fn hospital(&self, lang: Lang) -> &str {
        match lang {
            Lang::Zh => &self.name_zh,
            Lang::En => &self.name_en,
        }
    }

    pub fn named(&self, name: &str) -> Option<&Channel> {
        self.list.iter().find(|channel| channel.config.name == name)
    }

    /// Those that an event goes to whoever is on duty.
    pub fn subscribed(&self, event: &str) -> impl Iterator<Item = &Channel> {
        self.list.iter().filter(move |channel| {
            let mut patterns = channel.config.events.iter();
            patterns.any(|pattern| matches_event(pattern, event))
        })
    }
}

impl Channel {
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Ward and findings may be named.
    pub fn is_safe(&self) -> bool {
        self.config.safe
    }

    /// Nobody on the way can read along.
    pub fn is_private(&self) -> bool {
        config::is_private(&self.url.0)
    }

    /// After so many tries a message is given up; the ladder has told others long since. A telephone is rung thrice.
    pub fn most_tries(&self) -> u32 {
        if self.rings() { 3 } else { 12 }
    }

    /// It makes a telephone ring.
    pub fn rings(&self) -> bool {
        self.config.kind == Kind::Phone
    }

    /// The least time between two tries, in seconds.
    pub fn rest_s(&self) -> u32 {
        if self.rings() { 60 } else { 0 }
    }

    /// Sends a body, and returns what was answered with a status of success.
    fn post(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: String,
    ) -> Result<String, SendError> {
        let mut request = self.agent.post(url);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let mut response = request.send(body).map_err(|error| why(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(SendError::Status(status.as_u16()));
        }
        let answer = response.body_mut().with_config().limit(LONGEST_ANSWER);
        answer.read_to_string().map_err(|error| why(&error))
    }
}

/// No gateway says more.
const LONGEST_ANSWER: u64 = 64 * 1024;

const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

fn json_headers(message: &Message) -> Vec<(&'static str, String)> {
    vec![
        (JSON.0, JSON.1.to_owned()),
        ("idempotency-key", message.id.clone()),
    ]
}

fn why(error: &ureq::Error) -> SendError {
    match error {
        ureq::Error::Timeout(_) => SendError::TimedOut,
        ureq::Error::StatusCode(status) => SendError::Status(*status),
        ureq::Error::BadUri(_) => SendError::Address("no URL"),
        _ => SendError::Unreachable,
    }
}

/// `work_order.*` is every event of work orders, `*` every event.
fn matches_event(pattern: &str, event: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => event.starts_with(start),
        None => pattern == event,
    }
}

#[cfg(test)]
mod tests {
    use super::matches_event;

    #[test]
    fn a_pattern_matches_its_events() {
        for (pattern, event, expected) in [
            ("*", "call.finished", true),
            ("work_order.*", "work_order.raised", true),
            ("work_order.*", "call.finished", false),
            ("call.finished", "call.finished", true),
            ("call.finished", "call.finished.twice", false),
        ] {
            assert_eq!(matches_event(pattern, event), expected, "{pattern} {event}");
        }
    }
}
