//! A question as the assistant understands it: its words and how rare they are, models named, language, customer.

use std::collections::HashSet;
use std::sync::LazyLock;

use flightdeck_corpus::Audience;
use flightdeck_records::CustomerProfile;
use flightdeck_retrieval::{Index, fold_text, is_han};

use crate::answer::Intent;

/// The language that frames and refusals are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Chinese,
    English,
}

impl Language {
    /// Picks the wording of this language.
    pub fn pick<'a>(self, chinese: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::Chinese => chinese,
            Self::English => english,
        }
    }
}

/// A content word of the question.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    pub text: String,
    /// BM25's inverse document frequency in this knowledge, nats.
    pub rarity: f32,
    /// Stands nowhere in the knowledge, not even in pieces or by another name.
    pub unknown: bool,
    /// Stands nowhere as it is spelled here.
    pub is_absent: bool,
    /// Other spellings of the same meaning, each as its words.
    alternatives: Vec<Vec<String>>,
}

/// The question, understood.
#[derive(Clone, Debug)]
pub(crate) struct Understanding {
    pub text: String,
    pub language: Language,
    pub intent: Intent,
    /// Content words: stop words and the words that only say what kind of answer is wanted left out.
    pub words: Vec<Word>,
    /// Model numbers, folded and without hyphens: `lb300s`.
    pub models: Vec<String>,
    /// Whether a figure is asked for.
    pub wants_figure: bool,
    /// Whether what there is of something is asked for (`有哪些证书`).
    pub wants_list: bool,
    /// Whether that figure is a time that something takes.
    pub wants_duration: bool,
    pub customer: CustomerProfile,
    /// Who will read the answer.
    pub audience: Audience,
}

/// Words that say what kind of answer is wanted, or that every question has, not what it is about.
const FRAME_WORDS: &[&str] = &[
    "客户",
    "对方",
    "老板",
    "采购",
    "案例",
    "视频",
    "模板",
    "范本",
    "资料",
    "推荐",
    "介绍",
    "适合",
    "发",
    "发给",
    "哪款",
    "多",
    "回复",
    "回答",
    "回应",
    "应对",
    "话术",
    "公司",
    "我司",
    "咱",
    "咱家",
    "你家",
    "你们家",
    "我们家",
    "情况",
    "问题",
    "东西",
    "方面",
    "相关",
    "类似",
    "参考",
    "成功",
    "厂",
    "工厂",
    "做",
    "搞",
    "弄",
    "效果",
    "最好",
    "有效",
    "知道",
    "了解",
    "一般",
    "大概",
    "大约",
    "具体",
    "现在",
    "目前",
    "今天",
    "今年",
    "觉得",
    "嫌",
    "担心",
    "怕",
    "接",
    "劝",
    "聊",
    "讲",
    "拿",
    "找",
    "给我",
    "来个",
    "机器",
    "设备",
    "产品",
    "型号",
    "支持",
    "customer",
    "client",
    "case",
    "video",
    "template",
    "show",
    "send",
    "give",
    "find",
    "recommend",
    "machine",
    "product",
    "want",
    "need",
    "say",
    "answer",
    "respond",
    "reply",
    "know",
    "get",
    "there",
    "like",
    "much",
    "many",
    "long",
    "does",
    "best",
    "similar",
    "other",
    "one",
    "your",
    "brief",
    "before",
    "call",
    "prospect",
    "buyer",
    "handle",
    "should",
    "影片",
    "视屏",
    "短片",
    "录像",
    "片子",
    "案例库",
    "合适",
    "挑",
    "几个",
    "几条",
    "看看",
    "发我",
    "一份",
    "好",
    "位",
    "这位",
    "打动",
    "下周",
    "去见",
    "带",
    "明天",
    "简报",
    "梳理",
    "整理",
    "进展",
    "说一下",
    "接手",
    "以后",
    "直接",
    "一句",
    "到底",
    "怎么办",
    "咋办",
    "咱们",
    "人家",
    "偷偷",
    "规定",
    "先",
    "最多",
    "哪家",
    "分享",
    "点名",
    "那边",
    "那台",
    "那天",
    "这么",
    "现成",
    "找谁",
    "问谁",
    "谁管",
];

