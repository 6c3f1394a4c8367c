//! Rows come back in order whatever their text's layout, with room for them in memory and without.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, LargeStringArray, StringArray, StringViewArray};
use arrow::datatypes::Int32Type;

use super::*;

type Row = (String, Option<String>, Option<i32>);

/// Rows in no order, a few without text, a few with long text.
fn rows(n: usize) -> Vec<Row> {
    let mut state = 7u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    (0..n)
        .map(|i| {
            let id = format!("{:03}-größe-{i}", draw() % 500);
            let text = (draw() % 20 != 0).then(|| "wort ".repeat(draw() % if i % 50 == 0 { 20_000 } else { 300 }));
            (id, text, Some((draw() % 2) as i32))
        })
        .collect()
}

fn batches(rows: &[Row], with_splits: bool) -> Vec<RecordBatch> {
    let kinds = rows.chunks(97).enumerate();
    kinds
        .map(|(i, rows)| {
            let (ids, texts) = (rows.iter().map(|r| Some(r.0.as_str())), rows.iter().map(|r| r.1.as_deref()));
            let (ids, texts): (ArrayRef, ArrayRef) = match i % 4 {
                0 => (Arc::new(ids.collect::<StringArray>()), Arc::new(texts.collect::<LargeStringArray>())),
                1 => (Arc::new(ids.collect::<LargeStringArray>()), Arc::new(texts.collect::<StringViewArray>())),
                2 => (Arc::new(ids.collect::<StringViewArray>()), Arc::new(texts.collect::<StringArray>())),
                _ => (Arc::new(ids.collect::<DictionaryArray<Int32Type>>()), Arc::new(texts.collect::<StringViewArray>())),
            };
            let mut columns = vec![("doc_id", ids), ("text", texts)];
            if with_splits {
                columns.push(("split_idx", Arc::new(rows.iter().map(|r| r.2).collect::<Int32Array>())));
            }
            RecordBatch::try_from_iter(columns).expect("a batch")
        })
        .collect()
}

async fn sorted(batches: &[RecordBatch], memory_bytes: usize) -> Result<(Vec<Row>, bool), PipelineError> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut sorter = Sorter::new("pile.base@0", folder.path(), memory_bytes);
    for batch in batches {
        sorter.push(batch).await?;
    }
    let mut sorted = sorter.finish().await?;
    let on_disk = matches!(sorted.source, Source::Disk(_));
    let mut out = Vec::new();
    while let Some(chunk) = sorted.next_chunk()? {
        for i in 0..chunk.len() {
            let d = chunk.document(i);
            out.push((d.doc_id.to_owned(), d.text.map(str::to_owned), d.split.map(|s| s as i32)));
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left beside the lake");
    Ok((out, on_disk))
}

#[tokio::test]
async fn rows_come_in_order_of_doc_id_whatever_the_memory() {
    let rows = rows(3000);
    let in_order: BTreeMap<&str, &Row> = rows.iter().map(|r| (r.0.as_str(), r)).collect();
    let expected: Vec<Row> = in_order.values().map(|r| (*r).clone()).collect();
    assert_eq!(expected.len(), rows.len(), "every id once");
    for (memory_bytes, spills) in [(1 << 30, false), (2 << 20, true), (100_000, true), (0, true)] {
        let (found, on_disk) = sorted(&batches(&rows, true), memory_bytes).await.expect("sorted");
        assert_eq!(on_disk, spills, "{memory_bytes}");
        assert!(found == expected, "{memory_bytes}: other rows or another order");
    }
}

#[tokio::test]
async fn rows_without_splits_stay_without() {
    for memory_bytes in [1 << 30, 0] {
        let (found, _) = sorted(&batches(&rows(300), false), memory_bytes).await.expect("sorted");
        assert!(found.len() == 300 && found.iter().all(|r| r.2.is_none()));
        assert_eq!(sorted(&[], memory_bytes).await.expect("nothing").0, []);
    }
}

#[tokio::test]
async fn an_id_that_is_there_twice_is_named() {
    let mut rows = rows(1000);
    rows[900].0 = rows[3].0.clone();
    let id = rows[3].0.clone();
    for memory_bytes in [1 << 30, 0] {
        match sorted(&batches(&rows, true), memory_bytes).await {
            Err(PipelineError::SameDocId { doc_id, what }) => assert_eq!((doc_id, what.as_str()), (id.clone(), "pile.base@0")),
            other => panic!("{:?}", other.map(|r| r.0.len())),
        }
    }
}

#[tokio::test]
async fn a_row_without_an_id_is_refused() {
    let ids: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let batch = RecordBatch::try_from_iter([("doc_id", ids.clone()), ("text", ids)]).expect("a batch");
    assert!(matches!(sorted(&[batch], 1 << 20).await, Err(PipelineError::NoDocId { .. })));
}

#[tokio::test]
async fn runs_hold_no_more_than_half_of_the_memory_and_a_batch() {
    let batches = batches(&rows(3000), true);
    let folder = tempfile::tempdir().expect("temporary folder");
    let memory_bytes = 1 << 20;
    let mut sorter = Sorter::new("pile.base@0", folder.path(), memory_bytes);
    let largest = batches.iter().map(RecordBatch::get_array_memory_size).max().expect("batches");
    for batch in &batches {
        sorter.push(batch).await.expect("pushed");
        assert!(sorter.run.bytes < memory_bytes / 2, "{} bytes are held, a batch has {largest}", sorter.run.bytes);
    }
}
