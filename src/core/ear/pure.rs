//! Pure tones, one or two at once, of any frequency between 325 and 2,175 Hz, with where they begin and end.
//!
//! A Hann window of 40 ms over the last two frames, and filters 25 Hz apart: five of them hold a tone wherever it lies
//! between them, so the share of a frame's energy in its strongest five tells a tone from a voice.

use crate::codec::{FRAME, FRAME_MS, RATE_HZ};

const WINDOW: usize = 2 * FRAME;
const FIRST_HZ: f32 = 300.0;
const STEP_HZ: f32 = 25.0;
const FILTERS: usize = 77;
/// Filters on each side that a tone spreads over.
const SPREAD: usize = 2;
/// Share of the energy from which a frame is one tone, and from which two.
const ONE: f32 = 0.7;
const BOTH: f32 = 0.8;
/// The weaker of two has at least this share.
const SECOND: f32 = 0.12;
/// A tone keeps its frequency, and does not fall so far below its loudest.
const WAVERS_HZ: f32 = 20.0;
const FADES: f32 = 0.2;
/// Share of its power that what surrounds a tone by itself stays below.
pub(super) const JOINED: f32 = 0.3;
/// Frames that may be lost within one tone.
const LOST: u32 = 2;
/// Mean square below which a frame is silence: -50 dBFS.
pub(super) const QUIET: f32 = 10_700.0;

/// What one frame sounds like; frequencies in Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sound {
    Silence,
    /// A voice, music, noise.
    Other,
    One(f32),
    /// The lower one first.
    Two(f32, f32),
}

/// A tone that has ended, or goes on. Positions are frames since the stream began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    pub sound: Sound,
    pub from: u64,
    /// Behind its last frame.
    pub to: u64,
    /// What came right before it was as loud.
    pub(super) is_joined: bool,
    pub(super) loudest: f32,
}

impl Run {
    pub fn ms(&self) -> u64 {
        (self.to - self.from) * FRAME_MS
    }

    /// The frequency of a single tone.
    pub fn hz(&self) -> Option<f32> {
        match self.sound {
            Sound::One(hz) => Some(hz),
            Sound::Silence | Sound::Other | Sound::Two(..) => None,
        }
    }
}

/// Follows one stream.
#[derive(Clone, Debug)]
pub struct Pure {
    window: [f32; WINDOW],
    before: [i16; FRAME],
    frames: u64,
    run: Option<Run>,
    lost: u32,
    /// Mean squares of the last frames, the newest first.
    powers: [f32; 4],
}

impl Default for Pure {
    fn default() -> Pure {
        Pure {
            window: std::array::from_fn(|n| {
                let phase = std::f32::consts::TAU * (n as f32 + 0.5) / WINDOW as f32;
                0.5 - 0.5 * phase.cos()
            }),
            before: [0; FRAME],
            frames: 0,
            run: None,
            lost: 0,
            powers: [0.0; 4],
        }
    }
}

impl Pure {
    /// Takes a frame: what it sounds like, and the tone that it ended.
    pub fn push(&mut self, frame: &[i16; FRAME]) -> (Sound, Option<Run>) {
        let power = frame.iter().map(|&x| f32::from(x).powi(2)).sum::<f32>() / FRAME as f32;
        let sound = if power <= QUIET {
            Sound::Silence
        } else {
            self.sound(frame)
        };
        self.before = *frame;
        self.powers.rotate_right(1);
        self.powers[0] = power;
        let at = self.frames;
        self.frames += 1;
        (sound, self.follow(sound, power, at))
    }

    /// The tone that goes on.
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }

    /// Mean square of the last frame.
    pub fn power(&self) -> f32 {
        self.powers[0]
    }

    /// Frames so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    fn follow(&mut self, sound: Sound, power: f32, at: u64) -> Option<Run> {
        let is_tone = matches!(sound, Sound::One(_) | Sound::Two(..));
        if let Some(run) = &mut self.run {
            if is_tone && is_alike(run.sound, sound) && power >= FADES * run.loudest {
                run.to = at + 1;
                run.loudest = run.loudest.max(power);
                self.lost = 0;
                return None;
            }
            self.lost += 1;
            if self.lost <= LOST {
                return None;
            }
        }
        self.lost = 0;
        // The frame before may hold the tone's first milliseconds.
        let before = self.powers[2].max(self.powers[3]);
        let begun = is_tone.then_some(Run {
            sound,
            from: at,
            to: at + 1,
            is_joined: before > JOINED * power,
            loudest: power,
        });
        std::mem::replace(&mut self.run, begun)
    }

    fn sound(&self, frame: &[i16; FRAME]) -> Sound {
        let both = self.before.iter().chain(frame);
        let mut windowed = [0.0_f32; WINDOW];
        for ((out, &sample), weight) in windowed.iter_mut().zip(both).zip(&self.window) {
            *out = f32::from(sample) * weight;
        }
        let energy: f32 = windowed.iter().map(|x| x * x).sum();
        let powers: [f32; FILTERS] =
            std::array::from_fn(|n| goertzel(&windowed, FIRST_HZ + STEP_HZ * n as f32));
        let unit = 2.0 / (WINDOW as f32 * energy.max(1.0));
        let Some((first, share)) = strongest(&powers, None, unit) else {
            return Sound::Other;
        };
        if share > ONE {
            return Sound::One(frequency(&powers, first));
        }
        match strongest(&powers, Some(first), unit) {
            Some((second, other)) if other > SECOND && share + other > BOTH => {
                let (low, high) = (first.min(second), first.max(second));
                Sound::Two(frequency(&powers, low), frequency(&powers, high))
            }
            Some(_) | None => Sound::Other,
        }
    }
}

