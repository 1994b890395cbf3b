//! Questions as a rep in a hurry asks them, and what must stand first in the answer.

use serde_json::Value;

use crate::support::{Server, folder, own_sample_data, run_on, sample_knowledge, write};

/// Asks as a rep; the first citation must be of `document` and hold `words`.
#[track_caller]
fn check(server: &Server, question: &str, document: &str, words: &str) -> Value {
    let reply = server.chat(question, "internal");
    assert_eq!(reply["refused"], false, "{reply}");
    let first = &reply["citations"][0];
    assert_eq!(first["document"]["id"], document, "{question}: {reply}");
    assert!(first["quote"].as_str().unwrap().contains(words), "{question}: {reply}");
    reply
}

#[test]
fn a_figure_comes_first_from_the_sheet_of_the_model_that_was_asked_about() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    check(&server, "LB-300S 速度多少", "lb-300s", "300 瓶/分钟");
    check(&server, "lb300s 贴标精度", "lb-300s", "±0.5 mm");
    // The sheet that this one replaces is there, is public, says 240, and must not be quoted for it.
    let reply = server.chat("LB-300S 速度多少", "customer");
    for citation in reply["citations"].as_array().unwrap() {
        assert_ne!(citation["document"]["id"], "products/lb-300s-2024", "{reply}");
    }
}

#[test]
fn an_objection_gets_its_playbook_step_by_step() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = check(&server, "客户说太贵了怎么回复？", "obj-price", "");
    assert_eq!(reply["intent"], "handle_objection");
    let answer = reply["answer"].as_str().unwrap();
    for step in ["背后的原因", "可以这样说", "拿出证据", "反问一句", "下一步"] {
        assert!(answer.contains(step), "{step} is missing: {answer}");
    }
}

#[test]
fn who_asks_what_fits_a_customer_of_a_new_kind_gets_the_nearest_and_is_told_so() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("客户在云南，做鲜花饼的，适合发哪些案例？", "internal");
    assert_eq!(reply["refused"], false, "{reply}");
    assert!(reply["answer"].as_str().unwrap().starts_with("知识库里没有同类客户的案例"), "{reply}");
    let is_case = |citation: &Value| citation["document"]["kind"] == "case";
    assert!(reply["citations"].as_array().unwrap().iter().all(is_case), "{reply}");
    // Whether there is one is another question, and a customer is not shown what does not fit.
    assert_eq!(server.chat("有没有烟草厂的案例？", "internal")["refused"], true);
    assert_eq!(server.chat("我们在云南做鲜花饼，适合看哪些案例？", "customer")["refused"], true);
}

#[test]
fn a_figure_is_asked_for_and_no_objection_raised() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("换一次标要停机多久", "internal");
    assert_ne!(reply["intent"], "handle_objection", "{reply}");
    assert!(reply["answer"].as_str().unwrap().contains("35 分钟"), "{reply}");
    // What a mail's template leaves open is no fact.
    assert!(!reply["answer"].as_str().unwrap().contains("{{"), "{reply}");
}

#[test]
fn words_typed_by_sound_are_understood() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("保秀多久", "internal");
    assert_eq!(reply["refused"], false, "{reply}");
    assert!(reply["answer"].as_str().unwrap().contains("18 个月"), "{reply}");
}

#[test]
fn a_customer_in_the_request_steers_which_cases_are_shown() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for (industry, case) in
        [("饮料", "case-huarui-labelling"), ("制药", "case-kangze-pharma"), ("白酒", "case-gurong-liquor")]
    {
        let body = serde_json::json!({
            "message": "这个客户适合发哪些案例？",
            "audience": "internal",
            "customer": {"industry": industry},
        });
        let reply = server.ask("/api/v1/chat", &body);
        let shown: Vec<&str> = reply["citations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["document"]["id"].as_str().unwrap())
            .collect();
        assert!(shown.contains(&case), "{industry}: {shown:?}");
    }
}

#[test]
fn a_conversation_inside_is_never_continued_before_a_customer() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let inside = server.chat("LB-300S 底价多少", "internal");
    let body = serde_json::json!({
        "message": "LB-300S 速度多少", "audience": "customer", "session_id": inside["session_id"],
    });
    let outside = server.ask("/api/v1/chat", &body);
    assert_ne!(outside["session_id"], inside["session_id"]);
}

#[test]
fn small_talk_is_declined_and_not_answered_from_whatever_is_near() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for question in ["今天天气怎么样", "帮我写一首关于秋天的诗", "？？？"] {
        let reply = server.chat(question, "internal");
        assert_eq!(reply["refused"], true, "{reply}");
        assert_eq!(reply["refusal_reason"], "out_of_scope", "{reply}");
    }
}

