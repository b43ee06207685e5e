use super::*;

/// Blobs stored under a name are found under no other.
#[test]
fn names_in_the_store_stay() {
    let names = Blob::ALL.map(Blob::name);
    assert_eq!(names, ["proposal", "model", "model-head", "model-state", "office-record"]);
}
