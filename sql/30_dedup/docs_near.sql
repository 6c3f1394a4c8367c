-- table: clean.docs_near
-- mode: full
-- removes: removed_reason, removed_detail
-- why: A document that nearly repeats one with a lesser doc_id leaves; the detail names the one it repeats.
WITH matches AS (
  SELECT p.doc_id, min(p.dup_of) AS dup_of
  FROM clean.near_pairs p
  GROUP BY p.doc_id
)
SELECT
  d.doc_id, d.source, d.uri, d.package, d.path, d.media_type, d.license, d.fetched_at,
  d.kind, d.programming_language, d.language, d.category, d.hap_score, d.n_pii, d.text, d.bytes,
  CASE WHEN m.doc_id IS NOT NULL THEN 'near duplicate' END AS removed_reason,
  m.dup_of AS removed_detail
FROM clean.docs_exact d
LEFT JOIN matches m ON m.doc_id = d.doc_id
