//! Archives that mean harm, read in this process: none is read as if nothing were wrong, none takes it along.

mod support;

use flightdeck_corpus::Severity;
use support::{document, folder, problems, read};

#[test]
fn what_an_archive_unpacks_to_is_limited_whatever_it_claims() {
    let (honest, lying) = (bomb(true), bomb(false));
    assert!(honest.len() < 3 << 20, "{}", honest.len());
    let root = folder(&[
        ("honest.docx", honest.as_slice()),
        ("lying.docx", lying.as_slice()),
        ("fine.docx", word("<w:p><w:r><w:t>换线 8 分钟</w:t></w:r></w:p>").as_slice()),
    ]);
    let corpus = read(root.path());
    assert!(problems(&corpus).contains(&("honest.docx", "too_large")), "{:?}", corpus.problems);
    assert!(corpus.problems.iter().any(|problem| problem.path == "lying.docx"), "{:?}", corpus.problems);
    assert_eq!(
        corpus.documents.len(),
        1,
        "{:?}",
        corpus.documents.iter().map(|found| &found.id).collect::<Vec<_>>()
    );
    assert_eq!(document(&corpus, "fine").text, "换线 8 分钟\n");
}

#[test]
fn entities_are_not_expanded() {
    let mut entities = String::from("<!ENTITY e0 \"笑笑笑笑笑笑笑笑笑笑\">");
    for n in 1..10 {
        let before = format!("&e{};", n - 1).repeat(10);
        entities.push_str(&format!("<!ENTITY e{n} \"{before}\">"));
    }
    let bytes = word_of(&format!(
        "<!DOCTYPE x [{entities}]><w:document {WORD}><w:body><w:p><w:r><w:t>前&e9;后</w:t></w:r></w:p></w:body></w:document>"
    ));
    let corpus = read(folder(&[("laughs.docx", bytes.as_slice())]).path());
    let n_chars: usize = corpus.documents.iter().map(|document| document.text.chars().count()).sum();
    assert!(n_chars < 100, "{n_chars}");
    assert!(n_chars > 0 || !corpus.problems.is_empty());
}

#[test]
fn a_file_with_a_password_says_so_under_any_name() {
    // What Office writes round an encrypted package: a compound file with a stream of this name.
    let mut locked = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec();
    locked.resize(1024, 0);
    locked.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    let names = ["a.docx", "a.pptx", "a.doc", "a.xls", "a.xlsx"];
    for name in names {
        let corpus = read(folder(&[(name, locked.as_slice())]).path());
        assert_eq!(problems(&corpus), [(name, "encrypted")]);
        assert_eq!(corpus.problems[0].severity, Severity::Error);
    }
}

#[test]
fn a_whole_file_without_words_is_a_warning_and_a_cut_one_an_error() {
    let wordless = word("<w:p/>");
    let root =
        folder(&[("wordless.docx", wordless.as_slice()), ("cut.docx", &wordless[..wordless.len() / 2])]);
    let corpus = read(root.path());
    assert_eq!(problems(&corpus), [("cut.docx", "unreadable"), ("wordless.docx", "empty")]);
    let severities: Vec<Severity> = corpus.problems.iter().map(|problem| problem.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning]);
}

const WORD: &str = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\"";
const TYPES: &str = "<Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
    <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
    <Default Extension=\"xml\" ContentType=\"application/xml\"/><Override PartName=\"/word/document.xml\" \
    ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>";
const RELATIONS: &str = "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">\
    <Relationship Id=\"rId1\" Target=\"word/document.xml\" \
    Type=\"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument\"/></Relationships>";

/// A Word file with this body.
fn word(body: &str) -> Vec<u8> {
    word_of(&format!("<w:document {WORD}><w:body>{body}</w:body></w:document>"))
}

fn word_of(document: &str) -> Vec<u8> {
    zip(&[
        stored("[Content_Types].xml", TYPES),
        stored("_rels/.rels", RELATIONS),
        stored("word/document.xml", document),
    ])
}

/// A Word file of 2.6 MB whose text unpacks to some 400 MB, which its directory tells or not.
fn bomb(is_honest: bool) -> Vec<u8> {
    let head = format!("<w:document {WORD}><w:body><w:p><w:r><w:t>a");
    let tail = "</w:t></w:r></w:p></w:body></w:document>";
    let n_repeats = 1_600_000;
    let packed = deflated(&head, n_repeats, tail);
    let claimed = if is_honest { head.len() + n_repeats * 258 + tail.len() } else { 1000 };
    let main = Part { name: "word/document.xml", packed: &packed, method: 8, claimed, crc: 0 };
    zip(&[stored("[Content_Types].xml", TYPES), stored("_rels/.rels", RELATIONS), main])
}

/// A file of an archive.
struct Part<'a> {
    name: &'a str,
    packed: &'a [u8],
    /// 0 is stored, 8 deflated.
    method: u16,
    /// The unpacked size that the archive tells, true or not.
    claimed: usize,
    crc: u32,
}

fn stored<'a>(name: &'a str, text: &'a str) -> Part<'a> {
    let packed = text.as_bytes();
    Part { name, packed, method: 0, claimed: packed.len(), crc: crc32(packed) }
}

fn zip(parts: &[Part<'_>]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let at = archive.len() as u32;
        let mut header = Vec::new();
        header.extend([20, 0, 0, 0]);
        header.extend(part.method.to_le_bytes());
        // A date that ZIP can tell: 1 January 2026.
        header.extend([0, 0, 0x21, 0x5C]);
        header.extend(part.crc.to_le_bytes());
        header.extend((part.packed.len() as u32).to_le_bytes());
        header.extend((part.claimed as u32).to_le_bytes());
        header.extend((part.name.len() as u16).to_le_bytes());
        header.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&header);
        archive.extend(part.name.as_bytes());
        archive.extend(part.packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&header);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(part.name.as_bytes());
    }
    let at = archive.len() as u32;
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend((parts.len() as u16).to_le_bytes());
    archive.extend((parts.len() as u16).to_le_bytes());
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// A deflate stream (RFC 1951) of `head`, its last byte 258 times `n_repeats` more, and `tail`; both ASCII.
fn deflated(head: &str, n_repeats: usize, tail: &str) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, with the fixed codes.
    bits.push(0b110, 3);
    let literals =
        |bits: &mut Bits, text: &str| text.bytes().for_each(|byte| bits.push(0x30 + u32::from(byte), 8));
    literals(&mut bits, head);
    for _ in 0..n_repeats {
        // Length 258, then distance 1.
        bits.push(0b1100_0101, 8);
        bits.push(0, 5);
    }
    literals(&mut bits, tail);
    bits.push(0, 7);
    bits.bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    n_used: usize,
}

impl Bits {
    /// Appends a Huffman code, its highest bit first.
    fn push(&mut self, code: u32, n_bits: usize) {
        for bit in (0..n_bits).rev() {
            if self.n_used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if code >> bit & 1 == 1 {
                let last = self.bytes.len() - 1;
                self.bytes[last] |= 1 << (self.n_used % 8);
            }
            self.n_used += 1;
        }
    }
}
