//! What is said *about* a document: front matter, sidecars, folder defaults and row cells, one on another.
//!
//! A layer holds only what its author wrote; layers are laid over each other, the nearest on top.
//! Everything that decides who may see a document fails closed: a value that is not understood makes the
//! document internal (audience, validity) or a draft (status), and is reported.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::columns::{META_KEYS, canonical, fold};
use crate::document::{Audience, Kind, Status};
use crate::node::{Node, Value};
use crate::problem::Problem;

/// One layer of statements about a document; `None` is "says nothing".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    pub id: Option<String>,
    pub title: Option<String>,
    pub kind: Option<Kind>,
    pub audience: Option<Audience>,
    pub status: Option<Status>,
    pub industry: Option<Vec<String>>,
    pub product: Option<Vec<String>>,
    pub scenario: Option<Vec<String>>,
    pub company_size: Option<String>,
    pub region: Option<String>,
    pub tags: Option<Vec<String>>,
    pub keywords: Option<Vec<String>>,
    pub valid_from: Option<Date>,
    pub valid_until: Option<Date>,
    pub supersedes: Option<Vec<String>>,
    pub owner: Option<String>,
    pub link: Option<String>,
    pub attributes: BTreeMap<String, String>,
}

/// Where a layer is written, which decides what is a mistake in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Front matter or a sidecar: every key is meant as a statement about the document.
    Own,
    /// `_folder.yaml`: as `Own`, but an `id` or a `title` would be everybody's.
    Folder,
    /// A table's row: columns of other names are data, an empty cell says nothing.
    Row,
    /// The top of a JSON or YAML document: it is data that may happen to use our names.
    Data,
}

/// Where a layer stands, for its problems.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub path: &'a str,
    pub layer: Layer,
}

impl Meta {
    /// This layer laid over `below`: what it says counts, what it leaves out is taken from below.
    pub(crate) fn over(self, below: &Self) -> Self {
        fn or<T: Clone>(mine: Option<T>, theirs: Option<&T>) -> Option<T> {
            mine.or_else(|| theirs.cloned())
        }
        let mut attributes = below.attributes.clone();
        attributes.extend(self.attributes);
        Self {
            id: or(self.id, below.id.as_ref()),
            title: or(self.title, below.title.as_ref()),
            kind: self.kind.or(below.kind),
            audience: self.audience.or(below.audience),
            status: self.status.or(below.status),
            industry: or(self.industry, below.industry.as_ref()),
            product: or(self.product, below.product.as_ref()),
            scenario: or(self.scenario, below.scenario.as_ref()),
            company_size: or(self.company_size, below.company_size.as_ref()),
            region: or(self.region, below.region.as_ref()),
            tags: or(self.tags, below.tags.as_ref()),
            keywords: or(self.keywords, below.keywords.as_ref()),
            valid_from: self.valid_from.or(below.valid_from),
            valid_until: self.valid_until.or(below.valid_until),
            supersedes: or(self.supersedes, below.supersedes.as_ref()),
            owner: or(self.owner, below.owner.as_ref()),
            link: or(self.link, below.link.as_ref()),
            attributes,
        }
    }

    /// Takes back what is said under this key of the format.
    pub(crate) fn forget(&mut self, key: &str) {
        match key {
            "id" => self.id = None,
            "title" => self.title = None,
            "kind" => self.kind = None,
            "audience" => self.audience = None,
            "status" => self.status = None,
            "industry" => self.industry = None,
            "product" => self.product = None,
            "scenario" => self.scenario = None,
            "company_size" => self.company_size = None,
            "region" => self.region = None,
            "tags" => self.tags = None,
            "keywords" => self.keywords = None,
            "valid_from" => self.valid_from = None,
            "valid_until" => self.valid_until = None,
            "supersedes" => self.supersedes = None,
            "owner" => self.owner = None,
            "link" => self.link = None,
            _ => {}
        }
    }

