//! Measurements other than closed loops: storms, fan-out, expiry, idle memory.

use std::io;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::closed_loop::new_histogram;
use crate::codec::{self, Frame};
use crate::server::Server;
use crate::session::Session;

/// One figure: its name with the unit, and its value.
pub type Figure = (&'static str, f64);

const LONG: Duration = Duration::from_secs(40);

/// Connect, handshake, close: as many as possible, sixteen at a time.
pub async fn session_storm(server: &Server, time: Duration) -> io::Result<Vec<Figure>> {
    let addr = server.addr();
    let (begun, cpu_before) = (Instant::now(), server.cpu()?);
    let mut loops = JoinSet::new();
    for _ in 0..16 {
        loops.spawn(async move {
            let mut count = 0_u32;
            while begun.elapsed() < time {
                Session::connect(addr, LONG).await?.close().await?;
                count += 1;
            }
            io::Result::Ok(count)
        });
    }
    let mut sessions = 0.0;
    while let Some(count) = loops.join_next().await {
        sessions += f64::from(count??);
    }
    let cpu = (server.cpu()? - cpu_before).as_secs_f64() * 1e6;
    Ok(vec![
        ("sessions per second", sessions / begun.elapsed().as_secs_f64()),
        ("server CPU us per session", cpu / sessions),
    ])
}

/// Measures watch fan-out: all sessions watch one node, which is set once; the figures are times from the request to the
/// events.
pub async fn watch_fan_out(server: &Server, run: &str, watchers: usize) -> io::Result<Vec<Figure>> {
    let path = format!("/fan-out-{run}");
    let mut writer = Session::connect(server.addr(), LONG).await?;
    writer
        .call(|out| Frame::request(out, 0, codec::CREATE).create(&path, b"", codec::PERSISTENT).end())
        .await?;
    let mut waiting = JoinSet::new();
    for _ in 0..watchers {
        let mut session = Session::connect(server.addr(), LONG).await?;
        session
            .call(|out| Frame::request(out, 0, codec::GET_DATA).bytes(path.as_bytes()).bool(true).end())
            .await?;
        waiting.spawn(async move {
            let event = session.next_reply().await?;
            let arrived = Instant::now();
            if event.xid != codec::EVENT {
                return Err(io::Error::other("a reply in place of an event"));
            }
            Ok((arrived, session))
        });
    }
    // Let every task reach its read, so that their start is not measured.
    tokio::task::yield_now().await;
    let (begun, cpu_before) = (Instant::now(), server.cpu()?);
    writer.call(|out| Frame::request(out, 0, codec::SET_DATA).set_data(&path, b"new").end()).await?;
    let mut nanos = new_histogram();
    let mut sessions = Vec::new();
    while let Some(event) = waiting.join_next().await {
        let (arrived, session) = event??;
        nanos.saturating_record(u64::try_from((arrived - begun).as_nanos()).unwrap_or(u64::MAX));
        sessions.push(session);
    }
    let cpu = (server.cpu()? - cpu_before).as_secs_f64() * 1e3;
    for session in sessions {
        session.close().await?;
    }
    let ms = |value: u64| value as f64 / 1e6;
    Ok(vec![
        ("first event ms", ms(nanos.min())),
        ("median event ms", ms(nanos.value_at_quantile(0.5))),
        ("last event ms", ms(nanos.max())),
        ("server CPU ms", cpu),
    ])
}

/// Measures expiry: sessions with an ephemeral node each lose their connections at once; the figures are times from the loss
/// plus the timeout to the watcher's events. Never negative in a correct server.
pub async fn expiry_burst(server: &Server, run: &str, sessions: usize) -> io::Result<Vec<Figure>> {
    const TIMEOUT: Duration = Duration::from_secs(4);
    let mut watcher = Session::connect(server.addr(), LONG).await?;
    let mut doomed = Vec::new();
    for number in 0..sessions {
        let path = format!("/expiry-{run}-{number}");
        let mut session = Session::connect(server.addr(), TIMEOUT).await?;
        let create = |out: &mut Vec<u8>| {
            Frame::request(out, 0, codec::CREATE).create(&path, b"", codec::EPHEMERAL).end()
        };
        session.call(create).await?;
        watcher
            .call(|out| Frame::request(out, 0, codec::EXISTS).bytes(path.as_bytes()).bool(true).end())
            .await?;
        doomed.push(session);
    }
    // Each session sends a last request, so that all timeouts begin together.
    for session in &mut doomed {
        session.call(|out| Frame::request(out, 0, codec::PING).end()).await?;
    }
    drop(doomed);
    let due = Instant::now() + TIMEOUT;
    let mut late = Vec::new();
    while late.len() < sessions {
        if watcher.next_reply().await?.xid == codec::EVENT {
            let now = Instant::now();
            late.push(now.saturating_duration_since(due).as_secs_f64() * 1e3);
        }
    }
    Ok(vec![("first node gone, ms late", late[0]), ("last node gone, ms late", late[sessions - 1])])
}

/// Memory per session that is connected and silent.
pub async fn idle_memory(server: &Server, sessions: usize) -> io::Result<Vec<Figure>> {
    let before = server.memory_kib()?;
    let mut idle = Vec::new();
    for _ in 0..sessions {
        idle.push(Session::connect(server.addr(), LONG).await?);
    }
    let after = server.memory_kib()?;
    let per_session = (after as f64 - before as f64) / sessions as f64;
    let name =
        if sessions >= 10_000 { "KiB per session, 10,000 idle" } else { "KiB per session, 1,000 idle" };
    Ok(vec![(name, per_session)])
}
