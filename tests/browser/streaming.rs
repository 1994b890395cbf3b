//! An answer while it comes: stopped, asked again, broken off, slow. The words are a model's, which the test holds back.

use std::sync::mpsc::{Sender, channel};

use serde_json::{Value, json};

use super::Desk;
use crate::generator::{Model, Part};

const SPEED: &str = "LB-300S 一分钟最多能贴多少瓶？";

/// The model says the first line of its draft, waits to be told, and says the rest; once. Then it says all at once.
fn pauses(model: &Model) -> Sender<()> {
    let (go_on, wait) = channel();
    let mut wait = Some(wait);
    model.does(move |asked| {
        let (first, rest) = asked.draft.split_once('\n').unwrap_or((&asked.draft, ""));
        let mut parts = vec![Part::Text(format!("{first}\n"))];
        parts.extend(wait.take().map(Part::Wait));
        parts.extend([Part::Text(rest.to_owned()), Part::End]);
        parts
    });
    go_on
}

/// From now on `cut()` breaks the stream of an answer, as a tunnel does: a browser's own switch for "offline" lets what
/// is under way go on.
const BREAKABLE: &str = "(() => { const real = window.fetch; window.fetch = async (address, options) => { \
     const response = await real(address, options); \
     if (!String(address).endsWith('/chat')) return response; \
     const reader = response.body.getReader(); \
     const body = new ReadableStream({ \
       start(stream) { window.cut = () => { stream.error(new TypeError('broken')); reader.cancel(); }; }, \
       async pull(stream) { const { value, done } = await reader.read(); if (done) stream.close(); else stream.enqueue(value); } }); \
     return new Response(body, { headers: response.headers }); }; })()";

fn type_question(desk: &mut Desk) {
    desk.browser.value("document.getElementById('message').focus()");
    desk.browser.type_text(SPEED);
    desk.browser.press("Enter");
}

/// Messages of the only conversation.
fn n_messages(desk: &Desk) -> Value {
    let list = desk.get("/api/v1/conversations");
    assert_eq!(list["conversations"].as_array().unwrap().len(), 1, "{list}");
    list["conversations"][0]["messages"].clone()
}

#[test]
fn nothing_that_was_read_moves_while_an_answer_comes() {
    let model = Model::start();
    let Some(mut desk) = Desk::open_with(&model.variables()) else { return };
    let go_on = pauses(&model);
    desk.browser.value(
        "(() => { window.shift = 0; window.moved = []; new PerformanceObserver((list) => { for (const entry of list.getEntries()) \
         if (!entry.hadRecentInput) { window.shift += entry.value; moved.push(...entry.sources.map(({ node }) => \
         node?.outerHTML?.slice(0, 200) ?? String(node?.textContent))); } }).observe({ type: 'layout-shift', buffered: true }); })()",
    );
    type_question(&mut desk);
    let browser = &mut desk.browser;
    browser.wait_for("/300/.test(document.querySelector('.answer.streaming')?.textContent)");
    // Later than half a second after the key a shift is nobody's wish, and counts.
    browser.value("new Promise((done) => setTimeout(done, 600))");
    assert_eq!(
        browser.value("[document.getElementById('stop').hidden, document.getElementById('send').hidden]"),
        json!([false, true])
    );
    assert_eq!(browser.value("document.querySelector('.answer-column').getAttribute('aria-busy')"), "true");
    let place = "(() => { const box = document.querySelector('.answer > *').getBoundingClientRect(); return [box.x, box.y]; })()";
    let before = browser.value(place);
    go_on.send(()).unwrap();
    browser.wait_for("document.getElementById('stop').hidden && document.querySelector('.card')");
    browser.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
    assert_eq!(browser.value(place), before, "the first sentence stands where it stood");
    let shift = browser.value("window.shift");
    println!("layout shift while streaming: {shift}");
    assert_eq!(shift.as_f64(), Some(0.0), "{}", browser.value("moved"));
    browser.expect_no_complaints();
}

