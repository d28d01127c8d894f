//! `aftercall say`: a text through the voice that calls use, or how it reads it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use aftercall_core::lang::Lang;
use anyhow::Context;
use serde_json::json;

use crate::config::{Config, VoiceEngine};
use crate::recording::speech_wav;
use crate::run::voice_config;
use crate::speech::audio::seconds;
use crate::speech::reading::{By, Piece, Reader};
use crate::speech::voice::{Voice, VoiceConfig};

/// Speak a text into a WAV file (8 kHz), or explain how it is read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall say '单先生，您好' --lang zh --explain
  aftercall say '每次2片，每天3次' --lang zh -o dose.wav
  aftercall say '[六安|lu4 an1]市人民医院' --lang zh -o name.wav")]
pub struct Args {
    text: String,
    /// zh or en.
    #[arg(long, value_parser = parse_lang)]
    lang: Lang,
    /// Where the sound goes.
    #[arg(short, long, value_name = "FILE", required_unless_present = "explain")]
    out: Option<PathBuf>,
    /// Print how Mandarin is read: a JSON line a word, with what decided its reading.
    #[arg(long)]
    explain: bool,
    /// Instead of the configured voice.
    #[arg(long)]
    engine: Option<Engine>,
    /// Readings of the site, instead of the configured ones.
    #[arg(long, value_name = "FILE")]
    lexicon: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Engine {
    Kokoro,
    Espeak,
    Openai,
    Command,
}

impl From<Engine> for VoiceEngine {
    fn from(engine: Engine) -> VoiceEngine {
        match engine {
            Engine::Kokoro => VoiceEngine::Kokoro,
            Engine::Espeak => VoiceEngine::Espeak,
            Engine::Openai => VoiceEngine::Openai,
            Engine::Command => VoiceEngine::Command,
        }
    }
}

fn parse_lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text).ok_or_else(|| "write zh or en".to_owned())
}

/// Explains, speaks, or both.
///
/// # Errors
/// When the voice or the lexicon cannot be used, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut config = Config::find(args.config.as_deref())?;
    if args.lexicon.is_some() {
        config.voice.lexicon.clone_from(&args.lexicon);
    }
    if let Some(engine) = args.engine {
        config.voice.engine = engine.into();
    }
    if args.explain {
        explain(args, config.voice.lexicon.as_deref())?;
    }
    // A text that is tried out is heard anew, and leaves nothing behind.
    let voice = VoiceConfig {
        rendered: None,
        ..voice_config(&config)
    };
    if let Some(out) = &args.out {
        speak(args, voice, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(args: &Args, lexicon: Option<&Path>) -> anyhow::Result<()> {
    anyhow::ensure!(args.lang == Lang::Zh, "--explain is for Mandarin");
    let reader = match lexicon {
        Some(file) => Reader::with_lexicon(file)?,
        None => Reader::default(),
    };
    for piece in reader.read(&args.text) {
        let line = match piece {
            Piece::Word {
                text,
                syllables,
                by,
            } => json!({ "text": text, "read": syllables.join(" "), "by": name(by) }),
            Piece::Latin(word) => json!({ "text": word, "by": "english" }),
            Piece::Pause(mark) => json!({ "pause": mark.to_string() }),
        };
        println!("{line}");
    }
    Ok(())
}

fn name(by: By) -> &'static str {
    match by {
        By::Inline => "inline",
        By::SiteLexicon => "site lexicon",
        By::Surname => "surname",
        By::Lexicon => "lexicon",
        By::Characters => "characters",
    }
}

fn speak(args: &Args, voice: VoiceConfig, out: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    let samples = Voice::new(voice).speak(&args.text, args.lang)?;
    let took = began.elapsed().as_secs_f64();
    std::fs::write(out, speech_wav(&samples))
        .with_context(|| format!("{}: cannot be written", out.display()))?;
    println!(
        "{}",
        json!({ "file": out, "audio_s": seconds(&samples), "took_s": (took * 1000.0).round() / 1000.0 })
    );
    Ok(())
}
