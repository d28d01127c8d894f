//! The pathways of a hospital from their folder. What is in them is core's matter (`aftercall_core::plan`).

use std::fs;
use std::path::Path;

use aftercall_core::plan::{Cadence, Pathway, PathwayError, Pathways};
use anyhow::Context;

/// Reads every pathway of a folder of scripts: `pathways/*.toml` in it. None where there is no such folder.
///
/// # Errors
/// Files that cannot be read. What is wrong in them comes back beside those that are sound.
pub fn read(dialogs: &Path) -> anyhow::Result<(Vec<Pathway>, Vec<PathwayError>)> {
    let folder = dialogs.join("pathways");
    let (mut sound, mut errors) = (Vec::new(), Vec::new());
    if !folder.is_dir() {
        return Ok((sound, errors));
    }
    let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let id = path.file_stem().unwrap_or_default().to_string_lossy();
        match Pathway::parse(&path.display().to_string(), &id, &text) {
            Ok(pathway) => sound.push(pathway),
            Err(found) => errors.extend(found),
        }
    }
    Ok((sound, errors))
}

/// The pathways that enrolment goes by.
///
/// # Errors
/// A file that cannot be read or is broken: no patient is to get another plan than the one that was reviewed.
pub fn load(dialogs: &Path, usual: Cadence) -> anyhow::Result<Pathways> {
    let (list, errors) = read(dialogs)?;
    if !errors.is_empty() {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::bail!("{}", lines.join("\n"));
    }
    Ok(Pathways { list, usual })
}
