//! The gateway from outside: store conformance, HTTP, and the real binary under SIGKILL.

mod access;
mod bad_input;
mod binary;
mod client;
mod feed;
mod host;
mod kill;
mod map;
mod redb;
mod redis;
mod replay;
mod routes;
mod store_suite;
