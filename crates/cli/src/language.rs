//! Two languages: Chinese for whoever's environment says so, English otherwise.
//!
//! Only what a person reads on a terminal is in two languages; logs, JSON and names are English.

/// Which language a person is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// 简体中文。
    Chinese,
}

impl Language {
    /// What the locale variables say, the strongest first: `LC_ALL`, `LC_MESSAGES`, `LANG`.
    pub fn from_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .into_iter()
            .find_map(|name| variable(name).filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.starts_with("zh") => Self::Chinese,
            _ => Self::English,
        }
    }

    /// The one of the two that is in this language.
    pub fn pick<'a>(self, en: &'a str, zh: &'a str) -> &'a str {
        match self {
            Self::English => en,
            Self::Chinese => zh,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_variable_that_is_set_decides() {
        let locale = |pairs: &'static [(&str, &str)]| {
            Language::from_locale(move |name| {
                pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8")]), Language::Chinese);
        assert_eq!(locale(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C.UTF-8")]), Language::English);
        assert_eq!(locale(&[("LANG", "zh_TW"), ("LC_ALL", "")]), Language::Chinese);
        assert_eq!(locale(&[]), Language::English);
    }
}
