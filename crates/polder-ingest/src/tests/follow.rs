//! Sources that are followed.

use std::sync::{Arc, Mutex};

use super::{folder, of, put, read};

#[test]
fn a_followed_folder_gives_files_once_they_have_settled_and_again_when_they_change() {
    let dir = folder();
    put(dir.path(), "a.txt", "a");
    let mut asked = of(dir.path());
    asked.only_changed = Some(Arc::new(Mutex::new(crate::Seen::default())));
    // A file that is seen for the first time may still be growing.
    assert!(read(&asked).texts().is_empty());
    assert_eq!(read(&asked).texts(), ["a"]);
    assert!(read(&asked).texts().is_empty());
    put(dir.path(), "a.txt", "a longer");
    put(dir.path(), "b.txt", "b");
    assert!(read(&asked).texts().is_empty());
    put(dir.path(), "b.txt", "b that grows");
    assert_eq!(read(&asked).texts(), ["a longer"]);
    assert_eq!(read(&asked).texts(), ["b that grows"]);
    assert!(read(&asked).texts().is_empty());
}
