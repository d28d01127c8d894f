//! The thread that holds every listener's connection: sounds of calls out, what browsers send in.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::peer::Peer;
use super::{ListenError, Places, Seat};
use crate::trunk::driver::{Command, ListenerId, Outlet, Refused, Release, Sound, TakeOver};

/// The longest sleep.
const NAP: Duration = Duration::from_millis(250);
/// The shortest, so that no timer makes the thread spin.
const BREATH: Duration = Duration::from_millis(1);
/// Frames that may wait: more than a second of what twenty people hear.
const WAITING: usize = 1_024;
/// A frame this old is not worth playing.
const STALE: Duration = Duration::from_millis(200);

const WAKER: Token = Token(0);

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Request {
    Join {
        seat: Seat,
        offer: String,
        reply: oneshot::Sender<Result<String, ListenError>>,
    },
    Leave(Seat),
    Seats {
        reply: oneshot::Sender<Vec<Seat>>,
    },
    /// The driver's answer comes by what is replied.
    TakeOver {
        seat: Seat,
        reply: oneshot::Sender<Result<Taken, ListenError>>,
    },
    Release {
        seat: Seat,
        how: Release,
        reply: oneshot::Sender<Result<(), ListenError>>,
    },
}

/// Whether the driver gave the patient over.
type Taken = oneshot::Receiver<Result<(), Refused>>;

/// Starts the thread, and says where sounds go.
pub(super) fn start(
    places: Places,
    inbox: Receiver<Request>,
    driver: Sender<Command>,
) -> std::io::Result<Outlet> {
    let poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
    let (sounds, heard) = sync_channel(WAITING);
    let booth = Booth {
        poll,
        places,
        inbox,
        heard,
        driver,
        peers: BTreeMap::new(),
        next: 1,
    };
    std::thread::Builder::new()
        .name("listen-in".to_owned())
        .spawn(move || booth.run())?;
    Ok(Outlet { sounds, waker })
}

struct Booth {
    poll: Poll,
    places: Places,
    inbox: Receiver<Request>,
    heard: Receiver<Sound>,
    driver: Sender<Command>,
    /// By the token of their sockets.
    peers: BTreeMap<usize, Peer>,
    next: usize,
}

impl Booth {
    fn run(mut self) {
        let mut events = Events::with_capacity(64);
        loop {
            let nap = self.nap();
            if let Err(error) = self.poll.poll(&mut events, Some(nap))
                && error.kind() != ErrorKind::Interrupted
            {
                warn!(%error, "waiting for browsers failed");
            }
            for event in &events {
                if let Some(peer) = self.peers.get_mut(&event.token().0) {
                    peer.receive(Instant::now());
                }
            }
            if !self.obey() {
                return;
            }
            self.play();
            self.go_on();
        }
    }

    fn nap(&mut self) -> Duration {
        let next = self.peers.values_mut().filter_map(Peer::poll_timeout).min();
        let until = next.map(|at| at.saturating_duration_since(Instant::now()));
        until.unwrap_or(NAP).clamp(BREATH, NAP)
    }

