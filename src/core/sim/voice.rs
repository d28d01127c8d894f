//! A voice-like sound, so that the ear has something to hear in virtual time.
//!
//! Glottal pulses through three formants, with syllables of 180 ms and a moving pitch: enough like speech
//! for a voice activity detector, and the same samples every time.

use std::f32::consts::TAU;

const RATE: f32 = 8_000.0;
/// Two vowels, formants in Hz (after Peterson and Barney's averages for "ah" and "ee").
const VOWELS: [[f32; 3]; 2] = [[730.0, 1_090.0, 2_440.0], [300.0, 2_200.0, 2_950.0]];

/// Voice of `ms` milliseconds at about -20 dBFS, 8 kHz.
pub fn spoken(ms: u64) -> Vec<i16> {
    let len = usize::try_from(ms * 8).unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    let mut phase = 0.0f32;
    let mut filters = [[0.0f32; 2]; 3];
    let mut noise = 0x2545_f491u32;
    for n in 0..len {
        let t = n as f32 / RATE;
        let pitch = 130.0 + 25.0 * (TAU * 2.7 * t).sin();
        phase += pitch / RATE;
        if phase >= 1.0 {
            phase -= 1.0;
        }
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let breath = (noise >> 16) as f32 / 32_768.0 - 1.0;
        // Falling ramp: a pulse with energy in every harmonic.
        let source = (1.0 - 2.0 * phase) * 0.9 + breath * 0.05;
        let syllable = (t / 0.18).fract();
        let envelope = (syllable * std::f32::consts::PI).sin().max(0.15);
        let vowel = &VOWELS[usize::from((t / 0.18) as u32 % 2 == 1)];
        let mut sample = 0.0;
        for (k, formant) in vowel.iter().enumerate() {
            let radius = 0.97f32;
            let a1 = 2.0 * radius * (TAU * formant / RATE).cos();
            let a2 = -radius * radius;
            let y = source * (1.0 - radius) + a1 * filters[k][0] + a2 * filters[k][1];
            filters[k][1] = filters[k][0];
            filters[k][0] = y;
            sample += y / (k as f32 + 1.0);
        }
        out.push((sample * envelope * 12_000.0).clamp(-32_000.0, 32_000.0) as i16);
    }
    out
}
