//! Tones of the network and of machines: what they say, and that they are no voice.
//!
//! The Chinese network speaks at 450 Hz in cadences (Asterisk's `[cn]`): ringback 1.0/4.0 s, busy 0.35/0.35,
//! congestion 0.7/0.7, call waiting 0.4/4.0, unobtainable three times 0.1/0.1 and then 0.4/0.4. Others (ITU-T E.180,
//! Asterisk's `indications.conf`) ring at 400-480 Hz for 1 to 2 s or twice 0.4 s, and are busy for 0.35 to 0.5 s, in
//! North America with 480 and 620 Hz. A machine's beep is any single tone with quiet around it.

use super::pure::{JOINED, Pure, Run, Sound};
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
    /// Three tones that rise, before an announcement (ITU-T E.180 §3.5).
    Information,
    /// A fax answers at 2,100 Hz (T.30 §4.3.3).
    FaxAnswer,
}

/// A verdict, and where its tone lies. Positions are frames since the stream began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    pub verdict: ToneVerdict,
    /// Of a single tone.
    pub hz: Option<f32>,
    pub from: u64,
    pub to: u64,
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
/// How long a beep is, and how high.
const BEEP_MS: std::ops::RangeInclusive<u64> = 170..=1_600;
/// The network's own tones that are longer are its ringing.
const RINGS_MS: u64 = 650;
/// Quiet that follows a beep, in frames, beyond the one in which it ends.
const QUIET_FRAMES: u64 = 20;
const BEEP_RANGE_HZ: std::ops::RangeInclusive<f32> = 390.0..=2_060.0;
/// A beep has no tone shortly before it, and none for longer than a busy tone's pause after it.
const ALONE_FRAMES: u64 = 6;
const BEEP_OVER_FRAMES: u64 = 28;
/// A tone shorter than this is no tone but a part of a voice.
const TONE_MS: u64 = 60;
/// 2,100 Hz for so long is a fax.
const FAX_MS: u64 = 400;
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
    /// `None` once nobody asks for tones any more.
    pure: Option<Pure>,
    /// The last tones that ended, the newest last.
    ended: [Option<Run>; 3],
    /// It may still turn out to be one of several.
    beep: Option<Run>,
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
            pure: Some(Pure::default()),
            ended: [None; 3],
            beep: None,
            said: None,
        }
    }
}

impl ToneDetector {
    /// Takes one frame; a verdict when it completes one that was not said last.
    pub fn push(&mut self, frame: &[i16; FRAME]) -> Option<Tone> {
        let shares = self.shares(frame);
        self.steady.push(&shares);
        let pure = self.pure.as_mut()?;
        let (sound, ended) = pure.push(frame);
        let (at, going_on) = (pure.frames(), pure.run().copied());
        let goes_on = |beep: &Run| {
            (beep.to + 2..beep.to + 2 + QUIET_FRAMES).contains(&at)
                && pure.power() > JOINED * beep.loudest
        };
        // What a voice runs into was a vowel.
        if self.beep.as_ref().is_some_and(goes_on) {
            self.beep = None;
        }
        let is_on = shares.mean_square > QUIET
            && (shares.network > NETWORK_SHARE || is_of_the_network(sound));
        let cadence = self.cadence.push(is_on);
        let one_tone = self.one_tone(ended, going_on, at);
        let tone = match (cadence, one_tone) {
            (Some(verdict), _) => Tone {
                verdict,
                hz: None,
                from: at,
                to: at,
            },
            (None, Some(tone)) => tone,
            (None, None) => return None,
        };
        // A beep is an event; a cadence is a state and goes on.
        if tone.verdict != ToneVerdict::Beep && self.said == Some(tone.verdict) {
            return None;
        }
        self.said = Some(tone.verdict);
        Some(tone)
    }

    /// From here on only the veto is wanted.
    pub fn rest(&mut self) {
        self.pure = None;
    }

    /// What single tones say by themselves.
    fn one_tone(&mut self, ended: Option<Run>, going_on: Option<Run>, at: u64) -> Option<Tone> {
        let tone = |verdict, run: &Run| Tone {
            verdict,
            hz: run.hz(),
            from: run.from,
            to: run.to,
        };
        let going_on = going_on.filter(|run| run.ms() >= TONE_MS);
        if let Some(run) = &going_on {
            if run.hz().is_some_and(is_fax) && run.ms() >= FAX_MS {
                return Some(tone(ToneVerdict::FaxAnswer, run));
            }
            self.beep = None;
        }
        if let Some(run) = ended.filter(|run| run.ms() >= TONE_MS) {
            let before = self.ended[2];
            self.ended.rotate_left(1);
            self.ended[2] = Some(run);
            if self.rises() {
                self.beep = None;
                return Some(tone(ToneVerdict::Information, &run));
            }
            let is_alone = before.is_none_or(|before| before.to + ALONE_FRAMES <= run.from);
            let is_beep = BEEP_MS.contains(&run.ms())
                && run.hz().is_some_and(|hz| BEEP_RANGE_HZ.contains(&hz));
            let rings = is_of_the_network(run.sound) && run.ms() > RINGS_MS;
            self.beep = Some(run).filter(|_| is_alone && is_beep && !run.is_joined && !rings);
        }
        let beep = self.beep.filter(|beep| at >= beep.to + BEEP_OVER_FRAMES)?;
        self.beep = None;
        Some(tone(ToneVerdict::Beep, &beep))
    }

    /// 950, 1,400 and 1,800 Hz without a pause.
    fn rises(&self) -> bool {
        let wanted = [950.0, 1_400.0, 1_800.0];
        let mut fits = self.ended.iter().zip(wanted).all(|(run, hz)| {
            run.and_then(|run| run.hz())
                .is_some_and(|heard| (heard - hz).abs() <= 60.0)
        });
        for pair in self.ended.windows(2) {
            if let [Some(one), Some(next)] = pair {
                fits &= next.from <= one.to + ALONE_FRAMES;
            }
        }
        fits
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

fn is_fax(hz: f32) -> bool {
    (hz - 2_100.0).abs() <= 30.0
}

/// What networks ring, and are busy, with.
fn is_of_the_network(sound: Sound) -> bool {
    match sound {
        Sound::One(hz) => (385.0..=495.0).contains(&hz),
        Sound::Two(low, high) => {
            (385.0..=495.0).contains(&low) && ((high - 620.0).abs() <= 25.0 || high <= 495.0)
        }
        Sound::Silence | Sound::Other => false,
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
            Some(&(true, ms)) if (880..=2_200).contains(&ms) => Some(ToneVerdict::Ringback),
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
        if [350, 425, 500].into_iter().any(all) {
            Some(ToneVerdict::Busy)
        } else if all(700) || all(250) {
            Some(ToneVerdict::Congestion)
        } else if is(0, 400) && is(1, 200) && is(2, 400) {
            Some(ToneVerdict::Ringback)
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
