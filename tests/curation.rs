//! What curators do over HTTP: reasons, gaps, opinions, figures, and who may.

use serde_json::{Value, json};

use crate::support::{Server, copy_folder, folder, own_sample_data, run_on, sample_knowledge, wait_for};

/// Refused with room to spare, as all questions here that are to be: a processor's rounding moves what is just refused.
const COLOURS: &str = "请问 LB-300S 机身有什么颜色可以选择";
const ANSWER: &str =
    "LB-300S 机身有三种颜色可以选：标准灰白 RAL 9002、信号蓝 RAL 5005 和不锈钢本色，定制颜色另加 10 天交期。";

struct Office {
    server: Server,
    knowledge: tempfile::TempDir,
    data: tempfile::TempDir,
}

impl Office {
    fn open() -> Self {
        let knowledge = folder();
        copy_folder(&sample_knowledge(), knowledge.path());
        let data = own_sample_data();
        let server = Server::start(knowledge.path(), data.path());
        Self { server, knowledge, data }
    }

    fn key(&self, name: &str, role: &str) -> String {
        let arguments = ["keys", "create", "--name", name, "--role", role];
        let made = run_on(self.knowledge.path(), self.data.path(), &arguments).expect_status(0);
        made.stdout.trim().to_owned()
    }

    fn call(&self, key: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let client = self.server.client();
        let request = match body {
            Some(body) => client.post(self.server.url(path)).json(body),
            None => client.get(self.server.url(path)),
        };
        let response = request.bearer_auth(key).send().expect("the server answers");
        (response.status().as_u16(), response.json().unwrap_or(Value::Null))
    }

    fn gaps(&self, key: &str, state: &str) -> Vec<Value> {
        let (status, reply) = self.call(key, &format!("/api/v1/gaps/groups?state={state}"), None);
        assert_eq!(status, 200, "{reply}");
        reply["groups"].as_array().expect("groups").clone()
    }
}

#[test]
fn gaps_are_grouped_answered_and_closed_only_when_they_are_really_answered() {
    let office = Office::open();
    let (rep, marketing, bot) =
        (office.key("陈立航", "rep"), office.key("林知夏", "marketing"), office.key("官网", "bot"));
    for (key, question) in [
        (&rep, COLOURS),
        (&rep, COLOURS),
        (&bot, "LB-300S 机身能选什么颜色"),
        (&rep, "LB-150 用的是哪个牌子的轴承"),
    ] {
        let (status, reply) = office.call(key, "/api/v1/chat", Some(&json!({"message": question})));
        assert_eq!((status, &reply["refused"]), (200, &json!(true)), "{question}: {reply}");
    }
    for key in [&rep, &bot] {
        assert_eq!(office.call(key, "/api/v1/gaps/groups", None).0, 403);
        assert_eq!(office.call(key, "/api/v1/gaps/answer", Some(&json!({}))).0, 403);
        assert_eq!(office.call(key, "/api/v1/try", Some(&json!({"message": "x"}))).0, 403);
        assert_eq!(office.call(key, "/api/v1/insights", None).0, 403);
    }
    let groups = office.gaps(&marketing, "open");
    assert_eq!(groups.len(), 2, "two meanings: {groups:#?}");
    assert_eq!((&groups[0]["question"], &groups[0]["count"]), (&json!(COLOURS), &json!(3)));
    assert_eq!(groups[0]["askers"], json!([{"name": "陈立航", "count": 2}, {"name": "官网", "count": 1}]));
    assert_eq!(groups[0]["nearest"].as_array().map(Vec::len), Some(3));

    let ids: Vec<&Value> =
        groups[0]["questions"].as_array().unwrap().iter().map(|question| &question["id"]).collect();
    let row = |answer: &str, audience: &str| json!({"gaps": ids, "question": COLOURS, "answer": answer, "audience": audience, "keywords": ["颜色"]});
    let (status, reply) = office.call(&marketing, "/api/v1/gaps/answer", Some(&row(ANSWER, "everybody")));
    assert_eq!((status, &reply["error"]["field"]), (422, &json!("audience")));
    let (status, reply) = office.call(&marketing, "/api/v1/gaps/answer", Some(&row(ANSWER, "internal")));
    assert_eq!(status, 200, "{reply}");
    // The rep's question is answered; the customer's is not, for the row is not for customers.
    let open = wait_for("the questions to be asked again", || {
        let groups = office.gaps(&marketing, "open");
        let group = groups.iter().find(|group| group["question"].as_str().unwrap().contains("颜色"))?.clone();
        (group["state"] == "open" && group["questions"][0]["why"].is_string()).then_some(group)
    });
    assert_eq!(open["questions"][0]["why"], "hidden_from_customers", "{open:#?}");
    assert_eq!(open["questions"].as_array().map(Vec::len), Some(1));
    assert_eq!(office.gaps(&marketing, "closed").len(), 1);

    let id = &open["questions"][0]["id"];
    let for_all = json!({"gaps": [id], "question": COLOURS, "answer": ANSWER, "audience": "customer"});
    let (status, reply) = office.call(&marketing, "/api/v1/gaps/answer", Some(&for_all));
    assert_eq!((status, &reply["replaced"]), (200, &json!(true)), "{reply}");
    wait_for("the customer's question to be answered", || {
        (office.gaps(&marketing, "open").len() == 1).then_some(())
    });
    let (_, answered) = office.call(&bot, "/api/v1/chat", Some(&json!({"message": COLOURS})));
    assert!(answered["answer"].as_str().unwrap().contains("RAL 9002"), "{answered}");
    let written = std::fs::read_to_string(office.knowledge.path().join("faqs/console.csv")).unwrap();
    assert_eq!((written.matches(COLOURS).count(), written.contains("林知夏")), (1, true), "{written}");

    let noise = &office.gaps(&marketing, "open")[0]["questions"][0]["id"];
    let dismissed = office.call(&marketing, "/api/v1/gaps/dismiss", Some(&json!({"gaps": [noise]})));
    assert_eq!(dismissed.0, 204);
    assert_eq!((office.gaps(&marketing, "open").len(), office.gaps(&marketing, "dismissed").len()), (0, 1));
    let unknown = office.call(&marketing, "/api/v1/gaps/dismiss", Some(&json!({"gaps": [9999]})));
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    let admin = office.key("管理员", "admin");
    let (_, audit) = office.call(&admin, "/api/v1/audit?limit=20", None);
    let audit = audit.to_string();
    assert!(audit.contains("row.write") && audit.contains("gap.settle"), "{audit}");
}

