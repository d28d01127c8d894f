//! `aftercall assess`: red flags in replies, from a file of items or for one reply in plain words.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::finding::{Finding, Polarity, Urgency};
use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::{Assessment, Lexicon, Reply, assess};
use aftercall_core::signature::unchanged;
use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::redflags;

/// Judge replies for red flags: items as JSON lines in, predictions out.
///
/// An item has `id`, `lang` (zh or en), `question`, `reply` and `context` {`type`, `asks`, `respondent`}.
/// A broken line is named on stderr, the rest goes on, and the exit status is 1.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall assess < items.jsonl > predictions.jsonl\n  \
    aftercall assess --explain --lang zh --ask chest_pain --type yes_no 没有，就是胸口闷"
)]
pub struct Args {
    /// Folder of the lexicon; default: the one built in.
    #[arg(long, value_name = "DIR")]
    lexicon: Option<PathBuf>,
    /// Explain one reply in plain words.
    #[arg(long, requires = "reply")]
    explain: bool,
    /// Language of the explained reply: zh or en.
    #[arg(long, default_value = "zh")]
    lang: String,
    /// A concept that the question asks; repeat for more.
    #[arg(long, value_name = "CONCEPT")]
    ask: Vec<String>,
    /// Form of the question: yes_no, yes_no_negated, yes_no_inverse, wh or open.
    #[arg(long = "type", default_value = "open", value_name = "TYPE")]
    kind: String,
    /// The words of the question.
    #[arg(long, default_value = "")]
    question: String,
    /// Who answers: patient or caregiver.
    #[arg(long, default_value = "patient")]
    respondent: String,
    /// Print the full result as JSON instead of plain words.
    #[arg(long)]
    json: bool,
    /// The reply to explain.
    reply: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    lang: String,
    #[serde(default)]
    question: String,
    reply: String,
    #[serde(default)]
    context: Frame,
    #[serde(default)]
    logprob: Option<f32>,
}

/// How the reply was asked for, as an item says it.
#[derive(Default, Deserialize)]
pub(crate) struct Frame {
    #[serde(default, rename = "type")]
    pub kind: QuestionKind,
    #[serde(default)]
    pub asks: Vec<ConceptId>,
    #[serde(default)]
    pub respondent: Respondent,
}

#[derive(Serialize)]
struct Prediction<'a> {
    id: &'a str,
    findings: &'a [Finding],
    alert: bool,
}

/// Judges standard input, or explains the one reply.
///
/// # Errors
/// A lexicon that cannot be loaded, wrong arguments, or an input that cannot be read.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let lexicon = redflags::load(args.lexicon.as_deref())?;
    let signature = redflags::signature(args.lexicon.as_deref())?;
    if let Err(problem) = unchanged(&lexicon.claim(signature.as_ref())) {
        eprintln!("aftercall: warning: {problem}; no call would be judged by it");
    }
    match &args.reply {
        Some(reply) => one(args, &lexicon, reply),
        None => lines(&lexicon),
    }
}

