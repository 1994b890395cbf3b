//! The embedder that computes on this machine.

use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::bert::{Bert, ScoreHead};
use crate::candle_encoder::CandleEncoder;
use crate::encoder::{Encoder, Tokens};
use crate::int8_encoder::Int8Encoder;
use crate::kernels::Isa;
use crate::manifest::{Architecture, Manifest, Pooling, Purpose};
use crate::qwen3::Qwen3Encoder;
use crate::schedule::{HeldBack, Schedule};
use crate::tokenizer::Tokenizer;
use crate::{Embedder, ModelError};

/// Tokens that one work item of indexing holds: enough to use a matrix many times while it is in the cache, few
/// enough that two cores share the work evenly.
const GROUP_TOKENS: usize = 320;
/// Files up to this size are checked against their SHA-256 at every start, on a thread of their own while the model
/// is read; larger ones would take longer than that.
const MAX_CHECKED_BYTES: u64 = 64 << 20;
/// Threads that share one question: its products are cut in two.
const QUESTION_THREADS: usize = 2;
/// Questions whose vectors are remembered.
const REMEMBERED_QUESTIONS: usize = 1024;

/// How a model is to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kernel {
    /// The fastest that this machine and the model's sizes allow.
    #[default]
    Auto,
    /// candle in `f32`.
    Candle,
    /// Integer products in plain Rust.
    Portable,
    /// Integer products with AVX2.
    Avx2,
    /// Integer products with AVX2 and AVX-VNNI.
    AvxVnni,
    /// Integer products with AVX-512 VNNI.
    Avx512,
    /// Integer products with AMX tiles.
    Amx,
}

impl FromStr for Kernel {
    type Err = UnknownKernel;

    fn from_str(name: &str) -> Result<Self, UnknownKernel> {
        match name {
            "auto" => Ok(Self::Auto),
            "candle" => Ok(Self::Candle),
            "portable" => Ok(Self::Portable),
            "avx2" => Ok(Self::Avx2),
            "avx-vnni" => Ok(Self::AvxVnni),
            "avx512" => Ok(Self::Avx512),
            "amx" => Ok(Self::Amx),
            _ => Err(UnknownKernel),
        }
    }
}

/// A name that no [`Kernel`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kernel is one of auto, candle, portable, avx2, avx-vnni, avx512, amx")]
pub struct UnknownKernel;

impl Kernel {
    /// Every kernel that this machine can run, [`Kernel::Auto`] excepted.
    pub fn available() -> Vec<Self> {
        Isa::available()
            .into_iter()
            .map(|isa| match isa {
                #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
                Isa::Amx(_) => Self::Amx,
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512(_) => Self::Avx512,
                #[cfg(target_arch = "x86_64")]
                Isa::AvxVnni(_) => Self::AvxVnni,
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2(_) => Self::Avx2,
                Isa::Portable(_) => Self::Portable,
            })
            .chain([Self::Candle])
            .collect()
    }

    /// The instruction set of an integer kernel, if this machine has it. [`Kernel::Auto`] takes the fastest, but never
    /// the portable one, which candle's `f32` outruns.
    fn isa(self) -> Option<Isa> {
        Isa::available().into_iter().find(|isa| match isa {
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Isa::Amx(_) => matches!(self, Self::Auto | Self::Amx),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512(_) => matches!(self, Self::Auto | Self::Avx512),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni(_) => matches!(self, Self::Auto | Self::AvxVnni),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2(_) => matches!(self, Self::Auto | Self::Avx2),
            Isa::Portable(_) => self == Self::Portable,
        })
    }
}

/// How to load a model.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Threads for passages, at least one.
    pub threads: usize,
    /// How to compute.
    pub kernel: Kernel,
}

/// Loads the model in `dir` with the fastest kernel of this machine. Sizes of all files are checked, and the contents
/// of those up to 64 MiB; [`crate::verify`] checks the contents of all.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Damaged`], with the file; [`ModelError::Failed`] when threads cannot be
/// started.
pub fn load(dir: &Path, threads: usize) -> Result<Arc<dyn Embedder>, ModelError> {
    Ok(Arc::new(load_with(dir, LoadOptions { threads, kernel: Kernel::Auto })?))
}

/// As [`load`], with a choice of kernel.
///
/// # Errors
/// As [`load`]; [`ModelError::Failed`] also when this machine or the model's sizes rule the kernel out.
pub fn load_with(dir: &Path, options: LoadOptions) -> Result<LocalEmbedder, ModelError> {
    let started = Instant::now();
    let Opened { manifest, tokenizer, encoder, .. } = open(dir, Purpose::Embed, options.kernel)?;
    let threads = options.threads.max(1);
    let pool = thread_pool("passages", threads)?;
    let question_pool = thread_pool("question", threads.min(QUESTION_THREADS))?;
    let id = manifest.embedder_id();
    tracing::info!(model = %manifest.name, kernel = encoder.kernel(), threads, took_ms = started.elapsed().as_millis(), "model loaded");
    Ok(LocalEmbedder {
        id,
        manifest,
        tokenizer,
        encoder,
        pool,
        question_pool,
        schedule: Schedule::new(threads),
        questions: Mutex::new(LruCache::new(
            NonZeroUsize::new(REMEMBERED_QUESTIONS).expect("the constant is not zero"),
        )),
    })
}

