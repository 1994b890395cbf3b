//! `models`: what is on this machine, and how another one is brought in.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flightdeck_models::{HubSettings, ImportOptions, PullError, Purpose, Trust};
use serde::Serialize;

use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::language::Language;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output};

/// Where imported models lie in the data folder.
const IMPORTED: &str = "models";
/// How long a hub may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

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
                in_use: path == config.model
                    || config.reranker.as_ref().is_some_and(|reranker| reranker.folder == path),
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

/// Runs `models pull`: fetches a model of the catalog from the hub that the settings name, into `DATA/models`.
///
/// # Errors
/// When the name is not in the catalog, no hub is set, or the download fails.
pub fn pull(config: &Config, name: &str) -> Result<Verdict, Failure> {
    let catalog = flightdeck_models::catalog();
    let Some(model) = catalog.iter().find(|model| model.name == name) else {
        let known = catalog.iter().map(|model| model.name.as_str()).collect::<Vec<_>>();
        return Err(Failure::new(
            format!("no model is called {name}; there are {}", known.join(", ")),
            format!("没有名为 {name} 的模型；可下载的有 {}", known.join("、")),
        ));
    };
    let Some(address) = &config.hub else {
        return Err(Failure::new(
            "no hub is set to fetch from: put the address of a model hub or of a mirror of one, as \
             https://HOST, into `hub.address` of flightdeck.toml or into FLIGHTDECK_HUB_ADDRESS",
            "没有设置下载来源：请把模型站或其镜像的地址（https://主机名）写入 flightdeck.toml 的 hub.address，\
             或环境变量 FLIGHTDECK_HUB_ADDRESS",
        ));
    };
    let private: HashSet<String> =
        config.channels.private_hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
    let settings = HubSettings {
        address: address.clone(),
        may_ask: Arc::new(move |host, address| {
            private.contains(host) || flightdeck_server::is_public(address)
        }),
        patience: PATIENCE,
    };
    output::note(&match config.language {
        Language::English => {
            format!("{name}: {} from {address}, licence {}", model.repository, model.licence)
        }
        Language::Chinese => {
            format!("{name}：从 {address} 下载 {}，许可证 {}", model.repository, model.licence)
        }
    });
    let into = config.data.join(IMPORTED);
    let bar = UpdateBar::new(config.language);
    let mut current = String::new();
    let pulled = flightdeck_models::pull(model, &into, &settings, &mut |file, done, total| {
        if current != file {
            file.clone_into(&mut current);
            bar.count(total.unwrap_or(done) as usize, file, file);
        }
        bar.done(done as usize);
        true
    });
    drop(bar);
    let pulled = pulled.map_err(|error| unpulled(name, &error))?;
    let mut lines = Vec::new();
    for (file, trust) in &pulled.files {
        let why = match trust {
            Trust::Pinned => config.language.pick("as this program knows it", "与程序内置的校验值一致"),
            Trust::Locked => config.language.pick("as in an earlier download", "与以前下载的一致"),
            Trust::Stated => config.language.pick("as the hub states it", "与下载来源声明的校验值一致"),
            Trust::FirstUse => config.language.pick(
                "nothing to compare with: recorded in models.lock, later downloads must be the same",
                "没有可比对的校验值：已记入 models.lock，以后下载必须一致",
            ),
        };
        lines.push(vec![file.name.clone(), format!("{} B", file.size), file.sha256.clone(), why.to_owned()]);
    }
    if !lines.is_empty() {
        output::text(output::table(&lines).trim_end())?;
    }
    let (path, licence) = (pulled.folder.display(), &pulled.manifest.licence);
    let key = match pulled.manifest.purpose {
        Purpose::Embed => "model",
        Purpose::Rerank => "reranker",
    };
    output::text(config.language.pick(
        &format!("{path}: ready, licence {licence}; set `{key}` to this folder to use it"),
        &format!("{path}：可用，许可证 {licence}；把 {key} 设置为此文件夹即可使用"),
    ))?;
    Ok(Verdict::Well)
}

fn unpulled(name: &str, error: &PullError) -> Failure {
    let (advice_en, advice_zh) = match error {
        PullError::Address(_) => ("correct `hub.address`", "请修正 hub.address"),
        PullError::Private(_) => (
            "a hub inside your own network must be named in `outward.private_hosts`",
            "内网的下载来源须写入 outward.private_hosts",
        ),
        PullError::Unreachable { .. } | PullError::Io { .. } | PullError::Cancelled => {
            ("try again; what has come so far is kept", "请重试；已下载的部分会保留")
        }
        PullError::Refused { .. } | PullError::Redirect { .. } => {
            ("check `hub.address`, or try another mirror", "请检查 hub.address，或换一个镜像")
        }
        PullError::Changed { .. } => (
            "the file was thrown away; try again, and if it stays so, do not trust this hub",
            "文件已丢弃；请重试，如仍不一致，请勿信任该来源",
        ),
        PullError::Model(_) => {
            ("what the hub gave is not a model that can be used", "下载到的内容不是可用的模型")
        }
    };
    Failure::new(
        format!("cannot fetch {name}: {error}; {advice_en}"),
        format!("无法下载 {name}：{error}；{advice_zh}"),
    )
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
