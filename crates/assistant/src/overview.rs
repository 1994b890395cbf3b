//! Who the company is and what it makes, for questions that ask for nothing else: `你们是做什么的`, `产品有哪些`, `想了解下贴标机`.

use std::sync::Arc;

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_retrieval::{Index, fold_text, is_han};
use jiff::civil::Date;

use crate::draft::{Draft, without_marks};
use crate::products::sheet_of;
use crate::question::{Language, Understanding};
use crate::recommend::{is_of_kind, kind_in, opening, statements};

/// Products listed, at most.
const PRODUCTS: usize = 24;
/// What is said of the company, at most.
const STATEMENTS: usize = 5;

/// Words for all that a company makes.
const PRODUCTS_ALL: &[&str] = &["产品", "机器", "设备", "机型", "products", "machines", "equipment"];
/// Words that ask for all of it, before or behind those, as who writes for the first time does.
const ALL: &[&str] = &[
    "哪些",
    "什么",
    "啥",
    "哪几种",
    "哪几款",
    "了解",
    "咨询",
    "想买",
    "想要",
    "想看",
    "需要",
    "介绍",
    "list",
    "what",
    "which",
];
/// Words that ask who the company is.
const COMPANY: &[&str] = &[
    "做什么的",
    "干什么的",
    "做啥的",
    "干啥的",
    "什么公司",
    "公司简介",
    "公司介绍",
    "介绍公司",
    "介绍一下公司",
    "介绍你们公司",
    "介绍一下你们公司",
    "介绍下公司",
    "介绍下你们公司",
    "公司怎么样",
    "about your company",
    "what does your company do",
];
/// What may stand in such a question besides.
const BESIDE: &[&str] = &[
    "你们", "我们", "公司", "咱们", "都", "有", "卖", "做", "生产", "是", "的", "介绍", "一下", "主要", "能",
    "你好", "您好", "想", "下", "请问", "一台", "台", "看看", "看", "要", "买", "我", "这边", "一共", "现在",
    "厂", "种", "款", "类", "总共", "目前", "发", "一份", "给", "do", "you", "have", "make", "sell", "offer",
    "your", "our", "of", "are", "the", "we", "kinds", "tell", "me",
];

/// What is asked about as a whole.
#[derive(Debug, PartialEq)]
pub(crate) enum Overview {
    /// The company.
    Company,
    /// All that it makes.
    Products,
    /// Its machines of one kind, by the two characters before 机.
    Kind(String),
}

/// What a question asks about as a whole, if it asks for nothing else.
pub(crate) fn asked(text: &str) -> Option<Overview> {
    let folded = fold_text(text);
    let mut rest: String = folded.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect();
    let says = |words: &[&str]| words.iter().any(|word| rest.contains(word));
    let kind = kind_in(&rest);
    let overview = match &kind {
        Some(kind) if says(ALL) => Overview::Kind(kind.clone()),
        None if says(ALL) && says(PRODUCTS_ALL) => Overview::Products,
        None if says(COMPANY) => Overview::Company,
        _ => return None,
    };
    let machine = kind.map(|kind| format!("{kind}机"));
    for word in machine.iter().map(String::as_str).chain([COMPANY, PRODUCTS_ALL, ALL, BESIDE].concat()) {
        rest = rest.replace(word, "");
    }
    rest.trim().is_empty().then_some(overview)
}

/// Writes what there is to say; `false`, with nothing written, where there is nothing.
pub(crate) fn compose(
    question: &Understanding,
    overview: &Overview,
    index: &Index,
    (audience, day): (Audience, Date),
    draft: &mut Draft,
) -> bool {
    let served = || {
        let is_current =
            move |sheet: &&Arc<Document>| index.superseded_by(&sheet.id, audience, day).is_none();
        index.served(audience, day).filter(is_current)
    };
    match overview {
        Overview::Company => write_company(question.language, served(), index, draft),
        Overview::Products | Overview::Kind(_) => {
            let is_wanted = |sheet: &Document| match overview {
                Overview::Kind(kind) => is_of_kind(sheet, kind),
                _ => true,
            };
            let sheets = |language| {
                served().filter(|sheet| is_of_one_product(sheet, language) && is_wanted(sheet)).collect()
            };
            write_products(question.language, sheets, index, draft);
        }
    }
    !draft.is_empty()
}

