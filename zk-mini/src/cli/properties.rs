//! The format of Java's properties files, which `zoo.cfg` is written in. What the keys mean is not known here.

/// One entry of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Property {
    /// The line that it begins on, from 1.
    pub(super) line: usize,
    pub(super) key: String,
    /// Without white space around it.
    pub(super) value: String,
}

/// The entries of a file, in order. Every text is valid.
pub(super) fn parse(text: &str) -> Vec<Property> {
    let mut properties = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let first = first.trim_start();
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        // A line that ends in a backslash goes on; two of them are a backslash.
        while logical.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1 {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start());
        }
        let (key, value) = split(&logical);
        properties.push(Property {
            line: index + 1,
            key: unescape(key),
            value: unescape(value).trim().into(),
        });
    }
    properties
}

/// The key ends at the first `=`, `:` or white space that no backslash protects.
fn split(line: &str) -> (&str, &str) {
    let mut protected = false;
    let end = line.char_indices().find(|&(_, c)| {
        let ends = !protected && (c == '=' || c == ':' || c.is_whitespace());
        protected = !protected && c == '\\';
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let rest = line[end..].trim_start();
    (&line[..end], rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = rest.by_ref().take(4).collect();
                let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
                out.push(code.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(usize, String, String)> {
        parse(text).into_iter().map(|property| (property.line, property.key, property.value)).collect()
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
    fn comments_and_empty_lines_are_passed_over_and_counted() {
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
}
