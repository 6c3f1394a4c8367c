//! The rules against the figures of the tools, against slow truths, and on texts that nobody would write.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// Tokens by spaCy 3.8.14's blank English pipeline, without white space.
const TOKENS: [(&str, &str); 8] = [
    ("He said: \"Don't go there, it's 5km away!\" (I'd agree.)", "He said : \" Do n't go there , it 's 5 km away ! \" ( I 'd agree . )"),
    (
        "Prices rose from US$5.50 to 7,50€... see www.example.com/a?b=c or mail ann@polder.example.org.",
        "Prices rose from US$ 5.50 to 7,50 € ... see www.example.com/a?b=c or mail ann@polder.example.org .",
    ),
    (
        "The well-known state-of-the-art e.g. U.S.A. and N.Y. offices closed at 5p.m. on Jan. 3rd.",
        "The well - known state - of - the - art e.g. U.S.A. and N.Y. offices closed at 5 p.m. on Jan. 3rd .",
    ),
    (
        "x:)y :-) foo:bar a/b 3*4 2^8 10-20 end.Start 'quoted' — dash–dash…more...yes",
        "x:)y :-) foo : bar a / b 3 * 4 2 ^ 8 10 - 20 end . Start ' quoted ' — dash – dash … more ... yes",
    ),
    (
        "y'all cannot gonna wanna let's o'clock rock'n'roll 'em C++ (e.g. ;-) ) ((nested)) **bold** __init__",
        "y' all can not gon na wanna let 's o'clock rock'n'roll 'em C++ ( e.g. ;-) ) ( ( nested ) ) * * bold * * _ _ init _ _",
    ),
    (
        "https://user:pw@host.com:8080/x#y, 192.168.1.1 8.8.8.8 file.txt A.B.C v1.2.3 50% $20 20$ 10°C. 5+ +5 +x",
        "https://user:pw@host.com:8080/x#y , 192.168.1.1 8.8.8.8 file.txt A.B.C v1.2.3 50 % $ 20 20 $ 10 ° C . 5 + +5 + x",
    ),
    (
        "don’t it’s Mr. Smith's dogs' U.K.'s 1990's ..... . .. a.b.c,d;e im Im wont shed were",
        "do n’t it ’s Mr. Smith 's dogs ' U.K. 's 1990 's ..... . .. a.b.c , d;e i m I m wo nt shed were",
    ),
    (
        "größer,Kleiner.Ändern Straße.Haus 漢字、かな。 русский,текст 5кг 3м² ©2020 ™x ►y",
        "größer , Kleiner . Ändern Straße . Haus 漢字、かな 。 русский , текст 5 кг 3 м² © 2020 ™ x ► y",
    ),
];

#[test]
fn words_are_cut_as_the_tokenizer_behind_datatrove_cuts_them() {
    for (text, tokens) in TOKENS {
        let ours: Vec<&str> = english_words::english_words(text).iter().map(|t| &text[t.start..t.end]).collect();
        assert_eq!(ours.join(" "), tokens, "{text}");
    }
}

/// Sentences in which the tools disagree most.
const FOUR_DIALECTS: &str =
    "Buy now and save.\nBuy now and save.\nBuy now and save.\nOur store has the best tea in town.\nVisit us and enjoy the tea with cake.";

#[test]
fn one_text_has_the_figures_of_each_tool_in_its_dialect() {
    let figures = |dialect| {
        let r = gopher_repetition(FOUR_DIALECTS, dialect).unwrap();
        let all = [r.duplicate_lines_share, r.duplicate_line_chars_share, r.top_ngram_share[0], r.duplicate_ngram_share[0]];
        (all.map(|f| (f * 1e4).round() / 1e4), r.reason)
    };
    assert_eq!(FOUR_DIALECTS.len(), 127);
    assert_eq!(figures(Dialect::Dolma), ([0.6, 0.51, 0.18, 0.3279], Some("fraction_of_duplicate_lines")));
    assert_eq!(figures(Dialect::Dclm), ([0.6, 0.4146, 0.2211, 0.4105], Some("repetition_filter_line")));
    assert_eq!(figures(Dialect::Curator), ([0.4, 0.2764, 0.1654, 0.2756], Some("repeated_lines")));
    // Words between spaces would give 0.1339 for 5-grams; the tool's tokenizer cuts full stops off.
    assert_eq!(figures(Dialect::Datatrove), ([0.4, 0.2677, 0.1654, 0.2205], Some("dup_line_frac")));
}

