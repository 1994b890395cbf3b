//! What could be said of a document that says little of itself: proposals for its front matter, from its own words and
//! from what is said of the documents nearest to it.
//!
//! Nothing here is believed without a person: a proposal says why it is made, and is taken or left. Who may see a
//! document is never proposed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flightdeck_corpus::{Audience, Document, Kind, headings};
use flightdeck_retrieval::{Filters, Index, Mode, Query, RetrievalError, fold_text};
use jiff::civil::Date;

/// Documents whose word counts for something.
const NEIGHBOURS: usize = 12;
/// Passages that are looked at to find them.
const PASSAGES: usize = 60;
/// Characters of a document's beginning that stand for it.
const BEGINNING: usize = 160;
/// What a word of the title and the words of the text are worth beside the neighbours, whose shares add up to 1.
const TITLE_WEIGHT: f32 = 0.6;
const TEXT_WEIGHT: f32 = 0.8;
/// So many different words of a kind say all that they can.
const ENOUGH_WORDS: usize = 4;
/// So many headings that ask make a list of questions.
const FAQ_QUESTIONS: usize = 3;
/// A kind is proposed from here on.
const LEAST_KIND: f32 = 0.6;
/// An industry is proposed from here on: the share of the neighbours that name it, and what its own text is worth.
const LEAST_INDUSTRY: f32 = 0.5;
/// What standing in the text is worth for an industry, from so many places on.
const MENTION_WEIGHT: f32 = 0.6;
const ENOUGH_MENTIONS: usize = 4;
/// Most industries, products and keywords that are proposed.
const MOST_INDUSTRIES: usize = 3;
const MOST_PRODUCTS: usize = 8;
const MOST_KEYWORDS: usize = 5;
/// Characters of a line that may be a title.
const TITLE_CHARS: usize = 40;

/// Kinds that are whole files as a rule: what lies in the rows of tables is near to everything.
const WHOLE_FILES: [Kind; 7] = [
    Kind::Product,
    Kind::Case,
    Kind::Objection,
    Kind::Template,
    Kind::Service,
    Kind::Company,
    Kind::Competitor,
];

/// Words of a title by the kind that they speak for.
const TITLE_WORDS: [(Kind, &[&str]); 9] = [
    (Kind::Case, &["案例", "客户故事", "改造", "项目", "case study", "success story"]),
    (Kind::Product, &["规格", "参数", "选型", "型号", "样本", "手册", "产品", "datasheet", "specification"]),
    (
        Kind::Template,
        &["模板", "模版", "报价单", "方案书", "邮件", "议程", "template", "quotation", "proposal"],
    ),
    (Kind::Service, &["保修", "售后", "安装", "验收", "培训", "维保", "保养", "warranty", "service"]),
    (Kind::Competitor, &["竞品", "对比", "友商", "对手", "battle card", "versus"]),
    (Kind::Objection, &["异议", "话术", "应对", "太贵", "objection"]),
    (Kind::Company, &["公司", "简介", "资质", "证书", "荣誉", "发展历程", "about us", "profile"]),
    (Kind::Faq, &["常见问题", "问答", "faq"]),
    (Kind::Video, &["视频", "字幕", "video", "transcript"]),
];

