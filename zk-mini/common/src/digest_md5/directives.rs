//! Directives: the `name=value` list of a challenge or a response.

/// Directives of which one message has at most one.
const SINGLE: [&[u8]; 16] = [
    b"username",
    b"realm",
    b"nonce",
    b"cnonce",
    b"nc",
    b"qop",
    b"digest-uri",
    b"response",
    b"maxbuf",
    b"charset",
    b"cipher",
    b"authzid",
    b"auth-param",
    b"algorithm",
    b"stale",
    b"rspauth",
];

/// Reason why a list cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    Syntax(&'static str),
    Twice(&'static str),
}

/// Directives of a message, in order. Unknown ones are kept, and mean nothing.
#[derive(Debug, Default)]
pub(super) struct Directives(Vec<(Vec<u8>, Vec<u8>)>);

impl Directives {
    /// Parses a list as Java's SASL library does, which is more lenient than the RFC: any bytes make a name, empty elements are
    /// skipped, and white space ends a value. `realm` may occur more than once if `many_realms` is set.
    pub(super) fn parse(text: &[u8], many_realms: bool) -> Result<Self, Unreadable> {
        let mut directives = Self::default();
        let mut rest = trim(text);
        while let Some((first, after)) = rest.split_first() {
            if *first == b',' {
                rest = trim(after);
                continue;
            }
            let (name, value, after) = element(rest)?;
            if let Some(single) = single(&name)
                && directives.get(single).is_some()
                && !(many_realms && single == "realm")
            {
                return Err(Unreadable::Twice(single));
            }
            directives.0.push((name, value));
            rest = after;
        }
        Ok(directives)
    }

    /// Returns the value of a directive, the first one if there are several.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| &**value)
    }
}

/// Returns the name of a directive that may occur once.
fn single(name: &[u8]) -> Option<&'static str> {
    let known = SINGLE.iter().find(|known| known.eq_ignore_ascii_case(name))?;
    str::from_utf8(known).ok()
}

/// A name, its value, and the text behind.
type Element<'a> = (Vec<u8>, Vec<u8>, &'a [u8]);

/// Takes a name and its value off the front, with the separator behind.
fn element(text: &[u8]) -> Result<Element<'_>, Unreadable> {
    let end = text.iter().position(|&byte| byte == b'=' || byte == b',' || is_space(byte));
    let Some(end) = end else {
        // A last name without a value has the empty one.
        return Ok((text.to_vec(), Vec::new(), &[]));
    };
    let (name, after) = text.split_at(end);
    let after = trim(after).strip_prefix(b"=").ok_or(Unreadable::Syntax("a name without ="))?;
    if name.is_empty() {
        return Err(Unreadable::Syntax("an empty name"));
    }
    let (value, after) = match trim(after).split_first() {
        None => return Err(Unreadable::Syntax("a name without a value")),
        Some((b'"', quoted)) => quoted_value(quoted)?,
        Some(_) => {
            let value = trim(after);
            let end = value.iter().position(|&byte| byte == b',' || is_space(byte)).unwrap_or(value.len());
            (value[..end].to_vec(), &value[end..])
        }
    };
    match after.split_first() {
        None => Ok((name.to_vec(), value, &[])),
        Some((&byte, after)) if byte == b',' || is_space(byte) => Ok((name.to_vec(), value, trim(after))),
        Some(_) => Err(Unreadable::Syntax("text behind a quoted value")),
    }
}

/// Takes a quoted value, whose opening quote is gone.
fn quoted_value(text: &[u8]) -> Result<(Vec<u8>, &[u8]), Unreadable> {
    let mut value = Vec::new();
    let mut bytes = text.iter().enumerate();
    while let Some((at, &byte)) = bytes.next() {
        match byte {
            b'"' => return Ok((value, &text[at + 1..])),
            b'\\' => value.extend(bytes.next().map(|(_, &escaped)| escaped)),
            byte => value.push(byte),
        }
    }
    Err(Unreadable::Syntax("a quote that does not end"))
}

/// Writes a quoted value.
pub(super) fn quote(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn trim(text: &[u8]) -> &[u8] {
    let first = text.iter().position(|&byte| !is_space(byte)).unwrap_or(text.len());
    &text[first..]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<String, Unreadable> {
        let directives = Directives::parse(text.as_bytes(), false)?;
        Ok(String::from_utf8(directives.get("nonce").unwrap_or(b"none").to_vec()).unwrap())
    }

    /// Behaviour of Java's library, as seen on Apache ZooKeeper 3.9.5.
    #[test]
    fn lists_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("nonce=a", "a"),
            ("nonce=\"a\"", "a"),
            ("NONCE=a", "a"),
            (" ,\t, nonce = a ,", "a"),
            ("nonce=\"a\\\"b\\\\\",x=y", "a\"b\\"),
            ("nonce=a\r\nx=y", "a"),
            ("nonce=a\"b", "a\"b"),
            ("x\u{1}=\u{e9},y/z=1,nonce=a", "a"),
            ("nonce=a,x", "a"),
            ("x=nonce", "none"),
            ("nonce=\"\"", ""),
            ("", "none"),
        ] {
            assert_eq!(value(text).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["nonce=", "=a", "nonce=\"a", "nonce=\"a\\", "nonce=\"a\"b", "nonce x", "a,nonce=b", "\"=\""]
        {
            assert!(matches!(value(text), Err(Unreadable::Syntax(_))), "{text}: {:?}", value(text));
        }
        assert_eq!(value("nonce=a,Nonce=b"), Err(Unreadable::Twice("nonce")));
        assert_eq!(value("x=a,x=b,nonce=c").as_deref(), Ok("c"), "unknown ones may repeat");
    }

    #[test]
    fn only_a_challenge_may_offer_several_realms() {
        assert!(Directives::parse(b"realm=a,realm=b", false).is_err());
        let directives = Directives::parse(b"realm=a,realm=b", true).unwrap();
        assert_eq!(directives.get("realm"), Some(&b"a"[..]));
    }

    #[test]
    fn a_quoted_value_is_read_back() {
        let mut text = b"nonce=".to_vec();
        quote(b"a\"b\\,c", &mut text);
        assert_eq!(Directives::parse(&text, false).unwrap().get("nonce"), Some(&b"a\"b\\,c"[..]));
    }
}
