//! What of a sentence can be checked to the letter: quantities with their units, model numbers, addresses, negations.
//!
//! Texts are compared by what they claim, not by how they write it: `1,250`, `１２５０` and `1250` are one number,
//! `18 个月` and `十八个月` one quantity, `千瓦` and `kW` one unit. Nothing is rounded and nothing converted: who says
//! `26.8 万` of a source that says `268,000` is not believed.

use flightdeck_retrieval::{fold_text, is_han};

/// A number with what is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    /// Digits with at most one point; `±` before them where it is written.
    pub number: String,
    /// One spelling for each unit, `/` between what is counted and what it is counted by; empty where there is none.
    pub unit: String,
    /// Whether it is one end of a range, or a part of a date or telephone number.
    pub is_part: bool,
    /// Byte of the folded text at which the number begins.
    pub at: usize,
}

/// Spellings of a unit and the one they are folded to. The longest that fits counts.
const UNITS: &[(&str, &str)] = &[
    ("千瓦时", "kwh"),
    ("千瓦", "kw"),
    ("毫米", "mm"),
    ("厘米", "cm"),
    ("公分", "cm"),
    ("平方米", "m2"),
    ("平米", "m2"),
    ("立方米", "m3"),
    ("m2", "m2"),
    ("m3", "m3"),
    ("公里", "km"),
    ("毫升", "ml"),
    ("升", "l"),
    ("公斤", "kg"),
    ("千克", "kg"),
    ("吨", "t"),
    ("米", "m"),
    ("伏", "v"),
    ("赫兹", "hz"),
    ("摄氏度", "°c"),
    ("度", "°"),
    ("°c", "°c"),
    ("亿元", "亿"),
    ("亿", "亿"),
    ("万元", "万"),
    ("万块", "万"),
    ("万", "万"),
    ("元", "元"),
    ("块", "元"),
    ("分钟", "min"),
    ("minutes", "min"),
    ("minute", "min"),
    ("mins", "min"),
    ("个小时", "h"),
    ("小时", "h"),
    ("hours", "h"),
    ("hour", "h"),
    ("秒钟", "s"),
    ("秒", "s"),
    ("seconds", "s"),
    ("second", "s"),
    ("个工作日", "工作日"),
    ("工作日", "工作日"),
    ("天", "天"),
    ("日", "日"),
    ("days", "天"),
    ("day", "天"),
    ("个星期", "周"),
    ("星期", "周"),
    ("周", "周"),
    ("weeks", "周"),
    ("week", "周"),
    ("个月", "个月"),
    ("months", "个月"),
    ("month", "个月"),
    ("月", "月"),
    ("年", "年"),
    ("years", "年"),
    ("year", "年"),
    ("折", "折"),
    ("成", "成"),
    ("倍", "倍"),
    ("台", "台"),
    ("套", "套"),
    ("瓶", "瓶"),
    ("bottles", "瓶"),
    ("bottle", "瓶"),
    ("袋", "袋"),
    ("盒", "盒"),
    ("箱", "箱"),
    ("件", "件"),
    ("包", "包"),
    ("头", "头"),
    ("轴", "轴"),
    ("工位", "工位"),
    ("人", "人"),
    ("名", "人"),
    ("家", "家"),
    ("次", "次"),
    ("条", "条"),
    ("款", "款"),
    ("期", "期"),
    ("级", "级"),
    ("层", "层"),
    ("张", "张"),
    ("个", "个"),
    ("percent", "%"),
    ("%", "%"),
];

/// Counting words behind which 一 and 两 rarely count (`一台机器`, `一个问题`).
const WEAK_UNITS: &[&str] = &["台", "套", "次", "家", "条", "个", "件", "款", "级", "层", "张", "期", "包"];

/// Signs that join the two ends of a range, and the parts of dates and telephone numbers.
const JOINTS: &[char] = &['-', '–', '—', '~', '至', '到', '/', ':', '.', 'x', '×', '*'];

/// What stands before a Chinese percentage.
const PERCENT: &str = "百分之";

