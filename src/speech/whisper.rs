//! One utterance through whisper, with the settings that were measured for short telephone speech.
//!
//! A [`Recogniser`] is one whisper state with one thread, owned by the OS thread that made it. Two threads a state
//! cost twelve times the CPU on a busy machine, so there are none.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::sync::Arc;

use aftercall_core::heard::{Choices, Chosen, Transcript};
use aftercall_core::lang::Lang;
use whisper_rs::whisper_rs_sys::whisper_token_data;
use whisper_rs::{FullParams, SamplingStrategy, WhisperError, WhisperState};

use crate::speech::audio::RATE_HZ;
use crate::speech::callbacks::{Filter, Stop, filter_logits, is_stop_due};
use crate::speech::forced::{Numerals, Wordings, holds_date};
use crate::speech::guard::folded_len;
use crate::speech::hot::HotWords;
use crate::speech::model::Model;
use crate::speech::reject::{Measured, is_not_speech};
use crate::speech::resample::{resample, to_16_khz};

/// Quiet added before and after each utterance, in milliseconds: short words are lost at the edges without it.
const PAD_MS: usize = 400;
const PAD: usize = PAD_MS * RATE_HZ as usize / 1000;
/// Longest piece decoded at once, in samples: padded and slowed it fits whisper's window of 30 s.
const PIECE: usize = 26 * RATE_HZ as usize;
/// Encoder positions a second of audio, and the most there are.
const POSITIONS_A_SECOND: f32 = 50.0;
const POSITIONS: f32 = 1500.0;
/// Positions beyond the end of the audio: with fewer the decoder does not notice the end.
const POSITIONS_BEYOND: f32 = 64.0;
/// A mean log-probability under which an utterance is listened to again at another pace: of 548 synthesised
/// telephone replies 23 % were, and with the likeliest words a tenth fewer syllables were wrong over all of them.
const UNSURE: f32 = -0.5;
/// Word lists kept as tokens; a clinic's scripts have a few dozen.
const WORD_LISTS: usize = 64;

/// Why an utterance was not recognised.
#[derive(Debug, thiserror::Error)]
pub enum RecogniseError {
    /// Cancelled, or past its deadline.
    #[error("stopped before the end")]
    Stopped,
    #[error("no memory for a whisper state")]
    State { source: WhisperError },
    #[error("whisper failed")]
    Whisper { source: WhisperError },
    #[error("telephone speech was not resampled: {reason}")]
    Resample { reason: String },
}

/// What whisper made of an utterance. Speech is PHI: there is no `Debug`.
#[derive(Clone, PartialEq)]
pub struct Recognition {
    /// Simplified characters for Mandarin. May be noise put into words: see `is_speech`.
    pub text: String,
    /// First and last time of the words, in milliseconds of the utterance.
    pub from_ms: u64,
    pub to_ms: u64,
    /// Mean log-probability of the text tokens; 0 when there are none.
    pub logprob: f32,
    /// Probability that nobody spoke, 0–1.
    pub no_speech: f32,
    pub is_speech: bool,
    /// Which of the choices wanted it is: see [`crate::speech::forced`].
    pub choice: Option<Chosen>,
    /// What else it was heard as, where it was listened to again.
    pub alternates: Vec<String>,
}

/// What a reply may be, as its question knows it.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub lang: Lang,
    /// Answers that the question invites: written a little more readily, and no surer for it. Empty for none.
    pub hot_words: &'a [String],
    /// Answers to be told apart by their sound.
    pub choices: &'a Choices,
}

/// What the recogniser does to hear better; calls do all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Listens again, slower and faster, to what was heard unsurely.
    pub relistens: bool,
    /// Cuts whisper's window of 30 s to the utterance.
    pub cuts_context: bool,
    /// Puts quiet before and after.
    pub pads: bool,
    /// Hypotheses followed at once, with time to spare: 1 to 8. With more than one no hot words can be wanted.
    pub beam: u8,
}

impl Default for Habits {
    fn default() -> Habits {
        Habits {
            relistens: true,
            cuts_context: true,
            pads: true,
            beam: 1,
        }
    }
}

/// How fast an utterance is played to whisper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    AsSpoken,
    /// At 9/10 of the speed, and so a little lower.
    Slower,
    /// At 11/10 of the speed, and so a little higher.
    Faster,
}

/// How what was heard unsurely is heard again, one after the other.
const AGAIN: [Pace; 2] = [Pace::Slower, Pace::Faster];

