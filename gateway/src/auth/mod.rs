//! Bearer tokens: signed, expiring, with verbs and key prefixes.

mod hs256;
mod scope;
mod token;

pub use scope::{Scope, Verb};
pub use token::{Claims, KeyError, TokenKey};
