//! Registrations of members, within a transaction.

use ::redb::{ReadTransaction, ReadableTable as _, WriteTransaction};
use foremap::control::Member;
use foremap::node::is_alive;
use foremap::partition::NodeId;

use super::error::failed;
use super::tables::MEMBERS;
use crate::store::StoreError;

pub(super) fn announce(txn: &WriteTransaction, member: &Member, now_us: u64, until: u64) -> Result<bool, StoreError> {
    let mut members = txn.open_table(MEMBERS).map_err(failed)?;
    if let Some(held) = members.get(member.id).map_err(failed)? {
        let (expires, bytes) = held.value();
        let held = decode_member(bytes)?;
        if is_alive(expires, now_us) && held.incarnation != member.incarnation && held.origin != member.origin {
            return Ok(false);
        }
    }
    members.insert(member.id, (until, member.encode().as_slice())).map_err(failed)?;
    Ok(true)
}

pub(super) fn retract(txn: &WriteTransaction, id: NodeId, incarnation: u64) -> Result<bool, StoreError> {
    let mut members = txn.open_table(MEMBERS).map_err(failed)?;
    let held = members.get(id).map_err(failed)?.map(|held| decode_member(held.value().1)).transpose()?;
    let own = held.is_some_and(|member| member.incarnation == incarnation);
    if own {
        members.remove(id).map_err(failed)?;
    }
    Ok(own)
}

pub(super) fn members(txn: &ReadTransaction, now_us: u64) -> Result<Vec<Member>, StoreError> {
    let members = txn.open_table(MEMBERS).map_err(failed)?;
    let mut live = Vec::new();
    for entry in members.iter().map_err(failed)? {
        let (_, held) = entry.map_err(failed)?;
        let (expires, bytes) = held.value();
        if is_alive(expires, now_us) {
            live.push(decode_member(bytes)?);
        }
    }
    Ok(live)
}

fn decode_member(bytes: &[u8]) -> Result<Member, StoreError> {
    Member::decode(bytes).map_err(|error| StoreError::Corrupt(format!("registration: {error}")))
}
