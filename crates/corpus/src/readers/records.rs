//! JSON, JSONL and YAML: records that a table kind reads as rows, and any other kind as `key: value` lines.

use super::{Row, Table, broken};
use crate::columns::META_KEYS;
use crate::node::{Node, Value, parse_json, parse_yaml};
use crate::problem::Problem;

/// The values of a file, one a document (YAML), one a line (JSONL), or one in all (JSON).
#[derive(Debug)]
pub(crate) struct Records {
    pub roots: Vec<Node>,
}

impl Records {
    /// The records as a table, where there are records: maps in a list, one after another, or in the only
    /// list of an object (`{"items": […]}`), or one map on its own.
    pub(crate) fn table(&self) -> Option<Table> {
        let items = self.items()?;
        let mut header: Vec<String> = Vec::new();
        for entries in items.iter().filter_map(|item| item.as_map()) {
            for (key, _) in entries {
                if !header.contains(key) {
                    header.push(key.clone());
                }
            }
        }
        let rows = items
            .iter()
            .map(|item| {
                let entries = item.as_map().unwrap_or_default();
                let value = |name: &String| {
                    entries
                        .iter()
                        .find(|(key, _)| key == name)
                        .map(|(_, node)| node.to_text().trim().to_owned())
                };
                Row {
                    cells: header.iter().map(|name| value(name).unwrap_or_default()).collect(),
                    lines: item.lines,
                }
            })
            .collect();
        Some(Table { name: None, preface: Vec::new(), header: Row { cells: header, lines: (1, 1) }, rows })
    }

    fn items(&self) -> Option<Vec<&Node>> {
        let maps = |nodes: &[Node]| !nodes.is_empty() && nodes.iter().all(|node| node.as_map().is_some());
        let [root] = self.roots.as_slice() else {
            return maps(&self.roots).then(|| self.roots.iter().collect());
        };
        match &root.value {
            Value::List(items) if maps(items) => Some(items.iter().collect()),
            Value::Map(entries) => {
                let mut lists = entries.iter().filter_map(|(_, node)| match &node.value {
                    Value::List(items) if maps(items) => Some(items),
                    _ => None,
                });
                match (lists.next(), lists.next()) {
                    (Some(items), None) => Some(items.iter().collect()),
                    _ => Some(vec![root]),
                }
            }
            _ => None,
        }
    }

    /// The entries of the file's one map, where it is one: they may say something about the document.
    pub(crate) fn top(&self) -> Option<&[(String, Node)]> {
        match self.roots.as_slice() {
            [root] => root.as_map(),
            _ => None,
        }
    }
}

pub(crate) fn read_json(path: &str, text: &str) -> Result<Records, Problem> {
    match parse_json(text) {
        Ok(root) => Ok(Records { roots: vec![root] }),
        Err(error) => Err(broken(path, Some(error.line), "JSON", &error.message)),
    }
}

pub(crate) fn read_yaml(path: &str, text: &str) -> Result<Records, Problem> {
    let mut roots =
        parse_yaml(text).map_err(|error| broken(path, Some(error.line), "YAML", &error.message))?;
    roots.retain(|root| root.value != Value::Null);
    if roots.is_empty() { Err(super::empty(path)) } else { Ok(Records { roots }) }
}

/// One value a line; lines that are not JSON are reported and left out.
pub(crate) fn read_jsonl(path: &str, text: &str, problems: &mut Vec<Problem>) -> Result<Records, Problem> {
    let mut roots = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        match parse_json(line) {
            Ok(node) => roots.push(on_line(node, number)),
            Err(error) => problems.push(Problem::error(
                path,
                Some(number),
                "bad_row",
                format!("this line is not JSON: {}", error.message),
                format!("本行不是有效的 JSON：{}", error.message),
            )),
        }
    }
    if roots.is_empty() {
        return Err(broken(path, None, "JSONL", "no line is valid JSON"));
    }
    Ok(Records { roots })
}

fn on_line(mut node: Node, line: u32) -> Node {
    node.lines = (line, line);
    node.value = match node.value {
        Value::List(items) => Value::List(items.into_iter().map(|item| on_line(item, line)).collect()),
        Value::Map(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key, on_line(value, line))).collect())
        }
        value => value,
    };
    node
}

