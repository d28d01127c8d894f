//! A trunk's SIP socket: bound, resolved, and with an address of ours that the target can reach.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use super::config::Trunk;

/// Why a trunk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "trunk `{trunk}`: target {host} cannot be resolved; check `target` and the name servers"
    )]
    Resolve {
        trunk: String,
        host: String,
        #[source]
        source: io::Error,
    },
    #[error("trunk `{trunk}`: target {host} has no address of the family of `bind`")]
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
}

/// One UDP socket to one target.
#[derive(Debug)]
pub struct SipSocket {
    /// Not connected: a target behind several addresses may answer from another one.
    pub socket: UdpSocket,
    /// What goes into Via, Contact and the session description.
    pub local: SocketAddr,
    pub target: SocketAddr,
}

impl SipSocket {
    /// Resolves the target, binds, and finds out which of our addresses faces it.
    ///
    /// # Errors
    /// [`SocketError`], naming trunk and address.
    pub fn open(trunk: &Trunk) -> Result<SipSocket, SocketError> {
        let target = resolve(trunk)?;
        let name = || trunk.name.clone();
        let bind_error = |source| SocketError::Bind {
            trunk: name(),
            bind: trunk.bind,
            source,
        };
        let socket = UdpSocket::bind(trunk.bind).map_err(bind_error)?;
        let mut local = socket.local_addr().map_err(bind_error)?;
        if local.ip().is_unspecified() {
            let route_error = |source| SocketError::Route {
                trunk: name(),
                target,
                source,
            };
            let probe = UdpSocket::bind(SocketAddr::new(local.ip(), 0)).map_err(bind_error)?;
            probe.connect(target).map_err(route_error)?;
            local.set_ip(probe.local_addr().map_err(route_error)?.ip());
        }
        Ok(SipSocket {
            socket,
            local,
            target,
        })
    }
}

/// The first address of the target that our socket can send to.
fn resolve(trunk: &Trunk) -> Result<SocketAddr, SocketError> {
    let (name, host) = (trunk.name.clone(), trunk.host.clone());
    match (trunk.host.as_str(), trunk.port).to_socket_addrs() {
        Err(source) => Err(SocketError::Resolve {
            trunk: name,
            host,
            source,
        }),
        Ok(mut addresses) => addresses
            .find(|address| address.is_ipv4() == trunk.bind.is_ipv4())
            .ok_or(SocketError::Family { trunk: name, host }),
    }
}
