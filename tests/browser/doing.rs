//! Doing something with an answer: tones of what is sent, wordings that are kept and shared, what a chip shows, how the
//! keyboard gets about.

use serde_json::{Value, json};

use super::Desk;
use crate::support::{run_on, sample_knowledge};

const SENT: &str = "document.querySelector('.send-text').value";

/// Presses the tone and waits until it is there.
fn choose_tone(desk: &mut Desk, tone: &str) {
    let before = desk.browser.text(SENT);
    desk.browser.click(&format!(".tones input[value={tone}] + span"));
    desk.browser.wait_for(&format!("{SENT} !== {}", json!(before)));
}

#[test]
fn what_is_sent_is_shorter_warmer_or_english_and_stays_word_for_word() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("LB-300S 速度多少？");
    desk.browser.click(".toolbar button:nth-of-type(1)");
    desk.browser.wait_for("document.querySelector('.send-text')?.value.includes('300')");
    let plain = desk.browser.text(SENT);
    choose_tone(&mut desk, "shorter");
    let shorter = desk.browser.text(SENT);
    assert!(shorter.len() < plain.len() / 2 && !shorter.is_empty(), "{shorter}");
    for line in shorter.lines().filter(|line| !line.is_empty()) {
        assert!(plain.contains(line), "{line} is not word for word");
    }
    choose_tone(&mut desk, "warmer");
    let warmer = desk.browser.text(SENT);
    assert!(warmer.starts_with("您好") && warmer.contains(plain.lines().next().unwrap()), "{warmer}");
    choose_tone(&mut desk, "english");
    let english = desk.browser.text(SENT);
    assert!(english.contains("300 bottles/min"), "{english}");
    assert!(!english.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{english}");

    // What was changed by hand is replaced only when that is said.
    desk.browser.value("document.querySelector('.send-text').select()");
    desk.browser.type_text("Dear Mr Zhang");
    desk.browser.click(".tones input[value=plain] + span");
    desk.browser.wait_for("/会被换掉/.test(document.querySelector('.send').textContent)");
    assert_eq!(desk.browser.text(SENT), "Dear Mr Zhang");
    desk.browser.click(".send .note button");
    desk.browser.wait_for(&format!("{SENT} === {}", json!(plain)));
    desk.browser.expect_no_complaints();
}

#[test]
fn where_nothing_may_be_sent_the_reason_is_said() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("客户说太贵了怎么回复？");
    let banner = desk.browser.text("document.querySelector('.standing').textContent");
    assert!(banner.contains("内部资料，勿外发"), "{banner}");
    desk.browser.click(".toolbar button:nth-of-type(1)");
    desk.browser.wait_for("/没有可外发的资料支持/.test(document.querySelector('.send').textContent)");
    assert_eq!(desk.browser.value("document.querySelector('.send-text').hidden"), true);
    // Said in Chinese only.
    desk.ask("设备出故障，多久能到现场？");
    desk.browser.click(".turn:last-child .toolbar button:nth-of-type(1)");
    desk.browser.wait_for("document.querySelector('.turn:last-child .send-text')?.value.length > 0");
    desk.browser.click(".turn:last-child .tones input[value=english] + span");
    desk.browser.wait_for(
        "/没有可外发的英文资料/.test(document.querySelector('.turn:last-child .send').textContent)",
    );
    desk.browser.expect_no_complaints();
}

