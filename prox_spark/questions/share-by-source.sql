-- How much of each source is kept: documents, and characters of all its documents?
SELECT d.source, count(*) AS documents, count(r.doc_id) AS kept_documents,
       sum(length(d.text)) AS characters, coalesce(sum(r.n_characters), 0) AS kept_characters,
       round(coalesce(sum(r.n_characters), 0) / nullif(sum(length(d.text)), 0), 4) AS kept_share
FROM documents d LEFT JOIN refined r ON r.doc_id = d.doc_id AND r.unit = d.unit
GROUP BY d.source
ORDER BY characters DESC, d.source
