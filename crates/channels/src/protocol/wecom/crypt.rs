//! `WXBizMsgCrypt`: SHA-1 over the sorted parts, AES-256-CBC padded to 32 bytes, the receiver's id at the end.
//!
//! DingTalk's event subscription uses the same scheme with another receiver's id.

use sha1::{Digest, Sha1};

use super::super::{Rejected, seal};

/// The padding's multiple, in bytes; twice the cipher's block.
const PAD_MULTIPLE: usize = 32;
/// Random bytes in front of the message.
const N_RANDOM: usize = 16;
/// Of the length that follows them.
const N_LENGTH: usize = 4;

/// The token and key of one account.
pub struct Crypt {
    token: String,
    key: [u8; 32],
    iv: [u8; seal::BLOCK],
    receive_id: String,
}

/// The parts of a request or reply that are signed together.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `msg_signature`: 40 hexadecimal digits.
    pub signature: &'a str,
    /// `timestamp`, to the letter.
    pub timestamp: &'a str,
    /// `nonce`.
    pub nonce: &'a str,
    /// `Encrypt`, `encrypt` or `echostr`: base64.
    pub encrypt: &'a str,
}

impl Crypt {
    /// The account's secrets. `receive_id` is the corp id; empty for a company's own smart robot.
    ///
    /// # Errors
    /// [`Rejected::Key`] when the token is empty or `encoding_aes_key` is not 43 letters of base64.
    pub fn new(token: &str, encoding_aes_key: &str, receive_id: &str) -> Result<Self, Rejected> {
        if token.is_empty() {
            return Err(Rejected::Key("token is empty"));
        }
        let wrong = Rejected::Key("EncodingAESKey is not 43 letters and digits; copy it again, whole");
        if encoding_aes_key.trim().trim_end_matches('=').len() != 43 {
            return Err(wrong);
        }
        let key: [u8; 32] =
            seal::from_base64(encoding_aes_key).and_then(|bytes| bytes.try_into().ok()).ok_or(wrong)?;
        Ok(Self { token: token.to_owned(), iv: iv_of(&key), key, receive_id: receive_id.to_owned() })
    }

    /// The receiver that messages must name.
    pub fn receive_id(&self) -> &str {
        &self.receive_id
    }

    /// The signature over the token and these parts: 40 hexadecimal digits.
    pub fn signature(&self, timestamp: &str, nonce: &str, encrypt: &str) -> String {
        let mut parts = [self.token.as_str(), timestamp, nonce, encrypt];
        parts.sort_unstable();
        let mut sha = Sha1::new();
        for part in parts {
            sha.update(part);
        }
        seal::hex(&sha.finalize())
    }

    /// Verifies and decrypts.
    ///
    /// # Errors
    /// [`Rejected::Signature`] before anything is decrypted; then [`Rejected::Format`], [`Rejected::Padding`],
    /// [`Rejected::ReceiveId`] or [`Rejected::Utf8`].
    pub fn open(&self, signed: Signed<'_>) -> Result<String, Rejected> {
        let expected = self.signature(signed.timestamp, signed.nonce, signed.encrypt);
        if !seal::equal(&expected, signed.signature) {
            return Err(Rejected::Signature("token"));
        }
        self.decrypt(signed.encrypt)
    }

    fn decrypt(&self, encrypt: &str) -> Result<String, Rejected> {
        let sealed =
            seal::from_base64(encrypt).ok_or_else(|| Rejected::format("the encrypted part is not base64"))?;
        let plain = seal::decrypt(&self.key, &self.iv, sealed, PAD_MULTIPLE as u8)?;
        let rest = plain.get(N_RANDOM..).ok_or_else(|| Rejected::format("the message is too short"))?;
        let (length, rest) = rest
            .split_first_chunk::<N_LENGTH>()
            .ok_or_else(|| Rejected::format("the message is too short"))?;
        let n_bytes = u32::from_be_bytes(*length) as usize;
        let (message, receive_id) = rest
            .split_at_checked(n_bytes)
            .ok_or_else(|| Rejected::format("the message is shorter than it says"))?;
        // A text that is none is reported as such, whoever it is for.
        let message = std::str::from_utf8(message).map_err(|_| Rejected::Utf8)?;
        if receive_id != self.receive_id.as_bytes() {
            return Err(Rejected::ReceiveId);
        }
        Ok(message.to_owned())
    }

    /// Encrypts with random bytes of the system.
    ///
    /// # Errors
    /// [`Rejected::Key`] when the system gives none.
    pub fn seal(&self, message: &str) -> Result<String, Rejected> {
        Ok(self.seal_with(message, &seal::random()?))
    }

    /// Encrypts with these random bytes; for comparing with recorded samples.
    pub fn seal_with(&self, message: &str, random: &[u8; N_RANDOM]) -> String {
        let length = u32::try_from(message.len()).expect("a message is shorter than 4 GiB");
        let plain =
            [random, &length.to_be_bytes()[..], message.as_bytes(), self.receive_id.as_bytes()].concat();
        seal::to_base64(&seal::encrypt(&self.key, &self.iv, plain, PAD_MULTIPLE))
    }
}

/// Decrypts a file that came with a smart robot's message. `key` is the file's own `aeskey` over a long connection
/// and the robot's `EncodingAESKey` otherwise.
///
/// # Errors
/// [`Rejected::Key`] when the key is not 32 bytes of base64; [`Rejected::Format`] or [`Rejected::Padding`].
pub fn decrypt_media(key: &str, bytes: Vec<u8>) -> Result<Vec<u8>, Rejected> {
    let key: [u8; 32] = seal::from_base64(key)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(Rejected::Key("file key is not 32 bytes of base64"))?;
    seal::decrypt(&key, &iv_of(&key), bytes, PAD_MULTIPLE as u8)
}

fn iv_of(key: &[u8; 32]) -> [u8; seal::BLOCK] {
    *key.first_chunk().expect("32 bytes begin with 16")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

    #[test]
    fn what_is_sealed_opens_and_only_for_its_receiver() {
        let crypt = Crypt::new("token", KEY, "corp").unwrap();
        let other = Crypt::new("token", KEY, "").unwrap();
        for text in ["", "好", "X200 交期？😀", &"长".repeat(2000)] {
            let encrypt = crypt.seal(text).unwrap();
            let signature = crypt.signature("1790000000", "n", &encrypt);
            let signed =
                Signed { signature: &signature, timestamp: "1790000000", nonce: "n", encrypt: &encrypt };
            assert_eq!(crypt.open(signed).as_deref(), Ok(text));
            assert_eq!(other.open(signed), Err(Rejected::ReceiveId));
            assert_eq!(crypt.open(Signed { nonce: "m", ..signed }), Err(Rejected::Signature("token")));
        }
    }

    #[test]
    fn the_same_text_is_never_sealed_to_the_same_bytes() {
        let crypt = Crypt::new("token", KEY, "").unwrap();
        assert_ne!(crypt.seal("hello").unwrap(), crypt.seal("hello").unwrap());
        assert_eq!(crypt.seal_with("hello", &[1; 16]), crypt.seal_with("hello", &[1; 16]));
    }

    #[test]
    fn a_key_that_was_not_copied_whole_is_named() {
        for key in ["", "abc", &KEY[1..], "abcdefghijklmnopqrstuvwxyz0123456789ABCDE*G"] {
            let error = Crypt::new("token", key, "").err().unwrap();
            assert!(error.to_string().contains("EncodingAESKey"), "{error}");
            assert!(key.is_empty() || !error.to_string().contains(key));
        }
        assert!(Crypt::new("", KEY, "").is_err());
    }
}
