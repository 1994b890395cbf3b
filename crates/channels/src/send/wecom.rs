//! Sending to WeCom: self-built apps, 微信客服, and the late answer of a smart robot.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Payload, SendError, Sender, as_text, number_at};
use crate::outward::Answered;
use crate::protocol::text_at;
use crate::protocol::wecom::kf;
use crate::{Account, Delivery, Inbound};

/// Pages of one pull; what is left is pulled the next time.
const MAX_PAGES: usize = 50;

/// What a pull brought.
pub(crate) struct Pulled {
    /// Oldest first.
    pub messages: Vec<Inbound>,
    /// For the event log.
    pub notes: Vec<(String, Value)>,
    /// Where the next pull begins.
    pub cursor: String,
    /// Whether there is more.
    pub has_more: bool,
}

impl Sender {
    pub(super) async fn wecom_token(
        &self,
        account: &Account,
        corp_id: &str,
        secret: &str,
    ) -> Result<(String, u64), SendError> {
        let mut url = reqwest::Url::parse(&format!("{}/cgi-bin/gettoken", account.base_url))
            .map_err(|error| SendError::Refused(error.to_string()))?;
        url.query_pairs_mut().append_pair("corpid", corp_id).append_pair("corpsecret", secret);
        let answered = self.outward.call(Method::GET, url.as_str(), &[], None).await?;
        judge(&answered)?;
        let token = text_at(&answered.body, "/access_token").to_owned();
        if token.is_empty() {
            return Err(SendError::later("WeCom gave no token"));
        }
        Ok((token, number_at(&answered.body, "/expires_in").unwrap_or(7200).unsigned_abs()))
    }

    async fn wecom_call(&self, account: &Account, path: &str, body: &Value) -> Result<Value, SendError> {
        let address = |token: &str| format!("{}/cgi-bin/{path}?access_token={token}", account.base_url);
        let is_expired = |answered: &Answered| {
            matches!(number_at(&answered.body, "/errcode"), Some(40001 | 40014 | 42001))
        };
        let answered = self.call_with_token(account, Method::POST, address, None, body, is_expired).await?;
        judge(&answered)?;
        Ok(answered.body)
    }

