//! Requests and responses as this project holds them: rsip's untyped headers under a start line of our own.
//!
//! rsip's own start line refuses methods and hosts that peers send (RFC 3261 §7.1), and re-writes URIs that
//! must come back byte for byte (§12.2.1.1), so a URI is text here. Reading is [`super::front_door`]'s work.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use rsip::Header;
use rsip::headers::{
    Allow, CSeq, CallId, Contact, ContentLength, ContentType, From as FromHeader, MaxForwards,
    ProxyAuthenticate, ProxyAuthorization, RecordRoute, Require, Route, Server, Supported, To,
    UntypedHeader, UserAgent, Via, WwwAuthenticate,
};

use super::event::Transport;

/// A request's method (RFC 3261 §7.1 and its extensions); any other token is kept as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
    Info,
    Update,
    Notify,
    Prack,
    Refer,
    Register,
    Message,
    Subscribe,
    Publish,
    Other(String),
}

impl Method {
    /// Reads a method; names are case-sensitive (RFC 3261 §7.1).
    pub fn parse(name: &str) -> Method {
        match name {
            "INVITE" => Method::Invite,
            "ACK" => Method::Ack,
            "BYE" => Method::Bye,
            "CANCEL" => Method::Cancel,
            "OPTIONS" => Method::Options,
            "INFO" => Method::Info,
            "UPDATE" => Method::Update,
            "NOTIFY" => Method::Notify,
            "PRACK" => Method::Prack,
            "REFER" => Method::Refer,
            "REGISTER" => Method::Register,
            "MESSAGE" => Method::Message,
            "SUBSCRIBE" => Method::Subscribe,
            "PUBLISH" => Method::Publish,
            other => Method::Other(other.to_owned()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Method::Invite => "INVITE",
            Method::Ack => "ACK",
            Method::Bye => "BYE",
            Method::Cancel => "CANCEL",
            Method::Options => "OPTIONS",
            Method::Info => "INFO",
            Method::Update => "UPDATE",
            Method::Notify => "NOTIFY",
            Method::Prack => "PRACK",
            Method::Refer => "REFER",
            Method::Register => "REGISTER",
            Method::Message => "MESSAGE",
            Method::Subscribe => "SUBSCRIBE",
            Method::Publish => "PUBLISH",
            Method::Other(name) => name,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message's headers in their order; a comma list that arrived in one line is already split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<Header>);

impl Headers {
    /// A line break in `value` becomes a blank: no value can smuggle in a header.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        let mut value = value.into();
        if value.contains(['\r', '\n']) {
            value = value.replace(['\r', '\n'], " ");
        }
        self.0.push(header(name, value));
    }

    /// [`Headers::push`] in front of all: a Via.
    pub fn push_first(&mut self, name: &str, value: String) {
        self.push(name, value);
        self.0.rotate_right(1);
    }

    /// Another value for the first header of this name.
    fn replace_first(&mut self, name: &str, value: String) {
        let is_named = |entry: &&mut Header| parts(entry).0.eq_ignore_ascii_case(name);
        if let Some(entry) = self.0.iter_mut().find(is_named) {
            *entry = header(name, value);
        }
    }

    /// All of `others` after what is here.
    pub fn extend(&mut self, others: &Headers) {
        self.0.extend_from_slice(&others.0);
    }

    /// Takes away every header of these names.
    pub fn remove(&mut self, names: &[&str]) {
        let is_named = |key: &str| names.iter().any(|name| key.eq_ignore_ascii_case(name));
        self.0.retain(|header| !is_named(parts(header).0));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(parts)
    }

    /// All values of the headers called `name`, in order, in whatever case they were written.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .map(parts)
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The Call-ID; empty where a message was built without one (the front door refuses such).
    pub fn call_id(&self) -> &str {
        self.first("Call-ID").unwrap_or_default()
    }

    /// CSeq's number and method (RFC 3261 §20.16).
    pub fn cseq(&self) -> Option<(u32, Method)> {
        let (number, method) = self.first("CSeq")?.trim().split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, Method::parse(method.trim())))
    }

    /// The branch of the topmost Via: the transaction's name (RFC 3261 §17.1.3).
    pub fn branch(&self) -> Option<String> {
        parameter(self.first("Via")?, "branch")
    }

    pub fn from_tag(&self) -> Option<String> {
        address_parameter(self.first("From")?, "tag")
    }

    pub fn to_tag(&self) -> Option<String> {
        address_parameter(self.first("To")?, "tag")
    }

    /// Whether a list of option tags or methods (`Require`, `Supported`, `Allow`) names `tag`, in whatever case.
    pub fn lists(&self, name: &str, tag: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|entry| entry.trim().eq_ignore_ascii_case(tag))
    }

