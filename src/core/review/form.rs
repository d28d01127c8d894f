//! Score forms: what QA answers of every call, written by the hospital in one TOML file in both languages.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A form: a score is one option for each criterion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// Small letters, digits and underscores.
    pub id: String,
    /// Raised with every change of what an option means: reviews of different revisions are not compared.
    pub revision: u32,
    pub zh: String,
    pub en: String,
    #[serde(rename = "criterion")]
    pub criteria: Vec<Criterion>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// The best first; at least two.
    pub options: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub points: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default, rename = "form")]
    forms: Vec<Form>,
}

/// Why a file of forms was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    #[error("{file}: {fault}")]
    Syntax { file: String, fault: String },
    #[error("{file}: {place}: {fault}")]
    Place {
        file: String,
        place: String,
        fault: &'static str,
    },
}

/// Reads a file of forms.
///
/// # Errors
/// The first fault, with its place: no TOML, another version, an id twice, a criterion without two options, a label
/// that is missing in a language.
pub fn read(file: &str, text: &str) -> Result<Vec<Form>, FormError> {
    let read: File = toml::from_str(text).map_err(|error| FormError::Syntax {
        file: file.to_owned(),
        fault: error.to_string(),
    })?;
    let refuse = |place: String, fault: &'static str| {
        Err(FormError::Place {
            file: file.to_owned(),
            place,
            fault,
        })
    };
    if read.version != 1 {
        return refuse("version".to_owned(), "write version = 1");
    }
    let mut ids = BTreeSet::new();
    for form in &read.forms {
        let place = format!("form `{}`", form.id);
        if let Some(fault) = label_fault(&form.id, &form.zh, &form.en) {
            return refuse(place, fault);
        }
        if !ids.insert(&form.id) {
            return refuse(place, "stands here a second time");
        }
        if form.criteria.is_empty() {
            return refuse(place, "has no criterion");
        }
        if let Some((criterion, fault)) = criteria_fault(&form.criteria) {
            return refuse(format!("{place}, criterion `{criterion}`"), fault);
        }
    }
    Ok(read.forms)
}

fn criteria_fault(criteria: &[Criterion]) -> Option<(&str, &'static str)> {
    let mut ids = BTreeSet::new();
    for criterion in criteria {
        let found = |fault| Some((criterion.id.as_str(), fault));
        if let Some(fault) = label_fault(&criterion.id, &criterion.zh, &criterion.en) {
            return found(fault);
        }
        if !ids.insert(&criterion.id) {
            return found("stands here a second time");
        }
        if criterion.options.len() < 2 {
            return found("has fewer than two options");
        }
        let mut options = BTreeSet::new();
        for option in &criterion.options {
            if let Some(fault) = label_fault(&option.id, &option.zh, &option.en) {
                return found(fault);
            }
            if !options.insert(&option.id) {
                return found("has an option twice");
            }
        }
    }
    None
}

fn label_fault(id: &str, zh: &str, en: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if id.is_empty() || !id.chars().all(is_plain) {
        return Some("an id has small letters, digits and underscores");
    }
    (zh.trim().is_empty() || en.trim().is_empty()).then_some("a label is missing: write zh and en")
}

impl Criterion {
    /// The place of an option: its class, where raters are compared.
    pub fn class(&self, option: &str) -> Option<usize> {
        self.options.iter().position(|one| one.id == option)
    }
}
