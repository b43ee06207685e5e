//! Common and Combined Log Format, as written by Apache httpd and nginx.
//!
//! `host ident user [10/Oct/2000:13:55:36 -0700] "GET /a/b HTTP/1.1" 200 2326`,
//! with more quoted fields behind it in the combined form. The host is the
//! client and the path the key; a query and a fragment are left out, as they
//! are in most caches' view of a static object.

use foremap::key::CompositeKey;
use jiff::fmt::strtime;

use super::line::Line;

/// Component that stands for a path's trailing slash.
const INDEX: &str = "_index";

/// Reads one line. Only GET and HEAD answered 200 or 304 are requests.
pub(super) fn line(text: &str) -> Result<Line, String> {
    let (host, rest) = text.split_once(' ').ok_or("no host")?;
    let (_, rest) = rest.split_once('[').ok_or("no time in brackets")?;
    let (time, rest) = rest.split_once("] \"").ok_or("no request in quotes")?;
    let (request, rest) = split_quoted(rest).ok_or("the request's quote is not closed")?;
    let status = rest.split_ascii_whitespace().next().ok_or("no status")?;
    let status: u16 = status.parse().map_err(|_| format!("`{status}` is not a status"))?;
    let at = time_ms(time).ok_or_else(|| format!("`{time}` is not a time"))?;
    if host.is_empty() {
        return Err("no host".to_owned());
    }

    let mut words = request.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next());
    if !matches!(method, "GET" | "HEAD") || !matches!(status, 200 | 304) {
        return Ok(Line::PassedOver);
    }
    let key = key_of_target(target.ok_or("no path")?)?;
    Ok(Line::Request(at, host.to_owned(), key))
}

/// Splits at the closing quote; a backslash hides the character behind it.
fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let mut hidden = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !hidden => return Some((&text[..at], &text[at + 1..])),
            b'\\' => hidden = !hidden,
            _ => hidden = false,
        }
    }
    None
}

fn key_of_target(target: &str) -> Result<String, String> {
    // Proxies log the absolute form: drop scheme and host.
    let path = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let mut components: Vec<&str> = path.split('/').filter(|component| !component.is_empty()).collect();
    if path.ends_with('/') {
        components.push(INDEX);
    }
    let key = CompositeKey::parse(&components.join("/")).map_err(|error| error.to_string())?;
    Ok(key.as_str().to_owned())
}

/// `10/Oct/2000:13:55:36 -0700` in milliseconds since 1970.
fn time_ms(text: &str) -> Option<i64> {
    Some(strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?.to_timestamp().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str = r#"192.0.2.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a/b.gif HTTP/1.0" 200 2326"#;

    fn key(target: &str) -> Result<Line, String> {
        line(&COMMON.replace("/a/b.gif", target))
    }

    fn request(key: &str) -> Result<Line, String> {
        Ok(Line::Request(971_211_336_000, "192.0.2.1".into(), key.into()))
    }

    #[test]
    fn common_and_combined_lines_are_requests() {
        assert_eq!(line(COMMON), request("a/b.gif"));
        assert_eq!(line(&format!(r#"{COMMON} "http://example.com/" "agent \"quoted\"""#)), request("a/b.gif"));
        assert_eq!(line(&COMMON.replace(" 200 ", " 304 ").replace("GET", "HEAD")), request("a/b.gif"));
    }

    #[test]
    fn paths_become_keys() {
        assert_eq!(key("/a/"), request("a/_index"));
        assert_eq!(key("/"), request("_index"));
        assert_eq!(key("/a//b"), request("a/b"));
        assert_eq!(key("/a/b?q=/c/"), request("a/b"));
        assert_eq!(key("http://example.com/a%2Fb/c"), request("a%2Fb/c"));
        assert_eq!(key("http://example.com"), request("_index"));
        assert!(key("/a/../b").is_err() && key("/a%ZZ").is_err());
    }

    #[test]
    fn other_methods_and_statuses_are_passed_over() {
        for (from, to) in [("GET", "POST"), (" 200 ", " 404 "), (" 200 ", " 301 ")] {
            assert_eq!(line(&COMMON.replace(from, to)), Ok(Line::PassedOver));
        }
    }

    #[test]
    fn damaged_lines_have_a_reason() {
        for (from, to) in [
            (" - frank [", " "),
            ("Oct", "Okt"),
            ("13:55", "24:55"),
            ("-0700", "0700"),
            ("1.0\"", "1.0"),
            (" 200 ", " x "),
        ] {
            assert!(line(&COMMON.replace(from, to)).is_err(), "{to}");
        }
        assert!(line("").is_err());
    }

    #[test]
    fn times_count_from_1970() {
        assert_eq!(time_ms("01/Jan/1970:00:00:00 +0000"), Some(0));
        assert_eq!(time_ms("01/Jan/1970:01:00:00 +0100"), Some(0));
        // `date -u -d '2000-02-29 23:59:59' +%s`
        assert_eq!(time_ms("29/Feb/2000:23:59:59 +0000"), Some(951_868_799_000));
        assert_eq!(time_ms("01/Mar/2000:00:00:00 +0000"), Some(951_868_800_000));
    }
}
