//! A server that speaks as much of S3 as an object store's client asks for: in memory, on a free port of this machine, in plain threads.
//!
//! It holds to what commits stand on: of all who PUT an object with `If-None-Match: *`, one is told that it made it and the others get 412.
//! It looks at the key and the region that a request names, as a store does, and never at its signature. Start with [`S3Server::start`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The bucket that is there.
pub const BUCKET: &str = "lakes";
/// The key that is known, and its secret.
pub const KEY: (&str, &str) = ("AKIDTESTKEY", "a-secret-of-the-tests");
/// Where the bucket stands.
pub const REGION: &str = "eu-polder-1";

/// Keys of one page of a listing: few, so that listings have pages.
const PAGE_KEYS: usize = 50;

struct Object {
    body: Arc<Vec<u8>>,
    etag: String,
    at: u64,
}

#[derive(Default)]
struct State {
    objects: Mutex<BTreeMap<String, Object>>,
    /// Parts of uploads that are under way, by the upload's number.
    uploads: Mutex<BTreeMap<u64, BTreeMap<u64, Vec<u8>>>>,
    n_etags: AtomicU64,
    n_answers_to_lose: AtomicU64,
    ignores_conditions: AtomicBool,
}

/// A running server; it ends with the process.
#[derive(Clone)]
pub struct S3Server {
    address: SocketAddr,
    state: Arc<State>,
}

impl S3Server {
    /// Starts a server whose bucket is empty.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let served = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = served.clone();
                let _ = stream.set_nodelay(true);
                std::thread::spawn(move || while let Ok(true) = state.answer_one(&stream) {});
            }
        });
        Self { address, state }
    }

    /// The variables with which a client reaches it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.address);
        let all = [
            ("AWS_ACCESS_KEY_ID", KEY.0),
            ("AWS_SECRET_ACCESS_KEY", KEY.1),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The keys below a prefix, sorted.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.state.objects().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, body: &[u8]) {
        self.state.put(key, body.to_vec());
    }

    /// The object under a key.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.objects().get(key).map(|object| object.body.to_vec())
    }

    /// Takes an object away.
    pub fn remove(&self, key: &str) {
        self.state.objects().remove(key);
    }

    /// Does what the next so many conditional PUTs ask, and breaks the connection instead of saying so.
    pub fn lose_answers(&self, n: u64) {
        self.state.n_answers_to_lose.store(n, Ordering::SeqCst);
    }

    /// From now on writes over what is there, whatever a request forbids, as some stores do.
    pub fn ignore_conditions(&self) {
        self.state.ignores_conditions.store(true, Ordering::SeqCst);
    }
}

struct Request {
    method: String,
    bucket: String,
    key: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn xml(status: u16, body: String) -> Self {
        let headers = vec![("Content-Type", "application/xml".to_owned())];
        Self { status, headers, body: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}").into_bytes() }
    }

    fn error(status: u16, code: &str, message: &str, more: &str) -> Self {
        Self::xml(status, format!("<Error><Code>{code}</Code><Message>{}</Message>{more}</Error>", escaped(message)))
    }
}

