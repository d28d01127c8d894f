//! `aftercall redflags spoken`: labelled replies through voice, line and whisper, next to the same replies as text.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::eval::score::{Item, NOT_A_CLINICIANS, Share};
use crate::eval::set::{self, OWN, Set};
use crate::eval::spoken::{self, Compared};
use crate::redflags;
use crate::speech::model::Model;
use crate::speech::whisper::Recogniser;

/// Judge spoken replies as a call hears them, next to the same replies as text.
///
/// The clips are made by `fixtures/speech/make_speech.py rows --out DIR`: synthetic voices, a third clear, a third in
/// noise, a third for a line that loses packets. Each goes through A-law, RTP, our jitter buffer, the ear and whisper.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  aftercall redflags spoken /tmp/spoken --errors 20")]
pub struct Args {
    /// Folder of the clips, with `spoken.tsv`.
    #[arg(value_name = "DIR")]
    clips: PathBuf,
    /// Files of labelled replies; default: the project's own rows.
    #[arg(value_name = "SET")]
    sets: Vec<PathBuf>,
    /// Folder of the lexicon; default: the one built in.
    #[arg(long, value_name = "DIR")]
    lexicon: Option<PathBuf>,
    /// A GGML whisper file.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
    /// Print so many of the alerts that hearing lost or made.
    #[arg(long, value_name = "N", default_value_t = 0)]
    errors: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Hears every clip.
///
/// # Errors
/// A lexicon, set, model or clip that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lexicon = redflags::load(args.lexicon.as_deref())?;
    let own: Vec<PathBuf> = OWN.iter().map(PathBuf::from).collect();
    let sets = if args.sets.is_empty() {
        &own
    } else {
        &args.sets
    };
    let mut items: BTreeMap<String, Item> = BTreeMap::new();
    for path in sets {
        if let Set::Replies(replies) = set::load(path, lexicon.concepts())? {
            items.extend(replies.into_iter().map(|item| (item.id.clone(), item)));
        }
    }
    let clips = spoken::clips(&args.clips)?;
    ensure!(!clips.is_empty(), "{}: no clips", args.clips.display());
    let mut recogniser = Recogniser::new(&Model::load(&args.model)?)?;
    let progress = std::io::stderr().is_terminal();
    let mut rows = Vec::new();
    for (nth, clip) in clips.iter().enumerate() {
        let item = items
            .get(&clip.id)
            .with_context(|| format!("{}: no such row in the sets", clip.id))?;
        rows.push(spoken::hear(
            &mut recogniser,
            &lexicon,
            &args.clips,
            clip,
            item,
        )?);
        if progress {
            eprint!("\r{}/{}", nth + 1, clips.len());
        }
    }
    if progress {
        eprintln!();
    }
    let groups = spoken::compare(&rows);
    let mut out = std::io::stdout();
    if args.json {
        let printed = serde_json::json!({ "groups": groups, "rows": rows });
        writeln!(out, "{printed}").context("cannot print")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{} rows. {NOT_A_CLINICIANS}", rows.len()).context("cannot print")?;
    for (name, group) in &groups {
        writeln!(out, "{}", lines(name, group)).context("cannot print")?;
    }
    let changed = rows.iter().filter(|row| row.from_text != row.from_sound);
    for row in changed.take(args.errors) {
        let what = if row.from_text { "lost" } else { "made" };
        let heard = row.heard.as_deref().unwrap_or("(nothing)");
        writeln!(
            out,
            "{what} {} [{}] {} | {heard}",
            row.id, row.condition, row.said
        )
        .context("cannot print")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(name: &str, group: &Compared) -> String {
    format!(
        "== {name}: {} rows\n  sensitivity  text {}  heard {}\n  specificity  text {}  heard {}\n  alerts lost: \
         {} by hearing, {} not heard at all (asked again), {} by judging",
        group.rows,
        share(group.sensitivity_text.share()),
        share(group.sensitivity_heard.share()),
        share(group.specificity_text.share()),
        share(group.specificity_heard.share()),
        group.lost_by_hearing,
        group.not_heard,
        group.lost_by_judging
    )
}

fn share(share: Share) -> String {
    match share.share {
        Some(value) => format!(
            "{:.1}% [{:.1}-{:.1}] {}/{}",
            100.0 * value,
            100.0 * share.low,
            100.0 * share.high,
            share.hits,
            share.of
        ),
        None => "-".to_owned(),
    }
}
