//! What the robot says next: clips in order, as slow and as loud as the caller wants them, cut into 20 ms frames.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use wsola::TimeStretch;

use crate::codec::FRAME;
use crate::script::{Pace, Volume};
use crate::time::Instant;

/// How long a prompt waits for audio that is still being synthesised before it goes on without it.
const VOICE_PATIENCE: Duration = Duration::from_millis(2_500);
/// Slow speech takes a quarter longer; its pitch stays.
const SLOW_TEMPO: f32 = 0.8;
/// Raised speech: +6 dB, its peaks rounded off below full scale.
const RAISED: f32 = 2.0;
/// While somebody speaks into a prompt: -6 dB.
const DUCKED: f32 = 0.5;
/// A prompt fades in and out within 80 ms.
const FADE_STEP: f32 = 1.0 / 640.0;
/// It holds its breath, and goes on, within 10 ms.
const QUICK_STEP: f32 = 1.0 / 80.0;
/// What was said last is kept, so that the robot can take it up again: 480 ms.
const SAID: usize = 24 * FRAME;
/// What audio that is still awaited is counted as.
const AWAITED_MS: u32 = 1_000;

/// Clips waiting to be played, in order.
#[derive(Default)]
pub struct Player {
    items: VecDeque<Item>,
    /// Stretched samples that wait for their frame.
    ready: VecDeque<i16>,
    /// The last samples said, before their gain.
    said: VecDeque<i16>,
    stretch: Option<TimeStretch>,
    volume: Volume,
    level: Level,
    is_held: bool,
}

/// The gain of the moment, and where it goes.
struct Level {
    now: f32,
    to: f32,
    /// By so much a sample.
    step: f32,
}

impl Default for Level {
    fn default() -> Level {
        Level {
            now: 1.0,
            to: 1.0,
            step: FADE_STEP,
        }
    }
}

#[derive(Debug)]
struct Item {
    /// The segment of the speech it belongs to.
    segment: usize,
    sound: Sound,
}

#[derive(Debug)]
enum Sound {
    Clip {
        samples: Arc<[i16]>,
        at: usize,
    },
    /// Audio that the shell is synthesising.
    Awaited {
        id: u32,
        since: Option<Instant>,
    },
}

/// 20 ms of the robot's side.
#[expect(
    clippy::large_enum_variant,
    reason = "a frame lives for one slot; a box for each would be dearer"
)]
#[derive(Debug, PartialEq, Eq)]
pub enum Played {
    /// Part of a clip.
    Frame([i16; FRAME]),
    /// Nothing to say yet: audio is awaited.
    Waiting,
    /// Everything was said.
    Finished,
}

impl Player {
    /// How what is queued from here on is to be played. A speech under way keeps its own.
    pub fn deliver(&mut self, (pace, volume): (Pace, Volume)) {
        self.level = Level::default();
        self.is_held = false;
        self.said.clear();
        self.volume = volume;
        self.stretch = match pace {
            Pace::Normal => None,
            // A line has a rate and a channel, so that there is nothing it could refuse.
            Pace::Slow => TimeStretch::new(8_000, 1).ok(),
        };
        if let Some(stretch) = &mut self.stretch {
            stretch.set_tempo(SLOW_TEMPO);
        }
    }

    pub fn queue(&mut self, samples: Arc<[i16]>, segment: usize) {
        let sound = Sound::Clip { samples, at: 0 };
        self.items.push_back(Item { segment, sound });
    }

    /// Keeps a place for audio that [`Player::fill`] will bring.
    pub fn queue_awaited(&mut self, id: u32, segment: usize) {
        let sound = Sound::Awaited { id, since: None };
        self.items.push_back(Item { segment, sound });
    }

    /// Puts synthesised audio in the place kept for it; `None` drops the place.
    pub fn fill(&mut self, id: u32, samples: Option<Arc<[i16]>>) {
        let Some(place) = self
            .items
            .iter()
            .position(|item| matches!(item.sound, Sound::Awaited { id: it, .. } if it == id))
        else {
            return;
        };
        match samples {
            Some(samples) => self.items[place].sound = Sound::Clip { samples, at: 0 },
            None => {
                self.items.remove(place);
            }
        }
    }

