//! Many calls of one recording at once, on one thread, and what they cost: for measuring a line and this machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::id::AttemptId;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::time::Instant;
use anyhow::Context;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use serde::Serialize;

use super::alarms::Alarms;
use super::carrier::{Carrier, Received};
use super::config::Trunk;
use super::descriptors;
use super::line::{Hears, Line, Playback, Played, Until, open_rtp};
use super::socket::{self, Reach, SipSocket};
use super::tape::Recorder;
use crate::recording::Recordings;
use crate::vault::DataKey;

/// How often memory is looked at, and every call at least.
const LOOK: Duration = Duration::from_secs(1);
/// The longest sleep.
const NAP: Duration = Duration::from_millis(10);
/// Tokens of RTCP sockets; those of RTP are the numbers of the calls, from 1.
const RTCP: usize = 1 << 32;
/// What a call takes besides its talk, for the count of calls at once.
const SET_UP: Duration = Duration::from_secs(10);
/// A call that nobody answers is given up after this.
const LONGEST: Duration = Duration::from_secs(3_600);

/// What is asked for.
pub struct Load {
    pub calls: usize,
    /// Calls begun a second.
    pub rate: f64,
    /// From the answer of each.
    pub talk: Duration,
    /// Played again and again.
    pub samples: Arc<[i16]>,
    pub hears: Hears,
    /// A folder for a stereo recording of each call.
    pub record: Option<PathBuf>,
    /// Set from outside: hang up all.
    pub stop: Arc<AtomicBool>,
}

/// Audio packets of all calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Packets {
    pub sent: u64,
    pub received: u64,
    pub lost: u64,
    pub late: u64,
    pub lost_as_the_far_end_says: u64,
}

/// What this process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Resident memory, kB.
    pub memory_kb: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Calls that SIP is routed to, and alarms that are set.
    pub routes: usize,
    pub alarms: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Measured {
    /// Calls that came to an end, by the reason.
    pub ends: BTreeMap<String, usize>,
    /// From the INVITE to the answer, of each that was answered, in milliseconds.
    pub set_up_ms: Vec<f32>,
    /// All calls together.
    pub talked: Duration,
    pub packets: Packets,
    /// Calls that could not begin, by the reason.
    pub not_begun: BTreeMap<String, usize>,
    /// How late each frame was sent, counted by tenths of a millisecond; the last counts all beyond.
    pub lateness: Vec<u64>,
    /// From the first INVITE to the end of the last call.
    pub took: Duration,
    /// The most calls at once.
    pub peak: usize,
    /// Of one core, while they lasted.
    pub cpu: Duration,
    /// Before the first call, and after the last.
    pub before: Held,
    pub after: Held,
    /// The most resident memory while they lasted, kB.
    pub most_memory_kb: u64,
}

/// Header and payload of 20 ms of G.711, as every packet of a call has them.
const RTP_OF_20_MS: usize = 172;
const SLOT: Duration = Duration::from_millis(20);
/// Tenths of a millisecond that are told apart.
const TENTHS: usize = 2_000;

impl Measured {
    fn add(&mut self, played: &Played) {
        let why = serde_json::to_value(played.ending.why).unwrap_or_default();
        let why = why.as_str().unwrap_or("unknown").to_owned();
        *self.ends.entry(why).or_default() += 1;
        let answered = played
            .answered_after
            .map(|after| after.as_secs_f32() * 1_000.0);
        self.set_up_ms.extend(answered);
        self.talked += played.talked;
        if let Some(rtp) = &played.rtp {
            self.packets.sent += rtp.sent;
            self.packets.received += rtp.received;
            self.packets.lost += rtp.lost;
            self.packets.late += rtp.late;
            self.packets.lost_as_the_far_end_says += u64::from(rtp.far.lost);
        }
    }