#[test]
fn an_answer_can_be_stopped_and_asked_for_again() {
    let model = Model::start();
    let Some(mut desk) = Desk::open_with(&model.variables()) else { return };
    let _go_on = pauses(&model);
    type_question(&mut desk);
    let browser = &mut desk.browser;
    browser.wait_for("/300/.test(document.querySelector('.answer.streaming')?.textContent)");
    browser.press("Escape");
    browser.wait_for("/已停止/.test(document.querySelector('.turn').textContent)");
    let told = browser.text("document.querySelector('.turn').innerText");
    assert!(
        told.contains("300") && told.contains("别直接发给客户"),
        "what came stays, and is called incomplete: {told}"
    );
    assert_eq!(
        browser.value("document.querySelectorAll('.turn .toolbar').length"),
        0,
        "it is not offered to be copied"
    );
    browser.click(".turn .note button");
    browser.wait_for("document.getElementById('stop').hidden && document.querySelector('.turn .toolbar')");
    assert_eq!(browser.value("document.querySelectorAll('.turn').length"), 1);
    browser.expect_no_complaints();
}

#[test]
fn a_connection_that_breaks_is_picked_up_again_as_the_same_message() {
    let model = Model::start();
    let Some(mut desk) = Desk::open_with(&model.variables()) else { return };
    let _go_on = pauses(&model);
    desk.browser.value(BREAKABLE);
    type_question(&mut desk);
    let browser = &mut desk.browser;
    browser.wait_for("/300/.test(document.querySelector('.answer.streaming')?.textContent)");
    browser.value("cut()");
    browser.wait_for("document.getElementById('stop').hidden && document.querySelector('.turn .toolbar')");
    assert_eq!(
        browser.value("document.querySelectorAll('.turn, .failure').length"),
        1,
        "no failure is shown"
    );
    assert!(browser.text("document.querySelector('.answer').textContent").contains("300"));
    browser.expect_no_complaints();
    assert_eq!(n_messages(&desk), 2, "it was the same message");
}

#[test]
fn what_breaks_offline_goes_on_when_the_network_is_back() {
    let model = Model::start();
    let Some(mut desk) = Desk::open_with(&model.variables()) else { return };
    let _go_on = pauses(&model);
    desk.browser.value(BREAKABLE);
    type_question(&mut desk);
    let browser = &mut desk.browser;
    browser.wait_for("/300/.test(document.querySelector('.answer.streaming')?.textContent)");
    browser.set_offline(true);
    browser.value("cut()");
    browser.wait_for("!document.getElementById('offline').hidden && document.querySelector('.failure')");
    browser.set_offline(false);
    browser.wait_for("document.getElementById('offline').hidden && document.querySelector('.turn .toolbar')");
    browser.expect_no_complaints();
    assert_eq!(n_messages(&desk), 2);
}

#[test]
fn a_slow_server_is_said_to_be_slow() {
    let model = Model::start();
    let Some(mut desk) = Desk::open_with(&model.variables()) else { return };
    let (go_on, wait) = channel();
    let mut wait = Some(wait);
    model.does(move |asked| {
        let waits = wait.take().map(Part::Wait);
        waits.into_iter().chain([Part::Text(asked.draft.clone()), Part::End]).collect()
    });
    // Its six seconds pass at once; everything else keeps its time.
    desk.browser.before_every_page(
        "{ const real = window.setTimeout; window.setTimeout = (run, ms, ...rest) => real(run, ms === 6000 ? 1 : ms, ...rest); }",
    );
    desk.browser.send("Page.reload", &json!({}));
    desk.browser.wait_for("document.readyState === 'complete' && document.querySelector('#starters li')");
    type_question(&mut desk);
    let browser = &mut desk.browser;
    browser.wait_for("/比平时慢/.test(document.querySelector('.standing')?.textContent)");
    go_on.send(()).unwrap();
    browser.wait_for("document.querySelector('.turn .toolbar')");
    assert!(!browser.text("document.querySelector('.turn').innerText").contains("比平时慢"));
    browser.expect_no_complaints();
}
