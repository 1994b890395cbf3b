//! What cannot be done ends with status 2 and one line that says what to do.

use std::fs;
use std::net::TcpListener;

use crate::support::{Server, flightdeck, folder, hit_documents, run, run_on, small_knowledge, write};

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let (knowledge, data) = (small_knowledge(), folder());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run_on(knowledge.path(), data.path(), &["serve", "--listen", &address]);
    ran.expect_one_line(&[&address, "in use", "--listen"]);
}

#[test]
fn a_second_server_on_the_same_data_folder_is_refused() {
    let (knowledge, data) = (small_knowledge(), folder());
    let server = Server::start(knowledge.path(), data.path());
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["index"]] {
        run_on(knowledge.path(), data.path(), command).expect_one_line(&["in use", "--data"]);
    }
    // Asking goes on beside it.
    let ran = run_on(knowledge.path(), data.path(), &["search", "离心泵", "--json"]).expect_status(0);
    assert_eq!(ran.json()["hits"][0]["document"]["id"], "pump-k7");
    drop(server);
}

#[test]
fn a_missing_folder_is_named_with_what_to_do() {
    let data = folder();
    let nowhere = data.path().join("no/such/folder");
    for command in
        [&["serve", "--listen", "127.0.0.1:0"][..], &["index", "--json"], &["check"], &["search", "x"]]
    {
        run_on(&nowhere, data.path(), command)
            .expect_one_line(&["knowledge folder not found", "--knowledge"]);
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let (knowledge, place) = (small_knowledge(), folder());
    write(place.path(), "file", "this is no folder");
    let inside_a_file = place.path().join("file/data");
    for command in [&["index"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        run_on(knowledge.path(), &inside_a_file, command).expect_one_line(&["--data"]);
    }
}

#[cfg(unix)]
#[test]
fn a_read_only_data_folder_is_named_and_what_it_holds_still_answers() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let (knowledge, data) = (small_knowledge(), folder());
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    write(knowledge.path(), "company/new.md", "# 新闻\n\n新工厂。\n");
    let set = |folder: &std::path::Path, folder_mode, file_mode| {
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else {
                    fs::set_permissions(&path, fs::Permissions::from_mode(file_mode)).unwrap();
                }
            }
            fs::set_permissions(&next, fs::Permissions::from_mode(folder_mode)).unwrap();
        }
    };
    set(knowledge.path(), 0o755, 0o644);
    set(data.path(), 0o555, 0o444);
    // Permissions do not bind root, so root sends somebody else.
    let binds = fs::write(data.path().join("probe"), "x").is_err();
    let run_bound = |arguments: &[&str]| {
        let mut command = flightdeck();
        command.args(arguments).arg("--knowledge").arg(knowledge.path()).arg("--data").arg(data.path());
        if !binds {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().map(crate::support::Ran::from)
    };
    match run_bound(&["--version"]) {
        Ok(ran) => drop(ran.expect_status(0)),
        Err(error) => {
            println!("nobody may not start the program here ({error}); nothing to see");
            return;
        }
    }
    for command in [&["index"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        run_bound(command).unwrap().expect_one_line(&["cannot", "--data"]);
    }
    let ran = run_bound(&["search", "离心泵", "--json"]).unwrap().expect_status(0);
    assert_eq!(hit_documents(&ran.json())[0], "pump-k7");
    assert!(ran.stderr.contains("older index"), "{ran:?}");
    let ran = run_bound(&["ask", "离心泵的流量是多少？", "--json"]).unwrap().expect_status(0);
    assert!(ran.json()["answer"].as_str().unwrap().contains("42"), "{ran:?}");
    assert!(ran.stderr.contains("not recorded"), "{ran:?}");
    set(data.path(), 0o755, 0o644);
}

#[test]
fn a_missing_or_damaged_model_is_named_with_what_to_do() {
    let (knowledge, place) = (small_knowledge(), folder());
    let with_model = |model: &std::path::Path| {
        let output = flightdeck()
            .env("FLIGHTDECK_MODEL", model)
            .args(["index", "--knowledge", knowledge.path().to_str().unwrap(), "--data"])
            .arg(place.path().join("data"))
            .output()
            .unwrap();
        crate::support::Ran::from(output)
    };
    with_model(&place.path().join("none")).expect_one_line(&["model file not found", "restore"]);

    let original = crate::support::repository().join("models/multilingual-e5-small");
    for entry in fs::read_dir(&original).unwrap() {
        let name = entry.unwrap().file_name();
        let copy = place.path().join("model");
        crate::support::copy_folder(&original, &copy);
        let file = copy.join(&name);
        let content = fs::read(&file).unwrap();
        fs::write(&file, &content[..content.len() / 2]).unwrap();
        with_model(&copy).expect_one_line(&["restore"]);
        fs::remove_file(&file).unwrap();
        with_model(&copy).expect_one_line(&["restore"]);
        fs::remove_dir_all(&copy).unwrap();
    }
}

#[test]
fn a_wrong_setting_is_named_with_where_it_came_from() {
    let place = folder();
    write(place.path(), "settings.toml", "[search]\ndense_weight = 7\n");
    let file = place.path().join("settings.toml");
    run(&["check", "--config", file.to_str().unwrap()])
        .expect_one_line(&["search.dense_weight", "settings.toml"]);
    let output = flightdeck().env("FLIGHTDECK_THREADS", "many").arg("check").output().unwrap();
    crate::support::Ran::from(output).expect_one_line(&["threads", "FLIGHTDECK_THREADS"]);
}

#[test]
fn files_that_are_not_there_or_not_right_are_named() {
    let place = folder();
    write(place.path(), "questions.jsonl", "{\"id\":\"1\"}\n");
    write(place.path(), "customers.csv", "colour\nred\n");
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let data = path("data");
    for (arguments, words) in [
        (vec!["extract".to_owned(), path("none.md")], vec!["none.md"]),
        (vec!["eval".into(), "answers".into(), "--questions".into(), path("none.jsonl")], vec!["none.jsonl"]),
        (
            vec!["eval".into(), "answers".into(), "--questions".into(), path("questions.jsonl")],
            vec!["questions.jsonl line 1"],
        ),
        (vec!["bench".into(), "embed".into(), "--texts".into(), path("none.txt")], vec!["none.txt"]),
        (vec!["customers".into(), "import".into(), path("none.csv")], vec!["none.csv"]),
        (vec!["customers".into(), "import".into(), path("customers.csv")], vec!["customers.csv"]),
        (vec!["models".into(), "import".into(), path("none.bin")], vec!["none.bin"]),
        (vec!["search".into(), " ".into()], vec!["empty"]),
        (vec!["ask".into(), String::new()], vec!["empty"]),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--data", &data]).collect();
        run(&arguments).expect_one_line(&words);
    }
}

#[test]
fn an_unknown_command_or_flag_is_status_two() {
    for arguments in
        [&["fly"][..], &["search"], &["index", "--quickly"], &["search", "x", "--top-k", "100000"]]
    {
        run(arguments).expect_one_line(&["error", "--help"]);
    }
}
