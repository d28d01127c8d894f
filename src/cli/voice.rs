//! `aftercall voice`: how well each installed speaker is understood, and how fast it speaks.

use std::path::PathBuf;
use std::process::ExitCode;

use aftercall_core::lang::Lang;
use anyhow::{Context, ensure};
use serde_json::json;

use crate::eval::voice::{measure, texts};
use crate::speech::kokoro::KokoroConfig;
use crate::speech::model::Model;
use crate::speech::models::{Kind, read_manifests};
use crate::speech::whisper::Recogniser;

/// Have every installed speaker say the same texts, hear them through 8 kHz A-law, and print a JSON line each.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  aftercall voice
  aftercall voice --texts 40")]
pub struct Args {
    /// So many texts a language, evenly out of the table.
    #[arg(long, value_name = "N", default_value_t = 30)]
    texts: usize,
    /// Lines to say: a table whose second column is the language and whose last the text.
    #[arg(long, value_name = "FILE", default_value = "fixtures/audio/lines.tsv")]
    lines: PathBuf,
    /// Folder of manifests and weights.
    #[arg(long, value_name = "FOLDER", default_value = "models")]
    dir: PathBuf,
    /// A GGML whisper file: the ear.
    #[arg(long, value_name = "PATH", default_value = "models/ggml-base-q8_0.bin")]
    model: PathBuf,
}

/// Measures every speaker that is installed.
///
/// # Errors
/// When nothing is installed, or a voice or the ear cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let table = std::fs::read_to_string(&args.lines)
        .with_context(|| format!("{}: cannot be read", args.lines.display()))?;
    let manifests = read_manifests(&args.dir)?;
    let installed = |kind| {
        let of_kind = manifests.iter().filter(move |model| model.kind == kind);
        of_kind.filter(|model| args.dir.join(&model.file).is_file())
    };
    let voice = installed(Kind::KokoroOnnx).next();
    let voice = voice.context("no voice is installed: aftercall models fetch kokoro-82m-int8")?;
    let mut ear = Recogniser::new(&Model::load(&args.model)?)?;
    let mut measured = 0;
    for speaker in installed(Kind::KokoroVoice) {
        for lang in Lang::ALL {
            if !speaker.languages.contains(&lang.to_string()) {
                continue;
            }
            let all = texts(&table, lang);
            let step = all.len().div_ceil(args.texts.max(1)).max(1);
            let chosen: Vec<String> = all.into_iter().step_by(step).collect();
            let style = args.dir.join(&speaker.file);
            let config = KokoroConfig {
                model: args.dir.join(&voice.file),
                voice_zh: style.clone(),
                voice_en: style,
                lexicon: None,
            };
            let folder = std::env::temp_dir().join(format!("aftercall-{}", uuid::Uuid::now_v7()));
            let figures = measure(&config, lang, &chosen, &folder, &mut ear);
            // What was rendered is of no use any more; a folder that stays is no failure.
            let _ = std::fs::remove_dir_all(&folder);
            println!(
                "{}",
                json!({ "speaker": speaker.name, "lang": lang.to_string(), "figures": figures? })
            );
            measured += 1;
        }
    }
    ensure!(
        measured > 0,
        "no speaker is installed: aftercall models fetch kokoro-zf_xiaoyi"
    );
    Ok(ExitCode::SUCCESS)
}
