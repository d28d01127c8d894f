//! Drives calls: one thread, one way for SIP, one RTP socket a call, absolute 20 ms slots.
//!
//! The thread waits on epoll for datagrams until the earliest wake time of any call, so that no timer a
//! call is needed. It never waits for the database, for speech or for a disk: frames go to the recorder
//! thread, utterances to the ears, texts to the voice, events to `jobs::record`, each by a channel.

mod lines;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::call::{Call, CallEvent, CallKit, CallOrder, FRAME, Input, Output};
use aftercall_core::heard::Heard;
use aftercall_core::id::{AttemptId, UtteranceId};
use aftercall_core::phone::PhoneNumber;
use aftercall_core::rtp::StreamStats;
use aftercall_core::script::{Facts, Script};
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::sip::outside::Sent;
use aftercall_core::sip::sdp::Dtls;
use aftercall_core::time::Instant;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, info, warn};

pub use self::lines::{LONGEST_LADDER, OnCall};
use self::lines::{Lines, SECOND};
use crate::recording::{RecordingWriter, Recordings};
use crate::speech::ears::{Ears, Job, JobId, Priority};
use crate::speech::voice::Voice;
use crate::trunk::carrier::{Carrier, Received};
use crate::trunk::config::{MissingPassword, Trunk};
use crate::trunk::dtls::{self, Handshake, Identity};
use crate::trunk::socket::{self, Reach, SipSocket, SocketError};
use crate::trunk::standing::Standing;

/// The longest sleep: commands and words wait no longer than this.
const NAP: Duration = Duration::from_millis(10);
/// A port rests so long after a call, because late packets of the old one would land in the new one.
const QUARANTINE: Duration = Duration::from_secs(5);
/// At shutdown, how long the last BYE may be repeated.
const FAREWELL: Duration = Duration::from_secs(1);
const DATAGRAM: usize = 2_048;
/// The RTCP socket of a call has its call's token and this bit.
const RTCP: usize = 1 << 40;
/// How often silent connections are looked after.
const CARE: Duration = Duration::from_secs(5);

/// One attempt to be driven. The driver adds the leg: socket, port and password are its own.
pub struct StartCall {
    pub attempt: AttemptId,
    pub number: PhoneNumber,
    /// The caller id to show; `None`: the trunk's first.
    pub caller: Option<String>,
    pub script: Arc<Script>,
    pub facts: Facts,
    /// The patient agreed to be recorded.
    pub record: bool,
    /// A voicemail is left a message.
    pub leaves_message: bool,
    /// Who is tried, in this order, when a person is asked for; [`LONGEST_LADDER`] at most.
    pub on_call: Arc<[OnCall]>,
}

/// What a running driver is asked to do.
pub enum Command {
    Start(Box<StartCall>),
    HangUp(AttemptId),
    /// A finding of the call is on disk.
    Stored {
        attempt: AttemptId,
        position: u32,
    },
    /// BYE or CANCEL of a call that an earlier process left behind.
    Farewell(Vec<u8>),
    /// Begins no call, cancels what rings, lets talk go on for at most so long; the thread ends when all calls have.
    /// A second one with less patience counts.
    Shutdown {
        patience: Duration,
    },
}

/// What a call tells, for `jobs::record` and the live table.
#[derive(Debug)]
pub struct Report {
    pub attempt: AttemptId,
    pub what: Told,
}

#[derive(Debug)]
pub enum Told {
    Event(CallEvent),
    /// The call could not begin (no port, no socket): nothing was sent.
    NotStarted(String),
}

