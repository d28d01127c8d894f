//! How fast replies are judged, on one core: our own rows over and over, and one reply of 10,000 characters.
//!
//! Goals: 20,000 replies a second, 10,000 characters within 5 ms. Exits with 1 where one is missed.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench reads the clock, the core does not"
)]

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind};
use aftercall_core::redflag::rows::{self, Row};
use aftercall_core::redflag::{FILES, Lexicon, Reply, assess};

const GOAL_REPLIES: f64 = 20_000.0;
const GOAL_LONG: Duration = Duration::from_millis(5);
const LONG: usize = 10_000;

fn main() -> ExitCode {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let read = |path: String| {
        fs::read_to_string(root.join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let files: Vec<(String, String)> = FILES
        .iter()
        .map(|name| ((*name).to_owned(), read(format!("dialogs/redflags/{name}"))))
        .collect();
    let begun = Instant::now();
    let lexicon = Lexicon::compile(&files).expect("the lexicon of the project compiles");
    println!("lexicon compiled in {:.0?}", begun.elapsed());
    let labelled = |lang: Lang| {
        let name = format!("fixtures/redflag/rows.{lang}.tsv");
        rows::read(&name, lang, &read(name.clone()), lexicon.concepts())
            .expect("our own rows can be read")
    };
    let mut met = true;
    let (zh, en) = (labelled(Lang::Zh), labelled(Lang::En));
    for (name, rows) in [("zh", &zh), ("en", &en)] {
        println!("{name}: {:.0} replies a second", rate(&lexicon, rows));
    }
    let all: Vec<Row> = zh.into_iter().chain(en).collect();
    let mixed = rate(&lexicon, &all);
    met &= mixed >= GOAL_REPLIES;
    println!(
        "all {} rows: {mixed:.0} replies a second, goal {GOAL_REPLIES:.0}",
        all.len()
    );
    for (what, text) in long_replies(&all) {
        let took = longest(&lexicon, &text);
        met &= took <= GOAL_LONG;
        println!("{LONG} characters, {what}: {took:.2?}, goal {GOAL_LONG:?}");
    }
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Replies a second over at least two seconds.
fn rate(lexicon: &Lexicon, rows: &[Row]) -> f64 {
    let begun = Instant::now();
    let mut judged = 0_u32;
    let mut alerts = 0_u32;
    while begun.elapsed() < Duration::from_secs(2) {
        for row in rows {
            let reply = Reply {
                text: &row.reply,
                logprob: None,
            };
            alerts += u32::from(assess(lexicon, &row.question, &reply).alert);
            judged += 1;
        }
    }
    assert!(alerts > 0, "some row must raise an alert");
    f64::from(judged) / begun.elapsed().as_secs_f64()
}

/// The slowest of five runs over one long reply to an open question, after one to warm up; the first alone where it is hopeless.
fn longest(lexicon: &Lexicon, text: &str) -> Duration {
    let question = Question {
        lang: Lang::Zh,
        text: String::new(),
        kind: QuestionKind::Open,
        asks: Vec::new(),
        respondent: Default::default(),
    };
    let run = |_| {
        let begun = Instant::now();
        assess(
            lexicon,
            &question,
            &Reply {
                text,
                logprob: None,
            },
        );
        begun.elapsed()
    };
    let first = run(0);
    if first > 20 * GOAL_LONG {
        return first;
    }
    (0..5).map(run).max().unwrap_or_default()
}

/// Kinds of long text: what people say, one word over and over, no word known, and symbols.
fn long_replies(rows: &[Row]) -> Vec<(&'static str, String)> {
    let said_in = |lang: Lang| -> String {
        let of = rows.iter().filter(|row| row.question.lang == lang);
        of.map(|row| format!("{} ", row.reply)).collect()
    };
    let (zh, en) = (said_in(Lang::Zh), said_in(Lang::En));
    let cycled = |unit: &str| unit.chars().cycle().take(LONG).collect::<String>();
    vec![
        ("Mandarin replies in a row", cycled(&zh)),
        ("English replies in a row", cycled(&en)),
        ("one symptom over and over", cycled("胸口疼，")),
        (
            "no cut, symptoms and negations",
            cycled("没有胸口疼和头晕不发烧腿有点肿"),
        ),
        (
            "nothing known",
            cycled("甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"),
        ),
        ("symbols", cycled("？！…，、 ")),
        ("digits", cycled("38.5 180/110 ")),
    ]
}
