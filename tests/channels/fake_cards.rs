//! The cards of the fake platforms: Feishu's `CardKit`, DingTalk's streaming cards, Slack's streaming messages.

use serde_json::{Value, json};

use super::fake::{Answer, Platform, Request};

/// A card as its reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Who sees it; `None` while nobody does.
    pub to: Option<String>,
    /// What it holds beside its placeholder.
    pub content: Option<String>,
    /// Whether it looks as if more came.
    pub is_open: bool,
    /// Feishu: the number of the last change.
    sequence: i64,
}

fn text<'a>(body: &'a Value, pointer: &str) -> &'a str {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn json_in(body: &Value, pointer: &str) -> Value {
    serde_json::from_str(text(body, pointer)).unwrap_or(Value::Null)
}

impl Platform {
    /// Cards that readers see and that look as if more came.
    pub fn n_open(&self) -> usize {
        self.cards.values().filter(|card| card.to.is_some() && card.is_open).count()
    }

    /// Whether this key was seen before.
    fn is_known(&mut self, key: &str) -> bool {
        let is_known = !self.known.insert(key.to_owned());
        self.n_repeated += usize::from(is_known);
        is_known
    }

    /// Feishu: `rest` follows `/open-apis/cardkit/v1/cards`.
    pub(super) fn feishu_card(&mut self, rest: &str, body: &Value) -> Answer {
        let refuse = |code: i64| Answer::Json(400, json!({"code": code, "msg": "said by the fake"}));
        let done = |data: Value| Answer::Json(200, json!({"code": 0, "msg": "success", "data": data}));
        if rest.is_empty() {
            let card = json_in(body, "/data");
            if body["type"] != "card_json"
                || card["schema"] != "2.0"
                || card["config"]["streaming_mode"] != true
                || card["body"]["elements"][0]["element_id"] != "answer_md"
            {
                return refuse(200_610);
            }
            let id = format!("card-{}", self.cards.len() + 1);
            self.cards.insert(id.clone(), Card { is_open: true, ..Card::default() });
            return done(json!({"card_id": id}));
        }
        let (id, what) = rest[1..].split_once('/').unwrap_or_default();
        if self.is_busy() {
            return refuse(99_991_400);
        }
        let uuid = text(body, "/uuid").to_owned();
        let Some(card) = self.cards.get_mut(id) else { return refuse(200_740) };
        if uuid.is_empty() || uuid.len() > 64 {
            return refuse(200_611);
        }
        if !body["sequence"]
            .as_i64()
            .is_some_and(|sequence| sequence > card.sequence && sequence <= i64::from(i32::MAX))
        {
            return refuse(300_317);
        }
        card.sequence = body["sequence"].as_i64().unwrap_or(0);
        match what {
            "elements/answer_md/content" => {
                if !card.is_open {
                    return refuse(300_309);
                }
                if text(body, "/content").is_empty() {
                    return refuse(200_611);
                }
                card.content = Some(text(body, "/content").to_owned());
            }
            "settings" => {
                let settings = json_in(body, "/settings");
                let Some(is_streaming) = settings["config"]["streaming_mode"].as_bool() else {
                    return refuse(200_611);
                };
                card.is_open = is_streaming;
            }
            _ => return refuse(404),
        }
        self.is_known(&uuid);
        done(json!({}))
    }

    /// Feishu: the card of a reply is seen by who gets that; false where there is no such card, or it is seen already.
    pub(super) fn feishu_card_is_sent(&mut self, id: &str, to: &str, key: Option<&str>) -> bool {
        let is_known = key.is_some_and(|key| self.is_known(key));
        let Some(card) = self.cards.get_mut(id) else { return false };
        if card.to.is_some() {
            return is_known;
        }
        card.to = Some(to.to_owned());
        true
    }

