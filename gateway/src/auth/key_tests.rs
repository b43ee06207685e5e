use super::*;
use crate::auth::Verb;

const OLD: &[u8] = b"an old secret of thirty-two bytes or more";
const NEW: &[u8] = b"a new secret of thirty-two bytes or more";

fn both(first: &[u8], second: &[u8]) -> Vec<u8> {
    [first, b"\r\n\n  ", second, b" \n"].concat()
}

#[test]
fn the_first_secret_signs_and_each_checks() {
    let [old, new] = [OLD, NEW].map(|secret| TokenKey::new(secret).expect("a key"));
    let key = TokenKey::new(&both(NEW, OLD)).expect("a key");
    let sign = |key: &TokenKey| key.sign(&[Verb::Get], &[], 60).expect("signed");
    assert!(key.verify(&sign(&old), &[]).is_ok() && key.verify(&sign(&new), &[]).is_ok());
    assert!(new.verify(&sign(&key), &[]).is_ok() && old.verify(&sign(&key), &[]).is_err());
}

#[test]
fn a_secret_is_replaced_step_by_step_without_a_token_being_refused() {
    let (a, b) = (TokenKey::new(OLD).expect("a key"), TokenKey::new(OLD).expect("a key"));
    let clone = a.clone();
    let agree = || {
        for (signer, checker) in [(&a, &b), (&b, &clone)] {
            let token = signer.sign(&[Verb::Get], &[], 60).expect("signed");
            assert!(checker.verify(&token, &[]).is_ok());
        }
    };
    let before = a.sign(&[Verb::Get], &[], 60).expect("signed");
    // One process after the other sees each step of the file.
    for step in [both(OLD, NEW), both(NEW, OLD)] {
        assert!(a.replace(&step).expect("a key"));
        agree();
        assert!(b.replace(&step).expect("a key") && !b.replace(&step).expect("a key"));
        agree();
        assert!(a.verify(&before, &[]).is_ok());
    }
    assert!(a.replace(NEW).expect("a key") && b.replace(NEW).expect("a key"));
    agree();
    assert!(clone.verify(&before, &[]).is_err());
}

#[test]
fn a_key_is_long_enough_and_has_two_lines_at_most() {
    assert!(matches!(TokenKey::new(&[0; 31]), Err(TokenKeyError::Short)));
    assert!(matches!(TokenKey::new(b" \n\n"), Err(TokenKeyError::Short)));
    assert!(matches!(TokenKey::new(&both(NEW, b"short")), Err(TokenKeyError::Short)));
    assert!(matches!(TokenKey::new(&both(&both(NEW, OLD), OLD)), Err(TokenKeyError::TooMany(3))));
    // Not text: line feeds are bytes like others.
    let key = TokenKey::new(&[b'\n', 0, b'\n', 1].repeat(12)).expect("a key");
    assert_eq!(key.current().len(), 1);
    let before = key.sign(&[Verb::Get], &[], 60).expect("signed");
    assert!(key.replace(b"short").is_err() && key.verify(&before, &[]).is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_followed_and_a_bad_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, OLD).expect("written");
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
    let key = TokenKey::read(&path).expect("a key");
    let (stop, stopped) = watch::channel(false);
    let following = tokio::spawn(key.clone().follow(stopped));
    let token = TokenKey::new(NEW).expect("a key").sign(&[Verb::Get], &[], 60).expect("signed");
    std::fs::write(&path, b"short").expect("written");
    tokio::time::sleep(LOOK + LOOK / 4).await;
    assert!(key.verify(&token, &[]).is_err() && key.sign(&[], &[], 60).is_some());
    std::fs::write(&path, both(OLD, NEW)).expect("written");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while key.verify(&token, &[]).is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new secret is not followed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.send_replace(true);
    following.await.expect("it ended");
}
