//! Cross-encoders: a question and a passage are read together and become one score.
//!
//! An embedder puts a passage into a vector before anybody asks; a cross-encoder sees every word of both at once, and
//! is right more often, at the price of a whole pass through the network for each passage of each question. So it puts
//! a handful in order that others have found. The networks are those of the embedders, on the same kernels; what is
//! their own is how a pair is written down and the head that makes one number of the first token's vector.

use std::path::Path;
use std::time::Instant;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::bert::ScoreHead;
use crate::encoder::{Encoder, Gate, Tokens};
use crate::local::{LoadOptions, groups, open, thread_pool};
use crate::manifest::{Architecture, Manifest, Purpose};
use crate::tokenizer::Tokenizer;
use crate::{ModelError, Reranker};

/// Loads the reranker in `dir`. Files are checked as by [`crate::load`].
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Damaged`], with the file, also where the manifest does not say that the
/// model is a reranker; [`ModelError::Failed`] when threads cannot be started or the kernel is ruled out.
pub fn load_reranker(dir: &Path, options: LoadOptions) -> Result<LocalReranker, ModelError> {
    let started = Instant::now();
    let opened = open(dir, Purpose::Rerank, options.kernel)?;
    let head = opened.head.expect("a reranker is opened with its head");
    let special = opened.tokenizer.special_ids()?;
    let threads = options.threads.max(1);
    let pool = thread_pool("rerank", threads)?;
    let Manifest { name, .. } = &opened.manifest;
    tracing::info!(model = %name, kernel = opened.encoder.kernel(), threads, took_ms = started.elapsed().as_millis(), "reranker loaded");
    Ok(LocalReranker {
        id: opened.manifest.embedder_id(),
        max_tokens: opened.manifest.max_tokens,
        n_separators: match opened.manifest.architecture {
            Architecture::XlmRoberta => 2,
            Architecture::Bert | Architecture::Gte | Architecture::Qwen3 => 1,
        },
        special,
        tokenizer: opened.tokenizer,
        encoder: opened.encoder,
        head: Head::new(&head),
        pool,
    })
}

/// A cross-encoder in this process.
pub struct LocalReranker {
    id: String,
    max_tokens: usize,
    /// How often the closing special tokens stand between the two texts.
    n_separators: usize,
    /// What stands before and after a text.
    special: (Vec<u32>, Vec<u32>),
    tokenizer: Tokenizer,
    encoder: Box<dyn Encoder>,
    head: Head,
    pool: ThreadPool,
}

impl LocalReranker {
    /// The token ids the model sees for a pair, and where those of the passage begin. Only the passage is cut to the
    /// longest input, unless the question takes more than three quarters of it: then that is cut to as much.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the tokeniser fails.
    pub fn pair_ids(&self, question: &str, passage: &str) -> Result<(Vec<u32>, usize), ModelError> {
        let question = self.question_ids(question)?;
        self.pair(&question, passage)
    }

    /// Tokens that are left for question and passage together.
    fn room(&self) -> usize {
        let (before, after) = &self.special;
        self.max_tokens.saturating_sub(before.len() + (self.n_separators + 1) * after.len())
    }

    fn question_ids(&self, question: &str) -> Result<Vec<u32>, ModelError> {
        let room = self.room();
        self.tokenizer.content(question, room - room / 4)
    }

    fn pair(&self, question: &[u32], passage: &str) -> Result<(Vec<u32>, usize), ModelError> {
        let passage = self.tokenizer.content(passage, self.room().saturating_sub(question.len()))?;
        let (before, after) = &self.special;
        let mut ids = [before, question].concat();
        for _ in 0..self.n_separators {
            ids.extend(after);
        }
        let second_from = ids.len();
        ids.extend(&passage);
        ids.extend(after);
        match ids.iter().find(|&&id| id as usize >= self.encoder.n_words()) {
            Some(id) => {
                Err(ModelError::Failed(format!("the tokeniser gave the id {id}, which has no embedding")))
            }
            None => Ok((ids, second_from)),
        }
    }
}

impl Reranker for LocalReranker {
    fn id(&self) -> &str {
        &self.id
    }

    fn kernel(&self) -> &'static str {
        self.encoder.kernel()
    }

    fn score(
        &self,
        question: &str,
        passages: &[&str],
        going_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<f32>, ModelError> {
        self.pool.install(|| {
            let question = self.question_ids(question)?;
            let pairs: Vec<(Vec<u32>, usize)> =
                passages.par_iter().map(|passage| self.pair(&question, passage)).collect::<Result<_, _>>()?;
            let lengths: Vec<usize> = pairs.iter().map(|(ids, _)| ids.len()).collect();
            let found: Vec<Vec<(usize, f32)>> = groups(&lengths)
                .par_iter()
                .with_max_len(1)
                .map(|group| {
                    let texts: Vec<Tokens<'_>> = group
                        .iter()
                        .map(|&idx| Tokens { ids: &pairs[idx].0, second_from: pairs[idx].1 })
                        .collect();
                    let vectors = self.encoder.encode(&texts, &While(going_on))?;
                    let scores = vectors.iter().map(|vector| self.head.score(vector));
                    Ok(group.iter().copied().zip(scores.collect::<Result<Vec<_>, _>>()?).collect())
                })
                .collect::<Result<_, ModelError>>()?;
            let mut scores = vec![0.0; passages.len()];
            for (idx, score) in found.into_iter().flatten() {
                scores[idx] = score;
            }
            Ok(scores)
        })
    }
}

/// Ends the work between two layers once nobody wants it any more.
struct While<'a>(&'a (dyn Fn() -> bool + Sync));

impl Gate for While<'_> {
    fn pass(&self) -> bool {
        (self.0)()
    }
}

/// A dense layer, its hyperbolic tangent, and a row, in `f32`.
struct Head {
    /// `[hidden, hidden]`, one row an input, so that a row at a time is added to all outputs.
    dense: Vec<f32>,
    dense_bias: Vec<f32>,
    out: Vec<f32>,
    out_bias: f32,
}

impl Head {
    fn new(head: &ScoreHead) -> Self {
        let hidden = head.dense.bias.len();
        let by_output = head.dense.matrix.decode();
        let mut dense = vec![0.0; hidden * hidden];
        for (output, weights) in by_output.chunks_exact(hidden).enumerate() {
            for (input, weight) in weights.iter().enumerate() {
                dense[input * hidden + output] = *weight;
            }
        }
        Self {
            dense,
            dense_bias: head.dense.bias.clone(),
            out: head.out.matrix.decode(),
            out_bias: head.out.bias[0],
        }
    }

    fn score(&self, vector: &[f32]) -> Result<f32, ModelError> {
        let mut inner = self.dense_bias.clone();
        for (value, weights) in vector.iter().zip(self.dense.chunks_exact(vector.len())) {
            for (sum, weight) in inner.iter_mut().zip(weights) {
                *sum += value * weight;
            }
        }
        let weighed: f32 = inner.iter().zip(&self.out).map(|(value, weight)| value.tanh() * weight).sum();
        let score = weighed + self.out_bias;
        if score.is_finite() {
            Ok(score)
        } else {
            Err(ModelError::Failed("the score is not a number; verify the model's files".to_owned()))
        }
    }
}
