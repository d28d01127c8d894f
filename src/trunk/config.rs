//! A trunk: one TOML file in `sip_config/`, read whole and proved before the first call.
//!
//! No secret is in it: a password's environment variable is named. What the calls need of it is
//! [`Trunk::leg_config`]; what may be called without a patient record is said here too.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use aftercall_core::codec::Codec;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{FIRST_ANSWER_LIMIT, LegConfig};
use serde::Deserialize;
use toml::Spanned;

use super::place::{Source, TrunkError};

/// The file as it is written. Every key is explained in `sip_config/asterisk.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkFile {
    version: Spanned<u32>,
    name: Spanned<String>,
    target: Spanned<String>,
    #[serde(default)]
    transport: Transport,
    bind: Spanned<String>,
    lines: Spanned<usize>,
    ring_timeout_s: Option<Spanned<u64>>,
    first_answer_limit_s: Option<Spanned<u64>>,
    caller: CallerTable,
    account: Option<AccountTable>,
    media: MediaTable,
    #[serde(default)]
    numbers: NumbersTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerTable {
    user: Spanned<String>,
    domain: Option<Spanned<String>>,
    display: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountTable {
    username: Spanned<String>,
    password_env: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaTable {
    codecs: Spanned<Vec<Codec>>,
    ports: Spanned<[u16; 2]>,
    address: Option<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NumbersTable {
    country: Option<Spanned<String>>,
    national: Option<Spanned<String>>,
    international: Option<Spanned<String>>,
    prefix: Option<Spanned<String>>,
    #[serde(default)]
    allow_without_record: Vec<Spanned<String>>,
}

/// How SIP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    #[default]
    Udp,
}

/// A way to the telephone network, proved.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// Lower-case letters, digits and dashes: the name in rows and metrics.
    pub name: String,
    pub transport: Transport,
    /// Host name or address of the target; an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
    /// Our SIP socket; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The most calls at once.
    pub lines: usize,
    pub ring_timeout: Duration,
    pub first_answer_limit: Duration,
    pub caller: Caller,
    account: Option<Account>,
    /// At least one, in the order of our offer.
    pub codecs: Vec<Codec>,
    /// RTP on the even ports, RTCP on the odd ones.
    pub rtp_ports: RangeInclusive<u16>,
    /// The address in our session descriptions, where it is not that of the SIP socket.
    pub media_address: Option<IpAddr>,
    numbers: Numbers,
}

/// Who rings, as the callee and the trunk see it.
#[derive(Clone, Debug)]
pub struct Caller {
    pub user: String,
    /// `None`: the target's.
    pub domain: Option<String>,
    pub display: Option<String>,
}

#[derive(Clone, Debug)]
struct Account {
    username: String,
    password_env: String,
}

#[derive(Clone, Debug)]
struct Numbers {
    country: Option<String>,
    national: String,
    international: String,
    prefix: String,
    allow_without_record: Vec<PhoneNumber>,
}

/// The environment has no password for the trunk's account.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "trunk `{trunk}`: environment variable {variable} is not set; it holds the account's password"
)]
pub struct MissingPassword {
    pub trunk: String,
    pub variable: String,
}

impl Trunk {
    /// Reads and proves a trunk file.
    ///
    /// # Errors
    /// [`TrunkError`] with line and cure.
    pub fn load(file: &Path) -> Result<Trunk, TrunkError> {
        let text = fs::read_to_string(file).map_err(|error| {
            let source = Source { file, text: "" };
            source.error_without_line(error, "give the path of a file like those in sip_config/")
        })?;
        Trunk::parse(file, &text)
    }

    /// [`Trunk::load`] of a text; `file` is its name in errors.
    ///
    /// # Errors
    /// [`TrunkError`] with line and cure.
    pub fn parse(file: &Path, text: &str) -> Result<Trunk, TrunkError> {
        let source = Source { file, text };
        let raw: TrunkFile = toml::from_str(text).map_err(|error| source.toml_error(&error))?;
        check(
            &source,
            &raw.version,
            |version| *version == 1,
            "this program reads version = 1",
        )?;
        let (host, port) = target(&source, &raw.target)?;
        let seconds = |value: &Option<Spanned<u64>>,
                       default: Duration,
                       range: RangeInclusive<u64>,
                       hint: &str| {
            let Some(value) = value else {
                return Ok(default);
            };
            check(&source, value, |value| range.contains(value), hint)?;
            Ok(Duration::from_secs(*value.get_ref()))
        };
        check(
            &source,
            &raw.name,
            |name| is_name(name),
            "lower-case letters, digits and dashes, as in `ward-pbx`",
        )?;
        check(
            &source,
            &raw.lines,
            |lines| (1..=2_000).contains(lines),
            "1 to 2000 calls at once",
        )?;
        Ok(Trunk {
            transport: raw.transport,
            bind: bind(&source, &raw.bind, &host)?,
            ring_timeout: seconds(
                &raw.ring_timeout_s,
                Duration::from_secs(45),
                5..=120,
                "a phone may ring 5 to 120 s",
            )?,
            first_answer_limit: seconds(
                &raw.first_answer_limit_s,
                FIRST_ANSWER_LIMIT,
                1..=32,
                "1 to 32 s; a healthy target answers within 1 s",
            )?,
            caller: caller(&source, raw.caller)?,
            account: raw
                .account
                .map(|account| account_of(&source, account))
                .transpose()?,
            rtp_ports: rtp_ports(&source, &raw.media.ports, *raw.lines.get_ref())?,
            codecs: codecs(&source, raw.media.codecs)?,
            media_address: raw.media.address,
            numbers: numbers(&source, raw.numbers)?,
            name: raw.name.into_inner(),
            lines: raw.lines.into_inner(),
            host,
            port,
        })
    }

