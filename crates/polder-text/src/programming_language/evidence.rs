//! What text alone gives away: how formats begin that say what they are, and what lines only one of several languages has.

/// A format's first line that isn't blank begins so. Longer beginnings come before shorter ones that they begin with.
const BEGINNINGS: &[(&str, &str)] = &[
    ("<?php", "PHP"),
    ("<?hh", "Hack"),
    ("<!DOCTYPE html", "HTML"),
    ("<!doctype html", "HTML"),
    ("<html", "HTML"),
    ("<svg", "SVG"),
    ("<cfcomponent", "ColdFusion CFC"),
    ("<%@ page", "Java Server Pages"),
    ("<%@ Page", "ASP.NET"),
    ("<%@ WebService", "ASP.NET"),
    ("%!PS", "PostScript"),
    ("{\\rtf", "Rich Text Format"),
    ("diff --git ", "Diff"),
    ("BEGIN:VCARD", "vCard"),
    ("BEGIN:VCALENDAR", "iCalendar"),
    ("WEBVTT", "WebVTT"),
    ("#EXTM3U", "M3U"),
    ("/* XPM", "X PixMap"),
    ("-----BEGIN ", "Public Key"),
    ("ssh-rsa ", "Public Key"),
    ("ssh-ed25519 ", "Public Key"),
    ("Microsoft Visual Studio Solution File", "Microsoft Visual Studio Solution"),
    ("# Microsoft Developer Studio ", "Microsoft Developer Studio Project"),
    ("Windows Registry Editor", "Windows Registry Entries"),
    ("REGEDIT4", "Windows Registry Entries"),
    ("StartFontMetrics", "Adobe Font Metrics"),
    ("STARTFONT ", "Glyph Bitmap Distribution Format"),
    ("SplineFontDB:", "Spline Font Database"),
    ("flf2a", "FIGlet Font"),
    ("SymbolType ", "LTspice Symbol"),
    ("(kicad_pcb", "KiCad Layout"),
    ("(footprint ", "KiCad Layout"),
    ("(kicad_sch", "KiCad Schematic"),
    ("EESchema", "KiCad Schematic"),
    ("PCBNEW-", "KiCad Legacy Layout"),
    ("[gd_resource", "Godot Resource"),
    ("[gd_scene", "Godot Resource"),
    ("xof 0", "DirectX 3D File"),
    ("0 HEAD", "GEDCOM"),
    ("File type = \"ooTextFile\"", "TextGrid"),
    ("#N canvas", "Pure Data"),
    ("#RAML ", "RAML"),
    ("@startuml", "PlantUML"),
    ("cwlVersion", "Common Workflow Language"),
    ("swagger: \"2", "OASv2-yaml"),
    ("swagger: '2", "OASv2-yaml"),
    ("openapi: 3", "OASv3-yaml"),
    ("openapi: \"3", "OASv3-yaml"),
    ("openapi: '3", "OASv3-yaml"),
    (">>> ", "Python console"),
    ("julia> ", "Julia REPL"),
    ("Traceback (most recent call last)", "Python traceback"),
    ("syntax = \"proto", "Protocol Buffer"),
    ("#lang racket", "Racket"),
    ("-- phpMyAdmin SQL Dump", "SQL"),
    ("\\documentclass", "TeX"),
    ("\\input texinfo", "Texinfo"),
];

/// The outermost element of an XML document, and where only a further word tells, that word.
const ELEMENTS: &[(&str, &str, &str)] = &[
    ("svg", "", "SVG"),
    ("plist", "", "XML Property List"),
    ("html", "", "HTML"),
    ("xsl:stylesheet", "", "XSLT"),
    ("xsl:transform", "", "XSLT"),
    ("COLLADA", "", "COLLADA"),
    ("eagle", "", "Eagle"),
    ("cfcomponent", "", "ColdFusion CFC"),
    ("xp:view", "", "XPages"),
    ("p:declare-step", "", "XProc"),
    ("p:pipeline", "", "XProc"),
    ("Ontology", "", "Web Ontology Language"),
    ("rdf:RDF", "2002/07/owl#", "Web Ontology Language"),
    ("Project", "LVVersion", "LabVIEW"),
    ("Library", "LVVersion", "LabVIEW"),
    ("project", "maven.apache.org/POM", "Maven POM"),
    ("project", "<target ", "Ant Build System"),
    ("model", "http://jetbrains", "JetBrains MPS"),
];

