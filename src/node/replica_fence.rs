//! The fence: what makes an answer of a replicated store count.
//!
//! A master that has been deposed without noticing answers reads and accepts writes. What it says counts only if, after
//! it was said and on the same connection, **every replica that could be promoted has acknowledged a write of that
//! connection**: then none of them had been promoted when it acknowledged, and whichever is promoted later has all that
//! was read or written. Those are
//!
//! * the *members*: all that the cluster lists as replicas of the master at that moment, at least as many as the
//!   namespace is configured with. One that stands still, or whose link is cut, is a member as before, so the fence waits
//!   for it until the cluster forgets it;
//! * and any other replica that is attached and in step: it may be a member of which the master has not heard yet.
//!
//! They are told apart by who they are, never by how many: a backup or a migration also replicates from the master and
//! acknowledges, is never promoted, and must not stand in for a member.
//!
//! For Redis this is a write of the fence's own and the offset it left, `WAIT` for all, and then what each replica has
//! acknowledged, beside the list of members. Without the write, `WAIT` on a fresh connection has nothing to wait for and
//! says yes at once.
//!
//! The server must have been master from what it said until then. One that was a replica in between has taken over the
//! data of another master, and what replicas acknowledge afterwards is that data; its connections stay open. So the
//! fence ends with the replication id of the server, which must be the one of when the connection was opened: each
//! promotion begins a new one.

/// A replica that is attached to a master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attached<I> {
    /// Identity of the replica.
    pub id: I,
    /// Offset that it has acknowledged; `None` while it is being synchronised.
    pub acknowledged: Option<u64>,
}

/// Lack of a fence: why it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack<I> {
    /// The cluster lists only so many replicas.
    Members(u32),
    /// A member is not attached.
    Detached(I),
    /// A member has not acknowledged.
    Late(I),
    /// A replica that the cluster does not list has not acknowledged.
    LateOutside(I),
}

/// Fence of masters that are each configured with so many replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaFence {
    replicas: u32,
}

impl ReplicaFence {
    /// A fence behind masters with `replicas` replicas each. With none, a master without members is its own truth.
    pub fn new(replicas: u32) -> Self {
        Self { replicas }
    }

    /// Number of members that there must be.
    pub fn replicas(self) -> u32 {
        self.replicas
    }

    /// Number of acknowledgements to wait for: those of all members, and of whoever else is in step.
    pub fn waits_for<I: PartialEq>(self, members: &[I], attached: &[Attached<I>]) -> u32 {
        let others = attached.iter().filter(|replica| replica.acknowledged.is_some() && !members.contains(&replica.id));
        u32::try_from(members.len() + others.count()).unwrap_or(u32::MAX).max(self.replicas)
    }

    /// Lacks of the fence, where its own write left `offset`. Without any it holds: what went before it counts. Otherwise a
    /// read must be repeated, and the outcome of a write is not known.
    pub fn lacks<I: PartialEq + Clone>(self, offset: u64, members: &[I], attached: &[Attached<I>]) -> Vec<Lack<I>> {
        let mut lacks = Vec::new();
        let listed = u32::try_from(members.len()).unwrap_or(u32::MAX);
        if listed < self.replicas {
            lacks.push(Lack::Members(listed));
        }
        let reached = |replica: &Attached<I>| replica.acknowledged.is_some_and(|acknowledged| acknowledged >= offset);
        for id in members {
            // A replica that connects anew may still have its old connection.
            let mut links = attached.iter().filter(|replica| replica.id == *id).peekable();
            if links.peek().is_none() {
                lacks.push(Lack::Detached(id.clone()));
            } else if !links.any(reached) {
                lacks.push(Lack::Late(id.clone()));
            }
        }
        let others = attached.iter().filter(|replica| replica.acknowledged.is_some() && !members.contains(&replica.id));
        lacks.extend(others.filter(|replica| !reached(replica)).map(|replica| Lack::LateOutside(replica.id.clone())));
        lacks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(replicas: &[(char, Option<u64>)]) -> Vec<Attached<char>> {
        replicas.iter().map(|&(id, acknowledged)| Attached { id, acknowledged }).collect()
    }

    #[test]
    fn every_member_must_acknowledge() {
        assert_eq!(ReplicaFence::new(0).lacks(7, &[], &attached(&[])), []);
        let lacks = |replicas: &[(char, Option<u64>)]| ReplicaFence::new(2).lacks(7, &['a', 'b'], &attached(replicas));
        assert_eq!(lacks(&[('a', Some(7)), ('b', Some(8))]), []);
        assert_eq!(lacks(&[('a', Some(7)), ('b', Some(6))]), [Lack::Late('b')]);
        assert_eq!(lacks(&[('a', Some(7)), ('b', None)]), [Lack::Late('b')], "being synchronised");
        assert_eq!(lacks(&[('b', Some(7))]), [Lack::Detached('a')]);
        assert_eq!(lacks(&[('a', Some(1)), ('a', Some(7)), ('b', Some(7))]), [], "it has connected anew");
        // One more than is configured may be promoted as well.
        assert_eq!(ReplicaFence::new(1).lacks(7, &['a', 'b'], &attached(&[('a', Some(7))])), [Lack::Detached('b')]);
        assert_eq!(ReplicaFence::new(2).lacks(7, &['a'], &attached(&[('a', Some(7))])), [Lack::Members(1)]);
    }

    #[test]
    fn nobody_stands_in_for_a_member() {
        let lacks = |replicas: &[(char, Option<u64>)]| ReplicaFence::new(1).lacks(7, &['a'], &attached(replicas));
        assert_eq!(lacks(&[('x', Some(9))]), [Lack::Detached('a')], "as many acknowledged as are attached");
        assert_eq!(lacks(&[('x', Some(9)), ('y', Some(9)), ('a', Some(6))]), [Lack::Late('a')]);
        assert_eq!(lacks(&[('x', Some(9)), ('a', Some(7))]), []);
        // It may be a member that has just been added, and is then in step before it can be promoted.
        assert_eq!(lacks(&[('x', Some(6)), ('a', Some(7))]), [Lack::LateOutside('x')]);
        assert_eq!(lacks(&[('x', None), ('a', Some(7))]), []);
        assert_eq!(ReplicaFence::new(1).lacks(7, &[], &attached(&[('x', Some(9))])), [Lack::Members(0)]);
    }

    #[test]
    fn it_waits_for_all_that_it_asks_of() {
        let waits_for = |members: &[char], replicas| ReplicaFence::new(1).waits_for(members, &attached(replicas));
        assert_eq!(waits_for(&[], &[]), 1);
        assert_eq!(waits_for(&['a', 'b'], &[('a', Some(1))]), 2);
        assert_eq!(waits_for(&['a'], &[('a', Some(1)), ('x', Some(1)), ('y', None)]), 2);
    }
}
