//! The ear on recorded speech: nobody is cut off, nobody is missed, no voice is taken for a tone.

use aftercall_core::codec::FRAME;
use aftercall_core::ear::{Ear, EarConfig, EarEvent, ListenSpec, Utterance};
use aftercall_core::id::UtteranceId;

use crate::clips;

const SPEC: ListenSpec = ListenSpec {
    end_silence_ms: 900,
    no_input_ms: 5_000,
    max_ms: 45_000,
};

/// What the ear makes of a clip between silences: the events as letters, and the last utterance's bounds.
struct Cut {
    events: String,
    from_ms: i64,
    to_ms: i64,
}

/// Milliseconds of silence before each clip.
const LEAD_MS: i64 = 600;

fn cut(clip: &[i16]) -> Cut {
    let mut samples = vec![0; LEAD_MS as usize * 8];
    samples.extend(clip);
    samples.resize(samples.len() + 16_000, 0);
    let mut ear = Ear::new(EarConfig::default());
    ear.listen(SPEC, 0);
    let mut cut = Cut {
        events: String::new(),
        from_ms: 0,
        to_ms: 0,
    };
    for (n, chunk) in samples.chunks_exact(FRAME).enumerate() {
        ear.push(chunk.try_into().expect("one frame"), n as u64 * 20);
        while let Some(event) = ear.poll() {
            cut.events.push(match event {
                EarEvent::SpeechStarted { .. } => 's',
                EarEvent::Paused(utterance) => {
                    cut.from_ms = utterance.from_ms as i64 - LEAD_MS;
                    cut.to_ms = utterance.to_ms as i64 - LEAD_MS;
                    'p'
                }
                EarEvent::Resumed { .. } => 'r',
                EarEvent::Ended { .. } => 'e',
                EarEvent::NoInput { .. } => 'n',
                EarEvent::Tone(_) => 't',
            });
        }
    }
    cut
}

/// The first and the last 10 ms that are louder than -47 dBFS.
fn loud(clip: &[i16]) -> (i64, i64) {
    let is_loud = |block: &[i16]| {
        let energy: f64 = block.iter().map(|&x| f64::from(x).powi(2)).sum();
        energy / block.len() as f64 > 150.0 * 150.0
    };
    let blocks: Vec<bool> = clip.chunks(80).map(is_loud).collect();
    let first = blocks.iter().position(|&loud| loud).unwrap_or(0);
    let last = blocks.iter().rposition(|&loud| loud).unwrap_or(0);
    (first as i64 * 10, last as i64 * 10 + 10)
}

#[test]
fn every_reply_of_the_cast_is_heard_once_and_whole() {
    let mut late = Vec::new();
    for path in clips::in_folder("fixtures/audio") {
        // They pause for longer between their two languages.
        if path.contains("announce_") || path.contains("voicemail_") {
            continue;
        }
        let clip = clips::load(&path);
        let Cut {
            events,
            from_ms,
            to_ms,
        } = cut(&clip);
        assert!(
            ["spe", "sprpe"].contains(&events.as_str()),
            "{path}: {events}"
        );
        let (first, last) = loud(&clip);
        // The pre-roll of 300 ms makes up for late onsets; some clips begin and end in noise.
        assert!(
            from_ms - first <= 600,
            "{path}: began {} ms late",
            from_ms - first
        );
        late.push(to_ms - last);
    }
    late.sort_unstable();
    let median = late[late.len() / 2];
    assert!((0..=120).contains(&median), "the end is {median} ms late");
}

#[test]
fn no_prompt_is_taken_for_a_tone() {
    for lang in ["zh", "en"] {
        for path in clips::in_folder(&format!("dialogs/common/prompts/{lang}")) {
            let events = cut(&clips::load(&path)).events;
            assert!(!events.contains('t'), "{path}: {events}");
        }
    }
}

/// A woman's voice between silences.
struct Scene {
    voice: Vec<i16>,
    samples: Vec<i16>,
}

impl Scene {
    fn new() -> Scene {
        let clip = clips::load("dialogs/common/prompts/zh/emergency_told.flac");
        let (first, _) = loud(&clip);
        Scene {
            voice: clip[first as usize * 8..].to_vec(),
            samples: Vec::new(),
        }
    }

    fn silence(&mut self, ms: usize) -> &mut Scene {
        self.samples.resize(self.samples.len() + ms * 8, 0);
        self
    }

    fn voice(&mut self, ms: usize) -> &mut Scene {
        let endless = self.voice.iter().cycle().copied();
        self.samples.extend(endless.take(ms * 8));
        self
    }

