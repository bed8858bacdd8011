//! Answers every request of the closed loops with canned bytes of the right size and does nothing else: the limit of
//! generator, kernel and loopback.
#![forbid(unsafe_code)]

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream));
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (Vec::with_capacity(64 * 1024), Vec::new());
    let mut connected = false;
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut seen = 0;
        while let Some(frame) = whole_frame(&input[seen..]) {
            seen += 4 + frame.len();
            let body_after_header = if connected { response_size(frame) } else { 37 - HEADER };
            connected = true;
            answer(frame, body_after_header, &mut output);
        }
        input.drain(..seen);
        stream.write_all(&output).await?;
        output.clear();
    }
}

const HEADER: usize = 16;
const STAT: usize = 68;

/// Bytes behind the reply's header, by op code.
fn response_size(frame: &[u8]) -> usize {
    match frame.get(4..8).map(|op| i32::from_be_bytes([op[0], op[1], op[2], op[3]])) {
        Some(1) => 4 + 40,
        Some(3 | 5) => STAT,
        Some(4) => 4 + 100 + STAT,
        Some(8) => 4 + 10 * (4 + 12),
        Some(14) => 10 * (9 + STAT) + 9,
        _ => 0,
    }
}

fn answer(frame: &[u8], body: usize, output: &mut Vec<u8>) {
    output.extend(u32::try_from(HEADER + body).unwrap_or(u32::MAX).to_be_bytes());
    output.extend(frame.get(..4).unwrap_or(&[0; 4]));
    output.resize(output.len() + HEADER - 4 + body, 0);
}

fn whole_frame(input: &[u8]) -> Option<&[u8]> {
    let len = u32::from_be_bytes(input.get(..4)?.try_into().ok()?);
    input.get(4..4 + usize::try_from(len).ok()?)
}
