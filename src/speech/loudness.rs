//! How loud speech is, by EBU R 128, and speech brought to one level: −23 LUFS, no peak above −3 dB.
//!
//! Recorded prompts are measured when they are loaded. What is within 10 LU is brought to the level without touching the
//! file; what is further away, torn by clipping, or silent was recorded wrongly, and is refused by name.

use ebur128::{EbuR128, Mode};

use crate::speech::audio::{RATE_HZ, seconds, to_i16};

/// The level of everything the robot says, in LUFS.
pub const TARGET_LUFS: f64 = -23.0;
/// Within this of the target, in LU, a prompt is left as it is.
const TOLERANCE_LU: f64 = 0.5;
/// Further away than this, in LU, a recording is a mistake.
const FURTHEST_LU: f64 = 10.0;
/// No sample louder than this share of full scale (−3 dB).
const PEAK: f64 = 0.708;
/// Shorter clips have no loudness by R 128: their mean power stands for it.
const GATE_S: f64 = 0.4;
/// So many samples in a row at full scale are clipped, and so many of such places tear the sound.
const CLIPPED_RUN: usize = 3;
const CLIPPED_PLACES: usize = 4;
/// Samples quieter than this are silence (−50 dB).
const SILENCE: u16 = 100;
/// More silence than this before or after the words is a mistake, in seconds.
const LONGEST_SILENCE_S: f64 = 2.0;

/// What is wrong with a recording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unfit {
    #[error("nothing but silence in it; record it again")]
    Silent,
    #[error(
        "{seconds:.1} s of silence {place} the words; cut it to less than {LONGEST_SILENCE_S} s"
    )]
    Gap { place: &'static str, seconds: f64 },
    #[error("clipped in {places} places; record it at a lower level")]
    Clipped { places: usize },
    #[error(
        "{lufs:.1} LUFS, and prompts are {TARGET_LUFS} LUFS; bring it within {FURTHEST_LU} LU, for example: \
         ffmpeg -i IN -af loudnorm=I=-23:TP=-3 -ar 8000 -ac 1 out.flac"
    )]
    Level { lufs: f64 },
}

/// Loudness of telephone samples in LUFS; −∞ for silence.
pub fn lufs(samples: &[i16]) -> f64 {
    let power = |samples: &[i16]| {
        let sum: f64 = samples
            .iter()
            .map(|&s| (f64::from(s) / 32_768.0).powi(2))
            .sum();
        10.0 * (sum / samples.len().max(1) as f64).log10() - 0.691
    };
    if seconds(samples) < GATE_S {
        return power(samples);
    }
    // One channel at our rate with integrated loudness is what the meter was built for.
    let measured = EbuR128::new(1, RATE_HZ, Mode::I).and_then(|mut meter| {
        meter.add_frames_i16(samples)?;
        meter.loudness_global()
    });
    measured.unwrap_or(f64::NEG_INFINITY)
}

/// The samples at the robot's level; silence stays as it is.
pub fn levelled(samples: &[i16]) -> Vec<i16> {
    let loudness = lufs(samples);
    let peak = samples.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    if !loudness.is_finite() || peak == 0 {
        return samples.to_vec();
    }
    let wanted = 10_f64.powf((TARGET_LUFS - loudness) / 20.0);
    let gain = wanted.min(PEAK * 32_768.0 / f64::from(peak)) as f32;
    samples
        .iter()
        .map(|&s| to_i16(f32::from(s) * gain / 32_768.0))
        .collect()
}

/// A recorded prompt at the robot's level.
///
/// # Errors
/// See [`Unfit`].
pub fn prompt(samples: Vec<i16>) -> Result<Vec<i16>, Unfit> {
    let is_loud = |s: &i16| s.unsigned_abs() > SILENCE;
    let first = samples.iter().position(is_loud).ok_or(Unfit::Silent)?;
    let last = samples.iter().rposition(is_loud).unwrap_or(first);
    for (place, silence) in [("before", &samples[..first]), ("after", &samples[last..])] {
        let seconds = seconds(silence);
        if seconds > LONGEST_SILENCE_S {
            return Err(Unfit::Gap { place, seconds });
        }
    }
    let places = clipped(&samples);
    if places >= CLIPPED_PLACES {
        return Err(Unfit::Clipped { places });
    }
    let loudness = lufs(&samples);
    let off = (loudness - TARGET_LUFS).abs();
    if off > FURTHEST_LU {
        return Err(Unfit::Level { lufs: loudness });
    }
    Ok(if off <= TOLERANCE_LU {
        samples
    } else {
        levelled(&samples)
    })
}

/// Places where several samples in a row stand at full scale.
fn clipped(samples: &[i16]) -> usize {
    let at_the_top = |s: &i16| s.unsigned_abs() >= 32_700;
    let runs = samples.chunk_by(|a, b| at_the_top(a) == at_the_top(b));
    runs.filter(|run| run.len() >= CLIPPED_RUN && at_the_top(&run[0]))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of something like speech: bursts of a tone, five a second.
    fn voice(peak: f32) -> Vec<i16> {
        let sample = |n: u16| {
            let t = f32::from(n) / 8_000.0;
            let burst = (t * 5.0 * std::f32::consts::PI).sin().abs();
            to_i16((t * 600.0 * std::f32::consts::TAU).sin() * burst * peak)
        };
        (0..8_000).map(sample).collect()
    }

    #[test]
    fn speech_of_any_level_comes_to_the_same() {
        for peak in [0.05, 0.2, 0.6] {
            let level = lufs(&levelled(&voice(peak)));
            assert!((level - TARGET_LUFS).abs() < 0.2, "{peak}: {level}");
        }
        let short = levelled(&voice(0.5)[..2_000]);
        assert!((lufs(&short) - TARGET_LUFS).abs() < 0.5, "{}", lufs(&short));
        assert_eq!(levelled(&[0; 8_000]), [0; 8_000]);
    }

    #[test]
    fn a_recording_is_refused_for_what_is_wrong_with_it() {
        let torn: Vec<i16> = voice(4.0);
        let late = [vec![0; 20_000], voice(0.2)].concat();
        let long = [voice(0.2), vec![0; 20_000]].concat();
        for (samples, why) in [
            (vec![0; 8_000], "silence"),
            (torn, "clipped in"),
            (late, "before the words"),
            (long, "after the words"),
            (voice(0.005), "LUFS"),
        ] {
            let error = prompt(samples).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        let fit = prompt(voice(0.25)).expect("a good recording");
        assert!((lufs(&fit) - TARGET_LUFS).abs() <= TOLERANCE_LU);
    }
}
