//! Voice or not, every 16 ms: earshot on the filled 16 kHz stream, with thresholds that follow the noise.
//!
//! On at 0.70 and off at 0.50 while the noise floor lies below -45 dBFS, 0.85 and 0.70 above (speech.md §2.3).
//! A quiet talker is raised towards -28 dBFS first: speech at -41 dBFS stays below 0.45 without that, and
//! scores 0.9 with it.

use earshot::Detector;

use super::upsample::Upsampler;

/// Samples at 8 kHz that one decision is about: 16 ms.
pub const HOP: usize = 128;
/// Samples at 16 kHz of the same stretch.
const HOP_16K: usize = 256;
/// The noise floor above which the stricter thresholds hold.
const NOISY_DB: f32 = -45.0;

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// 0–1.
    pub score: f32,
    /// Certainly voice: three of these begin speech.
    pub is_on: bool,
    /// Voice enough for speech that has begun to go on.
    pub is_held: bool,
    /// How loud it is: RMS over 80 ms in dBFS, before a quiet talker is raised.
    pub level_db: f32,
}

/// The detector of one stream.
pub struct Vad {
    upsampler: Upsampler,
    detector: Box<Detector>,
    waiting: Vec<f32>,
    levels: Levels,
    gain: Gain,
    was_tone: bool,
    raised: Vec<i16>,
    /// Mean squares of the last frames, the newest first.
    recent: [f32; 4],
}

impl Vad {
    /// Begins a stream; the seed makes its fill noise repeatable.
    pub fn new(seed: u64) -> Vad {
        Vad {
            upsampler: Upsampler::new(seed),
            detector: Detector::default_boxed(),
            waiting: Vec::with_capacity(2 * HOP_16K),
            levels: Levels::default(),
            gain: Gain::default(),
            was_tone: false,
            raised: Vec::new(),
            recent: [0.0; 4],
        }
    }

    /// Takes 8 kHz samples; appends a decision for each 16 ms that are whole by now. `is_tone` vetoes them.
    pub fn push(&mut self, samples: &[i16], is_tone: bool, out: &mut Vec<Judged>) {
        self.levels.push(level_db(samples));
        self.recent.rotate_right(1);
        self.recent[0] = mean_square(samples);
        let level_db = decibels(self.recent.iter().sum::<f32>() / self.recent.len() as f32);
        let factor = self.gain.follow(&self.levels);
        let raise = |&x: &i16| (f32::from(x) * factor).clamp(-32_768.0, 32_767.0) as i16;
        self.raised.clear();
        self.raised.extend(samples.iter().map(raise));
        // Its memory of a tone would pass for voice for another 200 ms.
        if self.was_tone && !is_tone {
            self.detector.reset();
        }
        self.was_tone = is_tone;
        self.upsampler.push(&self.raised, &mut self.waiting);
        let (on, held) = if self.levels.floor_db() < NOISY_DB {
            (0.70, 0.50)
        } else {
            (0.85, 0.70)
        };
        let whole = self.waiting.len() / HOP_16K * HOP_16K;
        for hop in self.waiting[..whole].chunks_exact(HOP_16K) {
            let score = self.detector.predict_f32(hop);
            let score = if is_tone { 0.0 } else { score };
            if score >= on {
                self.gain.heard_voice(&self.levels);
            }
            out.push(Judged {
                score,
                is_on: score >= on,
                is_held: score >= held,
                level_db,
            });
        }
        self.waiting.drain(..whole);
    }

    /// The noise floor in dBFS: the 20th percentile of the frames of the last 3 s.
    pub fn floor_db(&self) -> f32 {
        self.levels.floor_db()
    }

    /// Whether the noise floor asks for the stricter thresholds; `None` before the line was heard for a second.
    pub fn is_noisy(&self) -> Option<bool> {
        (self.levels.recent.len() >= KNOWN).then(|| self.floor_db() >= NOISY_DB)
    }

