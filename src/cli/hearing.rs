//! `aftercall hearing`: how well the ear hears short and whole replies over every kind of line.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use aftercall_core::lang::Lang;
use aftercall_core::script::Script;
use anyhow::{Context, bail};

use crate::eval::answered::Robot;
use crate::eval::elder::{self, Elder, Manner};
use crate::eval::heard::{figures, lines};
use crate::eval::hearing::{self, Asking, ECHOED, Item, Row, Variant};
use crate::eval::line::{Beds, Condition};
use crate::eval::nonspeech::{self, SECONDS, Sound};
use crate::eval::real;
use crate::eval::set::{self, OWN, Set, half};
use crate::speech::model::Model;
use crate::speech::prompts::Prompts;
use crate::speech::whisper::Recogniser;
use crate::{dialogs, redflags};

/// Hear a spoken set over every line, and print what was understood, what came out wrong and what was invented.
///
/// The clips are made by `fixtures/speech/make_speech.py hearing --out DIR`: synthetic voices, one half of voices and
/// phrases frozen before anything was tuned. Everything heard is kept in a file beside the clips, so that a run that
/// was stopped goes on where it was.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall hearing /tmp/hearing --share 0.2
  aftercall hearing /tmp/hearing --conditions clean,noise10 --variants full,no-relistening
  aftercall hearing /tmp/hearing --elder --share 0.2
  aftercall hearing /tmp/hearing --share 0 --misses 20     only the figures of what was heard before")]
pub struct Args {
    /// Folder of the clips, with `hearing.tsv`.
    #[arg(value_name = "DIR")]
    clips: PathBuf,
    /// How much of the set is heard: the first part of an order that a hash made.
    #[arg(long, value_name = "0-1", default_value_t = 1.0)]
    share: f64,
    /// frozen (reported) or tuning.
    #[arg(long, default_value = "frozen")]
    half: String,
    /// clean, alaw, noise20, noise10, loss3, loss5, echo.
    #[arg(long, value_delimiter = ',', value_parser = condition)]
    conditions: Vec<Condition>,
    /// full, no-hot-words, no-choices, no-relistening, whole-context, no-padding, beam (as the second ear hears).
    #[arg(long, value_delimiter = ',', value_parser = variant, default_value = "full")]
    variants: Vec<Variant>,
    /// Only these: yes_no, choice, number, symptom, row; with `--nobody` sounds, as television.
    #[arg(long, value_delimiter = ',')]
    groups: Vec<String>,
    /// A GGML whisper file.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
    /// What was heard; default: `heard.jsonl` beside the clips.
    #[arg(long, value_name = "FILE")]
    kept: Option<PathBuf>,
    /// Folder of the scripts.
    #[arg(long, value_name = "DIR", default_value = "dialogs")]
    scripts: PathBuf,
    /// Instead of the clips, so many hours in which nobody speaks to the robot: what of them is taken for words.
    #[arg(long, value_name = "HOURS")]
    nobody: Option<f64>,
    /// Instead of single answers, replies with pauses of 2.5 s inside, each said to a whole call under the profile for who
    /// hears badly: how often the robot speaks into them, and how long it waits after them.
    #[arg(long, conflicts_with = "nobody")]
    elder: bool,
    /// DIR holds recordings of real people with `clips.tsv` (id, lang, set, seconds, text, source): how many syllables or
    /// words come out wrong, heard without a question. Lines that add no noise: clean, alaw, loss3, loss5.
    #[arg(long, conflicts_with_all = ["nobody", "elder"])]
    real: bool,
    /// Print so many of the replies that were not understood.
    #[arg(long, value_name = "N", default_value_t = 0)]
    misses: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn condition(name: &str) -> Result<Condition, String> {
    Condition::parse(name).ok_or_else(|| "no such condition".to_owned())
}

fn variant(name: &str) -> Result<Variant, String> {
    Variant::parse(name).ok_or_else(|| "no such variant".to_owned())
}

/// Hears what was not heard before, and prints the figures of all.
///
/// # Errors
/// A set, script, lexicon, model or clip that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(hours) = args.nobody {
        return nobody(args, hours);
    }
    if args.elder {
        return elder_replies(args);
    }
    if args.real {
        return recordings(args);
    }
    let all = hearing::items(&args.clips)?;
    let (of_half, part) = half(&all, |item| &item.half, &args.half, args.share)?;
    let wanted = |item: &&&Item| args.groups.is_empty() || args.groups.contains(&item.group);
    let due: Vec<&Item> = of_half[..part].iter().filter(wanted).copied().collect();
    let kept = args.kept.clone();
    let kept = kept.unwrap_or_else(|| args.clips.join("heard.jsonl"));
    hear(args, &due, &kept)?;
    let by_id: BTreeMap<&str, &Item> = of_half.iter().map(|i| (i.id.as_str(), *i)).collect();
    print(args, &by_id, &read(&kept)?)?;
    Ok(ExitCode::SUCCESS)
}