/// Says the messages one after another in one conversation; what each came to, in order.
fn talk(server: &Server, messages: &[&str]) -> Vec<Value> {
    let mut session = Value::Null;
    let mut replies = Vec::new();
    for message in messages {
        let body = serde_json::json!({"message": message, "session_id": session, "audience": "internal"});
        let reply = server.ask("/api/v1/chat", &body);
        session = reply["session_id"].clone();
        replies.push(reply);
    }
    replies
}

fn cited(reply: &Value) -> Vec<&str> {
    let citations = reply["citations"].as_array().expect("a reply has citations");
    citations.iter().filter_map(|citation| citation["document"]["id"].as_str()).collect()
}

#[test]
fn what_leans_on_the_turns_before_is_read_behind_them() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for (messages, understood, words) in [
        (&["LB-300S 一分钟最多能贴多少瓶？", "那精度呢？"][..], "LB-300S 精度", "±0.5 mm"),
        (&["LB-300S 的精度是多少？", "那 LB-500R 呢"], "LB-500R 的精度是多少？", "±0.3 mm"),
        (&["LB-300S 的精度是多少？", "大一号的呢？"], "LB-500R 的精度是多少？", "±0.3 mm"),
        (&["How fast is the LB-300S?", "what about its accuracy?"], "LB-300S accuracy", "±0.5 mm"),
    ] {
        let replies = talk(&server, messages);
        let last = replies.last().unwrap();
        assert_eq!(last["understood"], understood, "{last}");
        assert!(last["answer"].as_str().unwrap().contains(words), "{messages:?}: {last}");
        // A message that stands on its own is not reworded.
        assert_eq!(replies[0]["understood"], Value::Null);
    }
    for other in ["博润特跟我们比差在哪", "有没有类似的方案模板？", "客户说太贵了怎么回？"]
    {
        let replies = talk(&server, &["LB-300S 一分钟最多能贴多少瓶？", other]);
        assert_eq!(replies[1]["understood"], Value::Null, "{other} takes up something else");
    }
}

#[test]
fn words_of_size_and_more_that_mean_something_else_ask_for_no_other_machine() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for asked in ["能贴更大的瓶子吗？", "一分钟能装更多瓶子吗？", "再给便宜点行吗？"]
    {
        let replies = talk(&server, &["LB-300S 一分钟最多能贴多少瓶？", asked]);
        let understood = replies[1]["understood"].as_str().unwrap_or(asked);
        assert!(!understood.contains("LB-500R"), "{asked}: {understood}");
        assert_ne!(understood, "LB-300S 一分钟最多能贴多少瓶？", "{asked}");
    }
}

#[test]
fn a_list_can_be_pointed_into_and_asked_on() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let replies =
        talk(&server, &["这家食品厂适合发哪些案例？", "还有吗", "发第二个给他", "那化工行业的呢？"]);
    let (first, more, second) = (cited(&replies[0]), cited(&replies[1]), cited(&replies[2]));
    assert!(more.iter().all(|id| !first.contains(id)), "{first:?} and then {more:?}");
    let mut shown = more.clone();
    shown.dedup();
    assert!(second.iter().all(|id| *id == shown[1]), "{shown:?} and then {second:?}");
    assert_eq!(cited(&replies[3])[0], "case-haikui-lubricant", "{}", replies[3]);
}

#[test]
fn each_of_several_questions_is_answered_or_said_to_be_open() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("付款怎么付？定金多少？", "customer");
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.contains("第一问") && answer.contains("第二问"), "{answer}");
    assert!(cited(&reply).contains(&"delivery-times"), "{reply}");
    let next: Vec<&str> =
        reply["suggestions"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
    assert_eq!(next.iter().collect::<std::collections::HashSet<_>>().len(), next.len(), "{next:?}");
    let reply = server.chat("你们有食堂吗？LB-300S 精度多少？", "customer");
    let answer = reply["answer"].as_str().unwrap();
    assert_eq!(reply["refused"], false);
    assert!(answer.contains("没有可靠的依据") && answer.contains("±0.5 mm"), "{answer}");
}

#[test]
fn what_asks_nothing_is_answered_in_kind_and_leaves_no_gap() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let replies = talk(&server, &["在吗", "LB-300S 保修多久？", "好的，谢谢", "你是机器人吗？"]);
    let words = |nth: usize| replies[nth]["answer"].as_str().unwrap();
    assert!(
        words(0).contains("问我") && words(2).contains("不客气") && words(3).contains("AI"),
        "{replies:?}"
    );
    assert!(replies[0]["citations"].as_array().unwrap().is_empty(), "{replies:?}");
    assert!(words(1).contains("18 个月"), "{replies:?}");
    let greeted = server.chat("你好？LB-300S 精度多少？", "customer");
    assert!(greeted["answer"].as_str().unwrap().contains("±0.5 mm"), "{greeted}");
    assert!(!greeted["answer"].as_str().unwrap().contains("第一问"), "{greeted}");
    let gaps: Value = server.get("/api/v1/gaps").json().unwrap();
    assert_eq!(gaps["gaps"], serde_json::json!([]), "{gaps}");
}

