//! Names, endings, first lines, and text that decides among languages.

use proptest::prelude::*;

use super::names::Names;
use super::*;
use crate::classifier::{Learning, Options, train};

#[track_caller]
fn check(cases: &[(&str, &str, &str)]) {
    for (path, text, expected) in cases {
        assert_eq!(programming_language(path, text).unwrap_or("NULL"), *expected, "{path}: {text:?}");
    }
}

/// What is found without any classifier.
fn by_rules(path: &str, text: &str) -> Option<&'static str> {
    programming_language_by(None, path, text)
}

#[test]
fn every_language_of_the_list_has_one_line_and_a_type() {
    let names: Vec<&str> = Names::get().all().collect();
    assert!(names.len() > 800, "{}", names.len());
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "the list is sorted");
    for name in names {
        let kind = programming_language_type(name);
        assert!(matches!(kind, Some("data" | "markup" | "programming" | "prose")), "{name}: {kind:?}");
    }
    for name in evidence::all_languages() {
        assert!(Names::get().idx(name).is_some(), "{name} is no language of Linguist's");
    }
}

#[test]
fn types_are_linguists_and_ansible_is_data() {
    let cases =
        [("Rust", "programming"), ("JSON", "data"), ("HTML", "markup"), ("Markdown", "prose"), ("Text", "prose"), ("Ansible", "data")];
    for (name, kind) in cases {
        assert_eq!(programming_language_type(name), Some(kind), "{name}");
    }
    for name in ["", "rust", "Klingon"] {
        assert_eq!(programming_language_type(name), None, "{name}");
    }
}

#[test]
fn the_embedded_classifier_can_be_read_and_knows_languages_of_the_list_only() {
    let classifier = CLASSIFIER.as_ref().unwrap();
    assert!(classifier.labels().len() > 700);
    for label in classifier.labels() {
        assert!(Names::get().idx(label).is_some(), "{label}");
    }
}

#[test]
fn names_decide_before_endings_and_longer_endings_before_shorter_ones() {
    check(&[
        ("CMakeLists.txt", "project(x)", "CMake"),
        ("requirements.txt", "numpy\n", "Pip Requirements"),
        ("a/b/Makefile", "", "Makefile"),
        ("makefile", "", "Makefile"),
        ("BUILD", "", "Starlark"),
        ("x.html.erb", "", "HTML+ERB"),
        ("docker/Dockerfile.dev", "", "Dockerfile"),
        ("settings.toml.example", "", "TOML"),
        ("C:\\src\\Main.RS", "", "Rust"),
        ("package.json", "{}", "JSON"),
        ("pom.xml", "<project/>", "Maven POM"),
        ("a.cpy", "       01 RECORD.", "COBOL"),
        ("job.jcl", "//STEP1 EXEC PGM=X", "JCL"),
        (".gitignore", "*.o", "Ignore List"),
    ]);
    assert_eq!(by_rules("build", "plain"), None, "only BUILD in capitals is a file of Bazel's");
}

#[test]
fn a_file_says_itself_what_it_is() {
    check(&[
        ("run", "#!/usr/bin/env -S python3.11 -u\n", "Python"),
        ("run", "#!/usr/bin/env FOO=1 node\n", "JavaScript"),
        ("run", "#!/bin/sh\n# restarts by tclsh \\\nexec tclsh \"$0\" \"$@\"\n", "Tcl"),
        ("notes.txt", "#!/bin/sh\nls\n", "Shell"),
        ("x", "// -*- mode: c++; tab-width: 4 -*-\n", "C++"),
        ("x", "; -*- Scheme -*-\n", "Scheme"),
        ("x.h", "// -*- C++ -*-\nint f();\n", "C++"),
        ("x", "echo\n# vim: set ft=zsh sw=4:\n", "Shell"),
        ("x", "a\n/* vi: filetype=c */\n", "C"),
        ("x.py", "# vim: ft=ruby\n", "Python"),
    ]);
    assert_eq!(by_rules("x", "A word such as vim: here"), None);
    assert_eq!(by_rules("x", "#!/opt/unknown/thing\n"), None);
}

