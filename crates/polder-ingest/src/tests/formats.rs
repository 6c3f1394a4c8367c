//! Each format gives its records.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow::ipc::writer::{FileWriter, StreamWriter};
use parquet::arrow::ArrowWriter;

use super::{folder, gzip, of, put, read};
use crate::{Format, Offset, Pages};

#[test]
fn every_file_of_a_folder_is_a_document_or_a_fault() {
    let dir = folder();
    put(dir.path(), "serde-1.0.0/lib.rs", "fn main() {}\n");
    put(dir.path(), "grüße 1.txt", "grüße\n");
    put(dir.path(), "bad/latin.txt", b"Die Stra\xdfe und die Gr\xfc\xdfe der Gew\xe4sser.\n");
    put(dir.path(), "bad/object.o", b"\x7fELF\0\0\x01");
    put(dir.path(), "bad/nothing.txt", "");
    put(dir.path(), "bad/white.txt", " \n\t");
    put(dir.path(), ".hidden/x.txt", "x");
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), ["Die Straße und die Grüße der Gewässer.\n", "grüße\n", "fn main() {}\n"]);
    assert_eq!(found.reasons(), ["empty", "binary", "empty"]);
    assert_eq!((found.tally.files, found.tally.packages), (6, 3));
    assert!(found.records[1].uri.ends_with("/gr%C3%BC%C3%9Fe%201.txt"), "{}", found.records[1].uri);
    assert_eq!((found.records[2].origin.package.as_str(), found.records[2].media_type.as_str()), ("serde", "text/x-rust"));
}

#[test]
fn json_lines_give_a_record_a_line_and_say_where_the_bad_ones_are() {
    let dir = folder();
    let lines = concat!(
        "{\"id\": \"a\", \"text\": \"one \\u00e4\", \"license\": \"MIT\", \"n\": {\"x\": [1, 2]}}\n",
        "\n",
        "{\"text\": \"two\", \"url\": \"https://me:pw@example.org/2?token=x\"}\n",
        "{\"text\": \"cut\n",
        "{\"text\": 7}\n",
        "[1]\n",
        "{\"id\": 9, \"text\": null}\n",
        "{\"id\": 10, \"text\": \"\"}\n",
        "{\"content\": \"three\"}",
    );
    for (name, bytes) in
        [("d.jsonl", lines.as_bytes().to_vec()), ("d.jsonl.gz", gzip(lines.as_bytes())), ("d.json", lines.as_bytes().to_vec())]
    {
        put(dir.path(), name, bytes);
        let found = read(&of(&dir.path().join(name)));
        assert_eq!(found.texts(), ["one ä", "two", "three"]);
        assert_eq!(found.paths(), [format!("{name}#id=a"), format!("{name}#line=3"), format!("{name}#line=9")]);
        assert_eq!(found.records[0].license.as_deref(), Some("MIT"));
        assert_eq!(found.records[1].uri, "https://example.org/2");
        assert_eq!(found.reasons(), ["malformed", "wrong_type", "malformed", "no_text", "empty"]);
        assert_eq!(found.bad[0].offset, Some(Offset::Line(4)));
        assert_eq!(found.bad[0].excerpt, b"{\"text\": \"cut");
        assert!(found.bad[4].uri.ends_with(&format!("{name}#id=10")), "{}", found.bad[4].uri);
    }
}