#[test]
fn what_is_asked_on_of_a_model_that_there_is_not_is_not_answered_of_all_others() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let replies = talk(&server, &["装箱机 CP-20 一分钟装几箱？", "多少钱？"]);
    let asked_on = replies[1]["answer"].as_str().unwrap();
    assert!(replies[1]["refused"] == true && asked_on.contains("CP-8"), "{replies:?}");
}

#[test]
fn the_plain_question_is_led_by_its_approved_answer_in_whatever_words() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for asked in ["保修多久", "你们设备质保多久？", "机器保固多久"] {
        let reply = server.chat(asked, "customer");
        assert!(reply["answer"].as_str().unwrap().starts_with("18 个月"), "{asked}: {reply}");
    }
    // Of a table the rows that say as much stand in its own order.
    let reply = server.chat("机器质保几年", "customer");
    let answer = reply["answer"].as_str().unwrap();
    assert!(
        answer.find("整机（全系列") < answer.find("易损件：") && answer.contains("整机（全系列"),
        "{reply}"
    );
}

#[test]
fn where_two_sheets_differ_both_are_shown_the_newer_first() {
    let (knowledge, data) = (folder(), folder());
    let sheet = |day: &str, speed: u32| {
        format!(
            "---\naudience: customer\nproduct: [K7]\nvalid_from: {day}\n---\n# K7 离心泵 {day}\n\n| 参数 | 数值 |\n| --- | --- |\n| \
             流量 | {speed} m3/h |\n| 扬程 | 32 m |\n"
        )
    };
    write(knowledge.path(), "products/k7-old.md", sheet("2024-03-01", 50));
    write(knowledge.path(), "products/k7-new.md", sheet("2026-03-01", 65));
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    let ask = |question: &str| {
        let reply = run_on(knowledge.path(), data.path(), &["ask", question, "--json"]).json();
        reply["answer"].as_str().expect("an answer").to_owned()
    };
    let answer = ask("K7 的流量是多少？");
    let (lead, rest) = answer.split_once("资料说法不一").expect("both are told");
    assert!(lead.contains("65 m3/h") && !lead.contains("50 m3/h"), "{answer}");
    assert!(rest.contains("2024-03-01") && rest.contains("50 m3/h"), "{answer}");
    assert!(!ask("K7 的扬程是多少？").contains("资料说法不一"));
    // Which of the two holds is known once one replaces the other.
    let newer = sheet("2026-03-01", 65).replace("product:", "supersedes: [products/k7-old]\nproduct:");
    write(knowledge.path(), "products/k7-new.md", newer);
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    assert!(!ask("K7 的流量是多少？").contains("资料说法不一"));
}

#[test]
fn two_models_are_laid_side_by_side() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("LB-150 和 LB-300S 有什么区别", "customer");
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.contains("| 速度 | 150 瓶/分钟[1] | 300 瓶/分钟[1] |"), "{answer}");
    // Joined from two sheets, each figure with its own source.
    let reply = server.chat("FP-60 和 FP-120H 的功率分别是多少", "internal");
    assert_eq!(cited(&reply), ["fp-60", "fp-120h"], "{reply}");
}

#[test]
fn who_asks_which_machine_fits_gets_the_machine_its_figures_and_a_customer_who_has_it() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for audience in ["internal", "customer"] {
        let reply = server.chat("蜂蜜厂用哪款贴标机合适？", audience);
        let answer = reply["answer"].as_str().unwrap();
        assert!(answer.starts_with("**1. LB-150"), "{answer}");
        assert!(answer.contains("在用的客户：北坡蜂业"), "{answer}");
        assert_eq!(cited(&reply)[0], "lb-150", "{reply}");
    }
    let answer = server.chat("冷冻食品用什么包装机", "internal")["answer"].to_string();
    assert!(answer.contains("**1. FP-60") && answer.contains("**2. FP-120H"), "{answer}");
    // What the company does not make is not recommended.
    assert_eq!(server.chat("推荐哪款洗瓶机", "internal")["refused"], true);
}

