//! `aftercall patients`: what a patient may ask of those who hold her data, and what a court may.

use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::id::PatientId;
use aftercall_core::time::Timestamp;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::migrate::Place;
use crate::config::Config;
use crate::export::export;
use crate::jobs::retention::erase;
use crate::recording::Recordings;
use crate::store::Store;
use crate::store::audit::AuditLine;
use crate::store::erase::Erasure;

/// Export or erase what is held about a patient, or hold it.
///
/// Each is kept in the audit log with its reason. A patient is named by the hospital's number or the id that the API shows.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall patients export RH10033 --to rh10033.zip --reason 'asked for on 3 May'
  aftercall patients hold RH10033 --reason 'complaint 2026-17'
  aftercall patients release RH10033 --reason 'complaint 2026-17 closed'
  aftercall patients erase RH10033 --reason 'asked for on 3 May'")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Whom {
    /// The hospital's number of the patient, or the id that the API shows.
    patient: String,
    /// Why, for the audit log.
    #[arg(long)]
    reason: String,
    /// Who does it; this name stands in the audit log.
    #[arg(long, value_name = "NAME", default_value = "command_line")]
    by: String,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write records, transcripts and audio of a patient into one ZIP, in the clear, for her.
    Export {
        #[command(flatten)]
        whom: Whom,
        /// A new file.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Keep everything of a patient, whatever its age, until it is released.
    Hold {
        #[command(flatten)]
        whom: Whom,
    },
    /// Lift a hold.
    Release {
        #[command(flatten)]
        whom: Whom,
    },
    /// Destroy a patient's keys, and take out what they sealed. It cannot be undone.
    ///
    /// Refused under a hold, while a work order is not closed, and for 48 hours after a call, which caps must count. What
    /// counts calls and orders stays, without a name, a number or a word; so does her number on the do-not-call list. Copies
    /// of the keys from before open copies of the data from before: make a new backup, and destroy the old key file, or
    /// rotate the master key and destroy the old one. A restore erases her again.
    Erase {
        #[command(flatten)]
        whom: Whom,
    },
}

/// Runs one of the four.
///
/// # Errors
/// No such patient, a hold or an open order against an erasure, a file that is there already, a database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let config = args.place.config()?;
        let store = args.place.open().await?;
        let (said, value) = run_one(&args.command, &config, &store).await?;
        if args.json {
            println!("{value}");
        } else {
            println!("{said}");
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn run_one(
    command: &Command,
    config: &Config,
    store: &Store,
) -> anyhow::Result<(String, Value)> {
    let (Command::Export { whom, .. }
    | Command::Hold { whom }
    | Command::Release { whom }
    | Command::Erase { whom }) = command;
    let now = Timestamp::now();
    let id = find(store, config, &whom.patient).await?;
    let recordings = Recordings::of(config)?;
    let what = match command {
        Command::Export { .. } => "patient.export",
        Command::Hold { .. } => "patient.hold",
        Command::Release { .. } => "patient.release",
        Command::Erase { .. } => "patient.erase_asked",
    };
    let line = AuditLine {
        who: &whom.by,
        what,
        subject: &id.0,
        detail: "",
        reason: Some(&whom.reason),
    };
    store.append_audit(&line, now).await?;
    match command {
        Command::Export { to, .. } => {
            let done = export(store, &recordings, &id, to).await?;
            let said = format!(
                "{}: {} calls, {} recordings, in the clear",
                to.display(),
                done.calls,
                done.recordings
            );
            let value =
                json!({ "patient": id, "calls": done.calls, "recordings": done.recordings });
            Ok((said, value))
        }
        Command::Hold { .. } => {
            let held = store.hold_patient(&id, &whom.reason, &whom.by, now).await?;
            let said = if held { "held" } else { "held already" };
            Ok((said.to_owned(), json!({ "patient": id, "held": held })))
        }
        Command::Release { .. } => {
            let released = store.release_patient(&id, &whom.by, now).await?;
            let said = if released {
                "released"
            } else {
                "there was no hold"
            };
            Ok((
                said.to_owned(),
                json!({ "patient": id, "released": released }),
            ))
        }
        Command::Erase { .. } => {
            let erasure = Erasure {
                patient: id.clone(),
                at: now,
                by: whom.by.clone(),
                reason: whom.reason.clone(),
            };
            erase(store, &recordings, &config.journal(), &erasure).await?;
            let said =
                "erased; the next backup holds nothing of it: destroy the keys of the earlier ones";
            Ok((said.to_owned(), json!({ "patient": id, "erased": true })))
        }
    }
}

async fn find(store: &Store, config: &Config, patient: &str) -> anyhow::Result<PatientId> {
    let by_number = store
        .patient_by_number(&config.hospital.id, patient)
        .await?;
    let id = by_number.unwrap_or_else(|| PatientId(patient.to_owned()));
    let known = store
        .patient(&id)
        .await
        .context("no such patient: write the hospital's number, or the id that the API shows")?;
    Ok(known.id)
}
