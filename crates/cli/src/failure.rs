//! What a person is told when something cannot be done: one line, what is wrong and what to do, in two languages.

use std::path::Path;

use flightdeck_assistant::{AssistantError, PromptError};
use flightdeck_corpus::CorpusError;
use flightdeck_eval::EvalError;
use flightdeck_models::{ModelError, SetupError};
use flightdeck_records::RecordsError;
use flightdeck_retrieval::RetrievalError;

use crate::language::Language;

/// Why a command could not be done. Ends the program with status 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    en: String,
    zh: String,
}

impl Failure {
    /// The same line in both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: one_line(&en.into()), zh: one_line(&zh.into()) }
    }

    /// A file that was named on the command line cannot be read.
    pub fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let (advice_en, advice_zh) = match error.kind() {
            std::io::ErrorKind::InvalidData => ("save the file as UTF-8", "请把文件另存为 UTF-8"),
            _ => ("check the path", "请检查路径"),
        };
        Self::new(
            format!("cannot read {}: {error}; {advice_en}", path.display()),
            format!("无法读取 {}：{error}；{advice_zh}", path.display()),
        )
    }

    /// The line in this language.
    pub fn text(&self, language: Language) -> &str {
        language.pick(&self.en, &self.zh)
    }
}

/// Line breaks inside a message would make two lines of it.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        match &error {
            ModelError::Missing(path) => Self::new(
                format!(
                    "model file not found: {}; restore the folder models/ from the repository or set `model` in \
                     flightdeck.toml",
                    path.display()
                ),
                format!(
                    "找不到模型文件：{}；请从代码仓库恢复 models/ 文件夹，或在 flightdeck.toml 里设置 model",
                    path.display()
                ),
            ),
            ModelError::Damaged { path, reason } => Self::new(
                format!(
                    "model file is damaged: {}: {reason}; restore it from the repository",
                    path.display()
                ),
                format!("模型文件已损坏：{}：{reason}；请从代码仓库恢复", path.display()),
            ),
            ModelError::Cancelled => Self::new("stopped", "已停止"),
            ModelError::Failed(_) => Self::new(
                format!("{error}; try again with FLIGHTDECK_LOG=debug to see more"),
                format!("模型运行失败：{error}；可设置 FLIGHTDECK_LOG=debug 后重试查看详情"),
            ),
        }
    }
}

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        match &error {
            CorpusError::FolderMissing(path) => Self::new(
                format!(
                    "knowledge folder not found: {}; make it, or name another with --knowledge DIR",
                    path.display()
                ),
                format!("找不到知识文件夹：{}；请新建它，或用 --knowledge DIR 指定另一个", path.display()),
            ),
            CorpusError::Unreadable { path, source } => Self::new(
                format!("cannot read {}: {source}; check that it exists and may be read", path.display()),
                format!("无法读取 {}：{source}；请检查它是否存在、是否有读取权限", path.display()),
            ),
        }
    }
}

impl From<RetrievalError> for Failure {
    fn from(error: RetrievalError) -> Self {
        match error {
            RetrievalError::Corpus(error) => error.into(),
            RetrievalError::Model(error) => error.into(),
            RetrievalError::Locked(path) => Self::new(
                format!(
                    "the data folder {} is in use by another flightdeck; stop that one, or give this one its own \
                     with --data DIR",
                    path.display()
                ),
                format!(
                    "数据文件夹 {} 正被另一个 flightdeck 使用；请先停止它，或用 --data DIR 另指定一个",
                    path.display()
                ),
            ),
            RetrievalError::Io { action, path, source } => {
                let advice_en = "check that the data folder may be written and the disk is not full, or name another with --data DIR";
                let advice_zh = "请检查数据文件夹是否可写、磁盘是否已满，或用 --data DIR 另指定一个";
                Self::new(
                    format!("cannot {action} {}: {source}; {advice_en}", path.display()),
                    format!("无法{} {}：{source}；{advice_zh}", action_zh(action), path.display()),
                )
            }
            RetrievalError::Damaged { path, reason } => Self::new(
                format!(
                    "the index is damaged: {}: {reason}; run `flightdeck index --rebuild`",
                    path.display()
                ),
                format!("索引已损坏：{}：{reason}；请运行 flightdeck index --rebuild", path.display()),
            ),
            RetrievalError::Cancelled => Self::new("stopped", "已停止"),
            RetrievalError::ReadOnly => Self::new(
                "the index was opened for reading only; run `flightdeck index` first",
                "索引以只读方式打开；请先运行 flightdeck index",
            ),
            RetrievalError::FullText(_) => Self::new(
                format!("{error}; run `flightdeck index --rebuild`"),
                format!("全文索引出错：{error}；请运行 flightdeck index --rebuild"),
            ),
        }
    }
}

