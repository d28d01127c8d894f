//! `aftercall transcribe`: what the ear makes of audio files.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use aftercall_core::heard::Choices;
use aftercall_core::lang::Lang;
use serde_json::{Value, json};

use crate::speech::audio::{decode_file, seconds};
use crate::speech::callbacks::Stop;
use crate::speech::model::Model;
use crate::speech::whisper::{Recogniser, Wanted};

/// Transcribe audio files with the ear that calls use; prints a JSON line a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall transcribe --lang zh fixtures/audio/*.flac

Each line: file, text, from_ms, to_ms, logprob (mean of the tokens: above -0.5 good, below -1.0 poor), confidence
(its exponential, 0-1), no_speech (probability, 0-1), is_speech, audio_s, processing_s; or file and error. A file
that fails does not stop the rest; the command then exits 1.")]
pub struct Args {
    /// zh or en.
    #[arg(long, value_parser = parse_lang)]
    lang: Lang,
    /// A GGML whisper file.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
    /// Accepted for symmetry: the output is always JSON lines.
    #[arg(long)]
    json: bool,
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

fn parse_lang(text: &str) -> Result<Lang, String> {
    Lang::parse(text).ok_or_else(|| "write zh or en".to_owned())
}

/// Transcribes all files.
///
/// # Errors
/// When the model cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let model = Model::load(&args.model)?;
    let mut recogniser = Recogniser::new(&model)?;
    let mut failed = false;
    for file in &args.files {
        let line = transcribe(&mut recogniser, file, args.lang).unwrap_or_else(|error| {
            failed = true;
            json!({ "file": file, "error": format!("{error:#}") })
        });
        println!("{line}");
    }
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn transcribe(recogniser: &mut Recogniser, file: &Path, lang: Lang) -> anyhow::Result<Value> {
    let samples = decode_file(file)?;
    let began = Instant::now();
    let wanted = Wanted {
        lang,
        hot_words: &[],
        choices: &Choices::None,
    };
    let heard = recogniser.recognise(&samples, &wanted, &Stop::default())?;
    Ok(json!({
        "file": file,
        "text": heard.text,
        "from_ms": heard.from_ms,
        "to_ms": heard.to_ms,
        "logprob": rounded(f64::from(heard.logprob)),
        "confidence": rounded(f64::from(heard.logprob.exp())),
        "no_speech": rounded(f64::from(heard.no_speech)),
        "is_speech": heard.is_speech,
        "audio_s": rounded(seconds(&samples)),
        "processing_s": rounded(began.elapsed().as_secs_f64()),
    }))
}

/// To a thousandth: more would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
