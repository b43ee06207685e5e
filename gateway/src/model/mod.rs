//! The shared model at a gateway.

mod compress;

pub(crate) use compress::compressed;
