//! A clip on its way to the ear: coded, mixed with noise, thinned out, played again by our own receiver, and cut.

use std::path::Path;
use std::time::Duration;

use aftercall_core::codec::{Codec, FRAME};
use aftercall_core::ear::{Ear, EarConfig, EarEvent, ListenSpec, Utterance};
use aftercall_core::rtp::{Stream, StreamConfig};
use aftercall_core::time::Instant;
use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::speech::audio::decode_file;

/// Quiet before and after a clip, in frames of 20 ms.
const QUIET: usize = 60;
/// Frames of it that go by before listening begins.
const ASKED: usize = 50;
/// Of the packets after a lost one, so many are lost too: losses come in bursts.
const BURST: f64 = 0.3;
/// How long the robot's own voice still comes back when it has fallen silent, in samples, and how much weaker than
/// the talker it is (speech.md §2.5: a hands-free telephone, 220 ms and 20 dB).
const ECHO: usize = 1_760;
const ECHO_DB: f32 = -20.0;
/// Reverberation of a room round a hands-free telephone: 350 ms until -60 dB, 6 dB under the direct sound at first.
const ROOM: usize = 2_800;
const ROOM_TAPS: usize = 150;
const ROOM_DB: f32 = -6.0;

/// How a reply reaches the ear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// Linear samples, no codec and no network.
    Clean,
    /// A-law through our own receiver.
    Alaw,
    /// A-law, with office or street so many decibels under the talker.
    Noise20,
    Noise10,
    /// A-law, so many per cent of the packets lost in bursts.
    Loss3,
    Loss5,
    /// A hands-free telephone: a room, and the end of the robot's own words.
    Echo,
}

impl Condition {
    pub const ALL: [Condition; 7] = [
        Condition::Clean,
        Condition::Alaw,
        Condition::Noise20,
        Condition::Noise10,
        Condition::Loss3,
        Condition::Loss5,
        Condition::Echo,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Condition::Clean => "clean",
            Condition::Alaw => "alaw",
            Condition::Noise20 => "noise20",
            Condition::Noise10 => "noise10",
            Condition::Loss3 => "loss3",
            Condition::Loss5 => "loss5",
            Condition::Echo => "echo",
        }
    }

    pub fn parse(name: &str) -> Option<Condition> {
        Condition::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// What is mixed under the replies: two minutes of each, made beside the clips.
#[derive(Default)]
pub struct Beds {
    rooms: [Vec<i16>; 2],
    /// Other people's talk, for the television.
    far: Vec<i16>,
    /// What the robot said last.
    prompt: Vec<i16>,
}

impl Beds {
    /// Reads the noises of a folder, and a prompt of the robot's.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load(folder: &Path, prompt: &Path) -> anyhow::Result<Beds> {
        let read = |path: &Path| {
            decode_file(path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Beds {
            rooms: [
                read(&folder.join("bed_office.flac"))?,
                read(&folder.join("bed_street.flac"))?,
            ],
            far: read(&folder.join("bed_far.flac"))?,
            prompt: read(prompt)?,
        })
    }

    /// 0 is the office, 1 the street.
    pub fn room(&self, nth: usize) -> &[i16] {
        &self.rooms[nth]
    }

    pub fn television(&self) -> &[i16] {
        &self.far
    }

    #[cfg(test)]
    pub fn fill(&mut self, sound: &[i16]) {
        self.rooms = [sound.to_vec(), sound.to_vec()];
        self.far = sound.to_vec();
    }
}

/// Pseudo-random numbers that follow from a name: the same clip meets the same noise on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(name: &str) -> Dice {
        let digest = Sha256::digest(name);
        let (first, _) = digest.split_at(8);
        Dice(
            first
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    /// From 0 to below 1.
    pub fn share(&mut self) -> f64 {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.share() * count as f64) as usize
    }
}

