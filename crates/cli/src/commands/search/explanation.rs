//! `search --explain`: the reasons of a ranking in words.

use std::fmt::Write as _;

use flightdeck_retrieval::{
    AskedWord, Balance, Because, ChangeReason, Explained, FusionBy, LeftOut, Place, Reasons, WordHit,
};

use super::entry;
use crate::language::Language;

/// The passages as the search prints them, each with its reasons, what both sides had to say, and what was left out.
pub fn text(explained: &Explained, language: Language) -> String {
    let mut text = String::new();
    let mut line = |words: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{words}");
    };
    if let Some(read_as) = &explained.read_as {
        line(format!("{} {read_as}", language.pick("read as:", "理解为：")));
    }
    line(looked_up(&explained.words, language));
    line(balance(&explained.balance, language));
    for (passage, reasons) in explained.passages.iter().zip(&explained.reasons) {
        line(String::new());
        line(entry(passage).trim_end().to_owned());
        for reason in of_passage(reasons, explained, passage.score, language) {
            line(format!("      {reason}"));
        }
    }
    if explained.passages.is_empty() {
        line(format!("\n{}", language.pick("nothing found", "没有找到")));
    }
    if !explained.left_out.is_empty() {
        line(format!("\n{}", language.pick("left out:", "未列出：")));
        for left in &explained.left_out {
            line(format!("  {}", left_out(left, language)));
        }
    }
    text
}

fn looked_up(words: &[AskedWord], language: Language) -> String {
    let shown = words.iter().map(|word| {
        let mark = if word.is_synonym { "≈" } else { "" };
        format!("{mark}{}({:.1})", word.text, word.weight)
    });
    let shown: Vec<String> = shown.collect();
    let lead = language.pick("looked up, by weight (≈ synonym):", "检索的词（权重，≈ 为同义词）：");
    format!("{lead} {}", shown.join(" "))
}

fn balance(balance: &Balance, language: Language) -> String {
    if balance.by == FusionBy::Ranks {
        return language.pick("fused by ranks", "按名次融合").to_owned();
    }
    let weights = match language {
        Language::English => {
            format!("words count {:.2}, closeness counts {:.2}", balance.lexical_weight, balance.dense_weight)
        }
        Language::Chinese => {
            format!("字词占 {:.2}，语义占 {:.2}", balance.lexical_weight, balance.dense_weight)
        }
    };
    let why = match (balance.best_lexical, balance.best_dense) {
        (None, _) => language.pick("no passage has any of the words", "没有片段含有这些词").to_owned(),
        (_, None) => language.pick("only words were asked", "只按字词检索").to_owned(),
        _ if balance.trust < 1.0 => match language {
            Language::English => format!(
                "even the best passage has only {:.0} % of the question's words by rarity",
                balance.coverage * 100.0
            ),
            Language::Chinese => {
                format!("最好的片段也只含问题中 {:.0}% 的词（按稀有程度计）", balance.coverage * 100.0)
            }
        },
        _ => match language {
            Language::English => {
                format!("as set; the best passage has {:.0} % of the words", balance.coverage * 100.0)
            }
            Language::Chinese => format!("按设置；最好的片段含有 {:.0}% 的词", balance.coverage * 100.0),
        },
    };
    format!("{weights} ({why})")
}

fn of_passage(reasons: &Reasons, explained: &Explained, score: f32, language: Language) -> Vec<String> {
    let mut lines = Vec::new();
    let mut words: Vec<&WordHit> = reasons.words.iter().collect();
    words.sort_by(|a, b| b.adds.total_cmp(&a.adds));
    if !words.is_empty() {
        let shown = words.iter().map(|hit| {
            let word = &explained.words[hit.word].text;
            format!("{word} +{:.2} {}", hit.adds, place(hit.place, language))
        });
        let shown: Vec<String> = shown.collect();
        lines.push(format!("{} {}", language.pick("words:", "命中："), shown.join(", ")));
    }
    if let Some(whole) = reasons.whole {
        let window = reasons.best_window.map(|best| match language {
            Language::English => format!(", its nearest sentences {best:.3}"),
            Language::Chinese => format!("，最近的几句 {best:.3}"),
        });
        lines.push(format!(
            "{} {whole:.3}{}",
            language.pick("closeness:", "语义相近："),
            window.unwrap_or_default()
        ));
    }
    let mut sum = format!(
        "{} {:.3} + {} {:.3}",
        language.pick("words", "字词"),
        reasons.lexical_share,
        language.pick("closeness", "语义"),
        reasons.dense_share
    );
    for change in &reasons.changes {
        let why = match &change.because {
            ChangeReason::Reranked => match (reasons.rerank, language) {
                (Some(logit), Language::English) => format!("read by the reranker ({logit:.2})"),
                (Some(logit), Language::Chinese) => format!("重排模型打分 {logit:.2}"),
                (None, _) => language.pick("reranked", "重排").to_owned(),
            },
            ChangeReason::ReplacedBy(by) => format!("{} {by}", language.pick("replaced by", "已被取代：")),
            ChangeReason::Repetition => {
                language.pick("more of the same document", "同一文档的重复内容").to_owned()
            }
        };
        let _ = write!(sum, "; {why}: {:.3} → {:.3}", change.before, change.after);
    }
    lines.push(format!("{sum} = {score:.3}"));
    lines
}

fn place(place: Place, language: Language) -> &'static str {
    match place {
        Place::Text => language.pick("in the text", "正文"),
        Place::Title => language.pick("in the title", "标题"),
        Place::Keywords => language.pick("among the keywords", "关键词"),
    }
}

fn left_out(left: &LeftOut, language: Language) -> String {
    let because: Vec<String> = left.because.iter().map(|because| reason(*because, language)).collect();
    let would = match language {
        Language::English => format!("would be {}", left.would_rank),
        Language::Chinese => format!("本可排第 {}", left.would_rank),
    };
    format!("{} ({}) · {would} · {}", left.document.title, left.document.path, because.join(", "))
}

fn reason(because: Because, language: Language) -> String {
    let words = match because {
        Because::Audience => language.pick("internal", "内部资料"),
        Because::Draft => language.pick("a draft", "草稿"),
        Because::Archived => language.pick("archived", "已归档"),
        Because::NotYetValid(_) => language.pick("not valid before", "尚未生效，生效日"),
        Because::Expired(_) => language.pick("out of date since", "已过期，有效期至"),
        Because::Kind(_) => language.pick("another kind:", "类型不符："),
        Because::Industry => language.pick("another industry", "行业不符"),
        Because::Product => language.pick("another product", "产品不符"),
        Because::Tag => language.pick("other tags", "标签不符"),
        Because::Repetition => language.pick("more of the same document", "同一文档的重复内容"),
    };
    match because {
        Because::NotYetValid(day) | Because::Expired(day) => format!("{words} {day}"),
        Because::Kind(kind) => {
            format!("{words} {}", language.pick(kind.name(), kind.chinese_name()))
        }
        _ => words.to_owned(),
    }
}
