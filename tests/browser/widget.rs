//! The widget on pages of other origins: isolated from them, dressed by them, and telling them nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::chromium::Browser;
use super::foreign::Site;
use crate::support::{Server, own_sample_data, repository, run_on, sample_knowledge};

/// All that a page's styles can do against the widget.
const HOSTILE: &str = "<style>* { all: unset !important; display: none !important; color: red !important; \
                       position: static !important } html, body { display: block !important }</style>";

/// Notes what the widget tells its page.
const LISTEN: &str = "(() => { window.told = []; for (const name of ['ready', 'open', 'close', 'question', 'answer', \
                      'error', 'token']) Flightdeck.on(name, (detail) => { told.push([name, detail]); }); })()";

/// A page that shows the widget with these attributes.
fn page_with(server: &Server, attributes: &str) -> String {
    let script = server.url("/widget.js");
    format!("<!doctype html><title>CRM</title>{HOSTILE}<body><script src=\"{script}\" {attributes}></script>")
}

/// Opens the launcher as a person does, in the corner of a side.
fn press_launcher(browser: &mut Browser, is_left: bool) {
    let x = if is_left { "48" } else { "innerWidth - 48" };
    let corner = browser.value(&format!("[{x}, innerHeight - 48]"));
    browser.click_at(&corner[0], &corner[1]);
}

/// Looks inside the frame again and again until the expression is true there.
#[track_caller]
fn wait_inside(browser: &mut Browser, expression: &str) {
    crate::support::wait_for(expression, || {
        let value = browser.value_in_frame(&format!(
            "(() => {{ try {{ return Boolean({expression}); }} catch {{ return false; }} }})()"
        ));
        (value == Some(json!(true))).then_some(())
    });
}

#[track_caller]
fn inside(browser: &mut Browser, expression: &str) -> Value {
    browser.value_in_frame(expression).expect("there is a frame")
}

#[test]
fn the_widget_works_on_a_foreign_page_whose_styles_would_hide_it() {
    let Some(mut browser) = Browser::start() else { return };
    let (data, mut site) = (own_sample_data(), Site::reserve());
    let server =
        Server::start_with(&sample_knowledge(), data.path(), &[("FLIGHTDECK_WIDGET_ORIGINS", &site.origin)]);
    let page = page_with(&server, "data-title='销售助手'");
    site.serve(move |_| Some(page.clone()));
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    let loaded = browser.value(&format!(
        "performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => name.startsWith('{}'))",
        server.url("")
    ));
    assert_eq!(loaded, json!([server.url("/widget.js")]), "nothing else is fetched before it is opened");
    press_launcher(&mut browser, false);
    browser.wait_for("told.some(([name]) => name === 'open')");
    browser.value("Flightdeck.ask('LB-300S 速度多少？')");
    browser.wait_for("told.some(([name]) => name === 'answer')");
    assert!(!browser.value("told").to_string().contains("瓶/分钟"), "what was said stays inside");
    let seen = inside(
        &mut browser,
        "[document.querySelector('.answer').textContent, getComputedStyle(document.body).color]",
    );
    assert!(seen[0].as_str().unwrap().contains("300"), "{seen}");
    assert_ne!(seen[1], "rgb(255, 0, 0)", "the page's styles stop at the frame");
    assert_eq!(
        browser.value("document.querySelectorAll('iframe, button').length"),
        0,
        "nothing of it is in the page"
    );
    press_launcher(&mut browser, false);
    browser.wait_for("told.some(([name]) => name === 'close')");
    browser.expect_no_complaints();
}

#[test]
fn the_launcher_is_at_most_15_kilobytes_compressed() {
    let Some(mut browser) = Browser::start() else { return };
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    browser.open(&server.url("/"));
    let packed = browser.value(
        "fetch('widget.js').then((reply) => new Response(reply.body.pipeThrough(new CompressionStream('gzip'))).arrayBuffer()) \
         .then((bytes) => bytes.byteLength)",
    );
    let sent = browser.value(
        "performance.getEntriesByType('resource').find((entry) => entry.name.endsWith('widget.js')).encodedBodySize",
    );
    println!("widget.js: {packed} bytes under gzip, {sent} as sent");
    for bytes in [packed, sent] {
        assert!(bytes.as_u64().is_some_and(|bytes| (1000..15 * 1024).contains(&bytes)), "{bytes}");
    }
}

