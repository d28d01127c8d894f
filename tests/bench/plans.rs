//! `make eval EVAL=plans`: a million patient-days of random hospitals, families and clocks, every dial held against the
//! plain checker of `tests/calls/plan/world.rs`, on every core.

#![expect(
    clippy::disallowed_methods,
    reason = "an evaluation reads the clock, the core does not"
)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

#[path = "../calls/plan/world.rs"]
mod world;

use world::Tally;

/// Patient-days to live through.
const DAYS: u64 = 1_000_000;

fn main() -> ExitCode {
    let began = Instant::now();
    let (next, days) = (AtomicU64::new(1_000_000), AtomicU64::new(0));
    let work = || {
        let mut tally = Tally::default();
        while days.load(Ordering::Relaxed) < DAYS {
            let world = world::live(next.fetch_add(1, Ordering::Relaxed));
            days.fetch_add(world.patient_days, Ordering::Relaxed);
            tally.add(world);
        }
        tally
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let tallies = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<Tally>, _>>()
    });
    let Ok(tallies) = tallies else {
        eprintln!("a dial broke a rule: its seed stands above");
        return ExitCode::FAILURE;
    };
    let mut all = Tally::default();
    for tally in tallies {
        all.add(tally);
    }
    println!("patient-days           {:>12}", all.patient_days);
    println!("patients               {:>12}", all.patients);
    println!("decisions              {:>12}", all.decisions);
    println!("calls                  {:>12}", all.dials);
    println!("  to a contact         {:>12}", all.contacts);
    println!("  by an exemption      {:>12}", all.exempt);
    println!("outside what is allowed{:>12}", 0);
    println!(
        "seconds, {cores} cores       {:>12.1}",
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}
