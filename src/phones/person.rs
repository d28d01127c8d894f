//! The person, or the machine, that holds the telephone: hears 20 ms, says 20 ms.
//!
//! Waits until the robot has fallen silent, has what it said recognised, takes a human 300–600 ms and reacts as
//! the telephone's file says. Knows nothing of SIP and RTP; sans-IO, its time is the slots of the media clock.

use std::collections::BTreeMap;
use std::f32::consts::TAU;
use std::sync::Arc;

use aftercall_core::codec::{FRAME, FRAME_MS};
use aftercall_core::ear::upsample::Noise;

use super::book::{Action, Clip, Does, Interrupts, Phone};
use super::recognise::{Envelope, Listener, Recognised, Template, is_voice};

/// The robot must have spoken for so long, and then been silent for so long, before it is answered: 700 ms,
/// of which 180 ms have passed when the frames come here.
const SPOKE_MS: u64 = 300;
const SILENT_MS: u64 = 520;
/// How long a person takes: 300–600 ms.
const LEAST_DELAY_MS: u64 = 300;
const DELAY_SPREAD_MS: u64 = 300;
/// From the pick-up to the greeting.
const GREETING_DELAY_MS: u64 = 400;
/// Peak of a line that is open and silent: about -60 dBFS.
const COMFORT_PEAK: f32 = 57.0;
/// Envelope frames kept of what the robot said: 60 s.
const MEMORY: usize = 6_000;
/// A voicemail: the beep, and how long it records.
const BEEP_HZ: f32 = 1_000.0;
const BEEP_MS: u64 = 500;
const RECORDS_MS: u64 = 20_000;

/// What a person does in one slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Asks which prompt it was; the answer comes by [`Person::told`].
    Wonder(Question),
    /// A key is pressed.
    Press(char),
    HangUp,
    /// The clip of early media has been played: refuse now.
    Announced,
    Note(Note),
}

/// What the robot said since the last reaction, for the recogniser.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    pub number: u32,
    pub heard: Vec<Envelope>,
}

/// What the log tells of a person.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A prompt was recognised, or none.
    Heard {
        prompt: Option<String>,
        score: f32,
    },
    /// Speech begins; `voiced_ms` from now is its last voiced sample. A greeting is no reply.
    Says {
        clip: String,
        voiced_ms: u64,
        is_greeting: bool,
    },
    Presses {
        keys: String,
    },
    /// Speech begins while the robot speaks; `voiced_ms` from now is its first voiced sample.
    Interrupts {
        clip: String,
        voiced_ms: u64,
    },
    /// Silent, because nothing was recognised and nothing else is to be done.
    Silent,
}

/// One telephone's side of one call.
#[derive(Debug)]
pub struct Person {
    phone: Arc<Phone>,
    state: State,
    noise: Noise,
    listener: Listener,
    heard: Vec<Envelope>,
    spoke_ms: u64,
    silent_ms: u64,
    questions: u32,
    /// To be said into what the robot says next.
    interrupts: Option<Interrupts>,
    /// How often each reply was given, by its place in the file.
    given: BTreeMap<usize, u32>,
    /// Milliseconds since the media began.
    now_ms: u64,
}

#[derive(Debug)]
enum State {
    /// Early media: the clip, then the refusal.
    Announcing(Playing),
    Waiting {
        until_ms: u64,
        then: Then,
    },
    Speaking(Playing),
    Listening,
    /// The robot is silent; what it said is being recognised.
    Wondering {
        due_ms: u64,
        answer: Option<Choice>,
    },
    Beeping {
        until_ms: u64,
    },
    Recording {
        until_ms: u64,
    },
    Gone,
}

#[derive(Debug)]
enum Then {
    Greet(Clip),
    Beep,
}

#[derive(Debug)]
struct Playing {
    clip: Clip,
    at: usize,
    /// Hangs up when so many samples have been played.
    cut: Option<usize>,
    after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Listen,
    Beep,
    HangUp,
    Refuse,
}

/// The reaction chosen.
#[derive(Debug)]
struct Choice {
    action: Option<Action>,
    note: Note,
}

impl Person {
    /// Somebody picks up, or an announcement begins.
    pub fn new(phone: Arc<Phone>, seed: u64) -> Person {
        let greet = |clip: &Clip, ms| State::Waiting {
            until_ms: ms,
            then: Then::Greet(clip.clone()),
        };
        let state = match &phone.does {
            Does::Answer {
                greeting: Some(clip),
            } => greet(clip, GREETING_DELAY_MS),
            Does::Answer { greeting: None } => State::Listening,
            Does::Voicemail { greeting } => greet(greeting, GREETING_DELAY_MS),
            Does::Announce { clip, .. } => State::Announcing(Playing {
                clip: clip.clone(),
                at: 0,
                cut: None,
                after: After::Refuse,
            }),
            Does::Refuse { .. } | Does::RingOn => State::Gone,
        };
        Person {
            phone,
            state,
            noise: Noise::new(seed),
            listener: Listener::default(),
            heard: Vec::new(),
            spoke_ms: 0,
            silent_ms: 0,
            questions: 0,
            interrupts: None,
            given: BTreeMap::new(),
            now_ms: 0,
        }
    }

