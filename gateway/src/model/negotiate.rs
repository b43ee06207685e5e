//! Which encoding a caller gets.

use axum::http::{HeaderMap, header};

/// A content encoding of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ContentEncoding {
    Brotli,
    Gzip,
    Identity,
}

impl ContentEncoding {
    /// The smallest one that `Accept-Encoding` names.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let accepts = |name: &str| {
            let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).any(|item| {
                let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
                let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
                coding.trim().eq_ignore_ascii_case(name) && weight.is_ok_and(|weight| weight > 0.0)
            })
        };
        match () {
            () if accepts("br") => Self::Brotli,
            () if accepts("gzip") => Self::Gzip,
            () => Self::Identity,
        }
    }

    /// As `Content-Encoding` says it; `None` for none.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
            Self::Identity => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_is_accepted() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", ContentEncoding::Brotli),
            ("BR;q=0.1", ContentEncoding::Brotli),
            ("br;q=0, gzip", ContentEncoding::Gzip),
            ("br;q=x, gzip; q=0.5", ContentEncoding::Gzip),
            ("identity", ContentEncoding::Identity),
            ("brotli", ContentEncoding::Identity),
            ("", ContentEncoding::Identity),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, accepted.parse().expect("a value"))]);
            assert_eq!(ContentEncoding::accepted(&headers), expected, "{accepted}");
        }
        assert_eq!(ContentEncoding::accepted(&HeaderMap::new()), ContentEncoding::Identity);
    }
}
