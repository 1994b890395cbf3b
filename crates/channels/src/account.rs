//! One bot on one platform, as the settings have it.

use std::collections::BTreeMap;
use std::fmt;

/// Who reads the answers of an account. It is decided by the settings and can only be narrowed by a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The company's own people.
    Internal,
    /// Customers.
    Customer,
}

/// What the bot does in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answers by itself when it is sure, else hands over.
    Auto,
    /// Drafts for a person, who sends.
    Suggest,
    /// Nothing.
    Off,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Suggest, Self::Off];

    /// As settings, JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Suggest => "suggest",
            Self::Off => "off",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How messages come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The platform sends requests to this server's address.
    Webhook,
    /// This server calls the platform and keeps the connection.
    Connection,
}

impl Transport {
    /// As settings and JSON spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Connection => "connection",
        }
    }
}

/// Where an answer is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cards {
    /// In messages, once it is there.
    #[default]
    None,
    /// In a card of the platform's own, which is shown before the answer is there.
    Own,
    /// In a card that was designed on the platform's page.
    Template {
        /// Its id.
        id: String,
        /// The variable that holds the answer.
        variable: String,
    },
}

/// A platform, and which of its ways of talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the platforms' own")]
pub enum Platform {
    WecomApp,
    WecomKf,
    WecomRobot,
    Dingtalk,
    Feishu,
    Slack,
    Webhook,
}

impl Platform {
    /// All platforms.
    pub const ALL: [Self; 7] = [
        Self::WecomApp,
        Self::WecomKf,
        Self::WecomRobot,
        Self::Dingtalk,
        Self::Feishu,
        Self::Slack,
        Self::Webhook,
    ];

    /// As settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WecomApp => "wecom-app",
            Self::WecomKf => "wecom-kf",
            Self::WecomRobot => "wecom-robot",
            Self::Dingtalk => "dingtalk",
            Self::Feishu => "feishu",
            Self::Slack => "slack",
            Self::Webhook => "webhook",
        }
    }

    /// The platform's part of the address `/webhooks/{platform}/{account}`.
    pub fn segment(self) -> &'static str {
        match self {
            Self::WecomApp | Self::WecomKf | Self::WecomRobot => "wecom",
            other => other.name(),
        }
    }

    /// Whose side the other end is on where the settings say nothing.
    fn audience(self) -> Audience {
        match self {
            Self::WecomKf | Self::Webhook => Audience::Customer,
            _ => Audience::Internal,
        }
    }

    /// Whether this server can call it and keep the line.
    fn connects(self) -> bool {
        matches!(self, Self::WecomRobot | Self::Dingtalk | Self::Feishu | Self::Slack)
    }

    /// Where the platform's interface is; empty where the settings must say.
    fn base_url(self, transport: Transport) -> &'static str {
        match self {
            Self::WecomRobot if transport == Transport::Connection => "https://openws.work.weixin.qq.com",
            Self::WecomApp | Self::WecomKf | Self::WecomRobot => "https://qyapi.weixin.qq.com",
            Self::Dingtalk => "https://api.dingtalk.com",
            Self::Feishu => "https://open.feishu.cn",
            Self::Slack => "https://slack.com/api",
            Self::Webhook => "",
        }
    }

    /// Messages to one conversation in a minute that the platform lets through.
    pub(crate) fn per_minute(self) -> usize {
        match self {
            Self::WecomApp | Self::WecomRobot => 30,
            Self::Dingtalk => 20,
            Self::Slack => 60,
            Self::WecomKf | Self::Feishu | Self::Webhook => 300,
        }
    }

    /// Longest text of one message, in bytes of UTF-8.
    pub(crate) fn max_bytes(self) -> usize {
        match self {
            Self::WecomApp | Self::WecomKf => 2048,
            Self::WecomRobot => 20_480,
            Self::Dingtalk | Self::Feishu => 15_000,
            Self::Slack => 4000,
            Self::Webhook => 100_000,
        }
    }
}

