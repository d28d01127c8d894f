//! `aftercall outbox`: what waits for delivery, and what was given up.

use std::process::ExitCode;

use aftercall_core::time::Timestamp;
use serde_json::json;

use super::migrate::Place;
use crate::store::Store;
use crate::store::outbox::Letter;

/// List deliveries that were given up, and let them be tried again.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall outbox list\n  aftercall outbox list --waiting --json\n  aftercall outbox replay --all"
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
    /// List what was given up, the oldest first.
    List {
        /// And what still waits.
        #[arg(long)]
        waiting: bool,
        /// How many at most.
        #[arg(long, default_value_t = 200)]
        limit: u32,
    },
    /// Let one be tried again, or all.
    #[command(group = clap::ArgGroup::new("which").required(true))]
    Replay {
        #[arg(group = "which")]
        id: Option<String>,
        #[arg(long, group = "which")]
        all: bool,
    },
}

/// Runs one of the two.
///
/// # Errors
/// A database that refuses, or an id of nothing that was given up.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        match &args.command {
            Command::List { waiting, limit } => {
                let letters = store.outbox_letters(!waiting, *limit).await?;
                list(&letters, args.json);
            }
            Command::Replay { id, .. } => replay(&store, id.as_deref(), args.json).await?,
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn list(letters: &[Letter], as_json: bool) {
    for letter in letters {
        let event = &letter.event;
        let error = letter.last_error.as_deref().unwrap_or("-");
        if as_json {
            let row = json!({
                "id": event.id, "event": event.event, "subject": event.subject, "channel": event.channel,
                "recipient": event.recipient, "tries": event.tries, "created_at": event.created_at,
                "next_at": letter.next_at, "died_at": letter.died_at, "last_error": letter.last_error,
            });
            println!("{row}");
            continue;
        }
        let state = match letter.died_at {
            Some(_) => "given up",
            None => "waits",
        };
        let channel = event.channel.as_deref().unwrap_or("-");
        println!(
            "{}  {}  {}  {channel}  {state} after {} tries: {error}",
            event.id, event.created_at, event.event, event.tries
        );
    }
}

async fn replay(store: &Store, id: Option<&str>, as_json: bool) -> anyhow::Result<()> {
    let replayed = store.replay_outbox(id, Timestamp::now()).await?;
    anyhow::ensure!(
        id.is_none() || replayed > 0,
        "nothing of that id was given up: `aftercall outbox list`"
    );
    if as_json {
        println!("{}", json!({ "replayed": replayed }));
    } else {
        println!("{replayed} will be tried again");
    }
    Ok(())
}
