//! `aftercall call`: one call without a patient record, printed as it happens.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use aftercall_core::attempt::{CallRecord, Disposition, LineRecord, RtpFigures};
use aftercall_core::call::CallEvent;
use aftercall_core::id::AttemptId;
use aftercall_core::lang::Lang;
use aftercall_core::patient::Hearing;
use aftercall_core::phi::Phi;
use aftercall_core::phone::PhoneNumber;
use aftercall_core::script::Facts;
use aftercall_core::time::Timestamp;
use anyhow::{Context, bail};
use jiff::civil::Date;
use serde_json::json;
use tokio::sync::mpsc;

use crate::cli::line::LineArgs;
use crate::cli::play;
use crate::config::Config;
use crate::library::{Library, trusted_keys};
use crate::recording::Recordings;
use crate::run::{open_store, start_ears, voice_config};
use crate::speech::voice::Voice;
use crate::store::new_id;
use crate::trunk::config::Trunk;
use crate::trunk::driver::{Command, Driver, Report, StartCall, Told};
use crate::trunk::tape::Recorder;
use crate::vault::DataKey;

/// Place one call without a patient record, and print its turns and its record.
///
/// Allowed on the loopback trunk, and to numbers that the trunk file lists under `allow_without_record`. Exit status:
/// 0 when the call was completed (with --play: answered), 1 on usage or local errors, 3 when it was not completed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall call sip:1000@127.0.0.1:5080 --script cardiac --day 3 --lang zh --record out.wav

There is no record to compare an identity with: the name asked for is --name, and any month and day clearly said or
keyed is taken as the birthday unless --birth gives one. A SIP URI names the target itself; with --trunk its host must be
the trunk's, or the trunk routes the user part. The call is in the audit log of the configured database.")]
pub struct Args {
    /// `sip:USER@HOST:PORT`, or a telephone number that the trunk dials.
    target: String,
    /// Script to run.
    #[arg(long, default_value = "cardiac")]
    script: String,
    /// Day after discharge: 3, 7, 14 or 30.
    #[arg(long, default_value_t = 3)]
    day: u16,
    /// Language: zh or en.
    #[arg(long, default_value = "zh", value_parser = lang)]
    lang: Lang,
    #[command(flatten)]
    line: LineArgs,
    /// Hang up so many seconds after the INVITE, ringing or talking.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hangup_after: Option<Duration>,
    /// Hand the callee on to this URI by REFER, and hang up when that has worked; no script is run.
    #[arg(long, value_name = "URI", value_parser = uri)]
    pub refer_to: Option<String>,
    /// So many seconds after the answer.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0", requires = "refer_to")]
    pub refer_after: Duration,
    /// Play this recording instead of a script, and hang up at its end; no model is needed.
    #[arg(long, value_name = "FILE")]
    pub play: Option<PathBuf>,
    /// Keys to send (RFC 4733), after the recording where there is one; no script is run.
    #[arg(long, value_name = "KEYS", value_parser = keys)]
    pub send_keys: Option<String>,
    /// Write the call as a stereo WAV: left the robot, right the callee.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Name to ask for; a test patient's when not given.
    #[arg(long)]
    name: Option<String>,
    /// Birthday to accept as second factor; without it any month and day that is clearly said or keyed.
    #[arg(long, value_name = "YYYY-MM-DD")]
    birth: Option<Date>,
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a line: events as they happen, the record last.
    #[arg(long)]
    pub json: bool,
}

fn keys(text: &str) -> Result<String, String> {
    let known = |key: char| matches!(key, '0'..='9' | '*' | '#' | 'A'..='D');
    match text.chars().find(|key| !known(*key)) {
        None => Ok(text.to_owned()),
        Some(other) => Err(format!("`{other}` is no key: write 0-9, *, # and A-D")),
    }
}

/// Seconds, with or without a fraction.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text
        .parse()
        .ok()
        .filter(|seconds| (0.0..=86_400.0).contains(seconds));
    number
        .map(Duration::from_secs_f64)
        .ok_or_else(|| format!("`{text}`: write seconds, 0 to 86400"))
}

