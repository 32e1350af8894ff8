"""The signature book i-Parapheur, by its SOAP interface."""
