//! How ranks that are processes find each other: the variables that launchers set, and the first rank's port.
//!
//! The first rank listens at `MASTER_ADDR:MASTER_PORT`; each other one connects, says who it is, and waits until all have come. Whoever
//! reaches the port can be a rank, so it belongs in a network whose hosts trust each other; without `MASTER_ADDR` it is the loopback.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use polder_base::{Advice, ExitKind};
use thiserror::Error;

/// Begins what a rank says first; the last byte is the version of what follows.
const MAGIC: [u8; 8] = *b"polder\0\x01";

/// How long a connection may take to say who it is, and one attempt to connect.
const HELLO: Duration = Duration::from_secs(5);

/// Pause between two looks at a port.
const PAUSE: Duration = Duration::from_millis(20);

/// Which rank a process is, and where the first one waits for the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankPlace {
    /// This rank, from 0.
    pub rank: usize,
    /// How many there are.
    pub n_ranks: usize,
    /// Its place among the ranks of its host, where that was said.
    pub local_rank: Option<usize>,
    /// Ranks on its host.
    pub n_local_ranks: usize,
    /// Name or address of the first rank's host.
    pub host: String,
    /// The port that the first rank listens on.
    pub port: u16,
}

/// How long ranks have patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until all have come.
    pub gather: Duration,
    /// For what another one has to say: it may be judging the model, or writing a checkpoint.
    pub answer: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { gather: Duration::from_secs(300), answer: Duration::from_secs(1800) }
    }
}

/// Why ranks do not come together.
#[derive(Debug, Error)]
pub enum RendezvousError {
    /// A variable is missing.
    #[error("the variable {name} is not set")]
    Unset {
        /// Its name.
        name: &'static str,
    },
    /// A variable has a value that it cannot have.
    #[error("the variable {name} cannot be `{value}`")]
    Variable {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// The first rank cannot listen.
    #[error("rank 0 cannot listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Not all have come.
    #[error("ranks {missing:?} of {n_ranks} have not come within {} s", waited.as_secs_f32())]
    Missing {
        /// Who is missing.
        missing: Vec<usize>,
        /// How many there should be.
        n_ranks: usize,
        /// How long was waited.
        waited: Duration,
    },
    /// Nobody listens.
    #[error("rank 0 does not answer on {address} within {} s", waited.as_secs_f32())]
    Nobody {
        /// Where.
        address: String,
        /// How long was waited.
        waited: Duration,
        /// What the last attempt said.
        #[source]
        source: io::Error,
    },
    /// Two processes are the same rank.
    #[error("two processes are rank {rank}")]
    Twice {
        /// Which.
        rank: usize,
    },
    /// A rank counts another number of ranks.
    #[error("rank {rank} counts another number of ranks than rank 0")]
    OtherCount {
        /// Which.
        rank: usize,
    },
    /// Another program listens there, or another version of this one.
    #[error("what answers on {address} is not rank 0 of this version")]
    Stranger {
        /// Where.
        address: String,
    },
    /// The first rank has ended, or given up, before all had come.
    #[error("rank 0 has ended before all ranks had come")]
    Ended,
    /// The caller does not want to wait any more.
    #[error("waiting for the other ranks was given up")]
    GivenUp,
    /// A connection failed.
    #[error("the connection to rank {rank} failed")]
    Connection {
        /// Of whom.
        rank: usize,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Advice for RendezvousError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unset { .. } | Self::Variable { .. } => {
                Some("Each process needs RANK (from 0), WORLD_SIZE, MASTER_PORT and, with several hosts, MASTER_ADDR.".into())
            }
            Self::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
                Some("Another program listens there. Set MASTER_PORT to a free port, the same for every rank.".into())
            }
            Self::Listen { .. } => Some("Set MASTER_ADDR to an address of the host on which rank 0 runs.".into()),
            Self::Missing { .. } => Some("Start them with the same MASTER_ADDR and MASTER_PORT; look at what they said.".into()),
            Self::Nobody { .. } => Some("Start rank 0, and check MASTER_ADDR, MASTER_PORT and the firewall between the hosts.".into()),
            Self::Twice { .. } => Some("Give each process its own RANK.".into()),
            Self::OtherCount { .. } => Some("Give every process the same WORLD_SIZE.".into()),
            Self::Stranger { .. } => Some("Run the same version on every host, and a MASTER_PORT that nothing else uses.".into()),
            Self::Ended => Some("Look at what rank 0 said.".into()),
            Self::GivenUp | Self::Connection { .. } => None,
        }
    }

    fn exit(&self) -> ExitKind {
        match self {
            Self::Unset { .. } | Self::Variable { .. } | Self::Twice { .. } | Self::OtherCount { .. } => ExitKind::Usage,
            Self::GivenUp => ExitKind::Interrupted,
            _ => ExitKind::Failed,
        }
    }
}

