//! Why passages stand where they stand, on the wire: for `explain` in a search, and for the console's trials.

use flightdeck_assistant::{Searched, Signs, Trial, Weighed};
use flightdeck_corpus::{Audience, Kind};
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{
    AskedWord as FoundWord, Balance as FusionBalance, Because, ChangeReason, Explained, FusionBy,
    LeftOut as FoundLeftOut, Mode, Place, Reasons, Settings, WordSort,
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::{
    AUDIENCES, ChatReply, Citation, DocumentRef, Hit, MAX_ID_CHARS, MAX_QUESTION_CHARS, MODES, intent_schema,
    kinds_schema, names, refusal_reason_schema,
};
use crate::error::ApiError;
use crate::fields::Fields;

/// The reasons of a ranking.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    /// The question as it was read, where a word typed by sound was put right.
    pub read_as: Option<String>,
    pub balance: Balance,
    /// What was looked up, words of the question before their synonyms.
    pub words: Vec<AskedWord>,
    /// For each passage, in the order of the hits.
    pub passages: Vec<PassageReasons>,
    /// Documents that would have stood among the passages and do not, best first.
    pub left_out: Vec<LeftOut>,
}

/// How much each side had to say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Balance {
    /// `scores`, or `ranks` for reciprocal ranks, which know no weights.
    #[schema(schema_with = by_schema)]
    pub by: &'static str,
    /// What a dense score of 1 adds.
    pub dense_weight: f32,
    /// What a lexical score of 1 adds.
    pub lexical_weight: f32,
    /// Share of the question's words, by rarity, that the best lexical hit has.
    pub coverage: f32,
    /// What of its weight the lexical side keeps for that, 0 to 1.
    pub trust: f32,
    /// Why: `as_set`, `few_words_found`, `words_only`, `vectors_only` or `by_rank`.
    #[schema(schema_with = why_schema)]
    pub why: &'static str,
    /// The best lexical score: it becomes 1.
    pub best_lexical: Option<f32>,
    /// The largest closeness: it becomes 1.
    pub best_dense: Option<f32>,
    /// The least closeness of the list: it becomes 0.
    pub least_dense: Option<f32>,
}

/// A word that was looked up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AskedWord {
    #[schema(example = "换线")]
    pub text: String,
    /// `word`, `code` for a model number or a quantity, `pair` for two neighbouring Chinese characters.
    #[schema(schema_with = sort_schema)]
    pub sort: &'static str,
    /// Whether it is not in the question but means the same as a word that is.
    pub synonym: bool,
    /// Inverse document frequency, in nats.
    pub rarity: f32,
    /// What one standing in a text of average length adds to the lexical score.
    pub weight: f32,
    /// Passages that have it.
    pub passages: usize,
}

/// Why one passage has its score: `lexical_share` plus `dense_share`, after `changes`, is `score`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PassageReasons {
    pub chunk_id: String,
    /// The words that hit; what they add makes the lexical score.
    pub words: Vec<WordHit>,
    /// Cosine of question and passage as a whole.
    pub closeness_whole: Option<f32>,
    /// Cosine of question and the nearest few sentences; null for a passage that is no longer than that.
    pub closeness_window: Option<f32>,
    /// What the few sentences count for against the whole.
    pub window_share: f32,
    /// What the lexical side adds to the score.
    pub lexical_share: f32,
    /// What the dense side adds to the score.
    pub dense_share: f32,
    /// Logit of the cross-encoder; only where the settings name one, for the passages that it read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rerank: Option<f32>,
    /// What changed the score afterwards.
    pub changes: Vec<Change>,
    pub score: f32,
}

/// A word that stands in a passage, where it counts most.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WordHit {
    pub text: String,
    /// `text`, `title` or `keywords`.
    #[schema(schema_with = place_schema)]
    pub place: &'static str,
    /// How often it stands there, saturated and held against the length; 1 in a title or among keywords.
    pub count: f32,
    /// What the place counts for.
    pub place_weight: f32,
    /// What it adds to the lexical score.
    pub adds: f32,
}

/// Something that changed a score after the fusion.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Change {
    /// `rerank`: a cross-encoder read question and passage together; `replaced`: the document is replaced by `by` and
    /// stands behind it; `repetition`: others of it stand before.
    #[schema(example = "replaced")]
    pub because: &'static str,
    /// A document.
    pub by: Option<String>,
    pub before: f32,
    pub after: f32,
}

