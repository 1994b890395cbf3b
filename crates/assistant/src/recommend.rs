//! Which of the company's machines fits a customer: their sheets weighed as cases are, and of each what it does, what of it
//! the question asks about, and a customer who has it.

use std::collections::HashSet;
use std::sync::Arc;

use flightdeck_corpus::{Audience, Document};
use flightdeck_retrieval::{Index, Passage, RetrievalError, fold_text, is_han};
use jiff::civil::Date;

use crate::answer::Intent;
use crate::cases;
use crate::draft::{Draft, without_marks};
use crate::facts::NEARNESS_WEIGHT;
use crate::plan::{self, Ranking};
use crate::products::sheet_of;
use crate::quantities::{Rate, rates};
use crate::question::{Understanding, models};
use crate::units::{Evidence, Form, Unit, cosine_over, units};

/// Machines shown, at most.
const MACHINES: usize = 3;
/// Behind the first, a machine is shown from this share of its score on.
const CLOSE: f32 = 0.6;
/// A case is shown from this share of the best one's fit on.
const LIKE: f32 = 0.75;
/// What the share of the question that stands in a sheet is worth, beside its best passage's share of the best score.
const COVERAGE: f32 = 0.5;
/// What the best case about the machine is worth, times its fit's share of the best one's.
const HAS_ONE: f32 = 0.5;
/// What a sentence is worth, as evidence, that says that a machine does as much in a time as is asked for; half of it for one
/// that names another rate.
const KEEPS_UP: f32 = 1.0;
/// Among so many sentences and rows a sheet's first figure is looked for.
const OPENING: usize = 6;
/// A sentence that says what a machine is has at least so many characters.
const SENTENCE: usize = 12;

/// Phrases that ask for a machine to be named.
const ASKS: &[&str] = &[
    "哪款",
    "哪台",
    "哪个型号",
    "哪种型号",
    "什么型号",
    "哪个机型",
    "什么机型",
    "哪种机",
    "用什么",
    "推荐什么",
    "选什么",
    "上什么",
];

/// A machine with its score, what of its profile fits, and the best case of it.
struct Fit<'a> {
    sheet: &'a Arc<Document>,
    score: f32,
    facets: Vec<String>,
    case: Option<&'a Arc<Document>>,
}

/// What kind of machine the question asks to have named (`灌装`), where it names none by its number.
pub(crate) fn kind_asked(question: &Understanding) -> Option<String> {
    let folded = fold_text(&question.text);
    // Who asks for one each (`分别`) asks several questions at once.
    let asks = question.models.is_empty()
        && ASKS.iter().any(|phrase| folded.contains(phrase))
        && !["分别", "各自"].iter().any(|word| folded.contains(word));
    asks.then(|| kind_in(&folded)).flatten()
}

/// The two characters before the first `机` that has two and is no `机器` or `机型`.
pub(crate) fn kind_in(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    (2..chars.len())
        .filter(|at| chars[*at] == '机' && !matches!(chars.get(at + 1), Some('器' | '型')))
        .map(|at| &chars[at - 2..at])
        .find(|kind| {
            kind.iter().all(|c| is_han(*c) && !['款', '么', '的', '种', '台', '些', '哪'].contains(c))
        })
        .map(|kind| kind.iter().collect())
}

