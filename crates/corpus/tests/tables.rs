//! Tables by kind: rows as documents, other tables as one, and what belongs to a row.

mod support;

use flightdeck_corpus::{Audience, Kind, Reader, Settings, context_header, extract};
use support::{characters, check_invariants, chunks, corpus, document, folder, problems, read};

#[test]
fn a_faq_row_is_a_document_whose_text_is_question_and_answer() {
    let corpus = corpus(&[(
        "faqs/价格.csv",
        "关键词,可见范围,答案,问题,id,备注\n\"报价,多少钱\",customer,\"26.8 万元\n含税\",LB-300S 多少钱？,f1,新\n,,面议,非标呢？,,\n",
    )]);
    let f1 = document(&corpus, "faqs/价格#f1");
    assert_eq!(f1.text, "LB-300S 多少钱？\n26.8 万元\n含税");
    assert_eq!(
        (f1.title.as_str(), f1.audience, f1.kind),
        ("LB-300S 多少钱？", Audience::Customer, Kind::Faq)
    );
    assert_eq!(f1.keywords, ["报价", "多少钱"]);
    assert_eq!(f1.attributes["备注"], "新");
    let names: Vec<&str> = f1.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["keywords", "audience", "answer", "question", "id", "备注"]);
    let answer = f1.field("answer").and_then(|field| field.span.clone()).expect("shown");
    assert_eq!(&f1.text[answer], "26.8 万元\n含税");
    assert_eq!(corpus.documents[1].audience, Audience::Internal);
    let lines: Vec<_> =
        corpus.chunks.iter().map(|chunk| (chunk.location.line_start, chunk.location.line_end)).collect();
    assert_eq!(lines, [(Some(2), Some(3)), (Some(4), Some(4))]);
    check_invariants(&corpus, 320, characters);
}

#[test]
fn rows_without_an_id_keep_theirs_when_others_are_inserted() {
    let ids = |csv: &str| -> Vec<String> {
        let corpus = corpus(&[("faqs/x.csv", csv)]);
        corpus.documents.iter().map(|document| document.id.to_string()).collect()
    };
    let before = ids("问题,答案\n甲？,一\n乙？,二\n");
    let after = ids("答案,问题\n零,新的？\n一（改）,甲 ？\n二,乙？\n");
    assert_eq!(before, after[1..]);
    let doubled = ids("问题,答案\n甲？,一\n甲？,二\n甲？,二\n");
    assert_eq!((doubled.len(), &doubled[0]), (2, &before[0]));
}

#[test]
fn the_same_rows_are_read_from_every_format() {
    let json = r#"[{"question":"甲？","answer":"一","audience":"customer","id":7}]"#;
    let gb18030 = encoding_rs::GB18030.encode("问题,回答,可见范围,id\n甲？,一,customer,7\n").0.into_owned();
    let mut utf16 = vec![0xff, 0xfe];
    utf16.extend(
        "问题\t答案\taudience\tID\r\n甲？\t一\tcustomer\t7\r\n".encode_utf16().flat_map(u16::to_le_bytes),
    );
    let wrapped = format!("{{\"items\":{json},\"version\":1}}");
    for (name, bytes) in [
        ("x.csv", gb18030),
        ("x.csv", utf16),
        ("x.json", json.into()),
        ("x.json", wrapped.into_bytes()),
        ("x.jsonl", json.trim_matches(['[', ']']).into()),
        ("x.yaml", "- question: 甲？\n  answer: 一\n  audience: customer\n  id: 7\n".into()),
        ("x.yaml", "question: 甲？\nanswer: 一\naudience: customer\nid: 7\n".into()),
    ] {
        let root = folder(&[(&format!("faqs/{name}"), &bytes)]);
        let corpus = read(root.path());
        let row = document(&corpus, "faqs/x#7");
        assert_eq!((row.text.as_str(), row.audience), ("甲？\n一", Audience::Customer), "{name}");
        assert_eq!(corpus.documents.len(), 1);
        assert!(corpus.problems.is_empty(), "{:?}", corpus.problems);
    }
}

