//! The gateway from outside: store conformance, HTTP, and the real binary under SIGKILL.

mod access;
mod audit;
mod bad_input;
mod binary;
mod capacity;
mod client;
mod demand;
mod feed;
mod frames;
mod host;
mod kill;
mod load;
mod map;
mod members;
mod peers;
mod redb;
mod redis;
mod replay;
mod rolling;
mod routes;
mod sdk;
mod shared;
mod shifter;
mod shifter_redis;
mod simulated;
mod store_suite;
