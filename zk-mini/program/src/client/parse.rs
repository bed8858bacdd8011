//! Values of options.

use std::num::NonZeroUsize;
use std::time::Duration;

use zk_client::{Acl, Expected, Perms, Version};

/// Letters of the permissions, in the order that ZooKeeper prints.
const LETTERS: [(char, Perms); 5] = [
    ('c', Perms::CREATE),
    ('d', Perms::DELETE),
    ('r', Perms::READ),
    ('w', Perms::WRITE),
    ('a', Perms::ADMIN),
];

/// Parses a span of time in seconds, such as `10` or `0.5`.
pub(crate) fn seconds(text: &str) -> Result<Duration, &'static str> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    span.filter(|span| *span >= Duration::from_millis(1)).ok_or("a number of seconds, such as 10 or 0.5")
}

/// Parses a number of events to wait for.
pub(crate) fn count(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "a number, 1 or more")
}

/// Parses a version to expect.
pub(crate) fn version(text: &str) -> Result<Version, &'static str> {
    text.parse().ok().filter(|number| *number >= 0).map(Version).ok_or("a version, as `stat` shows it")
}

/// Returns the version that a write expects.
pub(crate) fn expected(version: Option<Version>) -> Expected {
    version.map_or(Expected::Any, Expected::Exactly)
}

/// List of ACL entries, as one value of an option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct AclList(pub(crate) Vec<Acl>);

/// Parses `SCHEME:ID:PERMISSIONS`, several with commas between them. An id may contain colons.
pub(crate) fn acl(text: &str) -> Result<AclList, String> {
    let entry = |entry: &str| {
        let parts = entry.split_once(':').and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once(':')?)));
        let (scheme, (id, letters)) = parts
            .filter(|(scheme, _)| !scheme.is_empty())
            .ok_or_else(|| format!("{entry:?} is not SCHEME:ID:PERMISSIONS, as in world:anyone:r"))?;
        Ok(Acl { perms: perms(letters)?, scheme: scheme.into(), id: id.into() })
    };
    text.split(',').map(entry).collect::<Result<_, String>>().map(AclList)
}

fn perms(letters: &str) -> Result<Perms, String> {
    let mut perms = Perms(0);
    for letter in letters.chars() {
        let (_, bit) = LETTERS.iter().find(|(known, _)| *known == letter).ok_or_else(|| {
            format!(
                "{letter:?} is no permission; they are r (read), w (write), c (create), d (delete), a (admin)"
            )
        })?;
        perms = perms | *bit;
    }
    if perms == Perms(0) {
        return Err("there is no permission; they are r, w, c, d, a, or all of them: cdrwa".into());
    }
    Ok(perms)
}

/// Returns an ACL entry in the form that [`acl`] parses.
pub(crate) fn acl_text(acl: &Acl) -> String {
    let letters = LETTERS.iter().filter(|(_, bit)| acl.perms.intersects(*bit)).map(|(letter, _)| *letter);
    format!("{}:{}:{}", acl.scheme, acl.id, letters.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_read_as_it_is_printed() {
        for text in
            ["world:anyone:r", "digest:user:aGFzaA==:cdrwa", "ip:10.0.0.0/8:rw", "auth::cdrwa", "ip:::1:r"]
        {
            let AclList(entries) = acl(text).unwrap();
            assert_eq!(entries.iter().map(acl_text).collect::<Vec<_>>(), [text]);
        }
        assert_eq!(acl("world:anyone:r,ip:::1:wa").unwrap().0.len(), 2);
        assert_eq!(acl("world:anyone:awrdc").map(|list| acl_text(&list.0[0])).unwrap(), "world:anyone:cdrwa");
    }

    #[test]
    fn a_bad_acl_is_told_what_is_allowed() {
        for (text, said) in [
            ("", "SCHEME:ID:PERMISSIONS"),
            ("world:anyone", "SCHEME:ID:PERMISSIONS"),
            (":a:r", "SCHEME:ID:PERMISSIONS"),
            ("world:anyone:", "no permission"),
            ("world:anyone:rx", "'x' is no permission"),
            ("world:anyone:r,", "SCHEME:ID:PERMISSIONS"),
        ] {
            let error = acl(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        for bad in ["", "0", "-1", "x", "inf", "nan", "1e30", "10s"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