    /// Nothing is left to say or to wait for.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty() && self.ready.is_empty()
    }

    /// Audio of some text is not there yet.
    pub fn awaits(&self) -> bool {
        let awaited = |item: &Item| matches!(item.sound, Sound::Awaited { .. });
        self.items.iter().any(awaited)
    }

    /// The segment being played.
    pub fn segment(&self) -> Option<usize> {
        self.items.front().map(|item| item.segment)
    }

    /// What is still to come of some segments, in milliseconds as they are played.
    pub fn remaining_ms(&self, segments: &Range<usize>) -> u32 {
        let of = |item: &Item| match &item.sound {
            Sound::Clip { samples, at } => u32::try_from((samples.len() - at) / 8).unwrap_or(0),
            Sound::Awaited { .. } => AWAITED_MS,
        };
        let items = self.items.iter();
        let raw: u32 = items
            .filter(|item| segments.contains(&item.segment))
            .map(of)
            .sum();
        let ready = u32::try_from(self.ready.len() / 8).unwrap_or(0);
        match self.stretch {
            Some(_) => (raw as f32 / SLOW_TEMPO) as u32 + ready,
            None => raw + ready,
        }
    }

    pub fn clear(&mut self) {
        self.items.clear();
        self.ready.clear();
        self.is_held = false;
    }

    /// Steps back while somebody speaks, by 6 dB.
    pub fn duck(&mut self) {
        self.fade_to(DUCKED, FADE_STEP);
    }

    /// Falls silent within 10 ms and waits for [`Player::go_on`].
    pub fn hold(&mut self) {
        self.fade_to(0.0, QUICK_STEP);
        self.is_held = true;
    }

    pub fn is_held(&self) -> bool {
        self.is_held
    }

    /// Goes on at the usual level: after a hold from the quietest moment of the last half second, which lies between
    /// two syllables.
    pub fn go_on(&mut self) {
        if !self.is_held {
            return self.fade_to(1.0, FADE_STEP);
        }
        self.is_held = false;
        let said = self.said.make_contiguous();
        let power = |frame: &[i16]| frame.iter().map(|s| i64::from(*s).pow(2)).sum::<i64>();
        let frames = said.rchunks_exact(FRAME).enumerate();
        let quietest = frames.min_by_key(|(_, frame)| power(frame));
        let back = quietest.map_or(0, |(back, _)| (back + 1) * FRAME);
        for sample in self.said.split_off(self.said.len() - back).iter().rev() {
            self.ready.push_front(*sample);
        }
        self.fade_to(1.0, QUICK_STEP);
    }

    /// Falls silent within 80 ms and forgets the rest.
    pub fn fade_out(&mut self) {
        match self.is_held {
            true => self.clear(),
            false => self.fade_to(0.0, FADE_STEP),
        }
    }

    fn fade_to(&mut self, to: f32, step: f32) {
        self.level = Level {
            to,
            step,
            ..self.level
        };
    }

    /// The next 20 ms; clips follow each other without a gap.
    pub fn next_frame(&mut self, now: Instant) -> Played {
        if self.is_held && self.level.now == 0.0 {
            return Played::Waiting;
        }
        while self.ready.len() < FRAME {
            let raw = self.raw(now);
            let ended = raw.is_empty();
            match &mut self.stretch {
                None => self.ready.extend(raw),
                // Only the end of a speech is flushed, once; what is awaited would be cut in two.
                Some(stretch) if ended => {
                    if self.items.is_empty() {
                        self.ready.extend(stretch.flush().into_iter().map(to_i16));
                        self.stretch = None;
                    }
                }
                Some(stretch) => {
                    let samples: Vec<f32> = raw.into_iter().map(f32::from).collect();
                    stretch.push(&samples);
                    self.ready
                        .extend(stretch.pull(usize::MAX).into_iter().map(to_i16));
                }
            }
            if ended {
                break;
            }
        }
        if self.ready.is_empty() {
            return match self.items.is_empty() {
                true => Played::Finished,
                false => Played::Waiting,
            };
        }
        let mut frame = [0i16; FRAME];
        for sample in &mut frame {
            let raw = self.ready.pop_front().unwrap_or(0);
            self.said.push_back(raw);
            *sample = self.shaped(raw);
        }
        self.said.drain(..self.said.len().saturating_sub(SAID));
        if self.level.now == 0.0 && !self.is_held {
            self.clear();
        }
        Played::Frame(frame)
    }

    /// Up to 20 ms of the clips as they are; empty at their end, and where audio is awaited.
    fn raw(&mut self, now: Instant) -> Vec<i16> {
        let mut raw = Vec::with_capacity(FRAME);
        while raw.len() < FRAME {
            match self.items.front_mut().map(|item| &mut item.sound) {
                Some(Sound::Clip { samples, at }) => {
                    let n = (samples.len() - *at).min(FRAME - raw.len());
                    raw.extend_from_slice(&samples[*at..*at + n]);
                    *at += n;
                    if *at >= samples.len() {
                        self.items.pop_front();
                    }
                }
                Some(Sound::Awaited { since, .. }) => {
                    let began = *since.get_or_insert(now);
                    if now.since(began) < VOICE_PATIENCE {
                        break;
                    }
                    self.items.pop_front();
                }
                None => break,
            }
        }
        raw
    }

    fn shaped(&mut self, sample: i16) -> i16 {
        let step = self.level.step;
        self.level.now += (self.level.to - self.level.now).clamp(-step, step);
        if self.level.now == 1.0 && self.volume == Volume::Normal {
            return sample;
        }
        let loud = match self.volume {
            Volume::Normal => f32::from(sample),
            Volume::Raised => rounded(f32::from(sample) * RAISED),
        };
        to_i16(loud * self.level.now)
    }
}

