//! [`Route`]: what a gateway can be asked for, and with which parameters.

/// One method of one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The path.
    pub path: &'static str,
    /// The method; where `GET` is one, so is `HEAD`.
    pub method: &'static str,
    /// Parameters of the query. Below `/v1/`, others are refused.
    pub query: &'static [&'static str],
}

const fn get(path: &'static str, query: &'static [&'static str]) -> Route {
    Route { path, method: "GET", query }
}

const fn post(path: &'static str, query: &'static [&'static str]) -> Route {
    Route { path, method: "POST", query }
}

impl Route {
    /// Many keys at once.
    pub const BATCH: Self = post("/v1/batch", &[]);
    /// The keymap of a key.
    pub const GET_KEYMAP: Self = get("/v1/keymap", &["key", "version", "consistency", "max_staleness_ms"]);
    /// Writes one.
    pub const PUT_KEYMAP: Self = Self { path: "/v1/keymap", method: "PUT", query: &["key"] };
    /// Deletes one, or removes a version of it.
    pub const DELETE_KEYMAP: Self = Self { path: "/v1/keymap", method: "DELETE", query: &["key", "version"] };
    /// The versions of a key.
    pub const VERSIONS: Self = get("/v1/versions", &["key"]);
    /// The keymaps below a prefix.
    pub const LIST: Self = get("/v1/list", &["prefix", "limit", "cursor"]);
    /// The partition map.
    pub const MAP: Self = get("/v1/map", &["since", "wait"]);
    /// Place of a key.
    pub const LOCATE: Self = get("/v1/locate", &["key"]);
    /// The change feed as server-sent events.
    pub const EVENTS: Self = get("/v1/changes", &["prefix", "shards", "since"]);
    /// The change feed in binary form.
    pub const CHANGES: Self = post("/v1/changes", &[]);
    /// Takes a summary.
    pub const SUMMARIES: Self = post("/v1/summaries", &[]);
    /// The model that clients share.
    pub const MODEL: Self = get("/v1/model", &["bytes", "from"]);
    /// Keys that are asked for most.
    pub const HOT: Self = get("/v1/hot", &["limit"]);
    /// Requests that a node got in a round.
    pub const LOAD: Self = post("/v1/load", &["round"]);
    /// The Partition Shifter's state.
    pub const PLAN: Self = get("/v1/plan", &[]);
    /// Puts its plan in force.
    pub const APPLY: Self = post("/v1/plan/apply", &[]);
    /// Stops it, or lets it go on.
    pub const FREEZE: Self = post("/v1/shifter/freeze", &[]);
    /// Hands summaries to the coordinator.
    pub const TAKE: Self = post("/v1/summaries/take", &["outbox", "next"]);
    /// Drops what the model says of a prefix.
    pub const FORGET: Self = post("/v1/model/forget", &[]);
    /// Content of a store file.
    pub const BACKUP: Self = get("/v1/backup", &[]);
    /// Liveness of the process.
    pub const HEALTHZ: Self = get("/healthz", &[]);
    /// Readiness of the node to answer.
    pub const READYZ: Self = get("/readyz", &[]);
    /// Figures.
    pub const METRICS: Self = get("/metrics", &[]);

    /// Everything that a gateway can be asked for, by path.
    pub const ALL: &'static [Self] = &[
        Self::BATCH,
        Self::GET_KEYMAP,
        Self::PUT_KEYMAP,
        Self::DELETE_KEYMAP,
        Self::VERSIONS,
        Self::LIST,
        Self::MAP,
        Self::LOCATE,
        Self::EVENTS,
        Self::CHANGES,
        Self::SUMMARIES,
        Self::MODEL,
        Self::HOT,
        Self::LOAD,
        Self::PLAN,
        Self::APPLY,
        Self::FREEZE,
        Self::TAKE,
        Self::FORGET,
        Self::BACKUP,
        Self::HEALTHZ,
        Self::READYZ,
        Self::METRICS,
    ];
}
