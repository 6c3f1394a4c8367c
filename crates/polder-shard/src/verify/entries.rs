//! That no document stands twice in a set: all lists pass once, in order of doc_id.

use crate::base::Run;
use crate::documents;
use crate::reader::TokenSet;
use crate::verify::Damage;

/// The documents that stand in a set more than once. Lists that cannot be read end the search; they are reported where they are
/// checked line by line.
pub(super) fn standing_twice(set: &TokenSet) -> Vec<Damage> {
    let mut damages = Vec::new();
    let mut runs = Vec::new();
    for split in set.details().n_tokens.keys() {
        let shards = set.details().shards.iter().filter(|s| s.split == *split).cloned();
        match Run::all(set.folder(), shards) {
            Ok(of_split) => runs.extend(of_split),
            Err(_) => return damages,
        }
    }
    let mut last: Option<(String, String)> = None;
    loop {
        let next =
            runs.iter_mut().filter(|r| r.peek().is_some()).min_by(|a, b| a.peek().map(|d| &d.doc_id).cmp(&b.peek().map(|d| &d.doc_id)));
        let Some(run) = next else { return damages };
        let (Some(document), Some(shard)) = (run.peek(), run.shard()) else { return damages };
        match &mut last {
            Some((doc_id, in_shard)) if *doc_id == document.doc_id => damages.push(Damage {
                path: set.folder().join(format!("{shard}.{}", documents::ENDING)),
                bytes: None,
                what: format!("document `{doc_id}` stands here and in {in_shard}"),
            }),
            Some((doc_id, in_shard)) => {
                doc_id.clone_from(&document.doc_id);
                in_shard.replace_range(.., shard);
            }
            None => last = Some((document.doc_id.clone(), shard.to_owned())),
        }
        if run.pass(true).is_err() {
            return damages;
        }
    }
}
