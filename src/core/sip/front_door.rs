//! The front door: turns what really arrives on a SIP socket into a [`Message`], or says what is wrong where.
//!
//! Accepts compact names, folded lines, bare LF, leading CRLF, comma lists, IPv6, unknown methods and a missing
//! Content-Length (RFC 3261 §7.3, §18.3). Refuses what no reply could be built for. No error names a header's
//! content: numbers and names are in there.

use super::message::{Headers, Message, Method, Request, Response, split_list};

/// The longest datagram that is read; a UDP payload cannot be longer.
pub const MAX_DATAGRAM: usize = 65_507;
/// The most header lines that are read.
const MAX_HEADERS: usize = 256;

/// Why a datagram is no SIP message. Lines count from 1 at the start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontDoorError {
    #[error("keep-alive without a message")]
    KeepAlive,
    #[error("datagram of {0} bytes is longer than UDP can carry")]
    TooLong(usize),
    #[error("line 1: neither a SIP/2.0 request line nor a status line")]
    StartLine,
    #[error("line 1: status {0} is outside 100 to 699")]
    Status(u16),
    #[error("line {0}: no colon after the header name")]
    Header(usize),
    #[error("line {0}: the message ends inside a header")]
    Cut(usize),
    #[error("more than {MAX_HEADERS} header lines")]
    TooManyHeaders,
    #[error("no {0} header")]
    Missing(&'static str),
    #[error("more than one {0} header")]
    Twice(&'static str),
    #[error("CSeq is not a number below 2^31 and a method")]
    CSeq,
    #[error("CSeq names another method than the request line")]
    CSeqMethod,
    #[error("Content-Length is not a number")]
    ContentLength,
    #[error("Content-Length says {said} bytes, {came} came")]
    ShortBody { said: usize, came: usize },
}

/// Reads one datagram.
///
/// # Errors
/// [`FrontDoorError`], naming the place; the caller counts it and carries on.
pub fn parse_message(datagram: &[u8]) -> Result<Message, FrontDoorError> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(FrontDoorError::TooLong(datagram.len()));
    }
    let start = datagram
        .iter()
        .position(|byte| !matches!(byte, b'\r' | b'\n' | 0));
    let datagram = &datagram[start.ok_or(FrontDoorError::KeepAlive)?..];
    let (lines, body) = split_head(datagram)?;
    let start_line = lines.first().ok_or(FrontDoorError::StartLine)?;
    let start = parse_start_line(start_line)?;
    let (headers, length) = parse_headers(&lines[1..])?;
    check_mandatory(&headers, &start)?;
    let body = match length {
        Some(said) if said > body.len() => {
            return Err(FrontDoorError::ShortBody {
                said,
                came: body.len(),
            });
        }
        Some(said) => body[..said].to_vec(),
        None => body.to_vec(),
    };
    Ok(match start {
        Start::Request(method, uri) => Message::Request(Request {
            method,
            uri,
            headers,
            body,
        }),
        Start::Response(status) => Message::Response(Response {
            status,
            headers,
            body,
        }),
    })
}

/// The answer to a request that could not be read: 505 for another version, 400 with what is wrong for all else.
/// `None` where no answer can be addressed, and for what must not be answered (RFC 3261 §8.2, §17.1.1.3, §21.4.1).
pub fn refuse(datagram: &[u8], error: FrontDoorError, to_tag: &str) -> Option<Response> {
    if error == FrontDoorError::KeepAlive || datagram.len() > MAX_DATAGRAM {
        return None;
    }
    let start = datagram.iter().position(|byte| !b"\r\n\0".contains(byte))?;
    let (lines, _) = split_head(&datagram[start..]).ok()?;
    let (start_line, lines) = lines.split_first()?;
    let method = start_line.split_ascii_whitespace().next()?;
    let version = start_line.split_ascii_whitespace().next_back()?;
    let is_request = !method.starts_with("SIP/") && version.starts_with("SIP/");
    if !is_request || method == "ACK" {
        return None;
    }
    let mut headers = Headers::default();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let name = full_name(name.trim());
        let is_copied = ["Via", "From", "To", "Call-ID", "CSeq"]
            .iter()
            .any(|copied| copied.eq_ignore_ascii_case(name));
        if is_copied && (is_list(name) || headers.first(name).is_none()) {
            headers.push(name, value.trim());
        }
    }
    let request = Request {
        method: Method::parse(method),
        uri: String::new(),
        headers,
        body: Vec::new(),
    };
    let has = |name| {
        request
            .headers
            .first(name)
            .is_some_and(|value| !value.is_empty())
    };
    if !["Via", "From", "To", "Call-ID", "CSeq"]
        .into_iter()
        .all(has)
    {
        return None;
    }
    let status = if version.eq_ignore_ascii_case("SIP/2.0") {
        400
    } else {
        505
    };
    let mut response = request.respond(status, to_tag);
    let text = error.to_string().replace('"', "'");
    response
        .headers
        .push("Warning", format!("399 aftercall \"{text}\""));
    Some(response)
}

enum Start {
    Request(Method, String),
    Response(u16),
}

