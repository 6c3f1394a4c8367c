-- table: clean.docs_exact
-- mode: full
-- removes: removed_reason, removed_detail
-- why: Of documents with the same normalised text, the one with the least doc_id stays.
WITH kept AS (
  SELECT d.doc_id, min(d.doc_id) OVER (PARTITION BY d.text_digest) AS kept_id
  FROM clean.docs_clean d
),
repeated AS (
  SELECT k.doc_id, k.kept_id
  FROM kept k
  WHERE k.doc_id <> k.kept_id
)
SELECT
  d.doc_id, d.source, d.uri, d.domain, d.package, d.path, d.media_type, d.license, d.license_class, d.opt_out, d.fetched_at,
  d.kind, d.programming_language, d.language, d.script, d.category, d.hap_score, d.n_pii, d.text, d.bytes,
  CASE WHEN r.doc_id IS NOT NULL THEN 'exact duplicate' END AS removed_reason,
  r.kept_id AS removed_detail
FROM repeated r
RIGHT JOIN clean.docs_clean d ON d.doc_id = r.doc_id
