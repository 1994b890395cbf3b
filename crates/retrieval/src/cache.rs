//! Embeddings that are known already, keyed by model and text, so that only what changed is computed again.
//!
//! One append-only file per model: a header, then records of key, vector and checksum. A record is whole or it is
//! dropped: a crash in the middle of a write costs that record and nothing before it.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Write};
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

/// The keys that stand one after the other in a file.
pub(crate) fn keys_from(bytes: &[u8]) -> Vec<TextKey> {
    bytes.chunks_exact(KEY_BYTES).map(|key| key.try_into().expect("the key's length is fixed")).collect()
}

/// The known embeddings of one model, open for more. What is in memory is where each lies in the file.
pub(crate) struct EmbeddingCache {
    path: PathBuf,
    dimension: usize,
    /// From text to the number of its record.
    slots: HashMap<TextKey, usize>,
    n_records: usize,
    file: BufWriter<File>,
}

impl EmbeddingCache {
    /// Opens or makes the cache of the model `model_id` below `folder`. What is damaged is dropped and will be
    /// computed again.
    pub fn open(folder: &Path, model_id: &str, dimension: usize) -> Result<Self, RetrievalError> {
        std::fs::create_dir_all(folder).map_err(RetrievalError::io("create", folder))?;
        let path = folder.join(file_name(model_id));
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(RetrievalError::io("open", &path))?;
        let slots = whole_records(&file, dimension).map_err(RetrievalError::io("read", &path))?;
        let whole = slots.as_ref().map_or(0, |(_, n)| HEADER_BYTES + n * record_bytes(dimension));
        file.set_len(whole as u64).map_err(RetrievalError::io("write", &path))?;
        let (slots, n_records) = slots.unwrap_or_default();
        let mut cache = Self { path, dimension, slots, n_records, file: BufWriter::new(file) };
        cache.seek_to(whole as u64)?;
        if whole == 0 {
            cache.write(&header(dimension))?;
        }
        Ok(cache)
    }

    /// Whether the vector of this text is known.
    pub fn has(&self, key: &TextKey) -> bool {
        self.slots.contains_key(key)
    }

    /// Reads a vector; `None` where it is not known. What was put must have been flushed.
    pub fn get(&mut self, key: &TextKey) -> Result<Option<Vec<f32>>, RetrievalError> {
        let Some(slot) = self.slots.get(key) else { return Ok(None) };
        let place = HEADER_BYTES + slot * record_bytes(self.dimension) + KEY_BYTES;
        let mut bytes = vec![0; self.dimension * 4];
        let end = HEADER_BYTES + self.n_records * record_bytes(self.dimension);
        self.seek_to(place as u64)?;
        let read = self.file.get_mut().read_exact(&mut bytes);
        read.map_err(RetrievalError::io("read", &self.path))?;
        self.seek_to(end as u64)?;
        Ok(Some(
            bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of four")))
                .collect(),
        ))
    }

    /// Remembers a vector; it is safe on disk after the next [`EmbeddingCache::flush`].
    pub fn put(&mut self, key: TextKey, vector: &[f32]) -> Result<(), RetrievalError> {
        self.slots.insert(key, self.n_records);
        self.n_records += 1;
        let record = record(&key, vector);
        self.write(&record)
    }

    pub fn flush(&mut self) -> Result<(), RetrievalError> {
        self.file.flush().map_err(RetrievalError::io("write", &self.path))
    }

    /// Forgets everything.
    pub fn clear(&mut self) -> Result<(), RetrievalError> {
        self.slots.clear();
        self.n_records = 0;
        self.flush()?;
        self.file.get_ref().set_len(0).map_err(RetrievalError::io("write", &self.path))?;
        self.seek_to(0)?;
        self.write(&header(self.dimension))
    }

    /// Whether so much of it is of texts that are gone that it should be made anew, where `n_live` are not.
    pub fn is_mostly_dead(&self, n_live: usize) -> bool {
        const SLACK: usize = 4096;
        self.n_records > 2 * n_live + SLACK
    }

    /// Drops what `live` does not name: a folder that changes daily must not grow a cache without end. The cache has to
    /// be opened again.
    pub fn compact(mut self, live: &HashSet<TextKey>) -> Result<(), RetrievalError> {
        self.flush()?;
        let temporary = self.path.with_extension("new");
        let path = self.path.clone();
        let mut file =
            File::create(&temporary).map(BufWriter::new).map_err(RetrievalError::io("write", &temporary))?;
        let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(RetrievalError::io("write", &temporary));
        write(&header(self.dimension))?;
        for key in live {
            if let Some(vector) = self.get(key)? {
                write(&record(key, &vector))?;
            }
        }
        let finish = || -> std::io::Result<()> {
            file.into_inner()?.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        finish().map_err(RetrievalError::io("write", &temporary))
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

/// The records of a file up to the first that is not whole, and their number; `None` where it has not even a header.
fn whole_records(file: &File, dimension: usize) -> std::io::Result<Option<(HashMap<TextKey, usize>, usize)>> {
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut head = [0; HEADER_BYTES];
    if let Err(error) = file.read_exact(&mut head) {
        return if error.kind() == std::io::ErrorKind::UnexpectedEof { Ok(None) } else { Err(error) };
    }
    if head != header(dimension)[..] {
        return Ok(None);
    }
    let mut slots = HashMap::new();
    let mut n_records = 0;
    let mut record = vec![0; record_bytes(dimension)];
    loop {
        match file.read_exact(&mut record) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let (content, checksum) = record.split_at(record.len() - 4);
        if crc32fast::hash(content).to_le_bytes() != checksum {
            break;
        }
        slots.insert(content[..KEY_BYTES].try_into().expect("the key's length is fixed"), n_records);
        n_records += 1;
    }
    Ok(Some((slots, n_records)))
}

fn record_bytes(dimension: usize) -> usize {
    KEY_BYTES + dimension * 4 + 4
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
    fn what_was_put_is_read_also_between_writes_and_after_the_dead_are_dropped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = || EmbeddingCache::open(folder.path(), "model/a", 2).expect("opens");
        let mut cache = open();
        for round in 0..3 {
            let (word, vector) = (format!("第{round}"), [round as f32, 0.5]);
            cache.put(text_key(&word), &vector).expect("is written");
            cache.flush().expect("is flushed");
            assert_eq!(cache.get(&text_key(&word)).expect("is read"), Some(vector.to_vec()));
            assert_eq!(cache.get(&text_key("第0")).expect("is read"), Some(vec![0.0, 0.5]));
        }
        assert!(!cache.is_mostly_dead(1));
        cache.compact(&HashSet::from([text_key("第2"), text_key("别的")])).expect("is written");
        let mut cache = open();
        assert_eq!(cache.get(&text_key("第2")).expect("is read"), Some(vec![2.0, 0.5]));
        assert_eq!(cache.get(&text_key("第0")).expect("is read"), None);
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
        assert!(cache.has(&text_key("一")));
        assert!(!cache.has(&text_key("二")));
    }
}
