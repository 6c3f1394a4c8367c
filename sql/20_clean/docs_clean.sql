-- table: clean.docs_clean
-- mode: full
-- removes: removed_reason, removed_detail
-- param: hap_score_max = 0.5
-- param: bytes_min = 100
-- param: data_bytes_max = 65536
-- why: What must not be learnt leaves here, each document with one reason: the first that holds, in this order.
WITH licensed AS (
  -- A source in which nothing names a licence is the user's own; in any other, a missing one is a reason.
  SELECT DISTINCT s.source
  FROM clean.docs_stage s
  WHERE s.license IS NOT NULL
),
judged AS (
  SELECT
    s.*,
    CASE
      WHEN coalesce(octet_length(s.text), 0) < $bytes_min THEN 'too short'
      WHEN coalesce(s.n_secrets, 0) > 0 THEN 'holds a secret'
      WHEN s.hap_score > $hap_score_max THEN 'hate, abuse or profanity'
      WHEN s.license IS NULL AND l.source IS NOT NULL THEN 'no licence found'
      WHEN s.kind = 'prose' AND s.language = 'und' THEN 'prose in no language'
      WHEN s.kind = 'data' AND octet_length(s.text) > $data_bytes_max THEN 'large data file'
      WHEN s.kind = 'code' AND NOT s.code_quality['keep'] THEN 'code quality'
    END AS removed_reason
  FROM clean.docs_stage s
  LEFT JOIN licensed l ON l.source = s.source
)
SELECT
  j.doc_id, j.source, j.uri, j.package, j.path, j.media_type, j.license, j.fetched_at,
  j.kind, j.programming_language, j.language, j.category, j.hap_score, j.n_pii, j.text,
  octet_length(j.text) AS bytes,
  text_digest(j.text) AS text_digest,
  j.removed_reason,
  CASE j.removed_reason
    WHEN 'no licence found' THEN j.package
    WHEN 'code quality' THEN j.code_quality['reason']
  END AS removed_detail
FROM judged j
