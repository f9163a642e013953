-- Why are documents dropped, at which scores, and how much text do they have?
SELECT stage, reason, count(*) AS documents, sum(n_lines) AS lines, sum(n_characters) AS characters,
       round(min(keep_score), 4) AS lowest_score, round(max(keep_score), 4) AS highest_score
FROM dropped_documents
GROUP BY stage, reason
ORDER BY documents DESC, stage, reason
