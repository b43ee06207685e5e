//! The shared model at a gateway: how it is stored, and what of it a caller gets.

mod compress;
mod negotiate;
mod options;
mod served;
mod stored;

pub(crate) use compress::compressed;
pub(crate) use negotiate::Encoding;
pub use options::ShareOptions;
pub(crate) use served::Served;
pub(crate) use stored::Stored;
