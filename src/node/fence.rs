//! The fence: what makes an answer of a replicated store count.
//!
//! A master that has been deposed without noticing answers reads and accepts writes. What it says counts only if, after
//! it was said and on the same connection, every replica that the namespace is configured with acknowledged a write of
//! that connection: then none of them had been promoted when it acknowledged, and whichever is promoted later has all
//! that was read or written. For Redis this is `INCR fence`, `WAIT replicas`: without the write of its own, `WAIT`
//! on a fresh connection has nothing to wait for and says yes at once.
//!
//! The server must have been master from what it said until then. One that was a replica in between has taken over the
//! data of another master, and what replicas acknowledge afterwards is that data; its connections stay open. So the
//! fence ends with the replication id of the server, which must be the one of when the connection was opened: each
//! promotion begins a new one.

/// How many replicas must acknowledge: all that each master is configured with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fence {
    replicas: u32,
}

impl Fence {
    /// A fence behind masters with `replicas` replicas each. With none, a master is its own truth.
    pub fn new(replicas: u32) -> Self {
        Self { replicas }
    }

    /// How many must acknowledge.
    pub fn replicas(self) -> u32 {
        self.replicas
    }

    /// Whether what went before the fence counts, where `acknowledged` replicas have confirmed it. Otherwise a read
    /// must be repeated, and the outcome of a write is not known.
    pub fn holds(self, acknowledged: u32) -> bool {
        acknowledged >= self.replicas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configured_replica_must_acknowledge() {
        assert!(Fence::new(0).holds(0));
        let fence = Fence::new(2);
        assert!(!fence.holds(0) && !fence.holds(1) && fence.holds(2) && fence.holds(3));
    }
}
