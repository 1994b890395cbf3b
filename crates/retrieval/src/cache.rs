//! Embeddings that are known already, keyed by model and text, so that only what changed is computed again.
//!
//! One append-only file per model: a header, then records of key, vector and checksum. A record is whole or it is
//! dropped: a crash in the middle of a write costs that record and nothing before it.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::RetrievalError;

const MAGIC: &[u8; 8] = b"FDEMB001";
const KEY_BYTES: usize = 16;
const HEADER_BYTES: usize = MAGIC.len() + 4;

/// Names a text; equal texts have equal keys.
pub(crate) type TextKey = [u8; KEY_BYTES];

pub(crate) fn text_key(text: &str) -> TextKey {
    let digest = Sha256::digest(text.as_bytes());
    digest[..KEY_BYTES].try_into().expect("a SHA-256 digest is longer than a key")
}

/// The known embeddings of one model, open for more.
pub(crate) struct EmbeddingCache {
    path: PathBuf,
    dimension: usize,
    slots: HashMap<TextKey, usize>,
    vectors: Vec<f32>,
    file: BufWriter<File>,
}

impl EmbeddingCache {
    /// Opens or makes the cache of the model `model_id` below `folder`. What is damaged is dropped and will be
    /// computed again.
    pub fn open(folder: &Path, model_id: &str, dimension: usize) -> Result<Self, RetrievalError> {
        std::fs::create_dir_all(folder).map_err(RetrievalError::io("create", folder))?;
        let path = folder.join(file_name(model_id));
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(RetrievalError::io("read", &path)(error)),
        };
        let mut slots = HashMap::new();
        let mut vectors = Vec::new();
        let record_bytes = KEY_BYTES + dimension * 4 + 4;
        let mut whole = 0;
        if bytes.len() >= HEADER_BYTES && bytes[..HEADER_BYTES] == header(dimension) {
            whole = HEADER_BYTES;
            for record in bytes[HEADER_BYTES..].chunks_exact(record_bytes) {
                let (content, checksum) = record.split_at(record_bytes - 4);
                if crc32fast::hash(content).to_le_bytes() != checksum {
                    break;
                }
                let key: TextKey = content[..KEY_BYTES].try_into().expect("the key's length is fixed");
                slots.insert(key, vectors.len() / dimension);
                vectors.extend(
                    content[KEY_BYTES..]
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four"))),
                );
                whole += record_bytes;
            }
        }
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(RetrievalError::io("open", &path))?;
        file.set_len(whole as u64).map_err(RetrievalError::io("write", &path))?;
        let mut cache = Self { path, dimension, slots, vectors, file: BufWriter::new(file) };
        cache.seek_to(whole as u64)?;
        if whole == 0 {
            cache.write(&header(dimension))?;
        }
        Ok(cache)
    }

    pub fn get(&self, key: &TextKey) -> Option<&[f32]> {
        self.slots.get(key).map(|slot| &self.vectors[slot * self.dimension..(slot + 1) * self.dimension])
    }

    /// Remembers a vector; it is safe on disk after the next [`EmbeddingCache::flush`].
    pub fn put(&mut self, key: TextKey, vector: &[f32]) -> Result<(), RetrievalError> {
        self.slots.insert(key, self.vectors.len() / self.dimension);
        self.vectors.extend_from_slice(vector);
        let record = record(&key, vector);
        self.write(&record)
    }

    pub fn flush(&mut self) -> Result<(), RetrievalError> {
        self.file.flush().map_err(RetrievalError::io("write", &self.path))
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Result<(), RetrievalError> {
        self.slots.clear();
        self.vectors.clear();
        self.flush()?;
        self.file.get_ref().set_len(0).map_err(RetrievalError::io("write", &self.path))?;
        self.seek_to(0)?;
        self.write(&header(self.dimension))
    }

    /// Drops what `live` does not name once that is most of the file: a folder that changes daily must not grow a
    /// cache without end.
    pub fn compact(&mut self, live: &HashSet<TextKey>) -> Result<(), RetrievalError> {
        const SLACK: usize = 4096;
        self.flush()?;
        if self.vectors.len() / self.dimension <= 2 * live.len() + SLACK {
            return Ok(());
        }
        let temporary = self.path.with_extension("new");
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(File::create(&temporary)?);
            file.write_all(&header(self.dimension))?;
            for key in live {
                if let Some(vector) = self.get(key) {
                    file.write_all(&record(key, vector))?;
                }
            }
            file.into_inner()?.sync_all()?;
            std::fs::rename(&temporary, &self.path)
        };
        write().map_err(RetrievalError::io("write", &temporary))
    }

    fn seek_to(&mut self, offset: u64) -> Result<(), RetrievalError> {
        use std::io::Seek as _;
        self.file
            .seek(std::io::SeekFrom::Start(offset))
            .map(|_| ())
            .map_err(RetrievalError::io("write", &self.path))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RetrievalError> {
        self.file.write_all(bytes).map_err(RetrievalError::io("write", &self.path))
    }
}

fn header(dimension: usize) -> Vec<u8> {
    [MAGIC.as_slice(), &(dimension as u32).to_le_bytes()].concat()
}

fn record(key: &TextKey, vector: &[f32]) -> Vec<u8> {
    let mut record = Vec::with_capacity(KEY_BYTES + vector.len() * 4 + 4);
    record.extend_from_slice(key);
    for value in vector {
        record.extend_from_slice(&value.to_le_bytes());
    }
    let checksum = crc32fast::hash(&record);
    record.extend_from_slice(&checksum.to_le_bytes());
    record
}

/// A file name that says which model, and cannot leave the folder whatever the id holds.
fn file_name(model_id: &str) -> String {
    let readable: String = model_id
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' })
        .take(48)
        .collect();
    let digest = Sha256::digest(model_id.as_bytes());
    let short: String = digest[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{readable}-{short}.embeddings")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_costs_the_last_record_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut cache = EmbeddingCache::open(folder.path(), "model/a", 3).expect("opens");
        for word in ["一", "二", "三"] {
            cache.put(text_key(word), &[1.0, 2.0, 3.0]).expect("is written");
        }
        cache.flush().expect("is flushed");
        let path = cache.path.clone();
        drop(cache);
        let bytes = std::fs::read(&path).expect("is there");
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("is written");
            let cache = EmbeddingCache::open(folder.path(), "model/a", 3).expect("opens");
            let whole = cut.saturating_sub(HEADER_BYTES) / (KEY_BYTES + 16);
            assert_eq!(cache.slots.len(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_record_and_what_follows_is_computed_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut cache = EmbeddingCache::open(folder.path(), "m", 2).expect("opens");
        for word in ["一", "二"] {
            cache.put(text_key(word), &[1.0, 2.0]).expect("is written");
        }
        cache.flush().expect("is flushed");
        let path = cache.path.clone();
        drop(cache);
        let mut bytes = std::fs::read(&path).expect("is there");
        let last = bytes.len() - 6;
        bytes[last] ^= 0x40;
        std::fs::write(&path, &bytes).expect("is written");
        let cache = EmbeddingCache::open(folder.path(), "m", 2).expect("opens");
        assert!(cache.get(&text_key("一")).is_some());
        assert!(cache.get(&text_key("二")).is_none());
    }
}
