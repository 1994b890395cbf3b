//! The lexical side: words and bigrams of body, title and keywords, in one tantivy segment.
//!
//! A generation is written once, in chunk order, so tantivy's document number *is* the chunk's index and a set of
//! allowed chunks filters without any lookup. The terms are made by [`Analyzer`] before tantivy sees them; its query
//! parser would turn an unspaced Chinese question into one phrase. The score is [`crate::zones`]'s.

use std::collections::HashMap;
use std::path::Path;

use flightdeck_corpus::{Chunk, Document};
use serde::{Deserialize, Serialize};
use tantivy::directory::MmapDirectory;
use tantivy::schema::{Field, IndexRecordOption, Schema, TantivyDocument, TextFieldIndexing, TextOptions};
use tantivy::{Index, ReloadPolicy, Searcher};

use crate::analysis::{Analyzer, Term, TermKind, is_stop_word};
use crate::explain::{AskedWord, Place, WordHit, WordSort};
use crate::filter::Allowed;
use crate::sealed::SealedDirectory;
use crate::text::is_han;
use crate::zones::{Zone, Zones};

/// Terms are joined by spaces and cut there again; tantivy knows this tokenizer by itself.
const TOKENIZER: &str = "whitespace";

/// The parts of a chunk that are searched: the fields of their words and of their bigrams.
const FIELDS: [(&str, &str, Zone); 3] = [
    ("body_words", "body_bigrams", Zone::Text),
    ("title_words", "title_bigrams", Zone::Label),
    ("keyword_words", "keyword_bigrams", Zone::Label),
];

/// What the parts of the lexical score count for. A word in a text without repetition counts 1; 0 leaves a part out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LexicalSettings {
    /// A word in the title or a heading.
    pub title_weight: f32,
    /// A word among keywords, tags and profile.
    pub keyword_weight: f32,
    /// A pair of Chinese characters against a word of the same rarity.
    pub bigram_weight: f32,
}

impl Default for LexicalSettings {
    fn default() -> Self {
        Self { title_weight: 1.5, keyword_weight: 0.9, bigram_weight: 0.8 }
    }
}
/// Whole model numbers and quantities count for more than a word of the same rarity.
const CODE_BOOST: f32 = 1.5;
/// What a synonym counts for against the word that was written.
const SYNONYM_BOOST: f32 = 0.4;
/// Terms of a question that are looked up; the rarest would be better, the first are enough and predictable.
const MAX_QUERY_TERMS: usize = 160;

fn schema() -> Schema {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    let options = TextOptions::default().set_indexing_options(indexing);
    let mut schema = Schema::builder();
    for (words, bigrams, _) in FIELDS {
        schema.add_text_field(words, options.clone());
        schema.add_text_field(bigrams, options.clone());
    }
    schema.build()
}

/// Writes the lexical index of all chunks into the empty folder `dir`, in order.
pub(crate) fn write<'a>(
    dir: &Path,
    analyzer: &Analyzer,
    chunks: impl Iterator<Item = (&'a Chunk, &'a Document)>,
) -> tantivy::Result<()> {
    let schema = schema();
    let fields = fields(&schema);
    let directory = MmapDirectory::open(dir)?;
    let mut writer = Index::builder()
        .schema(schema)
        .single_segment_index_writer::<TantivyDocument>(directory, 256 << 20)?;
    for (chunk, document) in chunks {
        let mut row = TantivyDocument::new();
        let body = chunk.shown(document);
        let title = title_zone(chunk, document);
        let keywords = keyword_zone(document);
        for ((words, bigrams), text) in fields.iter().zip([body, title, keywords]) {
            let mut word_text = String::new();
            let mut bigram_text = String::new();
            for term in analyzer.terms(&text) {
                let target = match term.kind {
                    TermKind::Bigram => &mut bigram_text,
                    TermKind::Word | TermKind::Code => &mut word_text,
                };
                target.push_str(&term.text);
                target.push(' ');
            }
            row.add_text(*words, word_text);
            row.add_text(*bigrams, bigram_text);
        }
        writer.add_document(row)?;
    }
    writer.finalize()?;
    Ok(())
}

fn title_zone(chunk: &Chunk, document: &Document) -> String {
    let mut title = document.title.clone();
    for heading in &chunk.location.heading {
        title.push('\n');
        title.push_str(heading);
    }
    title
}

fn keyword_zone(document: &Document) -> String {
    let profile = &document.profile;
    let lists = [&document.keywords, &document.tags, &profile.product, &profile.industry, &profile.scenario];
    let mut keywords = String::new();
    for value in lists.into_iter().flatten().chain(&profile.region).chain(&profile.company_size) {
        keywords.push_str(value);
        keywords.push('\n');
    }
    keywords
}