    /// Takes requests; `false` when nobody can ask any more.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(request) => self.handle(request),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn handle(&mut self, request: Request) {
        let is_heard = match request {
            Request::Join { seat, offer, reply } => {
                let listener = seat.listener;
                let is_heard = reply.send(self.join(seat, &offer)).is_ok();
                if !is_heard {
                    self.close(listener);
                }
                is_heard
            }
            Request::Leave(seat) => {
                if self.peer(&seat).is_ok() {
                    self.close(seat.listener);
                }
                true
            }
            Request::Seats { reply } => {
                let seats = self.peers.values().map(|peer| peer.seat.clone());
                reply.send(seats.collect()).is_ok()
            }
            Request::TakeOver { seat, reply } => reply.send(self.take_over(seat)).is_ok(),
            Request::Release { seat, how, reply } => reply.send(self.release(&seat, how)).is_ok(),
        };
        if !is_heard {
            debug!("who asked does not wait for the answer");
        }
    }

    fn release(&self, seat: &Seat, how: Release) -> Result<(), ListenError> {
        let listener = self.peer(seat)?.seat.listener;
        self.tell(Command::Release(listener, how))
    }

    /// The connection of this seat: nobody acts by another's.
    fn peer(&self, seat: &Seat) -> Result<&Peer, ListenError> {
        let mut peers = self.peers.values();
        let peer = peers.find(|peer| peer.seat == *seat);
        peer.ok_or(ListenError::NoSeat)
    }

    fn tell(&self, command: Command) -> Result<(), ListenError> {
        self.driver.send(command).map_err(|_| ListenError::Ended)
    }

    /// Whoever takes a patient over can speak to them at once.
    fn take_over(&self, seat: Seat) -> Result<Taken, ListenError> {
        if !self.peer(&seat)?.has_microphone(Instant::now()) {
            return Err(ListenError::NoMicrophone);
        }
        let (taken, answer) = oneshot::channel();
        self.tell(Command::TakeOver(TakeOver {
            listener: seat.listener,
            by: seat.who.name().to_owned(),
            taken,
        }))?;
        Ok(answer)
    }

    fn join(&mut self, seat: Seat, offer: &str) -> Result<String, ListenError> {
        let (mut socket, at) = self.open()?;
        let token = self.next;
        self.next += 1;
        self.poll
            .registry()
            .register(&mut socket, Token(token), Interest::READABLE)
            .map_err(|error| ListenError::Offer(error.to_string()))?;
        let (peer, answer) = Peer::answer(seat, offer, (socket, at), Instant::now())?;
        info!(attempt.id = %peer.seat.attempt, listener = %peer.seat.listener, "a browser listens in");
        self.peers.insert(token, peer);
        Ok(answer)
    }

    /// A free port, and the address of it that browsers are told.
    fn open(&self) -> Result<(UdpSocket, SocketAddr), ListenError> {
        let Places { address, ports } = &self.places;
        // Behind a translated address this machine has another one.
        let any: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let taken = |port: &u16| self.peers.values().any(|peer| peer.port() == *port);
        let open = |port: u16| {
            let bound = UdpSocket::bind(SocketAddr::new(*address, port));
            let bound = match bound {
                Err(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                    UdpSocket::bind(SocketAddr::new(any, port))
                }
                bound => bound,
            };
            Some((bound.ok()?, SocketAddr::new(*address, port)))
        };
        let mut free = ports.clone().filter(|port| !taken(port));
        free.find_map(open)
            .ok_or_else(|| ListenError::NoPort(ports.clone()))
    }

    /// What calls sound like by now.
    fn play(&mut self) {
        while let Ok(sound) = self.heard.try_recv() {
            match sound {
                Sound::Frame {
                    to,
                    slot,
                    at,
                    payload,
                } => {
                    let peer = self
                        .peers
                        .values_mut()
                        .find(|peer| peer.seat.listener == to);
                    if let Some(peer) = peer.filter(|_| at.elapsed() < STALE) {
                        peer.play(slot, &payload, Instant::now());
                    }
                }
                Sound::Over { to } => self.close(to),
            }
        }
    }

    /// Timers, what is to be sent, and who has gone.
    fn go_on(&mut self) {
        let now = Instant::now();
        let mut gone = Vec::new();
        for peer in self.peers.values_mut() {
            peer.go_on(now);
            let listener = peer.seat.listener;
            while let Some(packet) = peer.poll_voice() {
                if self.driver.send(Command::Voice(listener, packet)).is_err() {
                    debug!("the media thread has ended");
                }
            }
            if let Some(why) = peer.has_gone(now) {
                debug!(listener = %peer.seat.listener, why, "a connection has ended");
                gone.push(peer.seat.listener);
            }
        }
        for listener in gone {
            self.close(listener);
        }
    }

    fn close(&mut self, listener: ListenerId) {
        let token = self
            .peers
            .iter()
            .find(|(_, peer)| peer.seat.listener == listener);
        let Some((token, _)) = token else {
            return;
        };
        let token = *token;
        if let Some(peer) = self.peers.remove(&token) {
            peer.close(self.poll.registry());
            info!(%listener, "a browser listens no more");
        }
        if self.driver.send(Command::Unlisten(listener)).is_err() {
            debug!("the media thread has ended");
        }
    }
}
