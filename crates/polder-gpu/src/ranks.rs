//! How the ranks of a run come together: started here, or by a launcher that says so in variables.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use polder_base::{Advised, ExitKind};
use polder_compute::cuda::{NcclRank, gpu_of};
use polder_compute::{Backend, Collective, Patience, RankPlace, TcpRank};

use crate::commands::{OrAdvise, usage};
use crate::note;

/// What is known of a run's processes before they meet.
pub struct Ranks {
    /// Which one this is.
    pub place: RankPlace,
    /// This one starts the others.
    starts_others: bool,
}

impl Ranks {
    /// Reads the variables of a launcher, else the number of ranks asked for; `None` where one process is all.
    ///
    /// # Errors
    /// Variables that cannot be, or that contradict the number asked for.
    pub fn look(n_gpus: usize) -> anyhow::Result<Option<Self>> {
        let found = RankPlace::of_variables(|name| std::env::var(name).ok()).or_advise()?;
        let starts_others = found.is_none();
        let place = found.unwrap_or_else(|| local_place(n_gpus));
        if n_gpus > 1 && n_gpus != place.n_local_ranks {
            let message = format!("--gpus {n_gpus} and {} ranks on this host by WORLD_SIZE contradict each other", place.n_local_ranks);
            return Err(usage(message, "Leave --gpus out where a launcher starts the ranks.".to_owned()));
        }
        Ok((place.n_ranks > 1).then_some(Self { place, starts_others }))
    }

    /// Waits until all ranks have come, and says how they are connected.
    ///
    /// # Errors
    /// Not all have come, or they do not fit together.
    pub fn meet<B: Backend>(&self, stop: &AtomicBool) -> anyhow::Result<(Box<dyn Collective<B>>, Others)> {
        let (mut others, mut ranks) = (Others(Vec::new()), None);
        if self.starts_others {
            let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on the loopback")?;
            others = Others::start(self.place.n_ranks, listener.local_addr()?.port())?;
            let mut go_on = || !stop.load(Ordering::Relaxed) && others.first_ended().is_none();
            let met = TcpRank::gather(&listener, self.place.n_ranks, Patience::default(), &mut go_on);
            if let Some(rank) = others.first_ended() {
                let message = format!("rank {rank} has ended before all had come");
                return Err(anyhow::Error::new(Advised::new(message, "Look at what it said.", ExitKind::Failed)));
            }
            ranks = Some(met.or_advise()?);
        }
        let ranks = ranks.map_or_else(|| TcpRank::meet(&self.place, Patience::default()).or_advise(), Ok)?;
        Ok((self.connect(ranks)?, others))
    }

    /// Takes the GPUs where every rank has one and NCCL, else stays with TCP.
    fn connect<B: Backend>(&self, mut ranks: TcpRank) -> anyhow::Result<Box<dyn Collective<B>>> {
        let gpu = gpu_of(&self.place);
        let (n_ranks, leads) = (ranks.n_ranks(), self.place.rank == 0);
        let all_have = ranks.all(gpu.is_ok()).or_advise()?;
        match gpu {
            Ok(gpu) if all_have => {
                if leads {
                    note(&format!("{n_ranks} ranks: sums by NCCL over GPUs, which is untested with more than one"));
                }
                Ok(Box::new(NcclRank::try_new(ranks, gpu).or_advise()?))
            }
            gpu => {
                if leads {
                    let why = gpu.err().map_or_else(|| "another rank has no GPU or no NCCL".to_owned(), |e| e.to_string());
                    note(&format!("{n_ranks} ranks: sums over TCP ({why}; more than one GPU is untested so far)"));
                }
                Ok(Box::new(ranks))
            }
        }
    }
}

fn local_place(n_ranks: usize) -> RankPlace {
    RankPlace { rank: 0, n_ranks, local_rank: Some(0), n_local_ranks: n_ranks, host: "127.0.0.1".to_owned(), port: 0 }
}

/// The processes of ranks that this one has started. Dropping it waits for them.
pub struct Others(Vec<Child>);

/// How long ranks may take to end once the first one has left; what they have to do then takes no time.
const FAREWELL: Duration = Duration::from_secs(20);

impl Others {
    /// Starts this program with these arguments as every other rank.
    fn start(n_ranks: usize, port: u16) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program, to start it as other ranks")?;
        let mut others = Self(Vec::new());
        for rank in 1..n_ranks {
            let variables = [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", n_ranks), ("LOCAL_WORLD_SIZE", n_ranks)];
            let child = Command::new(&program)
                .args(std::env::args_os().skip(1))
                .envs(variables.map(|(name, value)| (name, value.to_string())))
                .envs([("MASTER_ADDR", "127.0.0.1".to_owned()), ("MASTER_PORT", port.to_string())])
                .stdin(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot start rank {rank}"))?;
            others.0.push(child);
        }
        Ok(others)
    }

    /// A rank whose process is no more.
    fn first_ended(&mut self) -> Option<usize> {
        self.0.iter_mut().position(|child| !matches!(child.try_wait(), Ok(None))).map(|i| i + 1)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        let started = Instant::now();
        for child in &mut self.0 {
            while matches!(child.try_wait(), Ok(None)) && started.elapsed() < FAREWELL {
                std::thread::sleep(Duration::from_millis(10));
            }
            // One that has ended is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
