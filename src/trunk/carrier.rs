//! What carries a trunk's SIP: one UDP socket, or a listener and one TCP or TLS connection a target.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tracing::{debug, warn};

use super::flow::Flow;
use super::socket::Bound;

/// The socket of UDP, or the listener of a stream.
pub const SIP: Token = Token(0);
/// Connections count from here, far above the calls.
const FLOWS: usize = 1 << 48;
/// A connection that nothing was sent on for so long gets a keep-alive (RFC 5626 §4.4.1).
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// What came, and from where.
pub struct Received {
    pub datagram: Vec<u8>,
    pub from: SocketAddr,
}

/// The way to the targets of one trunk.
pub struct Carrier {
    way: Way,
    registry: Registry,
}

enum Way {
    Udp(UdpSocket),
    Stream(Streams),
}

/// The names of the targets by address, and how their certificates are checked.
pub struct Tls {
    pub config: Arc<ClientConfig>,
    pub names: BTreeMap<SocketAddr, ServerName<'static>>,
}

struct Streams {
    listener: TcpListener,
    tls: Option<Tls>,
    flows: BTreeMap<usize, (SocketAddr, Flow)>,
    next: usize,
}

impl Carrier {
    /// Registers the sockets.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(bound: Bound, tls: Option<Tls>, registry: Registry) -> io::Result<Carrier> {
        let way = match bound {
            Bound::Udp(socket) => {
                socket.set_nonblocking(true)?;
                let mut socket = UdpSocket::from_std(socket);
                registry.register(&mut socket, SIP, Interest::READABLE)?;
                Way::Udp(socket)
            }
            Bound::Stream(listener) => {
                listener.set_nonblocking(true)?;
                let mut listener = TcpListener::from_std(listener);
                registry.register(&mut listener, SIP, Interest::READABLE)?;
                Way::Stream(Streams {
                    listener,
                    tls,
                    flows: BTreeMap::new(),
                    next: FLOWS,
                })
            }
        };
        Ok(Carrier { way, registry })
    }

    /// Whether an event is ours.
    pub fn owns(token: Token) -> bool {
        token == SIP || token.0 >= FLOWS
    }

    /// Sends one message. What cannot be sent is lost, as a network might lose it: the timers of SIP deal with it.
    pub fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        match &mut self.way {
            Way::Udp(socket) => {
                if let Err(error) = socket.send_to(bytes, to) {
                    debug!(%error, "datagram not sent");
                }
            }
            Way::Stream(streams) => streams.send(bytes, to, &self.registry),
        }
    }

    /// What has come at this event.
    pub fn receive(&mut self, token: Token) -> Vec<Received> {
        match &mut self.way {
            Way::Udp(socket) => receive_datagrams(socket),
            Way::Stream(streams) if token == SIP => {
                streams.accept(&self.registry);
                Vec::new()
            }
            Way::Stream(streams) => streams.receive(token.0, &self.registry),
        }
    }

    /// Keeps silent connections open through NATs and proxies.
    pub fn keep_alive(&mut self) {
        if let Way::Stream(streams) = &mut self.way {
            streams.keep_alive(&self.registry);
        }
    }
}

fn receive_datagrams(socket: &UdpSocket) -> Vec<Received> {
    let mut received = Vec::new();
    let mut buffer = [0u8; 65_535];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => received.push(Received {
                datagram: buffer[..length].to_vec(),
                from,
            }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return received,
            // An ICMP port unreachable of an earlier send: the leg's own timers deal with it.
            Err(error) => debug!(%error, "SIP receive"),
        }
    }
}

impl Streams {
    fn send(&mut self, bytes: &[u8], to: SocketAddr, registry: &Registry) {
        let open = self.flows.iter().find(|(_, (peer, _))| *peer == to);
        let number = match open.map(|(number, _)| *number) {
            Some(number) => number,
            None => match self.connect(to, registry) {
                Ok(number) => number,
                Err(error) => return warn!(%error, "no connection to a SIP target"),
            },
        };
        if let Some((_, flow)) = self.flows.get_mut(&number)
            && let Err(error) = flow.send(bytes)
        {
            self.close(number, &error, registry);
        }
    }

    fn connect(&mut self, to: SocketAddr, registry: &Registry) -> io::Result<usize> {
        let tls = match &self.tls {
            None => None,
            Some(tls) => {
                let name = tls.names.get(&to).cloned();
                let name = name.ok_or_else(|| io::Error::other("the target has no name"))?;
                Some((Arc::clone(&tls.config), name))
            }
        };
        let flow = Flow::connect(to, tls)?;
        self.add(to, flow, registry)
    }

    fn add(&mut self, peer: SocketAddr, mut flow: Flow, registry: &Registry) -> io::Result<usize> {
        let number = self.next;
        self.next += 1;
        let both = Interest::READABLE | Interest::WRITABLE;
        registry.register(flow.source(), Token(number), both)?;
        self.flows.insert(number, (peer, flow));
        Ok(number)
    }

    fn accept(&mut self, registry: &Registry) {
        loop {
            let (stream, peer): (TcpStream, SocketAddr) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return debug!(%error, "SIP connection not taken"),
            };
            if self.tls.is_some() {
                // We hold no certificate: a TLS trunk answers on the connection that we made.
                continue;
            }
            if let Err(error) = self.add(peer, Flow::accepted(stream), registry) {
                debug!(%error, "SIP connection not taken");
            }
        }
    }

    fn receive(&mut self, number: usize, registry: &Registry) -> Vec<Received> {
        let Some((peer, flow)) = self.flows.get_mut(&number) else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        let ended = flow.receive(&mut messages);
        let from = *peer;
        if let Err(error) = ended {
            self.close(number, &error, registry);
        }
        let received = messages.into_iter();
        received
            .map(|datagram| Received { datagram, from })
            .collect()
    }

    fn keep_alive(&mut self, registry: &Registry) {
        let silent: Vec<usize> = self
            .flows
            .iter()
            .filter(|(_, (_, flow))| flow.wrote_at.elapsed() > KEEP_ALIVE)
            .map(|(number, _)| *number)
            .collect();
        for number in silent {
            if let Some((_, flow)) = self.flows.get_mut(&number)
                && let Err(error) = flow.send(b"\r\n\r\n")
            {
                self.close(number, &error, registry);
            }
        }
    }

    /// The next message for this peer makes a new connection. (Calls outlive it: their messages do not.)
    fn close(&mut self, number: usize, error: &io::Error, registry: &Registry) {
        if let Some((_, mut flow)) = self.flows.remove(&number) {
            if error.kind() == ErrorKind::UnexpectedEof {
                debug!("a SIP connection was closed by its peer");
            } else {
                warn!(%error, "a SIP connection broke");
            }
            if let Err(error) = registry.deregister(flow.source()) {
                debug!(%error, "SIP connection");
            }
        }
    }
}
