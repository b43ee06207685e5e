//! [`HttpOptions`].

use std::time::Duration;

use ipnet::IpNet;

use super::limits::Limits;
use crate::auth::TokenKey;

/// Options of a node's HTTP server.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// Origins that browsers may call from; `http://localhost:*` stands for any port.
    pub cors_origins: Vec<String>,
    /// Checks tokens; without it everything is allowed.
    pub token_key: Option<TokenKey>,
    /// Origins that the node itself goes by.
    pub origins: Vec<String>,
    /// Further names that a token may be for.
    pub audiences: Vec<String>,
    /// Proxies whose word counts about who calls.
    pub trusted_proxies: Vec<IpNet>,
    /// Limits of what is taken from whoever connects.
    pub limits: Limits,
    /// Slept before handling a request and again before answering it, for demonstrations.
    pub origin_latency: Duration,
}