    /// A layer whose text could not be read: whatever it said about the audience is lost, so nobody outside
    /// sees what lies below it.
    pub(crate) fn unreadable() -> Self {
        Self { audience: Some(Audience::Internal), ..Self::default() }
    }

    /// Reads the entries of a map, reporting what is not understood.
    pub(crate) fn read<'n>(
        entries: impl IntoIterator<Item = (&'n str, &'n Node)>,
        place: Place<'_>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut reading = Reading { meta: Self::default(), place, problems, closed: false };
        for (key, node) in entries {
            match canonical(key).filter(|name| META_KEYS.contains(name)) {
                Some(name) => reading.entry(name, key, node),
                None => reading.unknown(key, node),
            }
        }
        if reading.closed {
            reading.meta.audience = Some(Audience::Internal);
        }
        reading.meta
    }
}

struct Reading<'a, 'p> {
    meta: Meta,
    place: Place<'p>,
    problems: &'a mut Vec<Problem>,
    /// Something that bears on who may see the document was not understood.
    closed: bool,
}

impl Reading<'_, '_> {
    fn entry(&mut self, name: &'static str, written: &str, node: &Node) {
        let is_soft = matches!(self.place.layer, Layer::Row | Layer::Data);
        if node.to_text().trim().is_empty() {
            // An audience that was begun and not filled in was meant to differ from the default.
            if name == "audience" && self.place.layer != Layer::Row {
                self.bad_audience("", node);
            }
            return;
        }
        if matches!(node.value, Value::Map(_)) || (node.is_nested() && !is_list(name)) {
            match name {
                "audience" => self.bad_audience(&node.to_text(), node),
                _ if is_soft => {}
                _ => self.bad_value(written, node),
            }
            return;
        }
        match name {
            "id" | "title" if self.place.layer == Layer::Folder => self.bad_value(written, node),
            "id" => self.meta.id = Some(one_line(node)),
            "title" => self.meta.title = Some(one_line(node)),
            "kind" => match Kind::from_name(&fold(&node.to_text())) {
                Some(kind) => self.meta.kind = Some(kind),
                None if is_soft => {}
                None => self.bad_value(written, node),
            },
            "audience" => match audience_named(&node.to_text()) {
                Some(audience) => self.meta.audience = Some(audience),
                None => self.bad_audience(&node.to_text(), node),
            },
            "status" => self.status(written, node),
            "industry" => self.meta.industry = Some(list(node)),
            "product" => self.meta.product = Some(list(node)),
            "scenario" => self.meta.scenario = Some(list(node)),
            "company_size" => self.meta.company_size = Some(one_line(node)),
            "region" => self.meta.region = Some(one_line(node)),
            "tags" => self.meta.tags = Some(list(node)),
            "keywords" => self.meta.keywords = Some(list(node)),
            "valid_from" => self.meta.valid_from = self.date(written, node, Edge::First),
            "valid_until" => self.meta.valid_until = self.date(written, node, Edge::Last),
            "supersedes" => self.meta.supersedes = Some(list(node)),
            "owner" => self.meta.owner = Some(one_line(node)),
            "link" => self.meta.link = Some(one_line(node)),
            _ => {}
        }
    }

    fn unknown(&mut self, written: &str, node: &Node) {
        if matches!(self.place.layer, Layer::Row | Layer::Data) {
            return;
        }
        let folded = fold(written);
        // `audiance: internal` in a folder for customers must not be shown to them.
        if folded.starts_with("audi") || folded.contains("可见") {
            self.closed = true;
            self.problems.push(Problem::error(
                self.place.path,
                Some(node.lines.0),
                "bad_audience",
                format!("`{written}` looks like a misspelt `audience`; treated as internal"),
                format!("“{written}”疑似 audience 的误写，已按内部资料处理"),
            ));
            return;
        }
        self.meta.attributes.insert(written.trim().to_owned(), node.to_text());
        self.problems.push(Problem::warning(
            self.place.path,
            Some(node.lines.0),
            "unknown_key",
            format!("unknown key `{written}` is kept as an attribute"),
            format!("未知字段“{written}”，已作为附加属性保留"),
        ));
    }

