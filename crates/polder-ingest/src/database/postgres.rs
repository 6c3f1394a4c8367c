//! What PostgreSQL speaks: version 3 of its protocol, as far as reading needs it. Values come as the server writes them, in UTF-8, so
//! every type has a form; bytes come as they are.
//!
//! # Source
//! PostgreSQL's documentation, "Frontend/Backend Protocol"; SCRAM is RFC 5802 with SHA-256 (RFC 7677), the password prepared by RFC 4013.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest as _, Md5};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::{digest, hmac, pbkdf2};
use unicode_normalization::UnicodeNormalization as _;

use super::address::{Address, TlsMode};
use super::row::{Cell, Kind, Row};
use super::wire::{Wire, unexpected, wants_password};
use super::{Client, Column, Stop, Visit, ask};
use crate::record::Fault;

const PROTOCOL: u32 = 196_608;
const ASK_FOR_TLS: u32 = 80_877_103;
/// Messages other than rows stay below this.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// A server that asks for more rounds wants the reader's time, not its password.
const ROUNDS_MAX: u32 = 10_000_000;

/// One state of the database, whoever writes.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const SETTINGS: &str = include_str!("postgres_settings.sql");

/// A connection.
pub(super) struct Postgres {
    wire: Wire,
    row: Row,
    /// Whether the database knows no encoding: its text is bytes.
    is_unencoded: bool,
}

/// A message of the server.
struct Message {
    tag: u8,
    body: Vec<u8>,
}

impl Postgres {
    pub(super) fn connect(address: &Address) -> Result<Self, Fault> {
        let mut wire = Wire::open(address)?;
        if address.tls != TlsMode::Disable && address.path.is_none() {
            wire.send(&[8u32.to_be_bytes(), ASK_FOR_TLS.to_be_bytes()].concat())?;
            match wire.array::<1>()? {
                [b'S'] => wire.encrypt(address)?,
                [b'N'] if address.tls == TlsMode::Prefer => {}
                [b'N'] => return Err(Fault::new("unreachable", "the server has no TLS, which sslmode asks for")),
                _ => return Err(unexpected("something else than an answer about TLS")),
            }
        }
        let mut body = PROTOCOL.to_be_bytes().to_vec();
        for text in ["user", &address.user, "database", &address.database, "client_encoding", "UTF8", "application_name", "polder", ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        wire.send(&[&(body.len() as u32 + 4).to_be_bytes(), body.as_slice()].concat())?;
        let mut this = Self { wire, row: Row::default(), is_unencoded: false };
        this.authenticate(address)?;
        this.wire.wait_for_ever()?;
        this.command(BEGIN)?;
        if this.is_unencoded {
            // Else the first row that is no UTF-8 would end them all.
            this.command("SET LOCAL client_encoding = 'SQL_ASCII'")?;
        }
        ask(&mut this, SETTINGS)?;
        Ok(this)
    }

    fn authenticate(&mut self, address: &Address) -> Result<(), Fault> {
        let password = || match &address.password {
            Some(password) => Ok(password.0.as_str()),
            None => Err(Fault::new("unreachable", format!("the server asks for the password of `{}`, and none is given", address.user))),
        };
        let mut scram = None;
        loop {
            let Message { tag, body } = self.message()?;
            if tag == b'Z' {
                return Ok(());
            }
            // Its settings, and the key that would cancel a query.
            if tag != b'R' {
                if matches!(tag, b'S' | b'K') {
                    self.is_unencoded |= body == b"server_encoding\0SQL_ASCII\0";
                    continue;
                }
                return Err(unexpected(format_args!("a message `{}` during the greeting", char::from(tag))));
            }
            let (kind, rest) = body.split_first_chunk().ok_or_else(|| unexpected("half a message"))?;
            match u32::from_be_bytes(*kind) {
                0 => {}
                3 if self.wire.is_private() => self.send(&[(b'p', text(password()?))])?,
                3 => return Err(wants_password()),
                5 => self.send(&[(b'p', text(&hashed(&address.user, password()?, rest)))])?,
                10 => {
                    if !rest.split(|b| *b == 0).any(|name| name == b"SCRAM-SHA-256") {
                        return Err(Fault::new("unreachable", "the server knows no way to greet but ones that are unknown here"));
                    }
                    let mut nonce = [0; 18];
                    SystemRandom::new().fill(&mut nonce).map_err(|_| Fault::new("unreachable", "the machine has no random numbers"))?;
                    let begun = Scram::new(password()?, &BASE64_STANDARD.encode(nonce));
                    let first = format!("n,,{}", begun.first);
                    let mut body = text("SCRAM-SHA-256");
                    body.extend_from_slice(&(first.len() as u32).to_be_bytes());
                    body.extend_from_slice(first.as_bytes());
                    scram = Some(begun);
                    self.send(&[(b'p', body)])?;
                }
                11 => {
                    let answer = scram.as_mut().and_then(|s| s.answer(&String::from_utf8_lossy(rest)));
                    let answer = answer.ok_or_else(|| unexpected("a SCRAM challenge"))?;
                    self.send(&[(b'p', answer.into_bytes())])?;
                }
                12 if scram.as_ref().is_some_and(|s| s.proves(&String::from_utf8_lossy(rest))) => {}
                12 => return Err(Fault::new("unreachable", "the server does not prove that it knows the password")),
                other => {
                    return Err(Fault::new(
                        "unreachable",
                        format!("the server asks for a way to greet (number {other}) that is unknown here"),
                    ));
                }
            }
        }
    }

    fn send(&mut self, messages: &[(u8, Vec<u8>)]) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        for (tag, body) in messages {
            bytes.push(*tag);
            bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
            bytes.extend_from_slice(body);
        }
        self.wire.send(&bytes)
    }

