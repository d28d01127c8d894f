//! `aftercall windows`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use aftercall_core::plan::learn::{
    ALARM, AgeBand, Effect, HourOfWeek, Reach, Share, proposals, simulate,
};
use aftercall_core::time::Timestamp;
use comfy_table::{Table, presets};
use jiff::civil::Weekday;

use super::migrate::Place;
use crate::jobs::windows::{close, figures, hours_of, look_back, open};
use crate::store::reach::ClosedHour;

/// See which hours reach people, and close those that do not, by age.
///
/// A rate is the share of calls that a person answered, by weekday and hour at the patient's place; its interval is
/// beta-binomial, 95 %. An hour is proposed where its interval lies below the rate of its age band (held to 95 % over all
/// hours of the band together). Closing only narrows what the law and the hospital allow; who accepted it, and on what
/// figures, is kept.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall windows reach\n  aftercall windows propose --days 60\n  \
    aftercall windows simulate 80+.sat.12 80+.sun.12\n  aftercall windows accept 80+.sat.12 --by li\n  \
    aftercall windows open 80+.sat.12 --by li"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Days of calls to look back on.
    #[arg(long, global = true, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the rate of every hour with its interval, and the alarm where too few are reached.
    Reach,
    /// Print the hours that would better be closed, and what closing each would have done.
    Propose,
    /// Print what closing hours would have done with the past.
    Simulate {
        /// AGES.DAY.HOUR, such as 80+.sat.12.
        #[arg(required = true)]
        hours: Vec<HourOfWeek>,
    },
    /// Close a proposed hour.
    Accept {
        hour: HourOfWeek,
        /// Who accepts; this name stands in the audit log.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Open a closed hour again.
    Open {
        hour: HourOfWeek,
        /// Who opens it.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Runs one of the five.
///
/// # Errors
/// A database that refuses, or an hour that nothing speaks for closing.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        let now = Timestamp::now();
        let (found, closed) = look_back(&store, args.days, now).await?;
        match &args.command {
            Command::Reach => show(&found, &closed, args)?,
            Command::Propose => propose(&found, &closed, args),
            Command::Simulate { hours } => {
                let mut then = hours_of(&closed);
                then.extend(hours);
                let effect = simulate(&found, &then);
                if args.json {
                    println!("{}", serde_json::to_string_pretty(&effect)?);
                } else {
                    println!("{}", in_words(&effect));
                }
            }
            Command::Accept { hour, by } => {
                close(&store, args.days, *hour, by, now).await?;
                println!(
                    "{hour} is closed; patients of {} are called at other hours",
                    hour.band
                );
            }
            Command::Open { hour, by } => {
                open(&store, *hour, by, now).await?;
                println!("{hour} is open again");
            }
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn percent(share: &Share) -> String {
    let hundred = |rate: f64| format!("{:.0}", 100.0 * rate);
    format!(
        "{} % ({}-{})",
        hundred(share.rate),
        hundred(share.low),
        hundred(share.high)
    )
}

fn in_words(effect: &Effect) -> String {
    format!(
        "of {} calls {} would have been made at other hours of their day; {} people were reached, {:.0} ({:.0}-{:.0}) would have been",
        effect.tries, effect.moved, effect.reached, effect.expected, effect.low, effect.high
    )
}

fn show(found: &Reach, closed: &[ClosedHour], args: &Args) -> anyhow::Result<()> {
    let cures = cures(found, closed, args)?;
    if args.json {
        let cells = found
            .cells
            .iter()
            .map(|cell| serde_json::json!({ "hour": cell.at.to_string(), "reach": cell.share }));
        let bands: BTreeMap<String, &Share> = found
            .bands
            .iter()
            .map(|(band, share)| (band.to_string(), share))
            .collect();
        let closed: Vec<String> = closed.iter().map(|one| one.hour.to_string()).collect();
        let all = serde_json::json!({
            "days": args.days,
            "all": found.all,
            "alarm": is_alarm(found),
            "cures": cures,
            "announced": found.announced,
            "unannounced": found.unannounced,
            "bands": bands,
            "cells": cells.collect::<Vec<_>>(),
            "closed": closed,
        });
        println!("{all:#}");
        return Ok(());
    }
    println!(
        "{} calls in {} days, {} answered by a person: {}",
        found.all.tries,
        args.days,
        found.all.reached,
        percent(&found.all)
    );
    for (name, share) in [
        ("with a message before", &found.announced),
        ("without", &found.unannounced),
    ] {
        if share.tries > 0 {
            println!(
                "first calls {name}: {}, {} answered by a person: {}",
                share.tries,
                share.reached,
                percent(share)
            );
        }
    }
    if is_alarm(found) {
        println!("Under {:.0} %. Cures:", 100.0 * ALARM);
        for cure in &cures {
            println!("- {cure}");
        }
    }
    let is_closed = hours_of(closed);
    for (band, share) in &found.bands {
        println!("\nages {band}: {} calls, {}", share.tries, percent(share));
        println!("{}", heat_map(found, *band, &is_closed));
    }
    Ok(())
}

/// What would reach more people: other hours where there are any, and announcing calls.
fn cures(found: &Reach, closed: &[ClosedHour], args: &Args) -> anyhow::Result<Vec<String>> {
    if !is_alarm(found) {
        return Ok(Vec::new());
    }
    let proposed = proposals(found, &hours_of(closed)).len();
    let hours = match proposed {
        0 => "other hours: none is proposed yet (aftercall windows propose)".to_owned(),
        _ => format!("other hours: {proposed} are proposed (aftercall windows propose)"),
    };
    let messages = args.place.config()?.messages;
    let announce = if messages.channel.is_empty() || messages.prewarm_hours.is_empty() {
        "a text message before the call: set messages.channel and messages.prewarm_hours".to_owned()
    } else {
        let hours: Vec<String> = messages.prewarm_hours.iter().map(u32::to_string).collect();
        format!(
            "a text message {} h before the call is set: see above what it does, and its deliveries at GET /api/v1/patients/ID/messages",
            hours.join(" and ")
        )
    };
    Ok(vec![hours, announce])
}

/// Too few were reached for it to be chance.
fn is_alarm(found: &Reach) -> bool {
    found.all.tries > 0 && found.all.rate < ALARM
}

fn heat_map(found: &Reach, band: AgeBand, closed: &BTreeSet<HourOfWeek>) -> Table {
    let cells: Vec<_> = found
        .cells
        .iter()
        .filter(|cell| cell.at.band == band)
        .collect();
    let hours: BTreeSet<i8> = cells.iter().map(|cell| cell.at.hour).collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let header = hours.iter().map(|hour| format!("{hour:02}"));
    table.set_header(std::iter::once(String::new()).chain(header));
    for weekday in Weekday::Monday.cycle_forward().take(7) {
        let rates = hours.iter().map(|hour| {
            let at = HourOfWeek {
                band,
                weekday,
                hour: *hour,
            };
            let cell = cells.iter().find(|cell| cell.at == at);
            let rate = cell.map(|cell| format!("{:.0}", 100.0 * cell.share.rate));
            let mark = if closed.contains(&at) { "x" } else { "" };
            format!("{}{mark}", rate.unwrap_or_default())
        });
        let name = format!("{weekday:?}");
        table.add_row(std::iter::once(name).chain(rates));
    }
    table
}

fn propose(found: &Reach, closed: &[ClosedHour], args: &Args) {
    let proposed = proposals(found, &hours_of(closed));
    if args.json {
        let rows: Vec<_> = proposed
            .iter()
            .map(|proposal| {
                let mut row = figures(proposal);
                row["close"] = proposal.close.to_string().into();
                row
            })
            .collect();
        println!("{:#}", serde_json::Value::Array(rows));
        return;
    }
    if proposed.is_empty() {
        println!(
            "no hour of the last {} days reaches so few that it is more than chance",
            args.days
        );
        return;
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "close",
        "calls",
        "reached then",
        "at all hours",
        "closed, of the past",
    ]);
    for proposal in &proposed {
        table.add_row([
            proposal.close.to_string(),
            proposal.cell.tries.to_string(),
            percent(&proposal.cell),
            percent(&proposal.today),
            format!(
                "{:+.0} people",
                proposal.effect.expected - f64::from(proposal.effect.reached)
            ),
        ]);
    }
    println!("{table}");
    println!("aftercall windows accept HOUR --by NAME closes one.");
}
