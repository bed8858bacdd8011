//! ZooKeeper's four-letter words, which ask a server without a client: one word over TCP, one answer, the end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Returns the whole answer to a word such as `srvr`.
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

/// Returns the mode of a server (`standalone`, `leader`, `follower`), if it serves.
pub fn mode(server: SocketAddr) -> Option<String> {
    // A server that accepts a connection while it starts never answers it: give up soon and let the caller try another.
    let answer = ask_within(Duration::from_millis(500), server, "srvr").ok()?;
    answer.lines().find_map(|line| line.strip_prefix("Mode: ")).map(String::from)
}

/// Returns true if this server has a connection of the session.
pub fn serves_session(server: SocketAddr, session: i64) -> bool {
    let sid = format!("sid=0x{session:x},");
    ask(server, "cons").is_ok_and(|answer| answer.contains(&sid))
}