#[test]
fn an_approved_correction_becomes_a_row_that_answers() {
    let office = Office::open();
    let (rep, marketing) = (office.key("陈立航", "rep"), office.key("林知夏", "marketing"));
    let (_, given) = office.call(&rep, "/api/v1/chat", Some(&json!({"message": "LB-300S 保修多久？"})));
    let opinion = json!({"message_id": given["message_id"], "rating": "down", "reason": "说错了",
                         "correction": "从 2026 年 12 月起 LB-300S 整机保修 37 个月。"});
    let (status, opinion) = office.call(&rep, "/api/v1/feedback", Some(&opinion));
    assert_eq!(status, 200, "{opinion}");
    let list = |state: &str| {
        let path = format!("/api/v1/feedback?corrected=true&state={state}");
        office.call(&marketing, &path, None).1["feedback"].as_array().unwrap().clone()
    };
    assert_eq!(list("open").len(), 1);
    let path = format!("/api/v1/feedback/{}/approve", opinion["id"].as_str().unwrap());
    let row = json!({"question": "2026 年 12 月起 LB-300S 整机保修多久？", "audience": "internal",
                     "answer": "从 2026 年 12 月起 LB-300S 整机保修 37 个月。"});
    assert_eq!(office.call(&rep, &path, Some(&row)).0, 403);
    let (status, reply) = office.call(&marketing, &path, Some(&row));
    assert_eq!((status, &reply["row"]["path"]), (200, &json!("qa-history/console.csv")), "{reply}");
    assert_eq!((list("open").len(), &list("approved")[0]["settled_by"]), (0, &json!("林知夏")));
    wait_for("the row to be answered from", || {
        let body = json!({"message": "2026 年 12 月起 LB-300S 整机保修多久？"});
        let (_, reply) = office.call(&rep, "/api/v1/chat", Some(&body));
        reply["answer"].as_str()?.contains("37 个月").then_some(())
    });
    let missing = office.call(&marketing, "/api/v1/feedback/nobody/approve", Some(&row));
    assert_eq!(missing.0, 404);
}