#[test]
fn title_colour_position_language_and_questions_are_the_pages() {
    let Some(mut browser) = Browser::start() else { return };
    let (data, mut site) = (own_sample_data(), Site::reserve());
    let server =
        Server::start_with(&sample_knowledge(), data.path(), &[("FLIGHTDECK_WIDGET_ORIGINS", &site.origin)]);
    let attributes = "data-title='Deal desk' data-color='#ffd84a' data-position=left data-language=en \
                      data-starters='[\"How long is the warranty?\", \"What about <b>spare parts</b>?\"]'";
    let page = page_with(&server, attributes);
    site.serve(move |_| Some(page.clone()));
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    let tree = browser.send("Accessibility.getFullAXTree", &json!({}));
    let names = tree["nodes"].to_string();
    assert!(names.contains("Open the sales assistant: Deal desk"), "{names}");
    press_launcher(&mut browser, true);
    browser.wait_for("told.some(([name]) => name === 'ready')");
    wait_inside(&mut browser, "document.querySelectorAll('#starters li').length === 2");
    let seen = inside(
        &mut browser,
        "[document.querySelector('.brand-name').textContent, document.documentElement.lang, \
          getComputedStyle(document.querySelector('.bar')).backgroundColor, getComputedStyle(document.querySelector('.brand-name')).color, \
          document.querySelector('#starters').innerText, document.querySelectorAll('#starters b').length]",
    );
    assert_eq!(seen[0], "Deal desk");
    assert_eq!(
        (&seen[1], &seen[2], &seen[3]),
        (&json!("en"), &json!("rgb(255, 216, 74)"), &json!("rgb(0, 0, 0)"))
    );
    assert!(seen[4].as_str().unwrap().contains("How long is the warranty?") && seen[5] == 0, "{seen}");
    browser.expect_no_complaints();
}

#[test]
fn the_example_page_of_the_documentation_works() {
    let Some(mut browser) = Browser::start() else { return };
    let (data, mut site) = (own_sample_data(), Site::reserve());
    let server =
        Server::start_with(&sample_knowledge(), data.path(), &[("FLIGHTDECK_WIDGET_ORIGINS", &site.origin)]);
    let example = std::fs::read_to_string(repository().join("docs/widget/index.html")).unwrap();
    assert!(example.contains("http://127.0.0.1:8080/widget.js"));
    let page = example.replace("http://127.0.0.1:8080", &server.url(""));
    site.serve(move |path| (path == "/").then(|| page.clone()));
    browser.open(&site.origin);
    browser.click("#ask");
    browser.wait_for("/answer/.test(document.getElementById('events').textContent)");
    wait_inside(&mut browser, "document.querySelectorAll('.turn .card').length > 0");
    let summary = inside(&mut browser, "document.getElementById('customer-summary').textContent");
    assert!(summary.as_str().unwrap().contains("食品饮料"), "the page says who the customer is: {summary}");
    browser.click("#customer");
    wait_inside(&mut browser, "/烘焙/.test(document.getElementById('customer-summary').textContent)");
    browser.click("#close");
    browser.wait_for("/close/.test(document.getElementById('events').textContent)");
    browser.click("#open");
    let events = browser.text("document.getElementById('events').textContent");
    for name in ["ready", "open", "question", "answer", "close"] {
        assert!(events.contains(name), "{name}: {events}");
    }
    assert!(
        !events.contains("华睿") && !events.contains("[1]"),
        "events hold nothing of what was said: {events}"
    );
    browser.take_complaints();
}

/// Makes a key; its id and its secret.
fn make_key(data: &Path, arguments: &[&str]) -> (String, String) {
    let made = run_on(&sample_knowledge(), data, &[&["keys", "create"], arguments].concat()).expect_status(0);
    let id = made.stderr.split_whitespace().nth(1).expect("the note begins with `key ID`").to_owned();
    (id, made.stdout.trim().to_owned())
}

/// The examples of the documentation that can run here, each as what makes a token for a rep.
fn token_makers(id: &str, secret: &str) -> Vec<impl Fn(&str, &str) -> String + Send + Sync + use<>> {
    let makers = [("python3", "docs/widget/token.py"), ("node", "docs/widget/token.mjs")];
    let there = makers.into_iter().filter(|(program, _)| {
        let found =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    });
    there
        .map(|(program, script)| {
            let (id, secret) = (id.to_owned(), secret.to_owned());
            move |rep: &str, name: &str| {
                let output = Command::new(program)
                    .arg(repository().join(script))
                    .args([rep, name])
                    .env("FLIGHTDECK_KEY_ID", &id)
                    .env("FLIGHTDECK_SIGNING_SECRET", &secret)
                    .output()
                    .expect("it was found above");
                assert!(output.status.success(), "{output:?}");
                String::from_utf8(output.stdout).unwrap().trim().to_owned()
            }
        })
        .collect()
}