fn uri(text: &str) -> Result<String, String> {
    let is_uri = ["sip:", "sips:", "tel:"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let is_plain = |c: char| c.is_ascii_graphic() && !"<>\"".contains(c);
    if is_uri && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`{text}` is no URI: write sip:USER@HOST:PORT or tel:NUMBER"
    ))
}

fn lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text)
        .ok_or_else(|| format!("`{text}` is not a language of aftercall: write zh or en"))
}

/// Places the call.
///
/// # Errors
/// Usage and local errors: a number that may not be called, a broken trunk file, no model.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(place(args))
}

async fn place(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(path) = args.record.as_ref().filter(|path| path.exists()) {
        bail!(
            "{} is there already; give --record a new name",
            path.display()
        );
    }
    let config = Config::find(args.config.as_deref())?;
    let (trunk, number) = args.line.trunk(&args.target)?;
    if !trunk.may_call_without_record(&number) {
        bail!(
            "trunk `{}` may not call this number without a patient record; a test number is listed in the trunk file \
             under `allow_without_record`",
            trunk.name
        );
    }
    let attempt = AttemptId(new_id());
    let folder = args
        .record
        .as_ref()
        .map(|_| std::env::temp_dir().join(format!("aftercall-{attempt}")));
    let recordings = folder.clone().map(Recordings::new);
    // What lies on disk while the call runs; the file that was asked for is plain.
    let key = DataKey::random()?;
    let is_plain = args.play.is_some() || args.send_keys.is_some() || args.refer_to.is_some();
    let exit = if is_plain {
        audit(&config, &attempt, &trunk).await?;
        let recorder = recordings.clone().map(Recorder::start).transpose()?;
        let tape = recorder.as_ref().map(|all| all.tape(&attempt, key.clone()));
        let exit = play::place(args, trunk, number, tape).await?;
        recorder.map_or(Ok(()), Recorder::finish)?;
        exit
    } else {
        let tape = recordings.clone().map(|all| (all, key.clone()));
        converse(args, &config, trunk, number, &attempt, tape).await?
    };
    if let (Some(path), Some(recordings)) = (&args.record, recordings)
        && recordings.exists(&attempt)
    {
        recordings.reader(&attempt, &key)?.write_wav(path)?;
    }
    if let Some(folder) = folder
        && folder.exists()
    {
        std::fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
    }
    Ok(exit)
}

