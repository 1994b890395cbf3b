//! Amounts as people write them: how many pieces a machine does in a time (`9,000 瓶/小时`, `一小时 8000 瓶`), and how long
//! something takes or may take (`12 分钟`, `三分钟以内`).

use std::sync::LazyLock;

use flightdeck_retrieval::fold_text;
use regex::{Captures, Regex};

/// Pieces of one kind in an hour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rate {
    /// What is counted.
    pub of: &'static str,
    /// How many in an hour.
    pub per_hour: f64,
}

/// What is counted, in Chinese, and the beginning of an English word for it.
const PIECES: &[(&str, &str)] = &[
    ("瓶", "bottle"),
    ("箱", "case"),
    ("箱", "carton"),
    ("袋", "bag"),
    ("袋", "pouch"),
    ("罐", "can"),
    ("桶", "drum"),
    ("包", "pack"),
    ("盒", "box"),
    ("杯", "cup"),
    ("件", "piece"),
    ("件", "unit"),
];

/// An amount before its time, and a time before its amount.
static PATTERNS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    let pieces: Vec<String> = PIECES.iter().map(|(of, word)| format!("{of}|{word}(?:e?s)?")).collect();
    let number = r"(?P<number>[0-9][0-9,]*(?:\.[0-9]+)?)\s*(?P<times>[万千k])?";
    let amount = format!(r"{number}\s*(?P<of>{})", pieces.join("|"));
    let time = r"(?P<time>个?小时|分钟|分|时|hour|hr|minute|min|h\b)";
    [
        format!(r"{amount}\s*(?:/|每一?|一|an?\s|per\s)\s*{time}"),
        format!(r"(?:每|一|\b1)\s*{time}[^0-9，。；\n]{{0,4}}{amount}"),
    ]
    .map(|pattern| Regex::new(&pattern).expect("it is a pattern"))
});

/// Every rate that a text states; of a range the upper end.
pub(crate) fn rates(text: &str) -> Vec<Rate> {
    let folded = fold_text(text);
    let captures = PATTERNS.iter().flat_map(|pattern| pattern.captures_iter(&folded));
    captures.filter_map(|captures| rate(&captures)).collect()
}

fn rate(captures: &Captures<'_>) -> Option<Rate> {
    let number: f64 = captures["number"].replace(',', "").parse().ok()?;
    let times = match captures.name("times").map(|times| times.as_str()) {
        Some("万") => 10_000.0,
        Some(_) => 1_000.0,
        None => 1.0,
    };
    let in_an_hour = if captures["time"].starts_with(['分', 'm']) { 60.0 } else { 1.0 };
    let written = &captures["of"];
    let (of, _) = PIECES.iter().find(|(of, word)| *of == written || written.starts_with(word))?;
    Some(Rate { of, per_hour: number * times * in_an_hour })
}

/// A time that something takes, and a column that is headed by its unit.
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"(?:[0-9][0-9,.]*|[二三四五六七八九十两半][一二三四五六七八九十]*)";
    let unit = r"(?:秒|分钟|个?半?小时|钟头|天|周|星期|个月|个?工作日|季度|min|hour|h\b|day|week|month|year)";
    let years = r"\b[0-9]{1,2}\s*年";
    let heading = r"[(（](?:秒|分钟|小时|天|周|个月|年|min|h|days?)[)）].*[0-9]";
    Regex::new(&format!("{number}\\s*{unit}|{years}|{heading}")).expect("it is a pattern")
});

/// Whether a text says how long something takes.
pub(crate) fn states_duration(text: &str) -> bool {
    DURATION.is_match(&fold_text(text))
}

/// A limit behind a time, and one before it.
static LIMITS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    let time =
        r"(?P<number>[0-9]+(?:\.[0-9]+)?|[一二两三四五六七八九十半])\s*(?P<unit>秒|分|个?小时|sec|min|hour)";
    let before = "(?:不超过|不要超过|别超过|不到|少于|短于|最多|under|within|shorter than|less than|at most)";
    [format!("{time}[a-z]*钟?\\s*(?:以内|之内|以下|内)"), format!("{before}\\s*{time}")]
        .map(|pattern| Regex::new(&pattern).expect("it is a pattern"))
});

