"""One page a dataset or its latents: a base template, and what all pages share."""