/// The quantities that `text` states, in order. Digits of model numbers are none.
pub(crate) fn quantities(text: &str) -> Vec<Quantity> {
    let folded = fold_text(text);
    let mut found: Vec<Quantity> = Vec::new();
    let mut end_of_last = 0;
    let mut at = 0;
    while at < folded.len() {
        let rest = &folded[at..];
        if let Some(length) = code_length(rest) {
            at += length;
            continue;
        }
        let starts_with_digit = rest.starts_with(|c: char| c.is_ascii_digit());
        let Some((number, length)) = (if starts_with_digit { arabic(rest) } else { chinese(rest) }) else {
            at += word_length(rest);
            continue;
        };
        let before = &folded[..at];
        let number = if before.trim_end().ends_with('±') { format!("±{number}") } else { number };
        let after = &folded[at + length..];
        let blank = after.len() - after.trim_start_matches(' ').len();
        let (mut unit, unit_length) = match unit(&after[blank..]) {
            _ if rest.starts_with(PERCENT) => ("%".to_owned(), 0),
            Some(unit) => unit,
            None => (String::new(), 0),
        };
        if let Some((by, is_article)) = counted_by(before.trim_end())
            && !unit.is_empty()
            && !unit.contains('/')
        {
            // 一分钟 300 瓶 is one quantity, not two.
            let is_it = |last: &Quantity| last.number == "1" && last.unit == by;
            if !is_article || found.pop_if(|last| is_it(last)).is_some() {
                unit = format!("{unit}/{by}");
            }
        }
        let between = folded[end_of_last..at].trim_matches([' ', '±']);
        let is_joined =
            !found.is_empty() && !between.is_empty() && between.chars().all(|c| JOINTS.contains(&c));
        if is_joined && let Some(last) = found.last_mut() {
            last.is_part = true;
        }
        found.push(Quantity { number, unit, is_part: is_joined, at });
        at += length + if unit_length > 0 { blank + unit_length } else { 0 };
        end_of_last = at;
    }
    found
}

/// A number in digits at the start of `text`, thousands separators taken out, and its length.
fn arabic(text: &str) -> Option<(String, usize)> {
    let bytes = text.as_bytes();
    let mut length = 0;
    let mut has_point = false;
    while let Some(byte) = bytes.get(length) {
        let digits_follow =
            |n: usize| (1..=n).all(|step| bytes.get(length + step).is_some_and(u8::is_ascii_digit));
        match byte {
            b'0'..=b'9' => {}
            b',' if digits_follow(3) && !bytes.get(length + 4).is_some_and(u8::is_ascii_digit) => {}
            b'.' if !has_point && digits_follow(1) => has_point = true,
            _ => break,
        }
        length += 1;
    }
    (length > 0).then(|| (text[..length].replace(',', ""), length))
}

/// A number in Chinese characters with a unit behind it (or 百分之 before it), in digits, and its length. Without a
/// unit such characters are parts of words (`一样`, `三维`), and 一 before a counting word is mostly an article.
fn chinese(text: &str) -> Option<(String, usize)> {
    if let Some(after) = text.strip_prefix(PERCENT) {
        let (number, length) = chinese_number(after)?;
        return Some((number, PERCENT.len() + length));
    }
    let (number, length) = chinese_number(text)?;
    let (unit, _) = unit(text[length..].trim_start_matches(' '))?;
    let is_article = matches!(number.as_str(), "1" | "2") && WEAK_UNITS.contains(&unit.as_str());
    // 十分 and 千万 are words, 万 alone is a unit.
    (!is_article).then_some((number, length))
}

fn chinese_number(text: &str) -> Option<(String, usize)> {
    let (mut total, mut section, mut digit) = (0_u64, 0_u64, None::<u64>);
    let mut length = 0;
    let mut has_digit = false;
    for c in text.chars() {
        let value = match c {
            '零' | '〇' => 0,
            '一' => 1,
            '二' | '两' => 2,
            '三' => 3,
            '四' => 4,
            '五' => 5,
            '六' => 6,
            '七' => 7,
            '八' => 8,
            '九' => 9,
            '十' | '百' | '千' => {
                let scale = match c {
                    '十' => 10,
                    '百' => 100,
                    _ => 1000,
                };
                if c != '十' && digit.is_none() {
                    break;
                }
                section += digit.take().unwrap_or(1) * scale;
                has_digit = true;
                length += c.len_utf8();
                continue;
            }
            _ => break,
        };
        // Two digits side by side (三四天) are no number.
        if digit.is_some_and(|known| known > 0) {
            return None;
        }
        digit = Some(value);
        has_digit = true;
        length += c.len_utf8();
    }
    total += section + digit.unwrap_or(0);
    has_digit.then(|| (total.to_string(), length))
}

