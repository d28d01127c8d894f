//! A trunk file as it is written, and the proof of each of its keys. What it means is [`super::config`]'s.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use aftercall_core::codec::Codec;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{CallerId, TrunkHours, Window};
use aftercall_core::sip::event::{FIRST_ANSWER_LIMIT, Transport};
use serde::Deserialize;
use toml::Spanned;

use super::config::{Account, Caller, HostPort, Numbers, Public, Srtp, Trunk};
use super::place::{Source, TrunkError};
use crate::config::CallingWindow;

/// Reads and proves a trunk file.
///
/// # Errors
/// [`TrunkError`] with line and cure.
pub(super) fn read(source: &Source<'_>) -> Result<Trunk, TrunkError> {
    let raw: TrunkFile = toml::from_str(source.text).map_err(|error| source.toml_error(&error))?;
    check(
        source,
        &raw.version,
        |version| *version == 1,
        "this program reads version = 1",
    )?;
    let targets = targets(source, raw.target.as_ref(), raw.targets.as_ref())?;
    let seconds = |value: &Option<Spanned<u64>>,
                   default: Duration,
                   range: RangeInclusive<u64>,
                   hint: &str| {
        let Some(value) = value else {
            return Ok(default);
        };
        check(source, value, |value| range.contains(value), hint)?;
        Ok(Duration::from_secs(*value.get_ref()))
    };
    check(
        source,
        &raw.name,
        |name| is_name(name),
        "lower-case letters, digits and dashes, as in `ward-pbx`",
    )?;
    check(
        source,
        &raw.lines,
        |lines| (1..=2_000).contains(lines),
        "1 to 2000 calls at once",
    )?;
    Ok(Trunk {
        transport: raw.transport,
        elsewhere: Vec::new(),
        answers: false,
        name_servers: name_servers(source, &raw.name_servers)?,
        large_by_tcp: raw.large_by_tcp.unwrap_or(true),
        bind: bind(source, &raw.bind, &targets)?,
        redirect_hosts: redirect_hosts(source, &raw.redirect_hosts)?,
        tls_ca: raw.tls_ca.unwrap_or_else(|| PathBuf::from(SYSTEM_CA)),
        options_every: optional_seconds(
            source,
            raw.options_every_s.as_ref(),
            5..=3_600,
            "5 to 3600 s between two OPTIONS",
        )?,
        register_for: optional_seconds(
            source,
            raw.register_s.as_ref(),
            60..=86_400,
            "register for 60 to 86400 s",
        )?,
        session_expires: optional_seconds(
            source,
            raw.session_expires_s.as_ref(),
            90..=86_400,
            "a session of 90 to 86400 s (RFC 4028 allows none shorter)",
        )?,
        reliable_provisional: raw.reliable_provisional.unwrap_or(true),
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
        caller: caller(source, raw.caller)?,
        calls_per_second: calls_per_second(source, raw.calls_per_second.as_ref())?,
        hours: hours(source, raw.hours)?,
        account: raw
            .account
            .map(|account| account_of(source, account))
            .transpose()?,
        rtp_ports: rtp_ports(source, &raw.media.ports, *raw.lines.get_ref())?,
        codecs: codecs(source, raw.media.codecs)?,
        media_address: raw.media.address,
        public: public(source, raw.public_address.as_ref())?,
        srtp: raw.media.srtp,
        numbers: numbers(source, raw.numbers)?,
        name: raw.name.into_inner(),
        lines: raw.lines.into_inner(),
        targets,
    })
}

