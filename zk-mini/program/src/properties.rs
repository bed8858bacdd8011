//! Java's properties format, in which `zoo.cfg` is written. It knows nothing of the keys' meaning.

/// One entry of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Property {
    /// Number of its first line, from 1.
    pub(crate) line: usize,
    pub(crate) key: String,
    /// The value without surrounding white space.
    pub(crate) value: String,
}

/// A `\u` without four hexadecimal digits, on this line; Java refuses such a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BadEscape(pub(super) usize);

/// Java's white space in such a file.
const SPACE: [char; 3] = [' ', '\t', '\u{c}'];

/// Parses the entries of a file, in order.
pub(crate) fn parse(text: &str) -> Result<Vec<Property>, BadEscape> {
    let mut properties = Vec::new();
    let mut lines = lines(text).enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start_matches(SPACE);
        if first.is_empty() || is_comment(first) {
            continue;
        }
        let mut logical = first.to_owned();
        // A backslash at the end continues the line; two of them are a backslash.
        while logical.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1 {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(SPACE));
        }
        let line = index + 1;
        let (key, value) = split(&logical);
        let unescaped = |text| unescape(text).map(|text| trim(&text).into()).ok_or(BadEscape(line));
        properties.push(Property { line, key: unescaped(key)?, value: unescaped(value)? });
    }
    Ok(properties)
}

/// Returns whether a line that does not continue another is a comment.
pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start_matches(SPACE).starts_with(['#', '!'])
}

/// Splits into lines, which end at a line feed, a carriage return, or both.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let after = &text[end..];
        rest = Some(after.strip_prefix("\r\n").unwrap_or(&after[1..]));
        Some(&text[..end])
    })
}

/// Trims as Java does, and so ZooKeeper: control characters are removed, too.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Splits key and value at the first `=`, `:` or white space without a backslash before it.
fn split(line: &str) -> (&str, &str) {
    let mut protected = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !protected && (c == '=' || c == ':' || SPACE.contains(&c));
        protected = !protected && c == '\\';
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start_matches(SPACE);
    (&line[..end], rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(SPACE))
}

/// Resolves escapes; `None` for a `\u` without four hexadecimal digits. These are UTF-16: two may make one character.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut units = Vec::new();
    let mut rest = text.chars();
    loop {
        let mut next = rest.next();
        if next == Some('\\') {
            next = rest.next();
            if next == Some('u') {
                let digits =
                    rest.as_str().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
                units.push(u16::from_str_radix(digits, 16).ok()?);
                rest = rest.as_str()[4..].chars();
                continue;
            }
            next = next.map(|c| match c {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\u{c}',
                other => other,
            });
        }
        out.extend(
            char::decode_utf16(units.drain(..)).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)),
        );
        match next {
            Some(c) => out.push(c),
            None => return Some(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text)
            .unwrap()
            .into_iter()
            .map(|property| (property.line, property.key, property.value))
            .collect()
    }

    fn pair(line: usize, key: &str, value: &str) -> (usize, String, String) {
        (line, key.into(), value.into())
    }

    #[test]
    fn keys_end_at_an_equals_sign_a_colon_or_white_space() {
        let text = "a=1\nb : 2\r\nc 3\nd\ne==5\n  f\t=\t6  \n";
        let expected =
            [pair(1, "a", "1"), pair(2, "b", "2"), pair(3, "c", "3"), pair(4, "d", ""), pair(5, "e", "=5")];
        let found = pairs(text);
        assert_eq!(found[..5], expected);
        assert_eq!(found[5], pair(6, "f", "6"));
    }

    #[test]
    fn comments_and_empty_lines_are_skipped_but_counted() {
        assert_eq!(pairs("# one\n\n ! two\na=#not a comment\n"), [pair(4, "a", "#not a comment")]);
    }

    #[test]
    fn a_backslash_continues_a_line_and_protects_a_character() {
        assert_eq!(pairs("a=1,\\\n   2\nb=3"), [pair(1, "a", "1,2"), pair(3, "b", "3")]);
        assert_eq!(
            pairs("a\\=b=C:\\\\data\\\\\nc=\\u0041\\t."),
            [pair(1, "a=b", "C:\\data\\"), pair(2, "c", "A\t.")]
        );
        assert_eq!(pairs("a=1\\"), [pair(1, "a", "1")]);
    }

    #[test]
    fn white_space_and_ends_of_lines_are_javas() {
        assert_eq!(
            pairs("a=1\rb=2\r\nc=3\n\rd=4"),
            [pair(1, "a", "1"), pair(2, "b", "2"), pair(3, "c", "3"), pair(5, "d", "4")]
        );
        assert_eq!(pairs("\u{a0}a\u{a0}b=1\u{a0}"), [pair(1, "\u{a0}a\u{a0}b", "1\u{a0}")]);
    }

    #[test]
    fn an_escape_is_utf_16_and_must_be_whole() {
        assert_eq!(pairs("a=\\u00e9\\ud83d\\ude00\\ud83d."), [pair(1, "a", "é😀\u{fffd}.")]);
        for text in ["a=\\u", "a=\\u12", "a=\\u12g4", "a=\\u+123", "\\uééé=1"] {
            assert_eq!(parse(&format!("x=1\n{text}")), Err(BadEscape(2)), "{text}");
        }
    }
}