/// Why the driver did not start.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error(transparent)]
    Password(#[from] MissingPassword),
    #[error("the system gives no thread, event queue or randomness")]
    System(#[from] std::io::Error),
}

/// Handle on the media thread.
pub struct Driver {
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Opens the trunk's SIP socket and starts the threads.
    ///
    /// # Errors
    /// When the socket cannot be opened, the password is missing, or the system gives no thread.
    pub fn start(
        trunk: Trunk,
        kit: Arc<CallKit>,
        ears: Arc<Ears>,
        voice: Arc<Voice>,
        recordings: Option<Recordings>,
        reports: UnboundedSender<Report>,
    ) -> Result<Driver, DriverError> {
        let credentials = trunk.credentials()?;
        let SipSocket { bound, reach } = SipSocket::open(&trunk)?;
        let poll = Poll::new()?;
        let tls = socket::tls(&trunk, &reach)?;
        let carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
        let (commands, inbox) = channel();
        let (words, heard) = channel();
        let (spoken_out, spoken) = channel();
        let user_agent = concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned();
        let mut endpoint = Endpoint::new(user_agent, random_tag()?);
        let known = credentials.as_ref();
        let standing = Standing::new(&trunk, &reach, known, &mut endpoint, Instant::ZERO)?;
        let media = Media {
            endpoint,
            standing,
            recorder: start_recorder(recordings)?,
            speaker: start_speaker(voice, spoken_out)?,
            trunk,
            credentials,
            reach,
            kit,
            ears,
            reports,
            poll,
            carrier,
            inbox,
            heard,
            words,
            spoken,
            calls: BTreeMap::new(),
            by_call_id: BTreeMap::new(),
            next_call: 1,
            resting: Vec::new(),
            origin: StdInstant::now(),
            leave_by: None,
            ended_at: None,
            cared_at: StdInstant::now(),
        };
        let thread = std::thread::Builder::new()
            .name("media".to_owned())
            .spawn(move || media.run())?;
        Ok(Driver {
            commands,
            thread: Some(thread),
        })
    }

    /// Asks the media thread; it answers by reports.
    pub fn send(&self, command: Command) {
        if self.commands.send(command).is_err() {
            warn!("the media thread has ended; a command was lost");
        }
    }

    pub fn start_call(&self, call: StartCall) {
        self.send(Command::Start(Box::new(call)));
    }

    /// A sender of commands that outlives this handle.
    pub fn commands(&self) -> Sender<Command> {
        self.commands.clone()
    }

    /// Cancels what rings, lets talk go on for at most `patience`, and waits for it.
    pub fn shut_down(mut self, patience: Duration) {
        self.send(Command::Shutdown { patience });
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            warn!("the media thread panicked");
        }
    }
}

/// One call on its thread.
struct Live {
    attempt: AttemptId,
    call: Call,
    socket: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
    on_call: Arc<[OnCall]>,
    lines: Lines,
    /// Where a handshake gives the audio's keys.
    handshake: Option<Handshake>,
    jobs: BTreeMap<UtteranceId, (JobId, Arc<AtomicBool>)>,
}

impl Live {
    fn secure(&mut self, identity: Option<&Identity>, dtls: Dtls, to: SocketAddr, now: Instant) {
        let begun = identity.and_then(|identity| {
            let local = self.socket.local_addr().ok()?;
            Handshake::new(identity, dtls, (local, to), StdInstant::now()).ok()
        });
        if begun.is_none() {
            self.call.handle_input(Input::Secured(None), now);
        }
        self.handshake = begun;
        self.shake_hands(now);
    }

    fn wake_handshake(&mut self, now: Instant) {
        if let Some(handshake) = &mut self.handshake {
            handshake.handle_timeout(StdInstant::now());
        }
        self.shake_hands(now);
    }

    /// What the handshake wants sent, and what came of it.
    fn shake_hands(&mut self, now: Instant) {
        let Some(handshake) = &mut self.handshake else {
            return;
        };
        while let Some((packet, to)) = handshake.poll_send() {
            send(&self.socket, &packet, to);
        }
        let Some(outcome) = handshake.poll_outcome() else {
            return;
        };
        if let Err(error) = &outcome {
            warn!(attempt.id = %self.attempt, %error, "no keys for the audio: the call ends");
        }
        self.call.handle_input(Input::Secured(outcome.ok()), now);
    }
}

