//! A small HTTP client for servers on this machine.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Longest wait for an answer. The edge worker itself gives up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Characters that are escaped in a query value: `%` and all but letters, digits and those removed here.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@').remove(b':');

/// An agent with its own connection; answers of every status are answers.
pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

/// Address of one key on an origin.
pub fn keymap_url(origin: &str, key: &str) -> String {
    format!("{origin}/v1/keymap?key={}", utf8_percent_encode(key, QUERY))
}

/// Body of a 200 answer.
pub fn text(url: &str) -> Result<String> {
    text_as(url, None)
}

/// The same for whoever has a token.
pub fn text_as(url: &str, token: Option<&str>) -> Result<String> {
    let mut request = agent().get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut answer = request.call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    if answer.status() != 200 {
        bail!("GET {url}: {} {body}", answer.status());
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_key_survive_the_query() {
        assert_eq!(keymap_url("http://o", "@a/b%2Fc/d e&f"), "http://o/v1/keymap?key=@a/b%252Fc/d%20e%26f");
    }
}