#[test]
fn a_shared_ending_is_decided_by_the_text_and_without_text_by_what_is_common() {
    check(&[
        ("x.h", "", "C"),
        ("x.ts", "", "TypeScript"),
        ("x.rs", "", "Rust"),
        ("x.md", "", "Markdown"),
        ("x.pl", "", "Perl"),
        ("x.h", "#pragma once\nnamespace a {\nclass A {\npublic:\n  A();\n};\n}\n", "C++"),
        ("x.h", "#import <Foundation/Foundation.h>\n@interface A : NSObject\n@end\n", "Objective-C"),
        ("x.h", "#ifndef X_H\n#define X_H\nint f(void);\n#endif\n", "C"),
        ("x.m", "function y = f(x)\n% squares\ny = x.^2;\nend\n", "MATLAB"),
        ("x.pl", "parent(a, b).\nchild(X, Y) :- parent(Y, X).\n", "Prolog"),
        ("x.pl", "use strict;\nmy $x = shift;\nprint $x;\n", "Perl"),
        ("x.ts", "<?xml version=\"1.0\"?>\n<!DOCTYPE TS>\n<TS></TS>\n", "XML"),
        ("x.v", "Theorem t : True.\nProof. exact I. Qed.\n", "Rocq Prover"),
        ("x.v", "module m(input a, output b);\nassign b = a;\nendmodule\n", "Verilog"),
        ("x.md", "# Lisp\n\n```\n;; a comment\n(define_insn 1)\n```\n", "Markdown"),
        ("x.1", ".TH X 1\n.SH NAME\nx\n", "Roff Manpage"),
        ("x.json", "{\"openapi\": \"3.0.1\", \"paths\": {}}", "OASv3-json"),
        ("x.json", "[1, 2]", "JSON"),
        ("x.yaml", "openapi: 3.0.1\npaths: {}\n", "OASv3-yaml"),
        ("x.yaml", "a: 1\n", "YAML"),
    ]);
}

#[test]
fn text_alone_says_what_it_is_by_its_beginning() {
    let cases = [
        ("<?php echo 1;", "PHP"),
        ("<?xml version=\"1.0\"?>\n<!-- a <b> -->\n<svg/>", "SVG"),
        ("<?xml version=\"1.0\"?><a/>", "XML"),
        ("<?xml version=\"1.0\"?>", "XML"),
        ("\u{feff}<!DOCTYPE html><p>", "HTML"),
        ("diff --git a/x b/x\n", "Diff"),
        ("{\"a\": 1}", "JSON"),
        ("BEGIN:VCARD\nEND:VCARD", "vCard"),
    ];
    for (text, expected) in cases {
        assert_eq!(by_rules("", text), Some(expected), "{text:?}");
    }
}

#[test]
fn prose_is_told_from_code_without_a_name() {
    let prose_texts = [
        "The quick brown fox jumps over the lazy dog, and nobody in the whole village was surprised by it.\nIt was late.",
        "Съешь же ещё этих мягких французских булок, да выпей чаю, пока он не остыл совсем.",
        "春眠不覺曉，處處聞啼鳥。夜來風雨聲，花落知多少。春眠不覺曉，處處聞啼鳥。",
    ];
    for text in prose_texts {
        assert_eq!(programming_language("", text), Some("Text"), "{text}");
        assert_eq!(programming_language("a.txt", text), Some("Text"), "{text}");
    }
    let readme =
        "# A house\n\nThis is a small text about a house and the garden that you can see at the lake.\n\n```rust\nfn f() {}\n```\n";
    assert_eq!(programming_language("", readme), Some("Markdown"));
    let code = "pub fn add(a: u32, b: u32) -> u32 {\n    let c = a + b;\n    if c > 10 { return c; }\n    c * 2\n}\n";
    for text in [code, "for i in range(10):\n    print(i)\n", "SELECT a, b FROM t WHERE a = 1;\n"] {
        assert_eq!(prose(text), None, "{text}");
    }
    for text in ["", " \n", "plain words", "12 345 678"] {
        assert_eq!(by_rules("", text), None, "{text:?}");
    }
    assert_eq!(by_rules("a.txt", "plain words"), Some("Text"));
}

