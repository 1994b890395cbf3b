//! Texts that try to run: in documents, in what customers are called, in what a model says. None does, neither with the
//! content security policy on, which would report the attempt, nor with it off, when only the page itself stands
//! in their way.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Desk;
use crate::generator::Model;
use crate::support::{folder, write};

const PAYLOADS: &str = include_str!("../data/payloads.txt");
/// Documents among which they are spread.
const DOCUMENTS: usize = 10;

fn payloads() -> Vec<&'static str> {
    let all: Vec<_> = PAYLOADS.lines().collect();
    assert_eq!(all.len(), 100);
    all
}

/// Ten machines, each with ten payloads: in the title, in headings, sentences, a table, a list.
fn hostile_knowledge() -> tempfile::TempDir {
    let knowledge = folder();
    for (n, ten) in payloads().chunks(DOCUMENTS).enumerate() {
        let number = n + 1;
        let mut text = format!(
            "---\ntitle: {}\naudience: customer\nproduct: [XS-{number}]\nlink: {}\n---\n",
            json!(format!("XS-{number} {}", ten[0])),
            json!(format!("https://a.example/{}", ten[1])),
        );
        let _ =
            write!(text, "# XS-{number} {}\n\nXS-{number} 速度 {number}00 瓶/分钟 {}。\n\n", ten[2], ten[3]);
        let _ = write!(text, "## 保修 {}\n\nXS-{number} 保修 {number} 个月 {}。\n\n", ten[4], ten[5]);
        let _ =
            write!(text, "| 参数 | 数值 |\n| --- | --- |\n| 精度 {} | ±{number} mm {} |\n\n", ten[6], ten[7]);
        let _ = write!(text, "- XS-{number} 重量 {number} kg {}\n- {}\n", ten[8], ten[9]);
        write(knowledge.path(), &format!("products/xs-{number}.md"), text);
    }
    knowledge
}

/// Before every page's own scripts: what the policy stops is counted, and so is whatever gets through it.
const WATCH: &str = "window.violations = []; \
     document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.violatedDirective + ' ' + event.sample));";

/// What was let through: all of it must be nothing. A script that runs has marked the window.
const FOUND: &str = "(() => ({ ran: window.ran ?? null, violations: window.violations, \
     strange: document.querySelectorAll('body :is(script, img, image, iframe, object, embed, video, audio, style, link, base, meta, \
       math, template, marquee, [onerror], [onload], [onfocus], [ontoggle], [onmouseover], [onanimationstart])').length, \
     links: [...document.querySelectorAll('a[href]')].filter((link) => !/^https?:/.test(link.href)).length }))()";

#[track_caller]
fn expect_nothing_ran(desk: &mut Desk, place: &str) {
    // What would run does so once frames were drawn and requests have come back.
    desk.browser.value(
        "(async () => { for (let n = 0; n < 3; n += 1) { await fetch('healthz'); await new Promise(requestAnimationFrame); } })()",
    );
    let found = desk.browser.value(FOUND);
    assert_eq!(found, json!({"ran": null, "violations": [], "strange": 0, "links": 0}), "{place}");
    desk.browser.expect_no_complaints();
}

/// Runs `check` with the policy on and with it off, each on a fresh page.
fn with_and_without_policy(desk: &mut Desk, check: impl Fn(&mut Desk)) {
    desk.browser.before_every_page(WATCH);
    for bypassed in [false, true] {
        desk.browser.send("Page.setBypassCSP", &json!({"enabled": bypassed}));
        desk.browser.send("Page.navigate", &json!({"url": desk.server.url("/")}));
        desk.browser
            .wait_for("document.readyState === 'complete' && document.querySelector('.customer-search')");
        // The check itself can fail: a script that is let in does mark the window.
        if bypassed {
            let proof = "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.proof = 1' })); window.proof";
            assert_eq!(desk.browser.value(proof), 1);
            desk.browser.value("document.body.lastElementChild.remove()");
        }
        desk.browser.value("document.getElementById('new').click()");
        check(desk);
    }
}

#[test]
fn a_hundred_hostile_texts_in_documents_are_shown_and_none_runs() {
    let knowledge = hostile_knowledge();
    let Some(mut desk) = Desk::open_on(knowledge.path(), folder(), &[]) else { return };
    with_and_without_policy(&mut desk, |desk| {
        for number in [1, 4, 7] {
            desk.ask(&format!("XS-{number} 速度和保修是多少？"));
            desk.browser.wait_for("document.querySelector('.turn:last-child .card')");
        }
        expect_nothing_ran(desk, "answers");
        // Every document to its last line, in the panel that shows sources.
        let seen = desk.browser.value(
            "(async () => { const { sourcePanel } = await import('./source.js'); const dialog = document.getElementById('source'); \
               const panel = sourcePanel(dialog, { announce() {}, onClose() {} }); let text = ''; \
               for (let n = 1; n <= 10; n += 1) { \
                 const id = `products/xs-${n}`; \
                 await panel.open({ n: 1, quote: '瓶/分钟', location: {}, document: { id, title: id, path: id, kind: 'product', audience: 'customer' } }, 'internal'); \
                 text += dialog.textContent; } \
               return text; })()",
        );
        let seen = seen.as_str().unwrap();
        let shown = payloads().into_iter().filter(|payload| seen.contains(payload)).count();
        assert!(shown >= 90, "{shown} of the hundred stand on the page to the letter");
        expect_nothing_ran(desk, "documents");
    });
}

