//! Sending what came of a message, and what becomes of it where that fails.

use super::cards::fills;
use super::{BOT_IS_SILENT, Inner, ms, now_ms};
use crate::account::Cards;
use crate::send::By;
use crate::{Delivery, Ended, Mode, Payload, SendError};

impl Inner {
    pub(super) async fn deliver(&self, delivery: Delivery) {
        let id = delivery.id;
        // It was begun since it was read.
        let delivery = Delivery { attempts: delivery.attempts + 1, ..delivery };
        let outcome = self.try_to_deliver(&delivery).await;
        let stored = match outcome {
            Ok(()) => self.blocking(move |store| store.end_delivery(id, Ended::Sent, None)).await.map(drop),
            // The answer does not wait for it, and opens a card itself.
            Err(error) if delivery.outbound.payload == Payload::Opening => {
                let reason = error.to_string();
                tracing::debug!(account = delivery.account, reason, "a card was not opened");
                self.blocking(move |store| store.end_delivery(id, Ended::Dropped, Some(&reason)).map(drop))
                    .await
            }
            Err(SendError::Person(reason)) => {
                let (account, conversation) = (delivery.account.clone(), delivery.conversation.clone());
                self.blocking(move |store| {
                    if reason != BOT_IS_SILENT {
                        store.set_person(&account, &conversation, true)?;
                    }
                    store.end_delivery(id, Ended::Dropped, Some(&reason)).map(drop)
                })
                .await
            }
            Err(SendError::Later { after, reason }) if delivery.attempts < self.timing.max_attempts => {
                let wait = after.unwrap_or_default().max(self.backoff(delivery.attempts - 1, id));
                let due = now_ms() + ms(wait);
                tracing::debug!(account = delivery.account, reason, "a delivery is tried again later");
                self.blocking(move |store| store.postpone_delivery(id, due, Some(&reason))).await
            }
            Err(SendError::Later { reason, .. } | SendError::Refused(reason)) => {
                tracing::warn!(account = delivery.account, reason, "a delivery has failed");
                self.blocking(move |store| store.end_delivery(id, Ended::Failed, Some(&reason)).map(drop))
                    .await
            }
        };
        if let Err(error) = stored {
            tracing::error!(%error, "how a delivery ended could not be stored; it is sent again under its key");
            // Left as it is, it would hold up its conversation until the program starts anew.
            let due = now_ms() + ms(self.backoff(delivery.attempts, id));
            while self.blocking(move |store| store.postpone_delivery(id, due, None)).await.is_err() {
                tokio::time::sleep(self.backoff(delivery.attempts, id)).await;
            }
        }
    }

    async fn try_to_deliver(&self, delivery: &Delivery) -> Result<(), SendError> {
        if let Some(hook) = delivery.account.strip_prefix("hook:") {
            let hook = self.hooks.iter().find(|known| known.id == hook);
            let hook =
                hook.ok_or_else(|| SendError::Refused("this hook is not in the settings".to_owned()))?;
            return self.sender.announce(hook, delivery).await;
        }
        let account = self.accounts.get(&delivery.account);
        let account =
            account.ok_or_else(|| SendError::Refused("this channel is not in the settings".to_owned()))?;
        if delivery.outbound.by == By::Bot {
            let standing = self.conversation(&delivery.account, &delivery.conversation).await?;
            if standing.bots_mode(account) != Mode::Auto {
                if fills(delivery) {
                    self.close_card(account, delivery).await?;
                }
                return Err(SendError::Person(BOT_IS_SILENT.to_owned()));
            }
        }
        match &delivery.outbound.payload {
            Payload::Opening => self.open_card(account, delivery).await,
            Payload::Closing => self.close_card(account, delivery).await,
            Payload::Text(text)
                if account.cards != Cards::None
                    && fills(delivery)
                    && self.fill_card(account, delivery, text).await? =>
            {
                Ok(())
            }
            _ => self.sender.send(account, delivery).await,
        }
    }
}
