//! `aftercall staff`: accounts of people.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use aftercall_core::staff::{Role, Wards, duties_in_conflict};
use aftercall_core::time::Timestamp;
use anyhow::Context as _;
use comfy_table::{Table, presets};
use serde_json::json;

use super::migrate::Place;
use crate::config::Config;
use crate::password;
use crate::store::Store;
use crate::store::staff::Staff;

/// Accounts of nurses, clinicians, authors, QA, admins and auditors.
///
/// The first one is made here; a security admin goes on in the API. Names stay taken when somebody leaves: they stand
/// in the audit log.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  aftercall staff add li.na --display-name '李娜' --role nurse --ward 5A\n  \
    aftercall staff add zhao --role security_admin --totp\n  echo \"$SECRET\" | aftercall staff password li.na\n  \
    aftercall staff change li.na --role nurse --role qa --ward 5A --ward 5B\n  aftercall staff sso-name li.na li.na@hospital.example\n  aftercall staff list --json"
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
    Add(Add),
    /// List the accounts.
    List,
    Change(Change),
    Password(Named),
    Totp(Totp),
    SsoName(SsoName),
    /// End an account, and its sessions at once.
    Disable {
        name: String,
    },
    /// Let an account sign in again.
    Enable {
        name: String,
    },
}

/// Make an account; its password is read from standard input, or made and printed once at a terminal.
#[derive(Debug, clap::Args)]
struct Add {
    /// What is typed at sign-in, and stands in the audit log: 2 to 64 letters, digits, dots, dashes.
    name: String,
    /// How others see it; by default the name.
    #[arg(long, value_name = "TEXT")]
    display_name: Option<String>,
    #[command(flatten)]
    may: May,
    /// Ask for a code of an authenticator beside the password; prints its secret once.
    #[arg(long)]
    totp: bool,
}

#[derive(Debug, clap::Args)]
struct May {
    /// nurse, clinician, author, qa, system_admin, security_admin, auditor or service; may be repeated.
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<Role>,
    /// A ward as records name it; may be repeated. Left out: every ward.
    #[arg(long = "ward", value_name = "WARD")]
    wards: Vec<String>,
}

/// Replace the roles and wards of an account.
#[derive(Debug, clap::Args)]
struct Change {
    name: String,
    #[command(flatten)]
    may: May,
}

/// Set a password, read from standard input or made and printed once; ends the account's sessions and opens a lock.
#[derive(Debug, clap::Args)]
struct Named {
    name: String,
}

/// Ask for a code beside the password from now on; prints the secret once.
#[derive(Debug, clap::Args)]
struct Totp {
    name: String,
    /// No longer ask for one.
    #[arg(long)]
    off: bool,
}

/// Write down what the provider of single sign-on calls somebody (`web.oidc.claim`: an e-mail in small letters, by default).
///
/// Whoever signed in under the old name is forgotten: the next one to sign in under the new name has the account.
#[derive(Debug, clap::Args)]
struct SsoName {
    name: String,
    /// As the provider has it; left out: they sign in by password alone.
    #[arg(value_name = "NAME_THERE")]
    there: Option<String>,
}

pub(super) fn role(text: &str) -> Result<Role, String> {
    let known = Role::ALL.into_iter().find(|role| role.to_string() == text);
    known.ok_or_else(|| {
        let names: Vec<String> = Role::ALL.iter().map(ToString::to_string).collect();
        format!("the roles are {}", names.join(", "))
    })
}

pub(super) fn wards(names: &[String]) -> Wards {
    if names.is_empty() {
        Wards::ALL
    } else {
        Wards::only(names.to_vec())
    }
}

/// Runs one of them.
///
/// # Errors
/// A database that refuses, a name that is taken or not known, a weak password, duties that are kept apart.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let store = args.place.open().await?;
        let config = args.place.config()?;
        match &args.command {
            Command::Add(add) => make(&store, &config, add, args.json).await?,
            Command::List => list(&store, args.json).await?,
            Command::Change(change) => {
                let mut staff = store.staff_member(&change.name).await?;
                check_duties(&config, &change.may.roles)?;
                staff.roles.clone_from(&change.may.roles);
                staff.wards = wards(&change.may.wards);
                save(&store, &staff, "staff.change").await?;
            }
            Command::Password(Named { name }) => {
                let staff = store.staff_member(name).await?;
                let chosen = set_password(&store, &staff).await?;
                println!("{name} has a new password");
                tell(chosen.as_deref(), args.json);
            }
            Command::Totp(Totp { name, off }) => {
                let staff = store.staff_member(name).await?;
                set_totp(&store, &config, &staff, !off, args.json).await?;
            }
            Command::SsoName(SsoName { name, there }) => {
                let staff = store.staff_member(name).await?;
                let now = Timestamp::now();
                store.set_sso_name(name, there.as_deref(), now).await?;
                store
                    .audit("command_line", "staff.sso_name", &staff.id, "", now)
                    .await?;
                match there {
                    Some(there) => println!("{name} signs in as {there} at the provider"),
                    None => println!("{name} signs in by password alone"),
                }
            }
            Command::Disable { name } => set_active(&store, name, false).await?,
            Command::Enable { name } => set_active(&store, name, true).await?,
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn make(store: &Store, config: &Config, add: &Add, json: bool) -> anyhow::Result<()> {
    password::check_name(&add.name).map_err(anyhow::Error::msg)?;
    check_duties(config, &add.may.roles)?;
    let now = Timestamp::now();
    let display = add.display_name.as_deref().unwrap_or(&add.name);
    // A weak password must not leave an account behind.
    let (phc, chosen) = read_password(&add.name)?;
    let staff = store
        .add_staff(
            &add.name,
            display,
            &add.may.roles,
            &wards(&add.may.wards),
            now,
        )
        .await?;
    store.set_password(&staff.name, &phc, now).await?;
    store
        .audit("command_line", "staff.add", &staff.id, &rights(&staff), now)
        .await?;
    println!("{} may sign in", staff.name);
    tell(chosen.as_deref(), json);
    if add.totp {
        set_totp(store, config, &staff, true, json).await?;
    }
    Ok(())
}

async fn set_password(store: &Store, staff: &Staff) -> anyhow::Result<Option<String>> {
    let now = Timestamp::now();
    let (phc, chosen) = read_password(&staff.name)?;
    store.set_password(&staff.name, &phc, now).await?;
    store
        .audit("command_line", "staff.password", &staff.id, "", now)
        .await?;
    Ok(chosen)
}

/// From standard input, or one that we make where that is a terminal: what is typed would be seen.
fn read_password(name: &str) -> anyhow::Result<(String, Option<String>)> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let made = password::generate();
        return Ok((password::hash(name, &made)?, Some(made)));
    }
    let mut line = String::new();
    input
        .lock()
        .read_line(&mut line)
        .context("no password on standard input")?;
    let given = line.trim_end_matches(['\r', '\n']);
    Ok((password::hash(name, given)?, None))
}