#[test]
fn a_wording_is_kept_offered_approved_and_used_by_another_rep() {
    let Some(mut desk) = Desk::open() else { return };
    let key = |desk: &Desk, name: &str, role: &str| {
        let create = ["keys", "create", "--name", name, "--role", role];
        run_on(&sample_knowledge(), desk.data.path(), &create).expect_status(0).stdout.trim().to_owned()
    };
    let (one, two) = (key(&desk, "陈立航", "rep"), key(&desk, "周敏", "rep"));
    let marketing = key(&desk, "市场部", "marketing");
    let be = |desk: &mut Desk, secret: &str| {
        desk.browser
            .value(&format!("sessionStorage.clear(); sessionStorage.setItem('flightdeck.key', '{secret}')"));
        desk.browser.send("Page.navigate", &json!({"url": desk.server.url("/")}));
        desk.browser.wait_for("document.readyState === 'complete' && document.querySelector('#starters li')");
    };
    be(&mut desk, &one);
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    browser.click(".toolbar button:nth-of-type(5)");
    browser.wait_for("document.activeElement.closest('.feedback-form')");
    browser.value("document.activeElement.select()");
    browser.type_text("LB-300S 每分钟 300 瓶，实测。");
    browser.click(".check input");
    browser.click(".feedback-form button.secondary");
    browser.wait_for("/已提交审核/.test(document.querySelector('.send').textContent)");
    browser.click("#open-phrases");
    browser.wait_for("/待审核/.test(document.querySelector('.phrase')?.textContent)");
    browser.expect_no_complaints();

    be(&mut desk, &two);
    desk.browser.click("#open-phrases");
    desk.browser.wait_for("/还没有话术/.test(document.querySelector('#phrases [role=status]').textContent)");

    be(&mut desk, &marketing);
    let browser = &mut desk.browser;
    browser.click("#open-phrases");
    browser.wait_for("/陈立航/.test(document.querySelector('.phrase')?.textContent)");
    let approve = "[...document.querySelectorAll('.phrase button')].find((button) => button.textContent.startsWith('通过'))";
    browser.value(&format!("{approve}.click()"));
    browser.wait_for("/市场部 审核/.test(document.querySelector('.phrase').textContent)");

    be(&mut desk, &two);
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    browser.click(".toolbar button:nth-of-type(1)");
    browser.wait_for("document.querySelector('.send-text')?.value.includes('300')");
    browser.click(".send .toolbar button:nth-of-type(2)");
    browser.wait_for("document.querySelector('.phrase')");
    browser.type_text("实测");
    browser.wait_for("document.querySelectorAll('.phrase').length === 1");
    browser.click(".phrase button.secondary");
    browser.wait_for(&format!(
        "!document.getElementById('phrases').open && {SENT}.includes('每分钟 300 瓶，实测')"
    ));
    browser.expect_no_complaints();
    let shared = desk.server.client().get(desk.server.url("/api/v1/phrases?state=shared")).bearer_auth(&two);
    let list: Value = shared.send().unwrap().json().unwrap();
    let phrase = &list["phrases"][0];
    assert_eq!((&phrase["mine"], &phrase["author"]), (&json!(false), &json!("陈立航")), "{list}");
    assert!(phrase["audience"].is_string() && !phrase["documents"].as_array().unwrap().is_empty());
}

#[test]
fn a_chip_shows_at_a_glance_what_it_stands_for_and_opens_it_there() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("保修多久？");
    let browser = &mut desk.browser;
    let place = browser.value(
        "(() => { const box = document.querySelector('.answer .chip').getBoundingClientRect(); return [box.x + 6, box.y + 6]; })()",
    );
    browser.send("Input.dispatchMouseEvent", &json!({"type": "mouseMoved", "x": place[0], "y": place[1]}));
    browser.wait_for("document.querySelector('.glance')");
    let card = browser.text("document.querySelector('.glance').innerText");
    let label = browser.text("document.querySelector('.answer .chip').getAttribute('aria-label')");
    assert!(card.contains("可外发") || card.contains("内部"), "audience: {card}");
    assert!(card.contains("行") || card.contains("页") || card.contains(':'), "place: {card}");
    assert!(card.contains("20"), "date: {card}");
    assert!(label.contains("可外发") || label.contains("内部"), "a screen reader is told the same: {label}");
    browser.press("Escape");
    browser.wait_for("!document.querySelector('.glance')");
    browser.click(".answer .chip");
    browser.wait_for("document.querySelector('.source mark')");
    let seen = browser.value(
        "(() => { const mark = document.querySelector('.source mark').getBoundingClientRect(); const body = document.querySelector('.source-body').getBoundingClientRect(); \
           return mark.top >= body.top && mark.bottom <= body.bottom + 400; })()",
    );
    assert_eq!(seen, true, "the passage is in sight");
    browser.expect_no_complaints();
}

#[test]
fn markdown_is_drawn_without_markup_pictures_or_unmarked_links() {
    let Some(mut desk) = Desk::open() else { return };
    let browser = &mut desk.browser;
    let drawn = browser.value(
        "(async () => { const { toNodes } = await import('./markdown.js'); const box = document.createElement('div'); \
           box.append(...toNodes('# 标题\\n\\n| 参数 | 值 |\\n| --- | --- |\\n| 速度 | **300** |\\n\\n- 一\\n- 二\\n\\n<b>x</b> ![图](https://a.example/t.png) [站](https://a.example/x) [坏](javascript:alert(1))', String)); \
           document.getElementById('turns').append(box); const link = box.querySelector('a'); \
           return { html: box.innerHTML, rows: box.querySelectorAll('tbody tr').length, items: box.querySelectorAll('li').length, pictures: box.querySelectorAll('img').length, \
             bold: box.querySelectorAll('b').length, rel: link.rel, target: link.target, mark: getComputedStyle(box.querySelectorAll('a')[1] ?? link, '::after').content, links: box.querySelectorAll('a').length }; })()",
    );
    assert_eq!((&drawn["rows"], &drawn["items"]), (&json!(1), &json!(2)), "{drawn}");
    assert_eq!((&drawn["pictures"], &drawn["bold"]), (&json!(0), &json!(0)), "{drawn}");
    assert_eq!(drawn["rel"], "noopener noreferrer");
    assert_eq!(drawn["target"], "_blank");
    assert!(drawn["mark"].as_str().unwrap().contains('↗'), "{drawn}");
    assert!(!drawn["html"].as_str().unwrap().contains("href=\"javascript"), "{drawn}");
    let requests = browser.value(
        "performance.getEntriesByType('resource').filter((entry) => entry.name.includes('a.example')).length",
    );
    assert_eq!(requests, 0, "nothing is fetched because a text names it");
}