    /// A header that holds seconds before its parameters or comment: `Retry-After`, `Min-SE`, `Session-Expires`.
    pub fn seconds(&self, name: &str) -> Option<Duration> {
        let value = self.first(name)?.trim_start();
        let digits = value.split(|c: char| !c.is_ascii_digit()).next()?;
        // Longer than a day is as good as a day, and never overflows an instant.
        let seconds: u64 = digits.parse().ok()?;
        Some(Duration::from_secs(seconds.min(86_400)))
    }

    /// The cause of `Reason: Q.850;cause=16` (RFC 3326), or of the first such entry in a list.
    pub fn q850_cause(&self) -> Option<u16> {
        self.all("Reason")
            .flat_map(|value| split_list(value, ','))
            .find_map(|entry| {
                let protocol = entry.split(';').next()?.trim();
                protocol
                    .eq_ignore_ascii_case("Q.850")
                    .then(|| parameter(entry, "cause")?.parse().ok())?
            })
    }
}

impl fmt::Display for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|header| write!(f, "{header}\r\n"))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Method,
    pub uri: String,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Request {
    /// The datagram; Content-Length is written here and nowhere else.
    pub fn to_bytes(&self) -> Vec<u8> {
        datagram(
            &format!("{} {} SIP/2.0", self.method, self.uri),
            &self.headers,
            &self.body,
        )
    }

    /// [`Request::to_bytes`] as text, for a request without a body: its headers are text.
    pub fn to_bytes_text(&self) -> String {
        String::from_utf8_lossy(&self.to_bytes()).into_owned()
    }

    /// Notes in the topmost Via where the request came `from` (RFC 3261 §18.2.1, RFC 3581 §4); where its answers go.
    ///
    /// Back to the port that it came from: a NAT may stand between. But who asks for no `rport`, and stands where its Via says,
    /// listens on the port of its Via (§18.2.2).
    pub fn came_from(&mut self, from: SocketAddr) -> SocketAddr {
        let is_stream = self.carried_by().is_stream();
        let Some(via) = self.headers.first("Via").map(str::to_owned) else {
            return from;
        };
        let (sent_by, parameters) = via.split_once(';').unwrap_or((&via, ""));
        let (protocol, place) = sent_by.trim().rsplit_once([' ', '\t']).unwrap_or(("", ""));
        let (host, port) = host_and_port(place).unwrap_or((place, 5_060));
        let is_there = host.parse::<IpAddr>().is_ok_and(|ip| ip == from.ip());
        let asks = parameter(&via, "rport").is_some();
        if asks || !is_there {
            let known = |entry: &&str| {
                let name = entry.split('=').next().unwrap_or_default().trim();
                !name.is_empty()
                    && !["rport", "received"]
                        .iter()
                        .any(|own| name.eq_ignore_ascii_case(own))
            };
            let mut noted = format!("{} {}", protocol.trim(), place.trim());
            for entry in split_list(parameters, ';').filter(known) {
                noted.push_str(&format!(";{entry}"));
            }
            noted.push_str(&format!(";received={}", from.ip()));
            if asks {
                noted.push_str(&format!(";rport={}", from.port()));
            }
            self.headers.replace_first("Via", noted);
        }
        if is_there && !asks && !is_stream {
            (from.ip(), port).into()
        } else {
            from
        }
    }

    /// What carried it, as its topmost Via says.
    pub fn carried_by(&self) -> Transport {
        let via = self.headers.first("Via").unwrap_or_default();
        transport_of(via.split('/').nth(2).unwrap_or_default())
    }

    /// A response with the headers that RFC 3261 §8.2.6.2 wants copied, and `to_tag` where To had none.
    pub fn respond(&self, status: u16, to_tag: &str) -> Response {
        let mut headers = Headers::default();
        for name in ["Via", "Record-Route"] {
            self.headers
                .all(name)
                .for_each(|value| headers.push(name, value));
        }
        headers.push("From", self.headers.first("From").unwrap_or_default());
        let to = self.headers.first("To").unwrap_or_default();
        match self.headers.to_tag() {
            None if status > 100 => headers.push("To", format!("{to};tag={to_tag}")),
            Some(_) | None => headers.push("To", to),
        }
        headers.push("Call-ID", self.headers.call_id());
        headers.push("CSeq", self.headers.first("CSeq").unwrap_or_default());
        Response {
            status,
            headers,
            body: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699, proved by the front door.
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Response {
    /// The datagram, with the reason phrase of RFC 3261 §21.
    pub fn to_bytes(&self) -> Vec<u8> {
        datagram(
            &format!("SIP/2.0 {}", rsip::StatusCode::from(self.status)),
            &self.headers,
            &self.body,
        )
    }

    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Request(Request),
    Response(Response),
}

impl Message {
    pub fn headers(&self) -> &Headers {
        match self {
            Message::Request(request) => &request.headers,
            Message::Response(response) => &response.headers,
        }
    }
}

/// What carries a message that we wrote: its topmost Via says so (RFC 3261 §18.1.1, §18.2.2).
pub fn carried_by(message: &[u8]) -> Transport {
    let is_via = |line: &&[u8]| line.len() > 4 && line[..4].eq_ignore_ascii_case(b"via:");
    let via = message.split(|byte| *byte == b'\n').find(is_via);
    let mut parts = via.unwrap_or_default().split(|byte| *byte == b'/').skip(2);
    transport_of(&String::from_utf8_lossy(parts.next().unwrap_or_default()))
}

/// The third part of a Via's protocol, with whatever follows it.
fn transport_of(protocol: &str) -> Transport {
    match protocol.split_whitespace().next() {
        Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(name) if name.eq_ignore_ascii_case("tls") => Transport::Tls,
        Some(_) | None => Transport::Udp,
    }
}

/// Letters and digits for tags, branches and Call-IDs, 5 bits each.
pub fn token(random: &mut ChaCha20Rng, length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..length)
        .map(|_| char::from(ALPHABET[random.next_u32() as usize % ALPHABET.len()]))
        .collect()
}

/// The value of a parameter after the first `;` that is neither quoted nor in angle brackets.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    split_list(value, ';').skip(1).find_map(|entry| {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"').to_owned())
    })
}

