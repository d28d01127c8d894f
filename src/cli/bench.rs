//! `aftercall bench`: what calls and ears cost on this machine.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aftercall_core::phone::PhoneNumber;
use anyhow::{Context, bail};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::cli::bench_ears;
use crate::cli::line::LineArgs;
use crate::speech::audio::decode_file;
use crate::trunk::config::Trunk;
use crate::trunk::line::Hears;
use crate::trunk::load::{self, Bare, Load, Measured};

/// The bare loop beside which the calls are put lasts no longer, in seconds.
const BARE_S: u64 = 5;

/// Measure calls and ears.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Calls(Box<CallsArgs>),
    Ears(bench_ears::Args),
}

/// Place many calls at once, and print set-up times, send lateness, loss, CPU and memory.
///
/// On a loopback target only: no telephone of anybody rings. Exit status: 0 when every call was answered, else 3.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  sipp -sn uas -i 127.0.0.1 -p 5080 -rtp_echo &
  aftercall bench calls --to sip:1000@127.0.0.1:5080 --calls 500 --rate 100 --seconds 30 --play prompt.wav

Two sockets a call: `ulimit -n` must allow them. CPU is this process alone, as a share of one core; beside it a
bare loop that sends and receives as many packets a call, for its ratio.")]
struct CallsArgs {
    /// `sip:USER@HOST:PORT` on this machine; several users of one host are called in turn.
    #[arg(long, value_name = "URI", required = true)]
    to: Vec<String>,
    /// How many calls.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
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
    /// What is done with the sound that comes back: nothing, voice activity and tones, or these with our own voice taken out.
    #[arg(long, value_enum, default_value_t)]
    hears: Hears,
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
    match &args.what {
        What::Calls(args) => calls(args),
        What::Ears(args) => bench_ears::run(args),
    }
}

fn calls(args: &CallsArgs) -> anyhow::Result<ExitCode> {
    let asked: Vec<(Trunk, PhoneNumber)> = args
        .to
        .iter()
        .map(|to| args.line.trunk(to))
        .collect::<anyhow::Result<_>>()?;
    let (trunks, numbers): (Vec<Trunk>, Vec<PhoneNumber>) = asked.into_iter().unzip();
    let Some(mut trunk) = trunks.first().cloned() else {
        bail!("--to: no target");
    };
    if !trunks.iter().all(Trunk::is_loopback) {
        bail!("so many calls go to a target on this machine only");
    }
    if trunks.iter().any(|other| other.targets != trunk.targets) {
        bail!("--to: all must be on one host and port");
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
        hears: args.hears,
        record: args.record.clone(),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let is_recorded = load.record.is_some();
    let measured = load::run(&trunk, &numbers, load)?;
    let bare = load::bare(
        measured.peak.max(1),
        Duration::from_secs(args.seconds.min(BARE_S)),
    )?;
    let mut out = std::io::stdout().lock();
    let mut report = report(&measured, &bare, is_recorded);
    report["hears"] = json!(
        args.hears
            .to_possible_value()
            .map(|value| value.get_name().to_owned())
    );
    if args.json {
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?;
    }
    Ok(if measured.set_up_ms.len() == args.calls as usize {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn report(measured: &Measured, bare: &Bare, is_recorded: bool) -> Value {
    let mut set_up = measured.set_up_ms.clone();
    set_up.sort_by(f32::total_cmp);
    let quantile = |share: f64| {
        let last = set_up.len().checked_sub(1)?;
        set_up.get((last as f64 * share).round() as usize).copied()
    };
    let talked = measured.talked.as_secs_f64();
    let cpu = measured.cpu.as_secs_f64();
    let share = (talked > 0.0).then(|| 100.0 * cpu / talked);
    let least = bare.cpu_percent_of_a_core_a_call;
    let grown = measured
        .most_memory_kb
        .saturating_sub(measured.before.memory_kb);
    json!({
        "placed": measured.ends.values().sum::<usize>(),
        "answered": set_up.len(),
        "not_begun": measured.not_begun,
        "ends": measured.ends,
        "peak": measured.peak,
        "recorded": is_recorded,
        "took_s": measured.took.as_secs_f64(),
        "set_up_ms": { "p50": quantile(0.5), "p99": quantile(0.99), "max": quantile(1.0) },
        "send_lateness_ms": {
            "p50": measured.lateness_ms(0.5),
            "p99": measured.lateness_ms(0.99),
            "max": measured.lateness_ms(1.0),
        },
        "packets": measured.packets,
        "cpu_s": cpu,
        "cpu_percent_of_a_core_a_call": share,
        "bare_loop": bare,
        "times_the_bare_loop": share.filter(|_| least > 0.0).map(|share| share / least),
        "held_before": measured.before,
        "held_after": measured.after,
        "most_memory_kb": measured.most_memory_kb,
        "memory_kb_a_call": (measured.peak > 0).then(|| grown as f64 / measured.peak as f64),
    })
}
