//! A real browser for the tests of the page: Chromium without a window, driven over its debugging pipe.
//!
//! Commands and events are JSON messages that end in a zero byte, on two pipes that Chromium expects as descriptors
//! 3 and 4; a shell puts them there. No driver and no port are needed.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{PATIENCE, folder};

/// How often a click that missed is tried again.
const N_CLICKS: usize = 3;
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(30);

/// The first Chromium of the path, under any of its names.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

/// A browser with one tab; killed when dropped.
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: Option<String>,
    last_id: u64,
    /// The scripts' worlds of the page and its frames, as `(id, frame)`, in the order in which they came.
    worlds: Vec<(u64, String)>,
    /// What the page has thrown, logged as an error, or been forbidden by its policy.
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// `None`, and a line that says so, where there is no Chromium.
    pub fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("no Chromium on the path; the page is not tested");
            return None;
        };
        let profile = folder();
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1"])
            .arg(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-extensions", "--disable-background-networking"])
            .args(["--remote-debugging-pipe", "--window-size=1200,900", "--accept-lang=zh-CN"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a shell can be started");
        let commands = child.stdin.take().expect("it is piped");
        let mut replies = BufReader::new(child.stdout.take().expect("it is piped"));
        let (found, messages) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while replies.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let parsed = serde_json::from_slice(&message).expect("Chromium sends JSON");
                message.clear();
                if found.send(parsed).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            commands,
            messages,
            session: None,
            last_id: 0,
            worlds: Vec::new(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.send("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.send("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.send(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Sends a command and gives its result.
    #[track_caller]
    pub fn send(&mut self, method: &str, parameters: &Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).expect("Chromium listens");
        loop {
            let reply = self.messages.recv_timeout(PATIENCE).expect("Chromium answers");
            if reply["id"] == id {
                assert!(reply["error"].is_null(), "{method}: {}", reply["error"]);
                return reply["result"].clone();
            }
            self.note(&reply);
        }
    }

    fn note(&mut self, event: &Value) {
        let details = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.executionContextCreated") => {
                let world = &details["context"];
                if world["auxData"]["isDefault"] == true {
                    let frame = world["auxData"]["frameId"].as_str().expect("a world has a frame");
                    self.worlds.push((world["id"].as_u64().expect("a world has an id"), frame.to_owned()));
                }
            }
            Some("Runtime.executionContextsCleared") => self.worlds.clear(),
            Some("Runtime.executionContextDestroyed") => {
                self.worlds.retain(|(id, _)| details["executionContextId"] != *id);
            }
            Some("Runtime.exceptionThrown") => self.complaints.push(details["exceptionDetails"].to_string()),
            Some("Log.entryAdded") => {
                let entry = &details["entry"];
                // A refused or failed request is the test's own doing.
                if entry["level"] == "error" && entry["source"] != "network" {
                    self.complaints.push(entry["text"].to_string());
                }
            }
            _ => {}
        }
    }

    /// The value of an expression of the page; a promise is waited for.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        self.evaluate(expression, None)
    }

    /// As [`Browser::value`], inside the page's first frame, which must be of the same site; `None` without one.
    #[track_caller]
    pub fn value_in_frame(&mut self, expression: &str) -> Option<Value> {
        let tree = self.send("Page.getFrameTree", &json!({}));
        let frame = tree["frameTree"]["childFrames"][0]["frame"]["id"].as_str()?.to_owned();
        let (world, _) = self.worlds.iter().rev().find(|(_, of)| *of == frame)?;
        let world = *world;
        Some(self.evaluate(expression, Some(world)))
    }

    #[track_caller]
    fn evaluate(&mut self, expression: &str, world: Option<u64>) -> Value {
        let mut parameters = json!({"expression": expression, "awaitPromise": true, "returnByValue": true,
                                    "userGesture": true});
        if let Some(world) = world {
            parameters["contextId"] = json!(world);
        }
        let result = self.send("Runtime.evaluate", &parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    #[track_caller]
    pub fn text(&mut self, expression: &str) -> String {
        let value = self.value(expression);
        value.as_str().unwrap_or_else(|| panic!("{expression} is no text: {value}")).to_owned()
    }

    /// Looks again and again until the expression is true.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            if Instant::now() > deadline {
                let page = self.text("document.body.innerText");
                panic!(
                    "waited in vain for {expression}; complaints: {:?}; the page:\n{page}",
                    self.complaints
                );
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
    }

    /// Runs a script in every page that is opened from now on, before its own.
    pub fn before_every_page(&mut self, script: &str) {
        self.send("Page.addScriptToEvaluateOnNewDocument", &json!({"source": script}));
    }

    /// A picture of the window, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let picture = self.send("Page.captureScreenshot", &json!({"format": "png"}));
        let text = picture["data"].as_str().expect("a picture has data");
        base64::engine::general_purpose::STANDARD.decode(text).expect("it is base64")
    }

    /// What the page has complained of so far; forgotten from then on.
    pub fn take_complaints(&mut self) -> Vec<String> {
        self.value("1");
        std::mem::take(&mut self.complaints)
    }

    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.send("Page.navigate", &json!({"url": url}));
        self.wait_for("document.readyState === 'complete'");
    }

    /// Presses and releases a key, by its name.
    pub fn press(&mut self, key: &str) {
        self.press_with(key, 0);
    }

    /// As [`Browser::press`], with keys held down: 8 is Shift.
    pub fn press_with(&mut self, key: &str, held: u8) {
        let code = match key {
            "Enter" => 13,
            "Escape" => 27,
            "ArrowUp" => 38,
            "ArrowDown" => 40,
            "Tab" => 9,
            other => panic!("{other} has no number here"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        let mut event = json!({"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text, "modifiers": held});
        self.send("Input.dispatchKeyEvent", &event);
        event["type"] = json!("keyUp");
        self.send("Input.dispatchKeyEvent", &event);
    }

    /// Types into what has the focus.
    pub fn type_text(&mut self, text: &str) {
        self.send("Input.insertText", &json!({"text": text}));
    }

    /// Presses the left button at a place of the window, in CSS pixels.
    pub fn click_at(&mut self, x: &Value, y: &Value) {
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1});
            self.send("Input.dispatchMouseEvent", &event);
        }
    }

    /// Clicks the first element that the selector finds, as a mouse does. On a busy machine a page may move or draw
    /// itself anew between the look and the press, so whether the click arrived is asked, and a miss is tried again.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        for _ in 0..N_CLICKS {
            // A page that glides, or draws itself anew, must have come to rest under the mouse.
            let place = self.value(&format!(
                "(async () => {{ let last = ''; let place = null; for (let tries = 0, still = 0; tries < 300 && still < 3; tries += 1) {{ \
                   const node = document.querySelector({selector:?}); node.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
                   const box = node.getBoundingClientRect(); place = [box.x + box.width / 2, box.y + box.height / 2]; \
                   const hit = document.elementFromPoint(...place); \
                   still = String(place) === last && hit && (node.contains(hit) || hit.contains(node)) ? still + 1 : 0; \
                   last = String(place); await new Promise(requestAnimationFrame); }} \
                 window.clickMissed = true; \
                 window.addEventListener('click', ({{ target }}) => {{ \
                   const node = document.querySelector({selector:?}); window.clickMissed = !(node?.contains(target) || target.contains(node)); \
                 }}, {{ capture: true, once: true }}); \
                 return place; }})()"
            ));
            self.click_at(&place[0], &place[1]);
            // A click that led to another page has arrived.
            if self.value("Boolean(window.clickMissed)") != true {
                return;
            }
        }
        panic!("{selector} could not be clicked; complaints: {:?}", self.complaints);
    }

    /// Cuts the network or lets it through again.
    pub fn set_offline(&mut self, offline: bool) {
        let conditions =
            json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.send("Network.emulateNetworkConditions", &conditions);
    }

    /// Nothing was thrown, logged as an error, or stopped by the content security policy.
    #[track_caller]
    pub fn expect_no_complaints(&mut self) {
        // Lets what was sent before this arrive.
        self.value("1");
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
