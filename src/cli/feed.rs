//! `aftercall feed`.

use std::process::ExitCode;
use std::sync::Arc;

use aftercall_core::feed::Fault;
use aftercall_core::time::Timestamp;
use comfy_table::{Table, presets};
use serde_json::json;

use super::migrate::Place;
use crate::config::Config;
use crate::feed::Feed;
use crate::jobs::PlanClock;
use crate::metrics::Metrics;
use crate::pathways;
use crate::store::Store;
use crate::store::feed::{FeedMessage, MessageState};
use crate::store::page::PageRequest;

/// Messages of the hospital's bus: what could not be applied, why, and applying it again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall feed list\n  aftercall feed list --all --json\n  aftercall feed show MESSAGE --by li\n  \
    aftercall feed replay --dead --by li"
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
    /// List the messages that wait for a person.
    List {
        /// Those of every state.
        #[arg(long)]
        all: bool,
    },
    /// Print a message as it came: health data.
    Show {
        message: String,
        /// Who looks; this name stands in the audit log.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
    /// Apply a message again, after its cause was mended.
    Replay {
        #[arg(required_unless_present = "dead")]
        message: Option<String>,
        /// Every message that waits, in the order in which they came.
        #[arg(long, conflicts_with = "message")]
        dead: bool,
        /// Who does it; this name stands in the audit log.
        #[arg(long, value_name = "NAME")]
        by: String,
    },
}

/// Lists, shows, or applies again.
///
/// # Errors
/// A database that refuses, a message that is none, broken pathways.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let config = Config::find(args.place.config.as_deref())?;
        let store = args.place.open().await?;
        let feed = feed(&store, &config)?;
        let whole = match &args.command {
            Command::List { all } => list(&store, *all, args.json).await?,
            Command::Show { message, by } => show(&store, &feed, message, by, args.json).await?,
            Command::Replay { message, by, .. } => {
                replay(&store, &feed, message.as_deref(), by, args.json).await?
            }
        };
        store.close().await;
        Ok(if whole {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    })
}

fn feed(store: &Store, config: &Config) -> anyhow::Result<Feed> {
    let pathways = pathways::load(&config.scripts.dir, config.cadence())?;
    let metrics = Arc::new(Metrics::new());
    let clock = PlanClock::system();
    Ok(Feed::new(
        store.clone(),
        Arc::new(pathways),
        clock,
        metrics,
        config,
    ))
}

async fn messages(store: &Store, state: Option<MessageState>) -> anyhow::Result<Vec<FeedMessage>> {
    let mut found = Vec::new();
    let mut request = PageRequest {
        limit: 200,
        after: None,
    };
    loop {
        let page = store.feed_messages(state, &request).await?;
        found.extend(page.items);
        match page.next {
            Some(next) => request.after = Some(next),
            None => return Ok(found),
        }
    }
}

async fn list(store: &Store, all: bool, as_json: bool) -> anyhow::Result<bool> {
    let found = messages(store, (!all).then_some(MessageState::Dead)).await?;
    print(&found, as_json)?;
    Ok(true)
}

fn print(found: &[FeedMessage], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let views: Vec<_> = found.iter().map(view).collect();
        println!("{}", serde_json::to_string_pretty(&views)?);
        return Ok(());
    }
    if found.is_empty() {
        println!("no message");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    table.set_header(["message", "received", "event", "state", "field", "fault"]);
    for message in found {
        let fault = message.fault.as_ref();
        table.add_row([
            message.id.clone(),
            message.received_at.to_string(),
            message.event.clone(),
            word(message.state),
            fault.map(Fault::place).unwrap_or_default(),
            fault.map_or_else(String::new, |fault| fault.fault.clone()),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn word(state: MessageState) -> String {
    match state {
        MessageState::Received => "received",
        MessageState::Applied => "applied",
        MessageState::Unchanged => "unchanged",
        MessageState::Stale => "stale",
        MessageState::Dead => "dead",
        MessageState::Rejected => "rejected",
    }
    .to_owned()
}

fn view(message: &FeedMessage) -> serde_json::Value {
    json!({
        "id": message.id,
        "received_at": message.received_at,
        "sender": [message.application, message.facility],
        "control_id": message.control_id,
        "event": message.event,
        "state": message.state,
        "field": message.fault.as_ref().map(Fault::place),
        "fault": message.fault.as_ref().map(|fault| &fault.fault),
        "ack": message.ack,
    })
}

async fn show(
    store: &Store,
    feed: &Feed,
    id: &str,
    by: &str,
    as_json: bool,
) -> anyhow::Result<bool> {
    let message = store.feed_message(id).await?;
    store
        .audit(by, "feed.show", &message.id, "", Timestamp::now())
        .await?;
    let text = feed.text(&message)?;
    if as_json {
        let mut view = view(&message);
        view["text"] = text.into();
        println!("{}", serde_json::to_string_pretty(&view)?);
    } else {
        println!("{}", text.trim_end().replace('\r', "\n"));
        if let Some(fault) = &message.fault {
            println!("\n{fault}");
        }
    }
    Ok(true)
}

/// True where every message was applied.
async fn replay(
    store: &Store,
    feed: &Feed,
    id: Option<&str>,
    by: &str,
    as_json: bool,
) -> anyhow::Result<bool> {
    let ids = match id {
        Some(id) => vec![id.to_owned()],
        None => {
            let dead = messages(store, Some(MessageState::Dead)).await?;
            dead.into_iter().map(|message| message.id).collect()
        }
    };
    let mut replayed = Vec::with_capacity(ids.len());
    for id in ids {
        store
            .audit(by, "feed.replay", &id, "", Timestamp::now())
            .await?;
        replayed.push(feed.replay(&id, by).await?);
    }
    print(&replayed, as_json)?;
    Ok(replayed
        .iter()
        .all(|message| message.state != MessageState::Dead))
}
