//! Rank files, as tiktoken and Llama 3 have them: a line a token, its bytes in base64 and its rank, which is its id.
//!
//! A rank file holds no expression and no special tokens. Those of OpenAI's files are known by the file's digest; for others the user
//! says them.

use std::str::FromStr;

use polder_base::digest_bytes;

use super::base64;
use super::byte_level::place;
use crate::definition::{AddedToken, Around, Definition, Merging, Normalizer};
use crate::error::TokenizerError;
use crate::fast_hash::FastMap;
use crate::split::Splitter;
use crate::{Digits, END_OF_TEXT};

/// What a rank file does not say.
#[derive(Clone, Debug, Default)]
pub struct RankOptions {
    /// How text is cut.
    pub splitter: Option<Splitter>,
    /// Special tokens. Those without an id get the next free ones in order.
    pub specials: Vec<SpecialName>,
}

/// A special token as the user names it: `TOKEN` or `TOKEN=ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialName {
    /// Its text.
    pub content: String,
    /// Its id.
    pub id: Option<u32>,
}

impl FromStr for SpecialName {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let with_id = text.rsplit_once('=').and_then(|(content, id)| Some((content, id.parse().ok()?)));
        Ok(match with_id.filter(|(content, _)| !content.is_empty()) {
            Some((content, id)) => Self { content: content.to_owned(), id: Some(id) },
            None => Self { content: text.to_owned(), id: None },
        })
    }
}

/// Files whose digest says the rest: SHA-256, splitter, special tokens.
///
/// # Source
/// tiktoken 0.14, `tiktoken_ext/openai_public.py`.
type Known = (&'static str, Splitter, &'static [(&'static str, u32)]);
const KNOWN: [Known; 4] = [
    ("306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930", Splitter::Gpt2, &[(END_OF_TEXT, 50256)]),
    ("94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069", Splitter::Gpt2, &[(END_OF_TEXT, 50256)]),
    (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        Splitter::Cl100k(Digits::UpToThree),
        &[
            (END_OF_TEXT, 100257),
            ("<|fim_prefix|>", 100258),
            ("<|fim_middle|>", 100259),
            ("<|fim_suffix|>", 100260),
            ("<|endofprompt|>", 100276),
        ],
    ),
    (
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        Splitter::O200k(Digits::UpToThree),
        &[(END_OF_TEXT, 199999), ("<|endofprompt|>", 200018)],
    ),
];

/// Whether a file begins like a rank file.
pub(super) fn looks_like(bytes: &[u8]) -> bool {
    let first = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    first.len() < 4096 && parse_line(first).is_ok()
}

/// Reads a rank file.
pub(super) fn read(bytes: &[u8], options: &RankOptions) -> Result<Definition, TokenizerError> {
    let digest = digest_bytes(bytes).hex();
    let known = KNOWN.iter().find(|(sha256, ..)| *sha256 == digest);
    let mut tokens: Vec<(u32, Box<[u8]>)> = Vec::new();
    let mut seen: FastMap<Box<[u8]>, u32> = FastMap::default();
    for (i, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (token, rank) = parse_line(line).map_err(|reason| TokenizerError::line(i + 1, reason))?;
        if let Some(other) = seen.insert(token.clone(), rank) {
            return Err(TokenizerError::line(i + 1, format!("the token of rank {rank} is that of rank {other}")));
        }
        tokens.push((rank, token));
    }
    let unsaid = TokenizerError::Unsaid { what: "how text is cut", remedy: "Name it: --splitter cl100k, llama3, o200k or gpt2." };
    let splitter = options.splitter.clone().or_else(|| known.map(|(_, splitter, _)| splitter.clone())).ok_or(unsaid)?;
    let mut free = tokens.iter().map(|(rank, _)| *rank).max().map_or(0, |most| most.saturating_add(1));
    let mut added = Vec::new();
    for special in &options.specials {
        let id = special.id.unwrap_or(free);
        free = free.max(id.saturating_add(1));
        added.push(AddedToken::special(id, &special.content));
    }
    if let Some((.., specials)) = known.filter(|_| options.specials.is_empty()) {
        added.extend(specials.iter().map(|(content, id)| AddedToken::special(*id, content)));
    }
    added.sort_by_key(|t| t.id);
    if let Some(twice) = added.iter().enumerate().find(|(i, t)| added[..*i].iter().any(|a| a.content == t.content)) {
        return Err(TokenizerError::SpecialToken { token: twice.1.content.clone(), reason: "it is given twice" });
    }
    let tokens = place(tokens.into_iter().chain(added.iter().map(|t| (t.id, t.content.as_bytes().into()))))?;
    let definition = Definition {
        tokens,
        merging: Merging::Ranks,
        added,
        splitter,
        normalizer: Normalizer::None,
        add_prefix_space: false,
        whole_words_first: false,
        around: Around::default(),
    };
    definition.check_texts()?;
    Ok(definition)
}

fn parse_line(line: &[u8]) -> Result<(Box<[u8]>, u32), String> {
    let text = std::str::from_utf8(line).map_err(|_| "it is not text".to_owned())?;
    let (token, rank) = text.split_once(' ').ok_or("it is not a token in base64, a space and a rank")?;
    let token = base64::decode(token).ok_or("the token is not base64")?;
    if token.is_empty() {
        return Err("the token is empty".into());
    }
    Ok((token.into(), rank.trim_end().parse().map_err(|_| format!("`{}` is no rank", rank.escape_debug()))?))
}

/// Writes the tokens of a definition as a rank file, if ranks say the same as its merges.
///
/// # Errors
/// The merges are not in the order of the ids, or it is no byte-level BPE.
pub(crate) fn write(definition: &Definition) -> Result<String, TokenizerError> {
    let refuse = |reason: String| Err(TokenizerError::Inexpressible { format: "a rank file", reason });
    if matches!(definition.merging, Merging::Characters(_)) {
        return refuse("it is no byte-level BPE".into());
    }
    let ordinary = || (0u32..).zip(&definition.tokens).filter(|(id, bytes)| !bytes.is_empty() && !definition.is_added(*id));
    if let Merging::Pairs(pairs) = &definition.merging {
        let made: Vec<Vec<u8>> =
            pairs.iter().map(|(l, r)| [&*definition.tokens[*l as usize], &*definition.tokens[*r as usize]].concat()).collect();
        let mut expected = ordinary().map(|(_, bytes)| bytes).filter(|bytes| bytes.len() > 1);
        for (i, token) in made.iter().enumerate() {
            if expected.next().is_none_or(|bytes| **bytes != **token) {
                return refuse(format!("merge {i} does not make the next token in order of id"));
            }
        }
        if expected.next().is_some() {
            return refuse("some token is made by no merge".into());
        }
    }
    Ok(ordinary().map(|(id, bytes)| format!("{} {id}\n", base64::encode(bytes))).collect())
}

#[cfg(test)]
mod tests;
