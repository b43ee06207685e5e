use std::sync::Arc;

use ::redb::backends::InMemoryBackend;

use super::*;

/// Memory that outlives what is over it.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<InMemoryBackend>);

impl StorageBackend for Kept {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

fn pages(disk: &Kept) -> Pages {
    Pages::new(Box::new(disk.clone()), true).expect("opened")
}

fn block(fill: u8) -> Vec<u8> {
    vec![fill; BLOCK]
}

fn read(pages: &Pages, number: u64) -> io::Result<Vec<u8>> {
    let mut out = block(0xff);
    pages.read(number * BLOCK as u64, &mut out)?;
    Ok(out)
}

#[test]
fn blocks_are_read_as_they_were_written_in_any_group() {
    let disk = Kept::default();
    let all = 3 * GROUP + 5;
    {
        let pages = pages(&disk);
        assert_eq!(pages.len().expect("told"), 0);
        pages.set_len(all * BLOCK as u64).expect("grown");
        assert_eq!(pages.len().expect("told"), all * BLOCK as u64);
        for number in [1, GROUP - 1, GROUP, 2 * GROUP, all - 1] {
            pages.write(number * BLOCK as u64, &block(number as u8)).expect("written");
        }
        // Over the end of a group, and parts of blocks.
        pages.write((2 * GROUP - 1) * BLOCK as u64, &[block(7), block(8)].concat()).expect("written");
        pages.write(GROUP * BLOCK as u64 + 100, &[9; 10]).expect("written");
        pages.sync_data().expect("synced");
    }
    let pages = pages(&disk);
    assert_eq!(pages.len().expect("told"), all * BLOCK as u64);
    let mut both = vec![0; 2 * BLOCK];
    pages.read((2 * GROUP - 1) * BLOCK as u64, &mut both).expect("well");
    assert_eq!(both, [block(7), block(8)].concat());
    let patched = read(&pages, GROUP).expect("well");
    assert!(patched[100..110] == [9; 10] && patched[99] == GROUP as u8 && patched[110] == GROUP as u8);
    assert_eq!(read(&pages, all - 1).expect("well"), block((all - 1) as u8));
    assert_eq!(read(&pages, 5).expect("well"), block(0), "never written");
    let mut part = [0; 3];
    pages.read(GROUP * BLOCK as u64 + 99, &mut part).expect("well");
    assert_eq!(part, [GROUP as u8, 9, 9]);
}

#[test]
fn whatever_changes_below_is_noticed_in_every_byte() {
    let disk = Kept::default();
    let pages = pages(&disk);
    pages.set_len(8 * BLOCK as u64).expect("grown");
    for number in 1..8 {
        pages.write(number * BLOCK as u64, &block(number as u8)).expect("written");
    }
    pages.sync_data().expect("synced");
    for byte in 0..BLOCK as u64 {
        let place = place_of(3) + byte;
        disk.write(place, &[0x55]).expect("flipped");
        assert_eq!(read(&pages, 3).expect_err("noticed").kind(), io::ErrorKind::InvalidData);
        disk.write(place, &[3]).expect("flipped back");
    }
    assert_eq!(read(&pages, 3).expect("well"), block(3));
    // A good block in the wrong place, a lost one, and one that came from nowhere.
    let mut other = block(0);
    disk.read(place_of(4), &mut other).expect("read");
    disk.write(place_of(3), &other).expect("written");
    assert!(read(&pages, 3).is_err());
    disk.write(place_of(3), &block(0)).expect("written");
    assert!(read(&pages, 3).is_err());
    let raw = Pages::new(Box::new(disk.clone()), false).expect("opened");
    assert_eq!(read(&raw, 3).expect("as it is"), block(0));
}

#[test]
fn a_file_that_shrinks_and_grows_has_zeros() {
    let disk = Kept::default();
    let pages = pages(&disk);
    pages.set_len(2 * GROUP * BLOCK as u64).expect("grown");
    for number in [3, 10, GROUP + 3] {
        pages.write(number * BLOCK as u64, &block(1)).expect("written");
    }
    pages.sync_data().expect("synced");
    pages.set_len(5 * BLOCK as u64).expect("shrunk");
    assert_eq!(pages.len().expect("told"), 5 * BLOCK as u64);
    pages.set_len(2 * GROUP * BLOCK as u64).expect("grown");
    for (number, fill) in [(3, 1), (10, 0), (GROUP + 3, 0)] {
        assert_eq!(read(&pages, number).expect("well"), block(fill));
    }
    pages.write(10 * BLOCK as u64, &block(2)).expect("written");
    assert_eq!(read(&pages, 10).expect("well"), block(2));
}

#[test]
fn checksums_beyond_those_in_memory_are_kept_in_the_file() {
    let disk = Kept::default();
    let pages = pages(&disk);
    let groups = MAX_SUMS as u64 + 4;
    pages.set_len(groups * GROUP * BLOCK as u64).expect("grown");
    for group in 0..groups {
        pages.write((group * GROUP + 1) * BLOCK as u64, &block(group as u8)).expect("written");
    }
    assert!(pages.groups.lock().len() <= MAX_SUMS);
    for group in 0..groups {
        assert_eq!(read(&pages, group * GROUP + 1).expect("well"), block(group as u8));
    }
}
