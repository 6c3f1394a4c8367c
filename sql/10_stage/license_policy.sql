-- table: clean.license_policy
-- mode: full
-- why: Which licences a pile may hold is data: change a row, and every step behind it follows.
SELECT p.license_class, p.is_allowed, p.reason
FROM (
  VALUES
    ('public_domain', TRUE, 'nothing is asked'),
    ('permissive', TRUE, 'notices are asked for: the data card names the licences'),
    ('weak_copyleft', TRUE, 'what is asked concerns the files themselves'),
    ('share_alike', FALSE, 'what is made of it must stand under the same licence'),
    ('strong_copyleft', FALSE, 'whether a model is derived from the text is not settled'),
    ('network_copyleft', FALSE, 'whether a model is derived from the text is not settled'),
    ('source_available', FALSE, 'uses are restricted'),
    ('non_commercial', FALSE, 'commercial use is forbidden'),
    ('no_derivatives', FALSE, 'changed versions are forbidden'),
    ('unknown', FALSE, 'nobody has looked at it')
) AS p (license_class, is_allowed, reason)
