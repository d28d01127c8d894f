//! `aftercall rehearse`: an author plays the patient at the keyboard, in virtual time.

use std::io::{BufRead, IsTerminal, stdin};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use aftercall_core::lang::Lang;
use aftercall_core::patient::{Contact, Hearing, Relation, Topic};
use aftercall_core::phi::Phi;
use aftercall_core::script::Facts;
use aftercall_core::time::Timestamp;
use anyhow::Context;
use jiff::civil::Date;
use serde_json::json;

use crate::rehearsal::{By, Outcome, Rehearsal};
use crate::{dialogs, redflags};

/// Play the patient at the keyboard and see the path, the findings and the work order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall rehearse dialogs/cardiac --day 3
  printf '是我\\n九月十四号\\n昨天晚上胸口闷\\n' | aftercall rehearse dialogs/cardiac --day 3 --lang zh

A line is what the patient says. An empty line is silence, `=0412` presses keys, `?` is noise without words; the end
of the input hangs up. No telephone, no sound, no clock: time passes as the prompts would take.")]
pub struct Args {
    /// The script's folder.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Days after discharge.
    #[arg(long, default_value_t = 3)]
    day: u16,
    #[arg(long, default_value = "zh", value_parser = parse_lang)]
    lang: Lang,
    /// Name of the patient played.
    #[arg(long)]
    name: Option<String>,
    /// Date of birth of the patient played (YYYY-MM-DD).
    #[arg(long, default_value = "1951-09-14")]
    birth: Date,
    /// A listed relative: NAME:spouse|child|parent|sibling|guardian|other.
    #[arg(long, value_name = "NAME:RELATION", value_parser = parse_contact)]
    contact: Vec<Contact>,
    /// A human follows up what a high-risk patient refuses.
    #[arg(long)]
    high_risk: bool,
    /// The record says that the patient knows the diagnosis.
    #[arg(long)]
    knows_diagnosis: bool,
    /// Print one JSON object at the end instead of the conversation.
    #[arg(long)]
    json: bool,
}

fn parse_lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text).ok_or_else(|| "write zh or en".to_owned())
}

fn parse_contact(text: &str) -> Result<Contact, String> {
    let (name, relation) = text
        .split_once(':')
        .ok_or("write NAME:RELATION, as 李梅:spouse")?;
    let relation = match relation {
        "spouse" => Relation::Spouse,
        "child" => Relation::Child,
        "parent" => Relation::Parent,
        "sibling" => Relation::Sibling,
        "guardian" => Relation::Guardian,
        "other" => Relation::Other,
        _ => return Err(format!("`{relation}` is no relation")),
    };
    Ok(Contact {
        name: Phi::new(name.to_owned()),
        relation,
        phone: None,
        topics: vec![Topic::Health, Topic::Medicines, Topic::Appointments],
    })
}

/// Rehearses one call.
///
/// # Errors
/// A folder, script or lexicon that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let shelf = dialogs::Shelf::find(&args.dir)?;
    let id = shelf.folders.first().context("no script in this folder")?;
    let script = dialogs::one(&args.dir, id, args.lang)?;
    let lexicon = Arc::new(redflags::load(None)?);
    let mut rehearsal = Rehearsal::begin(script, facts(args), lexicon);
    show(&mut rehearsal, args);
    if stdin().is_terminal() && !args.json {
        eprintln!(
            "(you are the patient; an empty line is silence, =12 presses keys, Ctrl-D hangs up)"
        );
    }
    for line in stdin().lock().lines() {
        if rehearsal.is_over() {
            break;
        }
        rehearsal.hear(line.context("the keyboard")?.trim());
        show(&mut rehearsal, args);
    }
    report(&rehearsal.end(args.high_risk, Timestamp::now()), args);
    Ok(ExitCode::SUCCESS)
}

fn show(rehearsal: &mut Rehearsal, args: &Args) {
    for line in rehearsal.take_lines() {
        if args.json {
            continue;
        }
        let text = match (line.by, line.text.as_str()) {
            (By::Patient, "") => "(silence)",
            (_, text) => text,
        };
        let who = match line.by {
            By::Robot => "robot  ",
            By::Patient => "patient",
            By::Script => "       ",
        };
        println!("{:>5.0} s  {who}  {text}", line.at_s);
    }
}

fn report(outcome: &Outcome, args: &Args) {
    let Outcome {
        disposition,
        progress,
        seconds,
        path,
        findings,
        order,
    } = outcome;
    if args.json {
        let path = path
            .iter()
            .map(|(node, meaning)| json!({ "node": node, "meaning": meaning }));
        let view = json!({
            "disposition": disposition,
            "progress": progress,
            "seconds": seconds.round(),
            "path": path.collect::<Vec<_>>(),
            "findings": findings,
            "work_order": order,
        });
        println!("{view}");
        return;
    }
    println!("\ndisposition  {disposition} after {seconds:.0} s");
    println!(
        "progress     identified {}, screened {}, closing spoken {}",
        progress.identified, progress.screened, progress.closing_spoken
    );
    let path: Vec<String> = path.iter().map(|(n, m)| format!("{n}={m}")).collect();
    println!("path         {}", path.join(" "));
    for placed in findings {
        let found = &placed.finding;
        println!(
            "finding      {} {} ({}, at {})",
            found.concept, found.polarity, found.urgency, placed.node
        );
    }
    match order {
        Some(order) => {
            let causes = order
                .causes
                .iter()
                .filter_map(|c| serde_json::to_value(c).ok());
            let kinds = causes.filter_map(|c| c["kind"].as_str().map(str::to_owned));
            println!(
                "work order   {}: {}",
                order.urgency,
                kinds.collect::<Vec<_>>().join(", ")
            );
        }
        None => println!("work order   none"),
    }
}

fn facts(args: &Args) -> Facts {
    let (hospital, name) = match args.lang {
        Lang::Zh => ("仁和医院", "王建国"),
        Lang::En => ("Renhe Hospital", "Robert Chen"),
    };
    let today = jiff::Zoned::now().date();
    Facts {
        lang: args.lang,
        day: args.day,
        hospital: hospital.to_owned(),
        patient: Phi::new(args.name.clone().unwrap_or_else(|| name.to_owned())),
        birth: Some(Phi::new(args.birth)),
        contacts: args.contact.clone(),
        knows_diagnosis: args.knows_diagnosis,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: None,
        crisis_line: None,
        callback_number: "010 5550 1234".to_owned(),
        next_call: None,
        today,
        earlier: None,
    }
}
