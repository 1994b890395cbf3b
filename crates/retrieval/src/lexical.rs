//! The lexical side: words and bigrams of body, title and keywords, in one tantivy segment or two.
//!
//! Cutting a large folder into words and writing them takes seconds, and most changes concern one document. So a
//! generation takes over the segment of the one before, as it lies on disk, with a table that says which chunk each of
//! its documents is now, if any, and writes a second segment with what is new since. When that has grown too large,
//! one segment is made of all again. Either way a search finds the same with the same scores, to the bit: rarity and
//! lengths are counted over what is there, never over what is gone. The terms are made by [`Analyzer`] before tantivy sees them; its query
//! parser would turn an unspaced Chinese question into one phrase. The score is [`crate::zones`]'s.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use flightdeck_corpus::{Chunk, Document};
use serde::{Deserialize, Serialize};
use tantivy::directory::MmapDirectory;
use tantivy::postings::SegmentPostings;
use tantivy::schema::{Field, IndexRecordOption, Schema, TantivyDocument, TextFieldIndexing, TextOptions};
use tantivy::{DocSet as _, Index, ReloadPolicy, Searcher, TERMINATED};

use crate::analysis::{Analyzer, QuestionTerms, Term, TermKind, is_stop_word};
use crate::cache::{TextKey, keys_from, text_key};
use crate::explain::{AskedWord, Place, WordHit, WordSort};
use crate::filter::Allowed;
use crate::sealed::SealedDirectory;
use crate::text::is_han;
use crate::zones::{GONE, Segment, Zone, Zones};

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

/// Folders of the two segments in a generation's, and the table of chunks.
const WHOLE: &str = "lexical";
const NEWER: &str = "lexical-new";
const CHUNKS: &str = "lexical.chunks";
/// Beside a segment: what each of its documents was made from, how many tokens it has, and the words that the
/// dictionary then knew beyond its own.
const KEYS: &str = "keys";
const LENGTHS: &str = "lengths";
const WORDS: &str = "words.json";

/// A second segment may hold so many chunks whatever the first holds, and a sixteenth of all above that.
const LEAST_NEWER: usize = 1000;
/// Words that came or went since the first segment was written, beyond which it is written anew.
const MOST_WORDS: usize = 32;

/// What a generation takes over from the one before, and what it writes.
pub(crate) enum Plan {
    /// One segment of everything.
    Whole,
    /// The segment that is there, and a second one.
    Newer {
        /// For each document of the first segment its chunk now, or [`GONE`].
        chunks_of_whole: Vec<u32>,
        /// The chunks of the second segment, rising.
        newer: Vec<u32>,
    },
}

/// How the next generation of these chunks is written after `previous`.
pub(crate) fn plan(previous: &Lexical, analyzer: &Analyzer, chunks: &[(&Chunk, &Document)]) -> Plan {
    let (known, now) = (&previous.words_of_whole, analyzer.words());
    let other_words: Vec<&String> = known
        .iter()
        .filter(|word| now.binary_search(word).is_err())
        .chain(now.iter().filter(|word| known.binary_search(word).is_err()))
        .collect();
    if other_words.len() > MOST_WORDS {
        return Plan::Whole;
    }
    let most_newer = LEAST_NEWER.max(chunks.len() / 16);
    let n_whole = previous.keys_of_whole.len();
    let mut documents_of_key: HashMap<&TextKey, Vec<u32>> = HashMap::with_capacity(n_whole);
    for (document, key) in previous.keys_of_whole.iter().enumerate().rev() {
        documents_of_key.entry(key).or_default().push(document as u32);
    }
    let mut chunks_of_whole = vec![GONE; n_whole];
    let mut newer = Vec::new();
    for (chunk_idx, (chunk, document)) in chunks.iter().enumerate() {
        let texts = zone_texts(chunk, document);
        // A word that the dictionary learnt or forgot may be cut otherwise wherever it stands, and nowhere else.
        let is_cut_otherwise = !other_words.is_empty() && {
            let folded = texts.each_ref().map(|text| crate::text::fold_text(text));
            other_words.iter().any(|word| folded.iter().any(|text| text.contains(word.as_str())))
        };
        let known = documents_of_key.get_mut(&key_of(&texts)).filter(|_| !is_cut_otherwise);
        match known.and_then(Vec::pop) {
            Some(document) => chunks_of_whole[document as usize] = chunk_idx as u32,
            None => newer.push(chunk_idx as u32),
        }
        if newer.len() > most_newer {
            return Plan::Whole;
        }
    }
    let n_gone = chunks_of_whole.iter().filter(|chunk| **chunk == GONE).count();
    if n_gone > LEAST_NEWER.max(n_whole / 4) { Plan::Whole } else { Plan::Newer { chunks_of_whole, newer } }
}

