//! The chat platforms of the settings: `[[channels]]` and `[[hooks]]` in the file, secrets in variables where nobody
//! wants them in a file.
//!
//! A field of the channel `kf-main` is also taken from `FLIGHTDECK_CHANNEL_KF_MAIN_` and its name, one of the hook
//! `crm` from `FLIGHTDECK_HOOK_CRM_`; the variable wins.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flightdeck_server::{Account, AccountError, ChannelSettings, Hook};

use crate::failure::Failure;

type Fields = BTreeMap<String, String>;

/// Takes `[[channels]]` and `[[hooks]]` out of the file's table and reads them.
///
/// # Errors
/// A line that names the channel and the setting, never its value.
pub fn take(
    file: &mut toml::Table,
    path: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<ChannelSettings, Failure> {
    let mut settings = ChannelSettings::default();
    for fields in entries(file, "channels", path, "FLIGHTDECK_CHANNEL_", variables)? {
        settings.accounts.push(Account::from_fields(fields).map_err(|error| wrong(path, &error))?);
    }
    for fields in entries(file, "hooks", path, "FLIGHTDECK_HOOK_", variables)? {
        settings.hooks.push(Hook::from_fields(fields).map_err(|error| wrong(path, &error))?);
    }
    Ok(settings)
}

/// The fields of each entry of the list `name`, with what the variables say.
fn entries(
    file: &mut toml::Table,
    name: &str,
    path: &Path,
    prefix: &str,
    variables: &BTreeMap<String, String>,
) -> Result<Vec<Fields>, Failure> {
    let tables: Vec<toml::Table> = match file.remove(name) {
        None => return Ok(Vec::new()),
        Some(list) => list.try_into().map_err(|_| {
            Failure::new(
                format!("{}: `{name}` must be a list of tables, each begun by [[{name}]]", path.display()),
                format!("{}：{name} 应为表的列表，每项以 [[{name}]] 开头", path.display()),
            )
        })?,
    };
    let mut entries: Vec<Fields> = tables.iter().map(fields).collect();
    // Before anything else is asked of them: a variable could belong to either.
    let mut known = BTreeSet::new();
    if let Some(id) = entries.iter().filter_map(|fields| fields.get("id")).find(|id| !known.insert(*id)) {
        return Err(twice(path, name, id));
    }
    let ids: Vec<String> = entries.iter().map(variable_part).collect();
    for (variable, value) in variables {
        let Some(rest) = variable.strip_prefix(prefix) else { continue };
        // Where one id begins another, the longer one is meant.
        let owner = (0..ids.len())
            .filter(|&idx| rest.strip_prefix(&ids[idx]).is_some_and(|rest| rest.starts_with('_')))
            .max_by_key(|&idx| ids[idx].len());
        if let Some(idx) = owner.filter(|_| !value.is_empty()) {
            entries[idx].insert(rest[ids[idx].len() + 1..].to_lowercase(), value.clone());
        }
    }
    Ok(entries)
}

fn variable_part(fields: &Fields) -> String {
    fields.get("id").map(|id| id.replace('-', "_").to_uppercase()).unwrap_or_default()
}

/// A list is one text with spaces between, as everywhere in the settings.
fn fields(table: &toml::Table) -> Fields {
    let text = |value: &toml::Value| match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let joined = |value: &toml::Value| match value {
        toml::Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => text(other),
    };
    table.iter().map(|(name, value)| (name.clone(), joined(value))).collect()
}

fn wrong(path: &Path, error: &AccountError) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), format!("{}：{}", path.display(), error.chinese()))
}

fn twice(path: &Path, list: &str, id: &str) -> Failure {
    Failure::new(
        format!("{}: there are two [[{list}]] named \"{id}\"; rename one", path.display()),
        format!("{}：有两个名为“{id}”的 [[{list}]]，请改名", path.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<ChannelSettings, String> {
        let mut file: toml::Table = text.parse().expect("it is TOML");
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        take(&mut file, Path::new("flightdeck.toml"), &variables)
            .map_err(|failure| failure.text(Language::English).to_owned())
    }

    const SLACK: &str =
        "[[channels]]\nid = \"s-1\"\nplatform = \"slack\"\nblocked_words = [\"甲\", \"乙\"]\n";

    #[test]
    fn secrets_may_stand_in_variables() {
        let variables =
            [("FLIGHTDECK_CHANNEL_S_1_BOT_TOKEN", "xoxb"), ("FLIGHTDECK_CHANNEL_S_1_SIGNING_SECRET", "x")];
        let settings = read(SLACK, &variables).expect("nothing is missing");
        assert_eq!(settings.accounts[0].id, "s-1");
        assert_eq!(settings.accounts[0].blocked_words, ["甲", "乙"]);
    }

    #[test]
    fn what_is_wrong_is_named_and_its_value_is_not() {
        let complaint = |text: &str, words: &str| {
            let failed = read(text, &[("FLIGHTDECK_CHANNEL_S_1_BOT_TOKEN", "xoxb-1")]).unwrap_err();
            assert!(failed.contains(words) && !failed.contains("xoxb"), "{failed}");
        };
        complaint(SLACK, "channel \"s-1\": `signing_secret` is required");
        complaint(&format!("{SLACK}signing_secret = \"x\"\ncolour = \"red\""), "`colour` is not a setting");
        complaint("channels = 3", "[[channels]]");
        let whole = format!("{SLACK}signing_secret = \"x\"\n");
        complaint(&format!("{whole}{whole}"), "two [[channels]] named \"s-1\"");
        complaint("[[hooks]]\nid = \"crm\"\nurl = \"ftp://x\"", "`url` must be an address");
    }
}
