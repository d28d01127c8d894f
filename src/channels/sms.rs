//! A text-message gateway that takes HTTP: what it is sent is the site's template.

use super::robot::percent;
use super::{Channel, JSON, Message, SendError};

pub(super) fn send(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let to = message.to.expose();
    if to.is_empty() {
        return Err(SendError::Address("no number"));
    }
    let template = &channel.config.body;
    let is_json = template.trim_start().starts_with(['{', '[']);
    let escape = if is_json { in_json } else { percent };
    let body = filled(template, &|name| match name {
        "to" => Some(escape(to)),
        "text" => Some(escape(&message.text)),
        "id" => Some(escape(&message.id)),
        "key" => Some(escape(&channel.secret.0)),
        _ => None,
    });
    let kind = if is_json {
        JSON.1
    } else {
        "application/x-www-form-urlencoded; charset=utf-8"
    };
    let headers = [
        (JSON.0, kind.to_owned()),
        ("idempotency-key", message.id.clone()),
    ];
    let answer = channel.post(&channel.url.0, &headers, body)?;
    if answer.contains(&channel.config.accepted) {
        Ok(())
    } else {
        Err(SendError::NotAccepted)
    }
}

/// Each `{name}` is filled once; what a value holds is not looked at again.
fn filled(template: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, after) = rest.split_at(open);
        out.push_str(before);
        let name = after.get(1..).and_then(|inner| inner.split('}').next());
        match name.and_then(|name| Some((name, value(name)?))) {
            Some((name, value)) => {
                out.push_str(&value);
                rest = after.get(name.len() + 2..).unwrap_or_default();
            }
            None => {
                out.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// The inside of a JSON string.
fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{filled, in_json};

    #[test]
    fn a_template_is_filled_once() {
        let value = |name: &str| match name {
            "to" => Some("1{text}".to_owned()),
            "text" => Some(in_json("a \"b\"\n{to}")),
            _ => None,
        };
        assert_eq!(
            filled(
                "{\"p\":{\"to\":\"{to}\",\"t\":\"{text}\"},\"x\":\"{y}\"}",
                &value
            ),
            "{\"p\":{\"to\":\"1{text}\",\"t\":\"a \\\"b\\\"\\n{to}\"},\"x\":\"{y}\"}"
        );
        assert_eq!(filled("{", &value), "{");
    }
}
