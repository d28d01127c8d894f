//! What carries a trunk's SIP: a UDP socket, a listener, and one TCP or TLS connection a target. A message goes by
//! what its topmost Via names.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::sip::event::Transport;
use aftercall_core::sip::message::carried_by;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tracing::{debug, warn};

use super::flow::Flow;
use super::socket::Bound;

/// The UDP socket.
pub const SIP: Token = Token(0);
/// The listener of streams.
const LISTENER: Token = Token(FLOWS);
/// Connections count from here, far above the calls; the listener is the first.
const FLOWS: usize = 1 << 48;
/// A connection that nothing was sent on for so long gets a keep-alive (RFC 5626 §4.4.1).
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// A connection that is not up after so long counts as refused: a firewall may drop what it should refuse.
const CONNECT: Duration = Duration::from_secs(3);

/// What came, and from where.
pub struct Received {
    pub datagram: Vec<u8>,
    pub from: SocketAddr,
}

/// The way to the targets of one trunk.
pub struct Carrier {
    udp: Option<UdpSocket>,
    listener: Option<TcpListener>,
    tls: Option<Tls>,
    flows: BTreeMap<usize, Connection>,
    next: usize,
    refused: VecDeque<SocketAddr>,
    registry: Registry,
}

struct Connection {
    peer: SocketAddr,
    transport: Transport,
    flow: Flow,
}

/// The names of the targets by address, and how their certificates are checked.
pub struct Tls {
    pub config: Arc<ClientConfig>,
    pub names: BTreeMap<SocketAddr, ServerName<'static>>,
}