impl Pace {
    /// Telephone speech at 16 kHz.
    fn play(self, samples: &[i16]) -> Result<Vec<f32>, RecogniseError> {
        let audio = to_16_khz(samples);
        let (tenths, rate_hz) = (self.tenths() as u32, 16_000);
        resample(&audio, rate_hz / 10 * tenths, rate_hz)
            .map_err(|reason| RecogniseError::Resample { reason })
    }

    fn tenths(self) -> u64 {
        match self {
            Pace::AsSpoken => 10,
            Pace::Slower => 9,
            Pace::Faster => 11,
        }
    }

    /// Milliseconds of the utterance, padding included, from those of what was played.
    fn in_utterance(self, played_ms: u64) -> u64 {
        played_ms * self.tenths() / 10
    }
}

/// One whisper state: recognises one utterance at a time on the thread that owns it.
pub struct Recogniser {
    pub(super) model: Arc<Model>,
    pub(super) state: WhisperState,
    habits: Habits,
    /// Built once and cloned: setting a language leaks its string.
    chinese: FullParams<'static, 'static>,
    english: FullParams<'static, 'static>,
    hot: BTreeMap<(Lang, Vec<String>), Option<Arc<HotWords>>>,
    /// The days of the year as they are written, made when first asked for.
    pub(super) days: BTreeMap<(Lang, Numerals), Arc<Wordings>>,
}

