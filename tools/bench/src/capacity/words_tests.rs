use super::*;

#[test]
fn figures_are_short_and_grouped() {
    let shown: Vec<_> = [0.0, 0.0001, 0.1234, 3.0, 3.456, 45.67, 999.0, 1_234.4, 12_345.0, 1.2345e9].map(count).into();
    assert_eq!(shown, ["0", "< 0.001", "0.123", "3", "3.46", "45.7", "999", "1,234", "12,300", "1,230,000,000"]);
    assert_eq!(bytes(1_536.0), "1.50 KiB");
    assert_eq!(bytes(3.0 * 1_024.0 * 1_024.0), "3 MiB");
    assert_eq!(share(0.025), "2.50 %");
}
