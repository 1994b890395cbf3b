//! Working on a message: what comes of it, as one settlement.

use std::time::Duration;

use serde_json::{Value, json};

use super::cards::answer_key;
use super::{Finding, Inner, Question, ms, now_ms};
use crate::account::Cards;
use crate::gate;
use crate::protocol::dingtalk::MAX_CARD_BYTES;
use crate::receive::digest;
use crate::send::By;
use crate::wording;
use crate::{
    Account, Audience, Content, Delivery, Draft, Mode, Outbound, Payload, Platform, Push, Queued, Settlement,
    StoreError,
};

/// The token of a pull is good for ten minutes; without one a pull works too, only less often.
const PULL_TOKEN_LASTS: Duration = Duration::from_mins(9);
/// Parts of one answer; 微信客服 takes five messages for each of the customer's.
const MAX_PARTS: usize = 2;
/// Bytes of the part of a longer answer that stands in a card of DingTalk; there is room for its line breaks to grow.
const CARD_ROOM: usize = MAX_CARD_BYTES * 2 / 3;
/// Earlier messages in a summary.
const SUMMARISED: usize = 6;
/// Characters of each.
const SUMMARISED_CHARS: usize = 120;

impl Inner {
    pub(super) async fn work(&self, queued: Queued) {
        let id = queued.id;
        let attempts = queued.attempts;
        // It may have ended between being read and being taken in hand.
        let (name, message) = (queued.account.clone(), queued.inbound.message_id.clone());
        if matches!(self.blocking(move |store| store.is_waiting(&name, &message)).await, Ok(false)) {
            return;
        }
        let Some(account) = self.accounts.get(&queued.account).cloned() else {
            let event = Some(("no_account", json!({"message": queued.inbound.message_id})));
            let settlement = Settlement { failed: true, event, ..Settlement::default() };
            self.settle(id, settlement).await;
            return;
        };
        let reason = match self.settlement(&account, &queued).await {
            Ok(settlement) => {
                let settlement = self.with_closing(&account, &queued, settlement).await;
                return self.settle(id, settlement).await;
            }
            Err(reason) => reason,
        };
        if attempts + 1 >= self.timing.max_attempts {
            tracing::warn!(account = account.id, reason, "a message could not be answered");
            let settlement = self.give_up(&account, &queued, &reason).await;
            let settlement = self.with_closing(&account, &queued, settlement).await;
            return self.settle(id, settlement).await;
        }
        let due = now_ms() + ms(self.backoff(attempts, id));
        if let Err(error) = self.blocking(move |store| store.postpone_message(id, due)).await {
            tracing::error!(%error, "a message could not be put back");
            // It is still due, and in hand until this returns.
            tokio::time::sleep(self.backoff(attempts, id)).await;
        }
    }

    async fn settle(&self, id: i64, settlement: Settlement) {
        if let Err(error) = self.blocking(move |store| store.settle(id, &settlement)).await {
            tracing::error!(%error, "the answer to a message could not be stored; it is worked on again");
            tokio::time::sleep(self.backoff(0, id)).await;
        }
    }

    /// What comes of a message that could not be answered however often it was tried: a colleague is told, a customer
    /// gets a person.
    async fn give_up(&self, account: &Account, queued: &Queued, reason: &str) -> Settlement {
        let event = Some(("failed", json!({"message": queued.inbound.message_id, "reason": reason})));
        let failed = Settlement { failed: true, event, ..Settlement::default() };
        if !matches!(queued.inbound.content, Content::Text(_)) {
            return failed;
        }
        if audience(account, queued) == Audience::Internal {
            let said = Payload::Text(wording::CANNOT_ANSWER.to_owned());
            let told = self.replies(account, queued, vec![said], By::Bot, None);
            return Settlement { deliveries: told.deliveries, ..failed };
        }
        let Ok(standing) = self.conversation(&account.id, &queued.inbound.conversation).await else {
            return failed;
        };
        self.hand_over_or_draft(account, queued, standing.bots_mode(account), "engine_failed")
            .await
            .unwrap_or(failed)
    }

