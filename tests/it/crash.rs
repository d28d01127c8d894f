//! `kill -9` between any two statements: the record that is left must be consistent.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use aftercall::store::Store;
use aftercall::store::page::PageRequest;
use aftercall::store::work_order::WorkOrderFilter;
use aftercall_core::attempt::{AttemptState, Disposition};
use aftercall_core::finding::Urgency;
use aftercall_core::plan::StepState;

use crate::record::{at, calling, finding, finish, found, master_key, raise, turn};

/// Names the database of the process that is to be killed.
const DATABASE: &str = "AFTERCALL_TEST_CRASH_DATABASE";

/// The victim: makes calls until it is killed. In an ordinary run it has no database and nothing to do.
#[tokio::test]
async fn the_process_that_is_killed() {
    let Ok(url) = std::env::var(DATABASE) else {
        return;
    };
    let store = Store::open(&url, &master_key())
        .await
        .expect("the parent made the folder");
    for number in 0.. {
        let (new, _) = calling(&store, &number.to_string()).await;
        tell("begun");
        store.append_turn(&new.id, &turn(0)).await.expect("saved");
        tell("turn");
        let chest = finding("chest_pain", Urgency::Emergent);
        let alert = raise(&new, vec![found(&new, chest.clone())]);
        store
            .record_finding(&new.id, 0, &chest, Some(&alert), at(10))
            .await
            .expect("saved");
        tell("found");
        store
            .finish_attempt(&finish(&new, Disposition::Completed, vec![chest]))
            .await
            .expect("finished");
        tell("finished");
    }
}

fn tell(what: &str) {
    println!("did {what}");
    std::io::stdout().flush().expect("the parent reads");
}

#[tokio::test]
async fn a_kill_at_any_moment_leaves_a_consistent_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for steps in [1, 2, 3, 4, 5, 7, 10, 15, 22] {
        let url = format!("sqlite://{}/{steps}.db", folder.path().display());
        let told = run_and_kill(&url, steps);
        let store = Store::open(&url, &master_key())
            .await
            .expect("a killed process leaves a database that opens");
        check(&store, &told).await;
        store.close().await;
    }
}

/// Kills the victim just after it told of its `steps`-th step, in the middle of the next one.
fn run_and_kill(url: &str, steps: usize) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().expect("this test has a file"))
        .args([
            "--exact",
            "crash::the_process_that_is_killed",
            "--nocapture",
        ])
        .env(DATABASE, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test can be started again");
    let output = BufReader::new(victim.stdout.take().expect("stdout is piped"));
    let lines = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.split("did ").nth(1).map(str::to_owned));
    let told: Vec<String> = lines.take(steps).collect();
    victim.kill().expect("SIGKILL");
    victim.wait().expect("it died");
    assert_eq!(told.len(), steps, "the victim died by itself");
    told
}

async fn check(store: &Store, told: &[String]) {
    let attempts = store
        .attempts(
            None,
            &PageRequest {
                limit: 200,
                after: None,
            },
        )
        .await
        .expect("listed")
        .items;
    let all = PageRequest {
        limit: 200,
        after: None,
    };
    let orders = store
        .work_orders(&WorkOrderFilter::default(), &all)
        .await
        .expect("listed")
        .items;
    let count = |what: &str| told.iter().filter(|step| *step == what).count();
    assert!(attempts.len() >= count("begun"), "what was told is kept");
    for row in &attempts {
        let attempt = &row.attempt;
        let step = store
            .step(attempt.step.as_ref().expect("it has one"))
            .await
            .expect("there");
        let call = store.call(&attempt.id).await.expect("readable");
        let order = orders.iter().find(|order| order.episode == row.episode);
        assert_eq!(
            call.findings.is_empty(),
            order.is_none(),
            "a finding and its order come together"
        );
        if attempt.state == AttemptState::Ended {
            assert_eq!(
                (step.state, call.turns.len(), call.findings.len()),
                (StepState::Done, 2, 1)
            );
        } else {
            assert_eq!(
                step.state,
                StepState::Calling,
                "a live attempt holds its step"
            );
        }
        assert!(order.is_none_or(|order| order.causes.len() == 1));
    }
    let ended = attempts
        .iter()
        .filter(|row| row.attempt.state == AttemptState::Ended)
        .count();
    assert!(
        ended >= count("finished") && orders.len() >= count("found"),
        "what was told is kept"
    );
    let live = store
        .orphaned_attempts(None, at(1_000))
        .await
        .expect("listed")
        .len();
    assert_eq!(
        live,
        attempts.len() - ended,
        "the next start finds what to close"
    );
}
