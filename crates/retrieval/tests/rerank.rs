//! A cross-encoder over the first passages: what it may see, what it may move, and what happens when it cannot.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flightdeck_corpus::{Audience, Chunk, Corpus, Document, DocumentId, Kind, Location};
use flightdeck_models::{Embedder, ModelError, Reranker};
use flightdeck_retrieval::{
    Access, ChangeReason, Filters, Mode, Passage, Query, Reranking, RetrievalError, Store, while_wanted,
};
use jiff::civil::date;

/// All texts are alike to it.
struct Blind;

impl Embedder for Blind {
    fn id(&self) -> &'static str {
        "blind"
    }

    fn dimension(&self) -> usize {
        4
    }

    fn max_tokens(&self) -> usize {
        512
    }

    fn count_tokens(&self, text: &str) -> usize {
        text.chars().count()
    }

    fn embed_query(&self, _: &str) -> Result<Vec<f32>, ModelError> {
        Ok(vec![0.5; 4])
    }

    fn embed_passages(
        &self,
        texts: &[&str],
        _: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(vec![vec![0.5; 4]; texts.len()])
    }
}

/// Prefers passages that say 好 more often, and remembers what it read.
#[derive(Default)]
struct Counting {
    read: Mutex<Vec<String>>,
    fails: bool,
}

impl Reranker for Counting {
    fn id(&self) -> &'static str {
        "counting"
    }

    fn score(
        &self,
        question: &str,
        passages: &[&str],
        going_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<f32>, ModelError> {
        assert!(question.starts_with("换线"));
        self.read.lock().expect("no test panics here").extend(passages.iter().map(ToString::to_string));
        if !going_on() {
            return Err(ModelError::Cancelled);
        }
        if self.fails {
            return Err(ModelError::Failed("it does not want to".to_owned()));
        }
        Ok(passages.iter().map(|passage| passage.matches('好').count() as f32 - 2.0).collect())
    }
}

fn document(id: &str, text: &str) -> Document {
    let path = format!("products/{id}.md");
    Document { audience: Audience::Customer, ..Document::new(id, Kind::Product, id, &path, text) }
}

/// The fused order is that of the names: the more often a text says 换线, the better.
fn documents() -> Vec<Document> {
    let mut internal = document("e-internal", "换线 好好好好好好好好");
    internal.audience = Audience::Internal;
    let texts = [
        ("a", "换线 换线 换线 换线"),
        ("b", "换线 换线 换线 好"),
        ("c", "换线 换线 好好好"),
        ("d", "换线 好好好好好好，写得长些，好让字词的分数低一些"),
    ];
    texts.into_iter().map(|(id, text)| document(id, text)).chain([internal]).collect()
}

fn store(data: &Path, documents: Vec<Document>, reranking: Option<Reranking>) -> Store {
    let chunks = documents
        .iter()
        .map(|document| Chunk {
            id: format!("{}#1", document.id).as_str().into(),
            document: document.id.clone(),
            span: 0..document.text.len(),
            table_header: None,
            location: Location::default(),
        })
        .collect();
    let store = Store::open(data, Access::Write, Arc::new(Blind)).expect("opens").with_reranking(reranking);
    let corpus = Corpus { documents, chunks, ..Corpus::default() };
    store.publish(&corpus, &|_| true).expect("publishes");
    store
}

fn reranking(model: &Arc<Counting>, passages: usize) -> Reranking {
    let budget = Duration::from_hours(1);
    Reranking { model: model.clone(), passages, weight: 1.0, budget }
}

fn query(audience: Audience) -> Query {
    Query {
        text: "换线".to_owned(),
        audience,
        day: date(2026, 11, 23),
        filters: Filters::default(),
        mode: Mode::Lexical,
        top_k: 10,
    }
}

fn ids(passages: &[Passage]) -> Vec<&str> {
    passages.iter().map(|passage| &*passage.document.id.0).collect()
}

