//! Keys of data at rest: the master key, the data keys that it wraps, and what they seal.
//!
//! Every patient has one data key a retention class ([`Class`]); `store::key` keeps them wrapped. Whoever destroys the
//! wrapped key has destroyed all that it sealed, in every copy. AES-256-GCM (NIST SP 800-38D), or SM4-GCM (RFC 8998) where
//! the configuration says so, under keys that HKDF (RFC 5869) derives; the master key itself seals nothing but data keys and
//! lies apart from the data.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{PoisonError, RwLock};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::aes::cipher::consts::U12;
use aes_gcm::{Aes256Gcm, AesGcm, KeyInit as _, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sm3::Sm3;
use sm4::Sm4;
use zeroize::Zeroizing;

/// The variable with the master keys, in base64.
pub const VARIABLE: &str = "AFTERCALL_MASTER_KEY";
/// Bytes of a master key and of a data key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a GCM nonce and of its tag.
const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;

/// Where the master keys are read: one a line or word, base64 of 32 bytes. The first wraps; the others, which a rotation
/// has left, only unwrap.
#[derive(Clone)]
pub enum Source {
    /// Made (mode 0600) where there is none and nothing is sealed yet.
    File(PathBuf),
    /// [`VARIABLE`].
    Environment,
    /// A program and its arguments, without a shell, that prints them: a key management service's client.
    Command(Vec<String>),
    /// For a database that lives no longer than the process.
    Given(DataKey),
    /// Any of these, and SM4-GCM seals instead of AES-256-GCM.
    Sm4(Box<Source>),
}

/// What seals; what the other one sealed still opens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cipher {
    #[default]
    #[serde(rename = "aes-256-gcm")]
    Aes,
    /// 国密: GB/T 32907-2016 in the mode of RFC 8998.
    #[serde(rename = "sm4-gcm")]
    Sm4,
}

impl Cipher {
    fn other(self) -> Self {
        match self {
            Cipher::Aes => Cipher::Sm4,
            Cipher::Sm4 => Cipher::Aes,
        }
    }
}

/// A cipher with its key.
pub(crate) enum Gcm {
    Aes(Box<Aes256Gcm>),
    Sm4(Box<AesGcm<Sm4, U12>>),
}

impl Gcm {
    /// `about` must be told again to open it.
    pub(crate) fn seal(&self, nonce: [u8; NONCE_BYTES], plain: &[u8], about: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: plain,
            aad: about,
        };
        let nonce = Nonce::from(nonce);
        let sealed = match self {
            Gcm::Aes(cipher) => cipher.encrypt(&nonce, payload),
            Gcm::Sm4(cipher) => cipher.encrypt(&nonce, payload),
        };
        sealed.expect("no text is as long as 64 GiB")
    }

    /// `None` for another key, another `about`, or a changed byte.
    pub(crate) fn open(
        &self,
        nonce: [u8; NONCE_BYTES],
        sealed: &[u8],
        about: &[u8],
    ) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: sealed,
            aad: about,
        };
        let nonce = Nonce::from(nonce);
        match self {
            Gcm::Aes(cipher) => cipher.decrypt(&nonce, payload).ok(),
            Gcm::Sm4(cipher) => cipher.decrypt(&nonce, payload).ok(),
        }
    }
}

/// What may go by itself. The words stand in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Names and numbers.
    Identity,
    /// What was said, found and done.
    Record,
    /// Voices.
    Audio,
}

impl Class {
    pub const ALL: [Class; 3] = [Class::Identity, Class::Record, Class::Audio];

