//! Which column becomes what.

use super::{folder, of, put, read};
use crate::{Mapping, Scalar};

#[test]
fn named_columns_become_text_id_address_and_kept_values() {
    let dir = folder();
    put(
        dir.path(),
        "faq.jsonl",
        concat!(
            "{\"q\": \"why?\", \"key\": 3, \"page\": \"https://a.org/3\", \"score\": 0.5, \"ok\": true, \"tags\": [1]}\n",
            "{\"q\": \"how?\", \"key\": 4, \"score\": \"high\"}\n",
        ),
    );
    let mut asked = of(dir.path());
    let some = |name: &str| Some(name.to_owned());
    asked.mapping = Mapping {
        text: some("q"),
        id: some("key"),
        uri: some("page"),
        license: None,
        source: some("key"),
        keep: vec!["score".into(), "ok".into()],
    };
    let found = read(&asked);
    assert_eq!(found.texts(), ["why?", "how?"]);
    assert_eq!(found.paths(), ["faq.jsonl#id=3", "faq.jsonl#id=4"]);
    assert_eq!((found.records[0].uri.as_str(), found.records[0].origin.source.as_str()), ("https://a.org/3", "3"));
    assert_eq!(found.records[0].kept, [Scalar::Float(0.5), Scalar::Bool(true)]);
    assert_eq!(found.records[1].kept, [Scalar::Text("high".into()), Scalar::Null]);
    asked.mapping.keep = vec!["tags".into()];
    let found = read(&asked);
    assert_eq!(
        (found.reasons(), found.bad[0].detail.as_str()),
        (vec!["wrong_type"], "`tags` is a list, and only single values can be kept")
    );
}

#[test]
fn a_file_without_the_column_is_one_fault_and_not_one_a_record() {
    let dir = folder();
    put(dir.path(), "a.jsonl", "{\"question\": \"x\", \"answer\": \"y\"}\n".repeat(5000));
    let found = read(&of(dir.path()));
    assert_eq!(found.reasons(), ["no_text_column"]);
    assert_eq!(found.bad[0].detail, "there is no column `text` or `content` or `body`; its columns are question, answer");
}
