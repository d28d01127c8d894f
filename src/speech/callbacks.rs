//! What whisper.cpp asks while it decodes: may the text go on, and shall it stop.
//!
//! Raw C callbacks, for whisper-rs' safe ones leak or read through the wrong type (0.16). They must not panic.

use std::ffi::{c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use whisper_rs::whisper_rs_sys::{whisper_context, whisper_state, whisper_token_data};

use crate::speech::guard::runs_away;

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

/// What the logits filter needs to know.
pub(super) struct Filter {
    pub(super) eot: c_int,
    pub(super) vocabulary: c_int,
}

/// Ends the segment when its tail runs away.
pub(super) unsafe extern "C" fn end_runaway(
    _context: *mut whisper_context,
    _state: *mut whisper_state,
    tokens: *const whisper_token_data,
    n_tokens: c_int,
    logits: *mut f32,
    filter: *mut c_void,
) {
    if tokens.is_null() || logits.is_null() || filter.is_null() {
        return;
    }
    // SAFETY: whisper passes its own token and logit arrays with their lengths (the logits are one vocabulary
    // long), and `filter` is the `Filter` set beside this callback.
    let (filter, tokens, logits) = unsafe {
        let filter = &*filter.cast::<Filter>();
        let tokens = std::slice::from_raw_parts(tokens, usize::try_from(n_tokens).unwrap_or(0));
        (
            filter,
            tokens,
            std::slice::from_raw_parts_mut(logits, usize::try_from(filter.vocabulary).unwrap_or(0)),
        )
    };
    let words: Vec<i32> = tokens
        .iter()
        .map(|token| token.id)
        .filter(|&id| id < filter.eot)
        .collect();
    if runs_away(&words) {
        logits.fill(f32::NEG_INFINITY);
        if let Some(end) = usize::try_from(filter.eot)
            .ok()
            .and_then(|eot| logits.get_mut(eot))
        {
            *end = 0.0;
        }
    }
}

pub(super) unsafe extern "C" fn is_stop_due(stop: *mut c_void) -> bool {
    // SAFETY: the user data is the `Stop` set beside this callback, alive until `full` returns.
    unsafe { stop.cast::<Stop>().as_ref() }.is_some_and(Stop::is_due)
}