#[test]
fn values_with_a_header_are_read_whatever_separates_them() {
    let dir = folder();
    put(dir.path(), "a.csv", "id,text,n\n1,\"one, with \"\"quotes\"\"\nand a line\",7\n2,two\n3,three,8\n");
    put(dir.path(), "b.csv", "\u{feff}id;text\nx;eins\n");
    put(dir.path(), "c.tsv", "id\ttext\ny\tein\"s\n".replace('"', ""));
    put(dir.path(), "d.csv.gz", gzip(b"text\nonly\n"));
    put(dir.path(), "e.csv", "id,n\n1,2\n");
    put(dir.path(), "f.csv", "id,text\n");
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), ["one, with \"quotes\"\nand a line", "three", "eins", "eins", "only", "id,n\n1,2\n"]);
    assert_eq!(found.paths()[..5], ["a.csv#id=1", "a.csv#id=3", "b.csv#id=x", "c.tsv#id=y", "d.csv.gz#row=1"]);
    assert_eq!(found.reasons(), ["ragged", "empty"]);
    assert_eq!((found.bad[0].offset, found.bad[0].detail.as_str()), (Some(Offset::Line(4)), "2 values where the header has 3"));
    // Data among prose is a document; a file that was named is asked for its text.
    let named = read(&of(&dir.path().join("e.csv")));
    assert_eq!(
        (named.reasons(), named.bad[0].detail.as_str()),
        (vec!["no_text_column"], "there is no column `text` or `content` or `body`; its columns are id, n")
    );
}

#[test]
fn parquet_and_arrow_rows_are_records() {
    let dir = folder();
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("one"), None, Some("three")]));
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["MIT", "MIT", "0BSD"]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    let batch = RecordBatch::try_from_iter([("id", ids), ("license", large), ("text", texts)]).expect("batch");
    let mut parquet = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("writer");
    parquet.write(&batch).expect("write");
    put(dir.path(), "a.parquet", parquet.into_inner().expect("bytes"));
    let mut file = FileWriter::try_new(Vec::new(), &batch.schema()).expect("writer");
    file.write(&batch).expect("write");
    put(dir.path(), "b.arrow", file.into_inner().expect("bytes"));
    let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema()).expect("writer");
    stream.write(&batch).expect("write");
    let stream = stream.into_inner().expect("bytes");
    put(dir.path(), "c.arrows.gz", gzip(&stream));
    put(dir.path(), "d.parquet", b"PAR1 nothing PAR1");
    put(dir.path(), "e.arrow", &stream[..stream.len() / 2]);
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), ["one", "three", "one", "three", "one", "three"]);
    assert_eq!(found.records[1].license.as_deref(), Some("0BSD"));
    assert_eq!(found.paths()[1..3], ["a.parquet#id=3", "b.arrow#id=1"]);
    assert_eq!(found.reasons(), ["no_text", "no_text", "no_text", "corrupt", "corrupt"]);
    assert_eq!(found.bad[0].offset, Some(Offset::Row(2)));
}

const PAGE: &str = "<html><head><title>Dikes</title><meta name='robots' content='noai'></head><body><article><h1>Dikes</h1>\
    <p>A dike keeps the water out of the land that lies below the level of the sea, and has done so for eight hundred years.</p>\
    <p>Behind it stand farms, and between the farms run ditches that carry the water to the mills.</p></article></body></html>";

#[test]
fn a_page_is_kept_as_it_is_or_as_its_main_text() {
    let dir = folder();
    put(dir.path(), "a.html", PAGE);
    put(dir.path(), "b.htm", b"<meta charset=windows-1251><p>\xc2\xee\xe4\xe0</p>");
    let found = read(&of(dir.path()));
    assert_eq!((found.texts()[0], found.records[0].media_type.as_str()), (PAGE, "text/html"));
    assert!(found.texts()[1].contains("Вода"), "{}", found.texts()[1]);
    let mut asked = of(dir.path());
    asked.pages = Pages::Text;
    let found = read(&asked);
    assert!(found.texts()[0].starts_with("A dike keeps") && !found.texts()[0].contains('<'), "{}", found.texts()[0]);
    assert_eq!(found.records[0].media_type, "text/plain");
}

fn warc(kind: &str, media_type: &str, uri: &str, block: &[u8]) -> Vec<u8> {
    let head = format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2026-11-24T10:00:00Z\r\n\
         WARC-Record-ID: <urn:uuid:{}>\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        block.len(),
        block.len()
    );
    [head.as_bytes(), block, b"\r\n\r\n"].concat()
}

