//! Addresses, public and private.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::{gzip, read};
use crate::Request;

/// A server that answers some paths; it ends with the test's process.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..n]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, kind, body): (&str, &str, Vec<u8>) = match path.split('?').next().unwrap_or_default() {
                "/a.txt" => ("200 OK", "text/plain", b"plain".to_vec()),
                "/page" => ("200 OK", "text/html; charset=utf-8", b"<p>a page</p>".to_vec()),
                "/d.jsonl.gz" => ("200 OK", "application/gzip", gzip(b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n")),
                "/lines" => ("200 OK", "application/x-ndjson", b"{\"text\": \"three\"}\n".to_vec()),
                "/moved" => ("302 Found\r\nLocation: /a.txt", "text/plain", Vec::new()),
                "/round" => ("302 Found\r\nLocation: /round", "text/plain", Vec::new()),
                _ => ("404 Not Found", "text/plain", b"none".to_vec()),
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    format!("http://{address}")
}

#[test]
fn addresses_are_read_by_their_name_or_by_what_the_server_says() {
    let server = serve();
    let at = |path: &str| format!("{server}{path}");
    let mut asked = Request::new(vec![at("/a.txt?token=secret"), at("/page"), at("/d.jsonl.gz"), at("/lines"), at("/moved")]);
    asked.allow_private = true;
    let found = read(&asked);
    let mut texts = found.texts();
    texts.sort_unstable();
    assert_eq!(texts, ["<p>a page</p>", "one", "plain", "plain", "three", "two"]);
    let page = found.records.iter().find(|r| r.text.contains("a page")).expect("the page");
    assert_eq!((page.uri.as_str(), page.path.as_str(), page.media_type.as_str()), (at("/page").as_str(), "page", "text/html"));
    assert_eq!(page.origin.source, "127.0.0.1");
    assert!(found.records.iter().all(|r| !r.uri.contains("secret")));
}

#[test]
fn what_cannot_be_fetched_is_told() {
    let server = serve();
    let mut asked = Request::new(vec![format!("{server}/none"), format!("{server}/round"), "http://127.0.0.1:1/x".into()]);
    asked.allow_private = true;
    let found = read(&asked);
    assert_eq!(found.reasons(), ["unreachable"; 3]);
    assert!(found.bad.iter().any(|b| b.detail == "the server answers 404 Not Found"), "{:?}", found.bad);
    assert!(found.bad.iter().any(|b| b.detail.contains("too many redirects")), "{:?}", found.bad);
}

#[test]
fn private_addresses_are_refused_unless_they_are_allowed() {
    let server = serve();
    let port = server.rsplit(':').next().expect("port").to_owned();
    let all = ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001"].map(|host| format!("http://{host}:{port}/a.txt"));
    // Numbers are other spellings of the same address.
    let found = read(&Request::new(all.to_vec()));
    assert_eq!(found.reasons(), ["private_address"; 3]);
}