fn hear(args: &Args, due: &[&Item], kept: &Path) -> anyhow::Result<()> {
    let done: BTreeSet<(String, String, String)> = read(kept)?
        .into_iter()
        .map(|row| (row.id, row.condition, row.variant))
        .collect();
    let conditions = if args.conditions.is_empty() {
        &Condition::ALL[..]
    } else {
        &args.conditions
    };
    let ear = |variant: Variant| named(&args.model, variant);
    let mut jobs = Vec::new();
    // By item first, so that a run that was stopped has heard a fair share over every line.
    for item in due {
        for &variant in &args.variants {
            for &condition in conditions {
                let key = (item.id.clone(), condition.name().to_owned(), ear(variant));
                if !done.contains(&key) {
                    jobs.push((*item, condition, variant));
                }
            }
        }
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let lexicon = redflags::load(None)?;
    let rows = rows(lexicon.concepts())?;
    let scripts = dialogs::load(&args.scripts)?;
    let scripts: Vec<_> = scripts.into_iter().filter(|s| s.id == "general").collect();
    let asking = Asking {
        lexicon: &lexicon,
        scripts: &scripts,
        rows: &rows,
    };
    let beds = Beds::load(&args.clips, &args.scripts.join(ECHOED))?;
    let model = Model::load(&args.model)?;
    let mut recognisers = BTreeMap::new();
    for &variant in &args.variants {
        recognisers.insert(variant, Recogniser::with(&model, variant.habits())?);
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(kept)
        .with_context(|| format!("cannot write {}", kept.display()))?;
    let shows = std::io::stderr().is_terminal();
    for (nth, (item, condition, variant)) in jobs.iter().enumerate() {
        let recogniser = recognisers
            .get_mut(variant)
            .context("one was made for each")?;
        let how = (*condition, *variant);
        let mut row = hearing::hear(recogniser, &asking, &beds, &args.clips, item, how)?;
        row.variant = ear(*variant);
        writeln!(file, "{}", serde_json::to_string(&row)?).context("cannot keep what was heard")?;
        if shows {
            eprint!("\r{}/{}", nth + 1, jobs.len());
        }
    }
    if shows {
        eprintln!();
    }
    Ok(())
}

/// Says the whole replies of the set with pauses, and prints how often the robot spoke into one.
fn elder_replies(args: &Args) -> anyhow::Result<ExitCode> {
    let all = hearing::items(&args.clips)?;
    let (of_half, _) = half(&all, |item| &item.half, &args.half, 1.0)?;
    let rows: Vec<&Item> = of_half
        .iter()
        .filter(|i| i.group == "row")
        .copied()
        .collect();
    let part = (rows.len() as f64 * args.share.clamp(0.0, 1.0)).round() as usize;
    let conditions = match args.conditions.is_empty() {
        true => vec![Condition::Alaw, Condition::Noise20, Condition::Loss3],
        false => args.conditions.clone(),
    };
    let scripts = dialogs::load(&args.scripts)?;
    let scripts = scripts.into_iter().filter(|script| script.id == "general");
    let scripts: Vec<Arc<Script>> = scripts.map(Arc::new).collect();
    let prompts = Prompts::load(&args.scripts)?;
    let elder = Elder {
        robot: &Robot::new(redflags::load(None)?, &prompts, scripts.clone()),
        scripts: &scripts,
        prompts: &prompts,
        beds: &Beds::load(&args.clips, &args.scripts.join(ECHOED))?,
        clips: &args.clips,
    };
    let mut recogniser = Recogniser::new(&Model::load(&args.model)?)?;
    let mut out = std::io::stdout();
    let mut said = Vec::new();
    for (nth, item) in rows[..part].iter().enumerate() {
        let short = of_half
            .iter()
            .filter(|i| i.group == "yes_no" && i.lang == item.lang);
        let short = short
            .cycle()
            .nth(nth)
            .context("the set has short replies")?;
        let condition = conditions[nth % conditions.len()];
        for manner in Manner::ALL {
            let what = (*item, *short, nth / conditions.len());
            said.push(elder.call(&mut recogniser, what, condition, manner)?);
        }
    }
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&said)?).context("cannot print")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "{}", elder::lines(&said)).context("cannot print")?;
    for row in said.iter().filter(|row| row.is_cut).take(args.misses) {
        writeln!(
            out,
            "{} [{}] {} | {} | {}",
            row.id, row.line, row.node, row.said, row.heard
        )
        .context("cannot print")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Hears recordings of real people, and prints what came out wrong by kind, line and ear.
fn recordings(args: &Args) -> anyhow::Result<ExitCode> {
    let quiet = [
        Condition::Clean,
        Condition::Alaw,
        Condition::Loss3,
        Condition::Loss5,
    ];
    let conditions = match args.conditions.is_empty() {
        true => &quiet[..],
        false => &args.conditions,
    };
    if let Some(noisy) = conditions.iter().find(|line| !quiet.contains(line)) {
        bail!(
            "--conditions {}: only clean, alaw, loss3 and loss5 with --real",
            noisy.name()
        );
    }
    let clips = real::clips(&args.clips)?;
    let model = Model::load(&args.model)?;
    let mut out = std::io::stdout();
    for &variant in &args.variants {
        let mut recogniser = Recogniser::with(&model, variant.habits())?;
        let ear = named(&args.model, variant);
        for &line in conditions {
            let figures = real::measure(&mut recogniser, (&args.clips, &clips), line)?;
            if args.json {
                let row = serde_json::json!({ "ear": ear, "line": line.name(), "sets": figures });
                writeln!(out, "{row}").context("cannot print")?;
                continue;
            }
            for (set, f) in &figures {
                let percent = 100.0 * f.wrong as f64 / f.of.max(1) as f64;
                writeln!(
                    out,
                    "{ear}  {:<6} {set:<10} {:>3} clips  wholly right {:>3}  nothing heard {:>2}  wrong {:>3} of {:>3} = {percent:.1} %",
                    line.name(), f.clips, f.right, f.nothing, f.wrong, f.of
                )
                .context("cannot print")?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Listens to so many hours of no words: of the frozen half, or of the other by which thresholds were set.
fn nobody(args: &Args, hours: f64) -> anyhow::Result<ExitCode> {
    let beds = Beds::load(&args.clips, &args.scripts.join(ECHOED))?;
    let lexicon = redflags::load(None)?;
    let mut recogniser = Recogniser::new(&Model::load(&args.model)?)?;
    let stretches = (hours * 3600.0 / (SECONDS * Sound::ALL.len()) as f64).ceil() as usize;
    let from = if args.half == "frozen" { 0 } else { 1_000_000 };
    let mut out = std::io::stdout();
    let mut all = (0, 0, 0, 0);
    let wanted = |sound: &Sound| {
        args.groups.is_empty() || args.groups.iter().any(|name| name == sound.name())
    };
    for sound in Sound::ALL.into_iter().filter(wanted) {
        let (mut cut, mut words, mut found) = (0, 0, 0);
        for nth in from..from + stretches {
            for utterance in nonspeech::cut_out(sound, nth, &beds) {
                cut += 1;
                let lang = if cut % 2 == 0 { Lang::En } else { Lang::Zh };
                let heard = hearing::to_nobody(&mut recogniser, &lexicon, &utterance, lang)?;
                if let Some((text, findings)) = heard {
                    words += 1;
                    found += findings;
                    if words <= args.misses {
                        writeln!(out, "  {}: {text}", sound.name()).context("cannot print")?;
                    }
                }
            }
        }
        let minutes = stretches * SECONDS / 60;
        writeln!(
            out,
            "{:<14} {minutes:>4} min  cut out {cut:>4}  taken for words {words:>4}  with a finding {found:>3}",
            sound.name()
        )
        .context("cannot print")?;
        all = (all.0 + minutes, all.1 + cut, all.2 + words, all.3 + found);
    }
    writeln!(
        out,
        "{:<14} {:>4} min  cut out {:>4}  taken for words {:>4}  with a finding {:>3}",
        "all", all.0, all.1, all.2, all.3
    )
    .context("cannot print")?;
    Ok(ExitCode::SUCCESS)
}

/// The model's file name and what was left out.
fn named(model: &Path, variant: Variant) -> String {
    let stem = model.file_stem().unwrap_or_default().to_string_lossy();
    format!("{stem} {}", variant.name())
}

fn rows(
    concepts: &[aftercall_core::redflag::Concept],
) -> anyhow::Result<BTreeMap<String, crate::eval::score::Item>> {
    let mut rows = BTreeMap::new();
    for path in OWN {
        if let Set::Replies(replies) = set::load(Path::new(path), concepts)? {
            rows.extend(replies.into_iter().map(|item| (item.id.clone(), item)));
        }
    }
    Ok(rows)
}

/// What was heard before; a last line that was cut short is left out.
fn read(kept: &Path) -> anyhow::Result<Vec<Row>> {
    if !kept.exists() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(kept).with_context(|| format!("cannot read {}", kept.display()))?;
    let rows = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    Ok(rows.collect())
}

fn print(args: &Args, items: &BTreeMap<&str, &Item>, rows: &[Row]) -> anyhow::Result<()> {
    let of_half: Vec<Row> = rows
        .iter()
        .filter(|row| items.contains_key(row.id.as_str()))
        .cloned()
        .collect();
    let figures = figures(items, &of_half);
    let mut out = std::io::stdout();
    if args.json {
        let figures: BTreeMap<String, _> = figures
            .iter()
            .map(|((ear, line), figures)| (format!("{ear} {line}"), figures))
            .collect();
        return writeln!(out, "{}", serde_json::to_string(&figures)?).context("cannot print");
    }
    writeln!(
        out,
        "{} half of the set: {} replies. Synthetic voices; first decode only, unsure counts as not understood.",
        args.half,
        items.len()
    )
    .context("cannot print")?;
    for ((ear, line), figures) in &figures {
        writeln!(out, "== {ear}, {line}\n{}", lines(figures)).context("cannot print")?;
    }
    let missed = of_half.iter().filter_map(|row| {
        let item = items.get(row.id.as_str())?;
        let is_right = row.from_sound == row.from_text
            || item.means == "yes" && matches!(row.from_sound.as_str(), "alert" | "asked");
        (!is_right).then_some((item, row))
    });
    for (item, row) in missed.take(args.misses) {
        let heard = row.heard.as_deref().unwrap_or("(nothing)");
        writeln!(
            out,
            "{} [{}] {} | {heard} ({:.2}) | {} for {}",
            row.id,
            row.condition,
            item.text,
            row.logprob.unwrap_or(0.0),
            row.from_sound,
            row.from_text
        )
        .context("cannot print")?;
    }
    Ok(())
}
