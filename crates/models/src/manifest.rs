//! A model's `manifest.toml`: what it is, where it came from, how to use it and what its files must be.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ModelError;

/// Name of the manifest in a model's folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// What a model is and how it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name, equal to the folder's.
    pub name: String,
    /// What the model is for; a manifest that does not say is an embedder's.
    #[serde(default, skip_serializing_if = "Purpose::is_embedding")]
    pub purpose: Purpose,
    /// Layout of the network.
    pub architecture: Architecture,
    /// Length of the vectors; for a reranker that of a token's vector inside the network.
    pub dimension: usize,
    /// Longest input in tokens, special tokens included.
    pub max_tokens: usize,
    /// How token vectors become one.
    pub pooling: Pooling,
    /// Put before every question.
    pub query_prefix: String,
    /// Put before every passage.
    pub passage_prefix: String,
    /// Licence of the weights, an SPDX name.
    pub licence: String,
    /// File name of the weights, GGUF or safetensors.
    pub weights: String,
    /// File name of the tokeniser.
    pub tokenizer: String,
    /// Where the model came from.
    pub source: Source,
    /// Every file of the folder except the manifest.
    pub file: Vec<FileEntry>,
}

/// What a model does with texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A text becomes a vector.
    #[default]
    Embed,
    /// A question and a passage, read together, become a score.
    Rerank,
}

impl Purpose {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_embedding(&self) -> bool {
        *self == Self::Embed
    }
}

/// Layout of the network; the encoders differ in where positions start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Positions start at 0 (BERT, `MiniLM`, multilingual-e5-small).
    Bert,
    /// Positions start at 2, after the padding id (XLM-R, multilingual-e5-base and -large, bge-m3).
    XlmRoberta,
    /// An encoder with rotary positions and gates in its feed-forward part (gte-multilingual-base).
    Gte,
    /// A decoder with rotary positions from 0 (Qwen3-Embedding).
    Qwen3,
}

impl Architecture {
    /// Position of the first token.
    pub fn position_offset(self) -> usize {
        match self {
            Self::Bert | Self::Gte | Self::Qwen3 => 0,
            Self::XlmRoberta => 2,
        }
    }
}

/// How the vectors of a text's tokens become its vector, before it is scaled to unit length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over all tokens, special ones too.
    Mean,
    /// The first token's.
    Cls,
    /// The last token's.
    Last,
}

impl Pooling {
    /// The name used in the manifest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Last => "last",
        }
    }
}

/// Where a model came from and how its files were made from that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The published model.
    pub model: String,
    /// The package that carried it, with version.
    pub package: String,
    /// The file in the package.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// The command that made this folder.
    pub made_with: String,
    /// What differs from the published model.
    pub notes: String,
}

