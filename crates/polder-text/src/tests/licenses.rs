//! Licences by declaration, by wording, in metadata, by links and by notice, and what policy makes of them.

use crate::{LICENSE_CLASSES, license, license_class, license_expression};

fn of(text: &str) -> Option<String> {
    license(text).map(|m| m.spdx)
}

fn how(text: &str) -> Option<(String, &'static str)> {
    license(text).map(|m| (m.spdx, m.how))
}

#[test]
fn declarations_win_and_are_written_in_one_way() {
    assert_eq!(of("// SPDX-License-Identifier: MIT OR Apache-2.0\nfn main() {}"), Some("MIT OR Apache-2.0".into()));
    assert_eq!(of("/* SPDX-License-Identifier: GPL-2.0+ */"), Some("GPL-2.0-or-later".into()));
    assert_eq!(of("<!-- SPDX-License-Identifier: (mit or apache-2.0) -->"), Some("MIT OR Apache-2.0".into()));
    assert_eq!(of("(* SPDX-License-Identifier: MIT*)"), Some("MIT".into()));
    assert_eq!(of("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: MIT OR ISC"), Some("MIT AND (MIT OR ISC)".into()));
    assert_eq!(of("// SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note"), Some("GPL-2.0-only WITH Linux-syscall-note".into()));
    assert_eq!(of("# SPDX-License-Identifier: LicenseRef-Company"), Some("LicenseRef-Company".into()));
    for refused in ["My-Own", "MIT OR", "(MIT", "MIT WITH Apache-2.0", "", "<license>"] {
        assert_eq!(of(&format!("// SPDX-License-Identifier: {refused}\n")), None, "{refused}");
    }
}

#[test]
fn expressions_are_normalised_or_refused() {
    let same = |from: &str, to: &str| assert_eq!(license_expression(from).as_deref(), Some(to), "{from}");
    same("mit/apache-2.0", "MIT OR Apache-2.0");
    same("(MIT)", "MIT");
    same("MIT AND (ISC AND Zlib)", "MIT AND ISC AND Zlib");
    same("MIT OR ISC AND Zlib", "MIT OR ISC AND Zlib");
    same("(MIT OR ISC) AND Zlib", "(MIT OR ISC) AND Zlib");
    same("MIT OR MIT", "MIT");
    same("GPL-3.0", "GPL-3.0-only");
    same("LGPL-2.1+", "LGPL-2.1-or-later");
    same("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0");
    same("Apache-2.0+", "Apache-2.0+");
    same("apache-2.0 with llvm-exception", "Apache-2.0 WITH LLVM-exception");
    same("DocumentRef-x:LicenseRef-y", "DocumentRef-x:LicenseRef-y");
    for refused in
        ["", "Foo", "MIT ISC", "MIT OR OR ISC", "AND", "MIT WITH MIT", "()", "LicenseRef-", &"(".repeat(500), &"MIT OR ".repeat(300)]
    {
        assert_eq!(license_expression(refused), None, "{refused}");
    }
}

