//! The jitter buffer: packets in as they come, exactly 20 ms out on every pull, on the sender's timeline.
//!
//! * Time is the sender's timestamp, never the count of packets or the time of arrival: packets of 10–60 ms,
//!   mixed, reordered and repeated, fall where they belong (RFC 3550 §5.1).
//! * The delay aims at 40–60 ms by the measured jitter (§6.4.1). Clocks that drift, and delays that change, are
//!   met by dropping or inserting one frame, in silence if there is time for that, so latency stays bounded.
//! * What is missing is concealed for 60 ms and is silence after that; what the sender left out on purpose (no
//!   gap in the sequence numbers, comfort noise, a telephone event) is silence at once, of the right length.

use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

use super::conceal::Concealer;
use super::{FrameKind, Pulled};
use crate::codec::{FRAME, RATE_HZ};

/// Ticks of one frame.
const SLOT: i64 = FRAME as i64;
/// The least and the most playout delay aimed at: 40 and 60 ms.
const MIN_DELAY: i64 = 2 * SLOT;
const MAX_DELAY: i64 = 3 * SLOT;
/// A packet further ahead than 500 ms, or later than 2 s, is on another timeline.
const MAX_EARLY: i64 = 4_000;
const MAX_LATE: i64 = 16_000;
/// So many packets in a row that all came too late: the delay has grown for good.
const LATE_RUN: usize = 3;
/// Pulls for which the target must have been lower before it is lowered: 5 s.
const PATIENCE: u32 = 250;
/// Mean magnitude below which a frame counts as silence: about -50 dBFS.
const SILENT: i32 = 100;

/// One sender's audio between arrival and playout.
#[derive(Clone, Debug, Default)]
pub struct JitterBuffer {
    line: Option<Timeline>,
    concealer: Concealer,
    target: Target,
    jitter: Jitter,
    pub counts: Counts,
}

/// What happened to the audio beyond its being played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came after their time of playout.
    pub late: u64,
    /// Frames made up for missing speech.
    pub concealed: u64,
    /// Frames inserted and dropped because the clocks or the delay differ.
    pub inserted: u64,
    pub dropped: u64,
    /// Times that the timeline was begun anew.
    pub restarts: u64,
}

#[derive(Clone, Debug)]
struct Timeline {
    /// Extended timestamp of the next sample to be played.
    play: i64,
    /// Extended timestamp after the newest audio.
    end: i64,
    packets: BTreeMap<i64, Vec<i16>>,
    /// Stretches that the sender left out on purpose.
    quiet: VecDeque<Quiet>,
    /// How early packets come, in ticks before their playout: running mean.
    early: f32,
    late_run: Vec<(i64, Vec<i16>)>,
    has_played: bool,
}

#[derive(Clone, Copy, Debug)]
struct Quiet {
    from: i64,
    /// `i64::MAX` until the next audio tells.
    to: i64,
}

/// The delay aimed at: raised at once, lowered slowly.
#[derive(Clone, Copy, Debug)]
struct Target {
    least: i64,
    most: i64,
    ticks: i64,
    calm_pulls: u32,
}

impl Default for Target {
    fn default() -> Target {
        Target {
            least: MIN_DELAY,
            most: MAX_DELAY,
            ticks: MIN_DELAY,
            calm_pulls: 0,
        }
    }
}

/// Interarrival jitter (RFC 3550 §6.4.1), in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    origin: Option<Instant>,
    transit: Option<i64>,
    ticks: f32,
}

impl JitterBuffer {
    /// A buffer for a listener who would rather wait than miss something: a fixed delay of whole frames.
    pub fn with_delay(frames: u8) -> JitterBuffer {
        let ticks = i64::from(frames) * SLOT;
        JitterBuffer {
            target: Target {
                least: ticks,
                most: ticks,
                ticks,
                calm_pulls: 0,
            },
            ..JitterBuffer::default()
        }
    }

