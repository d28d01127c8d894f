//! The ear in virtual time, on noise and tones; on recorded voices it is tested in `tests/calls`.

use super::tone::ToneVerdict;
use super::upsample::Noise;
use super::*;

const SPEC: ListenSpec = ListenSpec {
    end_silence_ms: 500,
    no_input_ms: 5_000,
    max_ms: 15_000,
};

/// Audio under construction, at 8 kHz.
struct Scene {
    samples: Vec<i16>,
    noise: Noise,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            samples: Vec::new(),
            noise: Noise::new(5),
        }
    }

    fn silence(&mut self, ms: usize) -> &mut Scene {
        self.samples.resize(self.samples.len() + ms * 8, 0);
        self
    }

    fn hiss(&mut self, ms: usize, peak: f32) -> &mut Scene {
        for _ in 0..ms * 8 {
            self.samples.push((self.noise.sample() * peak) as i16);
        }
        self
    }

    fn tone(&mut self, ms: usize, hz: &[f32]) -> &mut Scene {
        for n in 0..ms * 8 {
            let phase = n as f32 * std::f32::consts::TAU / 8_000.0;
            let sum: f32 = hz.iter().map(|hz| (phase * hz).sin()).sum();
            self.samples.push((sum * 4_000.0) as i16);
        }
        self
    }

    /// Pushes it all, listening from `from_ms` on.
    fn heard(&self, spec: ListenSpec, from_ms: u64) -> Vec<(u64, EarEvent)> {
        let mut ear = Ear::new(EarConfig::default());
        let mut events = Vec::new();
        for (n, chunk) in self.samples.chunks_exact(FRAME).enumerate() {
            let at_ms = n as u64 * 20;
            if at_ms == from_ms {
                ear.listen(spec, at_ms);
            }
            ear.push(chunk.try_into().expect("chunks are of one frame"), at_ms);
            while let Some(event) = ear.poll() {
                events.push((at_ms + 20, event));
            }
        }
        events
    }

    fn tones(&self) -> Vec<ToneVerdict> {
        let events = self.heard(SPEC, u64::MAX);
        let tone = |(_, event)| match event {
            EarEvent::Tone(tone) => Some(tone.verdict),
            EarEvent::SpeechStarted { .. }
            | EarEvent::Paused(_)
            | EarEvent::Resumed { .. }
            | EarEvent::Ended { .. }
            | EarEvent::NoInput { .. } => None,
        };
        events.into_iter().filter_map(tone).collect()
    }
}

/// Events as one line: `start paused resumed paused ended`.
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

#[test]
fn silence_is_no_input_and_hiss_and_clicks_are_no_speech() {
    let mut quiet = Scene::new();
    quiet.silence(6_000);
    let events = quiet.heard(SPEC, 200);
    assert_eq!(names(&events), "no_input");
    assert!(events[0].0.abs_diff(5_200) <= 40);
    let mut noisy = Scene::new();
    noisy
        .hiss(3_000, 1_000.0)
        .hiss(60, 12_000.0)
        .hiss(3_000, 1_000.0);
    assert_eq!(names(&noisy.heard(SPEC, 0)), "no_input");
}

#[test]
fn the_cadences_of_the_network_are_told_apart() {
    let repeat = |runs: &[(usize, usize)], times: usize| {
        let mut scene = Scene::new();
        scene.silence(300);
        for _ in 0..times {
            for &(on_ms, off_ms) in runs {
                scene.tone(on_ms, &[450.0]).silence(off_ms);
            }
        }
        let mut tones = scene.tones();
        // One of them alone may be a machine's beep as well: the call knows whether somebody has greeted it before.
        tones.retain(|tone| *tone != ToneVerdict::Beep);
        tones.dedup();
        tones
    };
    assert_eq!(repeat(&[(1_000, 4_000)], 2), [ToneVerdict::Ringback]);
    assert_eq!(repeat(&[(350, 350)], 5), [ToneVerdict::Busy]);
    assert_eq!(repeat(&[(700, 700)], 4), [ToneVerdict::Congestion]);
    assert_eq!(repeat(&[(400, 4_000)], 2), [ToneVerdict::CallWaiting]);
    let unobtainable = [(100, 100), (100, 100), (100, 100), (400, 400)];
    assert_eq!(repeat(&unobtainable, 3), [ToneVerdict::Unobtainable]);
}

#[test]
fn the_beep_of_a_machine_is_heard_and_keys_are_not_one() {
    for hz in [425.0, 620.0, 950.0, 1_000.0, 1_400.0, 1_987.0] {
        let mut scene = Scene::new();
        scene
            .hiss(800, 2_000.0)
            .silence(300)
            .tone(400, &[hz])
            .silence(700);
        assert_eq!(scene.tones(), [ToneVerdict::Beep], "{hz}");
    }
    let mut keys = Scene::new();
    for pair in [[941.0, 1_336.0], [770.0, 1_477.0], [697.0, 1_209.0]] {
        keys.tone(200, &pair).silence(100);
    }
    assert_eq!(keys.tones(), []);
}

#[test]
fn tones_are_no_speech() {
    let mut scene = Scene::new();
    for _ in 0..6 {
        scene.tone(350, &[450.0]).silence(350);
    }
    for pair in [[941.0, 1_336.0], [770.0, 1_477.0], [697.0, 1_209.0]] {
        scene.tone(300, &pair).silence(300);
    }
    let names = names(&scene.heard(SPEC, 0));
    assert!(!names.contains("start"), "{names}");
}

#[test]
fn noise_raises_the_floor() {
    let mut ear = Ear::new(EarConfig::default());
    let mut scene = Scene::new();
    scene.hiss(3_000, 3_000.0);
    for (n, chunk) in scene.samples.chunks_exact(FRAME).enumerate() {
        ear.push(chunk.try_into().expect("one frame"), n as u64 * 20);
    }
    assert!(
        (-28.0..=-22.0).contains(&ear.noise_floor_db()),
        "{}",
        ear.noise_floor_db()
    );
}

#[test]
fn a_gap_in_the_frames_does_not_move_the_clock() {
    for gap_ms in [1_000, 60_000] {
        let mut ear = Ear::new(EarConfig::default());
        for n in 0..50 {
            ear.push(&[0; FRAME], n * 20);
        }
        let from_ms = 1_000 + gap_ms;
        ear.listen(SPEC, from_ms);
        for n in 0..300 {
            ear.push(&[0; FRAME], from_ms + n * 20);
        }
        let at_ms = match ear.poll() {
            Some(EarEvent::NoInput { at_ms }) => at_ms,
            other => panic!("{other:?}"),
        };
        assert!(at_ms.abs_diff(from_ms + 5_000) <= 40, "{gap_ms}: {at_ms}");
    }
}