/// Words of a text by the kind that they speak for, beside the title's.
const TEXT_WORDS: [(Kind, &[&str]); 7] = [
    (
        Kind::Case,
        &[
            "问题",
            "方案",
            "结果",
            "效果",
            "客户评价",
            "客户反馈",
            "投产",
            "改造前",
            "改造后",
            "回本",
            "项目背景",
            "challenge",
            "solution",
            "result",
        ],
    ),
    (
        Kind::Product,
        &[
            "功率",
            "电压",
            "外形尺寸",
            "重量",
            "面价",
            "选配",
            "标配",
            "精度",
            "适用瓶",
            "规格",
            "参数",
            "dimensions",
            "power supply",
            "accuracy",
        ],
    ),
    (
        Kind::Template,
        &[
            "____",
            "【",
            "{{",
            "尊敬的",
            "此致",
            "您好",
            "附件",
            "签字",
            "盖章",
            "年 月 日",
            "dear ",
            "best regards",
        ],
    ),
    (
        Kind::Service,
        &[
            "保修",
            "上门",
            "热线",
            "工程师",
            "收费",
            "免费",
            "期限",
            "响应",
            "备件",
            "小时内",
            "warranty",
            "on-site",
            "hotline",
        ],
    ),
    (Kind::Competitor, &["竞品", "对手", "对方", "我们的优势", "赢单", "输单", "他们", "competitor"]),
    (Kind::Objection, &["话术", "反问", "背后", "下一步", "客户说", "不要说", "开场", "证据", "objection"]),
    (
        Kind::Company,
        &["成立", "注册资本", "员工", "荣誉", "专利", "展位", "总部", "证书", "iso", "founded", "employees"],
    ),
];

/// Something that could be said of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// `title`, `kind`, `industry`, `product` or `keywords`.
    pub key: &'static str,
    /// One for `title` and `kind`, else some, the likeliest first.
    pub values: Vec<String>,
    /// Why.
    pub because: ProposedBecause,
}

/// Why something is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposedBecause {
    /// It is the document's first line.
    FirstLine,
    /// These words stand in the title or the headings.
    Title(Vec<String>),
    /// It stands in the text.
    Text,
    /// It is said of these documents, which are the nearest: their titles.
    Alike(Vec<String>),
}

/// Everything that can be proposed for a document of the index, whatever is said of it already; `title` only where
/// it is called after its file.
///
/// # Errors
/// When the search fails.
pub fn propose(index: &Index, document: &Document, day: Date) -> Result<Vec<Proposal>, RetrievalError> {
    let neighbours = Neighbours::of(index, document, day)?;
    let folded = Folded::of(document);
    let proposals = [
        title(document),
        kind(&folded, document, &neighbours),
        industry(index, &folded, document, &neighbours),
        product(index, &folded, document),
        keywords(index, document),
    ];
    Ok(proposals.into_iter().flatten().collect())
}

/// The documents nearest to one, other files only, each with its share of the whole.
struct Neighbours {
    documents: Vec<(Arc<Document>, f32)>,
}

impl Neighbours {
    fn of(index: &Index, document: &Document, day: Date) -> Result<Self, RetrievalError> {
        let text: String = document.text.chars().filter(|c| !"#|*".contains(*c)).take(BEGINNING).collect();
        let query = Query {
            text: format!("{} {text}", document.title),
            audience: Audience::Internal,
            day,
            filters: Filters { kind: WHOLE_FILES.to_vec(), ..Filters::default() },
            mode: Mode::Vector,
            top_k: PASSAGES,
        };
        let mut documents: Vec<(Arc<Document>, f32)> = Vec::new();
        for passage in index.search(&query)? {
            let found = passage.document;
            let is_known = documents.iter().any(|(known, _)| known.path == found.path);
            if found.path == document.path || is_known || documents.len() == NEIGHBOURS {
                continue;
            }
            // The first counts most; far ones hardly.
            let weight = 1.0 / (1.0 + documents.len() as f32);
            documents.push((found, weight));
        }
        let total: f32 = documents.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut documents {
            *weight /= total;
        }
        Ok(Self { documents })
    }

    /// Titles of those of whom something is true, the nearest three.
    fn titles(&self, is_said: impl Fn(&Document) -> bool) -> Vec<String> {
        let of_them = self.documents.iter().filter(|(document, _)| is_said(document));
        of_them.take(3).map(|(document, _)| document.title.clone()).collect()
    }
}

/// A document's words, folded: its title and headings, and all of it.
struct Folded {
    head: String,
    text: String,
}

impl Folded {
    fn of(document: &Document) -> Self {
        let headings = headings(&document.text);
        let words = headings.iter().map(|heading| heading.words.as_str());
        let head: Vec<&str> = std::iter::once(document.title.as_str()).chain(words).collect();
        Self { head: fold_text(&head.join("\n")), text: fold_text(&document.text) }
    }

