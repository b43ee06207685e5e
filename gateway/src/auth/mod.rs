//! Bearer tokens: signed, expiring, with verbs and key prefixes.

mod hs256;
mod key;
mod own_tokens;
mod token;
mod token_scope;

pub use key::{TokenKey, TokenKeyError};
pub(crate) use own_tokens::OwnTokens;
pub use token::{Audience, Claims, Grant};
pub use token_scope::{TokenScope, Verb};
