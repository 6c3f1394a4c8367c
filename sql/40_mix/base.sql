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
  SELECT d.doc_id, CASE WHEN c.n_packages < 3 THEN d.doc_id ELSE coalesce(d.package, d.doc_id) END AS unit
  FROM clean.docs_near d
  CROSS JOIN counted c
),
drawn AS (
  SELECT u.unit, hash_share(u.unit) AS draw, row_number() OVER (ORDER BY hash_share(u.unit), u.unit) AS place
  FROM units u
  GROUP BY u.unit
),
splits AS (
  -- The two least draws are held out whatever the shares say, so that a small source has every split too.
  SELECT
    w.unit,
    CASE
      WHEN w.place = 1 OR w.draw < $test_share THEN 'test'
      WHEN w.place = 2 OR w.draw < $test_share + $validation_share THEN 'validation'
      ELSE 'train'
    END AS split
  FROM drawn w
)
SELECT
  d.doc_id, d.source, d.uri, d.domain, d.package, d.path, d.media_type, d.license, d.license_class, d.opt_out, d.fetched_at,
  d.kind, d.programming_language, d.language, d.script, d.category, d.bytes,
  s.split,
  d.text
FROM clean.docs_near d
JOIN units u ON u.doc_id = d.doc_id
JOIN splits s ON s.unit = u.unit
