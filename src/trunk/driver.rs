//! Drives calls: one thread, one way for SIP, one RTP socket a call, absolute 20 ms slots.
//!
//! The thread waits on epoll for datagrams until the earliest wake time of any call, so that no timer a
//! call is needed. It never waits for the database, for speech or for a disk: frames go to the recorder
//! thread, utterances to the ears, texts to the voice, events to `jobs::record`, each by a channel.
//!
//! Here are the thread's turn and its commands; a call begins in `begin`, `intake` takes what comes, `course` does what
//! calls want; `ring` takes calls that others make; `lines` are the telephones of people on call; `monitor` lets people
//! listen in.

mod begin;
mod course;
mod intake;
mod lines;
mod live;
mod monitor;
mod ring;
mod speaker;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::call::{CallEvent, CallKit, Input};
use aftercall_core::heard::Heard;
use aftercall_core::id::AttemptId;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::script::{Facts, Script};
use aftercall_core::sip::digest::Credentials;
use aftercall_core::sip::endpoint::Endpoint;
use aftercall_core::sip::trace::Kept;
use aftercall_core::time::Instant;
use mio::{Events, Poll, Token};
use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use self::lines::SECOND;
pub use self::lines::{LONGEST_LADDER, OnCall};
use self::live::Live;
pub use self::monitor::{Holders, Listen, ListenerId, Outlet, Refused, Release, Sound, TakeOver};
pub use self::ring::Answer;
use self::ring::Ringing;
use self::speaker::{Spoken, ToSpeak, start_speaker};
use crate::recording::Recordings;
use crate::speech::ears::Ears;
use crate::speech::voice::Voice;
use crate::trunk::alarms::Alarms;
use crate::trunk::carrier::Carrier;
use crate::trunk::config::{MissingPassword, Trunk};
use crate::trunk::names::{self, Answers};
use crate::trunk::pulse::Pulse;
use crate::trunk::socket::{self, Reach, SipSocket, SocketError};
use crate::trunk::standing::Standing;
use crate::trunk::tape::Recorder;
use crate::vault::DataKey;

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
    /// Of the library that the script is from: its recordings say what its texts say.
    pub kit: Arc<CallKit>,
    pub facts: Facts,
    /// What the recording is encrypted by, where the patient agreed to be recorded.
    pub record: Option<DataKey>,
    /// A voicemail is left a message.
    pub leaves_message: bool,
    /// Who is tried, in this order, when a person is asked for; [`LONGEST_LADDER`] at most.
    pub on_call: Arc<[OnCall]>,
}

