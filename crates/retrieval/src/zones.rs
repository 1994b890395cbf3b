//! BM25 over the zones of a chunk, in which a term counts once, where it counts most.
//!
//! Adding up one BM25 score for each zone pays a chunk for saying the same word in its title and in its text, and a
//! document whose title names the subject then fills the list with all of its chunks, whatever they say. Here each
//! term takes the largest of what the zones give: in the text the saturated frequency (0 to k1 + 1), in a label
//! (a title, keywords) a fixed weight, because a label says a word once or is badly written. On the public sets where
//! documents have titles this is worth 0.03 to 0.26 nDCG@10 over the sum of zones, and nothing is lost without titles
//! (`docs/retrieval.md`).

use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocSet, InvertedIndexReader, Searcher, TERMINATED};

/// How fast repetition stops counting; Robertson and Zaragoza's range is 1.2 to 2.
const K1: f32 = 1.2;
/// How much a long text is held against its terms, 0 to 1.
const B: f32 = 0.75;

/// How a term that stands in a part of a chunk counts.
#[derive(Clone, Copy)]
pub(crate) enum Zone {
    /// By its frequency, saturated and normalised by length.
    Text,
    /// By standing there: as 1.
    Label,
}

/// The zones of one kind of term (words or bigrams), open for reading.
pub(crate) struct Zones {
    n_chunks: usize,
    parts: Vec<Part>,
}

/// What of the chunks one segment holds.
struct Part {
    chunks: Arc<[u32]>,
    open: Vec<OpenZone>,
}

/// A segment to open zones of.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub searcher: &'a Searcher,
    /// For each of its documents the chunk, or [`GONE`].
    pub chunks: &'a Arc<[u32]>,
}

/// In the place of a chunk's number: the document is of no chunk any more.
pub(crate) const GONE: u32 = u32::MAX;

struct OpenZone {
    field: Field,
    index: Arc<InvertedIndexReader>,
    count: Count,
}

enum Count {
    Frequency {
        lengths: FieldNormReader,
        /// `k1 * (1 - b + b * length / average)` for each of the 256 lengths that a field norm tells apart.
        norms: Box<[f32; 256]>,
    },
    Presence,
}

impl Zones {
    /// Opens the fields of some segments. Their texts have `n_tokens` tokens of this kind in `n_chunks` chunks. A segment
    /// without documents is empty.
    pub fn open<'a>(
        segments: impl Iterator<Item = Segment<'a>>,
        zones: &[(Field, Zone)],
        n_tokens: u64,
        n_chunks: usize,
    ) -> tantivy::Result<Self> {
        let average = n_tokens as f32 / n_chunks.max(1) as f32;
        let norm = |id: u8| {
            let length = FieldNormReader::id_to_fieldnorm(id) as f32;
            K1 * (1.0 - B + B * length / average.max(f32::MIN_POSITIVE))
        };
        let mut parts = Vec::new();
        for Segment { searcher, chunks } in segments {
            let Some(segment) = searcher.segment_readers().first() else { continue };
            let open = zones
                .iter()
                .map(|&(field, zone)| {
                    let count = match zone {
                        Zone::Text => {
                            let lengths = segment.get_fieldnorms_reader(field)?;
                            let norms = Box::new(std::array::from_fn(|id| norm(id as u8)));
                            Count::Frequency { lengths, norms }
                        }
                        Zone::Label => Count::Presence,
                    };
                    Ok(OpenZone { field, index: segment.inverted_index(field)?, count })
                })
                .collect::<tantivy::Result<_>>()?;
            parts.push(Part { chunks: Arc::clone(chunks), open });
        }
        Ok(Self { n_chunks, parts })
    }

    /// Number of chunks.
    pub fn n_chunks(&self) -> usize {
        self.n_chunks
    }

    /// Adds `boost` times what `term` is worth to the score of every chunk in which it stands.
    ///
    /// The worth is the inverse document frequency, counted over chunks that have the term in any zone, times the
    /// largest of the zones' counts, each times its weight in `weights`. Returns what the term would add where it
    /// counts 1, found or not.
    pub fn add(&self, term: &str, boost: f32, weights: &[f32], scores: &mut [f32]) -> tantivy::Result<f32> {
        let mut counts: Vec<(u32, f32)> = Vec::new();
        for part in &self.parts {
            let mut cursors = part.cursors(term, weights)?;
            while let Some(document) = nearest(&cursors) {
                let here = cursors.iter_mut().filter(|cursor| cursor.document() == document);
                let count = here.map(Cursor::take).fold(0.0, f32::max);
                let chunk = part.chunks[document as usize];
                if chunk != GONE {
                    counts.push((chunk, count));
                }
            }
        }
        let weight = boost * inverse_document_frequency(self.n_chunks, counts.len());
        for (chunk, count) in counts {
            scores[chunk as usize] += weight * count;
        }
        Ok(weight)
    }

    /// As [`Zones::add`], for single chunks and with the parts of the sum. `chunks` must rise.
    pub fn explain(
        &self,
        term: &str,
        boost: f32,
        weights: &[f32],
        chunks: &[u32],
    ) -> tantivy::Result<TermWorth> {
        let mut found: Vec<Option<(usize, f32)>> = vec![None; chunks.len()];
        let mut n_with_term = 0;
        for part in &self.parts {
            let mut cursors = part.cursors(term, weights)?;
            while let Some(document) = nearest(&cursors) {
                let mut best: Option<(usize, f32)> = None;
                for cursor in cursors.iter_mut().filter(|cursor| cursor.document() == document) {
                    let zone = cursor.zone;
                    let count = cursor.take();
                    if best.is_none_or(|(_, most)| count > most) {
                        best = Some((zone, count));
                    }
                }
                let chunk = part.chunks[document as usize];
                n_with_term += usize::from(chunk != GONE);
                if let Ok(place) = chunks.binary_search(&chunk) {
                    found[place] = best;
                }
            }
        }
        let rarity = inverse_document_frequency(self.n_chunks, n_with_term);
        Ok(TermWorth { n_with_term, rarity, weight: boost * rarity, found })
    }
}

