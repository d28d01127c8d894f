//! Tones of the network and of machines: what they say, and that they are no voice.
//!
//! The Chinese network speaks at 450 Hz in cadences (Asterisk's `[cn]`): ringback 1.0/4.0 s, busy 0.35/0.35,
//! congestion 0.7/0.7, call waiting 0.4/4.0, unobtainable three times 0.1/0.1 and then 0.4/0.4. Machines beep at
//! 950, 1000 or 1400 Hz. A Hann window of 20 ms makes one Goertzel filter cover 425–480 Hz.

use crate::codec::{FRAME, FRAME_MS, RATE_HZ};

/// What a tone or its cadence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ToneVerdict {
    Ringback,
    Busy,
    Congestion,
    CallWaiting,
    /// 空号 by tone: the number cannot be reached.
    Unobtainable,
    /// A machine asks to speak after this.
    Beep,
}

/// Share of a frame's energy above which the 450 Hz family is on.
const NETWORK_SHARE: f32 = 0.5;
/// Share above which a frame is nothing but its tone.
const PURE_SHARE: f32 = 0.8;
/// Frames of one steady pure tone before it vetoes the voice detector: 80 ms. A hummed 嗯 wavers sooner.
const VETO_FRAMES: u32 = 4;
/// The veto outlasts the tone by the voice detector's own memory: 60 ms.
const VETO_HOLD: u32 = 3;
/// Steps between frames of a steady tone stay below this ratio of energies: 1.5 dB.
const STEADY: f32 = 1.41;
/// Frames of a beep before it is believed: 160 ms.
const BEEP_FRAMES: u32 = 8;
/// Mean square below which a frame is silence: -50 dBFS.
const QUIET: f32 = 10_700.0;
const NETWORK_HZ: [f32; 2] = [440.0, 466.0];
const BEEP_HZ: [f32; 3] = [950.0, 1_000.0, 1_400.0];
const DTMF_LOW_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const DTMF_HIGH_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// Watches one stream for tones.
#[derive(Clone, Debug)]
pub struct ToneDetector {
    window: [f32; FRAME],
    cadence: Cadence,
    steady: Steady,
    said: Option<ToneVerdict>,
}

impl Default for ToneDetector {
    fn default() -> ToneDetector {
        let window = std::array::from_fn(|n| {
            let phase = std::f32::consts::TAU * (n as f32 + 0.5) / FRAME as f32;
            0.5 - 0.5 * phase.cos()
        });
        ToneDetector {
            window,
            cadence: Cadence::default(),
            steady: Steady::default(),
            said: None,
        }
    }
}

impl ToneDetector {
    /// Takes one frame; a verdict when it completes one that was not said last.
    pub fn push(&mut self, frame: &[i16; FRAME]) -> Option<ToneVerdict> {
        let shares = self.shares(frame);
        self.steady.push(&shares);
        let is_on = shares.mean_square > QUIET && shares.network > NETWORK_SHARE;
        let verdict = match self.cadence.push(is_on) {
            Some(verdict) => Some(verdict),
            None if self.steady.beep_frames == BEEP_FRAMES => Some(ToneVerdict::Beep),
            None => None,
        }?;
        // A beep is an event; a cadence is a state and goes on.
        if verdict != ToneVerdict::Beep && self.said == Some(verdict) {
            return None;
        }
        self.said = Some(verdict);
        Some(verdict)
    }

    /// Whether what is heard now is a machine's tone and no voice.
    pub fn vetoes(&self) -> bool {
        self.steady.hold > 0
    }