    /// The prompts that this telephone knows, in the order that [`Person::told`] counts them.
    pub fn prompts(phone: &Phone) -> impl Iterator<Item = &Template> + Clone {
        let replies = phone.replies.iter();
        replies.flat_map(|reply| reply.hears.iter().map(Arc::as_ref))
    }

    /// One slot of 20 ms: what was heard, and what is said in it.
    pub fn slot(&mut self, heard: &[i16; FRAME], acts: &mut Vec<Act>) -> [i16; FRAME] {
        self.hear(heard);
        let mut frame: [i16; FRAME] =
            std::array::from_fn(|_| (self.noise.sample() * COMFORT_PEAK) as i16);
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Announcing(playing) => match play(playing, &mut frame) {
                Ok(playing) => State::Announcing(playing),
                Err(_) => {
                    acts.push(Act::Announced);
                    State::Gone
                }
            },
            State::Waiting { until_ms, then } if self.now_ms < until_ms => {
                State::Waiting { until_ms, then }
            }
            State::Waiting { then, .. } => self.go_on(then, acts),
            State::Speaking(playing) => match play(playing, &mut frame) {
                Ok(playing) => State::Speaking(playing),
                Err(after) => self.finished(after, acts),
            },
            State::Listening => self.listen(acts),
            State::Wondering { due_ms, answer } => self.wonder(due_ms, answer, acts),
            State::Beeping { until_ms } if self.now_ms < until_ms => {
                let from = self.now_ms * 8;
                frame = std::array::from_fn(|n| beep(from + n as u64));
                State::Beeping { until_ms }
            }
            State::Beeping { .. } => State::Recording {
                until_ms: self.now_ms + RECORDS_MS,
            },
            State::Recording { until_ms } if self.now_ms >= until_ms => {
                acts.push(Act::HangUp);
                State::Gone
            }
            same @ (State::Recording { .. } | State::Gone) => same,
        };
        self.now_ms += FRAME_MS;
        frame
    }

    /// The recogniser's answer to a [`Question`]; one that comes too late is forgotten.
    pub fn told(&mut self, number: u32, recognised: Option<&Recognised>) {
        if number != self.questions {
            return;
        }
        let choice = self.choose(recognised);
        if let State::Wondering { answer, .. } = &mut self.state {
            *answer = Some(choice);
        }
    }

    fn hear(&mut self, heard: &[i16; FRAME]) {
        self.listener.push(heard, &mut self.heard);
        if self.heard.len() > 2 * MEMORY {
            self.heard.drain(..MEMORY);
        }
        if is_voice(heard) {
            self.spoke_ms += FRAME_MS;
            self.silent_ms = 0;
        } else {
            self.silent_ms += FRAME_MS;
        }
    }

    fn go_on(&mut self, then: Then, acts: &mut Vec<Act>) -> State {
        match then {
            Then::Greet(clip) => {
                let after = match self.phone.does {
                    Does::Voicemail { .. } => After::Beep,
                    Does::Answer { .. }
                    | Does::Refuse { .. }
                    | Does::RingOn
                    | Does::Announce { .. } => After::Listen,
                };
                say(clip, None, after, true, acts)
            }
            Then::Beep => State::Beeping {
                until_ms: self.now_ms + BEEP_MS,
            },
        }
    }

    fn finished(&mut self, after: After, acts: &mut Vec<Act>) -> State {
        match after {
            After::Listen => State::Listening,
            After::Beep => State::Waiting {
                until_ms: self.now_ms + LEAST_DELAY_MS,
                then: Then::Beep,
            },
            After::HangUp | After::Refuse => {
                acts.push(Act::HangUp);
                State::Gone
            }
        }
    }

    fn listen(&mut self, acts: &mut Vec<Act>) -> State {
        let is_time = |into: &mut Interrupts| self.spoke_ms >= into.after_ms && self.silent_ms == 0;
        if let Some(Interrupts { clip, .. }) = self.interrupts.take_if(is_time) {
            return interrupt(clip, acts);
        }
        if self.spoke_ms < SPOKE_MS || self.silent_ms < SILENT_MS {
            return State::Listening;
        }
        self.questions += 1;
        acts.push(Act::Wonder(Question {
            number: self.questions,
            heard: self.heard.clone(),
        }));
        let spread = (self.noise.sample() + 1.0) / 2.0 * DELAY_SPREAD_MS as f32;
        State::Wondering {
            due_ms: self.now_ms + LEAST_DELAY_MS + spread as u64,
            answer: None,
        }
    }

    fn wonder(&mut self, due_ms: u64, answer: Option<Choice>, acts: &mut Vec<Act>) -> State {
        // The robot goes on: it was only a pause.
        if self.silent_ms < SILENT_MS {
            return State::Listening;
        }
        match answer {
            Some(choice) if self.now_ms >= due_ms => {
                self.heard.clear();
                self.spoke_ms = 0;
                acts.push(Act::Note(choice.note));
                match choice.action {
                    Some(action) => self.act(action, acts),
                    None => {
                        acts.push(Act::Note(Note::Silent));
                        State::Listening
                    }
                }
            }
            answer => State::Wondering { due_ms, answer },
        }
    }

    fn act(&mut self, action: Action, acts: &mut Vec<Act>) -> State {
        self.interrupts = action.interrupts;
        if !action.keys.is_empty() {
            acts.push(Act::Note(Note::Presses {
                keys: action.keys.clone(),
            }));
            acts.extend(action.keys.chars().map(Act::Press));
        }
        match (action.says, action.hangs_up) {
            (Some(clip), true) => say(clip, action.cut_ms, After::HangUp, false, acts),
            (Some(clip), false) => say(clip, None, After::Listen, false, acts),
            (None, true) => {
                acts.push(Act::HangUp);
                State::Gone
            }
            (None, false) => State::Listening,
        }
    }

    /// The first reply that hears the prompt and has not been given too often; else the one for all else.
    fn choose(&mut self, recognised: Option<&Recognised>) -> Choice {
        let prompt = recognised.and_then(|found| {
            let mut prompts = Person::prompts(&self.phone);
            Some(prompts.nth(found.prompt)?.id.clone())
        });
        let note = Note::Heard {
            prompt: prompt.clone(),
            score: recognised.map_or(0.0, |found| found.score),
        };
        let hears = |id: &String, n: usize| self.phone.replies[n].hears.iter().any(|p| p.id == *id);
        let is_left = |n: usize| {
            let given = self.given.get(&n).copied().unwrap_or(0);
            self.phone.replies[n]
                .times
                .is_none_or(|times| given < times)
        };
        let mut places = 0..self.phone.replies.len();
        let place = prompt.and_then(|id| places.find(|&n| hears(&id, n) && is_left(n)));
        let action = match place {
            Some(n) => {
                *self.given.entry(n).or_default() += 1;
                Some(self.phone.replies[n].action.clone())
            }
            None => self.phone.otherwise.clone(),
        };
        Choice { action, note }
    }
}

