//! `aftercall import`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::import::{Defaults, Mapping, Problem, suggest};
use aftercall_core::time::Timestamp;
use anyhow::{Context, bail};
use comfy_table::{Table, presets};

use super::migrate::Place;
use crate::config::Config;
use crate::import::{
    Report, headings, preview, read_discharges, read_do_not_call, save_discharges, save_do_not_call,
};
use crate::pathways;
use crate::store::Store;
use crate::store::import::SavedMapping;
use crate::vault::{DataKey, Source};

/// Import a discharge list or a do-not-call list (CSV in any usual encoding, XLSX).
///
/// Broken rows are named with line or cell, column and cure; the others are imported. Importing a list twice changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:
  aftercall import discharged.xlsx --mapping his --dry-run
  aftercall import --do-not-call refused.csv
  aftercall import mapping suggest discharged.xlsx > his.toml
  aftercall import mapping save his his.toml"
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The discharge list.
    #[arg(required_unless_present = "do_not_call")]
    pub file: Option<PathBuf>,
    /// A list of numbers that must not be rung: columns phone, reason.
    #[arg(long, value_name = "FILE")]
    pub do_not_call: Option<PathBuf>,
    /// The saved mapping of the list's own headings.
    #[arg(long, value_name = "NAME")]
    pub mapping: Option<String>,
    /// Say what would happen, row by row, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// Configuration file; by default aftercall.toml where there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Mappings of a hospital's own headings to aftercall's columns.
    #[command(subcommand)]
    Mapping(MappingCommand),
}

#[derive(Debug, clap::Subcommand)]
pub enum MappingCommand {
    /// List the saved mappings.
    List(Place),
    /// Print a saved mapping as TOML.
    Show {
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Check a mapping and save it under a name.
    Save {
        name: String,
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Print a mapping made of the headings of a list that are known words, to be mended by hand.
    Suggest { file: PathBuf },
}

/// Imports, prints the report, and fails when a row was refused.
///
/// # Errors
/// An unreadable file or configuration, or a database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some(Command::Mapping(command)) = &args.command {
        return runtime.block_on(mapping(command));
    }
    let config = Config::find(args.config.as_deref())?;
    let found = runtime.block_on(import(args, &config))?;
    if args.json {
        let problems: Vec<String> = found.problems().collect();
        let mut json = serde_json::to_value(&found.report)?;
        json["problems"] = problems.into();
        println!("{}", serde_json::to_string_pretty(&json)?);
    } else {
        print(&found);
    }
    let whole = found.report.problems.is_empty() && found.refusals.is_empty();
    Ok(if whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// The report with the files that its problems are of.
struct Found<'a> {
    report: Report,
    file: Option<&'a Path>,
    /// Problems of the do-not-call list.
    refusals: Vec<Problem>,
    blocked: Option<&'a Path>,
}

impl Found<'_> {
    fn problems(&self) -> impl Iterator<Item = String> {
        let refusals = placed(self.blocked, &self.refusals);
        placed(self.file, &self.report.problems).chain(refusals)
    }
}

async fn import<'a>(args: &'a Args, config: &Config) -> anyhow::Result<Found<'a>> {
    let discharges = args.file.as_deref().map(read).transpose()?;
    let blocked = args.do_not_call.as_deref().map(read).transpose()?;
    let blocked = blocked.map(|bytes| read_do_not_call(&bytes, &config.hospital.country));
    let store = open(config, args.dry_run).await?;
    let mapping = match &args.mapping {
        Some(name) => Some(Mapping::parse(&saved(&store, name).await?.content)?),
        None => None,
    };
    let defaults = Defaults {
        hospital: config.hospital.id.clone(),
        zone: config.hospital.zone.clone(),
        country: config.hospital.country.clone(),
        base: None,
    };
    let discharges = discharges.map(|bytes| read_discharges(&bytes, &defaults, mapping.as_ref()));
    let pathways = pathways::load(&config.scripts.dir, config.cadence())?;
    let now = Timestamp::now();
    // The refusals first: nobody on that list is to be enrolled and rung in between.
    let do_not_call = match &blocked {
        Some(list) if args.dry_run => u64::try_from(list.numbers.len()).unwrap_or(u64::MAX),
        Some(list) => save_do_not_call(&store, list, "import", now).await?,
        None => 0,
    };
    let mut report = match &discharges {
        Some(list) if args.dry_run => preview(&store, list, &pathways).await?,
        Some(list) => save_discharges(&store, list, &pathways, "import", now).await?,
        None => Report {
            dry_run: args.dry_run,
            ..Report::default()
        },
    };
    report.do_not_call = do_not_call;
    store.close().await;
    Ok(Found {
        report,
        file: args.file.as_deref(),
        refusals: blocked.map_or(Vec::new(), |list| list.problems),
        blocked: args.do_not_call.as_deref(),
    })
}

