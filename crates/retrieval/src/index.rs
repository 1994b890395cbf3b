//! One open generation: filter, search both sides, fuse, and say why.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use flightdeck_corpus::{Audience, Chunk, Document, DocumentId};
use flightdeck_models::Embedder;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::analysis::{Analyzer, is_stop_word};
use crate::dense::Dense;
use crate::explain::{
    Because, ChangeReason, Explained, LeftOut, MAX_LEFT_OUT, Reasons, ScoreChange, WordHit, hidden_because,
};
use crate::filter::{Allowed, may_see, passes};
use crate::fusion::{Balance, Fused, fuse};
use crate::highlight::Marker;
use crate::lexical::{Lexical, QueryTerms};
use crate::query::{Filters, Mode, Passage, Query, Scores};
use crate::rerank::Reranking;
use crate::spelling::Spelling;
use crate::spread::spread;
use crate::store::embedded_text;
use crate::text::{fold_text, simplified};
use crate::windows::window_spans;
use crate::zones::inverse_document_frequency;
use crate::{RetrievalError, Settings};

/// What stays of the score of a passage whose document a served one replaces.
const SUPERSEDED_FACTOR: f32 = 0.6;

/// Readers and days whose visible chunks are remembered; a server has two readers and today.
const VISIBLE_KEPT: usize = 4;

/// What a generation holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Name of the generation, e.g. `gen-000007`.
    pub generation: String,
    /// Documents, served or not.
    pub documents: usize,
    /// Chunks.
    pub chunks: usize,
    /// Id of the model that made the vectors.
    pub model: String,
}

/// What was read from disk.
pub(crate) struct Contents {
    pub documents: Vec<Document>,
    pub chunks: Vec<Chunk>,
    pub summary: Summary,
}

/// One open generation of the index; cheap to share, never changes.
pub struct Index {
    documents: Vec<Arc<Document>>,
    chunks: Vec<Arc<Chunk>>,
    document_of_chunk: Vec<u32>,
    chunks_of_document: Vec<Range<usize>>,
    document_by_id: HashMap<DocumentId, u32>,
    /// For a document, those that say they replace it.
    successors: HashMap<DocumentId, Vec<u32>>,
    analyzer: Arc<Analyzer>,
    lexical: Lexical,
    dense: Dense,
    spelling: Spelling,
    embedder: Arc<dyn Embedder>,
    settings: Settings,
    /// A cross-encoder for the first passages, where one is used.
    reranking: Option<Reranking>,
    summary: Summary,
    /// What may be seen without a filter, of the last readers and days: every document is looked at to know it.
    visible: Mutex<VecDeque<(Audience, Date, Allowed)>>,
}

impl Index {
    pub(crate) fn new(
        contents: Contents,
        analyzer: Arc<Analyzer>,
        lexical: Lexical,
        dense: Dense,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
    ) -> Result<Self, String> {
        let document_by_id: HashMap<DocumentId, u32> =
            contents.documents.iter().enumerate().map(|(i, d)| (d.id.clone(), i as u32)).collect();
        let mut document_of_chunk = Vec::with_capacity(contents.chunks.len());
        let mut chunks_of_document = vec![0..0; contents.documents.len()];
        for (chunk_idx, chunk) in contents.chunks.iter().enumerate() {
            let document = *document_by_id
                .get(&chunk.document)
                .ok_or_else(|| format!("chunk {} belongs to no document", chunk.id))?;
            if contents.documents[document as usize].text.get(chunk.span.clone()).is_none() {
                return Err(format!("the span of chunk {} is not in its document", chunk.id));
            }
            document_of_chunk.push(document);
            let range: &mut Range<usize> = &mut chunks_of_document[document as usize];
            *range = if range.end == 0 { chunk_idx..chunk_idx + 1 } else { range.start..chunk_idx + 1 };
        }
        let mut successors: HashMap<DocumentId, Vec<u32>> = HashMap::new();
        for (document_idx, document) in contents.documents.iter().enumerate() {
            for replaced in &document.supersedes {
                successors.entry(replaced.clone()).or_default().push(document_idx as u32);
            }
        }
        let spelling = Spelling::new(lexical.chinese_words().map_err(|error| error.to_string())?);
        Ok(Self {
            spelling,
            documents: contents.documents.into_iter().map(Arc::new).collect(),
            chunks: contents.chunks.into_iter().map(Arc::new).collect(),
            document_of_chunk,
            chunks_of_document,
            document_by_id,
            successors,
            analyzer,
            lexical,
            dense,
            embedder,
            settings,
            reranking: None,
            summary: contents.summary,
            visible: Mutex::default(),
        })
    }

