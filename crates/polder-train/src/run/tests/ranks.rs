//! Ranks of one run, each with a connection of its own.

use super::*;

/// Runs as processes do, each rank opening the run for itself over a connection; stops after each of some steps, on the rank that asks.
fn over_tcp(run_dir: &Path, tokens: &Path, config: &TrainConfig, init: &Init, stops: &[(usize, u64)]) -> (Vec<f32>, Vec<Metric>) {
    let never = (config.ranks, 0);
    let mut end = Vec::new();
    for (asks, stop_at) in stops.iter().copied().chain([never]) {
        end = tcp_ranks(config.ranks, |ranks| {
            let (rank, stop) = (ranks.rank(), AtomicBool::new(false));
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), run_dir, tokens, config, init).expect("open");
            let mut on_step = |report: &StepReport| stop.store(rank == asks && report.metric.step >= stop_at, Ordering::Relaxed);
            let outcome = run.run_rank(&stop, None, &mut on_step).expect("run");
            let expected = if asks < config.ranks { Outcome::Interrupted { step: stop_at } } else { Outcome::Finished };
            assert_eq!(outcome, expected, "rank {rank}");
            (run.network.params().to_vec(), without_speed(run.metrics()))
        });
    }
    let first = end.swap_remove(0);
    assert!(end.iter().all(|(params, _)| *params == first.0), "all ranks end with the same parameters");
    first
}

/// Does something on each rank's thread, the ranks connected over the loopback.
fn tcp_ranks<R: Send>(n_ranks: usize, work: impl Fn(TcpRank) -> R + Sync) -> Vec<R> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let port = listener.local_addr().expect("address").port();
    let place = |rank| RankPlace { rank, n_ranks, local_rank: None, n_local_ranks: n_ranks, host: "127.0.0.1".into(), port };
    std::thread::scope(|scope| {
        let (work, listener, place) = (&work, &listener, &place);
        let rank = |rank: usize| {
            scope.spawn(move || {
                let patience = Patience::default();
                work(match rank {
                    0 => TcpRank::gather(listener, n_ranks, patience, &mut || true).expect("met"),
                    _ => TcpRank::meet(&place(rank), patience).expect("met"),
                })
            })
        };
        let threads: Vec<_> = (0..n_ranks).map(rank).collect();
        threads.into_iter().map(|t| t.join().expect("rank")).collect()
    })
}

#[test]
fn ranks_that_are_connected_end_with_the_bits_of_ranks_in_one_process_however_often_they_were_stopped() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (base, init) = settings();
    for n_ranks in [2, 3] {
        let mut config = TrainConfig { steps: 12, batch_size: 6, micro_batch_size: 1, ranks: n_ranks, ..base.clone() };
        config.set_all(&["optimizer=muon"]).expect("settings");
        let at = |name: &str| dir.path().join(format!("{name}-{n_ranks}"));
        let local = with_stops(&at("local"), &TokenFolders::from(&tokens), &config, &init, &[]);
        assert_eq!(over_tcp(&at("whole"), &tokens, &config, &init, &[]), local);
        // Whichever rank is asked to stop; and what ranks in one process began, connected ones go on with, and the reverse.
        assert_eq!(over_tcp(&at("parts"), &tokens, &config, &init, &[(0, 1), (1, 5), (n_ranks - 1, 10)]), local);
        let mut run = TrainRun::start_or_resume(&at("mixed"), &tokens, &config, &init).expect("start");
        let stop = AtomicBool::new(false);
        run.run(&stop, &mut |report| stop.store(report.metric.step >= 3, Ordering::Relaxed)).expect("run");
        drop(run);
        tcp_ranks(n_ranks, |ranks| {
            let (leads, stop) = (ranks.rank() == 0, AtomicBool::new(false));
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &at("mixed"), &tokens, &config, &init).expect("open");
            assert_eq!(run.step(), 3);
            let mut on_step = |report: &StepReport| stop.store(leads && report.metric.step >= 7, Ordering::Relaxed);
            run.run_rank(&stop, None, &mut on_step).expect("run");
        });
        assert_eq!(with_stops(&at("mixed"), &TokenFolders::from(&tokens), &config, &init, &[]), local);
    }
}

#[test]
fn a_connected_rank_that_dies_ends_the_others_and_the_last_checkpoint_stays_good() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { steps: 12, batch_size: 6, micro_batch_size: 1, ranks: 3, ..config };
    let whole = with_stops(&dir.path().join("whole"), &TokenFolders::from(&tokens), &config, &init, &[]);
    for dies in 0..3 {
        let run_dir = dir.path().join(format!("dies-{dies}"));
        let ends = tcp_ranks(3, |ranks| {
            let rank = ranks.rank();
            let mut run = TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &run_dir, &tokens, &config, &init).expect("open");
            // Whatever happens in a step, its connections are closed as those of a process that is no more.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
                run.run_rank(&AtomicBool::new(false), None, &mut |report| {
                    assert!(rank != dies || report.metric.step < 6, "this rank dies");
                })
            }))
        });
        for (rank, end) in ends.into_iter().enumerate() {
            match end {
                Err(_) => assert_eq!(rank, dies),
                Ok(end) => {
                    let error = end.expect_err("nobody goes on alone");
                    assert!(matches!(error, TrainError::Collective(CollectiveError::Left { n_ranks: 3 })), "rank {rank}: {error}");
                    assert!(polder_base::Advice::hint(&error).expect("hint").contains("last checkpoint"));
                }
            }
        }
        let run = TrainRun::start_or_resume(&run_dir, &tokens, &config, &init).expect("resume");
        assert_eq!(run.step(), 4, "the checkpoint before");
        drop(run);
        assert_eq!(over_tcp(&run_dir, &tokens, &config, &init, &[]), whole);
    }
}

#[test]
fn connected_ranks_that_have_not_opened_the_same_run_are_refused_all_of_them() {
    let dir = tempfile::tempdir().expect("folder");
    let tokens = token_set(dir.path(), true);
    let (config, init) = settings();
    let config = TrainConfig { batch_size: 6, micro_batch_size: 1, ranks: 3, ..config };
    let ends = tcp_ranks(3, |ranks| {
        let config = TrainConfig { weight_decay: if ranks.rank() == 2 { 0.2 } else { 0.1 }, ..config.clone() };
        let mut run =
            TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &dir.path().join("run"), &tokens, &config, &init).expect("open");
        run.run_rank(&AtomicBool::new(false), None, &mut |_| {}).expect_err("refused")
    });
    assert!(ends.iter().all(|e| matches!(e, TrainError::RanksDiffer { what } if what.contains("settings"))), "{ends:?}");
    let ends = tcp_ranks(2, |ranks| {
        TrainRun::start_or_resume_rank(Cpu::new(), Box::new(ranks), &dir.path().join("run"), &tokens, &config, &init).err()
    });
    assert!(ends.iter().all(|e| matches!(e, Some(TrainError::Option { option: "ranks", .. }))), "{ends:?}");
}
