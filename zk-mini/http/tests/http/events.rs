//! `GET /v1/events`.

use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use zk_mini::ZkMini;
use zk_mini_http::{EventStreamCounts, Http, Settings};

use crate::support::{Client, LIMIT, start, start_with};

/// A stream of events.
struct Events {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq)]
struct Event {
    /// Number in the id.
    id: Option<u64>,
    /// The whole id.
    tagged: String,
    kind: String,
    data: Value,
}

impl Events {
    async fn open(http: Client, query: &str, headers: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(http.addr).await.unwrap());
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", http.addr);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { stream };
        let status = events.line().await.unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK");
        let mut is_event_stream = false;
        loop {
            let line = events.line().await.unwrap();
            is_event_stream |= line == "content-type: text/event-stream";
            if line.is_empty() {
                assert!(is_event_stream);
                return events;
            }
        }
    }

    /// Returns a line; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read =
            tokio::time::timeout(LIMIT, self.stream.read_line(&mut line)).await.expect("a line in time");
        read.ok().filter(|read| *read > 0).map(|_| line.trim_end().to_owned())
    }

    /// Returns the next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            if !block.data.is_null() {
                return Some(block);
            }
        }
    }

    /// Returns the next event, or an id alone; `None` at the end.
    async fn block(&mut self) -> Option<Event> {
        let mut event = Event { id: None, tagged: String::new(), kind: String::new(), data: Value::Null };
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => {
                    let (seq, _) = id.split_once('-').expect("a tag");
                    (event.id, event.tagged) = (Some(seq.parse().unwrap()), id.to_owned());
                }
                Some(("event", kind)) => event.kind = kind.into(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                // Lengths of chunks, ends of events, and comments.
                _ if line.is_empty() && (!event.data.is_null() || event.id.is_some()) => return Some(event),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn an_event_is_an_entry_of_the_history_with_its_number() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/before", "").await.unwrap();
    let mut events = Events::open(http, "", "").await;
    zk.create("/a", "").await.unwrap();
    let event = events.next().await.unwrap();
    assert_eq!((event.id, &*event.kind, &event.data["path"]), (Some(2), "transaction", &json!("/a")));
    assert_eq!(event.data, http.get("/v1/history?since_seq=1").await.json(200)[0]);
}

#[tokio::test]
async fn a_stream_resumes_without_gap_or_repetition() {
    let (zk, http) = start(ZkMini::builder()).await;
    for n in 1..=5 {
        zk.create(&format!("/{n}"), "").await.unwrap();
    }
    let mut events = Events::open(http, "?since_seq=0", "Last-Event-ID: 3\r\n").await;
    for id in [4, 5] {
        assert_eq!(events.next().await.unwrap().id, Some(id));
    }
    drop(events);
    zk.create("/6", "").await.unwrap();
    let mut events = Events::open(http, "", "last-event-id: 5\r\n").await;
    zk.create("/7", "").await.unwrap();
    for id in [6, 7] {
        assert_eq!(events.next().await.unwrap().id, Some(id));
    }
    let mut all = Events::open(http, "?since_seq=0", "").await;
    assert_eq!(all.next().await.unwrap().id, Some(1));
    // The number is of an earlier process: this history has no such entry.
    let mut later = Events::open(http, "", "last-event-id: 1000\r\n").await;
    assert_eq!(later.next().await.unwrap().id, Some(1));
    assert!(
        http.send("GET", "/v1/events", &[("last-event-id", "x")], b"")
            .await
            .error(400)
            .contains("Last-Event-ID")
    );
}

#[tokio::test]
async fn a_stream_that_resumes_at_another_server_gets_its_whole_history() {
    let (zk, http) = start(ZkMini::builder()).await;
    zk.create("/old", "").await.unwrap();
    let id = Events::open(http, "?since_seq=0", "").await.next().await.unwrap().tagged;
    let mut again = Events::open(http, "", &format!("last-event-id: {id}\r\n")).await;
    zk.create("/next", "").await.unwrap();
    assert_eq!(again.next().await.unwrap().id, Some(2), "the same server goes on");

    let (zk, http) = start(ZkMini::builder()).await;
    for name in ["/new", "/newer"] {
        zk.create(name, "").await.unwrap();
    }
    let mut events = Events::open(http, "", &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(events.next().await.unwrap().data["path"], "/new");
    for id in ["1-", "1-x", "-1", "x-1"] {
        let answer = http.send("GET", "/v1/events", &[("last-event-id", id)], b"").await;
        assert!(answer.error(400).contains("Last-Event-ID"), "{id}");
    }
}

#[tokio::test]
async fn a_stream_begins_with_an_id_behind_which_it_resumes_if_nothing_has_happened() {
    let (zk, http) = start(ZkMini::builder()).await;
    for name in ["/1", "/2", "/3"] {
        zk.create(name, "").await.unwrap();
    }
    for (headers, begin) in [("", 3), ("last-event-id: 2\r\n", 2), ("last-event-id: 1000\r\n", 0)] {
        let opening = Events::open(http, "?path=/none", headers).await.block().await.unwrap();
        assert_eq!((opening.id, opening.data), (Some(begin), Value::Null), "{headers}");
        let mut again = Events::open(http, "", &format!("last-event-id: {}\r\n", opening.tagged)).await;
        if begin < 3 {
            assert_eq!(again.next().await.unwrap().id, Some(begin + 1));
        }
    }
}

#[tokio::test]
async fn a_stream_that_resumes_too_late_is_told_what_it_has_missed() {
    let (zk, http) = start(ZkMini::builder().history(10)).await;
    for n in 1..=30 {
        zk.create(&format!("/{n}"), "").await.unwrap();
    }
    let mut events = Events::open(http, "", "last-event-id: 5\r\n").await;
    let missed = events.next().await.unwrap();
    assert_eq!((missed.id, &*missed.kind, missed.data), (None, "missed", json!({"missed": 15})));
    assert_eq!(events.next().await.unwrap().id, Some(21));
}

#[tokio::test]
async fn a_stream_can_be_narrowed() {
    let (zk, http) = start(ZkMini::builder()).await;
    let mut events = Events::open(http, "?path=/a/**&kind=transaction,event", "").await;
    for path in ["/a", "/b", "/a/c"] {
        zk.create(path, "").await.unwrap();
    }
    assert_eq!(events.next().await.unwrap().data["path"], "/a/c");
    assert!(
        http.get("/v1/events?kind=transactions").await.error(400).contains("kinds are request, transaction")
    );
    assert!(http.get("/v1/events?paths=/a").await.error(400).contains("paths"));
}

#[tokio::test]
async fn a_stream_survives_a_restart_and_a_reset_and_ends_with_the_server() {
    let (zk, http) = start(ZkMini::builder()).await;
    let mut events = Events::open(http, "", "").await;
    http.post("/v1/restart", Value::Null).await.json(200);
    assert_eq!(events.next().await.unwrap().data["what"], "restarted");
    zk.create("/a", "").await.unwrap();
    assert_eq!(events.next().await.unwrap().data["what"], "created");
    http.post("/v1/reset", Value::Null).await.json(200);
    assert_eq!(events.next().await.unwrap().data["what"], "reset: everything was deleted");
    assert_eq!(events.next().await.unwrap().data["what"], "deleted");
    http.post("/v1/freeze", Value::Null).await.json(200);
    assert_eq!(events.next().await.unwrap().data["what"], "frozen");
    zk.create("/b", "").await.unwrap();
    assert_eq!(events.next().await.unwrap().data["path"], "/b");
    zk.stop().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_stream_on_which_nothing_happens_gets_comments() {
    let settings = Settings::default().event_keep_alive(Duration::from_millis(20));
    let (_zk, http, _) = start_with(ZkMini::builder(), settings).await;
    let mut events = Events::open(http, "", "").await;
    let mut comments = 0;
    while comments < 3 {
        comments += usize::from(events.line().await.unwrap() == ":");
    }
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_ends() {
    let (zk, http, streams) = start_with(ZkMini::builder(), Settings::default().max_event_streams(2)).await;
    let first = Events::open(http, "", "").await;
    let _second = Events::open(http, "", "").await;
    assert!(http.get("/v1/events").await.error(503).contains("too many event streams"));
    drop(first);
    until(&zk, &streams, |counts| counts.open == 1).await;
    Events::open(http, "", "").await;
}

/// Waits until the counts of the streams are so. Every attempt is an event for them: a stream notices that its client has gone when it
/// writes.
async fn until(zk: &ZkMini, streams: &Http, holds: impl Fn(EventStreamCounts) -> bool) {
    let wait = async {
        while !holds(streams.event_streams()) {
            zk.create("/until", "").await.unwrap();
            zk.delete("/until").await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LIMIT, wait).await.expect("the streams in time");
}

/// Opens a stream and never reads from it.
async fn never_reads(http: Client) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    // Segments as long as those of loopback would make the buffers of the system a hundred times as large.
    SockRef::from(&socket).set_tcp_mss(536).unwrap();
    let mut stream = socket.connect(http.addr).await.unwrap();
    let request = format!("GET /v1/events?since_seq=0 HTTP/1.1\r\nhost: {}\r\n\r\n", http.addr);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_hundred_streams_that_never_read_cost_bounded_memory_and_are_dropped() {
    const STREAMS: usize = 100;
    let settings = Settings::default().write_time(Duration::from_secs(2));
    let (zk, http, streams) = start_with(ZkMini::builder().history(20_000), settings).await;
    let mut never_read = Vec::new();
    for _ in 0..STREAMS {
        never_read.push(never_reads(http).await);
    }
    until(&zk, &streams, |counts| counts.open == STREAMS).await;
    let mut reader = Events::open(http, "", "").await;
    let reading = tokio::spawn(async move {
        while reader.next().await.expect("one that reads goes on").data["path"] != "/last" {}
    });
    // More than the buffers of the system take for all of them.
    let path = format!("/{}", "x".repeat(1_000));
    let (mut most, mut written) = (0, 0_usize);
    let write = async {
        while streams.event_streams().open > 1 {
            zk.create(&path, "").await.unwrap();
            zk.delete(&path).await.unwrap();
            written += 2;
            most = most.max(streams.event_streams().held);
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(3 * LIMIT, write).await.expect("all that never read are dropped in time");
    assert!(most <= 32 * (STREAMS + 1), "each holds at most 32 entries: {most}");
    println!("held at most {most} entries, of {written} that were written");
    zk.create("/last", "").await.unwrap();
    reading.await.unwrap();
    until(&zk, &streams, |counts| counts.held <= 32).await;
    drop(never_read);
}