    /// The next message's tag and the size of its body.
    fn head(&mut self) -> Result<(u8, usize), Fault> {
        let [tag, a, b, c, d] = self.wire.array()?;
        let bytes = (u32::from_be_bytes([a, b, c, d]) as usize).checked_sub(4).ok_or_else(|| unexpected("a message without a size"))?;
        Ok((tag, bytes))
    }

    fn body(&mut self, bytes: usize) -> Result<Vec<u8>, Fault> {
        if bytes > MESSAGE_BYTES_MAX {
            return Err(unexpected(format_args!("a message of {bytes} bytes")));
        }
        let mut body = Vec::new();
        self.wire.read(bytes, &mut body)?;
        Ok(body)
    }

    /// The next message that is no notice; an error is one.
    fn message(&mut self) -> Result<Message, Fault> {
        loop {
            let (tag, bytes) = self.head()?;
            let body = self.body(bytes)?;
            match tag {
                b'N' | b'A' => {}
                b'E' => return Err(said(&body)),
                tag => return Ok(Message { tag, body }),
            }
        }
    }

    /// Runs what gives no rows.
    fn command(&mut self, statement: &str) -> Result<(), Fault> {
        self.send(&[(b'Q', text(statement))])?;
        while self.message()?.tag != b'Z' {}
        Ok(())
    }

    /// Has a statement understood; gives its columns.
    fn describe(&mut self, statement: &str) -> Result<Vec<(String, u32)>, Fault> {
        let mut parse = text("");
        parse.extend(text(statement));
        parse.extend_from_slice(&[0, 0]);
        self.send(&[(b'P', parse), (b'D', b"S\0".to_vec()), (b'S', Vec::new())])?;
        let mut columns = Vec::new();
        loop {
            let Message { tag, body } = self.message()?;
            match tag {
                b'T' => columns = fields(&body).ok_or_else(|| unexpected("half a description"))?,
                b'Z' => break,
                _ => {}
            }
        }
        if columns.is_empty() { Err(Fault::new("malformed", "the statement gives no rows")) } else { Ok(columns) }
    }

    /// What types are that are not known by their numbers.
    fn kinds(&mut self, types: &[u32]) -> Result<Vec<Kind>, Fault> {
        let unknown: BTreeSet<u32> = types.iter().copied().filter(|t| kind(*t).is_none()).collect();
        let mut categories = Vec::new();
        if !unknown.is_empty() {
            let numbers = unknown.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            // tidy: sql, because it holds numbers alone
            let statement = format!("SELECT oid, typcategory FROM pg_catalog.pg_type WHERE oid IN ({numbers})");
            categories = ask(self, &statement)?;
        }
        let of = |number: u32| {
            let number = number.to_string();
            let found = categories.iter().find(|row| row[0].as_deref() == Some(&number)).and_then(|row| row[1].as_deref());
            match found {
                Some("A") => Kind::Many("a list"),
                Some("C") => Kind::Many("a row of its own"),
                Some("G") => Kind::Many("a shape"),
                Some("R") => Kind::Many("a range"),
                _ => Kind::Text,
            }
        };
        Ok(types.iter().map(|t| kind(*t).unwrap_or_else(|| of(*t))).collect())
    }

