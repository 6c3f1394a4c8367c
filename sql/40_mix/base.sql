-- table: pile.base
-- mode: full
-- param: validation_share = 0.03
-- param: test_share = 0.05
-- why: Whole packages are held out, by a hash of their name, so that no file of a test package was seen in training.
SELECT
  d.doc_id, d.source, d.uri, d.package, d.path, d.media_type, d.license, d.fetched_at,
  d.kind, d.programming_language, d.language, d.category, d.bytes,
  CASE
    WHEN hash_share(d.package) < $test_share THEN 'test'
    WHEN hash_share(d.package) < $test_share + $validation_share THEN 'validation'
    ELSE 'train'
  END AS split,
  d.text
FROM clean.docs_near d