#[test]
fn the_empty_text_is_never_kept() {
    for text in ["", "\n", " \n\t"] {
        for dialect in GOPHER_DIALECTS {
            let q = gopher_quality(text, dialect).unwrap();
            assert!(!q.keep && q.n_words == 0 && q.mean_word_length == 0.0, "{text:?} {dialect:?}");
        }
        for dialect in C4_DIALECTS {
            let c = c4_quality(text, dialect).unwrap();
            assert!(!c.keep && c.text.is_empty(), "{text:?} {dialect:?} {c:?}");
        }
        assert_eq!(fineweb_quality(text, Dialect::Datatrove).unwrap().reason, Some("empty"));
        assert_eq!(refinedweb_quality(text, Dialect::Dclm).unwrap().reason, Some("page_length_filter"));
    }
    for dialect in REPETITION_DIALECTS {
        assert_eq!(gopher_repetition("", dialect).unwrap().reason, Some("empty"));
    }
}

#[test]
fn an_unknown_dialect_is_answered_with_those_that_the_rules_know() {
    let error = Dialect::parse("dolmen", &GOPHER_DIALECTS).unwrap_err();
    assert_eq!(error.to_string(), "no dialect `dolmen`, it knows `datatrove`, `dolma`, `dclm`, `curator`, `polder`");
    assert!(fineweb_quality("text", Dialect::Dolma).is_err());
    assert!(c4_quality("text", Dialect::Polder).is_err());
    assert!(gopher_repetition("text", Dialect::Polder).is_err());
    assert!(refinedweb_quality("text", Dialect::Datatrove).is_err());
    assert!(gopher_quality("text", Dialect::Fineweb).is_err());
}

#[test]
fn polders_own_dialect_keeps_good_prose_of_other_languages() {
    let reason = |text: &str| gopher_quality(&text.repeat(6), Dialect::Polder).unwrap().reason;
    let german = "Der Deich ist alt, und die Leute im Dorf wissen, dass das Wasser nicht wartet, wenn der Sturm kommt. ";
    let french = "La digue est vieille, et les gens du village savent que la mer ne les attend pas dans la nuit. ";
    let spanish = "El dique es viejo, y los vecinos del pueblo saben que el mar no espera por la noche en el norte. ";
    for text in [german, french, spanish] {
        assert_eq!(reason(text), None, "{text}");
        assert_eq!(gopher_quality(&text.repeat(6), Dialect::Datatrove).unwrap().reason, Some("gopher_enough_stop_words"), "{text}");
    }
    assert_eq!(reason("堤防は古く村の人々は海が待たないことを知っている。"), None);
    assert_eq!(reason("pub fn widen(dike: &mut Dike, metres: f64) -> Result<(), Flood> {\n    dike.width += metres;\n}\n"), None);
    assert_eq!(reason("green leaves grow slowly there under bright summer skies near quiet rivers "), Some("gopher_enough_stop_words"));
}

#[test]
fn c4s_rules_take_lines_out_and_say_why() {
    let good = "The dike was built by the village. It holds the water back.\n".repeat(3);
    let page = format!(
        "Menu\n{good}Enable JavaScript to read this page.\nWe use cookies on this page.\nSee the next page for more...\nIt was built [12] in 1604.[edit]\n"
    );
    let c4 = c4_quality(&page, Dialect::Datatrove).unwrap();
    assert_eq!((c4.keep, c4.n_lines, c4.n_kept_lines, c4.n_sentences), (true, 8, 4, 7));
    assert_eq!((c4.n_no_terminal_lines, c4.n_javascript_lines, c4.n_policy_lines), (2, 1, 1));
    assert_eq!(c4.text, format!("{good}It was built  in 1604."));
    let fineweb = c4_quality(&page, Dialect::Fineweb).unwrap();
    assert_eq!((fineweb.n_few_words_lines, fineweb.n_kept_lines), (1, 5));
    let reason = |text: String| c4_quality(&text, Dialect::Datatrove).unwrap().reason;
    assert_eq!(reason(format!("{good}Here it says Lorem Ipsum.\n")), Some("lorem_ipsum"));
    assert_eq!(reason(format!("{good}Here is one {{ more.\n")), Some("curly_bracket"));
    assert_eq!(reason(format!("{good}{} is long.", "x".repeat(1001))), None);
    assert_eq!(reason("One sentence stands here. And another.\n".into()), Some("too_few_sentences"));
    let dolma = c4_quality(&page, Dialect::Dolma).unwrap();
    assert_eq!((dolma.reason, dolma.n_lines), (Some("has_javascript"), 9));
}