/// One file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name within the folder.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of a model's folder and checks that it makes sense.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when there is none, [`ModelError::Damaged`] when it cannot be understood.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(MANIFEST_FILE);
        let damaged = |reason: String| ModelError::Damaged { path: path.clone(), reason };
        let text = String::from_utf8(read(&path)?).map_err(|error| damaged(error.to_string()))?;
        let manifest: Self = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        let named = |name: &str| manifest.file.iter().any(|entry| entry.name == name);
        if manifest.dimension == 0 || manifest.max_tokens < 8 {
            return Err(damaged("dimension or max_tokens is too small".to_owned()));
        }
        if !named(&manifest.weights) || !named(&manifest.tokenizer) {
            return Err(damaged("weights or tokenizer is not among the files".to_owned()));
        }
        let has_scores = matches!(manifest.architecture, Architecture::Bert | Architecture::XlmRoberta);
        if manifest.purpose == Purpose::Rerank && !has_scores {
            return Err(damaged("rerankers are networks of the families bert and xlm-roberta".to_owned()));
        }
        if manifest.file.iter().any(|entry| Path::new(&entry.name).components().count() != 1) {
            return Err(damaged("a file lies outside the folder".to_owned()));
        }
        Ok(manifest)
    }

    /// The SHA-256 of the weights as the manifest has it.
    pub fn weights_sha256(&self) -> &str {
        self.file.iter().find(|entry| entry.name == self.weights).map_or("", |entry| entry.sha256.as_str())
    }

    /// The [`crate::Embedder::id`] of the model once it is loaded.
    pub fn embedder_id(&self) -> String {
        format!(
            "{}@{}/{}/{:?}/{:?}",
            self.name,
            self.weights_sha256().get(..12).unwrap_or_default(),
            self.pooling.as_str(),
            self.query_prefix,
            self.passage_prefix,
        )
    }

    /// Checks that the model in `dir` is for `wanted`.
    ///
    /// # Errors
    /// [`ModelError::Damaged`] that says what it is for instead.
    pub(crate) fn check_purpose(&self, dir: &Path, wanted: Purpose) -> Result<(), ModelError> {
        if self.purpose == wanted {
            return Ok(());
        }
        let reason = match wanted {
            Purpose::Embed => "it is a reranker, which gives no vectors",
            Purpose::Rerank => "it is an embedder; a reranker's manifest says purpose = \"rerank\"",
        };
        Err(ModelError::Damaged { path: dir.join(MANIFEST_FILE), reason: reason.to_owned() })
    }

    /// Checks the SHA-256 of every file of at most `max_bytes`.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`], for the first file that does not fit.
    pub(crate) fn check_contents(&self, dir: &Path, max_bytes: u64) -> Result<(), ModelError> {
        for entry in self.file.iter().filter(|entry| entry.size <= max_bytes) {
            let path = dir.join(&entry.name);
            let found = sha256_of(&path)?;
            if found != entry.sha256 {
                let reason = format!("its SHA-256 is {found}, not {}", entry.sha256);
                return Err(ModelError::Damaged { path, reason });
            }
        }
        Ok(())
    }

    /// Checks that every file is there with the right size. Cheap enough for every start.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`].
    pub fn check_sizes(&self, dir: &Path) -> Result<(), ModelError> {
        for entry in &self.file {
            let path = dir.join(&entry.name);
            let found = std::fs::metadata(&path).map_err(|error| unreadable(&path, &error))?.len();
            if found != entry.size {
                let reason = format!("{found} bytes instead of {}", entry.size);
                return Err(ModelError::Damaged { path, reason });
            }
        }
        Ok(())
    }
}

/// Checks every file of a model's folder against its manifest: presence, size and SHA-256, however large.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Damaged`], for the first file that does not fit.
pub fn verify(dir: &Path) -> Result<Manifest, ModelError> {
    let manifest = Manifest::open(dir)?;
    manifest.check_sizes(dir)?;
    manifest.check_contents(dir, u64::MAX)?;
    Ok(manifest)
}

/// A model's folder, and its manifest or why that cannot be understood.
pub type ListedModel = (PathBuf, Result<Manifest, ModelError>);

/// The models under a folder (one sub-folder each), by name. Folders without a manifest are passed over; a
/// manifest that cannot be understood is an entry of its own.
///
/// # Errors
/// [`ModelError::Missing`] when `models_dir` cannot be listed.
pub fn list(models_dir: &Path) -> Result<Vec<ListedModel>, ModelError> {
    let entries = std::fs::read_dir(models_dir).map_err(|error| unreadable(models_dir, &error))?;
    let mut folders: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.join(MANIFEST_FILE).is_file())
        .collect();
    folders.sort();
    Ok(folders
        .into_iter()
        .map(|folder| {
            let manifest = Manifest::open(&folder);
            (folder, manifest)
        })
        .collect())
}

/// SHA-256 of a file in lower-case hexadecimal.
pub(crate) fn sha256_of(path: &Path) -> Result<String, ModelError> {
    let mut file = std::fs::File::open(path).map_err(|error| unreadable(path, &error))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n_read = file.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
        if n_read == 0 {
            return Ok(format!("{:x}", digest.finalize()));
        }
        digest.update(&buffer[..n_read]);
    }
}

/// The whole of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

/// Writes a file so that a reader sees the old content or the whole new one.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("part");
    let mut file = std::fs::File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// A file that is not there is missing; any other trouble with reading it is damage.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> ModelError {
    if error.kind() == std::io::ErrorKind::NotFound {
        ModelError::Missing(path.to_owned())
    } else {
        ModelError::Damaged { path: path.to_owned(), reason: error.to_string() }
    }
}
