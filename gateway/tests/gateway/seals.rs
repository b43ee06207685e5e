//! A store that strangers can write to as well: they get neither requests nor tokens.

use std::time::Duration;

use foremap::control::{Member, MemberState};
use foremap::partition::{MapNode, PartitionMap};
use foremap_gateway::auth::TokenKey;
use foremap_gateway::store::{
    Blob, Namespace as _, RedisOptions, RedisStore, Registry as _, StoreError, Term, Values as _,
};

use crate::patient::Patient;
use crate::redis::{open, options, shared};

const OLD: &[u8] = b"the secret that a fleet begins with, long enough";
const NEW: &[u8] = b"the secret that takes its place, as long as that";
const TTL: Duration = Duration::from_secs(60);

fn member(id: u32, origin: &str) -> Member {
    Member { id, incarnation: id.into(), origin: origin.into(), weight: 1, state: MemberState::Serving, warm_for: 0 }
}

fn map(store: &Patient<RedisStore>, origin: &str) -> std::sync::Arc<PartitionMap> {
    let nodes = vec![MapNode { id: 1, origin: origin.into(), weight: 1 }];
    PartitionMap::new(7, 64, store.layout(), nodes).into()
}

async fn with(base: &RedisOptions, key: Option<&[u8]>) -> (Patient<RedisStore>, Option<TokenKey>) {
    let token_key = key.map(|content| TokenKey::new(content).expect("a key"));
    (open(&RedisOptions { token_key: token_key.clone(), ..base.clone() }).await, token_key)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stranger_writes_steers_nobody() {
    let cluster = shared();
    let base = options(&cluster);
    let (fleet, _) = with(&base, Some(OLD)).await;
    let genuine = map(&fleet, "http://gateway:1");
    assert!(fleet.announce(member(1, "http://gateway:1"), TTL).await.expect("announced"));
    assert!(fleet.put_map(None, genuine.clone(), 0).await.expect("stored"));
    assert!(fleet.put_blob(Blob::Leader, Some(b"record".to_vec()), Term::MAX >> 12).await.expect("stored"));

    for key in [None, Some(NEW)] {
        let (stranger, _) = with(&base, key).await;
        assert!(matches!(stranger.map().await, Err(StoreError::Corrupt(_))), "nor does it read what the fleet wrote");
        assert!(stranger.announce(member(9, "http://stranger:1"), TTL).await.expect("announced"));
        let members = fleet.members().await.expect("read");
        assert_eq!(members.iter().map(|member| member.id).collect::<Vec<_>>(), [1]);
        assert_eq!(fleet.blob(Blob::Leader).await, Ok(Some(b"record".to_vec())));
        assert!(
            stranger
                .put_blob(Blob::Leader, Some(b"http://stranger:1".to_vec()), Term::MAX >> 12)
                .await
                .expect("stored")
        );
        assert!(matches!(fleet.blob(Blob::Leader).await, Err(StoreError::Corrupt(_))));
        assert!(fleet.put_blob(Blob::Leader, Some(b"record".to_vec()), Term::MAX >> 12).await.expect("stored"));
    }

    let (stranger, _) = with(&base, None).await;
    let forged = map(&stranger, "http://stranger:1");
    assert!(stranger.put_map(Some(genuine.epoch), forged, Term::MAX >> 12).await.expect("stored"));
    let (later, _) = with(&base, Some(OLD)).await;
    let error = later.map().await.expect_err("the map is a stranger's").to_string();
    assert!(error.contains("no seal") && error.contains("DEL "), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_of_seals_is_replaced_without_a_gap() {
    let cluster = shared();
    let base = options(&cluster);
    let (fleet, key) = with(&base, Some(OLD)).await;
    let genuine = map(&fleet, "http://gateway:1");
    assert!(fleet.put_map(None, genuine.clone(), 0).await.expect("stored"));
    for blob in Blob::ALL {
        assert!(fleet.put_blob(blob, Some(blob.name().into()), 1).await.expect("stored"));
    }
    fleet.map().await.expect("read").expect("a map");
    // The old one alone reads what the old one sealed, and both do while there are two.
    key.expect("a key").replace(&[NEW, b"\n", OLD].concat()).expect("a key");
    for _ in 0..2 {
        assert_eq!(fleet.map().await.expect("read"), Some(genuine.clone()), "the look that seals anew");
    }
    let (later, _) = with(&base, Some(NEW)).await;
    assert_eq!(later.map().await.expect("read"), Some(genuine));
    for blob in Blob::ALL {
        assert_eq!(later.blob(blob).await, Ok(Some(blob.name().into())), "{blob:?}");
    }
}
