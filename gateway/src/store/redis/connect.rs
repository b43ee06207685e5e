//! Connections. None of them reconnects by itself: a pipeline must never span two connections, as the second would have
//! nothing to wait for. Nor may it span two histories of one server, see [`fence::history`].

use std::time::Duration;

use ::redis::aio::{ConnectionLike as _, MultiplexedConnection};
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo as _, Pipeline, RedisConnectionInfo,
    RedisResult, Value,
};

use super::fence;
use super::options::{Address, RedisOptions};
use super::reply::bytes;

/// Longest time to connect: a server in the same region answers within a few milliseconds, so a longer wait than a lost
/// packet is repeated after (200 ms) means that it is gone.
const CONNECT: Duration = Duration::from_millis(300);
/// Longest time for a pipeline: what its commands take, and the wait. It must be longer than the wait, so that a silent
/// replica is told from a silent master.
const RESPONSE: Duration = Duration::from_millis(600);

/// A connection to a master, and the history it was opened in.
pub(super) struct Link {
    pub(super) connection: MultiplexedConnection,
    pub(super) history: String,
    /// The server's name in its cluster.
    pub(super) node: String,
}

/// Opens connections of one user.
#[derive(Clone)]
pub(super) struct Connector {
    settings: RedisConnectionInfo,
}

impl Connector {
    pub(super) fn new(options: &RedisOptions) -> Self {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &options.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &options.password {
            settings = settings.set_password(password);
        }
        Self { settings }
    }

    pub(super) async fn connect(&self, address: &Address) -> RedisResult<MultiplexedConnection> {
        let info = ConnectionAddr::Tcp(address.host.clone(), address.port).into_connection_info()?;
        let client = Client::open(info.set_redis_settings(self.settings.clone()))?;
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(RESPONSE));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// A connection to a master; `None` where it is none.
    pub(super) async fn link(&self, address: &Address) -> RedisResult<Option<Link>> {
        let mut connection = self.connect(address).await?;
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("CLUSTER").arg("MYID");
        pipeline.add_command(fence::ask_replication());
        let mut texts = Vec::with_capacity(2);
        for value in connection.req_packed_commands(&pipeline, 0, 2).await? {
            let bytes = bytes(value.extract_error()?, "an answer").ok().flatten().unwrap_or_default();
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        let (info, node) = (texts.pop().unwrap_or_default(), texts.pop().unwrap_or_default());
        let history = fence::history(&info).map(str::to_owned);
        Ok(history.map(|history| Link { connection, history, node }))
    }

    /// Sends `commands` on a connection of their own. Errors of the server are among the answers.
    pub(super) async fn ask(&self, address: &Address, commands: &[Cmd]) -> RedisResult<Vec<Value>> {
        let mut connection = self.connect(address).await?;
        let mut pipeline = Pipeline::with_capacity(commands.len());
        commands.iter().for_each(|command| _ = pipeline.add_command(command.clone()));
        connection.req_packed_commands(&pipeline, 0, commands.len()).await
    }
}
