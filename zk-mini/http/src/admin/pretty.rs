//! JSON in the layout of ZooKeeper's AdminServer.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

/// Returns a value as JSON: each entry of an object on a line of its own, arrays on one line.
pub(super) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    value.serialize(&mut Serializer::with_formatter(&mut out, Layout::default()))?;
    Ok(out)
}

#[derive(Debug, Default)]
struct Layout {
    /// Number of open objects.
    depth: usize,
    /// True if the innermost object or array has something in it.
    is_filled: bool,
}

impl Layout {
    fn new_line<W: Write + ?Sized>(&self, out: &mut W) -> io::Result<()> {
        out.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| out.write_all(b"  "))
    }
}

impl Formatter for Layout {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.is_filled = false;
        out.write_all(b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.is_filled = true;
        out.write_all(b" ]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        out.write_all(if first { b" " } else { b", " })
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.is_filled = false;
        out.write_all(b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if std::mem::replace(&mut self.is_filled, true) {
            self.new_line(out)?;
            out.write_all(b"}")
        } else {
            out.write_all(b" }")
        }
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        self.new_line(out)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b" : ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_looks_as_the_real_servers() {
        let value = json!({"a": [], "b": {}, "c": [{"x": 1, "y": [1, 2]}, {"x": 0.0}], "d": {"e": null}});
        let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        let expected = r#"{
  "a" : [ ],
  "b" : { },
  "c" : [ {
    "x" : 1,
    "y" : [ 1, 2 ]
  }, {
    "x" : 0.0
  } ],
  "d" : {
    "e" : null
  }
}"#;
        assert_eq!(text, expected);
    }
}
