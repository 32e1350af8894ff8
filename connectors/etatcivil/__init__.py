"""Requests for civil-status records, dropped as the package of the civil-status office takes them."""
