//! Ranks as processes: started by a launcher's variables, or by the program itself.

use std::path::Path;
use std::process::Command;

use crate::program::{end, polder_gpu, said, signal, start, train, wait_for_checkpoint, wait_for_steps, weights};

/// A port that was free a moment ago.
fn port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").expect("port").local_addr().expect("address").port()
}

/// The command of a rank as a launcher starts it.
fn rank(dir: &Path, run: &str, steps: u64, rank: usize, port: u16) -> Command {
    let mut command = train(dir, run, steps, &[]);
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", "2").env("MASTER_PORT", port.to_string());
    command
}

#[test]
fn two_processes_of_a_launcher_make_the_weights_of_two_ranks_in_one_process() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    said(&mut train(dir.path(), "threads", 12, &["--set", "ranks=2"])).well();
    let port = port();
    let processes = [0, 1].map(|r| start(&mut rank(dir.path(), "processes", 12, r, port)));
    let [first, second] = processes.map(|child| end(child).well());
    assert!(first.contains("2 ranks") && first.contains("untested"), "{first}");
    assert!(first.contains("MFU") && !second.contains("loss"), "{second}");
    assert!(weights(dir.path(), "processes") == weights(dir.path(), "threads"));
}

#[test]
fn the_program_starts_the_ranks_of_a_host_itself_and_a_signal_stops_all_of_them() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let steps = 400;
    said(&mut train(dir.path(), "threads", steps, &["--set", "ranks=2"])).well();
    let mut command = train(dir.path(), "started", steps, &["--gpus", "2"]);
    let child = start(&mut command);
    wait_for_steps(dir.path(), "started", 3);
    signal(&child, "TERM");
    let stopped = end(child);
    assert_eq!(stopped.code, Some(130), "{}", stopped.err);
    assert!(stopped.err.contains("rank 1 of 2") && stopped.err.contains("Run the same command again"), "{}", stopped.err);
    let again = said(&mut command).well();
    assert!(again.contains("going on after step"), "{again}");
    assert!(weights(dir.path(), "started") == weights(dir.path(), "threads"));
}

#[test]
fn a_rank_that_is_killed_ends_the_other_which_says_so_and_the_run_goes_on_from_its_checkpoint() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let (steps, every) = (200, ["--set", "checkpoint_every=2"]);
    said(train(dir.path(), "threads", steps, &["--set", "ranks=2"]).args(every)).well();
    for killed in [1, 0] {
        let port = port();
        let run = format!("killed-{killed}");
        let mut processes = [0, 1].map(|r| Some(start(rank(dir.path(), &run, steps, r, port).args(every))));
        wait_for_steps(dir.path(), &run, 3);
        wait_for_checkpoint(dir.path(), &run);
        let mut victim = processes[killed].take().expect("a process");
        victim.kill().expect("SIGKILL");
        victim.wait().expect("ends");
        let other = end(processes[1 - killed].take().expect("a process"));
        assert_eq!(other.code, Some(1), "{}", other.err);
        assert!(other.err.contains("another of the 2 ranks has stopped") && other.err.contains("hint: "), "{}", other.err);
        let again = [0, 1].map(|r| start(rank(dir.path(), &run, steps, r, port).args(every)));
        let [first, _] = again.map(|child| end(child).well());
        assert!(first.contains("going on after step"), "{first}");
        assert!(weights(dir.path(), &run) == weights(dir.path(), "threads"), "rank {killed}");
    }
}

#[test]
fn wrong_variables_and_contradictions_are_usage_errors_with_a_hint() {
    let dir = tempfile::tempdir().expect("temporary folder");
    polder_testkit::token_set(dir.path(), true);
    let wrong = |more: &[&str], variables: &[(&str, &str)]| {
        let said = said(train(dir.path(), "run", 2, more).envs(variables.iter().copied()));
        assert_eq!(said.code, Some(2), "{}", said.err);
        assert!(said.err.contains("hint: "), "{}", said.err);
        said.err
    };
    assert!(wrong(&[], &[("WORLD_SIZE", "2")]).contains("RANK is not set"));
    assert!(wrong(&[], &[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("RANK cannot be `2`"));
    let two = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "1")];
    assert!(wrong(&["--gpus", "4"], &two).contains("--gpus 4"));
    assert!(wrong(&["--set", "ranks=4"], &two).contains("ranks=4"));
    // Four sequences cannot be shared by three.
    let said = said(&mut train(dir.path(), "run", 2, &["--gpus", "3"]));
    assert!(said.code == Some(2) && said.err.contains("`ranks` cannot be"), "{}", said.err);
    assert!(!dir.path().join("run").exists());
    let help = String::from_utf8_lossy(&polder_gpu(&["train", "--help"]).stdout).into_owned();
    assert!(["--gpus", "WORLD_SIZE", "untested", "--set"].iter().all(|word| help.contains(word)), "{help}");
}
