//! `aftercall check`: proves scripts and the red-flag lexicon before anything may dial, and writes a clinician's
//! signatures.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use aftercall_core::plan::What;
use aftercall_core::redflag::Lexicon;
use aftercall_core::script::check::{Concepts, check};
use aftercall_core::script::{Script, ScriptError, load, paths};
use aftercall_core::signature::{Claim, Signature, TrustedKey, key_id, public_key, sign, verify};
use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::dialogs::Shelf;
use crate::pathways;
use crate::redflags;

/// Prove scripts and the red-flag lexicon; sign them for a clinician.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  aftercall check dialogs
  aftercall check --new-key dr-lin.toml --clinician 'Dr Lin'
  aftercall check dialogs/cardiac --sign dr-lin.toml --until 2027-06-30
  aftercall check dialogs/redflags --sign dr-lin.toml --until 2027-06-30

Each problem is a line `file:line: what is wrong [rule]`; exit status 1 when there is one. Signing needs scripts
without problems; it writes signature.toml beside script.toml, and beside the lexicon's tables where the folder
holds them. Any later change undoes it.")]
pub struct Args {
    /// A folder of scripts, one script's folder, or the lexicon's.
    #[arg(value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// Sign with this key after a check without problems.
    #[arg(long, value_name = "KEYFILE", requires = "until")]
    sign: Option<PathBuf>,
    /// Name of the clinician of a new key.
    #[arg(long, value_name = "NAME")]
    clinician: Option<String>,
    /// First day on which the signature does not hold any more (YYYY-MM-DD).
    #[arg(long, value_name = "DATE")]
    until: Option<Date>,
    /// First day on which it holds; today, when not given.
    #[arg(long, value_name = "DATE")]
    from: Option<Date>,
    /// Make a new key pair for --clinician and write it here; keep the file secret.
    #[arg(long, value_name = "KEYFILE", requires = "clinician")]
    new_key: Option<PathBuf>,
    /// Key files whose signatures are trusted, to see whether the signatures hold.
    #[arg(long, value_name = "KEYFILE")]
    trust: Vec<PathBuf>,
}

/// A key pair on disk.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    pub version: u32,
    pub clinician: String,
    /// Only calls on the loopback telephone network: the demo's key.
    #[serde(default)]
    pub loopback_only: bool,
    /// 32 bytes, base64.
    pub public: String,
    /// 32 bytes, base64; absent in a file that only trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl KeyFile {
    /// Reads a key file.
    ///
    /// # Errors
    /// A file that cannot be read or is none.
    pub fn read(path: &Path) -> anyhow::Result<KeyFile> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        toml::from_str(&text).with_context(|| format!("{} is no key file", path.display()))
    }

    /// The half that a configuration trusts.
    pub fn trusted(&self) -> TrustedKey {
        TrustedKey {
            clinician: self.clinician.clone(),
            public: self.public.clone(),
            loopback_only: self.loopback_only,
        }
    }

    fn secret(&self, path: &Path) -> anyhow::Result<[u8; 32]> {
        let secret = self
            .secret
            .as_deref()
            .with_context(|| format!("{} holds no secret key", path.display()))?;
        let bytes = STANDARD
            .decode(secret)
            .ok()
            .and_then(|b| <[u8; 32]>::try_from(b).ok());
        let secret = bytes
            .with_context(|| format!("{}: the secret is not 32 bytes of base64", path.display()))?;
        if public_key(&secret) != self.public {
            bail!(
                "{}: the two halves of the key do not belong together",
                path.display()
            );
        }
        Ok(secret)
    }
}

/// What was found in one folder.
struct Found {
    /// `None` in the lexicon's own folder.
    shelf: Option<Shelf>,
    scripts: Vec<Script>,
    errors: Vec<ScriptError>,
    tables: Option<Tables>,
}

/// The lexicon that lies in the folder.
struct Tables {
    dir: PathBuf,
    lexicon: Lexicon,
    signature: Option<Signature>,
}

impl Tables {
    /// Those in the folder, or in `redflags` below it.
    fn find(dir: &Path) -> anyhow::Result<Option<Tables>> {
        let Some(dir) = redflags::folder(dir) else {
            return Ok(None);
        };
        let lexicon = redflags::load(Some(&dir)).with_context(|| dir.display().to_string())?;
        let signature = redflags::signature(Some(&dir))?;
        Ok(Some(Tables {
            dir,
            lexicon,
            signature,
        }))
    }

    fn claim(&self) -> Claim<'_> {
        self.lexicon.claim(self.signature.as_ref())
    }
}

