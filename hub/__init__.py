"""What the hub knows and decides: acceptance, requests, citizens, procedures, documents, settings, commands."""
