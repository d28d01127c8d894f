//! `aftercall audit`: the audit sample at the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::audit::Verdict;
use aftercall_core::audit_chain::Head;
use aftercall_core::time::Timestamp;
use anyhow::Context as _;
use comfy_table::{Table, presets};

use super::audit_log;
use super::migrate::Place;
use crate::store::Store;
use crate::store::audit_item::{AuditState, Period};
use crate::store::page::PageRequest;
use crate::web::{AuditItemView, EstimateView, FiguresView, VerdictsView, decision};

/// What QA listens to again, its verdicts, how well red flags are found in the field; and who did what.
///
/// A random share of the calls that raised no alert, and of the findings that were not counted, is drawn as calls
/// end ([audit] in aftercall.toml). The words and the recording of an item are those of its call in the API.
///
/// `log`, `verify` and `head` are about the audit log: every look at a patient's record is in it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall audit list\n  aftercall audit decide ID right --by li\n  \
    aftercall audit decide ID missed --concept chest_pain --by li\n  aftercall audit figures --since 2026-11-01T00:00:00Z"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    place: Place,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what was drawn, the oldest first.
    #[command(after_help = "Example:\n  aftercall audit list --state decided --json")]
    List {
        /// open, decided or all.
        #[arg(long, default_value = "open")]
        state: Choice,
    },
    Decide(Decide),
    /// Print sensitivity and positive predictive value in the field, with 95 % intervals.
    #[command(
        after_help = "Example:\n  aftercall audit figures --since 2026-11-01T00:00:00Z --json"
    )]
    Figures {
        /// Calls that ended from then on (RFC 3339).
        #[arg(long, value_name = "TIME")]
        since: Option<Timestamp>,
        /// Calls that ended before.
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
    /// Print who did what, in the order written.
    #[command(after_help = "Example:\n  aftercall audit log --json > audit.jsonl")]
    Log {
        /// The id of one record: a patient, a call, an order, an account.
        #[arg(long, value_name = "ID")]
        subject: Option<String>,
    },
    /// Print the last link of the log's chain, to be kept outside the database.
    #[command(after_help = "Example:\n  aftercall audit head >> /mnt/elsewhere/heads")]
    Head,
    /// Walk the log's chain: a changed byte, a lost entry and a cut tail are found and placed. Exits with 1 then.
    #[command(
        after_help = "Examples:\n  aftercall audit verify\n  aftercall audit verify --head \"$(tail -n1 heads)\""
    )]
    Verify {
        /// A head that was kept: the log must still go on from it.
        #[arg(long, value_name = "NUMBER:HASH", value_parser = audit_log::head)]
        head: Option<Head>,
        /// The same, as the event `audit.head` brought it (JSON); its signature is checked.
        #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "head")]
        event: Option<PathBuf>,
        /// Public half (base64) of the key that signs heads.
        #[arg(long, value_name = "BASE64")]
        key: Option<String>,
    },
}

/// Give an item its verdict, once.
///
/// right: it is as written down. wrong: it is not, but nothing that should have alerted was lost.
/// missed: something should have alerted and did not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  aftercall audit decide ID missed --concept chest_pain --by li")]
struct Decide {
    id: String,
    verdict: Word,
    /// What should have alerted, with `missed`; left out, it is that of the suppressed finding.
    #[arg(long, value_name = "CONCEPT")]
    concept: Option<String>,
    /// In QA's own words.
    #[arg(long, default_value = "")]
    note: String,
    /// Who decides; this name stands in the audit log.
    #[arg(long, value_name = "NAME")]
    by: String,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Choice {
    Open,
    Decided,
    All,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    Right,
    Wrong,
    Missed,
}

/// Runs one of the three.
///
/// # Errors
/// A database that refuses, an item that has a verdict, or a concept that is none.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        let mut code = ExitCode::SUCCESS;
        match &args.command {
            Command::List { state } => list(&store, *state, args.json).await?,
            Command::Decide(wanted) => decide(&store, wanted, args.json).await?,
            Command::Figures { since, until } => {
                let period = Period {
                    since: *since,
                    until: *until,
                };
                figures(&store, &period, args.json).await?;
            }
            Command::Log { subject } => {
                audit_log::log(&store, subject.as_deref(), args.json).await?;
            }
            Command::Head => audit_log::print_head(&store, args.json).await?,
            Command::Verify { head, event, key } => {
                let known = match (event, key) {
                    (Some(event), Some(key)) => Some(audit_log::signed_head(event, key)?),
                    _ => head.clone(),
                };
                code = audit_log::verify(&store, known, args.json).await?;
            }
        }
        store.close().await;
        Ok(code)
    })
}

