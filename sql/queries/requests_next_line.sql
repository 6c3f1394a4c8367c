-- why: What evaluation reads: the next-line items, each with whether the training split holds it.
SELECT
  'multiple_choice' AS kind, q.id, q."group", q.context, q.choices, q.answer,
  c.id IS NOT NULL AS contaminated
FROM eval.next_line q
LEFT JOIN eval.contamination c ON c.id = q.id
ORDER BY q.id