struct Media {
    trunk: Trunk,
    credentials: Option<Credentials>,
    reach: Reach,
    standing: Standing,
    kit: Arc<CallKit>,
    ears: Arc<Ears>,
    reports: UnboundedSender<Report>,
    poll: Poll,
    carrier: Carrier,
    endpoint: Endpoint,
    inbox: Receiver<Command>,
    heard: Receiver<(u64, Heard)>,
    words: Sender<(u64, Heard)>,
    spoken: Receiver<Spoken>,
    speaker: Sender<ToSpeak>,
    recorder: Sender<ToRecord>,
    calls: BTreeMap<usize, Live>,
    /// The call, and which of its second lines.
    by_call_id: BTreeMap<String, (usize, Option<u32>)>,
    next_call: usize,
    resting: Vec<(u16, StdInstant)>,
    origin: StdInstant,
    /// At shutdown: when talk is ended; then nothing new begins.
    leave_by: Option<StdInstant>,
    /// At shutdown: when the last call ended.
    ended_at: Option<StdInstant>,
    cared_at: StdInstant,
}

impl Media {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let nap = self.nap();
            if let Err(error) = self.poll.poll(&mut events, Some(nap))
                && error.kind() != ErrorKind::Interrupted
            {
                warn!(%error, "waiting for datagrams failed");
            }
            for event in &events {
                match event.token() {
                    token if Carrier::owns(token) => self.receive_sip(token),
                    Token(token) if token & SECOND != 0 => self.receive_line(token),
                    Token(number) if number & RTCP != 0 => self.receive_rtcp(number & !RTCP),
                    Token(number) => self.receive_rtp(number),
                }
            }
            self.tell_refused();
            if !self.obey() {
                return;
            }
            self.hear();
            self.wake_calls();
            self.care();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn nap(&self) -> Duration {
        let now = self.now();
        let calls = self.calls.values();
        let next = calls
            .filter_map(|live| live.call.poll_timeout())
            .map(|(at, _)| at)
            .chain(self.standing.poll_timeout())
            .min();
        next.map_or(NAP, |at| at.since(now).min(NAP))
    }

    fn receive_sip(&mut self, token: Token) {
        for Received { datagram, from } in self.carrier.receive(token) {
            let call_id = match self.endpoint.route(&datagram) {
                Route::Leg(call_id) => call_id,
                Route::Reply(bytes) => {
                    self.carrier.send(&bytes, from);
                    continue;
                }
                Route::Drop => continue,
            };
            let now = self.now();
            let Some((number, line)) = self.by_call_id.get(&call_id).copied() else {
                self.standing.handle(&call_id, &datagram, now);
                self.send_standing();
                continue;
            };
            if let Some(live) = self.calls.get_mut(&number) {
                let datagram = &datagram[..];
                let input = match line {
                    None => Input::Sip { datagram, from },
                    Some(line) => Input::LineSip {
                        line,
                        datagram,
                        from,
                    },
                };
                live.call.handle_input(input, now);
            }
            self.drain(number);
        }
    }

    /// Connections that could not be made: the calls that wanted them go another way.
    fn tell_refused(&mut self) {
        while let Some(to) = self.carrier.poll_refused() {
            let now = self.now();
            let numbers: Vec<usize> = self.calls.keys().copied().collect();
            for number in numbers {
                if let Some(live) = self.calls.get_mut(&number) {
                    live.call.handle_input(Input::SipRefused { to }, now);
                }
                self.drain(number);
            }
        }
    }

    /// REGISTER and OPTIONS, and connections that fell silent.
    fn care(&mut self) {
        self.standing.handle_timeout(self.now());
        self.send_standing();
        if self.cared_at.elapsed() > CARE {
            self.cared_at = StdInstant::now();
            self.carrier.keep_alive();
        }
    }

    fn send_standing(&mut self) {
        while let Some(Sent { bytes, to }) = self.standing.poll_sent() {
            self.carrier.send(&bytes, to);
        }
    }

