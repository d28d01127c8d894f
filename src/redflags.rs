//! The red-flag lexicon from its folder, or the copy built into the program.

use std::fs;
use std::path::Path;

use aftercall_core::redflag::{FILES, Lexicon};
use anyhow::Context;

/// `dialogs/redflags` as it was when the program was built.
const BUILT_IN: [(&str, &str); 13] = [
    (
        "concepts.tsv",
        include_str!("../dialogs/redflags/concepts.tsv"),
    ),
    (
        "details.tsv",
        include_str!("../dialogs/redflags/details.tsv"),
    ),
    (
        "classes.zh.tsv",
        include_str!("../dialogs/redflags/classes.zh.tsv"),
    ),
    (
        "classes.en.tsv",
        include_str!("../dialogs/redflags/classes.en.tsv"),
    ),
    (
        "wordings.zh.tsv",
        include_str!("../dialogs/redflags/wordings.zh.tsv"),
    ),
    (
        "wordings.en.tsv",
        include_str!("../dialogs/redflags/wordings.en.tsv"),
    ),
    (
        "cues.zh.tsv",
        include_str!("../dialogs/redflags/cues.zh.tsv"),
    ),
    (
        "cues.en.tsv",
        include_str!("../dialogs/redflags/cues.en.tsv"),
    ),
    (
        "maskers.tsv",
        include_str!("../dialogs/redflags/maskers.tsv"),
    ),
    (
        "collisions.tsv",
        include_str!("../dialogs/redflags/collisions.tsv"),
    ),
    (
        "thresholds.tsv",
        include_str!("../dialogs/redflags/thresholds.tsv"),
    ),
    ("packs.tsv", include_str!("../dialogs/redflags/packs.tsv")),
    (
        "mapping.tsv",
        include_str!("../dialogs/redflags/mapping.tsv"),
    ),
];

/// Loads `dialogs/redflags` from a folder; without one, the lexicon that this program was built with.
///
/// # Errors
/// A file that cannot be read, or the broken lines of the files, one a line.
pub fn load(dir: Option<&Path>) -> anyhow::Result<Lexicon> {
    compile(&files(dir)?)
}

/// Names and texts of the lexicon's files, from a folder or as built in.
///
/// # Errors
/// A file that cannot be read.
pub fn files(dir: Option<&Path>) -> anyhow::Result<Vec<(String, String)>> {
    match dir {
        Some(dir) => FILES.iter().map(|name| read(dir, name)).collect(),
        None => {
            let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            Ok(BUILT_IN.iter().map(owned).collect())
        }
    }
}

/// Compiles what [`files`] read.
///
/// # Errors
/// The broken lines of the files, one a line.
pub fn compile(files: &[(String, String)]) -> anyhow::Result<Lexicon> {
    Lexicon::compile(files).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(
            "the red-flag lexicon has {} broken lines:\n{}",
            lines.len(),
            lines.join("\n")
        )
    })
}

fn read(dir: &Path, name: &str) -> anyhow::Result<(String, String)> {
    let path = dir.join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((name.to_owned(), text))
}

/// Whether it is one of the concepts that this program was built with.
pub fn is_concept(id: &str) -> bool {
    BUILT_IN
        .iter()
        .filter(|(name, _)| *name == "concepts.tsv")
        .flat_map(|(_, text)| text.lines().filter(|line| !line.starts_with('#')).skip(1))
        .any(|line| line.split('\t').next() == Some(id))
}
