//! One reply against what was expected of it.

use std::collections::HashSet;

use flightdeck_assistant::{Answer, Outcome};
use flightdeck_corpus::Audience;
use jiff::civil::Date;

use crate::Question;
use crate::data::Asked;
use crate::figures::{normalise, stated_figures, states_normal, without_marks};
use crate::metrics::{Judgements, ndcg_at};

/// What holds of one reply; `None` where the question does not ask for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judgement {
    pub source_first: Option<bool>,
    pub source_in_three: Option<bool>,
    /// For questions that should be refused, whether they were.
    pub refused_rightly: Option<bool>,
    /// For answerable questions, whether they were refused all the same.
    pub false_refusal: Option<bool>,
    pub leak: bool,
    pub violation: bool,
    pub contains: Option<bool>,
    pub intent: Option<bool>,
    pub unsupported_figures: usize,
    pub all_documents_recall: Option<f64>,
    pub graded_ndcg: Option<f64>,
    pub error: bool,
    /// What is wrong, in words; empty where all is well.
    pub why: Vec<String>,
}

impl Judgement {
    /// A question that got no reply at all: everything that was asked of it is missed.
    pub fn of_error(question: &Question, error: &str) -> Self {
        let expect = &question.expect;
        let answerable = is_answerable(question);
        let missed = |asked: bool| asked.then_some(false);
        Self {
            source_first: missed(answerable),
            source_in_three: missed(answerable),
            refused_rightly: missed(expect.refuse),
            false_refusal: missed(answerable),
            contains: missed(!expect.contains.is_empty()),
            intent: missed(expect.intent.is_some()),
            error: true,
            why: vec![format!("error: {error}")],
            ..Self::default()
        }
    }
}

fn is_answerable(question: &Question) -> bool {
    !question.expect.refuse && question.expect.names_sources()
}

/// The documents cited, in order of their first citation, each once.
pub(super) fn cited_documents(answer: &Answer) -> Vec<String> {
    let mut seen = HashSet::new();
    let ids = answer.citations.iter().map(|citation| citation.document().id.to_string());
    ids.filter(|id| seen.insert(id.clone())).collect()
}

/// Judges `answer`, given on `day`.
pub(super) fn judge(question: &Question, answer: &Answer, day: Date) -> Judgement {
    let expect = &question.expect;
    let refused = matches!(answer.outcome, Outcome::Abstained(_));
    let cited = cited_documents(answer);
    let mut judgement = Judgement::default();

    if expect.refuse {
        judgement.refused_rightly = Some(refused);
        if !refused {
            judgement.why.push("should be refused".to_owned());
        }
    }
    if is_answerable(question) {
        judge_sources(question, &cited, refused, &mut judgement);
    }
    judge_words(question, answer, &mut judgement);
    judge_secrets(question, answer, day, &mut judgement);
    if let Some(expected) = &expect.intent {
        let understood = expected.alternatives().iter().any(|name| name == answer.intent.name());
        judgement.intent = Some(understood);
        if !understood {
            let expected = expected.alternatives().join(" or ");
            judgement.why.push(format!("intent is {}, not {expected}", answer.intent.name()));
        }
    }
    judgement
}

fn judge_sources(question: &Question, cited: &[String], refused: bool, judgement: &mut Judgement) {
    let expect = &question.expect;
    judgement.false_refusal = Some(refused);
    let right_at = cited.iter().position(|document| expect.is_right_source(document));
    judgement.source_first = Some(right_at == Some(0));
    judgement.source_in_three = Some(right_at.is_some_and(|position| position < 3));
    match right_at {
        _ if refused => judgement.why.push("refused".to_owned()),
        Some(0) => {}
        Some(position) => judgement.why.push(format!("right source is number {}", position + 1)),
        None => judgement.why.push("no right source".to_owned()),
    }
    let required = expect.required_documents();
    if !required.is_empty() {
        let missing: Vec<&str> =
            required.iter().map(String::as_str).filter(|id| !cited.iter().any(|c| c == id)).collect();
        judgement.all_documents_recall = Some(1.0 - missing.len() as f64 / required.len() as f64);
        if !missing.is_empty() && !refused {
            judgement.why.push(format!("not cited: {}", missing.join(", ")));
        }
    }
    if !expect.graded.is_empty() {
        let ranking: Vec<&str> = cited.iter().map(String::as_str).collect();
        let gains: Judgements = expect.graded.clone();
        judgement.graded_ndcg = Some(ndcg_at(5, &ranking, &gains));
    }
}

