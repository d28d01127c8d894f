//! `aftercall call --play`: a recording instead of a script, for trying a trunk; no model is needed.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::{LegEvent, Transfer};
use anyhow::Context;
use serde_json::json;

use crate::cli::call::Args;
use crate::speech::audio::decode_file;
use crate::trunk::config::Trunk;
use crate::trunk::line::{Hears, Playback, Played, Until};
use crate::trunk::playback::play;
use crate::trunk::tape::Tape;

/// No test of a line needs longer.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Places the call, printing its events as they happen and its record at the end.
///
/// # Errors
/// A recording that cannot be read, a socket that cannot be had, a missing password.
pub async fn place(
    args: &Args,
    trunk: Trunk,
    number: PhoneNumber,
    recording: Option<Tape>,
) -> anyhow::Result<ExitCode> {
    let samples = match &args.play {
        Some(file) => decode_file(file).with_context(|| file.display().to_string())?,
        None => Vec::new(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let order = Playback {
        hears: Hears::Nothing,
        samples: samples.into(),
        until: args.hangup_after.map_or(Until::Said, Until::SinceInvite),
        longest: LONGEST,
        keys: args.send_keys.clone().unwrap_or_default(),
        refer: args.refer_to.clone().zip(Some(args.refer_after)),
        recording,
        stop: Arc::clone(&stop),
    };
    let as_json = args.json;
    let mut playing = tokio::task::spawn_blocking(move || {
        play(&trunk, &number, order, |event| print_event(as_json, event))
    });
    let played = tokio::select! {
        played = &mut playing => played??,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            stop.store(true, Ordering::Relaxed);
            playing.await??
        }
    };
    print_record(as_json, &played)?;
    let has_moved = args.refer_to.is_none() || played.transfer.iter().any(|it| it.has_succeeded());
    Ok(if played.answered_after.is_some() && has_moved {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn print_event(as_json: bool, event: &LegEvent) {
    let (kind, text) = match event {
        LegEvent::Trying => ("trying", String::new()),
        LegEvent::Ringing { status } => ("ringing", status.to_string()),
        LegEvent::EarlyMedia(answer) => ("early_media", answer.codec.to_string()),
        LegEvent::Answered(answer) => ("answered", answer.codec.to_string()),
        LegEvent::MediaChanged(answer) => ("media_changed", format!("{:?}", answer.direction)),
        LegEvent::Key(key) => ("key", key.to_string()),
        LegEvent::Transfer(transfer) => ("transfer", transfer_step(*transfer)),
        LegEvent::Ended(ending) => ("ended", format!("{:?}", ending.why)),
    };
    let mut out = std::io::stdout().lock();
    let written = if as_json {
        writeln!(out, "{}", json!({ "event": kind, "text": text }))
    } else {
        writeln!(out, "{kind:>13}  {text}")
    };
    if let Err(error) = written.and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads the events");
    }
}

/// A step of a transfer as one word and its status.
fn transfer_step(transfer: Transfer) -> String {
    let of = |word: &str, status: Option<u16>| match status {
        Some(status) => format!("{word} {status}"),
        None => word.to_owned(),
    };
    match transfer {
        Transfer::Accepted => "accepted".to_owned(),
        Transfer::Trying { status } => of("trying", Some(status)),
        Transfer::Refused { status } => of("refused", status),
        Transfer::Ended { status: None } => "unknown".to_owned(),
        Transfer::Ended { status } if transfer.has_succeeded() => of("succeeded", status),
        Transfer::Ended { status } => of("failed", status),
    }
}

fn print_record(as_json: bool, played: &Played) -> anyhow::Result<()> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let record = json!({
        "event": "record",
        "why": played.ending.why,
        "sip_status": played.ending.status,
        "q850_cause": played.ending.q850_cause,
        "rang": played.ending.rang,
        "codec": played.codecs.last(),
        "codecs": played.codecs,
        "rtcp_mux": played.rtcp_mux,
        "srtp": played.srtp,
        "keys": played.keys_heard,
        "answered_after_ms": played.answered_after.map(millis),
        "talk_ms": millis(played.talked),
        "media_after_ms": played.media_after.map(millis),
        "first_heard_after_ms": played.first_heard_after.map(millis),
        "last_heard_after_ms": played.last_heard_after.map(millis),
        "transfer": played.transfer.iter().copied().map(transfer_step).collect::<Vec<_>>(),
        "rtp": played.rtp.map(|rtp| rtp.figures()),
    });
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{record}")?;
    } else {
        writeln!(out, "\n{}", serde_json::to_string_pretty(&record)?)?;
    }
    Ok(())
}
