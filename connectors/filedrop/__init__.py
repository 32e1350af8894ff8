"""Files for and from packages that have no API: CSV or XML, columns set per site."""
