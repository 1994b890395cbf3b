//! Figures in texts: which a text states, and whether a text states a given one.
//!
//! "12 minutes" is not stated by "112 minutes" or "12.5 minutes", and "1,250" and "1250" and "１２５０" are one
//! figure. Texts are compared after [`normalise`]; nothing here rounds or converts units.

use flightdeck_retrieval::fold_text;

/// Folds case, width and script, and takes out white space and thousands separators. Where white space parts two
/// figures it stays, as one blank, so that "3 25" does not become "325".
pub fn normalise(text: &str) -> String {
    let folded: Vec<char> = fold_text(text).chars().collect();
    let mut normal = String::with_capacity(text.len());
    let mut idx = 0;
    while idx < folded.len() {
        let c = folded[idx];
        let before = normal.chars().next_back();
        if c.is_whitespace() {
            let next = folded[idx..].iter().find(|c| !c.is_whitespace());
            if before.is_some_and(|c| c.is_ascii_digit()) && next.is_some_and(char::is_ascii_digit) {
                normal.push(' ');
            }
        } else if !(c == ',' && parts_thousands(&folded, idx)) {
            normal.push(c);
        }
        idx += 1;
    }
    normal
}

/// Whether the comma at `idx` stands between a digit and exactly three digits.
fn parts_thousands(text: &[char], idx: usize) -> bool {
    let is_digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
    idx > 0 && is_digit(idx - 1) && (1..=3).all(|step| is_digit(idx + step)) && !is_digit(idx + 4)
}

/// Whether `text` holds `wanted`, both as written; a figure at the wanted words' edge must stand alone there.
pub fn states(text: &str, wanted: &str) -> bool {
    states_normal(&normalise(text), &normalise(wanted))
}

/// As [`states`], for texts that are normalised already.
pub fn states_normal(text: &str, wanted: &str) -> bool {
    if wanted.is_empty() {
        return false;
    }
    let starts_with_digit = wanted.starts_with(|c: char| c.is_ascii_digit());
    let ends_with_digit = wanted.ends_with(|c: char| c.is_ascii_digit());
    let mut from = 0;
    while let Some(found) = text[from..].find(wanted) {
        let start = from + found;
        let end = start + wanted.len();
        let cut_before = starts_with_digit && continues_before(&text[..start]);
        let cut_after = ends_with_digit && continues_after(&text[end..]);
        if !cut_before && !cut_after {
            return true;
        }
        from = start + text[start..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

fn continues_before(before: &str) -> bool {
    let mut chars = before.chars().rev();
    match chars.next() {
        Some(c) if c.is_ascii_digit() => true,
        Some('.') => chars.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

fn continues_after(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        Some(c) if c.is_ascii_digit() => true,
        Some('.') => chars.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

/// The figures that an answer states, each once, in order: digits with at most one decimal point. Citation marks
/// (`[3]`) and the numbers of list items (`2.` at the start of a line) are not statements.
pub fn stated_figures(answer: &str) -> Vec<String> {
    let mut figures: Vec<String> = Vec::new();
    for line in answer.lines() {
        let line = normalise(&without_list_number(&without_marks(line)));
        let mut rest = line.as_str();
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let digits = &rest[start..];
            let mut end = run_of_digits(digits);
            if let Some(fraction) = digits[end..].strip_prefix('.') {
                let decimals = run_of_digits(fraction);
                end += if decimals > 0 { 1 + decimals } else { 0 };
            }
            let figure = &digits[..end];
            if !figures.iter().any(|known| known == figure) {
                figures.push(figure.to_owned());
            }
            rest = &digits[end..];
        }
    }
    figures
}

fn run_of_digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// Takes out citation marks, `[n]`.
pub(crate) fn without_marks(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find('[') {
        kept.push_str(&rest[..open]);
        let inside = &rest[open + 1..];
        let digits = run_of_digits(inside);
        if digits > 0 && inside[digits..].starts_with(']') {
            rest = &inside[digits + 1..];
        } else {
            kept.push('[');
            rest = inside;
        }
    }
    kept.push_str(rest);
    kept
}

/// Takes out the number of a Markdown list item or a hand-written one (`1.`, `2)`, `3、`).
fn without_list_number(line: &str) -> String {
    let trimmed = line.trim_start().trim_start_matches(['>', '*', '#', ' ']);
    let digits = run_of_digits(trimmed);
    let after = &trimmed[digits..];
    let is_item = digits > 0
        && digits <= 2
        && (after.starts_with(". ")
            || after.starts_with(") ")
            || after.starts_with('、')
            || after.starts_with('）'));
    if is_item { after.chars().skip(1).collect() } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_must_stand_alone() {
        for (text, wanted, stands) in [
            ("换型 12 分钟", "12", true),
            ("换型 112 分钟", "12", false),
            ("换型 12.5 分钟", "12", false),
            ("精度 0.12 mm", "12", false),
            ("价格 12。另议", "12", true),
            ("The price is 12. Later more", "12", true),
            ("单价 １，２５０ 元", "1250", true),
            ("单价 1,250 元", "250", false),
            ("每小时 3,600 瓶", "3600 瓶/小时", false),
            ("3,600 瓶/小时", "3600瓶/小时", true),
            ("26.8 万元", "26.8万", true),
            ("126.8 万元", "26.8万", false),
            ("型号 LB-300S", "lb-300s", true),
            ("型号 LB-300S", "300", true),
            ("112 分钟，后来 12 分钟", "12分钟", true),
            ("3 25", "325", false),
            ("保固十八個月", "十八个月", true),
            ("任何", "", false),
        ] {
            assert_eq!(states(text, wanted), stands, "{wanted:?} in {text:?}");
        }
    }

    #[test]
    fn commas_part_thousands_only_where_three_digits_follow() {
        assert_eq!(normalise("12,480 台，1,2,3 和 9,000,000"), "12480台,1,2,3和9000000");
    }

    #[test]
    fn marks_and_list_numbers_are_not_statements() {
        let answer = "找到这些案例：\n1. 换型 35→4 分钟[1]，停机少 46 小时。[12]\n2、回本 9.5 个月[2]，4 分钟\n[LB-300S] v2.";
        assert_eq!(stated_figures(answer), ["35", "4", "46", "9.5", "300", "2"]);
        assert!(stated_figures("没有数字[1]。").is_empty());
        assert_eq!(
            stated_figures("12.5 毫米"),
            ["12.5"],
            "a decimal at the start of a line is no list number"
        );
    }
}