    /// How often a name stands in the text, not within a longer model number; twice as much in title and headings.
    fn mentions(&self, name: &str) -> usize {
        let name = fold_text(name);
        count(&self.text, &name) + 2 * count(&self.head, &name)
    }
}

fn count(text: &str, name: &str) -> usize {
    if name.chars().count() < 2 {
        return 0;
    }
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let bounded = |start: usize| {
        let first = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        let last = name.ends_with(|c: char| c.is_ascii_alphanumeric());
        !(first && is_part(text[..start].chars().next_back())
            || last && is_part(text[start + name.len()..].chars().next()))
    };
    text.match_indices(name).filter(|(start, _)| bounded(*start)).count()
}

/// The first line, where the document is called after its file.
fn title(document: &Document) -> Option<Proposal> {
    let name = document.path.rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if document.title != stem && document.title != name {
        return None;
    }
    let line = document.text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.trim_matches(|c: char| "#*|".contains(c) || c.is_whitespace());
    let n_chars = line.chars().count();
    let is_sentence = line.ends_with(['。', '！', '？', '.', '!', '?', ';', '；', '：', ':']);
    (line != document.title && (2..=TITLE_CHARS).contains(&n_chars) && !is_sentence && !line.contains('|'))
        .then(|| Proposal {
            key: "title",
            values: vec![line.to_owned()],
            because: ProposedBecause::FirstLine,
        })
}

fn kind(folded: &Folded, document: &Document, neighbours: &Neighbours) -> Option<Proposal> {
    let mut scores: BTreeMap<Kind, f32> = BTreeMap::new();
    for (neighbour, weight) in &neighbours.documents {
        *scores.entry(neighbour.kind).or_default() += weight;
    }
    for (kind, words) in TEXT_WORDS {
        let found = words.iter().filter(|word| folded.text.contains(**word)).count().min(ENOUGH_WORDS);
        *scores.entry(kind).or_default() += found as f32 / ENOUGH_WORDS as f32 * TEXT_WEIGHT;
    }
    let title = fold_text(&document.title);
    let mut words: BTreeMap<Kind, Vec<String>> = BTreeMap::new();
    for (kind, names) in TITLE_WORDS {
        let found: Vec<String> =
            names.iter().filter(|name| title.contains(**name)).map(|name| (*name).to_owned()).collect();
        if !found.is_empty() {
            *scores.entry(kind).or_default() += TITLE_WEIGHT;
            words.insert(kind, found);
        }
    }
    let questions = folded.head.lines().filter(|line| line.trim_end().ends_with(['?', '？'])).count();
    if questions >= FAQ_QUESTIONS {
        *scores.entry(Kind::Faq).or_default() += 1.0;
    }
    let (kind, score) = scores.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let because = match words.remove(&kind) {
        Some(words) => ProposedBecause::Title(words),
        None if kind == Kind::Faq && questions >= FAQ_QUESTIONS => ProposedBecause::Text,
        None => ProposedBecause::Alike(neighbours.titles(|neighbour| neighbour.kind == kind)),
    };
    (score >= LEAST_KIND).then(|| Proposal { key: "kind", values: vec![kind.name().to_owned()], because })
}

