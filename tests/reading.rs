//! Word, PowerPoint, PDF and HTML in the knowledge folder: what comes out, where it stands, who may see it, and
//! that a file which breaks its parser breaks nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::packed::{Slide, archive, docx, pdf, pdf_of, pptx};
use crate::support::{Server, folder, hit_documents, repository, run, run_on, small_knowledge, write};

/// What the reader makes of a file; status 1 says that something is wrong with it.
fn extract(file: &Path) -> Value {
    let ran = run(&["extract", file.to_str().expect("a name in UTF-8"), "--json"]);
    assert!(matches!(ran.status, Some(0 | 1)), "{}: {ran:?}", file.display());
    assert!(!ran.stderr.contains("panicked"), "{}: {ran:?}", file.display());
    let extracted = ran.json();
    let is_wrong = codes(&extracted).iter().any(|(_, severity)| *severity == "error");
    assert_eq!(ran.status, Some(i32::from(is_wrong)), "{}: {extracted}", file.display());
    extracted
}

fn extract_bytes(name: &str, bytes: &[u8]) -> Value {
    let folder = folder();
    write(folder.path(), name, bytes);
    extract(&folder.path().join(name))
}

fn codes(extracted: &Value) -> Vec<(&str, &str)> {
    let warnings = extracted["warnings"].as_array().expect("a list");
    warnings
        .iter()
        .map(|warning| {
            (warning["code"].as_str().expect("a code"), warning["severity"].as_str().expect("a severity"))
        })
        .collect()
}

fn text(extracted: &Value) -> &str {
    extracted["text"].as_str().expect("a text")
}

const HEADING: &str =
    "<w:p><w:pPr><w:pStyle w:val=\"1\"/></w:pPr><w:r><w:t>贴标机 LB-700 保养</w:t></w:r></w:p>";