#[test]
fn what_is_worth_asking_next_is_at_most_three_questions_one_press_away() {
    let Some(mut desk) = Desk::open() else { return };
    for question in ["LB-300S 速度多少？", "保修多久？", "做饮料的客户适合发哪些案例？"]
    {
        desk.ask(question);
        let offered = desk.browser.value("[...document.querySelectorAll('.turn:last-child .suggestion')].map((button) => button.textContent)");
        let offered: Vec<String> = serde_json::from_value(offered).unwrap();
        assert!((1..=3).contains(&offered.len()), "{question}: {offered:?}");
        for next in &offered {
            let reply = desk.server.chat(next, "internal");
            assert_eq!(reply["refused"], false, "{next} was offered behind {question} and has no answer");
        }
    }
    let next = desk.browser.text("document.querySelector('.turn:last-child .suggestion').textContent");
    desk.browser.click(".turn:last-child .suggestion");
    desk.browser.wait_for(&format!(
        "document.querySelector('.turn:last-child .question').textContent === {}",
        json!(next)
    ));
    desk.browser.wait_for("document.getElementById('stop').hidden");
    desk.browser.expect_no_complaints();
}

#[test]
fn a_greeting_is_answered_in_its_own_words_and_not_as_a_question_without_an_answer() {
    let Some(mut desk) = Desk::open() else { return };
    desk.ask("你好，在吗");
    let browser = &mut desk.browser;
    assert!(browser.text("document.querySelector('.turn .answer').innerText").contains("问我产品"));
    assert_eq!(browser.value("document.querySelectorAll('.refusal-title, .refusal .note').length"), 0);
    browser.expect_no_complaints();
}

#[test]
fn the_keyboard_reaches_everything_in_the_order_of_the_page() {
    let Some(mut desk) = Desk::open() else { return };
    let browser = &mut desk.browser;
    browser.type_text("第一行");
    browser.press_with("Enter", 8);
    browser.type_text("第二行");
    assert_eq!(
        browser.text("document.getElementById('message').value"),
        "第一行\n第二行",
        "Shift and Enter begin a line"
    );
    assert_eq!(browser.value("document.querySelectorAll('.turn').length"), 0);
    browser.value("document.getElementById('message').value = ''; document.activeElement.blur()");
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    let first = "[...document.querySelectorAll('a[href], button, input, textarea, select')].find((node) => node.checkVisibility())";
    assert_eq!(browser.text(&format!("{first}.className")), "skip", "the first stop leads past everything");
    browser.value("document.querySelector('.skip').focus()");
    // Every stop lies behind the one before it, down to the message box.
    let mut last = browser.value("(window.before = document.activeElement, true)");
    let mut n_stops = 1;
    while browser.value("document.activeElement.id") != "send" {
        browser.press("Tab");
        last = browser.value(
            "(() => { const now = document.activeElement; const isBehind = Boolean(before.compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING); \
               const box = now.getBoundingClientRect(); window.before = now; return isBehind && box.width > 0 && box.height > 0; })()",
        );
        n_stops += 1;
        assert_eq!(last, true, "stop {n_stops}: {}", browser.text("document.activeElement.outerHTML"));
        assert!(n_stops < 80, "the message box is not reached");
    }
    assert_eq!(last, true);
    assert!(n_stops > 15, "{n_stops}");
    browser.press_with("Tab", 8);
    assert_eq!(browser.text("document.activeElement.id"), "message");
    browser.expect_no_complaints();
}

#[test]
fn on_a_phone_a_source_is_a_sheet_and_nothing_lies_under_its_edges() {
    let Some(mut desk) = Desk::open() else { return };
    let phone = json!({"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": true});
    desk.browser.send("Emulation.setDeviceMetricsOverride", &phone);
    // A notch above, a bar to swipe on below.
    let insets = json!({"insets": {"top": 47, "bottom": 34}});
    desk.browser.send("Emulation.setSafeAreaInsetsOverride", &insets);
    desk.ask("LB-300S 速度多少？");
    let browser = &mut desk.browser;
    let padding =
        |selector: &str| format!("getComputedStyle(document.querySelector('{selector}')).paddingBottom");
    assert_eq!(browser.text(&padding(".composer")), "34px");
    browser.value("document.querySelector('.answer .chip').click()");
    browser.wait_for("document.querySelector('.source mark')");
    let sheet = browser.value(
        "(() => { const sheet = document.querySelector('.source'); const box = sheet.getBoundingClientRect(); \
           return [sheet.matches(':modal'), box.left, box.right, box.bottom, box.top > 60]; })()",
    );
    assert_eq!(sheet, json!([true, 0, 390, 844, true]));
    assert_eq!(browser.text(&padding(".source-body")), "66px");
    // Beside it means away with it.
    browser.click_at(&json!(195), &json!(20));
    browser.wait_for("!document.getElementById('source').open");
    browser.expect_no_complaints();
}