#[test]
fn a_hundred_customers_with_hostile_names_are_shown_and_none_runs() {
    let Some(mut desk) = Desk::open() else { return };
    for (n, payload) in payloads().into_iter().enumerate() {
        let customer = json!({"id": format!("x-{n}"), "name": payload, "stage": payload, "needs": payload, "industry": payload});
        assert_eq!(desk.server.post("/api/v1/customers", &customer).status(), 201);
        let note = json!({"kind": "note", "text": payload});
        assert_eq!(desk.server.post(&format!("/api/v1/customers/x-{n}/interactions"), &note).status(), 201);
    }
    with_and_without_policy(&mut desk, |desk| {
        let shown = desk.browser.value(
            "(async () => { const { customerPanel } = await import('./customer.js'); const root = document.getElementById('customer-panel'); \
               document.getElementById('customer').open = true; let names = 0; \
               const panel = customerPanel(root, { announce() {}, onChoose() {} }); \
               for (let n = 0; n < 100; n += 1) { \
                 await panel.show(`x-${n}`); \
                 for (let tries = 0; tries < 100 && !root.querySelector('.timeline li'); tries += 1) await new Promise((done) => setTimeout(done, 5)); \
                 names += root.querySelectorAll('.timeline li').length; } \
               return names; })()",
        );
        assert_eq!(shown, 100);
        expect_nothing_ran(desk, "customers");
        // As a person finds one.
        desk.browser.click(".customer-search input, .customer-top button");
        desk.browser.wait_for("document.querySelector('.customer-search input')");
        desk.browser.click(".customer-search input");
        desk.browser.type_text("onerror");
        desk.browser.wait_for("document.querySelectorAll('.customer-results li').length === 6");
        desk.browser.click(".customer-results button");
        desk.browser.wait_for("document.querySelector('.customer-card')");
        desk.ask(payloads()[16]);
        expect_nothing_ran(desk, "the page with a customer");
    });
}

#[test]
fn a_model_that_says_a_hundred_hostile_texts_gets_none_of_them_to_run() {
    let model = Model::start();
    let knowledge = hostile_knowledge();
    let Some(mut desk) = Desk::open_on(knowledge.path(), folder(), &model.variables()) else { return };
    // It says its draft, with ten payloads between the lines, each under the mark of a source.
    let next = std::sync::atomic::AtomicUsize::new(0);
    model.says(move |asked| {
        let first = 10 * next.fetch_add(1, std::sync::atomic::Ordering::SeqCst) % 100;
        let mut text = String::new();
        for (line, payload) in
            asked.draft.lines().chain(std::iter::repeat("")).zip(&payloads()[first..first + 10])
        {
            let _ = write!(text, "{line}\n{payload} [1]\n");
        }
        text
    });
    with_and_without_policy(&mut desk, |desk| {
        for number in 1..=10 {
            desk.ask(&format!("XS-{number} 速度多少？"));
        }
        assert_eq!(desk.browser.value("document.querySelectorAll('.turn').length"), 10);
        expect_nothing_ran(desk, "a model's words");
    });
}

/// Draws every field of a turn that comes from documents, models or people, as the page draws it.
const SHOW: &str = r"(async () => {
  const { turnView } = await import('./view.js');
  const { toNodes } = await import('./markdown.js');
  const turns = document.getElementById('turns');
  const actions = { announce() {}, isForCustomers: () => false };
  for (const text of PAYLOADS) {
    const source = { id: text, kind: text, title: text, path: text, audience: text, link: text, date: text, valid_until: text };
    const citations = [{ n: 1, document: source, quote: text, location: { heading: [text] } }];
    const reply = { session_id: 's', message_id: 'm', intent: text, answer: `${text} [1]`, citations, refused: false,
      suggestions: [text], generator: text, took_ms: 1 };
    const turn = { question: text, audience: 'internal', state: 'done', reply, citations };
    const refusal = { ...turn, reply: { ...reply, refused: true, refusal_reason: text } };
    const failure = { ...turn, reply: null, text, state: 'failed', error: { kind: 'invalid', message: text, requestId: text } };
    for (const one of [turn, refusal, failure]) turns.append(turnView(one, 1, actions).element);
    turns.lastElementChild.previousElementSibling.previousElementSibling.querySelector('.chip').dispatchEvent(new PointerEvent('pointerenter', { pointerType: 'mouse' }));
    turns.append(...toNodes(`# ${text}\n\n- ${text}\n\n> ${text}\n\n| ${text} | b |\n| --- | --- |\n| ${text} | ${text} |\n\n[x](${text}) ![x](${text})`, String));
  }
  return turns.querySelectorAll('.turn').length;
})()";

#[test]
fn a_hundred_hostile_texts_in_every_field_of_a_reply_are_shown_and_none_runs() {
    let Some(mut desk) = Desk::open() else { return };
    let show = SHOW.replace("PAYLOADS", &json!(payloads()).to_string());
    with_and_without_policy(&mut desk, |desk| {
        assert_eq!(desk.browser.value(&show), Value::from(300));
        expect_nothing_ran(desk, "every field");
    });
}
