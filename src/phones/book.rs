//! The telephones as their files describe them: `fixtures/phones/*.toml`, with clips and prompts decoded.
//!
//! A broken file is reported with its name and line, and the other telephones still ring.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Spanned;

use super::recognise::Template;
use crate::speech::audio::{AudioError, decode_file};

/// Where the telephones and their sounds are.
#[derive(Clone, Debug)]
pub struct Folders {
    /// One TOML file a telephone.
    pub phones: PathBuf,
    /// `<clip>.flac`: what the telephones say.
    pub audio: PathBuf,
    /// `<folder>/prompts/<language>/<prompt>.flac`: what the robot says.
    pub dialogs: PathBuf,
}

/// One telephone, ready to ring.
#[derive(Clone, Debug)]
pub struct Phone {
    /// The file's name without its ending: what logs call the telephone.
    pub name: String,
    /// Digits of the number, without the plus sign.
    pub digits: String,
    pub ring_ms: u64,
    pub does: Does,
    pub replies: Vec<Reply>,
    pub otherwise: Option<Action>,
    /// Where the file gives the number.
    line: usize,
}

/// What a telephone does with a call.
#[derive(Clone, Debug)]
pub enum Does {
    Answer { greeting: Option<Clip> },
    Refuse { status: u16 },
    RingOn,
    Announce { clip: Clip, status: u16 },
    Voicemail { greeting: Clip },
}

/// What is answered to a prompt.
#[derive(Clone, Debug)]
pub struct Reply {
    pub hears: Vec<Arc<Template>>,
    pub action: Action,
    /// Only so often.
    pub times: Option<u32>,
}

/// One reaction of the person at the telephone.
#[derive(Clone, Debug, Default)]
pub struct Action {
    pub says: Option<Clip>,
    pub keys: String,
    /// Hangs up afterwards, or so many milliseconds after beginning to speak.
    pub hangs_up: bool,
    pub cut_ms: Option<u64>,
    /// Said into what the robot says next.
    pub interrupts: Option<Interrupts>,
}

/// Speech into the robot's own.
#[derive(Clone, Debug)]
pub struct Interrupts {
    pub clip: Clip,
    /// So long into the robot's voice.
    pub after_ms: u64,
}

/// Recorded speech, by its name.
#[derive(Clone, Debug)]
pub struct Clip {
    pub name: String,
    pub samples: Arc<[i16]>,
}

/// Why a telephone does not ring.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("{folder}: cannot be read; give a folder of telephones with --phones")]
    Folder {
        folder: String,
        source: std::io::Error,
    },
    #[error("{file}: cannot be read")]
    Read {
        file: String,
        source: std::io::Error,
    },
    #[error("{file}:{line}: {why}")]
    Content {
        file: String,
        line: usize,
        why: String,
    },
}

/// All telephones of a folder, and what is wrong with the files of those that are missing.
#[derive(Clone, Debug, Default)]
pub struct Book {
    phones: BTreeMap<String, Arc<Phone>>,
}

impl Book {
    /// Reads every file; the errors are of the telephones left out.
    ///
    /// # Errors
    /// [`BookError::Folder`] when there is no such folder.
    pub fn load(folders: &Folders) -> Result<(Book, Vec<BookError>), BookError> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&folders.phones)
            .map_err(|source| BookError::Folder {
                folder: folders.phones.display().to_string(),
                source,
            })?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        files.sort();
        let mut sounds = Sounds::new(folders);
        let (mut book, mut errors) = (Book::default(), Vec::new());
        for path in files {
            match read(&path, &mut sounds).and_then(|phone| book.add(phone, &path)) {
                Ok(()) => {}
                Err(error) => errors.push(error),
            }
        }
        Ok((book, errors))
    }

    /// The telephone of a dialled user part, with or without plus sign and separators.
    pub fn find(&self, user: &str) -> Option<Arc<Phone>> {
        self.phones.get(&digits(user)?).cloned()
    }

    /// How many telephones ring.
    pub fn len(&self) -> usize {
        self.phones.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.phones.is_empty()
    }

    fn add(&mut self, phone: Phone, path: &Path) -> Result<(), BookError> {
        if let Some(other) = self.phones.get(&phone.digits) {
            return Err(BookError::Content {
                file: path.display().to_string(),
                line: phone.line,
                why: format!(
                    "the number is already that of `{}`; give each its own",
                    other.name
                ),
            });
        }
        self.phones.insert(phone.digits.clone(), Arc::new(phone));
        Ok(())
    }
}

