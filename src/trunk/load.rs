//! Many calls of one recording at once, on one thread, and what they cost: for measuring a line and this machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as StdInstant};

use aftercall_core::id::AttemptId;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::endpoint::{Endpoint, Route};
use aftercall_core::time::Instant;
use anyhow::Context;
use mio::{Events, Interest, Poll, Token};

use super::carrier::{Carrier, Received};
use super::config::Trunk;
use super::descriptors;
use super::line::{Line, Playback, Played, Until, open_rtp};
use super::socket::{self, Reach, SipSocket};
use crate::recording::Recordings;

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
    /// A folder for a stereo recording of each call.
    pub record: Option<PathBuf>,
    /// Set from outside: hang up all.
    pub stop: Arc<AtomicBool>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Measured {
    pub played: Vec<Played>,
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
    /// Resident memory before the first call, and the most while they lasted: kB.
    pub memory_kb: [u64; 2],
}

/// Tenths of a millisecond that are told apart.
const TENTHS: usize = 2_000;

impl Measured {
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

/// Places the calls and stays with them to the end of the last.
///
/// # Errors
/// When a socket cannot be had, the password is missing, or a recording cannot be written.
pub fn run(trunk: &Trunk, number: &PhoneNumber, load: Load) -> anyhow::Result<Measured> {
    let at_once = load.rate * (load.talk + SET_UP).as_secs_f64();
    descriptors::provide(load.calls.min(at_once.ceil() as usize))?;
    let SipSocket { bound, reach } = SipSocket::open(trunk)?;
    let poll = Poll::new()?;
    let tls = socket::tls(trunk, &reach)?;
    let carrier = Carrier::new(bound, tls, poll.registry().try_clone()?)?;
    let mut tag = [0; 8];
    getrandom::fill(&mut tag).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let agent = concat!("aftercall/", env!("CARGO_PKG_VERSION")).to_owned();
    let memory = process("VmRSS:").unwrap_or(0);
    let crowd = Crowd {
        trunk,
        number,
        reach,
        carrier,
        poll,
        endpoint: Endpoint::new(agent, format!("{:016x}", u64::from_be_bytes(tag))),
        recordings: load.record.clone().map(Recordings::new),
        load,
        lines: BTreeMap::new(),
        by_call_id: BTreeMap::new(),
        begun: 0,
        began: StdInstant::now(),
        measured: Measured {
            lateness: vec![0; TENTHS],
            memory_kb: [memory; 2],
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
    number: &'a PhoneNumber,
    reach: Reach,
    carrier: Carrier,
    poll: Poll,
    endpoint: Endpoint,
    recordings: Option<Recordings>,
    load: Load,
    lines: BTreeMap<usize, Line>,
    by_call_id: BTreeMap<String, usize>,
    begun: usize,
    began: StdInstant,
    measured: Measured,
}

impl Crowd<'_> {
    fn run(mut self) -> anyhow::Result<Measured> {
        let mut events = Events::with_capacity(1_024);
        let mut looked_at = StdInstant::now();
        while self.begun < self.load.calls || !self.lines.is_empty() {
            self.begin_due()?;
            if let Err(error) = self.poll.poll(&mut events, Some(self.nap()))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            for event in &events {
                self.receive(event.token());
            }
            while let Some(to) = self.carrier.poll_refused() {
                let now = self.now();
                self.lines
                    .values_mut()
                    .for_each(|line| line.handle_refused(to, now));
            }
            self.wake()?;
            if looked_at.elapsed() > Duration::from_secs(1) {
                looked_at = StdInstant::now();
                let [_, most] = &mut self.measured.memory_kb;
                *most = (*most).max(process("VmRSS:").unwrap_or(0));
            }
        }
        self.measured.took = self.began.elapsed();
        Ok(self.measured)
    }

    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// When the call of this number is to begin.
    fn due(&self, number: usize) -> Instant {
        Instant::ZERO + Duration::from_secs_f64(number as f64 / self.load.rate)
    }

    fn nap(&self) -> Duration {
        let next = self.lines.values().filter_map(Line::poll_timeout);
        let begin = (self.begun < self.load.calls).then(|| self.due(self.begun));
        let at = next.chain(begin).min();
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
                Ok(()) => self.send(number),
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
        let sockets = open_rtp(self.trunk, self.begun - 1);
        let (rtp, rtcp, port) = sockets.context("no free pair of RTP ports")?;
        let credentials = self.trunk.credentials()?;
        let mut lots = [0; 32];
        getrandom::fill(&mut lots).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
        let reach = self.reach.drawn(lots);
        let config = self
            .trunk
            .leg_config(self.number, &reach, port, credentials);
        let attempt = AttemptId(format!("call-{number}"));
        let recording = self.recordings.as_ref().map(|all| all.writer(&attempt));
        let order = Playback {
            samples: Arc::clone(&self.load.samples),
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

    fn receive(&mut self, token: Token) {
        if Carrier::owns(token) {
            for Received { datagram, from } in self.carrier.receive(token) {
                match self.endpoint.route(&datagram) {
                    Route::Leg(call_id) => {
                        let now = self.now();
                        if let Some(number) = self.by_call_id.get(&call_id).copied()
                            && let Some(line) = self.lines.get_mut(&number)
                        {
                            line.handle_sip(&datagram, from, now);
                            self.send(number);
                        }
                    }
                    Route::Reply(bytes) => self.carrier.send(&bytes, from),
                    Route::Drop => {}
                }
            }
            return;
        }
        let now = self.now();
        if let Some(line) = self.lines.get_mut(&(token.0 & !RTCP)) {
            if token.0 & RTCP == 0 {
                line.receive_rtp(now);
            } else {
                line.receive_rtcp(now);
            }
        }
    }

    fn wake(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        let is_due = |line: &Line| {
            line.poll_timeout().is_none_or(|at| at <= now) || self.load.stop.load(Ordering::Relaxed)
        };
        let due: Vec<usize> = self
            .lines
            .iter()
            .filter(|(_, line)| is_due(line) || !line.is_open(now))
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            let now = self.now();
            let Some(line) = self.lines.get_mut(&number) else {
                continue;
            };
            if let Some(slot) = line.next_slot().filter(|slot| *slot <= now) {
                let tenths = now.since(slot).as_micros() / 100;
                let place = usize::try_from(tenths).map_or(TENTHS - 1, |at| at.min(TENTHS - 1));
                self.measured.lateness[place] += 1;
            }
            line.handle_timeout(now)?;
            self.send(number);
            self.bury(number)?;
        }
        Ok(())
    }

    fn send(&mut self, number: usize) {
        let Some(line) = self.lines.get_mut(&number) else {
            return;
        };
        while let Some((bytes, to)) = line.poll_sip() {
            self.carrier.send(&bytes, to);
        }
        // Nobody looks on.
        while line.poll_event().is_some() {}
    }

    fn bury(&mut self, number: usize) -> anyhow::Result<()> {
        let now = self.now();
        let is_over = |line: &mut Line| !line.is_open(now);
        let Some(mut line) = self
            .lines
            .get_mut(&number)
            .is_some_and(is_over)
            .then(|| self.lines.remove(&number))
            .flatten()
        else {
            return Ok(());
        };
        self.poll.registry().deregister(&mut line.rtp)?;
        self.poll.registry().deregister(&mut line.rtcp)?;
        self.endpoint.remove(line.call_id());
        self.by_call_id.remove(line.call_id());
        self.measured.played.push(line.finish()?);
        Ok(())
    }
}

/// A line of `/proc/self/status`, in kB.
fn process(name: &str) -> Option<u64> {
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