impl RankPlace {
    /// Reads the variables that launchers set: `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`, and where they are there `LOCAL_RANK`
    /// and `LOCAL_WORLD_SIZE`. `None` where nobody speaks of ranks. Where `TORCHELASTIC_USE_AGENT_STORE` says that the launcher listens at that port,
    /// it is the next one.
    ///
    /// # Errors
    /// One is missing, or cannot be what it is.
    pub fn of_variables(read: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, RendezvousError> {
        let number = |name: &'static str, below: usize| match read(name) {
            None => Ok(None),
            Some(value) => match value.trim().parse::<usize>() {
                Ok(n) if n < below => Ok(Some(n)),
                _ => Err(RendezvousError::Variable { name, value }),
            },
        };
        let needed = |name, value: Option<usize>| value.ok_or(RendezvousError::Unset { name });
        if read("RANK").is_none() && read("WORLD_SIZE").is_none() {
            return Ok(None);
        }
        let n_ranks = needed("WORLD_SIZE", number("WORLD_SIZE", u32::MAX as usize)?.filter(|n| *n > 0))?;
        let rank = needed("RANK", number("RANK", n_ranks)?)?;
        let host = read("MASTER_ADDR").unwrap_or_else(|| "127.0.0.1".to_owned());
        // One rank meets nobody.
        let port = number("MASTER_PORT", 1 << 16)?.or((n_ranks == 1).then_some(0));
        let mut port = needed("MASTER_PORT", port)? as u16;
        // torchrun may listen at that port itself, and says so; the one beside it is as well known to all ranks.
        if read("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|v| v.eq_ignore_ascii_case("true")) && n_ranks > 1 {
            port = port.checked_add(1).unwrap_or(port - 1);
        }
        let local_rank = number("LOCAL_RANK", n_ranks)?;
        let n_local_ranks = number("LOCAL_WORLD_SIZE", n_ranks + 1)?.filter(|n| *n > 0);
        let n_local_ranks = n_local_ranks.unwrap_or(if is_loopback(&host) { n_ranks } else { 1 });
        Ok(Some(Self { rank, n_ranks, local_rank, n_local_ranks, host, port }))
    }

    /// Whether all ranks run on this host.
    pub fn is_one_host(&self) -> bool {
        self.n_local_ranks == self.n_ranks
    }

    fn address(&self) -> String {
        if self.host.contains(':') { format!("[{}]:{}", self.host, self.port) } else { format!("{}:{}", self.host, self.port) }
    }

