//! Cases that fit a customer: what was found by meaning, weighed with how the profiles match.

use std::collections::HashMap;
use std::sync::Arc;

use flightdeck_corpus::{Audience, Document, DocumentId, Profile};
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, Passage, fold_text};

use crate::answer::Intent;
use crate::draft::Draft;
use crate::question::{Language, Understanding};
use crate::units::{Evidence, Form, units};

/// Cases shown, at most.
const CASES: usize = 5;
/// Behind the first three, a case is shown from this share of the best one's score on.
const CLOSE: f32 = 0.7;
/// Cases that are shown however far they stand behind.
const FIRST: usize = 3;
/// Weight of each matching facet against a retrieval score of 1.
const INDUSTRY: f32 = 0.35;
const PRODUCT: f32 = 0.15;
const SCENARIO: f32 = 0.15;
const SIZE: f32 = 0.10;
const REGION: f32 = 0.12;

/// A case with its score and the facets that match.
struct Match<'a> {
    document: &'a Arc<Document>,
    score: f32,
    facets: Vec<String>,
}

/// Orders the documents of the passages by fit, best first, and puts their passages in that order.
pub(crate) fn rank(question: &Understanding, passages: &mut [Passage]) {
    let scores = fits_of(question, passages);
    let score_of = |passage: &Passage| scores.get(&passage.document.id).copied().unwrap_or(0.0);
    passages.sort_by(|a, b| {
        score_of(b)
            .total_cmp(&score_of(a))
            .then(b.score.total_cmp(&a.score))
            .then_with(|| a.chunk.id.cmp(&b.chunk.id))
    });
}

/// How well each case of the passages fits: the score of its best passage against the best of all, and what its profile
/// has in common with the customer's.
pub(crate) fn fits_of(question: &Understanding, passages: &[Passage]) -> HashMap<DocumentId, f32> {
    by_fit(question, passages).into_iter().map(|(document, score)| (document.id.clone(), score)).collect()
}

/// The cases of the passages with how well they fit, best first.
pub(crate) fn by_fit<'a>(question: &Understanding, passages: &'a [Passage]) -> Vec<(&'a Arc<Document>, f32)> {
    matches(question, passages).into_iter().map(|found| (found.document, found.score)).collect()
}

fn matches<'a>(question: &Understanding, passages: &'a [Passage]) -> Vec<Match<'a>> {
    let best = passages.iter().map(|p| p.score).fold(f32::EPSILON, f32::max);
    let mut found: Vec<Match<'a>> = Vec::new();
    for passage in passages {
        let document = &passage.document;
        match found.iter_mut().find(|known| known.document.id == document.id) {
            Some(known) => known.score = known.score.max(passage.score / best),
            None => found.push(Match { document, score: passage.score / best, facets: Vec::new() }),
        }
    }
    let profiles: Vec<&Profile> = found.iter().map(|case| &case.document.profile).collect();
    let rarity = rarity_among(profiles);
    for case in &mut found {
        let (gain, facets) = facets(question, case.document, &rarity);
        case.score += gain;
        case.facets = facets;
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.document.id.cmp(&b.document.id)));
    found
}

/// A label that most of some profiles bear says little about which of them fits: it counts by its rarity, 0 to 1.
pub(crate) fn rarity_among(profiles: Vec<&Profile>) -> impl Fn(&str) -> f32 {
    let n_profiles = (profiles.len() as f32).max(2.0);
    move |label| {
        let bearers = profiles.iter().filter(|profile| bears(profile, label)).count().max(1) as f32;
        (1.0 + n_profiles / bearers).ln() / (1.0 + n_profiles).ln()
    }
}

/// How well a document's profile fits the question and the customer, and in what.
pub(crate) fn facets(
    question: &Understanding,
    document: &Document,
    rarity: &dyn Fn(&str) -> f32,
) -> (f32, Vec<String>) {
    let customer = &question.customer;
    let asked = fold_text(&question.text);
    let known = |value: &Option<String>| value.as_deref().map(fold_text).unwrap_or_default();
    let mut gain = 0.0;
    let mut names = Vec::new();
    let mut try_list = |values: &[String], theirs: &str, weight: f32| {
        let hits = values.iter().filter(|value| {
            let value = fold_text(value);
            fits(&value, &asked) || (!theirs.is_empty() && (fits(&value, theirs) || fits(theirs, &value)))
        });
        // The rarest label that fits is the closest one.
        let rarest =
            hits.map(|hit| (rarity(hit), hit)).reduce(|best, next| if next.0 > best.0 { next } else { best });
        if let Some((rarity, hit)) = rarest {
            gain += weight * rarity;
            names.push(hit.clone());
        }
    };
    let needs = format!("{} {}", known(&customer.needs), known(&customer.scenario));
    try_list(&document.profile.industry, &known(&customer.industry), INDUSTRY);
    try_list(&document.profile.product, needs.trim(), PRODUCT);
    try_list(&document.profile.scenario, needs.trim(), SCENARIO);
    try_list(document.profile.company_size.as_slice(), &known(&customer.company_size), SIZE);
    try_list(document.profile.region.as_slice(), &known(&customer.region), REGION);
    (gain, names)
}

