//! [`Registry`]: who takes part, and who leads.

use std::time::Duration;

use foremap::control::{Member, Term};
use foremap::partition::NodeId;

use super::StoreFuture;

/// Registrations of gateways, and the lease of the one that leads. All of them expire by themselves.
///
/// # Errors
/// [`StoreError::Unavailable`](super::StoreError::Unavailable), [`StoreError::Corrupt`](super::StoreError::Corrupt), and of
/// a change [`StoreError::Unknown`](super::StoreError::Unknown): it may be made again as it is.
pub trait Registry: Send + Sync + 'static {
    /// Registers `member` for `ttl`, a minute at most, in place of what was registered under its id. `false` where another process
    /// holds the id: its registration has another incarnation and another origin, and has not expired.
    fn announce(&self, member: Member, ttl: Duration) -> StoreFuture<'_, bool>;

    /// Takes the registration of `id` back, if it is of `incarnation`.
    fn retract(&self, id: NodeId, incarnation: u64) -> StoreFuture<'_, ()>;

    /// Lists the registered members whose time has not expired, by ascending id.
    fn members(&self) -> StoreFuture<'_, Vec<Member>>;

    /// Takes the coordinator's lease for `ttl`, a minute at most, or keeps it, and returns its term; `None` while another incarnation
    /// holds it. A `ttl` of zero resigns.
    fn take_lease(&self, incarnation: u64, ttl: Duration) -> StoreFuture<'_, Option<Term>>;
}
