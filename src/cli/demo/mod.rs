//! `aftercall demo`: the whole product once, for real, on the embedded defaults.
//!
//! Imports the fixtures' patients into a fresh folder, starts `aftercall phones` as the telephone network, dials
//! it over SIP and RTP, and holds what came of it against what the fixtures say the words mean.

mod compare;
mod table;
mod telephones;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aftercall_core::import::Defaults;
use aftercall_core::staff::{Role, Wards};
use aftercall_core::time::Timestamp;
use anyhow::{Context, bail};
use jiff::civil::{Weekday, time};
use jiff::{ToSpan, Zoned};
use tokio::sync::mpsc;

use self::compare::{Expected, summary};
use self::table::LiveTable;
use self::telephones::Telephones;
use crate::cli::serve::stop_signal;
use crate::config::Config;
use crate::import::{read_discharges, read_do_not_call, save_discharges, save_do_not_call};
use crate::jobs::PlanClock;
use crate::pathways;
use crate::run::{Engine, open_store};
use crate::store::Store;
use crate::trunk::config::Trunk;
use crate::trunk::pulse::Delay;

/// Dial a list of demo patients for real, on this machine alone, and check what the engine concluded.
///
/// Everything is embedded: SQLite and recordings in a fresh folder, whisper in this process, and a second process,
/// `aftercall phones`, as the telephone network on loopback. The plan's clock stands at a weekday 10:00 local; the
/// law's hours stay the law's. Takes about six minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall demo --once

Exit status: 0 when every call came to what the fixtures expect, 1 otherwise. Without --once the API stays up
afterwards until Ctrl-C.")]
pub struct Args {
    /// End after the summary instead of leaving the API up.
    #[arg(long)]
    once: bool,
    /// Folder of patients.csv, do_not_call.csv, expected.toml, phones/ and audio/.
    #[arg(long, default_value = "fixtures", value_name = "DIR")]
    fixtures: PathBuf,
    /// Trunk file; its target is where the telephones listen.
    #[arg(long, default_value = "sip_config/loopback.toml", value_name = "FILE")]
    trunk: PathBuf,
    /// Fresh folder for database and recordings; data/demo-<time> when not given.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Calls at once.
    #[arg(long, default_value_t = 8)]
    lines: u32,
    /// Address of the API; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8087")]
    bind: SocketAddr,
    /// Give up after so many minutes.
    #[arg(long, default_value_t = 15)]
    limit: u64,
    /// Take up a demo that was killed: same folder and clock, nothing imported anew. Calls that broke are closed as
    /// interrupted and planned again; telephones that still ring are told and used on.
    #[arg(long, requires = "data")]
    resume: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the demo.
///
/// # Errors
/// When anything it needs is missing: fixtures, model, a free port.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(demo(args))
}

async fn demo(args: &Args) -> anyhow::Result<ExitCode> {
    let config = demo_config(args)?;
    let expected = Expected::load(&args.fixtures.join("expected.toml"))?;
    let clock = plan_clock(args, &config)?;
    let begins = clock.now();
    if !args.resume {
        import(args, &config, begins).await?;
    }
    let trunk = Trunk::load(&args.trunk)?;
    let listen = trunk.targets[0].to_string();
    let mut phones = Telephones::start(&args.fixtures, &config.data_dir, &listen)?;
    let (seen, watched) = mpsc::unbounded_channel();
    let engine = Engine::start(&config, clock, Some(seen)).await?;
    println!(
        "plan clock {}, data in {}",
        begins.to_zoned(config.zone()).strftime("%A %H:%M"),
        config.data_dir.display()
    );
    let table = tokio::spawn(
        LiveTable::new(std::io::stdout().is_terminal() && !args.json, args.json).run(watched),
    );
    let began = Instant::now();
    let finished = settled(
        &engine,
        &expected,
        Duration::from_secs(args.limit * 60),
        &mut phones,
    )
    .await;
    table.abort();
    let done = match finished {
        Ok(()) => summary(&engine.store, &expected).await,
        Err(error) => Err(error),
    };
    let passed = match &done {
        Ok(done) => {
            if args.json {
                println!("{}", serde_json::to_string_pretty(&done.json())?);
            } else {
                println!(
                    "{}\n{} in {:.0} s",
                    done.table(),
                    done.verdict(),
                    began.elapsed().as_secs_f64()
                );
                tell_durable(&engine.durable_delays());
            }
            done.differences() == 0
        }
        Err(error) => {
            eprintln!("aftercall: {error:#}");
            false
        }
    };
    if !args.once && done.is_ok() {
        // A demo that was taken up again finds the token of the one before.
        let now = engine.rules.clock.now();
        engine.store.revoke_token("demo", now).await?;
        let (_, secret) = engine
            .store
            .create_token("demo", &[Role::Service], &Wards::ALL, now)
            .await?;
        println!(
            "API: http://{}/api/v1/work-orders   document: http://{}/openapi.json",
            engine.api, engine.api
        );
        println!(
            "try: curl -H 'Authorization: Bearer {}' http://{}/api/v1/work-orders",
            secret, engine.api
        );
        println!("Ctrl-C ends it.");
        stop_signal().await?;
    }
    engine.stop().await;
    phones.stop().await;
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

/// From the end of the words that told of a red flag to its order on disk; the goal is 2 s for 99 of 100.
fn tell_durable(delays: &[Delay]) {
    let at = |share: usize| delays.get((delays.len() * share).div_ceil(100).saturating_sub(1));
    let (Some(p50), Some(p99)) = (at(50), at(99)) else {
        return;
    };
    println!(
        "red flags on disk after p50 {} ms, p99 {} ms (n {})",
        p50.whole().as_millis(),
        p99.whole().as_millis(),
        delays.len()
    );
    let both = |part: fn(&Delay) -> Duration| {
        format!("{} and {} ms", part(p50).as_millis(), part(p99).as_millis())
    };
    println!(
        "of which waiting for silence and an ear {}, hearing {}, storing {}",
        both(|delay| delay.waiting),
        both(|delay| delay.hearing),
        both(|delay| delay.storing)
    );
}

fn demo_config(args: &Args) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.trunk.talk_on_s = 0;
    let fresh = || PathBuf::from(format!("data/demo-{}", Timestamp::now().as_second()));
    config.data_dir = args.data.clone().unwrap_or_else(fresh);
    let taken = config.data_dir.join("aftercall.db").exists();
    if taken && !args.resume {
        bail!(
            "{} holds a database already; a demo starts in a fresh folder",
            config.data_dir.display()
        );
    }
    if args.resume && !taken {
        bail!(
            "{} holds no demo to take up; start one without --resume",
            config.data_dir.display()
        );
    }
    config.trunk.file = args.trunk.clone();
    config.trunk.lines = args.lines;
    config.web.bind = args.bind.to_string();
    config.hospital.name_zh = "仁和医院".to_owned();
    config.hospital.name_en = "Renhe Hospital".to_owned();
    config.engine.name = "demo".to_owned();
    // So few calls that QA has something to look at only when all are drawn.
    config.audit.share_calls = 1.0;
    config.audit.share_suppressed = 1.0;
    Ok(config)
}

