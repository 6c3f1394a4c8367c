-- why: How much text each 65,536th of the rows holds, drawn by the text alone: where to cut so that it is so much at most.
SELECT CAST(floor(hash_share(t.text) * 65536) AS BIGINT) AS slot, sum(octet_length(t.text)) AS bytes
FROM texts t
WHERE t.text IS NOT NULL
GROUP BY CAST(floor(hash_share(t.text) * 65536) AS BIGINT)
