//! `models`: what is on this machine, and how another one is brought in.

use std::path::Path;

use flightdeck_models::ImportOptions;
use serde::Serialize;

use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Where imported models lie in the data folder.
const IMPORTED: &str = "models";

#[derive(Serialize)]
struct Entry {
    name: String,
    path: String,
    dimension: Option<usize>,
    max_tokens: Option<usize>,
    licence: Option<String>,
    in_use: bool,
    /// `null` when every file is what the manifest says.
    problem: Option<String>,
}

/// Runs `models list`: every model beside the configured one and every imported one, its files checked against its
/// manifest. Status 1 when one of them does not fit.
///
/// # Errors
/// When the folder of models cannot be listed.
pub fn list(config: &Config, args: JsonArgs) -> Result<Verdict, Failure> {
    let folder = config.model.parent().unwrap_or(&config.model);
    let mut found = flightdeck_models::list(folder)?;
    let imported = config.data.join(IMPORTED);
    if imported != folder && imported.is_dir() {
        found.extend(flightdeck_models::list(&imported)?);
    }
    let entries: Vec<Entry> = found
        .into_iter()
        .map(|(path, manifest)| {
            let checked = manifest.and_then(|_| flightdeck_models::verify(&path));
            let problem = checked.as_ref().err().map(ToString::to_string);
            let manifest = checked.ok();
            let folder_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            Entry {
                name: manifest.as_ref().map_or(folder_name.unwrap_or_default(), |m| m.name.clone()),
                dimension: manifest.as_ref().map(|m| m.dimension),
                max_tokens: manifest.as_ref().map(|m| m.max_tokens),
                licence: manifest.map(|m| m.licence),
                in_use: path == config.model,
                path: path.display().to_string(),
                problem,
            }
        })
        .collect();
    if args.json {
        output::json(&entries)?;
    } else {
        let rows: Vec<Vec<String>> = entries
            .iter()
            .map(|entry| {
                let state = match (&entry.problem, entry.in_use) {
                    (Some(problem), _) => problem.clone(),
                    (None, true) => config.language.pick("in use", "使用中").to_owned(),
                    (None, false) => config.language.pick("ready", "可用").to_owned(),
                };
                let size = entry.dimension.map(|n| format!("{n}-d")).unwrap_or_default();
                vec![
                    entry.name.clone(),
                    size,
                    entry.licence.clone().unwrap_or_default(),
                    state,
                    entry.path.clone(),
                ]
            })
            .collect();
        output::text(&output::table(&rows))?;
    }
    let any_wrong = entries.iter().any(|entry| entry.problem.is_some());
    Ok(if any_wrong { Verdict::FoundWrong } else { Verdict::Well })
}

/// Runs `models pull`: there is nowhere to fetch from yet, and saying otherwise would be a lie.
///
/// # Errors
/// Always.
pub fn pull(name: &str) -> Result<Verdict, Failure> {
    Err(Failure::new(
        format!(
            "cannot fetch {name}: this version fetches no models; the default, multilingual-e5-small, ships with the \
             program, and another can be put into models/ or made with `flightdeck models import FILE`"
        ),
        format!(
            "无法下载 {name}：当前版本不支持下载模型；默认模型 multilingual-e5-small 已随程序提供，其他模型可放入 \
             models/ 或用 flightdeck models import FILE 导入"
        ),
    ))
}

/// Runs `models import`: makes the folder of the configured model's name beside the others, under `DATA/models` where
/// the default one already lies, so that what ships with the program is never overwritten.
///
/// # Errors
/// When the file is not what it should be or the folder cannot be written.
pub fn import(config: &Config, file: &Path) -> Result<Verdict, Failure> {
    let name = config.model.file_name().unwrap_or_else(|| "multilingual-e5-small".as_ref());
    let out_dir = config.data.join(IMPORTED).join(name);
    let options = ImportOptions {
        made_with: format!(
            "flightdeck models import {}",
            file.file_name().unwrap_or(file.as_os_str()).to_string_lossy()
        ),
        ..ImportOptions::default()
    };
    let report = flightdeck_models::import(file, &out_dir, &options)?;
    let (kept, all, bytes) = (report.pieces_after, report.pieces_before, report.bytes);
    let path = out_dir.display();
    output::text(config.language.pick(
        &format!("{path}: {kept} of {all} vocabulary pieces kept, {bytes} bytes; set `model` to this folder to use it"),
        &format!("{path}：保留 {all} 个词片中的 {kept} 个，共 {bytes} 字节；把 model 设置为此文件夹即可使用"),
    ))?;
    Ok(Verdict::Well)
}
