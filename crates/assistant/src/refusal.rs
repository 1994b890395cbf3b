//! How the assistant says that it does not know, and whom to ask instead.

use flightdeck_corpus::Audience;
use flightdeck_retrieval::Passage;

use crate::answer::RefusalReason;
use crate::question::{Language, Understanding};

/// Products that are named instead of the one asked about, at most.
const INSTEAD: usize = 3;

/// The words of a refusal; `instead` are products near one that there is not, the nearest first. They name nothing that the audience may not see: what is near was found for the same
/// audience, and a customer is told of people only in general.
pub(crate) fn words(
    question: &Understanding,
    reason: RefusalReason,
    near: &[Passage],
    audience: Audience,
    instead: &[String],
) -> String {
    let language = question.language;
    if reason == RefusalReason::OutOfScope {
        let (zh, en) = match audience {
            Audience::Internal => (
                "这个我帮不上。可以问我产品、案例、报价、售后，或者直接贴客户的原话。",
                "I cannot help with that. Ask me about products, cases, prices or service, or paste what the customer said.",
            ),
            Audience::Customer => (
                "这个我帮不上。产品、报价、交期、售后，可以直接问我。",
                "I cannot help with that. Ask me about products, prices, delivery or service.",
            ),
        };
        return language.pick(zh, en).to_owned();
    }
    if !instead.is_empty() {
        let near: Vec<&str> = instead.iter().take(INSTEAD).map(String::as_str).collect();
        return match language {
            Language::Chinese => {
                format!("资料里没有这个型号，我不编。同系列有的是 {}，要看哪一台直接问我。", near.join("、"))
            }
            Language::English => format!(
                "There is no such model in our material, and I will not make one up. Of the same series there are {}.",
                near.join(", ")
            ),
        };
    }
    if audience == Audience::Customer {
        let zh = "这个问题我手头没有可靠的依据，不敢随便答。我请同事确认后回复您。";
        let en = "I have no reliable source for this, so I would rather not guess. A colleague will get back to you.";
        return language.pick(zh, en).to_owned();
    }
    let mut words = language
        .pick(
            "知识库里没有依据，我不编。",
            "The knowledge base does not support an answer, and I will not make one up.",
        )
        .to_owned();
    if let Some(owner) = near.iter().find_map(|passage| passage.document.owner.clone()) {
        match language {
            Language::Chinese => {
                words.push_str(&format!("相近内容由{owner}负责，可以问一下；问题已经记下，补上后就能答。"));
            }
            Language::English => {
                words.push_str(&format!(
                    " The nearest content is owned by {owner}; the question has been noted."
                ));
            }
        }
    } else {
        words.push_str(language.pick("问题已经记下，补上后就能答。", " The question has been noted."));
    }
    words
}

/// What to ask instead: the titles of what is near, at most three.
pub(crate) fn suggestions(question: &Understanding, near: &[Passage]) -> Vec<String> {
    let mut suggestions: Vec<String> = Vec::new();
    for passage in near.iter().take(6) {
        let title = &passage.document.title;
        let is_question = title.ends_with(['？', '?']);
        let suggestion = match (is_question, question.language) {
            (true, _) => title.clone(),
            (false, Language::Chinese) => format!("介绍一下：{title}"),
            (false, Language::English) => format!("Tell me about: {title}"),
        };
        if suggestions.len() < 3 && suggestion.chars().count() <= 60 && !suggestions.contains(&suggestion) {
            suggestions.push(suggestion);
        }
    }
    suggestions
}
