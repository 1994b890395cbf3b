//! WeCom's side of a smart robot's line, as strict as the real one is said to be: a subscription with the right secret
//! comes first, a robot has one line, an answer names a message of this line, and nobody is written to who has not
//! written before.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept};

use crate::support::wait_for;

/// Between two looks at what is to be said.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A stream as its reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub content: String,
    pub is_finished: bool,
    /// The reader's chat.
    pub to: String,
}

#[derive(Default)]
struct Inner {
    /// Counts the connections that were taken; the last one may have the line.
    n_connections: usize,
    /// Whose subscription was taken last, and still stands.
    current: Option<usize>,
    /// Waits to be said over the line.
    to_say: Vec<Value>,
    /// The connection and the chat of each message that was said, by the id of its frame.
    said: HashMap<String, (usize, String)>,
    chats: HashSet<String>,
    n_said: usize,
    streams: HashMap<String, Shown>,
    /// Chat and words.
    sent: Vec<(String, String)>,
    /// Frames are read, and nothing comes of them.
    is_silent: bool,
    held: HashSet<String>,
    /// Every so many answers one fails; 0 is never.
    fails_every: usize,
    n_answers: usize,
    n_failed: usize,
    /// So many answers are refused for their rate.
    busy: usize,
    n_limited: usize,
    n_repeated: usize,
    n_pings: usize,
    ends: Option<End>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Broken,
    Displaced,
}

#[derive(Clone)]
pub struct Line {
    /// As a channel's `base_url`.
    pub address: String,
    inner: Arc<Mutex<Inner>>,
}

impl Line {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let line = Self { address, inner: Arc::default() };
        let taking = line.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let line = taking.clone();
                // A connection that breaks off is the client's affair.
                thread::spawn(move || {
                    if let Ok(socket) = accept(stream) {
                        drop(line.serve(socket));
                    }
                });
            }
        });
        line
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody writes to the robot; waits for a line to say it over.
    pub fn say(&self, to: &str, id: &str, text: &str) {
        let body = json!({"msgid": id, "aibotid": "B", "chattype": "single", "from": {"userid": to},
            "msgtype": "text", "text": {"content": text}});
        self.call_back("aibot_msg_callback", to, &body);
    }

    /// A reader judges the answer to a message.
    pub fn judge(&self, id: &str, of: &str) {
        let body = json!({"msgid": id, "aibotid": "B", "chattype": "single", "from": {"userid": "u"},
            "msgtype": "event", "event": {"eventtype": "feedback_event",
                "feedback_event": {"id": of, "type": 2, "content": "太长"}}});
        self.call_back("aibot_event_callback", "", &body);
    }

    fn call_back(&self, command: &str, to: &str, body: &Value) {
        wait_for("a line", || self.lock().current);
        let mut inner = self.lock();
        inner.n_said += 1;
        let id = format!("req-{}", inner.n_said);
        if !to.is_empty() {
            inner.chats.insert(to.to_owned());
            // The connection is filled in when it is said.
            inner.said.insert(id.clone(), (0, to.to_owned()));
        }
        inner.to_say.push(json!({"cmd": command, "headers": {"req_id": id}, "body": body}));
    }

    /// What came of each stream, by its id.
    pub fn streams(&self) -> HashMap<String, Shown> {
        self.lock().streams.clone()
    }

    /// All that stands in the chats and does not change any more: chat and words.
    pub fn delivered(&self) -> Vec<(String, String)> {
        let inner = self.lock();
        let streams = inner.streams.values().filter(|shown| shown.is_finished);
        let streams = streams.map(|shown| (shown.to.clone(), shown.content.clone()));
        streams.chain(inner.sent.iter().cloned()).collect()
    }

    /// What was said outside a stream.
    pub fn sent(&self) -> Vec<(String, String)> {
        self.lock().sent.clone()
    }

    pub fn n_connections(&self) -> usize {
        self.lock().n_connections
    }

    /// Pings that were answered.
    pub fn n_pings(&self) -> usize {
        self.lock().n_pings
    }

    /// Answers that failed, and those that were known as repetitions.
    pub fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.n_failed, inner.n_repeated)
    }

    /// The next `n` answers are answered with the rate limit.
    pub fn limit(&self, n: usize) {
        self.lock().busy = n;
    }

    pub fn n_limited(&self) -> usize {
        self.lock().n_limited
    }

    /// Waits until nobody has the line.
    pub fn wait_until_down(&self) {
        wait_for("the line's end", || self.lock().current.is_none().then_some(()));
    }

    pub fn fail_every(&self, n: usize) {
        self.lock().fails_every = n;
    }

    /// From now on nothing comes of what is read.
    pub fn be_silent(&self) {
        self.lock().is_silent = true;
    }

    /// Messages whose answers were read since, and nothing came of them.
    pub fn n_held(&self) -> usize {
        self.lock().held.len()
    }

    pub fn go_on(&self) {
        let mut inner = self.lock();
        inner.is_silent = false;
        inner.held.clear();
    }

    /// The line breaks off without a word.
    pub fn break_off(&self) {
        self.end(End::Broken);
    }

    /// Another client takes the line.
    pub fn displace(&self) {
        self.end(End::Displaced);
    }

    fn end(&self, end: End) {
        wait_for("a line", || self.lock().current);
        self.lock().ends = Some(end);
        wait_for("the line's end", || self.lock().ends.is_none().then_some(()));
    }

    fn serve(&self, mut socket: WebSocket<TcpStream>) -> Result<(), Box<Error>> {
        socket.get_ref().set_read_timeout(Some(LOOK_EVERY)).expect("it is a socket");
        let own = {
            let mut inner = self.lock();
            inner.n_connections += 1;
            inner.n_connections
        };
        let served = self.converse(&mut socket, own);
        let mut inner = self.lock();
        if inner.current == Some(own) {
            inner.current = None;
        }
        served
    }

    fn converse(&self, socket: &mut WebSocket<TcpStream>, own: usize) -> Result<(), Box<Error>> {
        loop {
            match socket.read() {
                Ok(Message::Text(text)) => {
                    let frame: Value = serde_json::from_str(&text).expect("the client sends JSON");
                    if let Some(answer) = self.lock().answer(&frame, own) {
                        socket.send(Message::text(answer.to_string())).map_err(Box::new)?;
                    }
                }
                Ok(Message::Close(_)) => return Ok(()),
                Ok(_) => {}
                Err(Error::Io(error))
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(Box::new(error)),
            }
            let (to_say, ends) = {
                let mut inner = self.lock();
                match inner.current {
                    Some(current) if current == own => {
                        let to_say = std::mem::take(&mut inner.to_say);
                        for frame in &to_say {
                            let id = frame["headers"]["req_id"].as_str().unwrap_or_default();
                            if let Some((connection, _)) = inner.said.get_mut(id) {
                                *connection = own;
                            }
                        }
                        let ends = inner.ends.take();
                        if ends.is_some() {
                            inner.current = None;
                        }
                        (to_say, ends)
                    }
                    // Who subscribed after this one has the line.
                    Some(current) if current > own => (Vec::new(), Some(End::Displaced)),
                    _ => (Vec::new(), None),
                }
            };
            for frame in to_say {
                socket.send(Message::text(frame.to_string())).map_err(Box::new)?;
            }
            match ends {
                None => {}
                Some(End::Broken) => return Ok(()),
                Some(End::Displaced) => {
                    let body = json!({"msgid": "D", "aibotid": "B", "msgtype": "event",
                        "event": {"eventtype": "disconnected_event"}});
                    let frame =
                        json!({"cmd": "aibot_event_callback", "headers": {"req_id": "evt"}, "body": body});
                    socket.send(Message::text(frame.to_string())).map_err(Box::new)?;
                    return Ok(());
                }
            }
        }
    }
}

