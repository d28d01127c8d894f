//! Between sample rates: whole clips by rubato, telephone speech to whisper's 16 kHz by a half-band filter.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// Taps of one side of the half-band filter that are not zero; 24 in all, 1.5 ms of delay at 8 kHz.
const HALF_TAPS: usize = 12;

/// Resamples a whole mono clip, start-up delay removed.
///
/// # Errors
/// rubato's words, when a rate is 0.
pub fn resample(samples: &[f32], from_hz: u32, to_hz: u32) -> Result<Vec<f32>, String> {
    if from_hz == to_hz || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let mut resampler = Fft::<f32>::new(from_hz as usize, to_hz as usize, 1024, 1, FixedSync::Both)
        .map_err(|error| error.to_string())?;
    let input =
        InterleavedSlice::new(samples, 1, samples.len()).map_err(|error| error.to_string())?;
    let output = resampler
        .process_all(&input, samples.len(), None)
        .map_err(|error| error.to_string())?;
    Ok(output.take_data())
}

/// Doubles the rate of telephone speech and scales it to -1.0..1.0.
pub fn to_16_khz(samples: &[i16]) -> Vec<f32> {
    let taps = half_band();
    let quiet = [0.0; HALF_TAPS];
    let scaled = samples.iter().map(|&sample| f32::from(sample) / 32768.0);
    let around: Vec<f32> = quiet.into_iter().chain(scaled).chain(quiet).collect();
    let mut doubled = Vec::with_capacity(samples.len() * 2);
    for window in around[1..].windows(2 * HALF_TAPS).take(samples.len()) {
        let (before, after) = window.split_at(HALF_TAPS);
        let mut between = 0.0;
        for ((left, right), tap) in before.iter().rev().zip(after).zip(&taps) {
            between += tap * (left + right);
        }
        doubled.push(before[HALF_TAPS - 1]);
        doubled.push(between);
    }
    doubled
}

/// The filter's odd taps from the middle outwards: a Blackman-windowed sinc, scaled to unity at 0 Hz.
fn half_band() -> [f32; HALF_TAPS] {
    use std::f64::consts::PI;
    let mut taps = [0.0_f64; HALF_TAPS];
    for (k, tap) in (0_u32..).zip(taps.iter_mut()) {
        let offset = f64::from(k) + 0.5;
        let phase = PI * offset / (HALF_TAPS as f64 + 0.5);
        *tap = (PI * offset).sin() / (PI * offset)
            * (0.42 + 0.5 * phase.cos() + 0.08 * (2.0 * phase).cos());
    }
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / (2.0 * sum)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate_hz: u32, seconds: f32) -> Vec<f32> {
        let n = (rate_hz as f32 * seconds) as u32;
        (0..n)
            .map(|i| 0.5 * (2.0 * std::f32::consts::PI * 1000.0 * i as f32 / rate_hz as f32).sin())
            .collect()
    }

    #[test]
    fn a_tone_doubled_is_the_same_tone() {
        let narrow: Vec<i16> = tone(8000, 0.5)
            .iter()
            .map(|x| (x * 32768.0) as i16)
            .collect();
        let wide = to_16_khz(&narrow);
        let wanted = tone(16000, 0.5);
        assert_eq!(wide.len(), wanted.len());
        for (got, want) in wide[200..7800].iter().zip(&wanted[200..7800]) {
            assert!((got - want).abs() < 0.003, "{got} for {want}");
        }
    }

    #[test]
    fn a_clip_keeps_its_length_and_level() {
        let narrow = resample(&tone(44100, 1.0), 44100, 8000).expect("both rates are above 0");
        assert!(narrow.len().abs_diff(8000) <= 1, "{}", narrow.len());
        let level = |clip: &[f32]| {
            let power: f32 = clip.iter().map(|sample| sample * sample).sum();
            (power / clip.len() as f32).sqrt()
        };
        let wanted = level(&tone(8000, 1.0));
        assert!(
            (level(&narrow) / wanted - 1.0).abs() < 0.01,
            "{} for {wanted}",
            level(&narrow)
        );
    }
}
