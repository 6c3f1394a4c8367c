//! Personal data: what is found, what only looks like it, and what stands in its place.

use proptest::prelude::*;

use crate::{PII_KINDS, pii, pii_redact, pii_redact_kinds, pii_redact_salted};

fn kinds(text: &str) -> Vec<(&'static str, String)> {
    let slice = |start: usize, end: usize| text.chars().skip(start).take(end - start).collect();
    pii(text).iter().map(|f| (f.kind, slice(f.start, f.end))).collect()
}

fn one(kind: &'static str, text: &str) -> Vec<(&'static str, String)> {
    vec![(kind, text.to_string())]
}

#[test]
fn addresses_are_found_wherever_prose_and_manifests_put_them() {
    assert_eq!(kinds("authors = [\"Ann <ann.lee+x@mail.example.com>\"]"), one("email", "ann.lee+x@mail.example.com"));
    assert_eq!(kinds("Ask (bob@site.org), or not."), one("email", "bob@site.org"));
    assert_eq!(kinds("end bob@site.org"), one("email", "bob@site.org"));
    assert_eq!(kinds("Grüße an jürgen@müller.de!"), one("email", "jürgen@müller.de"));
    assert_eq!(kinds("a1@b2.co,c3@d4.io").len(), 2);
}

#[test]
fn what_only_looks_like_an_address_is_left_alone() {
    for text in [
        "git@github.com:rust-lang/rust.git",
        "icon@2x.png",
        "left-pad@1.3.0",
        "pkg@4.17.21.tgz",
        "@decorator.name",
        "a@b",
        "x@y@z",
        "memcpy@GLIBC_2.14",
        "call @llvm.memcpy",
        "user@127.0.0",
        "foo@.com",
        "foo@-a.com",
        "a..b@c.de",
        "@@ -1,3 +1,4 @@",
        "name @ Some.Thing",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn the_password_and_host_of_a_web_address_are_no_mail_address() {
    for text in
        ["https://user:pass@acme.com/x", "postgres://admin:pass@db.acme.com/x", "redis://:pass@acme.com", "https://user:p!a$s@acme.com/x"]
    {
        assert!(kinds(text).iter().all(|(kind, _)| *kind != "email"), "{text}");
        assert!(pii_redact(text).contains("acme.com"), "{text}");
    }
    finds("email", &["mailto:⟦ann@b.de⟧", "http://c.de:80/⟦ann@b.de⟧", "see https://c.de: ⟦ann@b.de⟧", "http://c.de:80,⟦ann@b.de⟧"]);
}

#[test]
fn numbers_with_checksums_must_pass_them() {
    assert_eq!(kinds("IBAN DE89 3704 0044 0532 0130 00."), one("iban", "DE89 3704 0044 0532 0130 00"));
    assert_eq!(kinds("GB82WEST12345698765432"), one("iban", "GB82WEST12345698765432"));
    assert_eq!(kinds("DE88 3704 0044 0532 0130 00"), []);
    assert_eq!(kinds("pay 4111 1111 1111 1111 now"), one("card", "4111 1111 1111 1111"));
    assert_eq!(kinds("pay 4111-1111-1111-1111"), one("card", "4111-1111-1111-1111"));
    assert_eq!(kinds("378282246310005"), one("card", "378282246310005"));
    for text in [
        "4111111111111112",
        "0x4111111111111111",
        "4111111111111111u64",
        "0.4111111111111111",
        "41111111111111111",
        "4111 1111 1111-1111",
        "[1, 4111111111111111, 2]",
        "4111111111111111,\n",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn addresses_of_machines_are_public_and_no_versions() {
    assert_eq!(kinds("from 93.184.216.34:8080"), one("ipv4", "93.184.216.34"));
    for text in [
        "127.0.0.1",
        "192.168.1.20",
        "10.1.2.30",
        "1.2.3.4",
        "version 12.34.56.78",
        "v93.184.216.34",
        "\"^12.34.56.78\"",
        "1.2.3.4.5",
        "93.184.216.340",
        "93.184.216.034",
        "a93.184.216.34",
        "93.184.216.34-beta",
        "203.0.113.9",
        "OID 1.3.101.112",
        "Section 7.10.3.30",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn machines_that_people_log_in_to_are_no_versions_of_packages() {
    finds(
        "ipv4",
        &[
            "ssh deploy@⟦84.23.99.7⟧",
            "root@⟦84.23.99.7⟧:/tmp",
            "scp x web-1@⟦84.23.99.7⟧:\n",
            "sip:1001@⟦84.23.99.7⟧:5060",
            "deploy@⟦84.23.99.7⟧: Permission denied (publickey).",
            "HOST = \"root@⟦84.23.99.7⟧\"",
            "ssh://root@⟦84.23.99.7⟧/",
        ],
    );
    finds("ipv6", &["ssh root@⟦2a00:1450:4001:81b::200e⟧"]);
    assert_eq!(kinds("ftp://alice:tulip9@84.23.99.7/").len(), 2);
    finds_nothing(&[
        "lodash@4.17.21",
        "pkg@1.2.3.4",
        "root@10.1.2.30",
        "root@84.23.99.7-rc",
        "browser@109.0.151.61",
        "npm install browser@84.23.99.7",
        "cargo update -p browser@84.23.99.7",
        "@types/browser@84.23.99.7",
        "├── browser@84.23.99.7",
        "browser@84.23.99.7:\n  resolved",
        "\"browser@84.23.99.7\": {",
        "version browser@84.23.99.7",
        "@84.23.99.7",
        "a@@84.23.99.7",
    ]);
}

#[test]
fn telephone_numbers_have_a_form_that_code_lacks() {
    assert_eq!(kinds("call +49 30 1234567 or"), one("phone", "+49 30 1234567"));
    assert_eq!(kinds("(212) 555-0187"), one("phone", "(212) 555-0187"));
    assert_eq!(kinds("tel 212-555-0187."), one("phone", "212-555-0187"));
    for text in [
        "x +1234567890u",
        "+1.234567890",
        "\n+123456789\n",
        "a+123456789012",
        "2021-05-06",
        "123-456-7890-12",
        "1234-567-8901",
        "f(212) = 3",
        "+1 + 2",
        "+10000-12-31",
        "+1441497364",
    ] {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn places_count_characters_and_placeholders_name_kinds() {
    let found = &pii("größe: ann@b.de")[0];
    assert_eq!((found.start, found.end), (7, 15));
    let text = "Ann <ann@b.de>, 4111 1111 1111 1111";
    assert_eq!(pii_redact(text), "Ann <<EMAIL_1>>, <CARD_1>");
    assert_eq!(pii_redact_kinds(text, |kind| kind == "card"), "Ann <ann@b.de>, <CARD_1>");
    assert_eq!((pii("").len(), pii_redact("")), (0, String::new()));
}

/// Each text holds one find of this kind, the part in brackets.
fn finds(kind: &'static str, texts: &[&str]) {
    for marked in texts {
        let value = marked.split_once('⟦').and_then(|(_, rest)| rest.split_once('⟧')).map(|(value, _)| value).unwrap();
        let text = marked.replace(['⟦', '⟧'], "");
        assert_eq!(kinds(&text), one(kind, value), "{text}");
    }
}

fn finds_nothing(texts: &[&str]) {
    for text in texts {
        assert_eq!(kinds(text), [], "{text}");
    }
}

#[test]
fn telephone_numbers_of_many_countries_are_found_with_their_extensions() {
    finds(
        "phone",
        &[
            "Ring ⟦+44 20 7946 0958⟧ today",
            "⟦+44 (0)20 7946 0958⟧",
            "⟦+33 1 42 68 53 00⟧",
            "⟦+49 (0)89 636-48018⟧",
            "⟦+49-171-5551234⟧",
            "⟦+86 138 1234 5678⟧",
            "⟦+91 98765 43210⟧",
            "⟦+55 11 91234-5678⟧",
            "⟦+1 (415) 555-2671⟧",
            "at ⟦+15417541388⟧",
            "⟦+1-903-140-4508x769⟧ or nothing".replace("140", "240").as_str(),
            "⟦345-899-3560x4587⟧",
            "⟦(212) 555-0187 ext. 12⟧",
            "⟦259.735.7502⟧",
            "⟦1-800-555-0199⟧",
            "⟦001-518-640-0854⟧",
            "Tel.: ⟦030/1234567⟧",
            "Telefon: ⟦(0211) 123 45 67⟧",
            "Phone:\n⟦60-56-85-91⟧\n",
            "Can someone call me on ⟦9472 7916⟧? I have some questions.",
            "Mobile: ⟦03.93.92.16.85⟧",
            "⟦416 60 039⟧ office",
            "Fax: ⟦9498777106⟧",
            "Desk: ⟦5403926876⟧",
            "Tel. ⟦6123-4567⟧",
            "Please call ⟦7182999260⟧ now.",
            "Tel: ⟦(02).8531.3444⟧",
            "at ⟦+298 21 12 34⟧",
            "They're not answering at ⟦374 780 163⟧",
            "an online order, but no message on my registered ⟦905-674-3793⟧.",
            "\n⟦+447700677662⟧ mobile",
            "电话⟦13812345678⟧",
            "Telefon ⟦+49\u{a0}30\u{a0}1234567⟧",
        ],
    );
    finds_nothing(&[
        "called 1000000 times",
        "call 2021-05-06",
        "phone 12.05.2021",
        "the office opened in 1990-1995",
        "+999 123 456 789",
        "+49 12",
        "isbn 978-3-16-148410-0",
        "order number 467 3395",
        "3.141.592.653",
        "0x5551234567",
        "2147483647",
        "1234 5678 9012",
        "version 212.555.0187",
        "(fp_text user GND (at 5.461 48.26)",
        "call 0.07 20120115",
        "The office is at 17031 2202 Rissik Street",
        "reign of Meiji (1852-1912). Call me",
        "011400 01 REQUEST-MESSAGE",
    ]);
    assert_eq!(kinds("Tel. 030 1234567 oder 0171 7654321").len(), 2);
}

#[test]
fn cards_of_every_issuer_need_a_word_where_chance_is_high() {
    finds(
        "card",
        &[
            "What is the limit for card ⟦4454794511390933⟧?",
            "my cc ⟦4131034282458809939⟧",
            "card number ⟦630427373398⟧ is lost",
            "Kreditkarte: ⟦3782 822463 10005⟧",
            "⟦5500-0055-5555-5559⟧",
            "card #⟦4047737215142⟧",
        ],
    );
    finds_nothing(&["id 4131034282458809939", "630427373398", "4047737215142", "order 4454794511390933", "card 4454794511390934"]);
}

#[test]
fn machines_have_addresses_of_three_kinds() {
    finds(
        "ipv6",
        &["from ⟦2a00:1450:4001:81b::200e⟧ to", "[⟦2607:f8b0:4005:805:0:0:0:200e⟧]:443", "⟦6e40:4041:c617:e898:c11:40d2:c669:2eb4⟧"],
    );
    finds("mac", &["hwaddr ⟦3c:22:fb:5a:9e:01⟧", "⟦A4-83-E7-12-9C-4F⟧", "⟦fc:ec:da:bb:aa:ef⟧"]);
    finds("ipv4", &["DNS server ⟦8.8.8.8⟧", "blocked |⟦106.31.73.20⟧|%20"]);
    finds_nothing(&[
        "fe80::1",
        "2001:db8::1",
        "::1",
        "std::fmt::Debug",
        "de::Error",
        "12:34:56",
        "1:2:3:4:5:6:7:8",
        "00:11:22:33:44:55",
        "ff:ff:ff:ff:ff:ff",
        "01:23:45:67:89:ab:cd:ef",
        "a1:b2:c3:d4:e5:f6:a7:b8:c9",
        "Chrome/91.0.4472.124",
        "firmware 93.184.216.34",
    ]);
}

#[test]
fn national_numbers_pass_the_checks_of_their_countries() {
    for (kind, text) in [
        ("us_ssn", "Here's my SSN: ⟦460-89-9847⟧"),
        ("us_ssn", "social security number is ⟦853371694⟧"),
        ("us_itin", "ITIN ⟦931-70-6815⟧"),
        ("de_tax_id", "Steuer-ID: ⟦45 803 371 295⟧"),
        ("uk_nhs", "NHS number ⟦939 152 5504⟧"),
        ("uk_nino", "NI number ⟦AB123456C⟧"),
        ("uk_nino", "⟦AB 12 34 56 C⟧"),
        ("fr_nir", "⟦1 85 05 15 859 103 45⟧"),
        ("es_nif", "DNI ⟦45998920R⟧"),
        ("es_nie", "NIE: ⟦X0350726E⟧"),
        ("it_fiscal_code", "⟦RSSMRA85T10A562S⟧"),
        ("nl_bsn", "BSN ⟦857907785⟧"),
        ("pl_pesel", "PESEL: ⟦61112705656⟧"),
        ("se_personnummer", "personnummer ⟦721126-8847⟧"),
        ("br_cpf", "⟦431.807.334-38⟧"),
        ("br_cpf", "CPF ⟦43180733438⟧"),
        ("in_aadhaar", "Aadhaar ⟦8600 1703 9815⟧"),
        ("in_pan", "PAN card: ⟦ABCPE1234F⟧"),
        ("ca_sin", "SIN ⟦377 921 796⟧"),
        ("au_tfn", "TFN: ⟦711 228 298⟧"),
        ("fi_hetu", "⟦010195-026T⟧"),
        ("no_fodselsnummer", "fødselsnummer ⟦110953 01837⟧"),
        ("be_national_number", "⟦86.09.16-417.02⟧"),
        ("ch_ahv", "⟦756.4538.8869.47⟧"),
        ("at_social_security", "SVNR ⟦5187 251071⟧"),
        ("pt_nif", "contribuinte ⟦231 413 904⟧"),
        ("za_id", "South African ID number ⟦6507210884084⟧"),
        ("cn_resident_id", "⟦11010519491231002X⟧"),
        ("kr_rrn", "주민등록번호 ⟦560917-1715483⟧"),
        ("tr_identity", "TC kimlik no ⟦54471338094⟧"),
        ("ro_cnp", "CNP ⟦1840509013837⟧"),
        ("bg_egn", "ЕГН ⟦5601184500⟧".replace("ЕГН", "EGN").as_str()),
        ("cz_birth_number", "rodné číslo ⟦650917/5409⟧"),
        ("ee_lt_identity", "isikukood ⟦39308047968⟧"),
        ("hr_oib", "OIB ⟦32173699214⟧"),
        ("mx_curp", "⟦BOXW810205MCSSXX09⟧"),
        ("ar_cuit", "CUIL ⟦20-03848238-7⟧"),
        ("cl_rut", "⟦24.955.824-9⟧"),
        ("ie_pps", "PPS ⟦6253628O⟧"),
        ("ru_inn", "ИНН ⟦267341887205⟧"),
        ("ru_snils", "СНИЛС ⟦112-233-445 95⟧"),
        ("sg_nric", "NRIC ⟦S1234567D⟧"),
        ("de_id_card", "Personalausweis ⟦T220001293⟧"),
        ("de_social_security", "Sozialversicherungsnummer ⟦15 070649 C 103⟧"),
        ("passport", "Reisepass Nr. ⟦C01X00T47⟧"),
        ("passport", "passport number ⟦912803456⟧"),
        ("driver_license", "my driver's license number is ⟦2270-66-1551⟧"),
    ] {
        let kind = PII_KINDS.into_iter().find(|k| *k == kind).unwrap();
        finds(kind, &[text]);
    }
    finds_nothing(&[
        "SSN 123-45-6789",
        "SSN 000-12-3456",
        "SSN 666-12-3456",
        "Steuer-ID 45803371296",
        "NHS 9391525505",
        "NINO BG123456C",
        "DNI 45998920S",
        "RSSMRA85T10A562T",
        "BSN 857907786",
        "PESEL 61112705657",
        "431.807.334-39",
        "Aadhaar 8600 1703 9816",
        "SIN 377921797",
        "756.4538.8869.48",
        "11010519491231002Y",
        "45803371295",
        "939 152 5504",
    ]);
}

#[test]
fn birth_dates_stand_beside_a_word_of_birth() {
    finds(
        "birth_date",
        &[
            "DOB: ⟦12/03/1980⟧",
            "born on ⟦12 March 1980⟧ in",
            "was born ⟦March 12, 1980⟧.",
            "Geburtsdatum: ⟦03.05.1980⟧",
            "geboren am ⟦3. Mai 1980⟧",
            "geb. ⟦3.5.1980⟧",
            "date_of_birth: ⟦1980-03-12⟧",
            "\"birthDate\": \"⟦1980-03-12⟧\"",
            "né le ⟦12 mars 1980⟧",
            "fecha de nacimiento: ⟦12 de marzo de 1980⟧",
            "出生日期：⟦1980年3月12⟧日",
        ],
    );
    finds_nothing(&["born on 12 March 1780", "on 12 March 1980", "DOB: 45/13/1980", "reborn 1980", "born in 1980", "a 12.03.1980"]);
}

#[test]
fn postal_addresses_have_street_number_code_and_city() {
    finds(
        "address",
        &[
            "at ⟦742 Evergreen Terrace, Springfield, IL 62704⟧.",
            "⟦1600 Pennsylvania Avenue NW, Washington, DC 20500⟧",
            "⟦7527 Bush Centers Suite 056\nNew Kristinstad, MS 76328⟧",
            "⟦PSC 0413, Box 8144\nAPO AA 42323⟧",
            "⟦350 Fifth Ave, Suite 3300\nNew York, NY 10118-0110⟧",
            "⟦10 Downing Street, London SW1A 2AA⟧",
            "wohnt ⟦Hauptstraße 12a, 10115 Berlin⟧.",
            "⟦Am Markt 3\n20095 Hamburg⟧\n",
            "⟦Mariahilfer Straße 77, 1060 Wien⟧",
            "⟦12 rue de la Paix, 75002 Paris⟧",
            "⟦Via Roma 10, 00184 Roma⟧",
            "⟦Damrak 1, 1012 LG Amsterdam⟧".replace("Damrak", "Keizersgracht").as_str(),
        ],
    );
    finds_nothing(&[
        "Springfield, IL 62704",
        "10115 Berlin",
        "221B Baker Street",
        "In 1984 George wrote",
        "page 12, 10115 Words",
        "The Road 5, 1234 Cases",
    ]);
}

#[test]
fn coordinates_are_pairs() {
    finds(
        "coordinates",
        &[
            "⟦52.5200° N, 13.4050° E⟧",
            "⟦40°42′46″N 74°00′22″W⟧",
            "GPS: ⟦52.520008, 13.404954⟧",
            "lat: ⟦-33.8688, lon: 151.2093⟧",
            "\"latitude\": ⟦48.8566, \"longitude\": 2.3522⟧",
        ],
    );
    finds_nothing(&["52.520008, 13.404954", "lat 52", "turn 90° N", "(0.5234, 0.1234)", "angle 45.1234, 12.1234"]);
}

#[test]
fn wallets_pass_their_checksums() {
    finds(
        "crypto_wallet",
        &[
            "⟦1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa⟧",
            "⟦3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy⟧",
            "⟦bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4⟧",
            "⟦0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed⟧",
            "donate ETH ⟦0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed⟧",
        ],
    );
    finds_nothing(&[
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD",
        "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
    ]);
}

#[test]
fn addresses_on_the_web_name_people() {
    finds("url_credentials", &["https://⟦alice:tulip9@⟧host.org/x".replace("@⟧", "⟧@").as_str(), "ftp://⟦jdoe⟧@files.org/"]);
    finds(
        "profile_url",
        &[
            "see ⟦https://www.linkedin.com/in/jane-doe-123⟧/",
            "⟦twitter.com/jane_doe⟧",
            "⟦https://medium.com/@jane.doe⟧",
            "(⟦https://t.me/jane_doe⟧)",
        ],
    );
    finds_nothing(&[
        "https://github.com/rust-lang/rust",
        "https://linkedin.com/company/acme",
        "https://twitter.com/share?x=1",
        "ssh://git@github.com/a/b",
        "https://facebook.com/groups/x",
        "https://host.org/@x",
        "http://user@host/",
        "mysql://root@127.0.0.1:3306/x",
        "postgresql://postgres:postgres@localhost:5432/x",
    ]);
}

#[test]
fn a_word_near_by_raises_the_score() {
    let score = |text: &str| pii(text)[0].score;
    assert!(score("SSN 460-89-9847") > score("460-89-9847"));
    assert!(score("card 4454794511390933") > score("4454794511390933"));
    assert!(score("Tel. +49 30 1234567") > score("+49 30 1234567"));
}

#[test]
fn the_same_value_has_the_same_placeholder_however_it_is_written() {
    assert_eq!(
        pii_redact("Ann@b.de, ann@b.de, bob@b.de; +49 30 1234567 and +49-30-1234567"),
        "<EMAIL_1>, <EMAIL_1>, <EMAIL_2>; <PHONE_1> and <PHONE_1>"
    );
    // Numbers go on behind those that stand there.
    assert_eq!(pii_redact("<EMAIL_7> and ann@b.de"), "<EMAIL_7> and <EMAIL_8>");
}

#[test]
fn pseudonyms_are_the_same_in_all_texts_under_one_salt() {
    let salted = |text: &str, salt: &str| pii_redact_salted(text, |_| true, salt);
    let one = salted("x ann@b.de", "s1");
    assert!(one.starts_with("x <EMAIL_x") && one.len() == "x <EMAIL_x>".len() + 16, "{one}");
    assert_eq!(salted("Ann@B.de", "s1"), one[2..]);
    assert_ne!(salted("Ann@B.de", "s2"), one[2..]);
    assert_eq!(salted(&one, "s1"), one);
    assert_eq!(pii_redact(&one), one);
}

#[test]
fn kinds_are_sorted_and_no_kind_is_named_twice() {
    assert!(PII_KINDS.windows(2).all(|w| w[0] < w[1]));
}

proptest! {
    #[test]
    fn redacting_twice_changes_nothing(parts in proptest::collection::vec(prop::sample::select(vec![
        "ann@b.de", "Tel. ", "call ", "+49 30 1234567", "212-555-0187", "467 3395", "030 1234567", " ", "\n", ", ", "-", ".", "x12", "4111 1111 1111 1111", "4111111111111111",
        "card ", "SSN ", "460-89-9847", "460899847", "DE89 3704 0044 0532 0130 00", "93.184.216.34", ":8080", "a1:b2:c3:d4:e5:f6", "2a00:1450:4001:81b::200e", "https://", "jo:pw1x@", "host.org",
        "/in/jane", "twitter.com/jane", "born ", "12 March 1980", "Hauptstraße 12, ", "10115 Berlin", "<", ">", "@", "passport ", "C01X00T47", "lat ", "52.52001, 13.40495", "BSN ", "857907785", "office", "<EMAIL_2>",
        "<PHONE_x12ab>", "version ", "é", "1", "order ", "root@", "://user:", "npm ",
    ]), 0..24)) {
        let once = pii_redact(&parts.concat());
        prop_assert_eq!(pii_redact(&once), once);
    }
}