#[test]
fn a_rep_is_whom_the_pages_server_signs_for_and_sees_only_their_own() {
    let Some(mut browser) = Browser::start() else { return };
    let (data, mut site) = (own_sample_data(), Site::reserve());
    let (_, admin) = make_key(data.path(), &["--name", "管理员", "--role", "admin"]);
    let crm = ["--name", "CRM", "--role", "rep", "--signs", "--origin", &site.origin];
    let (id, secret) = make_key(data.path(), &crm);
    let server = Server::start(&sample_knowledge(), data.path());

    // Both examples make what the server takes, and takes once.
    let makers = token_makers(&id, &secret);
    for maker in &makers {
        let body = json!({"token": maker("u-9", "例子")});
        let reply = server.ask("/api/v1/sign-in", &body);
        assert_eq!(reply["rep"], json!({"id": "u-9", "name": "例子"}));
        let again = server.post("/api/v1/sign-in", &body);
        assert_eq!(again.status(), 401);
        assert!(again.text().unwrap().contains("used before"));
    }
    let Some(maker) = makers.into_iter().next() else {
        println!("neither Python nor Node; signing in is not tested in the page");
        return;
    };
    let page = page_with(&server, "data-token-url=/token");
    let rep = std::sync::Arc::new(std::sync::Mutex::new(("u-7", "陈立航")));
    let looking = rep.clone();
    site.serve(move |path| {
        let (rep, name) = *looking.lock().unwrap();
        Some(if path == "/token" { maker(rep, name) } else { page.clone() })
    });
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    browser.value("Flightdeck.ask('LB-300S 速度多少？')");
    browser.wait_for("told.some(([name]) => name === 'answer')");
    // The hour is over: the page's server is asked for another token, and the rep notices nothing.
    inside(&mut browser, "sessionStorage.setItem('flightdeck.key', 'fdrep_over')");
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    browser.value("Flightdeck.ask('保修多久？')");
    browser.wait_for("told.some(([name]) => name === 'answer')");
    assert_eq!(inside(&mut browser, "document.querySelectorAll('.turn').length"), 2, "the same rep goes on");
    inside(&mut browser, "sessionStorage.setItem('flightdeck.key', 'fdrep_over')");
    browser.value("told.length = 0");
    browser.value("Flightdeck.ask('交期多久？')");
    browser.wait_for("told.some(([name]) => name === 'answer')");
    assert!(browser.value("told").to_string().contains("token"));

    let conversations = |key: &str| -> Value {
        let request = server.client().get(server.url("/api/v1/conversations")).bearer_auth(key);
        request.send().unwrap().json().unwrap()
    };
    let all = conversations(&admin);
    assert_eq!(all["conversations"].as_array().unwrap().len(), 1, "{all}");

    // Another rep in the same tab finds an empty desk.
    *rep.lock().unwrap() = ("u-8", "周敏");
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    browser.value("Flightdeck.open()");
    wait_inside(&mut browser, "!document.getElementById('empty').hidden");
    inside(&mut browser, "document.getElementById('open-history').click()");
    wait_inside(
        &mut browser,
        "/还没有对话/.test(document.querySelector('.drawer [role=status]').textContent)",
    );
    browser.value("Flightdeck.ask('LB-300S 精度多少？')");
    browser.wait_for("told.some(([name]) => name === 'answer')");
    assert_eq!(conversations(&admin)["conversations"].as_array().unwrap().len(), 2);
    browser.expect_no_complaints();
}

