use super::*;

#[test]
fn a_url_names_servers_and_credentials() {
    let options = RedisOptions::from_url("redis://10.0.0.1:6379,db-2.local:6380,[::1]:7000/").expect("valid");
    assert_eq!(options.nodes, ["10.0.0.1:6379", "db-2.local:6380", "[::1]:7000"]);
    assert_eq!((options.user, options.password), (None, None));
    let options = RedisOptions::from_url("redis://fore%3Amap@h:1").expect("valid");
    assert_eq!((options.user.as_deref(), options.password.as_deref()), (Some("fore:map"), None));
    let options = RedisOptions { password: Some("secret".into()), ..options };
    assert!(!format!("{options:?}").contains("secret"));
}

#[test]
fn what_is_no_url_of_a_cluster_is_refused_in_words() {
    for (url, word) in [
        ("rediss://h:1", "TLS"),
        ("http://h:1", "redis://"),
        ("redis://", "host:port"),
        ("redis://h", "host:port"),
        ("redis://h:0", "host:port"),
        ("redis://h:70000", "host:port"),
        ("redis://h:1,", "host:port"),
        ("redis://h:1/2", "host:port"),
        ("redis://::1:7", "host:port"),
        ("redis://u:secret@h:1", "--store-password-file"),
        ("redis://:secret@h:1", "--store-password-file"),
        ("redis://%ff@h:1", "UTF-8"),
    ] {
        let error = RedisOptions::from_url(url).expect_err(url);
        assert!(error.contains(word) && !error.contains("secret"), "{url}: {error}");
    }
    let mut options = RedisOptions::from_url("redis://h:1").expect("valid");
    options.namespace = "a{b".into();
    assert!(options.check().is_err());
}
