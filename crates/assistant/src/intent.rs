//! What a person wants, from the words they use.
//!
//! A table of cues, each with a weight: reps ask in a few fixed ways, and a table can be read, argued with and
//! tested. Where no cue speaks, the kinds of the passages that were found decide (see [`by_evidence`]).

use std::sync::LazyLock;

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_retrieval::fold_text;

use crate::answer::Intent;

/// What a competitor's name in the question says for a comparison, and a customer's for a brief.
const COMPETITOR_NAMED: f32 = 3.2;
const CUSTOMER_NAMED: f32 = 1.2;

/// A phrase that speaks for an intent when it stands in the folded question.
struct Cue {
    intent: Intent,
    weight: f32,
    phrases: Vec<String>,
}

static CUES: LazyLock<Vec<Cue>> = LazyLock::new(|| parse(include_str!("../data/cues.txt")));

/// Reads the table; a line that is not as the table's head says is a mistake of this program, found by its tests.
fn parse(table: &'static str) -> Vec<Cue> {
    let mut cues: Vec<Cue> = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(phrases) = line.strip_prefix("    ") {
            let cue = cues.last_mut().expect("the table starts with an intent");
            cue.phrases.extend(phrases.split('|').map(|phrase| phrase.trim().replace('_', " ")));
        } else {
            let (name, weight) = line.split_once(' ').expect("an intent has a weight");
            let intent = Intent::from_name(name).expect("the table names intents of the contract");
            let weight = weight.trim().parse().expect("a weight is a number");
            cues.push(Cue { intent, weight, phrases: Vec::new() });
        }
    }
    cues
}

/// Names that decide what a question is about, read off an index once.
pub(crate) struct Names {
    /// Competitors, folded.
    competitors: Vec<String>,
    /// Customers in cases and in the Q&A history, folded.
    customers: Vec<String>,
}

impl Names {
    /// Reads the names off the documents: a competitor's from the titles of internal comparisons, a customer's from the
    /// titles of cases and the customer column of the Q&A history.
    pub fn of<'d>(documents: impl Iterator<Item = &'d Document>) -> Self {
        let (mut competitors, mut customers) = (Vec::new(), Vec::new());
        for document in documents {
            let title = fold_text(&document.title);
            match document.kind {
                Kind::Competitor if document.audience == Audience::Internal => {
                    competitors.extend(title.split(SEPARATORS).filter_map(name_in));
                }
                Kind::Case => customers.extend(title.split(SEPARATORS).next().and_then(name_in)),
                Kind::Qa => customers.extend(
                    document
                        .field("customer")
                        .map(|field| fold_text(field.value.trim()))
                        .filter(|name| is_name(name)),
                ),
                _ => {}
            }
        }
        for names in [&mut competitors, &mut customers] {
            names.sort();
            names.dedup();
        }
        Self { competitors, customers }
    }

    /// The competitors that folded text names.
    pub fn competitors_in(&self, text: &str) -> Vec<&str> {
        let names = self.competitors.iter().map(String::as_str);
        names.filter(|name| text.contains(name)).collect()
    }

    /// Whether folded text names a competitor.
    pub fn competitor_in(&self, question: &str) -> bool {
        !self.competitors_in(question).is_empty()
    }

    /// The customers that folded text names.
    pub fn customers_in(&self, text: &str) -> Vec<&str> {
        let names = self.customers.iter().map(String::as_str);
        names.filter(|name| text.contains(name)).collect()
    }

    /// Whether folded text names a customer.
    pub fn customer_in(&self, question: &str) -> bool {
        !self.customers_in(question).is_empty()
    }
}

/// What parts the names in a title.
const SEPARATORS: [char; 17] =
    ['：', ':', '（', '）', '(', ')', ' ', '|', '—', '，', ',', '·', '、', '/', '&', '“', '”'];

/// The name that a part of a title is, without the words that every firm has in its name.
fn name_in(part: &str) -> Option<String> {
    let mut name = part.trim();
    for word in ["机械", "自动化", "智能", "公司", "集团", "有限公司", "食品", "客户"] {
        name = name.strip_suffix(word).filter(|rest| rest.chars().count() >= 2).unwrap_or(name);
    }
    is_name(name).then(|| name.to_owned())
}

fn is_name(name: &str) -> bool {
    const COMMON: [&str; 16] = [
        "竞品", "对比", "如何", "怎样", "怎么", "赢单", "丢单", "总览", "战卡", "内部", "更新", "复盘",
        "一览", "半年", "贴标", "会议",
    ];
    let length = name.chars().count();
    let is_short_latin = name.is_ascii() && length < 4;
    (2..=10).contains(&length)
        && !is_short_latin
        && !name.bytes().any(|b| b.is_ascii_digit())
        && !COMMON.iter().any(|word| name.contains(word))
        // A kind of machine is no firm.
        && !name.ends_with('机')
        && !name.starts_with('某')
}

/// Whether the parts of a phrase, parted by `*`, stand in the question in their order.
fn says(question: &str, phrase: &str) -> bool {
    let find = |rest: &str, part: &str| rest.find(part).map(|at| at + part.len());
    let mut parts = phrase.split('*');
    parts.try_fold(0, |from, part| find(&question[from..], part).map(|behind| from + behind)).is_some()
}

