//! Which node is asked for a key: by the newest map that any answer brought.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use foremap::partition::{MapDelta, MapError, PartitionMap, Placement};
use foremap::protocol::{CONTENT_TYPE, MapKnowledge, MapUpdate};
use parking_lot::{Mutex, RwLock};

/// A map, ready to be looked up in.
pub(super) struct Route {
    /// The look-up.
    pub(super) placement: Placement,
    /// Map that gateways are told a client has.
    pub(super) known: MapKnowledge,
}

impl Route {
    fn new(map: PartitionMap) -> Self {
        let known = MapKnowledge { epoch: map.epoch, hash: map.hash() };
        Self { placement: Placement::new(Arc::new(map)), known }
    }
}

/// The route that all clients share.
pub(super) struct Routes {
    newest: RwLock<Arc<Route>>,
    /// Held by who takes in an update: the others need not do the same work.
    learning: Mutex<()>,
}

impl Routes {
    /// Begins with the map of the node at `origin`.
    pub(super) fn new(origin: &str) -> Result<Self> {
        let route = Arc::new(Route::new(map(origin)?));
        Ok(Self { newest: RwLock::new(route), learning: Mutex::new(()) })
    }

    /// The newest.
    pub(super) fn newest(&self) -> Arc<Route> {
        self.newest.read().clone()
    }

    /// Takes over a newer map, as the client adapter does. A delta for another map than the one at hand is dropped: the
    /// next answer brings one that fits.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn learn(&self, update: &MapUpdate) -> Result<()> {
        let Some(_learning) = self.learning.try_lock() else { return Ok(()) };
        let held = self.newest();
        let next = match update {
            MapUpdate::Full(bytes) => PartitionMap::decode(bytes),
            MapUpdate::Delta(bytes) => MapDelta::decode(bytes).and_then(|delta| delta.apply(held.placement.map())),
        };
        match next {
            Ok(next) if next.epoch > held.known.epoch => {
                let route = Arc::new(Route::new(next));
                *self.newest.write() = route;
                Ok(())
            }
            Ok(_) | Err(MapError::WrongBase) => Ok(()),
            Err(error) => Err(error).context("an answer brought a bad map"),
        }
    }
}

/// The map that the node at `origin` goes by.
pub(super) fn map(origin: &str) -> Result<PartitionMap> {
    let url = format!("{origin}/v1/map");
    let request = foremap_bench::http::agent().get(&url).header("accept", CONTENT_TYPE);
    let mut answer = request.call().with_context(|| format!("GET {url}"))?;
    let body = answer.body_mut().read_to_vec().with_context(|| format!("GET {url}"))?;
    if answer.status() != 200 {
        bail!("GET {url}: {} {}", answer.status(), String::from_utf8_lossy(&body));
    }
    PartitionMap::decode(&body).with_context(|| format!("GET {url}"))
}
