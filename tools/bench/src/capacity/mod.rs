//! Number of machines that a workload takes, and the end of this design.
//!
//! [`model`](Plan) is pure arithmetic. Everything that it multiplies with was measured by `cargo xtask bench gateway`:
//! `measured.json` beside this file, or a file that the same bench wrote on another machine.

mod coefficients;
mod model;
mod options;
mod page;
mod report;
mod run;
mod words;
mod workload;

pub(crate) use coefficients::Coefficients;
pub(crate) use options::Capacity;
pub(crate) use run::run;