    /// Forgets the stream: another source speaks from here on.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.waiting.clear();
    }
}

/// RMS level in dBFS; -96 for digital silence.
pub fn level_db(samples: &[i16]) -> f32 {
    decibels(mean_square(samples))
}

fn mean_square(samples: &[i16]) -> f32 {
    let energy: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    energy / samples.len().max(1) as f32
}

fn decibels(mean: f32) -> f32 {
    (10.0 * (mean / (32_768.0 * 32_768.0)).max(1e-12).log10()).clamp(-96.0, 0.0)
}

/// Frames from which on the noise is known: 1 s.
const KNOWN: usize = 50;
/// Frames looked back on: 3 s.
const WINDOW: usize = 150;
const BINS: usize = 97;

/// Where a talker is raised to, and by how much at most, in decibels.
const TALKER_DB: f32 = -28.0;
const MOST_GAIN_DB: f32 = 15.0;
/// Sounds that stand out of the noise by so much may be a talker.
const STANDS_OUT_DB: f32 = 10.0;
/// A frame changes the gain by no more than this.
const GAIN_STEP_DB: f32 = 1.5;
/// How fast a talker's level is forgotten: 1 dB in 10 s, so that in their pauses the neighbour's television is
/// not raised in their stead.
const FORGET_DB: f32 = 0.002;

/// Raises quiet talkers.
#[derive(Clone, Debug, Default)]
struct Gain {
    talker_db: Option<f32>,
    gain_db: f32,
}

impl Gain {
    /// The factor for the next frame.
    fn follow(&mut self, levels: &Levels) -> f32 {
        self.talker_db = self.talker_db.map(|talker| talker - FORGET_DB);
        let loud = levels.loud_db();
        let stands_out = loud - levels.floor_db() >= STANDS_OUT_DB;
        let reference = match self.talker_db {
            Some(talker) if stands_out => talker.max(loud),
            Some(talker) => talker,
            None if stands_out => loud,
            None => TALKER_DB,
        };
        let wanted = (TALKER_DB - reference).clamp(0.0, MOST_GAIN_DB);
        let step = (wanted - self.gain_db).clamp(-GAIN_STEP_DB, GAIN_STEP_DB);
        self.gain_db += step;
        10.0_f32.powf(self.gain_db / 20.0)
    }

    fn heard_voice(&mut self, levels: &Levels) {
        let loud = levels.loud_db();
        self.talker_db = Some(self.talker_db.map_or(loud, |talker| talker.max(loud)));
    }
}

/// Levels of the last 3 s, whole decibels, as a histogram that slides.
#[derive(Clone, Debug)]
struct Levels {
    recent: std::collections::VecDeque<u8>,
    counts: [u16; BINS],
}

impl Default for Levels {
    fn default() -> Levels {
        Levels {
            recent: std::collections::VecDeque::with_capacity(WINDOW),
            counts: [0; BINS],
        }
    }
}

impl Levels {
    fn push(&mut self, db: f32) {
        let below = (-db) as u8;
        if self.recent.len() == WINDOW
            && let Some(oldest) = self.recent.pop_front()
        {
            self.counts[usize::from(oldest)] -= 1;
        }
        self.recent.push_back(below);
        self.counts[usize::from(below)] += 1;
    }

    /// The noise: what a fifth of the frames do not exceed.
    fn floor_db(&self) -> f32 {
        self.not_exceeded_by(self.recent.len() / 5)
    }

    /// The talker: what only a twentieth of the frames exceed.
    fn loud_db(&self) -> f32 {
        self.not_exceeded_by(self.recent.len() * 19 / 20)
    }

    fn not_exceeded_by(&self, frames: usize) -> f32 {
        let mut passed = 0;
        for (below, &count) in self.counts.iter().enumerate().rev() {
            passed += usize::from(count);
            if passed > frames {
                return -(below as f32);
            }
        }
        -96.0
    }
}
