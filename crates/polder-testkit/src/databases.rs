//! Database servers that are installed on this machine, started on a free port below a temporary folder: PostgreSQL and MariaDB.
//!
//! One server of each serves all tests of a process that run at the same time, and ends with the last of them. Where the machine has none,
//! a test is skipped, said aloud; `POLDER_REQUIRE_POSTGRES` and `POLDER_REQUIRE_MYSQL` forbid that. Start with [`postgres`] and [`mysql`].

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The user of the tests.
pub const USER: &str = "polder";
/// Their password: nothing else is called like it, so that it can be looked for.
pub const PASSWORD: &str = "never-shown-7351";

const START_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Postgres,
    MySql,
}

/// A running server.
pub struct DatabaseServer {
    engine: Engine,
    /// Where its programs are.
    programs: PathBuf,
    port: u16,
    process: Child,
    folder: TempDir,
}

/// PostgreSQL; `None`, said aloud, where the machine has none.
///
/// # Panics
/// It does not start; or there is none, and `POLDER_REQUIRE_POSTGRES` is set.
pub fn postgres() -> Option<Arc<DatabaseServer>> {
    static RUNNING: Mutex<Weak<DatabaseServer>> = Mutex::new(Weak::new());
    shared(&RUNNING, Engine::Postgres, "initdb", "POLDER_REQUIRE_POSTGRES")
}

/// MariaDB; `None`, said aloud, where the machine has none.
///
/// # Panics
/// It does not start; or there is none, and `POLDER_REQUIRE_MYSQL` is set.
pub fn mysql() -> Option<Arc<DatabaseServer>> {
    static RUNNING: Mutex<Weak<DatabaseServer>> = Mutex::new(Weak::new());
    shared(&RUNNING, Engine::MySql, "mariadbd", "POLDER_REQUIRE_MYSQL")
}

#[allow(clippy::panic, clippy::print_stderr)]
fn shared(running: &Mutex<Weak<DatabaseServer>>, engine: Engine, program: &str, require: &str) -> Option<Arc<DatabaseServer>> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(server) = running.upgrade() {
        return Some(server);
    }
    let Some(programs) = folder_of(program) else {
        assert!(std::env::var_os(require).is_none(), "there is no `{program}` on this machine, and {require} is set");
        eprintln!("SKIPPED: there is no `{program}` on this machine; a test of that database says nothing");
        return None;
    };
    let server = Arc::new(DatabaseServer::start(engine, programs));
    *running = Arc::downgrade(&server);
    Some(server)
}

/// The folder of a program: on the path, or where Debian puts what is not for everybody's path.
fn folder_of(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|v| v.path().join("bin")));
    let found = folders.into_iter().map(|f| f.join(program)).find(|p| p.is_file())?;
    // A link leads to the folder where its companions are.
    found.canonicalize().ok()?.parent().map(Path::to_owned)
}

/// PostgreSQL refuses to run as root: then as somebody else, who owns the folder.
#[cfg(unix)]
fn somebody() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let is_root = fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &str| {
        let line = users.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        let mut fields = line.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    is_root.then(|| of("postgres").or_else(|| of("nobody"))).flatten()
}

/// A program that runs as somebody else where that is needed.
fn command(engine: Engine, program: &Path) -> Command {
    let mut command = Command::new(program);
    #[cfg(unix)]
    if let Some((user, group)) = somebody().filter(|_| engine == Engine::Postgres) {
        use std::os::unix::process::CommandExt as _;
        command.uid(user).gid(group).current_dir("/");
    }
    command
}

