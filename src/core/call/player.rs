//! What the robot says next: clips in order, cut into 20 ms frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::FRAME;
use crate::time::Instant;

/// How long a prompt waits for audio that is still being synthesised before it goes on without it.
const VOICE_PATIENCE: Duration = Duration::from_millis(2_500);

/// Clips waiting to be played, in order.
#[derive(Debug, Default)]
pub struct Player {
    items: VecDeque<Item>,
}

#[derive(Debug)]
enum Item {
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
    pub fn queue(&mut self, samples: Arc<[i16]>) {
        self.items.push_back(Item::Clip { samples, at: 0 });
    }

    /// Keeps a place for audio that [`Player::fill`] will bring.
    pub fn queue_awaited(&mut self, id: u32) {
        self.items.push_back(Item::Awaited { id, since: None });
    }

    /// Puts synthesised audio in the place kept for it; `None` drops the place.
    pub fn fill(&mut self, id: u32, samples: Option<Arc<[i16]>>) {
        let Some(place) = self
            .items
            .iter()
            .position(|item| matches!(item, Item::Awaited { id: it, .. } if *it == id))
        else {
            return;
        };
        match samples {
            Some(samples) => self.items[place] = Item::Clip { samples, at: 0 },
            None => {
                self.items.remove(place);
            }
        }
    }

    /// Nothing is left to say or to wait for.
    pub fn is_idle(&self) -> bool {
        self.items.is_empty()
    }

    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The next 20 ms; clips follow each other without a gap.
    pub fn next_frame(&mut self, now: Instant) -> Played {
        let mut frame = [0i16; FRAME];
        let mut filled = 0;
        while filled < FRAME {
            match self.items.front_mut() {
                Some(Item::Clip { samples, at }) => {
                    let n = (samples.len() - *at).min(FRAME - filled);
                    frame[filled..filled + n].copy_from_slice(&samples[*at..*at + n]);
                    filled += n;
                    *at += n;
                    if *at >= samples.len() {
                        self.items.pop_front();
                    }
                }
                Some(Item::Awaited { since, .. }) => {
                    let began = *since.get_or_insert(now);
                    if now.since(began) < VOICE_PATIENCE {
                        break;
                    }
                    self.items.pop_front();
                }
                None => break,
            }
        }
        if filled > 0 {
            Played::Frame(frame)
        } else if self.items.is_empty() {
            Played::Finished
        } else {
            Played::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(value: i16, len: usize) -> Arc<[i16]> {
        vec![value; len].into()
    }

    #[test]
    fn clips_follow_each_other_without_a_gap() {
        let mut player = Player::default();
        player.queue(clip(1, 100));
        player.queue(clip(2, 100));
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
        player.queue_awaited(7);
        player.queue(clip(3, 160));
        assert_eq!(player.next_frame(Instant::ZERO), Played::Waiting);
        player.fill(7, Some(clip(9, 160)));
        assert_eq!(
            player.next_frame(Instant::from_millis(20)),
            Played::Frame([9; FRAME])
        );
        let mut late = Player::default();
        late.queue_awaited(8);
        late.queue(clip(3, 160));
        assert_eq!(late.next_frame(Instant::ZERO), Played::Waiting);
        assert_eq!(
            late.next_frame(Instant::from_millis(2_500)),
            Played::Frame([3; FRAME])
        );
    }
}
