"""Who is whom: identities, links, values, and how people are found."""
