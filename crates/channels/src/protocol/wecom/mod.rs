//! WeCom (企业微信): self-built apps, 微信客服 and smart robots.
//!
//! All three share one way of signing and encrypting ([`Crypt`], `WXBizMsgCrypt`); apps and 微信客服 wrap it in XML
//! ([`message`]), smart robots in JSON ([`robot`]). [`kf`] reads what 微信客服 is pulled for, and [`jssdk`] signs for
//! pages inside WeCom.

mod crypt;
pub mod jssdk;
pub mod kf;
pub mod message;
pub mod robot;
mod xml;

pub use crypt::{Crypt, Signed, decrypt_media};
