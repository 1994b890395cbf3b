//! How far an update is: a bar on a terminal, nothing elsewhere.

use std::io::IsTerminal;

use flightdeck_retrieval::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::language::Language;

/// A bar that follows an index update; it is gone when dropped.
pub struct UpdateBar {
    bar: ProgressBar,
    language: Language,
}

impl UpdateBar {
    /// A bar on standard error; a hidden one where that is no terminal.
    pub fn new(language: Language) -> Self {
        let bar = ProgressBar::new(0);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        Self { bar, language }
    }

    /// Takes what [`flightdeck_retrieval::Store::update`] tells; always goes on.
    pub fn show(&self, progress: Progress) -> bool {
        match progress {
            Progress::Reading => self.phase("{spinner} {msg}", "Reading files", "读取文件"),
            Progress::Embedding { done, total } => {
                if self.bar.length() != Some(total as u64) || done == 0 {
                    self.bar.set_length(total as u64);
                    self.phase("{msg} {wide_bar} {pos}/{len} {eta}", "Embedding", "计算向量");
                }
                self.bar.set_position(done as u64);
            }
            Progress::Writing => self.phase("{spinner} {msg}", "Writing the index", "写入索引"),
        }
        true
    }

    /// A bar that counts to `total`.
    pub fn count(&self, total: usize, en: &str, zh: &str) {
        self.bar.set_length(total as u64);
        self.phase("{msg} {wide_bar} {pos}/{len} {eta}", en, zh);
    }

    /// How many are done.
    pub fn done(&self, n: usize) {
        self.bar.set_position(n as u64);
    }

    fn phase(&self, template: &str, en: &str, zh: &str) {
        self.bar.set_style(ProgressStyle::with_template(template).expect("the templates above are right"));
        self.bar.set_message(self.language.pick(en, zh).to_owned());
        self.bar.tick();
    }
}

impl Drop for UpdateBar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
