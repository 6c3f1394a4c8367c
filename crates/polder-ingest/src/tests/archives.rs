//! Archives, whole and broken, one within the other.

use std::process::Command;

use super::{folder, gzip, of, put, read, tar};

/// A zip archive with one stored member a name.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        let mut common = Vec::new();
        for n in [20u16, 0x800, 0, 0, 0] {
            common.extend(n.to_le_bytes());
        }
        for n in [crc.sum(), content.len() as u32, content.len() as u32] {
            common.extend(n.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        directory.extend([b"PK\x01\x02".as_slice(), &20u16.to_le_bytes(), &common, &[0; 10], &(bytes.len() as u32).to_le_bytes()].concat());
        directory.extend(name.as_bytes());
        bytes.extend([b"PK\x03\x04".as_slice(), &common, name.as_bytes(), content].concat());
    }
    let at = bytes.len() as u32;
    bytes.extend(&directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    for n in [members.len() as u16; 2] {
        bytes.extend(n.to_le_bytes());
    }
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend(0u16.to_le_bytes());
    bytes
}

#[test]
fn members_of_archives_are_read_without_unpacking_them_to_disk() {
    let dir = folder();
    let members: [(&str, &[u8]); 5] = [
        ("docs/a.md", b"# A\n"),
        ("docs/b c.jsonl", b"{\"text\": \"one\"}\n{\"text\": \"two\"}\n"),
        ("docs/d.txt.gz", &gzip(b"packed")),
        (".git/config", b"hidden"),
        ("docs/e.bin", b"\0\0"),
    ];
    put(dir.path(), "t.tar", tar(&members));
    put(dir.path(), "t.tgz", gzip(&tar(&members)));
    put(dir.path(), "z.zip", zip(&members));
    put(dir.path(), "z.zip.gz", gzip(&zip(&members)));
    let found = read(&of(dir.path()));
    assert_eq!(found.texts(), ["# A\n", "one", "two", "packed"].repeat(4));
    assert_eq!(
        found.paths()[..4],
        ["t.tar!/docs/a.md", "t.tar!/docs/b c.jsonl#line=1", "t.tar!/docs/b c.jsonl#line=2", "t.tar!/docs/d.txt.gz"]
    );
    assert!(found.records[1].uri.ends_with("/t.tar!/docs/b%20c.jsonl#line=1"), "{}", found.records[1].uri);
    assert_eq!(found.reasons(), ["binary"; 4]);
}

#[test]
fn archives_within_archives_are_read_to_the_limit() {
    let dir = folder();
    let mut inner = tar(&[("deep.txt", b"deep")]);
    for i in 0..5 {
        put(dir.path(), &format!("{i}.tar"), &inner);
        inner = tar(&[("next.tar", &inner)]);
    }
    let found = read(&of(dir.path()));
    assert_eq!((found.texts(), found.reasons()), (vec!["deep"; 3], vec!["too_deep"; 2]));
}

#[test]
fn broken_archives_are_told_and_what_stands_before_the_break_is_kept() {
    let dir = folder();
    let long = "x".repeat(3000);
    let members: [(&str, &[u8]); 3] = [("a.txt", b"a"), ("b.txt", long.as_bytes()), ("c.txt", b"c")];
    let whole = tar(&members);
    put(dir.path(), "cut.tar", &whole[..2500]);
    let mut broken = zip(&members);
    let at = broken.windows(long.len()).position(|w| w == long.as_bytes()).expect("content");
    broken[at + 7] = b'y';
    put(dir.path(), "broken.zip", broken);
    put(dir.path(), "cut.zip", &zip(&members)[..3200]);
    put(dir.path(), "not.zip", "no zip");
    put(dir.path(), "not.tar", "no tar, but long enough to be a header".repeat(40));
    put(dir.path(), "cut.tgz", &gzip(&whole)[..40]);
    let found = read(&of(dir.path()));
    assert_eq!(found.paths(), ["broken.zip!/a.txt", "broken.zip!/c.txt", "cut.tar!/a.txt"]);
    let mut told: Vec<String> =
        found.bad.iter().map(|b| format!("{} {}", b.uri.rsplit('/').next().unwrap_or_default(), b.reason)).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "b.txt corrupt",
            "b.txt truncated",
            "cut.tar corrupt",
            "cut.tgz truncated",
            "cut.zip corrupt",
            "not.tar corrupt",
            "not.zip corrupt"
        ]
    );
}

/// Archives that the system's own tools make are read.
#[test]
fn archives_of_other_programs_are_read() {
    let dir = folder();
    for (name, text) in [("in/a.txt", "a"), ("in/sub/ü.txt", "ü"), ("in/long.txt", &"line\n".repeat(5000))] {
        put(dir.path(), name, text);
    }
    let long = format!("in/{}.txt", "n".repeat(180));
    put(dir.path(), &long, "named");
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("in/link")).expect("link");
    let python = "import shutil, zipfile, os\nfor f in ['gztar', 'bztar', 'xztar']: shutil.make_archive('o', f, 'in')\n\
        z = zipfile.ZipFile('o.zip', 'w', zipfile.ZIP_DEFLATED)\n\
        for r, _, fs in os.walk('in'):\n  for f in fs:\n    p = os.path.join(r, f)\n    if not os.path.islink(p): z.write(p, os.path.relpath(p, 'in'))\nz.close()\n";
    let made = Command::new("python3").args(["-c", python]).current_dir(dir.path()).status();
    if !made.is_ok_and(|s| s.success()) {
        eprintln!("SKIPPED archives_of_other_programs_are_read: there is no python3 that makes archives");
        return;
    }
    for name in ["o.tar.gz", "o.tar.bz2", "o.tar.xz", "o.zip"] {
        let found = read(&of(&dir.path().join(name)));
        let mut texts = found.texts();
        texts.sort_by_key(|t| t.len());
        assert_eq!((texts.len(), texts[0], texts[1], texts[2], texts[3].len()), (4, "a", "ü", "named", 25_000), "{name}");
        assert_eq!((found.bad.len(), found.tally.links), (0, u64::from(name != "o.zip")), "{name}");
    }
}
