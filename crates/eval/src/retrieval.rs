//! Retrieval sets: an index of ready-made passages, all queries asked one after another, the usual four measures.
//!
//! The index lies in a folder named after what it is made of (passages, model, vector settings), so that a second run over
//! the same set opens it and embeds nothing, and two sets never share one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flightdeck_corpus::{Audience, Chunk, ChunkId, Corpus, Document, DocumentId, Kind, Location};
use flightdeck_models::Embedder;
use flightdeck_retrieval::{Access, Filters, Index, Mode, Progress, Query, Reranking, Settings, Store};
use jiff::civil::Date;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::metrics::{Judgements, mean, ndcg_at, recall_at, reciprocal_rank_at};
use crate::{EvalError, Latency, Passage, Qrels, Topic};

/// How deep rankings go: as deep as Recall@100 looks.
const DEPTH: usize = 100;

/// The measures of one run; the names are the contract's.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Mean of [`ndcg_at`] 10.
    pub ndcg_at_10: f64,
    /// Mean of [`reciprocal_rank_at`] 10.
    pub mrr_at_10: f64,
    /// Mean of [`recall_at`] 10.
    pub recall_at_10: f64,
    /// Mean of [`recall_at`] 100.
    pub recall_at_100: f64,
    /// Queries asked: those with at least one relevant passage.
    pub queries: usize,
    /// Passages searched.
    pub passages: usize,
    /// Of single queries, embedding of the query included.
    pub latency_ms: Latency,
    /// Time to make the index, or to open it where it was there, in s.
    pub index_seconds: f64,
    /// Passages embedded in this run; the others' vectors were known.
    pub embedded: usize,
    /// Which sides answered.
    pub mode: Mode,
    /// nDCG@10 of each query in the order of the rankings, for comparisons of two runs.
    #[serde(skip)]
    pub ndcg_of_queries: Vec<f64>,
    /// What was found.
    #[serde(skip)]
    pub rankings: Vec<Ranking>,
}

/// What one query found.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking {
    /// The query's id.
    pub query: String,
    /// Passages with their scores, best first.
    pub hits: Vec<(String, f32)>,
}

/// What to evaluate, and with what.
pub struct Task<'a> {
    /// All passages.
    pub passages: &'a [Passage],
    /// All queries; those without a relevant passage in `qrels` are left out.
    pub topics: &'a [Topic],
    /// The judgements.
    pub qrels: &'a Qrels,
    /// Which sides answer.
    pub mode: Mode,
    /// Folder for indexes of question sets; one folder a set is made below it.
    pub cache: &'a Path,
    /// The model.
    pub embedder: Arc<dyn Embedder>,
    /// Fusion and vector search.
    pub settings: Settings,
    /// A cross-encoder that reads the first passages, if one does.
    pub reranking: Option<Reranking>,
    /// Day of all queries; passages have no dates, so any will do.
    pub day: Date,
}

/// One way to rank.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// What it is, in a word or two.
    pub name: &'static str,
    /// Which sides answer.
    pub mode: Mode,
    /// By what weights.
    pub settings: Settings,
    /// What the task's cross-encoder weighs, 0 to 1; `None` leaves it out.
    pub rerank_weight: Option<f32>,
}

/// Makes or opens the index, asks every query once and measures. `progress` may return `false` to stop indexing.
///
/// # Errors
/// As [`EvalError`]; also when no query has a relevant passage.
pub fn evaluate(task: &Task<'_>, progress: &(dyn Fn(Progress) -> bool + Sync)) -> Result<Report, EvalError> {
    let rerank_weight = task.reranking.as_ref().map(|reranking| reranking.weight);
    let only = Variant { name: "", mode: task.mode, settings: task.settings, rerank_weight };
    evaluate_all(task, &[only], progress).map(|mut reports| reports.remove(0))
}