/// Words that ask how long something takes.
const DURATION_WORDS: &[&str] = &[
    "多久",
    "多长时间",
    "几天",
    "多少天",
    "几小时",
    "几个小时",
    "多少小时",
    "几分钟",
    "多少分钟",
    "几个月",
    "多少个月",
    "几周",
    "几年",
    "停多",
    "how long",
    "how soon",
    "how many days",
    "how many hours",
    "how many minutes",
];

/// Words that ask for all that there is.
const LIST_WORDS: &[&str] =
    &["哪些", "有什么", "有啥", "哪几", "清单", "列一下", "列出", "list", "what kinds"];

/// Words that ask for a figure of any kind.
const FIGURE_WORDS: &[&str] = &[
    "多少",
    "几",
    "多久",
    "多快",
    "多大",
    "多高",
    "多重",
    "多长",
    "多宽",
    "多厚",
    "多粗",
    "多细",
    "多深",
    "多远",
    "价格",
    "多少钱",
    "速度",
    "精度",
    "功率",
    "尺寸",
    "重量",
    "how much",
    "how many",
    "how long",
    "how fast",
    "price",
    "speed",
    "accuracy",
    "power",
    "weight",
    "产能",
    "报价",
    "费用",
    "钱",
    "时间",
    "how often",
    "比例",
    "折扣",
    "rate",
    "cost",
    "号码",
    "电话",
];

/// Groups of everyday words of one meaning, folded; see the head of the table.
static ATTRIBUTES: LazyLock<Vec<Vec<&'static str>>> = LazyLock::new(|| {
    let lines = include_str!("../data/attributes.txt").lines();
    let groups = lines.filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    groups.map(|line| line.split(',').map(str::trim).collect()).collect()
});

/// Verbs that are said with a measure word behind them.
const MEASURED: &str = "换报打装发加改配试算租修给来";
/// Who may stand between the two: `发我个视频`.
const WHOM: &str = "我他她";
/// Measure words that count nothing where a thing follows them.
const MEASURES: &[&str] = &["一个", "一次", "一下", "个"];
/// What may follow a measure word other than a thing.
const NO_THING: &str = "要多得花停用几是需就能才的了和跟小月半性人体别头百工星";

/// The question without measure words that count nothing: `换个瓶型` and `报个价` are 换瓶型 and 报价, in words that documents
/// have.
pub(crate) fn without_measure(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut is_verb = false;
    while let Some(c) = rest.chars().next() {
        plain.push(c);
        rest = &rest[c.len_utf8()..];
        is_verb = MEASURED.contains(c) || is_verb && WHOM.contains(c);
        if is_verb
            && let Some(thing) = MEASURES.iter().find_map(|measure| rest.strip_prefix(measure))
            && thing.chars().next().is_some_and(|next| is_han(next) && !NO_THING.contains(next))
        {
            rest = thing;
        }
    }
    plain
}

/// Reads a question against an index.
pub(crate) fn understand(
    text: &str,
    intent: Intent,
    customer: CustomerProfile,
    audience: Audience,
    index: &Index,
) -> Understanding {
    let folded = fold_text(text);
    let mut groups = index.synonym_groups(text);
    for group in ATTRIBUTES.iter().filter(|group| group.iter().any(|member| says(&folded, member))) {
        groups.push(group.iter().map(|member| index.words(member)).collect());
    }
    let words = content_words(text, index)
        .into_iter()
        .map(|text| {
            let alternatives: Vec<Vec<String>> = groups
                .iter()
                .filter(|group| group.iter().any(|member| member.contains(&text)))
                .flatten()
                .filter(|member| !member.contains(&text))
                .cloned()
                .collect();
            let frequency = index.document_frequency(&text);
            let is_said_otherwise = alternatives.iter().any(|words| {
                !words.is_empty() && words.iter().all(|word| index.document_frequency(word) > 0)
            });
            let unknown = frequency == 0
                && !is_said_otherwise
                && !bigrams(&text)
                    .is_some_and(|pairs| pairs.iter().all(|pair| index.document_frequency(pair) > 0));
            let is_absent = frequency == 0;
            Word { rarity: index.rarity(&text), unknown, is_absent, alternatives, text }
        })
        .collect();
    let asks = |words: &[&str]| words.iter().any(|word| folded.contains(word));
    let wants_duration = asks(DURATION_WORDS);
    Understanding {
        text: text.to_owned(),
        language: if text.chars().any(is_han) { Language::Chinese } else { Language::English },
        intent,
        words,
        models: models(&folded),
        wants_figure: wants_duration || asks(FIGURE_WORDS),
        wants_duration,
        wants_list: asks(LIST_WORDS),
        customer,
        audience,
    }
}

