//! `aftercall audit log`, `verify` and `head`: who did what, and whether the chain of it holds.

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use aftercall_core::audit_chain::{Head, is_signed};
use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;

use crate::store::Store;
use crate::store::page::PageRequest;

/// `SEQ:HASH`, as `aftercall audit head` prints it.
pub(super) fn head(text: &str) -> Result<Head, String> {
    let wrong = || "write it as `aftercall audit head` prints it: NUMBER:HASH".to_owned();
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    let is_hash = hash.len() == 64 && hash.chars().all(|c| c.is_ascii_hexdigit());
    let seq = seq.parse().ok().filter(|_| is_hash).ok_or_else(wrong)?;
    Ok(Head {
        seq,
        hash: hash.to_ascii_lowercase(),
    })
}

/// The head in an event `audit.head` that was kept.
///
/// # Errors
/// A file that is no such event, or whose signature is not by this key.
pub(super) fn signed_head(path: &Path, public: &str) -> anyhow::Result<Head> {
    #[derive(Deserialize)]
    struct Event {
        #[serde(flatten)]
        head: Head,
        signature: Option<String>,
    }
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let event: Event = serde_json::from_str(&text)
        .with_context(|| format!("{} is no event audit.head", path.display()))?;
    let signature = event.signature.unwrap_or_default();
    anyhow::ensure!(
        is_signed(&event.head, &signature, public),
        "{}: the head is not signed by this key",
        path.display()
    );
    Ok(event.head)
}

/// Prints the log, a line an entry, in the order written.
pub(super) async fn log(store: &Store, subject: Option<&str>, json: bool) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut request = PageRequest {
        limit: 200,
        after: None,
    };
    loop {
        let page = store.audit_log(subject, &request).await?;
        for entry in &page.items {
            if json {
                let line = json!({ "seq": entry.seq, "at": entry.at, "who": entry.who, "what": entry.what,
                    "subject": entry.subject, "detail": entry.detail, "reason": entry.reason, "hash": entry.hash });
                writeln!(out, "{line}")?;
            } else {
                let reason = entry.reason.as_deref().map(|why| format!("  “{why}”"));
                writeln!(
                    out,
                    "{:>6}  {:.0}  {}  {}  {}  {}{}",
                    entry.seq,
                    entry.at,
                    entry.who,
                    entry.what,
                    entry.subject,
                    entry.detail,
                    reason.unwrap_or_default()
                )?;
            }
        }
        match page.next {
            Some(next) => request.after = Some(next),
            None => return Ok(out.flush()?),
        }
    }
}

/// Prints the last link, to be kept outside the database.
pub(super) async fn print_head(store: &Store, json: bool) -> anyhow::Result<()> {
    let head = store.audit_head().await?;
    if json {
        println!("{}", serde_json::to_string(&head)?);
    } else {
        println!("{}:{}", head.seq, head.hash);
    }
    Ok(())
}

/// Walks the chain; exits with 1 where it is broken.
pub(super) async fn verify(
    store: &Store,
    known: Option<Head>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let shown = std::io::stderr().is_terminal();
    let walked = store
        .verify_audit(known, |seen| {
            if shown {
                eprint!("\r{seen} entries");
            }
        })
        .await
        .context("the log was not read to its end")?;
    if shown {
        eprintln!();
    }
    match walked {
        Ok(head) => {
            if json {
                println!(
                    "{}",
                    json!({ "intact": true, "seq": head.seq, "hash": head.hash })
                );
            } else {
                println!(
                    "intact: {} entries, head {}:{}",
                    head.seq, head.seq, head.hash
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(fault) => {
            if json {
                println!("{}", json!({ "intact": false, "fault": fault.to_string() }));
            } else {
                println!("BROKEN: {fault}");
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