    pub fn word(self) -> &'static str {
        match self {
            Class::Identity => "identity",
            Class::Record => "record",
            Class::Audio => "audio",
        }
    }
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    #[error("master key {}: cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "master key {}: is not there, and the database's keys are wrapped by one; bring it back from where it is kept",
        path.display()
    )]
    Gone { path: PathBuf },
    #[error("master key {}: others than its owner may read it; chmod 600", path.display())]
    Open { path: PathBuf },
    #[error("master key {}: cannot be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{VARIABLE} is not set")]
    NotSet,
    #[error("the command of [vault] did not give the master key: {0}")]
    Command(String),
    #[error("{place}: a master key is the base64 of 32 bytes")]
    Malformed { place: String },
    #[error("the database's keys are wrapped by the master key {wanted}; {place} holds {found}")]
    Other {
        place: String,
        wanted: String,
        found: String,
    },
    #[error("a key does not unwrap: it was changed, or is another's")]
    Forged,
    #[error("no randomness from the system")]
    Randomness,
}

/// 32 secret bytes, forgotten when dropped, and what they seal by.
#[derive(Clone)]
pub struct DataKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    cipher: Cipher,
}

impl PartialEq for DataKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for DataKey {}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl DataKey {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self {
            bytes: Zeroizing::new(bytes),
            cipher: Cipher::Aes,
        }
    }

    /// The same, sealing by this.
    pub(crate) fn by(self, cipher: Cipher) -> Self {
        Self { cipher, ..self }
    }

    /// What it seals by.
    pub(crate) fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random() -> Result<Self, VaultError> {
        let mut key = Self::new([0; KEY_BYTES]);
        getrandom::fill(key.bytes.as_mut_slice()).map_err(|_| VaultError::Randomness)?;
        Ok(key)
    }

    /// The key for one purpose; what it seals tells nothing of this one.
    pub(crate) fn derive(&self, salt: &[u8], purpose: &[u8]) -> DataKey {
        let mut key = Self::new([0; KEY_BYTES]).by(self.cipher);
        Hkdf::<Sha256>::new(Some(salt), self.bytes.as_slice())
            .expand(purpose, key.bytes.as_mut_slice())
            .expect("32 bytes are less than 255 hashes");
        key
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// A cipher under this key. SM4's 128 bits are derived by SM3, so that no two ciphers share a key.
    pub(crate) fn gcm(&self, cipher: Cipher) -> Gcm {
        match cipher {
            Cipher::Aes => Gcm::Aes(Box::new(Aes256Gcm::new(&(*self.bytes).into()))),
            Cipher::Sm4 => {
                let mut key = Zeroizing::new([0; 16]);
                Hkdf::<Sm3>::new(None, self.bytes.as_slice())
                    .expand(b"aftercall sm4-gcm", key.as_mut_slice())
                    .expect("16 bytes are less than 255 hashes");
                Gcm::Sm4(Box::new(AesGcm::new(&(*key).into())))
            }
        }
    }

    /// Seals under a random nonce, which goes before what is sealed; `about` must be told again to open it.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn seal(&self, plain: &[u8], about: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| VaultError::Randomness)?;
        let sealed = self.gcm(self.cipher).seal(nonce, plain, about);
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what either cipher sealed; `None` for another key, another `about`, or a changed byte.
    pub fn open(&self, sealed: &[u8], about: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let by = |cipher| self.gcm(cipher).open(*nonce, sealed, about);
        by(self.cipher).or_else(|| by(self.cipher.other()))
    }
}

/// A data key as it may lie in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The id of the master key.
    pub by: String,
    /// Base64.
    pub text: String,
}

/// One master key.
#[derive(Clone, PartialEq, Eq)]
struct Master {
    /// Tells nothing of the key.
    id: String,
    wrapping: DataKey,
    secret: DataKey,
}

impl Master {
    fn new(secret: DataKey) -> Self {
        let id = secret.derive(b"aftercall", b"master key id");
        Self {
            id: id.bytes()[..8].iter().map(|b| format!("{b:02x}")).collect(),
            wrapping: secret.derive(b"aftercall", b"wrap data keys"),
            secret,
        }
    }
}

/// The master keys in memory.
pub struct Vault {
    source: Source,
    cipher: Cipher,
    masters: RwLock<Vec<Master>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({})", self.source.place())
    }
}