/// The words that say what a text is about, each once, in order.
pub(crate) fn content_words(text: &str, index: &Index) -> Vec<String> {
    let mut seen = HashSet::new();
    let words = index.words(text).into_iter();
    words
        .filter(|word| !FRAME_WORDS.contains(&word.as_str()) && seen.insert(word.clone()))
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .collect()
}

impl Understanding {
    /// Share of the question's meaning that stands in a text with these terms: rarity-weighted, 0 to 1. A question
    /// without content words is covered by nothing (0).
    pub fn coverage(&self, terms: &HashSet<String>) -> f32 {
        covered(self.words.iter(), terms).unwrap_or(0.0)
    }

    /// As [`Understanding::coverage`], of what is asked about the models named: their numbers are left out, because
    /// every passage that is looked at names them. Only a model number is a question about all of it (1).
    pub fn coverage_beyond_models(&self, terms: &HashSet<String>) -> f32 {
        covered(self.words_beyond_models(), terms).unwrap_or(f32::from(u8::from(!self.models.is_empty())))
    }

    /// How much of another's word the question says, whose terms these are: 1 for the word, 0.8 for another name of it,
    /// less for some of its pairs of characters.
    pub fn share_said(&self, word: &str, terms: &HashSet<String>) -> f32 {
        let is_other_name = || {
            self.words.iter().any(|own| {
                own.alternatives.iter().any(|name| matches!(name.as_slice(), [one] if one == word))
            })
        };
        let share = share_in(word, terms);
        if share < OTHER_NAME && is_other_name() { OTHER_NAME } else { share }
    }

    fn words_beyond_models(&self) -> impl Iterator<Item = &Word> {
        self.words.iter().filter(|word| !self.models.contains(&word.text))
    }

    /// Shares of the question's meaning, by rarity, that these terms lack: in words the knowledge has elsewhere, and
    /// in words that stand nowhere in it.
    pub fn missing(&self, terms: &HashSet<String>) -> (f32, f32) {
        let total: f32 = self.words_beyond_models().map(|word| word.rarity).sum();
        if total <= 0.0 {
            return (0.0, 0.0);
        }
        let (mut elsewhere, mut nowhere) = (0.0, 0.0);
        for word in self.words_beyond_models() {
            let lacking = word.rarity * (1.0 - word.stands_in(terms));
            if word.unknown { nowhere += lacking } else { elsewhere += lacking }
        }
        (elsewhere / total, nowhere / total)
    }
}

/// Rarity-weighted share of the words that stand among the terms; `None` for no words.
fn covered<'w>(words: impl Iterator<Item = &'w Word>, terms: &HashSet<String>) -> Option<f32> {
    let (mut total, mut found) = (0.0, 0.0);
    for word in words {
        total += word.rarity;
        found += word.rarity * word.stands_in(terms);
    }
    (total > 0.0).then(|| found / total)
}

impl Word {
    /// Other names of the word that stand in the knowledge, each as its words.
    pub fn said_otherwise<'w>(&'w self, index: &'w Index) -> impl Iterator<Item = &'w [String]> {
        let stands = |words: &&Vec<String>| {
            !words.is_empty() && words.iter().all(|word| index.document_frequency(word) > 0)
        };
        self.alternatives.iter().filter(stands).map(Vec::as_slice)
    }

