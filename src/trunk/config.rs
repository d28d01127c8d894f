//! A trunk: one TOML file in `sip_config/`, read whole and proved before the first call.
//!
//! No secret is in it: a password's environment variable is named. What the calls need of it is
//! [`Trunk::leg_config`]; what may be called without a patient record is said here too.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aftercall_core::codec::Codec;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::plan::{CallerId, TrunkHours};
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::event::{LegConfig, Target, Transport};
use aftercall_core::sip::outside::Peer;

use serde::Deserialize;

use super::file;
use super::place::{Source, TrunkError};
use super::socket::{Place, Reach};

/// A host, or an IPv6 address without brackets, and its port; `None`: as the domain's SRV records say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: Option<u16>,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bracketed(&self.host))?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// A telephone that is called beside a patient's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Telephone {
    Number(PhoneNumber),
    /// Of another host than the trunk's, perhaps.
    Uri {
        uri: String,
        at: HostPort,
    },
}

impl Telephone {
    /// A number, or `sip:6001@pbx.example` with or without a port; an address needs none. `None`: neither.
    pub fn parse(text: &str) -> Option<Telephone> {
        let Some(rest) = text.strip_prefix("sip:") else {
            return PhoneNumber::parse(text).ok().map(Telephone::Number);
        };
        let (user, place) = rest.rsplit_once('@')?;
        let is_bare = place.ends_with(']') || place.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
        let at = if is_bare {
            file::host_port(&format!("{place}:5060"))
        } else {
            file::host_port(place)
        };
        let uri = text.to_owned();
        at.filter(|_| file::is_user(user))
            .map(|at| Telephone::Uri { uri, at })
    }
}

/// A way to the telephone network, proved.
#[derive(Clone, Debug)]
pub struct Trunk {
    /// Lower-case letters, digits and dashes: the name in rows and metrics.
    pub name: String,
    /// `None`: what the targets' NAPTR records name, else UDP.
    pub transport: Option<Transport>,
    /// Where INVITEs go, in the order in which they are tried; at least one.
    pub targets: Vec<HostPort>,
    /// The DNS servers to ask; none: the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Further hosts whose telephones are called over it: those of people on call. Not of the file.
    pub elsewhere: Vec<HostPort>,
    /// Calls that come from its targets are answered. Not of the file: only an engine with its database can.
    pub answers: bool,
    /// Hosts that a 3xx may send a call to, and the only port where one is named.
    pub redirect_hosts: Vec<(String, Option<u16>)>,
    /// The authorities that a TLS target's certificate may come from.
    pub tls_ca: PathBuf,
    /// How often each target is asked by OPTIONS whether it lives; `None`: never.
    pub options_every: Option<Duration>,
    /// For how long we register; `None`: the trunk knows where we are.
    pub register_for: Option<Duration>,
    /// The session interval that we ask for (RFC 4028); `None` leaves it to the peer.
    pub session_expires: Option<Duration>,
    /// Offer reliable provisional answers (RFC 3262).
    pub reliable_provisional: bool,
    /// Our SIP socket; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The most calls at once.
    pub lines: usize,
    pub ring_timeout: Duration,
    pub first_answer_limit: Duration,
    /// An INVITE too large for UDP goes by TCP (RFC 3261 §18.1.1).
    pub large_by_tcp: bool,
    pub caller: Caller,
    /// Calls begun a second; `None`: as fast as lines are free.
    pub calls_per_second: Option<f64>,
    /// When calls are begun, in the hospital's zone; `None`: always.
    pub hours: Option<TrunkHours>,
    pub(super) account: Option<Account>,
    /// At least one, in the order of our offer.
    pub codecs: Vec<Codec>,
    /// Audio is encrypted so, or the call ends.
    pub srtp: Srtp,
    /// RTP on the even ports, RTCP on the odd ones.
    pub rtp_ports: RangeInclusive<u16>,
    /// The address in our session descriptions, where it is not that of the SIP socket.
    pub media_address: Option<IpAddr>,
    /// What Contact names.
    pub public: Public,
    pub(super) numbers: Numbers,
}

/// Where the far end finds us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    /// At our socket's address.
    Own,
    At(SocketAddr),
    /// Where it says that it sees us (RFC 3581).
    AsSeen,
}

/// How the keys of encrypted audio are agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Srtp {
    #[default]
    Off,
    /// In the session description (RFC 4568).
    Sdes,
    /// By a handshake on the media port (RFC 5763).
    Dtls,
}