/// Checks, and signs where asked to.
///
/// # Errors
/// Folders and key files that cannot be read. Problems in scripts are the exit status, not an error.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(path) = &args.new_key {
        new_key(path, args.clinician.as_deref().unwrap_or_default())?;
    }
    if args.dirs.is_empty() && args.new_key.is_none() {
        bail!("which folder? for example: aftercall check dialogs");
    }
    let mut all: Vec<Found> = Vec::new();
    for dir in &args.dirs {
        all.push(prove(dir)?);
    }
    let mut broken = all.iter().any(|f| !f.errors.is_empty());
    for dir in &args.dirs {
        broken |= !pathways_hold(dir, args.json)?;
    }
    if let (Some(key), false) = (&args.sign, broken) {
        for found in &mut all {
            write_signatures(found, key, args)?;
        }
    }
    report(&all, args)?;
    if broken && args.sign.is_some() {
        eprintln!("not signed: first mend what is listed above");
    }
    Ok(ExitCode::from(u8::from(broken)))
}

/// Proves the pathways that lie in a folder of scripts, each by its file and line.
fn pathways_hold(dir: &Path, quiet: bool) -> anyhow::Result<bool> {
    let (sound, errors) = pathways::read(dir)?;
    for error in &errors {
        eprintln!("{error}");
    }
    let mut hold = errors.is_empty();
    for pathway in sound {
        let calls = pathway
            .steps
            .iter()
            .filter(|step| step.what == What::Call)
            .count();
        let others = pathway.steps.len() - calls;
        if calls > 0 && !dir.join(&pathway.script).join("script.toml").is_file() {
            eprintln!("{}: there is no script `{}`", pathway.id, pathway.script);
            hold = false;
        } else if !quiet {
            println!(
                "pathway {}: {calls} calls by {}, {others} tasks and messages",
                pathway.id, pathway.script
            );
        }
    }
    Ok(hold)
}

fn prove(dir: &Path) -> anyhow::Result<Found> {
    let tables = Tables::find(dir)?;
    if tables.as_ref().is_some_and(|tables| tables.dir == dir) {
        return Ok(Found {
            shelf: None,
            scripts: Vec::new(),
            errors: Vec::new(),
            tables,
        });
    }
    let shelf = Shelf::find(dir)?;
    // One script's folder: its lexicon lies beside it.
    let beside = match (&tables, dir.parent()) {
        (None, Some(parent)) => Tables::find(parent)?,
        (Some(_), _) | (None, None) => None,
    };
    let concepts = match tables.as_ref().or(beside.as_ref()) {
        Some(tables) => Concepts::of(&tables.lexicon),
        None => Concepts::of(&redflags::load(None)?),
    };
    let (scripts, errors) = match load(&shelf.files()?) {
        Ok(scripts) => {
            let errors = check(&scripts, &concepts);
            (scripts, errors)
        }
        Err(errors) => (Vec::new(), errors),
    };
    // Files are named from the folder of scripts; an author wants the path as typed.
    let shown = if dir.join("script.toml").is_file() {
        dir.parent().unwrap_or(Path::new(""))
    } else {
        dir
    };
    let errors = errors.into_iter().map(|mut error| {
        error.at.file = shown.join(&error.at.file).display().to_string();
        error
    });
    Ok(Found {
        errors: errors.collect(),
        shelf: Some(shelf),
        scripts,
        tables,
    })
}

fn new_key(path: &Path, clinician: &str) -> anyhow::Result<()> {
    if path.exists() {
        bail!(
            "{} exists already; a key is never overwritten",
            path.display()
        );
    }
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret)
        .map_err(|e| anyhow::anyhow!("no randomness from the system: {e}"))?;
    let key = KeyFile {
        version: 1,
        clinician: clinician.to_owned(),
        loopback_only: false,
        public: public_key(&secret),
        secret: Some(STANDARD.encode(secret)),
    };
    fs::write(path, toml::to_string(&key)?).with_context(|| path.display().to_string())?;
    println!(
        "{}: new key {}; trust it in the configuration:\n[[scripts.trusted_keys]]\nclinician = \"{clinician}\"\npublic_key = \"{}\"",
        path.display(),
        key_id(&key.public),
        key.public
    );
    Ok(())
}

/// One signature a folder covers every language of it; the lexicon has its own.
fn write_signatures(found: &mut Found, key: &Path, args: &Args) -> anyhow::Result<()> {
    let file = KeyFile::read(key)?;
    let secret = file.secret(key)?;
    let today = jiff::Zoned::now().date();
    let from = args.from.unwrap_or(today);
    let until = args.until.context("--sign needs --until DATE")?;
    if until <= from {
        bail!("--until {until} is not after {from}");
    }
    let mut done: BTreeMap<String, Signature> = BTreeMap::new();
    for script in &mut found.scripts {
        let signature = sign(&script.claim(), &secret, &file.clinician, from, until);
        if !done.contains_key(&script.id)
            && let Some(shelf) = &found.shelf
        {
            let path = shelf.root.join(&script.id).join(redflags::SIGNATURE);
            write_signature(&path, &signature, &file)?;
        }
        done.insert(script.id.clone(), signature.clone());
        script.signature = Some(signature);
    }
    if let Some(tables) = &mut found.tables {
        let signature = sign(&tables.claim(), &secret, &file.clinician, from, until);
        write_signature(&tables.dir.join(redflags::SIGNATURE), &signature, &file)?;
        tables.signature = Some(signature);
    }
    Ok(())
}