/// The secrets of an account. They are never shown: [`fmt::Debug`] tells only the platform.
#[derive(Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the platforms' own")]
pub enum Credentials {
    WecomApp {
        corp_id: String,
        secret: String,
        agent_id: i64,
        token: String,
        encoding_aes_key: String,
    },
    WecomKf {
        corp_id: String,
        secret: String,
        token: String,
        encoding_aes_key: String,
    },
    WecomRobot {
        token: String,
        encoding_aes_key: String,
    },
    WecomRobotLine {
        bot_id: String,
        secret: String,
    },
    Dingtalk {
        app_key: String,
        app_secret: String,
        robot_code: String,
    },
    Feishu {
        app_id: String,
        app_secret: String,
        verification_token: String,
        encrypt_key: String,
        bot_open_id: String,
    },
    Slack {
        bot_token: String,
        signing_secret: String,
        app_token: String,
    },
    Webhook {
        secrets: Vec<String>,
        callback_url: String,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WecomApp { .. } => "WecomApp",
            Self::WecomKf { .. } => "WecomKf",
            Self::WecomRobot { .. } => "WecomRobot",
            Self::WecomRobotLine { .. } => "WecomRobotLine",
            Self::Dingtalk { .. } => "Dingtalk",
            Self::Feishu { .. } => "Feishu",
            Self::Slack { .. } => "Slack",
            Self::Webhook { .. } => "Webhook",
        })
    }
}

/// One bot on one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The settings' name for it; part of its address.
    pub id: String,
    /// Where it talks.
    pub platform: Platform,
    /// How its messages come in.
    pub transport: Transport,
    /// Who reads its answers.
    pub audience: Audience,
    /// What it does where a conversation has no mode of its own.
    pub mode: Mode,
    /// Whether answers to customers say that an AI made them.
    pub ai_label: bool,
    /// Words that never go to a customer, beside the built-in ones.
    pub blocked_words: Vec<String>,
    /// Where its answers are shown.
    pub cards: Cards,
    /// The platform's interface, without a slash at its end.
    pub base_url: String,
    /// Its secrets.
    pub credentials: Credentials,
}

/// A setting of an account that is missing, unknown or wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("channel {account:?}: `{field}` {wanted}")]
pub struct AccountError {
    /// The account; empty where it has no name.
    pub account: String,
    /// The setting.
    pub field: String,
    /// What is wrong with it. Never its value, which may be a secret.
    pub wanted: &'static str,
}

impl AccountError {
    /// The same in Chinese.
    pub fn chinese(&self) -> String {
        let wanted = match self.wanted {
            "is required" => "必须填写",
            "must be 1 to 64 of a-z, 0-9, - and _" => "应为 1 到 64 个小写字母、数字、- 或 _",
            "must be internal or customer" => "应为 internal 或 customer",
            "must be one of auto, suggest, off" => "应为 auto、suggest、off 之一",
            "must be webhook, or with wecom-robot, dingtalk, feishu and slack connection" => {
                "应为 webhook；wecom-robot、dingtalk、feishu 与 slack 也可以是 connection"
            }
            "must be true or false" => "应为 true 或 false",
            "must be a whole number" => "应为整数",
            "is not a setting of this platform" => "不是该平台的设置",
            "is not a setting of a hook" => "不是 hook 的设置",
            "must be whsec_ and base64 of 24 to 64 bytes" => "应为 whsec_ 加上 24 到 64 字节的 base64",
            "must be an address that begins with https:// or http://" => {
                "应为以 https:// 或 http:// 开头的地址"
            }
            other => other,
        };
        format!("渠道“{}”的设置 {}：{wanted}", self.account, self.field)
    }
}

struct Fields {
    account: String,
    values: BTreeMap<String, String>,
}

impl Fields {
    fn error(&self, field: &str, wanted: &'static str) -> AccountError {
        AccountError { account: self.account.clone(), field: field.to_owned(), wanted }
    }

    fn optional(&mut self, field: &str) -> Option<String> {
        let value = self.values.remove(field)?;
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, field: &str) -> Result<String, AccountError> {
        self.optional(field).ok_or_else(|| self.error(field, "is required"))
    }

    fn words(&mut self, field: &str) -> Vec<String> {
        let text = self.optional(field).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }
}

