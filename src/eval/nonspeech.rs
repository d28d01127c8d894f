//! Hours in which nobody says a word to the robot: what of them the ear takes for words.
//!
//! Everything is made here from numbers, except the rooms and the television, which are rendered beside the clips.

use std::f32::consts::TAU;

use aftercall_core::codec::FRAME;
use aftercall_core::ear::ListenSpec;

use super::line::{Beds, Dice, received, utterances_after};

const RATE: usize = 8_000;
/// How long one stretch is.
pub const SECONDS: usize = 60;
/// A closed question, asked again and again.
const LISTEN: ListenSpec = ListenSpec {
    end_silence_ms: 500,
    no_input_ms: 5_000,
    max_ms: 15_000,
};

/// What sounds instead of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sound {
    Silence,
    ComfortNoise,
    Hiss,
    Hum,
    Ringback,
    Busy,
    Keys,
    Beeps,
    Music,
    HoldTones,
    Breathing,
    Coughing,
    Knocks,
    Office,
    Street,
    Babble,
    Television,
}

impl Sound {
    pub const ALL: [Sound; 17] = [
        Sound::Silence,
        Sound::ComfortNoise,
        Sound::Hiss,
        Sound::Hum,
        Sound::Ringback,
        Sound::Busy,
        Sound::Keys,
        Sound::Beeps,
        Sound::Music,
        Sound::HoldTones,
        Sound::Breathing,
        Sound::Coughing,
        Sound::Knocks,
        Sound::Office,
        Sound::Street,
        Sound::Babble,
        Sound::Television,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Sound::Silence => "silence",
            Sound::ComfortNoise => "comfort noise",
            Sound::Hiss => "hiss",
            Sound::Hum => "hum",
            Sound::Ringback => "ringback",
            Sound::Busy => "busy tone",
            Sound::Keys => "keys",
            Sound::Beeps => "beeps",
            Sound::Music => "music",
            Sound::HoldTones => "hold tones",
            Sound::Breathing => "breathing",
            Sound::Coughing => "coughing",
            Sound::Knocks => "knocks",
            Sound::Office => "office",
            Sound::Street => "street",
            Sound::Babble => "babble",
            Sound::Television => "television",
        }
    }
}

/// What the ear cuts out of one stretch, by 8 kHz samples. The same number gives the same sound on every machine.
pub fn cut_out(sound: Sound, nth: usize, beds: &Beds) -> Vec<std::sync::Arc<[i16]>> {
    let mut dice = Dice::new(&format!("nobody {} {nth}", sound.name()));
    let made = made(sound, beds, &mut dice);
    let samples: Vec<i16> = made
        .into_iter()
        .map(|x| (x * 32_767.0).clamp(-32_768.0, 32_767.0) as i16)
        .collect();
    let frames = received(samples.as_chunks::<FRAME>().0, 0.0, &mut dice);
    let cut = utterances_after(&answer(beds), &frames, LISTEN).into_iter();
    cut.map(|utterance| utterance.samples).collect()
}

/// Two seconds of somebody who holds the telephone, and a pause.
fn answer(beds: &Beds) -> Vec<[i16; FRAME]> {
    let said = played(
        beds.television(),
        2 * RATE,
        db(-26.0),
        &mut Dice::new("answer"),
    );
    let said = said.into_iter().map(|x| (x * 32_767.0) as i16);
    let answer: Vec<i16> = said.chain([0; 2 * RATE]).collect();
    answer.as_chunks::<FRAME>().0.to_vec()
}

fn made(sound: Sound, beds: &Beds, dice: &mut Dice) -> Vec<f32> {
    let count = SECONDS * RATE;
    let seconds = |n: usize| n as f32 / RATE as f32;
    let tone = |n: usize, hz: f32| (TAU * hz * seconds(n)).sin();
    let loud = db(-34.0 + 12.0 * dice.share() as f32);
    let cadence = |n: usize, on: f32, off: f32| seconds(n) % (on + off) < on;
    match sound {
        Sound::Silence => vec![0.0; count],
        Sound::ComfortNoise => hiss(count, db(-62.0 + 14.0 * dice.share() as f32), dice),
        Sound::Hiss => hiss(count, loud, dice),
        Sound::Hum => (0..count)
            .map(|n| {
                loud * (tone(n, 50.0)
                    + 0.6 * tone(n, 100.0)
                    + 0.5 * tone(n, 150.0)
                    + 0.3 * tone(n, 300.0))
            })
            .collect(),
        Sound::Ringback => (0..count)
            .map(|n| {
                if cadence(n, 1.0, 4.0) {
                    loud * tone(n, 450.0)
                } else {
                    0.0
                }
            })
            .collect(),
        Sound::Busy => (0..count)
            .map(|n| {
                if cadence(n, 0.35, 0.35) {
                    loud * tone(n, 450.0)
                } else {
                    0.0
                }
            })
            .collect(),
        Sound::Keys => {
            let (low, high) = ([697.0, 770.0, 852.0, 941.0], [1_209.0, 1_336.0, 1_477.0]);
            bursts(count, (0.12, 0.8), dice, |n, key| {
                loud * (tone(n, low[key % 4]) + tone(n, high[key % 3]))
            })
        }
        Sound::Beeps => bursts(count, (0.3, 4.0), dice, |n, key| {
            loud * tone(n, [950.0, 1_000.0, 1_400.0, 440.0][key % 4])
        }),
        Sound::HoldTones => bursts(count, (0.5, 1.0), dice, |n, key| {
            loud * tone(n, [523.3, 659.3, 784.0, 587.3][key % 4])
        }),
        Sound::Music => music(count, loud, dice),
        Sound::Breathing => {
            let pace = 0.2 + 0.15 * dice.share() as f32;
            let air = hiss(count, loud, dice);
            let swell = |n: usize| (0.5 - 0.5 * (TAU * pace * seconds(n)).cos()).powi(2);
            softened(air)
                .into_iter()
                .enumerate()
                .map(|(n, x)| x * 2.0 * swell(n))
                .collect()
        }
        Sound::Coughing => {
            let air = softened(hiss(count, 2.0 * loud, dice));
            bursts(count, (0.25, 3.0), dice, |n, _| 3.0 * air[n % air.len()])
        }
        Sound::Knocks => {
            let air = hiss(count, 3.0 * loud, dice);
            bursts(count, (0.03, 0.7), dice, |n, _| air[n % air.len()])
        }
        Sound::Office => played(beds.room(0), count, loud, dice),
        Sound::Street => played(beds.room(1), count, loud, dice),
        // Six people at once, some way off in a waiting room.
        Sound::Babble => {
            let each = db(-48.0 + 8.0 * dice.share() as f32);
            let mut room = hiss(count, db(-60.0), dice);
            for _ in 0..6 {
                let talker = played(beds.television(), count, each, dice);
                room.iter_mut().zip(talker).for_each(|(x, said)| *x += said);
            }
            room
        }
        // As far away as the next room: 20 dB under who holds the telephone.
        Sound::Television => {
            let far = db(-46.0 + 6.0 * dice.share() as f32);
            let mut heard = softened(played(beds.television(), count, far, dice));
            let floor = hiss(count, db(-60.0), dice);
            heard.iter_mut().zip(floor).for_each(|(x, air)| *x += air);
            heard
        }
    }
}

