//! `aftercall bench ears`: what the ear costs in memory, and whether that stays so over hours of utterances.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use aftercall_core::heard::Choices;
use aftercall_core::lang::Lang;
use anyhow::{Context, ensure};

use crate::speech::audio::decode_file;
use crate::speech::callbacks::Stop;
use crate::speech::model::Model;
use crate::speech::whisper::{Recogniser, Wanted};
use crate::trunk::load::process;

/// Hear clips again and again on every ear, and print start-up times, the memory of an ear, and the memory of all as the
/// hours of sound pass. Exit status 3 where it grew by more than 5 % after the first stretch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall bench ears --hours 24 --every 1 fixtures/audio/*.flac")]
pub struct Args {
    /// Utterances.
    #[arg(value_name = "FILE", required = true)]
    clips: Vec<PathBuf>,
    /// Hours of sound to be heard.
    #[arg(long, value_name = "HOURS", default_value_t = 1.0)]
    hours: f64,
    /// Memory is printed after so many of them.
    #[arg(long, value_name = "HOURS", default_value_t = 0.25)]
    every: f64,
    /// How many ears, each on a thread.
    #[arg(long, value_name = "N", default_value_t = 2)]
    ears: usize,
    #[arg(long, default_value = "zh", value_parser = lang)]
    lang: Lang,
    /// A GGML whisper file.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
}

fn lang(name: &str) -> Result<Lang, String> {
    Lang::parse(name).ok_or_else(|| "zh or en is wanted".to_owned())
}

/// Measures.
///
/// # Errors
/// Clips or a model that cannot be read, a recogniser that fails.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    let mut say = |line: String| writeln!(out, "{line}").context("cannot print");
    let read = |path: &PathBuf| {
        decode_file(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let clips: Vec<Vec<i16>> = args.clips.iter().map(read).collect::<anyhow::Result<_>>()?;
    let hours =
        |clips: &[Vec<i16>]| clips.iter().map(Vec::len).sum::<usize>() as f64 / 8_000.0 / 3_600.0;
    ensure!(hours(&clips) > 0.0, "the clips are empty");
    let before = resident_kb();
    let began = Instant::now();
    let model = Model::load(&args.model)?;
    say(format!(
        "model: {} ms, {} MB",
        began.elapsed().as_millis(),
        (resident_kb() - before) / 1024
    ))?;
    let mut ears = Vec::new();
    for nth in 0..args.ears.max(1) {
        let (before, began) = (resident_kb(), Instant::now());
        let mut ear = Recogniser::new(&model)?;
        let made_ms = began.elapsed().as_millis();
        hear(&mut ear, &clips[..1], args.lang)?;
        let grown = (resident_kb() - before) / 1024;
        say(format!(
            "ear {nth}: made in {made_ms} ms, {grown} MB after its first utterance"
        ))?;
        ears.push(ear);
    }
    let (mut heard, mut first) = (0.0, None);
    loop {
        let until = heard + args.every.max(f64::MIN_POSITIVE);
        while heard < until {
            let clips = &clips;
            let done: anyhow::Result<Vec<()>> = std::thread::scope(|scope| {
                let hearing = ears
                    .iter_mut()
                    .map(|ear| scope.spawn(|| hear(ear, clips, args.lang)));
                let hearing: Vec<_> = hearing.collect();
                let done = hearing.into_iter().map(|ear| ear.join());
                done.map(|ear| ear.map_err(|_| anyhow::anyhow!("an ear panicked"))?)
                    .collect()
            });
            done?;
            heard += hours(clips) * ears.len() as f64;
        }
        let now = resident_kb();
        say(format!("{heard:.2} h heard: {:.1} MB", now as f64 / 1024.0))?;
        let first = *first.get_or_insert(now);
        if heard >= args.hours {
            let grew = now * 100 > first * 105;
            return Ok(if grew {
                ExitCode::from(3)
            } else {
                ExitCode::SUCCESS
            });
        }
    }
}

fn hear(ear: &mut Recogniser, clips: &[Vec<i16>], lang: Lang) -> anyhow::Result<()> {
    let wanted = Wanted {
        lang,
        hot_words: &[],
        choices: &Choices::None,
    };
    for clip in clips {
        ear.recognise(clip, &wanted, &Stop::default())?;
    }
    Ok(())
}

/// Memory of this process; 0 where the system does not tell (not Linux).
fn resident_kb() -> u64 {
    process("VmRSS:").unwrap_or(0)
}
