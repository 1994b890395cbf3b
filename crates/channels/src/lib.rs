//! Chat platforms: what they send is verified, decrypted and understood; what goes back is written as they want it.
//!
//! A message passes, in this order: [`receive`] (verified, decrypted, read), the queue ([`Store`]), the
//! [`Pipeline`] (mode, hand-over, the answer from an [`Engine`], the [`gate`]), the queue again, and [`send`]. The
//! first step ends before the platform is answered and never waits for the engine; everything after it can be
//! repeated after a crash, because each step ends in one transaction and each delivery has a key.
//!
//! [`protocol`] holds pure functions, a module for each platform: no network, no clock of their own, no state, so
//! that every one of them can be held to recorded and signed samples. The crate knows nothing of how an answer is
//! found and nothing of how anything is stored: both are traits.

mod account;
mod connection;
pub mod gate;
pub mod hook;
mod inbound;
mod outward;
mod pipeline;
pub mod protocol;
pub mod receive;
pub mod send;
mod store;
mod wording;

pub use account::{Account, AccountError, Audience, Cards, Credentials, Mode, Platform, Transport};
pub use hook::Hook;
pub use inbound::{Content, Inbound};
pub use outward::{Guard, Outward, is_public};
pub use pipeline::{Engine, EngineError, Finding, Pipeline, Question, Timing};
pub use send::{Outbound, Payload, SendError};
pub use store::{
    Card, CardState, Conversation, Delivery, Draft, Ended, Push, Queued, Settlement, Store, StoreError,
};
