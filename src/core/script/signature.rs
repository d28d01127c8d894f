//! What of a script is signed: its canonical content, prompt texts included.
//!
//! The content is the script's own folder and the shared one, because both are spoken. Recordings are
//! left out: they are made from the texts.

use std::collections::BTreeMap;

use super::file::SHARED;
use super::node::Script;
use crate::signature::{Claim, Work};

impl Script {
    /// The script as a clinician signs it.
    pub fn claim(&self) -> Claim<'_> {
        Claim {
            work: Work::Script(self.id.clone()),
            hash: &self.hash,
            signature: self.signature.as_ref(),
        }
    }
}

/// The bytes that are signed: every TOML file of the folder and of the shared one but the signature itself,
/// by name, line ends normalised.
pub fn canonical(folder: &str, files: &BTreeMap<&str, &str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, text) in files {
        let part = name.split('/').next().unwrap_or_default();
        let spoken = (part == folder || part == SHARED) && name.ends_with(".toml");
        if !spoken || name.ends_with("/signature.toml") {
            continue;
        }
        let text = text.replace("\r\n", "\n");
        bytes.extend_from_slice(format!("{name} {}\n", text.len()).as_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}
