//! ZooKeeper's four-letter words: one word over TCP, an answer, the end. They ask a server without a client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The whole answer to a word such as `srvr`.
pub fn ask(server: SocketAddr, word: &str) -> io::Result<String> {
    ask_within(Duration::from_secs(10), server, word)
}

fn ask_within(timeout: Duration, server: SocketAddr, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// What a server says that it is (`standalone`, `leader`, `follower`), if it serves.
pub fn mode(server: SocketAddr) -> Option<String> {
    // A server that accepts while it still starts never answers that connection: soon try another.
    let answer = ask_within(Duration::from_millis(500), server, "srvr").ok()?;
    answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(String::from)
}

/// Whether a connection of this session ends at this server.
pub fn serves_session(server: SocketAddr, session: i64) -> bool {
    let sid = format!("sid=0x{session:x},");
    ask(server, "cons").is_ok_and(|answer| answer.contains(&sid))
}