#[test]
fn each_fineweb_rule_names_itself() {
    let reason = |text: &str| fineweb_quality(text, Dialect::Datatrove).unwrap().reason;
    assert_eq!(reason("A line that is longer than thirty characters and ends.\n"), None);
    assert_eq!(reason("a line that ends in nothing at all, however long it may be"), Some("line_punct_ratio"));
    assert_eq!(reason("Short.\nShorter.\nShortest."), Some("short_line_ratio"));
    assert_eq!(reason(&"A line that is longer than thirty characters.\n".repeat(2)), Some("char_dup_ratio"));
    assert_eq!(reason(&format!("A-line-that-is-longer-than-thirty-characters.{}", "\n".repeat(9))), Some("list_ratio"));
}

#[test]
fn refinedwebs_rules_take_lines_out_and_drop_what_lost_too_much() {
    let prose: String = [
        "The dike was built by people of the village with their own hands, and it still stands.",
        "Nobody remembers who paid for the first stones, but the bills lie in a box at the town hall.",
        "Every spring the sluices are opened once so that salt water can reach the meadows behind.",
        "Children learn early to read a tide table, and they have to be home before the bell rings.",
        "When storms come from the north, two men walk along the crest and look for wet places.",
        "That work is done at night, with lamps, because water finds its way in the dark as well.",
        "In dry years the ditches are cleaned, which takes a week and every spade that can be found.",
    ]
    .join("\n\n\n\n");
    let page = format!("{prose}\n3 likes\nShare\nRead more...");
    let kept = refinedweb_quality(&page, Dialect::Dclm).unwrap();
    assert_eq!((kept.keep, kept.reason), (true, None));
    assert_eq!(kept.text, prose.replace("\n\n\n\n", "\n\n"));
    let shouted = format!("{prose}\nSIGN UP TODAY AND SAVE MONEY ON ALL OUR OFFERS OF THIS SPRING");
    assert_eq!(refinedweb_quality(&shouted, Dialect::Dclm).unwrap().reason, Some("word_removal_ratio_filter"));
    assert_eq!(refinedweb_quality("3 likes", Dialect::Dclm).unwrap().reason, Some("page_length_filter"));
}

#[test]
fn all_four_rule_sets_at_once_say_what_each_says_alone() {
    for text in TOKENS.map(|(text, _)| text.repeat(9)).iter().map(String::as_str).chain([FOUR_DIALECTS, ""]) {
        let all = quality(text);
        assert_eq!(all.gopher_repetition, gopher_repetition(text, Dialect::Datatrove).unwrap());
        assert_eq!(all.gopher_quality, gopher_quality(text, Dialect::Datatrove).unwrap());
        assert_eq!(all.c4_quality, c4_quality(text, Dialect::Fineweb).unwrap());
        assert_eq!(all.fineweb_quality, fineweb_quality(text, Dialect::Datatrove).unwrap());
        assert_eq!(all.keep, all.reason.is_none());
    }
}