    /// Reads the cells of a row that are to be read.
    fn fill(&mut self, mut left: usize, is_read: &[bool]) -> Result<(), Fault> {
        let cut = || unexpected("half a row");
        self.row.clear();
        let n = u16::from_be_bytes(self.wire.array()?);
        left = left.checked_sub(2).ok_or_else(cut)?;
        if usize::from(n) != is_read.len() {
            return Err(unexpected(format_args!("a row of {n} values for {} columns", is_read.len())));
        }
        for is_read in is_read {
            let size = i32::from_be_bytes(self.wire.array()?);
            left = left.checked_sub(4).ok_or_else(cut)?;
            let Ok(size) = usize::try_from(size) else {
                if *is_read {
                    self.row.cells.push(Cell::Null);
                }
                continue;
            };
            left = left.checked_sub(size).ok_or_else(cut)?;
            if !is_read {
                self.wire.skip(size)?;
            } else if size as u64 > self.row.value_bytes_max {
                self.wire.skip(size)?;
                self.row.cells.push(Cell::TooLarge(size as u64));
            } else {
                let start = self.row.bytes.len();
                self.wire.read(size, &mut self.row.bytes)?;
                self.row.close(start);
            }
        }
        if left == 0 { Ok(()) } else { Err(unexpected("more than a row")) }
    }
}

