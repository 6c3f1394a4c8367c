//! Ended at any moment and run again, the workflow leaves what an undisturbed run leaves.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::finished::{Left, copy_untrained, finished, folder};
use crate::packages::Draw;
use crate::program::{command, finish, line, quickstart, sql, wait_until};

/// Sends a signal to a running program.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{name}");
}

fn is_soak() -> bool {
    std::env::var_os("POLDER_SOAK").is_some_and(|v| v == "1")
}

#[test]
fn killed_at_random_moments_and_run_again_it_ends_in_the_same_lake() {
    let n_kills = if is_soak() { 100 } else { 10 };
    let seed = std::env::var("POLDER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let whole = finished();
    eprintln!("{n_kills} kills, POLDER_SEED={seed}");
    let draw = &mut Draw::new(seed);
    // Short enough that a lake is struck about ten times from its first file to its last, long enough to get on.
    let longest = (whole.took.as_micros() as u64 / 3).max(300_000);
    let mut done = 0;
    while done < n_kills {
        let lake = folder("killed").join("lake");
        let mut moments = Vec::new();
        while done < n_kills && moments.len() < 10 {
            let moment = Duration::from_micros(draw.below(longest));
            let mut child = command(&lake).args(quickstart(&whole.source)).spawn().expect("starts");
            std::thread::sleep(moment);
            if child.try_wait().expect("a child").is_some() {
                break;
            }
            child.kill().expect("SIGKILL");
            child.wait().expect("ends");
            moments.push(moment);
            done += 1;
        }
        let said = finish(command(&lake).args(quickstart(&whole.source)));
        assert_eq!(said.code, Some(0), "after kills at {moments:?}:\n{}", said.err);
        Left::read(&lake).must_equal(&whole.left, &format!("after kills at {moments:?}"));
        let counted =
            "SELECT verb, subject, run_id, count(*) AS n FROM ops.facts WHERE verb <> 'serve' GROUP BY 1, 2, 3 HAVING count(*) > 1";
        let twice = sql(&lake, counted);
        assert!(twice.is_empty(), "after kills at {moments:?}, told more than once: {twice:?}");
        line(&lake, "facts sync").well();
    }
}

/// Steps that the run in a lake has written down.
fn steps_trained(lake: &Path) -> usize {
    let runs = fs::read_dir(lake.join("runs")).into_iter().flatten().flatten();
    let training = runs.filter(|e| e.file_name().to_string_lossy().starts_with("train-"));
    training.filter_map(|e| fs::read_to_string(e.path().join("metrics.jsonl")).ok()).map(|t| t.lines().count()).sum()
}

#[test]
fn stopped_while_it_trains_it_says_so_and_goes_on_afterwards() {
    let whole = finished();
    let weights = "models/quickstart/1/model.safetensors";
    for name in ["INT", "TERM"] {
        let lake = copy_untrained(name);
        let child = command(&lake).args(quickstart(&whole.source)).spawn().expect("starts");
        wait_until("training has begun", || steps_trained(&lake) >= 2);
        signal(&child, name);
        let output = child.wait_with_output().expect("ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "SIG{name}: {err}");
        assert!(err.contains("stopped after step") && err.contains("hint: Run the same command again"), "SIG{name}: {err}");
        assert!(!lake.join(weights).exists(), "SIG{name} came before the end of training: {err}");
        let said = finish(command(&lake).args(quickstart(&whole.source))).well();
        assert!(said.err.contains("going on after step"), "SIG{name}: {}", said.err);
        assert_eq!(fs::read(lake.join(weights)).expect("weights"), fs::read(whole.lake.join(weights)).expect("weights"), "SIG{name}");
    }
}
