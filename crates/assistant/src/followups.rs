//! What is worth asking next: at most three questions that the knowledge answers and the person has not just asked.
//!
//! Real questions come first, those that stand near this one in the knowledge and were not what was answered. Then what
//! a rep goes on to in such a conversation, with the product at hand put in, but only where there is something of the
//! kind to find: an offer of videos that ends in "there are none" is worse than no offer.

use std::collections::HashSet;

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_retrieval::{Index, Passage, is_han};
use jiff::civil::Date;

use crate::answer::{Citation, Intent};
use crate::claims::{Quantity, quantities};
use crate::question::{Language, Understanding};
use crate::support::is_about;

const MOST: usize = 3;
/// Questions of others that are offered, at most.
const OF_OTHERS: usize = 2;
/// How good the passage of such a question must be, against the best.
const NEAR: f32 = 0.5;
/// Share of words from which on two questions are one.
const SAME: f32 = 0.5;
const LONGEST_CHARS: usize = 40;

/// The questions, the most worthwhile first.
pub(crate) fn follow_ups(
    question: &Understanding,
    passages: &[Passage],
    citations: &[Citation],
    index: &Index,
    (audience, day): (Audience, Date),
) -> Vec<String> {
    let mut chosen = Chosen { index, asked: vec![words(index, &question.text)], questions: Vec::new() };
    let is_list =
        matches!(question.intent, Intent::FindCases | Intent::RecommendVideos | Intent::FindTemplate);
    // Behind a list of cases a stranger's question leads away.
    if !is_list {
        for title in of_others(question, passages, citations) {
            if chosen.questions.len() == OF_OTHERS {
                break;
            }
            chosen.add(title.to_owned());
        }
    }
    let product = product(question, citations);
    for suggestion in usual(question, product.as_deref(), index, (audience, day)) {
        chosen.add(suggestion);
    }
    chosen.questions.truncate(MOST);
    chosen.questions
}

/// What was chosen so far, and the words of all that it must not repeat.
struct Chosen<'i> {
    index: &'i Index,
    asked: Vec<HashSet<String>>,
    questions: Vec<String>,
}

impl Chosen<'_> {
    fn add(&mut self, question: String) {
        let words = words(self.index, &question);
        let repeats = self.asked.iter().any(|asked| {
            let smaller = asked.len().min(words.len()).max(1);
            asked.intersection(&words).count() as f32 / smaller as f32 >= SAME
        });
        if !repeats {
            self.asked.push(words);
            self.questions.push(question);
        }
    }
}

/// The words of a question by which it is told from others, model numbers left out: what is asked about one machine is
/// asked about another.
fn words(index: &Index, text: &str) -> HashSet<String> {
    let is_word =
        |word: &String| word.chars().any(char::is_alphabetic) && !word.bytes().any(|b| b.is_ascii_digit());
    index.words(text).into_iter().filter(is_word).collect()
}

/// Questions of the knowledge that stand near, best first.
fn of_others<'p>(question: &Understanding, passages: &'p [Passage], citations: &[Citation]) -> Vec<&'p str> {
    let best = passages.first().map_or(0.0, |passage| passage.score);
    // Whatever words it is asked in, what has the answer's leading figure for its answer was just answered.
    let lead: Option<Quantity> =
        citations.first().and_then(|citation| quantities(citation.quote()).into_iter().next());
    let says_the_same = |text: &str| {
        lead.as_ref().is_some_and(|lead| {
            quantities(text).iter().any(|other| (&other.number, &other.unit) == (&lead.number, &lead.unit))
        })
    };
    let near = passages.iter().filter(|passage| {
        let document = &passage.document;
        let is_question =
            matches!(document.kind, Kind::Faq | Kind::Qa) && document.title.ends_with(['？', '?']);
        let is_cited = citations.iter().any(|citation| citation.document().id == document.id);
        is_question
            && !is_cited
            && !says_the_same(passage.chunk.text(document))
            && passage.score >= NEAR * best
            && passage.superseded_by.is_none()
            && document.title.chars().count() <= LONGEST_CHARS
            && document.title.chars().any(is_han) == (question.language == Language::Chinese)
            && (question.models.is_empty() || question.models.iter().any(|model| is_about(document, model)))
    });
    near.map(|passage| passage.document.title.as_str()).collect()
}