/// As [`evaluate`], by every variant over one index, which the task's own settings make; the task's mode is not used.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_all(
    task: &Task<'_>,
    variants: &[Variant],
    progress: &(dyn Fn(Progress) -> bool + Sync),
) -> Result<Vec<Report>, EvalError> {
    let started = Instant::now();
    let folder = cache_folder(task.cache, &*task.embedder, task.settings, task.passages);
    let store = Store::open_with(&folder, Access::Write, task.embedder.clone(), task.settings)?;
    let mut embedded = 0;
    if store.current().is_none() {
        embedded = store.publish(&corpus_of(task.passages), progress)?.embedded;
    }
    let index = store.current().ok_or(EvalError::NoIndex)?;
    let index_seconds = started.elapsed().as_secs_f64();

    let judged: Vec<(&Topic, &Judgements)> = task
        .topics
        .iter()
        .filter_map(|topic| Some((topic, task.qrels.get(&topic.id)?)))
        .filter(|(_, judgements)| judgements.values().any(|&gain| gain > 0))
        .collect();
    if judged.is_empty() {
        let reason = "no query has a relevant passage in the judgements".to_owned();
        return Err(EvalError::Empty { path: PathBuf::from("qrels"), reason });
    }
    let mut rankings: Vec<Vec<Ranking>> = vec![Vec::with_capacity(judged.len()); variants.len()];
    let mut took: Vec<Vec<Duration>> = vec![Vec::with_capacity(judged.len()); variants.len()];
    for (topic, _) in &judged {
        // The model remembers the last questions; what follows the first would look faster than it is.
        let embedding = if variants.len() > 1 { embedding_time(task, topic)? } else { Duration::ZERO };
        for (idx, variant) in variants.iter().enumerate() {
            let (ranking, time) = ask(&index, topic, task, variant)?;
            rankings[idx].push(ranking);
            took[idx].push(time + if variant.mode == Mode::Lexical { Duration::ZERO } else { embedding });
        }
    }
    let reports = variants.iter().zip(rankings).zip(took).map(|((variant, rankings), took)| {
        let judgements = judged.iter().map(|(_, judgements)| *judgements);
        measure(rankings, judgements, Latency::of(&took), (task, variant.mode), index_seconds, embedded)
    });
    Ok(reports.collect())
}

fn embedding_time(task: &Task<'_>, topic: &Topic) -> Result<Duration, EvalError> {
    let started = Instant::now();
    task.embedder.embed_query(&topic.text).map_err(flightdeck_retrieval::RetrievalError::Model)?;
    Ok(started.elapsed())
}

fn ask(
    index: &Index,
    topic: &Topic,
    task: &Task<'_>,
    variant: &Variant,
) -> Result<(Ranking, Duration), EvalError> {
    let weighed = |weight| task.reranking.clone().map(|reranking| Reranking { weight, ..reranking });
    let reranking = variant.rerank_weight.and_then(weighed);
    let query = Query {
        text: topic.text.clone(),
        audience: Audience::Customer,
        day: task.day,
        filters: Filters::default(),
        mode: variant.mode,
        top_k: DEPTH,
    };
    let started = Instant::now();
    let passages = index.search_reranked(&query, variant.settings, reranking.as_ref())?;
    let took = started.elapsed();
    let hits = passages.iter().map(|passage| (passage.document.id.to_string(), passage.score)).collect();
    Ok((Ranking { query: topic.id.clone(), hits }, took))
}

fn measure<'a>(
    rankings: Vec<Ranking>,
    judgements: impl Iterator<Item = &'a Judgements>,
    latency_ms: Latency,
    (task, mode): (&Task<'_>, Mode),
    index_seconds: f64,
    embedded: usize,
) -> Report {
    let (mut ndcg, mut reciprocal) = (Vec::new(), Vec::new());
    let (mut recall_10, mut recall_100) = (Vec::new(), Vec::new());
    for (ranking, judgements) in rankings.iter().zip(judgements) {
        let ids: Vec<&str> = ranking.hits.iter().map(|(id, _)| id.as_str()).collect();
        ndcg.push(ndcg_at(10, &ids, judgements));
        reciprocal.push(reciprocal_rank_at(10, &ids, judgements));
        recall_10.push(recall_at(10, &ids, judgements));
        recall_100.push(recall_at(100, &ids, judgements));
    }
    Report {
        ndcg_at_10: mean(&ndcg),
        mrr_at_10: mean(&reciprocal),
        recall_at_10: mean(&recall_10),
        recall_at_100: mean(&recall_100),
        queries: rankings.len(),
        passages: task.passages.len(),
        latency_ms,
        index_seconds,
        embedded,
        mode,
        ndcg_of_queries: ndcg,
        rankings,
    }
}

/// The folder of this set's index: its name changes with everything that the index depends on.
pub(crate) fn cache_folder(
    cache: &Path,
    embedder: &dyn Embedder,
    settings: Settings,
    passages: &[Passage],
) -> PathBuf {
    let mut hasher = Sha256::new();
    let mut part = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    part(env!("CARGO_PKG_VERSION"));
    part(embedder.id());
    part(&format!("{:?}", settings.vectors));
    for passage in passages {
        part(&passage.id);
        part(&passage.title);
        part(&passage.text);
    }
    let digest = hasher.finalize();
    let name = u64::from_be_bytes(*digest.first_chunk().expect("SHA-256 has 32 bytes"));
    cache.join(format!("{name:016x}"))
}