fn say(
    clip: Clip,
    cut_ms: Option<u64>,
    after: After,
    is_greeting: bool,
    acts: &mut Vec<Act>,
) -> State {
    let cut = cut_ms.map(|ms| ms as usize * 8);
    let end = cut.unwrap_or(clip.samples.len()).min(clip.samples.len());
    let voiced = clip.samples[..end].chunks(80).rposition(is_voice);
    acts.push(Act::Note(Note::Says {
        clip: clip.name.clone(),
        // The first frame leaves in the next slot.
        voiced_ms: FRAME_MS + voiced.map_or(0, |block| block as u64 * 10 + 10),
        is_greeting,
    }));
    State::Speaking(Playing {
        clip,
        at: 0,
        cut,
        after,
    })
}

fn interrupt(clip: Clip, acts: &mut Vec<Act>) -> State {
    let voiced = clip.samples.chunks(80).position(is_voice).unwrap_or(0);
    acts.push(Act::Note(Note::Interrupts {
        clip: clip.name.clone(),
        // The first frame leaves in the next slot.
        voiced_ms: FRAME_MS + voiced as u64 * 10,
    }));
    State::Speaking(Playing {
        clip,
        at: 0,
        cut: None,
        after: After::Listen,
    })
}

/// Puts the next 20 ms of the clip over the frame; what comes after it once it is over.
fn play(mut playing: Playing, frame: &mut [i16; FRAME]) -> Result<Playing, After> {
    let end = playing
        .cut
        .unwrap_or(usize::MAX)
        .min(playing.clip.samples.len());
    if playing.at >= end {
        return Err(playing.after);
    }
    let part = &playing.clip.samples[playing.at..end.min(playing.at + FRAME)];
    frame[..part.len()].copy_from_slice(part);
    playing.at += FRAME;
    Ok(playing)
}

