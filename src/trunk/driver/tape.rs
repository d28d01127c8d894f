//! The thread that writes recordings.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};

use aftercall_core::call::FRAME;
use aftercall_core::id::AttemptId;
use tracing::warn;

use crate::recording::{RecordingWriter, Recordings};

#[expect(
    clippy::large_enum_variant,
    reason = "a frame lives for one slot; a box for each would be dearer"
)]
pub(super) enum ToRecord {
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
            let mut open: BTreeMap<AttemptId, RecordingWriter> = BTreeMap::new();
            while let Ok(message) = inbox.recv() {
                let Some(root) = &root else { continue };
                match message {
                    ToRecord::Frame {
                        attempt,
                        left,
                        right,
                    } => {
                        let writer = match open.entry(attempt) {
                            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                            std::collections::btree_map::Entry::Vacant(entry) => {
                                match root.writer(entry.key()) {
                                    Ok(writer) => entry.insert(writer),
                                    Err(error) => {
                                        warn!(%error, "a recording cannot be written");
                                        continue;
                                    }
                                }
                            }
                        };
                        if let Err(error) = writer.append(&left, &right) {
                            warn!(%error, "a recording cannot be written");
                        }
                    }
                    ToRecord::Close(attempt) => {
                        if let Some(writer) = open.remove(&attempt)
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