fn paragraph(text: &str) -> String {
    format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn word_manual() -> Vec<u8> {
    let cell = |properties: &str, text: &str| {
        format!("<w:tc><w:tcPr>{properties}</w:tcPr>{}</w:tc>", paragraph(text))
    };
    let row = |cells: &[String]| format!("<w:tr>{}</w:tr>", cells.concat());
    let table = [
        row(&[cell("<w:vMerge w:val=\"restart\"/>", "部件"), cell("<w:gridSpan w:val=\"2\"/>", "周期")]),
        row(&[cell("<w:vMerge/>", ""), cell("", "检查"), cell("", "更换")]),
        row(&[cell("", "吸嘴"), cell("", "每周"), cell("", "每 6 个月")]),
        row(&[cell("", "皮带"), cell("", "每月"), cell("", "每 18 个月")]),
    ];
    let body = [
        HEADING.to_owned(),
        "<w:p><w:r><w:t xml:space=\"preserve\">整机保修 </w:t></w:r><w:del w:id=\"1\"><w:r><w:delText>十二</w:delText>\
         </w:r></w:del><w:ins w:id=\"2\"><w:r><w:t>三十</w:t></w:r></w:ins><w:r><w:t>个月</w:t></w:r>\
         <w:r><w:footnoteReference w:id=\"2\"/></w:r><w:r><w:t>。</w:t></w:r></w:p>"
            .to_owned(),
        "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>隐藏的底价</w:t></w:r></w:p>".to_owned(),
        "<w:p><w:r><w:pict><v:shape><v:textbox><w:txbxContent><w:p><w:r><w:t>文本框：停机前先排空胶缸。</w:t></w:r></w:p>\
         </w:txbxContent></v:textbox></v:shape></w:pict></w:r></w:p>"
            .to_owned(),
        format!("<w:tbl><w:tblGrid><w:gridCol/><w:gridCol/><w:gridCol/></w:tblGrid>{}</w:tbl>", table.concat()),
    ];
    docx(&body.concat(), "易损件除外")
}

#[test]
fn a_word_file_comes_out_as_its_reader_sees_it() {
    let extracted = extract_bytes("保养.docx", &word_manual());
    let text = text(&extracted);
    assert!(text.starts_with("# 贴标机 LB-700 保养\n\n整机保修 三十个月[1]。\n\n[1] 易损件除外\n"), "{text}");
    assert!(!text.contains("十二") && !text.contains("底价"), "{text}");
    assert!(text.contains("文本框：停机前先排空胶缸。"), "{text}");
    assert!(
        text.contains("| 部件 | 周期 检查 | 周期 更换 |\n| --- | --- | --- |\n| 吸嘴 | 每周 | 每 6 个月 |"),
        "{text}"
    );
    assert_eq!(extracted["sections"][0]["title"], "贴标机 LB-700 保养");
    assert_eq!(extracted["tables"][0]["rows"][1][2], "每 18 个月", "{extracted}");
    assert_eq!(codes(&extracted), []);
}

#[test]
fn the_title_of_a_word_file_is_a_heading_though_the_outline_has_no_place_for_it() {
    let title = HEADING.replace("w:val=\"1\"", "w:val=\"a3\"").replace("保养", "手册");
    let body = [title, HEADING.to_owned(), paragraph("每周检查吸嘴。")].concat();
    let extracted = extract_bytes("手册.docx", &docx(&body, ""));
    let start = "# 贴标机 LB-700 手册\n\n# 贴标机 LB-700 保养\n\n每周检查吸嘴。";
    assert!(text(&extracted).starts_with(start), "{extracted}");
    assert_eq!(extracted["sections"][0]["title"], "贴标机 LB-700 手册");
}

fn slides() -> Vec<u8> {
    let slide = |title, text| Slide { title, text, notes: None, is_hidden: false };
    pptx(&[
        slide("FX-9 灌装线", "整线速度每小时 5400 瓶。"),
        Slide {
            notes: Some("讲到这里可以报 8.1 折。"),
            ..slide("FX-9 交付", "交付周期 75 天，含安装调试。")
        },
        Slide { is_hidden: true, ..slide("内部成本", "整线成本 212 万元。") },
    ])
}

#[test]
fn slides_are_pages_and_customers_see_neither_notes_nor_hidden_ones() {
    let (knowledge, data) = (folder(), folder());
    write(knowledge.path(), "products/fx-9.pptx", slides());
    write(knowledge.path(), "products/fx-9.pptx.yaml", "id: fx-9\ntitle: FX-9 灌装线\naudience: customer\n");
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    let server = Server::start(knowledge.path(), data.path());
    let delivery = server.search("FX-9 交付周期", "customer");
    let best = &delivery["hits"][0];
    // The passage begins on the first slide; what is cited from it stands on the second.
    assert_eq!(
        (&best["document"]["id"], &best["location"]["page"]),
        (&"fx-9".into(), &1.into()),
        "{delivery}"
    );
    for query in ["8.1 折", "整线成本"] {
        let seen = server.search(query, "customer")["hits"].to_string();
        assert!(!seen.contains("8.1 折") && !seen.contains("212"), "{seen}");
        assert!(hit_documents(&server.search(query, "internal")).contains(&"fx-9#notes"), "{query}");
    }
    let reply = server.chat("FX-9 的交付周期是多少天？", "customer");
    let citation = &reply["citations"][0];
    assert!(citation["quote"].as_str().expect("a quote").contains("75 天"), "{reply}");
    assert_eq!(citation["location"]["page"], 2, "{reply}");
}

#[test]
fn a_chinese_pdf_without_a_unicode_map_is_cited_by_its_page() {
    let first = ["鹭岭包装机械", "第一章 QT-55 热收缩机", "QT-55 的收缩温度为 165 摄氏度。"];
    let second = ["鹭岭包装机械", "QT-55 的整机功率为 23 千瓦。", "QT-55 的电源为 380 伏。"];
    let third = ["鹭岭包装机械", "QT-55 的质保期为 26 个月。", "QT-55 的净重为 410 千克。"];
    let bytes = pdf(&[&first, &second, &third]);
    let extracted = extract_bytes("qt-55.pdf", &bytes);
    assert_eq!(extracted["pages"], serde_json::json!([1, 2, 3]), "{extracted}");
    for words in ["165 摄氏度", "23 千瓦", "26 个月"] {
        assert!(text(&extracted).replace(' ', "").contains(&words.replace(' ', "")), "{extracted}");
    }
    assert!(!text(&extracted).contains("鹭岭包装机械"), "a running head is not text: {extracted}");

    let (knowledge, data) = (folder(), folder());
    write(knowledge.path(), "products/qt-55.pdf", bytes);
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    let server = Server::start(knowledge.path(), data.path());
    let reply = server.chat("QT-55 的整机功率是多少？", "internal");
    let citation = &reply["citations"][0];
    assert!(citation["quote"].as_str().expect("a quote").contains("23"), "{reply}");
    assert_eq!(citation["location"]["page"], 2, "{reply}");
}

#[test]
fn a_picture_of_a_page_is_called_a_scan() {
    let scan = extract_bytes("scan.pdf", &pdf(&[&[], &[]]));
    assert_eq!((codes(&scan), text(&scan)), (vec![("scanned", "error")], ""));
    let message = scan["warnings"][0]["message"].as_str().expect("a message");
    assert!(message.contains("scanned, needs OCR"), "{scan}");
    let half = extract_bytes("half.pdf", &pdf(&[&["QT-55 热收缩机的使用说明"], &[]]));
    assert_eq!(codes(&half), [("scanned", "warning")]);
    assert!(text(&half).contains("热收缩机"), "{half}");
}

#[test]
fn a_page_of_html_gives_its_content_with_its_front_matter_and_tables() {
    let html = "---\nid: case-9\naudience: customer\n---\n<html><head><title>案例</title></head><body>\
        <nav><a href=/>首页</a></nav><h1>洗发水产线</h1><p>换线由 <b>40</b> 分钟降到 9 分钟。</p>\
        <table><tr><th>项目</th><th>之前</th><th>之后</th></tr><tr><td rowspan=2>换线</td><td>40</td><td>9</td></tr>\
        <tr><td>41</td><td>8</td></tr></table><script>alert('x')</script></body></html>";
    let extracted = extract_bytes("case-9.html", html.as_bytes());
    let text = text(&extracted);
    assert!(text.contains("# 洗发水产线") && text.contains("换线由 40 分钟降到 9 分钟。"), "{text}");
    assert!(!text.contains("首页") && !text.contains("alert") && !text.contains("audience"), "{text}");
    assert_eq!(extracted["tables"][0]["rows"][0][2], "9", "{extracted}");
}

/// Files made to break their reader, each with the codes that may come of it; an empty one means that harmless text may.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    let deep_array = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let nested_tables = |depth: usize| {
        let open = "<w:tbl><w:tr><w:tc>".repeat(depth);
        let close = "</w:tc></w:tr></w:tbl>".repeat(depth);
        format!("{open}{}{close}", paragraph("底"))
    };
    // Each form shows the next one ten times: 10^9 texts if somebody follows.
    let mut forms = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /XObject << /F 6 0 R >> >> >>"
            .to_owned(),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
        "<< /Length 5 >>\nstream\n/F Do\nendstream".to_owned(),
    ];
    for next in 7..16 {
        let content = "/F Do ".repeat(10);
        forms.push(format!(
            "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /F {next} 0 R >> >> /Length {} >>\n\
             stream\n{content}\nendstream",
            content.len()
        ));
    }
    forms.push(
        "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F 4 0 R >> >> /Length 29 >>\n\
         stream\nBT /F 9 Tf 1 1 Td (xxx) Tj ET \nendstream"
            .to_owned(),
    );
    let bomb = docx(&"<w:p/>".repeat(24 << 20), "x");
    vec![
        ("empty.docx", Vec::new(), &["empty"]),
        ("cut.docx", word_manual()[..900].to_vec(), &["unreadable"]),
        ("picture.pdf", b"\x89PNG\r\n\x1a\n rest of a picture".to_vec(), &["unreadable"]),
        ("page.docx", b"<html><body>no archive</body></html>".to_vec(), &["unreadable"]),
        ("other.docx", archive(&[("hello.txt", b"hello")]), &["unreadable"]),
        ("bomb.docx", bomb, &["too_large"]),
        (
            "deep.docx",
            docx(&nested_tables(100_000), "x"),
            &["", "unreadable", "crashed", "timeout", "memory"],
        ),
        (
            "deep.pdf",
            pdf_of(&["<< /Type /Catalog /Pages 2 0 R >>".to_owned(), deep_array(3_000_000)]),
            &["crashed", "unreadable", "timeout", "memory"],
        ),
        ("forms.pdf", pdf_of(&forms), &["", "crashed", "timeout", "memory", "too_large", "incomplete"]),
        ("old.ppt", b"\xD0\xCF\x11\xE0 old slides".to_vec(), &["unsupported"]),
    ]
}