/// The authorities that Debian trusts.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The file as it is written. Every key is explained in `sip_config/asterisk.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrunkFile {
    version: Spanned<u32>,
    name: Spanned<String>,
    target: Option<Spanned<String>>,
    targets: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    redirect_hosts: Vec<Spanned<String>>,
    transport: Option<Transport>,
    #[serde(default)]
    name_servers: Vec<Spanned<String>>,
    large_by_tcp: Option<bool>,
    tls_ca: Option<PathBuf>,
    options_every_s: Option<Spanned<u64>>,
    register_s: Option<Spanned<u64>>,
    session_expires_s: Option<Spanned<u64>>,
    reliable_provisional: Option<bool>,
    bind: Spanned<String>,
    public_address: Option<Spanned<String>>,
    lines: Spanned<usize>,
    calls_per_second: Option<Spanned<f64>>,
    hours: Option<Spanned<Vec<CallingWindow>>>,
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
    user: Option<Spanned<String>>,
    daily_cap: Option<Spanned<u32>>,
    users: Option<Spanned<Vec<CallerIdTable>>>,
    domain: Option<Spanned<String>>,
    display: Option<Spanned<String>>,
    #[serde(default)]
    asserted: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallerIdTable {
    user: Spanned<String>,
    daily_cap: Option<Spanned<u32>>,
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
    #[serde(default)]
    srtp: Srtp,
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

fn optional_seconds(
    source: &Source<'_>,
    value: Option<&Spanned<u64>>,
    range: RangeInclusive<u64>,
    hint: &str,
) -> Result<Option<Duration>, TrunkError> {
    let Some(value) = value else {
        return Ok(None);
    };
    check(source, value, |value| range.contains(value), hint)?;
    Ok(Some(Duration::from_secs(*value.get_ref())))
}

/// `target`, or the list `targets`.
fn targets(
    source: &Source<'_>,
    one: Option<&Spanned<String>>,
    many: Option<&Spanned<Vec<Spanned<String>>>>,
) -> Result<Vec<HostPort>, TrunkError> {
    let hint =
        "write one `target`, or several as `targets = [...]` in the order in which they are tried";
    match (one, many) {
        (Some(one), None) => Ok(vec![target(source, one)?]),
        (None, Some(many)) if !many.get_ref().is_empty() => many
            .get_ref()
            .iter()
            .map(|value| target(source, value))
            .collect(),
        (None, Some(many)) => Err(source.error(many.span(), "there is no target", hint)),
        (Some(_), Some(many)) => {
            Err(source.error(many.span(), "`target` and `targets` are both given", hint))
        }
        (None, None) => Err(source.error_without_line("there is no target", hint)),
    }
}

/// Hosts with or without a port.
fn redirect_hosts(
    source: &Source<'_>,
    values: &[Spanned<String>],
) -> Result<Vec<(String, Option<u16>)>, TrunkError> {
    let read = |value: &Spanned<String>| {
        let text = value.get_ref().as_str();
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        if let Some(ip) = bare
            .or(Some(text))
            .filter(|text| text.parse::<IpAddr>().is_ok())
        {
            return Ok((ip.to_owned(), None));
        }
        if is_host_name(text) {
            return Ok((text.to_owned(), None));
        }
        let HostPort { host, port } = target(source, value)?;
        Ok((host, port))
    };
    values.iter().map(read).collect()
}

/// The DNS servers of a network that has its own.
fn name_servers(
    source: &Source<'_>,
    values: &[Spanned<String>],
) -> Result<Vec<SocketAddr>, TrunkError> {
    let hint = "write the address of a DNS server and its port, as in `10.0.0.2:53`";
    let read = |value: &Spanned<String>| {
        let text = value.get_ref();
        let server = text.parse();
        server.map_err(|_| source.error(value.span(), format!("{text:?} is no address"), hint))
    };
    values.iter().map(read).collect()
}

fn target(source: &Source<'_>, value: &Spanned<String>) -> Result<HostPort, TrunkError> {
    let hint = "write host:port, as in `10.0.0.5:5060`, `pbx.example:5060` or `[2001:db8::5]:5060`, or a domain \
                whose SRV records say where, as in `carrier.example`";
    host_port(value.get_ref()).ok_or_else(|| {
        source.error(
            value.span(),
            format!("{:?} is no target", value.get_ref()),
            hint,
        )
    })
}

/// A host with its port, or a domain without one.
pub(super) fn host_port(text: &str) -> Option<HostPort> {
    let is_domain = is_host_name(text) && text.contains(|c: char| c.is_ascii_alphabetic());
    if is_domain {
        return Some(HostPort {
            host: text.to_owned(),
            port: None,
        });
    }
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok()?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let is_right = match bare {
        Some(ip) => ip.parse::<Ipv6Addr>().is_ok(),
        None => is_host_name(host),
    };
    (is_right && port != 0).then(|| HostPort {
        host: bare.unwrap_or(host).to_owned(),
        port: Some(port),
    })
}

/// Where the far end finds us, beyond a NAT.
fn public(source: &Source<'_>, value: Option<&Spanned<String>>) -> Result<Public, TrunkError> {
    let hint =
        "write address:port as the far end reaches us, as in `203.0.113.7:5062`, or `as_seen`";
    let Some(value) = value else {
        return Ok(Public::Own);
    };
    if value.get_ref() == "as_seen" {
        return Ok(Public::AsSeen);
    }
    let at = value.get_ref().parse().ok();
    let at = at.filter(|at: &SocketAddr| !at.ip().is_unspecified() && at.port() != 0);
    at.map(Public::At).ok_or_else(|| {
        source.error(
            value.span(),
            format!("{:?} is no address of ours", value.get_ref()),
            hint,
        )
    })
}

/// Our socket's address, of the same family as the target's where that is an address.
fn bind(
    source: &Source<'_>,
    value: &Spanned<String>,
    targets: &[HostPort],
) -> Result<SocketAddr, TrunkError> {
    let hint = "write address:port of this machine, as in `0.0.0.0:5062`; port 0 takes a free one";
    let bind: SocketAddr = value.get_ref().parse().map_err(|_| {
        source.error(
            value.span(),
            format!("{:?} is no socket address", value.get_ref()),
            hint,
        )
    })?;
    let is_other = |target: &HostPort| {
        let ip = target.host.parse::<IpAddr>();
        ip.is_ok_and(|ip| ip.is_ipv4() != bind.is_ipv4())
    };
    if targets.iter().any(is_other) {
        return Err(source.error(
            value.span(),
            "bind and target are of different IP families",
            "use two of IPv4 or two of IPv6",
        ));
    }
    Ok(bind)
}

/// Slower than one in ten seconds is no pace, and no trunk of ours needs more than 200.
fn calls_per_second(
    source: &Source<'_>,
    value: Option<&Spanned<f64>>,
) -> Result<Option<f64>, TrunkError> {
    if let Some(value) = value {
        let hint = "0.1 to 200 calls a second, as the carrier allows them";
        check(source, value, |rate| (0.1..=200.0).contains(rate), hint)?;
    }
    Ok(value.map(|value| *value.get_ref()))
}

fn hours(
    source: &Source<'_>,
    raw: Option<Spanned<Vec<CallingWindow>>>,
) -> Result<Option<TrunkHours>, TrunkError> {
    let Some(raw) = raw else {
        return Ok(None);
    };
    let hint = "write [{ days = [\"mon\", \"tue\"], from = \"09:00\", to = \"18:00\" }]; leave the key out for always";
    let error = |what| source.error(raw.span(), what, hint);
    let windows = raw.get_ref().iter().map(CallingWindow::window);
    let windows: Vec<Window> = windows.collect();
    if windows.iter().any(|window| window.from >= window.to) {
        return Err(error("a window ends before or when it begins"));
    }
    let hours = TrunkHours::new(&windows).ok_or_else(|| error("the trunk is never open"))?;
    Ok(Some(hours))
}

/// `user` with its cap, or the list `users`.
fn caller_ids(source: &Source<'_>, raw: &mut CallerTable) -> Result<Vec<CallerId>, TrunkError> {
    let hint = "write one `user`, or several as `users = [{ user = \"4008001234\", daily_cap = 300 }, ...]`";
    let ids = match (raw.user.take(), raw.users.take()) {
        (Some(user), None) => vec![CallerIdTable {
            user,
            daily_cap: raw.daily_cap.take(),
        }],
        (None, Some(users)) if users.get_ref().is_empty() => {
            return Err(source.error(users.span(), "there is no caller id", hint));
        }
        (None, Some(users)) => users.into_inner(),
        (Some(_), Some(users)) => {
            let what = "`user` and `users` are both given";
            return Err(source.error(users.span(), what, hint));
        }
        (None, None) => return Err(source.error_without_line("[caller] has no `user`", hint)),
    };
    if let Some(cap) = &raw.daily_cap {
        return Err(source.error(cap.span(), "`daily_cap` belongs to each of `users`", hint));
    }
    let mut proved: Vec<CallerId> = Vec::new();
    for CallerIdTable { user, daily_cap } in ids {
        let hint = "the caller id: digits, letters, `+`, `-`, `_` and `.`";
        check(source, &user, |user| is_user(user), hint)?;
        if let Some(cap) = &daily_cap {
            check(source, cap, |cap| *cap > 0, "1 call a day or more")?;
        }
        let is_new = |user: &String| proved.iter().all(|known| known.user != *user);
        check(source, &user, is_new, "each caller id stands once")?;
        proved.push(CallerId {
            user: user.into_inner(),
            daily_cap: daily_cap.map(Spanned::into_inner),
        });
    }
    Ok(proved)
}

fn caller(source: &Source<'_>, mut raw: CallerTable) -> Result<Caller, TrunkError> {
    let ids = caller_ids(source, &mut raw)?;
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
        ids,
        domain: raw.domain.map(Spanned::into_inner),
        display: raw.display.map(Spanned::into_inner),
        asserted: raw.asserted,
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
        "name `pcma`, `pcmu` and `g722`, or some of them, the preferred one first",
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
    let pairs = usize::from(last - first).div_ceil(2);
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

pub(super) fn is_user(user: &str) -> bool {
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
