//! `explain` and `tail` where there is no HTTP of zk-mini.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use super::{command, failure};

/// Starts a server that answers each connection with these bytes and closes it. Returns its address.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).and_then(|_| stream.write_all(answer.as_bytes()));
        }
    });
    address
}

#[track_caller]
fn expect(args: &[&str], expected: i32, words: &str) {
    let (status, said) = failure(command(args).output().unwrap());
    assert!(
        status == expected && said.starts_with("zk-mini: ") && said.contains(words),
        "{args:?}: {status} {said}"
    );
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    for args in [&["explain", "/a", "-s", &address][..], &["tail", "-s", &address]] {
        expect(args, 3, &format!("tried {address} (Connection refused"));
        expect(args, 3, "name a zk-mini with --server HOST:PORT or in ZK_HOSTS");
    }
}

#[test]
fn a_server_without_http_of_zk_mini_has_a_status_of_its_own() {
    let silent = server("");
    let foreign =
        server("HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nno\n");
    let page = server("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>");
    for command in [&["explain", "/a"][..], &["tail"]] {
        expect(
            &[command, &["-s", &silent]].concat(),
            9,
            &format!("{silent} does not answer HTTP; this command needs zk-mini"),
        );
        for other in [&foreign, &page] {
            let words = format!("{other} answers HTTP, but is no zk-mini");
            expect(&[command, &["-s", other]].concat(), 9, &words);
            expect(&[command, &["--http", &format!("http://{other}/")]].concat(), 9, &words);
        }
    }
}

#[test]
fn a_server_of_a_later_interface_is_refused() {
    let newer = server("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"api\":2}");
    expect(
        &["explain", "/a", "-s", &newer],
        1,
        "version 2 of the interface, and this program knows up to 1; update it",
    );
}

#[test]
fn a_missing_token_is_told_with_the_option() {
    let body = r#"{"error":{"code":"unauthorized","message":"this server asks for a token"}}"#;
    let answer = format!("HTTP/1.1 401 Unauthorized\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let guarded = server(answer.leak());
    let words = "this server asks for a token; --http-token-file names a file with the token";
    expect(&["tail", "-s", &guarded], 8, words);
}

#[test]
fn bad_options_are_told_the_right_form() {
    expect(&["explain", "/a", "--http", "https://zk"], 2, "http://HOST:PORT");
    expect(&["tail", "--http-token-file", "/none/at/all"], 2, "cannot read /none/at/all: No such file");
    let output = command(&["tail"]).env("ZK_MINI_HTTP", "zk:2181").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
