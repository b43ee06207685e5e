//! [`RedisOptions`], and the URL that names a cluster.

use std::fmt;
use std::net::IpAddr;

use foremap::partition::StorageLayout;
use percent_encoding::percent_decode_str;

use crate::auth::TokenKey;
use crate::store::Clock;
use crate::store::clock::system_clock;

/// Which cluster, and how it is used.
#[derive(Clone)]
pub struct RedisOptions {
    /// `host:port` of servers of the cluster, at least one. The others are found through those that answer.
    pub nodes: Vec<String>,
    /// User of the access control list; Redis takes `default` if there is only a password.
    pub user: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Replicas that each master is configured with. All of them must acknowledge before anything is told.
    pub replicas: u32,
    /// Begins every key, so that a cluster can hold several namespaces: up to 32 of `A-Z a-z 0-9 _ - . :`.
    pub namespace: String,
    /// Layout of a new namespace. An existing one keeps its own.
    pub layout: StorageLayout,
    /// Versions kept of a key, the current one included.
    pub versions: usize,
    /// Change log entries kept of a shard.
    pub log_entries: u64,
    /// Seals what steers gateways, so that what others wrote in its place does not count.
    pub token_key: Option<TokenKey>,
    /// This machine's clock, which is compared with those of the servers.
    pub clock: Clock,
}

const MAX_NAMESPACE_BYTES: usize = 32;

impl RedisOptions {
    /// A cluster by its URL, `redis://[user@]host:port[,host:port...]`, with one replica for each master, 100 versions of a
    /// key and 100,000 log entries of a shard. The user is percent-encoded. There is no place for a password in a URL: whoever
    /// lists the processes of a machine sees it.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the URL. It never repeats the password.
    pub fn from_url(url: &str) -> Result<Self, String> {
        if url.starts_with("rediss://") {
            return Err("rediss:// needs TLS, which is not built in: use a private network or a tunnel".into());
        }
        let rest = url.strip_prefix("redis://").ok_or("it must begin with redis://")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, hosts) = rest.rsplit_once('@').map_or((None, rest), |(left, hosts)| (Some(left), hosts));
        if credentials.is_some_and(|text| text.contains(':')) {
            let why = "everybody on the machine can read a password on a command line: \
                       use --store-password-file or the environment variable FOREMAP_STORE_PASSWORD";
            return Err(why.into());
        }
        let user = credentials.map(decoded).transpose()?.filter(|user| !user.is_empty());
        let nodes: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        let options = Self {
            nodes,
            user,
            password: None,
            replicas: 1,
            namespace: "foremap".into(),
            layout: StorageLayout::default(),
            versions: 100,
            log_entries: 100_000,
            token_key: None,
            clock: system_clock(),
        };
        options.check()?;
        Ok(options)
    }

    /// Checks these options, and says what is wrong with them.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.nodes.is_empty() {
            return Err("it names no server".into());
        }
        if let Some(node) = self.nodes.iter().find(|node| Address::parse(node).is_none()) {
            return Err(format!("`{node}` is not host:port"));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_-.:".contains(&b);
        if self.namespace.len() > MAX_NAMESPACE_BYTES || !self.namespace.bytes().all(allowed) {
            return Err(format!("a namespace is up to {MAX_NAMESPACE_BYTES} of A-Z a-z 0-9 _ - . :"));
        }
        if !self.layout.is_valid() {
            return Err("the layout contradicts itself".into());
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "the user is not UTF-8")?;
    Ok(text.into_owned())
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions")
            .field("nodes", &self.nodes)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .field("replicas", &self.replicas)
            .field("namespace", &self.namespace)
            .field("layout", &self.layout)
            .field("versions", &self.versions)
            .field("log_entries", &self.log_entries)
            .finish()
    }
}

/// Address of a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    /// Reads `host:port` or `[v6 address]:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = bare.unwrap_or(host);
        let fine = !host.is_empty()
            && (bare.is_some() || !host.contains(':'))
            && !host.contains(|c: char| c.is_whitespace() || "/@[]?#".contains(c));
        let port = port.parse().ok().filter(|&port| port > 0)?;
        fine.then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One spelling for each IP address.
pub(super) fn plain(host: &str) -> String {
    host.parse::<IpAddr>().map_or_else(|_| host.to_owned(), |ip| ip.to_canonical().to_string())
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
