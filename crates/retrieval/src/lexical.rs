//! The lexical side: BM25 over words and bigrams of body, title and keywords, in one tantivy segment.
//!
//! A generation is written once, in chunk order, so tantivy's document number *is* the chunk's index and a set of
//! allowed chunks filters inside the search without any lookup. The terms are made by [`Analyzer`] before tantivy
//! sees them; its query parser would turn an unspaced Chinese question into one phrase.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use flightdeck_corpus::{Chunk, Document};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::directory::MmapDirectory;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Schema, TantivyDocument, TextFieldIndexing, TextOptions};
use tantivy::{DocId, Index, ReloadPolicy, Score, Searcher, SegmentOrdinal, SegmentReader};

use crate::analysis::{Analyzer, Term, TermKind, is_stop_word};
use crate::filter::Allowed;
use crate::sealed::SealedDirectory;
use crate::text::is_han;

/// Terms are joined by spaces and cut there again; tantivy knows this tokenizer by itself.
const TOKENIZER: &str = "whitespace";

/// The parts of a chunk that are searched, with the weight of words and of bigrams in each.
///
/// Chosen by hand: words say a little more than bigrams, title and keywords about half of what the body says.
/// `docs/measurements.md` has what they reach.
const ZONES: [Zone; 3] = [
    Zone { words: "body_words", bigrams: "body_bigrams", word_weight: 1.0, bigram_weight: 0.8 },
    Zone { words: "title_words", bigrams: "title_bigrams", word_weight: 0.6, bigram_weight: 0.4 },
    Zone { words: "keyword_words", bigrams: "keyword_bigrams", word_weight: 0.6, bigram_weight: 0.4 },
];

/// Whole model numbers and quantities count for more than a word of the same rarity.
const CODE_BOOST: f32 = 1.5;
/// What a synonym counts for against the word that was written.
const SYNONYM_BOOST: f32 = 0.4;
/// Terms of a question that are looked up; the rarest would be better, the first are enough and predictable.
const MAX_QUERY_TERMS: usize = 160;

struct Zone {
    words: &'static str,
    bigrams: &'static str,
    word_weight: f32,
    bigram_weight: f32,
}

fn schema() -> Schema {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(TOKENIZER)
        .set_index_option(IndexRecordOption::WithFreqs)
        .set_fieldnorms(true);
    let options = TextOptions::default().set_indexing_options(indexing);
    let mut schema = Schema::builder();
    for zone in &ZONES {
        schema.add_text_field(zone.words, options.clone());
        schema.add_text_field(zone.bigrams, options.clone());
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

fn fields(schema: &Schema) -> [(Field, Field); 3] {
    ZONES.each_ref().map(|zone| {
        let field = |name| schema.get_field(name).expect("the schema is built from the same zones");
        (field(zone.words), field(zone.bigrams))
    })
}

/// The lexical side of an open generation.
pub(crate) struct Lexical {
    searcher: Searcher,
    fields: [(Field, Field); 3],
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
        Ok(Self {
            searcher: reader.searcher(),
            fields: fields(&schema),
            synonyms: Synonyms::new(analyzer, synonyms),
        })
    }

    /// The `limit` best allowed chunks with their scores, best first, equal scores in chunk order.
    pub fn search(
        &self,
        terms: &QueryTerms,
        allowed: &Allowed,
        limit: usize,
    ) -> tantivy::Result<Vec<(u32, f32)>> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (term, boost) in &terms.weighted {
            for (zone, (words, bigrams)) in ZONES.iter().zip(&self.fields) {
                let (field, weight) = match term.kind {
                    TermKind::Bigram => (*bigrams, zone.bigram_weight),
                    TermKind::Word => (*words, zone.word_weight),
                    TermKind::Code => (*words, zone.word_weight * CODE_BOOST),
                };
                let term = tantivy::Term::from_field_text(field, &term.text);
                let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
                clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(query), weight * boost))));
            }
        }
        if clauses.is_empty() {
            return Ok(Vec::new());
        }
        let mut hits = self.searcher.search(&BooleanQuery::new(clauses), &AllowedHits { allowed })?;
        let best_first = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if hits.len() > limit {
            hits.select_nth_unstable_by(limit, best_first);
            hits.truncate(limit);
        }
        hits.sort_unstable_by(best_first);
        Ok(hits)
    }

    /// What of a question is looked up.
    pub fn query_terms(&self, analyzer: &Analyzer, question: &str) -> QueryTerms {
        let terms = analyzer.terms(question);
        let mut weighted: Vec<(Term, f32)> = Vec::new();
        let mut seen: HashMap<(String, TermKind), usize> = HashMap::new();
        let mut add = |term: Term, boost: f32| {
            if is_stop_word(&term.text) || weighted.len() >= MAX_QUERY_TERMS {
                return;
            }
            match seen.entry((term.text.clone(), term.kind)) {
                std::collections::hash_map::Entry::Occupied(entry) => {
                    let known: &mut f32 = &mut weighted[*entry.get()].1;
                    *known = known.max(boost);
                }
                std::collections::hash_map::Entry::Vacant(entry) => {
                    entry.insert(weighted.len());
                    weighted.push((term, boost));
                }
            }
        };
        for term in &terms {
            add(term.clone(), 1.0);
        }
        for term in self.synonyms.of(question) {
            add(term.clone(), SYNONYM_BOOST);
        }
        let texts = weighted.iter().map(|(term, _)| term.text.clone()).collect();
        QueryTerms { weighted, texts }
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
pub(crate) struct QueryTerms {
    weighted: Vec<(Term, f32)>,
    texts: HashSet<String>,
}

impl QueryTerms {
    /// Whether a term of a passage is one that the question asks for.
    pub fn contains(&self, term: &Term) -> bool {
        self.texts.contains(&term.text)
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

/// Collects every allowed hit with its score.
struct AllowedHits<'a> {
    allowed: &'a Allowed,
}

struct SegmentHits {
    allowed: Allowed,
    hits: Vec<(u32, f32)>,
}

impl Collector for AllowedHits<'_> {
    type Fruit = Vec<(u32, f32)>;
    type Child = SegmentHits;

    fn for_segment(&self, _: SegmentOrdinal, _: &SegmentReader) -> tantivy::Result<SegmentHits> {
        Ok(SegmentHits { allowed: self.allowed.clone(), hits: Vec::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<Vec<(u32, f32)>>) -> tantivy::Result<Vec<(u32, f32)>> {
        Ok(fruits.into_iter().flatten().collect())
    }
}

impl SegmentCollector for SegmentHits {
    type Fruit = Vec<(u32, f32)>;

    fn collect(&mut self, chunk: DocId, score: Score) {
        if self.allowed.contains(chunk) {
            self.hits.push((chunk, score));
        }
    }

    fn harvest(self) -> Self::Fruit {
        self.hits
    }
}