impl Recogniser {
    /// Makes a state: 47 MB for base.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(model: &Arc<Model>) -> Result<Recogniser, RecogniseError> {
        Recogniser::with(model, Habits::default())
    }

    /// Makes a state that leaves out some of what usually helps, to measure what it is worth.
    ///
    /// # Errors
    /// As [`Recogniser::new`].
    pub fn with(model: &Arc<Model>, habits: Habits) -> Result<Recogniser, RecogniseError> {
        let state = model
            .context
            .create_state()
            .map_err(|source| RecogniseError::State { source })?;
        Ok(Recogniser {
            model: Arc::clone(model),
            state,
            habits,
            chinese: params("zh", habits.beam),
            english: params("en", habits.beam),
            hot: BTreeMap::new(),
            days: BTreeMap::new(),
        })
    }

    /// Recognises mono 8 kHz samples. Longer ones than 26 s are cut at their quietest place. What is heard unsurely
    /// is listened to again.
    ///
    /// # Errors
    /// [`RecogniseError::Stopped`] when `stop` came due; else whisper's own failure.
    pub fn recognise(
        &mut self,
        samples: &[i16],
        wanted: &Wanted<'_>,
        stop: &Stop,
    ) -> Result<Recognition, RecogniseError> {
        let lang = wanted.lang;
        let mut whole: Option<(Recognition, usize)> = None;
        let mut start = 0;
        while start < samples.len() {
            let end = start + piece_len(&samples[start..]);
            let offset_ms = to_ms(start);
            let (mut piece, tokens) = self.listen(&samples[start..end], wanted, stop)?;
            piece.from_ms += offset_ms;
            piece.to_ms += offset_ms;
            whole = Some(match whole {
                Some(before) => joined(before, (piece, tokens), lang),
                None => (piece, tokens),
            });
            start = end;
        }
        Ok(whole.map_or_else(Recognition::nothing, |(recognition, _)| recognition))
    }

    /// The words as tokens, remembered.
    fn hot(&mut self, words: &[String], lang: Lang) -> Option<Arc<HotWords>> {
        let key = (lang, words.to_vec());
        if let Some(hot) = self.hot.get(&key) {
            return hot.clone();
        }
        if self.hot.len() >= WORD_LISTS {
            self.hot.clear();
        }
        let hot = HotWords::new(words, lang, &self.model.context).map(Arc::new);
        self.hot.insert(key, hot.clone());
        hot
    }

    /// One piece, with the number of its text tokens. Unsure speech is listened to again, slower and then faster,
    /// until it is sure, or its sound fits one of the choices; else the likeliest words stand. Where time runs out, it is
    /// the likeliest of those heard so far.
    fn listen(
        &mut self,
        samples: &[i16],
        wanted: &Wanted<'_>,
        stop: &Stop,
    ) -> Result<(Recognition, usize), RecogniseError> {
        let mut hearing = self.first(samples, wanted, stop)?;
        while hearing.is_unsure() && self.again(&mut hearing, samples, wanted, stop)? {}
        Ok(hearing.best())
    }

    /// Hears a piece as it was spoken: no longer than [`is_one_piece`] allows.
    ///
    /// # Errors
    /// As [`Recogniser::recognise`].
    pub(super) fn first(
        &mut self,
        samples: &[i16],
        wanted: &Wanted<'_>,
        stop: &Stop,
    ) -> Result<Hearing, RecogniseError> {
        let hot = self.hot(wanted.hot_words, wanted.lang);
        let mut best = self.piece(samples, Pace::AsSpoken, wanted.lang, hot, stop)?;
        if best.0.is_speech {
            best.0.choice = self.chosen(&best.0, wanted)?;
        }
        let is_settled = !self.habits.relistens || settles(&best.0, wanted);
        Ok(Hearing {
            best,
            others: Vec::new(),
            paces: if is_settled { &[] } else { &AGAIN },
        })
    }

    /// Hears an unsure piece once more, at the next pace; whether there was time to.
    ///
    /// # Errors
    /// When whisper refuses.
    pub(super) fn again(
        &mut self,
        hearing: &mut Hearing,
        samples: &[i16],
        wanted: &Wanted<'_>,
        stop: &Stop,
    ) -> Result<bool, RecogniseError> {
        let Some((pace, left)) = hearing.paces.split_first() else {
            return Ok(false);
        };
        hearing.paces = left;
        let hot = self.hot(wanted.hot_words, wanted.lang);
        let mut again = match self.piece(samples, *pace, wanted.lang, hot, stop) {
            Ok(again) => again,
            Err(RecogniseError::Stopped) => return Ok(false),
            Err(failure) => return Err(failure),
        };
        if !again.0.is_speech {
            return Ok(true);
        }
        again.0.choice = self.chosen(&again.0, wanted)?;
        let is_better = again.0.logprob > hearing.best.0.logprob || is_answer(&again.0, wanted);
        let other = match is_better {
            true => std::mem::replace(&mut hearing.best, again),
            false => again,
        };
        hearing.others.push(other.0.text);
        if settles(&hearing.best.0, wanted) {
            hearing.paces = &[];
        }
        Ok(true)
    }

    fn chosen(
        &mut self,
        heard: &Recognition,
        wanted: &Wanted<'_>,
    ) -> Result<Option<Chosen>, RecogniseError> {
        let is_sure = heard.logprob >= UNSURE;
        self.choose((&heard.text, is_sure), wanted.choices, wanted.lang)
    }

    /// One piece, with the number of its text tokens.
    fn piece(
        &mut self,
        samples: &[i16],
        pace: Pace,
        lang: Lang,
        hot: Option<Arc<HotWords>>,
        stop: &Stop,
    ) -> Result<(Recognition, usize), RecogniseError> {
        if stop.is_due() {
            return Err(RecogniseError::Stopped);
        }
        let audio = match self.habits.pads {
            true => pace.play(&padded(samples))?,
            false => pace.play(samples)?,
        };
        let seconds = audio.len() as f32 / 16000.0;
        let mut filter = Filter::new(&self.model.context, hot);
        let mut params = match lang {
            Lang::Zh => self.chinese.clone(),
            Lang::En => self.english.clone(),
        };
        let positions = (POSITIONS_A_SECOND * seconds).ceil() + POSITIONS_BEYOND;
        if self.habits.cuts_context {
            params.set_audio_ctx(positions.min(POSITIONS) as c_int);
        }
        params.set_max_tokens((9.0 * seconds) as c_int + 10);
        // SAFETY: both callbacks read their user data as the type given here, only during `full`, which returns
        // before `filter` and `stop` go out of scope; neither calls back into whisper.
        unsafe {
            params.set_filter_logits_callback(Some(filter_logits));
            params.set_filter_logits_callback_user_data((&raw mut filter).cast());
            params.set_abort_callback(Some(is_stop_due));
            params.set_abort_callback_user_data(std::ptr::from_ref(stop).cast_mut().cast());
        }
        match self.state.full(params, &audio) {
            Ok(()) => {}
            Err(_) if stop.is_due() => return Err(RecogniseError::Stopped),
            Err(source) => return Err(RecogniseError::Whisper { source }),
        }
        let no_speech = self.no_speech()?;
        Ok(self.read(lang, pace, no_speech, to_ms(samples.len()), &mut filter))
    }

    /// The no-speech probability, which whisper.cpp 1.8.3 reads from a stale row: the start token alone, decoded
    /// in a call of its own, gives the true one (8 ms).
    fn no_speech(&mut self) -> Result<f32, RecogniseError> {
        let whisper = |source| RecogniseError::Whisper { source };
        self.state
            .decode(&[self.model.context.token_sot()], 0, 1)
            .map_err(whisper)?;
        let logits = self.state.get_logits().map_err(whisper)?;
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
        let token = usize::try_from(self.model.context.token_nosp())
            .ok()
            .and_then(|token| logits.get(token));
        Ok(token.map_or(0.0, |logit| (logit - highest).exp() / sum))
    }

    /// Collects what `full` left in the state.
    fn read(
        &self,
        lang: Lang,
        pace: Pace,
        no_speech: f32,
        length_ms: u64,
        filter: &mut Filter,
    ) -> (Recognition, usize) {
        let context = &self.model.context;
        let (eot, first_time) = (context.token_eot(), context.token_beg());
        let mut tokens: Vec<whisper_token_data> = self
            .state
            .as_iter()
            .flat_map(|segment| {
                (0..segment.n_tokens())
                    .filter_map(move |i| segment.get_token(i).map(|token| token.token_data()))
            })
            .collect();
        filter.unfavour(&mut tokens);
        let mut words: Vec<&whisper_token_data> =
            tokens.iter().filter(|token| token.id < eot).collect();
        let ids: Vec<i32> = words.iter().map(|token| token.id).collect();
        words.truncate(folded_len(&ids));
        // A token can be half a character: join the bytes first.
        let bytes: Vec<u8> = words
            .iter()
            .filter_map(|token| context.token_to_bytes(token.id).ok())
            .flatten()
            .copied()
            .collect();
        let text = String::from_utf8_lossy(&bytes).trim().to_owned();
        let text = match lang {
            Lang::Zh => fast2s::convert(&text),
            Lang::En => text,
        };
        let logprob = words.iter().map(|token| token.plog).sum::<f32>() / words.len().max(1) as f32;
        let least_token = words.iter().map(|token| token.p).fold(1.0, f32::min);
        let is_speech = !is_not_speech(&Measured {
            text: &text,
            no_speech,
            least_token,
        });
        let times: Vec<u64> = tokens
            .iter()
            .filter_map(|token| u64::try_from(token.id - first_time).ok())
            .map(|step| pace.in_utterance(step * 20))
            .map(|ms| ms.saturating_sub(PAD_MS as u64).min(length_ms))
            .collect();
        let from_ms = times.first().copied().unwrap_or(0);
        let to_ms = times
            .get(1..)
            .and_then(<[u64]>::last)
            .copied()
            .unwrap_or(length_ms)
            .max(from_ms);
        (
            Recognition {
                text,
                from_ms,
                to_ms,
                logprob,
                no_speech,
                is_speech,
                choice: None,
                alternates: Vec::new(),
            },
            words.len(),
        )
    }
}

