//! `aftercall rota`: who is on duty.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::rota::{Calendar, Rota};
use aftercall_core::time::Timestamp;
use aftercall_core::work_order::Rung;
use anyhow::Context as _;
use jiff::SignedDuration;

use super::migrate::Place;
use crate::config::Config;

/// Check, bring in and show the rota: who is told of work orders, and when a ward may be called.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall rota check rota.toml\n  aftercall rota import rota.toml --by li.mei\n  \
                  aftercall rota show --ward 5A --at 2026-12-24T22:00:00Z\n\nA file:\n  version = 1\n\n  [[person]]\n  \
                  name = \"li.mei\"\n  lang = \"zh\"\n  at = [{ by = \"sms\", to = \"+8613800138000\" }]\n\n  [[shift]]\n  \
                  ward = \"5A\"            # left out: every ward\n  rung = \"ward_nurse\"    # charge_nurse, duty_doctor, \
                  switchboard\n  people = [\"li.mei\"]\n  days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n  \
                  from = \"20:00\"\n  to = \"08:00\"           # at or before `from`: of the next day\n  \
                  holidays = \"off\"       # or \"only\"; left out: days like others\n\n  [[replacement]]\n  person = \"li.mei\"\n  \
                  by = \"wang.fang\"\n  first = 2026-12-01\n  last = 2026-12-03"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Read a file, and say in which hours of the next four weeks nobody looks after a ward.
    Check { file: PathBuf },
    /// Check a file and let it hold from now on.
    Import {
        file: PathBuf,
        /// Who brings it in, for the record.
        #[arg(long)]
        by: String,
    },
    /// Show who is on duty.
    Show {
        /// Only this ward.
        #[arg(long)]
        ward: Option<String>,
        /// When; now where it is left out.
        #[arg(long)]
        at: Option<Timestamp>,
        /// Print the file as it was brought in.
        #[arg(long)]
        file: bool,
    },
}

/// How far ahead gaps are looked for.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 28);

/// Runs one of the three.
///
/// # Errors
/// A file that is no rota, or a database that refuses.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::find(args.place.config.as_deref())?;
    let policy = config.policy()?;
    let calendar = policy.calendar();
    let now = Timestamp::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match &args.command {
        Command::Check { file } => {
            let (_, rota) = read(file)?;
            println!(
                "{} people, {} wards",
                rota.people().count(),
                rota.wards().len()
            );
            tell_gaps(&rota, now, calendar);
            tell_unknown_channels(&rota, &config);
        }
        Command::Import { file, by } => {
            let (text, rota) = read(file)?;
            runtime.block_on(async {
                let store = args.place.open().await?;
                store.import_rota(&text, by, now).await?;
                let people = format!("{} people", rota.people().count());
                store.audit(by, "rota.import", "", &people, now).await?;
                store.close().await;
                anyhow::Ok(())
            })?;
            println!("the rota holds from now on");
            tell_gaps(&rota, now, calendar);
            tell_unknown_channels(&rota, &config);
        }
        Command::Show { ward, at, file } => {
            let (text, rota) = runtime.block_on(async {
                let store = args.place.open().await?;
                let found = (store.rota_text().await?, store.rota().await?);
                store.close().await;
                anyhow::Ok(found)
            })?;
            let rota = rota.context("no rota was brought in: `aftercall rota import FILE`")?;
            if *file {
                print!("{}", text.unwrap_or_default());
            } else {
                show(&rota, ward.as_deref(), at.unwrap_or(now), calendar);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> anyhow::Result<(String, Rota)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let rota = Rota::parse(&text).with_context(|| format!("{}", file.display()))?;
    Ok((text, rota))
}

fn show(rota: &Rota, ward: Option<&str>, at: Timestamp, calendar: Calendar<'_>) {
    let wards = match ward {
        Some(ward) => vec![ward],
        None => rota.wards(),
    };
    println!(
        "{}",
        calendar.zone.to_datetime(at).strftime("%Y-%m-%d %H:%M")
    );
    for ward in wards {
        for rung in Rung::ALL {
            let people = rota.on_duty(ward, rung, at, calendar);
            let names: Vec<&str> = people.iter().map(|person| person.name.as_str()).collect();
            let names = if names.is_empty() {
                "-".to_owned()
            } else {
                names.join(", ")
            };
            println!("{ward}  {rung:<13}  {names}");
        }
    }
}

fn tell_gaps(rota: &Rota, now: Timestamp, calendar: Calendar<'_>) {
    let until = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
    let local = |at| calendar.zone.to_datetime(at).strftime("%Y-%m-%d %H:%M");
    for ward in rota.wards() {
        for (from, to) in rota.gaps(ward, now, until, calendar) {
            println!("{ward}: nobody from {} to {}", local(from), local(to));
        }
    }
}

fn tell_unknown_channels(rota: &Rota, config: &Config) {
    for person in rota.people() {
        for address in &person.at {
            if config
                .channels
                .iter()
                .all(|channel| channel.name != address.by)
            {
                println!(
                    "{}: the configuration has no channel {}",
                    person.name, address.by
                );
            }
        }
    }
}
