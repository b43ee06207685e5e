//! Checks of a node that checks no tokens.
//!
//! Such a node listens on loopback, and lets everybody on its machine do everything. A page from elsewhere, in a browser on that
//! machine, is not everybody: by a name of its own that leads to 127.0.0.1 (DNS rebinding) it would be of one origin with the
//! node. So `Host` has to be a name of this machine or of the node, and an `Origin` one of this machine, as is that of a page behind a
//! development server that passes requests on, or one that is listed.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use foremap::protocol::ErrorCode;

use super::handler_error::HandlerError;
use super::options::HttpOptions;

/// Lets a request in, or says why not. Whether a node is well everybody may know: probes have names of their own for it.
pub(super) fn admit(
    options: &HttpOptions,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> Result<(), HandlerError> {
    if options.token_key.is_some() || matches!(path, "/healthz" | "/readyz") {
        return Ok(());
    }
    // No browser leaves it out, and nothing else is led astray.
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    if !is_own(options, host) {
        let detail = format!(
            "`{host}` is no name of this node: without --token-key it answers as localhost, or as its --origin"
        );
        return Err(HandlerError::new(ErrorCode::Forbidden, detail));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let listed = options.cors_origins.iter().any(|pattern| matches(pattern, origin));
    // Who only asks for leave is told by the answer that there is none.
    if listed || method == Method::OPTIONS || authority(origin).is_some_and(|own| is_own(options, own)) {
        return Ok(());
    }
    Err(HandlerError::new(ErrorCode::Forbidden, format!("`{origin}` is not listed with --cors-origin")))
}

fn is_own(options: &HttpOptions, host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port.strip_prefix(':').unwrap_or(port)),
        None => host.rsplit_once(':').unwrap_or((host, "")),
    };
    let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    let is_machine = name.parse().map_or(name.eq_ignore_ascii_case("localhost"), is_local);
    (is_machine && port.bytes().all(|byte| byte.is_ascii_digit()))
        || options.origins.iter().any(|own| authority(own).is_some_and(|own| own.eq_ignore_ascii_case(host)))
}

/// Host and port of an origin.
fn authority(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

/// Exact, or any port where the pattern ends in `:*`.
pub(super) fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.strip_suffix(":*") {
        None => pattern == origin,
        Some(host) => match origin.strip_prefix(host) {
            Some("") => true,
            Some(rest) => {
                rest.strip_prefix(':').is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()))
            }
            None => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::auth::TokenKey;

    fn options() -> HttpOptions {
        let cors_origins = vec!["https://app.example".to_owned(), "http://localhost:*".to_owned()];
        HttpOptions { cors_origins, origins: vec!["https://node.example".to_owned()], ..HttpOptions::default() }
    }

    fn admits(options: &HttpOptions, method: &Method, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).expect("a value"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a value"));
        }
        admit(options, method, "/v1/map", &headers).is_ok()
    }

    #[test]
    fn a_name_of_elsewhere_is_refused_whatever_address_it_leads_to() {
        for (host, fine) in [
            ("127.0.0.1:7400", true),
            ("127.8.9.1", true),
            ("[::1]:7400", true),
            ("localhost:7400", true),
            ("LocalHost", true),
            ("node.example", true),
            ("node.example:444", false),
            ("elsewhere.example:7400", false),
            ("localhost.elsewhere.example", false),
            ("127.0.0.1.elsewhere.example:7400", false),
            ("localhost:7400.elsewhere.example", false),
            ("[::1].elsewhere.example", false),
            ("10.0.0.1:7400", false),
            ("", false),
        ] {
            assert_eq!(admits(&options(), &Method::GET, host, None), fine, "{host}");
        }
        assert!(admit(&options(), &Method::GET, "/v1/map", &HeaderMap::new()).is_ok());
        let mut probe = HeaderMap::new();
        probe.insert(header::HOST, HeaderValue::from_static("10.0.0.1:7400"));
        assert!(admit(&options(), &Method::GET, "/readyz", &probe).is_ok());
    }

    #[test]
    fn a_page_of_elsewhere_is_refused() {
        for (origin, fine) in [
            ("https://app.example", true),
            ("http://localhost:5173", true),
            ("http://127.0.0.1:7400", true),
            ("http://127.0.0.1:5173", true),
            ("https://node.example", true),
            ("http://localhost.elsewhere.example", false),
            ("http://elsewhere.example", false),
            ("null", false),
        ] {
            assert_eq!(admits(&options(), &Method::POST, "127.0.0.1:7400", Some(origin)), fine, "{origin}");
            assert!(admits(&options(), &Method::OPTIONS, "127.0.0.1:7400", Some(origin)), "{origin}: CORS answers");
        }
    }

    #[test]
    fn where_tokens_are_checked_names_are_not() {
        let token_key = Some(TokenKey::new(&[7; 32]).expect("a key"));
        let options = HttpOptions { token_key, ..options() };
        assert!(admits(&options, &Method::GET, "elsewhere.example", Some("https://elsewhere.example")));
    }
}
