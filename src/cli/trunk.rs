//! `aftercall trunk test`: what the far end of a trunk says, in words an administrator understands.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aftercall_core::phone::PhoneNumber;
use aftercall_core::sip::event::{EndCause, LegEnding, LegEvent};
use aftercall_core::sip::probe::Health;
use aftercall_core::sip::registration::RegistrationEvent;
use anyhow::{Context, bail};

use crate::trunk::config::Trunk;
use crate::trunk::line::{Hears, Playback, Until};
use crate::trunk::playback::play;
use crate::trunk::trial::{Trial, try_out};

/// A test call is hung up on after so long, ringing or not.
const TEST_CALL: Duration = Duration::from_secs(25);
/// What the callee of a test call hears: two seconds of silence at 8 kHz.
const SILENCE: usize = 16_000;

/// Try out a trunk.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: TrunkCommand,
}

#[derive(Debug, clap::Subcommand)]
enum TrunkCommand {
    Test(TestArgs),
}

/// Resolve the targets, ask each by OPTIONS, register where the file says so, and with --number place a silent call.
///
/// Exit status: 0 when everything went well, 1 on usage or local errors, 3 when a far end did not do as it should.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall trunk test sip_config/asterisk.toml --number 1000")]
struct TestArgs {
    /// Trunk file.
    file: PathBuf,
    /// One of the file's `allow_without_record` numbers: it is rung, and hung up on two seconds after the answer.
    #[arg(long, value_name = "NUMBER")]
    number: Option<String>,
}

/// Tries the trunk out.
///
/// # Errors
/// Usage and local errors: a broken file, a missing password, a name that does not resolve.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let TrunkCommand::Test(args) = &args.command;
    let trunk = Trunk::load(&args.file)?;
    let trial = try_out(&trunk)?;
    let mut is_well = print_trial(&trunk, &trial);
    if let Some(number) = &args.number {
        let number = PhoneNumber::parse(number).context("--number")?;
        if !trunk.may_call_without_record(&number) {
            bail!(
                "--number: only what the trunk file lists under `allow_without_record` is rung without a patient"
            );
        }
        is_well &= test_call(&trunk, &number)?;
    }
    Ok(if is_well {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    })
}

/// A line a step; whether all was well.
fn print_trial(trunk: &Trunk, trial: &Trial) -> bool {
    println!("ours      {}", trial.reach.local);
    let mut is_well = true;
    for (place, health, after) in &trial.targets {
        let said = match health {
            Some(Health::Alive { status }) => {
                format!("answers OPTIONS with {status} after {} ms", after.as_millis())
            }
            Some(Health::Refusing { status }) => {
                format!("answers OPTIONS with {status}: it is there, and takes no calls now")
            }
            Some(Health::Silent) | None => {
                "does not answer OPTIONS. Are address, port and transport right, is a firewall between, does it \
                 know our address?"
                    .to_owned()
            }
        };
        is_well &= health.is_some_and(Health::is_alive);
        let over = place.transport.name();
        println!(
            "target    {} at {} over {over} {said}",
            place.at, place.address
        );
    }
    if trunk.register_for.is_some() {
        let registered = matches!(
            trial.registration,
            Some(RegistrationEvent::Registered { .. })
        );
        println!("register  {}", registration_in_words(trial.registration));
        is_well &= registered;
    }
    is_well
}

fn registration_in_words(event: Option<RegistrationEvent>) -> String {
    match event {
        Some(RegistrationEvent::Registered { expires }) => {
            format!("granted for {} s, and taken back", expires.as_secs())
        }
        Some(RegistrationEvent::Failed {
            status: Some(status @ (401 | 407)),
            ..
        }) => {
            format!(
                "refused with {status}: is the user name right, and the password in the environment?"
            )
        }
        Some(RegistrationEvent::Failed {
            status: Some(status @ (403 | 404)),
            ..
        }) => {
            format!("refused with {status}: the account is not known there, or may not register")
        }
        Some(RegistrationEvent::Failed {
            status: Some(status),
            ..
        }) => format!("refused with {status}"),
        Some(RegistrationEvent::Failed { status: None, .. } | RegistrationEvent::Left) | None => {
            "nobody answers REGISTER".to_owned()
        }
    }
}

/// What a refusal means, and what to look at; the network's cause where it gave one.
fn in_words(ending: &LegEnding) -> String {
    let meaning = match ending.status {
        Some(403 | 603) => {
            "it may not be called from here; is the caller id one that the trunk allows?"
        }
        Some(404 | 410 | 484 | 604) => "the number is not known there; compare `[numbers]`",
        Some(408 | 480) => "the telephone cannot be reached now",
        Some(486 | 600) => "busy, so the line works",
        Some(488 | 606) => "it cannot use our audio; compare `codecs` and `srtp`",
        Some(502..=504) => "the far end reaches nobody behind it now",
        Some(513) => "our message is too long for it; list fewer `codecs`",
        Some(_) | None => "",
    };
    let meaning = Some(meaning).filter(|meaning| !meaning.is_empty());
    let cause = ending
        .q850_cause
        .map(|cause| format!("Q.850 cause {cause}"));
    let words = meaning.map(str::to_owned).into_iter().chain(cause);
    words.map(|words| format!(": {words}")).collect()
}

/// Rings the number, says nothing for two seconds, hangs up; whether it was answered.
fn test_call(trunk: &Trunk, number: &PhoneNumber) -> anyhow::Result<bool> {
    let order = Playback {
        hears: Hears::Nothing,
        samples: vec![0; SILENCE].into(),
        until: Until::Said,
        longest: TEST_CALL,
        keys: String::new(),
        refer: None,
        recording: None,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let played = play(trunk, number, order, |event| match event {
        LegEvent::Trying => println!("call      100: the target took the call"),
        LegEvent::Ringing { status } => println!("call      {status}: it rings"),
        LegEvent::EarlyMedia(answer) => {
            println!("call      audio before the answer, {}", answer.codec)
        }
        LegEvent::Answered(answer) => {
            println!(
                "call      answered with {} at {}",
                answer.codec, answer.remote
            );
        }
        LegEvent::MediaChanged(_)
        | LegEvent::Key(_)
        | LegEvent::Transfer(_)
        | LegEvent::Ended(_) => {}
    })?;
    let status = played
        .ending
        .status
        .map_or("none".to_owned(), |status| status.to_string());
    let cause = match played.ending.why {
        EndCause::LocalBye | EndCause::RemoteBye => "it went well".to_owned(),
        EndCause::AuthFailed => format!("{status}: user name or password are not accepted"),
        EndCause::NoResponse => "nobody answers the INVITE".to_owned(),
        EndCause::NoCommonMedia => {
            "answered with audio that we cannot use: compare `codecs`".to_owned()
        }
        EndCause::Redirected => {
            format!("{status}: sent elsewhere, which `redirect_hosts` does not allow")
        }
        EndCause::Rejected => format!("refused with {status}{}", in_words(&played.ending)),
        EndCause::Cancelled | EndCause::RingTimeout | EndCause::Refused | EndCause::Abandoned => {
            "nobody picked up".to_owned()
        }
        EndCause::SessionExpired => "the far end stopped refreshing its session".to_owned(),
    };
    println!("call      {cause}");
    if let Some(rtp) = played.rtp {
        println!(
            "audio     {} packets sent, {} received, {} lost",
            rtp.sent, rtp.received, rtp.lost
        );
    }
    Ok(played.answered_after.is_some())
}
