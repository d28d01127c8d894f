//! A clinician's signature on what a call says and judges by: Ed25519 over the hash of its canonical content.
//!
//! Scripts and the red-flag lexicon are signed alike. What their content is, they say themselves. Keys come from
//! the configuration; the clock from the caller.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// `signature.toml`, beside what it signs.
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

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// By its id.
    Script(String),
    Lexicon,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::Script(id) => write!(f, "script `{id}`"),
            Work::Lexicon => f.write_str("the red-flag lexicon"),
        }
    }
}

/// A work with its content's hash and the signature that came with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim<'a> {
    pub work: Work,
    /// SHA-256 of the canonical content, in hexadecimal.
    pub hash: &'a str,
    pub signature: Option<&'a Signature>,
}

/// Why nothing may be dialled with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("{work} is not signed: `aftercall check DIR --sign KEYFILE --until DATE` signs it")]
    Missing { work: Work },
    #[error("{work} was changed after it was signed: a clinician must sign it again")]
    Changed { work: Work },
    #[error("{work}: the signature expired on {on}")]
    Expired { work: Work, on: Date },
    #[error("{work} was signed on {on}, which has not come yet")]
    NotYet { work: Work, on: Date },
    #[error("{work}: key `{key}` is not among the trusted keys")]
    UnknownKey { work: Work, key: String },
    #[error("{work}: key `{key}` is not a public key of {clinician}")]
    WrongClinician {
        work: Work,
        key: String,
        clinician: String,
    },
    #[error("{work}: the signature does not verify under key `{key}`")]
    DoesNotVerify { work: Work, key: String },
}

/// SHA-256 in hexadecimal: the version hash that every attempt keeps.
pub fn content_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Signs a work; an earlier signature of it does not matter.
pub fn sign(
    claim: &Claim<'_>,
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
        content_sha256: claim.hash.to_owned(),
        signature: String::new(),
    };
    let key = SigningKey::from_bytes(secret);
    let signed = key.sign(signed_text(&claim.work, &signature).as_bytes());
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

/// Whether a clinician whose key is trusted stands behind this content today.
///
/// # Errors
/// The first reason to refuse it.
pub fn verify(
    claim: &Claim<'_>,
    keys: &[TrustedKey],
    today: Date,
) -> Result<Signed, SignatureError> {
    let name = || claim.work.clone();
    let signature = unchanged(claim)?;
    let key = signature.key_id.clone();
    let trusted = keys.iter().find(|k| key_id(&k.public) == key);
    let public = trusted.and_then(|k| verifying_key(&k.public));
    let (Some(trusted), Some(public)) = (trusted, public) else {
        return Err(SignatureError::UnknownKey { work: name(), key });
    };
    if trusted.clinician != signature.clinician {
        let clinician = signature.clinician.clone();
        return Err(SignatureError::WrongClinician {
            work: name(),
            key,
            clinician,
        });
    }
    let bytes = STANDARD.decode(&signature.signature).unwrap_or_default();
    let parsed = ed25519_dalek::Signature::from_slice(&bytes);
    let message = signed_text(&claim.work, signature);
    let holds = parsed.is_ok_and(|s| public.verify_strict(message.as_bytes(), &s).is_ok());
    if !holds {
        return Err(SignatureError::DoesNotVerify { work: name(), key });
    }
    if today >= signature.expires {
        let on = signature.expires;
        return Err(SignatureError::Expired { work: name(), on });
    }
    if today < signature.signed_on {
        let on = signature.signed_on;
        return Err(SignatureError::NotYet { work: name(), on });
    }
    Ok(Signed {
        clinician: signature.clinician.clone(),
        key_id: key,
        expires: signature.expires,
        loopback_only: trusted.loopback_only,
    })
}

/// The signature of this very content, whoever made it.
///
/// # Errors
/// When there is none, or it signs another text.
pub fn unchanged<'a>(claim: &Claim<'a>) -> Result<&'a Signature, SignatureError> {
    let work = || claim.work.clone();
    match claim.signature {
        None => Err(SignatureError::Missing { work: work() }),
        Some(signature) if signature.content_sha256 != claim.hash => {
            Err(SignatureError::Changed { work: work() })
        }
        Some(signature) => Ok(signature),
    }
}

fn verifying_key(base64: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(base64).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// What is signed: everything the clinician answers for; the lengths keep fields apart. The signature's own field is left out.
pub fn signed_text(work: &Work, signature: &Signature) -> String {
    let (kind, id) = match work {
        Work::Script(id) => ("script", id.as_str()),
        Work::Lexicon => ("lexicon", "redflags"),
    };
    format!(
        "aftercall {kind} signature v{}\n{}:{id}\n{}:{}\n{}:{}\n{}\n{}\n{}\n",
        signature.version,
        id.len(),
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
