-- table: clean.docs_signatures
-- mode: full
-- why: MinHash signatures are computed once; candidate pairs come from their bands.
SELECT d.doc_id, minhash(d.text) AS signature
FROM clean.docs_exact d