    /// Pushes it all, listening from `from_ms` on; each event with the time it came.
    fn heard(&self, spec: ListenSpec, from_ms: u64) -> Vec<(u64, EarEvent)> {
        let mut ear = Ear::new(EarConfig::default());
        let mut events = Vec::new();
        for (n, chunk) in self.samples.chunks_exact(FRAME).enumerate() {
            let at_ms = n as u64 * 20;
            if at_ms == from_ms {
                ear.listen(spec, at_ms);
            }
            ear.push(chunk.try_into().expect("one frame"), at_ms);
            events.extend(std::iter::from_fn(|| ear.poll()).map(|event| (at_ms + 20, event)));
        }
        events
    }
}

fn names(events: &[(u64, EarEvent)]) -> String {
    let name = |(_, event): &(u64, EarEvent)| match event {
        EarEvent::SpeechStarted { .. } => "start",
        EarEvent::Paused(_) => "paused",
        EarEvent::Resumed { .. } => "resumed",
        EarEvent::Ended { .. } => "ended",
        EarEvent::NoInput { .. } => "no_input",
        EarEvent::Tone(_) => "tone",
    };
    events.iter().map(name).collect::<Vec<_>>().join(" ")
}

fn utterance(events: &[(u64, EarEvent)]) -> &Utterance {
    let paused = events.iter().rev().find_map(|(_, event)| match event {
        EarEvent::Paused(utterance) => Some(utterance),
        EarEvent::SpeechStarted { .. }
        | EarEvent::Resumed { .. }
        | EarEvent::Ended { .. }
        | EarEvent::NoInput { .. }
        | EarEvent::Tone(_) => None,
    });
    paused.expect("something was said")
}

const BRIEF: ListenSpec = ListenSpec {
    end_silence_ms: 500,
    no_input_ms: 5_000,
    max_ms: 15_000,
};

#[test]
fn one_reply_is_cut_with_its_pre_roll() {
    let mut scene = Scene::new();
    scene.silence(1_000).voice(900).silence(1_500);
    let events = scene.heard(BRIEF, 0);
    assert_eq!(names(&events), "start paused ended");
    let said = utterance(&events);
    assert!(said.from_ms.abs_diff(1_000) <= 200, "{}", said.from_ms);
    assert!(said.to_ms.abs_diff(1_900) <= 150, "{}", said.to_ms);
    let length_ms = said.samples.len() as u64 / 8;
    let voiced_ms = said.to_ms - said.from_ms;
    assert!((voiced_ms + 540..=voiced_ms + 600).contains(&length_ms));
    // Paused 250 ms and ended 500 ms after the last voice.
    let at: Vec<u64> = events.iter().map(|(at_ms, _)| *at_ms).collect();
    assert!((240..=290).contains(&(at[1] - said.to_ms)), "{at:?}");
    assert!((490..=540).contains(&(at[2] - said.to_ms)), "{at:?}");
}

#[test]
fn a_hesitation_resumes_and_the_whole_is_handed_out_again() {
    let mut scene = Scene::new();
    scene
        .silence(600)
        .voice(900)
        .silence(500)
        .voice(900)
        .silence(1_500);
    let spec = ListenSpec {
        end_silence_ms: 800,
        ..BRIEF
    };
    let events = scene.heard(spec, 0);
    assert_eq!(names(&events), "start paused resumed paused ended");
    let said = utterance(&events);
    assert!(said.to_ms - said.from_ms > 2_000);
    let last = events.last().map(|(_, event)| event);
    assert_eq!(last, Some(&EarEvent::Ended { id: UtteranceId(1) }));
}

#[test]
fn a_click_of_forty_milliseconds_is_discarded() {
    let mut scene = Scene::new();
    scene.silence(1_000).voice(40).silence(5_000);
    assert_eq!(names(&scene.heard(BRIEF, 0)), "no_input");
}

#[test]
fn a_speech_without_end_is_cut_at_the_limit() {
    let mut scene = Scene::new();
    scene.silence(500).voice(6_000);
    let spec = ListenSpec {
        max_ms: 3_000,
        ..SPEC
    };
    let events = scene.heard(spec, 0);
    let names = names(&events);
    assert!(names.ends_with("paused ended"), "{names}");
    let at_ms = events.last().map_or(0, |(at_ms, _)| *at_ms);
    assert!(at_ms.abs_diff(3_600) < 200, "{at_ms}");
}

#[test]
fn a_reply_that_began_over_the_prompt_is_taken_along_but_an_echo_is_not() {
    let mut early = Scene::new();
    early.silence(1_000).voice(1_200).silence(1_500);
    let events = early.heard(BRIEF, 1_400);
    assert_eq!(names(&events), "start paused ended");
    assert!(utterance(&events).from_ms < 1_250);
    let mut echo = Scene::new();
    echo.silence(1_000).voice(1_200).silence(6_000);
    assert_eq!(names(&echo.heard(BRIEF, 2_140)), "no_input");
}