/// Lines that speak for a language against those it shares an ending with: what they begin with after blanks, or, after `*`, hold anywhere.
const LINES: &[(&str, &[&str])] = &[
    ("Ada", &["with Ada.", "procedure ", "package body "]),
    ("Adblock Filter List", &["[Adblock", "! Title:", "||", "##"]),
    ("Ant Build System", &["<target "]),
    ("Apex", &["trigger ", "@isTest", "public with sharing", "global class", "*testMethod", "*System.debug"]),
    ("Assembly", &["section .", "%include", "%macro", "global ", "extern ", "*segment", "*\tmov\t"]),
    ("C", &["typedef struct", "#ifdef __cplusplus"]),
    ("C#", &["using System", "namespace ", "#addin", "#tool", "public class"]),
    (
        "C++",
        &[
            "class ",
            "namespace ",
            "template <",
            "template<",
            "using namespace",
            "public:",
            "private:",
            "protected:",
            "constexpr ",
            "virtual ",
            "*std::",
            "#include <string>",
            "#include <vector>",
            "#include <iostream>",
        ],
    ),
    ("CoffeeScript", &["task '", "*-> ", "*->"]),
    ("Common Lisp", &["(defun ", "(in-package", "(defpackage", "(defmacro ", "(defvar "]),
    ("DTrace", &["#pragma D option", "*::entry", "*:::", "dtrace:"]),
    ("Ecmarkup", &["<emu-"]),
    ("Erlang", &["-module(", "-export(", "{application"]),
    ("F#", &["let ", "open ", "module ", "type "]),
    ("Forth", &[": ", "\\ ", "variable ", "*( -- "]),
    (
        "Fortran",
        &["program ", "subroutine ", "PROGRAM ", "SUBROUTINE ", "*INTEGER ", "*integer ", "c ", "C ", "*implicit none", "*IMPLICIT NONE"],
    ),
    ("GDScript", &["extends ", "func ", "tool", "@tool", "class_name ", "onready ", "@export", "export"]),
    ("GLSL", &["#version", "uniform ", "varying ", "precision ", "*gl_", "attribute "]),
    ("GAP", &["Declare", "Install", "gap> ", "*local "]),
    ("GCC Machine Description", &["(define_", ";;"]),
    ("Hack", &["<?hh", "*<<__"]),
    ("JavaScript", &["function ", "var ", "const ", "import ", "export ", "let ", "module.exports"]),
    ("Limbo", &["implement ", "*: module", "*: import"]),
    ("Linux Kernel Module", &["*.ko", "*.o"]),
    ("Makefile", &[".PHONY", "*.o:", "\t@"]),
    ("MATLAB", &["%", "function ", "classdef ", "disp(", "end;"]),
    ("Mercury", &[":- module", ":- interface", ":- import_module", ":- pred", ":- implementation"]),
    ("NewLisp", &["(define (", "(load ", "(context ", "(set '", "(setq "]),
    ("Objective-C", &["@interface", "@implementation", "@protocol", "@class ", "@end", "@property", "#import ", "@import "]),
    ("OCaml", &["let ", "open ", "module ", "| "]),
    ("OpenCL", &["__kernel", "kernel void", "*__global", "#pragma OPENCL"]),
    ("Pascal", &["unit ", "implementation", "procedure ", "uses ", "program ", "end.", "{$", "begin"]),
    ("Perl", &["use strict", "use warnings", "my $", "my (", "my %", "my @", "sub ", "=head1", "package ", "*shift;"]),
    ("PHP", &["*<?php", "*<?=", "$this->"]),
    ("PLpgSQL", &["*$$", "*plpgsql", "RAISE ", "*RETURNS "]),
    (
        "PLSQL",
        &["*VARCHAR2", "*varchar2", "*%TYPE", "*DBMS_", "*dbms_", "CREATE OR REPLACE PACKAGE", "create or replace package", "*%type"],
    ),
    ("Prolog", &[":- module", ":- use_module", ":- dynamic", "* :-", "*):-"]),
    ("Proguard", &["-keep", "-dontwarn", "-dont"]),
    ("Puppet", &["class ", "define ", "node ", "file {", "package {", "service {", "*=> "]),
    ("Python", &["def ", "import ", "from ", "class "]),
    ("QMake", &["TEMPLATE", "QT ", "QT+", "SOURCES", "HEADERS", "CONFIG", "TARGET"]),
    ("R", &["*<- ", "library(", "*function("]),
    ("Raku", &["use v6", "multi ", "grammar ", "method ", "has ", "=begin ", "unit ", "token ", "rule ", "proto "]),
    ("Reason", &["let ", "module ", "open ", "switch "]),
    ("Roff", &[".", "'\\\""]),
    ("Roff Manpage", &[".TH ", ".Dd ", ".Dt ", ".Sh NAME", ".SH NAME"]),
    ("Rocq Prover", &["Require ", "From ", "Lemma ", "Theorem ", "Proof.", "Qed.", "Definition ", "Inductive ", "Fixpoint "]),
    ("RPM Spec", &["Name:", "Version:", "%prep", "%description", "%build"]),
    ("Ruby", &["describe ", "require '", "end", "Gem::"]),
    ("Rust", &["fn ", "pub ", "use ", "impl ", "mod ", "#[", "let "]),
    ("Scheme", &["(define ", "(import ", "(let "]),
    ("Smalltalk", &["!", "*methodsFor:"]),
    ("SQLPL", &["--#SET TERMINATOR", "*LANGUAGE SQL", "*MODIFIES SQL DATA", "BEGIN ATOMIC", "*CONTINUE HANDLER"]),
    ("Standard ML", &["structure ", "signature ", "fun ", "functor ", "val "]),
    ("TeX", &["\\", "%"]),
    ("TSQL", &["GO", "*[dbo]", "DECLARE @", "declare @", "SET @", "USE [", "SET NOCOUNT", "*GETDATE()"]),
    ("TypeScript", &["import ", "export ", "const ", "interface ", "class ", "function "]),
    ("Unix Assembly", &[".globl", ".text", ".section", ".file", ".align", ".type"]),
    ("Motorola 68K Assembly", &["*move.l", "*move.w", "*MOVE.L", "*movem", "*dc.b", "*dc.w"]),
    ("V", &["fn ", "pub fn ", "module ", "import "]),
    ("Verilog", &["module ", "endmodule", "always @", "assign ", "wire ", "reg ", "`timescale", "`define", "input ", "output "]),
    ("Vim Help File", &["*vim:", "*====", "*.txt*"]),
    ("Visual Basic 6.0", &["VERSION 1.0 CLASS", "VERSION 5.00", "Begin VB.", "*VB_Exposed"]),
    ("Wolfram Language", &["(*", "BeginPackage[", "Begin[", "Needs["]),
    ("World of Warcraft Addon Data", &["## Interface:", "## Title"]),
    ("AL", &["codeunit ", "table ", "page ", "procedure ", "trigger ", "field("]),
    ("B4X", &["B4A=", "B4J=", "B4i=", "*@EndOfDesignText@", "Sub Process_Globals", "Sub Class_Globals", "#Region"]),
    ("Beef", &["using ", "namespace ", "class ", "public "]),
    ("Cairo", &["fn ", "use ", "mod ", "#["]),
    ("Cairo Zero", &["func ", "%lang ", "from starkware", "*alloc_locals"]),
    ("FreeBASIC", &["dim as ", "dim shared as ", "declare function ", "declare sub ", "#include "]),
    ("Frege", &["module ", "import ", "data ", "*:: "]),
    ("Genie", &["uses", "def ", "init", "[indent"]),
    ("Gosu", &["uses ", "construct(", "property get", "property set"]),
    ("M4", &["dnl", "define(", "divert(", "changequote", "m4_"]),
    ("Modelica", &["model ", "package ", "extends ", "equation", "annotation", "within "]),
    ("Monkey C", &["using Toybox", "import Toybox", "class ", "function "]),
    ("Motoko", &["actor ", "import ", "public func ", "func ", "shared "]),
    ("NASL", &["local_var ", "*get_kb_item(", "script_", "include(\""]),
    ("Pawn", &["stock ", "native ", "forward ", "#if defined "]),
    ("Q#", &["operation ", "open Microsoft.", "namespace "]),
    ("Ren'Py", &["label ", "scene ", "show ", "init ", "menu:", "$ "]),
    ("RenderScript", &["#pragma version", "#pragma rs", "*rs_allocation"]),
    ("Rez", &["resource '", "data '"]),
    ("SourcePawn", &["stock ", "native ", "forward ", "methodmap ", "enum struct ", "#if defined ", "public Action "]),
    ("Terra", &["terra ", "local "]),
    ("Tree-sitter Query", &["*) @", "*#set!", "*#match?", "*#eq?"]),
    ("Win32 Message File", &["MessageId", "SymbolicName", "Language=", "SeverityNames"]),
];