#[test]
fn who_asks_what_there_is_gets_all_of_it() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    for audience in ["internal", "customer"] {
        let answer = server.chat("你们都有哪些产品？", audience)["answer"].to_string();
        for product in
            ["CE-20", "FL-24", "FP-60", "LB-150", "LB-300S", "LinkCloud", "PZ-6", "QuickChange", "VS-2"]
        {
            assert!(answer.contains(&format!("**{product}")), "{product}: {answer}");
        }
        assert!(!answer.contains("2024 版"), "an old sheet is not listed: {answer}");
    }
    let answer = server.chat("有哪些贴标机", "internal")["answer"].to_string();
    assert!(answer.contains("LB-80T") && !answer.contains("FL-12"), "{answer}");
    let answer = server.chat("What products do you have?", "internal")["answer"].to_string();
    assert!(answer.contains("Datasheet (English)") && answer.contains("**FL-24"), "{answer}");
    assert_eq!(server.chat("有哪些洗瓶机", "internal")["refused"], true);
}

#[test]
fn a_question_of_time_is_answered_with_one_and_of_short_videos_with_short_ones() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let answer = |question| server.chat(question, "internal")["answer"].as_str().unwrap().to_owned();
    let changed = answer("换个瓶型要停多久机");
    assert!(changed.starts_with("换型时间从 12 分钟降到 4 分钟"), "{changed}");
    let short = answer("有没有3分钟以内的贴标机视频");
    assert!(short.contains("时长：2:39") && !short.contains("5:21"), "{short}");
    let none = answer("有没有十秒以内的贴标机视频");
    assert!(none.starts_with("相关的视频都比这长，最短的是"), "{none}");
}

#[test]
fn a_machine_that_is_too_slow_is_not_recommended() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let answer = |question| server.chat(question, "internal")["answer"].as_str().unwrap().to_owned();
    let fast = answer("客户一小时要 8000 瓶，推荐哪款灌装机？");
    assert!(fast.starts_with("**1. FL-24"), "{fast}");
    assert!(fast.contains("9,000 瓶/小时") && !fast.contains("FL-12"), "{fast}");
    let fastest = answer("每分钟 350 瓶，推荐哪款贴标机？");
    assert!(fastest.starts_with("**1. LB-500R") && !fastest.contains("LB-300S"), "{fastest}");
    let none = answer("一小时 1.2 万瓶，用什么灌装机？");
    assert!(
        none.starts_with("按资料里的数字，没有一台达到所问的产能") && none.contains("**1. FL-24"),
        "{none}"
    );
}

#[test]
fn a_competitor_is_met_with_the_whole_card_and_never_before_a_customer() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = check(&server, "博润特跟我们比差在哪", "comp-borunte", "一句话");
    let answer = reply["answer"].as_str().unwrap();
    assert!(answer.contains("| 换型 | 35 分钟 | 12 分钟；QuickChange 4 分钟[2] |"), "{answer}");
    assert!(answer.contains("**我们怎么打**"), "{answer}");
    let reply = server.chat("博润特跟我们比差在哪", "customer");
    assert!(!cited(&reply).contains(&"comp-borunte"), "{reply}");
}

#[test]
fn a_brief_gathers_what_is_known_of_a_customer() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("下周拜访华睿饮料，帮我梳理一下这个客户的情况", "internal");
    let (answer, cited) = (reply["answer"].as_str().unwrap(), cited(&reply));
    assert!(answer.contains("**以前问过**") && cited.contains(&"case-huarui-labelling"), "{reply}");
    assert!(cited.iter().any(|id| id.starts_with("qa-2025#")), "{reply}");
}

#[test]
fn a_model_that_there_is_not_is_refused_with_those_that_there_are() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let reply = server.chat("LB-450 的价格", "customer");
    assert_eq!(reply["refused"], true);
    assert!(reply["answer"].as_str().unwrap().contains("LB-500R"), "{reply}");
}

#[test]
fn what_is_to_be_sent_is_for_customers_and_says_where_it_does_not_fit() {
    let data = own_sample_data();
    let server = Server::start(&sample_knowledge(), data.path());
    let body = serde_json::json!({
        "message": "这个客户适合发哪些案例？", "audience": "internal",
        "customer": {"industry": "饮料", "company_size": "大型", "region": "华东"},
    });
    let reply = server.ask("/api/v1/chat", &body);
    assert!(reply["answer"].as_str().unwrap().contains("不同在：规模是小型，客户是大型"), "{reply}");
    for citation in reply["citations"].as_array().unwrap() {
        assert_eq!(citation["document"]["audience"], "customer", "{reply}");
    }
    // With nothing known of the customer the answer asks for the one thing that would help most.
    let reply = server.chat("有什么案例可以发", "internal");
    assert!(reply["answer"].as_str().unwrap().contains("哪个行业"), "{reply}");
}