/// A model that was read and checked.
pub(crate) struct Opened {
    pub(crate) manifest: Manifest,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) encoder: Box<dyn Encoder>,
    /// There for a reranker, and for no other model.
    pub(crate) head: Option<ScoreHead>,
}

/// Reads the model in `dir`, which must be for `purpose`, and checks its files.
///
/// # Errors
/// As [`load_with`].
pub(crate) fn open(dir: &Path, purpose: Purpose, kernel: Kernel) -> Result<Opened, ModelError> {
    let manifest = Manifest::open(dir)?;
    manifest.check_purpose(dir, purpose)?;
    manifest.check_sizes(dir)?;
    let (contents, tokenizer, network) = std::thread::scope(|scope| {
        let contents = scope.spawn(|| manifest.check_contents(dir, MAX_CHECKED_BYTES));
        let tokenizer = scope.spawn(|| Tokenizer::open(&dir.join(&manifest.tokenizer)));
        (contents.join(), tokenizer.join(), network(dir, &manifest, kernel))
    });
    let stopped = |_| ModelError::Failed("loading was stopped by a panic".to_owned());
    // Damage that the checksum finds is the better explanation of whatever else went wrong.
    contents.map_err(stopped)??;
    let (tokenizer, (encoder, head)) = (tokenizer.map_err(stopped)??, network?);
    if encoder.n_words() < tokenizer.n_pieces() {
        let reason = format!("{} pieces for {} word embeddings", tokenizer.n_pieces(), encoder.n_words());
        return Err(ModelError::Damaged { path: dir.join(&manifest.tokenizer), reason });
    }
    Ok(Opened { manifest, tokenizer, encoder, head })
}

pub(crate) fn thread_pool(name: &'static str, threads: usize) -> Result<ThreadPool, ModelError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |idx| format!("{name}-{idx}"))
        .build()
        .map_err(|error| ModelError::Failed(error.to_string()))
}

type Network = (Box<dyn Encoder>, Option<ScoreHead>);

fn network(dir: &Path, manifest: &Manifest, kernel: Kernel) -> Result<Network, ModelError> {
    if manifest.architecture == Architecture::Qwen3 {
        if !matches!(kernel, Kernel::Auto | Kernel::Candle) {
            return Err(unsuitable(kernel));
        }
        return Ok((Box::new(Qwen3Encoder::open(dir, manifest)?), None));
    }
    let bert = Bert::open(dir, manifest)?;
    let head = (manifest.purpose == Purpose::Rerank).then(|| bert.score_head()).transpose()?;
    // A score is made of the first token, whatever the manifest says of pooling.
    let pooling = if head.is_some() { Pooling::Cls } else { manifest.pooling };
    Ok((encoder(&bert, pooling, kernel)?, head))
}

fn encoder(bert: &Bert, pooling: Pooling, kernel: Kernel) -> Result<Box<dyn Encoder>, ModelError> {
    if let Some(isa) = kernel.isa()
        && let Some(encoder) = Int8Encoder::new(bert, pooling, isa)?
    {
        return Ok(Box::new(encoder));
    }
    if matches!(kernel, Kernel::Auto | Kernel::Candle) {
        return Ok(Box::new(CandleEncoder::new(bert, pooling)?));
    }
    Err(unsuitable(kernel))
}

fn unsuitable(kernel: Kernel) -> ModelError {
    ModelError::Failed(format!("the kernel {kernel:?} does not suit this machine or the model's sizes"))
}

/// Reads every tensor of the model in `dir` without computing with it: finds weights that do not fit their
/// manifest, whatever their checksum.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Damaged`].
pub fn check_weights(dir: &Path) -> Result<(), ModelError> {
    let manifest = Manifest::open(dir)?;
    if manifest.architecture == Architecture::Qwen3 {
        return Qwen3Encoder::open(dir, &manifest).map(drop);
    }
    let bert = Bert::open(dir, &manifest)?;
    bert.embeddings()?;
    if manifest.purpose == Purpose::Rerank {
        bert.score_head()?;
    }
    for idx in 0..bert.config.n_layers {
        bert.layer(idx)?;
    }
    Ok(())
}

/// A model in this process.
pub struct LocalEmbedder {
    id: String,
    manifest: Manifest,
    tokenizer: Tokenizer,
    encoder: Box<dyn Encoder>,
    /// Threads for passages.
    pool: ThreadPool,
    /// Threads for questions, so that none has to wait for a place among the passages.
    question_pool: ThreadPool,
    schedule: Schedule,
    questions: Mutex<LruCache<String, Vec<f32>>>,
}

