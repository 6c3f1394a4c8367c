//! Copyright notices, opt-outs, robots.txt, hosts and domains.

use crate::{OPT_OUT_SOURCES, copyright_notices, domain, host, opt_outs, robots_txt_allows};

fn notices(text: &str) -> Vec<(String, String)> {
    copyright_notices(text).into_iter().map(|n| (n.holder, n.years)).collect()
}

#[test]
fn notices_in_every_form_name_their_holders() {
    let cases = [
        ("Copyright (C) 2001-2024, 2026 Foo & Bar <mail@foo.org>", "Foo & Bar <mail@foo.org>", "2001-2024, 2026"),
        (" * Copyright (c) 1998\n *   The Dike Project, Inc.  All rights reserved.", "The Dike Project, Inc", "1998"),
        ("# Copyright 2012 Ann Lee,\n#   Bob Ray\n", "Ann Lee, Bob Ray", "2012"),
        ("Urheberrecht © 2019–2021 Deichbau GmbH. Alle Rechte vorbehalten.", "Deichbau GmbH", "2019–2021"),
        ("<p>&copy; 2020 Foo GmbH</p>", "Foo GmbH", "2020"),
        ("# SPDX-FileCopyrightText: 2023 Jane Doe <jane@b.org>", "Jane Doe <jane@b.org>", "2023"),
        ("# SPDX-FileCopyrightText: Jane Doe", "Jane Doe", ""),
        ("// Copyright The Kubernetes Authors.", "The Kubernetes Authors", ""),
        ("Copyright Foo Corporation, 2012-2020", "Foo Corporation", "2012-2020"),
        ("© Jane Doe", "Jane Doe", ""),
        ("Copyright (c) 2010 and 2012 by Ann Lee", "Ann Lee", "2010 and 2012"),
        ("Portions Copyright (c) 1995-heute Ann Lee", "Ann Lee", "1995-heute"),
    ];
    for (text, holder, years) in cases {
        assert_eq!(notices(text), [(holder.to_string(), years.to_string())], "{text}");
    }
}

#[test]
fn what_only_speaks_of_copyright_is_no_notice() {
    for text in [
        "Copyright notice and this permission notice",
        "Copyright Law of the United States",
        "Copyright infringement is a crime.",
        "(a) first (b) second (c) Third",
        "if (c) return x;",
        "f(c) = 2000",
        "switch (c) { case 1: }",
        "The copyright of a book ends after seventy years.",
        "Das Urheberrechtsgesetz von 1965 gilt.",
        "copyrighted 1999 material",
        "Copyright (c) {{year}} {{name}}",
    ] {
        assert_eq!(notices(text), [], "{text}");
    }
}

