//! Every function over every string type, constants, NULL and the empty text.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Float64Array, Int64Array, LargeStringArray, ListArray, NullArray, StringArray,
    StringViewArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Int64Type};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, col};
use polder_text::classifier::{self, Classifier};
use polder_tokenizer::{Tokenizer, TrainOptions, WordCounts, train};

use crate::Artefacts;

struct One(Arc<Tokenizer>);

impl Artefacts for One {
    fn tokenizer(&self, name: &str) -> Result<Arc<Tokenizer>, String> {
        if name == "base" { Ok(self.0.clone()) } else { Err(format!("no tokenizer `{name}` in this lake")) }
    }

    fn classifier(&self, name: &str) -> Result<Arc<Classifier>, String> {
        if name != "kind" {
            return Err(format!("no classifier `{name}` in this lake"));
        }
        let rows: Vec<(String, &str)> = (0..200)
            .map(|i| if i % 2 == 0 { (format!("the garden has {i} roses"), "garden") } else { (format!("let x{i} = one;"), "code") })
            .collect();
        let rows: Vec<(&str, &str)> = rows.iter().map(|(text, label)| (text.as_str(), *label)).collect();
        Ok(Arc::new(classifier::train(&rows, &classifier::Options::prose(), 1, &mut |_| {}).unwrap()))
    }
}

fn all() -> Vec<ScalarUDF> {
    let mut counts = WordCounts::default();
    counts.add("let x = one; let y = one; let z = one;");
    let options = TrainOptions { vocab_size: 280, special_tokens: vec!["<|endoftext|>".into()], min_count: 1, ..TrainOptions::default() };
    let tokenizer = train(&counts, &options, &mut |_, _| {}).unwrap();
    crate::functions(Arc::new(One(Arc::new(tokenizer))))
}

fn function(name: &str) -> ScalarUDF {
    all().into_iter().find(|f| f.name() == name).unwrap_or_else(|| panic!("no function {name}"))
}

fn invoke(name: &str, args: Vec<ColumnarValue>, number_rows: usize) -> Result<ColumnarValue> {
    let function = function(name);
    let types: Vec<DataType> = args.iter().map(ColumnarValue::data_type).collect();
    let returns = function.return_type(&types)?;
    let arg_fields = types.into_iter().map(|t| Arc::new(Field::new("a", t, true))).collect();
    let return_field = Arc::new(Field::new(name, returns.clone(), true));
    let out = function.invoke_with_args(ScalarFunctionArgs {
        args,
        arg_fields,
        number_rows,
        return_field,
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    assert_eq!(out.data_type(), returns, "{name}");
    Ok(out)
}

fn call(name: &str, args: Vec<ArrayRef>) -> Result<ArrayRef> {
    let n = args[0].len();
    invoke(name, args.into_iter().map(ColumnarValue::Array).collect(), n)?.into_array(n)
}

fn texts(texts: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(texts.to_vec()))
}

fn constant(text: &str) -> ColumnarValue {
    ColumnarValue::Scalar(ScalarValue::from(text))
}

/// For every row, the span of its third to fifth character.
fn spans(rows: &[Option<&str>]) -> ColumnarValue {
    let numbers = |n: i64| -> ArrayRef { Arc::new(Int64Array::from(vec![n; rows.len()])) };
    let kind = crate::nested::struct_type(&[("start", DataType::Int64), ("end", DataType::Int64)]);
    let items = crate::nested::structs(&kind, vec![numbers(2), numbers(5)], None).unwrap();
    ColumnarValue::Array(crate::nested::lists(&vec![Some(1); rows.len()], items).unwrap())
}

/// Arguments of each function, the first of `n` rows.
fn arguments(name: &str, first: &[Option<&str>]) -> Vec<ColumnarValue> {
    let lists = |of: fn(i64) -> i64| -> ColumnarValue {
        let rows = first.iter().map(|t| t.map(|t| (0..t.len().min(5) as i64).map(|i| Some(of(i))).collect::<Vec<_>>()));
        ColumnarValue::Array(Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows)))
    };
    let numbers = || ColumnarValue::Array(Arc::new(Float64Array::from_iter(first.iter().map(|t| t.map(|t| t.len() as f64)))));
    let text = ColumnarValue::Array(texts(first));
    match name {
        "bar" => vec![numbers(), ColumnarValue::Scalar(ScalarValue::Float64(Some(100.0)))],
        "minhash_s_curve" => vec![numbers()],
        "sparkline" => vec![lists(|i| i)],
        "decode" => vec![lists(|i| i + 3), constant("base")],
        "minhash_jaccard" => vec![lists(|i| i), lists(|i| i * i)],
        "encode" | "token_count" => vec![text, constant("base")],
        "profanity" => vec![text, constant("en")],
        "robots_txt_allows" => vec![text, constant("GPTBot"), constant("/")],
        "jaccard" => vec![text.clone(), text],
        "classify" => vec![constant("kind"), text],
        "without_spans" => vec![text, spans(first)],
        "programming_language" => vec![constant("x.rs"), text],
        _ => vec![text],
    }
}

