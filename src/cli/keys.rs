//! `aftercall keys`: the keys that data at rest is sealed by.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use aftercall_core::id::PatientId;
use aftercall_core::time::Timestamp;
use serde_json::json;

use super::migrate::Place;
use crate::store::Store;
use crate::vault::Class;

/// Show, rotate and destroy the keys that recordings and records are sealed by.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall keys show
  aftercall keys rotate
  aftercall keys destroy-audio 0190c5a2-…

Each patient has a key of their own for each class of data. The master key that wraps them is named in [vault]: a file made at
the first start, the variable AFTERCALL_MASTER_KEY, or a command that prints it; the base64 of 32 bytes. Copy it to a place
apart from the data and its backups: without it nothing can be read.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show which master key wraps how many keys.
    Show,
    /// Wrap every key under a new master key, while engines run.
    ///
    /// With a key file the new one is made here, and the old one is taken out of the file at the end. Otherwise put the new
    /// one before the old one (two words, or two lines) first, run this, and then take the old one away. Copies of the
    /// database from before are wrapped by the old one: who destroys it destroys what they hold.
    Rotate,
    /// Destroy the key of a patient's recordings: nobody can ever hear them again. What was said and done stays.
    DestroyAudio {
        /// The patient's id.
        patient: String,
    },
}

/// Runs one of the three.
///
/// # Errors
/// A master key that is not there or is another, a database that refuses, no such patient.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        match &args.command {
            Command::Show => show(&store, args.json).await?,
            Command::Rotate => rotate(&store, args.json).await?,
            Command::DestroyAudio { patient } => destroy_audio(&store, patient, args.json).await?,
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn show(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let count = store.key_count().await?;
    if as_json {
        println!(
            "{}",
            json!({ "master": count.master, "wrapped": count.wrapped, "by_others": count.by_others,
                "destroyed": count.destroyed })
        );
        return Ok(());
    }
    if count.master.is_empty() {
        println!("nothing is sealed yet");
        return Ok(());
    }
    println!(
        "master key {}: wraps {} keys; {} destroyed",
        count.master, count.wrapped, count.destroyed
    );
    if count.by_others > 0 {
        println!(
            "{} keys are wrapped by an older master key: run `aftercall keys rotate` to its end",
            count.by_others
        );
    }
    Ok(())
}

async fn rotate(store: &Store, as_json: bool) -> anyhow::Result<()> {
    let shown = std::io::stderr().is_terminal();
    let rotated = store
        .rotate_keys(|keys| {
            if shown {
                eprint!("\r{keys} keys");
            }
        })
        .await?;
    if shown {
        eprintln!();
    }
    anyhow::ensure!(
        rotated.from != rotated.to || rotated.keys > 0,
        "there is no new master key: put it before the old one first"
    );
    let detail = format!("{} to {}, {} keys", rotated.from, rotated.to, rotated.keys);
    let now = Timestamp::now();
    store
        .audit("command_line", "keys.rotate", "", &detail, now)
        .await?;
    if as_json {
        println!(
            "{}",
            json!({ "from": rotated.from, "to": rotated.to, "keys": rotated.keys, "old_forgotten": rotated.forgot })
        );
        return Ok(());
    }
    println!("{detail}");
    if rotated.forgot {
        println!(
            "the key file holds the new master key alone: copy it to its place apart from the data"
        );
    } else {
        println!("no key is wrapped by the old master key any more: take it away");
    }
    Ok(())
}

async fn destroy_audio(store: &Store, patient: &str, as_json: bool) -> anyhow::Result<()> {
    let id = store.patient(&PatientId(patient.to_owned())).await?.id;
    let now = Timestamp::now();
    // Written down before it is done: it cannot be undone.
    store
        .audit("command_line", "keys.destroy", &id.0, "audio", now)
        .await?;
    let destroyed = store.destroy_keys(&id.0, &[Class::Audio], now).await?;
    if as_json {
        println!("{}", json!({ "patient": id.0, "destroyed": destroyed }));
    } else if destroyed == 0 {
        println!("there was no key: nothing of the patient was recorded, and nothing will be");
    } else {
        println!("destroyed: the patient's recordings can no longer be heard by anybody");
    }
    Ok(())
}