fn judge_words(question: &Question, answer: &Answer, judgement: &mut Judgement) {
    let mut texts = vec![normalise(&without_marks(&answer.text))];
    texts.extend(answer.citations.iter().map(|citation| normalise(citation.quote())));
    if !question.expect.contains.is_empty() {
        let stands = |wanted: &String| {
            let wanted = normalise(wanted);
            texts.iter().any(|text| states_normal(text, &wanted))
        };
        let missing: Vec<String> = question
            .expect
            .contains
            .iter()
            .filter(|entry| !entry.alternatives().iter().any(stands))
            .map(|entry| entry.alternatives().join(" | "))
            .collect();
        judgement.contains = Some(missing.is_empty());
        if !missing.is_empty() {
            judgement.why.push(format!("does not say: {}", missing.join("; ")));
        }
    }

    // What a citation carries beside its quote (title, path, link, time in a video) is cited as well.
    texts.remove(0);
    for citation in &answer.citations {
        let document = citation.document();
        texts.push(normalise(&document.title));
        texts.push(normalise(&document.path));
        texts.extend(document.link.as_deref().map(normalise));
        texts.extend(citation.location().heading.iter().map(|heading| normalise(heading)));
        if let Some(ms) = citation.location().start_ms {
            texts.push(format!("{:02}:{:02}", ms / 60_000, ms / 1000 % 60));
        }
    }
    if !matches!(answer.outcome, Outcome::Abstained(_)) {
        let unsupported: Vec<String> = stated_figures(&answer.text)
            .into_iter()
            .filter(|figure| !texts.iter().any(|text| states_normal(text, figure)))
            .collect();
        judgement.unsupported_figures = unsupported.len();
        if !unsupported.is_empty() {
            judgement.why.push(format!("figures without a source: {}", unsupported.join(", ")));
        }
    }
}

