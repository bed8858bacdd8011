//! Servers started without a runtime, on one without drivers, or on one whose only thread is blocked.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zk_mini::ZkMini;

use crate::raw::{PATIENCE, connect_request, frame};

/// Runs a future without any runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// Runs a test that must neither hang nor panic.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    thread::spawn(move || {
        test();
        done.send(())
    });
    is_done.recv_timeout(PATIENCE).expect("it ends well, and in time");
}

/// Checks that a server that listens answers a blocking client.
fn assert_serves(zk: &ZkMini) {
    let mut stream = TcpStream::connect(zk.addr().unwrap()).unwrap();
    stream.write_all(b"ruok").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "imok");
}

/// Checks that a silent session in memory expires, and that its connection is closed.
async fn assert_expires(zk: &ZkMini) {
    let mut stream = zk.connect();
    stream.write_all(&frame(&connect_request(40))).await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received.len(), 41, "the answer to the handshake, and then the end");
}

fn with_short_ticks() -> zk_mini::Builder {
    ZkMini::builder().tick(std::time::Duration::from_millis(20))
}

fn without_drivers() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

#[test]
fn without_a_runtime_a_server_serves_and_stops() {
    in_time(|| {
        let zk = block_on(with_short_ticks().start()).unwrap();
        assert_serves(&zk);
        block_on(assert_expires(&zk));
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let kept = block_on(ZkMini::builder().data_dir(dir.path()).start()).unwrap();
            assert_serves(&kept);
            block_on(kept.stop());
        }
        block_on(zk.stop());
    });
}

#[test]
fn without_a_runtime_an_in_memory_server_serves_keeps_time_and_stops() {
    in_time(|| {
        let zk = block_on(with_short_ticks().in_memory().start()).unwrap();
        block_on(assert_expires(&zk));
        block_on(zk.stop());
        let zk = block_on(ZkMini::builder().in_memory().manual_clock().start()).unwrap();
        let _connected = zk.connect();
        block_on(zk.advance(std::time::Duration::from_secs(60)));
        block_on(zk.stop());
    });
}

#[test]
fn servers_on_a_runtime_without_drivers_serve_and_keep_time() {
    in_time(|| {
        without_drivers().block_on(async {
            let zk = with_short_ticks().start().await.unwrap();
            assert_serves(&zk);
            assert_expires(&zk).await;
            zk.stop().await;
            let zk = with_short_ticks().in_memory().start().await.unwrap();
            assert_expires(&zk).await;
            zk.stop().await;
        });
    });
}

#[tokio::test]
async fn a_client_may_block_the_only_thread_of_the_callers_runtime() {
    let zk = ZkMini::start().await.unwrap();
    assert_serves(&zk);
}

#[test]
fn a_server_outlives_the_runtime_that_it_was_started_on() {
    in_time(|| {
        let zk = without_drivers().block_on(ZkMini::start()).unwrap();
        assert_serves(&zk);
    });
}
