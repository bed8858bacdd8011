//! Four-letter words: the keys and the layout of each answer are those of recorded answers of the real server.

use std::collections::BTreeMap;

use zk_mini::{ZkMini, core::Compat};

use crate::raw::{EPHEMERAL, GET_DATA, Raw, eventually, get_data, string};

async fn ask(zk: &ZkMini, word: &[u8]) -> String {
    let mut raw = Raw::tcp(zk).await;
    raw.write(word).await;
    String::from_utf8(raw.rest().await).unwrap()
}

/// Does what the client of the recordings did before it asked; see their README.
async fn scene(zk: &ZkMini) -> Raw {
    let mut client = Raw::tcp(zk).await;
    client.open_session(30_000).await;
    client.request(1, 1, &crate::raw::create("/a", 0)).await;
    client.request(2, 1, &crate::raw::create("/e", EPHEMERAL)).await;
    client.request(3, GET_DATA, &get_data("/a", true)).await;
    client.request(4, 3, &[string("/b"), vec![1]].concat()).await;
    client.request(5, 8, &[string("/a"), vec![1]].concat()).await;
    client
}

/// Returns the shape of an answer: numbers, dates and versions are replaced, the rest has to be equal.
fn shape(answer: &str) -> String {
    answer.lines().map(|line| shape_of_line(line) + "\n").collect()
}

fn shape_of_line(line: &str) -> String {
    if let Some((key, _)) = line.split_once(": 3.").filter(|(key, _)| key.ends_with("version")) {
        return format!("{key}: VERSION");
    }
    if let Some((count, _)) = line.split_once(" expire at ") {
        return format!("{count} expire at DATE");
    }
    let mut shape = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (number, name) = match rest.strip_prefix("0x") {
            Some(hex) => {
                (2 + hex.len() - hex.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len(), "HEX")
            }
            None => (rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len(), "N"),
        };
        if number == 0 {
            shape.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            shape.push_str(name);
            rest = &rest[number..];
        }
    }
    shape
}

/// Returns the keys of an answer with one to a line, and the kind of the value if it is a number.
fn keys<'a>(answer: &'a str, separator: &str) -> BTreeMap<&'a str, &'static str> {
    let kind = |value: &str| match value {
        value if value.parse::<i64>().is_ok() => "integer",
        value if value.parse::<f64>().is_ok() => "decimal",
        _ => "text",
    };
    let line =
        |line: &'a str| line.split_once(separator).map_or((line, ""), |(key, value)| (key, kind(value)));
    answer.lines().map(line).collect()
}

macro_rules! recorded {
    ($word:literal) => {
        include_str!(concat!("../recordings/four_letter/", $word, ".txt"))
    };
}

#[tokio::test]
async fn every_answer_has_the_shape_of_the_real_servers() {
    let zk = ZkMini::builder().compat(Compat::V3_8).start().await.unwrap();
    let _client = scene(&zk).await;
    for (word, recorded) in [
        ("ruok", recorded!("ruok")),
        ("isro", recorded!("isro")),
        ("srvr", recorded!("srvr")),
        ("stat", recorded!("stat")),
        ("dump", recorded!("dump")),
        ("wchs", recorded!("wchs")),
        ("wchc", recorded!("wchc")),
        ("wchp", recorded!("wchp")),
        ("dirs", recorded!("dirs")),
        ("hash", recorded!("hash")),
        ("gtmk", recorded!("gtmk")),
        ("stmk\0\0\0\0\0\0\x01\x3e", recorded!("stmk")),
        ("crst", recorded!("crst")),
        ("srst", recorded!("srst")),
    ] {
        assert_eq!(shape(&ask(&zk, word.as_bytes()).await), shape(recorded), "{word}");
    }
}

#[tokio::test]
async fn answers_without_an_order_have_the_recorded_lines_and_keys() {
    let zk = ZkMini::builder().compat(Compat::V3_8).start().await.unwrap();
    let _client = scene(&zk).await;
    let sorted = |answer: &str| {
        let mut lines: Vec<_> = answer.lines().map(shape_of_line).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&ask(&zk, b"cons").await), sorted(recorded!("cons")));
    let mntr = ask(&zk, b"mntr").await;
    let mut figures = keys(&mntr, "\t");
    figures.retain(|key, _| !key.ends_with("_per_namespace"));
    assert_eq!(figures, keys(recorded!("mntr"), "\t"), "the README names the keys that were taken out");
    let (conf, envi) = (ask(&zk, b"conf").await, ask(&zk, b"envi").await);
    let names = |answer: &str| {
        answer.lines().map(|line| line.split('=').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&conf), names(recorded!("conf")));
    assert_eq!(names(&envi), names(recorded!("envi")));
    ask(&zk, b"crst").await;
    assert_eq!(sorted(&ask(&zk, b"cons").await), sorted(recorded!("cons_after_crst")));
    ask(&zk, b"srst").await;
    assert_eq!(shape(&ask(&zk, b"srvr").await), shape(recorded!("srvr_after_srst")));
}

