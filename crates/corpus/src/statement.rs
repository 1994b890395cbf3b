//! Changing what is said about a document where it is written, and nothing else.
//!
//! A person's front matter has an order, comments and quirks that no YAML writer gives back. So single entries are
//! changed, added or taken away, and the result is believed only when reading it says what was said before, but for
//! them.

use std::ops::Range;

use crate::columns::canonical;
use crate::document::Status;
use crate::meta::{Layer, Meta, Place};
use crate::node::{Value, parse_yaml};
use crate::readers::{Format, Front, read_prose};

const NOT_UTF8: &str = "it is not UTF-8; save it as UTF-8 first";
const BROKEN: &str =
    "what stands about the document at its top, or beside it, cannot be read; mend that first";
const STRANGE: &str =
    "what is said there is written in a way that cannot be changed line by line; change it by hand";
const NOT_UNDERSTOOD: &str = "a value would not be understood when it is read again";

/// Something that front matter or a sidecar says about a document, as the knowledge format names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// `title`, `kind`, `audience`, …: a key of the knowledge format.
    pub key: &'static str,
    /// What it shall say.
    pub says: Says,
}

/// What a [`Statement`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// It is no longer said; what stands in `_folder.yaml` counts again.
    Nothing,
    /// One line of text.
    Words(String),
    /// A list.
    List(Vec<String>),
}

impl From<Status> for Statement {
    fn from(status: Status) -> Self {
        let name = match status {
            Status::Published => "published",
            Status::Draft => "draft",
            Status::Archived => "archived",
        };
        Self { key: "status", says: Says::Words(name.to_owned()) }
    }
}

impl Statement {
    /// As one line of YAML without its end, behind `key` as the file writes it; `None` where nothing is said.
    fn line(&self, key: &str) -> Option<String> {
        match &self.says {
            Says::Nothing => None,
            Says::Words(words) => Some(format!("{key}: {}", scalar(words))),
            Says::List(items) => {
                let items: Vec<String> = items.iter().map(|item| scalar(item)).collect();
                Some(format!("{key}: [{}]", items.join(", ")))
            }
        }
    }
}

/// The file with these statements in its front matter; `None` where such a file has none and needs a sidecar.
///
/// # Errors
/// Why the file cannot be changed without harm.
pub(crate) fn with_statements(
    bytes: &[u8],
    format: Format,
    statements: &[Statement],
) -> Result<Option<Vec<u8>>, &'static str> {
    if !matches!(format, Format::Markdown | Format::Text) {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    let (mark, text) = text.strip_prefix('\u{FEFF}').map_or(("", text), |rest| ("\u{FEFF}", rest));
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let expected = after(meta_of(text)?, statements)?;
    let changed = match front_matter(text) {
        Some((whole, yaml)) => {
            let edited = edited(&text[yaml.clone()], statements, end);
            if edited.trim().is_empty() {
                format!("{}{}", &text[..whole.start], &text[whole.end..])
            } else {
                format!("{}{edited}{}", &text[..yaml.start], &text[yaml.end..])
            }
        }
        None => match edited("", statements, end) {
            nothing if nothing.is_empty() => text.to_owned(),
            yaml => format!("---{end}{yaml}---{end}{text}"),
        },
    };
    if meta_of(&changed)? != expected || body(&changed) != body(text) {
        return Err(STRANGE);
    }
    Ok(Some(format!("{mark}{changed}").into_bytes()))
}

/// A sidecar with these statements.
///
/// # Errors
/// Why it cannot be changed without harm.
pub(crate) fn sidecar_with_statements(
    bytes: &[u8],
    statements: &[Statement],
) -> Result<Vec<u8>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let expected = after(meta_of_yaml(text)?, statements)?;
    let changed = edited(text, statements, end);
    if meta_of_yaml(&changed)? != expected {
        return Err(STRANGE);
    }
    Ok(changed.into_bytes())
}

