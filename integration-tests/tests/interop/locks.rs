//! Curator's and kazoo's own locks and elections contend with ours on one path, and exclude each other.

use std::num::NonZeroUsize;
use std::process::Command;
use std::time::Duration;

use integration_tests::java::JavaPrograms;
use integration_tests::process::Process;
use integration_tests::programs;
use tokio::task::JoinSet;
use zk_client::{Client, CreateMode, Expected};
use zk_mini::ZkMini;
use zk_recipes::{Election, Lock, Naming, ReadWriteLock, Semaphore};

const ROUNDS: usize = 20;

/// Number of looks at who else is inside: some milliseconds.
const LOOKS: usize = 20;

/// Maximum time for the start of a program, and for one recipe, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn curators_recipes_and_ours_exclude_each_other() {
    let java = JavaPrograms::compile("tests/interop/java");
    let recipes = ["mutex", "read_write", "semaphore", "selector", "latch"];
    contend(java.command("Locks"), &recipes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kazoos_recipes_and_ours_exclude_each_other() {
    let recipes = ["lock", "read_write", "election", "plain_lock", "plain_read_write", "plain_election"];
    contend(programs::python("tests/interop/locks.py"), &recipes).await;
}

/// Takes each recipe many times, together with a program that does the same.
async fn contend(mut program: Command, recipes: &[&'static str]) {
    let zk = ZkMini::start().await.expect("a server");
    let client = Client::connect(&zk.connect_string()).await.expect("a session");
    for recipe in recipes {
        client.ensure_path(&format!("/{recipe}/inside")).await.expect("the servers answer");
    }
    program.arg(zk.connect_string()).arg(ROUNDS.to_string()).args(recipes);
    let mut program = Process::start(&mut program);
    program.line_that("ready", PATIENCE, |line| line == "ready");
    for recipe in recipes {
        let mut ours = JoinSet::new();
        for _ in 0..2 {
            let client = Client::connect(&zk.connect_string()).await.expect("a session");
            ours.spawn(run(client, recipe));
        }
        client
            .create(&format!("/{recipe}/go"), "", CreateMode::Persistent)
            .await
            .expect("the servers answer");
        while let Some(done) = ours.join_next().await {
            done.expect("it did not fail");
        }
        let done = format!("done {recipe}");
        program.line_that(&done, PATIENCE, |line| line == done);
        let queue = if *recipe == "semaphore" { "lock/leases" } else { "lock" };
        // Curator's leader selector gives its last lock back on a thread of its own, after `close`.
        let queue = format!("/{recipe}/{queue}");
        zk.wait_for(|zk| zk.children(&queue).unwrap_or_default().is_empty(), PATIENCE)
            .await
            .expect("nobody waits and nobody is inside");
    }
    assert!(program.wait_for(PATIENCE).success(), "{program}");
}

async fn run(client: Client, recipe: &'static str) {
    let (path, two) = (format!("/{recipe}/lock"), NonZeroUsize::MIN.saturating_add(1));
    let naming = match recipe {
        "latch" => Naming::LeaderLatch,
        recipe if recipe.starts_with("plain_") => Naming::Kazoo,
        _ => Naming::Curator,
    };
    let lock = Lock::new(&client, &path).naming(naming);
    let locks = ReadWriteLock::new(&client, &path).naming(naming);
    for round in 0..ROUNDS {
        let guard = match (recipe.trim_start_matches("plain_"), round % 2) {
            ("selector" | "latch" | "election", _) => {
                let mut candidate = Election::new(&client, &path).naming(naming).stand();
                candidate.lead().await.expect("the servers answer");
                inside(&client, recipe, true).await;
                candidate.resign().await.expect("the servers answer");
                continue;
            }
            ("semaphore", _) => Semaphore::new(&client, &path, two).acquire().await,
            ("read_write", 0) => locks.write().acquire().await,
            ("read_write", _) => locks.read().acquire().await,
            _ => lock.acquire().await,
        };
        let guard = guard.expect("the servers answer");
        let alone = recipe != "semaphore" && (!recipe.ends_with("read_write") || round % 2 == 0);
        inside(&client, recipe, alone).await;
        guard.release().await.expect("the servers answer");
    }
}

/// Is inside, alone or with others that are not alone, at most two of them for a semaphore.
async fn inside(client: &Client, recipe: &str, alone: bool) {
    let inside = format!("/{recipe}/inside");
    let name = if alone { "alone" } else { "shared" };
    let node = client
        .create(&format!("{inside}/{name}-"), "", CreateMode::EphemeralSequential)
        .await
        .expect("the servers answer");
    // Stays for some time, and looks all the time.
    for _ in 0..LOOKS {
        let (all, _) = client.children(&inside).await.expect("the servers answer");
        let fits = if alone { all.len() == 1 } else { all.iter().all(|other| other.starts_with("shared")) };
        assert!(fits && (recipe != "semaphore" || all.len() <= 2), "{} is inside with {all:?}", node.path);
    }
    client.delete(&node.path, Expected::Any).await.expect("the servers answer");
}
