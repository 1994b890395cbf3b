//! `keys create`: a key to the HTTP interface.

use flightdeck_records::{KeyRole, Records};

use super::customers::RECORDS_FILE;
use crate::failure::Failure;
use crate::settings::Config;
use crate::{Verdict, output};

/// Runs `keys create`: the secret goes to standard output, alone, so that a script can take it; it is stored only
/// as a digest and cannot be shown again.
///
/// # Errors
/// When the name is empty or the records cannot be written.
pub fn create(config: &Config, name: &str, role: KeyRole) -> Result<Verdict, Failure> {
    if name.trim().is_empty() {
        return Err(Failure::new(
            "a key needs a name; say who or what it is for with --name",
            "密钥需要名称；请用 --name 说明给谁用",
        ));
    }
    let records = Records::open(config.data.join(RECORDS_FILE))?;
    let is_first = !records.has_keys()?;
    let (key, secret) = records.create_key(name, role)?;
    output::note(config.language.pick(
        &format!("key {} for {} ({role}); keep it safe, it is shown only this once", key.id, key.name),
        &format!("已为 {} 创建密钥 {}（{role}）；请妥善保存，只显示这一次", key.name, key.id),
    ));
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