/// The shares of n-grams as each tool defines them, with strings and without a hash.
fn slow_ngrams(text: &str, dialect: Dialect) -> ([f64; 3], [f64; 6]) {
    let spans = match dialect {
        Dialect::Datatrove => english_words::english_words(text),
        Dialect::Dclm => repetition::unicode_words(text),
        _ => spans::words_between_spaces(text),
    };
    let words: Vec<&str> = spans.iter().map(|w| w.of(text)).collect();
    let chars = |words: &[&str]| words.iter().map(|w| w.chars().count()).sum::<usize>();
    let (all, text_chars) = (chars(&words), text.chars().count());
    let counts = |n: usize| {
        words.windows(n).fold(HashMap::<&[&str], usize>::new(), |mut m, w| {
            *m.entry(w).or_default() += 1;
            m
        })
    };
    let top = |n: usize| {
        let counts = counts(n);
        let most = counts.values().copied().max().unwrap_or(0);
        let first = words.windows(n).find(|w| counts[*w] == most);
        match (first, dialect) {
            (None, Dialect::Curator) => f64::from(u8::from(words.len() < n)),
            (None, _) => 0.0,
            (Some(gram), Dialect::Datatrove) => spans::share(gram.join(" ").chars().count() * most, text_chars),
            (Some(gram), Dialect::Curator) => {
                spans::share(text.matches(&gram.join(" ")).count() * gram.join(" ").chars().count(), text_chars)
            }
            (Some(gram), Dialect::Dolma) => spans::share(chars(gram) * most, all),
            (Some(_), _) if most == 1 => 0.0,
            (Some(_), _) => spans::share(counts.iter().filter(|(_, c)| **c == most).map(|(w, _)| chars(w)).max().unwrap() * most, all),
        }
    };
    let duplicate = |n: usize| match dialect {
        Dialect::Datatrove => {
            let (mut seen, mut i, mut repeated) = (HashSet::new(), 0, 0);
            while i + n <= words.len() {
                let fresh = seen.insert(words[i..i + n].concat());
                repeated += if fresh { 0 } else { chars(&words[i..i + n]) };
                i += if fresh { 1 } else { n };
            }
            spans::share(repeated, text_chars)
        }
        Dialect::Dolma => {
            let counts = counts(n);
            let of = |least: usize| counts.iter().filter(|(_, c)| **c >= least).map(|(w, c)| chars(w) * c).sum();
            spans::share(of(2), of(1))
        }
        Dialect::Dclm => {
            let counts = counts(n);
            let covered: HashSet<usize> =
                words.windows(n).enumerate().filter(|(_, w)| counts[*w] > 1).flat_map(|(i, _)| i..i + n).collect();
            spans::share(covered.iter().map(|i| chars(&words[*i..=*i])).sum(), all)
        }
        _ => {
            if words.len() < n {
                return 1.0;
            }
            let (mut seen, mut repeated, mut overlap) = (HashSet::new(), 0, 0usize);
            for gram in words.windows(n) {
                if !seen.insert(gram) {
                    repeated += chars(&gram[overlap..]) + (n - overlap).min(n - 1);
                    overlap = n;
                }
                overlap = overlap.saturating_sub(1);
            }
            spans::share(repeated, text_chars)
        }
    };
    ([2, 3, 4].map(top), [5, 6, 7, 8, 9, 10].map(duplicate))
}

