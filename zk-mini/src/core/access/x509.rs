//! The `x509` scheme: an id is the name in a client's certificate.

use zk_wire::ByteString;

use crate::core::Core;
use crate::core::access::requester::Identity;
use crate::core::message::ConnId;

/// Keywords of Java for the parts of a name, beside numbers with dots.
const KEYWORDS: [&str; 20] = [
    "CN",
    "C",
    "L",
    "S",
    "ST",
    "O",
    "OU",
    "T",
    "IP",
    "STREET",
    "DC",
    "DNQUALIFIER",
    "DNQ",
    "SURNAME",
    "GIVENNAME",
    "INITIALS",
    "GENERATION",
    "EMAILADDRESS",
    "UID",
    "SERIALNUMBER",
];

impl Core {
    /// Adds the identity of a client's certificate to its connection, and `super` if it is the super user's.
    pub(crate) fn certified(&mut self, conn: ConnId, subject: &str) {
        let Some(peer) = self.peers.get_mut(conn) else { return };
        let identity =
            |scheme| Identity { scheme: ByteString::from_static(scheme), id: ByteString::from(subject) };
        let is_super = self.config.x509_super_user.as_deref() == Some(subject);
        let identities = is_super.then(|| identity("super")).into_iter().chain([identity("x509")]);
        let mut accepted = true;
        for identity in identities {
            accepted &= peer.add_identity(identity, &self.config);
        }
        if !accepted {
            self.close(conn);
        }
    }
}

/// Returns `true` if Java's `X500Principal` takes the text: parts such as `CN=name`, with commas, semicolons or plus signs
/// between them. The empty name is one.
pub(crate) fn is_name(text: &str) -> bool {
    text.trim().is_empty() || split(text).is_some_and(|parts| parts.into_iter().all(is_part))
}

/// Splits a name; `None` if a quotation or an escape has no end.
fn split(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut quoted) = (Vec::new(), 0, false);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next()?;
            }
            '"' => quoted = !quoted,
            ',' | ';' | '+' if !quoted => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    if quoted { None } else { Some(parts) }
}

fn is_part(part: &str) -> bool {
    let Some((keyword, _)) = part.split_once('=') else { return false };
    let keyword = keyword.trim().to_ascii_uppercase();
    let number = keyword.strip_prefix("OID.").unwrap_or(&keyword);
    KEYWORDS.contains(&&*keyword) || is_number(number)
}

/// Returns `true` for an object identifier: numbers with dots between them.
fn is_number(text: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.contains('.') && text.split('.').all(is_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_java_takes() {
        for name in [
            "CN=a",
            "cn=a, O = b",
            "CN=a+UID=7;DC=x",
            "2.5.4.3=a",
            "OID.2.5.4.3=a",
            "CN=",
            "CN=a\\,b",
            "CN=\"a,b\"",
            "",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in ["a", "CN", "XYZ=a", "CN=a,", "CN=a,b", "CN=\"a", "CN=a\\", "=a", "2=a", "2..4=a"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
