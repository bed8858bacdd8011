//! The history of a whole server: streams of it, its checks, and what is printed when a test fails.

use std::process::Command;
use std::time::Duration;

use zk_mini::history::{EntryKind, Mark};
use zk_mini::{HistoryNews, ZkMini};

use crate::raw::*;

/// Set in the process of a test that is to fail.
const FAIL: &str = "ZK_MINI_TEST_FAILS";

/// Entry that such a test makes.
const CULPRIT: &str = "/the-culprit created directly, without a session, by the program that runs the server";

async fn in_memory(history: usize) -> ZkMini {
    ZkMini::builder().in_memory().manual_clock().history(history).start().await.unwrap()
}

#[tokio::test]
async fn a_stream_gives_every_entry_once_and_ends_with_the_server() {
    let zk = in_memory(1_000).await;
    let mut streams = [zk.watch_history(0), zk.watch_history(0)];
    let writing = zk.clone();
    let writer = tokio::spawn(async move {
        for n in 0..300 {
            writing.create(&format!("/{n}"), "").await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    for stream in &mut streams {
        for seq in 1..=300 {
            let news = within(stream.next()).await;
            assert!(matches!(news, Some(HistoryNews::Entry(entry)) if entry.seq == seq));
        }
    }
    writer.await.unwrap();
    let mut resumed = zk.watch_history(300);
    assert!(matches!(within(resumed.next()).await, Some(HistoryNews::Entry(entry)) if entry.seq == 300));
    zk.stop().await;
    for stream in &mut streams {
        assert_eq!(within(stream.next()).await, None);
    }
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_missed() {
    let zk = in_memory(10).await;
    let mut stream = zk.watch_history(zk.next_seq());
    for n in 0..25 {
        zk.create(&format!("/{n}"), "").await.unwrap();
    }
    assert_eq!(within(stream.next()).await, Some(HistoryNews::Missed(15)));
    assert!(matches!(within(stream.next()).await, Some(HistoryNews::Entry(entry)) if entry.seq == 16));
    // What is taken is not lost: the stream has the other nine.
    for n in 25..50 {
        zk.create(&format!("/{n}"), "").await.unwrap();
    }
    for seq in 17..=25 {
        assert!(matches!(within(stream.next()).await, Some(HistoryNews::Entry(entry)) if entry.seq == seq));
    }
    assert_eq!(within(stream.next()).await, Some(HistoryNews::Missed(15)));
}

#[tokio::test]
async fn what_a_test_leaves_behind_is_listed() {
    let zk = in_memory(1_000).await;
    let begin: Mark = zk.mark();
    let mut client = Raw::with_session(&zk, 10_000).await;
    client.request(1, GET_DATA, &get_data("/zookeeper", true)).await;
    let id = zk.sessions()[0].id;

    let watches = zk.no_leaked_watches(&begin).unwrap_err();
    assert_eq!(
        watches.to_string(),
        format!(
            "watches were set and are still there:\n  /zookeeper (Data) of session {id}, client in this process"
        )
    );
    assert_eq!(format!("{watches:?}"), watches.to_string(), "unwrap prints the list");
    let sessions = zk.no_leaked_sessions(&begin).unwrap_err();
    assert_eq!(sessions.lines, [format!("session {id}, client in this process")]);
    zk.no_leaked_watches(&zk.mark()).unwrap();

    zk.advance(Duration::from_secs(20)).await;
    zk.no_leaked_watches(&begin).unwrap();
    zk.no_leaked_sessions(&begin).unwrap();
    zk.no_ephemerals_of_the_dead().unwrap();
}

#[tokio::test]
async fn a_client_that_reads_too_often_is_named_with_the_change_it_read_after() {
    let zk = in_memory(1_000).await;
    let mut client = Raw::with_session(&zk, 10_000).await;
    let begin = zk.mark();
    let read = get_data("/zookeeper", false);
    client.request(1, GET_DATA, &read).await;
    zk.set("/zookeeper", "new").await.unwrap();
    zk.create("/zookeeper/below", "").await.unwrap();
    for xid in 2..=4 {
        client.request(xid, GET_DATA, &read).await;
    }
    let history = zk.history().since(&begin);
    history.reads_per_change(3).unwrap();
    let error = history.reads_per_change(2).unwrap_err();
    let [line] = &error.lines[..] else { panic!("{error}") };
    assert!(
        line.contains("client in this process: getData /zookeeper 3 times, after this change: "),
        "{line}"
    );
    assert!(line.ends_with("/zookeeper changed directly, without a session, by the program that runs the server: data, now version 1"), "{line}");
    history.woken_per_change(0).unwrap();
}

#[tokio::test]
async fn the_history_tells_of_restarts_and_of_what_they_have_done_to_nodes() {
    let zk = in_memory(1_000).await;
    zk.create("/a", "").await.unwrap();
    let before = zk.snapshot();
    zk.create("/b", "").await.unwrap();
    zk.restart().await;
    zk.reset().await.unwrap();
    zk.restore(&before).await.unwrap();
    let acts: Vec<_> =
        zk.history().kind(EntryKind::Server).iter().map(|entry| entry.what.to_string()).collect();
    assert_eq!(acts, ["restarted", "reset: everything was deleted", "restored from a snapshot"]);
    let because =
        |path| zk.explain(path).changes.into_iter().map(|change| change.because).collect::<Vec<_>>();
    assert_eq!(
        because("/a")[1..],
        ["deleted by the reset of the server", "created by the restore of a snapshot: persistent, 0 bytes"]
    );
    assert_eq!(because("/b")[1..], ["deleted by the reset of the server"]);
    let error = zk.tree_at(zk.history().iter().next().unwrap().zxid).unwrap_err();
    assert!(error.to_string().contains("no longer known"), "{error}");
    assert!(zk.tree_at(zk.last_zxid()).unwrap().get("/a").is_some());
}

/// Fails, in a process of its own, with or without the history.
#[tokio::test]
async fn a_test_that_fails_prints_the_history() {
    if let Some(prints) = std::env::var_os(FAIL) {
        let builder = ZkMini::builder().in_memory().print_history_on_panic(prints == "with");
        let zk = builder.start().await.unwrap();
        zk.create("/the-culprit", "").await.unwrap();
        panic!("as the test asks");
    }
    for (prints, times) in [("with", 1), ("without", 0)] {
        let printed = fail("a_test_that_fails_prints_the_history", prints);
        assert!(printed.contains("as the test asks"), "{printed}");
        assert_eq!(printed.matches(CULPRIT).count(), times, "{printed}");
        assert_eq!(
            printed.matches("the last 1 of 1 entries in the history of zk-mini at in-memory").count(),
            times
        );
    }
}

/// Returns an error, in a process of its own, with or without the history.
#[test]
fn a_test_that_returns_an_error_prints_the_history() -> Result<(), zk_mini::WriteError> {
    if let Some(prints) = std::env::var_os(FAIL) {
        let builder = ZkMini::builder().print_history_on_panic(prints == "with");
        return zk_mini::testing::run_with(builder, async |zk| {
            zk.create("/the-culprit", "").await?;
            zk.delete("/as-the-test-asks").await?;
            Ok(())
        });
    }
    for (prints, times) in [("with", 1), ("without", 0)] {
        let printed = fail("a_test_that_returns_an_error_prints_the_history", prints);
        assert!(printed.contains("as-the-test-asks"), "{printed}");
        assert_eq!(printed.matches(CULPRIT).count(), times, "{printed}");
    }
    Ok(())
}

/// Runs one test of this file in a process in which it fails, and returns what it prints.
fn fail(test: &str, prints: &str) -> String {
    let this = std::env::current_exe().unwrap();
    let arguments = [&format!("history::{test}"), "--exact", "--nocapture"];
    let failed = Command::new(this).args(arguments).env(FAIL, prints).output().unwrap();
    assert!(!failed.status.success());
    String::from_utf8(failed.stderr).unwrap()
}

#[test]
fn a_panic_elsewhere_prints_nothing_when_the_server_is_dropped() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let zk = in_memory(10).await;
        let task = tokio::spawn(async { panic!("a task of the test") });
        assert!(task.await.is_err());
        drop(zk);
    });
}

#[tokio::test]
async fn freezes_and_thaws_are_entries_of_their_part() {
    let zk = in_memory(1_000).await;
    let _client = Raw::with_session(&zk, 10_000).await;
    let (session, conn) = (zk.sessions()[0].id, zk.connections()[0].id);
    let begin = zk.next_seq();

    zk.freeze();
    zk.freeze();
    zk.thaw().await;
    zk.thaw().await;
    zk.session(session).unwrap().freeze();
    zk.thaw_session(session).await;
    assert!(zk.freeze_connection(conn));

    let entries = zk.history_from(begin, 100);
    assert!(entries.iter().all(|entry| entry.kind == EntryKind::Server));
    let seen: Vec<_> = entries.iter().map(|entry| (&*entry.what, entry.session, entry.conn)).collect();
    let whole = [("frozen", None, None), ("thawed", None, None)];
    let parts =
        [("frozen", Some(session), None), ("thawed", Some(session), None), ("frozen", None, Some(conn))];
    assert_eq!(seen, [&whole[..], &parts].concat(), "only what changes something");
    let printed: Vec<_> = entries.iter().map(ToString::to_string).collect();
    assert!(printed[0].ends_with("the server: frozen"), "{}", printed[0]);
    assert!(printed[2].ends_with(&format!("session {session}: frozen")), "{}", printed[2]);
}

#[tokio::test]
async fn a_write_for_a_client_of_http_is_its_own() {
    let zk = ZkMini::builder().in_memory().start().await.unwrap();
    let (one, other) = (zk.for_client(([127, 0, 0, 1], 5_123).into()), zk.for_client(([0; 16], 9).into()));
    one.create("/a", "").await.unwrap();
    zk.set("/a", "x").await.unwrap();
    other.delete_recursive("/a").await.unwrap();
    let explanation = zk.explain("/a");
    let said: Vec<_> = explanation.changes.iter().map(|change| &change.because[..]).collect();
    assert!(said[0].starts_with("created over HTTP by client 127.0.0.1:5123, without a session"), "{said:?}");
    assert!(said[1].contains("by the program that runs the server"), "{said:?}");
    assert_eq!(said[2], "deleted over HTTP by client [::]:9, without a session");
    let clients: Vec<_> = explanation.changes.iter().map(|change| change.client).collect();
    assert_eq!(clients, [Some(([127, 0, 0, 1], 5_123).into()), None, Some(([0; 16], 9).into())]);
    assert!(zk.history().iter().all(|entry| entry.conn.is_none()));
}
