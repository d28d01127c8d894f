//! A trunk's SIP socket: bound, its targets resolved, and with an address of ours that they can reach.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use aftercall_core::sip::event::{RedirectHost, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::carrier::Tls;
use super::config::{HostPort, Trunk};

/// Why a trunk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("trunk `{trunk}`: {host} cannot be resolved; check its spelling and the name servers")]
    Resolve {
        trunk: String,
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("trunk `{trunk}`: {host} has no address of the family of `bind`")]
    Family { trunk: String, host: String },
    #[error("trunk `{trunk}`: {bind} cannot be bound; is another program using it?")]
    Bind {
        trunk: String,
        bind: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("trunk `{trunk}`: there is no route to {target}")]
    Route {
        trunk: String,
        target: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("trunk `{trunk}`: the certificates in `tls_ca` ({file}) cannot be used: {why}")]
    Certificates {
        trunk: String,
        file: String,
        why: String,
    },
}

/// What is listened on.
#[derive(Debug)]
pub enum Bound {
    /// Not connected: a target behind several addresses may answer from another one.
    Udp(UdpSocket),
    Stream(TcpListener),
}

/// A target's name and one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: HostPort,
    pub address: SocketAddr,
}

/// How the targets are reached, and how we are.
#[derive(Clone, Debug)]
pub struct Reach {
    /// What goes into Via, Contact and the session description.
    pub local: SocketAddr,
    /// All addresses of all targets, in the order of the file; at least one.
    pub targets: Vec<Place>,
    pub redirects: Vec<RedirectHost>,
}

/// One socket to the targets of a trunk.
#[derive(Debug)]
pub struct SipSocket {
    pub bound: Bound,
    pub reach: Reach,
}

impl SipSocket {
    /// Resolves the targets, binds, and finds out which of our addresses faces the first.
    ///
    /// # Errors
    /// [`SocketError`], naming trunk and address.
    pub fn open(trunk: &Trunk) -> Result<SipSocket, SocketError> {
        let mut targets = Vec::new();
        for at in &trunk.targets {
            for address in resolve(trunk, at)? {
                let at = at.clone();
                targets.push(Place { at, address });
            }
        }
        let mut redirects = Vec::new();
        for (host, port) in &trunk.redirect_hosts {
            let at = HostPort {
                host: host.clone(),
                port: port.unwrap_or(5060),
            };
            if let Some(address) = resolve(trunk, &at)?.first() {
                redirects.push(RedirectHost {
                    host: host.clone(),
                    port: *port,
                    ip: address.ip(),
                });
            }
        }
        let name = || trunk.name.clone();
        let bind_error = |source| SocketError::Bind {
            trunk: name(),
            bind: trunk.bind,
            source,
        };
        let (bound, local) = bind(trunk).map_err(bind_error)?;
        let mut reach = Reach {
            local,
            targets,
            redirects,
        };
        if local.ip().is_unspecified() {
            let target = reach.targets[0].address;
            let route_error = |source| SocketError::Route {
                trunk: name(),
                target,
                source,
            };
            let probe = UdpSocket::bind(SocketAddr::new(local.ip(), 0)).map_err(bind_error)?;
            probe.connect(target).map_err(route_error)?;
            let ours = probe.local_addr().map_err(route_error)?;
            reach.local.set_ip(ours.ip());
        }
        Ok(SipSocket { bound, reach })
    }
}

fn bind(trunk: &Trunk) -> io::Result<(Bound, SocketAddr)> {
    if trunk.transport.is_stream() {
        let listener = TcpListener::bind(trunk.bind)?;
        let local = listener.local_addr()?;
        Ok((Bound::Stream(listener), local))
    } else {
        let socket = UdpSocket::bind(trunk.bind)?;
        let local = socket.local_addr()?;
        Ok((Bound::Udp(socket), local))
    }
}

/// How a TLS trunk's certificates are checked: against the names in the file, never what they resolved to.
///
/// # Errors
/// [`SocketError::Certificates`].
pub fn tls(trunk: &Trunk, reach: &Reach) -> Result<Option<Tls>, SocketError> {
    if trunk.transport != Transport::Tls {
        return Ok(None);
    }
    let error = |why: String| SocketError::Certificates {
        trunk: trunk.name.clone(),
        file: trunk.tls_ca.display().to_string(),
        why,
    };
    let certificates =
        CertificateDer::pem_file_iter(&trunk.tls_ca).map_err(|e| error(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|e| error(e.to_string()))?;
        roots.add(certificate).map_err(|e| error(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(error("there is none".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| error(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut names = BTreeMap::new();
    for Place { at, address } in &reach.targets {
        let name = ServerName::try_from(at.host.clone()).map_err(|e| error(e.to_string()))?;
        names.entry(*address).or_insert(name);
    }
    Ok(Some(Tls {
        config: Arc::new(config),
        names,
    }))
}

/// The addresses of a host that our socket can send to.
fn resolve(trunk: &Trunk, at: &HostPort) -> Result<Vec<SocketAddr>, SocketError> {
    let (name, host) = (trunk.name.clone(), at.host.clone());
    match (at.host.as_str(), at.port).to_socket_addrs() {
        Err(source) => Err(SocketError::Resolve {
            trunk: name,
            host,
            source,
        }),
        Ok(addresses) => {
            let mut usable: Vec<SocketAddr> = addresses
                .filter(|address| address.is_ipv4() == trunk.bind.is_ipv4())
                .collect();
            usable.dedup();
            if usable.is_empty() {
                return Err(SocketError::Family { trunk: name, host });
            }
            Ok(usable)
        }
    }
}
