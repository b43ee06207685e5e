//! A small HTTP client for servers on this machine.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Longest wait for an answer. The edge worker itself gives up after 10 s.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What stays as it is in a query value; `%` and everything else is escaped.
const QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@').remove(b':');

/// An agent with its own connection; answers of every status are answers.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT)).build().into()
}

/// Address of one key on an origin.
pub(crate) fn keymap_url(origin: &str, key: &str) -> String {
    format!("{origin}/v1/keymap?key={}", utf8_percent_encode(key, QUERY))
}

/// Whether a server answers 200 there.
pub(crate) fn answers(url: &str) -> bool {
    agent().get(url).call().is_ok_and(|answer| answer.status() == 200)
}

/// Body of a 200 answer.
pub(crate) fn text(url: &str) -> Result<String> {
    let mut answer = agent().get(url).call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().read_to_string().with_context(|| format!("GET {url}"))?;
    if answer.status() != 200 {
        bail!("GET {url}: {} {body}", answer.status());
    }
    Ok(body)
}

/// `count` consecutive free ports of the loopback interface, found by binding them.
pub(crate) fn free_ports(count: u16) -> Result<u16> {
    // Below the range that systems hand out by themselves, so that no outgoing connection takes one meanwhile.
    let free = |port: u16| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let found = (17_400..30_000).step_by(usize::from(count)).find(|base| (*base..*base + count).all(free));
    found.with_context(|| format!("no {count} consecutive free ports between 17400 and 30000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_a_key_survive_the_query() {
        assert_eq!(keymap_url("http://o", "@a/b%2Fc/d e&f"), "http://o/v1/keymap?key=@a/b%252Fc/d%20e%26f");
    }

    #[test]
    fn free_ports_can_be_bound() -> Result<()> {
        let base = free_ports(3)?;
        for port in base..base + 3 {
            std::net::TcpListener::bind(("127.0.0.1", port))?;
        }
        Ok(())
    }
}
