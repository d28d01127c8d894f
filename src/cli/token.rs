//! `aftercall token`: the bearer tokens of the API.

use std::process::ExitCode;

use aftercall_core::staff::Role;
use aftercall_core::time::Timestamp;
use serde_json::json;

use super::migrate::Place;
use super::staff::{self, role};
use crate::store::Store;

/// Make, list and revoke bearer tokens of the API.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall token create ward-5a --role nurse --ward 5A\n  aftercall token list --json\n  aftercall token revoke ward-5a"
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
    /// Make a token and print its secret: once, it is not kept.
    Create {
        /// Who will use it; this name stands in the audit log.
        name: String,
        /// What it may do, as an account of this role (`aftercall staff add --help`); may be repeated.
        #[arg(long = "role", value_name = "ROLE", default_value = "service", value_parser = role)]
        roles: Vec<Role>,
        /// A ward as records name it; may be repeated. Left out: every ward.
        #[arg(long = "ward", value_name = "WARD")]
        wards: Vec<String>,
    },
    /// List the tokens, without their secrets.
    List,
    /// End a token at once.
    Revoke { name: String },
}

/// Runs one of the three.
///
/// # Errors
/// A database that refuses, a name that is taken, or one that is not in force.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        match &args.command {
            Command::Create { name, roles, wards } => {
                create(&store, name, roles, wards, args.json).await?;
            }
            Command::List => list(&store, args.json).await?,
            Command::Revoke { name } => revoke(&store, name).await?,
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn create(
    store: &Store,
    name: &str,
    roles: &[Role],
    wards: &[String],
    json: bool,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        !name.trim().is_empty(),
        "a token needs a name: it stands in the audit log"
    );
    let now = Timestamp::now();
    let (token, secret) = store
        .create_token(name, roles, &staff::wards(wards), now)
        .await?;
    store
        .audit("command_line", "token.create", &token.id, &token.name, now)
        .await?;
    if json {
        println!(
            "{}",
            json!({ "id": token.id, "name": token.name, "token": secret })
        );
    } else {
        println!("{secret}");
        eprintln!("This is shown once. Send it as `Authorization: Bearer …`.");
    }
    Ok(())
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    for token in store.tokens().await? {
        let state = match token.revoked_at {
            Some(at) => format!("revoked {at:.0}"),
            None => "in force".to_owned(),
        };
        if json {
            let line = json!({ "id": token.id, "name": token.name, "roles": token.roles, "wards": token.wards, "created_at": token.created_at,
                "revoked_at": token.revoked_at });
            println!("{line}");
        } else {
            let roles: Vec<String> = token.roles.iter().map(ToString::to_string).collect();
            let roles = roles.join(", ");
            println!("{}  {roles}  {:.0}  {state}", token.name, token.created_at);
        }
    }
    Ok(())
}

async fn revoke(store: &Store, name: &str) -> anyhow::Result<()> {
    let now = Timestamp::now();
    anyhow::ensure!(
        store.revoke_token(name, now).await?,
        "no token of the name {name} is in force"
    );
    store
        .audit("command_line", "token.revoke", "", name, now)
        .await?;
    println!("{name} is revoked");
    Ok(())
}
