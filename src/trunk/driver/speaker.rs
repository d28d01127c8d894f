//! The thread that speaks: names and dates that no recording holds.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use aftercall_core::lang::Lang;
use aftercall_core::phi::Phi;
use tracing::warn;

use crate::speech::voice::Voice;

pub(super) struct ToSpeak {
    pub(super) number: usize,
    pub(super) id: u32,
    pub(super) lang: Lang,
    pub(super) text: Phi<String>,
}

pub(super) struct Spoken {
    pub(super) number: usize,
    pub(super) id: u32,
    pub(super) audio: Option<Arc<[i16]>>,
}

pub(super) fn start_speaker(
    voice: Arc<Voice>,
    spoken: Sender<Spoken>,
) -> std::io::Result<Sender<ToSpeak>> {
    let (asks, inbox) = channel::<ToSpeak>();
    std::thread::Builder::new()
        .name("voice".to_owned())
        .spawn(move || {
            while let Ok(ToSpeak {
                number,
                id,
                lang,
                text,
            }) = inbox.recv()
            {
                let audio = match voice.speak(text.expose(), lang) {
                    Ok(samples) => Some(samples),
                    Err(error) => {
                        warn!(%error, "a name or date could not be spoken");
                        None
                    }
                };
                if spoken.send(Spoken { number, id, audio }).is_err() {
                    return;
                }
            }
        })?;
    Ok(asks)
}