/// What a running driver is asked to do.
pub enum Command {
    Start(Box<StartCall>),
    /// Takes a call that [`Told::Rings`] told of.
    Answer(Box<Answer>),
    /// Does not take it.
    Refuse {
        attempt: AttemptId,
        status: u16,
    },
    HangUp(AttemptId),
    /// A finding of the call is on disk.
    Stored {
        attempt: AttemptId,
        position: u32,
    },
    /// Somebody wants to listen in.
    Listen(Box<Listen>),
    Unlisten(ListenerId),
    TakeOver(TakeOver),
    /// RTP of a listener's microphone.
    Voice(ListenerId, Vec<u8>),
    Release(ListenerId, Release),
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
    /// Somebody calls: from one of these numbers, if it is one.
    Rings(Phi<Vec<PhoneNumber>>),
    /// What has gone over the line by now: at the answer, at the end, and once more when the last message has gone.
    Trace(Box<Kept>),
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
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

impl Driver {
    /// Opens the trunk's SIP socket and starts the threads.
    ///
    /// # Errors
    /// When the socket cannot be opened, the password is missing, or the system gives no thread.
    pub fn start(
        trunk: Trunk,
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
        if trunk.answers {
            endpoint.take_calls();
        }
        let known = credentials.as_ref();
        let standing = Standing::new(&trunk, &reach, known, &mut endpoint, Instant::ZERO)?;
        let (found, answers) = channel();
        let (asking, stop) = channel();
        if let Some(first) = reach.valid_for {
            names::keep_asking(trunk.clone(), first, found, stop)?;
        }
        let pulse = Arc::new(Pulse::default());
        let media = Media {
            pulse: Arc::clone(&pulse),
            endpoint,
            standing,
            recorder: recordings.map(Recorder::start).transpose()?,
            speaker: start_speaker(voice, spoken_out)?,
            trunk,
            credentials,
            reach,
            ears,
            reports,
            poll,
            carrier,
            inbox,
            answers,
            _asking: asking,
            heard,
            words,
            spoken,
            calls: BTreeMap::new(),
            ringing: BTreeMap::new(),
            alarms: Alarms::default(),
            finished: Vec::new(),
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
            pulse,
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

    /// What the thread lets others see.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
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

struct Media {
    pulse: Arc<Pulse>,
    trunk: Trunk,
    credentials: Option<Credentials>,
    reach: Reach,
    standing: Standing,
    ears: Arc<Ears>,
    reports: UnboundedSender<Report>,
    poll: Poll,
    carrier: Carrier,
    endpoint: Endpoint,
    inbox: Receiver<Command>,
    /// Where the targets are by now.
    answers: Receiver<Answers>,
    /// Names are asked for while it lives.
    _asking: Sender<()>,
    heard: Receiver<(u64, Heard)>,
    words: Sender<(u64, Heard)>,
    spoken: Receiver<Spoken>,
    speaker: Sender<ToSpeak>,
    /// `None`: nothing is recorded.
    recorder: Option<Recorder>,
    calls: BTreeMap<usize, Live>,
    /// Calls of others that are not decided on.
    ringing: BTreeMap<usize, Ringing>,
    /// When each is to be woken.
    alarms: Alarms,
    /// Those that owe nobody a message any more.
    finished: Vec<usize>,
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
                self.tell_traces();
                return self.put_away();
            }
            self.hear();
            self.wake_calls();
            self.care();
        }
    }

    /// What was recorded is on disk before the thread ends.
    fn put_away(mut self) {
        self.calls.clear();
        if let Some(recorder) = self.recorder
            && let Err(error) = recorder.finish()
        {
            warn!(%error, "not all was recorded");
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn nap(&self) -> Duration {
        let now = self.now();
        let next = self.alarms.next();
        let next = next.into_iter().chain(self.standing.poll_timeout()).min();
        next.map_or(NAP, |at| at.since(now).min(NAP))
    }

    /// Takes commands; `false` when there is nothing left to live for.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Start(start)) => self.begin(*start),
                Ok(Command::Answer(answer)) => self.answer(*answer),
                Ok(Command::Refuse { attempt, status }) => self.refuse(&attempt, status),
                Ok(Command::HangUp(attempt)) => self.hang_up(|live| live.attempt == attempt),
                Ok(Command::Stored { attempt, position }) => self.stored(&attempt, position),
                Ok(Command::Listen(listen)) => self.listen(*listen),
                Ok(Command::Unlisten(listener)) => self.unlisten(listener),
                Ok(Command::TakeOver(asked)) => self.take_over(asked),
                Ok(Command::Voice(listener, packet)) => self.voice(listener, &packet),
                Ok(Command::Release(listener, how)) => self.let_go(listener, how),
                // Which target the dialog was at is not known any more: the others answer 481.
                Ok(Command::Farewell(bytes)) => {
                    for place in self.reach.targets.iter().chain(&self.reach.elsewhere) {
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
            self.refuse_all();
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
            if let Some(delay) = live.stored(position, now) {
                self.pulse.durable_after(delay);
            }
            live.call.handle_input(Input::Stored { position }, now);
            self.drain(number);
        }
    }
}

fn random_tag() -> std::io::Result<String> {
    let mut tag = [0u8; 8];
    getrandom::fill(&mut tag).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(tag.iter().map(|byte| format!("{byte:02x}")).collect())
}