#[test]
fn fields_of_manifests_and_readmes_are_read() {
    let cases = [
        ("[package]\nlicense = \"MIT/Apache-2.0\"\n", "MIT OR Apache-2.0"),
        ("{\n  \"license\": \"ISC\",\n}", "ISC"),
        ("{\"name\":\"x\",\"license\":\"(MIT OR GPL-3.0)\"}", "MIT OR GPL-3.0-only"),
        ("{\n  \"license\": [\"LGPL-2.1-only\", \"GPL-3.0-or-later\"]\n}", "LGPL-2.1-only OR GPL-3.0-or-later"),
        ("\"licenses\": [{\"type\": \"MIT\", \"url\": \"http://x.org/license\"}]", "MIT"),
        ("[project]\nlicense = {text = \"BSD-3-Clause\"}\n", "BSD-3-Clause"),
        ("[project]\nlicense-expression = \"MIT\"\n", "MIT"),
        ("setup(\n    name='x',\n    license='Apache License 2.0',\n)", "Apache-2.0"),
        ("[metadata]\nname = x\nlicense = GPLv3+\n", "GPL-3.0-or-later"),
        ("    'License :: OSI Approved :: GNU General Public License v2 or later (GPLv2+)',", "GPL-2.0-or-later"),
        ("Classifier: License :: OSI Approved :: MIT License\n", "MIT"),
        ("<licenses>\n <license>\n  <name>The Apache Software License, Version 2.0</name>\n </license>\n</licenses>", "Apache-2.0"),
        ("<license>\n<name>GPL</name><url>https://www.gnu.org/licenses/gpl-3.0.html</url>", "GPL-1.0-or-later"),
        ("<license>\n<name>Ours</name><url>https://opensource.org/licenses/MIT</url>", "MIT"),
        ("<license type=\"expression\">MPL-2.0</license>", "MPL-2.0"),
        ("  s.licenses = ['MIT', 'Ruby']\n", "MIT OR Ruby"),
        ("  spec.license     = \"MIT\"\n", "MIT"),
        ("Package: x\nLicense: GPL (>= 2)\n", "GPL-2.0-or-later"),
        ("Package: x\nLicense: MIT + file LICENSE\n", "MIT"),
        ("Package: x\nLicense: GPL-2 | GPL-3\n", "GPL-2.0-only OR GPL-3.0-only"),
        ("license: cc-by-sa-4.0\n", "CC-BY-SA-4.0"),
        ("**License:** MIT", "MIT"),
        ("[![CI](https://x.org/ci.svg)](https://x.org) [![License: MIT](https://x.org/mit.svg)](LICENSE)", "MIT"),
        ("info:\n  license:\n    name: Apache 2.0\n", "Apache-2.0"),
        ("Classifier: License :: OSI Approved :: ISC License (ISCL)\n", "ISC"),
        ("license: BSL-1.1\n", "BUSL-1.1"),
        ("Classifier: License :: CC0 1.0 Universal (CC0 1.0) Public Domain Dedication\n", "CC0-1.0"),
        ("# Dike\n\n## License\n\n[MIT](LICENSE) © Jane Doe\n", "MIT"),
        ("License\n-------\n\nBSD 3-Clause\n", "BSD-3-Clause"),
        (
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nFiles: *\nLicense: GPL-2+\n\nFiles: x\nLicense: Expat\n",
            "GPL-2.0-or-later AND MIT",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(how(text), Some((expected.to_string(), "field")), "{text}");
    }
    for text in [
        "license = \"my own\"",
        "\"license\": \"UNLICENSED\"",
        "\"license\": \"SEE LICENSE IN x.txt\"",
        "license = get_license()",
        "License: see the file COPYING",
        "<license file=\"x\"/>",
    ] {
        assert_eq!(license(text), None, "{text}");
    }
}

#[test]
fn notices_are_weaker_than_declarations() {
    let apache = license("Licensed under the Apache License, Version 2.0\n(the \"License\"); you may not").unwrap();
    assert_eq!((apache.spdx.as_str(), apache.score, apache.how), ("Apache-2.0", 0.7, "notice"));
    let cases = [
        ("Licensed under either of\n * Apache License, Version 2.0\n * MIT license\nat your option.", "Apache-2.0 OR MIT"),
        ("## License\n\nDike is dual-licensed under MIT and Apache-2.0.", "MIT OR Apache-2.0"),
        (
            "Dike is distributed under the terms of both the MIT license and the Apache License (Version 2.0).\n\n# License\nSee above. This project is licensed under the MIT license.",
            "MIT",
        ),
        (
            "/* This program is free software: you can redistribute it and/or modify\n * it under the terms of the GNU General Public License as published by\n * the Free Software \
             Foundation, either version 3 of the License, or\n * (at your option) any later version. */",
            "GPL-3.0-or-later",
        ),
        (
            "// you can redistribute it and/or modify it under the terms of the GNU Lesser General Public\n// License as published by the Free Software Foundation; either\n// version 2.1 of the \
             License, or (at your option) any later version.",
            "LGPL-2.1-or-later",
        ),
        (
            "# modify it under the terms of the GNU General Public License version 2 as\n# published by the Free Software Foundation.",
            "GPL-2.0-only",
        ),
        (
            "# modify it under the terms of version 2 of the GNU General Public License as\n# published by the Free Software Foundation.",
            "GPL-2.0-only",
        ),
        (
            "# it under the terms of\nyou can modify it under the terms of the GNU Affero General Public License as\npublished by the Free Software Foundation, either version 3 of the\nLicense, or (at your option) any later version.",
            "AGPL-3.0-or-later",
        ),
        (
            "/* This Source Code Form is subject to the terms of the Mozilla Public\n * License, v. 2.0. If a copy of the MPL was not distributed with this\n * file */",
            "MPL-2.0",
        ),
        (
            "// Copyright 2009 The Dike Authors. All rights reserved.\n// Use of this source code is governed by a BSD-style\n// license that can be found in the LICENSE file.",
            "BSD-3-Clause",
        ),
        ("// Copyright (c) Dike Corporation. All rights reserved.\n// Licensed under the MIT license. See LICENSE in the root.", "MIT"),
        ("// Distributed under the Boost Software License, Version 1.0.\n// (See accompanying file LICENSE_1_0.txt)", "BSL-1.0"),
        (
            "This library is free software; you may redistribute it under the same terms as Perl itself.",
            "Artistic-1.0-Perl OR GPL-1.0-or-later",
        ),
        ("This work is licensed under a <a href=\"https://creativecommons.org/licenses/by-nc-sa/4.0/\">licence</a>.", "CC-BY-NC-SA-4.0"),
        ("This article is licensed under a Creative Commons Attribution-ShareAlike 4.0 International License.", "CC-BY-SA-4.0"),
    ];
    for (text, expected) in cases {
        assert_eq!(how(text), Some((expected.to_string(), "notice")), "{text}");
    }
}

#[test]
fn pages_name_a_licence_by_their_links() {
    let cases = [
        ("<a rel=\"license\" href=\"http://creativecommons.org/licenses/by/4.0/\">CC</a>", "CC-BY-4.0"),
        ("<link href='https://creativecommons.org/publicdomain/zero/1.0/' rel='license'>", "CC0-1.0"),
        ("<a href=\"//creativecommons.org/licenses/by-sa/3.0/de/\" rel=\"nofollow license\">", "CC-BY-SA-3.0-DE"),
        ("<a rel=license href=https://creativecommons.org/licenses/by-nd/2.0/uk/>", "CC-BY-ND-2.0"),
        ("<meta name=\"DC.rights\" content=\"http://creativecommons.org/licenses/by-nc/3.0/\">", "CC-BY-NC-3.0"),
    ];
    for (text, expected) in cases {
        assert_eq!(how(text), Some((expected.to_string(), "link")), "{text}");
    }
    let json = "<script type=\"application/ld+json\">{\"@type\": \"Article\", \"license\": \"https://creativecommons.org/licenses/by/4.0/\"}</script>";
    assert_eq!(how(json), Some(("CC-BY-4.0".into(), "field")));
    assert_eq!(license("<a href=\"https://creativecommons.org/licenses/by/4.0/\">read about it</a>"), None);
    let two = "<a rel=license href=\"http://creativecommons.org/licenses/by/4.0/\"><a rel=license href=\"http://creativecommons.org/licenses/by-nc/4.0/\">";
    assert_eq!(license(two), None);
}

#[test]
fn text_about_something_else_has_no_licence() {
    for text in [
        "",
        "fn main() {}",
        "You need a license to drive.",
        "Permission denied",
        "The MIT license is permissive, while the GNU General Public License version 3 is a copyleft licence.",
        "React was released under the MIT license in 2017, and many projects are licensed under the Apache License 2.0.",
        "Choose a licence: the Apache License, Version 2.0, grants patents; the BSD 3-Clause License doesn't.",
        "let license = Mit::new();",
        "See http://creativecommons.org/licenses/by/4.0/ and http://creativecommons.org/licenses/by-nc/4.0/ for the texts.",
        "Not licensed under the MIT license.",
        "This licence is governed by the general public, and this book is published under the MIT Press imprint.",
        "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED",
    ] {
        assert_eq!(license(text), None, "{text}");
    }
}

#[test]
fn this_repository_stands_under_its_own_licence() {
    let own = include_str!("../../../../LICENSE");
    let found = license(own).unwrap();
    assert_eq!((found.spdx.as_str(), found.how), ("Apache-2.0", "text"));
    assert!(found.score > 0.9, "{}", found.score);
    let commented: String = own.lines().map(|l| format!("dnl {l}\n")).collect();
    assert_eq!(
        of(&format!("{}{commented}{}", "a line of something else\n".repeat(2000), "the end\n".repeat(2000))),
        Some("Apache-2.0".into())
    );
}

#[test]
fn runs_that_are_scattered_over_a_long_text_are_no_licence() {
    let own: Vec<&str> = include_str!("../../../../LICENSE").split_whitespace().collect();
    let scattered: String = own.windows(4).map(|w| format!("{} {}", w.join(" "), "water mill dike lake ".repeat(20))).collect();
    assert_eq!(license(&scattered).filter(|m| m.how == "text"), None);
}

#[test]
fn classes_take_the_strictest_of_all_and_the_mildest_of_any() {
    let cases = [
        ("MIT", "permissive"),
        ("Unlicense", "public_domain"),
        ("MPL-2.0", "weak_copyleft"),
        ("LGPL-2.1-or-later", "weak_copyleft"),
        ("GPL-3.0", "strong_copyleft"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "weak_copyleft"),
        ("AGPL-3.0-only", "network_copyleft"),
        ("CC-BY-4.0", "permissive"),
        ("CC-BY-SA-4.0", "share_alike"),
        ("CC-BY-NC-4.0", "non_commercial"),
        ("CC-BY-NC-SA-4.0", "non_commercial"),
        ("CC-BY-NC-ND-4.0", "no_derivatives"),
        ("CC-BY-ND-4.0", "no_derivatives"),
        ("BUSL-1.1", "source_available"),
        ("MIT OR GPL-3.0-only", "permissive"),
        ("MIT AND GPL-3.0-only", "strong_copyleft"),
        ("(MIT OR AGPL-3.0-only) AND CC0-1.0", "permissive"),
        ("MIT AND LicenseRef-own", "unknown"),
        ("MIT OR LicenseRef-own", "permissive"),
        ("", "unknown"),
        ("no licence", "unknown"),
    ];
    for (spdx, expected) in cases {
        assert_eq!(license_class(spdx), expected, "{spdx}");
        assert!(LICENSE_CLASSES.contains(&expected));
    }
}

#[test]
fn every_fingerprint_has_an_identifier_and_an_own_text_would_be_told() {
    let lines = include_str!("../../lists/licenses.txt").lines().filter(|l| !l.starts_with('#'));
    let mut n = 0;
    for spdx in lines.filter_map(|l| l.split(' ').next()) {
        assert_eq!(license_expression(spdx).as_deref(), Some(spdx));
        n += 1;
    }
    assert!(n > 600, "{n}");
}
