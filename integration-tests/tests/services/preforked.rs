//! Workers that die without saying goodbye, as those see it who find them in the registry.

use std::env;
use std::process::Command;

use integration_tests::process::Process;
use integration_tests::scenarios::members;
use integration_tests::wait::{PATIENCE, eventually, timed_async};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry::{InstanceId, Members, Registry};
use zk_mini::ZkMini;

/// `KILLS=100` measures more of them by hand; `--no-capture` shows the result.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_the_registry_long_before_its_session_expires_and_no_other_does() {
    let kills = env::var("KILLS").map_or(3, |n| n.parse().unwrap());
    // The pause before a place is filled again grows, so none is emptied often.
    let workers = usize::max(2, kills / 4);
    let zk = ZkMini::start().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
    let mut service = Process::start(command.args([&workers.to_string(), &zk.connect_string()]));
    service.line_with("ready ");
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let mut seen = registry.subscribe("preforked").await.unwrap();
    let mut took = Vec::new();
    for n in 0..kills {
        let before = members("all workers", &mut seen, |now| now.len() == workers).await;
        let mut living = before.instances.clone();
        let victim = living.keys().find(|id| number(&before, id, "slot") == n % workers).unwrap().clone();
        let pid = Pid::from_raw(number(&before, &victim, "pid").try_into().unwrap());
        let (time, after) = timed_async(async {
            kill(pid, Signal::SIGKILL).unwrap();
            members("the dead one is gone", &mut seen, |now| !now.instances.contains_key(&victim)).await
        })
        .await;
        living.remove(&victim);
        assert_eq!(after.instances, living, "a living one was touched");
        took.push(time);
    }
    took.sort();
    println!("gone after {:?} in the middle, {:?} at most, of {kills}", took[took.len() / 2], took.last());
    assert!(service.terminate().success());
    service.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_while_it_announces_itself_leaves_no_node() {
    let zk = ZkMini::start().await.unwrap();
    for _ in 0..10 {
        // A session without a node may stay until its timeout, if the stop comes before the worker knows of it.
        let before = zk.direct().sessions().len();
        let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
        let mut service = Process::start(command.args(["4", &zk.connect_string()]));
        eventually("a worker has a session", PATIENCE, || zk.direct().sessions().len() > before);
        assert!(service.terminate().success(), "{service}");
        assert!(zk.direct().children("/preforked").is_none_or(|left| left.is_empty()), "{service}");
    }
}

/// What the worker has announced of itself under `key`.
fn number(members: &Members, id: &InstanceId, key: &str) -> usize {
    let value = members.instances[id].get(key).and_then(|value| value.as_u64()?.try_into().ok());
    value.unwrap_or_else(|| panic!("no number {key:?} in {members:?}"))
}
