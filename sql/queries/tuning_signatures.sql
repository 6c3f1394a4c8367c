-- why: What tuning reads: one part of the instruction set.
SELECT s.id, s.prompt, s.completion
FROM eval.signatures s
WHERE s.part = $part
ORDER BY s.id
