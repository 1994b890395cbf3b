//! Cards on the platforms that have them: prepared, shown, filled, all of which may be asked again; and written into
//! before that.

use super::{SendError, Sender};
use crate::account::Cards;
use crate::receive::digest;
use crate::{Account, Card, Credentials, Delivery};

/// Names a message's card to its platform: 32 hexadecimal digits.
pub(super) fn card_key(delivery: &Delivery) -> String {
    digest(&[&delivery.account, &delivery.message_id, "card"])
}

impl Sender {
    /// Makes the card, or its name; nobody sees it yet. Empty where the platform names it when it is shown.
    ///
    /// # Errors
    /// As [`SendError`]; what is refused will not be shown by asking again.
    pub(crate) async fn prepare_card(
        &self,
        account: &Account,
        delivery: &Delivery,
    ) -> Result<String, SendError> {
        match &account.credentials {
            Credentials::Feishu { .. } => self.feishu_card(account).await,
            Credentials::Dingtalk { .. } => Ok(card_key(delivery)),
            Credentials::WecomRobotLine { .. } => Ok(delivery.message_id.clone()),
            _ => Ok(String::new()),
        }
    }

    /// Shows the card with its placeholder; its name from now on.
    ///
    /// # Errors
    /// As [`Sender::prepare_card`].
    pub(crate) async fn show_card(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
    ) -> Result<String, SendError> {
        match (&account.credentials, &account.cards) {
            (Credentials::Feishu { .. }, _) => self.feishu_show(account, delivery, card).await?,
            (Credentials::Dingtalk { robot_code, .. }, Cards::Template { id, variable }) => {
                self.dingtalk_show(account, robot_code, (id, variable), delivery, card).await?;
            }
            (Credentials::Slack { bot_token, .. }, _) => {
                return self.slack_show(account, bot_token, delivery, card).await;
            }
            (Credentials::WecomRobotLine { .. }, _) => self.robot_show(account, delivery, card).await?,
            _ => return Err(none()),
        }
        Ok(card.handle.clone())
    }

    /// Writes the beginning of an answer into a card that is shown; nothing happens where a platform cannot replace
    /// it afterwards.
    ///
    /// # Errors
    /// As [`SendError`]; it is not worth another attempt.
    pub(crate) async fn grow_card(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
        text: &str,
    ) -> Result<(), SendError> {
        match (&account.credentials, &account.cards) {
            (Credentials::Feishu { .. }, _) => self.feishu_grow(account, card, text).await,
            (Credentials::Dingtalk { .. }, Cards::Template { variable, .. }) => {
                self.dingtalk_grow(account, variable, card, text).await
            }
            (Credentials::WecomRobotLine { .. }, _) => self.robot_grow(account, delivery, card, text).await,
            _ => Ok(()),
        }
    }

    /// Fills the card and closes it. `key` names the text; `is_again` says that this was tried before, and it is not
    /// known what came of it.
    ///
    /// # Errors
    /// As [`SendError`]; [`SendError::Refused`] where the card cannot be filled any more.
    pub(crate) async fn fill_card(
        &self,
        account: &Account,
        delivery: &Delivery,
        card: &Card,
        text: &str,
        key: &str,
        is_again: bool,
    ) -> Result<(), SendError> {
        match (&account.credentials, &account.cards) {
            (Credentials::Feishu { .. }, _) => self.feishu_fill(account, card, text, key).await,
            (Credentials::Dingtalk { .. }, Cards::Template { variable, .. }) => {
                self.dingtalk_fill(account, variable, card, text, key).await
            }
            (Credentials::Slack { bot_token, .. }, _) => {
                self.slack_fill(account, bot_token, delivery, card, text, is_again).await
            }
            (Credentials::WecomRobotLine { .. }, _) => self.robot_fill(account, delivery, card, text).await,
            _ => Err(none()),
        }
    }
}

fn none() -> SendError {
    SendError::Refused("this channel has no cards".to_owned())
}