    /// The lateness that this share of the frames did not exceed, in milliseconds; `None` where none was sent.
    pub fn lateness_ms(&self, share: f64) -> Option<f64> {
        let all: u64 = self.lateness.iter().sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut seen = 0;
        let place = self.lateness.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        place
            .filter(|_| all > 0)
            .map(|tenths| (tenths + 1) as f64 / 10.0)
    }
}

/// Places the calls, to the numbers in turn, and stays with them to the end of the last.
///
/// # Errors
/// When a socket cannot be had, the password is missing, or a recording cannot be written.
pub fn run(trunk: &Trunk, numbers: &[PhoneNumber], load: Load) -> anyhow::Result<Measured> {
    let at_once = load.rate * (load.talk + SET_UP).as_secs_f64();
    descriptors::provide(load.calls.min(at_once.ceil() as usize))?;
    let SipSocket { bound, reach } = SipSocket::open(trunk)?;
    let poll = Poll::new()?;
    let tls = socket::tls(trunk, &reach)?;
    let carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let agent = concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned();
    let recordings = load.record.clone().map(Recordings::new);
    let recorder = recordings.map(Recorder::start);
    let crowd = Crowd {
        trunk,
        numbers,
        reach,
        carrier,
        poll,
        endpoint: Endpoint::new(agent, format!("{:016x}", u64::from_be_bytes(tag))),
        recorder: recorder.transpose()?,
        load,
        lines: BTreeMap::new(),
        by_call_id: BTreeMap::new(),
        alarms: Alarms::default(),
        begun: 0,
        began: StdInstant::now(),
        measured: Measured {
            lateness: vec![0; TENTHS],
            ..Measured::default()
        },
    };
    let cpu = cpu();
    let mut measured = crowd.run()?;
    measured.cpu = self::cpu().saturating_sub(cpu);
    Ok(measured)
}

struct Crowd<'a> {
    trunk: &'a Trunk,
    numbers: &'a [PhoneNumber],
    reach: Reach,
    carrier: Carrier,
    poll: Poll,
    endpoint: Endpoint,
    recorder: Option<Recorder>,
    load: Load,
    lines: BTreeMap<usize, Line>,
    by_call_id: BTreeMap<String, usize>,
    alarms: Alarms,
    begun: usize,
    began: StdInstant,
    measured: Measured,
}