#[test]
fn a_deaf_ear_says_nothing_and_end_now_ends_a_pause() {
    let mut scene = Scene::new();
    scene.silence(400).voice(900).silence(1_000);
    assert_eq!(names(&scene.heard(BRIEF, u64::MAX)), "");
    let mut ear = Ear::new(EarConfig::default());
    ear.listen(BRIEF, 0);
    let mut ended_ms = None;
    for (n, chunk) in scene.samples.chunks_exact(FRAME).enumerate() {
        let at_ms = n as u64 * 20;
        ear.push(chunk.try_into().expect("one frame"), at_ms);
        while let Some(event) = ear.poll() {
            match event {
                EarEvent::Paused(_) => ear.end_now(),
                EarEvent::Ended { .. } => ended_ms = Some(at_ms),
                EarEvent::SpeechStarted { .. }
                | EarEvent::Resumed { .. }
                | EarEvent::NoInput { .. }
                | EarEvent::Tone(_) => {}
            }
        }
    }
    assert!(ended_ms.is_some_and(|at_ms| at_ms < 1_700), "{ended_ms:?}");
    assert!(!ear.is_listening());
}

#[test]
fn a_quiet_talker_is_heard() {
    for path in clips::in_folder("fixtures/audio").iter().step_by(7) {
        if path.contains("announce_") || path.contains("voicemail_") {
            continue;
        }
        // Down by 15 dB: about -40 dBFS.
        let clip: Vec<i16> = clips::load(path)
            .iter()
            .map(|&x| (f32::from(x) * 0.178) as i16)
            .collect();
        let events = cut(&clip).events;
        assert!(
            events.starts_with('s') && events.ends_with('e'),
            "{path}: {events}"
        );
    }
}

#[test]
fn others_who_talk_on_in_the_room_do_not_keep_the_turn_open() {
    let reply = clips::load("fixtures/audio/mr_yang_chest.flac");
    let backwards = |path: &str| {
        let mut clip = clips::load(path);
        clip.reverse();
        clip
    };
    // Two far talkers, 14 dB under the near one and never silent together.
    let first = backwards("dialogs/common/prompts/zh/emergency_told.flac");
    let second = backwards("dialogs/common/prompts/zh/crisis_line.flac");
    let room = first.iter().cycle().zip(second.iter().cycle().skip(3_000));
    let room = room.map(|(a, b)| (i32::from(*a) + i32::from(*b)) / 5);
    let (lead, tail) = (2_000 * 8, 4_000 * 8);
    let near = std::iter::repeat_n(0, lead)
        .chain(reply.iter().copied())
        .chain(std::iter::repeat_n(0, tail));
    let mixed: Vec<i16> = near
        .zip(room)
        .map(|(near, far)| (i32::from(near) + far).clamp(-32_768, 32_767) as i16)
        .collect();
    let mut ear = Ear::new(EarConfig::default());
    ear.listen(SPEC, 0);
    let over_ms = (lead + reply.len()) as u64 / 8;
    let mut ended_ms = None;
    for (n, chunk) in mixed.chunks_exact(FRAME).enumerate() {
        let at_ms = n as u64 * 20;
        ear.push(chunk.try_into().expect("one frame"), at_ms);
        while let Some(event) = ear.poll() {
            if matches!(event, EarEvent::Ended { .. }) && at_ms + 500 >= over_ms {
                ended_ms.get_or_insert(at_ms);
            }
        }
    }
    let ended_ms = ended_ms.expect("the turn ends while the room talks on");
    assert!(
        ended_ms <= over_ms + 1_800,
        "{} ms late",
        ended_ms - over_ms
    );
}

#[test]
fn a_television_far_behind_who_answered_before_is_no_reply() {
    let voice = clips::load("fixtures/audio/mr_yang_chest.flac");
    let far: Vec<i16> = clips::load("dialogs/common/prompts/zh/crisis_line.flac")
        .iter()
        .map(|sample| sample / 10)
        .collect();
    let heard = |knows: bool| {
        let mut ear = Ear::new(EarConfig::default());
        ear.listen(SPEC, 0);
        let quiet = std::iter::repeat_n(0, 1_500 * 8);
        let samples = voice.iter().copied().chain(quiet.clone());
        let samples: Vec<i16> = samples.chain(far.iter().copied()).chain(quiet).collect();
        let mut replies = 0;
        for (n, chunk) in samples.chunks_exact(FRAME).enumerate() {
            let at_ms = n as u64 * 20;
            ear.push(chunk.try_into().expect("one frame"), at_ms);
            while let Some(event) = ear.poll() {
                if matches!(event, EarEvent::Ended { .. }) {
                    replies += 1;
                    if knows {
                        ear.had_words();
                    }
                    ear.listen(SPEC, at_ms);
                }
            }
        }
        replies
    };
    assert_eq!(heard(true), 1, "only who holds the telephone");
    assert!(heard(false) > 1, "a stranger may be as quiet as that");
}
