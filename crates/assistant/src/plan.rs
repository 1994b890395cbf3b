//! Retrieval fitted to the intent: which kinds may answer, which are favoured, and what is searched for.

use flightdeck_corpus::{Audience, Kind};
use flightdeck_retrieval::{Filters, Index, Mode, Passage, Query, RetrievalError, Settings, is_han};
use jiff::civil::Date;

use crate::answer::Intent;
use crate::question::{Language, Understanding};
use crate::support::{is_about, speaks_of};
use crate::trial::Factor;

/// How many passages are looked at before the intent has its say.
const LOOKED_AT: usize = 40;
/// What a passage that does not speak of the model asked for keeps of its score.
const OTHER_MODEL_FACTOR: f32 = 0.6;
/// What a passage whose title or products name the model gains.
const OWN_MODEL_FACTOR: f32 = 1.25;

struct Plan {
    /// Only these kinds; all where it is empty.
    only: &'static [Kind],
    /// Factors on the score by kind; 1 where a kind is not named.
    favour: &'static [(Kind, f32)],
}

fn plan(intent: Intent) -> Plan {
    use Kind::{Case, Company, Competitor, Faq, Objection, Product, Qa, Service, Template, Video};
    match intent {
        Intent::FindCases => Plan { only: &[Case], favour: &[] },
        Intent::RecommendVideos => Plan { only: &[Video], favour: &[] },
        Intent::FindTemplate => Plan { only: &[Template], favour: &[] },
        Intent::HandleObjection => Plan {
            only: &[],
            favour: &[
                (Objection, 1.5),
                (Qa, 1.1),
                (Faq, 1.05),
                (Template, 0.9),
                (Video, 0.7),
                (Company, 0.8),
            ],
        },
        Intent::CompareCompetitor => {
            Plan { only: &[], favour: &[(Competitor, 1.5), (Template, 0.8), (Video, 0.7), (Company, 0.8)] }
        }
        Intent::CustomerBrief => Plan {
            only: &[],
            favour: &[(Case, 1.3), (Qa, 1.15), (Template, 0.8), (Video, 0.8), (Product, 0.8)],
        },
        Intent::ProductQuestion => Plan {
            only: &[],
            favour: &[
                (Product, 1.12),
                (Faq, 1.06),
                (Objection, 0.7),
                (Template, 0.75),
                (Video, 0.75),
                (Competitor, 0.8),
                (Case, 0.85),
                (Company, 0.9),
            ],
        },
        Intent::ServiceQuestion => Plan {
            only: &[],
            favour: &[
                (Service, 1.12),
                (Faq, 1.06),
                (Objection, 0.7),
                (Template, 0.75),
                (Video, 0.75),
                (Competitor, 0.8),
                (Case, 0.8),
            ],
        },
        Intent::Other => {
            Plan { only: &[], favour: &[(Company, 1.1), (Template, 0.8), (Video, 0.8), (Objection, 0.9)] }
        }
    }
}

/// How passages are searched for; the default is what answers are made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ranking {
    /// Which sides answer.
    pub mode: Mode,
    /// Weights other than the index's own.
    pub settings: Option<Settings>,
}

/// The passages that an answer may use, best first, scores after the intent's say.
///
/// # Errors
/// As [`Index::search`].
pub(crate) fn retrieve(
    question: &Understanding,
    index: &Index,
    (audience, day): (Audience, Date),
    ranking: Ranking,
) -> Result<Vec<Passage>, RetrievalError> {
    let query = query(question, (audience, day), (index, ranking.mode));
    let mut passages = index.search_with(&query, ranking.settings.unwrap_or(index.settings()))?;
    for passage in &mut passages {
        let [kind, model, language] = factors(question, passage).map(|(_, factor)| factor);
        passage.score *= kind * model * language;
    }
    passages.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.id.cmp(&b.chunk.id)));
    for (i, passage) in passages.iter_mut().enumerate() {
        passage.rank = i + 1;
    }
    Ok(passages)
}

/// What is searched for, for a question as it was understood.
pub(crate) fn query(
    question: &Understanding,
    (audience, day): (Audience, Date),
    (index, mode): (&Index, Mode),
) -> Query {
    Query {
        text: search_text(question, index),
        audience,
        day,
        filters: Filters { kind: plan(question.intent).only.to_vec(), ..Filters::default() },
        mode,
        top_k: LOOKED_AT,
    }
}

/// What a passage's score is multiplied with after the search, and why.
pub(crate) fn factors(question: &Understanding, passage: &Passage) -> [(Factor, f32); 3] {
    let kind = passage.document.kind;
    let favour = plan(question.intent).favour.iter().find(|(favoured, _)| *favoured == kind);
    [
        (Factor::Kind, favour.map_or(1.0, |(_, factor)| *factor)),
        (Factor::Model, model_factor(question, passage)),
        (Factor::Language, language_factor(question, passage)),
    ]
}

/// Of several models named a passage should speak of all: what compares them stands before what is about one.
fn model_factor(question: &Understanding, passage: &Passage) -> f32 {
    if question.models.is_empty() {
        return 1.0;
    }
    let n_named = question.models.iter().filter(|model| is_about(&passage.document, model)).count();
    let n_spoken = question.models.iter().filter(|model| speaks_of(passage, model)).count();
    if n_spoken == 0 {
        OTHER_MODEL_FACTOR
    } else if n_named == question.models.len()
        || n_spoken == question.models.len() && question.models.len() > 1
    {
        OWN_MODEL_FACTOR
    } else {
        1.0
    }
}

/// A reader of Chinese is better served by a Chinese source of the same fact, a reader of English by an English one.
fn language_factor(question: &Understanding, passage: &Passage) -> f32 {
    let is_chinese = passage.document.title.chars().any(is_han);
    match (question.language, is_chinese) {
        (Language::Chinese, false) => 0.85,
        (Language::English, false) => 1.1,
        _ => 1.0,
    }
}

/// The question, other words for what the knowledge says otherwise, and for intents that turn on the customer, what is
/// known of them.
fn search_text(question: &Understanding, index: &Index) -> String {
    let customer = &question.customer;
    let mut text = question.text.clone();
    if matches!(question.intent, Intent::FindCases | Intent::RecommendVideos | Intent::FindTemplate) {
        let facts = [
            &customer.industry,
            &customer.needs,
            &customer.scenario,
            &customer.company_size,
            &customer.region,
        ];
        for fact in facts.into_iter().flatten() {
            text.push(' ');
            text.push_str(fact);
        }
    }
    for word in question.words.iter().filter(|word| word.is_absent) {
        for words in word.said_otherwise(index).take(2) {
            text.push(' ');
            text.push_str(&words.join(" "));
        }
    }
    if question.intent == Intent::CustomerBrief {
        for fact in [&customer.name, &customer.industry].into_iter().flatten() {
            text.push(' ');
            text.push_str(fact);
        }
    }
    text
}