impl LocalEmbedder {
    /// The model's manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The token ids the model sees for `text` (no prefix is added), special tokens included, cut to the longest
    /// input.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the tokeniser fails.
    pub fn token_ids(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        self.tokenizer.encode(text, self.manifest.max_tokens)
    }

    fn tokenize(&self, prefix: &str, text: &str) -> Result<Vec<u32>, ModelError> {
        let ids = self.token_ids(&[prefix, text].concat())?;
        match ids.iter().find(|&&id| id as usize >= self.encoder.n_words()) {
            Some(id) => {
                Err(ModelError::Failed(format!("the tokeniser gave the id {id}, which has no embedding")))
            }
            None => Ok(ids),
        }
    }
}

impl Embedder for LocalEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.manifest.dimension
    }

    fn max_tokens(&self) -> usize {
        self.manifest.max_tokens
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }

    fn kernel(&self) -> &'static str {
        self.encoder.kernel()
    }

    fn hold_passages(&self) -> Option<HeldBack<'_>> {
        Some(self.schedule.hold_back())
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, ModelError> {
        let remembered = || self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vector) = remembered().get(text) {
            return Ok(vector.clone());
        }
        let ids = self.tokenize(&self.manifest.query_prefix, text)?;
        let _question = self.schedule.question();
        let vector = unit(self.question_pool.install(|| self.encoder.encode_question(&ids))?)?;
        remembered().put(text.to_owned(), vector.clone());
        Ok(vector)
    }

    fn embed_passages(
        &self,
        texts: &[&str],
        progress: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let cancelled = AtomicBool::new(false);
        let n_done = AtomicUsize::new(0);
        self.pool.install(|| {
            let prefix = &self.manifest.passage_prefix;
            let ids: Vec<Vec<u32>> =
                texts.par_iter().map(|text| self.tokenize(prefix, text)).collect::<Result<_, _>>()?;
            let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
            let groups = groups(&lengths);
            let found: Vec<Vec<(usize, Vec<f32>)>> = groups
                .par_iter()
                .with_max_len(1)
                .map(|group| {
                    if cancelled.load(Ordering::Relaxed) {
                        return Err(ModelError::Cancelled);
                    }
                    let members: Vec<Tokens<'_>> =
                        group.iter().map(|&idx| Tokens::single(&ids[idx])).collect();
                    let vectors = self.encoder.encode(&members, &self.schedule)?;
                    let vectors = vectors.into_iter().map(unit).collect::<Result<Vec<_>, _>>()?;
                    let n_done = n_done.fetch_add(group.len(), Ordering::Relaxed) + group.len();
                    if !progress(n_done) {
                        cancelled.store(true, Ordering::Relaxed);
                        return Err(ModelError::Cancelled);
                    }
                    Ok(group.iter().copied().zip(vectors).collect())
                })
                .collect::<Result<_, _>>()?;
            let mut vectors = vec![Vec::new(); texts.len()];
            for (idx, vector) in found.into_iter().flatten() {
                vectors[idx] = vector;
            }
            Ok(vectors)
        })
    }
}

/// Texts of these lengths in work items of about [`GROUP_TOKENS`] tokens, longest texts first so that the last items are
/// small.
pub(crate) fn groups(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&idx| std::cmp::Reverse(lengths[idx]));
    let mut groups = Vec::new();
    let mut current = Vec::new();
    let mut n_tokens = 0;
    for idx in order {
        if !current.is_empty() && n_tokens + lengths[idx] > GROUP_TOKENS {
            groups.push(std::mem::take(&mut current));
            n_tokens = 0;
        }
        n_tokens += lengths[idx];
        current.push(idx);
    }
    if !current.is_empty() {
        groups.push(current);
    }
    groups
}

/// Scales to unit length. A vector that has none comes from damaged weights and must not reach an index.
pub(crate) fn unit(mut vector: Vec<f32>) -> Result<Vec<f32>, ModelError> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !length.is_finite() || length <= 0.0 {
        return Err(ModelError::Failed("the vector has no length; verify the model's files".to_owned()));
    }
    for value in &mut vector {
        *value /= length;
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_hold_every_text_once_and_stay_within_their_size() {
        let lengths = [3, 400, 200, 100, 30, 1, 319, 8];
        let groups = groups(&lengths);
        let mut all: Vec<usize> = groups.concat();
        all.sort_unstable();
        assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        for group in &groups {
            let n_tokens: usize = group.iter().map(|&idx| lengths[idx]).sum();
            assert!(group.len() == 1 || n_tokens <= GROUP_TOKENS);
        }
    }

    #[test]
    fn a_vector_without_length_is_an_error() {
        assert!(unit(vec![0.0; 4]).is_err());
        assert!(unit(vec![f32::NAN; 4]).is_err());
        assert_eq!(unit(vec![3.0, 4.0]).expect("it has a length"), [0.6, 0.8]);
    }
}
