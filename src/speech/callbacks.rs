//! What whisper.cpp asks while it decodes: may the text go on, which words are expected, and shall it stop.
//!
//! Raw C callbacks, for whisper-rs' safe ones leak or read through the wrong type (0.16). They must not panic.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use whisper_rs::WhisperContext;
use whisper_rs::whisper_rs_sys::{whisper_context, whisper_state, whisper_token_data};

use crate::speech::guard::runs_away;
use crate::speech::hot::HotWords;

/// When to give up on an utterance. Asked between the graphs of whisper, so up to half a second late.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    pub cancelled: Arc<AtomicBool>,
    pub closing: Arc<AtomicBool>,
    pub deadline: Option<Instant>,
}

impl Stop {
    pub fn is_due(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
            || self.closing.load(Ordering::Relaxed)
            || self
                .deadline
                .is_some_and(|deadline| Instant::now() >= deadline)
    }
}

/// What the logits filter needs to know, and what it learned.
pub(super) struct Filter {
    eot: c_int,
    vocabulary: usize,
    hot: Option<Arc<HotWords>>,
    /// The logits before hot words were favoured in them, for the token at `place`.
    plain: Vec<f32>,
    favoured: BTreeMap<c_int, f32>,
    place: usize,
    settled: Vec<Settled>,
}

/// The log-probability that a text token would have had without hot words.
struct Settled {
    place: usize,
    token: c_int,
    logprob: f32,
}

impl Filter {
    pub(super) fn new(context: &WhisperContext, hot: Option<Arc<HotWords>>) -> Filter {
        Filter {
            eot: context.token_eot(),
            vocabulary: usize::try_from(context.n_vocab()).unwrap_or(0),
            hot,
            plain: Vec::new(),
            favoured: BTreeMap::new(),
            place: 0,
            settled: Vec::new(),
        }
    }

    /// Gives the finished tokens the probabilities that they would have had without hot words: a favoured word
    /// must not look surer than it was heard.
    pub(super) fn unfavour(&mut self, tokens: &mut [whisper_token_data]) {
        self.settle(tokens);
        for settled in &self.settled {
            let token = tokens.get_mut(settled.place);
            if let Some(token) = token.filter(|token| token.id == settled.token) {
                token.plog = settled.logprob;
                token.p = settled.logprob.exp();
            }
        }
    }

    /// Takes down the last token that was chosen among favoured ones.
    fn settle(&mut self, tokens: &[whisper_token_data]) {
        let chosen = tokens.get(self.place).filter(|token| token.id < self.eot);
        if let Some(token) = chosen.filter(|_| !self.favoured.is_empty()) {
            self.settled.push(Settled {
                place: self.place,
                token: token.id,
                logprob: unfavoured(token.id, token.plog, &self.plain, &self.favoured),
            });
        }
        self.favoured.clear();
    }

    /// Favours what the hot words want after `words`.
    fn favour(&mut self, place: usize, words: &[c_int], logits: &mut [f32]) {
        let Some(hot) = &self.hot else { return };
        self.plain.clear();
        self.plain.extend_from_slice(logits);
        self.favoured = hot.favoured(words);
        self.place = place;
        for (&token, more) in &self.favoured {
            if let Some(logit) = at_mut(logits, token) {
                *logit += more;
            }
        }
    }
}

/// The log-probability of a text token without what was added: whisper normalised over the favoured logits.
fn unfavoured(token: c_int, logprob: f32, plain: &[f32], favoured: &BTreeMap<c_int, f32>) -> f32 {
    let logit = |token: c_int| at(plain, token).unwrap_or(f32::NEG_INFINITY);
    let added = favoured.get(&token).copied().unwrap_or(0.0);
    let log_sum = logit(token) + added - logprob;
    let surplus = |(&token, &more): (&c_int, &f32)| {
        (logit(token) + more - log_sum).exp() * (1.0 - (-more).exp())
    };
    let surplus: f32 = favoured.iter().map(surplus).sum();
    let rest = (1.0 - surplus).max(f32::EPSILON);
    (logprob - added - rest.ln()).min(0.0)
}

fn at(logits: &[f32], token: c_int) -> Option<f32> {
    let token = usize::try_from(token).ok()?;
    logits.get(token).copied()
}

fn at_mut(logits: &mut [f32], token: c_int) -> Option<&mut f32> {
    let token = usize::try_from(token).ok()?;
    logits.get_mut(token)
}

/// Ends the segment when its tail runs away; else favours hot words.
pub(super) unsafe extern "C" fn filter_logits(
    _context: *mut whisper_context,
    _state: *mut whisper_state,
    tokens: *const whisper_token_data,
    n_tokens: c_int,
    logits: *mut f32,
    filter: *mut c_void,
) {
    if logits.is_null() || filter.is_null() {
        return;
    }
    let count = usize::try_from(n_tokens).unwrap_or(0);
    // SAFETY: whisper passes its own token and logit arrays with their lengths (the logits are one vocabulary
    // long; an empty vector's pointer may be null), and `filter` is the `Filter` set beside this callback, which
    // nobody else touches while whisper runs.
    let (filter, tokens, logits) = unsafe {
        let filter = &mut *filter.cast::<Filter>();
        let tokens: &[whisper_token_data] = if tokens.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(tokens, count)
        };
        let logits = std::slice::from_raw_parts_mut(logits, filter.vocabulary);
        (filter, tokens, logits)
    };
    if tokens.is_empty() {
        filter.settled.clear();
    }
    filter.settle(tokens);
    let words: Vec<c_int> = tokens
        .iter()
        .map(|token| token.id)
        .filter(|&id| id < filter.eot)
        .collect();
    if runs_away(&words) {
        logits.fill(f32::NEG_INFINITY);
        if let Some(end) = at_mut(logits, filter.eot) {
            *end = 0.0;
        }
    } else {
        filter.favour(tokens.len(), &words, logits);
    }
}

pub(super) unsafe extern "C" fn is_stop_due(stop: *mut c_void) -> bool {
    // SAFETY: the user data is the `Stop` set beside this callback, alive until `full` returns.
    unsafe { stop.cast::<Stop>().as_ref() }.is_some_and(Stop::is_due)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_softmax(logits: &[f32], token: usize) -> f32 {
        logits[token] - logits.iter().map(|logit| logit.exp()).sum::<f32>().ln()
    }

    #[test]
    fn a_favoured_token_is_no_surer_than_it_was_heard() {
        let plain = [1.0, 2.0, 0.5, -1.0];
        let favoured = BTreeMap::from([(0, 3.0), (2, 0.5)]);
        let mut logits = plain;
        for (&token, more) in &favoured {
            *at_mut(&mut logits, token).expect("one of four") += more;
        }
        for token in 0..4_usize {
            let id = c_int::try_from(token).expect("small");
            let found = unfavoured(id, log_softmax(&logits, token), &plain, &favoured);
            let wanted = log_softmax(&plain, token);
            assert!((found - wanted).abs() < 1e-4, "{token}: {found} {wanted}");
        }
    }
}
