//! Backup and restore: the data in one folder, the keys in one file apart from it, and a journal of erasures that lies with
//! neither, so that a restore erases again whoever was erased since.
//!
//! The data are a snapshot of the database (SQLite's `vacuum into`, PostgreSQL's `pg_dump`) without its keys, and the
//! recordings as they lie, encrypted, here or in an object store. A restore puts them all into the folder, from where the
//! engine hands them over again.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use aftercall_core::id::PatientId;
use aftercall_core::time::Timestamp;
use anyhow::{Context as _, bail, ensure};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::recording::{RecordingError, Recordings};
use crate::store::decision::Pause;
use crate::store::erase::Erasure;
use crate::store::key::KeyCopy;
use crate::store::{Backend, Store, StoreError};
use crate::vault::Source;

const VERSION: u32 = 1;
const DATABASE: &str = "database";
const RECORDINGS: &str = "recordings";
const MANIFEST: &str = "backup.json";

/// What the folder of a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub version: u32,
    pub made_at: Timestamp,
    pub postgres: bool,
    /// The id of the master key without which nothing of it can be read.
    pub master_key: String,
    /// Files of recordings.
    pub files: u64,
}

/// The file of the keys.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    version: u32,
    master_key: String,
    keys: Vec<KeyCopy>,
    erasures: Vec<Line>,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    patient: String,
    at: Timestamp,
    by: String,
}

/// What a restore brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    pub made_at: Timestamp,
    pub files: u64,
    /// Patients that were erased again.
    pub erased: u64,
}

impl From<&Erasure> for Line {
    fn from(erasure: &Erasure) -> Self {
        Self {
            patient: erasure.patient.0.clone(),
            at: erasure.at,
            by: erasure.by.clone(),
        }
    }
}

/// Appends an erasure to the journal, and sees it on disk.
///
/// # Errors
/// When the file cannot be written.
pub fn journal(path: &Path, erasure: &Erasure) -> Result<(), StoreError> {
    let write = || {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let line = serde_json::to_string(&Line::from(erasure))?;
        writeln!(file, "{line}")?;
        file.sync_all()
    };
    write().map_err(StoreError::Journal)
}

fn read_journal(path: &Path) -> anyhow::Result<Vec<Line>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let lines = BufReader::new(file).lines().enumerate();
    let lines = lines.map(|(at, line)| {
        let place = || format!("{}:{}", path.display(), at + 1);
        serde_json::from_str(&line.with_context(place)?).with_context(place)
    });
    lines.collect()
}

/// Writes the data into a new folder and the keys into a new file. Engines may go on meanwhile.
///
/// # Errors
/// When a place is taken, the disk or the database refuses, or `pg_dump` is not there.
pub async fn make(
    store: &Store,
    url: &str,
    recordings: &Recordings,
    (to, keys_to): (&Path, &Path),
    now: Timestamp,
) -> anyhow::Result<Manifest> {
    ensure!(
        !keys_to.starts_with(to),
        "{}: lies in the backup; keys are kept apart from data",
        keys_to.display()
    );
    ensure!(!keys_to.exists(), "{}: is there already", keys_to.display());
    DirBuilder::new()
        .mode(0o700)
        .create(to)
        .with_context(|| format!("{}: no new folder", to.display()))?;
    let master_key = store.unlock().await?;
    let database = to.join(DATABASE);
    match store.backend() {
        Backend::Sqlite => store.snapshot(&database).await?,
        Backend::Postgres => {
            let mut dump = postgres("pg_dump", url)?;
            dump.args([
                "--format=custom",
                "--no-owner",
                "--exclude-table-data=data_key",
            ]);
            finish(dump.arg("--file").arg(&database))?;
        }
    }
    let mut files = copy(recordings.root(), &to.join(RECORDINGS))?;
    // After the folder, so that what is handed over meanwhile is met in one of the two.
    files += recordings.fetch(&Recordings::new(to.join(RECORDINGS)))?;
    // After the data, so that nothing in them lacks its key.
    let keys = KeyFile {
        version: VERSION,
        master_key: master_key.clone(),
        keys: store.key_copies().await?,
        erasures: store.erasures().await?.iter().map(Line::from).collect(),
    };
    write_new(keys_to, &keys)?;
    let manifest = Manifest {
        version: VERSION,
        made_at: now,
        postgres: store.backend() == Backend::Postgres,
        master_key,
        files,
    };
    write_new(&to.join(MANIFEST), &manifest)?;
    Ok(manifest)
}

/// Where a restore goes to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    pub url: &'a str,
    pub master_key: &'a Source,
    pub recordings: &'a Recordings,
    /// Of this machine: who was erased here.
    pub journal: &'a Path,
}

