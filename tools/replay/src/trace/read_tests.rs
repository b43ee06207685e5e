use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("writing to memory");
    encoder.finish().expect("writing to memory")
}

fn read_bytes(bytes: &[u8]) -> Result<Trace> {
    parse(bytes)
}

#[test]
fn requests_keep_their_order_and_names_are_interned() -> Result<()> {
    let trace = read_bytes(b"timestamp_ms,client,key\n5,c0,a/b\n3,c1,a/c\n9,c0,a/b")?;
    let requests: Vec<_> = trace.requests.iter().map(|r| (r.at_ms, r.client, r.key)).collect();
    assert_eq!(requests, [(5, 0, 0), (3, 1, 1), (9, 0, 0)]);
    assert_eq!((trace.clients.len(), trace.keys), (2, vec!["a/b".to_owned(), "a/c".to_owned()]));
    Ok(())
}

#[test]
fn gzip_reads_as_the_plain_file() -> Result<()> {
    let text = "5,c0,a/b\r\n\r\n6,c0,a/c\r\n";
    let (plain, packed) = (read_bytes(text.as_bytes())?, read_bytes(&gzip(text))?);
    assert_eq!((plain.requests, plain.keys), (packed.requests, packed.keys));
    Ok(())
}

#[test]
fn bad_lines_are_counted_and_not_fatal() -> Result<()> {
    let long = "x".repeat(MAX_LINE + 10);
    let mut bytes = format!("timestamp_ms,client,key\n1,c0,a\nnonsense\n{long}\n").into_bytes();
    bytes.extend(b"2,c0,\xFF\n3,c0,b\n");
    let trace = read_bytes(&bytes)?;
    assert_eq!((trace.requests.len(), trace.bad), (2, 3));
    let lines: Vec<_> = trace.bad_lines.iter().map(|(number, _)| *number).collect();
    assert_eq!(lines, [3, 4, 5]);
    Ok(())
}

#[test]
fn lines_before_the_first_good_one_are_bad_and_not_fatal() -> Result<()> {
    let log = r#"h1 - - [10/Oct/2000:13:55:36 -0700] "GET /a/ HTTP/1.0" 200 23"#;
    for (text, key) in [(format!("-\n\n{log}\n-\n"), "a/_index"), ("time,who,what\n1,c0,a\n,c0,b\n".to_owned(), "a")] {
        let trace = read_bytes(text.as_bytes())?;
        assert_eq!((trace.keys, trace.bad), (vec![key.to_owned()], 2));
    }
    let marked = read_bytes("\u{FEFF}timestamp_ms,client,key\n1,c0,a\n".as_bytes())?;
    assert_eq!((marked.requests.len(), marked.bad), (1, 0));
    Ok(())
}

#[test]
fn an_access_log_is_recognised() -> Result<()> {
    let line = r#"h1 - - [10/Oct/2000:13:55:36 -0700] "GET /a/ HTTP/1.0" 200 23"#;
    let trace = read_bytes(format!("{line}\n{}\n", line.replace("GET", "POST")).as_bytes())?;
    assert_eq!((trace.keys, trace.passed_over), (vec!["a/_index".to_owned()], 1));
    Ok(())
}

#[test]
fn a_file_that_is_no_trace_is_a_clear_error() {
    let message = |bytes: &[u8]| format!("{:#}", read_bytes(bytes).expect_err("must not read"));
    assert!(message(b"hello\n").contains("neither"));
    assert!(message(b"").contains("no request"));
    assert!(message(&[0; 3 * MAX_LINE]).contains("longer than"));
    assert!(message(format!("{}1,c0,a\n", "-\n".repeat(MAX_PREAMBLE)).as_bytes()).contains("neither"));
    let packed = gzip(&"1,c0,a\n".repeat(1_000));
    assert!(message(&packed[..packed.len() / 2]).contains("after line"));
    assert!(
        format!("{:#}", read(std::path::Path::new("/nonexistent/trace")).expect_err("must not read"))
            .contains("/nonexistent")
    );
}