impl State {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uploads(&self) -> MutexGuard<'_, BTreeMap<u64, BTreeMap<u64, Vec<u8>>>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn etag(&self) -> String {
        format!("\"{:032x}\"", self.n_etags.fetch_add(1, Ordering::SeqCst))
    }

    fn put(&self, key: &str, body: Vec<u8>) -> String {
        let etag = self.etag();
        self.objects().insert(key.to_owned(), Object { body: Arc::new(body), etag: etag.clone(), at: now() });
        etag
    }

    /// Answers one request; `false` where the connection is done.
    fn answer_one(&self, stream: &TcpStream) -> io::Result<bool> {
        // Nothing is read ahead of a request: the client waits for its answer.
        let Some(request) = Request::read(&mut BufReader::new(stream))? else { return Ok(false) };
        let is_head = request.method == "HEAD";
        let is_conditional = request.method == "PUT" && request.headers.contains_key("if-none-match");
        let answer = self.answer(&request);
        if is_conditional && self.n_answers_to_lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
            return Ok(false);
        }
        let mut head = format!("HTTP/1.1 {} .\r\nContent-Length: {}\r\n", answer.status, answer.body.len());
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&answer.body);
        }
        let mut stream = stream;
        stream.write_all(&bytes)?;
        Ok(true)
    }

    fn answer(&self, request: &Request) -> Answer {
        if let Some(refused) = refused(request) {
            return refused;
        }
        let says = |name: &str| request.query.contains_key(name);
        match (request.method.as_str(), request.key.is_empty()) {
            ("GET", true) => self.list(request),
            ("POST", true) if says("delete") => self.delete_many(request),
            ("GET" | "HEAD", false) => self.read(request),
            ("PUT", false) if says("partNumber") => self.put_part(request),
            ("PUT", false) => self.write(request),
            ("POST", false) if says("uploads") => self.begin_upload(request),
            ("POST", false) if says("uploadId") => self.end_upload(request),
            ("DELETE", false) if says("uploadId") => {
                self.uploads().remove(&number(request, "uploadId"));
                Answer::empty(204)
            }
            ("DELETE", false) => {
                self.objects().remove(&request.key);
                Answer::empty(204)
            }
            _ => Answer::error(501, "NotImplemented", "nothing here does that", ""),
        }
    }

    fn list(&self, request: &Request) -> Answer {
        let of = |name: &str| request.query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (of("prefix"), of("delimiter"));
        let after = of("continuation-token").max(of("start-after")).to_owned();
        let (mut contents, mut prefixes) = (String::new(), Vec::<String>::new());
        let (mut n, mut last, mut is_cut) = (0, String::new(), false);
        let objects = self.objects();
        for (key, object) in objects.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix)) {
            let folder = (!delimiter.is_empty()).then(|| key[prefix.len()..].find(delimiter)).flatten();
            let entry = folder.map_or(key.as_str(), |at| &key[..prefix.len() + at + delimiter.len()]);
            if entry <= after.as_str() || entry == last {
                continue;
            }
            if n == PAGE_KEYS {
                is_cut = true;
                break;
            }
            n += 1;
            last = entry.to_owned();
            if folder.is_some() {
                prefixes.push(last.clone());
                continue;
            }
            let (etag, bytes) = (escaped(&object.etag), object.body.len());
            let _ = write!(
                contents,
                "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{etag}</ETag><Size>{bytes}</Size></Contents>",
                escaped(key),
                iso(object.at)
            );
        }
        let token = if is_cut { format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(&last)) } else { String::new() };
        let folders: String =
            prefixes.iter().map(|p| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(p))).collect();
        Answer::xml(200, format!("<ListBucketResult><IsTruncated>{is_cut}</IsTruncated>{contents}{folders}{token}</ListBucketResult>"))
    }

    fn read(&self, request: &Request) -> Answer {
        let objects = self.objects();
        let Some(object) = objects.get(&request.key) else {
            return Answer::error(404, "NoSuchKey", "The specified key does not exist.", "");
        };
        let mut headers =
            vec![("ETag", object.etag.clone()), ("Last-Modified", http_date(object.at)), ("Accept-Ranges", "bytes".to_owned())];
        let (body, n) = (object.body.clone(), object.body.len());
        drop(objects);
        if request.method == "HEAD" {
            // Its length is said by what would be sent.
            return Answer { status: 200, headers, body: body.to_vec() };
        }
        let Some(range) = request.headers.get("range") else { return Answer { status: 200, headers, body: body.to_vec() } };
        let Some((from, to)) = range_of(range, n) else {
            return Answer::error(416, "InvalidRange", "The requested range is not satisfiable", "");
        };
        headers.push(("Content-Range", format!("bytes {from}-{}/{n}", to - 1)));
        Answer { status: 206, headers, body: body[from..to].to_vec() }
    }

    /// Whether the conditions of a request let it write over what is there. The caller holds the lock.
    fn forbids(&self, request: &Request, there: Option<&Object>) -> Option<Answer> {
        if self.ignores_conditions.load(Ordering::SeqCst) {
            return None;
        }
        let failed = || Some(Answer::error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", ""));
        match (request.headers.get("if-none-match"), request.headers.get("if-match"), there) {
            (Some(_), _, Some(_)) => failed(),
            (_, Some(_), None) => failed(),
            (_, Some(etag), Some(object)) if *etag != object.etag => failed(),
            _ => None,
        }
    }

    fn write(&self, request: &Request) -> Answer {
        let mut objects = self.objects();
        if let Some(refused) = self.forbids(request, objects.get(&request.key)) {
            return refused;
        }
        let source = request.headers.get("x-amz-copy-source");
        let body = match source {
            None => Arc::new(request.body.clone()),
            Some(from) => {
                let from = decoded(from, false);
                let key = from.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
                let Some(found) = objects.get(key) else { return Answer::error(404, "NoSuchKey", "The specified key does not exist.", "") };
                found.body.clone()
            }
        };
        let etag = self.etag();
        objects.insert(request.key.clone(), Object { body, etag: etag.clone(), at: now() });
        match source {
            None => Answer { status: 200, headers: vec![("ETag", etag)], body: Vec::new() },
            Some(_) => Answer::xml(200, format!("<CopyObjectResult><ETag>{}</ETag></CopyObjectResult>", escaped(&etag))),
        }
    }

    fn begin_upload(&self, request: &Request) -> Answer {
        let id = self.n_etags.fetch_add(1, Ordering::SeqCst);
        self.uploads().insert(id, BTreeMap::new());
        let key = escaped(&request.key);
        Answer::xml(
            200,
            format!("<InitiateMultipartUploadResult><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
        )
    }

    fn put_part(&self, request: &Request) -> Answer {
        let mut uploads = self.uploads();
        let Some(parts) = uploads.get_mut(&number(request, "uploadId")) else {
            return Answer::error(404, "NoSuchUpload", "The specified upload does not exist.", "");
        };
        parts.insert(number(request, "partNumber"), request.body.clone());
        Answer { status: 200, headers: vec![("ETag", self.etag())], body: Vec::new() }
    }

    fn end_upload(&self, request: &Request) -> Answer {
        let Some(parts) = self.uploads().remove(&number(request, "uploadId")) else {
            return Answer::error(404, "NoSuchUpload", "The specified upload does not exist.", "");
        };
        let etag = self.put(&request.key, parts.into_values().flatten().collect());
        Answer::xml(200, format!("<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>", escaped(&etag)))
    }

    fn delete_many(&self, request: &Request) -> Answer {
        let text = String::from_utf8_lossy(&request.body);
        let mut deleted = String::new();
        let mut objects = self.objects();
        for part in text.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap_or_default();
            objects.remove(&plain(key));
            let _ = write!(deleted, "<Deleted><Key>{key}</Key></Deleted>");
        }
        Answer::xml(200, format!("<DeleteResult>{deleted}</DeleteResult>"))
    }
}

