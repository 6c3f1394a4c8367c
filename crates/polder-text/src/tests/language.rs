//! Languages and what is none.

use proptest::prelude::*;

use crate::{DetectedLanguage, LanguageIdentifier, NO_SCRIPT, detect_language, script};

const UNKNOWN: DetectedLanguage = DetectedLanguage { code: "und", score: 0.0 };

#[test]
fn the_embedded_model_is_whole_and_small() {
    assert!(LanguageIdentifier::embedded().is_ok());
    assert!(include_bytes!("../../models/language.model").len() < 5_000_000);
}

#[test]
fn sentences_of_many_languages_are_told_apart_but_for_one_at_most() {
    let sentences = [
        ("af", "Ons het gister na die mark gegaan om vars groente te koop."),
        ("ar", "ذهبنا أمس إلى السوق لشراء الخضار الطازجة."),
        ("bg", "Вчера отидохме на пазара, за да купим пресни зеленчуци."),
        ("ca", "Ahir vam anar al mercat per comprar verdures fresques."),
        ("cs", "Včera jsme šli na trh koupit čerstvou zeleninu."),
        ("de", "Gestern sind wir auf den Markt gegangen, um frisches Gemüse zu kaufen."),
        ("el", "Χθες πήγαμε στην αγορά για να αγοράσουμε φρέσκα λαχανικά."),
        ("en", "Yesterday we went to the market to buy fresh vegetables."),
        ("es", "Ayer fuimos al mercado a comprar verduras frescas."),
        ("fa", "دیروز برای خرید سبزیجات تازه به بازار رفتیم."),
        ("fi", "Kävimme eilen torilla ostamassa tuoreita vihanneksia."),
        ("fr", "Hier, nous sommes allés au marché acheter des légumes frais."),
        ("he", "אתמול הלכנו לשוק כדי לקנות ירקות טריים."),
        ("hi", "कल हम ताज़ी सब्ज़ियाँ खरीदने के लिए बाज़ार गए थे।"),
        ("hu", "Tegnap elmentünk a piacra, hogy friss zöldséget vegyünk."),
        ("it", "Ieri siamo andati al mercato a comprare verdure fresche."),
        ("ja", "昨日、新鮮な野菜を買いに市場へ行きました。"),
        ("ko", "어제 우리는 신선한 채소를 사러 시장에 갔습니다."),
        ("nl", "Gisteren zijn we naar de markt gegaan om verse groenten te kopen."),
        ("pl", "Wczoraj poszliśmy na targ, żeby kupić świeże warzywa."),
        ("pt", "Ontem fomos ao mercado comprar legumes frescos."),
        ("ru", "Вчера мы ходили на рынок, чтобы купить свежие овощи."),
        ("sv", "Igår gick vi till marknaden för att köpa färska grönsaker."),
        ("tr", "Dün taze sebze almak için pazara gittik."),
        ("uk", "Вчора ми ходили на ринок, щоб купити свіжі овочі."),
        ("ur", "کل ہم تازہ سبزیاں خریدنے بازار گئے تھے۔"),
        ("vi", "Hôm qua chúng tôi đi chợ để mua rau tươi."),
        ("zh", "昨天我们去市场买新鲜蔬菜。"),
    ];
    let mut mistakes = Vec::new();
    for (code, sentence) in sentences {
        // Neither capitals nor what machines write beside it matter.
        let shouted = format!("{} https://example.org/a?b=c 12345 @name", sentence.to_uppercase());
        let found = [sentence, shouted.as_str()].map(detect_language);
        if found.iter().any(|found| found.code != code) {
            mistakes.push((code, found));
        }
    }
    // One in forty may be wrong, and then knows that it is unsure.
    assert!(mistakes.len() <= 1 && mistakes.iter().flat_map(|(_, found)| found).all(|found| found.score < 0.8), "{mistakes:?}");
}