    /// From now on a cross-encoder reads the first passages of every search, or none does.
    pub(crate) fn set_reranking(&mut self, reranking: Option<Reranking>) {
        self.reranking = reranking;
    }

    /// The cross-encoder that reads the first passages, if one does.
    pub fn reranking(&self) -> Option<&Reranking> {
        self.reranking.as_ref()
    }

    /// How texts are cut into terms.
    pub(crate) fn analyzer(&self) -> &Arc<Analyzer> {
        &self.analyzer
    }

    /// The lexical side.
    pub(crate) fn lexical(&self) -> &Lexical {
        &self.lexical
    }

    /// The vectors.
    pub(crate) fn dense(&self) -> &Dense {
        &self.dense
    }

    /// The passages that answer `query`, best first.
    ///
    /// # Errors
    /// When the model fails on the question or a file of the index cannot be read.
    pub fn search(&self, query: &Query) -> Result<Vec<Passage>, RetrievalError> {
        self.search_with(query, self.settings)
    }

    /// As [`Index::search`], ranked by other settings than the index was opened with; for comparisons.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_with(&self, query: &Query, settings: Settings) -> Result<Vec<Passage>, RetrievalError> {
        self.search_reranked(query, settings, self.reranking.as_ref())
    }

    /// As [`Index::search`], in the fused order, whether or not a cross-encoder is used: for work that asks many questions
    /// at once or looks at cosines only.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_fused(&self, query: &Query) -> Result<Vec<Passage>, RetrievalError> {
        self.search_reranked(query, self.settings, None)
    }

    /// As [`Index::search_with`], with this cross-encoder or none; for comparisons.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_reranked(
        &self,
        query: &Query,
        settings: Settings,
        reranking: Option<&Reranking>,
    ) -> Result<Vec<Passage>, RetrievalError> {
        let question = self.question(query)?;
        let fused = self.rank(query, &question, &self.allowed(query), settings, reranking)?.fused;
        Ok(self.passages(&fused, query, question))
    }

    /// As [`Index::search`], for a list that a person reads: one document does not fill it.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn search_spread(&self, query: &Query) -> Result<Vec<Passage>, RetrievalError> {
        let question = self.question(query)?;
        let reranking = self.reranking.as_ref();
        let mut fused = self.rank(query, &question, &self.allowed(query), self.settings, reranking)?.fused;
        spread(&mut fused, |chunk| self.document_of_chunk[chunk as usize]);
        Ok(self.passages(&fused, query, question))
    }

    /// As [`Index::search_with`], and why: the same passages in the same order, with the reasons for each and the
    /// documents that were left out. Takes about twice as long.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn explain_with(&self, query: &Query, settings: Settings) -> Result<Explained, RetrievalError> {
        self.explain_list(query, settings, false)
    }

    /// As [`Index::search_spread`], and why.
    ///
    /// # Errors
    /// As [`Index::search`].
    pub fn explain_spread(&self, query: &Query) -> Result<Explained, RetrievalError> {
        self.explain_list(query, self.settings, true)
    }

    fn explain_list(
        &self,
        query: &Query,
        settings: Settings,
        is_spread: bool,
    ) -> Result<Explained, RetrievalError> {
        let question = self.question(query)?;
        let reranking = self.reranking.as_ref();
        let Ranked { balance, fused: plain } =
            self.rank(query, &question, &self.allowed(query), settings, reranking)?;
        let mut fused = plain.clone();
        if is_spread {
            spread(&mut fused, |chunk| self.document_of_chunk[chunk as usize]);
        }
        let before: HashMap<u32, f32> = plain.iter().map(|hit| (hit.chunk, hit.score)).collect();
        let shown = &fused[..fused.len().min(query.top_k)];
        let mut chunks: Vec<u32> = shown.iter().map(|hit| hit.chunk).collect();
        chunks.sort_unstable();
        let looked_up = match query.mode {
            Mode::Vector => None,
            Mode::Hybrid | Mode::Lexical => Some(
                self.lexical
                    .explain(&question.terms, &chunks, settings.lexical)
                    .map_err(RetrievalError::FullText)?,
            ),
        };
        let (words, mut hits) = looked_up.unwrap_or_else(|| (Vec::new(), vec![Vec::new(); chunks.len()]));
        let reasons = shown.iter().map(|hit| {
            let place = chunks.binary_search(&hit.chunk).expect("it was put in above");
            // A passage that only the dense side found has words too, but they did not count.
            let words = hit.lexical.map(|_| std::mem::take(&mut hits[place])).unwrap_or_default();
            let before = before[&hit.chunk];
            self.reasons((hit, before), words, question.embedding.as_deref(), query, settings)
        });
        let reasons = reasons.collect();
        let mut left_out = self.left_out(query, &question, settings)?;
        for (i, hit) in plain.iter().enumerate().take(query.top_k) {
            if chunks.binary_search(&hit.chunk).is_err() {
                let document = self.documents[self.document_of_chunk[hit.chunk as usize] as usize].clone();
                let because = vec![Because::Repetition];
                left_out.push(LeftOut { document, would_rank: i + 1, would_score: hit.score, because });
            }
        }
        left_out.sort_by_key(|left| left.would_rank);
        let read_as = question.read_as.clone();
        let passages = self.passages(&fused, query, question);
        Ok(Explained { passages, reasons, read_as, words, balance, left_out })
    }

    /// The settings that this index ranks by where nothing else is said.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    fn passages(&self, fused: &[Fused], query: &Query, question: QuestionParts) -> Vec<Passage> {
        let marker = Arc::new(Marker { analyzer: self.analyzer.clone(), terms: question.terms });
        let embedding = question.embedding.as_deref();
        let shown = fused.iter().take(query.top_k).enumerate();
        shown.map(|(i, hit)| self.passage(i + 1, hit, query, embedding, &marker)).collect()
    }

    fn reasons(
        &self,
        (hit, before_spreading): (&Fused, f32),
        words: Vec<WordHit>,
        embedding: Option<&[f32]>,
        query: &Query,
        settings: Settings,
    ) -> Reasons {
        let document = &self.documents[self.document_of_chunk[hit.chunk as usize] as usize];
        let fused_score = hit.dense_share + hit.lexical_share;
        let reranked = hit.reranked.map(|reranked| ScoreChange {
            because: ChangeReason::Reranked,
            before: fused_score,
            after: reranked.score,
        });
        let successor = self.superseded_by(&document.id, query.audience, query.day);
        let replaced = successor.map(|successor| ScoreChange {
            because: ChangeReason::ReplacedBy(successor.clone()),
            before: hit.reranked.map_or(fused_score, |reranked| reranked.score),
            after: before_spreading,
        });
        let is_lowered = hit.score.to_bits() != before_spreading.to_bits();
        let repeated = is_lowered.then_some(ScoreChange {
            because: ChangeReason::Repetition,
            before: before_spreading,
            after: hit.score,
        });
        Reasons {
            words,
            whole: embedding.map(|embedding| self.dense.cosine(embedding, hit.chunk)),
            best_window: embedding.and_then(|embedding| self.dense.best_window(embedding, hit.chunk)),
            window_share: settings.vectors.window_share,
            lexical_share: hit.lexical_share,
            dense_share: hit.dense_share,
            rerank: hit.reranked.map(|reranked| reranked.logit),
            changes: reranked.into_iter().chain(replaced).chain(repeated).collect(),
        }
    }

    /// Documents that would stand among the first passages if everybody might see everything and nothing was
    /// narrowed.
    fn left_out(
        &self,
        query: &Query,
        question: &QuestionParts,
        settings: Settings,
    ) -> Result<Vec<LeftOut>, RetrievalError> {
        let everything = Allowed::new(self.chunks.len(), |_| true);
        // What may not be shown is not read by a cross-encoder either: places here are those of the fusion.
        let ranked = self.rank(query, question, &everything, settings, None)?.fused;
        let mut left_out: Vec<LeftOut> = Vec::new();
        for (i, hit) in ranked.iter().take(query.top_k).enumerate() {
            let document = &self.documents[self.document_of_chunk[hit.chunk as usize] as usize];
            if left_out.len() == MAX_LEFT_OUT || left_out.iter().any(|left| left.document.id == document.id) {
                continue;
            }
            let because = hidden_because(document, query);
            if !because.is_empty() {
                let document = document.clone();
                left_out.push(LeftOut { document, would_rank: i + 1, would_score: hit.score, because });
            }
        }
        Ok(left_out)
    }

    /// The document of this id, if this audience may see it on this day.
    pub fn document(&self, id: &str, audience: Audience, day: Date) -> Option<Arc<Document>> {
        let document = &self.documents[*self.document_by_id.get(&DocumentId::from(id))? as usize];
        may_see(document, audience, day).then(|| document.clone())
    }

    /// All documents that this audience may see on this day, in order of path.
    pub fn served(&self, audience: Audience, day: Date) -> impl Iterator<Item = &Arc<Document>> {
        self.documents.iter().filter(move |document| may_see(document, audience, day))
    }

    /// All documents, served or not, in order of path. What is shown to anybody comes from [`Index::served`].
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.documents.iter().map(AsRef::as_ref)
    }

    /// The chunks of a document, in order; none for an id that is not there.
    pub fn chunks(&self, id: &DocumentId) -> &[Arc<Chunk>] {
        self.document_by_id
            .get(id)
            .map_or(&[], |document| &self.chunks[self.chunks_of_document[*document as usize].clone()])
    }

    /// The served document that replaces `id` on this day and for this audience, if any.
    pub fn superseded_by(&self, id: &DocumentId, audience: Audience, day: Date) -> Option<&DocumentId> {
        let successors = self.successors.get(id)?;
        successors
            .iter()
            .map(|document| &self.documents[*document as usize])
            .find(|document| document.id != *id && may_see(document, audience, day))
            .map(|document| &document.id)
    }

    /// Sizes and names of this generation.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The words of a text as this index cuts them, stop words left out, in order.
    pub fn words(&self, text: &str) -> Vec<String> {
        self.analyzer.plain_words(text)
    }

    /// The unit vector by which a question is compared with others of its kind.
    ///
    /// # Errors
    /// When the model fails.
    pub fn question_vector(&self, question: &str) -> Result<Vec<f32>, RetrievalError> {
        let corrected = self.corrected(question);
        Ok(self.embedder.embed_query(&simplified(corrected.as_deref().unwrap_or(question)))?)
    }

    /// How near each stretch of a chunk is to a question's vector: bytes of the document's text, and their cosine; the
    /// whole chunk where it has no windows.
    pub fn nearness(&self, question: &[f32], document: &Document, chunk: &Chunk) -> Vec<(Range<usize>, f32)> {
        let Some(number) = self.document_by_id.get(&document.id) else { return Vec::new() };
        let chunks = self.chunks_of_document[*number as usize].clone();
        let Some(number) = chunks.clone().find(|number| self.chunks[*number].id == chunk.id) else {
            return Vec::new();
        };
        let cosines = self.dense.windows(question, number as u32);
        let spans = if cosines.is_empty() {
            Vec::new()
        } else {
            window_spans(chunk.text(document), &|text| self.embedder.count_tokens(text))
        };
        if spans.len() != cosines.len() || spans.is_empty() {
            return vec![(chunk.span.clone(), self.dense.cosine(question, number as u32))];
        }
        let of_text = |span: Range<usize>| chunk.span.start + span.start..chunk.span.start + span.end;
        spans.into_iter().map(of_text).zip(cosines).collect()
    }

    /// The question with words typed by sound put right (`保秀` to `保修`), folded; `None` where nothing was wrong.
    pub fn corrected(&self, question: &str) -> Option<String> {
        let folded = fold_text(question);
        let n_chars = folded.chars().count();
        let mut unknown = vec![false; n_chars];
        let mut word_starts = vec![false; n_chars + 1];
        let mut position = HashMap::new();
        for (i, (byte, _)) in folded.char_indices().enumerate() {
            position.insert(byte, i);
        }
        for (word, span) in self.analyzer.segments(&folded) {
            let n_chars = word.chars().count();
            let first = position[&span.start];
            word_starts[first] = true;
            word_starts[first + n_chars] = true;
            if is_stop_word(word) || (n_chars > 1 && self.lexical.document_frequency(word) > 0) {
                continue;
            }
            unknown[first..first + n_chars].fill(true);
        }
        if !unknown.contains(&true) {
            return None;
        }
        let chars: Vec<char> = folded.chars().collect();
        self.spelling
            .corrected(&chars, &unknown, &word_starts, |word| self.lexical.document_frequency(word) > 0)
    }

    /// How rare a word is in this knowledge, in nats: BM25's inverse document frequency, high for words that stand
    /// nowhere.
    pub fn rarity(&self, word: &str) -> f32 {
        let frequency = self.lexical.document_frequency(word);
        inverse_document_frequency(self.chunks.len(), usize::try_from(frequency).unwrap_or(usize::MAX))
    }

    /// In how many chunks a word stands, as the index cut them.
    pub fn document_frequency(&self, word: &str) -> u64 {
        self.lexical.document_frequency(word)
    }

    /// The `limit` served chunks nearest to `question` by exact search: the reference for the graph's recall.
    ///
    /// # Errors
    /// When the model fails.
    pub fn exact_neighbours(&self, query: &Query) -> Result<Vec<(Arc<Chunk>, f32)>, RetrievalError> {
        // The same vector as the search's own, or the two could not be compared.
        let asked = Query { mode: Mode::Vector, ..query.clone() };
        let Some(embedding) = self.question(&asked)?.embedding else { return Ok(Vec::new()) };
        let depth = self.settings.fusion.depth.max(query.top_k);
        let hits = self.dense.scan(&embedding, &self.allowed(query), depth);
        let hits = self.dense.look_closer(&embedding, hits, self.settings.vectors.window_share);
        let named = hits.into_iter().map(|(chunk, score)| (self.chunks[chunk as usize].clone(), score));
        Ok(named.take(query.top_k).collect())
    }

    /// All terms of `text` as the index cuts it: words, parts of model numbers, bigrams.
    pub fn terms(&self, text: &str) -> HashSet<String> {
        self.analyzer.terms(text).into_iter().map(|term| term.text).collect()
    }

    /// The spellings of one meaning that stand in `question`, as groups of term lists: one group for each synonym
    /// group with a member in the question, one list of words for each member.
    pub fn synonym_groups(&self, question: &str) -> Vec<Vec<Vec<String>>> {
        self.lexical.synonym_groups(question)
    }

    fn question(&self, query: &Query) -> Result<QuestionParts, RetrievalError> {
        let corrected = self.corrected(&query.text);
        let text = corrected.as_deref().unwrap_or(&query.text);
        let terms = self.lexical.query_terms(&self.analyzer, text);
        let embedding = match query.mode {
            Mode::Lexical => None,
            Mode::Hybrid | Mode::Vector => Some(self.embedder.embed_query(&simplified(text))?),
        };
        Ok(QuestionParts { terms, embedding, read_as: corrected })
    }

    fn allowed(&self, query: &Query) -> Allowed {
        let visible = self.visible(query.audience, query.day);
        if query.filters == Filters::default() {
            return visible;
        }
        let passing: Vec<bool> =
            self.documents.iter().map(|document| passes(document, &query.filters)).collect();
        Allowed::new(self.chunks.len(), |chunk| {
            visible.contains(chunk as u32) && passing[self.document_of_chunk[chunk] as usize]
        })
    }

    /// The chunks that a reader may see on a day.
    fn visible(&self, audience: Audience, day: Date) -> Allowed {
        let mut known = self.visible.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, _, visible)) = known.iter().find(|(who, when, _)| (*who, *when) == (audience, day)) {
            return visible.clone();
        }
        let served: Vec<bool> =
            self.documents.iter().map(|document| may_see(document, audience, day)).collect();
        let visible = Allowed::new(self.chunks.len(), |chunk| served[self.document_of_chunk[chunk] as usize]);
        if known.len() >= VISIBLE_KEPT {
            known.pop_front();
        }
        known.push_back((audience, day, visible.clone()));
        visible
    }

    fn rank(
        &self,
        query: &Query,
        question: &QuestionParts,
        allowed: &Allowed,
        settings: Settings,
        reranking: Option<&Reranking>,
    ) -> Result<Ranked, RetrievalError> {
        let depth = settings.fusion.depth.max(query.top_k);
        let window_share = settings.vectors.window_share;
        let (lexical, coverage) = match query.mode {
            Mode::Vector => (Vec::new(), 0.0),
            Mode::Hybrid | Mode::Lexical => {
                let found = self.lexical.search(&question.terms, allowed, depth, settings.lexical);
                found.map_err(RetrievalError::FullText)?
            }
        };
        let dense = match &question.embedding {
            Some(embedding) => {
                let hits = self.dense.search(embedding, allowed, depth);
                self.dense.look_closer(embedding, hits, window_share)
            }
            None => Vec::new(),
        };
        let similarity =
            |chunk| question.embedding.as_ref().map(|e| self.dense.similarity(e, chunk, window_share));
        let mut fused = fuse(&lexical, coverage, &dense, similarity, settings.fusion);
        if let Some(reranking) = reranking {
            let text = simplified(question.read_as.as_deref().unwrap_or(&query.text));
            let text_of = |chunk: u32| {
                let document = &self.documents[self.document_of_chunk[chunk as usize] as usize];
                embedded_text(document, &self.chunks[chunk as usize])
            };
            reranking.apply(&text, &mut fused, text_of, &*self.embedder)?;
        }
        self.step_replaced_back(&mut fused, query);
        Ok(Ranked { balance: Balance::of(&lexical, coverage, &dense, settings.fusion), fused })
    }

    /// A replaced document's passages lose score, and stand behind those of the document that replaces it.
    fn step_replaced_back(&self, fused: &mut [Fused], query: &Query) {
        if self.successors.is_empty() {
            return;
        }
        let mut best_of_document: HashMap<&DocumentId, f32> = HashMap::new();
        for hit in fused.iter() {
            let id = &self.documents[self.document_of_chunk[hit.chunk as usize] as usize].id;
            let best = best_of_document.entry(id).or_insert(hit.score);
            *best = best.max(hit.score);
        }
        let mut changed = false;
        for hit in fused.iter_mut() {
            let id = &self.documents[self.document_of_chunk[hit.chunk as usize] as usize].id;
            if let Some(successor) = self.superseded_by(id, query.audience, query.day) {
                hit.score *= SUPERSEDED_FACTOR;
                if let Some(best) = best_of_document.get(successor) {
                    hit.score = hit.score.min(best * 0.999);
                }
                changed = true;
            }
        }
        if changed {
            fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
        }
    }

    fn passage(
        &self,
        rank: usize,
        hit: &Fused,
        query: &Query,
        embedding: Option<&[f32]>,
        marker: &Arc<Marker>,
    ) -> Passage {
        let chunk = self.chunks[hit.chunk as usize].clone();
        let document = self.documents[self.document_of_chunk[hit.chunk as usize] as usize].clone();
        let superseded_by = self.superseded_by(&document.id, query.audience, query.day).cloned();
        Passage {
            rank,
            score: hit.score,
            scores: Scores {
                lexical: hit.lexical,
                vector: hit.vector,
                whole: embedding.map(|embedding| self.dense.cosine(embedding, hit.chunk)),
                rerank: hit.reranked.map(|reranked| reranked.logit),
            },
            chunk,
            document,
            superseded_by,
            marker: marker.clone(),
        }
    }

    /// Ids of all documents that other served documents replace on this day, for this audience.
    pub fn replaced(&self, audience: Audience, day: Date) -> HashSet<DocumentId> {
        let replaced = self.successors.keys().filter(|id| self.superseded_by(id, audience, day).is_some());
        replaced.cloned().collect()
    }
}

struct QuestionParts {
    terms: QueryTerms,
    embedding: Option<Vec<f32>>,
    /// What of it was put right.
    read_as: Option<String>,
}

struct Ranked {
    balance: Balance,
    fused: Vec<Fused>,
}