#[test]
fn hosts_and_domains_follow_the_public_suffix_list() {
    let cases = [
        ("https://www.example.co.uk/a?b=c#d", "www.example.co.uk", "example.co.uk"),
        ("http://user:pass@Sub.Example.COM:8080/", "sub.example.com", "example.com"),
        ("example.org", "example.org", "example.org"),
        ("www.example.org/path:x", "www.example.org", "example.org"),
        ("example.org:443", "example.org", "example.org"),
        ("//cdn.example.net/x.js", "cdn.example.net", "example.net"),
        ("https://bücher.example.de/", "xn--bcher-kva.example.de", "example.de"),
        ("https://例子.中国/", "xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
        ("https://xn--fsqu00a.xn--fiqs8s/", "xn--fsqu00a.xn--fiqs8s", "xn--fsqu00a.xn--fiqs8s"),
        ("https://jane.github.io/blog", "jane.github.io", "jane.github.io"),
        ("https://a.b.kobe.jp", "a.b.kobe.jp", "a.b.kobe.jp"),
        ("https://www.city.kobe.jp", "www.city.kobe.jp", "city.kobe.jp"),
        ("https://example.com./", "example.com", "example.com"),
        ("s3://dike.example.com/key", "dike.example.com", "example.com"),
        ("https://ex%61mple.com/", "example.com", "example.com"),
    ];
    for (url, name, registered) in cases {
        assert_eq!(host(url).as_deref(), Some(name), "{url}");
        assert_eq!(domain(url).as_deref(), Some(registered), "{url}");
    }
}

#[test]
fn addresses_without_a_registered_domain_have_none() {
    for url in [
        "",
        "localhost",
        "http://localhost:3000",
        "http://127.0.0.1/",
        "http://[::1]:80/",
        "http://2130706433/",
        "co.uk",
        "https://github.io/",
        "mailto:a@b.org",
        "/a/b",
        "http://",
        "https://dike.invalid-tld-x/",
        "http://a..b.com",
        "javascript:alert(1)",
        "a b.com",
    ] {
        assert_eq!(domain(url), None, "{url}");
    }
    assert_eq!(host("http://[2001:DB8::1]:80/").as_deref(), Some("2001:db8::1"));
    assert_eq!(host("http://127.0.0.1:80/").as_deref(), Some("127.0.0.1"));
    assert_eq!(host("mailto:a@b.org"), None);
}

#[test]
fn robots_rules_follow_the_longest_match() {
    let robots = "# all\nUser-agent: *\nDisallow: /private\nAllow: /private/open\nDisallow: /*.pdf$\n\nUser-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n\nuser-agent: friendly\ndisallow:\n\nUser-agent: gptbot\nAllow: /press";
    let allows = |agent: &str, path: &str| robots_txt_allows(robots, agent, path);
    assert!(allows("any", "/"));
    assert!(!allows("any", "/private/x"));
    assert!(allows("any", "/private/open/x"));
    assert!(!allows("any", "/a/b.pdf") && allows("any", "/a/b.pdf?x") && allows("any", "/a/b.pdfx"));
    assert!(!allows("GPTBot/1.0 (+https://openai.com/gptbot)", "/x") && allows("GPTBot", "/press/1"), "groups of one agent count together");
    assert!(!allows("CCBot", "/x"));
    assert!(allows("Friendly", "/private"), "an empty rule says nothing");
    assert!(allows("CCBot", "/robots.txt"));
    assert!(!allows("any", "https://example.org/private/x") && allows("any", "https://example.org"));
    assert!(robots_txt_allows("", "any", "/x"));
    assert!(robots_txt_allows("User-agent: *\nDisallow: /a\nAllow: /a", "x", "/a"), "of equal rules the one that allows wins");
    assert!(!robots_txt_allows("User-agent: *\nDisallow: /%7Ejoe/", "x", "/~joe/a"));
    assert!(!robots_txt_allows("User-agent: *\nDisallow: /ö", "x", "/%C3%B6ffentlich"));
    assert!(!robots_txt_allows("\u{feff}User-agent: *\r\nDisallow: /*/b*d$\r\n", "x", "/a/bcd"));
}

#[test]
fn opt_outs_name_signal_agent_and_source() {
    let of = |text: &str, source: &str| {
        opt_outs(text, source).unwrap().into_iter().map(|o| format!("{} {} {}", o.signal, o.agent, o.source)).collect::<Vec<_>>()
    };
    let page = "<head><meta name=\"robots\" content=\"index, NoAI, noimageai\"><META CONTENT='noindex' NAME='GPTBot'><meta name=\"tdm-reservation\" content=\"1\">\
                <!-- <meta name=robots content=noindex> --><meta name=description content=\"noai\"></head>";
    assert_eq!(of(page, "html"), ["noai * html", "noimageai * html", "noindex gptbot html", "tdm-reservation * html"]);
    let headers = "HTTP/1.1 200 OK\r\nX-Robots-Tag: noai, max-snippet: 0\r\nX-Robots-Tag: googlebot: noindex, noarchive\r\nTDM-Reservation: 1\r\nContent-Usage: train-ai=n\r\n";
    assert_eq!(
        of(headers, "headers"),
        [
            "noai * headers",
            "noindex googlebot headers",
            "noarchive googlebot headers",
            "tdm-reservation * headers",
            "ai-train=no * headers"
        ]
    );
    let robots = "User-agent: GPTBot\nDisallow: /\nUser-agent: CCBot\nDisallow: /private\nUser-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n";
    assert_eq!(of(robots, "robots.txt"), ["disallow gptbot robots.txt", "ai-train=no * robots.txt"]);
    assert_eq!(of("User-Agent: *\nDisallow: /\n", "ai.txt"), ["disallow * ai.txt"]);
    assert_eq!(of("[{\"location\": \"/\", \"tdm-reservation\" : 1}]", "tdmrep.json"), ["tdm-reservation * tdmrep.json"]);
    assert_eq!(of("[{\"location\": \"/\", \"tdm-reservation\": 0}]", "tdmrep.json"), [""; 0]);
    for source in OPT_OUT_SOURCES {
        assert_eq!(of("", source), [""; 0]);
    }
    assert_eq!(opt_outs("", "smoke"), None);
}
