//! What every call of a process shares: signed scripts, the lexicon, recorded prompts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use aftercall_core::call::{CallKit, Limits};
use aftercall_core::lang::Lang;
use aftercall_core::script::check::{Concepts, check};
use aftercall_core::script::{Script, ScriptError};
use aftercall_core::signature::{Signature, SignatureError, TrustedKey, verify};
use aftercall_core::trend;
use anyhow::{Context, bail};
use jiff::civil::Date;
use tracing::{error, warn};

use crate::cli::check::KeyFile;
use crate::config;
use crate::dialogs::{self, DialogsError};
use crate::jobs::Clinic;
use crate::jobs::dial::SignedScript;
use crate::redflags;
use crate::scripts;
use crate::speech::audio::AudioError;
use crate::speech::prompts::Prompts;
use crate::store::draft::{Draft, Published};

/// The demo's key pair: public, and so worth nothing outside the loopback telephone network.
const DEMO_KEY: &str = include_str!("../fixtures/demo_signing_key.toml");

/// Loaded once, read by every call.
pub struct Library {
    /// Scripts that may dial on this trunk today.
    pub scripts: Vec<Arc<Script>>,
    /// Ids of scripts, and `redflags`, that the demo's key alone lets dial.
    pub demo_signed: BTreeSet<String>,
    /// Scripts that may not, and why.
    pub refused: Vec<(Arc<Script>, SignatureError)>,
    /// What is wrong with the scripts that are left out: they cannot be read, or break a rule of `check`.
    pub broken: Vec<ScriptError>,
    /// Recorded prompts that cannot be used: their texts are synthesised.
    pub unplayable: Vec<AudioError>,
    keys: Vec<TrustedKey>,
    lexicon_signature: Option<Signature>,
    pub kit: Arc<CallKit>,
    pub trends: Arc<trend::Rules>,
}

/// What may be said now, and of which publications it was made.
pub struct InForce {
    pub published: Published,
    pub library: Arc<Library>,
}

impl Library {
    /// Reads scripts, lexicon and prompts of a dialogs folder.
    ///
    /// # Errors
    /// A broken lexicon, or no script that is sound: each fault with file and line. Where some scripts are sound,
    /// the broken ones are left out.
    pub fn load(dialogs: &Path, keys: &[TrustedKey], today: Date) -> anyhow::Result<Library> {
        Self::load_with(dialogs, &[], keys, today)
    }

    /// The same with the drafts that were put in force laid over the folder. A recording that does not say what a draft's
    /// text says is left out, so that the text is synthesised.
    ///
    /// # Errors
    /// As [`Library::load`].
    pub fn load_with(
        dialogs: &Path,
        in_force: &[Draft],
        keys: &[TrustedKey],
        today: Date,
    ) -> anyhow::Result<Library> {
        let lexicon_dir = redflags::folder(dialogs);
        let lexicon = redflags::load(lexicon_dir.as_deref())?;
        let trends = redflags::load_trends(lexicon_dir.as_deref(), &lexicon)?;
        let signature = redflags::signature(lexicon_dir.as_deref())?;
        let mut prompts = Prompts::load(dialogs)?;
        let (mut scripts, mut refused) = (Vec::new(), Vec::new());
        let mut demo_signed = BTreeSet::new();
        let (folder, _) = dialogs::load_sound(dialogs)?;
        let mut files = scripts::folder(dialogs)?;
        for draft in in_force {
            files = scripts::overlaid(
                &files,
                &draft.script,
                &draft.files,
                draft.signature.as_ref(),
            );
        }
        let (mut sound, mut broken) = scripts::sound(&files);
        for script in sound
            .iter()
            .filter(|script| in_force.iter().any(|d| d.script == script.id))
        {
            prompts.forget(&scripts::outdated_recordings(&folder, script));
        }
        // A signature says who read a script; that it holds the rules is proved here, before it can dial.
        let concepts = Concepts::of(&lexicon);
        sound.retain(|script| {
            let errors = check(std::slice::from_ref(script), &concepts);
            let holds = errors.is_empty();
            broken.extend(errors);
            holds
        });
        if sound.is_empty() {
            return Err(DialogsError::Broken { errors: broken }.into());
        }
        // No script may dial with red flags that nobody signed.
        let judged = verify(&lexicon.claim(signature.as_ref()), keys, today);
        if matches!(&judged, Ok(signed) if signed.loopback_only) {
            demo_signed.insert("redflags".to_owned());
        }
        for script in sound.into_iter().map(Arc::new) {
            let spoken = verify(&script.claim(), keys, today);
            match spoken.and_then(|signed| judged.clone().map(|_| signed)) {
                Ok(signed) => {
                    if signed.loopback_only {
                        demo_signed.insert(script.id.clone());
                    }
                    scripts.push(script);
                }
                Err(error) => refused.push((script, error)),
            }
        }
        let kit = Arc::new(CallKit {
            lexicon: Arc::new(lexicon),
            prompts: by_id(&prompts),
            limits: Limits::default(),
        });
        Ok(Library {
            scripts,
            demo_signed,
            refused,
            broken,
            unplayable: std::mem::take(&mut prompts.refused),
            keys: keys.to_vec(),
            lexicon_signature: signature,
            kit,
            trends: Arc::new(trends),
        })
    }

