-- why: Which events the lake has already, asked by every command, so it reads one column.
SELECT f.fact_id
FROM ops.facts f
