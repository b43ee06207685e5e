//! [`SettingsVerdict`]: whether one server keeps what is promised, by its settings.
//!
//! Replicas are looked at like masters: each of them is the master of its slots after the next failover.

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};

use super::connect::Connector;
use super::options::Address;
use super::reply::{Replies, bytes, field, pairs};

/// A setting, what it must be, and what happens otherwise.
const RULES: [(&str, &str, &str); 3] = [
    ("appendonly", "yes", "it would come back empty from a restart"),
    ("maxmemory-policy", "noeviction", "it would drop what is stored once it is full"),
    ("cluster-require-full-coverage", "no", "one dead master would stop all others"),
];

/// Findings about one server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SettingsVerdict {
    /// The rules that it breaks, each with what to set; `None` where it keeps them all.
    pub(super) unfit: Option<String>,
    /// True if its disk has a write before it acknowledges.
    pub(super) is_durable: bool,
    /// True if its append-only file does not hold all of its data.
    lacks_file: bool,
}

/// Why there is no verdict.
#[derive(Debug)]
pub(super) enum Unknown {
    Silent(String),
    Refused(String),
}

fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = ::redis::cmd(words.next().unwrap_or_default());
    words.for_each(|word| _ = command.arg(word));
    command
}

impl SettingsVerdict {
    /// Asks the server at `address`, of which `before` was found last.
    pub(super) async fn ask(connector: &Connector, address: &Address, before: Option<&Self>) -> Result<Self, Unknown> {
        let names = RULES.map(|(name, ..)| name).join(" ");
        let commands = [words(&format!("CONFIG GET appendfsync {names}")), words("INFO persistence")];
        let values = connector.ask(address, &commands).await;
        let values = values.map_err(|error| Unknown::Silent(format!("{address}: {error}")))?;
        Self::read(values, before).map_err(Unknown::Refused)
    }

    /// That of a server which does not tell its settings.
    pub(super) fn untold(why: String) -> Self {
        Self { unfit: Some(why), ..Self::default() }
    }

    /// Reads the answers to CONFIG GET and INFO persistence.
    fn read(values: Vec<Value>, before: Option<&Self>) -> Result<Self, String> {
        if let Some(Value::ServerError(error)) = values.iter().find(|value| matches!(value, Value::ServerError(_))) {
            let why = error.details().unwrap_or_default();
            return Err(format!("refuses CONFIG GET or INFO: {} {why}", error.code()));
        }
        let mut replies = Replies::new(values);
        let text = |value| {
            let bytes = bytes(value, "a setting").map_err(|error| error.to_string())?.unwrap_or_default();
            Ok::<_, String>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let listed = pairs(replies.next()).map_err(|error| error.to_string())?;
        let mut settings: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in listed {
            settings.insert(String::from_utf8_lossy(&name).into_owned(), text(value)?);
        }
        let setting = |name: &str| settings.get(name).map_or("", String::as_str);
        let broken = RULES.iter().filter(|(name, wanted, _)| setting(name) != *wanted);
        let mut broken: Vec<String> = broken
            .map(|(name, wanted, why)| format!("has {name} {}; set {name} {wanted}: otherwise {why}", setting(name)))
            .collect();
        let persistence = text(replies.next())?;
        let is_set = |name: &str| field(&persistence, name) == Some("1");
        // Switched on at run time, the file is complete only when it has been written once.
        let writes_file = is_set("aof_rewrite_in_progress") || is_set("aof_rewrite_scheduled");
        let had_none = before.is_some_and(|before| before.lacks_file);
        let has_setting = setting("appendonly") == "yes";
        if has_setting && had_none && writes_file {
            broken.push("is still writing its append-only file".into());
        }
        let lacks_file = !has_setting || (had_none && writes_file);
        Ok(Self {
            unfit: (!broken.is_empty()).then(|| broken.join("; and ")),
            is_durable: setting("appendfsync") == "always" && !lacks_file,
            lacks_file,
        })
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
