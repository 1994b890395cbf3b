//! Broken files in the knowledge folder, and broken files of the index.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{folder, hit_documents, run_on, sample_knowledge, small_knowledge, write};

/// Problems as `(path, code)`, errors only.
fn errors(report: &Value) -> Vec<(String, String)> {
    let problems = report["problems"].as_array().expect("a list of problems").iter();
    problems
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| {
            let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
            assert!(!text("message").is_empty() && !text("message_zh").is_empty(), "{problem}");
            (text("path"), text("code"))
        })
        .collect()
}

#[test]
fn broken_files_are_named_and_everything_else_is_indexed() {
    let (knowledge, data) = (small_knowledge(), folder());
    let good = run_on(knowledge.path(), data.path(), &["check", "--json"]).expect_status(0).json();
    let workbook = fs::read(sample_knowledge().join("products/price-list-2026.xlsx")).unwrap();
    write(knowledge.path(), "products/binary.md", [0_u8, 159, 146, 150, 0, 1, 2, 3].repeat(100));
    write(knowledge.path(), "products/empty.md", "");
    write(
        knowledge.path(),
        "products/front.md",
        "---\ntitle: [unclosed\naudience: customer\n---\n# 坏头\n\n正文。\n",
    );
    write(knowledge.path(), "products/truncated.xlsx", &workbook[..workbook.len() / 2]);
    write(knowledge.path(), "products/rows.jsonl", "{\"question\": \"半行\n");
    write(knowledge.path(), "cases/twin-a.md", "---\nid: twin\n---\n# 甲\n\n甲的故事。\n");
    write(knowledge.path(), "cases/twin-b.md", "---\nid: twin\n---\n# 乙\n\n乙的故事。\n");
    // "价格" in GB18030, under a name that says Markdown: not broken, only unusual.
    write(
        knowledge.path(),
        "company/gbk.md",
        b"# \xBC\xDB\xB8\xF1\n\n\xBC\xDB\xB8\xF1\xC3\xE6\xD2\xE9\xA1\xA3\n",
    );

    let ran = run_on(knowledge.path(), data.path(), &["check", "--json"]).expect_status(1);
    let report = ran.json();
    let errors = errors(&report);
    assert_eq!(report["errors"], errors.len(), "{report}");
    for path in ["products/binary.md", "products/front.md", "products/truncated.xlsx", "products/rows.jsonl"]
    {
        assert!(errors.iter().any(|(named, _)| named == path), "{path} is not named in {errors:?}");
    }
    let named =
        |path: &str| report["problems"].as_array().unwrap().iter().any(|problem| problem["path"] == path);
    assert!(named("products/empty.md"), "{report}");
    assert!(!errors.iter().any(|(path, _)| path == "company/gbk.md"), "{errors:?}");
    let twins: Vec<&Value> =
        report["problems"].as_array().unwrap().iter().filter(|p| p["code"] == "duplicate_id").collect();
    let told: String = twins.iter().map(ToString::to_string).collect();
    assert!(
        told.contains("cases/twin-a.md") && told.contains("cases/twin-b.md"),
        "both files are named: {told}"
    );

    let indexed = run_on(knowledge.path(), data.path(), &["index", "--json"]).expect_status(0).json();
    assert!(indexed["documents"].as_u64() > good["documents"].as_u64(), "the good ones and the GB18030 one");
    assert_eq!(indexed["errors"], report["errors"]);
    let search = |query: &str| {
        run_on(knowledge.path(), data.path(), &["search", query, "--json"]).expect_status(0).json()
    };
    assert_eq!(hit_documents(&search("离心泵流量"))[0], "pump-k7");
    assert_eq!(search("价格面议")["hits"][0]["document"]["path"], "company/gbk.md");

    let people = run_on(knowledge.path(), data.path(), &["check"]).expect_status(1);
    assert!(people.stdout.contains("error products/binary.md"), "{people:?}");
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_damaged_index_is_rebuilt_from_the_folder_whatever_file_is_hit() {
    let (knowledge, pristine, data) = (small_knowledge(), folder(), folder());
    run_on(knowledge.path(), pristine.path(), &["index", "--json"]).expect_status(0);
    let names: Vec<PathBuf> = files(pristine.path())
        .into_iter()
        .map(|file| file.strip_prefix(pristine.path()).unwrap().to_owned())
        .filter(|name| name.starts_with("index") || name.starts_with("embeddings"))
        .collect();
    assert!(names.len() >= 6, "{names:?}");
    let data = data.path();
    for name in names {
        for damage in [truncate as fn(&Path), flip, erase] {
            let _ = fs::remove_dir_all(data);
            crate::support::copy_folder(pristine.path(), data);
            damage(&data.join(&name));
            let ran = run_on(knowledge.path(), data, &["search", "离心泵流量", "--json"]);
            assert_eq!(ran.status, Some(0), "{}: {ran:?}", name.display());
            assert!(!ran.stderr.contains("internal error"), "{}: {ran:?}", name.display());
            assert_eq!(hit_documents(&ran.json())[0], "pump-k7", "{}", name.display());
        }
    }
}

fn truncate(file: &Path) {
    let content = fs::read(file).unwrap();
    fs::write(file, &content[..content.len() / 2]).unwrap();
}

fn flip(file: &Path) {
    let mut content = fs::read(file).unwrap();
    let middle = content.len() / 2;
    if let Some(byte) = content.get_mut(middle) {
        *byte ^= 0x55;
    }
    fs::write(file, content).unwrap();
}

fn erase(file: &Path) {
    fs::remove_file(file).unwrap();
}

#[test]
fn damaged_records_are_named_and_left_as_they_are() {
    let (knowledge, data) = (small_knowledge(), folder());
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    let junk = "this is no database".repeat(500);
    write(data.path(), "records.sqlite", &junk);
    let ran = run_on(knowledge.path(), data.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("records.sqlite") && ran.stderr.contains("damaged"), "{ran:?}");
    assert_eq!(fs::read_to_string(data.path().join("records.sqlite")).unwrap(), junk);
}
