//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use foremap::key::KeyPrefix;
use ipnet::IpNet;

use crate::audit::AuditCommand;
use crate::auth::{Grant, TokenKey, Verb};
use crate::host::ShifterMode;
use crate::http::{HttpOptions, Limits};
use crate::model::ShareOptions;
use crate::parse::{at_least_one, prefix, seconds};
use crate::run::{BackupCommand, CheckCommand, Options, PlanCommand, RestoreCommand, RunError, StoreOptions, secret};
use crate::store::{RedbOptions, RedisOptions};

/// A DHT gateway node of foremap.
#[derive(Parser)]
#[command(name = "foremap-gateway", version)]
pub struct Cli {
    /// Least severe messages to show: error, warn, info, debug or trace.
    #[arg(long, global = true, default_value = "info")]
    pub log: tracing::Level,
    /// Command to run.
    #[command(subcommand)]
    pub command: CliCommand,
}

/// Command to run.
#[derive(Subcommand)]
pub enum CliCommand {
    /// Run several nodes in one process, on loopback, for development.
    Dev(Dev),
    /// Run one node. Any number of them, on any number of machines, may share a store of redis://.
    Serve(Serve),
    /// Sign a token and print it.
    Token(Token),
    /// Measure how stale the answers of a running deployment truly are, and whether they say so.
    Audit(AuditCommand),
    /// Tell how load is spread over nodes and what the Partition Shifter would do about it.
    Plan(PlanCommand),
    /// Copy a store file that a running gateway has open, as it is at one moment, into a backup.
    Backup(BackupCommand),
    /// Make a store file of a backup.
    Restore(RestoreCommand),
    /// Verify a backup or a store file, and say what is wrong; ends with 1 if something is.
    Check(CheckCommand),
}

/// Options of every node.
#[derive(Args)]
pub struct NodeArgs {
    /// Id of the node, its own among all processes that share a store. Where a process has several, of the first one.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    node: u32,
    /// The store: a file for this process alone, created if missing, or a Redis Cluster that many processes share,
    /// as redis://[user@]host:port[,host:port...].
    #[arg(long, value_name = "PATH|URL", value_parser = StoreName::parse)]
    store: StoreName,
    /// File with the password of the Redis Cluster, for the user that the URL names, if it names one. Alternatively the
    /// environment variable FOREMAP_STORE_PASSWORD has it.
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
    /// Open the store file without verifying every page, which reads the whole file.
    #[arg(long)]
    no_store_check: bool,
    /// Replicas that each master of the Redis Cluster is configured with: all of them confirm every write [default: 1].
    #[arg(long, value_name = "R")]
    replicas: Option<u32>,
    /// Most keymaps in the memory of a node.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    memory_entries: usize,
    /// Wait so long for a store of which a part does not answer, or is missing: a failover and the return of who failed
    /// take some ten seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    patience: u64,
    /// Party that acts on the plans by which the coordinator moves load between nodes.
    #[arg(long, value_name = "MODE", value_enum, default_value_t)]
    shifter: ShifterMode,
    /// Let clients learn from each other: gateways take what clients tell, and serve a model made of all of it.
    #[arg(long, value_name = "WHETHER", value_enum, default_value_t)]
    share: ShareSwitch,
    /// Clients that must have gone the same way before others are told of it.
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=32))]
    share_clients: u32,
    /// Keys below this prefix everybody may know, however few asked for them; repeatable.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    shared_prefix: Vec<KeyPrefix>,
    /// Age at which the model is made anew, if there is news: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = seconds)]
    share_every: u64,
    /// Check tokens signed with the secret in FILE. Without it only loopback is served. The file is followed: a second line is
    /// a second secret, whose tokens are accepted as well while one takes the place of the other.
    #[arg(long, value_name = "FILE")]
    token_key: Option<PathBuf>,
    /// Name that tokens may be for (`aud`), beside the origin of each node; repeatable. Those for others are refused.
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Origin that browsers may call from; repeatable. `http://localhost:*` stands for any port.
    #[arg(long, value_name = "ORIGIN")]
    cors_origin: Vec<String>,
    /// Network of proxies that say in `x-forwarded-for` whom they were called by, such as 10.0.0.0/8; repeatable. By it clients
    /// without a token that names them are told apart, where they share what they learn.
    #[arg(long, value_name = "NETWORK")]
    trusted_proxy: Vec<IpNet>,
    /// Most connections of a node, or fewer where the process may not open so many files. One peer holds a quarter at most.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections, value_parser = at_least_one)]
    max_connections: usize,
    /// Close a connection whose first head takes longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    head_timeout: u64,
    /// Close a connection that takes longer from an answer to the next request.
    #[arg(long, value_name = "SECONDS", default_value_t = 75, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    idle_timeout: u64,
    /// Refuse a body that takes longer.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    body_timeout: u64,
    /// Most MiB of heads and bodies that have arrived in part. One peer holds a quarter at most.
    #[arg(long, value_name = "MIB", default_value_t = 16, value_parser = at_least_one)]
    max_unfinished: usize,
    /// Sleep this many milliseconds before handling a request and again before answering, for demonstrations.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    origin_latency: u64,
}

