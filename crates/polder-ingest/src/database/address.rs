//! Addresses of databases: what they name, which part of them is a secret, and what records say in their place.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::record::escape;
use crate::sources::decoded;
use crate::{IngestError, without_secrets};

/// Which database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MySql,
    Sqlite,
}

/// A password. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(super) String);

/// How a connection is protected, in libpq's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TlsMode {
    Disable,
    /// TLS where the server has it; nobody is asked who it is.
    #[default]
    Prefer,
    /// TLS, from whomever.
    Require,
    /// TLS, from a server whose certificate names the host.
    VerifyFull,
}

/// Where a database is, and who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(super) engine: Engine,
    pub(super) host: String,
    pub(super) port: u16,
    /// The socket of this machine that is used in place of host and port; of SQLite, the file.
    pub(super) path: Option<PathBuf>,
    pub(super) user: String,
    pub(super) password: Option<Secret>,
    pub(super) database: String,
    pub(super) table: Option<String>,
    pub(super) tls: TlsMode,
    /// A file with the certificates that are trusted, in place of the machine's.
    pub(super) roots: Option<PathBuf>,
}

/// An address is shown as its records show it.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public())
    }
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Postgres => 5432,
            Self::MySql => 3306,
            Self::Sqlite => 0,
        }
    }
}

/// Which database an address begins with the name of.
fn engine_of(source: &str) -> Option<Engine> {
    match source.split_once(':')?.0 {
        "sqlite" => Some(Engine::Sqlite),
        scheme if source[scheme.len()..].starts_with("://") => match scheme {
            "postgres" | "postgresql" => Some(Engine::Postgres),
            "mysql" | "mariadb" => Some(Engine::MySql),
            _ => None,
        },
        _ => None,
    }
}

impl Address {
    /// Reads an address; `None` where it is none of a database.
    pub(crate) fn parse(source: &str) -> Result<Option<Self>, IngestError> {
        let Some(engine) = engine_of(source) else { return Ok(None) };
        let parsed = match engine {
            Engine::Sqlite => file(source),
            engine => server(engine, source),
        };
        parsed.map(Some).map_err(|reason| IngestError::DatabaseAddress { address: without_secrets(source), reason })
    }

    /// It without user, password and parameters: `postgres://host/database`.
    pub(crate) fn public(&self) -> String {
        let mut text = format!("{}://", self.engine.name());
        if self.engine == Engine::Sqlite {
            escape(self.path.iter().next().map_or(b"".as_slice(), |p| p.as_os_str().as_encoded_bytes()), &mut text);
            return text;
        }
        text.push_str(&self.host);
        if self.port != self.engine.port() && self.path.is_none() {
            text.push_str(&format!(":{}", self.port));
        }
        text.push('/');
        escape(self.database.as_bytes(), &mut text);
        text
    }

    /// The host as a name or a number, without the brackets that an address puts around the latter.
    pub(super) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// What records say as their source.
    pub(crate) fn source(&self) -> &str {
        &self.database
    }
}

fn file(source: &str) -> Result<Address, String> {
    let rest = source.strip_prefix("sqlite:").unwrap_or(source);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, parameters) = rest.rsplit_once('?').unwrap_or((rest, ""));
    let mut table = None;
    for (name, value) in url::form_urlencoded::parse(parameters.as_bytes()) {
        match name.as_ref() {
            "table" => table = Some(value.into_owned()),
            other => return Err(format!("there is no parameter `{other}`; there is table")),
        }
    }
    if path.is_empty() {
        return Err("it names no file".into());
    }
    let path = PathBuf::from(path).canonicalize().map_err(|e| format!("cannot find the file: {e}"))?;
    let database = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Address {
        engine: Engine::Sqlite,
        host: String::new(),
        port: 0,
        path: Some(path),
        user: String::new(),
        password: None,
        database,
        table,
        tls: TlsMode::Disable,
        roots: None,
    })
}

