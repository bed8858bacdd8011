//! Playground of the book: the server's core, a few clients, and a clock that the reader moves, as WebAssembly.
//!
//! The page calls three functions. A command goes in byte by byte ([`put`]), as JSON; [`run`] carries it out; the answer
//! comes out byte by byte ([`get`]). So no pointer crosses the border, and no memory is shared. Commands are short: a
//! few kilobytes.
#![deny(unsafe_code)]

mod client;
mod command;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

use world::World;

/// State behind the functions of the page, which has one thread.
static PAGE: Mutex<Page> = Mutex::new(Page { command: Vec::new(), answer: Vec::new(), world: None });

struct Page {
    command: Vec<u8>,
    answer: Vec<u8>,
    world: Option<World>,
}

fn page() -> MutexGuard<'static, Page> {
    PAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds a byte to the next command.
// SAFETY: no other symbol of the module has this name, so the linker cannot confuse them.
#[expect(unsafe_code, reason = "an export must have a name that the page knows")]
#[unsafe(no_mangle)]
pub extern "C" fn put(byte: u8) {
    page().command.push(byte);
}

/// Carries out the command, and returns the length of the answer.
// SAFETY: as for `put`.
#[expect(unsafe_code, reason = "an export must have a name that the page knows")]
#[unsafe(no_mangle)]
pub extern "C" fn run() -> u32 {
    let page = &mut *page();
    page.answer = command::run(&mut page.world, &std::mem::take(&mut page.command)).to_string().into_bytes();
    u32::try_from(page.answer.len()).unwrap_or(u32::MAX)
}

/// Returns a byte of the answer; 0 after its end.
// SAFETY: as for `put`.
#[expect(unsafe_code, reason = "an export must have a name that the page knows")]
#[unsafe(no_mangle)]
pub extern "C" fn get(index: u32) -> u8 {
    usize::try_from(index).ok().and_then(|index| page().answer.get(index).copied()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{get, put, run};

    #[test]
    fn a_command_goes_in_and_its_answer_comes_out_byte_by_byte() {
        br#"{"do":"begin","wall":0}"#.iter().for_each(|byte| put(*byte));
        // A function for the page is not one of `FnMut`.
        let answer: Vec<u8> = (0..run()).map(|index| get(index)).collect();
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["error"], serde_json::Value::Null, "{answer}");
        assert_eq!(answer["state"]["nodes"][0]["path"], "/");
        assert_eq!(get(u32::MAX), 0);
    }
}