#[test]
fn every_function_is_documented_and_its_name_is_its_file() {
    for function in all() {
        let documentation = function.documentation().unwrap();
        assert!(documentation.description.len() > 20 && documentation.sql_example.is_some(), "{}", function.name());
        assert!(documentation.syntax_example.starts_with(&format!("{}(", function.name())));
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{}.rs", function.name())).is_file());
    }
    for function in crate::aggregates() {
        let documentation = function.documentation().unwrap();
        assert!(documentation.description.len() > 20 && documentation.sql_example.is_some(), "{}", function.name());
        assert!(documentation.syntax_example.starts_with(&format!("{}(", function.name())));
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/{}.rs", function.name())).is_file());
    }
    let mut names: Vec<_> = all().iter().map(|f| f.name().to_owned()).collect();
    names.dedup();
    assert_eq!(names.len(), all().len());
}

#[test]
fn null_gives_null_and_the_empty_text_an_answer() {
    for function in all() {
        let name = function.name();
        let out = invoke(name, arguments(name, &[None, Some(""), Some("let x = one;")]), 3).unwrap().into_array(3).unwrap();
        let null_is_answered = name == "programming_language";
        assert_eq!(out.is_null(0), !null_is_answered, "{name}");
        let undefined = [
            "domain",
            "host",
            "jaccard",
            "license",
            "minhash",
            "minhash_bands",
            "minhash_jaccard",
            "programming_language_type",
            "shingle_set",
        ]
        .contains(&name);
        assert_eq!(out.is_null(1), undefined, "{name}");
    }
}

#[test]
fn all_string_types_and_constants_give_the_same() {
    let rows = [Some("The dike holds, said ann@b.de, and the water stays out of the village."), None, Some("")];
    let strings: Vec<ArrayRef> = vec![
        texts(&rows),
        Arc::new(LargeStringArray::from(rows.to_vec())),
        Arc::new(StringViewArray::from(rows.to_vec())),
        Arc::new(rows.into_iter().collect::<DictionaryArray<Int32Type>>()),
    ];
    for name in [
        "language",
        "script",
        "hap",
        "hap_score",
        "pii",
        "pii_redact",
        "secrets",
        "license",
        "license_class",
        "domain",
        "opt_outs",
        "gopher_quality",
        "gopher_repetition",
        "c4_quality",
        "fineweb_quality",
        "refinedweb_quality",
        "quality",
        "code_quality",
        "text_digest",
        "minhash",
        "minhash_bands",
        "shingle_set",
        "lines",
        "hash_share",
        "xxhash64",
        "boilerplate_lines",
        "clean_text",
        "fix_mojibake",
        "html_metadata",
        "html_text",
        "html_title",
        "normalize_text",
        "paragraphs",
        "remove_boilerplate",
        "sentences",
    ] {
        let expected = call(name, vec![strings[0].clone()]).unwrap();
        for column in &strings[1..] {
            assert_eq!(&call(name, vec![column.clone()]).unwrap(), &expected, "{name} of {}", column.data_type());
        }
        let one = invoke(name, vec![constant(rows[0].unwrap())], 3).unwrap();
        assert!(matches!(one, ColumnarValue::Scalar(_)), "{name}");
        assert_eq!(one.into_array(1).unwrap().as_ref(), expected.slice(0, 1).as_ref(), "{name}");
        let null: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(call(name, vec![null]).unwrap().null_count(), 2, "{name}");
    }
}

