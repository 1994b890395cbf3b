//! YAML and JSON as people wrote them: a tree whose scalars keep their spelling, with line numbers.
//!
//! A figure must reach the answer to the letter, so `1.50` may not become `1.5` and `no` may not become
//! `false`; typed deserialisation would do both. YAML is built from parser events (aliases are expanded
//! within a budget), JSON from raw slices, which also say where a value stands.

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_saphyr::granit_parser::{Event, Options, Parser, ScalarStyle};
use std::collections::HashMap;
use std::fmt;

use crate::lines::LineIndex;

/// Most nodes that one document may expand to, aliases counted each time they are used.
const MAX_NODES: usize = 2_000_000;
/// Most nodes that aliases may add: front matter has no use for more, and bombs do.
const MAX_ALIASED_NODES: usize = 10_000;
/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 64;

/// A value with the lines it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub value: Value,
    /// First and last line, from 1.
    pub lines: (u32, u32),
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a text is not YAML or JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub line: u32,
    pub message: String,
}

impl Node {
    /// The value on one line: list items joined by `、`, map entries as `key: value`.
    pub(crate) fn to_text(&self) -> String {
        match &self.value {
            Value::Null => String::new(),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                items.iter().map(Self::to_text).filter(|text| !text.is_empty()).collect::<Vec<_>>().join("、")
            }
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| format!("{key}: {}", node.to_text()))
                .collect::<Vec<_>>()
                .join("; "),
        }
    }

    /// The entries, where it is a map.
    pub(crate) fn as_map(&self) -> Option<&[(String, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Whether it holds other values.
    pub(crate) fn is_nested(&self) -> bool {
        matches!(self.value, Value::List(_) | Value::Map(_))
    }

    fn size(&self) -> usize {
        1 + match &self.value {
            Value::Null | Value::Text(_) => 0,
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.size()).sum(),
        }
    }
}

/// The documents of a YAML text; none where it holds only comments.
pub(crate) fn parse_yaml(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let mut options = Options::default();
    options.block_nesting_limit = MAX_DEPTH;
    options.flow_nesting_limit = MAX_DEPTH;
    options.emit_comments = false;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| SyntaxError {
            line: error.marker().line().max(1) as u32,
            message: error.info(),
        })?;
        let start = span.start.line().max(1) as u32;
        // A scalar's end mark may stand at column 0 of the line after it.
        let end = span.end.line() as u32;
        let end = if span.end.col() == 0 && end > start { end - 1 } else { end.max(start) };
        builder.take(event, (start, end))?;
    }
    Ok(builder.documents)
}

/// A collection that is being filled.
struct Open {
    node: Node,
    anchor: usize,
    /// The key whose value comes next, in a map.
    key: Option<String>,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    stack: Vec<Open>,
    anchors: HashMap<usize, Node>,
    n_nodes: usize,
    n_aliased: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, lines: (u32, u32)) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null =
                    style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                self.put(Node { value, lines }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                self.open(Value::List(Vec::new()), anchor, lines);
                Ok(())
            }
            Event::MappingStart(_, anchor, _) => {
                self.open(Value::Map(Vec::new()), anchor, lines);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.stack.pop() else { return Ok(()) };
                self.put(open.node, open.anchor)
            }
            Event::Alias(anchor) => {
                let error = |message: &str| SyntaxError { line: lines.0, message: message.to_owned() };
                let node = self.anchors.get(&anchor).ok_or_else(|| error("alias without an anchor"))?.clone();
                self.n_aliased += node.size();
                if self.n_aliased > MAX_ALIASED_NODES {
                    return Err(error("aliases expand to too much"));
                }
                self.put(Node { lines, ..node }, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, value: Value, anchor: usize, lines: (u32, u32)) {
        self.stack.push(Open { node: Node { value, lines }, anchor, key: None });
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        let error = |message: String| SyntaxError { line: node.lines.0, message };
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            return Err(error("too many values".to_owned()));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.stack.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.node.lines.1 = open.node.lines.1.max(node.lines.1);
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                None => open.key = Some(node.to_text()),
                Some(key) if key == "<<" && node.as_map().is_some() => {
                    if let Value::Map(merged) = node.value {
                        for (key, value) in merged {
                            if entries.iter().all(|(known, _)| *known != key) {
                                entries.push((key, value));
                            }
                        }
                    }
                }
                Some(key) => {
                    // Small maps are front matter, where a key given twice hides one of two meanings; the
                    // check is quadratic, and data with thousands of keys has no use for it.
                    if entries.len() < 1_000 && entries.iter().any(|(known, _)| *known == key) {
                        return Err(error(format!("key given twice: {key}")));
                    }
                    entries.push((key, node));
                }
            },
            Value::Null | Value::Text(_) => {}
        }
        Ok(())
    }
}