fn db(level: f32) -> f32 {
    10_f32.powf(level / 20.0)
}

/// White noise of a root mean square.
fn hiss(count: usize, level: f32, dice: &mut Dice) -> Vec<f32> {
    let even = (0..count).map(|_| (dice.share() as f32 - 0.5) * level * 12_f32.sqrt());
    even.collect()
}

/// Half of the higher notes taken away, as by a wall or a throat.
fn softened(sound: Vec<f32>) -> Vec<f32> {
    let mut last = 0.0;
    let soft = sound.into_iter().map(|x| {
        last += 0.25 * (x - last);
        last
    });
    soft.collect()
}

/// Stretches of a sound with pauses of random length between them, in seconds; the second number varies by a half.
fn bursts(
    count: usize,
    (on, off): (f32, f32),
    dice: &mut Dice,
    sound: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let mut made = vec![0.0; count];
    let mut at = 0;
    while at < count {
        let (long, key) = ((on * RATE as f32) as usize, dice.below(100));
        for (n, x) in made.iter_mut().enumerate().skip(at).take(long) {
            // Ten milliseconds up and down: no click.
            let edge = (n - at).min(at + long - n) as f32 / 80.0;
            *x = sound(n, key) * edge.min(1.0);
        }
        at += long + (off * RATE as f32 * (0.5 + dice.share() as f32)) as usize;
    }
    made
}

/// A tune over chords: notes with four overtones that fade.
fn music(count: usize, level: f32, dice: &mut Dice) -> Vec<f32> {
    const SCALE: [f32; 8] = [261.6, 293.7, 329.6, 349.2, 392.0, 440.0, 493.9, 523.3];
    let beat = (RATE as f32 * (0.25 + 0.3 * dice.share() as f32)) as usize;
    let mut made = vec![0.0_f32; count];
    for start in (0..count).step_by(beat) {
        let chord = dice.below(4);
        for note in [dice.below(8), chord, chord + 2, chord + 4] {
            let hz = SCALE[note % 8] * if note >= 8 { 2.0 } else { 1.0 };
            let long = beat * 2;
            for (n, x) in made.iter_mut().skip(start).take(long).enumerate() {
                let phase = TAU * hz * n as f32 / RATE as f32;
                let fade = (1.0 - n as f32 / long as f32).powi(2) * (n as f32 / 60.0).min(1.0);
                let overtones = (1..=4).map(|k| (phase * k as f32).sin() / k as f32);
                *x += 0.4 * level * fade * overtones.sum::<f32>();
            }
        }
    }
    made
}

fn played(bed: &[i16], count: usize, level: f32, dice: &mut Dice) -> Vec<f32> {
    let energy: f32 = bed.iter().map(|&x| f32::from(x) * f32::from(x)).sum();
    let scale = level / (energy / bed.len().max(1) as f32).sqrt().max(1.0);
    let from = dice.below(bed.len());
    let on = bed.iter().cycle().skip(from).take(count);
    on.map(|&x| f32::from(x) * scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_tones_are_not_even_cut_out() {
        let beds = Beds::default();
        for sound in [Sound::Silence, Sound::Ringback, Sound::Busy] {
            assert!(cut_out(sound, 0, &beds).is_empty(), "{}", sound.name());
        }
    }

    #[test]
    fn every_sound_is_as_long_as_the_others() {
        let mut beds = Beds::default();
        beds.fill(&[1_000, -1_000]);
        for sound in Sound::ALL {
            let made = made(sound, &beds, &mut Dice::new("long"));
            assert_eq!(made.len(), SECONDS * RATE, "{}", sound.name());
        }
    }
}
