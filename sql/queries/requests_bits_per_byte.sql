-- why: What evaluation reads: held-out documents, as requests for bits per byte.
SELECT 'bits_per_byte' AS kind, h.id, h."group", h.text
FROM eval.heldout h
ORDER BY h.id
