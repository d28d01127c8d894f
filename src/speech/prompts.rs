//! The recorded prompts of all scripts, decoded once and kept in memory.
//!
//! `dialogs/<folder>/prompts/<lang>/<id>.flac` (or `.wav`) is known as `<folder>/<lang>/<id>`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::lang::Lang;

use crate::speech::audio::{self, AudioError};

/// Why the prompts were not read at all.
#[derive(Debug, thiserror::Error)]
#[error(
    "{folder}: prompts cannot be read; the dialogs folder holds one folder a script, with prompts/<lang>/<id>.flac"
)]
pub struct PromptsError {
    folder: PathBuf,
    source: std::io::Error,
}

/// Prompt audio by key, and the files that could not be decoded.
#[derive(Debug, Default)]
pub struct Prompts {
    clips: BTreeMap<String, Arc<[i16]>>,
    pub refused: Vec<AudioError>,
}

impl Prompts {
    /// Reads all prompts under the dialogs folder. A broken file is refused and the rest is read.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn load(dialogs: &Path) -> Result<Prompts, PromptsError> {
        let mut files = Vec::new();
        for script in entries(dialogs)?.into_iter().filter(|path| path.is_dir()) {
            for lang in Lang::ALL {
                let folder = script.join("prompts").join(lang.to_string());
                if folder.is_dir() {
                    files.extend(
                        entries(&folder)?
                            .into_iter()
                            .filter_map(|path| Some((key(&script, lang, &path)?, path))),
                    );
                }
            }
        }
        // Decoding is most of the time a start takes: share it between two threads.
        let (first, second) = files.split_at(files.len() / 2);
        let (left, right) = std::thread::scope(|scope| {
            let left = scope.spawn(|| decode(first));
            let right = decode(second);
            (left.join(), right)
        });
        let mut prompts = Prompts::default();
        // A thread that panicked takes its half with it: the scripts' check names what is missing.
        for (key, decoded) in left.unwrap_or_default().into_iter().chain(right) {
            match decoded {
                Ok(samples) => drop(prompts.clips.insert(key, samples.into())),
                Err(error) => prompts.refused.push(error),
            }
        }
        Ok(prompts)
    }

    /// The samples of a prompt, 8 kHz.
    pub fn find(&self, key: &str) -> Option<&Arc<[i16]>> {
        self.clips.get(key)
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.clips.keys().map(String::as_str)
    }

    pub fn len(&self) -> usize {
        self.clips.len()
    }

    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }
}

fn decode(files: &[(String, PathBuf)]) -> Vec<(String, Result<Vec<i16>, AudioError>)> {
    files
        .iter()
        .map(|(key, path)| (key.clone(), audio::decode_file(path)))
        .collect()
}

fn key(script: &Path, lang: Lang, file: &Path) -> Option<String> {
    let ending = file.extension()?.to_str()?;
    let is_sound = ["flac", "wav"].contains(&ending);
    is_sound.then_some(())?;
    Some(format!(
        "{}/{lang}/{}",
        script.file_name()?.to_str()?,
        file.file_stem()?.to_str()?
    ))
}

/// The paths in a folder, in order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, PromptsError> {
    let failed = |source| PromptsError {
        folder: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_prompt_is_refused_and_the_rest_is_read() {
        let dialogs = tempfile::tempdir().expect("a temporary folder");
        let folder = dialogs.path().join("cardiac/prompts/zh");
        fs::create_dir_all(&folder).expect("the folder is writable");
        fs::create_dir_all(dialogs.path().join("redflags")).expect("the folder is writable");
        let mut wav = b"RIFF\x2c\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x08\0\0\0".to_vec();
        wav.extend([1, 0, 2, 0, 3, 0, 4, 0]);
        fs::write(folder.join("greet.wav"), wav).expect("the folder is writable");
        fs::write(folder.join("closing.flac"), b"broken").expect("the folder is writable");
        let prompts = Prompts::load(dialogs.path()).expect("the folder can be listed");
        assert_eq!(prompts.keys().collect::<Vec<_>>(), ["cardiac/zh/greet"]);
        assert_eq!(
            prompts.find("cardiac/zh/greet").map(|clip| clip.to_vec()),
            Some(vec![1, 2, 3, 4])
        );
        assert_eq!(prompts.refused.len(), 1);
        assert!(prompts.refused[0].to_string().contains("closing.flac"));
        assert!(Prompts::load(&dialogs.path().join("absent")).is_err());
    }
}
