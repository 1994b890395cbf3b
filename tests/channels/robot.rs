//! WeCom's smart robot over a line of this side's own: heard, answered once in the stream of each message, and after
//! a restart in the chat; and a line that another program has taken is left alone.

use serde_json::{Value, json};

use super::line::Line;
use super::start;
use crate::support::{Server, folder, run_on, small_knowledge, wait_for, write};

const QUESTION: &str = "K7 整机保修多久？";
const FIGURE: &str = "24";

struct Setting {
    line: Line,
    knowledge: tempfile::TempDir,
    data: tempfile::TempDir,
}

impl Setting {
    fn with_secret(secret: &str) -> Self {
        let (line, knowledge, data) = (Line::start(), small_knowledge(), folder());
        run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
        let settings = format!(
            "outward.private_hosts = \"127.0.0.1\"\n[[channels]]\nid = \"line\"\nplatform = \"wecom-robot\"\n\
             transport = \"connection\"\nbot_id = \"B\"\nsecret = \"{secret}\"\nbase_url = \"{}\"\n",
            line.address
        );
        write(data.path(), "flightdeck.toml", settings);
        Self { line, knowledge, data }
    }

    fn server(&self) -> Server {
        start(self.knowledge.path(), self.data.path(), &self.data.path().join("flightdeck.toml"))
    }

    /// Waits for `n` readers to have the answer, and sees that nobody got two.
    #[track_caller]
    fn expect_one_each(&self, n: usize) {
        let answers = || {
            let delivered = self.line.delivered();
            let mut to: Vec<_> =
                delivered.into_iter().filter(|(_, text)| text.contains(FIGURE)).map(|(to, _)| to).collect();
            to.sort();
            to
        };
        wait_for(&format!("{n} answers"), || (answers().len() >= n).then_some(()));
        let mut distinct = answers();
        distinct.dedup();
        assert_eq!((answers().len(), distinct.len()), (n, n), "{:?}", answers());
    }
}

fn kinds(server: &Server, kind: &str) -> usize {
    let events: Value = server.get("/api/v1/channels/line/events").json().expect("it is JSON");
    events["events"].as_array().expect("a list").iter().filter(|event| event["kind"] == kind).count()
}

#[test]
fn a_robots_line_is_heard_answered_once_in_streams_and_connected_anew() {
    let setting = Setting::with_secret("s");
    let (line, server) = (&setting.line, setting.server());
    for n in 0..5 {
        line.say(&format!("c{n}"), &format!("m{n}"), QUESTION);
    }
    setting.expect_one_each(5);
    assert!(line.sent().is_empty(), "each was answered under its own id: {:?}", line.sent());
    assert_eq!(line.streams()["m3"].to, "c3");
    // The same message again, under another id.
    line.say("c3", "m3", QUESTION);
    line.judge("f1", "m3");
    wait_for("the judgement", || (kinds(&server, "noted") > 0).then_some(()));
    line.break_off();
    line.say("c5", "m5", QUESTION);
    setting.expect_one_each(6);
    assert!(kinds(&server, "connected") >= 2 && kinds(&server, "disconnected") >= 1);

    // The server is killed with messages taken and not answered; their ids end with the line.
    line.be_silent();
    for n in 6..11 {
        line.say(&format!("c{n}"), &format!("m{n}"), QUESTION);
    }
    wait_for("answers under way", || (line.n_held() >= 5).then_some(()));
    drop(server);
    line.go_on();
    let server = setting.server();
    setting.expect_one_each(11);
    let mut told: Vec<_> = line.sent().into_iter().map(|(to, _)| to).collect();
    told.sort();
    assert_eq!(told, ["c10", "c6", "c7", "c8", "c9"], "in the chat, as the line is another one");
    line.say("c6", "m6", QUESTION);
    line.say("c11", "m11", QUESTION);
    setting.expect_one_each(12);
    assert!(line.streams().values().all(|shown| shown.is_finished), "{:?}", line.streams());
    assert_eq!(kinds(&server, "failed"), 0);
}

#[test]
fn a_person_writes_over_the_line_and_a_person_who_has_come_silences_the_robot() {
    let setting = Setting::with_secret("s");
    let (line, server) = (&setting.line, setting.server());
    line.say("c0", "m0", QUESTION);
    setting.expect_one_each(1);
    let left = json!({"conversation": "c0", "person": true});
    assert_eq!(server.post("/api/v1/channels/line/conversations", &left).status(), 200);
    line.say("c0", "m1", QUESTION);
    wait_for("the draft", || {
        let drafts: Value = server.get("/api/v1/channels/line/drafts").json().expect("it is JSON");
        drafts["drafts"].as_array().is_some_and(|drafts| !drafts.is_empty()).then_some(())
    });
    let message = json!({"conversation": "c0", "text": "我来回复您。"});
    assert_eq!(server.post("/api/v1/channels/line/messages", &message).status(), 202);
    wait_for("the person's words", || (!line.sent().is_empty()).then_some(()));
    assert_eq!(line.sent(), [("c0".to_owned(), "我来回复您。".to_owned())]);
    assert!(!line.streams().contains_key("m1"), "nothing was shown for what the robot does not answer");
}

#[test]
fn a_line_that_another_program_has_taken_is_left_alone_until_somebody_asks() {
    let setting = Setting::with_secret("s");
    let (line, server) = (&setting.line, setting.server());
    line.say("c0", "m0", QUESTION);
    setting.expect_one_each(1);
    line.displace();
    wait_for("the event", || (kinds(&server, "displaced") == 1).then_some(()));
    assert_eq!(line.n_connections(), 1);
    let tested: Value = server.post("/api/v1/channels/line/test", &json!({})).json().expect("it is JSON");
    assert_eq!(tested["ok"], true, "{tested}");
    assert_eq!(line.n_connections(), 2);
    line.say("c1", "m1", QUESTION);
    setting.expect_one_each(2);
}

#[test]
fn a_robot_that_wecom_does_not_take_is_told_of_with_what_to_look_at() {
    let setting = Setting::with_secret("another");
    let server = setting.server();
    let event = wait_for("the events", || {
        let events: Value = server.get("/api/v1/channels/line/events").json().expect("it is JSON");
        let events = events["events"].as_array().expect("it is a list").clone();
        (events.len() >= 2).then(|| events[0].to_string())
    });
    assert!(event.contains("check bot_id and secret") && event.contains("853000"), "{event}");
    assert_eq!(server.post("/webhooks/wecom/line", &json!({})).status(), 401);
}