/// Writes which machines fit. Where the company has none of the kind nothing is written, and it is `false` if what was found
/// speaks of the kind all the same.
///
/// # Errors
/// As [`Index::search`], which looks for the cases.
pub(crate) fn compose(
    question: &Understanding,
    kind: &str,
    passages: &[Passage],
    index: &Index,
    (audience, day): (Audience, Date),
    draft: &mut Draft,
) -> Result<bool, RetrievalError> {
    let sheets = index.served(audience, day).filter(|document| {
        sheet_of(document, question.language).is_some()
            && is_of_kind(document, kind)
            && index.superseded_by(&document.id, audience, day).is_none()
    });
    let mut sheets: Vec<&Arc<Document>> = sheets.collect();
    if sheets.is_empty() {
        let machine = format!("{kind}机");
        let speaks_of_it = |passage: &Passage| {
            let words = [passage.document.title.as_str(), passage.chunk.text(&passage.document)];
            words.iter().any(|words| fold_text(words).contains(&machine))
        };
        return Ok(!passages.iter().any(speaks_of_it));
    }
    let wanted = rates(&question.text).into_iter().next();
    if let Some(wanted) = &wanted
        && !keep_fast_enough(&mut sheets, |sheet| most_of(sheet, kind, wanted, index), wanted.per_hour)
    {
        draft.line().frame(question.language.pick(
            "按资料里的数字，没有一台达到所问的产能，最接近的是：",
            "By the figures in the knowledge no machine does as much; the nearest:",
        ));
        draft.line();
    }
    let for_cases = Understanding { intent: Intent::FindCases, ..question.clone() };
    let of_cases = plan::retrieve(&for_cases, index, (audience, day), Ranking::default())?;
    let cases = cases::by_fit(&for_cases, &of_cases);
    let rarity = cases::rarity_among(sheets.iter().map(|sheet| &sheet.profile).collect());
    let mut fits: Vec<Fit<'_>> =
        sheets.iter().map(|sheet| fit(question, sheet, &rarity, (passages, &cases), index)).collect();
    fits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.sheet.id.cmp(&b.sheet.id)));
    let best = fits[0].score;
    fits.retain(|fit| fit.score >= CLOSE * best);
    fits.truncate(MACHINES);
    let vector = index.question_vector(&question.text).unwrap_or_default();
    let asked = Asked { question, kind, wanted: wanted.as_ref(), vector: &vector };
    for (nth, fit) in fits.iter().enumerate() {
        draft.line().frame(if nth == 0 { "" } else { "\n" });
        draft.frame(&format!("**{}. {}**", nth + 1, without_marks(&fit.sheet.title)));
        if !fit.facets.is_empty() {
            let why = fit.facets.join(question.language.pick("、", ", "));
            draft.line().frame(&format!("- {}{why}", question.language.pick("合适在：", "Fits in: ")));
        }
        for evidence in evidence(asked, fit.sheet, index) {
            draft.line().frame("- ").state(&evidence);
        }
        // What a case says of another machine would speak for the wrong one.
        let is_about_this = |evidence: &Evidence| is_of_its_own(&evidence.unit.words, fit.sheet, asked.kind);
        let stated = fit.case.map(|case| cases::evidence(question, case, index)).unwrap_or_default();
        if let Some(result) = stated.into_iter().find(is_about_this) {
            let customer = without_marks(&result.document.title);
            draft
                .line()
                .frame(&format!("- {}", question.language.pick("在用的客户：", "A customer who has it: ")));
            draft.frame(&format!("{customer} — ")).state(&result);
        }
        if let Some(link) = &fit.sheet.link {
            draft.line().frame(&format!("- {}{link}", question.language.pick("可发送：", "To send: ")));
        }
    }
    Ok(true)
}

/// Leaves the machines that do at least `wanted` pieces in an hour or whose sheets do not say; where all say less, the fastest,
/// and returns `false`.
fn keep_fast_enough(
    sheets: &mut Vec<&Arc<Document>>,
    most: impl Fn(&Document) -> Option<f64>,
    wanted: f64,
) -> bool {
    let stated: Vec<f64> = sheets.iter().map(|sheet| most(sheet).unwrap_or(f64::INFINITY)).collect();
    let fastest = stated.iter().copied().fold(0.0, f64::max);
    let least = wanted.min(fastest);
    let mut stated = stated.into_iter();
    sheets.retain(|_| stated.next().is_some_and(|most| most >= least));
    fastest >= wanted
}

/// Whether a sheet's title, tags or keywords name the kind of machine.
pub(crate) fn is_of_kind(sheet: &Document, kind: &str) -> bool {
    sheet
        .tags
        .iter()
        .chain(&sheet.keywords)
        .chain([&sheet.title])
        .any(|words| fold_text(words).contains(kind))
}

/// How well a machine fits: as its sheet was found, as its profile fits, as much of the question as its sheet says, and as well
/// as the best case fits that is about it.
fn fit<'a>(
    question: &Understanding,
    sheet: &'a Arc<Document>,
    rarity: &dyn Fn(&str) -> f32,
    (passages, cases): (&[Passage], &[(&'a Arc<Document>, f32)]),
    index: &Index,
) -> Fit<'a> {
    let best = passages.first().map_or(1.0, |passage| passage.score.max(f32::EPSILON));
    let own = passages.iter().find(|passage| passage.document.id == sheet.id);
    let own = own.map_or(0.0, |passage| passage.score / best);
    let machine = models(&fold_text(&sheet.title));
    let is_about_it = |case: &Document| {
        let products = case.profile.product.iter();
        products.flat_map(|name| models(&fold_text(name))).any(|name| machine.contains(&name))
    };
    let best = cases.first().map_or(1.0, |(_, fit)| fit.max(f32::EPSILON));
    let case = cases.iter().find(|(case, _)| is_about_it(case)).filter(|(_, fit)| *fit >= LIKE * best);
    let mut text = format!("{}\n{}", sheet.title, sheet.keywords.join("\n"));
    for chunk in index.chunks(&sheet.id) {
        text.push('\n');
        text.push_str(&sheet.text[chunk.span.clone()]);
    }
    let (gain, facets) = cases::facets(question, sheet, rarity);
    let score = own
        + gain
        + COVERAGE * question.coverage(&index.terms(&text))
        + HAS_ONE * case.map_or(0.0, |(_, fit)| fit / best);
    Fit { sheet, score, facets, case: case.map(|(case, _)| *case) }
}

/// Whether what is said is said of the sheet's own machine: neither another model nor another kind of machine is named.
fn is_of_its_own(words: &str, sheet: &Document, kind: &str) -> bool {
    let folded = fold_text(words);
    let own = models(&fold_text(&sheet.title));
    models(&folded).iter().all(|model| own.contains(model))
        && kind_in(&folded).is_none_or(|named| named == kind)
}

/// The most pieces in an hour that a sheet says of its machine; `None` where it says no such rate.
fn most_of(sheet: &Document, kind: &str, wanted: &Rate, index: &Index) -> Option<f64> {
    let units = index.chunks(&sheet.id).iter().flat_map(|chunk| units(sheet, chunk));
    let own = units.filter(|unit| is_of_its_own(&unit.words, sheet, kind));
    let stated = own.flat_map(|unit| rates(&unit.words)).filter(|rate| rate.of == wanted.of);
    stated.map(|rate| rate.per_hour).reduce(f64::max)
}

/// What was asked, for weighing a sheet's sentences.
#[derive(Clone, Copy)]
struct Asked<'a> {
    question: &'a Understanding,
    kind: &'a str,
    /// How much a machine must do in a time.
    wanted: Option<&'a Rate>,
    /// Of the question; empty where there is none.
    vector: &'a [f32],
}

