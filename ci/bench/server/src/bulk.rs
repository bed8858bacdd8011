//! Ends of one client with very many ephemeral nodes or watches: how long another client waits meanwhile, and how much memory
//! comes back.

use std::io::{self, Error};
use std::time::{Duration, Instant};

use crate::codec::{self, Frame};
use crate::scenario::Figure;
use crate::server::Server;
use crate::session::Session;

/// Number of requests that are sent before their replies are read.
const AT_ONCE: usize = 1_000;

const LONG: Duration = Duration::from_secs(40);

/// Timeout of a session that is to expire.
const SHORT: Duration = Duration::from_secs(10);

/// Maximum time that a session expires late.
const TICK: Duration = Duration::from_secs(2);

/// Time after which memory that has not changed is final.
const SETTLED: Duration = Duration::from_secs(3);

/// Time in which the other client finds out how long it waits anyhow.
const QUIET: Duration = Duration::from_secs(1);

const NO_NODE: i32 = -101;

/// Things that a client has many of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Things {
    Ephemerals,
    Watches,
}

/// Manner in which it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// It closes its session.
    Close,
    /// It falls silent, and its session expires.
    Expiry,
}

/// All cases, by name, with the number of things.
pub const CASES: [(&str, Things, usize, End); 4] = [
    ("bulk: 300,000 ephemerals, closed", Things::Ephemerals, 300_000, End::Close),
    ("bulk: 300,000 ephemerals, expired", Things::Ephemerals, 300_000, End::Expiry),
    ("bulk: 1,000,000 watches, closed", Things::Watches, 1_000_000, End::Close),
    ("bulk: 1,000,000 watches, expired", Things::Watches, 1_000_000, End::Expiry),
];

/// Measures the end of a client of a fresh server.
pub async fn end(server: &Server, things: Things, count: usize, end: End) -> io::Result<Vec<Figure>> {
    let mut other = Other(Session::connect(server.addr(), LONG).await?);
    other
        .call(|out| Frame::request(out, 0, codec::CREATE).create("/bulk", b"", codec::PERSISTENT).end())
        .await?;
    other
        .call(|out| Frame::request(out, 0, codec::CREATE).create("/own", b"", codec::PERSISTENT).end())
        .await?;
    let timeout = if end == End::Expiry { SHORT } else { LONG };
    let mut owner = Session::connect(server.addr(), timeout).await?;
    // The server has its buffers, so that the memory is that of the things.
    own(&mut owner, &mut other, things, 0..AT_ONCE).await?;
    let before = server.memory_kib()?;
    own(&mut owner, &mut other, things, AT_ONCE..count).await?;
    let full = server.memory_kib()?;
    let quiet = other.longest_wait_until(Instant::now() + QUIET).await?;
    owner.call(|out| Frame::request(out, 0, codec::PING).end()).await?;

    let cpu_before = server.cpu()?;
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    // Nobody reads what the server tells it.
    let silent = match end {
        End::Close => {
            Frame::request(&mut owner.output, 0, codec::CLOSE).end();
            owner.send().await?;
            owner
        }
        End::Expiry => {
            longest = other.longest_wait_until(begun + SHORT).await?;
            owner
        }
    };
    if things == Things::Ephemerals {
        let (first, last) = (path(0), path(count - 1));
        while other.is_there(&first, &mut longest).await? || other.is_there(&last, &mut longest).await? {
            longest = longest.max(other.longest_wait_until(Instant::now()).await?);
        }
    }
    let gone = begun.elapsed();
    // A session expires up to a tick late, and watches leave unseen.
    let due = if end == End::Expiry { begun + SHORT + TICK } else { begun };
    let (mut after, mut since) = (full, Instant::now());
    while since.elapsed() < SETTLED || Instant::now() < due + SETTLED {
        longest = longest.max(other.longest_wait_until(Instant::now() + QUIET).await?);
        let now = server.memory_kib()?;
        if now != after {
            (after, since) = (now, Instant::now());
        }
    }
    let cpu = server.cpu()? - cpu_before;
    drop(silent);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut figures = vec![
        ("longest wait of another client before, ms", ms(quiet)),
        ("longest wait of another client meanwhile, ms", ms(longest)),
        ("memory before, MiB", before as f64 / 1024.0),
        ("memory with all of them, MiB", full as f64 / 1024.0),
        ("memory afterwards, MiB", after as f64 / 1024.0),
        ("server CPU ms, with the other client's", ms(cpu)),
    ];
    if things == Things::Ephemerals {
        figures.push(("first and last node gone after, ms", ms(gone)));
    }
    Ok(figures)
}

fn path(number: usize) -> String {
    format!("/bulk/{number:07}")
}

/// Gives a client these things, many at once. The other client stays alive meanwhile: a slow server may need longer than its timeout.
async fn own(
    owner: &mut Session,
    other: &mut Other,
    things: Things,
    numbers: std::ops::Range<usize>,
) -> io::Result<()> {
    let (err, numbers) =
        (if things == Things::Ephemerals { 0 } else { NO_NODE }, numbers.collect::<Vec<_>>());
    for some in numbers.chunks(AT_ONCE) {
        for number in some {
            let path = path(*number);
            match things {
                Things::Ephemerals => {
                    Frame::request(&mut owner.output, 0, codec::CREATE)
                        .create(&path, b"", codec::EPHEMERAL)
                        .end();
                }
                Things::Watches => {
                    Frame::request(&mut owner.output, 0, codec::EXISTS)
                        .bytes(path.as_bytes())
                        .bool(true)
                        .end();
                }
            }
        }
        owner.send().await?;
        for _ in some {
            let reply = owner.next_reply().await?;
            if reply.err != err {
                return Err(Error::other(format!("the server answered {}", reply.err)));
            }
        }
        other.call(|out| Frame::request(out, 0, codec::PING).end()).await?;
    }
    Ok(())
}

/// Another client, with one request in flight at a time.
struct Other(Session);

impl Other {
    async fn call(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.0.call(encode).await
    }

    /// Reads and writes in turn until `end`, once at least. Returns the longest time that it waited for a reply.
    async fn longest_wait_until(&mut self, end: Instant) -> io::Result<Duration> {
        let mut longest = Duration::ZERO;
        loop {
            for op in [codec::GET_DATA, codec::SET_DATA] {
                let begun = Instant::now();
                self.call(|out| match op {
                    codec::GET_DATA => Frame::request(out, 0, op).bytes(b"/own").bool(false).end(),
                    _ => Frame::request(out, 0, op).set_data("/own", b"new").end(),
                })
                .await?;
                longest = longest.max(begun.elapsed());
            }
            if Instant::now() >= end {
                return Ok(longest);
            }
        }
    }

    /// Returns true if a node exists. The wait for the reply counts.
    async fn is_there(&mut self, path: &str, longest: &mut Duration) -> io::Result<bool> {
        let begun = Instant::now();
        Frame::request(&mut self.0.output, 0, codec::EXISTS).bytes(path.as_bytes()).bool(false).end();
        self.0.send().await?;
        let reply = self.0.next_reply().await?;
        *longest = begun.elapsed().max(*longest);
        match reply.err {
            0 => Ok(true),
            NO_NODE => Ok(false),
            err => Err(Error::other(format!("the server answered {err}"))),
        }
    }
}