/// What is said once `statements` are laid over what was said before.
fn after(mut before: Meta, statements: &[Statement]) -> Result<Meta, &'static str> {
    for statement in statements.iter().filter(|statement| statement.says == Says::Nothing) {
        before.forget(statement.key);
    }
    let yaml: String = statements
        .iter()
        .filter_map(|statement| statement.line(statement.key))
        .map(|line| line + "\n")
        .collect();
    let (said, problems) = read_yaml(&yaml)?;
    if problems > 0 {
        return Err(NOT_UNDERSTOOD);
    }
    Ok(said.over(&before))
}

/// `yaml` with the entries of the statements changed or taken away, or with more at its end.
fn edited(yaml: &str, statements: &[Statement], end: &str) -> String {
    let mut out = String::new();
    let mut done = vec![false; statements.len()];
    let mut is_replaced = false;
    for row in yaml.split_inclusive('\n') {
        let goes_on = row.starts_with([' ', '\t', '-']);
        if goes_on && is_replaced {
            continue;
        }
        is_replaced = false;
        let key = row.split([':', '：']).next().unwrap_or_default().trim_matches(['"', '\'']);
        let named = (!goes_on && !row.starts_with('#') && row.contains([':', '：']))
            .then(|| canonical(key))
            .flatten()
            .and_then(|name| statements.iter().position(|statement| statement.key == name));
        let Some(idx) = named else {
            out.push_str(row);
            continue;
        };
        is_replaced = true;
        if !std::mem::replace(&mut done[idx], true)
            && let Some(line) = statements[idx].line(key)
        {
            out.push_str(&format!("{line}{}{end}", comment(row)));
        }
    }
    let rest = statements.iter().zip(done).filter(|(_, done)| !done);
    for line in rest.filter_map(|(statement, _)| statement.line(statement.key)) {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(end);
        }
        out.push_str(&format!("{line}{end}"));
    }
    out
}

/// The comment at the end of a row, with the space before it; empty where there is none.
fn comment(row: &str) -> &str {
    let is_outside = |at: usize| ['"', '\''].iter().all(|quote| row[..at].matches(*quote).count() % 2 == 0);
    row.find(" #").filter(|at| is_outside(*at)).map(|at| row[at..].trim_end()).unwrap_or_default()
}

/// `words` as YAML reads them back: bare where that is certain, else between quotation marks.
fn scalar(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_plain = words.chars().next().is_some_and(char::is_alphabetic)
        && words.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' '))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
            .contains(&words.to_lowercase().as_str());
    let is_date = words.len() == 10 && words.parse::<jiff::civil::Date>().is_ok();
    if is_plain || is_date { words } else { serde_json::Value::String(words).to_string() }
}

/// Where the front matter stands with its rules, and its YAML, if there is some that is closed.
fn front_matter(text: &str) -> Option<(Range<usize>, Range<usize>)> {
    let prose = read_prose(text.to_owned(), true);
    prose.front.as_ref()?;
    let body = text.len() - prose.text.len();
    let rows: Vec<&str> = text[..body].split_inclusive('\n').collect();
    let opening = rows.iter().position(|row| row.trim_end() == "---")?;
    let whole: usize = rows[..opening].iter().map(|row| row.len()).sum();
    let start = whole + rows[opening].len();
    let end = body - rows.last()?.len();
    (start <= end).then_some((whole..body, start..end))
}

/// The text without its front matter.
fn body(text: &str) -> String {
    read_prose(text.to_owned(), true).text
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
    read_yaml(yaml).map(|(meta, _)| meta)
}