impl Crowd<'_> {
    fn run(mut self) -> anyhow::Result<Measured> {
        let mut events = Events::with_capacity(1_024);
        let mut looked_at = StdInstant::now();
        self.measured.before = self.holds();
        while self.begun < self.load.calls || !self.lines.is_empty() {
            self.begin_due()?;
            if let Err(error) = self.poll.poll(&mut events, Some(self.nap()))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for event in &events {
                self.receive(event.token())?;
            }
            while let Some(to) = self.carrier.poll_refused() {
                let now = self.now();
                let all: Vec<usize> = self.lines.keys().copied().collect();
                for number in all {
                    if let Some(line) = self.lines.get_mut(&number) {
                        line.handle_refused(to, now);
                    }
                    self.touched(number)?;
                }
            }
            self.wake()?;
            if looked_at.elapsed() > LOOK {
                looked_at = StdInstant::now();
                let most = &mut self.measured.most_memory_kb;
                *most = (*most).max(memory_kb());
            }
        }
        self.measured.took = self.began.elapsed();
        if let Some(recorder) = self.recorder.take() {
            recorder.finish()?;
        }
        self.measured.after = self.holds();
        Ok(self.measured)
    }

    fn holds(&self) -> Held {
        Held {
            memory_kb: memory_kb(),
            descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            routes: self.by_call_id.len(),
            alarms: self.alarms.len(),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When the call of this number is to begin.
    fn due(&self, number: usize) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(number as f64 / self.load.rate)
    }

    fn nap(&self) -> Duration {
        let begin = (self.begun < self.load.calls).then(|| self.due(self.begun));
        let at = self.alarms.next().into_iter().chain(begin).min();
        at.map_or(NAP, |at| at.since(self.now()).min(NAP))
    }

    fn begin_due(&mut self) -> anyhow::Result<()> {
        while self.begun < self.load.calls && self.due(self.begun) <= self.now() {
            if self.load.stop.load(Ordering::Relaxed) {
                self.begun = self.load.calls;
                return Ok(());
            }
            let number = self.begun + 1;
            self.begun = number;
            match self.begin(number) {
                Ok(()) => self.touched(number)?,
                Err(error) => {
                    *self
                        .measured
                        .not_begun
                        .entry(format!("{error:#}"))
                        .or_default() += 1;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, number: usize) -> anyhow::Result<()> {
        let range = &self.trunk.rtp_ports;
        let pairs = usize::from(range.end() - range.start()) / 2 + 1;
        let sockets =
            open_rtp(self.trunk, (self.begun - 1) % pairs).or_else(|| open_rtp(self.trunk, 0));
        let (rtp, rtcp, port) = sockets.context("no free pair of RTP ports")?;
        let credentials = self.trunk.credentials()?;
        let mut lots = [0; 32];
        getrandom::fill(&mut lots).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let reach = self.reach.drawn(lots);
        let whom = &self.numbers[(number - 1) % self.numbers.len()];
        let config = self.trunk.leg_config(whom, &reach, port, credentials);
        let attempt = AttemptId(format!("call-{number}"));
        let recording = self
            .recorder
            .as_ref()
            .map(|recorder| anyhow::Ok(recorder.tape(&attempt, DataKey::random()?)));
        let order = Playback {
            samples: Arc::clone(&self.load.samples),
            hears: self.load.hears,
            until: Until::SinceAnswer(self.load.talk),
            longest: LONGEST,
            keys: String::new(),
            refer: None,
            recording: recording.transpose()?,
            stop: Arc::clone(&self.load.stop),
        };
        let mut line = Line::new(config, order, (rtp, rtcp), reach.identity, self.now())?;
        let registry = self.poll.registry();
        registry.register(&mut line.rtp, Token(number), Interest::READABLE)?;
        registry.register(&mut line.rtcp, Token(number | RTCP), Interest::READABLE)?;
        self.endpoint.add(line.call_id());
        self.by_call_id.insert(line.call_id().to_owned(), number);
        self.lines.insert(number, line);
        self.measured.peak = self.measured.peak.max(self.lines.len());
        Ok(())
    }

    fn receive(&mut self, token: Token) -> anyhow::Result<()> {
        if Carrier::owns(token) {
            for Received { datagram, from } in self.carrier.receive(token) {
                match self.endpoint.route(&datagram, from) {
                    Route::Leg(call_id) => {
                        let now = self.now();
                        if let Some(number) = self.by_call_id.get(&call_id).copied()
                            && let Some(line) = self.lines.get_mut(&number)
                        {
                            line.handle_sip(&datagram, from, now);
                            self.touched(number)?;
                        }
                    }
                    Route::Reply { bytes, to } => self.carrier.send(&bytes, to),
                    Route::Invite(_) | Route::Drop => {}
                }
            }
            return Ok(());
        }
        let now = self.now();
        if let Some(line) = self.lines.get_mut(&(token.0 & !RTCP)) {
            if token.0 & RTCP == 0 {
                line.receive_rtp(now);
            } else {
                line.receive_rtcp(now);
            }
        }
        Ok(())
    }

    fn wake(&mut self) -> anyhow::Result<()> {
        for number in self.alarms.due(self.now()) {
            let now = self.now();
            let Some(line) = self.lines.get_mut(&number) else {
                continue;
            };
            if let Some(slot) = line.next_slot().filter(|slot| *slot <= now) {
                let tenths = now.since(slot).as_micros() / 100;
                let place = usize::try_from(tenths).map_or(TENTHS - 1, |at| at.min(TENTHS - 1));
                self.measured.lateness[place] += 1;
            }
            line.handle_timeout(now);
            self.touched(number)?;
        }
        Ok(())
    }

    /// Sends what a call has to send, sets its alarm, or buries it.
    fn touched(&mut self, number: usize) -> anyhow::Result<()> {
        let now = self.now();
        let Some(line) = self.lines.get_mut(&number) else {
            return Ok(());
        };
        while let Some((bytes, to)) = line.poll_sip() {
            self.carrier.send(&bytes, to);
        }
        // Nobody looks on.
        while line.poll_event().is_some() {}
        if line.is_open(now) {
            let next = line.poll_timeout().into_iter().chain([now + LOOK]).min();
            self.alarms.set(number, next);
            return Ok(());
        }
        self.alarms.set(number, None);
        let Some(mut line) = self.lines.remove(&number) else {
            return Ok(());
        };
        self.poll.registry().deregister(&mut line.rtp)?;
        self.poll.registry().deregister(&mut line.rtcp)?;
        self.endpoint.remove(line.call_id());
        self.by_call_id.remove(line.call_id());
        self.measured.add(&line.finish()?);
        Ok(())
    }
}

/// The least that so many calls cost on this machine: as many sockets in a ring, each of which sends a packet of 20 ms of
/// G.711 to the next every 20 ms and takes what comes, on one thread, with nothing of a call around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bare {
    pub cpu_s: f64,
    /// Of one core, for each socket: the same packets as a call's, as often.
    pub cpu_percent_of_a_core_a_call: f64,
    pub sent: u64,
    pub received: u64,
}

/// Sends and receives the packets of so many calls for so long.
///
/// # Errors
/// When a socket cannot be had.
pub fn bare(calls: usize, lasts: Duration) -> anyhow::Result<Bare> {
    let mut poll = Poll::new()?;
    let mut sockets = Vec::with_capacity(calls);
    for number in 0..calls {
        let mut socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
        let registry = poll.registry();
        registry.register(&mut socket, Token(number), Interest::READABLE)?;
        sockets.push(socket);
    }
    let to: Vec<SocketAddr> = (0..calls)
        .map(|number| sockets[(number + 1) % calls].local_addr())
        .collect::<std::io::Result<_>>()?;
    let (packet, mut buffer) = ([0; RTP_OF_20_MS], [0; 2_048]);
    let mut found = Bare::default();
    let mut events = Events::with_capacity(1_024);
    let (cpu_before, began) = (cpu(), StdInstant::now());
    let mut rounds = 0_u32;
    // The sockets' slots lie evenly in the 20 ms, as those of calls that began one after the other do.
    let mut next = 0;
    while began.elapsed() < lasts {
        let due = began + SLOT * rounds + SLOT * next as u32 / calls as u32;
        let wait = due.saturating_duration_since(StdInstant::now());
        poll.poll(&mut events, Some(wait))?;
        for event in &events {
            let Some(socket) = sockets.get(event.token().0) else {
                continue;
            };
            while socket.recv_from(&mut buffer).is_ok() {
                found.received += 1;
            }
        }
        while began + SLOT * rounds + SLOT * next as u32 / calls as u32 <= StdInstant::now() {
            found.sent += u64::from(sockets[next].send_to(&packet, to[next]).is_ok());
            next += 1;
            if next == calls {
                (next, rounds) = (0, rounds + 1);
            }
        }
    }
    let cpu = cpu().saturating_sub(cpu_before);
    found.cpu_s = cpu.as_secs_f64();
    found.cpu_percent_of_a_core_a_call =
        100.0 * found.cpu_s / lasts.as_secs_f64() / calls.max(1) as f64;
    Ok(found)
}

/// Resident memory; 0 where the system does not tell (not Linux).
fn memory_kb() -> u64 {
    process("VmRSS:").unwrap_or(0)
}

/// A line of `/proc/self/status`, in kB.
pub fn process(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Time of all our threads on a core so far. Linux counts hundredths of a second for programs (`USER_HZ`).
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold blanks; it ends with the last bracket.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