/// Options of `dev`.
#[derive(Args)]
pub struct Dev {
    /// Number of nodes.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    nodes: u16,
    /// Port of the first node; the others follow. 0 takes free ports.
    #[arg(long, value_name = "PORT", default_value_t = 7_400)]
    port: u16,
    #[command(flatten)]
    common: NodeArgs,
}

/// Options of `serve`.
#[derive(Args)]
pub struct Serve {
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7400")]
    listen: SocketAddr,
    /// Origin that clients and other nodes reach this one at. Nodes forward to each other over http:// only.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Serve /healthz, /readyz, /metrics and what takes the verb `admin` on this address as well, by a thread and with
    /// connections of its own.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
    #[command(flatten)]
    common: NodeArgs,
}

/// Options of `token`.
#[derive(Args)]
pub struct Token {
    /// File with the secret, at least 32 bytes.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Actions that the token allows: get, put, delete, list, admin, metrics.
    #[arg(long, value_name = "VERBS", value_delimiter = ',', required = true, value_parser = verb)]
    verbs: Vec<Verb>,
    /// Below which prefix; repeatable. The empty prefix is every key.
    #[arg(long, value_name = "PREFIX", required = true, value_parser = prefix)]
    prefix: Vec<KeyPrefix>,
    /// Validity of the token: a number and s, m, h or d.
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = seconds)]
    ttl: u64,
    /// Owner of the token. Change feeds are shared by subject; without one, all tokens with the same rights are one.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Audience of the token: others refuse it. Without one it is for everybody who knows the secret.
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

/// Switch that lets clients learn from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum ShareSwitch {
    /// They do.
    #[default]
    On,
    /// They do not: what they tell is refused, and there is no model.
    Off,
}

fn verb(text: &str) -> Result<Verb, String> {
    // Gateways alone sign `peer`, for each other.
    let verb = Verb::parse(text).filter(|&verb| verb != Verb::Peer);
    verb.ok_or_else(|| "the verbs are get, put, delete, list, admin and metrics".to_owned())
}

/// Store that `--store` names.
#[derive(Clone)]
enum StoreName {
    File(PathBuf),
    Redis(Box<RedisOptions>),
}

impl StoreName {
    fn parse(text: &str) -> Result<Self, String> {
        // A file may have any name; only these look like nothing else.
        if !text.starts_with("redis://") && !text.starts_with("rediss://") {
            return Ok(Self::File(text.into()));
        }
        RedisOptions::from_url(text).map(|options| Self::Redis(Box::new(options)))
    }

