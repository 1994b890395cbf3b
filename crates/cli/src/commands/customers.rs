//! `customers import`: customers from a file into the records.

use std::path::Path;

use flightdeck_records::{Records, parse_customers};

use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Where the records lie in the data folder.
pub const RECORDS_FILE: &str = "records.sqlite";

/// Runs `customers import`: all rows of the file or, when one does not fit, none.
///
/// # Errors
/// When the file cannot be read or understood, or the records cannot be written.
pub fn import(config: &Config, file: &Path) -> Result<Verdict, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::unreadable(file, &error))?;
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let customers = parse_customers(&name, &bytes).map_err(|error| {
        Failure::new(
            format!("{error}; correct the file and import it again"),
            format!("{error}；请修正文件后重新导入"),
        )
    })?;
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let report = records.import_customers(&customers, &name)?;
    let (added, updated) = (report.added, report.updated);
    output::text(config.language.pick(
        &format!("{added} customers added, {updated} updated"),
        &format!("新增客户 {added} 个，更新 {updated} 个"),
    ))?;
    Ok(Verdict::Well)
}