/// Lines as Python's `splitlines`, character by character.
fn slow_lines(text: &str) -> Vec<String> {
    let (mut lines, mut line, mut chars) = (Vec::new(), String::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        if "\n\r\u{b}\u{c}\u{1c}\u{1d}\u{1e}\u{85}\u{2028}\u{2029}".contains(c) {
            if c == '\r' && chars.peek() == Some(&'\n') {
                chars.next();
            }
            lines.push(std::mem::take(&mut line));
        } else {
            line.push(c);
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Words, symbols and their figures of Polder's dialect, said plainly.
fn slow_polder(text: &str) -> (usize, f64, f64, f64) {
    let words: Vec<&str> = crate::words(text).map(|w| &text[w.start..w.end]).collect();
    let n_symbols = text.split_whitespace().filter(|w| !w.contains(char::is_alphanumeric)).count();
    let n_alphabetic = words.iter().filter(|w| w.contains(char::is_alphabetic)).count();
    let n_chars = words.iter().map(|w| w.chars().count()).sum();
    let n_hashes = text.matches('#').count();
    (
        words.len(),
        spans::share(n_chars, words.len()),
        spans::share(n_alphabetic, words.len()),
        spans::share(n_hashes, words.len() + n_symbols),
    )
}

/// The most distinct stop words of one language.
fn slow_stop_words(text: &str) -> usize {
    let words: HashSet<String> = crate::words(text).map(|w| text[w.start..w.end].to_ascii_lowercase()).collect();
    stop_words::LISTS.iter().map(|(_, list)| list.iter().filter(|w| words.contains(**w)).count()).max().unwrap()
}

fn check(text: &str) {
    let q = gopher_quality(text, Dialect::Polder).unwrap();
    assert_eq!((q.n_words, q.mean_word_length, q.alphabetic_share, q.hash_share), slow_polder(text), "{text:?}");
    assert_eq!(q.n_stop_words, slow_stop_words(text), "{text:?}");
    for dialect in REPETITION_DIALECTS {
        let r = gopher_repetition(text, dialect).unwrap();
        assert_eq!((r.top_ngram_share, r.duplicate_ngram_share), slow_ngrams(text, dialect), "{dialect:?} {text:?}");
    }
    assert_eq!(spans::python_lines(text).collect::<Vec<_>>(), slow_lines(text), "{text:?}");
    let n_dots = text.matches("...").count() + text.matches('…').count();
    let tokens = english_words::english_words(text);
    assert_eq!(gopher_quality(text, Dialect::Datatrove).unwrap().ellipsis_share, spans::share(n_dots, tokens.len()));
    assert!(tokens.iter().all(|t| t.start < t.end) && tokens.windows(2).all(|t| t[0].end <= t[1].start), "{text:?}");
    let visible = |text: &str| text.chars().filter(|c| !characters::is_space(*c)).collect::<String>();
    assert_eq!(tokens.iter().map(|t| &text[t.start..t.end]).collect::<String>(), visible(text));
    let q = quality(text);
    assert_eq!(q.c4_quality.n_lines, slow_lines(text).len());
    for dialect in GOPHER_DIALECTS {
        gopher_quality(text, dialect).unwrap();
    }
    for dialect in C4_DIALECTS {
        c4_quality(text, dialect).unwrap();
    }
    refinedweb_quality(text, Dialect::Dclm).unwrap();
}

proptest! {
    #[test]
    fn letters_are_counted_and_words_hashed_alike_wherever_they_stand(text in "[@-\\[`-{\\PC]{0,40}", from in 0usize..40) {
        let (bytes, from) = (text.as_bytes(), from.min(text.len()));
        prop_assert_eq!(spans::n_ascii_letters(bytes, from), bytes[from..].iter().take_while(|b| b.is_ascii_alphabetic()).count());
        let end = (from..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap();
        let first = spans::Span::new(&text, 0, end, true, characters::Characters::get());
        prop_assert_eq!(first.hash, spans::hash(&bytes[..end]));
    }

    #[test]
    fn figures_equal_the_slow_truth_on_any_text(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn figures_equal_the_slow_truth_on_text_made_of_what_the_rules_look_for(parts in proptest::collection::vec(prop::sample::select(vec![
        " ", " ", " ", "\n", "\n\n", "a", "b", "ab", "the", "tea", "can", "not", "don't", ".", "...", "…", "-", "--", ":)", "'s", "(", "1", "11", "5km", "US$",
        "\r\n", "\u{85}", "\u{2028}", "\u{1c}", "\u{a0}", "[1]", "[edit]", "é", "漢", "\u{308}", "©", "www.a.de", "@", "://", "{", "javascript", "lorem ipsum",
        "#", "•", "3 likes", "Read more...", "\u{0}", "\u{202e}", "\u{e000}", "😀",
    ]), 0..80)) {
        check(&parts.concat());
    }
}

#[test]
fn a_million_bytes_of_any_one_thing_take_linear_time() {
    for unit in [
        "a",
        " ",
        "\n",
        "a ",
        ".",
        "..",
        ". ",
        "(",
        ")",
        "'",
        "'s",
        "-",
        "a-",
        "a.A",
        "1km",
        "@",
        "a@",
        "a@b.",
        "://",
        "[",
        "[1",
        "{",
        "…",
        "\u{308}",
        "\u{e000}",
        "漢",
        ":)",
        "US$",
        "#",
        "lorem",
        "\r",
        "\u{202e}",
        "\u{0}",
        "http://",
        "a/",
        "+",
        "1+",
        "°C.",
        "3 likes\n",
        "the ",
    ] {
        let text = unit.repeat((1 << 20) / unit.len());
        let q = quality(&text);
        assert!(!q.keep, "{unit:?}");
        for dialect in GOPHER_DIALECTS {
            gopher_quality(&text, dialect).unwrap();
        }
        for dialect in REPETITION_DIALECTS {
            gopher_repetition(&text, dialect).unwrap();
        }
        c4_quality(&text, Dialect::Dolma).unwrap();
        refinedweb_quality(&text, Dialect::Dclm).unwrap();
    }
}
