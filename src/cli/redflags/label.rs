//! `aftercall redflags label`: a clinician labels a sample of replies, without seeing any other judgement.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::finding::Polarity;
use aftercall_core::id::ConceptId;
use aftercall_core::lang::Lang;
use aftercall_core::question::{Question, QuestionKind, Respondent};
use aftercall_core::redflag::Concept;
use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::eval::sample;
use crate::eval::score::{Expected, Item};
use crate::eval::set::{self, Set};
use crate::redflags;

/// Label a sample of replies: which red flags the words say, and whether a nurse must see it.
///
/// Shows question and reply only: no label, no verdict of the program, nothing of the other rater. Raters with the
/// same set, seed and count get the same replies, each in another order. Every answer is written at once; the same
/// command goes on where it was left. The file is a set itself: `aftercall redflags kappa` compares two of them.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aftercall redflags label dev.jsonl --rater li --out li.jsonl --count 200 --seed 7"
)]
pub struct Args {
    /// The set: JSON lines of items, or our own rows.
    set: PathBuf,
    /// Who labels; the name stands in the file, and the order depends on it.
    #[arg(long, value_name = "NAME")]
    rater: String,
    /// Where the labels go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many replies are drawn.
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: usize,
    /// Decides which ones: the same for both raters.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// A labelled reply as it is written: an item of a set, with who labelled it.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    lang: Lang,
    question: &'a str,
    reply: &'a str,
    context: Frame<'a>,
    expected: &'a [Expected],
    alert: bool,
    labelled_by: &'a str,
}

#[derive(Serialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: QuestionKind,
    asks: &'a [ConceptId],
    respondent: Respondent,
}

/// What a file of labels says of itself.
#[derive(Deserialize)]
struct Done {
    id: String,
    #[serde(default)]
    labelled_by: String,
}

/// What the rater said of one reply.
enum Answer {
    Label(Vec<Expected>, bool),
    /// Enough for now.
    Stop,
}

/// Asks about every reply of the sample that is not labelled yet.
///
/// # Errors
/// A set or file of labels that cannot be read, one of another rater or sample, or a terminal that is gone.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        !args.rater.trim().is_empty(),
        "--rater needs a name: it stands in the file"
    );
    let lexicon = redflags::load(None)?;
    let Set::Replies(items) = set::load(&args.set, lexicon.concepts())? else {
        anyhow::bail!("{}: it holds spans, not replies", args.set.display());
    };
    let sample = sample::draw(items, args.seed, args.count, &args.rater);
    let done = labelled(args, &sample)?;
    let mut desk = Desk {
        concepts: lexicon.concepts(),
        lines: std::io::stdin().lock(),
        out: std::io::stdout().lock(),
    };
    desk.greet(&sample, done.len())?;
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&args.out)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    let open = sample.iter().filter(|item| !done.contains(&item.id));
    let mut count = done.len();
    for item in open {
        count += 1;
        let head = format!("--- {count} / {} ---", sample.len());
        let Answer::Label(expected, alert) = desk.ask(&head, item)? else {
            count -= 1;
            break;
        };
        let line = serde_json::to_string(&written(item, &expected, alert, &args.rater))?;
        writeln!(file, "{line}").and_then(|()| file.flush())?;
    }
    writeln!(
        desk.out,
        "\n已标注 {count} / {} labelled: {}",
        sample.len(),
        args.out.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// The replies that are labelled; refuses a file that two raters or two samples would share.
fn labelled(args: &Args, sample: &[Item]) -> anyhow::Result<BTreeSet<String>> {
    if !args.out.exists() {
        return Ok(BTreeSet::new());
    }
    let name = args.out.display();
    let text = fs::read_to_string(&args.out).with_context(|| format!("cannot read {name}"))?;
    let mut done = BTreeSet::new();
    for (at, line) in text
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
    {
        let row: Done = serde_json::from_str(line).with_context(|| format!("{name}:{}", at + 1))?;
        let by = &row.labelled_by;
        anyhow::ensure!(
            *by == args.rater,
            "{name}:{}: labelled by `{by}`; give each rater a file",
            at + 1
        );
        let drawn = sample.iter().any(|item| item.id == row.id);
        anyhow::ensure!(
            drawn,
            "{name}:{}: {} is not in this sample; use the set, --seed and --count it was begun with",
            at + 1,
            row.id
        );
        done.insert(row.id);
    }
    Ok(done)
}

fn written<'a>(item: &'a Item, expected: &'a [Expected], alert: bool, rater: &'a str) -> Line<'a> {
    let Question {
        lang,
        text,
        kind,
        asks,
        respondent,
    } = &item.question;
    Line {
        id: &item.id,
        lang: *lang,
        question: text,
        reply: &item.reply,
        context: Frame {
            kind: *kind,
            asks,
            respondent: *respondent,
        },
        expected,
        alert,
        labelled_by: rater,
    }
}

