//! While it serves, what is saved in the folder is found a moment later.

use std::time::{Duration, Instant};

use crate::support::{Server, folder, hit_documents, small_knowledge, wait_for, write};

#[test]
fn a_file_that_is_added_changed_or_removed_is_searched_as_it_is_now() {
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let finds = |query: &str, document: &str| {
        let reply = server.search(query, "internal");
        hit_documents(&reply).first() == Some(&document)
    };

    let saved = Instant::now();
    write(knowledge.path(), "company/award.md", "---\nid: award\n---\n# 获奖\n\n公司获得金齿轮奖。\n");
    wait_for("the new file", || finds("金齿轮奖", "award").then_some(()));
    // The promise is two seconds; a busy machine that builds something beside the test gets a little more.
    let took = saved.elapsed();
    println!("a new file was found after {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");

    write(knowledge.path(), "company/award.md", "---\nid: award\n---\n# 获奖\n\n公司获得银螺母奖。\n");
    wait_for("the change", || {
        let reply = server.search("银螺母奖", "internal");
        reply["hits"][0]["text"].as_str()?.contains("银螺母奖").then_some(())
    });

    std::fs::rename(knowledge.path().join("company"), knowledge.path().join("firm")).unwrap();
    wait_for("the renamed folder", || {
        let reply = server.search("银螺母奖", "internal");
        (reply["hits"][0]["document"]["path"] == "firm/award.md").then_some(())
    });

    std::fs::remove_file(knowledge.path().join("firm/award.md")).unwrap();
    wait_for("the removal", || {
        (!hit_documents(&server.search("银螺母奖", "internal")).contains(&"award")).then_some(())
    });
    assert_eq!(server.get("/readyz").status(), 200);
}

#[test]
fn a_broken_file_that_appears_while_serving_takes_nothing_away() {
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    write(knowledge.path(), "products/broken.xlsx", b"PK\x03\x04 this is no workbook");
    write(knowledge.path(), "products/fine.md", "---\nid: fine\n---\n# 好文件\n\n蓝鲸阀门耐压九十公斤。\n");
    wait_for("the file beside the broken one", || {
        (hit_documents(&server.search("蓝鲸阀门", "internal")).first() == Some(&"fine")).then_some(())
    });
    assert_eq!(hit_documents(&server.search("离心泵流量", "internal"))[0], "pump-k7");
}

#[test]
fn a_folder_that_goes_away_leaves_the_server_answering() {
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    std::fs::rename(knowledge.path(), knowledge.path().with_extension("gone")).unwrap();
    wait_for("a word in the log", || server.log().contains("knowledge folder").then_some(()));
    assert_eq!(hit_documents(&server.search("离心泵流量", "internal"))[0], "pump-k7");
    std::fs::rename(knowledge.path().with_extension("gone"), knowledge.path()).unwrap();
}