/// Each passage as a public document of one chunk.
pub(crate) fn corpus_of(passages: &[Passage]) -> Corpus {
    let mut seen = HashSet::new();
    let mut corpus = Corpus::default();
    for passage in passages.iter().filter(|passage| seen.insert(passage.id.as_str())) {
        let id = DocumentId::from(passage.id.as_str());
        corpus.chunks.push(Chunk {
            id: ChunkId::from(format!("{id}#1").as_str()),
            document: id,
            span: 0..passage.text.len(),
            table_header: None,
            location: Location::default(),
        });
        let document = Document::new(&passage.id, Kind::Company, &passage.title, &passage.id, &passage.text);
        corpus.documents.push(Document { audience: Audience::Customer, ..document });
    }
    corpus
}

#[cfg(test)]
mod tests {
    use flightdeck_models::ModelError;

    use super::*;

    /// Counts characters: near for texts that share them, and the same on every machine.
    struct CountingEmbedder;

    impl Embedder for CountingEmbedder {
        fn id(&self) -> &'static str {
            "character-counts"
        }

        fn dimension(&self) -> usize {
            64
        }

        fn max_tokens(&self) -> usize {
            512
        }

        fn count_tokens(&self, text: &str) -> usize {
            text.chars().count()
        }

        fn embed_query(&self, text: &str) -> Result<Vec<f32>, ModelError> {
            let mut vector = vec![1e-3; 64];
            for c in text.chars() {
                vector[c as usize % 64] += 1.0;
            }
            let norm = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
            Ok(vector.into_iter().map(|v| v / norm).collect())
        }

        fn embed_passages(
            &self,
            texts: &[&str],
            progress: &(dyn Fn(usize) -> bool + Sync),
        ) -> Result<Vec<Vec<f32>>, ModelError> {
            let vectors = texts.iter().map(|text| self.embed_query(text)).collect();
            progress(texts.len());
            vectors
        }
    }

    fn passage(id: &str, title: &str, text: &str) -> Passage {
        Passage { id: id.to_owned(), title: title.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_second_run_embeds_nothing_and_measures_the_same() {
        let passages = [
            passage("p1", "贴标机", "贴标机每分钟贴三百瓶，换型十二分钟。"),
            passage("p2", "", "灌装机用不锈钢制成，每小时三千六百瓶。"),
            passage("p3", "码垛", "码垛机器人每小时六百箱。"),
        ];
        let topics = [("q1", "贴标机换型多久"), ("q2", "码垛机器人"), ("q3", "没有判断的问题")]
            .map(|(id, text)| Topic { id: id.to_owned(), text: text.to_owned() });
        let one = |id: &str| Judgements::from([(id.to_owned(), 1)]);
        let qrels = Qrels::from([("q1".to_owned(), one("p1")), ("q2".to_owned(), one("p3"))]);
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let task = Task {
            passages: &passages,
            topics: &topics,
            qrels: &qrels,
            mode: Mode::Hybrid,
            cache: dir.path(),
            embedder: Arc::new(CountingEmbedder),
            settings: Settings::default(),
            reranking: None,
            day: jiff::civil::date(2026, 11, 23),
        };
        let first = evaluate(&task, &|_| true).expect("the set is whole");
        assert_eq!((first.queries, first.passages, first.embedded), (2, 3, 3));
        assert!((first.ndcg_at_10 - 1.0).abs() < 1e-9, "{first:?}");
        let second = evaluate(&task, &|_| true).expect("the set is whole");
        assert_eq!(second.embedded, 0);
        assert_eq!(first.rankings, second.rankings);
    }

    #[test]
    fn the_report_has_the_names_of_the_contract() {
        let report = Report {
            ndcg_at_10: 0.5,
            mrr_at_10: 0.5,
            recall_at_10: 0.5,
            recall_at_100: 1.0,
            queries: 1,
            passages: 1,
            latency_ms: Latency::default(),
            index_seconds: 0.0,
            embedded: 0,
            mode: Mode::Lexical,
            ndcg_of_queries: Vec::new(),
            rankings: Vec::new(),
        };
        let json = serde_json::to_value(&report).expect("a report is JSON");
        let names = json.as_object().expect("an object").keys().map(String::as_str).collect::<Vec<_>>();
        for name in [
            "ndcg_at_10",
            "mrr_at_10",
            "recall_at_10",
            "recall_at_100",
            "queries",
            "passages",
            "latency_ms",
            "index_seconds",
        ] {
            assert!(names.contains(&name), "{name} is missing from {names:?}");
        }
        assert_eq!(json["mode"], "lexical");
    }
}
