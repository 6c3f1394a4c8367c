//! Who is named as author.

use crate::{CopyrightNotice, copyright_notices};

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
