//! Misread encodings, normal forms, cleaned text, boilerplate lines, sentences and paragraphs.

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::{NormalForm, boilerplate, clean_text, fix_mojibake, normalize_text, paragraphs, remove_boilerplate, sentences};

/// What a reader of Windows-1252 makes of UTF-8.
fn misread(text: &str) -> String {
    let windows = [
        "€", "\u{81}", "‚", "ƒ", "„", "…", "†", "‡", "ˆ", "‰", "Š", "‹", "Œ", "\u{8d}", "Ž", "\u{8f}", "\u{90}", "‘", "’", "“", "”", "•",
        "–", "—", "˜", "™", "š", "›", "œ", "\u{9d}", "ž", "Ÿ",
    ];
    text.bytes()
        .map(|b| match b {
            0x80..=0x9f => windows[usize::from(b) - 0x80].to_owned(),
            _ => char::from(b).to_string(),
        })
        .collect()
}

const CORRECT: [&str; 24] = [
    "Größe, Fuß“, „Ö“, MÜ” – naß… ÄÖÜ“",
    "« C’est déjà… » dit-il à »café« é… » voilà\u{a0}» é…\u{a0}»",
    "MANHû, IRMÃ… NÃO, São Paulo, AÇÃO”",
    "ROMÂ» „Îmbrâ…” știți că",
    "Åland, PÅ… på Ångström, DÅ”",
    "sážžân oovtviärdásâžžân",
    "Съешь же ещё этих мягких французских булок",
    "これは日本語の文章です。",
    "한국어 문장입니다",
    "Việt Nam, Â Ê, á» ấ»",
    "¿Está?»… «está»…",
    "20 °C, 5 µm, § 3, ±1 ½",
    "Ελληνικά «κείμενο»",
    "ประเทศไทย",
    "हिन्दी में",
    "עברית",
    "العربية",
    "Ðað Ÿ Þorn ð",
    "naïve café – “quoted” … €5",
    "â ê î ô û",
    "plain ASCII",
    "",
    "ë© ë® ï¿",
    "Ãâ",
];

#[test]
fn misread_text_is_made_right_and_correct_text_left_alone() {
    for text in CORRECT {
        assert_eq!(fix_mojibake(text), text, "{text}");
    }
    for text in [
        "Größe und Fuß, März",
        "It’s a “quote” — and more…",
        "Съешь же ещё этих мягких французских булок, да выпей чаю",
        "これは日本語の文章です。とても短いです。",
        "한국어 문장입니다",
        "ประเทศไทย รวมเลือดเนื้อ",
        "Việt Nam đất nước ta ơi",
        "naïve café à la carte",
        "zażółć gęślą jaźń",
        "5 € für 20 °C",
        "smile 😀!",
        "Ελληνικά «κείμενο»",
        "עברית שפה יפה",
    ] {
        assert_eq!(fix_mojibake(&misread(text)), text);
        assert_eq!(fix_mojibake(&misread(&misread(text))), text);
        assert_eq!(fix_mojibake(&text.bytes().map(char::from).collect::<String>()), text);
    }
    assert_eq!(fix_mojibake("Correct “quotes” and a donâ€™t, MÃ¤rz – Größe"), "Correct “quotes” and a don’t, März – Größe");
}

#[test]
fn normal_forms_are_those_of_unicode() {
    assert_eq!(normalize_text("e\u{301}ﬁ²", NormalForm::Nfc), "éﬁ²");
    assert_eq!(normalize_text("éﬁ²", NormalForm::Nfd), "e\u{301}ﬁ²");
    assert_eq!(normalize_text("e\u{301}ﬁ²", NormalForm::Nfkc), "éfi2");
    assert_eq!(normalize_text("éﬁ²", NormalForm::Nfkd), "e\u{301}fi2");
    assert_eq!(NormalForm::named("NFKC"), Some(NormalForm::Nfkc));
    assert_eq!(NormalForm::named("x"), None);
}

#[test]
fn cleaned_text_holds_nothing_unseen() {
    assert_eq!(
        clean_text("\u{feff}a\u{a0}b\u{200b}c\u{ad}d\u{7}  \r\ne\u{3000}f\rg\u{2028}h\u{2029}i\t \n\n\n\nj\tk \n"),
        "a bcd\ne f\ng\nh\n\ni\n\nj\tk"
    );
    assert_eq!(clean_text("e\u{301}\u{202e}x\u{fffe}"), "éx");
    assert_eq!(clean_text("می\u{200c}خواهم 👨\u{200d}👩 ❤\u{fe0f}"), "می\u{200c}خواهم 👨\u{200d}👩 ❤\u{fe0f}");
    assert_eq!(clean_text(" \n \n"), "");
    assert_eq!(clean_text("    indented\n\tcode"), "    indented\n\tcode");
}

