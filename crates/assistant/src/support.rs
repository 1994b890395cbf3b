//! Whether the passages support an answer: one number from 0 to 1, from a few signs.
//!
//! How near the best passage is, how much of the question's meaning stands in one passage, how much is carried by
//! words that stand elsewhere or nowhere in the knowledge. The weights are those of a logistic function fitted to
//! the sample questions by `cargo run --release -p flightdeck-eval --example fit_support`, which also prints what
//! they are worth on questions that the fit did not see; `docs/measurements.md` has the table.

use std::collections::HashSet;

use flightdeck_corpus::{Audience, Document};
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, Passage, fold_text};
use serde::Serialize;

use crate::answer::Intent;
use crate::question::{Language, Understanding};

/// Below this an answer is refused.
pub(crate) const THRESHOLD: f32 = 0.5;

/// The signs, before they are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "independent signs, not a state")]
pub struct Signs {
    /// Cosine of the question and the nearest passage as a whole: a single sentence of it lies as near to questions
    /// that it leaves open as to those that it answers.
    pub nearest: f32,
    /// How far the nearest passage stands out from the last of those looked at, in cosine.
    pub margin: f32,
    /// Largest share of the question's meaning that stands in one of the first passages, its headings and keywords.
    pub coverage: f32,
    /// Share of the meaning that this passage lacks, in words that the knowledge has elsewhere.
    pub elsewhere: f32,
    /// Share of the meaning that this passage lacks, in words that stand nowhere in the knowledge.
    pub nowhere: f32,
    /// Length of the question in units of 20 characters: the longer it is, the less of it one passage repeats.
    pub length: f32,
    /// Whether the question is in a language with other cosines than Chinese.
    pub english: bool,
    /// Whether the question has no content words: it leans on the customer's profile alone.
    pub bare: bool,
    /// Whether a thing to send or a way to answer is looked for, rather than a fact.
    pub finding: bool,
    /// Whether a model number is named that no passage speaks of.
    pub foreign_model: bool,
    /// Whether a customer asks for what only the company may know.
    pub fishing: bool,
}

/// Reads the signs off the passages that an answer would use.
pub(crate) fn signs(
    question: &Understanding,
    passages: &[Passage],
    audience: Audience,
    index: &Index,
) -> Signs {
    let mut cosines: Vec<f32> = passages.iter().filter_map(|p| p.scores.whole).collect();
    cosines.sort_by(|a, b| b.total_cmp(a));
    let nearest = cosines.first().copied().unwrap_or(0.0);
    let margin = nearest - cosines.last().copied().unwrap_or(0.0);
    let own =
        |p: &&Passage| question.models.is_empty() || question.models.iter().any(|model| speaks_of(p, model));
    let mut best = (0.0, (0.0, 0.0));
    for passage in passages.iter().filter(own).take(READ) {
        let terms = passage_terms(passage, index);
        let coverage = question.coverage_beyond_models(&terms);
        if coverage >= best.0 {
            best = (coverage, question.missing(&terms));
        }
    }
    let is_finding = matches!(
        question.intent,
        Intent::FindCases | Intent::RecommendVideos | Intent::FindTemplate | Intent::HandleObjection
    );
    let (coverage, (elsewhere, nowhere)) = best;
    let foreign_model = question.models.iter().any(|model| !passages.iter().any(|p| speaks_of(p, model)));
    Signs {
        nearest,
        margin,
        coverage,
        elsewhere,
        nowhere,
        length: (question.text.chars().count() as f32 / 20.0).min(LONGEST),
        english: question.language == Language::English,
        bare: question.words.is_empty() || (is_finding && question.customer != CustomerProfile::default()),
        finding: is_finding,
        foreign_model,
        fishing: audience == Audience::Customer && asks_for_internal(&question.text),
    }
}

/// Passages whose words are held against the question's.
const READ: usize = 6;

