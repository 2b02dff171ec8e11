"""Events in Elasticsearch: the same contract as the lake's, on plain indices of a cluster that others run.

`store.py` is the door; `templates.py` says what an index looks like, `documents.py` what an event looks like in
it, `bulk.py` how it gets there, `translate.py` how a query of people is asked. Nothing here needs more than a
core node has: no scripts, no ingest pipelines, no data streams, no life-cycle policies, no delete-by-query.
"""