/// Brings a backup back into a new database and a new folder, erases again whoever was erased since, and pauses dialling:
/// nobody knows whom the lost hours have called.
///
/// # Errors
/// When the target is not empty, the backup is not whole, or its master key is another.
pub async fn restore(
    from: &Path,
    keys: &Path,
    target: Target<'_>,
    now: Timestamp,
) -> anyhow::Result<Restored> {
    let manifest: Manifest = read(&from.join(MANIFEST))?;
    let keys: KeyFile = read(keys)?;
    ensure!(
        manifest.version == VERSION && keys.version == VERSION,
        "{}: of another version of aftercall",
        from.display()
    );
    ensure!(
        !target.recordings.root().exists(),
        "{}: is there already; a restore writes over nothing",
        target.recordings.root().display()
    );
    bring_database(from, &manifest, target.url).await?;
    let store = Store::open_as_it_lies(target.url, target.master_key).await?;
    store.restore_keys(&keys.keys, &keys.master_key).await?;
    store.unlock().await?;
    store.sweep().await?;
    let files = copy(&from.join(RECORDINGS), target.recordings.root())?;
    let mut again: BTreeMap<String, Line> = BTreeMap::new();
    for line in keys
        .erasures
        .into_iter()
        .chain(read_journal(target.journal)?)
    {
        again.insert(line.patient.clone(), line);
    }
    let mut erased = 0;
    for line in again.into_values() {
        let erasure = Erasure {
            patient: PatientId(line.patient),
            at: line.at,
            by: line.by,
            reason: "erased again after a restore".to_owned(),
        };
        let Some(what) = store.erase_again(&erasure).await? else {
            continue;
        };
        for attempt in &what.attempts {
            match target.recordings.remove(attempt) {
                // Its key is destroyed: what is left in the store is noise, which the engine's next round takes away.
                Err(error @ RecordingError::Away { .. }) => {
                    warn!(attempt.id = %attempt, %error, "goes later")
                }
                removed => drop(removed?),
            }
        }
        erased += 1;
    }
    let why = format!("restored from a backup of {:.0}", manifest.made_at);
    store
        .pause(&Pause {
            scope: String::new(),
            why: why.clone(),
            by: "command_line".to_owned(),
            at: now,
        })
        .await?;
    let detail = format!("{why}, {erased} erased again");
    store
        .audit("command_line", "restore", "", &detail, now)
        .await?;
    store.close().await;
    Ok(Restored {
        made_at: manifest.made_at,
        files,
        erased,
    })
}

async fn bring_database(from: &Path, manifest: &Manifest, url: &str) -> anyhow::Result<()> {
    let database = from.join(DATABASE);
    if !manifest.postgres {
        let Some(file) = crate::store::file_of(url) else {
            bail!("the backup is of SQLite, and the configured database is not");
        };
        ensure!(
            !file.exists(),
            "{}: is there already; a restore writes over nothing",
            file.display()
        );
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        return copy_file(&database, &file);
    }
    ensure!(
        crate::store::file_of(url).is_none(),
        "the backup is of PostgreSQL, and the configured database is not"
    );
    let mut restore = postgres("pg_restore", url)?;
    // Tables that are there already are an error, and then nothing is changed.
    restore.args(["--no-owner", "--exit-on-error", "--single-transaction"]);
    finish(restore.arg(&database))
}

/// A client of PostgreSQL; the password goes by the environment, for arguments are everybody's to read.
fn postgres(program: &str, url: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(program);
    let (scheme, rest) = url.split_once("://").context("no database address")?;
    let (who, place) = rest.split_once('@').unwrap_or(("", rest));
    let (user, password) = who.split_once(':').unwrap_or((who, ""));
    if !password.is_empty() {
        let plain = percent_decode_str(password).decode_utf8()?;
        command.env("PGPASSWORD", plain.as_ref());
    }
    let at = if user.is_empty() { "" } else { "@" };
    command.arg(format!("--dbname={scheme}://{user}{at}{place}"));
    Ok(command)
}

fn finish(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{program}: not to be started; install PostgreSQL's client"))?;
    ensure!(
        output.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Copies the files of one level of folders; a file that grows meanwhile is copied as far as it is, one that is handed over or
/// removed is left out. Returns how many.
fn copy(from: &Path, to: &Path) -> anyhow::Result<u64> {
    make_folder(to)?;
    let mut files = 0;
    if !from.exists() {
        return Ok(files);
    }
    for folder in entries(from)? {
        let name = folder.file_name().context("a name")?;
        if !folder.is_dir() {
            continue;
        }
        let into = to.join(name);
        make_folder(&into)?;
        for file in present(entries(&folder))?.unwrap_or_default() {
            let name = file.file_name().context("a name")?;
            let copied = present(copy_file(&file, &into.join(name)))?;
            files += u64::from(copied.is_some());
        }
    }
    Ok(files)
}

/// `None` where it is gone.
fn present<T>(done: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match done {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::NotFound) =>
        {
            Ok(None)
        }
        done => done.map(Some),
    }
}

fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = list.map(|entry| Ok(entry?.path()));
    paths.collect::<std::io::Result<_>>().map_err(Into::into)
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| folder.display().to_string())
}

fn new_file(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    file.with_context(|| path.display().to_string())
}

fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    let place = || format!("{} to {}", from.display(), to.display());
    let mut source = File::open(from).with_context(place)?;
    let mut made = new_file(to)?;
    std::io::copy(&mut source, &mut made).with_context(place)?;
    made.sync_all().with_context(place)
}

fn write_new<T: Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let mut file = BufWriter::new(new_file(path)?);
    serde_json::to_writer(&mut file, value)?;
    let file = file.into_inner().context("written")?;
    file.sync_all().with_context(|| path.display().to_string())
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let place = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(place)?;
    serde_json::from_str(&text).with_context(place)
}