/// The longest that something may take, in seconds, where a question says so.
pub(crate) fn time_limit(text: &str) -> Option<f64> {
    let folded = fold_text(text);
    let captures = LIMITS.iter().find_map(|pattern| pattern.captures(&folded))?;
    let written = &captures["number"];
    let number = match "一二三四五六七八九十".chars().position(|numeral| written.starts_with(numeral))
    {
        Some(at) => at as f64 + 1.0,
        None if written == "两" => 2.0,
        None if written == "半" => 0.5,
        None => written.parse().ok()?,
    };
    let seconds = match captures["unit"].trim_start_matches('个') {
        "秒" | "sec" => 1.0,
        "分" | "min" => 60.0,
        _ => 3_600.0,
    };
    Some(number * seconds)
}

/// Seconds of a running time as lists of videos have it: `2:39`, `1:02:03`, `95`.
pub(crate) fn running_time(text: &str) -> Option<f64> {
    text.trim()
        .split([':', '：'])
        .try_fold(0.0, |sum, part| Some(sum * 60.0 + part.trim().parse::<f64>().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Rate, rates, running_time, states_duration, time_limit};

    #[test]
    fn what_something_takes_is_told_from_dates_and_rates() {
        for text in [
            "换一次 12 分钟",
            "30 天，从预付款到账算",
            "整机 2 年",
            "四十五分钟",
            "半小时",
            "保 24 个月",
            "10 个工作日",
            "换型（分钟）：LB-300S 12",
            "within 3 days",
            "半个月、3 周",
        ] {
            assert!(states_duration(text), "{text}");
        }
        for text in ["300 瓶/分钟", "2026 年 3 月", "2 支", "每天换型", "26.8 万元", "一天换 3 次"]
        {
            assert!(!states_duration(text), "{text}");
        }
    }

    #[test]
    fn limits_are_read_in_seconds() {
        for (text, seconds) in [
            ("有没有3分钟以内的视频", 180.0),
            ("两分钟之内", 120.0),
            ("不超过 90 秒", 90.0),
            ("半小时内", 1_800.0),
            ("a video under 2 minutes", 120.0),
            ("最多 5 分钟", 300.0),
        ] {
            assert_eq!(time_limit(text), Some(seconds), "{text}");
        }
        for text in ["3 分钟的视频", "100 天内交货", "以内"] {
            assert_eq!(time_limit(text), None, "{text}");
        }
        assert_eq!(running_time("2:39"), Some(159.0));
        assert_eq!(running_time("1:02:03"), Some(3_723.0));
        assert_eq!(running_time("约 3 分"), None);
    }

    #[test]
    fn rates_are_read_in_the_orders_and_units_that_people_write() {
        for (text, of, per_hour) in [
            ("500 mL 规格 **3,600 瓶/小时**", "瓶", 3_600.0),
            ("最高 300 瓶/分钟", "瓶", 18_000.0),
            ("客户一小时要 8000 瓶，推荐哪款灌装机", "瓶", 8_000.0),
            ("每小时1.2万瓶的线", "瓶", 12_000.0),
            ("一个小时做 600 箱", "箱", 600.0),
            ("卡在 150～200 瓶每分钟", "瓶", 12_000.0),
            ("40 包/分钟", "包", 2_400.0),
            ("２０ 箱／分钟", "箱", 1_200.0),
            ("We need 8,000 bottles an hour", "瓶", 8_000.0),
            ("160 cans per minute", "罐", 9_600.0),
        ] {
            assert_eq!(rates(text), [Rate { of, per_hour }], "{text}");
        }
    }

    #[test]
    fn other_amounts_and_times_are_no_rates() {
        for text in [
            "一班 8 小时约 84 度",
            "每包省 0.6 元",
            "11 小时 8000 瓶",
            "订 8000 瓶",
            "换线 8 分钟",
            "500 mL 圆瓶",
        ] {
            assert!(rates(text).is_empty(), "{text}: {:?}", rates(text));
        }
    }
}