/// What the ear gets of a clip, in frames; `name` decides everything random.
pub fn carried(
    samples: &[i16],
    condition: Condition,
    beds: &Beds,
    name: &str,
) -> Vec<[i16; FRAME]> {
    let mut sound = vec![0; QUIET * FRAME];
    sound.extend(samples);
    sound.resize(sound.len().next_multiple_of(FRAME) + QUIET * FRAME, 0);
    over(&sound, level(samples), condition, beds, name)
}

/// What the ear gets of whole frames, without quiet before and after; `talker` is how loud the words in it are (RMS).
pub fn over(
    samples: &[i16],
    talker: f32,
    condition: Condition,
    beds: &Beds,
    name: &str,
) -> Vec<[i16; FRAME]> {
    let mut dice = Dice::new(&format!("{name} {}", condition.name()));
    let mut sound: Vec<f32> = samples.iter().map(|&sample| f32::from(sample)).collect();
    match condition {
        Condition::Noise20 => noise(&mut sound, talker, 20.0, beds, &mut dice),
        Condition::Noise10 => noise(&mut sound, talker, 10.0, beds, &mut dice),
        Condition::Echo => hands_free(&mut sound, talker, beds, &mut dice),
        Condition::Clean | Condition::Alaw | Condition::Loss3 | Condition::Loss5 => {}
    }
    let sound: Vec<i16> = sound
        .iter()
        .map(|sample| sample.clamp(-32_768.0, 32_767.0) as i16)
        .collect();
    let loss = match condition {
        Condition::Clean => return sound.as_chunks::<FRAME>().0.to_vec(),
        Condition::Loss3 => 0.03,
        Condition::Loss5 => 0.05,
        Condition::Alaw | Condition::Noise20 | Condition::Noise10 | Condition::Echo => 0.0,
    };
    received(sound.as_chunks::<FRAME>().0, loss, &mut dice)
}

/// Frames as our own receiver plays them: A-law packets, some lost, through the jitter buffer.
pub fn received(frames: &[[i16; FRAME]], loss: f64, dice: &mut Dice) -> Vec<[i16; FRAME]> {
    let config = StreamConfig {
        codec: Codec::Pcma,
        payload_type: Codec::Pcma.payload_type(),
        telephone_event: None,
        ssrc: 1,
        first_seq: 1,
        first_timestamp: 0,
    };
    let mut sender = Stream::new(config);
    let mut receiver = Stream::new(config);
    // In the long run a share of `loss` is lost, as a burst goes on with probability BURST.
    let begins = loss * (1.0 - BURST) / (1.0 - loss);
    let mut is_lost = false;
    let mut now = Instant::from_millis(1_000);
    let mut played = Vec::new();
    for frame in frames {
        let packet = sender.send(frame);
        is_lost = dice.share() < if is_lost { BURST } else { begins };
        if !is_lost || loss == 0.0 {
            receiver.receive(&packet, now);
        }
        played.push(receiver.pull(now).samples);
        now = now + Duration::from_millis(20);
    }
    played
}

/// What the ear cuts out of the frames. Listening begins after a second, by which the ear knows the room as it does when
/// the robot has asked, and again after each reply.
pub fn utterances(frames: &[[i16; FRAME]], listen: ListenSpec) -> Vec<Utterance> {
    let mut ear = Ear::new(EarConfig::default());
    let (before, frames) = frames.split_at(ASKED.min(frames.len()));
    for (nth, frame) in before.iter().enumerate() {
        ear.push(frame, nth as u64 * 20);
    }
    cut(ear, frames, before.len(), listen)
}

/// What the ear cuts out of the frames after the patient has answered a question before (`reply`), as she has when
/// anything about her health is asked.
pub fn utterances_after(
    reply: &[[i16; FRAME]],
    frames: &[[i16; FRAME]],
    listen: ListenSpec,
) -> Vec<Utterance> {
    let mut ear = Ear::new(EarConfig::default());
    ear.listen(listen, 0);
    for (nth, frame) in reply.iter().enumerate() {
        ear.push(frame, nth as u64 * 20);
        while let Some(event) = ear.poll() {
            if matches!(event, EarEvent::Ended { .. }) {
                ear.had_words();
            }
        }
    }
    cut(ear, frames, reply.len(), listen)
}