/// The value of a JSON text.
pub(crate) fn parse_json(text: &str) -> Result<Node, SyntaxError> {
    let raw: &RawValue = serde_json::from_str(text).map_err(|error| syntax(&error, 0))?;
    json_node(raw, text, &LineIndex::new(text), 0)
}

fn syntax(error: &serde_json::Error, lines_before: u32) -> SyntaxError {
    SyntaxError { line: lines_before + error.line().max(1) as u32, message: error.to_string() }
}

/// A JSON object in source order, its values unparsed.
struct RawMap<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMap<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = RawMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(RawMap(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn json_node(raw: &RawValue, source: &str, index: &LineIndex, depth: usize) -> Result<Node, SyntaxError> {
    let text = raw.get();
    // The slice is borrowed from `source`, so the difference of the addresses is its offset.
    let offset = (text.as_ptr() as usize).saturating_sub(source.as_ptr() as usize);
    let lines = (index.line_at(offset), index.line_at(offset + text.len().saturating_sub(1)));
    if depth > MAX_DEPTH {
        return Err(SyntaxError { line: lines.0, message: "nested too deeply".to_owned() });
    }
    let fail = |error: serde_json::Error| syntax(&error, lines.0 - 1);
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let RawMap(entries) = serde_json::from_str(text).map_err(fail)?;
            let mut map = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                map.push((key, json_node(value, source, index, depth + 1)?));
            }
            Value::Map(map)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).map_err(fail)?;
            let items = items.into_iter().map(|item| json_node(item, source, index, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text).map_err(fail)?),
        Some(b'n') => Value::Null,
        _ => Value::Text(text.to_owned()),
    };
    Ok(Node { value, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_scalars_keep_their_spelling() {
        let node =
            &parse_yaml("a: 1.50\nb: no\nc: 007\nd: '~'\ne: ~\nf: [x, 2026-01-01]\n").expect("yaml")[0];
        let texts: Vec<String> = node.as_map().expect("map").iter().map(|(_, node)| node.to_text()).collect();
        assert_eq!(texts, ["1.50", "no", "007", "~", "", "x、2026-01-01"]);
    }

    #[test]
    fn json_numbers_keep_their_spelling_and_lines() {
        let node = parse_json("[\n {\"a\": 1.50,\n  \"b\": 12300.0}\n]").expect("json");
        let Value::List(items) = &node.value else { panic!("a list") };
        assert_eq!(items[0].lines, (2, 3));
        assert_eq!(items[0].to_text(), "a: 1.50; b: 12300.0");
    }

    #[test]
    fn a_key_given_twice_is_an_error() {
        assert_eq!(parse_yaml("audience: customer\naudience: internal\n").expect_err("twice").line, 2);
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let bomb: Vec<String> = (1..12)
            .map(|level| {
                let items = vec![format!("*a{}", level - 1); 9].join(", ");
                format!("a{level}: &a{level} [{items}]\n")
            })
            .collect();
        assert!(parse_yaml(&format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", bomb.concat())).is_err());
    }

    #[test]
    fn nesting_bombs_are_refused() {
        assert!(parse_json(&"[".repeat(100_000)).is_err());
        assert!(parse_json(&format!("{}{}", "[".repeat(1_000), "]".repeat(1_000))).is_err());
        assert!(parse_yaml(&"[".repeat(100_000)).is_err());
    }
}
