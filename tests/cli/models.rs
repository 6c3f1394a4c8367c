//! Sizes and plans of models, and models of others: in, out, and refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use polder_model::{Weights, preset};
use serde_json::{Value, json};

use crate::finished::{copy, finished, folder};
use crate::packages::Draw;
use crate::program::{Said, command, finish, line, polder};

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())).flatten();
    entries.map(|e| (e.file_name().to_string_lossy().into_owned(), fs::read(e.path()).expect("a file"))).collect()
}

fn import(lake: &Path, name: &str, from: &Path) -> Said {
    polder(lake, &["--json", "model", "import", name, &from.display().to_string()])
}

fn export(lake: &Path, model: &str, to: &Path) -> Said {
    polder(lake, &["--json", "model", "export", model, &to.display().to_string()])
}

/// A new lake with nothing in it.
fn empty_lake(name: &str) -> std::path::PathBuf {
    let lake = folder(name).join("lake");
    line(&lake, "init").well();
    lake
}

/// A model's folder as others write it.
fn written(name: &str, size: &str) -> std::path::PathBuf {
    let folder = folder(name).join("theirs");
    Weights::init(&preset(size, 300, 64).expect("a size"), 1).expect("weights").save(&folder).expect("save");
    folder
}

#[test]
fn every_size_of_every_family_is_shown_with_what_it_takes() {
    let none = folder("none");
    let all = line(&none, "--json model sizes").well().objects();
    assert_eq!(all.len(), 40);
    for size in &all {
        let n_params = size["n_params"].as_u64().expect("a count");
        let bytes = |layout: &str| size["memory_bytes"][layout].as_u64().expect("bytes");
        assert!(
            bytes("f32") > 16 * n_params && bytes("bf16") > 16 * n_params && size["flops_per_token"].as_u64() > Some(n_params),
            "{size}"
        );
        let name = size["name"].as_str().expect("a name");
        assert_eq!(preset(name, 4096, 256).map(|c| c.n_params()), Some(n_params), "{name} is found by its name");
    }
    let some = line(&none, "--json model sizes --family bert --vocab 30522 --context 512 --batch 4").well().objects();
    assert_eq!((some.len(), some[0]["name"].as_str()), (10, Some("bert-nano")));
    assert_eq!(some[9]["n_params"].as_u64(), preset("bert-7b", 30522, 512).map(|c| c.n_params()));
    let said = line(&none, "model sizes").well();
    assert!(
        said.out.contains("memory in bf16") && said.out.contains("modernbert-xl") && said.err.contains("are free here"),
        "{}",
        said.out
    );
    assert_eq!(line(&none, "model sizes --family t5").code, Some(2));
}

#[test]
fn a_plan_counts_the_tokens_of_the_piles_set_says_why_and_ends_with_a_command_that_works() {
    let lake = copy("planned");
    let plan = &line(&lake, "--json model plan --pile pile.base@v1 --hours 0.0003").well().objects()[0];
    let tokens = &line(&lake, "--json tokens show quickstart").well().objects()[0];
    assert_eq!((plan["tokens"].as_str(), &plan["n_tokens"]), (Some("quickstart"), &tokens["details"]["n_tokens"]["train"]));
    let why = plan["why"].as_str().expect("sentences");
    assert!(
        why.contains("counted in tokens/quickstart") && why.contains("decoder") && why.contains("bounds it") | why.contains("bound it"),
        "{why}"
    );
    let candidates = plan["candidates"].as_array().expect("candidates");
    for layout in ["f32", "bf16"] {
        assert_eq!(candidates.iter().filter(|c| c["layout"] == layout).count(), 10);
        assert!(candidates.iter().any(|c| c["layout"] == layout && c["is_measured"] == true), "{layout} was measured");
    }
    let next = plan["next"].as_array().expect("commands").last().and_then(Value::as_str).expect("a command");
    let words = next.strip_prefix("polder ").expect("a command of this program");
    assert!(words.starts_with("train start quickstart --tokens quickstart --model ") && words.contains(" --steps "), "{next}");
    let model = &line(&lake, &format!("--json {words}")).well().objects()[0];
    assert_eq!(
        (&model["details"]["n_params"], model["details"]["model"]["model_type"].as_str()),
        (&candidates.iter().find(|c| c["name"] == plan["chosen"]).expect("chosen")["n_params"], Some("llama"))
    );
}