/// The unit at the start of `text` in one spelling, with what it is counted by, and its length.
fn unit(text: &str) -> Option<(String, usize)> {
    let (first, mut length) = simple_unit(text)?;
    let mut name = first.to_owned();
    let after = text[length..].trim_start_matches(' ');
    let by = after.strip_prefix(['/', '每']);
    if let Some(by) = by.or_else(|| after.strip_prefix("per ")).or_else(|| after.strip_prefix("a "))
        && let Some((second, n)) = simple_unit(by.trim_start_matches(' '))
    {
        let gap = by.len() - by.trim_start_matches(' ').len();
        name = format!("{name}/{second}");
        length = text.len() - by.len() + gap + n;
    }
    Some((name, length))
}

fn simple_unit(text: &str) -> Option<(&str, usize)> {
    let fits = |spelling: &str| {
        let after = text.strip_prefix(spelling)?;
        let is_latin = spelling.starts_with(|c: char| c.is_ascii_alphabetic());
        let goes_on = is_latin && after.starts_with(|c: char| c.is_ascii_alphanumeric());
        (!goes_on).then_some(spelling.len())
    };
    let known = UNITS.iter().filter_map(|(spelling, unit)| Some((*unit, fits(spelling)?)));
    if let Some(longest) = known.max_by_key(|(_, length)| *length) {
        return Some(longest);
    }
    // Any short run of letters behind a number is its unit: kW, mm, MPa, rpm.
    let length = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let run = &text[..length];
    let is_word = text[length..].starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let is_unit = (1..=5).contains(&length) && !is_word && !matches!(run, "and" | "or" | "to" | "of" | "in");
    is_unit.then_some((run, length))
}

/// What a quantity is counted by where that stands before it, and whether it is said with 一 instead of 每: `每分钟 300
/// 瓶`, `每小时最高可达 9000 瓶`, `一分钟最多能贴 300 瓶`.
fn counted_by(before: &str) -> Option<(&'static str, bool)> {
    const BETWEEN: &[char] =
        &['约', '可', '达', '最', '高', '多', '为', '是', '能', '做', '到', '贴', '产', '出', ' '];
    let before = before.trim_end_matches(BETWEEN);
    let known = UNITS.iter().filter_map(|(spelling, unit)| {
        let head = before.strip_suffix(spelling)?;
        let is_article = head.ends_with('一') && ["min", "h", "s", "天"].contains(unit);
        (is_article || head.ends_with('每')).then_some((spelling, unit, is_article))
    });
    known.max_by_key(|(spelling, ..)| spelling.len()).map(|(_, unit, is_article)| (*unit, is_article))
}

/// The length of a model number at the start of `text`: letters, then letters, digits and hyphens, with a digit.
fn code_length(text: &str) -> Option<usize> {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let length = text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'-').count();
    text[..length].bytes().any(|b| b.is_ascii_digit()).then_some(length)
}

/// The length of a word of letters, or of one other character, at the start of `text`.
fn word_length(text: &str) -> usize {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    if letters > 0 { letters } else { text.chars().next().map_or(1, char::len_utf8) }
}

/// Model numbers in `text` with the byte of the folded text where each begins, hyphens dropped: `lb300s`.
pub(crate) fn codes(text: &str) -> Vec<(String, usize)> {
    let folded = fold_text(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < folded.len() {
        match code_length(&folded[at..]) {
            Some(length) => {
                let code = folded[at..at + length].replace('-', "");
                // m² and m³, folded.
                if !UNITS.iter().any(|(spelling, _)| *spelling == code) {
                    found.push((code, at));
                }
                at += length;
            }
            None => at += word_length(&folded[at..]),
        }
    }
    found
}

/// Web and mail addresses in `text`, folded or not, as they are written, also those without a scheme:
/// `example.com/a`.
pub(crate) fn addresses(text: &str) -> Vec<&str> {
    const BETWEEN: &str = "()（）<>《》【】「」“”\"'，。；：、！？,;!|[]";
    text.split(|c: char| c.is_whitespace() || is_han(c) || BETWEEN.contains(c))
        .map(|word| word.trim_matches(['.', ':', '?', '*']))
        .filter(|word| {
            let is_mail =
                word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            let mut names = word.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.')));
            word.contains("://") || is_mail || names.any(is_host)
        })
        .collect()
}

/// Whether `host` is a name as hosts have them: labels with points between, the last one of letters.
fn is_host(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let is_label =
        |label: &&str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let Some((last, others)) = labels.split_last() else { return false };
    let is_top = last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic());
    is_top && !others.is_empty() && others.iter().all(is_label)
}