/// The strongest filter away from `but`, and the share of the energy round it.
fn strongest(powers: &[f32; FILTERS], but: Option<usize>, unit: f32) -> Option<(usize, f32)> {
    let inside = SPREAD..FILTERS - SPREAD;
    let apart = |&n: &usize| but.is_none_or(|but| n.abs_diff(but) > 2 * SPREAD);
    let best = inside
        .filter(apart)
        .max_by(|&a, &b| powers[a].total_cmp(&powers[b]))?;
    let near = &powers[best - SPREAD..=best + SPREAD];
    Some((best, near.iter().sum::<f32>() * unit))
}

/// The centre of what lies round a filter.
fn frequency(powers: &[f32; FILTERS], at: usize) -> f32 {
    let near = at - SPREAD..=at + SPREAD;
    let (sum, weighed) = near.fold((0.0, 0.0), |(sum, weighed), n| {
        (sum + powers[n], weighed + powers[n] * n as f32)
    });
    FIRST_HZ + STEP_HZ * weighed / f32::max(sum, 1.0)
}

fn is_alike(one: Sound, other: Sound) -> bool {
    let near = |a: f32, b: f32| (a - b).abs() <= WAVERS_HZ;
    match (one, other) {
        (Sound::One(a), Sound::One(b)) => near(a, b),
        (Sound::Two(a, c), Sound::Two(b, d)) => near(a, b) && near(c, d),
        _ => false,
    }
}

fn goertzel(samples: &[f32; WINDOW], hz: f32) -> f32 {
    let turn = 2.0 * (std::f32::consts::TAU * hz / RATE_HZ as f32).cos();
    let (mut s1, mut s2) = (0.0_f32, 0.0_f32);
    for &x in samples {
        (s1, s2) = (x + turn * s1 - s2, s1);
    }
    s1 * s1 + s2 * s2 - turn * s1 * s2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs of a tone between two silences, with white noise so many times weaker than it.
    fn runs(hz: &[f32], ms: usize, noise: f32) -> Vec<Run> {
        let mut seed = 1_u32;
        let mut pure = Pure::default();
        let samples: Vec<i16> = (0..8 * (ms + 1_000))
            .map(|n| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let hiss = ((seed >> 16) as f32 / 32_768.0 - 1.0) * noise * 4_000.0;
                let is_on = (8 * 500..8 * (500 + ms)).contains(&n);
                let phase = std::f32::consts::TAU * n as f32 / RATE_HZ as f32;
                let tone: f32 = hz.iter().map(|hz| (phase * hz).sin()).sum();
                (hiss
                    + if is_on {
                        4_000.0 * tone / hz.len() as f32
                    } else {
                        0.0
                    }) as i16
            })
            .collect();
        let frames = samples.as_chunks::<FRAME>().0;
        frames
            .iter()
            .filter_map(|frame| pure.push(frame).1)
            .filter(|run| run.ms() >= 100)
            .collect()
    }

    #[test]
    fn a_tone_is_found_to_a_frame_and_a_few_hertz_in_noise_too() {
        for hz in [425.0, 612.0, 950.0, 1_004.0, 1_400.0, 1_987.0, 2_100.0] {
            for noise in [0.0, 0.35] {
                let found = runs(&[hz], 400, noise);
                assert_eq!(found.len(), 1, "{hz} {noise}");
                let run = found[0];
                let heard = run.hz().unwrap_or(0.0);
                assert!((heard - hz).abs() < 8.0, "{hz} heard as {heard}");
                assert!((run.from * FRAME_MS).abs_diff(500) <= 20, "{run:?}");
                assert!((run.to * FRAME_MS).abs_diff(900) <= 40, "{run:?}");
            }
        }
    }

    #[test]
    fn two_tones_are_told_from_one() {
        let found = runs(&[480.0, 620.0], 500, 0.0);
        assert!(
            matches!(found[..], [Run { sound: Sound::Two(low, high), .. }]
            if (low - 480.0).abs() < 10.0 && (high - 620.0).abs() < 10.0)
        );
        assert!(runs(&[697.0, 1_209.0], 200, 0.0)[0].hz().is_none());
    }
}
