-- table: eval.heldout
-- mode: full
-- param: docs_per_group = 24
-- param: docs_min = 3
-- param: characters_max = 3000
-- why: Bits per byte need a fixed, small sample of every large category of the held-out packages.
WITH counted AS (
  SELECT d.category, count(*) AS n_docs
  FROM pile.base d
  WHERE d.split = 'test'
  GROUP BY d.category
),
grouped AS (
  SELECT d.doc_id, CASE WHEN c.n_docs >= $docs_min THEN d.category ELSE 'other' END AS "group", d.text
  FROM counted c
  JOIN pile.base d ON d.category = c.category
  WHERE d.split = 'test'
),
ranked AS (
  SELECT g.doc_id, g."group", g.text, row_number() OVER (PARTITION BY g."group" ORDER BY hash_share(g.doc_id), g.doc_id) AS place
  FROM grouped g
)
SELECT r.doc_id AS id, r."group", substr(r.text, 1, CAST($characters_max AS BIGINT)) AS text
FROM ranked r
WHERE r.place <= $docs_per_group