    fn receive_rtp(&mut self, number: usize) {
        let now = self.now();
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let mut buffer = [0u8; DATAGRAM];
        loop {
            match live.socket.recv_from(&mut buffer) {
                Ok((len, from)) => {
                    let datagram = &buffer[..len];
                    match &mut live.handshake {
                        Some(handshake) if dtls::is_dtls(datagram) => {
                            handshake.handle(datagram, from, StdInstant::now());
                            live.shake_hands(now);
                        }
                        Some(_) | None => {
                            live.call.handle_input(Input::Rtp { datagram, from }, now);
                        }
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => debug!(%error, "RTP receive"),
            }
        }
        self.drain(number);
    }

    fn receive_rtcp(&mut self, number: usize) {
        let now = self.now();
        let Some(live) = self.calls.get_mut(&number) else {
            return;
        };
        let mut buffer = [0u8; DATAGRAM];
        loop {
            match live.rtcp.recv_from(&mut buffer) {
                Ok((len, _)) => live.call.handle_input(Input::Rtcp(&buffer[..len]), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => debug!(%error, "RTCP receive"),
            }
        }
        self.drain(number);
    }

    /// Takes commands; `false` when there is nothing left to live for.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Start(start)) => self.begin(*start),
                Ok(Command::HangUp(attempt)) => self.hang_up(|live| live.attempt == attempt),
                Ok(Command::Stored { attempt, position }) => self.stored(&attempt, position),
                // Which target the dialog was at is not known any more: the others answer 481.
                Ok(Command::Farewell(bytes)) => {
                    for place in &self.reach.targets {
                        self.carrier.send(&bytes, place.address);
                    }
                }
                Ok(Command::Shutdown { patience }) => self.leave(patience),
                Err(TryRecvError::Disconnected) => {
                    self.leave(Duration::ZERO);
                    break;
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        let Some(leave_by) = self.leave_by else {
            return true;
        };
        if StdInstant::now() >= leave_by {
            self.hang_up(|_| true);
        }
        !(self.calls.values().all(|live| live.call.has_ended()) && self.has_said_goodbye())
    }

    /// Cancels what rings; whoever talks may talk on for a while.
    fn leave(&mut self, patience: Duration) {
        let by = StdInstant::now() + patience;
        if self.leave_by.is_none() {
            self.standing.leave(self.now());
            self.send_standing();
            self.hang_up(|live| !live.call.is_talking());
        }
        self.leave_by = Some(self.leave_by.map_or(by, |earlier| earlier.min(by)));
    }

    /// The peers' answers to our last requests are in, or have had their time.
    fn has_said_goodbye(&mut self) -> bool {
        let since = *self.ended_at.get_or_insert_with(StdInstant::now);
        (self.calls.is_empty() && self.standing.has_left()) || since.elapsed() > FAREWELL
    }

    fn hang_up(&mut self, whom: impl Fn(&Live) -> bool) {
        let now = self.now();
        let numbers: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, live)| whom(live))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            if let Some(live) = self.calls.get_mut(&number) {
                live.call.handle_input(Input::HangUp, now);
            }
            self.drain(number);
        }
    }

    fn stored(&mut self, attempt: &AttemptId, position: u32) {
        let now = self.now();
        let live = self
            .calls
            .iter_mut()
            .find(|(_, live)| live.attempt == *attempt);
        if let Some((number, live)) = live {
            let number = *number;
            live.call.handle_input(Input::Stored { position }, now);
            self.drain(number);
        }
    }

