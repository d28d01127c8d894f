//! `aftercall call --play`: a recording instead of a script, for trying a trunk; no model is needed.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::LegEvent;
use anyhow::Context;
use serde_json::json;

use crate::cli::call::Args;
use crate::recording::RecordingWriter;
use crate::speech::audio::decode_file;
use crate::trunk::config::Trunk;
use crate::trunk::playback::{Playback, Played, play};

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
    recording: Option<RecordingWriter>,
) -> anyhow::Result<ExitCode> {
    let samples = match &args.play {
        Some(file) => decode_file(file).with_context(|| file.display().to_string())?,
        None => Vec::new(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let order = Playback {
        samples: samples.into(),
        hang_up_after: args.hangup_after.map(Duration::from_secs),
        longest: LONGEST,
        keys: args.send_keys.clone().unwrap_or_default(),
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
    Ok(if played.answered_after.is_some() {
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

fn print_record(as_json: bool, played: &Played) -> anyhow::Result<()> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rtp = played.rtp.map(|rtp| {
        json!({
            "sent": rtp.sent,
            "received": rtp.received,
            "lost": rtp.lost,
            "late": rtp.late,
            "duplicates": rtp.duplicates,
            "concealed": rtp.concealed,
            "jitter_ms": rtp.jitter_ms,
            "far": {
                "reports": rtp.far.reports,
                "lost": rtp.far.lost,
                "jitter_ms": rtp.far.jitter_ms,
                "round_trip_ms": rtp.far.round_trip.map(|time| time.as_secs_f64() * 1_000.0),
            },
        })
    });
    let record = json!({
        "event": "record",
        "why": played.ending.why,
        "sip_status": played.ending.status,
        "q850_cause": played.ending.q850_cause,
        "rang": played.ending.rang,
        "codec": played.codec,
        "keys": played.keys_heard,
        "answered_after_ms": played.answered_after.map(millis),
        "talk_ms": millis(played.talked),
        "rtp": rtp,
    });
    let mut out = std::io::stdout().lock();
    if as_json {
        writeln!(out, "{record}")?;
    } else {
        writeln!(out, "\n{}", serde_json::to_string_pretty(&record)?)?;
    }
    Ok(())
}
