//! A kill at any moment of indexing leaves an index that loads and answers, and loses nothing.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, flightdeck, folder, hit_documents, run_on, small_knowledge, write};

const KILLS: u32 = 50;

#[test]
fn fifty_kills_at_random_moments_of_indexing_lose_nothing() {
    let (knowledge, data) = (small_knowledge(), folder());
    write(knowledge.path(), "customers.csv.txt", "这一行只是为了让文件夹里有更多内容：客户名单另存。\n");
    run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
    let customers = folder();
    write(customers.path(), "c.csv", "id,name,industry\nc-7,晨露饮料,食品饮料\n");
    let file = customers.path().join("c.csv");
    run_on(knowledge.path(), data.path(), &["customers", "import", file.to_str().unwrap()]).expect_status(0);

    // How long undisturbed runs take, so that the moments cover all of them: reading, embedding, writing, swapping.
    let timed = |arguments: &[&str]| {
        let started = Instant::now();
        run_on(knowledge.path(), data.path(), arguments).expect_status(0);
        started.elapsed()
    };
    let mut rebuilding = timed(&["index", "--rebuild"]);
    write(knowledge.path(), "company/round.md", "# 之前\n\n还没有开始。\n");
    let mut updating = timed(&["index"]);
    let mut random = SplitMix(2026);
    let (mut n_killed, mut n_published, mut round) = (0, 0, 0);
    // A run that ends before its moment is no kill and does not count: other work on the machine stretches runs and
    // lets go of them again, so the span follows what runs took last.
    while n_killed < KILLS {
        assert!(
            round < 6 * KILLS,
            "only {n_killed} of {round} runs were still going when they were to be killed"
        );
        let text =
            format!("---\nid: round\n---\n# 第 {round} 轮\n\n第 {round} 轮写下的内容，编号 N{round}。\n");
        write(knowledge.path(), "company/round.md", text);
        // Every other time the embeddings are made anew, which spreads the moments over the embedding too.
        let rebuild = round % 2 == 0;
        let span = if rebuild { &mut rebuilding } else { &mut updating };
        let delay = span.mul_f64(random.share());
        let before = current_generation(data.path());
        match killed_after(delay, knowledge.path(), data.path(), rebuild) {
            Ended::Killed => n_killed += 1,
            Ended::ByItself(took) => *span = took,
        }
        n_published += u32::from(current_generation(data.path()) != before);
        assert_answers_as_left(knowledge.path(), data.path(), round);
        round += 1;
    }
    println!("{n_killed} of {round} runs were killed, {n_published} had published by then");

    let report = run_on(knowledge.path(), data.path(), &["index", "--json"]).expect_status(0).json();
    assert_eq!(report["errors"], 0, "{report}");
    let last = format!("编号 N{}", round - 1);
    let found = run_on(knowledge.path(), data.path(), &["search", &last, "--json"]).expect_status(0).json();
    assert!(found["hits"][0]["text"].as_str().unwrap().contains(&last), "{found}");
    let asked = ["ask", "这个客户适合什么产品？", "--customer", "c-7", "--json"];
    run_on(knowledge.path(), data.path(), &asked).expect_status(0);
    let generations = fs::read_dir(data.path().join("index")).unwrap();
    let n_generations = generations.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert!(n_generations <= 3, "{n_generations} generations are left behind");
}

#[test]
fn a_killed_first_indexing_is_made_good_by_the_next_command() {
    let knowledge = small_knowledge();
    let whole_run = {
        let (data, started) = (folder(), Instant::now());
        run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
        started.elapsed()
    };
    let mut random = SplitMix(7);
    for _ in 0..10 {
        let data = folder();
        killed_after(whole_run.mul_f64(random.share()), knowledge.path(), data.path(), false);
        let ran = run_on(knowledge.path(), data.path(), &["search", "离心泵流量", "--json"]).expect_status(0);
        assert_eq!(hit_documents(&ran.json())[0], "pump-k7");
    }
}

fn current_generation(data: &Path) -> String {
    fs::read_to_string(data.join("index/CURRENT")).expect("an index was made before")
}

/// How an index run ended.
enum Ended {
    Killed,
    /// Before it was to be killed, after this long.
    ByItself(Duration),
}

/// Starts an index run and kills it after `delay`.
fn killed_after(delay: Duration, knowledge: &Path, data: &Path, rebuild: bool) -> Ended {
    let mut command = flightdeck();
    command.arg("index").arg("--knowledge").arg(knowledge).arg("--data").arg(data);
    if rebuild {
        command.arg("--rebuild");
    }
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    while let Some(left) = delay.checked_sub(started.elapsed()) {
        if child.try_wait().expect("the child can be asked").is_some() {
            return Ended::ByItself(started.elapsed());
        }
        std::thread::park_timeout(left.min(Duration::from_millis(5)));
    }
    let was_running = child.try_wait().expect("the child can be asked").is_none();
    // SIGKILL: the program gets no chance to tidy up.
    let _ = child.kill();
    let _ = child.wait();
    if was_running { Ended::Killed } else { Ended::ByItself(started.elapsed()) }
}

/// What lies there answers as it is: the test holds the writer's lock, so that nothing can be repaired first.
fn assert_answers_as_left(knowledge: &Path, data: &Path, round: u32) {
    let lock = File::options().write(true).open(data.join("LOCK")).expect("a writer was here");
    let deadline = Instant::now() + PATIENCE;
    while lock.try_lock().is_err() {
        assert!(Instant::now() < deadline, "a killed process holds the lock");
        std::thread::yield_now();
    }
    let ran = run_on(knowledge, data, &["search", "离心泵流量", "--json"]);
    assert_eq!(ran.status, Some(0), "after kill {round}: {ran:?}");
    assert!(!ran.stderr.contains("cannot be used"), "after kill {round}: {ran:?}");
    assert_eq!(hit_documents(&ran.json())[0], "pump-k7", "after kill {round}: {ran:?}");
}

/// `SplitMix64`: the same moments in every run.
struct SplitMix(u64);

impl SplitMix {
    /// Evenly from 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }
}
