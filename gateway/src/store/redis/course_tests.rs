use super::*;

fn error(line: &str) -> Value {
    ::redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).expect("an error reply")
}

fn ask() -> Value {
    error("ASK 1 h:2")
}

fn server(port: u16) -> Address {
    Address { host: "h".into(), port }
}

fn course(commands: usize) -> Course {
    let command = |nth: usize| {
        let mut command = ::redis::cmd("ECHO");
        command.arg(nth);
        command
    };
    Course::new(PlacedRequest::new(KeyPlace::Shard(0), (0..commands).map(command).collect::<Vec<_>>()))
}

/// The numbers of the commands that are to be sent.
fn sent(course: &Course) -> Vec<String> {
    let number = |command: &Cmd| match command.args_iter().nth(1) {
        Some(::redis::Arg::Simple(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    course.commands().iter().map(number).collect()
}

#[test]
fn only_what_was_redirected_goes_to_the_importing_master_and_the_order_is_kept() {
    let mut course = course(5);
    let answers = vec![Value::Int(0), ask(), ask(), Value::Int(3), ask()];
    assert_eq!(course.take(Ok(answers), RequestKind::Read), Next::Send);
    assert_eq!(course.to, To::Importer { address: server(2), commands: 2 });
    assert!(course.is_asking());
    assert_eq!(sent(&course), ["1", "2"]);
    assert_eq!(course.take(Ok(vec![Value::Int(1), Value::Int(2)]), RequestKind::Read), Next::Send);
    // What came after a redirection is asked for again: the later answers must not be older than the earlier ones.
    assert!(course.to == To::Owner && !course.is_asking());
    assert_eq!(sent(&course), ["3", "4"]);
    assert_eq!(course.take(Ok(vec![Value::Int(3), ask()]), RequestKind::Read), Next::Send);
    assert_eq!(sent(&course), ["4"]);
    // It has left meanwhile, or another one has: back to the owner.
    assert_eq!(course.take(Err(Fault::Moving("TRYAGAIN".into())), RequestKind::Read), Next::Pause);
    assert!(course.to == To::Owner && !course.is_asking());
    assert_eq!(course.take(Ok(vec![Value::Int(4)]), RequestKind::Read), Next::End);
    assert_eq!(course.end(), Ok((0..5).map(Value::Int).collect()));
}

#[test]
fn a_newer_topology_is_waited_for_but_not_for_ever() {
    let mut course = course(1);
    let elsewhere = || Err(Fault::Elsewhere("MOVED 1 h:2".into()));
    for _ in 0..MAX_RENEWED {
        assert_eq!(course.take(elsewhere(), RequestKind::Write), Next::Renew);
        assert_eq!(course.to, To::Owner);
    }
    assert_eq!(course.take(elsewhere(), RequestKind::Write), Next::End);
    assert_eq!(course.end(), elsewhere());
}

#[test]
fn a_write_that_may_have_been_executed_is_not_sent_again() {
    for fault in [Fault::Dropped("gone".into()), Fault::Uncounted("alone".into())] {
        let mut course = course(1);
        assert_eq!(course.take(Err(fault.clone()), RequestKind::Write), Next::End);
        assert_eq!(course.end(), Err(fault));
    }
    let mut read = course(1);
    assert_eq!(read.take(Err(Fault::Dropped("gone".into())), RequestKind::Read), Next::Send);
    assert_eq!(read.take(Err(Fault::Dropped("gone".into())), RequestKind::Read), Next::End);
    // Functions are loaded where they are missing, which is not the owner while its slot is on its way.
    let mut fresh = course(1);
    assert_eq!(fresh.take(Ok(vec![ask()]), RequestKind::Write), Next::Send);
    assert_eq!(fresh.take(Err(Fault::NoFunctions), RequestKind::Write), Next::Load);
    assert_eq!(fresh.to, To::Importer { address: server(2), commands: 1 });
    assert_eq!(fresh.take(Err(Fault::NoFunctions), RequestKind::Write), Next::End);
}