    fn options(
        self,
        check: bool,
        replicas: Option<u32>,
        password: Option<&Path>,
        token_key: Option<&TokenKey>,
    ) -> Result<StoreOptions, RunError> {
        match (self, check, replicas) {
            (Self::File(_), _, Some(_)) => Err(RunError::new("--replicas is for a store of redis://")),
            (Self::File(_), _, None) if password.is_some() => {
                Err(RunError::new("--store-password-file is for a store of redis://"))
            }
            (Self::Redis(_), false, _) => Err(RunError::new("--no-store-check is for a store file")),
            (Self::File(path), check, None) => {
                Ok(StoreOptions::File { path, options: RedbOptions { check, ..RedbOptions::default() } })
            }
            (Self::Redis(mut options), true, replicas) => {
                options.replicas = replicas.unwrap_or(options.replicas);
                options.password = secret("the store's password", password, "FOREMAP_STORE_PASSWORD")?;
                options.token_key = token_key.cloned();
                Ok(StoreOptions::Redis(options))
            }
        }
    }
}

impl NodeArgs {
    fn options(self, listen: Vec<SocketAddr>, origin: Option<String>) -> Result<Options, RunError> {
        let key = |path: &PathBuf| {
            TokenKey::read(path).map_err(|error| RunError::new(format!("the token key {}: {error}", path.display())))
        };
        let token_key = self.token_key.as_ref().map(key).transpose()?;
        Ok(Options {
            listen,
            admin_listen: None,
            origin,
            node: self.node,
            store: self.store.options(
                !self.no_store_check,
                self.replicas,
                self.store_password_file.as_deref(),
                token_key.as_ref(),
            )?,
            memory_entries: self.memory_entries,
            patience: Duration::from_secs(self.patience),
            shifter: self.shifter,
            share: ShareOptions {
                is_on: self.share == ShareSwitch::On,
                clients: self.share_clients,
                prefixes: self.shared_prefix,
                every: Duration::from_secs(self.share_every),
            },
            http: HttpOptions {
                cors_origins: self.cors_origin,
                trusted_proxies: self.trusted_proxy,
                token_key,
                origins: Vec::new(),
                audiences: self.audience,
                limits: Limits {
                    connections: self.max_connections,
                    head: Duration::from_secs(self.head_timeout),
                    idle: Duration::from_secs(self.idle_timeout),
                    body: Duration::from_secs(self.body_timeout),
                    unfinished: self.max_unfinished << 20,
                },
                origin_latency: Duration::from_millis(self.origin_latency),
            },
        })
    }
}

impl Dev {
    /// Returns the options of the nodes to serve.
    ///
    /// # Errors
    /// [`RunError`] for ports beyond the last one, or an unusable key file.
    pub fn options(self) -> Result<Options, RunError> {
        let port = |at: u16| match self.port {
            0 => Some(0),
            first => first.checked_add(at),
        };
        let ports: Option<Vec<u16>> = (0..self.nodes).map(port).collect();
        let ports = ports.ok_or_else(|| RunError::new("the ports of the nodes would go beyond 65535"))?;
        let listen = ports.into_iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect();
        self.common.options(listen, None)
    }
}

impl Serve {
    /// Returns the options of the node to serve.
    ///
    /// # Errors
    /// [`RunError`] for an unusable key file.
    pub fn options(self) -> Result<Options, RunError> {
        let options = self.common.options(vec![self.listen], self.origin)?;
        Ok(Options { admin_listen: self.admin_listen, ..options })
    }
}

impl Token {
    /// The token.
    ///
    /// # Errors
    /// [`RunError`] for an unusable key file.
    pub fn sign(self) -> Result<String, RunError> {
        let key = TokenKey::read(&self.key);
        let key = key.map_err(|error| RunError::new(format!("the token key {}: {error}", self.key.display())))?;
        let token = key.sign_grant(Grant {
            subject: self.subject.as_deref(),
            audience: self.audience.as_deref(),
            verbs: &self.verbs,
            prefixes: &self.prefix,
            ttl_s: self.ttl,
        });
        token.ok_or_else(|| RunError::new("the token cannot be signed"))
    }
}
