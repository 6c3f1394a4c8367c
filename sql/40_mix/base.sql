-- table: pile.base
-- mode: full
-- param: validation_share = 0.03
-- param: test_share = 0.05
-- why: Whole packages are held out, by a hash of their name, so that no file of a test package was seen in training.
WITH counted AS (
  SELECT count(DISTINCT d.package) AS n_packages
  FROM clean.docs_near d
),
units AS (
  -- With fewer than three packages there is nothing to hold out but single documents; one of no package stands for itself.
  SELECT CASE WHEN c.n_packages < 3 THEN d.doc_id ELSE coalesce(d.package, d.doc_id) END AS unit
  FROM counted c
  CROSS JOIN clean.docs_near d
),
drawn AS (
  SELECT u.unit, row_number() OVER (ORDER BY hash_share(u.unit), u.unit) AS place
  FROM units u
  GROUP BY u.unit
),
held_out AS (
  -- The two least draws are held out whatever the shares say, so that a small source has every split too.
  SELECT max(w.unit) FILTER (WHERE w.place = 1) AS test_unit, max(w.unit) FILTER (WHERE w.place = 2) AS validation_unit
  FROM drawn w
),
told AS (
  SELECT c.n_packages, h.test_unit, h.validation_unit
  FROM counted c
  CROSS JOIN held_out h
),
placed AS (
  SELECT d.*, t.*, CASE WHEN t.n_packages < 3 THEN d.doc_id ELSE coalesce(d.package, d.doc_id) END AS unit
  FROM told t
  CROSS JOIN clean.docs_near d
)
SELECT
  d.doc_id, d.source, d.uri, d.domain, d.package, d.path, d.media_type, d.license, d.license_class, d.opt_out, d.fetched_at,
  d.kind, d.programming_language, d.language, d.script, d.category, d.bytes,
  CASE
    WHEN d.unit = d.test_unit OR hash_share(d.unit) < $test_share THEN 'test'
    WHEN d.unit = d.validation_unit OR hash_share(d.unit) < $test_share + $validation_share THEN 'validation'
    ELSE 'train'
  END AS split,
  d.text
FROM placed d
