-- table: clean.docs_clean
-- mode: full
-- removes: removed_reason, removed_detail
-- param: hap_score_max = 0.5
-- param: bytes_min = 100
-- param: data_bytes_max = 65536
-- param: words_min = 20
-- param: words_max = 100000
-- param: word_length_min = 3.0
-- param: word_length_max = 10.0
-- param: symbol_share_max = 0.1
-- param: bullet_lines_share_max = 0.9
-- param: ellipsis_lines_share_max = 0.3
-- param: alphabetic_share_min = 0.6
-- param: duplicate_lines_share_max = 0.3
-- param: duplicate_line_chars_share_max = 0.2
-- param: top_2_gram_share_max = 0.2
-- param: duplicate_5_grams_share_max = 0.3
-- why: What must not be learnt leaves here, each document with one reason: the first that holds, in this order.
WITH licensed AS (
  -- A source in which nothing names a licence is the user's own; in any other, a missing one is a reason. One row, since a join by source
  -- would deal all documents of a source to one task.
  SELECT array_agg(DISTINCT s.source) AS sources
  FROM clean.docs_stage s
  WHERE s.license IS NOT NULL
),
spaced AS (
  -- Words mean little to rules in scripts that put no spaces between them.
  SELECT d.*, d.script NOT IN ('Hani', 'Jpan', 'Thai', 'Laoo', 'Khmr', 'Mymr') AS has_spaces
  FROM clean.docs_stage d
),
read AS (
  -- The figures and limits are those of Gopher (Rae et al. 2021, table A1), which are made for web pages; fewer words, fewer alphabetic
  -- ones and more repetition are let through here, since manuals have tables, commands and headings.
  SELECT
    s.*,
    CASE
      WHEN s.kind <> 'prose' THEN NULL
      WHEN s.gopher['n_words'] < $words_min THEN 'too few words'
      WHEN s.gopher['n_words'] > $words_max THEN 'too many words'
      WHEN s.gopher['mean_word_length'] < $word_length_min AND s.has_spaces THEN 'words too short'
      WHEN s.gopher['mean_word_length'] > $word_length_max THEN 'words too long'
      WHEN s.gopher['symbol_share'] > $symbol_share_max THEN 'too many symbols'
      WHEN s.gopher['bullet_lines_share'] > $bullet_lines_share_max THEN 'too many bullets'
      WHEN s.gopher['ellipsis_lines_share'] > $ellipsis_lines_share_max THEN 'too many cut lines'
      WHEN s.gopher['alphabetic_share'] < $alphabetic_share_min THEN 'too few words with letters'
      WHEN s.gopher['reason'] = 'gopher_enough_stop_words' THEN 'no function words'
      WHEN s.repetition['duplicate_lines_share'] > $duplicate_lines_share_max THEN 'repeated lines'
      WHEN s.repetition['duplicate_line_chars_share'] > $duplicate_line_chars_share_max THEN 'repeated lines'
      WHEN s.repetition['top_2_gram_share'] > $top_2_gram_share_max AND s.has_spaces THEN 'repeated words'
      WHEN s.repetition['duplicate_5_grams_share'] > $duplicate_5_grams_share_max AND s.has_spaces THEN 'repeated phrases'
    END AS fault
  FROM spaced s
),
judged AS (
  SELECT
    s.*,
    CASE
      WHEN coalesce(octet_length(s.text), 0) < $bytes_min THEN 'too short'
      WHEN coalesce(s.n_secrets, 0) > 0 THEN 'holds a secret'
      WHEN s.hap_score > $hap_score_max THEN 'hate, abuse or profanity'
      WHEN s.license IS NULL AND array_has(l.sources, s.source) THEN 'no licence found'
      WHEN s.license IS NOT NULL AND NOT coalesce(p.is_allowed, FALSE) THEN 'licence not allowed'
      WHEN regexp_like(s.opt_out, '(^| )(noai|tdm-reservation|ai-train=no)( |$)') THEN 'opted out of training'
      WHEN s.kind = 'prose' AND s.language = 'und' THEN 'prose in no language'
      WHEN s.fault IS NOT NULL THEN 'prose quality'
      WHEN s.kind = 'data' AND octet_length(s.text) > $data_bytes_max THEN 'large data file'
      WHEN s.kind = 'code' AND NOT s.code_quality['keep'] THEN 'code quality'
    END AS removed_reason
  FROM licensed l
  CROSS JOIN read s
  LEFT JOIN clean.license_policy p ON p.license_class = s.license_class
)
SELECT
  j.doc_id, j.source, j.uri, j.domain, j.package, j.path, j.media_type, j.license, j.license_class, j.opt_out, j.fetched_at,
  j.kind, j.programming_language, j.language, j.script, j.category, j.hap_score, j.n_pii, j.text,
  octet_length(j.text) AS bytes,
  text_digest(j.text) AS text_digest,
  j.removed_reason,
  CASE j.removed_reason
    WHEN 'no licence found' THEN j.package
    WHEN 'licence not allowed' THEN j.license
    WHEN 'opted out of training' THEN j.opt_out
    WHEN 'prose quality' THEN j.fault
    WHEN 'code quality' THEN j.code_quality['reason']
  END AS removed_detail
FROM judged j