/// What in `text` a page could take for more than words: tags, and the targets of links and pictures.
pub(crate) fn markup(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('<') {
        let inside = &text[at + 1..];
        if inside.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            let end = inside.find('>').map_or(text.len(), |close| at + 1 + close + 1);
            found.push(&text[at..end]);
        }
    }
    for (at, opening) in text.match_indices("](") {
        let target = &text[at + opening.len()..];
        found.push(target.split(')').next().unwrap_or(target));
    }
    found
}

/// Words that negate what follows them. 非 and 无 are left out where they mostly begin words (非常, 无论).
const NEGATIONS: &[&str] =
    &["不", "没有", "没", "未", "无法", "无需", "无", "禁止", "勿", "not ", "no ", "cannot ", "without "];
/// Words that hold a negation's sign and negate nothing.
const NO_NEGATIONS: &[&str] = &[
    "不仅",
    "不但",
    "不过",
    "不同",
    "不管",
    "不论",
    "不断",
    "不少",
    "不只",
    "不锈",
    "不超过",
    "不低于",
    "不高于",
    "不到",
    "不足",
    "不妨",
    "差不多",
    "对不对",
    "是不是",
    "能不能",
    "要不要",
    "无论",
    "无锡",
    "无忧",
    "没问题",
    "not only",
];
/// How much of what follows a negation is compared, in characters.
const NEGATED_CHARS: usize = 2;

/// What `text` negates: the characters (or the English word) behind each negation.
fn negated(folded: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < folded.len() {
        let rest = &folded[at..];
        let before = &folded[..at];
        if let Some(word) = NO_NEGATIONS.iter().find(|word| rest.starts_with(**word)) {
            at += word.len();
            continue;
        }
        let negation = NEGATIONS.iter().filter(|word| rest.starts_with(**word)).max_by_key(|word| word.len());
        let inside_word = before.ends_with(|c: char| c.is_ascii_alphanumeric());
        match negation {
            Some(word) if !(word.is_ascii() && inside_word) => {
                at += word.len();
                let object = negated_object(&folded[at..]);
                if !object.is_empty() {
                    found.push(object);
                }
            }
            _ => at += rest.chars().next().map_or(1, char::len_utf8),
        }
    }
    found
}

fn negated_object(text: &str) -> String {
    let text = text.trim_start();
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return text.chars().take_while(char::is_ascii_alphabetic).collect();
    }
    text.chars().take(NEGATED_CHARS).take_while(|c| is_han(*c)).collect()
}

