//! Excel's number formats, as far as price lists and reports use them.
//!
//! `39800` under `¥#,##0.00` is "¥39,800.00" to everybody who looks at the sheet, and an answer must quote
//! what they see. Fractions and conditions are rare and shown plainly. Dates follow their pattern; the
//! built-in patterns that Excel shows by locale are shown as in China.

/// Year, month, day, hour, minute, second, millisecond.
pub(crate) type Moment = (u16, u8, u8, u8, u8, u8, u16);

/// A number under a format code.
pub(crate) fn number(value: f64, code: &str) -> String {
    let sections = sections(code);
    let (section, value) = match (sections.len(), value) {
        (2.., value) if value < 0.0 => (sections[1].as_str(), -value),
        (3.., 0.0) => (sections[2].as_str(), value),
        _ => (sections.first().map_or("General", String::as_str), value),
    };
    let pattern = Pattern::new(section);
    if pattern.is_general {
        return general(value);
    }
    pattern.show(value)
}

/// `General`: as many digits as Excel shows, 11 at most.
fn general(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}").replace("-0", "0");
    }
    let magnitude = value.abs().log10().floor() as i32;
    if !(-9..=20).contains(&magnitude) {
        return format!("{value:E}");
    }
    if value.fract() == 0.0 {
        return format!("{value}");
    }
    let decimals = usize::try_from((10 - magnitude).clamp(0, 15)).unwrap_or(0);
    let shown = format!("{value:.decimals$}");
    if shown.contains('.') { shown.trim_end_matches('0').trim_end_matches('.').to_owned() } else { shown }
}

/// The sections between `;` outside quotes.
fn sections(code: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for character in code.chars() {
        if character == ';' && !quoted && !escaped {
            sections.push(String::new());
            continue;
        }
        escaped = !escaped && !quoted && matches!(character, '\\' | '!' | '_' | '*');
        quoted ^= character == '"';
        if let Some(section) = sections.last_mut() {
            section.push(character);
        }
    }
    sections
}

/// A format's section for numbers, taken apart.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one mark that the pattern has or has not")]
struct Pattern {
    before: String,
    after: String,
    decimals_fixed: usize,
    decimals_optional: usize,
    integer_digits: usize,
    groups: bool,
    /// Thousands dropped by trailing commas.
    scale: i32,
    percent: bool,
    exponent: bool,
    has_digits: bool,
    is_general: bool,
}

impl Pattern {
    fn new(section: &str) -> Self {
        let mut pattern = Self::default();
        let mut in_decimals = false;
        let mut characters = section.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' => {
                    let literal: String = characters.by_ref().take_while(|&c| c != '"').collect();
                    pattern.literal(&literal);
                }
                '\\' | '!' => {
                    let literal = characters.next().map(String::from).unwrap_or_default();
                    // `0!.0,` is how Chinese sheets show units of ten thousand: the point is put into the
                    // digits, which a literal before or after them cannot express.
                    if literal == "."
                        && pattern.has_digits
                        && characters.peek().is_some_and(char::is_ascii_digit)
                    {
                        pattern.is_general = true;
                    }
                    pattern.literal(&literal);
                }
                '_' | '*' => {
                    characters.next();
                }
                '[' => {
                    let inside: String = characters.by_ref().take_while(|&c| c != ']').collect();
                    if let Some(currency) = inside.strip_prefix('$') {
                        pattern.literal(currency.split('-').next().unwrap_or_default());
                    }
                }
                '0' | '#' | '?' => {
                    pattern.has_digits = true;
                    match (in_decimals, character) {
                        (true, '0') => pattern.decimals_fixed += 1,
                        (true, _) => pattern.decimals_optional += 1,
                        (false, '0') => pattern.integer_digits += 1,
                        (false, _) => {}
                    }
                }
                '.' if pattern.has_digits && !in_decimals => in_decimals = true,
                '.' if !pattern.has_digits => {
                    pattern.has_digits = true;
                    in_decimals = true;
                }
                ',' if pattern.has_digits => {
                    if characters.peek().is_some_and(|c| matches!(c, '0' | '#' | '?')) {
                        pattern.groups = true;
                    } else {
                        pattern.scale += 1;
                    }
                }
                '%' => {
                    pattern.percent = true;
                    pattern.literal("%");
                }
                'E' | 'e' if matches!(characters.peek(), Some('+' | '-')) => {
                    pattern.exponent = true;
                    characters.next();
                    while characters.next_if(|c| matches!(c, '0' | '#')).is_some() {}
                }
                '/' if pattern.has_digits => pattern.is_general = true,
                '@' | 'G' => {
                    pattern.is_general = true;
                    break;
                }
                other => pattern.literal(other.encode_utf8(&mut [0; 4])),
            }
        }
        pattern
    }

    fn literal(&mut self, text: &str) {
        if self.has_digits { &mut self.after } else { &mut self.before }.push_str(text);
    }

    fn show(&self, value: f64) -> String {
        if !self.has_digits {
            return format!("{}{}", self.before, self.after).trim().to_owned();
        }
        let scaled = value * if self.percent { 100.0 } else { 1.0 } / 1_000_f64.powi(self.scale);
        let digits = if self.exponent { self.scientific(scaled) } else { self.fixed(scaled.abs()) };
        // A value that rounds to nothing has no sign.
        let is_negative = scaled < 0.0 && digits.bytes().any(|digit| matches!(digit, b'1'..=b'9'));
        let sign = if is_negative && !self.exponent { "-" } else { "" };
        format!("{sign}{}{digits}{}", self.before, self.after).trim().to_owned()
    }

    fn fixed(&self, value: f64) -> String {
        let decimals = self.decimals_fixed + self.decimals_optional;
        // Excel rounds the decimal digits that it shows, not the binary fraction behind them.
        let rounded = format!("{:.*}", decimals, round_decimal(value, decimals));
        let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
        let mut fraction = fraction.to_owned();
        while fraction.len() > self.decimals_fixed && fraction.ends_with('0') {
            fraction.pop();
        }
        let mut whole = whole.to_owned();
        if whole == "0" && self.integer_digits == 0 && !fraction.is_empty() {
            whole.clear();
        }
        while whole.len() < self.integer_digits {
            whole.insert(0, '0');
        }
        if self.groups {
            whole = grouped(&whole);
        }
        let point = if fraction.is_empty() { "" } else { "." };
        format!("{whole}{point}{fraction}")
    }

    fn scientific(&self, value: f64) -> String {
        let shown = format!("{:.*e}", self.decimals_fixed, value);
        let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}E{sign}{:02}", exponent.abs())
    }
}