/// The lines before the empty one, unfolded, each with the number it begins at, and what follows them.
fn split_head(datagram: &[u8]) -> Result<(Vec<String>, &[u8]), FrontDoorError> {
    let mut lines: Vec<String> = Vec::new();
    let mut rest = datagram;
    while !rest.is_empty() {
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or(FrontDoorError::Cut(lines.len() + 1))?;
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        rest = &rest[end + 1..];
        if line.is_empty() {
            break;
        }
        if lines.len() > MAX_HEADERS {
            return Err(FrontDoorError::TooManyHeaders);
        }
        let text = String::from_utf8_lossy(line);
        match lines.last_mut() {
            Some(last) if text.starts_with([' ', '\t']) => {
                last.push(' ');
                last.push_str(text.trim());
            }
            Some(_) | None => lines.push(text.into_owned()),
        }
    }
    Ok((lines, rest))
}

fn parse_start_line(line: &str) -> Result<Start, FrontDoorError> {
    let mut words = line.split_ascii_whitespace();
    let (Some(first), Some(second)) = (words.next(), words.next()) else {
        return Err(FrontDoorError::StartLine);
    };
    if first.eq_ignore_ascii_case("SIP/2.0") {
        let status: u16 = second.parse().map_err(|_| FrontDoorError::StartLine)?;
        if !(100..700).contains(&status) {
            return Err(FrontDoorError::Status(status));
        }
        return Ok(Start::Response(status));
    }
    let is_token = first
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte));
    match (words.next(), words.next()) {
        (Some(version), None) if version.eq_ignore_ascii_case("SIP/2.0") && is_token => {
            Ok(Start::Request(Method::parse(first), second.to_owned()))
        }
        _ => Err(FrontDoorError::StartLine),
    }
}

/// The headers, comma lists split, and Content-Length, which is a matter of framing and not kept.
fn parse_headers(lines: &[String]) -> Result<(Headers, Option<usize>), FrontDoorError> {
    let mut headers = Headers::default();
    let mut length = None;
    for (index, line) in lines.iter().enumerate() {
        let (name, value) = line
            .split_once(':')
            .ok_or(FrontDoorError::Header(index + 2))?;
        let (name, value) = (full_name(name.trim()), value.trim());
        if name.is_empty() {
            return Err(FrontDoorError::Header(index + 2));
        }
        if name.eq_ignore_ascii_case("Content-Length") {
            let said = value.parse().map_err(|_| FrontDoorError::ContentLength)?;
            if length.is_some_and(|known| known != said) {
                return Err(FrontDoorError::Twice("Content-Length"));
            }
            length = Some(said);
        } else if is_list(name) {
            split_list(value, ',')
                .filter(|part| !part.is_empty())
                .for_each(|part| headers.push(name, part));
        } else if !value.is_empty() || !is_mandatory(name) {
            headers.push(name, value);
        }
    }
    Ok((headers, length))
}

/// Each stands once; one without a value is none.
const MANDATORY: [&str; 4] = ["From", "To", "Call-ID", "CSeq"];

fn is_mandatory(name: &str) -> bool {
    MANDATORY
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn check_mandatory(headers: &Headers, start: &Start) -> Result<(), FrontDoorError> {
    if headers.first("Via").is_none() {
        return Err(FrontDoorError::Missing("Via"));
    }
    for name in MANDATORY {
        match headers.all(name).take(2).count() {
            0 => return Err(FrontDoorError::Missing(name)),
            1 => {}
            _ => return Err(FrontDoorError::Twice(name)),
        }
    }
    let (number, method) = headers.cseq().ok_or(FrontDoorError::CSeq)?;
    if number > i32::MAX.unsigned_abs() {
        return Err(FrontDoorError::CSeq);
    }
    match start {
        Start::Request(named, _) if *named != method => Err(FrontDoorError::CSeqMethod),
        Start::Request(..) | Start::Response(_) => Ok(()),
    }
}

/// Headers that may hold several values in one line and are read one value at a time (RFC 3261 §7.3.1).
fn is_list(name: &str) -> bool {
    ["Via", "Route", "Record-Route", "Contact"]
        .iter()
        .any(|list| list.eq_ignore_ascii_case(name))
}

/// Compact names (RFC 3261 §7.3.3 and the registry of its extensions).
fn full_name(name: &str) -> &str {
    match name {
        "v" | "V" => "Via",
        "f" | "F" => "From",
        "t" | "T" => "To",
        "i" | "I" => "Call-ID",
        "m" | "M" => "Contact",
        "l" | "L" => "Content-Length",
        "c" | "C" => "Content-Type",
        "e" | "E" => "Content-Encoding",
        "k" | "K" => "Supported",
        "s" | "S" => "Subject",
        "x" | "X" => "Session-Expires",
        "r" | "R" => "Refer-To",
        "b" | "B" => "Referred-By",
        "o" | "O" => "Event",
        "u" | "U" => "Allow-Events",
        "a" | "A" => "Accept-Contact",
        "j" | "J" => "Reject-Contact",
        "d" | "D" => "Request-Disposition",
        "y" | "Y" => "Identity",
        other => other,
    }
}
