//! The page in a real browser: what a rep does with it, from the keyboard to the records.

pub mod chromium;
mod curation;
mod doing;
mod figures;
mod foreign;
mod hostile;
mod pictures;
mod streaming;
mod widget;

use std::path::Path;

use chromium::Browser;
use serde_json::{Value, json};

use crate::support::{Server, own_sample_data, run_on, sample_knowledge, wait_for};

/// The page of a server on the sample, with two customers in the records.
struct Desk {
    browser: Browser,
    server: Server,
    data: tempfile::TempDir,
}

impl Desk {
    /// `None` where there is no browser.
    fn open() -> Option<Self> {
        Self::open_with(&[])
    }

    /// As [`Desk::open`], of a server with these environment variables.
    fn open_with(variables: &[(&str, &str)]) -> Option<Self> {
        Self::open_on(&sample_knowledge(), own_sample_data(), variables)
    }

    /// As [`Desk::open_with`], on this knowledge.
    fn open_on(knowledge: &Path, data: tempfile::TempDir, variables: &[(&str, &str)]) -> Option<Self> {
        let mut browser = Browser::start()?;
        let server = Server::start_with(knowledge, data.path(), variables);
        let customers = json!([
            {"id": "c-1", "name": "华睿饮料", "industry": "食品饮料", "region": "华东", "stage": "报价"},
            {"id": "c-2", "name": "麦禾食品", "industry": "烘焙", "stage": "售后"},
        ]);
        for customer in customers.as_array().unwrap() {
            assert_eq!(server.post("/api/v1/customers", customer).status(), 201);
        }
        browser.open(&server.url("/"));
        browser.value("document.getElementById('message').focus()");
        Some(Self { browser, server, data })
    }

    /// Asks as a person does and waits for the answer.
    fn ask(&mut self, question: &str) {
        let n_before = self.browser.value("document.querySelectorAll('.turn').length").as_u64().unwrap();
        self.browser.value("document.getElementById('message').focus()");
        self.browser.type_text(question);
        self.browser.press("Enter");
        self.browser.wait_for(&format!("document.querySelectorAll('.turn').length === {}", n_before + 1));
        self.browser.wait_for("document.getElementById('stop').hidden");
    }

    fn get(&self, path: &str) -> Value {
        self.server.get(path).json().unwrap()
    }
}

const MESSAGE: &str = "document.getElementById('message').value";

#[test]
fn a_word_that_an_input_method_is_still_composing_is_not_sent() {
    let Some(mut desk) = Desk::open() else { return };
    let browser = &mut desk.browser;
    browser
        .send("Input.imeSetComposition", &json!({"text": "bao xiu", "selectionStart": 7, "selectionEnd": 7}));
    browser.press("Enter");
    assert_eq!(browser.value("document.querySelectorAll('.turn').length"), 0, "half a word was sent");
    browser.type_text("保修多久");
    browser.press("Enter");
    browser.wait_for("document.querySelector('.turn .question')?.textContent === '保修多久'");
    browser.expect_no_complaints();
}

#[test]
fn the_last_question_comes_back_with_an_arrow_and_commands_with_a_slash() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    desk.ask("保修多久？");
    let browser = &mut desk.browser;
    browser.value("document.getElementById('message').focus()");
    browser.press("ArrowUp");
    assert_eq!(browser.text(MESSAGE), "保修多久？");
    browser.press("ArrowUp");
    assert_eq!(browser.text(MESSAGE), "LB-300S 速度多少？");
    browser.press("ArrowDown");
    browser.press("ArrowDown");
    assert_eq!(browser.text(MESSAGE), "");
    browser.type_text("自己写的");
    browser.press("ArrowUp");
    assert_eq!(browser.text(MESSAGE), "自己写的", "what a person wrote is not replaced");

    browser.value("document.getElementById('message').select()");
    browser.type_text("/");
    browser.wait_for("document.querySelectorAll('#commands li').length > 5");
    browser.press("ArrowDown");
    let marked = "document.querySelector('#commands [aria-selected=true]').id === document.activeElement.getAttribute('aria-activedescendant')";
    assert_eq!(browser.value(marked), true, "a screen reader is told");
    browser.press("Escape");
    assert_eq!(browser.value("document.getElementById('commands').hidden"), true);
    assert_eq!(browser.text(MESSAGE), "/", "it may be a question too");
    browser.value("document.getElementById('message').select()");
    browser.type_text("/主题");
    assert_eq!(browser.value("document.getElementById('commands').hidden"), true, "no command, so no list");
    browser.value("document.getElementById('message').select()");
    browser.type_text("/new");
    browser.press("Enter");
    browser.wait_for(
        "document.querySelectorAll('.turn').length === 0 && !document.getElementById('empty').hidden",
    );
    assert_eq!(browser.text(MESSAGE), "");
    browser.expect_no_complaints();
}

