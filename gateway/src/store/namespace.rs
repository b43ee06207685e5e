//! What concerns the whole namespace.

/// Something about the whole namespace that the coordinator keeps in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blob {
    /// The map that nodes are warming up for: the binary form of a [`PartitionMap`](foremap::partition::PartitionMap).
    Proposal,
    /// The model that clients share, as they read it.
    Model,
    /// Names the content of `Model`: what gateways look at to learn that there is a new one. Written after it.
    ModelHead,
    /// The merged counts that the model is made of.
    ModelState,
    /// Who coordinates, and whether shifts are frozen.
    Leader,
}

impl Blob {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Proposal, Self::Model, Self::ModelHead, Self::ModelState, Self::Leader];
    /// Largest content in bytes: a model's bound, and far over that of a map.
    pub const MAX_BYTES: usize = 4 << 20;

    /// Its name in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Model => "model",
            Self::ModelHead => "model-head",
            Self::ModelState => "model-state",
            Self::Leader => "office-record",
        }
    }
}