/// What a store says to a request that names another key, region or bucket than there is.
fn refused(request: &Request) -> Option<Answer> {
    let signed = request.headers.get("authorization").map_or("", String::as_str);
    let scope = signed.split_once("Credential=").map_or("", |(_, rest)| rest.split(',').next().unwrap_or_default());
    let mut parts = scope.split('/');
    let (key, region) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    if key.is_empty() {
        return Some(Answer::error(403, "AccessDenied", "Access Denied", ""));
    }
    if key != KEY.0 {
        let named = format!("<AWSAccessKeyId>{}</AWSAccessKeyId>", escaped(key));
        return Some(Answer::error(403, "InvalidAccessKeyId", "The key you provided does not exist in our records.", &named));
    }
    if region != REGION {
        let message = format!("The authorization header is malformed; the region '{region}' is wrong; expecting '{REGION}'");
        return Some(Answer::error(400, "AuthorizationHeaderMalformed", &message, &format!("<Region>{REGION}</Region>")));
    }
    (request.bucket != BUCKET).then(|| Answer::error(404, "NoSuchBucket", "The specified bucket does not exist", ""))
}

impl Request {
    /// Reads a request; `None` where the client has gone.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let n_bytes = headers.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut body = Vec::new();
        reader.take(n_bytes).read_to_end(&mut body)?;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let path = decoded(path.trim_start_matches('/'), false);
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        let query = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let query = query.map(|(name, value)| (decoded(name, true), decoded(value, true))).collect();
        Ok(Some(Self { method, bucket: bucket.to_owned(), key: key.to_owned(), query, headers, body }))
    }
}