/// The records as readable lines, with the source lines each came from.
///
/// Keys at the top that speak about the document (`id`, `audience` …) are left out where `meta_on_top`;
/// the title stays, it is a line worth reading. Nested values are indented, and stand apart by a blank
/// line at the top level, so that they are paragraphs to the splitter.
pub(crate) fn render_records(records: &Records, meta_on_top: bool) -> (String, LineSpans) {
    let mut out = Lines::default();
    for (idx, root) in records.roots.iter().enumerate() {
        if idx > 0 {
            out.blank();
        }
        match &root.value {
            Value::Map(entries) => {
                let left_out = |key: &str| {
                    meta_on_top
                        && crate::columns::canonical(key).is_some_and(|name| {
                            META_KEYS.contains(&name)
                                && !matches!(name, "title" | "product" | "industry" | "scenario")
                        })
                };
                let entries: Vec<_> = entries.iter().filter(|(key, _)| !left_out(key)).collect();
                for (key, node) in entries {
                    out.entry(key, node, 0);
                }
            }
            Value::List(items) => {
                for item in items {
                    out.item(item, 0);
                    if item.is_nested() {
                        out.blank();
                    }
                }
            }
            Value::Text(text) => out.text(text, 0, root.lines),
            Value::Null => {}
        }
    }
    while out.text.ends_with("\n\n") {
        out.text.pop();
        out.spans.pop();
    }
    (out.text, out.spans)
}

/// Per line of a rendered text, first and last line in the source.
pub(crate) type LineSpans = Vec<(u32, u32)>;

#[derive(Default)]
struct Lines {
    text: String,
    spans: LineSpans,
}

impl Lines {
    fn blank(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            let last = self.spans.last().copied().unwrap_or((1, 1));
            self.text.push('\n');
            self.spans.push(last);
        }
    }

    fn text(&mut self, text: &str, indent: usize, lines: (u32, u32)) {
        for line in text.lines() {
            for _ in 0..indent {
                self.text.push_str("  ");
            }
            self.text.push_str(line);
            self.text.push('\n');
            self.spans.push(lines);
        }
    }

    fn entry(&mut self, key: &str, node: &Node, indent: usize) {
        match &node.value {
            Value::Null => {}
            Value::Text(text) => self.text(&format!("{key}: {text}"), indent, node.lines),
            Value::List(items) if items.iter().all(|item| !item.is_nested()) => {
                self.text(&format!("{key}: {}", node.to_text()), indent, node.lines);
            }
            Value::List(items) => {
                self.nest(key, node, indent);
                for item in items {
                    self.item(item, indent + 1);
                }
                self.end_nest(indent);
            }
            Value::Map(entries) => {
                self.nest(key, node, indent);
                for (key, node) in entries {
                    self.entry(key, node, indent + 1);
                }
                self.end_nest(indent);
            }
        }
    }

    fn nest(&mut self, key: &str, node: &Node, indent: usize) {
        if indent == 0 {
            self.blank();
        }
        self.text(&format!("{key}:"), indent, (node.lines.0, node.lines.0));
    }

    fn end_nest(&mut self, indent: usize) {
        if indent == 0 {
            self.blank();
        }
    }

    fn item(&mut self, item: &Node, indent: usize) {
        match &item.value {
            Value::Map(entries) if indent == 0 || entries.iter().any(|(_, node)| node.is_nested()) => {
                for (key, node) in entries {
                    self.entry(key, node, indent.max(1) - usize::from(indent == 0));
                }
            }
            _ => self.text(&format!("- {}", item.to_text().replace('\n', " ")), indent, item.lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_rows_wherever_the_list_stands() {
        for text in [r#"[{"q":"a","n":1.50},{"n":2}]"#, r#"{"items":[{"q":"a","n":1.50},{"n":2}],"x":1}"#] {
            let table = read_json("a.json", text).expect("json").table().expect("a table");
            assert_eq!(table.header.cells, ["q", "n"]);
            assert_eq!(table.rows[0].cells, ["a", "1.50"]);
            assert_eq!(table.rows[1].cells, ["", "2"]);
        }
    }

    #[test]
    fn a_bad_line_of_jsonl_does_not_lose_the_others() {
        let mut problems = Vec::new();
        let records = read_jsonl("a.jsonl", "{\"a\":1}\n{bad\n\n{\"a\":2}\n", &mut problems).expect("some");
        assert_eq!(records.roots.iter().map(|root| root.lines.0).collect::<Vec<_>>(), [1, 4]);
        assert_eq!((problems.len(), problems[0].line), (1, Some(2)));
    }

    #[test]
    fn records_are_rendered_with_their_lines() {
        let yaml = "id: x\ntitle: 快换套件\n价格: 3.20\n参数:\n  时间: 4 分钟\n  适配: [LB-300S, LB-500R]\n";
        let (text, lines) = render_records(&read_yaml("a.yaml", yaml).expect("yaml"), true);
        assert_eq!(text, "title: 快换套件\n价格: 3.20\n\n参数:\n  时间: 4 分钟\n  适配: LB-300S、LB-500R\n");
        assert_eq!([lines[0], lines[1], lines[4], lines[5]], [(2, 2), (3, 3), (5, 5), (6, 6)]);
        assert_eq!(lines.len(), text.lines().count());
    }
}
