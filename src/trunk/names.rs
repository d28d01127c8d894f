//! Where the targets of a trunk are (RFC 3263): addresses as they stand, hosts with a port by their A and AAAA records,
//! domains without one by NAPTR and SRV. Which record is meant is decided in `aftercall_core::sip::locate`.
//! What was found holds as long as its records say (TTL), and is asked for again.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use aftercall_core::sip::event::{RedirectHost, Transport};
use aftercall_core::sip::locate::{Naptr, Rank, service_name, services};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, RecordType};
use tracing::warn;

use super::config::{HostPort, Trunk};
use super::socket::{Place, SocketError};

/// Answers without a time of their own, from the system's resolver, are asked for again after this.
const USUAL: Duration = Duration::from_secs(300);
/// How soon at least, and how late at most.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(3_600);
/// After name servers that did not answer.
const AGAIN: Duration = Duration::from_secs(30);

/// What the name servers say of a trunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// All addresses of all targets that our socket can send to, best first; at least one.
    pub targets: Vec<Place>,
    pub redirects: Vec<RedirectHost>,
    /// Of those hosts of people on call that were found.
    pub elsewhere: Vec<Place>,
    /// `None`: all are addresses, and nobody was asked.
    pub valid_for: Option<Duration>,
}

/// Asks for all names of a trunk.
///
/// Blocks; on a thread of its own, because the caller may be a task of another runtime.
///
/// # Errors
/// [`SocketError::Resolve`] and [`SocketError::Family`], naming the host.
pub fn ask(trunk: &Trunk) -> Result<Answers, SocketError> {
    let asked = std::thread::scope(|scope| scope.spawn(|| ask_all(trunk)).join());
    asked.unwrap_or_else(|_| Err(unresolved(trunk, "the targets", "the resolver panicked")))
}

/// Asks again whenever answers have run out, on a thread of its own, until either end of the channels is gone.
///
/// # Errors
/// When the system gives no thread.
pub fn keep_asking(
    trunk: Trunk,
    first: Duration,
    answers: Sender<Answers>,
    stop: Receiver<()>,
) -> io::Result<()> {
    let mut wait = first;
    let asking = move || {
        while stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
            match ask_all(&trunk) {
                Ok(found) => {
                    wait = found.valid_for.unwrap_or(LATEST);
                    if answers.send(found).is_err() {
                        return;
                    }
                }
                Err(error) => {
                    warn!(%error, "the targets stay where they were");
                    wait = AGAIN;
                }
            }
        }
    };
    let named = std::thread::Builder::new().name("names".to_owned());
    named.spawn(asking).map(|_| ())
}

fn ask_all(trunk: &Trunk) -> Result<Answers, SocketError> {
    let names = Names::new(trunk)?;
    let mut targets = Vec::new();
    for (turn, at) in (0..).zip(&trunk.targets) {
        targets.extend(names.block_on(names.target(at, turn))?);
    }
    targets.sort_by_key(|place| place.rank.turn);
    let mut redirects = Vec::new();
    for (host, port) in &trunk.redirect_hosts {
        let addresses = names.block_on(names.addresses(host, 0))?;
        redirects.push(RedirectHost {
            host: host.clone(),
            port: *port,
            ip: addresses[0].ip(),
        });
    }
    let mut elsewhere = Vec::new();
    for at in &trunk.elsewhere {
        match names.block_on(names.target(at, 0)) {
            Ok(places) => elsewhere.extend(places),
            Err(error) => warn!(%error, "nobody on call can be reached there"),
        }
    }
    Ok(Answers {
        targets,
        redirects,
        elsewhere,
        valid_for: names.valid_for.get(),
    })
}

/// Whom to ask, and for which trunk.
struct Names<'a> {
    trunk: &'a Trunk,
    runtime: tokio::runtime::Runtime,
    resolver: TokioResolver,
    /// Of the answer that runs out first.
    valid_for: Cell<Option<Duration>>,
}

impl<'a> Names<'a> {
    fn new(trunk: &'a Trunk) -> Result<Names<'a>, SocketError> {
        let error = |why: String| unresolved(trunk, "the name servers", &why);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|why| error(why.to_string()))?;
        let resolver = resolver(&trunk.name_servers).map_err(|why| error(why.to_string()))?;
        Ok(Names {
            trunk,
            runtime,
            resolver,
            valid_for: Cell::new(None),
        })
    }

    /// An answer came that holds so long.
    fn holds(&self, time: Duration) {
        let time = time.clamp(SOONEST, LATEST);
        let least = self.valid_for.get().map_or(time, |least| least.min(time));
        self.valid_for.set(Some(least));
    }

    fn block_on<T>(&self, asking: impl Future<Output = T>) -> T {
        self.runtime.block_on(asking)
    }

