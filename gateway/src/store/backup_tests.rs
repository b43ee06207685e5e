use super::*;

fn parts() -> Vec<BackupPart> {
    let entries = [
        BackupEntry::Meta("map".into(), vec![1, 2, 3]),
        BackupEntry::Version(7, "a/b".into(), 1_790_000_000_000_000, vec![9; 100]),
        BackupEntry::Log(7, 1_790_000_000_000_000, true, "a/b".into()),
        BackupEntry::Shard(7, 1_790_000_000_000_000, 5, 1),
    ];
    vec![
        BackupPart::Head { format: vec![4, 5], begun_us: 1_790_000_000_000_001 },
        BackupPart::Entries(entries[..2].to_vec()),
        BackupPart::Entries(entries[2..].to_vec()),
        BackupPart::End { entries: 4 },
    ]
}

fn written(parts: &[BackupPart]) -> Vec<u8> {
    let frames = parts.iter().enumerate().flat_map(|(number, part)| part.frame(number as u64));
    PREAMBLE.into_iter().chain(frames).collect()
}

fn read(bytes: &[u8]) -> Result<Vec<BackupPart>, String> {
    let mut from = BackupReader::new(bytes)?;
    let mut parts = Vec::new();
    while let Some(part) = from.next()? {
        parts.push(part);
    }
    Ok(parts)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(read(&written(&parts())), Ok(parts()));
}

#[test]
fn whatever_is_cut_or_changed_is_no_backup() {
    let good = written(&parts());
    for length in 0..good.len() {
        assert!(read(&good[..length]).is_err(), "{length} bytes of it");
    }
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(read(&bad).is_err(), "bit {bit} of byte {at}");
        }
    }
    assert!(read(&[&good[..], &[0]].concat()).is_err());
    let [head, first, second, end] = &parts()[..] else { panic!("four parts") };
    let orders = [
        vec![head, second, first, end],
        vec![head, first, end],
        vec![first, second, end],
        vec![head, head, first, second, end],
    ];
    for (at, order) in orders.into_iter().enumerate() {
        // As their frames were: numbers of their own.
        let frames = order.iter().flat_map(|part| {
            let number = parts().iter().position(|other| other == *part).expect("one of them");
            part.frame(number as u64)
        });
        let bytes: Vec<u8> = PREAMBLE.into_iter().chain(frames).collect();
        assert!(read(&bytes).is_err(), "order {at}");
    }
    let renumbered = vec![parts()[0].clone(), parts()[1].clone(), parts()[3].clone()];
    assert_eq!(read(&written(&renumbered)), Err("it has 2 of 4 entries".into()));
}
