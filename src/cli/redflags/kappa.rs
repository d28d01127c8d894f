//! `aftercall redflags kappa`: how far two raters of the same replies agree.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::finding::Polarity;
use aftercall_core::id::ConceptId;
use aftercall_core::statistics::{self, Kappa};
use anyhow::Context;
use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};

/// Compare the labels of two raters: Cohen's kappa with its 95 % interval, for the alert and for each concept.
///
/// A file has one labelled reply a line, as `aftercall redflags label` writes it; replies are joined by `id`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aftercall redflags kappa li.jsonl wang.jsonl\n  aftercall redflags kappa li.jsonl wang.jsonl --json"
)]
pub struct Args {
    /// Labels of the first rater.
    first: PathBuf,
    /// Labels of the second rater.
    second: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One labelled reply; other members of the line are not looked at.
#[derive(Deserialize)]
struct Label {
    id: String,
    expected: Vec<Expected>,
    alert: bool,
}

#[derive(Deserialize)]
struct Expected {
    concept: ConceptId,
    polarity: Polarity,
}

impl Label {
    /// Whether it says that the patient has, or may have, this.
    fn has(&self, concept: &ConceptId) -> bool {
        let heard =
            |label: &&Expected| matches!(label.polarity, Polarity::Present | Polarity::Uncertain);
        self.expected
            .iter()
            .filter(heard)
            .any(|label| label.concept == *concept)
    }
}

/// One line of the table.
#[derive(Serialize)]
struct Row {
    /// `alert`, or a concept.
    what: String,
    /// Items where both say yes, only the first, only the second, neither.
    counts: [u32; 4],
    agreement: Option<f64>,
    kappa: Option<f64>,
    interval: Option<(f64, f64)>,
}

#[derive(Serialize)]
struct Comparison {
    /// Items that both have labelled.
    items: usize,
    only_first: usize,
    only_second: usize,
    rows: Vec<Row>,
}

/// Prints the agreement of two files.
///
/// # Errors
/// A file that cannot be read, a broken line, or two files without a reply in common.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (first, second) = (read(&args.first)?, read(&args.second)?);
    let comparison = compare(&first, &second);
    anyhow::ensure!(
        comparison.items > 0,
        "no reply is labelled in both files: they were drawn from different sets or seeds"
    );
    if args.json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print(&comparison);
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Label>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut labels = BTreeMap::new();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let place = || format!("{}:{}", path.display(), at + 1);
        let label: Label = serde_json::from_str(line).with_context(place)?;
        let id = label.id.clone();
        anyhow::ensure!(
            labels.insert(id.clone(), label).is_none(),
            "{}: {id} is labelled twice",
            place()
        );
    }
    Ok(labels)
}

fn compare(first: &BTreeMap<String, Label>, second: &BTreeMap<String, Label>) -> Comparison {
    let pairs: Vec<(&Label, &Label)> = first
        .iter()
        .filter_map(|(id, label)| second.get(id).map(|other| (label, other)))
        .collect();
    let mut concepts: Vec<&ConceptId> = pairs
        .iter()
        .flat_map(|(a, b)| a.expected.iter().chain(&b.expected))
        .map(|label| &label.concept)
        .collect();
    concepts.sort();
    concepts.dedup();
    let alert = row("alert", pairs.iter().map(|(a, b)| (a.alert, b.alert)));
    let concepts = concepts.into_iter().map(|concept| {
        row(
            &concept.0,
            pairs.iter().map(|(a, b)| (a.has(concept), b.has(concept))),
        )
    });
    Comparison {
        items: pairs.len(),
        only_first: first.len() - pairs.len(),
        only_second: second.len() - pairs.len(),
        rows: std::iter::once(alert).chain(concepts).collect(),
    }
}

fn row(what: &str, pairs: impl Iterator<Item = (bool, bool)>) -> Row {
    let mut counts = [0; 4];
    for pair in pairs {
        let cell = match pair {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        counts[cell] += 1;
    }
    let [both, only_first, only_second, neither] = counts;
    let found: Option<Kappa> =
        statistics::kappa(&[vec![both, only_first], vec![only_second, neither]]);
    let items = f64::from(counts.iter().sum::<u32>());
    Row {
        what: what.to_owned(),
        counts,
        agreement: (items > 0.0).then(|| f64::from(both + neither) / items),
        kappa: found.map(|found| found.kappa),
        interval: found.map(|found| (found.low, found.high)),
    }
}

fn print(comparison: &Comparison) {
    println!(
        "{} replies labelled by both; {} only by the first, {} only by the second.",
        comparison.items, comparison.only_first, comparison.only_second
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "",
        "both",
        "first only",
        "second only",
        "neither",
        "agree",
        "kappa",
        "95 % interval",
    ]);
    for row in &comparison.rows {
        let [both, first, second, neither] = row.counts.map(|count| count.to_string());
        let dash = || "-".to_owned();
        table.add_row([
            row.what.clone(),
            both,
            first,
            second,
            neither,
            row.agreement
                .map_or_else(dash, |share| format!("{:.1} %", 100.0 * share)),
            row.kappa.map_or_else(dash, |kappa| format!("{kappa:.3}")),
            row.interval
                .map_or_else(dash, |(low, high)| format!("{low:.3} to {high:.3}")),
        ]);
    }
    println!("{table}");
    println!(
        "A concept counts as labelled when it is present or uncertain. - : one class only, kappa is not defined."
    );
}