#[test]
fn it_orders_what_the_fusion_put_first_and_leaves_scores_and_the_rest_alone() {
    let (plain_data, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let plain = store(plain_data.path(), documents(), None).current().expect("there is one");
    let before = plain.search(&query(Audience::Customer)).expect("the search works");
    assert_eq!(ids(&before), ["a", "b", "c", "d"]);
    assert!(before.iter().all(|passage| passage.scores.rerank.is_none()));

    let model = Arc::new(Counting::default());
    let index = store(data.path(), documents(), Some(reranking(&model, 3))).current().expect("there is one");
    let after = index.search(&query(Audience::Customer)).expect("the search works");
    assert_eq!(ids(&after), ["c", "b", "a", "d"], "d is beyond the passages that are read");
    let scores = |passages: &[Passage]| -> Vec<f32> { passages.iter().map(|found| found.score).collect() };
    assert_eq!(scores(&before), scores(&after));
    let logits: Vec<Option<f32>> = after.iter().map(|passage| passage.scores.rerank).collect();
    assert_eq!(logits, [Some(1.0), Some(-1.0), Some(-2.0), None]);
    let again = index.search(&query(Audience::Customer)).expect("the search works");
    assert_eq!(ids(&after), ids(&again));
    let without = index.search_reranked(&query(Audience::Customer), index.settings(), None);
    assert_eq!(ids(&without.expect("the search works")), ids(&before));
}

#[test]
fn it_never_reads_what_the_audience_may_not_see() {
    let data = tempfile::tempdir().expect("a folder");
    let model = Arc::new(Counting::default());
    let index = store(data.path(), documents(), Some(reranking(&model, 20))).current().expect("there is one");
    let found = index.search(&query(Audience::Customer)).expect("the search works");
    assert_eq!(ids(&found), ["d", "c", "b", "a"]);
    index.explain_with(&query(Audience::Customer), index.settings()).expect("the search works");
    let read = model.read.lock().expect("no test panics here");
    assert!(read.len() == 8 && !read.iter().any(|text| text.contains("好好好好好好好好")), "{read:?}");
    drop(read);
    let found = index.search(&query(Audience::Internal)).expect("the search works");
    assert_eq!(ids(&found)[0], "e-internal");
}

#[test]
fn a_replaced_document_stays_behind_what_replaces_it_and_reasons_lead_to_the_score() {
    let data = tempfile::tempdir().expect("a folder");
    let mut documents = documents();
    documents[0].supersedes = vec![DocumentId::from("d")];
    let model = Arc::new(Counting::default());
    let index = store(data.path(), documents, Some(reranking(&model, 20))).current().expect("there is one");
    let explained = index.explain_with(&query(Audience::Customer), index.settings()).expect("it works");
    let order = ids(&explained.passages);
    let place = |id: &str| order.iter().position(|other| *other == id).expect("it is found");
    assert!(place("a") < place("d"), "{order:?}");
    for (passage, reasons) in explained.passages.iter().zip(&explained.reasons) {
        assert_eq!(reasons.rerank, passage.scores.rerank);
        assert_eq!(reasons.changes[0].because, ChangeReason::Reranked);
        let mut score = reasons.lexical_share + reasons.dense_share;
        for change in &reasons.changes {
            assert_eq!(change.before.to_bits(), score.to_bits());
            score = change.after;
        }
        assert_eq!(score.to_bits(), passage.score.to_bits());
    }
}

#[test]
fn one_that_is_too_slow_or_fails_leaves_the_fused_order() {
    let late = Reranking { budget: Duration::ZERO, ..reranking(&Arc::default(), 20) };
    let failing = Arc::new(Counting { fails: true, ..Counting::default() });
    for unfit in [late, reranking(&failing, 20)] {
        let data = tempfile::tempdir().expect("a folder");
        let index = store(data.path(), documents(), Some(unfit)).current().expect("there is one");
        let found = index.search(&query(Audience::Customer)).expect("the search works");
        assert_eq!(ids(&found), ["a", "b", "c", "d"]);
        assert!(found.iter().all(|passage| passage.scores.rerank.is_none()));
    }
}

#[test]
fn for_nobody_it_does_not_read_on() {
    let data = tempfile::tempdir().expect("a folder");
    let model = Arc::new(Counting::default());
    let index = store(data.path(), documents(), Some(reranking(&model, 20))).current().expect("there is one");
    let wanted = Arc::new(AtomicBool::new(false));
    let found = while_wanted(wanted.clone(), || index.search(&query(Audience::Customer)));
    assert!(matches!(found, Err(RetrievalError::Cancelled)));
    wanted.store(true, Ordering::Relaxed);
    let found = while_wanted(wanted, || index.search(&query(Audience::Customer)));
    assert_eq!(ids(&found.expect("somebody waits"))[0], "d");
}

#[test]
fn an_index_that_is_reopened_is_reranked_too() {
    let data = tempfile::tempdir().expect("a folder");
    drop(store(data.path(), documents(), None));
    let model = Arc::new(Counting::default());
    let reopened = Store::open(data.path(), Access::Read, Arc::new(Blind)).expect("opens");
    let reopened = reopened.with_reranking(Some(reranking(&model, 20)));
    let found = reopened.current().expect("there is one").search(&query(Audience::Customer));
    assert_eq!(ids(&found.expect("the search works"))[0], "d");
}
