//! Scripts: loaded from `dialogs/`, proved before they may dial, run as a [`Conversation`] on one call.
//!
//! `file` reads TOML into [`Script`]; `check` proves it; `signature` says what of it is signed;
//! `conversation` runs it; `reply`, `identity`, `command`, `number` and `date` understand the patient's words.
//! What a reply means for the patient's safety is `redflag`'s matter and comes in as a [`Verdict`].

pub mod act;
mod backchannel;
pub mod check;
pub mod command;
pub mod conversation;
pub mod date;
mod earlier;
pub mod file;
pub mod hot;
pub mod identity;
pub mod node;
pub mod number;
pub mod paths;
pub mod reply;
mod signature;
pub mod speaking;
pub mod spoken;
pub mod understanding;
pub mod words;

pub use act::{Act, Facts, Input, KeySpec, Listen, Note, Pace, RingBack, Segment, Verdict, Volume};
pub use backchannel::is_backchannel;
pub use conversation::Conversation;
pub use earlier::{Earlier, EarlierCall};
pub use file::{load, load_sound};
pub use node::{BargeIn, Place, PromptId, Script, ScriptError};
