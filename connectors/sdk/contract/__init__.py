"""What a vendor's contract says, read from OpenAPI, Swagger, WSDL, a table or a sample into one model.

Read by `connector new`, `connector update` and `connector list`, by twins and by tests; never by a running connector.
"""
