//! Personal data, credentials and who is named as author.

use crate::{CopyrightNotice, copyright_notices, pii, pii_redact, pii_redact_kinds, secrets};

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
    assert_eq!(pii_redact(text), "Ann <<EMAIL>>, <CARD>");
    assert_eq!(pii_redact_kinds(text, |kind| kind == "card"), "Ann <ann@b.de>, <CARD>");
    assert_eq!((pii("").len(), pii_redact("")), (0, String::new()));
}

#[test]
fn credentials_are_known_by_their_form() {
    let of = |text: &str| secrets(text).iter().map(|f| (f.kind, f.end - f.start)).collect::<Vec<_>>();
    let body = "MIIEpAIBAAKCAQEA7bq0Z2v9Kx1sYw8Jt4LhQmNcRdUeFgPi3".repeat(3);
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----");
    assert_eq!(of(&format!("x = {key}\n")), [("private_key", key.len())]);
    assert_eq!(of("if line == \"-----BEGIN PRIVATE KEY-----\" {"), []);
    assert_eq!(of("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----"), []);
    assert_eq!(of("id: AKIA2QZ7WXN4RTBM5KLP"), [("aws_access_key_id", 20)]);
    assert_eq!(of(&format!("ghp_{}", "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8")), [("github_token", 40)]);
    for text in ["AKIAIOSFODNN7EXAMPLE", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "MAKIA2QZ7WXN4RTBM5KLP", "ghp_short", "sk-learn", ""] {
        assert_eq!(of(text), [], "{text}");
    }
}

#[test]
fn copyright_notices_name_holder_and_years() {
    let of = |text: &str| copyright_notices(text).into_iter().map(|n| (n.holder, n.years)).collect::<Vec<_>>();
    let pair = |holder: &str, years: &str| (holder.to_string(), years.to_string());
    assert_eq!(
        of("// Copyright (c) 2014-2021 The Rust Project Developers. See COPYRIGHT\n"),
        [pair("The Rust Project Developers", "2014-2021")]
    );
    assert_eq!(
        of("Copyright © 2019, 2020 Ann Lee <ann@b.de>\nCopyright © 2019, 2020 Ann Lee <ann@b.de>"),
        [pair("Ann Lee <ann@b.de>", "2019, 2020")]
    );
    assert_eq!(of("© 2020 Foo GmbH. All rights reserved."), [pair("Foo GmbH", "2020")]);
    assert_eq!(of("Copyright (c) Microsoft Corporation."), [pair("Microsoft Corporation", "")]);
    assert_eq!(of("Copyright 2018-present Facebook, Inc."), [pair("Facebook, Inc", "2018-present")]);
    for text in [
        "Copyright [yyyy] [name of copyright owner]",
        "the above copyright notice",
        "copyright holders be liable",
        "(c) the third point",
        "Copyright (c) <year> <owner>",
        "",
    ] {
        assert_eq!(copyright_notices(text), Vec::<CopyrightNotice>::new(), "{text}");
    }
}
