//! Watches of kazoo over a restart, a restore, and a reset of the server.

use integration_tests::process::Process;
use integration_tests::programs;
use integration_tests::wait::PATIENCE;
use zk_mini::ZkMini;

#[tokio::test(flavor = "multi_thread")]
async fn watches_of_kazoo_hear_of_every_change_after_a_restart_a_restore_and_a_reset() {
    let zk = ZkMini::start().await.unwrap();
    let mut command = programs::python("tests/interop/exchange.py");
    let mut kazoo = Process::start(command.arg(zk.connect_string()));
    kazoo.line_with(r#"["children", ["a"]]"#);
    let snapshot = zk.snapshot();

    zk.restart().await;
    kazoo.line_with(r#"["state", "SUSPENDED"]"#);
    kazoo.line_with(r#"["state", "CONNECTED"]"#);
    zk.set("/watched", "after the restart").await.unwrap();
    kazoo.line_with(r#"["data", "after the restart"]"#);
    zk.create("/watched/b", "").await.unwrap();
    kazoo.line_with(r#"["children", ["a", "b"]]"#);

    // The session is one of the snapshot: it lives on, and hears that data and children are as before.
    zk.restore(&snapshot).await.unwrap();
    kazoo.line_with(r#"["state", "SUSPENDED"]"#);
    let mut awaited = vec![r#"["data", ""]"#, r#"["children", ["a"]]"#];
    while !awaited.is_empty() {
        let line = kazoo.line_that(&format!("{awaited:?}"), PATIENCE, |line| {
            awaited.iter().any(|awaited| line.contains(awaited))
        });
        awaited.retain(|awaited| !line.contains(awaited));
    }
    zk.create("/watched/c", "").await.unwrap();
    kazoo.line_with(r#"["children", ["a", "c"]]"#);

    zk.reset().await.unwrap();
    kazoo.line_with(r#"["state", "LOST"]"#);
    kazoo.line_with(r#"["data", null]"#);
    zk.create("/watched", "after the reset").or_set().await.unwrap();
    kazoo.line_with(r#"["data", "after the reset"]"#);
}
