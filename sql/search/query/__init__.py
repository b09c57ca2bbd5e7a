"""From what a person typed to a folded query: `parse`, then `text_query`, which is made of `terms`."""
