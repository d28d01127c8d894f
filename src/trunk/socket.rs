//! A trunk's SIP socket: bound, its targets resolved, and with an address of ours that they can reach.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::sip::event::{Protection, RedirectHost, Transport};
use aftercall_core::sip::locate::{Rank, in_turn};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};

use super::carrier::Tls;
use super::config::{HostPort, Public, Srtp, Trunk};
use super::dtls::{DtlsError, Identity};
use super::names::{self, Answers};

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
    #[error("no certificate for DTLS-SRTP could be made")]
    Identity(#[from] DtlsError),
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

/// What is listened on: of one port, for those transports that the targets have.
#[derive(Debug)]
pub struct Bound {
    /// Not connected: a target behind several addresses may answer from another one.
    pub udp: Option<UdpSocket>,
    pub listener: Option<TcpListener>,
}

/// A target's name and one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub at: HostPort,
    pub address: SocketAddr,
    pub transport: Transport,
    pub rank: Rank,
}

impl Place {
    /// What stands behind the user in a URI: a name that DNS leads on from stays as it is (RFC 3263 §4).
    pub fn uri_host(&self) -> String {
        let parameter = self.at.port.map_or("", |_| self.transport.uri_parameter());
        format!("{}{parameter}", self.at)
    }
}

/// How the targets are reached, and how we are.
#[derive(Clone, Debug)]
pub struct Reach {
    /// What goes into Via; into Contact and the session description too, where we are not `public`.
    pub local: SocketAddr,
    /// Where the targets find us, beyond a NAT: as the trunk file says, or as they have told.
    pub public: Option<SocketAddr>,
    /// All addresses of all targets, in the order of the file and of their SRV records; at least one.
    pub targets: Vec<Place>,
    pub redirects: Vec<RedirectHost>,
    /// Hosts of people on call that are no target.
    pub elsewhere: Vec<Place>,
    /// When the names are to be asked for again; `None`: there are none.
    pub valid_for: Option<Duration>,
    /// Our certificate for DTLS-SRTP, where the trunk has that.
    pub identity: Option<Arc<Identity>>,
}

impl Reach {
    /// Where requests to us are to be sent.
    pub fn contact(&self) -> SocketAddr {
        self.public.unwrap_or(self.local)
    }

    /// What a leg is told of a trunk's way to encrypt.
    pub fn protection(&self, srtp: Srtp) -> Protection {
        match (srtp, &self.identity) {
            (Srtp::Sdes, _) => Protection::Sdes,
            (Srtp::Dtls, Some(identity)) => Protection::Dtls(identity.fingerprint()),
            (Srtp::Off, _) | (Srtp::Dtls, None) => Protection::Off,
        }
    }

    /// As one call tries the targets: those that SRV records weigh against each other by lot.
    pub fn drawn(&self, seed: [u8; 32]) -> Reach {
        let mut random = ChaCha20Rng::from_seed(seed);
        Reach {
            targets: in_turn(self.targets.clone(), |place| place.rank, &mut random),
            ..self.clone()
        }
    }
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
        let Answers {
            targets,
            redirects,
            elsewhere,
            valid_for,
        } = names::ask(trunk)?;
        let identity = match trunk.srtp {
            Srtp::Off | Srtp::Sdes => None,
            Srtp::Dtls => Some(Arc::new(Identity::new()?)),
        };
        let name = || trunk.name.clone();
        let bind_error = |source| SocketError::Bind {
            trunk: name(),
            bind: trunk.bind,
            source,
        };
        let (bound, local) = bind(trunk.bind, &targets).map_err(bind_error)?;
        let mut reach = Reach {
            local,
            public: match trunk.public {
                Public::At(at) => Some(at),
                Public::Own | Public::AsSeen => None,
            },
            targets,
            redirects,
            elsewhere,
            valid_for,
            identity,
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

/// How often another free port is tried where UDP and TCP must have the same.
const PORTS: usize = 16;

fn bind(at: SocketAddr, targets: &[Place]) -> io::Result<(Bound, SocketAddr)> {
    let has_stream = targets.iter().any(|place| place.transport.is_stream());
    let has_udp = targets.iter().any(|place| !place.transport.is_stream());
    let mut tried = 1;
    loop {
        let listener = has_stream.then(|| TcpListener::bind(at)).transpose()?;
        let ours = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let udp = has_udp
            .then(|| UdpSocket::bind(ours.unwrap_or(at)))
            .transpose();
        match udp {
            Ok(udp) => {
                let local = udp.as_ref().map(UdpSocket::local_addr).transpose()?;
                let local = local.or(ours).unwrap_or(at);
                return Ok((Bound { udp, listener }, local));
            }
            Err(_) if has_stream && at.port() == 0 && tried < PORTS => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

/// How a TLS trunk's certificates are checked: against the names in the file, never what they resolved to.
///
/// # Errors
/// [`SocketError::Certificates`].
pub fn tls(trunk: &Trunk, reach: &Reach) -> Result<Option<Tls>, SocketError> {
    let is_tls = |place: &&Place| place.transport == Transport::Tls;
    let places = || reach.targets.iter().chain(&reach.elsewhere);
    if !places().any(|place| is_tls(&place)) {
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
    for Place { at, address, .. } in places().filter(is_tls) {
        let name = ServerName::try_from(at.host.clone()).map_err(|e| error(e.to_string()))?;
        names.entry(*address).or_insert(name);
    }
    Ok(Some(Tls {
        config: Arc::new(config),
        names,
    }))
}