impl Client for Postgres {
    fn run(&mut self, statement: &str, value_bytes_max: u64, visit: &mut dyn Visit) -> Result<(), Stop> {
        let (names, types): (Vec<String>, Vec<u32>) = self.describe(statement)?.into_iter().unzip();
        let kinds = self.kinds(&types)?;
        // What asked for types has taken the unnamed statement's place.
        if types.iter().any(|t| kind(*t).is_none()) {
            self.describe(statement)?;
        }
        let columns: Vec<Column> = names.into_iter().zip(&kinds).map(|(name, kind)| Column { name, kind: *kind }).collect();
        let is_read = visit.columns(&columns)?;
        self.row.value_bytes_max = value_bytes_max;
        let mut bind = vec![0, 0, 0, 0, 0, 0];
        bind.extend_from_slice(&(kinds.len() as u16).to_be_bytes());
        for kind in &kinds {
            bind.extend_from_slice(&u16::from(*kind == Kind::Bytes).to_be_bytes());
        }
        // All rows at once: they wait on their way until they are read, and the server waits for them.
        self.send(&[(b'B', bind), (b'E', vec![0; 5]), (b'S', Vec::new())])?;
        loop {
            let (tag, bytes) = self.head()?;
            if tag == b'D' {
                self.fill(bytes, &is_read)?;
                visit.row(&self.row)?;
                continue;
            }
            let body = self.body(bytes)?;
            match tag {
                b'E' => return Err(said(&body).into()),
                b'Z' => return Ok(()),
                b'2' | b'C' | b'I' | b'N' | b'A' | b'S' => {}
                other => return Err(unexpected(format_args!("a message `{}` among rows", char::from(other))).into()),
            }
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = text.replace('\0', "").into_bytes();
    bytes.push(0);
    bytes
}

/// Types that are known by their numbers, which never change.
fn kind(number: u32) -> Option<Kind> {
    Some(match number {
        16 => Kind::Bool,
        17 => Kind::Bytes,
        20 | 21 | 23 | 26 => Kind::Int,
        700 | 701 | 1700 => Kind::Float,
        // char, name, text, json, xml, bpchar, varchar, date, time, timestamp, timestamptz, interval, timetz, uuid, jsonb
        18 | 19 | 25 | 114 | 142 | 1042 | 1043 | 1082 | 1083 | 1114 | 1184 | 1186 | 1266 | 2950 | 3802 => Kind::Text,
        _ => return None,
    })
}

/// Names and types of a description.
fn fields(body: &[u8]) -> Option<Vec<(String, u32)>> {
    let (n, mut rest) = body.split_first_chunk()?;
    let mut fields = Vec::new();
    for _ in 0..u16::from_be_bytes(*n) {
        let end = memchr::memchr(0, rest)?;
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        // Table and column, type, then its size, its modifier and its form.
        let (numbers, after) = rest[end + 1..].split_first_chunk::<18>()?;
        fields.push((name, u32::from_be_bytes([numbers[6], numbers[7], numbers[8], numbers[9]])));
        rest = after;
    }
    Some(fields)
}

/// What an error says.
fn said(body: &[u8]) -> Fault {
    let field = |code: u8| {
        body.split(|b| *b == 0).find(|field| field.first() == Some(&code)).map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
    };
    let message = field(b'M').unwrap_or_else(|| "an error without words".into());
    let detail = match field(b'H') {
        Some(hint) => format!("the server says: {message} ({hint})"),
        None => format!("the server says: {message}"),
    };
    // These classes are the server's state, and who may ask it; the rest is what was asked, or what it holds.
    let is_state = field(b'C').is_some_and(|code| ["08", "28", "3D", "53", "57", "58"].iter().any(|class| code.starts_with(class)));
    Fault::new(if is_state { "unreachable" } else { "unreadable" }, detail)
}

fn hashed(user: &str, password: &str, salt: &[u8]) -> String {
    let hex = |bytes: &[&[u8]]| -> String {
        let mut md5 = Md5::new();
        bytes.iter().for_each(|b| md5.update(b));
        md5.finalize().iter().map(|b| format!("{b:02x}")).collect()
    };
    format!("md5{}", hex(&[hex(&[password.as_bytes(), user.as_bytes()]).as_bytes(), salt]))
}

/// The client's side of SCRAM-SHA-256, without channel binding.
struct Scram {
    password: String,
    /// The first message, without what stands before it.
    first: String,
    nonce: String,
    /// The key with which the server must sign, and what.
    expected: Option<(hmac::Key, String)>,
}

impl Scram {
    fn new(password: &str, nonce: &str) -> Self {
        Self { password: prepared(password), first: format!("n=,r={nonce}"), nonce: nonce.to_owned(), expected: None }
    }

    /// Answers the server's challenge; `None` where it is none to this client.
    fn answer(&mut self, challenge: &str) -> Option<String> {
        let field = |name: &str| challenge.split(',').find_map(|f| f.strip_prefix(name));
        let (nonce, salt, rounds) = (field("r=")?, BASE64_STANDARD.decode(field("s=")?).ok()?, field("i=")?.parse::<u32>().ok()?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() || rounds > ROUNDS_MAX {
            return None;
        }
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds.try_into().ok()?, &salt, self.password.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{challenge},{last}", self.first);
        let key = sign(&salted, b"Client Key");
        let signature = sign(digest::digest(&digest::SHA256, key.as_ref()).as_ref(), all.as_bytes());
        let proof: Vec<u8> = key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        self.expected = Some((hmac::Key::new(hmac::HMAC_SHA256, sign(&salted, b"Server Key").as_ref()), all));
        Some(format!("{last},p={}", BASE64_STANDARD.encode(proof)))
    }

    /// Whether the server's last message shows that it knows the password.
    fn proves(&self, last: &str) -> bool {
        let given = last.strip_prefix("v=").and_then(|v| BASE64_STANDARD.decode(v).ok());
        given.zip(self.expected.as_ref()).is_some_and(|(given, (key, all))| hmac::verify(key, all.as_bytes(), &given).is_ok())
    }
}

/// A password as SASLprep writes it, as far as it tells two spellings of one from each other: blanks are one, and letters are composed.
fn prepared(password: &str) -> String {
    const NOTHING: [char; 6] = ['\u{ad}', '\u{34f}', '\u{1806}', '\u{200b}', '\u{2060}', '\u{feff}'];
    if password.is_ascii() {
        return password.to_owned();
    }
    let blank = |c: char| if c != ' ' && c.is_whitespace() && !c.is_control() { ' ' } else { c };
    password.chars().filter(|c| !NOTHING.contains(c)).map(blank).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, whose user name PostgreSQL leaves empty.
    #[test]
    fn scram_agrees_with_its_standard() {
        let mut scram = Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO");
        scram.first = "n=user,r=rOprNGfwEbeRWgbNEkqO".into();
        let answer = scram.answer("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        assert_eq!(answer, Some(format!("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p={proof}")));
        assert!(scram.proves("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!scram.proves("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=") && !scram.proves("e=no"));
        for wrong in [
            "r=other,s=W22Z,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=1",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=4000000000",
            "",
            "r=rOprNGfwEbeRWgbNEkqOx,s=W22Z,i=0",
        ] {
            assert_eq!(Scram::new("pencil", "rOprNGfwEbeRWgbNEkqO").answer(wrong), None, "{wrong}");
        }
        assert_eq!(prepared("I\u{ad}X\u{a0}ªſ"), "IX as");
    }

    #[test]
    fn half_a_description_is_none() {
        let mut body = vec![0, 1, b'a', 0];
        body.extend([0, 0, 0, 1, 0, 1, 0, 0, 0, 25, 0, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(fields(&body), Some(vec![("a".to_owned(), 25)]));
        for n in 0..body.len() {
            assert_eq!(fields(&body[..n]), None, "{n}");
        }
    }
}
