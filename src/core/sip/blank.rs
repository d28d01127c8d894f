//! A SIP message without what is personal: it may lie on a disk and be shown to whoever looks after the line.
//!
//! What is kept is listed here, all else becomes `x`: users of URIs, display names, credentials, the keys of SRTP,
//! bodies that are no session description. Kept text is swept of the numbers and names that stood in the addresses,
//! because a far end may write them into a Call-ID too.

use super::front_door::{FrontDoorError, parse_message};
use super::message::{Headers, Message, Request, Response, address_uri, parameter, split_list};

const BLANK: &str = "x";
/// Thirty zero bytes: what reads captures wants a key here.
const NO_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// Digits of a number by which it is known again, whatever stands before them.
const TAIL: usize = 7;
/// A Latin name that is shorter is left where it stands in a token.
const NAME: usize = 3;

/// Headers that say nothing of a person.
const PLAIN: [&str; 21] = [
    "Via",
    "CSeq",
    "Max-Forwards",
    "Allow",
    "Allow-Events",
    "Supported",
    "Require",
    "Proxy-Require",
    "Unsupported",
    "Accept",
    "Expires",
    "Min-Expires",
    "Min-SE",
    "Session-Expires",
    "RSeq",
    "RAck",
    "Retry-After",
    "Subscription-State",
    "Event",
    "User-Agent",
    "Server",
];
const ADDRESSES: [&str; 11] = [
    "From",
    "To",
    "Contact",
    "Route",
    "Record-Route",
    "P-Asserted-Identity",
    "P-Preferred-Identity",
    "Remote-Party-ID",
    "Diversion",
    "Refer-To",
    "Referred-By",
];
const CHALLENGES: [&str; 4] = [
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authorization",
    "Proxy-Authorization",
];
const URI_PARAMETERS: [&str; 3] = ["transport", "lr", "user"];
const ADDRESS_PARAMETERS: [&str; 3] = ["tag", "expires", "q"];
const CHALLENGE_PARAMETERS: [&str; 5] = ["realm", "algorithm", "qop", "stale", "nc"];
const ATTRIBUTES: [&str; 14] = [
    "rtpmap",
    "fmtp",
    "ptime",
    "maxptime",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "rtcp",
    "rtcp-mux",
    "setup",
    "fingerprint",
    "mid",
    "group",
];

/// The message as text, blanked; what cannot be read is named by its fault alone. `None`: a keep-alive.
pub fn blank(datagram: &[u8]) -> Option<String> {
    let bytes = match parse_message(datagram) {
        Ok(Message::Request(request)) => {
            let secrets = Secrets::of(&request.headers, &request.uri);
            let (headers, body) = parts(&request.headers, &request.body, &secrets);
            let method = request.method;
            if !method.name().bytes().all(|byte| byte.is_ascii_uppercase()) {
                return Some("unreadable: a method that is no word\r\n".to_owned());
            }
            let uri = blank_uri(&request.uri);
            let blanked = Request {
                method,
                uri,
                headers,
                body,
            };
            blanked.to_bytes()
        }
        Ok(Message::Response(response)) => {
            let secrets = Secrets::of(&response.headers, "");
            let (headers, body) = parts(&response.headers, &response.body, &secrets);
            let status = response.status;
            let blanked = Response {
                status,
                headers,
                body,
            };
            blanked.to_bytes()
        }
        Err(FrontDoorError::KeepAlive) => return None,
        Err(error) => return Some(format!("unreadable: {error}\r\n")),
    };
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Numbers and names of the addresses, to be found again elsewhere in the message.
#[derive(Default)]
struct Secrets {
    numbers: Vec<String>,
    names: Vec<String>,
}

impl Secrets {
    fn of(headers: &Headers, uri: &str) -> Secrets {
        let addresses = headers
            .iter()
            .filter(|(name, _)| is_one_of(&ADDRESSES, name));
        let mut secrets = Secrets::default();
        for (_, value) in addresses.chain([("", uri)]) {
            let (display, uri) = display_and_uri(value);
            let (_, user, _) = uri_parts(uri);
            for word in [display, user] {
                let digits: String = word.chars().filter(char::is_ascii_digit).collect();
                if digits.len() >= TAIL {
                    let tail = digits[digits.len() - TAIL..].to_owned();
                    secrets.numbers.push(tail);
                }
                let names = word.split_whitespace().filter(|name| is_name(name));
                secrets.names.extend(names.map(str::to_owned));
            }
        }
        secrets
    }

    /// The whole word that holds a number is blanked.
    fn sweep(&self, text: &str) -> String {
        sweep(text, |word| {
            self.numbers.iter().any(|tail| word.contains(tail))
        })
    }

    /// Of a Call-ID, names too: a far end makes it of what it likes.
    fn sweep_names(&self, text: &str) -> String {
        let swept = self.sweep(text);
        sweep(&swept, |word| {
            self.names.iter().any(|name| word.contains(name))
        })
    }
}

fn is_name(word: &str) -> bool {
    word.contains(char::is_alphabetic) && (word.chars().count() >= NAME || !word.is_ascii())
}

fn sweep(text: &str, is_hit: impl Fn(&str) -> bool) -> String {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '+' | '-' | '_' | '.' | '%');
    let mut swept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = is_part(first);
        let end = rest.find(|c| is_part(c) != is_word).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        swept.push_str(if is_word && is_hit(run) { BLANK } else { run });
        rest = after;
    }
    swept
}

