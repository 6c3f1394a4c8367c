-- table: clean.near_pairs
-- mode: full
-- param: jaccard_min = 0.8
-- why: Documents that share a band are candidates; the exact Jaccard similarity of their 5-word shingles decides.
WITH bands AS (
  SELECT s.doc_id, unnest(minhash_bands(s.signature)) AS band
  FROM clean.docs_signatures s
),
keepers AS (
  SELECT b.band, min(b.doc_id) AS first_id
  FROM bands b
  GROUP BY b.band
  HAVING count(*) > 1
),
candidates AS (
  SELECT DISTINCT k.first_id, b.doc_id
  FROM bands b
  JOIN keepers k ON k.band = b.band
  WHERE b.doc_id > k.first_id
),
estimated AS (
  SELECT c.first_id, c.doc_id
  FROM candidates c
  JOIN clean.docs_signatures a ON a.doc_id = c.first_id
  JOIN clean.docs_signatures b ON b.doc_id = c.doc_id
  WHERE minhash_jaccard(a.signature, b.signature) >= $jaccard_min - 0.1
),
verified AS (
  SELECT e.first_id, e.doc_id, jaccard(a.text, b.text) AS jaccard
  FROM estimated e
  JOIN clean.docs_exact a ON a.doc_id = e.first_id
  JOIN clean.docs_exact b ON b.doc_id = e.doc_id
)
SELECT v.doc_id, v.first_id AS dup_of, v.jaccard
FROM verified v
WHERE v.jaccard >= $jaccard_min
