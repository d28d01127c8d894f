//! Any program of the site as the voice: its arguments are given as a list, without a shell.
//!
//! Of the arguments, `{text_file}`, `{out}`, `{lang}`, `{voice}` and `{speed}` are filled in; the text comes by stdin too.
//! The program writes a sound file to `{out}`, or to its stdout where that is not named, and exits with 0.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aftercall_core::lang::Lang;

use crate::speech::audio::{AudioError, decode_bytes};
use crate::speech::child::{self, ChildError};

/// How to run it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandConfig {
    /// The program and its arguments.
    pub command: Vec<String>,
    pub voice_zh: String,
    pub voice_en: String,
    /// 1 as taught.
    pub speed: f32,
    /// A text that takes longer is given up.
    pub timeout: Duration,
}

/// Why the program did not speak.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("voice.command names no program")]
    Empty,
    #[error("no folder for the text and its sound")]
    Folder(#[source] std::io::Error),
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error("{program} wrote no sound file")]
    NoFile {
        program: String,
        source: std::io::Error,
    },
    #[error("{program} wrote a sound that cannot be read: {source}")]
    Sound { program: String, source: AudioError },
}

/// Speaks a text, 8 kHz.
///
/// # Errors
/// See [`CommandError`].
pub fn speak(config: &CommandConfig, text: &str, lang: Lang) -> Result<Vec<i16>, CommandError> {
    let (program, arguments) = config.command.split_first().ok_or(CommandError::Empty)?;
    // Names are personal data: the folder is readable by us alone and gone with the text.
    let folder = Folder::new().map_err(CommandError::Folder)?;
    let (text_file, out) = (folder.0.join("text.txt"), folder.0.join("out.wav"));
    fs::write(&text_file, text).map_err(CommandError::Folder)?;
    let voice = match lang {
        Lang::Zh => &config.voice_zh,
        Lang::En => &config.voice_en,
    };
    let path = |path: &Path| path.display().to_string();
    let filled = |argument: &String| {
        argument
            .replace("{text_file}", &path(&text_file))
            .replace("{out}", &path(&out))
            .replace("{lang}", &lang.to_string())
            .replace("{voice}", voice)
            .replace("{speed}", &config.speed.to_string())
    };
    let writes_a_file = arguments.iter().any(|argument| argument.contains("{out}"));
    let mut command = Command::new(program);
    command.args(arguments.iter().map(filled));
    command.stdout(match writes_a_file {
        true => Stdio::null(),
        false => Stdio::piped(),
    });
    let program = || program.clone();
    let written = child::run(command, text.to_owned(), config.timeout)?;
    let sound = match writes_a_file {
        true => fs::read(&out).map_err(|source| CommandError::NoFile {
            program: program(),
            source,
        })?,
        false => written,
    };
    decode_bytes(sound, "out.wav").map_err(|source| CommandError::Sound {
        program: program(),
        source,
    })
}

/// A folder of our own, deleted with everything in it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> std::io::Result<Folder> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("aftercall-{}", uuid::Uuid::now_v7()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a spoken text was not deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::speech_wav;

    fn config(command: &[&str]) -> CommandConfig {
        CommandConfig {
            command: command.iter().map(|part| (*part).to_owned()).collect(),
            voice_zh: "xiaoyi".to_owned(),
            voice_en: "heart".to_owned(),
            speed: 0.9,
            timeout: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_program_is_given_text_and_voice_and_its_sound_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let clip = folder.path().join("clip.wav");
        let said: Vec<i16> = (0..1_600).map(|n| n * 9).collect();
        fs::write(&clip, speech_wav(&said)).expect("the folder is writable");
        let log = folder.path().join("log");
        let script = format!(
            "cp {clip} \"$2\"; echo \"$(cat $1) $3 $4 $5\" > {log}",
            clip = clip.display(),
            log = log.display()
        );
        let arguments = ["{text_file}", "{out}", "{lang}", "{voice}", "{speed}"];
        let to_a_file = config(&[&["sh", "-c", &script, "sh"], &arguments[..]].concat());
        assert_eq!(
            speak(&to_a_file, "单先生", Lang::Zh).expect("it speaks"),
            said
        );
        let logged = fs::read_to_string(log).expect("it ran");
        assert_eq!(logged, "单先生 zh xiaoyi 0.9\n");
        let path = clip.display().to_string();
        let to_stdout = config(&["cat", &path]);
        assert_eq!(
            speak(&to_stdout, "Mr Wang", Lang::En).expect("it speaks"),
            said
        );
    }

    #[test]
    fn a_program_that_fails_writes_nothing_or_never_ends_is_named() {
        for (command, why) in [
            (vec![], "names no program"),
            (vec!["no-such-voice"], "not installed"),
            (vec!["false"], "gave no sound"),
            (vec!["true", "{out}"], "no sound file"),
            (vec!["echo", "text"], "cannot be read"),
            (vec!["tail", "-f", "/dev/null"], "longer than"),
        ] {
            let mut config = config(&command);
            config.timeout = Duration::from_millis(300);
            let error = speak(&config, "王先生", Lang::Zh)
                .expect_err(why)
                .to_string();
            assert!(error.contains(why) && !error.contains('王'), "{error}");
        }
    }
}