async fn list(store: &Store, choice: Choice, json: bool) -> anyhow::Result<()> {
    let state = match choice {
        Choice::Open => Some(AuditState::Open),
        Choice::Decided => Some(AuditState::Decided),
        Choice::All => None,
    };
    let mut request = PageRequest {
        limit: 200,
        after: None,
    };
    loop {
        let page = store.audit_items(state, &request).await?;
        for item in &page.items {
            if json {
                println!("{}", serde_json::to_string(&AuditItemView::of(item))?);
            } else {
                line(&AuditItemView::of(item));
            }
        }
        request.after = page.next;
        if request.after.is_none() {
            return Ok(());
        }
    }
}

fn line(item: &AuditItemView) {
    let what = match (&item.concept, item.suppressed) {
        (Some(concept), Some(position)) => format!("suppressed {concept} ({position})"),
        (_, _) => "whole call".to_owned(),
    };
    let verdict = match (item.verdict, &item.missed) {
        (None, _) => "open".to_owned(),
        (Some(verdict), None) => verdict.to_string(),
        (Some(verdict), Some(concept)) => format!("{verdict} {concept}"),
    };
    println!(
        "{}  call {}  {:.0}  {what}  {verdict}",
        item.id, item.attempt, item.drawn_at
    );
}

async fn decide(store: &Store, wanted: &Decide, json: bool) -> anyhow::Result<()> {
    let verdict = match wanted.verdict {
        Word::Right => Verdict::Right,
        Word::Wrong => Verdict::Wrong,
        Word::Missed => Verdict::Missed,
    };
    let decision = decision(verdict, wanted.concept.clone(), wanted.note.clone())
        .map_err(anyhow::Error::msg)
        .context("--concept")?;
    let now = Timestamp::now();
    let (id, by) = (&wanted.id, &wanted.by);
    let item = store.decide_audit_item(id, &decision, by, now).await?;
    store
        .audit(by, "audit_item.decide", id, &verdict.to_string(), now)
        .await?;
    if json {
        println!("{}", serde_json::to_string(&AuditItemView::of(&item))?);
    } else {
        line(&AuditItemView::of(&item));
    }
    Ok(())
}

async fn figures(store: &Store, period: &Period, json: bool) -> anyhow::Result<()> {
    let view = FiguresView::of(&store.audit_tally(period).await?);
    if json {
        println!("{}", serde_json::to_string_pretty(&view)?);
        return Ok(());
    }
    let counts = &view.counts;
    let share = |estimate: Option<EstimateView>| match estimate {
        Some(EstimateView { value, low, high }) => {
            let percent = |share: f64| format!("{:.1}", 100.0 * share);
            [
                format!("{} %", percent(value)),
                format!("{} to {} %", percent(low), percent(high)),
            ]
        }
        None => ["-".to_owned(), "no verdict yet".to_owned()],
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "estimate", "95 % interval", "from"]);
    let rows = [
        (
            "sensitivity",
            view.sensitivity,
            format!(
                "{} alerted and {} quiet calls",
                counts.alerted_calls, counts.quiet_calls
            ),
        ),
        (
            "positive predictive value",
            view.ppv,
            format!(
                "{} true, {} false",
                counts.alerted_true, counts.alerted_false
            ),
        ),
        (
            "quiet calls with a miss",
            view.missed,
            verdicts(&view.counts.calls),
        ),
        (
            "suppressed findings missed",
            view.suppressed_missed,
            verdicts(&view.counts.suppressed),
        ),
    ];
    for (name, estimate, from) in rows {
        let [value, interval] = share(estimate);
        table.add_row([name.to_owned(), value, interval, from]);
    }
    println!("{table}");
    println!(
        "Alerts are verified by the outcomes of their work orders, the others by QA's verdicts."
    );
    Ok(())
}

fn verdicts(counts: &VerdictsView) -> String {
    format!(
        "{} right, {} wrong, {} missed",
        counts.right, counts.wrong, counts.missed
    )
}
