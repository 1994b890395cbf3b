//! `keys`: keys to the HTTP interface.

use std::fmt::Write as _;

use flightdeck_records::{KeyRole, NewKey, Records};

use super::customers::RECORDS_FILE;
use crate::args::JsonArgs;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Runs `keys create`: the secret goes to standard output, alone, so that a script can take it; it is stored only
/// as a digest and cannot be shown again.
///
/// # Errors
/// When the name is empty, the key is to sign for others than reps, or the records cannot be written.
pub fn create(config: &Config, new: NewKey) -> Result<Verdict, Failure> {
    if new.name.trim().is_empty() {
        return Err(Failure::new(
            "a key needs a name; say who or what it is for with --name",
            "密钥需要名称；请用 --name 说明给谁用",
        ));
    }
    if new.signs && new.role != KeyRole::Rep {
        return Err(Failure::new(
            "a key that signs is one of reps; use --role rep with --signs",
            "用来签名的密钥只能是销售的；--signs 要和 --role rep 一起用",
        ));
    }
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let is_first = !records.has_keys()?;
    let role = new.role;
    let (key, secret) = records.make_key(new, None)?;
    output::note(config.language.pick(
        &format!("key {} for {} ({role}); keep it safe, it is shown only this once", key.id, key.name),
        &format!("已为 {} 创建密钥 {}（{role}）；请妥善保存，只显示这一次", key.name, key.id),
    ));
    if key.signs {
        output::note(config.language.pick(
            "it signs tokens for reps and opens nothing by itself; keep it on your own server, never in a page",
            "它只用来给销售签发令牌，本身打不开任何东西；请放在自己的服务器上，不要写进网页",
        ));
    }
    if is_first {
        output::note(
            config
                .language
                .pick("from now on every /api call needs a key", "从现在起，所有 /api 请求都需要密钥"),
        );
    }
    output::text(&secret)?;
    Ok(Verdict::Well)
}

/// Runs `keys list`.
///
/// # Errors
/// When the records cannot be read.
pub fn list(config: &Config, format: JsonArgs) -> Result<Verdict, Failure> {
    let keys = Records::open(config.data.join(RECORDS_FILE))?.keys()?;
    if format.json {
        output::json(&keys)?;
        return Ok(Verdict::Well);
    }
    let mut lines = String::new();
    for key in keys {
        let state = match key.revoked_at {
            None => config.language.pick("open", "有效").to_owned(),
            Some(at) => format!("{} {}", config.language.pick("revoked", "已吊销"), at.strftime("%F %T")),
        };
        // Writing to a string cannot fail.
        let _ = write!(lines, "{}  {:<9}  {}  {state}", key.id, key.role.name(), key.name);
        if key.limits.customer_only {
            let _ = write!(lines, "  {}", config.language.pick("customers only", "仅限客户可见内容"));
        }
        if key.signs {
            let _ = write!(lines, "  {}", config.language.pick("signs", "签名用"));
        }
        for origin in &key.origins {
            let _ = write!(lines, "  {origin}");
        }
        if let Some(per_minute) = key.limits.per_minute {
            let _ = write!(lines, "  {per_minute}/min");
        }
        lines.push('\n');
    }
    output::text(lines.trim_end())?;
    Ok(Verdict::Well)
}

/// Runs `keys revoke`; a running server refuses the key from its next call on.
///
/// # Errors
/// When no key of this id opens anything, or the records cannot be written.
pub fn revoke(config: &Config, id: &str) -> Result<Verdict, Failure> {
    if !Records::open(config.data.join(RECORDS_FILE))?.revoke_key(id)? {
        return Err(Failure::new(
            format!("no key that opens anything has the id {id}; see `flightdeck keys list`"),
            format!("没有编号为 {id} 的有效密钥；请看 flightdeck keys list"),
        ));
    }
    output::text(
        config.language.pick(&format!("{id} opens nothing any more"), &format!("密钥 {id} 已吊销")),
    )?;
    Ok(Verdict::Well)
}