/// [`clean_text`], said plainly: character by character.
fn slow_clean(text: &str) -> String {
    let mut out = String::new();
    let line_end = |out: &mut String| {
        while out.ends_with([' ', '\t']) {
            out.pop();
        }
        if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
    };
    for c in text.replace("\r\n", "\n").chars() {
        match u32::from(c) {
            0x0a..=0x0d | 0x85 | 0x2028 => line_end(&mut out),
            0x2029 => (0..2).for_each(|_| line_end(&mut out)),
            0xa0 | 0x1680 | 0x2000..=0x200a | 0x202f | 0x205f | 0x3000 => out.push(' '),
            0x09 => out.push(c),
            0..0x20
            | 0x7f..0xa0
            | 0xad
            | 0x61c
            | 0x200b
            | 0x200e..=0x200f
            | 0x202a..=0x202e
            | 0x2060..=0x2064
            | 0x2066..=0x206f
            | 0xfeff => {}
            0xfdd0..=0xfdef => {}
            code if code & 0xfffe == 0xfffe => {}
            _ => out.push(c),
        }
    }
    out.trim_end().nfc().collect()
}

/// Against the slow truths: cleaned, and in each normal form.
fn check_forms(text: &str) {
    assert_eq!(clean_text(text), slow_clean(text), "{text:?}");
    assert_eq!(normalize_text(text, NormalForm::Nfc), text.nfc().collect::<String>(), "{text:?}");
    assert_eq!(normalize_text(text, NormalForm::Nfd), text.nfd().collect::<String>(), "{text:?}");
    assert_eq!(normalize_text(text, NormalForm::Nfkc), text.nfkc().collect::<String>(), "{text:?}");
    assert_eq!(normalize_text(text, NormalForm::Nfkd), text.nfkd().collect::<String>(), "{text:?}");
}

#[test]
fn every_character_is_cleaned_and_normalised_as_the_slow_truth_says_behind_and_before_others() {
    for c in '\0'..=char::MAX {
        check_forms(&format!("{c}"));
        check_forms(&format!("a{c}\u{323}{c}b"));
    }
}

#[test]
fn boilerplate_lines_are_those_that_pages_add() {
    let text = "Skip to main content\nThe dike holds.\n\nRead more »\n\nWe use cookies to improve your experience. OK?\n\nIt held again.\nShare this article\n12 comments\n1,234 views\n\
                © 2020 The Sea Ltd.\nSeite 1 von 3\nZum Inhalt springen\nAlle Rechte vorbehalten.\nEnd.\n";
    let found = boilerplate(text);
    assert_eq!(found.kept, "The dike holds.\n\nIt held again.\nEnd.\n");
    assert_eq!(found.removed.len(), 10);
    for kept in [
        "He wanted to read more.",
        "Share prices rose.",
        "12 comments were made by the mayor.",
        "Home is where the dike is.",
        "let share = 3;",
        "",
        "\n\n",
        "Cookies are baked.",
    ] {
        assert_eq!(remove_boilerplate(kept), kept);
    }
}

#[test]
fn sentences_end_where_readers_end_them() {
    let of = |text: &str, expected: &[&str]| assert_eq!(sentences(text, None), expected, "{text}");
    of("", &[]);
    of(" \n ", &[]);
    of(
        "Dr. Smith went to Washington, D.C. on Jan. 5. He met Mr. J. P. Jones.",
        &["Dr. Smith went to Washington, D.C. on Jan. 5.", "He met Mr. J. P. Jones."],
    );
    of("At 3 p.m. The U.S. Government said no. It cost $3.50.", &["At 3 p.m.", "The U.S. Government said no.", "It cost $3.50."]);
    of("\"Why?\" he asked. (Really!) Next…", &["\"Why?\" he asked.", "(Really!)", "Next…"]);
    of("See example.com, e.g. Fig. 3. Then... no. Wait... What?", &["See example.com, e.g. Fig. 3.", "Then... no.", "Wait...", "What?"]);
    of(
        "Am 3. Oktober kam sie, z. B. mit Prof. Dr. Müller, d.h. spät. Im 19. Jahrhundert?",
        &["Am 3. Oktober kam sie, z. B. mit Prof. Dr. Müller, d.h. spät.", "Im 19. Jahrhundert?"],
    );
    of(
        "Heading\nThis line is wrapped since it is as long as lines are\nin books. Next.\n- item\n- item two",
        &["Heading", "This line is wrapped since it is as long as lines are\nin books.", "Next.", "- item", "- item two"],
    );
    of("这是第一句。这是第二句！「你好吗？」他问。", &["这是第一句。", "这是第二句！", "「你好吗？」他问。"]);
    of("これは文です。次の文です。", &["これは文です。", "次の文です。"]);
    of("सभी मनुष्य। दूसरा वाक्य। هل هذا؟ نعم.", &["सभी मनुष्य।", "दूसरा वाक्य।", "هل هذا؟", "نعم."]);
    of("ประเทศไทย รวมเลือดเนื้อ", &["ประเทศไทย", "รวมเลือดเนื้อ"]);
    assert_eq!(sentences("Er wurde 30. Dann der 2. Platz. Am 5. Haus.", Some("de")), ["Er wurde 30.", "Dann der 2. Platz.", "Am 5. Haus."]);
}

