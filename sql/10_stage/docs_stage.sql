-- table: clean.docs_stage
-- mode: full
-- why: Every document gets its categories and scores once; later steps decide on columns, not on text.
WITH named AS (
  SELECT
    d.doc_id, d.source, d.uri, d.package, d.path, d.media_type, d.fetched_at, d.bytes,
    coalesce(d.license, p.license) AS license,
    programming_language(d.path, d.text) AS programming_language,
    language(d.text) AS language,
    d.text
  FROM raw.docs d
  LEFT JOIN clean.packages p ON p.source = d.source AND p.folder = split_part(d.path, '/', 1)
),
categorised AS (
  SELECT
    n.*,
    CASE
      WHEN n.programming_language IN ('Markdown', 'reStructuredText', 'Text') OR n.programming_language IS NULL THEN 'prose'
      WHEN n.programming_language IN ('JSON', 'TOML', 'YAML', 'XML', 'CSV', 'INI', 'SVG') THEN 'data'
      ELSE 'code'
    END AS kind
  FROM named n
)
SELECT
  c.doc_id, c.source, c.uri, c.package, c.path, c.media_type, c.license, c.fetched_at,
  c.kind,
  c.programming_language,
  c.language,
  CASE WHEN c.kind = 'prose' THEN c.language ELSE c.programming_language END AS category,
  hap_score(c.text) AS hap_score,
  gopher_quality(c.text) AS gopher,
  code_quality(c.text) AS code_quality,
  array_length(secrets(c.text)) AS n_secrets,
  array_length(pii(c.text)) AS n_pii,
  pii_redact(c.text) AS text,
  c.bytes AS bytes_raw
FROM categorised c
