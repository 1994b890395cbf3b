//! `customers`: customers from a file into the records, and what is known of one out of them.

use std::path::Path;

use flightdeck_corpus::{Problem, Severity};
use flightdeck_records::{
    Customer, ImportError, Records, SheetOfCustomers, parse_customer_sheets, parse_customers,
};

use crate::failure::Failure;
use crate::settings::Config;
use crate::workbench::worker;
use crate::{Verdict, output};

/// Where the records lie in the data folder.
pub const RECORDS_FILE: &str = "records.sqlite";

/// Runs `customers import`: all rows of the file or, when one does not fit, none.
///
/// # Errors
/// When the file cannot be read or understood, or the records cannot be written.
pub fn import(config: &Config, file: &Path) -> Result<Verdict, Failure> {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    let customers = read(config, file, &name)?;
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let report = records.import_customers(&customers, &name)?;
    let (added, updated) = (report.added, report.updated);
    output::text(config.language.pick(
        &format!("{added} customers added, {updated} updated"),
        &format!("新增客户 {added} 个，更新 {updated} 个"),
    ))?;
    Ok(Verdict::Well)
}

fn read(config: &Config, file: &Path, name: &str) -> Result<Vec<Customer>, Failure> {
    let wrong = |error: ImportError| {
        Failure::new(
            format!("{error}; correct the file and import it again"),
            format!("{error}；请修正文件后重新导入"),
        )
    };
    let is_workbook = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("xlsx"));
    if !is_workbook {
        let bytes = std::fs::read(file).map_err(|error| Failure::unreadable(file, &error))?;
        return parse_customers(name, &bytes).map_err(wrong);
    }
    let workbook = flightdeck_corpus::extract(file, Some(&worker(config)))?;
    // A workbook that was read may still have errors as knowledge, which it is not. One that was read in part would
    // be imported in part.
    let keeps_out = |problem: &&Problem| {
        let is_cut = matches!(problem.code.as_str(), "unreadable" | "incomplete");
        problem.severity == Severity::Error && (workbook.tables.is_empty() || is_cut)
    };
    if let Some(problem) = workbook.warnings.iter().find(keeps_out) {
        return Err(Failure::new(
            format!("{name}: {}; save it anew and import it again", problem.message),
            format!("{name}：{}；请重新保存后再导入", problem.message_zh),
        ));
    }
    let sheets = workbook.tables.into_iter().map(|table| SheetOfCustomers {
        name: table.name.unwrap_or_default(),
        header: table.header,
        rows: table.rows,
    });
    parse_customer_sheets(name, sheets.collect()).map_err(wrong)
}

/// Runs `customers export`: one JSON document with everything, as the HTTP interface gives it.
///
/// # Errors
/// When there is no such customer, or the records cannot be read.
pub fn export(config: &Config, id: &str) -> Result<Verdict, Failure> {
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let data = records.export_customer(id, None)?.ok_or_else(|| unknown(id))?;
    output::json(&flightdeck_server::personal_data(data))?;
    Ok(Verdict::Well)
}

/// Runs `customers erase`.
///
/// # Errors
/// When `yes` was not said, there is no such customer, or the records cannot be written.
pub fn erase(config: &Config, id: &str, yes: bool) -> Result<Verdict, Failure> {
    if !yes {
        return Err(Failure::new(
            format!("erasing {id} cannot be taken back; export it first if in doubt, then add --yes"),
            format!("删除 {id} 后无法恢复；如有疑问请先导出，再加上 --yes"),
        ));
    }
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let erased = records.erase_customer(id, None)?.ok_or_else(|| unknown(id))?;
    let (entries, conversations) = (erased.interactions, erased.conversations);
    output::text(config.language.pick(
        &format!(
            "{id} erased, with {entries} entries of the timeline and {conversations} conversations; backups made \
             before still hold them"
        ),
        &format!("已删除 {id}，连同 {entries} 条跟进记录和 {conversations} 个对话；此前的备份里仍有这些内容"),
    ))?;
    Ok(Verdict::Well)
}

fn unknown(id: &str) -> Failure {
    Failure::new(
        format!("no customer has the id {id}; check it against your list of customers"),
        format!("没有编号为 {id} 的客户；请核对客户编号"),
    )
}