/// Whether `sentence` denies what `source` affirms, or affirms what it only denies, as far as single words tell.
pub(crate) fn contradicts(sentence: &str, source: &str) -> bool {
    let (sentence, source) = (fold_text(sentence), fold_text(source));
    let (own_denials, source_denials) = (negated(&sentence), negated(&source));
    let affirms = |text: &str, denied: &[String], object: &String| {
        let times_said = text.matches(object.as_str()).count();
        times_said > denied.iter().filter(|other| *other == object).count()
    };
    let denies_wrongly = own_denials
        .iter()
        .any(|object| !source_denials.contains(object) && affirms(&source, &source_denials, object));
    let affirms_wrongly = source_denials
        .iter()
        .any(|object| affirms(&sentence, &own_denials, object) && !affirms(&source, &source_denials, object));
    denies_wrongly || affirms_wrongly
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        quantities(text)
            .into_iter()
            .map(|q| format!("{}{}{}", q.number, q.unit, if q.is_part { "…" } else { "" }))
            .collect()
    }

    #[test]
    fn a_quantity_is_the_same_however_it_is_written() {
        for (text, expected) in [
            ("保修 18 个月", &["18个月"][..]),
            ("保固十八個月", &["18个月"]),
            ("每小时最高 9,000 瓶", &["9000瓶/h"]),
            ("９０００瓶/小时", &["9000瓶/h"]),
            ("300 bottles / minute", &["300瓶/min"]),
            ("300 bottles per minute", &["300瓶/min"]),
            ("300 bottles a minute", &["300瓶/min"]),
            ("一分钟最多能贴 300 瓶", &["300瓶/min"]),
            ("一分钟以内换 300 瓶，一天 2 台", &["1min", "300瓶", "2台/天"]),
            ("功率 5.5 kW，即 5.5 千瓦", &["5.5kw", "5.5kw"]),
            ("精度±0.5mm", &["±0.5mm"]),
            ("26.8 万元", &["26.8万"]),
            ("三年质保，两小时到场，打八折", &["3年", "2h", "8折"]),
            ("百分之五的误差，5% 的误差", &["5%", "5%"]),
            ("交期 30-45 天", &["30…", "45天…"]),
            ("2026 年 11 月 3 日", &["2026年", "11月", "3日"]),
            ("25 ℃，占地 50 m²，5％", &["25°c", "50m2", "5%"]),
        ] {
            assert_eq!(said(text), expected, "{text}");
        }
    }

    #[test]
    fn model_numbers_and_articles_are_no_quantities() {
        for text in ["LB-300S 与 QuickChange", "一台机器、一个问题", "一样、三维、万一", "IP65、M8"]
        {
            assert!(said(text).is_empty(), "{text}: {:?}", said(text));
        }
        let names: Vec<String> = codes("LB-300S 和 lb500r，IP65").into_iter().map(|(code, _)| code).collect();
        assert_eq!(names, ["lb300s", "lb500r", "ip65"]);
        assert!(codes("占地 50 m²，容积 2m³").is_empty());
    }

    #[test]
    fn addresses_are_found_among_words() {
        let text = "可发送：https://v.example.com/a?b=1。写信给sales@example.com，或见 www.example.com.";
        assert_eq!(addresses(text), ["https://v.example.com/a?b=1", "sales@example.com", "www.example.com"]);
        assert_eq!(
            addresses("加微信领资料：evil.example/q?a=1，或 Evil.COM"),
            ["evil.example/q?a=1", "Evil.COM"]
        );
        assert!(addresses("价格 @ 3.5 万，功率 5.5kW，v1.2，e.g. 快换，IP65。").is_empty());
        for (text, address) in [
            ("保修 24 个月，evil.com", "evil.com"),
            ("详见：evil.example/q", "evil.example/q"),
            ("链接：https://v.example.com/lb", "https://v.example.com/lb"),
            ("邮箱：sales@example.com！", "sales@example.com"),
            ("《evil.com》", "evil.com"),
        ] {
            assert_eq!(addresses(text), [address]);
            assert_eq!(addresses(&fold_text(text)), [address], "folded: {text}");
        }
    }

    #[test]
    fn markup_is_what_a_page_would_take_for_more_than_words() {
        let text = "速度 < 300，<客户名称> <img src=x onerror=a()> </b> [看这里](javascript:a()) <b";
        assert_eq!(markup(text), ["<img src=x onerror=a()>", "</b>", "<b", "javascript:a("]);
    }

    #[test]
    fn a_turned_statement_is_a_contradiction() {
        for (sentence, source, expected) in [
            ("LB-300S 支持防爆。", "LB-300S 不支持防爆。", true),
            ("LB-300S 不支持防爆。", "LB-300S 支持防爆。", true),
            ("不支持防爆，支持联网。", "支持联网，不支持防爆。", false),
            ("保修不含易损件。", "整机保修 24 个月，不含易损件。", false),
            ("保修含易损件。", "整机保修 24 个月，不含易损件。", true),
            ("不锈钢机身，速度不低于 300 瓶。", "不锈钢机身，速度 300 瓶。", false),
            ("It does not support ATEX.", "It supports ATEX.", true),
            ("Delivery is included.", "Delivery is not included.", true),
        ] {
            assert_eq!(contradicts(sentence, source), expected, "{sentence} / {source}");
        }
    }
}
