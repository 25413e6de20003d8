-- Scopes of the third walk: evals (jobs, evals, files, graders), gate (what an endpoint demands), force (past the gate).
ALTER TABLE keys DROP CONSTRAINT keys_scopes_known;
ALTER TABLE keys ADD CONSTRAINT keys_scopes_known
    CHECK (scopes <@ ARRAY['call', 'admin', 'evals', 'gate', 'force'] AND cardinality(scopes) BETWEEN 1 AND 5);
