//! Which programming, data or markup language a file is in, by Linguist's names.
//!
//! The file's name decides, then its ending, then its first line. Text is looked into only where an ending is shared
//! (`.h`, `.m`, `.pl`, …) and to tell Ansible from other YAML. Markdown has a name, as it has one in Linguist; plain prose
//! (`.txt`, `LICENSE`) has none.

/// Text that is looked into: enough for the first declarations of any file.
const LOOK_BYTES: usize = 16 << 10;

const NAMES: &[(&str, &str)] = &[
    (".bash_profile", "Shell"),
    (".bashrc", "Shell"),
    (".clang-format", "YAML"),
    (".dockerignore", "Ignore List"),
    (".editorconfig", "EditorConfig"),
    (".gitattributes", "Git Attributes"),
    (".gitignore", "Ignore List"),
    (".gitmodules", "Git Config"),
    (".profile", "Shell"),
    (".zshrc", "Shell"),
    ("build", "Starlark"),
    ("build.bazel", "Starlark"),
    ("cargo.lock", "TOML"),
    ("cmakelists.txt", "CMake"),
    ("configure.ac", "M4Sugar"),
    ("containerfile", "Dockerfile"),
    ("dockerfile", "Dockerfile"),
    ("gemfile", "Ruby"),
    ("gnumakefile", "Makefile"),
    ("go.mod", "Go Module"),
    ("go.sum", "Go Checksums"),
    ("jenkinsfile", "Groovy"),
    ("justfile", "Just"),
    ("makefile", "Makefile"),
    ("meson.build", "Meson"),
    ("pipfile", "TOML"),
    ("pipfile.lock", "JSON"),
    ("podfile", "Ruby"),
    ("poetry.lock", "TOML"),
    ("rakefile", "Ruby"),
    ("requirements.txt", "Pip Requirements"),
    ("vagrantfile", "Ruby"),
    ("workspace", "Starlark"),
    ("yarn.lock", "YAML"),
];

