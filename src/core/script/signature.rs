//! A clinician's signature on a script: Ed25519 over its canonical content, prompt texts included.
//!
//! The content is the script's own folder and the shared one, because both are spoken. Recordings are
//! left out: they are made from the texts. Keys come from the configuration; the clock from the caller.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::file::SHARED;
use super::node::Script;

/// `signature.toml`, beside `script.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub version: u32,
    /// Who answers for the wording.
    pub clinician: String,
    /// [`key_id`] of the public key.
    pub key_id: String,
    pub signed_on: Date,
    /// The first day on which it no longer holds.
    pub expires: Date,
    /// SHA-256 of the canonical content, in hexadecimal.
    pub content_sha256: String,
    /// Ed25519, base64.
    pub signature: String,
}

/// A clinician's public key, from the configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct TrustedKey {
    /// Whose key it is: must be the name in the signature.
    pub clinician: String,
    /// 32 bytes, base64.
    pub public: String,
    /// The demo's key: calls to the loopback telephone network only.
    pub loopback_only: bool,
}

/// A signature that holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    pub clinician: String,
    pub key_id: String,
    pub expires: Date,
    pub loopback_only: bool,
}

/// Why a script must not dial.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("script `{script}` is not signed: `aftercall check --sign KEYFILE` signs it")]
    Missing { script: String },
    #[error("script `{script}` was changed after it was signed: a clinician must sign it again")]
    Changed { script: String },
    #[error("script `{script}`: the signature expired on {on}")]
    Expired { script: String, on: Date },
    #[error("script `{script}` was signed on {on}, which has not come yet")]
    NotYet { script: String, on: Date },
    #[error("script `{script}`: key `{key}` is not among the trusted keys")]
    UnknownKey { script: String, key: String },
    #[error("script `{script}`: key `{key}` is not a public key of {clinician}")]
    WrongClinician {
        script: String,
        key: String,
        clinician: String,
    },
    #[error("script `{script}`: the signature does not verify under key `{key}`")]
    DoesNotVerify { script: String, key: String },
}

/// The bytes that are signed: every TOML file of the folder and of the shared one but the signature itself,
/// by name, line ends normalised.
pub fn canonical(folder: &str, files: &BTreeMap<&str, &str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, text) in files {
        let part = name.split('/').next().unwrap_or_default();
        let spoken = (part == folder || part == SHARED) && name.ends_with(".toml");
        if !spoken || name.ends_with("/signature.toml") {
            continue;
        }
        let text = text.replace("\r\n", "\n");
        bytes.extend_from_slice(format!("{name} {}\n", text.len()).as_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

/// SHA-256 in hexadecimal: the version hash that every attempt keeps.
pub fn content_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Signs a script's content.
pub fn sign(
    script: &Script,
    secret: &[u8; 32],
    clinician: &str,
    signed_on: Date,
    expires: Date,
) -> Signature {
    let mut signature = Signature {
        version: 1,
        clinician: clinician.to_owned(),
        key_id: key_id(&public_key(secret)),
        signed_on,
        expires,
        content_sha256: script.hash.clone(),
        signature: String::new(),
    };
    let key = SigningKey::from_bytes(secret);
    let signed = key.sign(message(&script.id, &signature).as_bytes());
    signature.signature = STANDARD.encode(signed.to_bytes());
    signature
}

/// The public half of a secret key, base64.
pub fn public_key(secret: &[u8; 32]) -> String {
    STANDARD.encode(SigningKey::from_bytes(secret).verifying_key().to_bytes())
}

/// The short name of a public key: the first 16 hexadecimal digits of its SHA-256.
pub fn key_id(public: &str) -> String {
    let mut id = hex(&Sha256::digest(public.trim().as_bytes()));
    id.truncate(16);
    id
}

/// Whether a clinician whose key is trusted stands behind this text today.
///
/// # Errors
/// The first reason to refuse it.
pub fn verify(script: &Script, keys: &[TrustedKey], today: Date) -> Result<Signed, SignatureError> {
    let name = || script.id.clone();
    let Some(signature) = &script.signature else {
        return Err(SignatureError::Missing { script: name() });
    };
    if signature.content_sha256 != script.hash {
        return Err(SignatureError::Changed { script: name() });
    }
    let key = signature.key_id.clone();
    let trusted = keys.iter().find(|k| key_id(&k.public) == key);
    let public = trusted.and_then(|k| verifying_key(&k.public));
    let (Some(trusted), Some(public)) = (trusted, public) else {
        return Err(SignatureError::UnknownKey {
            script: name(),
            key,
        });
    };
    if trusted.clinician != signature.clinician {
        let clinician = signature.clinician.clone();
        return Err(SignatureError::WrongClinician {
            script: name(),
            key,
            clinician,
        });
    }
    let bytes = STANDARD.decode(&signature.signature).unwrap_or_default();
    let parsed = ed25519_dalek::Signature::from_slice(&bytes);
    let message = message(&script.id, signature);
    let holds = parsed.is_ok_and(|s| public.verify_strict(message.as_bytes(), &s).is_ok());
    if !holds {
        return Err(SignatureError::DoesNotVerify {
            script: name(),
            key,
        });
    }
    if today >= signature.expires {
        let on = signature.expires;
        return Err(SignatureError::Expired { script: name(), on });
    }
    if today < signature.signed_on {
        let on = signature.signed_on;
        return Err(SignatureError::NotYet { script: name(), on });
    }
    Ok(Signed {
        clinician: signature.clinician.clone(),
        key_id: key,
        expires: signature.expires,
        loopback_only: trusted.loopback_only,
    })
}

fn verifying_key(base64: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(base64).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// Everything the clinician answers for; the lengths keep fields apart.
fn message(script: &str, signature: &Signature) -> String {
    format!(
        "aftercall script signature v{}\n{}:{script}\n{}:{}\n{}:{}\n{}\n{}\n{}\n",
        signature.version,
        script.len(),
        signature.clinician.len(),
        signature.clinician,
        signature.key_id.len(),
        signature.key_id,
        signature.signed_on,
        signature.expires,
        signature.content_sha256,
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
