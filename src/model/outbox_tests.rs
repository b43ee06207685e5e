use super::*;

fn summary(byte: u8, len: usize) -> Box<[u8]> {
    vec![byte; len].into()
}

#[test]
fn what_was_taken_leaves_and_the_rest_is_offered_again() {
    let mut outbox = Outbox::default();
    for n in 0..3 {
        outbox.add(ClientId(n), summary(n as u8, 4));
    }
    let page = outbox.page(7);
    assert_eq!((page.outbox, page.first, page.told.len(), page.more, page.next()), (7, 0, 3, false, 3));
    assert_eq!(outbox.page(7), page, "until it is taken");
    outbox.add(ClientId(3), summary(3, 4));
    outbox.taken(page.next());
    let page = outbox.page(7);
    assert_eq!((page.first, page.told.len()), (3, 1));
    outbox.taken(2);
    assert_eq!(outbox.stats(), OutboxStats { entries: 1, bytes: 4, dropped: 0 }, "an old word changes nothing");
    outbox.taken(1_000);
    assert_eq!((outbox.stats().entries, outbox.page(7).first), (0, 4));
}

#[test]
fn the_oldest_leave_where_nobody_takes_them() {
    let mut outbox = Outbox::default();
    for n in 0..300_u64 {
        outbox.add(ClientId(n), summary(0, 64 << 10));
    }
    let stats = outbox.stats();
    assert_eq!((stats.entries, stats.bytes, stats.dropped), (256, Outbox::MAX_BYTES, 44));
    let page = outbox.page(1);
    assert_eq!((page.first, page.told[0].client, page.told.len(), page.more), (44, ClientId(44), 4, true));
    for n in 0..70_000 {
        outbox.add(ClientId(n), summary(0, 1));
    }
    assert_eq!(outbox.stats().entries, Outbox::MAX_ENTRIES);
    let encoded = outbox.page(1).encode();
    assert!(encoded.len() <= Handover::MAX_ENCODED);
}

#[test]
fn a_page_travels() {
    let told = vec![
        ToldSummary { client: ClientId(u64::MAX), summary: summary(1, 3) },
        ToldSummary { client: ClientId(0), summary: summary(2, 0) },
    ];
    let page = Handover { outbox: 5, first: 9, told, more: true };
    let bytes = page.encode();
    assert_eq!(Handover::decode(&bytes), Ok(page));
    for len in 0..bytes.len() {
        assert!(Handover::decode(&bytes[..len]).is_err(), "{len}");
    }
    assert!(Handover::decode(&[&bytes[..], &[0]].concat()).is_err());
}