#[test]
fn a_hostile_file_is_named_with_its_reason_and_everything_else_is_served() {
    let (knowledge, data) = (small_knowledge(), folder());
    write(knowledge.path(), "manuals/保养.docx", word_manual());
    let hostile = hostile();
    for (name, bytes, _) in &hostile {
        write(knowledge.path(), &format!("manuals/{name}"), bytes);
    }
    let begun = Instant::now();
    let report = run_on(knowledge.path(), data.path(), &["index", "--json"]).expect_status(0).json();
    // Eight seconds are what one file may take; here two can take that long.
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    let problems = report["problems"].as_array().expect("a list");
    for (name, _, allowed) in &hostile {
        let path = format!("manuals/{name}");
        let found: Vec<&Value> = problems.iter().filter(|problem| problem["path"] == path.as_str()).collect();
        assert!(!found.is_empty() || allowed.contains(&""), "{name} is kept quiet: {report}");
        for problem in found {
            let code = problem["code"].as_str().expect("a code");
            assert!(allowed.contains(&code), "{name}: {problem}");
            assert!(!problem["message_zh"].as_str().expect("a message").is_empty(), "{problem}");
        }
    }
    let found = run_on(knowledge.path(), data.path(), &["search", "LB-700 吸嘴 更换", "--json"]).json();
    assert_eq!(hit_documents(&found)[0], "manuals/保养", "{found}");
    assert!(
        hit_documents(&run_on(knowledge.path(), data.path(), &["search", "K7 离心泵", "--json"]).json())
            .contains(&"pump-k7")
    );
}