#[test]
fn a_plan_for_an_encoder_estimates_the_tokens_with_a_tokenizer() {
    let lake = copy("encoder");
    line(&lake, "tokenizer train other --vocab 300 --from pile.base@v1").well();
    let said = line(&lake, "model plan --pile pile.base@v1 --hours 0.001 --use classifier --tokenizer other").well();
    assert!(said.out.contains("→ modernbert-") && said.out.contains("a step in bf16"), "{}", said.out);
    for text in [
        "encoder",
        "bytes a token, as tokenizers/other makes of",
        "next:\n  polder tokenizer train base-masked --from pile.base@v1 --vocab 300 --special '[MASK]'\n  polder tokens build base-masked --from pile.base@v1 --tokenizer base-masked\n",
    ] {
        assert!(said.err.contains(text), "{text} in {}", said.err);
    }
    assert!(said.err.contains("polder train start base-masked --tokens base-masked --model modernbert-"), "{}", said.err);
    line(&lake, "model plan --pile raw.docs --tokens quickstart").fails(2, "tokens/quickstart was not built from raw.docs");
    line(&lake, "model plan --pile pile.base@v1 --tokens nothing").fails(2, "tokens/nothing");
    line(&lake, "model plan --pile pile.nothing").fails(2, "pile.nothing");
}

#[test]
fn a_model_goes_out_and_comes_back_byte_for_byte_and_computes_the_same() {
    let lake = copy("round");
    let (out, again) = (folder("round_files").join("exported"), folder("round_files").join("again"));
    let said = &export(&lake, "models/quickstart", &out).well().objects()[0];
    assert_eq!((said["schema"].as_str(), said["model"].as_str()), (Some("polder.model_export"), Some("models/quickstart@1")));
    let mut expected = files(&lake.join("models/quickstart/1"));
    expected.remove("manifest.json").expect("the lake's own");
    assert!(files(&out) == expected, "{:?}", files(&out).keys());
    assert!(expected.contains_key("README.md") && expected.contains_key("tokenizer.json"), "{:?}", expected.keys());
    export(&lake, "quickstart", &out).fails(2, "is there already");
    assert!(files(&out) == expected, "what is there is left alone");

    let manifest = &import(&lake, "theirs", &out).well().objects()[0];
    assert_eq!((manifest["schema"].as_str(), manifest["reference"].as_str()), (Some("polder.model"), Some("models/theirs@1")));
    assert_eq!(manifest["inputs"][0]["reference"], "folder:exported");
    let place = out.parent().expect("a folder").display().to_string();
    assert!(!fs::read_to_string(lake.join("models/theirs/1/manifest.json")).expect("manifest").contains(&place), "no path of this machine");
    assert_eq!(manifest["clearance"]["verdict"], "cleared");
    let same = &import(&lake, "theirs", &out).well().objects()[0];
    assert_eq!(
        (&same["reference"], &same["created_at"]),
        (&manifest["reference"], &manifest["created_at"]),
        "the same is not brought in twice"
    );
    let facts = line(&lake, "--json facts list --about models/theirs").well().objects();
    assert_eq!((facts.len(), facts[0]["verb"].as_str()), (1, Some("import model")));
    assert!(line(&lake, "facts lineage models/theirs").well().out.contains("folder:exported"));
    assert!(line(&lake, "model list").well().out.contains("models/theirs@1"));
    let shown = line(&lake, "model show theirs").well();
    assert!(shown.out.contains("a model of others, stored as F32"), "{}", shown.out);

    let scores = |model: &str| {
        let mut scores = line(&lake, &format!("--json eval run {model} --task next_line")).well().objects()[0]["scores"].clone();
        scores.as_array_mut().expect("scores").sort_by_key(Value::to_string);
        scores
    };
    assert_eq!(scores("theirs"), scores("quickstart"), "the same model answers alike");
    export(&lake, "theirs", &again).well();
    let mut back = files(&again);
    back.remove("README.md").expect("a card of its own");
    expected.remove("README.md");
    assert!(back == expected, "{:?}", back.keys());
    assert_eq!(polder(&lake, &["--json", "facts", "list", "--verb", "export model"]).well().objects().len(), 2);
}

