//! The card of an answer: shown with a placeholder when work on a message begins, filled once with what has passed
//! every check, and closed whatever happens.
//!
//! How far a card is, is stored before each request that goes beyond it, so that after a crash the same card is
//! finished. A card that a platform does not take, or does not take any more, is given up, and the answer goes out as
//! a message, as on a channel without cards.

use serde_json::json;

use super::{Inner, now_ms};
use crate::account::Cards;
use crate::receive::digest;
use crate::send::By;
use crate::wording;
use crate::{
    Account, Card, CardState, Delivery, Outbound, Payload, Queued, SendError, Settlement, StoreError,
};

/// What a card is filled with where no answer comes.
const CLOSING: &str = "closing";

/// The key of the `idx`th delivery that answers a message.
pub(super) fn answer_key(account: &str, message_id: &str, idx: usize) -> String {
    digest(&[account, message_id, &idx.to_string()])
}

/// Whether a delivery is what a message's card is there for: the first words of the answer.
pub(super) fn fills(delivery: &Delivery) -> bool {
    matches!(delivery.outbound.payload, Payload::Text(_))
        && !delivery.message_id.is_empty()
        && delivery.idempotency == answer_key(&delivery.account, &delivery.message_id, 0)
}

impl Inner {
    /// Queues the card of a message's answer, where the account has cards. It goes out before the answer does.
    pub(super) async fn begin_card(&self, account: &Account, queued: &Queued) -> Result<(), StoreError> {
        if account.cards == Cards::None {
            return Ok(());
        }
        let delivery = opening(account, queued);
        self.blocking(move |store| store.add_delivery(&delivery)).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// The settlement with what closes the message's card, where nothing in it fills that.
    pub(super) async fn with_closing(
        &self,
        account: &Account,
        queued: &Queued,
        mut settlement: Settlement,
    ) -> Settlement {
        if account.cards == Cards::None || settlement.deliveries.iter().any(fills) {
            return settlement;
        }
        let (id, message) = (account.id.clone(), queued.inbound.message_id.clone());
        let sent = self.blocking(move |store| store.answers(&id, &message)).await;
        // Where it cannot be known it is closed: what was not opened takes no harm from that.
        if !sent.is_ok_and(|sent| sent.is_empty()) {
            settlement.deliveries.push(of_card(account, queued, By::Notice, Payload::Closing));
        }
        settlement
    }

    /// Shows the card with its placeholder, where the answer is not there yet; else that does it.
    pub(super) async fn open_card(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        let (id, message) = (account.id.clone(), delivery.message_id.clone());
        if self.blocking(move |store| store.is_waiting(&id, &message)).await? {
            self.shown(account, delivery).await?;
        }
        Ok(())
    }

    /// Fills the card of a delivery's message with the delivery's text. False where there is no card to be filled, and
    /// the text must go out as a message.
    pub(super) async fn fill_card(
        &self,
        account: &Account,
        delivery: &Delivery,
        text: &str,
    ) -> Result<bool, SendError> {
        let card = self.shown(account, delivery).await?;
        self.fill(account, delivery, card, text, &delivery.idempotency).await
    }

    /// Ends a card that gets no answer; nothing happens where none was shown.
    pub(super) async fn close_card(&self, account: &Account, delivery: &Delivery) -> Result<(), SendError> {
        if account.cards == Cards::None {
            return Ok(());
        }
        let Some(card) = self.card(delivery).await? else { return Ok(()) };
        let may_be_seen = card.tries > 0 && !card.handle.is_empty();
        if may_be_seen && matches!(card.state, CardState::Begun | CardState::Shown | CardState::Filling(_)) {
            self.fill(account, delivery, card, wording::TAKEN, CLOSING).await?;
        }
        Ok(())
    }

    async fn fill(
        &self,
        account: &Account,
        delivery: &Delivery,
        mut card: Card,
        text: &str,
        key: &str,
    ) -> Result<bool, SendError> {
        match &card.state {
            CardState::Filled(by) if by == key => return Ok(true),
            CardState::Filled(_) | CardState::GivenUp => return Ok(false),
            CardState::Begun | CardState::Shown | CardState::Filling(_) => {}
        }
        let is_again = card.state == CardState::Filling(key.to_owned());
        if !is_again {
            card.state = CardState::Filling(key.to_owned());
            self.keep(delivery, &card).await?;
        }
        match self.sender.fill_card(account, delivery, &card, text, key, is_again).await {
            Ok(()) => {
                card.state = CardState::Filled(key.to_owned());
                self.keep(delivery, &card).await?;
                Ok(true)
            }
            Err(SendError::Refused(reason)) => {
                // What was shown must not look as if it went on. It may be refused as the answer was.
                let closed = self.sender.fill_card(account, delivery, &card, wording::BELOW, "below", false);
                if let Err(error) = closed.await {
                    tracing::debug!(account = account.id, %error, "a card that was given up was not closed");
                }
                self.give_up_card(delivery, card, &reason).await?;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The card, shown unless the platform does not take it.
    async fn shown(&self, account: &Account, delivery: &Delivery) -> Result<Card, SendError> {
        let known = self.card(delivery).await?;
        let mut card = known.unwrap_or_else(|| Card { begun_ms: now_ms(), ..Card::default() });
        if card.state != CardState::Begun {
            return Ok(card);
        }
        match self.show(account, delivery, &mut card).await {
            Ok(()) => Ok(card),
            Err(SendError::Refused(reason)) => self.give_up_card(delivery, card, &reason).await,
            Err(error) => Err(error),
        }
    }

    async fn show(&self, account: &Account, delivery: &Delivery, card: &mut Card) -> Result<(), SendError> {
        if card.handle.is_empty() {
            card.handle = self.sender.prepare_card(account, delivery).await?;
        }
        card.tries += 1;
        self.keep(delivery, card).await?;
        let shown = self.sender.show_card(account, delivery, card).await;
        if matches!(shown, Err(SendError::Later { after: Some(_), .. })) {
            // Told to wait, nothing was shown.
            card.tries -= 1;
            self.keep(delivery, card).await?;
        }
        card.handle = shown?;
        card.state = CardState::Shown;
        self.keep(delivery, card).await
    }

    async fn give_up_card(
        &self,
        delivery: &Delivery,
        mut card: Card,
        reason: &str,
    ) -> Result<Card, SendError> {
        tracing::warn!(account = delivery.account, reason, "a card was given up; the answer is a message");
        card.state = CardState::GivenUp;
        self.keep(delivery, &card).await?;
        let (account, conversation) = (delivery.account.clone(), delivery.conversation.clone());
        let details = json!({"message": delivery.message_id, "reason": reason});
        self.blocking(move |store| store.log(&account, Some(&conversation), "card_refused", &details))
            .await?;
        Ok(card)
    }

    pub(super) async fn card(&self, delivery: &Delivery) -> Result<Option<Card>, SendError> {
        let (account, message) = (delivery.account.clone(), delivery.message_id.clone());
        Ok(self.blocking(move |store| store.card(&account, &message)).await?)
    }

    async fn keep(&self, delivery: &Delivery, card: &Card) -> Result<(), SendError> {
        let (account, message) = (delivery.account.clone(), delivery.message_id.clone());
        let card = card.clone();
        Ok(self.blocking(move |store| store.set_card(&account, &message, &card)).await?)
    }
}

/// What shows a message's card.
pub(super) fn opening(account: &Account, queued: &Queued) -> Delivery {
    of_card(account, queued, By::Bot, Payload::Opening)
}

fn of_card(account: &Account, queued: &Queued, by: By, payload: Payload) -> Delivery {
    let inbound = &queued.inbound;
    let step = if payload == Payload::Opening { "opening" } else { CLOSING };
    Delivery {
        id: 0,
        account: account.id.clone(),
        conversation: inbound.conversation.clone(),
        idempotency: digest(&[&account.id, &inbound.message_id, step]),
        message_id: inbound.message_id.clone(),
        outbound: Outbound { by, payload, reply: inbound.reply.clone() },
        attempts: 0,
        is_lost: false,
        due_ms: now_ms(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_holds_the_first_words_of_an_answer_and_nothing_else() {
        let delivery = |idempotency: String, payload: Payload| Delivery {
            id: 1,
            account: "a".to_owned(),
            conversation: "c".to_owned(),
            idempotency,
            message_id: "m".to_owned(),
            outbound: Outbound { by: By::Bot, payload, reply: serde_json::Value::Null },
            attempts: 0,
            is_lost: false,
            due_ms: 0,
        };
        let text = || Payload::Text("t".to_owned());
        assert!(fills(&delivery(answer_key("a", "m", 0), text())));
        assert!(!fills(&delivery(answer_key("a", "m", 1), text())));
        assert!(!fills(&delivery(answer_key("a", "m", 0), Payload::Menu(Vec::new()))));
        assert!(!fills(&Delivery { message_id: String::new(), ..delivery(answer_key("a", "m", 0), text()) }));
    }
}
