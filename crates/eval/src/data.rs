//! Question sets from files: passages, queries, judgements, and questions with what is expected of an answer.
//!
//! JSON lines may be compressed with zstd, told by the first bytes and not by the name. A line that does not fit is
//! an error with its number: a measurement over half a file would be a wrong measurement.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;

use flightdeck_corpus::Audience;
use flightdeck_records::CustomerProfile;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::EvalError;
use crate::metrics::Judgements;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// One passage of a corpus, searched as it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Passage {
    /// Unique in its corpus.
    pub id: String,
    /// Empty where the set has none.
    #[serde(default)]
    pub title: String,
    /// The words.
    pub text: String,
}

/// One query of a retrieval set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Topic {
    /// Unique in its set.
    pub id: String,
    /// The words.
    pub text: String,
}

/// For each query its judgements.
pub type Qrels = BTreeMap<String, Judgements>;

/// A question to the assistant with what is expected of the answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    /// Unique in its set.
    pub id: String,
    /// The words.
    pub question: String,
    /// Who asks; internal where not said.
    #[serde(default)]
    pub audience: Asked,
    /// Whom the question is about.
    #[serde(default)]
    pub customer: Option<QuestionCustomer>,
    /// A label that the report groups by, e.g. `paraphrase`.
    #[serde(default, rename = "type")]
    pub label: Option<String>,
    /// What is expected.
    #[serde(default)]
    pub expect: Expectation,
}

/// Who asks. Unlike in a document, what is not marked is a rep's question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// A person of the company.
    #[default]
    Internal,
    /// A customer.
    Customer,
}

impl From<Asked> for Audience {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Internal => Self::Internal,
            Asked::Customer => Self::Customer,
        }
    }
}

/// A customer by profile or by id.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum QuestionCustomer {
    /// A customer in the records.
    Id(String),
    /// A profile given with the question.
    Profile(CustomerProfile),
}

/// What is expected of an answer; what is left out is not judged.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// Any of these is a right source.
    #[serde(deserialize_with = "null_is_empty")]
    pub documents: Vec<String>,
    /// All of these should be cited; `true` means all of `documents`.
    pub all_documents: Option<AllDocuments>,
    /// Gain of each right source where some are better than others.
    #[serde(deserialize_with = "null_is_empty")]
    pub graded: BTreeMap<String, u32>,
    /// The right intent; of several any.
    pub intent: Option<OneOrMore>,
    /// What must stand in the answer or a quote.
    #[serde(deserialize_with = "null_is_empty")]
    pub contains: Vec<OneOrMore>,
    /// What must not stand anywhere in the reply.
    #[serde(deserialize_with = "null_is_empty")]
    pub forbidden: Vec<String>,
    /// Whether the knowledge supports no answer.
    #[serde(deserialize_with = "null_is_empty")]
    pub refuse: bool,
}

impl Expectation {
    /// The sources that should all be cited; empty where that is not asked.
    pub fn required_documents(&self) -> &[String] {
        match &self.all_documents {
            Some(AllDocuments::Listed(documents)) => documents,
            Some(AllDocuments::AllOfThem(true)) => &self.documents,
            Some(AllDocuments::AllOfThem(false)) | None => &[],
        }
    }

    /// Whether a citation of this document is right.
    pub fn is_right_source(&self, document: &str) -> bool {
        self.documents.iter().any(|right| right == document)
            || (self.documents.is_empty()
                && (self.required_documents().iter().any(|right| right == document)
                    || self.graded.get(document).is_some_and(|&gain| gain > 0)))
    }

    /// Whether right sources are named at all.
    pub fn names_sources(&self) -> bool {
        !self.documents.is_empty()
            || !self.required_documents().is_empty()
            || self.graded.values().any(|&gain| gain > 0)
    }
}

/// Which documents should all be cited.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum AllDocuments {
    /// All of `documents`, or not.
    AllOfThem(bool),
    /// These.
    Listed(Vec<String>),
}

/// One value, or several of which any will do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMore {
    /// The only one.
    One(String),
    /// Alternatives.
    More(Vec<String>),
}

