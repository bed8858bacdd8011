//! No client keeps others waiting, and input that has arrived goes before work that is due.

use std::time::Duration;

use zk_mini::ZkMini;

use crate::raw::{EPHEMERAL, PING, Raw, create, frame, get_data, request, resume_request, within};

const SECOND: Duration = Duration::from_secs(1);

/// Starts a server that handles one request at a time before others have a turn.
async fn one_by_one() -> ZkMini {
    ZkMini::builder().longest_turn(Duration::ZERO).start().await.unwrap()
}

/// Returns frames of creates of "/NAME0", "/NAME1" and so on.
fn creates(name: &str, count: usize) -> Vec<u8> {
    let one = |n| frame(&request(i32::try_from(n).unwrap(), 1, &create(&format!("/{name}{n}"), 0)));
    (0..count).flat_map(one).collect()
}

#[tokio::test]
async fn a_client_with_many_requests_does_not_keep_one_with_few_waiting() {
    // In memory, on the runtime of the test, the server does nothing before both have written.
    let zk = ZkMini::builder().in_memory().longest_turn(Duration::ZERO).start().await.unwrap();
    let (mut greedy, mut modest) = (Raw::in_memory(&zk), Raw::in_memory(&zk));
    greedy.open_session(40_000).await;
    modest.open_session(40_000).await;
    greedy.write(&creates("greedy", 500)).await;
    modest.write(&creates("modest", 10)).await;
    let mut last = 0;
    for n in 0..10 {
        let reply = modest.reply().await;
        assert_eq!((reply.xid, reply.err), (n, 0));
        last = reply.zxid;
    }
    let mut after = 0;
    for n in 0..500 {
        let reply = greedy.reply().await;
        assert_eq!((reply.xid, reply.err), (n, 0), "its own replies come in order, and all of them");
        after += usize::from(reply.zxid > last);
    }
    assert!(after > 250, "{after} of 500 came after the ten");
}

