//! The scripts from their folder. What is in them is core's matter (`aftercall_core::script`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use aftercall_core::lang::Lang;
use aftercall_core::script::file::SHARED;
use aftercall_core::script::{self, Script, ScriptError};

/// Why scripts could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DialogsError {
    #[error("{}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{}: neither a script folder (with script.toml) nor a folder of them", path.display())]
    NoScripts { path: PathBuf },
    #[error("{}", lines(errors))]
    Broken { errors: Vec<ScriptError> },
    #[error("{}: there is no script `{id}` in {lang}", path.display())]
    Missing {
        path: PathBuf,
        id: String,
        lang: Lang,
    },
}

fn lines(errors: &[ScriptError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Which folder holds the shared nodes, and which script folders beside it are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    pub root: PathBuf,
    pub folders: Vec<String>,
}

impl Shelf {
    /// Understands `dialogs` (every script) and `dialogs/cardiac` (that one).
    ///
    /// # Errors
    /// A folder that cannot be read, or holds no script.
    pub fn find(path: &Path) -> Result<Shelf, DialogsError> {
        let path = path.canonicalize().map_err(|source| DialogsError::Read {
            path: path.to_owned(),
            source,
        })?;
        let parent = path.parent().zip(path.file_name());
        if let (true, Some((root, name))) = (path.join("script.toml").is_file(), parent) {
            return Ok(Shelf {
                root: root.to_owned(),
                folders: vec![name.to_string_lossy().into_owned()],
            });
        }
        let mut folders = Vec::new();
        for entry in entries(&path)? {
            if entry.join("script.toml").is_file()
                && let Some(name) = entry.file_name()
            {
                folders.push(name.to_string_lossy().into_owned());
            }
        }
        if folders.is_empty() {
            return Err(DialogsError::NoScripts { path });
        }
        folders.sort();
        Ok(Shelf {
            root: path,
            folders,
        })
    }

    /// The TOML files of the folders meant and of the shared one, by names relative to the root.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn files(&self) -> Result<Vec<(String, String)>, DialogsError> {
        let mut files = Vec::new();
        for folder in self.folders.iter().map(String::as_str).chain([SHARED]) {
            for part in ["", "prompts"] {
                let within = self.root.join(folder).join(part);
                if !within.is_dir() {
                    continue;
                }
                for path in entries(&within)? {
                    if path.extension().is_some_and(|e| e == "toml") && path.is_file() {
                        let text =
                            fs::read_to_string(&path).map_err(|source| DialogsError::Read {
                                path: path.clone(),
                                source,
                            })?;
                        let name = path.strip_prefix(&self.root).unwrap_or(&path);
                        files.push((name.to_string_lossy().replace('\\', "/"), text));
                    }
                }
            }
        }
        files.sort();
        Ok(files)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DialogsError> {
    let failed = |source| DialogsError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Reads every script below a folder, or the one in it.
///
/// # Errors
/// Folders that cannot be read, and every broken line of the scripts.
pub fn load(path: &Path) -> Result<Vec<Script>, DialogsError> {
    let files = Shelf::find(path)?.files()?;
    script::load(&files).map_err(|errors| DialogsError::Broken { errors })
}

/// Reads every script below a folder, and leaves out those that are broken, with what is wrong with them.
///
/// # Errors
/// Folders that cannot be read.
pub fn load_sound(path: &Path) -> Result<(Vec<Script>, Vec<ScriptError>), DialogsError> {
    let files = Shelf::find(path)?.files()?;
    Ok(script::load_sound(&files))
}

/// One script in one language.
///
/// # Errors
/// As [`load`], and when there is no such script.
pub fn one(path: &Path, id: &str, lang: Lang) -> Result<Arc<Script>, DialogsError> {
    let found = load(path)?
        .into_iter()
        .find(|s| s.id == id && s.lang == lang);
    let missing = || DialogsError::Missing {
        path: path.to_owned(),
        id: id.to_owned(),
        lang,
    };
    found.map(Arc::new).ok_or_else(missing)
}