#[test]
fn several_files_an_index_and_a_licence_come_in_and_an_attempt_that_was_broken_off_is_cleared_away() {
    let lake = empty_lake("several");
    let theirs = folder("several_files").join("theirs");
    let weights = Weights::init(&preset("modernbert-nano", 300, 64).expect("a size"), 1).expect("weights");
    weights.save_split(&theirs, 1_000_000).expect("save");
    fs::write(theirs.join("README.md"), "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n").expect("write");
    fs::write(theirs.join("training_args.bin"), "not needed").expect("write");
    fs::create_dir_all(lake.join("models/theirs/.1.tmp")).expect("what a kill left");
    fs::write(lake.join("models/theirs/.1.tmp/half"), "half").expect("write");
    let manifest = &import(&lake, "theirs", &theirs).well().objects()[0];
    assert_eq!((manifest["details"]["license"].as_str(), manifest["details"]["family"].as_str()), (Some("apache-2.0"), Some("modernbert")));
    assert_eq!(manifest["details"]["dtypes"], json!(["F32"]));
    let there = files(&lake.join("models/theirs/1"));
    assert!(there.contains_key("model.safetensors.index.json") && !there.contains_key("training_args.bin"), "{:?}", there.keys());
    assert_eq!(fs::read_dir(lake.join("models/theirs")).expect("folder").count(), 1, "nothing is left over");
    assert!(Weights::load(&lake.join("models/theirs/1")).expect("load") == weights);

    // Other numbers are another version.
    Weights::init(&weights.config, 2).expect("weights").save(&theirs).expect("save");
    assert_eq!(import(&lake, "theirs", &theirs).well().objects()[0]["reference"], "models/theirs@2");
    let said = polder(&lake, &["model", "import", "plain", &theirs.display().to_string()]).well();
    assert!(said.out.is_empty() && said.err.contains("no tokenizer.json"), "{}", said.err);
}

#[test]
fn a_model_that_was_killed_on_its_way_in_or_out_is_whole_or_not_there_and_goes_again() {
    let (lake, theirs) = (empty_lake("killed_model"), folder("killed_model_files").join("theirs"));
    let weights = Weights::init(&preset("small", 300, 64).expect("a size"), 1).expect("weights");
    weights.save(&theirs).expect("save");
    let (from, to) = (theirs.display().to_string(), folder("killed_model_out").join("out"));
    let out = to.display().to_string();
    let draw = &mut Draw::new(1);
    let killed_at = |words: [&str; 4], longest_us: u64, draw: &mut Draw| {
        let mut child = command(&lake).args(words).spawn().expect("starts");
        let moment = Duration::from_micros(draw.below(longest_us));
        std::thread::sleep(moment);
        let _ = child.kill();
        child.wait().expect("ends");
        moment
    };
    let start = Instant::now();
    import(&lake, "whole", &theirs).well();
    let longest_us = start.elapsed().as_micros() as u64;
    let whole = files(&theirs);
    for round in 0..8 {
        let moment = killed_at(["model", "import", "theirs", &from], longest_us, draw);
        let versions = lake.join("models/theirs");
        let there = fs::read_dir(&versions).into_iter().flatten().flatten().any(|e| e.file_name() == "1");
        let mut found = if there { files(&versions.join("1")) } else { whole.clone() };
        found.remove("manifest.json");
        assert!(found == whole, "round {round}, killed after {moment:?}: {:?}", found.keys());
        let listed = line(&lake, "--json model list").well().objects().iter().any(|m| m["model"] == "models/theirs@1");
        assert_eq!(listed, there, "round {round}, killed after {moment:?}");
        if there {
            fs::remove_dir_all(&versions).expect("begin anew");
        }
    }
    import(&lake, "theirs", &theirs).well();
    for round in 0..8 {
        let moment = killed_at(["model", "export", "theirs", &out], longest_us, draw);
        if to.exists() {
            assert!(files(&to) == whole, "round {round}, killed after {moment:?}: {:?}", files(&to).keys());
            fs::remove_dir_all(&to).expect("begin anew");
        }
    }
    export(&lake, "theirs", &to).well();
    assert!(files(&to) == whole);
    let beside = fs::read_dir(to.parent().expect("a folder")).expect("a folder").count();
    assert_eq!((beside, fs::read_dir(lake.join("models/theirs")).expect("a folder").count()), (1, 1), "nothing is left over");
}