impl Account {
    /// From the settings' fields; a list is one text with spaces between.
    ///
    /// # Errors
    /// Names the first setting that is missing, unknown or wrong.
    pub fn from_fields(mut values: BTreeMap<String, String>) -> Result<Self, AccountError> {
        let id = values.remove("id").unwrap_or_default();
        let mut fields = Fields { account: id.clone(), values };
        if !is_id(&id) {
            return Err(fields.error("id", "must be 1 to 64 of a-z, 0-9, - and _"));
        }
        let name = fields.required("platform")?;
        let platform =
            Platform::ALL.into_iter().find(|platform| platform.name() == name).ok_or_else(|| {
                let wanted =
                    "must be one of wecom-app, wecom-kf, wecom-robot, dingtalk, feishu, slack, webhook";
                fields.error("platform", wanted)
            })?;
        let audience = match fields.optional("audience").as_deref() {
            None => platform.audience(),
            Some("internal") => Audience::Internal,
            Some("customer") => Audience::Customer,
            Some(_) => return Err(fields.error("audience", "must be internal or customer")),
        };
        let transport = match fields.optional("transport").as_deref() {
            None | Some("webhook") => Transport::Webhook,
            Some("connection") if platform.connects() => Transport::Connection,
            Some(_) => {
                let wanted = "must be webhook, or with wecom-robot, dingtalk, feishu and slack connection";
                return Err(fields.error("transport", wanted));
            }
        };
        let mode = match fields.optional("mode") {
            None => Mode::Auto,
            Some(name) => Mode::from_name(&name)
                .ok_or_else(|| fields.error("mode", "must be one of auto, suggest, off"))?,
        };
        let ai_label = match fields.optional("ai_label").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(_) => return Err(fields.error("ai_label", "must be true or false")),
        };
        let blocked_words = fields.words("blocked_words");
        let base_url = fields.optional("base_url").unwrap_or_else(|| platform.base_url(transport).to_owned());
        check_address(&fields, "base_url", &base_url, platform == Platform::Webhook)?;
        let credentials = credentials(platform, transport, &mut fields)?;
        let cards = cards(platform, transport, &mut fields)?;
        if let Some(unknown) = fields.values.keys().next() {
            return Err(fields.error(unknown, "is not a setting of this platform"));
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self {
            id,
            platform,
            transport,
            audience,
            mode,
            ai_label,
            blocked_words,
            cards,
            base_url,
            credentials,
        })
    }
}

/// A robot's line shows its answers in streams and knows nothing else; of the others the settings say it.
fn cards(platform: Platform, transport: Transport, fields: &mut Fields) -> Result<Cards, AccountError> {
    if platform == Platform::WecomRobot && transport == Transport::Connection {
        return Ok(Cards::Own);
    }
    if !matches!(platform, Platform::Dingtalk | Platform::Feishu | Platform::Slack) {
        return Ok(Cards::None);
    }
    let is_wanted = match fields.optional("stream").as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(fields.error("stream", "must be true or false")),
    };
    if platform != Platform::Dingtalk {
        return Ok(if is_wanted { Cards::Own } else { Cards::None });
    }
    let template = if is_wanted {
        Some(fields.required("card_template_id")?)
    } else {
        fields.optional("card_template_id")
    };
    let variable = fields.optional("card_variable").unwrap_or_else(|| "content".to_owned());
    Ok(match template.filter(|_| is_wanted) {
        Some(id) => Cards::Template { id, variable },
        None => Cards::None,
    })
}

fn check_address(
    fields: &Fields,
    field: &str,
    address: &str,
    may_be_empty: bool,
) -> Result<(), AccountError> {
    if is_address(address) || (may_be_empty && address.is_empty()) {
        return Ok(());
    }
    Err(fields.error(field, "must be an address that begins with https:// or http://"))
}

/// Whether a name of the settings is one.
pub(crate) fn is_id(id: &str) -> bool {
    let is_name =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    (1..=64).contains(&id.len()) && id.chars().all(is_name)
}

/// Whether an address of the settings is one that can be asked, without a user's name in it.
pub(crate) fn is_address(address: &str) -> bool {
    reqwest::Url::parse(address)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.username().is_empty())
}

