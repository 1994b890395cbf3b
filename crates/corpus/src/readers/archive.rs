//! What a ZIP archive claims about itself, read before anything is unpacked.

/// The claims that matter to a limit.
pub(crate) struct Claims {
    /// Bytes that all entries unpack to.
    pub unpacked: u64,
    /// Bytes that the entries unpack to that hold structure: XML and relations.
    pub unpacked_xml: u64,
}

/// The sums of the sizes that the archive's directory gives; `None` where there is no directory.
pub(crate) fn claims(bytes: &[u8]) -> Option<Claims> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    // The end record is 22 bytes and a comment of at most 65,535.
    let earliest = bytes.len().saturating_sub(22 + 65_535);
    let end = earliest + bytes[earliest..].windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let n_entries = u16_at(end + 10)?;
    let mut at = u32_at(end + 16)? as usize;
    let mut claims = Claims { unpacked: 0, unpacked_xml: 0 };
    for _ in 0..n_entries {
        if bytes.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let size = u64::from(u32_at(at + 24)?);
        let name_length = usize::from(u16_at(at + 28)?);
        let name = bytes.get(at + 46..at + 46 + name_length)?.to_ascii_lowercase();
        claims.unpacked += size;
        if name.ends_with(b".xml") || name.ends_with(b".rels") {
            claims.unpacked_xml += size;
        }
        at += 46 + name_length + usize::from(u16_at(at + 30)?) + usize::from(u16_at(at + 32)?);
    }
    Some(claims)
}
