-- why: How often each word occurs. The grouping spills what does not fit into memory, so there may be more words than that.
SELECT w.word, sum(w.count) AS count
FROM words w
GROUP BY w.word
HAVING sum(w.count) >= $min_count
