//! What a network offers to the embedder: token ids in, one pooled vector per text out.

use crate::ModelError;

/// Computes pooled vectors. What a text gives does not depend on what it is batched with, to the bit.
pub(crate) trait Encoder: Send + Sync {
    /// Name of the way it computes, for reports.
    fn kernel(&self) -> &'static str;

    /// Number of tokens with a vector; larger ids must not come.
    fn n_words(&self) -> usize;

    /// The pooled vector of every text, not yet of unit length. Texts are token ids with special tokens, none of
    /// them empty. Passes `gate` before every layer.
    ///
    /// # Errors
    /// [`ModelError::Failed`] when the computation fails.
    fn encode(&self, texts: &[&[u32]], gate: &dyn Gate) -> Result<Vec<Vec<f32>>, ModelError>;

    /// The pooled vector of one text as soon as possible, on all threads of the current pool; the same bits as from
    /// [`Self::encode`].
    ///
    /// # Errors
    /// As [`Self::encode`].
    fn encode_question(&self, ids: &[u32]) -> Result<Vec<f32>, ModelError> {
        self.encode(&[ids], &OpenGate).map(|vectors| vectors.concat())
    }
}

/// A place to wait between layers while something more urgent computes.
pub(crate) trait Gate: Sync {
    /// Returns when the caller may go on.
    fn pass(&self);
}

/// Never waits.
pub(crate) struct OpenGate;

impl Gate for OpenGate {
    fn pass(&self) {}
}