/// What a piece was heard as so far. Speech is PHI: there is no `Debug`.
pub(super) struct Hearing {
    best: (Recognition, usize),
    others: Vec<String>,
    /// How it is to be heard again; none once it is sure.
    paces: &'static [Pace],
}

impl Hearing {
    /// Whether another hearing may say more.
    pub(super) fn is_unsure(&self) -> bool {
        !self.paces.is_empty()
    }

    /// The likeliest words of all hearings, with the others beside them, and the number of their text tokens.
    fn best(self) -> (Recognition, usize) {
        let (best, tokens) = self.best;
        let alternates = self.others;
        (Recognition { alternates, ..best }, tokens)
    }

    #[cfg(test)]
    pub(super) fn unsure() -> Hearing {
        Hearing {
            best: (Recognition::nothing(), 0),
            others: Vec::new(),
            paces: &AGAIN,
        }
    }

    /// As [`Hearing::best`], of an utterance that is one piece.
    pub(super) fn recognition(self) -> Recognition {
        self.best().0
    }
}

/// Whether an utterance is decoded at once.
pub(super) fn is_one_piece(samples: &[i16]) -> bool {
    (1..=PIECE).contains(&samples.len())
}

/// Whether nothing more would be learnt by hearing it again.
fn settles(heard: &Recognition, wanted: &Wanted<'_>) -> bool {
    !heard.is_speech || heard.logprob >= UNSURE || is_answer(heard, wanted)
}

fn is_answer(heard: &Recognition, wanted: &Wanted<'_>) -> bool {
    heard.choice.is_some() || holds_date(&heard.text, wanted)
}

impl From<Recognition> for Transcript {
    /// The time that it took is left at 0.
    fn from(heard: Recognition) -> Transcript {
        Transcript {
            text: heard.text,
            logprob: heard.logprob,
            no_speech: heard.no_speech,
            choice: heard.choice,
            alternates: heard.alternates,
            took_ms: 0,
        }
    }
}

impl Recognition {
    fn nothing() -> Recognition {
        Recognition {
            text: String::new(),
            from_ms: 0,
            to_ms: 0,
            logprob: 0.0,
            no_speech: 1.0,
            is_speech: false,
            choice: None,
            alternates: Vec::new(),
        }
    }
}

