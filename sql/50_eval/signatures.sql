-- table: eval.signatures
-- mode: full
-- param: train_max = 1500
-- param: heldout_max = 150
-- why: A small instruction set from the corpus itself: a documentation comment asks, the signature below it answers.
WITH cut AS (
  SELECT d.doc_id, CASE d.split WHEN 'train' THEN 'train' ELSE 'heldout' END AS part, lines(d.text) AS lines
  FROM pile.base d
  WHERE d.programming_language = 'Rust'
),
numbered AS (
  SELECT c.doc_id, c.part, unnest(c.lines) AS line, unnest(range(1, CAST(array_length(c.lines) AS BIGINT) + 1)) AS place
  FROM cut c
),
paired AS (
  SELECT n.doc_id, n.part, n.place, trim(n.line) AS comment, trim(lead(n.line, 1) OVER (PARTITION BY n.doc_id ORDER BY n.place)) AS code
  FROM numbered n
),
pairs AS (
  SELECT p.doc_id, p.part, p.place, trim(substr(p.comment, 4)) AS comment, trim(regexp_replace(p.code, '\s*(\{.*|\bwhere\b.*|;)$', '')) AS signature
  FROM paired p
  WHERE starts_with(p.comment, '/// ') AND length(p.comment) BETWEEN 20 AND 160
    AND regexp_like(p.code, '^pub (const |unsafe |async )*fn [a-z_0-9]+.*\)') AND length(p.code) <= 120
    AND NOT regexp_like(p.code, '[(,]$')
),
distinct_pairs AS (
  SELECT min(concat(q.doc_id, ':', CAST(q.place AS VARCHAR))) AS id, min(q.part) AS part, q.comment, q.signature
  FROM pairs q
  GROUP BY q.comment, q.signature
  HAVING count(DISTINCT q.part) = 1
),
ranked AS (
  SELECT r.*, row_number() OVER (PARTITION BY r.part ORDER BY hash_share(r.id), r.id) AS place
  FROM distinct_pairs r
)
SELECT
  k.id,
  k.part,
  concat('/// ', k.comment, chr(10)) AS prompt,
  concat(k.signature, chr(10)) AS completion
FROM ranked k
WHERE k.place <= CASE k.part WHEN 'train' THEN $train_max ELSE $heldout_max END