fn number(request: &Request, name: &str) -> u64 {
    request.query.get(name).and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)
}

/// The bytes that `bytes=from-to`, `bytes=from-` or `bytes=-last` names, as a half-open range.
fn range_of(text: &str, n: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => (from, n.min(to + 1)),
        (Ok(from), Err(_)) => (from, n),
        (Err(_), Ok(last)) => (n - n.min(last), n),
        _ => return None,
    };
    (range.0 < range.1).then_some(range)
}

fn decoded(text: &str, plus_is_space: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|h| std::str::from_utf8(h).ok()).and_then(|h| u8::from_str_radix(h, 16).ok());
        let (byte, after) = match (first, hex) {
            (b'%', Some(byte)) => (byte, &after[2..]),
            (b'+', _) if plus_is_space => (b' ', after),
            (byte, _) => (*byte, after),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const ENTITIES: [(&str, &str); 4] = [("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&apos;")];

fn escaped(text: &str) -> String {
    ENTITIES.iter().fold(text.replace('&', "&amp;"), |text, (plain, entity)| text.replace(plain, entity))
}

fn plain(text: &str) -> String {
    ENTITIES.iter().fold(text.to_owned(), |text, (plain, entity)| text.replace(entity, plain)).replace("&amp;", "&")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Year, month, day, and the seconds of the day.
fn civil(seconds: u64) -> (u64, u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (date, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, date, seconds % 86_400)
}

fn iso(seconds: u64) -> String {
    let (year, month, day, s) = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.000Z", s / 3600, s / 60 % 60, s % 60)
}

fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (year, month, day, s) = civil(seconds);
    let (name, month) = (DAYS[(seconds / 86_400 % 7) as usize], MONTHS[month as usize - 1]);
    format!("{name}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_calendar_has_them() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_827_696), "2000-02-29T12:34:56.000Z");
        assert_eq!(http_date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn of_many_who_make_the_same_object_one_is_told_that_it_did() {
        let server = S3Server::start();
        let asked = |i: usize| {
            let mut stream = TcpStream::connect(server.address).expect("connected");
            let head = format!(
                "PUT /{BUCKET}/a%20b HTTP/1.1\r\nauthorization: AWS4 Credential={}/d/{REGION}/s3/r, x\r\nIf-None-Match: *\r\ncontent-length: 1\r\n\r\n{i}",
                KEY.0
            );
            stream.write_all(head.as_bytes()).expect("asked");
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).expect("answered");
            (i, line)
        };
        let answers: Vec<(usize, String)> = std::thread::scope(|s| {
            (0..8).map(|i| s.spawn(move || asked(i))).collect::<Vec<_>>().into_iter().map(|t| t.join().expect("done")).collect()
        });
        let made: Vec<_> = answers.iter().filter(|(_, line)| line.contains(" 200 ")).collect();
        assert_eq!(made.len(), 1, "{answers:?}");
        assert_eq!(server.get("a b").expect("there"), made[0].0.to_string().into_bytes());
        assert_eq!(answers.iter().filter(|(_, line)| line.contains(" 412 ")).count(), 7);
    }
}
