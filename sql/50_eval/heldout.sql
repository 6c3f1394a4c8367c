-- table: eval.heldout
-- mode: full
-- param: docs_per_group = 24
-- param: characters_max = 3000
-- why: Bits per byte need a fixed, small sample of every large category of the held-out packages.
WITH ranked AS (
  SELECT
    d.doc_id, d.category, d.text,
    row_number() OVER (PARTITION BY d.category ORDER BY hash_share(d.doc_id), d.doc_id) AS place,
    count(*) OVER (PARTITION BY d.category) AS n_docs
  FROM pile.base d
  WHERE d.split = 'test'
)
SELECT r.doc_id AS id, r.category AS "group", substr(r.text, 1, CAST($characters_max AS BIGINT)) AS text
FROM ranked r
WHERE r.place <= $docs_per_group AND r.n_docs >= 3
