//! `aftercall redflags report`: the lexicon and its scores as one page for a clinician to sign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::redflag::Lexicon;
use anyhow::Context;

use crate::eval::score::Score;
use crate::eval::set::{self, OWN, Set};
use crate::redflags;
use crate::report::Report;

/// Write one HTML file with every concept, its wordings, rules, thresholds, urgency and scores, ready to sign.
///
/// The file needs no network and prints. Scores come with 95 % Wilson intervals, for each concept on each set.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall redflags report --out redflags.html\n  \
    aftercall redflags report --set dev=dev.jsonl --set li=li.jsonl --out redflags.html"
)]
pub struct Args {
    /// A set to score, by a name of your own; repeat for more. Default: the project's own rows, where they lie here.
    #[arg(long = "set", value_name = "NAME=FILE", value_parser = named)]
    sets: Vec<(String, PathBuf)>,
    /// Where the page goes.
    #[arg(long, value_name = "FILE", default_value = "redflags.html")]
    out: PathBuf,
    /// Folder of the lexicon; default: the one built in.
    #[arg(long, value_name = "DIR")]
    lexicon: Option<PathBuf>,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), file.into()))
        }
        Some(_) | None => Err("write NAME=FILE, such as dev=dev.jsonl".to_owned()),
    }
}

/// Scores the sets and writes the page.
///
/// # Errors
/// A lexicon or a set that cannot be read, or a file that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let files = redflags::files(args.lexicon.as_deref())?;
    let lexicon = redflags::compile(&files)?;
    let own = OWN.iter().map(PathBuf::from).filter(|path| path.exists());
    let own: Vec<(String, PathBuf)> = own.map(|path| (path.display().to_string(), path)).collect();
    let wanted = if args.sets.is_empty() {
        &own
    } else {
        &args.sets
    };
    let sets = wanted
        .iter()
        .map(|(name, path)| Ok((name.clone(), score(&lexicon, path)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let page = Report {
        lexicon: &lexicon,
        files: &files,
        sets: &sets,
    }
    .html();
    let out = args.out.display();
    fs::write(&args.out, page).with_context(|| format!("cannot write {out}"))?;
    println!(
        "{out}: {} concepts, {} sets, lexicon {}",
        lexicon.concepts().len(),
        sets.len(),
        &lexicon.hash()[..12]
    );
    for (name, score) in &sets {
        println!("{name}: {}", score.labels);
    }
    Ok(ExitCode::SUCCESS)
}

fn score(lexicon: &Lexicon, path: &Path) -> anyhow::Result<Score> {
    match set::load(path, lexicon.concepts())? {
        Set::Replies(items) => Ok(Score::of(lexicon.concepts(), &set::judged(lexicon, items))),
        Set::Spans(_) => anyhow::bail!("{}: it holds spans, not replies", path.display()),
    }
}
