//! Deaths of workers without a goodbye, as subscribers see them.

use std::collections::BTreeSet;
use std::env;
use std::net::Ipv4Addr;
use std::process::Command;

use integration_tests::certificates::Certificates;
use integration_tests::process::Process;
use integration_tests::scenarios::members;
use integration_tests::wait::{PATIENCE, eventually, timed_async};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use registry::{InstanceId, Members, Registry};
use rpc_client::Client;
use tokio::time::timeout;
use zk_mini::{Pem, TlsConfig, ZkMini};

/// Run by hand with `KILLS=100` it measures more deaths; `--no-capture` shows the result.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_killed_worker_leaves_the_registry_and_long_before_its_session_expires() {
    let kills = env::var("KILLS").map_or(3, |n| n.parse().unwrap());
    // Enough workers that each has a rest between two deaths.
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
            members("the dead worker is gone", &mut seen, |now| !now.instances.contains_key(&victim)).await
        })
        .await;
        living.remove(&victim);
        assert_eq!(after.instances, living, "a living worker was touched");
        took.push(time);
    }
    took.sort();
    println!(
        "gone after {:?} (median) and {:?} (maximum) in {kills} deaths",
        took[took.len() / 2],
        took.last()
    );
    assert!(service.terminate().success());
    service.assert_nothing_left();
}

/// The process that closes a dead worker's session has to log in as the worker does, with a certificate and by SASL.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_leaves_at_once_where_the_registry_asks_who_its_clients_are() {
    let certificates = Certificates::new();
    let tls = TlsConfig::new(
        Pem::file(certificates.path("server.pem")),
        Pem::file(certificates.path("server.pem")),
    )
    .client_ca(Pem::file(certificates.path("ca.pem")))
    .load()
    .unwrap();
    let builder = ZkMini::builder().sasl_user("bob", "secret").require_auth(["sasl"]).tls(tls);
    let zk = builder.port_unification(false).listen_tls((Ipv4Addr::LOCALHOST, 0)).start().await.unwrap();
    let servers = zk.tls_addr().unwrap().to_string() + &certificates.options("client.pem");
    let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
    let mut service = Process::start(command.args(["2", &servers, "sasl=bob:secret"]));
    service.line_with("ready ");
    let registry = Registry::builder().servers(&servers).sasl("bob", "secret").connect().await.unwrap();
    let mut seen = registry.subscribe("preforked").await.unwrap();
    let before = members("both workers", &mut seen, |now| now.len() == 2).await;
    let (victim, _) = before.instances.first_key_value().unwrap();
    let pid = Pid::from_raw(number(&before, victim, "pid").try_into().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    members("the dead worker is gone", &mut seen, |now| !now.instances.contains_key(victim)).await;
    assert!(service.terminate().success(), "{service}");
    assert!(zk.children("/preforked").is_none_or(|left| left.is_empty()), "{service}");
    service.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_of_a_worker_is_registered_and_leaves_with_it() {
    let zk = ZkMini::start().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
    let mut service = Process::start(command.args(["2", &zk.connect_string(), "second"]));
    service.line_with("ready ");
    let registry = Registry::connect(&zk.connect_string()).await.unwrap();
    let mut first = registry.subscribe("preforked").await.unwrap();
    let mut second = registry.subscribe("second").await.unwrap();
    let all = members("all workers", &mut first, |now| now.len() == 2).await;
    let same = members("the same ones", &mut second, |now| now.len() == 2).await;
    let workers = pids(&all);
    assert_eq!(pids(&same), workers);
    let client = Client::builder(registry, "second").connect().await.unwrap();
    let pid: usize = client.call("pid", &()).await.unwrap();
    assert!(workers.contains(&pid));

    kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
    for seen in [&mut first, &mut second] {
        members("the dead worker is replaced", seen, |now| now.len() == 2 && !pids(now).contains(&pid)).await;
    }
    assert!(service.terminate().success(), "{service}");
    for path in ["/preforked", "/second"] {
        assert!(zk.children(path).is_none_or(|left| left.is_empty()), "{service}");
    }
    service.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_stopped_while_it_registers_leaves_no_node() {
    let zk = ZkMini::start().await.unwrap();
    for _ in 0..10 {
        // A session without a node may stay until its timeout if the stop comes before the worker knows the session.
        let before = zk.sessions().len();
        let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
        let mut service = Process::start(command.args(["4", &zk.connect_string()]));
        eventually("a worker has a session", PATIENCE, || zk.sessions().len() > before);
        assert!(service.terminate().success(), "{service}");
        assert!(zk.children("/preforked").is_none_or(|left| left.is_empty()), "{service}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_survives_crashes_without_a_registry_and_registers_when_it_is_back() {
    let zk = ZkMini::start().await.unwrap();
    let (registry_addr, servers) = (zk.addr().unwrap(), zk.connect_string());
    let mut command = Command::new(env!("CARGO_BIN_EXE_preforked-fixture"));
    let mut service = Process::start(command.args(["1", &servers]));
    let line = service.line_with("ready ");
    let addr = line.strip_prefix("ready ").unwrap();
    zk.stop().await;
    let mut pid = answering_pid(addr, 0).await;
    for _ in 0..2 {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        pid = answering_pid(addr, pid).await;
    }
    let zk = ZkMini::builder().listen(registry_addr).start().await.unwrap();
    let registry = Registry::connect(&servers).await.unwrap();
    let mut seen = registry.subscribe("preforked").await.unwrap();
    let announced = members("the serving worker", &mut seen, |now| now.len() == 1).await;
    let id = announced.instances.keys().next().unwrap();
    assert_eq!(number(&announced, id, "pid"), usize::try_from(pid).unwrap());
    // The parent knows the session of a worker that registered late, too.
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    members("the dead worker is gone", &mut seen, |now| !now.instances.contains_key(id)).await;
    assert!(service.terminate().success(), "{service}");
    assert!(zk.children("/preforked").is_none_or(|left| left.is_empty()), "{service}");
    service.assert_nothing_left();
}

/// Calls until another worker than `dead` answers, and returns its pid.
async fn answering_pid(addr: &str, dead: i32) -> i32 {
    let answered = async {
        loop {
            let client =
                Client::direct("preforked", [addr.to_owned()]).connect().await.expect("an address is enough");
            match client.call("pid", &()).idempotent().await {
                Ok(pid) if pid != dead => return pid,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("a worker answers")
}

/// Returns the process ids of all workers.
fn pids(members: &Members) -> BTreeSet<usize> {
    members.instances.keys().map(|id| number(members, id, "pid")).collect()
}

/// Returns the number that the worker has registered under `key`.
fn number(members: &Members, id: &InstanceId, key: &str) -> usize {
    let value = members.instances[id].get(key).and_then(|value| value.as_u64()?.try_into().ok());
    value.unwrap_or_else(|| panic!("no number {key:?} in {members:?}"))
}