    /// Takes the audio of one packet. `is_next`: no sequence number is missing before it.
    pub fn audio(&mut self, timestamp: u32, samples: Vec<i16>, is_next: bool, marker: bool) {
        let target = self.target.ticks;
        let line = self
            .line
            .get_or_insert_with(|| Timeline::new(i64::from(timestamp), target));
        let at = line.extend(timestamp);
        let length = samples.len() as i64;
        line.close_quiet(at, is_next);
        if at + length <= line.play {
            self.late(at, samples, marker);
            return;
        }
        line.late_run.clear();
        let early = (at - line.play) as f32;
        // What came too late in part asks for more delay at once: the packets have become longer.
        line.early = if early < 0.0 {
            early.min(line.early)
        } else {
            line.early + (early - line.early) / 16.0
        };
        line.end = line.end.max(at + length);
        line.packets.entry(at).or_insert(samples);
    }

    /// Takes note that from here on the sender is silent on purpose (RFC 3389, RFC 4733).
    pub fn quiet(&mut self, timestamp: u32) {
        let Some(line) = &mut self.line else {
            return;
        };
        let from = line.extend(timestamp).max(line.end);
        if line.quiet.back().is_none_or(|quiet| quiet.to != i64::MAX) {
            line.quiet.push_back(Quiet { from, to: i64::MAX });
        }
    }

    /// Whether a timestamp lies on the present timeline: at most 500 ms ahead, at most 2 s behind.
    pub fn is_on_line(&self, timestamp: u32) -> bool {
        self.line.as_ref().is_none_or(|line| {
            let early = line.extend(timestamp) - line.play;
            (-MAX_LATE..=MAX_EARLY).contains(&early)
        })
    }

    /// Begins a new timeline with the next audio: another source, or another clock.
    pub fn restart(&mut self) {
        self.line = None;
        self.jitter.transit = None;
        self.counts.restarts += 1;
    }

    /// Measures the jitter of an audio packet's arrival.
    pub fn arrived(&mut self, timestamp: u32, now: Instant) {
        self.jitter.arrived(timestamp, now);
    }

    /// Interarrival jitter in milliseconds.
    pub fn jitter_ms(&self) -> f32 {
        self.jitter.ticks * 1_000.0 / RATE_HZ as f32
    }

    /// Interarrival jitter in ticks of the RTP clock.
    pub fn jitter_ticks(&self) -> u32 {
        self.jitter.ticks as u32
    }

    /// The delay aimed at, in milliseconds.
    pub fn target_ms(&self) -> u32 {
        (self.target.ticks * 1_000 / i64::from(RATE_HZ)) as u32
    }

    /// Audio waiting to be played, in milliseconds.
    pub fn depth_ms(&self) -> u32 {
        self.line.as_ref().map_or(0, |line| {
            ((line.end - line.play).max(0) * 1_000 / i64::from(RATE_HZ)) as u32
        })
    }

    /// The next 20 ms.
    pub fn pull(&mut self) -> Pulled {
        self.target.follow(self.jitter.ticks);
        let Some(line) = &mut self.line else {
            return Pulled::silence(FrameKind::Waiting);
        };
        match line.correction(self.target.ticks) {
            Correction::None => {}
            Correction::Drop => {
                self.counts.dropped += 1;
                return self.pull_two_as_one();
            }
            Correction::Insert => {
                self.counts.inserted += 1;
                line.early += SLOT as f32;
                let is_silent = line.is_silent_ahead();
                return self.made_up(is_silent);
            }
        }
        self.pull_one()
    }