fn write_signature(path: &Path, signature: &Signature, key: &KeyFile) -> anyhow::Result<()> {
    let note = if key.loopback_only {
        "# Signed with the demo's key: calls on the loopback telephone network only.\n"
    } else {
        ""
    };
    let text = format!("{note}{}", toml::to_string(signature)?);
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn report(all: &[Found], args: &Args) -> anyhow::Result<()> {
    let mut keys = Vec::new();
    for path in args.trust.iter().chain(&args.sign) {
        keys.push(KeyFile::read(path)?.trusted());
    }
    let today = jiff::Zoned::now().date();
    if args.json {
        let errors: Vec<&ScriptError> = all.iter().flat_map(|f| &f.errors).collect();
        let scripts: Vec<_> = all
            .iter()
            .flat_map(|f| &f.scripts)
            .map(|s| view(s, &keys, today))
            .collect();
        let lexicons: Vec<_> = all
            .iter()
            .filter_map(|f| f.tables.as_ref())
            .map(|tables| {
                let claim = tables.claim();
                json!({
                    "hash": tables.lexicon.hash(),
                    "signature": signed(&claim, &keys, today),
                    "verified": verify(&claim, &keys, today).is_ok(),
                })
            })
            .collect();
        println!(
            "{}",
            json!({ "ok": errors.is_empty(), "errors": errors, "scripts": scripts, "lexicons": lexicons })
        );
        return Ok(());
    }
    for found in all {
        for error in &found.errors {
            println!("{error}");
        }
        for script in found.scripts.iter().filter(|_| found.errors.is_empty()) {
            println!("{}", line(script, &keys, today));
        }
        if let Some(tables) = found.tables.as_ref().filter(|_| found.errors.is_empty()) {
            println!("{}", tables_line(tables, &keys, today));
        }
    }
    Ok(())
}

fn line(script: &Script, keys: &[TrustedKey], today: Date) -> String {
    let days = script.days.iter().map(|day| paths::longest(script, *day));
    let longest = days.fold(paths::Length::default(), |a, b| paths::Length {
        questions: a.questions.max(b.questions),
        seconds: a.seconds.max(b.seconds),
    });
    format!(
        "{} {} revision {}: {} nodes, at most {} questions and {:.0} s; {}",
        script.id,
        script.lang,
        script.revision,
        script.nodes.len(),
        longest.questions,
        longest.seconds,
        signed(&script.claim(), keys, today)
    )
}

fn tables_line(tables: &Tables, keys: &[TrustedKey], today: Date) -> String {
    let about = tables.lexicon.about().iter();
    let mut revision = about.filter(|(key, _)| key == "revision").map(|(_, v)| v);
    format!(
        "redflags revision {}: {} concepts, {} details, {} rules of packs; {}",
        revision.next_back().map_or("?", String::as_str),
        tables.lexicon.concepts().len(),
        tables.lexicon.details().len(),
        tables.lexicon.packs().rules().len(),
        signed(&tables.claim(), keys, today)
    )
}

fn signed(claim: &Claim<'_>, keys: &[TrustedKey], today: Date) -> String {
    match (claim.signature, verify(claim, keys, today)) {
        (None, _) => "not signed".to_owned(),
        (Some(_), Ok(signed)) => {
            let only = if signed.loopback_only {
                ", loopback only"
            } else {
                ""
            };
            format!(
                "signed by {} until {}{only}",
                signed.clinician, signed.expires
            )
        }
        (Some(signature), Err(_)) if keys.is_empty() && signature.content_sha256 == claim.hash => {
            format!(
                "signed by {} until {} (key {}, not verified here)",
                signature.clinician, signature.expires, signature.key_id
            )
        }
        (Some(_), Err(error)) => error.to_string(),
    }
}

fn view(script: &Script, keys: &[TrustedKey], today: Date) -> serde_json::Value {
    let days = script.days.iter().map(|day| {
        let length = paths::longest(script, *day);
        json!({ "day": day, "questions": length.questions, "seconds": length.seconds.round() })
    });
    json!({
        "id": script.id,
        "lang": script.lang,
        "revision": script.revision,
        "hash": script.hash,
        "days": days.collect::<Vec<_>>(),
        "signature": signed(&script.claim(), keys, today),
        "verified": verify(&script.claim(), keys, today).is_ok(),
    })
}