/// Digits of a user part without plus sign, parameters and visual separators (RFC 3966 §3).
fn digits(user: &str) -> Option<String> {
    let user = user.split(';').next().unwrap_or_default();
    let user = user.replace("%2B", "+").replace("%2b", "+");
    let plain: String = user.chars().filter(|c| !"-.()".contains(*c)).collect();
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    let is_number = !plain.is_empty() && plain.chars().all(|c| c.is_ascii_digit());
    is_number.then(|| plain.to_owned())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhoneFile {
    number: Spanned<String>,
    /// For the reader of the file.
    #[serde(default, rename = "story")]
    _story: String,
    #[serde(default)]
    ring_ms: u64,
    does: Spanned<DoesFile>,
    early_media: Option<Spanned<String>>,
    status: Option<Spanned<u16>>,
    greeting: Option<Spanned<String>>,
    #[serde(default, rename = "reply")]
    replies: Vec<Spanned<ReplyFile>>,
    otherwise: Option<Spanned<ReplyFile>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DoesFile {
    Answer,
    Busy,
    NoAnswer,
    Decline,
    Announcement,
    Voicemail,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplyFile {
    #[serde(default)]
    hears: Vec<Spanned<String>>,
    says: Option<Spanned<String>>,
    keys: Option<Spanned<String>>,
    #[serde(default)]
    hang_up: bool,
    cut_ms: Option<u64>,
    times: Option<u32>,
    interrupts: Option<InterruptsFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InterruptsFile {
    says: Spanned<String>,
    after_ms: u64,
}

/// Clips and prompts, each decoded once.
struct Sounds<'a> {
    folders: &'a Folders,
    clips: BTreeMap<String, Arc<[i16]>>,
    prompts: BTreeMap<String, Arc<Template>>,
}

/// What is wrong, and where in the file.
type Wrong = (Range<usize>, String);

fn read(path: &Path, sounds: &mut Sounds<'_>) -> Result<Phone, BookError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| BookError::Read {
        file: file.clone(),
        source,
    })?;
    let at = |(span, why): Wrong| BookError::Content {
        file: file.clone(),
        line: text[..span.start.min(text.len())].matches('\n').count() + 1,
        why,
    };
    let parsed: PhoneFile = toml::from_str(&text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        at((span, error.message().to_owned()))
    })?;
    let name = path
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    let line = text[..parsed.number.span().start].matches('\n').count() + 1;
    build(parsed, name.unwrap_or_default(), line, sounds).map_err(at)
}

fn build(
    file: PhoneFile,
    name: String,
    line: usize,
    sounds: &mut Sounds<'_>,
) -> Result<Phone, Wrong> {
    let digits = digits(file.number.as_ref()).ok_or_else(|| {
        let why = "number is not a telephone number; write it as \"+8613800001001\"";
        (file.number.span(), why.to_owned())
    })?;
    let does = does(&file, sounds)?;
    let mut replies = Vec::new();
    for reply in &file.replies {
        let (span, reply) = (reply.span(), reply.as_ref());
        if reply.hears.is_empty() {
            let why =
                "the reply hears nothing; list prompts as hears = [\"common/zh/screen_chest\"]";
            return Err((span, why.to_owned()));
        }
        let hears = reply
            .hears
            .iter()
            .map(|id| sounds.prompt(id))
            .collect::<Result<_, _>>()?;
        replies.push(Reply {
            hears,
            action: action(reply, span, sounds)?,
            times: reply.times,
        });
    }
    let otherwise = match &file.otherwise {
        Some(other) => Some(action(other.as_ref(), other.span(), sounds)?),
        None => None,
    };
    Ok(Phone {
        name,
        digits,
        ring_ms: file.ring_ms,
        does,
        replies,
        otherwise,
        line,
    })
}

