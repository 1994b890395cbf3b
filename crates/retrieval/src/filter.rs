//! Who may see what today, as one set of chunks that both sides of the index obey.

use std::sync::Arc;

use flightdeck_corpus::{Audience, Document};
use jiff::civil::Date;

use crate::query::Filters;
use crate::text::fold_text;

/// A set of chunk indexes; cheap to share.
#[derive(Clone)]
pub(crate) struct Allowed {
    bits: Arc<[u64]>,
    count: usize,
}

impl Allowed {
    /// The set of the chunks for whose index `is_allowed` is true.
    pub fn new(n_chunks: usize, mut is_allowed: impl FnMut(usize) -> bool) -> Self {
        let mut bits = vec![0_u64; n_chunks.div_ceil(64)];
        let mut count = 0;
        for chunk in 0..n_chunks {
            if is_allowed(chunk) {
                bits[chunk / 64] |= 1 << (chunk % 64);
                count += 1;
            }
        }
        Self { bits: bits.into(), count }
    }

    /// Whether the chunk is in the set; a chunk that does not exist is not.
    pub fn contains(&self, chunk: u32) -> bool {
        let chunk = chunk as usize;
        self.bits.get(chunk / 64).is_some_and(|word| word >> (chunk % 64) & 1 == 1)
    }

    /// One bit a chunk, the first chunk's lowest.
    pub fn words(&self) -> &[u64] {
        &self.bits
    }

    /// The chunks of the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.bits.iter().enumerate().flat_map(|(idx, &word)| {
            std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
                .take_while(|rest| *rest != 0)
                .map(move |rest| idx as u32 * 64 + rest.trailing_zeros())
        })
    }

    /// How many chunks are in the set.
    pub fn len(&self) -> usize {
        self.count
    }
}

/// Whether a reader of `audience` may see `document` on `day`. The one place where this is decided.
pub(crate) fn may_see(document: &Document, audience: Audience, day: Date) -> bool {
    audience.may_see(document.audience) && document.is_served_on(day)
}

/// Whether the document passes every filter list.
pub(crate) fn passes(document: &Document, filters: &Filters) -> bool {
    (filters.kind.is_empty() || filters.kind.contains(&document.kind))
        && passes_list(&filters.industry, &document.profile.industry)
        && passes_list(&filters.product, &document.profile.product)
        && passes_list(&filters.tag, &document.tags)
}

/// Whether one of the values is wanted; with nothing wanted every value is.
pub(crate) fn passes_list(wanted: &[String], values: &[String]) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let values: Vec<String> = values.iter().map(|value| fold_text(value.trim())).collect();
    wanted.iter().map(|want| fold_text(want.trim())).any(|want| {
        values.iter().any(|value| {
            !value.is_empty() && !want.is_empty() && (value.contains(&want) || want.contains(value.as_str()))
        })
    })
}
