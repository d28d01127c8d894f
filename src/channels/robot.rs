//! The robots of chat groups, each as its maker's documentation has it; an answer of 200 can still be a refusal.
//!
//! 企业微信 群机器人: the key stands in the address. 钉钉 自定义机器人, 加签: time and MAC in the query. 飞书 自定义机器人, 签名校验:
//! time and MAC in the body.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::signature::mac;
use super::{Channel, Message, SendError, json_headers};

pub(super) fn wecom(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let mut text = json!({ "content": message.text });
    if let Some(to) = to(message) {
        text["mentioned_list"] = json!([to]);
    }
    let body = json!({ "msgtype": "text", "text": text });
    ask(channel, &channel.url.0, message, &body, "errcode")
}

pub(super) fn dingtalk(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let secret = &channel.secret.0;
    let at = message.at.as_millisecond();
    let signed = mac(secret.as_bytes(), format!("{at}\n{secret}").as_bytes());
    let signed = percent(&BASE64_STANDARD.encode(signed));
    let url = &channel.url.0;
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}timestamp={at}&sign={signed}");
    let mut body = json!({ "msgtype": "text", "text": { "content": message.text } });
    if let Some(to) = to(message) {
        // Whom it is for is marked only where the text names them too.
        body["text"]["content"] = format!("@{to} {}", message.text).into();
        body["at"] = json!({ "atMobiles": [to] });
    }
    ask(channel, &url, message, &body, "errcode")
}

pub(super) fn feishu(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let at = message.at.as_second();
    let signed = mac(format!("{at}\n{}", channel.secret.0).as_bytes(), b"");
    let text = match to(message) {
        Some(to) => format!("<at user_id=\"{to}\"></at> {}", message.text),
        None => message.text.clone(),
    };
    let body = json!({
        "timestamp": at.to_string(), "sign": BASE64_STANDARD.encode(signed),
        "msg_type": "text", "content": { "text": text },
    });
    ask(channel, &channel.url.0, message, &body, "code")
}

fn to(message: &Message) -> Option<&str> {
    Some(message.to.expose().as_str()).filter(|to| !to.is_empty())
}

fn ask(
    channel: &Channel,
    url: &str,
    message: &Message,
    body: &Value,
    code: &str,
) -> Result<(), SendError> {
    let answer = channel.post(url, &json_headers(message), body.to_string())?;
    let answer: Value = serde_json::from_str(&answer).map_err(|_| SendError::NotAccepted)?;
    match answer.get(code).and_then(Value::as_i64) {
        Some(0) => Ok(()),
        Some(code) => Err(SendError::Code(code)),
        None => Err(SendError::NotAccepted),
    }
}

/// As a query's value (RFC 3986 §2.3: all but the unreserved).
pub(super) fn percent(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}
