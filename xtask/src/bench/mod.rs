//! Measurements.
use anyhow::Result;
#[derive(clap::Args)]
pub(crate) struct Options {}
pub(crate) fn run(_: &crate::workspace::Workspace, _: &Options) -> Result<()> {
    Ok(())
}