    /// DingTalk: the token was looked at.
    pub(super) fn dingtalk_card(&mut self, request: &Request) -> Answer {
        let body = &request.body;
        let refuse = |code: &str| Answer::Json(400, json!({"code": code, "message": "said by the fake"}));
        let done = || Answer::Json(200, json!({"success": true, "result": true}));
        if self.is_busy() {
            let code = "Forbidden.AccessDenied.QpsLimitForApi";
            return Answer::Json(403, json!({"code": code, "message": "too many"}));
        }
        let track = text(body, "/outTrackId").to_owned();
        if request.path.ends_with("/createAndDeliver") {
            let parameters = body["cardData"]["cardParamMap"].as_object();
            let fits = parameters.is_some_and(|all| {
                all.values().all(|value| value.as_str().is_some_and(|text| text.len() <= 1024))
            });
            let space = text(body, "/openSpaceId");
            let to =
                space.strip_prefix("dtv1.card//IM_ROBOT.").or(space.strip_prefix("dtv1.card//IM_GROUP."));
            if body["cardTemplateId"] != "t.schema"
                || body["callbackType"] != "STREAM"
                || track.is_empty()
                || !fits
            {
                return refuse("param.error");
            }
            let Some(to) = to.filter(|to| !to.is_empty()) else { return refuse("param.error") };
            if self.cards.contains_key(&track) {
                self.n_repeated += 1;
                return refuse("param.outTrackIdRepeated");
            }
            self.cards.insert(track, Card { to: Some(to.to_owned()), is_open: true, ..Card::default() });
            return done();
        }
        let (content, guid) = (text(body, "/content").to_owned(), text(body, "/guid").to_owned());
        let Some(card) = self.cards.get(&track) else { return refuse("param.cardNotExist") };
        if body["isFull"] != true || body["key"] != "content" || guid.is_empty() || content.len() > 3000 {
            return refuse("param.error");
        }
        let is_open = card.is_open;
        if self.is_known(&guid) {
            return done();
        }
        if !is_open {
            return refuse("param.cardFinished");
        }
        if let Some(card) = self.cards.get_mut(&track) {
            card.content = Some(content);
            card.is_open = body["isFinalize"] != true;
        }
        done()
    }

    /// Slack: `what` of `chat.{what}Stream`; the token was looked at.
    pub(super) fn slack_stream(&mut self, what: &str, body: &Value) -> Answer {
        let refuse = |error: &str| Answer::Json(200, json!({"ok": false, "error": error}));
        if self.is_busy() {
            return Answer::Limited;
        }
        let channel = text(body, "/channel").to_owned();
        let chunks = body["chunks"].as_array().cloned().unwrap_or_default();
        let said: String = chunks.iter().map(|chunk| text(chunk, "/text")).collect();
        if what == "start" {
            let is_addressed = ["/thread_ts", "/recipient_team_id", "/recipient_user_id"]
                .iter()
                .all(|pointer| !text(body, pointer).is_empty());
            if channel.is_empty() || !is_addressed {
                return refuse("invalid_arguments");
            }
            let ts = format!("1790000000.{:06}", self.cards.len() + 1);
            let content = Some(said).filter(|said| !said.is_empty());
            let card = Card { to: Some(channel.clone()), content, is_open: true, ..Card::default() };
            self.cards.insert(ts.clone(), card);
            return Answer::Json(200, json!({"ok": true, "channel": channel, "ts": ts}));
        }
        let ts = text(body, "/ts");
        let Some(card) = self.cards.get_mut(ts) else { return refuse("message_not_found") };
        if card.to.as_ref() != Some(&channel) {
            return refuse("message_not_found");
        }
        if !card.is_open {
            self.n_repeated += 1;
            return refuse("message_not_in_streaming_state");
        }
        if !said.is_empty() {
            card.content.get_or_insert_default().push_str(&said);
        }
        card.is_open = what != "stop";
        Answer::Json(200, json!({"ok": true, "channel": channel, "ts": ts}))
    }
}