fn cut(mut ear: Ear, frames: &[[i16; FRAME]], since: usize, listen: ListenSpec) -> Vec<Utterance> {
    let (mut ended, mut paused) = (Vec::new(), None);
    ear.listen(listen, since as u64 * 20);
    for (nth, frame) in (since..).zip(frames) {
        ear.push(frame, nth as u64 * 20);
        while let Some(event) = ear.poll() {
            match event {
                EarEvent::Paused(utterance) => paused = Some(utterance),
                EarEvent::Resumed { .. } => paused = None,
                EarEvent::Ended { .. } => {
                    ended.extend(paused.take());
                    ear.listen(listen, nth as u64 * 20);
                }
                EarEvent::NoInput { .. } => ear.listen(listen, nth as u64 * 20),
                EarEvent::SpeechStarted { .. } | EarEvent::Tone(_) => {}
            }
        }
    }
    // The clip's end is the end of the turn.
    ended.extend(paused);
    ended
}

/// Root mean square.
pub fn level(samples: &[i16]) -> f32 {
    let energy: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    (energy / samples.len().max(1) as f32).sqrt()
}

fn noise(sound: &mut [f32], talker: f32, ratio_db: f32, beds: &Beds, dice: &mut Dice) {
    let bed = &beds.rooms[dice.below(beds.rooms.len())];
    let from = dice.below(bed.len());
    let under = talker / level(bed).max(1.0) * 10_f32.powf(-ratio_db / 20.0);
    let bed = bed.iter().cycle().skip(from);
    for (sample, &noise) in sound.iter_mut().zip(bed) {
        *sample += f32::from(noise) * under;
    }
}

fn hands_free(sound: &mut [f32], talker: f32, beds: &Beds, dice: &mut Dice) {
    let dry = sound.to_vec();
    let taps: Vec<(usize, f32)> = (0..ROOM_TAPS)
        .map(|_| {
            let at = 40 + dice.below(ROOM - 40);
            let decay = 10_f32.powf((ROOM_DB - 60.0 * at as f32 / ROOM as f32) / 20.0);
            let sign = if dice.share() < 0.5 { -1.0 } else { 1.0 };
            (at, sign * decay / (ROOM_TAPS as f32 / 12.0).sqrt())
        })
        .collect();
    for (at, weight) in taps {
        for (sample, direct) in sound[at..].iter_mut().zip(&dry) {
            *sample += direct * weight;
        }
    }
    let tail = &beds.prompt[beds.prompt.len().saturating_sub(ECHO)..];
    let under = talker / level(tail).max(1.0) * 10_f32.powf(ECHO_DB / 20.0);
    for (sample, &said) in sound.iter_mut().zip(tail) {
        *sample += f32::from(said) * under;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_lost_as_often_as_is_asked() {
        let frames = vec![[900; FRAME]; 20_000];
        let lost = |loss: f64| {
            let mut dice = Dice::new("lost");
            let begins = loss * (1.0 - BURST) / (1.0 - loss);
            let mut is_lost = false;
            let lost = frames.iter().filter(|_| {
                is_lost = dice.share() < if is_lost { BURST } else { begins };
                is_lost
            });
            lost.count() as f64 / frames.len() as f64
        };
        assert!((lost(0.05) - 0.05).abs() < 0.006, "{}", lost(0.05));
        assert_eq!(lost(0.0), 0.0);
    }

    #[test]
    fn noise_lies_so_many_decibels_under_the_talker() {
        let beds = Beds {
            rooms: [[1_000, -1_000].repeat(8_000), [500, -500].repeat(8_000)],
            prompt: vec![2_000; 8_000],
            ..Beds::default()
        };
        let talker = vec![4_000_i16; 8_000];
        let mut sound = vec![0.0; 8_000];
        noise(&mut sound, level(&talker), 20.0, &beds, &mut Dice::new("a"));
        let mixed: Vec<i16> = sound.iter().map(|s| *s as i16).collect();
        assert!((level(&mixed) - 400.0).abs() < 2.0, "{}", level(&mixed));
    }
}
