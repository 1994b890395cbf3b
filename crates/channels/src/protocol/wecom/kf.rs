//! 微信客服: what `sync_msg` gives, and the bodies of what is sent.

use serde_json::{Value, json};

use super::super::text_at;

/// Longest text, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 2048;
/// The menu entry that asks for a person.
pub const HUMAN_MENU_ID: &str = "human";

/// Who has a customer's conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// Nobody yet (0).
    New,
    /// The bot (1).
    Bot,
    /// The pool, waiting for a person (2).
    Waiting,
    /// A person (3).
    Human,
    /// Nobody any more (4); the customer's next message begins anew.
    Ended,
}

impl ServiceState {
    /// From WeCom's number.
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::New, Self::Bot, Self::Waiting, Self::Human, Self::Ended]
            .into_iter()
            .nth(usize::try_from(number).ok()?)
    }

    /// Whether a bot may send.
    pub fn takes_bot(self) -> bool {
        matches!(self, Self::New | Self::Bot)
    }
}

/// One entry of `msg_list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Unique among entries.
    pub id: String,
    /// The account.
    pub open_kfid: String,
    /// The customer.
    pub customer: String,
    /// When it was sent, in s since 1970.
    pub sent_at_s: i64,
    /// What it is.
    pub content: Content,
}

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The customer wrote (origin 3).
    Customer {
        /// What was written.
        text: String,
        /// The entry of a menu that was pressed; empty where it was typed.
        menu_id: String,
    },
    /// The customer sent something that is no text: its type.
    CustomerOther(String),
    /// A person of the company wrote (origin 5).
    Servicer(String),
    /// The customer came in; the code takes one welcome within 20 s.
    Entered {
        /// Empty where no welcome may be sent.
        welcome_code: String,
    },
    /// A person took the conversation (from the pool or from a colleague).
    TakenByPerson(String),
    /// The conversation ended: the customer's next message begins anew.
    Ended,
    /// A message of ours was not delivered.
    SendFailed {
        /// Its id.
        message_id: String,
        /// WeCom's number: 4 is later than 48 h, 6 more than five messages.
        reason: i64,
    },
    /// An event of no consequence here.
    Other(String),
}

/// A page of `sync_msg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Where the next page begins.
    pub next_cursor: String,
    /// Whether there is a next page, however short this one is.
    pub has_more: bool,
    /// The entries, oldest first.
    pub items: Vec<Item>,
}

/// What a `sync_msg` reply holds. Entries without an id are left out: they could not be told from a repetition.
pub fn parse_page(reply: &Value) -> Page {
    let items = reply.get("msg_list").and_then(Value::as_array);
    Page {
        next_cursor: text_at(reply, "/next_cursor").to_owned(),
        has_more: reply.get("has_more").and_then(Value::as_i64) == Some(1),
        items: items.into_iter().flatten().map(item).filter(|item| !item.id.is_empty()).collect(),
    }
}

fn item(value: &Value) -> Item {
    let owned = |pointer: &str| text_at(value, pointer).to_owned();
    let either = |outer: &str, inner: &str| {
        Some(owned(outer)).filter(|t| !t.is_empty()).unwrap_or_else(|| owned(inner))
    };
    let kind = owned("/msgtype");
    let content = match (value.get("origin").and_then(Value::as_i64), kind.as_str()) {
        (_, "event") => event(value),
        (Some(3), "text") => {
            Content::Customer { text: owned("/text/content"), menu_id: owned("/text/menu_id") }
        }
        (Some(3), _) => Content::CustomerOther(kind),
        (Some(5), _) => Content::Servicer(owned("/servicer_userid")),
        _ => Content::Other(kind),
    };
    Item {
        id: owned("/msgid"),
        open_kfid: either("/open_kfid", "/event/open_kfid"),
        customer: either("/external_userid", "/event/external_userid"),
        sent_at_s: value.get("send_time").and_then(Value::as_i64).unwrap_or(0),
        content,
    }
}

fn event(value: &Value) -> Content {
    let owned = |pointer: &str| text_at(value, pointer).to_owned();
    let number = |pointer: &str| value.pointer(pointer).and_then(Value::as_i64);
    match (text_at(value, "/event/event_type"), number("/event/change_type")) {
        ("enter_session", _) => Content::Entered { welcome_code: owned("/event/welcome_code") },
        ("session_status_change", Some(1 | 2)) => Content::TakenByPerson(owned("/event/new_servicer_userid")),
        ("session_status_change", Some(3)) => Content::Ended,
        ("msg_send_fail", _) => Content::SendFailed {
            message_id: owned("/event/fail_msgid"),
            reason: number("/event/fail_type").unwrap_or(-1),
        },
        (other, _) => Content::Other(other.to_owned()),
    }
}

/// The body of `sync_msg`. `token` may be empty, which WeCom then limits strictly.
pub fn sync_body(open_kfid: &str, cursor: &str, token: &str) -> Value {
    json!({"cursor": cursor, "token": token, "limit": 1000, "voice_format": 0, "open_kfid": open_kfid})
}

/// The body of `send_msg` for a text. `id` (at most 32 of `[0-9A-Za-z_-]`) makes sending it again harmless.
pub fn text_body(customer: &str, open_kfid: &str, id: &str, text: &str) -> Value {
    json!({"touser": customer, "open_kfid": open_kfid, "msgid": id, "msgtype": "text", "text": {"content": text}})
}

/// The body of `send_msg` for a menu: `head`, what to ask next, and "转人工" at the end.
pub fn menu_body(customer: &str, open_kfid: &str, id: &str, head: &str, questions: &[String]) -> Value {
    let mut list: Vec<Value> = questions
        .iter()
        .enumerate()
        .map(|(idx, question)| json!({"type": "click", "click": {"id": format!("q{}", idx + 1), "content": question}}))
        .collect();
    list.push(json!({"type": "click", "click": {"id": HUMAN_MENU_ID, "content": "转人工"}}));
    json!({"touser": customer, "open_kfid": open_kfid, "msgid": id, "msgtype": "msgmenu",
           "msgmenu": {"head_content": head, "list": list, "tail_content": ""}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_or_the_bots_own_conversation_takes_the_bot() {
        let takes = |n| ServiceState::from_number(n).map(ServiceState::takes_bot);
        assert_eq!(
            [0, 1, 2, 3, 4, 5, -1].map(takes),
            [Some(true), Some(true), Some(false), Some(false), Some(false), None, None]
        );
    }

    #[test]
    fn an_entry_without_an_id_is_left_out_and_the_rest_is_read() {
        let page = parse_page(&json!({"next_cursor": "c", "has_more": 1, "msg_list": [
            {"origin": 3, "msgtype": "text", "text": {"content": "a"}},
            {"msgid": "m", "origin": 3, "msgtype": "text", "external_userid": "w",
             "text": {"content": "转人工", "menu_id": "human"}},
            {"msgid": "n", "origin": 3, "msgtype": "image"},
        ]}));
        assert!(page.has_more && page.next_cursor == "c");
        let contents: Vec<_> = page.items.iter().map(|item| item.content.clone()).collect();
        assert_eq!(
            contents,
            [
                Content::Customer { text: "转人工".to_owned(), menu_id: "human".to_owned() },
                Content::CustomerOther("image".to_owned())
            ]
        );
    }
}