impl Vault {
    /// Reads the master keys; makes a first one where the source is a file that is not there and `is_new`.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn load(source: Source, is_new: bool) -> Result<Self, VaultError> {
        let cipher = source.cipher();
        let source = source.bare();
        if let (Source::File(path), true) = (&source, is_new)
            && !path.exists()
        {
            make_file(path)?;
        }
        let masters = RwLock::new(source.read()?);
        Ok(Self {
            source,
            cipher,
            masters,
        })
    }

    /// A new data key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new_key(&self) -> Result<DataKey, VaultError> {
        Ok(DataKey::random()?.by(self.cipher))
    }

    /// The id of the master key that wraps.
    pub fn current(&self) -> String {
        self.with(|masters| masters[0].id.clone())
    }

    /// Whether it has the master key of this id; where not, the source is read again, for another process may have
    /// rotated.
    ///
    /// # Errors
    /// When it has not.
    pub fn must_know(&self, id: &str) -> Result<(), VaultError> {
        if self.with(|masters| masters.iter().any(|master| master.id == id)) {
            return Ok(());
        }
        self.reload()?;
        if self.with(|masters| masters.iter().any(|master| master.id == id)) {
            return Ok(());
        }
        let found = self.with(|masters| {
            let ids: Vec<&str> = masters.iter().map(|master| master.id.as_str()).collect();
            ids.join(", ")
        });
        Err(VaultError::Other {
            place: self.source.place(),
            wanted: id.to_owned(),
            found,
        })
    }

    /// Wraps a data key under the master key `by`; `owner` and `class` are bound in.
    ///
    /// # Errors
    /// When the master key is not known.
    pub fn wrap(
        &self,
        by: &str,
        key: &DataKey,
        owner: &str,
        class: Class,
    ) -> Result<Wrapped, VaultError> {
        let wrapping = self.wrapping(by)?;
        let sealed = wrapping.seal(key.bytes(), &about(owner, class))?;
        Ok(Wrapped {
            by: by.to_owned(),
            text: STANDARD.encode(sealed),
        })
    }

    /// The data key that was wrapped.
    ///
    /// # Errors
    /// When its master key is not known, or what is wrapped was changed or is another's.
    pub fn unwrap(
        &self,
        wrapped: &Wrapped,
        owner: &str,
        class: Class,
    ) -> Result<DataKey, VaultError> {
        let wrapping = self.wrapping(&wrapped.by)?;
        let sealed = STANDARD.decode(&wrapped.text).ok();
        let bytes = sealed.and_then(|sealed| wrapping.open(&sealed, &about(owner, class)));
        let bytes = Zeroizing::new(bytes.ok_or(VaultError::Forged)?);
        let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
        let key = bytes.map(DataKey::new).map_err(|_| VaultError::Forged)?;
        Ok(key.by(self.cipher))
    }

    /// Puts a new master key before the others, in a file's case by itself. Returns the id of the one that wraps now.
    ///
    /// # Errors
    /// When the file cannot be written, or elsewhere no other key than `before` was put first.
    pub fn advance(&self, before: &str) -> Result<String, VaultError> {
        self.reload()?;
        let is_first = self.current() == before;
        if let (Source::File(path), true) = (&self.source, is_first) {
            let mut all = vec![Master::new(DataKey::random()?)];
            all.extend(self.with(<[Master]>::to_vec));
            replace_file(path, &all)?;
            self.reload()?;
        }
        Ok(self.current())
    }

    /// Forgets every master key but the first: nothing is wrapped by them any more. A file's alone; elsewhere it is the
    /// operator's to do.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_old(&self) -> Result<bool, VaultError> {
        let Source::File(path) = &self.source else {
            return Ok(false);
        };
        let first = self.with(|masters| masters[..1].to_vec());
        replace_file(path, &first)?;
        self.reload()?;
        Ok(true)
    }

    fn reload(&self) -> Result<(), VaultError> {
        let masters = self.source.read()?;
        *self.masters.write().unwrap_or_else(PoisonError::into_inner) = masters;
        Ok(())
    }

    fn wrapping(&self, id: &str) -> Result<DataKey, VaultError> {
        self.must_know(id)?;
        let found = self.with(|masters| {
            let master = masters.iter().find(|master| master.id == id);
            master.map(|master| master.wrapping.clone().by(self.cipher))
        });
        found.ok_or(VaultError::Forged)
    }

    fn with<T>(&self, f: impl FnOnce(&[Master]) -> T) -> T {
        f(&self.masters.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source {
    /// In words.
    pub fn place(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Environment => VARIABLE.to_owned(),
            Source::Command(_) => "the command of [vault]".to_owned(),
            Source::Given(_) => "memory".to_owned(),
            Source::Sm4(source) => source.place(),
        }
    }

    /// What is sealed by from now on.
    pub fn cipher(&self) -> Cipher {
        match self {
            Source::Sm4(_) => Cipher::Sm4,
            Source::File(_) | Source::Environment | Source::Command(_) | Source::Given(_) => {
                Cipher::Aes
            }
        }
    }

    /// Where the keys are, whatever they seal by.
    pub fn bare(self) -> Source {
        match self {
            Source::Sm4(source) => source.bare(),
            bare => bare,
        }
    }

    fn read(&self) -> Result<Vec<Master>, VaultError> {
        let text = match self {
            Source::Given(key) => return Ok(vec![Master::new(key.clone())]),
            Source::File(path) => read_file(path)?,
            Source::Environment => std::env::var(VARIABLE).map_err(|_| VaultError::NotSet)?,
            Source::Command(command) => output_of(command)?,
            Source::Sm4(source) => return source.read(),
        };
        let text = Zeroizing::new(text);
        let malformed = || VaultError::Malformed {
            place: self.place(),
        };
        let key = |word: &str| {
            let bytes = Zeroizing::new(STANDARD.decode(word).map_err(|_| malformed())?);
            let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| malformed())?;
            Ok(Master::new(DataKey::new(bytes)))
        };
        let masters = text.split_whitespace().map(key);
        let masters = masters.collect::<Result<Vec<_>, VaultError>>()?;
        if masters.is_empty() {
            return Err(malformed());
        }
        Ok(masters)
    }
}

