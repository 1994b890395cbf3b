//! The console's pages of curation: from a question that nothing answers to its answer at the desk.

use serde_json::json;

use super::chromium::Browser;
use crate::support::{Server, copy_folder, folder, own_sample_data, sample_knowledge};

const QUESTION: &str = "LB-300S 机身有哪几种颜色可以选";

/// Asks at the desk and waits for an answer with these words. The page may still show the conversation before.
fn ask(browser: &mut Browser, server: &Server, question: &str, words: &str) {
    browser.open(&server.url("/"));
    browser.value("document.getElementById('message').focus()");
    browser.type_text(question);
    browser.press("Enter");
    browser.wait_for(&format!(
        "document.getElementById('stop').hidden && \
         [...document.querySelectorAll('.turn')].at(-1)?.innerText.includes({words:?})"
    ));
}

fn field(browser: &mut Browser, selector: &str, text: &str) {
    browser.value(&format!("document.querySelector({selector:?}).focus()"));
    browser.value(&format!("document.querySelector({selector:?}).select()"));
    browser.type_text(text);
}

#[test]
fn a_question_that_nothing_answers_is_answered_after_its_gap_was_turned_into_a_row() {
    let Some(mut browser) = Browser::start() else { return };
    let knowledge = folder();
    copy_folder(&sample_knowledge(), knowledge.path());
    let data = own_sample_data();
    let server = Server::start(knowledge.path(), data.path());

    ask(&mut browser, &server, QUESTION, "没有依据");
    browser.open(&server.url("/admin#gaps"));
    browser.wait_for("document.querySelector('.gap h2')");
    assert_eq!(browser.text("document.querySelector('.gap h2').textContent"), QUESTION);
    browser.click(".gap-actions .solid");
    browser.wait_for("document.querySelector('.row-form')");
    let answer = "LB-300S 机身有三种颜色可以选：标准灰白 RAL 9002、信号蓝 RAL 5005 和不锈钢本色，定制颜色另加 10 天交期。";
    field(&mut browser, ".row-form label:nth-of-type(2) textarea", answer);
    browser.click(".row-form [value=customer]");
    browser.click(".row-form .solid");
    // The row is written, the watcher reads it, the question is asked again: then the group has gone.
    browser.wait_for("document.querySelectorAll('.gap').length === 0 && document.querySelector('.nothing')");
    browser.value("(() => { location.hash = '#gaps?state=closed'; })()");
    browser.wait_for("document.querySelector('.gap .pill.good')");
    let written = std::fs::read_to_string(knowledge.path().join("faqs/console.csv")).unwrap();
    assert!(written.contains(QUESTION) && written.contains("RAL 9002"), "{written}");

    ask(&mut browser, &server, QUESTION, "RAL 9002");
    let customer = server.chat(QUESTION, "customer");
    assert!(customer["answer"].as_str().unwrap().contains("RAL 9002"), "{customer}");
    browser.expect_no_complaints();
}

#[test]
fn what_the_text_suggests_is_taken_and_said_beside_the_file() {
    let Some(mut browser) = Browser::start() else { return };
    let knowledge = folder();
    copy_folder(&sample_knowledge(), knowledge.path());
    let say = |text: &str| format!("<w:p><w:r><w:t>{text}</w:t></w:r></w:p>");
    let body = [
        say("LB-300S 延长保修约定"),
        say("LB-300S 整机保修 24 个月，工程师 48 小时内上门，备件免费。"),
        say("LB-300S 的保修热线全年有人值守，收费项目见备件价目。"),
    ];
    std::fs::write(knowledge.path().join("扫描件 7.docx"), crate::packed::docx(&body.concat(), "")).unwrap();
    let data = own_sample_data();
    let server = Server::start(knowledge.path(), data.path());
    browser.open(&server.url("/admin#documents/%E6%89%AB%E6%8F%8F%E4%BB%B6%207.docx?view=about"));
    browser.wait_for("document.querySelectorAll('.about-offer').length >= 3");
    let offered = browser.text("document.querySelector('.about').innerText");
    assert!(
        offered.contains("建议：LB-300S 延长保修约定") && offered.contains("建议：服务政策"),
        "{offered}"
    );
    browser.click(".about-lead .secondary");
    browser.wait_for("document.querySelectorAll('.about-offer').length === 0");
    browser.value("(() => { document.querySelector('.about [name=audience]').value = 'customer'; })()");
    browser.click(".about .solid");
    browser.wait_for("document.querySelector('.file-head h2')?.textContent === 'LB-300S 延长保修约定'");
    browser.wait_for("document.querySelector('.file-head .badge:not(.internal)')");
    let beside = std::fs::read_to_string(knowledge.path().join("扫描件 7.docx.yaml")).unwrap();
    for line in
        ["title: LB-300S 延长保修约定\n", "kind: service\n", "audience: customer\n", "product: [LB-300S]\n"]
    {
        assert!(beside.contains(line), "{beside}");
    }
    browser.expect_no_complaints();
}

