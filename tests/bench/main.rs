//! Turn latency and CPU of whole calls: the demo dials telephones that answer every question, 1 and then 4 at once.
//!
//! Latency is the telephones' own (`turn` in their log): from the last voiced sample they sent to the first voiced
//! sample they received. CPU is the engine's process with its children, from the first answer to its end, a second of
//! call. Whisper, SIP, RTP, database and recording all run. `BENCH_CALLS="1 4 8"` chooses other numbers.
//!
//! Then eight at a time with telephones that complain, 40 in all (`BENCH_ORDERS`): from the end of the words that told of a
//! red flag until its order was on disk, by the engine's own measure. Such calls take two to three minutes, for who complains is
//! kept company: 40 of them a quarter of an hour. `BENCH_CALLS=""` leaves the rest out.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Who is called, with the `day` that the demo's own expectations name: Mandarin speakers who answer to the end.
const CAST: [&str; 8] = [
    "RH10001", "RH10003", "RH10004", "RH10005", "RH10006", "RH10007", "RH10020", "RH10025",
];
/// Who complains of something that makes an order, in both languages.
const COMPLAIN: [&str; 8] = [
    "RH10002", "RH10003", "RH10004", "RH10006", "RH10016", "RH10022", "RH10023", "RH10026",
];
/// Of them at once.
const LINES: usize = 8;
/// How often a line says how far it is, and how often a demo is looked at.
const TELL_S: u64 = 15;
const POLL: Duration = Duration::from_millis(100);
/// Ticks a second in /proc/PID/stat (USER_HZ, `man 5 proc`): 100 on every Linux of today.
const TICKS: f64 = 100.0;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("`make bench` measures; nothing to test here");
        return;
    }
    let wanted = std::env::var("BENCH_CALLS").unwrap_or_else(|_| "1 4".to_owned());
    let numbers: Vec<usize> = wanted
        .split_whitespace()
        .map(|word| word.parse().expect("BENCH_CALLS is a list of numbers"))
        .collect();
    if !numbers.is_empty() {
        println!(
            "calls  turns  latency ms: p50    p95    max   CPU s a call-second   call-seconds"
        );
    }
    let mut first = None;
    for calls in numbers {
        let run = measure(&CAST[..calls.min(CAST.len())]);
        println!("{}", run.row());
        let first = first.get_or_insert(run.percentile(50));
        println!(
            "       (p50 is {:.2} times the first row's)",
            run.percentile(50) / *first
        );
    }
    let orders = std::env::var("BENCH_ORDERS").unwrap_or_else(|_| "40".to_owned());
    durable(orders.parse().expect("BENCH_ORDERS is a number"));
}

/// How long orders take with every line busy; prints what the demo says of it.
fn durable(calls: usize) {
    if calls == 0 {
        return;
    }
    let cast =
        (0..calls).map(|at| Called::copy(COMPLAIN[at % COMPLAIN.len()], at / COMPLAIN.len()));
    let folder = tempfile::tempdir().expect("a temporary folder");
    set_stage(folder.path(), &cast.collect::<Vec<_>>());
    let status = watched(demo(folder.path(), LINES), folder.path(), calls);
    let said = read(&folder.path().join("demo.log"));
    let figures = |about: &str| said.lines().find(|line| line.contains(about));
    println!(
        "{calls} calls, {LINES} at once: {} (goal 2000 ms); the demo ended with {status}",
        figures("on disk after").unwrap_or("no red flag was heard")
    );
    println!("{}", figures("of which").unwrap_or_default());
}

/// Waits for the demo, which takes two to three minutes a round of lines, and says on stderr how far it is.
fn watched(mut demo: Child, folder: &Path, calls: usize) -> ExitStatus {
    let (began, mut said) = (Instant::now(), 0);
    loop {
        if let Some(status) = demo.try_wait().expect("our child") {
            return status;
        }
        let seconds = began.elapsed().as_secs();
        if seconds >= said + TELL_S {
            said = seconds;
            let log = read(&folder.join("data/phones.jsonl"));
            let [begun, ended] = ["answered", "hung_up"].map(|event| {
                let event = format!("\"event\":\"{event}\"");
                log.matches(&event).count()
            });
            eprintln!("{seconds:>5} s: {ended} of {calls} calls ended, {begun} begun");
        }
        std::thread::sleep(POLL);
    }
}

/// A patient of the fixtures, or one just like her under numbers of her own.
struct Called {
    like: String,
    number: String,
    /// What every telephone number of hers begins with, where those of the fixtures begin with [`PHONES`].
    phones: String,
}

const PHONES: &str = "+861380000";

impl Called {
    fn copy(like: &str, copy: usize) -> Self {
        Self {
            like: like.to_owned(),
            number: format!("RH{}{}", copy + 1, &like[3..]),
            phones: format!("+86138{copy:04}"),
        }
    }

    fn renamed(&self, text: &str) -> String {
        text.replace(&self.like, &self.number)
            .replace(PHONES, &self.phones)
    }
}

/// What one number of calls came to.
struct Run {
    calls: usize,
    /// Milliseconds, in order of size.
    latencies: Vec<f64>,
    cpu_s: f64,
    call_s: f64,
}