    /// How much of the word stands among the terms: 1 for itself, 0.8 for a synonym, less for some of its pairs of
    /// characters, 0 for nothing.
    pub fn stands_in(&self, terms: &HashSet<String>) -> f32 {
        if terms.contains(&self.text) {
            return 1.0;
        }
        let synonym = self
            .alternatives
            .iter()
            .any(|words| !words.is_empty() && words.iter().all(|w| terms.contains(w)));
        if synonym {
            return OTHER_NAME;
        }
        share_in(&self.text, terms)
    }
}

/// Whether folded text says the word: a Chinese one anywhere, an English one as a word of its own.
fn says(folded: &str, word: &str) -> bool {
    if !word.is_ascii() {
        return folded.contains(word);
    }
    folded.match_indices(word).any(|(at, _)| {
        let is_letter = |c: char| c.is_ascii_alphanumeric();
        !folded[..at].ends_with(is_letter) && !folded[at + word.len()..].starts_with(is_letter)
    })
}

/// What another name of a word counts for.
const OTHER_NAME: f32 = 0.8;

/// 1 for a word that stands among the terms, else less for some of its pairs of characters, 0 for nothing.
pub(crate) fn share_in(word: &str, terms: &HashSet<String>) -> f32 {
    if terms.contains(word) {
        return 1.0;
    }
    match bigrams(word) {
        Some(pairs) if !pairs.is_empty() => {
            let found = pairs.iter().filter(|pair| terms.contains(*pair)).count();
            0.9 * found as f32 / pairs.len() as f32
        }
        _ => 0.0,
    }
}

/// Neighbouring pairs of a Chinese word of three characters or more; such a word may be cut differently elsewhere.
fn bigrams(word: &str) -> Option<Vec<String>> {
    let chars: Vec<char> = word.chars().collect();
    (chars.len() >= 2 && chars.iter().all(|c| is_han(*c)))
        .then(|| chars.windows(2).map(|pair| pair.iter().collect()).collect())
}

/// Model numbers in folded text: letters and digits in one run, connectors dropped, with a letter and a digit.
pub(crate) fn models(folded: &str) -> Vec<String> {
    let mut models: Vec<String> = Vec::new();
    let mut run = String::new();
    let mut chars = folded.chars().peekable();
    loop {
        let c = chars.next();
        match c {
            Some(c) if c.is_ascii_alphanumeric() => run.push(c),
            Some('-') if !run.is_empty() => {}
            _ => {
                let starts_with_letter = run.starts_with(|c: char| c.is_ascii_alphabetic());
                let has_digit = run.bytes().any(|b| b.is_ascii_digit());
                if (starts_with_letter && has_digit && run.len() >= 3) && !models.contains(&run) {
                    models.push(run.clone());
                }
                run.clear();
                if c.is_none() {
                    break;
                }
            }
        }
    }
    models
}

#[cfg(test)]
mod tests {
    use super::{models, without_measure};

    #[test]
    fn measure_words_that_count_nothing_are_left_out() {
        for (said, meant) in [
            ("换个瓶型要停多久机", "换瓶型要停多久机"),
            ("先报个价", "先报价"),
            ("换一次标多久", "换标多久"),
            ("膜卷多久换一次", "膜卷多久换一次"),
            ("装一个小时", "装一个小时"),
            ("换一次要多久", "换一次要多久"),
            ("做个性化标签", "做个性化标签"),
            ("一个人换个大瓶", "一个人换大瓶"),
            ("发我个视频看看", "发我视频看看"),
            ("我个人觉得", "我个人觉得"),
        ] {
            assert_eq!(without_measure(said), meant);
        }
    }

    #[test]
    fn model_numbers_are_recognised_however_hyphenated() {
        assert_eq!(models("lb-300s和lb500r哪个快"), ["lb300s", "lb500r"]);
        assert_eq!(models("30 天 380 v"), Vec::<String>::new());
    }
}