impl Asked<'_> {
    /// What a sentence is worth for saying how much the machine does.
    fn rate_gain(self, words: &str, sheet: &Document) -> f32 {
        let Some(wanted) = self.wanted.filter(|_| is_of_its_own(words, sheet, self.kind)) else { return 0.0 };
        let stated = rates(words).into_iter().filter(|rate| rate.of == wanted.of);
        match stated.map(|rate| rate.per_hour).reduce(f64::max) {
            Some(most) if most >= wanted.per_hour => KEEPS_UP,
            Some(_) => KEEPS_UP / 2.0,
            None => 0.0,
        }
    }
}

/// What a sheet says first of its machine, a figure if it can, and what else of it comes nearest to the question.
fn evidence(asked: Asked<'_>, sheet: &Arc<Document>, index: &Index) -> Vec<Evidence> {
    let Asked { question, kind, vector, .. } = asked;
    // Every sentence of a sheet may say what kind of machine it is.
    let kind: HashSet<String> = index.terms(kind);
    let mut found: Vec<(f32, Evidence)> = Vec::new();
    for chunk in index.chunks(&sheet.id) {
        let stretches = if vector.is_empty() { Vec::new() } else { index.nearness(vector, sheet, chunk) };
        for unit in units(sheet, chunk) {
            if !says_something(&unit, sheet) {
                continue;
            }
            let mut terms = index.terms(&unit.words);
            terms.retain(|term| !kind.contains(term));
            let cosine = cosine_over(&stretches, &unit.span).unwrap_or(0.0);
            let near =
                question.coverage(&terms) + NEARNESS_WEIGHT * cosine + asked.rate_gain(&unit.words, sheet);
            found.push((near, Evidence { document: sheet.clone(), chunk: chunk.clone(), unit }));
        }
    }
    let Some(first) = opening_place(found.iter().map(|(_, evidence)| &evidence.unit)) else {
        return Vec::new();
    };
    let (_, first) = found.remove(first);
    let nearest = found.into_iter().reduce(|best, next| if next.0 > best.0 { next } else { best });
    [first].into_iter().chain(nearest.map(|(_, evidence)| evidence)).collect()
}

/// Whether a unit says something of a sheet's machine, and is no heading or label.
fn says_something(unit: &Unit, sheet: &Document) -> bool {
    unit.form != Form::Heading && unit.words.chars().count() >= SENTENCE && unit.words != sheet.title
}

/// Where among what a sheet says it says first what its machine is, a figure if it can.
fn opening_place<'u>(units: impl Iterator<Item = &'u Unit>) -> Option<usize> {
    let figures: Vec<bool> =
        units.take(OPENING).map(|unit| unit.words.bytes().any(|b| b.is_ascii_digit())).collect();
    (!figures.is_empty()).then(|| figures.iter().position(|has_figure| *has_figure).unwrap_or(0))
}

/// What a sheet says, in its order.
pub(crate) fn statements(sheet: &Arc<Document>, index: &Index) -> Vec<Evidence> {
    let mut said: Vec<Evidence> = Vec::new();
    for chunk in index.chunks(&sheet.id) {
        let units = units(sheet, chunk).into_iter().filter(|unit| says_something(unit, sheet));
        said.extend(units.map(|unit| Evidence { document: sheet.clone(), chunk: chunk.clone(), unit }));
    }
    said
}

/// What a sheet says first of its machine.
pub(crate) fn opening(sheet: &Arc<Document>, index: &Index) -> Option<Evidence> {
    let mut said = statements(sheet, index);
    opening_place(said.iter().map(|evidence| &evidence.unit)).map(|place| said.swap_remove(place))
}

#[cfg(test)]
mod tests {
    use super::kind_in;

    #[test]
    fn the_kind_of_machine_is_what_stands_before_it() {
        assert_eq!(kind_in("推荐哪款灌装机").as_deref(), Some("灌装"));
        assert_eq!(kind_in("这台机器配哪台贴标机").as_deref(), Some("贴标"));
        assert_eq!(kind_in("用什么机器好"), None);
        assert_eq!(kind_in("哪款机"), None);
    }
}
