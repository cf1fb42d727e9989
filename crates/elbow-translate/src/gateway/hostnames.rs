//! Which hostnames a listener and a route have in common.

/// The hostname that both accept: the narrower of the two. A wildcard stands for any number of labels.
pub(crate) fn compatible<'a>(listener: &'a str, route: &'a str) -> Option<&'a str> {
    if listener == route || covers(listener, route) {
        Some(route)
    } else if covers(route, listener) {
        Some(listener)
    } else {
        None
    }
}

/// Whether every host of one hostname is one of another; the empty hostname has all hosts.
pub(crate) fn is_within(hostname: &str, other: &str) -> bool {
    other.is_empty() || hostname == other || covers(other, hostname)
}

/// Whether a wildcard covers a name, which may be a narrower wildcard.
fn covers(wildcard: &str, name: &str) -> bool {
    wildcard.strip_prefix('*').is_some_and(|suffix| {
        name.len() > suffix.len() && name.ends_with(suffix) && name != wildcard
    })
}

/// Whether a text can be the hostname of a listener or route: no address, no label that DNS refuses.
pub(crate) fn is_valid(hostname: &str) -> bool {
    /// RFC 1035.
    const LABEL_LENGTH_MAX: usize = 63;
    hostname.parse::<std::net::IpAddr>().is_err()
        && hostname
            .split('.')
            .all(|label| !label.is_empty() && label.len() <= LABEL_LENGTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_hostname_is_taken() {
        let rows = [
            ("a.example.com", "a.example.com", Some("a.example.com")),
            ("*.example.com", "a.example.com", Some("a.example.com")),
            ("*.example.com", "b.a.example.com", Some("b.a.example.com")),
            ("*.example.com", "*.a.example.com", Some("*.a.example.com")),
            ("*.example.com", "*.example.com", Some("*.example.com")),
            ("a.example.com", "*.example.com", Some("a.example.com")),
            ("*.example.com", "example.com", None),
            ("*.example.com", "b.other.test", None),
            ("a.example.com", "b.example.com", None),
            ("*.example.com", "notexample.com", None),
        ];
        for (listener, route, expected) in rows {
            assert_eq!(compatible(listener, route), expected, "{listener} {route}");
        }
    }

    #[test]
    fn addresses_and_long_labels_are_no_hostnames() {
        assert!(is_valid("*.example.com"));
        assert!(!is_valid("192.0.2.1"));
        assert!(!is_valid(&format!("{}.example.com", "a".repeat(64))));
    }
}
