//! `backup` and `audit`: the records as a whole.

use std::fmt::Write as _;
use std::path::Path;

use flightdeck_records::Records;

use super::customers::RECORDS_FILE;
use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Runs `backup`: a whole copy, also while a server writes. To restore it, put it in the place of
/// `DATA/records.sqlite` while nothing runs.
///
/// # Errors
/// When something stands at `file` already, or it cannot be written.
pub fn back_up(config: &Config, file: &Path) -> Result<Verdict, Failure> {
    let n_bytes = Records::open(config.data.join(RECORDS_FILE))?.back_up(file)?;
    let path = file.display();
    output::text(config.language.pick(
        &format!("{path}: {n_bytes} bytes; it holds personal data, keep it as safe as the records"),
        &format!("{path}：{n_bytes} 字节；其中有个人信息，请与业务记录同样妥善保管"),
    ))?;
    Ok(Verdict::Well)
}

/// Runs `audit`.
///
/// # Errors
/// When the records cannot be read.
pub fn audit(config: &Config, limit: u16, format: JsonArgs) -> Result<Verdict, Failure> {
    let entries = Records::open(config.data.join(RECORDS_FILE))?.audit(limit.into())?;
    if format.json {
        output::json(&entries)?;
        return Ok(Verdict::Well);
    }
    let mut lines = String::new();
    for entry in entries {
        let actor = entry.actor.as_deref().unwrap_or(config.language.pick("command line", "命令行"));
        let details = if entry.details.is_null() { String::new() } else { entry.details.to_string() };
        let at = entry.at.strftime("%F %T");
        // An id is somebody's text; a line break in it would make a line of its own.
        let subject = entry.subject.escape_debug();
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{at}  {actor}  {}  {subject}  {details}", entry.action);
    }
    output::text(lines.trim_end())?;
    Ok(Verdict::Well)
}