/// Writes the lexical side of a generation into its folder `dir`; with [`Plan::Newer`] its first segment must be there
/// already ([`is_taken_over`]).
pub(crate) fn write(
    dir: &Path,
    analyzer: &Analyzer,
    chunks: &[(&Chunk, &Document)],
    plan: &Plan,
) -> tantivy::Result<()> {
    let (chunks_of_whole, newer) = match plan {
        Plan::Whole => {
            write_segment(&dir.join(WHOLE), analyzer, chunks.iter().copied())?;
            ((0..chunks.len() as u32).collect(), Vec::new())
        }
        Plan::Newer { chunks_of_whole, newer } => {
            if !newer.is_empty() {
                let chunks = newer.iter().map(|chunk| chunks[*chunk as usize]);
                write_segment(&dir.join(NEWER), analyzer, chunks)?;
            }
            (chunks_of_whole.clone(), newer.clone())
        }
    };
    let table: Vec<u8> = [chunks_of_whole.len() as u32]
        .iter()
        .chain(&chunks_of_whole)
        .chain(&newer)
        .flat_map(|number| number.to_le_bytes())
        .collect();
    write_bytes(&dir.join(CHUNKS), &table)
}

/// Whether a generation that is written by `plan` has this file, named from its folder, from the generation before.
pub(crate) fn is_taken_over(plan: &Plan, name: &str) -> bool {
    matches!(plan, Plan::Newer { .. }) && name.strip_prefix(WHOLE).is_some_and(|rest| rest.starts_with('/'))
}

/// Writes a segment of these chunks into the folder `dir`, in order.
fn write_segment<'a>(
    dir: &Path,
    analyzer: &Analyzer,
    chunks: impl Iterator<Item = (&'a Chunk, &'a Document)>,
) -> tantivy::Result<()> {
    std::fs::create_dir_all(dir)?;
    let schema = schema();
    let fields = fields(&schema);
    let directory = MmapDirectory::open(dir)?;
    let mut writer = Index::builder()
        .schema(schema)
        .single_segment_index_writer::<TantivyDocument>(directory, 256 << 20)?;
    let (mut keys, mut lengths) = (Vec::new(), Vec::new());
    for (chunk, document) in chunks {
        let texts = zone_texts(chunk, document);
        keys.extend(key_of(&texts));
        let mut row = TantivyDocument::new();
        for (zone, ((words, bigrams), text)) in fields.iter().zip(texts).enumerate() {
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
            if zone == 0 {
                let n_tokens = [&word_text, &bigram_text].map(|text| text.split_whitespace().count() as u32);
                lengths.extend(n_tokens.into_iter().flat_map(u32::to_le_bytes));
            }
            row.add_text(*words, word_text);
            row.add_text(*bigrams, bigram_text);
        }
        writer.add_document(row)?;
    }
    writer.finalize()?;
    write_bytes(&dir.join(KEYS), &keys)?;
    write_bytes(&dir.join(LENGTHS), &lengths)?;
    let words = serde_json::to_vec(analyzer.words()).expect("a list of words is JSON");
    write_bytes(&dir.join(WORDS), &words)
}

fn write_bytes(path: &Path, bytes: &[u8]) -> tantivy::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(())
}

/// Of text, title and keywords, in the order of [`FIELDS`].
fn zone_texts(chunk: &Chunk, document: &Document) -> [String; 3] {
    [chunk.shown(document), title_zone(chunk, document), keyword_zone(document)]
}

fn key_of(texts: &[String; 3]) -> TextKey {
    text_key(&texts.join("\0"))
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
    segments: Vec<OpenSegment>,
    /// What the documents of the first segment were made from.
    keys_of_whole: Vec<TextKey>,
    /// What the dictionary knew beyond its own when the first segment was written, sorted.
    words_of_whole: Vec<String>,
    fields: [(Field, Field); 3],
    words: Zones,
    bigrams: Zones,
    synonyms: Synonyms,
}

struct OpenSegment {
    searcher: Searcher,
    /// For each document its chunk, or [`GONE`].
    chunks: Arc<[u32]>,
    has_gone: bool,
}

impl OpenSegment {
    /// In how many chunks of this segment a term stands.
    fn document_frequency(&self, term: &tantivy::Term) -> tantivy::Result<u64> {
        if !self.has_gone {
            return self.searcher.doc_freq(term);
        }
        let mut frequency = 0;
        for reader in self.searcher.segment_readers() {
            if let Some(postings) =
                reader.inverted_index(term.field())?.read_postings(term, IndexRecordOption::Basic)?
            {
                frequency += self.n_there(postings);
            }
        }
        Ok(frequency)
    }

    fn n_there(&self, mut postings: SegmentPostings) -> u64 {
        let mut n = 0;
        while postings.doc() != TERMINATED {
            n += u64::from(self.chunks[postings.doc() as usize] != GONE);
            postings.advance();
        }
        n
    }
}

