"""Writes a connector from a vendor's contract: its tables, samples, test and page, ready to be looked through.

Used by `connector new --from`; never by a running connector.
"""