#[test]
fn code_without_a_name_is_of_the_commoner_of_two_languages_that_look_alike() {
    let text = "pub fn add(a: u64, b: u64) -> u64 {\n    let sum = a + b;\n    sum\n}\n";
    for (common, seldom) in [("Rust", "Cairo"), ("Rust", "Sway"), ("Java", "Xtend"), ("Go", "Gno"), ("C", "AIDL")] {
        let rows = [(text, common), ("enabled = yes;", common), (text, seldom), ("enabled = yes;", seldom)];
        let options = Options { rows_min: 1, learning: Learning::OwnMargin { cost: 1.0 }, ..Options::code() };
        let classifier = train(&rows, &options, 1, &mut |_| {}).unwrap();
        assert_eq!(programming_language_by(Some(&classifier), "", text), Some(common), "{common}, {seldom}");
    }
}

#[test]
fn a_text_without_a_name_is_nothing_that_its_first_character_rules_out() {
    for text in ["\"name\": \"a\"\n\"task\": \"b\"\n\"group\": \"c\"\n", "name: a\ntask: b\ngroup: c\ntag: d\n"] {
        let found = programming_language("", text);
        assert!(!matches!(found, Some("JSON" | "JSONLD" | "Jupyter Notebook")), "{text}: {found:?}");
    }
}

#[test]
fn a_statement_that_every_dialect_has_is_sql() {
    let plain = "SELECT d.doc_id, d.text FROM raw.docs d WHERE d.bytes > 1 ORDER BY d.doc_id;";
    assert_eq!(programming_language("alone.sql", plain), Some("SQL"));
    assert_eq!(programming_language("alone.sql", &format!("USE [shop]\nGO\n{plain}\nGO\n")), Some("TSQL"));
}

#[test]
fn ansible_is_told_from_other_yaml_by_structure() {
    let ansible = [
        ("site.yml", "---\n- hosts: all\n  become: true\n  tasks: []\n"),
        ("x.yml", "- name: Web\n  hosts: web\n  roles:\n    - nginx\n"),
        ("x.yml", "- import_playbook: a.yml\n- import_playbook: b.yml\n"),
        ("x.yml", "- name: Install\n  apt:\n    name: nginx\n  notify: restart nginx\n- name: Copy\n  ansible.builtin.copy:\n    src: a\n"),
        ("roles/web/tasks/main.yml", "- name: x\n  copy: src=a\n"),
        ("handlers/main.yml", "- name: restart nginx\n  service: name=nginx state=restarted\n"),
        ("x.yaml", "-   name: deep\n    community.general.ufw:\n        rule: allow\n"),
        ("requirements.yml", "roles:\n  - name: owner.role\n    version: 1.0\n"),
        ("requirements.yml", "- src: owner.role\n  version: 1.0\n"),
        ("roles/x/meta/main.yml", "galaxy_info:\n  author: a\ndependencies: []\n"),
        ("inventory.yml", "all:\n  children:\n    web:\n      hosts:\n        a.example.org:\n"),
        ("group_vars/web.yml", "port: 80\nurl: \"http://{{ host }}:{{ port }}\"\n"),
        ("x.yml", "- block:\n    - shell: \"{{ command }}\"\n  rescue:\n    - debug:\n        msg: no\n  when: x\n"),
    ];
    for (path, text) in ansible {
        assert_eq!(programming_language(path, text), Some("Ansible"), "{path}: {text}");
    }
    let yaml = [
        (".github/workflows/ci.yml", "on: push\njobs:\n  test:\n    steps:\n      - name: x\n        run: make\n"),
        ("deploy.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\nspec:\n  ports:\n  - port: 80\n"),
        ("docker-compose.yml", "services:\n  web:\n    image: nginx\n    hostname: x\n"),
        ("values.yaml", "image:\n  tag: \"{{ .Values.tag }}\"\nhosts:\n  - a\n"),
        (".pre-commit-hooks.yaml", "- id: x\n  name: x\n  entry: x\n  language: python\n  files: ''\n"),
        ("labels.yml", "- name: bug\n  color: red\n  description: broken\n- name: group\n  group: a\n"),
        ("people.yml", "- name: A\n  user: a\n  hostname: b\n- name: C\n  user: c\n"),
        ("vars.yml", "port: 80\nuser: www\n"),
        ("rules.yml", "groups:\n- name: x\n  rules:\n  - alert: y\n    expr: z\n"),
        ("ingress.yaml", "- host: a\n  hosts:\n  - b\n  paths: []\n"),
        ("list.yml", "- a\n- b\n"),
        ("roles/x/tasks/main.yml", ""),
    ];
    for (path, text) in yaml {
        assert_eq!(programming_language(path, text), Some("YAML"), "{path}: {text}");
    }
}

