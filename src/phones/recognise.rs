//! Which recorded prompt was it that the robot said: by sound alone.
//!
//! Both sides become envelopes of the energy in ten bands, every 10 ms; a prompt was said where its envelopes
//! and those of what was heard correlate, each band freed of its mean. On a lossless line that is 1.00; other
//! prompts of the same voice stay below 0.6, and 5 % of lost and concealed packets leave more than 0.85.

/// Samples from one envelope frame to the next: 10 ms.
pub const HOP: usize = 80;
/// Samples that one envelope frame is measured over.
const WINDOW: usize = 160;
const BANDS: usize = 10;
const BAND_HZ: [f32; BANDS] = [
    300.0, 450.0, 620.0, 820.0, 1_050.0, 1_350.0, 1_700.0, 2_150.0, 2_650.0, 3_200.0,
];
/// Energies below this are the line's noise: about -62 dBFS.
const FLOOR: f32 = 600.0;
/// Correlation from which a prompt counts as said.
const SAID: f32 = 0.78;
/// The quick look at every eighth frame must reach this before all are compared.
const PROMISING: f32 = 0.5;
const STRIDE: usize = 8;
/// After a prompt was found, better alignments are looked for so far back: 300 ms.
const NEAR: usize = 30;
/// Shortest prompt that can be told: 300 ms.
const SHORTEST: usize = 30;
/// RMS above which sound is voice: -45 dBFS.
const VOICE_RMS: f32 = 184.0;

/// Energies of one envelope frame, as logarithms.
pub type Envelope = [f32; BANDS];

/// Whether samples are loud enough for voice.
pub fn is_voice(samples: &[i16]) -> bool {
    let energy: f32 = samples.iter().map(|&s| f32::from(s) * f32::from(s)).sum();
    energy > VOICE_RMS * VOICE_RMS * samples.len() as f32
}

/// Turns a stream of samples into envelope frames.
#[derive(Clone, Debug)]
pub struct Listener {
    filters: [f32; BANDS],
    window: [f32; WINDOW],
    waiting: Vec<i16>,
}

impl Default for Listener {
    fn default() -> Listener {
        let turn = |hz: f32| std::f32::consts::TAU * hz / 8_000.0;
        Listener {
            filters: BAND_HZ.map(|hz| 2.0 * turn(hz).cos()),
            window: std::array::from_fn(|n| {
                0.5 - 0.5 * (std::f32::consts::TAU * (n as f32 + 0.5) / WINDOW as f32).cos()
            }),
            waiting: Vec::with_capacity(4 * WINDOW),
        }
    }
}

impl Listener {
    /// Appends the frames that are whole by now.
    pub fn push(&mut self, samples: &[i16], out: &mut Vec<Envelope>) {
        self.waiting.extend_from_slice(samples);
        let mut at = 0;
        while at + WINDOW <= self.waiting.len() {
            out.push(self.measure(&self.waiting[at..at + WINDOW]));
            at += HOP;
        }
        self.waiting.drain(..at);
    }

    fn measure(&self, samples: &[i16]) -> Envelope {
        let windowed: [f32; WINDOW] =
            std::array::from_fn(|n| f32::from(samples[n]) * self.window[n] / WINDOW as f32);
        self.filters.map(|turn| {
            let (mut s1, mut s2) = (0.0_f32, 0.0_f32);
            for &x in &windowed {
                (s1, s2) = (x + turn * s1 - s2, s1);
            }
            let energy = s1 * s1 + s2 * s2 - turn * s1 * s2;
            (energy.max(0.0) + FLOOR / WINDOW as f32).ln()
        })
    }
}

/// A prompt to be recognised: its voiced stretch, each band freed of its mean.
#[derive(Clone, Debug)]
pub struct Template {
    /// `<folder>/<language>/<prompt>`.
    pub id: String,
    frames: Vec<Envelope>,
    /// Root of the sum of squares, and the same over every eighth frame.
    norm: f32,
}

impl Template {
    /// `None` when there are less than 300 ms of voice in it.
    pub fn new(id: &str, samples: &[i16]) -> Option<Template> {
        let loud: Vec<bool> = samples.chunks(HOP).map(is_voice).collect();
        let first = loud.iter().position(|&loud| loud)?;
        let last = loud.iter().rposition(|&loud| loud)?;
        let voiced = &samples[first * HOP..((last + 2) * HOP).min(samples.len())];
        let mut frames = Vec::new();
        Listener::default().push(voiced, &mut frames);
        if frames.len() < SHORTEST {
            return None;
        }
        let mean = mean(frames.iter());
        for frame in &mut frames {
            *frame = std::array::from_fn(|b| frame[b] - mean[b]);
        }
        let norm = frames.iter().flatten().map(|x| x * x).sum::<f32>().sqrt();
        Some(Template {
            id: id.to_owned(),
            frames,
            norm,
        })
    }

    /// How well the prompt fits what was heard from `start` on: -1…1.
    fn score(&self, heard: &[Envelope], start: usize) -> f32 {
        let Some(heard) = heard.get(start..start + self.frames.len()) else {
            return -1.0;
        };
        let mean = mean(heard.iter());
        let (mut product, mut square) = (0.0_f32, 1e-6_f32);
        for (wanted, got) in self.frames.iter().zip(heard) {
            for b in 0..BANDS {
                let x = got[b] - mean[b];
                product += wanted[b] * x;
                square += x * x;
            }
        }
        product / (self.norm * square.sqrt())
    }