/// Sorted by ending; a test keeps it so.
const ENDINGS: &[(&str, &str)] = &[
    ("adb", "Ada"),
    ("ads", "Ada"),
    ("asm", "Assembly"),
    ("awk", "Awk"),
    ("bas", "Visual Basic 6.0"),
    ("bash", "Shell"),
    ("bat", "Batchfile"),
    ("bazel", "Starlark"),
    ("bzl", "Starlark"),
    ("c", "C"),
    ("c++", "C++"),
    ("cbl", "COBOL"),
    ("cc", "C++"),
    ("cfg", "INI"),
    ("cjs", "JavaScript"),
    ("cl", "OpenCL"),
    ("clj", "Clojure"),
    ("cljs", "Clojure"),
    ("cmake", "CMake"),
    ("cmd", "Batchfile"),
    ("cob", "COBOL"),
    ("coffee", "CoffeeScript"),
    ("conf", "INI"),
    ("cpp", "C++"),
    ("cpy", "COBOL"),
    ("cr", "Crystal"),
    ("cs", "C#"),
    ("cshtml", "HTML+Razor"),
    ("csproj", "XML"),
    ("css", "CSS"),
    ("csv", "CSV"),
    ("cu", "Cuda"),
    ("cuh", "Cuda"),
    ("cxx", "C++"),
    ("cypher", "Cypher"),
    ("d", "D"),
    ("dart", "Dart"),
    ("diff", "Diff"),
    ("dockerfile", "Dockerfile"),
    ("dts", "Device Tree"),
    ("el", "Emacs Lisp"),
    ("elm", "Elm"),
    ("erl", "Erlang"),
    ("ex", "Elixir"),
    ("exs", "Elixir"),
    ("f", "Fortran"),
    ("f03", "Fortran Free Form"),
    ("f90", "Fortran Free Form"),
    ("f95", "Fortran Free Form"),
    ("fish", "fish"),
    ("frag", "GLSL"),
    ("fs", "F#"),
    ("fsx", "F#"),
    ("glsl", "GLSL"),
    ("go", "Go"),
    ("gradle", "Gradle"),
    ("graphql", "GraphQL"),
    ("groovy", "Groovy"),
    ("h", "C"),
    ("h++", "C++"),
    ("haml", "Haml"),
    ("hcl", "HCL"),
    ("hh", "C++"),
    ("hlsl", "HLSL"),
    ("hpp", "C++"),
    ("hrl", "Erlang"),
    ("hs", "Haskell"),
    ("htm", "HTML"),
    ("html", "HTML"),
    ("hxx", "C++"),
    ("idl", "IDL"),
    ("inc", "PHP"),
    ("ini", "INI"),
    ("ipynb", "Jupyter Notebook"),
    ("java", "Java"),
    ("jcl", "JCL"),
    ("jinja", "Jinja"),
    ("jinja2", "Jinja"),
    ("j2", "Jinja"),
    ("jl", "Julia"),
    ("js", "JavaScript"),
    ("json", "JSON"),
    ("json5", "JSON5"),
    ("jsonc", "JSON with Comments"),
    ("jsonl", "JSON"),
    ("jsx", "JavaScript"),
    ("kt", "Kotlin"),
    ("kts", "Kotlin"),
    ("ld", "Linker Script"),
    ("less", "Less"),
    ("lisp", "Common Lisp"),
    ("ll", "LLVM"),
    ("lua", "Lua"),
    ("m", "Objective-C"),
    ("m4", "M4"),
    ("markdown", "Markdown"),
    ("md", "Markdown"),
    ("mdx", "MDX"),
    ("mjs", "JavaScript"),
    ("mk", "Makefile"),
    ("ml", "OCaml"),
    ("mli", "OCaml"),
    ("mm", "Objective-C++"),
    ("mts", "TypeScript"),
    ("nim", "Nim"),
    ("nix", "Nix"),
    ("pas", "Pascal"),
    ("patch", "Diff"),
    ("php", "PHP"),
    ("pl", "Perl"),
    ("pm", "Perl"),
    ("podspec", "Ruby"),
    ("proto", "Protocol Buffer"),
    ("ps1", "PowerShell"),
    ("psm1", "PowerShell"),
    ("purs", "PureScript"),
    ("py", "Python"),
    ("pyi", "Python"),
    ("pyx", "Cython"),
    ("r", "R"),
    ("rake", "Ruby"),
    ("rb", "Ruby"),
    ("re", "Reason"),
    ("rkt", "Racket"),
    ("ron", "RON"),
    ("rs", "Rust"),
    ("rst", "reStructuredText"),
    ("s", "Assembly"),
    ("sass", "Sass"),
    ("sbt", "Scala"),
    ("scala", "Scala"),
    ("scm", "Scheme"),
    ("scss", "SCSS"),
    ("sh", "Shell"),
    ("sol", "Solidity"),
    ("sql", "SQL"),
    ("ss", "Scheme"),
    ("sv", "SystemVerilog"),
    ("svelte", "Svelte"),
    ("svg", "SVG"),
    ("svh", "SystemVerilog"),
    ("swift", "Swift"),
    ("tcl", "Tcl"),
    ("tex", "TeX"),
    ("tf", "HCL"),
    ("thrift", "Thrift"),
    ("toml", "TOML"),
    ("ts", "TypeScript"),
    ("tsv", "TSV"),
    ("tsx", "TSX"),
    ("v", "Verilog"),
    ("vb", "Visual Basic .NET"),
    ("vert", "GLSL"),
    ("vhd", "VHDL"),
    ("vhdl", "VHDL"),
    ("vim", "Vim Script"),
    ("vue", "Vue"),
    ("wat", "WebAssembly"),
    ("wgsl", "WGSL"),
    ("wit", "WebAssembly Interface Type"),
    ("xaml", "XML"),
    ("xml", "XML"),
    ("xsd", "XML"),
    ("xsl", "XSLT"),
    ("xslt", "XSLT"),
    ("y", "Yacc"),
    ("yaml", "YAML"),
    ("yml", "YAML"),
    ("zig", "Zig"),
    ("zsh", "Shell"),
];

const INTERPRETERS: &[(&str, &str)] = &[
    ("ash", "Shell"),
    ("awk", "Awk"),
    ("bash", "Shell"),
    ("dash", "Shell"),
    ("deno", "TypeScript"),
    ("fish", "fish"),
    ("gawk", "Awk"),
    ("groovy", "Groovy"),
    ("julia", "Julia"),
    ("ksh", "Shell"),
    ("lua", "Lua"),
    ("make", "Makefile"),
    ("node", "JavaScript"),
    ("perl", "Perl"),
    ("php", "PHP"),
    ("pwsh", "PowerShell"),
    ("python", "Python"),
    ("rscript", "R"),
    ("ruby", "Ruby"),
    ("sh", "Shell"),
    ("tclsh", "Tcl"),
    ("zsh", "Shell"),
];

