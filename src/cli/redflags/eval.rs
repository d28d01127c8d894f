//! `aftercall redflags eval`: how well labelled replies are judged, with intervals, and gates for a build.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::finding::Urgency;
use aftercall_core::redflag::Lexicon;
use anyhow::Context;
use serde::Serialize;

use crate::eval::negex::{self, SpanScore};
use crate::eval::score::{Alerts, Difference, Pairs, Score, Share};
use crate::eval::set::{self, OWN, Set};
use crate::redflags;

/// Score the red-flag judgement on labelled sets.
///
/// A set is a file of items as JSON lines (as `aftercall assess` reads them, with `expected` and `alert`), our own
/// rows (`rows.zh.tsv`), or targets of the NegEx kit; each is read where it lies. Every share comes with its 95 %
/// Wilson interval. No label is a clinician's until a file signed by one says so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  aftercall redflags eval\n  \
    aftercall redflags eval dev.jsonl --errors 20 --min-sensitivity 0.98 --min-specificity 0.95")]
pub struct Args {
    /// Files to score; default: the project's own rows.
    #[arg(value_name = "SET")]
    sets: Vec<PathBuf>,
    /// Folder of the lexicon; default: the one built in.
    #[arg(long, value_name = "DIR")]
    lexicon: Option<PathBuf>,
    /// Print so many of the items judged otherwise than labelled, the gravest first.
    #[arg(long, value_name = "N", default_value_t = 0)]
    errors: usize,
    /// Print one JSON object a set instead of tables.
    #[arg(long)]
    json: bool,
    /// Fail when fewer of the labelled alerts are raised, in any set of replies (0 to 1).
    #[arg(long, value_name = "SHARE")]
    min_sensitivity: Option<f64>,
    /// Fail when fewer of the emergent concepts are found themselves.
    #[arg(long, value_name = "SHARE")]
    min_emergent: Option<f64>,
    /// Fail when fewer of the replies without a red flag stay quiet.
    #[arg(long, value_name = "SHARE")]
    min_specificity: Option<f64>,
    /// Fail when the strict F1 of concepts called present is lower.
    #[arg(long, value_name = "F1")]
    min_f1: Option<f64>,
}

#[derive(Serialize)]
struct Printed<'a, T> {
    set: &'a str,
    lexicon: &'a str,
    #[serde(flatten)]
    score: &'a T,
}

