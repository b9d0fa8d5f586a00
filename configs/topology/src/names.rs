//! Names and addresses: what may be one.
//!
//! Each function returns the limit and the help of a [`crate::Violation`] when the text isn't one.

use crate::limits::{MAX_HOST, MAX_HOST_LABEL, MAX_NAME};
use std::net::IpAddr;

/// The limit that was broken, and what to do.
pub(crate) type Refusal = (String, String);

/// A cluster's or node's name: `[a-z0-9-]{1,32}`, not beginning with a hyphen (a command line would
/// take it for an option).
pub(crate) fn name(text: &str) -> Result<(), Refusal> {
    let fits = (1..=MAX_NAME).contains(&text.len());
    let plain = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if fits && plain && !text.starts_with('-') {
        return Ok(());
    }
    let limit = format!("a name is 1 to {MAX_NAME} of a-z, 0-9 and -, and doesn't begin with -");
    let help = if plain || !fits {
        format!("it has {} bytes: choose another", text.len())
    } else {
        "use lower-case letters, digits and hyphens".into()
    };
    let help =
        if text.starts_with('-') { "begin it with a letter or a digit".into() } else { help };
    Err((limit, help))
}

/// An address: IPv4, IPv6 (without brackets or scope), or a host name (RFC 1123 2.1).
pub(crate) fn address(text: &str) -> Result<(), Refusal> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    let limit = "an address is an IPv4 or IPv6 address or a host name".to_owned();
    let port = text.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
    let help = if port && text.matches(':').count() == 1 || text.contains(']') {
        "leave the brackets and the port away: ports 50051-50100 are tried in turn"
    } else if text.contains('/') {
        "leave the prefix length or path away"
    } else if text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        "an IPv4 address is four numbers of 0 to 255, like 192.168.1.20"
    } else if text.contains(':') {
        "an IPv6 address looks like fd00::20"
    } else if !text.is_empty() && host(text) {
        return Ok(());
    } else {
        "a host name is letters, digits and hyphens, with dots between labels of at most 63"
    };
    Err((limit, help.into()))
}

/// RFC 1123 2.1: labels of letters, digits and inner hyphens; the last isn't a number.
fn host(text: &str) -> bool {
    let label = |l: &str| {
        (1..=MAX_HOST_LABEL).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= MAX_HOST
        && text.split('.').all(label)
        && !last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_at_the_limit_and_not_past_it() {
        for good in ["a", "0", "rack-3-left", &"n".repeat(32)] {
            assert_eq!(name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a.b", "é", "a b", &"n".repeat(33)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_ip_or_host_names() {
        let label = "l".repeat(63);
        let long = format!("{label}.{label}.{label}.{}", "l".repeat(61));
        assert_eq!(long.len(), 253);
        for good in
            ["127.0.0.1", "::1", "fd00::20", "localhost", "Node-1.example.org", "3com", &long]
        {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "127.0.0.256",
            "1.2.3",
            "12",
            "[::1]",
            "[::1]:50051",
            "host:50051",
            "10.0.0.0/8",
            "-a.b",
            "a-.b",
            "a..b",
            "a_b",
            "a b",
            "fe80::1%eth0",
            &"l".repeat(64),
            &format!("{long}l"),
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
