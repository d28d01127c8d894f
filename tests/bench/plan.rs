//! 100,000 patients with four steps each, on SQLite and PostgreSQL: how fast their list is tried and imported, and how soon the
//! next step that is due is found and leased; and how long a search for a patient takes. `BENCH_PATIENTS=10000` takes fewer.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aftercall::import::{DischargeList, preview, read_discharges, save_discharges};
use aftercall::store::Store;
use aftercall::vault::{DataKey, KEY_BYTES, Source};
use aftercall_core::import::Defaults;
use aftercall_core::plan::{Cadence, Pathways};
use aftercall_core::staff::Wards;
use aftercall_core::time::Timestamp;
use jiff::SignedDuration;

#[path = "../it/postgres.rs"]
mod postgres;

use postgres::Postgres;

/// Goals: rows a second, and milliseconds.
const ROWS_A_SECOND: f64 = 10_000.0;
const DUE_MS: f64 = 5.0;
const FIND_MS: f64 = 100.0;
/// The commonest surnames, and how many of a thousand people have each; then some of the others.
const COMMON: [(char, usize); 20] = [
    ('王', 72),
    ('李', 72),
    ('张', 68),
    ('刘', 52),
    ('陈', 46),
    ('杨', 31),
    ('黄', 23),
    ('赵', 21),
    ('吴', 20),
    ('周', 20),
    ('徐', 16),
    ('孙', 14),
    ('马', 13),
    ('朱', 13),
    ('胡', 12),
    ('林', 12),
    ('郭', 12),
    ('何', 11),
    ('高', 10),
    ('罗', 9),
];
const RARER: &str = "郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹段雷黎史龙陶贺顾毛郝龚邵万钱严覃武莫孔向汤";
/// The first and second character of given names.
const GIVEN: [&str; 2] = ["秀建丽志文玉桂春海晓", "英国华芳明兰珍梅军平"];
/// Looks for the next due step.
const LOOKS: usize = 2_000;
/// Steps an engine asks for at once.
const LINES: u32 = 8;
/// A look a second: 64 steps are leased at any time, as three engines with some twenty lines each hold them.
const LEASE: SignedDuration = SignedDuration::from_secs(8);

