//! Prompts that the voice has rendered, on disk, by content: a restart renders nothing again.
//!
//! Only what is said to everybody alike lies here: what names a patient or repeats her words stays in memory
//! ([`super::voice::Voice::speak`]), so that nothing of her outlives an erasure. What an earlier version kept, which did not
//! tell them apart, is deleted when the folder is opened.
//!
//! A file's name is a keyed hash of voice, speed and text. What nobody asked for in thirty days is deleted; the folder may be
//! deleted at any time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aftercall_core::lang::Lang;
use sha2::{Digest, Sha256};

use crate::recording::speech_wav;
use crate::speech::audio::decode_file;
use crate::speech::models::hex;

/// The shape of what is kept: raised when trimming, level or rate change, and a folder of another is emptied.
const VERSION: u8 = 2;
/// Entries that nobody asked for in so long are deleted.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
const KEY: &str = "key";
/// The file that tells the version.
const SHAPE: &str = "shape";

/// A folder of rendered texts.
#[derive(Debug)]
pub struct Rendered {
    folder: PathBuf,
    key: [u8; 32],
}

/// Everything that a text sounds by.
pub struct Entry<'a> {
    /// Engine, model and speaker, and what the site reads its own way: anything that changes when they do.
    pub voice: &'a str,
    pub lang: Lang,
    pub text: &'a str,
}

impl Rendered {
    /// Opens the folder, makes its key where there is none, and deletes what is old.
    ///
    /// # Errors
    /// When it cannot be written to, or its key is broken.
    pub fn open(folder: &Path) -> io::Result<Rendered> {
        fs::create_dir_all(folder)?;
        if fs::read(folder.join(SHAPE)).ok().as_deref() != Some(&[VERSION]) {
            empty(folder)?;
            write(&folder.join(SHAPE), &[VERSION])?;
        }
        let file = folder.join(KEY);
        if !file.is_file() {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            write(&file, &key)?;
        }
        let key = fs::read(&file)?.try_into().map_err(|_| {
            io::Error::other("the key of rendered speech is broken; delete the folder")
        })?;
        let rendered = Rendered {
            folder: folder.to_owned(),
            key,
        };
        rendered.forget_the_old()?;
        Ok(rendered)
    }

    /// The samples, 8 kHz, if they are there and can be read.
    pub fn find(&self, entry: &Entry<'_>) -> Option<Vec<i16>> {
        let path = self.path(entry);
        let samples = decode_file(&path).ok()?;
        // That it was used is worth a try to note; it only lives shorter otherwise.
        let _ = File::options()
            .write(true)
            .open(&path)
            .and_then(|file| file.set_modified(SystemTime::now()));
        Some(samples)
    }

    /// Keeps samples: a crash leaves either all of them or none.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep(&self, entry: &Entry<'_>, samples: &[i16]) -> io::Result<()> {
        let path = self.path(entry);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        write(&path, &speech_wav(samples))
    }

    fn path(&self, entry: &Entry<'_>) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update([VERSION]);
        for part in [entry.voice, &entry.lang.to_string(), entry.text] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let name = hex(&hash.finalize());
        self.folder
            .join(&name[..2])
            .join(&name[2..])
            .with_extension("wav")
    }

    fn forget_the_old(&self) -> io::Result<()> {
        let is_old = |path: &Path| {
            let modified = path.metadata().and_then(|meta| meta.modified()).ok();
            let age = modified.and_then(|at| at.elapsed().ok());
            age.is_some_and(|age| age > KEPT)
        };
        for folder in fs::read_dir(&self.folder)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder)? {
                let file = file?.path();
                if is_old(&file) {
                    fs::remove_file(file)?;
                }
            }
        }
        Ok(())
    }
}

/// Deletes what an earlier version kept: its key, and its folders, whose names are two hexadecimal digits.
fn empty(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.unwrap_or_default();
        if path.is_dir() && name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            fs::remove_dir_all(&path)?;
        } else if path.is_file() && name.starts_with(KEY) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// A whole file, readable by us alone, or none.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(partial, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: Entry<'static> = Entry {
        voice: "kokoro 1",
        lang: Lang::Zh,
        text: "请稍等",
    };

    #[test]
    fn what_was_kept_is_found_again_by_all_that_it_sounds_by() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let samples: Vec<i16> = (0..800).map(|n| n * 7).collect();
        let first = Rendered::open(folder.path()).expect("the folder is writable");
        assert_eq!(first.find(&SAID), None);
        first.keep(&SAID, &samples).expect("the folder is writable");
        let again = Rendered::open(folder.path()).expect("its key is there");
        assert_eq!(again.find(&SAID), Some(samples));
        for other in [
            Entry {
                voice: "kokoro 2",
                ..SAID
            },
            Entry {
                lang: Lang::En,
                ..SAID
            },
            Entry {
                text: "请稍",
                ..SAID
            },
        ] {
            assert_eq!(again.find(&other), None);
        }
    }

    #[test]
    fn a_files_name_tells_nothing_of_its_text() {
        let (one, two) = (tempfile::tempdir(), tempfile::tempdir());
        let (one, two) = (one.expect("a folder"), two.expect("a folder"));
        let path = |folder: &Path| {
            let rendered = Rendered::open(folder).expect("the folder is writable");
            rendered
                .keep(&SAID, &[100; 800])
                .expect("the folder is writable");
            rendered.path(&SAID)
        };
        let (first, second) = (path(one.path()), path(two.path()));
        assert_ne!(
            first.file_name(),
            second.file_name(),
            "each folder has its key"
        );
        let bytes = fs::read(&first).expect("it was kept");
        let label = b"synthetic speech";
        assert!(bytes.windows(label.len()).any(|part| part == label));
    }

    #[test]
    fn what_an_earlier_version_kept_of_patients_is_deleted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let old = folder.path().join("a7");
        fs::create_dir(&old).expect("writable");
        fs::write(old.join("0f.wav"), b"a name").expect("writable");
        fs::write(folder.path().join(KEY), [7; 32]).expect("writable");
        fs::write(folder.path().join("note"), b"somebody's own").expect("writable");
        let rendered = Rendered::open(folder.path()).expect("the folder is writable");
        assert!(!old.exists() && folder.path().join("note").exists());
        assert_ne!(rendered.key, [7; 32]);
        rendered.keep(&SAID, &[100; 800]).expect("writable");
        let again = Rendered::open(folder.path()).expect("its key is there");
        assert!(again.find(&SAID).is_some(), "what is of this version stays");
    }

    #[test]
    fn what_nobody_asked_for_is_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let rendered = Rendered::open(folder.path()).expect("the folder is writable");
        rendered
            .keep(&SAID, &[100; 800])
            .expect("the folder is writable");
        let long_ago = SystemTime::now() - KEPT - Duration::from_secs(60);
        let file = File::options().write(true).open(rendered.path(&SAID));
        file.and_then(|file| file.set_modified(long_ago))
            .expect("the file is ours");
        let later = Rendered::open(folder.path()).expect("its key is there");
        assert_eq!(later.find(&SAID), None);
    }
}