    /// Listens as the first rank.
    ///
    /// # Errors
    /// The address is not one of this host, or the port is taken.
    pub fn listen(&self) -> Result<TcpListener, RendezvousError> {
        let address = self.address();
        TcpListener::bind(&address).map_err(|source| RendezvousError::Listen { address, source })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What the first rank answers.
const WELCOME: u8 = 0;
const TWICE: u8 = 1;
const OTHER_COUNT: u8 = 2;

/// Waits as the first rank until all others have come, and lets them go; their connections in order of ranks, from rank 1.
pub(super) fn gather(
    listener: &TcpListener,
    n_ranks: usize,
    patience: Duration,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Vec<TcpStream>, RendezvousError> {
    let own = |source| RendezvousError::Connection { rank: 0, source };
    listener.set_nonblocking(true).map_err(own)?;
    let started = Instant::now();
    let mut come: Vec<Option<TcpStream>> = (1..n_ranks).map(|_| None).collect();
    while come.iter().any(Option::is_none) {
        if !go_on() {
            return Err(RendezvousError::GivenUp);
        }
        if started.elapsed() >= patience {
            let missing = (1..n_ranks).filter(|rank| come[rank - 1].is_none()).collect();
            return Err(RendezvousError::Missing { missing, n_ranks, waited: patience });
        }
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(PAUSE);
                continue;
            }
            // A connection that was gone before it was taken.
            Err(e) if matches!(e.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => continue,
            Err(e) => return Err(own(e)),
        };
        // What does not say that it is a rank is none.
        let Ok((rank, counted)) = greeted(&mut stream) else { continue };
        let (said, error) = if counted != n_ranks {
            (OTHER_COUNT, Some(RendezvousError::OtherCount { rank }))
        } else if rank == 0 || come[rank - 1].is_some() {
            (TWICE, Some(RendezvousError::Twice { rank }))
        } else {
            (WELCOME, None)
        };
        match error {
            Some(error) => {
                // The error is told here whether or not it can be told there.
                let _ = answer(&mut stream, said);
                return Err(error);
            }
            None => come[rank - 1] = Some(stream),
        }
    }
    let mut streams: Vec<TcpStream> = come.into_iter().flatten().collect();
    for (i, stream) in streams.iter_mut().enumerate() {
        answer(stream, WELCOME).map_err(|source| RendezvousError::Connection { rank: i + 1, source })?;
    }
    Ok(streams)
}

/// Reads who has come, and of how many.
fn greeted(stream: &mut TcpStream) -> io::Result<(usize, usize)> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(HELLO))?;
    let mut hello = [0u8; 16];
    stream.read_exact(&mut hello)?;
    let number = |at: usize| u32::from_le_bytes([hello[at], hello[at + 1], hello[at + 2], hello[at + 3]]) as usize;
    let (rank, n_ranks) = (number(8), number(12));
    if hello[..8] == MAGIC && rank < n_ranks { Ok((rank, n_ranks)) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn answer(stream: &mut TcpStream, said: u8) -> io::Result<()> {
    let mut text = [0u8; 9];
    text[..8].copy_from_slice(&MAGIC);
    text[8] = said;
    stream.write_all(&text)
}

/// Connects to the first rank, and waits until all have come.
pub(super) fn join(place: &RankPlace, patience: Duration) -> Result<TcpStream, RendezvousError> {
    let (address, started) = (place.address(), Instant::now());
    let mut stream = loop {
        let source = match connect(&address) {
            Ok(stream) => break stream,
            Err(source) => source,
        };
        if started.elapsed() >= patience {
            return Err(RendezvousError::Nobody { address, waited: patience, source });
        }
        std::thread::sleep(5 * PAUSE);
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => RendezvousError::Ended,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            RendezvousError::Nobody { address: address.clone(), waited: patience, source }
        }
        _ => RendezvousError::Connection { rank: 0, source },
    };
    let mut hello = [0u8; 16];
    hello[..8].copy_from_slice(&MAGIC);
    hello[8..12].copy_from_slice(&(place.rank as u32).to_le_bytes());
    hello[12..].copy_from_slice(&(place.n_ranks as u32).to_le_bytes());
    stream.write_all(&hello).map_err(failed)?;
    // The first rank gives up first, and says why.
    stream.set_read_timeout(Some(patience + HELLO)).map_err(failed)?;
    let mut said = [0u8; 9];
    stream.read_exact(&mut said).map_err(failed)?;
    match (said[..8] == MAGIC, said[8]) {
        (true, WELCOME) => Ok(stream),
        (true, TWICE) => Err(RendezvousError::Twice { rank: place.rank }),
        (true, OTHER_COUNT) => Err(RendezvousError::OtherCount { rank: place.rank }),
        _ => Err(RendezvousError::Stranger { address }),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for resolved in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&resolved, HELLO) {
            // A port of the loopback on which nobody listens can be given to the one who asks for it: it meets itself.
            Ok(stream) if stream.local_addr()? == stream.peer_addr()? => last = io::ErrorKind::ConnectionRefused.into(),
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(rank: usize, n_ranks: usize, port: u16) -> RankPlace {
        RankPlace { rank, n_ranks, local_rank: None, n_local_ranks: n_ranks, host: "127.0.0.1".into(), port }
    }

    fn listener() -> (TcpListener, u16) {
        let listener = place(0, 1, 0).listen().expect("listen");
        let port = listener.local_addr().expect("address").port();
        (listener, port)
    }

    fn variables(set: &[(&str, &str)]) -> Result<Option<RankPlace>, RendezvousError> {
        RankPlace::of_variables(|name| set.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn variables_of_launchers_say_which_rank_a_process_is() {
        assert_eq!(variables(&[("MASTER_PORT", "1")]).expect("no ranks"), None);
        let two = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "29500")];
        assert_eq!(variables(&two).expect("two"), Some(place(1, 2, 29500)));
        let many = [
            ("RANK", "9"),
            ("WORLD_SIZE", "16"),
            ("MASTER_ADDR", "node-0"),
            ("MASTER_PORT", "1"),
            ("LOCAL_RANK", "1"),
            ("LOCAL_WORLD_SIZE", "8"),
        ];
        let found = variables(&many).expect("many").expect("ranks");
        assert_eq!((found.local_rank, found.n_local_ranks, found.is_one_host()), (Some(1), 8, false));
        assert_eq!((found.address(), found.host.as_str()), ("node-0:1".to_owned(), "node-0"));
        let torchrun = |port| [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_PORT", port), ("TORCHELASTIC_USE_AGENT_STORE", "True")];
        assert_eq!(variables(&torchrun("29500")).expect("its agent listens"), Some(place(1, 2, 29501)));
        assert_eq!(variables(&torchrun("65535")).expect("its agent listens"), Some(place(1, 2, 65534)));
        let alone = variables(&[("RANK", "0"), ("WORLD_SIZE", "1")]).expect("one").expect("ranks");
        assert_eq!(alone, place(0, 1, 0));
        assert_eq!(RankPlace { host: "::1".into(), ..place(0, 1, 7) }.address(), "[::1]:7");
    }

    #[test]
    fn a_variable_that_is_missing_or_wrong_is_named_with_what_each_process_needs() {
        let cases: [(&[(&str, &str)], &str); 6] = [
            (&[("RANK", "0")], "WORLD_SIZE is not set"),
            (&[("WORLD_SIZE", "2")], "RANK is not set"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "RANK cannot be `2`"),
            (&[("RANK", "0"), ("WORLD_SIZE", "two")], "WORLD_SIZE cannot be `two`"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], "MASTER_PORT is not set"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "70000")], "MASTER_PORT cannot be `70000`"),
        ];
        for (set, message) in cases {
            let error = variables(set).expect_err(message);
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.exit() == ExitKind::Usage && error.hint().expect("hint").contains("WORLD_SIZE"), "{message}");
        }
    }

    #[test]
    fn whoever_waits_in_vain_is_told_for_whom() {
        let (listener, port) = listener();
        let short = Duration::from_millis(50);
        let error = gather(&listener, 3, short, &mut || true).expect_err("nobody comes");
        assert!(matches!(&error, RendezvousError::Missing { missing, .. } if *missing == [1, 2]), "{error}");
        assert!(matches!(gather(&listener, 2, LONG, &mut || false), Err(RendezvousError::GivenUp)));
        drop(listener);
        let error = join(&place(1, 2, port), short).expect_err("nobody is there");
        assert!(matches!(error, RendezvousError::Nobody { .. }) && error.hint().expect("hint").contains("MASTER_PORT"), "{error}");
    }

    #[test]
    fn a_rank_that_is_there_twice_and_one_that_counts_otherwise_are_named_on_both_sides() {
        for (second, message) in [(place(1, 3, 0), "two processes are rank 1"), (place(2, 4, 0), "rank 2 counts another number")] {
            let (listener, port) = listener();
            let other = RankPlace { port, ..second };
            let (first, rest) = std::thread::scope(|scope| {
                // Connections that were not taken end with the listener.
                let first = scope.spawn(move || gather(&listener, 3, LONG, &mut || true).expect_err("refused"));
                let one = scope.spawn(|| join(&place(1, 3, port), Duration::from_secs(5)).expect_err("sent home"));
                let other = scope.spawn(|| join(&other, LONG).expect_err("refused"));
                let rest = [one.join().expect("one").to_string(), other.join().expect("other").to_string()];
                (first.join().expect("first").to_string(), rest)
            });
            assert!(first.contains(message), "{first}");
            assert!(rest.iter().any(|said| said.contains(message)), "{rest:?}");
        }
    }

    #[test]
    fn a_stranger_at_the_port_is_no_rank_and_ranks_meet_nonetheless() {
        let (listener, port) = listener();
        std::thread::scope(|scope| {
            let first = scope.spawn(|| gather(&listener, 2, LONG, &mut || true));
            let mut stranger = TcpStream::connect(("127.0.0.1", port)).expect("connect");
            stranger.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").expect("write");
            let other = scope.spawn(|| join(&place(1, 2, port), LONG));
            assert_eq!(first.join().expect("first").expect("met").len(), 1);
            other.join().expect("other").expect("met");
        });
    }

    #[test]
    fn another_program_at_the_port_is_not_taken_for_the_first_rank() {
        let (listener, port) = listener();
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().expect("connection").0.write_all(b"220 mail at your service\r\n").expect("write"));
            let error = join(&place(1, 2, port), LONG).expect_err("a stranger");
            assert!(matches!(error, RendezvousError::Stranger { .. } | RendezvousError::Ended), "{error}");
        });
        let taken = TcpListener::bind("127.0.0.1:0").expect("port");
        let error = place(0, 2, taken.local_addr().expect("address").port()).listen().expect_err("taken");
        assert!(error.hint().expect("hint").contains("free port"), "{error}");
    }
}