    fn pull_one(&mut self) -> Pulled {
        let Some(line) = &mut self.line else {
            return Pulled::silence(FrameKind::Waiting);
        };
        let mut samples = [0; FRAME];
        let found = line.take_frame(&mut samples);
        if found.received > 0 {
            line.has_played = true;
        } else if !line.has_played {
            return Pulled::silence(FrameKind::Waiting);
        }
        let mut is_concealed = false;
        for run in &found.runs {
            let part = &mut samples[run.from..run.to];
            match run.source {
                Source::Received => self.concealer.received(part),
                Source::Quiet => self.concealer.quiet(part),
                Source::Missing => {
                    is_concealed |= self.concealer.has_voice();
                    self.concealer.fill(part);
                }
            }
        }
        let kind = match (found.received * 2 >= FRAME, is_concealed) {
            (true, _) => FrameKind::Voice,
            (false, true) => FrameKind::Concealed,
            (false, false) if found.received > 0 => FrameKind::Voice,
            (false, false) => FrameKind::Silence,
        };
        self.counts.concealed += u64::from(kind == FrameKind::Concealed);
        Pulled { samples, kind }
    }

    /// Plays two frames in the time of one: the first fades into the second.
    fn pull_two_as_one(&mut self) -> Pulled {
        let first = self.pull_one();
        let mut second = self.pull_one();
        for (i, sample) in second.samples.iter_mut().enumerate() {
            let weight = (i + 1) as f32 / FRAME as f32;
            let mixed = f32::from(first.samples[i]) * (1.0 - weight) + f32::from(*sample) * weight;
            *sample = mixed as i16;
        }
        if let Some(line) = &mut self.line {
            line.early -= SLOT as f32;
        }
        second
    }

    fn made_up(&mut self, is_silent: bool) -> Pulled {
        let mut samples = [0; FRAME];
        let kind = if self.concealer.has_voice() && !is_silent {
            FrameKind::Concealed
        } else {
            FrameKind::Silence
        };
        self.concealer.fill(&mut samples);
        Pulled { samples, kind }
    }

    /// One late packet is lost; a run of them, or a late talk spurt, moves the playout back.
    fn late(&mut self, at: i64, samples: Vec<i16>, marker: bool) {
        self.counts.late += 1;
        let target = self.target.ticks;
        let Some(line) = &mut self.line else {
            return;
        };
        line.late_run.push((at, samples));
        if line.late_run.len() < LATE_RUN && !marker {
            return;
        }
        let run = std::mem::take(&mut line.late_run);
        let first = run.iter().map(|(at, _)| *at).min().unwrap_or(at);
        let newest = run.iter().map(|(at, _)| *at).max().unwrap_or(at);
        // The newest of the run has just come: it shall wait for the delay aimed at, and those before it,
        // which nobody has heard yet, come first.
        line.play = first.min(newest - target);
        line.early = (newest - line.play) as f32;
        line.end = line.end.max(newest + SLOT);
        line.quiet.clear();
        line.packets.extend(run);
        self.counts.restarts += 1;
    }
}

enum Correction {
    None,
    Drop,
    Insert,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Received,
    Quiet,
    Missing,
}

struct Run {
    source: Source,
    from: usize,
    to: usize,
}

struct Found {
    runs: Vec<Run>,
    /// Samples that were received.
    received: usize,
}

impl Timeline {
    fn new(first: i64, target: i64) -> Timeline {
        Timeline {
            play: first - target,
            end: first,
            packets: BTreeMap::new(),
            quiet: VecDeque::new(),
            early: target as f32,
            late_run: Vec::new(),
            has_played: false,
        }
    }

    /// The 64-bit timestamp nearest to the playout that ends in these 32 bits.
    fn extend(&self, timestamp: u32) -> i64 {
        let ahead = timestamp.wrapping_sub(self.play as u32) as i32;
        self.play + i64::from(ahead)
    }

    /// Audio at `at` ends an open silence; without a gap in the numbers, the time before it was silence.
    fn close_quiet(&mut self, at: i64, is_next: bool) {
        if let Some(open) = self.quiet.back_mut().filter(|quiet| quiet.to == i64::MAX) {
            // Audio from before it was only overtaken.
            open.to = if at >= open.from { at } else { open.to };
        } else if is_next && at > self.end && self.end > self.play - MAX_LATE {
            self.quiet.push_back(Quiet {
                from: self.end,
                to: at,
            });
        }
    }

