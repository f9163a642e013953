-- At which threshold does the newest refinement's document stage keep as many characters as each other refinement has?
WITH newest AS (
  SELECT refinement AS name, document_refiner FROM refinements ORDER BY created_at DESC, version DESC LIMIT 1
), steps AS (
  SELECT floor(p.keep_score * 1000) / 1000 AS threshold, sum(length(d.text)) AS characters
  FROM programs p
  JOIN newest n ON p.refiner = n.document_refiner AND p.stage = 'document'
  JOIN documents d ON d.doc_id = p.doc_id AND d.unit = p.unit
  WHERE p.keep_score IS NOT NULL
  GROUP BY floor(p.keep_score * 1000) / 1000
), kept AS (
  SELECT threshold, sum(characters) OVER (ORDER BY threshold DESC) AS characters FROM steps
), others AS (
  SELECT refinement, counts.characters_kept AS wanted,
         row_number() OVER (PARTITION BY refinement ORDER BY version DESC) AS place
  FROM refinements
)
SELECT o.refinement, o.wanted AS characters_kept, min(k.threshold) AS drop_document_below, max(k.characters) AS characters
FROM others o LEFT JOIN kept k ON k.characters <= o.wanted
WHERE o.place = 1 AND o.refinement <> (SELECT name FROM newest)
GROUP BY o.refinement, o.wanted
ORDER BY o.refinement