impl OneOrMore {
    /// The alternatives.
    pub fn alternatives(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::More(values) => values,
        }
    }
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// The passages of `corpus.jsonl` or `corpus.jsonl.zst`, in order.
///
/// # Errors
/// As [`EvalError`]; also for an id that stands twice, because judgements could then mean either.
pub fn read_passages(path: &Path) -> Result<Vec<Passage>, EvalError> {
    let passages: Vec<Passage> = read_json_lines(path)?;
    unique_ids(path, passages.iter().map(|passage| passage.id.as_str()))?;
    Ok(passages)
}

/// The queries of `queries.jsonl`, in order.
///
/// # Errors
/// As [`read_passages`].
pub fn read_topics(path: &Path) -> Result<Vec<Topic>, EvalError> {
    let topics: Vec<Topic> = read_json_lines(path)?;
    unique_ids(path, topics.iter().map(|topic| topic.id.as_str()))?;
    Ok(topics)
}

/// Whether each question of `expect.jsonl` is to be answered (`{"id","expect":"answer"|"refuse"}`).
///
/// # Errors
/// As [`read_passages`].
pub fn read_expectations(path: &Path) -> Result<HashMap<String, bool>, EvalError> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        expect: Expected,
    }
    #[derive(Deserialize, PartialEq)]
    #[serde(rename_all = "lowercase")]
    enum Expected {
        Answer,
        Refuse,
    }
    let lines: Vec<Line> = read_json_lines(path)?;
    unique_ids(path, lines.iter().map(|line| line.id.as_str()))?;
    Ok(lines.into_iter().map(|line| (line.id, line.expect == Expected::Answer)).collect())
}

/// The questions of a set for the assistant, in order.
///
/// # Errors
/// As [`read_passages`].
pub fn read_questions(path: &Path) -> Result<Vec<Question>, EvalError> {
    let questions: Vec<Question> = read_json_lines(path)?;
    unique_ids(path, questions.iter().map(|question| question.id.as_str()))?;
    Ok(questions)
}

/// Judgements as `QUERY<TAB>DOCUMENT<TAB>RELEVANCE`, also in TREC's four columns; a first line whose relevance is
/// no number is taken for a header.
///
/// # Errors
/// As [`EvalError`].
pub fn read_qrels(path: &Path) -> Result<Qrels, EvalError> {
    let mut qrels = Qrels::new();
    for (line, text) in (1..).zip(read_text(path)?.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        let columns: Vec<&str> = text.split('\t').map(str::trim).collect();
        let ([query, document, relevance] | [query, _, document, relevance]) = columns[..] else {
            return Err(bad_line(path, line, "expected three columns, separated by tabs"));
        };
        // Some sets judge "known to be irrelevant" as -1; that is what an unjudged document counts as anyway.
        match relevance.parse::<i64>() {
            Ok(gain) => {
                let gain = u32::try_from(gain.max(0))
                    .map_err(|_| bad_line(path, line, "the relevance is too large"))?;
                qrels.entry(query.to_owned()).or_default().insert(document.to_owned(), gain);
            }
            Err(_) if line == 1 => {}
            Err(_) => return Err(bad_line(path, line, "the relevance is not a whole number")),
        }
    }
    if qrels.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned(), reason: "holds no judgement".to_owned() });
    }
    Ok(qrels)
}

fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, EvalError> {
    let mut values = Vec::new();
    for (line, text) in (1..).zip(read_text(path)?.lines()) {
        if !text.trim().is_empty() {
            values
                .push(serde_json::from_str(text).map_err(|error| bad_line(path, line, &error.to_string()))?);
        }
    }
    if values.is_empty() {
        return Err(EvalError::Empty { path: path.to_owned(), reason: "holds no line".to_owned() });
    }
    Ok(values)
}

fn read_text(path: &Path) -> Result<String, EvalError> {
    let unreadable = |source| EvalError::Unreadable { path: path.to_owned(), source };
    let mut bytes = std::fs::read(path).map_err(unreadable)?;
    if bytes.starts_with(&ZSTD_MAGIC) {
        let mut plain = Vec::new();
        zstd::stream::read::Decoder::new(bytes.as_slice())
            .and_then(|mut decoder| decoder.read_to_end(&mut plain))
            .map_err(unreadable)?;
        bytes = plain;
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))?;
    Ok(text.strip_prefix('\u{FEFF}').map_or_else(|| text.clone(), str::to_owned))
}

