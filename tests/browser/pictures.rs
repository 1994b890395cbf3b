//! Pictures of the page and the widget, on a desktop and a phone, light and dark, in Chinese and English:
//! `cargo test --release -p flightdeck-cli --test end_to_end pictures -- --nocapture` says where they lie.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Desk;
use super::chromium::Browser;
use super::foreign::Site;
use crate::support::wait_for;

const DESKTOP: (&str, u32, u32) = ("desktop", 1280, 860);
const PHONE: (&str, u32, u32) = ("phone", 390, 844);

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
    fs::create_dir_all(&folder).expect("the target folder is writable");
    folder
}

/// Takes a picture in each size and theme.
fn take(browser: &mut Browser, name: &str) {
    for (device, width, height) in [DESKTOP, PHONE] {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": device == "phone"});
        browser.send("Emulation.setDeviceMetricsOverride", &metrics);
        browser.wait_for(&format!("innerWidth === {width}"));
        for theme in ["light", "dark"] {
            let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme},
                                            {"name": "prefers-reduced-motion", "value": "reduce"}]});
            browser.send("Emulation.setEmulatedMedia", &media);
            browser.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");
            let picture = browser.picture();
            assert!(
                picture.starts_with(b"\x89PNG") && picture.len() > 8000,
                "{name}: {} bytes",
                picture.len()
            );
            fs::write(folder().join(format!("{name}-{device}-{theme}.png")), picture)
                .expect("it can be written");
        }
    }
}

#[test]
fn pictures_of_the_page_and_the_widget() {
    let mut site = Site::reserve();
    let Some(mut desk) = Desk::open_with(&[("FLIGHTDECK_WIDGET_ORIGINS", &site.origin)]) else { return };
    let questions =
        [("zh", "LB-300S 速度多少？"), ("en", "What changeover time should I expect with QuickChange?")];
    for (language, question) in questions {
        if language == "en" {
            desk.browser.click("#language");
            desk.browser.click("#new");
        }
        desk.ask(question);
        let browser = &mut desk.browser;
        browser.value("document.activeElement.blur()");
        take(browser, &format!("page-{language}"));
        assert!(
            browser.value("document.documentElement.scrollWidth <= innerWidth") == true,
            "nothing is cut off"
        );
    }

    let script = desk.server.url("/widget.js");
    site.serve(move |path| {
        let language = path.trim_start_matches('/');
        let title = if language == "en" { "Deal desk" } else { "成单助手" };
        Some(format!(
            "<!doctype html><meta name=viewport content='width=device-width'><title>CRM</title><style>body {{ margin: 40px; font: \
             16px/1.8 sans-serif; background: Canvas; color: CanvasText; color-scheme: light dark }}</style><h1>CRM</h1><p>华睿饮料 · 方案报价</p>\
             <script src='{script}' data-language={language} data-title='{title}' data-color='#1f4fa3'></script>"
        ))
    });
    let browser = &mut desk.browser;
    for (language, question) in questions {
        let (_, width, height) = DESKTOP;
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.send("Emulation.setDeviceMetricsOverride", &metrics);
        browser.open(&format!("{}/{language}", site.origin));
        browser.wait_for("window.Flightdeck");
        browser.value("Flightdeck.on('answer', () => { window.answered = true; })");
        browser.value(&format!("Flightdeck.ask({question:?})"));
        browser.wait_for("window.answered");
        wait_for("the answer to be drawn", || {
            let drawn = browser.value_in_frame("document.querySelectorAll('.card').length > 0");
            (drawn == Some(json!(true))).then_some(())
        });
        take(browser, &format!("widget-{language}"));
    }
    let n_pictures = fs::read_dir(folder()).expect("it is there").count();
    assert!(n_pictures >= 16, "{n_pictures}");
    println!("{n_pictures} pictures in {}", folder().display());
}
