//! Chat platforms: what they send is verified, decrypted and understood; what goes back is written as they want it.
//!
//! [`protocol`] holds pure functions, a module for each platform: no network, no clock of their own, no state, so
//! that every one of them can be held to recorded and signed samples. The crate knows nothing of how an answer is
//! found and nothing of how anything is stored.

pub mod protocol;