    fn status(&mut self, written: &str, node: &Node) {
        let status = match fold(&node.to_text()).as_str() {
            "published" | "已发布" | "发布" => Status::Published,
            "draft" | "草稿" => Status::Draft,
            "archived" | "归档" | "已归档" | "下架" | "已下架" => Status::Archived,
            // In data, `status` may well be somebody else's word.
            _ if self.place.layer == Layer::Data => return,
            _ => {
                self.bad_value(written, node);
                Status::Draft
            }
        };
        self.meta.status = Some(status);
    }

    fn date(&mut self, written: &str, node: &Node, edge: Edge) -> Option<Date> {
        let text = node.to_text();
        let date = parse_date(&text, edge);
        if date.is_none() {
            self.closed = true;
            self.problems.push(Problem::error(
                self.place.path,
                Some(node.lines.0),
                "bad_date",
                format!("`{written}`: {text} is not a date (YYYY-MM-DD); treated as internal"),
                format!("“{written}”的值“{text}”不是日期（应为 YYYY-MM-DD），已按内部资料处理"),
            ));
        }
        date
    }

    fn bad_audience(&mut self, value: &str, node: &Node) {
        self.closed = true;
        self.problems.push(Problem::error(
            self.place.path,
            Some(node.lines.0),
            "bad_audience",
            format!("audience `{value}` is neither customer nor internal; treated as internal"),
            format!("可见范围“{value}”既不是 customer 也不是 internal，已按内部资料处理"),
        ));
    }

    fn bad_value(&mut self, written: &str, node: &Node) {
        let value = node.to_text();
        self.problems.push(Problem::error(
            self.place.path,
            Some(node.lines.0),
            "bad_value",
            format!("`{written}` cannot be `{value}`"),
            format!("字段“{written}”的值“{value}”无效"),
        ));
    }
}

fn is_list(name: &str) -> bool {
    matches!(name, "industry" | "product" | "scenario" | "tags" | "keywords" | "supersedes")
}

/// The audience that a value names.
pub(crate) fn audience_named(value: &str) -> Option<Audience> {
    match fold(value).as_str() {
        "customer" | "customers" | "客户" | "客户可见" | "对外" => Some(Audience::Customer),
        "internal" | "内部" | "仅内部" | "内部可见" | "对内" => Some(Audience::Internal),
        _ => None,
    }
}