#[tokio::test]
async fn mntr_of_the_newer_release_has_the_new_figures() {
    let zk = ZkMini::start().await.unwrap();
    let answer = ask(&zk, b"mntr").await;
    let recorded = keys(recorded!("mntr"), "\t");
    let mut more: Vec<_> =
        keys(&answer, "\t").into_keys().filter(|key| !recorded.contains_key(key)).collect();
    more.retain(|key| !key.ends_with("_restore_time") && !key.ends_with("_per_namespace"));
    assert_eq!(
        more,
        [
            "zk_restore_error_count",
            "zk_restore_rate_limited_count",
            "zk_snapshot_error_count",
            "zk_snapshot_rate_limited_count"
        ]
    );
    assert!(answer.starts_with("zk_version\t3.9."), "{answer}");
}

#[tokio::test]
async fn figures_are_those_of_the_recorded_scene() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let client = scene(&zk).await;
    let answer = ask(&zk, b"mntr").await;
    let ours: BTreeMap<_, _> = answer.lines().map(|line| line.split_once('\t').unwrap()).collect();
    for (name, value) in [
        ("zk_server_state", "standalone"),
        ("zk_znode_count", "7"),
        ("zk_ephemerals_count", "1"),
        ("zk_watch_count", "3"),
        ("zk_num_alive_connections", "2"),
        ("zk_global_sessions", "1"),
        ("zk_outstanding_requests", "0"),
        ("zk_avg_latency", "0.0"),
        ("zk_approximate_data_size", "50"),
        ("zk_packets_received", "7"),
        ("zk_packets_sent", "6"),
        ("zk_min_client_response_size", "16"),
        ("zk_max_client_response_size", "89"),
        ("zk_last_client_response_size", "20"),
        ("zk_connection_request_count", "1"),
        ("zk_cnt_updatelatency", "3"),
        ("zk_cnt_readlatency", "3"),
        ("zk_watch_bytes", "0"),
    ] {
        assert_eq!(ours.get(name), Some(&value), "{name}");
    }
    drop(client);
    eventually("it is gone", || zk.connections().is_empty()).await;
    zk.advance(std::time::Duration::from_secs(40)).await;
    assert!(ask(&zk, b"mntr").await.contains("zk_stale_sessions_expired\t1\n"));
}

#[tokio::test]
async fn dump_has_the_time_at_which_a_session_ends() {
    let zk = ZkMini::builder().manual_clock().start().await.unwrap();
    let _client = scene(&zk).await;
    let answer = ask(&zk, b"dump").await;
    let expected = "Session Sets (1)/(1):\n1 expire at Wed Jan 01 00:00:32 UTC 2020:\n\t0x1";
    assert!(answer.contains(expected), "{answer}");
}

#[tokio::test]
async fn a_word_outside_the_whitelist_is_refused_and_srvr_never_is() {
    let zk = ZkMini::builder().four_letter_words("ruok, stat").start().await.unwrap();
    assert_eq!(ask(&zk, b"ruok").await, "imok");
    for word in ["mntr", "isro", "stmk"] {
        let refusal = format!("{word} is not executed because it is not in the whitelist.\n");
        assert_eq!(ask(&zk, word.as_bytes()).await, refusal);
    }
    assert!(ask(&zk, b"srvr").await.ends_with("Node count: 5\n"));
}

#[tokio::test]
async fn the_trace_mask_is_kept_and_has_no_effect() {
    let zk = ZkMini::start().await.unwrap();
    assert_eq!(ask(&zk, b"gtmk").await, "306");
    let mut raw = Raw::tcp(&zk).await;
    raw.write(b"stmk\0\0\0\0\0\0\0\x02").await;
    assert_eq!(raw.rest().await, b"2");
    assert_eq!(ask(&zk, b"gtmk\n").await, "2", "as netcat sends it");
    for too_little in [&b"stmk"[..], b"stmk\0\0\0\0\0\0\x07"] {
        assert_eq!(
            ask(&zk, too_little).await,
            "",
            "the real server waits for no more of it, and ends the connection"
        );
    }
    assert_eq!(ask(&zk, b"gtmk").await, "2");
}

/// Returns a figure of `mntr`.
async fn figure(zk: &ZkMini, name: &str) -> String {
    let answer = ask(zk, b"mntr").await;
    let found = answer.lines().find_map(|line| line.strip_prefix(&format!("zk_{name}\t")));
    found.unwrap_or_else(|| panic!("no {name} in {answer}")).into()
}

