#!/usr/bin/env python3
"""Makes crates/polder-text/lists/programming_languages.txt from Linguist's languages, as the package linguist-languages (MIT) carries them.

    python3 tests/golden/make_programming_languages.py FOLDER

FOLDER is the unpacked package (`npm pack linguist-languages@9.5.0`), with `data/*.js`; `node` reads those.
A line of the result is a language: its name, its type, how common it is (1 is the most, 0 for the rest), its endings without the first
dot, its file names, its interpreters and its further names, parted by tabs, and by `|` within. Lines are sorted by name.

How common a language is decides where an ending is shared and the text says nothing. COMMON_PROGRAMMING are the programming languages by
the number of people who pushed them from the United States in 2023 Q2, most first, after the GitHub Innovation Graph (CC0 1.0);
COMMON_OTHER, which come before them, are formats for data and text, which that table doesn't hold.
"""

import json
import pathlib
import subprocess
import sys

COMMON_OTHER = """Markdown, JSON, HTML, CSS, YAML, XML, Text, SVG, INI, TOML, CSV, SCSS, Jupyter Notebook, TeX, reStructuredText, Java Properties,
    Diff, Less, Vue, AsciiDoc, Roff, TSV, Gettext Catalog, XML Property List, Graphviz (DOT)"""
COMMON_PROGRAMMING = """JavaScript, Python, Shell, Dockerfile, TypeScript, Makefile, Java, C++, C, Ruby, C#, Batchfile, CMake, Go, PowerShell,
    PHP, R, Rust, Lua, Perl, Assembly, Objective-C, Swift, Kotlin, HCL, Procfile, Vim script, Smarty, HLSL, MATLAB, Nix, ShaderLab, GLSL,
    XSLT, M4, Objective-C++, Starlark, Emacs Lisp, Cuda, PLpgSQL, Cython, Dart, Groovy, Fortran, Awk, Yacc, Hack, Scala, Gherkin,
    Solidity, Tcl, TSQL, Lex, Mako, sed, Wolfram Language, GDB, Julia, NASL, Haskell, ASP.NET, ANTLR, Scheme, QMake, Pascal, PLSQL,
    CoffeeScript, Clojure, GAP, SourcePawn, Raku, Verilog, Smalltalk, Meson, NSIS, Common Lisp, SWIG, PureBasic, FreeMarker, GDScript,
    Elixir, Gnuplot, Forth, Pawn, Prolog, LLVM, VBScript, M, Jsonnet, Inno Setup, DIGITAL Command Language, AppleScript, OCaml, Bicep,
    SmPL, Thrift, Processing, SystemVerilog, AutoHotkey, Standard ML, D, DTrace, Visual Basic .NET, F#, Erlang, VHDL, XS, QML, Stata,
    AMPL, Metal, POV-Ray SDL, Zig, Scilab, Puppet, UnrealScript, Nu, Nim, AIDL, OpenSCAD, VBA, G-code, OpenEdge ABL, Visual Basic 6.0,
    CUE, SAS, WebAssembly, Open Policy Agent, DM, Sage, RPC, ActionScript, Racket, jq, Logos, Fluent, ASL, RenderScript, Haxe, Ada, Apex,
    Rebol, Reason, Module Management System, RobotFramework, PureScript, Cap'n Proto, Brainfuck, NewLisp, Jasmin, Game Maker Language,
    ReScript, Classic ASP, HiveQL, Nextflow, IDL, Max, NCL, MLIR, AGS Script, Elm, PEG.js, Stan, q, SuperCollider, Crystal, Rocq Prover,
    Ragel, V, BitBake, COBOL, EmberScript, BASIC, Limbo, SMT, JetBrains MPS, Io, XQuery, Terra, TLA, Vala, Euphoria"""
READ = """import * as all from './index.js';
console.log(JSON.stringify(Object.values(all).filter((l) => l && l.name)));"""


def main() -> None:
    source = pathlib.Path(sys.argv[1]).resolve()
    run = subprocess.run(["node", "--input-type=module", "-e", READ], cwd=source, capture_output=True, text=True, check=True)
    languages = sorted(json.loads(run.stdout), key=lambda l: l["name"].encode())
    # SQL is a data language to Linguist, and so is missing from the table of programming languages.
    common = [" ".join(name.split()) for name in f"{COMMON_OTHER}, SQL, {COMMON_PROGRAMMING}".split(",")]
    unknown = set(common) - {language["name"] for language in languages}
    assert not unknown and len(set(common)) == len(common), unknown
    lines = [
        "# Made by tests/golden/make_programming_languages.py; edit the script, not this file.",
        "# From Linguist's languages (MIT), as the package linguist-languages 9.5.0 (MIT) carries them.",
        "# name, type, how common, endings, file names, interpreters, further names",
    ]
    for language in languages:
        name = language["name"]
        endings = [ending.removeprefix(".").lower() for ending in language.get("extensions", [])]
        groups = [endings, language.get("filenames", []), language.get("interpreters", []), language.get("aliases", [])]
        fields = [name, language["type"], str(common.index(name) + 1 if name in common else 0)]
        fields += ["|".join(dict.fromkeys(group)) for group in groups]
        assert all("\t" not in field and "\n" not in field for field in fields), name
        lines.append("\t".join(fields))
    target = pathlib.Path(__file__).resolve().parents[2] / "crates/polder-text/lists/programming_languages.txt"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