fn parts(headers: &Headers, body: &[u8], secrets: &Secrets) -> (Headers, Vec<u8>) {
    let mut blanked = Headers::default();
    for (name, value) in headers.iter() {
        // A name may hold a number as well as a value.
        let is_name = |byte: u8| byte.is_ascii_alphabetic() || byte == b'-';
        if !name.bytes().all(is_name) {
            continue;
        }
        let value = if value.trim().is_empty() {
            String::new()
        } else if name.eq_ignore_ascii_case("Call-ID") {
            secrets.sweep_names(value)
        } else if is_one_of(&PLAIN, name) {
            secrets.sweep(value)
        } else if is_one_of(&ADDRESSES, name) {
            secrets.sweep(&blank_address(value))
        } else if is_one_of(&CHALLENGES, name) {
            secrets.sweep(&blank_challenge(value))
        } else if name.eq_ignore_ascii_case("Content-Type") {
            secrets.sweep(value.split(';').next().unwrap_or_default())
        } else if name.eq_ignore_ascii_case("Reason") {
            cause(value)
        } else {
            BLANK.to_owned()
        };
        blanked.push(name, value);
    }
    let content = headers.first("Content-Type").unwrap_or("application/sdp");
    (blanked, blank_body(content, body, secrets))
}

/// `"x" <sip:x@host>;tag=…`.
fn blank_address(value: &str) -> String {
    let (display, uri) = display_and_uri(value);
    let mut blanked = match (display.is_empty(), value.contains('<')) {
        (false, _) => format!("\"{BLANK}\" <{}>", blank_uri(uri)),
        (true, true) => format!("<{}>", blank_uri(uri)),
        (true, false) => blank_uri(uri),
    };
    keep_parameters(&mut blanked, value, &ADDRESS_PARAMETERS);
    blanked
}

fn blank_uri(uri: &str) -> String {
    let (scheme, user, host) = uri_parts(uri);
    let host = host.split('?').next().unwrap_or_default();
    let place = host.split(';').next().unwrap_or_default();
    let name = place.split(':').next().unwrap_or_default();
    let is_number = |c: char| c.is_ascii_digit() || "+-*#()".contains(c);
    let place = if name.chars().all(is_number) && !place.starts_with('[') {
        ""
    } else {
        place
    };
    let mut blanked = match (user, place) {
        (_, "") => format!("{scheme}:{BLANK}"),
        ("", place) => format!("{scheme}:{place}"),
        (_, place) => format!("{scheme}:{BLANK}@{place}"),
    };
    keep_parameters(&mut blanked, host, &URI_PARAMETERS);
    blanked
}

