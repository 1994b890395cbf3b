//! Named tensors from a GGUF, safetensors or `PyTorch` file.
//!
//! The header is read and checked against the file's length at once; a tensor's bytes are read when asked for, so
//! that loading never holds the file twice. The file is read and not mapped: a mapped file that another process
//! cuts short kills the program, which no error handling can prevent, and reading 30 MB costs ten milliseconds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use candle_core::DType;
use candle_core::pickle::PthTensors;
use candle_core::quantized::{GgmlDType, gguf_file};
use half::f16;

use crate::ModelError;

/// Weights in a block of `Q4_0` and `Q8_0`.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a `Q4_0` block: an `f16` scale and 32 nibbles, weight `j` low and weight `j + 16` high in byte `j`.
pub(crate) const Q4_0_BYTES: usize = 18;
/// Bytes of a `Q8_0` block: an `f16` scale and 32 signed bytes.
pub(crate) const Q8_0_BYTES: usize = 34;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    F16,
    Bf16,
    Q8_0,
    Q4_0,
}

impl Format {
    /// Bytes of a row of `n` numbers; `None` where the format cannot hold such a row.
    pub(crate) fn row_bytes(self, n: usize) -> Option<usize> {
        match self {
            Self::F32 => n.checked_mul(4),
            Self::F16 | Self::Bf16 => n.checked_mul(2),
            Self::Q8_0 if n.is_multiple_of(BLOCK) => (n / BLOCK).checked_mul(Q8_0_BYTES),
            Self::Q4_0 if n.is_multiple_of(BLOCK) => (n / BLOCK).checked_mul(Q4_0_BYTES),
            Self::Q8_0 | Self::Q4_0 => None,
        }
    }

    /// The numbers of one stored row.
    pub(crate) fn decode_row(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (value, chunk) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                    *value = f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
                }
            }
            Self::F16 => {
                for (value, chunk) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *value = f16_at(chunk);
                }
            }
            Self::Bf16 => {
                for (value, chunk) in out.iter_mut().zip(bytes.chunks_exact(2)) {
                    *value = half::bf16::from_le_bytes([chunk[0], chunk[1]]).to_f32();
                }
            }
            Self::Q8_0 => {
                for (values, block) in out.chunks_exact_mut(BLOCK).zip(bytes.chunks_exact(Q8_0_BYTES)) {
                    let scale = f16_at(block);
                    for (value, &byte) in values.iter_mut().zip(&block[2..]) {
                        *value = f32::from(byte.cast_signed()) * scale;
                    }
                }
            }
            Self::Q4_0 => {
                for (values, block) in out.chunks_exact_mut(BLOCK).zip(bytes.chunks_exact(Q4_0_BYTES)) {
                    let scale = f16_at(block);
                    let (low, high) = values.split_at_mut(BLOCK / 2);
                    for ((low, high), &byte) in low.iter_mut().zip(high).zip(&block[2..]) {
                        *low = (f32::from(byte & 15) - 8.0) * scale;
                        *high = (f32::from(byte >> 4) - 8.0) * scale;
                    }
                }
            }
        }
    }
}

/// The `f16` at the start of `bytes`.
pub(crate) fn f16_at(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// A matrix as it is stored, row by row.
#[derive(Debug, Clone)]
pub(crate) struct Matrix {
    pub(crate) format: Format,
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
    bytes: Vec<u8>,
}

impl Matrix {
    /// A matrix of `f32` numbers.
    #[cfg(test)]
    pub(crate) fn from_f32(n_rows: usize, n_columns: usize, values: &[f32]) -> Self {
        assert_eq!(values.len(), n_rows * n_columns);
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { format: Format::F32, n_rows, n_columns, bytes }
    }

    /// A matrix of stored rows.
    #[cfg(test)]
    pub(crate) fn from_bytes(format: Format, n_rows: usize, n_columns: usize, bytes: Vec<u8>) -> Self {
        assert_eq!(format.row_bytes(n_columns).map(|row| row * n_rows), Some(bytes.len()));
        Self { format, n_rows, n_columns, bytes }
    }

    /// The stored bytes of a row.
    pub(crate) fn row(&self, idx: usize) -> &[u8] {
        let row_bytes = self.bytes.len() / self.n_rows;
        &self.bytes[idx * row_bytes..(idx + 1) * row_bytes]
    }

    /// The numbers of a row.
    pub(crate) fn decode_row(&self, idx: usize, out: &mut [f32]) {
        self.format.decode_row(self.row(idx), out);
    }

    /// The rows of `range` as a matrix of their own.
    pub(crate) fn rows(&self, range: Range<usize>) -> Self {
        let row_bytes = self.bytes.len() / self.n_rows;
        let bytes = self.bytes[range.start * row_bytes..range.end * row_bytes].to_vec();
        Self { format: self.format, n_rows: range.len(), n_columns: self.n_columns, bytes }
    }

    /// All numbers, row after row.
    pub(crate) fn decode(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.n_rows * self.n_columns];
        for (idx, row) in values.chunks_exact_mut(self.n_columns).enumerate() {
            self.decode_row(idx, row);
        }
        values
    }
}