fn lines(lexicon: &Lexicon) -> anyhow::Result<ExitCode> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut broken = 0_usize;
    for (at, line) in std::io::stdin().lock().split(b'\n').enumerate() {
        let line = line.context("cannot read standard input")?;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let judged = item(&line).map(|(item, question)| {
            let reply = Reply {
                text: &item.reply,
                logprob: item.logprob,
            };
            (assess(lexicon, &question, &reply), item.id)
        });
        match judged {
            Ok((assessment, id)) => {
                let prediction = Prediction {
                    id: &id,
                    findings: &assessment.findings,
                    alert: assessment.alert,
                };
                serde_json::to_writer(&mut out, &prediction)?;
                out.write_all(b"\n")?;
            }
            Err(problem) => {
                broken += 1;
                eprintln!("aftercall: line {}: {problem}", at + 1);
            }
        }
    }
    out.flush()?;
    Ok(if broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn item(line: &[u8]) -> Result<(Item, Question), String> {
    let mut item: Item = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let lang = Lang::parse(&item.lang)
        .ok_or_else(|| format!("unknown language `{}`; use zh or en", item.lang))?;
    let question = Question {
        lang,
        text: std::mem::take(&mut item.question),
        kind: item.context.kind,
        asks: std::mem::take(&mut item.context.asks),
        respondent: item.context.respondent,
    };
    Ok((item, question))
}

fn one(args: &Args, lexicon: &Lexicon, text: &str) -> anyhow::Result<ExitCode> {
    let word = |value: &str| serde_json::Value::String(value.to_owned());
    let kind: QuestionKind = serde_json::from_value(word(&args.kind))
        .with_context(|| format!("--type {}", args.kind))?;
    let respondent: Respondent = serde_json::from_value(word(&args.respondent))
        .with_context(|| format!("--respondent {}", args.respondent))?;
    let lang =
        Lang::parse(&args.lang).with_context(|| format!("--lang {}: use zh or en", args.lang))?;
    for id in &args.ask {
        let known = lexicon.concepts().iter().any(|c| c.id.0 == *id);
        anyhow::ensure!(
            known,
            "--ask {id}: no such concept; they are listed in dialogs/redflags/concepts.tsv"
        );
    }
    let asks = args.ask.iter().cloned().map(ConceptId).collect();
    let question = Question {
        lang,
        text: args.question.clone(),
        kind,
        asks,
        respondent,
    };
    let assessment = assess(
        lexicon,
        &question,
        &Reply {
            text,
            logprob: None,
        },
    );
    if args.json {
        let prediction = Prediction {
            id: "",
            findings: &assessment.findings,
            alert: assessment.alert,
        };
        println!("{}", serde_json::to_string_pretty(&prediction)?);
    } else {
        explain(lexicon, &assessment);
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(lexicon: &Lexicon, assessment: &Assessment) {
    if assessment.findings.is_empty() {
        println!("Nothing is said about a red flag.");
    }
    for finding in &assessment.findings {
        let name = lexicon
            .concepts()
            .iter()
            .find(|c| c.id == finding.concept)
            .map_or("", |c| c.en.as_str());
        let evidence = &finding.evidence;
        println!(
            "{}: {} ({})",
            finding.concept,
            state(finding.polarity),
            name
        );
        println!("  how soon: {}", soon(finding.urgency));
        let said: String = evidence
            .raw
            .chars()
            .skip(evidence.span.0)
            .take(evidence.span.1 - evidence.span.0)
            .collect();
        println!(
            "  said: \"{said}\" (characters {}-{})",
            evidence.span.0, evidence.span.1
        );
        if evidence.term.is_empty() {
            println!("  read through the question");
        } else {
            println!("  wording: {} (by {:?})", evidence.term, evidence.level);
        }
        for rule in &evidence.rules {
            let cue: String = evidence
                .raw
                .chars()
                .skip(rule.span.0)
                .take(rule.span.1 - rule.span.0)
                .collect();
            println!(
                "  rule {}: \"{cue}\" makes {} {}",
                rule.rule, rule.before, rule.after
            );
        }
    }
    for kept in &assessment.suppressed {
        println!("not counted: {} ({})", kept.concept, kept.why);
    }
    println!(
        "{}",
        if assessment.alert {
            "ALERT: a nurse must see this."
        } else {
            "No alert."
        }
    );
}

fn state(polarity: Polarity) -> &'static str {
    match polarity {
        Polarity::Present => "there",
        Polarity::Uncertain => "perhaps there",
        Polarity::Historical => "there before, not now",
        Polarity::OtherPerson => "another person's",
        Polarity::Absent => "not there",
    }
}

fn soon(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Emergent => "at once",
        Urgency::Urgent => "within hours",
        Urgency::SameDay => "the same day",
        Urgency::Routine => "for the record",
    }
}