#[test]
fn planning_accepts_every_argument_count_and_type_that_it_documents() {
    let coerced = |name: &str, types: &[DataType]| {
        let fields: Vec<_> = types.iter().map(|t| Arc::new(Field::new("a", t.clone(), true))).collect();
        datafusion_expr::type_coercion::functions::fields_with_udf(&fields, &function(name))
            .map(|f| f.iter().map(|f| f.data_type().clone()).collect::<Vec<_>>())
    };
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)));
    assert_eq!(coerced("language", &[DataType::Utf8View]).unwrap(), [DataType::Utf8View]);
    assert_eq!(coerced("language", &[DataType::LargeUtf8]).unwrap(), [DataType::LargeUtf8]);
    assert!(coerced("language", &[DataType::Null]).is_ok());
    assert!(coerced("language", &[DataType::Int64]).is_err());
    assert!(coerced("language", &[]).is_err());
    assert_eq!(coerced("minhash", &[DataType::Utf8, DataType::Int32]).unwrap()[1], DataType::Int64);
    assert_eq!(coerced("minhash_bands", &[list.clone(), DataType::Int64, DataType::Int64]).unwrap()[0], list);
    assert!(coerced("minhash_bands", &[DataType::Utf8]).is_ok());
    // Optional arguments are left out from the last on.
    assert!(coerced("minhash_bands", &[DataType::Utf8, DataType::Int64]).is_ok());
    for n in 1..=3 {
        assert!(coerced("pii_redact", &vec![DataType::Utf8; n]).is_ok());
    }
    assert!(coerced("pii_redact", &vec![DataType::Utf8; 4]).is_err());
    assert_eq!(coerced("bar", &[DataType::Int64, DataType::Int32]).unwrap(), [DataType::Float64, DataType::Float64]);
    assert!(coerced("sparkline", &[list]).is_ok());
}

#[test]
fn quality_rules_speak_the_dialect_that_they_are_told_and_name_those_they_know() {
    let field = |out: &ArrayRef, name: &str| out.as_struct().column_by_name(name).unwrap().clone();
    let text = texts(&[Some("Buy now and save.\nBuy now and save."), None]);
    for (dialect, share) in [("datatrove", 0.5), ("dolma", 1.0), ("dclm", 1.0), ("curator", 0.5)] {
        let out = call("gopher_repetition", vec![text.clone(), texts(&[Some(dialect), Some(dialect)])]).unwrap();
        assert_eq!(field(&out, "duplicate_lines_share").as_primitive::<Float64Type>().value(0), share, "{dialect}");
        assert!(out.is_null(1));
    }
    let default = call("gopher_quality", vec![text.clone()]).unwrap();
    assert_eq!(&call("gopher_quality", vec![text.clone(), texts(&[Some("datatrove"); 2])]).unwrap(), &default);
    let all = call("quality", vec![text.clone()]).unwrap();
    assert_eq!(&field(&all, "gopher_quality"), &default);
    assert_eq!(field(&all, "reason").as_string::<i32>().value(0), "dup_line_frac");
    let error = call("c4_quality", vec![text, texts(&[Some("dclm"); 2])]).unwrap_err();
    assert!(error.to_string().contains("c4_quality: no dialect `dclm`, it knows `datatrove`, `fineweb`, `dolma`"), "{error}");
}