#[test]
fn a_draft_and_the_theme_outlive_a_reload() {
    let Some(mut desk) = Desk::open() else { return };
    let browser = &mut desk.browser;
    browser.type_text("写到一半的");
    let theme = "document.documentElement.dataset.theme";
    let paper = "getComputedStyle(document.body).backgroundColor";
    assert_eq!(browser.text(theme), "light", "a headless browser has a light system");
    let light = browser.text(paper);
    browser.click("#theme");
    browser.click("#theme");
    assert_eq!(browser.text(theme), "dark");
    assert_ne!(browser.text(paper), light);
    browser.send("Page.reload", &json!({}));
    browser.wait_for(
        "document.readyState === 'complete' && document.documentElement.dataset.themeChoice === 'dark'",
    );
    browser.wait_for(&format!("{MESSAGE} === '写到一半的'"));
    browser.click("#theme");
    assert_eq!(browser.text("document.documentElement.dataset.themeChoice"), "auto");
    assert_eq!(browser.text(paper), light);
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.send("Emulation.setEmulatedMedia", &dark);
    browser.wait_for("document.documentElement.dataset.theme === 'dark'");
    browser.expect_no_complaints();
}

#[test]
fn what_was_asked_offline_is_sent_once_when_the_server_is_back() {
    let Some(mut desk) = Desk::open() else { return };
    desk.browser.set_offline(true);
    desk.ask("LB-300S 速度多少？");
    desk.browser.wait_for("!document.getElementById('offline').hidden");
    assert!(desk.browser.text("document.querySelector('.failure').innerText").contains("连不上"));
    desk.browser.set_offline(false);
    desk.browser
        .wait_for("document.querySelector('.turn .answer') && document.getElementById('offline').hidden");
    assert_eq!(desk.browser.value("document.querySelectorAll('.turn').length"), 1);
    let conversations = desk.get("/api/v1/conversations");
    assert_eq!(conversations["conversations"][0]["messages"], 2, "{conversations}");
    desk.browser.expect_no_complaints();
}