#[test]
fn rows_that_say_nothing_are_reported_with_their_line() {
    let corpus = corpus(&[(
        "qa-history/x.csv",
        "客户问题,销售回复,客户,结果\n多少钱,,华睿,成交\n有货吗,有,华睿,成交\n,,,\n",
    )]);
    assert_eq!(corpus.documents.len(), 1);
    assert_eq!(corpus.documents[0].text, "有货吗\n有\n客户：华睿\n结果：成交");
    assert_eq!(
        (problems(&corpus), corpus.problems[0].line),
        (vec![("qa-history/x.csv", "bad_row")], Some(2))
    );
}

#[test]
fn a_table_without_the_kinds_columns_is_one_document() {
    let corpus = corpus(&[("faqs/x.csv", "型号,面价\nLB-150,9.8\n")]);
    assert_eq!(document(&corpus, "faqs/x").text, "| 型号 | 面价 |\n| --- | --- |\n| LB-150 | 9.8 |\n");
    assert_eq!(problems(&corpus), [("faqs/x.csv", "no_columns")]);
}

#[test]
fn long_tables_are_cut_between_rows_and_keep_their_header() {
    let mut csv = String::from("型号,速度（瓶/分钟）,备注\n");
    for row in 1..=60 {
        csv += &["LB-", &row.to_string(), ",", &(row * 10).to_string(), ",\"备注\n第二行\"\n"].concat();
    }
    let corpus = corpus(&[("products/x.csv", &csv)]);
    let document = document(&corpus, "products/x");
    let its: Vec<_> = corpus.chunks.iter().collect();
    assert!(its.len() > 4);
    assert!(its[0].table_header.is_none());
    for chunk in &its[1..] {
        let shown = chunk.shown(document);
        assert!(
            shown.starts_with("| 型号 | 速度（瓶/分钟） | 备注 |\n| --- | --- | --- |\n| LB-"),
            "{shown}"
        );
        assert!(shown.ends_with('|'));
    }
    assert_eq!(its[0].location.line_start, Some(1));
    assert_eq!(its.last().and_then(|chunk| chunk.location.line_end), Some(121));
    check_invariants(&corpus, 320, characters);
}

const VIDEOS: &str = "id,标题,链接,平台,时长,发布日期,简介,product,industry,播放量,完播率,点赞,线索数,成交数,可见范围\n\
V1,换线只要 4 分钟,https://v.example/1,抖音,02:10,2026-03-01,现场实拍。,LB-300S、QuickChange,饮料,\"12,300\",38%,320,41,3,customer\n\
V2,工厂参观,,视频号,,,,,,,,,,,\n";

#[test]
fn a_video_has_its_figures_and_its_transcript_with_times() {
    let cue = |second: u32| {
        let time = |second: u32| format!("00:{:02}:{:02}", second / 60, second % 60);
        let (number, start, end) = (second / 5 + 1, time(second), time(second + 4));
        format!("{number}\n{start},000 --> {end},900\n<v 主持人>第 {second} 秒说的话</v>\n\n")
    };
    let srt: Vec<String> = (0..150).step_by(5).map(cue).collect();
    let srt = srt.concat();
    let corpus = corpus(&[
        ("videos/list.csv", VIDEOS),
        ("videos/v1.srt", &srt),
        ("videos/other.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n没有表格\n"),
    ]);
    let video = document(&corpus, "videos/list#V1");
    assert!(video.text.starts_with("换线只要 4 分钟\n现场实拍。\n平台：抖音\n时长：02:10\n发布日期：2026-03-01\n产品：LB-300S、QuickChange\n行业：饮料\n播放量：12,300\n完播率：38%\n点赞：320\n线索数：41\n成交数：3\n\n第 0 秒说的话\n第 5 秒说的话\n"));
    assert_eq!(video.profile.product, ["LB-300S", "QuickChange"]);
    assert_eq!(video.link.as_deref(), Some("https://v.example/1"));
    let its: Vec<_> = corpus.chunks.iter().filter(|chunk| chunk.document == video.id).collect();
    assert_eq!((its[0].location.start_ms, its[0].location.line_start), (None, Some(2)));
    assert_eq!(its[1].location.start_ms, Some(0));
    assert!(its.len() >= 4);
    for chunk in &its[1..] {
        let length = chunk.location.end_ms.expect("an end") - chunk.location.start_ms.expect("a start");
        assert!((20_000..=60_000).contains(&length), "{length}");
        assert_eq!(chunk.location.line_start, None);
    }
    assert_eq!(document(&corpus, "videos/list#V2").text, "工厂参观\n平台：视频号");
    let other = document(&corpus, "videos/other");
    assert_eq!((other.kind, other.text.as_str()), (Kind::Video, "没有表格"));
    assert!(corpus.documents.iter().all(|document| &*document.id.0 != "videos/v1"));
    check_invariants(&corpus, 320, characters);
}

