use super::*;

fn seal(content: &[u8], namespace: &str) -> Seal {
    Seal::new(Some(TokenKey::new(content).expect("a key")), namespace)
}

const A: &[u8] = b"the first secret of these tests, long enough";
const B: &[u8] = b"the other secret of these tests, long enough";

#[test]
fn only_what_the_fleet_sealed_under_that_name_opens() {
    let own = seal(A, "n");
    let closed = own.close("map", b"content".to_vec());
    assert_eq!(own.open("map", closed.clone()), Ok(Opened { content: b"content".to_vec(), is_old: false }));
    for (name, other, bytes) in [
        ("another name", &own, closed.clone()),
        ("map", &seal(A, "m"), closed.clone()),
        ("map", &seal(B, "n"), closed.clone()),
        ("map", &Seal::new(None, "n"), closed.clone()),
        ("map", &own, b"content".to_vec()),
        ("map", &own, MAGIC.to_vec()),
        ("map", &own, Vec::new()),
    ] {
        assert!(matches!(other.open(name, bytes), Err(StoreError::Corrupt(_))), "{name}");
    }
    for at in 0..closed.len() {
        let mut bytes = closed.clone();
        bytes[at] ^= 1;
        assert!(own.open("map", bytes).is_err(), "byte {at}");
        assert!(own.open("map", closed[..at].to_vec()).is_err(), "{at} bytes");
    }
}

#[test]
fn without_a_key_nothing_is_sealed() {
    let open = Seal::new(None, "n");
    assert_eq!(open.close("map", b"content".to_vec()), b"content");
    assert_eq!(open.open("map", b"content".to_vec()).map(|opened| opened.content), Ok(b"content".to_vec()));
}

#[test]
fn an_old_seal_is_told_from_a_new_one() {
    let closed = seal(A, "n").close("map", b"content".to_vec());
    let both = |first: &[u8], second: &[u8]| seal(&[first, b"\n", second].concat(), "n");
    assert_eq!(both(A, B).open("map", closed.clone()).map(|opened| opened.is_old), Ok(false));
    assert_eq!(both(B, A).open("map", closed).map(|opened| opened.is_old), Ok(true));
    let mut known = None;
    assert!(both(A, B).is_renewed(&mut known) && !both(A, B).is_renewed(&mut known));
    assert!(!seal(A, "n").is_renewed(&mut known) && both(B, A).is_renewed(&mut known));
}
