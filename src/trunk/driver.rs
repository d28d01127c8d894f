//! Drives calls: one thread, one SIP socket, one RTP socket a call, absolute 20 ms slots.
//!
//! The thread waits on epoll for datagrams until the earliest wake time of any call, so that no timer a
//! call is needed. It never waits for the database, for speech or for a disk: frames go to the recorder
//! thread, utterances to the ears, texts to the voice, events to `jobs::record`, each by a channel.

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
use aftercall_core::script::{Facts, Script};
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::time::Instant;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, info, warn};

use crate::recording::{RecordingWriter, Recordings};
use crate::speech::ears::{Ears, Job, JobId, Priority};
use crate::speech::voice::Voice;
use crate::trunk::config::{MissingPassword, Trunk};
use crate::trunk::socket::{SipSocket, SocketError};

const SIP: Token = Token(0);
/// The longest sleep: commands and words wait no longer than this.
const NAP: Duration = Duration::from_millis(10);
/// A port rests so long after a call, because late packets of the old one would land in the new one.
const QUARANTINE: Duration = Duration::from_secs(5);
/// At shutdown, how long the last BYE may be repeated.
const FAREWELL: Duration = Duration::from_secs(1);
const DATAGRAM: usize = 2_048;

/// One attempt to be driven. The driver adds the leg: socket, port and password are its own.
pub struct StartCall {
    pub attempt: AttemptId,
    pub number: PhoneNumber,
    pub script: Arc<Script>,
    pub facts: Facts,
    /// The patient agreed to be recorded.
    pub record: bool,
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
    /// Cancels what rings, ends what talks; the thread ends when all calls have.
    Shutdown,
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
        let SipSocket {
            socket,
            local,
            target,
        } = SipSocket::open(&trunk)?;
        socket.set_nonblocking(true)?;
        let mut socket = UdpSocket::from_std(socket);
        let poll = Poll::new()?;
        poll.registry()
            .register(&mut socket, SIP, Interest::READABLE)?;
        let (commands, inbox) = channel();
        let (words, heard) = channel();
        let (spoken_out, spoken) = channel();
        let user_agent = concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned();
        let media = Media {
            endpoint: Endpoint::new(user_agent, random_tag()?),
            recorder: start_recorder(recordings)?,
            speaker: start_speaker(voice, spoken_out)?,
            trunk,
            credentials,
            local,
            target,
            kit,
            ears,
            reports,
            poll,
            socket,
            inbox,
            heard,
            words,
            spoken,
            calls: BTreeMap::new(),
            by_call_id: BTreeMap::new(),
            next_call: 1,
            resting: Vec::new(),
            origin: StdInstant::now(),
            leaving: false,
            ended_at: None,
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

    /// Cancels what rings, ends what talks, and waits for it.
    pub fn shut_down(mut self) {
        self.send(Command::Shutdown);
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
    port: u16,
    jobs: BTreeMap<UtteranceId, (JobId, Arc<AtomicBool>)>,
}

struct Media {
    trunk: Trunk,
    credentials: Option<Credentials>,
    /// Our SIP address as the target sees it.
    local: SocketAddr,
    target: SocketAddr,
    kit: Arc<CallKit>,
    ears: Arc<Ears>,
    reports: UnboundedSender<Report>,
    poll: Poll,
    socket: UdpSocket,
    endpoint: Endpoint,
    inbox: Receiver<Command>,
    heard: Receiver<(u64, Heard)>,
    words: Sender<(u64, Heard)>,
    spoken: Receiver<Spoken>,
    speaker: Sender<ToSpeak>,
    recorder: Sender<ToRecord>,
    calls: BTreeMap<usize, Live>,
    by_call_id: BTreeMap<String, usize>,
    next_call: usize,
    resting: Vec<(u16, StdInstant)>,
    origin: StdInstant,
    leaving: bool,
    /// At shutdown: when the last call ended.
    ended_at: Option<StdInstant>,
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
                    SIP => self.receive_sip(),
                    Token(number) => self.receive_rtp(number),
                }
            }
            if !self.obey() {
                return;
            }
            self.hear();
            self.wake_calls();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn nap(&self) -> Duration {
        let now = self.now();
        let next = self
            .calls
            .values()
            .filter_map(|live| live.call.poll_timeout())
            .map(|(at, _)| at)
            .min();
        next.map_or(NAP, |at| at.since(now).min(NAP))
    }