#[test]
fn findings_carry_kind_place_and_score() {
    let out = call("pii", vec![texts(&[Some("größe ann@b.de"), Some("none"), None])]).unwrap();
    let out = out.as_list::<i32>();
    assert_eq!((out.value_length(0), out.value_length(1), out.is_null(2)), (1, 0, true));
    let found = out.value(0);
    let found = found.as_struct();
    assert_eq!(found.column_by_name("kind").unwrap().as_string::<i32>().value(0), "email");
    assert_eq!(found.column_by_name("start").unwrap().as_primitive::<Int64Type>().value(0), 6);
    assert_eq!(found.column_by_name("end").unwrap().as_primitive::<Int64Type>().value(0), 14);
    assert_eq!(found.column_by_name("score").unwrap().as_primitive::<Float64Type>().value(0), 1.0);
}

#[test]
fn redaction_takes_kinds_and_refuses_unknown_ones() {
    let text = ColumnarValue::Array(texts(&[Some("ann@b.de 4111 1111 1111 1111")]));
    let out = invoke("pii_redact", vec![text.clone(), constant("card, iban")], 1).unwrap().into_array(1).unwrap();
    assert_eq!(out.as_string_view().value(0), "ann@b.de <CARD_1>");
    let salted =
        |salt: &str| invoke("pii_redact", vec![text.clone(), constant("email"), constant(salt)], 1).unwrap().into_array(1).unwrap();
    let (one, other) = (salted("s1"), salted("s2"));
    assert!(one.as_string_view().value(0).starts_with("<EMAIL_x"));
    assert_ne!(one.as_string_view().value(0), other.as_string_view().value(0));
    assert_eq!(salted("s1").as_string_view().value(0), one.as_string_view().value(0));
    let error = invoke("pii_redact", vec![text, constant("emails")], 1).unwrap_err().to_string();
    assert!(error.contains("`emails`") && error.contains("card, "), "{error}");
}

#[test]
fn bands_of_a_text_and_of_its_signature_are_the_same() {
    let text = texts(&[Some("the polder lies below the level of the sea"), Some(""), None]);
    let signature = call("minhash", vec![text.clone()]).unwrap();
    assert_eq!(signature.as_list::<i32>().value_length(0), 112);
    let bands = call("minhash_bands", vec![text.clone()]).unwrap();
    assert_eq!(&bands, &call("minhash_bands", vec![signature]).unwrap());
    assert_eq!((bands.as_list::<i32>().value_length(0), bands.null_count()), (22, 2));
    let (n, small): (_, Vec<ArrayRef>) = (3, vec![Arc::new(Int64Array::from(vec![4; 3])), Arc::new(Int64Array::from(vec![2; 3]))]);
    let args = [vec![text], small].concat().into_iter().map(ColumnarValue::Array).collect();
    assert_eq!(invoke("minhash_bands", args, n).unwrap().into_array(n).unwrap().as_list::<i32>().value_length(0), 4);
}

#[test]
fn wrong_parameters_are_errors_and_no_panics() {
    let text = || ColumnarValue::Array(texts(&[Some("a b c")]));
    let integer = |i: i64| ColumnarValue::Scalar(ScalarValue::Int64(Some(i)));
    for n in [0, -1, 5000, i64::MAX] {
        assert!(invoke("minhash", vec![text(), integer(n)], 1).is_err());
        assert!(invoke("minhash_bands", vec![text(), integer(n), integer(n)], 1).is_err());
    }
    let error = invoke("token_count", vec![text(), constant("other")], 1).unwrap_err().to_string();
    assert!(error.contains("no tokenizer `other`"), "{error}");
    let ids: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(-1)])]));
    assert!(invoke("decode", vec![ColumnarValue::Array(ids), constant("base")], 1).is_err());
    let number: ArrayRef = Arc::new(Float64Array::from(vec![1.0]));
    assert!(call("minhash_bands", vec![number]).is_err());
}