fn about(owner: &str, class: Class) -> Vec<u8> {
    format!("{}/{owner}", class.word()).into_bytes()
}

fn read_file(path: &Path) -> Result<String, VaultError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => VaultError::Gone {
            path: path.to_owned(),
        },
        _ => VaultError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(VaultError::Open {
            path: path.to_owned(),
        });
    }
    fs::read_to_string(path).map_err(failed)
}

/// Standard output of a program; what it says on standard error goes to the operator.
fn output_of(command: &[String]) -> Result<String, VaultError> {
    let failed = |why: String| VaultError::Command(why);
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| failed("it is empty".to_owned()))?;
    let output = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|_| failed("it printed no text".to_owned()))
}

/// A first master key. Of two processes that make it at once one wins, and both read what it wrote.
fn make_file(path: &Path) -> Result<(), VaultError> {
    let made = written(path, &[Master::new(DataKey::random()?)])?;
    let linked = fs::hard_link(&made, path);
    let removed = fs::remove_file(&made);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        linked => linked.map_err(unwritable(path))?,
    }
    removed.map_err(unwritable(&made))?;
    sync_folder(path)
}

fn replace_file(path: &Path, masters: &[Master]) -> Result<(), VaultError> {
    let made = written(path, masters)?;
    fs::rename(&made, path).map_err(unwritable(path))?;
    sync_folder(path)
}