/// Two pieces of one utterance; a piece in which nobody spoke adds nothing.
fn joined(
    before: (Recognition, usize),
    after: (Recognition, usize),
    lang: Lang,
) -> (Recognition, usize) {
    let ((first, first_tokens), (second, second_tokens)) = (before, after);
    if !second.is_speech {
        return (first, first_tokens);
    }
    if !first.is_speech {
        return (second, second_tokens);
    }
    let tokens = first_tokens + second_tokens;
    let between = match lang {
        Lang::Zh => "",
        Lang::En => " ",
    };
    let logprob = (first.logprob * first_tokens as f32 + second.logprob * second_tokens as f32)
        / tokens.max(1) as f32;
    let whole = Recognition {
        text: format!("{}{between}{}", first.text, second.text),
        from_ms: first.from_ms,
        to_ms: second.to_ms,
        logprob,
        no_speech: first.no_speech.min(second.no_speech),
        is_speech: true,
        choice: None,
        // Of a reply so long, what is doubtful in one piece is not asked about.
        alternates: Vec::new(),
    };
    (whole, tokens)
}

fn params(lang: &'static str, beam: u8) -> FullParams<'static, 'static> {
    let mut params = FullParams::new(match beam {
        0 | 1 => SamplingStrategy::Greedy { best_of: 1 },
        beam => SamplingStrategy::BeamSearch {
            beam_size: c_int::from(beam),
            patience: -1.0,
        },
    });
    params.set_language(Some(lang));
    params.set_n_threads(1);
    params.set_no_context(true);
    params.set_no_timestamps(false);
    params.set_single_segment(true);
    params.set_temperature(0.0);
    params.set_temperature_inc(0.0);
    params.set_suppress_nst(false);
    // Above 1, so that whisper.cpp never drops text by a probability it reads wrongly.
    params.set_no_speech_thold(2.0);
    params.set_print_progress(false);
    params.set_print_realtime(false);
    params.set_print_special(false);
    params.set_print_timestamps(false);
    params
}

/// The utterance with quiet around it: a faint hiss, for exact zeros are not what telephones send.
fn padded(samples: &[i16]) -> Vec<i16> {
    let mut seed = 1_u32;
    let mut hiss = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((seed >> 29) as i16) - 4
    };
    let mut padded: Vec<i16> = (0..PAD).map(&mut hiss).collect();
    padded.extend_from_slice(samples);
    padded.extend((0..PAD).map(&mut hiss));
    padded
}

/// How many samples to decode at once: all, or up to the quietest 100 ms in the last 8 s of the window.
fn piece_len(samples: &[i16]) -> usize {
    const FRAME: usize = RATE_HZ as usize / 10;
    if samples.len() <= PIECE {
        return samples.len();
    }
    let energy = |frame: &[i16]| {
        frame
            .iter()
            .map(|&sample| i64::from(sample) * i64::from(sample))
            .sum::<i64>()
    };
    let searched = PIECE - 8 * RATE_HZ as usize;
    let frames = samples[searched..PIECE].chunks_exact(FRAME).enumerate();
    let quietest = frames
        .min_by_key(|(_, frame)| energy(frame))
        .map_or(0, |(index, _)| index);
    searched + quietest * FRAME + FRAME / 2
}

fn to_ms(samples: usize) -> u64 {
    samples as u64 * 1000 / u64::from(RATE_HZ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_utterance_gets_400_ms_of_near_silence_on_each_side() {
        let padded = padded(&[1000; 800]);
        assert_eq!(padded.len(), 3200 + 800 + 3200);
        assert_eq!(padded[3200..4000], [1000; 800]);
        assert!(
            padded[..3200]
                .iter()
                .chain(&padded[4000..])
                .all(|sample| sample.abs() <= 4)
        );
    }

    #[test]
    fn a_long_utterance_is_cut_where_it_is_quiet() {
        let mut speech = vec![8000_i16; 40 * 8000];
        speech[25 * 8000..25 * 8000 + 1600].fill(3);
        assert_eq!(piece_len(&speech) / 1600, 25 * 8000 / 1600);
        assert_eq!(piece_len(&speech[..8000]), 8000);
    }

    #[test]
    fn a_piece_without_speech_adds_nothing() {
        let said = |text: &str, is_speech| Recognition {
            text: text.to_owned(),
            is_speech,
            ..Recognition::nothing()
        };
        let (whole, _) = joined(
            (said("one", true), 1),
            (said("(music)", false), 3),
            Lang::En,
        );
        assert_eq!(whole.text, "one");
        let (whole, tokens) = joined((said("one", true), 1), (said("two", true), 3), Lang::En);
        assert_eq!((whole.text.as_str(), tokens), ("one two", 4));
    }
}
