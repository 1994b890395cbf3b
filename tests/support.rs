//! Running the program: commands, servers, folders, and the sample index.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything takes on a busy machine; reached only when something hangs.
pub const PATIENCE: Duration = Duration::from_mins(2);
/// Between two looks at something that changes.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub fn repository() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository is where it was built")
}

pub fn sample_knowledge() -> PathBuf {
    repository().join("knowledge")
}

/// The program, with nothing of this environment but what it needs, and English messages. `FLIGHTDECK_KERNEL` goes on to
/// it: with another kernel's rounding the tests pass as well.
pub fn flightdeck() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flightdeck"));
    for (name, _) in std::env::vars() {
        let is_ours =
            name.starts_with("FLIGHTDECK_") && name != "FLIGHTDECK_KERNEL" || name.starts_with("LC_");
        if is_ours || name == "LANG" || name == "RUST_LOG" || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    command.env("LANG", "C.UTF-8").stdin(Stdio::null());
    // Not the repository: a stray flightdeck.toml must not steer the tests.
    command.current_dir(std::env::temp_dir());
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Ran {
    Ran::from(flightdeck().args(arguments).output().expect("the program can be started"))
}

/// As [`run`], on these folders.
pub fn run_on(knowledge: &Path, data: &Path, arguments: &[&str]) -> Ran {
    let output =
        flightdeck().args(arguments).arg("--knowledge").arg(knowledge).arg("--data").arg(data).output();
    Ran::from(output.expect("the program can be started"))
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Self { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Standard output as the one JSON document that it must be.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("standard output is not one JSON document: {error}\n{self:#?}"))
    }

    #[track_caller]
    pub fn expect_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    /// The run failed as it should: status 2 and one line on standard error, which holds all of `words`.
    #[track_caller]
    pub fn expect_one_line(self, words: &[&str]) -> Self {
        assert_eq!(self.status, Some(2), "{self:#?}");
        assert_eq!(self.stderr.trim_end().lines().count(), 1, "one line, please: {self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {self:#?}");
        }
        self
    }
}

/// A folder that is gone at the end of the test.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

pub fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is writable");
    fs::write(path, content).expect("the folder is writable");
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target is writable");
    for entry in fs::read_dir(from).expect("the source can be read") {
        let entry = entry.expect("the source can be read");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the target is writable");
        }
    }
}

/// A data folder with the sample knowledge indexed, shared by all tests: only to be read and copied.
pub fn sample_data() -> &'static Path {
    static DATA: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample");
        fs::create_dir_all(&folder).expect("the target folder is writable");
        // Test runners that start one process a test would otherwise index at the same time.
        let turn = File::create(folder.join("TURN")).expect("the target folder is writable");
        turn.lock().expect("files can be locked");
        let data = folder.join("data");
        run_on(&sample_knowledge(), &data, &["index", "--json"]).expect_status(0);
        data
    });
    &DATA
}

/// The sample, indexed, in a data folder of the test's own; without records.
pub fn own_sample_data() -> tempfile::TempDir {
    let own = folder();
    copy_folder(sample_data(), own.path());
    // The shared folder outlives a run, and with it whatever a test has asked there.
    for name in ["records.sqlite", "records.sqlite-wal", "records.sqlite-shm"] {
        let _ = fs::remove_file(own.path().join(name));
    }
    own
}

/// A few documents of every shape in a folder of the test's own.
pub fn small_knowledge() -> tempfile::TempDir {
    let knowledge = folder();
    write(knowledge.path(), "products/pump.md", PUMP);
    write(
        knowledge.path(),
        "faqs/pump.csv",
        "id,问题,答案,可见范围\nq1,泵多久保养一次？,每 500 小时保养一次。,customer\nq2,泵的底价是多少？,底价 7.31 万元。,internal\n",
    );
    write(
        knowledge.path(),
        "objections/price.md",
        "---\nid: too-expensive\ntitle: 客户说太贵了\n---\n# 客户说太贵了\n\n先认同客户的感受，再算三年总成本：能耗每年少花 1.6 万元。\n",
    );
    knowledge
}