/// Rounds half up on the shortest decimal that means this number: 1.005 shown with two places is 1.01.
fn round_decimal(value: f64, decimals: usize) -> f64 {
    let shortest = format!("{value}");
    let Some((_, fraction)) = shortest.split_once('.') else { return value };
    if fraction.len() <= decimals || fraction.as_bytes()[decimals] != b'5' || fraction.len() != decimals + 1 {
        return value;
    }
    format!("{}6", &shortest[..shortest.len() - 1]).parse().unwrap_or(value)
}

fn grouped(whole: &str) -> String {
    let mut out = String::with_capacity(whole.len() + whole.len() / 3);
    for (idx, digit) in whole.chars().enumerate() {
        if idx > 0 && (whole.len() - idx).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A length of time, in days, under `[h]:mm:ss` or the like.
pub(crate) fn duration(days: f64, code: &str) -> String {
    let seconds = (days * 86_400.0).round() as i64;
    let lower = code.to_ascii_lowercase();
    let (hours, minutes) = (seconds / 3_600, seconds / 60);
    let (minute, second) = ((minutes % 60).abs(), (seconds % 60).abs());
    if lower.contains("[s") {
        return seconds.to_string();
    }
    if lower.contains("[m") {
        return format!("{minutes:02}:{second:02}");
    }
    if lower.contains('s') {
        format!("{hours}:{minute:02}:{second:02}")
    } else {
        format!("{hours}:{minute:02}")
    }
}

/// A moment under a date pattern; `id` is the built-in format, of which some have no pattern of their own.
pub(crate) fn date_time(moment: Moment, code: &str, id: Option<u32>) -> String {
    let code = match id {
        Some(14) => "yyyy/m/d",
        Some(22) => "yyyy/m/d h:mm",
        Some(27 | 36 | 50 | 52 | 57) => "yyyy年m月",
        Some(28 | 29 | 51 | 53 | 54 | 58) => "m月d日",
        Some(30) => "m-d-yy",
        Some(31) => "yyyy年m月d日",
        Some(32) => "h时mm分",
        Some(33) => "h时mm分ss秒",
        Some(34 | 55) => "上午/下午h时mm分",
        Some(35 | 56) => "上午/下午h时mm分ss秒",
        _ => code,
    };
    let pattern = sections(code).into_iter().next().unwrap_or_default();
    let shown = show_date(moment, &pattern);
    if shown.trim().is_empty() || pattern.eq_ignore_ascii_case("general") {
        let (year, month, day, hour, minute, second, _) = moment;
        let date = format!("{year}-{month:02}-{day:02}");
        return if (hour, minute, second) == (0, 0, 0) {
            date
        } else {
            format!("{date} {hour:02}:{minute:02}:{second:02}")
        };
    }
    shown.trim().to_owned()
}

fn show_date(moment: Moment, pattern: &str) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (year, month, day, hour, minute, second, _) = moment;
    let is_twelve_hour =
        pattern.contains("AM/PM") || pattern.contains("am/pm") || pattern.contains("上午/下午");
    let clock = if is_twelve_hour { (hour + 11) % 12 + 1 } else { hour };
    let characters: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let mut after_hour = false;
    let mut at = 0;
    while at < characters.len() {
        let character = characters[at];
        let token = character.to_ascii_lowercase();
        let run = characters[at..].iter().take_while(|c| c.to_ascii_lowercase() == token).count();
        let rest: String = characters[at..].iter().collect();
        match token {
            '"' => {
                let literal: String = characters[at + 1..].iter().take_while(|&&c| c != '"').collect();
                at += literal.chars().count() + 2;
                out.push_str(&literal);
                continue;
            }
            '\\' | '!' => {
                out.extend(characters.get(at + 1));
                at += 2;
                continue;
            }
            '_' | '*' => {
                at += 2;
                continue;
            }
            '[' => {
                at += characters[at..].iter().take_while(|&&c| c != ']').count() + 1;
                continue;
            }
            _ if rest.to_ascii_uppercase().starts_with("AM/PM") => {
                out.push_str(if hour < 12 { "AM" } else { "PM" });
                at += 5;
                continue;
            }
            _ if rest.starts_with("上午/下午") => {
                out.push_str(if hour < 12 { "上午" } else { "下午" });
                at += 5;
                continue;
            }
            'y' if run <= 2 => out.push_str(&padded((year % 100) as u8, 2)),
            'y' => out.push_str(&year.to_string()),
            'm' => {
                let next = characters[at + run..].iter().find(|c| c.is_ascii_alphabetic());
                if after_hour || next.is_some_and(|c| c.eq_ignore_ascii_case(&'s')) {
                    out.push_str(&padded(minute, run));
                } else {
                    let name = MONTHS[usize::from(month.clamp(1, 12)) - 1];
                    match run {
                        1 | 2 => out.push_str(&padded(month, run)),
                        3 => out.push_str(&name[..3]),
                        _ => out.push_str(name),
                    }
                }
            }
            'd' if run <= 2 => out.push_str(&padded(day, run)),
            'd' => out.push_str(weekday(year, month, day)),
            'a' if run >= 3 => out.push_str(weekday(year, month, day)),
            'h' => out.push_str(&padded(clock, run)),
            's' => out.push_str(&padded(second, run)),
            '@' => {}
            _ => {
                out.extend(&characters[at..at + run]);
                at += run;
                continue;
            }
        }
        after_hour = token == 'h' || (after_hour && !token.is_ascii_alphabetic());
        at += run;
    }
    out
}

fn padded(value: u8, width: usize) -> String {
    if width >= 2 { format!("{value:02}") } else { value.to_string() }
}

fn weekday(year: u16, month: u8, day: u8) -> &'static str {
    let date = jiff::civil::Date::new(year.cast_signed(), month.cast_signed(), day.cast_signed());
    let names = ["星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"];
    date.map_or("", |date| names[date.weekday().to_monday_zero_offset() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_the_sheet_shows_them() {
        for (value, code, shown) in [
            (39_800.0, "General", "39800"),
            (0.1 + 0.2, "General", "0.3"),
            (26.8, "General", "26.8"),
            (1_234_567.0, "#,##0", "1,234,567"),
            (39_800.0, "\"¥\"#,##0.00", "¥39,800.00"),
            (39_800.0, "[$¥-804]#,##0.00", "¥39,800.00"),
            (0.95, "0%", "95%"),
            (0.4567, "0.00%", "45.67%"),
            (-5.0, "0.0_);(0.0)", "(5.0)"),
            (-5.0, "0", "-5"),
            (26.8, "0.0\"万元\"", "26.8万元"),
            (1.005, "0.00", "1.01"),
            (7.0, "000", "007"),
            (0.5, "#.##", ".5"),
            (12_345.0, "0.00E+00", "1.23E+04"),
            (0.0, "0;-0;\"-\"", "-"),
            (1.5, "# ?/?", "1.5"),
            (1_500_000.0, "0.0,,", "1.5"),
            (3.0, "@", "3"),
            (0.0, "General", "0"),
            (-0.001, "0.0", "0.0"),
        ] {
            assert_eq!(number(value, code), shown, "{value} under {code}");
        }
    }

    #[test]
    fn dates_follow_their_pattern() {
        let moment = (2026, 3, 5, 14, 7, 9, 0);
        for (code, id, shown) in [
            ("yyyy-mm-dd", Some(164), "2026-03-05"),
            ("mm-dd-yy", Some(14), "2026/3/5"),
            ("yyyy\"年\"m\"月\"d\"日\"", None, "2026年3月5日"),
            ("yyyy/m/d h:mm:ss", None, "2026/3/5 14:07:09"),
            ("h:mm AM/PM", None, "2:07 PM"),
            ("d-mmm-yy", Some(15), "5-Mar-26"),
            ("[$-804]yyyy\"年\"m\"月\";@", None, "2026年3月"),
            ("aaaa", None, "星期四"),
            ("General", Some(31), "2026年3月5日"),
            ("General", Some(34), "下午2时07分"),
            ("mm:ss", Some(45), "07:09"),
        ] {
            assert_eq!(date_time(moment, code, id), shown, "{code}");
        }
    }

    #[test]
    fn durations_count_beyond_a_day() {
        assert_eq!(duration(1.5, "[h]:mm:ss"), "36:00:00");
        assert_eq!(duration(0.5 / 24.0, "[mm]:ss"), "30:00");
    }
}