/// Where a tensor lies in its file.
#[derive(Debug, Clone)]
struct Place {
    format: Format,
    shape: Vec<usize>,
    start: u64,
    n_bytes: usize,
}

/// What gives a tensor's bytes.
enum Store {
    /// They lie at their place in the file.
    Plain(Mutex<File>),
    /// They lie in an archive; candle reads its list, which is in Python's pickle, without running anything.
    Archive(PthTensors),
}

/// The tensors of a file.
pub(crate) struct Weights {
    path: PathBuf,
    store: Store,
    places: HashMap<String, Place>,
    metadata: HashMap<String, gguf_file::Value>,
}

impl Weights {
    /// Opens a `.gguf`, a `.safetensors` or a `PyTorch` `.bin` file.
    ///
    /// # Errors
    /// [`ModelError::Missing`] or [`ModelError::Damaged`].
    pub(crate) fn open(path: &Path) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|error| crate::manifest::unreadable(path, &error))?;
        let length = file.metadata().map_err(|error| crate::manifest::unreadable(path, &error))?.len();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let plain = |header: Header, file| (header, Store::Plain(Mutex::new(file)));
        let read = match extension {
            "gguf" => read_gguf(&file, length).map(|header| plain(header, file)),
            "safetensors" => read_safetensors(&file, length).map(|header| plain(header, file)),
            "bin" => read_archive(path, length),
            other => Err(format!("weights of the kind {other:?} are not supported")),
        };
        let ((places, metadata), store) =
            read.map_err(|reason| ModelError::Damaged { path: path.to_owned(), reason })?;
        Ok(Self { path: path.to_owned(), store, places, metadata })
    }

    /// True for GGUF, which carries the network's sizes.
    pub(crate) fn is_gguf(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "gguf")
    }

    /// A number from the metadata (GGUF only).
    pub(crate) fn number(&self, key: &str) -> Option<f64> {
        let value = self.metadata.get(key)?;
        value.to_u32().map(f64::from).or_else(|_| value.to_f32().map(f64::from)).ok()
    }

    /// True when there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// A matrix that must have `n_columns` columns, and `n_rows` rows unless that is `None`.
    pub(crate) fn matrix(
        &self,
        name: &str,
        n_rows: Option<usize>,
        n_columns: usize,
    ) -> Result<Matrix, ModelError> {
        let place = self.place(name)?;
        match place.shape.as_slice() {
            &[rows, columns] if columns == n_columns && rows > 0 && n_rows.is_none_or(|n| n == rows) => {
                let bytes = self.bytes(name, place)?;
                Ok(Matrix { format: place.format, n_rows: rows, n_columns, bytes })
            }
            shape => Err(self.damaged(format!("tensor {name} has the shape {shape:?}"))),
        }
    }

    /// A vector that must have `n` numbers.
    pub(crate) fn vector(&self, name: &str, n: usize) -> Result<Vec<f32>, ModelError> {
        let place = self.place(name)?;
        if place.shape != [n] {
            return Err(self.damaged(format!("tensor {name} has the shape {:?}, not [{n}]", place.shape)));
        }
        let mut values = vec![0.0; n];
        place.format.decode_row(&self.bytes(name, place)?, &mut values);
        Ok(values)
    }

    /// The shape of a tensor.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize], ModelError> {
        Ok(&self.place(name)?.shape)
    }

    fn place(&self, name: &str) -> Result<&Place, ModelError> {
        self.places.get(name).ok_or_else(|| self.damaged(format!("there is no tensor {name}")))
    }

    fn bytes(&self, name: &str, place: &Place) -> Result<Vec<u8>, ModelError> {
        let file = match &self.store {
            Store::Plain(file) => file,
            Store::Archive(archive) => {
                return archived_bytes(archive, name, place.format)
                    .map_err(|error| self.damaged(format!("tensor {name}: {error}")));
            }
        };
        let mut bytes = vec![0; place.n_bytes];
        let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.seek(SeekFrom::Start(place.start))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| self.damaged(error.to_string()))?;
        Ok(bytes)
    }

    pub(crate) fn damaged(&self, reason: String) -> ModelError {
        ModelError::Damaged { path: self.path.clone(), reason }
    }
}

type Header = (HashMap<String, Place>, HashMap<String, gguf_file::Value>);