    /// The target is this machine: only then may a demo signature dial, and anyone be called without a record.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// May `number` be called by hand, with no patient behind it?
    pub fn may_call_without_record(&self, number: &PhoneNumber) -> bool {
        self.is_loopback() || self.numbers.allow_without_record.contains(number)
    }

    /// The account, with its password from the environment; `None` where the trunk knows us by our address.
    ///
    /// # Errors
    /// [`MissingPassword`], naming the variable.
    pub fn credentials(&self) -> Result<Option<Credentials>, MissingPassword> {
        let Some(Account {
            username,
            password_env,
        }) = &self.account
        else {
            return Ok(None);
        };
        match std::env::var(password_env) {
            Ok(password) if !password.is_empty() => Ok(Some(Credentials {
                username: username.clone(),
                password: Phi::new(password),
            })),
            Ok(_) | Err(_) => Err(MissingPassword {
                trunk: self.name.clone(),
                variable: password_env.clone(),
            }),
        }
    }

    /// The number as the trunk wants it dialled.
    pub fn dialled(&self, number: &PhoneNumber) -> Phi<String> {
        let Numbers {
            country,
            national,
            international,
            prefix,
            ..
        } = &self.numbers;
        let number = number.expose();
        let domestic = country
            .as_ref()
            .and_then(|code| number.strip_prefix(code.as_str()));
        let rewritten = match (domestic, number.strip_prefix('+')) {
            (Some(rest), _) => format!("{national}{rest}"),
            (None, Some(digits)) => format!("{international}{digits}"),
            (None, None) => number.to_owned(),
        };
        Phi::new(format!("{prefix}{rewritten}"))
    }

