-- table: eval.next_line
-- mode: full
-- param: items_max = 200
-- why: A multiple-choice task that needs no labels: which of four real lines of one language follows this context?
WITH cut AS (
  SELECT d.doc_id, d.category, lines(d.text) AS lines
  FROM pile.base d
  WHERE d.split = 'test' AND d.kind = 'code' AND d.bytes < 200000
),
numbered AS (
  SELECT c.doc_id, c.category, unnest(c.lines) AS line, unnest(range(1, CAST(array_length(c.lines) AS BIGINT) + 1)) AS place
  FROM cut c
),
followed AS (
  SELECT
    n.doc_id, n.category, n.place, n.line,
    lag(n.line, 1) OVER w AS before_1, lag(n.line, 2) OVER w AS before_2, lag(n.line, 3) OVER w AS before_3,
    lag(n.line, 4) OVER w AS before_4, lag(n.line, 5) OVER w AS before_5, lag(n.line, 6) OVER w AS before_6
  FROM numbered n
  WINDOW w AS (PARTITION BY n.doc_id ORDER BY n.place)
),
long_enough AS (
  SELECT
    f.doc_id, f.category, f.line,
    concat_ws(chr(10), f.before_6, f.before_5, f.before_4, f.before_3, f.before_2, f.before_1, '') AS context,
    hash_share(concat(f.doc_id, ':', CAST(f.place AS VARCHAR))) AS draw,
    f.place
  FROM followed f
  WHERE length(trim(f.line)) BETWEEN 16 AND 100 AND f.before_6 IS NOT NULL AND length(trim(f.before_1)) > 0
),
one_a_file AS (
  SELECT l.*, row_number() OVER (PARTITION BY l.doc_id ORDER BY l.draw, l.place) AS nth
  FROM long_enough l
),
lined_up AS (
  SELECT
    o.doc_id, o.category, o.line, o.context, o.draw,
    lead(o.line, 1) OVER v AS other_1, lead(o.line, 2) OVER v AS other_2, lead(o.line, 3) OVER v AS other_3
  FROM one_a_file o
  WHERE o.nth = 1
  WINDOW v AS (PARTITION BY o.category ORDER BY o.draw, o.doc_id)
),
items AS (
  SELECT l.*, CAST(floor(hash_share(concat('answer:', l.doc_id)) * 4) AS BIGINT) AS answer
  FROM lined_up l
  WHERE l.other_3 IS NOT NULL AND l.line NOT IN (l.other_1, l.other_2, l.other_3)
  ORDER BY l.draw, l.doc_id
  LIMIT CAST($items_max AS BIGINT)
)
SELECT
  i.doc_id AS id,
  i.category AS "group",
  i.context,
  CASE i.answer
    WHEN 0 THEN make_array(i.line, i.other_1, i.other_2, i.other_3)
    WHEN 1 THEN make_array(i.other_1, i.line, i.other_2, i.other_3)
    WHEN 2 THEN make_array(i.other_1, i.other_2, i.line, i.other_3)
    ELSE make_array(i.other_1, i.other_2, i.other_3, i.line)
  END AS choices,
  i.answer,
  i.line
FROM items i
