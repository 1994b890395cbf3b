//! The knowledge folder over HTTP: what those who look after it can change, and what they cannot break.

use reqwest::blocking::Response;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Server, folder, run_on, small_knowledge, wait_for, write};

const PUMP: &str = "products/pump.md";

struct Shelf {
    server: Server,
    knowledge: tempfile::TempDir,
    data: tempfile::TempDir,
}

impl Shelf {
    fn open() -> Self {
        let (knowledge, data) = (small_knowledge(), folder());
        let server = Server::start(knowledge.path(), data.path());
        let shelf = Self { server, knowledge, data };
        wait_for("the first state to be kept", || (!shelf.versions(PUMP).is_empty()).then_some(()));
        shelf
    }

    fn get(&self, path: &str) -> Value {
        self.server.get(path).json().unwrap()
    }

    fn source(&self, method: Method, path: &str, condition: (&str, &str), body: &str) -> Response {
        let url = self.server.url(&format!("/api/v1/knowledge/source/{path}"));
        let request = self.server.client().request(method, url).header(condition.0, condition.1);
        request.body(body.to_owned()).send().unwrap()
    }

    fn tag(&self, path: &str) -> String {
        let reply = self.server.get(&format!("/api/v1/knowledge/source/{path}"));
        assert_eq!(reply.status(), 200);
        reply.headers()["etag"].to_str().unwrap().to_owned()
    }

    fn versions(&self, path: &str) -> Vec<Value> {
        let reply = self.get(&format!("/api/v1/knowledge/versions/{path}"));
        reply["versions"].as_array().cloned().unwrap_or_default()
    }

    fn file(&self, path: &str) -> Value {
        self.get(&format!("/api/v1/knowledge/files/{path}"))
    }

    /// The file once the index has it as it is in the folder.
    fn indexed(&self, path: &str) -> Value {
        wait_for("the index to have the file", || {
            Some(self.file(path)).filter(|file| file["is_indexed"] == true)
        })
    }
}

