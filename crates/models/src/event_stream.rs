//! Server-sent events out of bytes that come in any pieces: only the data, which is all that `OpenAI`'s protocol uses.

/// Longest event; a chunk of an answer has some hundred bytes.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// Collects bytes until events are whole.
#[derive(Default)]
pub(crate) struct EventStream {
    line: Vec<u8>,
    data: String,
    has_data: bool,
    ended_by_cr: bool,
}

/// Why the bytes are no event stream.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EventError {
    #[error("an event is not UTF-8")]
    NotText,
    #[error("an event is longer than 1 MiB")]
    TooLong,
}

impl EventStream {
    /// Takes in the next bytes; the data of each event that they complete.
    ///
    /// # Errors
    /// When an event is too long or not UTF-8.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<String>, EventError> {
        let mut events = Vec::new();
        for &byte in bytes {
            // Lines end at LF, CR LF or CR.
            let is_second_half = byte == b'\n' && self.ended_by_cr;
            self.ended_by_cr = byte == b'\r';
            if is_second_half {
                continue;
            }
            if byte == b'\n' || byte == b'\r' {
                self.end_line(&mut events)?;
                continue;
            }
            self.line.push(byte);
            if self.line.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(EventError::TooLong);
            }
        }
        Ok(events)
    }

    /// What an end without an empty line leaves: the last event, as servers that forget the line mean it.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(mut self) -> Result<Option<String>, EventError> {
        let mut events = self.push(b"\n\n")?;
        Ok(events.pop())
    }

    fn end_line(&mut self, events: &mut Vec<String>) -> Result<(), EventError> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            if self.has_data {
                self.has_data = false;
                events.push(std::mem::take(&mut self.data));
            }
            return Ok(());
        }
        let line = String::from_utf8(line).map_err(|_| EventError::NotText)?;
        if let Some(data) = line.strip_prefix("data:") {
            if self.has_data {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            self.has_data = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let text =
            ": ping\n\ndata: 一\n\nevent: x\r\ndata:{\"a\":1}\r\ndata: 二\r\n\r\nid: 7\n\ndata: [DONE]";
        for size in 1..text.len() {
            let mut stream = EventStream::default();
            let mut events: Vec<String> =
                text.as_bytes().chunks(size).flat_map(|bytes| stream.push(bytes).unwrap()).collect();
            events.extend(stream.finish().unwrap());
            assert_eq!(events, ["一", "{\"a\":1}\n二", "[DONE]"], "in pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_text_or_never_ends_is_refused() {
        assert_eq!(EventStream::default().push(b"data: \xff\n"), Err(EventError::NotText));
        let endless = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert_eq!(EventStream::default().push(&endless), Err(EventError::TooLong));
    }
}