/// What the company says first of itself, in the document that introduces it.
fn write_company<'d>(
    language: Language,
    served: impl Iterator<Item = &'d Arc<Document>>,
    index: &Index,
    draft: &mut Draft,
) {
    let introduces = |document: &Document| {
        let title = fold_text(&document.title);
        document.kind == Kind::Company
            && ["简介", "介绍", "about", "profile"].iter().any(|word| title.contains(word))
    };
    let Some(document) = served.into_iter().find(|document| introduces(document)) else { return };
    for (nth, evidence) in statements(document, index).into_iter().take(STATEMENTS).enumerate() {
        draft.line().frame(match nth {
            0 => "",
            1 => "\n- ",
            _ => "- ",
        });
        draft.state(&evidence);
    }
    if let Some(link) = &document.link {
        draft.line().frame(&format!("- {}{link}", language.pick("可发送：", "To send: ")));
    }
}

/// A line for each product.
fn write_products<'d>(
    language: Language,
    sheets: impl Fn(Language) -> Vec<&'d Arc<Document>>,
    index: &Index,
    draft: &mut Draft,
) {
    let mut products = sheets(language);
    if language == Language::English {
        // Better a sheet in Chinese than a product left out.
        let known: Vec<&String> = products.iter().filter_map(|sheet| sheet.profile.product.first()).collect();
        let is_new = |sheet: &&Arc<Document>| {
            sheet.profile.product.first().is_none_or(|first| !known.contains(&first))
        };
        let others: Vec<&Arc<Document>> = sheets(Language::Chinese).into_iter().filter(is_new).collect();
        products.extend(others);
    }
    products.sort_by(|a, b| a.title.cmp(&b.title));
    products.truncate(PRODUCTS);
    for product in products {
        draft.line().frame(&format!("- **{}**", without_marks(&product.title)));
        if let Some(evidence) = opening(product, index) {
            draft.frame(language.pick("：", ": ")).state(&evidence);
        }
    }
}

/// Whether a document is the sheet of one product: it names one model, or begins with the product that it is about.
fn is_of_one_product(document: &Document, language: Language) -> bool {
    let begins_with_it = || {
        let first = document.profile.product.first();
        document.kind == Kind::Product
            && document.title.chars().any(is_han)
            && first.is_some_and(|product| document.title.starts_with(product.as_str()))
    };
    sheet_of(document, language).is_some() || language == Language::Chinese && begins_with_it()
}

#[cfg(test)]
mod tests {
    use super::{Overview, asked};

    #[test]
    fn only_questions_for_the_whole_are_taken() {
        for text in [
            "产品有哪些",
            "你们都有什么产品？",
            "公司卖哪些设备",
            "介绍一下你们的产品",
            "What products do you have?",
        ] {
            assert_eq!(asked(text), Some(Overview::Products), "{text}");
        }
        for text in ["有哪些贴标机", "你们的贴标机有哪几款？", "你好，想了解下贴标机", "我想买台贴标机"]
        {
            assert_eq!(asked(text), Some(Overview::Kind("贴标".to_owned())), "{text}");
        }
        for text in ["你们公司是做什么的", "你们是干啥的？", "介绍一下公司", "发一份公司简介给我"]
        {
            assert_eq!(asked(text), Some(Overview::Company), "{text}");
        }
        for text in [
            "哪些产品适合蜂蜜厂",
            "产品有哪些认证",
            "有哪些案例",
            "你们产品怎么样",
            "贴标机有哪些常见故障",
            "想了解贴标机的价格",
            "需要贴标机的安装视频",
            "华睿是做什么的",
            "你们公司怎么样开发票",
        ] {
            assert_eq!(asked(text), None, "{text}");
        }
    }
}