#[tokio::test]
async fn dropped_connections_and_revalidated_sessions_are_counted() {
    let zk = ZkMini::start().await.unwrap();
    let mut raw = Raw::tcp(&zk).await;
    let session = raw.open_session(10_000).await;
    assert_eq!(figure(&zk, "connection_drop_count").await, "0", "a word ends its connection itself");
    drop(raw);
    eventually("it is gone", || zk.connections().is_empty()).await;
    assert_eq!(figure(&zk, "connection_drop_count").await, "1");
    assert_eq!(figure(&zk, "connection_revalidate_count").await, "0");
    let mut raw = Raw::resumed(&zk, &session).await;
    assert_eq!(figure(&zk, "connection_revalidate_count").await, "1");
    raw.request(1, -11, b"").await;
    assert_eq!(raw.rest().await, b"");
    let mut late = Raw::tcp(&zk).await;
    late.send(&crate::raw::resume_request(&session)).await;
    late.rest().await;
    assert_eq!(figure(&zk, "connection_revalidate_count").await, "2", "a session that has ended counts, too");
    assert_eq!(
        figure(&zk, "connection_drop_count").await,
        "1",
        "connections that the server has closed do not count"
    );
}

#[tokio::test]
async fn watchers_told_and_bytes_by_namespace_are_counted_as_in_zookeeper() {
    // All of it was tried on Apache ZooKeeper 3.8.7 and 3.9.5.
    let zk = ZkMini::start().await.unwrap();
    let mut one = Raw::with_session(&zk, 10_000).await;
    let mut other = Raw::with_session(&zk, 10_000).await;
    let watch = |path: &str| [string(path), vec![1]].concat();
    one.create("/ns", 0).await;
    for raw in [&mut one, &mut other] {
        raw.send(&crate::raw::request(1, 3, &watch("/ns/x"))).await;
        raw.reply().await;
    }
    let mut third = Raw::with_session(&zk, 10_000).await;
    third.create("/ns/x", 0).await;
    third.request(2, GET_DATA, &watch("/ns/x")).await;
    third.request(3, 8, &watch("/ns/x")).await;
    third.send(&crate::raw::request(4, 5, &crate::raw::set_data("/ns/x", b"abcdef"))).await;
    third.receive().await;
    third.receive().await;
    third.request(5, GET_DATA, &watch("/ns/x")).await;
    third.request(6, 8, &watch("/ns")).await;
    third.send(&crate::raw::request(7, 2, &crate::raw::delete("/ns/x"))).await;
    for _ in 0..3 {
        third.receive().await;
    }
    for (name, count, sum) in [
        ("node_created_watch_count", 1, 2),
        ("node_changed_watch_count", 1, 1),
        // Watchers of the data and those of the children count apart.
        ("node_deleted_watch_count", 2, 2),
        ("node_children_watch_count", 1, 1),
        // /ns 3 + 1, /ns/x 5 + 1 (the tests' data is one byte), 5 + 6, 5.
        ("ns_write_per_namespace", 4, 26),
        // /ns/x 5 + 1, children of it 5, 5 + 6, /ns 3 + "x", with 68 for each stat.
        ("ns_read_per_namespace", 4, 26 + 4 * 68),
    ] {
        assert_eq!(figure(&zk, &format!("cnt_{name}")).await, count.to_string(), "{name}");
        assert_eq!(figure(&zk, &format!("sum_{name}")).await, sum.to_string(), "{name}");
    }
    ask(&zk, b"srst").await;
    assert_eq!(figure(&zk, "cnt_node_created_watch_count").await, "0");
    assert_eq!(figure(&zk, "max_ns_read_per_namespace").await, "0", "the namespace is still listed");
}

#[tokio::test]
async fn a_large_answer_arrives_whole() {
    let zk = ZkMini::start().await.unwrap();
    let mut client = Raw::with_session(&zk, 30_000).await;
    let long = "x".repeat(200);
    for n in 0..5_000 {
        client
            .send(&crate::raw::request(1, 1, &crate::raw::create(&format!("/{long}-{n}"), EPHEMERAL)))
            .await;
        client.reply().await;
    }
    let answer = ask(&zk, b"dump").await;
    assert_eq!(answer.lines().filter(|line| line.starts_with("\t/x")).count(), 5_000);
    assert!(answer.lines().last().unwrap().contains(" sessionId: 0x1"), "it is cut off");
}

#[tokio::test]
async fn a_word_in_a_session_is_taken_for_a_bad_length() {
    let zk = ZkMini::start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(4_000).await;
    client.write(b"ruok").await;
    assert_eq!(client.rest().await, b"");
}

#[tokio::test]
async fn an_answer_longer_than_the_backlog_is_replaced_by_a_message() {
    let zk = ZkMini::builder().max_backlog(1_000).start().await.unwrap();
    let mut client = Raw::tcp(&zk).await;
    client.open_session(30_000).await;
    for n in 0..100 {
        client.request(n, 3, &[string(&format!("/{n}")), vec![1]].concat()).await;
    }
    let expected = format!(
        "The answer takes {} bytes, and at most 1000 may wait for a client.\n",
        (10 * 3 + 90 * 4) + 100 * "\t0x1234567890abcde\n".len() + 1
    );
    assert_eq!(ask(&zk, b"wchp").await, expected);
    assert_eq!(ask(&zk, b"wchs").await, "1 connections watching 100 paths\nTotal watches:100\n");
}