#[test]
fn the_s_curve_is_that_of_the_default_bands_unless_others_are_given() {
    let of = |arguments: &[ScalarValue]| {
        let arguments = arguments.iter().cloned().map(ColumnarValue::Scalar).collect();
        invoke("minhash_s_curve", arguments, 1).unwrap().into_array(1).unwrap().as_primitive::<Float64Type>().value(0)
    };
    let jaccard = ScalarValue::from(0.7);
    assert!((of(std::slice::from_ref(&jaccard)) - 0.9827).abs() < 1e-3);
    assert!((of(&[jaccard, ScalarValue::from(14i64), ScalarValue::from(8i64)]) - 0.5645).abs() < 1e-4);
}

#[test]
fn a_shingle_set_is_sorted_and_equal_for_equal_words() {
    let column = |rows: &[&str]| texts(&rows.iter().map(|t| Some(*t)).collect::<Vec<_>>());
    let sets =
        call("shingle_set", vec![column(&["one two three four five six", "One, two; three FOUR five six", "one two three four"])]).unwrap();
    let sets = sets.as_binary::<i32>();
    let hashes: Vec<u32> = sets.value(0).chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    assert!(hashes.len() == 2 && hashes.is_sorted() && sets.value(0) == sets.value(1) && sets.is_null(2));
}

#[test]
fn decode_undoes_encode() {
    let text = ["let x = 1;", "", "größe 漢字 🖖"];
    let column = ColumnarValue::Array(texts(&text.map(Some)));
    let ids = invoke("encode", vec![column.clone(), constant("base")], 3).unwrap().into_array(3).unwrap();
    let counts = invoke("token_count", vec![column, constant("base")], 3).unwrap().into_array(3).unwrap();
    for row in 0..3 {
        assert_eq!(i64::from(ids.as_list::<i32>().value_length(row)), counts.as_primitive::<Int64Type>().value(row));
    }
    let back = invoke("decode", vec![ColumnarValue::Array(ids), constant("base")], 3).unwrap().into_array(3).unwrap();
    assert_eq!(back.as_string_view().iter().flatten().collect::<Vec<_>>(), text);
}