    /// What comes of a message.
    async fn settlement(&self, account: &Account, queued: &Queued) -> Result<Settlement, String> {
        let inbound = &queued.inbound;
        if let Content::Pull { token, open_kfid } = &inbound.content {
            let is_stale = now_ms() - queued.received_ms > ms(PULL_TOKEN_LASTS);
            return self.pull(account, open_kfid, if is_stale { "" } else { token }).await;
        }
        let standing =
            self.conversation(&account.id, &inbound.conversation).await.map_err(|error| error.to_string())?;
        let reader = audience(account, queued);
        let mode = standing.mode.unwrap_or(account.mode);
        let quiet = |why: &str| Settlement {
            event: Some(("silent", json!({"message": inbound.message_id, "why": why}))),
            ..Settlement::default()
        };
        if mode == Mode::Off {
            return Ok(quiet("off"));
        }
        let written_ms = if inbound.sent_ms > 0 { inbound.sent_ms } else { queued.received_ms };
        if now_ms() - written_ms > ms(self.timing.oldest) {
            let draft = self.draft(account, queued, "expired", None).await?;
            return Ok(Settlement { draft: Some(draft), ..quiet("too_old") });
        }
        let is_customer = reader == Audience::Customer;
        let text = match &inbound.content {
            // Nobody who asks for a person waits for the engine, or is a gap of the knowledge.
            Content::Text(text)
                if is_customer
                    && standing.bots_mode(account) == Mode::Auto
                    && wording::wants_person(text) =>
            {
                return self.hand_over_or_draft(account, queued, mode, "asked").await;
            }
            Content::Text(text) => text.as_str(),
            Content::WantsPerson | Content::Unreadable(_) if standing.has_person => {
                return Ok(quiet("person"));
            }
            Content::WantsPerson => return self.hand_over_or_draft(account, queued, mode, "asked").await,
            Content::Unreadable(_) if is_customer || mode == Mode::Suggest => {
                return self.hand_over_or_draft(account, queued, mode, "unreadable").await;
            }
            Content::Unreadable(_) => {
                let said = Payload::Text(wording::TEXT_ONLY.to_owned());
                return Ok(self.replies(account, queued, vec![said], By::Bot, None));
            }
            _ => return Ok(quiet("nothing_to_do")),
        };
        let asked_as = if is_customer { "customer" } else { "internal" };
        let question = Question {
            text: text.to_owned(),
            audience: reader,
            session_id: standing.session_id.clone(),
            request_id: digest(&[&account.id, &inbound.message_id, asked_as]),
        };
        if standing.bots_mode(account) == Mode::Auto {
            self.begin_card(account, queued).await.map_err(|error| error.to_string())?;
        }
        let finding = self.answered(account, queued, question).await.map_err(|error| error.to_string())?;
        if standing.has_person || mode == Mode::Suggest {
            let reason = if standing.has_person { "person" } else { "suggest" };
            let draft = self.draft(account, queued, reason, Some(&finding)).await?;
            let session_id = Some(finding.session_id).filter(|id| !id.is_empty());
            return Ok(Settlement { draft: Some(draft), session_id, ..quiet(reason) });
        }
        if !is_customer {
            let shown =
                wording::for_colleague(&finding.text, &finding.sources, takes_markdown(account.platform));
            return Ok(self.replies(account, queued, texts(account, &shown, None), By::Bot, Some(finding)));
        }
        self.to_customer(account, queued, text, finding).await
    }

    /// Hands over; where the bot must not write by itself it only leaves a draft.
    async fn hand_over_or_draft(
        &self,
        account: &Account,
        queued: &Queued,
        mode: Mode,
        reason: &'static str,
    ) -> Result<Settlement, String> {
        if mode == Mode::Auto {
            let handed = self.hand_over(account, queued, reason, None).await;
            return handed.map_err(|error| error.to_string());
        }
        let draft = self.draft(account, queued, reason, None).await?;
        let event = Some(("silent", json!({"message": queued.inbound.message_id, "why": reason})));
        Ok(Settlement { draft: Some(draft), event, ..Settlement::default() })
    }

    async fn to_customer(
        &self,
        account: &Account,
        queued: &Queued,
        text: &str,
        finding: Finding,
    ) -> Result<Settlement, String> {
        let chinese = wording::is_chinese(text);
        let label = account.ai_label.then(|| wording::label(chinese));
        let reason = if let Some(reason) = wording::sensitive(text) {
            Some(reason)
        } else if finding.is_small_talk {
            let said = format!("{}\n{}", finding.text, wording::way_to_a_person(chinese));
            let shown = wording::for_customer(&said, &[], label);
            return Ok(self.replies(account, queued, texts(account, &shown, None), By::Bot, Some(finding)));
        } else if !finding.is_sure {
            Some("unsure")
        } else {
            None
        };
        if let Some(reason) = reason {
            let handed = self.hand_over(account, queued, reason, Some(&finding)).await;
            return handed.map_err(|error| error.to_string());
        }
        let shown = wording::for_customer(&finding.text, &finding.sources, None);
        if let Err(blocked) = gate::check(&shown, &finding.sources, &account.blocked_words) {
            tracing::info!(account = account.id, %blocked, "an answer was held back");
            let handed = self.hand_over(account, queued, "held_back", Some(&finding)).await;
            return handed.map_err(|error| error.to_string());
        }
        let mut payloads = texts(account, &shown, label);
        if account.platform == Platform::WecomKf {
            // A suggestion may name what its customer did not ask about; it passes the same gate.
            let is_fit =
                |question: &&String| gate::check(question, &finding.sources, &account.blocked_words).is_ok();
            payloads
                .push(Payload::Menu(finding.suggestions.iter().filter(is_fit).take(3).cloned().collect()));
        }
        Ok(self.replies(account, queued, payloads, By::Bot, Some(finding)))
    }