fn keep_parameters(blanked: &mut String, from: &str, kept: &[&str]) {
    for name in kept {
        match parameter(from, name) {
            Some(value) if value.is_empty() => {
                blanked.push(';');
                blanked.push_str(name);
            }
            Some(value) => blanked.push_str(&format!(";{name}={value}")),
            None => {}
        }
    }
}

fn blank_challenge(value: &str) -> String {
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
    let kept = split_list(rest, ',').map(|entry| {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        if is_one_of(&CHALLENGE_PARAMETERS, name.trim()) {
            format!("{}={value}", name.trim())
        } else {
            format!("{}=\"{BLANK}\"", name.trim())
        }
    });
    let kept: Vec<String> = kept.collect();
    format!("{scheme} {}", kept.join(", "))
}

/// `Q.850;cause=16`, without the far end's words.
fn cause(value: &str) -> String {
    let protocol = value.split(';').next().unwrap_or_default().trim();
    let known = ["Q.850", "SIP"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(protocol));
    let number = parameter(value, "cause").filter(|cause| cause.parse::<u16>().is_ok());
    match (known, number) {
        (Some(protocol), Some(number)) => format!("{protocol};cause={number}"),
        (Some(_) | None, _) => BLANK.to_owned(),
    }
}

fn blank_body(content: &str, body: &[u8], secrets: &Secrets) -> Vec<u8> {
    if body.is_empty() {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(body);
    let content = content.to_ascii_lowercase();
    if content.starts_with("application/sdp") {
        let lines = text.lines().map(|line| secrets.sweep(&blank_line(line)));
        return lines.map(|line| line + "\r\n").collect::<String>().into();
    }
    // How far a transfer is: the status line without its words (RFC 3515 §2.4.5).
    let status = text.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    match status {
        Some(status) if content.starts_with("message/sipfrag") => {
            format!("SIP/2.0 {status} {BLANK}\r\n").into()
        }
        Some(_) | None => format!("{BLANK}\r\n").into(),
    }
}

fn blank_line(line: &str) -> String {
    let line = line.trim();
    let (kind, value) = line.split_once('=').unwrap_or((line, ""));
    match kind {
        "v" | "c" | "t" | "m" | "b" => line.to_owned(),
        "o" => {
            let (_, rest) = value.split_once(' ').unwrap_or(("", BLANK));
            format!("o=- {rest}")
        }
        "a" => blank_attribute(line, value),
        _ if kind.len() == 1 => format!("{kind}={BLANK}"),
        _ => BLANK.to_owned(),
    }
}

fn blank_attribute(line: &str, value: &str) -> String {
    let (name, value) = value.split_once(':').unwrap_or((value, ""));
    if is_one_of(&ATTRIBUTES, name) {
        return line.to_owned();
    }
    if name.eq_ignore_ascii_case("crypto") {
        let mut words = value.split_ascii_whitespace();
        let (tag, suite) = (words.next(), words.next());
        return format!(
            "a=crypto:{} {} inline:{NO_KEY}",
            tag.unwrap_or_default(),
            suite.unwrap_or_default()
        );
    }
    format!("a=x-{BLANK}")
}

fn is_one_of(known: &[&str], name: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Display name without quotes, and the URI.
fn display_and_uri(value: &str) -> (&str, &str) {
    let value = value.trim();
    let display = match value.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => value.split_once('<').map(|(before, _)| before),
    };
    (display.unwrap_or_default().trim(), address_uri(value))
}

/// Scheme, user (with its password) and what follows; a `tel:` URI is all user.
fn uri_parts(uri: &str) -> (&str, &str, &str) {
    let (scheme, rest) = uri.split_once(':').unwrap_or((BLANK, uri));
    let has_host = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
    match rest.rsplit_once('@') {
        Some((user, host)) => (scheme, user, host),
        None if has_host => (scheme, "", rest),
        None => (scheme, rest, ""),
    }
}