#[test]
fn paragraphs_are_parted_by_blank_lines_or_are_lines() {
    assert_eq!(paragraphs("a\nb\n \n\nc\r\n\r\nd"), ["a\nb", "c", "d"]);
    assert_eq!(paragraphs("a\n  b\nc"), ["a", "b", "c"]);
    assert_eq!(paragraphs(" \n\n"), [""; 0]);
}

/// Repeats of what the rules look for; each would take hours if it were quadratic.
#[test]
fn a_million_repeats_are_answered() {
    for part in [
        ".",
        ". ",
        "A. ",
        "1. A ",
        "a. A",
        "\n",
        "\n ",
        " \n",
        "\"",
        ".\"",
        "。",
        "。」",
        "Ã",
        "Ã©",
        "â€",
        "ð",
        "\u{308}",
        "é… ",
        "read more\n",
        "1 comments\n",
        "©",
        "\0",
        "\r",
        "\u{2029}",
        "\u{202e}",
        "ก ",
        "x",
    ] {
        let text = part.repeat(1_000_000);
        run(&text);
        run(&format!("{}{text}", " ".repeat(1_000_000)));
    }
}

fn run(text: &str) {
    let letters = |t: &str| t.chars().filter(|c| !c.is_whitespace()).count();
    assert_eq!(sentences(text, Some("de")).iter().map(|s| letters(s)).sum::<usize>(), letters(text));
    assert_eq!(paragraphs(text).iter().map(|s| letters(s)).sum::<usize>(), letters(text));
    let clean = clean_text(text);
    assert_eq!(clean_text(&clean), clean);
    let _ = fix_mojibake(text);
    let found = boilerplate(text);
    assert!(found.kept.len() <= text.len());
}

proptest! {
    #[test]
    fn any_text_is_cleaned_and_cut(text in "\\PC*") {
        run(&text);
    }

    #[test]
    fn any_mixture_is_cleaned_and_cut(parts in proptest::collection::vec(prop::sample::select(vec![
        "a", "B", "Dr", "z", "3", ".", "!", "?", "…", "。", "」", "「", "\"", "”", " ", "\n", "\r\n", "\u{a0}", "\u{200b}", "\u{301}", "e", "Ã", "©", "â", "€", "™", "Ð", "°", "ก", "।", "Read more", "漢", "é",
    ]), 0..40)) {
        run(&parts.concat());
    }

    #[test]
    fn any_text_is_cleaned_and_normalised_as_the_slow_truth_says(parts in proptest::collection::vec(prop_oneof![
        any::<char>().prop_map(String::from),
        "[ \t\r\n\u{b}\u{85}\u{2029}\u{a0}]{1,3}",
        "[a-zéÅ\u{300}-\u{315}\u{323}-\u{32d}\u{345}]{1,4}",
        "[가-힣ᄀ-ᇿ]{1,3}",
        "[\u{5b0}-\u{5c7}א-ת\u{64b}-\u{655}ا-ي\u{93c}क-ह\u{94d}\u{9be}\u{9c7}\u{9d7}\u{e48}-\u{e4b}ก\u{f71}-\u{f76}\u{f43}]{1,4}",
        "[\u{fb00}-\u{fb4f}\u{1d15e}-\u{1d164}\u{2f800}-\u{2f810}Ω\u{212b}か\u{3099}ﾊﾟ]{1,3}",
    ], 0..24)) {
        check_forms(&parts.concat());
    }

    #[test]
    fn what_was_misread_comes_back(words in proptest::collection::vec("([a-z]|[äöüßéèñçøåžšč][a-z]){1,6}", 3..20)) {
        let text = words.join(" ");
        prop_assert_eq!(fix_mojibake(&text), text.clone());
        prop_assert_eq!(fix_mojibake(&misread(&text)), text);
    }
}
