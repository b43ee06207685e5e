//! [`WriteRequest`]: what a client asks a gateway to write.

use foremap::key::CompositeKey;
use foremap::protocol::KeymapFields;

use super::cluster::Expect;

pub(crate) struct WriteRequest {
    pub(crate) id: u64,
    pub(crate) key: CompositeKey,
    pub(crate) fields: Option<KeymapFields>,
    pub(crate) expect: Expect,
}
