//! A telephone call by the engine itself to who is on duty: it says that an order waits, and nothing else; whoever presses 1
//! has taken it. A machine presses no key. The call has a socket of its own and goes beside the engine's lines.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::LegEvent;

use super::{Message, SendError, Sent};
use crate::speech::voice::Voice;
use crate::trunk::config::Trunk;
use crate::trunk::line::{Hears, Playback, Until};
use crate::trunk::playback::play;

/// The key that takes the order.
const TAKES: char = '1';
/// How often it is said, and the silence after each time, in samples of 8 kHz.
const OFFERS: usize = 3;
const PAUSE: usize = 4 * 8_000;
/// From the INVITE, ringing and all.
const LONGEST: Duration = Duration::from_secs(120);

/// What calls are made over, and spoken by.
pub struct Telephone {
    trunk: Trunk,
    voice: Arc<Voice>,
    /// The calls that go on: each ends when its flag is set.
    calls: Mutex<Vec<Arc<AtomicBool>>>,
}

impl fmt::Debug for Telephone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telephone").finish_non_exhaustive()
    }
}

impl Telephone {
    /// A telephone on a trunk that an engine uses too.
    pub fn new(trunk: &Trunk, voice: Arc<Voice>) -> Self {
        let mut trunk = trunk.clone();
        trunk.bind.set_port(0);
        trunk.answers = false;
        trunk.elsewhere = Vec::new();
        Self {
            trunk,
            voice,
            calls: Mutex::default(),
        }
    }

    /// Ends the calls that go on: the engine stops.
    pub fn hang_up(&self) {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        for call in calls.iter() {
            call.store(true, Ordering::Relaxed);
        }
    }

    fn begin(&self) -> Arc<AtomicBool> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that only this list holds are over.
        calls.retain(|call| Arc::strong_count(call) > 1);
        calls.push(Arc::clone(&stop));
        stop
    }

    pub(super) fn call(&self, message: &Message) -> Result<Sent, SendError> {
        let number = PhoneNumber::parse(message.to.expose());
        let number = number.map_err(|_| SendError::Address("no number"))?;
        let said = self.voice.speak(&message.spoken, message.lang);
        let said = said.map_err(|_| SendError::NoVoice)?;
        let mut samples = Vec::with_capacity(OFFERS * (said.len() + PAUSE));
        for _ in 0..OFFERS {
            samples.extend_from_slice(&said);
            samples.resize(samples.len() + PAUSE, 0);
        }
        let stop = self.begin();
        let order = Playback {
            hears: Hears::Nothing,
            samples: samples.into(),
            until: Until::Said,
            longest: LONGEST,
            keys: String::new(),
            refer: None,
            recording: None,
            stop: Arc::clone(&stop),
        };
        let (mut answered, mut taken) = (false, false);
        let played = play(&self.trunk, &number, order, |event| {
            answered |= matches!(event, LegEvent::Answered(_));
            if answered && matches!(event, LegEvent::Key(TAKES)) {
                taken = true;
                stop.store(true, Ordering::Relaxed);
            }
        });
        match played {
            Ok(_) if taken => Ok(Sent::Taken),
            Ok(_) => Err(SendError::NotTaken),
            Err(_) => Err(SendError::Unreachable),
        }
    }
}
