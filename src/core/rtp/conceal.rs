//! Hides lost speech: the last pitch period is repeated and faded out within 60 ms, then silence.
//!
//! After ITU-T G.711 Appendix I, shortened: no resynchronisation by overlap of several periods. For the
//! recogniser repeat-and-fade recovers nearly all that 5 % of loss costs (hearing.md §4.3).

use crate::codec::FRAME;

/// Samples after which nothing is left of the repeated speech: 60 ms.
pub const FADE: usize = 480;
/// Samples repeated at full strength: 10 ms.
const HOLD: usize = 80;
/// Samples over which received speech takes over again: 5 ms.
const OVERLAP: usize = 40;
/// Pitch periods looked for: 66–200 Hz.
const PERIODS: std::ops::RangeInclusive<usize> = 40..=120;
const HISTORY: usize = 320;

/// Knows the last 40 ms that were played, and how long it has been making up the rest.
#[derive(Clone, Debug)]
pub struct Concealer {
    history: [i16; HISTORY],
    /// Samples made up since the last one received; `None` while nothing is missing.
    gap: Option<Gap>,
}

#[derive(Clone, Debug)]
struct Gap {
    length: usize,
    period: usize,
    /// The history as it was when the gap began.
    source: [i16; HISTORY],
}

impl Gap {
    fn next(&mut self) -> i16 {
        let at = HISTORY - self.period + self.length % self.period;
        let gain = match self.length {
            n if n < HOLD => 1.0,
            n if n < FADE => 1.0 - (n - HOLD) as f32 / (FADE - HOLD) as f32,
            _ => 0.0,
        };
        self.length += 1;
        (f32::from(self.source[at]) * gain) as i16
    }
}

impl Default for Concealer {
    fn default() -> Concealer {
        Concealer {
            history: [0; HISTORY],
            gap: None,
        }
    }
}

impl Concealer {
    /// Whether there is still something of the last speech to repeat.
    pub fn has_voice(&self) -> bool {
        self.gap.as_ref().is_none_or(|gap| gap.length < FADE)
    }

    /// Takes samples that were received, and eases them in after a gap.
    pub fn received(&mut self, samples: &mut [i16]) {
        if let Some(mut gap) = self.gap.take()
            && gap.length < FADE
        {
            for (i, sample) in samples.iter_mut().take(OVERLAP).enumerate() {
                let weight = (i + 1) as f32 / OVERLAP as f32;
                *sample =
                    (f32::from(*sample) * weight + f32::from(gap.next()) * (1.0 - weight)) as i16;
            }
        }
        self.remember(samples);
    }

    /// Takes samples that the sender left out on purpose.
    pub fn quiet(&mut self, samples: &mut [i16]) {
        samples.fill(0);
        self.gap = None;
        self.remember(samples);
    }

    /// Makes up samples that are missing.
    pub fn fill(&mut self, samples: &mut [i16]) {
        if self.gap.is_none() {
            self.gap = Some(Gap {
                length: 0,
                period: pitch(&self.history),
                source: self.history,
            });
        }
        let gap = self.gap.as_mut().expect("it was just set");
        for sample in samples.iter_mut() {
            *sample = gap.next();
        }
        self.remember(samples);
    }

    fn remember(&mut self, samples: &[i16]) {
        let samples = &samples[samples.len().saturating_sub(FRAME)..];
        self.history.copy_within(samples.len().., 0);
        self.history[HISTORY - samples.len()..].copy_from_slice(samples);
    }
}

/// The lag at which the last 20 ms look most like what went before.
fn pitch(history: &[i16; HISTORY]) -> usize {
    let recent = &history[HISTORY - FRAME..];
    let mut best = (f32::MIN, *PERIODS.end());
    for lag in PERIODS {
        let earlier = &history[HISTORY - FRAME - lag..HISTORY - lag];
        let (mut product, mut energy) = (0.0_f32, 1.0_f32);
        for (&a, &b) in recent.iter().zip(earlier) {
            product += f32::from(a) * f32::from(b);
            energy += f32::from(b) * f32::from(b);
        }
        let score = product / energy.sqrt();
        if score > best.0 {
            best = (score, lag);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(from: usize, length: usize) -> Vec<i16> {
        (from..from + length)
            .map(|n| (8_000.0 * (n as f32 * std::f32::consts::TAU / 64.0).sin()) as i16)
            .collect()
    }

    fn energy(samples: &[i16]) -> f32 {
        samples.iter().map(|&s| f32::from(s).powi(2)).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn a_lost_frame_of_a_tone_goes_on_in_phase_and_fades() {
        let mut concealer = Concealer::default();
        for start in [0, 160, 320] {
            concealer.received(&mut sine(start, FRAME));
        }
        let mut made_up = [0_i16; FRAME];
        concealer.fill(&mut made_up);
        for (got, want) in made_up.iter().zip(sine(480, HOLD)) {
            assert!(
                (i32::from(*got) - i32::from(want)).abs() < 900,
                "{got} {want}"
            );
        }
        let mut later = [0_i16; FRAME];
        concealer.fill(&mut later);
        assert!(energy(&later) < energy(&made_up) && energy(&later) > 0.0);
        assert!(concealer.has_voice());
        concealer.fill(&mut later);
        assert!(!concealer.has_voice());
        concealer.fill(&mut later);
        assert_eq!(later, [0; FRAME]);
    }

    #[test]
    fn silence_left_out_on_purpose_is_exact_silence() {
        let mut concealer = Concealer::default();
        concealer.received(&mut sine(0, FRAME));
        let mut frame = [1_i16; FRAME];
        concealer.quiet(&mut frame);
        assert_eq!(frame, [0; FRAME]);
    }
}
