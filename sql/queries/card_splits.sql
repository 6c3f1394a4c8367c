-- why: How a pile is split, and that what is held out is known.
SELECT coalesce(d.split, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.split, '(none)')
ORDER BY bytes DESC, name
