"""The steps after the exact ones: which documents each may find, as conditions over a document."""