    /// What a leg needs to call `number` from the SIP socket at `local`, with RTP on `media_port`.
    pub fn leg_config(
        &self,
        number: &PhoneNumber,
        local: SocketAddr,
        media_port: u16,
        credentials: Option<Credentials>,
    ) -> LegConfig {
        let target = authority(&self.host, self.port);
        let domain = self
            .caller
            .domain
            .clone()
            .unwrap_or_else(|| bracketed(&self.host));
        LegConfig {
            request_uri: format!("sip:{}@{target}", self.dialled(number).expose()),
            from_uri: format!("sip:{}@{domain}", self.caller.user),
            from_display: self.caller.display.clone(),
            contact_uri: format!("sip:{}@{local}", self.caller.user),
            via_host: local.to_string(),
            credentials,
            media_host: self.media_address.unwrap_or(local.ip()),
            media_port,
            codecs: self.codecs.clone(),
            ring_timeout: self.ring_timeout,
            first_answer_limit: self.first_answer_limit,
            extra_headers: Vec::new(),
            user_agent: concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Refuses a value, naming it and what would do.
fn check<T: std::fmt::Debug>(
    source: &Source<'_>,
    value: &Spanned<T>,
    is_right: impl Fn(&T) -> bool,
    hint: &str,
) -> Result<(), TrunkError> {
    if is_right(value.get_ref()) {
        return Ok(());
    }
    Err(source.error(
        value.span(),
        format!("{:?} cannot be used here", value.get_ref()),
        hint,
    ))
}

fn target(source: &Source<'_>, value: &Spanned<String>) -> Result<(String, u16), TrunkError> {
    let hint = "write host:port, as in `10.0.0.5:5060`, `pbx.example:5060` or `[2001:db8::5]:5060`";
    let parts = value
        .get_ref()
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let parts = parts.and_then(|(host, port): (&str, u16)| {
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let is_right = match bare {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_host_name(host),
        };
        (is_right && port != 0).then(|| (bare.unwrap_or(host).to_owned(), port))
    });
    parts.ok_or_else(|| {
        source.error(
            value.span(),
            format!("{:?} is no target", value.get_ref()),
            hint,
        )
    })
}

/// Our socket's address, of the same family as the target's where that is an address.
fn bind(
    source: &Source<'_>,
    value: &Spanned<String>,
    host: &str,
) -> Result<SocketAddr, TrunkError> {
    let hint = "write address:port of this machine, as in `0.0.0.0:5062`; port 0 takes a free one";
    let bind: SocketAddr = value.get_ref().parse().map_err(|_| {
        source.error(
            value.span(),
            format!("{:?} is no socket address", value.get_ref()),
            hint,
        )
    })?;
    match host.parse::<IpAddr>() {
        Ok(target) if target.is_ipv4() != bind.is_ipv4() => Err(source.error(
            value.span(),
            "bind and target are of different IP families",
            "use two of IPv4 or two of IPv6",
        )),
        Ok(_) | Err(_) => Ok(bind),
    }
}

fn caller(source: &Source<'_>, raw: CallerTable) -> Result<Caller, TrunkError> {
    check(
        source,
        &raw.user,
        |user| is_user(user),
        "the caller id: digits, letters, `+`, `-`, `_` and `.`",
    )?;
    if let Some(domain) = &raw.domain {
        check(
            source,
            domain,
            |domain| is_host_name(domain),
            "a host name or address, as in `hospital.example`",
        )?;
    }
    if let Some(display) = &raw.display {
        let is_right = |name: &String| name.len() <= 60 && !name.contains(char::is_control);
        check(source, display, is_right, "at most 60 bytes in one line")?;
    }
    Ok(Caller {
        user: raw.user.into_inner(),
        domain: raw.domain.map(Spanned::into_inner),
        display: raw.display.map(Spanned::into_inner),
    })
}

fn account_of(source: &Source<'_>, raw: AccountTable) -> Result<Account, TrunkError> {
    let is_variable = |name: &String| {
        name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let hint = "name the environment variable that holds the password, as in `WARD_PBX_PASSWORD`; never the password";
    if !is_variable(raw.password_env.get_ref()) {
        // It may be the password itself: not repeated.
        return Err(source.error(
            raw.password_env.span(),
            "password_env is no variable's name",
            hint,
        ));
    }
    let is_right = |name: &String| !name.is_empty() && !name.contains(char::is_control);
    check(
        source,
        &raw.username,
        is_right,
        "the account's name at the trunk",
    )?;
    Ok(Account {
        username: raw.username.into_inner(),
        password_env: raw.password_env.into_inner(),
    })
}

fn codecs(source: &Source<'_>, value: Spanned<Vec<Codec>>) -> Result<Vec<Codec>, TrunkError> {
    check(
        source,
        &value,
        |codecs| !codecs.is_empty(),
        "name `pcma`, `pcmu` or both, the preferred one first",
    )?;
    Ok(value.into_inner())
}

/// An even first port, and two ports for each line: RTP and RTCP.
fn rtp_ports(
    source: &Source<'_>,
    value: &Spanned<[u16; 2]>,
    lines: usize,
) -> Result<RangeInclusive<u16>, TrunkError> {
    let [first, last] = *value.get_ref();
    let is_range = first >= 1_024 && first.is_multiple_of(2) && last > first;
    let error = |what: String| {
        let hint = "write [first, last], first even and above 1023, two ports for each of `lines`";
        source.error(value.span(), what, hint)
    };
    if !is_range {
        return Err(error(format!("{first} to {last} is no range of RTP ports")));
    }
    let pairs = (usize::from(last - first) + 1) / 2;
    if pairs < lines {
        return Err(error(format!(
            "{first} to {last} is room for {pairs} calls, lines is {lines}"
        )));
    }
    Ok(first..=last)
}

fn numbers(source: &Source<'_>, raw: NumbersTable) -> Result<Numbers, TrunkError> {
    let is_dialled = |text: &String| {
        text.len() <= 8
            && text
                .chars()
                .all(|c| c.is_ascii_digit() || "+*#".contains(c))
    };
    let hint = "up to 8 of 0-9, `+`, `*` and `#`; empty for nothing";
    for part in [&raw.national, &raw.international, &raw.prefix]
        .into_iter()
        .flatten()
    {
        check(source, part, is_dialled, hint)?;
    }
    if let Some(country) = &raw.country {
        let is_code = |code: &String| code.len() >= 2 && code.starts_with('+') && is_dialled(code);
        check(
            source,
            country,
            is_code,
            "the country code with its plus, as in `+86`",
        )?;
    }
    let allowed = raw.allow_without_record.into_iter().map(|number| {
        // The number itself is not repeated in the error.
        PhoneNumber::parse(number.get_ref()).map_err(|error| {
            source.error(
                number.span(),
                error,
                "as in `+8613800138000` or an extension of 3 to 15 digits",
            )
        })
    });
    let text = |part: Option<Spanned<String>>, default: &str| {
        part.map_or_else(|| default.to_owned(), Spanned::into_inner)
    };
    Ok(Numbers {
        allow_without_record: allowed.collect::<Result<_, _>>()?,
        country: raw.country.map(Spanned::into_inner),
        national: text(raw.national, ""),
        international: text(raw.international, "+"),
        prefix: text(raw.prefix, ""),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 32
        && name
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

fn is_user(user: &str) -> bool {
    (1..=32).contains(&user.len())
        && user
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+-_.".contains(&c))
}

fn is_host_name(host: &str) -> bool {
    (1..=253).contains(&host.len())
        && host
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

fn authority(host: &str, port: u16) -> String {
    format!("{}:{port}", bracketed(host))
}
