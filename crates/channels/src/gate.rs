//! The last look at a reply before a customer gets it.
//!
//! It trusts nobody: not the model that may have worded the reply, not the search that found its sources. A figure
//! goes out only where it stands in a source that is for customers, a promise only as a sentence of such a source,
//! and a word of the inside never. What does not pass is handed to a person.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;

use crate::wording::without_marks;

/// What a reply stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The document's title.
    pub title: String,
    /// The words themselves.
    pub quote: String,
    /// Whether the document is for customers.
    pub is_public: bool,
    /// The document's own address for customers.
    pub link: Option<String>,
}

/// Why a reply must not go to a customer. It holds nothing of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    /// A source is not for customers.
    #[error("a source of the answer is not for customers")]
    InternalSource,
    /// It holds a word of the inside.
    #[error("the answer holds a word that does not leave the company")]
    InternalWord,
    /// It holds a figure that none of its sources has.
    #[error("the answer holds a figure that stands in none of its sources")]
    Figure,
    /// It promises what none of its sources says.
    #[error("the answer promises what none of its sources says")]
    Promise,
    /// It holds an address that none of its sources has.
    #[error("the answer holds an address that stands in none of its sources")]
    Address,
}

/// Words that never go to a customer, whatever the sources say.
const INTERNAL: [&str; 24] = [
    "底价",
    "底线价",
    "成本价",
    "进货价",
    "毛利",
    "提成",
    "佣金",
    "返利",
    "折扣权限",
    "审批权限",
    "内部资料",
    "内部价",
    "仅限内部",
    "内部培训",
    "禁止外发",
    "绝密",
    "战卡",
    "系统提示词",
    "floor price",
    "cost price",
    "gross margin",
    "internal only",
    "battle card",
    "system prompt",
];

/// Words that promise something.
const PROMISES: [&str; 17] = [
    "保证",
    "承诺",
    "一定能",
    "一定会",
    "包退",
    "包换",
    "包赔",
    "免费",
    "赔偿",
    "赔付",
    "终身",
    "永久",
    "guarantee",
    "promise",
    "free of charge",
    "for free",
    "refund",
];

/// Whether a reply may go to a customer.
///
/// # Errors
/// The first thing that stands against it.
pub fn check(text: &str, sources: &[Source], blocked_words: &[String]) -> Result<(), Blocked> {
    if sources.iter().any(|source| !source.is_public) {
        return Err(Blocked::InternalSource);
    }
    let folded = fold(text);
    // Letters set apart by spaces or signs spell the same word.
    let bare: String = folded.chars().filter(|letter| letter.is_alphanumeric()).collect();
    let has_word = |word: &str| {
        let word = fold(word);
        let bare_word: String = word.chars().filter(|letter| letter.is_alphanumeric()).collect();
        folded.contains(&word) || (!bare_word.is_empty() && bare.contains(&bare_word))
    };
    if INTERNAL.iter().any(|word| has_word(word)) || blocked_words.iter().any(|word| has_word(word)) {
        return Err(Blocked::InternalWord);
    }
    let known: String =
        sources.iter().map(|source| format!("{}\n{}\n", fold(&source.title), fold(&source.quote))).collect();
    let figures_known: HashSet<String> = figures(&known).into_iter().collect();
    if figures(&without_frame(&folded)).iter().any(|figure| !figures_known.contains(figure)) {
        return Err(Blocked::Figure);
    }
    let links: String = sources.iter().filter_map(|source| source.link.as_deref()).map(fold).collect();
    if addresses(&folded).iter().any(|address| !known.contains(address) && !links.contains(address)) {
        return Err(Blocked::Address);
    }
    let plain_known = letters(&known);
    for sentence in without_frame(&folded).split(['。', '！', '？', '；', '!', '?', ';', '\n']) {
        let promises = PROMISES.iter().any(|word| sentence.contains(word));
        // What stands before a colon in a line may be a name of ours for what follows it.
        let said = sentence.rsplit_once(['：', ':']).map_or(sentence, |(_, said)| said);
        if promises && !plain_known.contains(&letters(sentence)) && !plain_known.contains(&letters(said)) {
            return Err(Blocked::Promise);
        }
    }
    Ok(())
}

/// One width and one case.
fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

fn letters(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

/// Without citation marks and the numbers of a list, which say nothing.
fn without_frame(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.trim_start();
        let n_digits = body.bytes().take_while(u8::is_ascii_digit).count();
        let is_numbered = (1..=2).contains(&n_digits) && body[n_digits..].starts_with(". ");
        clean.push_str(if is_numbered { &body[n_digits + 1..] } else { line });
    }
    without_marks(&clean)
}