fn industry(
    index: &Index,
    folded: &Folded,
    document: &Document,
    neighbours: &Neighbours,
) -> Option<Proposal> {
    let mut shares: BTreeMap<&str, f32> = BTreeMap::new();
    for (neighbour, weight) in &neighbours.documents {
        for industry in &neighbour.profile.industry {
            *shares.entry(industry).or_default() += weight;
        }
    }
    let known = known(index, document, |other| &other.profile.industry);
    let mut scored: Vec<(f32, usize, &str)> = known
        .into_iter()
        .map(|industry| {
            let mentions = folded.mentions(industry);
            let share = shares.get(industry).copied().unwrap_or_default();
            (
                share + mentions.min(ENOUGH_MENTIONS) as f32 / ENOUGH_MENTIONS as f32 * MENTION_WEIGHT,
                mentions,
                industry,
            )
        })
        .filter(|(score, ..)| *score >= LEAST_INDUSTRY)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.2.cmp(b.2)));
    scored.truncate(MOST_INDUSTRIES);
    let because = match scored.first()? {
        (_, 0, industry) => ProposedBecause::Alike(
            neighbours.titles(|neighbour| neighbour.profile.industry.iter().any(|known| known == industry)),
        ),
        _ => ProposedBecause::Text,
    };
    let values = scored.into_iter().map(|(.., industry)| industry.to_owned()).collect();
    Some(Proposal { key: "industry", values, because })
}

fn product(index: &Index, folded: &Folded, document: &Document) -> Option<Proposal> {
    let names = known(index, document, |other| &other.profile.product);
    let values = ranked(&names, |product| folded.mentions(product));
    (!values.is_empty()).then_some(Proposal { key: "product", values, because: ProposedBecause::Text })
}

/// The values that other documents of the company have there, each once.
fn known<'i>(
    index: &'i Index,
    document: &Document,
    values: impl Fn(&'i Document) -> &'i Vec<String>,
) -> Vec<&'i str> {
    let others = index.documents().filter(|other| other.path != document.path);
    let mut all: Vec<&str> = others.flat_map(values).map(String::as_str).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Those that are mentioned, the most often first: at least a quarter as often as the first, and not only in passing.
fn ranked(names: &[&str], mentions: impl Fn(&str) -> usize) -> Vec<String> {
    let mut counted: Vec<(usize, &str)> = names.iter().map(|name| (mentions(name), *name)).collect();
    counted.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let most = counted.first().map_or(0, |(n, _)| *n);
    let of_weight = counted.into_iter().filter(|(n, _)| *n >= 2 && n * 4 >= most);
    of_weight.take(MOST_PRODUCTS).map(|(_, name)| name.to_owned()).collect()
}

/// The words that tell this document from the others: often here, rare elsewhere, and not in its title.
fn keywords(index: &Index, document: &Document) -> Option<Proposal> {
    let title = fold_text(&document.title);
    let mut counts: HashMap<String, usize> = HashMap::new();
    for word in index.words(&document.text) {
        *counts.entry(word).or_default() += 1;
    }
    let is_word = |word: &str| {
        word.chars().count() >= 2 && word.chars().all(char::is_alphabetic) && !title.contains(word)
    };
    let mut weighed: Vec<(f32, String)> = counts
        .into_iter()
        .filter(|(word, n)| *n >= 2 && is_word(word))
        .map(|(word, n)| ((n as f32).ln_1p() * index.rarity(&word), word))
        .collect();
    weighed.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let values: Vec<String> = weighed.into_iter().take(MOST_KEYWORDS).map(|(_, word)| word).collect();
    (!values.is_empty()).then_some(Proposal { key: "keywords", values, because: ProposedBecause::Text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_number_is_not_found_within_a_longer_one() {
        assert_eq!(count("lb-300s 与 lb-300，lb-300。", "lb-300"), 2);
        assert_eq!(count("食品饮料厂", "食品"), 1);
        assert_eq!(count("a b", "b"), 0);
    }

    #[test]
    fn a_file_that_is_called_after_itself_is_offered_its_first_line() {
        let document =
            |title: &str, text: &str| Document::new("x", Kind::Company, title, "a/扫描件1.docx", text);
        let proposed = |title: &str, text: &str| {
            super::title(&document(title, text)).map(|proposal| proposal.values[0].clone())
        };
        assert_eq!(proposed("扫描件1", "\n**灌装机验收单**\n正文").as_deref(), Some("灌装机验收单"));
        assert_eq!(proposed("灌装机验收单", "灌装机验收单\n正文"), None);
        assert_eq!(proposed("扫描件1", "您好，这是一句话。\n"), None);
    }
}