    /// Says in the log which scripts may not dial and which recordings are not used, and why.
    pub fn log_what_is_left_out(&self) {
        for (script, why) in &self.refused {
            error!(script = %script.id, lang = %script.lang, "script may not dial: {why}");
        }
        for fault in &self.broken {
            error!("script left out: {fault}");
        }
        for fault in &self.unplayable {
            warn!("recorded prompt not used, its text is synthesised: {fault}");
        }
    }

    /// What orders are raised by: packs of scripts that may not dial are known too, for calls that a crash left.
    pub fn clinic(&self) -> Clinic {
        let refused = self.refused.iter().map(|(script, _)| script);
        let known = self.scripts.iter().chain(refused);
        Clinic {
            lexicon: Arc::clone(&self.kit.lexicon),
            trends: Arc::clone(&self.trends),
            packs: known.map(|s| (s.id.clone(), s.packs.clone())).collect(),
        }
    }

    /// The scripts that may dial, by name.
    pub fn signed_scripts(&self) -> Vec<SignedScript> {
        let signed = self.scripts.iter().map(|script| SignedScript {
            pathway: script.id.clone(),
            lang: script.lang,
            hash: script.hash.clone(),
        });
        signed.collect()
    }

    /// The script that may dial `today`: a signature may have run out since it was loaded.
    ///
    /// # Errors
    /// When there is none of that name, or its signature is refused: says which.
    pub fn script(&self, id: &str, lang: Lang, today: Date) -> anyhow::Result<Arc<Script>> {
        let wanted = |script: &Arc<Script>| script.id == id && script.lang == lang;
        if let Some(script) = self.scripts.iter().find(|script| wanted(script)) {
            verify(&script.claim(), &self.keys, today)?;
            let lexicon = self.kit.lexicon.claim(self.lexicon_signature.as_ref());
            verify(&lexicon, &self.keys, today)?;
            return Ok(Arc::clone(script));
        }
        if let Some((_, error)) = self.refused.iter().find(|(script, _)| wanted(script)) {
            bail!("{error}");
        }
        let folder = format!("{id}/");
        let own = self.broken.iter().find(|e| e.at.file.starts_with(&folder));
        if let Some(error) = own {
            bail!("script `{id}` is broken: {error}");
        }
        let known: Vec<String> = self
            .scripts
            .iter()
            .map(|script| format!("{} ({})", script.id, script.lang))
            .collect();
        bail!(
            "there is no script `{id}` in {lang}; there are: {}",
            known.join(", ")
        )
    }
}

fn by_id(prompts: &Prompts) -> BTreeMap<String, Arc<[i16]>> {
    let found = prompts
        .keys()
        .filter_map(|key| Some((key.to_owned(), Arc::clone(prompts.find(key)?))));
    found.collect()
}

/// The keys whose signatures let a script dial: the configured ones, and on the loopback trunk the demo's.
///
/// # Errors
/// When the demo's key file, which is built in, cannot be read.
pub fn trusted_keys(
    scripts: &config::Scripts,
    on_loopback: bool,
) -> anyhow::Result<Vec<TrustedKey>> {
    let configured = scripts.trusted_keys.iter().map(|key| TrustedKey {
        clinician: key.clinician.clone(),
        public: key.public_key.clone(),
        loopback_only: false,
    });
    let mut keys: Vec<TrustedKey> = configured.collect();
    if on_loopback {
        let demo: KeyFile = toml::from_str(DEMO_KEY).context("the demo's key file")?;
        keys.push(TrustedKey {
            clinician: demo.clinician,
            public: demo.public,
            loopback_only: true,
        });
    }
    Ok(keys)
}
