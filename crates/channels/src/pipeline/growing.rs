//! What of an answer is there already, written into its card while the rest is still worded.
//!
//! Only what the engine lets go of, sentences that were held against their sources; and only for colleagues: the gate
//! that stands before a customer looks at whole answers. It is done as far as it goes: nothing of it is stored, what
//! fails is not done again, and the whole answer replaces it.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::working::{audience, takes_markdown};
use super::{EngineError, Finding, Inner, Question};
use crate::account::Cards;
use crate::{Account, Audience, CardState, Delivery, Mode, Platform, Queued, SendError, wording};

/// Steps in which a card grows at most; WeCom takes 30 messages in a minute, and the answer is one of them.
const MAX_STEPS: u32 = 18;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grown {
    /// The text stands in the card.
    Written,
    /// The card is not shown yet.
    NotYet,
    /// The card does not grow any more.
    Over,
}

impl Inner {
    /// The engine's answer; while it is made, the message's card grows with it where it may.
    pub(super) async fn answered(
        &self,
        account: &Account,
        queued: &Queued,
        question: Question,
    ) -> Result<Finding, EngineError> {
        let (sender, mut text) = watch::channel(String::new());
        let mut answer = self.engine.answer(question, sender);
        let every = growth_interval(account);
        let mut may_grow = every.is_some() && audience(account, queued) == Audience::Internal;
        let mut is_behind = false;
        let mut due = Instant::now();
        let mut n_steps = 0;
        loop {
            tokio::select! {
                finding = &mut answer => return finding,
                changed = async {
                    sleep_until(due).await;
                    if is_behind { Ok(()) } else { text.changed().await }
                }, if may_grow => {
                    let so_far = text.borrow_and_update().clone();
                    // The answer goes on being made elsewhere, and does not overtake what is under way.
                    let grown =
                        if changed.is_ok() { self.grow(account, queued, &so_far).await } else { Grown::Over };
                    n_steps += u32::from(grown == Grown::Written);
                    may_grow = grown != Grown::Over && n_steps < MAX_STEPS;
                    is_behind = grown == Grown::NotYet;
                    due = Instant::now() + every.unwrap_or_default();
                }
            }
        }
    }

    /// Writes the text so far into the card, where that is shown.
    async fn grow(&self, account: &Account, queued: &Queued, text: &str) -> Grown {
        let shown = wording::for_colleague(text, &[], takes_markdown(account.platform));
        self.try_to_grow(account, queued, &shown).await.unwrap_or_else(|error| {
            tracing::debug!(account = account.id, %error, "a card does not grow any more");
            Grown::Over
        })
    }

    async fn try_to_grow(&self, account: &Account, queued: &Queued, text: &str) -> Result<Grown, SendError> {
        let delivery: Delivery = super::cards::opening(account, queued);
        let Some(card) = self.card(&delivery).await? else { return Ok(Grown::NotYet) };
        match card.state {
            CardState::Begun => return Ok(Grown::NotYet),
            CardState::Shown => {}
            CardState::Filling(_) | CardState::Filled(_) | CardState::GivenUp => return Ok(Grown::Over),
        }
        let standing = self.conversation(&account.id, &queued.inbound.conversation).await?;
        if standing.bots_mode(account) != Mode::Auto {
            return Ok(Grown::Over);
        }
        self.sender.grow_card(account, &delivery, &card, text).await?;
        Ok(Grown::Written)
    }
}

/// The shortest time between two steps of a card; `None` where it does not grow. What is appended in Slack cannot be
/// replaced, and is not known when it comes again.
fn growth_interval(account: &Account) -> Option<Duration> {
    match (&account.cards, account.platform) {
        (Cards::None, _) => None,
        (_, Platform::WecomRobot) => Some(Duration::from_secs(2)),
        (_, Platform::Dingtalk) => Some(Duration::from_secs(1)),
        (_, Platform::Feishu) => Some(Duration::from_millis(500)),
        _ => None,
    }
}