fn unique_ids<'a>(path: &Path, ids: impl Iterator<Item = &'a str>) -> Result<(), EvalError> {
    let mut seen = std::collections::HashSet::new();
    for id in ids {
        if !seen.insert(id) {
            let reason = format!("the id {id} stands twice");
            return Err(EvalError::Empty { path: path.to_owned(), reason });
        }
    }
    Ok(())
}

fn bad_line(path: &Path, line: usize, reason: &str) -> EvalError {
    EvalError::BadLine { path: path.to_owned(), line, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        let path = dir.path().join("set.jsonl");
        std::fs::write(&path, content).expect("the folder is writable");
        (dir, path)
    }

    const TWO: &str = "{\"id\":\"a\",\"title\":\"题\",\"text\":\"文\"}\n\n{\"id\":\"b\",\"text\":\"x\"}\n";

    #[test]
    fn passages_read_the_same_plain_and_compressed() {
        let (_plain_dir, plain) = file(TWO.as_bytes());
        let compressed = zstd::encode_all(TWO.as_bytes(), 3).expect("memory can be compressed");
        let (_zst_dir, zst) = file(&compressed);
        let passages = read_passages(&plain).expect("the lines fit");
        assert_eq!(passages, read_passages(&zst).expect("the lines fit"));
        assert_eq!(passages.len(), 2);
        assert_eq!((passages[0].title.as_str(), passages[1].title.as_str()), ("题", ""));
    }

    #[test]
    fn a_line_that_does_not_fit_is_named() {
        let (_dir, path) = file(b"{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":7}\n");
        let error = read_topics(&path).expect_err("an id is a string").to_string();
        assert!(error.contains("line 2"), "{error}");
        let (_dir, path) = file(b"{\"id\":\"a\",\"text\":\"x\"}\n{\"id\":\"a\",\"text\":\"y\"}\n");
        assert!(read_passages(&path).expect_err("twice").to_string().contains("stands twice"));
        let (_dir, path) = file(b"\n");
        assert!(read_topics(&path).is_err(), "nothing to evaluate with is an error");
        assert!(matches!(read_topics(Path::new("/nowhere")), Err(EvalError::Unreadable { .. })));
    }

    #[test]
    fn qrels_may_have_a_header_and_four_columns() {
        let (_dir, path) =
            file(b"query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\r\nq2\t0\td3\t1\nq2\td4\t-1\n");
        let qrels = read_qrels(&path).expect("the lines fit");
        assert_eq!(qrels["q1"], [("d1".to_owned(), 2), ("d2".to_owned(), 0)].into());
        assert_eq!(qrels["q2"], [("d3".to_owned(), 1), ("d4".to_owned(), 0)].into());
        let (_dir, path) = file(b"q1\td1\t1\nq1\td2\tmuch\n");
        assert!(read_qrels(&path).expect_err("no number").to_string().contains("line 2"));
    }

    #[test]
    fn questions_read_all_forms_of_the_contract() {
        let (_dir, path) = file(
            r#"{"id":"1","question":"贵","expect":{"documents":["a","b#1"],"all_documents":true,"intent":"other","contains":["12",["18 个月","十八个月"]],"forbidden":null,"refuse":false}}
{"id":"2","question":"?","audience":"customer","customer":{"industry":"饮料"},"type":"fishing","expect":{"refuse":true,"forbidden":["22.5"]}}
{"id":"3","question":"!","customer":"c-1","expect":{"graded":{"x":2,"y":0},"all_documents":["x"]}}"#
                .as_bytes(),
        );
        let questions = read_questions(&path).expect("the lines fit");
        assert_eq!(questions[0].expect.required_documents(), ["a", "b#1"]);
        assert!(questions[0].expect.is_right_source("b#1") && !questions[0].expect.is_right_source("b"));
        assert_eq!(questions[0].expect.contains[1].alternatives().len(), 2);
        assert_eq!(Audience::from(questions[1].audience), Audience::Customer);
        assert_eq!(questions[1].label.as_deref(), Some("fishing"));
        assert!(questions[1].expect.refuse && !questions[1].expect.names_sources());
        assert_eq!(questions[2].customer, Some(QuestionCustomer::Id("c-1".to_owned())));
        assert!(questions[2].expect.is_right_source("x") && !questions[2].expect.is_right_source("y"));
        let (_dir, path) = file(br#"{"id":"1","question":"x","expect":{"contians":["a"]}}"#);
        assert!(read_questions(&path).is_err(), "a misspelled expectation must not pass unjudged");
    }
}
