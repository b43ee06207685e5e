//! Intake of a hub: what it is told, up to the row that it is stored as.

use std::net::{IpAddr, Ipv4Addr};

use serde::Serialize;

use super::Refusal;
use crate::Millis;
use crate::key::KeyPrefix;
use crate::model::{Allowances, ClientId, Handover, MAX_TOLD_BYTES, Summary, ToldSummary};
use crate::protocol::{ErrorCode, Problem};

/// Client that tells, as whoever received the request found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// For whom it counts.
    pub client: ClientId,
    /// Prefixes that its token covers; `None` is everything.
    pub prefixes: Option<Vec<KeyPrefix>>,
    /// True if there was a token. Without one, how much an address may tell is bounded.
    pub is_verified: bool,
}

/// A client as whoever received its request names it: 32 hexadecimal digits for the subject of a token, otherwise an address.
/// All whose address is not known are one.
pub fn client_named(text: &str) -> ClientId {
    let address = || text.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match u128::from_str_radix(text, 16) {
        Ok(subject) if text.len() == 32 => ClientId::of_subject(subject),
        _ => ClientId::of_address(address()),
    }
}

/// Rows that are stored and not in the counts yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PendingRows {
    /// Number of them.
    pub rows: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl PendingRows {
    /// Most of them. One more is refused, as what was acknowledged must not be lost.
    pub const MAX: Self = Self { rows: 1 << 14, bytes: 16 << 20 };
    /// With so many they are merged at once, and the counts stored, so that they leave.
    const MUCH: Self = Self { rows: 1 << 12, bytes: 4 << 20 };

    pub(super) fn with(self, bytes: usize) -> Self {
        Self { rows: self.rows + 1, bytes: self.bytes + bytes }
    }

    pub(super) fn is_much(self) -> bool {
        self.exceeds(Self::MUCH)
    }

    fn exceeds(self, most: Self) -> bool {
        self.rows > most.rows || self.bytes > most.bytes
    }

    fn stored(self, row: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        if self.with(row.len()).exceeds(Self::MAX) {
            let detail = "more was told than could be merged so far";
            return Err(Refusal::after(Problem::new(ErrorCode::Unavailable, detail), 1_000));
        }
        Ok(row)
    }
}

/// Decides about summaries of clients.
#[derive(Debug)]
pub(super) struct HubInbox {
    allowances: Allowances,
}

impl Default for HubInbox {
    fn default() -> Self {
        Self { allowances: Allowances::new(MAX_TOLD_BYTES) }
    }
}

impl HubInbox {
    /// A summary counts whole or not at all, as at a gateway.
    pub(super) fn take(
        &mut self,
        now: Millis,
        caller: &Caller,
        summary: &[u8],
        pending: PendingRows,
    ) -> Result<Vec<u8>, Refusal> {
        if summary.len() > Summary::MAX_BYTES {
            let detail = format!("the body is over its limit of {} bytes", Summary::MAX_BYTES);
            return Err(Problem::new(ErrorCode::BodyTooLarge, detail).with_limit(Summary::MAX_BYTES as u64).into());
        }
        if !caller.is_verified {
            self.allowances.take(now, caller.client, summary.len()).map_err(too_much)?;
        }
        let read = read(summary)?;
        let covers =
            |prefixes: &Vec<KeyPrefix>| read.keys.iter().all(|key| prefixes.iter().any(|prefix| prefix.covers(key)));
        if !caller.prefixes.as_ref().is_none_or(covers) {
            return Err(Refusal::new(ErrorCode::Forbidden, "the token does not cover every key of the summary"));
        }
        let told = vec![ToldSummary { client: caller.client, summary: summary.into() }];
        pending.stored(Handover { told, ..Handover::default() }.encode())
    }

    /// Addresses whose telling is bounded, and most of them.
    pub(super) fn addresses(&self) -> [usize; 2] {
        [self.allowances.clients(), Allowances::MAX_CLIENTS]
    }
}

/// A page is stored as it is.
pub(super) fn take_page(page: &[u8], pending: PendingRows) -> Result<Vec<u8>, Refusal> {
    Handover::decode(page)
        .map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("the page cannot be decoded: {error}")))?;
    pending.stored(page.to_vec())
}

/// Refuses a summary of keys that are not all below `prefixes`.
pub(super) fn covered(summary: &Summary, prefixes: Option<&[KeyPrefix]>) -> Result<(), Refusal> {
    let Some(prefixes) = prefixes else { return Ok(()) };
    if summary.keys.iter().all(|key| prefixes.iter().any(|prefix| prefix.covers(key))) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "the token does not cover every key of the summary"))
}

pub(super) fn read(summary: &[u8]) -> Result<Summary, Refusal> {
    Summary::decode(summary)
        .map_err(|error| Refusal::new(ErrorCode::BadRequest, format!("the summary cannot be decoded: {error}")))
}

fn too_much(wait: Millis) -> Refusal {
    let detail = "this address has told as much as it may in a minute";
    let problem = Problem::new(ErrorCode::TooManyRequests, detail).with_limit(MAX_TOLD_BYTES.into());
    Refusal::after(problem, wait)
}
