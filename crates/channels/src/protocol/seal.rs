//! The few cryptographic steps that all platforms share.

use aes::Aes256;
use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::Rejected;

/// Of a cipher's block, in bytes.
pub(super) const BLOCK: usize = 16;

/// Reads what platforms call base64: with or without `=`, and with bits left over at the end, as in a key of 43
/// letters.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text.trim()).ok()
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes as long for the first letter that differs as for the last.
pub(super) fn equal(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

pub(super) fn hmac_sha256(key: &[u8], message: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// Decrypts AES-256-CBC and takes off a PKCS#7 padding of at most `most` bytes, checking every byte of it.
///
/// # Errors
/// [`Rejected::Format`] when the length is not one of whole blocks; [`Rejected::Padding`] when the padding is none.
pub(super) fn decrypt(
    key: &[u8; 32],
    iv: &[u8; BLOCK],
    mut bytes: Vec<u8>,
    most: u8,
) -> Result<Vec<u8>, Rejected> {
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
        return Err(Rejected::format("the encrypted part is not whole blocks of 16 bytes"));
    }
    let cipher = cbc::Decryptor::<Aes256>::new(key.into(), iv.into());
    cipher.decrypt_padded_mut::<NoPadding>(&mut bytes).expect("whole blocks were asked for above");
    let n_padding = *bytes.last().expect("it is not empty");
    let start = bytes.len().checked_sub(usize::from(n_padding)).ok_or(Rejected::Padding)?;
    if n_padding == 0 || n_padding > most || bytes[start..].iter().any(|byte| *byte != n_padding) {
        return Err(Rejected::Padding);
    }
    bytes.truncate(start);
    Ok(bytes)
}

/// Pads to whole multiples of `multiple` bytes (at most 255) with PKCS#7 and encrypts with AES-256-CBC.
pub(super) fn encrypt(key: &[u8; 32], iv: &[u8; BLOCK], mut bytes: Vec<u8>, multiple: usize) -> Vec<u8> {
    let n_padding = multiple - bytes.len() % multiple;
    bytes.resize(bytes.len() + n_padding, u8::try_from(n_padding).expect("a block is at most 255 bytes"));
    let n_bytes = bytes.len();
    let cipher = cbc::Encryptor::<Aes256>::new(key.into(), iv.into());
    cipher.encrypt_padded_mut::<NoPadding>(&mut bytes, n_bytes).expect("it was padded to whole blocks");
    bytes
}

/// `N` bytes that nobody can guess.
///
/// # Errors
/// [`Rejected::Key`] when the operating system gives none.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Rejected> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Rejected::Key("machine gives no random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_decrypts_whatever_its_length() {
        let (key, iv) = ([7; 32], [9; BLOCK]);
        for (multiple, most) in [(16, 16), (32, 32)] {
            for n in 0..70 {
                let plain = vec![b'x'; n];
                let sealed = encrypt(&key, &iv, plain.clone(), multiple);
                assert!(sealed.len().is_multiple_of(multiple) && sealed.len() > n);
                assert_eq!(decrypt(&key, &iv, sealed, most), Ok(plain));
            }
        }
    }

    #[test]
    fn padding_of_a_block_of_32_is_none_where_16_is_the_block() {
        let (key, iv) = ([7; 32], [9; BLOCK]);
        let sealed = encrypt(&key, &iv, vec![b'x'; 2], 32);
        assert_eq!(decrypt(&key, &iv, sealed, 16), Err(Rejected::Padding));
    }

    #[test]
    fn another_key_and_broken_blocks_are_told_apart() {
        let sealed = encrypt(&[7; 32], &[9; BLOCK], b"hello".to_vec(), 32);
        assert_eq!(decrypt(&[8; 32], &[9; BLOCK], sealed.clone(), 32), Err(Rejected::Padding));
        assert!(matches!(decrypt(&[7; 32], &[9; BLOCK], sealed[1..].to_vec(), 32), Err(Rejected::Format(_))));
        assert!(matches!(decrypt(&[7; 32], &[9; BLOCK], Vec::new(), 32), Err(Rejected::Format(_))));
    }

    #[test]
    fn a_key_of_43_letters_is_32_bytes() {
        let key = from_base64("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").unwrap();
        assert_eq!(key.len(), 32);
        assert_eq!(from_base64("***"), None);
    }
}
