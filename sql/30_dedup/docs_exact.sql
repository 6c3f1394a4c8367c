-- table: clean.docs_exact
-- mode: full
-- removes: removed_reason, removed_detail
-- why: Of documents with the same normalised text, the one with the least doc_id stays.
WITH repeated AS (
  SELECT d.text_digest, min(d.doc_id) AS doc_id
  FROM clean.docs_clean d
  GROUP BY d.text_digest
  HAVING count(*) > 1
)
SELECT
  d.doc_id, d.source, d.uri, d.domain, d.package, d.path, d.media_type, d.license, d.license_class, d.opt_out, d.fetched_at,
  d.kind, d.programming_language, d.language, d.script, d.category, d.hap_score, d.n_pii, d.text, d.bytes,
  CASE WHEN d.doc_id <> r.doc_id THEN 'exact duplicate' END AS removed_reason,
  CASE WHEN d.doc_id <> r.doc_id THEN r.doc_id END AS removed_detail
FROM repeated r
RIGHT JOIN clean.docs_clean d ON d.text_digest = r.text_digest
