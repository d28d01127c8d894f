//! From 8 kHz to the 16 kHz that the voice detector was trained on.
//!
//! A half-band interpolator of 24 taps (1.5 ms of delay, 3 µs a frame), and white noise at -50 dBFS after it:
//! the empty band above 4 kHz looks like voice to earshot, which calls 99.9 % of quiet pink noise speech
//! without the noise and 0 % with it (speech.md §2.2).

const TAPS: usize = 24;
/// Peak of uniform noise with an RMS of -50 dBFS: `32768 · 10^(-50/20) · √3`.
const FILL_PEAK: f32 = 179.5;
/// What a full-scale sample is divided by.
const FULL_SCALE: f32 = 32_768.0;

/// Doubles the rate of one stream and fills the upper band.
#[derive(Clone, Debug)]
pub struct Upsampler {
    taps: [f32; TAPS],
    history: [f32; TAPS],
    noise: Noise,
}

impl Upsampler {
    /// Begins a stream; the seed makes its noise repeatable.
    pub fn new(seed: u64) -> Upsampler {
        Upsampler {
            taps: half_band(),
            history: [0.0; TAPS],
            noise: Noise::new(seed),
        }
    }

    /// Appends two samples in -1…1 for each one taken.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<f32>) {
        for &sample in samples {
            self.history.copy_within(1.., 0);
            self.history[TAPS - 1] = f32::from(sample);
            let between: f32 = self
                .history
                .iter()
                .zip(&self.taps)
                .map(|(x, h)| x * h)
                .sum();
            let on = self.history[TAPS / 2 - 1];
            for value in [on, between] {
                let filled = (value + self.noise.sample() * FILL_PEAK) / FULL_SCALE;
                out.push(filled.clamp(-1.0, 1.0));
            }
        }
    }
}

/// Windowed sinc half a sample off the grid, normalised to unity at DC.
fn half_band() -> [f32; TAPS] {
    let mut taps = [0.0_f32; TAPS];
    for (n, tap) in taps.iter_mut().enumerate() {
        let x = n as f32 - (TAPS as f32 - 1.0) / 2.0;
        let phase = std::f32::consts::PI * x;
        let window = (phase / TAPS as f32).cos().powi(2);
        *tap = phase.sin() / phase * window;
    }
    let sum: f32 = taps.iter().sum();
    taps.map(|tap| tap / sum)
}

/// Seeded white noise in -1…1 (xorshift64*): quality enough to fill a band, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed | 1)
    }

    /// The next value, uniform in -1…1.
    pub fn sample(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as u32;
        bits as f32 / 8_388_608.0 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(values: &[f32]) -> f32 {
        (values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt()
    }

    #[test]
    fn silence_becomes_noise_at_minus_fifty() {
        let mut out = Vec::new();
        Upsampler::new(7).push(&[0; 8_000], &mut out);
        let level = 20.0 * rms(&out).log10();
        assert!((level + 50.0).abs() < 0.3, "{level}");
    }

    #[test]
    fn a_tone_keeps_its_level_and_gets_no_image() {
        let tone: Vec<i16> = (0..8_000)
            .map(|n| {
                (10_000.0 * (n as f32 * std::f32::consts::TAU * 1_000.0 / 8_000.0).sin()) as i16
            })
            .collect();
        let mut out = Vec::new();
        Upsampler::new(7).push(&tone, &mut out);
        let steady = &out[400..];
        let project = |hz: f32| {
            let (mut a, mut b) = (0.0, 0.0);
            for (n, v) in steady.iter().enumerate() {
                let phase = n as f32 * std::f32::consts::TAU * hz / 16_000.0;
                a += v * phase.cos();
                b += v * phase.sin();
            }
            2.0 * (a * a + b * b).sqrt() / steady.len() as f32
        };
        assert!((project(1_000.0) * 32_768.0 - 10_000.0).abs() < 100.0);
        assert!(project(7_000.0) * 32_768.0 < 30.0);
    }
}
