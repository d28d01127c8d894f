//! A script's versions: as the folder has it, as a draft changes it, as a call once ran it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aftercall_core::lang::Lang;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::check::{Concepts, check};
use aftercall_core::script::{Script, ScriptError, load, load_sound};
use aftercall_core::signature::Signature;

use crate::dialogs::{DialogsError, Shelf};
use crate::redflags::SIGNATURE;

/// Texts by their name below the folder of scripts.
pub type Files = BTreeMap<String, String>;

/// A version: its texts, what can be read of them, and what is wrong.
#[derive(Debug)]
pub struct Version {
    /// Of its own folder alone.
    pub files: Files,
    /// One a language; none where they cannot be read.
    pub scripts: Vec<Arc<Script>>,
    pub errors: Vec<ScriptError>,
}

/// The names of the files that a draft of a script may change.
pub fn own_files(script: &str) -> Vec<String> {
    let prompts = Lang::ALL.map(|lang| format!("{script}/prompts/{lang}.toml"));
    let mut names = vec![format!("{script}/script.toml")];
    names.extend(prompts);
    names
}

/// The folder's texts, of every script.
///
/// # Errors
/// A folder that cannot be read.
pub fn folder(dir: &Path) -> Result<Files, DialogsError> {
    Ok(Shelf::find(dir)?.files()?.into_iter().collect())
}

/// The folder with a draft's texts and signature laid over it.
pub fn overlaid(
    folder: &Files,
    script: &str,
    files: &Files,
    signature: Option<&Signature>,
) -> Files {
    let mut all = folder.clone();
    all.extend(files.clone());
    let name = format!("{script}/{SIGNATURE}");
    all.remove(&name);
    if let Some(text) = signature.and_then(|signature| toml::to_string(signature).ok()) {
        all.insert(name, text);
    }
    all
}

/// Reads and proves one script of these texts.
pub fn version(all: &Files, script: &str, lexicon: &Lexicon) -> Version {
    let is_meant = |name: &str| {
        let part = name.split('/').next().unwrap_or_default();
        part == script || part == aftercall_core::script::file::SHARED
    };
    let files: Vec<(String, String)> = all
        .iter()
        .filter(|(name, _)| is_meant(name))
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect();
    let (scripts, errors) = match load(&files) {
        Ok(scripts) => {
            let errors = check(&scripts, &Concepts::of(lexicon));
            (scripts, errors)
        }
        Err(errors) => (Vec::new(), errors),
    };
    let own = own_files(script);
    Version {
        files: all
            .iter()
            .filter(|(name, _)| own.contains(name))
            .map(|(name, text)| (name.clone(), text.clone()))
            .collect(),
        scripts: scripts.into_iter().map(Arc::new).collect(),
        errors,
    }
}

/// The scripts of these texts that can be read, and what is wrong with the others.
pub fn sound(all: &Files) -> (Vec<Script>, Vec<ScriptError>) {
    let files: Vec<(String, String)> = all
        .iter()
        .map(|(name, text)| (name.clone(), text.clone()))
        .collect();
    load_sound(&files)
}

/// Takes signed content apart again: each file stands in it behind its name and length.
pub fn files_of(content: &str) -> Option<Files> {
    let mut files = Files::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (head, tail) = rest.split_once('\n')?;
        let (name, length) = head.rsplit_once(' ')?;
        let text = tail.get(..length.parse().ok()?)?;
        files.insert(name.to_owned(), text.to_owned());
        rest = &tail[text.len()..];
    }
    Some(files)
}

/// The recordings of a script that do not say what its texts say: those of texts that differ from the folder's.
pub fn outdated_recordings(folder: &[Script], changed: &Script) -> Vec<String> {
    let before = folder
        .iter()
        .find(|script| script.id == changed.id && script.lang == changed.lang);
    let prompts = changed.prompts.iter().filter(|(name, prompt)| {
        let known = before.and_then(|script| script.prompts.get(*name));
        known.is_none_or(|known| known.text != prompt.text)
    });
    prompts
        .map(|(_, prompt)| prompt.id.recording(changed.lang))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_content_is_taken_apart_as_it_was_put_together() {
        let dialogs = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs");
        let all = folder(&dialogs).expect("the folder is there");
        let lexicon = crate::redflags::load(None).expect("the built-in lexicon compiles");
        let cardiac = version(&all, "cardiac", &lexicon);
        assert!(cardiac.errors.is_empty(), "{:?}", cardiac.errors);
        let files = files_of(&cardiac.scripts[0].content).expect("its own content");
        assert_eq!(files["cardiac/script.toml"], all["cardiac/script.toml"]);
        let again = version(&files, "cardiac", &lexicon);
        assert_eq!(again.scripts[0].hash, cardiac.scripts[0].hash);
        assert!(files_of("cardiac/script.toml 99\nshort").is_none());
    }

    #[test]
    fn a_changed_text_is_not_said_by_its_old_recording() {
        let dialogs = Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogs");
        let all = folder(&dialogs).expect("the folder is there");
        let lexicon = crate::redflags::load(None).expect("the built-in lexicon compiles");
        let (before, _) = sound(&all);
        let name = "cardiac/prompts/en.toml";
        let text = all[name].replacen("legs = \"", "legs = \"Please tell me: ", 1);
        let changed = overlaid(
            &all,
            "cardiac",
            &Files::from([(name.to_owned(), text)]),
            None,
        );
        let changed = version(&changed, "cardiac", &lexicon);
        let english = changed
            .scripts
            .iter()
            .find(|script| script.lang == Lang::En);
        let english = english.expect("both languages");
        assert_eq!(outdated_recordings(&before, english), ["cardiac/en/legs"]);
        assert!(
            english.signature.is_none(),
            "the folder's signature is of another text"
        );
    }
}