fn credentials(
    platform: Platform,
    transport: Transport,
    fields: &mut Fields,
) -> Result<Credentials, AccountError> {
    Ok(match platform {
        Platform::WecomApp => Credentials::WecomApp {
            corp_id: fields.required("corp_id")?,
            secret: fields.required("secret")?,
            agent_id: fields
                .required("agent_id")?
                .parse()
                .map_err(|_| fields.error("agent_id", "must be a whole number"))?,
            token: fields.required("token")?,
            encoding_aes_key: fields.required("encoding_aes_key")?,
        },
        Platform::WecomKf => Credentials::WecomKf {
            corp_id: fields.required("corp_id")?,
            secret: fields.required("secret")?,
            token: fields.required("token")?,
            encoding_aes_key: fields.required("encoding_aes_key")?,
        },
        Platform::WecomRobot if transport == Transport::Connection => Credentials::WecomRobotLine {
            bot_id: fields.required("bot_id")?,
            secret: fields.required("secret")?,
        },
        Platform::WecomRobot => Credentials::WecomRobot {
            token: fields.required("token")?,
            encoding_aes_key: fields.required("encoding_aes_key")?,
        },
        Platform::Dingtalk => Credentials::Dingtalk {
            app_key: fields.required("app_key")?,
            app_secret: fields.required("app_secret")?,
            robot_code: fields.required("robot_code")?,
        },
        Platform::Feishu => Credentials::Feishu {
            app_id: fields.required("app_id")?,
            app_secret: fields.required("app_secret")?,
            // What comes over a connection of our own making is not signed.
            verification_token: match transport {
                Transport::Webhook => fields.required("verification_token")?,
                Transport::Connection => fields.optional("verification_token").unwrap_or_default(),
            },
            encrypt_key: fields.optional("encrypt_key").unwrap_or_default(),
            bot_open_id: fields.optional("bot_open_id").unwrap_or_default(),
        },
        Platform::Slack => Credentials::Slack {
            bot_token: fields.required("bot_token")?,
            signing_secret: match transport {
                Transport::Webhook => fields.required("signing_secret")?,
                Transport::Connection => fields.optional("signing_secret").unwrap_or_default(),
            },
            app_token: match transport {
                Transport::Webhook => fields.optional("app_token").unwrap_or_default(),
                Transport::Connection => fields.required("app_token")?,
            },
        },
        Platform::Webhook => {
            let secrets = fields.words("secrets");
            if let Err(error) = crate::protocol::webhook::Secrets::new(&secrets) {
                tracing::debug!(%error, "secrets of a webhook");
                return Err(fields.error("secrets", "must be whsec_ and base64 of 24 to 64 bytes"));
            }
            let callback_url = fields.required("callback_url")?;
            check_address(fields, "callback_url", &callback_url, false)?;
            Credentials::Webhook { secrets, callback_url }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn who_reads_is_the_platforms_side_unless_the_settings_say_otherwise() {
        let slack = [("id", "s"), ("platform", "slack"), ("bot_token", "xoxb"), ("signing_secret", "x")];
        let account = Account::from_fields(fields(&slack)).unwrap();
        assert_eq!(
            (account.audience, account.mode, account.ai_label),
            (Audience::Internal, Mode::Auto, true)
        );
        let kf = [
            ("id", "kf"),
            ("platform", "wecom-kf"),
            ("corp_id", "c"),
            ("secret", "s"),
            ("token", "t"),
            ("encoding_aes_key", "k"),
            ("mode", "suggest"),
            ("ai_label", "false"),
        ];
        let account = Account::from_fields(fields(&kf)).unwrap();
        assert_eq!(
            (account.audience, account.mode, account.ai_label),
            (Audience::Customer, Mode::Suggest, false)
        );
        assert!(!format!("{account:?}").contains("encoding"));
    }

    #[test]
    fn a_line_of_our_own_asks_for_other_secrets_and_a_template_is_asked_for_where_cards_need_one() {
        let read = |pairs: &[(&str, &str)]| Account::from_fields(fields(pairs));
        let robot = [("id", "bot"), ("platform", "wecom-robot"), ("transport", "connection")];
        assert_eq!(read(&robot).unwrap_err().field, "bot_id");
        let robot = read(&[&robot[..], &[("bot_id", "b"), ("secret", "s")]].concat()).unwrap();
        assert_eq!((robot.cards, robot.base_url.as_str()), (Cards::Own, "https://openws.work.weixin.qq.com"));
        let slack = [("id", "s"), ("platform", "slack"), ("transport", "connection"), ("bot_token", "x")];
        assert_eq!(read(&slack).unwrap_err().field, "app_token");
        let ding = [
            ("id", "d"),
            ("platform", "dingtalk"),
            ("app_key", "k"),
            ("app_secret", "s"),
            ("robot_code", "r"),
            ("stream", "true"),
        ];
        assert_eq!(read(&ding).unwrap_err().field, "card_template_id");
        let ding = read(&[&ding[..], &[("card_template_id", "t.schema")]].concat()).unwrap();
        let template = Cards::Template { id: "t.schema".to_owned(), variable: "content".to_owned() };
        assert_eq!(ding.cards, template);
        let app = [("id", "w"), ("platform", "wecom-app"), ("transport", "connection")];
        assert_eq!(read(&app).unwrap_err().field, "transport");
    }

    #[test]
    fn what_is_wrong_is_named_without_its_value() {
        let base =
            [("id", "s"), ("platform", "slack"), ("bot_token", "xoxb-secret"), ("signing_secret", "x")];
        for (field, value) in [
            ("id", "A b"),
            ("platform", "icq"),
            ("mode", "loud"),
            ("audience", "all"),
            ("ai_label", "maybe"),
            ("transport", "pigeon"),
            ("stream", "maybe"),
            ("base_url", "file:///etc/passwd"),
            ("base_url", "https://user@host"),
            ("bot_token", " "),
            ("colour", "red"),
        ] {
            let mut values = fields(&base);
            values.insert(field.to_owned(), value.to_owned());
            let error = Account::from_fields(values).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("xoxb"));
        }
    }
}
