//! `aftercall bench`: what calls cost on this machine and line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::cli::line::LineArgs;
use crate::speech::audio::decode_file;
use crate::trunk::load::{self, Load, Measured};

/// Measure calls.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Calls(CallsArgs),
}

/// Place many calls at once, and print set-up times, send lateness, loss, CPU and memory.
///
/// On a loopback target only: no telephone of anybody rings. Exit status: 0 when every call was answered, else 3.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  sipp -sn uas -i 127.0.0.1 -p 5080 -rtp_echo &
  aftercall bench calls --to sip:1000@127.0.0.1:5080 --calls 500 --rate 100 --seconds 30 --play prompt.wav

Two sockets a call: `ulimit -n` must allow them. CPU is this process alone, as a share of one core.")]
struct CallsArgs {
    /// `sip:USER@HOST:PORT` on this machine.
    #[arg(long, value_name = "URI")]
    to: String,
    /// How many calls.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20_000))]
    calls: u32,
    /// How many are begun a second.
    #[arg(long, value_name = "R", default_value_t = 50.0)]
    rate: f64,
    /// How long each lasts, from its answer.
    #[arg(long, value_name = "S", default_value_t = 30)]
    seconds: u64,
    /// The recording that each plays, again and again.
    #[arg(long, value_name = "FILE")]
    play: PathBuf,
    /// Record both sides of every call into this folder, which must be new.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    #[command(flatten)]
    line: LineArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Measures.
///
/// # Errors
/// Usage and local errors.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let What::Calls(args) = &args.what;
    let (mut trunk, number) = args.line.trunk(&args.to)?;
    if !trunk.is_loopback() {
        bail!("so many calls go to a target on this machine only");
    }
    if !(args.rate > 0.0 && args.rate <= 10_000.0) {
        bail!("--rate: more than 0 and at most 10000 calls a second");
    }
    if let Some(folder) = args.record.as_ref().filter(|folder| folder.exists()) {
        bail!(
            "{} is there already; give --record a new name",
            folder.display()
        );
    }
    // Two ports a call; ports that others hold are passed over.
    trunk.rtp_ports = 20_000..=65_533;
    let samples = decode_file(&args.play).with_context(|| args.play.display().to_string())?;
    let load = Load {
        calls: args.calls as usize,
        rate: args.rate,
        talk: Duration::from_secs(args.seconds),
        samples: samples.into(),
        record: args.record.clone(),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let is_recorded = load.record.is_some();
    let measured = load::run(&trunk, &number, load)?;
    let mut out = std::io::stdout().lock();
    let report = report(&measured, is_recorded);
    if args.json {
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    }
    let answered = measured
        .played
        .iter()
        .filter(|played| played.answered_after.is_some());
    Ok(if answered.count() == args.calls as usize {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn report(measured: &Measured, is_recorded: bool) -> Value {
    let played = &measured.played;
    let answers = played.iter().filter_map(|played| played.answered_after);
    let mut set_up: Vec<f64> = answers.map(|time| time.as_secs_f64() * 1_000.0).collect();
    set_up.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let last = set_up.len().checked_sub(1)?;
        set_up.get((last as f64 * share).round() as usize).copied()
    };
    let sum = |figure: fn(&crate::trunk::line::Played) -> Option<u64>| {
        played.iter().filter_map(figure).sum::<u64>()
    };
    let mut ends = serde_json::Map::new();
    for played in played {
        let why = json!(played.ending.why);
        let count = ends
            .entry(why.as_str().unwrap_or("unknown"))
            .or_insert(json!(0));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
    }
    let talked: f64 = played
        .iter()
        .map(|played| played.talked.as_secs_f64())
        .sum();
    let cpu = measured.cpu.as_secs_f64();
    let [before, most] = measured.memory_kb;
    let grown = most.saturating_sub(before);
    json!({
        "placed": played.len(),
        "answered": set_up.len(),
        "not_begun": measured.not_begun,
        "ends": ends,
        "peak": measured.peak,
        "recorded": is_recorded,
        "took_s": measured.took.as_secs_f64(),
        "set_up_ms": { "p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1.0) },
        "send_lateness_ms": {
            "p50": measured.lateness_ms(0.5),
            "p99": measured.lateness_ms(0.99),
            "max": measured.lateness_ms(1.0),
        },
        "packets": {
            "sent": sum(|played| Some(played.rtp?.sent)),
            "received": sum(|played| Some(played.rtp?.received)),
            "lost": sum(|played| Some(played.rtp?.lost)),
            "late": sum(|played| Some(played.rtp?.late)),
            "lost_as_the_far_end_says": sum(|played| Some(u64::from(played.rtp?.far.lost))),
        },
        "cpu_s": cpu,
        "cpu_percent_of_a_core_a_call": (talked > 0.0).then(|| 100.0 * cpu / talked),
        "memory_kb": { "before": before, "most": most },
        "memory_kb_a_call": (measured.peak > 0).then(|| grown as f64 / measured.peak as f64),
    })
}
