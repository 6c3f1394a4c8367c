-- table: clean.docs_clean
-- mode: full
-- removes: removed_reason, removed_detail
-- param: hap_score_max = 0.5
-- param: bytes_min = 100
-- param: data_bytes_max = 65536
-- why: What must not be learnt leaves here, each document with one reason: the first that holds, in this order.
SELECT
  s.doc_id, s.source, s.uri, s.package, s.path, s.media_type, s.license, s.fetched_at,
  s.kind, s.programming_language, s.language, s.category, s.hap_score, s.n_pii, s.text,
  octet_length(s.text) AS bytes,
  text_digest(s.text) AS text_digest,
  CASE
    WHEN octet_length(s.text) < $bytes_min THEN 'too short'
    WHEN coalesce(s.n_secrets, 0) > 0 THEN 'holds a secret'
    WHEN s.hap_score > $hap_score_max THEN 'hate, abuse or profanity'
    WHEN s.license IS NULL THEN 'no licence found'
    WHEN s.kind = 'prose' AND s.language = 'und' THEN 'prose in no language'
    WHEN s.kind = 'data' AND octet_length(s.text) > $data_bytes_max THEN 'large data file'
    WHEN s.kind = 'code' AND NOT s.code_quality['keep'] THEN 'code quality'
  END AS removed_reason,
  CASE
    WHEN s.license IS NULL THEN s.package
    WHEN s.kind = 'code' AND NOT s.code_quality['keep'] THEN s.code_quality['reason']
  END AS removed_detail
FROM clean.docs_stage s