#[test]
fn texts_of_every_layout_encode_alike_where_they_lie() {
    let rows = [
        Some("let x = 1;"),
        None,
        Some(""),
        Some("a text too long to lie within its view"),
        Some("größe 漢字 🖖"),
        None,
        Some(""),
        Some("one; let z"),
    ];
    let columns: [ArrayRef; 3] = [
        Arc::new(StringArray::from(rows.to_vec())),
        Arc::new(LargeStringArray::from(rows.to_vec())),
        Arc::new(StringViewArray::from(rows.to_vec())),
    ];
    for column in &columns {
        // A slice's texts begin in the middle of its buffers.
        for (from, n) in [(0, 8), (2, 5), (5, 2), (7, 1), (8, 0)] {
            let part = || vec![ColumnarValue::Array(column.slice(from, n)), constant("base")];
            let ids = invoke("encode", part(), n).unwrap().into_array(n).unwrap();
            let counts = invoke("token_count", part(), n).unwrap().into_array(n).unwrap();
            let back = invoke("decode", vec![ColumnarValue::Array(ids.clone()), constant("base")], n).unwrap().into_array(n).unwrap();
            assert_eq!(back.as_string_view().iter().collect::<Vec<_>>(), rows[from..from + n], "{}", column.data_type());
            let (ids, counts) = (ids.as_list::<i32>(), counts.as_primitive::<Int64Type>());
            for (i, row) in rows[from..from + n].iter().enumerate() {
                assert_eq!((ids.is_null(i), counts.is_null(i)), (row.is_none(), row.is_none()));
                assert_eq!(i64::from(ids.value_length(i)), row.map_or(0, |_| counts.value(i)));
                assert_eq!(ids.value_length(i) == 0, row.unwrap_or_default().is_empty());
            }
        }
    }
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("base"), None, Some("base")]));
    let ids = call("encode", vec![columns[0].slice(0, 3), names]).unwrap();
    assert_eq!((0..3).map(|i| ids.is_null(i)).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_page_is_read_and_its_text_cleaned_row_by_row() {
    let page = "<html lang=de><title>Deich</title><meta name=author content=Ann><nav><a href=/>Start</a></nav><article><p>Der Deich hält das Wasser vom \
                Dorf ab, seit er im letzten Jahrhundert gebaut wurde. Niemand hat etwas dagegen.</p></article>";
    let strings = |name: &str, rows: &[Option<&str>]| {
        call(name, vec![texts(rows)]).unwrap().as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect::<Vec<_>>()
    };
    let text = strings("html_text", &[Some(page), None, Some("")]);
    assert!(text[0].as_ref().unwrap().starts_with("Der Deich hält") && !text[0].as_ref().unwrap().contains("Start"), "{text:?}");
    assert_eq!(text[1..], [None, Some(String::new())]);
    let metadata = call("html_metadata", vec![texts(&[Some(page), None])]).unwrap();
    let field =
        |name: &str| metadata.as_struct().column_by_name(name).unwrap().as_string::<i32>().iter().next().unwrap().map(str::to_owned);
    assert_eq!((field("title"), field("author"), field("language")), (Some("Deich".into()), Some("Ann".into()), Some("de".into())));
    assert_eq!((field("license"), metadata.is_null(1)), (None, true));
    assert_eq!(strings("fix_mojibake", &[Some("MÃ¤rz")]), [Some("März".to_owned())]);
    assert_eq!(strings("remove_boilerplate", &[Some("Text.\nRead more\n")]), [Some("Text.\n".to_owned())]);
    let list = |name: &str, args: Vec<ArrayRef>| {
        let array = call(name, args).unwrap();
        array.as_list::<i32>().value(0).as_string_view().iter().map(|s| s.unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("sentences", vec![texts(&[Some("Am 3. Mond. Ja.")]), texts(&[Some("de")])]), ["Am 3. Mond.", "Ja."]);
    assert_eq!(list("sentences", vec![texts(&[Some("Am 3. Mond. Ja.")]), texts(&[None])]), ["Am 3.", "Mond.", "Ja."]);
    assert_eq!(list("boilerplate_lines", vec![texts(&[Some("Text.\nRead more\n")])]), ["Read more"]);
    assert_eq!(list("paragraphs", vec![texts(&[Some("a\nb\n\nc")])]), ["a\nb", "c"]);
    let forms = call("normalize_text", vec![texts(&[Some("ﬁ²"), Some("ﬁ²")]), texts(&[Some("nfkc"), None])]).unwrap();
    assert_eq!(forms.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("fi2"), None]);
    let error = call("normalize_text", vec![texts(&[Some("a")]), texts(&[Some("nfx")])]).unwrap_err().to_string();
    assert!(error.contains("`nfx` is no normal form"), "{error}");
}

#[test]
fn bars_and_sparklines_draw_any_number() {
    let x = |values: Vec<f64>| -> ArrayRef { Arc::new(Float64Array::from(values)) };
    let bars = call(
        "bar",
        vec![
            x(vec![0.0, 5.0, 10.0, 99.0, -1.0, f64::NAN, f64::INFINITY, 1.0]),
            x(vec![10.0, 10.0, 10.0, 10.0, 10.0, 10.0, f64::INFINITY, 0.0]),
        ],
    )
    .unwrap();
    let lengths: Vec<usize> = bars.as_string::<i32>().iter().map(|b| b.unwrap().chars().count()).collect();
    assert_eq!(lengths, [0, 10, 20, 20, 0, 0, 0, 0]);
    let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
        Some(vec![Some(0.0), None, Some(1.0), Some(f64::NAN)]),
        Some(vec![]),
        Some(vec![Some(3.0), Some(3.0)]),
        Some(vec![Some(f64::MIN), Some(f64::MAX)]),
        None,
    ]);
    let out = call("sparkline", vec![Arc::new(lists)]).unwrap();
    assert_eq!(out.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("▁ █ "), Some(""), Some("▄▄"), Some("▁█"), None]);
}

