//! Bearer tokens: signed, expiring, with verbs and key prefixes.

mod hs256;
mod key;
mod own_tokens;
mod scope;
mod token;

pub use key::{KeyError, TokenKey};
pub(crate) use own_tokens::OwnTokens;
pub use scope::{Scope, Verb};
pub use token::{Audience, Claims, Grant};