    /// The settlement that sends these.
    fn replies(
        &self,
        account: &Account,
        queued: &Queued,
        payloads: Vec<Payload>,
        by: By,
        finding: Option<Finding>,
    ) -> Settlement {
        let inbound = &queued.inbound;
        // WeCom comes for it; over a line of our own it is sent.
        let is_stream = account.platform == Platform::WecomRobot && account.cards == Cards::None;
        let due_ms = now_ms() + if is_stream { ms(self.timing.stream_wait) } else { 0 };
        let deliveries = payloads.into_iter().enumerate().map(|(idx, payload)| Delivery {
            id: 0,
            account: account.id.clone(),
            conversation: inbound.conversation.clone(),
            idempotency: answer_key(&account.id, &inbound.message_id, idx),
            message_id: inbound.message_id.clone(),
            outbound: Outbound { by, payload, reply: inbound.reply.clone() },
            attempts: 0,
            is_lost: false,
            due_ms,
        });
        let sure = finding.as_ref().map(|finding| finding.is_sure);
        Settlement {
            deliveries: deliveries.collect(),
            session_id: finding.map(|finding| finding.session_id).filter(|id| !id.is_empty()),
            event: Some(("answered", json!({"message": inbound.message_id, "sure": sure}))),
            ..Settlement::default()
        }
    }

    /// Tells the customer that a person will answer, gives the conversation to one, and leaves a draft.
    async fn hand_over(
        &self,
        account: &Account,
        queued: &Queued,
        reason: &str,
        finding: Option<&Finding>,
    ) -> Result<Settlement, StoreError> {
        let draft = self.draft(account, queued, reason, finding).await.map_err(StoreError)?;
        let chinese = !matches!(&queued.inbound.content, Content::Text(text) if !wording::is_chinese(text));
        let label = account.ai_label.then(|| wording::label(chinese));
        let notice = wording::for_customer(wording::hand_over_notice(chinese), &[], label);
        let payloads = vec![
            Payload::Text(notice),
            Payload::HandOver {
                reason: reason.to_owned(),
                summary: draft.summary.clone(),
                suggestion: draft.reply.clone(),
            },
        ];
        let session = finding.map(|finding| finding.session_id.clone()).filter(|id| !id.is_empty());
        let mut settlement = self.replies(account, queued, payloads, By::Notice, None);
        let data = json!({
            "account": account.id, "conversation": queued.inbound.conversation, "reason": reason,
            "summary": draft.summary, "suggested_reply": draft.reply,
        });
        let subject = format!("{}/{}", account.id, queued.inbound.message_id);
        settlement.deliveries.extend(self.told("handover.requested", &subject, &data));
        settlement.draft = Some(draft);
        settlement.session_id = session;
        settlement.person = Some(true);
        settlement.event =
            Some(("hand_over", json!({"message": queued.inbound.message_id, "reason": reason})));
        Ok(settlement)
    }

    pub(super) fn told(&self, kind: &str, subject: &str, data: &Value) -> Vec<Delivery> {
        self.hooks.iter().filter_map(|hook| hook.delivery(kind, subject, data, now_ms())).collect()
    }

    /// Where the conversation stands and what could be answered. The suggestion is what a customer may read.
    async fn draft(
        &self,
        account: &Account,
        queued: &Queued,
        reason: &str,
        finding: Option<&Finding>,
    ) -> Result<Draft, String> {
        let (id, conversation) = (account.id.clone(), queued.inbound.conversation.clone());
        let recent = self.blocking(move |store| store.recent(&id, &conversation, SUMMARISED)).await;
        let mut summary = format!(
            "{} {}：{}；{}",
            account.platform.name(),
            account.id,
            queued.inbound.sender,
            reason_words(reason)
        );
        for inbound in recent.map_err(|error| error.to_string())? {
            if let Content::Text(text) = &inbound.content {
                let shown: String = text.chars().take(SUMMARISED_CHARS).collect();
                summary.push_str(&format!("\n> {}", shown.replace('\n', " ")));
            }
        }
        let question = match &queued.inbound.content {
            Content::Text(text) => text.clone(),
            Content::Unreadable(kind) => format!("[{kind}]"),
            _ => String::new(),
        };
        let is_fit = |finding: &&Finding| {
            finding.is_sure
                && (audience(account, queued) == Audience::Internal
                    || gate::check(&finding.text, &finding.sources, &account.blocked_words).is_ok())
        };
        let reply = finding
            .filter(is_fit)
            .map(|finding| wording::for_customer(&finding.text, &finding.sources, None));
        Ok(Draft { reason: reason.to_owned(), question, summary, reply: reply.unwrap_or_default() })
    }