/// Who rings, as the callee and the trunk see it.
#[derive(Clone, Debug)]
pub struct Caller {
    /// In the order in which they are used up; at least one. A call by hand shows the first, and is not counted.
    pub ids: Vec<CallerId>,
    /// `None`: the target's.
    pub domain: Option<String>,
    pub display: Option<String>,
    /// Named in P-Asserted-Identity too (RFC 3325), for a trunk that takes our word for it.
    pub asserted: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) username: String,
    pub(super) password_env: String,
}

#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub(super) country: Option<String>,
    pub(super) national: String,
    pub(super) international: String,
    pub(super) prefix: String,
    pub(super) allow_without_record: Vec<PhoneNumber>,
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
        file::read(&Source { file, text })
    }

    /// A target named on the command line, with the loopback trunk's habits; an address without a port has the
    /// transport's (RFC 3261 §19.1.2), a name without one is looked up as a domain.
    ///
    /// # Errors
    /// [`TrunkError`] when `target` is no host and port.
    pub fn direct(target: &str, transport: Option<Transport>) -> Result<Trunk, TrunkError> {
        let port = match transport {
            Some(Transport::Udp | Transport::Tcp) | None => 5_060,
            Some(Transport::Tls) => 5_061,
        };
        let is_bare = target.ends_with(']') || target.parse::<IpAddr>().is_ok();
        let target = if is_bare || target == "localhost" {
            format!("{target}:{port}")
        } else {
            target.to_owned()
        };
        let any = if target.starts_with('[') {
            "[::]"
        } else {
            "0.0.0.0"
        };
        let text = format!(
            "version = 1\nname = \"direct\"\ntarget = {target:?}\nbind = \"{any}:0\"\nlines = 1\n[caller]\nuser = \"aftercall\"\n[media]\ncodecs = [\"pcma\", \"pcmu\"]\nports = [21000, 21199]\n"
        );
        let trunk = Trunk::parse(Path::new("target"), &text)?;
        Ok(Trunk { transport, ..trunk })
    }

    /// The targets are this machine: only then may a demo signature dial, and anyone be called without a record.
    pub fn is_loopback(&self) -> bool {
        let is_local = |host: &String| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        let mut redirects = self.redirect_hosts.iter();
        self.targets.iter().all(|target| is_local(&target.host))
            && redirects.all(|(host, _)| is_local(host))
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

    /// Another account than the file's, or another password, for a call by hand; the user is who rings, too.
    ///
    /// # Errors
    /// When `user` cannot stand in a URI.
    pub fn set_account(
        &mut self,
        user: Option<&str>,
        password_env: Option<&str>,
    ) -> anyhow::Result<()> {
        if let Some(user) = user {
            anyhow::ensure!(file::is_user(user), "`{user}` cannot be a user name");
            self.caller.ids = vec![CallerId {
                user: user.to_owned(),
                daily_cap: None,
            }];
        }
        let known = self.account.take();
        let variable = password_env.map(str::to_owned);
        let password_env = variable.or(known.as_ref().map(|known| known.password_env.clone()));
        // A user without a password is who rings, and no more.
        self.account = password_env.map(|password_env| Account {
            username: match (user, known) {
                (None, Some(known)) => known.username,
                (Some(user), _) => user.to_owned(),
                (None, None) => self.user().to_owned(),
            },
            password_env,
        });
        Ok(())
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

    /// What a leg needs to call `number` over `reach`, with RTP on `media_port`.
    pub fn leg_config(
        &self,
        number: &PhoneNumber,
        reach: &Reach,
        media_port: u16,
        credentials: Option<Credentials>,
    ) -> LegConfig {
        let dialled = self.dialled(number);
        let target = |place: &Place| Target {
            request_uri: format!("sip:{}@{}", dialled.expose(), place.uri_host()),
            address: place.address,
            transport: place.transport,
        };
        let targets = reach.targets.iter().map(target).collect();
        self.leg_to(targets, reach, media_port, credentials)
    }

    fn leg_to(
        &self,
        targets: Vec<Target>,
        reach: &Reach,
        media_port: u16,
        credentials: Option<Credentials>,
    ) -> LegConfig {
        let local = reach.local;
        LegConfig {
            targets,
            large_by_tcp: self.large_by_tcp,
            from_uri: self.caller_uri(self.user()),
            from_display: self.caller.display.clone(),
            contact_uri: format!("sip:{}@{}", self.user(), reach.contact()),
            via_host: local.to_string(),
            credentials,
            reliable_provisional: self.reliable_provisional,
            session_expires: self.session_expires,
            redirects: reach.redirects.clone(),
            srtp: reach.protection(self.srtp),
            media_host: self.media_address.unwrap_or(reach.contact().ip()),
            media_port,
            codecs: self.codecs.clone(),
            ring_timeout: self.ring_timeout,
            first_answer_limit: self.first_answer_limit,
            extra_headers: self.identity(self.user()),
            user_agent: concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// [`Trunk::leg_config`] for a telephone beside a patient's. `None`: its host is not known by now.
    pub fn leg_beside(
        &self,
        to: &Telephone,
        reach: &Reach,
        media_port: u16,
        credentials: Option<Credentials>,
    ) -> Option<LegConfig> {
        let (uri, at) = match to {
            Telephone::Number(number) => {
                return Some(self.leg_config(number, reach, media_port, credentials));
            }
            Telephone::Uri { uri, at } => (uri, at),
        };
        let is_of_trunk = |place: &&Place| {
            place.at.host == at.host && at.port.is_none_or(|port| place.address.port() == port)
        };
        let is_there = |place: &&Place| place.at == *at;
        let mut places: Vec<&Place> = reach.targets.iter().filter(is_of_trunk).collect();
        // Our account is the trunk's: another host is shown none of it.
        let credentials = credentials.filter(|_| !places.is_empty());
        if places.is_empty() {
            places = reach.elsewhere.iter().filter(is_there).collect();
        }
        let target = |place: &Place| Target {
            request_uri: uri.clone(),
            address: place.address,
            transport: place.transport,
        };
        let targets: Vec<Target> = places.into_iter().map(target).collect();
        let leg = self.leg_to(targets, reach, media_port, credentials);
        (!leg.targets.is_empty()).then_some(leg)
    }

    /// What a leg needs that answers a call over this trunk.
    pub fn leg_back(
        &self,
        reach: &Reach,
        media_port: u16,
        credentials: Option<Credentials>,
    ) -> LegConfig {
        self.leg_to(Vec::new(), reach, media_port, credentials)
    }

    /// The numbers that a caller's user may stand for: the inverse of [`Trunk::dialled`], as far as it can be told.
    pub fn heard(&self, user: &str) -> Vec<PhoneNumber> {
        let numbers = &self.numbers;
        let bare = user.strip_prefix(numbers.prefix.as_str()).unwrap_or(user);
        let mut texts = vec![user.to_owned(), bare.to_owned()];
        let international = numbers.international.as_str();
        if let Some(digits) = bare
            .strip_prefix(international)
            .filter(|_| !international.is_empty())
        {
            texts.push(format!("+{digits}"));
        }
        if let Some(country) = &numbers.country {
            let national = bare.strip_prefix(numbers.national.as_str()).unwrap_or(bare);
            for rest in [national, bare.trim_start_matches('0')] {
                texts.push(format!("{country}{rest}"));
            }
        }
        let mut heard: Vec<PhoneNumber> = texts
            .iter()
            .filter_map(|text| PhoneNumber::parse(text).ok())
            .collect();
        heard.sort();
        heard.dedup();
        heard
    }

    /// Shows another of the caller ids than the first.
    pub fn show(&self, caller: &str, leg: &mut LegConfig) {
        leg.from_uri = self.caller_uri(caller);
        leg.extra_headers = self.identity(caller);
    }

    /// Whom REGISTER and OPTIONS ask at one of the targets, and who we are there.
    pub fn peer(&self, place: &Place, reach: &Reach, credentials: Option<Credentials>) -> Peer {
        let account = self.account.as_ref();
        let user = account.map_or(self.user(), |account| &account.username);
        Peer {
            uri: format!("sip:{}", place.uri_host()),
            own_uri: format!("sip:{user}@{}", self.domain()),
            contact_uri: self.contact(place, reach),
            via_host: reach.local.to_string(),
            transport: place.transport,
            address: place.address,
            credentials,
            user_agent: concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// Where the far end at this place reaches us.
    pub fn contact(&self, place: &Place, reach: &Reach) -> String {
        format!(
            "sip:{}@{}{}",
            self.user(),
            reach.contact(),
            place.transport.uri_parameter()
        )
    }

    fn user(&self) -> &str {
        self.caller.ids.first().map_or("", |caller| &caller.user)
    }

    fn caller_uri(&self, caller: &str) -> String {
        format!("sip:{caller}@{}", self.domain())
    }

    fn identity(&self, caller: &str) -> Vec<(String, String)> {
        let value = format!("<{}>", self.caller_uri(caller));
        let header = ("P-Asserted-Identity".to_owned(), value);
        self.caller.asserted.then_some(header).into_iter().collect()
    }

    fn domain(&self) -> String {
        let target = || bracketed(&self.targets[0].host);
        self.caller.domain.clone().unwrap_or_else(target)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}