#[test]
fn a_transcript_marked_internal_makes_its_video_internal() {
    let corpus = corpus(&[
        ("videos/list.csv", VIDEOS),
        ("videos/V1.srt", "00:01 --> 00:02\n底价\n"),
        ("videos/V1.srt.yaml", "audience: internal\n"),
    ]);
    assert_eq!(document(&corpus, "videos/list#V1").audience, Audience::Internal);
}

#[test]
fn json_and_yaml_elsewhere_are_readable_lines_and_may_say_who_sees_them() {
    let corpus = corpus(&[
        ("_folder.yaml", "audience: customer"),
        (
            "products/spec.yaml",
            "id: spec\naudience: internal\ntitle: 规格\n底价: 22.50\n参数:\n  功率: 2.8 kW\n",
        ),
        ("service/parts.json", "[{\"名称\":\"剥标板\",\"价格\":380},{\"名称\":\"传送带\",\"价格\":1250}]"),
    ]);
    let spec = document(&corpus, "spec");
    assert_eq!((spec.title.as_str(), spec.audience), ("规格", Audience::Internal));
    assert_eq!(spec.text, "title: 规格\n底价: 22.50\n\n参数:\n  功率: 2.8 kW\n");
    assert_eq!(
        document(&corpus, "service/parts").text,
        "名称: 剥标板\n价格: 380\n\n名称: 传送带\n价格: 1250\n"
    );
    check_invariants(&corpus, 320, characters);
}

#[test]
fn a_markdown_faq_has_a_chunk_for_every_question() {
    let corpus = corpus(&[(
        "faqs/x.md",
        "# 常见问题\n\n## 价格\n\n### 多少钱？\n26.8 万元。\n\n### 含税吗？\n含。\n#### 细则\n13%。\n\n## 交期多久?\n30 天。\n",
    )]);
    assert_eq!(
        chunks(&corpus, "faqs/x"),
        [
            "# 常见问题\n\n## 价格\n\n### 多少钱？\n26.8 万元。",
            "### 含税吗？\n含。\n#### 细则\n13%。",
            "## 交期多久?\n30 天。"
        ]
    );
    let headings: Vec<String> = corpus.chunks.iter().map(|chunk| chunk.location.heading.join("/")).collect();
    assert_eq!(headings, ["常见问题/价格/多少钱？", "常见问题/价格/含税吗？", "常见问题/交期多久?"]);
}

#[test]
fn an_objection_stays_with_its_steps_and_evidence() {
    let corpus = corpus(&[(
        "objections/x.md",
        "# 太贵了\n\n## 话术\n“先算账。”\n\n## 证据\n回本 9.5 个月。\n\n## 反问？\n预算多少？\n",
    )]);
    assert_eq!(chunks(&corpus, "objections/x").len(), 1);
    let several =
        "# 异议手册\n\n## “太贵了”\n算账。\n### 反问？\n预算？\n\n## 交期太长？\n排产。\n\n## 备注\n无。\n";
    let corpus = corpus_of(several);
    let starts: Vec<String> = corpus.chunks.iter().map(|chunk| chunk.location.heading.join("/")).collect();
    assert_eq!(starts, ["异议手册/“太贵了”", "异议手册/交期太长？"]);
}

fn corpus_of(text: &str) -> flightdeck_corpus::Corpus {
    corpus(&[("objections/x.md", text)])
}

#[test]
fn sections_are_chunks_and_small_ones_join_a_neighbour() {
    let long = "这一节足够长，可以自己成为一块，不需要与别的小节合并在一起。";
    let text = format!(
        "# 标题\n\n## 背景\n{long}\n\n## 短\n小。\n\n## 方案\n{long}\n\n### 测算\n{long}\n\n## 尾\n完。\n"
    );
    let corpus = corpus(&[("cases/x.md", &text)]);
    let starts: Vec<String> = corpus.chunks.iter().map(|chunk| chunk.location.heading.join("/")).collect();
    assert_eq!(starts, ["标题/背景", "标题/短", "标题/方案/测算"]);
    assert!(chunks(&corpus, "cases/x")[0].starts_with("# 标题\n\n## 背景"));
    assert!(chunks(&corpus, "cases/x")[2].ends_with("完。"));
    check_invariants(&corpus, 320, characters);
}

