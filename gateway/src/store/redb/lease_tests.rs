use ::redb::{Database, ReadableDatabase as _, backends::InMemoryBackend};

use super::*;

/// A lease that an earlier version stored, by its name and to the byte.
#[test]
fn a_stored_lease_is_still_read() {
    const STORED: [u8; 11] = [7, 1, 2, 3, 4, 5, 6, 7, 8, 0x80, 1];
    let database = Database::builder().create_with_backend(InMemoryBackend::new()).expect("a store");
    let txn = database.begin_write().expect("begun");
    txn.open_table(META).expect("a table").insert("office", STORED.as_slice()).expect("stored");
    txn.commit().expect("committed");
    let txn = database.begin_read().expect("begun");
    let lease = Lease::of(&txn.open_table(META).expect("a table")).expect("read");
    assert_eq!((lease.term, lease.incarnation, lease.expires_us), (7, 0x0807_0605_0403_0201, 128));
    assert_eq!(lease.encode(), STORED);
}
