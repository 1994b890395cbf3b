//! The words around an answer: labels, notices, sources, and what a platform's display leaves of Markdown.

use crate::gate::Source;

/// What a stream shows until the answer is there.
pub(crate) const LOOKING: &str = "正在查资料……";
/// What a stream ends with where the bot says nothing: it is off, only drafts, or a person has the conversation.
pub(crate) const TAKEN: &str = "已收到，由同事回复。";

/// What a card ends with where the answer did not go into it.
pub(crate) const BELOW: &str = "回答见下一条消息。";

/// To a colleague whose question could not be worked on.
pub(crate) const CANNOT_ANSWER: &str = "系统暂时无法回答，请稍后再问一次。";

/// How a customer reaches a person.
pub(crate) fn way_to_a_person(chinese: bool) -> &'static str {
    if chinese {
        "需要同事接待时，请回复“转人工”。"
    } else {
        "Write \"human\" to reach a colleague."
    }
}

/// Tells a customer that a person will answer.
pub(crate) fn hand_over_notice(chinese: bool) -> &'static str {
    if chinese {
        "这个问题我请同事来回复您，请稍候。"
    } else {
        "A colleague will answer this; please give us a moment."
    }
}

/// To a colleague who sent something that is no text.
pub(crate) const TEXT_ONLY: &str = "目前只能看懂文字消息，请把问题打出来。";

/// What marks a text as made by an AI.
pub(crate) fn label(chinese: bool) -> &'static str {
    if chinese { "（内容由 AI 生成，仅供参考）" } else { "(AI-generated, for reference)" }
}

/// Whether a text is Chinese.
pub(crate) fn is_chinese(text: &str) -> bool {
    text.chars().any(|letter| ('\u{4E00}'..='\u{9FFF}').contains(&letter))
}

/// Whether a customer asks for a person.
pub(crate) fn wants_person(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "转人工",
        "人工客服",
        "人工服务",
        "真人",
        "找人工",
        "找客服",
        "找销售",
        "叫你们经理",
        "叫你们领导",
        "human agent",
        "real person",
        "talk to a person",
        "speak to someone",
        "speak to a human",
        "talk to a human",
    ];
    let folded = text.trim().to_lowercase();
    matches!(folded.as_str(), "人工" | "human" | "客服" | "agent")
        || WORDS.iter().any(|word| folded.contains(word))
}

/// Whether a message is one that a person should answer, whatever the sources say: a price is bargained for, or
/// somebody complains.
pub(crate) fn sensitive(text: &str) -> Option<&'static str> {
    const BARGAINS: [&str; 16] = [
        "便宜点",
        "便宜些",
        "再便宜",
        "能便宜",
        "打折",
        "打几折",
        "折扣",
        "最低价",
        "最低多少",
        "底价",
        "让利",
        "抹零",
        "discount",
        "best price",
        "lowest price",
        "floor price",
    ];
    const COMPLAINTS: [&str; 12] = [
        "投诉", "起诉", "律师", "法院", "仲裁", "退款", "赔偿", "曝光", "欺诈", "lawsuit", "complain",
        "refund",
    ];
    let folded = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    if has(&BARGAINS) {
        Some("bargaining")
    } else if has(&COMPLAINTS) {
        Some("complaint")
    } else {
        None
    }
}

/// An answer for a customer: without marks and Markdown, with the titles of its sources and the label.
pub(crate) fn for_customer(text: &str, sources: &[Source], label: Option<&str>) -> String {
    let mut words = plain(&without_marks(text));
    let mut titles: Vec<&str> = Vec::new();
    for source in sources {
        if !titles.contains(&source.title.as_str()) && titles.len() < 3 {
            titles.push(&source.title);
        }
    }
    if !titles.is_empty() {
        let lead = if is_chinese(&words) { "参考：" } else { "Sources: " };
        let listed: Vec<String> = titles.iter().map(|title| format!("《{title}》")).collect();
        // The gate reads each title for itself, as it reads each sentence.
        words.push_str(&format!("\n{lead}{}", listed.join("；")));
    }
    if let Some(label) = label {
        words.push_str(&format!("\n{label}"));
    }
    words
}

/// An answer for a colleague: marks kept, the sources that they name listed below.
pub(crate) fn for_colleague(text: &str, sources: &[Source], markdown: bool) -> String {
    let mut words = if markdown { text.to_owned() } else { plain(text) };
    for (idx, source) in sources.iter().enumerate() {
        let inside = if source.is_public { "" } else { "（内部）" };
        words.push_str(&format!("\n[{}] 《{}》{inside}", idx + 1, source.title));
    }
    words
}