fn one_line(node: &Node) -> String {
    node.to_text().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A list, or a line of words between commas of any kind.
fn list(node: &Node) -> Vec<String> {
    let words = |text: &str| -> Vec<String> {
        text.split(['、', '，', ',', '；', ';', '\n'])
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    match &node.value {
        Value::List(items) => items
            .iter()
            .map(|item| item.to_text().trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect(),
        _ => words(&node.to_text()),
    }
}

/// Which day a month or year without a day means.
#[derive(Clone, Copy)]
enum Edge {
    First,
    Last,
}

/// Reads `2026-01-31`, `2026/1/31`, `2026.1.31`, `2026年1月31日`, each with a time behind it or without
/// day or month.
fn parse_date(text: &str, edge: Edge) -> Option<Date> {
    let text = text.trim();
    let text = text.split(['T', ' ']).next().unwrap_or(text);
    let parts: Vec<&str> = text
        .split(['-', '/', '.', '年', '月', '日', '－'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect();
    let number = |idx: usize| parts.get(idx).and_then(|part| part.parse::<i16>().ok());
    let year = number(0).filter(|year| (1900..=9999).contains(year))?;
    match (parts.len(), edge) {
        (1, Edge::First) => Date::new(year, 1, 1).ok(),
        (1, Edge::Last) => Date::new(year, 12, 31).ok(),
        (2, Edge::First) => Date::new(year, number(1)? as i8, 1).ok(),
        (2, Edge::Last) => Date::new(year, number(1)? as i8, 1).ok().map(Date::last_of_month),
        (3, _) => Date::new(year, i8::try_from(number(1)?).ok()?, i8::try_from(number(2)?).ok()?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::parse_yaml;
    use jiff::civil::date;

    fn read(yaml: &str, layer: Layer) -> (Meta, Vec<String>) {
        let node = parse_yaml(yaml).expect("yaml").remove(0);
        let mut problems = Vec::new();
        let entries = node.as_map().expect("map").iter().map(|(key, node)| (key.as_str(), node));
        let meta = Meta::read(entries, Place { path: "a.md", layer }, &mut problems);
        (meta, problems.into_iter().map(|problem| problem.code).collect())
    }

    #[test]
    fn whatever_is_not_customer_is_internal_and_said_so() {
        for yaml in [
            "audience: public",
            "audience:",
            "audience: [customer, internal]",
            "audience: {a: customer}",
            "audiance: customer",
            "audience: customer\nvalid_until: soon",
        ] {
            let (meta, problems) = read(yaml, Layer::Own);
            assert_eq!(meta.audience, Some(Audience::Internal), "{yaml}");
            assert_eq!(problems.len(), 1, "{yaml}");
        }
        for yaml in ["audience: customer", "Audience: Customer", "可见范围: 客户"] {
            assert_eq!(
                read(yaml, Layer::Own),
                (Meta { audience: Some(Audience::Customer), ..Meta::default() }, vec![])
            );
        }
    }

    #[test]
    fn unknown_keys_are_kept_and_reported() {
        let (meta, problems) = read("colour: 红\nid: x", Layer::Own);
        assert_eq!(meta.attributes["colour"], "红");
        assert_eq!(problems, ["unknown_key"]);
    }

    #[test]
    fn lists_may_be_written_on_one_line() {
        let (meta, _) = read("product: LB-300S、QuickChange\nindustry: [食品, 日化]", Layer::Own);
        assert_eq!(meta.product, Some(vec!["LB-300S".to_owned(), "QuickChange".to_owned()]));
        assert_eq!(meta.industry, Some(vec!["食品".to_owned(), "日化".to_owned()]));
    }

    #[test]
    fn dates_are_read_as_people_write_them() {
        for (text, first, last) in [
            ("2026-01-31", date(2026, 1, 31), date(2026, 1, 31)),
            ("2026/1/3", date(2026, 1, 3), date(2026, 1, 3)),
            ("2026年2月", date(2026, 2, 1), date(2026, 2, 28)),
            ("2026-03-01T08:00:00Z", date(2026, 3, 1), date(2026, 3, 1)),
        ] {
            assert_eq!(parse_date(text, Edge::First), Some(first));
            assert_eq!(parse_date(text, Edge::Last), Some(last));
        }
        for text in ["", "soon", "2026-13-01", "2026-02-30", "26-1-1", "2026-1-2-3", "2026-300-1"] {
            assert_eq!(parse_date(text, Edge::First), None, "{text}");
        }
    }

    #[test]
    fn an_unknown_status_is_not_published() {
        let (meta, problems) = read("status: review", Layer::Own);
        assert_eq!((meta.status, problems.len()), (Some(Status::Draft), 1));
        assert_eq!(read("status: running", Layer::Data).0.status, None);
    }

    #[test]
    fn the_nearer_layer_wins() {
        let below =
            Meta { owner: Some("市场部".into()), region: Some("华东".into()), ..Meta::default() };
        let above = Meta { region: Some("华南".into()), ..Meta::default() };
        let merged = above.over(&below);
        assert_eq!((merged.owner.as_deref(), merged.region.as_deref()), (Some("市场部"), Some("华南")));
    }
}