/// Whether a profile bears the label in any of its lists.
fn bears(profile: &Profile, label: &str) -> bool {
    [&profile.industry, &profile.product, &profile.scenario].into_iter().flatten().any(|value| value == label)
        || [&profile.company_size, &profile.region].into_iter().flatten().any(|value| value == label)
}

/// Whether `value` stands in `text`, or most of its pairs of characters do (`饮料厂` fits `茶饮料`).
fn fits(value: &str, text: &str) -> bool {
    if value.is_empty() || text.is_empty() {
        return false;
    }
    if text.contains(value) {
        return true;
    }
    let chars: Vec<char> = value.chars().collect();
    let pairs: Vec<String> = chars.windows(2).map(|pair| pair.iter().collect()).collect();
    let found = pairs.iter().filter(|pair| text.contains(pair.as_str())).count();
    !pairs.is_empty() && found > 0 && found * 3 >= pairs.len()
}

/// Whether a colleague asks which cases fit a customer, so that the nearest ones help although none is of their kind:
/// `适合发哪些案例`, not `有没有烟草厂的案例`, where the answer is that there is none.
pub(crate) fn is_for_a_customer(question: &Understanding) -> bool {
    const FIT: &[&str] = &[
        "适合",
        "合适",
        "发哪",
        "该发",
        "能发",
        "推荐哪",
        "参考哪",
        "fit",
        "suit",
        "should i send",
        "to send",
    ];
    const WHETHER: &[&str] =
        &["有没有", "有无", "找一个", "找个", "是否有", "any case", "is there", "are there", "do we have"];
    let folded = fold_text(&question.text);
    let says = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    question.intent == Intent::FindCases
        && question.audience == Audience::Internal
        && says(FIT)
        && !says(WHETHER)
}

/// Writes up to five cases: who, why it fits, what came out, what to send. Where the knowledge supports none of them as
/// an answer, the first three, said to be no more than the nearest.
pub(crate) fn compose(
    question: &Understanding,
    passages: &[Passage],
    index: &Index,
    is_supported: bool,
    draft: &mut Draft,
) {
    let zh = question.language == Language::Chinese;
    let mut found = matches(question, passages);
    let best = found.first().map_or(0.0, |case| case.score);
    if is_to_be_sent(question) && found.iter().any(|case| case.document.audience == Audience::Customer) {
        found.retain(|case| case.document.audience == Audience::Customer);
    }
    let n_close = found.iter().filter(|case| case.score >= CLOSE * best).count();
    found.truncate(if is_supported { n_close.clamp(FIRST, CASES) } else { FIRST });
    if !is_supported && !found.is_empty() {
        draft.frame(question.language.pick(
            "知识库里没有同类客户的案例。下面是最接近的，发之前看看合不合适：\n",
            "The knowledge has no case of a customer of this kind. These are the nearest; see whether they fit:\n",
        ));
    }
    let knows_customer = question.customer != CustomerProfile::default();
    let fits_nothing = !knows_customer && found.iter().all(|case| case.facets.is_empty());
    for (nth, case) in found.into_iter().enumerate() {
        let document = case.document;
        let mut evidence = evidence(question, document, index);
        if evidence.is_empty() {
            continue;
        }
        draft.line().frame(if nth == 0 { "" } else { "\n" });
        draft.frame(&format!("**{}. {}**", nth + 1, crate::draft::without_marks(&document.title)));
        let place = place(document);
        if !place.is_empty() {
            draft.frame(&if zh { format!("（{place}）") } else { format!(" ({place})") });
        }
        if !case.facets.is_empty() {
            let why = case.facets.join(if zh { "、" } else { ", " });
            draft.line().frame(&if zh {
                format!("- 合适在：{why}")
            } else {
                format!("- Fits in: {why}")
            });
        }
        let apart = differences(&question.customer, document, question.language);
        if !apart.is_empty() {
            let apart = apart.join(question.language.pick("；", "; "));
            draft.line().frame(&if zh {
                format!("- 不同在：{apart}")
            } else {
                format!("- Differs in: {apart}")
            });
        }
        evidence.truncate(2);
        for piece in &evidence {
            draft.line().frame("- ").state(piece);
        }
        if let Some(link) = &document.link {
            draft.line().frame(&if zh {
                format!("- 可发送：{link}")
            } else {
                format!("- To send: {link}")
            });
        }
    }
    if fits_nothing && !draft.is_empty() {
        let ask = question.language.pick(
            "\n想更准：客户是哪个行业、多大规模、最头疼什么？说一样就够。",
            "\nTo be more exact: which industry is the customer in, how large are they, what is their main trouble?",
        );
        draft.line().frame(ask);
    }
}

