//! Licences by declaration, by notice and by wording.

use crate::license;

fn of(text: &str) -> Option<String> {
    license(text).map(|m| m.spdx)
}

#[test]
fn declarations_win() {
    assert_eq!(of("// SPDX-License-Identifier: MIT OR Apache-2.0\nfn main() {}"), Some("MIT OR Apache-2.0".into()));
    assert_eq!(of("/* SPDX-License-Identifier: GPL-2.0+ */"), Some("GPL-2.0+".into()));
    assert_eq!(of("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: MIT OR ISC"), Some("MIT AND (MIT OR ISC)".into()));
    assert_eq!(of("[package]\nlicense = \"MIT/Apache-2.0\"\n"), Some("MIT OR Apache-2.0".into()));
    assert_eq!(of("{\n  \"license\": \"ISC\",\n}"), Some("ISC".into()));
    assert_eq!(of("license = \"my own\""), None);
}

#[test]
fn notices_are_weaker_than_declarations() {
    let apache = license("Licensed under the Apache License, Version 2.0\n(the \"License\"); you may not").unwrap();
    assert_eq!((apache.spdx.as_str(), apache.score), ("Apache-2.0", 0.7));
    let both = "Licensed under either of\n * Apache License, Version 2.0\n * MIT license\nat your option.";
    assert_eq!(of(both), Some("MIT OR Apache-2.0".into()));
}

#[test]
fn text_about_something_else_has_no_licence() {
    for text in ["", "fn main() {}", "You need a license to drive.", "Permission denied"] {
        assert_eq!(license(text), None, "{text}");
    }
}

#[test]
fn this_repository_stands_under_its_own_licence() {
    let found = license(include_str!("../../../../LICENSE")).unwrap();
    assert_eq!(found.spdx, "Apache-2.0");
    assert!(found.score > 0.9, "{}", found.score);
}