/// Scores by intent; several cues of one entry count a little more than one.
pub(crate) fn by_words(question: &str, names: &Names) -> Option<(Intent, f32)> {
    let question = format!(" {} ", fold_text(question));
    let mut scores: Vec<(Intent, f32)> = Vec::new();
    for cue in CUES.iter() {
        let n_hits = cue.phrases.iter().filter(|phrase| says(&question, phrase)).count();
        if n_hits > 0 {
            let score = cue.weight * (1.0 + 0.25 * (n_hits.min(4) - 1) as f32);
            match scores.iter_mut().find(|(intent, _)| *intent == cue.intent) {
                Some((_, total)) => *total += score,
                None => scores.push((cue.intent, score)),
            }
        }
    }
    let mut add = |intent: Intent, gain: f32| match scores.iter_mut().find(|(known, _)| *known == intent) {
        Some((_, total)) => *total += gain,
        None => scores.push((intent, gain)),
    };
    if names.competitor_in(&question) {
        add(Intent::CompareCompetitor, COMPETITOR_NAMED);
    }
    if names.customer_in(&question) {
        add(Intent::CustomerBrief, CUSTOMER_NAMED);
    }
    // First wins among equals: the table's order is the order of how specific an intent is.
    scores.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Whether a message asks for what a sales assistant has nothing to do with, and says nothing of its trade.
pub(crate) fn is_small_talk(question: &str) -> bool {
    const WORDS: &[&str] = &[
        "天气",
        "写诗",
        "首诗",
        "的诗",
        "笑话",
        "股价",
        "股票",
        "彩票",
        "星座",
        "放假",
        "五险一金",
        "公积金",
        "社保",
        "菜谱",
        "几点下班",
        "电影",
        "唱歌",
        "weather",
        "poem",
        "joke",
        "stock price",
        "lottery",
        "horoscope",
        "holiday",
    ];
    let folded = fold_text(question);
    WORDS.iter().any(|word| folded.contains(word))
}

/// The intent that the kinds of the passages speak for, best first. FAQ and Q&A rows are about anything, so what
/// stands beside them decides. Who asks for a figure and says nothing of a customer's doubts has none to be answered
/// (`换一次标要停机多久`), whatever playbook is near.
pub(crate) fn by_evidence(kinds: impl IntoIterator<Item = Kind>, wants_figure: bool) -> Intent {
    let mut votes: Vec<(Intent, f32)> = Vec::new();
    for (rank, kind) in kinds.into_iter().take(12).enumerate() {
        let intent = match kind {
            Kind::Product => Intent::ProductQuestion,
            Kind::Service => Intent::ServiceQuestion,
            Kind::Objection if wants_figure => continue,
            Kind::Objection => Intent::HandleObjection,
            Kind::Competitor => Intent::CompareCompetitor,
            Kind::Company => Intent::Other,
            // A case, a video or a template that is near does not mean that one was asked for.
            Kind::Faq | Kind::Qa | Kind::Case | Kind::Video | Kind::Template => continue,
        };
        let vote = 1.0 / (rank + 2) as f32;
        match votes.iter_mut().find(|(known, _)| *known == intent) {
            Some((_, total)) => *total += vote,
            None => votes.push((intent, vote)),
        }
    }
    votes
        .into_iter()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map_or(Intent::Other, |(intent, _)| intent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_reps_ask_are_understood() {
        for (question, intent) in [
            ("客户说太贵了怎么回？", Intent::HandleObjection),
            ("这家食品厂适合发哪些案例？", Intent::FindCases),
            ("有没有类似的方案模板？", Intent::FindTemplate),
            ("哪个视频效果最好", Intent::RecommendVideos),
            ("LB-300S 速度多少", Intent::ProductQuestion),
            ("保修多久？", Intent::ServiceQuestion),
            ("博润特跟我们比差在哪", Intent::CompareCompetitor),
            ("这个客户是做什么的", Intent::CustomerBrief),
            ("How do I respond when the client says it is too expensive?", Intent::HandleObjection),
        ] {
            let names = Names { competitors: vec!["博润特".to_owned()], customers: Vec::new() };
            assert_eq!(by_words(question, &names).map(|(intent, _)| intent), Some(intent), "{question}");
        }
    }

    #[test]
    fn rivals_are_known_from_the_titles_of_battle_cards_and_machines_are_no_rivals() {
        let cards = [
            "战卡：恒捷自动化 HJ-P200 枕包机",
            "战卡：Hartmann & Söhne HS-Label 400",
            "竞品总览对照表（2026Q4，内部）",
        ];
        let documents: Vec<Document> = cards
            .iter()
            .map(|title| Document::new(title, Kind::Competitor, title, "competitors/x.md", "x"))
            .collect();
        let names = Names::of(documents.iter());
        assert!(names.competitor_in("恒捷的立式袋装机卖多少钱"));
        assert!(names.competitor_in("we are up against hartmann"));
        assert!(!names.competitor_in("枕包机膜宽最多多宽"));
        assert!(!names.competitor_in("lb-300s 内部底价"));
    }
}
