//! Partition Shifter: turns a map into the next epoch's.
//!
//! A shift is virtual: it changes which portion of a key is hashed, or who owns
//! a partition, and nothing else. Not one byte of stored data moves, because
//! the store's layout does not depend on the map.

mod moves;

pub use moves::{Move, shift};
