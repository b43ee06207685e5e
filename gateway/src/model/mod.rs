//! The shared model at a gateway: how it is stored, and what of it a caller gets.

mod compress;
mod negotiate;
mod options;
mod served_model;
mod stored;

pub(crate) use compress::compressed;
pub(crate) use negotiate::ContentEncoding;
pub use options::ShareOptions;
pub(crate) use served_model::ServedModel;
pub(crate) use stored::Stored;
