//! The folder's rules: metadata in layers, who may see what, ids, and what goes wrong.

mod support;

use std::fs;

use flightdeck_corpus::{Audience, CorpusError, Kind, Reader, Settings, Severity, Status, sentences};
use support::{characters, check_invariants, chunks, corpus, document, folder, problems, read, write};

#[test]
fn front_matter_wins_over_sidecar_over_nearer_over_farther_defaults() {
    let corpus = corpus(&[
        ("_folder.yaml", "owner: 总部\nregion: 华东\naudience: customer\n"),
        ("products/_folder.yaml", "owner: 产品部\n"),
        ("products/a.md", "---\nid: a\nregion: 华南\n---\n# 标题甲\n正文"),
        ("products/b.csv", "型号,面价\nLB-150,9.8\n"),
        ("products/b.csv.yaml", "id: b\ntitle: 价格表\nregion: 西南\naudience: internal\n"),
    ]);
    let a = document(&corpus, "a");
    assert_eq!((a.owner.as_deref(), a.profile.region.as_deref()), (Some("产品部"), Some("华南")));
    assert_eq!((a.audience, a.kind, a.title.as_str()), (Audience::Customer, Kind::Product, "标题甲"));
    let b = document(&corpus, "b");
    assert_eq!((b.title.as_str(), b.profile.region.as_deref()), ("价格表", Some("西南")));
    assert_eq!((b.audience, b.owner.as_deref()), (Audience::Internal, Some("产品部")));
    assert!(corpus.problems.is_empty(), "{:?}", corpus.problems);
}

#[test]
fn a_document_that_nobody_marked_is_internal() {
    let corpus = corpus(&[("a.md", "# 甲\n正文")]);
    assert_eq!(document(&corpus, "a").audience, Audience::Internal);
}

#[test]
fn whatever_cannot_be_understood_about_the_audience_is_internal_and_an_error() {
    let cases: &[(&str, &str, &str)] = &[
        ("x.md", "---\naudience: public\n---\n正文", ""),
        ("x.md", "---\naudience: [customer\n---\n正文", ""),
        ("x.md", "---\naudience：customer\n---\n正文", ""),
        ("x.md", "---\naudience: customer\nvalid_until: 明年\n---\n正文", ""),
        ("x.md", "---\nid: x\n\n正文没有结束线", ""),
        ("x.csv", "a,b\n1,2\n", "audience: 公开"),
        ("x.csv", "a,b\n1,2\n", "audience: {"),
        ("x.json", "{\"audience\": \"all\", \"名称\": \"甲\"}", ""),
        ("faqs/x.csv", "问题,答案,可见范围\n多少钱,面议,所有人\n", ""),
        ("sub/x.md", "正文", ""),
    ];
    for (path, text, sidecar) in cases {
        let sidecar_path = format!("{path}.yaml");
        let mut files = vec![
            ("_folder.yaml", "audience: customer\n"),
            ("sub/_folder.yaml", "audience: [\n"),
            (path, text),
        ];
        if !sidecar.is_empty() {
            files.push((&sidecar_path, sidecar));
        }
        let corpus = corpus(&files);
        assert_eq!(corpus.documents.len(), 1, "{path} {text}");
        assert_eq!(corpus.documents[0].audience, Audience::Internal, "{path} {text}");
        assert!(corpus.problems.iter().any(|problem| problem.severity == Severity::Error));
        check_invariants(&corpus, 320, characters);
    }
}

#[test]
fn dates_and_status_decide_what_is_served() {
    let corpus = corpus(&[
        ("a.md", "---\nvalid_from: 2026-01-01\nvalid_until: 2026-06-30\n---\n正文"),
        ("b.md", "---\nstatus: draft\n---\n正文"),
    ]);
    let day = |text: &str| text.parse().expect("a date");
    let a = document(&corpus, "a");
    assert_eq!(
        ["2025-12-31", "2026-01-01", "2026-06-30", "2026-07-01"].map(|text| a.is_served_on(day(text))),
        [false, true, true, false]
    );
    assert_eq!(document(&corpus, "b").status, Status::Draft);
}

#[test]
fn unknown_keys_stay_as_attributes_with_a_warning() {
    let corpus = corpus(&[("a.md", "---\n颜色: 红\n---\n正文")]);
    assert_eq!(document(&corpus, "a").attributes["颜色"], "红");
    assert_eq!(problems(&corpus), [("a.md", "unknown_key")]);
    assert_eq!((corpus.problems[0].line, corpus.problems[0].severity), (Some(2), Severity::Warning));
}

#[test]
fn kinds_follow_front_matter_then_defaults_then_folder_then_company() {
    let corpus = corpus(&[
        ("cases/a.md", "---\nkind: service\n---\n正文"),
        ("cases/b.md", "正文"),
        ("cases/2026/c.md", "正文"),
        ("misc/_folder.yaml", "kind: template"),
        ("misc/products/d.md", "正文"),
        ("other/e.md", "正文"),
    ]);
    for (id, kind) in [
        ("cases/a", Kind::Service),
        ("cases/b", Kind::Case),
        ("cases/2026/c", Kind::Case),
        ("misc/products/d", Kind::Template),
        ("other/e", Kind::Company),
    ] {
        assert_eq!(document(&corpus, id).kind, kind, "{id}");
    }
}