    /// What the clocks ask for. Ample differences wait for a silent frame, large ones do not.
    fn correction(&self, target: i64) -> Correction {
        if !self.has_played {
            return Correction::None;
        }
        let excess = self.early - target as f32;
        let slot = SLOT as f32;
        let is_silent = self.is_silent_ahead();
        if excess >= 2.0 * slot || (excess >= 1.25 * slot && is_silent) {
            Correction::Drop
        } else if self.early <= 0.5 * slot || (excess <= -0.75 * slot && is_silent) {
            Correction::Insert
        } else {
            Correction::None
        }
    }

    fn is_silent_ahead(&self) -> bool {
        let ahead = self
            .packets
            .range(self.play - 6 * SLOT..self.play + 2 * SLOT);
        ahead
            .flat_map(|(at, samples)| {
                let from = usize::try_from(self.play - at)
                    .unwrap_or(0)
                    .min(samples.len());
                samples[from..].chunks(FRAME)
            })
            .all(|chunk| {
                let sum: i32 = chunk.iter().map(|&s| i32::from(s).abs()).sum();
                sum <= SILENT * chunk.len() as i32
            })
    }

    /// Copies what was received of the next 20 ms and moves on; says where each sample came from.
    fn take_frame(&mut self, samples: &mut [i16; FRAME]) -> Found {
        let (from, to) = (self.play, self.play + SLOT);
        let mut sources = [Source::Missing; FRAME];
        for quiet in &self.quiet {
            let (a, b) = (offset(quiet.from, from), offset(quiet.to, from));
            sources[a.min(b)..b].fill(Source::Quiet);
        }
        for (&at, packet) in self.packets.range(..to) {
            let skip = usize::try_from(from - at).unwrap_or(0).min(packet.len());
            let place = offset(at, from);
            let length = (packet.len() - skip).min(FRAME - place);
            samples[place..place + length].copy_from_slice(&packet[skip..skip + length]);
            sources[place..place + length].fill(Source::Received);
        }
        self.packets
            .retain(|&at, packet| at + packet.len() as i64 > to);
        self.quiet.retain(|quiet| quiet.to > to);
        self.play = to;
        Found {
            received: sources.iter().filter(|&&s| s == Source::Received).count(),
            runs: runs(&sources),
        }
    }
}

/// Where a timestamp lies within the frame that begins at `from`.
fn offset(at: i64, from: i64) -> usize {
    at.saturating_sub(from).clamp(0, SLOT) as usize
}

fn runs(sources: &[Source; FRAME]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::with_capacity(1);
    for (i, &source) in sources.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if run.source == source => run.to = i + 1,
            Some(_) | None => runs.push(Run {
                source,
                from: i,
                to: i + 1,
            }),
        }
    }
    runs
}

impl Target {
    fn follow(&mut self, jitter: f32) {
        let wanted = (SLOT + (4.0 * jitter) as i64).clamp(self.least, self.most);
        if wanted > self.ticks {
            self.ticks = wanted;
            self.calm_pulls = 0;
        } else if wanted + SLOT / 2 < self.ticks {
            self.calm_pulls += 1;
            if self.calm_pulls >= PATIENCE {
                self.ticks = wanted;
                self.calm_pulls = 0;
            }
        } else {
            self.calm_pulls = 0;
        }
    }
}

impl Jitter {
    fn arrived(&mut self, timestamp: u32, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let since = now.since(origin);
        let arrival = (since.as_micros() * u128::from(RATE_HZ) / 1_000_000) as u32;
        // Modulo 2^32, as the timestamps are.
        let transit = i64::from(arrival.wrapping_sub(timestamp));
        if let Some(before) = self.transit {
            let change = (transit as u32).wrapping_sub(before as u32) as i32;
            // A pause between talk spurts is no jitter of the network.
            if change.unsigned_abs() < RATE_HZ {
                self.ticks += (change.unsigned_abs() as f32 - self.ticks) / 16.0;
            }
        }
        self.transit = Some(transit);
    }
}