/// A call with a script.
async fn converse(
    args: &Args,
    config: &Config,
    trunk: Trunk,
    number: PhoneNumber,
    attempt: &AttemptId,
    tape: Option<(Recordings, DataKey)>,
) -> anyhow::Result<ExitCode> {
    let today = Timestamp::now().to_zoned(config.zone()).date();
    let keys = trusted_keys(&config.scripts, trunk.is_loopback())?;
    let library = Library::load(&config.scripts.dir, &keys, today)?;
    library.log_what_is_left_out();
    let script = library.script(&args.script, args.lang, today)?;
    if !script.days.contains(&args.day) {
        bail!(
            "script `{}` has no day {}; it has {:?}",
            args.script,
            args.day,
            script.days
        );
    }
    let ears = Arc::new(start_ears(config)?);
    let voice = Arc::new(Voice::new(voice_config(config)));
    audit(config, attempt, &trunk).await?;
    let (reports, inbox) = mpsc::unbounded_channel();
    let (recordings, key) = tape.unzip();
    let driver = Driver::start(trunk, ears, voice, recordings, reports)?;
    driver.start_call(StartCall {
        attempt: attempt.clone(),
        number,
        caller: None,
        script,
        kit: library.kit,
        facts: facts(args, config, today),
        record: key,
        leaves_message: config.calling.voicemail_message,
        on_call: config.on_call(),
    });
    let record = follow(args, inbox, &driver, attempt).await;
    tokio::task::spawn_blocking(move || driver.shut_down(Duration::ZERO)).await?;
    let record = record?;
    print_record(args, &record)?;
    let completed = record.ending.disposition == Disposition::Completed;
    Ok(if completed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

fn facts(args: &Args, config: &Config, today: Date) -> Facts {
    let (hospital, name) = match args.lang {
        Lang::Zh => (config.hospital.name_zh.clone(), "王建国"),
        Lang::En => (config.hospital.name_en.clone(), "John Smith"),
    };
    Facts {
        lang: args.lang,
        day: args.day,
        hospital,
        patient: Phi::new(args.name.clone().unwrap_or_else(|| name.to_owned())),
        birth: args.birth.map(Phi::new),
        contacts: Vec::new(),
        knows_diagnosis: false,
        hearing: Hearing::Normal,
        dialect: None,
        emergency_number: config.hospital.emergency_number.clone(),
        crisis_line: config.hospital.crisis_line.clone(),
        callback_number: config.hospital.callback_number.clone(),
        next_call: None,
        today,
        earlier: None,
    }
}

/// A call without a patient record leaves a row: who, when, over which trunk.
async fn audit(config: &Config, attempt: &AttemptId, trunk: &Trunk) -> anyhow::Result<()> {
    let store = open_store(config).await?;
    let who = std::env::var("USER").unwrap_or_else(|_| "command line".to_owned());
    store
        .audit(
            &who,
            "call_without_record",
            &attempt.0,
            &trunk.name,
            Timestamp::now(),
        )
        .await?;
    store.close().await;
    Ok(())
}

async fn follow(
    args: &Args,
    mut inbox: mpsc::UnboundedReceiver<Report>,
    driver: &Driver,
    attempt: &AttemptId,
) -> anyhow::Result<CallRecord> {
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let limit = args.hangup_after.unwrap_or(Duration::from_secs(86_400));
    let mut limit = std::pin::pin!(tokio::time::sleep(limit));
    let mut stopping = false;
    loop {
        tokio::select! {
            report = inbox.recv() => match report.map(|report| report.what) {
                Some(Told::Event(CallEvent::Ended(record))) => return Ok(*record),
                Some(Told::Event(event)) => {
                    // A call without a record has nothing to wait for.
                    if let CallEvent::Found { position, .. } = event {
                        let attempt = attempt.clone();
                        driver.send(Command::Stored { attempt, position });
                    }
                    print_event(args, &event)?;
                }
                Some(Told::Trace(_) | Told::Rings(_)) => {}
                Some(Told::NotStarted(why)) => bail!("the call did not start: {why}"),
                None => bail!("the media thread ended before the call did"),
            },
            _ = &mut stop, if !stopping => {
                stopping = true;
                driver.send(Command::HangUp(attempt.clone()));
            }
            () = &mut limit, if !stopping => {
                stopping = true;
                driver.send(Command::HangUp(attempt.clone()));
            }
        }
    }
}

/// One line an event: this is a tester's own call, so the words are shown.
fn print_event(args: &Args, event: &CallEvent) -> anyhow::Result<()> {
    let (kind, text) = match event {
        CallEvent::Ringing { status } => ("ringing", status.to_string()),
        CallEvent::EarlyMedia => ("early_media", String::new()),
        CallEvent::Announced(class) => ("announced", class.to_string()),
        CallEvent::Answered => ("answered", String::new()),
        CallEvent::Met(verdict) => (
            "met",
            format!(
                "{} by {} at {} ms",
                verdict.answerer, verdict.sign, verdict.at_ms
            ),
        ),
        CallEvent::Beep { from_ms, to_ms } => ("beep", format!("{from_ms}-{to_ms} ms")),
        CallEvent::Asked { prompt, .. } => ("robot", prompt.expose().clone()),
        CallEvent::HeardWords(heard) => ("callee", heard.expose().text.clone()),
        CallEvent::Found { placed, .. } => (
            "found",
            format!("{} {}", placed.finding.concept, placed.finding.polarity),
        ),
        CallEvent::TurnClosed(turn) => {
            let Some(reply) = &turn.reply else {
                return Ok(());
            };
            ("understood", format!("{} = {}", turn.node, reply.meaning))
        }
        CallEvent::Dialog(_)
        | CallEvent::Noted(_)
        | CallEvent::Progressed(_)
        | CallEvent::AskedForPatience
        | CallEvent::TakenOver { .. }
        | CallEvent::HandedBack
        | CallEvent::Ended(_) => return Ok(()),
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", json!({ "event": kind, "text": text }))?;
    } else {
        writeln!(out, "{kind:>11}  {text}")?;
    }
    out.flush()?;
    Ok(())
}

/// Every key that was pressed, in order.
fn keys_heard(record: &CallRecord) -> String {
    let replies = record.turns.iter().filter_map(|turn| turn.reply.as_ref());
    replies.map(|reply| reply.keys.expose().as_str()).collect()
}

fn print_line(out: &mut impl Write, line: &LineRecord) -> std::io::Result<()> {
    let codec = line
        .codec
        .map_or("no audio".to_owned(), |codec| codec.to_string());
    writeln!(out, "line         {:?}, {codec}", line.why)?;
    let Some(rtp) = line.rtp else {
        return Ok(());
    };
    let RtpFigures {
        sent,
        received,
        lost,
        late,
        jitter_ms,
        far,
        ..
    } = rtp;
    writeln!(
        out,
        "packets      {sent} sent, {received} received, {lost} lost, {late} late, jitter {jitter_ms:.1} ms"
    )?;
    if far.reports > 0 {
        let round_trip = far
            .round_trip_ms
            .map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
        let (lost, jitter_ms) = (far.lost, far.jitter_ms);
        writeln!(
            out,
            "far end      {lost} lost, jitter {jitter_ms:.1} ms, round trip {round_trip}"
        )?;
    }
    Ok(())
}

fn print_record(args: &Args, record: &CallRecord) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let latencies: BTreeMap<u32, u32> = record
        .turns
        .iter()
        .filter_map(|turn| Some((turn.index, turn.reply.as_ref()?.latency_ms?)))
        .collect();
    if args.json {
        let record = json!({
            "event": "record",
            "disposition": record.ending.disposition,
            "sip_status": record.ending.sip_status,
            "q850_cause": record.ending.q850_cause,
            "answered_by": record.ending.answered_by,
            "early_media": record.ending.early_media,
            "met": record.ending.met,
            "talk_ms": record.ending.talk_ms,
            "progress": record.progress,
            "keys": keys_heard(record),
            "line": record.line,
            "turns": record.turns,
            "findings": record.findings,
            "suppressed": record.suppressed,
            "latency_ms": latencies,
        });
        writeln!(out, "{record}")?;
        return Ok(());
    }
    let ending = &record.ending;
    writeln!(out, "\ndisposition  {}", ending.disposition)?;
    writeln!(
        out,
        "SIP status   {}",
        ending
            .sip_status
            .map_or("-".to_owned(), |status| status.to_string())
    )?;
    writeln!(out, "answered by  {}", ending.answered_by)?;
    writeln!(out, "talked       {:.1} s", ending.talk_ms as f64 / 1000.0)?;
    if let Some(line) = &record.line {
        print_line(&mut out, line)?;
    }
    for placed in &record.findings {
        let finding = &placed.finding;
        writeln!(
            out,
            "finding      {} {} ({}), heard \u{201c}{}\u{201d} at {:.1} s",
            finding.concept,
            finding.polarity,
            finding.urgency,
            finding.evidence.raw,
            placed.from_ms as f64 / 1000.0
        )?;
    }
    writeln!(
        out,
        "turns        (seconds from the answer; reply; latency)"
    )?;
    for turn in &record.turns {
        let seconds = turn.prompt_from_ms as f64 / 1000.0;
        let Some(reply) = &turn.reply else {
            writeln!(out, "  {seconds:6.1}  {:24}  -", turn.node)?;
            continue;
        };
        let latency = reply
            .latency_ms
            .map_or("-".to_owned(), |ms| format!("{ms} ms"));
        writeln!(
            out,
            "  {seconds:6.1}  {:24}  {:12}  {latency}",
            turn.node, reply.meaning
        )?;
    }
    Ok(())
}
