"""Documents in transit: their files, what is known of them, who may read them."""
