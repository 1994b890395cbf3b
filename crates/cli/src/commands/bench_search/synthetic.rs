//! Made-up passages and vectors: as many as wanted, the same on every machine, with the structure that makes
//! nearest-neighbour search neither trivial nor hopeless.
//!
//! Words are two-character strings; every topic prefers some of them, common words follow a Zipf-like law. The
//! vector of a text is the sum of its words' fixed random vectors, so texts that share words are near.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flightdeck_corpus::{Audience, Chunk, ChunkId, Corpus, Document, DocumentId, Kind, Location};
use flightdeck_models::{Embedder, ModelError};

use crate::random::SplitMix;

const DIMENSION: usize = 384;
const N_WORDS: usize = 20_000;
const N_TOPICS: usize = 400;
const WORDS_OF_TOPIC: usize = 50;
const WORDS_OF_PASSAGE: usize = 60;
const WORDS_OF_QUERY: usize = 6;
const FIRST_HAN: u32 = 0x4E00;
const N_HAN: u64 = 3_000;

/// What was made.
pub struct Made {
    /// One document of one chunk a passage.
    pub corpus: Corpus,
    /// Some words each of some passage.
    pub queries: Vec<String>,
}

/// Makes `n` passages and at most `n_queries` queries.
pub fn make(n: usize, n_queries: usize) -> Made {
    let mut random = SplitMix(42);
    let words: Vec<String> = (0..N_WORDS)
        .map(|_| {
            let mut han = || {
                let code = FIRST_HAN + random.below(N_HAN) as u32;
                char::from_u32(code).expect("the range holds characters only")
            };
            [han(), han()].iter().collect()
        })
        .collect();
    let topics: Vec<Vec<usize>> = (0..N_TOPICS)
        .map(|_| (0..WORDS_OF_TOPIC).map(|_| random.below(N_WORDS as u64) as usize).collect())
        .collect();
    let mut corpus = Corpus::default();
    let mut queries = Vec::new();
    let every = n.div_ceil(n_queries.max(1));
    for number in 0..n {
        let topic = &topics[random.below(N_TOPICS as u64) as usize];
        let chosen: Vec<&str> = (0..WORDS_OF_PASSAGE)
            .map(|_| {
                let word = if random.below(10) < 6 {
                    topic[random.below(WORDS_OF_TOPIC as u64) as usize]
                } else {
                    // The square of an even draw crowds towards the first words, as in natural text.
                    let even = random.below(1 << 20) as f64 / f64::from(1 << 20);
                    (even * even * N_WORDS as f64) as usize
                };
                words[word].as_str()
            })
            .collect();
        if number % every == 0 {
            let mut query = String::new();
            for _ in 0..WORDS_OF_QUERY {
                query.push_str(chosen[random.below(WORDS_OF_PASSAGE as u64) as usize]);
                query.push(' ');
            }
            queries.push(query);
        }
        add(&mut corpus, number, &chosen.join(" "));
    }
    Made { corpus, queries }
}

fn add(corpus: &mut Corpus, number: usize, text: &str) {
    let id = DocumentId::from(format!("p{number}").as_str());
    corpus.chunks.push(Chunk {
        id: ChunkId::from(format!("{id}#1").as_str()),
        document: id.clone(),
        span: 0..text.len(),
        table_header: None,
        location: Location::default(),
    });
    let document = Document::new(&id.0, Kind::Company, "", &format!("{id}.txt"), text);
    corpus.documents.push(Document { audience: Audience::Customer, ..document });
}

/// The model of the made-up texts: no neural network, so that the index is all that is measured.
#[derive(Default)]
pub struct WordVectors {
    known: Mutex<HashMap<String, Vec<f32>>>,
}

impl WordVectors {
    fn vector(&self, text: &str) -> Vec<f32> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sum = vec![0.0_f32; DIMENSION];
        for word in text.split_whitespace() {
            let vector = known.entry(word.to_owned()).or_insert_with(|| word_vector(word));
            for (total, value) in sum.iter_mut().zip(vector) {
                *total += *value;
            }
        }
        let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        for value in &mut sum {
            *value /= length;
        }
        sum
    }
}

/// Nearly normal values from sums of four even ones.
fn word_vector(word: &str) -> Vec<f32> {
    let seed = word.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let mut random = SplitMix(seed);
    (0..DIMENSION).map(|_| (0..4).map(|_| random.below(1 << 16) as f32 / 65_536.0 - 0.5).sum()).collect()
}

impl Embedder for WordVectors {
    fn id(&self) -> &'static str {
        "synthetic-word-vectors"
    }

    fn dimension(&self) -> usize {
        DIMENSION
    }

    fn max_tokens(&self) -> usize {
        512
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, ModelError> {
        Ok(self.vector(text))
    }

    fn embed_passages(
        &self,
        texts: &[&str],
        progress: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let vectors = texts.iter().map(|text| self.vector(text)).collect();
        if progress(texts.len()) { Ok(vectors) } else { Err(ModelError::Cancelled) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sizes_give_equal_passages_and_each_query_is_nearest_to_its_own() {
        let (made, again) = (make(400, 20), make(400, 20));
        assert_eq!(made.corpus.documents, again.corpus.documents);
        assert_eq!(made.queries.len(), 20);
        let embedder = WordVectors::default();
        let query = embedder.vector(&made.queries[0]);
        let similarity = |document: &Document| -> f32 {
            embedder.vector(&document.text).iter().zip(&query).map(|(a, b)| a * b).sum()
        };
        let best = made
            .corpus
            .documents
            .iter()
            .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
            .expect("there are documents");
        assert_eq!(&*best.id.0, "p0", "the first query is made of the first passage's words");
    }
}