#[test]
fn only_the_pages_that_a_key_names_can_show_it_and_call_with_it() {
    let Some(mut browser) = Browser::start() else { return };
    let data = own_sample_data();
    let (mut named, mut usual, mut stranger) = (Site::reserve(), Site::reserve(), Site::reserve());
    let bot = ["--name", "官网", "--role", "bot", "--origin", &named.origin];
    let (_, key) = make_key(data.path(), &bot);
    let variables = [("FLIGHTDECK_WIDGET_ORIGINS", usual.origin.as_str())];
    let server = Server::start_with(&sample_knowledge(), data.path(), &variables);
    for site in [&mut named, &mut usual, &mut stranger] {
        let page = page_with(&server, &format!("data-key={key}"));
        site.serve(move |_| Some(page.clone()));
    }
    let ask = |browser: &mut Browser, site: &Site| {
        browser.open(&site.origin);
        browser.wait_for("window.Flightdeck");
        browser.value(LISTEN);
        browser.value("Flightdeck.ask('LB-300S 速度多少？')");
    };
    // What the page itself may do with the key: ask, but not read what others have said.
    let call = |path: &str, body: &str| {
        format!(
            "fetch('{}', {{ method: '{}', headers: {{ authorization: 'Bearer {key}', 'content-type': 'application/json' }}, {} }}) \
             .then((reply) => reply.status, () => 'unreadable')",
            server.url(path),
            if body.is_empty() { "GET" } else { "POST" },
            if body.is_empty() { String::new() } else { format!("body: '{body}'") },
        )
    };
    let search = call("/api/v1/search", "{\"query\":\"速度\"}");
    let others = call("/api/v1/conversations", "");

    ask(&mut browser, &named);
    browser.wait_for("told.some(([name]) => name === 'answer')");
    let offered = inside(
        &mut browser,
        "[document.querySelector('.segmented').hidden, document.getElementById('open-history').hidden, \
        [...document.querySelectorAll('.toolbar button')].map((button) => button.textContent).join()]",
    );
    assert_eq!(
        (&offered[0], &offered[1]),
        (&json!(true), &json!(true)),
        "a customer is offered nothing of a rep's"
    );
    assert!(!offered[2].as_str().unwrap().contains("发送给客户"), "{offered}");
    assert_eq!(browser.value(&search), 200);
    assert_eq!(browser.value(&others), 403);
    browser.take_complaints();

    // May show the widget by the settings, but not with this key.
    ask(&mut browser, &usual);
    browser.wait_for("told.some(([name]) => name === 'error')");
    wait_inside(&mut browser, "/不在密钥允许的来源里/.test(document.body.innerText)");
    assert_eq!(browser.value(&search), "unreadable");
    browser.take_complaints();

    browser.open(&stranger.origin);
    browser.wait_for("window.Flightdeck");
    browser.value(LISTEN);
    browser.value("Flightdeck.open()");
    crate::support::wait_for("the browser to refuse the frame", || {
        let complaints = browser.take_complaints();
        complaints.iter().any(|complaint| complaint.contains("frame-ancestors")).then_some(())
    });
    assert!(!browser.value("told").to_string().contains("ready"));
    assert_eq!(browser.value(&search), "unreadable");
}

#[test]
fn on_a_phone_the_widget_is_a_sheet_with_a_way_out() {
    let Some(mut browser) = Browser::start() else { return };
    let (data, mut site) = (own_sample_data(), Site::reserve());
    let server =
        Server::start_with(&sample_knowledge(), data.path(), &[("FLIGHTDECK_WIDGET_ORIGINS", &site.origin)]);
    let script = server.url("/widget.js");
    let page = format!(
        "<!doctype html><meta name=viewport content='width=device-width'><title>CRM</title><body><script src='{script}'></script>"
    );
    site.serve(move |_| Some(page.clone()));
    let phone = json!({"width": 390, "height": 780, "deviceScaleFactor": 2, "mobile": true});
    browser.send("Emulation.setDeviceMetricsOverride", &phone);
    browser.open(&site.origin);
    browser.wait_for("window.Flightdeck && innerWidth === 390");
    browser.value(LISTEN);
    press_launcher(&mut browser, false);
    browser.wait_for("told.some(([name]) => name === 'ready')");
    let seen = inside(&mut browser, "[innerWidth, innerHeight, document.documentElement.scrollWidth]");
    assert_eq!((&seen[0], &seen[2]), (&json!(390), &json!(390)), "from side to side, and nothing is wider");
    assert!(seen[1].as_u64().unwrap() > 740, "{seen}");
    inside(&mut browser, "document.getElementById('close').click()");
    browser.wait_for("told.some(([name]) => name === 'close')");
    press_launcher(&mut browser, false);
    browser.wait_for("told.filter(([name]) => name === 'open').length === 2");
    browser.expect_no_complaints();
}
