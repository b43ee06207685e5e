use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn a_server_that_ends_early_fails_with_its_log() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut server = Server::start("the thing", &mut shell("echo port taken; exit 3"), &scratch.path("log"))?;
    let error = server.wait_for(Duration::from_secs(20), |_| None::<()>).expect_err("it has ended");
    let message = error.to_string();
    assert!(message.contains("the thing ended") && message.contains("port taken"), "{message}");
    Ok(())
}

#[test]
fn a_dropped_server_takes_its_children_along() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut server = Server::start("a parent", &mut shell("sleep 600 & echo $!; wait"), &scratch.path("log"))?;
    let grandchild = server.wait_for(Duration::from_secs(20), |log| log.strip_suffix('\n')?.parse().ok())?;
    let grandchild = Pid::from_raw(grandchild);
    drop(server);
    // It is reaped by init, not by us.
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_running = || {
        let state = std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    };
    while Path::new("/proc/self/stat").exists() && is_running() {
        assert!(Instant::now() < deadline, "the grandchild still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn failures_name_the_command_and_show_what_it_said() {
    let error = run_quietly(&mut shell("echo spoken; exit 1")).expect_err("it fails");
    assert!(error.to_string().contains("spoken") && error.to_string().contains("sh -c"), "{error}");
    let error = run(&mut Command::new("foremap-no-such-program")).expect_err("there is none");
    assert!(error.to_string().contains("is it installed"), "{error}");
}

#[test]
fn scratch_folders_are_removed() -> Result<()> {
    let scratch = Scratch::new()?;
    let file = scratch.path("file");
    std::fs::write(&file, "x")?;
    drop(scratch);
    assert!(!file.exists());
    Ok(())
}