    fn begin(&mut self, start: StartCall) {
        let StartCall {
            attempt,
            number: callee,
            caller,
            script,
            facts,
            record,
            leaves_message,
            on_call,
        } = start;
        if self.leave_by.is_some() {
            return self.not_started(attempt, "the engine is shutting down".to_owned());
        }
        let (mut socket, mut rtcp, port) = match self.open_port() {
            Ok(opened) => opened,
            Err(why) => return self.not_started(attempt, why),
        };
        let number = self.next_call;
        self.next_call += 1;
        let registry = self.poll.registry();
        let registered = registry
            .register(&mut socket, Token(number), Interest::READABLE)
            .and_then(|()| registry.register(&mut rtcp, Token(number | RTCP), Interest::READABLE));
        if let Err(error) = registered {
            return self.not_started(attempt, format!("RTP socket: {error}"));
        }
        let (mut seed, mut lots) = ([0u8; 32], [0u8; 32]);
        let drawn = getrandom::fill(&mut seed).and_then(|()| getrandom::fill(&mut lots));
        if let Err(error) = drawn {
            return self.not_started(attempt, format!("no randomness: {error}"));
        }
        let reach = self.reach.drawn(lots);
        let mut leg = self
            .trunk
            .leg_config(&callee, &reach, port, self.credentials.clone());
        if let Some(caller) = &caller {
            self.trunk.show(caller, &mut leg);
        }
        self.standing.order(&mut leg.targets);
        let order = CallOrder {
            leg,
            script,
            facts,
            record,
            leaves_message,
            rungs: u32::try_from(on_call.len().min(LONGEST_LADDER)).unwrap_or(0),
        };
        let call = Call::new(order, Arc::clone(&self.kit), seed, self.now());
        self.endpoint.add(call.call_id());
        self.by_call_id
            .insert(call.call_id().to_owned(), (number, None));
        info!(attempt.id = %attempt, "INVITE");
        self.calls.insert(
            number,
            Live {
                attempt,
                call,
                socket,
                rtcp,
                port,
                on_call,
                lines: Lines::new(),
                handshake: None,
                jobs: BTreeMap::new(),
            },
        );
        self.drain(number);
    }

    fn not_started(&self, attempt: AttemptId, why: String) {
        self.tell(attempt, Told::NotStarted(why));
    }

    fn tell(&self, attempt: AttemptId, what: Told) {
        if self.reports.send(Report { attempt, what }).is_err() {
            debug!("nobody records any more");
        }
    }

    /// An even port for RTP and the next for RTCP.
    fn open_port(&mut self) -> Result<(UdpSocket, UdpSocket, u16), String> {
        self.resting
            .retain(|(_, since)| since.elapsed() < QUARANTINE);
        let (first, last) = (*self.trunk.rtp_ports.start(), *self.trunk.rtp_ports.end());
        let mut ports = (first..=last).filter(|port| port % 2 == 0);
        let taken = |port: &u16| {
            self.resting.iter().any(|(resting, _)| resting == port)
                || self.calls.values().any(|live| {
                    live.port == *port || live.lines.values().any(|line| line.port == *port)
                })
        };
        ports
            .by_ref()
            .filter(|port| !taken(port))
            .find_map(|port| {
                let open = |port| UdpSocket::bind(SocketAddr::new(self.trunk.bind.ip(), port)).ok();
                Some((open(port)?, open(port + 1)?, port))
            })
            .ok_or_else(|| {
                format!("no free RTP port in {first}-{last}; widen `ports` in the trunk file")
            })
    }

    /// Words and audio that came back from the ears and the voice.
    fn hear(&mut self) {
        let now = self.now();
        while let Ok((token, heard)) = self.heard.try_recv() {
            let (number, utterance) = ((token >> 32) as usize, UtteranceId(token as u32));
            if let Some(live) = self.calls.get_mut(&number) {
                live.jobs.remove(&utterance);
                live.call
                    .handle_input(Input::Heard { utterance, heard }, now);
                self.drain(number);
            }
        }
        while let Ok(Spoken { number, id, audio }) = self.spoken.try_recv() {
            if let Some(live) = self.calls.get_mut(&number) {
                live.call.handle_input(Input::Spoken { id, audio }, now);
                self.drain(number);
            }
        }
    }