/// A place that lies within the file, or why it does not.
fn checked_place(
    name: &str,
    format: Format,
    shape: Vec<usize>,
    start: u64,
    length: u64,
) -> Result<Place, String> {
    let wrong = || format!("tensor {name} does not fit into the file");
    let (&columns, outer) = shape.split_last().ok_or_else(wrong)?;
    let n_rows = outer.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)).ok_or_else(wrong)?;
    let n_bytes = format.row_bytes(columns).and_then(|row| row.checked_mul(n_rows)).ok_or_else(wrong)?;
    if start.checked_add(n_bytes as u64).is_none_or(|end| end > length) {
        return Err(wrong());
    }
    Ok(Place { format, shape, start, n_bytes })
}

fn read_gguf(file: &File, length: u64) -> Result<Header, String> {
    let content = gguf_file::Content::read(&mut BufReader::new(file)).map_err(|error| error.to_string())?;
    let mut places = HashMap::new();
    for (name, info) in &content.tensor_infos {
        let format = match info.ggml_dtype {
            GgmlDType::F32 => Format::F32,
            GgmlDType::F16 => Format::F16,
            GgmlDType::BF16 => Format::Bf16,
            GgmlDType::Q8_0 => Format::Q8_0,
            GgmlDType::Q4_0 => Format::Q4_0,
            other => return Err(format!("tensor {name} is stored as {other:?}, which is not supported")),
        };
        let start = content
            .tensor_data_offset
            .checked_add(info.offset)
            .ok_or_else(|| format!("tensor {name} does not fit into the file"))?;
        places.insert(name.clone(), checked_place(name, format, info.shape.dims().to_vec(), start, length)?);
    }
    Ok((places, content.metadata))
}

/// The list of an archive as `PyTorch` writes it.
fn read_archive(path: &Path, length: u64) -> Result<(Header, Store), String> {
    let archive = PthTensors::new(path, None).map_err(|error| error.to_string())?;
    let mut places = HashMap::new();
    for (name, info) in archive.tensor_infos() {
        let format = match info.dtype {
            DType::F32 => Format::F32,
            DType::F16 => Format::F16,
            DType::BF16 => Format::Bf16,
            // Position ids are integers here too.
            _ => continue,
        };
        if !info.layout.is_contiguous() || info.layout.start_offset() != 0 {
            return Err(format!("tensor {name} is a part of another, which is not supported"));
        }
        let shape = info.layout.dims().to_vec();
        places.insert(name.clone(), checked_place(name, format, shape, 0, length)?);
    }
    Ok(((places, HashMap::new()), Store::Archive(archive)))
}

/// A tensor of an archive, as it is stored.
fn archived_bytes(archive: &PthTensors, name: &str, format: Format) -> candle_core::Result<Vec<u8>> {
    let missing = || candle_core::Error::Msg("it is listed and not there".to_owned());
    let tensor = archive.get(name)?.ok_or_else(missing)?.flatten_all()?;
    Ok(match format {
        Format::F16 => tensor.to_vec1::<f16>()?.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Format::Bf16 => {
            tensor.to_vec1::<half::bf16>()?.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
        Format::F32 | Format::Q8_0 | Format::Q4_0 => {
            tensor.to_vec1::<f32>()?.iter().flat_map(|value| value.to_le_bytes()).collect()
        }
    })
}

fn read_safetensors(mut file: &File, length: u64) -> Result<Header, String> {
    #[derive(serde::Deserialize)]
    struct Entry {
        dtype: String,
        shape: Vec<usize>,
        data_offsets: (u64, u64),
    }
    let mut size = [0; 8];
    file.read_exact(&mut size).map_err(|error| error.to_string())?;
    let size = u64::from_le_bytes(size);
    if size > length.saturating_sub(8) {
        return Err("the header is longer than the file".to_owned());
    }
    let mut header = vec![0; size as usize];
    file.read_exact(&mut header).map_err(|error| error.to_string())?;
    let header: HashMap<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|error| format!("the header is not JSON: {error}"))?;
    let mut places = HashMap::new();
    for (name, value) in header {
        if name == "__metadata__" {
            continue;
        }
        let entry: Entry =
            serde_json::from_value(value).map_err(|error| format!("tensor {name}: {error}"))?;
        let format = match entry.dtype.as_str() {
            "F32" => Format::F32,
            "F16" => Format::F16,
            "BF16" => Format::Bf16,
            // Published files carry position ids as integers; nothing here reads them.
            _ => continue,
        };
        let (start, end) = entry.data_offsets;
        let place = checked_place(&name, format, entry.shape, start.saturating_add(8 + size), length)?;
        if end.checked_sub(start) != Some(place.n_bytes as u64) {
            return Err(format!("tensor {name} does not fit its shape"));
        }
        places.insert(name, place);
    }
    Ok((places, HashMap::new()))
}