#[test]
fn only_the_ends_of_a_long_text_are_looked_into() {
    let filler = "a = b;\n".repeat(LOOK_BYTES);
    let at_end = format!("{filler}// vim: ft=c\n");
    assert_eq!(by_rules("x", &at_end), Some("C"));
    let in_the_middle = format!("{filler}// vim: ft=c\n{filler}");
    assert_eq!(by_rules("x", &in_the_middle), None);
    assert!(classifier_text(&filler).len() <= CLASSIFIER_BYTES);
}

#[test]
fn strange_text_is_answered() {
    let texts = [
        "\0".repeat(100_000),
        "\u{301}".repeat(100_000),
        "\u{202e}שלום".repeat(10_000),
        "\u{e000}\u{10ffff}".repeat(10_000),
        "@".repeat(1_000_000),
        "- ".repeat(500_000),
        "<".repeat(1_000_000),
        "<?xml".repeat(200_000),
        "#!".repeat(500_000),
        "-*-".repeat(300_000),
        "vim: ft=".repeat(100_000),
        "{".repeat(1_000_000),
        "x".repeat(10_000_000),
        "\n".repeat(1_000_000),
        "#!\n".to_owned(),
        "#!/usr/bin/env".to_owned(),
    ];
    for text in &texts {
        for path in ["", "x", "x.h", "x.yml", "x.txt", "x.xml", ".", "..", "/", "x.", ".in", "a/.h"] {
            let name = programming_language(path, text);
            assert!(name.is_none_or(|name| programming_language_type(name).is_some()), "{path}");
        }
    }
    assert_eq!(programming_language(&".".repeat(10_000_000), ""), None);
    assert_eq!(programming_language(&format!("{}.rs", "a.".repeat(1_000_000)), ""), Some("Rust"));
    assert_eq!(programming_language(&"/in.in".repeat(1_000_000), ""), None);
}

proptest! {
    #[test]
    fn any_name_and_text_have_an_answer(path in "\\PC{0,40}", text in any::<String>()) {
        if let Some(name) = programming_language(&path, &text) {
            prop_assert!(programming_language_type(name).is_some());
        }
    }

    #[test]
    fn any_yaml_like_text_has_an_answer(text in "(-? {0,4}[a-z_.]{0,8}:? ?[a-z{}]{0,4}\n){0,30}") {
        let found = programming_language("x.yml", &text);
        prop_assert!(matches!(found, Some("YAML" | "Ansible" | "MiniYAML" | "OASv2-yaml" | "OASv3-yaml")), "{:?}", found);
    }

    #[test]
    fn any_marks_at_line_starts_have_an_answer(text in "([#.;%<(\\[-]{0,3}[a-z! ]{0,6}\n?){0,40}", ending in "[a-z]{1,3}") {
        let _ = programming_language(&format!("x.{ending}"), &text);
    }
}
