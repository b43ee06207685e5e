use super::*;

#[test]
fn records_forget_by_halves() {
    let mut record = Record::default();
    for n in 0..1_000 {
        record.book();
        if n < 500 {
            record.pay_back();
        }
    }
    assert!(record.trials < Record::WINDOW && record.successes == 0, "{record:?}");
}
