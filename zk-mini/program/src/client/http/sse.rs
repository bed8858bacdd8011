//! Server-sent events: lines of text become events.

use bytes::BytesMut;

/// Maximum size of an event; those of zk-mini have a few hundred bytes.
const MAX_EVENT: usize = 16 << 20;

/// Event of a stream.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SseEvent {
    pub(crate) event: String,
    pub(crate) data: String,
}

/// Takes bytes as they come, and gives events.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    buffer: BytesMut,
    /// Number of bytes of `buffer` that have no line end.
    scanned: usize,
    next: SseEvent,
    has_data: bool,
    last_id: Option<String>,
}

impl Parser {
    /// Takes bytes. Returns false if an event is too large.
    #[must_use]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        self.buffer.len() + self.next.data.len() <= MAX_EVENT
    }

    /// Returns the next event, if it is complete.
    pub(crate) fn event(&mut self) -> Option<SseEvent> {
        while let Some(line) = self.line() {
            if !line.is_empty() {
                self.field(&line);
                continue;
            }
            let event = std::mem::take(&mut self.next);
            if std::mem::take(&mut self.has_data) {
                return Some(event);
            }
        }
        None
    }

    /// Returns the id, behind which the stream resumes. It comes with an event, or alone.
    pub(crate) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Takes a complete line. A carriage return may end it alone, or with a line feed that comes later.
    fn line(&mut self) -> Option<String> {
        let rest = &self.buffer[self.scanned..];
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + end;
        let width = match self.buffer[end..] {
            [b'\r', b'\n', ..] => 2,
            // The line feed may be on its way.
            [b'\r'] => {
                self.scanned = end;
                return None;
            }
            _ => 1,
        };
        let line = self.buffer.split_to(end + width);
        self.scanned = 0;
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.next.event),
            "id" => self.last_id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.next.data.push('\n');
                }
                self.next.data.push_str(value);
            }
            // A comment keeps the connection alive; other fields are of no use here.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the id before each event, and the event; then the last id.
    fn events(chunks: &[&[u8]]) -> (Vec<(String, SseEvent)>, String) {
        let mut parser = Parser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            assert!(parser.push(chunk));
            while let Some(event) = parser.event() {
                events.push((parser.last_id().unwrap().to_owned(), event));
            }
        }
        (events, parser.last_id().unwrap().to_owned())
    }

    fn event(id: &str, event: &str, data: &str) -> (String, SseEvent) {
        (id.to_owned(), SseEvent { event: event.to_owned(), data: data.to_owned() })
    }

    const STREAM: &[u8] = b": hello\r\n\r\nid: 0\n\nid: 1\r\nevent: expiry\r\ndata: {\"a\":1}\r\n\r\nid:2\ndata: x\ndata:\ndata: y\n\ndata: z\n\nid: 3\n\n";

    #[test]
    fn events_have_fields_and_the_last_id_stays() {
        let read = vec![event("1", "expiry", "{\"a\":1}"), event("2", "", "x\n\ny"), event("2", "", "z")];
        assert_eq!(events(&[STREAM]), (read, "3".to_owned()));
    }

    #[test]
    fn it_does_not_matter_how_the_bytes_arrive() {
        let whole = events(&[STREAM]);
        for at in 0..STREAM.len() {
            assert_eq!(events(&[&STREAM[..at], &STREAM[at..]]), whole, "{at}");
        }
        assert_eq!(events(&STREAM.chunks(1).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept_without_a_limit() {
        let mut parser = Parser::default();
        let chunk = [b'x'; 1 << 20];
        let pushed = (0..20).take_while(|_| parser.push(&chunk) && parser.event().is_none()).count();
        assert_eq!(pushed, 16);
    }
}
