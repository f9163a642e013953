-- Which documents are duplicates of which? The largest groups of the refiners of kind duplicates, with one of the dropped documents.
WITH found AS (
  SELECT refiner, doc_id, keep_score,
         coalesce(get_json_object(substring_index(output, '# ', -1), '$.cluster'), sha2(doc_id, 256)) AS cluster
  FROM programs
  WHERE stage = 'document' AND status = 'ok' AND refiner IN (SELECT refiner FROM refiners WHERE engine = 'duplicates')
)
SELECT refiner, cluster, count(*) AS documents, max(CASE WHEN sha2(doc_id, 256) = cluster THEN doc_id END) AS kept,
       min(CASE WHEN keep_score < 0.5 THEN doc_id END) AS dropped
FROM found
GROUP BY refiner, cluster
HAVING count(*) > 1
ORDER BY documents DESC, refiner, cluster
LIMIT 1000