impl Carrier {
    /// Registers the sockets.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(bound: Bound, tls: Option<Tls>, registry: Registry) -> io::Result<Carrier> {
        let Bound { udp, listener } = bound;
        let mut carrier = Carrier {
            udp: None,
            listener: None,
            tls,
            flows: BTreeMap::new(),
            next: FLOWS + 1,
            refused: VecDeque::new(),
            registry,
        };
        if let Some(socket) = udp {
            socket.set_nonblocking(true)?;
            let socket = carrier.udp.insert(UdpSocket::from_std(socket));
            carrier.registry.register(socket, SIP, Interest::READABLE)?;
        }
        if let Some(listener) = listener {
            listener.set_nonblocking(true)?;
            let listener = carrier.listener.insert(TcpListener::from_std(listener));
            carrier
                .registry
                .register(listener, LISTENER, Interest::READABLE)?;
        }
        Ok(carrier)
    }

    /// The targets have moved: their names by address.
    pub fn trust(&mut self, tls: Option<Tls>) {
        self.tls = tls;
    }

    /// Whether a target can be reached from here: what carries datagrams is bound at the start.
    pub fn reaches(&self, transport: Transport) -> bool {
        transport.is_stream() || self.udp.is_some()
    }

    /// Whether an event is ours.
    pub fn owns(token: Token) -> bool {
        token == SIP || token.0 >= FLOWS
    }

    /// Sends one message. What cannot be sent is lost, as a network might lose it: the timers of SIP deal with it.
    /// That a connection was not to be had is told by [`Carrier::poll_refused`].
    pub fn send(&mut self, bytes: &[u8], to: SocketAddr) {
        let transport = carried_by(bytes);
        match &self.udp {
            Some(socket) if !transport.is_stream() => {
                if let Err(error) = socket.send_to(bytes, to) {
                    debug!(%error, "datagram not sent");
                }
            }
            Some(_) | None => self.send_stream(bytes, to, transport),
        }
    }

    /// What has come at this event.
    pub fn receive(&mut self, token: Token) -> Vec<Received> {
        match (token, &self.udp) {
            (SIP, Some(socket)) => receive_datagrams(socket),
            (SIP, None) => Vec::new(),
            (LISTENER, _) => {
                self.accept();
                Vec::new()
            }
            (Token(number), _) => self.receive_stream(number),
        }
    }

    /// A peer to whom no connection could be made: what was sent was not heard.
    pub fn poll_refused(&mut self) -> Option<SocketAddr> {
        let is_late = |open: &Connection| !open.flow.is_up() && open.flow.began.elapsed() > CONNECT;
        let late = self.flows.iter().find(|(_, open)| is_late(open));
        if let Some(number) = late.map(|(number, _)| *number) {
            self.close(number, &ErrorKind::TimedOut.into());
        }
        self.refused.pop_front()
    }

    /// Keeps silent connections open through NATs and proxies.
    pub fn keep_alive(&mut self) {
        let is_silent = |open: &Connection| open.flow.wrote_at.elapsed() > KEEP_ALIVE;
        let silent = self.flows.iter().filter(|(_, open)| is_silent(open));
        let silent: Vec<usize> = silent.map(|(number, _)| *number).collect();
        for number in silent {
            if let Some(open) = self.flows.get_mut(&number)
                && let Err(error) = open.flow.send(b"\r\n\r\n")
            {
                self.close(number, &error);
            }
        }
    }

    /// Over the connection that is open to `to`, or a new one. (A peer's Via may name UDP on a stream.)
    fn send_stream(&mut self, bytes: &[u8], to: SocketAddr, transport: Transport) {
        let fits = |open: &Connection| {
            open.peer == to && (open.transport == transport || !transport.is_stream())
        };
        let open = self.flows.iter().find(|(_, open)| fits(open));
        let number = match open.map(|(number, _)| *number) {
            Some(number) => number,
            None => match self.connect(to, transport) {
                Ok(number) => number,
                Err(error) => {
                    self.refused.push_back(to);
                    return warn!(%error, "no connection to a SIP target");
                }
            },
        };
        if let Some(open) = self.flows.get_mut(&number)
            && let Err(error) = open.flow.send(bytes)
        {
            self.close(number, &error);
        }
    }

    fn connect(&mut self, to: SocketAddr, transport: Transport) -> io::Result<usize> {
        let tls = match (transport, &self.tls) {
            (Transport::Udp | Transport::Tcp, _) => None,
            (Transport::Tls, None) => return Err(io::Error::other("the trunk has no TLS")),
            (Transport::Tls, Some(tls)) => {
                let name = tls.names.get(&to).cloned();
                let name = name.ok_or_else(|| io::Error::other("the target has no name"))?;
                Some((Arc::clone(&tls.config), name))
            }
        };
        let flow = Flow::connect(to, tls)?;
        self.add(to, transport, flow)
    }

    fn add(&mut self, peer: SocketAddr, transport: Transport, mut flow: Flow) -> io::Result<usize> {
        let number = self.next;
        self.next += 1;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(flow.source(), Token(number), both)?;
        let open = Connection {
            peer,
            transport,
            flow,
        };
        self.flows.insert(number, open);
        Ok(number)
    }

    fn accept(&mut self) {
        while let Some(listener) = &self.listener {
            let (stream, peer): (TcpStream, SocketAddr) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return debug!(%error, "SIP connection not taken"),
            };
            if self.tls.is_some() {
                // We hold no certificate: a TLS trunk answers on the connection that we made.
                continue;
            }
            if let Err(error) = self.add(peer, Transport::Tcp, Flow::accepted(stream)) {
                debug!(%error, "SIP connection not taken");
            }
        }
    }

    fn receive_stream(&mut self, number: usize) -> Vec<Received> {
        let Some(open) = self.flows.get_mut(&number) else {
            return Vec::new();
        };
        let mut messages = Vec::new();
        let ended = open.flow.receive(&mut messages);
        let from = open.peer;
        if let Err(error) = ended {
            self.close(number, &error);
        }
        let received = messages.into_iter();
        received
            .map(|datagram| Received { datagram, from })
            .collect()
    }

    /// The next message for this peer makes a new connection. (Calls outlive it: their messages do not.)
    fn close(&mut self, number: usize, error: &io::Error) {
        let Some(mut open) = self.flows.remove(&number) else {
            return;
        };
        if !open.flow.is_up() {
            warn!(%error, "no connection to a SIP target");
            self.refused.push_back(open.peer);
        } else if error.kind() == ErrorKind::UnexpectedEof {
            debug!("a SIP connection was closed by its peer");
        } else {
            warn!(%error, "a SIP connection broke");
        }
        if let Err(error) = self.registry.deregister(open.flow.source()) {
            debug!(%error, "SIP connection");
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