#[test]
fn reasons_change_nothing_and_are_not_for_customers() {
    let office = Office::open();
    let (rep, marketing, bot) =
        (office.key("陈立航", "rep"), office.key("林知夏", "marketing"), office.key("官网", "bot"));
    for query in ["LB-300S 贴标精度", "饮料厂 快速换线 案例", "最低能打几折"] {
        let search = |key: &str, explain: bool, audience: &str| {
            let body = json!({"query": query, "explain": explain, "audience": audience});
            office.call(key, "/api/v1/search", Some(&body))
        };
        let (plain, explained) = (search(&rep, false, "internal").1, search(&rep, true, "internal").1);
        assert_eq!(plain["hits"], explained["hits"], "{query}");
        assert!(plain.get("explain").is_none());
        let hits = explained["hits"].as_array().unwrap();
        for (hit, reasons) in hits.iter().zip(explained["explain"]["passages"].as_array().unwrap()) {
            assert_eq!(hit["chunk_id"], reasons["chunk_id"]);
            let number = |value: &Value| value.as_f64().unwrap();
            let mut sum = number(&reasons["lexical_share"]) + number(&reasons["dense_share"]);
            for change in reasons["changes"].as_array().unwrap() {
                assert!((number(&change["before"]) - sum).abs() < 1e-4, "{query}: {reasons}");
                sum = number(&change["after"]);
            }
            assert!((number(&hit["score"]) - sum).abs() < 1e-4, "{query}: {reasons}");
        }
        let (status, refused) = search(&bot, true, "customer");
        assert_eq!((status, &refused["error"]["field"]), (403, &json!("explain")));
        // A rep who looks as a customer learns of no draft and of nothing out of date.
        let left = |key: &str| search(key, true, "customer").1["explain"]["left_out"].to_string();
        assert!(!left(&rep).contains("draft") && !left(&rep).contains("expired"), "{query}");
        assert!(left(&marketing).len() >= left(&rep).len());
    }
    let trial = json!({"message": "LB-300S 底价多少", "audience": "customer", "mode": "lexical",
                       "settings": {"title_weight": 0}});
    let (status, trial) = office.call(&marketing, "/api/v1/try", Some(&trial));
    assert_eq!((status, &trial["refused"]), (200, &json!(true)), "{trial}");
    assert!(trial["explain"]["left_out"].to_string().contains("audience"), "{trial}");
    let signs =
        trial["support"]["signs"].as_array().unwrap().iter().map(|sign| sign["adds"].as_f64().unwrap());
    let logit = trial["support"]["bias"].as_f64().unwrap() + signs.sum::<f64>();
    let score = trial["support"]["score"].as_f64().unwrap();
    assert!((1.0 / (1.0 + (-logit).exp()) - score).abs() < 1e-3, "{}", trial["support"]);
    let bad = json!({"message": "x", "settings": {"dense_weight": 2}});
    let (status, reply) = office.call(&marketing, "/api/v1/try", Some(&bad));
    assert_eq!((status, &reply["error"]["field"]), (422, &json!("settings.dense_weight")));
}

#[test]
fn what_is_sent_and_won_is_counted_with_how_many_there_were() {
    let office = Office::open();
    let admin = office.key("管理员", "admin");
    for (id, stage) in [("c-1", "已成交"), ("c-2", "报价")] {
        let customer = json!({"id": id, "name": id, "stage": stage});
        assert_eq!(office.call(&admin, "/api/v1/customers", Some(&customer)).0, 201);
        let sent = json!({"kind": "sent", "text": "案例", "documents": ["case-huarui-labelling"]});
        assert_eq!(office.call(&admin, &format!("/api/v1/customers/{id}/interactions"), Some(&sent)).0, 201);
    }
    office.call(&admin, "/api/v1/chat", Some(&json!({"message": "LB-300S 一分钟最多能贴多少瓶？"})));
    let (status, figures) = office.call(&admin, "/api/v1/insights", None);
    assert_eq!(status, 200, "{figures}");
    let totals = &figures["totals"];
    assert_eq!(
        (&totals["answers"], &totals["sent"], &totals["reached_won"]),
        (&json!(1), &json!(2), &json!(1))
    );
    let case =
        figures["documents"].as_array().unwrap().iter().find(|entry| entry["id"] == "case-huarui-labelling");
    let case = case.expect("it was sent");
    assert_eq!((&case["reached"], &case["reached_won"]), (&json!(2), &json!(1)), "{case}");
    let best = &figures["videos"][0];
    assert!(
        best["deals"].as_f64() >= figures["videos"][1]["deals"].as_f64() && best["views"].is_number(),
        "{best}"
    );
    let unused = figures["unused"].as_array().unwrap();
    assert!(unused.len() > 20 && !figures["unused"].to_string().contains("cases/huarui-labelling.md"));
    let (_, none) = office.call(&admin, "/api/v1/insights?from=2020-01-01&to=2020-01-31", None);
    assert_eq!((&none["totals"]["answers"], &none["documents"]), (&json!(0), &json!([])));
    assert_eq!(office.call(&admin, "/api/v1/insights?from=2026-02-30", None).0, 422);
    assert_eq!(office.call(&admin, "/api/v1/insights?from=2026-03-01&to=2026-02-01", None).0, 422);
}
