//! From bytes to text, when nobody says what the bytes are.
//!
//! Order: byte order mark, strict UTF-8, UTF-16 told by where the zero bytes stand, almost-UTF-8 (a few
//! damaged bytes in a sea of valid ones), then chardetng with a Chinese hint. Under that hint chardetng
//! takes Big5 for GBK, so those two are compared by how many of the characters are common ones.
//! Line ends are normalised to LF here, once, so every later line number counts the same lines.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{BIG5, Encoding, GB18030, GBK, UTF_8, UTF_16BE, UTF_16LE};

/// Text made of a file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Without byte order mark, lines ended by LF.
    pub text: String,
    /// The encoding's usual name, e.g. `UTF-8`, `GB18030`.
    pub encoding: &'static str,
    /// Line of the first character that could not be decoded.
    pub lossy_line: Option<u32>,
}

/// The bytes are not text at all.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Binary;

/// Beginnings of files that are certainly not text, whatever they are called.
const SIGNATURES: [&[u8]; 9] = [
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"PK\x03\x04",
    b"%PDF-",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    b"\x1f\x8b\x08",
    b"7z\xbc\xaf\x27\x1c",
    b"\x7fELF",
];

/// Decodes a file that should be text.
///
/// # Errors
/// [`Binary`] for a known binary signature, zero bytes that are not UTF-16, or too many control characters.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Binary> {
    if let Some((encoding, mark_length)) = Encoding::for_bom(bytes) {
        return finish(&bytes[mark_length..], encoding);
    }
    if SIGNATURES.iter().any(|signature| bytes.starts_with(signature)) {
        return Err(Binary);
    }
    if bytes.contains(&0) {
        return finish(bytes, utf16_without_mark(bytes).ok_or(Binary)?);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return finish_text(text.to_owned(), "UTF-8");
    }
    if almost_utf8(bytes) {
        return finish(bytes, UTF_8);
    }
    finish(bytes, guess(bytes))
}

fn finish(bytes: &[u8], encoding: &'static Encoding) -> Result<Decoded, Binary> {
    // GB18030 contains GBK, and the text of a file called GBK may use the four-byte characters.
    let encoding = if encoding == GBK { GB18030 } else { encoding };
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    finish_text(text.into_owned(), encoding_name(encoding))
}

fn encoding_name(encoding: &'static Encoding) -> &'static str {
    if encoding == GB18030 { "GB18030" } else { encoding.name() }
}

fn finish_text(text: String, encoding: &'static str) -> Result<Decoded, Binary> {
    let controls =
        text.chars().filter(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0c')).count();
    if controls * 100 > text.chars().count() {
        return Err(Binary);
    }
    let text = if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text };
    // A replacement character that stood in the source itself is as little readable as one made here.
    let lossy_line =
        text.find('\u{fffd}').map(|at| 1 + text[..at].bytes().filter(|&byte| byte == b'\n').count() as u32);
    Ok(Decoded { text, encoding, lossy_line })
}

/// UTF-16 puts the zero bytes of ASCII characters (line ends at least) all on one side.
fn utf16_without_mark(bytes: &[u8]) -> Option<&'static Encoding> {
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let zeros = |parity: usize| bytes.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let encoding = if odd > 9 * even {
        UTF_16LE
    } else if even > 9 * odd {
        UTF_16BE
    } else {
        return None;
    };
    let (text, damaged) = encoding.decode_without_bom_handling(bytes);
    (!damaged && !text.contains('\0')).then_some(encoding)
}