impl Run {
    /// By nearest rank; not a number without turns.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    fn row(&self) -> String {
        format!(
            "{:>5}  {:>5}  {:>15.0}  {:>5.0}  {:>5.0}   {:>19.3}   {:>12.0}",
            self.calls,
            self.latencies.len(),
            self.percentile(50),
            self.percentile(95),
            self.percentile(100),
            self.cpu_s / self.call_s,
            self.call_s
        )
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn write(path: PathBuf, text: &str) {
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Starts the demo on a stage; what it says is in `demo.log`.
fn demo(folder: &Path, lines: usize) -> Child {
    let output = File::create(folder.join("demo.log")).expect("the folder is writable");
    let errors = output.try_clone().expect("a second handle");
    Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args([
            "demo",
            "--once",
            "--bind",
            "127.0.0.1:0",
            "--limit",
            "60",
            "--lines",
            &lines.to_string(),
        ])
        .arg("--fixtures")
        .arg(folder)
        .arg("--trunk")
        .arg(folder.join("trunk.toml"))
        .arg("--data")
        .arg(folder.join("data"))
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("the program was built")
}

fn measure(cast: &[&str]) -> Run {
    let calls = cast.len();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cast: Vec<Called> = cast.iter().map(|like| Called::copy(like, 0)).collect();
    set_stage(folder.path(), &cast);
    let mut demo = demo(folder.path(), calls);
    let log = folder.path().join("data/phones.jsonl");
    let (mut before, mut after) = (None, 0.0);
    let status = loop {
        if let Some(status) = demo.try_wait().expect("our child") {
            break status;
        }
        if let Some(cpu) = cpu_seconds(demo.id()) {
            after = cpu;
            if before.is_none() && read(&log).contains("\"answered\"") {
                before = Some(cpu);
            }
        }
        std::thread::sleep(POLL);
    };
    if !status.success() {
        // Overloaded calls end otherwise than the words mean; their timings still tell by how much.
        let said = read(&folder.path().join("demo.log"));
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(2 * calls + 8)..];
        println!("the demo ended with {status}:\n{}", last.join("\n"));
    }
    of_log(calls, &read(&log), after - before.unwrap_or_default())
}

/// The patients, their telephones and a trunk with a port of its own.
fn set_stage(folder: &Path, cast: &[Called]) {
    std::fs::create_dir(folder.join("phones")).expect("the folder is writable");
    let fixtures = root().join("fixtures");
    std::os::unix::fs::symlink(fixtures.join("audio"), folder.join("audio")).expect("a link");
    let list = read(&fixtures.join("patients.csv"));
    let expected: toml::Table = read(&fixtures.join("expected.toml"))
        .parse()
        .expect("the demo's expectations");
    let phones: Vec<PathBuf> = std::fs::read_dir(fixtures.join("phones"))
        .expect("the telephones")
        .map_while(|entry| Some(entry.ok()?.path()))
        .collect();
    let mut rows = vec![list.lines().next().expect("a head").to_owned()];
    let mut patients = toml::Table::new();
    for called in cast {
        let row = list.lines().find(|row| row.starts_with(&called.like));
        rows.push(called.renamed(row.expect("a patient of the fixtures")));
        let expected = expected["patient"][&called.like].clone();
        patients.insert(called.number.clone(), expected);
        let file = called.like.to_lowercase();
        let is_hers = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(&file)
        };
        let phone = phones.iter().find(is_hers).expect("her telephone");
        let into = format!("phones/{}.toml", called.number.to_lowercase());
        write(folder.join(into), &called.renamed(&read(phone)));
    }
    write(folder.join("patients.csv"), &rows.join("\n"));
    write(folder.join("do_not_call.csv"), "phone,reason\n");
    let ours = BTreeMap::from([
        ("version", toml::Value::Integer(1)),
        ("patient", toml::Value::Table(patients)),
    ]);
    write(
        folder.join("expected.toml"),
        &toml::to_string(&ours).expect("a table"),
    );
    let probe = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let at = probe.local_addr().expect("it is bound").to_string();
    let trunk = read(&root().join("sip_config/loopback.toml")).replace("127.0.0.1:5080", &at);
    write(folder.join("trunk.toml"), &trunk);
}

/// User and system time of a process and of its children that ended.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let ticks = fields
        .split(' ')
        .skip(11)
        .take(4)
        .map_while(|field| field.parse::<f64>().ok());
    Some(ticks.sum::<f64>() / TICKS)
}

fn of_log(calls: usize, log: &str, cpu_s: f64) -> Run {
    let events: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of = |name: &'static str| events.iter().filter(move |event| event["event"] == name);
    let mut latencies: Vec<f64> = of("turn")
        .filter(|turn| turn["after"] == "speech")
        .filter_map(|turn| turn["latency_ms"].as_f64())
        .collect();
    latencies.sort_by(f64::total_cmp);
    let call_ms: f64 = of("answered")
        .filter_map(|answered| {
            let end = of("hung_up").find(|end| end["call"] == answered["call"])?;
            Some(end["at_ms"].as_f64()? - answered["at_ms"].as_f64()?)
        })
        .sum();
    Run {
        calls,
        latencies,
        cpu_s,
        call_s: call_ms / 1_000.0,
    }
}