    async fn target(&self, at: &HostPort, turn: u16) -> Result<Vec<Place>, SocketError> {
        let asked = self.trunk.transport;
        let transport = asked.unwrap_or_default();
        let port = at.port.or_else(|| {
            let is_known = at.host == "localhost" || at.host.parse::<IpAddr>().is_ok();
            is_known.then(|| default_port(transport))
        });
        let place = |address, transport, rank| Place {
            at: at.clone(),
            address,
            transport,
            rank,
        };
        let rank = |priority, weight| Rank {
            turn: (turn, priority),
            weight,
        };
        if port.is_none() {
            for (transport, name) in self.services_of(&at.host).await {
                let Some(records) = self.srv(&name).await? else {
                    continue;
                };
                let mut places = Vec::new();
                for record in records {
                    let host = record.target.to_utf8();
                    let addresses = match self.addresses(&host, record.port).await {
                        Ok(addresses) => addresses,
                        Err(error) => {
                            warn!(%error, "a host of an SRV record is left out");
                            continue;
                        }
                    };
                    // A host's further addresses are what is left when its first does not answer.
                    let weights = std::iter::once(record.weight).chain(std::iter::repeat(0));
                    places.extend(addresses.into_iter().zip(weights).map(|(address, weight)| {
                        place(address, transport, rank(record.priority, weight))
                    }));
                }
                if places.is_empty() {
                    return Err(unresolved(
                        self.trunk,
                        &name,
                        "its SRV records lead nowhere",
                    ));
                }
                return Ok(places);
            }
        }
        let port = port.unwrap_or(default_port(transport));
        let addresses = self.addresses(&at.host, port).await?.into_iter();
        Ok(addresses
            .map(|address| place(address, transport, rank(0, 0)))
            .collect())
    }

    /// The names of SRV records to ask for, the most wanted first.
    async fn services_of(&self, domain: &str) -> Vec<(Transport, String)> {
        if let Some(transport) = self.trunk.transport {
            return vec![(transport, service_name(domain, transport))];
        }
        let records: Vec<Naptr> = self
            .records(domain, RecordType::NAPTR)
            .await
            .into_iter()
            .filter_map(|data| match data {
                RData::NAPTR(record) => Some(Naptr {
                    order: record.order,
                    preference: record.preference,
                    flags: String::from_utf8_lossy(&record.flags).into_owned(),
                    service: String::from_utf8_lossy(&record.services).into_owned(),
                    replacement: record.replacement.to_utf8(),
                }),
                _ => None,
            })
            .collect();
        let offered = services(&records);
        if offered.is_empty() {
            let both = [Transport::Udp, Transport::Tcp];
            return both.map(|over| (over, service_name(domain, over))).into();
        }
        offered
            .into_iter()
            .map(|(transport, name)| (transport, name.to_owned()))
            .collect()
    }

    /// `None` where there are none; an error where the domain says that it has no such service.
    async fn srv(&self, name: &str) -> Result<Option<Vec<SRV>>, SocketError> {
        let all = self.records(name, RecordType::SRV).await;
        let all: Vec<SRV> = all
            .into_iter()
            .filter_map(|data| match data {
                RData::SRV(record) => Some(record),
                _ => None,
            })
            .collect();
        if all.is_empty() {
            return Ok(None);
        }
        let there: Vec<SRV> = all
            .into_iter()
            .filter(|srv| !srv.target.is_root())
            .collect();
        if there.is_empty() {
            return Err(unresolved(self.trunk, name, "the service is not offered"));
        }
        Ok(Some(there))
    }

    /// Nothing where there are none, and where nobody answered: then the host's own address is tried.
    async fn records(&self, name: &str, kind: RecordType) -> Vec<RData> {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        match self.resolver.lookup(absolute, kind).await {
            Ok(found) => {
                self.holds(left(found.valid_until()));
                let records = found.answers().iter();
                records.map(|record| record.data.clone()).collect()
            }
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(error) => {
                self.holds(AGAIN);
                warn!(%error, %kind, name, "the name servers do not answer");
                Vec::new()
            }
        }
    }

    /// The addresses of a host that our socket can send to. Names are asked of the system unless the file names servers.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, SocketError> {
        let error = |source: io::Error| SocketError::Resolve {
            trunk: self.trunk.name.clone(),
            host: host.to_owned(),
            source,
        };
        let all: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(ip) => vec![(ip, port).into()],
            Err(_) if self.trunk.name_servers.is_empty() => {
                self.holds(USUAL);
                let name = host.trim_end_matches('.');
                (name, port).to_socket_addrs().map_err(error)?.collect()
            }
            Err(_) => {
                let found = self.resolver.lookup_ip(host).await;
                let found = found.map_err(|why| error(io::Error::other(why)))?;
                self.holds(left(found.valid_until()));
                found.iter().map(|ip| (ip, port).into()).collect()
            }
        };
        let is_ours = |address: &SocketAddr| address.is_ipv4() == self.trunk.bind.is_ipv4();
        let mut usable: Vec<SocketAddr> = all.into_iter().filter(is_ours).collect();
        usable.dedup();
        if usable.is_empty() {
            return Err(SocketError::Family {
                trunk: self.trunk.name.clone(),
                host: host.to_owned(),
            });
        }
        Ok(usable)
    }
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// RFC 3261 §19.1.2.
fn default_port(transport: Transport) -> u16 {
    match transport {
        Transport::Udp | Transport::Tcp => 5_060,
        Transport::Tls => 5_061,
    }
}

fn resolver(servers: &[SocketAddr]) -> Result<TokioResolver, NetError> {
    if servers.is_empty() {
        return TokioResolver::builder_tokio()?.build();
    }
    let server = |at: &SocketAddr| {
        let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        let ways = ways.map(|mut way| {
            way.port = at.port();
            way
        });
        NameServerConfig::new(at.ip(), true, ways.into())
    };
    let config = ResolverConfig::from_name_servers(servers.iter().map(server).collect());
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build()
}

fn unresolved(trunk: &Trunk, host: &str, why: &str) -> SocketError {
    SocketError::Resolve {
        trunk: trunk.name.clone(),
        host: host.to_owned(),
        source: io::Error::other(why.to_owned()),
    }
}