#[test]
fn real_files_yield_what_they_must_contain_and_hostile_ones_a_reason() {
    let office = repository().join("../shared/office");
    let (Ok(manifest), Ok(wanted)) = (
        fs::read_to_string(office.join("manifest.tsv")),
        fs::read_to_string(office.join("must_contain.tsv")),
    ) else {
        println!("skipped: no office files beside the repository");
        return;
    };
    let mut strings: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, string) in wanted.lines().skip(1).filter_map(|line| line.split_once('\t')) {
        strings.entry(name).or_default().push(string);
    }
    let (mut missing, mut quiet) = (Vec::new(), Vec::new());
    for (name, rest) in manifest.lines().skip(1).filter_map(|line| line.split_once('\t')) {
        let begun = Instant::now();
        let extracted = extract(&office.join(name));
        assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        let text = text(&extracted);
        for string in strings.get(name).into_iter().flatten() {
            if !text.contains(string) {
                missing.push((name, *string));
            }
        }
        if rest.starts_with("hostile") && text.trim().is_empty() && codes(&extracted).is_empty() {
            quiet.push(name);
        }
    }
    // Its gaps between words are made by a Type 3 font's word spacing, which the parser does not measure.
    missing.retain(|(name, _)| *name != "pdf.js__Type3WordSpacing.pdf");
    assert_eq!(missing, []);
    assert_eq!(quiet, [""; 0], "neither text nor a reason");
}