    fn wake_calls(&mut self) {
        let now = self.now();
        let is_shaking = |live: &Live| live.handshake.is_some();
        let shaking = self.calls.iter().filter(|(_, live)| is_shaking(live));
        let shaking: Vec<usize> = shaking.map(|(number, _)| *number).collect();
        for number in shaking {
            if let Some(live) = self.calls.get_mut(&number) {
                live.wake_handshake(now);
            }
            self.drain(number);
        }
        let due: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, live)| live.call.poll_timeout().is_some_and(|(at, _)| at <= now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            if let Some(live) = self.calls.get_mut(&number) {
                live.call.handle_timeout(now);
            }
            self.drain(number);
        }
        self.bury();
    }

    fn bury(&mut self) {
        let finished: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, live)| live.call.is_finished())
            .map(|(number, _)| *number)
            .collect();
        for number in finished {
            let Some(mut live) = self.calls.remove(&number) else {
                continue;
            };
            for socket in [&mut live.socket, &mut live.rtcp] {
                if let Err(error) = self.poll.registry().deregister(socket) {
                    debug!(%error, "RTP socket");
                }
            }
            self.close_lines(&mut live);
            self.endpoint.remove(live.call.call_id());
            self.by_call_id.remove(live.call.call_id());
            self.resting.push((live.port, StdInstant::now()));
        }
    }

    fn drain(&mut self, number: usize) {
        while let Some(live) = self.calls.get_mut(&number) {
            let Some(output) = live.call.poll_output() else {
                return;
            };
            match output {
                Output::Sip { bytes, to } => self.carrier.send(&bytes, to),
                Output::RestTarget { target, pause } => {
                    let now = Instant::from_micros(self.origin.elapsed().as_micros() as u64);
                    self.standing.rest(target, pause, now);
                }
                Output::Rtp { to, packet } => send(&live.socket, &packet, to),
                Output::Secure { to, dtls } => {
                    let identity = self.reach.identity.as_deref();
                    let now = Instant::from_micros(self.origin.elapsed().as_micros() as u64);
                    live.secure(identity, dtls, to, now);
                }
                Output::Rtcp { to, packet } => send(&live.rtcp, &packet, to),
                Output::OpenLine { line } => self.open_line(number, line),
                Output::CloseLine { line } => self.close_line(number, line),
                Output::LineRtp { line, to, packet } => live.send_line(line, &packet, to),
                Output::LineRtcp { line, to, packet } => live.send_line_report(line, &packet, to),
                Output::Transcribe {
                    utterance,
                    samples,
                    lang,
                    hot_words,
                    choices,
                } => {
                    let cancelled = Arc::new(AtomicBool::new(false));
                    let job = self.ears.submit(Job {
                        token: (number as u64) << 32 | u64::from(utterance.0),
                        samples,
                        lang,
                        priority: Priority::Speculative,
                        hot_words,
                        choices,
                        cancelled: Arc::clone(&cancelled),
                        reply: self.words.clone(),
                    });
                    live.jobs.insert(utterance, (job, cancelled));
                }
                Output::Promote { utterance } => {
                    if let Some((job, _)) = live.jobs.get(&utterance) {
                        self.ears.promote(*job);
                    }
                }
                Output::Forget { utterance } => {
                    if let Some((_, cancelled)) = live.jobs.remove(&utterance) {
                        cancelled.store(true, Ordering::Relaxed);
                    }
                }
                Output::Speak { id, lang, text } => {
                    let asked = ToSpeak {
                        number,
                        id,
                        lang,
                        text,
                    };
                    if let Err(lost) = self.speaker.send(asked) {
                        let now = Instant::from_micros(self.origin.elapsed().as_micros() as u64);
                        live.call.handle_input(
                            Input::Spoken {
                                id: lost.0.id,
                                audio: None,
                            },
                            now,
                        );
                    }
                }
                Output::Frame { left, right } => {
                    let frame = ToRecord::Frame {
                        attempt: live.attempt.clone(),
                        left,
                        right,
                    };
                    if self.recorder.send(frame).is_err() {
                        debug!("the recorder has ended");
                    }
                }
                Output::Event(event) => {
                    let attempt = live.attempt.clone();
                    if matches!(event, CallEvent::Ended(_)) {
                        log_media(&attempt, live.call.media());
                    }
                    if matches!(event, CallEvent::Ended(_))
                        && self
                            .recorder
                            .send(ToRecord::Close(attempt.clone()))
                            .is_err()
                    {
                        debug!("the recorder has ended");
                    }
                    self.tell(attempt, Told::Event(event));
                }
            }
        }
    }
}

