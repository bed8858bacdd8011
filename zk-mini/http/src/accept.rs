//! Choice of a content type by the header `Accept` (RFC 9110, section 12.5.1).

/// Returns the index of the type that the client prefers; the first of equals, and of all if it names none. `None` if it accepts none
/// of them. Ranges that are no ranges are ignored.
pub(crate) fn choose<'a>(accept: impl Iterator<Item = &'a [u8]>, offered: &[&str]) -> Option<usize> {
    let values: Vec<String> =
        accept.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect();
    let ranges: Vec<Range<'_>> =
        values.iter().flat_map(|value| value.split(',')).filter_map(Range::parse).collect();
    if values.iter().all(|value| value.trim().is_empty()) {
        return (!offered.is_empty()).then_some(0);
    }
    let weights = offered.iter().map(|name| {
        let best = ranges.iter().filter_map(|range| Some((range.precision(name)?, range.weight)));
        best.max_by_key(|(precision, _)| *precision).map_or(0, |(_, weight)| weight)
    });
    let weighted = weights.enumerate().filter(|(_, weight)| *weight > 0);
    // `max_by_key` returns the last of equals.
    weighted.rev().max_by_key(|(_, weight)| *weight).map(|(at, _)| at)
}

/// Types that a client accepts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    /// Thousandths; 0 means not accepted.
    weight: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q="));
        let weight = weight.map_or(Some(1_000), thousandths)?;
        Some(Self { kind, subtype, weight })
    }

    /// Returns how exactly the range names a type; `None` if it does not.
    fn precision(&self, name: &str) -> Option<u8> {
        let (kind, subtype) = name.split_once('/')?;
        match (self.kind, self.subtype) {
            ("*", "*") => Some(0),
            (own, "*") if own == kind => Some(1),
            (own, of) if own == kind && of == subtype => Some(2),
            _ => None,
        }
    }
}

/// Reads a weight: 0 to 1 with at most three digits behind the point.
fn thousandths(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = fraction.len() <= 3 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let fraction = format!("{fraction:0<3}").parse::<u16>().ok().filter(|_| is_number)?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [&str; 3] = ["application/octet-stream", "application/yaml", "application/json"];

    fn chosen(accept: &[&str]) -> Option<usize> {
        choose(accept.iter().map(|value| value.as_bytes()), &OFFERED)
    }

    #[test]
    fn the_first_type_is_for_clients_that_name_none() {
        for accept in
            [&[][..], &[""], &["*/*"], &["application/*"], &["*/*;q=0.1"], &["text/html, */*;q=0.8"]]
        {
            assert_eq!(chosen(accept), Some(0), "{accept:?}");
        }
    }

    #[test]
    fn the_highest_weight_wins_and_the_exact_range_counts() {
        for (accept, at) in [
            (&["application/yaml"][..], 1),
            (&["Application/YAML; Q=1"], 1),
            (&["application/yaml;q=0.5, application/json;q=0.501"], 2),
            (&["application/yaml;q=0.5", "application/json"], 2),
            (&["application/json;q=0.2,application/*;q=0.1"], 2),
            (&["*/*, application/octet-stream;q=0"], 1),
            (&["application/*;q=0, application/yaml;q=0.001"], 1),
            (&["application/yaml;charset=utf-8;q=1.000"], 1),
            (&["nonsense, application/yaml"], 1),
        ] {
            assert_eq!(chosen(accept), Some(at), "{accept:?}");
        }
    }

    #[test]
    fn a_client_that_accepts_nothing_of_it_gets_nothing() {
        for accept in
            ["text/html", "*/*;q=0", "application/yaml;q=0", "text/*", "application/yaml;q=2", "nonsense"]
        {
            assert_eq!(chosen(&[accept]), None, "{accept}");
        }
    }
}
