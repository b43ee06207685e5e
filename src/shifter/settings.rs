//! [`PlanSettings`].

/// The aims of the planner. Loads are shares of the mean load of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanSettings {
    /// A part of a prefix that is heavier than this is split.
    pub split_from: f64,
    /// The heaviest part that a split leaves, where it can.
    pub piece: f64,
    /// A key, or keys that are fetched together, heavier than this is served by several nodes.
    pub replicate_from: f64,
    /// Below this it is not any more.
    pub replicate_until: f64,
    /// Load of one replica.
    pub replica: f64,
    /// Most keys with replicas; at most 1,024.
    pub max_hot: usize,
    /// A node above this, and above what chance alone explains, is relieved...
    pub relieve_from: f64,
    /// ...until it is at this.
    pub relieve_to: f64,
    /// For a node above this, plans re-home up to `entries_at_most`, and what was changed a short while ago may change again.
    pub urgent: f64,
    /// Up to this, plans re-home up to `entries_usually`: what is left of a change is mended a little at a time. From here to
    /// `urgent` that rises to `entries_at_most`.
    pub calm: f64,
    /// Share of all entries that a plan re-homes while no node is above `calm`.
    pub entries_usually: f64,
    /// Share of all entries that a plan does not exceed, by what is known of where entries are. Counted, it may be a third more.
    /// One split a plan may go beyond it: that of a prefix which alone makes a node urgent.
    pub entries_at_most: f64,
    /// So many entries a plan may re-home whatever share of all they are: a node reads four times as many ahead of a map.
    pub entries_free: u64,
    /// Share of all entries that a plan re-homes to bring together what is fetched together, or to tidy up.
    pub entries_for_order: f64,
    /// Rounds for which a rule or partition stays as it was changed, unless a node is urgent.
    pub residence: u64,
    /// A rule whose parts would be lighter than this, if merged, is merged.
    pub merge_below: f64,
    /// Exceptions beyond this share of the partitions are brought home, the coldest first.
    pub exceptions: f64,
    /// Requests of a round for each node below which nothing is planned: whatever is uneven then hurts nobody, and most of it
    /// is chance.
    pub quiet_below: f64,
    /// Act on the load that is to come as well.
    pub foresee: bool,
    /// Entries in the store, where they are known; otherwise those that were asked for in a round stand for them, as re-homing
    /// what nobody asks for costs nothing.
    pub entries: Option<u64>,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            split_from: 0.3,
            piece: 0.12,
            replicate_from: 0.15,
            replicate_until: 0.1,
            replica: 0.1,
            max_hot: 900,
            relieve_from: 1.02,
            relieve_to: 1.01,
            urgent: 1.2,
            calm: 1.1,
            entries_usually: 0.000_5,
            entries_at_most: 0.006_5,
            entries_free: 1_000,
            entries_for_order: 0.000_5,
            residence: 5,
            merge_below: 0.05,
            exceptions: 0.02,
            quiet_below: 100.0,
            foresee: true,
            entries: None,
        }
    }
}
