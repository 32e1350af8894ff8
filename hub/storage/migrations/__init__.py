"""The steps that bring a database from one form to the next. Run by `hub.storage.migrations.upgrade.upgrade`.

A new step: change the tables, run `python -m hub.storage.migrations "what it does"`, read what it wrote into
`versions/` and mend it by hand (SQLite alters little, and data has to be moved by you), set HEAD to its number. The
tests compare the result with the tables on both databases.
"""

HEAD = "0025"  # the newest step; kept here so that looking whether a database is up to date loads nothing
