//! `[vault]`: where the master key lies.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Config;
use crate::vault::{Cipher, Source};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    pub master_key: MasterKey,
    /// Apart from the data.
    pub key_file: PathBuf,
    /// Who was erased, for a restore.
    pub journal: PathBuf,
    /// A program and its arguments.
    pub command: Vec<String>,
    /// What seals from now on; the audit log is hashed by SM3 where it is SM4.
    pub cipher: Cipher,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterKey {
    #[default]
    File,
    Environment,
    Command,
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            master_key: MasterKey::File,
            key_file: "{data_dir}.key".into(),
            journal: "{data_dir}.erased".into(),
            command: Vec::new(),
            cipher: Cipher::Aes,
        }
    }
}

impl Config {
    /// Where the master key is read.
    pub fn master_key(&self) -> Source {
        let source = match self.vault.master_key {
            MasterKey::File => Source::File(self.key_file()),
            MasterKey::Environment => Source::Environment,
            MasterKey::Command => Source::Command(self.vault.command.clone()),
        };
        match self.vault.cipher {
            Cipher::Aes => source,
            Cipher::Sm4 => Source::Sm4(Box::new(source)),
        }
    }

    /// `data/` and `data` have one key file.
    fn key_file(&self) -> PathBuf {
        self.beside_data(&self.vault.key_file)
    }

    /// The journal of erasures.
    pub fn journal(&self) -> PathBuf {
        self.beside_data(&self.vault.journal)
    }

    fn beside_data(&self, file: &Path) -> PathBuf {
        let data: PathBuf = self.data_dir.components().collect();
        let file = file.display().to_string();
        file.replace("{data_dir}", &data.display().to_string())
            .into()
    }

    pub(super) fn check_vault(&self) -> Result<(), (&'static str, String)> {
        let refused = |key, fault: &str| Err((key, fault.to_owned()));
        match self.vault.master_key {
            MasterKey::File if is_within(&self.key_file(), &self.data_dir) => refused(
                "vault.key_file",
                "lies in the data folder: whoever gets a copy of the data must not get its key",
            ),
            MasterKey::File | MasterKey::Environment | MasterKey::Command
                if is_within(&self.journal(), &self.data_dir) =>
            {
                refused(
                    "vault.journal",
                    "lies in the data folder: a restore of older data must know who was erased since",
                )
            }
            MasterKey::Command if self.vault.command.is_empty() => refused(
                "vault.command",
                "is needed where master_key = \"command\": the program and its arguments",
            ),
            MasterKey::File | MasterKey::Environment | MasterKey::Command => Ok(()),
        }
    }
}

/// As the paths are written: a folder that is reached by another name is the operator's to see.
fn is_within(file: &Path, folder: &Path) -> bool {
    let plain = |path: &Path| -> PathBuf {
        let parts = path.components();
        parts.filter(|part| *part != Component::CurDir).collect()
    };
    plain(file).starts_with(plain(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_lies_beside_the_data_and_never_in_it() {
        for (dir, file) in [("data", "data.key"), ("/srv/a/", "/srv/a.key")] {
            let config = Config::parse("a.toml", &format!("data_dir = {dir:?}")).expect("good");
            assert_eq!(config.key_file(), PathBuf::from(file));
        }
        for text in [
            "[vault]\nkey_file = \"{data_dir}/master.key\"",
            "[vault]\nkey_file = \"./data/keys/master.key\"",
        ] {
            let error = Config::parse("a.toml", text).expect_err(text).to_string();
            assert!(
                error.starts_with("a.toml:2: vault.key_file: lies in"),
                "{error}"
            );
        }
        let error = Config::parse("a.toml", "[vault]\nmaster_key = \"command\"").expect_err("none");
        assert!(error.to_string().contains("vault.command"), "{error}");
    }
}