/// Lines that are looked at for evidence.
const LINES_MAX: usize = 400;

/// The language of a text that says what it is at its beginning.
pub(super) fn of_beginning(text: &str) -> Option<&'static str> {
    let start = text.trim_start();
    if start.starts_with("<?xml") {
        return Some(of_xml(start));
    }
    if let Some((_, language)) = BEGINNINGS.iter().find(|(beginning, _)| start.starts_with(beginning)) {
        return Some(language);
    }
    start.starts_with('{').then(|| of_braces(start)).flatten()
}

/// What the text settles among languages that share a name or an ending.
pub(super) fn settled(text: &str, has: impl Fn(&str) -> bool) -> Option<&'static str> {
    let start = text.trim_start();
    if let Some(language) = of_beginning(text).filter(|language| has(language)) {
        return Some(language);
    }
    if has("XML") && start.starts_with("<?xml") {
        return Some("XML");
    }
    if has("JSON") && start.starts_with(['{', '[']) {
        return Some("JSON");
    }
    if has("YAML") && has("OASv3-yaml") {
        return Some(of_yaml(text));
    }
    let line_starts = |starts: &[&str]| text.lines().take(LINES_MAX).any(|line| starts.iter().any(|start| line.starts_with(start)));
    if has("Roff Manpage") && line_starts(&[".TH ", ".Dd ", ".Dt "]) {
        return Some("Roff Manpage");
    }
    if has("GCC Machine Description") && has("Markdown") {
        return Some(if start.starts_with([';', '(']) && line_starts(&["(define_"]) { "GCC Machine Description" } else { "Markdown" });
    }
    None
}

