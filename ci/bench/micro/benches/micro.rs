//! The codec, and the core's operations without I/O.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bench_micro::{Batch, Served, Server, create, handshake, multi, open_session, operations};
use bytes::{Bytes, BytesMut};
use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zk_mini::{On, Then, ZkMini};
use zk_wire::{
    Create, CreateMode, Decode, ErrorCode, FrameWriter, GetDataResponse, Multi, ReplyHeader, RequestHeader,
    Stat, Xid, Zxid,
};

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    let frame = create("/a/node", CreateMode::Ephemeral);
    group.bench_function("decode create", |bencher| bencher.iter(|| decode::<Create>(&frame)));
    let frame = multi();
    group.bench_function("decode multi of 10", |bencher| bencher.iter(|| decode::<Multi>(&frame)));
    let response = GetDataResponse { data: Some(Bytes::from_static(&[7; 100])), stat: Stat::default() };
    let mut out = BytesMut::with_capacity(1 << 10);
    group.bench_function("encode reply to getData", |bencher| {
        bencher.iter(|| {
            out.clear();
            let mut frame = FrameWriter::new(&mut out);
            frame.put(&ReplyHeader { xid: Xid(1), zxid: Zxid(1), err: ErrorCode::OK });
            frame.put(&response);
            drop(frame);
            black_box(&out[..]);
        });
    });
}

fn decode<T: Decode>(frame: &Bytes) {
    let mut frame = frame.clone();
    let header = RequestHeader::decode(&mut frame, "header");
    let body = T::decode(&mut frame, "body");
    assert!(black_box(header).is_ok() && black_box(body).is_ok());
}

fn core(criterion: &mut Criterion) {
    for (size, mut server) in [("small", Server::small()), ("full", Server::full())] {
        let mut group = criterion.benchmark_group(size);
        for operation in operations() {
            group.bench_function(operation.name, |bencher| bencher.iter(|| server.run(&operation)));
        }
    }
}

/// Measures the time from nothing to the first reply in memory: a server, a connection, a handshake, and their end.
fn start(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request = handshake();
    criterion.bench_function("start in process", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let zk = ZkMini::builder().in_memory().start().await.expect("a server");
                let mut stream = zk.connect();
                stream.write_all(&request).await.expect("a request");
                let length = stream.read_u32().await.expect("a reply");
                assert_eq!(length, 37);
            });
        });
    });
}

/// Measures operations through a server in memory, 64 in flight, with the history and without.
fn served(criterion: &mut Criterion) {
    let of =
        |name: &str| operations().into_iter().find(|operation| operation.name == name).expect("an operation");
    for (name, builder) in [
        ("64 in flight", ZkMini::builder().in_memory()),
        ("64 in flight, without history", ZkMini::builder().in_memory().without_history()),
    ] {
        let mut served = Served::start(builder).expect("a server");
        let mut group = criterion.benchmark_group(name);
        for operation in ["getData", "setData 100 B", "create, delete"] {
            let batch = Batch::of_operation(&of(operation));
            group.bench_function(operation, |bencher| bencher.iter(|| served.run(&batch)));
        }
    }
}

/// Measures what a test does to a server in memory.
fn instrument(criterion: &mut Criterion) {
    let builder = || ZkMini::builder().in_memory().manual_clock();
    let served = Served::start(builder()).expect("a server");
    let zk = served.zk();
    let mut group = criterion.benchmark_group("instrument");
    group.bench_function("advance, nothing due", |bencher| {
        bencher.iter(|| served.block_on(zk.advance(Duration::from_nanos(1))));
    });
    group.bench_function("advance, a session expires", |bencher| {
        each(
            bencher,
            || served.block_on(open_session(zk)),
            |_| {
                served.block_on(zk.advance(Duration::from_secs(60)));
            },
        );
    });
    group.bench_function("expire a session", |bencher| {
        each(
            bencher,
            || served.block_on(open_session(zk)),
            |_| assert_eq!(served.block_on(zk.all_sessions().expire()), 1),
        );
    });
    group.bench_function("snapshot of 1,000 nodes", |bencher| {
        bencher.iter(|| black_box(zk.snapshot()));
    });
    let snapshot = zk.snapshot();
    group.bench_function("restore of 1,000 nodes, a session", |bencher| {
        each(
            bencher,
            || served.block_on(open_session(zk)),
            |_| {
                served.block_on(zk.restore(&snapshot)).expect("restored");
            },
        );
    });

    let mut served = Served::start(builder()).expect("a server");
    let get_data = operations().remove(0);
    let batch = Batch::once(&get_data);
    group.bench_function("getData, one at a time", |bencher| bencher.iter(|| served.run(&batch)));
    let fault = served.zk().fault(On::get_data("/node"), Then::fail(ErrorCode::OPERATION_TIMEOUT));
    group.bench_function("getData that a rule fails", |bencher| bencher.iter(|| served.run(&batch)));
    assert!(fault.fired() > 0);
}

/// Measures `act` on something that is made anew for each time.
fn each<T>(bencher: &mut Bencher<'_>, mut make: impl FnMut() -> T, mut act: impl FnMut(&mut T)) {
    bencher.iter_custom(|times| {
        let mut taken = Duration::ZERO;
        for _ in 0..times {
            let mut made = make();
            let begin = Instant::now();
            act(&mut made);
            taken += begin.elapsed();
        }
        taken
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = codec, core, start, served, instrument
}
criterion_main!(benches);
