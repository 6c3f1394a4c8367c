-- table: clean.docs_near
-- mode: full
-- removes: removed_reason, removed_detail
-- why: Of documents that nearly repeat each other one stays; the detail names it.
SELECT
  d.doc_id, d.source, d.uri, d.domain, d.package, d.path, d.media_type, d.license, d.license_class, d.opt_out, d.fetched_at,
  d.kind, d.programming_language, d.language, d.script, d.category, d.hap_score, d.n_pii, d.text, d.bytes,
  CASE WHEN p.doc_id IS NOT NULL THEN 'near duplicate' END AS removed_reason,
  p.dup_of AS removed_detail
FROM clean.docs_exact d
LEFT JOIN clean.near_pairs p ON p.doc_id = d.doc_id
