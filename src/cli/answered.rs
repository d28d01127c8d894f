//! `aftercall answered`: how well the call tells who answered, over labelled openings.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;

use crate::eval::answered::{self, Listener, Opening, Robot, Row};
use crate::eval::hearing::ECHOED;
use crate::eval::line::{Beds, Condition};
use crate::eval::openings::{figures, lines};
use crate::eval::set::half;
use crate::speech::model::Model;
use crate::speech::prompts::Prompts;
use crate::speech::whisper::Recogniser;
use crate::{dialogs, redflags};

use super::hearing::condition;

/// Call labelled openings (people, voicemails, call screening, announcements, tones) over every line, and print what
/// they were taken for, and when.
///
/// The clips are made by `fixtures/speech/make_speech.py answered --out DIR`: synthetic voices, one half of voices and
/// phrases frozen before anything was tuned. What whisper heard is kept in a file beside the clips, so that a run that
/// was stopped goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall answered /tmp/answered --share 0.2
  aftercall answered /tmp/answered --half tuning --lines alaw,noise10 --misses 20")]
pub struct Args {
    /// Folder of the clips, with `answered.tsv`.
    #[arg(value_name = "DIR")]
    clips: PathBuf,
    /// How much of the set is called: the first part of an order that a hash made.
    #[arg(long, value_name = "0-1", default_value_t = 1.0)]
    share: f64,
    /// frozen (reported) or tuning.
    #[arg(long, default_value = "frozen")]
    half: String,
    /// clean, alaw, noise20, noise10, loss3, loss5, echo.
    #[arg(long, value_delimiter = ',', value_parser = condition, default_value = "alaw,noise20,noise10,loss3")]
    lines: Vec<Condition>,
    /// A GGML whisper file.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
    /// What was heard; default: `words.jsonl` beside the clips.
    #[arg(long, value_name = "FILE")]
    kept: Option<PathBuf>,
    /// Folder of the scripts.
    #[arg(long, value_name = "DIR", default_value = "dialogs")]
    scripts: PathBuf,
    /// Print so many of the openings that were taken for something else.
    #[arg(long, value_name = "N", default_value_t = 0)]
    misses: usize,
    /// Print a JSON object a call instead of the figures.
    #[arg(long)]
    json: bool,
}

/// Calls every opening and prints the figures.
///
/// # Errors
/// A set, script, lexicon, model or clip that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let all = answered::openings(&args.clips)?;
    let (of_half, part) = half(&all, |opening| &opening.half, &args.half, args.share)?;
    let scripts = dialogs::load(&args.scripts)?;
    let scripts = scripts.into_iter().filter(|script| script.id == "general");
    let prompts = Prompts::load(&args.scripts)?;
    let robot = Robot::new(
        redflags::load(None)?,
        &prompts,
        scripts.map(Arc::new).collect(),
    );
    let beds = Beds::load(&args.clips, &args.scripts.join(ECHOED))?;
    let kept = args.kept.clone();
    let kept = kept.unwrap_or_else(|| args.clips.join("words.jsonl"));
    let recogniser = Recogniser::new(&Model::load(&args.model)?)?;
    let mut listener = Listener::new(recogniser, &kept)?;
    let shows = std::io::stderr().is_terminal();
    let mut rows: Vec<(&Opening, Row)> = Vec::new();
    for (nth, opening) in of_half[..part].iter().enumerate() {
        for &line in &args.lines {
            let row = robot.call(opening, line, &beds, &args.clips, &mut listener)?;
            rows.push((opening, row));
        }
        if shows {
            eprint!("\r{}/{part}", nth + 1);
        }
    }
    if shows {
        eprintln!();
    }
    print(args, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn print(args: &Args, rows: &[(&Opening, Row)]) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    if args.json {
        for (_, row) in rows {
            writeln!(out, "{}", serde_json::to_string(row)?).context("cannot print")?;
        }
        return Ok(());
    }
    writeln!(
        out,
        "{} half of the set: {} calls. Synthetic voices; times from the first sound.\n{}",
        args.half,
        rows.len(),
        lines(&figures(rows))
    )
    .context("cannot print")?;
    let missed = rows
        .iter()
        .filter(|(opening, row)| !crate::eval::openings::is_right(opening, row));
    for (opening, row) in missed.take(args.misses) {
        writeln!(
            out,
            "{} [{}] {} | {} {} {:?} | {}",
            row.id,
            row.line,
            opening.text,
            row.met,
            row.by,
            row.met_ms,
            row.words.join(" / ")
        )
        .context("cannot print")?;
    }
    Ok(())
}