/// YAML: the description of an interface, or with tabs, which YAML doesn't allow, `MiniYAML`.
fn of_yaml(text: &str) -> &'static str {
    for line in text.lines().take(LINES_MAX) {
        let version = |key: &str| line.strip_prefix(key).map(|rest| rest.trim_start_matches([' ', '"', '\'']));
        match (version("swagger:"), version("openapi:")) {
            (Some(version), _) if version.starts_with("2.") => return "OASv2-yaml",
            (_, Some(version)) if version.starts_with("3.") => return "OASv3-yaml",
            _ if line.starts_with('\t') && line.contains(':') => return "MiniYAML",
            _ => {}
        }
    }
    "YAML"
}

/// An XML document: by its outermost element, where that is of a language of its own.
fn of_xml(text: &str) -> &'static str {
    let is_name = |c: char| c.is_alphanumeric() || "_:-.".contains(c);
    let name = outermost(text).split(|c| !is_name(c)).next().unwrap_or_default();
    let found = ELEMENTS.iter().find(|(element, word, _)| *element == name && (word.is_empty() || text.contains(word)));
    found.map_or("XML", |(.., language)| language)
}

/// What follows the first `<` that begins neither a comment, nor an instruction, nor a declaration.
fn outermost(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('<') {
        let end = match after {
            after if after.starts_with("!--") => "-->",
            after if after.starts_with('?') => "?>",
            after if after.starts_with('!') && after.split('>').next().is_some_and(|d| d.contains('[')) => "]>",
            after if after.starts_with('!') => ">",
            after => return after,
        };
        rest = after.split_once(end).map_or("", |(_, rest)| rest);
    }
    ""
}