fn random_tag() -> std::io::Result<String> {
    let mut tag = [0u8; 8];
    getrandom::fill(&mut tag).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(tag.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How the audio went, for who looks after the line.
fn log_media(attempt: &AttemptId, media: Option<StreamStats>) {
    if let Some(StreamStats {
        sent,
        received,
        lost,
        late,
        jitter_ms,
        far,
        ..
    }) = media
    {
        let round_trip_ms = far.round_trip.map(|time| time.as_millis());
        info!(attempt.id = %attempt, sent, received, lost, late, jitter_ms, far.lost, far.jitter_ms, round_trip_ms, "audio");
    }
}

/// Sends one datagram. A full socket buffer loses it, as the network might; the timers repeat what matters.
fn send(socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
    if let Err(error) = socket.send_to(bytes, to) {
        debug!(%error, "datagram not sent");
    }
}

struct ToSpeak {
    number: usize,
    id: u32,
    lang: aftercall_core::lang::Lang,
    text: aftercall_core::phi::Phi<String>,
}

struct Spoken {
    number: usize,
    id: u32,
    audio: Option<Arc<[i16]>>,
}

fn start_speaker(voice: Arc<Voice>, spoken: Sender<Spoken>) -> std::io::Result<Sender<ToSpeak>> {
    let (asks, inbox) = channel::<ToSpeak>();
    std::thread::Builder::new()
        .name("voice".to_owned())
        .spawn(move || {
            while let Ok(ToSpeak {
                number,
                id,
                lang,
                text,
            }) = inbox.recv()
            {
                let audio = match voice.speak(text.expose(), lang) {
                    Ok(samples) => Some(samples),
                    Err(error) => {
                        warn!(%error, "a name or date could not be spoken");
                        None
                    }
                };
                if spoken.send(Spoken { number, id, audio }).is_err() {
                    return;
                }
            }
        })?;
    Ok(asks)
}

#[expect(
    clippy::large_enum_variant,
    reason = "a frame lives for one slot; a box for each would be dearer"
)]
enum ToRecord {
    Frame {
        attempt: AttemptId,
        left: [u8; FRAME],
        right: [u8; FRAME],
    },
    Close(AttemptId),
}

fn start_recorder(root: Option<Recordings>) -> std::io::Result<Sender<ToRecord>> {
    let (frames, inbox) = channel::<ToRecord>();
    std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || {
            let mut open: BTreeMap<AttemptId, RecordingWriter> = BTreeMap::new();
            while let Ok(message) = inbox.recv() {
                let Some(root) = &root else { continue };
                match message {
                    ToRecord::Frame {
                        attempt,
                        left,
                        right,
                    } => {
                        let writer = match open.entry(attempt) {
                            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                            std::collections::btree_map::Entry::Vacant(entry) => {
                                match root.writer(entry.key()) {
                                    Ok(writer) => entry.insert(writer),
                                    Err(error) => {
                                        warn!(%error, "a recording cannot be written");
                                        continue;
                                    }
                                }
                            }
                        };
                        if let Err(error) = writer.append(&left, &right) {
                            warn!(%error, "a recording cannot be written");
                        }
                    }
                    ToRecord::Close(attempt) => {
                        if let Some(writer) = open.remove(&attempt)
                            && let Err(error) = writer.finish()
                        {
                            warn!(%error, "a recording was not closed");
                        }
                    }
                }
            }
        })?;
    Ok(frames)
}