/// The product that the conversation is about: the one that the question names, else the one that the leading source is
/// about.
fn product(question: &Understanding, citations: &[Citation]) -> Option<String> {
    let folded = |product: &str| flightdeck_retrieval::fold_text(product).replace(['-', ' '], "");
    let mut products = citations.iter().flat_map(|citation| &citation.document().profile.product);
    if let Some(model) = question.models.first() {
        return products.find(|product| folded(product) == *model).cloned();
    }
    let lead = citations.first()?;
    match lead.document().profile.product.as_slice() {
        [product] => Some(product.clone()),
        _ => None,
    }
}

/// Where such a conversation goes, as far as there is something to find.
fn usual(
    question: &Understanding,
    product: Option<&str>,
    index: &Index,
    (audience, day): (Audience, Date),
) -> Vec<String> {
    let is_there = |kind: Kind| {
        index.documents().any(|document: &Document| {
            document.kind == kind
                && audience.may_see(document.audience)
                && document.is_served_on(day)
                && product.is_none_or(|product| document.profile.product.iter().any(|of| of == product))
        })
    };
    let language = question.language;
    let internal = audience == Audience::Internal;
    let name = product.unwrap_or_default();
    let about = |zh: &str, en: &str, zh_all: &str, en_all: &str| match product {
        Some(_) => language.pick(zh, en).replace("{}", name),
        None => language.pick(zh_all, en_all).to_owned(),
    };
    let cases = is_there(Kind::Case).then(|| {
        about(
            "{} 有哪些客户案例？",
            "Which customer cases are there for {}?",
            "有哪些客户案例？",
            "Which customer cases are there?",
        )
    });
    let video = is_there(Kind::Video).then(|| {
        about(
            "有没有 {} 的视频？",
            "Is there a video of {}?",
            "有什么视频可以看？",
            "Which videos are there?",
        )
    });
    let price = product.map(|product| {
        language
            .pick("{} 多少钱，交期多久？", "What is the price and lead time of {}?")
            .replace("{}", product)
    });
    let of_all = |kind: Kind, zh: &str, en: &str| {
        let is_there = index.documents().any(|document| {
            document.kind == kind && audience.may_see(document.audience) && document.is_served_on(day)
        });
        is_there.then(|| language.pick(zh, en).to_owned())
    };
    let lead_time = of_all(Kind::Service, "交期一般多久？", "What is the lead time?");
    let warranty = of_all(
        Kind::Service,
        "保修多久，坏了多久能到现场？",
        "How long is the warranty and how fast is on-site service?",
    );
    // What only a rep would ask is not offered to customers.
    let for_reps = |question: Option<String>| question.filter(|_| internal);
    let expensive = for_reps(of_all(
        Kind::Objection,
        "客户说太贵了怎么回？",
        "What do I say when the customer finds it too expensive?",
    ));
    let template = for_reps(of_all(Kind::Template, "有没有报价单模板？", "Is there a quotation template?"));
    let wanted = match question.intent {
        Intent::FindCases => vec![video, price, template, warranty],
        Intent::HandleObjection => vec![cases, video, template, warranty],
        Intent::RecommendVideos | Intent::FindTemplate => vec![cases, price, expensive, warranty],
        Intent::CompareCompetitor => vec![cases, expensive, price, warranty],
        Intent::ServiceQuestion => vec![price, lead_time, cases, expensive],
        _ => vec![cases, price, warranty, expensive],
    };
    wanted.into_iter().flatten().collect()
}
