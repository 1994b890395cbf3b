//! Fetches models from a hub.
//!
//! A hub is any server that gives files under `REPOSITORY/resolve/REVISION/FILE`; which one is a setting without a
//! default. What comes over the network is believed as little as possible:
//!
//! * A file is kept only if its SHA-256 is the expected one: that of the catalog; else that of an earlier download, kept
//!   in `models.lock`; else, the first time, the one that the hub itself states for it; and where it states none, what came
//!   is taken, written into the lock, and the caller is told so ([`Trust::FirstUse`]).
//! * Redirects are followed a few times, never from `https` to `http`; every address on the way, resolved or literal, is
//!   put to the caller ([`HubSettings::may_ask`]), and the request goes to the very address that was checked.
//! * A download that broke off goes on where it stopped if the hub still has the same file (its `ETag`), and begins anew
//!   otherwise.
//!
//! A model's folder appears under its name when everything is there and its weights were read, and not before.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ETAG, IF_RANGE, LOCATION, RANGE};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::{Deserialize, Serialize};

use crate::ModelError;
use crate::breaker::pause;
use crate::catalog::CatalogModel;
use crate::manifest::{FileEntry, MANIFEST_FILE, Manifest, Source, sha256_of, verify, write_whole};

/// What earlier downloads were, beside the models' folders.
const LOCK_FILE: &str = "models.lock";
const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "config.json";
/// Beside a download while it is under way: the hub's `ETag` for it,
const TAG: &str = "etag";
/// and once all of it is there, the SHA-256 that the hub states, if it does.
const WHOLE: &str = "whole";
const MOST_REDIRECTS: usize = 5;
/// Larger than any of these models' weights.
const MOST_BYTES: u64 = 16 << 30;
/// Further tries for a file after the connection broke or the server said "later".
const RETRIES: u32 = 4;

/// Decides whether a host at an address may be asked.
pub type MayAsk = Arc<dyn Fn(&str, IpAddr) -> bool + Send + Sync>;

/// Which hub, and how it may be asked.
#[derive(Clone)]
pub struct HubSettings {
    /// What stands before `/REPOSITORY/resolve/…`.
    pub address: String,
    /// Asked for every host on the way, with each address that it has.
    pub may_ask: MayAsk,
    /// Longest time for a connection, and for silence while a file comes.
    pub patience: Duration,
}

/// Why a file is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Its SHA-256 stands in the catalog.
    Pinned,
    /// It is the same as in an earlier download.
    Locked,
    /// It is what the hub itself says it is.
    Stated,
    /// Nothing was known of it; later downloads will be held to it.
    FirstUse,
}

/// What was fetched.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// Where the model lies now.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its files, and why each is believed; empty when the model was there already.
    pub files: Vec<(FileEntry, Trust)>,
}

/// Why a model could not be fetched. What came so far stays, and the next try goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The hub's address is none.
    #[error("not an http or https address: {0}")]
    Address(String),
    /// An address on the way is not allowed.
    #[error("{0} is not a public address")]
    Private(String),
    /// A redirect that must not be followed.
    #[error("the hub redirects {file} {reason}")]
    Redirect {
        /// The file asked for.
        file: String,
        /// Where to, or how often.
        reason: &'static str,
    },
    /// No connection, or it broke off too often.
    #[error("cannot reach the hub for {file}: {reason}")]
    Unreachable {
        /// The file asked for.
        file: String,
        /// What happened last.
        reason: String,
    },
    /// The hub answered with a refusal.
    #[error("the hub refuses {file}: status {status}")]
    Refused {
        /// The file asked for.
        file: String,
        /// HTTP status.
        status: u16,
    },
    /// The file is not what it should be; it was thrown away.
    #[error("{file} has the SHA-256 {found}, but {by} says {expected}")]
    Changed {
        /// The file.
        file: String,
        /// As it came.
        found: String,
        /// As it should be.
        expected: String,
        /// Who says so.
        by: &'static str,
    },
    /// The folder cannot be written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What came is no model that can be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The caller stopped it.
    #[error("cancelled")]
    Cancelled,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> PullError {
    let path = path.to_owned();
    move |source| PullError::Io { path, source }
}

