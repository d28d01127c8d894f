//! Speech model weights in memory: checked, loaded once, shared by all recognisers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use whisper_rs::{WhisperContext, WhisperContextParameters, WhisperError};

use crate::speech::ggml_file::{self, Shape};

/// Why a model file gave no ears.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("{file}: no speech model there; fetch it: aftercall models fetch whisper-base-q8_0")]
    Missing { file: PathBuf },
    #[error("{file}: cannot be read")]
    Unreadable {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{file}: not a GGML whisper model; fetch it anew: aftercall models fetch whisper-base-q8_0"
    )]
    NotGgml { file: PathBuf },
    #[error(
        "{file}: broken or incomplete whisper model ({why}); check it: aftercall models verify"
    )]
    Broken { file: PathBuf, why: &'static str },
    #[error("{file}: whisper refuses this model; check it: aftercall models verify")]
    Refused { file: PathBuf, source: WhisperError },
    #[error("{file}: knows English only; a model of several languages is needed")]
    EnglishOnly { file: PathBuf },
}

/// Loaded weights, shared by all recognisers.
pub struct Model {
    pub(super) context: WhisperContext,
}

impl Model {
    /// Loads a GGML file: about 0.2 s and 90 MB for base in q8_0.
    ///
    /// # Errors
    /// When the file is missing, is not a whisper model, or knows English only; see [`ModelError`].
    pub fn load(path: &Path) -> Result<Arc<Model>, ModelError> {
        let file = path.to_owned();
        check(path)?;
        // Else whisper.cpp writes its loading log to stderr.
        whisper_rs::install_logging_hooks();
        let params = WhisperContextParameters {
            use_gpu: cfg!(any(feature = "cuda", feature = "vulkan")),
            flash_attn: false,
            ..WhisperContextParameters::default()
        };
        let context = WhisperContext::new_with_params(path, params).map_err(|source| {
            ModelError::Refused {
                file: file.clone(),
                source,
            }
        })?;
        if !context.is_multilingual() {
            return Err(ModelError::EnglishOnly { file });
        }
        Ok(Arc::new(Model { context }))
    }
}

/// whisper.cpp throws at a file it cannot make sense of, and a C++ exception ends our process: so look first.
fn check(path: &Path) -> Result<(), ModelError> {
    use std::io::ErrorKind;
    let file = path.to_owned();
    match std::fs::File::open(path).and_then(ggml_file::check) {
        Ok(Shape::Whole) => Ok(()),
        Ok(Shape::Foreign) => Err(ModelError::NotGgml { file }),
        Ok(Shape::Broken(why)) => Err(ModelError::Broken { file, why }),
        Err(source) if source.kind() == ErrorKind::NotFound => Err(ModelError::Missing { file }),
        Err(source) => Err(ModelError::Unreadable { file, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_model_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.bin");
        let error = |path: &Path| Model::load(path).err().expect("no model").to_string();
        assert!(
            error(&path).contains("aftercall models fetch"),
            "{}",
            error(&path)
        );
        std::fs::write(&path, b"not a model").expect("the folder is writable");
        assert!(error(&path).contains("not a GGML"), "{}", error(&path));
        for broken in [&b"lmgg, and then nothing that fits"[..], b"lmgg"] {
            std::fs::write(&path, broken).expect("the folder is writable");
            assert!(error(&path).contains("models verify"), "{}", error(&path));
        }
    }
}
