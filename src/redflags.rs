//! The red-flag lexicon from its folder, or the copy built into the program.

use std::fs;
use std::path::{Path, PathBuf};

use aftercall_core::finding::Urgency;
use aftercall_core::redflag::{FILES, Lexicon};
use aftercall_core::signature::Signature;
use aftercall_core::trend;
use anyhow::Context;

/// `dialogs/redflags` as it was when the program was built.
const BUILT_IN: [(&str, &str); 16] = [
    ("about.tsv", include_str!("../dialogs/redflags/about.tsv")),
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
    ("trends.tsv", include_str!("../dialogs/redflags/trends.tsv")),
    (
        "trend_words.tsv",
        include_str!("../dialogs/redflags/trend_words.tsv"),
    ),
];

const BUILT_IN_SIGNATURE: &str = include_str!("../dialogs/redflags/signature.toml");

/// The file beside the lexicon's.
pub const SIGNATURE: &str = "signature.toml";

/// Loads `dialogs/redflags` from a folder; without one, the lexicon that this program was built with.
///
/// # Errors
/// A file that cannot be read, or the broken lines of the files, one a line.
pub fn load(dir: Option<&Path>) -> anyhow::Result<Lexicon> {
    compile(&files(dir)?)
}

/// The folder of the lexicon: this one or `redflags` below it; `None` where neither holds a table.
pub fn folder(dir: &Path) -> Option<PathBuf> {
    let holds_tables = |dir: &PathBuf| FILES.iter().any(|name| dir.join(name).is_file());
    [dir.to_owned(), dir.join("redflags")]
        .into_iter()
        .find(holds_tables)
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

/// The signature beside the lexicon's files, or the one built in; `None` where there is none.
///
/// # Errors
/// A file that cannot be read or is no signature.
pub fn signature(dir: Option<&Path>) -> anyhow::Result<Option<Signature>> {
    let (text, name) = match dir {
        Some(dir) if !dir.join(SIGNATURE).is_file() => return Ok(None),
        Some(dir) => {
            let (_, text) = read(dir, SIGNATURE)?;
            (text, dir.join(SIGNATURE).display().to_string())
        }
        None => (BUILT_IN_SIGNATURE.to_owned(), SIGNATURE.to_owned()),
    };
    let signature = toml::from_str(&text).with_context(|| format!("{name} is no signature"))?;
    Ok(Some(signature))
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

/// Loads the rules of trends from the same folder, against the concepts of its lexicon.
///
/// # Errors
/// A file that cannot be read, or the broken lines of the files, one a line.
pub fn load_trends(dir: Option<&Path>, lexicon: &Lexicon) -> anyhow::Result<trend::Rules> {
    let graded = lexicon.concepts().iter().map(|concept| trend::Graded {
        id: concept.id.clone(),
        family: concept.family.clone(),
        urgency: concept.urgency,
    });
    trend::Rules::compile(&files(dir)?, graded.collect()).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the rules of trends are broken:\n{}", lines.join("\n"))
    })
}

fn read(dir: &Path, name: &str) -> anyhow::Result<(String, String)> {
    let path = dir.join(name);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((name.to_owned(), text))
}

/// The names of the concepts and of their details that this program was built with: id, Mandarin, English.
pub fn names() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let rows = |file: &'static str, zh: usize| {
        let texts = BUILT_IN.iter().filter(move |(name, _)| *name == file);
        let lines = texts.flat_map(|(_, text)| text.lines().filter(|line| !line.starts_with('#')));
        lines.skip(1).filter_map(move |line| {
            let cells: Vec<&str> = line.split('\t').collect();
            Some((*cells.first()?, *cells.get(zh)?, *cells.get(zh + 1)?))
        })
    };
    rows("concepts.tsv", 1).chain(rows("details.tsv", 2))
}

/// How urgent one of the concepts that this program was built with is; `None` where there is no such concept.
pub fn urgency(id: &str) -> Option<Urgency> {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "concepts.tsv")?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let line = lines.find(|line| line.split('\t').next() == Some(id))?;
    serde_json::from_value(line.split('\t').nth(3)?.into()).ok()
}

/// Whether it is one of the concepts that this program was built with.
pub fn is_concept(id: &str) -> bool {
    urgency(id).is_some()
}