fn does(file: &PhoneFile, sounds: &mut Sounds<'_>) -> Result<Does, Wrong> {
    let needs = |what: &str| (file.does.span(), format!("such a telephone needs `{what}`"));
    let status = |usual: u16| match &file.status {
        Some(status) if !(300..700).contains(status.as_ref()) => {
            let why = "status is not a final refusal (300-699)".to_owned();
            Err((status.span(), why))
        }
        Some(status) => Ok(*status.as_ref()),
        None => Ok(usual),
    };
    let mut greeting = || {
        file.greeting
            .as_ref()
            .map(|clip| sounds.clip(clip))
            .transpose()
    };
    match file.does.as_ref() {
        DoesFile::Answer => Ok(Does::Answer {
            greeting: greeting()?,
        }),
        DoesFile::Voicemail => Ok(Does::Voicemail {
            greeting: greeting()?.ok_or_else(|| needs("greeting"))?,
        }),
        DoesFile::Busy => Ok(Does::Refuse {
            status: status(486)?,
        }),
        DoesFile::Decline => Ok(Does::Refuse {
            status: status(603)?,
        }),
        DoesFile::NoAnswer => Ok(Does::RingOn),
        DoesFile::Announcement => {
            let clip = file
                .early_media
                .as_ref()
                .ok_or_else(|| needs("early_media"))?;
            Ok(Does::Announce {
                clip: sounds.clip(clip)?,
                status: status(480)?,
            })
        }
    }
}

fn action(file: &ReplyFile, span: Range<usize>, sounds: &mut Sounds<'_>) -> Result<Action, Wrong> {
    let keys = match &file.keys {
        Some(keys)
            if !keys
                .as_ref()
                .chars()
                .all(|key| "0123456789*#ABCD".contains(key)) =>
        {
            let why = "keys may be 0-9, *, # and A-D only".to_owned();
            return Err((keys.span(), why));
        }
        Some(keys) => keys.as_ref().clone(),
        None => String::new(),
    };
    let says = file
        .says
        .as_ref()
        .map(|clip| sounds.clip(clip))
        .transpose()?;
    if says.is_none() && keys.is_empty() && !file.hang_up {
        let why = "the reply does nothing; give it says, keys or hang_up = true".to_owned();
        return Err((span, why));
    }
    if file.cut_ms.is_some() && says.is_none() {
        let why = "cut_ms cuts what is said, and nothing is; add says".to_owned();
        return Err((span, why));
    }
    let interrupts = match &file.interrupts {
        Some(file) => Some(Interrupts {
            clip: sounds.clip(&file.says)?,
            after_ms: file.after_ms,
        }),
        None => None,
    };
    Ok(Action {
        interrupts,
        says,
        keys,
        hangs_up: file.hang_up || file.cut_ms.is_some(),
        cut_ms: file.cut_ms,
    })
}