    async fn pull(&self, account: &Account, open_kfid: &str, token: &str) -> Result<Settlement, String> {
        let place = format!("{}/{open_kfid}", account.id);
        loop {
            let key = place.clone();
            let cursor =
                self.blocking(move |store| store.cursor(&key)).await.map_err(|error| error.to_string())?;
            let pulled = self.sender.pull(account, open_kfid, &cursor, token).await;
            let mut pulled = pulled.map_err(|error| error.to_string())?;
            if cursor.is_empty() {
                // The first pull brings days that somebody else has answered.
                let oldest = now_ms() - ms(self.timing.oldest);
                pulled.messages.retain(|message| message.sent_ms >= oldest);
            }
            let n = pulled.messages.len();
            let (id, key, notes) = (account.id.clone(), place.clone(), pulled.notes);
            let pushes = [
                Push { account: id.clone(), messages: pulled.messages, cursor: None },
                Push { account: key, messages: Vec::new(), cursor: Some(pulled.cursor) },
            ];
            let stored = self.blocking(move |store| {
                store.push(&pushes)?;
                notes.iter().try_for_each(|(kind, details)| store.log(&id, None, kind, details))
            });
            stored.await.map_err(|error| error.to_string())?;
            if !pulled.has_more {
                return Ok(Settlement {
                    event: Some(("pulled", json!({"messages": n}))),
                    ..Settlement::default()
                });
            }
        }
    }
}

/// Who reads the answer: a message can narrow what the account says, never widen it.
pub(super) fn audience(account: &Account, queued: &Queued) -> Audience {
    if queued.inbound.as_customer { Audience::Customer } else { account.audience }
}

/// Bytes of a text with its line breaks as DingTalk writes them.
fn broken_len(text: &str) -> usize {
    text.len() + 2 * text.matches('\n').count()
}

/// A text in the parts that the platform takes; the label stands at the end of the last whatever had to be cut.
fn texts(account: &Account, text: &str, label: Option<&str>) -> Vec<Payload> {
    let label = label.map(|label| format!("\n{label}")).unwrap_or_default();
    // What a robot streams is one message.
    let most = if account.platform == Platform::WecomRobot { 1 } else { MAX_PARTS };
    let room = account.platform.max_bytes() - label.len();
    let mut parts = wording::parts(text, room, most);
    if matches!(account.cards, Cards::Template { .. }) && broken_len(text) + label.len() > MAX_CARD_BYTES {
        // The card holds the beginning, a message the rest.
        let head = wording::parts(text, CARD_ROOM, usize::MAX).into_iter().next().unwrap_or_default();
        let rest = wording::parts(&text.trim()[head.len()..], room, most - 1);
        parts = std::iter::once(head).chain(rest).collect();
    }
    if let Some(last) = parts.last_mut() {
        last.push_str(&label);
    }
    parts.into_iter().map(Payload::Text).collect()
}

pub(super) fn takes_markdown(platform: Platform) -> bool {
    matches!(platform, Platform::WecomRobot | Platform::Dingtalk | Platform::Feishu | Platform::Webhook)
}

fn reason_words(reason: &str) -> &str {
    match reason {
        "asked" => "客户要求人工",
        "unsure" => "知识库没有可靠依据",
        "bargaining" => "客户在谈价格",
        "complaint" => "客户投诉或提到法律、退款",
        "held_back" => "回答未通过外发检查",
        "unreadable" => "客户发来的不是文字",
        "engine_failed" => "系统暂时无法回答",
        "expired" => "消息过期未答",
        "person" => "同事正在会话中",
        "suggest" => "建议模式",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_what_a_customer_gets_however_long_the_answer() {
        let fields = [("id", "s"), ("platform", "slack"), ("bot_token", "x"), ("signing_secret", "x")];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let account = Account::from_fields(fields).expect("nothing is missing");
        let label = wording::label(true);
        for n in [10, 100_000] {
            let payloads = texts(&account, &"长".repeat(n), Some(label));
            let Some(Payload::Text(last)) = payloads.last() else { panic!("no text: {payloads:?}") };
            assert!(last.ends_with(label) && last.len() <= account.platform.max_bytes(), "{n}");
        }
    }
}