#[test]
fn scripts_of_one_language_name_it_and_letters_of_its_neighbours_tell_those() {
    let texts = [
        ("ka", "გუშინ ბაზარში წავედით."),
        ("hy", "Երեկ մենք գնացինք շուկա։"),
        ("th", "เมื่อวานเราไปตลาด"),
        ("ta", "நேற்று நாங்கள் சந்தைக்குச் சென்றோம்."),
        ("bn", "গতকাল আমরা বাজারে গিয়েছিলাম।"),
        ("as", "কালি আমি বজাৰলৈ গৈছিলোঁ।"),
        ("yi", "נעכטן זענען מיר געגאנגען אין מאַרק אַרײַן."),
        ("km", "ម្សិលមិញយើងបានទៅផ្សារ។"),
    ];
    for (code, text) in texts {
        assert_eq!(detect_language(text).code, code, "{text}");
    }
}

#[test]
fn what_is_no_language_is_undetermined() {
    let hex =
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752";
    let base64 = "aGVsbG8gd29ybGQgdGhpcyBpcyBhIHRlc3Qgb2YgYmFzZTY0IGVuY29kaW5nIGFuZCBpdCBnb2VzIG9uIGFuZCBvbg==\nTG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFkaXBpc2NpbmcgZWxpdCBzZWQgZG8gZWl1c21v\n";
    let code = "pub fn add(a: u32, b: u32) -> u32 {\n    let c = a + b;\n    if c > 10 { return c; }\n    c * 2\n}\n";
    let dump = "0x7ffee4 0x00 0xff 12 34 56 78\n0x7ffee8 0x01 0xfe 9a bc de f0\n";
    for text in
        ["", "   ", "12 345 678", "{}();", "→ ★ ☆ ♥ ■", "🙂🙃🙂", "\u{300}\u{301}", "\u{e000}\u{e001}", "\0\0\0", hex, base64, code, dump]
    {
        assert_eq!(detect_language(text), UNKNOWN, "{text:?}");
    }
}

#[test]
fn sentences_that_small_words_hold_together_are_in_their_language() {
    for (text, code) in [
        ("It is a genius at random, and not a genius constituted.", "en"),
        ("Let's see; there are but enough for four clumps.", "en"),
        ("Der Kater lag auf der Matte und es ist ihm gut gegangen", "de"),
    ] {
        assert_eq!(detect_language(text).code, code, "{text}");
    }
}

#[test]
fn a_long_text_is_judged_by_samples_of_all_of_it() {
    let german = "Der schnelle braune Fuchs springt über den faulen Hund, und niemand im Dorf hat sich darüber gewundert. ";
    assert_eq!(detect_language(&german.repeat(20_000)).code, "de");
    let header = "<?xml version=\"1.0\"?>\n".to_owned() + &"x = 1;\n".repeat(10);
    assert_eq!(detect_language(&(header + &german.repeat(400))).code, "de");
}

#[test]
fn the_script_is_that_of_most_letters() {
    let texts = [
        ("Latn", "plain text, 100 % of it"),
        ("Cyrl", "Привет, world!"),
        ("Grek", "Καλημέρα"),
        ("Arab", "سلام 123"),
        ("Hebr", "שלום"),
        ("Deva", "नमस्ते"),
        ("Hani", "你好，世界"),
        ("Jpan", "漢字とかな"),
        ("Jpan", "カタカナ"),
        ("Hang", "안녕하세요"),
        ("Ethi", "ሰላም"),
        (NO_SCRIPT, ""),
        (NO_SCRIPT, "12 + 34 = 46 🙂"),
        (NO_SCRIPT, "\u{378}\u{e000}\0"),
    ];
    for (code, text) in texts {
        assert_eq!(script(text), code, "{text:?}");
    }
}

#[test]
fn one_character_a_million_times_has_an_answer() {
    for c in ['a', '@', '<', '+', '7', '\n', '\u{300}', 'ش', '字', '\u{e000}', '\0', '\u{378}'] {
        let text = c.to_string().repeat(1_000_000);
        let found = detect_language(&text);
        assert!((0.0..=1.0).contains(&found.score), "{c:?}");
        script(&text);
    }
}

proptest! {
    #[test]
    fn any_text_has_an_answer(text in "\\PC{0,400}") {
        let found = detect_language(&text);
        prop_assert!((0.0..=1.0).contains(&found.score));
        prop_assert_eq!(found.code == "und", found.score == 0.0);
        prop_assert_eq!(script(&text).len(), 4);
    }
}
