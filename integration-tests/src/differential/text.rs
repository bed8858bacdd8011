//! Text form of scripts, one step a line, so that a failing one can be read, kept and replayed:
//!
//! ```text
//! # connection 0 begins a session and creates an ephemeral node
//! 0 connect int:0 zxid:+0 int:30000 long:0 null byte:0
//! 0 create path:"/a" text:"data" int:1 int:31 text:"world" text:"anyone" int:1
//! 0 op:999 xid:-3 raw:00ff
//! 0 disconnect
//! ```

use std::fmt;
use std::str::FromStr;

use zk_wire::{OpCode, Xid};

use super::script::{Action, Field, Script, Step};

/// Error for a line that is no step.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line} of the script: {what}")]
pub struct ParseError {
    line: usize,
    what: String,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.conn)?;
        let fields = match &self.action {
            Action::Connect(fields) => {
                f.write_str("connect")?;
                fields
            }
            Action::Request { xid, op, body } => {
                match op.name() {
                    Some(name) => f.write_str(name)?,
                    None => write!(f, "op:{}", op.0)?,
                }
                if let Some(xid) = xid {
                    write!(f, " xid:{xid}")?;
                }
                body
            }
            Action::Frame(fields) => {
                f.write_str("frame")?;
                fields
            }
            Action::Bytes(fields) => {
                f.write_str("bytes")?;
                fields
            }
            Action::Disconnect => return f.write_str("disconnect"),
        };
        fields.iter().try_for_each(|field| write!(f, " {field}"))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "int:{value}"),
            Self::Long(value) => write!(f, "long:{value}"),
            Self::Byte(value) => write!(f, "byte:{value}"),
            Self::Text(text) => write!(f, "text:{}", quoted(text)),
            Self::Null => f.write_str("null"),
            Self::Path(path) => write!(f, "path:{}", quoted(path)),
            Self::Quota(path) => write!(f, "quota:{}", quoted(path)),
            Self::Zxid(offset) => write!(f, "zxid:{offset:+}"),
            Self::Session(conn) => write!(f, "session:{conn}"),
            Self::Password(conn) => write!(f, "password:{conn}"),
            Self::Raw(bytes) => write!(f, "raw:{}", hex(bytes)),
            Self::Zeros(len) => write!(f, "zeros:{len}"),
        }
    }
}

/// Formats a string as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Formats bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FromStr for Script {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut steps = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            steps.push(step(line).map_err(|what| ParseError { line: index + 1, what })?);
        }
        Ok(Self { steps })
    }
}

fn step(line: &str) -> Result<Step, String> {
    let (conn, rest) = line.split_once(' ').ok_or("it has no action")?;
    let (verb, mut rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut xid = None;
    if let Some(number) = rest.strip_prefix("xid:") {
        let (number, after) = number.split_once(' ').unwrap_or((number, ""));
        (xid, rest) = (Some(Xid(parse(number)?)), after);
    }
    let fields = fields(rest)?;
    let action = match verb {
        "connect" => Action::Connect(fields),
        "frame" => Action::Frame(fields),
        "bytes" => Action::Bytes(fields),
        "disconnect" => Action::Disconnect,
        _ => Action::Request { xid, op: op(verb)?, body: fields },
    };
    Ok(Step { conn: parse(conn)?, action })
}

fn op(verb: &str) -> Result<OpCode, String> {
    if let Some(code) = verb.strip_prefix("op:") {
        return parse(code).map(OpCode);
    }
    let known = (-20..200).map(OpCode).find(|op| op.name() == Some(verb));
    known.ok_or_else(|| format!("there is no action or operation {verb:?}"))
}

fn fields(mut text: &str) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    loop {
        text = text.trim_start();
        if text.is_empty() {
            return Ok(fields);
        }
        let (kind, after) = text.split_at(text.find([':', ' ']).unwrap_or(text.len()));
        let after = after.strip_prefix(':').unwrap_or(after);
        let (value, rest) = match kind {
            "null" => ("", after),
            "text" | "path" | "quota" => after.split_at(end_of_string(after)?),
            _ => after.split_once(' ').unwrap_or((after, "")),
        };
        fields.push(field(kind, value)?);
        text = rest;
    }
}

fn field(kind: &str, value: &str) -> Result<Field, String> {
    let string = || serde_json::from_str(value).map_err(|error| format!("{value}: {error}"));
    Ok(match kind {
        "int" => Field::Int(parse(value)?),
        "long" => Field::Long(parse(value)?),
        "byte" => Field::Byte(parse(value)?),
        "text" => Field::Text(string()?),
        "null" => Field::Null,
        "path" => Field::Path(string()?),
        "quota" => Field::Quota(string()?),
        "zxid" => Field::Zxid(parse(value)?),
        "session" => Field::Session(parse(value)?),
        "password" => Field::Password(parse(value)?),
        "raw" => Field::Raw(unhex(value)?),
        "zeros" => Field::Zeros(parse(value)?),
        _ => return Err(format!("there is no kind of field {kind:?}")),
    })
}

/// Returns the length of the JSON string at the beginning of `text`.
fn end_of_string(text: &str) -> Result<usize, String> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return Ok(at + 1),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    Err(format!("the string {text} has no end"))
}

fn parse<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not a number that fits"))
}

/// Parses hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let bad = || format!("{text:?} is not hexadecimal");
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return Err(bad());
    }
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| bad());
    (0..text.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_as_it_is_written() {
        let text = "0 connect int:0 zxid:-3 int:30000 session:1 password:1 byte:0\n\
                    12 create path:\"/a \\\"\\u0000 b\" null int:1 int:31 text:\"world\" text:\"\" int:-1\n\
                    0 op:999 xid:-3 raw:00ff zeros:3 quota:\"/a\"\n\
                    0 frame\n\
                    1 bytes raw:\n\
                    0 disconnect\n";
        let script: Script = text.parse().unwrap();
        assert_eq!(script.to_string(), text);
        assert_eq!(script.steps.len(), 6);
    }

    #[test]
    fn a_bad_line_is_named() {
        for (line, what) in [
            ("0 crate", "there is no action or operation \"crate\""),
            ("x ping", "\"x\" is not a number that fits"),
            ("0 ping text:\"a", "the string \"a has no end"),
            ("0 ping int:", "\"\" is not a number that fits"),
            ("0 ping raw:123", "\"123\" is not hexadecimal"),
            ("0 ping thing:1", "there is no kind of field \"thing\""),
        ] {
            let error = format!("# comment\n{line}\n").parse::<Script>().unwrap_err();
            assert_eq!(error.to_string(), format!("line 2 of the script: {what}"));
        }
    }
}