#[test]
fn an_answer_is_copied_plain_as_a_chat_message_and_as_markdown_with_its_sources() {
    let Some(mut desk) = Desk::open() else { return };
    let grant = json!({"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]});
    desk.browser.send("Browser.grantPermissions", &grant);
    desk.ask("客户说太贵了怎么回复？");
    let browser = &mut desk.browser;
    let mut copied = |n: usize| {
        browser.click(&format!(".toolbar button:nth-of-type({n})"));
        browser.wait_for(&format!(
            "/已复制/.test(document.querySelector('.toolbar button:nth-of-type({n})').textContent)"
        ));
        browser.text("navigator.clipboard.readText()")
    };
    let (plain, chat, markdown) = (copied(2), copied(3), copied(4));
    assert!(!plain.contains("[1]") && !plain.contains("**"), "{plain}");
    assert!(!chat.contains("[1]") && !chat.contains("**") && !chat.contains("\n\n"), "{chat}");
    assert!(markdown.contains("[1]") && markdown.contains("\n[1]: "), "{markdown}");
    browser.expect_no_complaints();
}

#[test]
fn an_earlier_conversation_is_found_by_its_words_and_goes_on_with_its_citations() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    let told = desk.browser.text("document.querySelector('.answer').textContent");
    let n_chips = desk.browser.value("document.querySelectorAll('.answer .chip').length");
    desk.browser.click("#new");
    desk.ask("保修多久？");
    let browser = &mut desk.browser;
    browser.click("#open-history");
    browser.wait_for("document.querySelectorAll('.history-list li').length === 2");
    browser.type_text("lb-300s");
    browser.wait_for("document.querySelectorAll('.history-list li').length === 1");
    browser.type_text("没有人说过");
    browser.wait_for("/没有哪次对话/.test(document.querySelector('.drawer [role=status]').textContent)");
    browser.value("document.querySelector('.drawer input').select()");
    browser.type_text("300S");
    browser.wait_for("document.querySelectorAll('.history-list li').length === 1");
    browser.click(".history-list button");
    browser.wait_for(
        "!document.getElementById('history').open && document.querySelectorAll('.turn').length === 1",
    );
    assert_eq!(browser.text("document.querySelector('.answer').textContent"), told);
    assert_eq!(
        browser.value("document.querySelectorAll('.answer .chip').length"),
        n_chips,
        "citations survive"
    );
    browser.click(".answer .chip");
    browser.wait_for("document.querySelector('.source mark')");
    browser.press("Escape");
    desk.ask("精度呢，贴标精度多少？");
    let conversations = desk.get("/api/v1/conversations?q=LB-300S%20%E9%80%9F%E5%BA%A6");
    assert_eq!(
        conversations["conversations"][0]["messages"], 4,
        "it goes on where it ended: {conversations}"
    );
    desk.browser.expect_no_complaints();
}

#[test]
fn a_bad_answer_is_corrected_for_the_curators() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    browser.click(".thumb[aria-label='有用']");
    browser.wait_for(
        "document.querySelector('.thumb[aria-label=\"有用\"]').getAttribute('aria-pressed') === 'true'",
    );
    browser.click(".thumb[aria-label='没用或有错']");
    browser.wait_for("document.activeElement.closest('.feedback-form')");
    browser.type_text("现在是 320 瓶/分钟");
    browser.click(".reasons label:nth-of-type(2)");
    browser.click(".feedback-form button.secondary");
    browser.wait_for("/资料维护/.test(document.querySelector('.feedback').textContent)");
    browser.send("Page.reload", &json!({}));
    browser.wait_for("document.querySelector('.thumb[aria-label=\"没用或有错\"]')?.getAttribute('aria-pressed') === 'true'");
    browser.expect_no_complaints();
    let list = desk.get("/api/v1/feedback?corrected=true");
    let feedback = &list["feedback"][0]["feedback"];
    assert_eq!((&feedback["rating"], &feedback["reason"]), (&json!("down"), &json!("过时了")), "{list}");
    assert_eq!(feedback["correction"], "现在是 320 瓶/分钟");
}

