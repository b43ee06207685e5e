//! [`Coefficients`]: what was measured, by which row of the bench, when and where.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

/// As the bench wrote it on the machine that it names.
const MEASURED: &str = include_str!("measured.json");

/// Figures that were measured on one machine.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coefficients {
    /// The day.
    pub(crate) date: String,
    /// The machine, in words.
    pub(crate) machine: String,
    /// Command that measured them.
    pub(crate) command: String,
    /// By name.
    pub(crate) coefficients: BTreeMap<String, Coefficient>,
}

/// One figure.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coefficient {
    /// The figure.
    pub(crate) value: f64,
    /// Its unit.
    pub(crate) unit: String,
    /// The row of the bench that it is.
    pub(crate) row: String,
}

macro_rules! costs {
    ($($(#[doc = $doc:literal])* $name:ident: $unit:literal,)*) => {
        /// The figures that the model multiplies with.
        #[derive(Debug, Clone, Copy, PartialEq)]
        pub(crate) struct Costs {
            $($(#[doc = $doc])* pub(crate) $name: f64,)*
        }

        impl Costs {
            /// Names and units, in order.
            const NAMES: &[(&str, &str)] = &[$((stringify!($name), $unit)),*];

            fn of(mut value: impl FnMut(&str, &str) -> Result<f64>) -> Result<Self> {
                Ok(Self { $($name: value(stringify!($name), $unit)?,)* })
            }
        }
    };
}

costs! {
    /// Gateway CPU for a batch of one key from memory, in microseconds.
    batch_us: "us",
    /// Gateway CPU for each further key of a batch.
    key_us: "us",
    /// Gateway CPU for a key read from the store, over one from memory.
    miss_us: "us",
    /// CPU of a master for a key read from it.
    master_read_us: "us",
    /// Gateway CPU for a write, its own log entry included.
    write_us: "us",
    /// CPU of a master for a write, the polls of one gateway included.
    master_write_us: "us",
    /// Gateway CPU for each log entry it follows.
    tail_us: "us",
    /// CPU of a master for each log entry and each further gateway that follows.
    master_tail_us: "us",
    /// Log entries a second that one process applies.
    tail_rate: "per second",
    /// Gateway CPU at rest, for each master it polls, in percent of a core.
    idle_gateway: "% of a core",
    /// CPU of a master at rest, for each gateway that polls it.
    idle_master: "% of a core",
    /// Gateway CPU for one change-feed event to one subscriber.
    event_us: "us",
    /// Bytes of such an event.
    event_bytes: "bytes",
    /// Redis memory of a key, apart from its text and value.
    redis_fixed_bytes: "bytes",
    /// Redis memory for each byte of a key.
    redis_key_factor: "bytes",
    /// Redis memory for each byte of a value.
    redis_value_factor: "bytes",
    /// Redis memory of a further version, over its key and value.
    version_bytes: "bytes",
    /// Gateway memory of an entry, apart from its text.
    entry_fixed_bytes: "bytes",
    /// Gateway memory for each byte of a key.
    entry_key_factor: "bytes",
    /// Gateway memory for each byte of a value.
    entry_value_factor: "bytes",
    /// Bytes of the map of two nodes.
    map_bytes: "bytes",
    /// Bytes of the map for each further node.
    map_node_bytes: "bytes",
    /// Bytes of the map for each rule.
    map_rule_bytes: "bytes",
    /// Bytes of the map for each exception.
    map_exception_bytes: "bytes",
}

impl Coefficients {
    /// Those of the repository.
    pub(crate) fn embedded() -> Result<Self> {
        Self::parse(MEASURED, "measured.json")
    }

    /// Those of a file that the bench wrote.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        Self::parse(&text, &name)
    }

    fn parse(text: &str, name: &str) -> Result<Self> {
        serde_json::from_str(text).with_context(|| name.to_owned())
    }

    /// The figures themselves.
    ///
    /// # Errors
    /// For one that is missing, in another unit, negative or no number.
    pub(crate) fn costs(&self) -> Result<Costs> {
        if let Some(name) = self.coefficients.keys().find(|name| !Costs::NAMES.iter().any(|(known, _)| known == name)) {
            bail!("there is no coefficient `{name}`");
        }
        Costs::of(|name, unit| match self.coefficients.get(name) {
            None => bail!("the coefficient `{name}` is missing"),
            Some(found) if found.unit != unit => bail!("`{name}` is in `{}`, not `{unit}`", found.unit),
            Some(found) if !(0.0..1e15).contains(&found.value) => bail!("`{name}` is {}", found.value),
            Some(found) => Ok(found.value),
        })
    }
}

#[cfg(test)]
#[path = "coefficients_tests.rs"]
mod tests;