/// A document that would have been among the passages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftOut {
    pub document: DocumentRef,
    /// Where its best passage would have stood.
    pub would_rank: usize,
    pub would_score: f32,
    /// Every reason that holds.
    pub because: Vec<Reason>,
}

/// A reason to leave a document out.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Reason {
    #[schema(schema_with = because_schema)]
    pub name: &'static str,
    /// The day of `not_yet_valid` and `expired`, the document's kind for `kind`.
    pub detail: Option<String>,
}

impl Explanation {
    /// The reasons; of what was left out only what `may_know` lets through.
    pub fn new(explained: &Explained, may_know: impl Fn(&FoundLeftOut) -> bool) -> Self {
        let word = |idx: usize| explained.words[idx].text.clone();
        let passages = explained.passages.iter().zip(&explained.reasons).map(|(passage, reasons)| {
            let Reasons {
                words,
                whole,
                best_window,
                window_share,
                lexical_share,
                dense_share,
                rerank,
                changes,
            } = reasons;
            PassageReasons {
                chunk_id: passage.chunk.id.to_string(),
                words: words
                    .iter()
                    .map(|hit| WordHit {
                        text: word(hit.word),
                        place: hit.place.name(),
                        count: hit.count,
                        place_weight: hit.place_weight,
                        adds: hit.adds,
                    })
                    .collect(),
                closeness_whole: *whole,
                closeness_window: *best_window,
                window_share: *window_share,
                lexical_share: *lexical_share,
                dense_share: *dense_share,
                rerank: *rerank,
                changes: changes
                    .iter()
                    .map(|change| {
                        let (because, by) = match &change.because {
                            ChangeReason::Reranked => ("rerank", None),
                            ChangeReason::ReplacedBy(by) => ("replaced", Some(by.to_string())),
                            ChangeReason::Repetition => ("repetition", None),
                        };
                        Change { because, by, before: change.before, after: change.after }
                    })
                    .collect(),
                score: passage.score,
            }
        });
        Self {
            read_as: explained.read_as.clone(),
            balance: explained.balance.into(),
            words: explained.words.iter().map(AskedWord::from).collect(),
            passages: passages.collect(),
            left_out: explained.left_out.iter().filter(|left| may_know(left)).map(LeftOut::from).collect(),
        }
    }
}

impl From<FusionBalance> for Balance {
    fn from(balance: FusionBalance) -> Self {
        let why = match (balance.by, balance.best_lexical, balance.best_dense) {
            (FusionBy::Ranks, ..) => "by_rank",
            (_, None, _) => "vectors_only",
            (_, _, None) => "words_only",
            _ if balance.trust < 1.0 => "few_words_found",
            _ => "as_set",
        };
        Self {
            by: if balance.by == FusionBy::Ranks { "ranks" } else { "scores" },
            dense_weight: balance.dense_weight,
            lexical_weight: balance.lexical_weight,
            coverage: balance.coverage,
            trust: balance.trust,
            why,
            best_lexical: balance.best_lexical,
            best_dense: balance.best_dense,
            least_dense: balance.least_dense,
        }
    }
}

impl From<&FoundWord> for AskedWord {
    fn from(word: &FoundWord) -> Self {
        Self {
            text: word.text.clone(),
            sort: word.sort.name(),
            synonym: word.is_synonym,
            rarity: word.rarity,
            weight: word.weight,
            passages: word.n_chunks,
        }
    }
}

impl From<&FoundLeftOut> for LeftOut {
    fn from(left: &FoundLeftOut) -> Self {
        let because = left.because.iter().map(|because| Reason {
            name: because.name(),
            detail: match because {
                Because::NotYetValid(day) | Because::Expired(day) => Some(day.to_string()),
                Because::Kind(kind) => Some(kind.name().to_owned()),
                _ => None,
            },
        });
        Self {
            document: DocumentRef::from(&*left.document),
            would_rank: left.would_rank,
            would_score: left.would_score,
            because: because.collect(),
        }
    }
}

// Trials

