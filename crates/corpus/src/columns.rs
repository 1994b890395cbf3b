//! Names of keys and columns, Chinese and English, to the one name that the program uses.
//!
//! One table serves front matter, sidecars and tables: a person who writes `可见范围` in a spreadsheet writes
//! it in a text file too, and an audience that is not understood there would be a leak.

use unicode_normalization::UnicodeNormalization;

use crate::document::Kind;

/// Canonical name, then what else people write.
const NAMES: &[(&str, &[&str])] = &[
    ("question", &["问题", "客户问题", "提问", "q"]),
    ("answer", &["答案", "回答", "销售回复", "回复", "标准答案", "标准回答", "a"]),
    ("keywords", &["keyword", "关键词", "关键字"]),
    ("audience", &["可见范围", "可见性", "受众"]),
    ("id", &["编号"]),
    ("customer", &["客户", "客户名称"]),
    ("rep", &["销售", "销售代表", "销售人员"]),
    ("date", &["日期"]),
    ("stage", &["阶段"]),
    ("outcome", &["结果"]),
    ("title", &["标题"]),
    ("link", &["url", "链接"]),
    ("platform", &["平台"]),
    ("duration", &["时长"]),
    ("published_at", &["发布日期", "发布时间"]),
    ("description", &["简介", "描述"]),
    ("product", &["products", "产品"]),
    ("industry", &["industries", "行业"]),
    ("views", &["播放量", "播放数"]),
    ("completion_rate", &["完播率"]),
    ("likes", &["点赞", "点赞数"]),
    ("leads", &["线索数", "线索"]),
    ("deals", &["成交数", "成交"]),
    ("kind", &[]),
    ("status", &["状态"]),
    ("scenario", &["scenarios", "场景", "应用场景"]),
    ("company_size", &["企业规模", "客户规模", "规模"]),
    ("region", &["地区", "区域"]),
    ("tags", &["tag", "标签"]),
    ("valid_from", &["生效日期"]),
    ("valid_until", &["valid_to", "失效日期", "有效期至"]),
    ("supersedes", &["替代"]),
    ("owner", &["负责人"]),
];

/// The keys of front matter; a table's columns of these names say the same of one row.
pub(crate) const META_KEYS: [&str; 17] = [
    "id",
    "title",
    "kind",
    "audience",
    "status",
    "industry",
    "product",
    "scenario",
    "company_size",
    "region",
    "tags",
    "keywords",
    "valid_from",
    "valid_until",
    "supersedes",
    "owner",
    "link",
];

/// The one name of a key or column, `None` where nobody gave it a meaning.
///
/// Width, case, spaces, hyphens and a bracketed remark (`播放量（次）`) do not matter.
pub(crate) fn canonical(written: &str) -> Option<&'static str> {
    let folded = fold(written);
    let bare = folded.split('(').next().unwrap_or_default().trim_end_matches('_');
    lookup(&folded).or_else(|| lookup(bare))
}

fn lookup(folded: &str) -> Option<&'static str> {
    NAMES.iter().find(|(name, others)| *name == folded || others.contains(&folded)).map(|(name, _)| *name)
}

/// Lower case, half width, `_` for spaces and hyphens.
pub(crate) fn fold(written: &str) -> String {
    let folded: String = written.nfkc().collect::<String>().to_lowercase();
    folded.trim().trim_end_matches([':', '*']).trim().replace([' ', '-'], "_")
}

/// The columns of a kind's rows that are shown in the row's text, in the order of showing, with the label
/// that stands before the value; an empty label is a line of its own.
pub(crate) fn shown_columns(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Faq => &[("question", ""), ("answer", "")],
        Kind::Qa => &[
            ("question", ""),
            ("answer", ""),
            ("customer", "客户："),
            ("rep", "销售："),
            ("date", "日期："),
            ("stage", "阶段："),
            ("outcome", "结果："),
        ],
        Kind::Video => &[
            ("title", ""),
            ("description", ""),
            ("platform", "平台："),
            ("duration", "时长："),
            ("published_at", "发布日期："),
            ("product", "产品："),
            ("industry", "行业："),
            ("views", "播放量："),
            ("completion_rate", "完播率："),
            ("likes", "点赞："),
            ("leads", "线索数："),
            ("deals", "成交数："),
        ],
        _ => &[],
    }
}

/// The columns without which a row of this kind says nothing: all of them must be filled.
pub(crate) fn required_columns(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Faq | Kind::Qa => &["question", "answer"],
        Kind::Video => &["title"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_known_in_both_languages_whatever_their_dress() {
        let cases = [
            ("问题", Some("question")),
            (" Question ", Some("question")),
            ("销售回复", Some("answer")),
            ("播放量（次）", Some("views")),
            ("Completion Rate", Some("completion_rate")),
            ("ＩＤ", Some("id")),
            ("Audience：", Some("audience")),
            ("备注", None),
        ];
        for (written, expected) in cases {
            assert_eq!(canonical(written), expected, "{written}");
        }
    }
}
