//! The platforms' wire formats, as pure functions.
//!
//! A signature is checked over the bytes as they came, before anything is parsed, and compared in constant time. The
//! current time is always passed in. What does not fit is a [`Rejected`] that says which of token, key and clock to
//! look at; none of them repeats a secret or the sender's bytes.

pub mod dingtalk;
pub mod feishu;
pub(crate) mod seal;
pub mod slack;
pub mod webhook;
pub mod wecom;

/// Why a request or a message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Something that the platform always sends is not there.
    #[error("the request has no {0}")]
    Missing(&'static str),
    /// The signature is another one: a wrong token or secret here or there, or someone else's request.
    #[error("the signature does not match; check the {0} of this channel against the platform's page")]
    Signature(&'static str),
    /// The signed time is too far from this machine's clock.
    #[error(
        "the request was signed {skew_s} s away from this machine's clock, {tolerance_s} s are allowed; check the \
         clock of this machine, or the request is an old one sent again"
    )]
    Clock {
        /// Distance, in s; negative where the request comes from the future.
        skew_s: i64,
        /// What is allowed, in s.
        tolerance_s: i64,
    },
    /// Decrypted, but meant for another company, app or bot.
    #[error("the message is meant for another receive id than this channel's; check the corp id")]
    ReceiveId,
    /// Decrypted to bytes that end in no padding: the key is another one.
    #[error(
        "the message does not decrypt; check the encryption key of this channel against the platform's page"
    )]
    Padding,
    /// Decrypted to something that is not text.
    #[error("the decrypted message is not UTF-8")]
    Utf8,
    /// The token inside the message is another one.
    #[error("the verification token inside the message does not match this channel's")]
    Token,
    /// The channel's own key cannot be used.
    #[error("this channel's {0}")]
    Key(&'static str),
    /// The bytes have not the form that the platform promises.
    #[error("the message cannot be read: {0}")]
    Format(String),
}

impl Rejected {
    pub(crate) fn format(what: impl Into<String>) -> Self {
        Self::Format(what.into())
    }
}

/// Whether `signed_at_s` is within `tolerance_s` of `now_s`, all in s since 1970.
///
/// # Errors
/// [`Rejected::Clock`] with the distance where it is not.
pub fn check_clock(signed_at_s: i64, now_s: i64, tolerance_s: i64) -> Result<(), Rejected> {
    let skew_s = now_s.saturating_sub(signed_at_s);
    if skew_s.unsigned_abs() > tolerance_s.unsigned_abs() {
        return Err(Rejected::Clock { skew_s, tolerance_s });
    }
    Ok(())
}

/// A decimal number of seconds or milliseconds, as platforms write times into headers.
pub(crate) fn parse_time(text: &str) -> Result<i64, Rejected> {
    text.trim().parse().map_err(|_| Rejected::format("the time is not a number"))
}

/// JSON as a platform sends it; nested at most as deep as `serde_json` reads (128).
pub(crate) fn parse_json(bytes: &[u8]) -> Result<serde_json::Value, Rejected> {
    serde_json::from_slice(bytes).map_err(|error| Rejected::format(format!("not JSON: {error}")))
}

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text_at<'a>(value: &'a serde_json::Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_right_up_to_the_tolerance_on_both_sides() {
        for now_s in [700, 1000, 1300] {
            assert_eq!(check_clock(1000, now_s, 300), Ok(()));
        }
        assert_eq!(check_clock(1000, 1301, 300), Err(Rejected::Clock { skew_s: 301, tolerance_s: 300 }));
        assert!(check_clock(1000, 699, 300).unwrap_err().to_string().contains("check the clock"));
        assert!(check_clock(i64::MIN, i64::MAX, 300).is_err());
    }
}