    pub(super) async fn wecom_app(
        &self,
        account: &Account,
        agent_id: i64,
        delivery: &Delivery,
    ) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        // WeCom knows a repetition by its words alone, so it is asked to look only where there may be one.
        let is_again = delivery.attempts > 1;
        let body = json!({
            "touser": text_at(&delivery.outbound.reply, "/to"), "agentid": agent_id, "msgtype": "text",
            "text": {"content": text}, "safe": 0,
            "enable_duplicate_check": i32::from(is_again), "duplicate_check_interval": 1800,
        });
        self.wecom_call(account, "message/send", &body).await.map(drop)
    }

    pub(super) async fn wecom_kf(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        let reply = &delivery.outbound.reply;
        let (customer, open_kfid) = (text_at(reply, "/to"), text_at(reply, "/open_kfid"));
        let who = json!({"open_kfid": open_kfid, "external_userid": customer});
        let state = self.wecom_call(account, "kf/service_state/get", &who).await?;
        let state = number_at(&state, "/service_state").and_then(kf::ServiceState::from_number);
        let id = &delivery.idempotency;
        let body = match &delivery.outbound.payload {
            Payload::HandOver { .. } => {
                return match state {
                    Some(state) if state.takes_bot() => self.to_person(account, customer, open_kfid).await,
                    _ => Ok(()),
                };
            }
            Payload::Text(text) => kf::text_body(customer, open_kfid, id, text),
            Payload::Menu(questions) => kf::menu_body(customer, open_kfid, id, "您还可以问：", questions),
            Payload::Opening | Payload::Closing | Payload::Event { .. } => return Ok(()),
        };
        if !state.is_none_or(kf::ServiceState::takes_bot) {
            return Err(SendError::Person("a person has this conversation, or it has ended".to_owned()));
        }
        self.wecom_call(account, "kf/send_msg", &body).await.map(drop)
    }

    /// Gives the conversation to a person who is on duty, else to those who wait for one.
    async fn to_person(&self, account: &Account, customer: &str, open_kfid: &str) -> Result<(), SendError> {
        let address = |token: &str| {
            format!(
                "{}/cgi-bin/kf/servicer/list?access_token={token}&open_kfid={open_kfid}",
                account.base_url
            )
        };
        let is_expired = |answered: &Answered| {
            matches!(number_at(&answered.body, "/errcode"), Some(40001 | 40014 | 42001))
        };
        let listed =
            self.call_with_token(account, Method::GET, address, None, &Value::Null, is_expired).await?;
        judge(&listed)?;
        let people = listed.body.get("servicer_list").and_then(Value::as_array);
        let on_duty = people.into_iter().flatten().find(|person| person["status"] == 0);
        let mut body = json!({"open_kfid": open_kfid, "external_userid": customer, "service_state": 2});
        if let Some(person) = on_duty {
            body["service_state"] = json!(3);
            body["servicer_userid"] = person["userid"].clone();
        }
        self.wecom_call(account, "kf/service_state/trans", &body).await.map(drop)
    }

    /// Pulls what has come since `cursor`.
    ///
    /// # Errors
    /// As [`SendError`]; nothing is lost, the cursor has not moved.
    pub(crate) async fn pull(
        &self,
        account: &Account,
        open_kfid: &str,
        cursor: &str,
        token: &str,
    ) -> Result<Pulled, SendError> {
        let mut items = Vec::new();
        let mut cursor = cursor.to_owned();
        let mut has_more = true;
        for _ in 0..MAX_PAGES {
            let body = kf::sync_body(open_kfid, &cursor, token);
            let page = kf::parse_page(&self.wecom_call(account, "kf/sync_msg", &body).await?);
            items.extend(page.items);
            if !page.next_cursor.is_empty() {
                cursor = page.next_cursor;
            }
            has_more = page.has_more;
            if !has_more {
                break;
            }
        }
        let (messages, notes) = crate::receive::pulled(items);
        Ok(Pulled { messages, notes, cursor, has_more })
    }

    /// The answer that WeCom did not come back for in time.
    pub(super) async fn wecom_robot(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        let Some(text) = as_text(&delivery.outbound.payload) else { return Ok(()) };
        let address = text_at(&delivery.outbound.reply, "/response_url");
        let host = |address: &str| {
            reqwest::Url::parse(address)
                .ok()
                .map(|url| (url.host_str().map(str::to_owned), url.port_or_known_default()))
        };
        if address.is_empty() || host(address) != host(&account.base_url) {
            return Err(SendError::Refused("WeCom gave no address of its own to answer to".to_owned()));
        }
        let body = json!({"msgtype": "markdown", "markdown": {"content": text}});
        judge(&self.outward.call(Method::POST, address, &[], Some(&body)).await?)
    }
}

/// WeCom says what went wrong in `errcode`, whatever the status.
pub(super) fn judge(answered: &Answered) -> Result<(), SendError> {
    let Some(code) = number_at(&answered.body, "/errcode") else {
        return match answered.status {
            200..300 => Ok(()),
            status => Err(SendError::later(format!("WeCom answered {status}"))),
        };
    };
    let refused = |advice: &str| {
        let said = text_at(&answered.body, "/errmsg");
        let said: String = said.chars().take(120).collect();
        Err(SendError::Refused(format!("WeCom says errcode {code} ({said}); {advice}")))
    };
    match code {
        0 => Ok(()),
        -1 | 45009 | 45033 | 6000 => Err(SendError::later(format!("WeCom is busy: errcode {code}"))),
        95018 => Err(SendError::Person("a person has this conversation, or it has ended".to_owned())),
        40001 | 40014 | 42001 => {
            Err(SendError::later(format!("WeCom does not take the token: errcode {code}")))
        }
        40013 | 40091 => refused("check corp_id and secret of this channel"),
        60020 => refused("add this server's address to the app's trusted addresses (可信 IP)"),
        48002 => refused("give the app the permission that it lacks"),
        _ => refused("look the number up on WeCom's page of error codes"),
    }
}
