//! What comes in pieces from far away, as a stream that readers of files take.

use std::error::Error;
use std::io::{self, Cursor, Read};

/// A stream over what `next` gives, piece by piece, until it gives none.
pub struct Pieces<T, N> {
    next: N,
    piece: Option<Cursor<T>>,
}

impl<T: AsRef<[u8]>, N: FnMut() -> io::Result<Option<T>>> Pieces<T, N> {
    /// Begins with the first piece.
    pub fn new(next: N) -> Self {
        Self { next, piece: None }
    }
}

impl<T: AsRef<[u8]>, N: FnMut() -> io::Result<Option<T>>> Read for Pieces<T, N> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(piece) = &mut self.piece {
                let n = piece.read(buf)?;
                if n > 0 || buf.is_empty() {
                    return Ok(n);
                }
            }
            match (self.next)()? {
                Some(piece) => self.piece = Some(Cursor::new(piece)),
                None => return Ok(0),
            }
        }
    }
}

/// An error with its causes, in one line. Some errors print their cause themselves: it is said once.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text.push_str(": ");
            text.push_str(&inner);
        }
        cause = error.source();
    }
    text
}
