//! The console in a real browser: what marketing does with the documents.

use serde_json::json;

use crate::browser::chromium::Browser;
use crate::packed::docx;
use crate::support::{Server, folder, small_knowledge, wait_for};

fn text(words: &str) -> String {
    format!("<w:p><w:r><w:t>{words}</w:t></w:r></w:p>")
}

/// Lets a file go over the page, as a mouse does.
fn drop_file(browser: &mut Browser, name: &str, bytes: &[u8]) {
    let content = serde_json::to_string(bytes).unwrap();
    browser.value(&format!(
        "(() => {{ const data = new DataTransfer(); data.items.add(new File([new Uint8Array({content})], {name:?})); \
         document.querySelector('.docs').dispatchEvent(new DragEvent('drop', {{ dataTransfer: data, bubbles: true, \
         cancelable: true }})); }})()"
    ));
}

#[test]
fn a_word_file_is_uploaded_and_its_passages_are_seen() {
    let Some(mut browser) = Browser::start() else { return };
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    browser.open(&server.url("/admin"));
    browser.wait_for("document.querySelectorAll('.docs-list a').length === 3");
    let body = "<w:p><w:pPr><w:pStyle w:val=\"1\"/></w:pPr><w:r><w:t>安装要求</w:t></w:r></w:p>".to_owned()
        + &text("K7 离心泵安装时，地面须平整，四周留出 80 厘米检修空间。");
    drop_file(&mut browser, "安装要求.docx", &docx(&body, "无"));
    browser.wait_for("document.querySelector('.uploads li')");
    browser.value("document.querySelector('.ask select').value = 'service'");
    browser.click(".ask .solid");
    browser.wait_for("document.querySelector('.uploads').innerText.includes('可以提问了')");
    browser.click(".ask .solid");
    browser.wait_for("document.querySelector('.passages')?.innerText.includes('80 厘米')");
    assert!(knowledge.path().join("service/安装要求.docx").is_file());
    let found = server.search("安装要留多少检修空间", "internal");
    assert_eq!(found["hits"][0]["document"]["path"], "service/安装要求.docx", "{found}");
    browser.expect_no_complaints();
}

#[test]
fn a_markdown_file_is_edited_compared_and_rolled_back() {
    let Some(mut browser) = Browser::start() else { return };
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let path = knowledge.path().join("products/pump.md");
    let before = std::fs::read_to_string(&path).unwrap();
    browser.open(&server.url("/admin#documents/products%2Fpump.md?view=edit"));
    browser.wait_for("document.querySelector('.edit-text')");
    browser.value(
        "(() => { const area = document.querySelector('.edit-text'); area.value = area.value.replace('24 个月', '36 \
         个月'); })()",
    );
    browser.click(".edit-bar .solid");
    browser.wait_for("document.querySelector('.toasts').innerText.includes('已保存')");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before.replace("24 个月", "36 个月"));
    browser.wait_for("document.querySelector('.file-state')?.innerText.includes('已生效')");

    browser.click(".views a:nth-child(4)");
    browser.wait_for("document.querySelectorAll('.versions > li').length === 2");
    browser.click(".versions > li .plain");
    browser.wait_for("document.querySelector('.piece.added')?.innerText.includes('36 个月')");
    browser.click(".versions > li:nth-child(2) .version-actions .plain:last-child");
    browser.wait_for("document.querySelectorAll('.versions > li').length === 3");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    browser.expect_no_complaints();
}

#[test]
fn what_is_not_saved_is_asked_about_and_a_table_is_edited_in_its_cells() {
    let Some(mut browser) = Browser::start() else { return };
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let path = knowledge.path().join("faqs/pump.csv");
    let before = std::fs::read_to_string(&path).unwrap();
    browser.open(&server.url("/admin#documents/faqs%2Fpump.csv?view=edit"));
    browser.wait_for("document.querySelectorAll('.edit-grid tbody tr').length === 2");
    browser.value("document.querySelector('.edit-grid tbody tr td:nth-child(4) textarea').value = '每 600 小时，\"保养\"一次。'");
    browser.value("location.hash = '#health'");
    browser.wait_for("document.getElementById('ask').open");
    browser.press("Escape");
    browser.wait_for("location.hash.startsWith('#documents')");
    browser.click(".edit-bar .solid");
    browser.wait_for("document.querySelector('.toasts').innerText.includes('已保存')");
    let expected = before.replace("每 500 小时保养一次。", "\"每 600 小时，\"\"保养\"\"一次。\"");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected, "the other cells stay to the letter");
    browser.value("location.hash = '#health'");
    browser.wait_for("document.querySelector('h1')?.innerText === '检查'");
    browser.wait_for("document.querySelector('.nothing, .problems')");
    browser.expect_no_complaints();
}

#[test]
fn a_rep_s_key_is_told_what_is_missing_and_another_can_be_given() {
    let Some(mut browser) = Browser::start() else { return };
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let create = |role: &str| {
        let arguments = ["keys", "create", "--name", role, "--role", role];
        let ran = crate::support::run_on(knowledge.path(), data.path(), &arguments);
        ran.expect_status(0).stdout.trim().to_owned()
    };
    let (rep, marketing) = (create("rep"), create("marketing"));
    browser.open(&server.url("/admin"));
    browser.wait_for("document.querySelector('.ask input')");
    browser.type_text(&rep);
    browser.press("Enter");
    browser.wait_for("document.querySelector('.failure')?.innerText.includes('市场部')");
    browser.click("#key");
    browser.wait_for("document.querySelector('.ask input')");
    browser.value("document.querySelector('.ask input').focus()");
    browser.type_text(&marketing);
    browser.press("Enter");
    browser.wait_for("document.querySelectorAll('.docs-list a').length === 3");
    assert_eq!(
        browser.value("document.activeElement === document.body"),
        json!(false).clone(),
        "the focus is somewhere"
    );
    browser.click("#key");
    browser.wait_for("document.querySelector('.ask-buttons .secondary')");
    browser.click(".ask-buttons .secondary");
    // A key that is forgotten is not used again by the page that is still open.
    browser.wait_for(
        "document.querySelector('.ask input') && !document.querySelector('.ask-buttons .secondary + .secondary')",
    );
    browser.wait_for("!document.querySelector('.docs-list a')");
}

#[test]
fn an_earlier_answer_opens_the_text_it_was_given_from() {
    let Some(mut browser) = Browser::start() else { return };
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    let versions = "/api/v1/knowledge/versions/products/pump.md";
    wait_for("the first state to be kept", || {
        let kept: serde_json::Value = server.get(versions).json().unwrap();
        kept["versions"].as_array().is_some_and(|versions| !versions.is_empty()).then_some(())
    });
    let answer = server.chat("K7 保修多久？", "internal");
    assert!(answer["answer"].as_str().unwrap().contains("24 个月"), "{answer}");
    let path = knowledge.path().join("products/pump.md");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("整机保修 24 个月", "整机质保 36 个月")).unwrap();
    wait_for("the change to be served", || {
        let now: serde_json::Value = server.get("/api/v1/documents/pump-k7").json().unwrap();
        now["text"].as_str().unwrap().contains("36 个月").then_some(())
    });
    browser.open(&server.url("/"));
    browser.click("#open-history");
    browser.wait_for("document.querySelector('.history-list button')");
    browser.click(".history-list button");
    browser.wait_for("document.querySelector('.card-open')");
    browser.click(".card-open");
    browser.wait_for("document.querySelector('.source .internal-banner')?.innerText.includes('后来改过')");
    browser.wait_for("document.querySelector('.source mark')?.innerText.includes('24 个月')");
    browser.expect_no_complaints();
}