/// Scores every set in turn.
///
/// # Errors
/// A lexicon or a set that cannot be read. A gate that is missed is said on stderr, and the exit status is 1.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lexicon = redflags::load(args.lexicon.as_deref())?;
    let own = OWN.iter().map(PathBuf::from).collect();
    let sets = if args.sets.is_empty() {
        &own
    } else {
        &args.sets
    };
    let mut missed = Vec::new();
    for path in sets {
        let name = path.display().to_string();
        match set::load(path, lexicon.concepts())? {
            Set::Replies(items) => {
                let score = Score::of(lexicon.concepts(), &set::judged(&lexicon, items));
                show(args, &lexicon, &name, &score, reply_lines)?;
                missed.extend(gates(args, &score).map(|gate| format!("{name}: {gate}")));
            }
            Set::Spans(spans) => {
                let score = negex::score(&lexicon, &spans);
                show(args, &lexicon, &name, &score, span_lines)?;
            }
        }
    }
    for gate in &missed {
        eprintln!("aftercall: {gate}");
    }
    Ok(if missed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn show<T: Serialize>(
    args: &Args,
    lexicon: &Lexicon,
    name: &str,
    score: &T,
    table: fn(&T, usize) -> Vec<String>,
) -> anyhow::Result<()> {
    let text = if args.json {
        let printed = Printed {
            set: name,
            lexicon: lexicon.hash(),
            score,
        };
        serde_json::to_string(&printed)?
    } else {
        let head = format!("=== {name}   lexicon {}", &lexicon.hash()[..12]);
        let lines = [vec![head], table(score, args.errors), vec![String::new()]];
        lines.concat().join("\n")
    };
    writeln!(std::io::stdout(), "{text}").context("cannot print")
}

/// The gates that this set misses, in words.
fn gates(args: &Args, score: &Score) -> impl Iterator<Item = String> + use<> {
    let checked = [
        ("sensitivity", args.min_sensitivity, score.sensitivity.share),
        ("emergent", args.min_emergent, score.emergent.share),
        ("specificity", args.min_specificity, score.specificity.share),
        ("F1", args.min_f1, Some(score.f1_strict)),
    ];
    checked.into_iter().filter_map(|(what, least, got)| {
        let (least, got) = (least?, got?);
        (got < least).then(|| format!("{what} {got:.4} is below {least}"))
    })
}

fn reply_lines(score: &Score, errors: usize) -> Vec<String> {
    let mut lines = vec![
        format!("{} items. {}", score.items, score.labels),
        "== alerts, with 95 % intervals".to_owned(),
        alerts("ALL", &score.alerts),
    ];
    lines.extend(score.groups.iter().map(|(name, group)| alerts(name, group)));
    lines.extend([
        format!("emergent concepts found themselves   {}", share(score.emergent)),
        format!("items with one that raised an alert  {}", share(score.emergent_alerted)),
        "== concepts called present, routine ones left out".to_owned(),
        f1("strict", &score.strict),
        f1("lenient (uncertain forgiven)", &score.lenient),
        f1("family", &score.family),
        "== by concept (! emergent): labelled present or uncertain and found so; right of all found so; \
         labelled absent, past or another's and kept quiet"
            .to_owned(),
    ]);
    lines.extend(score.concepts.iter().map(|one| {
        let mark = match one.urgency {
            Urgency::Emergent => "!",
            Urgency::Urgent | Urgency::SameDay | Urgency::Routine => " ",
        };
        format!(
            "{mark}{:<30} sens {}  ppv {}  quiet {}",
            one.concept,
            share(one.sensitivity),
            share(one.ppv),
            share(one.specificity)
        )
    }));
    if errors > 0 {
        let all = score.errors.len();
        lines.push(format!(
            "== judged otherwise than labelled ({all}; first {errors})"
        ));
    }
    lines.extend(score.errors.iter().take(errors).map(difference));
    lines
}

fn difference(error: &Difference) -> String {
    let note = match error.note.as_str() {
        "" => String::new(),
        note => format!(" | note: {note}"),
    };
    format!(
        "{:<7} {} [{}] Q:{} A:{} | missed {:?} extra {:?}{note}",
        error.fault.name(),
        error.id,
        error.category,
        error.question,
        error.reply,
        error.missed,
        error.extra
    )
}

fn span_lines(score: &SpanScore, errors: usize) -> Vec<String> {
    let mut lines = vec![
        format!("{} spans. {}", score.spans, score.labels),
        f1("negation: negated", &score.negated),
        f1("temporality: historical", &score.historical),
        f1("experiencer: not the patient", &score.other_person),
    ];
    lines.extend(score.errors.iter().take(errors).cloned());
    lines
}

fn alerts(name: &str, alerts: &Alerts) -> String {
    format!(
        "{name:<28} n={:<5} sens {}  spec {}  ppv {}  miss={} false={}",
        alerts.raised + alerts.missed + alerts.quiet + alerts.raised_for_nothing,
        share(alerts.sensitivity()),
        share(alerts.specificity()),
        share(alerts.ppv()),
        alerts.missed,
        alerts.raised_for_nothing
    )
}

/// `98.4% [95.1-99.6] 187/190`, at a fixed width.
fn share(share: Share) -> String {
    let text = match share.share {
        Some(value) => format!(
            "{:5.1}% [{:.1}-{:.1}] {}/{}",
            100.0 * value,
            100.0 * share.low,
            100.0 * share.high,
            share.hits,
            share.of
        ),
        None => "    -".to_owned(),
    };
    format!("{text:<29}")
}

fn f1(name: &str, pairs: &Pairs) -> String {
    format!(
        "{name:<30} P {:.3} R {:.3} F1 {:.3}  tp={} fp={} fn={}",
        pairs.precision(),
        pairs.recall(),
        pairs.f1(),
        pairs.tp,
        pairs.fp,
        pairs.missed
    )
}