fn main() -> ExitCode {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("`make bench` measures; nothing to test here");
        return ExitCode::SUCCESS;
    }
    let patients = std::env::var("BENCH_PATIENTS").ok();
    let patients: usize = patients.map_or(100_000, |count| {
        count.parse().expect("BENCH_PATIENTS is a number")
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let missed = runtime.expect("a runtime").block_on(measure(patients));
    if missed == 0 {
        return ExitCode::SUCCESS;
    }
    println!("{missed} goals are missed");
    ExitCode::FAILURE
}

async fn measure(patients: usize) -> usize {
    let bytes = list(patients);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let postgres = Postgres::start();
    let mut missed = 0;
    println!("{patients} patients, four steps each              median       p99      goal");
    for (name, url) in [
        (
            "SQLite",
            format!("sqlite://{}/a.db", folder.path().display()),
        ),
        ("PostgreSQL", postgres.database("plan").await),
    ] {
        let store = Store::open(&url, &Source::Given(DataKey::new([7; KEY_BYTES])))
            .await
            .expect("a new database opens");
        missed += import(name, &store, &bytes).await;
        missed += due(name, &store).await;
        missed += find(name, &store).await;
        store.close().await;
    }
    missed
}

/// A discharge list of people who came home three days before [`now`].
fn list(patients: usize) -> Vec<u8> {
    let mut text = String::from(
        "hospital_number,name,birth_date,phone,language,pathway,department,ward,discharged,encounter,consent,contacts\n",
    );
    for number in 0..patients {
        let (month, day) = (1 + number % 12, 1 + number % 28);
        writeln!(
            text,
            "P{number},{},19{:02}-{month:02}-{day:02},+86138{number:08},zh,cardiac,Cardiology,7B,-3d,E{number},written,\
             李四:child:+86139{number:08}:health",
            name(number),
            30 + number % 60
        )
        .expect("a string takes it");
    }
    text.into_bytes()
}

/// A name whose surname is about as common as among the people of China (Ministry of Public Security, 2021), spread evenly.
fn name(number: usize) -> String {
    let nth = number * 617 % 1_000;
    let mut below = 0;
    let common = COMMON.iter().find(|(_, thousandths)| {
        below += thousandths;
        nth < below
    });
    let rest: Vec<char> = RARER.chars().collect();
    let surname = common.map_or_else(|| rest[nth % rest.len()], |(surname, _)| *surname);
    let [first, second] = GIVEN.map(|given| given.chars().collect::<Vec<char>>());
    let first = first[number / 1_000 % first.len()];
    let second = second[number / 20_000 % second.len()];
    format!("{surname}{first}{second}")
}

fn now() -> Timestamp {
    "2026-11-23T02:00:00Z".parse().expect("an instant")
}

fn read(bytes: &[u8]) -> DischargeList {
    let defaults = Defaults {
        hospital: "main".to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        country: "CN".to_owned(),
        base: Some(now()),
    };
    let list = read_discharges(bytes, &defaults, None);
    assert!(list.problems.is_empty(), "{:?}", list.problems.first());
    list
}

/// Reads, tries and imports the list; returns how many goals are missed.
async fn import(name: &str, store: &Store, bytes: &[u8]) -> usize {
    let pathways = Pathways {
        list: Vec::new(),
        usual: Cadence::default(),
    };
    let began = Instant::now();
    let list = read(bytes);
    let reading = began.elapsed();
    let began = Instant::now();
    let tried = preview(store, &list, &pathways).await.expect("tried");
    let trying = reading + began.elapsed();
    let began = Instant::now();
    let saved = save_discharges(store, &list, &pathways, "bench", now());
    let saved = saved.await.expect("saved");
    let saving = reading + began.elapsed();
    assert_eq!((saved.refused, tried.accepted), (0, saved.accepted));
    let rows = list.rows.len();
    let mut missed = 0;
    for (what, took) in [("dry run", trying), ("import", saving)] {
        let rate = rows as f64 / took.as_secs_f64();
        let is_missed = rate < ROWS_A_SECOND;
        missed += usize::from(is_missed);
        println!(
            "{name:<11} {what:<12} rows a second  {rate:>12.0}          {ROWS_A_SECOND:>10.0}{}",
            mark(is_missed)
        );
    }
    missed
}

/// How long it takes to learn that nothing is due, and to lease what is.
async fn due(name: &str, store: &Store) -> usize {
    let mut missed = 0;
    let idle = now() - SignedDuration::from_hours(24 * 30);
    for (what, at) in [("nothing due", idle), ("next due", now())] {
        let mut took = Vec::with_capacity(LOOKS);
        for look in 0..LOOKS {
            let engine = format!("engine-{}", look % 3);
            let at = at + SignedDuration::from_secs(i64::try_from(look).expect("few"));
            let until = at + LEASE;
            let began = Instant::now();
            let claimed = store.claim_due_steps(at, LINES, until, &engine).await;
            took.push(began.elapsed());
            let found = claimed.expect("asked").len();
            assert_eq!(
                found,
                if what == "next due" {
                    LINES as usize
                } else {
                    0
                }
            );
        }
        took.sort_unstable();
        let (median, p99) = (ms(took[LOOKS / 2]), ms(took[LOOKS * 99 / 100]));
        let is_missed = p99 > DUE_MS;
        missed += usize::from(is_missed);
        println!(
            "{name:<11} {what:<12} ms             {median:>12.2}{p99:>10.2}{DUE_MS:>10.0}{}",
            mark(is_missed)
        );
    }
    missed
}

/// How long it takes to find who has a number, and who a name: the commonest surname, as written and as spoken, and a whole
/// name. Returns how many goals are missed.
async fn find(name: &str, store: &Store) -> usize {
    let mut missed = 0;
    for (what, text, looks) in [
        ("by number", "P7", 200),
        ("by surname", "李", 20),
        ("by pinyin", "li", 20),
        ("by name", "李秀英", 20),
    ] {
        let mut took = Vec::with_capacity(looks);
        for _ in 0..looks {
            let began = Instant::now();
            let found = store.find_patients(text, &Wards::ALL).await;
            took.push(began.elapsed());
            assert!(!found.expect("asked").is_empty());
        }
        took.sort_unstable();
        let (median, most) = (ms(took[looks / 2]), ms(took[looks - 1]));
        let is_missed = most > FIND_MS;
        missed += usize::from(is_missed);
        println!(
            "{name:<11} {what:<12} ms             {median:>12.2}{most:>10.2}{FIND_MS:>10.0}{} (most)",
            mark(is_missed)
        );
    }
    missed
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

fn mark(is_missed: bool) -> &'static str {
    if is_missed { "  missed" } else { "" }
}