/// Whether a text asks for what is never for customers: floor prices, authorities, commissions, other customers'
/// prices, battle cards, or the assistant's own rules. Nothing internal is searched for a customer in any case; this
/// keeps public passages from being offered as the answer to such a question.
fn asks_for_internal(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "底价",
        "最低价",
        "最低成交",
        "成交价",
        "底线",
        "内部",
        "提成",
        "佣金",
        "折扣权限",
        "让到",
        "让步",
        "战卡",
        "批多少",
        "最高能批",
        "最低打",
        "打几折",
        "逾期",
        "欠款",
        "debug",
        "系统提示",
        "提示词",
        "忽略",
        "ignore",
        "system prompt",
        "floor price",
        "lowest price",
        "internal",
        "battle card",
        "commission",
        "多少钱签",
        "返利",
        "成本价",
        "进货价",
        "利润",
        "margin",
        "cost price",
    ];
    let folded = fold_text(text);
    WORDS.iter().any(|word| folded.contains(word))
}

/// A sign's part in the support score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SupportPart {
    /// The sign's name in [`Signs`].
    pub name: &'static str,
    /// The sign; 1 for one that is there.
    pub value: f32,
    /// What it adds to the logit of the support, whose bias is [`Signs::BIAS`].
    pub adds: f32,
}

impl Signs {
    /// What the logit of the support begins with: below 0, for support has to be shown.
    pub const BIAS: f32 = BIAS;

    /// What each sign adds to the logit of the support.
    pub fn parts(&self) -> [SupportPart; 10] {
        let flag = |set: bool| f32::from(u8::from(set));
        let part = |name, value, weight| SupportPart { name, value, adds: weight * value };
        [
            part("nearest", self.nearest, NEAREST),
            part("margin", self.margin, MARGIN),
            part("coverage", self.coverage, COVERAGE),
            part("elsewhere", self.elsewhere, ELSEWHERE),
            part("nowhere", self.nowhere, NOWHERE),
            part("length", self.length, LENGTH),
            part("english", flag(self.english), ENGLISH),
            part("bare", flag(self.bare), BARE),
            part("finding", flag(self.finding), FINDING),
            part("fishing", flag(self.fishing), FISHING),
        ]
    }

    /// The support score, 0 to 1.
    pub fn support(&self) -> f32 {
        if self.foreign_model {
            return 0.0;
        }
        let logit = self.parts().iter().fold(BIAS, |logit, part| logit + part.adds);
        1.0 / (1.0 + (-logit).exp())
    }
}

/// The fitted bias, raised so that half support falls where the fit's logit is -0.94: refusing wrongly costs a rep more
/// than an answer whose sources show that it misses, and two of the labelled questions lie so close under -0.9 that the
/// rounding of an embedder's kernel decides.
const BIAS: f32 = -39.399 + 0.94;
const NEAREST: f32 = 41.662;
const MARGIN: f32 = 6.278;
const COVERAGE: f32 = 2.369;
const ELSEWHERE: f32 = -2.071;
const NOWHERE: f32 = -2.225;
/// Beyond this a longer question says nothing more about support.
const LONGEST: f32 = 3.0;
const LENGTH: f32 = 1.758;
const ENGLISH: f32 = 0.557;
const BARE: f32 = 1.936;
const FINDING: f32 = 1.676;
const FISHING: f32 = -2.654;

/// All terms of a passage with its title, headings, keywords and profile.
pub(crate) fn passage_terms(passage: &Passage, index: &Index) -> HashSet<String> {
    let document = &passage.document;
    let mut text = passage.chunk.shown(document);
    let profile = &document.profile;
    let labels =
        [&document.title].into_iter().chain(&passage.chunk.location.heading).chain(&document.keywords);
    let labels = labels.chain(&document.tags).chain(&profile.product).chain(&profile.industry);
    for label in labels.chain(&profile.scenario).chain(&profile.region).chain(&profile.company_size) {
        text.push('\n');
        text.push_str(label);
    }
    index.terms(&text)
}

/// Whether the passage, its title or its products name the model (folded, without hyphens).
pub(crate) fn speaks_of(passage: &Passage, model: &str) -> bool {
    is_about(&passage.document, model)
        || passage.chunk.location.heading.iter().any(|heading| names_model(heading, model))
        || names_model(passage.chunk.text(&passage.document), model)
}

/// Whether the document's title or products name the model.
pub(crate) fn is_about(document: &Document, model: &str) -> bool {
    names_model(&document.title, model)
        || document.profile.product.iter().any(|product| names_model(product, model))
}

/// Whether a text names the model, however it is hyphenated there.
pub(crate) fn names_model(text: &str, model: &str) -> bool {
    fold_text(text).replace(['-', ' '], "").contains(model)
}
