//! Bearer tokens: signed, expiring, with verbs and key prefixes.

mod hs256;
mod key;
mod scope;
mod token;

pub use key::{KeyError, TokenKey};
pub use scope::{Scope, Verb};
pub use token::{Audience, Claims, Grant};