/// Without citation marks.
pub(crate) fn without_marks(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        kept.push_str(before);
        let n_digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits > 0 && after[n_digits..].starts_with(']') {
            rest = &after[n_digits + 1..];
        } else {
            kept.push('[');
            rest = after;
        }
    }
    kept.push_str(rest);
    kept
}

/// What is left of Markdown where a platform shows none: the words, a table's rows as lines.
fn plain(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.trim_end();
        let bare = line.trim_start();
        let is_rule =
            !bare.is_empty() && bare.chars().all(|letter| "|-: ".contains(letter)) && bare.contains("---");
        if is_rule {
            continue;
        }
        let bare = bare.trim_start_matches('#').trim_start_matches('>').trim_start();
        let bare = match bare.strip_prefix("- ").or_else(|| bare.strip_prefix("* ")) {
            Some(item) => format!("· {item}"),
            None if bare.starts_with('|') && bare.ends_with('|') => {
                let cells = bare.trim_matches('|').split('|').map(str::trim);
                cells.collect::<Vec<_>>().join("，")
            }
            None => bare.to_owned(),
        };
        lines.push(bare.replace("**", "").replace('`', ""));
    }
    lines.join("\n").trim().to_owned()
}

/// A text in parts of at most `max_bytes` of UTF-8 and at most `most` of them: cut after a line or a sentence where
/// there is one, never inside a character or a citation mark. What does not fit ends in `…`.
pub(crate) fn parts(text: &str, max_bytes: usize, most: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if rest.len() <= max_bytes {
            parts.push(rest.to_owned());
            break;
        }
        let is_last = parts.len() + 1 == most;
        let room = if is_last { max_bytes - '…'.len_utf8() } else { max_bytes };
        let at = cut(rest, room);
        let mut part = rest[..at].trim_end().to_owned();
        if is_last {
            part.push('…');
            parts.push(part);
            break;
        }
        parts.push(part);
        rest = rest[at..].trim_start();
    }
    parts
}

fn cut(text: &str, room: usize) -> usize {
    let mut end = room;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = &text[..end];
    let after = |letters: &[char]| head.char_indices().rev().find(|(_, c)| letters.contains(c));
    let least = end / 3;
    for letters in [&['\n'][..], &['。', '！', '？', '；', '.', '!', '?'][..]] {
        if let Some((at, letter)) = after(letters) {
            // The marks of a sentence stay with it.
            let at = at + letter.len_utf8();
            if at > least && !text[at..].starts_with('[') {
                return at;
            }
        }
    }
    match head.rfind('[') {
        Some(open) if open > least && !head[open..].contains(']') => open,
        _ => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_joined_lose_no_letter_and_none_is_too_long() {
        let text = "整机保修十八个月。[1]密封件保修六个月。[2]\n".repeat(60);
        let parts = parts(&text, 200, 1000);
        assert!(parts.iter().all(|part| part.len() <= 200));
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(bare(&parts.concat()), bare(&text));
        assert_eq!(parts.iter().map(|part| part.matches("[1]").count()).sum::<usize>(), 60);
    }

    #[test]
    fn what_is_too_long_in_all_ends_in_dots() {
        let parts = parts(&"长".repeat(2000), 2048, 2);
        assert_eq!(parts.len(), 2);
        assert!(parts[1].ends_with('…') && parts[1].len() <= 2048);
    }

    #[test]
    fn a_customer_sees_words_titles_and_the_label() {
        let source = Source { title: "LB-300S".into(), quote: "q".into(), is_public: true, link: None };
        let text = "## 速度\n- **300** 瓶/分钟[1]\n| 型号 | 速度 |\n|---|---|\n| A | 1 |";
        let shown = for_customer(text, &[source.clone(), source], Some(label(true)));
        assert_eq!(
            shown,
            "速度\n· 300 瓶/分钟\n型号，速度\nA，1\n参考：《LB-300S》\n（内容由 AI 生成，仅供参考）"
        );
    }

    #[test]
    fn a_question_about_a_price_is_none_about_a_discount() {
        assert_eq!(sensitive("LB-300S 多少钱？"), None);
        assert_eq!(sensitive("能便宜点吗"), Some("bargaining"));
        assert_eq!(sensitive("我要投诉"), Some("complaint"));
        assert!(wants_person("转人工") && !wants_person("人工贴标要几个人？"));
    }
}