impl Part {
    fn cursors(&self, term: &str, weights: &[f32]) -> tantivy::Result<Vec<Cursor<'_>>> {
        let mut cursors = Vec::with_capacity(self.open.len());
        let zones = self.open.iter().zip(weights).enumerate().filter(|(_, (_, weight))| **weight > 0.0);
        for (zone_idx, (zone, &weight)) in zones {
            let term = tantivy::Term::from_field_text(zone.field, term);
            let option = match zone.count {
                Count::Frequency { .. } => IndexRecordOption::WithFreqs,
                Count::Presence => IndexRecordOption::Basic,
            };
            if let Some(postings) = zone.index.read_postings(&term, option)? {
                cursors.push(Cursor { postings, count: &zone.count, weight, zone: zone_idx });
            }
        }
        Ok(cursors)
    }
}

/// The first document that one of the cursors stands at.
fn nearest(cursors: &[Cursor<'_>]) -> Option<u32> {
    cursors.iter().map(Cursor::document).min().filter(|document| *document != TERMINATED)
}

/// What a term is worth, and what it counts in some chunks.
pub(crate) struct TermWorth {
    /// Chunks that have the term in any zone.
    pub n_with_term: usize,
    /// Inverse document frequency.
    pub rarity: f32,
    /// What a count of 1 adds to a score.
    pub weight: f32,
    /// For each chunk asked for the zone where the term counts most, and that count times the zone's weight.
    pub found: Vec<Option<(usize, f32)>>,
}

/// A place in one zone's list of documents.
struct Cursor<'a> {
    postings: SegmentPostings,
    count: &'a Count,
    weight: f32,
    /// Which of the zones.
    zone: usize,
}

impl Cursor<'_> {
    fn document(&self) -> u32 {
        self.postings.doc()
    }

    /// What the term counts here; goes on to the next document.
    fn take(&mut self) -> f32 {
        let count = match self.count {
            Count::Presence => 1.0,
            Count::Frequency { lengths, norms } => {
                let frequency = self.postings.term_freq() as f32;
                let norm = norms[usize::from(lengths.fieldnorm_id(self.postings.doc()))];
                frequency * (K1 + 1.0) / (frequency + norm)
            }
        };
        self.postings.advance();
        self.weight * count
    }
}

/// BM25's, in nats; never negative.
pub(crate) fn inverse_document_frequency(n_chunks: usize, n_with_term: usize) -> f32 {
    let n_with_term = n_with_term as f32;
    (1.0 + (n_chunks as f32 - n_with_term + 0.5) / (n_with_term + 0.5)).ln()
}
