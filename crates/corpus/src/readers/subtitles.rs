//! SRT and `WebVTT`, read tolerantly: real files lack indices, mix `.` and `,`, and have blank lines in cues.
//!
//! A cue is what stands between one line of times and the next, less the next one's index. Tags (speaker,
//! italics, positions) are removed: they are not what was said.

use super::broken;
use crate::problem::Problem;

/// A recording's words with their times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transcript {
    /// The remark behind `WEBVTT`, with it, where there is one.
    pub heading: Option<String>,
    pub cues: Vec<Cue>,
}

/// Words that are shown together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cue {
    /// On one line, without tags.
    pub text: String,
    pub start_ms: u64,
    pub end_ms: u64,
    /// First and last line in the file.
    pub lines: (u32, u32),
}

pub(crate) fn read(path: &str, text: &str, problems: &mut Vec<Problem>) -> Result<Transcript, Problem> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_timing: Vec<bool> = lines.iter().map(|line| line.contains("-->")).collect();
    let skipped = notes(&lines);
    let mut cues = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if !is_timing[at] {
            at += 1;
            continue;
        }
        let next = (at + 1..lines.len()).find(|&line| is_timing[line]).unwrap_or(lines.len());
        let end = if next < lines.len() { without_index(&lines, at + 1, next) } else { next };
        let words: Vec<String> = (at + 1..end)
            .filter(|&line| !skipped[line])
            .map(|line| without_tags(lines[line]))
            .filter(|words| !words.is_empty())
            .collect();
        let last = (at..end).rev().find(|&line| !lines[line].is_empty()).unwrap_or(at);
        match times(lines[at]) {
            None => problems.push(Problem::error(
                path,
                Some(at as u32 + 1),
                "bad_row",
                format!("the times of this cue cannot be read: {}", lines[at]),
                format!("字幕时间无法识别：{}", lines[at]),
            )),
            Some((start_ms, end_ms)) if !words.is_empty() => cues.push(Cue {
                text: join(&words),
                start_ms,
                end_ms: end_ms.max(start_ms),
                lines: (at as u32 + 1, last as u32 + 1),
            }),
            Some(_) => {}
        }
        at = next;
    }
    if cues.is_empty() {
        return Err(broken(path, None, "SRT/VTT", "no cue with times and words"));
    }
    let heading = lines
        .first()
        .filter(|line| line.strip_prefix("WEBVTT").is_some_and(|rest| !rest.trim().is_empty()))
        .map(|line| (*line).to_owned());
    Ok(Transcript { heading, cues })
}

/// Lines of `WebVTT`'s NOTE, STYLE and REGION blocks, each up to the next blank line.
fn notes(lines: &[&str]) -> Vec<bool> {
    let mut inside = false;
    (0..lines.len())
        .map(|at| {
            let opens = at > 0
                && lines[at - 1].is_empty()
                && ["NOTE", "STYLE", "REGION"].iter().any(|word| {
                    lines[at].strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
                });
            inside = (inside || opens) && !lines[at].is_empty() && !lines[at].contains("-->");
            inside
        })
        .collect()
}

/// Where the words before the times on line `next` end: the next cue's index or name does not belong to them.
fn without_index(lines: &[&str], start: usize, next: usize) -> usize {
    let Some(last) = next.checked_sub(1).filter(|&last| last >= start) else { return next };
    let is_number = !lines[last].is_empty() && lines[last].chars().all(|c| c.is_ascii_digit());
    let stands_alone = !lines[last].is_empty() && last > start && lines[last - 1].is_empty();
    if is_number || stands_alone { last } else { next }
}

/// Lines of one cue on one line: Chinese joins without a space.
fn join(words: &[String]) -> String {
    let mut joined = String::new();
    for word in words {
        let latin = |c: Option<char>| c.is_some_and(|c| c.is_ascii());
        if !joined.is_empty() && (latin(joined.chars().next_back()) || latin(word.chars().next())) {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

fn without_tags(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(['<', '{']) {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        let close = if tag.starts_with('<') { '>' } else { '}' };
        let is_tag = tag[1..].starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '\\'));
        if let Some(end) = tag.find(close).filter(|_| is_tag) {
            rest = &tag[end + 1..];
        } else {
            out.push_str(&tag[..1]);
            rest = &tag[1..];
        }
    }
    out.push_str(rest);
    for (entity, character) in
        [("&nbsp;", " "), ("&lt;", "<"), ("&gt;", ">"), ("&lrm;", ""), ("&rlm;", ""), ("&amp;", "&")]
    {
        out = out.replace(entity, character);
    }
    out.trim().to_owned()
}

/// Start and end in ms.
fn times(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split_once("-->")?;
    Some((milliseconds(start.trim())?, milliseconds(end.split_whitespace().next()?)?))
}

/// `1:02:03,400`, `02:03.4`, `3.400` or any of them without the fraction.
fn milliseconds(time: &str) -> Option<u64> {
    let time = time.replace('：', ":").replace([',', '，'], ".");
    let (whole, fraction) = time.split_once('.').unwrap_or((&time, ""));
    let mut seconds = 0_u64;
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    for part in parts {
        seconds = seconds.checked_mul(60)?.checked_add(part.trim().parse::<u32>().ok()?.into())?;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    seconds.checked_mul(1_000)?.checked_add(fraction.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(text: &str) -> Vec<(String, u64, u64, (u32, u32))> {
        let transcript = read("a.srt", text, &mut Vec::new()).expect("cues");
        transcript.cues.into_iter().map(|cue| (cue.text, cue.start_ms, cue.end_ms, cue.lines)).collect()
    }

    #[test]
    fn tolerant_of_what_real_files_do() {
        let text = "1\n00:00:01,000 --> 00:00:02.5\n<v 张三>大家好</v>\n\n这里有空行\n\n00:03.000-->00:04,250\n{\\an8}没有<i>序号</i>\n3\n1:00:00 --> 1:00:01\nA &amp; B\nC\n";
        assert_eq!(
            cues(text),
            [
                ("大家好这里有空行".to_owned(), 1_000, 2_500, (2, 5)),
                ("没有序号".to_owned(), 3_000, 4_250, (7, 8)),
                ("A & B C".to_owned(), 3_600_000, 3_601_000, (10, 12)),
            ]
        );
    }

    #[test]
    fn notes_and_cue_names_of_webvtt_are_not_words() {
        let text = "WEBVTT - 直播\n\nNOTE 内部备注\n第二行\n\nintro\n00:01.000 --> 00:02.000 align:start\n你好\n\nSTYLE\n::cue {}\n\nend\n00:03.000 --> 00:04.000\n再见\n";
        assert_eq!(cues(text).iter().map(|cue| cue.0.as_str()).collect::<Vec<_>>(), ["你好", "再见"]);
        assert_eq!(
            read("a.vtt", text, &mut Vec::new()).expect("cues").heading.as_deref(),
            Some("WEBVTT - 直播")
        );
    }

    #[test]
    fn unreadable_times_are_reported_and_the_rest_kept() {
        let mut problems = Vec::new();
        let transcript =
            read("a.srt", "xx --> yy\n一\n\n00:01 --> 00:02\n二\n", &mut problems).expect("cues");
        assert_eq!((transcript.cues.len(), problems[0].line), (1, Some(1)));
        assert!(read("a.srt", "没有时间", &mut Vec::new()).is_err());
    }
}