/// Fetches `model` into a folder of its name below `into`; what is already there and whole stays as it is.
/// `progress` is told the file, the bytes that are there and the bytes there will be; `false` stops.
///
/// Blocks; must not be called where asynchronous tasks run.
///
/// # Errors
/// As [`PullError`].
pub fn pull(
    model: &CatalogModel,
    into: &Path,
    settings: &HubSettings,
    progress: &mut dyn FnMut(&str, u64, Option<u64>) -> bool,
) -> Result<Pulled, PullError> {
    let folder = into.join(&model.name);
    if folder.join(MANIFEST_FILE).exists() {
        return Ok(Pulled { manifest: verify(&folder)?, folder, files: Vec::new() });
    }
    let staging = into.join(format!(".{}.part", model.name));
    std::fs::create_dir_all(&staging).map_err(io(&staging))?;
    let mut lock = Lock::open(&into.join(LOCK_FILE))?;
    let hub = Hub::new(settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| ModelError::Failed(error.to_string()))?;
    let mut files = Vec::new();
    for name in [CONFIG, TOKENIZER, model.weights.as_str()] {
        let path = staging.join(name);
        let url = hub.url(model, name)?;
        let stated = runtime.block_on(hub.fetch(name, &url, &path, progress))?;
        let found = sha256_of(&path)?;
        let key = format!("{}@{}/{name}", model.repository, model.revision);
        let (expected, trust, by) = match (model.sha256.get(name), lock.0.get(&key), stated) {
            (Some(pinned), _, _) => (pinned.clone(), Trust::Pinned, "the catalog"),
            (None, Some(locked), _) => (locked.clone(), Trust::Locked, LOCK_FILE),
            (None, None, Some(stated)) => (stated, Trust::Stated, "the hub"),
            (None, None, None) => (found.clone(), Trust::FirstUse, ""),
        };
        if found != expected {
            forget(&path);
            return Err(PullError::Changed { file: name.to_owned(), found, expected, by });
        }
        lock.0.insert(key, found.clone());
        let size = std::fs::metadata(&path).map_err(io(&path))?.len();
        files.push((FileEntry { name: name.to_owned(), size, sha256: found }, trust));
    }
    let manifest = manifest_of(model, &hub.base, &files);
    let text = toml::to_string(&manifest).map_err(|error| ModelError::Failed(error.to_string()))?;
    let path = staging.join(MANIFEST_FILE);
    write_whole(&path, text.as_bytes()).map_err(io(&path))?;
    let readable = crate::check_weights(&staging)
        .and_then(|()| crate::tokenizer::Tokenizer::open(&staging.join(TOKENIZER)).map(drop));
    if let Err(error) = readable {
        // Whole and of no use: another hub may give something else.
        let _ = std::fs::remove_dir_all(&staging);
        return Err(error.into());
    }
    lock.write(&into.join(LOCK_FILE))?;
    for name in [CONFIG, TOKENIZER, model.weights.as_str()] {
        let _ = std::fs::remove_file(staging.join(name).with_extension(WHOLE));
    }
    std::fs::rename(&staging, &folder).map_err(io(&folder))?;
    Ok(Pulled { folder, manifest, files })
}

/// Throws a download away, and what is known of it.
fn forget(path: &Path) {
    for path in [path, &path.with_extension(WHOLE), &path.with_extension(TAG)] {
        let _ = std::fs::remove_file(path);
    }
}

fn manifest_of(model: &CatalogModel, base: &Url, files: &[(FileEntry, Trust)]) -> Manifest {
    let weights = files.iter().find(|(file, _)| file.name == model.weights);
    Manifest {
        name: model.name.clone(),
        purpose: model.purpose,
        architecture: model.architecture,
        dimension: model.dimension,
        max_tokens: model.max_tokens,
        pooling: model.pooling,
        query_prefix: model.query_prefix.clone(),
        passage_prefix: model.passage_prefix.clone(),
        licence: model.licence.clone(),
        weights: model.weights.clone(),
        tokenizer: TOKENIZER.to_owned(),
        source: Source {
            model: model.repository.clone(),
            package: format!("{} at {}", model.repository, model.revision),
            file: model.weights.clone(),
            sha256: weights.map(|(file, _)| file.sha256.clone()).unwrap_or_default(),
            made_with: format!("flightdeck models pull {}", model.name),
            notes: format!("As published; fetched from {}.", base.host_str().unwrap_or_default()),
        },
        file: files.iter().map(|(file, _)| file.clone()).collect(),
    }
}