/// A parameter of From or To, whose URI may stand without brackets (RFC 3261 §20: then all belong to the header).
fn address_parameter(value: &str, name: &str) -> Option<String> {
    parameter(value, name).filter(|value| !value.is_empty())
}

/// Whether a URI of the peer's can stand in a request line of ours: a blank in it would make the line unreadable.
pub fn is_uri(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The URI of an address (`"Ward" <sip:1@h;lr>;q=1`), without display name and header parameters.
pub fn address_uri(value: &str) -> &str {
    let unquoted = skip_quoted(value.trim());
    match unquoted.split_once('<') {
        Some((_, rest)) => rest.split_once('>').map_or(rest, |(uri, _)| uri).trim(),
        None => unquoted.split(';').next().unwrap_or_default().trim(),
    }
}

/// Host without brackets and port of a `sip:` URI; 5060 where it names none. `None` for other schemes and no host.
pub fn host_port(uri: &str) -> Option<(&str, u16)> {
    let (scheme, rest) = uri.split_once(':')?;
    if !scheme.eq_ignore_ascii_case("sip") {
        return None;
    }
    let rest = rest.split([';', '?']).next()?;
    host_and_port(rest.rsplit_once('@').map_or(rest, |(_, host)| host).trim())
}

/// Where a message for this URI goes, if that is at `host`: its `maddr` or its host, and its port (RFC 3261 §19.1.1).
pub fn place_at(uri: &str, host: IpAddr) -> Option<SocketAddr> {
    let (named, port) = host_port(uri)?;
    let at = parameter(uri.split('?').next()?, "maddr").unwrap_or_else(|| named.to_owned());
    let ip: IpAddr = at.trim_matches(['[', ']']).parse().ok()?;
    (ip == host).then_some((ip, port).into())
}

fn host_and_port(authority: &str) -> Option<(&str, u16)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map_or(Some(5060), |port| port.parse().ok())?;
    (!host.is_empty() && port != 0).then_some((host, port))
}