fn server(engine: Engine, source: &str) -> Result<Address, String> {
    let reserved = "user name and password are written with %XX for `/ ? # @ : %`";
    let url = Url::parse(source).map_err(|e| format!("{e}; {reserved}"))?;
    if url.path().contains('@') || url.fragment().is_some() {
        return Err(reserved.into());
    }
    let environment = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let of_postgres = |name: &str| environment(name).filter(|_| engine == Engine::Postgres);
    let given = |text: &str| Some(decoded(text)).filter(|t| !t.is_empty());
    let user = given(url.username()).or_else(|| of_postgres("PGUSER")).or_else(|| environment("USER")).unwrap_or_else(|| "root".into());
    let database = given(url.path().trim_start_matches('/')).or_else(|| of_postgres("PGDATABASE"));
    let mut address = Address {
        engine,
        host: url.host_str().map(decoded).filter(|h| !h.is_empty()).unwrap_or_else(|| "localhost".into()),
        port: url.port().unwrap_or_else(|| engine.port()),
        path: None,
        user,
        password: url.password().map(decoded).map(Secret),
        database: String::new(),
        table: None,
        tls: TlsMode::default(),
        roots: None,
    };
    if let Some(mode) = of_postgres("PGSSLMODE") {
        address.tls = tls_mode(&mode)?;
    }
    for (name, value) in url.query_pairs() {
        match (name.as_ref(), engine) {
            ("table", _) => address.table = Some(value.into_owned()),
            ("sslmode", _) => address.tls = tls_mode(&value)?,
            ("sslrootcert", _) => address.roots = Some(value.as_ref().into()),
            ("host", Engine::Postgres) if value.starts_with('/') => address.path = Some(value.as_ref().into()),
            ("socket", Engine::MySql) => address.path = Some(value.as_ref().into()),
            (other, _) => {
                let socket = if engine == Engine::Postgres { "host (the folder of a socket)" } else { "socket" };
                return Err(format!("there is no parameter `{other}`; there are table, sslmode, sslrootcert and {socket}"));
            }
        }
    }
    // A folder as the host, as libpq takes it.
    if engine == Engine::Postgres && address.host.starts_with('/') {
        address.path = Some(std::mem::replace(&mut address.host, "localhost".into()).into());
    }
    if let Some(folder) = address.path.as_mut().filter(|_| engine == Engine::Postgres) {
        folder.push(format!(".s.PGSQL.{}", address.port));
    }
    if address.roots.is_some() && address.tls != TlsMode::VerifyFull {
        return Err("sslrootcert says whom to trust, which only sslmode=verify-full asks".into());
    }
    address.database = database.ok_or("it names no database")?;
    if address.password.is_none() {
        address.password = match engine {
            Engine::Postgres => environment("PGPASSWORD").or_else(|| password_file(&address)),
            _ => environment("MYSQL_PWD"),
        }
        .map(Secret);
    }
    Ok(address)
}

fn tls_mode(text: &str) -> Result<TlsMode, String> {
    Ok(match text {
        "disable" => TlsMode::Disable,
        "prefer" => TlsMode::Prefer,
        "require" => TlsMode::Require,
        "verify-full" => TlsMode::VerifyFull,
        other => return Err(format!("there is no sslmode `{other}`; there are disable, prefer, require and verify-full")),
    })
}

/// The password that `~/.pgpass`, or the file that `PGPASSFILE` names, has for an address. As for libpq, a file that others may read is none.
fn password_file(address: &Address) -> Option<String> {
    let path = match std::env::var_os("PGPASSFILE") {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".pgpass"),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if std::fs::metadata(&path).ok()?.permissions().mode() & 0o077 != 0 {
            return None;
        }
    }
    let text = std::fs::read_to_string(path).ok()?;
    password_in(&text, [&address.host, &address.port.to_string(), &address.database, &address.user])
}

/// Finds the first line `host:port:database:user:password` that fits; `*` fits all, and `\` takes the next letter as it is.
fn password_in(text: &str, asked: [&str; 4]) -> Option<String> {
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut letters = line.chars();
        while let Some(letter) = letters.next() {
            match letter {
                ':' if fields.len() < 5 => fields.push(String::new()),
                '\\' => fields.last_mut()?.extend(letters.next()),
                other => fields.last_mut()?.push(other),
            }
        }
        let fits = fields.len() == 5 && fields.iter().zip(asked).all(|(field, asked)| field == "*" || field == asked);
        fits.then(|| fields.pop()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(source: &str) -> Address {
        Address::parse(source).expect("an address").expect("of a database")
    }

    #[test]
    fn an_address_shows_neither_user_nor_password() {
        let address = parsed("postgresql://me:p%40ss@db.example:6543/my%20docs?table=public.pages&sslmode=require");
        assert_eq!(address.public(), "postgres://db.example:6543/my%20docs");
        assert_eq!(format!("{address:?}"), address.public());
        assert_eq!((address.user.as_str(), address.password.as_ref().map(|p| p.0.as_str())), ("me", Some("p@ss")));
        assert_eq!((address.table.as_deref(), address.tls), (Some("public.pages"), TlsMode::Require));
        assert_eq!(parsed("mariadb://me:pw@host/d").public(), "mysql://host/d");
        assert_eq!(parsed("postgres:///d?host=/run/postgresql").path, Some("/run/postgresql/.s.PGSQL.5432".into()));
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for source in [
            "postgres://me:hush/hush@host/d",
            "postgres://me:5/hush@host/d",
            "postgres://me:hush#hush@host/d",
            "postgres://me:hush@host/d?sslmode=maybe",
            "postgres://me:hush@host/d?sslcert=x",
            "mysql://me:hush@host/",
            "mysql://me:hush?hush@host/d",
        ] {
            let error = Address::parse(source).expect_err(source);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        assert!(Address::parse("https://host/sqlite").expect("no error").is_none());
    }

    #[test]
    fn a_password_file_is_read_as_libpq_reads_it() {
        let text = "# comment\nother:*:*:*:no\nhost:5432:d:m\\:e:one\\\\:two\n*:*:*:you:three\n";
        assert_eq!(password_in(text, ["host", "5432", "d", "m:e"]).as_deref(), Some("one\\:two"));
        assert_eq!(password_in(text, ["x", "1", "d", "you"]).as_deref(), Some("three"));
        assert_eq!(password_in(text, ["x", "1", "d", "me"]), None);
    }
}
