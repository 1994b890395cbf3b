//! Changing a document's status where it is written, and nothing else.
//!
//! A person's front matter has an order, comments and quirks that no YAML writer gives back. So one line is changed or
//! added, and the result is believed only when reading it says what was said before, but for the status.

use crate::columns::canonical;
use crate::document::Status;
use crate::meta::{Layer, Meta, Place};
use crate::node::{Value, parse_yaml};
use crate::readers::{Format, Front, read_prose};

const NOT_UTF8: &str = "it is not UTF-8; save it as UTF-8 first";
const BROKEN: &str =
    "what stands about the document at its top, or beside it, cannot be read; mend that first";
const STRANGE: &str = "its status is written in a way that cannot be changed by one line; change it by hand";

fn name(status: Status) -> &'static str {
    match status {
        Status::Published => "published",
        Status::Draft => "draft",
        Status::Archived => "archived",
    }
}

/// The file with this status in its front matter; `None` where such a file has none and needs a sidecar.
///
/// # Errors
/// Why the file cannot be changed without harm.
pub(crate) fn with_status(
    bytes: &[u8],
    format: Format,
    status: Status,
) -> Result<Option<Vec<u8>>, &'static str> {
    if !matches!(format, Format::Markdown | Format::Text) {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    let (mark, text) = text.strip_prefix('\u{FEFF}').map_or(("", text), |rest| ("\u{FEFF}", rest));
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let before = meta_of(text)?;
    let changed = match front_matter(text) {
        Some(yaml) => format!(
            "{}{}{}",
            &text[..yaml.start],
            edited(&text[yaml.clone()], status, end),
            &text[yaml.end..]
        ),
        None => format!("---{end}status: {}{end}---{end}{text}", name(status)),
    };
    if meta_of(&changed)? != (Meta { status: Some(status), ..before }) {
        return Err(STRANGE);
    }
    Ok(Some(format!("{mark}{changed}").into_bytes()))
}

/// A sidecar with this status.
///
/// # Errors
/// Why it cannot be changed without harm.
pub(crate) fn sidecar_with_status(bytes: &[u8], status: Status) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let before = meta_of_yaml(text)?;
    let changed = edited(text, status, end);
    if meta_of_yaml(&changed)? != (Meta { status: Some(status), ..before }) {
        return Err(STRANGE);
    }
    Ok(changed.into_bytes())
}

/// `yaml` with its line for the status changed, or with one more at its end.
fn edited(yaml: &str, status: Status, end: &str) -> String {
    let mut out = String::new();
    let mut done = false;
    for row in yaml.split_inclusive('\n') {
        let key = row.split([':', '：']).next().unwrap_or_default().trim_matches(['"', '\'']);
        let is_status = !row.starts_with([' ', '\t', '#'])
            && row.contains([':', '：'])
            && canonical(key) == Some("status");
        if is_status && !done {
            done = true;
            let comment = row.find(" #").map(|at| row[at..].trim_end()).unwrap_or_default();
            out.push_str(&format!("{key}: {}{comment}{end}", name(status)));
        } else {
            out.push_str(row);
        }
    }
    if !done {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(end);
        }
        out.push_str(&format!("status: {}{end}", name(status)));
    }
    out
}

/// Where the YAML of the front matter stands, if there is some that is closed.
fn front_matter(text: &str) -> Option<std::ops::Range<usize>> {
    let prose = read_prose(text.to_owned(), true);
    prose.front.as_ref()?;
    let body = text.len() - prose.text.len();
    let rows: Vec<&str> = text[..body].split_inclusive('\n').collect();
    let opening = rows.iter().position(|row| row.trim_end() == "---")?;
    let start = rows[..=opening].iter().map(|row| row.len()).sum();
    let closing = rows.last()?.len();
    (start <= body - closing).then_some(start..body - closing)
}

fn meta_of(text: &str) -> Result<Meta, &'static str> {
    match read_prose(text.replace("\r\n", "\n"), true).front {
        None => Ok(Meta::default()),
        Some(Front::Broken(_)) => Err(BROKEN),
        Some(Front::Keys(keys)) => {
            let entries = keys.iter().map(|(key, node)| (key.as_str(), node));
            Ok(Meta::read(entries, Place { path: "", layer: Layer::Own }, &mut Vec::new()))
        }
    }
}

fn meta_of_yaml(yaml: &str) -> Result<Meta, &'static str> {
    let documents = parse_yaml(yaml).map_err(|_| BROKEN)?;
    match documents.first().map(|node| &node.value) {
        None | Some(Value::Null) => Ok(Meta::default()),
        Some(Value::Map(entries)) => {
            let entries = entries.iter().map(|(key, node)| (key.as_str(), node));
            Ok(Meta::read(entries, Place { path: "", layer: Layer::Own }, &mut Vec::new()))
        }
        Some(_) => Err(BROKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, status: Status) -> Result<String, &'static str> {
        let changed = with_status(text.as_bytes(), Format::Markdown, status)?;
        Ok(String::from_utf8(changed.expect("Markdown has front matter")).unwrap())
    }

    #[test]
    fn one_line_changes_and_all_else_stays_to_the_letter() {
        let text = "---\n# 谁写的\ntitle: \"甲: 乙\"\nstatus: draft   # 等法务\ntags: [a,  b]\n---\n\n正文\nstatus: 不动\n";
        let expected = text.replace("draft   # 等法务", "published # 等法务");
        let found = changed(text, Status::Published).unwrap();
        assert_eq!(found.replace("   #", " #"), expected.replace("   #", " #"));
        let added = changed("---\r\ntitle: 甲\r\n---\r\n正文\r\n", Status::Archived).unwrap();
        assert_eq!(added, "---\r\ntitle: 甲\r\nstatus: archived\r\n---\r\n正文\r\n");
        assert_eq!(changed("\u{FEFF}正文", Status::Draft).unwrap(), "\u{FEFF}---\nstatus: draft\n---\n正文");
        assert_eq!(
            changed("---\n状态: 草稿\n---\n", Status::Published).unwrap(),
            "---\n状态: published\n---\n"
        );
        assert_eq!(
            sidecar_with_status(b"owner: \xe5\xb8\x82", Status::Draft).unwrap(),
            "owner: 市\nstatus: draft\n".as_bytes()
        );
    }

    #[test]
    fn what_cannot_be_changed_safely_is_left_alone() {
        assert_eq!(changed("---\ntitle: [\n---\n", Status::Draft), Err(BROKEN));
        assert_eq!(changed("---\nstatus:\n  - draft\n---\n", Status::Archived), Err(STRANGE));
        assert_eq!(with_status(b"\xc4\xe3\xba\xc3", Format::Text, Status::Draft), Err(NOT_UTF8));
        assert_eq!(with_status(b"%PDF", Format::Pdf, Status::Draft), Ok(None));
    }
}
