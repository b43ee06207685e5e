//! Building a trace: each name once.

use std::collections::HashMap;

use anyhow::{Context, Result};

use super::{Request, Trace};

/// A trace and the places of its names.
#[derive(Default)]
pub(crate) struct Builder {
    pub(crate) trace: Trace,
    key_ids: HashMap<String, u32>,
    client_ids: HashMap<String, u32>,
}

impl Builder {
    /// Appends a request.
    ///
    /// # Errors
    /// Beyond 2^32 different keys or clients.
    pub(crate) fn request(&mut self, at_ms: i64, client: String, key: String) -> Result<()> {
        let client = intern(&mut self.client_ids, &mut self.trace.clients, client)?;
        let key = intern(&mut self.key_ids, &mut self.trace.keys, key)?;
        self.trace.requests.push(Request { at_ms, client, key });
        Ok(())
    }

    /// Counts a line that cannot be used.
    pub(crate) fn bad(&mut self, number: usize, reason: String) {
        self.trace.bad += 1;
        if self.trace.bad_lines.len() < Trace::KEPT_REASONS {
            self.trace.bad_lines.push((number, reason));
        }
    }
}

fn intern(ids: &mut HashMap<String, u32>, names: &mut Vec<String>, name: String) -> Result<u32> {
    if let Some(id) = ids.get(&name) {
        return Ok(*id);
    }
    let id = u32::try_from(names.len()).context("more than 2^32 different names")?;
    names.push(name.clone());
    ids.insert(name, id);
    Ok(id)
}