/// A file beside `path` that holds the keys and is on disk.
fn written(path: &Path, masters: &[Master]) -> Result<PathBuf, VaultError> {
    let mut made = path.as_os_str().to_owned();
    made.push(format!(".{}.new", std::process::id()));
    let made = PathBuf::from(made);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unwritable(path))?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&made)
        .map_err(unwritable(&made))?;
    let lines = masters
        .iter()
        .map(|master| STANDARD.encode(master.secret.bytes()) + "\n");
    let text = Zeroizing::new(lines.collect::<String>());
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(unwritable(&made))?;
    Ok(made)
}

fn sync_folder(path: &Path) -> Result<(), VaultError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(unwritable(path))
}

fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> VaultError + use<> {
    let path = path.to_owned();
    move |source| VaultError::Unwritable { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::new([byte; KEY_BYTES])
    }

    fn given(byte: u8) -> Vault {
        Vault::load(Source::Given(key(byte)), true).expect("it is given")
    }

    #[test]
    fn what_is_sealed_opens_by_its_key_and_purpose_alone() {
        let sealed = key(1).seal("胸痛".as_bytes(), b"turn").expect("randomness");
        assert_eq!(
            key(1).open(&sealed, b"turn").as_deref(),
            Some("胸痛".as_bytes())
        );
        assert_eq!(key(2).open(&sealed, b"turn"), None);
        assert_eq!(key(1).open(&sealed, b"name"), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key(1).open(&changed, b"turn"), None, "byte {at}");
            assert_eq!(key(1).open(&sealed[..at], b"turn"), None, "cut at {at}");
        }
    }

    // RFC 8998 appendix A.1.
    #[test]
    fn sm4_gcm_is_the_standards() {
        let bytes = |text: &str| -> Vec<u8> {
            let digits: Vec<char> = text.chars().collect();
            let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16);
            digits
                .chunks(2)
                .map(|two| byte(two).expect("hexadecimal"))
                .collect()
        };
        let key = bytes("0123456789ABCDEFFEDCBA9876543210");
        let nonce = bytes("00001234567800000000ABCD");
        let plain = bytes(
            "AAAAAAAAAAAAAAAABBBBBBBBBBBBBBBBCCCCCCCCCCCCCCCCDDDDDDDDDDDDDDDD\
             EEEEEEEEEEEEEEEEFFFFFFFFFFFFFFFFEEEEEEEEEEEEEEEEAAAAAAAAAAAAAAAA",
        );
        let about = bytes("FEEDFACEDEADBEEFFEEDFACEDEADBEEFABADDAD2");
        let sealed = bytes(
            "17F399F08C67D5EE19D0DC9969C4BB7D5FD46FD3756489069157B282BB200735\
             D82710CA5C22F0CCFA7CBF93D496AC15A56834CBCF98C397B4024A2691233B8D\
             83DE3541E4C2B58177E065A9BF7B62EC",
        );
        let gcm = Gcm::Sm4(Box::new(AesGcm::new_from_slice(&key).expect("128 bits")));
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().expect("96 bits");
        assert_eq!(gcm.seal(nonce, &plain, &about), sealed);
        assert_eq!(gcm.open(nonce, &sealed, &about), Some(plain));
        assert_eq!(gcm.open(nonce, &sealed, b""), None);
    }

    #[test]
    fn what_one_cipher_sealed_opens_where_the_other_seals() {
        let aes = key(1);
        let sm4 = key(1).by(Cipher::Sm4);
        for (sealing, opening) in [(&aes, &sm4), (&sm4, &aes), (&sm4, &sm4)] {
            let sealed = sealing.seal(b"words", b"turn").expect("randomness");
            assert_eq!(
                opening.open(&sealed, b"turn").as_deref(),
                Some(&b"words"[..])
            );
            assert_eq!(opening.open(&sealed, b"name"), None);
        }
        // And it is the cipher that was asked for.
        let sealed = sm4.seal(b"words", b"turn").expect("randomness");
        let (nonce, rest) = sealed.split_first_chunk().expect("a nonce");
        assert!(sm4.gcm(Cipher::Sm4).open(*nonce, rest, b"turn").is_some());
        assert!(sm4.gcm(Cipher::Aes).open(*nonce, rest, b"turn").is_none());
        let before = given(1);
        let sm4 = Source::Sm4(Box::new(Source::Given(key(1))));
        let after = Vault::load(sm4, true).expect("it is given");
        let by = before.current();
        assert_eq!(after.current(), by, "the same master key");
        let old = before.wrap(&by, &key(9), "p", Class::Audio).expect("known");
        let again = after.unwrap(&old, "p", Class::Audio).expect("opens");
        assert_eq!((again.cipher(), again), (Cipher::Sm4, key(9)));
    }

    #[test]
    fn a_wrapped_key_is_its_owners_and_its_classs() {
        let vault = given(1);
        let by = vault.current();
        let wrapped = vault
            .wrap(&by, &key(9), "p1", Class::Audio)
            .expect("randomness");
        let unwrap = |owner, class| vault.unwrap(&wrapped, owner, class).ok();
        assert_eq!(unwrap("p1", Class::Audio), Some(key(9)));
        assert_eq!(unwrap("p2", Class::Audio), None);
        assert_eq!(unwrap("p1", Class::Record), None);
        let other = given(2).unwrap(&wrapped, "p1", Class::Audio);
        assert!(matches!(other, Err(VaultError::Other { .. })), "{other:?}");
    }

    #[test]
    fn a_key_file_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("keys/master.key");
        let gone = Vault::load(Source::File(path.clone()), false);
        assert!(matches!(gone, Err(VaultError::Gone { .. })), "{gone:?}");
        let first = Vault::load(Source::File(path.clone()), true).expect("made");
        let again = Vault::load(Source::File(path.clone()), true).expect("read");
        assert_eq!(first.current(), again.current());
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let beside = fs::read_dir(path.parent().expect("keys")).expect("readable");
        assert_eq!(beside.count(), 1, "nothing else is left");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("own file");
        let open = Vault::load(Source::File(path), true);
        assert!(matches!(open, Err(VaultError::Open { .. })), "{open:?}");
    }

    #[test]
    fn an_old_master_key_unwraps_until_it_is_forgotten() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("master.key");
        let vault = Vault::load(Source::File(path.clone()), true).expect("made");
        let running = Vault::load(Source::File(path), true).expect("another process");
        let old = vault.current();
        let wrapped = vault
            .wrap(&old, &key(7), "p", Class::Record)
            .expect("known");
        let new = vault.advance(&old).expect("writable");
        assert_ne!(new, old);
        assert_eq!(
            vault
                .unwrap(&wrapped, "p", Class::Record)
                .expect("still there"),
            key(7)
        );
        let rewrapped = vault
            .wrap(&new, &key(7), "p", Class::Record)
            .expect("known");
        assert_eq!(
            running
                .unwrap(&rewrapped, "p", Class::Record)
                .expect("the file is read again"),
            key(7)
        );
        assert!(vault.forget_old().expect("writable"));
        assert!(matches!(
            vault.unwrap(&wrapped, "p", Class::Record),
            Err(VaultError::Other { .. })
        ));
    }

    #[test]
    fn keys_come_from_a_command_and_nonsense_is_refused() {
        let printing = |text: &str| {
            let command = ["printf", text].map(str::to_owned).to_vec();
            Vault::load(Source::Command(command), true)
        };
        let text = STANDARD.encode([1; 32]);
        let vault = printing(&text).expect("a key");
        assert_eq!(vault.current(), given(1).current());
        for text in ["", "no base64!", &STANDARD.encode([1; 31])] {
            let refused = printing(text);
            assert!(
                matches!(refused, Err(VaultError::Malformed { .. })),
                "{text}"
            );
        }
        let failing = Vault::load(Source::Command(vec!["false".to_owned()]), true);
        assert!(matches!(failing, Err(VaultError::Command(_))));
    }
}