/// Whether the bytes are UTF-8 with few damaged places: other encodings break UTF-8 at nearly every character.
fn almost_utf8(bytes: &[u8]) -> bool {
    let (mut good, mut bad) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    good >= 10 * bad
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    let guessed = detector.guess(Some(b"cn"), Utf8Detection::Deny);
    if guessed != GBK && guessed != GB18030 && guessed != BIG5 {
        return guessed;
    }
    let simplified = common_share(bytes, 0x81..=0xfe, |lead, trail| {
        // GB 2312 level 1 (the 3,755 commonest characters) and its punctuation rows.
        trail >= 0xa1 && (matches!(lead, 0xb0..=0xd7) || matches!(lead, 0xa1..=0xa3))
    });
    let traditional = common_share(bytes, 0xa1..=0xf9, |lead, trail| {
        // Big5 level 1 (the 5,401 commonest characters) and its punctuation rows.
        (matches!(trail, 0x40..=0x7e) || trail >= 0xa1) && matches!(lead, 0xa1..=0xc6)
    });
    if traditional > simplified { BIG5 } else { GB18030 }
}

/// Share of the two-byte characters that `is_common`; 0 where there are none.
fn common_share(
    bytes: &[u8],
    leads: std::ops::RangeInclusive<u8>,
    is_common: impl Fn(u8, u8) -> bool,
) -> f64 {
    let (mut pairs, mut common, mut at) = (0_usize, 0_usize, 0_usize);
    while at < bytes.len() {
        if !leads.contains(&bytes[at]) {
            at += 1;
            continue;
        }
        pairs += 1;
        if bytes.get(at + 1).is_some_and(|&trail| is_common(bytes[at], trail)) {
            common += 1;
        }
        at += 2;
    }
    if pairs == 0 { 0.0 } else { common as f64 / pairs as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMPLIFIED: &str = "问题,答案\n贴标机多少钱,26.8 万元\n";
    const TRADITIONAL: &str = "山嵐茶飲換型時間縮短，貼標機運轉順暢，停機損失減少一半以上。";

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        text.encode_utf16()
            .flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    #[test]
    fn common_encodings_are_told_apart() {
        let cases: Vec<(Vec<u8>, &str, &str)> = vec![
            (SIMPLIFIED.into(), "UTF-8", SIMPLIFIED),
            ([b"\xef\xbb\xbf", SIMPLIFIED.as_bytes()].concat(), "UTF-8", SIMPLIFIED),
            (GB18030.encode(SIMPLIFIED).0.into_owned(), "GB18030", SIMPLIFIED),
            (GB18030.encode("价格").0.into_owned(), "GB18030", "价格"),
            (BIG5.encode(TRADITIONAL).0.into_owned(), "Big5", TRADITIONAL),
            (utf16(SIMPLIFIED, false), "UTF-16LE", SIMPLIFIED),
            (utf16(SIMPLIFIED, true), "UTF-16BE", SIMPLIFIED),
            ([&[0xff, 0xfe], utf16(SIMPLIFIED, false).as_slice()].concat(), "UTF-16LE", SIMPLIFIED),
        ];
        for (bytes, encoding, text) in cases {
            let decoded = decode(&bytes).expect("text");
            assert_eq!((decoded.encoding, decoded.text.as_str(), decoded.lossy_line), (encoding, text, None));
        }
    }

    #[test]
    fn every_line_end_becomes_a_line_feed() {
        assert_eq!(decode(b"a\r\nb\rc\n").expect("text").text, "a\nb\nc\n");
    }

    #[test]
    fn one_damaged_byte_does_not_turn_utf8_into_another_encoding() {
        let mut bytes = "贴标机的换型时间是多少\n".repeat(3).into_bytes();
        let second_line = bytes.iter().position(|&byte| byte == b'\n').expect("a line") + 1;
        bytes[second_line] = 0xff;
        let decoded = decode(&bytes).expect("text");
        assert_eq!((decoded.encoding, decoded.lossy_line), ("UTF-8", Some(2)));
    }

    #[test]
    fn what_is_not_text_is_binary() {
        for bytes in
            [&b"\x89PNG\r\n\x1a\n1234"[..], b"PK\x03\x04abc", b"a\0\0\0b\0\0\0\x01", b"\x01\x02\x03abc"]
        {
            assert_eq!(decode(bytes), Err(Binary));
        }
    }
}
