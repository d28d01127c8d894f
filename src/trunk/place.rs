//! Where in a trunk file something is wrong, and what cures it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why a trunk file was refused: the place, what is wrong, and the cure.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {}{what} ({hint})", .file.display(), in_field(.field))]
pub struct TrunkError {
    pub file: PathBuf,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// The key, with its table: `caller.user`. Empty where the file as a whole is meant.
    pub field: String,
    pub what: String,
    pub hint: String,
}

/// A file's text and name, for errors that point into it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub file: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    /// An error at a byte range of the text.
    pub fn error(&self, span: Range<usize>, what: impl fmt::Display, hint: &str) -> TrunkError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        self.error_on_line(line, field_on(self.text, line), what, hint)
    }

    /// An error of the file as a whole.
    pub fn error_without_line(&self, what: impl fmt::Display, hint: &str) -> TrunkError {
        self.error_on_line(0, String::new(), what, hint)
    }

    /// What the TOML reader found, with the key that was probably meant.
    pub fn toml_error(&self, error: &toml::de::Error) -> TrunkError {
        let message = error.message();
        let hint = nearest_key(message).map_or_else(
            || "every key is explained in sip_config/asterisk.toml".to_owned(),
            |key| format!("did you mean `{key}`?"),
        );
        self.error(error.span().unwrap_or_default(), message, &hint)
    }

    fn error_on_line(
        &self,
        line: usize,
        field: String,
        what: impl fmt::Display,
        hint: &str,
    ) -> TrunkError {
        TrunkError {
            file: self.file.to_owned(),
            line,
            field,
            what: what.to_string(),
            hint: hint.to_owned(),
        }
    }
}

fn in_field(field: &str) -> String {
    if field.is_empty() {
        String::new()
    } else {
        format!("`{field}`: ")
    }
}

/// The key that a line of TOML belongs to, with its table's name before it.
fn field_on(text: &str, line: usize) -> String {
    let (mut table, mut field) = ("", "");
    for line in text.lines().take(line).map(str::trim_start) {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if let Some(rest) = line.strip_prefix('[').filter(|rest| rest.starts_with(name)) {
            (table, field) = (rest.split(']').next().unwrap_or_default(), "");
        } else if let Some((key, _)) = line.split_once('=') {
            let key = key.trim_end();
            if !key.is_empty() && key.chars().all(name) {
                field = key;
            }
        }
    }
    match (table, field) {
        ("", field) => field.to_owned(),
        (table, "") => table.to_owned(),
        (table, field) => format!("{table}.{field}"),
    }
}

/// Of ``unknown field `lnes`, expected one of `lines`, `name` ``: the known key with the fewest letters changed.
fn nearest_key(message: &str) -> Option<&str> {
    let mut quoted = message
        .strip_prefix("unknown field")?
        .split('`')
        .skip(1)
        .step_by(2);
    let unknown = quoted.next()?;
    let (distance, key) = quoted.map(|key| (edits(unknown, key), key)).min()?;
    (distance <= 1 + unknown.len() / 3).then_some(key)
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let change = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
