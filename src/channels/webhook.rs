//! JSON by POST, signed, to a program of the hospital.

use super::{Channel, Message, SendError, json_headers, signature};

pub(super) fn send(channel: &Channel, message: &Message) -> Result<(), SendError> {
    let mut headers = json_headers(message);
    let signed = signature(&channel.secret.0, message.at, &message.payload);
    headers.push(("aftercall-timestamp", message.at.as_second().to_string()));
    headers.push(("aftercall-signature", signed));
    channel.post(&channel.url.0, &headers, message.payload.clone())?;
    Ok(())
}
