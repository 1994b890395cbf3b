//! Log events to standard error, and panics as one line.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::language::Language;
use crate::output;
use crate::settings::{Config, LogFormat};

/// Starts logging as the settings say, else with `default_filter`. Colours only where standard error is a terminal.
pub fn start(config: &Config, default_filter: &str) {
    let filter = EnvFilter::new(config.log.as_deref().unwrap_or(default_filter));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).compact().init(),
    }
}

/// A panic is a defect of ours: one line that asks for a report, not a page of Rust.
pub fn tell_of_panics_in_one_line(language: Language) {
    std::panic::set_hook(Box::new(move |panic| {
        let what = panic
            .payload()
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let lead = language.pick("internal error, please report it", "程序内部错误，请反馈");
        output::note(&format!("{lead}: {} ({place})", what.replace('\n', " ")));
    }));
}