/// Whether the cases are to be sent on, so that what is internal is of no use.
fn is_to_be_sent(question: &Understanding) -> bool {
    const WORDS: &[&str] =
        &["发哪", "发什么", "能发", "可以发", "发给", "外发", "发几", "to send", "send to", "share with"];
    let folded = fold_text(&question.text);
    WORDS.iter().any(|word| folded.contains(word))
}

/// In what the case is not like the customer, as far as both are known.
fn differences(customer: &CustomerProfile, document: &Document, language: Language) -> Vec<String> {
    let profile = &document.profile;
    let mut apart = Vec::new();
    let mut compare = |theirs: &Option<String>, cases: &[String], chinese: &str, english: &str| {
        let Some(theirs) = theirs.as_deref().filter(|value| !value.trim().is_empty()) else { return };
        let folded = fold_text(theirs);
        let is_alike = cases.iter().any(|value| {
            let value = fold_text(value);
            fits(&value, &folded) || fits(&folded, &value)
        });
        if !cases.is_empty() && !is_alike {
            let (cases, theirs) = (cases.join("、"), theirs.trim());
            apart.push(match language {
                Language::Chinese => format!("{chinese}是{cases}，客户是{theirs}"),
                Language::English => format!("{english} {cases}, the customer is {theirs}"),
            });
        }
    };
    compare(&customer.industry, &profile.industry, "行业", "industry");
    compare(&customer.company_size, profile.company_size.as_slice(), "规模", "size");
    compare(&customer.region, profile.region.as_slice(), "地区", "region");
    apart
}

/// Industry, size and region of a case in one line.
fn place(document: &Document) -> String {
    let profile = &document.profile;
    let mut parts: Vec<String> = Vec::new();
    if !profile.industry.is_empty() {
        parts.push(profile.industry.join("、"));
    }
    parts.extend(profile.company_size.clone());
    parts.extend(profile.region.clone());
    parts.join(" · ")
}

/// The result of a case in its own figures; `None` where it has no section that says it.
pub(crate) fn result(question: &Understanding, document: &Arc<Document>, index: &Index) -> Option<Evidence> {
    weighed(question, document, index).0
}

/// The result in the case's own figures first, then what the question asks most about.
pub(crate) fn evidence(question: &Understanding, document: &Arc<Document>, index: &Index) -> Vec<Evidence> {
    let (result, other) = weighed(question, document, index);
    [result, other].into_iter().flatten().collect()
}

/// The best statement of the case's result, and the best of all others.
fn weighed(
    question: &Understanding,
    document: &Arc<Document>,
    index: &Index,
) -> (Option<Evidence>, Option<Evidence>) {
    let mut results: Vec<(f32, Evidence)> = Vec::new();
    let mut others: Vec<(f32, Evidence)> = Vec::new();
    for chunk in index.chunks(&document.id) {
        let mut heading = chunk.location.heading.join(" ").to_lowercase();
        for unit in units(document, chunk) {
            if unit.form == Form::Heading {
                heading = unit.words.to_lowercase();
                continue;
            }
            let length = unit.words.chars().count();
            if length < 8 {
                continue;
            }
            let terms = index.terms(&unit.words);
            let figures =
                unit.words.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).count();
            let coverage = question.coverage(&terms);
            let is_result = ["结果", "成效", "效果", "收益", "result", "outcome", "結果"]
                .iter()
                .any(|word| heading.contains(word));
            let evidence = Evidence { document: document.clone(), chunk: chunk.clone(), unit };
            let figures = figures.min(4) as f32;
            if is_result {
                results.push((coverage + 0.15 * figures, evidence));
            } else {
                others.push((coverage + 0.03 * figures, evidence));
            }
        }
    }
    let best = |list: Vec<(f32, Evidence)>| {
        list.into_iter()
            .reduce(|best, next| if next.0 > best.0 { next } else { best })
            .map(|(_, evidence)| evidence)
    };
    (best(results), best(others))
}
