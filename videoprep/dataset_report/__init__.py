"""One page on a whole dataset: what was asked, planned and encoded, and what the clips look like.

`gather` finds the facts, `gallery` and `pictures` what is shown of single clips, `page` writes it.
"""
