//! Chat platforms over HTTP: where they push to, and what people see and switch.
//!
//! A push is verified, stored and answered, in that order and within milliseconds; the answer to its question is
//! made later, by the pipeline that [`crate::serve`] runs, and goes out on a request of its own.

mod engine;
pub(crate) mod expiring;
pub(crate) mod manage;
mod queue;
pub(crate) mod webhooks;
pub(crate) mod wire;

use flightdeck_channels::{Account, Hook};

pub(crate) use engine::{AssistantEngine, announce_feedback, announce_gap};
pub(crate) use queue::Queue;
pub(crate) use webhooks::Rejections;

/// The accounts on chat platforms, and who else is told of what happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// The webhooks out.
    pub hooks: Vec<Hook>,
    /// Hosts that may be asked although they lie inside the company's network.
    pub private_hosts: Vec<String>,
}

impl ChannelSettings {
    /// Whether there is nobody to hear from and nobody to tell.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.hooks.is_empty()
    }
}

#[cfg(test)]
mod tests;
