//! [`NodeLine`]: a server of the cluster as `CLUSTER NODES` and `CLUSTER REPLICAS` tell of it.

use super::options::plain;

/// `id ip:port@bus[,hostname[,name=value...]] flags master ping pong epoch link [slots...]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeLine {
    pub(super) id: String,
    /// Empty where it is not known; as is the port, 0.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) hostname: Option<String>,
    flags: String,
    /// Id of the master that it is a replica of.
    pub(super) master: Option<String>,
    pub(super) epoch: u64,
    /// Ranges of slots that it owns, both ends included. Those that are on their way are with whom they come from.
    pub(super) slots: Vec<(u16, u16)>,
}

impl NodeLine {
    /// Reads one; `None` where it is none.
    pub(super) fn read(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, place, flags, master) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let epoch = words.nth(2)?.parse().ok()?;
        let _link = words.next()?;
        let mut place = place.split(',');
        let (host, port) = place.next()?.split_once('@')?.0.rsplit_once(':')?;
        let hostname = place.next().filter(|name| !name.is_empty() && !name.contains('='));
        let slots = words.filter(|word| !word.starts_with('[')).map(|word| {
            let (first, last) = word.split_once('-').unwrap_or((word, word));
            Some((first.parse().ok()?, last.parse().ok()?))
        });
        Some(Self {
            id: id.to_owned(),
            host: plain(host),
            port: port.parse().ok()?,
            hostname: hostname.map(str::to_owned),
            flags: flags.to_owned(),
            master: (master != "-").then(|| master.to_owned()),
            epoch,
            slots: slots.collect::<Option<_>>()?,
        })
    }

    /// Tells whether it has `flag`.
    pub(super) fn is(&self, flag: &str) -> bool {
        self.flags.split(',').any(|found| found == flag)
    }
}

/// Lists the slots that the server that answered CLUSTER NODES with `text` imports.
pub(super) fn imported(text: &str) -> Imported {
    let own = text.lines().find(|line| line.split(' ').nth(2).is_some_and(|flags| flags.contains("myself")));
    // `[slot-<-id]` is imported, `[slot->-id]` goes.
    let import = |word: &str| {
        let (slot, from) = word.strip_prefix('[')?.strip_suffix(']')?.split_once("-<-")?;
        Some((slot.parse().ok()?, from.to_owned()))
    };
    own.map_or_else(Vec::new, |line| line.split(' ').skip(8).filter_map(import).collect())
}

/// Slots with the name of the master that each comes from.
pub(super) type Imported = Vec<(u16, String)>;
