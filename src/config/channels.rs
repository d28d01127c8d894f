//! `channels`: where events and notices go.

use serde::{Deserialize, Serialize};

/// One channel. Its secrets come from the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channel {
    /// As the rota and the ladders call it.
    pub name: String,
    pub kind: Kind,
    /// Where it is; `smtps://USER@HOST` or `smtp://USER@HOST` (STARTTLS) for mail.
    #[serde(default)]
    pub url: String,
    /// The variable that holds the address, where that is a secret itself, as a robot's is.
    pub url_env: Option<String>,
    /// The variable that holds the key that signs, the gateway's key, or the mailbox's password.
    pub secret_env: Option<String>,
    /// Events that are sent here whoever is on duty: `call.finished`, `work_order.*`, `*`.
    #[serde(default)]
    pub events: Vec<String>,
    /// Only people of the hospital read it: ward and findings may be named.
    #[serde(default)]
    pub safe: bool,
    /// 1 to 30.
    #[serde(default = "ten")]
    pub timeout_s: u64,
    /// What a gateway is sent, with `{to}`, `{text}`, `{id}` and `{key}`: JSON, or a form (`to={to}&text={text}`).
    #[serde(default)]
    pub body: String,
    /// What a gateway's answer holds when it has taken the message; empty: its status is enough.
    #[serde(default)]
    pub accepted: String,
    /// The mailbox that mail comes from.
    #[serde(default)]
    pub from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// JSON by POST, signed.
    Webhook,
    /// 企业微信, a group's robot.
    Wecom,
    /// 钉钉, a group's robot.
    Dingtalk,
    /// 飞书, a group's robot.
    Feishu,
    /// A gateway by HTTP.
    Sms,
    Email,
    /// A call by the engine over its trunk; 1 takes the order.
    Phone,
}

fn ten() -> u64 {
    10
}

/// What is wrong with the list, if anything.
pub(super) fn fault(channels: &[Channel]) -> Option<String> {
    for (at, channel) in channels.iter().enumerate() {
        let name = &channel.name;
        if name.is_empty() || channels.iter().take(at).any(|other| other.name == *name) {
            return Some("each needs a name of its own".to_owned());
        }
        let is_robot = matches!(channel.kind, Kind::Wecom | Kind::Dingtalk | Kind::Feishu);
        let is_addressed = channel.kind != Kind::Phone;
        let fault = if is_addressed && channel.url.is_empty() == channel.url_env.is_none() {
            "needs either url or url_env"
        } else if !(1..=30).contains(&channel.timeout_s) {
            "timeout_s must be 1 to 30"
        } else if channel.kind == Kind::Sms && !channel.body.contains("{text}") {
            "needs a body with {text}"
        } else if channel.kind == Kind::Email && channel.from.is_empty() {
            "needs from, the mailbox that mail comes from"
        } else if channel.kind == Kind::Webhook && channel.secret_env.is_none() {
            "needs secret_env, the variable of the key that signs"
        } else if !channel.events.is_empty() && !is_robot && channel.kind != Kind::Webhook {
            "events go to webhooks and robots; people are told by the rota"
        } else if is_robot && channel.events.iter().any(|event| !is_of_orders(event)) {
            "a robot is told of work_order events alone"
        } else {
            continue;
        };
        return Some(format!("{name} {fault}"));
    }
    None
}

fn is_of_orders(event: &str) -> bool {
    event.starts_with("work_order.")
}
