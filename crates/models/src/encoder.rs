//! What a network offers to the embedder: token ids in, one pooled vector per text out.

use crate::ModelError;

/// Computes pooled vectors. What a text gives does not depend on what it is batched with, to the bit.
pub(crate) trait Encoder: Send + Sync {
    /// Name of the way it computes, for reports.
    fn kernel(&self) -> &'static str;

    /// Number of tokens with a vector; larger ids must not come.
    fn n_words(&self) -> usize;

    /// The pooled vector of every text, not yet of unit length. None of the texts is empty. Passes `gate` before every
    /// layer.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the computation fails, [`ModelError::Cancelled`] when the gate ends it.
    fn encode(&self, texts: &[Tokens<'_>], gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError>;

    /// The pooled vector of one text as soon as possible, on all threads of the current pool; the same bits as from
    /// [`Self::encode`].
    ///
    /// # Errors
    /// As [`Self::encode`].
    fn encode_question(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.encode(&[Tokens::single(ids)], &OpenGate).map(|vectors| vectors.concat())
    }
}

/// A text as the network reads it.
#[derive(Clone, Copy)]
pub(crate) struct Tokens<'a> {
    /// Token ids, special tokens included.
    pub(crate) ids: &'a [u32],
    /// Where the second of two texts that are read together begins; the end where there is only one.
    pub(crate) second_from: usize,
}

impl<'a> Tokens<'a> {
    /// One text.
    pub(crate) fn single(ids: &'a [u32]) -> Self {
        Self { ids, second_from: ids.len() }
    }
}

/// A place between layers where work waits for what is more urgent, or ends.
pub(crate) trait Gate: Sync {
    /// Returns when the caller may go on, with `false` when it is to stop instead.
    fn pass(&self) -> bool;
}

/// Never waits.
pub(crate) struct OpenGate;

impl Gate for OpenGate {
    fn pass(&self) -> bool {
        true
    }
}