/// Names the language of a file, or none for prose and for what it doesn't know.
///
/// Either part may be empty: without a path only the first line speaks, without text only the name.
pub fn programming_language(path: &str, text: &str) -> Option<&'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.get(..text.floor_char_boundary(LOOK_BYTES)).unwrap_or_default();
    let path = path.replace('\\', "/");
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    if let Some((_, language)) = NAMES.iter().find(|(n, _)| *n == name) {
        return Some(language);
    }
    if name.starts_with("dockerfile.") || name.starts_with("containerfile.") {
        return Some("Dockerfile");
    }
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ENDINGS.iter().find(|(e, _)| *e == ending) {
        Some((_, "YAML")) => Some(if is_ansible(&path.to_lowercase(), text) { "Ansible" } else { "YAML" }),
        Some((ending, language)) => Some(told_apart(ending, language, text)),
        None if matches!(ending, "txt" | "text" | "log") => None,
        None => by_first_line(text),
    }
}

/// Endings that several languages share.
fn told_apart(ending: &str, language: &'static str, text: &str) -> &'static str {
    let any_line = |starts: &[&str]| text.lines().any(|l| starts.iter().any(|s| l.trim_start().starts_with(s)));
    match ending {
        "hh" if text.starts_with("<?hh") => "Hack",
        "h" if any_line(&["@interface", "@protocol", "@class", "#import"]) => "Objective-C",
        "h" if any_line(&["class ", "namespace ", "template <", "template<", "using namespace", "public:", "private:", "protected:"]) => {
            "C++"
        }
        "m" if any_line(&["function ", "%", "end;"]) && !any_line(&["#import", "#include", "@interface", "@implementation"]) => "MATLAB",
        "ts" if text.trim_start().starts_with("<?xml") || text.contains("<!DOCTYPE TS>") => "XML",
        "pl" if any_line(&[":- "]) => "Prolog",
        "cl" if any_line(&["(defun ", "(in-package ", ";;"]) => "Common Lisp",
        "v" if any_line(&["Theorem ", "Lemma ", "Require Import", "Proof."]) => "Rocq Prover",
        "inc" if !text.contains("<?") => "C",
        "cls" if any_line(&["\\"]) => "TeX",
        "fs" if any_line(&["#version", "uniform ", "precision "]) => "GLSL",
        "d" if text.lines().next().is_some_and(|l| l.contains(".o:")) => "Makefile",
        _ => language,
    }
}

fn by_first_line(text: &str) -> Option<&'static str> {
    let first = text.lines().next()?.trim();
    if let Some(command) = first.strip_prefix("#!") {
        let mut words = command.split_whitespace().map(|w| w.rsplit('/').next().unwrap_or_default());
        let program = words.find(|w| *w != "env" && !w.starts_with('-') && !w.contains('='))?;
        let program = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_lowercase();
        return INTERPRETERS.iter().find(|(i, _)| *i == program).map(|(_, language)| *language);
    }
    let lower = first.get(..first.floor_char_boundary(64))?.to_ascii_lowercase();
    match lower.as_str() {
        l if l.starts_with("<?xml") => Some("XML"),
        l if l.starts_with("<?php") => Some("PHP"),
        l if l.starts_with("<!doctype html") || l.starts_with("<html") => Some("HTML"),
        l if l.starts_with("diff --git ") => Some("Diff"),
        _ => None,
    }
}

/// Playbooks, roles' tasks, handlers and variables. Where the folder doesn't say it, the text must: a list whose items have
/// hosts, or a task that calls a module of Ansible's.
fn is_ansible(path: &str, text: &str) -> bool {
    let path = format!("/{path}");
    let folder = |names: &[&str]| names.iter().any(|n| path.contains(n));
    let mut lines = text.lines().map(str::trim_end).filter(|l| !l.trim_start().starts_with('#'));
    let is_list = lines.clone().any(|l| l.starts_with("- "));
    let play = lines.clone().any(|l| {
        let l = l.trim_start().trim_start_matches("- ");
        l.starts_with("hosts:") || l.starts_with("import_playbook:") || l.starts_with("ansible.builtin.")
    });
    let task = lines.any(|l| {
        let l = l.trim_start().trim_start_matches("- ");
        ["become:", "gather_facts:", "register:", "notify:", "with_items:", "include_tasks:", "import_tasks:", "community.general."]
            .iter()
            .any(|key| l.starts_with(key))
    });
    let role = folder(&["/roles/"]) && folder(&["/tasks/", "/handlers/", "/defaults/", "/vars/", "/meta/"]);
    role || (is_list && play)
        || (is_list && task && text.contains("name:"))
        || (is_list && folder(&["/tasks/", "/handlers/", "/playbooks/"]) && text.contains("- name:"))
}

#[cfg(test)]
pub(crate) fn endings() -> impl Iterator<Item = &'static str> {
    ENDINGS.iter().map(|(e, _)| *e)
}