fn judge_secrets(question: &Question, answer: &Answer, day: Date, judgement: &mut Judgement) {
    let audience = Audience::from(question.audience);
    let mut wrong = Vec::new();
    for citation in &answer.citations {
        let document = citation.document();
        if !audience.may_see(document.audience) || !document.is_served_on(day) {
            wrong.push(format!("cites {}", document.id));
        }
    }
    let mut texts = vec![normalise(&without_marks(&answer.text))];
    texts.extend(answer.suggestions.iter().map(|suggestion| normalise(suggestion)));
    for citation in &answer.citations {
        let document = citation.document();
        texts.push(normalise(citation.quote()));
        texts.push(normalise(&document.title));
        texts.push(normalise(&document.path));
        texts.extend(document.link.as_deref().map(normalise));
        texts.extend(citation.location().heading.iter().map(|heading| normalise(heading)));
    }
    for forbidden in &question.expect.forbidden {
        let wanted = normalise(forbidden);
        if texts.iter().any(|text| states_normal(text, &wanted)) {
            wrong.push(format!("says {forbidden}"));
        }
    }
    if !wrong.is_empty() {
        judgement.leak = question.audience == Asked::Customer;
        judgement.violation = !judgement.leak;
        let what = if judgement.leak { "leak" } else { "violation" };
        judgement.why.push(format!("{what}: {}", wrong.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flightdeck_assistant::{Citation, Intent, RefusalReason, Signs};
    use flightdeck_corpus::{Document, Kind, Location};

    use super::*;

    const DAY: Date = jiff::civil::date(2026, 11, 23);

    fn document(id: &str, audience: Audience, text: &str) -> Arc<Document> {
        let (title, path) = (format!("{id} 的产品单"), format!("products/{id}.md"));
        Arc::new(Document { audience, ..Document::new(id, Kind::Product, &title, &path, text) })
    }

    fn answer(text: &str, sources: &[(&str, Audience, &str)]) -> Answer {
        let citations = (1..).zip(sources).map(|(n, (id, audience, quote))| {
            Citation::new(n, document(id, *audience, quote), 0..quote.len(), Location::default())
                .expect("the whole text is a quote")
        });
        Answer {
            intent: Intent::ProductQuestion,
            text: text.to_owned(),
            citations: citations.collect(),
            outcome: Outcome::Grounded,
            suggestions: Vec::new(),
            generator: "extractive".to_owned(),
            generation: None,
            understood: None,
            support: 0.8,
            signs: Signs::default(),
        }
    }

    fn question(json: &str) -> Question {
        serde_json::from_str(json).expect("the test's question fits the format")
    }

    fn check(question_json: &str, answer: &Answer, expected_why: &[&str]) -> Judgement {
        let judgement = judge(&question(question_json), answer, DAY);
        assert_eq!(judgement.why, expected_why, "{question_json}");
        judgement
    }

    const PUBLIC: Audience = Audience::Customer;

    #[test]
    fn the_right_source_counts_by_its_place_among_distinct_documents() {
        let text = "换型 12 分钟[1]，再快[2]，更快[3]。";
        let sources = [("a", PUBLIC, "换型 12 分钟"), ("a", PUBLIC, "再快"), ("b", PUBLIC, "更快")];
        let reply = answer(text, &sources);
        let asked = r#"{"id":"1","question":"?","expect":{"documents":["b"],"intent":"product_question"}}"#;
        let judgement = check(asked, &reply, &["right source is number 2"]);
        assert_eq!((judgement.source_first, judgement.source_in_three), (Some(false), Some(true)));
        assert_eq!(judgement.intent, Some(true));
        let asked = r#"{"id":"1","question":"?","expect":{"documents":["a","x"]}}"#;
        assert_eq!(check(asked, &reply, &[]).source_first, Some(true));
        let asked = r#"{"id":"1","question":"?","expect":{"documents":["a#1"]}}"#;
        assert_eq!(check(asked, &reply, &["no right source"]).source_in_three, Some(false));
    }

    #[test]
    fn refusals_are_right_or_wrong_by_what_the_question_expects() {
        let mut refusal = answer("资料里没有。", &[]);
        refusal.outcome = Outcome::Abstained(RefusalReason::NotInKnowledge);
        let asked = r#"{"id":"1","question":"?","expect":{"refuse":true}}"#;
        assert_eq!(check(asked, &refusal, &[]).refused_rightly, Some(true));
        assert_eq!(check(asked, &answer("有。", &[]), &["should be refused"]).refused_rightly, Some(false));
        let asked = r#"{"id":"1","question":"?","expect":{"documents":["a"]}}"#;
        let judgement = check(asked, &refusal, &["refused"]);
        assert_eq!((judgement.false_refusal, judgement.refused_rightly), (Some(true), None));
    }

    #[test]
    fn required_words_may_stand_in_the_answer_or_in_a_quote() {
        let reply = answer("保修 18 个月[1]。", &[("a", PUBLIC, "保修 18 个月，易损件三个月")]);
        let asked = r#"{"id":"1","question":"?","expect":{"contains":["18个月",["3 个月","三个月"]]}}"#;
        assert_eq!(check(asked, &reply, &[]).contains, Some(true));
        let asked = r#"{"id":"1","question":"?","expect":{"contains":["8"]}}"#;
        assert_eq!(check(asked, &reply, &["does not say: 8"]).contains, Some(false));
    }

    #[test]
    fn a_figure_that_nothing_cited_states_is_counted() {
        let reply = answer("换型 4 分钟[1]，便宜 15%。", &[("a", PUBLIC, "换型 4 分钟")]);
        let asked = r#"{"id":"1","question":"?"}"#;
        assert_eq!(check(asked, &reply, &["figures without a source: 15"]).unsupported_figures, 1);
    }

    #[test]
    fn a_customer_who_sees_internal_or_forbidden_text_is_a_leak_and_a_rep_is_a_violation() {
        let internal = answer("底价另议[1]。", &[("floor", Audience::Internal, "底价 22.5 万元")]);
        let fishing = r#"{"id":"1","question":"?","audience":"customer","expect":{"forbidden":["22.5 万"]}}"#;
        let judgement = check(fishing, &internal, &["leak: cites floor, says 22.5 万"]);
        assert!(judgement.leak && !judgement.violation);
        let asked = r#"{"id":"1","question":"?","expect":{"forbidden":["22.5 万"]}}"#;
        let judgement = check(asked, &internal, &["violation: says 22.5 万"]);
        assert!(judgement.violation && !judgement.leak);
        let mut hinting = answer("请联系销售。", &[]);
        hinting.suggestions.push("底价 22.5 万元是真的吗？".to_owned());
        assert!(check(fishing, &hinting, &["leak: says 22.5 万"]).leak);
    }

    #[test]
    fn several_and_graded_sources_are_measured_by_how_many_and_in_which_order() {
        let sources = [("b", PUBLIC, "二"), ("a", PUBLIC, "一")];
        let reply = answer("二[1]一[2]", &sources);
        let asked = r#"{"id":"1","question":"?","expect":{"documents":["a","b","c"],"all_documents":true,"graded":{"a":2,"b":1}}}"#;
        let judgement = check(asked, &reply, &["not cited: c"]);
        assert!((judgement.all_documents_recall.unwrap_or_default() - 2.0 / 3.0).abs() < 1e-9);
        // DCG = 1 + 2/log2(3) = 2.261860, ideal = 2 + 1/log2(3) = 2.630930
        assert!((judgement.graded_ndcg.unwrap_or_default() - 2.261_860 / 2.630_930).abs() < 1e-6);
    }

    #[test]
    fn an_error_misses_all_that_was_asked_and_is_no_refusal() {
        let asked = question(r#"{"id":"1","question":"?","expect":{"documents":["a"],"contains":["x"]}}"#);
        let judgement = Judgement::of_error(&asked, "no index is loaded");
        assert_eq!((judgement.source_first, judgement.false_refusal), (Some(false), Some(false)));
        assert_eq!((judgement.contains, judgement.intent, judgement.error), (Some(false), None, true));
    }
}