fn code(response: Response) -> (StatusCode, String) {
    let status = response.status();
    let body: Value = response.json().unwrap();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_file_is_written_seen_compared_and_brought_back() {
    let shelf = Shelf::open();
    let file = shelf.file(PUMP);
    assert_eq!((file["title"].as_str(), file["state"].as_str()), (Some("K7 离心泵"), Some("served")));
    assert!(file["contents"][0]["passages"][0]["text"].as_str().unwrap().contains("42 立方米"), "{file}");
    let before = shelf.server.get(&format!("/api/v1/knowledge/source/{PUMP}")).text().unwrap();
    let tag = shelf.tag(PUMP);

    let after = before.replace("24 个月", "36 个月");
    let written = shelf.source(Method::PUT, PUMP, ("if-match", &tag), &after);
    assert_eq!(written.status(), 200);
    assert_eq!(
        code(shelf.source(Method::PUT, PUMP, ("if-match", &tag), &before)),
        (StatusCode::PRECONDITION_FAILED, "changed".to_owned())
    );
    shelf.indexed(PUMP);
    assert!(shelf.server.chat("K7 保修多久？", "customer")["answer"].as_str().unwrap().contains("36 个月"));

    let versions = shelf.versions(PUMP);
    let actions: Vec<_> = versions.iter().map(|version| version["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["write", "found"]);
    let change = shelf.get(&format!("/api/v1/knowledge/difference/{PUMP}?from={}", versions[1]["id"]));
    let text = |fate: &str| {
        let pieces = change["pieces"].as_array().unwrap().iter().filter(|piece| piece["fate"] == fate);
        pieces.map(|piece| piece["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((text("removed").len(), text("added").len()), (1, 1), "{change}");
    assert!(text("removed")[0].contains("24 个月") && text("added")[0].contains("36 个月"), "{change}");

    // An answer of before the change opens the text that it was given from.
    let at = versions[1]["at"].as_str().unwrap();
    let then = shelf.get(&format!("/api/v1/documents/pump-k7?at={at}"));
    assert!(then["text"].as_str().unwrap().contains("24 个月") && then["version"].is_number(), "{then}");
    assert_eq!(
        shelf.server.get(&format!("/api/v1/documents/pump-k7?at={at}&audience=customer")).status(),
        422
    );

    let back = json!({"version": versions[1]["id"]});
    assert_eq!(shelf.server.post(&format!("/api/v1/knowledge/restore/{PUMP}"), &back).status(), 200);
    assert_eq!(std::fs::read_to_string(shelf.knowledge.path().join(PUMP)).unwrap(), before);
    let trail = shelf.get("/api/v1/audit?limit=2");
    assert_eq!(trail["entries"][0]["action"], "knowledge.restore", "{trail}");
}

#[test]
fn a_deleted_file_leaves_the_answers_and_can_come_back() {
    let shelf = Shelf::open();
    let tag = shelf.tag(PUMP);
    assert_eq!(shelf.source(Method::DELETE, PUMP, ("if-match", &tag), "").status(), 200);
    wait_for("the file to leave the index", || {
        (shelf.server.get("/api/v1/documents/pump-k7").status() == 404).then_some(())
    });
    let versions = shelf.versions(PUMP);
    assert_eq!(versions[0]["action"], "delete");
    let then = shelf
        .server
        .get(&format!("/api/v1/documents/pump-k7?path={PUMP}&at={}", versions[1]["at"].as_str().unwrap()));
    assert_eq!(then.status(), 200, "an old answer can still be looked up");
    let back = json!({"version": versions[0]["id"]});
    assert_eq!(shelf.server.post(&format!("/api/v1/knowledge/restore/{PUMP}"), &back).status(), 200);
    assert_eq!(shelf.indexed(PUMP)["state"], "served");
}

#[test]
fn publishing_and_archiving_change_one_line_or_a_sidecar() {
    let shelf = Shelf::open();
    let before = std::fs::read_to_string(shelf.knowledge.path().join(PUMP)).unwrap();
    let set = |path: &str, status: &str| {
        shelf.server.post(&format!("/api/v1/knowledge/status/{path}"), &json!({"status": status}))
    };
    assert_eq!(set(PUMP, "archived").status(), 200);
    let now = std::fs::read_to_string(shelf.knowledge.path().join(PUMP)).unwrap();
    assert_eq!(now.replace("status: archived\n", ""), before);
    assert_eq!(shelf.indexed(PUMP)["state"], "archived");
    assert_eq!(shelf.server.get("/api/v1/documents/pump-k7").status(), 404);

    assert_eq!(set("faqs/pump.csv", "draft").status(), 200);
    assert_eq!(
        std::fs::read_to_string(shelf.knowledge.path().join("faqs/pump.csv.yaml")).unwrap(),
        "status: draft\n"
    );
    wait_for("the table to be a draft", || (shelf.file("faqs/pump.csv")["state"] == "draft").then_some(()));
    assert_eq!(shelf.versions("faqs/pump.csv")[0]["action"], "draft");
    assert_eq!(set(PUMP, "gone").status(), 422);
    let drafts = shelf.get("/api/v1/knowledge/files?state=draft");
    assert_eq!(drafts["files"].as_array().unwrap().len(), 1, "{drafts}");
}

#[test]
fn nothing_is_written_outside_the_folder_or_over_something_unseen() {
    let shelf = Shelf::open();
    let put = |path: &str, condition: (&str, &str)| code(shelf.source(Method::PUT, path, condition, "x"));
    for path in [
        "..%2Foutside.md",
        "products%2F..%2F..%2Foutside.md",
        "%2Fetc%2Foutside.md",
        ".hidden.md",
        "_folder.yaml",
        "a.exe",
        "a%5Cb.md",
    ] {
        assert_eq!(
            put(path, ("if-none-match", "*")),
            (StatusCode::UNPROCESSABLE_ENTITY, "bad_path".to_owned()),
            "{path}"
        );
    }
    assert_eq!(put(PUMP, ("if-none-match", "*")), (StatusCode::CONFLICT, "exists".to_owned()));
    assert_eq!(
        put(PUMP, ("x-nothing", "1")),
        (StatusCode::PRECONDITION_REQUIRED, "precondition_required".to_owned())
    );
    assert_eq!(put("new.md", ("if-match", "\"00\"")).0, StatusCode::NOT_FOUND);
    let left = std::fs::read_dir(shelf.knowledge.path().parent().unwrap()).unwrap();
    assert!(!left.filter_map(Result::ok).any(|entry| entry.file_name() == "outside.md"));
}

#[test]
fn only_marketing_and_admins_look_after_the_knowledge() {
    let shelf = Shelf::open();
    let create = |role: &str| {
        let arguments = ["keys", "create", "--name", role, "--role", role];
        run_on(shelf.knowledge.path(), shelf.data.path(), &arguments)
            .expect_status(0)
            .stdout
            .trim()
            .to_owned()
    };
    let (marketing, rep, bot) = (create("marketing"), create("rep"), create("bot"));
    let with = |key: &str, method: Method, path: &str| {
        let request =
            shelf.server.client().request(method, shelf.server.url(&format!("/api/v1/knowledge/{path}")));
        request
            .bearer_auth(key)
            .header("if-none-match", "*")
            .body("# 新\n\n内容。\n")
            .send()
            .unwrap()
            .status()
    };
    for path in
        ["files", "files/products/pump.md", "source/products/pump.md", "versions/products/pump.md", "health"]
    {
        assert_eq!(with(&rep, Method::GET, path), 403, "{path}");
        assert_eq!(with(&bot, Method::GET, path), 403, "{path}");
        assert_eq!(with(&marketing, Method::GET, path), 200, "{path}");
    }
    assert_eq!(with(&rep, Method::PUT, "source/company/new.md"), 403);
    assert!(!shelf.knowledge.path().join("company/new.md").exists());
    assert_eq!(with(&marketing, Method::PUT, "source/company/new.md"), 201);
    let versions = shelf.server.client().get(shelf.server.url("/api/v1/knowledge/versions/company/new.md"));
    let versions: Value = versions.bearer_auth(&marketing).send().unwrap().json().unwrap();
    assert_eq!(versions["versions"][0]["actor"], "marketing", "{versions}");
}

#[test]
fn health_names_what_is_wrong_and_how_to_mend_it() {
    let shelf = Shelf::open();
    write(
        shelf.knowledge.path(),
        "company/old.md",
        "---\nowner: 王敏\nvalid_until: 2020-01-01\n---\n# 旧\n\n见[手册](nowhere.md)。\n",
    );
    write(shelf.knowledge.path(), "company/broken.docx", b"no archive");
    let health = wait_for("the findings", || {
        let health = shelf.get("/api/v1/knowledge/health");
        let is_there = health["is_checking"] == false && health.to_string().contains("nowhere.md");
        is_there.then_some(health)
    });
    let problems = health["problems"].as_array().unwrap();
    assert_eq!(problems[0]["path"], "company/broken.docx", "errors come first: {health}");
    let link = problems.iter().find(|problem| problem["code"] == "dead_link").unwrap();
    assert_eq!((link["path"].as_str(), link["line"].as_u64()), (Some("company/old.md"), Some(7)));
    assert!(link["advice_zh"].as_str().is_some_and(|advice| !advice.is_empty()));
    assert_eq!(health["expiring"][0]["owner"], "王敏", "{health}");
    assert_eq!(health["expiring"][0]["documents"][0]["is_over"], true);
    let broken = shelf.get("/api/v1/knowledge/files?state=error");
    assert_eq!(broken["files"][0]["path"], "company/broken.docx", "{broken}");
}