/// What is said there, and how much of it is not understood.
fn read_yaml(yaml: &str) -> Result<(Meta, usize), &'static str> {
    let documents = parse_yaml(yaml).map_err(|_| BROKEN)?;
    match documents.first().map(|node| &node.value) {
        None | Some(Value::Null) => Ok((Meta::default(), 0)),
        Some(Value::Map(entries)) => {
            let entries = entries.iter().map(|(key, node)| (key.as_str(), node));
            let mut problems = Vec::new();
            let meta = Meta::read(entries, Place { path: "", layer: Layer::Own }, &mut problems);
            Ok((meta, problems.len()))
        }
        Some(_) => Err(BROKEN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(text: &str, statements: &[Statement]) -> Result<String, &'static str> {
        let changed = with_statements(text.as_bytes(), Format::Markdown, statements)?;
        Ok(String::from_utf8(changed.expect("Markdown has front matter")).unwrap())
    }

    fn changed(text: &str, status: Status) -> Result<String, &'static str> {
        stated(text, &[status.into()])
    }

    fn words(key: &'static str, words: &str) -> Statement {
        Statement { key, says: Says::Words(words.to_owned()) }
    }

    fn list(key: &'static str, items: &[&str]) -> Statement {
        Statement { key, says: Says::List(items.iter().map(|item| (*item).to_owned()).collect()) }
    }

    fn nothing(key: &'static str) -> Statement {
        Statement { key, says: Says::Nothing }
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
            sidecar_with_statements(b"owner: \xe5\xb8\x82", &[Status::Draft.into()]).unwrap(),
            "owner: 市\nstatus: draft\n".as_bytes()
        );
        let blocks = "---\n状态:\n  - draft\nindustry:\n- 食品\n- 日化\nproduct: [LB-300]\n---\n正文\n";
        assert_eq!(
            stated(blocks, &[list("industry", &["饮料"]), words("title", "甲: \"乙\"\n丙")]).unwrap(),
            "---\n状态:\n  - draft\nindustry: [饮料]\nproduct: [LB-300]\ntitle: \"甲: \\\"乙\\\" 丙\"\n---\n正文\n"
        );
    }

    #[test]
    fn several_things_are_said_at_once_and_taken_back() {
        let said = [
            words("title", "FX-9 手册"),
            words("kind", "product"),
            list("industry", &["食品饮料", "a, b", "- c", "yes", "12"]),
            words("valid_until", "2027-12-31"),
            nothing("owner"),
        ];
        let text = stated("# 手册\n", &said).unwrap();
        assert_eq!(
            text,
            "---\ntitle: FX-9 手册\nkind: product\nindustry: [食品饮料, \"a, b\", \"- c\", \"yes\", \"12\"]\nvalid_until: \
             2027-12-31\n---\n# 手册\n"
        );
        let meta = meta_of(&text).unwrap();
        assert_eq!(meta.industry.unwrap(), ["食品饮料", "a, b", "- c", "yes", "12"]);
        let less = stated(&text, &[nothing("industry"), nothing("kind")]).unwrap();
        assert_eq!(less, "---\ntitle: FX-9 手册\nvalid_until: 2027-12-31\n---\n# 手册\n");
        assert_eq!(stated(&less, &[nothing("title"), nothing("valid_until")]).unwrap(), "# 手册\n");
        assert_eq!(stated("# 手册\n", &[nothing("title")]).unwrap(), "# 手册\n");
    }

    #[test]
    fn what_cannot_be_changed_safely_is_left_alone() {
        assert_eq!(changed("---\ntitle: [\n---\n", Status::Draft), Err(BROKEN));
        assert_eq!(changed("---\n{status: draft, title: 甲}\n---\n", Status::Archived), Err(BROKEN));
        assert_eq!(stated("正文", &[words("kind", "novel")]), Err(NOT_UNDERSTOOD));
        assert_eq!(stated("正文", &[words("valid_until", "next year")]), Err(NOT_UNDERSTOOD));
        let draft = [Status::Draft.into()];
        assert_eq!(with_statements(b"\xc4\xe3\xba\xc3", Format::Text, &draft), Err(NOT_UTF8));
        assert_eq!(with_statements(b"%PDF", Format::Pdf, &draft), Ok(None));
    }
}