fn tell(chosen: Option<&str>, json: bool) {
    let Some(password) = chosen else { return };
    if json {
        println!("{}", json!({ "password": password }));
    } else {
        println!("password: {password}");
        eprintln!("This is shown once.");
    }
}

async fn set_totp(
    store: &Store,
    config: &Config,
    staff: &Staff,
    on: bool,
    json: bool,
) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let made = on.then(|| password::new_totp(&staff.name, &config.hospital.name_en));
    let secret = made.as_ref().map(|(secret, _)| secret.as_str());
    store.set_totp(&staff.name, secret, now).await?;
    let what = if on { "staff.totp" } else { "staff.totp_off" };
    store
        .audit("command_line", what, &staff.id, "", now)
        .await?;
    match made {
        Some((secret, url)) if json => println!("{}", json!({ "totp": secret, "url": url })),
        Some((secret, url)) => {
            println!("second factor: {secret}\n{url}");
            eprintln!("This is shown once; enter it in an authenticator.");
        }
        None => println!("{} signs in by password alone", staff.name),
    }
    Ok(())
}

async fn set_active(store: &Store, name: &str, active: bool) -> anyhow::Result<()> {
    let mut staff = store.staff_member(name).await?;
    staff.active = active;
    let what = if active {
        "staff.enable"
    } else {
        "staff.disable"
    };
    save(store, &staff, what).await
}

async fn save(store: &Store, staff: &Staff, what: &str) -> anyhow::Result<()> {
    let now = Timestamp::now();
    store.change_staff(staff, now).await?;
    store
        .audit("command_line", what, &staff.id, &rights(staff), now)
        .await?;
    println!("{} is changed: {}", staff.name, rights(staff));
    Ok(())
}

fn check_duties(config: &Config, roles: &[Role]) -> anyhow::Result<()> {
    match duties_in_conflict(roles).filter(|_| config.staff.separate_duties) {
        Some((one, other)) => anyhow::bail!(
            "{one} and {other} are kept apart here (staff.separate_duties): give them to two people"
        ),
        None => Ok(()),
    }
}

/// Roles and wards in one line.
fn rights(staff: &Staff) -> String {
    let roles: Vec<String> = staff.roles.iter().map(ToString::to_string).collect();
    let wards = match staff.wards.names() {
        None => "every ward".to_owned(),
        Some(names) => names.join(", "),
    };
    let active = if staff.active {
        ""
    } else {
        "; may not sign in"
    };
    format!("{}; {wards}{active}", roles.join(", "))
}

async fn list(store: &Store, json: bool) -> anyhow::Result<()> {
    let staff = store.staff().await?;
    if json {
        for staff in &staff {
            let line = json!({ "name": staff.name, "display_name": staff.display_name, "roles": staff.roles,
                "wards": staff.wards, "two_factor": staff.two_factor, "sso_name": staff.sso_name, "active": staff.active,
                "locked_until": staff.locked_until, "created_at": staff.created_at });
            println!("{line}");
        }
        return Ok(());
    }
    if staff.is_empty() {
        println!("nobody has an account; `aftercall staff add` makes one");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "name",
        "shown as",
        "roles; wards",
        "second factor",
        "locked until",
    ]);
    for staff in &staff {
        table.add_row([
            staff.name.clone(),
            staff.display_name.clone(),
            rights(staff),
            if staff.two_factor { "yes" } else { "no" }.to_owned(),
            staff
                .locked_until
                .filter(|until| *until > Timestamp::now())
                .map(|until| format!("{until:.0}"))
                .unwrap_or_default(),
        ]);
    }
    println!("{table}");
    Ok(())
}
