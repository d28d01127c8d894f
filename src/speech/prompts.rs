//! The recorded prompts of all scripts, decoded once and kept in memory.
//!
//! `dialogs/<folder>/prompts/<lang>/<id>.flac` (or `.wav`) is known as `<folder>/<lang>/<id>`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aftercall_core::lang::Lang;

use crate::speech::audio::{self, AudioError};
use crate::speech::loudness;

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

    /// Leaves recordings out.
    pub fn forget(&mut self, keys: &[String]) {
        self.clips.retain(|key, _| !keys.contains(key));
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
        .map(|(key, path)| (key.clone(), load(path)))
        .collect()
}

/// One prompt at the robot's level.
fn load(path: &Path) -> Result<Vec<i16>, AudioError> {
    let samples = audio::decode_file(path)?;
    loudness::prompt(samples).map_err(|why| AudioError::Unfit {
        file: path.display().to_string(),
        why,
    })
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
    use crate::recording::speech_wav;

    #[test]
    fn a_broken_prompt_is_refused_and_the_rest_is_read() {
        let dialogs = tempfile::tempdir().expect("a temporary folder");
        let folder = dialogs.path().join("cardiac/prompts/zh");
        fs::create_dir_all(&folder).expect("the folder is writable");
        fs::create_dir_all(dialogs.path().join("redflags")).expect("the folder is writable");
        let tone = |n: i32| if n % 20 < 10 { 3_000 } else { -3_000 };
        let said: Vec<i16> = (0..8_000).map(tone).collect();
        fs::write(folder.join("greet.wav"), speech_wav(&said)).expect("the folder is writable");
        fs::write(folder.join("empty.wav"), speech_wav(&[0; 8_000]))
            .expect("the folder is writable");
        fs::write(folder.join("closing.flac"), b"broken").expect("the folder is writable");
        let prompts = Prompts::load(dialogs.path()).expect("the folder can be listed");
        assert_eq!(prompts.keys().collect::<Vec<_>>(), ["cardiac/zh/greet"]);
        let greet = prompts.find("cardiac/zh/greet").expect("it was read");
        assert_eq!(greet.len(), said.len());
        let level = loudness::lufs(greet);
        assert!((level - loudness::TARGET_LUFS).abs() < 0.6, "{level}");
        let refused: Vec<String> = prompts.refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 2);
        assert!(refused[0].contains("closing.flac"), "{refused:?}");
        assert!(
            refused[1].contains("empty.wav: nothing but silence"),
            "{refused:?}"
        );
        assert!(Prompts::load(&dialogs.path().join("absent")).is_err());
    }
}