#[allow(clippy::panic)]
fn run(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program of the database");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("its input");
    let output = child.wait_with_output().expect("its output");
    assert!(output.status.success(), "{}\n{input}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl DatabaseServer {
    #[allow(clippy::panic)]
    fn start(engine: Engine, programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("a free port").port();
        let (data, root) = (folder.path().join("data"), folder.path());
        let (root_text, port_text) = (root.to_string_lossy().into_owned(), port.to_string());
        certificate(root);
        fs::write(root.join("password"), PASSWORD).expect("a file");
        let mut server = match engine {
            Engine::Postgres => {
                #[cfg(unix)]
                if let Some((user, group)) = somebody() {
                    for path in [root.to_owned(), root.join("password"), root.join("server.key"), root.join("server.crt")] {
                        let _ = std::os::unix::fs::chown(path, Some(user), Some(group));
                    }
                }
                run(
                    command(engine, &programs.join("initdb"))
                        .args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", "-U", USER])
                        .arg(format!("--pwfile={root_text}/password"))
                        .arg("-D")
                        .arg(&data),
                    "",
                );
                // Other ways to greet, for users who are called like them.
                let rules = fs::read_to_string(data.join("pg_hba.conf")).expect("its rules");
                let ways =
                    "host all by_md5 127.0.0.1/32 md5\nhost all by_clear 127.0.0.1/32 password\nhost all by_trust 127.0.0.1/32 trust\n";
                fs::write(data.join("pg_hba.conf"), format!("{ways}{rules}")).expect("its rules");
                let mut server = command(engine, &programs.join("postgres"));
                server.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port_text, "-k", &root_text, "-c", "fsync=off"]);
                if root.join("server.crt").is_file() {
                    server.args(["-c", "ssl=on"]).arg("-c").arg(format!("ssl_cert_file={root_text}/server.crt"));
                    server.arg("-c").arg(format!("ssl_key_file={root_text}/server.key"));
                }
                server
            }
            Engine::MySql => {
                let installer = folder_of("mariadb-install-db").expect("mariadb-install-db beside mariadbd");
                let data = data.to_string_lossy().into_owned();
                run(
                    Command::new(installer.join("mariadb-install-db")).args([
                        "--no-defaults",
                        "--auth-root-authentication-method=normal",
                        "--skip-test-db",
                        &format!("--datadir={data}"),
                    ]),
                    "",
                );
                let mut server = Command::new(programs.join("mariadbd"));
                server.args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0"]);
                server.args([format!("--datadir={data}"), format!("--socket={root_text}/socket"), format!("--port={port}")]);
                if root.join("server.crt").is_file() {
                    server.args([format!("--ssl-cert={root_text}/server.crt"), format!("--ssl-key={root_text}/server.key")]);
                }
                server
            }
        };
        let log = fs::File::create(root.join("log")).expect("a log");
        let process = server.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log).spawn().expect("the server");
        let mut server = Self { engine, programs, port, process, folder };
        let begun = Instant::now();
        while !server.answers() {
            let ended = server.process.try_wait().ok().flatten();
            let log = || fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && begun.elapsed() < START_TIMEOUT, "the server does not start: {}", log());
            sleep(Duration::from_millis(50));
        }
        if engine == Engine::MySql {
            server.run("", &format!("CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {USER}@'%'; FLUSH PRIVILEGES"));
        }
        server
    }

    fn client(&self, database: &str) -> Command {
        match self.engine {
            Engine::Postgres => {
                let mut client = command(self.engine, &self.programs.join("psql"));
                client.env("PGPASSWORD", PASSWORD).args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", USER]);
                client.args(["-p", &self.port.to_string(), "-d", if database.is_empty() { "postgres" } else { database }, "-f", "-"]);
                client
            }
            Engine::MySql => {
                let mut client = Command::new(folder_of("mariadb").expect("the client of MariaDB").join("mariadb"));
                client.args([
                    "--no-defaults",
                    "-u",
                    "root",
                    "--batch",
                    "--skip-column-names",
                    "--binary-mode",
                    "--default-character-set=utf8mb4",
                ]);
                client.arg(format!("--socket={}", self.folder.path().join("socket").display())).arg(database);
                client
            }
        }
    }

    fn answers(&self) -> bool {
        let mut client = self.client("");
        let child = client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        child.is_ok_and(|mut child| {
            let _ = child.stdin.take().map(|mut input| input.write_all(b"SELECT 1;\n"));
            child.wait().is_ok_and(|status| status.success())
        })
    }

    /// Runs statements in a database as its owner, and gives what they print, a row a line; the database `""` is always there.
    ///
    /// # Panics
    /// One of them fails.
    pub fn run(&self, database: &str, statements: &str) -> String {
        run(&mut self.client(database), statements)
    }

    /// Makes a database of this name, in place of one that is there.
    pub fn create(&self, database: &str) {
        self.run("", &format!("DROP DATABASE IF EXISTS {database};\nCREATE DATABASE {database};\n"));
    }

    /// The address of a database for a user, password included.
    pub fn address_for(&self, user: &str, database: &str) -> String {
        format!(
            "{}://{user}:{PASSWORD}@127.0.0.1:{}/{database}",
            if self.engine == Engine::Postgres { "postgres" } else { "mysql" },
            self.port
        )
    }

    /// The address of a database for the tests' user.
    pub fn address(&self, database: &str) -> String {
        self.address_for(USER, database)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder where its socket lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its certificate for `localhost`, signed by itself; `None` where the machine has no `openssl` to make one.
    pub fn certificate(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("server.crt")).filter(|p| p.is_file())
    }
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        // At once, and in order.
        let _ = Command::new("kill").args(["-INT", &self.process.id().to_string()]).status();
        if self.engine == Engine::MySql {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// Makes `server.crt`, a certificate for `localhost` signed by itself, and `server.key`, where the machine has an `openssl` that can.
pub fn certificate(folder: &Path) {
    let _ = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "server.key"])
        .args(["-out", "server.crt", "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let _ = fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600));
    }
}