/// SHA-256 of files of earlier downloads, by `REPOSITORY@REVISION/FILE`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Lock(BTreeMap<String, String>);

impl Lock {
    fn open(path: &Path) -> Result<Self, PullError> {
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| {
                let reason = error.message().to_owned();
                ModelError::Damaged { path: path.to_owned(), reason }.into()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(io(path)(error)),
        }
    }

    fn write(&self, path: &Path) -> Result<(), PullError> {
        let text = toml::to_string(self).map_err(|error| ModelError::Failed(error.to_string()))?;
        write_whole(path, text.as_bytes()).map_err(io(path))
    }
}

/// Resolves names and lets through what may be asked.
struct Checked(MayAsk);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let may_ask = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.iter().any(|address| !may_ask(&host, address.ip())) {
                return Err(format!("{host}{NOT_PUBLIC}").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

const NOT_PUBLIC: &str = " is not a public address";

struct Hub {
    client: Client,
    base: Url,
    may_ask: MayAsk,
    patience: Duration,
}

impl Hub {
    fn new(settings: &HubSettings) -> Result<Self, PullError> {
        crate::http_generator::install_tls();
        let base = Url::parse(&settings.address)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| PullError::Address(settings.address.clone()))?;
        let client = Client::builder()
            .user_agent(concat!("flightdeck/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.patience)
            .redirect(redirect::Policy::none())
            .dns_resolver(Arc::new(Checked(settings.may_ask.clone())))
            .no_proxy()
            .build()
            .map_err(|error| ModelError::Failed(error.to_string()))?;
        Ok(Self { client, base, may_ask: settings.may_ask.clone(), patience: settings.patience })
    }

    fn url(&self, model: &CatalogModel, file: &str) -> Result<Url, PullError> {
        let base = self.base.as_str().trim_end_matches('/');
        let address = format!("{base}/{}/resolve/{}/{file}", model.repository, model.revision);
        Url::parse(&address).map_err(|_| PullError::Address(address))
    }

    /// Brings a file to `path`; the SHA-256 that the hub states for it, if it does.
    async fn fetch(
        &self,
        file: &str,
        url: &Url,
        path: &Path,
        progress: &mut dyn FnMut(&str, u64, Option<u64>) -> bool,
    ) -> Result<Option<String>, PullError> {
        let mut retry = 0;
        loop {
            match self.try_once(file, url, path, progress).await {
                Err(Trouble::Passing(reason)) if retry < RETRIES => {
                    tracing::debug!(file, reason, retry, "the download is taken up again");
                    tokio::time::sleep(pause(retry, None, 0.0)).await;
                    retry += 1;
                }
                Err(Trouble::Passing(reason)) => {
                    return Err(PullError::Unreachable { file: file.to_owned(), reason });
                }
                Err(Trouble::Lasting(error)) => return Err(error),
                Ok(stated) => return Ok(stated),
            }
        }
    }

    async fn try_once(
        &self,
        file: &str,
        url: &Url,
        path: &Path,
        progress: &mut dyn FnMut(&str, u64, Option<u64>) -> bool,
    ) -> Result<Option<String>, Trouble> {
        let done_path = path.with_extension(WHOLE);
        if let Ok(stated) = std::fs::read_to_string(&done_path)
            && path.exists()
        {
            return Ok(Some(stated).filter(|stated| !stated.is_empty()));
        }
        let tag_path = path.with_extension(TAG);
        let mut have = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let tag = std::fs::read_to_string(&tag_path).ok().filter(|tag| !tag.is_empty());
        let resume = tag.as_deref().filter(|_| have > 0);
        let (mut response, stated) = self.ask(file, url, resume.map(|tag| (have, tag))).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT if begins_at(&response, have) => {}
            StatusCode::OK => have = 0,
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT => {
                forget(path);
                return Err(Trouble::Passing("it cannot be taken up where it stopped".to_owned()));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Trouble::Passing(format!("status {status}")));
            }
            status => {
                let refused = PullError::Refused { file: file.to_owned(), status: status.as_u16() };
                return Err(Trouble::Lasting(refused));
            }
        }
        let tag = response.headers().get(ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        // A weak tag does not promise the same bytes.
        let tag = if tag.starts_with("W/") { "" } else { tag };
        let write = |path: &Path, text: &str| std::fs::write(path, text).map_err(io(path));
        write(&tag_path, tag).map_err(Trouble::Lasting)?;
        let total = response.content_length().map(|rest| have + rest);
        if total.is_some_and(|total| total > MOST_BYTES) {
            let large = ModelError::Failed(format!("{file} is larger than any model that is known"));
            return Err(Trouble::Lasting(large.into()));
        }
        let mut out = OpenOptions::new()
            .create(true)
            .write(true)
            .append(have > 0)
            .truncate(have == 0)
            .open(path)
            .map_err(io(path))
            .map_err(Trouble::Lasting)?;
        while let Some(bytes) = self.in_time(response.chunk()).await? {
            have += bytes.len() as u64;
            out.write_all(&bytes).map_err(io(path)).map_err(Trouble::Lasting)?;
            if have > MOST_BYTES {
                let endless = ModelError::Failed(format!("{file} does not end"));
                return Err(Trouble::Lasting(endless.into()));
            }
            if !progress(file, have, total) {
                return Err(Trouble::Lasting(PullError::Cancelled));
            }
        }
        if total.is_some_and(|total| total != have) {
            return Err(Trouble::Passing("it ended early".to_owned()));
        }
        File::sync_all(&out).map_err(io(path)).map_err(Trouble::Lasting)?;
        write(&done_path, stated.as_deref().unwrap_or_default()).map_err(Trouble::Lasting)?;
        let _ = std::fs::remove_file(&tag_path);
        Ok(stated)
    }

    /// The answer behind all redirects, and the SHA-256 that one of them states for the file.
    async fn ask(
        &self,
        file: &str,
        url: &Url,
        resume: Option<(u64, &str)>,
    ) -> Result<(Response, Option<String>), Trouble> {
        let redirect = |reason| Trouble::Lasting(PullError::Redirect { file: file.to_owned(), reason });
        let mut url = url.clone();
        let mut stated = None;
        for _ in 0..=MOST_REDIRECTS {
            self.check_literal(&url)?;
            let mut request = self.client.get(url.clone());
            if let Some((have, tag)) = resume {
                request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, tag);
            }
            let response = self.in_time(request.send()).await?;
            stated = stated.or_else(|| stated_sha256(&response));
            if !response.status().is_redirection() {
                return Ok((response, stated));
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| redirect("to nowhere"))?;
            match (url.scheme(), next.scheme()) {
                ("http", "http" | "https") | ("https", "https") => {}
                _ => return Err(redirect("to an address that is less safe than its own")),
            }
            url = next;
        }
        Err(redirect("too often"))
    }

    /// Addresses that are written out are not resolved, so they are looked at here.
    fn check_literal(&self, url: &Url) -> Result<(), Trouble> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        match host.parse() {
            Ok(address) if !(self.may_ask)(host, address) => {
                Err(Trouble::Lasting(PullError::Private(host.to_owned())))
            }
            _ => Ok(()),
        }
    }

    async fn in_time<T>(&self, step: impl Future<Output = reqwest::Result<T>>) -> Result<T, Trouble> {
        match tokio::time::timeout(self.patience, step).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let reason = crate::http_generator::said(&error);
                match reason.strip_suffix(NOT_PUBLIC) {
                    Some(host) => Err(Trouble::Lasting(PullError::Private(host.to_owned()))),
                    None => Err(Trouble::Passing(reason)),
                }
            }
            Err(_) => Err(Trouble::Passing(format!("nothing came for {} s", self.patience.as_secs_f32()))),
        }
    }
}

enum Trouble {
    /// Another try may help.
    Passing(String),
    Lasting(PullError),
}

fn begins_at(response: &Response, offset: u64) -> bool {
    let range = response.headers().get(reqwest::header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {offset}-")))
}

/// Hubs name large files by their SHA-256, in the header that describes what a link leads to.
fn stated_sha256(response: &Response) -> Option<String> {
    let tag = response.headers().get("x-linked-etag")?.to_str().ok()?;
    let hash = tag.trim_start_matches("W/").trim_matches('"').to_ascii_lowercase();
    (hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(hash)
}