/// Of text, title and keywords, in the order of [`FIELDS`].
fn zone_weights(settings: LexicalSettings) -> [f32; 3] {
    [1.0, settings.title_weight, settings.keyword_weight]
}

fn fields(schema: &Schema) -> [(Field, Field); 3] {
    FIELDS.map(|(words, bigrams, _)| {
        let field = |name| schema.get_field(name).expect("the schema is built from the same fields");
        (field(words), field(bigrams))
    })
}

/// The lexical side of an open generation.
pub(crate) struct Lexical {
    searcher: Searcher,
    fields: [(Field, Field); 3],
    words: Zones,
    bigrams: Zones,
    synonyms: Synonyms,
}

impl Lexical {
    pub fn open(dir: &Path, analyzer: &Analyzer, synonyms: &[Vec<String>]) -> tantivy::Result<Self> {
        let index = Index::open(SealedDirectory::open(dir)?)?;
        let schema = index.schema();
        if schema != self::schema() {
            return Err(tantivy::TantivyError::SchemaError("written by another version".to_owned()));
        }
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        let searcher = reader.searcher();
        let fields = fields(&schema);
        let zones = |field: fn(&(Field, Field)) -> Field| {
            Zones::open(&searcher, fields.iter().zip(FIELDS).map(|(pair, (.., zone))| (field(pair), zone)))
        };
        Ok(Self {
            words: zones(|pair| pair.0)?,
            bigrams: zones(|pair| pair.1)?,
            searcher,
            fields,
            synonyms: Synonyms::new(analyzer, synonyms),
        })
    }

    /// The `limit` best allowed chunks with their scores, best first, equal scores in chunk order; and how much of
    /// the question they cover.
    pub fn search(
        &self,
        terms: &QueryTerms,
        allowed: &Allowed,
        limit: usize,
        settings: LexicalSettings,
    ) -> tantivy::Result<(Vec<(u32, f32)>, f32)> {
        let zone_weights = zone_weights(settings);
        let mut full = 0.0;
        let mut scores = vec![0.0; self.words.n_chunks()];
        for (idx, (term, boost)) in terms.weighted.iter().enumerate() {
            let (zones, weight) = self.zones_of(term.kind, settings);
            let worth = zones.add(&term.text, weight * boost, &zone_weights, &mut scores)?;
            if idx < terms.n_written {
                full += worth;
            }
        }
        let by_chunk = scores.into_iter().enumerate().map(|(chunk, score)| (chunk as u32, score));
        let mut hits: Vec<(u32, f32)> =
            by_chunk.filter(|&(chunk, score)| score > 0.0 && allowed.contains(chunk)).collect();
        let best_first = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if hits.len() > limit {
            hits.select_nth_unstable_by(limit, best_first);
            hits.truncate(limit);
        }
        hits.sort_unstable_by(best_first);
        let coverage = hits.first().map_or(0.0, |best| best.1 / full.max(f32::MIN_POSITIVE));
        Ok((hits, coverage))
    }

    fn zones_of(&self, kind: TermKind, settings: LexicalSettings) -> (&Zones, f32) {
        match kind {
            TermKind::Bigram => (&self.bigrams, settings.bigram_weight),
            TermKind::Word => (&self.words, 1.0),
            TermKind::Code => (&self.words, CODE_BOOST),
        }
    }

    /// What every term of a question is worth, and for each of `chunks`, which must rise, where it counts. What
    /// [`Lexical::search`] gives a chunk is the sum of [`WordHit::adds`] in this order.
    pub fn explain(
        &self,
        terms: &QueryTerms,
        chunks: &[u32],
        settings: LexicalSettings,
    ) -> tantivy::Result<(Vec<AskedWord>, Vec<Vec<WordHit>>)> {
        let zone_weights = zone_weights(settings);
        let mut asked = Vec::with_capacity(terms.weighted.len());
        let mut hits = vec![Vec::new(); chunks.len()];
        for (idx, (term, boost)) in terms.weighted.iter().enumerate() {
            let (zones, weight) = self.zones_of(term.kind, settings);
            let worth = zones.explain(&term.text, weight * boost, &zone_weights, chunks)?;
            for (hits, found) in hits.iter_mut().zip(&worth.found) {
                if let Some((zone, count)) = *found {
                    hits.push(WordHit {
                        word: idx,
                        place: Place::ALL[zone],
                        count: count / zone_weights[zone],
                        place_weight: zone_weights[zone],
                        adds: worth.weight * count,
                    });
                }
            }
            asked.push(AskedWord {
                text: term.text.clone(),
                sort: match term.kind {
                    TermKind::Word => WordSort::Word,
                    TermKind::Code => WordSort::Code,
                    TermKind::Bigram => WordSort::Pair,
                },
                is_synonym: idx >= terms.n_written,
                rarity: worth.rarity,
                weight: worth.weight,
                n_chunks: worth.n_with_term,
            });
        }
        Ok((asked, hits))
    }