/// A question to be tried out.
#[derive(Clone, Debug, PartialEq, ToSchema)]
pub(crate) struct TryRequest {
    /// What a rep or a customer would say.
    #[schema(min_length = 1, max_length = 4000, example = "LB-300S 能贴锥形瓶吗？")]
    pub message: String,
    /// Who would see the answer; `internal` where nothing is said.
    #[schema(schema_with = super::audience_or_null_schema)]
    pub audience: Option<Audience>,
    /// A customer in the records.
    pub customer_id: Option<String>,
    /// A customer's profile; wins over `customer_id` field by field.
    #[schema(value_type = Option<super::Customer>)]
    pub customer: Option<CustomerProfile>,
    /// Which sides of the index answer.
    #[schema(required = false, schema_with = super::mode_schema)]
    pub mode: Mode,
    /// How many passages are explained at most.
    #[schema(required = false, minimum = 1, maximum = 40, default = 10)]
    pub top_k: usize,
    /// Weights to rank by; what is not named is as on the server.
    #[schema(required = false)]
    pub settings: TrySettings,
}

/// Weights other than the server's, for one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, ToSchema)]
pub(crate) struct TrySettings {
    /// What closeness counts for against words.
    #[schema(minimum = 0, maximum = 1)]
    pub dense_weight: Option<f64>,
    /// What the nearest few sentences count for against the whole passage.
    #[schema(minimum = 0, maximum = 1)]
    pub window_share: Option<f64>,
    /// What a word in a title counts for.
    #[schema(minimum = 0, maximum = 10)]
    pub title_weight: Option<f64>,
    /// What a word among the keywords counts for.
    #[schema(minimum = 0, maximum = 10)]
    pub keyword_weight: Option<f64>,
    /// What a pair of Chinese characters counts for against a word.
    #[schema(minimum = 0, maximum = 10)]
    pub bigram_weight: Option<f64>,
    /// `scores`, or `ranks` for reciprocal ranks.
    #[schema(value_type = Option<String>)]
    pub fusion: Option<FusionBy>,
}

impl TryRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self {
            message: fields.text("message", MAX_QUESTION_CHARS)?,
            audience: fields.choice("audience", &AUDIENCES)?,
            customer_id: fields.optional_text("customer_id", MAX_ID_CHARS)?,
            customer: fields.object("customer")?.map(super::profile_from).transpose()?,
            mode: fields.choice("mode", &MODES)?.unwrap_or_default(),
            top_k: fields.integer("top_k", 1..=40)?.unwrap_or(10) as usize,
            settings: match fields.object("settings")? {
                None => TrySettings::default(),
                Some(settings) => TrySettings::from_fields(settings)?,
            },
        };
        fields.finish()?;
        Ok(request)
    }
}

impl TrySettings {
    fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let settings = Self {
            dense_weight: fields.number("dense_weight", 0.0..=1.0)?,
            window_share: fields.number("window_share", 0.0..=1.0)?,
            title_weight: fields.number("title_weight", 0.0..=10.0)?,
            keyword_weight: fields.number("keyword_weight", 0.0..=10.0)?,
            bigram_weight: fields.number("bigram_weight", 0.0..=10.0)?,
            fusion: fields.choice("fusion", &[("scores", FusionBy::Scores), ("ranks", FusionBy::Ranks)])?,
        };
        fields.finish()?;
        Ok(settings)
    }

    /// The server's settings with these in their place.
    pub fn over(self, settings: Settings) -> Settings {
        let or = |given: Option<f64>, known: f32| given.map_or(known, |given| given as f32);
        let Settings { mut lexical, mut fusion, mut vectors } = settings;
        lexical.title_weight = or(self.title_weight, lexical.title_weight);
        lexical.keyword_weight = or(self.keyword_weight, lexical.keyword_weight);
        lexical.bigram_weight = or(self.bigram_weight, lexical.bigram_weight);
        fusion.dense_weight = or(self.dense_weight, fusion.dense_weight);
        fusion.by = self.fusion.unwrap_or(fusion.by);
        vectors.window_share = or(self.window_share, vectors.window_share);
        Settings { lexical, fusion, vectors }
    }
}

/// A question tried out: the answer that would be given, and why. Nothing is recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TryReply {
    #[schema(schema_with = intent_schema)]
    pub intent: &'static str,
    /// Markdown, as a chat reply has it.
    pub answer: String,
    pub citations: Vec<Citation>,
    pub refused: bool,
    #[schema(schema_with = refusal_reason_schema)]
    pub refusal_reason: Option<flightdeck_assistant::RefusalReason>,
    pub support: Support,
    /// What was searched for; null where the message asks for nothing that is searched for.
    pub searched_for: Option<String>,
    /// The kinds that may answer; all where it is empty.
    #[schema(schema_with = kinds_schema)]
    pub kinds: Vec<Kind>,
    /// In the order in which the answer uses them.
    pub passages: Vec<TriedPassage>,
    /// The reasons of the search, null where there was none. Those of single passages stand with the passages.
    pub explain: Option<Explanation>,
    /// Time inside the engine.
    pub took_ms: f64,
}

