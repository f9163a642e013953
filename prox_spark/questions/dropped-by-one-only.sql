-- Which lines does refinement A remove that refinement B keeps, in documents that both keep? Replace A and B with their names.
SELECT a.doc_id, a.line_number, a.operation, a.score, a.text
FROM `dropped_lines@A` a
JOIN `refined@B` kept ON kept.doc_id = a.doc_id AND kept.unit = a.unit
LEFT ANTI JOIN `dropped_lines@B` b
  ON b.doc_id = a.doc_id AND b.unit = a.unit AND b.line_number = a.line_number AND b.replacement IS NULL
WHERE a.replacement IS NULL
ORDER BY a.doc_id, a.line_number
LIMIT 1000
