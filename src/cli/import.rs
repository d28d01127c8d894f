//! `aftercall import`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::import::{Defaults, Problem};
use aftercall_core::time::Timestamp;
use anyhow::Context;

use crate::config::Config;
use crate::import::{
    Report, preview, read_discharges, read_do_not_call, save_discharges, save_do_not_call,
};
use crate::store::Store;

/// Import a discharge list or a do-not-call list (CSV, UTF-8).
///
/// Broken rows are named with line, column and cure; the others are imported. Importing a list twice changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aftercall import discharged.csv --dry-run\n  aftercall import --do-not-call refused.csv"
)]
pub struct Args {
    /// The discharge list.
    #[arg(required_unless_present = "do_not_call")]
    pub file: Option<PathBuf>,
    /// A list of numbers that must not be rung: columns phone, reason.
    #[arg(long, value_name = "FILE")]
    pub do_not_call: Option<PathBuf>,
    /// Say what would happen, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Configuration file; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Imports, prints the report, and fails when a row was refused.
///
/// # Errors
/// An unreadable file or configuration, or a database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.config.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(import(args, &config))?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if report.problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

async fn import(args: &Args, config: &Config) -> anyhow::Result<Report> {
    let defaults = Defaults {
        hospital: config.hospital.id.clone(),
        zone: config.hospital.zone.clone(),
        base: None,
    };
    let discharges = args.file.as_deref().map(read).transpose()?;
    let discharges = discharges.map(|bytes| read_discharges(&bytes, &defaults));
    let blocked = args.do_not_call.as_deref().map(read).transpose()?;
    let blocked = blocked.map(|bytes| read_do_not_call(&bytes));
    let cadence = config.cadence();
    let mut report = discharges
        .as_ref()
        .map(|list| preview(list, &cadence))
        .unwrap_or_default();
    report.dry_run = args.dry_run;
    if args.dry_run {
        report.do_not_call = blocked.as_ref().map_or(0, |list| {
            u64::try_from(list.numbers.len()).unwrap_or(u64::MAX)
        });
    } else {
        let store = Store::open(&config.database_url()).await?;
        let now = Timestamp::now();
        // The refusals first: nobody on that list is to be enrolled and rung in between.
        if let Some(list) = &blocked {
            report.do_not_call = save_do_not_call(&store, list, "import", now).await?;
        }
        if let Some(list) = &discharges {
            let do_not_call = report.do_not_call;
            report = save_discharges(&store, list, &cadence, "import", now).await?;
            report.do_not_call = do_not_call;
        }
        store.close().await;
    }
    let discharges = discharges.map_or(Vec::new(), |list| list.problems);
    let blocked = blocked.map_or(Vec::new(), |list| list.problems);
    let problems = placed(args.file.as_deref(), &discharges);
    let refusals = placed(args.do_not_call.as_deref(), &blocked);
    report.problems = problems.chain(refusals).collect();
    Ok(report)
}

/// Problems with their file, as an editor finds them: `list.csv:3: birth_date: …`.
fn placed<'a>(
    file: Option<&'a Path>,
    problems: &'a [Problem],
) -> impl Iterator<Item = String> + 'a {
    let file = file.unwrap_or(Path::new("")).display();
    problems.iter().map(move |problem| {
        let Problem {
            line,
            column,
            fault,
            cure,
        } = problem;
        format!("{file}:{line}: {column}: {fault}; {cure}")
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn print(report: &Report) {
    for problem in &report.problems {
        println!("{problem}");
    }
    let verb = if report.dry_run {
        "would be imported"
    } else {
        "imported"
    };
    println!(
        "{} rows {verb} with {} steps, {} refused",
        report.accepted, report.steps, report.refused
    );
    if !report.dry_run {
        println!(
            "{} new patients, {} new stays",
            report.new_patients, report.new_episodes
        );
    }
    println!("{} numbers for the do-not-call list", report.do_not_call);
}