/// Whether the passages support an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Support {
    /// 0 to 1: the logistic function of `bias` and what the signs add.
    pub score: f32,
    /// The least with which an answer is given.
    pub threshold: f32,
    pub bias: f32,
    /// Whether a model number is named that no passage speaks of: then nothing else counts.
    pub foreign_model: bool,
    pub signs: Vec<Sign>,
}

/// A sign of support.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sign {
    #[schema(example = "coverage")]
    pub name: &'static str,
    /// The sign; 1 for one that is there.
    pub value: f32,
    /// What it adds.
    pub adds: f32,
}

/// A passage as the answer uses it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedPassage {
    /// As a search gives it; its rank and score are the search's.
    pub hit: Hit,
    /// What the search's score is multiplied with.
    pub factors: Vec<FactorReply>,
    /// The product.
    pub score: f32,
    /// How well a case fits the customer, where cases are looked for: then it goes before the score.
    pub case_fit: Option<f32>,
    pub reasons: PassageReasons,
}

/// Why a score is changed after the search.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FactorReply {
    /// `kind`: the kind suits what is wanted; `model`: it speaks of the model named; `language`: the reader's.
    #[schema(schema_with = factor_schema)]
    pub name: &'static str,
    pub factor: f32,
}

impl TryReply {
    pub fn new(trial: Trial, took_ms: f64) -> Self {
        let Trial { answer, threshold, searched } = trial;
        let support = Support::new(&answer.signs, answer.support, threshold);
        let (searched_for, kinds, passages, explain) = match searched {
            None => (None, Vec::new(), Vec::new(), None),
            Some(Searched { text, only, explained, passages }) => {
                let mut explanation = Explanation::new(&explained, |_| true);
                let mut reasons: Vec<Option<PassageReasons>> =
                    explanation.passages.drain(..).map(Some).collect();
                let tried = passages.into_iter().filter_map(|weighed| {
                    let Weighed { found, factors, score, case_fit } = weighed;
                    let factors = factors
                        .into_iter()
                        .map(|(factor, value)| FactorReply { name: factor.name(), factor: value })
                        .collect();
                    let hit = Hit::from(explained.passages[found].clone());
                    Some(TriedPassage { hit, factors, score, case_fit, reasons: reasons[found].take()? })
                });
                let tried = tried.collect();
                (Some(text), only, tried, Some(explanation))
            }
        };
        let reply =
            flightdeck_assistant::Reply { session_id: String::new(), message_id: String::new(), answer };
        let intent = reply.answer.intent.name();
        let ChatReply { answer, citations, refused, refusal_reason, .. } = ChatReply::new(reply, took_ms);
        Self {
            intent,
            answer,
            citations,
            refused,
            refusal_reason,
            support,
            searched_for,
            kinds,
            passages,
            explain,
            took_ms,
        }
    }
}

impl Support {
    fn new(signs: &Signs, score: f32, threshold: f32) -> Self {
        let parts = signs.parts().map(|part| Sign { name: part.name, value: part.value, adds: part.adds });
        Self {
            score,
            threshold,
            bias: Signs::BIAS,
            foreign_model: signs.foreign_model,
            signs: parts.into_iter().collect(),
        }
    }
}

// Schemas

fn by_schema() -> Object {
    names([Type::String], ["scores", "ranks"]).build()
}

fn why_schema() -> Object {
    names([Type::String], ["as_set", "few_words_found", "words_only", "vectors_only", "by_rank"]).build()
}

fn sort_schema() -> Object {
    names([Type::String], WordSort::ALL.map(WordSort::name)).build()
}

fn place_schema() -> Object {
    names([Type::String], Place::ALL.map(Place::name)).build()
}

fn because_schema() -> Object {
    names([Type::String], Because::NAMES).build()
}

fn factor_schema() -> Object {
    names([Type::String], flightdeck_assistant::Factor::ALL.map(flightdeck_assistant::Factor::name)).build()
}