#[tokio::test]
async fn later_requests_of_a_connection_wait_for_earlier_ones() {
    let zk = one_by_one().await;
    let mut raw = Raw::with_session(&zk, 40_000).await;
    let (first, second) = (creates("a", 100), creates("b", 100));
    raw.write(&first).await;
    tokio::task::yield_now().await;
    raw.write(&second[..second.len() - 7]).await;
    tokio::task::yield_now().await;
    raw.write(&second[second.len() - 7..]).await;
    for n in (0..100).chain(0..100) {
        assert_eq!(raw.reply().await.xid, n);
    }
    let czxid = |path: &str| zk.get(path).unwrap().1.czxid.0;
    assert_eq!(czxid("/b99") - czxid("/a0"), 199);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_take_turns_on_a_runtime_with_threads() {
    let zk = one_by_one().await;
    let mut greedy = Raw::tcp(&zk).await;
    greedy.open_session(40_000).await;
    greedy.write(&creates("greedy", 2_000)).await;
    // The other thread looks at the state as often as it likes.
    within(async {
        while zk.get("/greedy1999").is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for n in 0..2_000 {
        assert_eq!(greedy.reply().await.xid, n);
    }
}

#[tokio::test]
async fn input_written_before_time_is_moved_is_handled_first() {
    for tcp in [false, true] {
        let zk = ZkMini::builder().manual_clock().start().await.unwrap();
        let mut raw = if tcp { Raw::tcp(&zk).await } else { Raw::in_memory(&zk) };
        raw.open_session(4_000).await;
        raw.create("/e", EPHEMERAL).await;
        for _ in 0..10 {
            zk.advance(3 * SECOND).await;
            // No client waits for the answer.
            raw.send(&request(-2, PING, &[])).await;
        }
        assert!(zk.get("/e").is_some(), "over TCP: {tcp}");
        zk.advance(6 * SECOND).await;
        assert!(zk.get("/e").is_none(), "over TCP: {tcp}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn input_written_before_time_is_moved_is_handled_first_with_threads() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::tcp(&zk).await;
        raw.open_session(4_000).await;
        clients.push(raw);
    }
    for round in 0..100 {
        zk.advance(3 * SECOND).await;
        for raw in &mut clients {
            raw.send(&request(-2, PING, &[])).await;
        }
        assert_eq!(zk.sessions().len(), 20, "after {round} rounds");
    }
}

#[test]
fn time_can_be_moved_from_a_runtime_without_drivers() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let zk = serving.block_on(ZkMini::builder().manual_clock().start()).unwrap();
    let mut raw = serving.block_on(Raw::tcp(&zk));
    serving.block_on(raw.open_session(4_000));
    let moving = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..3 {
        moving.block_on(zk.advance(3 * SECOND));
        serving.block_on(raw.send(&request(-2, PING, &[])));
    }
    moving.block_on(zk.advance(3 * SECOND));
    assert_eq!(zk.sessions().len(), 1);
}

#[tokio::test]
async fn a_request_written_before_time_is_moved_keeps_its_container() {
    let zk = ZkMini::builder().in_memory().manual_clock().start().await.unwrap();
    let mut raw = Raw::with_session(&zk, 40_000).await;
    assert_eq!(raw.request(1, 19, &create("/c", 4)).await.err, 0);
    raw.create("/c/child", 0).await;
    raw.request(2, 2, &crate::raw::delete("/c/child")).await;
    zk.advance(30 * SECOND).await;
    raw.send(&request(3, PING, &[])).await;
    zk.advance(29 * SECOND).await;
    raw.send(&request(4, 1, &create("/c/again", 0))).await;
    zk.advance(SECOND).await;
    assert!(zk.get("/c/again").is_some());
}

async fn assert_a_client_that_comes_back_has_its_session() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    let answered = raw.open_session(4_000).await;
    raw.create("/e", EPHEMERAL).await;
    drop(raw);
    for _ in 0..50 {
        zk.advance(3 * SECOND).await;
        let mut back = Raw::tcp(&zk).await;
        back.send(&resume_request(&answered)).await;
    }
    zk.advance(3 * SECOND).await;
    assert!(zk.get("/e").is_some());
}

#[tokio::test]
async fn a_client_that_comes_back_before_time_is_moved_has_its_session() {
    assert_a_client_that_comes_back_has_its_session().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_comes_back_before_time_is_moved_has_its_session_with_threads() {
    assert_a_client_that_comes_back_has_its_session().await;
}

#[tokio::test]
async fn a_client_that_sends_without_end_does_not_hold_up_time() {
    let zk = ZkMini::builder().in_memory().manual_clock().longest_turn(Duration::ZERO).start().await.unwrap();
    let mut dying = Raw::with_session(&zk, 4_000).await;
    dying.create("/e", EPHEMERAL).await;
    let mut busy = Raw::with_session(&zk, 40_000).await;
    let sending = tokio::spawn(async move {
        loop {
            busy.send(&request(-2, PING, &[])).await;
            busy.reply().await;
        }
    });
    within(zk.advance(6 * SECOND)).await;
    assert!(zk.get("/e").is_none());
    sending.abort();
}

#[tokio::test]
async fn long_answers_to_four_letter_words_are_whole_and_in_order() {
    let zk = ZkMini::start().await.unwrap();
    let mut watching = Raw::with_session(&zk, 40_000).await;
    for n in 0..6_000 {
        watching.request(n, 3, &get_data(&format!("/{n:05}"), true)).await;
    }
    let mut owner = Raw::with_session(&zk, 40_000).await;
    for n in 0..6_000 {
        owner.create(&format!("/e{n:05}"), EPHEMERAL).await;
    }
    let [watcher, owner] =
        zk.sessions()[..].iter().map(|info| info.id.to_string()).collect::<Vec<_>>().try_into().unwrap();
    let ask = async |word: &[u8]| {
        let mut asking = Raw::tcp(&zk).await;
        asking.write(word).await;
        String::from_utf8(asking.rest().await).unwrap()
    };
    let paths = |name: &str| (0..6_000).map(|n| format!("\t/{name}{n:05}\n")).collect::<String>();
    let by_path: String = (0..6_000).map(|n| format!("/{n:05}\n\t{watcher}\n")).collect();
    assert_eq!(ask(b"wchp").await, by_path + "\n");
    assert_eq!(ask(b"wchc").await, format!("{watcher}\n{}\n", paths("")));
    assert_eq!(ask(b"wchs").await, "1 connections watching 6000 paths\nTotal watches:6000\n");
    let dump = ask(b"dump").await;
    let nodes = format!("Sessions with Ephemerals (1):\n{owner}:\n{}Connections dump:\n", paths("e"));
    assert!(dump.contains(&nodes), "{dump}");
}
