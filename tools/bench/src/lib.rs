//! Means to make measurements and to report them.
#![allow(clippy::print_stdout, reason = "printing is what a command-line tool does")]

pub mod http;
pub mod rows;