fn action_zh(action: &str) -> &str {
    match action {
        "read" => "读取",
        "write" => "写入",
        "create" => "创建",
        "open" => "打开",
        "lock" => "锁定",
        other => other,
    }
}

impl From<RecordsError> for Failure {
    fn from(error: RecordsError) -> Self {
        // The records' own messages already end with what to do.
        Self::new(error.to_string(), format!("业务记录数据库出错：{error}"))
    }
}

impl From<AssistantError> for Failure {
    fn from(error: AssistantError) -> Self {
        match error {
            AssistantError::NoIndex => Self::new(
                "there is no index yet; run `flightdeck index` first",
                "还没有索引；请先运行 flightdeck index",
            ),
            AssistantError::UnknownCustomer(id) => Self::new(
                format!("no customer has the id {id}; add customers with `flightdeck customers import FILE`"),
                format!("没有编号为 {id} 的客户；可用 flightdeck customers import FILE 导入客户"),
            ),
            AssistantError::RequestIdTaken(_) => Self::new(
                format!("{error}; give each message an id of its own"),
                format!("{error}；请为每条消息使用不同的编号"),
            ),
            AssistantError::Retrieval(error) => error.into(),
            AssistantError::Records(error) => error.into(),
        }
    }
}

impl From<PromptError> for Failure {
    fn from(error: PromptError) -> Self {
        match &error {
            PromptError::Unreadable { path, source } => Self::new(
                format!("{error}; check the folder of prompts"),
                format!("无法读取提示词 {}：{source}；请检查提示词文件夹", path.display()),
            ),
            PromptError::Unknown { path, known } => Self::new(
                format!("{error}; rename or remove the file"),
                format!("{} 不是任何提示词的名字；可用的有 {known}；请改名或移走它", path.display()),
            ),
            PromptError::Wrong { name, reason } => Self::new(
                format!("the prompt {error}; correct it"),
                format!("提示词 {name} 有错：{reason}；请修正"),
            ),
        }
    }
}

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        match &error {
            SetupError::Address(address) => Self::new(
                format!(
                    "`generator.address` is {error}; write what stands before /chat/completions, e.g. https://api.deepseek.com/v1"
                ),
                format!(
                    "generator.address 不是 http(s) 地址：{address}；应为 /chat/completions 之前的部分，例如 https://api.deepseek.com/v1"
                ),
            ),
            SetupError::Proxy => Self::new(
                format!("`generator.proxy` is {error}; write e.g. http://proxy.example.com:3128"),
                "generator.proxy 不是代理地址；例如 http://proxy.example.com:3128",
            ),
            SetupError::Key => Self::new(
                format!("`generator.key`: {error}; copy it again"),
                "generator.key 含有密钥中不会出现的字符；请重新复制",
            ),
            SetupError::Client(reason) => Self::new(
                format!("the language model cannot be asked: {error}; check the limits of this machine"),
                format!("无法连接语言模型：{reason}；请检查本机的资源限制"),
            ),
        }
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        match error {
            EvalError::Retrieval(error) => error.into(),
            EvalError::Assistant(error) => error.into(),
            EvalError::NoIndex => AssistantError::NoIndex.into(),
            EvalError::Unreadable { .. } | EvalError::Unwritable { .. } => {
                Self::new(format!("{error}; check the path"), format!("{error}；请检查路径"))
            }
            EvalError::BadLine { .. } | EvalError::Empty { .. } => Self::new(
                format!("{error}; correct the file and run again"),
                format!("{error}；请修正文件后重试"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_in_either_language() {
        let failure = Failure::new("first\n  second\r\n", "一\n二");
        assert_eq!(failure.text(Language::English), "first second");
        assert_eq!(failure.text(Language::Chinese), "一 二");
    }

    #[test]
    fn a_missing_folder_says_what_to_do() {
        let failure = Failure::from(RetrievalError::Corpus(CorpusError::FolderMissing("k".into())));
        assert!(failure.text(Language::English).contains("--knowledge"), "{failure:?}");
        assert!(failure.text(Language::Chinese).contains("找不到知识文件夹"), "{failure:?}");
    }
}