impl Lexical {
    /// Opens the lexical side of the generation in `dir`, which has `n_chunks` chunks.
    pub fn open(
        dir: &Path,
        n_chunks: usize,
        analyzer: &Analyzer,
        synonyms: &[Vec<String>],
    ) -> tantivy::Result<Self> {
        let misfit = |what: &str| tantivy::TantivyError::InvalidArgument(what.to_owned());
        let table = numbers(&std::fs::read(dir.join(CHUNKS))?);
        let (n_whole, table) = table.split_first().ok_or_else(|| misfit("no table of chunks"))?;
        let (whole, newer) = table
            .split_at_checked(*n_whole as usize)
            .ok_or_else(|| misfit("the table of chunks is short"))?;
        let mut is_there = vec![false; n_chunks];
        for chunk in whole.iter().chain(newer).filter(|chunk| **chunk != GONE) {
            match is_there.get_mut(*chunk as usize) {
                Some(is_there) if !*is_there => *is_there = true,
                _ => return Err(misfit("the table of chunks names one twice, or one that is not there")),
            }
        }
        if is_there.contains(&false) {
            return Err(misfit("the table of chunks leaves some out"));
        }
        let mut segments = Vec::new();
        let mut n_tokens = [0_u64; 2];
        for (name, chunks) in [(WHOLE, whole), (NEWER, newer)] {
            if name == NEWER && chunks.is_empty() {
                continue;
            }
            let folder = dir.join(name);
            let index = Index::open(SealedDirectory::open(&folder)?)?;
            if index.schema() != schema() {
                return Err(tantivy::TantivyError::SchemaError("written by another version".to_owned()));
            }
            let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
            let searcher = reader.searcher();
            let lengths = numbers(&std::fs::read(folder.join(LENGTHS))?);
            if searcher.num_docs() != chunks.len() as u64 || lengths.len() != 2 * chunks.len() {
                return Err(misfit("a segment is of another number of chunks than the table"));
            }
            for (chunk, lengths) in chunks.iter().zip(lengths.chunks_exact(2)) {
                if *chunk != GONE {
                    n_tokens[0] += u64::from(lengths[0]);
                    n_tokens[1] += u64::from(lengths[1]);
                }
            }
            segments.push(OpenSegment { searcher, chunks: chunks.into(), has_gone: chunks.contains(&GONE) });
        }
        let fields = fields(&schema());
        let zones = |field: fn(&(Field, Field)) -> Field, n_tokens: u64| {
            let zones: Vec<_> =
                fields.iter().zip(FIELDS).map(|(pair, (.., zone))| (field(pair), zone)).collect();
            let segments =
                segments.iter().map(|open| Segment { searcher: &open.searcher, chunks: &open.chunks });
            Zones::open(segments, &zones, n_tokens, n_chunks)
        };
        let keys = std::fs::read(dir.join(WHOLE).join(KEYS))?;
        let words = std::fs::read(dir.join(WHOLE).join(WORDS))?;
        Ok(Self {
            words: zones(|pair| pair.0, n_tokens[0])?,
            bigrams: zones(|pair| pair.1, n_tokens[1])?,
            segments,
            keys_of_whole: keys_from(&keys),
            words_of_whole: serde_json::from_slice(&words).map_err(|_| misfit("the words cannot be read"))?,
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
            if idx < terms.n_expected {
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
        let QuestionTerms { expected, accidental } = analyzer.question_terms(question);
        for term in expected {
            terms.add(&term, 1.0, |known, boost| known + boost);
        }
        terms.n_expected = terms.weighted.len();
        for term in accidental {
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

    /// Every word of two Chinese characters or more with the number of chunks it stands in, for each part of a chunk
    /// on its own.
    pub fn chinese_words(&self) -> tantivy::Result<Vec<(String, u64)>> {
        let mut words = Vec::new();
        for (field, _) in &self.fields {
            let mut frequencies: HashMap<String, u64> = HashMap::new();
            for segment in &self.segments {
                for reader in segment.searcher.segment_readers() {
                    let inverted = reader.inverted_index(*field)?;
                    let mut terms = inverted.terms().stream()?;
                    while terms.advance() {
                        let Ok(word) = std::str::from_utf8(terms.key()) else { continue };
                        if word.chars().nth(1).is_none() || !word.chars().all(is_han) {
                            continue;
                        }
                        let frequency = if segment.has_gone {
                            let option = IndexRecordOption::Basic;
                            segment.n_there(inverted.read_postings_from_terminfo(terms.value(), option)?)
                        } else {
                            u64::from(terms.value().doc_freq)
                        };
                        if frequency > 0 {
                            *frequencies.entry(word.to_owned()).or_default() += frequency;
                        }
                    }
                }
            }
            words.extend(frequencies);
        }
        Ok(words)
    }

    /// In how many chunks' bodies, titles or keywords (the largest of the three) a word stands.
    pub fn document_frequency(&self, word: &str) -> u64 {
        let frequency = |field: Field| -> u64 {
            let term = tantivy::Term::from_field_text(field, word);
            self.segments.iter().map(|segment| segment.document_frequency(&term).unwrap_or(0)).sum()
        };
        self.fields
            .iter()
            .map(|(words, bigrams)| frequency(*words).max(frequency(*bigrams)))
            .max()
            .unwrap_or(0)
    }
}

/// The little-endian numbers that stand one after the other in a file.
pub(crate) fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().expect("chunks of four"))).collect()
}

/// The terms of one question, with their weights.
#[derive(Default)]
pub(crate) struct QueryTerms {
    /// Those that stand in the question come first, and of these those that a passage that answers would have.
    weighted: Vec<(Term, f32)>,
    n_expected: usize,
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