/// Bends what would leave the upper half of the scale, so that louder does not mean torn.
fn rounded(sample: f32) -> f32 {
    const KNEE: f32 = 16_384.0;
    let over = sample.abs() - KNEE;
    if over <= 0.0 {
        return sample;
    }
    (KNEE + KNEE * (over / KNEE).tanh()).copysign(sample)
}

fn to_i16(sample: f32) -> i16 {
    sample.round().clamp(-32_768.0, 32_767.0) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(value: i16, len: usize) -> Arc<[i16]> {
        vec![value; len].into()
    }

    fn tone(len: u16) -> Arc<[i16]> {
        let sample = |i: u16| ((f32::from(i) * 0.25).sin() * 8_000.0) as i16;
        (0..len).map(sample).collect()
    }

    fn all(player: &mut Player) -> Vec<i16> {
        let mut said = Vec::new();
        while let Played::Frame(frame) = player.next_frame(Instant::ZERO) {
            said.extend(frame);
        }
        said
    }

    fn crossings(samples: &[i16]) -> usize {
        samples
            .windows(2)
            .filter(|pair| pair[0] < 0 && pair[1] >= 0)
            .count()
    }

    #[test]
    fn clips_follow_each_other_without_a_gap() {
        let mut player = Player::default();
        player.queue(clip(1, 100), 0);
        player.queue(clip(2, 100), 1);
        let Played::Frame(first) = player.next_frame(Instant::ZERO) else {
            panic!("a frame")
        };
        assert_eq!((first[99], first[100], first[159]), (1, 2, 2));
        let Played::Frame(second) = player.next_frame(Instant::ZERO) else {
            panic!("a frame")
        };
        assert_eq!((second[39], second[40]), (2, 0));
        assert_eq!(player.next_frame(Instant::ZERO), Played::Finished);
    }

    #[test]
    fn awaited_audio_holds_the_prompt_but_not_for_ever() {
        let mut player = Player::default();
        player.queue_awaited(7, 0);
        player.queue(clip(3, 160), 1);
        assert_eq!(player.next_frame(Instant::ZERO), Played::Waiting);
        player.fill(7, Some(clip(9, 160)));
        assert_eq!(
            player.next_frame(Instant::from_millis(20)),
            Played::Frame([9; FRAME])
        );
        let mut late = Player::default();
        late.queue_awaited(8, 0);
        late.queue(clip(3, 160), 1);
        assert_eq!(late.next_frame(Instant::ZERO), Played::Waiting);
        assert_eq!(
            late.next_frame(Instant::from_millis(2_500)),
            Played::Frame([3; FRAME])
        );
    }

    #[test]
    fn slow_speech_lasts_longer_at_the_same_pitch() {
        let mut player = Player::default();
        player.deliver((Pace::Slow, Volume::Normal));
        player.queue(tone(16_000), 0);
        assert_eq!(player.remaining_ms(&(0..1)), 2_500);
        let said = all(&mut player);
        assert!((19_000..=21_000).contains(&said.len()), "{}", said.len());
        let a_second = 8_000.0 * 0.25 / std::f32::consts::TAU;
        let heard = crossings(&said[4_000..12_000]) as f32;
        assert!((heard - a_second).abs() < a_second * 0.03, "{heard} Hz");
    }

    #[test]
    fn loud_speech_is_louder_and_not_clipped() {
        let mut player = Player::default();
        player.deliver((Pace::Normal, Volume::Raised));
        player.queue(tone(1_600), 0);
        let said = all(&mut player);
        let peak = said.iter().map(|s| s.unsigned_abs()).max();
        assert!(peak.is_some_and(|peak| (15_500..=16_400).contains(&peak)));
        player.queue(clip(30_000, 160), 0);
        assert!(
            all(&mut player)
                .iter()
                .all(|s| (20_000..32_700).contains(s))
        );
    }

    #[test]
    fn a_prompt_holds_its_breath_and_takes_up_the_syllable_that_it_broke_off() {
        let mut player = Player::default();
        let syllables = [
            clip(0, 160),
            clip(1_000, 800),
            clip(0, 160),
            clip(2_000, 800),
        ];
        player.queue(syllables.concat().into(), 0);
        let mut next = || match player.next_frame(Instant::ZERO) {
            Played::Frame(frame) => Some(frame),
            Played::Waiting | Played::Finished => None,
        };
        let before: Vec<_> = (0..9).filter_map(|_| next()).collect();
        assert_eq!(before.last(), Some(&[2_000; FRAME]));
        player.hold();
        let Played::Frame(last) = player.next_frame(Instant::ZERO) else {
            panic!("10 ms more")
        };
        assert_eq!((last[79], last[80], last[159]), (0, 0, 0));
        assert_eq!(player.next_frame(Instant::ZERO), Played::Waiting);
        assert!(!player.is_idle());
        let held_ms = player.remaining_ms(&(0..1));
        player.go_on();
        assert_eq!(player.remaining_ms(&(0..1)), held_ms + 80);
        let rest = all(&mut player);
        assert_eq!((rest[159], rest[160], rest.len()), (0, 2_000, 160 + 800));
    }

    #[test]
    fn a_prompt_steps_back_comes_back_and_fades_out() {
        let mut player = Player::default();
        player.queue(clip(1_000, 8_000), 4);
        player.duck();
        let last = |player: &mut Player| match player.next_frame(Instant::ZERO) {
            Played::Frame(frame) => frame[FRAME - 1],
            Played::Waiting | Played::Finished => 0,
        };
        let ducked: Vec<i16> = (0..4).map(|_| last(&mut player)).collect();
        assert_eq!(ducked, [750, 500, 500, 500]);
        player.go_on();
        assert_eq!([last(&mut player), last(&mut player)], [750, 1_000]);
        assert_eq!(player.segment(), Some(4));
        assert_eq!(player.remaining_ms(&(4..5)), 880);
        player.fade_out();
        let faded: Vec<i16> = (0..5).map(|_| last(&mut player)).collect();
        assert_eq!(faded, [750, 500, 250, 0, 0]);
        assert!(player.is_idle());
    }
}
