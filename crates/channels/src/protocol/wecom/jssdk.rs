//! The signature that a page inside WeCom needs before it may call WeCom.

use sha1::{Digest, Sha1};

use super::super::seal;

/// 40 hexadecimal digits over the ticket and the page's address, without what follows `#`. The address is taken as it
/// is, not encoded; sign only pages of your own.
pub fn signature(ticket: &str, nonce: &str, timestamp_s: i64, url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let signed = format!("jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp_s}&url={url}");
    seal::hex(&Sha1::digest(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_the_hash_is_not_signed() {
        let sign = |url| signature("ticket", "n", 1, url);
        assert_eq!(sign("https://deck.example/a?b=c#d"), sign("https://deck.example/a?b=c"));
        assert_ne!(sign("https://deck.example/a?b=c"), sign("https://deck.example/a"));
    }
}