/// An object of JSON: a description of an interface, a notebook, or any other.
fn of_braces(text: &str) -> Option<&'static str> {
    let inside = text.strip_prefix('{')?.trim_start();
    if !(inside.starts_with('"') || inside.starts_with('}')) {
        return None;
    }
    let head = text.get(..text.floor_char_boundary(2048)).unwrap_or_default();
    Some(match head {
        head if head.contains("\"swagger\":") && head.contains("\"2.") => "OASv2-json",
        head if head.contains("\"openapi\":") && head.contains("\"3.") => "OASv3-json",
        head if head.contains("\"cells\":") && head.contains("\"cell_type\":") => "Jupyter Notebook",
        head if head.contains("\"patcher\"") && head.contains("\"fileversion\"") => "Max",
        _ => "JSON",
    })
}

/// Whether a text lacks what every text of a language has, so that another one that shares its ending is meant.
pub(super) fn is_ruled_out(language: &str, text: &str) -> bool {
    let start = text.trim_start();
    match language {
        "XML" | "XML Property List" | "JetBrains MPS" | "HTML" => !text.contains('<') || (language != "HTML" && !start.starts_with('<')),
        // Of values that are neither object nor list there is one, so one line.
        "JSON" => !start.starts_with(['{', '[']) && start.trim_end().contains('\n'),
        "Jupyter Notebook" | "JSONLD" | "OASv2-json" | "OASv3-json" => !start.starts_with(['{', '[']),
        // What every dialect has is SQL.
        "PLpgSQL" | "PLSQL" | "SQLPL" | "TSQL" => n_lines(language, text) == 0,
        "Linux Kernel Module" => !text.contains(".ko") && !text.contains(".o"),
        "Roff" | "Roff Manpage" => !text.lines().any(|line| line.starts_with(['.', '\''])),
        "vCard" => !text.contains("BEGIN:VCARD"),
        _ => false,
    }
}

/// How many of a text's lines speak for a language; none for a language that has no such lines.
pub(super) fn n_lines(language: &str, text: &str) -> usize {
    let Some((_, needles)) = LINES.iter().find(|(name, _)| *name == language) else { return 0 };
    let speaks = |line: &str| {
        needles.iter().any(|needle| match needle.strip_prefix('*') {
            Some(anywhere) => line.contains(anywhere),
            None => line.trim_start().starts_with(needle),
        })
    };
    text.lines().take(LINES_MAX).filter(|line| speaks(line)).count()
}

#[cfg(test)]
pub(super) fn all_languages() -> impl Iterator<Item = &'static str> {
    BEGINNINGS.iter().map(|(_, l)| *l).chain(ELEMENTS.iter().map(|(.., l)| *l)).chain(LINES.iter().map(|(l, _)| *l))
}