#[test]
fn what_is_sent_to_a_chosen_customer_stands_on_their_timeline() {
    let Some(mut desk) = Desk::open() else { return };
    let browser = &mut desk.browser;
    browser.click("#customer summary");
    browser.click(".customer-search input");
    browser.type_text("饮料");
    browser.wait_for("document.querySelectorAll('.customer-results li').length === 1");
    browser.click(".customer-results button");
    browser.wait_for("/报价/.test(document.querySelector('.customer-card')?.textContent)");
    browser.wait_for("/还没有跟进记录/.test(document.querySelector('.customer-card').textContent)");
    assert!(
        browser.text("document.getElementById('starters').textContent").contains("报价单模板"),
        "fit for the stage"
    );
    browser.click(".note-row input");
    browser.type_text("周三电话，下周试机");
    browser.press("Enter");
    browser.wait_for("/下周试机/.test(document.querySelector('.timeline').textContent)");
    assert_eq!(browser.value("document.querySelectorAll('.turn').length"), 0, "a note is no question");

    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    browser.click(".toolbar button:nth-of-type(1)");
    browser.wait_for("document.querySelector('.send-text')?.value.includes('300')");
    browser.value("document.querySelector('.send-text').select()");
    browser.type_text("张工您好，LB-300S 每分钟 300 瓶。");
    browser.click(".send button.secondary");
    browser.wait_for("/已记在 华睿饮料/.test(document.querySelector('.send').textContent)");
    browser.expect_no_complaints();
    let sent = wait_for("the timeline", || {
        let timeline = desk.get("/api/v1/customers/c-1/interactions");
        let entries = timeline["interactions"].as_array().unwrap().clone();
        entries.into_iter().find(|entry| entry["kind"] == "sent")
    });
    assert_eq!(sent["text"], "张工您好，LB-300S 每分钟 300 瓶。");
    assert!(!sent["documents"].as_array().unwrap().is_empty() && sent["message_id"].is_string(), "{sent}");
    let conversations = desk.get("/api/v1/conversations?customer_id=c-1");
    assert_eq!(conversations["conversations"][0]["customer_name"], "华睿饮料");

    // Put away and opened again, the conversation still knows whom it is about.
    let browser = &mut desk.browser;
    browser.click("#customer summary");
    browser.click(".customer-top button");
    browser.wait_for("document.querySelector('.customer-search')");
    browser.click("#new");
    browser.click("#open-history");
    browser.wait_for("document.querySelectorAll('.history-list li').length === 1");
    browser.click(".history-list button");
    browser.wait_for("/华睿饮料/.test(document.getElementById('customer-summary').textContent)");
    browser.expect_no_complaints();
}

#[test]
fn a_key_is_asked_for_where_it_is_missed_and_opens_its_own_conversations() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    let create = ["keys", "create", "--name", "陈立航", "--role", "rep"];
    let secret = run_on(&sample_knowledge(), desk.data.path(), &create).expect_status(0).stdout;
    let browser = &mut desk.browser;
    browser.click("#open-history");
    browser.wait_for("document.querySelector('.drawer .key-form input')");
    browser.click(".drawer .key-form input");
    browser.type_text(secret.trim());
    browser.press("Enter");
    browser.wait_for("/还没有对话/.test(document.querySelector('.drawer [role=status]').textContent)");
    browser.press("Escape");
    desk.ask("保修多久？");
    let browser = &mut desk.browser;
    browser.click("#open-history");
    browser.wait_for("document.querySelectorAll('.history-list li').length === 1");
    browser.expect_no_complaints();
}

#[test]
fn nothing_is_wider_than_a_phone_in_either_language() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    browser.send("Emulation.setDeviceMetricsOverride", &phone);
    for _ in 0..2 {
        browser.wait_for("innerWidth === 360");
        assert_eq!(browser.value("document.documentElement.scrollWidth"), 360);
        browser.click("#open-history");
        browser.wait_for("document.querySelectorAll('.history-list li').length === 1");
        let drawer = browser.value("document.getElementById('history').getBoundingClientRect().right");
        assert!(drawer.as_f64().unwrap() <= 360.0, "{drawer}");
        browser.press("Escape");
        browser.wait_for("!document.getElementById('history').open");
        browser.click("#language");
    }
    browser.expect_no_complaints();
}

#[test]
fn everything_that_can_be_pressed_or_filled_in_has_a_name() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    browser.click(".thumb.down");
    browser.wait_for("document.querySelector('.feedback-form')");
    browser.click("#customer summary");
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": true});
    for narrow in [false, true] {
        if narrow {
            browser.send("Emulation.setDeviceMetricsOverride", &phone);
        }
        let tree = browser.send("Accessibility.getFullAXTree", &json!({}));
        let nodes = tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false);
        let controls: Vec<_> = nodes
            .filter(|node| {
                let role = node["role"]["value"].as_str().unwrap_or_default();
                matches!(role, "button" | "link" | "textbox" | "searchbox" | "radio" | "combobox")
            })
            .collect();
        assert!(controls.len() > 20, "{}", controls.len());
        for control in controls {
            let name = control["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "narrow: {narrow}: {control}");
        }
    }
}