#[test]
fn web_archives_give_a_row_a_record() {
    let dir = folder();
    let http = |head: &str, body: &[u8]| [format!("HTTP/1.1 {head}\r\n\r\n").as_bytes(), body].concat();
    let response = "application/http; msgtype=response";
    let chunked = format!("5\r\n<html\r\n{:x};x=1\r\n{}\r\n0\r\n\r\n", PAGE.len() - 5, &PAGE[5..]);
    let records = [
        warc("warcinfo", "application/warc-fields", "", b"software: x\r\n"),
        warc("request", "application/http; msgtype=request", "https://a.org/", b"GET / HTTP/1.1\r\n\r\n"),
        warc("response", response, "https://a.org/1", &http("200 OK\r\nContent-Type: text/html", PAGE.as_bytes())),
        warc(
            "response",
            response,
            "https://a.org/2",
            &http("200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked", chunked.as_bytes()),
        ),
        warc(
            "response",
            response,
            "https://a.org/3",
            &http("200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip", &gzip(b"packed")),
        ),
        warc("response", response, "https://a.org/4", &http("404 Not Found\r\nContent-Type: text/html", b"gone")),
        warc("response", response, "https://a.org/5", &http("200 OK\r\nContent-Type: image/png", b"\x89PNG\r\n")),
        warc("response", response, "https://a.org/6", &http("200 OK\r\nContent-Type: text/plain; charset=iso-8859-1", b"gr\xfc\xdfe")),
        warc("conversion", "text/plain", "https://a.org/7", "Wasser".as_bytes()),
    ];
    // Crawls are compressed record by record.
    put(dir.path(), "crawl.warc.gz", records.iter().flat_map(|r| gzip(r)).collect::<Vec<u8>>());
    put(dir.path(), "text.wet", records[8].clone());
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), [PAGE, PAGE, "packed", "grüße", "Wasser", "Wasser"]);
    assert_eq!(found.records[3].uri, "https://a.org/6");
    assert!(found.records.iter().all(|r| r.fetched_at.is_some_and(|t| t.to_string().starts_with("2026-11-24T10:00:00"))));
    assert_eq!(found.reasons(), ["http_status", "not_text"]);
    assert!(matches!(found.bad[0].offset, Some(Offset::Byte(at)) if at > 1000));
    let cut = &records[2][..records[2].len() - 40];
    put(dir.path(), "cut.warc", cut);
    let found = read(&of(&dir.path().join("cut.warc")));
    assert_eq!((found.texts().len(), found.reasons()), (0, vec!["truncated"]));
    put(dir.path(), "cut.warc", [&records[8], cut].concat());
    let found = read(&of(&dir.path().join("cut.warc")));
    assert_eq!((found.texts(), found.reasons()), (vec!["Wasser"], vec!["truncated"]));
}

#[test]
fn a_format_that_was_asked_for_holds_where_names_say_nothing() {
    let dir = folder();
    put(dir.path(), "part-0001", "{\"text\": \"one\"}\n");
    put(dir.path(), "part-0002.txt", "{\"text\": \"two\"}\n");
    let mut asked = of(dir.path());
    asked.format = Some(Format::JsonLines);
    assert_eq!(read(&asked).texts(), ["one", "two"]);
}

#[test]
fn a_folder_that_holds_a_table_is_read_as_one() {
    let dir = folder();
    put(dir.path(), "x/t/_delta_log/0.json", "{}");
    put(dir.path(), "x/t/part.parquet", "PAR1");
    put(dir.path(), "x/a.txt", "a");
    let found = read(&of(dir.path()));
    assert_eq!((found.texts(), found.bad[0].reason, found.bad[0].detail.as_str()), (vec!["a"], "table", "t"));
    assert_eq!(read(&of(&dir.path().join("x/t"))).reasons(), ["table"]);
}
