//! `timestamp_ms,client,key`.

use foremap::key::CompositeKey;

use super::line::Line;

/// The header line.
pub(super) const HEADER: &str = "timestamp_ms,client,key";

/// Reads one line; the key is everything after the second comma.
pub(super) fn line(text: &str) -> Result<Line, String> {
    let mut fields = text.splitn(3, ',');
    let (Some(at), Some(client), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
        return Err("not three fields".to_owned());
    };
    let at = at.parse().map_err(|_| format!("`{at}` is not a time in milliseconds"))?;
    if client.is_empty() {
        return Err("no client".to_owned());
    }
    let key = CompositeKey::parse(key).map_err(|error| error.to_string())?;
    Ok(Line::Request(at, client.to_owned(), key.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_time_a_client_and_a_key() {
        assert_eq!(line("7,c0,a/b"), Ok(Line::Request(7, "c0".into(), "a/b".into())));
        assert_eq!(line("-7,c0,a%20b"), Ok(Line::Request(-7, "c0".into(), "a b".into())));
    }

    #[test]
    fn anything_else_has_a_reason() {
        for bad in ["", "7,c0", "x,c0,a", "7,,a", "7,c0,", "7,c0,a//b", "7,c0,..", "7,c0,a%2"] {
            assert!(line(bad).is_err(), "{bad}");
        }
    }
}