/// The clock of a new demo begins at its morning; that of one taken up goes on, as if the demo had never stopped.
fn plan_clock(args: &Args, config: &Config) -> anyhow::Result<PlanClock> {
    let path = config.data_dir.join("plan_clock.toml");
    if args.resume {
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{}: the demo's clock is lost; start a new demo",
                path.display()
            )
        })?;
        return toml::from_str(&text).with_context(|| path.display().to_string());
    }
    let clock = PlanClock::set_to(plan_morning(&Timestamp::now().to_zoned(config.zone()))?);
    std::fs::create_dir_all(&config.data_dir).with_context(|| {
        format!(
            "{}: the demo's folder cannot be made",
            config.data_dir.display()
        )
    })?;
    std::fs::write(&path, toml::to_string(&clock)?).with_context(|| path.display().to_string())?;
    Ok(clock)
}

/// The next 10:00 of a weekday in the hospital's zone: the plan's clock, for the demo alone.
fn plan_morning(now: &Zoned) -> anyhow::Result<Timestamp> {
    let mut day = now.date();
    while matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
        day = day.checked_add(1.day())?;
    }
    let ten = day
        .to_datetime(time(10, 0, 0, 0))
        .to_zoned(now.time_zone().clone())?;
    Ok(ten.timestamp())
}

async fn import(args: &Args, config: &Config, now: Timestamp) -> anyhow::Result<()> {
    let store: Store = open_store(config).await?;
    let defaults = Defaults {
        hospital: config.hospital.id.clone(),
        zone: config.hospital.zone.clone(),
        country: config.hospital.country.clone(),
        base: Some(now),
    };
    let list = read_discharges(&read(&args.fixtures.join("patients.csv"))?, &defaults, None);
    let report = save_discharges(
        &store,
        &list,
        &pathways::load(&config.scripts.dir, config.cadence())?,
        "demo",
        now,
    )
    .await?;
    let refused = read_do_not_call(
        &read(&args.fixtures.join("do_not_call.csv"))?,
        &config.hospital.country,
    );
    let suppressed = save_do_not_call(&store, &refused, "demo", now).await?;
    println!(
        "imported {} patients with {} steps, {} numbers not to be called",
        report.accepted, report.steps, suppressed
    );
    for problem in report.problems.iter().chain(&refused.problems) {
        println!("not imported: {problem}");
    }
    store.close().await;
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| {
        format!(
            "{}: run the demo in the project's folder or give --fixtures",
            path.display()
        )
    })
}

/// Waits until every patient of the fixtures was rung once or refused.
async fn settled(
    engine: &Engine,
    expected: &Expected,
    limit: Duration,
    phones: &mut Telephones,
) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        if compare::is_settled(&engine.store, expected).await? {
            return Ok(());
        }
        if let Some(how) = phones.ended()? {
            bail!("the telephones ended: {how}");
        }
        if began.elapsed() > limit {
            let open = compare::unsettled(&engine.store, expected).await?;
            bail!(
                "not settled after {} min: {}",
                limit.as_secs() / 60,
                open.join(", ")
            );
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
            stopped = stop_signal() => {
                stopped?;
                bail!("interrupted");
            }
        }
    }
}