#[test]
fn two_documents_of_one_id_are_both_left_out_and_both_named() {
    let corpus = corpus(&[
        ("a.md", "---\nid: same\n---\n甲"),
        ("b.md", "---\nid: same\n---\n乙"),
        ("c.md", "丙"),
        ("faqs/d.csv", "id,问题,答案\n1,甲,乙\n1,丙,丁\n2,戊,己\n"),
    ]);
    let ids: Vec<&str> = corpus.documents.iter().map(|document| &*document.id.0).collect();
    assert_eq!(ids, ["c", "faqs/d#2"]);
    let duplicates: Vec<_> =
        corpus.problems.iter().filter(|problem| problem.code == "duplicate_id").collect();
    assert_eq!(duplicates.len(), 4);
    assert!(
        duplicates[..2]
            .iter()
            .all(|problem| problem.message.contains("a.md") && problem.message.contains("b.md"))
    );
    assert_eq!(duplicates[2].line, Some(2));
}

#[test]
fn broken_files_are_named_with_their_reason_and_cost_nothing_else() {
    let limit = Settings { max_file_bytes: 1_000, ..Settings::default() };
    let root = folder(&[
        ("good.md", "# 好\n正文".as_bytes()),
        ("empty.md", b""),
        ("blank.md", b" \n\n"),
        ("only-front.md", b"---\nid: x\n---\n"),
        ("binary.md", b"\x89PNG\r\n\x1a\n\0\0\0"),
        ("zeros.txt", b"a\0b\0\0\0c"),
        ("huge.txt", &[b'a'; 2_000]),
        ("half.json", b"{\"a\": "),
        ("bad.yaml", b"a: [1\nb: }"),
        ("bad.jsonl", b"{\n]"),
        ("bad.xlsx", b"PK\x03\x04nothing"),
        ("bad.srt", "没有时间".as_bytes()),
        ("damaged.txt", b"\xe8\xb4\xb4\xe6\xa0\x87\xe6\x9c\xba\xe6\x8d\xa2\xe5\x9e\x8b\xe6\x97\xb6\xe9\x97\xb4\xe6\x98\xaf\xe5\xa4\x9a\xff\xe5\xb0\x91"),
        ("cut.pdf", b"%PDF-1.7"),
        ("cut.docx", b"PK"),
        ("page.html", b"<script>x</script>"),
        ("picture.png", b"\x89PNG"),
        ("lost.csv.yaml", b"id: x"),
        (".hidden.md", b"x"),
        ("~$open.xlsx", b"x"),
        ("_draft.md", b"x"),
        ("_old/x.md", b"x"),
        ("README.md", b"about"),
        ("questions.jsonl", b"{}"),
    ]);
    let corpus = Reader::new(root.path(), limit).read(&characters).expect("a folder");
    let ids: Vec<&str> = corpus.documents.iter().map(|document| &*document.id.0).collect();
    assert_eq!(ids, ["damaged", "good"]);
    assert_eq!(
        problems(&corpus),
        [
            ("bad.jsonl", "unreadable"),
            ("bad.srt", "unreadable"),
            ("bad.xlsx", "unreadable"),
            ("bad.yaml", "unreadable"),
            ("binary.md", "binary"),
            ("blank.md", "empty"),
            ("cut.docx", "unreadable"),
            ("cut.pdf", "unreadable"),
            ("damaged.txt", "encoding"),
            ("empty.md", "empty"),
            ("half.json", "unreadable"),
            ("huge.txt", "too_large"),
            ("lost.csv.yaml", "orphan_sidecar"),
            ("only-front.md", "empty"),
            ("page.html", "empty"),
            ("picture.png", "unsupported"),
            ("zeros.txt", "binary"),
        ]
    );
    assert!(
        corpus.problems.iter().all(|problem| !problem.message.is_empty() && !problem.message_zh.is_empty())
    );
    assert_eq!(corpus.sources.len(), 21);
}

