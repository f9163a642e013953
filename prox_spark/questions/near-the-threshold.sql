-- Which documents have a score within 0.1 of the newest refinement's document threshold, and on which side?
WITH newest AS (
  SELECT document_refiner, CAST(get_json_object(configuration, '$.execution.drop_document_below') AS DOUBLE) AS threshold
  FROM refinements ORDER BY created_at DESC, version DESC LIMIT 1
)
SELECT p.doc_id, p.keep_score, n.threshold, p.keep_score >= n.threshold AS passes, d.url, left(d.text, 200) AS begins
FROM programs p
JOIN newest n ON p.refiner = n.document_refiner AND p.stage = 'document'
JOIN documents d ON d.doc_id = p.doc_id AND d.unit = p.unit
WHERE abs(p.keep_score - n.threshold) <= 0.1
ORDER BY abs(p.keep_score - n.threshold), p.doc_id
LIMIT 100