/// The figures of a folded text: runs of digits with the signs inside them, and runs of Chinese numerals that count
/// something.
fn figures(text: &str) -> Vec<String> {
    const NUMERALS: &str = "〇零一二两三四五六七八九十百千万亿";
    const UNITS: &str = "折万元块天年月周日小台套成倍%";
    const PHRASES: [&str; 3] = ["万一", "一一", "千万"];
    let mut found = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        let start = at;
        if letters[at].is_ascii_digit() {
            while at < letters.len()
                && (letters[at].is_ascii_digit()
                    || (matches!(letters[at], '.' | ',' | ':')
                        && letters.get(at + 1).is_some_and(char::is_ascii_digit)))
            {
                at += 1;
            }
            let figure: String = letters[start..at].iter().filter(|letter| **letter != ',').collect();
            found.push(plain(&figure));
        } else if NUMERALS.contains(letters[at]) {
            while at < letters.len() && NUMERALS.contains(letters[at]) {
                at += 1;
            }
            let run: String = letters[start..at].iter().collect();
            let counts = letters.get(at).is_some_and(|next| UNITS.contains(*next));
            if (at - start > 1 || counts) && !PHRASES.contains(&run.as_str()) {
                found.push(run);
            }
        } else {
            at += 1;
        }
    }
    found
}

/// `22.50` and `22.5` are one figure.
fn plain(figure: &str) -> String {
    match figure.split_once('.') {
        Some((_, fraction)) if !fraction.contains(['.', ':']) => {
            figure.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => figure.to_owned(),
    }
}

fn addresses(folded: &str) -> Vec<String> {
    let starts = folded.match_indices("http://").chain(folded.match_indices("https://"));
    let ends = |letter: char| letter.is_whitespace() || "()<>[]\"'，。；、）》】".contains(letter);
    starts
        .map(|(at, _)| folded[at..].split(ends).next().unwrap_or_default().trim_end_matches('.').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(quote: &str) -> Source {
        Source { title: "LB-300S".to_owned(), quote: quote.to_owned(), is_public: true, link: None }
    }

    #[track_caller]
    fn outcome(text: &str, quote: &str) -> Result<(), Blocked> {
        check(text, &[source(quote)], &["龙井".to_owned()])
    }

    #[test]
    fn what_the_sources_say_goes_out() {
        for (text, quote) in [
            ("LB-300S 速度 300 瓶/分钟。[1]", "速度 300 瓶/分钟"),
            ("1. 整机保修 18 个月[1]\n2. 换型 4 分钟[2]", "整机保修 18 个月，换型 4 分钟"),
            ("报价 268,000 元", "报价 268000 元"),
            ("全角３００也一样", "300"),
            ("保修：保证四小时内到现场。[1]", "我们保证四小时内到现场"),
            ("万一坏了，一般当天处理", "坏了当天处理"),
        ] {
            assert_eq!(outcome(text, quote), Ok(()), "{text}");
        }
    }

    #[test]
    fn titles_are_none_of_the_promises() {
        let titled = |title: &str, quote: &str| Source { title: title.to_owned(), ..source(quote) };
        let sources = [titled("服务响应时间承诺", "四小时内到现场"), titled("保修条款", "整机保修 18 个月")];
        let shown = crate::wording::for_customer("四小时内到现场[1]", &sources, None);
        assert_eq!(check(&shown, &sources, &[]), Ok(()), "{shown}");
    }

    #[test]
    fn what_they_do_not_say_stays_in() {
        for (text, quote, why) in [
            ("最低 22.5 万", "价格 26.8 万", Blocked::Figure),
            ("最低二十二万五", "价格 26.8 万", Blocked::Figure),
            ("可以打九折", "价格 26.8 万", Blocked::Figure),
            ("2.5 万", "22.5 万", Blocked::Figure),
            ("我们保证明天到货", "明天到货", Blocked::Promise),
            ("送你一套，免费", "一套 380 元", Blocked::Promise),
            ("底价另议", "底价另议", Blocked::InternalWord),
            ("底 价 另 议", "", Blocked::InternalWord),
            ("Floor-price applies", "", Blocked::InternalWord),
            ("我们的龙井计划", "", Blocked::InternalWord),
            ("见 https://evil.example/x", "", Blocked::Address),
        ] {
            assert_eq!(outcome(text, quote), Err(why), "{text}");
        }
        let inside = Source { is_public: false, ..source("x") };
        assert_eq!(check("x", &[inside], &[]), Err(Blocked::InternalSource));
    }
}