#[test]
fn a_trial_says_why_and_two_settings_stand_side_by_side() {
    let Some(mut browser) = Browser::start() else { return };
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    browser.open(&server.url("/admin#try"));
    browser.wait_for("document.querySelector('.try-form textarea')");
    field(&mut browser, ".try-form textarea", "LB-300S 底价多少");
    browser.value("(() => { document.querySelector('.try-form select').value = 'customer'; })()");
    browser.click(".try-form input[type=checkbox]");
    browser.wait_for("document.querySelectorAll('.try-setting').length === 2");
    browser.value(
        "(() => { document.querySelectorAll('.try-setting')[1].querySelector('select').value = 'lexical'; })()",
    );
    browser.click(".try-form .solid");
    browser.wait_for("document.querySelectorAll('.try-result').length === 2");
    let text = browser.text("document.querySelector('.try-results').innerText");
    assert!(text.contains("内部资料，客户看不到"), "what a customer may not see is named: {text}");
    browser.click(".try-passages summary");
    browser.wait_for("document.querySelector('.try-passages details[open] .hits')");
    assert!(server.get("/api/v1/gaps").text().unwrap().contains("\"gaps\":[]"), "a trial leaves no gap");
    browser.expect_no_complaints();
}

#[test]
fn every_page_of_curation_opens_in_both_languages_and_fits_a_phone() {
    let Some(mut browser) = Browser::start() else { return };
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let given = server.chat("LB-300S 保修多久？", "internal");
    let opinion =
        json!({"message_id": given["message_id"], "rating": "down", "correction": "整机保修 24 个月。"});
    assert_eq!(server.post("/api/v1/feedback", &opinion).status(), 200);
    server.chat(QUESTION, "internal");
    let phone = json!({"width": 375, "height": 800, "deviceScaleFactor": 1, "mobile": true});
    browser.send("Emulation.setDeviceMetricsOverride", &phone);
    let pages = [
        ("gaps", ".gap"),
        ("feedback", ".judged"),
        ("insights", ".tiles"),
        ("documents/company%2Fprofile.md?view=about", ".about"),
        ("try?q=LB-300S%20%E4%BF%9D%E4%BF%AE%E5%A4%9A%E4%B9%85", ".try-passages"),
    ];
    browser.open(&server.url("/admin"));
    for language in ["zh", "en"] {
        for (page, part) in pages {
            browser.value(&format!("(() => {{ location.hash = '#{page}'; }})()"));
            browser.wait_for(&format!("document.querySelector('{part}')"));
            let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
            assert!(wide.as_i64().is_some_and(|wide| wide <= 0), "{language} {page} is {wide} too wide");
            let text = browser.text("document.body.innerText");
            assert!(!text.contains("undefined") && !text.contains("[object"), "{language} {page}: {text}");
        }
        browser.click("#language");
    }
    browser.expect_no_complaints();
}

#[test]
fn a_page_that_was_left_does_not_take_the_address_back() {
    let Some(mut browser) = Browser::start() else { return };
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    browser.open(&server.url("/admin#try?q=LB-300S%20%E4%BF%9D%E4%BF%AE%E5%A4%9A%E4%B9%85"));
    browser.wait_for("document.querySelector('.try-passages')");
    // While the page is drawn in the other language, just before it writes its address, the person goes on to another.
    browser.value(
        "(() => { const main = document.getElementById('main'); \
           main.append = (...parts) => { delete main.append; main.append(...parts); location.hash = '#feedback'; }; \
           document.getElementById('language').click(); })()",
    );
    browser.wait_for("document.querySelector('#nav [aria-current]').hash === '#feedback'");
    browser.wait_for("!document.querySelector('.try-form') && location.hash.startsWith('#feedback')");
    browser.expect_no_complaints();
}