    fn receive_sip(&mut self) {
        let mut buffer = [0u8; 65_535];
        loop {
            let (len, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An ICMP port unreachable of an earlier send: the leg's own timers deal with it.
                Err(error) => {
                    debug!(%error, "SIP receive");
                    continue;
                }
            };
            let datagram = &buffer[..len];
            match self.endpoint.route(datagram) {
                Route::Leg(call_id) => {
                    if let Some(number) = self.by_call_id.get(&call_id).copied() {
                        let now = self.now();
                        if let Some(live) = self.calls.get_mut(&number) {
                            live.call.handle_input(Input::Sip(datagram), now);
                        }
                        self.drain(number);
                    }
                }
                Route::Reply(bytes) => send(&self.socket, &bytes, from),
                Route::Drop => {}
            }
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
                Ok((len, _)) => live.call.handle_input(Input::Rtp(&buffer[..len]), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => debug!(%error, "RTP receive"),
            }
        }
        self.drain(number);
    }

    /// Takes commands; `false` when there is nothing left to live for.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Start(start)) => self.begin(*start),
                Ok(Command::HangUp(attempt)) => self.hang_up(Some(&attempt)),
                Ok(Command::Stored { attempt, position }) => self.stored(&attempt, position),
                Ok(Command::Farewell(bytes)) => send(&self.socket, &bytes, self.target),
                Ok(Command::Shutdown) | Err(TryRecvError::Disconnected) => {
                    if !self.leaving {
                        self.leaving = true;
                        self.hang_up(None);
                    }
                    break;
                }
                Err(TryRecvError::Empty) => break,
            }
        }
        !(self.leaving
            && self.calls.values().all(|live| live.call.has_ended())
            && self.has_said_goodbye())
    }

    /// The peers' answers to our last requests are in, or have had their time.
    fn has_said_goodbye(&mut self) -> bool {
        let since = *self.ended_at.get_or_insert_with(StdInstant::now);
        self.calls.is_empty() || since.elapsed() > FAREWELL
    }

    fn hang_up(&mut self, only: Option<&AttemptId>) {
        let now = self.now();
        let numbers: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, live)| only.is_none_or(|attempt| *attempt == live.attempt))
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
            script,
            facts,
            record,
        } = start;
        if self.leaving {
            return self.not_started(attempt, "the engine is shutting down".to_owned());
        }
        let (mut socket, port) = match self.open_port() {
            Ok(opened) => opened,
            Err(why) => return self.not_started(attempt, why),
        };
        let number = self.next_call;
        self.next_call += 1;
        if let Err(error) =
            self.poll
                .registry()
                .register(&mut socket, Token(number), Interest::READABLE)
        {
            return self.not_started(attempt, format!("RTP socket: {error}"));
        }
        let mut seed = [0u8; 32];
        if let Err(error) = getrandom::fill(&mut seed) {
            return self.not_started(attempt, format!("no randomness: {error}"));
        }
        let leg = self
            .trunk
            .leg_config(&callee, self.local, port, self.credentials.clone());
        let order = CallOrder {
            leg,
            script,
            facts,
            record,
        };
        let call = Call::new(order, Arc::clone(&self.kit), seed, self.now());
        self.endpoint.add(call.call_id());
        self.by_call_id.insert(call.call_id().to_owned(), number);
        info!(attempt.id = %attempt, "INVITE");
        self.calls.insert(
            number,
            Live {
                attempt,
                call,
                socket,
                port,
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

    fn open_port(&mut self) -> Result<(UdpSocket, u16), String> {
        self.resting
            .retain(|(_, since)| since.elapsed() < QUARANTINE);
        let (first, last) = (*self.trunk.rtp_ports.start(), *self.trunk.rtp_ports.end());
        let mut ports = (first..=last).filter(|port| port % 2 == 0);
        let taken = |port: &u16| {
            self.resting.iter().any(|(resting, _)| resting == port)
                || self.calls.values().any(|live| live.port == *port)
        };
        ports
            .by_ref()
            .filter(|port| !taken(port))
            .find_map(|port| {
                let at = SocketAddr::new(self.trunk.bind.ip(), port);
                UdpSocket::bind(at).ok().map(|socket| (socket, port))
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
            if let Err(error) = self.poll.registry().deregister(&mut live.socket) {
                debug!(%error, "RTP socket");
            }
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
                Output::Sip(bytes) => send(&self.socket, &bytes, self.target),
                Output::Rtp { to, packet } => send(&live.socket, &packet, to),
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
