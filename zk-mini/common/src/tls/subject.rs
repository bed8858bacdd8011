//! The name of a certificate's owner, as Java writes it.

use std::fmt::Write;

use tokio_rustls::rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::ToDer;
use x509_parser::prelude::{AttributeTypeAndValue, FromDer, X509Certificate};

/// Names of attributes that RFC 2253 has.
const KEYWORDS: [(&str, &str); 9] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
];

/// Characters that stand behind a backslash.
const ESCAPED: &str = ",=+<>#;\"\\";

/// Returns the name of the owner as RFC 2253 has it, in Java's spelling (`X500Principal.getName()`), for example
/// `CN=billing,O=Example`: the last part first, and no spaces between them. `None` for a certificate that cannot be read.
#[must_use]
pub fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut parts: Vec<_> = certificate
        .subject()
        .iter()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let oid = attribute.attr_type().to_id_string();
    let keyword = KEYWORDS.iter().find(|(known, _)| *known == oid).map(|(_, keyword)| *keyword);
    match (keyword, attribute.as_str()) {
        (Some(keyword), Ok(text)) => format!("{keyword}={}", escaped(text)),
        (keyword, _) => {
            let mut shown = format!("{}=#", keyword.unwrap_or(&oid));
            for byte in attribute.attr_value().to_der_vec().unwrap_or_default() {
                // Writing to a string does not fail.
                let _ = write!(shown, "{byte:02x}");
            }
            shown
        }
    }
}

/// Returns a value with backslashes where it needs them.
fn escaped(value: &str) -> String {
    let is_blank = |c: char| matches!(c, ' ' | '\r');
    let from = value.len() - value.trim_start_matches(is_blank).len();
    let to = value.trim_end_matches(is_blank).len();
    let mut escaped = String::with_capacity(value.len());
    for (at, c) in value.char_indices() {
        match c {
            '\0' => escaped.push_str("\\00"),
            c if ESCAPED.contains(c) || at < from || at >= to => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_escaped_as_java_does() {
        assert_eq!(escaped("plain text"), "plain text");
        assert_eq!(escaped("a,b=c+d<e>f#g;h\"i\\j"), "a\\,b\\=c\\+d\\<e\\>f\\#g\\;h\\\"i\\\\j");
        assert_eq!(escaped(" two  "), "\\ two\\ \\ ");
        assert_eq!(escaped("  "), "\\ \\ ");
        assert_eq!(escaped("é\0"), "é\\00");
    }
}
