//! A reconnect of our client with many watches.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::DuplexStream;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use zk_client::{Client, SessionState, connect_fn};

use crate::server::Server;

/// Size of the pipe between the client and its socket.
const PIPE: usize = 1 << 20;

/// Calls under way at once.
const AT_ONCE: usize = 1_000;

/// Measures the milliseconds from the loss of the connection until the server has all watches again, and has answered a call
/// behind them.
pub async fn with_watches(server: &Server, count: usize) -> anyhow::Result<f64> {
    let pipe: Arc<Mutex<Option<AbortHandle>>> = Arc::default();
    let via = {
        let (pipe, addr) = (Arc::clone(&pipe), server.addr.clone());
        connect_fn(move || open(addr.clone(), Arc::clone(&pipe)))
    };
    let timeout = Duration::from_secs(40);
    let client = Client::builder().servers(&server.addr).session_timeout(timeout).via(via).connect().await?;
    let mut watches = Vec::with_capacity(count);
    let mut calls = JoinSet::new();
    for number in 0..count {
        let client = client.clone();
        calls.spawn(async move { client.exists_and_watch(&format!("/bench/missing/{number:06}")).await });
        if calls.len() == AT_ONCE {
            watches.push(calls.join_next().await.context("a call")???.1);
        }
    }
    while let Some(watch) = calls.join_next().await {
        watches.push(watch??.1);
    }
    let mut states = client.states();
    let begun = Instant::now();
    if let Some(pipe) = pipe.lock().unwrap_or_else(PoisonError::into_inner).take() {
        pipe.abort();
    }
    states.wait_for(|state| matches!(state, SessionState::Disconnected(_))).await.context("it is closed")?;
    states.wait_for(|state| matches!(state, SessionState::Connected(_))).await.context("it is closed")?;
    client.exists("/").await?;
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    drop(watches);
    client.close().await?;
    Ok(millis)
}

/// Opens a connection that can be cut.
async fn open(addr: String, pipe: Arc<Mutex<Option<AbortHandle>>>) -> io::Result<DuplexStream> {
    let mut socket = TcpStream::connect(&addr).await?;
    let (ours, mut theirs) = tokio::io::duplex(PIPE);
    let copy = tokio::spawn(async move { tokio::io::copy_bidirectional(&mut theirs, &mut socket).await });
    *pipe.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy.abort_handle());
    Ok(ours)
}