fn beep(sample: u64) -> i16 {
    let phase = (sample % 8_000) as f32 * TAU * BEEP_HZ / 8_000.0;
    (phase.sin() * 6_000.0) as i16
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::book::{Book, Folders};
    use super::super::recognise::last_said;
    use super::*;
    use crate::speech::audio::decode_file;

    fn phone(user: &str) -> Arc<Phone> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = Folders {
            phones: root.join("fixtures/phones"),
            audio: root.join("fixtures/audio"),
            dialogs: root.join("dialogs"),
        };
        let (book, _) = Book::load(&folders).expect("the demo's telephones are there");
        book.find(user).expect("it is one of them")
    }

    fn prompt(id: &str) -> Vec<i16> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs/common/prompts/zh");
        decode_file(&root.join(format!("{id}.flac"))).expect("prompts can be read")
    }

    /// A call in virtual time: the robot's samples in, what happened out.
    struct Scene {
        person: Person,
        phone: Arc<Phone>,
        events: Vec<String>,
    }

    impl Scene {
        fn new(user: &str) -> Scene {
            let phone = phone(user);
            Scene {
                person: Person::new(phone.clone(), 7),
                phone,
                events: Vec::new(),
            }
        }

        fn robot(&mut self, samples: &[i16], then_silent_ms: usize) -> &mut Scene {
            let mut line = samples.to_vec();
            line.resize(line.len().div_ceil(FRAME) * FRAME + then_silent_ms * 8, 0);
            for frame in line.chunks_exact(FRAME) {
                let mut acts = Vec::new();
                self.person
                    .slot(frame.try_into().expect("one frame"), &mut acts);
                for act in acts {
                    self.note(act);
                }
            }
            self
        }

        fn note(&mut self, act: Act) {
            match act {
                Act::Wonder(question) => {
                    let found = last_said(&question.heard, Person::prompts(&self.phone));
                    self.person.told(question.number, found.as_ref());
                }
                Act::Press(key) => self.events.push(key.to_string()),
                Act::HangUp => self.events.push("hangs up".to_owned()),
                Act::Announced => self.events.push("announced".to_owned()),
                Act::Note(Note::Heard { prompt, .. }) => {
                    self.events.push(prompt.unwrap_or("?".to_owned()));
                }
                Act::Note(Note::Says { clip, .. }) => self.events.push(clip),
                Act::Note(Note::Presses { keys: _ }) => {}
                Act::Note(Note::Interrupts { clip, .. }) => {
                    self.events.push(format!("into: {clip}"))
                }
                Act::Note(Note::Silent) => self.events.push("silent".to_owned()),
            }
        }
    }

    #[test]
    fn she_greets_and_answers_what_she_is_asked() {
        let mut scene = Scene::new("+8613800001001");
        scene.robot(&[], 2_500);
        scene.robot(&prompt("identity_tail"), 4_000);
        scene.robot(&prompt("screen_chest"), 300);
        // Only a pause: the question goes on.
        scene.robot(&prompt("keys_yes_no"), 4_000);
        scene.robot(&prompt("goodbye"), 4_000);
        assert_eq!(
            scene.events,
            [
                "mrs_bei_hello",
                "common/zh/identity_tail",
                "mrs_bei_me",
                "common/zh/screen_chest",
                "mrs_bei_chest",
                "?",
                "mrs_bei_again",
            ]
        );
    }

    #[test]
    fn she_speaks_into_the_next_prompt() {
        let mut scene = Scene::new("+8613800001001");
        let mut phone = (*scene.phone).clone();
        let clip = phone.replies[0].action.says.clone();
        phone.replies[0].action.interrupts = clip.map(|clip| Interrupts {
            clip,
            after_ms: 600,
        });
        scene.phone = Arc::new(phone);
        scene.person = Person::new(scene.phone.clone(), 7);
        scene.robot(&[], 2_500);
        scene.robot(&prompt("identity_tail"), 4_000);
        scene.robot(&prompt("screen_chest"), 300);
        assert_eq!(scene.events.last(), Some(&"into: mrs_bei_me".to_owned()));
    }

    #[test]
    fn keys_are_pressed() {
        let mut scene = Scene::new("+8613800001007");
        scene.robot(&[], 2_500);
        scene.robot(&prompt("identity_birth"), 3_000);
        assert_eq!(
            scene.events[1..],
            ["common/zh/identity_birth", "0", "4", "1", "2"]
        );
    }

    #[test]
    fn a_voicemail_greets_beeps_records_and_hangs_up() {
        let mut scene = Scene::new("+8613800001013");
        scene.robot(&prompt("opening_notice"), 40_000);
        assert_eq!(scene.events, ["voicemail_zh", "hangs up"]);
    }
}