const PUMP: &str = "---\nid: pump-k7\ntitle: K7 离心泵\naudience: customer\nproduct: [K7]\n---\n# K7 离心泵\n\n\
    K7 离心泵流量 42 立方米每小时，扬程 32 米，功率 5.5 kW。\n\n## 保修\n\n整机保修 24 个月，密封件保修 6 个月。\n";

/// Looks again and again until `condition` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
    client: reqwest::blocking::Client,
}

impl Server {
    /// Starts one on a free port and waits until it has an index.
    pub fn start(knowledge: &Path, data: &Path) -> Self {
        Self::start_with(knowledge, data, &[])
    }

    /// As [`Server::start`], with these environment variables.
    pub fn start_with(knowledge: &Path, data: &Path, variables: &[(&str, &str)]) -> Self {
        let server = Self::spawn(knowledge, data, variables);
        wait_for("the server to be ready", || (server.get("/readyz").status() == 200).then_some(()));
        server
    }

    /// Starts one on a free port and waits until it listens.
    pub fn start_without_waiting(knowledge: &Path, data: &Path) -> Self {
        Self::spawn(knowledge, data, &[])
    }

    fn spawn(knowledge: &Path, data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = flightdeck()
            .envs(variables.iter().copied())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg("--knowledge")
            .arg(knowledge)
            .arg("--data")
            .arg(data)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().expect("standard error is piped"));
        let collected = log.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = collected.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        let address = wait_for("the server to listen", || {
            let log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = child.try_wait().expect("the child can be asked");
            assert!(ended.is_none(), "the server ended: {log}");
            let (_, rest) = log.split_once("http://")?;
            let (address, _) = rest.split_once('\n')?;
            Some(format!("http://{}", address.trim()))
        });
        // The client wants one even where it never encrypts; an error means that there is one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::blocking::Client::builder()
            .timeout(PATIENCE)
            .no_proxy()
            .build()
            .expect("a client can be made");
        Self { child, address, log, client }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// `HOST:PORT`
    pub fn authority(&self) -> &str {
        self.address.strip_prefix("http://").expect("the address was made above")
    }

    pub fn client(&self) -> &reqwest::blocking::Client {
        &self.client
    }

    pub fn get(&self, path: &str) -> reqwest::blocking::Response {
        self.client.get(self.url(path)).send().expect("the server answers")
    }

    pub fn post(&self, path: &str, body: &Value) -> reqwest::blocking::Response {
        self.client.post(self.url(path)).json(body).send().expect("the server answers")
    }

    /// Posts and expects 200.
    #[track_caller]
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        let response = self.post(path, body);
        let status = response.status();
        let text = response.text().expect("the reply is text");
        assert_eq!(status, 200, "{body} got {text}");
        serde_json::from_str(&text).expect("the reply is JSON")
    }

    #[track_caller]
    pub fn chat(&self, message: &str, audience: &str) -> Value {
        self.ask("/api/v1/chat", &serde_json::json!({"message": message, "audience": audience}))
    }

    #[track_caller]
    pub fn search(&self, query: &str, audience: &str) -> Value {
        self.ask("/api/v1/search", &serde_json::json!({"query": query, "audience": audience}))
    }

    /// All that the server has written to standard error.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends `SIGTERM` and gives the exit status.
    pub fn terminate(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill is there");
        assert!(sent.success());
        wait_for("the server to stop", || self.child.try_wait().expect("the child can be asked")).code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ids of what a search found, best first.
pub fn hit_documents(reply: &Value) -> Vec<&str> {
    let hits = reply["hits"].as_array().expect("a search has hits");
    hits.iter().map(|hit| hit["document"]["id"].as_str().expect("a document has an id")).collect()
}
