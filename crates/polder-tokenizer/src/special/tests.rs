//! Policies, borders of words and white space, with the values of the references.
//!
//! The expected stretches are those of `tokenizers` 0.23.3 and tiktoken 0.14; `tests/golden/make_special_tokens.py` makes them.

use super::*;
use crate::{Tokenizer, TrainOptions, WordCounts, train};

/// 256 bytes (the id of a byte is its value), then these tokens from id 256 on.
fn tokenizer(tokens: &[AddedToken]) -> Tokenizer {
    let mut counts = WordCounts::new();
    counts.add("x");
    let base = train(&counts, &TrainOptions { vocab_size: 256, special_tokens: vec![], ..TrainOptions::default() }, &mut |_, _| {})
        .expect("bytes");
    let mut definition = base.definition().clone();
    for (id, token) in (256..).zip(tokens) {
        definition.tokens.push(token.content.as_bytes().into());
        definition.added.push(AddedToken { id, ..token.clone() });
    }
    Tokenizer::try_new(definition).expect("tokenizer")
}

fn special(content: &str) -> AddedToken {
    AddedToken::special(0, content)
}

fn ordinary(content: &str) -> AddedToken {
    AddedToken { special: false, ..special(content) }
}

/// What a text becomes: text as it is, tokens as their number from 0 on in brackets.
fn shown(tokenizer: &Tokenizer, text: &str, policy: &SpecialPolicy) -> String {
    let mut ids = Vec::new();
    tokenizer.encode_with(text, policy, &mut ids).expect("allowed");
    let mut out = Vec::new();
    for id in ids {
        match id {
            0..256 => out.push(id as u8),
            _ => out.extend(format!("[{}]", id - 256).bytes()),
        }
    }
    String::from_utf8(out).expect("text")
}

#[test]
fn special_tokens_stay_text_unless_a_policy_allows_them() {
    let t = tokenizer(&[special("<|a|>"), special("<|b|>"), ordinary("<c>")]);
    let text = "x<|a|>y<|b|><c>";
    assert_eq!(shown(&t, text, &SpecialPolicy::StaysText), "x<|a|>y<|b|>[2]");
    assert_eq!(shown(&t, text, &SpecialPolicy::allow(["<|b|>"])), "x<|a|>y[1][2]");
    assert_eq!(shown(&t, text, &SpecialPolicy::AllowAll), "x[0]y[1][2]");
    let mut by_default = Vec::new();
    t.encode_into(text, &mut by_default);
    let mut by_policy = Vec::new();
    t.encode_with(text, &SpecialPolicy::default(), &mut by_policy).expect("text");
    assert_eq!(by_default, by_policy);
    assert_eq!(t.decode(&by_default), text);
}

#[test]
fn a_refused_token_is_named_with_its_place_and_nothing_is_written() {
    let t = tokenizer(&[special("<|a|>"), special("<|b|>"), ordinary("<c>")]);
    let mut ids = vec![7];
    let error = t.encode_with("né<c><|b|>", &SpecialPolicy::refuse(), &mut ids).expect_err("refused");
    assert!(matches!(&error, TokenizerError::SpecialInText { token, at: 6 } if token == "<|b|>"), "{error:?}");
    assert_eq!(ids, [7]);
    let except = SpecialPolicy::Refuse { except: ["<|b|>".to_owned()].into() };
    assert_eq!(shown(&t, "né<c><|b|>", &except), "né[2][1]");
    assert!(t.encode_with("<|b|><|a|>", &except, &mut ids).is_err());
    assert_eq!(shown(&t, "a <|", &SpecialPolicy::refuse()), "a <|");
    let unknown = t.encode_with("x", &SpecialPolicy::allow(["<c>"]), &mut ids).expect_err("no special token");
    assert!(matches!(unknown, TokenizerError::NoSpecialToken { .. }));
}

#[test]
fn of_overlapping_tokens_the_first_then_the_longest_is_found() {
    let t = tokenizer(&[special("<|a|>"), special("<|a|>b"), special("b<"), ordinary("  "), ordinary("    ")]);
    assert_eq!(shown(&t, "<|a|>b<|a|>c", &SpecialPolicy::AllowAll), "[1][0]c");
    assert_eq!(shown(&t, "b<|a|>", &SpecialPolicy::AllowAll), "[2]|a|>");
    assert_eq!(shown(&t, "<|a|>b", &SpecialPolicy::allow(["<|a|>"])), "[0]b", "what is not allowed is not looked for");
    assert_eq!(shown(&t, "x       y", &SpecialPolicy::StaysText), "x[4][3] y");
}

#[test]
fn flags_take_white_space_and_ask_for_word_borders() {
    let token = |single_word, lstrip, rstrip| AddedToken { single_word, lstrip, rstrip, ..ordinary("<m>") };
    let cases = [
        (token(false, true, false), "a \n<m> b", "a[0] b"),
        (token(false, false, true), "a <m>\u{3000} b", "a [0]b"),
        (token(false, true, true), " <m> <m> ", "[0][0]"),
        (token(true, false, false), "a<m> <m>b <m>. (<m>) ²<m>² é\u{301}<m>", "a<m> <m>b [0]. ([0]) ²[0]² é\u{301}<m>"),
        (token(true, true, true), "_<m> x <m> y", "_<m> x[0]y"),
    ];
    for (token, text, expected) in cases {
        let t = tokenizer(std::slice::from_ref(&token));
        assert_eq!(shown(&t, text, &SpecialPolicy::StaysText), expected, "{token:?}");
    }
}

#[test]
fn white_space_that_a_token_took_is_a_token_of_its_own_behind_it() {
    let t = tokenizer(&[AddedToken { rstrip: true, ..special("<s>") }, ordinary("  ")]);
    assert_eq!(shown(&t, "a<s>  b<s> c<s>     d", &SpecialPolicy::AllowAll), "a[0][1]b[0]c[0][1][1] d");
}

#[test]
fn tokens_are_looked_for_in_normalised_text_if_they_ask_for_it() {
    let composed = AddedToken { normalized: true, ..ordinary("e\u{301}!") };
    let raw = ordinary("e\u{301}?");
    let mut definition = tokenizer(&[composed, raw]).definition().clone();
    definition.normalizer = crate::Normalizer::Nfc;
    let t = Tokenizer::try_new(definition).expect("tokenizer");
    assert_eq!(shown(&t, "é!e\u{301}!é?e\u{301}?", &SpecialPolicy::StaysText), "[0][0]é?[1]");
}

#[test]
fn many_tokens_that_begin_alike_do_not_make_finding_slow() {
    let tokens: Vec<AddedToken> = (0..5000).map(|i| special(&format!("<|{i:04}"))).collect();
    let t = tokenizer(&tokens);
    let text = "<|".repeat(200_000) + "<|0042";
    assert!(shown(&t, &text, &SpecialPolicy::AllowAll).ends_with("<|[42]"));
}
