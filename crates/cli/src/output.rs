//! Standard output: one JSON document or a text for people, and nothing else.
//!
//! Whoever reads may stop reading (`flightdeck search … | head -1`); that is not our trouble, so the program then
//! ends quietly instead of complaining that the pipe is closed.

use std::io::{ErrorKind, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints `value` as one JSON document on one line.
///
/// # Errors
/// When standard output cannot be written, a full disk for instance.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(value).map_err(|error| cannot_print(&error.to_string()))?;
    line.push(b'\n');
    print(&line)
}

/// Prints `text` with one line break at its end.
///
/// # Errors
/// As [`json`].
pub fn text(text: &str) -> Result<(), Failure> {
    print(format!("{}\n", text.trim_end_matches('\n')).as_bytes())
}

/// Prints a part of a text that goes on.
///
/// # Errors
/// As [`json`].
pub fn piece(text: &str) -> Result<(), Failure> {
    print(text.as_bytes())
}

fn print(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(cannot_print(&error.to_string())),
    }
}

fn cannot_print(reason: &str) -> Failure {
    Failure::new(
        format!("cannot write to standard output: {reason}; check where it goes"),
        format!("无法写入标准输出：{reason}；请检查输出的去处"),
    )
}

/// A line for the person on standard error; a closed standard error is nobody's trouble.
pub fn note(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Rows in columns, as wide as they need to be on a terminal, where a Chinese character takes two places.
pub fn table(rows: &[Vec<String>]) -> String {
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, &wide) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', wide - width(cell) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Places on a terminal: East Asian wide characters take two.
fn width(text: &str) -> usize {
    text.chars().map(|c| if matches!(c as u32, 0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF | 0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD) { 2 } else { 1 }).sum()
}

/// Text in a colour where standard output is a terminal that wants colours.
pub fn colour(code: Colour, text: &str) -> String {
    let wanted =
        std::io::IsTerminal::is_terminal(&std::io::stdout()) && std::env::var_os("NO_COLOR").is_none();
    if wanted { format!("\u{1B}[{}m{text}\u{1B}[0m", code as u8) } else { text.to_owned() }
}

/// The few colours in use, by their terminal code.
#[derive(Clone, Copy, Debug)]
pub enum Colour {
    /// Titles.
    Bold = 1,
    /// Paths and other small print.
    Dim = 2,
    /// What is wrong.
    Red = 31,
    /// What is well.
    Green = 32,
    /// What is worth a look.
    Yellow = 33,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_under_chinese_text() {
        let rows = [["贴标机", "1"], ["ab", "22"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "贴标机  1\nab      22\n");
    }
}
