-- table: eval.contamination
-- mode: full
-- why: An item whose context and answer stand as they are in a training file measures memory; it is counted apart.
WITH asked AS (
  SELECT q.id, text_digest(concat(array_element(lines(q.context), -1), chr(10), q.line)) AS pair
  FROM eval.next_line q
),
cut AS (
  SELECT d.doc_id, lines(d.text) AS lines
  FROM pile.base d
  WHERE d.split = 'train' AND d.kind = 'code'
),
numbered AS (
  SELECT c.doc_id, unnest(c.lines) AS line, unnest(range(1, CAST(array_length(c.lines) AS BIGINT) + 1)) AS place
  FROM cut c
),
seen AS (
  SELECT n.doc_id, n.line, lag(n.line, 1) OVER (PARTITION BY n.doc_id ORDER BY n.place) AS line_before
  FROM numbered n
),
matched AS (
  SELECT a.id, min(s.doc_id) AS seen_in, count(DISTINCT s.doc_id) AS n_docs
  FROM asked a
  JOIN seen s ON text_digest(concat(s.line_before, chr(10), s.line)) = a.pair
  WHERE length(s.line) >= 16
  GROUP BY a.id
)
SELECT m.id, m.seen_in, m.n_docs
FROM matched m