impl Inner {
    /// What a frame is answered with; `None` for nothing.
    fn answer(&mut self, frame: &Value, own: usize) -> Option<Value> {
        let text = |pointer: &str| frame.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = text("/headers/req_id");
        assert!(!id.is_empty(), "a frame without an id: {frame}");
        let code = |code: i64| {
            let said = if code == 0 { "ok" } else { "said by the fake" };
            Some(json!({"headers": {"req_id": id}, "errcode": code, "errmsg": said}))
        };
        let command = text("/cmd");
        if command == "aibot_subscribe" {
            if text("/body/bot_id") != "B" || text("/body/secret") != "s" {
                return code(853_000);
            }
            self.current = Some(own);
            return code(0);
        }
        if self.current != Some(own) {
            return code(846_601);
        }
        if command == "ping" {
            self.n_pings += 1;
            return code(0);
        }
        if self.is_silent {
            self.held.insert(id.to_owned());
            return None;
        }
        if self.busy > 0 {
            self.busy -= 1;
            self.n_limited += 1;
            return code(45_009);
        }
        self.n_answers += 1;
        let fails = self.fails_every > 0 && self.n_answers.is_multiple_of(self.fails_every);
        if fails {
            self.n_failed += 1;
            if !self.n_failed.is_multiple_of(2) {
                return code(-1);
            }
        }
        let done = self.take(command, id, frame);
        // Half of what fails is done, and only its answer does not come.
        if fails && command == "aibot_respond_msg" { None } else { code(done) }
    }

    fn take(&mut self, command: &str, id: &str, frame: &Value) -> i64 {
        let body = &frame["body"];
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match command {
            "aibot_respond_msg" => {
                let Some((connection, chat)) = self.said.get(id) else { return 846_605 };
                if Some(*connection) != self.current {
                    return 846_605;
                }
                let (stream, content) = (text("/stream/id"), text("/stream/content"));
                if body["msgtype"] != "stream"
                    || stream.is_empty()
                    || content.is_empty()
                    || content.len() > 20_480
                {
                    return 40_008;
                }
                let shown = Shown {
                    content: content.to_owned(),
                    is_finished: body["stream"]["finish"] == true,
                    to: chat.clone(),
                };
                match self.streams.get(stream) {
                    Some(known) if *known == shown => self.n_repeated += 1,
                    Some(known) if known.is_finished => return 846_608,
                    _ => {}
                }
                self.streams.insert(stream.to_owned(), shown);
                0
            }
            "aibot_send_msg" => {
                let (chat, said) = (text("/chatid"), text("/markdown/content"));
                if body["msgtype"] != "markdown"
                    || said.is_empty()
                    || !matches!(body["chat_type"].as_i64(), None | Some(1 | 2))
                {
                    return 40_008;
                }
                if !self.chats.contains(chat) {
                    return 846_610;
                }
                self.sent.push((chat.to_owned(), said.to_owned()));
                0
            }
            "aibot_respond_welcome_msg" => 0,
            _ => 40_008,
        }
    }
}
