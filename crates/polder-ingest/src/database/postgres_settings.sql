-- What would end the rows early, give them in another order each time, or write their values in another form. A server that speaks like
-- PostgreSQL may lack some of them.
SELECT pg_catalog.set_config(s.name, v.value, true)
FROM pg_catalog.pg_settings AS s
JOIN (
  VALUES ('statement_timeout', '0'), ('lock_timeout', '60s'), ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
    ('synchronize_seqscans', 'off'), ('max_parallel_workers_per_gather', '0'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'postgres'),
    ('TimeZone', 'UTC'), ('extra_float_digits', '1'), ('standard_conforming_strings', 'on')
) AS v (name, value) ON s.name = v.name
