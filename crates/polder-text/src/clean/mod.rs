//! Text made right: misread encodings, normal forms, what no reader sees, and lines that no author wrote.
//!
//! Each function does one of these and says exactly what it changes. Start with [`clean_text`].

mod boilerplate;
mod mojibake;
mod normal;

pub use boilerplate::{Boilerplate, boilerplate, remove_boilerplate};
pub use mojibake::fix_mojibake;
pub(crate) use normal::composed;
pub use normal::{NormalForm, clean_text, normalize_text};