#[test]
fn expressions_name_the_functions() {
    assert_eq!(crate::expr::language(col("text")).to_string(), "language(text)");
    assert_eq!(crate::expr::jaccard(col("a"), col("b")).to_string(), "jaccard(a, b)");
}

#[test]
fn a_classifier_answers_with_a_label_and_how_likely_it_is() {
    let rows = [Some("let y = one;"), None, Some("an old garden with roses")];
    let out = invoke("classify", vec![constant("kind"), ColumnarValue::Array(texts(&rows))], 3).unwrap().into_array(3).unwrap();
    let labels = out.as_struct().column(0).as_string::<i32>().clone();
    assert_eq!((labels.value(0), labels.value(2)), ("code", "garden"));
    assert!(out.is_null(1) && out.as_struct().column(1).as_primitive::<Float64Type>().value(0) > 0.5);
    let error = invoke("classify", vec![constant("other"), constant("x")], 1).unwrap_err().to_string();
    assert!(error.contains("no classifier `other`"), "{error}");
}

#[test]
fn spans_that_were_found_are_cut_out() {
    let rows = [Some("ab123cd"), None, Some("ab")];
    let out = invoke("without_spans", vec![ColumnarValue::Array(texts(&rows)), spans(&rows)], 3).unwrap().into_array(3).unwrap();
    assert_eq!(out.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("ab\ncd"), None, Some("ab")]);
    let whole = invoke("without_spans", vec![constant("ab"), ColumnarValue::Scalar(ScalarValue::Null)], 1).unwrap().into_array(1).unwrap();
    assert_eq!(whole.as_string::<i32>().value(0), "ab");
}

#[test]
fn rights_are_columns() {
    let page = "<meta name=robots content=noai><a rel=license href=\"https://creativecommons.org/licenses/by/4.0/\">";
    let found = call("license", vec![texts(&[Some(page), Some("dike")])]).unwrap();
    let of = |i: usize| found.as_struct().column(i).clone();
    assert_eq!(of(0).as_string::<i32>().value(0), "CC-BY-4.0");
    assert_eq!(of(2).as_string::<i32>().value(0), "link");
    assert!(found.is_null(1));
    let class = call("license_class", vec![of(0)]).unwrap();
    assert_eq!(class.as_string::<i32>().value(0), "permissive");
    let signals = call("opt_outs", vec![texts(&[Some(page), None])]).unwrap();
    assert_eq!(signals.as_list::<i32>().value(0).as_struct().column(0).as_string::<i32>().value(0), "noai");
    let sources =
        vec![texts(&[Some("User-agent: CCBot\nDisallow: /"), Some("TDM-Reservation: 1")]), texts(&[Some("robots.txt"), Some("headers")])];
    let signals = call("opt_outs", sources).unwrap();
    let agents = signals.as_list::<i32>().values().as_struct().column(1).clone();
    assert_eq!(agents.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("ccbot"), Some("*")]);
    let wrong = call("opt_outs", vec![texts(&[Some("")]), texts(&[Some("smoke")])]).unwrap_err().to_string();
    assert!(wrong.contains("no source `smoke`; the sources are html, headers"), "{wrong}");
    let allowed =
        call("robots_txt_allows", vec![texts(&[Some("User-agent: *\nDisallow: /a")]), texts(&[Some("x")]), texts(&[Some("/a/b")])])
            .unwrap();
    assert!(!allowed.as_boolean().value(0));
    let domains = call("domain", vec![texts(&[Some("https://www.example.co.uk/x"), Some("localhost")])]).unwrap();
    assert_eq!(domains.as_string::<i32>().iter().collect::<Vec<_>>(), [Some("example.co.uk"), None]);
}