#[test]
fn a_missing_folder_is_an_error_and_an_empty_one_is_not() {
    let root = folder(&[]);
    assert!(read(root.path()).documents.is_empty());
    let missing = Reader::new(root.path().join("nowhere"), Settings::default()).read(&characters);
    assert!(matches!(missing, Err(CorpusError::FolderMissing(_))));
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_inside_the_folder() {
    use std::os::unix::fs::symlink;
    let outside = folder(&[("secret.md", "机密".as_bytes())]);
    let root = folder(&[("a.md", "正文".as_bytes())]);
    symlink(outside.path().join("secret.md"), root.path().join("out.md")).expect("a link");
    symlink(root.path().join("a.md"), root.path().join("in.md")).expect("a link");
    symlink(root.path(), root.path().join("loop")).expect("a link");
    symlink(root.path().join("gone.md"), root.path().join("broken.md")).expect("a link");
    let corpus = read(root.path());
    let ids: Vec<&str> = corpus.documents.iter().map(|document| &*document.id.0).collect();
    assert_eq!(ids, ["a", "in"]);
    assert_eq!(problems(&corpus), [("broken.md", "unreadable"), ("out.md", "outside_link")]);
}

#[test]
fn synonyms_are_groups_of_words() {
    let corpus = corpus(&[("_synonyms.txt", "# 说明\n贴标机，标签机, 打标机\n单独\n价格,报价 # 注\n")]);
    assert_eq!(corpus.synonyms, [vec!["贴标机", "标签机", "打标机"], vec!["价格", "报价"]]);
    assert_eq!(problems(&corpus), [("_synonyms.txt", "synonyms")]);
}

#[test]
fn reading_again_gives_what_reading_once_does_and_sees_what_changed() {
    let root = folder(&[
        ("_folder.yaml", b"owner: one"),
        ("a.md", "甲".as_bytes()),
        ("videos/v.csv", "id,标题\nv1,开箱\n".as_bytes()),
        ("videos/v1.srt", "00:01 --> 00:02\n你好\n".as_bytes()),
    ]);
    let mut reader = Reader::new(root.path(), Settings::default());
    let first = reader.read(&characters).expect("a folder");
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let counted = |text: &str| {
        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        characters(text)
    };
    let second = reader.read(&counted).expect("a folder");
    assert_eq!((&first.documents, &first.chunks), (&second.documents, &second.chunks));
    assert_eq!(calls.into_inner(), 0, "nothing is read twice");

    write(root.path(), "a.md", "甲乙丙".as_bytes());
    write(root.path(), "videos/v1.srt", "00:01 --> 00:02\n大家好呀\n".as_bytes());
    write(root.path(), "_folder.yaml", b"owner: another");
    let third = reader.read(&characters).expect("a folder");
    assert_eq!(document(&third, "a").text, "甲乙丙");
    assert_eq!(document(&third, "a").owner.as_deref(), Some("another"));
    assert!(document(&third, "videos/v#v1").text.ends_with("大家好呀"));
    fs::remove_file(root.path().join("a.md")).expect("removed");
    assert_eq!(reader.read(&characters).expect("a folder").documents.len(), 1);
    let paths: Vec<String> = reader.scan().expect("a folder").into_iter().map(|source| source.path).collect();
    assert_eq!(paths, ["_folder.yaml", "videos/v.csv", "videos/v1.srt"]);
}

#[test]
fn what_was_read_ahead_is_not_read_again() {
    let root = folder(&[
        ("a.md", "甲".as_bytes()),
        ("b.md", "乙".as_bytes()),
        ("videos/v.csv", "id,标题\nv1,开箱\n".as_bytes()),
        ("videos/v1.srt", "00:01 --> 00:02\n你好\n".as_bytes()),
    ]);
    let mut reader = Reader::new(root.path(), Settings::default());
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let counted = |text: &str| {
        calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        characters(text)
    };
    let taken = || calls.swap(0, std::sync::atomic::Ordering::Relaxed);
    reader.read_ahead(&counted, &|| false).expect("a folder");
    assert_eq!(taken(), 0, "told to stop before the first file");
    reader.read_ahead(&counted, &|| true).expect("a folder");
    assert!(taken() > 0);
    write(root.path(), "b.md", "丙丁".as_bytes());
    let corpus = reader.read(&counted).expect("a folder");
    let of_one_file = taken();
    assert_eq!(corpus.documents, read(root.path()).documents);
    Reader::new(root.path(), Settings::default()).read(&counted).expect("a folder");
    assert!(of_one_file > 0 && of_one_file < taken(), "{of_one_file}: only the changed file");
}

#[test]
fn what_supersedes_nothing_is_worth_a_look() {
    let corpus = corpus(&[
        ("a.md", "---\nsupersedes: [b, faqs/t, gone]\n---\n甲"),
        ("b.md", "乙"),
        ("faqs/t.csv", "问题,答案\n甲,乙\n"),
    ]);
    assert_eq!(problems(&corpus), [("a.md", "unknown_supersedes")]);
    assert_eq!(document(&corpus, "a").supersedes.len(), 3);
}

#[test]
fn lines_are_those_of_the_file_and_quotes_are_its_text() {
    let text = "\u{feff}---\r\nid: a\r\n---\r\n\r\n# 题\r\n第一句。第二句！\r\n";
    let corpus = corpus(&[("a.md", text)]);
    let a = document(&corpus, "a");
    assert_eq!(a.text, "\n# 题\n第一句。第二句！\n");
    let quotes: Vec<&str> = sentences(&a.text).into_iter().map(|range| &a.text[range]).collect();
    assert_eq!(quotes, ["# 题", "第一句。", "第二句！"]);
    let location = &corpus.chunks[0].location;
    assert_eq!((location.line_start, location.line_end), (Some(5), Some(6)));
    assert_eq!(chunks(&corpus, "a"), ["# 题\n第一句。第二句！"]);
}