    /// What of a question is looked up. What it says twice counts twice; a synonym never adds to a word that was
    /// written.
    pub fn query_terms(&self, analyzer: &Analyzer, question: &str) -> QueryTerms {
        let mut terms = QueryTerms::default();
        for term in analyzer.terms(question) {
            terms.add(&term, 1.0, |known, boost| known + boost);
        }
        terms.n_written = terms.weighted.len();
        for term in self.synonyms.of(question) {
            terms.add(term, SYNONYM_BOOST, f32::max);
        }
        terms
    }

    /// For each synonym group with a member in the question, the words of every member.
    pub fn synonym_groups(&self, question: &str) -> Vec<Vec<Vec<String>>> {
        let question = crate::text::fold_text(question);
        let words = |terms: &[Term]| -> Vec<String> {
            terms.iter().filter(|t| t.kind != TermKind::Bigram).map(|t| t.text.clone()).collect()
        };
        self.synonyms
            .groups
            .iter()
            .filter(|group| group.iter().any(|(word, _)| stands_in(&question, word)))
            .map(|group| group.iter().map(|(_, terms)| words(terms)).collect())
            .collect()
    }

    /// Every word of two Chinese characters or more with the number of chunks it stands in.
    pub fn chinese_words(&self) -> tantivy::Result<Vec<(String, u64)>> {
        let mut words = Vec::new();
        for reader in self.searcher.segment_readers() {
            for (field, _) in &self.fields {
                let inverted = reader.inverted_index(*field)?;
                let mut terms = inverted.terms().stream()?;
                while terms.advance() {
                    let Ok(word) = std::str::from_utf8(terms.key()) else { continue };
                    if word.chars().nth(1).is_some() && word.chars().all(is_han) {
                        words.push((word.to_owned(), u64::from(terms.value().doc_freq)));
                    }
                }
            }
        }
        Ok(words)
    }

    /// In how many chunks' bodies, titles or keywords (the largest of the three) a word stands.
    pub fn document_frequency(&self, word: &str) -> u64 {
        let frequency =
            |field: Field| self.searcher.doc_freq(&tantivy::Term::from_field_text(field, word)).unwrap_or(0);
        self.fields
            .iter()
            .map(|(words, bigrams)| frequency(*words).max(frequency(*bigrams)))
            .max()
            .unwrap_or(0)
    }
}

/// The terms of one question, with their weights.
#[derive(Default)]
pub(crate) struct QueryTerms {
    /// Those that stand in the question come first.
    weighted: Vec<(Term, f32)>,
    n_written: usize,
    places: HashMap<String, Vec<usize>>,
}

impl QueryTerms {
    /// Whether a term of a passage is one that the question asks for.
    pub fn contains(&self, term: &Term) -> bool {
        self.places.contains_key(&term.text)
    }

    /// Adds a term, or joins its weight with that of the same term before.
    fn add(&mut self, term: &Term, boost: f32, join: fn(f32, f32) -> f32) {
        if is_stop_word(&term.text) || self.weighted.len() >= MAX_QUERY_TERMS {
            return;
        }
        let places = self.places.entry(term.text.clone()).or_default();
        if let Some(&place) = places.iter().find(|place| self.weighted[**place].0.kind == term.kind) {
            self.weighted[place].1 = join(self.weighted[place].1, boost);
        } else {
            places.push(self.weighted.len());
            self.weighted.push((term.clone(), boost));
        }
    }
}

/// Groups of words that mean the same, matched as they stand in a question.
struct Synonyms {
    groups: Vec<Vec<(String, Vec<Term>)>>,
}

impl Synonyms {
    fn new(analyzer: &Analyzer, groups: &[Vec<String>]) -> Self {
        let groups = groups
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|word| (crate::text::fold_text(word.trim()), analyzer.terms(word.trim())))
                    .filter(|(folded, _)| !folded.is_empty())
                    .collect()
            })
            .collect();
        Self { groups }
    }

    /// The terms of all words whose group has another word standing in the question.
    fn of(&self, question: &str) -> impl Iterator<Item = &Term> {
        let question = crate::text::fold_text(question);
        self.groups
            .iter()
            .filter(move |group| group.iter().any(|(word, _)| stands_in(&question, word)))
            .flatten()
            .flat_map(|(_, terms)| terms)
    }
}

/// Whether `word` stands in `text`; a Latin word only as a whole.
fn stands_in(text: &str, word: &str) -> bool {
    let latin = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !(latin(before) && latin(word.chars().next()) || latin(after) && latin(word.chars().next_back()))
    })
}