#[test]
fn the_context_says_whose_section_it_is() {
    let corpus = corpus(&[(
        "cases/x.md",
        "---\ntitle: 华睿饮料换线\nindustry: 饮料\nproduct: [LB-300S]\nscenario: [换线]\ncompany_size: 大型\nregion: 华东\n---\n# 华睿饮料换线\n## 方案\n改造。\n",
    )]);
    let context = context_header(&corpus.documents[0], &corpus.chunks[0]);
    assert_eq!(
        context,
        "华睿饮料换线（客户案例）\n方案\n行业：饮料；场景：换线；规模：大型；地区：华东；产品：LB-300S"
    );
}

#[test]
fn extract_shows_text_sections_and_tables() {
    let root =
        folder(&[("faqs/x.md", "---\nid: x\n---\n# 题\n| a | b |\n| - | - |\n| 1 | 2 |\n".as_bytes())]);
    let extracted = extract(&root.path().join("faqs/x.md"), None).expect("a file");
    assert_eq!((extracted.format.as_str(), extracted.encoding.as_deref()), ("markdown", Some("UTF-8")));
    assert_eq!((extracted.sections[0].title.as_str(), extracted.sections[0].line), ("题", Some(4)));
    assert_eq!(
        (extracted.tables[0].name.as_deref(), &extracted.tables[0].rows[0]),
        (Some("题"), &vec!["1".to_owned(), "2".to_owned()])
    );
    assert!(extract(&root.path().join("nothing.md"), None).is_err());
}

#[test]
fn settings_bound_every_chunk() {
    let text =
        format!("# 题\n\n{}\n\n| 列 |\n| --- |\n| {} |\n", "没有标点的长文本".repeat(200), "格".repeat(300));
    let root = folder(&[("a.md", text.as_bytes())]);
    let settings = Settings { max_chunk_tokens: 40, min_chunk_tokens: 10, ..Settings::default() };
    let corpus = Reader::new(root.path(), settings).read(&characters).expect("a folder");
    check_invariants(&corpus, 40, characters);
}

/// The two workbooks under `data/` were written with openpyxl: one has a headline, number formats, a merged
/// column, a cell at the far corner of the sheet and a hidden sheet; the other a headline over a FAQ.
#[test]
fn sheets_are_read_as_a_person_sees_them_and_hidden_ones_are_not() {
    let root = folder(&[
        ("products/价格.xlsx", include_bytes!("data/prices.xlsx")),
        ("faqs/表.xlsx", include_bytes!("data/faq.xlsx")),
    ]);
    let corpus = read(root.path());
    let prices = document(&corpus, "products/价格");
    let rows = "| 系列 | 型号 | 面价 | 折扣 | 生效 | 速度 |  |\n\
                | --- | --- | --- | --- | --- | --- | --- |\n\
                | LB | LB-300S | ¥268,000.00 | 5.0% | 2026年1月1日 | 300 |  |\n\
                | LB | LB-150 | ¥98,000.50 | 12.5% | 2026-03-05 14:30 | 150 |  |\n\
                |  |  |  |  |  |  | 很远 |\n\
                \n## 备注\n\n| a | b |\n| --- | --- |\n| 1 | TRUE |\n";
    assert_eq!(prices.text, format!("## 价格表\n\n2026 年价格表\n\n{rows}"));
    let faq = document(&corpus, "faqs/表#q1");
    assert_eq!(
        (faq.text.as_str(), faq.field("answer").map(|field| field.value.as_str())),
        ("多少钱？\n26.8", Some("26.8"))
    );
    let line = corpus
        .chunks
        .iter()
        .find(|chunk| chunk.document == faq.id)
        .and_then(|chunk| chunk.location.line_start);
    assert_eq!(line, Some(4));
    assert_eq!(document(&corpus, "faqs/表#2").title, "有货吗");
    assert!(corpus.documents.iter().all(|document| !document.text.contains("秘密")));
    check_invariants(&corpus, 320, characters);
}
