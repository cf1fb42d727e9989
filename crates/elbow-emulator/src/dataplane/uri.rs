//! Normalization of a request path before path conditions look at it.
//!
//! In: the path as sent. Out: the path that rules are compared with. Always: normalizing twice
//! changes nothing, and what is sent to the target is not touched by it.
//!
//! AWS says that "URI normalization" comes before path rules and does not say what it is; this is
//! RFC 3986, section 6.2.2: escapes of unreserved characters are decoded, other escapes get
//! upper-case digits, `.` and `..` are resolved. Repeated slashes are kept.

/// The path that path conditions see.
pub(super) fn normalize_path(path: &str) -> String {
    remove_dot_segments(&decode_unreserved(path))
}

fn decode_unreserved(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(hex_pair);
        match escape {
            Some(byte) if is_unreserved(byte) => {
                out.push(byte);
                at += 3;
            }
            Some(_) => {
                out.extend_from_slice(&bytes[at..at + 3].to_ascii_uppercase());
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    // Only ASCII was replaced by ASCII, so the text stays valid UTF-8.
    String::from_utf8(out).unwrap_or_else(|_| path.to_owned())
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(pair[0])? * 16 + digit(pair[1])?)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn remove_dot_segments(path: &str) -> String {
    // `*` of `OPTIONS *` and the like have no segments.
    let Some(rest) = path.strip_prefix('/') else {
        return path.to_owned();
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                // A trailing dot segment names a folder: the slash before it stays.
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths() {
        let rows = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a//b/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/a/%2e%2e/b", "/b"),
            ("/100%", "/100%"),
            ("/%zz", "/%zz"),
            ("*", "*"),
        ];
        for (path, expected) in rows {
            assert_eq!(normalize_path(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn escaped_dots_do_not_hide_a_path(path in "(/(\\.|%2e|%2E|a|%61|%2f){0,3}){1,5}") {
            let once = normalize_path(&path);
            prop_assert_eq!(normalize_path(&once), once);
        }
    }
}