/// Splits at `separator` outside quotes and angle brackets.
pub fn split_list(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let all = rest?;
        let (mut quoted, mut escaped, mut angles) = (false, false, false);
        for (at, c) in all.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                '<' if !quoted => angles = true,
                '>' if !quoted => angles = false,
                c if c == separator && !quoted && !angles => {
                    let (head, tail) = all.split_at(at);
                    rest = Some(&tail[separator.len_utf8()..]);
                    return Some(head.trim());
                }
                _ => {}
            }
        }
        rest = None;
        Some(all.trim())
    })
}

/// What follows a leading quoted display name; all of it where there is none.
fn skip_quoted(text: &str) -> &str {
    let Some(inner) = text.strip_prefix('"') else {
        return text;
    };
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &inner[at + 1..],
            _ => {}
        }
    }
    text
}

fn datagram(start_line: &str, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let length = ContentLength::new(body.len().to_string());
    let mut bytes = format!("{start_line}\r\n{headers}{length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Names that rsip has a type for and this project reads or writes; all others travel as `Header::Other`.
fn header(name: &str, value: String) -> Header {
    match name.to_ascii_lowercase().as_str() {
        "via" => Header::Via(Via::new(value)),
        "from" => Header::From(FromHeader::new(value)),
        "to" => Header::To(To::new(value)),
        "call-id" => Header::CallId(CallId::new(value)),
        "cseq" => Header::CSeq(CSeq::new(value)),
        "contact" => Header::Contact(Contact::new(value)),
        "route" => Header::Route(Route::new(value)),
        "record-route" => Header::RecordRoute(RecordRoute::new(value)),
        "max-forwards" => Header::MaxForwards(MaxForwards::new(value)),
        "content-type" => Header::ContentType(ContentType::new(value)),
        "www-authenticate" => Header::WwwAuthenticate(WwwAuthenticate::new(value)),
        "proxy-authenticate" => Header::ProxyAuthenticate(ProxyAuthenticate::new(value)),
        "proxy-authorization" => Header::ProxyAuthorization(ProxyAuthorization::new(value)),
        "allow" => Header::Allow(Allow::new(value)),
        "supported" => Header::Supported(Supported::new(value)),
        "require" => Header::Require(Require::new(value)),
        "user-agent" => Header::UserAgent(UserAgent::new(value)),
        "server" => Header::Server(Server::new(value)),
        _ => Header::Other(name.to_owned(), value),
    }
}

/// The inverse of [`header`]; rsip's enum has no such view.
fn parts(header: &Header) -> (&str, &str) {
    match header {
        Header::Via(value) => ("Via", value.value()),
        Header::From(value) => ("From", value.value()),
        Header::To(value) => ("To", value.value()),
        Header::CallId(value) => ("Call-ID", value.value()),
        Header::CSeq(value) => ("CSeq", value.value()),
        Header::Contact(value) => ("Contact", value.value()),
        Header::Route(value) => ("Route", value.value()),
        Header::RecordRoute(value) => ("Record-Route", value.value()),
        Header::MaxForwards(value) => ("Max-Forwards", value.value()),
        Header::ContentType(value) => ("Content-Type", value.value()),
        Header::WwwAuthenticate(value) => ("WWW-Authenticate", value.value()),
        Header::ProxyAuthenticate(value) => ("Proxy-Authenticate", value.value()),
        Header::ProxyAuthorization(value) => ("Proxy-Authorization", value.value()),
        Header::Allow(value) => ("Allow", value.value()),
        Header::Supported(value) => ("Supported", value.value()),
        Header::Require(value) => ("Require", value.value()),
        Header::UserAgent(value) => ("User-Agent", value.value()),
        Header::Server(value) => ("Server", value.value()),
        Header::Other(name, value) => (name, value),
        _ => ("", ""),
    }
}