/// A dry run makes no database where there is none: everything is new to an empty one.
async fn open(config: &Config, dry_run: bool) -> anyhow::Result<Store> {
    let url = config.database_url();
    let file = url
        .strip_prefix("sqlite:")
        .map(|path| path.trim_start_matches("//"));
    let missing =
        file.is_some_and(|file| !Path::new(file.split('?').next().unwrap_or(file)).exists());
    if dry_run && missing {
        let passing = Source::Given(DataKey::random()?);
        return Ok(Store::open("sqlite::memory:", &passing).await?);
    }
    Ok(Store::open(&url, &config.master_key()).await?)
}

async fn saved(store: &Store, name: &str) -> anyhow::Result<SavedMapping> {
    let mapping = store.mapping(name).await;
    mapping.with_context(|| {
        format!("--mapping {name}; `aftercall import mapping list` shows what is saved")
    })
}

async fn mapping(command: &MappingCommand) -> anyhow::Result<ExitCode> {
    match command {
        MappingCommand::List(place) => {
            for mapping in place.open().await?.mappings().await? {
                println!(
                    "{}\t{}\t{}",
                    mapping.name, mapping.saved_at, mapping.saved_by
                );
            }
        }
        MappingCommand::Show { name, place } => {
            print!("{}", saved(&place.open().await?, name).await?.content);
        }
        MappingCommand::Save { name, file, place } => {
            let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
                bail!("a mapping's name has letters, digits, `-`, `_` and `.`: 64 bytes at most");
            }
            let content = fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            Mapping::parse(&content).with_context(|| file.display().to_string())?;
            let mapping = SavedMapping {
                name: name.clone(),
                content,
                saved_by: "import".to_owned(),
                saved_at: Timestamp::now(),
            };
            place.open().await?.save_mapping(&mapping).await?;
            println!("saved {name}");
        }
        MappingCommand::Suggest { file } => {
            let headings = match headings(&read(file)?) {
                Ok(headings) => headings,
                Err(problem) => bail!("{}: {problem}", file.display()),
            };
            let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
            let mapping = suggest(&headings);
            let unknown = headings
                .iter()
                .filter(|heading| mapping.column(heading).is_none());
            for heading in unknown.filter(|heading| !heading.is_empty()) {
                println!("# not read: {heading}");
            }
            print!("{}", toml::to_string(&mapping)?);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Problems with their file, as an editor finds them: `list.csv:3: birth_date: …`, `list.xlsx:C3: …`.
fn placed<'a>(
    file: Option<&'a Path>,
    problems: &'a [Problem],
) -> impl Iterator<Item = String> + 'a {
    let file = file.unwrap_or(Path::new("")).display();
    problems.iter().map(move |problem| {
        let Problem {
            line,
            cell,
            column,
            fault,
            cure,
        } = problem;
        let place = cell.clone().unwrap_or_else(|| line.to_string());
        format!("{file}:{place}: {column}: {fault}; {cure}")
    })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

fn print(found: &Found<'_>) {
    let report = &found.report;
    if report.dry_run && !report.rows.is_empty() {
        println!("{}", table(report));
    }
    for problem in found.problems() {
        println!("{problem}");
    }
    if !report.source.is_empty() {
        println!("read as {}", report.source);
    }
    if !report.not_read.is_empty() {
        println!("columns that were not read: {}", report.not_read.join(", "));
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
    println!(
        "{} new patients, {} changed; {} new stays, {} changed",
        report.new_patients, report.changed_patients, report.new_episodes, report.changed_episodes
    );
    if report.consents_without_text > 0 {
        println!(
            "{} consents do not say which text was agreed to (column consent_text)",
            report.consents_without_text
        );
    }
    println!("{} numbers for the do-not-call list", report.do_not_call);
}

fn table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["row", "patient", "stay", "changes", "calls"]);
    for row in &report.rows {
        let steps = row
            .steps
            .iter()
            .map(|(day, date)| format!("day {day}: {date}"));
        table.add_row([
            row.line.to_string(),
            row.patient.to_owned(),
            row.stay.to_owned(),
            row.changed.join(", "),
            steps.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}
