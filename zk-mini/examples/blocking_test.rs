//! A test without async: a standby in a thread of its own takes over when the leader's session ends.
//!
//! `cargo run -p zk-mini --example blocking_test`

use std::error::Error;
use std::thread;
use std::time::Duration;

use zk_client::{Client, CreateMode, ErrorCode};
use zk_mini::ZkMini;
use zk_mini::blocking::Wait;

fn main() -> Result<(), Box<dyn Error>> {
    let zk = ZkMini::start().wait()?; // it stops when it is dropped
    let _leader = lead(&zk.connect_string(), "a")?;

    let servers = zk.connect_string();
    let standby = thread::spawn(move || lead(&servers, "b"));
    zk.wait_for(|zk| !zk.watches().is_empty(), Duration::from_secs(5)).wait()?; // it stands by

    zk.session_of("/leader").ok_or("nobody leads")?.expire().wait();
    let _standby = standby.join().map_err(|_| "the standby has panicked")??;
    assert_eq!(zk.get("/leader").ok_or("nobody leads")?.0, "b");
    println!("{}", zk.explain("/leader"));
    Ok(())
}

/// Leads as soon as nobody else does: the code under test. It knows a connect string and nothing of zk-mini.
fn lead(servers: &str, name: &'static str) -> Result<Client, zk_client::Error> {
    let client = Client::connect(servers).wait()?;
    loop {
        match client.create("/leader", name, CreateMode::Ephemeral).wait() {
            Err(error) if error.code() == Some(ErrorCode::NODE_EXISTS) => {}
            created => return created.map(|_| client),
        }
        if let (Some(_), mut gone) = client.exists_and_watch("/leader").wait()? {
            // An end of the watch is a reason to look again, too.
            let _ = gone.changed().wait();
        }
    }
}
