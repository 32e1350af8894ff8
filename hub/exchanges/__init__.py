"""Evidence obtained from its source once: grants, sources, previews, stored values, corrections."""