#[test]
fn what_cannot_be_computed_is_refused_with_its_reason_and_leaves_nothing() {
    let lake = empty_lake("refused");
    let set = |theirs: &Path, key: &str, value: Value| {
        let path = theirs.join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
        config[key] = value;
        fs::write(&path, config.to_string()).expect("write");
    };
    type Change<'a> = &'a dyn Fn(&Path);
    let cases: [(i32, &str, Change<'_>); 11] = [
        (2, "`model_type` is \"mixtral\"", &|f| set(f, "model_type", json!("mixtral"))),
        (2, "`quantization_config` is", &|f| set(f, "quantization_config", json!({"quant_method": "gptq", "bits": 4}))),
        (2, "`auto_map` is", &|f| set(f, "auto_map", json!({"AutoModel": "modeling.Theirs"}))),
        (1, "`model.layers.4.self_attn.q_proj.weight` is missing", &|f| set(f, "num_hidden_layers", json!(5))),
        (1, "has shape [300, 96], not [301, 96]", &|f| set(f, "vocab_size", json!(301))),
        (1, "does not belong to it", &|f| set(f, "num_hidden_layers", json!(3))),
        (1, "is not a whole safetensors file", &|f| {
            let path = f.join("model.safetensors");
            let bytes = fs::read(&path).expect("read");
            fs::write(&path, &bytes[..bytes.len() - 4]).expect("write");
        }),
        (1, "holds a number that is not finite", &|f| {
            let path = f.join("model.safetensors");
            let mut bytes = fs::read(&path).expect("read");
            let n = bytes.len();
            bytes[n - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
            fs::write(&path, bytes).expect("write");
        }),
        (2, "is a pickle", &|f| fs::rename(f.join("model.safetensors"), f.join("pytorch_model.bin")).expect("rename")),
        (1, "model.safetensors", &|f| fs::remove_file(f.join("model.safetensors")).expect("remove")),
        (2, "holds no config.json", &|f| fs::remove_file(f.join("config.json")).expect("remove")),
    ];
    for (code, says, change) in cases {
        let theirs = written("refused_files", "nano");
        change(&theirs);
        import(&lake, "bad", &theirs).fails(code, says);
        assert!(!lake.join("models/bad").exists(), "{says}");
    }
    let theirs = written("refused_tokenizer", "nano");
    fs::copy(finished().lake.join("tokenizers/quickstart/tokenizer.json"), theirs.join("tokenizer.json")).expect("copy");
    import(&lake, "bad", &theirs).fails(2, "the tokenizer makes 512 tokens, and the model knows 300");
    fs::write(theirs.join("tokenizer.json"), "{").expect("write");
    import(&lake, "bad", &theirs).fails(1, "tokenizer.json");
    import(&lake, "bad", &theirs.join("config.json")).fails(2, "is a file");
    import(&lake, "bad", Path::new("/no/such/folder")).fails(2, "cannot read `/no/such/folder`");
    import(&lake, "../bad", &theirs).fails(2, "");
    import(&lake, "bad@2", &theirs).fails(2, "names a version");
    assert!(line(&lake, "--json model list").well().objects().is_empty());
    assert!(polder(&lake, &["--json", "facts", "list", "--verb", "import model"]).well().objects().is_empty());
}

#[test]
fn the_lakes_policy_judges_a_model_that_comes_in() {
    let lake = empty_lake("policy");
    fs::create_dir_all(lake.join("policy")).expect("folder");
    fs::write(lake.join("policy/none.sql"), "-- why: nothing may be used\nSELECT 1 AS a\n").expect("gate");
    let theirs = written("policy_files", "gpt2-nano");
    let said = polder(&lake, &["model", "import", "theirs", &theirs.display().to_string()]).well();
    assert!(said.err.contains("refuses it") && said.err.contains("nothing may be used"), "{}", said.err);
    let to = folder("policy_out").join("out");
    export(&lake, "theirs", &to).fails(3, "nothing may be used");
    assert!(!to.exists());
    line(&lake, "serve theirs --listen 127.0.0.1:0").fails(3, "nothing may be used");
}

#[test]
fn a_model_that_changed_in_the_lake_does_not_go_out() {
    let lake = copy("changed_model");
    let path = lake.join("models/quickstart/1/config.json");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, text.replace("\n", " \n")).expect("write");
    let to = folder("changed_out").join("out");
    export(&lake, "quickstart", &to).fails(1, "is not the file its manifest describes");
    assert_eq!(fs::read_dir(to.parent().expect("a folder")).expect("a folder").count(), 0, "nothing half there");
    export(&lake, "nothing", &to).fails(2, "there is no");
}

#[test]
fn training_that_does_not_fit_the_memory_is_refused_before_it_starts() {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = memory.lines().find_map(|l| l.strip_prefix("MemAvailable:")?.split_whitespace().next()?.parse::<u64>().ok());
    if free.is_none_or(|kib| kib > 180 << 20) {
        eprintln!("skipped: this machine's free memory is unknown, or enough for every size");
        return;
    }
    let lake = copy("memory");
    let said = finish(command(&lake).args("train start large --tokens quickstart --model 7b --steps 1".split(' ')));
    said.fails(3, "training takes");
    assert!(said.err.contains("more than the") && said.err.contains("It fits with"), "{}", said.err);
    assert!(!lake.join("models/large").exists());
}