/// The rater's terminal.
struct Desk<'a, R, W> {
    concepts: &'a [Concept],
    lines: R,
    out: W,
}

const HELP: &str = "\
概念 状态，用逗号分开；没有就按回车。 Concepts with a state, parted by commas; Enter for none.
  chest_pain 有, fever 可能        fall present, fever absent
  状态 states: 有 present | 可能 uncertain | 以前 historical | 别人 other_person | 没有 absent
  ? 概念表 list of concepts | ?痛 search | q 停下 stop";

impl<R: BufRead, W: Write> Desk<'_, R, W> {
    fn greet(&mut self, sample: &[Item], done: usize) -> std::io::Result<()> {
        writeln!(
            self.out,
            "{} 条，已标注 {done}。 {} replies, {done} labelled.",
            sample.len(),
            sample.len()
        )?;
        writeln!(self.out, "{HELP}")
    }

    fn ask(&mut self, head: &str, item: &Item) -> anyhow::Result<Answer> {
        let who = match item.question.respondent {
            Respondent::Patient => "患者 patient",
            Respondent::Caregiver => "家属 caregiver",
        };
        loop {
            let question = self.wording(&item.question);
            writeln!(
                self.out,
                "\n{head}\n问 Q: {question}\n答 A ({who}): {}",
                item.reply
            )?;
            let Some(expected) = self.concepts_of()? else {
                return Ok(Answer::Stop);
            };
            let Some(alert) = self.yes_or_no("护士要知道吗 must a nurse see it? (y/n)")?
            else {
                return Ok(Answer::Stop);
            };
            let said: Vec<String> = expected
                .iter()
                .map(|label| format!("{} {}", label.concept, label.polarity))
                .collect();
            let said = if said.is_empty() {
                "-".to_owned()
            } else {
                said.join(", ")
            };
            let alert_said = if alert {
                "报警 alert"
            } else {
                "不报 no alert"
            };
            let Some(keep) =
                self.yes_or_no(&format!("{said} | {alert_said}. 对吗 right? (y/n)"))?
            else {
                return Ok(Answer::Stop);
            };
            if keep {
                return Ok(Answer::Label(expected, alert));
            }
        }
    }

    /// The question's words; where a set has none, what it asks for and how.
    fn wording(&self, question: &Question) -> String {
        if !question.text.is_empty() {
            return question.text.clone();
        }
        let asked = self
            .concepts
            .iter()
            .filter(|concept| question.asks.contains(&concept.id));
        let asked: Vec<&str> = asked
            .map(|concept| match question.lang {
                Lang::Zh => concept.zh.as_str(),
                Lang::En => concept.en.as_str(),
            })
            .collect();
        let how = match question.kind {
            QuestionKind::YesNo => "有没有 have you",
            QuestionKind::YesNoNegated => "没有吧 you have not, have you",
            QuestionKind::YesNoInverse => "正常吗 is it as it should be",
            QuestionKind::Wh => "怎么样 what about",
            QuestionKind::Open => "还有什么 anything",
        };
        format!("[{how}] {}", asked.join(" / "))
    }

    /// `None`: the rater stops.
    fn concepts_of(&mut self) -> anyhow::Result<Option<Vec<Expected>>> {
        loop {
            let Some(line) = self.line("概念 concepts")? else {
                return Ok(None);
            };
            if let Some(part) = line.strip_prefix(['?', '？']) {
                self.list(part.trim())?;
                continue;
            }
            match labels(self.concepts, &line) {
                Ok(labels) => return Ok(Some(labels)),
                Err(problem) => writeln!(self.out, "{problem}")?,
            }
        }
    }

    fn yes_or_no(&mut self, prompt: &str) -> anyhow::Result<Option<bool>> {
        loop {
            let Some(line) = self.line(prompt)? else {
                return Ok(None);
            };
            match line.to_lowercase().as_str() {
                "y" | "yes" | "是" | "对" | "要" => return Ok(Some(true)),
                "n" | "no" | "不" | "否" | "不要" => return Ok(Some(false)),
                _ => writeln!(self.out, "y / n")?,
            }
        }
    }

    /// One line of the rater; `None` at `q` and at the end of the input.
    fn line(&mut self, prompt: &str) -> anyhow::Result<Option<String>> {
        write!(self.out, "{prompt}> ").and_then(|()| self.out.flush())?;
        let mut line = String::new();
        let read = self
            .lines
            .read_line(&mut line)
            .context("cannot read the terminal")?;
        let line = line.trim();
        Ok((read > 0 && line != "q").then(|| line.to_owned()))
    }

    fn list(&mut self, part: &str) -> std::io::Result<()> {
        let holds = |concept: &&Concept| {
            [&concept.id.0, &concept.zh, &concept.en]
                .iter()
                .any(|text| text.contains(part))
        };
        for concept in self.concepts.iter().filter(holds) {
            writeln!(
                self.out,
                "  {:<30} {}  {}",
                concept.id.0, concept.zh, concept.en
            )?;
        }
        Ok(())
    }
}

