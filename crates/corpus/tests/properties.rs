//! What must hold whatever is written in a file.

mod support;

use flightdeck_corpus::{Reader, Settings};
use proptest::prelude::*;
use support::{check_invariants, folder};

/// Lines that mean something to the splitter, and lines that mean nothing.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[贴标机换型时间缩短到几分钟，。！？；0-9a-zA-Z .“”（）]{0,60}",
        1 => "#{1,4} ?[标题问？?0-9]{0,8}",
        1 => Just(String::new()),
        2 => "\\| ?[型号速度0-9]{0,6} \\| [a-z价]{0,40} \\|",
        1 => Just("| --- | --- |".to_owned()),
        1 => "[-*] [条目。0-9]{0,20}",
        1 => Just("```".to_owned()),
        1 => Just("---".to_owned()),
        1 => "\\PC{0,40}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 1..40).prop_map(|lines| lines.join("\n"))
}

/// Characters, words with begin and end marks, or a coarse guess in bytes: counters of all sorts.
fn count(which: usize, text: &str) -> usize {
    match which {
        0 => text.chars().count(),
        1 => 2 + text.split_whitespace().map(|word| word.chars().count().div_ceil(2)).sum::<usize>(),
        _ => text.len().div_ceil(3),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn chunks_cover_the_text_in_order_within_the_limit(
        text in text(),
        path in prop::sample::select(vec!["cases/a.md", "faqs/a.md", "objections/a.md", "a.txt"]),
        limit in 12_usize..200,
        which in 0_usize..3,
    ) {
        let root = folder(&[(path, text.as_bytes())]);
        let settings = Settings { max_chunk_tokens: limit, min_chunk_tokens: limit / 8, ..Settings::default() };
        let counter = |text: &str| count(which, text);
        let corpus = Reader::new(root.path(), settings).read(&counter).expect("a folder");
        check_invariants(&corpus, limit, counter);
    }

    #[test]
    fn tables_of_any_cells_are_read_to_the_letter(
        rows in prop::collection::vec(("[甲乙丙a-z0-9 ,;|\"\n？]{0,20}", "[丁戊a-z0-9,\"\n。]{0,30}"), 1..12),
        limit in 12_usize..60,
    ) {
        let mut csv = String::from("问题,答案\n");
        for (question, answer) in &rows {
            csv.extend(["\"", &question.replace('"', "\"\""), "\",\"", &answer.replace('"', "\"\""), "\"\n"]);
        }
        let root = folder(&[("faqs/a.csv", csv.as_bytes()), ("products/b.csv", csv.as_bytes())]);
        let settings = Settings { max_chunk_tokens: limit, ..Settings::default() };
        let counter = |text: &str| text.chars().count();
        let corpus = Reader::new(root.path(), settings).read(&counter).expect("a folder");
        check_invariants(&corpus, limit, counter);
        for document in corpus.documents.iter().filter(|document| !document.fields.is_empty()) {
            let question = &document.field("question").expect("a question").value;
            prop_assert!(rows.iter().any(|(written, _)| written.trim() == question));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let names = ["a.md", "b.txt", "c.csv", "d.json", "e.jsonl", "f.yaml", "g.srt", "h.vtt", "i.xlsx", "_folder.yaml", "a.md.yaml"];
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, bytes.as_slice())).collect();
        let root = folder(&files);
        let corpus = Reader::new(root.path(), Settings::default()).read(&|text| text.chars().count()).expect("a folder");
        prop_assert!(corpus.problems.iter().all(|problem| problem.code != "crashed"));
        check_invariants(&corpus, 320, |text| text.chars().count());
    }
}
