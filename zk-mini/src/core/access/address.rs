//! Addresses in ZooKeeper's text form. It follows Java: numbers may have signs and the digits of any script.

use ::core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Number of groups in an IPv6 address.
const GROUPS: usize = 8;

/// Maximum length of a group in characters, with its sign.
const GROUP_LEN: usize = 4;

/// Zeros of all scripts in the plane that one `char` of Java can name. Each is followed by the digits 1 to 9.
const ZEROS: [u32; 37] = [
    0x0030, 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
    0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50,
    0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
];

/// Reads an address. IPv6 is accepted only if `v6` is set.
pub(crate) fn parse(text: &str, v6: bool) -> Option<IpAddr> {
    if let Some(address) = parse_v4(text) {
        return Some(address.into());
    }
    if v6 { parse_v6(text).map(IpAddr::from) } else { None }
}

/// Writes an address. All groups of an IPv6 address are written out.
pub(crate) fn to_java_string(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:x}")).join(":"),
    }
}

/// Reads four numbers from 0 to 255.
fn parse_v4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = text.split('.').map(|part| parse_int(part, 10).and_then(|n| u8::try_from(n).ok()));
    let address = Ipv4Addr::new(parts.next()??, parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_none() { Some(address) } else { None }
}

/// Reads eight groups, or fewer with one `::`. ZooKeeper does not accept the form with dots.
fn parse_v6(text: &str) -> Option<Ipv6Addr> {
    let groups = |text: &str| match text {
        "" => Some(Vec::new()),
        text => text.split(':').map(parse_group).collect::<Option<Vec<u16>>>(),
    };
    // Without `::` all groups must be there.
    let Some((before, after)) = text.split_once("::") else {
        return <[u16; GROUPS]>::try_from(groups(text)?).ok().map(Ipv6Addr::from);
    };
    let (before, after) = (groups(before)?, groups(after)?);
    // `::` stands for at least one group.
    let missing = GROUPS.checked_sub(before.len() + after.len()).filter(|&missing| missing > 0)?;
    let all = [before, vec![0; missing], after].concat();
    <[u16; GROUPS]>::try_from(all).ok().map(Ipv6Addr::from)
}

/// Reads a group of two bytes: the lower ones if the number is negative.
fn parse_group(text: &str) -> Option<u16> {
    if text.encode_utf16().count() > GROUP_LEN {
        return None;
    }
    let [.., high, low] = parse_int(text, 16)?.to_be_bytes();
    Some(u16::from_be_bytes([high, low]))
}

/// Reads an integer as Java's `Integer.parseInt` does.
pub(crate) fn parse_int(text: &str, radix: u32) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0_i32, |number, c| {
        let digit = i32::try_from(digit(c, radix)?).ok()?;
        number.checked_mul(i32::try_from(radix).ok()?)?.checked_add(sign * digit)
    })
}

/// Returns the value of a digit of any script.
fn digit(c: char, radix: u32) -> Option<u32> {
    const WIDE: u32 = 0xfee0; // From a letter to its full-width form.
    if c.is_ascii() {
        return c.to_digit(radix);
    }
    let code = u32::from(c);
    let narrow = if matches!(c, 'Ａ'..='Ｚ' | 'ａ'..='ｚ') { char::from_u32(code - WIDE)? } else { c };
    let of_script = || ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
    narrow.to_digit(radix).or_else(of_script)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6(text: &str) -> Option<String> {
        parse(text, true).map(to_java_string)
    }

    #[test]
    fn addresses_are_read_as_apache_zookeeper_3_9_5_reads_them() {
        // Each address was tried with that server.
        for (text, read) in [
            ("127.0.0.1", "127.0.0.1"),
            ("+127.00.0.01", "127.0.0.1"),
            ("-0.0.0.1", "0.0.0.1"),
            ("１２７.0.0.1", "127.0.0.1"),
            ("٣.0.0.1", "3.0.0.1"),
            ("::", "0:0:0:0:0:0:0:0"),
            ("::1", "0:0:0:0:0:0:0:1"),
            ("::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:1"),
            ("+1::", "1:0:0:0:0:0:0:0"),
            ("-1::", "ffff:0:0:0:0:0:0:0"),
            ("::-f", "0:0:0:0:0:0:0:fff1"),
            ("１::", "1:0:0:0:0:0:0:0"),
            ("Ｆ::ａ", "f:0:0:0:0:0:0:a"),
            ("FFFF::", "ffff:0:0:0:0:0:0:0"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
        ] {
            assert_eq!(v6(text).as_deref(), Some(read), "{text}");
        }
        for text in [
            "",
            ".",
            "127.0.0",
            "127.0.0.1.",
            ".127.0.0.1",
            "256.0.0.1",
            "::ffff:127.0.0.1",
            "::1.2.3.4",
            "1.2.3.4::",
            "1:2:3:4:5:6:1.2.3.4",
            "1::2:3:4:5:6:7:8",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7:8:9",
            "1::2::3",
            ":::",
            ":1",
            "1:",
            ":",
            "::1:",
            ":1::",
            "::1::",
            "12345::",
            "00001::",
            "fffff::",
            "::+0000f",
            "::+",
            "+::",
            "g::",
            "0x1::",
            "fe80::1%eth0",
            "[::1]",
            " ::1",
            "::1 ",
            "--1::",
            "+-1::",
            "𝟏::",
        ] {
            assert_eq!(v6(text), None, "{text:?}");
        }
        assert_eq!(parse("::1", false), None, "3.8 knows IPv4 only");
    }

    #[test]
    fn an_integer_has_at_most_one_sign_and_32_bits() {
        assert_eq!(parse_int("-2147483648", 10), Some(i32::MIN));
        for text in ["2147483648", "", "+", "-", "+-1", "1+", " 1"] {
            assert_eq!(parse_int(text, 10), None, "{text:?}");
        }
    }
}