    /// The same over every eighth frame: a cheap guess.
    fn guess(&self, heard: &[Envelope], start: usize) -> f32 {
        let Some(heard) = heard.get(start..start + self.frames.len()) else {
            return -1.0;
        };
        let mean = mean(heard.iter().step_by(STRIDE));
        let (mut product, mut mine, mut square) = (0.0_f32, 1e-6_f32, 1e-6_f32);
        for (wanted, got) in self.frames.iter().zip(heard).step_by(STRIDE) {
            for b in 0..BANDS {
                let x = got[b] - mean[b];
                product += wanted[b] * x;
                mine += wanted[b] * wanted[b];
                square += x * x;
            }
        }
        product / (mine.sqrt() * square.sqrt())
    }
}

fn mean<'a>(frames: impl Iterator<Item = &'a Envelope>) -> Envelope {
    let mut sum = [0.0_f32; BANDS];
    let mut count = 0.0_f32;
    for frame in frames {
        count += 1.0;
        for (s, x) in sum.iter_mut().zip(frame) {
            *s += x;
        }
    }
    sum.map(|s| s / count.max(1.0))
}

/// What was recognised.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognised {
    /// Index into the prompts that were asked for.
    pub prompt: usize,
    /// 0.78–1.
    pub score: f32,
}

/// The one of `prompts` that ended last in what was heard; `None` when none of them was said.
pub fn last_said<'a>(
    heard: &[Envelope],
    prompts: impl Iterator<Item = &'a Template> + Clone,
) -> Option<Recognised> {
    let mut best: Option<(usize, Recognised)> = None;
    for end in (SHORTEST..=heard.len()).rev() {
        if best.as_ref().is_some_and(|(found, _)| found - end > NEAR) {
            break;
        }
        for (prompt, template) in prompts.clone().enumerate() {
            let Some(start) = end.checked_sub(template.frames.len()) else {
                continue;
            };
            if template.guess(heard, start) < PROMISING {
                continue;
            }
            let score = template.score(heard, start);
            let is_better = best.as_ref().is_none_or(|(_, before)| score > before.score);
            if score >= SAID && is_better {
                let found = best.map_or(end, |(found, _)| found);
                best = Some((found, Recognised { prompt, score }));
            }
        }
    }
    best.map(|(_, recognised)| recognised)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use aftercall_core::codec::G711;
    use aftercall_core::ear::upsample::Noise;

    use super::*;
    use crate::speech::audio::decode_file;

    fn prompts(folder: &str, lang: &str) -> Vec<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs");
        let folder = root.join(folder).join("prompts").join(lang);
        let entries = std::fs::read_dir(&folder).expect("the prompts are committed");
        let mut paths: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "flac"));
        paths.sort();
        paths
    }

    /// As it comes over the line: A-law, somewhere between frames, and silence after it.
    fn over_the_line(samples: &[i16], lead: usize) -> Vec<i16> {
        let mut line = vec![0; lead];
        line.extend(samples.iter().map(|&s| G711::A.decode(G711::A.encode(s))));
        line.resize(line.len() + 5_600, 0);
        line
    }

    fn envelopes(samples: &[i16]) -> Vec<Envelope> {
        let mut out = Vec::new();
        Listener::default().push(samples, &mut out);
        out
    }

    #[test]
    fn every_known_prompt_is_told_from_the_others_and_an_unknown_one_is_none() {
        let mut clips: Vec<Vec<i16>> = Vec::new();
        for path in prompts("common", "zh")
            .iter()
            .chain(&prompts("common", "en"))
            .step_by(4)
        {
            clips.push(decode_file(path).expect("prompts can be read"));
        }
        let (known, unknown) = clips.split_at(clips.len() * 2 / 3);
        let templates: Vec<Template> = known
            .iter()
            .enumerate()
            .map(|(n, clip)| Template::new(&n.to_string(), clip).expect("prompts are long enough"))
            .collect();
        let mut noise = Noise::new(1);
        for (n, clip) in known.iter().enumerate() {
            let line = over_the_line(clip, 4_000 + 13 * n);
            let found = last_said(&envelopes(&line), templates.iter()).expect("it was said");
            assert_eq!(found.prompt, n);
            assert!(found.score > 0.9, "{n}: {}", found.score);
            // 5 % of the packets lost, and not even concealed.
            let mut torn = line;
            torn.chunks_mut(160)
                .filter(|_| noise.sample() > 0.9)
                .for_each(|frame| frame.fill(0));
            let found = last_said(&envelopes(&torn), templates.iter()).expect("it was said");
            assert_eq!(found.prompt, n);
        }
        for clip in unknown {
            assert_eq!(
                last_said(&envelopes(&over_the_line(clip, 4_000)), templates.iter()),
                None
            );
        }
    }

    #[test]
    fn help_after_a_question_leaves_the_question() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs/common/prompts/zh");
        let clip = |name: &str| decode_file(&root.join(name)).expect("prompts can be read");
        let (first, question) = (clip("screen_chest.flac"), clip("screen_breath.flac"));
        let mut said = over_the_line(&first, 800);
        said.extend(over_the_line(&question, 0));
        said.extend(over_the_line(&clip("keys_yes_no.flac"), 0));
        let known = [
            Template::new("chest", &first).expect("long enough"),
            Template::new("breath", &question).expect("long enough"),
        ];
        let found = last_said(&envelopes(&said), known.iter()).expect("both were said");
        assert_eq!(known[found.prompt].id, "breath");
    }
}
