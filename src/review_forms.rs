//! The score forms of a hospital from its folder of scripts. What is in them is core's matter (`aftercall_core::review`).

use std::fs;
use std::path::Path;

use aftercall_core::review::form::{Form, read};
use anyhow::Context;

/// Reads `review.toml` of a folder of scripts; none where there is no such file.
///
/// # Errors
/// A file that cannot be read, or is broken: names the place.
pub fn load(dialogs: &Path) -> anyhow::Result<Vec<Form>> {
    let path = dialogs.join("review.toml");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let name = path.display().to_string();
    let text = fs::read_to_string(&path).with_context(|| name.clone())?;
    Ok(read(&name, &text)?)
}
