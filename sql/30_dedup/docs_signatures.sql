-- table: clean.docs_signatures
-- mode: full
-- why: Signatures and shingle sets are kept, so that later documents are matched with near_matches without reading these texts again.
SELECT d.doc_id, minhash(d.text) AS signature, shingle_set(d.text) AS shingles
FROM clean.docs_exact d
