//! [`StoreStatus`] for [`RedisStore`].

use super::open::RedisStore;
use crate::store::{ClockStatus, MasterStatus, StoreStatus, Trouble};

impl StoreStatus for RedisStore {
    fn waiting(&self) -> (usize, usize) {
        let routes = self.cluster.routes();
        let each = routes.masters().iter().map(|master| master.writes_waiting());
        each.fold((0, 0), |(waiting, most), (more, bound)| (waiting + more, most + bound))
    }

    fn masters(&self) -> Vec<MasterStatus> {
        self.cluster.routes().masters().iter().map(|master| master.status()).collect()
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.clocks.troubles()
    }

    fn clocks(&self) -> Vec<ClockStatus> {
        self.clocks.all()
    }

    fn now_us(&self) -> u64 {
        self.clocks.now_us()
    }
}