    fn shares(&self, frame: &[i16; FRAME]) -> Shares {
        let windowed: [f32; FRAME] = std::array::from_fn(|n| f32::from(frame[n]) * self.window[n]);
        let energy: f32 = windowed.iter().map(|x| x * x).sum();
        let mean_square = frame.iter().map(|&x| f32::from(x).powi(2)).sum::<f32>() / FRAME as f32;
        if mean_square <= QUIET {
            return Shares {
                mean_square,
                ..Shares::default()
            };
        }
        // For a Hann window (Σw)² / 2Σw² = N/3: a tone on the filter's frequency has a share of 1.
        let unit = energy * FRAME as f32 / 3.0;
        let most = |hz: &[f32]| {
            let powers = hz.iter().map(|&hz| goertzel(&windowed, hz));
            powers.fold(0.0_f32, f32::max) / unit
        };
        Shares {
            mean_square,
            network: most(&NETWORK_HZ),
            beep: most(&BEEP_HZ),
            dtmf: (most(&DTMF_LOW_HZ), most(&DTMF_HIGH_HZ)),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    mean_square: f32,
    network: f32,
    beep: f32,
    dtmf: (f32, f32),
}

/// Runs of frames that are one tone of one strength.
#[derive(Clone, Debug, Default)]
struct Steady {
    last: f32,
    pure_frames: u32,
    beep_frames: u32,
    hold: u32,
}

impl Steady {
    fn push(&mut self, shares: &Shares) {
        let (low, high) = shares.dtmf;
        let is_dtmf = low > 0.2 && high > 0.2 && low + high > PURE_SHARE;
        let is_pure = is_dtmf || shares.network > PURE_SHARE || shares.beep > PURE_SHARE;
        let ratio = shares.mean_square.max(1.0) / self.last.max(1.0);
        let is_steady = (1.0 / STEADY..=STEADY).contains(&ratio);
        self.last = shares.mean_square;
        self.pure_frames = match (is_pure, is_steady) {
            (true, true) => self.pure_frames + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        let is_beep = shares.beep > PURE_SHARE && !is_dtmf;
        self.beep_frames = match (is_beep, is_steady) {
            (true, true) => self.beep_frames + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        self.hold = if self.pure_frames >= VETO_FRAMES {
            VETO_HOLD
        } else {
            self.hold.saturating_sub(1)
        };
    }
}

fn goertzel(samples: &[f32; FRAME], hz: f32) -> f32 {
    let turn = 2.0 * (std::f32::consts::TAU * hz / RATE_HZ as f32).cos();
    let (mut s1, mut s2) = (0.0_f32, 0.0_f32);
    for &x in samples {
        (s1, s2) = (x + turn * s1 - s2, s1);
    }
    s1 * s1 + s2 * s2 - turn * s1 * s2
}

/// On and off runs of the 450 Hz family, in milliseconds, newest last.
#[derive(Clone, Debug, Default)]
struct Cadence {
    is_on: bool,
    run_ms: u64,
    runs: std::collections::VecDeque<(bool, u64)>,
}

/// Runs remembered: enough for the longest cadence.
const RUNS: usize = 8;
/// Silence after one tone that tells ringback from the first half of anything shorter.
const LONG_PAUSE_MS: u64 = 1_500;

impl Cadence {
    fn push(&mut self, is_on: bool) -> Option<ToneVerdict> {
        if is_on == self.is_on {
            self.run_ms += FRAME_MS;
            if !is_on && self.run_ms == LONG_PAUSE_MS / FRAME_MS * FRAME_MS {
                return self.single();
            }
            return None;
        }
        self.runs.push_back((self.is_on, self.run_ms));
        if self.runs.len() > RUNS {
            self.runs.pop_front();
        }
        self.is_on = is_on;
        self.run_ms = FRAME_MS;
        if is_on { None } else { self.repeated() }
    }

    /// One tone and a long pause.
    fn single(&self) -> Option<ToneVerdict> {
        match self.runs.back() {
            Some(&(true, ms)) if is_about(ms, 1_000) => Some(ToneVerdict::Ringback),
            Some(&(true, ms)) if is_about(ms, 400) && self.was_alone() => {
                Some(ToneVerdict::CallWaiting)
            }
            Some(_) | None => None,
        }
    }

    /// Before the last tone it was quiet for long too, or from the beginning.
    fn was_alone(&self) -> bool {
        let before = self.runs.iter().rev().nth(1);
        before.is_none_or(|&(is_on, ms)| !is_on && ms >= LONG_PAUSE_MS)
    }

    /// Two tones of one length with a pause of the same length, or the four of the unobtainable number.
    fn repeated(&self) -> Option<ToneVerdict> {
        let mut back = self.runs.iter().rev().map(|&(_, ms)| ms);
        let last: [Option<u64>; 7] = std::array::from_fn(|_| back.next());
        let is = |n: usize, want: u64| last[n].is_some_and(|ms| is_about(ms, want));
        let all = |want: u64| (0..3).all(|n| is(n, want));
        if all(350) {
            Some(ToneVerdict::Busy)
        } else if all(700) {
            Some(ToneVerdict::Congestion)
        } else if is(0, 400) && (1..=6).all(|n| is(n, 100)) {
            Some(ToneVerdict::Unobtainable)
        } else {
            None
        }
    }
}

/// Within 12 %, and within the 30 ms that frames of 20 ms cannot tell.
fn is_about(ms: u64, want: u64) -> bool {
    ms.abs_diff(want) <= (want * 12 / 100).max(30)
}
