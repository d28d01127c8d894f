//! The robot's own voice, taken out of what comes back: WebRTC's AEC3 (`sonora`), 10 ms at a time at 8 kHz.
//!
//! It runs only while the robot speaks and for the echo's longest way after, on both sides of the line at once, so
//! that a reply in silence reaches the ear as it came. It finds the delay itself (speech.md §2.5).

use std::collections::VecDeque;

use sonora::config::EchoCanceller;
use sonora::{AudioProcessing, Config, StreamConfig};

use crate::codec::{Codec, FRAME};

const RATE_HZ: u32 = 8_000;
/// AEC3 works on 10 ms.
const BLOCK: usize = FRAME / 2;
/// Slots after the robot's last sample in which its echo may still come: 500 ms.
const TAIL_SLOTS: u32 = 25;

/// The canceller of one call.
pub struct Echo {
    processing: AudioProcessing,
    codec: Codec,
    silent_slots: u32,
    likeness: Likeness,
}

impl Echo {
    /// `codec`: what the robot's voice goes through on its way out.
    pub fn new(codec: Codec) -> Echo {
        let config = Config {
            echo_canceller: Some(EchoCanceller::default()),
            ..Config::default()
        };
        let stream = StreamConfig::new(RATE_HZ, 1);
        Echo {
            processing: AudioProcessing::builder()
                .config(config)
                .capture_config(stream)
                .render_config(stream)
                .build(),
            codec,
            silent_slots: TAIL_SLOTS,
            likeness: Likeness::default(),
        }
    }

    /// What came in while `sent` went out, without its echo.
    pub fn cancel(&mut self, sent: &[i16; FRAME], received: &[i16; FRAME]) -> [i16; FRAME] {
        if sent.iter().any(|sample| *sample != 0) {
            self.silent_slots = 0;
        } else {
            self.silent_slots = self.silent_slots.saturating_add(1);
        }
        if self.silent_slots >= TAIL_SLOTS {
            return *received;
        }
        self.likeness.push(level(sent), level(received));
        let on_the_line = match self.codec.g711() {
            Some(law) => sent.map(|sample| law.decode(law.encode(sample))),
            None => *sent,
        };
        let mut clean = *received;
        let blocks = on_the_line.chunks_exact(BLOCK);
        let blocks = blocks.zip(received.chunks_exact(BLOCK));
        for ((far, near), out) in blocks.zip(clean.chunks_exact_mut(BLOCK)) {
            let mut played = [0; BLOCK];
            let done = self.processing.process_render_i16(far, &mut played);
            let done = done.and_then(|()| self.processing.process_capture_i16(near, out));
            // Its block is the size it was built for; were it refused, the line is heard as it is.
            if done.is_err() {
                out.copy_from_slice(near);
            }
        }
        // Where nothing comes back, the canceller would only take the caller's voice for an echo.
        match self.likeness.is_echo() {
            true => clean,
            false => *received,
        }
    }
}

/// Slots looked at before anything is believed: 2 s of the robot's voice.
const ENOUGH_SLOTS: f32 = 100.0;
/// Correlation of levels above which the robot's voice comes back: 0.27 and more at 20 dB of loss though somebody
/// speaks a third of the time; other voices and noise stay below 0.1.
const ALIKE: f32 = 0.2;
/// Quieter than this is silence (-60 dB).
const SILENCE: f32 = 0.001;

/// How much what comes in rises and falls with what went out, at each delay.
#[derive(Default)]
struct Likeness {
    sent: VecDeque<f32>,
    delays: [Sums; TAIL_SLOTS as usize],
}

/// Sums for a correlation.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f32,
    x: f32,
    y: f32,
    xx: f32,
    yy: f32,
    xy: f32,
}

impl Likeness {
    fn push(&mut self, sent: f32, received: f32) {
        self.sent.push_front(sent);
        self.sent.truncate(self.delays.len());
        for (sums, &x) in self.delays.iter_mut().zip(&self.sent) {
            let y = received;
            sums.n += 1.0;
            sums.x += x;
            sums.y += y;
            sums.xx += x * x;
            sums.yy += y * y;
            sums.xy += x * y;
        }
    }

    fn is_echo(&self) -> bool {
        self.delays.iter().any(|sums| sums.correlation() > ALIKE)
    }
}

impl Sums {
    fn correlation(&self) -> f32 {
        let spread = |sum: f32, squares: f32| (squares - sum * sum / self.n).max(0.0);
        let product = spread(self.x, self.xx) * spread(self.y, self.yy);
        if self.n < ENOUGH_SLOTS || product <= f32::EPSILON {
            return 0.0;
        }
        (self.xy - self.x * self.y / self.n) / product.sqrt()
    }
}

/// Mean level of a frame, as the logarithm of its share of full scale: an echo is quiet beside the caller's own voice,
/// and only on this scale do both count alike.
fn level(frame: &[i16; FRAME]) -> f32 {
    let sum: f32 = frame
        .iter()
        .map(|sample| f32::from(sample.unsigned_abs() >> 1))
        .sum();
    let share: f32 = sum / FRAME as f32 / 16_384.0;
    share.max(SILENCE).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::spoken;

    fn frames(samples: &[i16]) -> impl Iterator<Item = [i16; FRAME]> + '_ {
        let whole = samples.chunks_exact(FRAME);
        whole.map(|frame| frame.try_into().expect("a whole frame"))
    }

    fn power(samples: &[i16]) -> f64 {
        samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum()
    }

    /// What is left of 2 s after 10 s of the robot's voice, in decibels of what came in.
    fn left_db(come_back: impl Fn(usize) -> i16) -> f64 {
        let robot = spoken(12_000);
        let back: Vec<i16> = (0..robot.len()).map(come_back).collect();
        let mut echo = Echo::new(Codec::Pcma);
        let pairs = frames(&robot).zip(frames(&back));
        let clean: Vec<i16> = pairs
            .flat_map(|(sent, received)| echo.cancel(&sent, &received))
            .collect();
        10.0 * (power(&clean[80_000..]).max(1.0) / power(&back[80_000..])).log10()
    }

    #[test]
    fn the_robots_voice_is_taken_out_at_any_delay() {
        let robot = spoken(12_000);
        for delay_ms in [20, 180, 320] {
            let at = |n: usize| n.checked_sub(delay_ms * 8).map_or(0, |n| robot[n] / 3);
            let left = left_db(at);
            assert!(left < -15.0, "{delay_ms} ms: {left:.1} dB left");
        }
    }

    #[test]
    fn another_voice_on_a_line_without_echo_is_left_alone() {
        let other: Vec<i16> = spoken(13_000)[3_000..].iter().map(|s| s / 2).collect();
        let quiet_then = |n: usize| if n < 80_000 { 0 } else { other[n - 70_000] };
        let left = left_db(quiet_then);
        assert!(left.abs() < 0.1, "{left:.1} dB left");
    }
}
