//! The thread that writes recordings.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

use aftercall_core::call::FRAME;
use aftercall_core::id::AttemptId;
use tracing::warn;

use crate::recording::{RecordingError, RecordingWriter, Recordings};
use crate::vault::DataKey;

#[expect(
    clippy::large_enum_variant,
    reason = "a frame lives for one slot; a box for each would be dearer"
)]
pub(super) enum ToRecord {
    /// The frames of this call are encrypted by this key.
    Open {
        attempt: AttemptId,
        key: DataKey,
    },
    Frame {
        attempt: AttemptId,
        left: [u8; FRAME],
        right: [u8; FRAME],
    },
    Close(AttemptId),
}

pub(super) fn start_recorder(root: Option<Recordings>) -> std::io::Result<Sender<ToRecord>> {
    let (frames, inbox) = channel::<ToRecord>();
    std::thread::Builder::new()
        .name("recorder".to_owned())
        .spawn(move || {
            let Some(root) = root else { return };
            let mut tapes: BTreeMap<AttemptId, Tape> = BTreeMap::new();
            while let Ok(message) = inbox.recv() {
                match message {
                    ToRecord::Open { attempt, key } => {
                        tapes.insert(attempt, Tape { key, writer: None });
                    }
                    ToRecord::Frame {
                        attempt,
                        left,
                        right,
                    } => {
                        let Some(tape) = tapes.get_mut(&attempt) else {
                            continue;
                        };
                        if let Err(error) = tape.append(&root, &attempt, &left, &right) {
                            warn!(%error, "a recording cannot be written");
                        }
                    }
                    ToRecord::Close(attempt) => {
                        let writer = tapes.remove(&attempt).and_then(|tape| tape.writer);
                        if let Some(writer) = writer
                            && let Err(error) = writer.finish()
                        {
                            warn!(%error, "a recording was not closed");
                        }
                    }
                }
            }
        })?;
    Ok(frames)
}

/// The recording of one call; its folder is made with its first frame.
struct Tape {
    key: DataKey,
    writer: Option<RecordingWriter>,
}

impl Tape {
    fn append(
        &mut self,
        root: &Recordings,
        attempt: &AttemptId,
        left: &[u8; FRAME],
        right: &[u8; FRAME],
    ) -> Result<(), RecordingError> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => root.writer(attempt, &self.key)?,
        };
        self.writer.insert(writer).append(left, right)
    }
}
