//! The layout's order, and that neighbours are one product.

use super::*;
use crate::config::tests::every_kind;

#[test]
fn groups_are_contiguous_and_tensors_leave_no_gap() {
    for config in every_kind() {
        let table = ParamTable::new(&config);
        let mut end = 0;
        for param in table.iter() {
            assert_eq!(param.offset, end, "{}", param.name);
            end += param.len();
            assert!(table.range(param.group).contains(&param.offset));
            assert_eq!(param.is_matrix(), param.offset < table.n_decayed());
            assert_eq!(param.is_matrix(), param.shape.len() == 2);
        }
        assert_eq!((end, config.n_params()), (table.len(), end as u64));
        let groups = [Group::Embedding, Group::Hidden, Group::Output, Group::Vector];
        assert_eq!(groups.iter().map(|g| table.range(*g).len()).sum::<usize>(), end);
    }
}

#[test]
fn places_name_every_number_once_but_for_a_tied_output() {
    for config in every_kind() {
        let table = ParamTable::new(&config);
        let p = table.places();
        let mut all = vec![p.word];
        all.extend([p.position, p.token_type].into_iter().flatten());
        let norm = |all: &mut Vec<Place>, n: Option<NormPlaces>| all.extend(n.into_iter().flat_map(|n| [Some(n.weight), n.bias]).flatten());
        let linear = |all: &mut Vec<Place>, l: Linear| {
            assert_eq!(l.weight.len, l.n_out * l.n_in);
            assert!(l.bias.is_none_or(|b| b.len == l.n_out));
            all.extend([Some(l.weight), l.bias].into_iter().flatten());
        };
        norm(&mut all, p.embedding_norm);
        norm(&mut all, p.final_norm);
        for l in &p.layers {
            norm(&mut all, l.attention_norm);
            norm(&mut all, Some(l.ffn_norm));
            [l.qkv, l.o, l.up, l.down].into_iter().for_each(|x| linear(&mut all, x));
            all.extend([l.q_norm, l.k_norm].into_iter().flatten());
        }
        p.head.dense.into_iter().for_each(|x| linear(&mut all, x));
        norm(&mut all, p.head.norm);
        if let Some(output) = p.head.output {
            linear(&mut all, output);
        }
        all.sort_by_key(|p| p.offset);
        all.dedup();
        let mut end = 0;
        for place in all {
            assert_eq!(place.offset, end, "{} {:?}", config.family.name(), config.head);
            end += place.len;
        }
        assert_eq!(end, table.len());
    }
}

#[test]
fn the_decoder_stands_as_checkpoints_written_before_hold_it() {
    let config = ModelConfig { tie_word_embeddings: false, ..crate::preset("nano", 300, 64).expect("preset") };
    let table = ParamTable::new(&config);
    let names: Vec<&str> = table.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names[..3],
        ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn.k_proj.weight"]
    );
    let last = &names[names.len() - 4..];
    assert_eq!(
        last,
        [
            "model.layers.2.post_attention_layernorm.weight",
            "model.layers.3.input_layernorm.weight",
            "model.layers.3.post_attention_layernorm.weight",
            "model.norm.weight"
        ]
    );
    let place = |name: &str| names.iter().position(|n| *n == name).expect(name);
    assert_eq!(place("lm_head.weight") + 1, place("model.layers.0.input_layernorm.weight"));
}

#[test]
fn ranks_get_even_parts_that_cut_no_hidden_matrix() {
    for config in every_kind() {
        let table = ParamTable::new(&config);
        for n_ranks in 1..=5 {
            let shares = table.shares(n_ranks);
            assert_eq!((shares[0].start, shares[n_ranks - 1].end), (0, table.len()));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            let blocks = table.iter().filter(|p| p.group == Group::Hidden).flat_map(Param::blocks);
            for (at, [rows, columns]) in blocks {
                let holders = shares.iter().filter(|s| s.start < at + rows * columns && at < s.end);
                assert_eq!(holders.count(), 1, "a matrix at {at} in {shares:?}");
            }
        }
    }
}