/// Reads `chest_pain 有, fever absent`.
fn labels(concepts: &[Concept], line: &str) -> Result<Vec<Expected>, String> {
    let mut labels: Vec<Expected> = Vec::new();
    let parts = line.split([',', '，', '、', ';', '；']).map(str::trim);
    for part in parts.filter(|part| !part.is_empty()) {
        let (id, state) = part
            .rsplit_once(char::is_whitespace)
            .ok_or_else(|| format!("{part}: 缺少状态 its state is missing (有 present, …)"))?;
        let id = id.trim();
        let known = |id: &str| concepts.iter().find(|concept| concept.id.0 == id);
        let concept = known(id).ok_or_else(|| {
            let nearest = concepts
                .iter()
                .min_by_key(|c| strsim::damerau_levenshtein(&c.id.0, id));
            let nearest = nearest.map_or("", |concept| concept.id.0.as_str());
            format!("{id}: 没有这个概念 no such concept; {nearest}? (?{id} 查找 searches)")
        })?;
        let polarity = match state {
            "有" | "present" => Polarity::Present,
            "可能" | "uncertain" => Polarity::Uncertain,
            "以前" | "historical" => Polarity::Historical,
            "别人" | "other_person" => Polarity::OtherPerson,
            "没有" | "absent" => Polarity::Absent,
            other => {
                return Err(format!(
                    "{other}: 没有这个状态 no such state (有, 可能, 以前, 别人, 没有)"
                ));
            }
        };
        if labels
            .iter()
            .any(|label| label.concept == concept.id && label.polarity == polarity)
        {
            return Err(format!("{id} {state}: 写了两次 stands there twice"));
        }
        labels.push(Expected {
            concept: concept.id.clone(),
            polarity,
        });
    }
    Ok(labels)
}