impl Sounds<'_> {
    fn new(folders: &Folders) -> Sounds<'_> {
        Sounds {
            folders,
            clips: BTreeMap::new(),
            prompts: BTreeMap::new(),
        }
    }

    fn clip(&mut self, name: &Spanned<String>) -> Result<Clip, Wrong> {
        let name_text = name.as_ref();
        let samples = match self.clips.get(name_text) {
            Some(samples) => samples.clone(),
            None => {
                let path = self.folders.audio.join(format!("{name_text}.flac"));
                let samples: Arc<[i16]> = decode_file(&path)
                    .map_err(|error| wrong_sound(name, &error))?
                    .into();
                self.clips.insert(name_text.clone(), samples.clone());
                samples
            }
        };
        Ok(Clip {
            name: name_text.clone(),
            samples,
        })
    }

    fn prompt(&mut self, id: &Spanned<String>) -> Result<Arc<Template>, Wrong> {
        if let Some(prompt) = self.prompts.get(id.as_ref()) {
            return Ok(prompt.clone());
        }
        let parts: Vec<&str> = id.as_ref().split('/').collect();
        let &[folder, lang, prompt] = parts.as_slice() else {
            let why = format!("`{}` is not <folder>/<language>/<prompt>", id.as_ref());
            return Err((id.span(), why));
        };
        let file = format!("{prompt}.flac");
        let path = self
            .folders
            .dialogs
            .join(folder)
            .join("prompts")
            .join(lang)
            .join(file);
        let samples = decode_file(&path).map_err(|error| wrong_sound(id, &error))?;
        let template = Template::new(id.as_ref(), &samples).ok_or_else(|| {
            let why = format!(
                "{}: too short or too quiet to be recognised",
                path.display()
            );
            (id.span(), why)
        })?;
        let template = Arc::new(template);
        self.prompts.insert(id.as_ref().clone(), template.clone());
        Ok(template)
    }
}

fn wrong_sound(name: &Spanned<String>, error: &AudioError) -> Wrong {
    (name.span(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(phones: &Path) -> Folders {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Folders {
            phones: phones.to_owned(),
            audio: root.join("fixtures/audio"),
            dialogs: root.join("dialogs"),
        }
    }

    #[test]
    fn every_telephone_of_the_demo_rings() {
        let phones = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/phones");
        let (book, errors) = Book::load(&folders(&phones)).expect("the folder is there");
        assert!(errors.is_empty(), "{errors:?}");
        assert!(book.len() >= 30, "{}", book.len());
        for user in [
            "+8613800001001",
            "8613800001001",
            "%2B86-138-0000-1001;phone-context=x",
        ] {
            assert_eq!(
                book.find(user).map(|phone| phone.name.clone()),
                Some("rh10001_li".to_owned())
            );
        }
        assert!(book.find("123").is_none() && book.find("").is_none());
    }

    #[test]
    fn a_broken_file_is_named_with_its_line_and_the_others_ring() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let good = "number = \"1000\"\ndoes = \"busy\"\n";
        let files = [
            ("a", good.to_owned(), ""),
            (
                "b",
                good.to_owned(),
                "b.toml:1: the number is already that of `a`",
            ),
            (
                "c",
                good.replace("1000", "x"),
                "c.toml:1: number is not a telephone number",
            ),
            (
                "d",
                good.replace("1000", "1001") + "rings = 4\n",
                "d.toml:3: unknown field `rings`",
            ),
            (
                "e",
                good.replace("1000", "1002") + "\n[otherwise]\nsays = \"nobody_here\"\n",
                "e.toml:5: ",
            ),
            (
                "f",
                good.replace("1000", "1003") + "[[reply]]\nhears = [\"common/zh/nothing\"]\n",
                "f.toml:4: ",
            ),
            (
                "g",
                "number = \"1004\"\ndoes = \"voicemail\"\n".to_owned(),
                "g.toml:2: such a telephone needs `greeting`",
            ),
        ];
        for (name, text, _) in &files {
            let path = folder.path().join(format!("{name}.toml"));
            std::fs::write(path, text).expect("the folder is writable");
        }
        let (book, errors) = Book::load(&folders(folder.path())).expect("the folder is there");
        assert_eq!(book.len(), 1);
        let wanted: Vec<&str> = files
            .iter()
            .map(|file| file.2)
            .filter(|w| !w.is_empty())
            .collect();
        for (error, wanted) in errors.iter().zip(&wanted) {
            assert!(error.to_string().contains(wanted), "{error} | {wanted}");
        }
        assert_eq!(errors.len(), wanted.len());
    }
}
