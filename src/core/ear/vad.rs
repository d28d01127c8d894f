//! Voice or not, every 16 ms: earshot on the filled 16 kHz stream, with thresholds that follow the noise.
//!
//! On at 0.70 and off at 0.50 while the noise floor lies below -45 dBFS, 0.85 and 0.70 above (speech.md §2.3).

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
}

/// The detector of one stream.
pub struct Vad {
    upsampler: Upsampler,
    detector: Box<Detector>,
    waiting: Vec<f32>,
    floor: NoiseFloor,
    was_tone: bool,
}

impl Vad {
    /// Begins a stream; the seed makes its fill noise repeatable.
    pub fn new(seed: u64) -> Vad {
        Vad {
            upsampler: Upsampler::new(seed),
            detector: Detector::default_boxed(),
            waiting: Vec::with_capacity(2 * HOP_16K),
            floor: NoiseFloor::default(),
            was_tone: false,
        }
    }

    /// Takes 8 kHz samples; appends a decision for each 16 ms that are whole by now. `is_tone` vetoes them.
    pub fn push(&mut self, samples: &[i16], is_tone: bool, out: &mut Vec<Judged>) {
        self.floor.push(level_db(samples));
        // Its memory of a tone would pass for voice for another 200 ms.
        if self.was_tone && !is_tone {
            self.detector.reset();
        }
        self.was_tone = is_tone;
        self.upsampler.push(samples, &mut self.waiting);
        let (on, held) = if self.floor.db() < NOISY_DB {
            (0.70, 0.50)
        } else {
            (0.85, 0.70)
        };
        let whole = self.waiting.len() / HOP_16K * HOP_16K;
        for hop in self.waiting[..whole].chunks_exact(HOP_16K) {
            let score = self.detector.predict_f32(hop);
            let score = if is_tone { 0.0 } else { score };
            out.push(Judged {
                score,
                is_on: score >= on,
                is_held: score >= held,
            });
        }
        self.waiting.drain(..whole);
    }

    /// The noise floor in dBFS: the 20th percentile of the frames of the last 3 s.
    pub fn floor_db(&self) -> f32 {
        self.floor.db()
    }

    /// Forgets the stream: another source speaks from here on.
    pub fn reset(&mut self) {
        self.detector.reset();
        self.waiting.clear();
    }
}

/// RMS level in dBFS; -96 for digital silence.
pub fn level_db(samples: &[i16]) -> f32 {
    let energy: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    let mean = energy / samples.len().max(1) as f32;
    (10.0 * (mean / (32_768.0 * 32_768.0)).max(1e-12).log10()).clamp(-96.0, 0.0)
}

/// Frames looked back on: 3 s.
const WINDOW: usize = 150;
const BINS: usize = 97;

/// Levels of the last frames, whole decibels, as a histogram that slides.
#[derive(Clone, Debug)]
struct NoiseFloor {
    recent: std::collections::VecDeque<u8>,
    counts: [u16; BINS],
}

impl Default for NoiseFloor {
    fn default() -> NoiseFloor {
        NoiseFloor {
            recent: std::collections::VecDeque::with_capacity(WINDOW),
            counts: [0; BINS],
        }
    }
}

impl NoiseFloor {
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

    fn db(&self) -> f32 {
        let rank = self.recent.len() / 5;
        let mut passed = 0;
        for (below, &count) in self.counts.iter().enumerate().rev() {
            passed += usize::from(count);
            if passed > rank {
                return -(below as f32);
            }
        }
        -96.0
    }
}
