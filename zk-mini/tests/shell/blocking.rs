//! A server in code without async, on a runtime of any kind, and in a test of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use zk_mini::blocking::Wait;
use zk_mini::testing::{run, run_with};
use zk_mini::{On, Then, ZkMini};

use crate::raw::{PATIENCE, Raw};

/// Runs a test that must not hang.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    thread::spawn(move || {
        test();
        done.send(())
    });
    is_done.recv_timeout(PATIENCE).expect("it ends well, and in time");
}

#[test]
fn everything_that_a_server_does_can_be_waited_for() {
    in_time(|| {
        let zk = ZkMini::builder().manual_clock().start().wait().unwrap();
        zk.create("/a/b", "1").parents().wait().unwrap();
        let before = zk.snapshot();
        drop(zk.fault(On::any(), Then::disconnect()));
        let session = async { Raw::with_session(&zk, 10_000).await }.wait();
        zk.wait_for(|zk| zk.sessions().len() == 1, PATIENCE).wait().unwrap();
        zk.freeze();
        zk.thaw().wait();
        zk.advance(Duration::from_secs(60)).wait();
        assert!(zk.sessions().is_empty(), "it is silent, and has expired");
        drop(session);
        zk.restart().wait();
        zk.reset().wait().unwrap();
        assert!(zk.get("/a/b").is_none());
        zk.restore(&before).wait().unwrap();
        assert!(zk.get("/a/b").is_some());
        let mut news = zk.watch_history(zk.next_seq());
        assert!(news.next().wait_at_most(Duration::from_millis(1)).is_none());
        zk.take_down().wait();
        zk.bring_up().wait().unwrap();
        zk.stop().wait();
        assert!(news.next().wait_at_most(PATIENCE).is_some(), "it says what happened since");
    });
}

#[test]
fn servers_of_many_threads_serve_side_by_side() {
    in_time(|| {
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let servers: Vec<_> = (0..25).map(|_| ZkMini::start().wait().unwrap()).collect();
                    for zk in &servers {
                        let mut stream = TcpStream::connect(zk.addr().unwrap()).unwrap();
                        stream.write_all(b"ruok").unwrap();
                        let mut answer = String::new();
                        stream.read_to_string(&mut answer).unwrap();
                        assert_eq!(answer, "imok");
                    }
                });
            }
        });
    });
}

#[tokio::test]
async fn a_server_that_was_waited_for_may_be_dropped_in_async_code() {
    let (listens, in_memory) = tokio::task::spawn_blocking(|| {
        (ZkMini::start().wait().unwrap(), ZkMini::builder().in_memory().start().wait().unwrap())
    })
    .await
    .unwrap();
    in_memory.create("/a", "").await.unwrap();
    drop(in_memory);
    let addr = listens.addr().unwrap();
    drop(listens);
    assert!(TcpStream::connect(addr).is_err(), "the port is free");
}

#[test]
fn a_test_gets_a_server_and_its_result_comes_back() {
    run(async |zk| {
        let _client = Raw::with_session(zk, 10_000).await;
        assert_eq!(zk.sessions().len(), 1);
    });
    let failed = run_with(ZkMini::builder().in_memory().print_history_on_panic(false), async |zk| {
        zk.create("/a/b", "").await?;
        Ok::<_, zk_mini::WriteError>(())
    });
    assert!(failed.unwrap_err().to_string().contains("/a"));
}

#[test]
fn the_server_and_the_tasks_of_a_test_end_with_it() {
    let (sender, receiver) = channel::<()>();
    let addr = run(async |zk| {
        tokio::spawn(async move {
            let _sender = sender;
            std::future::pending::<()>().await;
        });
        Ok::<_, ()>(zk.addr().unwrap())
    });
    assert!(receiver.recv_timeout(PATIENCE).is_err(), "the task is gone, and the sender that it held");
    assert!(TcpStream::connect(addr.unwrap()).is_err());
}
