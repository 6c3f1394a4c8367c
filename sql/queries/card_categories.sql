-- why: What kind of text a pile holds: programming languages, and the language of prose.
SELECT coalesce(d.category, '(none)') AS name, count(*) AS n_docs, coalesce(sum(d.bytes), 0) AS bytes
FROM documents d
GROUP BY coalesce(d.category, '(none)')
ORDER BY bytes DESC, name
