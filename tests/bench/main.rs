//! Turn latency and CPU of whole calls: the demo dials telephones that answer every question, 1 and then 4 at once.
//!
//! Latency is the telephones' own (`turn` in their log): from the last voiced sample they sent to the first voiced
//! sample they received. CPU is the engine's process with its children, from the first answer to its end, a second of
//! call. Whisper, SIP, RTP, database and recording all run. `BENCH_CALLS="1 4 8"` chooses other numbers.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Who is called, with the `day` that the demo's own expectations name: Mandarin speakers who answer to the end.
const CAST: [&str; 8] = [
    "RH10001", "RH10003", "RH10004", "RH10005", "RH10006", "RH10007", "RH10020", "RH10025",
];
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
    println!("calls  turns  latency ms: p50    p95    max   CPU s a call-second   call-seconds");
    let mut first = None;
    for calls in numbers {
        let run = measure(calls.min(CAST.len()));
        println!("{}", run.row());
        let first = first.get_or_insert(run.percentile(50));
        println!(
            "       (p50 is {:.2} times the first row's)",
            run.percentile(50) / *first
        );
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

fn measure(calls: usize) -> Run {
    let folder = tempfile::tempdir().expect("a temporary folder");
    set_stage(folder.path(), &CAST[..calls]);
    let said = folder.path().join("demo.log");
    let output = File::create(&said).expect("the folder is writable");
    let errors = output.try_clone().expect("a second handle");
    let mut demo = Command::new(env!("CARGO_BIN_EXE_aftercall"))
        .args([
            "demo",
            "--once",
            "--bind",
            "127.0.0.1:0",
            "--lines",
            &calls.to_string(),
        ])
        .arg("--fixtures")
        .arg(folder.path())
        .arg("--trunk")
        .arg(folder.path().join("trunk.toml"))
        .arg("--data")
        .arg(folder.path().join("data"))
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .expect("the program was built");
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
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        // Overloaded calls end otherwise than the words mean; their timings still tell by how much.
        let said = read(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(2 * calls + 8)..];
        println!("the demo ended with {status}:\n{}", last.join("\n"));
    }
    of_log(calls, &read(&log), after - before.unwrap_or_default())
}

/// The patients, their telephones and a trunk with a port of its own.
fn set_stage(folder: &Path, cast: &[&str]) {
    std::fs::create_dir(folder.join("phones")).expect("the folder is writable");
    let fixtures = root().join("fixtures");
    std::os::unix::fs::symlink(fixtures.join("audio"), folder.join("audio")).expect("a link");
    let is_cast = |line: &str| cast.iter().any(|number| line.starts_with(number));
    let list = read(&fixtures.join("patients.csv"));
    let rows = list
        .lines()
        .enumerate()
        .filter(|(at, line)| *at == 0 || is_cast(line));
    let rows: Vec<&str> = rows.map(|(_, line)| line).collect();
    write(folder.join("patients.csv"), &rows.join("\n"));
    write(folder.join("do_not_call.csv"), "phone,reason\n");
    let expected: toml::Table = read(&fixtures.join("expected.toml"))
        .parse()
        .expect("the demo's expectations");
    let patients = expected["patient"].as_table().expect("a table a patient");
    let mut ours = toml::Table::new();
    for number in cast {
        ours.insert((*number).to_owned(), patients[*number].clone());
    }
    let ours = BTreeMap::from([
        ("version", toml::Value::Integer(1)),
        ("patient", toml::Value::Table(ours)),
    ]);
    write(
        folder.join("expected.toml"),
        &toml::to_string(&ours).expect("a table"),
    );
    for entry in std::fs::read_dir(fixtures.join("phones"))
        .expect("the telephones")
        .map_while(Result::ok)
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_cast(&name.to_uppercase()) {
            write(folder.join("phones").join(name), &read(&entry.path()));
        }
    }
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
